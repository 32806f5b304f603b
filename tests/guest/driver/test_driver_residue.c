// SPDX-License-Identifier: MIT
/*
 * Nobody sees a byte of another owner: neither the next one of the same device
 * addresses what was there before, nor the last one, through what it still
 * holds, what comes after.
 *
 * Each test takes all memory of a device of its own, so that the next object
 * lies at the same addresses.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accel.h"
#include "firmware.h"
#include "rdma_loop.h"
#include "toy_device.h"

#define SIZE		(4 * MIB)
/* What is looked at through a lens. */
#define SEEN		(64 * 1024u)
#define SECRET		1
#define NEXT_SECRET	2
#define INTRUSION	3

static struct firmware firmware;
static struct accel accel;
static uint8_t expected[SEEN];
static uint8_t seen[SEEN];

static int setup(void **state)
{
	static const char *const options[] = {
		"--profile", "host", "--mem", "4M", NULL,
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

/* An object that is all of device memory, mapped. */
struct owned {
	uint32_t handle;
	uint8_t *memory;
};

static struct owned own_all(void)
{
	struct owned owned;

	owned.handle = accel_object(&accel, SIZE);
	owned.memory = accel_map(&accel, owned.handle, SIZE);
	return owned;
}

static struct owned own_all_with(uint32_t secret)
{
	struct owned owned = own_all();

	fill_pattern(owned.memory, SEEN, secret);
	return owned;
}

static void give_up(struct owned *owned)
{
	munmap(owned->memory, SIZE);
	accel_object_close(&accel, owned->handle);
}

static void assert_zero(const uint8_t *memory, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		if (memory[i])
			fail_msg("byte %zu is %#x", i, memory[i]);
	}
}

/* As the device sees it, too. */
static void assert_device_reads_zero(const struct owned *owned)
{
	uint32_t region = accel_region(&accel, 0, owned->handle, 0, SIZE,
				       READ);

	memset(seen, 0x55, SEEN);
	assert_int_equal(accel_copy(&accel, USER, address_of(seen), region, 0,
				    SEEN), 0);
	assert_zero(seen, SEEN);
	assert_int_equal(accel_region_unmap(&accel, 0, region), 0);
}

static void assert_seen(uint32_t secret)
{
	fill_pattern(expected, SEEN, secret);
	assert_memory_equal(seen, expected, SEEN);
}

/* All that is held is the object itself: the memory is not free. */
static void assert_memory_is_taken(void)
{
	struct drm_tandem_gem_create args = { .size = 4096 };

	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_GEM_CREATE,
				     &args), -ENOSPC);
}

static void test_memory_region_shows_no_other_owner(void **state)
{
	struct owned first, next;
	struct ibv_mr *stale, *local;
	struct rdma_loop loop;
	uint64_t address;

	(void)state;
	if (!rdma_loop_open(&loop)) {
		print_message("# skip: no RDMA device\n");
		skip();
	}
	local = ibv_reg_mr(loop.pd, seen, SEEN, IBV_ACCESS_LOCAL_WRITE);
	assert_non_null(local);
	first = own_all_with(SECRET);
	address = address_of(first.memory);
	stale = ibv_reg_mr(loop.pd, first.memory, SIZE,
			   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |
			   IBV_ACCESS_REMOTE_READ);
	assert_non_null(stale);
	/* It is a lens. */
	rdma_loop_read(&loop, stale, address, local, SEEN);
	assert_seen(SECRET);
	give_up(&first);

	next = own_all();
	assert_zero(next.memory, SIZE);
	assert_device_reads_zero(&next);
	fill_pattern(next.memory, SEEN, NEXT_SECRET);
	memset(seen, 0, SEEN);
	rdma_loop_read(&loop, stale, address, local, SEEN);
	assert_seen(SECRET);
	/* Nor does it reach what is there now. */
	fill_pattern(seen, SEEN, INTRUSION);
	rdma_loop_write(&loop, stale, address, local, SEEN);
	fill_pattern(expected, SEEN, NEXT_SECRET);
	assert_memory_equal(next.memory, expected, SEEN);

	give_up(&next);
	assert_int_equal(ibv_dereg_mr(stale), 0);
	assert_int_equal(ibv_dereg_mr(local), 0);
	rdma_loop_close(&loop);
}

static void run_fixed(struct io_uring *ring, bool write, int file,
		      void *address)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;

	if (write)
		io_uring_prep_write_fixed(sqe, file, address, SEEN, 0, 0);
	else
		io_uring_prep_read_fixed(sqe, file, address, SEEN, 0, 0);
	assert_int_equal(io_uring_submit(ring), 1);
	assert_int_equal(io_uring_wait_cqe(ring, &cqe), 0);
	assert_int_equal(cqe->res, SEEN);
	io_uring_cqe_seen(ring, cqe);
}

static void test_registered_buffer_shows_no_other_owner(void **state)
{
	int file = memfd_create("lens", MFD_CLOEXEC);
	struct owned first, next;
	struct io_uring ring;
	struct iovec iovec;
	void *address;

	(void)state;
	assert_int_equal(io_uring_queue_init(4, &ring, 0), 0);
	first = own_all_with(SECRET);
	address = first.memory;
	iovec = (struct iovec) { .iov_base = address, .iov_len = SIZE };
	assert_int_equal(io_uring_register_buffers(&ring, &iovec, 1), 0);
	give_up(&first);

	next = own_all();
	assert_zero(next.memory, SIZE);
	assert_device_reads_zero(&next);
	fill_pattern(next.memory, SEEN, NEXT_SECRET);
	/* What the pinned pages hold, by way of a file. */
	run_fixed(&ring, true, file, address);
	assert_int_equal(pread(file, seen, SEEN, 0), SEEN);
	assert_seen(SECRET);
	/* And into them. */
	fill_pattern(seen, SEEN, INTRUSION);
	assert_int_equal(pwrite(file, seen, SEEN, 0), SEEN);
	run_fixed(&ring, false, file, address);
	fill_pattern(expected, SEEN, NEXT_SECRET);
	assert_memory_equal(next.memory, expected, SEEN);

	give_up(&next);
	io_uring_queue_exit(&ring);
	close(file);
}

/* Pages in a pipe have a reference, and no pin. */
static void test_pipe_shows_no_other_owner(void **state)
{
	struct owned first, next;
	struct iovec iovec;
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	first = own_all_with(SECRET);
	iovec = (struct iovec) { .iov_base = first.memory, .iov_len = SEEN };
	assert_int_equal(vmsplice(pipes[1], &iovec, 1, 0), SEEN);
	give_up(&first);

	next = own_all();
	assert_zero(next.memory, SIZE);
	fill_pattern(next.memory, SEEN, NEXT_SECRET);
	assert_int_equal(read(pipes[0], seen, SEEN), SEEN);
	assert_seen(SECRET);
	give_up(&next);
	close(pipes[0]);
	close(pipes[1]);
}

/* Each of these holds the object; with the last, its memory is free. */
static void test_memory_is_taken_while_anything_shows_it(void **state)
{
	struct accel second, other;
	struct owned first, next;
	uint32_t region, handle;
	int dmabuf, status;
	pid_t child;
	int gate[2];

	(void)state;
	first = own_all_with(SECRET);
	dmabuf = accel_export(&accel, first.handle);
	region = accel_region(&accel, 0, first.handle, 0, SIZE, READ);
	accel_open(&second, ACCEL0);
	assert_int_equal(accel_import(&second, dmabuf, &handle), 0);
	accel_open(&other, firmware.node);
	assert_int_equal(accel_import(&other, dmabuf, &handle), 0);
	assert_int_equal(pipe(gate), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		/* With a mapping of its own. The other files are no matter. */
		close(second.fd);
		close(other.fd);
		close(accel.fd);
		close(dmabuf);
		close(gate[1]);
		_exit(read(gate[0], seen, 1) == 0 && first.memory[0] ? 0 : 1);
	}
	close(gate[0]);

	give_up(&first);
	assert_memory_is_taken();
	close(dmabuf);
	assert_memory_is_taken();
	assert_int_equal(accel_region_unmap(&accel, 0, region), 0);
	assert_memory_is_taken();
	accel_close(&other);
	assert_memory_is_taken();
	accel_close(&second);
	assert_memory_is_taken();
	close(gate[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	next = own_all();
	assert_zero(next.memory, SIZE);
	give_up(&next);
}

/* Commands in flight are done with the memory before it is another's. */
static void test_late_commands_do_not_reach_the_next_owner(void **state)
{
	const int commands = 32;
	struct owned next;
	uint32_t handle, region;
	int round, i;

	(void)state;
	for (round = 0; round < 8; round++) {
		handle = accel_object(&accel, SIZE);
		region = accel_region(&accel, 0, handle, 0, SIZE, WRITE);
		accel_object_close(&accel, handle);
		for (i = 0; i < commands; i++) {
			struct tandem_uring_command fill = {
				.queue = i % 2 ? accel.copy : accel.compute,
				.dst_region = region,
				.src_offset = 0x5ec4e7,
				.length = SIZE,
			};

			accel_prepare(&accel, TANDEM_URING_FILL, &fill, i);
		}
		assert_int_equal(io_uring_submit(&accel.ring), commands);
		assert_int_equal(accel_region_unmap(&accel, 0, region), 0);
		next = own_all();
		assert_zero(next.memory, SIZE);
		for (i = 0; i < commands; i++) {
			int result = accel_wait(&accel, NULL);

			assert_true(result == 0 || result == -EACCES);
		}
		assert_zero(next.memory, SIZE);
		assert_int_equal(accel_fill(&accel, region, 0, 1, 4), -EACCES);
		give_up(&next);
	}
}

/* A device that looks for itself, whatever the driver says. */
static void test_device_sees_nothing_of_what_was_freed(void **state)
{
	struct toy_device toy;
	struct accel file;
	uint32_t handle;
	uint8_t *memory, value;
	char node[300];

	(void)state;
	toy_start(&toy, TOY_NO_DEFECT);
	assert_true(toy_find_node(&toy, node, sizeof(node), 30));
	accel_open(&file, node);
	handle = accel_object(&file, TOY_MEMORY);
	memory = accel_map(&file, handle, TOY_MEMORY);
	memory[12345] = 0xa5;
	assert_true(toy_probe(&toy, 12345, &value));
	assert_int_equal(value, 0xa5);
	munmap(memory, TOY_MEMORY);
	accel_object_close(&file, handle);
	assert_false(toy_probe(&toy, 12345, &value));
	handle = accel_object(&file, TOY_MEMORY);
	assert_true(toy_probe(&toy, 12345, &value));
	assert_int_equal(value, 0);
	accel_object_close(&file, handle);
	accel_close(&file);
	toy_kill(&toy);
}

/* Whatever it had come to is undone. */
static void test_killed_creation_leaves_nothing(void **state)
{
	static const char *const options[] = {
		"--profile", "host", "--mem", "1G", NULL,
	};
	struct firmware large;
	struct accel file, other;
	int round, status;
	pid_t child;

	(void)state;
	firmware_start_with(&large, options);
	accel_open(&file, large.node);
	for (round = 0; round < 4; round++) {
		child = fork();
		assert_true(child >= 0);
		if (!child) {
			struct drm_tandem_gem_create args = { .size = 768 * MIB };

			accel_open(&other, large.node);
			accel_ioctl(&other, DRM_IOCTL_TANDEM_GEM_CREATE, &args);
			_exit(0);
		}
		usleep(20000 * (round + 1));
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		/* What a process held just before its end is freed a little later. */
		accel_object_close(&file, accel_object(&file, 512 * MIB));
		assert_int_equal(accel_param(&file, TANDEM_PARAM_MEMORY_USED),
				 0);
	}
	accel_close(&file);
	firmware_kill(&large);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_region_shows_no_other_owner),
		cmocka_unit_test(test_registered_buffer_shows_no_other_owner),
		cmocka_unit_test(test_pipe_shows_no_other_owner),
		cmocka_unit_test(test_memory_is_taken_while_anything_shows_it),
		cmocka_unit_test(test_late_commands_do_not_reach_the_next_owner),
		cmocka_unit_test(test_device_sees_nothing_of_what_was_freed),
		cmocka_unit_test(test_killed_creation_leaves_nothing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
