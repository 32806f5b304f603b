// SPDX-License-Identifier: MIT
/*
 * Connections between memories that are no KV pools: of devices, of the process, and
 * dma-bufs of other drivers.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/dma-heap.h>
#include <linux/udmabuf.h>

#include "pair.h"

#include "runtime/xfer_ipc.h"

#define UNIT	512u
#define PAGE	4096ull
/* Not the same on both sides, and no whole pages. */
static const uint64_t units[2] = { 300, 500 };

/* What a memory can be. */
enum source {
	DEVICE,
	HOST,
	UDMABUF,
	HEAP,
	OTHER_DEVICE,
	SOURCES,
};

/**
 * struct part - a memory, and what it is made of
 * @source: what it is
 * @memory: of a device, or its view
 * @owner: what @memory is a view of, if that is memory of the pair's other device
 * @host: of the process
 * @bytes: the memory, mapped
 * @mapped: bytes of that to unmap
 */
struct part {
	enum source source;
	struct tandem_memory *memory;
	struct tandem_memory *owner;
	uint8_t *host;
	uint8_t *bytes;
	uint64_t mapped;
};

/**
 * struct plain - two memories and connections between them
 * @pair: devices; their pools are not used
 * @part: the memories
 * @connection: between them
 */
struct plain {
	struct pair pair;
	struct part part[2];
	struct tandem_connection *connection[2];
};

static struct tandem_connection_options options_of(bool grants)
{
	struct tandem_connection_options options = pair_options();

	options.grants = grants;
	return options;
}

static uint64_t page_bytes(int side)
{
	return (units[side] * UNIT + PAGE - 1) / PAGE * PAGE;
}

/* Return: a dma-buf, or -1 where the kernel has no udmabuf. */
static int make_udmabuf(uint64_t size)
{
	struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC, .size = size };
	int fd = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), dmabuf;

	if (fd < 0)
		return -1;
	create.memfd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	assert_int_equal(ftruncate(create.memfd, size), 0);
	assert_int_equal(fcntl(create.memfd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	dmabuf = ioctl(fd, UDMABUF_CREATE, &create);
	assert_true(dmabuf >= 0);
	close(create.memfd);
	close(fd);
	return dmabuf;
}

/* Return: a dma-buf, or -1 where the kernel has no such heap. */
static int make_heap_buffer(uint64_t size, int mode)
{
	struct dma_heap_allocation_data data = { .len = size, .fd_flags = mode | O_CLOEXEC };
	int fd = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -1;
	assert_int_equal(ioctl(fd, DMA_HEAP_IOCTL_ALLOC, &data), 0);
	close(fd);
	return data.fd;
}

/* Return: a dma-buf, or -1 where the devices have none. */
static int export_other(struct plain *plain, int side)
{
	struct part *part = &plain->part[side];
	int fd;

	assert_int_equal(tandem_memory_alloc_shareable(plain->pair.device[!side], page_bytes(side),
						       &part->owner, NULL), 0);
	if (!strncmp(pair_kind->device[!side], "accel", 5)) {
		fd = tandem_memory_export(part->owner);
		assert_true(fd >= 0);
		return fd;
	}
	tandem_memory_free(part->owner);
	part->owner = NULL;
	return -1;
}

static bool import_dmabuf(struct plain *plain, int side, int fd)
{
	struct part *part = &plain->part[side];
	struct tandem_error error = { 0 };

	if (fd < 0)
		return false;
	part->mapped = page_bytes(side);
	part->bytes = mmap(NULL, part->mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(part->bytes, MAP_FAILED);
	if (tandem_memory_import_dmabuf(plain->pair.device[side], fd, &part->memory, &error) < 0)
		fail_msg("%s: %s", pair_kind->name, error.message);
	assert_int_equal(tandem_memory_size(part->memory), part->mapped);
	close(fd);
	return true;
}

static bool make_host(struct plain *plain, int side)
{
	struct part *part = &plain->part[side];

	part->host = aligned_alloc(PAGE, 2 * page_bytes(side));
	assert_non_null(part->host);
	/* A NIC's addresses lie as the process's in their pages; others need not care. */
	part->bytes = part->host + (pair_kind->transport == TANDEM_TRANSPORT_VERBS ? 0 : 37);
	if (pair_kind->transport != TANDEM_TRANSPORT_LOCAL)
		return true;
	assert_int_equal(tandem_memory_register(plain->pair.device[side], part->bytes,
						units[side] * UNIT, &part->memory, NULL), 0);
	/* Between processes it is refused, see test_registered_stays_here(). */
	return !xfer_ipc_always;
}

static bool make_device(struct plain *plain, int side)
{
	struct part *part = &plain->part[side];
	void *pointer;

	assert_int_equal(tandem_memory_alloc_shareable(plain->pair.device[side],
						       units[side] * UNIT, &part->memory, NULL), 0);
	assert_int_equal(tandem_memory_map(part->memory, &pointer), 0);
	part->bytes = pointer;
	return true;
}

/* Return: is there such a memory? */
static bool part_make(struct plain *plain, int side, enum source source)
{
	plain->part[side] = (struct part){ .source = source };
	switch (source) {
	case DEVICE:
		return make_device(plain, side);
	case HOST:
		return make_host(plain, side);
	case UDMABUF:
		return import_dmabuf(plain, side, make_udmabuf(page_bytes(side)));
	case HEAP:
		return import_dmabuf(plain, side, make_heap_buffer(page_bytes(side), O_RDWR));
	default:
		return import_dmabuf(plain, side, export_other(plain, side));
	}
}

static void part_free(struct part *part)
{
	tandem_memory_free(part->memory);
	tandem_memory_free(part->owner);
	if (part->mapped)
		munmap(part->bytes, part->mapped);
	free(part->host);
	*part = (struct part){ 0 };
}

static struct tandem_xfer_memory describe(struct plain *plain, int side)
{
	struct part *part = &plain->part[side];
	struct tandem_xfer_memory memory = { .length = units[side] * UNIT, .unit = UNIT };

	if (part->memory)
		memory.memory = part->memory;
	else
		memory.pointer = part->bytes;
	return memory;
}

/* With verbs a dma-buf can be out of the NIC's reach, which it has to say. */
static bool connection_open(struct plain *plain, int side, bool grants)
{
	const struct tandem_connection_options options = options_of(grants);
	const struct tandem_xfer_memory memory = describe(plain, side);
	struct tandem_error error = { 0 };
	int ret;

	ret = tandem_connection_open_memory(plain->pair.loop, &memory, &options,
					    &plain->connection[side], &error);
	if (!ret)
		return true;
	if (pair_kind->transport != TANDEM_TRANSPORT_VERBS || ret != -EOPNOTSUPP ||
	    !strstr(error.message, "dma-buf"))
		fail_msg("%s: %s", pair_kind->name, error.message);
	return false;
}

static void fill(struct plain *plain, int side)
{
	for (uint64_t i = 0; i < units[side] * UNIT; i++)
		plain->part[side].bytes[i] = pair_random(&plain->pair, 256);
}

/* Return: can there be such connections? */
static bool connect_memories(struct plain *plain, const enum source sources[2], bool grants)
{
	int side;

	for (side = 0; side < 2; side++) {
		if (!part_make(plain, side, sources[side]) ||
		    !connection_open(plain, side, grants))
			return false;
		fill(plain, side);
	}
	pair_introduce(plain->connection[0], plain->connection[1]);
	pair_introduce(plain->connection[1], plain->connection[0]);
	return true;
}

/* What the connections were of may be freed as soon as they are closed. */
static void disconnect(struct plain *plain)
{
	int side;

	for (side = 0; side < 2; side++) {
		tandem_connection_close(plain->connection[side]);
		plain->connection[side] = NULL;
		part_free(&plain->part[side]);
	}
}

static int setup(void **state)
{
	struct plain *plain = calloc(1, sizeof(*plain));

	assert_non_null(plain);
	pair_open(&plain->pair, pair_layout);
	*state = plain;
	return 0;
}

static int teardown(void **state)
{
	struct plain *plain = *state;

	disconnect(plain);
	pair_close(&plain->pair);
	free(plain);
	return 0;
}

/* Send ranges by a table, and see that these and no others have changed. */
static void send_ranges(struct plain *plain, uint64_t generation, uint32_t transfer)
{
	static const struct tandem_xfer_entry entries[] = {
		{ .local = 0, .remote = 40 * UNIT, .length = 100 * UNIT },
		{ .local = 100 * UNIT, .remote = 140 * UNIT, .length = UNIT },
		{ .local = 299 * UNIT, .remote = 499 * UNIT, .length = UNIT },
		{ .local = 200 * UNIT, .remote = 0, .length = 7 * UNIT },
	};
	struct tandem_operation sent = { 0 };
	struct tandem_push push = { .transfer = transfer, .entry_count = 4,
				    .generation = generation };
	uint64_t bytes = units[1] * UNIT;
	uint8_t *expected = malloc(bytes);
	unsigned int i;

	assert_non_null(expected);
	memcpy(expected, plain->part[1].bytes, bytes);
	for (i = 0; i < 4; i++)
		memcpy(expected + entries[i].remote, plain->part[0].bytes + entries[i].local,
		       entries[i].length);
	assert_int_equal(tandem_xfer_table_create(plain->connection[0], entries, 4, &push.table,
						  NULL), 0);
	assert_int_equal(tandem_push_start(plain->connection[0], &push, &sent), 0);
	tandem_xfer_table_destroy(push.table);
	assert_int_equal(pair_wait(&plain->pair, &sent), 0);
	assert_memory_equal(expected, plain->part[1].bytes, bytes);
	free(expected);
}

/* And back, by a pull: side 0 reads the first units of side 1. */
static void pull_back(struct plain *plain)
{
	const uint32_t count = units[0] - 1;
	const struct tandem_pull pull = {
		.layer_count = 1,
		.block_count = count,
		.local_first = 1,
		.local_stride = 1,
		.remote_stride = 1,
	};
	struct tandem_operation read = { 0 };
	uint8_t first[UNIT];

	memcpy(first, plain->part[0].bytes, UNIT);
	fill(plain, 1);
	assert_int_equal(tandem_pull_start(plain->connection[0], &pull, &read), 0);
	assert_int_equal(pair_wait(&plain->pair, &read), 0);
	assert_memory_equal(plain->part[0].bytes + UNIT, plain->part[1].bytes, count * UNIT);
	assert_memory_equal(plain->part[0].bytes, first, UNIT);
}

static void test_ranges(void **state)
{
	struct tandem_operation received = { 0 };
	unsigned int kind, connected = 0;
	struct plain *plain = *state;

	for (kind = 0; kind < SOURCES * SOURCES; kind++) {
		const enum source sources[2] = { kind % SOURCES, kind / SOURCES };

		if (connect_memories(plain, sources, false)) {
			connected++;
			assert_int_equal(tandem_expect_start(plain->connection[1], 3, 109, 0,
							     &received), 0);
			send_ranges(plain, 0, 3);
			assert_int_equal(pair_wait(&plain->pair, &received), 0);
			pull_back(plain);
		}
		disconnect(plain);
	}
	print_message("# %s: %u pairs of %u kinds of memory\n", pair_kind->name, connected,
		      SOURCES);
	assert_true(connected > 0);
}

static void granted_units(struct plain *plain, enum source goal)
{
	const enum source sources[2] = { DEVICE, goal };
	uint32_t blocks[109], count = 0, i;
	struct tandem_receive receive = { .transfer = 3, .layer_count = 1, .blocks = blocks };
	struct tandem_operation received = { 0 };

	for (i = 40; i < 141; i++)
		blocks[count++] = i;
	for (i = 0; i < 7; i++)
		blocks[count++] = i;
	blocks[count++] = 499;
	receive.block_count = count;
	if (connect_memories(plain, sources, true)) {
		assert_int_equal(tandem_receive_start(plain->connection[1], &receive, &received),
				 0);
		send_ranges(plain, receive.generation, 3);
		assert_int_equal(pair_wait(&plain->pair, &received), 0);
	}
	disconnect(plain);
}

static void test_granted_units(void **state)
{
	for (enum source goal = 0; goal < SOURCES; goal++)
		granted_units(*state, goal);
}

static void test_out_of_range(void **state)
{
	const enum source sources[2] = { DEVICE, DEVICE };
	uint32_t good = 0, local = units[0], remote = units[1];
	struct tandem_push push = { .layer_count = 1, .block_count = 1, .local_blocks = &good,
				    .remote_blocks = &good };
	struct tandem_operation op = { 0 };
	struct plain *plain = *state;

	assert_true(connect_memories(plain, sources, false));
	push.local_blocks = &local;
	assert_int_equal(tandem_push_start(plain->connection[0], &push, &op), -EINVAL);
	push.local_blocks = &good;
	push.remote_blocks = &remote;
	assert_int_equal(tandem_push_start(plain->connection[0], &push, &op), -EINVAL);
	push.remote_blocks = &good;
	push.layer_first = 1;
	assert_int_equal(tandem_push_start(plain->connection[0], &push, &op), -EINVAL);
	push.layer_first = 0;
	assert_int_equal(tandem_push_start(plain->connection[0], &push, &op), 0);
	assert_int_equal(pair_wait(&plain->pair, &op), 0);
}

static void open_refused(struct plain *plain, struct tandem_xfer_memory memory, int code,
			 const char *part)
{
	struct tandem_connection_options options = options_of(false);
	struct tandem_connection *connection;
	struct tandem_error error = { 0 };

	assert_int_equal(tandem_connection_open_memory(plain->pair.loop, &memory, &options,
						       &connection, &error), code);
	assert_non_null(strstr(error.message, part));
}

static void test_refused(void **state)
{
	struct plain *plain = *state;
	struct tandem_xfer_memory good, wrong;

	assert_true(part_make(plain, 0, DEVICE));
	good = describe(plain, 0);
	wrong = good;
	wrong.pointer = plain;
	open_refused(plain, wrong, -EINVAL, "either");
	wrong.pointer = NULL;
	wrong.memory = NULL;
	open_refused(plain, wrong, -EINVAL, "either");
	wrong = good;
	wrong.length = tandem_memory_size(good.memory) + UNIT;
	open_refused(plain, wrong, -EINVAL, "more than");
	wrong.length = 0;
	open_refused(plain, wrong, -EINVAL, "whole");
	wrong.length = UNIT + 2;
	open_refused(plain, wrong, -EINVAL, "whole");
	wrong.length = 513;
	wrong.unit = 513;
	open_refused(plain, wrong, -EINVAL, "even");
	wrong = good;
	wrong.memory = NULL;
	wrong.pointer = plain->part[0].bytes + 2;
	if (pair_kind->transport == TANDEM_TRANSPORT_LOCAL)
		open_refused(plain, wrong, -EOPNOTSUPP, "tcp");
	if (pair_kind->transport == TANDEM_TRANSPORT_VERBS)
		open_refused(plain, wrong, -EINVAL, "page");
}

static void connect_refused(struct tandem_connection *from, struct tandem_connection *to)
{
	uint8_t description[TANDEM_DESCRIPTION_MAX];
	struct tandem_error error = { 0 };
	int size = tandem_connection_describe(from, description, sizeof(description));

	assert_true(size > 0);
	assert_int_equal(tandem_connection_connect(to, description, size, &error), -EINVAL);
	assert_non_null(strstr(error.message, "do not match"));
}

/* What is the process's stays there. */
static void test_registered_stays_here(void **state)
{
	uint8_t description[TANDEM_DESCRIPTION_MAX];
	struct tandem_error error = { 0 };
	struct plain *plain = *state;
	int side, size;

	if (!xfer_ipc_always || pair_kind->transport != TANDEM_TRANSPORT_LOCAL)
		return;
	for (side = 0; side < 2; side++) {
		part_make(plain, side, HOST);
		assert_true(connection_open(plain, side, false));
	}
	size = tandem_connection_describe(plain->connection[0], description, sizeof(description));
	assert_true(size > 0);
	assert_int_equal(tandem_connection_connect(plain->connection[1], description, size,
						   &error), -EOPNOTSUPP);
	if (!strstr(error.message, "cannot be shown to another"))
		fail_msg("%s", error.message);
}

/* A pool is not taken for memory, nor one unit for another. */
static void test_mismatch(void **state)
{
	struct tandem_connection_options options = options_of(false);
	struct plain *plain = *state;
	struct tandem_xfer_memory memory;
	struct tandem_connection *of_pool = pair_connection(&plain->pair, 1);
	int side;

	for (side = 0; side < 2; side++) {
		assert_true(part_make(plain, side, DEVICE));
		memory = describe(plain, side);
		memory.unit = side ? UNIT / 2 : UNIT;
		assert_int_equal(tandem_connection_open_memory(plain->pair.loop, &memory,
							       &options,
							       &plain->connection[side], NULL),
				 0);
	}
	connect_refused(of_pool, plain->connection[0]);
	connect_refused(plain->connection[0], of_pool);
	connect_refused(plain->connection[1], plain->connection[0]);
	tandem_connection_close(of_pool);
}

static void test_no_dmabuf(void **state)
{
	int file = memfd_create("test", MFD_CLOEXEC), none = -1;
	struct tandem_error error = { 0 };
	struct tandem_memory *memory;
	struct plain *plain = *state;

	assert_int_equal(ftruncate(file, PAGE), 0);
	assert_int_equal(tandem_memory_import_dmabuf(plain->pair.device[0], file, &memory, &error),
			 -EINVAL);
	assert_non_null(strstr(error.message, "no dma-buf"));
	assert_int_equal(tandem_memory_import_dmabuf(plain->pair.device[0], none, &memory, NULL),
			 -EINVAL);
	close(file);
}

static void test_dmabuf_for_reading(void **state)
{
	const int dmabuf = make_heap_buffer(PAGE, O_RDONLY);
	struct tandem_error error = { 0 };
	struct tandem_memory *memory;
	struct plain *plain = *state;

	if (dmabuf < 0) {
		print_message("# skip: the kernel has no system dma-heap\n");
		skip();
	}
	assert_int_equal(tandem_memory_import_dmabuf(plain->pair.device[0], dmabuf, &memory,
						     &error), -EACCES);
	assert_non_null(strstr(error.message, "for reading only"));
	close(dmabuf);
}

static void test_no_pool_of_bytes(void **state)
{
	struct tandem_kv_layout layout = { .type = 24, .layers = 1, .kv_width = 64,
					   .block_tokens = 1, .blocks = 4 };
	struct plain *plain = *state;
	struct tandem_kv_pool *pool;

	assert_int_equal(tandem_kv_pool_create(plain->pair.device[0], &layout, &pool, NULL),
			 -EINVAL);
}

int main(void)
{
#define MEMORY_TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		MEMORY_TEST(test_ranges),
		MEMORY_TEST(test_granted_units),
		MEMORY_TEST(test_out_of_range),
		MEMORY_TEST(test_refused),
		MEMORY_TEST(test_registered_stays_here),
		MEMORY_TEST(test_mismatch),
		MEMORY_TEST(test_no_dmabuf),
		MEMORY_TEST(test_dmabuf_for_reading),
		MEMORY_TEST(test_no_pool_of_bytes),
	};
#undef MEMORY_TEST
	int failed = 0;

	for (pair_kind = pair_kinds; pair_kind->name; pair_kind++)
		failed += cmocka_run_group_tests_name(pair_kind->name, tests, NULL, NULL);
	return failed != 0;
}
