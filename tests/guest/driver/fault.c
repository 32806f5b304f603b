// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fault.h"

#define SIZE		(MIB / 4)
/* In steps of 20 ms. */
#define WAIT_STEPS	3000

static void set_parameter(const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/module/tandem/parameters/%s", name);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, value, strlen(value)), strlen(value));
	close(fd);
}

void fault_timeouts_short(void)
{
	set_parameter("command_timeout_ms", "1000");
	set_parameter("admin_timeout_ms", "2500");
	set_parameter("heartbeat_timeout_ms", "2500");
}

void fault_timeouts_usual(void)
{
	set_parameter("command_timeout_ms", "60000");
	set_parameter("admin_timeout_ms", "10000");
	set_parameter("heartbeat_timeout_ms", "3000");
}

int fault_count_devices(void)
{
	DIR *directory = opendir("/sys/bus/tandem_emu/devices");
	struct dirent *entry;
	int count = 0;

	assert_non_null(directory);
	while ((entry = readdir(directory)))
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}

void fault_wait_for_devices(int count)
{
	int step;

	for (step = 0; fault_count_devices() != count; step++) {
		assert_true(step < WAIT_STEPS);
		usleep(20000);
	}
}

/* A new file can do everything, and its data are right. */
static void check_works(const char *node)
{
	uint8_t *expected = malloc(SIZE), *got = calloc(1, SIZE);
	struct accel accel;
	uint32_t region;

	accel_open(&accel, node);
	region = accel_region(&accel, 0, accel_object(&accel, SIZE), 0, SIZE,
			      READ | WRITE);
	fill_pattern(expected, SIZE, 7);
	assert_int_equal(accel_copy(&accel, region, 0, USER,
				    address_of(expected), SIZE), 0);
	assert_int_equal(accel_copy(&accel, USER, address_of(got), region, 0,
				    SIZE), 0);
	assert_memory_equal(expected, got, SIZE);
	assert_int_equal(accel_region_unmap(&accel, 0, region), 0);
	accel_close(&accel);
	free(expected);
	free(got);
}

/* All files are closed: what they had goes, if not at once. */
static void check_empty(const char *node)
{
	struct accel accel = { .fd = open(node, O_RDWR | O_CLOEXEC) };
	int step;

	assert_true(accel.fd >= 0);
	for (step = 0; accel_param(&accel, TANDEM_PARAM_MEMORY_USED); step++) {
		assert_true(step < WAIT_STEPS);
		usleep(20000);
	}
	accel_close(&accel);
}

void fault_check_new_device(void)
{
	int before = fault_count_devices();
	struct firmware firmware;

	firmware_start(&firmware);
	check_works(firmware.node);
	check_empty(firmware.node);
	firmware_kill(&firmware);
	assert_true(firmware_wait_for_unplug(&firmware));
	fault_wait_for_devices(before);
}

static int nop(struct accel *accel)
{
	struct tandem_uring_command command = { .queue = accel->copy };

	return accel_run(accel, TANDEM_URING_NOP, &command);
}

static uint64_t resets(const struct accel *accel)
{
	return accel_param(accel, TANDEM_PARAM_RESETS);
}

/* The bystander may lose the command that it had at the time, no more. */
static void wait_for_reset(struct accel *bystander)
{
	int step, result;

	for (step = 0; !resets(bystander); step++) {
		assert_true(step < WAIT_STEPS);
		usleep(20000);
	}
	for (step = 0; (result = nop(bystander)); step++) {
		if (result != -EIO)
			assert_int_equal(result, 0);
		assert_true(step < WAIT_STEPS);
		usleep(20000);
	}
}

static void wait_until_gone(struct firmware *firmware, struct accel *bystander)
{
	int step;

	for (step = 0; nop(bystander) != -ENODEV; step++) {
		assert_true(step < WAIT_STEPS);
		usleep(20000);
	}
	assert_true(firmware_wait_for_unplug(firmware));
}

void fault_device_ends(struct firmware *firmware, struct accel *bystander,
		       enum ending ending)
{
	if (ending == GONE) {
		wait_until_gone(firmware, bystander);
		accel_close(bystander);
	} else {
		if (ending == RESET)
			wait_for_reset(bystander);
		assert_int_equal(nop(bystander), 0);
		assert_int_equal(resets(bystander), ending == RESET);
		accel_close(bystander);
		check_works(firmware->node);
		check_empty(firmware->node);
	}
	firmware_kill(firmware);
	assert_true(firmware_wait_for_unplug(firmware));
	if (ending == GONE)
		fault_check_new_device();
}
