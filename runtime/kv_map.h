/* SPDX-License-Identifier: MIT */
/*
 * The map of a pool's free blocks, which are handed out in runs: a transfer of
 * neighbours costs the same for one block as for many.
 */
#ifndef TANDEM_RUNTIME_KV_MAP_H
#define TANDEM_RUNTIME_KV_MAP_H

#include <stdint.h>

/**
 * struct kv_map - which blocks are free
 * @bits: one for each block, set while it is free
 * @blocks: how many there are
 * @free_count: bits that are set
 *
 * Part of a pool, and of the pool's thread.
 */
struct kv_map {
	uint64_t *bits;
	uint32_t blocks;
	uint32_t free_count;
};

/* All of them free. Return: 0 or -ENOMEM. */
int kv_map_init(struct kv_map *map, uint32_t blocks);
void kv_map_destroy(struct kv_map *map);

/* @block is free again. */
void kv_map_give(struct kv_map *map, uint32_t block);
/* @block, which is free, is so no more. */
void kv_map_remove(struct kv_map *map, uint32_t block);

/**
 * kv_map_take() - take free blocks
 * @map: has @count at least
 * @after: block to continue behind, if that is free; UINT32_MAX for none
 * @count: how many
 * @blocks: filled in with their numbers
 *
 * Takes the smallest run that has them all, so that large ones stay whole; else
 * the largest there are, so that there are few pieces.
 */
void kv_map_take(struct kv_map *map, uint32_t after, uint32_t count, uint32_t *blocks);

#endif /* TANDEM_RUNTIME_KV_MAP_H */
