// SPDX-License-Identifier: MIT
/*
 * Commands: what they do, in which order, for whom, and how they end.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "accel.h"
#include "tandem_program.h"

#define SIZE	(2 * MIB)

static struct accel accel;
static uint32_t handle;
static uint32_t region;
static uint8_t *memory;

static int setup(void **state)
{
	(void)state;
	accel_open(&accel, ACCEL0);
	handle = accel_object(&accel, SIZE);
	region = accel_region(&accel, 0, handle, 0, SIZE, READ | WRITE);
	memory = accel_map(&accel, handle, SIZE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	munmap(memory, SIZE);
	accel_close(&accel);
	return 0;
}

static void test_user_copies_of_odd_sizes_and_alignments(void **state)
{
	static const size_t sizes[] = { 1, 3, 64, 4095, 4096, 4097, 12345,
					65536, 1000003 };
	static const size_t skews[] = { 0, 1, 7, 4095 };
	uint8_t *from = malloc(SIZE), *to = malloc(SIZE);
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (j = 0; j < sizeof(skews) / sizeof(skews[0]); j++) {
			size_t size = sizes[i], skew = skews[j];

			fill_pattern(from, size + 2 * skew + 2, i * 8 + j);
			memset(to, 0xee, size + skew + 1);
			assert_int_equal(accel_copy(&accel, region, skew + 5,
						    USER,
						    address_of(from + skew),
						    size), 0);
			assert_memory_equal(memory + skew + 5, from + skew,
					    size);
			assert_int_equal(accel_copy(&accel, USER,
						    address_of(to + skew),
						    region, skew + 5, size),
					 0);
			assert_memory_equal(to + skew, from + skew, size);
			/* Not a byte more. */
			assert_int_equal(to[skew + size], 0xee);
			if (skew)
				assert_int_equal(to[skew - 1], 0xee);
		}
	}
	free(from);
	free(to);
}

static void test_device_copies(void **state)
{
	(void)state;
	fill_pattern(memory, SIZE, 9);
	assert_int_equal(accel_copy(&accel, region, MIB + 3, region, 17,
				    MIB - 64), 0);
	assert_memory_equal(memory + MIB + 3, memory + 17, MIB - 64);
}

static void test_fill(void **state)
{
	uint32_t words[16] = { 0 };
	size_t i;

	(void)state;
	memset(memory, 0, SIZE);
	assert_int_equal(accel_fill(&accel, region, 8, 0xdeadbeef, 4096), 0);
	assert_int_equal(memory[7], 0);
	for (i = 0; i < 1024; i++)
		assert_int_equal(((uint32_t *)(memory + 8))[i], 0xdeadbeef);
	assert_int_equal(memory[8 + 4096], 0);
	/* Of the process's own memory, too. */
	assert_int_equal(accel_fill(&accel, USER, address_of(words + 1), 7,
				    14 * 4), 0);
	assert_int_equal(words[0], 0);
	assert_int_equal(words[1], 7);
	assert_int_equal(words[14], 7);
	assert_int_equal(words[15], 0);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static uint64_t report(const struct tandem_uring_command *command,
		       uint32_t kind, int expected)
{
	struct tandem_uring_command reporting = *command;
	struct io_uring_cqe *cqe;
	uint64_t value;

	reporting.flags = TANDEM_COMMAND_REPORT(kind);
	accel_prepare(&accel, TANDEM_URING_FILL, &reporting, 1);
	io_uring_submit(&accel.ring);
	assert_int_equal(io_uring_wait_cqe(&accel.ring, &cqe), 0);
	assert_int_equal(cqe->res, expected);
	value = cqe->big_cqe[0];
	io_uring_cqe_seen(&accel.ring, cqe);
	return value;
}

static void test_reports(void **state)
{
	struct tandem_uring_command command = {
		.queue = accel.copy,
		.dst_region = region,
		.length = SIZE,
	};
	uint64_t before, after, value;
	int i;

	(void)state;
	assert_true(accel_param(&accel, TANDEM_PARAM_CAPABILITIES) &
		    TANDEM_CAPABILITY_REPORT);
	for (i = 0; i < 20; i++) {
		before = now_ns();
		value = report(&command, TANDEM_REPORT_DURATION, 0);
		after = now_ns();
		assert_true(value > 0 && value <= after - before);

		before = now_ns();
		value = report(&command, TANDEM_REPORT_STARTED, 0);
		after = now_ns();
		assert_in_range(value, before, after);

		before = now_ns();
		value = report(&command, TANDEM_REPORT_ENDED, 0);
		after = now_ns();
		assert_in_range(value, before, after);
		/* The estimate depends on the bytes alone. */
		value = report(&command, TANDEM_REPORT_MODELLED, 0);
		assert_true(value > 0);
		assert_int_equal(report(&command, TANDEM_REPORT_MODELLED, 0),
				 value);
	}
	/* The driver refuses it: it never began. */
	command.dst_region = 999;
	for (i = 0; i < 4; i++)
		assert_int_equal(report(&command, i, -EACCES), 0);
}

/* One after the other on their queue: so do the times say. */
static void test_reports_of_a_queue_are_in_order(void **state)
{
	struct tandem_submit_command commands[20];
	struct drm_tandem_submit args = {
		.commands = address_of(commands),
		.count = 20,
		.stride = sizeof(commands[0]),
		.flags = TANDEM_SUBMIT_WAIT,
	};
	int i;

	(void)state;
	for (i = 0; i < 20; i++)
		commands[i] = (struct tandem_submit_command){
			.op = TANDEM_URING_FILL,
			.command = {
				.queue = accel.copy,
				.flags = TANDEM_COMMAND_REPORT(
						TANDEM_REPORT_ENDED),
				.dst_region = region,
				.length = 65536,
			},
		};
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_SUBMIT, &args),
			 0);
	for (i = 1; i < 20; i++) {
		assert_int_equal(commands[i].result, 0);
		assert_true(commands[i].report >= commands[i - 1].report);
	}
}

static void test_out_of_bounds_and_permissions(void **state)
{
	uint32_t part = accel_region(&accel, 0, handle, 4096, 100, READ);
	uint32_t sink = accel_region(&accel, 0, handle, 8192, 100, WRITE);
	uint8_t byte = 0;

	(void)state;
	assert_int_equal(accel_copy(&accel, region, SIZE - 3, USER,
				    address_of(&byte), 4), -EACCES);
	assert_int_equal(accel_copy(&accel, region, SIZE, USER,
				    address_of(&byte), 1), -EACCES);
	assert_int_equal(accel_copy(&accel, region, UINT64_MAX, USER,
				    address_of(&byte), 1), -EACCES);
	assert_int_equal(accel_copy(&accel, region, UINT64_MAX, USER,
				    address_of(&byte), UINT64_MAX), -EACCES);
	assert_int_equal(accel_copy(&accel, USER, address_of(&byte), part, 100,
				    1), -EACCES);
	assert_int_equal(accel_copy(&accel, USER, address_of(&byte), part, 99,
				    1), 0);
	assert_int_equal(accel_copy(&accel, part, 0, USER, address_of(&byte),
				    1), -EACCES);
	assert_int_equal(accel_copy(&accel, USER, address_of(&byte), sink, 0,
				    1), -EACCES);
	assert_int_equal(accel_copy(&accel, sink, 0, USER, address_of(&byte),
				    1), 0);
	assert_int_equal(accel_copy(&accel, 0x7fffffff, 0, USER,
				    address_of(&byte), 1), -EACCES);
	/* Entries that the driver uses for user memory are out of reach. */
	assert_int_equal(accel_copy(&accel, 1024, 0, USER, address_of(&byte),
				    1), -EACCES);
	assert_int_equal(accel_region_unmap(&accel, 0, part), 0);
	assert_int_equal(accel_region_unmap(&accel, 0, sink), 0);
}

static void test_user_memory_that_cannot_be_pinned(void **state)
{
	uint8_t *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_int_equal(accel_copy(&accel, region, 0, USER, 8, 16), -EFAULT);
	assert_int_equal(accel_copy(&accel, region, 0, USER,
				    0xffff800000000000, 16), -EFAULT);
	assert_int_equal(accel_copy(&accel, region, 0, USER, UINT64_MAX - 4,
				    16), -EFAULT);
	munmap(page + 4096, 4096);
	assert_int_equal(accel_copy(&accel, region, 0, USER,
				    address_of(page + 4090), 16), -EFAULT);
	mprotect(page, 4096, PROT_READ);
	assert_int_equal(accel_copy(&accel, USER, address_of(page), region, 0,
				    16), -EFAULT);
	assert_int_equal(accel_copy(&accel, region, 0, USER, address_of(page),
				    16), 0);
	munmap(page, 4096);
}

static void test_contexts_are_isolated(void **state)
{
	uint32_t other = accel_context(&accel);
	struct tandem_uring_command command = {
		.queue = accel_queue(&accel, other, TANDEM_QUEUE_COPY),
		.dst_region = region,
		.length = 4096,
	};
	struct drm_tandem_context_destroy destroy = { .context = other };
	uint32_t own;

	(void)state;
	memory[0] = 1;
	assert_int_equal(accel_run(&accel, TANDEM_URING_FILL, &command),
			 -EACCES);
	assert_int_equal(memory[0], 1);
	own = accel_region(&accel, other, handle, 4096, 4096, WRITE);
	command.dst_region = own;
	assert_int_equal(accel_run(&accel, TANDEM_URING_FILL, &command), 0);
	assert_int_equal(memory[0], 1);

	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_CONTEXT_DESTROY,
				     &destroy), 0);
	/* Its queue went with it. */
	assert_int_equal(accel_run(&accel, TANDEM_URING_FILL, &command),
			 -ENOENT);
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_CONTEXT_DESTROY,
				     &destroy), -ENOENT);
}

static void test_files_do_not_share_ids(void **state)
{
	struct accel other;
	struct tandem_uring_command command = { .queue = accel.copy + 50 };
	struct drm_tandem_region_map map = {
		.context = accel.context + 50,
		.handle = handle,
		.length = 4096,
		.flags = READ,
	};

	(void)state;
	accel_open(&other, ACCEL0);
	assert_int_equal(accel_run(&other, TANDEM_URING_NOP, &command),
			 -ENOENT);
	assert_int_equal(accel_ioctl(&other, DRM_IOCTL_TANDEM_REGION_MAP,
				     &map), -ENOENT);
	map.context = other.context;
	map.handle = handle + 1000;
	assert_int_equal(accel_ioctl(&other, DRM_IOCTL_TANDEM_REGION_MAP,
				     &map), -ENOENT);
	accel_close(&other);
}

/* Each copy moves what the one before it has moved. */
static void test_commands_of_a_queue_keep_their_order(void **state)
{
	struct tandem_uring_command command = {
		.queue = accel.copy,
		.dst_region = region,
		.src_region = region,
		.length = 4096,
	};
	uint8_t expected[4096];
	uint64_t user_data;
	int round, i;

	(void)state;
	for (round = 0; round < 4; round++) {
		fill_pattern(memory, 4096, round + 100);
		memcpy(expected, memory, 4096);
		for (i = 0; i < 64; i++) {
			command.src_offset = i * 4096ull;
			command.dst_offset = (i + 1) * 4096ull;
			accel_prepare(&accel, TANDEM_URING_COPY, &command, i);
		}
		assert_int_equal(io_uring_submit(&accel.ring), 64);
		for (i = 0; i < 64; i++) {
			assert_int_equal(accel_wait(&accel, &user_data), 0);
			assert_int_equal(user_data, i);
		}
		assert_memory_equal(memory + 64 * 4096, expected, 4096);
	}
}

/* Many more than the device's rings hold. */
static void test_thousands_of_commands_at_once(void **state)
{
	struct tandem_uring_command command = {
		.dst_region = region,
		.src_region = USER,
		.length = 256,
	};
	uint8_t *source = malloc(4096 * 256);
	uint8_t seen[4096] = { 0 };
	struct accel busy;
	uint64_t user_data;
	uint32_t queues[4];
	int i;

	(void)state;
	accel_open_ring(&busy, ACCEL0, 4096, 0);
	command.dst_region = accel_region(&busy, 0, accel_object(&busy, SIZE),
					  0, SIZE, READ | WRITE);
	for (i = 0; i < 4; i++)
		queues[i] = accel_queue(&busy, busy.context, i % 2);
	fill_pattern(source, 4096 * 256, 77);
	for (i = 0; i < 4096; i++) {
		command.queue = queues[i % 4];
		command.src_offset = address_of(source + i * 256);
		command.dst_offset = i * 256ull;
		accel_prepare(&busy, TANDEM_URING_COPY, &command, i);
	}
	assert_int_equal(io_uring_submit(&busy.ring), 4096);
	for (i = 0; i < 4096; i++) {
		assert_int_equal(accel_wait(&busy, &user_data), 0);
		assert_true(user_data < 4096 && !seen[user_data]);
		seen[user_data] = 1;
	}
	command.queue = queues[0];
	command.src_region = command.dst_region;
	command.src_offset = 0;
	command.dst_region = USER;
	command.dst_offset = address_of(memory);
	command.length = 4096 * 256;
	assert_int_equal(accel_run(&busy, TANDEM_URING_COPY, &command), 0);
	assert_memory_equal(memory, source, 4096 * 256);
	accel_close(&busy);
	free(source);
}

/* @own is a region of @on's context. */
static void linked_commands(struct accel *on, uint32_t own)
{
	struct tandem_uring_command fill = {
		.queue = on->copy,
		.dst_region = own,
		.src_offset = 0x01010101,
		.length = 4096,
	};
	struct tandem_uring_command bad = {
		.queue = on->copy,
		.dst_region = 0x7fffffff,
		.length = 4096,
	};
	struct tandem_uring_command nop = { .queue = on->compute };
	int results[6], i;
	uint64_t user_data;

	accel_prepare(on, TANDEM_URING_FILL, &fill, 0)->flags |=
		IOSQE_IO_LINK;
	accel_prepare(on, TANDEM_URING_NOP, &nop, 1)->flags |=
		IOSQE_IO_LINK;
	accel_prepare(on, TANDEM_URING_FILL, &fill, 2);
	/* What hangs on one that fails is cancelled. */
	accel_prepare(on, TANDEM_URING_FILL, &fill, 3)->flags |=
		IOSQE_IO_LINK;
	accel_prepare(on, TANDEM_URING_FILL, &bad, 4)->flags |=
		IOSQE_IO_LINK;
	accel_prepare(on, TANDEM_URING_FILL, &fill, 5);
	assert_int_equal(io_uring_submit(&on->ring), 6);
	for (i = 0; i < 6; i++) {
		int result = accel_wait(on, &user_data);

		assert_true(user_data < 6);
		results[user_data] = result;
	}
	assert_int_equal(results[0], 0);
	assert_int_equal(results[1], 0);
	assert_int_equal(results[2], 0);
	assert_int_equal(results[3], 0);
	assert_int_equal(results[4], -EACCES);
	assert_int_equal(results[5], -ECANCELED);
}

static void test_linked_commands(void **state)
{
	(void)state;
	linked_commands(&accel, region);
}

static void test_linked_commands_sqpoll(void **state)
{
	struct accel other;
	uint32_t own;
	int i;

	(void)state;
	accel_open_ring(&other, ACCEL0, 16, IORING_SETUP_SQPOLL);
	own = accel_region(&other, 0, accel_object(&other, MIB), 0, MIB,
			   READ | WRITE);
	for (i = 0; i < 20; i++)
		linked_commands(&other, own);
	accel_close(&other);
}

static void run_on_ring(unsigned int flags)
{
	struct accel other;
	uint32_t own, value = 0;
	int i;

	accel_open_ring(&other, ACCEL0, 16, flags);
	own = accel_region(&other, 0, accel_object(&other, MIB), 0, MIB,
			   READ | WRITE);
	for (i = 1; i < 20; i++) {
		assert_int_equal(accel_fill(&other, own, 0, i, MIB), 0);
		assert_int_equal(accel_copy(&other, USER, address_of(&value),
					    own, MIB - 4, 4), 0);
		assert_int_equal(value, i);
	}
	accel_close(&other);
}

static void test_sqpoll(void **state)
{
	(void)state;
	run_on_ring(IORING_SETUP_SQPOLL);
}

static void test_defer_taskrun(void **state)
{
	(void)state;
	run_on_ring(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
}

static void test_commands_from_worker_threads(void **state)
{
	struct tandem_uring_command command = {
		.queue = accel.copy,
		.dst_region = region,
		.length = 4096,
	};
	int i;

	(void)state;
	for (i = 0; i < 32; i++)
		accel_prepare(&accel, TANDEM_URING_FILL, &command, i)->flags |=
			IOSQE_ASYNC;
	assert_int_equal(io_uring_submit(&accel.ring), 32);
	for (i = 0; i < 32; i++)
		assert_int_equal(accel_wait(&accel, NULL), 0);
}

static void test_cancel_by_cookie(void **state)
{
	struct tandem_uring_command command = {
		.queue = accel.copy,
		.dst_region = region,
		.length = SIZE,
		.cookie = 1,
	};
	struct tandem_uring_command cancel = {
		.queue = accel.copy,
		.cookie = 2,
	};
	int cancelled = 0, done = 0, found = 0, i, result;
	struct accel busy;
	uint64_t user_data;

	(void)state;
	assert_int_equal(accel_run(&accel, TANDEM_URING_CANCEL, &cancel),
			 -ENOENT);
	/* Enough work in front for some to be still there. */
	accel_open_ring(&busy, ACCEL0, 1024, 0);
	command.queue = busy.copy;
	cancel.queue = busy.copy;
	command.dst_region = accel_region(&busy, 0, accel_object(&busy, SIZE),
					  0, SIZE, WRITE);
	for (i = 0; i < 1000; i++) {
		command.cookie = i < 200 ? 1 : 2;
		accel_prepare(&busy, TANDEM_URING_FILL, &command, i);
	}
	accel_prepare(&busy, TANDEM_URING_CANCEL, &cancel, 1000);
	assert_int_equal(io_uring_submit(&busy.ring), 1001);
	for (i = 0; i < 1001; i++) {
		result = accel_wait(&busy, &user_data);
		if (user_data == 1000) {
			found = result;
			continue;
		}
		if (user_data < 200)
			assert_int_equal(result, 0);
		else if (result == -ECANCELED)
			cancelled++;
		else
			assert_int_equal(result, 0), done++;
	}
	assert_int_equal(found, 0);
	assert_true(cancelled > 0);
	assert_int_equal(cancelled + done, 800);
	accel_close(&busy);
	assert_int_equal(accel_fill(&accel, region, 0, 0, 4), 0);
}

/*
 * io_uring does not pass IORING_OP_ASYNC_CANCEL on to commands of files: it
 * finds nothing (ENOENT), and the command goes on. Kernels that do pass it on
 * end the command.
 */
static void test_cancel_by_io_uring(void **state)
{
	struct tandem_uring_command command = {
		.queue = accel.copy,
		.dst_region = region,
		.length = SIZE,
	};
	int results[101], i, result;
	struct io_uring_sqe *sqe;
	uint64_t user_data;
	struct accel busy;

	(void)state;
	accel_open_ring(&busy, ACCEL0, 128, 0);
	command.queue = busy.copy;
	command.dst_region = accel_region(&busy, 0, accel_object(&busy, SIZE),
					  0, SIZE, WRITE);
	for (i = 0; i < 100; i++)
		accel_prepare(&busy, TANDEM_URING_FILL, &command, i);
	sqe = io_uring_get_sqe(&busy.ring);
	if (!sqe) {
		fail_msg("the submission ring is full");
		return;
	}
	memset(sqe, 0, 2 * sizeof(*sqe));
	io_uring_prep_cancel64(sqe, 99, 0);
	sqe->user_data = 100;
	assert_int_equal(io_uring_submit(&busy.ring), 101);
	for (i = 0; i < 101; i++) {
		result = accel_wait(&busy, &user_data);
		assert_true(user_data <= 100);
		results[user_data] = result;
	}
	for (i = 0; i < 99; i++)
		assert_int_equal(results[i], 0);
	if (results[100] == -ENOENT)
		assert_int_equal(results[99], 0);
	else
		assert_int_equal(results[99], -ECANCELED);
	accel_close(&busy);
}

static void queue_work(struct accel *busy, int count)
{
	struct tandem_uring_command command = {
		.queue = busy->copy,
		.length = SIZE,
	};
	int i;

	command.dst_region = accel_region(busy, 0, accel_object(busy, SIZE), 0,
					  SIZE, WRITE);
	for (i = 0; i < count; i++)
		accel_prepare(busy, TANDEM_URING_FILL, &command, i);
	assert_int_equal(io_uring_submit(&busy->ring), count);
}

static void test_queue_destroy_ends_what_waits(void **state)
{
	struct drm_tandem_queue_destroy destroy = { 0 };
	int cancelled = 0, i, result;
	struct accel busy;

	(void)state;
	accel_open_ring(&busy, ACCEL0, 1024, 0);
	queue_work(&busy, 1000);
	destroy.queue = busy.copy;
	assert_int_equal(accel_ioctl(&busy, DRM_IOCTL_TANDEM_QUEUE_DESTROY,
				     &destroy), 0);
	for (i = 0; i < 1000; i++) {
		result = accel_wait(&busy, NULL);
		if (result == -ECANCELED)
			cancelled++;
		else
			assert_int_equal(result, 0);
	}
	assert_true(cancelled > 0);
	assert_int_equal(accel_ioctl(&busy, DRM_IOCTL_TANDEM_QUEUE_DESTROY,
				     &destroy), -ENOENT);
	accel_close(&busy);
}

static void test_context_destroy_ends_its_commands(void **state)
{
	struct drm_tandem_context_destroy destroy = { 0 };
	struct accel busy;
	int i, result;

	(void)state;
	accel_open_ring(&busy, ACCEL0, 1024, 0);
	queue_work(&busy, 1000);
	destroy.context = busy.context;
	assert_int_equal(accel_ioctl(&busy, DRM_IOCTL_TANDEM_CONTEXT_DESTROY,
				     &destroy), 0);
	for (i = 0; i < 1000; i++) {
		result = accel_wait(&busy, NULL);
		assert_true(!result || result == -ECANCELED);
	}
	accel_close(&busy);
}

static void test_region_unmap_while_in_use(void **state)
{
	struct tandem_uring_command command = {
		.length = SIZE,
	};
	struct accel busy;
	int i, result;

	(void)state;
	accel_open_ring(&busy, ACCEL0, 1024, 0);
	command.queue = busy.copy;
	command.dst_region = accel_region(&busy, 0, accel_object(&busy, SIZE),
					  0, SIZE, WRITE);
	for (i = 0; i < 500; i++)
		accel_prepare(&busy, TANDEM_URING_FILL, &command, i);
	assert_int_equal(io_uring_submit(&busy.ring), 500);
	assert_int_equal(accel_region_unmap(&busy, 0, command.dst_region), 0);
	for (i = 0; i < 500; i++) {
		result = accel_wait(&busy, NULL);
		assert_true(!result || result == -EACCES);
	}
	accel_close(&busy);
}

static void test_ring_closed_with_commands_in_flight(void **state)
{
	struct accel busy;
	int round;

	(void)state;
	for (round = 0; round < 3; round++) {
		accel_open_ring(&busy, ACCEL0, 1024, 0);
		queue_work(&busy, 1000);
		accel_close(&busy);
	}
	assert_int_equal(accel_fill(&accel, region, 0, 0, 4), 0);
}

static void test_process_killed_with_commands_in_flight(void **state)
{
	struct accel busy;
	int status, round;
	pid_t pid;

	(void)state;
	for (round = 0; round < 3; round++) {
		int ready[2];
		char byte;

		assert_int_equal(pipe(ready), 0);
		pid = fork();
		if (!pid) {
			accel_open_ring(&busy, ACCEL0, 1024, 0);
			queue_work(&busy, 1000);
			if (write(ready[1], "", 1) != 1)
				_exit(1);
			pause();
			_exit(0);
		}
		assert_int_equal(read(ready[0], &byte, 1), 1);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		close(ready[0]);
		close(ready[1]);
	}
	assert_int_equal(accel_fill(&accel, region, 0, 0, 4), 0);
}

static int other_process(int seed)
{
	uint32_t own, value;
	struct accel other;
	int i;

	accel_open(&other, ACCEL0);
	own = accel_region(&other, 0, accel_object(&other, MIB), 0, MIB,
			   READ | WRITE);
	for (i = 0; i < 100; i++) {
		if (accel_fill(&other, own, 0, seed + i, MIB) ||
		    accel_copy(&other, USER, address_of(&value), own, MIB - 4,
			       4) || value != (uint32_t)(seed + i))
			return 1;
	}
	accel_close(&other);
	return 0;
}

static void test_two_processes_at_once(void **state)
{
	pid_t pids[2];
	int status, i;

	(void)state;
	for (i = 0; i < 2; i++) {
		pids[i] = fork();
		if (!pids[i])
			_exit(other_process((i + 1) << 16));
	}
	for (i = 0; i < 2; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
}

static void test_exec_of_no_program_is_refused(void **state)
{
	struct tandem_uring_command command = {
		.queue = accel.compute,
		.src_region = region,
		.length = 4096,
	};
	struct io_uring_cqe *cqe;

	(void)state;
	memset(memory, 0, 4096);
	accel_prepare(&accel, TANDEM_URING_EXEC, &command, 1);
	io_uring_submit(&accel.ring);
	assert_int_equal(io_uring_wait_cqe(&accel.ring, &cqe), 0);
	assert_int_equal(cqe->res, -EINVAL);
	assert_int_equal(cqe->big_cqe[0], TANDEM_PROGRAM_BAD_HEADER);
	io_uring_cqe_seen(&accel.ring, cqe);
	/* And not at all on a queue for copies. */
	command.queue = accel.copy;
	assert_int_equal(accel_run(&accel, TANDEM_URING_EXEC, &command),
			 -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_user_copies_of_odd_sizes_and_alignments),
		cmocka_unit_test(test_device_copies),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_reports),
		cmocka_unit_test(test_reports_of_a_queue_are_in_order),
		cmocka_unit_test(test_out_of_bounds_and_permissions),
		cmocka_unit_test(test_user_memory_that_cannot_be_pinned),
		cmocka_unit_test(test_contexts_are_isolated),
		cmocka_unit_test(test_files_do_not_share_ids),
		cmocka_unit_test(test_commands_of_a_queue_keep_their_order),
		cmocka_unit_test(test_thousands_of_commands_at_once),
		cmocka_unit_test(test_linked_commands),
		cmocka_unit_test(test_linked_commands_sqpoll),
		cmocka_unit_test(test_sqpoll),
		cmocka_unit_test(test_defer_taskrun),
		cmocka_unit_test(test_commands_from_worker_threads),
		cmocka_unit_test(test_cancel_by_cookie),
		cmocka_unit_test(test_cancel_by_io_uring),
		cmocka_unit_test(test_queue_destroy_ends_what_waits),
		cmocka_unit_test(test_context_destroy_ends_its_commands),
		cmocka_unit_test(test_region_unmap_while_in_use),
		cmocka_unit_test(test_ring_closed_with_commands_in_flight),
		cmocka_unit_test(test_process_killed_with_commands_in_flight),
		cmocka_unit_test(test_two_processes_at_once),
		cmocka_unit_test(test_exec_of_no_program_is_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
