// SPDX-License-Identifier: MIT
/*
 * Pushes and pulls, from their start to their end. A pull is a push whose bytes go the
 * other way; what it is cut into are reads.
 *
 * A push is cut into writes, and the transport is handed as many as it has slots
 * for. What it has been handed it carries out; so a push that is to end early
 * ends when that has landed, and the connection goes on. Only where it does not
 * land in time is the connection given up, which stops it for sure.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kv.h"
#include "xfer.h"
#include "xfer_probe.h"
#include "xfer_record.h"

/* Checksums of so much are computed, or a little more, before other events have their turn. */
#define SUMMED_BYTES (4ull << 20)

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * Room
 */

static bool has_room(const struct tandem_connection *connection)
{
	return connection->push_count < connection->pushes_max &&
	       connection->bytes_under_way < connection->bytes_max;
}

static void room_free(struct xfer_room *room)
{
	TAILQ_REMOVE(&room->connection->rooms, room, entry);
	free(room);
}

static void rooms_end(struct tandem_connection *connection, int result)
{
	struct tandem_operation *op;
	struct xfer_room *room;

	while ((room = TAILQ_FIRST(&connection->rooms))) {
		op = room->op;
		room_free(room);
		operation_post(connection->loop, op, result);
	}
}

static void rooms_check(struct tandem_connection *connection)
{
	if (connection->state == CONNECTION_CONNECTED && has_room(connection))
		rooms_end(connection, 0);
}

static int room_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	room_free(operation_data(op));
	operation_post(loop, op, -ECANCELED);
	return 0;
}

int tandem_room_start(struct tandem_connection *connection, struct tandem_operation *op)
{
	struct xfer_room *room;
	int ret;

	if (connection->state != CONNECTION_CONNECTED)
		return -ENOTCONN;
	room = calloc(1, sizeof(*room));
	if (!room)
		return -ENOMEM;
	room->connection = connection;
	room->op = op;
	ret = operation_begin(op, room_cancel, room);
	if (ret < 0) {
		free(room);
		return ret;
	}
	TAILQ_INSERT_TAIL(&connection->rooms, room, entry);
	rooms_check(connection);
	return 0;
}

/*
 * The end of a push
 */

/* Keep the local blocks in place, or let go of them. */
static void push_hold_blocks(struct tandem_connection *connection, const struct xfer_push *push,
			     bool hold)
{
	for (size_t run = 0; connection->pool && run < push->run_count; run++)
		for (uint64_t i = 0; i < push->runs[run].count; i++) {
			/* Runs count through all layers. */
			const uint32_t block =
				(push->runs[run].local + i) % connection->layout.blocks;

			if (hold)
				tandem_kv_pool_pin(connection->pool, &block, 1);
			else
				tandem_kv_pool_unpin(connection->pool, &block, 1);
		}
}

static uint64_t repeats(struct tandem_connection *connection)
{
	return connection->ops->repeats ? connection->ops->repeats(connection) : 0;
}

static uint32_t push_kind(const struct xfer_push *push)
{
	return push->pull ? TANDEM_TRANSFER_PULL : TANDEM_TRANSFER_PUSH;
}

/* Tell everybody who may want to know how it went. */
static void push_report(struct tandem_connection *connection, struct xfer_push *push, int result)
{
	struct tandem_transfer_stats *stats = &push->stats;

	PROBE_TRANSFER_END(stats->id, push_kind(push), result, stats->bytes, stats->writes,
			   stats->rails, (uint64_t)0);
	if (!push->timed)
		return;
	stats->done_ns = loop_now_ns();
	stats->retries = repeats(connection) - stats->retries;
	if (push->stats_out)
		*push->stats_out = *stats;
	if (connection->records)
		xfer_records_add(connection->records, &(struct tandem_transfer_record){
			.kind = push_kind(push),
			.result = result,
			.transfer = push->transfer,
			.generation = push->generation,
			.stats = *stats,
		});
}

static void push_count_end(struct tandem_connection *connection, int result)
{
	struct tandem_connection_stats *stats = &connection->stats;

	switch (result) {
	case 0:
		stats->pushes_done++;
		break;
	case -ECANCELED:
		stats->pushes_cancelled++;
		break;
	case -ETIMEDOUT:
		stats->pushes_timed_out++;
		break;
	default:
		stats->pushes_failed++;
		break;
	}
}

static void push_remove_waiting(struct tandem_connection *connection, struct xfer_push *push)
{
	if (push->is_waiting)
		TAILQ_REMOVE(&connection->waiting, push, waiting);
	push->is_waiting = false;
}

/* Return: its operation, which is to be told. */
static struct tandem_operation *push_free(struct tandem_connection *connection,
					  struct xfer_push *push, int result)
{
	struct tandem_operation *op = push->op;

	push_count_end(connection, result);
	push_report(connection, push, result);
	push_hold_blocks(connection, push, false);
	push_remove_waiting(connection, push);
	xfer_verify_stop(push);
	TAILQ_REMOVE(&connection->pushes, push, entry);
	connection->push_count--;
	connection->bytes_under_way -= push->bytes_left;
	free(push);
	if (TAILQ_EMPTY(&connection->pushes)) {
		connection->stats.wire_ns += loop_now_ns() - connection->wire_since_ns;
		connection->wire_since_ns = 0;
	}
	return op;
}

static void push_end(struct tandem_connection *connection, struct xfer_push *push, int result)
{
	const uint64_t blocks = push->stats.bytes / tandem_kv_block_bytes(&connection->layout);
	const uint64_t generation = push->generation;
	const uint32_t transfer = push->transfer;
	const bool withdrawn = push->withdrawn;
	const bool pull = push->pull;

	operation_post(connection->loop, push_free(connection, push, result), result);
	rooms_check(connection);
	if (pull)
		xfer_offer_pull_ended(connection, generation, result ? 0 : blocks, withdrawn);
	else
		xfer_stop_check(connection, transfer);
}

/* Hand over nothing more of it, and end it when what was handed over has landed. */
static void push_stop(struct tandem_connection *connection, struct xfer_push *push, int result,
		      uint64_t grace_ns)
{
	int ret;

	push->result = result;
	push_remove_waiting(connection, push);
	xfer_verify_stop(push);
	if (!push->writes) {
		push_end(connection, push, result);
		return;
	}
	push->grace_ns = grace_ns;
	push->deadline_ns = loop_now_ns() + grace_ns;
	ret = connection_wake_at(connection, push->deadline_ns);
	if (ret < 0)
		connection_fail(connection, ret);
}

uint64_t xfer_push_check_deadlines(struct tandem_connection *connection, uint64_t now)
{
	struct xfer_push *push, *following;
	uint64_t next = UINT64_MAX;

	for (push = TAILQ_FIRST(&connection->pushes);
	     push && connection->state == CONNECTION_CONNECTED; push = following) {
		following = TAILQ_NEXT(push, entry);
		if (push->deadline_ns > now) {
			next = min_u64(next, push->deadline_ns);
		} else if (!push->result) {
			next = min_u64(next, now + XFER_TIMEOUT_GRACE_NS);
			push_stop(connection, push, -ETIMEDOUT, XFER_TIMEOUT_GRACE_NS);
		} else if (connection_heard(connection, now) + push->grace_ns > now) {
			push->deadline_ns = connection_heard(connection, now) + push->grace_ns;
			next = min_u64(next, push->deadline_ns);
		} else {
			connection_fail(connection, -ECONNRESET);
		}
	}
	return next;
}

static bool push_is_of(const struct xfer_push *push, uint32_t transfer, uint64_t generation)
{
	return !push->pull && push->transfer == transfer && push->generation == generation;
}

void xfer_push_stop_transfer(struct tandem_connection *connection, uint32_t transfer,
			     uint64_t generation, int result)
{
	struct xfer_push *push, *following;

	for (push = TAILQ_FIRST(&connection->pushes);
	     push && connection->state == CONNECTION_CONNECTED; push = following) {
		following = TAILQ_NEXT(push, entry);
		if (!push->result && push_is_of(push, transfer, generation))
			push_stop(connection, push, result, XFER_CANCEL_GRACE_NS);
	}
}

bool xfer_push_has_transfer(const struct tandem_connection *connection, uint32_t transfer,
			    uint64_t generation)
{
	const struct xfer_push *push;

	TAILQ_FOREACH(push, &connection->pushes, entry)
		if (push_is_of(push, transfer, generation))
			return true;
	return false;
}

bool xfer_push_is_withdrawn(const struct tandem_connection *connection, uint64_t generation)
{
	const struct xfer_push *push;

	TAILQ_FOREACH(push, &connection->pushes, entry)
		if (push->withdrawn && push->generation == generation)
			return true;
	return false;
}

bool xfer_push_withdraw(struct tandem_connection *connection, uint64_t generation)
{
	struct xfer_push *push, *following;
	bool any = false;

	/* All of them before the first one ends, so that the last one can be told. */
	TAILQ_FOREACH(push, &connection->pushes, entry)
		if (push->pull && push->generation == generation)
			any = push->withdrawn = true;
	for (push = TAILQ_FIRST(&connection->pushes);
	     push && connection->state == CONNECTION_CONNECTED; push = following) {
		following = TAILQ_NEXT(push, entry);
		if (push->withdrawn && push->generation == generation && !push->result)
			push_stop(connection, push, -ECANCELED, XFER_CANCEL_GRACE_NS);
	}
	return any;
}

void xfer_push_end_all(struct tandem_connection *connection)
{
	struct xfer_push *push;

	while ((push = TAILQ_FIRST(&connection->pushes)))
		push_end(connection, push, push->result ? push->result : connection->failure);
	rooms_end(connection, connection->failure);
}

void xfer_push_cancel_all(struct tandem_connection *connection)
{
	struct tandem_operation *op;
	struct xfer_push *push;
	struct xfer_room *room;

	while ((push = TAILQ_FIRST(&connection->pushes)))
		operation_complete(push_free(connection, push, -ECANCELED), -ECANCELED);
	while ((room = TAILQ_FIRST(&connection->rooms))) {
		op = room->op;
		room_free(room);
		operation_complete(op, -ECANCELED);
	}
}

/*
 * Writes
 */

/* Cut the next write off a push. */
static void push_cut(struct tandem_connection *connection, struct xfer_push *push,
		     struct xfer_write *write)
{
	uint64_t block_bytes = tandem_kv_block_bytes(&connection->layout);
	const struct xfer_run *run = &push->runs[push->run];
	uint64_t run_bytes = run->count * block_bytes;
	uint64_t left = run_bytes - push->run_offset;
	uint64_t blocks, in_block;

	write->push = push;
	write->pull = push->pull;
	write->transfer = push->transfer;
	write->generation = push->generation;
	write->local_offset = run->local * block_bytes + push->run_offset;
	write->remote_offset = run->remote * block_bytes + push->run_offset;
	if (block_bytes <= connection->write_bytes) {
		blocks = min_u64(left, connection->write_bytes) / block_bytes;
		write->blocks = min_u64(blocks, XFER_WRITE_BLOCKS_MAX);
		write->length = write->blocks * block_bytes;
	} else {
		in_block = push->run_offset % block_bytes;
		write->length = min_u64(block_bytes - in_block, connection->write_bytes);
		write->blocks = in_block + write->length == block_bytes;
	}

	push->run_offset += write->length;
	if (push->run_offset == run_bytes) {
		push->run_offset = 0;
		push->run++;
	}
	write->last = push->run == push->run_count;
}

static void push_count_write(struct tandem_connection *connection, struct xfer_push *push,
			     uint64_t bytes)
{
	push->writes++;
	connection->writes++;
	connection->write_bytes_under_way += bytes;
	connection->stats.writes++;
	if (!push->stats.writes++)
		PROBE_TRANSFER_FIRST_WRITE(push->stats.id, push_kind(push), push->stats.transport);
	if (!push->timed)
		return;
	push->stats.last_write_ns = loop_now_ns();
	if (!push->stats.first_write_ns)
		push->stats.first_write_ns = push->stats.last_write_ns;
}

static bool may_write(const struct tandem_connection *connection)
{
	return connection->state == CONNECTION_CONNECTED &&
	       connection->writes < connection->write_slots &&
	       (!connection->writes || connection->write_bytes_under_way < XFER_WINDOW_BYTES);
}

/*
 * The first that waits for nothing but its turn. Pulls that are refused end. Return:
 * NULL for none; @ret is set when a push is refused.
 */
static struct xfer_push *next_push(struct tandem_connection *connection, int *ret)
{
	struct xfer_push *push, *following;

	if (!connection->grants || !connection->ops->granted)
		return TAILQ_FIRST(&connection->waiting);
	for (push = TAILQ_FIRST(&connection->waiting); push; push = following) {
		following = TAILQ_NEXT(push, waiting);
		*ret = connection->ops->granted(connection, push);
		if (!*ret)
			return push;
		if (*ret != -EAGAIN && !push->pull)
			return NULL;
		if (*ret != -EAGAIN)
			push_stop(connection, push, *ret, XFER_CANCEL_GRACE_NS);
	}
	*ret = 0;
	return NULL;
}

static void push_count_bytes(struct tandem_connection *connection, struct xfer_push *push,
			     uint64_t bytes)
{
	if (push->pull)
		connection->stats.bytes_pulled += bytes;
	else
		connection->stats.bytes_pushed += bytes;
	connection->bytes_under_way -= bytes;
	push->bytes_left -= bytes;
	push->stats.bytes += bytes;
}

/* Nothing of it is under way any more. */
static void push_landed(struct tandem_connection *connection, struct xfer_push *push)
{
	if (!push->pull || !connection->checksums || push->result) {
		push_end(connection, push, push->result);
		return;
	}
	xfer_verify_start(connection, push);
	rooms_check(connection);
}

void xfer_push_verified(struct tandem_connection *connection, struct xfer_push *push, int result)
{
	push->writes--;
	if (result < 0 && !push->result)
		push_stop(connection, push, result, XFER_CANCEL_GRACE_NS);
	else if (!push->writes && !push->is_verifying)
		push_end(connection, push, push->result);
}

void connection_write_done(struct tandem_connection *connection, struct xfer_push *push,
			   uint64_t bytes, int result)
{
	connection->writes--;
	connection->write_bytes_under_way -= bytes;
	push->writes--;
	connection->heard_ns = loop_now_ns();
	if (result == -EACCES && push->pull) {
		if (connection->state == CONNECTION_CONNECTED && !push->result) {
			push_stop(connection, push, result, XFER_CANCEL_GRACE_NS);
			return;
		}
	} else if (result < 0 && !(result == -ECANCELED && push->result)) {
		connection_fail(connection, result);
		return;
	} else if (!result) {
		push_count_bytes(connection, push, bytes);
	}
	if (!push->writes && !push->is_waiting)
		PROBE_TRANSFER_LAST_COMPLETION(push->stats.id, push_kind(push), push->stats.bytes);
	/* One that fails ends with all others, when nothing moves any more. */
	if (connection->state == CONNECTION_CONNECTED && !push->writes && !push->is_waiting)
		push_landed(connection, push);
	else
		rooms_check(connection);
}

void xfer_push_continue(struct loop_task *task)
{
	connection_continue((void *)((char *)task -
				     offsetof(struct tandem_connection, continue_task)));
}

void connection_continue(struct tandem_connection *connection)
{
	const uint64_t block_bytes = tandem_kv_block_bytes(&connection->layout);
	struct xfer_push *push;
	struct xfer_write write;
	uint64_t summed = 0;
	int ret = 0;

	if (connection->state != CONNECTION_CONNECTED || TAILQ_EMPTY(&connection->waiting))
		return;
	while (summed < SUMMED_BYTES && may_write(connection) &&
	       (push = next_push(connection, &ret))) {
		push_cut(connection, push, &write);
		if (write.last)
			push_remove_waiting(connection, push);
		push_count_write(connection, push, write.length);
		ret = connection->ops->write(connection, &write);
		if (ret == -EACCES && write.pull) {
			connection_write_done(connection, push, write.length, ret);
			ret = 0;
		}
		if (!ret && connection->checksums && !write.pull && write.blocks) {
			ret = xfer_checksum_tell(connection, &write);
			summed += write.blocks * block_bytes;
		}
		if (ret < 0)
			break;
	}
	if (summed >= SUMMED_BYTES)
		loop_task_post(connection->loop, &connection->continue_task);
	if (!ret && connection->state == CONNECTION_CONNECTED)
		ret = connection->ops->flush(connection);
	if (ret < 0)
		connection_fail(connection, ret);
}

/*
 * The start of a push
 */

static int push_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	struct xfer_push *push = operation_data(op);
	struct tandem_connection *connection = push->connection;

	(void)loop;
	/* Otherwise it is ending already, for another reason. */
	if (connection->state != CONNECTION_CONNECTED || push->result)
		return 0;
	push_stop(connection, push, -ECANCELED, XFER_CANCEL_GRACE_NS);
	return 0;
}

static void push_insert(struct tandem_connection *connection, struct xfer_push *push)
{
	struct xfer_push *before = TAILQ_LAST(&connection->waiting, xfer_waiting);

	while (before && before->priority < push->priority)
		before = TAILQ_PREV(before, xfer_waiting, waiting);
	if (before)
		TAILQ_INSERT_AFTER(&connection->waiting, before, push, waiting);
	else
		TAILQ_INSERT_HEAD(&connection->waiting, push, waiting);
	push->is_waiting = true;
	TAILQ_INSERT_TAIL(&connection->pushes, push, entry);
	connection->push_count++;
	connection->bytes_under_way += push->bytes_left;
}

/* All of it but the runs. */
static void push_init(struct xfer_push *push, struct tandem_connection *connection,
		      const struct tandem_push *from, bool pull, uint64_t posted_ns,
		      struct tandem_operation *op)
{
	memset(push, 0, sizeof(*push));
	push->connection = connection;
	push->op = op;
	push->pull = pull;
	push->transfer = from->transfer;
	push->priority = from->priority;
	push->generation = from->generation;
	push->deadline_ns = connection_deadline(connection, from->timeout_ms);
	push->stats_out = from->stats;
	push->timed = from->stats || connection->records;
	push->stats.id = xfer_new_id();
	push->stats.transport = connection->transport_number;
	push->stats.posted_ns = posted_ns;
	if (push->timed)
		push->stats.retries = repeats(connection);
}

static void push_measure(struct xfer_push *push, uint64_t block_bytes)
{
	for (size_t run = 0; run < push->run_count; run++)
		push->bytes_left += push->runs[run].count * block_bytes;
}

/* Hand over the first writes, and see how long starting it has taken. */
static void push_go(struct tandem_connection *connection, struct xfer_push *push)
{
	const uint64_t id = push->stats.id;
	const bool timed = push->timed;

	if (push->stats_out)
		push->stats_out->id = id;
	connection_continue(connection);
	/* It may have ended in there; nothing has been started after it. */
	push = TAILQ_LAST(&connection->pushes, xfer_pushes);
	if (timed && push && push->stats.id == id)
		push->stats.post_ns = loop_now_ns() - push->stats.posted_ns;
}

static int push_start(struct tandem_connection *connection, const struct tandem_push *push,
		      bool pull, struct tandem_operation *op)
{
	const uint64_t posted_ns = loop_now_ns();
	struct xfer_push *new;
	size_t run_count;
	int ret;

	if (connection->state != CONNECTION_CONNECTED)
		return -ENOTCONN;
	if (pull && !connection->ops->reads)
		return -EOPNOTSUPP;
	if (!operation_may_begin(op) || !push->generation != !connection->grants ||
	    xfer_push_check(&connection->layout, &connection->remote_layout, push, pull) < 0)
		return -EINVAL;
	if (!pull && !xfer_stop_allows(connection, push->transfer, push->generation))
		return -ECANCELED;
	if (!has_room(connection)) {
		connection->stats.pushes_refused++;
		return -EAGAIN;
	}
	run_count = xfer_runs_build(&connection->layout, &connection->remote_layout, push, NULL);
	if (run_count > (SIZE_MAX - sizeof(*new)) / sizeof(new->runs[0]))
		return -ENOMEM;
	new = malloc(sizeof(*new) + run_count * sizeof(new->runs[0]));
	if (!new)
		return -ENOMEM;
	push_init(new, connection, push, pull, posted_ns, op);
	new->run_count = run_count;
	xfer_runs_build(&connection->layout, &connection->remote_layout, push, new->runs);
	push_measure(new, tandem_kv_block_bytes(&connection->layout));
	ret = connection_wake_at(connection, new->deadline_ns);
	if (ret < 0)
		goto free_push;
	ret = operation_begin(op, push_cancel, new);
	if (ret < 0)
		goto free_push;

	if (TAILQ_EMPTY(&connection->pushes))
		connection->wire_since_ns = new->stats.posted_ns;
	push_hold_blocks(connection, new, true);
	push_insert(connection, new);
	PROBE_TRANSFER_POST(new->stats.id, push_kind(new), connection->id, new->transfer,
			    new->generation, new->bytes_left);
	push_go(connection, new);
	return 0;

free_push:
	free(new);
	return ret;
}

int tandem_push_start(struct tandem_connection *connection, const struct tandem_push *push,
		      struct tandem_operation *op)
{
	return push_start(connection, push, false, op);
}

int tandem_pull_start(struct tandem_connection *connection, const struct tandem_pull *pull,
		      struct tandem_operation *op)
{
	const struct tandem_push push = {
		.layer_first = pull->layer_first,
		.layer_count = pull->layer_count,
		.local_blocks = pull->local_blocks,
		.remote_blocks = pull->remote_blocks,
		.block_count = pull->block_count,
		.local_first = pull->local_first,
		.local_stride = pull->local_stride,
		.remote_first = pull->remote_first,
		.remote_stride = pull->remote_stride,
		.table = pull->table,
		.entries = pull->entries,
		.entry_first = pull->entry_first,
		.entry_count = pull->entry_count,
		.generation = pull->generation,
		.timeout_ms = pull->timeout_ms,
		.priority = pull->priority,
		.stats = pull->stats,
	};

	return push_start(connection, &push, true, op);
}
