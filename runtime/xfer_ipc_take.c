// SPDX-License-Identifier: MIT
/*
 * Blocks between processes: what the other side says.
 */
#include <errno.h>
#include <stdlib.h>

#include "xfer_ipc.h"

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

void ipc_loans_free(struct ipc *ipc)
{
	struct ipc_loan *loan;

	while ((loan = STAILQ_FIRST(&ipc->loans))) {
		STAILQ_REMOVE_HEAD(&ipc->loans, entry);
		free(loan);
	}
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
	ret = ipc_say(ipc, &head, bits, sizeof(bits));
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
		allowed += ipc_bit_is_set(bits, i);
	if (allowed)
		ret = ipc_copy_answered(ipc, out, bits, allowed);
	for (i = 0; i < count && !ret && !ipc->stopping; i++)
		if (!ipc_bit_is_set(bits, i))
			connection_write_done(ipc->connection, out->writes[i].push,
					      out->writes[i].bytes, -EACCES);
	free(out);
	if (!ret)
		connection_continue(ipc->connection);
	return ret;
}

int ipc_take_message(struct ipc *ipc, size_t size)
{
	struct xfer_note note;
	struct ipc_head head;

	if (ipc_head_decode(ipc->buffer, size, &head) < 0)
		return -EPROTO;
	switch (head.kind) {
	case IPC_WRITES:
		return ipc_copy_writes(ipc, head.count);
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
