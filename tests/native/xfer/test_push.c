// SPDX-License-Identifier: MIT
/*
 * Pushes from end to end: what arrives is what was sent, where it was sent to,
 * and nothing else changes; and every operation ends, however it does.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"

#define BLOCKS_MAX	41

static struct tandem_push random_push(struct pair *pair, uint32_t *local, uint32_t *remote)
{
	struct tandem_push push = {
		.transfer = pair_random(pair, 65536),
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = 1 + pair_random(pair, BLOCKS_MAX),
	};

	push.layer_first = pair_random(pair, pair_layout[0].layers);
	push.layer_count = 1 + pair_random(pair, pair_layout[0].layers - push.layer_first);
	pair_choose(pair, local, push.block_count, pair_layout[0].blocks);
	pair_choose(pair, remote, push.block_count, pair_layout[1].blocks);
	return push;
}

/* One that needs every block, in order. */
static struct tandem_push whole_push(uint32_t *blocks)
{
	struct tandem_push push = {
		.transfer = 7,
		.layer_count = pair_layout[0].layers,
		.local_blocks = blocks,
		.remote_blocks = blocks,
		.block_count = BLOCKS_MAX,
	};
	uint32_t i;

	for (i = 0; i < BLOCKS_MAX; i++)
		blocks[i] = i;
	return push;
}

static void test_random_lists(void **state)
{
	uint32_t local[BLOCKS_MAX], remote[BLOCKS_MAX];
	struct pair *pair = *state;
	int round;

	for (round = 0; round < 50; round++) {
		struct tandem_push push = random_push(pair, local, remote);

		pair_push_and_check(pair, &push);
	}
}

static void test_neighbours_are_one_write(void **state)
{
	struct tandem_connection_stats sender, receiver;
	uint32_t blocks[BLOCKS_MAX];
	struct tandem_push push = whole_push(blocks);
	struct pair *pair = *state;
	uint64_t count = (uint64_t)push.layer_count * push.block_count;

	pair_push_and_check(pair, &push);
	tandem_connection_get_stats(pair->connection[0], &sender);
	tandem_connection_get_stats(pair->connection[1], &receiver);
	assert_int_equal(sender.bytes_pushed, count * tandem_kv_block_bytes(pair_layout));
	/* The receiving pool has more blocks, so layers do not join. */
	assert_int_equal(sender.writes, push.layer_count);
	assert_int_equal(sender.cpu_copied_bytes,
			 pair_kind->transport == TANDEM_TRANSPORT_TCP ? sender.bytes_pushed : 0);
	assert_int_equal(receiver.blocks_received, count);
	assert_int_equal(receiver.bytes_pushed, 0);
	assert_true(sender.wire_ns > 0);
	assert_int_equal(receiver.wire_ns, 0);
}

static void test_both_directions(void **state)
{
	uint32_t blocks[] = { 3, 4, 9 };
	struct tandem_push push = {
		.transfer = 1,
		.layer_first = 1,
		.layer_count = 1,
		.local_blocks = blocks,
		.remote_blocks = blocks,
		.block_count = 3,
	};
	struct tandem_operation sent = { 0 }, received = { 0 };
	struct pair *pair = *state;
	uint64_t bytes = tandem_kv_block_bytes(pair_layout);
	uint32_t i;

	assert_int_equal(tandem_push_start(pair->connection[1], &push, &sent), 0);
	assert_int_equal(tandem_expect_start(pair->connection[0], 1, 3, 0, &received), 0);
	assert_int_equal(pair_wait(pair, &sent), 0);
	assert_int_equal(pair_wait(pair, &received), 0);
	for (i = 0; i < 3; i++)
		memcpy(pair->shadow[0] + tandem_kv_block_offset(&pair_layout[0], 1, blocks[i]),
		       pair->shadow[1] + tandem_kv_block_offset(&pair_layout[1], 1, blocks[i]),
		       bytes);
	pair_check(pair);
}

static void test_many_at_once(void **state)
{
	struct tandem_operation sent[60] = { 0 }, received[60] = { 0 };
	uint32_t local[BLOCKS_MAX], remote[BLOCKS_MAX];
	struct pair *pair = *state;
	unsigned int i;

	/* Each writes other blocks, or the result would depend on their order. */
	for (i = 0; i < 60; i++) {
		struct tandem_push push = {
			.transfer = i,
			.layer_count = 3,
			.local_blocks = local,
			.remote_blocks = remote,
			.block_count = 1,
		};

		local[0] = i % BLOCKS_MAX;
		remote[0] = i;
		/* Half of them are expected only after they have come. */
		if (i % 2)
			assert_int_equal(tandem_expect_start(pair->connection[1], i, 3, 0,
							     &received[i]), 0);
		assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent[i]), 0);
		pair_shadow_push(pair, &push);
	}
	for (i = 0; i < 60; i++)
		assert_int_equal(pair_wait(pair, &sent[i]), 0);
	for (i = 0; i < 60; i += 2)
		assert_int_equal(tandem_expect_start(pair->connection[1], i, 3, 0, &received[i]),
				 0);
	for (i = 0; i < 60; i++)
		assert_int_equal(pair_wait(pair, &received[i]), 0);
	pair_check(pair);
}

static void test_transfer_in_parts(void **state)
{
	struct tandem_operation sent[3] = { 0 }, received = { 0 };
	uint32_t blocks[BLOCKS_MAX];
	struct tandem_push push = whole_push(blocks);
	struct pair *pair = *state;
	uint32_t layer;

	assert_int_equal(tandem_expect_start(pair->connection[1], push.transfer, 3 * BLOCKS_MAX,
					     0, &received), 0);
	push.layer_count = 1;
	for (layer = 0; layer < 3; layer++) {
		assert_true(received.pending);
		push.layer_first = layer;
		assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent[layer]), 0);
		assert_int_equal(pair_wait(pair, &sent[layer]), 0);
		pair_shadow_push(pair, &push);
	}
	assert_int_equal(pair_wait(pair, &received), 0);
	pair_check(pair);
}

static void test_large_blocks(void **state)
{
	/* 3 MiB a block: more than one write for each. */
	const struct tandem_kv_layout layout[2] = {
		{ .type = 0, .layers = 2, .kv_width = 24576, .block_tokens = 16, .blocks = 3 },
		{ .type = 0, .layers = 2, .kv_width = 24576, .block_tokens = 16, .blocks = 3 },
	};
	uint32_t local[] = { 0, 1, 2 }, remote[] = { 2, 0, 1 };
	struct tandem_push push = {
		.transfer = 65535,
		.layer_count = 2,
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = 3,
	};
	struct pair pair;

	(void)state;
	pair_open(&pair, layout);
	pair_connect(&pair);
	pair_push_and_check(&pair, &push);
	pair_close(&pair);
}

/* More than any transport writes at once, so that no transport counts its first writes. */
static void test_huge_blocks(void **state)
{
	const struct tandem_kv_layout layout[2] = {
		{ .type = 0, .layers = 1, .kv_width = 139296, .block_tokens = 16, .blocks = 2 },
		{ .type = 0, .layers = 1, .kv_width = 139296, .block_tokens = 16, .blocks = 2 },
	};
	uint32_t local[] = { 0, 1 }, remote[] = { 1, 0 };
	struct tandem_push push = {
		.transfer = 5,
		.layer_count = 1,
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = 2,
	};
	struct pair pair;

	(void)state;
	assert_true(tandem_kv_block_bytes(layout) > 16u << 20);
	pair_open(&pair, layout);
	pair_connect(&pair);
	pair_push_and_check(&pair, &push);
	pair_close(&pair);
}

static void test_ten_thousand_blocks(void **state)
{
	/* 64 bytes a block. */
	const struct tandem_kv_layout layout[2] = {
		{ .type = 1, .layers = 2, .kv_width = 16, .block_tokens = 1, .blocks = 5000 },
		{ .type = 1, .layers = 2, .kv_width = 16, .block_tokens = 1, .blocks = 5000 },
	};
	uint32_t *local = malloc(5000 * sizeof(*local));
	uint32_t *remote = malloc(5000 * sizeof(*remote));
	struct tandem_push push = {
		.transfer = 12,
		.layer_count = 2,
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = 5000,
	};
	struct pair pair;

	(void)state;
	pair_open(&pair, layout);
	pair_connect(&pair);
	pair_choose(&pair, local, 5000, 5000);
	pair_choose(&pair, remote, 5000, 5000);
	pair_push_and_check(&pair, &push);
	pair_close(&pair);
	free(local);
	free(remote);
}

static void test_connects_again_and_again(void **state)
{
	uint32_t local[BLOCKS_MAX], remote[BLOCKS_MAX];
	struct pair *pair = *state;
	int round;

	for (round = 0; round < 20; round++) {
		struct tandem_push push = random_push(pair, local, remote);

		pair_push_and_check(pair, &push);
		pair_reconnect(pair);
	}
}

static void test_bad_pushes(void **state)
{
	uint32_t good[] = { 0, 1 }, bad_local[] = { 0, BLOCKS_MAX };
	uint32_t bad_remote[] = { 0, pair_layout[1].blocks };
	struct tandem_push push = {
		.layer_count = 1,
		.local_blocks = good,
		.remote_blocks = good,
		.block_count = 2,
	};
	struct tandem_operation op = { 0 };
	struct pair *pair = *state;
	struct tandem_push wrong;

#define REFUSED(member, value) do { \
		wrong = push; \
		wrong.member = value; \
		assert_int_equal(tandem_push_start(pair->connection[0], &wrong, &op), -EINVAL); \
		assert_false(op.pending); \
	} while (0)
	REFUSED(transfer, 65536);
	REFUSED(layer_first, 3);
	REFUSED(layer_first, UINT32_MAX);
	REFUSED(layer_count, 0);
	REFUSED(layer_count, 4);
	REFUSED(layer_count, UINT32_MAX);
	REFUSED(block_count, 0);
	REFUSED(local_blocks, bad_local);
	REFUSED(remote_blocks, bad_remote);
#undef REFUSED
	push.transfer = 9;
	pair_push_and_check(pair, &push);
}

static void test_bad_expects(void **state)
{
	struct tandem_operation op = { 0 }, other = { 0 };
	struct pair *pair = *state;
	struct tandem_connection *connection = pair->connection[1];

	assert_int_equal(tandem_expect_start(connection, 65536, 1, 0, &op), -EINVAL);
	assert_int_equal(tandem_expect_start(connection, 1, 0, 0, &op), -EINVAL);
	assert_int_equal(tandem_expect_start(connection, 1, 1, 0, &op), 0);
	assert_int_equal(tandem_expect_start(connection, 2, 1, 0, &op), -EINVAL);
	assert_int_equal(tandem_expect_start(connection, 1, 1, 0, &other), -EBUSY);
	assert_false(other.pending);
	assert_int_equal(tandem_cancel(pair->loop, &op), 0);
	assert_int_equal(pair_wait(pair, &op), -ECANCELED);
}

/* After a failure a new connection works. */
static void check_recovery(struct pair *pair)
{
	uint32_t blocks[BLOCKS_MAX];
	struct tandem_push push = whole_push(blocks);

	pair_reconnect(pair);
	pair_push_and_check(pair, &push);
}

/* Where the other side cannot be told, it costs the connection. */
static void test_more_than_expected(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	uint32_t blocks[BLOCKS_MAX];
	struct tandem_push push = whole_push(blocks);
	struct pair *pair = *state;

	push.layer_count = 1;
	assert_int_equal(tandem_expect_start(pair->connection[1], push.transfer, BLOCKS_MAX - 1,
					     0, &received), 0);
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
	assert_int_equal(pair_wait(pair, &received), -EPROTO);
	pair_wait(pair, &sent);
}

/* The same with many writes of two blocks, the second of which is too much. */
static void test_more_writes_than_expected(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	uint32_t blocks[BLOCKS_MAX], elsewhere[BLOCKS_MAX], i;
	struct tandem_push push = whole_push(blocks);
	struct pair *pair = *state;

	push.layer_count = 1;
	push.block_count = BLOCKS_MAX / 2 * 2;
	push.remote_blocks = elsewhere;
	for (i = 0; i < push.block_count; i++)
		elsewhere[i] = push.block_count - 2 - i / 2 * 2 + i % 2;
	assert_int_equal(tandem_expect_start(pair->connection[1], push.transfer, 3, 0, &received),
			 0);
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
	assert_int_equal(pair_wait(pair, &received), -EPROTO);
	pair_wait(pair, &sent);
	assert_false(sent.pending);
	check_recovery(pair);
}

static void test_more_than_expected_before(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	uint32_t blocks[BLOCKS_MAX];
	struct tandem_push push = whole_push(blocks);
	struct tandem_connection_stats stats = { 0 };
	struct pair *pair = *state;

	push.layer_count = 1;
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
	assert_int_equal(pair_wait(pair, &sent), 0);
	while (stats.blocks_received < BLOCKS_MAX) {
		pair_run(pair, 10);
		tandem_connection_get_stats(pair->connection[1], &stats);
	}
	assert_int_equal(tandem_expect_start(pair->connection[1], push.transfer, 1, 0, &received),
			 0);
	assert_int_equal(pair_wait(pair, &received), -EPROTO);
}

/* When an operation has ended early, nothing of it may land any more. */
static void check_that_nothing_lands(struct pair *pair)
{
	uint64_t bytes = tandem_memory_size(tandem_kv_pool_memory(pair->pool[1]));
	uint8_t *before = malloc(bytes);

	assert_non_null(before);
	memcpy(before, pair->bytes[1], bytes);
	pair_run(pair, 200);
	assert_memory_equal(before, pair->bytes[1], bytes);
	free(before);
}

/* 24 MiB on each side. */
static const struct tandem_kv_layout large_layout[2] = {
	{ .type = 0, .layers = 3, .kv_width = 1024, .block_tokens = 16, .blocks = 64 },
	{ .type = 0, .layers = 3, .kv_width = 1024, .block_tokens = 16, .blocks = 64 },
};

static void start_large_push(struct pair *pair, struct tandem_operation *sent)
{
	uint32_t local[64], remote[64];
	struct tandem_push push = {
		.transfer = 3,
		.layer_count = 3,
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = 64,
	};

	pair_open(pair, large_layout);
	pair_connect(pair);
	pair_choose(pair, local, 64, 64);
	pair_choose(pair, remote, 64, 64);
	assert_int_equal(tandem_push_start(pair->connection[0], &push, sent), 0);
}

/*
 * A push that is under way. Where this process has to wait for a processor, one can be
 * over when it looks: then another. @received: of a transfer of as many writes, or NULL.
 */
static void have_large_push(struct pair *pair, struct tandem_operation *sent,
			    struct tandem_operation *received)
{
	int tries;

	for (tries = 0; tries < 100; tries++) {
		start_large_push(pair, sent);
		if (received)
			assert_int_equal(tandem_expect_start(pair->connection[1], 3, 192,
							     0, received), 0);
		tandem_loop_run(pair->loop, 0);
		if (sent->pending && (!received || received->pending))
			return;
		pair_close(pair);
	}
	fail_msg("a push was over %d times before anything could be done about it", tries);
}

static void test_push_cancelled(void **state)
{
	struct tandem_operation sent = { 0 };
	struct pair pair;

	(void)state;
	have_large_push(&pair, &sent, NULL);
	assert_int_equal(tandem_cancel(pair.loop, &sent), 0);
	assert_int_equal(pair_wait(&pair, &sent), -ECANCELED);
	check_that_nothing_lands(&pair);
	pair_close(&pair);
}

static void test_expect_cancelled_during_push(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	struct pair pair;
	int result;

	(void)state;
	have_large_push(&pair, &sent, &received);
	assert_int_equal(tandem_cancel(pair.loop, &received), 0);
	assert_int_equal(pair_wait(&pair, &received), -ECANCELED);
	check_that_nothing_lands(&pair);
	result = pair_wait(&pair, &sent);
	assert_int_equal(result, -ECANCELED);
	pair_close(&pair);
}

static void test_receiver_closed_during_push(void **state)
{
	struct tandem_operation sent = { 0 };
	struct pair pair;

	(void)state;
	have_large_push(&pair, &sent, NULL);
	tandem_connection_close(pair.connection[1]);
	pair.connection[1] = NULL;
	check_that_nothing_lands(&pair);
	assert_int_equal(pair_wait(&pair, &sent), -ECONNRESET);
	pair_close(&pair);
}

static int ended;

static void note_end(struct tandem_operation *op)
{
	(void)op;
	ended++;
}

static void test_sender_closed_during_push(void **state)
{
	struct tandem_operation sent = { .done = note_end };
	struct pair pair;

	(void)state;
	have_large_push(&pair, &sent, NULL);
	ended = 0;
	tandem_connection_close(pair.connection[0]);
	pair.connection[0] = NULL;
	assert_int_equal(ended, 1);
	assert_false(sent.pending);
	assert_int_equal(sent.result, -ECANCELED);
	check_that_nothing_lands(&pair);
	pair_close(&pair);
}

static void test_closed_while_expecting(void **state)
{
	struct tandem_operation received = { .done = note_end };
	struct pair *pair = *state;

	ended = 0;
	assert_int_equal(tandem_expect_start(pair->connection[1], 1, 1, 0, &received), 0);
	tandem_connection_close(pair->connection[1]);
	pair->connection[1] = NULL;
	assert_int_equal(ended, 1);
	assert_int_equal(received.result, -ECANCELED);
}

/* The other side goes away without a word while something is awaited of it. */
static void test_sender_closed_while_expecting(void **state)
{
	struct tandem_operation received = { 0 };
	uint32_t blocks[BLOCKS_MAX];
	struct tandem_push push = whole_push(blocks);
	struct pair *pair = *state;

	/* Where connecting takes time, it is over after this. */
	pair_push_and_check(pair, &push);
	assert_int_equal(tandem_expect_start(pair->connection[1], 1, 1, 0, &received), 0);
	tandem_connection_close(pair->connection[0]);
	pair->connection[0] = NULL;
	assert_int_equal(pair_wait(pair, &received), -ECONNRESET);
	check_recovery(pair);
}

static void test_not_connected(void **state)
{
	uint32_t blocks[BLOCKS_MAX];
	struct tandem_push push = whole_push(blocks);
	struct tandem_operation op = { 0 };
	struct pair *pair = *state;
	struct tandem_connection *alone = pair_connection(pair, 0);

	assert_int_equal(tandem_push_start(alone, &push, &op), -ENOTCONN);
	assert_int_equal(tandem_expect_start(alone, 1, 1, 0, &op), -ENOTCONN);
	tandem_connection_close(alone);
	tandem_connection_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define PAIR_TEST(name)	cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)
		PAIR_TEST(test_random_lists),
		PAIR_TEST(test_neighbours_are_one_write),
		PAIR_TEST(test_both_directions),
		PAIR_TEST(test_many_at_once),
		PAIR_TEST(test_transfer_in_parts),
		cmocka_unit_test(test_large_blocks),
		cmocka_unit_test(test_huge_blocks),
		cmocka_unit_test(test_ten_thousand_blocks),
		PAIR_TEST(test_connects_again_and_again),
		PAIR_TEST(test_bad_pushes),
		PAIR_TEST(test_bad_expects),
		PAIR_TEST(test_more_than_expected),
		PAIR_TEST(test_more_writes_than_expected),
		PAIR_TEST(test_more_than_expected_before),
		cmocka_unit_test(test_push_cancelled),
		cmocka_unit_test(test_expect_cancelled_during_push),
		cmocka_unit_test(test_receiver_closed_during_push),
		cmocka_unit_test(test_sender_closed_during_push),
		PAIR_TEST(test_closed_while_expecting),
		PAIR_TEST(test_sender_closed_while_expecting),
		PAIR_TEST(test_not_connected),
#undef PAIR_TEST
	};
	int failed = 0;

	for (pair_kind = pair_kinds; pair_kind->name; pair_kind++)
		failed += cmocka_run_group_tests_name(pair_kind->name, tests, NULL, NULL);
	return failed != 0;
}
