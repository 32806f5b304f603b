// SPDX-License-Identifier: MIT
/* The admin queue: queues that come and go, ABORT, CONTEXT_SYNC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "driver.h"
#include "gate.h"

#define GATED	1
#define PLAIN	2
#define SIZE	4096

struct fixture {
	struct driver driver;
	struct gate gate;
};

static int setup(void **state)
{
	const uint32_t flags = TANDEM_HW_REGION_VALID | TANDEM_HW_REGION_READ |
			       TANDEM_HW_REGION_WRITE;
	static struct fixture f;

	driver_open(&f.driver, &driver_config);
	driver_region(&f.driver, 0, GATED, gate_create(&f.gate, &f.driver, SIZE), SIZE, flags);
	driver_region(&f.driver, 0, PLAIN, driver_memory(&f.driver, SIZE, NULL), SIZE, flags);
	driver_enable(&f.driver);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	gate_open(&f->gate);
	driver_close(&f->driver);
	return 0;
}

static struct tandem_hw_descriptor fill(uint32_t region, uint16_t id)
{
	return (struct tandem_hw_descriptor){
		.opcode = TANDEM_HW_OP_FILL, .command_id = id, .dst_region = region,
		.length = SIZE,
	};
}

static struct tandem_hw_descriptor admin(uint8_t opcode, uint16_t id, uint64_t argument)
{
	return (struct tandem_hw_descriptor){
		.opcode = opcode, .command_id = id, .argument = argument,
	};
}

static struct tandem_hw_descriptor abort_of(uint32_t queue, uint64_t number)
{
	struct tandem_hw_descriptor d = admin(TANDEM_HW_OP_ABORT, 900, queue);

	d.length = number;
	return d;
}

static void check_wait(struct driver *d, uint32_t queue, uint16_t id, uint32_t status)
{
	struct tandem_hw_completion got = driver_wait(d, queue);

	assert_int_equal(got.command_id, id);
	assert_int_equal(got.status, status);
}

static uint32_t run(struct driver *d, struct tandem_hw_descriptor descriptor)
{
	return driver_run(d, 0, &descriptor).status;
}

static void queues_come_and_go(void **state)
{
	struct fixture *f = *state;
	struct driver *d = &f->driver;

	for (int i = 0; i < 20; i++) {
		uint32_t number = 1 + i % 4;
		struct tandem_hw_descriptor work = fill(PLAIN, i);

		driver_queue_create(d, number, i % 2, 1u << i % 5);
		assert_int_equal(driver_run(d, number, &work).status, TANDEM_HW_OK);
		assert_int_equal(run(d, admin(TANDEM_HW_OP_QUEUE_DELETE, 5, number)),
				 TANDEM_HW_OK);
		assert_int_equal(run(d, admin(TANDEM_HW_OP_QUEUE_DELETE, 5, number)),
				 TANDEM_HW_INVALID_FIELD);
	}
}

static void as_many_queues_as_identity_says(void **state)
{
	struct fixture *f = *state;
	struct driver *d = &f->driver;

	driver_queue_create(d, 4, TANDEM_HW_QUEUE_COPY, 2);
	driver_queue_create(d, 2, TANDEM_HW_QUEUE_COPY, 2);
	assert_int_equal(run(d, driver_queue(d, 1, TANDEM_HW_QUEUE_COPY, 2)),
			 TANDEM_HW_INVALID_FIELD);
	driver_queue_create(d, 1, TANDEM_HW_QUEUE_COMPUTE, 2);
	driver_queue_create(d, 3, TANDEM_HW_QUEUE_COMPUTE, 2);
	assert_int_equal(run(d, driver_queue(d, 5, TANDEM_HW_QUEUE_COMPUTE, 2)),
			 TANDEM_HW_INVALID_FIELD);
}

static void fields_of_queue_create(void **state)
{
	struct fixture *f = *state;
	struct driver *d = &f->driver;
	const struct tandem_hw_descriptor good =
		driver_queue(d, 1, TANDEM_HW_QUEUE_COPY, 16);
	const struct {
		size_t offset;
		uint64_t value;
		size_t size;
		uint32_t status;
	} cases[] = {
#define FIELD(member, value, status) \
	{ offsetof(struct tandem_hw_descriptor, member), value, \
	  sizeof(good.member), TANDEM_HW_ ## status }
		FIELD(flags, 1, INVALID_FIELD),
		FIELD(context, 1, INVALID_FIELD),
		FIELD(dst_region, 1, INVALID_FIELD),
		FIELD(src_region, 2, INVALID_FIELD),
		FIELD(reserved[0], 1, INVALID_FIELD),
		FIELD(reserved[1], 1, INVALID_FIELD),
		FIELD(argument, 0, INVALID_FIELD),
		FIELD(argument, 5, INVALID_FIELD),
		FIELD(argument, 1ull << 32 | 1, INVALID_FIELD),
		FIELD(length, 0, INVALID_FIELD),
		FIELD(length, 17, INVALID_FIELD),
		FIELD(length, 32, BUS_FAULT),
		FIELD(length, 8192, INVALID_FIELD),
		FIELD(length, 1ull << 32, INVALID_FIELD),
		FIELD(src_offset, good.src_offset + 4, INVALID_FIELD),
		FIELD(src_offset, 0, BUS_FAULT),
		FIELD(src_offset, ~7ull, BUS_FAULT),
		FIELD(dst_offset, good.dst_offset + 4, INVALID_FIELD),
		FIELD(dst_offset, good.src_offset, BUS_FAULT),
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tandem_hw_descriptor bad = good;

		memcpy((char *)&bad + cases[i].offset, &cases[i].value, cases[i].size);
		assert_int_equal(run(d, bad), cases[i].status);
	}
	assert_int_equal(run(d, good), TANDEM_HW_OK);
	assert_int_equal(run(d, good), TANDEM_HW_INVALID_FIELD);
}

static void fields_of_other_commands(void **state)
{
	static const struct {
		uint8_t opcode;
		size_t offset;
	} cases[] = {
#undef FIELD
#define FIELD(op, member) \
	{ TANDEM_HW_OP_ ## op, offsetof(struct tandem_hw_descriptor, member) }
		FIELD(NOP, context), FIELD(NOP, argument), FIELD(NOP, flags),
		FIELD(IDENTIFY, context), FIELD(IDENTIFY, dst_region),
		FIELD(IDENTIFY, src_region), FIELD(IDENTIFY, dst_offset),
		FIELD(IDENTIFY, length), FIELD(IDENTIFY, argument),
		FIELD(QUEUE_DELETE, context), FIELD(QUEUE_DELETE, dst_region),
		FIELD(QUEUE_DELETE, src_region), FIELD(QUEUE_DELETE, dst_offset),
		FIELD(QUEUE_DELETE, src_offset), FIELD(QUEUE_DELETE, length),
		FIELD(ABORT, context), FIELD(ABORT, dst_region), FIELD(ABORT, src_region),
		FIELD(ABORT, dst_offset), FIELD(ABORT, src_offset),
		FIELD(CONTEXT_SYNC, dst_region), FIELD(CONTEXT_SYNC, src_region),
		FIELD(CONTEXT_SYNC, dst_offset), FIELD(CONTEXT_SYNC, src_offset),
		FIELD(CONTEXT_SYNC, length), FIELD(CONTEXT_SYNC, argument),
		FIELD(CONTEXT_SYNC, reserved[0]), FIELD(ABORT, reserved[1]),
		FIELD(LOG_READ, context), FIELD(LOG_READ, dst_region),
		FIELD(LOG_READ, src_region), FIELD(LOG_READ, dst_offset),
		FIELD(LOG_READ, length), FIELD(LOG_READ, reserved[0]),
	};
	struct fixture *f = *state;
	struct driver *d = &f->driver;

	driver_queue_create(d, 1, TANDEM_HW_QUEUE_COPY, 4);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tandem_hw_descriptor bad = admin(cases[i].opcode, 1, 0);

		if (bad.opcode == TANDEM_HW_OP_QUEUE_DELETE)
			bad.argument = 1;
		((char *)&bad)[cases[i].offset] |= 1;
		assert_int_equal(run(d, bad), TANDEM_HW_INVALID_FIELD);
	}
	for (int opcode = 0; opcode < 256; opcode++) {
		if (opcode == TANDEM_HW_OP_NOP ||
		    (opcode >= TANDEM_HW_OP_IDENTIFY && opcode <= TANDEM_HW_OP_LOG_READ))
			continue;
		assert_int_equal(run(d, admin(opcode, 1, 0)), TANDEM_HW_INVALID_OPCODE);
	}
	assert_int_equal(run(d, abort_of(99, 1)), TANDEM_HW_OK);
	assert_int_equal(run(d, abort_of(1, 1ull << 40)), TANDEM_HW_OK);
}

static void abort_of_what_runs(void **state)
{
	struct fixture *f = *state;
	struct driver *d = &f->driver;
	struct tandem_hw_descriptor held = fill(GATED, 10), next = fill(PLAIN, 11);
	uint32_t first;

	driver_queue_create(d, 1, TANDEM_HW_QUEUE_COPY, 4);
	driver_submit(d, 1, &held);
	first = driver_last(d, 1);
	gate_wait(&f->gate);
	driver_submit(d, 1, &next);
	assert_int_equal(run(d, abort_of(1, first)), TANDEM_HW_OK);
	gate_open(&f->gate);
	check_wait(d, 1, 10, TANDEM_HW_ABORTED);
	check_wait(d, 1, 11, TANDEM_HW_OK);
	/* It is not there any more; the next with that id is another one. */
	gate_close(&f->gate);
	driver_submit(d, 1, &held);
	gate_wait(&f->gate);
	assert_int_equal(run(d, abort_of(1, first)), TANDEM_HW_OK);
	gate_open(&f->gate);
	check_wait(d, 1, 10, TANDEM_HW_OK);
}

static void abort_of_what_waits(void **state)
{
	struct fixture *f = *state;
	struct driver *d = &f->driver;
	struct tandem_hw_descriptor held = fill(GATED, 10), nop = { .command_id = 21 };

	driver_queue_create(d, 1, TANDEM_HW_QUEUE_COPY, 4);
	for (int pass = 0; pass < 3; pass++) {
		/* The slots of those that were aborted are as good as new. */
		for (int i = 0; i < 4 + pass; i++)
			assert_int_equal(driver_run(d, 1, &nop).status, TANDEM_HW_OK);
		gate_close(&f->gate);
		driver_submit(d, 1, &held);
		gate_wait(&f->gate);
		for (uint16_t id = 20; id < 23; id++) {
			struct tandem_hw_descriptor waiting = fill(PLAIN, id);

			driver_submit(d, 1, &waiting);
		}
		assert_int_equal(run(d, abort_of(1, driver_last(d, 1) - 1)),
				 TANDEM_HW_OK);
		/* Neither of these is there. */
		assert_int_equal(run(d, abort_of(1, driver_last(d, 1) + 1)),
				 TANDEM_HW_OK);
		assert_int_equal(run(d, abort_of(1, driver_last(d, 1) - 4)),
				 TANDEM_HW_OK);
		gate_open(&f->gate);
		check_wait(d, 1, 10, TANDEM_HW_OK);
		check_wait(d, 1, 20, TANDEM_HW_OK);
		check_wait(d, 1, 21, TANDEM_HW_ABORTED);
		check_wait(d, 1, 22, TANDEM_HW_OK);
	}
}

/* Take back what rang a queue whose engine does not sleep. */
static void quiet_bell(struct driver *d, uint32_t queue)
{
	uint64_t count;
	ssize_t got = read(d->doorbells[queue], &count, sizeof(count));

	assert_true(got == sizeof(count) || got < 0);
}

/* Wait until the device itself rings such a queue, which it does to stop it. */
static void wait_for_stop(struct driver *d, uint32_t queue)
{
	struct pollfd bell = { .fd = d->doorbells[queue], .events = POLLIN };

	assert_int_equal(poll(&bell, 1, 60000), 1);
}

static void delete_with_work_on_the_queue(void **state)
{
	struct fixture *f = *state;
	struct driver *d = &f->driver;
	struct tandem_hw_descriptor held = fill(GATED, 10);
	struct tandem_hw_descriptor destroy = admin(TANDEM_HW_OP_QUEUE_DELETE, 40, 1);

	driver_queue_create(d, 1, TANDEM_HW_QUEUE_COPY, 4);
	driver_submit(d, 1, &held);
	gate_wait(&f->gate);
	for (uint16_t id = 20; id < 23; id++) {
		struct tandem_hw_descriptor waiting = fill(PLAIN, id);

		driver_submit(d, 1, &waiting);
	}
	quiet_bell(d, 1);
	driver_submit(d, 0, &destroy);
	wait_for_stop(d, 1);
	gate_open(&f->gate);
	check_wait(d, 0, 40, TANDEM_HW_OK);
	/* All of them had completed by then. */
	assert_true(driver_completed(d, 1));
	check_wait(d, 1, 10, TANDEM_HW_ABORTED);
	for (uint16_t id = 20; id < 23; id++) {
		assert_true(driver_completed(d, 1));
		check_wait(d, 1, id, TANDEM_HW_ABORTED);
	}
}

static void disabled_with_work_on_the_queue(void **state)
{
	struct fixture *f = *state;
	struct driver *d = &f->driver;
	struct tandem_hw_descriptor held = fill(GATED, 10), waiting = fill(PLAIN, 11);
	struct tandem_hw_descriptor sync = admin(TANDEM_HW_OP_CONTEXT_SYNC, 30, 0);
	uint64_t one = 1;

	driver_queue_create(d, 2, TANDEM_HW_QUEUE_COMPUTE, 4);
	driver_submit(d, 2, &held);
	gate_wait(&f->gate);
	driver_submit(d, 2, &waiting);
	driver_submit(d, 0, &sync);
	quiet_bell(d, 2);
	driver_write(d, TANDEM_REG_CONTROL, 0);
	assert_int_equal(write(d->doorbells[0], &one, sizeof(one)), sizeof(one));
	wait_for_stop(d, 2);
	gate_open(&f->gate);
	check_wait(d, 2, 10, TANDEM_HW_ABORTED);
	check_wait(d, 2, 11, TANDEM_HW_ABORTED);
	/* Whether the sync was seen before the end is open. */
	assert_int_equal(driver_wait(d, 0).command_id, 30);
	while (driver_read(d, TANDEM_REG_STATUS) != TANDEM_HW_STATE_READY)
		poll(NULL, 0, 1);
	driver_enable(d);
}

static void stopped_with_work_on_the_queue(void **state)
{
	struct fixture *f = *state;
	struct driver *d = &f->driver;
	struct tandem_hw_descriptor work = fill(PLAIN, 1);

	driver_queue_create(d, 1, TANDEM_HW_QUEUE_COPY, 64);
	for (int i = 0; i < 64; i++)
		driver_put(d, 1, &work);
	driver_ring(d, 1);
	tandem_fw_stop(d->fw);
}

static void context_sync_waits(void **state)
{
	struct fixture *f = *state;
	struct driver *d = &f->driver;
	struct tandem_hw_descriptor held = fill(GATED, 10);
	struct tandem_hw_descriptor sync = admin(TANDEM_HW_OP_CONTEXT_SYNC, 30, 0);
	struct tandem_hw_descriptor nop = admin(TANDEM_HW_OP_NOP, 31, 0);
	struct tandem_hw_descriptor other = fill(PLAIN, 12);

	driver_queue_create(d, 1, TANDEM_HW_QUEUE_COPY, 4);
	driver_queue_create(d, 2, TANDEM_HW_QUEUE_COMPUTE, 4);
	assert_int_equal(run(d, sync), TANDEM_HW_OK);
	sync.context = DRIVER_CONTEXTS;
	assert_int_equal(run(d, sync), TANDEM_HW_INVALID_CONTEXT);

	driver_submit(d, 2, &held);
	gate_wait(&f->gate);
	sync.context = 0;
	driver_submit(d, 0, &sync);
	driver_submit(d, 0, &nop);
	/* These overtake what waits. */
	sync.context = 1;
	sync.command_id = 32;
	driver_submit(d, 0, &sync);
	check_wait(d, 0, 32, TANDEM_HW_OK);
	driver_submit(d, 1, &other);
	check_wait(d, 1, 12, TANDEM_HW_OK);
	assert_false(driver_completed(d, 0));
	assert_int_equal(run(d, abort_of(2, driver_last(d, 2))), TANDEM_HW_OK);
	assert_false(driver_completed(d, 0));

	gate_open(&f->gate);
	check_wait(d, 2, 10, TANDEM_HW_ABORTED);
	check_wait(d, 0, 30, TANDEM_HW_OK);
	check_wait(d, 0, 31, TANDEM_HW_OK);
}

#define test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(queues_come_and_go),
		test(as_many_queues_as_identity_says),
		test(fields_of_queue_create),
		test(fields_of_other_commands),
		test(abort_of_what_runs),
		test(abort_of_what_waits),
		test(delete_with_work_on_the_queue),
		test(disabled_with_work_on_the_queue),
		test(stopped_with_work_on_the_queue),
		test(context_sync_waits),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
