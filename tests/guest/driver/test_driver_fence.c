// SPDX-License-Identifier: MIT
/*
 * Fences: commands that wait for others, on other queues and other devices, and
 * what becomes of them when what they wait for fails, or never comes.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accel.h"
#include "firmware.h"
#include "gate.h"
#include "syncobj.h"

#define SIZE	MIB
/* In milliseconds: for what is sure to come. */
#define LONG	60000

static struct gate gate;
static struct accel accel;
static uint32_t region;
static volatile uint32_t *memory;

static int setup(void **state)
{
	uint32_t handle;

	(void)state;
	gate_start(&gate);
	accel_open_ring(&accel, ACCEL0, 2048, 0);
	handle = accel_object(&accel, SIZE);
	region = accel_region(&accel, 0, handle, 0, SIZE, READ | WRITE);
	memory = accel_map(&accel, handle, SIZE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	munmap((void *)memory, SIZE);
	accel_close(&accel);
	gate_stop(&gate);
	return 0;
}

static struct tandem_uring_command fill(uint32_t pattern, uint32_t in)
{
	return (struct tandem_uring_command){
		.queue = accel.copy,
		.dst_region = region,
		.src_offset = pattern,
		.length = 4096,
		.in_syncobj = in,
	};
}

static void submit(const struct tandem_uring_command *command, uint64_t id)
{
	accel_prepare(&accel, TANDEM_URING_FILL, command, id);
	assert_int_equal(io_uring_submit(&accel.ring), 1);
}

static void assert_ends(uint64_t expected_id, int expected)
{
	uint64_t id;
	int result = accel_wait(&accel, &id);

	assert_int_equal(id, expected_id);
	assert_int_equal(result, expected);
}

/* Another queue goes on meanwhile; so what waits would have been done. */
static void assert_nothing_ends(void)
{
	struct tandem_uring_command nop = { .queue = accel.compute };
	struct io_uring_cqe *cqe;
	int i;

	for (i = 0; i < 10; i++)
		assert_int_equal(accel_run(&accel, TANDEM_URING_NOP, &nop), 0);
	assert_int_equal(io_uring_peek_cqe(&accel.ring, &cqe), -EAGAIN);
}

static void test_the_end_signals(void **state)
{
	struct tandem_uring_command command = fill(1, 0);

	(void)state;
	command.out_syncobj = syncobj_create(&accel);
	submit(&command, 1);
	assert_true(syncobj_wait(&accel, command.out_syncobj, 0, LONG));
	assert_int_equal(memory[0], 1);
	assert_ends(1, 0);
	/* And again: the new fence takes the place of the old one. */
	command.src_offset = 2;
	command.in_syncobj = command.out_syncobj;
	submit(&command, 2);
	assert_true(syncobj_wait(&accel, command.out_syncobj, 0, LONG));
	assert_int_equal(memory[0], 2);
	assert_ends(2, 0);
	syncobj_destroy(&accel, command.out_syncobj);
}

static void test_a_point_signals(void **state)
{
	struct tandem_uring_command command = fill(3, 0);

	(void)state;
	command.out_syncobj = syncobj_create(&accel);
	command.out_point = 7;
	submit(&command, 1);
	assert_true(syncobj_wait(&accel, command.out_syncobj, 7, LONG));
	assert_int_equal(syncobj_query(&accel, command.out_syncobj), 7);
	assert_int_equal(memory[0], 3);
	assert_ends(1, 0);
	syncobj_destroy(&accel, command.out_syncobj);
}

static void test_what_does_not_exist_is_refused(void **state)
{
	struct tandem_uring_command command = fill(4, syncobj_create(&accel));
	uint32_t empty = command.in_syncobj;

	(void)state;
	memory[0] = 0;
	assert_int_equal(accel_run(&accel, TANDEM_URING_FILL, &command),
			 -EINVAL);
	command.in_point = 1;
	assert_int_equal(accel_run(&accel, TANDEM_URING_FILL, &command),
			 -EINVAL);
	syncobj_signal(&accel, empty, 5);
	command.in_point = 6;
	assert_int_equal(accel_run(&accel, TANDEM_URING_FILL, &command),
			 -EINVAL);
	command.in_point = 0;
	command.in_syncobj = empty + 100;
	assert_int_equal(accel_run(&accel, TANDEM_URING_FILL, &command),
			 -ENOENT);
	command.in_syncobj = 0;
	command.out_syncobj = empty + 100;
	assert_int_equal(accel_run(&accel, TANDEM_URING_FILL, &command),
			 -ENOENT);
	assert_int_equal(memory[0], 0);

	command.out_syncobj = 0;
	command.in_syncobj = empty;
	command.in_point = 5;
	assert_int_equal(accel_run(&accel, TANDEM_URING_FILL, &command), 0);
	command.in_point = 3;
	assert_int_equal(accel_run(&accel, TANDEM_URING_FILL, &command), 0);
	assert_int_equal(memory[0], 4);
	/* A syncobj without a timeline has no points. */
	command = fill(4, 0);
	command.out_syncobj = syncobj_create(&accel);
	assert_int_equal(accel_run(&accel, TANDEM_URING_FILL, &command), 0);
	command = fill(4, command.out_syncobj);
	command.in_point = 1;
	assert_int_equal(accel_run(&accel, TANDEM_URING_FILL, &command),
			 -EINVAL);
	syncobj_destroy(&accel, command.in_syncobj);
	syncobj_destroy(&accel, empty);
}

/* A refused command leaves the syncobj as it was. */
static void test_no_fence_of_a_refused_command(void **state)
{
	struct tandem_uring_command command = fill(5, 0);

	(void)state;
	command.out_syncobj = syncobj_create(&accel);
	command.dst_region = 999;
	assert_int_equal(accel_run(&accel, TANDEM_URING_FILL, &command),
			 -EACCES);
	command = fill(5, command.out_syncobj);
	assert_int_equal(accel_run(&accel, TANDEM_URING_FILL, &command),
			 -EINVAL);
	syncobj_destroy(&accel, command.in_syncobj);
}

static void test_one_device_waits_for_another(void **state)
{
	struct tandem_uring_command command;
	uint32_t in = gate_close(&gate, &accel);
	int tries;

	(void)state;
	memory[0] = 0;
	command = fill(6, in);
	submit(&command, 1);
	/* Later commands of the queue wait, too. */
	command = fill(7, 0);
	command.dst_offset = 4096;
	submit(&command, 2);
	assert_nothing_ends();
	assert_int_equal(memory[0], 0);

	gate_open(&gate);
	/* The process calls into neither driver: it only looks. */
	for (tries = 0; tries < LONG && memory[1024] != 7; tries++)
		usleep(1000);
	assert_int_equal(memory[0], 6);
	assert_int_equal(memory[1024], 7);
	assert_ends(1, 0);
	assert_ends(2, 0);
	gate_expect(&gate, 0);
	syncobj_destroy(&accel, in);
}

/* The device has been suspended since nothing was to be done. */
static void test_a_fence_wakes_the_device(void **state)
{
	struct tandem_uring_command command;
	uint32_t in;

	(void)state;
	memory[0] = 0;
	/* Longer than the delay after which it is. */
	sleep(5);
	in = gate_close(&gate, &accel);
	command = fill(20, in);
	submit(&command, 1);
	sleep(5);
	gate_open(&gate);
	assert_ends(1, 0);
	assert_int_equal(memory[0], 20);
	gate_expect(&gate, 0);
	syncobj_destroy(&accel, in);
}

/* Turn by turn, each device waiting for the other's point. */
static void test_a_timeline_of_two_devices(void **state)
{
	struct accel other;
	uint32_t here = syncobj_create(&accel), there, region_there;
	struct tandem_uring_command command;
	uint64_t point;
	int i;

	(void)state;
	accel_open_ring(&other, ACCEL1, 512, 0);
	there = syncobj_share(&accel, here, &other);
	region_there = accel_region(&other, 0, accel_object(&other, SIZE), 0,
				    SIZE, READ | WRITE);
	for (point = 1; point <= 400; point++) {
		command = fill(point, point > 1 ? here : 0);
		command.in_point = point - 1;
		command.out_syncobj = here;
		command.out_point = point;
		if (point % 2) {
			submit(&command, point);
			continue;
		}
		command.queue = other.copy;
		command.dst_region = region_there;
		command.in_syncobj = there;
		command.out_syncobj = there;
		accel_prepare(&other, TANDEM_URING_FILL, &command, point);
		assert_int_equal(io_uring_submit(&other.ring), 1);
	}
	assert_true(syncobj_wait(&accel, here, 400, LONG));
	assert_int_equal(syncobj_query(&other, there), 400);
	assert_int_equal(memory[0], 399);
	for (i = 0; i < 200; i++) {
		assert_ends(2 * i + 1, 0);
		assert_int_equal(accel_wait(&other, &point), 0);
		assert_int_equal(point, 2 * i + 2);
	}
	accel_close(&other);
	syncobj_destroy(&accel, here);
}

/* More than any ring has room for, all behind one fence. */
static void test_thousands_wait(void **state)
{
	struct tandem_uring_command command;
	uint32_t in = gate_close(&gate, &accel);
	int i;

	(void)state;
	for (i = 0; i < 2000; i++) {
		command = fill(i, i % 3 ? 0 : in);
		accel_prepare(&accel, TANDEM_URING_FILL, &command, i);
	}
	assert_int_equal(io_uring_submit(&accel.ring), 2000);
	assert_nothing_ends();
	gate_open(&gate);
	for (i = 0; i < 2000; i++)
		assert_ends(i, 0);
	assert_int_equal(memory[0], 1999);
	gate_expect(&gate, 0);
	syncobj_destroy(&accel, in);
}

static void test_failure_is_passed_on(void **state)
{
	struct tandem_uring_command command;
	uint32_t in = gate_close(&gate, &accel), out = syncobj_create(&accel);
	uint32_t queue = accel_queue(&accel, accel.context, TANDEM_QUEUE_COPY);
	int fence, i, result;
	uint64_t id;

	(void)state;
	memory[0] = 0;
	command = fill(8, in);
	command.out_syncobj = out;
	submit(&command, 0);
	fence = syncobj_export_fence(&accel, out);
	assert_int_equal(sync_file_status(fence), 0);
	/* One that waits for it in turn, and one behind it on its queue. */
	command = fill(9, out);
	command.queue = queue;
	submit(&command, 1);
	command = fill(10, 0);
	command.dst_offset = 4096;
	submit(&command, 2);
	assert_nothing_ends();

	gate_break(&gate);
	for (i = 0; i < 3; i++) {
		result = accel_wait(&accel, &id);
		assert_true(id < 3);
		assert_int_equal(result, id == 2 ? 0 : -ECANCELED);
	}
	assert_int_equal(sync_file_status(fence), -ECANCELED);
	assert_int_equal(memory[0], 0);
	assert_int_equal(memory[1024], 10);
	gate_expect(&gate, -ECANCELED);
	/* Likewise for one that has failed before. */
	command = fill(11, out);
	assert_int_equal(accel_run(&accel, TANDEM_URING_FILL, &command),
			 -ECANCELED);
	assert_int_equal(memory[0], 0);
	close(fence);
	syncobj_destroy(&accel, in);
	syncobj_destroy(&accel, out);
}

static void test_failed_point_is_passed_on(void **state)
{
	struct tandem_uring_command first = fill(12, 0), command;
	uint32_t in = gate_close(&gate, &accel);
	uint32_t queue = accel_queue(&accel, accel.context, TANDEM_QUEUE_COPY);
	int i, result;
	uint64_t id;

	(void)state;
	memory[0] = 0;
	first.in_syncobj = in;
	first.out_syncobj = syncobj_create(&accel);
	first.out_point = 3;
	submit(&first, 0);
	command = fill(13, first.out_syncobj);
	command.in_point = 3;
	command.queue = queue;
	submit(&command, 1);
	gate_break(&gate);
	for (i = 0; i < 2; i++) {
		result = accel_wait(&accel, &id);
		assert_int_equal(result, -ECANCELED);
	}
	assert_int_equal(memory[0], 0);
	gate_expect(&gate, -ECANCELED);
	syncobj_destroy(&accel, in);
	syncobj_destroy(&accel, first.out_syncobj);
}

/* Thousands that each wait for the one before, and the first fails. */
static void test_failure_goes_a_long_way(void **state)
{
	uint32_t queues[2] = { accel.copy, accel.compute };
	uint32_t in = gate_close(&gate, &accel), out = syncobj_create(&accel);
	struct tandem_uring_command command;
	int i;

	(void)state;
	for (i = 0; i < 2000; i++) {
		command = fill(14, i ? out : in);
		command.queue = queues[i % 2];
		command.out_syncobj = out;
		accel_prepare(&accel, TANDEM_URING_FILL, &command, i);
	}
	assert_int_equal(io_uring_submit(&accel.ring), 2000);
	gate_break(&gate);
	/* In any order, since a fence signals before its command completes. */
	for (i = 0; i < 2000; i++)
		assert_int_equal(accel_wait(&accel, NULL), -ECANCELED);
	assert_int_equal(accel_fill(&accel, region, 0, 15, 4), 0);
	gate_expect(&gate, -ECANCELED);
	syncobj_destroy(&accel, in);
	syncobj_destroy(&accel, out);
}

static void test_cancel_while_it_waits(void **state)
{
	struct tandem_uring_command command, cancel = {
		.queue = accel.copy,
		.cookie = 5,
	};
	uint32_t in = gate_close(&gate, &accel), out = syncobj_create(&accel);
	uint64_t id, ended = 0;
	int result, i;

	(void)state;
	command = fill(16, in);
	command.cookie = 5;
	command.out_syncobj = out;
	submit(&command, 1);
	command = fill(17, 0);
	submit(&command, 2);
	assert_nothing_ends();
	accel_prepare(&accel, TANDEM_URING_CANCEL, &cancel, 3);
	assert_int_equal(io_uring_submit(&accel.ring), 1);
	/* What waited behind it goes on. */
	assert_true(syncobj_wait(&accel, out, 0, LONG));
	assert_ends(3, 0);
	/* Fences signal before their commands complete, so the next may overtake it. */
	for (i = 0; i < 2; i++) {
		result = accel_wait(&accel, &id);
		assert_in_range(id, 1, 2);
		assert_int_equal(result, id == 1 ? -ECANCELED : 0);
		ended |= id;
	}
	assert_int_equal(ended, 1 | 2);
	assert_int_equal(memory[0], 17);
	gate_open(&gate);
	gate_expect(&gate, 0);
	assert_int_equal(memory[0], 17);
	syncobj_destroy(&accel, in);
	syncobj_destroy(&accel, out);
}

static void test_queue_destroyed_while_it_waits(void **state)
{
	struct drm_tandem_queue_destroy destroy = {
		.queue = accel_queue(&accel, accel.context, TANDEM_QUEUE_COPY),
	};
	uint32_t in = gate_close(&gate, &accel);
	struct tandem_uring_command command = fill(18, in);

	(void)state;
	command.queue = destroy.queue;
	submit(&command, 1);
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_QUEUE_DESTROY,
				     &destroy), 0);
	assert_ends(1, -ECANCELED);
	gate_open(&gate);
	gate_expect(&gate, 0);
	syncobj_destroy(&accel, in);
}

static void test_context_destroyed_while_it_waits(void **state)
{
	struct drm_tandem_context_destroy destroy = {
		.context = accel_context(&accel),
	};
	uint32_t in = gate_close(&gate, &accel);
	struct tandem_uring_command command = {
		.queue = accel_queue(&accel, destroy.context,
				     TANDEM_QUEUE_COPY),
		.in_syncobj = in,
	};

	(void)state;
	accel_prepare(&accel, TANDEM_URING_NOP, &command, 1);
	assert_int_equal(io_uring_submit(&accel.ring), 1);
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_CONTEXT_DESTROY,
				     &destroy), 0);
	assert_ends(1, -ECANCELED);
	gate_open(&gate);
	gate_expect(&gate, 0);
	syncobj_destroy(&accel, in);
}

/* In another process: waits behind the gate, and tells when it does. */
static void wait_in_child(uint32_t in, int ready, bool close_ring)
{
	struct tandem_uring_command command = { 0 };
	struct accel own;

	accel_open_ring(&own, ACCEL0, 64, 0);
	command.queue = own.copy;
	command.in_syncobj = syncobj_share(&accel, in, &own);
	command.out_syncobj = syncobj_create(&own);
	accel_prepare(&own, TANDEM_URING_NOP, &command, 1);
	if (io_uring_submit(&own.ring) != 1)
		_exit(1);
	if (close_ring) {
		accel_close(&own);
		_exit(0);
	}
	if (write(ready, "", 1) != 1)
		_exit(1);
	pause();
	_exit(1);
}

/* By the end of its ring, and by that of its process. */
static void test_abandoned_while_it_waits(void **state)
{
	int ready[2], status, round;
	uint32_t in;
	pid_t pid;
	char byte;

	(void)state;
	for (round = 0; round < 2; round++) {
		in = gate_close(&gate, &accel);
		assert_int_equal(pipe(ready), 0);
		pid = fork();
		if (!pid)
			wait_in_child(in, ready[1], round);
		if (!round) {
			assert_int_equal(read(ready[0], &byte, 1), 1);
			kill(pid, SIGKILL);
		}
		/* The gate is still closed, and it ends all the same. */
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (round)
			assert_int_equal(status, 0);
		else
			assert_true(WIFSIGNALED(status));
		assert_false(syncobj_wait(&accel, in, 0, 0));
		gate_open(&gate);
		gate_expect(&gate, 0);
		syncobj_destroy(&accel, in);
		close(ready[0]);
		close(ready[1]);
	}
}

static void test_device_dies_while_it_waits(void **state)
{
	struct tandem_uring_command command = { 0 };
	struct firmware firmware;
	struct accel own;
	int fence;

	(void)state;
	firmware_start(&firmware);
	accel_open(&own, firmware.node);
	command.queue = own.copy;
	command.in_syncobj = gate_close(&gate, &own);
	command.out_syncobj = syncobj_create(&own);
	accel_prepare(&own, TANDEM_URING_NOP, &command, 1);
	assert_int_equal(io_uring_submit(&own.ring), 1);
	fence = syncobj_export_fence(&own, command.out_syncobj);
	assert_int_equal(sync_file_status(fence), 0);
	firmware_kill(&firmware);
	assert_int_equal(accel_wait(&own, NULL), -ENODEV);
	assert_int_equal(sync_file_status(fence), -ENODEV);
	accel_close(&own);
	assert_true(firmware_wait_for_unplug(&firmware));
	/* The fence that it waited for has nobody to tell. */
	gate_open(&gate);
	gate_expect(&gate, 0);
	/* The fence outlives its device and its file. */
	assert_int_equal(sync_file_status(fence), -ENODEV);
	close(fence);
}

static void test_what_it_waits_for_dies(void **state)
{
	uint32_t in = gate_close(&gate, &accel);
	struct tandem_uring_command command = fill(19, in);

	(void)state;
	memory[0] = 0;
	submit(&command, 1);
	assert_nothing_ends();
	gate_kill(&gate);
	assert_ends(1, -ECANCELED);
	assert_int_equal(memory[0], 0);
	gate_expect(&gate, -ENODEV);
	gate_stop(&gate);
	gate_start(&gate);
	syncobj_destroy(&accel, in);
}

static int module_references(void)
{
	FILE *file = fopen("/sys/module/tandem/refcnt", "r");
	int count;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &count), 1);
	fclose(file);
	return count;
}

static void test_a_fence_keeps_the_module(void **state)
{
	struct tandem_uring_command command = { 0 };
	int before = module_references(), fence, tries;
	struct accel own;

	(void)state;
	accel_open(&own, ACCEL0);
	command.queue = own.copy;
	command.out_syncobj = syncobj_create(&own);
	assert_int_equal(accel_run(&own, TANDEM_URING_NOP, &command), 0);
	fence = syncobj_export_fence(&own, command.out_syncobj);
	accel_close(&own);
	for (tries = 0; tries < 1000 && module_references() > before + 1;
	     tries++)
		usleep(10000);
	assert_int_equal(module_references(), before + 1);
	assert_int_equal(sync_file_status(fence), 1);
	close(fence);
	for (tries = 0; tries < 1000 && module_references() > before; tries++)
		usleep(10000);
	assert_int_equal(module_references(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: fences of other tests would count. */
		cmocka_unit_test(test_a_fence_keeps_the_module),
		cmocka_unit_test(test_the_end_signals),
		cmocka_unit_test(test_a_point_signals),
		cmocka_unit_test(test_what_does_not_exist_is_refused),
		cmocka_unit_test(test_no_fence_of_a_refused_command),
		cmocka_unit_test(test_one_device_waits_for_another),
		cmocka_unit_test(test_a_fence_wakes_the_device),
		cmocka_unit_test(test_a_timeline_of_two_devices),
		cmocka_unit_test(test_thousands_wait),
		cmocka_unit_test(test_failure_is_passed_on),
		cmocka_unit_test(test_failed_point_is_passed_on),
		cmocka_unit_test(test_failure_goes_a_long_way),
		cmocka_unit_test(test_cancel_while_it_waits),
		cmocka_unit_test(test_queue_destroyed_while_it_waits),
		cmocka_unit_test(test_context_destroyed_while_it_waits),
		cmocka_unit_test(test_abandoned_while_it_waits),
		cmocka_unit_test(test_device_dies_while_it_waits),
		cmocka_unit_test(test_what_it_waits_for_dies),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
