/* SPDX-License-Identifier: MIT */
/*
 * The event loop, as the other files of the library use it.
 *
 * All of it is called on the loop's thread. Two rules keep callbacks simple:
 * nothing here calls back from within a call of the same function family, but
 * only from tandem_loop_run(); and what was stopped never calls back.
 */
#ifndef TANDEM_RUNTIME_LOOP_H
#define TANDEM_RUNTIME_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <liburing.h>

#include <tandem/loop.h>

/* Now, in nanoseconds of CLOCK_MONOTONIC. */
uint64_t loop_now_ns(void);

/*
 * Requests of one's own
 */

/**
 * struct loop_event - what a completion of the ring is for
 * @fire: called with the completion: @result is cqe->res, @extra is
 *	cqe->big_cqe[0]
 * @flags: cqe->flags of the completion that @fire is called for
 *
 * Its address is the request's user_data. It stays in place until the last
 * completion of the request: without IORING_CQE_F_MORE.
 */
struct loop_event {
	void (*fire)(struct loop_event *event, int result, uint64_t extra);
	uint32_t flags;
};

/**
 * loop_sqe() - room for one request
 * @loop: the loop
 *
 * 128 bytes. user_data is zero, which throws the completion away: set it with
 * io_uring_sqe_set_data(sqe, event) after io_uring_prep_*(). Submitted by the
 * next tandem_loop_run() or loop_submit().
 *
 * Return: NULL if the kernel takes no more requests for now, which callers
 * report as -ENOMEM.
 */
struct io_uring_sqe *loop_sqe(struct tandem_loop *loop);

/**
 * loop_reserve() - have room for several requests at once
 * @loop: the loop
 * @count: as many loop_sqe() calls will succeed, with no submission between
 *
 * Return: 0; -ENOMEM, also for more than the ring can hold (256).
 */
int loop_reserve(struct tandem_loop *loop, unsigned int count);

/* Submit now what the next tandem_loop_run() would. Return: 0 or -errno. */
int loop_submit(struct tandem_loop *loop);

/**
 * loop_event_cancel() - ask the kernel to end a request early
 * @loop: the loop
 * @event: of the request, which completes with -ECANCELED unless it was
 *	quicker. Does nothing for IORING_OP_URING_CMD (on Linux 6.12)
 *
 * Return: 0 or -ENOMEM.
 */
int loop_event_cancel(struct tandem_loop *loop, struct loop_event *event);

/**
 * loop_fd_cancel() - end all requests on a file, now
 * @loop: the loop
 * @fd: the file; open
 *
 * The kernel works on none of them any more when this returns; what they
 * completed with arrives later, as always. Blocks for as long as it takes the
 * kernel to finish what it is in the middle of.
 *
 * Return: 0; -ENOSYS before Linux 6.0; another negative errno. After a failure
 * requests may still be under way.
 */
int loop_fd_cancel(struct tandem_loop *loop, int fd);

/*
 * File descriptors
 */

struct loop_poll;

/**
 * loop_poll_start() - watch a file descriptor
 * @loop: the loop
 * @fd: not closed before loop_poll_stop()
 * @events: POLLIN and so on; POLLERR and POLLHUP are always watched for
 * @ready: called with what happened, or a negative errno; nothing need come
 *	after that or after POLLHUP; may call loop_poll_stop(). One call may stand for
 *	several changes, and what is left unread is not told again: read until
 *	there is nothing more
 * @user: passed on
 * @poll: where to put it
 *
 * Return: 0 or -ENOMEM.
 */
int loop_poll_start(struct tandem_loop *loop, int fd, unsigned int events,
		    void (*ready)(void *user, int events), void *user, struct loop_poll **poll);

/**
 * loop_poll_stop() - watch no longer
 * @poll: freed; may be NULL
 *
 * The kernel has let go of the file on return, unless it is short of memory.
 */
void loop_poll_stop(struct loop_poll *poll);

/*
 * Deadlines
 */

struct loop_timer;

/**
 * loop_timer_start() - be called later
 * @loop: the loop
 * @milliseconds: from now
 * @expired: called once; the timer is freed by then
 * @user: passed on
 * @timer: where to put it
 *
 * Return: 0 or -ENOMEM.
 */
int loop_timer_start(struct tandem_loop *loop, uint64_t milliseconds,
		     void (*expired)(void *user), void *user, struct loop_timer **timer);

/* Do not call after all. @timer is freed; may be NULL. */
void loop_timer_stop(struct loop_timer *timer);

/*
 * Polling before sleeping
 */

/**
 * struct loop_poller - a source of events that can be polled without a system call
 * @poll: carry out what has come. Return: whether anything had. Called often, so that
 *	it has to be quick when there is nothing
 * @arm: have the loop woken, by a request of its ring, when something comes; nothing if
 *	that has been done already. Called before the loop sleeps, and @poll after it
 * @entry: of the loop
 * @is_started: of the loop
 *
 * Zeroed before first use; stays in place until loop_poller_stop().
 */
struct loop_poller {
	bool (*poll)(struct loop_poller *poller);
	void (*arm)(struct loop_poller *poller);
	LIST_ENTRY(loop_poller) entry;
	bool is_started;
};

void loop_poller_start(struct tandem_loop *loop, struct loop_poller *poller);
/* Nothing if it was not started. */
void loop_poller_stop(struct tandem_loop *loop, struct loop_poller *poller);

/*
 * Things to do soon
 */

/**
 * struct loop_task - a call to make from the loop
 * @run: called once for each loop_task_post()
 * @next: of the loop
 * @posted: of the loop
 *
 * Zeroed before first use.
 */
struct loop_task {
	void (*run)(struct loop_task *task);
	struct loop_task *next;
	bool posted;
};

/* Have the loop call @task; nothing if that is under way already. */
void loop_task_post(struct tandem_loop *loop, struct loop_task *task);

/* Take it back. */
void loop_task_cancel(struct tandem_loop *loop, struct loop_task *task);

/*
 * Operations: the library's side of struct tandem_operation
 */

/**
 * typedef loop_cancel_fn - end an operation early
 * @loop: the loop
 * @op: pending, and not yet handed to operation_post()
 *
 * Must not call operation_complete(), but may call operation_post().
 *
 * Return: 0, or -ENOMEM when it cannot even be asked for.
 */
typedef int (*loop_cancel_fn)(struct tandem_loop *loop, struct tandem_operation *op);

/**
 * operation_begin() - an operation starts
 * @op: the caller's
 * @cancel: what tandem_cancel() does
 * @data: for operation_data()
 *
 * Return: 0, -EINVAL when it is pending already, or is to wait for or signal a
 * fence.
 */
int operation_begin(struct tandem_operation *op, loop_cancel_fn cancel, void *data);

/* Would operation_begin() succeed? */
bool operation_may_begin(const struct tandem_operation *op);

/* The same for an operation that may have fences, which the caller has checked. */
int operation_begin_fenced(struct tandem_operation *op, loop_cancel_fn cancel, void *data);

/* What operation_begin() was given. */
void *operation_data(const struct tandem_operation *op);

/* It did not start after all: as before operation_begin(), nobody is told. */
void operation_abandon(struct tandem_operation *op);

/**
 * operation_complete() - an operation has ended; tell its owner now
 * @op: begun and not posted; may be gone on return
 * @result: of the operation
 *
 * Only from within the loop (fire, ready, expired, run), never from within a
 * start function.
 */
void operation_complete(struct tandem_operation *op, int result);

/**
 * operation_post() - an operation has ended; have the loop tell its owner
 * @loop: the loop
 * @op: begun and not posted; can no longer be cancelled
 * @result: of the operation
 */
void operation_post(struct tandem_loop *loop, struct tandem_operation *op, int result);

#endif /* TANDEM_RUNTIME_LOOP_H */
