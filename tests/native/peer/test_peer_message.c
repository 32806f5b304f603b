// SPDX-License-Identifier: MIT
/*
 * What peers say: what goes in comes out, and nothing else does.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/peer_message.h"

static const struct tandem_kv_layout layout = {
	.type = 1,
	.layers = 3,
	.kv_width = 32,
	.block_tokens = 8,
	.blocks = 41,
};

static void test_hello(void **state)
{
	static const uint8_t description[TANDEM_DESCRIPTION_MAX] = { 1, 2, 3 };
	struct peer_hello hello = {
		.version_lowest = 1,
		.version_highest = 7,
		.library = 0x010203,
		.grants = 1,
		.size = sizeof(description),
		.description = description,
	};
	uint8_t bytes[PEER_MESSAGE_MAX + 1];
	struct peer_hello got;
	size_t size = peer_hello_encode(&hello, bytes);

	(void)state;
	assert_int_equal(peer_message_type(bytes, size), PEER_HELLO);
	assert_int_equal(peer_hello_decode(bytes, size, &got), 0);
	assert_int_equal(got.version_lowest, 1);
	assert_int_equal(got.version_highest, 7);
	assert_int_equal(got.library, 0x010203);
	assert_int_equal(got.grants, 1);
	assert_int_equal(got.size, sizeof(description));
	assert_memory_equal(got.description, description, sizeof(description));
	assert_int_equal(peer_hello_decode(bytes, size - 1, &got), -EPROTO);
	assert_int_equal(peer_hello_decode(bytes, size + 1, &got), -EPROTO);
	assert_int_equal(peer_hello_decode(bytes, 10, &got), -EPROTO);
	bytes[16] = 2; /* grants */
	assert_int_equal(peer_hello_decode(bytes, size, &got), -EPROTO);
	bytes[16] = 1;
	bytes[4] ^= 1; /* magic */
	assert_int_equal(peer_hello_decode(bytes, size, &got), -EPROTO);
}

/* Of a version to come only the beginning is known. */
static void test_future_hello(void **state)
{
	struct peer_hello hello = {
		.version_lowest = 8,
		.version_highest = 9,
		.grants = 77,
		.description = (const uint8_t *)"",
	};
	uint8_t bytes[PEER_MESSAGE_MAX];
	struct peer_hello got;
	size_t size = peer_hello_encode(&hello, bytes);

	(void)state;
	assert_int_equal(peer_hello_decode(bytes, size, &got), 0);
	assert_int_equal(got.version_lowest, 8);
	assert_int_equal(got.version_highest, 9);
	assert_int_equal(got.size, 0);
	bytes[10] = 7; /* highest below lowest */
	assert_int_equal(peer_hello_decode(bytes, size, &got), -EPROTO);
}

static void test_types(void **state)
{
	uint8_t bytes[PEER_MESSAGE_MAX] = { 0 };

	(void)state;
	assert_int_equal(peer_ready_encode(bytes), 4);
	assert_int_equal(peer_message_type(bytes, 4), PEER_READY);
	assert_int_equal(peer_ready_decode(bytes, 4), 0);
	assert_int_equal(peer_ready_decode(bytes, 5), -EPROTO);
	assert_int_equal(peer_message_type(bytes, 3), -EPROTO);
	bytes[2] = 1;
	assert_int_equal(peer_message_type(bytes, 4), -EPROTO);
	bytes[2] = 0;
	bytes[0] = 0;
	assert_int_equal(peer_message_type(bytes, 4), -EPROTO);
	bytes[0] = PEER_OFFER + 1;
	assert_int_equal(peer_message_type(bytes, 4), -EPROTO);
}

static void test_refusal(void **state)
{
	struct peer_refusal refusal = { .code = EINVAL, .text = "no \x1b[2J way" };
	uint8_t bytes[PEER_MESSAGE_MAX];
	struct peer_refusal got;
	size_t size = peer_refusal_encode(&refusal, bytes);

	(void)state;
	assert_int_equal(peer_message_type(bytes, size), PEER_REFUSAL);
	assert_int_equal(peer_refusal_decode(bytes, size, &got), 0);
	assert_int_equal(got.code, EINVAL);
	assert_string_equal(got.text, "no ?[2J way");
	assert_int_equal(peer_refusal_decode(bytes, 8, &got), 0);
	assert_string_equal(got.text, "");
	assert_int_equal(peer_refusal_decode(bytes, 7, &got), -EPROTO);
	assert_int_equal(peer_refusal_decode(bytes, 8 + PEER_TEXT_MAX + 1, &got), -EPROTO);
	memset(bytes + 4, 0, 4);
	assert_int_equal(peer_refusal_decode(bytes, size, &got), -EPROTO);
	memset(bytes + 4, 0xff, 4);
	assert_int_equal(peer_refusal_decode(bytes, size, &got), -EPROTO);
}

/* Change a number of the grant that is in range, and see that it is refused. */
static void refuse_with(const uint8_t *good, size_t size, size_t at, uint32_t value)
{
	struct tandem_grant *grant;
	uint8_t bytes[256];

	memcpy(bytes, good, size);
	memcpy(bytes + at, &value, sizeof(value));
	assert_int_equal(peer_grant_decode(bytes, size, &layout, 1, &grant), -EPROTO);
}

static void test_grant(void **state)
{
	static const uint32_t blocks[] = { 40, 0, 7 };
	struct tandem_receive receive = {
		.transfer = 65535,
		.layer_first = 1,
		.layer_count = 2,
		.blocks = blocks,
		.block_count = 3,
	};
	struct tandem_grant *grant;
	size_t size = peer_grant_size(3);
	uint8_t bytes[256];

	(void)state;
	assert_true(size < sizeof(bytes));
	peer_grant_encode(PEER_GRANT, &receive, 0x1122334455667788ull, bytes);
	assert_int_equal(peer_message_type(bytes, size), PEER_GRANT);
	assert_int_equal(peer_grant_decode(bytes, size, &layout, 1, &grant), 0);
	assert_int_equal(grant->transfer, 65535);
	assert_int_equal(grant->layer_first, 1);
	assert_int_equal(grant->layer_count, 2);
	assert_int_equal(grant->block_count, 3);
	assert_true(grant->generation == 0x1122334455667788ull);
	assert_memory_equal(grant->blocks, blocks, sizeof(blocks));
	tandem_grant_free(grant);

	refuse_with(bytes, size, 4, 65536); /* transfer */
	refuse_with(bytes, size, 8, 2); /* first layer */
	refuse_with(bytes, size, 8, 3);
	refuse_with(bytes, size, 12, 0); /* layers */
	refuse_with(bytes, size, 12, 3);
	refuse_with(bytes, size, 12, UINT32_MAX);
	refuse_with(bytes, size, 16, 0); /* blocks */
	refuse_with(bytes, size, 16, 2);
	refuse_with(bytes, size, 16, 4);
	refuse_with(bytes, size, 16, 1u << 30);
	refuse_with(bytes, size, 20, 1); /* zero */
	refuse_with(bytes, size, 32, 41); /* a block */
	/* No generation on a connection with grants, and one without. */
	assert_int_equal(peer_grant_decode(bytes, size, &layout, 0, &grant), -EPROTO);
	peer_grant_encode(PEER_GRANT, &receive, 0, bytes);
	assert_int_equal(peer_grant_decode(bytes, size, &layout, 1, &grant), -EPROTO);
	assert_int_equal(peer_grant_decode(bytes, size, &layout, 0, &grant), 0);
	tandem_grant_free(grant);
	tandem_grant_free(NULL);
}

/* All that is checked of a grant is of an offer, too. */
static void test_offer(void **state)
{
	static const uint32_t blocks[] = { 40, 0, 7 };
	struct tandem_receive offered = {
		.layer_first = 1,
		.layer_count = 2,
		.blocks = blocks,
		.block_count = 3,
	};
	const size_t size = peer_grant_size(3);
	struct tandem_grant *grant;
	uint8_t bytes[256];

	(void)state;
	peer_grant_encode(PEER_OFFER, &offered, 7, bytes);
	assert_int_equal(peer_message_type(bytes, size), PEER_OFFER);
	assert_int_equal(peer_grant_decode(bytes, size, &layout, 1, &grant), 0);
	assert_int_equal(grant->transfer, 0);
	assert_int_equal(grant->layer_first, 1);
	assert_int_equal(grant->layer_count, 2);
	assert_int_equal(grant->block_count, 3);
	assert_int_equal(grant->generation, 7);
	assert_memory_equal(grant->blocks, blocks, sizeof(blocks));
	tandem_grant_free(grant);

	refuse_with(bytes, size, 4, 1); /* transfer */
	refuse_with(bytes, size, 12, 3); /* layers */
	refuse_with(bytes, size, 32, 41); /* a block */
	/* There are none on connections without grants. */
	assert_int_equal(peer_grant_decode(bytes, size, &layout, 0, &grant), -EPROTO);
	peer_grant_encode(PEER_OFFER, &offered, 0, bytes);
	assert_int_equal(peer_grant_decode(bytes, size, &layout, 0, &grant), -EPROTO);
	assert_int_equal(peer_grant_decode(bytes, size, &layout, 1, &grant), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hello), cmocka_unit_test(test_future_hello),
		cmocka_unit_test(test_types), cmocka_unit_test(test_refusal),
		cmocka_unit_test(test_grant), cmocka_unit_test(test_offer),
	};

	return cmocka_run_group_tests_name("peer messages", tests, NULL, NULL);
}
