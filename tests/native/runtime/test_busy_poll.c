// SPDX-License-Identifier: MIT
/*
 * What the loop polls before it sleeps: pollers are asked, armed before a sleep, and asked
 * again after that. A poller here is a counter; what wakes the loop once it is armed is an
 * eventfd.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include <tandem/loop.h>

#include "runtime/loop.h"

/* Longer than anything here takes; only reached when something is broken. */
#define PATIENCE_MS 20000

/**
 * struct source - a source of events
 * @poller: of the loop
 * @loop: that loop
 * @eventfd: wakes the loop
 * @poll: watch of @eventfd
 * @armed: how often the loop has asked to be woken
 * @polled: how often it has looked
 * @found: how often it has found something
 * @ready: events that wait
 * @ready_when_armed: events that come just before it is armed
 * @ready_at: events come when it has been polled so often; 0 for never
 * @stops: it stops itself when something is found
 */
struct source {
	struct loop_poller poller;
	struct tandem_loop *loop;
	int eventfd;
	struct loop_poll *poll;
	int armed;
	int polled;
	int found;
	int ready;
	int ready_when_armed;
	int ready_at;
	bool stops;
};

static bool source_poll(struct loop_poller *poller)
{
	struct source *source = (struct source *)poller;

	if (++source->polled == source->ready_at)
		source->ready++;
	if (!source->ready)
		return false;
	source->ready = 0;
	source->found++;
	if (source->stops)
		loop_poller_stop(source->loop, poller);
	return true;
}

static void source_arm(struct loop_poller *poller)
{
	struct source *source = (struct source *)poller;

	source->armed++;
	source->ready += source->ready_when_armed;
	source->ready_when_armed = 0;
}

static void source_woken(void *user, int events)
{
	struct source *source = user;
	uint64_t value;

	assert_true(events > 0);
	assert_int_equal(read(source->eventfd, &value, sizeof(value)), sizeof(value));
	source->ready++;
	source_poll(&source->poller);
}

static void source_open(struct source *source, struct tandem_loop *loop)
{
	memset(source, 0, sizeof(*source));
	source->poller.poll = source_poll;
	source->poller.arm = source_arm;
	source->loop = loop;
	source->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(source->eventfd >= 0);
	loop_poller_start(loop, &source->poller);
	assert_int_equal(
		loop_poll_start(loop, source->eventfd, POLLIN, source_woken, source, &source->poll),
		0);
}

static void source_close(struct source *source)
{
	loop_poll_stop(source->poll);
	loop_poller_stop(source->loop, &source->poller);
	close(source->eventfd);
}

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

static void test_what_is_there_is_found(void **state)
{
	struct source source;

	source_open(&source, *state);
	source.ready = 1;
	assert_int_equal(tandem_loop_run(*state, PATIENCE_MS), 1);
	assert_int_equal(source.found, 1);
	assert_int_equal(source.armed, 0);
	source_close(&source);
}

/* An application that polls by itself leaves the loop no time to. */
static void test_without_waiting(void **state)
{
	struct source source;

	source_open(&source, *state);
	assert_int_equal(tandem_loop_run(*state, 0), 0);
	source.ready = 1;
	assert_int_equal(tandem_loop_run(*state, 0), 1);
	assert_int_equal(source.found, 1);
	assert_int_equal(source.armed, 0);
	source_close(&source);
}

/* What posts itself again and again does not shut pollers out. */
static void again(struct loop_task *task)
{
	loop_task_post(*(struct tandem_loop **)(task + 1), task);
}

static void test_beside_tasks(void **state)
{
	struct {
		struct loop_task task;
		struct tandem_loop *loop;
	} busy = { .task.run = again, .loop = *state };
	struct source source;

	source_open(&source, *state);
	loop_task_post(*state, &busy.task);
	source.ready_at = 3;
	while (!source.found)
		assert_true(tandem_loop_run(*state, PATIENCE_MS) > 0);
	loop_task_cancel(*state, &busy.task);
	source_close(&source);
}

/* It would sleep for ever otherwise. */
static void test_what_comes_before_it_is_armed(void **state)
{
	struct source source;

	assert_int_equal(tandem_loop_set_busy_poll(*state, 0), 0);
	source_open(&source, *state);
	source.ready_when_armed = 1;
	assert_int_equal(tandem_loop_run(*state, -1), 1);
	assert_int_equal(source.armed, 1);
	assert_int_equal(source.found, 1);
	source_close(&source);
}

static void *wake(void *argument)
{
	const uint64_t one = 1;
	struct source *source = argument;

	usleep(20000);
	assert_int_equal(write(source->eventfd, &one, sizeof(one)), sizeof(one));
	return NULL;
}

static void test_woken(void **state)
{
	struct source source;
	pthread_t thread;

	assert_int_equal(tandem_loop_set_busy_poll(*state, 0), 0);
	source_open(&source, *state);
	assert_int_equal(pthread_create(&thread, NULL, wake, &source), 0);
	assert_int_equal(tandem_loop_run(*state, -1), 1);
	pthread_join(thread, NULL);
	assert_int_equal(source.found, 1);
	assert_true(source.armed >= 1);
	source_close(&source);
}

/* Sleeps that are short have it poll, and polling spares the arming. */
static void test_polling_grows(void **state)
{
	struct source source;
	struct tandem_operation op = { 0 };
	int armed, rounds = 0;

	assert_int_equal(tandem_loop_set_busy_poll(*state, 1000000), 0);
	source_open(&source, *state);
	do {
		armed = source.armed;
		assert_int_equal(tandem_timer_start(*state, 1, &op), 0);
		assert_int_equal(tandem_loop_wait(*state, &op, PATIENCE_MS), 0);
	} while (source.armed != armed && ++rounds < 1000);
	assert_true(rounds > 0);
	assert_true(rounds < 1000);
	source_close(&source);
}

/* It had polled before, but a sleep was too long. */
static void test_polling_ends(void **state)
{
	struct source source;
	struct tandem_operation op = { 0 };
	int polled;

	assert_int_equal(tandem_loop_set_busy_poll(*state, 1000), 0);
	source_open(&source, *state);
	assert_int_equal(tandem_timer_start(*state, 50, &op), 0);
	assert_int_equal(tandem_loop_wait(*state, &op, PATIENCE_MS), 0);
	polled = source.polled;
	assert_int_equal(tandem_timer_start(*state, 50, &op), 0);
	assert_int_equal(tandem_loop_wait(*state, &op, PATIENCE_MS), 0);
	/* Before the sleep, when it was armed, and after. */
	assert_in_range(source.polled - polled, 1, 8);
	source_close(&source);
}

/* Whoever waits for the descriptor is not in the loop when something comes. */
static void test_watched_from_outside(void **state)
{
	struct source source;

	source_open(&source, *state);
	assert_int_equal(tandem_loop_run(*state, 0), 0);
	assert_int_equal(source.armed, 0);
	assert_true(tandem_loop_fd(*state) >= 0);
	assert_int_equal(tandem_loop_run(*state, 0), 0);
	assert_true(source.armed > 0);
	source_close(&source);
}

static void test_stopped_meanwhile(void **state)
{
	struct source first, second;

	source_open(&first, *state);
	source_open(&second, *state);
	first.ready = second.ready = 1;
	first.stops = second.stops = true;
	assert_int_equal(tandem_loop_run(*state, PATIENCE_MS), 2);
	first.ready = second.ready = 1;
	assert_int_equal(tandem_loop_run(*state, 0), 0);
	assert_int_equal(first.found, 1);
	assert_int_equal(second.found, 1);
	source_close(&second);
	source_close(&first);
}

static void test_limit(void **state)
{
	assert_int_equal(tandem_loop_set_busy_poll(*state, 1000000), 0);
	assert_int_equal(tandem_loop_set_busy_poll(*state, 1000001), -EINVAL);
	assert_int_equal(tandem_loop_set_busy_poll(*state, UINT32_MAX), -EINVAL);
}

#define loop_test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		loop_test(test_what_is_there_is_found),
		loop_test(test_without_waiting),
		loop_test(test_beside_tasks),
		loop_test(test_what_comes_before_it_is_armed),
		loop_test(test_woken),
		loop_test(test_polling_grows),
		loop_test(test_polling_ends),
		loop_test(test_watched_from_outside),
		loop_test(test_stopped_meanwhile),
		loop_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
