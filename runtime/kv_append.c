// SPDX-License-Identifier: MIT
/*
 * Appending to a sequence. A partly filled block that others hold as well is
 * copied on the device first.
 *
 * While it is copied, the old block counts as being read: nobody writes to it,
 * and if the copy fails the sequence gets it back as it was.
 */
#include <errno.h>
#include <stdlib.h>

#include "kv.h"
#include "loop.h"

/**
 * struct tandem_kv_copy - one copy under way
 * @pool: the pool
 * @sequence: for which; NULL when that was released meanwhile
 * @caller: operation of tandem_kv_sequence_append()
 * @work: the device's
 * @index: of the block in the sequence
 * @source: old block; @copies of it counts this copy
 * @target: new block, pinned
 *
 * Owned by its operation @work; freed when that ends.
 */
struct tandem_kv_copy {
	struct tandem_kv_pool *pool;
	struct tandem_kv_sequence *sequence;
	struct tandem_operation *caller;
	struct tandem_operation work;
	uint32_t index;
	uint32_t source;
	uint32_t target;
};

void kv_copy_detach(struct tandem_kv_sequence *sequence)
{
	if (sequence->copy)
		sequence->copy->sequence = NULL;
	sequence->copy = NULL;
}

/* Have the sequence hold @to in place of @from, which may be free then. */
static void exchange(struct tandem_kv_sequence *sequence, uint32_t index, uint32_t from,
		     uint32_t to)
{
	struct tandem_kv_pool *pool = sequence->pool;

	sequence->blocks[index] = to;
	kv_block_hold(pool, to, &pool->blocks[to].references);
	kv_block_drop(pool, from, &pool->blocks[from].references);
}

static void copy_done(struct tandem_operation *work)
{
	struct tandem_kv_copy *copy = work->user;
	struct tandem_kv_pool *pool = copy->pool;
	struct tandem_operation *caller = copy->caller;
	const int result = work->result;

	if (copy->sequence) {
		copy->sequence->copy = NULL;
		if (result < 0) {
			exchange(copy->sequence, copy->index, copy->target, copy->source);
			tandem_kv_sequence_cancel(copy->sequence);
		}
	}
	if (result >= 0) {
		pool->stats.copies++;
		pool->stats.copy_bytes += kv_pool_block_bytes(pool);
	}
	kv_block_drop(pool, copy->source, &pool->blocks[copy->source].copies);
	kv_block_drop(pool, copy->target, &pool->blocks[copy->target].pins);
	caller->device_ns = work->device_ns;
	free(copy);
	operation_complete(caller, result);
}

static int copy_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	struct tandem_kv_copy *copy = operation_data(op);

	return tandem_cancel(loop, &copy->work);
}

/* Start copying @copy->source to @copy->target, all layers in one command. */
static int copy_layers(struct tandem_kv_copy *copy, struct tandem_queue *queue)
{
	struct tandem_kv_pool *pool = copy->pool;
	const struct tandem_kv_layout *layout = &pool->layout;
	struct tandem_copy_segment *segments = calloc(layout->layers, sizeof(*segments));
	int ret;

	if (!segments)
		return -ENOMEM;
	for (uint32_t layer = 0; layer < layout->layers; layer++)
		segments[layer] = (struct tandem_copy_segment) {
			.destination = pool->memory,
			.source = pool->memory,
			.destination_offset = tandem_kv_block_offset(layout, layer, copy->target),
			.source_offset = tandem_kv_block_offset(layout, layer, copy->source),
			.length = tandem_kv_block_bytes(layout),
		};
	ret = tandem_copy_list(queue, segments, layout->layers, &copy->work);
	free(segments);
	return ret;
}

/* Begin to replace block @index of the sequence by a copy. There is a free block. */
static int copy_start(struct tandem_kv_sequence *sequence, uint32_t index,
		      struct tandem_queue *queue, struct tandem_operation *op)
{
	struct tandem_kv_pool *pool = sequence->pool;
	struct tandem_kv_copy *copy = calloc(1, sizeof(*copy));
	int ret;

	if (!copy)
		return -ENOMEM;
	ret = operation_begin(op, copy_cancel, copy);
	if (ret)
		goto free_copy;
	copy->pool = pool;
	copy->sequence = sequence;
	copy->caller = op;
	copy->work.done = copy_done;
	copy->work.user = copy;
	copy->index = index;
	copy->source = sequence->blocks[index];
	kv_map_take(&pool->map, copy->source, 1, &copy->target);
	pool->blocks[copy->target].pins = 1;
	ret = copy_layers(copy, queue);
	if (ret)
		goto drop_target;
	kv_block_hold(pool, copy->source, &pool->blocks[copy->source].copies);
	exchange(sequence, index, copy->source, copy->target);
	sequence->copy = copy;
	return 0;

drop_target:
	kv_block_drop(pool, copy->target, &pool->blocks[copy->target].pins);
	operation_abandon(op);
free_copy:
	free(copy);
	return ret;
}

/* Does the block that the next token goes into have to be copied first? */
static bool needs_copy(const struct tandem_kv_sequence *sequence)
{
	const uint32_t block_tokens = sequence->pool->layout.block_tokens;

	return sequence->token_count % block_tokens &&
	       !kv_block_is_writable(sequence->pool,
				     sequence->blocks[sequence->token_count / block_tokens]);
}

/* Blocks to take for @end tokens, beside @copies. */
static int make_room(const struct tandem_kv_sequence *sequence, uint32_t end, uint32_t copies)
{
	const uint32_t needed = kv_blocks_for(sequence->pool, end);
	const uint32_t missing =
		needed > sequence->block_count ? needed - sequence->block_count : 0;

	if (missing > UINT32_MAX - copies)
		return -ENOSPC;
	return kv_pool_make_room(sequence->pool, missing + copies);
}

int tandem_kv_sequence_append(struct tandem_kv_sequence *sequence, uint32_t tokens,
			      struct tandem_queue *queue, struct tandem_operation *op)
{
	const uint32_t index = sequence->token_count / sequence->pool->layout.block_tokens;
	const bool copy = needs_copy(sequence);
	uint32_t end;
	int ret;

	if (sequence->writable || sequence->copy)
		return -EBUSY;
	if (!tokens || __builtin_add_overflow(sequence->token_count, tokens, &end) ||
	    (copy && (!queue || !op)))
		return -EINVAL;
	ret = make_room(sequence, end, copy);
	if (!ret)
		ret = tandem_kv_sequence_reserve(sequence, end);
	if (!ret && copy)
		ret = copy_start(sequence, index, queue, op);
	if (ret)
		return ret;
	sequence->writable = tokens;
	return copy;
}
