// SPDX-License-Identifier: MIT
/*
 * Device memory in the dmem cgroup, where the kernel has it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "accel.h"
#include "firmware.h"

#define HBM	0
#define SRAM	1
#define HBM_BYTES	(48 * MIB)
#define SRAM_BYTES	(16 * MIB)
#define NONE	UINT64_MAX

#define ROOT	"/tmp/tandem-cgroup"
#define GROUP	ROOT "/tandem"

static struct firmware firmware;
static struct accel accel;
/* The device's, as the cgroup has them. */
static char region_names[2][300];
static bool has_dmem;

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fail_msg("%s: \"%s\": %s", path, text, strerror(errno));
	close(fd);
}

/* What @path says of a region; NONE if nothing. */
static uint64_t value_of(const char *path, const char *region)
{
	uint64_t value = NONE;
	char name[300], number[32];
	FILE *file;

	file = fopen(path, "r");
	assert_non_null(file);
	while (fscanf(file, "%299s %31s", name, number) == 2)
		if (!strcmp(name, region) && strcmp(number, "max"))
			value = strtoull(number, NULL, 10);
	fclose(file);
	return value;
}

static uint64_t used(int class)
{
	return value_of(GROUP "/dmem.current", region_names[class]);
}

static void set_limit(int class, uint64_t bytes)
{
	char text[400];

	snprintf(text, sizeof(text), "%s %llu", region_names[class],
		 (unsigned long long)bytes);
	write_file(GROUP "/dmem.max", text);
}

static void enter(const char *group)
{
	char path[128], pid[16];

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	snprintf(pid, sizeof(pid), "%d", getpid());
	write_file(path, pid);
}

/* -errno, or the handle of an object of that class. */
static int create(const struct accel *file, uint64_t size, int class)
{
	struct drm_tandem_gem_create args = {
		.size = size,
		.flags = TANDEM_GEM_CLASS(class),
	};
	int ret = accel_ioctl(file, DRM_IOCTL_TANDEM_GEM_CREATE, &args);

	return ret ? ret : (int)args.handle;
}

static bool controller_is_there(void)
{
	char text[256] = "";
	int fd;

	fd = open(ROOT "/cgroup.controllers", O_RDONLY);
	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return strstr(text, "dmem");
}

/* The name of the bus's device is what the driver calls its regions by. */
static void find_region_names(void)
{
	char link[128], target[200];
	ssize_t length;

	snprintf(link, sizeof(link), "/sys/class/accel/%s/device",
		 strrchr(firmware.node, '/') + 1);
	length = readlink(link, target, sizeof(target) - 1);
	assert_true(length > 0);
	target[length] = 0;
	snprintf(region_names[HBM], sizeof(region_names[HBM]), "drm/%s/hbm0",
		 strrchr(target, '/') + 1);
	snprintf(region_names[SRAM], sizeof(region_names[SRAM]),
		 "drm/%s/sram1", strrchr(target, '/') + 1);
}

static int setup(void **state)
{
	static const char *const options[] = {
		"--profile", "trn2", "--mem", "48M", "--sram", "16M", NULL,
	};

	(void)state;
	if (mkdir(ROOT, 0755) && errno != EEXIST)
		return -1;
	if (mount("none", ROOT, "cgroup2", 0, NULL))
		return 0;
	has_dmem = controller_is_there();
	if (!has_dmem)
		return 0;
	write_file(ROOT "/cgroup.subtree_control", "+dmem");
	if (mkdir(GROUP, 0755))
		return -1;
	firmware_start_with(&firmware, options);
	accel_open(&accel, firmware.node);
	find_region_names();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (has_dmem) {
		accel_close(&accel);
		firmware_kill(&firmware);
		rmdir(GROUP);
	}
	umount(ROOT);
	rmdir(ROOT);
	return 0;
}

static int test_setup(void **state)
{
	(void)state;
	if (has_dmem)
		enter(GROUP);
	return 0;
}

static int test_teardown(void **state)
{
	(void)state;
	if (has_dmem)
		enter(ROOT);
	return 0;
}

static void need_dmem(void)
{
	if (has_dmem)
		return;
	print_message("# skip: the kernel has no dmem cgroup\n");
	skip();
}

static void test_each_class_is_a_region(void **state)
{
	(void)state;
	need_dmem();
	assert_int_equal(value_of(ROOT "/dmem.capacity", region_names[HBM]),
			 HBM_BYTES);
	assert_int_equal(value_of(ROOT "/dmem.capacity", region_names[SRAM]),
			 SRAM_BYTES);
}

static void test_use_is_counted_by_class(void **state)
{
	int hbm, sram;

	(void)state;
	need_dmem();
	hbm = create(&accel, 2 * MIB, HBM);
	sram = create(&accel, 3 * MIB, SRAM);
	assert_true(hbm > 0 && sram > 0);
	assert_int_equal(used(HBM), 2 * MIB);
	assert_int_equal(used(SRAM), 3 * MIB);
	accel_object_close(&accel, hbm);
	accel_object_close(&accel, sram);
	assert_int_equal(used(HBM), 0);
	assert_int_equal(used(SRAM), 0);
}

static void test_limit_is_kept(void **state)
{
	int handle, outside;

	(void)state;
	need_dmem();
	set_limit(HBM, 4 * MIB);
	assert_int_equal(create(&accel, 5 * MIB, HBM), -EDQUOT);
	assert_int_equal(used(HBM), 0);
	handle = create(&accel, 3 * MIB, HBM);
	assert_true(handle > 0);
	assert_int_equal(create(&accel, 2 * MIB, HBM), -EDQUOT);
	/* Neither another class nor others are limited by it. */
	outside = create(&accel, 5 * MIB, SRAM);
	assert_true(outside > 0);
	accel_object_close(&accel, outside);
	enter(ROOT);
	outside = create(&accel, 5 * MIB, HBM);
	assert_true(outside > 0);
	accel_object_close(&accel, outside);
	enter(GROUP);
	assert_int_equal(used(HBM), 3 * MIB);
	accel_object_close(&accel, handle);
	assert_int_equal(used(HBM), 0);
	set_limit(HBM, HBM_BYTES);
}

/* A charge goes back to the group that made the object, and that may be gone. */
static void test_object_outlives_its_group(void **state)
{
	int handle;

	(void)state;
	need_dmem();
	handle = create(&accel, MIB, HBM);
	assert_true(handle > 0);
	enter(ROOT);
	assert_int_equal(used(HBM), MIB);
	assert_int_equal(rmdir(GROUP), 0);
	accel_object_close(&accel, handle);
	assert_int_equal(mkdir(GROUP, 0755), 0);
	enter(GROUP);
	handle = create(&accel, MIB, HBM);
	assert_true(handle > 0);
	assert_int_equal(used(HBM), MIB);
	accel_object_close(&accel, handle);
}

/* The device goes while an object of it is held. */
static void test_regions_go_with_the_device(void **state)
{
	int dmabuf, handle, tries = 0;

	(void)state;
	need_dmem();
	handle = create(&accel, MIB, HBM);
	assert_true(handle > 0);
	dmabuf = accel_export(&accel, handle);
	accel_close(&accel);
	firmware_kill(&firmware);
	assert_int_equal(firmware_wait_for_unplug(&firmware), 1);
	close(dmabuf);
	/* With the last reference, which work that is under way may have. */
	while (value_of(ROOT "/dmem.capacity", region_names[HBM]) != NONE &&
	       tries++ < 500)
		usleep(10000);
	assert_true(tries < 500);
	firmware_start(&firmware);
	accel_open(&accel, firmware.node);
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, test_setup, test_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_class_is_a_region),
		TEST(test_use_is_counted_by_class),
		TEST(test_limit_is_kept),
		TEST(test_object_outlives_its_group),
		TEST(test_regions_go_with_the_device),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
