// SPDX-License-Identifier: MIT
/*
 * Devices that do wrong from the start: the driver does not take them, or takes
 * nothing that they say at face value.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fault.h"

static struct firmware firmware;
static int devices;

static int setup(void **state)
{
	(void)state;
	devices = fault_count_devices();
	fault_timeouts_short();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	firmware_kill(&firmware);
	fault_timeouts_usual();
	fault_wait_for_devices(devices);
	return 0;
}

struct start_case {
	const char *fault;
	enum ending ending;
};

static void start(const struct start_case *one)
{
	const char *const faults[] = { one->fault, NULL };
	struct accel accel;
	bool started;

	print_message("# %s\n", one->fault);
	started = firmware_start_faulty(&firmware, faults);
	if (started != (one->ending == STAYS))
		fail_msg("%s: the device %s", one->fault,
			 started ? "is taken" : "is refused");
	if (started) {
		accel_open(&accel, firmware.node);
		fault_device_ends(&firmware, &accel, STAYS);
	}
	firmware_kill(&firmware);
	fault_wait_for_devices(devices);
}

static void start_all(const struct start_case *cases, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		start(&cases[i]);
	fault_check_new_device();
}

#define START_ALL(cases) start_all(cases, sizeof(cases) / sizeof((cases)[0]))

static void test_registers(void **state)
{
	static const struct start_case cases[] = {
		{ "register:field=magic", REFUSED },
		{ "register:field=version", REFUSED },
		{ "register:field=memory-size", REFUSED },
		{ "register:field=memory-size,value=0", REFUSED },
		{ "register:field=memory-size,value=4096", REFUSED },
		{ "register:field=memory-size,value=67108865", REFUSED },
		{ "register:field=status", REFUSED },
		{ "register:field=status,value=0", REFUSED },
		{ "register:field=status,value=2", REFUSED },
		{ "register:field=status,value=3", REFUSED },
		{ "register:field=queue-max,value=0", REFUSED },
		{ "register:field=queue-max", STAYS },
		{ "register:field=queue-max,value=2", STAYS },
		{ "register:field=epoch", STAYS },
		{ "register:field=epoch,value=77", STAYS },
		{ "register:field=fatal", STAYS },
	};

	(void)state;
	START_ALL(cases);
}

static void test_identity(void **state)
{
	static const struct start_case cases[] = {
		{ "identity:field=role", REFUSED },
		{ "identity:field=role,value=3", REFUSED },
		{ "identity:field=memory-size", REFUSED },
		{ "identity:field=queue-entries", REFUSED },
		{ "identity:field=queue-entries,value=0", REFUSED },
		{ "identity:field=queue-entries,value=1", REFUSED },
		{ "identity:field=queue-entries,value=96", REFUSED },
		{ "identity:field=queue-entries,value=0x80000000", STAYS },
		{ "identity:field=queue-entries,value=2", STAYS },
		{ "identity:field=copy-queues", STAYS },
		{ "identity:field=copy-queues,value=0", STAYS },
		{ "identity:field=profile", STAYS },
		{ "identity:field=profile,value=0", STAYS },
		{ "identity:field=firmware-version", STAYS },
		{ "identity:field=profile-memory-size", STAYS },
		{ "identity:field=profile-memory-bandwidth", STAYS },
		{ "identity:field=profile-flops", STAYS },
		{ "identity:field=profile-link-bandwidth", STAYS },
	};

	(void)state;
	START_ALL(cases);
}

static void test_handshake(void **state)
{
	static const struct start_case cases[] = {
		{ "stuck", REFUSED },
		{ "crash:on=boot", REFUSED },
		{ "crash:on=enable", REFUSED },
		{ "crash:on=admin", REFUSED },
		{ "crash:on=admin,at=3", REFUSED },
		{ "fatal:on=enable", REFUSED },
		{ "fatal:on=admin", REFUSED },
		{ "late:on=enable,ms=500", STAYS },
		{ "late:on=enable,ms=5000", REFUSED },
		{ "refuse:opcode=0x80", REFUSED },
		{ "refuse:opcode=0x81", REFUSED },
		{ "refuse:opcode=0x81,at=4,value=0xffff", REFUSED },
		{ "silent:opcode=0x80", REFUSED },
		{ "silent:opcode=0x81,at=2", REFUSED },
		{ "late:opcode=0x80,ms=300", STAYS },
		{ "heartbeat:on=admin,opcode=0x80", STAYS },
		{ "completion:queue=0,field=id", REFUSED },
		{ "completion:queue=0,field=id,extra=1", STAYS },
		{ "completion:queue=0,field=phase", REFUSED },
		{ "completion:queue=0,field=epoch,add=-1", REFUSED },
		{ "completion:queue=0,field=queue", REFUSED },
		{ "duplicate:queue=0,count=0", STAYS },
		{ "replay:queue=0,count=0", STAYS },
		{ "lost-completion:queue=0", REFUSED },
		{ "lost-interrupt:queue=0", STAYS },
		{ "storm:on=admin,value=2000", STAYS },
		{ "storm:on=enable,value=2000", STAYS },
	};

	(void)state;
	START_ALL(cases);
}

#define START_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		START_TEST(test_registers),
		START_TEST(test_identity),
		START_TEST(test_handshake),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
