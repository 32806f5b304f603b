// SPDX-License-Identifier: MIT
/*
 * Putting neighbouring blocks together: a write costs the same for one block
 * as for many, and that cost is what users feel.
 */
#include <errno.h>

#include "xfer.h"

static uint32_t local_block(const struct tandem_push *push, uint32_t i)
{
	return push->local_blocks ? push->local_blocks[i] :
				    push->local_first + i * push->local_stride;
}

static uint32_t remote_block(const struct tandem_push *push, uint32_t i)
{
	return push->remote_blocks ? push->remote_blocks[i] :
				     push->remote_first + i * push->remote_stride;
}

static bool list_fits(const uint32_t *blocks, uint32_t count, uint32_t limit)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		if (blocks[i] >= limit)
			return false;
	return true;
}

static bool stride_fits(uint32_t first, uint32_t stride, uint32_t count, uint32_t limit)
{
	return first + (uint64_t)stride * (count - 1) < limit;
}

int xfer_push_check(const struct tandem_kv_layout *local, const struct tandem_kv_layout *remote,
		    const struct tandem_push *push, bool pull)
{
	if (push->transfer >= XFER_TRANSFERS)
		return -EINVAL;
	if (push->table)
		return xfer_table_check(local, remote, push);
	if (!push->layer_count || !push->block_count || push->entry_count ||
	    push->layer_first >= local->layers ||
	    push->layer_count > local->layers - push->layer_first)
		return -EINVAL;
	/* One goal of several blocks would be nobody's wish. */
	if (push->block_count > 1 && (pull ? !push->local_blocks && !push->local_stride :
					     !push->remote_blocks && !push->remote_stride))
		return -EINVAL;
	if (push->local_blocks ? !list_fits(push->local_blocks, push->block_count, local->blocks) :
				 !stride_fits(push->local_first, push->local_stride,
					      push->block_count, local->blocks))
		return -EINVAL;
	if (push->remote_blocks)
		return list_fits(push->remote_blocks, push->block_count, remote->blocks) ? 0 :
											   -EINVAL;
	return stride_fits(push->remote_first, push->remote_stride, push->block_count,
			   remote->blocks) ? 0 : -EINVAL;
}

size_t xfer_runs_add(struct xfer_run *runs, size_t count, struct xfer_run *last,
		     const struct xfer_run *add)
{
	if (count && last->local + last->count == add->local &&
	    last->remote + last->count == add->remote) {
		last->count += add->count;
	} else {
		*last = *add;
		count++;
	}
	if (runs)
		runs[count - 1] = *last;
	return count;
}

size_t xfer_runs_build(const struct tandem_kv_layout *local,
		       const struct tandem_kv_layout *remote, const struct tandem_push *push,
		       struct xfer_run *runs)
{
	struct xfer_run last = { 0 }, next = { .count = 1 };
	size_t count = 0;
	uint32_t layer, i;

	if (push->table)
		return xfer_table_build(push, runs);
	for (layer = push->layer_first; layer < push->layer_first + push->layer_count; layer++) {
		uint64_t local_first = (uint64_t)layer * local->blocks;
		uint64_t remote_first = (uint64_t)layer * remote->blocks;

		for (i = 0; i < push->block_count; i++) {
			next.local = local_first + local_block(push, i);
			next.remote = remote_first + remote_block(push, i);
			count = xfer_runs_add(runs, count, &last, &next);
		}
	}
	return count;
}
