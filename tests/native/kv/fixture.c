// SPDX-License-Identifier: MIT
/*
 * A small pool on a device in the process.
 */
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

static const struct tandem_kv_layout layout = {
	.type = 1,
	.layers = LAYERS,
	.kv_width = 16,
	.block_tokens = TOKENS,
	.blocks = BLOCKS,
};

int fixture_setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	void *bytes;

	if (!fixture || tandem_loop_create(&fixture->loop, NULL) < 0 ||
	    tandem_device_open(fixture->loop, "inproc:host,mem=32M,cores=1", &fixture->device,
			       NULL) < 0 ||
	    tandem_queue_open(fixture->device, TANDEM_QUEUE_TYPE_COPY, &fixture->queue, NULL) < 0 ||
	    tandem_kv_pool_create(fixture->device, &layout, &fixture->pool, NULL) < 0 ||
	    tandem_memory_map(tandem_kv_pool_memory(fixture->pool), &bytes) < 0)
		return -1;
	fixture->bytes = bytes;
	*state = fixture;
	return 0;
}

int fixture_teardown(void **state)
{
	struct fixture *fixture = *state;
	const uint32_t held = pool_stats(fixture).used;

	tandem_kv_pool_destroy(fixture->pool);
	tandem_queue_close(fixture->queue);
	tandem_device_close(fixture->device);
	tandem_loop_destroy(fixture->loop);
	free(fixture);
	return held ? -1 : 0;
}

struct tandem_kv_pool_stats pool_stats(const struct fixture *fixture)
{
	struct tandem_kv_pool_stats stats;

	tandem_kv_pool_get_stats(fixture->pool, &stats);
	return stats;
}

void share(struct tandem_kv_sequence *sequence, struct fixture *fixture, uint8_t tenant)
{
	const struct tandem_kv_salt salt = { .bytes = { [31] = tenant } };

	tandem_kv_sequence_init(sequence, fixture->pool);
	assert_int_equal(tandem_kv_sequence_share(sequence, &salt), 0);
}

void extend(struct tandem_kv_sequence *sequence, struct fixture *fixture, const uint32_t *tokens,
	    uint32_t count)
{
	struct tandem_operation op = { 0 };
	int ret = tandem_kv_sequence_append(sequence, count, fixture->queue, &op);

	assert_true(ret == 0 || ret == 1);
	if (ret)
		assert_int_equal(tandem_loop_wait(fixture->loop, &op, PATIENCE_MS), 0);
	assert_int_equal(tandem_kv_sequence_commit(sequence, tokens, count), 0);
}

uint32_t prefill(struct tandem_kv_sequence *sequence, struct fixture *fixture,
		 const uint32_t *tokens, uint32_t count)
{
	uint32_t matched;

	assert_int_equal(tandem_kv_sequence_match(sequence, tokens, count - 1, &matched), 0);
	assert_int_equal(matched % TOKENS, 0);
	assert_true(matched < count);
	extend(sequence, fixture, tokens + matched, count - matched);
	return matched;
}

/* Indexed and used blocks that follow @number. */
static uint32_t used_children(const struct tandem_kv_pool *pool, uint32_t number)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < BLOCKS; i++) {
		const struct kv_block *block = &pool->blocks[i];

		count += block->entry && block->parent == number && kv_block_is_used(block);
	}
	return count;
}

/* Blocks in the list of cached ones, which has to go the same both ways. */
static uint32_t list_length(const struct tandem_kv_pool *pool)
{
	uint32_t length = 0, before = KV_NONE;

	for (uint32_t i = pool->oldest; i != KV_NONE; i = pool->blocks[i].newer) {
		assert_int_equal(pool->blocks[i].older, before);
		assert_true(pool->blocks[i].entry && !kv_block_is_used(&pool->blocks[i]));
		before = i;
		length++;
	}
	assert_int_equal(pool->newest, before);
	return length;
}

void check_pool(const struct fixture *fixture, const uint32_t *references, const uint32_t *pins,
		const uint32_t *copies)
{
	const struct tandem_kv_pool *pool = fixture->pool;
	const struct tandem_kv_pool_stats stats = pool_stats(fixture);
	uint32_t free_count = 0, cached = 0, used = 0, indexed = 0;

	for (uint32_t i = 0; i < BLOCKS; i++) {
		const struct kv_block *block = &pool->blocks[i];
		const bool is_free = pool->map.bits[0] >> i & 1;
		const bool is_used = kv_block_is_used(block);

		assert_int_equal(block->references, references[i]);
		assert_int_equal(block->pins, pins[i]);
		assert_int_equal(block->copies, copies[i]);
		assert_int_equal(block->children, used_children(pool, i));
		/* In one state and no other. */
		assert_int_equal(is_free + is_used + (block->entry && !is_used), 1);
		assert_false(is_free && block->entry);
		/* What is found has all that is before it. */
		if (block->entry && block->parent != KV_NONE)
			assert_true(pool->blocks[block->parent].entry);
		if (kv_block_is_writable(pool, i))
			assert_true(references[i] == 1 && !block->entry);
		free_count += is_free;
		used += is_used;
		cached += block->entry && !is_used;
		indexed += block->entry != 0;
	}
	assert_int_equal(free_count, stats.free);
	assert_int_equal(cached, stats.cached);
	assert_int_equal(used, stats.used);
	assert_int_equal(indexed, stats.indexed);
	assert_int_equal(stats.free + stats.cached + stats.used, BLOCKS);
	assert_int_equal(list_length(pool), cached);
	assert_int_equal(tandem_kv_pool_free_blocks(pool), free_count + cached);
}
