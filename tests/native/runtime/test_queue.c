// SPDX-License-Identifier: MIT
/*
 * Queues, the same for every kind of device: order, cancelling, many commands at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices.h"

#define PAGE_BYTES	4096ull
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

/* Each operation sees what those before it on the queue have done. */
static void test_queue_keeps_order(void **state)
{
	struct fixture *fixture = *state;
	const uint32_t length = 100000;
	struct tandem_memory *first = alloc_memory(fixture->device, length);
	struct tandem_memory *second = alloc_memory(fixture->device, length);
	uint8_t *from = malloc(length);
	uint8_t *to = malloc(length);
	unsigned int round, i;

	for (round = 0; round < 20; round++) {
		struct tandem_operation ops[6] = { 0 };

		make_pattern(from, length, round);
		memset(to, 0, length);
		assert_int_equal(tandem_upload(fixture->copy, first, 0, from, length, &ops[0]), 0);
		assert_int_equal(tandem_copy(fixture->copy, second, 0, first, 0, length, &ops[1]),
				 0);
		assert_int_equal(tandem_fill(fixture->copy, first, 0, length, 0, &ops[2]), 0);
		assert_int_equal(tandem_copy(fixture->copy, first, 1000, second, 2000, 5000,
					     &ops[3]), 0);
		assert_int_equal(tandem_download(fixture->copy, to, first, 0, length, &ops[4]), 0);
		assert_int_equal(tandem_nop(fixture->copy, &ops[5]), 0);
		assert_int_equal(wait_for(fixture, &ops[5]), 0);
		for (i = 0; i < 5; i++) {
			assert_false(ops[i].pending);
			assert_int_equal(ops[i].result, 0);
		}
		assert_true(all_bytes_are(to, 1000, 0));
		assert_memory_equal(to + 1000, from + 2000, 5000);
		assert_true(all_bytes_are(to + 6000, length - 6000, 0));
	}
	free(to);
	free(from);
	tandem_memory_free(second);
	tandem_memory_free(first);
}

static void test_cancel(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t size = 4 << 20;
	struct tandem_memory *source = alloc_memory(fixture->device, size);
	struct tandem_memory *destination = alloc_memory(fixture->device, size);
	struct tandem_operation ops[600] = { 0 };
	unsigned int cancelled = 0;
	size_t i;

	for (i = 0; i < COUNT(ops); i++)
		assert_int_equal(tandem_copy(fixture->copy, destination, 0, source, 0, size,
					     &ops[i]), 0);
	tandem_loop_run(fixture->loop, 0);
	/* From the back, so that those in front do not outrun it. */
	for (i = COUNT(ops); i-- > 0;)
		if (ops[i].pending)
			assert_int_equal(tandem_cancel(fixture->loop, &ops[i]), 0);
	for (i = 0; i < COUNT(ops); i++) {
		wait_for(fixture, &ops[i]);
		assert_true(ops[i].result == 0 || ops[i].result == -ECANCELED);
		cancelled += ops[i].result == -ECANCELED;
		assert_int_equal(tandem_cancel(fixture->loop, &ops[i]), -ENOENT);
	}
	/* It cannot have copied 2.4 GB between two calls. */
	assert_true(cancelled > 0);

	assert_int_equal(tandem_nop(fixture->copy, &ops[0]), 0);
	assert_int_equal(wait_for(fixture, &ops[0]), 0);
	tandem_memory_free(destination);
	tandem_memory_free(source);
}

/* Few enough that the device has them all: cancelling is up to it. */
static void test_cancel_in_flight(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t size = 8 << 20;
	struct tandem_memory *memory = alloc_memory(fixture->device, size);
	struct tandem_operation ops[100] = { 0 };
	unsigned int cancelled = 0;
	size_t i;

	for (i = 0; i < COUNT(ops); i++)
		assert_int_equal(tandem_fill(fixture->copy, memory, 0, size, i, &ops[i]), 0);
	tandem_loop_run(fixture->loop, 0);
	for (i = COUNT(ops); i-- > 0;)
		if (ops[i].pending)
			assert_int_equal(tandem_cancel(fixture->loop, &ops[i]), 0);
	for (i = 0; i < COUNT(ops); i++) {
		wait_for(fixture, &ops[i]);
		assert_true(ops[i].result == 0 || ops[i].result == -ECANCELED);
		cancelled += ops[i].result == -ECANCELED;
	}
	assert_true(cancelled > 0);
	tandem_memory_free(memory);
}

/* Of the many that a ring does not hold, each needs the one before it. */
static void test_long_queue_keeps_order(void **state)
{
	struct fixture *fixture = *state;
	const uint32_t count = 2000;
	struct tandem_operation *ops = calloc(count, sizeof(*ops));
	struct tandem_memory *memory = alloc_memory(fixture->device, (count + 1) * 8);
	uint64_t *words;
	void *pointer;
	uint32_t i;

	assert_int_equal(tandem_memory_map(memory, &pointer), 0);
	words = pointer;
	words[0] = 0x0123456789abcdef;
	for (i = 0; i < count; i++)
		assert_int_equal(tandem_copy(fixture->copy, memory, (i + 1) * 8, memory, i * 8, 8,
					     &ops[i]), 0);
	assert_int_equal(wait_for(fixture, &ops[count - 1]), 0);
	for (i = 0; i < count; i++)
		assert_int_equal(ops[i].pending, 0);
	for (i = 0; i <= count; i++)
		assert_int_equal(words[i], 0x0123456789abcdef);
	tandem_memory_free(memory);
	free(ops);
}

static void count_done(struct tandem_operation *op)
{
	++*(unsigned int *)op->user;
}

static void test_thousands_in_flight(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_queue *queues[] = { fixture->copy, fixture->compute };
	const uint32_t count = 6000;
	struct tandem_operation *ops = calloc(count, sizeof(*ops));
	struct tandem_memory *memory = alloc_memory(fixture->device, count * 64);
	unsigned int done = 0;
	uint32_t *words;
	void *pointer;
	uint32_t i, j;

	for (i = 0; i < count; i++) {
		ops[i].done = count_done;
		ops[i].user = &done;
		assert_int_equal(tandem_fill(queues[i % 2], memory, i * 64, 64, i, &ops[i]), 0);
	}
	while (done < count)
		assert_true(tandem_loop_run(fixture->loop, PATIENCE_MS) > 0);
	assert_int_equal(tandem_memory_map(memory, &pointer), 0);
	words = pointer;
	for (i = 0; i < count; i++) {
		assert_int_equal(ops[i].result, 0);
		for (j = 0; j < 16; j++)
			assert_int_equal(words[i * 16 + j], i);
	}
	tandem_memory_free(memory);
	free(ops);
}

struct chain {
	struct tandem_operation op;
	struct fixture *fixture;
	struct tandem_memory *memory;
	unsigned int left;
};

static void chain_next(struct tandem_operation *op)
{
	struct chain *chain = (struct chain *)op;

	assert_int_equal(op->result, 0);
	if (chain->left--)
		assert_int_equal(tandem_fill(chain->fixture->copy, chain->memory, 0, PAGE_BYTES,
					     chain->left, op), 0);
}

static void test_callback_starts_next(void **state)
{
	struct fixture *fixture = *state;
	struct chain chain = {
		.fixture = fixture,
		.memory = alloc_memory(fixture->device, PAGE_BYTES),
		.left = 500,
	};

	chain.op.done = chain_next;
	assert_int_equal(tandem_nop(fixture->copy, &chain.op), 0);
	assert_int_equal(wait_for(fixture, &chain.op), 0);
	assert_int_equal(chain.left, ~0u);
	tandem_memory_free(chain.memory);
}

struct last {
	struct tandem_operation op;
	struct tandem_queue *queue;
	struct tandem_memory *memory;
};

static void close_all(struct tandem_operation *op)
{
	struct last *last = (struct last *)op;

	tandem_memory_free(last->memory);
	tandem_queue_close(last->queue);
}

static void test_callback_closes_queue(void **state)
{
	struct fixture *fixture = *state;
	struct last last = { .op.done = close_all };

	assert_int_equal(tandem_queue_open(fixture->device, TANDEM_QUEUE_TYPE_COPY, &last.queue,
					   NULL), 0);
	last.memory = alloc_memory(fixture->device, PAGE_BYTES);
	assert_int_equal(tandem_fill(last.queue, last.memory, 0, PAGE_BYTES, 1, &last.op), 0);
	assert_int_equal(wait_for(fixture, &last.op), 0);
}

static void test_queues_come_and_go(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation op = { 0 };
	struct tandem_queue *queues[3];
	unsigned int round, i;

	for (round = 0; round < 20; round++) {
		for (i = 0; i < COUNT(queues); i++) {
			assert_int_equal(tandem_queue_open(fixture->device, i % 2, &queues[i],
							   NULL), 0);
			assert_int_equal(tandem_nop(queues[i], &op), 0);
			assert_int_equal(wait_for(fixture, &op), 0);
		}
		for (i = 0; i < COUNT(queues); i++)
			tandem_queue_close(queues[i]);
	}
	tandem_queue_close(NULL);
}

/* What is still under way when a queue is closed ends all the same. */
static void test_queue_close_ends_commands(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *memory = alloc_memory(fixture->device, 4 << 20);
	struct tandem_operation ops[400] = { 0 };
	struct tandem_queue *queue;
	size_t i;

	assert_int_equal(tandem_queue_open(fixture->device, TANDEM_QUEUE_TYPE_COPY, &queue, NULL),
			 0);
	for (i = 0; i < COUNT(ops); i++)
		assert_int_equal(tandem_fill(queue, memory, 0, 4 << 20, i, &ops[i]), 0);
	tandem_loop_run(fixture->loop, 0);
	tandem_queue_close(queue);
	for (i = 0; i < COUNT(ops); i++) {
		wait_for(fixture, &ops[i]);
		assert_true(ops[i].result == 0 || ops[i].result == -ECANCELED);
	}
	tandem_memory_free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queue_keeps_order),
		cmocka_unit_test(test_long_queue_keeps_order),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_cancel_in_flight),
		cmocka_unit_test(test_thousands_in_flight),
		cmocka_unit_test(test_callback_starts_next),
		cmocka_unit_test(test_callback_closes_queue),
		cmocka_unit_test(test_queues_come_and_go),
		cmocka_unit_test(test_queue_close_ends_commands),
	};

	return run_on_devices("queue", tests, COUNT(tests));
}
