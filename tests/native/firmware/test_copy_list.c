// SPDX-License-Identifier: MIT
/* COPY_LIST: every byte of every segment, or none at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "driver.h"

/* Regions of context 0, of SIZE bytes. */
enum {
	FROM = 1,
	TO,
	HOST,
	READ_ONLY,
	WRITE_ONLY,
	NOT_VALID,
	NOWHERE,
	ABSENT,
};

#define SIZE	(1u << 20)
#define MAX	TANDEM_HW_SEGMENTS_MAX
#define R	TANDEM_HW_REGION_READ
#define W	TANDEM_HW_REGION_WRITE
#define V	TANDEM_HW_REGION_VALID
#define H	TANDEM_HW_REGION_HOST

struct fixture {
	struct driver driver;
	unsigned char *from, *to, *host;
};

static int setup(void **state)
{
	static struct fixture f;
	struct driver *d = &f.driver;

	driver_open(d, &driver_config);
	driver_enable(d);
	driver_queue_create(d, 1, TANDEM_HW_QUEUE_COPY, 4);
	driver_queue_create(d, 2, TANDEM_HW_QUEUE_COMPUTE, 4);
	driver_region(d, 0, FROM, driver_memory(d, SIZE, &f.from), SIZE, V | R | W);
	driver_region(d, 0, TO, driver_memory(d, SIZE, &f.to), SIZE, V | R | W);
	driver_region(d, 0, HOST, driver_host(d, SIZE, true, &f.host), SIZE, V | R | W | H);
	driver_region(d, 0, READ_ONLY, driver_memory(d, SIZE, NULL), SIZE, V | R);
	driver_region(d, 0, WRITE_ONLY, driver_memory(d, SIZE, NULL), SIZE, V | W);
	driver_region(d, 0, NOT_VALID, driver_memory(d, SIZE, NULL), SIZE, R | W);
	driver_region(d, 0, NOWHERE, 1ull << 60, SIZE, V | R | W);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	driver_close(&f->driver);
	return 0;
}

static struct tandem_hw_descriptor list(uint64_t address, uint64_t count)
{
	return (struct tandem_hw_descriptor){
		.opcode = TANDEM_HW_OP_COPY_LIST, .command_id = 5,
		.length = count, .argument = address,
	};
}

static struct tandem_hw_segment segment(uint32_t dst, uint64_t dst_offset, uint32_t src,
					uint64_t src_offset, uint64_t length)
{
	return (struct tandem_hw_segment){
		.dst_region = dst, .src_region = src, .dst_offset = dst_offset,
		.src_offset = src_offset, .length = length,
	};
}

static void scramble(unsigned char *bytes, uint32_t seed)
{
	for (size_t i = 0; i < SIZE; i++) {
		seed = seed * 1664525u + 1013904223u;
		bytes[i] = seed >> 24;
	}
}

/* All of one region to places of another that a permutation gives. */
static void check_permutation(struct fixture *f, uint32_t count)
{
	uint32_t length = SIZE / count;
	struct tandem_hw_segment *segments;
	struct tandem_hw_descriptor d;
	uint64_t address;

	address = driver_host(&f->driver, count * sizeof(*segments), false, &segments);
	for (uint32_t i = 0; i < count; i++)
		segments[i] = segment(i % 2 ? TO : HOST, (uint64_t)(i ^ (count - 1)) * length,
				      FROM, (uint64_t)i * length, length - i % 3);
	scramble(f->from, count);
	memset(f->to, 0xee, SIZE);
	memset(f->host, 0xee, SIZE);
	d = list(address, count);
	assert_int_equal(driver_run(&f->driver, 1 + count % 2, &d).status, TANDEM_HW_OK);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t place = (i ^ (count - 1)) * length;
		unsigned char *there = i % 2 ? f->to : f->host;
		unsigned char *elsewhere = i % 2 ? f->host : f->to;

		assert_memory_equal(there + place, f->from + i * length, length - i % 3);
		for (uint32_t j = length - i % 3; j < length; j++)
			assert_int_equal(there[place + j], 0xee);
		assert_int_equal(elsewhere[place], 0xee);
	}
}

static void copies_every_segment(void **state)
{
	struct fixture *f = *state;

	check_permutation(f, 1);
	check_permutation(f, 2);
	check_permutation(f, 64);
	check_permutation(f, 128);
	check_permutation(f, 4096);
	check_permutation(f, MAX);
}

static void models_all_bytes(void **state)
{
	struct fixture *f = *state;
	struct tandem_hw_segment *segments;
	struct tandem_hw_descriptor d;
	uint64_t address;

	address = driver_host(&f->driver, 100 * sizeof(*segments), false, &segments);
	for (uint32_t i = 0; i < 100; i++)
		segments[i] = segment(TO, i * 8192, FROM, i * 8192, 8192);
	d = list(address, 100);
	/* 1638400 bytes at 2.9 TB/s. */
	assert_in_range(driver_run(&f->driver, 1, &d).modelled_ns, 564, 566);
}

/* The bad segment is the last of many: no byte of those before is copied. */
static void check_refused(struct fixture *f, const struct tandem_hw_segment *bad,
			  uint32_t status, uint32_t detail)
{
	static const uint32_t counts[] = { 1, 64, 65, 1000 };

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		uint32_t count = counts[i];
		struct tandem_hw_segment *segments;
		struct tandem_hw_completion got;
		struct tandem_hw_descriptor d;
		uint64_t address;

		address = driver_host(&f->driver, count * sizeof(*segments), false, &segments);
		for (uint32_t j = 0; j < count; j++)
			segments[j] = segment(TO, j * 16, FROM, 0, 16);
		segments[count - 1] = *bad;
		memset(f->from, 0x11, SIZE);
		memset(f->to, 0x22, SIZE);
		d = list(address, count);
		got = driver_run(&f->driver, 1, &d);
		assert_int_equal(got.status, status);
		assert_int_equal(got.detail, detail);
		assert_int_equal(got.modelled_ns, 0);
		for (size_t j = 0; j < SIZE; j++)
			if (f->to[j] != 0x22)
				fail_msg("byte %zu was copied", j);
	}
}

static void checks_every_field(void **state)
{
	static const struct {
		struct tandem_hw_segment segment;
		uint32_t status;
		uint32_t detail;
	} cases[] = {
		{ { TO, FROM, 0, 0, 0 }, TANDEM_HW_INVALID_FIELD, 0 },
		{ { ABSENT, FROM, 0, 0, 16 }, TANDEM_HW_REGION_FAULT, ABSENT },
		{ { TO, ABSENT, 0, 0, 16 }, TANDEM_HW_REGION_FAULT, ABSENT },
		{ { UINT32_MAX, FROM, 0, 0, 16 }, TANDEM_HW_REGION_FAULT, UINT32_MAX },
		{ { TO, UINT32_MAX, 0, 0, 16 }, TANDEM_HW_REGION_FAULT, UINT32_MAX },
		{ { NOT_VALID, FROM, 0, 0, 16 }, TANDEM_HW_REGION_FAULT, NOT_VALID },
		{ { TO, NOT_VALID, 0, 0, 16 }, TANDEM_HW_REGION_FAULT, NOT_VALID },
		{ { READ_ONLY, FROM, 0, 0, 16 }, TANDEM_HW_REGION_FAULT, READ_ONLY },
		{ { TO, WRITE_ONLY, 0, 0, 16 }, TANDEM_HW_REGION_FAULT, WRITE_ONLY },
		{ { NOWHERE, FROM, 0, 0, 16 }, TANDEM_HW_BUS_FAULT, NOWHERE },
		{ { TO, NOWHERE, 0, 0, 16 }, TANDEM_HW_BUS_FAULT, NOWHERE },
		{ { TO, FROM, SIZE, 0, 1 }, TANDEM_HW_REGION_FAULT, TO },
		{ { TO, FROM, 0, SIZE, 1 }, TANDEM_HW_REGION_FAULT, FROM },
		{ { TO, FROM, UINT64_MAX, 0, 1 }, TANDEM_HW_REGION_FAULT, TO },
		{ { TO, FROM, 0, UINT64_MAX, 1 }, TANDEM_HW_REGION_FAULT, FROM },
		{ { TO, FROM, 0, 0, SIZE + 1 }, TANDEM_HW_REGION_FAULT, FROM },
		{ { TO, FROM, 0, 0, UINT64_MAX }, TANDEM_HW_REGION_FAULT, FROM },
		{ { TO, TO, 8, 0, 16 }, TANDEM_HW_INVALID_FIELD, 0 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_refused(f, &cases[i].segment, cases[i].status, cases[i].detail);
}

static void checks_the_descriptor(void **state)
{
	struct fixture *f = *state;
	struct tandem_hw_segment *segments;
	uint64_t address = driver_host(&f->driver, 2 * sizeof(*segments), false, &segments);
	struct tandem_hw_descriptor d;

	segments[0] = segment(TO, 0, FROM, 0, 16);
	segments[1] = segment(TO, 16, FROM, 16, 16);
#define check(member, value, expected)						\
	do {									\
		d = list(address, 2);						\
		d.member = (value);						\
		assert_int_equal(driver_run(&f->driver, 1, &d).status, (expected)); \
	} while (0)
	check(length, 2, TANDEM_HW_OK);
	check(length, 0, TANDEM_HW_INVALID_FIELD);
	check(length, MAX + 1, TANDEM_HW_INVALID_FIELD);
	check(length, UINT64_MAX, TANDEM_HW_INVALID_FIELD);
	check(length, 3, TANDEM_HW_BUS_FAULT);
	check(length, MAX, TANDEM_HW_BUS_FAULT);
	check(argument, address + 4, TANDEM_HW_INVALID_FIELD);
	check(argument, UINT64_MAX - 7, TANDEM_HW_BUS_FAULT);
	check(argument, 1ull << 60, TANDEM_HW_BUS_FAULT);
	check(dst_region, 1, TANDEM_HW_INVALID_FIELD);
	check(src_region, 1, TANDEM_HW_INVALID_FIELD);
	check(dst_offset, 1, TANDEM_HW_INVALID_FIELD);
	check(src_offset, 1, TANDEM_HW_INVALID_FIELD);
	check(flags, 1, TANDEM_HW_INVALID_FIELD);
	check(reserved[0], 1, TANDEM_HW_INVALID_FIELD);
	check(context, DRIVER_CONTEXTS, TANDEM_HW_INVALID_CONTEXT);
#undef check
}

/* 64 GiB in all: it does not end by itself in the time. */
static void is_aborted_between_segments(void **state)
{
	struct fixture *f = *state;
	struct tandem_hw_descriptor d, abort = {
		.opcode = TANDEM_HW_OP_ABORT, .argument = 1,
	};
	struct tandem_hw_segment *segments;
	uint64_t address;

	address = driver_host(&f->driver, MAX * sizeof(*segments), false, &segments);
	for (uint32_t i = 0; i < MAX; i++)
		segments[i] = segment(TO, 0, FROM, 0, SIZE);
	d = list(address, MAX);
	memset(f->from, 0x11, SIZE);
	memset(f->to, 0x22, SIZE);
	driver_submit(&f->driver, 1, &d);
	/* It has begun. */
	while (*(volatile unsigned char *)f->to != 0x11)
		;
	abort.length = driver_last(&f->driver, 1);
	assert_int_equal(driver_run(&f->driver, 0, &abort).status, TANDEM_HW_OK);
	assert_int_equal(driver_wait(&f->driver, 1).status, TANDEM_HW_ABORTED);
}

#define test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(copies_every_segment),
		test(models_all_bytes),
		test(checks_every_field),
		test(checks_the_descriptor),
		test(is_aborted_between_segments),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
