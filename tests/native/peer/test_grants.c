// SPDX-License-Identifier: MIT
/*
 * Grants and offers, which go over the channel.
 */
#include <errno.h>
#include <string.h>

#include "peers.h"

/* More grants than are kept: the sender takes them in order all the same. */
static void test_many_grants(void **state)
{
	enum { COUNT = 200 };
	struct fixture *fixture = *state;
	static struct tandem_operation received[COUNT];
	struct tandem_operation granted = { 0 };
	struct tandem_grant *grant;
	uint32_t i;

	peers_create_both(fixture);
	peers_open_both(fixture);
	memset(received, 0, sizeof(received));
	for (i = 0; i < COUNT; i++) {
		struct tandem_receive receive = {
			.transfer = i,
			.layer_count = 1,
			.block_count = 1,
			.blocks = (uint32_t[]){ i % 67 },
		};

		assert_int_equal(tandem_peer_receive_start(fixture->peer[1], &receive, &received[i]),
				 0);
	}
	pair_run(&fixture->pair, 100);
	for (i = 0; i < COUNT; i++) {
		assert_int_equal(tandem_peer_grant_start(fixture->peer[0], &grant, &granted), 0);
		assert_int_equal(pair_wait(&fixture->pair, &granted), 0);
		assert_int_equal(grant->transfer, i);
		tandem_grant_free(grant);
	}
	peers_close(fixture, 1);
	for (i = 0; i < COUNT; i++)
		assert_int_equal(received[i].result, -ECANCELED);
	while (!fixture->lost[0])
		tandem_loop_run(fixture->pair.loop, 1000);
	assert_int_equal(tandem_peer_grant_start(fixture->peer[0], &grant, &granted), -ENOTCONN);
}

/* Blocks of random numbers from side 0 to side 1 by way of an offer. */
static void test_offer(void **state)
{
	struct tandem_operation offered = { 0 }, told = { 0 }, pulled = { 0 };
	struct fixture *fixture = *state;
	struct pair *pair = &fixture->pair;
	uint32_t remote[16], local[16];
	struct tandem_offer offer = {
		.layer_first = 1,
		.layer_count = 2,
		.blocks = remote,
		.block_count = 16,
	};
	struct tandem_pull pull = { .local_blocks = local };
	struct tandem_push push = { 0 };
	struct tandem_grant *there;

	peers_create_both(fixture);
	assert_int_equal(tandem_peer_offer_start(fixture->peer[0], &offer, &offered), -ENOTCONN);
	assert_int_equal(tandem_peer_offered_start(fixture->peer[1], &there, &told), -ENOTCONN);
	peers_open_both(fixture);
	pair_choose(pair, remote, 16, pair_layout[0].blocks);
	pair_choose(pair, local, 16, pair_layout[1].blocks);
	assert_int_equal(tandem_peer_offered_start(fixture->peer[1], &there, &told), 0);
	assert_int_equal(tandem_peer_offered_start(fixture->peer[1], &there, &pulled), -EBUSY);
	assert_int_equal(tandem_peer_offer_start(fixture->peer[0], &offer, &offered), 0);
	assert_int_equal(pair_wait(pair, &told), 0);
	assert_int_equal(there->transfer, 0);
	assert_int_equal(there->block_count, 16);
	assert_true(there->generation == offer.generation);
	pull.layer_first = there->layer_first;
	pull.layer_count = there->layer_count;
	pull.remote_blocks = there->blocks;
	pull.block_count = there->block_count;
	pull.generation = there->generation;
	assert_int_equal(tandem_pull_start(pair->connection[1], &pull, &pulled), 0);
	assert_int_equal(pair_wait(pair, &pulled), 0);
	/* All of it has been read. */
	assert_int_equal(pair_wait(pair, &offered), 0);
	push.layer_first = pull.layer_first;
	push.layer_count = pull.layer_count;
	push.local_blocks = pull.remote_blocks;
	push.remote_blocks = pull.local_blocks;
	push.block_count = pull.block_count;
	pair_shadow_push(pair, &push);
	pair_check(pair);
	tandem_grant_free(there);
	/* Grants go on beside it. */
	peers_transfer(fixture, 3);
}

/* Who waits for one, or offers, is told when the other side has gone. */
static void test_offers_end(void **state)
{
	struct tandem_operation offered = { 0 }, told = { 0 };
	struct fixture *fixture = *state;
	struct tandem_offer offer = {
		.layer_count = 1,
		.block_count = 1,
		.blocks = (uint32_t[]){ 3 },
	};
	struct tandem_grant *there;

	peers_create_both(fixture);
	peers_open_both(fixture);
	offer.block_count = TANDEM_PEER_BLOCKS_MAX + 1;
	assert_int_equal(tandem_peer_offer_start(fixture->peer[1], &offer, &offered), -E2BIG);
	offer.block_count = 1;
	assert_int_equal(tandem_peer_offer_start(fixture->peer[1], &offer, &offered), 0);
	assert_int_equal(tandem_peer_offered_start(fixture->peer[1], &there, &told), 0);
	tandem_cancel(fixture->pair.loop, &told);
	assert_int_equal(pair_wait(&fixture->pair, &told), -ECANCELED);
	assert_int_equal(tandem_peer_offered_start(fixture->peer[1], &there, &told), 0);
	peers_close(fixture, 0);
	assert_int_equal(pair_wait(&fixture->pair, &told), -ECONNRESET);
	assert_int_equal(pair_wait(&fixture->pair, &offered), -ECONNRESET);
}

/* More of them than are kept hold up grants as well, until they are asked for. */
static void test_many_offers(void **state)
{
	enum { COUNT = 80 };
	static struct tandem_operation offered[COUNT];
	struct tandem_operation received = { 0 }, granted = { 0 };
	struct fixture *fixture = *state;
	struct tandem_receive receive = {
		.layer_count = 1,
		.block_count = 1,
		.blocks = (uint32_t[]){ 3 },
	};
	uint64_t generation[COUNT];
	struct tandem_grant *there;
	uint32_t i;

	peers_create_both(fixture);
	peers_open_both(fixture);
	memset(offered, 0, sizeof(offered));
	for (i = 0; i < COUNT; i++) {
		struct tandem_offer offer = {
			.layer_count = 1,
			.block_count = 1,
			.blocks = (uint32_t[]){ i % 67 },
		};

		assert_int_equal(tandem_peer_offer_start(fixture->peer[1], &offer, &offered[i]), 0);
		generation[i] = offer.generation;
	}
	assert_int_equal(tandem_peer_receive_start(fixture->peer[1], &receive, &received), 0);
	assert_int_equal(tandem_peer_grant_start(fixture->peer[0], &there, &granted), 0);
	pair_run(&fixture->pair, 100);
	assert_true(granted.pending);
	for (i = 0; i < COUNT; i++) {
		struct tandem_grant *one;
		struct tandem_operation told = { 0 };

		assert_int_equal(tandem_peer_offered_start(fixture->peer[0], &one, &told), 0);
		assert_int_equal(pair_wait(&fixture->pair, &told), 0);
		assert_true(one->generation == generation[i]);
		tandem_grant_free(one);
	}
	assert_int_equal(pair_wait(&fixture->pair, &granted), 0);
	tandem_grant_free(there);
	peers_close(fixture, 1);
	for (i = 0; i < COUNT; i++)
		assert_int_equal(offered[i].result, -ECANCELED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, peers_setup, peers_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_many_grants),
		TEST(test_offer),
		TEST(test_offers_end),
		TEST(test_many_offers),
	};
	int failed = 0;

	for (pair_kind = pair_kinds; pair_kind->name; pair_kind++)
		failed += cmocka_run_group_tests_name(
			pair_kind->name, tests, peers_make_certificates, peers_remove_certificates);
	return failed;
}
