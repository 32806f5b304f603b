// SPDX-License-Identifier: MIT
/*
 * Blocks between processes: having the other side copy them, or asking whether this side
 * may; and whatever else is said.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xfer_ipc.h"

/* A message of @size bytes, of which head and the rest have yet to be filled in. */
static struct ipc_out *out_create(size_t size, unsigned int count)
{
	const size_t head = sizeof(struct ipc_out) + count * sizeof(struct ipc_write);
	struct ipc_out *out = malloc(head + size);

	if (!out)
		return NULL;
	out->bytes = (uint8_t *)out + head;
	out->size = size;
	out->pull = false;
	out->count = count;
	return out;
}

void ipc_outs_free(struct ipc_outs *outs)
{
	struct ipc_out *out;

	while ((out = STAILQ_FIRST(outs))) {
		STAILQ_REMOVE_HEAD(outs, entry);
		free(out);
	}
}

/* The other side is told of all messages that have been carried out at once. */
static int send_count(struct ipc *ipc, enum ipc_message_kind kind, uint32_t *count)
{
	const struct ipc_head head = { .kind = kind, .count = *count };
	uint8_t message[IPC_HEAD_BYTES];
	int ret;

	if (!*count)
		return 0;
	ipc_head_encode(&head, message);
	ret = ipc_socket_send(ipc->fd, message, sizeof(message), -1);
	if (!ret)
		*count = 0;
	return ret;
}

int ipc_send(struct ipc *ipc)
{
	struct ipc_out *out;
	int ret;

	if (ipc->state != IPC_UP || ipc->stopping)
		return 0;
	ret = send_count(ipc, IPC_DONE, &ipc->done);
	if (!ret)
		ret = send_count(ipc, IPC_READ, &ipc->read);
	while (!ret && (out = STAILQ_FIRST(&ipc->out))) {
		ret = ipc_socket_send(ipc->fd, out->bytes, out->size, -1);
		if (ret)
			break;
		STAILQ_REMOVE_HEAD(&ipc->out, entry);
		if (out->count) {
			STAILQ_INSERT_TAIL(out->pull ? &ipc->asked : &ipc->sent, out, entry);
		} else {
			ipc->note_count--;
			free(out);
		}
	}
	return ret == -EAGAIN ? 0 : ret;
}

/* The other side is to be told of what @message has, or asked; the head has yet to be filled in. */
static int send_entries(struct ipc *ipc, enum ipc_message_kind kind, uint8_t *message,
			const struct ipc_write *writes, unsigned int count)
{
	const struct ipc_head head = { .kind = kind, .count = count };
	struct ipc_out *out = out_create(IPC_HEAD_BYTES + count * IPC_ENTRY_BYTES, count);

	if (!out)
		return -ENOMEM;
	out->pull = kind == IPC_READS;
	ipc_head_encode(&head, message);
	memcpy(out->bytes, message, out->size);
	memcpy(out->writes, writes, count * sizeof(out->writes[0]));
	STAILQ_INSERT_TAIL(&ipc->out, out, entry);
	return ipc_send(ipc);
}

static int flush_reads(struct ipc *ipc)
{
	int ret;

	if (!ipc->read_count)
		return 0;
	if (ipc->connection->grants)
		ret = send_entries(ipc, IPC_READS, ipc->read_message, ipc->reads, ipc->read_count);
	else
		ret = ipc_copy_reads(ipc);
	ipc->read_count = 0;
	ipc->read_bytes = 0;
	return ret;
}

static int flush_writes(struct ipc *ipc)
{
	int ret;

	if (!ipc->batch_count)
		return 0;
	ret = send_entries(ipc, IPC_WRITES, ipc->batch_message, ipc->batch, ipc->batch_count);
	ipc->batch_count = 0;
	ipc->batch_bytes = 0;
	return ret;
}

int ipc_flush(struct tandem_connection *connection)
{
	struct ipc *ipc = connection->transport;
	int ret = flush_reads(ipc);

	return ret < 0 ? ret : flush_writes(ipc);
}

static int add_read(struct ipc *ipc, const struct xfer_write *read)
{
	const struct ipc_entry entry = {
		.source = read->remote_offset,
		.destination = read->local_offset,
		.length = read->length,
		.generation = read->generation,
	};
	int ret;

	if (ipc->read_count == IPC_ENTRIES || ipc->read_bytes + read->length > IPC_COPY_BYTES) {
		ret = flush_reads(ipc);
		if (ret < 0)
			return ret;
	}
	ipc->reads[ipc->read_count].push = read->push;
	ipc->reads[ipc->read_count].bytes = read->length;
	if (ipc->connection->grants)
		ipc_entry_encode(&entry, ipc->read_message, ipc->read_count);
	else
		ipc_copy_segment(ipc, &entry, &ipc->read_segments[ipc->read_count]);
	ipc->read_count++;
	ipc->read_bytes += read->length;
	return 0;
}

int ipc_write(struct tandem_connection *connection, const struct xfer_write *write)
{
	struct ipc *ipc = connection->transport;
	const struct ipc_entry entry = {
		.source = write->local_offset,
		.destination = write->remote_offset,
		.length = write->length,
		.transfer = write->transfer,
		.blocks = write->blocks,
		.generation = write->generation,
	};
	int ret;

	if (write->pull)
		return add_read(ipc, write);
	if (ipc->batch_count == IPC_ENTRIES || ipc->batch_bytes + write->length > IPC_COPY_BYTES) {
		ret = flush_writes(ipc);
		if (ret < 0)
			return ret;
	}
	ipc->batch[ipc->batch_count].push = write->push;
	ipc->batch[ipc->batch_count].bytes = write->length;
	ipc_entry_encode(&entry, ipc->batch_message, ipc->batch_count++);
	ipc->batch_bytes += write->length;
	return 0;
}

int ipc_say(struct ipc *ipc, const struct ipc_head *head, const uint8_t *bytes, size_t size)
{
	struct ipc_out *out;

	if (ipc->note_count >= IPC_NOTES_MAX)
		return -ENOBUFS;
	out = out_create(IPC_HEAD_BYTES + size, 0);
	if (!out)
		return -ENOMEM;
	ipc_head_encode(head, out->bytes);
	memcpy(out->bytes + IPC_HEAD_BYTES, bytes, size);
	STAILQ_INSERT_TAIL(&ipc->out, out, entry);
	ipc->note_count++;
	return ipc_send(ipc);
}

int ipc_tell(struct tandem_connection *connection, const struct xfer_note *note)
{
	const struct ipc_head head = { .kind = IPC_NOTE, .count = 1 };
	uint8_t bytes[XFER_NOTE_BYTES];

	xfer_note_encode(note, bytes);
	return ipc_say(connection->transport, &head, bytes, sizeof(bytes));
}
