// SPDX-License-Identifier: MIT
/*
 * The paged KV pool: which block is held by whom. What is in the blocks is not
 * looked at here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "device.h"
#include "error.h"
#include "kv.h"

static int make_tables(struct tandem_kv_pool *pool)
{
	int ret;

	pool->blocks = calloc(pool->layout.blocks, sizeof(*pool->blocks));
	if (!pool->blocks)
		return -ENOMEM;
	ret = kv_map_init(&pool->map, pool->layout.blocks);
	if (!ret)
		ret = kv_cache_init(pool);
	return ret;
}

/* A block that the store held is free. */
static void tell_of_room(struct loop_task *task)
{
	struct tandem_kv_pool *pool =
		(void *)((char *)task - offsetof(struct tandem_kv_pool, room));

	kv_store_resume(pool);
	if (pool->waiter)
		loop_task_post(pool->memory->device->loop, pool->waiter);
}

int tandem_kv_pool_create(struct tandem_device *device, const struct tandem_kv_layout *layout,
			  struct tandem_kv_pool **pool, struct tandem_error *error)
{
	struct tandem_kv_pool *new;
	uint64_t bytes;
	int ret;

	ret = kv_layout_check(layout, &bytes);
	if (!ret && layout->type == KV_TYPE_BYTES)
		ret = -EINVAL;
	if (ret < 0)
		return kv_layout_error(layout, ret, error);
	new = calloc(1, sizeof(*new));
	if (!new)
		return tandem_error_set(error, -ENOMEM, "KV pool: out of memory");
	new->layout = *layout;
	new->room.run = tell_of_room;
	new->store_wait_ms = KV_STORE_WAIT_MS;
	TAILQ_INIT(&new->restores);
	ret = tandem_memory_alloc_shareable(device, bytes, &new->memory, error);
	if (ret < 0)
		goto destroy;
	if (make_tables(new) < 0) {
		ret = tandem_error_set(error, -ENOMEM, "KV pool: out of memory for its tables");
		goto destroy;
	}
	/* Without randomness hashes can be foreseen; what they find is compared anyway. */
	if (getrandom(&new->seed, sizeof(new->seed), GRND_NONBLOCK) != sizeof(new->seed))
		new->seed = (uintptr_t)new;
	tandem_kv_pool_set_identity(new, NULL, 0);
	*pool = new;
	return 0;

destroy:
	tandem_kv_pool_destroy(new);
	return ret;
}

void tandem_kv_pool_destroy(struct tandem_kv_pool *pool)
{
	if (!pool)
		return;
	if (pool->memory)
		loop_task_cancel(pool->memory->device->loop, &pool->room);
	loop_timer_stop(pool->store_timer);
	tandem_memory_free(pool->memory);
	kv_cache_destroy(pool);
	kv_map_destroy(&pool->map);
	free(pool->blocks);
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
	return pool->map.free_count + pool->cached;
}

uint64_t kv_pool_block_bytes(const struct tandem_kv_pool *pool)
{
	return pool->layout.layers * tandem_kv_block_bytes(&pool->layout);
}

int tandem_kv_pool_set_identity(struct tandem_kv_pool *pool, const void *identity, size_t size)
{
	if (pool->indexed)
		return -EBUSY;
	pool->model = kv_hash_model(identity, size);
	pool->identity = kv_hash_identity(pool);
	return 0;
}

int kv_pool_set_seed(struct tandem_kv_pool *pool, uint64_t seed)
{
	if (pool->indexed)
		return -EBUSY;
	pool->seed = seed;
	pool->identity = kv_hash_identity(pool);
	return 0;
}

void tandem_kv_pool_get_stats(const struct tandem_kv_pool *pool,
			      struct tandem_kv_pool_stats *stats)
{
	*stats = pool->stats;
	stats->blocks = pool->layout.blocks;
	stats->free = pool->map.free_count;
	stats->cached = pool->cached;
	stats->used = stats->blocks - stats->free - stats->cached;
	stats->indexed = pool->indexed;
	stats->overdue = pool->overdue;
}

bool kv_block_is_used(const struct kv_block *block)
{
	return block->references || block->pins || block->copies || block->children;
}

/* A block that comes into use brings the ones before it into use. */
void kv_block_hold(struct tandem_kv_pool *pool, uint32_t number, uint32_t *count)
{
	struct kv_block *block = &pool->blocks[number];
	bool was_cached = block->entry && !kv_block_is_used(block);

	if (!block->entry && !kv_block_is_used(block))
		kv_map_remove(&pool->map, number);
	++*count;
	while (was_cached) {
		kv_cache_remove_idle(pool, number);
		number = block->parent;
		if (number == KV_NONE)
			break;
		block = &pool->blocks[number];
		was_cached = !kv_block_is_used(block);
		block->children++;
	}
}

/* Nothing holds it, and nobody could find it. */
static void block_is_free(struct tandem_kv_pool *pool, uint32_t number)
{
	struct kv_block *block = &pool->blocks[number];

	kv_map_give(&pool->map, number);
	if (block->held)
		kv_store_returned(pool, number);
}

void kv_block_drop(struct tandem_kv_pool *pool, uint32_t number, uint32_t *count)
{
	struct kv_block *block = &pool->blocks[number];

	--*count;
	while (!kv_block_is_used(block)) {
		if (!block->entry) {
			block_is_free(pool, number);
			break;
		}
		kv_cache_add_idle(pool, number);
		number = block->parent;
		if (number == KV_NONE)
			break;
		block = &pool->blocks[number];
		block->children--;
	}
}

bool kv_block_is_writable(const struct tandem_kv_pool *pool, uint32_t number)
{
	const struct kv_block *block = &pool->blocks[number];

	return block->references == 1 && !block->copies && !block->entry;
}

int kv_pool_make_room(struct tandem_kv_pool *pool, uint32_t count)
{
	/* What the store holds is on its way, and not to be evicted for twice. */
	if (count <= tandem_kv_pool_free_blocks(pool))
		while (pool->map.free_count + pool->held < count && pool->cached)
			kv_cache_evict(pool);
	if (pool->map.free_count >= count)
		return 0;
	kv_store_await(pool);
	return -ENOSPC;
}

uint32_t tandem_kv_pool_evict(struct tandem_kv_pool *pool, uint32_t count)
{
	uint32_t evicted;

	for (evicted = 0; evicted < count && pool->cached; evicted++)
		kv_cache_evict(pool);
	return evicted;
}

void tandem_kv_pool_pin(struct tandem_kv_pool *pool, const uint32_t *blocks, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		kv_block_hold(pool, blocks[i], &pool->blocks[blocks[i]].pins);
}

void tandem_kv_pool_unpin(struct tandem_kv_pool *pool, const uint32_t *blocks, uint32_t count)
{
	/* Backwards: ends of prefixes go first. */
	while (count--)
		kv_block_drop(pool, blocks[count], &pool->blocks[blocks[count]].pins);
}
