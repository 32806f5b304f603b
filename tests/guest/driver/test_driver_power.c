// SPDX-License-Identifier: MIT
/*
 * Devices are suspended when nobody uses them and when the system sleeps, and
 * users see nothing of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accel.h"
#include "firmware.h"
#include "sysfs.h"

#define SIZE	(4 * MIB)
/* Devices that come while the system goes to sleep. */
#define COMERS	6

static struct firmware firmware;
static struct accel accel;
static uint8_t *memory;
static uint32_t handle, region;

static int setup(void **state)
{
	(void)state;
	firmware_start(&firmware);
	assert_int_equal(sysfs_write(firmware.node,
				     "power/autosuspend_delay_ms", "100"), 0);
	accel_open_ring(&accel, firmware.node, 1024, 0);
	handle = accel_object(&accel, SIZE);
	memory = accel_map(&accel, handle, SIZE);
	region = accel_region(&accel, 0, handle, 0, SIZE, READ | WRITE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	munmap(memory, SIZE);
	accel_close(&accel);
	firmware_kill(&firmware);
	return !firmware_wait_for_unplug(&firmware);
}

static void assert_suspended(void)
{
	assert_true(sysfs_becomes(firmware.node, "state", "suspended"));
	assert_true(sysfs_becomes(firmware.node, "power/runtime_status",
				  "suspended"));
}

static void test_suspended_when_idle(void **state)
{
	uint8_t *expected = malloc(SIZE);
	int round;

	(void)state;
	fill_pattern(expected, SIZE, 1);
	memcpy(memory, expected, SIZE);
	for (round = 0; round < 5; round++) {
		assert_suspended();
		/* Its memory can be reached all the same. */
		assert_memory_equal(memory, expected, SIZE);
		assert_int_equal(accel_copy(&accel, region, SIZE / 2, region,
					    round * 4096, 4096), 0);
		memcpy(expected + SIZE / 2, expected + round * 4096, 4096);
		assert_memory_equal(memory, expected, SIZE);
	}
	free(expected);
}

static void test_stays_up_when_told(void **state)
{
	char text[32];

	(void)state;
	assert_suspended();
	assert_int_equal(sysfs_write(firmware.node, "power/control", "on"), 0);
	assert_true(sysfs_becomes(firmware.node, "state", "running"));
	usleep(1500000);
	sysfs_read(firmware.node, "state", text, sizeof(text));
	assert_string_equal(text, "running");
	assert_int_equal(sysfs_write(firmware.node, "power/control", "auto"),
			 0);
	assert_suspended();
}

static void test_many_commands_wake_it_at_once(void **state)
{
	struct tandem_uring_command fill = {
		.dst_region = region,
		.length = 4096,
	};
	int i;

	(void)state;
	assert_suspended();
	for (i = 0; i < 600; i++) {
		fill.queue = i % 2 ? accel.copy : accel.compute;
		fill.dst_offset = i * 4096;
		fill.src_offset = i;
		accel_prepare(&accel, TANDEM_URING_FILL, &fill, i);
	}
	assert_int_equal(io_uring_submit(&accel.ring), 600);
	for (i = 0; i < 600; i++)
		assert_int_equal(accel_wait(&accel, NULL), 0);
	for (i = 0; i < 600; i++)
		assert_int_equal(*(uint32_t *)(memory + i * 4096), i);
}

/* What needs no device does not wake it, and what it would answer is. */
static void test_calls_while_it_is_suspended(void **state)
{
	struct drm_tandem_context_destroy destroy = { 0 };
	uint32_t other, object, mine;
	char text[32];

	(void)state;
	assert_suspended();
	other = accel_context(&accel);
	object = accel_object(&accel, MIB);
	mine = accel_region(&accel, other, object, 0, MIB, READ | WRITE);
	accel_queue(&accel, other, TANDEM_QUEUE_COPY);
	assert_int_equal(accel_region_unmap(&accel, other, mine), 0);
	destroy.context = other;
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_CONTEXT_DESTROY,
				     &destroy), 0);
	accel_object_close(&accel, object);
	sysfs_read(firmware.node, "state", text, sizeof(text));
	assert_string_equal(text, "suspended");
}

static void test_reset_wakes_it(void **state)
{
	(void)state;
	assert_suspended();
	memset(memory, 7, SIZE);
	assert_int_equal(sysfs_write(firmware.node, "reset", "1"), 0);
	assert_int_equal(sysfs_number(firmware.node, "resets"), 1);
	assert_suspended();
	assert_int_equal(accel_copy(&accel, region, 0, region, SIZE / 2, 4096),
			 0);
	assert_int_equal(memory[0], 7);
}

static void test_killed_while_suspended(void **state)
{
	struct tandem_uring_command nop = { .queue = accel.copy };

	(void)state;
	assert_suspended();
	firmware_kill(&firmware);
	assert_int_equal(accel_run(&accel, TANDEM_URING_NOP, &nop), -ENODEV);
	assert_true(firmware_wait_for_unplug(&firmware));
}

/* It does not come up for the command, which ends nevertheless. */
static void test_stopped_while_suspended(void **state)
{
	struct tandem_uring_command nop = { .queue = accel.copy };

	(void)state;
	assert_suspended();
	kill(firmware.pid, SIGSTOP);
	assert_int_equal(accel_run(&accel, TANDEM_URING_NOP, &nop), -ENODEV);
	assert_true(firmware_wait_for_unplug(&firmware));
	kill(firmware.pid, SIGCONT);
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/*
 * Has the system go to sleep as far as its processes are stopped, and wakes it
 * up: the firmware's too, which is what matters to the devices.
 */
static void sleep_and_wake(const char *level)
{
	int ret;

	if (access("/sys/power/pm_test", W_OK)) {
		print_message("# this kernel has no /sys/power/pm_test\n");
		skip();
	}
	assert_int_equal(write_file("/sys/power/pm_test", level), 0);
	ret = write_file("/sys/power/state", "freeze");
	write_file("/sys/power/pm_test", "none");
	assert_int_equal(ret, 0);
}

static void test_system_sleeps(void **state)
{
	uint8_t *expected = malloc(SIZE);

	(void)state;
	fill_pattern(expected, SIZE, 2);
	memcpy(memory, expected, SIZE);
	sysfs_write(firmware.node, "power/control", "on");
	sleep_and_wake("freezer");
	assert_true(sysfs_becomes(firmware.node, "state", "running"));
	assert_memory_equal(memory, expected, SIZE);
	assert_int_equal(accel_copy(&accel, region, 0, region, SIZE / 2,
				    SIZE / 2), 0);
	assert_memory_equal(memory, expected + SIZE / 2, SIZE / 2);
	assert_int_equal(sysfs_number(firmware.node, "resets"), 0);
	free(expected);
}

/*
 * The guest's root is on a virtio device when it runs under QEMU, and Linux 6.12
 * does not bring that one back after it was suspended.
 */
static bool root_survives_sleep(void)
{
	glob_t found;
	bool survives = glob("/sys/bus/virtio/drivers/9pnet_virtio/virtio*", 0,
			     NULL, &found) == GLOB_NOMATCH;

	globfree(&found);
	return survives;
}

/* Likewise as far as devices are suspended, by the kernel's own callbacks. */
static void test_devices_sleep_with_the_system(void **state)
{
	(void)state;
	if (!root_survives_sleep()) {
		print_message("# skip: the guest's root would not come back\n");
		skip();
	}
	memset(memory, 5, SIZE);
	sysfs_write(firmware.node, "power/control", "on");
	sleep_and_wake("devices");
	assert_true(sysfs_becomes(firmware.node, "state", "running"));
	assert_int_equal(accel_copy(&accel, region, 0, region, SIZE / 2,
				    SIZE / 2), 0);
	assert_int_equal(memory[0], 5);
	assert_int_equal(sysfs_number(firmware.node, "resets"), 0);
}

static void test_system_sleeps_while_it_is_suspended(void **state)
{
	(void)state;
	assert_suspended();
	memset(memory, 9, SIZE);
	sleep_and_wake("freezer");
	assert_suspended();
	assert_int_equal(accel_copy(&accel, region, 0, region, SIZE / 2, 4096),
			 0);
	assert_int_equal(memory[0], 9);
}

/* A process keeps the device busy across the sleep. */
static void test_commands_across_the_sleep(void **state)
{
	int stop[2], status;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(stop), 0);
	pid = fork();
	if (!pid) {
		struct accel busy;
		uint32_t mine, value = 0, i;

		close(stop[1]);
		fcntl(stop[0], F_SETFL, O_NONBLOCK);
		accel_open(&busy, firmware.node);
		mine = accel_region(&busy, 0, accel_object(&busy, MIB), 0, MIB,
				    READ | WRITE);
		for (i = 1; read(stop[0], &byte, 1) < 0; i++) {
			if (accel_fill(&busy, mine, 0, i, MIB) ||
			    accel_copy(&busy, USER, address_of(&value), mine,
				       MIB - 4, 4) ||
			    value != i)
				_exit(1);
		}
		accel_close(&busy);
		_exit(i > 1 ? 0 : 2);
	}
	close(stop[0]);
	usleep(300000);
	sleep_and_wake("freezer");
	usleep(300000);
	close(stop[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(sysfs_number(firmware.node, "resets"), 0);
}

static int count_nodes(void)
{
	glob_t found;
	int count;

	if (glob("/dev/accel/accel*", 0, NULL, &found))
		return 0;
	count = found.gl_pathc;
	globfree(&found);
	return count;
}

/*
 * One after the other while processes are about to be frozen: whenever it is,
 * the driver does not take it for dead.
 */
static void test_devices_come_while_the_system_goes_to_sleep(void **state)
{
	int before = count_nodes(), tries, i;
	pid_t pid, comer[COMERS];

	(void)state;
	pid = fork();
	if (!pid) {
		usleep(20000);
		sleep_and_wake("freezer");
		_exit(0);
	}
	for (i = 0; i < COMERS; i++) {
		comer[i] = firmware_spawn();
		usleep(10000);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	for (tries = 0; count_nodes() < before + COMERS && tries < 3000;
	     tries++)
		usleep(10000);
	assert_int_equal(count_nodes(), before + COMERS);
	for (i = 0; i < COMERS; i++) {
		kill(comer[i], SIGKILL);
		waitpid(comer[i], NULL, 0);
	}
	for (tries = 0; count_nodes() > before && tries < 3000; tries++)
		usleep(10000);
	assert_int_equal(count_nodes(), before);
}

#define POWER_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		POWER_TEST(test_suspended_when_idle),
		POWER_TEST(test_stays_up_when_told),
		POWER_TEST(test_many_commands_wake_it_at_once),
		POWER_TEST(test_calls_while_it_is_suspended),
		POWER_TEST(test_reset_wakes_it),
		POWER_TEST(test_killed_while_suspended),
		POWER_TEST(test_stopped_while_suspended),
		POWER_TEST(test_system_sleeps),
		POWER_TEST(test_devices_sleep_with_the_system),
		POWER_TEST(test_system_sleeps_while_it_is_suspended),
		POWER_TEST(test_commands_across_the_sleep),
		POWER_TEST(test_devices_come_while_the_system_goes_to_sleep),
	};

	/* A second of sleep shows as much as the usual five. */
	write_file("/sys/module/suspend/parameters/pm_test_delay", "1");
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
