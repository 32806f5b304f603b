// SPDX-License-Identifier: MIT
/*
 * The firmware dies or stops: what its users see of it, and that nothing of it
 * stays behind.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accel.h"
#include "firmware.h"
#include "rdma_loop.h"

#define SIZE		(4 * MIB)
#define COMMANDS	600
/* Of it, what is pinned. */
#define PART		(256u << 10)

static struct firmware firmware;
static struct accel accel;

static int setup(void **state)
{
	(void)state;
	firmware_start(&firmware);
	accel_open_ring(&accel, firmware.node, 1024, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	accel_close(&accel);
	firmware_kill(&firmware);
	return !firmware_wait_for_unplug(&firmware);
}

static void submit_fills(int count)
{
	struct tandem_uring_command command = {
		.length = SIZE,
		.dst_region = accel_region(&accel, 0,
					   accel_object(&accel, SIZE), 0, SIZE,
					   WRITE),
	};
	int i;

	for (i = 0; i < count; i++) {
		command.queue = i % 2 ? accel.copy : accel.compute;
		accel_prepare(&accel, TANDEM_URING_FILL, &command, i);
	}
	assert_int_equal(io_uring_submit(&accel.ring), count);
}

static int count_lost(int count)
{
	int lost = 0, result, i;

	for (i = 0; i < count; i++) {
		result = accel_wait(&accel, NULL);
		if (result == -ENODEV)
			lost++;
		else
			assert_int_equal(result, 0);
	}
	return lost;
}

static void assert_hung_up(void)
{
	struct pollfd poll_fd = { .fd = accel.fd, .events = POLLIN };

	assert_int_equal(poll(&poll_fd, 1, 30000), 1);
	assert_true(poll_fd.revents & POLLHUP);
	assert_true(poll_fd.revents & POLLERR);
}

static void assert_lost(void)
{
	struct tandem_uring_command nop = { .queue = accel.copy };
	struct drm_tandem_get_param param = { 0 };

	assert_int_equal(accel_run(&accel, TANDEM_URING_NOP, &nop), -ENODEV);
	assert_true(firmware_wait_for_unplug(&firmware));
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_GET_PARAM,
				     &param), -ENODEV);
	assert_true(open(firmware.node, O_RDWR) < 0);
}

static void test_killed_with_commands_in_flight(void **state)
{
	(void)state;
	submit_fills(COMMANDS);
	firmware_kill(&firmware);
	assert_true(count_lost(COMMANDS) > 0);
	assert_hung_up();
	assert_lost();
}

static void test_killed_while_someone_polls(void **state)
{
	struct pollfd poll_fd = { .fd = accel.fd, .events = POLLIN };
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	pid = fork();
	if (!pid)
		_exit(poll(&poll_fd, 1, 60000) == 1 &&
		      poll_fd.revents & POLLHUP ? 0 : 1);
	usleep(200000);
	firmware_kill(&firmware);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_io_uring_poll_tells(void **state)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&accel.ring);
	uint64_t user_data;

	(void)state;
	memset(sqe, 0, 2 * sizeof(*sqe));
	io_uring_prep_poll_add(sqe, accel.fd, POLLIN);
	sqe->user_data = 5;
	io_uring_submit(&accel.ring);
	firmware_kill(&firmware);
	assert_true(accel_wait(&accel, &user_data) & POLLHUP);
	assert_int_equal(user_data, 5);
}

static void test_mappings_and_dmabufs_outlive_the_device(void **state)
{
	uint32_t handle = accel_object(&accel, SIZE), imported, region;
	uint8_t *expected = malloc(SIZE), *memory, *shared;
	int dmabuf = accel_export(&accel, handle);
	struct accel other;

	(void)state;
	memory = accel_map(&accel, handle, SIZE);
	fill_pattern(expected, SIZE, 1);
	memcpy(memory, expected, SIZE);
	accel_open(&other, ACCEL0);
	assert_int_equal(accel_import(&other, dmabuf, &imported), 0);
	region = accel_region(&other, 0, imported, 0, SIZE, READ | WRITE);

	firmware_kill(&firmware);
	assert_true(firmware_wait_for_unplug(&firmware));
	assert_memory_equal(memory, expected, SIZE);
	assert_int_equal(madvise(memory, SIZE, MADV_DONTNEED), 0);
	assert_memory_equal(memory, expected, SIZE);
	memory[0] = 1;
	expected[0] = 1;
	accel_close(&accel);
	assert_memory_equal(memory, expected, SIZE);

	shared = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, dmabuf, 0);
	assert_ptr_not_equal(shared, MAP_FAILED);
	assert_memory_equal(shared, expected, SIZE);
	munmap(shared, SIZE);
	close(dmabuf);
	/* The importer's device still reaches the memory. */
	assert_int_equal(accel_fill(&other, region, 0, 0x5a5a5a5a, SIZE), 0);
	assert_int_equal(memory[0], 0x5a);
	assert_int_equal(memory[SIZE - 1], 0x5a);
	accel_close(&other);
	munmap(memory, SIZE);
	free(expected);
}

/* What the network adapter reads and writes through @mr is @memory. */
static void check_memory_region(struct rdma_loop *loop, struct ibv_mr *mr,
				uint8_t *memory, uint32_t seed)
{
	uint8_t *local = malloc(PART), *expected = malloc(PART);
	struct ibv_mr *local_mr = ibv_reg_mr(loop->pd, local, PART,
					     IBV_ACCESS_LOCAL_WRITE);

	assert_non_null(local_mr);
	fill_pattern(expected, PART, seed);
	memcpy(memory, expected, PART);
	rdma_loop_read(loop, mr, address_of(mr->addr), local_mr, PART);
	assert_memory_equal(local, expected, PART);
	fill_pattern(local, PART, seed + 1);
	rdma_loop_write(loop, mr, address_of(mr->addr), local_mr, PART);
	assert_memory_equal(memory, local, PART);
	assert_int_equal(ibv_dereg_mr(local_mr), 0);
	free(local);
	free(expected);
}

/* The same for a registered buffer, which is filled from a file. */
static void check_registered_buffer(struct io_uring *ring, void *registered,
				    const uint8_t *memory, uint32_t seed)
{
	uint8_t *expected = malloc(PART);
	int fd = memfd_create("removal", MFD_CLOEXEC);
	struct io_uring_cqe *cqe;

	fill_pattern(expected, PART, seed);
	assert_int_equal(write(fd, expected, PART), PART);
	io_uring_prep_read_fixed(io_uring_get_sqe(ring), fd, registered, PART,
				 0, 0);
	io_uring_submit(ring);
	assert_int_equal(io_uring_wait_cqe(ring, &cqe), 0);
	assert_int_equal(cqe->res, PART);
	io_uring_cqe_seen(ring, cqe);
	assert_memory_equal(memory, expected, PART);
	close(fd);
	free(expected);
}

/*
 * A memory region and a registered buffer, both made of @pinned, go on when the
 * device has gone, and when nothing else is left of the object but @memory.
 */
static void check_pins_outlive_the_device(uint8_t *pinned, uint8_t *memory)
{
	struct iovec buffer = { .iov_base = pinned, .iov_len = PART };
	struct rdma_loop loop;
	struct io_uring ring;
	struct ibv_mr *mr;

	if (!rdma_loop_open(&loop)) {
		print_message("# no RDMA device\n");
		skip();
	}
	mr = ibv_reg_mr(loop.pd, pinned, PART, IBV_ACCESS_LOCAL_WRITE |
			IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ);
	assert_non_null(mr);
	assert_int_equal(io_uring_queue_init(4, &ring, 0), 0);
	assert_int_equal(io_uring_register_buffers(&ring, &buffer, 1), 0);
	check_memory_region(&loop, mr, memory, 1);
	check_registered_buffer(&ring, pinned, memory, 2);

	firmware_kill(&firmware);
	assert_true(firmware_wait_for_unplug(&firmware));
	check_memory_region(&loop, mr, memory, 3);
	check_registered_buffer(&ring, pinned, memory, 4);
	accel_close(&accel);
	check_memory_region(&loop, mr, memory, 5);
	check_registered_buffer(&ring, pinned, memory, 6);

	io_uring_queue_exit(&ring);
	assert_int_equal(ibv_dereg_mr(mr), 0);
	rdma_loop_close(&loop);
}

static void test_pins_outlive_the_device(void **state)
{
	uint8_t *memory = accel_map(&accel, accel_object(&accel, SIZE), SIZE);

	(void)state;
	check_pins_outlive_the_device(memory, memory);
	munmap(memory, SIZE);
}

/* Pins of a dma-buf's mapping, seen through the object's. */
static void test_pins_of_a_dmabuf_outlive_the_device(void **state)
{
	uint32_t handle = accel_object(&accel, SIZE);
	int dmabuf = accel_export(&accel, handle);
	uint8_t *memory = accel_map(&accel, handle, SIZE), *shared;

	(void)state;
	shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf,
		      0);
	assert_ptr_not_equal(shared, MAP_FAILED);
	close(dmabuf);
	check_pins_outlive_the_device(shared, memory);
	munmap(shared, SIZE);
	munmap(memory, SIZE);
}

/* A child has the mapping, too; it can be moved, but not grow. */
static void test_mappings_are_moved_and_inherited(void **state)
{
	uint8_t *memory = accel_map(&accel, accel_object(&accel, SIZE), SIZE);
	uint8_t *place = mmap(NULL, SIZE, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	(void)state;
	memory[0] = 1;
	memory[SIZE - 1] = 2;
	assert_ptr_equal(mremap(memory, SIZE, 2 * SIZE, MREMAP_MAYMOVE),
			 MAP_FAILED);
	memory = mremap(memory, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
			place);
	assert_ptr_equal(memory, place);
	assert_int_equal(memory[0], 1);
	assert_int_equal(memory[SIZE - 1], 2);
	firmware_kill(&firmware);
	assert_true(firmware_wait_for_unplug(&firmware));
	pid = fork();
	if (!pid) {
		memory[1] = 3;
		_exit(memory[0] == 1 && memory[SIZE - 1] == 2 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(memory[1], 3);
	munmap(memory, SIZE);
}

static void test_importer_dies_before_the_exporter(void **state)
{
	uint32_t handle, imported, region;
	struct accel exporter;
	int dmabuf;

	(void)state;
	accel_open(&exporter, ACCEL0);
	handle = accel_object(&exporter, SIZE);
	dmabuf = accel_export(&exporter, handle);
	assert_int_equal(accel_import(&accel, dmabuf, &imported), 0);
	close(dmabuf);
	region = accel_region(&accel, 0, imported, 0, SIZE, READ | WRITE);
	assert_int_equal(accel_fill(&accel, region, 0, 1, SIZE), 0);
	firmware_kill(&firmware);
	assert_hung_up();
	accel_close(&exporter);
	accel_close(&accel);
}

static void test_calls_that_wait_are_woken(void **state)
{
	struct drm_tandem_context_destroy destroy = { 0 };
	int status, ret;
	pid_t pid;

	(void)state;
	submit_fills(COMMANDS);
	destroy.context = accel.context;
	kill(firmware.pid, SIGSTOP);
	pid = fork();
	if (!pid) {
		ret = accel_ioctl(&accel, DRM_IOCTL_TANDEM_CONTEXT_DESTROY,
				  &destroy);
		_exit(ret == -ENODEV ? 0 : 1);
	}
	usleep(300000);
	firmware_kill(&firmware);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_stopped_device_is_taken_out(void **state)
{
	(void)state;
	submit_fills(COMMANDS);
	kill(firmware.pid, SIGSTOP);
	assert_true(count_lost(COMMANDS) > 0);
	assert_hung_up();
	assert_lost();
	/* It stays out when it goes on. */
	kill(firmware.pid, SIGCONT);
	usleep(300000);
	assert_lost();
}

static void test_new_device_after_each(void **state)
{
	uint32_t region, value = 0;
	int round;

	(void)state;
	for (round = 0; round < 3; round++) {
		region = accel_region(&accel, 0, accel_object(&accel, SIZE), 0,
				      SIZE, READ | WRITE);
		assert_int_equal(accel_fill(&accel, region, 0, 99, SIZE), 0);
		assert_int_equal(accel_copy(&accel, USER, address_of(&value),
					    region, 0, 4), 0);
		assert_int_equal(value, 99);
		firmware_kill(&firmware);
		accel_close(&accel);
		assert_true(firmware_wait_for_unplug(&firmware));
		firmware_start(&firmware);
		accel_open_ring(&accel, firmware.node, 1024, 0);
	}
}

/* Does a bit of everything until the device has gone: 0 if that is all. */
static int use_until_lost(const char *node, int ready)
{
	struct drm_tandem_region_map map = {
		.offset = 0,
		.length = MIB,
		.flags = READ | WRITE,
	};
	struct drm_tandem_gem_create create;
	struct drm_gem_close gem_close;
	uint8_t *buffer = malloc(MIB);
	struct accel busy;
	int ret;

	accel_open(&busy, node);
	map.context = busy.context;
	if (write(ready, "", 1) != 1)
		return 1;
	for (;;) {
		create = (struct drm_tandem_gem_create) { .size = MIB };
		ret = accel_ioctl(&busy, DRM_IOCTL_TANDEM_GEM_CREATE, &create);
		if (ret)
			break;
		map.handle = create.handle;
		ret = accel_ioctl(&busy, DRM_IOCTL_TANDEM_REGION_MAP, &map);
		if (ret)
			break;
		gem_close = (struct drm_gem_close) { .handle = create.handle };
		ret = accel_ioctl(&busy, DRM_IOCTL_GEM_CLOSE, &gem_close);
		if (ret)
			break;
		ret = accel_copy(&busy, map.region, 0, USER,
				 address_of(buffer), MIB);
		if (ret)
			break;
		ret = accel_copy(&busy, USER, address_of(buffer), map.region,
				 0, MIB - 1);
		if (ret)
			break;
		ret = accel_region_unmap(&busy, 0, map.region);
		if (ret)
			break;
	}
	accel_close(&busy);
	free(buffer);
	return ret == -ENODEV ? 0 : 1;
}

static void test_killed_amid_everything(void **state)
{
	struct firmware mine;
	int ready[2], round, i, status;
	pid_t users[3];
	char byte;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	for (round = 0; round < 8; round++) {
		firmware_start(&mine);
		for (i = 0; i < 3; i++) {
			users[i] = fork();
			if (!users[i])
				_exit(use_until_lost(mine.node, ready[1]));
		}
		for (i = 0; i < 3; i++)
			assert_int_equal(read(ready[0], &byte, 1), 1);
		usleep(round * 37000);
		firmware_kill(&mine);
		for (i = 0; i < 3; i++) {
			assert_int_equal(waitpid(users[i], &status, 0),
					 users[i]);
			assert_int_equal(status, 0);
		}
		assert_true(firmware_wait_for_unplug(&mine));
	}
	close(ready[0]);
	close(ready[1]);
}

static int count_bus_devices(void)
{
	DIR *directory = opendir("/sys/bus/tandem_emu/devices");
	struct dirent *entry;
	int count = 0;

	assert_non_null(directory);
	while ((entry = readdir(directory)))
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}

/* At whatever point of the start it happens to be. */
static void test_killed_while_starting(void **state)
{
	int before = count_bus_devices(), i, tries;
	pid_t pid;

	(void)state;
	for (i = 0; i < 16; i++) {
		pid = firmware_spawn();
		usleep(i * 15000);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
	for (tries = 0; count_bus_devices() != before && tries < 500; tries++)
		usleep(20000);
	assert_int_equal(count_bus_devices(), before);
}

#define REMOVAL_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		REMOVAL_TEST(test_killed_with_commands_in_flight),
		REMOVAL_TEST(test_killed_while_someone_polls),
		REMOVAL_TEST(test_io_uring_poll_tells),
		REMOVAL_TEST(test_mappings_and_dmabufs_outlive_the_device),
		REMOVAL_TEST(test_pins_outlive_the_device),
		REMOVAL_TEST(test_pins_of_a_dmabuf_outlive_the_device),
		REMOVAL_TEST(test_mappings_are_moved_and_inherited),
		REMOVAL_TEST(test_importer_dies_before_the_exporter),
		REMOVAL_TEST(test_calls_that_wait_are_woken),
		REMOVAL_TEST(test_stopped_device_is_taken_out),
		REMOVAL_TEST(test_new_device_after_each),
		cmocka_unit_test(test_killed_amid_everything),
		cmocka_unit_test(test_killed_while_starting),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
