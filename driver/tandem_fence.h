/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Fences of a job: one that it waits for, and one that its end signals.
 *
 * A fence that was published has to signal in the end, whatever user space
 * does. It does, since a job that runs has a timeout, and one that waits does
 * so for fences which were there before its own, and for earlier jobs of its
 * queue. For that, publishing and submitting are one step to all others that
 * submit to the queue and have a fence: see &tandem_queue.submit_lock.
 */
#ifndef _TANDEM_FENCE_H
#define _TANDEM_FENCE_H

#include <linux/dma-fence.h>

struct dma_fence_chain;
struct drm_file;
struct drm_syncobj;
struct tandem_job;
struct tandem_uring_command;

/**
 * struct tandem_fences - the fences of a job
 * @in: to wait for; NULL for none; a reference is held until the job has ended
 * @in_callback: at @in, from the submission until the job has ended
 * @out: to be signalled; NULL for none; a reference is held, likewise
 * @syncobj: that is to hold @out, with a reference, until it does
 * @chain: for @out, when it becomes a @point on a timeline; until then
 * @point: on the timeline
 *
 * Belongs to whoever has the job, until it is submitted; then to the engine.
 */
struct tandem_fences {
	struct dma_fence *in;
	struct dma_fence_cb in_callback;
	struct dma_fence *out;
	struct drm_syncobj *syncobj;
	struct dma_fence_chain *chain;
	u64 point;
};

/*
 * Finds and makes the fences that a command names. Errors: -ENOENT for no such
 * syncobj, -EINVAL for one that has no fence to wait for yet, -ENOMEM.
 */
int tandem_fence_prepare(struct tandem_job *job, struct drm_file *filp,
			 const struct tandem_uring_command *command);

/* Are there any? */
static inline bool tandem_fence_needed(const struct tandem_fences *fences)
{
	return fences->in || fences->out;
}

/*
 * The job is about to be submitted, and will end by itself: others may see its
 * fence. Nothing that follows may wait for memory.
 */
void tandem_fence_publish(struct tandem_job *job);

/* The job has ended. In any context, without locks. */
void tandem_fence_end(struct tandem_job *job);

/* Drops the fences of a job that was not submitted. Does nothing twice. */
void tandem_fence_discard(struct tandem_job *job);

#endif /* _TANDEM_FENCE_H */
