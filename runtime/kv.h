/* SPDX-License-Identifier: MIT */
/*
 * The KV pool from the inside: the table of blocks.
 *
 * A block is in exactly one of three states. It is *used* while anything holds
 * it: a sequence, a pin, a copy that reads it, or an indexed block behind it that
 * is used. When the last hold goes it is *cached* if its content is indexed, and
 * *free* otherwise.
 */
#ifndef TANDEM_RUNTIME_KV_H
#define TANDEM_RUNTIME_KV_H

#include <stdbool.h>
#include <sys/queue.h>

#include <tandem/kv.h>

#include "kv_map.h"
#include "loop.h"

struct kv_restore;

TAILQ_HEAD(kv_restore_list, kv_restore);

/* In place of a block's number: none. */
#define KV_NONE		UINT32_MAX

/*
 * Element type of memory that is no KV pool but is sent like one: GGUF's I8. There
 * are no pools of it.
 */
#define KV_TYPE_BYTES	24

/**
 * struct kv_block - one block of a pool
 * @references: sequences that have it
 * @pins: holds of tandem_kv_pool_pin() and of the library's own operations
 * @copies: copies under way that read it
 * @children: used blocks that are indexed with this one as @parent
 * @held: one of @pins is the store's, which reads or writes it
 * @overdue: and has not given it back in time
 * @parent: block before it, by content; %KV_NONE for the first of a prompt. Only
 *	while it is indexed, like all that follow
 * @next: in its bucket of the index
 * @older: in the list of cached blocks, towards the next to go; while cached
 * @newer: the other way
 * @entry: number of this entry of the index, never used again; 0 when it is not
 *	indexed
 * @hash: of its content and all before
 * @salt: of the sequences that may find it; compared where @parent is %KV_NONE
 */
struct kv_block {
	uint32_t references;
	uint32_t pins;
	uint32_t copies;
	uint32_t children;
	bool held;
	bool overdue;
	uint32_t parent;
	uint32_t next;
	uint32_t older;
	uint32_t newer;
	uint64_t entry;
	struct tandem_kv_hash hash;
	struct tandem_kv_salt salt;
};

/**
 * struct tandem_kv_pool - a pool
 * @layout: its shape
 * @memory: of the device
 * @map: free blocks
 * @blocks: all of them
 * @tokens: [blocks][block_tokens], of those that are indexed
 * @buckets: first block of each; %KV_NONE if it is empty
 * @bucket_mask: number of buckets, which is a power of two, less one
 * @oldest: next cached block to go
 * @newest: last one to go
 * @cached: number of cached blocks
 * @indexed: number of indexed blocks
 * @entries: number of the last entry that was made
 * @seed: of all hashes: nobody can prepare prompts that fall into one bucket
 * @model: kv_hash_model() of what computes the content
 * @identity: hash of layout and model
 * @stats: what counts up
 * @store: where evicted blocks go; all NULL for none
 * @held: blocks that it holds: they become free without anybody's doing
 * @overdue: those that it holds too long, and that nobody counts upon; not in @held
 * @room: posted when one of either has become free
 * @restores: those that wait for that
 * @waiter: a task of somebody else who does; or NULL
 * @store_wait_ms: how long to wait for the store
 * @block_ns: what it takes to compute a block, as far as that was measured; or 0
 * @wanted: since the last one came back from it, somebody has failed to get a block
 * @returned: counts blocks that have come back
 * @returned_before: that, when @store_timer was started
 * @store_timer: runs when @held ones are @wanted; or NULL
 * @store_paused_until_ns: it was late, and is left alone till then
 *
 * Belongs to the loop's thread, as the device does.
 */
struct tandem_kv_pool {
	struct tandem_kv_layout layout;
	struct tandem_memory *memory;
	struct kv_map map;
	struct kv_block *blocks;
	uint32_t *tokens;
	uint32_t *buckets;
	uint32_t bucket_mask;
	uint32_t oldest;
	uint32_t newest;
	uint32_t cached;
	uint32_t indexed;
	uint64_t entries;
	uint64_t seed;
	struct tandem_kv_hash model;
	struct tandem_kv_hash identity;
	struct tandem_kv_pool_stats stats;
	struct tandem_kv_store store;
	uint32_t held;
	uint32_t overdue;
	struct loop_task room;
	struct kv_restore_list restores;
	struct loop_task *waiter;
	unsigned int store_wait_ms;
	uint64_t block_ns;
	bool wanted;
	uint64_t returned;
	uint64_t returned_before;
	struct loop_timer *store_timer;
	uint64_t store_paused_until_ns;
};

/*
 * kv_layout.c
 */

/**
 * kv_layout_check() - does a shape make sense?
 * @layout: from anywhere
 * @bytes: where to put the size of the pool
 *
 * Return: 0; -EINVAL for an unknown type or a dimension of 0; -EOVERFLOW when
 * the pool would not fit into 63 bits.
 */
int kv_layout_check(const struct tandem_kv_layout *layout, uint64_t *bytes);

/* Size of the pool, of a layout that has been checked. */
uint64_t kv_layout_bytes(const struct tandem_kv_layout *layout);

/* Say what kv_layout_check() found, with @reason its result. Return: -EINVAL. */
int kv_layout_error(const struct tandem_kv_layout *layout, int reason, struct tandem_error *error);

/*
 * kv_pool.c
 */

/* Does anything hold it? */
bool kv_block_is_used(const struct kv_block *block);

/*
 * One hold more or less: @count is a member of @pool's block @block, which may be
 * in any state. The last one to go makes the block cached or free.
 */
void kv_block_hold(struct tandem_kv_pool *pool, uint32_t block, uint32_t *count);
void kv_block_drop(struct tandem_kv_pool *pool, uint32_t block, uint32_t *count);

/* May its one sequence write to it? */
bool kv_block_is_writable(const struct tandem_kv_pool *pool, uint32_t block);

/*
 * Have @count free blocks, evicting if need be. Return: 0, or -ENOSPC, also when some
 * are still held by the store.
 */
int kv_pool_make_room(struct tandem_kv_pool *pool, uint32_t count);

/*
 * Have hashes begin with @seed, that of a store whose keys they are. Return: 0;
 * -EBUSY when blocks are indexed already.
 */
int kv_pool_set_seed(struct tandem_kv_pool *pool, uint64_t seed);

/* Bytes of a block, of all layers. */
uint64_t kv_pool_block_bytes(const struct tandem_kv_pool *pool);

/*
 * kv_hash.c
 */

/* Hash of what tandem_kv_pool_set_identity() is told, of no pool in particular. */
struct tandem_kv_hash kv_hash_model(const void *identity, size_t size);
/* Hash of the pool's layout and model. */
struct tandem_kv_hash kv_hash_identity(const struct tandem_kv_pool *pool);
/* Hash to begin a sequence with. */
struct tandem_kv_hash kv_hash_salt(const struct tandem_kv_pool *pool,
				   const struct tandem_kv_salt *salt);
/* Hash of a full block with these tokens behind what has hash @before. */
struct tandem_kv_hash kv_hash_block(const struct tandem_kv_pool *pool,
				    const struct tandem_kv_hash *before, const uint32_t *tokens);

/*
 * kv_cache.c
 */

/**
 * struct kv_content - what is in a full block
 * @parent: indexed block of the tokens before it; %KV_NONE if it is the first
 * @hash: of it and of all before
 * @salt: with whom it may be shared
 * @tokens: ids, as many as a block has
 */
struct kv_content {
	uint32_t parent;
	struct tandem_kv_hash hash;
	const struct tandem_kv_salt *salt;
	const uint32_t *tokens;
};

/* Return: 0 or -ENOMEM. */
int kv_cache_init(struct tandem_kv_pool *pool);
void kv_cache_destroy(struct tandem_kv_pool *pool);

/* The block with this content, by comparison, not by hash; %KV_NONE if there is none. */
uint32_t kv_cache_find(const struct tandem_kv_pool *pool, const struct kv_content *content);
/* Index @block, which is used and has that content, which no other has. */
void kv_cache_insert(struct tandem_kv_pool *pool, uint32_t block,
		     const struct kv_content *content);

/* @block is indexed, and its last hold has gone. */
void kv_cache_add_idle(struct tandem_kv_pool *pool, uint32_t block);
/* @block is cached, and about to be held. */
void kv_cache_remove_idle(struct tandem_kv_pool *pool, uint32_t block);
/* Give up the cached block that is next to go; there is one. */
void kv_cache_evict(struct tandem_kv_pool *pool);

/*
 * kv_sequence.c
 */

/* May a program write to the blocks of these positions? @rows is not 0. */
bool kv_sequence_may_write(const struct tandem_kv_sequence *sequence, uint32_t position,
			   uint32_t rows);
/* Have room in @blocks for @block_count entries. Return: 0 or -ENOMEM. */
int kv_sequence_grow(struct tandem_kv_sequence *sequence, uint32_t block_count);
/* Blocks that hold @tokens tokens. */
uint32_t kv_blocks_for(const struct tandem_kv_pool *pool, uint64_t tokens);

/*
 * kv_append.c
 */

/* The sequence of a copy under way is going; the copy ends by itself. */
void kv_copy_detach(struct tandem_kv_sequence *sequence);

/*
 * kv_store.c
 */

/* Offer @block, which is about to be evicted. Return: &enum tandem_kv_taken. */
int kv_store_take(struct tandem_kv_pool *pool, uint32_t block,
		  const struct kv_content *content);
/* Have the restores that wait for room go on. */
void kv_store_resume(struct tandem_kv_pool *pool);

/*
 * kv_late.c
 */

/* How long to wait for a store, unless something else is asked for. */
#define KV_STORE_WAIT_MS	200

/* The store has one of @block's pins, and will give it back. */
void kv_store_lend(struct tandem_kv_pool *pool, uint32_t block);
/* It has, and @block is free. */
void kv_store_returned(struct tandem_kv_pool *pool, uint32_t block);
/* Somebody waits for blocks that the store holds: but not for ever. */
void kv_store_await(struct tandem_kv_pool *pool);
/* It has not answered in time: go on without what it holds, and leave it alone for a while. */
void kv_store_is_late(struct tandem_kv_pool *pool);
/* Is it left alone? */
bool kv_store_is_paused(const struct tandem_kv_pool *pool);
/* Leave it alone no longer than it holds something overdue. */
void kv_store_try_again(struct tandem_kv_pool *pool);

#endif /* TANDEM_RUNTIME_KV_H */
