// SPDX-License-Identifier: MIT
/*
 * Sequences: what forks share, what is copied and when, and that failures leave
 * everything as it was.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

static const uint32_t text[40] = { 1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14,
				   15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28 };

static uint8_t *block_bytes(const struct fixture *fixture, uint32_t layer, uint32_t block)
{
	return fixture->bytes +
	       tandem_kv_block_offset(tandem_kv_pool_layout(fixture->pool), layer, block);
}

static uint64_t block_size(const struct fixture *fixture)
{
	return tandem_kv_block_bytes(tandem_kv_pool_layout(fixture->pool));
}

/* Something else in each layer. */
static void fill_block(const struct fixture *fixture, uint32_t block, uint8_t value)
{
	for (uint32_t layer = 0; layer < LAYERS; layer++)
		memset(block_bytes(fixture, layer, block), value + layer, block_size(fixture));
}

static bool block_has(const struct fixture *fixture, uint32_t block, uint8_t value)
{
	for (uint32_t layer = 0; layer < LAYERS; layer++)
		for (uint64_t i = 0; i < block_size(fixture); i++)
			if (block_bytes(fixture, layer, block)[i] != (uint8_t)(value + layer))
				return false;
	return true;
}

static void test_fork_shares_and_copies_the_last(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_sequence first, second;
	uint32_t shared;

	share(&first, fixture, 1);
	extend(&first, fixture, text, 2 * TOKENS + 1);
	shared = first.blocks[2];
	fill_block(fixture, shared, 50);
	assert_int_equal(tandem_kv_sequence_fork(&first, &second), 0);
	assert_int_equal(second.token_count, first.token_count);
	assert_int_equal(second.block_count, 3);
	assert_memory_equal(first.blocks, second.blocks, 3 * sizeof(uint32_t));
	assert_int_equal(pool_stats(fixture).used, 3);
	assert_false(kv_sequence_may_write(&first, 2 * TOKENS + 1, 1));
	assert_false(kv_sequence_may_write(&second, 2 * TOKENS + 1, 1));

	extend(&second, fixture, text + 20, 1);
	assert_int_equal(second.blocks[0], first.blocks[0]);
	assert_int_equal(second.blocks[1], first.blocks[1]);
	assert_int_equal(first.blocks[2], shared);
	assert_int_not_equal(second.blocks[2], shared);
	assert_true(block_has(fixture, second.blocks[2], 50));
	assert_true(kv_sequence_may_write(&second, 2 * TOKENS + 2, 1));
	assert_int_equal(pool_stats(fixture).copies, 1);
	assert_int_equal(pool_stats(fixture).copy_bytes, LAYERS * block_size(fixture));

	/* The first has it for itself again, so nothing more is copied. */
	assert_int_equal(tandem_kv_sequence_append(&first, 3, NULL, NULL), 0);
	assert_int_equal(tandem_kv_sequence_commit(&first, text + 10, 3), 0);
	assert_int_equal(first.blocks[2], shared);
	assert_int_equal(pool_stats(fixture).copies, 1);
	tandem_kv_sequence_release(&first);
	assert_true(block_has(fixture, second.blocks[2], 50));
	tandem_kv_sequence_release(&second);
}

static void test_fork_at_a_border_copies_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_sequence first, second;

	share(&first, fixture, 1);
	extend(&first, fixture, text, 2 * TOKENS);
	/* Room that the first has reserved stays its own. */
	assert_int_equal(tandem_kv_sequence_reserve(&first, 4 * TOKENS), 0);
	assert_int_equal(tandem_kv_sequence_fork(&first, &second), 0);
	assert_int_equal(second.block_count, 2);
	assert_int_equal(tandem_kv_sequence_append(&first, 1, NULL, NULL), 0);
	assert_int_equal(tandem_kv_sequence_append(&second, 1, NULL, NULL), 0);
	assert_int_not_equal(first.blocks[2], second.blocks[2]);
	tandem_kv_sequence_release(&first);
	tandem_kv_sequence_release(&second);
	assert_int_equal(pool_stats(fixture).copies, 0);
}

static void test_fork_of_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_sequence first, second;

	tandem_kv_sequence_init(&first, fixture->pool);
	assert_int_equal(tandem_kv_sequence_fork(&first, &second), 0);
	assert_int_equal(second.block_count, 0);
	extend(&second, fixture, text, 3);
	tandem_kv_sequence_release(&second);
	tandem_kv_sequence_release(&first);
}

static void test_order_of_calls(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_sequence first, second;
	const struct tandem_kv_salt salt = { { 0 } };
	uint32_t matched;

	tandem_kv_sequence_init(&first, fixture->pool);
	assert_int_equal(tandem_kv_sequence_commit(&first, text, 1), -EINVAL);
	assert_int_equal(tandem_kv_sequence_append(&first, 0, NULL, NULL), -EINVAL);
	assert_int_equal(tandem_kv_sequence_append(&first, 5, NULL, NULL), 0);
	assert_int_equal(tandem_kv_sequence_append(&first, 1, NULL, NULL), -EBUSY);
	assert_int_equal(tandem_kv_sequence_fork(&first, &second), -EBUSY);
	assert_int_equal(tandem_kv_sequence_commit(&first, text, 6), -EINVAL);
	assert_int_equal(first.token_count, 0);
	assert_int_equal(tandem_kv_sequence_commit(&first, text, 2), 0);
	assert_int_equal(tandem_kv_sequence_commit(&first, text + 2, 3), 0);
	assert_int_equal(tandem_kv_sequence_commit(&first, text, 1), -EINVAL);
	assert_int_equal(tandem_kv_sequence_append(&first, UINT32_MAX, NULL, NULL), -EINVAL);
	assert_int_equal(tandem_kv_sequence_share(&first, &salt), -EBUSY);
	assert_int_equal(tandem_kv_sequence_match(&first, text, 8, &matched), -EBUSY);
	/* A copy is needed, and there is nowhere to make it. */
	assert_int_equal(tandem_kv_sequence_fork(&first, &second), 0);
	assert_int_equal(tandem_kv_sequence_append(&second, 1, NULL, NULL), -EINVAL);
	assert_int_equal(second.writable, 0);
	tandem_kv_sequence_release(&first);
	tandem_kv_sequence_release(&second);
}

static void test_no_room_for_a_copy(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_sequence first, second, rest;
	struct tandem_operation op = { 0 };

	tandem_kv_sequence_init(&first, fixture->pool);
	tandem_kv_sequence_init(&rest, fixture->pool);
	extend(&first, fixture, text, TOKENS + 1);
	assert_int_equal(tandem_kv_sequence_fork(&first, &second), 0);
	assert_int_equal(tandem_kv_sequence_reserve(&rest, (BLOCKS - 3) * TOKENS), 0);
	/* One block is free: enough for the copy, not for a further one. */
	assert_int_equal(tandem_kv_sequence_append(&second, TOKENS, fixture->queue, &op), -ENOSPC);
	assert_int_equal(op.pending, 0);
	assert_int_equal(second.block_count, 2);
	assert_int_equal(second.blocks[1], first.blocks[1]);
	assert_int_equal(tandem_kv_pool_free_blocks(fixture->pool), 1);
	assert_int_equal(tandem_kv_sequence_append(&second, TOKENS - 1, fixture->queue, &op), 1);
	assert_int_equal(tandem_loop_wait(fixture->loop, &op, PATIENCE_MS), 0);
	tandem_kv_sequence_release(&first);
	tandem_kv_sequence_release(&second);
	tandem_kv_sequence_release(&rest);
}

#define AHEAD	400

/* So much that the queue is not through with it when the next call is made. */
static void occupy(struct fixture *fixture, struct tandem_memory *memory,
		   struct tandem_operation *ops)
{
	for (int i = 0; i < AHEAD; i++)
		assert_int_equal(tandem_fill(fixture->queue, memory, 0, 4 << 20, i, &ops[i]), 0);
}

static void leave(struct fixture *fixture, struct tandem_operation *ops)
{
	for (int i = AHEAD; i--;)
		if (ops[i].pending)
			tandem_cancel(fixture->loop, &ops[i]);
	for (int i = 0; i < AHEAD; i++)
		tandem_loop_wait(fixture->loop, &ops[i], PATIENCE_MS);
}

static void test_copy_cancelled(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation ops[AHEAD] = { 0 }, op = { 0 };
	struct tandem_kv_sequence first, second, third;
	struct tandem_memory *memory;
	uint32_t shared;

	assert_int_equal(tandem_memory_alloc(fixture->device, 4 << 20, &memory, NULL), 0);
	share(&first, fixture, 1);
	extend(&first, fixture, text, TOKENS + 1);
	shared = first.blocks[1];
	fill_block(fixture, shared, 90);
	assert_int_equal(tandem_kv_sequence_fork(&first, &second), 0);
	occupy(fixture, memory, ops);
	assert_int_equal(tandem_kv_sequence_append(&second, 1, fixture->queue, &op), 1);
	/* Until the copy has been made. */
	assert_int_equal(tandem_kv_sequence_commit(&second, text, 1), -EBUSY);
	assert_int_equal(tandem_kv_sequence_fork(&second, &third), -EBUSY);
	assert_false(kv_sequence_may_write(&first, TOKENS + 1, 1));
	assert_int_equal(tandem_cancel(fixture->loop, &op), 0);
	leave(fixture, ops);
	assert_int_equal(tandem_loop_wait(fixture->loop, &op, PATIENCE_MS), -ECANCELED);

	assert_int_equal(second.blocks[1], shared);
	assert_int_equal(second.writable, 0);
	assert_int_equal(second.token_count, TOKENS + 1);
	assert_int_equal(pool_stats(fixture).used, 2);
	assert_int_equal(pool_stats(fixture).copies, 0);
	/* And once more, this time to the end. */
	extend(&second, fixture, text, 1);
	assert_true(block_has(fixture, second.blocks[1], 90));
	tandem_kv_sequence_release(&first);
	tandem_kv_sequence_release(&second);
	tandem_memory_free(memory);
}

/* Both owners go while the copy is under way: its blocks stay till the end. */
static void test_released_during_a_copy(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation ops[AHEAD] = { 0 }, op = { 0 };
	struct tandem_kv_sequence first, second;
	struct tandem_memory *memory;

	assert_int_equal(tandem_memory_alloc(fixture->device, 4 << 20, &memory, NULL), 0);
	tandem_kv_sequence_init(&first, fixture->pool);
	extend(&first, fixture, text, 1);
	assert_int_equal(tandem_kv_sequence_fork(&first, &second), 0);
	occupy(fixture, memory, ops);
	assert_int_equal(tandem_kv_sequence_append(&second, 1, fixture->queue, &op), 1);
	tandem_kv_sequence_release(&first);
	tandem_kv_sequence_release(&second);
	assert_int_equal(pool_stats(fixture).used, 2);
	leave(fixture, ops);
	assert_int_equal(tandem_loop_wait(fixture->loop, &op, PATIENCE_MS), 0);
	assert_int_equal(pool_stats(fixture).used, 0);
	tandem_memory_free(memory);
}

static void test_pins_outlive_sequences(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_sequence first;
	uint32_t blocks[3];

	share(&first, fixture, 1);
	extend(&first, fixture, text, 2 * TOKENS + 1);
	memcpy(blocks, first.blocks, sizeof(blocks));
	tandem_kv_pool_pin(fixture->pool, blocks, 3);
	tandem_kv_pool_pin(fixture->pool, blocks + 1, 1);
	tandem_kv_sequence_release(&first);
	assert_int_equal(pool_stats(fixture).used, 3);
	assert_int_equal(tandem_kv_sequence_reserve(&first, (BLOCKS - 2) * TOKENS), -ENOSPC);
	assert_int_equal(tandem_kv_pool_evict(fixture->pool, BLOCKS), 0);
	tandem_kv_pool_unpin(fixture->pool, blocks, 3);
	/* The second is still pinned, which keeps the first: it cannot be found without. */
	assert_int_equal(pool_stats(fixture).used, 2);
	assert_int_equal(tandem_kv_pool_evict(fixture->pool, BLOCKS), 0);
	tandem_kv_pool_unpin(fixture->pool, blocks + 1, 1);
	assert_int_equal(pool_stats(fixture).cached, 2);
	assert_int_equal(tandem_kv_sequence_reserve(&first, BLOCKS * TOKENS), 0);
	assert_int_equal(pool_stats(fixture).evictions, 2);
	tandem_kv_sequence_release(&first);
}

/* Who uses the pool as plain memory need not reserve anything. */
static void test_pins_of_free_blocks(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_sequence all;
	const uint32_t blocks[] = { 3, 5, 3 };

	tandem_kv_sequence_init(&all, fixture->pool);
	tandem_kv_pool_pin(fixture->pool, blocks, 3);
	assert_int_equal(tandem_kv_pool_free_blocks(fixture->pool), BLOCKS - 2);
	assert_int_equal(tandem_kv_sequence_reserve(&all, (BLOCKS - 2) * TOKENS), 0);
	for (uint32_t i = 0; i < all.block_count; i++)
		assert_true(all.blocks[i] != 3 && all.blocks[i] != 5);
	tandem_kv_pool_unpin(fixture->pool, blocks, 3);
	assert_int_equal(tandem_kv_pool_free_blocks(fixture->pool), 2);
	tandem_kv_sequence_release(&all);
	assert_int_equal(pool_stats(fixture).free, BLOCKS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KV_TEST(test_fork_shares_and_copies_the_last),
		KV_TEST(test_fork_at_a_border_copies_nothing),
		KV_TEST(test_fork_of_nothing),
		KV_TEST(test_order_of_calls),
		KV_TEST(test_no_room_for_a_copy),
		KV_TEST(test_copy_cancelled),
		KV_TEST(test_released_during_a_copy),
		KV_TEST(test_pins_outlive_sequences),
		KV_TEST(test_pins_of_free_blocks),
	};

	return cmocka_run_group_tests_name("kv_sequence", tests, NULL, NULL);
}
