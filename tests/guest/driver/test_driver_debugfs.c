// SPDX-License-Identifier: MIT
/*
 * debugfs of a device at work, and what tracepoints tell of fences and bans. The
 * device is a toy, so that there is something to see for as long as it takes.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accel.h"
#include "syncobj.h"
#include "sysfs.h"
#include "toy_device.h"
#include "tracing.h"

#define PAGE	4096
#define SHORT	90
#define LONG	10
#define COOKIE	0xfeed0000ull

static struct toy_device toy;
static struct accel accel;
static char node[300];
static uint32_t region;
static char text[1 << 20];

static int setup(void **state)
{
	(void)state;
	toy_start(&toy, TOY_NO_DEFECT);
	assert_true(toy_find_node(&toy, node, sizeof(node), 30));
	accel_open_ring(&accel, node, 256, 0);
	region = accel_region(&accel, 0, accel_object(&accel, 8 * PAGE), 0,
			      8 * PAGE, READ | WRITE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	driver_parameter("command_timeout_ms", "60000");
	driver_parameter("ban_score", "16");
	accel_close(&accel);
	toy_kill(&toy);
	return 0;
}

static const char *read_file(uint32_t slot, const char *name)
{
	char path[128];
	size_t length;
	FILE *file;

	snprintf(path, sizeof(path),
		 "/sys/kernel/debug/accel/tandem-emu%u/%s", slot, name);
	file = fopen(path, "re");
	if (!file)
		fail_msg("%s: %s", path, strerror(errno));
	length = fread(text, 1, sizeof(text) - 1, file);
	assert_int_equal(ferror(file), 0);
	fclose(file);
	text[length] = '\0';
	return text;
}

static void prepare_fill(uint32_t queue, uint32_t pages, uint64_t cookie,
			 uint32_t in, uint32_t out)
{
	struct tandem_uring_command fill = {
		.queue = queue,
		.dst_region = region,
		.length = pages * PAGE,
		.cookie = cookie,
		.in_syncobj = in,
		.out_syncobj = out,
	};

	accel_prepare(&accel, TANDEM_URING_FILL, &fill, cookie);
}

static int count_lines(const char *what)
{
	const char *at = text;
	int count = 0;

	while ((at = strstr(at, what))) {
		count++;
		at++;
	}
	return count;
}

/* The line that has this, cut out; fails the test when there is none. */
static const char *line_with(const char *what)
{
	static char line[512];
	const char *at = strstr(text, what), *start;

	if (!at)
		fail_msg("no '%s' in:\n%s", what, text);
	for (start = at; start > text && start[-1] != '\n';)
		start--;
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(start, "\n"), start);
	return line;
}

static void test_jobs(void **state)
{
	uint32_t fence = syncobj_create(&accel);
	char expected[64];
	const char *line;
	int i;

	(void)state;
	assert_string_equal(read_file(toy.shared->slot, "jobs"), "");
	toy.shared->manner = TOY_HOLD;
	for (i = 0; i < 5; i++)
		prepare_fill(accel.copy, 1, COOKIE + i, 0, i ? 0 : fence);
	assert_int_equal(io_uring_submit(&accel.ring), 5);
	prepare_fill(accel.compute, 1, COOKIE + 5, fence, 0);
	assert_int_equal(io_uring_submit(&accel.ring), 1);

	read_file(toy.shared->slot, "jobs");
	assert_int_equal(count_lines("job="), 6);
	assert_int_equal(count_lines(" op=FILL "), 6);
	/* Of what is not known yet, two are on the ring. */
	assert_int_equal(count_lines(" state=running "), 2);
	assert_int_equal(count_lines(" state=waiting "), 3);
	assert_int_equal(count_lines(" state=blocked "), 1);
	line = line_with(" cookie=0xfeed0005 ");
	snprintf(expected, sizeof(expected), " queue=%u ", accel.compute);
	assert_non_null(strstr(line, expected));
	assert_non_null(strstr(line, " state=blocked engine=0 "));
	snprintf(expected, sizeof(expected), " pid=%d comm=test_driver_deb",
		 getpid());
	assert_non_null(strstr(line, expected));
	line = line_with(" cookie=0xfeed0000 ");
	assert_non_null(strstr(line, " state=running "));
	assert_null(strstr(line, " engine=0 "));
	assert_true(strtol(strstr(line, " age_us=") + 8, NULL, 10) > 0);

	toy.shared->manner = TOY_GOOD;
	for (i = 0; i < 6; i++)
		assert_int_equal(accel_wait(&accel, NULL), 0);
	assert_string_equal(read_file(toy.shared->slot, "jobs"), "");
}

/* Of very many commands some are shown, and how many there are more. */
static void test_many_jobs(void **state)
{
	int i, j;

	(void)state;
	toy.shared->manner = TOY_HOLD;
	for (i = 0; i < 4; i++) {
		for (j = 0; j < 250; j++)
			prepare_fill(accel.copy, 1, COOKIE, 0, 0);
		assert_int_equal(io_uring_submit(&accel.ring), 250);
	}
	read_file(toy.shared->slot, "jobs");
	assert_int_equal(count_lines("job="), 512);
	assert_non_null(strstr(text, "and 488 more that wait\n"));
}

/* The numbers of a row: of how many, and three percentiles. */
static void read_row(const char *kind, const char *what,
		     unsigned long long *numbers)
{
	char row_kind[16], row_what[16];
	char *line, *rest;
	unsigned int engine;

	for (line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (sscanf(line, "%u %15s %15s %llu %llu %llu %llu", &engine,
			   row_kind, row_what, &numbers[0], &numbers[1],
			   &numbers[2], &numbers[3]) == 7 &&
		    !strcmp(row_kind, kind) && !strcmp(row_what, what))
			return;
	}
	fail_msg("no row %s %s", kind, what);
}

static void test_latency(void **state)
{
	unsigned long long duration[4], latency[4];
	uint32_t i;

	(void)state;
	read_file(toy.shared->slot, "latency");
	assert_non_null(strstr(text, "p50_below_ns   p90_below_ns   p99_below_ns\n"));
	read_row("copy", "latency", latency);
	assert_int_equal(latency[0], 0);
	assert_int_equal(latency[3], 0);

	/* Half a millisecond each, and some of four, as the toy counts. */
	toy.shared->page_us = 500;
	for (i = 0; i < SHORT + LONG; i++)
		prepare_fill(accel.copy, i < SHORT ? 1 : 8, i, 0, 0);
	assert_int_equal(io_uring_submit(&accel.ring), SHORT + LONG);
	for (i = 0; i < SHORT + LONG; i++)
		assert_int_equal(accel_wait(&accel, NULL), 0);

	read_file(toy.shared->slot, "latency");
	assert_non_null(strstr(text, "duration below_ns=524288 count=90\n"));
	assert_non_null(strstr(text, "duration below_ns=4194304 count=10\n"));
	read_row("copy", "duration", duration);
	assert_int_equal(duration[0], SHORT + LONG);
	assert_int_equal(duration[1], 1 << 19);
	assert_int_equal(duration[2], 1 << 19);
	assert_int_equal(duration[3], 1 << 22);
	read_file(toy.shared->slot, "latency");
	read_row("copy", "latency", latency);
	assert_int_equal(latency[0], SHORT + LONG);
	for (i = 1; i < 4; i++)
		assert_true(latency[i] >= duration[i]);
	read_file(toy.shared->slot, "latency");
	read_row("compute", "latency", latency);
	assert_int_equal(latency[0], 0);
}

/* Of a device that has one: the first that the guest starts with. */
static void test_firmware_log(void **state)
{
	const char *at;

	(void)state;
	read_file(0, "firmware_log");
	assert_true(strlen(text) > 0);
	for (at = text; *at; at++)
		assert_true(*at == '\n' || isprint((unsigned char)*at));
	assert_int_equal(at[-1], '\n');
}

static void test_fence_waits_are_traced(void **state)
{
	uint32_t fence = syncobj_create(&accel);
	size_t block, unblock, push;
	struct tracing tracing;

	(void)state;
	tracing_start(&tracing);
	toy.shared->manner = TOY_HOLD;
	prepare_fill(accel.copy, 1, COOKIE, 0, fence);
	assert_int_equal(io_uring_submit(&accel.ring), 1);
	prepare_fill(accel.compute, 1, COOKIE + 1, fence, 0);
	assert_int_equal(io_uring_submit(&accel.ring), 1);
	toy.shared->manner = TOY_GOOD;
	assert_int_equal(accel_wait(&accel, NULL), 0);
	assert_int_equal(accel_wait(&accel, NULL), 0);
	tracing_read(&tracing);
	block = tracing_find(&tracing, 0, "tandem_job_block", "cookie",
			     COOKIE + 1);
	unblock = tracing_find(&tracing, block, "tandem_job_unblock", "cookie",
			       COOKIE + 1);
	push = tracing_find(&tracing, unblock, "tandem_job_push", "cookie",
			    COOKIE + 1);
	assert_true(push < tracing.count);
	assert_int_equal(tracing_field(tracing.lines[unblock], "error"), 0);
	assert_true(tracing_find(&tracing, 0, "tandem_job_block", "cookie",
				 COOKIE) == tracing.count);
	tracing_stop(&tracing);
}

static void test_bans_are_traced(void **state)
{
	struct tracing tracing;
	size_t submit, ban;

	(void)state;
	driver_parameter("ban_score", "6");
	driver_parameter("command_timeout_ms", "300");
	tracing_start(&tracing);
	toy.shared->manner = TOY_HANG_UNTIL_ABORT;
	prepare_fill(accel.copy, 1, COOKIE, 0, 0);
	assert_int_equal(io_uring_submit(&accel.ring), 1);
	assert_int_equal(accel_wait(&accel, NULL), -ETIMEDOUT);
	tracing_read(&tracing);
	submit = tracing_find(&tracing, 0, "tandem_job_submit", "cookie",
			      COOKIE);
	assert_true(submit < tracing.count);
	ban = tracing_find(&tracing, submit, "tandem_context_ban", "context",
			   tracing_field(tracing.lines[submit], "context"));
	assert_true(ban < tracing.count);
	assert_int_equal(tracing_field(tracing.lines[ban], "faults"), 1);
	assert_int_equal(tracing_field(tracing.lines[ban], "resets"), 0);
	assert_int_equal(tracing_field(tracing.lines[ban], "pid"), getpid());
	tracing_stop(&tracing);
}

#define DEBUGFS_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DEBUGFS_TEST(test_jobs),
		DEBUGFS_TEST(test_many_jobs),
		DEBUGFS_TEST(test_latency),
		DEBUGFS_TEST(test_firmware_log),
		DEBUGFS_TEST(test_fence_waits_are_traced),
		DEBUGFS_TEST(test_bans_are_traced),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
