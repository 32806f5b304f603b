/* SPDX-License-Identifier: MIT */
/*
 * The paged KV pool: device memory in blocks, which sequences hold which, and
 * what blocks are kept for prompts to come. Documentation/kv.rst tells how the
 * parts play together.
 */
#ifndef TANDEM_KV_H
#define TANDEM_KV_H

#include <stddef.h>
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
 * struct tandem_kv_salt - who may share blocks
 * @bytes: whatever the caller likes
 *
 * Sequences find the blocks of sequences with the same salt and no others: give
 * each tenant one of its own. Not a secret.
 */
struct tandem_kv_salt {
	uint8_t bytes[32];
};

/* The hash of a block's content and of all that comes before it. */
struct tandem_kv_hash {
	uint64_t low;
	uint64_t high;
};

/**
 * struct tandem_kv_sequence - the blocks of one sequence
 * @pool: the pool that they are of
 * @blocks: their numbers, in the order of tokens; the same for each layer
 * @block_count: entries of @blocks
 * @capacity: entries that @blocks has memory for
 * @token_count: tokens that are committed: their KV is in the blocks
 * @writable: tokens behind these that an append has opened for writing
 * @shared: whether it takes part in prefix reuse
 * @salt: with whom
 * @tail: ids of the committed tokens in the last block, while it is not full
 * @hash: of all full blocks
 * @chain_block: block that is indexed for the last full one; its own, or another
 *	of the same content
 * @chain_entry: number of that entry, which tells whether it is still there
 * @copy: copy of the last block, under way
 *
 * Made and ended by the functions below; read-only for others, and not to be
 * copied. Of the pool's thread.
 */
struct tandem_kv_sequence {
	struct tandem_kv_pool *pool;
	uint32_t *blocks;
	uint32_t block_count;
	uint32_t capacity;
	uint32_t token_count;
	uint32_t writable;
	uint32_t shared;
	struct tandem_kv_salt salt;
	uint32_t *tail;
	struct tandem_kv_hash hash;
	uint32_t chain_block;
	uint64_t chain_entry;
	struct tandem_kv_copy *copy;
};

/**
 * struct tandem_kv_pool_stats - a pool now, and what it has done so far
 * @blocks: in all: @free, @cached and @used together
 * @free: with nothing in them
 * @cached: kept for prompts to come, and taken back when blocks are needed
 * @used: held by sequences, transfers, programs or a store
 * @indexed: blocks whose content can be found, cached or used
 * @hits: full blocks that were looked for and found
 * @misses: full blocks that were looked for and not found
 * @evictions: cached blocks that were given up
 * @copies: blocks copied because a forked sequence went on from them
 * @copy_bytes: bytes of these copies, of all layers
 * @reused_bytes: bytes of the blocks of @hits, of all layers
 * @stored: evicted blocks that a store took
 * @restored: blocks that a store has brought back
 * @store_late: times that a store did not answer in time, see
 *	tandem_kv_pool_set_store_wait()
 * @overdue: of @used, blocks that it still reads or writes since
 */
struct tandem_kv_pool_stats {
	uint32_t blocks;
	uint32_t free;
	uint32_t cached;
	uint32_t used;
	uint32_t indexed;
	uint64_t hits;
	uint64_t misses;
	uint64_t evictions;
	uint64_t copies;
	uint64_t copy_bytes;
	uint64_t reused_bytes;
	uint64_t stored;
	uint64_t restored;
	uint64_t store_late;
	uint32_t overdue;
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
/*
 * No sequence has blocks of it any more, nothing is pinned, and its store has ended what
 * it does; may be NULL.
 */
void tandem_kv_pool_destroy(struct tandem_kv_pool *pool);

const struct tandem_kv_layout *tandem_kv_pool_layout(const struct tandem_kv_pool *pool);
struct tandem_memory *tandem_kv_pool_memory(const struct tandem_kv_pool *pool);
/* Bytes of one block of one layer. */
uint64_t tandem_kv_block_bytes(const struct tandem_kv_layout *layout);
/* Where block @block of layer @layer starts, in bytes from the pool's start. */
uint64_t tandem_kv_block_offset(const struct tandem_kv_layout *layout, uint32_t layer,
				uint32_t block);
/* Blocks that can be reserved: those that nobody holds, be they cached or not. */
uint32_t tandem_kv_pool_free_blocks(const struct tandem_kv_pool *pool);

void tandem_kv_pool_get_stats(const struct tandem_kv_pool *pool,
			      struct tandem_kv_pool_stats *stats);

/**
 * tandem_kv_pool_set_identity() - say what computes the content
 * @pool: nothing of it is indexed yet
 * @identity: bytes that differ for models that compute different KV. That of an
 *	instance's pool is set, and covers all bytes of the weights
 * @size: their number
 *
 * Goes into the hash of each block, together with the layout.
 *
 * Return: 0, -EBUSY when blocks are indexed already.
 */
int tandem_kv_pool_set_identity(struct tandem_kv_pool *pool, const void *identity, size_t size);

/**
 * tandem_kv_pool_evict() - give up cached blocks
 * @pool: the pool
 * @count: how many, at most
 *
 * Those that were not used for longest, and of a prefix the end first. Never
 * one that a sequence, a transfer or a program holds.
 *
 * Return: how many there were.
 */
uint32_t tandem_kv_pool_evict(struct tandem_kv_pool *pool, uint32_t count);

/**
 * tandem_kv_pool_pin() - keep blocks in place while something works on them
 * @pool: the pool
 * @blocks: numbers of blocks, held already or not; each may be there more than
 *	once, and pinned by others too
 * @count: entries of @blocks
 *
 * A pinned block is neither handed out nor evicted, even when its sequence is
 * released. Forwards and pushes pin their blocks by themselves; who waits for a
 * transfer into a pool keeps the sequence until it has ended, or pins.
 */
void tandem_kv_pool_pin(struct tandem_kv_pool *pool, const uint32_t *blocks, uint32_t count);
/* Undo tandem_kv_pool_pin(). */
void tandem_kv_pool_unpin(struct tandem_kv_pool *pool, const uint32_t *blocks, uint32_t count);

/**
 * tandem_kv_sequence_init() - begin a sequence without blocks
 * @sequence: the caller's
 * @pool: where its blocks will come from
 *
 * It takes no part in prefix reuse until tandem_kv_sequence_share().
 */
void tandem_kv_sequence_init(struct tandem_kv_sequence *sequence, struct tandem_kv_pool *pool);

/**
 * tandem_kv_sequence_share() - take part in prefix reuse
 * @sequence: without committed tokens
 * @salt: with whom: all sequences of the pool with the same salt
 *
 * Its full blocks can be found by others once they are committed.
 *
 * Return: 0, -EBUSY when it has tokens already.
 */
int tandem_kv_sequence_share(struct tandem_kv_sequence *sequence,
			     const struct tandem_kv_salt *salt);

/**
 * tandem_kv_sequence_match() - begin with what is cached
 * @sequence: without blocks
 * @tokens: ids of the prompt
 * @count: how many of them may be taken from the cache. At least the last one
 *	has to be computed to know what follows, so it is one less than the
 *	prompt has
 * @matched: where to put how many were found: whole blocks, 0 if it is not shared
 *
 * The blocks found become the sequence's, and their tokens are committed. A
 * block is only found when its own tokens and all before it are the same.
 *
 * Return: 0, -EBUSY when it has blocks already, -ENOMEM.
 */
int tandem_kv_sequence_match(struct tandem_kv_sequence *sequence, const uint32_t *tokens,
			     uint32_t count, uint32_t *matched);

/**
 * tandem_kv_sequence_reserve() - have blocks for a number of tokens
 * @sequence: the sequence
 * @tokens: in all, those it has room for already counted in
 *
 * All the missing blocks are taken, or none. Prefers neighbouring blocks. Cached
 * blocks are evicted as needed.
 *
 * Return: 0, -ENOSPC when the pool has too few, -ENOMEM.
 */
int tandem_kv_sequence_reserve(struct tandem_kv_sequence *sequence, uint32_t tokens);

/**
 * tandem_kv_sequence_append() - open the positions that follow for writing
 * @sequence: no append of it is open
 * @tokens: how many, behind the committed ones
 * @queue: where to copy, if need be: the one that the writing programs will be
 *	put on, behind it
 * @op: ends when the copy has been made
 *
 * Reserves blocks as needed. When the last block is partly filled and others
 * hold it too, the sequence gets a copy in its place: all layers in one command.
 * @queue and @op may be NULL for a sequence that was never forked.
 *
 * Ends with tandem_kv_sequence_commit() or tandem_kv_sequence_cancel(). On any
 * failure, also of @op, the sequence is as it was before but for more reserved
 * blocks; when @op fails, cancel. The sequence stays in place until @op has
 * ended or it is released.
 *
 * Return: 0 when nothing had to be copied and @op was not started; 1 when it
 * was; -EBUSY when an append is open or a copy under way; -EINVAL when a copy is
 * needed and @queue or @op is NULL, or for too many tokens; -ENOSPC, -ENOMEM,
 * -ENODEV.
 */
int tandem_kv_sequence_append(struct tandem_kv_sequence *sequence, uint32_t tokens,
			      struct tandem_queue *queue, struct tandem_operation *op);

/**
 * tandem_kv_sequence_commit() - the KV of tokens is there
 * @sequence: with an open append
 * @tokens: ids, of those that follow the committed ones
 * @count: how many; fewer than were appended leave the append open
 *
 * To be called when what wrote them, to all layers, has ended well. Blocks that
 * become full can be found by others from then on.
 *
 * Return: 0, -EINVAL for more than was appended, -EBUSY during a copy.
 */
int tandem_kv_sequence_commit(struct tandem_kv_sequence *sequence, const uint32_t *tokens,
			      uint32_t count);

/**
 * tandem_kv_sequence_cancel() - what an append opened was not written, or not well
 * @sequence: the sequence
 *
 * What is committed stays so. The positions can be appended again, once nothing
 * writes to them any more.
 */
void tandem_kv_sequence_cancel(struct tandem_kv_sequence *sequence);

/**
 * tandem_kv_sequence_fork() - a second sequence that begins like the first
 * @sequence: no append of it is open, nor a copy under way
 * @fork: filled in; no sequence yet, or a released one
 *
 * The fork holds the blocks of the committed tokens, and has the same salt. No
 * byte is copied before one of the two is appended to.
 *
 * Return: 0, -EBUSY, -ENOMEM.
 */
int tandem_kv_sequence_fork(const struct tandem_kv_sequence *sequence,
			    struct tandem_kv_sequence *fork);

/**
 * tandem_kv_sequence_release() - give all blocks back
 * @sequence: can be used again afterwards as after init, and with the same salt
 *
 * Full blocks that were committed stay cached. What still works on the blocks
 * has pinned them.
 */
void tandem_kv_sequence_release(struct tandem_kv_sequence *sequence);

/*
 * Stores: where evicted blocks can go. <tandem/kv_file.h> has one; this is what others
 * would be built on.
 */

/**
 * struct tandem_kv_content - what is in a full block
 * @hash: of it and of all before, good as a key within the life of the pool
 * @before: the same of the block before it; of the salt for the first one
 * @salt: with whom it may be shared
 * @tokens: ids of its tokens
 * @count: how many
 *
 * Whoever finds a block by @hash compares @before, @salt and @tokens, too. Valid
 * during the call.
 */
struct tandem_kv_content {
	struct tandem_kv_hash hash;
	struct tandem_kv_hash before;
	const struct tandem_kv_salt *salt;
	const uint32_t *tokens;
	uint32_t count;
};

/* What a store did with a block that it was offered. */
enum tandem_kv_taken {
	TANDEM_KV_NOT_TAKEN = 0,	/* it does not want it */
	TANDEM_KV_TAKEN = 1,		/* it has read it, or made it part of its own */
	TANDEM_KV_HELD = 2,		/* it will read it, and unpin it then */
};

/**
 * struct tandem_kv_store - a store's functions
 * @take: a block is being evicted. Returns &enum tandem_kv_taken. A block that is
 *	held counts as used until tandem_kv_pool_unpin(), and reservations that
 *	need it fail with -ENOSPC till then. Requests of a scheduler wait for it
 * @bring: fill block @block, all layers, with this content, and have @op end with
 *	0 then. Returns 0 when @op was started; -ENOENT when the store does not
 *	have it; another negative errno
 * @user: passed on to all
 * @has: could @bring do it? Not 0 for yes. Without it @bring is asked, when a block
 *	has been made free for it
 * @release: called from the loop when others wait for held blocks and none has come
 *	back for as long as they may: unpin those that nothing reads yet
 *
 * None but @release may call functions that change the pool. Each may be NULL.
 */
struct tandem_kv_store {
	int (*take)(void *user, const struct tandem_kv_content *content, uint32_t block);
	int (*bring)(void *user, const struct tandem_kv_content *content, uint32_t block,
		     struct tandem_operation *op);
	void *user;
	int (*has)(void *user, const struct tandem_kv_content *content);
	void (*release)(void *user);
};

/**
 * tandem_kv_pool_set_store() - have a store from now on
 * @pool: the pool; nothing is being restored
 * @store: copied; NULL for none
 */
void tandem_kv_pool_set_store(struct tandem_kv_pool *pool, const struct tandem_kv_store *store);

/**
 * tandem_kv_pool_set_store_wait() - how long to wait for a store that does not answer
 * @pool: the pool
 * @milliseconds: 0 for 200
 *
 * A restore ends early, with what it has brought, when no block has come within that
 * time, or when all of it took as much longer as computing its blocks would have, at the
 * speed that a scheduler has measured. Both are looked at in steps of that time. When
 * somebody needs a block that the store holds, and within that time none came back,
 * cached ones that it does not get are evicted instead.
 *
 * The store is then left alone for ten seconds, and until it has given back all that it
 * had: it gets no blocks, and is not asked for any. Until it has, what it reads or
 * writes stays pinned, so nobody else gets that memory.
 */
void tandem_kv_pool_set_store_wait(struct tandem_kv_pool *pool, unsigned int milliseconds);

/**
 * tandem_kv_pool_restore_start() - bring a prefix back from the store
 * @pool: the pool
 * @salt: of the prefix
 * @tokens: ids; read before the call returns
 * @count: how many; of these whole blocks
 * @op: ends when all that the store has, up to the first block that it lacks, is
 *	in the pool, with the number of blocks that were brought back; or, if
 *	there are none, with what the store said of the first, -ENOSPC, -ENOMEM,
 *	-ETIMEDOUT or -ECANCELED. It waits for blocks that the store holds, and for
 *	the store, see tandem_kv_pool_set_store_wait()
 *
 * Blocks that the pool has are left as they are. What was brought back is cached:
 * tandem_kv_sequence_match() finds it. When it is cancelled or ends early, the store may
 * go on with a block for a while: this stays pinned, and comes to nothing.
 *
 * Return: 0 when there was nothing to bring and @op was not started; 1 when it
 * was; -ENOSPC, -ENOMEM, or what the store said.
 */
int tandem_kv_pool_restore_start(struct tandem_kv_pool *pool, const struct tandem_kv_salt *salt,
				 const uint32_t *tokens, uint32_t count,
				 struct tandem_operation *op);

#ifdef __cplusplus
}
#endif

#endif /* TANDEM_KV_H */
