// SPDX-License-Identifier: MIT
/*
 * The index of blocks by their content, and the list of those that are kept
 * though nobody holds them.
 *
 * The list is in the order in which blocks were let go. A block is used while one
 * behind it is, so it always comes after those in the list: whatever is first has
 * nothing behind it in the index, and ends can be cut off prefixes but never
 * their middle.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kv.h"

int kv_cache_init(struct tandem_kv_pool *pool)
{
	const uint64_t blocks = pool->layout.blocks;
	uint64_t buckets = 1;

	/* About one block a bucket when all of them are indexed. */
	while (buckets < blocks && buckets < 1ull << 31)
		buckets *= 2;
	pool->tokens = calloc(blocks, pool->layout.block_tokens * sizeof(*pool->tokens));
	pool->buckets = malloc(buckets * sizeof(*pool->buckets));
	if (!pool->tokens || !pool->buckets)
		return -ENOMEM;
	memset(pool->buckets, 0xff, buckets * sizeof(*pool->buckets));
	pool->bucket_mask = (uint32_t)(buckets - 1);
	pool->oldest = KV_NONE;
	pool->newest = KV_NONE;
	return 0;
}

void kv_cache_destroy(struct tandem_kv_pool *pool)
{
	free(pool->buckets);
	free(pool->tokens);
}

static uint32_t *tokens_of(const struct tandem_kv_pool *pool, uint32_t block)
{
	return pool->tokens + (uint64_t)block * pool->layout.block_tokens;
}

static uint32_t *bucket_of(const struct tandem_kv_pool *pool, const struct tandem_kv_hash *hash)
{
	return &pool->buckets[hash->low & pool->bucket_mask];
}

/*
 * The prefix before is the same one: it was found as @parent by the same
 * comparison. So two contents are the same exactly when this says so.
 */
static bool has_content(const struct tandem_kv_pool *pool, uint32_t number,
			const struct kv_content *content)
{
	const struct kv_block *block = &pool->blocks[number];

	return block->hash.low == content->hash.low && block->hash.high == content->hash.high &&
	       block->parent == content->parent &&
	       (block->parent != KV_NONE ||
		!memcmp(&block->salt, content->salt, sizeof(block->salt))) &&
	       !memcmp(tokens_of(pool, number), content->tokens,
		       pool->layout.block_tokens * sizeof(*content->tokens));
}

uint32_t kv_cache_find(const struct tandem_kv_pool *pool, const struct kv_content *content)
{
	uint32_t block = *bucket_of(pool, &content->hash);

	while (block != KV_NONE && !has_content(pool, block, content))
		block = pool->blocks[block].next;
	return block;
}

void kv_cache_insert(struct tandem_kv_pool *pool, uint32_t number,
		     const struct kv_content *content)
{
	uint32_t *bucket = bucket_of(pool, &content->hash);
	struct kv_block *block = &pool->blocks[number];

	block->entry = ++pool->entries;
	block->hash = content->hash;
	block->salt = *content->salt;
	block->parent = content->parent;
	memcpy(tokens_of(pool, number), content->tokens,
	       pool->layout.block_tokens * sizeof(*content->tokens));
	block->next = *bucket;
	*bucket = number;
	pool->indexed++;
	if (block->parent != KV_NONE)
		kv_block_hold(pool, block->parent, &pool->blocks[block->parent].children);
}

static void take_out(struct tandem_kv_pool *pool, uint32_t number)
{
	struct kv_block *block = &pool->blocks[number];
	uint32_t *link = bucket_of(pool, &block->hash);

	while (*link != number)
		link = &pool->blocks[*link].next;
	*link = block->next;
	block->entry = 0;
	pool->indexed--;
}

void kv_cache_add_idle(struct tandem_kv_pool *pool, uint32_t number)
{
	struct kv_block *block = &pool->blocks[number];

	block->older = pool->newest;
	block->newer = KV_NONE;
	if (pool->newest != KV_NONE)
		pool->blocks[pool->newest].newer = number;
	else
		pool->oldest = number;
	pool->newest = number;
	pool->cached++;
}

void kv_cache_remove_idle(struct tandem_kv_pool *pool, uint32_t number)
{
	struct kv_block *block = &pool->blocks[number];

	if (block->older != KV_NONE)
		pool->blocks[block->older].newer = block->newer;
	else
		pool->oldest = block->newer;
	if (block->newer != KV_NONE)
		pool->blocks[block->newer].older = block->older;
	else
		pool->newest = block->older;
	pool->cached--;
}

void kv_cache_evict(struct tandem_kv_pool *pool)
{
	const uint32_t number = pool->oldest;
	struct kv_block *block = &pool->blocks[number];
	const struct kv_content content = {
		.parent = block->parent,
		.hash = block->hash,
		.salt = &block->salt,
		.tokens = tokens_of(pool, number),
	};
	const int taken = kv_store_take(pool, number, &content);

	kv_cache_remove_idle(pool, number);
	take_out(pool, number);
	if (taken == TANDEM_KV_HELD) {
		block->pins++;
		kv_store_lend(pool, number);
	} else {
		kv_map_give(&pool->map, number);
	}
	pool->stats.evictions++;
}
