// SPDX-License-Identifier: MIT
/*
 * Device memory written to files and read back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include <tandem/file.h>

#include "tests/native/runtime/devices.h"

#define PAGE_BYTES	4096ull
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

/* Where a test's file is: a disk, unless /var/tmp is none. */
static char path[64];

static struct tandem_file *open_file(struct fixture *fixture, unsigned int flags)
{
	struct tandem_error error = { 0 };
	struct tandem_file *file = NULL;

	if (tandem_file_open(fixture->loop, path, flags, PATIENCE_MS, &file, &error) < 0)
		fail_msg("%s", error.message);
	return file;
}

static struct tandem_file *new_file(struct fixture *fixture)
{
	unlink(path);
	return open_file(fixture, TANDEM_FILE_WRITE | TANDEM_FILE_CREATE);
}

static int do_write(struct fixture *fixture, struct tandem_file *file,
		    struct tandem_memory *memory, const struct tandem_file_segment *segments,
		    size_t count)
{
	struct tandem_operation op = { 0 };
	int ret = tandem_file_write_start(file, memory, segments, count, &op);

	return ret ? ret : wait_for(fixture, &op);
}

static int do_read(struct fixture *fixture, struct tandem_file *file,
		   struct tandem_memory *memory, const struct tandem_file_segment *segments,
		   size_t count)
{
	struct tandem_operation op = { 0 };
	int ret = tandem_file_read_start(file, memory, segments, count, &op);

	return ret ? ret : wait_for(fixture, &op);
}

/* There and back, in one piece, at offsets that are aligned or are not. */
static void test_there_and_back(void **state)
{
	static const struct tandem_file_segment pieces[] = {
		{ 0, 0, 1 },
		{ 0, 0, PAGE_BYTES },
		{ PAGE_BYTES, 2 * PAGE_BYTES, 5 * PAGE_BYTES },
		{ 1, 0, PAGE_BYTES },
		{ 0, 1, PAGE_BYTES },
		{ 512, 512, 3 * PAGE_BYTES + 7 },
		{ 0, 0, 8 << 20 },
		{ 3 << 20, 4096, (7 << 20) + 4097 },
	};
	struct fixture *fixture = *state;
	struct tandem_memory *from = alloc_memory(fixture->device, 16 << 20);
	struct tandem_memory *to = alloc_memory(fixture->device, 16 << 20);
	struct tandem_operation op = { 0 };
	struct tandem_file_info info;
	uint8_t *expected, *got;
	void *pointer;
	size_t i;

	assert_int_equal(tandem_memory_map(from, &pointer), 0);
	expected = pointer;
	assert_int_equal(tandem_memory_map(to, &pointer), 0);
	got = pointer;
	make_pattern(expected, 16 << 20, 1);
	for (i = 0; i < COUNT(pieces); i++) {
		const struct tandem_file_segment *piece = &pieces[i];
		struct tandem_file *file = new_file(fixture);

		assert_int_equal(do_write(fixture, file, from, piece, 1), 0);
		assert_int_equal(tandem_file_sync_start(file, &op), 0);
		assert_int_equal(wait_for(fixture, &op), 0);
		assert_int_equal(tandem_file_get_info(file, &info), 0);
		assert_true(info.size == piece->file_offset + piece->length);
		assert_true(info.direct_bytes + info.buffered_bytes == piece->length);
		tandem_file_close(file);

		memset(got, 0xee, 16 << 20);
		file = open_file(fixture, 0);
		assert_int_equal(do_read(fixture, file, to, piece, 1), 0);
		tandem_file_close(file);
		assert_memory_equal(got + piece->memory_offset, expected + piece->memory_offset,
				    piece->length);
		assert_true(all_bytes_are(got, piece->memory_offset, 0xee));
		assert_true(all_bytes_are(got + piece->memory_offset + piece->length, PAGE_BYTES,
					  0xee));
	}
	tandem_memory_free(to);
	tandem_memory_free(from);
}

/* Thousands of scattered blocks, some of which are neighbours. */
static void scatter(struct fixture *fixture, uint64_t block, uint32_t count)
{
	struct tandem_memory *from = alloc_memory(fixture->device, block * count);
	struct tandem_memory *to = alloc_memory(fixture->peer, block * count);
	struct tandem_file_segment *segments = calloc(count, sizeof(*segments));
	struct tandem_file *file = new_file(fixture);
	struct tandem_file_info info;
	void *expected, *got;
	uint32_t i;

	assert_int_equal(tandem_memory_map(from, &expected), 0);
	assert_int_equal(tandem_memory_map(to, &got), 0);
	make_pattern(expected, block * count, count);
	/* Runs of eight, in an order that is not theirs: 7919 is a prime. */
	for (i = 0; i < count; i++) {
		segments[i].memory_offset = i * block;
		segments[i].file_offset =
			((uint64_t)(i / 8) * 7919 % (count / 8) * 8 + i % 8) * block;
		segments[i].length = block;
	}
	assert_int_equal(do_write(fixture, file, from, segments, count), 0);
	/* To the other device, in the order of the file. */
	for (i = 0; i < count; i++)
		segments[i] = (struct tandem_file_segment){ segments[i].file_offset,
							    segments[i].memory_offset, block };
	assert_int_equal(do_read(fixture, file, to, segments, count), 0);
	assert_memory_equal(got, expected, block * count);
	assert_int_equal(tandem_file_get_info(file, &info), 0);
	assert_true(info.size == block * count);
	if (info.direct_alignment && block % info.direct_alignment == 0)
		assert_true(info.direct_bytes == 2 * block * count);
	tandem_file_close(file);
	free(segments);
	tandem_memory_free(to);
	tandem_memory_free(from);
}

static void test_scattered_blocks(void **state)
{
	scatter(*state, 8192, 2048);
	scatter(*state, 4096, 1024);
	scatter(*state, 768, 4096);
	scatter(*state, 100, 80);
}

static void test_past_the_end(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *memory = alloc_memory(fixture->device, 4 * PAGE_BYTES);
	struct tandem_file *file = new_file(fixture);
	struct tandem_file_segment segment = { 0, 0, PAGE_BYTES + 100 };

	assert_int_equal(do_write(fixture, file, memory, &segment, 1), 0);
	segment.length++;
	assert_int_equal(do_read(fixture, file, memory, &segment, 1), -ENODATA);
	segment = (struct tandem_file_segment){ 100 * PAGE_BYTES, 0, PAGE_BYTES };
	assert_int_equal(do_read(fixture, file, memory, &segment, 1), -ENODATA);
	/* That was no reason not to go on. */
	segment = (struct tandem_file_segment){ 0, 0, PAGE_BYTES + 100 };
	assert_int_equal(do_read(fixture, file, memory, &segment, 1), 0);
	tandem_file_close(file);
	tandem_memory_free(memory);
}

static void test_wrong_arguments(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *memory = alloc_memory(fixture->device, PAGE_BYTES);
	static const struct tandem_file_segment bad[] = {
		{ 0, 0, 0 },
		{ 0, 0, PAGE_BYTES + 1 },
		{ 0, 1, PAGE_BYTES },
		{ 0, PAGE_BYTES + 1, 1 },
		{ 0, UINT64_MAX, 2 },
		{ 0, 2, UINT64_MAX },
		{ UINT64_MAX, 0, 1 },
		{ INT64_MAX, 0, 1 },
		{ (uint64_t)INT64_MAX + 1, 0, 1 },
	};
	const struct tandem_file_segment good = { 0, 0, PAGE_BYTES };
	struct tandem_file *file = new_file(fixture);
	struct tandem_file_segment both[2] = { good };
	struct tandem_operation op = { 0 };
	struct tandem_error error = { 0 };
	struct tandem_file_info info;
	size_t i;

	for (i = 0; i < COUNT(bad); i++) {
		both[1] = bad[i];
		assert_int_equal(tandem_file_write_start(file, memory, both, 2, &op), -EINVAL);
		assert_int_equal(tandem_file_read_start(file, memory, both, 2, &op), -EINVAL);
	}
	assert_int_equal(tandem_file_write_start(file, memory, &good, 0, &op), -EINVAL);
	assert_false(op.pending);
	/* Nothing of the good piece was written. */
	assert_int_equal(tandem_file_get_info(file, &info), 0);
	assert_int_equal(info.size, 0);
	tandem_file_close(file);
	tandem_file_close(NULL);

	file = open_file(fixture, 0);
	assert_int_equal(tandem_file_write_start(file, memory, &good, 1, &op), -EBADF);
	tandem_file_close(file);
	assert_int_equal(tandem_file_open(fixture->loop, path, TANDEM_FILE_CREATE, 0, &file, NULL),
			 -EINVAL);
	assert_int_equal(tandem_file_open(fixture->loop, path, 4, 0, &file, NULL), -EINVAL);
	unlink(path);
	assert_int_equal(tandem_file_open(fixture->loop, path, TANDEM_FILE_WRITE, 0, &file, &error),
			 -ENOENT);
	assert_non_null(strstr(error.message, path));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(tandem_file_open(fixture->loop, path, 0, 0, &file, &error), -EINVAL);
	assert_non_null(strstr(error.message, "no ordinary file"));
	unlink(path);
	tandem_memory_free(memory);
}

/* The file may not grow: an error, and what fits can be read. */
static void test_too_large(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *memory = alloc_memory(fixture->device, 8 << 20);
	struct tandem_file *file = new_file(fixture);
	struct tandem_file_segment segment = { 0, 0, 8 << 20 };
	struct rlimit before, limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 3 << 20;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(do_write(fixture, file, memory, &segment, 1), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(do_write(fixture, file, memory, &segment, 1), 0);
	tandem_file_close(file);
	tandem_memory_free(memory);
}

/* What was cancelled ends, with one or the other result, and nothing is left. */
static void test_cancel(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *memory = alloc_memory(fixture->device, 16 << 20);
	struct tandem_file *file = new_file(fixture);
	struct tandem_file_segment segment = { 0, 0, 16 << 20 };
	unsigned int rounds;

	for (rounds = 0; rounds < 20; rounds++) {
		struct tandem_operation op = { 0 };
		unsigned int i;

		assert_int_equal(rounds % 2 ?
				 tandem_file_read_start(file, memory, &segment, 1, &op) :
				 tandem_file_write_start(file, memory, &segment, 1, &op), 0);
		for (i = 0; i < rounds / 2 && op.pending; i++)
			tandem_loop_run(fixture->loop, 0);
		if (op.pending)
			assert_int_equal(tandem_cancel(fixture->loop, &op), 0);
		wait_for(fixture, &op);
		assert_true(!op.result || op.result == -ECANCELED || op.result == -ENODATA);
	}
	tandem_file_close(file);
	tandem_memory_free(memory);
}

/* Many at once, of one file. */
static void test_many_at_once(void **state)
{
	struct fixture *fixture = *state;
	const uint32_t count = 64;
	const uint64_t bytes = 128 << 10;
	struct tandem_memory *from = alloc_memory(fixture->device, count * bytes);
	struct tandem_memory *to = alloc_memory(fixture->device, count * bytes);
	struct tandem_operation *ops = calloc(count, sizeof(*ops));
	struct tandem_file *file = new_file(fixture);
	void *expected, *got;
	uint32_t i;

	assert_int_equal(tandem_memory_map(from, &expected), 0);
	assert_int_equal(tandem_memory_map(to, &got), 0);
	make_pattern(expected, count * bytes, 77);
	for (i = 0; i < count; i++) {
		struct tandem_file_segment segment = { i * bytes, i * bytes, bytes };

		assert_int_equal(tandem_file_write_start(file, from, &segment, 1, &ops[i]), 0);
	}
	for (i = 0; i < count; i++)
		assert_int_equal(wait_for(fixture, &ops[i]), 0);
	for (i = 0; i < count; i++) {
		struct tandem_file_segment segment = { i * bytes, i * bytes, bytes };

		assert_int_equal(tandem_file_read_start(file, to, &segment, 1, &ops[i]), 0);
	}
	for (i = 0; i < count; i++)
		assert_int_equal(wait_for(fixture, &ops[i]), 0);
	assert_memory_equal(got, expected, count * bytes);
	tandem_file_close(file);
	free(ops);
	tandem_memory_free(to);
	tandem_memory_free(from);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_scattered_blocks),
		cmocka_unit_test(test_past_the_end),
		cmocka_unit_test(test_wrong_arguments),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_many_at_once),
	};
	int failed;

	snprintf(path, sizeof(path), "/var/tmp/test_file.%d", (int)getpid());
	failed = run_on_devices("file", tests, COUNT(tests));
	unlink(path);
	return failed;
}
