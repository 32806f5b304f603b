// SPDX-License-Identifier: MIT
/*
 * The local transport where both sides are on one loop: the device of the side
 * that pushes or pulls writes into the other one's memory, or reads it, by itself. It
 * sees that memory through tandem_memory_share(), for accel devices a dma-buf. Writes
 * that are handed over together are one command of the device.
 *
 * Which of this and xfer_ipc.c it is turns out when the other side's description is
 * there.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "error.h"
#include "xfer.h"
#include "xfer_auto.h"
#include "xfer_ipc.h"

/* Writes that a connection has on its queue at once. */
#define LOCAL_SLOTS		2048u
/*
 * The longest command. A device carries one out whole, and this is how long the
 * next one, or a cancellation, has to wait.
 */
#define LOCAL_COPY_BYTES	(16ull << 20)
/* Pieces of a command; so few that the next can be made up meanwhile. */
#define LOCAL_COPY_WRITES	(LOCAL_SLOTS / 4)

enum {
	AT_PID = 0,
	AT_LOOP = 4,
	AT_COOKIE = 8,
	AT_ID = 16,
	AT_ENDPOINT = 24,
	PART_BYTES = AT_ENDPOINT + IPC_ENDPOINT_BYTES,
};

struct local;

/**
 * struct local_write - a write
 * @entry: in &local_copy.writes, or in &local.unused
 * @push: that it belongs to
 * @pull: it reads
 * @bytes: length
 * @transfer: for the receiver
 * @blocks: for the receiver
 * @generation: of the offer that it reads by, or 0
 */
struct local_write {
	STAILQ_ENTRY(local_write) entry;
	struct xfer_push *push;
	bool pull;
	uint64_t bytes;
	uint32_t transfer;
	uint32_t blocks;
	uint64_t generation;
};

STAILQ_HEAD(local_writes, local_write);

/**
 * struct local_copy - writes that the device carries out as one command
 * @op: of the command
 * @entry: in &local.copies
 * @local: its connection
 * @writes: not empty
 */
struct local_copy {
	struct tandem_operation op;
	LIST_ENTRY(local_copy) entry;
	struct local *local;
	struct local_writes writes;
};

/**
 * struct local - the transport's part of a connection
 * @entry: in the registry
 * @id: under which the other side finds it; unguessable
 * @connection: of it; NULL once closed
 * @ipc: how other processes reach it
 * @queue: of this side's device
 * @peer: the other side, once connected and as long as it is there
 * @sender: the side that has connected to this one, likewise
 * @view: the other side's memory as this side's device sees it, also where
 *	that is the same device: taking it away is what stops writes for sure
 * @slots: for writes
 * @unused: those that are free
 * @copies: on the queue
 * @batch: writes that are not on the queue yet
 * @segments: what they are
 * @batch_count: entries of both
 * @batch_bytes: of all
 *
 * @entry and @id are under the registry's lock, the rest belongs to the loop's
 * thread. Both sides are on one loop.
 */
struct local {
	LIST_ENTRY(local) entry;
	uint64_t id;
	struct tandem_connection *connection;
	struct ipc *ipc;
	struct tandem_queue *queue;
	struct local *peer;
	struct local *sender;
	struct tandem_memory *view;
	struct local_write slots[LOCAL_SLOTS];
	struct local_writes unused;
	LIST_HEAD(, local_copy) copies;
	struct local_writes batch;
	struct tandem_copy_segment segments[LOCAL_COPY_WRITES];
	unsigned int batch_count;
	uint64_t batch_bytes;
};

/*
 * All local sides of this process, whichever thread they belong to. A
 * description is looked up here, never followed as a pointer.
 */
static struct {
	pthread_mutex_t lock;
	LIST_HEAD(, local) sides;
	uint64_t cookie;
} registry = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.sides = LIST_HEAD_INITIALIZER(registry.sides),
};

static int random_number(uint64_t *number)
{
	do {
		if (getrandom(number, sizeof(*number), 0) != sizeof(*number))
			return errno ? -errno : -EIO;
	} while (!*number);
	return 0;
}

static int registry_add(struct local *local)
{
	int ret = 0;

	pthread_mutex_lock(&registry.lock);
	if (!registry.cookie)
		ret = random_number(&registry.cookie);
	if (!ret)
		ret = random_number(&local->id);
	if (!ret)
		LIST_INSERT_HEAD(&registry.sides, local, entry);
	pthread_mutex_unlock(&registry.lock);
	return ret;
}

static void registry_remove(struct local *local)
{
	pthread_mutex_lock(&registry.lock);
	LIST_REMOVE(local, entry);
	pthread_mutex_unlock(&registry.lock);
}

/*
 * The side with this @id, if it is on @loop: only then is it sure to stay while
 * the caller, who is on the loop's thread, uses it. Return: 0, -EHOSTUNREACH,
 * -EXDEV for one of another loop.
 */
static int registry_find(uint64_t id, struct tandem_loop *loop, struct local **found)
{
	struct local *local;
	int ret = -EHOSTUNREACH;

	pthread_mutex_lock(&registry.lock);
	LIST_FOREACH(local, &registry.sides, entry) {
		if (local->id != id)
			continue;
		ret = local->connection->loop == loop ? 0 : -EXDEV;
		*found = local;
		break;
	}
	pthread_mutex_unlock(&registry.lock);
	return ret;
}

static struct tandem_device *local_device(const struct tandem_connection *connection)
{
	return tandem_memory_device(connection->memory);
}

static int local_open(struct tandem_connection *connection,
		      const struct tandem_connection_options *options,
		      struct tandem_error *error)
{
	struct local *local;
	unsigned int i;
	int ret;

	(void)options;
	if (!connection->memory)
		return tandem_error_set(error, -EOPNOTSUPP,
					"local: a device reaches memory of devices only, and what tandem_memory_register() made known to it; or use verbs or tcp");
	local = calloc(1, sizeof(*local));
	if (!local)
		return tandem_error_set(error, -ENOMEM, "local: out of memory");
	local->connection = connection;
	STAILQ_INIT(&local->batch);
	STAILQ_INIT(&local->unused);
	for (i = 0; i < LOCAL_SLOTS; i++)
		STAILQ_INSERT_TAIL(&local->unused, &local->slots[i], entry);
	ret = tandem_queue_open(local_device(connection), TANDEM_QUEUE_TYPE_COPY, &local->queue,
				error);
	if (ret < 0)
		goto free_local;
	ret = ipc_open(connection, &local->ipc, error);
	if (ret < 0)
		goto close_queue;
	ret = registry_add(local);
	if (ret < 0) {
		tandem_error_set(error, ret, "local: no random numbers: %s", strerror(-ret));
		goto free_ipc;
	}
	connection->transport = local;
	return 0;

free_ipc:
	ipc_free(local->ipc);
close_queue:
	tandem_queue_close(local->queue);
free_local:
	free(local);
	return ret;
}

/* Tells the loops of this process apart, without giving away an address. */
static uint32_t loop_number(const struct tandem_loop *loop)
{
	return (((uintptr_t)loop ^ registry.cookie) * 0x9e3779b97f4a7c15ull) >> 32;
}

static size_t local_describe(struct tandem_connection *connection, uint8_t *part)
{
	struct local *local = connection->transport;

	xfer_put32(part + AT_PID, getpid());
	xfer_put32(part + AT_LOOP, loop_number(connection->loop));
	xfer_put64(part + AT_COOKIE, registry.cookie);
	xfer_put64(part + AT_ID, local->id);
	ipc_endpoint_encode(&local->ipc->local, part + AT_ENDPOINT);
	return PART_BYTES;
}

/*
 * Are these two on one loop of one process? The cookie tells apart processes of one id,
 * in time and in containers.
 */
static bool is_one_loop(const uint8_t *one, const uint8_t *other)
{
	return !memcmp(one, other, AT_ID) && !xfer_ipc_always;
}

static int local_reach(const struct xfer_side *own, const struct xfer_side *other,
		       struct tandem_error *why)
{
	struct ipc_endpoint one, two;
	int ret;

	if (own->part_size != PART_BYTES || other->part_size != PART_BYTES ||
	    ipc_endpoint_decode(own->part + AT_ENDPOINT, &one) < 0 ||
	    ipc_endpoint_decode(other->part + AT_ENDPOINT, &two) < 0)
		return -EPROTO;
	if (one.kind != two.kind)
		return tandem_error_set(why, -EOPNOTSUPP,
					"local: one side's device is accel, the other's inproc");
	if (is_one_loop(own->part, other->part))
		return tandem_error_set(why, 0, "local: both sides are on one loop of one process");
	ret = ipc_check_reachable(&one, &two, why);
	if (ret < 0)
		return ret;
	if (!own->shareable || !other->shareable)
		return tandem_error_set(why, -EOPNOTSUPP,
					"local: %s side's memory cannot be shown to another process; allocate it with tandem_memory_alloc_shareable()",
					own->shareable ? "the other" : "this");
	return tandem_error_set(why, 0, "local: both sides are of one user on one machine");
}

/* The other side is in another process, or on another loop: the connection is not this file's any more. */
static int local_leave(struct tandem_connection *connection,
		       const struct xfer_description *remote, struct tandem_error *error)
{
	struct local *local = connection->transport;
	struct ipc *ipc = local->ipc;
	int ret;

	if (local->sender)
		return tandem_error_set(error, -EINVAL,
					"local: another side has connected to this one");
	ret = ipc_connect(ipc, local->queue, remote->part + AT_ENDPOINT, &remote->layout, error);
	if (ret < 0)
		return ret;
	ipc->described_size = local_describe(connection, ipc->described);
	connection->transport = ipc;
	connection->ops = &xfer_ipc_ops;
	registry_remove(local);
	free(local);
	return 0;
}

static int local_find_peer(struct tandem_connection *connection,
			   const struct xfer_description *remote, struct local **peer,
			   struct tandem_error *error)
{
	int ret;

	ret = registry_find(xfer_get64(remote->part + AT_ID), connection->loop, peer);
	if (ret == -EXDEV)
		return tandem_error_set(error, -EOPNOTSUPP,
					"local: the other side is on another loop; its description says otherwise");
	if (ret < 0)
		return tandem_error_set(error, ret,
					"local: the other side has been closed, or never was");
	if (*peer == connection->transport)
		return tandem_error_set(error, -EINVAL,
					"local: this description is the connection's own; give it the other side's");
	if ((*peer)->sender)
		return tandem_error_set(error, -EALREADY,
					"local: the other side has been connected to already");
	return 0;
}

static int local_connect(struct tandem_connection *connection,
			 const struct xfer_description *remote, struct tandem_error *error)
{
	struct local *local = connection->transport;
	uint8_t own[PART_BYTES];
	struct local *peer = NULL;
	int ret;

	if (remote->part_size != PART_BYTES)
		return tandem_error_set(error, -EPROTO,
					"local: the other side's description is malformed");
	local_describe(connection, own);
	if (!is_one_loop(own, remote->part))
		return local_leave(connection, remote, error);
	ret = local_find_peer(connection, remote, &peer, error);
	if (ret < 0)
		return ret;
	if (local->sender && local->sender != peer)
		return tandem_error_set(error, -EINVAL,
					"local: another side has connected to this one");
	/* A description can be old, and damage can be meant. */
	if (memcmp(&peer->connection->layout, &remote->layout, sizeof(remote->layout)))
		return tandem_error_set(error, -EPROTO,
					"local: the description says other things of the pool than are true");
	ret = tandem_memory_share(peer->connection->memory,
				  local_device(connection), &local->view, error);
	if (ret < 0)
		return ret;
	ipc_unlisten(local->ipc);
	local->peer = peer;
	peer->sender = local;
	connection->write_bytes = LOCAL_COPY_BYTES;
	connection->write_slots = LOCAL_SLOTS;
	return 0;
}

/* Has everything stopped that could write into this side's memory or from it? */
static void local_check_quiesced(struct local *local)
{
	if (!LIST_EMPTY(&local->copies) ||
	    (local->sender && !LIST_EMPTY(&local->sender->copies)))
		return;
	if (local->connection && local->connection->state == CONNECTION_FAILING)
		connection_quiesced(local->connection);
}

static void local_free(struct local *local)
{
	ipc_free(local->ipc);
	tandem_queue_close(local->queue);
	free(local);
}

/* Tell of a copy's writes, as long as both sides are there to hear of it. */
static void local_copy_tell(struct local *local, struct local_copy *copy, int result)
{
	struct local_write *write;

	while ((write = STAILQ_FIRST(&copy->writes))) {
		STAILQ_REMOVE_HEAD(&copy->writes, entry);
		STAILQ_INSERT_HEAD(&local->unused, write, entry);
		/* In this order: counting may make both sides fail, and end the push. */
		connection_write_done(local->connection, write->push, write->bytes, result);
		if (local->peer && write->pull)
			connection_read_end(local->peer->connection, write->generation);
		/* A part of a block counts with the last one. */
		else if (local->peer && !result && write->blocks)
			connection_received(local->peer->connection, write->transfer,
					    write->blocks);
	}
}

static void local_copy_done(struct tandem_operation *op)
{
	struct local_copy *copy = op->user;
	struct local *local = copy->local;
	struct tandem_connection *connection = local->connection;
	struct local *peer = local->peer;

	/* Pushes last as long as the copy is on the list. */
	if (connection && connection->state != CONNECTION_CLOSING)
		local_copy_tell(local, copy, op->result);
	LIST_REMOVE(copy, entry);
	if (connection && connection->state != CONNECTION_CLOSING) {
		local_check_quiesced(local);
		if (peer)
			local_check_quiesced(peer);
		connection_continue(connection);
	}
	free(copy);
	/* Closed from within a callback; see local_close(). */
	if (!connection && LIST_EMPTY(&local->copies))
		local_free(local);
}

/* Put the batch on the queue. */
static int local_flush(struct tandem_connection *connection)
{
	struct local *local = connection->transport;
	struct local_copy *copy;
	int ret;

	if (!local->batch_count)
		return 0;
	copy = calloc(1, sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	copy->op.done = local_copy_done;
	copy->op.user = copy;
	copy->local = local;
	STAILQ_INIT(&copy->writes);
	ret = tandem_copy_list(local->queue, local->segments, local->batch_count, &copy->op);
	if (ret < 0) {
		free(copy);
		return ret;
	}
	STAILQ_CONCAT(&copy->writes, &local->batch);
	LIST_INSERT_HEAD(&local->copies, copy, entry);
	local->batch_count = 0;
	local->batch_bytes = 0;
	return 0;
}

static void local_fill_segment(struct local *local, const struct xfer_write *write,
			       struct tandem_copy_segment *segment)
{
	struct tandem_memory *own = local->connection->memory;

	segment->destination = write->pull ? own : local->view;
	segment->source = write->pull ? local->view : own;
	segment->destination_offset = write->pull ? write->local_offset : write->remote_offset;
	segment->source_offset = write->pull ? write->remote_offset : write->local_offset;
	segment->length = write->length;
}

static int local_write(struct tandem_connection *connection, const struct xfer_write *write)
{
	struct local *local = connection->transport;
	struct local_write *slot;
	int ret;

	if (!local->peer)
		return -ECONNRESET;
	if (local->peer->connection->state != CONNECTION_CONNECTED)
		return -ENOTCONN;
	ret = write->pull ? connection_read_begin(local->peer->connection, write) :
			    connection_admit(local->peer->connection, write);
	if (ret < 0)
		return ret;
	if (local->batch_count == LOCAL_COPY_WRITES ||
	    local->batch_bytes + write->length > LOCAL_COPY_BYTES) {
		ret = local_flush(connection);
		if (ret < 0)
			return ret;
	}
	slot = STAILQ_FIRST(&local->unused);
	STAILQ_REMOVE_HEAD(&local->unused, entry);
	slot->push = write->push;
	slot->pull = write->pull;
	slot->bytes = write->length;
	slot->transfer = write->transfer;
	slot->blocks = write->blocks;
	slot->generation = write->generation;
	STAILQ_INSERT_TAIL(&local->batch, slot, entry);
	local_fill_segment(local, write, &local->segments[local->batch_count++]);
	local->batch_bytes += write->length;
	return 0;
}

/* A side that has not connected yet knows of the one that has connected to it. */
static int local_tell(struct tandem_connection *connection, const struct xfer_note *note)
{
	struct local *local = connection->transport;
	struct local *other = local->peer ? local->peer : local->sender;

	return other ? connection_told(other->connection, note) : -ENOTCONN;
}

static void local_cancel_copies(struct local *local)
{
	struct local_copy *copy;

	/* One that cannot be cancelled for want of memory ends by itself. */
	LIST_FOREACH(copy, &local->copies, entry)
		tandem_cancel(local->connection->loop, &copy->op);
}

static void local_abort(struct tandem_connection *connection)
{
	struct local *local = connection->transport;

	local_cancel_copies(local);
	if (local->peer)
		connection_fail(local->peer->connection, -ECONNRESET);
	if (local->sender)
		connection_fail(local->sender->connection, -ECONNRESET);
	local_check_quiesced(local);
}

/* Take away what lets a side write, waiting for what it is writing. */
static void local_revoke(struct local *local)
{
	if (local->peer)
		local->peer->sender = NULL;
	local->peer = NULL;
	tandem_memory_free(local->view);
	local->view = NULL;
}

/* Wait for the copies to report their end. */
static void local_drain(struct local *local)
{
	int ret = 0;

	while (!LIST_EMPTY(&local->copies) && (ret >= 0 || ret == -EINTR))
		ret = tandem_loop_run(local->connection->loop, -1);
}

static void local_close(struct tandem_connection *connection)
{
	struct local *local = connection->transport;
	struct local *sender = local->sender;
	struct local *peer = local->peer;

	registry_remove(local);
	local_cancel_copies(local);
	if (sender) {
		connection_fail(sender->connection, -ECONNRESET);
		local_revoke(sender);
	}
	local_revoke(local);
	if (peer) {
		connection_fail(peer->connection, -ECONNRESET);
		local_check_quiesced(peer);
	}
	local_drain(local);
	/*
	 * Where the loop could not be run, as within a callback: nothing is
	 * written any more since the view is gone, but the copies have yet to
	 * report that.
	 */
	local->connection = NULL;
	if (LIST_EMPTY(&local->copies))
		local_free(local);
}

/* Both sides' devices are this process's. */
static bool local_is_busy(const struct tandem_connection *connection)
{
	const struct local *local = connection->transport;

	return !LIST_EMPTY(&local->copies) || (local->peer && !LIST_EMPTY(&local->peer->copies));
}

const struct xfer_transport_ops xfer_local_ops = {
	.open = local_open,
	.describe = local_describe,
	.reach = local_reach,
	.connect = local_connect,
	.reads = true,
	.is_busy = local_is_busy,
	.write = local_write,
	.flush = local_flush,
	.tell = local_tell,
	.abort = local_abort,
	.close = local_close,
};
