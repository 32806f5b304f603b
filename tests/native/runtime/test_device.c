// SPDX-License-Identifier: MIT
/*
 * Devices and their memory, the same for every kind of device.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices.h"
#include "runtime/device.h"

#define PAGE_BYTES	4096ull
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static uint64_t memory_used(struct tandem_device *device)
{
	struct tandem_device_info info;

	assert_int_equal(tandem_device_get_info(device, &info), 0);
	return info.memory_used;
}

static void test_info(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_device_info info;
	struct tandem_memory *memory;
	uint64_t used;

	assert_int_equal(tandem_device_get_info(fixture->device, &info), 0);
	assert_string_equal(info.name, fixture->name);
	assert_true(*info.profile);
	assert_true(info.role <= TANDEM_ROLE_DECODE);
	assert_true(info.copy_queues >= 1);
	assert_true(info.compute_queues >= 1);
	assert_true(info.memory_size >= PAGE_BYTES);
	assert_int_equal(info.memory_size % PAGE_BYTES, 0);
	assert_true(info.profile_memory_bandwidth > 0);
	assert_false(tandem_device_is_lost(fixture->device));

	used = info.memory_used;
	memory = alloc_memory(fixture->device, 10 * PAGE_BYTES);
	assert_int_equal(memory_used(fixture->device), used + 10 * PAGE_BYTES);
	tandem_memory_free(memory);
	assert_int_equal(memory_used(fixture->device), used);
}

static void test_names_that_are_none(void **state)
{
	static const struct {
		const char *name;
		int code;
		const char *says;
	} cases[] = {
		{ "accel99", -ENODEV, "/dev/accel/accel99: no such device" },
		{ "/dev/accel/accel99", -ENODEV, "no such device" },
		{ "accel", -EINVAL, "accelN" },
		{ "accel1x", -EINVAL, "accelN" },
		{ "accel../null", -EINVAL, "accelN" },
		{ "", -EINVAL, "inproc:PROFILE" },
		{ "gpu0", -EINVAL, "gpu0" },
		{ "inproc", -EINVAL, "inproc:PROFILE" },
		{ "inproc:", -EINVAL, "there are trn2" },
		{ "inproc:z80", -EINVAL, "z80" },
		{ "inproc:trn2,", -EINVAL, "unknown option" },
		{ "inproc:trn2,mem", -EINVAL, "mem=SIZE" },
		{ "inproc:trn2,mem=", -EINVAL, "512M" },
		{ "inproc:trn2,mem=0", -EINVAL, "512M" },
		{ "inproc:trn2,mem=-1", -EINVAL, "512M" },
		{ "inproc:trn2,mem=1X", -EINVAL, "512M" },
		{ "inproc:trn2,mem=1MB", -EINVAL, "512M" },
		{ "inproc:trn2,mem=2T", -EINVAL, "512M" },
		{ "inproc:trn2,mem=99999999999T", -EINVAL, "512M" },
		{ "inproc:trn2,mem=99999999999999999999", -EINVAL, "512M" },
		{ "inproc:trn2,sram=0", -EINVAL, "sram=0 is not a size" },
		{ "inproc:trn2,sram=2T", -EINVAL, "sram=2T is not a size" },
		{ "inproc:wse3,sram=1M", -EINVAL, "SRAM" },
		{ "inproc:trn2,cores=0", -EINVAL, "1 to 256" },
		{ "inproc:trn2,cores=257", -EINVAL, "1 to 256" },
		{ "inproc:trn2,cores=2x", -EINVAL, "1 to 256" },
		{ "inproc:trn2,cores= 2", -EINVAL, "1 to 256" },
		{ "inproc:trn2,speed=2", -EINVAL, "speed=2" },
		{ "inproc:a-name-that-is-longer-than-the-sixty-four-bytes-it-may-have", -EINVAL,
		  "too long" },
	};
	struct fixture *fixture = *state;
	struct tandem_device *device;
	struct tandem_error error;
	size_t i;

	for (i = 0; i < COUNT(cases); i++) {
		memset(&error, 0, sizeof(error));
		assert_int_equal(tandem_device_open(fixture->loop, cases[i].name, &device, &error),
				 cases[i].code);
		assert_int_equal(error.code, cases[i].code);
		if (!strstr(error.message, cases[i].says))
			fail_msg("\"%s\" gave: %s", cases[i].name, error.message);
		/* Nobody has to want the words. */
		assert_int_equal(tandem_device_open(fixture->loop, cases[i].name, &device, NULL),
				 cases[i].code);
	}
}

static void test_list(void **state)
{
	struct fixture *fixture = *state;
	char names[16][64];
	bool found = false;
	int count, i;

	count = tandem_device_list(names, COUNT(names));
	assert_true(count >= 0);
	assert_int_equal(tandem_device_list(NULL, 0), count);
	for (i = 0; i < count && i < (int)COUNT(names); i++)
		found |= !strcmp(names[i], fixture->name);
	assert_int_equal(found, !fixture->inproc);
}

static void test_memory_sizes(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *memory;
	struct tandem_error error;

	memory = alloc_memory(fixture->device, 1);
	assert_int_equal(tandem_memory_size(memory), PAGE_BYTES);
	assert_ptr_equal(tandem_memory_device(memory), fixture->device);
	tandem_memory_free(memory);
	memory = alloc_memory(fixture->device, PAGE_BYTES + 1);
	assert_int_equal(tandem_memory_size(memory), 2 * PAGE_BYTES);
	tandem_memory_free(memory);
	tandem_memory_free(NULL);

	assert_int_equal(tandem_memory_alloc(fixture->device, 0, &memory, &error), -EINVAL);
	assert_int_equal(tandem_memory_alloc(fixture->device, UINT64_MAX, &memory, &error),
			 -EINVAL);
	assert_int_equal(tandem_memory_alloc(fixture->device, 1ull << 62, &memory, &error),
			 -ENOSPC);
}

static void test_memory_full(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *memory, *rest;
	struct tandem_device_info info;
	struct tandem_error error;
	uint64_t left;

	assert_int_equal(tandem_device_get_info(fixture->device, &info), 0);
	left = info.memory_size - info.memory_used;
	assert_int_equal(tandem_memory_alloc(fixture->device, left + 1, &memory, &error), -ENOSPC);
	assert_non_null(strstr(error.message, fixture->name));

	memory = alloc_memory(fixture->device, PAGE_BYTES);
	assert_int_equal(tandem_memory_alloc(fixture->device, left, &rest, &error), -ENOSPC);
	tandem_memory_free(memory);
	assert_int_equal(memory_used(fixture->device), info.memory_used);
}

/* Holes are found again, and nothing overlaps. */
static void test_memory_reuse(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *memory[16];
	uint8_t *bytes;
	void *pointer;
	unsigned int i, round;

	for (i = 0; i < COUNT(memory); i++)
		memory[i] = alloc_memory(fixture->device, (i % 3 + 1) * PAGE_BYTES);
	for (round = 0; round < 50; round++) {
		for (i = 0; i < COUNT(memory); i++) {
			assert_int_equal(tandem_memory_map(memory[i], &pointer), 0);
			memset(pointer, i + 1, tandem_memory_size(memory[i]));
		}
		for (i = 0; i < COUNT(memory); i++) {
			assert_int_equal(tandem_memory_map(memory[i], &pointer), 0);
			assert_true(all_bytes_are(pointer, tandem_memory_size(memory[i]), i + 1));
		}
		for (i = round % 3; i < COUNT(memory); i += 3)
			tandem_memory_free(memory[i]);
		for (i = round % 3; i < COUNT(memory); i += 3) {
			memory[i] = alloc_memory(fixture->device,
						 ((i + round) % 5 + 1) * PAGE_BYTES);
			assert_int_equal(tandem_memory_map(memory[i], &pointer), 0);
			bytes = pointer;
			assert_true(all_bytes_are(bytes, tandem_memory_size(memory[i]), 0));
		}
	}
	for (i = 0; i < COUNT(memory); i++)
		tandem_memory_free(memory[i]);
}

static void test_memory_is_zeroed(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t size = 1 << 20;
	struct tandem_operation op = { 0 };
	struct tandem_memory *memory;
	uint8_t *bytes = malloc(size);
	unsigned int round;

	for (round = 0; round < 4; round++) {
		memory = alloc_memory(fixture->device, size);
		memset(bytes, 0xaa, size);
		download(fixture, bytes, memory, 0, size);
		assert_true(all_bytes_are(bytes, size, 0));
		assert_int_equal(tandem_fill(fixture->copy, memory, 0, size, 0xdeadbeef, &op), 0);
		assert_int_equal(wait_for(fixture, &op), 0);
		tandem_memory_free(memory);
	}
	free(bytes);
}

/* Offsets and lengths about which an engine could be wrong. */
static const uint32_t odd_lengths[] = {
	1, 2, 3, 7, 63, 64, 65, 4095, 4096, 4097, 65537, (1 << 20) + 7,
};
static const uint32_t odd_offsets[] = { 0, 1, 3, 63, 4095, 4096 };

static void test_upload_download(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t size = 2 << 20;
	struct tandem_memory *memory = alloc_memory(fixture->device, size);
	uint8_t *from = malloc(size);
	uint8_t *to = malloc(size);
	uint8_t *mapped;
	void *pointer;
	size_t i, j;

	assert_int_equal(tandem_memory_map(memory, &pointer), 0);
	mapped = pointer;
	for (i = 0; i < COUNT(odd_offsets); i++) {
		for (j = 0; j < COUNT(odd_lengths); j++) {
			uint32_t offset = odd_offsets[i];
			uint32_t length = odd_lengths[j];

			memset(mapped, 0x55, size);
			make_pattern(from, size, i * 100 + j);
			/* Unlike offsets on both sides. */
			upload(fixture, memory, offset, from + j, length);
			assert_true(all_bytes_are(mapped, offset, 0x55));
			assert_memory_equal(mapped + offset, from + j, length);
			assert_true(all_bytes_are(mapped + offset + length,
						  PAGE_BYTES, 0x55));
			memset(to, 0x77, size);
			download(fixture, to + i, memory, offset, length);
			assert_true(all_bytes_are(to, i, 0x77));
			assert_memory_equal(to + i, from + j, length);
			assert_true(all_bytes_are(to + i + length, PAGE_BYTES, 0x77));
		}
	}
	free(to);
	free(from);
	tandem_memory_free(memory);
}

static void test_copy(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t size = 2 << 20;
	struct tandem_memory *source = alloc_memory(fixture->device, size);
	struct tandem_memory *destination = alloc_memory(fixture->device, size);
	struct tandem_operation op = { 0 };
	uint8_t *from, *to;
	void *pointer;
	size_t i, j;

	assert_int_equal(tandem_memory_map(source, &pointer), 0);
	from = pointer;
	assert_int_equal(tandem_memory_map(destination, &pointer), 0);
	to = pointer;
	make_pattern(from, size, 1);
	for (i = 0; i < COUNT(odd_offsets); i++) {
		for (j = 0; j < COUNT(odd_lengths); j++) {
			uint32_t offset = odd_offsets[i];
			uint32_t length = odd_lengths[j];

			memset(to, 0x55, size);
			assert_int_equal(tandem_copy(fixture->compute, destination, offset, source,
						     j, length, &op), 0);
			assert_int_equal(wait_for(fixture, &op), 0);
			assert_true(all_bytes_are(to, offset, 0x55));
			assert_memory_equal(to + offset, from + j, length);
			assert_true(all_bytes_are(to + offset + length, PAGE_BYTES, 0x55));
		}
	}
	tandem_memory_free(destination);
	tandem_memory_free(source);
}

static void test_fill(void **state)
{
	static const uint32_t lengths[] = { 4, 8, 60, 64, 68, 4092, 4096, 4100, 1 << 20 };
	struct fixture *fixture = *state;
	const uint64_t size = 2 << 20;
	struct tandem_memory *memory = alloc_memory(fixture->device, size);
	struct tandem_operation op = { 0 };
	uint32_t *words;
	void *pointer;
	size_t i, j;

	assert_int_equal(tandem_memory_map(memory, &pointer), 0);
	words = pointer;
	for (i = 0; i < COUNT(lengths); i++) {
		memset(words, 0x55, size);
		assert_int_equal(tandem_fill(fixture->copy, memory, 12, lengths[i],
					     0x01020304, &op), 0);
		assert_int_equal(wait_for(fixture, &op), 0);
		for (j = 0; j < lengths[i] / 4; j++)
			assert_int_equal(words[3 + j], 0x01020304);
		assert_int_equal(words[2], 0x55555555);
		assert_int_equal(words[3 + lengths[i] / 4], 0x55555555);
	}
	tandem_memory_free(memory);
}

/* A user copy longer than one command takes comes in pieces. */
static void test_upload_in_pieces(void **state)
{
	struct fixture *fixture = *state;
	const uint32_t length = 1000003;
	struct tandem_memory *memory = alloc_memory(fixture->device, length);
	struct tandem_operation ops[3] = { 0 };
	uint8_t *from = malloc(length);
	uint8_t *to = malloc(length);

	fixture->device->user_copy_max = 4096;
	make_pattern(from, length, 9);
	assert_int_equal(tandem_upload(fixture->copy, memory, 0, from, length, &ops[0]), 0);
	assert_int_equal(tandem_download(fixture->copy, to, memory, 0, length, &ops[1]), 0);
	assert_int_equal(wait_for(fixture, &ops[1]), 0);
	assert_false(ops[0].pending);
	assert_int_equal(ops[0].result, 0);
	assert_true(ops[0].device_ns > 0);
	assert_memory_equal(to, from, length);

	/* The pieces up to the end of the memory are fine, the others are not. */
	assert_int_equal(tandem_upload(fixture->copy, memory, 100000, from, length, &ops[0]), 0);
	assert_int_equal(wait_for(fixture, &ops[0]), -EACCES);

	assert_int_equal(tandem_upload(fixture->copy, memory, 0, from, length, &ops[2]), 0);
	assert_int_equal(tandem_cancel(fixture->loop, &ops[2]), 0);
	assert_true(wait_for(fixture, &ops[2]) == 0 || ops[2].result == -ECANCELED);
	free(to);
	free(from);
	tandem_memory_free(memory);
}

static void test_out_of_bounds(void **state)
{
	static const struct {
		uint64_t offset;
		uint64_t length;
	} cases[] = {
		{ 0, 2 * PAGE_BYTES + 4 },
		{ 4, 2 * PAGE_BYTES },
		{ 2 * PAGE_BYTES, 4 },
		{ 2 * PAGE_BYTES + 4, 4 },
		{ UINT64_MAX - 3, 4 },
		{ UINT64_MAX - 3, 8 },
		{ 8, UINT64_MAX - 7 },
		{ 1ull << 63, 1ull << 63 },
	};
	struct fixture *fixture = *state;
	struct tandem_memory *before = alloc_memory(fixture->device, 16 * PAGE_BYTES);
	struct tandem_memory *memory = alloc_memory(fixture->device, 2 * PAGE_BYTES);
	struct tandem_memory *after = alloc_memory(fixture->device, 16 * PAGE_BYTES);
	struct tandem_operation op = { 0 };
	uint8_t byte = 0;
	void *pointer;
	size_t i;

	for (i = 0; i < COUNT(cases); i++) {
		assert_int_equal(tandem_fill(fixture->copy, memory, cases[i].offset,
					     cases[i].length, ~0u, &op), 0);
		assert_int_equal(wait_for(fixture, &op), -EACCES);
		assert_int_equal(tandem_copy(fixture->copy, memory, cases[i].offset, before, 0,
					     cases[i].length, &op), 0);
		assert_int_equal(wait_for(fixture, &op), -EACCES);
		assert_int_equal(tandem_copy(fixture->copy, after, 0, memory, cases[i].offset,
					     cases[i].length, &op), 0);
		assert_int_equal(wait_for(fixture, &op), -EACCES);
	}
	assert_int_equal(tandem_upload(fixture->copy, memory, 2 * PAGE_BYTES, &byte, 1, &op), 0);
	assert_int_equal(wait_for(fixture, &op), -EACCES);
	assert_int_equal(tandem_download(fixture->copy, &byte, memory, 2 * PAGE_BYTES, 1, &op), 0);
	assert_int_equal(wait_for(fixture, &op), -EACCES);
	assert_int_equal(tandem_exec(fixture->compute, memory, PAGE_BYTES, PAGE_BYTES + 1, &op), 0);
	assert_int_equal(wait_for(fixture, &op), -EACCES);

	/* Nothing was written, and the queue goes on. */
	assert_int_equal(tandem_memory_map(before, &pointer), 0);
	assert_true(all_bytes_are(pointer, 16 * PAGE_BYTES, 0));
	assert_int_equal(tandem_memory_map(memory, &pointer), 0);
	assert_true(all_bytes_are(pointer, 2 * PAGE_BYTES, 0));
	assert_int_equal(tandem_memory_map(after, &pointer), 0);
	assert_true(all_bytes_are(pointer, 16 * PAGE_BYTES, 0));
	assert_int_equal(tandem_fill(fixture->copy, memory, 0, 2 * PAGE_BYTES, 1, &op), 0);
	assert_int_equal(wait_for(fixture, &op), 0);
	tandem_memory_free(after);
	tandem_memory_free(memory);
	tandem_memory_free(before);
}

static void test_wrong_arguments(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *memory = alloc_memory(fixture->device, PAGE_BYTES);
	struct tandem_memory *foreign = alloc_memory(fixture->peer, PAGE_BYTES);
	struct tandem_operation op = { 0 };
	struct tandem_queue *queue;
	uint8_t bytes[8] = { 0 };

	assert_int_equal(tandem_fill(fixture->copy, memory, 2, 4, 0, &op), -EINVAL);
	assert_int_equal(tandem_fill(fixture->copy, memory, 0, 6, 0, &op), -EINVAL);
	assert_int_equal(tandem_fill(fixture->copy, memory, 0, 0, 0, &op), -EINVAL);
	assert_int_equal(tandem_fill(fixture->copy, foreign, 0, 4, 0, &op), -EINVAL);
	assert_int_equal(tandem_copy(fixture->copy, memory, 0, memory, 0, 0, &op), -EINVAL);
	assert_int_equal(tandem_copy(fixture->copy, memory, 0, foreign, 0, 4, &op), -EINVAL);
	assert_int_equal(tandem_copy(fixture->copy, foreign, 0, memory, 0, 4, &op), -EINVAL);
	assert_int_equal(tandem_upload(fixture->copy, memory, 0, bytes, 0, &op), -EINVAL);
	assert_int_equal(tandem_upload(fixture->copy, foreign, 0, bytes, 4, &op), -EINVAL);
	assert_int_equal(tandem_upload(fixture->copy, memory, 8, bytes, UINT64_MAX - 4, &op),
			 -EINVAL);
	assert_int_equal(tandem_download(fixture->copy, bytes, memory, 0, 0, &op), -EINVAL);
	assert_int_equal(tandem_download(fixture->copy, bytes, foreign, 0, 4, &op), -EINVAL);
	assert_int_equal(tandem_exec(fixture->copy, memory, 0, 64, &op), -EINVAL);
	assert_int_equal(tandem_exec(fixture->compute, foreign, 0, 64, &op), -EINVAL);
	assert_int_equal(tandem_exec(fixture->compute, memory, 0, 0, &op), -EINVAL);
	assert_int_equal(tandem_queue_open(fixture->device, 7, &queue, NULL), -EINVAL);
	assert_false(op.pending);

	/* Zeros are no program. */
	assert_int_equal(tandem_exec(fixture->compute, memory, 0, PAGE_BYTES, &op), 0);
	assert_int_equal(tandem_nop(fixture->compute, &op), -EINVAL);
	assert_int_equal(wait_for(fixture, &op), -EINVAL);
	tandem_memory_free(foreign);
	tandem_memory_free(memory);
}

/* A command as a program that forges region numbers would send it. */
static int forged_fill(struct fixture *fixture, uint32_t region)
{
	struct device_command command = {
		.opcode = DEVICE_FILL,
		.dst_region = region,
		.length = 4,
	};
	struct tandem_operation op = { 0 };

	assert_int_equal(fixture->copy->device->ops->submit(fixture->copy, &command, &op), 0);
	return wait_for(fixture, &op);
}

static void test_openings_are_isolated(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *mine, *theirs;
	struct tandem_device *other;
	uint32_t region, i;
	void *pointer;

	assert_int_equal(tandem_device_open(fixture->loop, fixture->name, &other, NULL), 0);
	/* The other opening has regions of numbers that this one lacks. */
	mine = alloc_memory(fixture->device, PAGE_BYTES);
	for (i = 0; i < 4; i++) {
		theirs = alloc_memory(other, PAGE_BYTES);
		region = tandem_memory_region(theirs);
		if (region != tandem_memory_region(mine))
			assert_int_equal(forged_fill(fixture, region), -EACCES);
		assert_int_equal(tandem_memory_map(theirs, &pointer), 0);
		assert_true(all_bytes_are(pointer, PAGE_BYTES, 0));
		tandem_memory_free(theirs);
	}
	assert_int_equal(forged_fill(fixture, tandem_memory_region(mine)), 0);
	region = tandem_memory_region(mine);
	tandem_memory_free(mine);
	assert_int_equal(forged_fill(fixture, region), -EACCES);
	assert_int_equal(forged_fill(fixture, 1000), -EACCES);
	assert_int_equal(forged_fill(fixture, 0x7fffffff), -EACCES);
	tandem_device_close(other);
}

static void test_share(void **state)
{
	struct fixture *fixture = *state;
	const uint32_t length = 300001;
	struct tandem_memory *theirs = alloc_memory(fixture->peer, length);
	struct tandem_memory *mine = alloc_memory(fixture->device, length);
	struct tandem_operation op = { 0 };
	struct tandem_memory *shared;
	struct tandem_error error = { 0 };
	uint8_t *from;
	void *pointer;

	if (tandem_memory_share(theirs, fixture->device, &shared, &error) < 0)
		fail_msg("%s", error.message);
	assert_ptr_equal(tandem_memory_device(shared), fixture->device);
	assert_int_equal(tandem_memory_size(shared), tandem_memory_size(theirs));

	/* This device writes into the other's memory … */
	assert_int_equal(tandem_memory_map(mine, &pointer), 0);
	from = pointer;
	make_pattern(from, length, 5);
	assert_int_equal(tandem_copy(fixture->copy, shared, 0, mine, 0, length, &op), 0);
	assert_int_equal(wait_for(fixture, &op), 0);
	assert_int_equal(tandem_memory_map(theirs, &pointer), 0);
	assert_memory_equal(pointer, from, length);
	assert_int_equal(tandem_memory_map(shared, &pointer), 0);
	assert_memory_equal(pointer, from, length);

	/* … and sees what the other writes, but nothing beyond it. */
	assert_int_equal(tandem_fill(fixture->peer_copy, theirs, 0, 4096, 0x07070707, &op), 0);
	assert_int_equal(wait_for(fixture, &op), 0);
	assert_int_equal(tandem_copy(fixture->copy, mine, 0, shared, 0, length, &op), 0);
	assert_int_equal(wait_for(fixture, &op), 0);
	assert_true(all_bytes_are(from, 4096, 7));
	assert_int_equal(tandem_fill(fixture->copy, shared, tandem_memory_size(shared), 4, 0, &op),
			 0);
	assert_int_equal(wait_for(fixture, &op), -EACCES);
	tandem_memory_free(shared);
	tandem_memory_free(mine);
	tandem_memory_free(theirs);
}

/* A view keeps what it shows, and may be freed before or after the rest. */
static void test_share_frees_in_any_order(void **state)
{
	struct fixture *fixture = *state;
	uint64_t used = memory_used(fixture->peer);
	struct tandem_operation op = { 0 };
	struct tandem_memory *memory, *views[3];
	uint8_t byte = 0x5a;
	unsigned int i;
	void *pointer;

	memory = alloc_memory(fixture->peer, 8 * PAGE_BYTES);
	for (i = 0; i < 3; i++)
		assert_int_equal(tandem_memory_share(memory, fixture->device, &views[i], NULL), 0);
	upload(fixture, views[0], 5, &byte, 1);
	tandem_memory_free(views[1]);
	tandem_memory_free(memory);
	byte = 0;
	download(fixture, &byte, views[0], 5, 1);
	assert_int_equal(byte, 0x5a);
	tandem_memory_free(views[0]);
	assert_int_equal(tandem_fill(fixture->copy, views[2], 0, PAGE_BYTES, 3, &op), 0);
	assert_int_equal(wait_for(fixture, &op), 0);
	assert_int_equal(memory_used(fixture->peer), used + 8 * PAGE_BYTES);
	tandem_memory_free(views[2]);
	assert_int_equal(memory_used(fixture->peer), used);

	memory = alloc_memory(fixture->peer, 8 * PAGE_BYTES);
	assert_int_equal(tandem_memory_map(memory, &pointer), 0);
	assert_true(all_bytes_are(pointer, 8 * PAGE_BYTES, 0));
	tandem_memory_free(memory);
}

static void test_share_with_itself(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *memory = alloc_memory(fixture->device, PAGE_BYTES);
	struct tandem_operation op = { 0 };
	struct tandem_memory *view;
	uint8_t byte = 7;

	assert_int_equal(tandem_memory_share(memory, fixture->device, &view, NULL), 0);
	upload(fixture, memory, 9, &byte, 1);
	byte = 0;
	download(fixture, &byte, view, 9, 1);
	assert_int_equal(byte, 7);
	tandem_memory_free(view);
	/* The original is as good as before. */
	assert_int_equal(tandem_fill(fixture->copy, memory, 0, PAGE_BYTES, 3, &op), 0);
	assert_int_equal(wait_for(fixture, &op), 0);
	tandem_memory_free(memory);
}

/* The view survives the device that it is of. */
static void test_share_outlives_device(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *memory, *view;
	struct tandem_device *other;
	uint8_t byte = 0x5a;

	assert_int_equal(tandem_device_open(fixture->loop, fixture->peer_name, &other, NULL), 0);
	memory = alloc_memory(other, PAGE_BYTES);
	assert_int_equal(tandem_memory_share(memory, fixture->device, &view, NULL), 0);
	upload(fixture, view, 0, &byte, 1);
	tandem_memory_free(memory);
	tandem_device_close(other);
	byte = 0;
	download(fixture, &byte, view, 0, 1);
	assert_int_equal(byte, 0x5a);
	tandem_memory_free(view);
}

/* Another process's view, but that it is the same process here. */
static void test_import(void **state)
{
	const uint64_t length = 5 * PAGE_BYTES;
	struct fixture *fixture = *state;
	struct tandem_memory *theirs, *imported, *none;
	struct tandem_operation op = { 0 };
	struct tandem_error error = { 0 };
	uint8_t bytes[5 * PAGE_BYTES];
	int fd, other;

	assert_int_equal(tandem_memory_alloc_shareable(fixture->peer, length, &theirs, NULL), 0);
	fd = tandem_memory_export(theirs);
	assert_true(fd >= 0);
	if (tandem_memory_import(fixture->device, fd, length, &imported, &error) < 0)
		fail_msg("%s", error.message);
	assert_int_equal(tandem_memory_size(imported), length);
	assert_ptr_equal(tandem_memory_device(imported), fixture->device);

	/* It shows what the other device writes, also before it was imported. */
	assert_int_equal(tandem_fill(fixture->peer_copy, theirs, 8, 4096, 0x07070707, &op), 0);
	assert_int_equal(wait_for(fixture, &op), 0);
	download(fixture, bytes, imported, 0, length);
	assert_true(all_bytes_are(bytes, 8, 0));
	assert_true(all_bytes_are(bytes + 8, 4096, 7));
	assert_true(all_bytes_are(bytes + 8 + 4096, length - 8 - 4096, 0));

	/* This device does not write there. */
	assert_int_equal(tandem_fill(fixture->copy, imported, 0, 4, 1, &op), 0);
	assert_int_equal(wait_for(fixture, &op), -EACCES);

	/* It lasts as long as somebody has it. */
	tandem_memory_free(theirs);
	download(fixture, bytes, imported, 0, length);
	assert_true(all_bytes_are(bytes + 8, 4096, 7));
	tandem_memory_free(imported);

	assert_true(tandem_memory_import(fixture->device, fd, length + PAGE_BYTES, &none,
					 &error) < 0);
	assert_non_null(strstr(error.message, fixture->name));
	assert_int_equal(tandem_memory_import(fixture->device, fd, length - 1, &none, NULL),
			 -EINVAL);
	other = open("/dev/zero", O_RDWR | O_CLOEXEC);
	assert_true(other >= 0);
	assert_true(tandem_memory_import(fixture->device, other, length, &none, NULL) < 0);
	close(other);
	close(fd);
}

static void test_export(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *memory = alloc_memory(fixture->device, PAGE_BYTES);
	int fd = tandem_memory_export(memory);

	if (fixture->inproc) {
		assert_int_equal(fd, -EOPNOTSUPP);
	} else {
		assert_true(fd >= 0);
		close(fd);
	}
	tandem_memory_free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_names_that_are_none),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_memory_sizes),
		cmocka_unit_test(test_memory_full),
		cmocka_unit_test(test_memory_reuse),
		cmocka_unit_test(test_memory_is_zeroed),
		cmocka_unit_test(test_upload_download),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_upload_in_pieces),
		cmocka_unit_test(test_out_of_bounds),
		cmocka_unit_test(test_wrong_arguments),
		cmocka_unit_test(test_openings_are_isolated),
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_share_frees_in_any_order),
		cmocka_unit_test(test_share_with_itself),
		cmocka_unit_test(test_share_outlives_device),
		cmocka_unit_test(test_export),
		cmocka_unit_test(test_import),
	};

	return run_on_devices("device", tests, COUNT(tests));
}
