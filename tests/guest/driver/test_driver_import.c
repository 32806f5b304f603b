// SPDX-License-Identifier: MIT
/*
 * dma-bufs of others: imported, copied to and from by the device, and held when
 * either side goes away.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>

#include "accel.h"
#include "firmware.h"

#define PAGE	4096ull
#define SIZE	(2 * MIB)

static struct accel accel;
static uint32_t own, own_region;
static uint8_t *own_memory;

static int setup(void **state)
{
	(void)state;
	accel_open(&accel, ACCEL0);
	own = accel_object(&accel, SIZE);
	own_memory = accel_map(&accel, own, SIZE);
	own_region = accel_region(&accel, 0, own, 0, SIZE, READ | WRITE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	munmap(own_memory, SIZE);
	accel_close(&accel);
	return 0;
}

static int memory_file(void)
{
	int memfd = memfd_create("import", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	assert_true(memfd >= 0);
	assert_int_equal(ftruncate(memfd, SIZE), 0);
	assert_int_equal(fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return memfd;
}

static int open_udmabuf(void)
{
	int fd = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);

	/* The guest's kernel has it, by tests/vm/fetch-kernel's choice. */
	if (fd < 0)
		fail_msg("/dev/udmabuf: %s", strerror(errno));
	return fd;
}

static int make_udmabuf(void)
{
	struct udmabuf_create create = {
		.memfd = memory_file(),
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.size = SIZE,
	};
	int fd = open_udmabuf(), dmabuf;

	dmabuf = ioctl(fd, UDMABUF_CREATE, &create);
	assert_true(dmabuf >= 0);
	close(fd);
	close(create.memfd);
	return dmabuf;
}

static int make_heap_buffer(void)
{
	struct dma_heap_allocation_data data = {
		.len = SIZE,
		.fd_flags = O_RDWR | O_CLOEXEC,
	};
	int fd = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fail_msg("/dev/dma_heap/system: %s", strerror(errno));
	assert_int_equal(ioctl(fd, DMA_HEAP_IOCTL_ALLOC, &data), 0);
	close(fd);
	return data.fd;
}

static int make_tandem_buffer(void)
{
	struct accel second;
	int dmabuf;

	accel_open(&second, ACCEL1);
	dmabuf = accel_export(&second, accel_object(&second, SIZE));
	accel_close(&second);
	return dmabuf;
}

static uint8_t *map_buffer(int dmabuf)
{
	void *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			    dmabuf, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

static void sync_buffer(int dmabuf, uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = flags | DMA_BUF_SYNC_RW };

	assert_int_equal(ioctl(dmabuf, DMA_BUF_IOCTL_SYNC, &sync), 0);
}

/* What the device reads from it and writes to it is what is there. */
static void check_copies(int dmabuf)
{
	uint8_t *theirs = map_buffer(dmabuf), *expected = malloc(SIZE);
	uint32_t handle, region, part;

	assert_int_equal(accel_import(&accel, dmabuf, &handle), 0);
	region = accel_region(&accel, 0, handle, 0, SIZE, READ | WRITE);

	sync_buffer(dmabuf, DMA_BUF_SYNC_START);
	fill_pattern(theirs, SIZE, 1);
	memcpy(expected, theirs, SIZE);
	sync_buffer(dmabuf, DMA_BUF_SYNC_END);
	memset(own_memory, 0, SIZE);
	assert_int_equal(accel_copy(&accel, own_region, 0, region, 0, SIZE),
			 0);
	assert_memory_equal(own_memory, expected, SIZE);

	fill_pattern(own_memory, SIZE, 2);
	assert_int_equal(accel_copy(&accel, region, 0, own_region, 0, SIZE),
			 0);
	sync_buffer(dmabuf, DMA_BUF_SYNC_START);
	assert_memory_equal(theirs, own_memory, SIZE);

	/* A part, from odd places to odd places, and not a byte beside it. */
	memset(theirs, 0x11, SIZE);
	sync_buffer(dmabuf, DMA_BUF_SYNC_END);
	part = accel_region(&accel, 0, handle, 5 * PAGE, 7 * PAGE,
			    READ | WRITE);
	assert_int_equal(accel_copy(&accel, part, 3, own_region, 77777,
				    7 * PAGE - 3), 0);
	sync_buffer(dmabuf, DMA_BUF_SYNC_START);
	memset(expected, 0x11, SIZE);
	memcpy(expected + 5 * PAGE + 3, own_memory + 77777, 7 * PAGE - 3);
	assert_memory_equal(theirs, expected, SIZE);
	sync_buffer(dmabuf, DMA_BUF_SYNC_END);
	assert_int_equal(accel_copy(&accel, part, 4, own_region, 0,
				    7 * PAGE - 3), -EACCES);
	assert_int_equal(accel_fill(&accel, part, 0, 0x22222222, 7 * PAGE), 0);
	memset(expected + 5 * PAGE, 0x22, 7 * PAGE);
	assert_memory_equal(theirs, expected, SIZE);

	assert_int_equal(accel_region_unmap(&accel, 0, part), 0);
	assert_int_equal(accel_region_unmap(&accel, 0, region), 0);
	accel_object_close(&accel, handle);
	munmap(theirs, SIZE);
	free(expected);
	close(dmabuf);
}

static void test_copies_to_and_from_udmabuf(void **state)
{
	(void)state;
	check_copies(make_udmabuf());
}

static void test_copies_to_and_from_system_heap(void **state)
{
	(void)state;
	check_copies(make_heap_buffer());
}

static void test_copies_to_and_from_second_device(void **state)
{
	(void)state;
	check_copies(make_tandem_buffer());
}

/* Pages of one file in another order: each has to be found in its place. */
static void test_scattered_buffer_keeps_its_order(void **state)
{
	const unsigned int count = SIZE / PAGE;
	struct udmabuf_create_list *list;
	int memfd = memory_file(), fd = open_udmabuf(), dmabuf;
	uint8_t *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			       memfd, 0);
	uint32_t handle, region;
	unsigned int i;

	(void)state;
	assert_ptr_not_equal(memory, MAP_FAILED);
	fill_pattern(memory, SIZE, 3);
	list = calloc(1, sizeof(*list) + count * sizeof(list->list[0]));
	list->flags = UDMABUF_FLAGS_CLOEXEC;
	list->count = count;
	for (i = 0; i < count; i++) {
		list->list[i].memfd = memfd;
		list->list[i].offset = (count - 1 - i) * PAGE;
		list->list[i].size = PAGE;
	}
	dmabuf = ioctl(fd, UDMABUF_CREATE_LIST, list);
	assert_true(dmabuf >= 0);
	assert_int_equal(accel_import(&accel, dmabuf, &handle), 0);
	region = accel_region(&accel, 0, handle, 0, SIZE, READ);
	assert_int_equal(accel_copy(&accel, own_region, 0, region, 0, SIZE),
			 0);
	for (i = 0; i < count; i++)
		assert_memory_equal(own_memory + i * PAGE,
				    memory + (count - 1 - i) * PAGE, PAGE);
	assert_int_equal(accel_region_unmap(&accel, 0, region), 0);
	accel_object_close(&accel, handle);
	free(list);
	munmap(memory, SIZE);
	close(dmabuf);
	close(fd);
	close(memfd);
}

static void test_import_counts_as_no_device_memory(void **state)
{
	uint64_t used = accel_param(&accel, TANDEM_PARAM_MEMORY_USED);
	uint64_t mine = accel_param(&accel, TANDEM_PARAM_FILE_MEMORY_USED);
	int dmabuf = make_heap_buffer();
	uint32_t handle;

	(void)state;
	assert_int_equal(accel_import(&accel, dmabuf, &handle), 0);
	assert_int_equal(accel_param(&accel, TANDEM_PARAM_MEMORY_USED), used);
	assert_int_equal(accel_param(&accel, TANDEM_PARAM_FILE_MEMORY_USED),
			 mine);
	accel_object_close(&accel, handle);
	close(dmabuf);
}

static void test_second_import_gives_the_same_handle(void **state)
{
	int dmabuf = make_udmabuf();
	uint32_t first, second;

	(void)state;
	assert_int_equal(accel_import(&accel, dmabuf, &first), 0);
	assert_int_equal(accel_import(&accel, dmabuf, &second), 0);
	assert_int_equal(first, second);
	accel_object_close(&accel, first);
	/* And it can be imported anew. */
	assert_int_equal(accel_import(&accel, dmabuf, &first), 0);
	accel_object_close(&accel, first);
	close(dmabuf);
}

static void test_what_is_no_dmabuf_is_refused(void **state)
{
	int memfd = memory_file();
	uint32_t handle;

	(void)state;
	assert_int_equal(accel_import(&accel, memfd, &handle), -EINVAL);
	assert_int_equal(accel_import(&accel, -1, &handle), -EBADF);
	assert_int_equal(accel_import(&accel, accel.fd, &handle), -EINVAL);
	close(memfd);
}

/* The memory of a device that is gone stays what it was. */
static void test_exporter_may_go_first(void **state)
{
	struct firmware firmware;
	struct accel exporter;
	uint32_t handle, region;
	uint8_t *theirs;
	int dmabuf;

	(void)state;
	firmware_start(&firmware);
	accel_open(&exporter, firmware.node);
	dmabuf = accel_export(&exporter, accel_object(&exporter, SIZE));
	theirs = map_buffer(dmabuf);
	fill_pattern(theirs, SIZE, 4);
	assert_int_equal(accel_import(&accel, dmabuf, &handle), 0);
	region = accel_region(&accel, 0, handle, 0, SIZE, READ | WRITE);

	firmware_kill(&firmware);
	assert_true(firmware_wait_for_unplug(&firmware));
	accel_close(&exporter);
	memset(own_memory, 0, SIZE);
	assert_int_equal(accel_copy(&accel, own_region, 0, region, 0, SIZE),
			 0);
	assert_memory_equal(own_memory, theirs, SIZE);
	assert_int_equal(accel_fill(&accel, region, 0, 0x33333333, SIZE), 0);
	assert_int_equal(theirs[SIZE - 1], 0x33);
	assert_int_equal(accel_region_unmap(&accel, 0, region), 0);
	accel_object_close(&accel, handle);
	munmap(theirs, SIZE);
	close(dmabuf);
}

static void test_importer_may_go_first(void **state)
{
	int dmabuf = make_heap_buffer();
	uint8_t *theirs = map_buffer(dmabuf);
	struct firmware firmware;
	struct accel importer;
	uint32_t handle;

	(void)state;
	firmware_start(&firmware);
	accel_open(&importer, firmware.node);
	assert_int_equal(accel_import(&importer, dmabuf, &handle), 0);
	accel_region(&importer, 0, handle, 0, SIZE, READ | WRITE);
	firmware_kill(&firmware);
	assert_true(firmware_wait_for_unplug(&firmware));
	fill_pattern(theirs, SIZE, 5);
	accel_close(&importer);
	/* It is whole, and can be used by another. */
	munmap(theirs, SIZE);
	check_copies(dmabuf);
}

/* Offsets for mmap come and go; pages of the dma-buf's mapping stay. */
static void test_dmabuf_mapping_is_not_moved_by_the_objects_own(void **state)
{
	uint32_t handle = accel_object(&accel, SIZE);
	int dmabuf = accel_export(&accel, handle);
	uint8_t *theirs = map_buffer(dmabuf);
	uint8_t *mine = accel_map(&accel, handle, SIZE);

	(void)state;
	fill_pattern(mine, SIZE, 6);
	assert_memory_equal(theirs, mine, SIZE);
	assert_int_equal(madvise(theirs, SIZE, MADV_DONTNEED), 0);
	assert_memory_equal(theirs, mine, SIZE);
	munmap(mine, SIZE);
	munmap(theirs, SIZE);
	close(dmabuf);
	accel_object_close(&accel, handle);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies_to_and_from_udmabuf),
		cmocka_unit_test(test_copies_to_and_from_system_heap),
		cmocka_unit_test(test_copies_to_and_from_second_device),
		cmocka_unit_test(test_scattered_buffer_keeps_its_order),
		cmocka_unit_test(test_import_counts_as_no_device_memory),
		cmocka_unit_test(test_second_import_gives_the_same_handle),
		cmocka_unit_test(test_what_is_no_dmabuf_is_refused),
		cmocka_unit_test(test_exporter_may_go_first),
		cmocka_unit_test(test_importer_may_go_first),
		cmocka_unit_test(test_dmabuf_mapping_is_not_moved_by_the_objects_own),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
