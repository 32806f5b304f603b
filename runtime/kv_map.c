// SPDX-License-Identifier: MIT
/*
 * The map of a pool's free blocks.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "kv_map.h"

int kv_map_init(struct kv_map *map, uint32_t blocks)
{
	uint32_t block;

	map->blocks = blocks;
	map->free_count = 0;
	map->bits = calloc(((uint64_t)blocks + 63) / 64, sizeof(*map->bits));
	if (!map->bits)
		return -ENOMEM;
	for (block = 0; block < blocks; block++)
		kv_map_give(map, block);
	return 0;
}

void kv_map_destroy(struct kv_map *map)
{
	free(map->bits);
	map->bits = NULL;
}

void kv_map_give(struct kv_map *map, uint32_t block)
{
	map->bits[block / 64] |= 1ull << block % 64;
	map->free_count++;
}

void kv_map_remove(struct kv_map *map, uint32_t block)
{
	map->bits[block / 64] &= ~(1ull << block % 64);
	map->free_count--;
}

static bool is_free(const struct kv_map *map, uint32_t block)
{
	return block < map->blocks && map->bits[block / 64] >> block % 64 & 1;
}

/* The first free block at or after @block; the number of blocks if none. */
static uint32_t next_free(const struct kv_map *map, uint32_t block)
{
	uint32_t blocks = map->blocks;
	uint64_t word;

	while (block < blocks) {
		word = map->bits[block / 64] >> block % 64;
		if (word)
			return block + __builtin_ctzll(word);
		block = block - block % 64 > UINT32_MAX - 64 ? blocks : block - block % 64 + 64;
	}
	return blocks;
}

static uint32_t run_length(const struct kv_map *map, uint32_t first)
{
	uint32_t length = 0;

	while (is_free(map, first + length))
		length++;
	return length;
}

/* The run to take @wanted blocks from. There is a free block. */
static uint32_t choose_run(const struct kv_map *map, uint32_t wanted, uint32_t *length)
{
	uint32_t best = 0, best_length = 0;
	uint32_t first, found;

	for (first = next_free(map, 0); first < map->blocks;
	     first = next_free(map, first + found)) {
		bool better;

		found = run_length(map, first);
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

static uint32_t take_run(struct kv_map *map, uint32_t first, uint32_t count, uint32_t *blocks)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		kv_map_remove(map, first + i);
		blocks[i] = first + i;
	}
	return count;
}

/* How many blocks that follow @after are free, up to @wanted. */
static uint32_t room_behind(const struct kv_map *map, uint32_t after, uint32_t wanted)
{
	uint32_t count = 0;

	if (after == UINT32_MAX)
		return 0;
	while (count < wanted && is_free(map, after + 1 + count))
		count++;
	return count;
}

void kv_map_take(struct kv_map *map, uint32_t after, uint32_t count, uint32_t *blocks)
{
	uint32_t taken = take_run(map, after + 1, room_behind(map, after, count), blocks);

	while (taken < count) {
		uint32_t length;
		uint32_t first = choose_run(map, count - taken, &length);

		taken += take_run(map, first, length, blocks + taken);
	}
}
