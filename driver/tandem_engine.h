/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Engines: queues of the device, on which commands of many users' queues are
 * carried out in turn. Those of one kind share their work: they make a class.
 */
#ifndef _TANDEM_ENGINE_H
#define _TANDEM_ENGINE_H

#include <linux/list.h>
#include <linux/spinlock.h>

#include "tandem_reset.h"
#include "tandem_clock.h"
#include "tandem_ring.h"
#include "tandem_schedule.h"
#include "tandem_shared.h"
#include "tandem_stats.h"

struct tandem_context;
struct tandem_job;
struct tandem_queue;

/**
 * struct tandem_engine - an engine
 * @tdev: the device
 * @index: in &tandem_device.engines
 * @class: that it belongs to; NULL for one that the device does not have
 * @kind: &enum tandem_hw_queue_kind; this and all below guarded by the lock of
 *	the class
 * @ring: the rings
 * @lists: for each slot of the ring, room for a short list of segments, read by
 *	the device
 * @clock: relates that of the device; begun anew when it is enabled
 * @schedule: what it has to do, for the schedule of the class
 * @running: no job is taken otherwise. Jobs wait while the ring is not up
 * @in_flight: jobs that are on the ring, in the order of its descriptors
 * @stats: of the commands that came to it
 * @oldest_since: in jiffies, since when the oldest command on the ring is that
 * @abort_since: in jiffies, when the watch saw that it was told to abort that
 *	one; or zero
 */
struct tandem_engine {
	struct tandem_device *tdev;
	u32 index;
	struct tandem_engine_class *class;
	u32 kind;
	struct tandem_ring ring;
	struct tandem_shared lists;
	struct tandem_clock clock;
	struct tandem_schedule_engine schedule;
	bool running;
	struct list_head in_flight;
	struct tandem_stats stats;
	unsigned long oldest_since;
	unsigned long abort_since;
};

/**
 * struct tandem_engine_class - engines of one kind
 * @kind: &enum tandem_hw_queue_kind
 * @lock: guards all below and the engines; the queues that they serve, and the
 *	state of their jobs. Taken in hard interrupts, too, also with the lock
 *	of a fence held
 * @schedule: whose job is next
 * @engines: that the device has, [@engine_count]
 * @engine_count: how many there are
 * @running: how many of them take jobs
 * @awake: the device is kept from being suspended for their sake
 * @queues: that they serve and that are not closed
 * @jobs: that came, ever
 * @stats: of the jobs that ended before an engine had them
 */
struct tandem_engine_class {
	u32 kind;
	spinlock_t lock; /* see above */
	struct tandem_schedule schedule;
	struct tandem_engine *engines[TANDEM_SCHEDULE_ENGINES_MAX];
	u32 engine_count;
	u32 running;
	bool awake;
	struct list_head queues;
	u64 jobs;
	struct tandem_stats stats;
};

/* As users count engines; 0 for none. */
static inline u32 tandem_engine_number(const struct tandem_engine *engine)
{
	return engine ? engine->index + 1 : 0;
}

void tandem_engine_class_prepare(struct tandem_engine_class *class, u32 kind);
/* Adds what was counted so far to @sum. */
void tandem_engine_class_add_stats(struct tandem_engine_class *class,
				   struct tandem_stats *sum);
/* Lets the device be suspended if there is nothing to do. */
void tandem_engine_class_rest(struct tandem_engine_class *class);
void tandem_engine_prepare(struct tandem_engine *engine,
			   struct tandem_device *tdev, u32 index);
int tandem_engine_init(struct tandem_engine *engine, u32 kind);
/* The device does not reach the rings afterwards. */
void tandem_engine_fini(struct tandem_engine *engine);

/* Has the device, which was just enabled, make the queue. */
int tandem_engine_create(struct tandem_engine *engine, u32 epoch);
/* Jobs that wait go to the device from now on. */
void tandem_engine_up(struct tandem_engine *engine);
/* No more jobs go to the device: they wait. Those in flight may still end. */
void tandem_engine_pause(struct tandem_engine *engine);
/*
 * The device is disabled. What it has not completed ends as
 * tandem_reset_judge() says, or waits again, before all others of its queue.
 */
void tandem_engine_down(struct tandem_engine *engine,
			enum tandem_reset_reason reason);
/*
 * Ends all jobs with -ENODEV and takes no more; the last one of a class ends
 * those that wait, too. Does not sleep.
 */
void tandem_engine_stop(struct tandem_engine *engine);
/* Is no job in flight? */
bool tandem_engine_is_drained(struct tandem_engine *engine);

void tandem_engine_interrupt(struct tandem_engine *engine);
/* Takes completions whose interrupt was lost; to be called now and then. */
void tandem_engine_poll(struct tandem_engine *engine);
/* Aborts a job that takes too long: false when that has not helped either. */
bool tandem_engine_watch(struct tandem_engine *engine);

/* Lets a queue have its jobs carried out. */
void tandem_engine_open_queue(struct tandem_queue *queue);
/* Lets no more jobs into a queue, and ends those that have not begun. */
void tandem_engine_close_queue(struct tandem_queue *queue);

/* Carries out a job after those before it; it ends by ->complete. */
void tandem_engine_submit(struct tandem_job *job);
/*
 * The fence that a job waits for has signalled: it is carried out, or cancelled
 * for an error. Before its submission, too. In any context, with the lock of
 * the fence held.
 */
void tandem_engine_unblock(struct tandem_job *job, int error);
/* Ends a job early, if it has not ended yet. */
void tandem_engine_cancel(struct tandem_job *job);
/* The same for jobs of a queue with this cookie: how many there were. */
unsigned int tandem_engine_cancel_cookie(struct tandem_queue *queue,
					 u64 cookie);
/* Ends all jobs of banned contexts that have not begun, with -EIO. */
void tandem_engine_end_banned(struct tandem_device *tdev);

#endif /* _TANDEM_ENGINE_H */
