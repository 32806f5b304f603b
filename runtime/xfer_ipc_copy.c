// SPDX-License-Identifier: MIT
/*
 * Blocks between processes: this side's device copies out of the other's memory, what
 * the other side has told of, or what this side pulls.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "kv.h"
#include "xfer_ipc.h"

/**
 * struct ipc_piece - a piece of a copy
 * @transfer: of a write: for the receiver to count
 * @blocks: likewise
 * @read: a read of this side's
 */
struct ipc_piece {
	uint32_t transfer;
	uint32_t blocks;
	struct ipc_write read;
};

/**
 * struct ipc_copy - a message of writes, or reads, that are one command of the device
 * @op: of the command
 * @entry: in &ipc.copies
 * @ipc: of the side whose device it is
 * @pull: it is reads
 * @count: entries of @pieces
 * @pieces: what to tell of when it has ended
 */
struct ipc_copy {
	struct tandem_operation op;
	LIST_ENTRY(ipc_copy) entry;
	struct ipc *ipc;
	bool pull;
	unsigned int count;
	struct ipc_piece pieces[];
};

void ipc_copy_segment(struct ipc *ipc, const struct ipc_entry *entry,
		      struct tandem_copy_segment *segment)
{
	segment->destination = ipc->connection->memory;
	segment->source = ipc->view;
	segment->destination_offset = entry->destination;
	segment->source_offset = entry->source;
	segment->length = entry->length;
}

/*
 * Has the other side shut its end? Then the blocks that a copy has just read may be
 * somebody else's. To be asked after reading them: the end of the copy, which has been
 * taken in, orders the two.
 */
static bool other_has_ended(const struct ipc *ipc)
{
	struct pollfd socket = { .fd = ipc->fd, .events = POLLRDHUP };

	return poll(&socket, 1, 0) != 0;
}

/* Count what came, and have the other side know. */
static void writes_done(struct ipc *ipc, const struct ipc_copy *copy)
{
	unsigned int i;
	int ret;

	for (i = 0; i < copy->count && !ipc->stopping; i++)
		/* A part of a block counts with the last one. */
		if (copy->pieces[i].blocks)
			connection_received(ipc->connection, copy->pieces[i].transfer,
					    copy->pieces[i].blocks);
	if (ipc->stopping)
		return;
	ipc->done++;
	ret = ipc_send(ipc);
	if (ret < 0)
		connection_fail(ipc->connection, ret);
}

static void reads_done(struct ipc *ipc, const struct ipc_copy *copy)
{
	const struct ipc_write *read;
	unsigned int i;
	int ret;

	for (i = 0; i < copy->count && !ipc->stopping; i++) {
		read = &copy->pieces[i].read;
		connection_write_done(ipc->connection, read->push, read->bytes, 0);
	}
	if (ipc->stopping)
		return;
	ipc->read += ipc->connection->grants;
	ret = ipc_send(ipc);
	if (ret < 0)
		connection_fail(ipc->connection, ret);
	connection_continue(ipc->connection);
}

static void copy_tell(struct ipc *ipc, const struct ipc_copy *copy)
{
	if (copy->op.result)
		connection_fail(ipc->connection, copy->op.result);
	else if (other_has_ended(ipc))
		connection_fail(ipc->connection, -ECONNRESET);
	else if (copy->pull)
		reads_done(ipc, copy);
	else
		writes_done(ipc, copy);
}

static void copy_done(struct tandem_operation *op)
{
	struct ipc_copy *copy = op->user;
	struct ipc *ipc = copy->ipc;

	LIST_REMOVE(copy, entry);
	ipc->copy_count -= !copy->pull;
	if (!ipc->stopping)
		copy_tell(ipc, copy);
	free(copy);
	if (ipc->connection)
		ipc_check_quiet(ipc);
	else if (LIST_EMPTY(&ipc->copies))
		/* Closed from within a callback; see ipc_close(). */
		ipc_destroy(ipc);
}

/*
 * Starting
 */

static struct ipc_copy *copy_create(struct ipc *ipc, unsigned int count, bool pull)
{
	struct ipc_copy *copy = calloc(1, sizeof(*copy) + count * sizeof(copy->pieces[0]));

	if (!copy)
		return NULL;
	copy->op.done = copy_done;
	copy->op.user = copy;
	copy->ipc = ipc;
	copy->pull = pull;
	copy->count = count;
	return copy;
}

/* Freed if that fails. */
static int copy_start(struct ipc_copy *copy, const struct tandem_copy_segment *segments)
{
	struct ipc *ipc = copy->ipc;
	int ret = tandem_copy_list(ipc->queue, segments, copy->count, &copy->op);

	if (ret < 0) {
		free(copy);
		return ret;
	}
	LIST_INSERT_HEAD(&ipc->copies, copy, entry);
	ipc->copy_count += !copy->pull;
	return 0;
}

int ipc_copy_reads(struct ipc *ipc)
{
	struct ipc_copy *copy = copy_create(ipc, ipc->read_count, true);
	unsigned int i;

	if (!copy)
		return -ENOMEM;
	for (i = 0; i < copy->count; i++)
		copy->pieces[i].read = ipc->reads[i];
	return copy_start(copy, ipc->read_segments);
}

int ipc_copy_answered(struct ipc *ipc, const struct ipc_out *out, const uint8_t *bits,
		      unsigned int count)
{
	struct ipc_copy *copy = copy_create(ipc, count, true);
	struct ipc_entry entry;
	unsigned int i, at = 0;

	if (!copy)
		return -ENOMEM;
	for (i = 0; i < out->count; i++) {
		if (!ipc_bit_is_set(bits, i))
			continue;
		ipc_entry_decode(out->bytes, i, &entry);
		ipc_copy_segment(ipc, &entry, &ipc->segments[at]);
		copy->pieces[at++].read = out->writes[i];
	}
	return copy_start(copy, ipc->segments);
}

/* Return: 0; -EPROTO for what lies outside of a pool, -EACCES for what was not granted. */
static int check_entry(struct ipc *ipc, const struct ipc_entry *entry)
{
	const uint64_t block_bytes = tandem_kv_block_bytes(&ipc->connection->layout);
	const struct xfer_write write = {
		.remote_offset = entry->destination,
		.length = entry->length,
		.transfer = entry->transfer,
		.blocks = entry->blocks,
		.generation = entry->generation,
	};

	if (!entry->length || entry->length > ipc->remote_bytes ||
	    entry->source > ipc->remote_bytes - entry->length || entry->length > ipc->local_bytes ||
	    entry->destination > ipc->local_bytes - entry->length ||
	    entry->transfer >= XFER_TRANSFERS || entry->blocks > XFER_WRITE_BLOCKS_MAX ||
	    (!entry->blocks && block_bytes <= IPC_COPY_BYTES))
		return -EPROTO;
	return connection_admit(ipc->connection, &write);
}

static int copy_fill(struct ipc *ipc, struct ipc_copy *copy)
{
	struct tandem_copy_segment *segment = ipc->segments;
	struct ipc_entry entry;
	unsigned int i;
	int ret;

	for (i = 0; i < copy->count; i++, segment++) {
		ipc_entry_decode(ipc->buffer, i, &entry);
		ret = check_entry(ipc, &entry);
		if (ret < 0)
			return ret;
		ipc_copy_segment(ipc, &entry, segment);
		copy->pieces[i].transfer = entry.transfer;
		copy->pieces[i].blocks = entry.blocks;
	}
	return 0;
}

int ipc_copy_writes(struct ipc *ipc, unsigned int count)
{
	struct ipc_copy *copy;
	int ret;

	if (ipc->copy_count == IPC_SLOTS)
		return -EPROTO;
	copy = copy_create(ipc, count, false);
	if (!copy)
		return -ENOMEM;
	ret = copy_fill(ipc, copy);
	if (ret < 0) {
		free(copy);
		return ret;
	}
	return copy_start(copy, ipc->segments);
}

void ipc_copies_cancel(struct ipc *ipc)
{
	struct ipc_copy *copy;

	/* One that cannot be cancelled for want of memory ends by itself. */
	LIST_FOREACH(copy, &ipc->copies, entry)
		tandem_cancel(ipc->loop, &copy->op);
}
