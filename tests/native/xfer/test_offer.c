// SPDX-License-Identifier: MIT
/*
 * Offers: what has been offered can be read, until the offer ends; anything else is
 * refused before a byte of it is read, above all what was offered once and is not any
 * more. Side 1 reads from side 0, so that the shadow of a push is that of a pull.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"

#define BLOCKS	     6u
#define LARGE_BLOCKS 64u

static const uint32_t offered[BLOCKS] = { 0, 1, 2, 7, 9, 11 };
static const uint32_t goals[BLOCKS] = { 20, 21, 22, 4, 60, 50 };

/* 6 MiB on each side. */
static const struct tandem_kv_layout large_layout[2] = {
	{ .type = 0, .layers = 3, .kv_width = 256, .block_tokens = 16, .blocks = LARGE_BLOCKS },
	{ .type = 0, .layers = 3, .kv_width = 256, .block_tokens = 16, .blocks = LARGE_BLOCKS },
};

static int setup_with(void **state, const struct tandem_kv_layout layout[2])
{
	struct pair *pair = calloc(1, sizeof(*pair));

	assert_non_null(pair);
	pair_open(pair, layout);
	pair_connect_with_grants(pair);
	*state = pair;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, pair_layout);
}

static int large_setup(void **state)
{
	return setup_with(state, large_layout);
}

static struct tandem_offer whole_offer(void)
{
	struct tandem_offer offer = {
		.layer_first = 1,
		.layer_count = 2,
		.blocks = offered,
		.block_count = BLOCKS,
	};

	return offer;
}

static struct tandem_pull whole_pull(uint64_t generation)
{
	struct tandem_pull pull = {
		.layer_first = 1,
		.layer_count = 2,
		.local_blocks = goals,
		.remote_blocks = offered,
		.block_count = BLOCKS,
		.generation = generation,
	};

	return pull;
}

/* Do in the shadow what a pull does. */
static void shadow_pull(struct pair *pair, const struct tandem_pull *pull)
{
	const struct tandem_push push = {
		.layer_first = pull->layer_first,
		.layer_count = pull->layer_count,
		.local_blocks = pull->remote_blocks,
		.remote_blocks = pull->local_blocks,
		.block_count = pull->block_count,
	};

	pair_shadow_push(pair, &push);
}

static int pull_blocks(struct pair *pair, const struct tandem_pull *pull)
{
	struct tandem_operation read = { 0 };

	assert_int_equal(tandem_pull_start(pair->connection[1], pull, &read), 0);
	return pair_wait(pair, &read);
}

static void pull_and_check(struct pair *pair, const struct tandem_pull *pull)
{
	assert_int_equal(pull_blocks(pair, pull), 0);
	shadow_pull(pair, pull);
	pair_check(pair);
}

/* Offer and pull, so that it works. Return: the generation. */
static uint64_t offer_all(struct pair *pair)
{
	struct tandem_offer offer = whole_offer();
	struct tandem_operation lent = { 0 };
	struct tandem_pull pull;

	assert_int_equal(tandem_offer_start(pair->connection[0], &offer, &lent), 0);
	assert_int_not_equal(offer.generation, 0);
	pull = whole_pull(offer.generation);
	pull_and_check(pair, &pull);
	assert_int_equal(pair_wait(pair, &lent), 0);
	return offer.generation;
}

/* The pull is refused, nothing of it lands, and the connection goes on. */
static void refused(struct pair *pair, const struct tandem_pull *pull)
{
	assert_int_equal(pull_blocks(pair, pull), -EACCES);
	pair_run(pair, 10);
	pair_check(pair);
	offer_all(pair);
}

static void test_offered(void **state)
{
	struct pair *pair = *state;
	uint64_t first = offer_all(pair);

	assert_true(offer_all(pair) != first);
}

/* It ends when as much has been read as was said, and not before. */
static void test_reads(void **state)
{
	struct tandem_offer offer = whole_offer();
	struct tandem_operation lent = { 0 };
	struct pair *pair = *state;
	struct tandem_pull pull;
	int round;

	offer.reads = 5 * BLOCKS;
	assert_int_equal(tandem_offer_start(pair->connection[0], &offer, &lent), 0);
	for (round = 0; round < 5; round++) {
		pair_run(pair, 5);
		assert_true(lent.pending);
		pull = whole_pull(offer.generation);
		pull.layer_first = 1 + round % 2;
		pull.layer_count = 1;
		pull_and_check(pair, &pull);
	}
	assert_int_equal(pair_wait(pair, &lent), 0);
	refused(pair, &pull);
}

static void test_several_at_once(void **state)
{
	struct tandem_operation lent[BLOCKS] = { 0 }, read[BLOCKS] = { 0 };
	struct tandem_offer offer[BLOCKS];
	struct tandem_pull pull[BLOCKS];
	struct pair *pair = *state;
	int i;

	for (i = 0; i < (int)BLOCKS; i++) {
		offer[i] = whole_offer();
		offer[i].blocks = &offered[i];
		offer[i].block_count = 1;
		assert_int_equal(tandem_offer_start(pair->connection[0], &offer[i], &lent[i]), 0);
	}
	/* In another order than they were offered in. */
	for (i = BLOCKS - 1; i >= 0; i--) {
		pull[i] = whole_pull(offer[i].generation);
		pull[i].remote_blocks = &offered[i];
		pull[i].local_blocks = &goals[i];
		pull[i].block_count = 1;
		assert_int_equal(tandem_pull_start(pair->connection[1], &pull[i], &read[i]), 0);
	}
	for (i = 0; i < (int)BLOCKS; i++) {
		assert_int_equal(pair_wait(pair, &read[i]), 0);
		assert_int_equal(pair_wait(pair, &lent[i]), 0);
		shadow_pull(pair, &pull[i]);
	}
	pair_check(pair);
}

/* The blocks have been read, and may be another prompt's by now. */
static void test_stale(void **state)
{
	struct pair *pair = *state;
	struct tandem_pull pull = whole_pull(offer_all(pair));

	memset(pair->bytes[0], 0x55, tandem_kv_block_bytes(pair_layout));
	memset(pair->shadow[0], 0x55, tandem_kv_block_bytes(pair_layout));
	refused(pair, &pull);
}

static void test_of_another_connection(void **state)
{
	struct tandem_offer offer = whole_offer();
	struct tandem_operation lent = { 0 };
	struct pair *pair = *state;
	struct tandem_pull pull;

	assert_int_equal(tandem_offer_start(pair->connection[0], &offer, &lent), 0);
	pull = whole_pull(offer.generation);
	pair_connect_with_grants(pair);
	assert_int_equal(pair_wait(pair, &lent), -ECANCELED);
	assert_int_equal(tandem_offer_start(pair->connection[0], &offer, &lent), 0);
	refused(pair, &pull);
	assert_true(lent.pending);
	pull = whole_pull(offer.generation);
	pull_and_check(pair, &pull);
	assert_int_equal(pair_wait(pair, &lent), 0);
}

static void test_blocks_that_were_not_offered(void **state)
{
	uint32_t other[BLOCKS];
	struct tandem_offer offer = whole_offer();
	struct tandem_operation lent = { 0 };
	struct pair *pair = *state;
	struct tandem_pull pull;

	memcpy(other, offered, sizeof(other));
	other[0] = 5;
	assert_int_equal(tandem_offer_start(pair->connection[0], &offer, &lent), 0);
	pull = whole_pull(offer.generation);
	pull.remote_blocks = other;
	pull.block_count = 1;
	refused(pair, &pull);
	pull = whole_pull(offer.generation);
	pull.layer_first = 0;
	pull.layer_count = 1;
	refused(pair, &pull);
	assert_true(lent.pending);
	pull = whole_pull(offer.generation);
	pull_and_check(pair, &pull);
	assert_int_equal(pair_wait(pair, &lent), 0);
}

/* To write is not to read. */
static void test_grants_are_no_offers(void **state)
{
	struct tandem_receive receive = {
		.transfer = 5,
		.layer_first = 1,
		.layer_count = 2,
		.blocks = offered,
		.block_count = BLOCKS,
	};
	struct tandem_push push = {
		.transfer = 5,
		.layer_first = 1,
		.layer_count = 2,
		.local_blocks = goals,
		.remote_blocks = offered,
		.block_count = BLOCKS,
	};
	struct tandem_operation received = { 0 }, lent = { 0 }, sent = { 0 };
	struct tandem_offer offer = whole_offer();
	struct pair *pair = *state;
	struct tandem_pull pull;
	int result;

	assert_int_equal(tandem_receive_start(pair->connection[0], &receive, &received), 0);
	pull = whole_pull(receive.generation);
	refused(pair, &pull);
	assert_true(received.pending);
	assert_int_equal(tandem_offer_start(pair->connection[0], &offer, &lent), 0);
	push.generation = offer.generation;
	assert_int_equal(tandem_push_start(pair->connection[1], &push, &sent), 0);
	result = pair_wait(pair, &sent);
	assert_true(result == -EACCES || result == -ECONNRESET);
	result = pair_wait(pair, &lent);
	assert_true(result == -EACCES || result == -ECONNRESET);
	pair_wait(pair, &received);
	pair_check(pair);
}

static void test_cancelled(void **state)
{
	struct tandem_offer offer = whole_offer();
	struct tandem_operation lent = { 0 };
	struct pair *pair = *state;
	struct tandem_pull pull;

	assert_int_equal(tandem_offer_start(pair->connection[0], &offer, &lent), 0);
	assert_int_equal(tandem_cancel(pair->loop, &lent), 0);
	assert_int_equal(pair_wait(pair, &lent), -ECANCELED);
	pull = whole_pull(offer.generation);
	refused(pair, &pull);
}

static void test_times_out(void **state)
{
	struct tandem_operation lent[3] = { 0 }, later = { 0 };
	struct tandem_offer offer = whole_offer(), other = whole_offer();
	struct pair *pair = *state;
	struct tandem_pull pull;
	int i;

	assert_int_equal(tandem_offer_start(pair->connection[0], &other, &later), 0);
	for (i = 0; i < 3; i++) {
		offer.timeout_ms = 20 + i;
		assert_int_equal(tandem_offer_start(pair->connection[0], &offer, &lent[i]), 0);
	}
	for (i = 0; i < 3; i++)
		assert_int_equal(pair_wait(pair, &lent[i]), -ETIMEDOUT);
	assert_true(later.pending);
	pull = whole_pull(offer.generation);
	refused(pair, &pull);
	pull = whole_pull(other.generation);
	pull_and_check(pair, &pull);
	assert_int_equal(pair_wait(pair, &later), 0);
}

/* All blocks, scattered. */
static void start_large(struct pair *pair, struct tandem_operation *lent,
			struct tandem_operation *read)
{
	uint32_t from[LARGE_BLOCKS], to[LARGE_BLOCKS];
	struct tandem_offer offer = {
		.layer_count = 3,
		.blocks = from,
		.block_count = LARGE_BLOCKS,
	};
	struct tandem_pull pull = {
		.layer_count = 3,
		.local_blocks = to,
		.remote_blocks = from,
		.block_count = LARGE_BLOCKS,
	};

	pair_choose(pair, from, LARGE_BLOCKS, LARGE_BLOCKS);
	pair_choose(pair, to, LARGE_BLOCKS, LARGE_BLOCKS);
	assert_int_equal(tandem_offer_start(pair->connection[0], &offer, lent), 0);
	pull.generation = offer.generation;
	assert_int_equal(tandem_pull_start(pair->connection[1], &pull, read), 0);
}

/* Whatever has been read by the end of the offer, its blocks can have other content then. */
static void test_cancelled_while_read(void **state)
{
	const uint64_t bytes = tandem_kv_block_bytes(large_layout) * LARGE_BLOCKS * 3;
	struct pair *pair = *state;
	int round;

	for (round = 0; round < 8; round++) {
		struct tandem_operation lent = { 0 }, read = { 0 };

		/* A slow NIC or device can take longer than a silent side is given. */
		pair_connect_with_grants(pair);
		memset(pair->bytes[0], 0x11, bytes);
		memset(pair->bytes[1], 0, bytes);
		start_large(pair, &lent, &read);
		pair_run(pair, round / 2);
		tandem_cancel(pair->loop, &lent);
		pair_wait(pair, &lent);
		assert_true(lent.result == -ECANCELED || !lent.result);
		memset(pair->bytes[0], 0xee, bytes);
		pair_wait(pair, &read);
		assert_true(!read.result || read.result == -ECANCELED || read.result == -EACCES);
		pair_run(pair, 5);
		assert_null(memchr(pair->bytes[1], 0xee, bytes));
	}
}

/* Or it was quicker. */
static void ended_with(struct pair *pair, struct tandem_operation *op, int result)
{
	pair_wait(pair, op);
	assert_true(op->result == result || !op->result);
}

static void test_reader_closed(void **state)
{
	struct tandem_operation lent = { 0 }, read = { 0 };
	struct pair *pair = *state;

	start_large(pair, &lent, &read);
	tandem_loop_run(pair->loop, 0);
	tandem_connection_close(pair->connection[1]);
	pair->connection[1] = NULL;
	ended_with(pair, &read, -ECANCELED);
	ended_with(pair, &lent, -ECONNRESET);
}

static void test_owner_closed(void **state)
{
	struct tandem_operation lent = { 0 }, read = { 0 };
	struct pair *pair = *state;

	start_large(pair, &lent, &read);
	tandem_loop_run(pair->loop, 0);
	tandem_connection_close(pair->connection[0]);
	pair->connection[0] = NULL;
	ended_with(pair, &lent, -ECANCELED);
	ended_with(pair, &read, -ECONNRESET);
}

/* Blocks stay where they are until the offer has ended. */
static void test_blocks_are_pinned(void **state)
{
	struct tandem_offer offer = whole_offer();
	struct tandem_operation lent = { 0 };
	struct pair *pair = *state;
	const uint32_t before = tandem_kv_pool_free_blocks(pair->pool[0]);

	assert_int_equal(tandem_offer_start(pair->connection[0], &offer, &lent), 0);
	assert_int_equal(tandem_kv_pool_free_blocks(pair->pool[0]), before - BLOCKS);
	assert_int_equal(tandem_cancel(pair->loop, &lent), 0);
	assert_int_equal(pair_wait(pair, &lent), -ECANCELED);
	assert_int_equal(tandem_kv_pool_free_blocks(pair->pool[0]), before);
}

static void test_bad_arguments(void **state)
{
	static const uint32_t twice[] = { 3, 3 };
	static const uint32_t outside[] = { 3, 41 };
	struct tandem_offer offer = whole_offer(), wrong;
	struct tandem_operation op = { 0 };
	struct tandem_pull pull = whole_pull(0);
	struct pair *pair = *state;

#define REFUSED(member, value)                                                                   \
	do {                                                                                     \
		wrong = offer;                                                                   \
		wrong.member = value;                                                            \
		wrong.block_count = wrong.block_count ? 2 : 0;                                   \
		assert_int_equal(tandem_offer_start(pair->connection[0], &wrong, &op), -EINVAL); \
		assert_false(op.pending);                                                        \
	} while (0)
	REFUSED(blocks, twice);
	REFUSED(blocks, outside);
	REFUSED(layer_first, 3);
	REFUSED(layer_count, 0);
	REFUSED(layer_count, UINT32_MAX);
	REFUSED(block_count, 0);
#undef REFUSED
	assert_int_equal(tandem_pull_start(pair->connection[1], &pull, &op), -EINVAL);
	pair_reconnect(pair);
	assert_int_equal(tandem_offer_start(pair->connection[0], &offer, &op), -EINVAL);
}

int main(void)
{
#define OFFER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, pair_teardown)
#define LARGE_TEST(name) cmocka_unit_test_setup_teardown(name, large_setup, pair_teardown)
	const struct CMUnitTest tests[] = {
		OFFER_TEST(test_offered),
		OFFER_TEST(test_reads),
		OFFER_TEST(test_several_at_once),
		OFFER_TEST(test_stale),
		OFFER_TEST(test_of_another_connection),
		OFFER_TEST(test_blocks_that_were_not_offered),
		OFFER_TEST(test_grants_are_no_offers),
		OFFER_TEST(test_cancelled),
		OFFER_TEST(test_times_out),
		LARGE_TEST(test_cancelled_while_read),
		LARGE_TEST(test_reader_closed),
		LARGE_TEST(test_owner_closed),
		OFFER_TEST(test_blocks_are_pinned),
		OFFER_TEST(test_bad_arguments),
	};
#undef OFFER_TEST
#undef LARGE_TEST
	int failed = 0;

	for (pair_kind = pair_kinds; pair_kind->name; pair_kind++)
		for (pair_checksums = 0; pair_checksums < 2; pair_checksums++)
			failed += cmocka_run_group_tests_name(pair_name(), tests, NULL, NULL);
	return failed != 0;
}
