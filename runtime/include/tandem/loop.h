/* SPDX-License-Identifier: MIT */
/*
 * The event loop: one io_uring on which everything arrives that an application
 * waits for.
 *
 * A loop and everything opened on it belong to one thread at a time: calls are
 * not locked. Loops are independent of one another. No call here or in the
 * other headers blocks, but for those that say so.
 */
#ifndef TANDEM_LOOP_H
#define TANDEM_LOOP_H

#include <stdint.h>

#include <tandem/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tandem_fence;
struct tandem_loop;

/**
 * struct tandem_fence_point - a point on a timeline, see <tandem/fence.h>
 * @fence: NULL for none
 * @point: greater than 0; 0 without a fence
 */
struct tandem_fence_point {
	struct tandem_fence *fence;
	uint64_t point;
};

/**
 * struct tandem_operation - something that was started and will end
 * @done: called once, from tandem_loop_run() or tandem_loop_wait(), with the
 *	operation's result; may start new operations (this one too) and may free
 *	the structure; may not be NULL if nobody waits
 * @user: the caller's
 * @result: after the end: 0 or more, or a negative errno
 * @pending: not zero between start and end
 * @device_ns: after the end: time that a device spent on it, measured; 0 when
 *	no device was involved, and for programs on accel devices, whose driver
 *	reports one time only
 * @modelled_ns: after the end of a program: time that the device's profile would
 *	have needed at least, estimated; 0 where there is no estimate
 * @wait: for operations on a queue: the point to wait for before it begins. Some
 *	operation, or tandem_fence_signal(), was told to signal it before this
 *	one is started (and, where it is on another loop, that loop was run
 *	since), or it ends with -EINVAL. When that which was to signal
 *	it failed, the operation is not carried out and ends with -ECANCELED
 * @signal: for operations on a queue: the point to signal when it has ended,
 *	also with an error; greater than all that the fence was told before.
 *	Both are read at the start, which other operations refuse with -EINVAL
 *	unless there are none; so do copies that take more than one command of
 *	the device
 * @internal: of the library
 *
 * Owned by the caller, zeroed before first use, and kept in place until it has
 * ended. Each start ends exactly once: done, failed or cancelled.
 */
struct tandem_operation {
	void (*done)(struct tandem_operation *op);
	void *user;
	int result;
	int pending;
	uint64_t device_ns;
	uint64_t modelled_ns;
	struct tandem_fence_point wait;
	struct tandem_fence_point signal;
	uint64_t internal[8];
};

/**
 * tandem_loop_create() - make a loop
 * @loop: where to put it
 * @error: filled in on failure; may be NULL
 *
 * Return: 0, -ENOSYS when the kernel has no io_uring, -EPERM when it is
 * forbidden, -ENOMEM.
 */
int tandem_loop_create(struct tandem_loop **loop, struct tandem_error *error);

/**
 * tandem_loop_destroy() - free a loop
 * @loop: nothing is open on it any more; may be NULL
 */
void tandem_loop_destroy(struct tandem_loop *loop);

/**
 * tandem_loop_fd() - a descriptor to wait for in an application's own loop
 * @loop: the loop
 *
 * Return: a file descriptor, owned by the loop, which polls readable when
 * tandem_loop_run() has something to do. Before waiting for it, call
 * tandem_loop_run() with a time of 0, which submits what was started. The wait
 * itself may end with EINTR when something arrives; that is no failure.
 */
int tandem_loop_fd(struct tandem_loop *loop);

/**
 * tandem_loop_set_busy_poll() - for how long a loop polls before it sleeps
 * @loop: the loop
 * @microseconds: at most, up to a second; 0 for never. 200 unless it is set; on a machine
 *	with a single processor, 0
 *
 * Where RDMA connections are open on it, a loop that has nothing to do polls their
 * completion queues before it sleeps, as being woken would take longer. It begins with an
 * eighth of the time, doubles that while sleeps turn out to be shorter than @microseconds,
 * and stops at the first that is longer. So an idle loop does not poll, and one that waits
 * for its device or a slow network hardly does.
 *
 * Return: 0 or -EINVAL.
 */
int tandem_loop_set_busy_poll(struct tandem_loop *loop, uint32_t microseconds);

/**
 * tandem_loop_run() - submit what was started, wait, and carry out what arrived
 * @loop: the loop
 * @timeout_ms: how long to wait for the first event: 0 not at all, -1 for ever
 *
 * Return: number of events carried out, 0 after @timeout_ms; -EINTR when a
 * signal came; another negative errno when the ring itself failed.
 */
int tandem_loop_run(struct tandem_loop *loop, int timeout_ms);

/**
 * tandem_loop_wait() - run the loop until one operation has ended
 * @loop: the loop
 * @op: an operation that was started on it
 * @timeout_ms: how long, -1 for ever
 *
 * Blocks. Other events are carried out meanwhile. Not to be called from within
 * @done callbacks.
 *
 * Return: the operation's result; -ETIME when it has not ended in time (it
 * goes on then); a negative errno of tandem_loop_run() but -EINTR.
 */
int tandem_loop_wait(struct tandem_loop *loop, struct tandem_operation *op, int timeout_ms);

/**
 * tandem_timer_start() - an operation that ends by itself
 * @loop: the loop
 * @milliseconds: from now
 * @op: ends with 0 then, or with -ECANCELED
 *
 * Return: 0 or -ENOMEM.
 */
int tandem_timer_start(struct tandem_loop *loop, uint64_t milliseconds,
		       struct tandem_operation *op);

/**
 * tandem_cancel() - ask for an operation to end early
 * @loop: the loop
 * @op: any operation of this library; one that has ended is left alone
 *
 * The operation still ends through its callback, with -ECANCELED or, when it
 * was quicker, with its result. After that, and not before, the memory it uses
 * may be reused.
 *
 * Return: 0, -ENOENT when it is not pending.
 */
int tandem_cancel(struct tandem_loop *loop, struct tandem_operation *op);

#ifdef __cplusplus
}
#endif

#endif /* TANDEM_LOOP_H */
