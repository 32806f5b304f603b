/* SPDX-License-Identifier: MIT */
/*
 * Fences: one device waits for another without the program in between.
 *
 * A fence is a timeline: a number that only grows. An operation on a queue can
 * be told to wait for a point on one before it begins, and to signal one when it
 * has ended, see &struct tandem_operation:
 *
 *	struct tandem_operation computed = { .signal = { fence, 1 } };
 *	struct tandem_operation copied = { .wait = { shared, 1 } };
 *
 *	tandem_exec(compute, program, 0, length, &computed);
 *	tandem_copy(other_device_copy, there, 0, here, 0, bytes, &copied);
 *
 * Both are started at once; the second device begins when the first is done.
 * Whatever is behind a waiting operation on its queue waits too.
 */
#ifndef TANDEM_FENCE_H
#define TANDEM_FENCE_H

#include <stdint.h>

#include <tandem/device.h>
#include <tandem/error.h>
#include <tandem/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * tandem_fence_create() - make a fence
 * @device: whose operations will use it
 * @fence: where to put it; at point 0
 * @error: filled in on failure; may be NULL
 *
 * Return: 0, -ENOMEM, -ENODEV.
 */
int tandem_fence_create(struct tandem_device *device, struct tandem_fence **fence,
			struct tandem_error *error);

/**
 * tandem_fence_share() - let another device use a fence
 * @fence: of a device
 * @device: another device of the same kind (both accel or both inproc)
 * @shared: where to put the other device's view of the same timeline, which has
 *	to be destroyed too, in any order
 * @error: filled in on failure; may be NULL
 *
 * The devices may belong to different loops, and these to different threads.
 *
 * Return: 0, -EOPNOTSUPP for devices of different kinds, -ENOMEM, -ENODEV.
 */
int tandem_fence_share(struct tandem_fence *fence, struct tandem_device *device,
		       struct tandem_fence **shared, struct tandem_error *error);

/**
 * tandem_fence_destroy() - free a fence or a view of it
 * @fence: no pending operation was given it; may be NULL
 */
void tandem_fence_destroy(struct tandem_fence *fence);

/**
 * tandem_fence_value() - how far the timeline has come
 * @fence: the fence
 * @point: the last point up to which all are signalled
 *
 * Return: 0 or -ENODEV.
 */
int tandem_fence_value(struct tandem_fence *fence, uint64_t *point);

/**
 * tandem_fence_signal() - signal a point from this process
 * @fence: the fence
 * @point: greater than all that an operation or a call was told to signal
 *
 * Return: 0, -EINVAL for a point that is not greater, -ENOMEM, -ENODEV.
 */
int tandem_fence_signal(struct tandem_fence *fence, uint64_t point);

/**
 * tandem_fence_wait_start() - an operation that ends when a point is signalled
 * @fence: the fence
 * @point: which need not be one that anybody is to signal yet
 * @op: ends with 0 when all points up to @point are signalled, in whatever way
 *	that which signalled them ended; -ECANCELED; -ENODEV
 *
 * Return: 0, -EINVAL, -ENOMEM, -ENODEV.
 */
int tandem_fence_wait_start(struct tandem_fence *fence, uint64_t point,
			    struct tandem_operation *op);

#ifdef __cplusplus
}
#endif

#endif /* TANDEM_FENCE_H */
