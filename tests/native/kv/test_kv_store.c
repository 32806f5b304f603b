// SPDX-License-Identifier: MIT
/*
 * Offering evicted blocks to a store, and bringing them back: with a store of the
 * test's own, which keeps them in this process's memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

#define KEPT_MAX	16

static const uint32_t text[] = { 10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33, 40, 41, 42, 43 };

#define LENGTH	((uint32_t)(sizeof(text) / sizeof(text[0])))

/* A block that was taken. */
struct kept {
	struct tandem_kv_hash hash;
	struct tandem_kv_hash before;
	struct tandem_kv_salt salt;
	uint32_t tokens[TOKENS];
	uint8_t *bytes;
};

/**
 * struct store - the test's
 * @kept: @kept_count blocks
 * @answer: what take says
 * @held: block that was held last
 * @bring_ms: how long bringing a block takes
 * @hangs_at: from this block on nothing comes, nor does a cancel help; or 0
 * @hung: operation that hangs, on block @hung_block
 * @releases: how often the pool wanted back what it could have
 */
struct store {
	struct fixture *fixture;
	struct kept kept[KEPT_MAX];
	int kept_count;
	int answer;
	uint32_t held;
	uint64_t bring_ms;
	int hangs_at;
	struct tandem_operation *hung;
	uint32_t hung_block;
	int releases;
};

static uint64_t block_size(const struct fixture *fixture)
{
	return tandem_kv_block_bytes(tandem_kv_pool_layout(fixture->pool));
}

static uint8_t *block_bytes(const struct fixture *fixture, uint32_t layer, uint32_t block)
{
	return fixture->bytes +
	       tandem_kv_block_offset(tandem_kv_pool_layout(fixture->pool), layer, block);
}

static int take(void *user, const struct tandem_kv_content *content, uint32_t block)
{
	struct store *store = user;
	struct kept *kept = &store->kept[store->kept_count];

	if (store->answer == TANDEM_KV_NOT_TAKEN)
		return store->answer;
	assert_true(store->kept_count++ < KEPT_MAX);
	assert_int_equal(content->count, TOKENS);
	kept->hash = content->hash;
	kept->before = content->before;
	kept->salt = *content->salt;
	memcpy(kept->tokens, content->tokens, sizeof(kept->tokens));
	kept->bytes = malloc(LAYERS * block_size(store->fixture));
	for (uint32_t layer = 0; layer < LAYERS; layer++)
		memcpy(kept->bytes + layer * block_size(store->fixture),
		       block_bytes(store->fixture, layer, block), block_size(store->fixture));
	store->held = block;
	return store->answer;
}

static bool is_content(const struct kept *kept, const struct tandem_kv_content *content)
{
	return !memcmp(&kept->hash, &content->hash, sizeof(kept->hash)) &&
	       !memcmp(&kept->before, &content->before, sizeof(kept->before)) &&
	       !memcmp(&kept->salt, content->salt, sizeof(kept->salt)) &&
	       !memcmp(kept->tokens, content->tokens, sizeof(kept->tokens));
}

/* As the kernel does with a request that the disk has. */
static int cancel_hung(struct tandem_loop *loop, struct tandem_operation *op)
{
	(void)loop;
	(void)op;
	return 0;
}

static int hang(struct store *store, uint32_t block, struct tandem_operation *op)
{
	assert_null(store->hung);
	assert_int_equal(operation_begin(op, cancel_hung, store), 0);
	store->hung = op;
	store->hung_block = block;
	return 0;
}

/* The disk answers after all. */
static void answer(struct store *store)
{
	struct tandem_operation *op = store->hung;

	store->hung = NULL;
	operation_post(store->fixture->loop, op, 0);
	assert_true(tandem_loop_run(store->fixture->loop, PATIENCE_MS) >= 0);
}

static void release(void *user)
{
	struct store *store = user;

	store->releases++;
}

static int bring(void *user, const struct tandem_kv_content *content, uint32_t block,
		 struct tandem_operation *op)
{
	struct store *store = user;
	struct fixture *fixture = store->fixture;

	for (int i = 0; i < store->kept_count; i++) {
		if (!is_content(&store->kept[i], content))
			continue;
		for (uint32_t layer = 0; layer < LAYERS; layer++)
			memcpy(block_bytes(fixture, layer, block),
			       store->kept[i].bytes + layer * block_size(fixture),
			       block_size(fixture));
		if (store->hangs_at && !--store->hangs_at)
			return hang(store, block, op);
		return tandem_timer_start(fixture->loop, store->bring_ms, op);
	}
	return -ENOENT;
}

static void open_store(struct store *store, struct fixture *fixture)
{
	const struct tandem_kv_store functions = {
		.take = take, .bring = bring, .user = store, .release = release,
	};

	memset(store, 0, sizeof(*store));
	store->fixture = fixture;
	store->answer = TANDEM_KV_TAKEN;
	tandem_kv_pool_set_store(fixture->pool, &functions);
	tandem_kv_pool_set_store_wait(fixture->pool, PATIENCE_MS);
}

static void close_store(struct store *store)
{
	tandem_kv_pool_set_store(store->fixture->pool, NULL);
	for (int i = 0; i < store->kept_count; i++)
		free(store->kept[i].bytes);
}

/* Each block of the prompt has bytes of its own. */
static void leave_behind(struct fixture *fixture, uint8_t tenant)
{
	struct tandem_kv_sequence sequence;

	share(&sequence, fixture, tenant);
	prefill(&sequence, fixture, text, LENGTH);
	for (uint32_t i = 0; i < sequence.block_count; i++)
		for (uint32_t layer = 0; layer < LAYERS; layer++)
			memset(block_bytes(fixture, layer, sequence.blocks[i]),
			       (int)(tenant * 64 + i * 8 + layer), block_size(fixture));
	tandem_kv_sequence_release(&sequence);
}

/* Is @blocks blocks what is found, with what belongs there? */
static void check_found(struct fixture *fixture, uint8_t tenant, uint32_t blocks)
{
	struct tandem_kv_sequence sequence;
	uint32_t matched;

	share(&sequence, fixture, tenant);
	assert_int_equal(tandem_kv_sequence_match(&sequence, text, LENGTH, &matched), 0);
	assert_int_equal(matched, blocks * TOKENS);
	for (uint32_t i = 0; i < sequence.block_count; i++)
		for (uint32_t layer = 0; layer < LAYERS; layer++)
			assert_int_equal(block_bytes(fixture, layer, sequence.blocks[i])[5],
					 tenant * 64 + i * 8 + layer);
	tandem_kv_sequence_release(&sequence);
}

static int restore_start(struct fixture *fixture, uint8_t tenant, struct tandem_operation *op)
{
	const struct tandem_kv_salt salt = { .bytes = { [31] = tenant } };

	return tandem_kv_pool_restore_start(fixture->pool, &salt, text, LENGTH, op);
}

static void test_there_and_back(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation op = { 0 };
	struct store store;

	open_store(&store, fixture);
	leave_behind(fixture, 1);
	leave_behind(fixture, 2);
	assert_int_equal(tandem_kv_pool_evict(fixture->pool, BLOCKS), 8);
	assert_int_equal(pool_stats(fixture).stored, 8);
	check_found(fixture, 1, 0);
	for (uint8_t tenant = 1; tenant <= 2; tenant++) {
		assert_int_equal(restore_start(fixture, tenant, &op), 1);
		assert_int_equal(tandem_loop_wait(fixture->loop, &op, PATIENCE_MS), 4);
		check_found(fixture, tenant, 4);
	}
	assert_int_equal(pool_stats(fixture).restored, 8);
	assert_int_equal(pool_stats(fixture).used, 0);
	/* Now there is nothing to bring, nor for somebody else. */
	assert_int_equal(restore_start(fixture, 1, &op), 0);
	assert_int_equal(restore_start(fixture, 3, &op), 0);
	close_store(&store);
}

static void test_only_the_end_is_missing(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation op = { 0 };
	struct store store;

	open_store(&store, fixture);
	leave_behind(fixture, 1);
	assert_int_equal(tandem_kv_pool_evict(fixture->pool, 2), 2);
	check_found(fixture, 1, 2);
	assert_int_equal(restore_start(fixture, 1, &op), 1);
	/* What it follows is held meanwhile. */
	assert_int_equal(pool_stats(fixture).used, 3);
	assert_int_equal(tandem_kv_pool_evict(fixture->pool, BLOCKS), 0);
	assert_int_equal(tandem_loop_wait(fixture->loop, &op, PATIENCE_MS), 2);
	check_found(fixture, 1, 4);
	close_store(&store);
}

static void test_store_that_wants_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation op = { 0 };
	struct store store;

	open_store(&store, fixture);
	store.answer = TANDEM_KV_NOT_TAKEN;
	leave_behind(fixture, 1);
	assert_int_equal(tandem_kv_pool_evict(fixture->pool, BLOCKS), 4);
	assert_int_equal(pool_stats(fixture).stored, 0);
	assert_int_equal(pool_stats(fixture).free, BLOCKS);
	assert_int_equal(restore_start(fixture, 1, &op), 0);
	close_store(&store);
	assert_int_equal(restore_start(fixture, 1, &op), 0);
}

static void test_store_that_holds(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_sequence all;
	struct store store;

	open_store(&store, fixture);
	store.answer = TANDEM_KV_HELD;
	leave_behind(fixture, 1);
	assert_int_equal(tandem_kv_pool_evict(fixture->pool, 1), 1);
	assert_int_equal(pool_stats(fixture).used, 1);
	assert_int_equal(pool_stats(fixture).cached, 3);
	store.answer = TANDEM_KV_TAKEN;
	tandem_kv_sequence_init(&all, fixture->pool);
	assert_int_equal(tandem_kv_sequence_reserve(&all, BLOCKS * TOKENS), -ENOSPC);
	tandem_kv_pool_unpin(fixture->pool, &store.held, 1);
	assert_int_equal(tandem_kv_sequence_reserve(&all, BLOCKS * TOKENS), 0);
	tandem_kv_sequence_release(&all);
	close_store(&store);
}

static void test_bringing_fails(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation op = { 0 };
	struct tandem_kv_sequence all;
	struct store store;

	open_store(&store, fixture);
	leave_behind(fixture, 1);
	tandem_kv_pool_evict(fixture->pool, BLOCKS);
	store.bring_ms = PATIENCE_MS;
	assert_int_equal(restore_start(fixture, 1, &op), 1);
	assert_int_equal(tandem_cancel(fixture->loop, &op), 0);
	assert_int_equal(tandem_loop_wait(fixture->loop, &op, PATIENCE_MS), -ECANCELED);
	assert_int_equal(pool_stats(fixture).free, BLOCKS);
	check_found(fixture, 1, 0);
	/* No room to bring it to. */
	tandem_kv_sequence_init(&all, fixture->pool);
	assert_int_equal(tandem_kv_sequence_reserve(&all, BLOCKS * TOKENS), 0);
	assert_int_equal(restore_start(fixture, 1, &op), -ENOSPC);
	assert_int_equal(op.pending, 0);
	tandem_kv_sequence_release(&all);
	close_store(&store);
}

/* The prompt is computed while it comes back: one of the two is kept. */
static void test_computed_meanwhile(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation op = { 0 };
	struct store store;

	open_store(&store, fixture);
	leave_behind(fixture, 1);
	tandem_kv_pool_evict(fixture->pool, BLOCKS);
	assert_int_equal(restore_start(fixture, 1, &op), 1);
	leave_behind(fixture, 1);
	assert_int_equal(tandem_loop_wait(fixture->loop, &op, PATIENCE_MS), 0);
	assert_int_equal(pool_stats(fixture).cached, 4);
	assert_int_equal(pool_stats(fixture).free, BLOCKS - 4);
	check_found(fixture, 1, 4);
	close_store(&store);
}

/* What is not there within this time is late. */
#define WAIT_MS	20

static void run_until_late(const struct fixture *fixture)
{
	while (!pool_stats(fixture).store_late)
		assert_true(tandem_loop_run(fixture->loop, PATIENCE_MS) >= 0);
}

/* @left blocks are cached; one hangs, and nobody can have it. */
static void check_hung(const struct store *store, uint32_t left)
{
	struct fixture *fixture = store->fixture;
	struct tandem_kv_sequence all;

	assert_int_equal(pool_stats(fixture).used, 1);
	tandem_kv_sequence_init(&all, fixture->pool);
	assert_int_equal(tandem_kv_sequence_reserve(&all, BLOCKS * TOKENS), -ENOSPC);
	assert_int_equal(pool_stats(fixture).cached, left);
	assert_int_equal(tandem_kv_sequence_reserve(&all, (BLOCKS - 1) * TOKENS), 0);
	for (uint32_t i = 0; i < all.block_count; i++)
		assert_int_not_equal(all.blocks[i], store->hung_block);
	tandem_kv_sequence_release(&all);
	assert_int_equal(pool_stats(fixture).free, BLOCKS - 1);
}

static void test_restore_hangs(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation op = { 0 };
	struct store store;

	open_store(&store, fixture);
	leave_behind(fixture, 1);
	tandem_kv_pool_evict(fixture->pool, BLOCKS);
	tandem_kv_pool_set_store_wait(fixture->pool, WAIT_MS);
	store.hangs_at = 1;
	assert_int_equal(restore_start(fixture, 1, &op), 1);
	assert_int_equal(tandem_loop_wait(fixture->loop, &op, PATIENCE_MS), -ETIMEDOUT);
	assert_non_null(store.hung);
	assert_int_equal(pool_stats(fixture).store_late, 1);
	assert_int_equal(pool_stats(fixture).overdue, 1);
	/* It is left alone: neither asked, nor offered anything. */
	assert_int_equal(restore_start(fixture, 1, &op), 0);
	leave_behind(fixture, 2);
	check_hung(&store, 4);
	assert_int_equal(store.kept_count, 4);
	answer(&store);
	assert_int_equal(pool_stats(fixture).overdue, 0);
	assert_int_equal(pool_stats(fixture).free, BLOCKS);
	check_found(fixture, 1, 0);
	/* For a while; but what ends it is not waited for here. */
	assert_int_equal(restore_start(fixture, 1, &op), 0);
	kv_store_try_again(fixture->pool);
	tandem_kv_pool_set_store_wait(fixture->pool, PATIENCE_MS);
	assert_int_equal(restore_start(fixture, 1, &op), 1);
	assert_int_equal(tandem_loop_wait(fixture->loop, &op, PATIENCE_MS), 4);
	check_found(fixture, 1, 4);
	close_store(&store);
}

/* What has come by then is there. */
static void test_restore_hangs_later(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation op = { 0 };
	struct store store;

	open_store(&store, fixture);
	leave_behind(fixture, 1);
	tandem_kv_pool_evict(fixture->pool, BLOCKS);
	tandem_kv_pool_set_store_wait(fixture->pool, WAIT_MS);
	store.hangs_at = 3;
	assert_int_equal(restore_start(fixture, 1, &op), 1);
	assert_int_equal(tandem_loop_wait(fixture->loop, &op, PATIENCE_MS), 2);
	assert_int_equal(pool_stats(fixture).store_late, 1);
	check_found(fixture, 1, 2);
	/* Of the prefix nothing is held any more. */
	check_hung(&store, 2);
	answer(&store);
	close_store(&store);
}

/* Who cancels is told at once, and the store may be used by others. */
static void test_cancelled_while_it_hangs(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation op = { 0 };
	struct tandem_kv_sequence most;
	struct store store;

	open_store(&store, fixture);
	leave_behind(fixture, 1);
	leave_behind(fixture, 2);
	tandem_kv_pool_evict(fixture->pool, BLOCKS);
	store.hangs_at = 1;
	assert_int_equal(restore_start(fixture, 1, &op), 1);
	assert_int_equal(tandem_cancel(fixture->loop, &op), 0);
	assert_int_equal(tandem_loop_wait(fixture->loop, &op, PATIENCE_MS), -ECANCELED);
	assert_int_equal(pool_stats(fixture).store_late, 0);
	assert_int_equal(restore_start(fixture, 2, &op), 1);
	assert_int_equal(tandem_loop_wait(fixture->loop, &op, PATIENCE_MS), 4);
	check_found(fixture, 2, 4);
	/* Who needs the block counts upon it, but not for ever. */
	tandem_kv_pool_set_store_wait(fixture->pool, WAIT_MS);
	tandem_kv_sequence_init(&most, fixture->pool);
	assert_int_equal(tandem_kv_sequence_reserve(&most, (BLOCKS - 1) * TOKENS), -ENOSPC);
	tandem_kv_sequence_release(&most);
	assert_int_equal(pool_stats(fixture).cached, 1);
	run_until_late(fixture);
	check_hung(&store, 1);
	answer(&store);
	assert_int_equal(pool_stats(fixture).used, 0);
	close_store(&store);
}

/* The disk is steady, but slower than computing the blocks would be; or it is not. */
static void check_slow(struct fixture *fixture, uint64_t block_ns, bool late)
{
	struct tandem_operation op = { 0 };
	struct store store;
	int brought;

	open_store(&store, fixture);
	leave_behind(fixture, 1);
	tandem_kv_pool_evict(fixture->pool, BLOCKS);
	tandem_kv_pool_set_store_wait(fixture->pool, WAIT_MS);
	store.bring_ms = WAIT_MS - 1;
	fixture->pool->block_ns = block_ns;
	assert_int_equal(restore_start(fixture, 1, &op), 1);
	brought = tandem_loop_wait(fixture->loop, &op, PATIENCE_MS);
	assert_int_equal(pool_stats(fixture).store_late, late);
	if (late)
		assert_in_range(brought, 1, 3);
	else
		assert_int_equal(brought, 4);
	check_found(fixture, 1, (uint32_t)brought);
	/* The one that is cut short. */
	while (pool_stats(fixture).used)
		assert_true(tandem_loop_run(fixture->loop, PATIENCE_MS) >= 0);
	tandem_kv_pool_evict(fixture->pool, BLOCKS);
	close_store(&store);
}

static void test_slower_than_computing(void **state)
{
	struct fixture *fixture = *state;

	check_slow(fixture, 0, false);
	check_slow(fixture, PATIENCE_MS * 1000000ull, false);
	check_slow(fixture, 1000, true);
}

/* A store that is about to keep two blocks of a full cache, and has not yet. */
static void hold_two(struct fixture *fixture, struct store *store, uint32_t *held)
{
	open_store(store, fixture);
	tandem_kv_pool_set_store_wait(fixture->pool, WAIT_MS);
	for (uint8_t tenant = 1; tenant <= BLOCKS / 4; tenant++)
		leave_behind(fixture, tenant);
	store->answer = TANDEM_KV_HELD;
	for (int i = 0; i < 2; i++) {
		tandem_kv_pool_evict(fixture->pool, 1);
		held[i] = store->held;
	}
}

/* The store holds blocks that somebody waits for, and does not give them back. */
static void test_held_for_too_long(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_sequence sequence;
	struct store store;
	uint32_t held[2];

	hold_two(fixture, &store, held);
	tandem_kv_sequence_init(&sequence, fixture->pool);
	assert_int_equal(tandem_kv_sequence_reserve(&sequence, 2 * TOKENS), -ENOSPC);
	assert_int_equal(pool_stats(fixture).cached, BLOCKS - 2);
	run_until_late(fixture);
	assert_int_equal(store.releases, 1);
	/* Others go instead, and not to that store. */
	assert_int_equal(tandem_kv_sequence_reserve(&sequence, 2 * TOKENS), 0);
	assert_int_equal(pool_stats(fixture).cached, BLOCKS - 4);
	assert_int_equal(store.kept_count, 2);
	for (uint32_t i = 0; i < sequence.block_count; i++)
		assert_true(sequence.blocks[i] != held[0] && sequence.blocks[i] != held[1]);
	tandem_kv_sequence_release(&sequence);
	tandem_kv_pool_unpin(fixture->pool, held, 2);
	assert_int_equal(pool_stats(fixture).overdue, 0);
	assert_int_equal(pool_stats(fixture).used, 0);
	close_store(&store);
}

/* The store may take its time with what nobody lacks any more. */
static void test_held_and_not_wanted(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation pause = { 0 };
	struct tandem_kv_sequence sequence;
	struct store store;
	uint32_t held[2];

	hold_two(fixture, &store, held);
	tandem_kv_sequence_init(&sequence, fixture->pool);
	assert_int_equal(tandem_kv_sequence_reserve(&sequence, TOKENS), -ENOSPC);
	tandem_kv_pool_unpin(fixture->pool, &held[0], 1);
	assert_int_equal(tandem_kv_sequence_reserve(&sequence, TOKENS), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(tandem_timer_start(fixture->loop, 2 * WAIT_MS, &pause), 0);
		assert_int_equal(tandem_loop_wait(fixture->loop, &pause, PATIENCE_MS), 0);
	}
	assert_int_equal(pool_stats(fixture).store_late, 0);
	/* Until somebody does. */
	assert_int_equal(tandem_kv_sequence_reserve(&sequence, 2 * TOKENS), -ENOSPC);
	run_until_late(fixture);
	assert_int_equal(tandem_kv_sequence_reserve(&sequence, 2 * TOKENS), 0);
	tandem_kv_sequence_release(&sequence);
	tandem_kv_pool_unpin(fixture->pool, &held[1], 1);
	close_store(&store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KV_TEST(test_there_and_back),
		KV_TEST(test_only_the_end_is_missing),
		KV_TEST(test_store_that_wants_nothing),
		KV_TEST(test_store_that_holds),
		KV_TEST(test_bringing_fails),
		KV_TEST(test_computed_meanwhile),
		KV_TEST(test_restore_hangs),
		KV_TEST(test_restore_hangs_later),
		KV_TEST(test_cancelled_while_it_hangs),
		KV_TEST(test_slower_than_computing),
		KV_TEST(test_held_for_too_long),
		KV_TEST(test_held_and_not_wanted),
	};

	return cmocka_run_group_tests_name("kv_store", tests, NULL, NULL);
}
