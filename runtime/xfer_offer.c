// SPDX-License-Identifier: MIT
/*
 * What may be read. As with grants, a block's number says nothing of whose it is; so
 * blocks are offered, under a number that never comes again.
 *
 * To end an offer the reader is asked to stop. It asks for nothing more, waits until
 * what it had asked for has come, and says so; then nothing reads the blocks any more.
 * Where this side does the reading, it counts for itself that this is true.
 */
#include <errno.h>
#include <stdlib.h>

#include "xfer.h"
#include "xfer_probe.h"
#include "xfer_record.h"

void xfer_offer_init(struct xfer_offer_table *table)
{
	unsigned int i;

	for (i = 0; i < XFER_OFFER_BUCKETS; i++)
		LIST_INIT(&table->buckets[i]);
	table->count = 0;
}

static struct xfer_offer *offer_find(struct tandem_connection *connection, uint64_t generation)
{
	struct xfer_offer *offer;

	LIST_FOREACH(offer, &connection->offers.buckets[generation % XFER_OFFER_BUCKETS], entry)
		if (offer->blocks->generation == generation)
			return offer;
	return NULL;
}

/* Any one; NULL for none. */
static struct xfer_offer *offer_first(struct tandem_connection *connection)
{
	unsigned int i;

	for (i = 0; i < XFER_OFFER_BUCKETS; i++)
		if (!LIST_EMPTY(&connection->offers.buckets[i]))
			return LIST_FIRST(&connection->offers.buckets[i]);
	return NULL;
}

/* Keep its blocks in place, or let go of them. */
static void offer_hold_blocks(struct tandem_connection *connection,
			      const struct xfer_grant *blocks, bool hold)
{
	const struct tandem_kv_layout *layout = &connection->layout;
	const uint64_t total = (uint64_t)layout->layers * layout->blocks;
	uint64_t first = 0, count;

	if (!connection->pool)
		return;
	while ((count = xfer_grant_next_run(blocks, total, first, &first)))
		for (; count; count--, first++) {
			const uint32_t block = first % layout->blocks;

			if (hold)
				tandem_kv_pool_pin(connection->pool, &block, 1);
			else
				tandem_kv_pool_unpin(connection->pool, &block, 1);
		}
}

static void offer_report(struct xfer_offer *offer, int result)
{
	struct tandem_connection *connection = offer->connection;
	struct tandem_transfer_stats *stats = &offer->stats;

	stats->done_ns = loop_now_ns();
	PROBE_TRANSFER_END(stats->id, TANDEM_TRANSFER_OFFER, result, stats->bytes, stats->writes,
			   stats->rails, (uint64_t)0);
	if (connection->records)
		xfer_records_add(connection->records, &(struct tandem_transfer_record){
			.kind = TANDEM_TRANSFER_OFFER,
			.result = result,
			.generation = offer->blocks->generation,
			.told_bytes = offer->told_blocks *
				      tandem_kv_block_bytes(&connection->layout),
			.stats = *stats,
		});
}

/* Return: its operation, which is to be told. */
static struct tandem_operation *offer_free(struct xfer_offer *offer, int result)
{
	struct tandem_connection *connection = offer->connection;
	struct tandem_operation *op = offer->op;

	offer_report(offer, result);
	offer_hold_blocks(connection, offer->blocks, false);
	LIST_REMOVE(offer, entry);
	connection->offers.count--;
	free(offer->blocks);
	free(offer);
	return op;
}

static void offer_end(struct xfer_offer *offer, int result)
{
	struct tandem_loop *loop = offer->connection->loop;

	operation_post(loop, offer_free(offer, result), result);
}

void xfer_offer_end_all(struct tandem_connection *connection)
{
	struct xfer_offer *offer;

	while ((offer = offer_first(connection)))
		offer_end(offer, offer->result ? offer->result : connection->failure);
}

void xfer_offer_cancel_all(struct tandem_connection *connection)
{
	struct xfer_offer *offer;

	while ((offer = offer_first(connection)))
		operation_complete(offer_free(offer, -ECANCELED), -ECANCELED);
}

/*
 * The side whose blocks they are
 */

int connection_read_begin(struct tandem_connection *connection, const struct xfer_write *write)
{
	struct xfer_offer *offer;

	if (!connection->grants)
		return write->generation ? -EACCES : 0;
	offer = offer_find(connection, write->generation);
	if (!offer || offer->state != XFER_OFFERED ||
	    !xfer_grant_has(offer->blocks, write->remote_offset, write->length))
		return -EACCES;
	offer->reading++;
	offer->stats.last_write_ns = loop_now_ns();
	if (!offer->stats.writes++) {
		offer->stats.first_write_ns = offer->stats.last_write_ns;
		PROBE_TRANSFER_FIRST_WRITE(offer->stats.id, TANDEM_TRANSFER_OFFER,
					   offer->stats.transport);
	}
	offer->stats.bytes += write->length;
	return 0;
}

int connection_sum_begin(struct tandem_connection *connection, uint64_t generation,
			 uint64_t offset, uint64_t length)
{
	struct xfer_offer *offer;

	if (!connection->grants)
		return generation ? -EPROTO : 0;
	offer = offer_find(connection, generation);
	if (!offer || offer->state == XFER_OFFER_STOPPED ||
	    !xfer_grant_has(offer->blocks, offset, length))
		return -EPROTO;
	offer->reading++;
	return 0;
}

/* Nothing of this side reads for it, and the other side says that it does not either. */
static void offer_check_end(struct xfer_offer *offer)
{
	struct tandem_connection *connection = offer->connection;
	const uint64_t generation = offer->blocks->generation;

	if (offer->state != XFER_OFFER_STOPPED || offer->reading)
		return;
	if (connection->ops->withdraw)
		connection->ops->withdraw(connection, generation);
	else
		connection_withdrawn(connection, generation);
}

void connection_read_end(struct tandem_connection *connection, uint64_t generation)
{
	struct xfer_offer *offer = offer_find(connection, generation);

	if (!offer)
		return;
	/* Otherwise the other side would count as silent as long as it only reads. */
	connection->heard_ns = loop_now_ns();
	offer->reading--;
	offer_check_end(offer);
}

void connection_withdrawn(struct tandem_connection *connection, uint64_t generation)
{
	struct xfer_offer *offer = offer_find(connection, generation);

	if (connection->state == CONNECTION_CONNECTED && offer)
		offer_end(offer, offer->result);
}

static int tell(struct tandem_connection *connection, enum xfer_note_kind kind,
		uint64_t generation, uint64_t blocks)
{
	const struct xfer_note note = {
		.kind = kind,
		.generation = generation,
		.blocks = blocks,
	};

	return connection_tell(connection, &note);
}

/* Have it end, with @result; it may be gone on return. */
static void offer_stop(struct xfer_offer *offer, int result, uint64_t grace_ns)
{
	struct tandem_connection *connection = offer->connection;
	int ret;

	offer->state = XFER_OFFER_STOPPING;
	offer->result = result;
	offer->grace_ns = grace_ns;
	offer->deadline_ns = loop_now_ns() + grace_ns;
	ret = connection_wake_at(connection, offer->deadline_ns);
	if (!ret)
		ret = tell(connection, XFER_NOTE_WITHDRAW, offer->blocks->generation, 0);
	if (ret < 0)
		connection_fail(connection, -ECONNRESET);
}

static int offer_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	struct xfer_offer *offer = operation_data(op);

	(void)loop;
	/* Otherwise it is ending already, for another reason. */
	if (offer->connection->state == CONNECTION_CONNECTED && offer->state == XFER_OFFERED)
		offer_stop(offer, -ECANCELED, XFER_CANCEL_GRACE_NS);
	return 0;
}

/* Return: one whose time is over, or NULL; @next is set to when the next one's is. */
static struct xfer_offer *offer_overdue(struct tandem_connection *connection, uint64_t now,
					uint64_t *next)
{
	const uint64_t heard = connection_heard(connection, now);
	struct xfer_offer *offer;
	uint64_t when;
	unsigned int i;

	*next = UINT64_MAX;
	for (i = 0; i < XFER_OFFER_BUCKETS && connection->offers.count; i++)
		LIST_FOREACH(offer, &connection->offers.buckets[i], entry) {
			when = offer->deadline_ns;
			if (offer->state != XFER_OFFERED && when < heard + offer->grace_ns)
				when = heard + offer->grace_ns;
			if (when <= now)
				return offer;
			if (when < *next)
				*next = when;
		}
	return NULL;
}

uint64_t xfer_offer_check_deadlines(struct tandem_connection *connection, uint64_t now)
{
	struct xfer_offer *offer;
	uint64_t next = UINT64_MAX;

	while (connection->state == CONNECTION_CONNECTED &&
	       (offer = offer_overdue(connection, now, &next))) {
		if (offer->state == XFER_OFFERED)
			offer_stop(offer, -ETIMEDOUT, XFER_TIMEOUT_GRACE_NS);
		else
			connection_fail(connection, -ECONNRESET);
	}
	return next;
}

struct tandem_receive xfer_offer_blocks(const struct tandem_offer *offer)
{
	return (struct tandem_receive){
		.layer_first = offer->layer_first,
		.layer_count = offer->layer_count,
		.blocks = offer->blocks,
		.block_count = offer->block_count,
	};
}

int tandem_offer_start(struct tandem_connection *connection, struct tandem_offer *offer,
		       struct tandem_operation *op)
{
	const struct tandem_receive blocks = xfer_offer_blocks(offer);
	struct xfer_offer *new;
	int ret;

	if (connection->state != CONNECTION_CONNECTED)
		return -ENOTCONN;
	if (!connection->ops->reads)
		return -EOPNOTSUPP;
	if (!connection->grants || !operation_may_begin(op))
		return -EINVAL;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	ret = xfer_grant_create(&connection->layout, &blocks, &new->blocks);
	if (ret < 0)
		goto free_offer;
	new->connection = connection;
	new->op = op;
	new->stats.id = xfer_new_id();
	new->stats.transport = connection->transport_number;
	new->stats.posted_ns = loop_now_ns();
	new->reads_left = offer->reads ? offer->reads :
			  (uint64_t)offer->layer_count * offer->block_count;
	new->deadline_ns = connection_deadline(connection, offer->timeout_ms);
	ret = connection_await(connection, new->deadline_ns);
	if (ret < 0)
		goto free_blocks;
	new->blocks->generation = connection_new_generation(connection);
	if (connection->ops->offer)
		ret = connection->ops->offer(connection, new->blocks);
	if (ret < 0)
		goto free_blocks;
	operation_begin(op, offer_cancel, new);
	offer_hold_blocks(connection, new->blocks, true);
	LIST_INSERT_HEAD(&connection->offers.buckets[new->blocks->generation % XFER_OFFER_BUCKETS],
			 new, entry);
	connection->offers.count++;
	offer->generation = new->blocks->generation;
	new->stats.post_ns = loop_now_ns() - new->stats.posted_ns;
	PROBE_TRANSFER_POST(new->stats.id, TANDEM_TRANSFER_OFFER, connection->id, 0,
			    offer->generation,
			    (uint64_t)offer->layer_count * offer->block_count *
			    tandem_kv_block_bytes(&connection->layout));
	return 0;

free_blocks:
	free(new->blocks);
free_offer:
	free(new);
	return ret;
}

static int offer_withdrawn(struct tandem_connection *connection, uint64_t generation)
{
	struct xfer_offer *offer = offer_find(connection, generation);

	if (!offer || offer->state != XFER_OFFER_STOPPING)
		return -EPROTO;
	offer->state = XFER_OFFER_STOPPED;
	offer_check_end(offer);
	return 0;
}

static int offer_read(struct tandem_connection *connection, uint64_t generation,
		      uint64_t blocks)
{
	struct xfer_offer *offer = offer_find(connection, generation);

	if (!blocks)
		return -EPROTO;
	/* It may have ended meanwhile, as notes can overtake one another. */
	if (!offer || offer->state != XFER_OFFERED)
		return 0;
	if (blocks > offer->reads_left)
		blocks = offer->reads_left;
	offer->reads_left -= blocks;
	offer->told_blocks += blocks;
	if (offer->reads_left)
		return 0;
	PROBE_TRANSFER_LAST_COMPLETION(offer->stats.id, TANDEM_TRANSFER_OFFER,
				       offer->told_blocks *
				       tandem_kv_block_bytes(&connection->layout));
	offer_stop(offer, 0, XFER_CANCEL_GRACE_NS);
	return 0;
}

/*
 * The side that reads
 */

static void tell_owner(struct tandem_connection *connection, enum xfer_note_kind kind,
		       uint64_t generation, uint64_t blocks)
{
	int ret = tell(connection, kind, generation, blocks);

	if (ret < 0)
		connection_fail(connection, ret);
}

void xfer_offer_pull_ended(struct tandem_connection *connection, uint64_t generation,
			   uint64_t blocks, bool withdrawn)
{
	if (!generation || connection->state != CONNECTION_CONNECTED)
		return;
	if (blocks)
		tell_owner(connection, XFER_NOTE_READ, generation, blocks);
	if (withdrawn && !xfer_push_is_withdrawn(connection, generation))
		tell_owner(connection, XFER_NOTE_WITHDRAWN, generation, 0);
}

int xfer_offer_told(struct tandem_connection *connection, const struct xfer_note *note)
{
	switch (note->kind) {
	case XFER_NOTE_WITHDRAW:
		if (connection->ops->forget)
			connection->ops->forget(connection, note->generation);
		if (!xfer_push_withdraw(connection, note->generation))
			tell_owner(connection, XFER_NOTE_WITHDRAWN, note->generation, 0);
		return 0;
	case XFER_NOTE_WITHDRAWN:
		return offer_withdrawn(connection, note->generation);
	default:
		return offer_read(connection, note->generation, note->blocks);
	}
}
