// SPDX-License-Identifier: MIT
/*
 * Sequences: blocks in the order of tokens, and what is known to be in them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kv.h"

/* In place of a number of an entry: there is none that later ones could follow. */
#define ENTRY_NONE	UINT64_MAX

void tandem_kv_sequence_init(struct tandem_kv_sequence *sequence, struct tandem_kv_pool *pool)
{
	memset(sequence, 0, sizeof(*sequence));
	sequence->pool = pool;
}

/* Back to the beginning of the chain of hashes. */
static void chain_begin(struct tandem_kv_sequence *sequence)
{
	sequence->hash = kv_hash_salt(sequence->pool, &sequence->salt);
	sequence->chain_block = KV_NONE;
	sequence->chain_entry = 0;
}

int tandem_kv_sequence_share(struct tandem_kv_sequence *sequence,
			     const struct tandem_kv_salt *salt)
{
	if (sequence->token_count)
		return -EBUSY;
	sequence->shared = 1;
	sequence->salt = *salt;
	chain_begin(sequence);
	return 0;
}

uint32_t kv_blocks_for(const struct tandem_kv_pool *pool, uint64_t tokens)
{
	const uint32_t block_tokens = pool->layout.block_tokens;

	return (uint32_t)(tokens / block_tokens + (tokens % block_tokens != 0));
}

int kv_sequence_grow(struct tandem_kv_sequence *sequence, uint32_t block_count)
{
	uint64_t capacity = sequence->capacity;
	uint32_t *blocks;

	if (!sequence->tail) {
		sequence->tail = calloc(sequence->pool->layout.block_tokens,
					sizeof(*sequence->tail));
		if (!sequence->tail)
			return -ENOMEM;
	}
	if (block_count <= capacity)
		return 0;
	capacity = block_count + capacity / 2;
	if (capacity > UINT32_MAX)
		capacity = block_count;
	blocks = reallocarray(sequence->blocks, capacity, sizeof(*blocks));
	if (!blocks)
		return -ENOMEM;
	sequence->blocks = blocks;
	sequence->capacity = (uint32_t)capacity;
	return 0;
}

int tandem_kv_sequence_reserve(struct tandem_kv_sequence *sequence, uint32_t tokens)
{
	struct tandem_kv_pool *pool = sequence->pool;
	const uint32_t needed = kv_blocks_for(pool, tokens);
	const uint32_t had = sequence->block_count;
	int ret;

	if (needed <= had)
		return 0;
	/* Before memory is asked for: no pool is too small for what was a mistake. */
	if (needed - had > tandem_kv_pool_free_blocks(pool))
		return -ENOSPC;
	ret = kv_sequence_grow(sequence, needed);
	if (!ret)
		ret = kv_pool_make_room(pool, needed - had);
	if (ret)
		return ret;
	kv_map_take(&pool->map, had ? sequence->blocks[had - 1] : KV_NONE, needed - had,
		    sequence->blocks + had);
	while (sequence->block_count < needed)
		pool->blocks[sequence->blocks[sequence->block_count++]].references = 1;
	return 0;
}

void tandem_kv_sequence_release(struct tandem_kv_sequence *sequence)
{
	const struct tandem_kv_sequence old = *sequence;
	struct tandem_kv_pool *pool = old.pool;

	kv_copy_detach(sequence);
	/* Backwards: of a prefix the end is the first to be evicted. */
	for (uint32_t i = old.block_count; i--;)
		kv_block_drop(pool, old.blocks[i], &pool->blocks[old.blocks[i]].references);
	free(old.blocks);
	free(old.tail);
	tandem_kv_sequence_init(sequence, pool);
	if (old.shared)
		tandem_kv_sequence_share(sequence, &old.salt);
}

int tandem_kv_sequence_match(struct tandem_kv_sequence *sequence, const uint32_t *tokens,
			     uint32_t count, uint32_t *matched)
{
	struct tandem_kv_pool *pool = sequence->pool;
	const uint32_t block_tokens = pool->layout.block_tokens;
	const uint32_t wanted = count / block_tokens;

	*matched = 0;
	if (sequence->block_count || sequence->token_count)
		return -EBUSY;
	if (!sequence->shared || !wanted)
		return 0;
	if (kv_sequence_grow(sequence, wanted) < 0)
		return -ENOMEM;
	while (sequence->block_count < wanted) {
		const uint32_t *next = tokens + (size_t)sequence->block_count * block_tokens;
		const struct kv_content content = {
			.parent = sequence->chain_block,
			.hash = kv_hash_block(pool, &sequence->hash, next),
			.salt = &sequence->salt,
			.tokens = next,
		};
		const uint32_t block = kv_cache_find(pool, &content);

		if (block == KV_NONE)
			break;
		kv_block_hold(pool, block, &pool->blocks[block].references);
		sequence->blocks[sequence->block_count++] = block;
		sequence->hash = content.hash;
		sequence->chain_block = block;
		sequence->chain_entry = pool->blocks[block].entry;
	}
	sequence->token_count = sequence->block_count * block_tokens;
	pool->stats.hits += sequence->block_count;
	pool->stats.misses += wanted - sequence->block_count;
	pool->stats.reused_bytes += sequence->block_count * kv_pool_block_bytes(pool);
	*matched = sequence->token_count;
	return 0;
}

/* Is what the next full block would follow still indexed? */
static bool chain_holds(const struct tandem_kv_sequence *sequence)
{
	if (sequence->chain_block == KV_NONE)
		return sequence->chain_entry != ENTRY_NONE;
	return sequence->pool->blocks[sequence->chain_block].entry == sequence->chain_entry;
}

/*
 * A block has become full: have others find it. Where another block has the same
 * content, that one stays the one to find. It can have been evicted by the time
 * the next block is full; what follows then cannot be found, and is not indexed.
 */
static void index_full_block(struct tandem_kv_sequence *sequence, uint32_t block)
{
	struct tandem_kv_pool *pool = sequence->pool;
	const struct kv_content content = {
		.parent = sequence->chain_block,
		.hash = kv_hash_block(pool, &sequence->hash, sequence->tail),
		.salt = &sequence->salt,
		.tokens = sequence->tail,
	};
	uint32_t found;

	if (!chain_holds(sequence)) {
		sequence->chain_block = KV_NONE;
		sequence->chain_entry = ENTRY_NONE;
		return;
	}
	found = kv_cache_find(pool, &content);
	if (found == KV_NONE) {
		kv_cache_insert(pool, block, &content);
		found = block;
	}
	sequence->hash = content.hash;
	sequence->chain_block = found;
	sequence->chain_entry = pool->blocks[found].entry;
}

int tandem_kv_sequence_commit(struct tandem_kv_sequence *sequence, const uint32_t *tokens,
			      uint32_t count)
{
	const uint32_t block_tokens = sequence->pool->layout.block_tokens;

	if (sequence->copy)
		return -EBUSY;
	if (count > sequence->writable)
		return -EINVAL;
	for (uint32_t i = 0; i < count; i++) {
		const uint32_t block = sequence->token_count / block_tokens;

		sequence->tail[sequence->token_count++ % block_tokens] = tokens[i];
		if (sequence->shared && sequence->token_count % block_tokens == 0)
			index_full_block(sequence, sequence->blocks[block]);
	}
	sequence->writable -= count;
	return 0;
}

void tandem_kv_sequence_cancel(struct tandem_kv_sequence *sequence)
{
	sequence->writable = 0;
}

int tandem_kv_sequence_fork(const struct tandem_kv_sequence *sequence,
			    struct tandem_kv_sequence *fork)
{
	struct tandem_kv_pool *pool = sequence->pool;
	const uint32_t held = kv_blocks_for(pool, sequence->token_count);
	struct tandem_kv_sequence new;

	if (sequence->writable || sequence->copy)
		return -EBUSY;
	tandem_kv_sequence_init(&new, pool);
	if (kv_sequence_grow(&new, held) < 0) {
		free(new.tail);
		return -ENOMEM;
	}
	if (sequence->tail)
		memcpy(new.tail, sequence->tail,
		       pool->layout.block_tokens * sizeof(*new.tail));
	for (uint32_t i = 0; i < held; i++) {
		new.blocks[i] = sequence->blocks[i];
		kv_block_hold(pool, new.blocks[i], &pool->blocks[new.blocks[i]].references);
	}
	new.block_count = held;
	new.token_count = sequence->token_count;
	new.shared = sequence->shared;
	new.salt = sequence->salt;
	new.hash = sequence->hash;
	new.chain_block = sequence->chain_block;
	new.chain_entry = sequence->chain_entry;
	*fork = new;
	return 0;
}

bool kv_sequence_may_write(const struct tandem_kv_sequence *sequence, uint32_t position,
			   uint32_t rows)
{
	const uint32_t block_tokens = sequence->pool->layout.block_tokens;
	const uint32_t last = (uint32_t)(((uint64_t)position + rows - 1) / block_tokens);

	for (uint32_t i = position / block_tokens; i <= last; i++)
		if (i >= sequence->block_count ||
		    !kv_block_is_writable(sequence->pool, sequence->blocks[i]))
			return false;
	return true;
}
