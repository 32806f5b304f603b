// SPDX-License-Identifier: MIT
/*
 * Stores that do not answer. A disk may hang, and the kernel gives memory that it reads
 * or writes back only when the disk has answered: so blocks stay pinned for as long as
 * it takes, and everybody else goes on without them and without the store.
 */
#include "device.h"
#include "kv.h"

/* How long a store is left alone that was late, so that not each request waits for it. */
#define PAUSE_NS	(10ull * 1000000000)

void tandem_kv_pool_set_store_wait(struct tandem_kv_pool *pool, unsigned int milliseconds)
{
	pool->store_wait_ms = milliseconds ? milliseconds : KV_STORE_WAIT_MS;
}

void kv_store_lend(struct tandem_kv_pool *pool, uint32_t block)
{
	pool->blocks[block].held = true;
	pool->held++;
}

void kv_store_returned(struct tandem_kv_pool *pool, uint32_t number)
{
	struct kv_block *block = &pool->blocks[number];

	if (block->overdue)
		pool->overdue--;
	else
		pool->held--;
	block->held = false;
	block->overdue = false;
	/* Whoever still lacks one tries again, and says so. */
	pool->wanted = false;
	pool->returned++;
	loop_task_post(pool->memory->device->loop, &pool->room);
}

static void time_passed(void *user)
{
	struct tandem_kv_pool *pool = user;

	pool->store_timer = NULL;
	if (!pool->wanted)
		return;
	if (pool->held && pool->returned == pool->returned_before)
		kv_store_is_late(pool);
	else
		kv_store_await(pool);
}

void kv_store_await(struct tandem_kv_pool *pool)
{
	if (!pool->held)
		return;
	pool->wanted = true;
	if (pool->store_timer)
		return;
	pool->returned_before = pool->returned;
	/* Without memory for a timer they wait for the store's own deadline. */
	loop_timer_start(pool->memory->device->loop, pool->store_wait_ms, time_passed, pool,
			 &pool->store_timer);
}

void kv_store_is_late(struct tandem_kv_pool *pool)
{
	for (uint32_t i = 0; i < pool->layout.blocks; i++)
		pool->blocks[i].overdue = pool->blocks[i].held;
	pool->overdue += pool->held;
	pool->held = 0;
	pool->store_paused_until_ns = loop_now_ns() + PAUSE_NS;
	pool->stats.store_late++;
	if (pool->store.release)
		pool->store.release(pool->store.user);
	/* Who waits for what it holds can have others evicted. */
	loop_task_post(pool->memory->device->loop, &pool->room);
}

bool kv_store_is_paused(const struct tandem_kv_pool *pool)
{
	return pool->overdue || loop_now_ns() < pool->store_paused_until_ns;
}

void kv_store_try_again(struct tandem_kv_pool *pool)
{
	pool->store_paused_until_ns = 0;
}
