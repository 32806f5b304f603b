// SPDX-License-Identifier: MIT
/*
 * Prefix reuse: what is found, by whom, and what is given up first.
 */
#include <errno.h>
#include <string.h>

#include "fixture.h"

static const uint32_t text[] = { 10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33, 40, 41, 42, 43 };
static const uint32_t other[] = { 10, 11, 12, 13, 20, 21, 99, 23, 30, 31, 32, 33, 40, 41, 42, 43 };

#define LENGTH	((uint32_t)(sizeof(text) / sizeof(text[0])))

static uint32_t cached_of(struct fixture *fixture, uint8_t tenant, const uint32_t *tokens,
			  uint32_t count)
{
	struct tandem_kv_sequence sequence;
	uint32_t matched;

	share(&sequence, fixture, tenant);
	assert_int_equal(tandem_kv_sequence_match(&sequence, tokens, count, &matched), 0);
	tandem_kv_sequence_release(&sequence);
	return matched;
}

static void leave_behind(struct fixture *fixture, uint8_t tenant, const uint32_t *tokens,
			 uint32_t count)
{
	struct tandem_kv_sequence sequence;

	share(&sequence, fixture, tenant);
	prefill(&sequence, fixture, tokens, count);
	tandem_kv_sequence_release(&sequence);
}

static void test_longest_prefix(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_sequence first, second;
	uint32_t matched;

	share(&first, fixture, 1);
	assert_int_equal(prefill(&first, fixture, text, LENGTH - 1), 0);
	/* While the first is still there, and after. */
	assert_int_equal(cached_of(fixture, 1, text, LENGTH), 12);
	share(&second, fixture, 1);
	assert_int_equal(tandem_kv_sequence_match(&second, text, LENGTH, &matched), 0);
	assert_int_equal(matched, 12);
	assert_int_equal(second.token_count, 12);
	assert_memory_equal(first.blocks, second.blocks, 3 * sizeof(uint32_t));
	assert_false(kv_sequence_may_write(&second, 11, 1));
	tandem_kv_sequence_release(&second);
	tandem_kv_sequence_release(&first);
	assert_int_equal(pool_stats(fixture).cached, 3);

	assert_int_equal(cached_of(fixture, 1, text, LENGTH), 12);
	assert_int_equal(cached_of(fixture, 1, text, 11), 8);
	assert_int_equal(cached_of(fixture, 1, text, 3), 0);
	assert_int_equal(cached_of(fixture, 1, other, LENGTH), 4);
	/* The same block, but not behind the same. */
	assert_int_equal(cached_of(fixture, 1, text + 4, 8), 0);
}

static void test_statistics(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_pool_stats stats;

	leave_behind(fixture, 1, text, LENGTH);
	stats = pool_stats(fixture);
	assert_int_equal(stats.hits, 0);
	assert_int_equal(stats.misses, 3);
	assert_int_equal(stats.cached, 4);
	cached_of(fixture, 1, other, LENGTH);
	stats = pool_stats(fixture);
	assert_int_equal(stats.hits, 1);
	assert_int_equal(stats.misses, 6);
	assert_int_equal(stats.reused_bytes, kv_pool_block_bytes(fixture->pool));
	assert_int_equal(tandem_kv_pool_evict(fixture->pool, 3), 3);
	assert_int_equal(pool_stats(fixture).evictions, 3);
	assert_int_equal(tandem_kv_pool_evict(fixture->pool, 3), 1);
	assert_int_equal(pool_stats(fixture).free, BLOCKS);
}

static void test_tenants_are_apart(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_sequence alone;
	uint32_t matched;

	leave_behind(fixture, 1, text, LENGTH);
	assert_int_equal(cached_of(fixture, 2, text, LENGTH), 0);
	tandem_kv_sequence_init(&alone, fixture->pool);
	assert_int_equal(tandem_kv_sequence_match(&alone, text, LENGTH, &matched), 0);
	assert_int_equal(matched, 0);
	/* Nor does it leave anything. */
	extend(&alone, fixture, text, LENGTH);
	tandem_kv_sequence_release(&alone);
	assert_int_equal(pool_stats(fixture).cached, 4);
	leave_behind(fixture, 2, text, LENGTH);
	assert_int_equal(cached_of(fixture, 2, text, LENGTH), LENGTH);
	assert_int_equal(pool_stats(fixture).cached, 8);
	/* A released sequence is still the tenant's. */
	share(&alone, fixture, 2);
	tandem_kv_sequence_release(&alone);
	assert_int_equal(tandem_kv_sequence_match(&alone, text, LENGTH, &matched), 0);
	assert_int_equal(matched, LENGTH);
	tandem_kv_sequence_release(&alone);
}

static void test_only_what_was_committed(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_sequence sequence;

	share(&sequence, fixture, 1);
	assert_int_equal(tandem_kv_sequence_append(&sequence, LENGTH, NULL, NULL), 0);
	assert_int_equal(cached_of(fixture, 1, text, LENGTH), 0);
	assert_int_equal(tandem_kv_sequence_commit(&sequence, text, 6), 0);
	assert_int_equal(cached_of(fixture, 1, text, LENGTH), 4);
	tandem_kv_sequence_cancel(&sequence);
	assert_int_equal(tandem_kv_sequence_commit(&sequence, text + 6, 2), -EINVAL);
	tandem_kv_sequence_release(&sequence);
	assert_int_equal(pool_stats(fixture).cached, 1);
	assert_int_equal(cached_of(fixture, 1, text, LENGTH), 4);
}

/* Contents with one hash, which no test could find in its life, are told apart. */
static void test_collisions(void **state)
{
	struct fixture *fixture = *state;
	const struct tandem_kv_pool *pool = fixture->pool;
	struct tandem_kv_sequence sequence;
	struct kv_content content;
	uint32_t first, second;

	share(&sequence, fixture, 1);
	assert_int_equal(tandem_kv_sequence_reserve(&sequence, 3 * TOKENS), 0);
	extend(&sequence, fixture, text, TOKENS);
	first = sequence.blocks[0];
	second = sequence.blocks[1];
	content = (struct kv_content) {
		.parent = KV_NONE,
		.hash = pool->blocks[first].hash,
		.salt = &sequence.salt,
		.tokens = text,
	};
	assert_int_equal(kv_cache_find(pool, &content), first);
	content.tokens = text + TOKENS;
	assert_int_equal(kv_cache_find(pool, &content), KV_NONE);
	kv_cache_insert(fixture->pool, second, &content);
	assert_int_equal(kv_cache_find(pool, &content), second);
	/* Of another prefix. */
	content.parent = first;
	assert_int_equal(kv_cache_find(pool, &content), KV_NONE);
	/* Of another tenant. */
	content.parent = KV_NONE;
	content.tokens = text;
	content.salt = &(struct tandem_kv_salt) { .bytes = { 7 } };
	assert_int_equal(kv_cache_find(pool, &content), KV_NONE);
	content.salt = &sequence.salt;
	assert_int_equal(kv_cache_find(pool, &content), first);
	tandem_kv_sequence_release(&sequence);
	/* Whichever goes, the other stays. */
	assert_int_equal(tandem_kv_pool_evict(fixture->pool, 1), 1);
	assert_int_equal(kv_cache_find(pool, &content), first);
}

static void test_hash_covers_everything(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_pool *pool = fixture->pool;
	const struct tandem_kv_salt salts[2] = { { { 0 } }, { { 1 } } };
	struct tandem_kv_hash start = kv_hash_salt(pool, &salts[0]), hash, same;

	hash = kv_hash_block(pool, &start, text);
	same = kv_hash_block(pool, &start, text);
	assert_memory_equal(&hash, &same, sizeof(hash));
	same = kv_hash_block(pool, &start, text + TOKENS);
	assert_memory_not_equal(&hash, &same, sizeof(hash));
	same = kv_hash_salt(pool, &salts[1]);
	assert_memory_not_equal(&start, &same, sizeof(start));
	assert_int_equal(tandem_kv_pool_set_identity(pool, "another model", 13), 0);
	same = kv_hash_salt(pool, &salts[0]);
	assert_memory_not_equal(&start, &same, sizeof(start));
	leave_behind(fixture, 1, text, LENGTH);
	assert_int_equal(tandem_kv_pool_set_identity(pool, "a third", 7), -EBUSY);
}

static void test_least_recently_used_goes_first(void **state)
{
	struct fixture *fixture = *state;
	static const uint32_t third[LENGTH] = { 7 };

	leave_behind(fixture, 1, text, LENGTH);
	leave_behind(fixture, 1, third, LENGTH);
	/* Used again. */
	assert_int_equal(cached_of(fixture, 1, text, LENGTH), LENGTH);
	assert_int_equal(tandem_kv_pool_evict(fixture->pool, 1), 1);
	assert_int_equal(cached_of(fixture, 1, third, LENGTH), LENGTH - TOKENS);
	assert_int_equal(cached_of(fixture, 1, text, LENGTH), LENGTH);
	assert_int_equal(tandem_kv_pool_evict(fixture->pool, 3), 3);
	assert_int_equal(cached_of(fixture, 1, third, LENGTH), 0);
	assert_int_equal(cached_of(fixture, 1, text, LENGTH), LENGTH);
}

static void test_ends_go_before_beginnings(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_sequence holder;
	uint32_t matched;

	/* Two that begin alike: the beginning is the last to go. */
	leave_behind(fixture, 1, text, LENGTH);
	leave_behind(fixture, 1, other, LENGTH);
	assert_int_equal(pool_stats(fixture).cached, 7);
	for (uint32_t left = 7; left; left--) {
		assert_int_equal(cached_of(fixture, 1, text, 4), 4);
		assert_int_equal(tandem_kv_pool_evict(fixture->pool, 1), 1);
	}
	/* What holds the middle keeps the beginning, and only that. */
	leave_behind(fixture, 1, text, LENGTH);
	share(&holder, fixture, 1);
	assert_int_equal(tandem_kv_sequence_match(&holder, text, 8, &matched), 0);
	assert_int_equal(tandem_kv_pool_evict(fixture->pool, BLOCKS), 2);
	assert_int_equal(cached_of(fixture, 1, text, LENGTH), 8);
	tandem_kv_sequence_release(&holder);
}

static void test_full_pool_takes_cached_blocks(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_sequence large;

	leave_behind(fixture, 1, text, LENGTH);
	tandem_kv_sequence_init(&large, fixture->pool);
	assert_int_equal(tandem_kv_sequence_reserve(&large, (BLOCKS + 1) * TOKENS), -ENOSPC);
	/* It was of no use to evict anything, so nothing was. */
	assert_int_equal(pool_stats(fixture).evictions, 0);
	assert_int_equal(tandem_kv_sequence_reserve(&large, (BLOCKS - 2) * TOKENS), 0);
	assert_int_equal(pool_stats(fixture).evictions, 2);
	assert_int_equal(cached_of(fixture, 1, text, LENGTH), 8);
	tandem_kv_sequence_release(&large);
}

/* The same prompt at the same time: computed twice, kept once. */
static void test_same_prompt_twice(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_sequence first, second;

	share(&first, fixture, 1);
	share(&second, fixture, 1);
	extend(&first, fixture, text, 8);
	extend(&second, fixture, text, 8);
	assert_int_not_equal(first.blocks[0], second.blocks[0]);
	assert_int_equal(pool_stats(fixture).indexed, 2);
	/* The second goes on behind blocks that are the first's. */
	extend(&second, fixture, text + 8, 4);
	tandem_kv_sequence_release(&first);
	assert_int_equal(tandem_kv_pool_evict(fixture->pool, BLOCKS), 0);
	assert_int_equal(cached_of(fixture, 1, text, LENGTH), 12);
	tandem_kv_sequence_release(&second);
	assert_int_equal(pool_stats(fixture).cached, 3);

	/* When what it would follow is gone, it leaves nothing. */
	assert_int_equal(tandem_kv_pool_evict(fixture->pool, BLOCKS), 3);
	extend(&first, fixture, text, 8);
	extend(&second, fixture, text, 8);
	tandem_kv_sequence_release(&first);
	assert_int_equal(tandem_kv_pool_evict(fixture->pool, BLOCKS), 2);
	extend(&second, fixture, text + 8, 8);
	assert_int_equal(pool_stats(fixture).indexed, 0);
	tandem_kv_sequence_release(&second);
	assert_int_equal(pool_stats(fixture).free, BLOCKS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KV_TEST(test_longest_prefix),
		KV_TEST(test_statistics),
		KV_TEST(test_tenants_are_apart),
		KV_TEST(test_only_what_was_committed),
		KV_TEST(test_collisions),
		KV_TEST(test_hash_covers_everything),
		KV_TEST(test_least_recently_used_goes_first),
		KV_TEST(test_ends_go_before_beginnings),
		KV_TEST(test_full_pool_takes_cached_blocks),
		KV_TEST(test_same_prompt_twice),
	};

	return cmocka_run_group_tests_name("kv_cache", tests, NULL, NULL);
}
