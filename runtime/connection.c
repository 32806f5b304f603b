// SPDX-License-Identifier: MIT
/*
 * Connections: what all transports have in common.
 *
 * What goes wrong beyond one operation makes the whole connection fail: the
 * transport is stopped in both directions, and only when it has come to rest
 * are the operations ended. So memory is safe to reuse once its operation has
 * ended, however it did.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "error.h"
#include "kv.h"
#include "xfer.h"
#include "xfer_auto.h"
#include "xfer_record.h"

#define TIMEOUT_MS_DEFAULT	30000u
#define PUSHES_MAX_DEFAULT	4096u
#define UNIT_DEFAULT		4096u
#define RECORDS_MAX		65536u
/* Silence after which the other side is probed, while something is awaited. */
#define PROBE_NS		1000000000ull
#define NSEC_PER_MSEC		1000000ull

static const char *const transport_names[] = {
	[TANDEM_TRANSPORT_LOCAL] = "local",
	[TANDEM_TRANSPORT_VERBS] = "verbs",
	[TANDEM_TRANSPORT_TCP] = "tcp",
	[TANDEM_TRANSPORT_AUTO] = "auto",
};

#define TRANSPORT_COUNT	(sizeof(transport_names) / sizeof(transport_names[0]))

const char *tandem_transport_name(enum tandem_transport transport)
{
	return (unsigned int)transport < TRANSPORT_COUNT ? transport_names[transport] : NULL;
}

int tandem_transport_parse(const char *name)
{
	unsigned int i;

	for (i = 0; i < TRANSPORT_COUNT; i++)
		if (!strcmp(name, transport_names[i]))
			return i;
	return -EINVAL;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/*
 * Deadlines: one timer, for the earliest of them. What ends in time leaves it
 * running; it then finds nothing to do.
 */

static void connection_timer_expired(void *user);

int connection_wake_at(struct tandem_connection *connection, uint64_t when)
{
	uint64_t now = loop_now_ns();
	struct loop_timer *timer;
	uint64_t wait_ms = 0;
	int ret;

	if (connection->timer && connection->timer_ns <= when)
		return 0;
	if (when > now)
		wait_ms = (when - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	ret = loop_timer_start(connection->loop, wait_ms, connection_timer_expired, connection,
			       &timer);
	if (ret < 0)
		return ret;
	loop_timer_stop(connection->timer);
	connection->timer = timer;
	connection->timer_ns = when;
	return 0;
}

int connection_await(struct tandem_connection *connection, uint64_t deadline_ns)
{
	connection->heard_ns = loop_now_ns();
	return connection_wake_at(connection, connection->ops->probe ?
				  min_u64(deadline_ns, connection->heard_ns + PROBE_NS) :
				  deadline_ns);
}

uint64_t connection_heard(const struct tandem_connection *connection, uint64_t now)
{
	const struct xfer_transport_ops *ops = connection->ops;

	return ops->is_busy && ops->is_busy(connection) ? now : connection->heard_ns;
}

uint64_t connection_deadline(const struct tandem_connection *connection, unsigned int timeout_ms)
{
	return loop_now_ns() + (timeout_ms ? timeout_ms : connection->timeout_ms) * NSEC_PER_MSEC;
}

/* Ask after a silent other side. Return: when to ask again, UINT64_MAX for never. */
static uint64_t connection_probe(struct tandem_connection *connection, uint64_t now)
{
	int ret;

	if (!connection->ops->probe ||
	    (!connection->expects.waiting && !connection->offers.count))
		return UINT64_MAX;
	if (connection->heard_ns + PROBE_NS > now)
		return connection->heard_ns + PROBE_NS;
	ret = connection->ops->probe(connection);
	if (ret < 0)
		connection_fail(connection, ret);
	return now + PROBE_NS;
}

static void connection_timer_expired(void *user)
{
	struct tandem_connection *connection = user;
	uint64_t now = loop_now_ns();
	uint64_t next;
	int ret;

	connection->timer = NULL;
	if (connection->state != CONNECTION_CONNECTED)
		return;
	next = xfer_push_check_deadlines(connection, now);
	next = min_u64(next, xfer_receive_check_deadlines(connection, now));
	next = min_u64(next, xfer_offer_check_deadlines(connection, now));
	if (connection->state != CONNECTION_CONNECTED)
		return;
	next = min_u64(next, connection_probe(connection, now));
	if (connection->state != CONNECTION_CONNECTED || next == UINT64_MAX)
		return;
	ret = connection_wake_at(connection, next);
	if (ret < 0)
		connection_fail(connection, ret);
}

/*
 * The end
 */

void connection_fail(struct tandem_connection *connection, int code)
{
	switch (connection->state) {
	case CONNECTION_OPEN:
		connection->failure = code;
		connection->state = CONNECTION_FAILED;
		break;
	case CONNECTION_CONNECTED:
		connection->failure = code;
		connection->state = CONNECTION_FAILING;
		connection->ops->abort(connection);
		break;
	default:
		break;
	}
}

void connection_quiesced(struct tandem_connection *connection)
{
	if (connection->state != CONNECTION_FAILING)
		return;
	connection->state = CONNECTION_FAILED;
	loop_timer_stop(connection->timer);
	connection->timer = NULL;
	xfer_push_end_all(connection);
	xfer_receive_end_all(connection);
	xfer_offer_end_all(connection);
}

static void connection_device_lost(struct device_watch *watch)
{
	struct tandem_connection *connection;

	connection = (void *)((char *)watch - offsetof(struct tandem_connection, watch));
	connection_fail(connection, -ENODEV);
}

/*
 * Opening
 */

static const struct xfer_transport_ops *transport_ops(enum tandem_transport transport)
{
	switch (transport) {
	case TANDEM_TRANSPORT_LOCAL:
		return &xfer_local_ops;
	case TANDEM_TRANSPORT_VERBS:
		return &xfer_verbs_ops;
	case TANDEM_TRANSPORT_TCP:
		return &xfer_tcp_ops;
	case TANDEM_TRANSPORT_AUTO:
		return &xfer_auto_ops;
	default:
		return NULL;
	}
}

static int options_check(const struct tandem_connection_options *options,
			 struct tandem_error *error)
{
	if (!transport_ops(options->transport))
		return tandem_error_set(error, -EOPNOTSUPP,
					"there is no transport number %d; use auto, local, verbs or tcp",
					(int)options->transport);
	if (options->records > RECORDS_MAX)
		return tandem_error_set(error, -EINVAL,
					"connection: %u records are more than the %u that can be kept",
					options->records, RECORDS_MAX);
	return 0;
}

/* Is the device that the connection's memory is of fit for it? */
static int device_check(const struct tandem_device *device, const struct tandem_loop *loop,
			struct tandem_error *error)
{
	if (device->loop != loop)
		return tandem_error_set(error, -EINVAL,
					"%s: its connections have to be on the loop that it was opened on",
					device->name);
	if (device->lost)
		return tandem_error_set(error, -ENODEV, "%s: the device is gone", device->name);
	return 0;
}

/* The processor has to read what the transport carries. */
static int checksums_prepare(struct tandem_connection *connection, struct tandem_error *error)
{
	void *pointer = connection->pointer;
	int ret = 0;

	if (!connection->checksums)
		return 0;
	if (connection->memory)
		ret = tandem_memory_map(connection->memory, &pointer);
	if (ret < 0)
		return tandem_error_set(error, ret,
					"connection: cannot map device memory for checksums: %s",
					strerror(-ret));
	connection->bytes = pointer;
	connection->verify = xfer_verify_create(connection);
	return connection->verify ? 0 : tandem_error_set(error, -ENOMEM, "connection: out of memory");
}

/*
 * @from holds loop, pool, memory, pointer and layout, and is copied.
 */
static int connection_create(const struct tandem_connection *from,
			     const struct tandem_connection_options *options,
			     struct tandem_connection **connection, struct tandem_error *error)
{
	struct tandem_device *device = from->memory ? tandem_memory_device(from->memory) : NULL;
	struct tandem_connection *new;
	int ret;

	ret = options_check(options, error);
	if (!ret && device)
		ret = device_check(device, from->loop, error);
	if (ret < 0)
		return ret;
	new = malloc(sizeof(*new));
	if (!new)
		return tandem_error_set(error, -ENOMEM, "connection: out of memory");

	*new = *from;
	new->ops = transport_ops(options->transport);
	new->transport_number = options->transport;
	new->timeout_ms = options->timeout_ms ? options->timeout_ms : TIMEOUT_MS_DEFAULT;
	new->grants = options->grants;
	new->checksums = options->checksums;
	new->pushes_max = options->pushes_max ? options->pushes_max : PUSHES_MAX_DEFAULT;
	new->bytes_max = options->bytes_max ? options->bytes_max : UINT64_MAX;
	new->id = xfer_new_id();
	if (getrandom(&new->generation, sizeof(new->generation), 0) != sizeof(new->generation)) {
		free(new);
		return tandem_error_set(error, -EIO, "connection: no random numbers");
	}
	TAILQ_INIT(&new->pushes);
	TAILQ_INIT(&new->waiting);
	TAILQ_INIT(&new->rooms);
	new->continue_task.run = xfer_push_continue;
	xfer_expect_init(&new->expects);
	LIST_INIT(&new->checks);
	xfer_stop_init(&new->stops);
	xfer_offer_init(&new->offers);
	ret = checksums_prepare(new, error);
	if (!ret && options->records) {
		new->records = xfer_records_create(options->records);
		if (!new->records)
			ret = tandem_error_set(error, -ENOMEM, "connection: out of memory");
	}
	if (!ret)
		ret = new->ops->open(new, options, error);
	if (ret < 0) {
		xfer_verify_destroy(new->verify);
		free(new->records);
		free(new);
		return ret;
	}
	new->watch.lost = connection_device_lost;
	if (device)
		device_watch_add(device, &new->watch);
	*connection = new;
	return 0;
}

int tandem_connection_open(struct tandem_loop *loop, struct tandem_kv_pool *pool,
			   const struct tandem_connection_options *options,
			   struct tandem_connection **connection, struct tandem_error *error)
{
	const struct tandem_connection from = {
		.loop = loop,
		.pool = pool,
		.memory = tandem_kv_pool_memory(pool),
		.layout = *tandem_kv_pool_layout(pool),
	};

	return connection_create(&from, options, connection, error);
}

/* Memory that is no pool, as a layout. */
static int memory_layout(const struct tandem_xfer_memory *memory, struct tandem_kv_layout *layout,
			 struct tandem_error *error)
{
	uint32_t unit = memory->unit ? memory->unit : UNIT_DEFAULT;

	if (!memory->memory == !memory->pointer)
		return tandem_error_set(error, -EINVAL,
					"memory: it is either a device's or the process's; give one of both");
	if (memory->memory && memory->length > tandem_memory_size(memory->memory))
		return tandem_error_set(error, -EINVAL,
					"memory: %" PRIu64 " bytes are more than the %" PRIu64
					" that there are",
					memory->length, tandem_memory_size(memory->memory));
	if (!memory->length || unit % 2 || memory->length % unit ||
	    memory->length / unit > UINT32_MAX)
		return tandem_error_set(error, -EINVAL,
					"memory: %" PRIu64 " bytes in units of %" PRIu32
					": units are even, and there are whole ones, up to 2^32 - 1",
					memory->length, unit);
	*layout = (struct tandem_kv_layout){
		.type = KV_TYPE_BYTES,
		.layers = 1,
		/* K and V are a half each. */
		.kv_width = unit / 2,
		.block_tokens = 1,
		.blocks = memory->length / unit,
	};
	return 0;
}

int tandem_connection_open_memory(struct tandem_loop *loop, const struct tandem_xfer_memory *memory,
				  const struct tandem_connection_options *options,
				  struct tandem_connection **connection, struct tandem_error *error)
{
	struct tandem_connection from = {
		.loop = loop,
		.memory = memory->memory,
		.pointer = memory->pointer,
	};
	int ret;

	ret = memory_layout(memory, &from.layout, error);
	return ret < 0 ? ret : connection_create(&from, options, connection, error);
}

/* What both sides have to agree on; auto stays what it was. */
static enum tandem_transport described_transport(const struct tandem_connection *connection)
{
	return connection->choice ? TANDEM_TRANSPORT_AUTO : connection->transport_number;
}

int tandem_connection_describe(struct tandem_connection *connection, void *buffer, size_t size)
{
	const struct xfer_transport_ops *ops = connection->choice ? &xfer_auto_ops : connection->ops;
	struct xfer_description description = {
		.transport = described_transport(connection),
		.layout = connection->layout,
		.checksums = connection->checksums,
	};

	description.part_size = ops->describe(connection, description.part);
	return xfer_description_encode(&description, buffer, size);
}

/* All but the number of blocks has to agree. */
static int layout_mismatch(const struct tandem_kv_layout *ours,
			   const struct tandem_kv_layout *theirs, struct tandem_error *error)
{
	static const char format[] =
		"the KV pools do not match: %s is %" PRIu32 " here and %" PRIu32
		" on the other side; give both the same model and KV options";

	if ((ours->type == KV_TYPE_BYTES) != (theirs->type == KV_TYPE_BYTES))
		return tandem_error_set(error, -EINVAL,
					"a KV pool and memory that is none do not match; use the same on both sides");
	if (ours->type == KV_TYPE_BYTES && ours->kv_width != theirs->kv_width)
		return tandem_error_set(error, -EINVAL,
					"the memories do not match: units of %" PRIu64
					" bytes here and of %" PRIu64
					" on the other side; use the same",
					tandem_kv_block_bytes(ours), tandem_kv_block_bytes(theirs));
	if (ours->type != theirs->type)
		return tandem_error_set(error, -EINVAL, format, "the element type", ours->type,
					theirs->type);
	if (ours->layers != theirs->layers)
		return tandem_error_set(error, -EINVAL, format, "the number of layers",
					ours->layers, theirs->layers);
	if (ours->kv_width != theirs->kv_width)
		return tandem_error_set(error, -EINVAL, format, "the KV width", ours->kv_width,
					theirs->kv_width);
	if (ours->block_tokens != theirs->block_tokens)
		return tandem_error_set(error, -EINVAL, format, "the tokens in a block",
					ours->block_tokens, theirs->block_tokens);
	return 0;
}

int tandem_connection_connect(struct tandem_connection *connection, const void *description,
			      size_t size, struct tandem_error *error)
{
	struct xfer_description remote;
	const char *theirs;
	int ret;

	if (connection->state == CONNECTION_FAILED)
		return tandem_error_set(error, connection->failure,
					"the connection has failed (%s); close it and open another",
					strerror(-connection->failure));
	if (connection->state != CONNECTION_OPEN)
		return tandem_error_set(error, -EALREADY, "the connection is connected already");
	ret = xfer_description_decode(description, size, &remote, error);
	if (ret < 0)
		return ret;
	if (remote.transport != described_transport(connection)) {
		theirs = tandem_transport_name(remote.transport);
		return tandem_error_set(error, -EINVAL,
					"the transports differ: %s here and %s on the other side; use the same",
					tandem_transport_name(described_transport(connection)),
					theirs ? theirs : "an unknown one");
	}
	ret = layout_mismatch(&connection->layout, &remote.layout, error);
	if (ret < 0)
		return ret;
	if (remote.checksums != connection->checksums)
		return tandem_error_set(error, -EINVAL,
					"one side's connection has checksums and the other's has not; give both the same option");
	ret = connection->ops->connect(connection, &remote, error);
	if (ret < 0)
		return ret;
	connection->remote_layout = remote.layout;
	connection->state = CONNECTION_CONNECTED;
	return 0;
}

uint64_t connection_new_generation(struct tandem_connection *connection)
{
	if (!++connection->generation)
		connection->generation++;
	return connection->generation;
}

/*
 * Notes
 */

static int damage_told(struct tandem_connection *connection, const struct xfer_note *note)
{
	if (!connection->checksums)
		return -EPROTO;
	connection->stats.transfers_damaged++;
	xfer_push_stop_transfer(connection, note->transfer, note->generation, -EBADMSG);
	return 0;
}

int connection_told(struct tandem_connection *connection, const struct xfer_note *note)
{
	if (connection->state != CONNECTION_CONNECTED && connection->state != CONNECTION_OPEN)
		return 0;
	connection->heard_ns = loop_now_ns();
	switch (note->kind) {
	case XFER_NOTE_STOP:
		return xfer_stop_asked(connection, note);
	case XFER_NOTE_STOPPED:
		return xfer_stop_answered(connection, note);
	case XFER_NOTE_GOODBYE:
		return -ECONNRESET;
	case XFER_NOTE_WITHDRAW:
	case XFER_NOTE_WITHDRAWN:
	case XFER_NOTE_READ:
		return xfer_offer_told(connection, note);
	case XFER_NOTE_CHECKSUM:
		return xfer_receive_checksum_told(connection, note);
	case XFER_NOTE_DAMAGED:
		return damage_told(connection, note);
	case XFER_NOTE_SUM_ASKED:
		return xfer_verify_asked(connection, note);
	case XFER_NOTE_SUM:
		return xfer_verify_answered(connection, note);
	case XFER_NOTE_READ_DAMAGED:
		return xfer_verify_damaged(connection);
	default:
		return -EPROTO;
	}
}

int connection_tell(struct tandem_connection *connection, const struct xfer_note *note)
{
	int ret = connection->ops->tell(connection, note);

	return ret < 0 ? ret : connection->ops->flush(connection);
}

enum tandem_transport tandem_connection_transport(const struct tandem_connection *connection)
{
	return connection->transport_number;
}

const char *tandem_connection_transport_reason(const struct tandem_connection *connection,
					       enum tandem_transport transport)
{
	if (!connection->choice || (unsigned int)transport >= XFER_AUTO_TRANSPORTS)
		return NULL;
	return connection->choice->reasons[transport].message;
}

void tandem_connection_get_stats(const struct tandem_connection *connection,
				 struct tandem_connection_stats *stats)
{
	*stats = connection->stats;
	stats->pushes_under_way = connection->push_count;
	stats->bytes_under_way = connection->bytes_under_way;
	if (connection->records)
		stats->records_lost = connection->records->lost;
	if (connection->wire_since_ns)
		stats->wire_ns += loop_now_ns() - connection->wire_since_ns;
}

int tandem_connection_get_rail(struct tandem_connection *connection, unsigned int rail,
			       struct tandem_rail_stats *stats)
{
	return connection->ops->rail ? connection->ops->rail(connection, rail, stats) : -ENOENT;
}

/*
 * Closing
 */

static void connection_cancel_all(struct tandem_connection *connection)
{
	/* Callbacks come last of all, as they may do whatever they like. */
	xfer_push_cancel_all(connection);
	xfer_offer_cancel_all(connection);
	xfer_check_cancel_all(connection);
	xfer_receive_cancel_all(connection);
}

void tandem_connection_close(struct tandem_connection *connection)
{
	if (!connection)
		return;
	connection->state = CONNECTION_CLOSING;
	if (connection->memory)
		device_watch_remove(&connection->watch);
	loop_timer_stop(connection->timer);
	connection->timer = NULL;
	loop_task_cancel(connection->loop, &connection->continue_task);
	connection->ops->close(connection);
	connection_cancel_all(connection);
	xfer_verify_destroy(connection->verify);
	xfer_stop_free_all(&connection->stops);
	free(connection->choice);
	free(connection->records);
	free(connection);
}
