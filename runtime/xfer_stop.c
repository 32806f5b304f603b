// SPDX-License-Identifier: MIT
/*
 * Giving up a transfer that the other side sends, while the connection goes on.
 *
 * The receiver cannot know what is on its way to it. So it asks the sender to
 * stop; that hands over nothing more, waits until what it had handed over has
 * landed, and says so. Only then does the receiver's operation end, and nothing
 * lands later. From then on the sender refuses pushes of that transfer.
 */
#include <errno.h>
#include <stdlib.h>

#include "xfer.h"

void xfer_stop_init(struct xfer_stop_table *table)
{
	unsigned int i;

	for (i = 0; i < XFER_STOP_BUCKETS; i++)
		LIST_INIT(&table->buckets[i]);
	table->unanswered = 0;
}

void xfer_stop_free_all(struct xfer_stop_table *table)
{
	struct xfer_stop *stop;
	unsigned int i;

	for (i = 0; i < XFER_STOP_BUCKETS; i++)
		while ((stop = LIST_FIRST(&table->buckets[i]))) {
			LIST_REMOVE(stop, entry);
			free(stop);
		}
}

static struct xfer_stop *stop_find(struct xfer_stop_table *table, uint32_t transfer)
{
	struct xfer_stop *stop;

	LIST_FOREACH(stop, &table->buckets[transfer % XFER_STOP_BUCKETS], entry)
		if (stop->transfer == transfer)
			return stop;
	return NULL;
}

static struct xfer_stop *stop_add(struct xfer_stop_table *table, uint32_t transfer)
{
	struct xfer_stop *stop = calloc(1, sizeof(*stop));

	if (!stop)
		return NULL;
	stop->transfer = transfer;
	stop->answered = true;
	LIST_INSERT_HEAD(&table->buckets[transfer % XFER_STOP_BUCKETS], stop, entry);
	return stop;
}

/*
 * The sender
 */

bool xfer_stop_allows(struct tandem_connection *connection, uint32_t transfer,
		      uint64_t generation)
{
	struct xfer_stop *stop = stop_find(&connection->stops, transfer);

	if (!stop)
		return true;
	if (stop->generation == generation)
		return false;
	/* The name is used for something else now. */
	if (stop->answered) {
		LIST_REMOVE(stop, entry);
		free(stop);
	}
	return true;
}

void xfer_stop_check(struct tandem_connection *connection, uint32_t transfer)
{
	struct xfer_note note = { .kind = XFER_NOTE_STOPPED, .transfer = transfer };
	struct xfer_stop *stop;
	int ret;

	if (!connection->stops.unanswered || (connection->state != CONNECTION_CONNECTED &&
					      connection->state != CONNECTION_OPEN))
		return;
	stop = stop_find(&connection->stops, transfer);
	if (!stop || stop->answered ||
	    xfer_push_has_transfer(connection, transfer, stop->generation))
		return;
	stop->answered = true;
	connection->stops.unanswered--;
	note.generation = stop->generation;
	ret = connection_tell(connection, &note);
	if (ret < 0)
		connection_fail(connection, ret);
}

int xfer_stop_asked(struct tandem_connection *connection, const struct xfer_note *note)
{
	struct xfer_stop *stop = stop_find(&connection->stops, note->transfer);

	if (!stop)
		stop = stop_add(&connection->stops, note->transfer);
	if (!stop)
		return -ENOMEM;
	/* It waits for the answer before it gives the name to another transfer. */
	if (!stop->answered)
		return -EPROTO;
	stop->generation = note->generation;
	stop->answered = false;
	connection->stops.unanswered++;
	xfer_push_stop_transfer(connection, note->transfer, note->generation, -ECANCELED);
	xfer_stop_check(connection, note->transfer);
	return 0;
}

/*
 * The receiver
 */

void xfer_expect_stop(struct tandem_connection *connection, struct xfer_expect *expect,
		      int result, uint64_t grace_ns)
{
	struct xfer_note note = {
		.kind = XFER_NOTE_STOP,
		.transfer = expect->transfer,
		.generation = expect->grant ? expect->grant->generation : 0,
	};
	int ret;

	expect->result = result;
	expect->stopping = true;
	expect->grace_ns = grace_ns;
	expect->deadline_ns = loop_now_ns() + grace_ns;
	ret = connection_wake_at(connection, expect->deadline_ns);
	if (!ret)
		ret = connection_tell(connection, &note);
	if (ret < 0)
		connection_fail(connection, -ECONNRESET);
}

int xfer_stop_answered(struct tandem_connection *connection, const struct xfer_note *note)
{
	struct xfer_expect *expect = xfer_expect_find(&connection->expects, note->transfer);

	if (!expect || !expect->stopping || expect->revoking ||
	    note->generation != (expect->grant ? expect->grant->generation : 0))
		return -EPROTO;
	connection_expect_settle(connection, expect);
	return 0;
}
