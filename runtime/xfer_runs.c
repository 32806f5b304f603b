// SPDX-License-Identifier: MIT
/*
 * Putting neighbouring blocks together: a write costs the same for one block
 * as for many, and that cost is what users feel.
 */
#include <errno.h>

#include "xfer.h"

int xfer_push_check(const struct tandem_kv_layout *local, const struct tandem_kv_layout *remote,
		    const struct tandem_push *push)
{
	uint32_t i;

	if (push->transfer >= XFER_TRANSFERS || !push->layer_count || !push->block_count ||
	    push->layer_first >= local->layers ||
	    push->layer_count > local->layers - push->layer_first)
		return -EINVAL;
	for (i = 0; i < push->block_count; i++)
		if (push->local_blocks[i] >= local->blocks ||
		    push->remote_blocks[i] >= remote->blocks)
			return -EINVAL;
	return 0;
}

/* Adds a block to the runs so far; returns how many there are then. */
static size_t add_block(struct xfer_run *runs, size_t count, struct xfer_run *last,
			uint64_t local, uint64_t remote)
{
	if (count && last->local + last->count == local && last->remote + last->count == remote) {
		last->count++;
	} else {
		last->local = local;
		last->remote = remote;
		last->count = 1;
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
	struct xfer_run last = { 0 };
	size_t count = 0;
	uint32_t layer, i;

	for (layer = push->layer_first; layer < push->layer_first + push->layer_count; layer++) {
		uint64_t local_first = (uint64_t)layer * local->blocks;
		uint64_t remote_first = (uint64_t)layer * remote->blocks;

		for (i = 0; i < push->block_count; i++)
			count = add_block(runs, count, &last, local_first + push->local_blocks[i],
					  remote_first + push->remote_blocks[i]);
	}
	return count;
}
