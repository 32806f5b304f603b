// SPDX-License-Identifier: MIT
/*
 * Memory of a process that it registers with a device: of what kinds it can be,
 * what becomes of it when the process goes on without it or dies, and that no
 * page stays pinned in the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/dma-heap.h>
#include <linux/userfaultfd.h>

#include "accel.h"
#include "firmware.h"
#include "sysfs.h"

#define PAGE	4096ull
/* More than the driver pins at a time. */
#define SIZE	(6 * MIB)
/* In a guest this is a file system that keeps its files elsewhere. */
#define SHARE	"/run/tandem-vm/test_driver_register"
#define NOBODY	65534
#define COPIES	24
#define NEW	(MAP_PRIVATE | MAP_ANONYMOUS)

_Static_assert(sizeof(struct drm_tandem_gem_register) == 24, "size");
_Static_assert(offsetof(struct drm_tandem_gem_register, handle) == 20, "offset");

static struct accel accel;
static uint32_t own_region;
static uint8_t *own_memory, *expected;
static long pinned_before, counted_before;

/* Pages that are pinned, by anybody. */
static long pinned_pages(void)
{
	unsigned long acquired = 0, released = 0, value;
	char name[64];
	FILE *file;
	int fd;

	/* Where there are several processors, each has a part of the counters. */
	fd = open("/proc/sys/vm/stat_refresh", O_WRONLY);
	if (fd >= 0) {
		assert_int_equal(write(fd, "1", 1), 1);
		close(fd);
	}
	file = fopen("/proc/vmstat", "r");
	assert_non_null(file);
	while (fscanf(file, "%63s %lu", name, &value) == 2) {
		if (!strcmp(name, "nr_foll_pin_acquired"))
			acquired = value;
		else if (!strcmp(name, "nr_foll_pin_released"))
			released = value;
	}
	fclose(file);
	return acquired - released;
}

static void assert_pinned(long pages)
{
	int tries = 600;

	while (pinned_pages() != pinned_before + pages && --tries)
		usleep(100000);
	assert_int_equal(pinned_pages() - pinned_before, pages);
}

/* What counts in RLIMIT_MEMLOCK, in KiB. */
static long counted_kib(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[128];
	long kib = -1;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "VmPin: %ld kB", &kib) == 1)
			break;
	}
	if (file)
		fclose(file);
	return kib;
}

static void assert_counted(long kib)
{
	assert_int_equal(counted_kib() - counted_before, kib);
}

static int try_register(const struct accel *file, const void *memory,
			uint64_t size, uint32_t flags, uint32_t *handle)
{
	struct drm_tandem_gem_register args = {
		.address = address_of(memory),
		.size = size,
		.flags = flags,
	};
	int ret = accel_ioctl(file, DRM_IOCTL_TANDEM_GEM_REGISTER, &args);

	*handle = args.handle;
	return ret;
}

static uint32_t register_memory(const void *memory, uint64_t size)
{
	uint32_t handle;
	int ret = try_register(&accel, memory, size, 0, &handle);

	if (ret)
		fail_msg("GEM_REGISTER: %s", strerror(-ret));
	return handle;
}

static void forget(uint32_t handle, uint32_t region)
{
	assert_int_equal(accel_region_unmap(&accel, 0, region), 0);
	accel_object_close(&accel, handle);
}

static uint8_t *map_new(uint64_t size, int flags)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

static uint8_t *map_file(int fd, uint64_t size, int flags)
{
	void *memory;

	assert_true(fd >= 0);
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

static int memory_file(uint64_t size)
{
	int fd = memfd_create("register", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	return fd;
}

static int setup(void **state)
{
	(void)state;
	accel_open(&accel, ACCEL0);
	own_memory = accel_map(&accel, accel_object(&accel, SIZE), SIZE);
	own_region = accel_region(&accel, 0, 1, 0, SIZE, READ | WRITE);
	expected = malloc(SIZE);
	pinned_before = pinned_pages();
	counted_before = counted_kib();
	assert_true(counted_before >= 0);
	return 0;
}

/* Mappings hold the file. */
static void close_device(void)
{
	if (own_memory)
		munmap(own_memory, SIZE);
	own_memory = NULL;
	accel_close(&accel);
}

static int teardown(void **state)
{
	(void)state;
	close_device();
	free(expected);
	assert_pinned(0);
	assert_counted(0);
	return 0;
}

/* What the device reads in @region and writes to it is what is at @memory. */
static void check_copies(uint32_t region, uint8_t *memory, uint64_t size)
{
	fill_pattern(memory, size, 1);
	memcpy(expected, memory, size);
	memset(own_memory, 0, size);
	assert_int_equal(accel_copy(&accel, own_region, 0, region, 0, size), 0);
	assert_memory_equal(own_memory, expected, size);
	fill_pattern(own_memory, size, 2);
	assert_int_equal(accel_copy(&accel, region, 0, own_region, 0, size), 0);
	assert_memory_equal(memory, own_memory, size);
}

static void check_memory(uint8_t *memory, uint64_t size)
{
	uint32_t handle = register_memory(memory, size);
	uint32_t region = accel_region(&accel, 0, handle, 0, size, READ | WRITE);

	assert_pinned(size / PAGE);
	assert_counted(size / 1024);
	check_copies(region, memory, size);
	forget(handle, region);
	assert_pinned(0);
	assert_counted(0);
	munmap(memory, size);
}

static void test_is_announced(void **state)
{
	(void)state;
	assert_true(accel_param(&accel, TANDEM_PARAM_CAPABILITIES) &
		    TANDEM_CAPABILITY_REGISTER);
}

static void test_anonymous_memory(void **state)
{
	(void)state;
	check_memory(map_new(SIZE, NEW), SIZE);
	check_memory(map_new(SIZE, MAP_SHARED | MAP_ANONYMOUS), SIZE);
	check_memory(map_new(PAGE, NEW), PAGE);
}

static void test_files_in_memory(void **state)
{
	int fd = memory_file(SIZE);

	(void)state;
	check_memory(map_file(fd, SIZE, MAP_SHARED), SIZE);
	check_memory(map_file(fd, SIZE, MAP_PRIVATE), SIZE);
	close(fd);
}

static void test_mapping_of_an_object(void **state)
{
	uint32_t handle = accel_object(&accel, SIZE);

	(void)state;
	check_memory(accel_map(&accel, handle, SIZE), SIZE);
	accel_object_close(&accel, handle);
}

/* Where regions of other objects begin with a page. */
static void test_region_begins_anywhere(void **state)
{
	uint8_t *memory = map_new(SIZE, NEW);
	uint32_t handle = register_memory(memory, SIZE);
	uint32_t region = accel_region(&accel, 0, handle, PAGE + 37,
				       3 * PAGE + 5, READ | WRITE);

	(void)state;
	memset(memory, 0x11, SIZE);
	memset(expected, 0x11, SIZE);
	fill_pattern(own_memory, SIZE, 3);
	assert_int_equal(accel_copy(&accel, region, 0, own_region, 99,
				    3 * PAGE + 5), 0);
	memcpy(expected + PAGE + 37, own_memory + 99, 3 * PAGE + 5);
	assert_memory_equal(memory, expected, SIZE);
	assert_int_equal(accel_copy(&accel, region, 1, own_region, 0,
				    3 * PAGE + 5), -EACCES);
	assert_int_equal(accel_fill(&accel, region, 4, 0x22222222, 8), 0);
	memset(expected + PAGE + 41, 0x22, 8);
	assert_memory_equal(memory, expected, SIZE);
	forget(handle, region);
	munmap(memory, SIZE);
}

static void test_several_registrations_of_the_same_pages(void **state)
{
	uint8_t *memory = map_new(SIZE, NEW);
	uint32_t all = register_memory(memory, SIZE);
	uint32_t part = register_memory(memory + PAGE, 2 * PAGE);
	uint32_t region = accel_region(&accel, 0, part, 0, 2 * PAGE, WRITE);

	(void)state;
	assert_counted((SIZE + 2 * PAGE) / 1024);
	accel_object_close(&accel, all);
	assert_counted(2 * PAGE / 1024);
	assert_int_equal(accel_fill(&accel, region, 0, 0x33333333, 2 * PAGE), 0);
	assert_int_equal(memory[PAGE - 1], 0);
	assert_int_equal(memory[PAGE], 0x33);
	assert_int_equal(memory[3 * PAGE - 1], 0x33);
	assert_int_equal(memory[3 * PAGE], 0);
	forget(part, region);
	munmap(memory, SIZE);
}

static void test_wrong_arguments(void **state)
{
	uint8_t *memory = map_new(4 * PAGE, NEW);
	const struct drm_tandem_gem_register good = {
		.address = address_of(memory),
		.size = PAGE,
	};
	const struct {
		uint64_t address, size;
		uint32_t flags;
		int expected;
	} wrong[] = {
		{ good.address + 1, PAGE, 0, -EINVAL },
		{ good.address + 2048, PAGE, 0, -EINVAL },
		{ good.address, 0, 0, -EINVAL },
		{ good.address, 1, 0, -EINVAL },
		{ good.address, PAGE + 1, 0, -EINVAL },
		{ good.address, (1ull << 38) + PAGE, 0, -EINVAL },
		{ good.address, -PAGE, 0, -EINVAL },
		{ good.address, PAGE, 2, -EINVAL },
		{ good.address, PAGE, 1u << 31, -EINVAL },
		{ good.address, PAGE, UINT32_MAX, -EINVAL },
		{ 0, PAGE, 0, -EFAULT },
		{ -PAGE, PAGE, 0, -EFAULT },
		{ 1ull << 63, PAGE, 0, -EFAULT },
		/* More than the machine has. */
		{ good.address, 1ull << 38, 0, -ENOMEM },
	};
	struct drm_tandem_gem_register args;
	size_t i;
	int ret;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		args = good;
		args.address = wrong[i].address;
		args.size = wrong[i].size;
		args.flags = wrong[i].flags;
		ret = accel_ioctl(&accel, DRM_IOCTL_TANDEM_GEM_REGISTER, &args);
		if (ret != wrong[i].expected)
			fail_msg("%zu: got %d, expected %d", i, ret,
				 wrong[i].expected);
		assert_counted(0);
	}
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_GEM_REGISTER,
				     (void *)8), -EFAULT);
	munmap(memory, 4 * PAGE);
}

static void assert_refused(const void *memory, uint64_t size, uint32_t flags,
			   int code)
{
	uint32_t handle;

	assert_int_equal(try_register(&accel, memory, size, flags, &handle),
			 code);
	assert_counted(0);
	assert_pinned(0);
}

static void test_memory_that_is_not_there(void **state)
{
	uint8_t *memory = map_new(SIZE, NEW);

	(void)state;
	munmap(memory + SIZE - PAGE, PAGE);
	assert_refused(memory, SIZE, 0, -EFAULT);
	assert_refused(memory, SIZE, TANDEM_REGISTER_READ_ONLY, -EFAULT);
	assert_int_equal(mprotect(memory + SIZE - 2 * PAGE, PAGE, PROT_NONE), 0);
	assert_refused(memory, SIZE - PAGE, 0, -EFAULT);
	munmap(memory, SIZE - PAGE);
}

/* Another driver's memory has no pages that could be pinned. */
static void test_memory_of_another_driver(void **state)
{
	struct dma_heap_allocation_data data = {
		.len = SIZE,
		.fd_flags = O_RDWR | O_CLOEXEC,
	};
	int fd = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);
	uint8_t *memory;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, DMA_HEAP_IOCTL_ALLOC, &data), 0);
	memory = map_file(data.fd, SIZE, MAP_SHARED);
	assert_refused(memory, SIZE, 0, -EFAULT);
	assert_refused(memory, SIZE, TANDEM_REGISTER_READ_ONLY, -EFAULT);
	munmap(memory, SIZE);
	close(data.fd);
	close(fd);
}

/* What is written behind the back of a file system would be lost, or worse. */
static void test_files_elsewhere_are_only_read(void **state)
{
	int fd = open(SHARE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	uint32_t handle, region;
	uint8_t *memory;

	(void)state;
	if (fd < 0) {
		print_message("# skip: %s: %s\n", SHARE, strerror(errno));
		skip();
	}
	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_int_equal(pwrite(fd, "read", 4, 0), 4);
	memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	unlink(SHARE);
	/* The file system of User Mode Linux can do that, 9p without a cache cannot. */
	if (memory == MAP_FAILED) {
		print_message("# skip: %s cannot be mapped: %s\n", SHARE,
			      strerror(errno));
		close(fd);
		skip();
	}
	assert_refused(memory, PAGE, 0, -EFAULT);
	assert_int_equal(try_register(&accel, memory, PAGE,
				      TANDEM_REGISTER_READ_ONLY, &handle), 0);
	region = accel_region(&accel, 0, handle, 0, PAGE, READ);
	assert_int_equal(accel_copy(&accel, own_region, 0, region, 0, PAGE), 0);
	assert_memory_equal(own_memory, "read", 4);
	forget(handle, region);
	munmap(memory, PAGE);
	close(fd);
}

static void test_read_only(void **state)
{
	uint8_t *memory = map_new(SIZE, NEW);
	struct drm_tandem_region_map args = {
		.context = accel.context,
		.length = SIZE,
	};
	uint32_t region;

	(void)state;
	fill_pattern(memory, SIZE, 4);
	assert_int_equal(mprotect(memory, SIZE, PROT_READ), 0);
	assert_refused(memory, SIZE, 0, -EFAULT);
	assert_int_equal(try_register(&accel, memory, SIZE,
				      TANDEM_REGISTER_READ_ONLY,
				      &args.handle), 0);
	args.flags = WRITE;
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_REGION_MAP,
				     &args), -EACCES);
	args.flags = READ | WRITE;
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_REGION_MAP,
				     &args), -EACCES);
	region = accel_region(&accel, 0, args.handle, 0, SIZE, READ);
	assert_int_equal(accel_copy(&accel, own_region, 0, region, 0, SIZE), 0);
	assert_memory_equal(own_memory, memory, SIZE);
	assert_int_equal(accel_copy(&accel, region, 0, own_region, 0, PAGE),
			 -EACCES);
	forget(args.handle, region);
	munmap(memory, SIZE);
}

/*
 * The object is what was there: not what has come to be at the address, nor can
 * anything that the device does be seen there.
 */
static void check_departed(uint32_t region, const uint8_t *memory)
{
	memset(own_memory, 0, SIZE);
	assert_int_equal(accel_copy(&accel, own_region, 0, region, 0, SIZE), 0);
	assert_memory_equal(own_memory, expected, SIZE);
	assert_int_equal(accel_fill(&accel, region, 0, 0x44444444, SIZE), 0);
	memset(expected, 0, SIZE);
	assert_memory_equal(memory, expected, SIZE);
	memset(expected, 0x44, SIZE);
	assert_int_equal(accel_copy(&accel, own_region, 0, region, 0, SIZE), 0);
	assert_memory_equal(own_memory, expected, SIZE);
}

static void test_pages_are_what_they_were(void **state)
{
	uint8_t *memory = map_new(SIZE, NEW);
	uint32_t handle, region;

	(void)state;
	fill_pattern(memory, SIZE, 5);
	memcpy(expected, memory, SIZE);
	handle = register_memory(memory, SIZE);
	region = accel_region(&accel, 0, handle, 0, SIZE, READ | WRITE);
	assert_int_equal(madvise(memory, SIZE, MADV_DONTNEED), 0);
	check_departed(region, memory);
	forget(handle, region);

	fill_pattern(memory, SIZE, 6);
	memcpy(expected, memory, SIZE);
	handle = register_memory(memory, SIZE);
	region = accel_region(&accel, 0, handle, 0, SIZE, READ | WRITE);
	munmap(memory, SIZE);
	assert_ptr_equal(mmap(memory, SIZE, PROT_READ | PROT_WRITE,
			      NEW | MAP_FIXED_NOREPLACE, -1, 0), memory);
	check_departed(region, memory);
	assert_counted(SIZE / 1024);
	forget(handle, region);
	munmap(memory, SIZE);
}

/* The child of a fork writes to copies; the device writes to the parent's. */
static void test_fork(void **state)
{
	uint8_t *memory = map_new(SIZE, NEW);
	int child_may_look[2], status;
	uint32_t handle, region;
	uint8_t unused;
	pid_t pid;

	(void)state;
	memset(memory, 0x55, SIZE);
	handle = register_memory(memory, SIZE);
	region = accel_region(&accel, 0, handle, 0, SIZE, READ | WRITE);
	assert_int_equal(pipe(child_may_look), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		memory[0] = 0x66;
		if (read(child_may_look[0], &unused, 1) != 1)
			_exit(1);
		_exit(memory[1] != 0x55 || memory[SIZE - 1] != 0x55);
	}
	/* Written after the fork: the parent's pages must not have moved. */
	memory[PAGE] = 0x77;
	memset(expected, 0x55, SIZE);
	expected[PAGE] = 0x77;
	assert_int_equal(accel_copy(&accel, own_region, 0, region, 0, SIZE), 0);
	assert_memory_equal(own_memory, expected, SIZE);
	assert_int_equal(accel_fill(&accel, region, 0, 0x88888888, SIZE), 0);
	assert_int_equal(write(child_may_look[1], "", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	memset(expected, 0x88, SIZE);
	assert_memory_equal(memory, expected, SIZE);
	forget(handle, region);
	munmap(memory, SIZE);
	close(child_may_look[0]);
	close(child_may_look[1]);
}

static void test_is_of_the_file_alone(void **state)
{
	uint8_t *memory = map_new(SIZE, NEW);
	uint32_t handle = register_memory(memory, SIZE);
	struct drm_prime_handle export = {
		.handle = handle,
		.flags = DRM_CLOEXEC | DRM_RDWR,
	};
	struct drm_tandem_gem_mmap_offset mapping = { .handle = handle };
	struct drm_gem_flink name = { .handle = handle };
	struct drm_gem_open open_name = { 0 };
	struct accel other;

	(void)state;
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_PRIME_HANDLE_TO_FD,
				     &export), -EOPNOTSUPP);
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_GEM_MMAP_OFFSET,
				     &mapping), -EOPNOTSUPP);
	/* Administrators could, with other objects. */
	accel_open(&other, ACCEL0);
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_GEM_FLINK, &name), 0);
	open_name.name = name.name;
	assert_int_equal(accel_ioctl(&other, DRM_IOCTL_GEM_OPEN, &open_name),
			 -EACCES);
	accel_close(&other);
	accel_object_close(&accel, handle);
	munmap(memory, SIZE);
}

/* Runs as a user with a limit, in a process of its own. */
static int check_limit(void)
{
	const struct rlimit limit = { .rlim_cur = 16 * PAGE, .rlim_max = 16 * PAGE };
	uint8_t *memory = map_new(SIZE, NEW);
	uint32_t first, second;

	if (setrlimit(RLIMIT_MEMLOCK, &limit) || setgroups(0, NULL) ||
	    setgid(NOBODY) || setuid(NOBODY))
		return 1;
	if (try_register(&accel, memory, 17 * PAGE, 0, &first) != -ENOMEM ||
	    try_register(&accel, memory, 15 * PAGE, 0, &first))
		return 2;
	if (try_register(&accel, memory, 2 * PAGE, 0, &second) != -ENOMEM ||
	    try_register(&accel, memory, PAGE, 0, &second))
		return 3;
	if (try_register(&accel, memory + SIZE - PAGE, PAGE, 0, &second) !=
	    -ENOMEM || counted_kib() != 16 * 4)
		return 4;
	accel_object_close(&accel, first);
	if (counted_kib() != 4 ||
	    try_register(&accel, memory, 15 * PAGE, 0, &first))
		return 5;
	return 0;
}

static void test_limit(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (!pid)
		_exit(check_limit());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* They are there yet, but do not count for the parent. */
	assert_pinned(16);
	assert_counted(0);
}

static void test_close_leaves_nothing(void **state)
{
	uint8_t *memory = map_new(SIZE, NEW);
	uint32_t handle = register_memory(memory, SIZE);

	(void)state;
	accel_region(&accel, 0, handle, 0, SIZE, READ | WRITE);
	accel_region(&accel, accel_context(&accel), handle, 3, PAGE, READ);
	accel_object_close(&accel, handle);
	/* The regions hold it. */
	assert_pinned(SIZE / PAGE);
	close_device();
	assert_pinned(0);
	memset(memory, 1, SIZE);
	munmap(memory, SIZE);
}

/* Has memory that the device writes, over and over, until it is killed. */
static void write_until_killed(int started)
{
	uint8_t *memory = map_new(SIZE, NEW);
	struct tandem_submit_command commands[COPIES];
	struct drm_tandem_submit args = {
		.commands = address_of(commands),
		.count = COPIES,
		.stride = sizeof(commands[0]),
	};
	struct accel own;
	uint32_t handle, source;
	int i;

	accel_open(&own, ACCEL0);
	if (try_register(&own, memory, SIZE, 0, &handle))
		_exit(1);
	memset(commands, 0, sizeof(commands));
	source = accel_object(&own, SIZE);
	fill_pattern(accel_map(&own, source, SIZE), SIZE, 7);
	for (i = 0; i < COPIES; i++) {
		commands[i].op = TANDEM_URING_COPY;
		commands[i].command.queue = own.copy;
		commands[i].command.dst_region =
			accel_region(&own, 0, handle, i, SIZE - i, WRITE);
		commands[i].command.src_region =
			accel_region(&own, 0, source, 0, SIZE, READ);
		commands[i].command.length = SIZE - i;
	}
	for (;;) {
		if (accel_ioctl(&own, DRM_IOCTL_TANDEM_SUBMIT, &args))
			_exit(2);
		if (write(started, "", 1) != 1)
			_exit(3);
		/* So that there is always something to do. */
		usleep(1000);
	}
}

/* Its pages come to be others', here too, and nothing is written to them then. */
static void test_killed_while_the_device_writes(void **state)
{
	long contexts = sysfs_number(ACCEL0, "contexts");
	int started[2], status, round;
	char unused, text[32];
	uint8_t *memory;
	uint64_t i;
	pid_t pid;

	(void)state;
	for (round = 0; round < 4; round++) {
		assert_int_equal(pipe(started), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (!pid)
			write_until_killed(started[1]);
		assert_int_equal(read(started[0], &unused, 1), 1);
		usleep(3000 * round);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		memory = map_new(4 * SIZE, NEW | MAP_POPULATE);
		snprintf(text, sizeof(text), "%ld", contexts);
		assert_true(sysfs_becomes(ACCEL0, "contexts", text));
		assert_pinned(0);
		for (i = 0; i < 4 * SIZE; i += 8)
			assert_int_equal(*(uint64_t *)(memory + i), 0);
		munmap(memory, 4 * SIZE);
		close(started[0]);
		close(started[1]);
	}
}

static void test_device_is_reset(void **state)
{
	uint8_t *memory = map_new(SIZE, NEW);
	uint32_t handle = register_memory(memory, SIZE);
	uint32_t region = accel_region(&accel, 0, handle, 0, SIZE, READ | WRITE);
	uint64_t resets = accel_param(&accel, TANDEM_PARAM_RESETS);

	(void)state;
	assert_int_equal(sysfs_write(ACCEL0, "reset", "1"), 0);
	assert_int_equal(accel_param(&accel, TANDEM_PARAM_RESETS), resets + 1);
	check_copies(region, memory, SIZE);
	forget(handle, region);
	munmap(memory, SIZE);
}

static void test_device_goes(void **state)
{
	uint8_t *memory = map_new(SIZE, NEW);
	struct firmware firmware;
	struct accel doomed;
	uint32_t handle;

	(void)state;
	firmware_start(&firmware);
	accel_open(&doomed, firmware.node);
	assert_int_equal(try_register(&doomed, memory, SIZE, 0, &handle), 0);
	accel_region(&doomed, 0, handle, 0, SIZE, READ | WRITE);
	firmware_kill(&firmware);
	assert_true(firmware_wait_for_unplug(&firmware));
	assert_int_equal(try_register(&doomed, memory, SIZE, 0, &handle),
			 -ENODEV);
	accel_close(&doomed);
	assert_pinned(0);
	assert_counted(0);
	/* It is whole, and another device can have it. */
	check_memory(memory, SIZE);
}

/* Memory whose pages nobody will ever provide. */
static uint8_t *map_unobtainable(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range.len = SIZE,
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	uint8_t *memory = map_new(SIZE, NEW);
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0)
		return NULL;
	range.range.start = address_of(memory);
	if (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range))
		return NULL;
	return memory;
}

/* Nobody else, and no removal, waits for a process that waits for memory. */
static void test_registering_takes_for_ever(void **state)
{
	struct firmware firmware;
	struct accel doomed;
	uint8_t *memory;
	uint32_t handle;
	int status, ready[2];
	char is_there;
	pid_t pid;

	(void)state;
	firmware_start(&firmware);
	accel_open(&doomed, firmware.node);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		memory = map_unobtainable();
		is_there = !!memory;
		if (write(ready[1], &is_there, 1) != 1 || !memory)
			_exit(0);
		_exit(try_register(&doomed, memory, SIZE, 0, &handle));
	}
	assert_int_equal(read(ready[0], &is_there, 1), 1);
	usleep(200000);
	firmware_kill(&firmware);
	assert_true(firmware_wait_for_unplug(&firmware));
	if (is_there)
		assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	accel_close(&doomed);
	close(ready[0]);
	close(ready[1]);
	if (!is_there) {
		print_message("# skip: the kernel has no userfaultfd\n");
		skip();
	}
	assert_true(WIFSIGNALED(status));
}

int main(void)
{
#define REGISTER_TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		REGISTER_TEST(test_is_announced),
		REGISTER_TEST(test_anonymous_memory),
		REGISTER_TEST(test_files_in_memory),
		REGISTER_TEST(test_mapping_of_an_object),
		REGISTER_TEST(test_region_begins_anywhere),
		REGISTER_TEST(test_several_registrations_of_the_same_pages),
		REGISTER_TEST(test_wrong_arguments),
		REGISTER_TEST(test_memory_that_is_not_there),
		REGISTER_TEST(test_memory_of_another_driver),
		REGISTER_TEST(test_files_elsewhere_are_only_read),
		REGISTER_TEST(test_read_only),
		REGISTER_TEST(test_pages_are_what_they_were),
		REGISTER_TEST(test_fork),
		REGISTER_TEST(test_is_of_the_file_alone),
		REGISTER_TEST(test_limit),
		REGISTER_TEST(test_close_leaves_nothing),
		REGISTER_TEST(test_killed_while_the_device_writes),
		REGISTER_TEST(test_device_is_reset),
		REGISTER_TEST(test_device_goes),
		REGISTER_TEST(test_registering_takes_for_ever),
	};
#undef REGISTER_TEST

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
