// SPDX-License-Identifier: MIT
/*
 * Where evicted blocks can go, and how they come back: the pool's side of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "kv.h"

void tandem_kv_pool_set_store(struct tandem_kv_pool *pool, const struct tandem_kv_store *store)
{
	memset(&pool->store, 0, sizeof(pool->store));
	pool->store_paused_until_ns = 0;
	if (store)
		pool->store = *store;
}

static struct tandem_kv_content describe(const struct tandem_kv_pool *pool,
					 const struct tandem_kv_hash *before,
					 const struct kv_content *content)
{
	return (struct tandem_kv_content) {
		.hash = content->hash,
		.before = *before,
		.salt = content->salt,
		.tokens = content->tokens,
		.count = pool->layout.block_tokens,
	};
}

int kv_store_take(struct tandem_kv_pool *pool, uint32_t block,
		  const struct kv_content *content)
{
	struct tandem_kv_hash before;
	struct tandem_kv_content what;
	int ret;

	if (!pool->store.take || kv_store_is_paused(pool))
		return TANDEM_KV_NOT_TAKEN;
	if (content->parent == KV_NONE)
		before = kv_hash_salt(pool, content->salt);
	else
		before = pool->blocks[content->parent].hash;
	what = describe(pool, &before, content);
	ret = pool->store.take(pool->store.user, &what, block);
	if (ret != TANDEM_KV_NOT_TAKEN)
		pool->stats.stored++;
	return ret;
}

/**
 * struct kv_restore - blocks of a prefix on their way back
 * @pool: the pool
 * @entry: in its @restores, while it is @waiting for room
 * @caller: operation of tandem_kv_pool_restore_start(); NULL when that has ended, and
 *	only @work has not
 * @work: the store's, on one block
 * @timer: to look whether it is still worth waiting for
 * @started_ns: CLOCK_MONOTONIC
 * @salt: of the prefix
 * @wanted: blocks in @tokens
 * @done: of these, blocks that are in the pool
 * @done_before: that, when @timer was started
 * @restored: of these, blocks that were brought back
 * @hash: of the @done blocks
 * @parent: the last of these, pinned; or %KV_NONE
 * @block: the one that is being filled, pinned
 * @tokens: of the prefix
 *
 * Owned by its operation @work, or while it waits for room by the pool's list.
 */
struct kv_restore {
	struct tandem_kv_pool *pool;
	TAILQ_ENTRY(kv_restore) entry;
	bool waiting;
	struct tandem_operation *caller;
	struct tandem_operation work;
	struct loop_timer *timer;
	uint64_t started_ns;
	struct tandem_kv_salt salt;
	uint32_t wanted;
	uint32_t done;
	uint32_t done_before;
	uint32_t restored;
	struct tandem_kv_hash hash;
	uint32_t parent;
	uint32_t block;
	uint32_t tokens[];
};

static struct kv_content next_content(const struct kv_restore *restore)
{
	const uint32_t block_tokens = restore->pool->layout.block_tokens;
	const uint32_t *tokens = restore->tokens + (size_t)restore->done * block_tokens;

	return (struct kv_content) {
		.parent = restore->parent,
		.hash = kv_hash_block(restore->pool, &restore->hash, tokens),
		.salt = &restore->salt,
		.tokens = tokens,
	};
}

static void let_go(struct kv_restore *restore, uint32_t block)
{
	if (block != KV_NONE)
		kv_block_drop(restore->pool, block, &restore->pool->blocks[block].pins);
}

/* @block, which is indexed, is the next one of the prefix. */
static void step_to(struct kv_restore *restore, uint32_t block)
{
	kv_block_hold(restore->pool, block, &restore->pool->blocks[block].pins);
	let_go(restore, restore->parent);
	restore->hash = restore->pool->blocks[block].hash;
	restore->parent = block;
	restore->done++;
}

/* Have the store fill a free block with @content, when there is one. */
static int bring(struct kv_restore *restore, const struct kv_content *content)
{
	const struct tandem_kv_content what = describe(restore->pool, &restore->hash, content);
	struct tandem_kv_pool *pool = restore->pool;
	int ret;

	if (!pool->store.bring || kv_store_is_paused(pool) ||
	    (pool->store.has && !pool->store.has(pool->store.user, &what)))
		return -ENOENT;
	ret = kv_pool_make_room(pool, 1);
	if (ret == -ENOSPC && pool->held) {
		restore->waiting = true;
		TAILQ_INSERT_TAIL(&pool->restores, restore, entry);
		return 0;
	}
	if (ret)
		return ret;
	kv_map_take(&pool->map, restore->parent, 1, &restore->block);
	pool->blocks[restore->block].pins = 1;
	ret = pool->store.bring(pool->store.user, &what, restore->block, &restore->work);
	if (ret)
		let_go(restore, restore->block);
	return ret;
}

/* Go on to the next block that is missing. Return: 1 when that is coming, 0 at the end. */
static int continue_restore(struct kv_restore *restore)
{
	while (restore->done < restore->wanted) {
		const struct kv_content content = next_content(restore);
		const uint32_t found = kv_cache_find(restore->pool, &content);
		int ret;

		if (found == KV_NONE) {
			ret = bring(restore, &content);
			return ret == -ENOENT ? 0 : ret ? ret : 1;
		}
		step_to(restore, found);
	}
	return 0;
}

/* What was under way has ended so. */
static void go_on(struct kv_restore *restore, int ret)
{
	struct tandem_operation *caller = restore->caller;

	if (ret >= 0)
		ret = continue_restore(restore);
	if (ret == 1)
		return;
	if (!ret || restore->restored)
		ret = (int)restore->restored;
	let_go(restore, restore->parent);
	loop_timer_stop(restore->timer);
	free(restore);
	operation_complete(caller, ret);
}

static void block_brought(struct tandem_operation *work)
{
	struct kv_restore *restore = work->user;

	if (!restore->caller) {
		let_go(restore, restore->block);
		free(restore);
		return;
	}
	if (work->result >= 0) {
		const struct kv_content content = next_content(restore);
		uint32_t found = kv_cache_find(restore->pool, &content);

		/* Somebody may have computed it meanwhile. */
		if (found == KV_NONE) {
			kv_cache_insert(restore->pool, restore->block, &content);
			found = restore->block;
			restore->restored++;
			restore->pool->stats.restored++;
		}
		step_to(restore, found);
	}
	let_go(restore, restore->block);
	go_on(restore, work->result < 0 ? work->result : 0);
}

void kv_store_resume(struct tandem_kv_pool *pool)
{
	struct kv_restore *restore;
	uint32_t count = 0;

	/* Each once: some may have to wait again. */
	TAILQ_FOREACH(restore, &pool->restores, entry)
		count++;
	while (count-- && (restore = TAILQ_FIRST(&pool->restores))) {
		TAILQ_REMOVE(&pool->restores, restore, entry);
		restore->waiting = false;
		go_on(restore, 0);
	}
}

/*
 * The caller is told now. What the store is at ends by itself, and nobody gets the block
 * before.
 */
static void end_early(struct kv_restore *restore, int why)
{
	struct tandem_kv_pool *pool = restore->pool;
	struct tandem_loop *loop = pool->memory->device->loop;

	operation_post(loop, restore->caller, restore->restored ? (int)restore->restored : why);
	restore->caller = NULL;
	let_go(restore, restore->parent);
	loop_timer_stop(restore->timer);
	if (restore->waiting) {
		TAILQ_REMOVE(&pool->restores, restore, entry);
		free(restore);
		return;
	}
	kv_store_lend(pool, restore->block);
	tandem_cancel(loop, &restore->work);
}

static int restore_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	(void)loop;
	end_early(operation_data(op), -ECANCELED);
	return 0;
}

static int watch_time(struct kv_restore *restore);

/* Blocks come, and not slower than they would be computed, if that is known? */
static bool is_worth_waiting(const struct kv_restore *restore)
{
	const struct tandem_kv_pool *pool = restore->pool;
	const uint64_t wait_ns = pool->store_wait_ms * 1000000ull;

	return restore->done > restore->done_before &&
	       (!pool->block_ns || loop_now_ns() - restore->started_ns <=
				   wait_ns + restore->restored * pool->block_ns);
}

static void time_passed(void *user)
{
	struct kv_restore *restore = user;
	struct tandem_kv_pool *pool = restore->pool;

	restore->timer = NULL;
	if (is_worth_waiting(restore) && !watch_time(restore))
		return;
	end_early(restore, -ETIMEDOUT);
	kv_store_is_late(pool);
}

static int watch_time(struct kv_restore *restore)
{
	const struct tandem_kv_pool *pool = restore->pool;

	restore->done_before = restore->done;
	return loop_timer_start(pool->memory->device->loop, pool->store_wait_ms, time_passed,
				restore, &restore->timer);
}

int tandem_kv_pool_restore_start(struct tandem_kv_pool *pool, const struct tandem_kv_salt *salt,
				 const uint32_t *tokens, uint32_t count,
				 struct tandem_operation *op)
{
	const size_t bytes = count * sizeof(*tokens);
	struct kv_restore *restore;
	int ret;

	if (!pool->store.bring || kv_store_is_paused(pool))
		return 0;
	restore = calloc(1, sizeof(*restore) + bytes);
	if (!restore)
		return -ENOMEM;
	ret = operation_begin(op, restore_cancel, restore);
	if (ret)
		goto free_restore;
	restore->pool = pool;
	restore->caller = op;
	restore->work.done = block_brought;
	restore->work.user = restore;
	restore->salt = *salt;
	restore->wanted = count / pool->layout.block_tokens;
	restore->hash = kv_hash_salt(pool, salt);
	restore->parent = KV_NONE;
	memcpy(restore->tokens, tokens, bytes);
	restore->started_ns = loop_now_ns();
	ret = continue_restore(restore);
	if (ret == 1) {
		/* Without memory for a timer the store's own deadline has to do. */
		watch_time(restore);
		return 1;
	}
	let_go(restore, restore->parent);
	operation_abandon(op);
free_restore:
	free(restore);
	return ret;
}
