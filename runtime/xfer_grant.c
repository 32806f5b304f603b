// SPDX-License-Identifier: MIT
/*
 * What may arrive. A block's number says nothing of whose it is: it may have been
 * given to another sequence since the other side was told of it. So blocks are
 * granted for one transfer, under a number that never comes again.
 */
#include <errno.h>
#include <stdlib.h>

#include "xfer.h"

#define WORD_BITS	64u

static bool is_left(const struct xfer_grant *grant, uint64_t block)
{
	return grant->left[block / WORD_BITS] >> block % WORD_BITS & 1;
}

static int grant_layer(struct xfer_grant *grant, const struct tandem_receive *receive,
		       uint32_t layer)
{
	uint64_t block;
	uint32_t i;

	for (i = 0; i < receive->block_count; i++) {
		if (receive->blocks[i] >= grant->blocks)
			return -EINVAL;
		block = layer * grant->blocks + receive->blocks[i];
		if (is_left(grant, block))
			return -EINVAL;
		grant->left[block / WORD_BITS] |= 1ull << block % WORD_BITS;
	}
	return 0;
}

uint64_t xfer_grant_bytes(const struct tandem_kv_layout *layout)
{
	uint64_t words = (uint64_t)layout->layers * layout->blocks / WORD_BITS + 1;

	return sizeof(struct xfer_grant) + words * sizeof(uint64_t);
}

struct xfer_grant *xfer_grant_empty(const struct tandem_kv_layout *layout)
{
	struct xfer_grant *grant = calloc(1, xfer_grant_bytes(layout));

	if (!grant)
		return NULL;
	grant->blocks = layout->blocks;
	grant->block_bytes = tandem_kv_block_bytes(layout);
	return grant;
}

void xfer_grant_add(struct xfer_grant *grant, uint64_t first, uint64_t count)
{
	for (uint64_t block = first; block < first + count; block++)
		grant->left[block / WORD_BITS] |= 1ull << block % WORD_BITS;
}

int xfer_grant_create(const struct tandem_kv_layout *layout,
		      const struct tandem_receive *receive, struct xfer_grant **grant)
{
	struct xfer_grant *new;
	uint32_t layer;
	int ret = 0;

	if (!receive->layer_count || !receive->block_count ||
	    receive->layer_first >= layout->layers ||
	    receive->layer_count > layout->layers - receive->layer_first)
		return -EINVAL;
	new = xfer_grant_empty(layout);
	if (!new)
		return -ENOMEM;
	for (layer = 0; layer < receive->layer_count && !ret; layer++)
		ret = grant_layer(new, receive, receive->layer_first + layer);
	if (ret < 0) {
		free(new);
		return ret;
	}
	*grant = new;
	return 0;
}

uint64_t xfer_grant_next_run(const struct xfer_grant *grant, uint64_t total, uint64_t from,
			     uint64_t *first)
{
	uint64_t end;

	while (from < total && !is_left(grant, from))
		from = grant->left[from / WORD_BITS] ? from + 1 :
						       (from / WORD_BITS + 1) * WORD_BITS;
	*first = from;
	for (end = from; end < total && is_left(grant, end); end++)
		;
	return end > from ? end - from : 0;
}

bool xfer_grant_has(const struct xfer_grant *grant, uint64_t offset, uint64_t length)
{
	const uint64_t last = (offset + length - 1) / grant->block_bytes;

	for (uint64_t block = offset / grant->block_bytes; block <= last; block++)
		if (!is_left(grant, block))
			return false;
	return true;
}

int xfer_grant_use(struct xfer_grant *grant, uint64_t generation, uint64_t offset,
		   uint64_t length, uint32_t blocks)
{
	uint64_t block, first, whole;

	if (!grant || generation != grant->generation || !length)
		return -EACCES;
	first = offset / grant->block_bytes;
	/* Those that end in it: not the last one, if only a part of that comes. */
	whole = (offset + length) / grant->block_bytes - first;
	if (whole != blocks || !xfer_grant_has(grant, offset, length))
		return -EACCES;
	for (block = first; block < first + whole; block++)
		grant->left[block / WORD_BITS] &= ~(1ull << block % WORD_BITS);
	return 0;
}
