// SPDX-License-Identifier: MIT
/*
 * Blocks between processes: telling of them, copying those that the other side tells
 * of, and coming to rest.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"
#include "kv.h"
#include "xfer_ipc.h"

/* Messages dealt with before the loop's other events have their turn. */
#define MESSAGES_MAX 64u
/*
 * How long an ending waits for the other side to stop copying what it was told of. A
 * side that does not answer looks after its own memory by its own deadlines.
 */
#define DRAIN_MS 200

bool xfer_ipc_always;

/**
 * struct ipc_out - a message to send, or that was sent
 * @entry: in &ipc.out, &ipc.sent or &ipc.asked
 * @bytes: the message
 * @size: bytes of it
 * @pull: @writes are reads that it asks for
 * @count: entries of @writes; 0 for a note or an answer
 * @writes: that it tells of
 */
struct ipc_out {
	STAILQ_ENTRY(ipc_out) entry;
	uint8_t *bytes;
	size_t size;
	bool pull;
	unsigned int count;
	struct ipc_write writes[];
};

/**
 * struct ipc_loan - reads of a message that the other side may carry out
 * @entry: in &ipc.loans
 * @count: entries of @generations
 * @generations: of the offer, for each of them
 */
struct ipc_loan {
	STAILQ_ENTRY(ipc_loan) entry;
	unsigned int count;
	uint64_t generations[];
};

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

static void copy_done(struct tandem_operation *op);

/*
 * Sending
 */

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

static void outs_free(struct ipc_outs *outs)
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

/* Send what is to be sent, as far as the socket takes it; it tells when it takes more. */
static int ipc_send(struct ipc *ipc)
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

/* The reads that are not a command yet become one. */
static int reads_start(struct ipc *ipc)
{
	struct ipc_copy *copy = copy_create(ipc, ipc->read_count, true);
	unsigned int i;

	if (!copy)
		return -ENOMEM;
	for (i = 0; i < copy->count; i++)
		copy->pieces[i].read = ipc->reads[i];
	return copy_start(copy, ipc->read_segments);
}

/* The same reads, to be asked for. */
static int reads_ask(struct ipc *ipc)
{
	const struct ipc_head head = { .kind = IPC_READS, .count = ipc->read_count };
	struct ipc_out *out;

	out = out_create(IPC_HEAD_BYTES + ipc->read_count * IPC_ENTRY_BYTES, ipc->read_count);
	if (!out)
		return -ENOMEM;
	out->pull = true;
	ipc_head_encode(&head, ipc->read_message);
	memcpy(out->bytes, ipc->read_message, out->size);
	memcpy(out->writes, ipc->reads, out->count * sizeof(out->writes[0]));
	STAILQ_INSERT_TAIL(&ipc->out, out, entry);
	return ipc_send(ipc);
}

static int flush_reads(struct ipc *ipc)
{
	int ret;

	if (!ipc->read_count)
		return 0;
	ret = ipc->connection->grants ? reads_ask(ipc) : reads_start(ipc);
	ipc->read_count = 0;
	ipc->read_bytes = 0;
	return ret;
}

static int flush_writes(struct ipc *ipc)
{
	const struct ipc_head head = { .kind = IPC_WRITES, .count = ipc->batch_count };
	struct ipc_out *out;

	if (!ipc->batch_count)
		return 0;
	out = out_create(IPC_HEAD_BYTES + ipc->batch_count * IPC_ENTRY_BYTES, ipc->batch_count);
	if (!out)
		return -ENOMEM;
	ipc_head_encode(&head, ipc->batch_message);
	memcpy(out->bytes, ipc->batch_message, out->size);
	memcpy(out->writes, ipc->batch, out->count * sizeof(out->writes[0]));
	STAILQ_INSERT_TAIL(&ipc->out, out, entry);
	ipc->batch_count = 0;
	ipc->batch_bytes = 0;
	return ipc_send(ipc);
}

static int ipc_flush(struct tandem_connection *connection)
{
	struct ipc *ipc = connection->transport;
	int ret = flush_reads(ipc);

	return ret < 0 ? ret : flush_writes(ipc);
}

static void read_segment(struct ipc *ipc, const struct ipc_entry *entry,
			 struct tandem_copy_segment *segment)
{
	segment->destination = ipc->connection->memory;
	segment->source = ipc->view;
	segment->destination_offset = entry->destination;
	segment->source_offset = entry->source;
	segment->length = entry->length;
}

static int ipc_read(struct ipc *ipc, const struct xfer_write *read)
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
		read_segment(ipc, &entry, &ipc->read_segments[ipc->read_count]);
	ipc->read_count++;
	ipc->read_bytes += read->length;
	return 0;
}

static int ipc_write(struct tandem_connection *connection, const struct xfer_write *write)
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
		return ipc_read(ipc, write);
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

/* Have a message sent that nothing is waited for after. */
static int say(struct ipc *ipc, const struct ipc_head *head, const uint8_t *bytes, size_t size)
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

static int ipc_tell(struct tandem_connection *connection, const struct xfer_note *note)
{
	const struct ipc_head head = { .kind = IPC_NOTE, .count = 1 };
	uint8_t bytes[XFER_NOTE_BYTES];

	xfer_note_encode(note, bytes);
	return say(connection->transport, &head, bytes, sizeof(bytes));
}

/* @count messages of ours are in the other side's memory. */
static int take_done(struct ipc *ipc, uint32_t count)
{
	struct ipc_out *out;
	unsigned int i;

	for (; count && !ipc->stopping; count--) {
		out = STAILQ_FIRST(&ipc->sent);
		if (!out)
			return -EPROTO;
		STAILQ_REMOVE_HEAD(&ipc->sent, entry);
		for (i = 0; i < out->count && !ipc->stopping; i++)
			connection_write_done(ipc->connection, out->writes[i].push,
					      out->writes[i].bytes, 0);
		free(out);
	}
	connection_continue(ipc->connection);
	return 0;
}

/*
 * Copying
 */

static void ipc_check_quiet(struct ipc *ipc);

static void ipc_destroy(struct ipc *ipc)
{
	struct ipc_loan *loan;

	outs_free(&ipc->out);
	outs_free(&ipc->sent);
	outs_free(&ipc->asked);
	while ((loan = STAILQ_FIRST(&ipc->loans))) {
		STAILQ_REMOVE_HEAD(&ipc->loans, entry);
		free(loan);
	}
	if (ipc->memory >= 0)
		close(ipc->memory);
	tandem_queue_close(ipc->queue);
	free(ipc);
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
 * Receiving
 */

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
		segment->destination = ipc->connection->memory;
		segment->source = ipc->view;
		segment->destination_offset = entry.destination;
		segment->source_offset = entry.source;
		segment->length = entry.length;
		copy->pieces[i].transfer = entry.transfer;
		copy->pieces[i].blocks = entry.blocks;
	}
	return 0;
}

static int take_writes(struct ipc *ipc, unsigned int count)
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

/*
 * Reading by the other side's leave
 */

static bool bit_is_set(const uint8_t *bits, unsigned int bit)
{
	return bits[bit / 8] >> bit % 8 & 1;
}

/* Return: 0; -EACCES it may not; -EPROTO. */
static int lend(struct ipc *ipc, const struct ipc_entry *entry)
{
	const struct xfer_write read = {
		.remote_offset = entry->source,
		.length = entry->length,
		.generation = entry->generation,
	};

	if (!entry->length || entry->length > ipc->local_bytes ||
	    entry->source > ipc->local_bytes - entry->length)
		return -EPROTO;
	return connection_read_begin(ipc->connection, &read);
}

/* The other side asks: say which entries it may read. Those stay in place until it has. */
static int take_reads(struct ipc *ipc, unsigned int count)
{
	const struct ipc_head head = { .kind = IPC_ANSWER, .count = count };
	uint8_t bits[IPC_ENTRIES / 8] = { 0 };
	struct ipc_entry entry;
	struct ipc_loan *loan;
	unsigned int i;
	int ret;

	if (!ipc->connection->grants || ipc->loan_count == IPC_SLOTS)
		return -EPROTO;
	loan = malloc(sizeof(*loan) + count * sizeof(loan->generations[0]));
	if (!loan)
		return -ENOMEM;
	loan->count = 0;
	for (i = 0; i < count; i++) {
		ipc_entry_decode(ipc->buffer, i, &entry);
		ret = lend(ipc, &entry);
		if (ret == -EPROTO)
			goto free_loan;
		if (ret < 0)
			continue;
		bits[i / 8] |= 1u << i % 8;
		loan->generations[loan->count++] = entry.generation;
	}
	ret = say(ipc, &head, bits, sizeof(bits));
	if (ret < 0 || !loan->count)
		goto free_loan;
	STAILQ_INSERT_TAIL(&ipc->loans, loan, entry);
	ipc->loan_count++;
	return 0;

free_loan:
	free(loan);
	return ret;
}

/* @count messages of reads have been carried out. */
static int take_read(struct ipc *ipc, uint32_t count)
{
	struct ipc_loan *loan;
	unsigned int i;

	for (; count && !ipc->stopping; count--) {
		loan = STAILQ_FIRST(&ipc->loans);
		if (!loan)
			return -EPROTO;
		STAILQ_REMOVE_HEAD(&ipc->loans, entry);
		ipc->loan_count--;
		for (i = 0; i < loan->count && !ipc->stopping; i++)
			connection_read_end(ipc->connection, loan->generations[i]);
		free(loan);
	}
	return 0;
}

/* Have our device carry out the reads of a message that may be. */
static int answered_start(struct ipc *ipc, const struct ipc_out *out, const uint8_t *bits,
			  unsigned int count)
{
	struct ipc_copy *copy = copy_create(ipc, count, true);
	struct ipc_entry entry;
	unsigned int i, at = 0;

	if (!copy)
		return -ENOMEM;
	for (i = 0; i < out->count; i++) {
		if (!bit_is_set(bits, i))
			continue;
		ipc_entry_decode(out->bytes, i, &entry);
		read_segment(ipc, &entry, &ipc->segments[at]);
		copy->pieces[at++].read = out->writes[i];
	}
	return copy_start(copy, ipc->segments);
}

/* The other side's answer to the oldest message of reads. What may not be ends its pull. */
static int take_answer(struct ipc *ipc, uint32_t count)
{
	const uint8_t *bits = ipc->buffer + IPC_HEAD_BYTES;
	struct ipc_out *out = STAILQ_FIRST(&ipc->asked);
	unsigned int i, allowed = 0;
	int ret = 0;

	if (!out || out->count != count)
		return -EPROTO;
	STAILQ_REMOVE_HEAD(&ipc->asked, entry);
	for (i = 0; i < count; i++)
		allowed += bit_is_set(bits, i);
	if (allowed)
		ret = answered_start(ipc, out, bits, allowed);
	for (i = 0; i < count && !ret && !ipc->stopping; i++)
		if (!bit_is_set(bits, i))
			connection_write_done(ipc->connection, out->writes[i].push,
					      out->writes[i].bytes, -EACCES);
	free(out);
	if (!ret)
		connection_continue(ipc->connection);
	return ret;
}

static int take_message(struct ipc *ipc, size_t size)
{
	struct xfer_note note;
	struct ipc_head head;

	if (ipc_head_decode(ipc->buffer, size, &head) < 0)
		return -EPROTO;
	switch (head.kind) {
	case IPC_WRITES:
		return take_writes(ipc, head.count);
	case IPC_DONE:
		return take_done(ipc, head.count);
	case IPC_NOTE:
		if (xfer_note_decode(ipc->buffer + IPC_HEAD_BYTES, &note) < 0)
			return -EPROTO;
		return connection_told(ipc->connection, &note);
	case IPC_READS:
		return take_reads(ipc, head.count);
	case IPC_ANSWER:
		return take_answer(ipc, head.count);
	case IPC_READ:
		return take_read(ipc, head.count);
	default:
		return -EPROTO;
	}
}

/* @size as ipc_socket_receive() returns it. */
static void ipc_received(struct ipc *ipc, ssize_t size, int fd)
{
	int ret = size;

	if (ipc->stopping) {
		ipc->other_gone = size <= 0;
		ipc_check_quiet(ipc);
		return;
	}
	if (ipc->state == IPC_PARKED) {
		/* It does not wait for the answer; another may call. */
		ipc_close_socket(ipc);
		return;
	}
	if (!size) {
		ipc->other_gone = true;
		ret = -ECONNRESET;
	} else if (size > 0) {
		ret = ipc->state == IPC_UP ? take_message(ipc, size) :
					     ipc_greet_received(ipc, size, fd);
	}
	if (ret < 0)
		connection_fail(ipc->connection, ret);
}

static void ipc_receive(struct ipc *ipc)
{
	unsigned int count;
	ssize_t size;
	int fd = -1;

	for (count = 0; count < MESSAGES_MAX && ipc->fd >= 0 && !ipc->other_gone; count++) {
		size = ipc_socket_receive(ipc->fd, ipc->buffer,
					  ipc->state == IPC_TRUSTED ? &fd : NULL);
		if (size == -EAGAIN)
			return;
		ipc_received(ipc, size, fd);
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	if (ipc->fd >= 0 && !ipc->other_gone)
		loop_task_post(ipc->loop, &ipc->receive_task);
}

static void ipc_receive_more(struct loop_task *task)
{
	ipc_receive((void *)((char *)task - offsetof(struct ipc, receive_task)));
}

static void ipc_ready(void *user, int events)
{
	struct ipc *ipc = user;
	int ret = events < 0 ? -EIO : ipc_send(ipc);

	/* What the other side has said before it went is taken in first. */
	if (events >= 0)
		ipc_receive(ipc);
	if (ret < 0 && !ipc->stopping)
		connection_fail(ipc->connection, ret);
}

int ipc_watch(struct ipc *ipc)
{
	return loop_poll_start(ipc->loop, ipc->fd, POLLIN | POLLOUT | POLLRDHUP, ipc_ready, ipc,
			       &ipc->poll);
}

void ipc_close_socket(struct ipc *ipc)
{
	loop_task_cancel(ipc->loop, &ipc->receive_task);
	loop_poll_stop(ipc->poll);
	ipc->poll = NULL;
	if (ipc->fd >= 0)
		close(ipc->fd);
	ipc->fd = -1;
	ipc->state = IPC_CLOSED;
}

void ipc_is_up(struct ipc *ipc)
{
	int ret;

	ipc->state = IPC_UP;
	ipc->connection->write_slots = IPC_SLOTS;
	connection_continue(ipc->connection);
	/* Notes may have waited, too. */
	ret = ipc_send(ipc);
	if (ret < 0)
		connection_fail(ipc->connection, ret);
}

/*
 * Opening and connecting
 */

static uint64_t pool_bytes(const struct tandem_kv_layout *layout)
{
	return tandem_kv_block_bytes(layout) * layout->blocks * layout->layers;
}

int ipc_open(struct tandem_connection *connection, struct ipc **ipc, struct tandem_error *error)
{
	struct ipc *new = calloc(1, sizeof(*new));
	int ret;

	if (!new)
		return tandem_error_set(error, -ENOMEM, "local: out of memory");
	new->connection = connection;
	new->loop = connection->loop;
	new->listener = -1;
	new->fd = -1;
	new->memory = -1;
	new->receive_task.run = ipc_receive_more;
	TAILQ_INIT(&new->callers);
	LIST_INIT(&new->copies);
	STAILQ_INIT(&new->out);
	STAILQ_INIT(&new->sent);
	STAILQ_INIT(&new->asked);
	STAILQ_INIT(&new->loans);
	new->local.kind = tandem_memory_device(connection->memory)->ops->kind;
	new->local.grants = connection->grants;
	new->local_bytes = pool_bytes(&connection->layout);
	ret = ipc_listen(new);
	if (ret < 0) {
		free(new);
		return tandem_error_set(error, ret, "local: cannot listen for other processes: %s",
					strerror(-ret));
	}
	*ipc = new;
	return 0;
}

void ipc_free(struct ipc *ipc)
{
	ipc_unlisten(ipc);
	ipc_close_socket(ipc);
	free(ipc);
}

static int check_remote(struct ipc *ipc, const uint8_t *part, struct tandem_error *error)
{
	struct ipc_endpoint *remote = &ipc->remote;

	if (ipc_endpoint_decode(part, remote) < 0)
		return tandem_error_set(error, -EPROTO,
					"local: the other side's description is malformed");
	if (!memcmp(remote->token, ipc->local.token, IPC_TOKEN_BYTES))
		return tandem_error_set(
			error, -EINVAL,
			"local: this description is the connection's own; give it the other side's");
	if (remote->grants != ipc->local.grants)
		return tandem_error_set(
			error, -EINVAL,
			"local: one side is for grants, the other is not; give both the same option");
	if (remote->kind != ipc->local.kind)
		return tandem_error_set(
			error, -EOPNOTSUPP,
			"local: one side's device is accel, the other's inproc; give both the same, or use tcp");
	return ipc_check_reachable(&ipc->local, remote, error);
}

int ipc_connect(struct ipc *ipc, struct tandem_queue *queue, const uint8_t *part,
		const struct tandem_kv_layout *layout, struct tandem_error *error)
{
	struct tandem_connection *connection = ipc->connection;
	int ret;

	ret = check_remote(ipc, part, error);
	if (ret < 0)
		return ret;
	ipc->memory = tandem_memory_export(connection->memory);
	if (ipc->memory < 0)
		return tandem_error_set(
			error, ipc->memory,
			"local: the memory cannot be shown to another process: %s; allocate it with tandem_memory_alloc_shareable(), or use a dma-buf",
			strerror(-ipc->memory));
	ipc->remote_bytes = pool_bytes(layout);
	ipc->connected = true;
	connection->write_bytes = IPC_COPY_BYTES;
	connection->write_slots = 0;
	ret = ipc_greet(ipc);
	if (ret < 0) {
		ipc->connected = false;
		ipc_close_socket(ipc);
		close(ipc->memory);
		ipc->memory = -1;
		return tandem_error_set(
			error, -EHOSTUNREACH,
			"local: cannot reach the other side: %s; it has been closed, or its process has ended",
			strerror(-ret));
	}
	ipc->queue = queue;
	return 0;
}

static size_t ipc_describe(struct tandem_connection *connection, uint8_t *part)
{
	struct ipc *ipc = connection->transport;

	memcpy(part, ipc->described, ipc->described_size);
	return ipc->described_size;
}

/*
 * Ending
 */

/* Nothing is copied any more, and nothing need be waited for. */
static void ipc_shut(struct ipc *ipc)
{
	loop_timer_stop(ipc->timer);
	ipc->timer = NULL;
	ipc_close_socket(ipc);
	tandem_memory_free(ipc->view);
	ipc->view = NULL;
}

/*
 * When our device has stopped, the other side may know: nothing lands here any more,
 * and our blocks are not what they were. It does the same, which is waited for as long
 * as it may still copy what it was told of.
 */
static void ipc_check_quiet(struct ipc *ipc)
{
	if (!ipc->stopping || !LIST_EMPTY(&ipc->copies))
		return;
	if (ipc->fd >= 0 && !ipc->stopped)
		shutdown(ipc->fd, SHUT_WR);
	ipc->stopped = true;
	if (ipc->timer && !ipc->other_gone)
		return;
	ipc_shut(ipc);
	connection_quiesced(ipc->connection);
}

static void ipc_drain_expired(void *user)
{
	struct ipc *ipc = user;

	ipc->timer = NULL;
	ipc_check_quiet(ipc);
}

static void ipc_abort(struct tandem_connection *connection)
{
	struct ipc *ipc = connection->transport;
	struct ipc_copy *copy;

	if (ipc->stopping)
		return;
	ipc->stopping = true;
	/* One that cannot be cancelled for want of memory ends by itself. */
	LIST_FOREACH(copy, &ipc->copies, entry)
		tandem_cancel(ipc->loop, &copy->op);
	/* Without memory for a timer there is no waiting. */
	if ((!STAILQ_EMPTY(&ipc->sent) || !STAILQ_EMPTY(&ipc->loans)) && !ipc->other_gone)
		loop_timer_start(ipc->loop, DRAIN_MS, ipc_drain_expired, ipc, &ipc->timer);
	ipc_check_quiet(ipc);
}

static void note_expiry(void *user)
{
	*(bool *)user = true;
}

/* Run the loop. Return: can that be done at all? Not from within a callback. */
static bool run_loop(struct ipc *ipc)
{
	int ret = tandem_loop_run(ipc->loop, -1);

	return ret >= 0 || ret == -EINTR;
}

/* The other side has yet to be told that its blocks have arrived: give it a moment. */
static void ipc_settle(struct ipc *ipc)
{
	struct loop_timer *timer;
	bool expired = false;

	if (!ipc->done || loop_timer_start(ipc->loop, DRAIN_MS, note_expiry, &expired, &timer) < 0)
		return;
	while (!expired && ipc->done && !ipc->other_gone && !ipc->stopping && run_loop(ipc))
		;
	if (!expired)
		loop_timer_stop(timer);
}

static bool ipc_is_quiet(const struct ipc *ipc)
{
	return ipc->fd < 0 && LIST_EMPTY(&ipc->copies);
}

static void ipc_close(struct tandem_connection *connection)
{
	struct ipc *ipc = connection->transport;

	ipc_unlisten(ipc);
	ipc_settle(ipc);
	ipc_abort(connection);
	while (!ipc_is_quiet(ipc) && run_loop(ipc))
		;
	/*
	 * From within a callback the loop cannot be run. Nothing is read once the view
	 * is gone, nor written therefore, but the copies have yet to report that.
	 */
	ipc_shut(ipc);
	ipc->connection = NULL;
	if (LIST_EMPTY(&ipc->copies))
		ipc_destroy(ipc);
}

static bool ipc_is_busy(const struct tandem_connection *connection)
{
	const struct ipc *ipc = connection->transport;

	return !LIST_EMPTY(&ipc->copies);
}

const struct xfer_transport_ops xfer_ipc_ops = {
	.describe = ipc_describe,
	.reads = true,
	.is_busy = ipc_is_busy,
	.write = ipc_write,
	.flush = ipc_flush,
	.tell = ipc_tell,
	.abort = ipc_abort,
	.close = ipc_close,
};
