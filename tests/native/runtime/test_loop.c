// SPDX-License-Identifier: MIT
/*
 * The event loop: timers, cancelling, waiting, descriptors, tasks.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include <tandem/loop.h>

#include "runtime/loop.h"

/* Longer than anything here takes; only reached when something is broken. */
#define PATIENCE_MS	20000
#define NEVER_MS	3600000

static int setup(void **state)
{
	struct tandem_error error;

	return tandem_loop_create((struct tandem_loop **)state, &error);
}

static int teardown(void **state)
{
	tandem_loop_destroy(*state);
	return 0;
}

static void count_done(struct tandem_operation *op)
{
	++*(int *)op->user;
}

static void test_timer_ends(void **state)
{
	struct tandem_loop *loop = *state;
	int done = 0;
	struct tandem_operation op = { .done = count_done, .user = &done };

	assert_int_equal(tandem_timer_start(loop, 1, &op), 0);
	assert_true(op.pending);
	assert_int_equal(done, 0);
	assert_int_equal(tandem_loop_wait(loop, &op, PATIENCE_MS), 0);
	assert_false(op.pending);
	assert_int_equal(done, 1);
}

struct order {
	int next;
	int seen[3];
};

struct ordered {
	struct tandem_operation op;
	struct order *order;
	int number;
};

static void note_order(struct tandem_operation *op)
{
	struct ordered *ordered = (struct ordered *)op;

	ordered->order->seen[ordered->order->next++] = ordered->number;
}

static void test_timers_end_in_order(void **state)
{
	static const uint64_t ms[] = { 60, 1, 30 };
	struct tandem_loop *loop = *state;
	struct order order = { 0 };
	struct ordered timers[3];
	int i;

	memset(timers, 0, sizeof(timers));
	for (i = 0; i < 3; i++) {
		timers[i].order = &order;
		timers[i].number = i;
		timers[i].op.done = note_order;
		assert_int_equal(tandem_timer_start(loop, ms[i], &timers[i].op), 0);
	}
	assert_int_equal(tandem_loop_wait(loop, &timers[0].op, PATIENCE_MS), 0);
	assert_int_equal(order.next, 3);
	assert_int_equal(order.seen[0], 1);
	assert_int_equal(order.seen[1], 2);
	assert_int_equal(order.seen[2], 0);
}

static void test_endless_timer_is_cancelled(void **state)
{
	struct tandem_loop *loop = *state;
	int done = 0;
	struct tandem_operation op = { .done = count_done, .user = &done };

	assert_int_equal(tandem_timer_start(loop, UINT64_MAX, &op), 0);
	assert_int_equal(tandem_loop_wait(loop, &op, 0), -ETIME);
	assert_int_equal(tandem_cancel(loop, &op), 0);
	/* Not from within the call. */
	assert_int_equal(done, 0);
	assert_true(op.pending);
	/* Once is enough, twice is allowed. */
	assert_int_equal(tandem_cancel(loop, &op), 0);
	assert_int_equal(tandem_loop_wait(loop, &op, PATIENCE_MS), -ECANCELED);
	assert_int_equal(done, 1);
	assert_int_equal(tandem_cancel(loop, &op), -ENOENT);
	assert_int_equal(done, 1);
}

static void test_start_of_pending_is_refused(void **state)
{
	struct tandem_loop *loop = *state;
	struct tandem_operation op = { 0 };

	assert_int_equal(tandem_timer_start(loop, NEVER_MS, &op), 0);
	assert_int_equal(tandem_timer_start(loop, 1, &op), -EINVAL);
	assert_int_equal(tandem_cancel(loop, &op), 0);
	assert_int_equal(tandem_loop_wait(loop, &op, PATIENCE_MS), -ECANCELED);
}

static void test_wait_runs_out_of_time(void **state)
{
	struct tandem_loop *loop = *state;
	struct tandem_operation op = { 0 };

	assert_int_equal(tandem_timer_start(loop, NEVER_MS, &op), 0);
	assert_int_equal(tandem_loop_wait(loop, &op, 20), -ETIME);
	assert_true(op.pending);
	assert_int_equal(tandem_loop_run(loop, 0), 0);
	assert_int_equal(tandem_loop_run(loop, 20), 0);
	tandem_cancel(loop, &op);
	assert_int_equal(tandem_loop_wait(loop, &op, PATIENCE_MS), -ECANCELED);
}

struct restart {
	struct tandem_operation op;
	struct tandem_loop *loop;
	int left;
};

static void start_again(struct tandem_operation *op)
{
	struct restart *restart = (struct restart *)op;

	if (restart->left--)
		assert_int_equal(tandem_timer_start(restart->loop, 0, op), 0);
}

static void test_callback_starts_again(void **state)
{
	struct restart restart = { .loop = *state, .left = 100 };

	restart.op.done = start_again;
	assert_int_equal(tandem_timer_start(*state, 0, &restart.op), 0);
	assert_int_equal(tandem_loop_wait(*state, &restart.op, PATIENCE_MS), 0);
	assert_int_equal(restart.left, -1);
}

static void free_operation(struct tandem_operation *op)
{
	++*(int *)op->user;
	free(op);
}

static void test_callback_frees(void **state)
{
	struct tandem_operation *op;
	int done = 0;
	int i;

	for (i = 0; i < 10; i++) {
		op = calloc(1, sizeof(*op));
		op->done = free_operation;
		op->user = &done;
		assert_int_equal(tandem_timer_start(*state, i, op), 0);
		if (i % 2)
			assert_int_equal(tandem_cancel(*state, op), 0);
	}
	while (done < 10)
		assert_true(tandem_loop_run(*state, PATIENCE_MS) > 0);
}

static void wait_inside(struct tandem_operation *op)
{
	assert_int_equal(tandem_loop_run(op->user, 0), -EDEADLK);
}

static void test_run_within_callback_is_refused(void **state)
{
	struct tandem_operation op = { .done = wait_inside, .user = *state };

	assert_int_equal(tandem_timer_start(*state, 0, &op), 0);
	assert_int_equal(tandem_loop_wait(*state, &op, PATIENCE_MS), 0);
}

/* More than either ring holds, without a run between. */
static void test_thousands(void **state)
{
	const int count = 20000;
	struct tandem_operation *ops = calloc(count, sizeof(*ops));
	int done = 0;
	int i;

	for (i = 0; i < count; i++) {
		ops[i].done = count_done;
		ops[i].user = &done;
		assert_int_equal(tandem_timer_start(*state, i % 40, &ops[i]), 0);
	}
	for (i = 0; i < count; i += 3)
		tandem_cancel(*state, &ops[i]);
	while (done < count)
		assert_true(tandem_loop_run(*state, PATIENCE_MS) > 0);
	for (i = 0; i < count; i++)
		assert_true(ops[i].result == 0 || (i % 3 == 0 && ops[i].result == -ECANCELED));
	free(ops);
}

/* Wait as an application's own loop does: a wake-up may come as EINTR. */
static void wait_for_fd(int fd)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int ret;

	assert_true(epoll >= 0);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
	do {
		ret = epoll_wait(epoll, &event, 1, PATIENCE_MS);
	} while (ret < 0 && errno == EINTR);
	close(epoll);
	assert_int_equal(ret, 1);
}

static void test_fd_shows_completions(void **state)
{
	struct tandem_loop *loop = *state;
	struct pollfd pollfd = { .fd = tandem_loop_fd(loop), .events = POLLIN };
	struct tandem_operation op = { 0 };

	assert_int_equal(tandem_loop_run(loop, 0), 0);
	assert_int_equal(poll(&pollfd, 1, 0), 0);

	assert_int_equal(tandem_timer_start(loop, 30, &op), 0);
	assert_int_equal(tandem_loop_run(loop, 0), 0);
	wait_for_fd(pollfd.fd);
	assert_true(tandem_loop_run(loop, 0) > 0);
	assert_false(op.pending);
	assert_int_equal(poll(&pollfd, 1, 0), 0);
}

static void post_again(struct tandem_operation *op)
{
	struct restart *restart = (struct restart *)op;

	if (restart->left--) {
		assert_int_equal(operation_begin(op, NULL, NULL), 0);
		operation_post(restart->loop, op, 0);
	}
}

/* What ends without the kernel's help must not be slept upon. */
static void test_fd_shows_posted(void **state)
{
	struct restart restart = { .loop = *state, .left = 5 };

	restart.op.done = post_again;
	assert_int_equal(operation_begin(&restart.op, NULL, NULL), 0);
	operation_post(*state, &restart.op, 0);
	while (restart.op.pending) {
		assert_true(tandem_loop_run(*state, 0) > 0);
		if (restart.op.pending)
			wait_for_fd(tandem_loop_fd(*state));
	}
	assert_int_equal(restart.left, -1);
}

/* An operation that ends at once and starts again leaves room for others. */
static void test_posted_shut_nobody_out(void **state)
{
	struct restart restart = { .loop = *state, .left = 1000000000 };
	struct tandem_operation timer = { 0 };

	restart.op.done = post_again;
	assert_int_equal(operation_begin(&restart.op, NULL, NULL), 0);
	operation_post(*state, &restart.op, 0);
	assert_int_equal(tandem_timer_start(*state, 5, &timer), 0);
	assert_int_equal(tandem_loop_wait(*state, &timer, PATIENCE_MS), 0);
	assert_true(restart.op.pending);
	restart.left = 0;
	assert_int_equal(tandem_loop_wait(*state, &restart.op, PATIENCE_MS), 0);
}

struct watch {
	struct loop_poll *poll;
	int fd;
	int calls;
	int events;
	int bytes;
};

static void watch_ready(void *user, int events)
{
	struct watch *watch = user;
	char buffer[64];
	ssize_t got;

	watch->calls++;
	watch->events |= events;
	while ((got = read(watch->fd, buffer, sizeof(buffer))) > 0)
		watch->bytes += got;
}

static void test_poll_tells_of_data_and_hangup(void **state)
{
	struct watch watch = { 0 };
	int fds[2];
	int i;

	assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	watch.fd = fds[0];
	assert_int_equal(loop_poll_start(*state, fds[0], POLLIN, watch_ready, &watch, &watch.poll),
			 0);
	for (i = 1; i <= 100; i++) {
		assert_int_equal(write(fds[1], "x", 1), 1);
		while (watch.bytes < i)
			assert_true(tandem_loop_run(*state, PATIENCE_MS) > 0);
	}
	assert_true(watch.calls >= 100);
	close(fds[1]);
	while (!(watch.events & POLLHUP))
		assert_true(tandem_loop_run(*state, PATIENCE_MS) > 0);
	loop_poll_stop(watch.poll);
	close(fds[0]);
}

/* The file is let go of with the watch, not with the loop. */
static void test_poll_stop_releases_file(void **state)
{
	struct watch watch = { 0 };
	int fds[2];
	char byte;

	assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	watch.fd = fds[1];
	assert_int_equal(loop_poll_start(*state, fds[1], 0, watch_ready, &watch, &watch.poll), 0);
	assert_int_equal(tandem_loop_run(*state, 0), 0);
	loop_poll_stop(watch.poll);
	close(fds[1]);
	/* The end of file: nobody has the pipe open for writing. */
	assert_int_equal(read(fds[0], &byte, 1), 0);
	tandem_loop_run(*state, 0);
	assert_int_equal(watch.calls, 0);
	close(fds[0]);
}

static void stop_in_callback(void *user, int events)
{
	struct watch *watch = user;

	(void)events;
	watch->calls++;
	loop_poll_stop(watch->poll);
}

static void test_poll_stops_in_callback(void **state)
{
	struct tandem_operation timer = { 0 };
	struct watch watch = { 0 };
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

	assert_int_equal(loop_poll_start(*state, fd, POLLIN, stop_in_callback, &watch,
					 &watch.poll), 0);
	assert_int_equal(tandem_timer_start(*state, 20, &timer), 0);
	assert_int_equal(tandem_loop_wait(*state, &timer, PATIENCE_MS), 0);
	eventfd_write(fd, 1);
	assert_int_equal(tandem_timer_start(*state, 20, &timer), 0);
	assert_int_equal(tandem_loop_wait(*state, &timer, PATIENCE_MS), 0);
	assert_int_equal(watch.calls, 1);
	close(fd);
}

static void count_call(void *user)
{
	++*(int *)user;
}

static void test_stopped_timer_is_silent(void **state)
{
	struct tandem_operation timer = { 0 };
	struct loop_timer *stopped, *kept;
	int stopped_calls = 0, kept_calls = 0;

	assert_int_equal(loop_timer_start(*state, 5, count_call, &stopped_calls, &stopped), 0);
	assert_int_equal(loop_timer_start(*state, 5, count_call, &kept_calls, &kept), 0);
	loop_timer_stop(stopped);
	assert_int_equal(tandem_timer_start(*state, 30, &timer), 0);
	assert_int_equal(tandem_loop_wait(*state, &timer, PATIENCE_MS), 0);
	assert_int_equal(stopped_calls, 0);
	assert_int_equal(kept_calls, 1);
}

struct counted_task {
	struct loop_task task;
	int runs;
};

static void count_task(struct loop_task *task)
{
	((struct counted_task *)task)->runs++;
}

static void test_tasks(void **state)
{
	struct counted_task tasks[3] = { 0 };
	int i;

	for (i = 0; i < 3; i++) {
		tasks[i].task.run = count_task;
		loop_task_post(*state, &tasks[i].task);
		loop_task_post(*state, &tasks[i].task);
	}
	loop_task_cancel(*state, &tasks[2].task);
	assert_int_equal(tandem_loop_run(*state, PATIENCE_MS), 2);
	assert_int_equal(tasks[0].runs, 1);
	assert_int_equal(tasks[1].runs, 1);
	assert_int_equal(tasks[2].runs, 0);
	loop_task_post(*state, &tasks[2].task);
	assert_int_equal(tandem_loop_run(*state, PATIENCE_MS), 1);
	assert_int_equal(tasks[2].runs, 1);
}

static void test_reserve(void **state)
{
	unsigned int i;

	assert_int_equal(loop_reserve(*state, 257), -ENOMEM);
	assert_int_equal(loop_reserve(*state, 256), 0);
	for (i = 0; i < 256; i++)
		io_uring_prep_nop(loop_sqe(*state));
	assert_int_equal(loop_reserve(*state, 256), 0);
	assert_int_equal(loop_submit(*state), 0);
}

static void ignore_signal(int number)
{
	(void)number;
}

static void test_signal_interrupts(void **state)
{
	const struct itimerval soon = { .it_value.tv_usec = 30000 };
	const struct sigaction action = { .sa_handler = ignore_signal };
	struct tandem_operation op = { 0 };

	assert_int_equal(tandem_timer_start(*state, 200, &op), 0);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	assert_int_equal(tandem_loop_run(*state, PATIENCE_MS), -EINTR);
	/* Waiting for an operation goes on. */
	setitimer(ITIMER_REAL, &soon, NULL);
	assert_int_equal(tandem_loop_wait(*state, &op, PATIENCE_MS), 0);
}

struct handed_over {
	struct tandem_loop *loop;
	struct tandem_operation op;
	int result;
};

static void *run_elsewhere(void *argument)
{
	struct handed_over *handed_over = argument;
	struct tandem_operation op = { 0 };

	handed_over->result = tandem_loop_wait(handed_over->loop, &handed_over->op, PATIENCE_MS);
	if (!handed_over->result)
		handed_over->result = tandem_timer_start(handed_over->loop, 1, &op);
	if (!handed_over->result)
		handed_over->result = tandem_loop_wait(handed_over->loop, &op, PATIENCE_MS);
	return NULL;
}

/* What a thread left in the loop survives the thread. */
static void *start_elsewhere(void *argument)
{
	struct handed_over *handed_over = argument;

	handed_over->result = tandem_timer_start(handed_over->loop, 50, &handed_over->op);
	if (!handed_over->result)
		handed_over->result = tandem_loop_run(handed_over->loop, 0);
	return NULL;
}

static void test_loop_changes_threads(void **state)
{
	struct handed_over handed_over = { .loop = *state };
	pthread_t thread;

	assert_int_equal(tandem_timer_start(*state, 20, &handed_over.op), 0);
	assert_int_equal(tandem_loop_run(*state, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, run_elsewhere, &handed_over), 0);
	pthread_join(thread, NULL);
	assert_int_equal(handed_over.result, 0);

	assert_int_equal(pthread_create(&thread, NULL, start_elsewhere, &handed_over), 0);
	pthread_join(thread, NULL);
	assert_int_equal(handed_over.result, 0);
	assert_int_equal(tandem_loop_wait(*state, &handed_over.op, PATIENCE_MS), 0);
}

static void test_destroy_nothing(void **state)
{
	(void)state;
	tandem_loop_destroy(NULL);
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_timer_ends),
		TEST(test_timers_end_in_order),
		TEST(test_endless_timer_is_cancelled),
		TEST(test_start_of_pending_is_refused),
		TEST(test_wait_runs_out_of_time),
		TEST(test_callback_starts_again),
		TEST(test_callback_frees),
		TEST(test_run_within_callback_is_refused),
		TEST(test_thousands),
		TEST(test_fd_shows_completions),
		TEST(test_fd_shows_posted),
		TEST(test_posted_shut_nobody_out),
		TEST(test_poll_tells_of_data_and_hangup),
		TEST(test_poll_stop_releases_file),
		TEST(test_poll_stops_in_callback),
		TEST(test_stopped_timer_is_silent),
		TEST(test_tasks),
		TEST(test_reserve),
		TEST(test_signal_interrupts),
		TEST(test_loop_changes_threads),
		cmocka_unit_test(test_destroy_nothing),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
