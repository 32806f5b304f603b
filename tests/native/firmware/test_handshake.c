// SPDX-License-Identifier: MIT
/* Registers, states, epochs, heartbeat, and what a device says of itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "driver.h"
#include "firmware-sim/profiles.h"

static int setup(void **state)
{
	static struct driver driver;

	driver_open(&driver, &driver_config);
	*state = &driver;
	return 0;
}

static int teardown(void **state)
{
	driver_close(*state);
	return 0;
}

static void registers_describe_the_device(void **state)
{
	struct driver *d = *state;

	assert_int_equal(driver_read(d, TANDEM_REG_MAGIC), TANDEM_HW_MAGIC);
	assert_int_equal(driver_read(d, TANDEM_REG_VERSION), TANDEM_HW_VERSION(TANDEM_HW_VERSION_MAJOR, TANDEM_HW_VERSION_MINOR));
	assert_int_equal(driver_read64(d, TANDEM_REG_MEMORY_SIZE), driver_config.memory_size);
	assert_int_equal(driver_read(d, TANDEM_REG_QUEUE_MAX), 4);
	assert_int_equal(driver_read(d, TANDEM_REG_FATAL), 0);
}

static void enabled_and_disabled_again(void **state)
{
	struct driver *d = *state;

	for (int i = 0; i < 5; i++) {
		driver_enable(d);
		driver_queue_create(d, 1, TANDEM_HW_QUEUE_COPY, 4);
		assert_int_equal(driver_control(d, 0), TANDEM_HW_STATE_READY);
	}
}

/* A register that is wrong, and what the device thinks of it. */
struct bad_register {
	uint32_t offset;
	uint32_t value;
	uint32_t fatal;
};

static const struct bad_register bad_registers[] = {
	{ TANDEM_REG_EPOCH, 0, TANDEM_HW_INVALID_FIELD },
	{ TANDEM_REG_ADMIN_ENTRIES, 0, TANDEM_HW_INVALID_FIELD },
	{ TANDEM_REG_ADMIN_ENTRIES, 3, TANDEM_HW_INVALID_FIELD },
	{ TANDEM_REG_ADMIN_ENTRIES, 1u << 31, TANDEM_HW_INVALID_FIELD },
	{ TANDEM_REG_ADMIN_ENTRIES, 16, TANDEM_HW_BUS_FAULT },
	{ TANDEM_REG_ADMIN_SQ, 0, TANDEM_HW_BUS_FAULT },
	{ TANDEM_REG_ADMIN_SQ, 4, TANDEM_HW_INVALID_FIELD },
	{ TANDEM_REG_ADMIN_SQ + 4, ~0u, TANDEM_HW_BUS_FAULT },
	{ TANDEM_REG_ADMIN_CQ, 0, TANDEM_HW_BUS_FAULT },
	{ TANDEM_REG_ADMIN_CQ, 2, TANDEM_HW_INVALID_FIELD },
	{ TANDEM_REG_CONTEXT_TABLE, 0, TANDEM_HW_BUS_FAULT },
	{ TANDEM_REG_CONTEXT_TABLE, 1, TANDEM_HW_INVALID_FIELD },
	{ TANDEM_REG_CONTEXT_COUNT, 0, TANDEM_HW_INVALID_FIELD },
	{ TANDEM_REG_CONTEXT_COUNT, DRIVER_CONTEXTS + 1, TANDEM_HW_BUS_FAULT },
	{ TANDEM_REG_CONTEXT_COUNT, ~0u, TANDEM_HW_INVALID_FIELD },
};

static void bad_registers_are_fatal(void **state)
{
	struct driver *d = *state;

	for (size_t i = 0; i < sizeof(bad_registers) / sizeof(bad_registers[0]); i++) {
		const struct bad_register *bad = &bad_registers[i];

		driver_prepare(d);
		driver_write(d, bad->offset, bad->value);
		assert_int_equal(driver_control(d, TANDEM_CONTROL_ENABLE),
				 TANDEM_HW_STATE_FATAL);
		assert_int_equal(driver_read(d, TANDEM_REG_FATAL), bad->fatal);
		assert_int_equal(driver_control(d, 0), TANDEM_HW_STATE_READY);
		assert_int_equal(driver_read(d, TANDEM_REG_FATAL), 0);
	}
	/* The completion ring has to be writable. */
	driver_prepare(d);
	driver_write64(d, TANDEM_REG_ADMIN_CQ, d->queue[0].sq_address);
	assert_int_equal(driver_control(d, TANDEM_CONTROL_ENABLE), TANDEM_HW_STATE_FATAL);
	assert_int_equal(driver_control(d, 0), TANDEM_HW_STATE_READY);
	driver_enable(d);
}

static void unknown_control_bits_are_fatal(void **state)
{
	struct driver *d = *state;

	driver_prepare(d);
	assert_int_equal(driver_control(d, 2), TANDEM_HW_STATE_FATAL);
	assert_int_equal(driver_control(d, 0), TANDEM_HW_STATE_READY);
	driver_enable(d);
	assert_int_equal(driver_control(d, 3), TANDEM_HW_STATE_FATAL);
	assert_int_equal(driver_read(d, TANDEM_REG_FATAL), TANDEM_HW_INVALID_FIELD);
}

static void epoch_has_to_change(void **state)
{
	struct driver *d = *state;

	driver_enable(d);
	assert_int_equal(driver_control(d, 0), TANDEM_HW_STATE_READY);
	d->epoch--;
	driver_prepare(d);
	assert_int_equal(driver_control(d, TANDEM_CONTROL_ENABLE), TANDEM_HW_STATE_FATAL);
	assert_int_equal(driver_read(d, TANDEM_REG_FATAL), TANDEM_HW_INVALID_FIELD);
}

static void completions_carry_the_new_epoch(void **state)
{
	struct tandem_hw_descriptor nop = { .opcode = TANDEM_HW_OP_NOP, .command_id = 7 };
	struct driver *d = *state;

	/* driver_wait() checks the epoch of every completion. */
	for (int i = 0; i < 3; i++) {
		driver_enable(d);
		driver_queue_create(d, 2, TANDEM_HW_QUEUE_COMPUTE, 2);
		for (int j = 0; j < 9; j++) {
			assert_int_equal(driver_run(d, 0, &nop).status, TANDEM_HW_OK);
			assert_int_equal(driver_run(d, 2, &nop).status, TANDEM_HW_OK);
		}
		driver_control(d, 0);
	}
}

static void impossible_doorbell_is_fatal(void **state)
{
	struct driver *d = *state;

	for (uint32_t queue = 0; queue <= 1; queue++) {
		driver_enable(d);
		driver_queue_create(d, 1, TANDEM_HW_QUEUE_COPY, 4);
		d->queue[queue].tail += d->queue[queue].entries + 1;
		driver_ring(d, queue);
		for (int i = 0; i < 6000 && driver_read(d, TANDEM_REG_STATUS) ==
				TANDEM_HW_STATE_RUNNING; i++)
			usleep(10000);
		assert_int_equal(driver_read(d, TANDEM_REG_STATUS), TANDEM_HW_STATE_FATAL);
		assert_int_equal(driver_read(d, TANDEM_REG_FATAL), TANDEM_HW_INVALID_FIELD);
		assert_int_equal(driver_control(d, 0), TANDEM_HW_STATE_READY);
	}
}

static void heartbeat_beats_in_every_state(void **state)
{
	struct driver *d = *state;

	for (int i = 0; i < 2; i++) {
		uint32_t before = driver_read(d, TANDEM_REG_HEARTBEAT);

		/* No matter how slow the machine: it does in the end. */
		for (int j = 0; j < 6000 &&
		     driver_read(d, TANDEM_REG_HEARTBEAT) == before; j++)
			usleep(10000);
		assert_int_not_equal(driver_read(d, TANDEM_REG_HEARTBEAT), before);
		if (!i)
			driver_enable(d);
	}
}

static void identity(void **state)
{
	const struct tandem_fw_profile *profile = tandem_fw_profile_find("trn2");
	struct tandem_hw_identity *identity;
	struct driver *d = *state;
	struct tandem_hw_descriptor identify = {
		.opcode = TANDEM_HW_OP_IDENTIFY, .command_id = 3,
		.src_offset = driver_host(d, sizeof(*identity), true, &identity),
	};

	driver_enable(d);
	assert_int_equal(driver_run(d, 0, &identify).status, TANDEM_HW_OK);
	assert_string_equal(identity->profile, "trn2");
	assert_string_equal(identity->firmware_version, tandem_fw_version());
	assert_int_equal(identity->role, TANDEM_HW_ROLE_PREFILL);
	assert_int_equal(identity->copy_queues, 2);
	assert_int_equal(identity->compute_queues, 2);
	assert_int_equal(identity->queue_entries_max, 4096);
	assert_int_equal(identity->memory_size, driver_config.memory_size);
	assert_int_equal(identity->profile_memory_size, profile->memory_size);
	assert_int_equal(identity->profile_flops, 667000000000000);
	for (size_t i = 0; i < sizeof(identity->reserved); i++)
		assert_int_equal(identity->reserved[i], 0);

	identify.src_offset = driver_host(d, sizeof(*identity), false, NULL);
	assert_int_equal(driver_run(d, 0, &identify).status, TANDEM_HW_BUS_FAULT);
}

static void profiles_have_the_roles_of_their_phase(void **state)
{
	(void)state;
	assert_int_equal(tandem_fw_profile_find("trn3")->role, TANDEM_HW_ROLE_PREFILL);
	assert_int_equal(tandem_fw_profile_find("wse3")->role, TANDEM_HW_ROLE_DECODE);
	assert_int_equal(tandem_fw_profile_find("h100")->role, TANDEM_HW_ROLE_ANY);
	assert_int_equal(tandem_fw_profile_find("host")->role, TANDEM_HW_ROLE_ANY);
	assert_null(tandem_fw_profile_find("trn1"));
	for (size_t i = 0; tandem_fw_profile_at(i); i++)
		assert_true(strlen(tandem_fw_profile_at(i)->name) < 32);
}

static void bad_configurations_are_refused(void **state)
{
	struct tandem_fw_config bad[] = {
		driver_config, driver_config, driver_config, driver_config, driver_config,
		driver_config, driver_config,
	};
	struct tandem_fw_bus bus = { 0 };
	char error[TANDEM_FW_ERROR_BYTES];
	struct tandem_fw *fw;

	(void)state;
	bad[0].profile = "nonsense";
	bad[1].profile = NULL;
	bad[2].memory_size = 0;
	bad[3].memory_size = 4097;
	bad[4].copy_queues = bad[4].compute_queues = 0;
	bad[5].copy_queues = 254;
	bad[6].isa = "z80";
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		error[0] = 0;
		assert_int_equal(tandem_fw_create(&bad[i], &bus, &fw, error), -22);
		assert_true(strlen(error) > 0);
	}
}

static void stopped_while_it_runs(void **state)
{
	struct driver *d = *state;

	driver_enable(d);
	driver_queue_create(d, 1, TANDEM_HW_QUEUE_COPY, 4);
	tandem_fw_stop(d->fw);
	assert_int_equal(driver_read(d, TANDEM_REG_STATUS), TANDEM_HW_STATE_BOOTING);
	tandem_fw_stop(d->fw);
}

#define test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(registers_describe_the_device),
		test(enabled_and_disabled_again),
		test(bad_registers_are_fatal),
		test(unknown_control_bits_are_fatal),
		test(epoch_has_to_change),
		test(completions_carry_the_new_epoch),
		test(impossible_doorbell_is_fatal),
		test(heartbeat_beats_in_every_state),
		test(identity),
		cmocka_unit_test(profiles_have_the_roles_of_their_phase),
		cmocka_unit_test(bad_configurations_are_refused),
		test(stopped_while_it_runs),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
