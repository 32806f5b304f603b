// SPDX-License-Identifier: MIT
/*
 * Fences, whichever back end they are of.
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "error.h"
#include "fence.h"

/**
 * struct fence_wait - a wait of this process
 * @op: the application's
 * @fence: the fence
 * @armed: the back end's
 * @poll: the loop's watch of @eventfd
 * @watch: of the device
 * @eventfd: signalled when the point is
 */
struct fence_wait {
	struct tandem_operation *op;
	struct tandem_fence *fence;
	void *armed;
	struct loop_poll *poll;
	struct device_watch watch;
	int eventfd;
};

int tandem_fence_create(struct tandem_device *device, struct tandem_fence **fence,
			struct tandem_error *error)
{
	if (device->lost)
		return tandem_error_set(error, -ENODEV, "%s: the device is gone", device->name);
	return device->ops->fence_create(device, fence, error);
}

int tandem_fence_share(struct tandem_fence *fence, struct tandem_device *device,
		       struct tandem_fence **shared, struct tandem_error *error)
{
	if (fence->device->ops != device->ops)
		return tandem_error_set(error, -EOPNOTSUPP,
					"%s and %s: a fence can only be shared between two accel devices or two inproc devices",
					fence->device->name, device->name);
	if (fence->device->lost || device->lost)
		return tandem_error_set(error, -ENODEV, "%s: the device is gone",
					device->lost ? device->name : fence->device->name);
	return device->ops->fence_share(fence, device, shared, error);
}

void tandem_fence_destroy(struct tandem_fence *fence)
{
	if (fence)
		fence->device->ops->fence_destroy(fence);
}

int tandem_fence_value(struct tandem_fence *fence, uint64_t *point)
{
	*point = 0;
	if (fence->device->lost)
		return -ENODEV;
	return fence->device->ops->fence_value(fence, point);
}

int tandem_fence_signal(struct tandem_fence *fence, uint64_t point)
{
	uint64_t before;
	int ret;

	if (fence->device->lost)
		return -ENODEV;
	ret = fence_promise(fence->line, point, &before);
	if (ret < 0)
		return ret;
	ret = fence->device->ops->fence_signal(fence, point);
	if (ret < 0)
		fence_break_promise(fence->line, point, before);
	return ret;
}

static void wait_free(struct fence_wait *wait)
{
	struct tandem_fence *fence = wait->fence;

	device_watch_remove(&wait->watch);
	loop_poll_stop(wait->poll);
	fence->device->ops->fence_disarm(fence, wait->armed);
	close(wait->eventfd);
	free(wait);
}

static void wait_end(struct fence_wait *wait, int result)
{
	struct tandem_operation *op = wait->op;

	wait_free(wait);
	operation_complete(op, result);
}

static void wait_ready(void *user, int events)
{
	wait_end(user, events < 0 ? events : 0);
}

static void wait_lost(struct device_watch *watch)
{
	wait_end((void *)((char *)watch - offsetof(struct fence_wait, watch)), -ENODEV);
}

static int wait_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	wait_free(operation_data(op));
	operation_post(loop, op, -ECANCELED);
	return 0;
}

int tandem_fence_wait_start(struct tandem_fence *fence, uint64_t point,
			    struct tandem_operation *op)
{
	struct tandem_device *device = fence->device;
	struct fence_wait *new;
	int ret;

	if (device->lost)
		return -ENODEV;
	if (!point)
		return -EINVAL;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->op = op;
	new->fence = fence;
	new->watch.lost = wait_lost;
	new->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (new->eventfd < 0) {
		ret = -errno;
		goto free_wait;
	}
	ret = device->ops->fence_arm(fence, point, new->eventfd, &new->armed);
	if (ret < 0)
		goto close_eventfd;
	ret = loop_poll_start(device->loop, new->eventfd, POLLIN, wait_ready, new, &new->poll);
	if (ret < 0)
		goto disarm;
	ret = operation_begin(op, wait_cancel, new);
	if (ret < 0)
		goto stop_poll;
	device_watch_add(device, &new->watch);
	return 0;

stop_poll:
	loop_poll_stop(new->poll);
disarm:
	device->ops->fence_disarm(fence, new->armed);
close_eventfd:
	close(new->eventfd);
free_wait:
	free(new);
	return ret;
}

static bool can_use(const struct tandem_device *device, const struct tandem_fence_point *point)
{
	if (!point->fence)
		return !point->point;
	return point->point && point->fence->device == device;
}

int fence_check(const struct tandem_device *device, const struct tandem_operation *op)
{
	return can_use(device, &op->wait) && can_use(device, &op->signal) ? 0 : -EINVAL;
}

int fence_promise(struct fence_line *line, uint64_t point, uint64_t *before)
{
	*before = atomic_load(&line->promised);
	do {
		if (point <= *before)
			return -EINVAL;
	} while (!atomic_compare_exchange_weak(&line->promised, before, point));
	return 0;
}

/* Unless there is a later one, whose signal is this one's too. */
void fence_break_promise(struct fence_line *line, uint64_t point, uint64_t before)
{
	atomic_compare_exchange_strong(&line->promised, &point, before);
}
