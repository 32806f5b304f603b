// SPDX-License-Identifier: MIT
/* NOP, COPY and FILL: their fields, regions, rings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "driver.h"

/* Regions of context 0, all SIZE bytes but for the last. */
enum {
	RW = 1,
	RW2,
	READ_ONLY,
	WRITE_ONLY,
	NOT_VALID,
	HOST_RW,
	HOST_READ_ONLY,
	HOST_LYING,	/* the table says writable, the bus does not */
	NOWHERE,
	TOO_LONG,	/* longer than the memory behind it */
	WRAPS,		/* its end is past 2^64 */
	ABSENT,
};

#define SIZE	8192
#define R	TANDEM_HW_REGION_READ
#define W	TANDEM_HW_REGION_WRITE
#define V	TANDEM_HW_REGION_VALID
#define H	TANDEM_HW_REGION_HOST

struct fixture {
	struct driver driver;
	unsigned char *rw, *rw2, *read_only, *write_only, *host_rw;
};

static int setup_with(const struct tandem_fw_config *config, void **state)
{
	static struct fixture f;
	struct driver *d = &f.driver;
	uint64_t lying, short_one;

	driver_open(d, config);
	driver_enable(d);
	driver_queue_create(d, 1, TANDEM_HW_QUEUE_COPY, 4);
	driver_queue_create(d, 2, TANDEM_HW_QUEUE_COMPUTE, 4);
	driver_region(d, 0, RW, driver_memory(d, SIZE, &f.rw), SIZE, V | R | W);
	driver_region(d, 0, RW2, driver_memory(d, SIZE, &f.rw2), SIZE, V | R | W);
	driver_region(d, 0, READ_ONLY, driver_memory(d, SIZE, &f.read_only), SIZE, V | R);
	driver_region(d, 0, WRITE_ONLY, driver_memory(d, SIZE, &f.write_only), SIZE, V | W);
	driver_region(d, 0, NOT_VALID, driver_memory(d, SIZE, NULL), SIZE, R | W);
	driver_region(d, 0, HOST_RW, driver_host(d, SIZE, true, &f.host_rw), SIZE,
		      V | R | W | H);
	lying = driver_host(d, SIZE, false, NULL);
	driver_region(d, 0, HOST_READ_ONLY, lying, SIZE, V | R | H);
	driver_region(d, 0, HOST_LYING, lying, SIZE, V | R | W | H);
	driver_region(d, 0, NOWHERE, 1ull << 60, SIZE, V | R | W);
	short_one = driver_memory(d, SIZE / 2, NULL);
	driver_region(d, 0, TOO_LONG, short_one, SIZE, V | R | W);
	driver_region(d, 0, WRAPS, short_one, UINT64_MAX, V | R | W);
	*state = &f;
	return 0;
}

static int setup(void **state)
{
	return setup_with(&driver_config, state);
}

/* With engines that look for commands before they sleep, for long. */
static int setup_looking(void **state)
{
	struct tandem_fw_config config = driver_config;

	config.look_us_max = TANDEM_FW_LOOK_US_MAX;
	return setup_with(&config, state);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	driver_close(&f->driver);
	return 0;
}

static struct tandem_hw_descriptor copy(uint32_t dst, uint64_t dst_offset, uint32_t src,
					uint64_t src_offset, uint64_t length)
{
	return (struct tandem_hw_descriptor){
		.opcode = TANDEM_HW_OP_COPY, .command_id = 0x1234,
		.dst_region = dst, .dst_offset = dst_offset,
		.src_region = src, .src_offset = src_offset, .length = length,
	};
}

static struct tandem_hw_descriptor fill(uint32_t dst, uint64_t offset, uint64_t length,
					uint64_t pattern)
{
	return (struct tandem_hw_descriptor){
		.opcode = TANDEM_HW_OP_FILL, .command_id = 77,
		.dst_region = dst, .dst_offset = offset, .length = length,
		.argument = pattern,
	};
}

static void check_status(struct fixture *f, struct tandem_hw_descriptor descriptor,
			 uint32_t status, uint32_t detail)
{
	/* Queues of both kinds say the same. */
	for (uint32_t queue = 1; queue <= 2; queue++) {
		struct tandem_hw_completion got = driver_run(&f->driver, queue, &descriptor);

		assert_int_equal(got.status, status);
		assert_int_equal(got.detail, detail);
	}
}

static void copies_what_it_is_told(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < SIZE; i++)
		f->rw[i] = i * 7 + i / 256;
	check_status(f, copy(RW2, 13, RW, 101, 1000), TANDEM_HW_OK, 0);
	assert_memory_equal(f->rw2 + 13, f->rw + 101, 1000);
	assert_int_equal(f->rw2[12], 0xa5);
	assert_int_equal(f->rw2[1013], 0xa5);

	check_status(f, copy(HOST_RW, 0, RW, 0, SIZE), TANDEM_HW_OK, 0);
	assert_memory_equal(f->host_rw, f->rw, SIZE);
	memset(f->rw, 0, SIZE);
	check_status(f, copy(RW, SIZE - 1, HOST_RW, SIZE - 1, 1), TANDEM_HW_OK, 0);
	assert_int_equal(f->rw[SIZE - 1], f->host_rw[SIZE - 1]);
	check_status(f, copy(WRITE_ONLY, 0, READ_ONLY, 0, SIZE), TANDEM_HW_OK, 0);
	check_status(f, copy(RW, SIZE, RW2, SIZE, 0), TANDEM_HW_OK, 0);
}

static void copy_of_overlapping_ranges(void **state)
{
	struct fixture *f = *state;

	check_status(f, copy(RW, 0, RW, 0, SIZE), TANDEM_HW_OK, 0);
	check_status(f, copy(RW, 0, RW, 4096, 4096), TANDEM_HW_OK, 0);
	check_status(f, copy(RW, 0, RW, 4095, 4096), TANDEM_HW_INVALID_FIELD, 0);
	check_status(f, copy(RW, 1, RW, 0, 4096), TANDEM_HW_INVALID_FIELD, 0);
}

static void fills_with_a_pattern(void **state)
{
	static const unsigned char pattern[] = { 0x78, 0x56, 0x34, 0x12 };
	struct fixture *f = *state;

	check_status(f, fill(RW, 4, SIZE - 8, 0x12345678), TANDEM_HW_OK, 0);
	for (int i = 4; i < SIZE - 4; i++)
		assert_int_equal(f->rw[i], pattern[i % 4]);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(f->rw[i], 0xa5);
		assert_int_equal(f->rw[SIZE - 4 + i], 0xa5);
	}
	check_status(f, fill(HOST_RW, 0, SIZE, 0), TANDEM_HW_OK, 0);
	for (int i = 0; i < SIZE; i++)
		assert_int_equal(f->host_rw[i], 0);
}

/* A descriptor in which one bit that has to be zero is not. */
static void fields_that_have_to_be_zero(void **state)
{
	static const struct {
		uint8_t opcode;
		size_t offset;
	} fields[] = {
#define FIELD(op, member) { op, offsetof(struct tandem_hw_descriptor, member) }
#define ALWAYS(op) FIELD(op, flags), FIELD(op, reserved[0]), FIELD(op, reserved[1])
		ALWAYS(TANDEM_HW_OP_NOP), ALWAYS(TANDEM_HW_OP_COPY),
		ALWAYS(TANDEM_HW_OP_FILL), ALWAYS(TANDEM_HW_OP_EXEC),
		FIELD(TANDEM_HW_OP_NOP, dst_region), FIELD(TANDEM_HW_OP_NOP, src_region),
		FIELD(TANDEM_HW_OP_NOP, dst_offset), FIELD(TANDEM_HW_OP_NOP, src_offset),
		FIELD(TANDEM_HW_OP_NOP, length), FIELD(TANDEM_HW_OP_NOP, argument),
		FIELD(TANDEM_HW_OP_COPY, argument),
		FIELD(TANDEM_HW_OP_FILL, src_region), FIELD(TANDEM_HW_OP_FILL, src_offset),
		FIELD(TANDEM_HW_OP_EXEC, dst_region), FIELD(TANDEM_HW_OP_EXEC, dst_offset),
		FIELD(TANDEM_HW_OP_EXEC, argument),
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		struct tandem_hw_descriptor d = { .opcode = fields[i].opcode };

		if (d.opcode == TANDEM_HW_OP_COPY)
			d = copy(RW, 0, RW2, 0, 64);
		if (d.opcode == TANDEM_HW_OP_FILL)
			d = fill(RW, 0, 64, 5);
		((char *)&d)[fields[i].offset] |= 4;
		assert_int_equal(driver_run(&f->driver, 2, &d).status,
				 TANDEM_HW_INVALID_FIELD);
	}
	check_status(f, fill(RW, 2, 4, 0), TANDEM_HW_INVALID_FIELD, 0);
	check_status(f, fill(RW, 0, 6, 0), TANDEM_HW_INVALID_FIELD, 0);
	check_status(f, fill(RW, 0, 8, 1ull << 32), TANDEM_HW_INVALID_FIELD, 0);
}

static void opcodes_of_other_queues(void **state)
{
	struct fixture *f = *state;

	for (int opcode = 0; opcode < 256; opcode++) {
		struct tandem_hw_descriptor d = { .opcode = opcode };
		uint32_t expected = TANDEM_HW_INVALID_OPCODE;

		if (opcode == TANDEM_HW_OP_NOP)
			expected = TANDEM_HW_OK;
		/* Region 0 is not valid. */
		if (opcode == TANDEM_HW_OP_COPY || opcode == TANDEM_HW_OP_FILL)
			expected = TANDEM_HW_REGION_FAULT;
		/* Nor is a list of no segments. */
		if (opcode == TANDEM_HW_OP_COPY_LIST)
			expected = TANDEM_HW_INVALID_FIELD;
		assert_int_equal(driver_run(&f->driver, 1, &d).status, expected);
		if (opcode == TANDEM_HW_OP_EXEC)
			expected = TANDEM_HW_REGION_FAULT;
		assert_int_equal(driver_run(&f->driver, 2, &d).status, expected);
	}
}

static void regions_are_enforced(void **state)
{
	const struct {
		uint32_t region;
		uint64_t offset, length;
		uint32_t read, write;
	} cases[] = {
#define FAULT TANDEM_HW_REGION_FAULT
#define BUS TANDEM_HW_BUS_FAULT
		{ RW, 0, SIZE, 0, 0 },
		{ RW, SIZE - 4, 4, 0, 0 },
		{ RW, SIZE, 0, 0, 0 },
		{ RW, 0, SIZE + 4, FAULT, FAULT },
		{ RW, 4, SIZE, FAULT, FAULT },
		{ RW, SIZE + 4, 0, FAULT, FAULT },
		{ RW, ~3ull, 4, FAULT, FAULT },
		{ RW, ~3ull, 8, FAULT, FAULT },
		{ RW, 4, ~3ull, FAULT, FAULT },
		{ RW, 1ull << 63, 1ull << 63, FAULT, FAULT },
		{ READ_ONLY, 0, 4, 0, FAULT },
		{ WRITE_ONLY, 0, 4, FAULT, 0 },
		{ NOT_VALID, 0, 4, FAULT, FAULT },
		{ HOST_READ_ONLY, 0, 4, 0, FAULT },
		{ HOST_LYING, 0, 4, 0, BUS },
		{ NOWHERE, 0, 4, BUS, BUS },
		{ TOO_LONG, 0, SIZE / 2, 0, 0 },
		{ TOO_LONG, 4, SIZE / 2, BUS, BUS },
		{ WRAPS, 0, 4, FAULT, FAULT },
		{ ABSENT, 0, 4, FAULT, FAULT },
		{ DRIVER_REGIONS, 0, 4, FAULT, FAULT },
		{ UINT32_MAX, 0, 4, FAULT, FAULT },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t region = cases[i].region;
		uint32_t other = region == RW ? RW2 : RW;
		uint64_t length = cases[i].length;
		uint64_t room = length <= SIZE ? length : 0;

		check_status(f, fill(region, cases[i].offset, length, 1), cases[i].write,
			     cases[i].write ? region : 0);
		if (room != length)
			continue;
		check_status(f, copy(other, 0, region, cases[i].offset, length),
			     cases[i].read, cases[i].read ? region : 0);
		check_status(f, copy(region, cases[i].offset, other, 0, length),
			     cases[i].write, cases[i].write ? region : 0);
	}
}

static void contexts_are_enforced(void **state)
{
	struct tandem_hw_descriptor d = fill(RW, 0, 4, 0);
	struct fixture *f = *state;
	struct tandem_hw_context *contexts = f->driver.contexts;

	d.context = DRIVER_CONTEXTS;
	check_status(f, d, TANDEM_HW_INVALID_CONTEXT, 0);
	d.context = UINT32_MAX;
	check_status(f, d, TANDEM_HW_INVALID_CONTEXT, 0);
	/* Of another context nothing is to be seen. */
	d.context = 1;
	check_status(f, d, TANDEM_HW_REGION_FAULT, RW);
	contexts[1].flags = 0;
	check_status(f, d, TANDEM_HW_INVALID_CONTEXT, 0);
	contexts[1].flags = 3;
	check_status(f, d, TANDEM_HW_INVALID_CONTEXT, 0);
	contexts[1].flags = TANDEM_HW_CONTEXT_VALID;
	contexts[1].region_count = 0;
	check_status(f, d, TANDEM_HW_REGION_FAULT, RW);
	contexts[1].region_count = DRIVER_REGIONS + 1;
	check_status(f, d, TANDEM_HW_BUS_FAULT, 0);
	contexts[1].region_count = UINT32_MAX;
	check_status(f, d, TANDEM_HW_BUS_FAULT, 0);
	contexts[1].region_count = 1;
	contexts[1].regions = UINT64_MAX - 7;
	check_status(f, d, TANDEM_HW_BUS_FAULT, 0);
	contexts[1].regions = 4;
	check_status(f, d, TANDEM_HW_INVALID_CONTEXT, 0);
}

/* Batches of all sizes, many times round: order and phases hold. */
static void rings_go_round(void **state)
{
	static const uint32_t sizes[] = { 1, 2, 4, 8 };
	struct fixture *f = *state;
	struct driver *d = &f->driver;
	struct tandem_hw_descriptor destroy = {
		.opcode = TANDEM_HW_OP_QUEUE_DELETE, .argument = 1,
	};
	uint16_t id = 0, expected = 0;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(driver_run(d, 0, &destroy).status, TANDEM_HW_OK);
		driver_queue_create(d, 1, TANDEM_HW_QUEUE_COPY, sizes[i]);
		for (int round = 0; round < 40; round++) {
			uint32_t batch = 1 + round % sizes[i];

			for (uint32_t j = 0; j < batch; j++) {
				struct tandem_hw_descriptor c = fill(RW, 0, 64, id);

				c.command_id = id++;
				driver_put(d, 1, &c);
			}
			driver_ring(d, 1);
			for (uint32_t j = 0; j < batch; j++) {
				struct tandem_hw_completion got = driver_wait(d, 1);

				assert_int_equal(got.command_id, expected++);
				assert_int_equal(got.status, TANDEM_HW_OK);
			}
			assert_false(driver_completed(d, 1));
		}
	}
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void times_are_reported(void **state)
{
	struct tandem_hw_descriptor d = fill(RW, 0, SIZE, 0);
	struct fixture *f = *state;
	uint64_t before = now_ns();
	struct tandem_hw_completion got = driver_run(&f->driver, 1, &d);

	assert_true(got.duration_ns > 0);
	/* The device's clock is that of the host here. */
	assert_true(got.ended_ns - got.duration_ns >= before);
	assert_true(got.ended_ns <= now_ns());
	/* 8192 bytes at 2.9 TB/s: 2.8 ns. */
	assert_int_equal(got.modelled_ns, 3);
	d = copy(RW, 0, RW2, 0, SIZE);
	assert_int_equal(driver_run(&f->driver, 1, &d).modelled_ns, 6);
	d.length++;
	assert_int_equal(driver_run(&f->driver, 1, &d).modelled_ns, 0);
}

#define test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(copies_what_it_is_told),
		test(copy_of_overlapping_ranges),
		test(fills_with_a_pattern),
		test(fields_that_have_to_be_zero),
		test(opcodes_of_other_queues),
		test(regions_are_enforced),
		test(contexts_are_enforced),
		test(rings_go_round),
		test(times_are_reported),
		cmocka_unit_test_setup_teardown(copies_what_it_is_told, setup_looking, teardown),
		cmocka_unit_test_setup_teardown(rings_go_round, setup_looking, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
