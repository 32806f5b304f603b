// SPDX-License-Identifier: MIT
/*
 * Devices with several kinds of memory. An accel device that is to have them
 * comes from the environment: TANDEM_TEST_DEVICES, and how many it has to have
 * from TANDEM_TEST_CLASSES.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices.h"

#define PAGE_BYTES	4096ull
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static struct tandem_memory_class memory_class(struct fixture *fixture, uint32_t index)
{
	struct tandem_memory_class found;

	assert_int_equal(tandem_device_get_memory_class(fixture->device, index, &found), 0);
	return found;
}

static uint32_t classes(struct fixture *fixture)
{
	struct tandem_device_info info;

	assert_int_equal(tandem_device_get_info(fixture->device, &info), 0);
	return info.memory_classes;
}

static struct tandem_memory *alloc_from(struct fixture *fixture, uint64_t size, uint32_t index)
{
	struct tandem_error error = { 0 };
	struct tandem_memory *memory = NULL;

	if (tandem_memory_alloc_class(fixture->device, size, index, &memory, &error) < 0)
		fail_msg("%s", error.message);
	return memory;
}

static void test_classes_add_up(void **state)
{
	const char *wanted = getenv("TANDEM_TEST_CLASSES");
	struct fixture *fixture = *state;
	struct tandem_memory_class one;
	struct tandem_device_info info;
	uint64_t size = 0, used = 0;
	uint32_t i;

	assert_int_equal(tandem_device_get_info(fixture->device, &info), 0);
	assert_true(info.memory_classes >= 1);
	if (wanted)
		assert_int_equal(info.memory_classes, strtoul(wanted, NULL, 10));
	for (i = 0; i < info.memory_classes; i++) {
		one = memory_class(fixture, i);
		assert_true(one.type <= TANDEM_MEMORY_TYPE_SRAM);
		assert_true(one.size >= PAGE_BYTES && one.used <= one.size);
		size += one.size;
		used += one.used;
	}
	assert_true(size == info.memory_size);
	assert_true(used == info.memory_used);
	assert_int_equal(tandem_device_get_memory_class(fixture->device, i, &one), -EINVAL);
	assert_int_equal(tandem_device_get_memory_class(fixture->device, UINT32_MAX, &one), -EINVAL);
}

static void test_each_counts_its_own(void **state)
{
	struct fixture *fixture = *state;
	uint32_t count = classes(fixture);
	uint32_t i, j;

	for (i = 0; i < count; i++) {
		uint64_t used[16];
		struct tandem_memory *memory;

		assert_true(count <= COUNT(used));
		for (j = 0; j < count; j++)
			used[j] = memory_class(fixture, j).used;
		memory = alloc_from(fixture, 3 * PAGE_BYTES, i);
		for (j = 0; j < count; j++)
			assert_true(memory_class(fixture, j).used ==
				    used[j] + (i == j) * 3 * PAGE_BYTES);
		tandem_memory_free(memory);
		assert_true(memory_class(fixture, i).used == used[i]);
	}
}

static void test_one_is_full(void **state)
{
	struct fixture *fixture = *state;
	uint32_t count = classes(fixture);
	uint32_t i, j;

	for (i = 0; i < count; i++) {
		struct tandem_memory_class one = memory_class(fixture, i);
		struct tandem_memory *all = alloc_from(fixture, one.size - one.used, i);
		struct tandem_memory *memory;
		struct tandem_error error = { 0 };

		assert_int_equal(tandem_memory_alloc_class(fixture->device, PAGE_BYTES, i, &memory,
							   &error), -ENOSPC);
		assert_non_null(strstr(error.message, "memory class"));
		for (j = 0; j < count; j++)
			if (j != i)
				tandem_memory_free(alloc_from(fixture, PAGE_BYTES, j));
		if (count > 1)
			tandem_memory_free(alloc_from(fixture, PAGE_BYTES,
						      TANDEM_MEMORY_CLASS_ANY));
		tandem_memory_free(all);
	}
}

static void test_no_such_class(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *memory;
	struct tandem_error error = { 0 };

	assert_int_equal(tandem_memory_alloc_class(fixture->device, PAGE_BYTES, classes(fixture),
						   &memory, &error), -EINVAL);
	assert_non_null(strstr(error.message, "no memory class"));
	assert_int_equal(tandem_memory_alloc_class(fixture->device, PAGE_BYTES, 255, &memory,
						   NULL), -EINVAL);
}

/* Copies go between the classes as within one. */
static void test_copy_across(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *from = alloc_from(fixture, PAGE_BYTES, 0);
	struct tandem_memory *to = alloc_from(fixture, PAGE_BYTES, classes(fixture) - 1);
	struct tandem_operation op = { 0 };
	uint8_t expected[PAGE_BYTES], got[PAGE_BYTES];

	make_pattern(expected, sizeof(expected), 3);
	upload(fixture, from, 0, expected, sizeof(expected));
	assert_int_equal(tandem_copy(fixture->copy, to, 0, from, 0, PAGE_BYTES, &op), 0);
	assert_int_equal(wait_for(fixture, &op), 0);
	download(fixture, got, to, 0, sizeof(got));
	assert_memory_equal(got, expected, sizeof(got));
	tandem_memory_free(to);
	tandem_memory_free(from);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes_add_up),
		cmocka_unit_test(test_each_counts_its_own),
		cmocka_unit_test(test_one_is_full),
		cmocka_unit_test(test_no_such_class),
		cmocka_unit_test(test_copy_across),
	};

	return run_on_devices("memory class", tests, COUNT(tests));
}
