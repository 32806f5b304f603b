// SPDX-License-Identifier: MIT
/* fdinfo: the format of drm-usage-stats, and numbers that move with work. */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accel.h"
#include "firmware.h"

#define SIZE	(4 * MIB)

struct fdinfo {
	char text[8192];
};

static void fdinfo_read(const struct accel *accel, struct fdinfo *info)
{
	char path[64];
	size_t length;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", accel->fd);
	file = fopen(path, "re");
	assert_non_null(file);
	length = fread(info->text, 1, sizeof(info->text) - 1, file);
	info->text[length] = 0;
	fclose(file);
}

/* What follows a key and the blanks after it, or NULL. */
static const char *value_of(const struct fdinfo *info, const char *key)
{
	char start[96];
	const char *at;

	snprintf(start, sizeof(start), "\n%s:", key);
	at = strstr(info->text, start);
	if (!at)
		return NULL;
	at += strlen(start);
	return at + strspn(at, " \t");
}

/* In bytes, nanoseconds or just so many. */
static uint64_t number(const struct fdinfo *info, const char *key)
{
	const char *value = value_of(info, key);
	unsigned long long result;
	char *unit;

	if (!value)
		fail_msg("there is no %s in:\n%s", key, info->text);
	result = strtoull(value, &unit, 10);
	assert_true(unit != value);
	if (!strncmp(unit, " KiB\n", 5))
		return result << 10;
	if (!strncmp(unit, " MiB\n", 5))
		return result << 20;
	if (strncmp(unit, " ns\n", 4))
		assert_int_equal(*unit, '\n');
	return result;
}

/* The sum over all kinds of device memory. */
static uint64_t device_memory(const struct fdinfo *info, const char *what)
{
	static const char *const kinds[] = { "dram", "hbm", "sram" };
	uint64_t sum = 0;
	char key[64];

	for (size_t i = 0; i < 3; i++) {
		snprintf(key, sizeof(key), "drm-%s-%s", what, kinds[i]);
		if (value_of(info, key))
			sum += number(info, key);
	}
	return sum;
}

/* Each line "key: value"; keys without blanks, none of them twice. */
static void the_format(void **state)
{
	struct fdinfo info, copy;
	char *line, *rest;
	struct accel accel;
	int ours = 0;

	(void)state;
	accel_open(&accel, ACCEL0);
	fdinfo_read(&accel, &info);
	copy = info;
	for (line = strtok_r(copy.text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *colon = strchr(line, ':'), start[96];
		const char *first;

		if (strncmp(line, "drm-", 4))
			continue;
		ours++;
		assert_non_null(colon);
		for (char *c = line; c < colon; c++)
			assert_true(isalnum((unsigned char)*c) || *c == '-');
		snprintf(start, sizeof(start), "\n%.*s:", (int)(colon - line), line);
		first = strstr(info.text, start);
		assert_non_null(first);
		assert_null(strstr(first + 1, start));
		if (!strncmp(line, "drm-engine-capacity-", 20))
			assert_true(strtoul(colon + 1, NULL, 10) > 0);
		else if (!strncmp(line, "drm-engine-", 11))
			assert_string_equal(line + strlen(line) - 3, " ns");
	}
	assert_true(ours > 8);
	assert_int_equal(strncmp(value_of(&info, "drm-driver"), "tandem\n", 7), 0);
	assert_true(number(&info, "drm-client-id") > 0);
	assert_non_null(value_of(&info, "drm-total-memory"));
	accel_close(&accel);
}

static void files_are_different_clients(void **state)
{
	struct accel one, other;
	struct fdinfo info;
	uint64_t id;

	(void)state;
	accel_open(&one, ACCEL0);
	accel_open(&other, ACCEL0);
	fdinfo_read(&one, &info);
	id = number(&info, "drm-client-id");
	fdinfo_read(&other, &info);
	assert_int_not_equal(number(&info, "drm-client-id"), id);
	accel_close(&one);
	accel_close(&other);
}

static void engines_move_with_work(void **state)
{
	struct accel accel, other;
	uint64_t copying, before = 0;
	struct fdinfo info;
	uint32_t region;

	(void)state;
	accel_open(&accel, ACCEL0);
	accel_open(&other, ACCEL0);
	region = accel_region(&accel, 0, accel_object(&accel, SIZE), 0, SIZE, READ | WRITE);
	fdinfo_read(&accel, &info);
	assert_int_equal(number(&info, "drm-engine-copy"), 0);
	assert_int_equal(number(&info, "drm-engine-compute"), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(accel_fill(&accel, region, 0, i, SIZE), 0);
		fdinfo_read(&accel, &info);
		copying = number(&info, "drm-engine-copy");
		assert_true(copying > before);
		before = copying;
	}
	assert_int_equal(number(&info, "drm-engine-compute"), 0);
	fdinfo_read(&other, &info);
	assert_int_equal(number(&info, "drm-engine-copy"), 0);
	accel_close(&accel);
	accel_close(&other);
}

static void memory_moves_with_allocation(void **state)
{
	struct accel accel, other;
	uint32_t handle, imported;
	struct fdinfo info;
	int dmabuf;

	(void)state;
	accel_open(&accel, ACCEL0);
	accel_open(&other, ACCEL1);
	fdinfo_read(&accel, &info);
	assert_int_equal(device_memory(&info, "total"), 0);
	handle = accel_object(&accel, SIZE);
	fdinfo_read(&accel, &info);
	assert_int_equal(device_memory(&info, "total"), SIZE);
	assert_int_equal(device_memory(&info, "resident"), SIZE);
	assert_int_equal(device_memory(&info, "shared"), 0);
	assert_int_equal(device_memory(&info, "active"), 0);

	dmabuf = accel_export(&accel, handle);
	assert_int_equal(accel_import(&other, dmabuf, &imported), 0);
	fdinfo_read(&accel, &info);
	assert_int_equal(device_memory(&info, "shared"), SIZE);
	fdinfo_read(&other, &info);
	assert_int_equal(number(&info, "drm-total-memory"), SIZE);
	assert_int_equal(number(&info, "drm-resident-memory"), 0);
	assert_int_equal(device_memory(&info, "total"), 0);
	close(dmabuf);
	accel_object_close(&other, imported);

	accel_object_close(&accel, handle);
	fdinfo_read(&accel, &info);
	assert_int_equal(device_memory(&info, "total"), 0);
	assert_int_equal(device_memory(&info, "resident"), 0);
	accel_close(&accel);
	accel_close(&other);
}

/* While a command is held up, what its context has mapped is active. */
static void memory_is_active_while_used(void **state)
{
	struct tandem_uring_command command = { .length = SIZE };
	struct firmware firmware = { 0 };
	struct accel accel;
	struct fdinfo info;

	(void)state;
	firmware_start(&firmware);
	accel_open(&accel, firmware.node);
	command.queue = accel.copy;
	command.dst_region = accel_region(&accel, 0, accel_object(&accel, SIZE), 0, SIZE, WRITE);
	accel_object(&accel, 2 * SIZE);
	kill(firmware.pid, SIGSTOP);
	/* Its threads stop one after the other. */
	assert_int_equal(waitpid(firmware.pid, NULL, WUNTRACED), firmware.pid);
	accel_prepare(&accel, TANDEM_URING_FILL, &command, 1);
	assert_int_equal(io_uring_submit(&accel.ring), 1);
	fdinfo_read(&accel, &info);
	kill(firmware.pid, SIGCONT);
	assert_int_equal(device_memory(&info, "active"), SIZE);
	assert_int_equal(device_memory(&info, "total"), 3 * SIZE);
	assert_int_equal(accel_wait(&accel, NULL), 0);
	fdinfo_read(&accel, &info);
	assert_int_equal(device_memory(&info, "active"), 0);
	accel_close(&accel);
	firmware_kill(&firmware);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_format),
		cmocka_unit_test(files_are_different_clients),
		cmocka_unit_test(engines_move_with_work),
		cmocka_unit_test(memory_moves_with_allocation),
		cmocka_unit_test(memory_is_active_while_used),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("driver: fdinfo", tests, NULL, NULL);
}
