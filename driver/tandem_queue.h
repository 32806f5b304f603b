/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A user's queue: commands of one context that are carried out in order.
 */
#ifndef _TANDEM_QUEUE_H
#define _TANDEM_QUEUE_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/wait.h>

#include "tandem_schedule.h"

struct drm_device;
struct drm_file;
struct tandem_context;
struct tandem_engine_class;
struct tandem_file;

/* Queues that a context can have at once. */
#define TANDEM_CONTEXT_QUEUES_MAX	64

/**
 * struct tandem_queue - a queue
 * @ref: held by the file until the queue is destroyed, and by each job
 * @context: that it belongs to; holds a reference
 * @id: by which the file knows it; for people
 * @kind: &enum tandem_queue_kind; the engines may be able to do more
 * @class: engines that carry out its commands, one at a time; lives as long as
 *	the device
 * @submit_lock: held from when a job's fence is published until the job is
 *	submitted, and while one with a fence to wait for is: else the latter
 *	could get in before a job that it waits for
 * @class_link: in &tandem_engine_class.queues; this and all below guarded by
 *	the lock of the class
 * @schedule: its place in the schedule of the class; ready while the oldest of
 *	the @waiting jobs does not wait for a fence
 * @waiting: jobs that are not on an engine's ring yet, oldest first
 * @running: jobs that are
 * @closed: takes no more jobs
 * @submitted: jobs that came
 * @completed: of these, those that have ended
 * @failed: of these, those with a result other than 0
 * @last_error: result of the last of these, or 0
 * @device_ns: time that engines spent on its jobs
 * @idle: woken when a closed queue has no more jobs
 */
struct tandem_queue {
	struct kref ref;
	struct tandem_context *context;
	u32 id;
	u32 kind;
	struct tandem_engine_class *class;
	struct mutex submit_lock; /* see above */
	struct list_head class_link;
	struct tandem_schedule_queue schedule;
	struct list_head waiting;
	struct list_head running;
	bool closed;
	u64 submitted;
	u64 completed;
	u64 failed;
	int last_error;
	u64 device_ns;
	wait_queue_head_t idle;
};

/* A new reference, or NULL for no such queue of the file. */
struct tandem_queue *tandem_queue_find(struct tandem_file *file, u32 id);
void tandem_queue_get(struct tandem_queue *queue);
void tandem_queue_put(struct tandem_queue *queue);
/*
 * The next queue of the file behind *@id, with a reference, or NULL; *@id is set
 * to its id. Begin with 0.
 */
struct tandem_queue *tandem_queue_next(struct tandem_file *file,
				       unsigned long *id);
/* Are there jobs that wait or run? */
bool tandem_queue_has_jobs(struct tandem_queue *queue);

/* Destroys the queues of a context. Does not wait for their commands. */
void tandem_queue_close_all(struct tandem_file *file,
			    struct tandem_context *context);

int tandem_ioctl_queue_create(struct drm_device *drm, void *data,
			      struct drm_file *filp);
int tandem_ioctl_queue_query(struct drm_device *drm, void *data,
			     struct drm_file *filp);
int tandem_ioctl_queue_destroy(struct drm_device *drm, void *data,
			       struct drm_file *filp);

#endif /* _TANDEM_QUEUE_H */
