// SPDX-License-Identifier: GPL-2.0
#include <drm/drm_file.h>
#include <drm/drm_syncobj.h>
#include <linux/dma-fence-chain.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "tandem_accel.h"
#include "tandem_engine.h"
#include "tandem_fence.h"
#include "tandem_job.h"
#include "tandem_queue.h"

/**
 * struct job_fence - the fence of a job's end
 * @base: others hold references, also when job, file and device are gone
 * @lock: of @base
 * @compute: the job's engine executes programs
 *
 * Holds a reference to the module, in which its operations are.
 */
struct job_fence {
	struct dma_fence base;
	spinlock_t lock; /* see above */
	bool compute;
};

static struct job_fence *to_job_fence(struct dma_fence *fence)
{
	return container_of(fence, struct job_fence, base);
}

static const char *get_driver_name(struct dma_fence *fence)
{
	return "tandem";
}

static const char *get_timeline_name(struct dma_fence *fence)
{
	return to_job_fence(fence)->compute ? "compute" : "copy";
}

static void free_fence(struct rcu_head *rcu)
{
	kfree(to_job_fence(container_of(rcu, struct dma_fence, rcu)));
	/* The module's exit waits for such callbacks to return. */
	module_put(THIS_MODULE);
}

static void fence_release(struct dma_fence *fence)
{
	/* Others may be looking at it under RCU. */
	call_rcu(&fence->rcu, free_fence);
}

static const struct dma_fence_ops fence_ops = {
	.get_driver_name = get_driver_name,
	.get_timeline_name = get_timeline_name,
	.release = fence_release,
};

static struct dma_fence *fence_create(const struct tandem_queue *queue)
{
	struct job_fence *fence;

	fence = kzalloc(sizeof(*fence), GFP_KERNEL_ACCOUNT);
	if (!fence)
		return NULL;
	__module_get(THIS_MODULE);
	spin_lock_init(&fence->lock);
	fence->compute = queue->class->kind == TANDEM_HW_QUEUE_COMPUTE;
	/*
	 * A timeline of its own: jobs of a queue that are cancelled overtake
	 * those before them.
	 */
	dma_fence_init(&fence->base, &fence_ops, &fence->lock,
		       dma_fence_context_alloc(1), 1);
	return &fence->base;
}

static int prepare_out(struct tandem_fences *fences,
		       const struct tandem_queue *queue, struct drm_file *filp,
		       const struct tandem_uring_command *command)
{
	fences->syncobj = drm_syncobj_find(filp, command->out_syncobj);
	if (!fences->syncobj)
		return -ENOENT;
	fences->out = fence_create(queue);
	if (!fences->out)
		return -ENOMEM;
	fences->point = command->out_point;
	if (!fences->point)
		return 0;
	fences->chain = dma_fence_chain_alloc();
	return fences->chain ? 0 : -ENOMEM;
}

int tandem_fence_prepare(struct tandem_job *job, struct drm_file *filp,
			 const struct tandem_uring_command *command)
{
	struct tandem_fences *fences = &job->fences;
	struct dma_fence *in;
	int ret;

	if (command->in_syncobj) {
		ret = drm_syncobj_find_fence(filp, command->in_syncobj,
					     command->in_point, 0, &in);
		if (ret)
			return ret;
		fences->in = in;
		job->blocked = true;
	}
	if (command->out_syncobj) {
		ret = prepare_out(fences, job->queue, filp, command);
		if (ret)
			goto err;
	}
	return 0;
err:
	tandem_fence_discard(job);
	return ret;
}

/* How a fence that has signalled ended: 0 or negative errno. */
static int error_of(struct dma_fence *fence)
{
	/* A point on a timeline does not take over the error of its fence. */
	return READ_ONCE(dma_fence_chain_contained(fence)->error);
}

/* In any context, with the lock of the fence held. */
static void in_signalled(struct dma_fence *fence, struct dma_fence_cb *callback)
{
	struct tandem_job *job = container_of(callback, struct tandem_job,
					      fences.in_callback);

	tandem_engine_unblock(job, error_of(fence));
}

void tandem_fence_publish(struct tandem_job *job)
{
	struct tandem_fences *fences = &job->fences;

	if (fences->in &&
	    dma_fence_add_callback(fences->in, &fences->in_callback,
				   in_signalled))
		tandem_engine_unblock(job, error_of(fences->in));
	if (!fences->out)
		return;
	if (fences->chain)
		drm_syncobj_add_point(fences->syncobj, fences->chain,
				      fences->out, fences->point);
	else
		drm_syncobj_replace_fence(fences->syncobj, fences->out);
	drm_syncobj_put(fences->syncobj);
	fences->chain = NULL;
	fences->syncobj = NULL;
}

void tandem_fence_end(struct tandem_job *job)
{
	struct tandem_fences *fences = &job->fences;

	if (fences->in) {
		/* Also waits for the callback, when that is being called. */
		dma_fence_remove_callback(fences->in, &fences->in_callback);
		dma_fence_put(fences->in);
		fences->in = NULL;
	}
	if (fences->out) {
		if (job->result)
			dma_fence_set_error(fences->out, job->result);
		dma_fence_signal(fences->out);
		dma_fence_put(fences->out);
		fences->out = NULL;
	}
}

void tandem_fence_discard(struct tandem_job *job)
{
	struct tandem_fences *fences = &job->fences;

	if (fences->chain)
		dma_fence_chain_free(fences->chain);
	if (fences->syncobj)
		drm_syncobj_put(fences->syncobj);
	dma_fence_put(fences->in);
	dma_fence_put(fences->out);
	*fences = (struct tandem_fences) { };
}
