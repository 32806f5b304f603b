// SPDX-License-Identifier: MIT
/*
 * tandem_copy_list(), the same for every kind of device.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices.h"
#include "runtime/device.h"

#define PAGE_BYTES	4096ull
#define BLOCK		64ull
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

/* The block that block @i of @count goes to. Each is hit once: 7919 is a prime. */
static uint32_t scattered(uint32_t i, uint32_t count)
{
	return (uint64_t)i * 7919 % count;
}

/* Scatter @count blocks in one operation, and see each one arrive. */
static void scatter(struct fixture *fixture, uint32_t count)
{
	struct tandem_memory *source = alloc_memory(fixture->device, count * BLOCK);
	struct tandem_memory *destination = alloc_memory(fixture->device, count * BLOCK);
	struct tandem_copy_segment *segments = calloc(count, sizeof(*segments));
	uint8_t *expected = malloc(count * BLOCK);
	uint8_t *got = malloc(count * BLOCK);
	struct tandem_operation op = { 0 };
	uint32_t i;

	make_pattern(expected, count * BLOCK, count);
	upload(fixture, source, 0, expected, count * BLOCK);
	for (i = 0; i < count; i++) {
		segments[i] = (struct tandem_copy_segment){
			.destination = destination,
			.source = source,
			.destination_offset = scattered(i, count) * BLOCK,
			.source_offset = i * BLOCK,
			.length = BLOCK,
		};
	}
	assert_int_equal(tandem_copy_list(fixture->copy, segments, count, &op), 0);
	/* The list is the caller's again. */
	memset(segments, 0xff, count * sizeof(*segments));
	free(segments);
	assert_int_equal(wait_for(fixture, &op), 0);

	download(fixture, got, destination, 0, count * BLOCK);
	for (i = 0; i < count; i++)
		assert_memory_equal(got + scattered(i, count) * BLOCK, expected + i * BLOCK,
				    BLOCK);
	free(got);
	free(expected);
	tandem_memory_free(destination);
	tandem_memory_free(source);
}

static void test_scatter(void **state)
{
	struct fixture *fixture = *state;
	static const uint32_t counts[] = { 1, 2, 63, 64, 65, 1000, 16384 };
	size_t i;

	for (i = 0; i < COUNT(counts); i++)
		scatter(fixture, counts[i]);
}

/* Longer than one command takes. */
static void test_in_pieces(void **state)
{
	struct fixture *fixture = *state;

	assert_true(fixture->device->segments_max >= 1024);
	fixture->device->segments_max = 100;
	scatter(fixture, 100);
	scatter(fixture, 101);
	scatter(fixture, 1099);
}

/* Pieces of different lengths, from and to several objects and another device's. */
static void test_several_objects(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *here[2], *there, *view;
	struct tandem_copy_segment segments[3];
	struct tandem_operation op = { 0 };
	uint8_t expected[3 * PAGE_BYTES];
	uint8_t got[3 * PAGE_BYTES];
	void *pointer;

	here[0] = alloc_memory(fixture->device, PAGE_BYTES);
	here[1] = alloc_memory(fixture->device, 2 * PAGE_BYTES);
	there = alloc_memory(fixture->peer, 3 * PAGE_BYTES);
	assert_int_equal(tandem_memory_share(there, fixture->device, &view, NULL), 0);
	make_pattern(expected, sizeof(expected), 5);
	upload(fixture, here[0], 0, expected, PAGE_BYTES);
	upload(fixture, here[1], 0, expected + PAGE_BYTES, 2 * PAGE_BYTES);

	segments[0] = (struct tandem_copy_segment){ view, here[0], 0, 0, PAGE_BYTES };
	segments[1] = (struct tandem_copy_segment){ view, here[1], PAGE_BYTES, 0, 3 };
	segments[2] = (struct tandem_copy_segment){ view, here[1], PAGE_BYTES + 3, 3,
						    2 * PAGE_BYTES - 3 };
	assert_int_equal(tandem_copy_list(fixture->copy, segments, COUNT(segments), &op), 0);
	assert_int_equal(wait_for(fixture, &op), 0);
	assert_int_equal(tandem_memory_map(there, &pointer), 0);
	memcpy(got, pointer, sizeof(got));
	assert_memory_equal(got, expected, sizeof(got));

	tandem_memory_free(view);
	tandem_memory_free(there);
	tandem_memory_free(here[1]);
	tandem_memory_free(here[0]);
}

/* One bad piece, and none is copied. */
static void test_out_of_bounds(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *source = alloc_memory(fixture->device, PAGE_BYTES);
	struct tandem_memory *destination = alloc_memory(fixture->device, PAGE_BYTES);
	static const struct {
		uint64_t destination_offset, source_offset, length;
	} bad[] = {
		{ PAGE_BYTES, 0, 1 },
		{ 0, PAGE_BYTES, 1 },
		{ 1, 0, PAGE_BYTES },
		{ 0, 1, PAGE_BYTES },
		{ UINT64_MAX, 0, 1 },
		{ 0, UINT64_MAX, 2 },
		{ 0, 0, UINT64_MAX },
	};
	uint8_t bytes[PAGE_BYTES];
	size_t i;

	memset(bytes, 0x5a, sizeof(bytes));
	upload(fixture, source, 0, bytes, sizeof(bytes));
	for (i = 0; i < COUNT(bad); i++) {
		struct tandem_copy_segment segments[] = {
			{ destination, source, 0, 0, BLOCK },
			{ destination, source, bad[i].destination_offset, bad[i].source_offset,
			  bad[i].length },
		};
		struct tandem_operation op = { 0 };

		assert_int_equal(tandem_copy_list(fixture->copy, segments, 2, &op), 0);
		assert_int_equal(wait_for(fixture, &op), -EACCES);
	}
	download(fixture, bytes, destination, 0, sizeof(bytes));
	assert_true(all_bytes_are(bytes, sizeof(bytes), 0));
	tandem_memory_free(destination);
	tandem_memory_free(source);
}

static void test_wrong_arguments(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *memory = alloc_memory(fixture->device, PAGE_BYTES);
	struct tandem_memory *foreign = alloc_memory(fixture->peer, PAGE_BYTES);
	struct tandem_copy_segment segments[] = {
		{ memory, memory, 0, BLOCK, BLOCK },
		{ memory, memory, 2 * BLOCK, 3 * BLOCK, BLOCK },
	};
	struct tandem_operation op = { 0 };

	assert_int_equal(tandem_copy_list(fixture->copy, segments, 0, &op), -EINVAL);
	segments[1].length = 0;
	assert_int_equal(tandem_copy_list(fixture->copy, segments, 2, &op), -EINVAL);
	segments[1].length = BLOCK;
	segments[1].source = foreign;
	assert_int_equal(tandem_copy_list(fixture->copy, segments, 2, &op), -EINVAL);
	segments[1].source = memory;
	segments[1].destination = foreign;
	assert_int_equal(tandem_copy_list(fixture->copy, segments, 2, &op), -EINVAL);
	assert_false(op.pending);
	tandem_memory_free(foreign);
	tandem_memory_free(memory);
}

/* Thousands of long lists, some of them cancelled, end one and all. */
static void test_cancel(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *source = alloc_memory(fixture->device, 1 << 20);
	struct tandem_memory *destination = alloc_memory(fixture->device, 1 << 20);
	struct tandem_copy_segment segments[256];
	struct tandem_operation ops[64] = { 0 };
	size_t i;

	for (i = 0; i < COUNT(segments); i++)
		segments[i] = (struct tandem_copy_segment){ destination, source, i * PAGE_BYTES,
							    i * PAGE_BYTES, PAGE_BYTES };
	for (i = 0; i < COUNT(ops); i++)
		assert_int_equal(tandem_copy_list(fixture->copy, segments, COUNT(segments),
						  &ops[i]), 0);
	tandem_loop_run(fixture->loop, 0);
	for (i = 1; i < COUNT(ops); i += 2)
		if (ops[i].pending)
			assert_int_equal(tandem_cancel(fixture->loop, &ops[i]), 0);
	for (i = 0; i < COUNT(ops); i++) {
		wait_for(fixture, &ops[i]);
		if (i % 2)
			assert_true(ops[i].result == 0 || ops[i].result == -ECANCELED);
		else
			assert_int_equal(ops[i].result, 0);
	}
	tandem_memory_free(destination);
	tandem_memory_free(source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scatter),
		cmocka_unit_test(test_in_pieces),
		cmocka_unit_test(test_several_objects),
		cmocka_unit_test(test_out_of_bounds),
		cmocka_unit_test(test_wrong_arguments),
		cmocka_unit_test(test_cancel),
	};

	return run_on_devices("copy list", tests, COUNT(tests));
}
