// SPDX-License-Identifier: MIT
/*
 * The ring, and the loop around it.
 *
 * DEFER_TASKRUN and SINGLE_ISSUER are not used on purpose: both tie a ring to
 * the one task that made it, while a loop may be handed from thread to thread.
 * COOP_TASKRUN only spares a busy thread the interruption.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "error.h"
#include "loop.h"
#include "loop_private.h"

#define SQ_ENTRIES	256
#define CQ_ENTRIES	4096
/* Events carried out before tandem_loop_run() returns to look at the clock. */
#define EVENTS_MAX	CQ_ENTRIES

#define NSEC_PER_SEC	1000000000ull
#define NSEC_PER_MSEC	1000000ull

uint64_t loop_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

int tandem_loop_create(struct tandem_loop **loop, struct tandem_error *error)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SQE128 | IORING_SETUP_CQE32 | IORING_SETUP_CQSIZE |
			 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN |
			 IORING_SETUP_TASKRUN_FLAG,
		.cq_entries = CQ_ENTRIES,
	};
	struct tandem_loop *new;
	int ret;

	new = calloc(1, sizeof(*new));
	if (!new)
		return tandem_error_set(error, -ENOMEM, "event loop: out of memory");
	ret = io_uring_queue_init_params(SQ_ENTRIES, &new->ring, &params);
	if (!ret) {
		LIST_INIT(&new->polls);
		LIST_INIT(&new->timers);
		loop_busy_poll_init(new);
		*loop = new;
		return 0;
	}
	free(new);
	switch (ret) {
	case -ENOSYS:
	case -EINVAL:
		return tandem_error_set(error, -ENOSYS,
					"event loop: this kernel has no io_uring with 128-byte requests; Linux 5.19 or later is needed");
	case -EPERM:
		return tandem_error_set(error, -EPERM,
					"event loop: io_uring is forbidden here; see sysctl kernel.io_uring_disabled and the container's seccomp profile");
	case -EMFILE:
	case -ENFILE:
		return tandem_error_set(error, ret,
					"event loop: too many open files; raise the limit (ulimit -n)");
	default:
		return tandem_error_set(error, ret, "event loop: cannot make an io_uring: %s",
					strerror(-ret));
	}
}

int tandem_loop_fd(struct tandem_loop *loop)
{
	loop->watched = true;
	return loop->ring.ring_fd;
}

/*
 * -EBUSY (completions have piled up) and -EAGAIN (no memory for requests) leave
 * the requests in the ring, for the next time.
 */
int loop_submit(struct tandem_loop *loop)
{
	int ret;

	while (io_uring_sq_ready(&loop->ring)) {
		ret = io_uring_submit(&loop->ring);
		if (!ret)
			return -EAGAIN;
		if (ret < 0 && ret != -EINTR)
			return ret;
	}
	return 0;
}

int loop_reserve(struct tandem_loop *loop, unsigned int count)
{
	if (io_uring_sq_space_left(&loop->ring) >= count)
		return 0;
	loop_submit(loop);
	return io_uring_sq_space_left(&loop->ring) >= count ? 0 : -ENOMEM;
}

struct io_uring_sqe *loop_sqe(struct tandem_loop *loop)
{
	struct io_uring_sqe *sqe;

	if (loop_reserve(loop, 1) < 0)
		return NULL;
	sqe = io_uring_get_sqe(&loop->ring);
	/* A slot keeps what it held before; io_uring_prep_*() leave this. */
	sqe->user_data = 0;
	return sqe;
}

int loop_event_cancel(struct tandem_loop *loop, struct loop_event *event)
{
	struct io_uring_sqe *sqe = loop_sqe(loop);

	if (!sqe)
		return -ENOMEM;
	io_uring_prep_cancel(sqe, event, 0);
	return 0;
}

int loop_fd_cancel(struct tandem_loop *loop, int fd)
{
	struct io_uring_sync_cancel_reg request = {
		.fd = fd,
		.flags = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL,
		.timeout = { .tv_sec = -1, .tv_nsec = -1 },
	};
	int ret;

	/* What is not submitted yet would be missed. */
	ret = loop_submit(loop);
	if (ret < 0)
		return ret;
	do {
		ret = io_uring_register_sync_cancel(&loop->ring, &request);
	} while (ret == -EINTR);
	if (ret == -EINVAL)
		return -ENOSYS;
	return ret == -ENOENT || ret > 0 ? 0 : ret;
}

/*
 * Wait for a completion until @deadline, UINT64_MAX being never. Apart from
 * submission, because a signal that interrupts a system call which has
 * submitted something is not reported.
 */
static int loop_await(struct tandem_loop *loop, uint64_t deadline)
{
	struct __kernel_timespec timeout;
	struct io_uring_cqe *cqe;
	uint64_t now;
	int ret;

	if (deadline == UINT64_MAX)
		return io_uring_wait_cqe(&loop->ring, &cqe);

	now = loop_now_ns();
	if (now >= deadline)
		return 0;
	timeout.tv_sec = (deadline - now) / NSEC_PER_SEC;
	timeout.tv_nsec = (deadline - now) % NSEC_PER_SEC;
	ret = io_uring_wait_cqe_timeout(&loop->ring, &cqe, &timeout);
	return ret == -ETIME ? 0 : ret;
}

/* Carry out completions; returns how many there were that somebody waited for. */
static int loop_reap(struct tandem_loop *loop)
{
	struct loop_event *event;
	struct io_uring_cqe *cqe;
	uint64_t extra;
	int count = 0;
	int result;

	while (count < EVENTS_MAX && !io_uring_peek_cqe(&loop->ring, &cqe)) {
		event = io_uring_cqe_get_data(cqe);
		result = cqe->res;
		extra = cqe->big_cqe[0];
		if (event)
			event->flags = cqe->flags;
		io_uring_cqe_seen(&loop->ring, cqe);
		if (!event)
			continue;
		event->fire(event, result, extra);
		count++;
	}
	return count;
}

/*
 * Carry out what was posted up to now. What is posted meanwhile waits for the
 * next round, so that an operation which restarts itself cannot shut out the
 * ring.
 */
static int loop_run_posted(struct tandem_loop *loop)
{
	unsigned int tasks = loop->tasks_count;
	unsigned int posted = loop->posted_count;
	struct tandem_operation *op;
	struct loop_task *task;
	int count = 0;

	for (; tasks && loop->tasks_first; tasks--, count++) {
		task = loop->tasks_first;
		loop_task_cancel(loop, task);
		task->run(task);
	}
	for (; posted && loop->posted_first; posted--, count++) {
		op = loop->posted_first;
		operation_unpost(loop, op);
		operation_complete(op, operation_posted_result(op));
	}
	return count;
}

/*
 * Before the loop is left: have the kernel work on what callbacks started, and
 * the ring's descriptor show what is still posted, and what comes.
 */
static int loop_leave(struct tandem_loop *loop)
{
	struct io_uring_sqe *sqe;
	int ret;

	if (loop->watched)
		loop_pollers_arm(loop);
	if (loop->posted_first || loop->tasks_first) {
		sqe = loop_sqe(loop);
		if (sqe)
			io_uring_prep_nop(sqe);
	}
	ret = loop_submit(loop);
	return ret == -EBUSY || ret == -EAGAIN ? 0 : ret;
}

void tandem_loop_destroy(struct tandem_loop *loop)
{
	if (!loop)
		return;
	/* What was stopped may still have its last completion to come. */
	loop_submit(loop);
	loop_reap(loop);
	io_uring_queue_exit(&loop->ring);
	loop_polls_free(loop);
	loop_timers_free(loop);
	free(loop);
}

/* Look for something to do, and sleep if there is nothing. Return: events or -errno. */
static int loop_idle(struct tandem_loop *loop, uint64_t deadline)
{
	struct io_uring_cqe *cqe;
	int count = loop_busy_poll(loop, deadline);
	int ret;

	if (count || loop->posted_first || loop->tasks_first ||
	    !io_uring_peek_cqe(&loop->ring, &cqe))
		return count;
	/* Arming may have started something. */
	ret = loop_submit(loop);
	if (ret == -EBUSY)
		ret = 0;
	if (!ret)
		ret = loop_await(loop, deadline);
	loop_busy_poll_adapt(loop);
	return ret;
}

/* One round. Return: events carried out, or a negative errno if none. */
static int loop_turn(struct tandem_loop *loop, uint64_t deadline)
{
	int count;
	int ret;

	ret = loop_submit(loop);
	/* Completions have piled up; carrying them out makes room. */
	if (ret == -EBUSY)
		ret = 0;
	if (!ret && deadline && !loop->posted_first && !loop->tasks_first)
		ret = loop_idle(loop, deadline);
	count = ret > 0 ? ret : loop_pollers_poll(loop);
	count += loop_reap(loop);
	/* Afterwards, since completions post operations. */
	count += loop_run_posted(loop);
	return count ? count : ret;
}

int tandem_loop_run(struct tandem_loop *loop, int timeout_ms)
{
	uint64_t deadline = 0;
	int left;
	int ret;

	if (loop->running)
		return -EDEADLK;
	if (timeout_ms < 0)
		deadline = UINT64_MAX;
	else if (timeout_ms > 0)
		deadline = loop_now_ns() + timeout_ms * NSEC_PER_MSEC;

	loop->running = true;
	do {
		ret = loop_turn(loop, deadline);
	} while (!ret && deadline && loop_now_ns() < deadline);
	left = loop_leave(loop);
	loop->running = false;
	return ret ? ret : left;
}

int tandem_loop_wait(struct tandem_loop *loop, struct tandem_operation *op, int timeout_ms)
{
	uint64_t deadline = 0;
	uint64_t now;
	int left_ms = timeout_ms;
	int ret;

	if (timeout_ms > 0)
		deadline = loop_now_ns() + timeout_ms * NSEC_PER_MSEC;
	while (op->pending) {
		ret = tandem_loop_run(loop, left_ms);
		if (ret < 0 && ret != -EINTR)
			return ret;
		if (!op->pending)
			break;
		if (timeout_ms < 0)
			continue;
		now = loop_now_ns();
		if (now >= deadline)
			return -ETIME;
		left_ms = (deadline - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	}
	return op->result;
}
