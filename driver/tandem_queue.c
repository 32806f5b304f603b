// SPDX-License-Identifier: GPL-2.0
#include <drm/drm_file.h>
#include <linux/capability.h>
#include <linux/nospec.h>
#include <linux/slab.h>

#include "tandem_accel.h"
#include "tandem_context.h"
#include "tandem_device.h"
#include "tandem_engine.h"
#include "tandem_file.h"
#include "tandem_queue.h"

static const enum tandem_schedule_level levels[] = {
	[TANDEM_PRIORITY_NORMAL] = TANDEM_SCHEDULE_NORMAL,
	[TANDEM_PRIORITY_LOW] = TANDEM_SCHEDULE_LOW,
	[TANDEM_PRIORITY_HIGH] = TANDEM_SCHEDULE_HIGH,
};

/* The kind of engines for a kind of queues; -EINVAL when there are none. */
static int choose_class(const struct tandem_device *tdev, u32 kind)
{
	/* Compute engines can copy, too. */
	if (kind == TANDEM_QUEUE_COPY && tdev->identity.copy_queues)
		return TANDEM_HW_QUEUE_COPY;
	return tdev->identity.compute_queues ? TANDEM_HW_QUEUE_COMPUTE :
					       -EINVAL;
}

static struct tandem_queue *queue_alloc(struct tandem_context *context,
					u32 kind, int class,
					enum tandem_schedule_level level)
{
	struct tandem_queue *queue;

	queue = kzalloc(sizeof(*queue), GFP_KERNEL_ACCOUNT);
	if (!queue)
		return NULL;
	kref_init(&queue->ref);
	tandem_context_get(context);
	queue->context = context;
	queue->kind = kind;
	mutex_init(&queue->submit_lock);
	queue->class = &context->tdev->classes[class];
	tandem_schedule_init_queue(&queue->schedule,
				   &context->shares[class][level]);
	INIT_LIST_HEAD(&queue->class_link);
	INIT_LIST_HEAD(&queue->waiting);
	INIT_LIST_HEAD(&queue->running);
	init_waitqueue_head(&queue->idle);
	return queue;
}

static void queue_release(struct kref *ref)
{
	struct tandem_queue *queue = container_of(ref, typeof(*queue), ref);

	mutex_destroy(&queue->submit_lock);
	tandem_context_put(queue->context);
	kfree(queue);
}

void tandem_queue_get(struct tandem_queue *queue)
{
	kref_get(&queue->ref);
}

void tandem_queue_put(struct tandem_queue *queue)
{
	kref_put(&queue->ref, queue_release);
}

struct tandem_queue *tandem_queue_find(struct tandem_file *file, u32 id)
{
	struct tandem_queue *queue;

	xa_lock(&file->queues);
	queue = xa_load(&file->queues, id);
	if (queue)
		kref_get(&queue->ref);
	xa_unlock(&file->queues);
	return queue;
}

static bool is_idle(struct tandem_queue *queue)
{
	bool idle;
	unsigned long flags;

	spin_lock_irqsave(&queue->class->lock, flags);
	idle = list_empty(&queue->running) && list_empty(&queue->waiting);
	spin_unlock_irqrestore(&queue->class->lock, flags);
	return idle;
}

bool tandem_queue_has_jobs(struct tandem_queue *queue)
{
	return !is_idle(queue);
}

struct tandem_queue *tandem_queue_next(struct tandem_file *file,
				       unsigned long *id)
{
	struct tandem_queue *queue;

	xa_lock(&file->queues);
	queue = xa_find_after(&file->queues, id, ULONG_MAX, XA_PRESENT);
	if (queue)
		kref_get(&queue->ref);
	xa_unlock(&file->queues);
	return queue;
}

static void close_queue(struct tandem_queue *queue)
{
	tandem_engine_close_queue(queue);
	atomic_dec(&queue->context->queues);
}

void tandem_queue_close_all(struct tandem_file *file,
			    struct tandem_context *context)
{
	struct tandem_queue *queue;
	unsigned long id;

	xa_for_each(&file->queues, id, queue) {
		/* Again under the lock, which keeps it from being destroyed. */
		xa_lock(&file->queues);
		queue = xa_load(&file->queues, id);
		if (!queue || queue->context != context) {
			xa_unlock(&file->queues);
			continue;
		}
		__xa_erase(&file->queues, id);
		xa_unlock(&file->queues);
		close_queue(queue);
		tandem_queue_put(queue);
	}
}

int tandem_ioctl_queue_create(struct drm_device *drm, void *data,
			      struct drm_file *filp)
{
	struct tandem_device *tdev = to_tandem_device(drm);
	struct tandem_file *file = filp->driver_priv;
	struct drm_tandem_queue_create *args = data;
	enum tandem_schedule_level level;
	struct tandem_context *context;
	struct tandem_queue *queue;
	int ret, class;

	if (args->kind > TANDEM_QUEUE_COMPUTE ||
	    args->priority >= ARRAY_SIZE(levels) || args->flags || args->pad)
		return -EINVAL;
	level = levels[array_index_nospec(args->priority, ARRAY_SIZE(levels))];
	class = choose_class(tdev, args->kind);
	if (class < 0)
		return class;
	if (args->priority == TANDEM_PRIORITY_HIGH && !capable(CAP_SYS_NICE))
		return -EACCES;

	/* Against the context's destruction, which would miss the queue. */
	guard(mutex)(&file->lock);
	context = tandem_context_find(file, args->context);
	if (!context)
		return -ENOENT;
	if (atomic_inc_return(&context->queues) > TANDEM_CONTEXT_QUEUES_MAX) {
		ret = -ENOSPC;
		goto err_count;
	}
	queue = queue_alloc(context, args->kind, class, level);
	if (!queue) {
		ret = -ENOMEM;
		goto err_count;
	}
	tandem_engine_open_queue(queue);
	xa_lock(&file->queues);
	ret = __xa_alloc(&file->queues, &args->queue, queue, TANDEM_ID_LIMIT,
			 GFP_KERNEL);
	/* Unlocked, it may be destroyed by somebody who guessed the id. */
	if (!ret)
		queue->id = args->queue;
	xa_unlock(&file->queues);
	if (ret)
		goto err_queue;
	tandem_context_put(context);
	return 0;

err_queue:
	tandem_engine_close_queue(queue);
	tandem_queue_put(queue);
err_count:
	atomic_dec(&context->queues);
	tandem_context_put(context);
	return ret;
}

int tandem_ioctl_queue_destroy(struct drm_device *drm, void *data,
			       struct drm_file *filp)
{
	struct tandem_file *file = filp->driver_priv;
	struct drm_tandem_queue_destroy *args = data;
	struct tandem_queue *queue;
	int ret;

	if (args->pad)
		return -EINVAL;
	queue = xa_erase(&file->queues, args->queue);
	if (!queue)
		return -ENOENT;
	close_queue(queue);
	/* Ends in any case: commands have a timeout, and so has the device. */
	ret = wait_event_killable(queue->idle, is_idle(queue));
	tandem_queue_put(queue);
	return ret ? -EINTR : 0;
}

int tandem_ioctl_queue_query(struct drm_device *drm, void *data,
			     struct drm_file *filp)
{
	struct tandem_file *file = filp->driver_priv;
	struct drm_tandem_queue_query *args = data;
	struct tandem_queue *queue;

	queue = tandem_queue_find(file, args->queue);
	if (!queue)
		return -ENOENT;
	spin_lock_irq(&queue->class->lock);
	args->last_error = queue->last_error;
	args->submitted = queue->submitted;
	args->completed = queue->completed;
	args->failed = queue->failed;
	args->device_ns = queue->device_ns;
	spin_unlock_irq(&queue->class->lock);
	tandem_queue_put(queue);
	return 0;
}
