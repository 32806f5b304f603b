// SPDX-License-Identifier: MIT
/*
 * Descriptions come from other processes: whatever the bytes are, they are
 * taken in right or refused with a reason.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/kv.h"
#include "runtime/xfer.h"
#include "runtime/xfer_verbs.h"

/* Two rails, three pairs of each. */
#define PART_BYTES	(32 + 2 * 32 + 6 * 8)
#define TOTAL_BYTES	(40 + PART_BYTES + 4)

/* Where the fields are, restated on purpose: the layout is an ABI. */
enum {
	AT_VERSION = 4,
	AT_TRANSPORT = 6,
	AT_SIZE = 8,
	AT_TYPE = 12,
	AT_LAYERS = 16,
	AT_KV_WIDTH = 20,
	AT_BLOCK_TOKENS = 24,
	AT_BLOCKS = 28,
	AT_FLAGS = 32,
	AT_PART_SIZE = 36,
	AT_PART = 40,
};

/* As in xfer_verbs_endpoint.c. */
enum {
	PART_WRITE_BYTES = 24,
	PART_VERSION = 28,
	PART_RAIL_COUNT = 30,
	PART_RAIL_PAIRS = 31,
	PART_RAIL = 32,
	PART_MTU = 22,
	PART_READS = 24,
	PART_RAIL_ZERO = 26,
	PART_PAIRS = 32 + 2 * 32,
};

static const struct verbs_endpoint endpoint = {
	.address = 0x1122334455667788ull,
	.length = 1 << 20,
	.write_bytes = 1 << 20,
	.rail_count = 2,
	.rail_pairs = 3,
	.rails = {
		{
			.rkey = 0xdeadbeef,
			.lid = 0x9876,
			.mtu = IBV_MTU_4096,
			.link_layer = IBV_LINK_LAYER_ETHERNET,
			.reads = 16,
			.gid.raw = { [10] = 0xff, 0xff, 10, 77, 0, 1 },
		},
		{
			.rkey = 0xfeedface,
			.mtu = IBV_MTU_1024,
			.link_layer = IBV_LINK_LAYER_ETHERNET,
			.reads = 1,
			.gid.raw = { [10] = 0xff, 0xff, 10, 77, 1, 1 },
		},
	},
	.pairs = { { 0xfedcba, 0x123456 }, { 1, 2 }, { 3, 4 }, { 5, 6 }, { 7, 8 }, { 9, 10 } },
};

static void make_description(uint8_t *bytes)
{
	struct xfer_description description = {
		.transport = TANDEM_TRANSPORT_VERBS,
		.layout = {
			.type = 1,
			.layers = 5,
			.kv_width = 32,
			.block_tokens = 16,
			.blocks = 77,
		},
		.checksums = true,
		.part_size = PART_BYTES,
	};

	assert_int_equal(verbs_endpoint_encode(&endpoint, description.part), PART_BYTES);
	assert_int_equal(xfer_description_encode(&description, bytes, TOTAL_BYTES), TOTAL_BYTES);
}

/* Bit by bit; the polynomial of RFC 3720, appendix B.4. */
static uint32_t crc32c(const uint8_t *bytes, size_t size)
{
	uint32_t crc = UINT32_MAX;
	size_t i;

	for (i = 0; i < size * 8; i++) {
		uint32_t bit = bytes[i / 8] >> i % 8 & 1;

		crc = (crc ^ bit) & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
	}
	return crc ^ UINT32_MAX;
}

/* As one would who means harm. */
static void seal(uint8_t *bytes, size_t size)
{
	xfer_put32(bytes + size - 4, crc32c(bytes, size - 4));
}

/*
 * Decode from a buffer of exactly @size, so that the sanitizer sees a read
 * beyond it.
 */
static int decode(const uint8_t *bytes, size_t size, struct xfer_description *description)
{
	struct tandem_error error = { 0 };
	uint8_t *exact = malloc(size ? size : 1);
	int ret;

	assert_non_null(exact);
	memcpy(exact, bytes, size);
	ret = xfer_description_decode(exact, size, description, &error);
	free(exact);
	if (ret < 0) {
		assert_int_equal(ret, -EPROTO);
		assert_int_equal(error.code, -EPROTO);
		assert_true(error.message[0]);
	}
	return ret;
}

static void test_round_trip(void **state)
{
	struct xfer_description description;
	uint8_t bytes[TOTAL_BYTES], small[TOTAL_BYTES];
	struct verbs_endpoint there;

	(void)state;
	make_description(bytes);
	assert_int_equal(crc32c((const uint8_t *)"123456789", 9), 0xe3069283);
	assert_int_equal(decode(bytes, sizeof(bytes), &description), 0);
	assert_int_equal(description.transport, TANDEM_TRANSPORT_VERBS);
	assert_int_equal(description.layout.type, 1);
	assert_int_equal(description.layout.layers, 5);
	assert_int_equal(description.layout.kv_width, 32);
	assert_int_equal(description.layout.block_tokens, 16);
	assert_int_equal(description.layout.blocks, 77);
	assert_true(description.checksums);
	assert_int_equal(description.part_size, PART_BYTES);
	assert_int_equal(verbs_endpoint_decode(description.part, description.part_size, &there),
			 0);
	assert_memory_equal(&there, &endpoint, sizeof(there));
	assert_int_equal(xfer_description_encode(&description, small, TOTAL_BYTES - 1), -ENOSPC);
}

static void test_bytes_are_little_endian(void **state)
{
	static const uint8_t head[] = {
		'T', 'X', 'F', 'D', 3, 0, 1, 0, TOTAL_BYTES, 0, 0, 0,
		1, 0, 0, 0, 5, 0, 0, 0, 32, 0, 0, 0, 16, 0, 0, 0, 77, 0, 0, 0,
		1, 0, 0, 0, PART_BYTES, 0, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
	};
	uint8_t bytes[TOTAL_BYTES];

	(void)state;
	make_description(bytes);
	assert_memory_equal(bytes, head, sizeof(head));
}

static void test_truncated(void **state)
{
	uint8_t bytes[TOTAL_BYTES + 1] = { 0 };
	struct xfer_description description;
	size_t size;

	(void)state;
	make_description(bytes);
	for (size = 0; size < TOTAL_BYTES; size++)
		assert_int_equal(decode(bytes, size, &description), -EPROTO);
	assert_int_equal(decode(bytes, TOTAL_BYTES + 1, &description), -EPROTO);
}

static void test_each_bit_flipped(void **state)
{
	struct xfer_description description;
	uint8_t bytes[TOTAL_BYTES];
	size_t i;

	(void)state;
	make_description(bytes);
	for (i = 0; i < 8 * TOTAL_BYTES; i++) {
		bytes[i / 8] ^= 1 << i % 8;
		assert_int_equal(decode(bytes, TOTAL_BYTES, &description), -EPROTO);
		bytes[i / 8] ^= 1 << i % 8;
	}
}

/* With a checksum that fits, so that it is the field's own check that counts. */
static void test_each_field_wrong(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
	} wrong[] = {
		{ 0, 0x44465855 },
		{ AT_SIZE, 0 },
		{ AT_SIZE, TOTAL_BYTES - 1 },
		{ AT_SIZE, UINT32_MAX },
		{ AT_TYPE, 2 },
		{ AT_LAYERS, 0 },
		{ AT_KV_WIDTH, 0 },
		{ AT_BLOCK_TOKENS, 0 },
		{ AT_BLOCKS, 0 },
		{ AT_FLAGS, 2 },
		{ AT_FLAGS, 1u << 31 },
		{ AT_PART_SIZE, 0 },
		{ AT_PART_SIZE, PART_BYTES - 1 },
		{ AT_PART_SIZE, PART_BYTES + 1 },
		{ AT_PART_SIZE, 900 },
		{ AT_PART_SIZE, UINT32_MAX },
	};
	struct xfer_description description;
	uint8_t bytes[TOTAL_BYTES];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		make_description(bytes);
		xfer_put32(bytes + wrong[i].at, wrong[i].value);
		seal(bytes, TOTAL_BYTES);
		assert_int_equal(decode(bytes, TOTAL_BYTES, &description), -EPROTO);
	}
	make_description(bytes);
	xfer_put16(bytes + AT_VERSION, 1);
	seal(bytes, TOTAL_BYTES);
	assert_int_equal(decode(bytes, TOTAL_BYTES, &description), -EPROTO);
	/* All of a pool's dimensions are fine, only not together. */
	make_description(bytes);
	xfer_put32(bytes + AT_LAYERS, UINT32_MAX);
	xfer_put32(bytes + AT_BLOCKS, UINT32_MAX);
	seal(bytes, TOTAL_BYTES);
	assert_int_equal(decode(bytes, TOTAL_BYTES, &description), -EPROTO);
}

static void test_endpoint_fields_wrong(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} wrong[] = {
		{ 15, 0xf0 },	/* beyond the end of all addresses */
		{ PART_WRITE_BYTES, 1 },	/* no power of two */
		{ PART_WRITE_BYTES + 2, 0 },	/* nothing */
		{ PART_WRITE_BYTES + 3, 0x80 },
		{ PART_VERSION, 3 },
		{ PART_VERSION, 5 },
		{ PART_RAIL_COUNT, 0 },
		{ PART_RAIL_COUNT, 1 },	/* the size does not fit any more */
		{ PART_RAIL_COUNT, 3 },
		{ PART_RAIL_COUNT, 255 },
		{ PART_RAIL_PAIRS, 0 },
		{ PART_RAIL_PAIRS, 2 },
		{ PART_RAIL_PAIRS, 255 },
		{ PART_RAIL + PART_MTU, 0 },
		{ PART_RAIL + PART_MTU, IBV_MTU_4096 + 1 },
		{ PART_RAIL + 32 + PART_MTU, 255 },
		{ PART_RAIL + PART_READS, 0 },
		{ PART_RAIL + 32 + PART_RAIL_ZERO, 1 },
		{ PART_PAIRS + 3, 1 },	/* queue pair of more than 24 bits */
		{ PART_PAIRS + 5 * 8 + 7, 1 },	/* packet number likewise */
	};
	struct verbs_endpoint there;
	uint8_t part[PART_BYTES];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		verbs_endpoint_encode(&endpoint, part);
		assert_int_equal(verbs_endpoint_decode(part, PART_BYTES, &there), 0);
		part[wrong[i].at] = wrong[i].value;
		assert_int_equal(verbs_endpoint_decode(part, PART_BYTES, &there), -EPROTO);
	}
	verbs_endpoint_encode(&endpoint, part);
	for (i = 0; i < PART_BYTES; i++)
		assert_int_equal(verbs_endpoint_decode(part, i, &there), -EPROTO);
}

/*
 * Rails
 */

/* 10.77.@third.@last for each. */
static struct verbs_endpoint side(unsigned int count, const uint8_t addresses[][2])
{
	struct verbs_endpoint side = endpoint;
	unsigned int i;

	side.rail_count = count;
	side.rail_pairs = 1;
	for (i = 0; i < count; i++) {
		side.rails[i] = endpoint.rails[0];
		side.rails[i].gid.raw[14] = addresses[i][0];
		side.rails[i].gid.raw[15] = addresses[i][1];
	}
	return side;
}

/* What one side joins, the other does, in the same order. */
static void check_matches(const struct verbs_endpoint *one, const struct verbs_endpoint *other,
			  const struct verbs_match *expected, unsigned int count)
{
	struct verbs_match matches[VERBS_RAILS_MAX];
	unsigned int i;

	assert_int_equal(verbs_endpoint_match(one, other, matches), count);
	for (i = 0; i < count; i++) {
		assert_int_equal(matches[i].local, expected[i].local);
		assert_int_equal(matches[i].remote, expected[i].remote);
	}
	assert_int_equal(verbs_endpoint_match(other, one, matches), count);
	for (i = 0; i < count; i++) {
		assert_int_equal(matches[i].local, expected[i].remote);
		assert_int_equal(matches[i].remote, expected[i].local);
	}
}

static void test_rails_are_joined(void **state)
{
	static const uint8_t ours[][2] = { { 0, 1 }, { 16, 1 }, { 64, 1 }, { 128, 1 } };
	static const uint8_t theirs[][2] = { { 128, 130 }, { 64, 2 }, { 0, 131 }, { 16, 2 } };
	const struct verbs_endpoint one = side(4, ours), other = side(4, theirs);
	const struct verbs_endpoint few = side(2, theirs);

	(void)state;
	/* 126 bits in common each, then 120. */
	check_matches(&one, &other,
		      (struct verbs_match[]){ { 1, 3 }, { 2, 1 }, { 0, 2 }, { 3, 0 } }, 4);
	/* The rest of the larger number is left. */
	check_matches(&one, &few, (struct verbs_match[]){ { 2, 1 }, { 3, 0 } }, 2);
}

/* Nothing speaks for one or the other: both sides decide alike. */
static void test_rails_that_are_alike(void **state)
{
	static const uint8_t ours[][2] = { { 0, 1 }, { 0, 1 }, { 0, 1 } };
	const struct verbs_endpoint one = side(3, ours);
	struct verbs_endpoint other = side(2, ours);

	(void)state;
	check_matches(&one, &other, (struct verbs_match[]){ { 0, 0 }, { 1, 1 } }, 2);
	other.rails[0].gid.raw[15] = 2;
	check_matches(&one, &other, (struct verbs_match[]){ { 0, 1 }, { 1, 0 } }, 2);
}

static void test_rails_of_other_kinds(void **state)
{
	static const uint8_t ours[][2] = { { 0, 1 }, { 1, 1 } };
	struct verbs_endpoint one = side(2, ours), other = side(2, ours);

	(void)state;
	one.rails[0].link_layer = IBV_LINK_LAYER_INFINIBAND;
	check_matches(&one, &other, (struct verbs_match[]){ { 1, 1 } }, 1);
	one.rails[1].link_layer = IBV_LINK_LAYER_INFINIBAND;
	check_matches(&one, &other, NULL, 0);
}

static void test_write_bytes(void **state)
{
	struct verbs_endpoint one = endpoint, other = endpoint;

	(void)state;
	assert_int_equal(verbs_endpoint_write_bytes(&one, &other, 1), 1 << 20);
	assert_int_equal(verbs_endpoint_write_bytes(&one, &other, 2), 1 << 19);
	assert_int_equal(verbs_endpoint_write_bytes(&one, &other, 3), 1 << 18);
	assert_int_equal(verbs_endpoint_write_bytes(&one, &other, 4), 1 << 18);
	other.write_bytes = 1 << 13;
	assert_int_equal(verbs_endpoint_write_bytes(&one, &other, 1), 1 << 13);
	assert_int_equal(verbs_endpoint_write_bytes(&other, &one, 4), 1 << 12);
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* What is taken in holds together, however it came about. */
static void test_mutations(void **state)
{
	struct xfer_description description;
	uint8_t bytes[TANDEM_DESCRIPTION_MAX + 16];
	unsigned int taken = 0;
	struct verbs_endpoint there;
	uint32_t random = 42;
	uint64_t pool_bytes;
	int round, i;
	size_t size;

	(void)state;
	for (round = 0; round < 200000; round++) {
		memset(bytes, 0, sizeof(bytes));
		make_description(bytes);
		for (i = next_random(&random) % 4; i >= 0; i--)
			bytes[next_random(&random) % TOTAL_BYTES] = next_random(&random);
		size = TOTAL_BYTES;
		if (next_random(&random) % 8 == 0)
			size = next_random(&random) % sizeof(bytes);
		if (size >= 12 && next_random(&random) % 8)
			xfer_put32(bytes + AT_SIZE, size);
		if (size >= 4 && next_random(&random) % 8)
			seal(bytes, size);
		if (decode(bytes, size, &description) < 0)
			continue;
		taken++;
		assert_true(description.part_size <= XFER_PART_MAX);
		assert_int_equal(kv_layout_check(&description.layout, &pool_bytes), 0);
		verbs_endpoint_decode(description.part, description.part_size, &there);
	}
	/* Or the mutations were too wild to reach anything. */
	assert_true(taken > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_bytes_are_little_endian),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_each_bit_flipped),
		cmocka_unit_test(test_each_field_wrong),
		cmocka_unit_test(test_endpoint_fields_wrong),
		cmocka_unit_test(test_rails_are_joined),
		cmocka_unit_test(test_rails_that_are_alike),
		cmocka_unit_test(test_rails_of_other_kinds),
		cmocka_unit_test(test_write_bytes),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests_name("description", tests, NULL, NULL);
}
