// SPDX-License-Identifier: MIT
/*
 * The tcp transport's ops table: opening, connecting, and coming to rest.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "error.h"
#include "kv.h"
#include "xfer_tcp.h"
#include "xfer_tcp_reach.h"

/*
 * How long an ending waits for the other side to stop taking in what was sent.
 * A side that does not answer looks after its own memory by its own deadlines.
 */
#define DRAIN_MS	200

int tcp_error(int result)
{
	switch (result) {
	case 0:
	case -EPIPE:
	case -ECONNRESET:
	case -ECONNABORTED:
		return -ECONNRESET;
	case -ETIMEDOUT:
	case -ECONNREFUSED:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
	case -ENOMEM:
	case -EPROTO:
		return result;
	default:
		return -EIO;
	}
}

/*
 * Opening
 */

static void tcp_free(struct tcp *tcp)
{
	struct tcp_queued_note *queued;

	while ((queued = STAILQ_FIRST(&tcp->notes))) {
		STAILQ_REMOVE_HEAD(&tcp->notes, entry);
		free(queued);
	}
	free(tcp->slots);
	free(tcp->streams);
	free(tcp);
}

static bool tcp_has_requests(const struct tcp *tcp)
{
	unsigned int i;

	for (i = 0; i < tcp->local.streams; i++)
		if (tcp->streams[i].sending || tcp->streams[i].receiving)
			return true;
	return false;
}

void tcp_put(struct tcp *tcp)
{
	if (!tcp->connection && !tcp_has_requests(tcp))
		tcp_free(tcp);
}

static int tcp_prepare(struct tcp *tcp, const struct tandem_connection_options *options)
{
	unsigned int i;

	tcp->local.streams = options->streams ? options->streams : TCP_STREAMS_DEFAULT;
	tcp->stream_count = tcp->local.streams;
	tcp->streams = calloc(tcp->local.streams, sizeof(*tcp->streams));
	tcp->slots = calloc(2 * TCP_SLOTS, sizeof(*tcp->slots));
	if (!tcp->streams || !tcp->slots)
		return -ENOMEM;
	for (i = 0; i < tcp->local.streams; i++)
		tcp_stream_init(tcp, i);
	STAILQ_INIT(&tcp->queue);
	STAILQ_INIT(&tcp->requests);
	STAILQ_INIT(&tcp->unused);
	STAILQ_INIT(&tcp->unused_answers);
	for (i = 0; i < 2 * TCP_SLOTS; i++)
		STAILQ_INSERT_TAIL(i < TCP_SLOTS ? &tcp->unused : &tcp->unused_answers,
				   &tcp->slots[i], entry);
	if (getrandom(tcp->local.token, sizeof(tcp->local.token), 0) !=
	    sizeof(tcp->local.token))
		return -EIO;
	return 0;
}

static int tcp_open(struct tandem_connection *connection,
		    const struct tandem_connection_options *options, struct tandem_error *error)
{
	void *pointer = connection->pointer;
	struct tcp *tcp;
	int ret;

	if (options->streams > TCP_STREAMS_MAX || options->port > UINT16_MAX)
		return tandem_error_set(error, -EINVAL,
					"tcp: %u streams to port %u: there can be %u streams, and ports up to 65535",
					options->streams, options->port, TCP_STREAMS_MAX);
	tcp = calloc(1, sizeof(*tcp));
	if (!tcp)
		return tandem_error_set(error, -ENOMEM, "tcp: out of memory");
	tcp->connection = connection;
	tcp->loop = connection->loop;
	STAILQ_INIT(&tcp->notes);
	ret = tcp_prepare(tcp, options);
	if (ret < 0) {
		tandem_error_set(error, ret, "tcp: cannot prepare a connection: %s",
				 strerror(-ret));
		goto free_tcp;
	}
	if (connection->memory)
		ret = tandem_memory_map(connection->memory, &pointer);
	if (ret < 0) {
		tandem_error_set(error, ret, "tcp: cannot map device memory: %s",
				 strerror(-ret));
		goto free_tcp;
	}
	tcp->memory = pointer;
	tcp->memory_bytes = kv_layout_bytes(&connection->layout);
	ret = tcp_listen(tcp, options, error);
	if (ret < 0)
		goto free_tcp;
	connection->transport = tcp;
	return 0;

free_tcp:
	tcp_free(tcp);
	return ret;
}

static size_t tcp_describe(struct tandem_connection *connection, uint8_t *part)
{
	struct tcp *tcp = connection->transport;

	return tcp_endpoint_encode(&tcp->local, part);
}

/*
 * Connecting: what can be said at once is said; streams come up later, and
 * writes wait for them.
 */

static int tcp_connect(struct tandem_connection *connection,
		       const struct xfer_description *description, struct tandem_error *error)
{
	struct tcp *tcp = connection->transport;
	uint64_t block_bytes = tandem_kv_block_bytes(&connection->layout);
	struct tcp_endpoint remote;
	int ret;

	if (tcp_endpoint_decode(description->part, description->part_size, &remote) < 0)
		return tandem_error_set(error, -EPROTO,
					"tcp: the other side's description is malformed");
	if (tcp_token_equal(remote.token, tcp->local.token))
		return tandem_error_set(error, -EINVAL,
					"tcp: this description is the connection's own; give it the other side's");
	tcp->remote = remote;
	tcp->connected = true;
	tcp->dials = memcmp(tcp->local.token, remote.token, TCP_TOKEN_BYTES) < 0;
	if (remote.streams < tcp->stream_count)
		tcp->stream_count = remote.streams;
	connection->write_bytes = block_bytes > TCP_WRITE_BYTES ? block_bytes : TCP_WRITE_BYTES;
	connection->write_slots = 0;
	ret = tcp->dials ? tcp_dial(tcp) : tcp_answer(tcp);
	if (ret < 0) {
		connection_fail(connection, ret);
		return tandem_error_set(error, ret, "tcp: cannot reach the other side: %s",
					strerror(-ret));
	}
	return 0;
}

/*
 * Sending
 */

static int tcp_write(struct tandem_connection *connection, const struct xfer_write *write)
{
	struct tcp *tcp = connection->transport;
	struct tcp_write *slot = STAILQ_FIRST(&tcp->unused);

	STAILQ_REMOVE_HEAD(&tcp->unused, entry);
	slot->kind = write->pull ? TCP_FRAME_REQUESTS : TCP_FRAME_BLOCKS;
	slot->push = write->push;
	slot->bytes = tcp->memory + write->local_offset;
	slot->to.offset = write->remote_offset;
	slot->to.length = write->length;
	slot->to.transfer = write->pull ? slot - tcp->slots : write->transfer;
	slot->to.blocks = write->blocks;
	slot->to.generation = write->generation;
	if (write->pull) {
		STAILQ_INSERT_TAIL(&tcp->requests, slot, entry);
	} else {
		STAILQ_INSERT_TAIL(&tcp->queue, slot, entry);
		tcp->queue_bytes += write->length;
	}
	return 0;
}

int tcp_send(struct tcp *tcp)
{
	unsigned int i;
	int ret;

	for (i = 0; i < tcp->stream_count &&
		    !(STAILQ_EMPTY(&tcp->queue) && STAILQ_EMPTY(&tcp->requests) &&
		      STAILQ_EMPTY(&tcp->notes)); i++) {
		ret = tcp_stream_send(&tcp->streams[i]);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int tcp_flush(struct tandem_connection *connection)
{
	return tcp_send(connection->transport);
}

void tcp_stream_is_up(struct tcp *tcp)
{
	if (++tcp->streams_up < tcp->stream_count)
		return;
	tcp->connection->write_slots = TCP_SLOTS;
	connection_continue(tcp->connection);
	/* Notes may have waited, too. */
	if (!tcp->stopping && tcp_flush(tcp->connection) < 0)
		connection_fail(tcp->connection, -ENOMEM);
}

static int tcp_tell(struct tandem_connection *connection, const struct xfer_note *note)
{
	struct tcp *tcp = connection->transport;
	struct tcp_queued_note *queued;

	if (tcp->note_count >= TCP_NOTES_MAX)
		return -ENOBUFS;
	queued = calloc(1, sizeof(*queued));
	if (!queued)
		return -ENOMEM;
	queued->note = *note;
	STAILQ_INSERT_TAIL(&tcp->notes, queued, entry);
	tcp->note_count++;
	return 0;
}

static uint64_t tcp_repeats(struct tandem_connection *connection)
{
	struct tcp *tcp = connection->transport;
	uint64_t segments = 0;
	unsigned int i;

	for (i = 0; i < tcp->stream_count; i++) {
		struct tcp_info info = { 0 };
		socklen_t size = sizeof(info);

		if (tcp->streams[i].fd >= 0 && !getsockopt(tcp->streams[i].fd, IPPROTO_TCP, TCP_INFO,
							   &info, &size))
			segments += info.tcpi_total_retrans;
	}
	return segments;
}

/*
 * Ending
 */

static bool tcp_is_quiet(const struct tcp *tcp)
{
	unsigned int i;

	for (i = 0; i < tcp->local.streams; i++)
		if (tcp->streams[i].fd >= 0)
			return false;
	return true;
}

void tcp_stream_is_closed(struct tcp *tcp)
{
	if (!tcp_is_quiet(tcp))
		return;
	loop_timer_stop(tcp->drain_timer);
	tcp->drain_timer = NULL;
	connection_quiesced(tcp->connection);
}

static void tcp_drain_expired(void *user)
{
	struct tcp *tcp = user;
	unsigned int i;

	tcp->drain_timer = NULL;
	for (i = 0; i < tcp->local.streams; i++)
		tcp_stream_stop_waiting(&tcp->streams[i]);
}

static void tcp_abort(struct tandem_connection *connection)
{
	struct tcp *tcp = connection->transport;
	bool waits;
	unsigned int i;

	if (tcp->stopping)
		return;
	tcp->stopping = true;
	waits = loop_timer_start(tcp->loop, DRAIN_MS, tcp_drain_expired, tcp,
				 &tcp->drain_timer) == 0;
	for (i = 0; i < tcp->local.streams; i++) {
		tcp_stream_stop(&tcp->streams[i]);
		if (!waits)
			tcp_stream_stop_waiting(&tcp->streams[i]);
	}
	/* Where no stream had a socket, none has told. */
	tcp_stream_is_closed(tcp);
}

/* Does the other side have yet to be told that its blocks have arrived? */
static bool tcp_owes(const struct tcp *tcp)
{
	unsigned int i;

	for (i = 0; i < tcp->stream_count; i++)
		if (tcp->streams[i].state == TCP_STREAM_UP &&
		    (tcp->streams[i].acknowledge || tcp->streams[i].sending) &&
		    STAILQ_EMPTY(&tcp->streams[i].sent))
			return true;
	return false;
}

static void tcp_note_expiry(void *user)
{
	*(bool *)user = true;
}

/* Run the loop. Return: can that be done at all? Not from within a callback. */
static bool tcp_run_loop(struct tcp *tcp)
{
	int ret = tandem_loop_run(tcp->loop, -1);

	return ret >= 0 || ret == -EINTR;
}

static void tcp_settle(struct tcp *tcp)
{
	struct loop_timer *timer;
	bool expired = false;

	if (!tcp_owes(tcp) ||
	    loop_timer_start(tcp->loop, DRAIN_MS, tcp_note_expiry, &expired, &timer) < 0)
		return;
	while (!expired && tcp_owes(tcp) && tcp_run_loop(tcp))
		;
	if (!expired)
		loop_timer_stop(timer);
}

static void tcp_close(struct tandem_connection *connection)
{
	struct tcp *tcp = connection->transport;
	unsigned int i;

	tcp_unlisten(tcp);
	tcp_settle(tcp);
	tcp_abort(connection);
	/* No block has ever travelled on one that was not connected: nothing to wait for. */
	while (tcp->connected && (!tcp_is_quiet(tcp) || tcp_has_requests(tcp)) &&
	       tcp_run_loop(tcp))
		;
	/* From within a callback the loop cannot be run: then without waiting. */
	loop_timer_stop(tcp->drain_timer);
	for (i = 0; i < tcp->local.streams; i++)
		tcp_stream_kill(&tcp->streams[i]);
	tcp->connection = NULL;
	tcp_put(tcp);
}

const struct xfer_transport_ops xfer_tcp_ops = {
	.open = tcp_open,
	.describe = tcp_describe,
	.reach = tcp_reach,
	.connect = tcp_connect,
	.reads = true,
	.write = tcp_write,
	.flush = tcp_flush,
	.tell = tcp_tell,
	.repeats = tcp_repeats,
	.abort = tcp_abort,
	.close = tcp_close,
};
