// SPDX-License-Identifier: MIT
/*
 * Reading over tcp. One side sends requests, the other one the bytes, out of its
 * memory and without its application. A request is known by the number of its slot
 * until it has been answered; an answer that is not exactly what was asked for ends
 * the connection before a byte of it lands.
 */
#include <errno.h>

#include "xfer_tcp.h"

/*
 * The side that is asked
 */

int tcp_requested(struct tcp *tcp, const struct tcp_entry *entries, unsigned int count)
{
	struct xfer_write read = { .pull = true };
	struct tcp_write *answer;
	unsigned int i;

	for (i = 0; i < count; i++) {
		/* It has as many slots, and asks for no more than it has. */
		answer = STAILQ_FIRST(&tcp->unused_answers);
		if (!answer)
			return -EPROTO;
		STAILQ_REMOVE_HEAD(&tcp->unused_answers, entry);
		read.remote_offset = entries[i].offset;
		read.length = entries[i].length;
		read.generation = entries[i].generation;
		answer->kind = connection_read_begin(tcp->connection, &read) < 0 ?
			TCP_FRAME_REFUSALS : TCP_FRAME_ANSWERS;
		answer->bytes = tcp->memory + entries[i].offset;
		answer->to = entries[i];
		STAILQ_INSERT_TAIL(&tcp->queue, answer, entry);
		if (answer->kind == TCP_FRAME_ANSWERS)
			tcp->queue_bytes += answer->to.length;
	}
	return 0;
}

void tcp_answers_sent(struct tcp *tcp, struct tcp_writes *answers)
{
	const struct tcp_write *answer;

	STAILQ_FOREACH(answer, answers, entry) {
		if (answer->kind != TCP_FRAME_ANSWERS)
			continue;
		tcp->connection->stats.cpu_copied_bytes += answer->to.length;
		connection_read_end(tcp->connection, answer->to.generation);
	}
	STAILQ_CONCAT(&tcp->unused_answers, answers);
}

/*
 * The side that asks
 */

struct tcp_write *tcp_answer_begin(struct tcp *tcp, const struct tcp_entry *entry)
{
	struct tcp_write *request;

	if (entry->transfer >= TCP_SLOTS)
		return NULL;
	request = &tcp->slots[entry->transfer];
	if (!request->asked || entry->offset != request->to.offset ||
	    entry->length != request->to.length || entry->blocks != request->to.blocks ||
	    entry->generation != request->to.generation)
		return NULL;
	request->asked = false;
	return request;
}

void tcp_answered(struct tcp *tcp, const struct tcp_entry *entries, unsigned int count,
		  int result)
{
	struct tcp_write *request;
	unsigned int i;

	for (i = 0; i < count && !tcp->stopping; i++) {
		request = &tcp->slots[entries[i].transfer];
		STAILQ_INSERT_HEAD(&tcp->unused, request, entry);
		connection_write_done(tcp->connection, request->push, request->to.length, result);
	}
	connection_continue(tcp->connection);
}
