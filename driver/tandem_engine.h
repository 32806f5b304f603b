/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An engine: a queue of the device, on which commands of many users' queues are
 * carried out in turn.
 */
#ifndef _TANDEM_ENGINE_H
#define _TANDEM_ENGINE_H

#include <linux/list.h>
#include <linux/spinlock.h>

#include "tandem_reset.h"
#include "tandem_clock.h"
#include "tandem_ring.h"
#include "tandem_shared.h"
#include "tandem_stats.h"

struct tandem_job;
struct tandem_queue;

/**
 * struct tandem_engine - an engine
 * @tdev: the device
 * @lock: guards all below; the lists and the state of the queues that use
 *	the engine; and the state of their jobs. Taken in hard interrupts, too,
 *	also with the lock of a fence held
 * @ring: the rings
 * @lists: for each slot of the ring, room for a short list of segments, read by
 *	the device
 * @index: in &tandem_device.engines
 * @kind: &enum tandem_hw_queue_kind
 * @clock: relates that of the device; begun anew when it is enabled
 * @ready: queues with jobs that wait, in the order of their turns
 * @blocked: queues of which the oldest job waits for a fence
 * @stats: of all its commands
 * @running: no job is taken otherwise. Jobs wait while the ring is not up
 * @awake: the device is kept from being suspended for the sake of the engine
 * @in_flight: jobs that are on the ring, in the order of its descriptors
 * @oldest: number of the oldest command when the watch came by last, and
 * @oldest_since: in jiffies, since when it is
 * @abort_since: in jiffies, when it was told to abort that one; or zero
 */
struct tandem_engine {
	struct tandem_device *tdev;
	spinlock_t lock; /* see above */
	struct tandem_ring ring;
	struct tandem_shared lists;
	u32 index;
	u32 kind;
	struct tandem_clock clock;
	struct list_head ready;
	struct list_head blocked;
	bool running;
	struct tandem_stats stats;
	bool awake;
	struct list_head in_flight;
	u32 oldest;
	unsigned long oldest_since;
	unsigned long abort_since;
};

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
/* Ends all jobs with -ENODEV and takes no more. Does not sleep. */
void tandem_engine_stop(struct tandem_engine *engine);
/* Is no job in flight? */
bool tandem_engine_is_drained(struct tandem_engine *engine);
/* Lets the device be suspended if there is nothing to do. */
void tandem_engine_rest(struct tandem_engine *engine);

/* Adds what was counted so far to @sum. */
void tandem_engine_add_stats(struct tandem_engine *engine,
			     struct tandem_stats *sum);

void tandem_engine_interrupt(struct tandem_engine *engine);
/* Takes completions whose interrupt was lost; to be called now and then. */
void tandem_engine_poll(struct tandem_engine *engine);
/* Aborts a job that takes too long: false when that has not helped either. */
bool tandem_engine_watch(struct tandem_engine *engine);

/* Carries out a job after those before it; it ends by ->complete. */
void tandem_engine_submit(struct tandem_engine *engine, struct tandem_job *job);
/*
 * The fence that a job waits for has signalled: it is carried out, or cancelled
 * for an error. Before its submission, too. In any context, with the lock of
 * the fence held.
 */
void tandem_engine_unblock(struct tandem_engine *engine, struct tandem_job *job,
			   int error);
/* Ends a job early, if it has not ended yet. */
void tandem_engine_cancel(struct tandem_engine *engine, struct tandem_job *job);
/* The same for jobs of a queue with this cookie: how many there were. */
unsigned int tandem_engine_cancel_cookie(struct tandem_engine *engine,
					 struct tandem_queue *queue,
					 u64 cookie);
/* Lets no more jobs into a queue, and ends those that have not begun. */
void tandem_engine_close_queue(struct tandem_engine *engine,
			       struct tandem_queue *queue);

#endif /* _TANDEM_ENGINE_H */
