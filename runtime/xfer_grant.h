/* SPDX-License-Identifier: MIT */
/*
 * What may arrive, or be read.
 */
#ifndef TANDEM_RUNTIME_XFER_GRANT_H
#define TANDEM_RUNTIME_XFER_GRANT_H

#include <stdbool.h>
#include <stdint.h>

#include <tandem/xfer.h>

/**
 * struct xfer_grant - blocks that the other side may write, each of them once, or read
 * @generation: names it
 * @blocks: of each layer of the pool
 * @block_bytes: of each block
 * @left: those of all layers that may still be written, or be read, a bit for each
 */
struct xfer_grant {
	uint64_t generation;
	uint64_t blocks;
	uint64_t block_bytes;
	uint64_t left[];
};

/**
 * xfer_grant_create() - make a grant
 * @layout: of the pool
 * @receive: from the application
 * @grant: where to put it; to be freed
 *
 * Return: 0; -EINVAL a block or layer out of range, or a block given twice;
 * -ENOMEM.
 */
int xfer_grant_create(const struct tandem_kv_layout *layout,
		      const struct tandem_receive *receive, struct xfer_grant **grant);

/* One of no blocks, to be freed; NULL without memory. */
struct xfer_grant *xfer_grant_empty(const struct tandem_kv_layout *layout);
/* Bytes that one takes. */
uint64_t xfer_grant_bytes(const struct tandem_kv_layout *layout);
/* Blocks more, counted through all layers and within the pool. */
void xfer_grant_add(struct xfer_grant *grant, uint64_t first, uint64_t count);

/**
 * xfer_grant_next_run() - granted blocks that are neighbours
 * @grant: a new one
 * @total: blocks of all layers
 * @from: where to begin, counted through all layers
 * @first: filled in: the first block from there that is granted
 *
 * Return: how many from @first on are; 0 when there are none any more.
 */
uint64_t xfer_grant_next_run(const struct xfer_grant *grant, uint64_t total, uint64_t from,
			     uint64_t *first);

/* Are all blocks of a range in it? The range is within the pool, and not empty. */
bool xfer_grant_has(const struct xfer_grant *grant, uint64_t offset, uint64_t length);

/**
 * xfer_grant_use() - may this be written?
 * @grant: NULL for none: then not
 * @generation: of the write
 * @offset: in the pool, bytes, within it
 * @length: bytes
 * @blocks: that are complete with it, as the other side says
 *
 * Blocks that are complete with it may not be written again.
 *
 * Return: 0 or -EACCES.
 */
int xfer_grant_use(struct xfer_grant *grant, uint64_t generation, uint64_t offset,
		   uint64_t length, uint32_t blocks);

#endif /* TANDEM_RUNTIME_XFER_GRANT_H */
