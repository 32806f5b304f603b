// SPDX-License-Identifier: MIT
/*
 * The paged KV pool: which block belongs to whom. What is in the blocks is not
 * looked at here.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/kv.h>

#include "error.h"
#include "kv.h"

/**
 * struct tandem_kv_pool - a pool
 * @layout: its shape
 * @memory: of the device
 * @free: one bit for each block that nobody has
 * @free_count: bits set in @free
 *
 * Belongs to the loop's thread, as the device does.
 */
struct tandem_kv_pool {
	struct tandem_kv_layout layout;
	struct tandem_memory *memory;
	uint64_t *free;
	uint32_t free_count;
};

static void mark(struct tandem_kv_pool *pool, uint32_t first, uint32_t count, bool available)
{
	uint32_t block;

	for (block = first; block < first + count; block++) {
		uint64_t bit = 1ull << block % 64;

		if (available)
			pool->free[block / 64] |= bit;
		else
			pool->free[block / 64] &= ~bit;
	}
	pool->free_count += available ? count : -count;
}

static bool is_free(const struct tandem_kv_pool *pool, uint32_t block)
{
	return block < pool->layout.blocks && pool->free[block / 64] >> block % 64 & 1;
}

int tandem_kv_pool_create(struct tandem_device *device, const struct tandem_kv_layout *layout,
			  struct tandem_kv_pool **pool, struct tandem_error *error)
{
	struct tandem_kv_pool *new;
	uint64_t bytes;
	int ret;

	ret = kv_layout_check(layout, &bytes);
	if (ret < 0)
		return kv_layout_error(layout, ret, error);
	new = calloc(1, sizeof(*new));
	if (!new)
		goto no_memory;
	new->layout = *layout;
	new->free = calloc(((uint64_t)layout->blocks + 63) / 64, sizeof(*new->free));
	if (!new->free)
		goto free_pool;
	mark(new, 0, layout->blocks, true);
	ret = tandem_memory_alloc(device, bytes, &new->memory, error);
	if (ret < 0) {
		free(new->free);
		free(new);
		return ret;
	}
	*pool = new;
	return 0;

free_pool:
	free(new);
no_memory:
	return tandem_error_set(error, -ENOMEM, "KV pool: out of memory for its table");
}

void tandem_kv_pool_destroy(struct tandem_kv_pool *pool)
{
	if (!pool)
		return;
	tandem_memory_free(pool->memory);
	free(pool->free);
	free(pool);
}

const struct tandem_kv_layout *tandem_kv_pool_layout(const struct tandem_kv_pool *pool)
{
	return &pool->layout;
}

struct tandem_memory *tandem_kv_pool_memory(const struct tandem_kv_pool *pool)
{
	return pool->memory;
}

uint32_t tandem_kv_pool_free_blocks(const struct tandem_kv_pool *pool)
{
	return pool->free_count;
}

void tandem_kv_sequence_init(struct tandem_kv_sequence *sequence, struct tandem_kv_pool *pool)
{
	memset(sequence, 0, sizeof(*sequence));
	sequence->pool = pool;
}

/* The first free block at or after @block; the number of blocks if none. */
static uint32_t next_free(const struct tandem_kv_pool *pool, uint32_t block)
{
	uint32_t blocks = pool->layout.blocks;
	uint64_t word;

	while (block < blocks) {
		word = pool->free[block / 64] >> block % 64;
		if (word)
			return block + __builtin_ctzll(word);
		block = block - block % 64 > UINT32_MAX - 64 ? blocks : block - block % 64 + 64;
	}
	return blocks;
}

static uint32_t run_length(const struct tandem_kv_pool *pool, uint32_t first)
{
	uint32_t length = 0;

	while (is_free(pool, first + length))
		length++;
	return length;
}

/*
 * The run to take @wanted blocks from: the smallest one that has them all, so
 * that large ones stay whole; else the largest there is, so that the sequence
 * falls into few pieces. There is a free block.
 */
static uint32_t choose_run(const struct tandem_kv_pool *pool, uint32_t wanted, uint32_t *length)
{
	uint32_t best = 0, best_length = 0;
	uint32_t first, found;

	for (first = next_free(pool, 0); first < pool->layout.blocks;
	     first = next_free(pool, first + found)) {
		bool better;

		found = run_length(pool, first);
		if (found >= wanted)
			better = best_length < wanted || found < best_length;
		else
			better = found > best_length;
		if (better) {
			best = first;
			best_length = found;
		}
		if (found == wanted)
			break;
	}
	*length = best_length < wanted ? best_length : wanted;
	return best;
}

static void append(struct tandem_kv_sequence *sequence, uint32_t first, uint32_t count)
{
	uint32_t i;

	mark(sequence->pool, first, count, false);
	for (i = 0; i < count; i++)
		sequence->blocks[sequence->block_count++] = first + i;
}

/* How many of @wanted blocks follow the sequence's last one and are free. */
static uint32_t room_behind(const struct tandem_kv_sequence *sequence, uint32_t wanted)
{
	uint32_t count = 0;
	uint32_t last;

	if (!sequence->block_count)
		return 0;
	last = sequence->blocks[sequence->block_count - 1];
	while (count < wanted && is_free(sequence->pool, last + 1 + count))
		count++;
	return count;
}

static int grow(struct tandem_kv_sequence *sequence, uint32_t block_count)
{
	uint64_t capacity = sequence->capacity;
	uint32_t *blocks;

	if (block_count <= capacity)
		return 0;
	capacity = block_count + capacity / 2;
	if (capacity > UINT32_MAX)
		capacity = block_count;
	blocks = reallocarray(sequence->blocks, capacity, sizeof(*blocks));
	if (!blocks)
		return -ENOMEM;
	sequence->blocks = blocks;
	sequence->capacity = capacity;
	return 0;
}

int tandem_kv_sequence_reserve(struct tandem_kv_sequence *sequence, uint32_t tokens)
{
	struct tandem_kv_pool *pool = sequence->pool;
	uint32_t block_tokens = pool->layout.block_tokens;
	uint32_t needed = tokens / block_tokens + (tokens % block_tokens != 0);
	uint32_t missing, first, count;

	if (needed <= sequence->block_count)
		return 0;
	missing = needed - sequence->block_count;
	if (missing > pool->free_count)
		return -ENOSPC;
	if (grow(sequence, needed) < 0)
		return -ENOMEM;

	count = room_behind(sequence, missing);
	if (count)
		append(sequence, sequence->blocks[sequence->block_count - 1] + 1, count);
	for (missing -= count; missing; missing -= count) {
		first = choose_run(pool, missing, &count);
		append(sequence, first, count);
	}
	return 0;
}

void tandem_kv_sequence_release(struct tandem_kv_sequence *sequence)
{
	uint32_t i;

	for (i = 0; i < sequence->block_count; i++)
		mark(sequence->pool, sequence->blocks[i], 1, true);
	free(sequence->blocks);
	tandem_kv_sequence_init(sequence, sequence->pool);
}
