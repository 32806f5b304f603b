// SPDX-License-Identifier: MIT
/*
 * Memory objects: size, contents, mappings, pins, dma-bufs, lifetime.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <infiniband/verbs.h>

#include "accel.h"

#define SIZE	(3 * MIB)

static struct accel accel;

static int setup(void **state)
{
	(void)state;
	accel_open(&accel, ACCEL0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	accel_close(&accel);
	return 0;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

static void test_size_is_rounded_up(void **state)
{
	struct drm_tandem_gem_create args = { .size = 1 };

	(void)state;
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_GEM_CREATE,
				     &args), 0);
	assert_int_equal(args.size, 4096);
	assert_int_not_equal(args.handle, 0);
	accel_object_close(&accel, args.handle);
}

static void test_memory_is_zero_also_after_another_owner(void **state)
{
	uint32_t handle;
	uint8_t *memory;
	int round;

	(void)state;
	for (round = 0; round < 3; round++) {
		handle = accel_object(&accel, SIZE);
		memory = accel_map(&accel, handle, SIZE);
		assert_true(is_zero(memory, SIZE));
		memset(memory, 0xa5, SIZE);
		munmap(memory, SIZE);
		accel_object_close(&accel, handle);
	}
}

static void test_device_memory_runs_out(void **state)
{
	uint64_t size = accel_param(&accel, TANDEM_PARAM_MEMORY_SIZE);
	uint64_t used = accel_param(&accel, TANDEM_PARAM_MEMORY_USED);
	struct drm_tandem_gem_create args = { .size = size + 4096 };
	uint32_t handle;

	(void)state;
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_GEM_CREATE,
				     &args), -ENOSPC);
	args.size = UINT64_MAX;
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_GEM_CREATE,
				     &args), -ENOSPC);
	handle = accel_object(&accel, MIB);
	assert_int_equal(accel_param(&accel, TANDEM_PARAM_MEMORY_USED),
			 used + MIB);
	args.size = size - used - MIB + 4096;
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_GEM_CREATE,
				     &args), -ENOSPC);
	accel_object_close(&accel, handle);
	assert_int_equal(accel_param(&accel, TANDEM_PARAM_MEMORY_USED), used);
}

static void test_memory_of_a_process_that_ended_is_free(void **state)
{
	uint64_t size = accel_param(&accel, TANDEM_PARAM_MEMORY_SIZE) / 4 * 3;
	struct accel other;
	int round, status;
	pid_t pid;

	(void)state;
	/* All but the first would not fit beside the one before. */
	for (round = 0; round < 3; round++) {
		pid = fork();
		if (!pid) {
			accel_open(&other, ACCEL0);
			accel_region(&other, 0, accel_object(&other, size), 0,
				     size, READ);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

static void test_mapping_outlives_handle_and_file(void **state)
{
	struct accel other;
	uint32_t handle;
	uint8_t *memory;

	(void)state;
	accel_open(&other, ACCEL0);
	handle = accel_object(&other, SIZE);
	memory = accel_map(&other, handle, SIZE);
	fill_pattern(memory, SIZE, 1);
	accel_object_close(&other, handle);
	accel_close(&other);
	memory[SIZE - 1] = 17;
	assert_int_equal(memory[SIZE - 1], 17);
	munmap(memory, SIZE);
}

static void test_mapping_survives_madvise(void **state)
{
	uint32_t handle = accel_object(&accel, SIZE);
	uint8_t *memory = accel_map(&accel, handle, SIZE);
	uint8_t *expected = malloc(SIZE);

	(void)state;
	fill_pattern(memory, SIZE, 2);
	fill_pattern(expected, SIZE, 2);
	assert_int_equal(madvise(memory, SIZE, MADV_DONTNEED), 0);
	assert_memory_equal(memory, expected, SIZE);
	munmap(memory, SIZE);
	free(expected);
	accel_object_close(&accel, handle);
}

static void test_bad_mappings_are_refused(void **state)
{
	uint32_t handle = accel_object(&accel, 8192);
	struct drm_tandem_gem_mmap_offset args = { .handle = handle };

	(void)state;
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_GEM_MMAP_OFFSET,
				     &args), 0);
	assert_ptr_equal(mmap(NULL, 12288, PROT_READ, MAP_SHARED, accel.fd,
			      args.offset), MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	assert_ptr_equal(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			      accel.fd, args.offset), MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ, MAP_SHARED, accel.fd, 0),
			 MAP_FAILED);
	accel_object_close(&accel, handle);
}

static void test_other_files_cannot_map_by_offset(void **state)
{
	uint32_t handle = accel_object(&accel, 4096);
	struct drm_tandem_gem_mmap_offset args = { .handle = handle };
	struct accel other;

	(void)state;
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_GEM_MMAP_OFFSET,
				     &args), 0);
	accel_open(&other, ACCEL0);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ, MAP_SHARED, other.fd,
			      args.offset), MAP_FAILED);
	assert_int_equal(errno, EACCES);
	accel_close(&other);
	accel_object_close(&accel, handle);
}

static void test_io_uring_takes_it_as_registered_buffer(void **state)
{
	uint32_t handle = accel_object(&accel, SIZE);
	uint8_t *memory = accel_map(&accel, handle, SIZE);
	struct iovec iovec = { .iov_base = memory, .iov_len = SIZE };
	char path[] = "/tmp/driver-memory-XXXXXX";
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	uint8_t *expected = malloc(SIZE);
	int fd;

	(void)state;
	fill_pattern(expected, SIZE, 3);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(write(fd, expected, SIZE), SIZE);

	assert_int_equal(io_uring_queue_init(4, &ring, 0), 0);
	assert_int_equal(io_uring_register_buffers(&ring, &iovec, 1), 0);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_read_fixed(sqe, fd, memory, SIZE, 0, 0);
	io_uring_submit(&ring);
	assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
	assert_int_equal(cqe->res, SIZE);
	assert_memory_equal(memory, expected, SIZE);

	io_uring_queue_exit(&ring);
	close(fd);
	munmap(memory, SIZE);
	free(expected);
	accel_object_close(&accel, handle);
}

static void test_rdma_takes_it_as_memory_region(void **state)
{
	struct ibv_device **devices;
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_mr *mr;
	uint32_t handle;
	uint8_t *memory;
	int count = 0;

	(void)state;
	devices = ibv_get_device_list(&count);
	if (!devices || !count) {
		if (devices)
			ibv_free_device_list(devices);
		print_message("# skip: no RDMA device\n");
		skip();
	}
	context = ibv_open_device(devices[0]);
	assert_non_null(context);
	pd = ibv_alloc_pd(context);
	assert_non_null(pd);

	handle = accel_object(&accel, SIZE);
	memory = accel_map(&accel, handle, SIZE);
	mr = ibv_reg_mr(pd, memory, SIZE,
			IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
	assert_non_null(mr);
	/* A pin holds the memory when all else has gone. */
	munmap(memory, SIZE);
	accel_object_close(&accel, handle);
	handle = accel_object(&accel, SIZE);
	memory = accel_map(&accel, handle, SIZE);
	assert_true(is_zero(memory, SIZE));
	munmap(memory, SIZE);
	accel_object_close(&accel, handle);
	assert_int_equal(ibv_dereg_mr(mr), 0);

	ibv_dealloc_pd(pd);
	ibv_close_device(context);
	ibv_free_device_list(devices);
}

static void test_region_holds_the_object(void **state)
{
	uint64_t used = accel_param(&accel, TANDEM_PARAM_MEMORY_USED);
	uint32_t handle = accel_object(&accel, MIB);
	uint32_t region = accel_region(&accel, 0, handle, 0, MIB, READ | WRITE);
	uint32_t value = 0;

	(void)state;
	accel_object_close(&accel, handle);
	assert_int_equal(accel_param(&accel, TANDEM_PARAM_MEMORY_USED),
			 used + MIB);
	assert_int_equal(accel_fill(&accel, region, 0, 0x12345678, MIB), 0);
	assert_int_equal(accel_copy(&accel, USER, address_of(&value), region,
				    MIB - 4, 4), 0);
	assert_int_equal(value, 0x12345678);
	assert_int_equal(accel_region_unmap(&accel, 0, region), 0);
	assert_int_equal(accel_param(&accel, TANDEM_PARAM_MEMORY_USED), used);
	assert_int_equal(accel_region_unmap(&accel, 0, region), -ENOENT);
	assert_int_equal(accel_fill(&accel, region, 0, 0, 4), -EACCES);
}

static void test_dmabuf_mapping_shows_the_object(void **state)
{
	uint32_t handle = accel_object(&accel, SIZE);
	int dmabuf = accel_export(&accel, handle);
	uint8_t *expected = malloc(SIZE);
	uint8_t *memory, *part;

	(void)state;
	fill_pattern(expected, SIZE, 4);
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf,
		      0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	memcpy(memory, expected, SIZE);
	part = mmap(NULL, 4096, PROT_READ, MAP_SHARED, dmabuf, 8192);
	assert_ptr_not_equal(part, MAP_FAILED);
	assert_memory_equal(part, expected + 8192, 4096);
	munmap(part, 4096);
	munmap(memory, SIZE);
	accel_object_close(&accel, handle);

	/* The dma-buf holds the object. */
	memory = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, dmabuf, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_memory_equal(memory, expected, SIZE);
	munmap(memory, SIZE);
	free(expected);
	close(dmabuf);
}

static void test_second_device_copies_through_dmabuf(void **state)
{
	uint32_t handle, region, imported, host, scratch, scratch_handle;
	uint8_t *expected = malloc(SIZE), *memory;
	struct accel second;
	int dmabuf;

	(void)state;
	accel_open(&second, ACCEL1);
	handle = accel_object(&accel, SIZE);
	region = accel_region(&accel, 0, handle, 0, SIZE, READ | WRITE);
	dmabuf = accel_export(&accel, handle);
	assert_int_equal(accel_import(&second, dmabuf, &imported), 0);
	close(dmabuf);
	host = accel_region(&second, 0, imported, 4096, SIZE - 4096,
			    READ | WRITE);
	scratch_handle = accel_object(&second, SIZE);
	scratch = accel_region(&second, 0, scratch_handle, 0, SIZE,
			       READ | WRITE);

	/* First device's memory, to the second's and back elsewhere. */
	memory = accel_map(&accel, handle, SIZE);
	fill_pattern(memory, SIZE, 5);
	memcpy(expected, memory, SIZE);
	assert_int_equal(accel_copy(&second, scratch, 0, host, 1, MIB), 0);
	memset(memory + 2 * MIB, 0, MIB);
	assert_int_equal(accel_copy(&second, host, 2 * MIB - 4096, scratch, 0,
				    MIB), 0);
	assert_memory_equal(memory, expected, 2 * MIB);
	assert_memory_equal(memory + 2 * MIB, expected + 4097, MIB);
	/* And the first device sees what the second wrote. */
	memset(expected, 0, MIB);
	assert_int_equal(accel_copy(&accel, USER, address_of(expected), region,
				    2 * MIB, MIB), 0);
	assert_memory_equal(memory + 2 * MIB, expected, MIB);

	munmap(memory, SIZE);
	free(expected);
	accel_close(&second);
	assert_int_equal(accel_region_unmap(&accel, 0, region), 0);
	accel_object_close(&accel, handle);
}

static void test_import_of_own_dmabuf_is_the_object(void **state)
{
	uint32_t handle = accel_object(&accel, 4096), again;
	int dmabuf = accel_export(&accel, handle);

	(void)state;
	assert_int_equal(accel_import(&accel, dmabuf, &again), 0);
	assert_int_equal(again, handle);
	close(dmabuf);
	accel_object_close(&accel, handle);
}

static void test_imported_object_maps_through_its_exporter(void **state)
{
	uint32_t handle = accel_object(&accel, 8192), imported;
	int dmabuf = accel_export(&accel, handle);
	uint8_t *first, *second_view;
	struct accel second;

	(void)state;
	accel_open(&second, ACCEL1);
	assert_int_equal(accel_import(&second, dmabuf, &imported), 0);
	close(dmabuf);
	first = accel_map(&accel, handle, 8192);
	second_view = accel_map(&second, imported, 8192);
	fill_pattern(first, 8192, 6);
	assert_memory_equal(first, second_view, 8192);
	munmap(first, 8192);
	accel_close(&second);
	accel_object_close(&accel, handle);
	munmap(second_view, 8192);
}

static void test_memory_statistics_are_shown(void **state)
{
	uint32_t handle = accel_object(&accel, MIB);
	char path[64], line[256];
	bool engine = false, memory = false;
	FILE *info;

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", accel.fd);
	info = fopen(path, "r");
	assert_non_null(info);
	while (fgets(line, sizeof(line), info)) {
		if (!strncmp(line, "drm-engine-copy:", 16))
			engine = true;
		if (!strncmp(line, "drm-total-memory:", 17))
			memory = true;
	}
	fclose(info);
	assert_true(engine);
	assert_true(memory);
	accel_object_close(&accel, handle);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size_is_rounded_up),
		cmocka_unit_test(test_memory_is_zero_also_after_another_owner),
		cmocka_unit_test(test_device_memory_runs_out),
		cmocka_unit_test(test_memory_of_a_process_that_ended_is_free),
		cmocka_unit_test(test_mapping_outlives_handle_and_file),
		cmocka_unit_test(test_mapping_survives_madvise),
		cmocka_unit_test(test_bad_mappings_are_refused),
		cmocka_unit_test(test_other_files_cannot_map_by_offset),
		cmocka_unit_test(test_io_uring_takes_it_as_registered_buffer),
		cmocka_unit_test(test_rdma_takes_it_as_memory_region),
		cmocka_unit_test(test_region_holds_the_object),
		cmocka_unit_test(test_dmabuf_mapping_shows_the_object),
		cmocka_unit_test(test_second_device_copies_through_dmabuf),
		cmocka_unit_test(test_import_of_own_dmabuf_is_the_object),
		cmocka_unit_test(test_imported_object_maps_through_its_exporter),
		cmocka_unit_test(test_memory_statistics_are_shown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
