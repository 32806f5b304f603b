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

#define PART_BYTES	VERBS_ENDPOINT_BYTES
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

static const struct verbs_endpoint endpoint = {
	.address = 0x1122334455667788ull,
	.length = 1 << 20,
	.rkey = 0xdeadbeef,
	.pair = 0xfedcba,
	.psn = 0x123456,
	.lid = 0x9876,
	.mtu = IBV_MTU_4096,
	.link_layer = IBV_LINK_LAYER_ETHERNET,
	.reads = 16,
	.gid.raw = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 77, 0, 1 },
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
	assert_int_equal(there.address, endpoint.address);
	assert_int_equal(there.length, endpoint.length);
	assert_int_equal(there.rkey, endpoint.rkey);
	assert_int_equal(there.pair, endpoint.pair);
	assert_int_equal(there.psn, endpoint.psn);
	assert_int_equal(there.lid, endpoint.lid);
	assert_int_equal(there.mtu, endpoint.mtu);
	assert_int_equal(there.link_layer, endpoint.link_layer);
	assert_memory_equal(there.gid.raw, endpoint.gid.raw, 16);
	assert_int_equal(xfer_description_encode(&description, small, TOTAL_BYTES - 1), -ENOSPC);
}

static void test_bytes_are_little_endian(void **state)
{
	static const uint8_t head[] = {
		'T', 'X', 'F', 'D', 2, 0, 1, 0, TOTAL_BYTES, 0, 0, 0,
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
		{ 23, 1 },	/* queue pair of more than 24 bits */
		{ 27, 1 },	/* packet number likewise */
		{ 30, 0 },	/* MTU */
		{ 30, IBV_MTU_4096 + 1 },
		{ 30, 255 },
		{ 15, 0xf0 },	/* beyond the end of all addresses */
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
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests_name("description", tests, NULL, NULL);
}
