// SPDX-License-Identifier: MIT
/*
 * Classes of device memory, and how much of it a file may hold.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "accel.h"
#include "firmware.h"
#include "tandem_hw.h"
#include "toy_device.h"

#define HBM	0
#define SRAM	1
#define HBM_BYTES	(48 * MIB)
#define SRAM_BYTES	(16 * MIB)

static struct firmware firmware;
static struct accel accel;

static int setup(void **state)
{
	static const char *const options[] = {
		"--profile", "trn2", "--mem", "48M", "--sram", "16M", NULL,
	};

	(void)state;
	firmware_start_with(&firmware, options);
	accel_open(&accel, firmware.node);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	accel_close(&accel);
	firmware_kill(&firmware);
	return 0;
}

static uint64_t class_param(uint32_t param, uint32_t class)
{
	struct drm_tandem_get_param args = { .param = param, .index = class };

	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_GET_PARAM, &args),
			 0);
	return args.value;
}

static uint64_t used_of(uint32_t class)
{
	return class_param(TANDEM_PARAM_MEMORY_CLASS_USED, class);
}

static uint64_t used_by(const struct accel *file)
{
	return accel_param(file, TANDEM_PARAM_FILE_MEMORY_USED);
}

/* -errno, or the handle of an object of that class, or of any for -1. */
static int create(const struct accel *file, uint64_t size, int class)
{
	struct drm_tandem_gem_create args = {
		.size = size,
		.flags = class < 0 ? 0 : TANDEM_GEM_CLASS(class),
	};
	int ret = accel_ioctl(file, DRM_IOCTL_TANDEM_GEM_CREATE, &args);

	return ret ? ret : (int)args.handle;
}

static void set_limit(uint64_t bytes)
{
	char path[128], text[32];
	int fd, length;

	snprintf(path, sizeof(path),
		 "/sys/class/accel/%s/device/memory_limit_per_file",
		 strrchr(firmware.node, '/') + 1);
	length = snprintf(text, sizeof(text), "%llu",
			  (unsigned long long)bytes);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, length), length);
	close(fd);
}

static void test_device_tells_of_its_classes(void **state)
{
	(void)state;
	assert_int_equal(accel_param(&accel, TANDEM_PARAM_CAPABILITIES) &
			 TANDEM_CAPABILITY_MEMORY_CLASS,
			 TANDEM_CAPABILITY_MEMORY_CLASS);
	assert_int_equal(accel_param(&accel, TANDEM_PARAM_MEMORY_CLASSES), 2);
	assert_int_equal(accel_param(&accel, TANDEM_PARAM_MEMORY_SIZE),
			 HBM_BYTES + SRAM_BYTES);
	assert_int_equal(class_param(TANDEM_PARAM_MEMORY_CLASS_KIND, HBM),
			 TANDEM_MEMORY_HBM);
	assert_int_equal(class_param(TANDEM_PARAM_MEMORY_CLASS_KIND, SRAM),
			 TANDEM_MEMORY_SRAM);
	assert_int_equal(class_param(TANDEM_PARAM_MEMORY_CLASS_SIZE, HBM),
			 HBM_BYTES);
	assert_int_equal(class_param(TANDEM_PARAM_MEMORY_CLASS_SIZE, SRAM),
			 SRAM_BYTES);
	assert_true(class_param(TANDEM_PARAM_MEMORY_CLASS_BANDWIDTH, HBM) > 0);
	assert_int_equal(class_param(TANDEM_PARAM_MEMORY_CLASS_BANDWIDTH, SRAM),
			 0);
}

static void test_object_is_of_the_class_that_was_asked_for(void **state)
{
	uint64_t used = accel_param(&accel, TANDEM_PARAM_MEMORY_USED);
	int in_hbm, in_sram;

	(void)state;
	in_sram = create(&accel, 3 * MIB, SRAM);
	assert_true(in_sram > 0);
	assert_int_equal(used_of(SRAM), 3 * MIB);
	assert_int_equal(used_of(HBM), 0);
	in_hbm = create(&accel, 2 * MIB, HBM);
	assert_true(in_hbm > 0);
	assert_int_equal(used_of(SRAM), 3 * MIB);
	assert_int_equal(used_of(HBM), 2 * MIB);
	assert_int_equal(accel_param(&accel, TANDEM_PARAM_MEMORY_USED),
			 used + 5 * MIB);
	accel_object_close(&accel, in_sram);
	assert_int_equal(used_of(SRAM), 0);
	accel_object_close(&accel, in_hbm);
	assert_int_equal(used_of(HBM), 0);
}

static void test_full_class_does_not_spill_unless_allowed_to(void **state)
{
	int all, other, spilled;

	(void)state;
	assert_int_equal(create(&accel, SRAM_BYTES + 4096, SRAM), -ENOSPC);
	all = create(&accel, SRAM_BYTES, SRAM);
	assert_true(all > 0);
	assert_int_equal(create(&accel, 4096, SRAM), -ENOSPC);
	other = create(&accel, HBM_BYTES, -1);
	assert_true(other > 0);
	assert_int_equal(used_of(HBM), HBM_BYTES);
	assert_int_equal(create(&accel, 4096, -1), -ENOSPC);
	/* The first class that has room. */
	accel_object_close(&accel, all);
	spilled = create(&accel, 4096, -1);
	assert_true(spilled > 0);
	assert_int_equal(used_of(SRAM), 4096);
	accel_object_close(&accel, spilled);
	accel_object_close(&accel, other);
	/* There is room for it all, but not in one piece. */
	assert_int_equal(create(&accel, HBM_BYTES + 4096, -1), -ENOSPC);
}

static void test_device_copies_between_classes(void **state)
{
	int handle[2] = { create(&accel, MIB, HBM), create(&accel, MIB, SRAM) };
	uint32_t region[2];
	uint8_t *memory[2];
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_true(handle[i] > 0);
		memory[i] = accel_map(&accel, handle[i], MIB);
		region[i] = accel_region(&accel, 0, handle[i], 0, MIB,
					 READ | WRITE);
	}
	fill_pattern(memory[HBM], MIB, 1);
	assert_int_equal(accel_copy(&accel, region[SRAM], 0, region[HBM], 0,
				    MIB), 0);
	assert_memory_equal(memory[HBM], memory[SRAM], MIB);
	fill_pattern(memory[SRAM], MIB, 2);
	assert_int_equal(accel_copy(&accel, region[HBM], 0, region[SRAM], 0,
				    MIB), 0);
	assert_memory_equal(memory[HBM], memory[SRAM], MIB);
	for (i = 0; i < 2; i++) {
		assert_int_equal(accel_region_unmap(&accel, 0, region[i]), 0);
		munmap(memory[i], MIB);
		accel_object_close(&accel, handle[i]);
	}
}

/* Each way to hold an object, one after the other the last one. */
static void test_file_is_counted_until_memory_is_free(void **state)
{
	struct accel maker, other;
	uint32_t region, imported;
	uint8_t *memory;
	int handle, dmabuf;

	(void)state;
	accel_open(&maker, firmware.node);
	accel_open(&other, firmware.node);
	assert_int_equal(used_by(&maker), 0);
	handle = create(&maker, MIB, -1);
	assert_int_equal(used_by(&maker), MIB);
	assert_int_equal(used_by(&other), 0);

	memory = accel_map(&maker, handle, MIB);
	region = accel_region(&maker, 0, handle, 0, MIB, READ);
	dmabuf = accel_export(&maker, handle);
	accel_object_close(&maker, handle);
	assert_int_equal(used_by(&maker), MIB);
	assert_int_equal(accel_region_unmap(&maker, 0, region), 0);
	assert_int_equal(used_by(&maker), MIB);
	munmap(memory, MIB);
	assert_int_equal(used_by(&maker), MIB);
	/* Another file has it now, but did not make it. */
	assert_int_equal(accel_import(&other, dmabuf, &imported), 0);
	assert_int_equal(used_by(&other), 0);
	close(dmabuf);
	assert_int_equal(used_by(&maker), MIB);
	accel_object_close(&other, imported);
	assert_int_equal(used_by(&maker), 0);
	accel_close(&other);
	accel_close(&maker);
}

static void test_limit_is_for_each_file(void **state)
{
	struct accel first, second;
	int handle;

	(void)state;
	assert_int_equal(accel_param(&accel, TANDEM_PARAM_FILE_MEMORY_LIMIT),
			 HBM_BYTES + SRAM_BYTES);
	set_limit(4 * MIB);
	assert_int_equal(accel_param(&accel, TANDEM_PARAM_FILE_MEMORY_LIMIT),
			 4 * MIB);
	accel_open(&first, firmware.node);
	accel_open(&second, firmware.node);
	assert_int_equal(create(&first, 4 * MIB + 4096, -1), -EDQUOT);
	handle = create(&first, 3 * MIB, -1);
	assert_true(handle > 0);
	assert_int_equal(create(&first, MIB + 4096, -1), -EDQUOT);
	assert_int_equal(create(&first, MIB + 4096, SRAM), -EDQUOT);
	assert_true(create(&first, MIB, SRAM) > 0);
	assert_int_equal(create(&first, 1, -1), -EDQUOT);
	assert_true(create(&second, 4 * MIB, -1) > 0);

	/* What is held is kept, also when it is too much. */
	set_limit(MIB);
	assert_int_equal(used_by(&first), 4 * MIB);
	assert_int_equal(create(&first, 1, -1), -EDQUOT);
	accel_object_close(&first, handle);
	assert_int_equal(used_by(&first), MIB);
	assert_int_equal(create(&first, 1, -1), -EDQUOT);
	set_limit(0);
	assert_int_equal(create(&accel, 1, -1), -EDQUOT);

	set_limit(UINT64_MAX);
	assert_int_equal(accel_param(&accel, TANDEM_PARAM_FILE_MEMORY_LIMIT),
			 HBM_BYTES + SRAM_BYTES);
	assert_true(create(&first, 5 * MIB, -1) > 0);
	accel_close(&second);
	accel_close(&first);
}

static void test_memory_in_a_dmabuf_of_a_closed_file_is_counted_as_used(void **state)
{
	uint64_t used = accel_param(&accel, TANDEM_PARAM_MEMORY_USED);
	struct accel other;
	int dmabuf;

	(void)state;
	accel_open(&other, firmware.node);
	dmabuf = accel_export(&other, create(&other, MIB, SRAM));
	accel_close(&other);
	assert_int_equal(accel_param(&accel, TANDEM_PARAM_MEMORY_USED),
			 used + MIB);
	assert_int_equal(used_of(SRAM), MIB);
	close(dmabuf);
	assert_int_equal(accel_param(&accel, TANDEM_PARAM_MEMORY_USED), used);
	assert_int_equal(used_of(SRAM), 0);
}

/* What a device says of its classes is not believed as it is. */
static void test_impossible_classes_are_refused(void **state)
{
	struct toy_device toy;
	char node[300];
	int i;

	(void)state;
	/* One that is in order comes up, and in less time than is waited. */
	toy_start(&toy, TOY_NO_DEFECT);
	assert_true(toy_find_node(&toy, node, sizeof(node), 30));
	toy_kill(&toy);
	for (i = 0; i < TOY_BAD_CLASS_DEFECTS; i++) {
		toy_start(&toy, TOY_BAD_CLASSES + i);
		if (toy_find_node(&toy, node, sizeof(node), 1))
			fail_msg("the driver takes classes of defect %d", i);
		toy_kill(&toy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_device_tells_of_its_classes),
		cmocka_unit_test(test_object_is_of_the_class_that_was_asked_for),
		cmocka_unit_test(test_full_class_does_not_spill_unless_allowed_to),
		cmocka_unit_test(test_device_copies_between_classes),
		cmocka_unit_test(test_file_is_counted_until_memory_is_free),
		cmocka_unit_test(test_limit_is_for_each_file),
		cmocka_unit_test(test_memory_in_a_dmabuf_of_a_closed_file_is_counted_as_used),
		cmocka_unit_test(test_impossible_classes_are_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
