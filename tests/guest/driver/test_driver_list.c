// SPDX-License-Identifier: MIT
/*
 * Block lists: every byte of every segment, or none when one is wrong.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "accel.h"
#include "gate.h"
#include "syncobj.h"

#define SIZE	(2 * MIB)
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static struct accel accel;
/* Two objects, and parts that can only be read or only be written. */
static uint32_t from, to, read_only, write_only;
static uint8_t *source, *destination;
static uint32_t segments_max;

static int setup(void **state)
{
	uint32_t handle;

	(void)state;
	accel_open_ring(&accel, ACCEL0, 512, 0);
	segments_max = accel_param(&accel, TANDEM_PARAM_SEGMENTS_MAX);
	handle = accel_object(&accel, SIZE);
	from = accel_region(&accel, 0, handle, 0, SIZE, READ | WRITE);
	read_only = accel_region(&accel, 0, handle, 0, 4096, READ);
	source = accel_map(&accel, handle, SIZE);
	handle = accel_object(&accel, SIZE);
	to = accel_region(&accel, 0, handle, 0, SIZE, READ | WRITE);
	write_only = accel_region(&accel, 0, handle, 0, 4096, WRITE);
	destination = accel_map(&accel, handle, SIZE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	munmap(source, SIZE);
	munmap(destination, SIZE);
	accel_close(&accel);
	return 0;
}

static struct tandem_uring_command list(const struct tandem_segment *segments,
					uint64_t count)
{
	return (struct tandem_uring_command){
		.queue = accel.copy,
		.dst_offset = sizeof(*segments),
		.src_offset = address_of(segments),
		.length = count,
	};
}

static int run(const struct tandem_uring_command *command)
{
	return accel_run(&accel, TANDEM_URING_COPY_LIST, command);
}

/*
 * All of the source, in pieces whose lengths differ a little, to where a
 * permutation puts them. A power of two of them.
 */
static struct tandem_segment *make_permutation(uint32_t count)
{
	struct tandem_segment *segments = calloc(count, sizeof(*segments));
	uint32_t length = SIZE / count, i;

	assert_non_null(segments);
	for (i = 0; i < count; i++) {
		segments[i].dst_region = to;
		segments[i].src_region = from;
		segments[i].dst_offset = (uint64_t)(i ^ (count - 1)) * length;
		segments[i].src_offset = (uint64_t)i * length;
		segments[i].length = length - i % 3;
	}
	return segments;
}

static void assert_copied(const struct tandem_segment *segments, uint32_t count)
{
	uint8_t *expected = malloc(SIZE);
	uint32_t i;

	memset(expected, 0xee, SIZE);
	for (i = 0; i < count; i++)
		memcpy(expected + segments[i].dst_offset,
		       source + segments[i].src_offset, segments[i].length);
	if (memcmp(expected, destination, SIZE))
		fail_msg("%u segments: the wrong bytes were copied", count);
	free(expected);
}

static void test_what_it_says_of_itself(void **state)
{
	(void)state;
	assert_true(accel_param(&accel, TANDEM_PARAM_CAPABILITIES) &
		    TANDEM_CAPABILITY_SEGMENTS);
	assert_true(segments_max >= 4096);
}

/* Of each way in which the driver hands lists over. */
static void test_every_byte(void **state)
{
	static const uint32_t counts[] = {
		1, 2, 16, 32, 64, 128, 4096, 16384, 65536
	};
	struct tandem_uring_command command;
	struct tandem_segment *segments;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(counts) && counts[i] <= segments_max; i++) {
		segments = make_permutation(counts[i]);
		fill_pattern(source, SIZE, i);
		memset(destination, 0xee, SIZE);
		command = list(segments, counts[i]);
		command.queue = i % 2 ? accel.compute : accel.copy;
		assert_int_equal(run(&command), 0);
		assert_copied(segments, counts[i]);
		free(segments);
	}
}

static void test_longer_stride(void **state)
{
	struct {
		struct tandem_segment known;
		uint64_t unknown;
	} padded[100] = { 0 };
	struct tandem_uring_command command = list(&padded[0].known, 100);
	int i;

	(void)state;
	command.dst_offset = sizeof(padded[0]);
	fill_pattern(source, 4096, 12);
	memset(destination, 0, 4096);
	for (i = 0; i < 100; i++)
		padded[i].known = (struct tandem_segment){
			.dst_region = to,
			.src_region = from,
			.dst_offset = i * 10,
			.src_offset = i * 10,
			.length = 10,
		};
	assert_int_equal(run(&command), 0);
	assert_memory_equal(destination, source, 1000);
	padded[99].unknown = 1;
	assert_int_equal(run(&command), -EINVAL);
}

/* The list was read when the submission returned. */
static void test_list_is_free_after_submission(void **state)
{
	struct tandem_segment *segments = make_permutation(1024), *copy;
	struct tandem_uring_command command = list(segments, 1024);
	uint64_t size = 1024 * sizeof(*segments);
	struct gate gate;

	(void)state;
	fill_pattern(source, SIZE, 77);
	memset(destination, 0xee, SIZE);
	gate_start(&gate);
	command.in_syncobj = gate_close(&gate, &accel);
	accel_prepare(&accel, TANDEM_URING_COPY_LIST, &command, 1);
	assert_int_equal(io_uring_submit(&accel.ring), 1);
	copy = malloc(size);
	memcpy(copy, segments, size);
	memset(segments, 0xff, size);
	free(segments);
	gate_open(&gate);
	assert_int_equal(accel_wait(&accel, NULL), 0);
	gate_expect(&gate, 0);
	gate_stop(&gate);
	assert_copied(copy, 1024);
	free(copy);
}

struct wrong {
	const char *what;
	struct tandem_segment segment;
	int expected;
};

/* The wrong one is the last: nothing of those before it is copied. */
static void check_wrong(const struct wrong *wrong, uint32_t count)
{
	struct tandem_segment *segments = calloc(count, sizeof(*segments));
	struct tandem_uring_command command = list(segments, count);
	uint32_t i;
	int ret;

	for (i = 0; i < count; i++)
		segments[i] = (struct tandem_segment){
			.dst_region = to,
			.src_region = from,
			.dst_offset = 16 * i,
			.length = 16,
		};
	segments[count - 1] = wrong->segment;
	memset(source, 0x11, 4096);
	memset(destination, 0x22, SIZE);
	ret = run(&command);
	if (ret != wrong->expected)
		fail_msg("%s, %u segments: got %d, expected %d", wrong->what,
			 count, ret, wrong->expected);
	for (i = 0; i < SIZE; i++)
		if (destination[i] != 0x22)
			fail_msg("%s, %u segments: byte %u was copied",
				 wrong->what, count, i);
	free(segments);
}

static void test_wrong_segments(void **state)
{
	const struct wrong wrongs[] = {
		{ "no length", { to, from, 0, 0, 0 }, -EINVAL },
		{ "no such destination", { 999, from, 0, 0, 16 }, -EACCES },
		{ "no such source", { to, 999, 0, 0, 16 }, -EACCES },
		{ "an entry of the driver's", { to, 1024, 0, 0, 16 }, -EACCES },
		{ "user memory to read", { to, USER, address_of(source), 0,
					   16 }, -EACCES },
		{ "user memory to write", { USER, from, 0, 0, 16 }, -EACCES },
		{ "destination only read", { read_only, from, 0, 0, 16 },
		  -EACCES },
		{ "source only written", { to, write_only, 0, 0, 16 },
		  -EACCES },
		{ "destination past the end", { to, from, SIZE - 15, 0, 16 },
		  -EACCES },
		{ "source past the end", { to, from, 0, SIZE - 15, 16 },
		  -EACCES },
		{ "destination that wraps", { to, from, UINT64_MAX, 0, 16 },
		  -EACCES },
		{ "source that wraps", { to, from, 0, UINT64_MAX - 14, 16 },
		  -EACCES },
		{ "too long", { to, from, 0, 0, SIZE + 1 }, -EACCES },
		{ "longest", { to, from, 0, 0, UINT64_MAX }, -EACCES },
		/* The device finds this one. */
		{ "overlap", { to, to, 8, 0, 16 }, -EINVAL },
	};
	static const uint32_t counts[] = { 1, 32, 33, 3000 };
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(wrongs); i++)
		for (j = 0; j < COUNT(counts); j++)
			check_wrong(&wrongs[i], counts[j]);
}

static void test_list_that_cannot_be_read(void **state)
{
	struct tandem_segment *segments = mmap(NULL, 8192,
					       PROT_READ | PROT_WRITE,
					       MAP_PRIVATE | MAP_ANONYMOUS, -1,
					       0);
	struct tandem_uring_command command = list(segments, 128);
	int i;

	(void)state;
	for (i = 0; i < 256; i++)
		segments[i] = (struct tandem_segment){
			.dst_region = to,
			.src_region = from,
			.length = 1,
		};
	munmap(segments + 128, 4096);
	assert_int_equal(run(&command), 0);
	command.length = 129;
	assert_int_equal(run(&command), -EFAULT);
	command.src_offset = UINT64_MAX - 16;
	assert_int_equal(run(&command), -EFAULT);
	command.src_offset = 8;
	assert_int_equal(run(&command), -EFAULT);
	munmap(segments, 4096);
}

/* Far more than any ring holds, of both kinds. */
static void test_many_lists_at_once(void **state)
{
	struct tandem_segment *segments[2] = {
		make_permutation(16), make_permutation(256)
	};
	struct tandem_uring_command command;
	int i;

	(void)state;
	fill_pattern(source, SIZE, 5);
	memset(destination, 0xee, SIZE);
	for (i = 0; i < 400; i++) {
		command = list(segments[i % 2], i % 2 ? 256 : 16);
		accel_prepare(&accel, TANDEM_URING_COPY_LIST, &command, i);
	}
	assert_int_equal(io_uring_submit(&accel.ring), 400);
	for (i = 0; i < 400; i++)
		assert_int_equal(accel_wait(&accel, NULL), 0);
	memset(destination, 0xee, SIZE);
	command = list(segments[1], 256);
	assert_int_equal(run(&command), 0);
	assert_copied(segments[1], 256);
	free(segments[0]);
	free(segments[1]);
}

/* More work than is done before it is cancelled. */
static void test_cancel(void **state)
{
	uint32_t count = segments_max, i;
	struct tandem_segment *segments = calloc(count, sizeof(*segments));
	struct tandem_uring_command command = list(segments, count), cancel = {
		.queue = accel.copy,
		.cookie = 3,
	};
	uint64_t id;
	int result;

	(void)state;
	for (i = 0; i < count; i++)
		segments[i] = (struct tandem_segment){
			.dst_region = to,
			.src_region = from,
			.length = SIZE,
		};
	source[0] = 1;
	destination[0] = 0;
	command.cookie = 3;
	accel_prepare(&accel, TANDEM_URING_COPY_LIST, &command, 1);
	assert_int_equal(io_uring_submit(&accel.ring), 1);
	while (!*(volatile uint8_t *)destination)
		usleep(1000);
	accel_prepare(&accel, TANDEM_URING_CANCEL, &cancel, 2);
	assert_int_equal(io_uring_submit(&accel.ring), 1);
	for (i = 0; i < 2; i++) {
		result = accel_wait(&accel, &id);
		assert_int_equal(result, id == 1 ? -ECANCELED : 0);
	}
	free(segments);
}

static void test_by_ioctl(void **state)
{
	struct tandem_segment *segments = make_permutation(512);
	struct tandem_submit_command command = {
		.op = TANDEM_URING_COPY_LIST,
		.command = list(segments, 512),
	};
	struct drm_tandem_submit args = {
		.commands = address_of(&command),
		.count = 1,
		.stride = sizeof(command),
		.flags = TANDEM_SUBMIT_WAIT,
	};
	uint32_t out = syncobj_create(&accel);

	(void)state;
	fill_pattern(source, SIZE, 31);
	memset(destination, 0xee, SIZE);
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_SUBMIT, &args),
			 0);
	assert_int_equal(command.result, 0);
	assert_copied(segments, 512);
	/* Without anybody who waits, the driver lets go of it. */
	memset(destination, 0xee, SIZE);
	args.flags = 0;
	command.command.out_syncobj = out;
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_SUBMIT, &args),
			 0);
	assert_true(syncobj_wait(&accel, out, 0, 60000));
	assert_copied(segments, 512);
	syncobj_destroy(&accel, out);
	free(segments);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_it_says_of_itself),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_longer_stride),
		cmocka_unit_test(test_list_is_free_after_submission),
		cmocka_unit_test(test_wrong_segments),
		cmocka_unit_test(test_list_that_cannot_be_read),
		cmocka_unit_test(test_many_lists_at_once),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_by_ioctl),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
