// SPDX-License-Identifier: MIT
/*
 * Fences, the same for every kind of device.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/fence.h>

#include "devices.h"

#define PAGE_BYTES	4096ull
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static struct tandem_fence *create(struct tandem_device *device)
{
	struct tandem_error error = { 0 };
	struct tandem_fence *fence = NULL;

	if (tandem_fence_create(device, &fence, &error) < 0)
		fail_msg("%s", error.message);
	return fence;
}

static struct tandem_fence *share(struct tandem_fence *fence, struct tandem_device *device)
{
	struct tandem_error error = { 0 };
	struct tandem_fence *shared = NULL;

	if (tandem_fence_share(fence, device, &shared, &error) < 0)
		fail_msg("%s", error.message);
	return shared;
}

static uint64_t value(struct tandem_fence *fence)
{
	uint64_t point;

	assert_int_equal(tandem_fence_value(fence, &point), 0);
	return point;
}

static void test_signal_from_here(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_fence *fence = create(fixture->device);

	assert_int_equal(value(fence), 0);
	assert_int_equal(tandem_fence_signal(fence, 0), -EINVAL);
	assert_int_equal(tandem_fence_signal(fence, 5), 0);
	assert_int_equal(value(fence), 5);
	assert_int_equal(tandem_fence_signal(fence, 5), -EINVAL);
	assert_int_equal(tandem_fence_signal(fence, 4), -EINVAL);
	assert_int_equal(tandem_fence_signal(fence, UINT64_MAX), 0);
	assert_true(value(fence) == UINT64_MAX);
	tandem_fence_destroy(fence);
	tandem_fence_destroy(NULL);
}

/* Who waits is told when the point comes, not before. */
static void test_wait_here(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_fence *fence = create(fixture->device);
	struct tandem_operation ops[3] = { 0 };

	assert_int_equal(tandem_fence_wait_start(fence, 1, &ops[0]), 0);
	assert_int_equal(tandem_fence_wait_start(fence, 2, &ops[1]), 0);
	assert_int_equal(tandem_fence_wait_start(fence, 0, &ops[2]), -EINVAL);
	assert_int_equal(tandem_fence_wait_start(fence, 1, &ops[0]), -EINVAL);
	tandem_loop_run(fixture->loop, 20);
	assert_true(ops[0].pending && ops[1].pending);

	assert_int_equal(tandem_fence_signal(fence, 1), 0);
	assert_int_equal(wait_for(fixture, &ops[0]), 0);
	assert_true(ops[1].pending);
	assert_int_equal(tandem_fence_signal(fence, 7), 0);
	assert_int_equal(wait_for(fixture, &ops[1]), 0);
	/* What has come long ago. */
	assert_int_equal(tandem_fence_wait_start(fence, 3, &ops[2]), 0);
	assert_int_equal(wait_for(fixture, &ops[2]), 0);

	assert_int_equal(tandem_fence_wait_start(fence, 8, &ops[0]), 0);
	tandem_loop_run(fixture->loop, 0);
	assert_int_equal(tandem_cancel(fixture->loop, &ops[0]), 0);
	assert_int_equal(wait_for(fixture, &ops[0]), -ECANCELED);
	tandem_fence_destroy(fence);
}

/* A queue stands still until this process says so. */
static void test_queue_waits(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_fence *fence = create(fixture->device);
	struct tandem_fence *gate = create(fixture->device);
	struct tandem_memory *memory = alloc_memory(fixture->device, PAGE_BYTES);
	struct tandem_operation held = { .wait = { fence, 1 } }, behind = { 0 };
	struct tandem_operation opens = { .wait = { gate, 1 }, .signal = { fence, 1 } };
	uint8_t bytes[PAGE_BYTES];
	void *pointer;

	assert_int_equal(tandem_memory_map(memory, &pointer), 0);
	/* Something is to signal the point, on another queue, which waits too. */
	assert_int_equal(tandem_fence_signal(gate, 1), 0);
	assert_int_equal(tandem_fill(fixture->compute, memory, 0, PAGE_BYTES, 0x11111111, &opens),
			 0);
	assert_int_equal(tandem_fill(fixture->copy, memory, 0, PAGE_BYTES, 0x22222222, &held), 0);
	assert_int_equal(tandem_fill(fixture->copy, memory, 0, PAGE_BYTES / 2, 0x33333333,
				     &behind), 0);
	assert_int_equal(wait_for(fixture, &behind), 0);
	assert_int_equal(held.result, 0);
	assert_int_equal(wait_for(fixture, &opens), 0);
	assert_int_equal(value(fence), 1);
	memcpy(bytes, pointer, sizeof(bytes));
	assert_true(all_bytes_are(bytes, PAGE_BYTES / 2, 0x33));
	assert_true(all_bytes_are(bytes + PAGE_BYTES / 2, PAGE_BYTES / 2, 0x22));
	tandem_memory_free(memory);
	tandem_fence_destroy(gate);
	tandem_fence_destroy(fence);
}

/*
 * A baton of bytes goes from device to device and back, many times, all started
 * beforehand: each copy reads what the one before it wrote.
 */
static void test_devices_in_turns(void **state)
{
	struct fixture *fixture = *state;
	const uint32_t turns = 200;
	struct tandem_fence *fence = create(fixture->device);
	struct tandem_fence *peers = share(fence, fixture->peer);
	struct tandem_memory *memory = alloc_memory(fixture->device, (turns + 1) * PAGE_BYTES);
	struct tandem_operation *ops = calloc(turns, sizeof(*ops));
	struct tandem_memory *view;
	uint8_t expected[PAGE_BYTES], got[PAGE_BYTES];
	uint32_t i;

	assert_int_equal(tandem_memory_share(memory, fixture->peer, &view, NULL), 0);
	make_pattern(expected, sizeof(expected), 9);
	upload(fixture, memory, 0, expected, sizeof(expected));
	for (i = 0; i < turns; i++) {
		bool peer = i % 2;
		struct tandem_memory *side = peer ? view : memory;
		struct tandem_fence *its = peer ? peers : fence;

		if (i)
			ops[i].wait = (struct tandem_fence_point){ its, i };
		ops[i].signal = (struct tandem_fence_point){ its, i + 1 };
		assert_int_equal(tandem_copy(peer ? fixture->peer_copy : fixture->copy, side,
					     (i + 1) * PAGE_BYTES, side, i * PAGE_BYTES,
					     PAGE_BYTES, &ops[i]), 0);
	}
	for (i = 0; i < turns; i++)
		assert_int_equal(wait_for(fixture, &ops[i]), 0);
	assert_int_equal(value(peers), turns);
	download(fixture, got, memory, turns * PAGE_BYTES, sizeof(got));
	assert_memory_equal(got, expected, sizeof(got));

	tandem_memory_free(view);
	tandem_memory_free(memory);
	free(ops);
	/* In any order. */
	tandem_fence_destroy(fence);
	assert_int_equal(value(peers), turns);
	tandem_fence_destroy(peers);
}

/* Nobody acts on what a failed operation should have written. */
static void test_failure_goes_on(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_fence *gate = create(fixture->device);
	struct tandem_fence *fence = create(fixture->device);
	struct tandem_memory *memory = alloc_memory(fixture->device, PAGE_BYTES);
	struct tandem_operation long_one = { .signal = { gate, 1 } };
	struct tandem_operation first = { .wait = { gate, 1 }, .signal = { fence, 1 } };
	struct tandem_operation second = { .wait = { fence, 1 }, .signal = { fence, 2 } };
	struct tandem_operation third = { .wait = { fence, 2 } };
	struct tandem_operation told = { 0 };
	uint8_t bytes[PAGE_BYTES];

	assert_int_equal(tandem_fill(fixture->copy, memory, 0, PAGE_BYTES, 0, &long_one), 0);
	assert_int_equal(tandem_nop(fixture->compute, &first), 0);
	assert_int_equal(tandem_fill(fixture->copy, memory, 0, PAGE_BYTES, 1, &second), 0);
	assert_int_equal(tandem_fill(fixture->compute, memory, 0, PAGE_BYTES, 2, &third), 0);
	assert_int_equal(tandem_fence_wait_start(fence, 2, &told), 0);
	/* With nothing submitted yet, the cancellation is the first that comes. */
	assert_int_equal(tandem_cancel(fixture->loop, &first), 0);
	wait_for(fixture, &first);
	if (first.result == -ECANCELED) {
		assert_int_equal(wait_for(fixture, &second), -ECANCELED);
		assert_int_equal(wait_for(fixture, &third), -ECANCELED);
	} else {
		assert_int_equal(first.result, 0);
		assert_int_equal(wait_for(fixture, &second), 0);
		assert_int_equal(wait_for(fixture, &third), 0);
	}
	assert_int_equal(wait_for(fixture, &told), 0);
	assert_int_equal(value(fence), 2);
	if (first.result) {
		download(fixture, bytes, memory, 0, sizeof(bytes));
		assert_true(all_bytes_are(bytes, sizeof(bytes), 0));
	}
	assert_int_equal(wait_for(fixture, &long_one), 0);
	tandem_memory_free(memory);
	tandem_fence_destroy(fence);
	tandem_fence_destroy(gate);
}

/* What the device refuses signals its point too, with its error. */
static void test_refused(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_fence *fence = create(fixture->device);
	struct tandem_memory *memory = alloc_memory(fixture->device, PAGE_BYTES);
	struct tandem_operation bad = { .signal = { fence, 1 } };
	struct tandem_operation after = { .wait = { fence, 1 } };
	struct tandem_operation told = { 0 };

	assert_int_equal(tandem_fill(fixture->copy, memory, PAGE_BYTES, 4, 1, &bad), 0);
	assert_int_equal(tandem_nop(fixture->compute, &after), 0);
	assert_int_equal(tandem_fence_wait_start(fence, 1, &told), 0);
	assert_int_equal(wait_for(fixture, &bad), -EACCES);
	wait_for(fixture, &after);
	/* The point was refused with the operation, or came with an error. */
	assert_true(after.result == -EINVAL || after.result == -ECANCELED);
	assert_int_equal(wait_for(fixture, &told), 0);
	tandem_memory_free(memory);
	tandem_fence_destroy(fence);
}

static void test_wrong_arguments(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_fence *fence = create(fixture->device);
	struct tandem_fence *foreign = create(fixture->peer);
	struct tandem_operation op = { 0 };

	op.wait = (struct tandem_fence_point){ fence, 0 };
	assert_int_equal(tandem_nop(fixture->copy, &op), -EINVAL);
	op.wait = (struct tandem_fence_point){ NULL, 1 };
	assert_int_equal(tandem_nop(fixture->copy, &op), -EINVAL);
	op.wait = (struct tandem_fence_point){ foreign, 1 };
	assert_int_equal(tandem_nop(fixture->copy, &op), -EINVAL);
	op.wait = (struct tandem_fence_point){ 0 };
	op.signal = (struct tandem_fence_point){ foreign, 1 };
	assert_int_equal(tandem_nop(fixture->copy, &op), -EINVAL);
	op.signal = (struct tandem_fence_point){ fence, 1 };
	assert_int_equal(tandem_timer_start(fixture->loop, 1, &op), -EINVAL);
	assert_false(op.pending);
	/* None of that has used the point up. */
	assert_int_equal(tandem_nop(fixture->copy, &op), 0);
	assert_int_equal(wait_for(fixture, &op), 0);
	assert_int_equal(tandem_nop(fixture->copy, &op), -EINVAL);

	/* Nobody was told to signal that, or would only be by the one who waits. */
	op.signal = (struct tandem_fence_point){ 0 };
	op.wait = (struct tandem_fence_point){ fence, 2 };
	assert_int_equal(tandem_nop(fixture->copy, &op), 0);
	assert_int_equal(wait_for(fixture, &op), -EINVAL);
	op.signal = (struct tandem_fence_point){ fence, 2 };
	assert_int_equal(tandem_nop(fixture->copy, &op), 0);
	assert_int_equal(wait_for(fixture, &op), -EINVAL);
	op.wait = (struct tandem_fence_point){ 0 };
	op.signal = (struct tandem_fence_point){ fence, 3 };
	assert_int_equal(tandem_nop(fixture->copy, &op), 0);
	assert_int_equal(wait_for(fixture, &op), 0);
	assert_int_equal(value(fence), 3);
	tandem_fence_destroy(foreign);
	tandem_fence_destroy(fence);
}

/* Closing a queue ends what waits on it, and signals what that was to signal. */
static void test_queue_close(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_fence *fence = create(fixture->device);
	struct tandem_operation last = { .signal = { fence, 1 } };
	struct tandem_operation ops[20] = { 0 };
	struct tandem_operation told = { 0 };
	struct tandem_queue *queue;
	size_t i;

	assert_int_equal(tandem_queue_open(fixture->device, TANDEM_QUEUE_TYPE_COPY, &queue, NULL),
			 0);
	assert_int_equal(tandem_nop(fixture->copy, &last), 0);
	for (i = 0; i < COUNT(ops); i++) {
		ops[i].wait = (struct tandem_fence_point){ fence, i + 1 };
		ops[i].signal = (struct tandem_fence_point){ fence, i + 2 };
		assert_int_equal(tandem_nop(queue, &ops[i]), 0);
	}
	assert_int_equal(tandem_fence_wait_start(fence, COUNT(ops) + 1, &told), 0);
	tandem_loop_run(fixture->loop, 0);
	tandem_queue_close(queue);
	for (i = 0; i < COUNT(ops); i++) {
		wait_for(fixture, &ops[i]);
		assert_true(ops[i].result == 0 || ops[i].result == -ECANCELED);
	}
	assert_int_equal(wait_for(fixture, &told), 0);
	wait_for(fixture, &last);
	tandem_fence_destroy(fence);
}

/**
 * struct other_thread - a device with a loop of its own, on a thread of its own
 * @name: of the device
 * @fence: of the fixture's device
 * @points: how far to go
 * @result: 0, or what went wrong
 */
struct other_thread {
	const char *name;
	struct tandem_fence *fence;
	uint64_t points;
	int result;
};

/* Answers each odd point with the even one that follows. */
static void *answer(void *argument)
{
	struct other_thread *other = argument;
	struct tandem_queue *queue = NULL;
	struct tandem_device *device = NULL;
	struct tandem_fence *fence = NULL;
	struct tandem_loop *loop = NULL;
	struct tandem_operation op = { 0 };
	uint64_t point;

	other->result = tandem_loop_create(&loop, NULL);
	if (!other->result)
		other->result = tandem_device_open(loop, other->name, &device, NULL);
	if (!other->result)
		other->result = tandem_queue_open(device, TANDEM_QUEUE_TYPE_COPY, &queue, NULL);
	if (!other->result)
		other->result = tandem_fence_share(other->fence, device, &fence, NULL);
	for (point = 1; !other->result && point < other->points; point += 2) {
		op.signal = (struct tandem_fence_point){ 0 };
		other->result = tandem_fence_wait_start(fence, point, &op);
		if (!other->result)
			other->result = tandem_loop_wait(loop, &op, PATIENCE_MS);
		op.signal = (struct tandem_fence_point){ fence, point + 1 };
		if (!other->result)
			other->result = tandem_nop(queue, &op);
		if (!other->result)
			other->result = tandem_loop_wait(loop, &op, PATIENCE_MS);
	}
	tandem_fence_destroy(fence);
	tandem_queue_close(queue);
	tandem_device_close(device);
	tandem_loop_destroy(loop);
	return NULL;
}

static void test_two_threads(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_fence *fence = create(fixture->device);
	struct other_thread other = { fixture->peer_name, fence, 100, 0 };
	struct tandem_operation op = { 0 };
	pthread_t thread;
	uint64_t point;

	assert_int_equal(pthread_create(&thread, NULL, answer, &other), 0);
	for (point = 1; point < other.points; point += 2) {
		op.signal = (struct tandem_fence_point){ fence, point };
		assert_int_equal(tandem_nop(fixture->copy, &op), 0);
		assert_int_equal(wait_for(fixture, &op), 0);
		op.signal = (struct tandem_fence_point){ 0 };
		assert_int_equal(tandem_fence_wait_start(fence, point + 1, &op), 0);
		assert_int_equal(wait_for(fixture, &op), 0);
	}
	pthread_join(thread, NULL);
	assert_int_equal(other.result, 0);
	assert_int_equal(value(fence), other.points);
	tandem_fence_destroy(fence);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signal_from_here),
		cmocka_unit_test(test_wait_here),
		cmocka_unit_test(test_queue_waits),
		cmocka_unit_test(test_devices_in_turns),
		cmocka_unit_test(test_failure_goes_on),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_wrong_arguments),
		cmocka_unit_test(test_queue_close),
		cmocka_unit_test(test_two_threads),
	};

	return run_on_devices("fence", tests, COUNT(tests));
}
