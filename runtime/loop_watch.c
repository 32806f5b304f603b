// SPDX-License-Identifier: MIT
/*
 * Watching file descriptors, and the clock.
 *
 * The kernel knows a request by the address of its loop_event until the
 * request's last completion, while owners come and go. So each watch is
 * allocated here, outlives its owner, and is freed by that last completion.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "loop.h"
#include "loop_private.h"

#define NSEC_PER_SEC	1000000000ull
#define NSEC_PER_MSEC	1000000ull
#define MSEC_PER_SEC	1000ull
/* About 30 years; later than that is never. */
#define TIMER_MS_MAX	(1000000000ull * MSEC_PER_SEC)

/**
 * struct loop_poll - a watched file descriptor
 * @event: of the request
 * @loop: the loop
 * @entry: in &tandem_loop.polls
 * @fd: the file
 * @events: what to watch for
 * @ready: the owner's; NULL once stopped
 * @user: the owner's
 * @armed: the kernel has the request
 */
struct loop_poll {
	struct loop_event event;
	struct tandem_loop *loop;
	LIST_ENTRY(loop_poll) entry;
	int fd;
	unsigned int events;
	void (*ready)(void *user, int events);
	void *user;
	bool armed;
};

static int loop_poll_arm(struct loop_poll *poll)
{
	struct io_uring_sqe *sqe = loop_sqe(poll->loop);

	if (!sqe)
		return -ENOMEM;
	io_uring_prep_poll_multishot(sqe, poll->fd, poll->events);
	io_uring_sqe_set_data(sqe, &poll->event);
	poll->armed = true;
	return 0;
}

static void loop_poll_free(struct loop_poll *poll)
{
	LIST_REMOVE(poll, entry);
	free(poll);
}

static void loop_poll_fire(struct loop_event *event, int result, uint64_t extra)
{
	struct loop_poll *poll = (struct loop_poll *)event;
	bool more = event->flags & IORING_CQE_F_MORE;

	(void)extra;
	if (!more)
		poll->armed = false;
	/*
	 * The kernel ends a multishot poll when it is short of something. A
	 * hang-up lasts: watching on would tell of it again and again.
	 */
	if (!more && poll->ready && result >= 0 && !(result & POLLHUP) && loop_poll_arm(poll) < 0)
		result = -ENOMEM;
	if (!poll->armed && !poll->ready) {
		loop_poll_free(poll);
		return;
	}
	if (poll->ready)
		poll->ready(poll->user, result);
}

int loop_poll_start(struct tandem_loop *loop, int fd, unsigned int events,
		    void (*ready)(void *user, int events), void *user, struct loop_poll **poll)
{
	struct loop_poll *new = calloc(1, sizeof(*new));

	if (!new)
		return -ENOMEM;
	new->event.fire = loop_poll_fire;
	new->loop = loop;
	new->fd = fd;
	new->events = events;
	new->ready = ready;
	new->user = user;
	if (loop_poll_arm(new) < 0) {
		free(new);
		return -ENOMEM;
	}
	LIST_INSERT_HEAD(&loop->polls, new, entry);
	*poll = new;
	return 0;
}

void loop_poll_stop(struct loop_poll *poll)
{
	if (!poll)
		return;
	poll->ready = NULL;
	if (!poll->armed) {
		loop_poll_free(poll);
		return;
	}
	/*
	 * If that fails, the request lives until the loop is destroyed, and
	 * finds nobody to call.
	 */
	if (!loop_event_cancel(poll->loop, &poll->event))
		loop_submit(poll->loop);
}

void loop_polls_free(struct tandem_loop *loop)
{
	while (!LIST_EMPTY(&loop->polls))
		loop_poll_free(LIST_FIRST(&loop->polls));
}

/**
 * struct loop_timer - a deadline
 * @event: of the request
 * @loop: the loop
 * @entry: in &tandem_loop.timers
 * @when: absolute, CLOCK_MONOTONIC
 * @expired: the owner's; NULL once stopped
 * @user: the owner's
 */
struct loop_timer {
	struct loop_event event;
	struct tandem_loop *loop;
	LIST_ENTRY(loop_timer) entry;
	struct __kernel_timespec when;
	void (*expired)(void *user);
	void *user;
};

static void loop_timer_free(struct loop_timer *timer)
{
	LIST_REMOVE(timer, entry);
	free(timer);
}

static void loop_timer_fire(struct loop_event *event, int result, uint64_t extra)
{
	struct loop_timer *timer = (struct loop_timer *)event;
	void (*expired)(void *user) = timer->expired;
	void *user = timer->user;

	(void)result;
	(void)extra;
	loop_timer_free(timer);
	if (expired)
		expired(user);
}

int loop_timer_start(struct tandem_loop *loop, uint64_t milliseconds,
		     void (*expired)(void *user), void *user, struct loop_timer **timer)
{
	struct io_uring_sqe *sqe;
	struct loop_timer *new;
	uint64_t when;

	if (milliseconds > TIMER_MS_MAX)
		milliseconds = TIMER_MS_MAX;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	sqe = loop_sqe(loop);
	if (!sqe) {
		free(new);
		return -ENOMEM;
	}
	when = loop_now_ns() + milliseconds * NSEC_PER_MSEC;
	new->event.fire = loop_timer_fire;
	new->loop = loop;
	new->when.tv_sec = when / NSEC_PER_SEC;
	new->when.tv_nsec = when % NSEC_PER_SEC;
	new->expired = expired;
	new->user = user;
	LIST_INSERT_HEAD(&loop->timers, new, entry);
	io_uring_prep_timeout(sqe, &new->when, 0, IORING_TIMEOUT_ABS);
	io_uring_sqe_set_data(sqe, &new->event);
	*timer = new;
	return 0;
}

void loop_timer_stop(struct loop_timer *timer)
{
	if (!timer)
		return;
	timer->expired = NULL;
	loop_event_cancel(timer->loop, &timer->event);
}

void loop_timers_free(struct tandem_loop *loop)
{
	while (!LIST_EMPTY(&loop->timers))
		loop_timer_free(LIST_FIRST(&loop->timers));
}

static void timer_operation_expired(void *user)
{
	operation_complete(user, 0);
}

static int timer_operation_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	loop_timer_stop(operation_data(op));
	operation_post(loop, op, -ECANCELED);
	return 0;
}

int tandem_timer_start(struct tandem_loop *loop, uint64_t milliseconds,
		       struct tandem_operation *op)
{
	struct loop_timer *timer;
	int ret;

	if (!operation_may_begin(op))
		return -EINVAL;
	ret = loop_timer_start(loop, milliseconds, timer_operation_expired, op, &timer);
	if (ret < 0)
		return ret;
	operation_begin(op, timer_operation_cancel, timer);
	return 0;
}
