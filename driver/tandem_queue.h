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

struct drm_device;
struct drm_file;
struct tandem_context;
struct tandem_engine;
struct tandem_file;

/* Queues that a context can have at once. */
#define TANDEM_CONTEXT_QUEUES_MAX	64

/**
 * struct tandem_queue - a queue
 * @ref: held by the file until the queue is destroyed, and by each job
 * @context: that it belongs to; holds a reference
 * @kind: &enum tandem_queue_kind; the engine may be able to do more
 * @engine: that carries out its commands; lives as long as the device
 * @submit_lock: held from when a job's fence is published until the job is
 *	submitted, and while one with a fence to wait for is: else the latter
 *	could get in before a job that it waits for
 * @waiting: jobs that are not on the engine's ring yet, oldest first; this and
 *	all below guarded by the engine's lock
 * @running: jobs that are
 * @ready_link: in &tandem_engine.ready or blocked while there are @waiting jobs
 * @blocked: in the latter, since the oldest waits for a fence
 * @closed: takes no more jobs
 * @idle: woken when a closed queue has no more jobs
 */
struct tandem_queue {
	struct kref ref;
	struct tandem_context *context;
	u32 kind;
	struct tandem_engine *engine;
	struct mutex submit_lock; /* see above */
	struct list_head waiting;
	struct list_head running;
	struct list_head ready_link;
	bool blocked;
	bool closed;
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
int tandem_ioctl_queue_destroy(struct drm_device *drm, void *data,
			       struct drm_file *filp);

#endif /* _TANDEM_QUEUE_H */
