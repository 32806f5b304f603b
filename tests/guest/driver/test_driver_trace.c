// SPDX-License-Identifier: MIT
/* Tracepoints: a command's life, followed by the job's id. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "accel.h"
#include "firmware.h"
#include "tracing.h"

#define SIZE	65536
#define COOKIE	0xfeedfacecafe0001ll

static struct tracing tracing;

static int start(void **state)
{
	(void)state;
	tracing_start(&tracing);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	tracing_stop(&tracing);
	return 0;
}

static const char *line(size_t index)
{
	if (index >= tracing.count) {
		for (size_t i = 0; i < tracing.count; i++)
			printf("# %s\n", tracing.lines[i]);
		fail_msg("the event is not there");
	}
	return tracing.lines[index];
}

static size_t events_of(long long job, const char *event)
{
	size_t count = 0;

	for (size_t i = tracing_find(&tracing, 0, event, "job", job); i < tracing.count;
	     i = tracing_find(&tracing, i + 1, event, "job", job))
		count++;
	return count;
}

/* Submission, ring and completion of one copy, in this order, once each. */
static void from_submit_to_completion(void **state)
{
	struct tandem_uring_command command = { .length = SIZE, .cookie = COOKIE };
	size_t submit, push, complete;
	struct accel accel;
	long long job;

	(void)state;
	accel_open(&accel, ACCEL0);
	command.queue = accel.copy;
	command.dst_region = accel_region(&accel, 0, accel_object(&accel, SIZE), 0, SIZE,
					  READ | WRITE);
	command.src_region = accel_region(&accel, 0, accel_object(&accel, SIZE), 0, SIZE,
					  READ | WRITE);
	assert_int_equal(accel_run(&accel, TANDEM_URING_COPY, &command), 0);
	tracing_read(&tracing);

	submit = tracing_find(&tracing, 0, "tandem_job_submit", "cookie", COOKIE);
	job = tracing_field(line(submit), "job");
	push = tracing_find(&tracing, submit + 1, "tandem_job_push", "job", job);
	complete = tracing_find(&tracing, push + 1, "tandem_job_complete", "job", job);

	assert_non_null(strstr(line(submit), " dev=tandem-emu0 "));
	assert_non_null(strstr(line(submit), " opcode=COPY "));
	assert_int_equal(tracing_field(line(submit), "length"), SIZE);
	assert_int_equal(tracing_field(line(push), "cookie"), COOKIE);
	assert_true(tracing_field(line(push), "slot") >= 0);
	assert_true(tracing_field(line(push), "command") >= 0);
	assert_int_equal(tracing_field(line(complete), "engine"),
			 tracing_field(line(push), "engine"));
	assert_int_equal(tracing_field(line(complete), "context"),
			 tracing_field(line(submit), "context"));
	assert_int_equal(tracing_field(line(complete), "cookie"), COOKIE);
	assert_int_equal(tracing_field(line(complete), "result"), 0);
	assert_true(tracing_field(line(complete), "duration_ns") > 0);
	assert_true(tracing_field(line(complete), "latency_ns") >=
		    tracing_field(line(complete), "duration_ns"));

	assert_int_equal(events_of(job, "tandem_job_submit"), 1);
	assert_int_equal(events_of(job, "tandem_job_push"), 1);
	assert_int_equal(events_of(job, "tandem_job_complete"), 1);
	assert_int_equal(events_of(job, "tandem_job_cancel"), 0);
	/* The engine's interrupt came between the ring and the end. */
	assert_true(tracing_find(&tracing, push + 1, "tandem_interrupt", "vector",
				 tracing_field(line(push), "engine")) < complete);
	accel_close(&accel);
}

/* Every command has an id that no other one has. */
static void ids_are_unique(void **state)
{
	struct tandem_uring_command command = { 0 };
	struct accel accel;

	(void)state;
	accel_open(&accel, ACCEL0);
	for (uint32_t i = 0; i < 60; i++) {
		command.queue = i % 2 ? accel.copy : accel.compute;
		command.cookie = i + 1;
		assert_int_equal(accel_run(&accel, TANDEM_URING_NOP, &command), 0);
	}
	accel_close(&accel);
	tracing_read(&tracing);
	for (uint32_t i = 0; i < 60; i++) {
		size_t at = tracing_find(&tracing, 0, "tandem_job_submit", "cookie", i + 1);
		long long job = tracing_field(line(at), "job");

		assert_int_equal(events_of(job, "tandem_job_submit"), 1);
		assert_int_equal(events_of(job, "tandem_job_complete"), 1);
	}
}

static void failure_is_in_the_result(void **state)
{
	/* A program of zeros, which the device refuses. */
	struct tandem_uring_command command = { .length = 4096, .cookie = COOKIE };
	struct accel accel;
	size_t complete;

	(void)state;
	accel_open(&accel, ACCEL0);
	command.queue = accel.compute;
	command.src_region = accel_region(&accel, 0, accel_object(&accel, SIZE), 0, SIZE, READ);
	assert_int_equal(accel_run(&accel, TANDEM_URING_EXEC, &command), -EINVAL);
	accel_close(&accel);
	tracing_read(&tracing);
	complete = tracing_find(&tracing, 0, "tandem_job_complete", "cookie", COOKIE);
	assert_int_equal(tracing_field(line(complete), "result"), -EINVAL);
}

static void cancelled_on_the_ring(void **state)
{
	struct tandem_uring_command command = { .length = SIZE, .cookie = COOKIE };
	struct tandem_uring_command cancel = { .cookie = COOKIE };
	size_t cancelled, aborted, complete;
	struct firmware firmware = { 0 };
	int result = 0, other = 0;
	struct accel accel;
	uint64_t which;

	(void)state;
	firmware_start(&firmware);
	accel_open(&accel, firmware.node);
	command.queue = accel.copy;
	cancel.queue = accel.copy;
	command.dst_region = accel_region(&accel, 0, accel_object(&accel, SIZE), 0, SIZE,
					  READ | WRITE);
	kill(firmware.pid, SIGSTOP);
	accel_prepare(&accel, TANDEM_URING_FILL, &command, 1);
	accel_prepare(&accel, TANDEM_URING_CANCEL, &cancel, 2);
	assert_int_equal(io_uring_submit(&accel.ring), 2);
	kill(firmware.pid, SIGCONT);
	for (int i = 0; i < 2; i++) {
		int got = accel_wait(&accel, &which);

		*(which == 1 ? &result : &other) = got;
	}
	assert_int_equal(other, 0);
	/* It may have been carried out before the firmware saw the abort. */
	if (result)
		assert_int_equal(result, -ECANCELED);
	accel_close(&accel);
	firmware_kill(&firmware);

	tracing_read(&tracing);
	cancelled = tracing_find(&tracing, 0, "tandem_job_cancel", "cookie", COOKIE);
	aborted = tracing_find(&tracing, cancelled, "tandem_job_abort", "job",
			       tracing_field(line(cancelled), "job"));
	complete = tracing_find(&tracing, aborted, "tandem_job_complete", "job",
				tracing_field(line(aborted), "job"));
	assert_int_equal(tracing_field(line(complete), "result"), result);
}

static void contexts_and_objects(void **state)
{
	size_t created, freed, begun, ended;
	struct accel accel;
	uint32_t handle;

	(void)state;
	accel_open(&accel, ACCEL1);
	handle = accel_object(&accel, 3 * SIZE);
	accel_object_close(&accel, handle);
	accel_close(&accel);

	tracing_read(&tracing);
	created = tracing_find(&tracing, 0, "tandem_object_create", "size", 3 * SIZE);
	assert_non_null(strstr(line(created), " dev=tandem-emu1 "));
	assert_int_equal(tracing_field(line(created), "host"), 0);
	freed = tracing_find(&tracing, created, "tandem_object_free", "address",
			     tracing_field(line(created), "address"));
	assert_int_equal(tracing_field(line(freed), "size"), 3 * SIZE);

	for (begun = 0; begun < tracing.count; begun++)
		if (tracing_is(tracing.lines[begun], "tandem_context_create"))
			break;
	ended = tracing_find(&tracing, begun, "tandem_context_destroy", "context",
			     tracing_field(line(begun), "context"));
	assert_true(ended < tracing.count);
}

static void write_attribute(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void resets(void **state)
{
	size_t begun, ended;

	(void)state;
	write_attribute("/sys/class/accel/accel1/device/reset", "1");
	tracing_read(&tracing);
	for (begun = 0; begun < tracing.count; begun++)
		if (tracing_is(tracing.lines[begun], "tandem_reset_begin"))
			break;
	assert_non_null(strstr(line(begun), "dev=tandem-emu1 reason=asked"));
	ended = tracing_find(&tracing, begun + 1, "tandem_reset_end", "result", 0);
	assert_non_null(strstr(line(ended), "dev=tandem-emu1 "));
}

int main(void)
{
#define TEST(name)	cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(from_submit_to_completion),
		TEST(ids_are_unique),
		TEST(failure_is_in_the_result),
		TEST(cancelled_on_the_ring),
		TEST(contexts_and_objects),
		TEST(resets),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("driver: tracepoints", tests, NULL, NULL);
}
