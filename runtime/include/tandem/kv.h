/* SPDX-License-Identifier: MIT */
/*
 * The paged KV pool: device memory in blocks, and which sequence has which.
 */
#ifndef TANDEM_KV_H
#define TANDEM_KV_H

#include <stdint.h>

#include <tandem/device.h>
#include <tandem/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tandem_kv_pool;

/**
 * struct tandem_kv_layout - shape of a pool
 * @type: GGUF number of the element type: 0 F32, 1 F16, 8 Q8_0
 * @layers: layers of the model
 * @kv_width: elements of K (and of V) for one token and layer, that is
 *	kv_heads * head_dim
 * @block_tokens: tokens a block
 * @blocks: blocks for each layer
 *
 * A block holds K[block_tokens][kv_width] and then V likewise of one layer.
 * Block b of layer l starts (l * blocks + b) * block bytes into the pool.
 * Two pools can be paired when all but @blocks agree.
 */
struct tandem_kv_layout {
	uint32_t type;
	uint32_t layers;
	uint32_t kv_width;
	uint32_t block_tokens;
	uint32_t blocks;
};

/**
 * struct tandem_kv_sequence - the blocks of one sequence
 * @pool: the pool that they are of
 * @blocks: their numbers, in the order of tokens; the same for each layer
 * @block_count: entries of @blocks
 *
 * Made and ended by the functions below; read-only for others.
 */
struct tandem_kv_sequence {
	struct tandem_kv_pool *pool;
	uint32_t *blocks;
	uint32_t block_count;
	uint32_t capacity;
};

/**
 * tandem_kv_pool_create() - allocate a pool in a device's memory
 * @device: the device
 * @layout: its shape
 * @pool: where to put it
 * @error: filled in on failure; may be NULL
 *
 * Return: 0, -EINVAL for a shape that makes no sense or overflows, -ENOSPC,
 * -ENOMEM, -ENODEV.
 */
int tandem_kv_pool_create(struct tandem_device *device, const struct tandem_kv_layout *layout,
			  struct tandem_kv_pool **pool, struct tandem_error *error);
/* No sequence has blocks of it any more; may be NULL. */
void tandem_kv_pool_destroy(struct tandem_kv_pool *pool);

const struct tandem_kv_layout *tandem_kv_pool_layout(const struct tandem_kv_pool *pool);
struct tandem_memory *tandem_kv_pool_memory(const struct tandem_kv_pool *pool);
/* Bytes of one block of one layer. */
uint64_t tandem_kv_block_bytes(const struct tandem_kv_layout *layout);
/* Where block @block of layer @layer starts, in bytes from the pool's start. */
uint64_t tandem_kv_block_offset(const struct tandem_kv_layout *layout, uint32_t layer,
				uint32_t block);
/* Blocks that no sequence has. */
uint32_t tandem_kv_pool_free_blocks(const struct tandem_kv_pool *pool);

/**
 * tandem_kv_sequence_init() - begin a sequence without blocks
 * @sequence: the caller's
 * @pool: where its blocks will come from
 */
void tandem_kv_sequence_init(struct tandem_kv_sequence *sequence, struct tandem_kv_pool *pool);

/**
 * tandem_kv_sequence_reserve() - have blocks for a number of tokens
 * @sequence: the sequence
 * @tokens: in all, those it has room for already counted in
 *
 * All the missing blocks are taken, or none. Prefers neighbouring blocks.
 *
 * Return: 0, -ENOSPC when the pool has too few, -ENOMEM.
 */
int tandem_kv_sequence_reserve(struct tandem_kv_sequence *sequence, uint32_t tokens);

/**
 * tandem_kv_sequence_release() - give all blocks back
 * @sequence: can be used again afterwards as after init. No transfer or program
 *	that uses the blocks is under way.
 */
void tandem_kv_sequence_release(struct tandem_kv_sequence *sequence);

#ifdef __cplusplus
}
#endif

#endif /* TANDEM_KV_H */
