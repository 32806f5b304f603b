// SPDX-License-Identifier: MIT
/*
 * tandem_memory_register(), the same for every kind of device.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "devices.h"

#define PAGE_BYTES	4096ull
#define BYTES		(3 * PAGE_BYTES + 1000)
#define NOBODY		65534
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static uint8_t *map_pages(uint64_t size, int protection)
{
	void *bytes = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(bytes, MAP_FAILED);
	return bytes;
}

static struct tandem_memory *register_bytes(struct tandem_device *device, void *bytes,
					    uint64_t size)
{
	struct tandem_memory *memory;
	struct tandem_error error = { 0 };

	if (tandem_memory_register(device, bytes, size, &memory, &error) < 0)
		fail_msg("%s", error.message);
	assert_int_equal(tandem_memory_size(memory), size);
	assert_ptr_equal(tandem_memory_device(memory), device);
	return memory;
}

static void copy(struct fixture *fixture, struct tandem_memory *to, uint64_t to_offset,
		 struct tandem_memory *from, uint64_t from_offset, uint64_t length, int expected)
{
	struct tandem_operation op = { 0 };

	assert_int_equal(tandem_copy(fixture->copy, to, to_offset, from, from_offset, length, &op),
			 0);
	assert_int_equal(wait_for(fixture, &op), expected);
}

/* Both ways, and not a byte beside what was registered. */
static void check_place(struct fixture *fixture, uint64_t offset, uint64_t size)
{
	const uint64_t bytes = 6 * PAGE_BYTES;
	struct tandem_memory *own = alloc_memory(fixture->device, bytes), *memory;
	uint8_t *host = map_pages(bytes, PROT_READ | PROT_WRITE);
	uint8_t *expected = malloc(bytes), *got = malloc(bytes);

	make_pattern(host, bytes, 1);
	memcpy(expected, host, bytes);
	memory = register_bytes(fixture->device, host + offset, size);
	copy(fixture, own, 5, memory, 0, size, 0);
	download(fixture, got, own, 5, size);
	assert_memory_equal(got, expected + offset, size);

	make_pattern(got, size, 2);
	upload(fixture, own, 0, got, size);
	copy(fixture, memory, 0, own, 0, size, 0);
	memcpy(expected + offset, got, size);
	assert_memory_equal(host, expected, bytes);
	copy(fixture, memory, 1, own, 0, size, -EACCES);
	copy(fixture, own, 0, memory, size, 1, -EACCES);

	/* The memory stays the application's. */
	tandem_memory_free(memory);
	assert_memory_equal(host, expected, bytes);
	munmap(host, bytes);
	tandem_memory_free(own);
	free(expected);
	free(got);
}

static void test_any_place(void **state)
{
	static const struct {
		uint64_t offset, size;
	} places[] = {
		{ 0, PAGE_BYTES },
		{ 0, 1 },
		{ 1, 1 },
		{ PAGE_BYTES - 1, 1 },
		{ PAGE_BYTES - 1, 2 },
		{ 37, BYTES },
		{ PAGE_BYTES, BYTES },
		{ 2 * PAGE_BYTES - 1, PAGE_BYTES + 2 },
	};
	struct fixture *fixture = *state;
	size_t i;

	for (i = 0; i < COUNT(places); i++)
		check_place(fixture, places[i].offset, places[i].size);
}

static void test_fill_and_list(void **state)
{
	struct fixture *fixture = *state;
	uint8_t *host = map_pages(2 * PAGE_BYTES, PROT_READ | PROT_WRITE);
	struct tandem_memory *memory = register_bytes(fixture->device, host + 100, PAGE_BYTES);
	const struct tandem_copy_segment segments[] = {
		{ memory, memory, 0, 1000, 10 },
		{ memory, memory, 4000, 1004, 6 },
	};
	struct tandem_operation op = { 0 };

	assert_int_equal(tandem_fill(fixture->copy, memory, 1000, 16, 0x44434241, &op), 0);
	assert_int_equal(wait_for(fixture, &op), 0);
	assert_memory_equal(host + 1100, "ABCDABCDABCDABCD", 16);
	assert_int_equal(tandem_copy_list(fixture->copy, segments, 2, &op), 0);
	assert_int_equal(wait_for(fixture, &op), 0);
	assert_memory_equal(host + 100, "ABCDABCDAB", 10);
	assert_memory_equal(host + 4100, "ABCDAB", 6);
	tandem_memory_free(memory);
	munmap(host, 2 * PAGE_BYTES);
}

static void test_map_and_export(void **state)
{
	struct fixture *fixture = *state;
	uint8_t bytes[100];
	struct tandem_memory *memory = register_bytes(fixture->device, bytes, sizeof(bytes));
	void *pointer;

	assert_int_equal(tandem_memory_map(memory, &pointer), 0);
	assert_ptr_equal(pointer, bytes);
	/* It is the process's alone. */
	assert_int_equal(tandem_memory_export(memory), -EOPNOTSUPP);
	tandem_memory_free(memory);
}

/* What one device writes, another reads. */
static void test_shared_with_another_device(void **state)
{
	struct fixture *fixture = *state;
	uint8_t *host = map_pages(2 * PAGE_BYTES, PROT_READ | PROT_WRITE);
	struct tandem_memory *memory = register_bytes(fixture->peer, host + 9, PAGE_BYTES);
	struct tandem_memory *own = alloc_memory(fixture->device, PAGE_BYTES), *view;
	uint8_t expected[PAGE_BYTES];

	assert_int_equal(tandem_memory_share(memory, fixture->device, &view, NULL), 0);
	assert_int_equal(tandem_memory_size(view), PAGE_BYTES);
	make_pattern(expected, PAGE_BYTES, 3);
	upload(fixture, own, 0, expected, PAGE_BYTES);
	/* In any order. */
	tandem_memory_free(memory);
	copy(fixture, view, 0, own, 0, PAGE_BYTES, 0);
	assert_memory_equal(host + 9, expected, PAGE_BYTES);
	tandem_memory_free(view);
	tandem_memory_free(own);
	munmap(host, 2 * PAGE_BYTES);
}

static void assert_refused(struct fixture *fixture, void *bytes, uint64_t size, int code,
			   const char *part)
{
	struct tandem_error error = { 0 };
	struct tandem_memory *memory;

	assert_int_equal(tandem_memory_register(fixture->device, bytes, size, &memory, &error),
			 code);
	assert_int_equal(error.code, code);
	if (!strstr(error.message, part))
		fail_msg("\"%s\" does not say \"%s\"", error.message, part);
}

static void test_refused(void **state)
{
	struct fixture *fixture = *state;
	uint8_t *host;

	assert_refused(fixture, NULL, 1, -EINVAL, "cannot register");
	assert_refused(fixture, fixture, 0, -EINVAL, "cannot register");
	assert_refused(fixture, fixture, UINT64_MAX, -EINVAL, "cannot register");
	if (fixture->inproc)
		return;
	host = map_pages(2 * PAGE_BYTES, PROT_READ | PROT_WRITE);
	munmap(host + PAGE_BYTES, PAGE_BYTES);
	assert_refused(fixture, host, PAGE_BYTES + 1, -EFAULT, "not all there");
	assert_refused(fixture, host, 1ull << 40, -EINVAL, "register parts");
	munmap(host, PAGE_BYTES);
}

/* An inproc device would crash the process. */
static void test_memory_for_reading_only(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *memory, *own;
	uint8_t *host, got[100];

	if (fixture->inproc)
		return;
	host = map_pages(PAGE_BYTES, PROT_READ | PROT_WRITE);
	make_pattern(host, PAGE_BYTES, 4);
	assert_int_equal(mprotect(host, PAGE_BYTES, PROT_READ), 0);
	memory = register_bytes(fixture->device, host + 7, sizeof(got));
	own = alloc_memory(fixture->device, PAGE_BYTES);
	copy(fixture, own, 0, memory, 0, sizeof(got), 0);
	download(fixture, got, own, 0, sizeof(got));
	assert_memory_equal(got, host + 7, sizeof(got));
	copy(fixture, memory, 0, own, 0, sizeof(got), -EACCES);
	tandem_memory_free(own);
	tandem_memory_free(memory);
	munmap(host, PAGE_BYTES);
}

/* As a user who may not pin as much as he likes. */
static void test_limit_of_the_process(void **state)
{
	struct fixture *fixture = *state;
	struct rlimit usual, low;
	uint8_t *host;

	if (fixture->inproc)
		return;
	host = map_pages(2 * PAGE_BYTES, PROT_READ | PROT_WRITE);
	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &usual), 0);
	low = usual;
	low.rlim_cur = PAGE_BYTES;
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &low), 0);
	assert_int_equal(seteuid(NOBODY), 0);
	/* One byte of each of two pages. */
	assert_refused(fixture, host + PAGE_BYTES - 1, 2, -ENOMEM, "ulimit -l");
	tandem_memory_free(register_bytes(fixture->device, host + PAGE_BYTES - 1, 1));
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &usual), 0);
	munmap(host, 2 * PAGE_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_place),
		cmocka_unit_test(test_fill_and_list),
		cmocka_unit_test(test_map_and_export),
		cmocka_unit_test(test_shared_with_another_device),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_memory_for_reading_only),
		cmocka_unit_test(test_limit_of_the_process),
	};

	return run_on_devices("registered memory", tests, COUNT(tests));
}
