// SPDX-License-Identifier: MIT
/*
 * The driver's module is removed whenever that is allowed, and it is refused
 * when something of it is still out in the world: whatever state its devices are
 * in. See test_driver_reload.sh for the plain cases.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/dma-buf.h>

#include "accel.h"
#include "firmware.h"
#include "syncobj.h"
#include "sysfs.h"

#define SIZE	(64 * 1024ull)
#define ROUNDS	12
/* In steps of 20 ms. */
#define WAIT_STEPS	1000
/* Devices that all wait for the driver are numbered in any order. */
#define RELOADS_MAX	50

static struct firmware firmware;
static struct accel accel;
static uint32_t handle, region;
/* Nodes there are, and the profile of the first, which other tests want. */
static size_t nodes;
static char first[64];

/* 0 or -errno, as rmmod gets it. */
static int unload(void)
{
	return syscall(SYS_delete_module, "tandem", O_NONBLOCK) ? -errno : 0;
}

/* What was let go of a moment ago may be freed a moment later. */
static int unload_soon(void)
{
	int ret = -EINVAL, i;

	for (i = 0; i < WAIT_STEPS; i++) {
		ret = unload();
		if (ret != -EAGAIN && ret != -EBUSY)
			break;
		usleep(20000);
	}
	return ret;
}

static int load(void)
{
	char path[512];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/tandem.ko", getenv("TANDEM_MODULES"));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return ret;
}

static size_t count(const char *pattern)
{
	glob_t found;
	size_t number;

	if (glob(pattern, 0, NULL, &found))
		return 0;
	number = found.gl_pathc;
	globfree(&found);
	return number;
}

static bool nodes_become(size_t number)
{
	int i;

	for (i = 0; i < WAIT_STEPS && count("/dev/accel/accel*") != number; i++)
		usleep(20000);
	return count("/dev/accel/accel*") == number;
}

/* Numbers may have changed. */
static void find_own_node(void)
{
	char profile[64];
	size_t i;

	for (i = 0; i < nodes; i++) {
		snprintf(firmware.node, sizeof(firmware.node),
			 "/dev/accel/accel%zu", i);
		sysfs_read(firmware.node, "profile", profile, sizeof(profile));
		if (!strcmp(profile, "host"))
			return;
	}
	fail_msg("the device is not taken again");
}

static void load_again(void)
{
	assert_int_equal(load(), 0);
	assert_true(nodes_become(nodes));
	find_own_node();
}

static void assert_gone(void)
{
	assert_true(nodes_become(0));
	assert_int_equal(access("/sys/module/tandem", F_OK), -1);
}

static void use(void)
{
	accel_open(&accel, firmware.node);
	handle = accel_object(&accel, SIZE);
	region = accel_region(&accel, 0, handle, 0, SIZE, READ | WRITE);
	assert_int_equal(accel_fill(&accel, region, 0, 0x5a5a5a5a, SIZE), 0);
}

/* It serves as if nothing had been. */
static void load_and_use(void)
{
	load_again();
	use();
	accel_close(&accel);
}

static int setup(void **state)
{
	(void)state;
	firmware_start(&firmware);
	nodes = count("/dev/accel/accel*");
	sysfs_read(ACCEL0, "profile", first, sizeof(first));
	return 0;
}

static bool nodes_are_as_before(void)
{
	char profile[64];

	/* One of the numbers may have been the device's that has gone. */
	if (access(ACCEL0, F_OK) || access(ACCEL1, F_OK))
		return false;
	sysfs_read(ACCEL0, "profile", profile, sizeof(profile));
	return !strcmp(profile, first);
}

static int teardown(void **state)
{
	int i;

	(void)state;
	firmware_kill(&firmware);
	if (!nodes_become(--nodes))
		return 1;
	for (i = 0; i < RELOADS_MAX; i++) {
		if (nodes_are_as_before())
			return 0;
		if (unload_soon() || load() || !nodes_become(nodes))
			return 1;
	}
	return 1;
}

static void test_suspended(void **state)
{
	(void)state;
	assert_int_equal(sysfs_write(firmware.node, "power/autosuspend_delay_ms",
				     "10"), 0);
	use();
	accel_close(&accel);
	assert_true(sysfs_becomes(firmware.node, "state", "suspended"));
	assert_int_equal(unload_soon(), 0);
	assert_gone();
	load_and_use();
}

/* Its devices go to sleep and wake up meanwhile. */
static void test_about_to_be_suspended(void **state)
{
	int round;

	(void)state;
	for (round = 0; round < ROUNDS; round++) {
		sysfs_write(firmware.node, "power/autosuspend_delay_ms", "10");
		use();
		accel_close(&accel);
		usleep(2000 * round);
		assert_int_equal(unload_soon(), 0);
		load_again();
	}
	use();
	accel_close(&accel);
}

static void *reset(void *node)
{
	sysfs_write(node, "reset", "1");
	return NULL;
}

static void test_amid_a_reset(void **state)
{
	char node[64];
	pthread_t thread;
	int round;

	(void)state;
	for (round = 0; round < ROUNDS; round++) {
		snprintf(node, sizeof(node), "%s", firmware.node);
		assert_int_equal(pthread_create(&thread, NULL, reset, node), 0);
		usleep(500 * round);
		assert_int_equal(unload_soon(), 0);
		pthread_join(thread, NULL);
		assert_gone();
		load_again();
	}
	use();
	accel_close(&accel);
}

/* A dump needs nothing of the driver that it tells about. */
static void test_with_an_unread_dump(void **state)
{
	static const char pattern[] = "/sys/class/devcoredump/devcd*/data";
	char text[4096] = "";
	glob_t dumps;
	int fd;

	(void)state;
	assert_int_equal(sysfs_write(firmware.node, "reset", "1"), 0);
	if (!count(pattern)) {
		usleep(1000000);
		if (!count(pattern))
			skip();
	}
	assert_int_equal(unload_soon(), 0);
	assert_gone();
	assert_int_equal(glob(pattern, 0, NULL, &dumps), 0);
	fd = open(dumps.gl_pathv[0], O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	assert_non_null(strstr(text, "the administrator asks for it"));
	/* Away with it, for what comes after this. */
	assert_int_equal(write(fd, "1", 1), 1);
	close(fd);
	globfree(&dumps);
	load_and_use();
}

static void test_with_a_dmabuf_out(void **state)
{
	struct dma_buf_sync sync = {
		.flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ,
	};
	uint8_t *memory;
	int dmabuf;

	(void)state;
	use();
	dmabuf = accel_export(&accel, handle);
	assert_true(dmabuf >= 0);
	accel_close(&accel);
	assert_int_equal(unload(), -EAGAIN);

	memory = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, dmabuf, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_int_equal(ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync), 0);
	assert_int_equal(memory[SIZE - 1], 0x5a);
	close(dmabuf);
	/* A mapping is one, too. */
	assert_int_equal(unload(), -EAGAIN);
	assert_int_equal(memory[0], 0x5a);
	munmap(memory, SIZE);
	assert_int_equal(unload_soon(), 0);
	assert_gone();
	load_and_use();
}

static void test_with_a_mapping(void **state)
{
	uint8_t *memory;

	(void)state;
	use();
	memory = accel_map(&accel, handle, SIZE);
	accel_close(&accel);
	assert_int_equal(unload(), -EAGAIN);
	assert_int_equal(memory[SIZE / 2], 0x5a);
	munmap(memory, SIZE);
	assert_int_equal(unload_soon(), 0);
	assert_gone();
	load_and_use();
}

/* The operations of a fence are the driver's, also when it has signalled. */
static void test_with_a_fence_held(void **state)
{
	struct tandem_uring_command nop = { 0 };
	uint32_t syncobj;
	int fence;

	(void)state;
	use();
	syncobj = syncobj_create(&accel);
	nop.queue = accel.copy;
	nop.out_syncobj = syncobj;
	assert_int_equal(accel_run(&accel, TANDEM_URING_NOP, &nop), 0);
	fence = syncobj_export_fence(&accel, syncobj);
	accel_close(&accel);
	assert_int_equal(unload(), -EAGAIN);
	assert_int_equal(sync_file_status(fence), 1);
	close(fence);
	assert_int_equal(unload_soon(), 0);
	assert_gone();
	load_and_use();
}

static void test_with_commands_under_way(void **state)
{
	struct tandem_uring_command nop = { 0 };
	int i;

	(void)state;
	use();
	nop.queue = accel.copy;
	for (i = 0; i < 50; i++)
		accel_prepare(&accel, TANDEM_URING_NOP, &nop, i);
	assert_int_equal(io_uring_submit(&accel.ring), 50);
	assert_int_equal(unload(), -EAGAIN);
	accel_close(&accel);
	assert_int_equal(unload_soon(), 0);
	assert_gone();
	load_and_use();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_suspended),
		cmocka_unit_test(test_about_to_be_suspended),
		cmocka_unit_test(test_amid_a_reset),
		cmocka_unit_test(test_with_an_unread_dump),
		cmocka_unit_test(test_with_a_dmabuf_out),
		cmocka_unit_test(test_with_a_mapping),
		cmocka_unit_test(test_with_a_fence_held),
		cmocka_unit_test(test_with_commands_under_way),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (!getenv("TANDEM_MODULES")) {
		puts("1..0 # SKIP no TANDEM_MODULES with tandem.ko to load again");
		return 0;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
