// SPDX-License-Identifier: MIT
/*
 * Checksums of what is pushed, from end to end: the sender computes them from its
 * memory and tells them in notes, a note for each write; the receiver keeps them, and
 * compares when all of a transfer has landed and nothing of it can any more.
 */
#include <errno.h>
#include <stdlib.h>

#include "crc32c.h"
#include "kv.h"
#include "xfer.h"

/* Of ranges: so many are taken memory for in the beginning. */
#define ROOM_FIRST 16u

static uint32_t checksum(const struct tandem_connection *connection, uint64_t first, uint64_t count)
{
	uint64_t block_bytes = tandem_kv_block_bytes(&connection->layout);

	return crc32c(connection->bytes + first * block_bytes, count * block_bytes);
}

int xfer_checksum_tell(struct tandem_connection *connection, const struct xfer_write *write)
{
	uint64_t block_bytes = tandem_kv_block_bytes(&connection->layout);
	/* What is complete with it, if it is the last part of a block that is cut. */
	uint64_t local = (write->local_offset + write->length) / block_bytes - write->blocks;
	uint64_t remote = (write->remote_offset + write->length) / block_bytes - write->blocks;
	const struct xfer_note note = {
		.kind = XFER_NOTE_CHECKSUM,
		.transfer = write->transfer,
		.generation = write->generation,
		.first = remote,
		.count = write->blocks,
		.checksum = checksum(connection, local, write->blocks),
	};

	return connection->ops->tell(connection, &note);
}

int xfer_checksum_add(struct tandem_connection *connection, struct xfer_expect *expect,
		      const struct xfer_note *note)
{
	uint64_t total = (uint64_t)connection->layout.layers * connection->layout.blocks;
	struct xfer_checksums *sums = &expect->checksums;
	struct xfer_range *ranges;
	uint32_t room;

	/* A block is the goal of one transfer at a time, so there are never more. */
	if (!note->count || note->first >= total || note->count > total - note->first ||
	    connection->expects.ranges >= total)
		return -EPROTO;
	if (sums->range_count == sums->room) {
		room = sums->room ? sums->room * 2 : ROOM_FIRST;
		ranges = reallocarray(sums->ranges, room, sizeof(*ranges));
		if (!ranges)
			return -ENOMEM;
		sums->ranges = ranges;
		sums->room = room;
	}
	sums->ranges[sums->range_count++] = (struct xfer_range){
		.first = note->first,
		.count = note->count,
		.checksum = note->checksum,
	};
	sums->blocks += note->count;
	connection->expects.ranges++;
	return 0;
}
