// SPDX-License-Identifier: MIT
/*
 * Peers: from an authenticated channel to a connection, and again.
 *
 *	peer_message.c		what is said
 *	peer_channel.c		the channel that it is said over
 *	peer_queue.c		what the other side has granted or offered
 *	peer.c			opening, being lost, granting and offering
 *
 * Each side opens a connection when the channel is up, and describes it in its
 * hello. With both hellos there, each connects and says that it is ready. A hello that
 * comes later says that the other side has begun anew, and that the connection
 * that was there is lost. A channel whose opening did not succeed is dropped, so
 * hellos of different openings are never taken for a pair.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/version.h>

#include "error.h"
#include "peer_channel.h"
#include "peer_message.h"
#include "peer_queue.h"
#include "xfer.h"

#define TIMEOUT_MS_DEFAULT 30000u
/* Between two calls where nobody answers. */
#define CALL_AGAIN_MS 100u
/* An old channel has this part of the time to answer before another is made. */
#define OLD_CHANNEL_PART 4u
/* Of what peers say, the first version that has offers. */
#define VERSION_OFFERS 2u

enum peer_state {
	PEER_CLOSED,
	PEER_OPENING,
	PEER_OPEN,
	PEER_LOST, /* the connection has been made to fail */
};

/**
 * struct tandem_peer - the other side, and what joins this one with it
 * @loop: where everything of it happens
 * @pool: this side's
 * @options: with strings of its own
 * @call: whom to call, with strings of its own; @calls says whether that counts
 * @calls: this side calls
 * @state: see there
 * @channel: or NULL
 * @references: the application's, and one for each channel whose memory is in use
 * @connection: or NULL
 * @op: of the opening, or NULL
 * @error: where its caller wants to read why it failed
 * @deadline: of the opening
 * @again: calls (again); or NULL
 * @hello: of the other side, not used yet; @hello_size 0 for none
 * @hello_size: its bytes
 * @connected: the other side's hello has been taken in
 * @remote_ready: the other side has said so
 * @version: of what is said, the highest that both sides speak; valid once @connected
 * @grants: that have come
 * @offers: likewise
 *
 * Belongs to the loop's thread; no lock.
 */
struct tandem_peer {
	struct tandem_loop *loop;
	struct tandem_kv_pool *pool;
	struct tandem_peer_options options;
	struct tandem_channel_options call;
	bool calls;
	enum peer_state state;
	struct peer_channel *channel;
	unsigned int references;
	struct tandem_connection *connection;
	struct tandem_operation *op;
	struct tandem_error *error;
	struct loop_timer *deadline;
	struct loop_timer *again;
	uint8_t hello[PEER_MESSAGE_MAX];
	size_t hello_size;
	bool connected;
	bool remote_ready;
	uint32_t version;
	struct peer_queue grants;
	struct peer_queue offers;
};

static const struct peer_channel_calls channel_calls;

/*
 * Letting go
 */

static void peer_drop_channel(struct tandem_peer *peer)
{
	peer_channel_drop(peer->channel);
	peer->channel = NULL;
	peer->hello_size = 0;
}

static void peer_drop_connection(struct tandem_peer *peer)
{
	struct tandem_connection *connection = peer->connection;

	/* Closing may run the loop. */
	peer->connection = NULL;
	peer->connected = false;
	peer->remote_ready = false;
	tandem_connection_close(connection);
}

static void peer_end_waits(struct tandem_peer *peer, int result)
{
	peer_queue_end_wait(&peer->grants, result);
	peer_queue_end_wait(&peer->offers, result);
}

static void peer_drop_queued(struct tandem_peer *peer)
{
	peer_queue_drop(&peer->grants);
	peer_queue_drop(&peer->offers);
}

/* Nothing more is taken in until the application asks for what is there. */
static bool peer_is_full(const struct tandem_peer *peer)
{
	return peer_queue_is_full(&peer->grants) || peer_queue_is_full(&peer->offers);
}

/*
 * Opening
 */

static void peer_end_opening(struct tandem_peer *peer, int result)
{
	struct tandem_operation *op = peer->op;

	loop_timer_stop(peer->deadline);
	loop_timer_stop(peer->again);
	peer->deadline = NULL;
	peer->again = NULL;
	peer->op = NULL;
	peer->error = NULL;
	peer->state = result ? PEER_CLOSED : PEER_OPEN;
	operation_post(peer->loop, op, result);
}

/* peer->error has been filled in. */
static void peer_fail_opening(struct tandem_peer *peer, int code)
{
	peer_end_opening(peer, code);
	peer_drop_channel(peer);
	peer_drop_connection(peer);
}

/* The other side is to know why. */
static void peer_refuse(struct tandem_peer *peer, int code, const struct tandem_error *why)
{
	struct peer_refusal refusal = { .code = -code };
	struct peer_channel *channel = peer->channel;
	uint8_t bytes[PEER_MESSAGE_MAX];

	snprintf(refusal.text, sizeof(refusal.text), "%.*s", (int)PEER_TEXT_MAX, why->message);
	tandem_error_set(peer->error, code, "%s", why->message);
	if (!peer_channel_send(channel, bytes, peer_refusal_encode(&refusal, bytes))) {
		peer->channel = NULL;
		peer->hello_size = 0;
		peer_channel_linger(channel);
	}
	peer_fail_opening(peer, code);
}

static void peer_check_open(struct tandem_peer *peer)
{
	if (peer->state == PEER_OPENING && peer->connected && peer->remote_ready)
		peer_end_opening(peer, 0);
}

static int hello_check(const struct tandem_peer *peer, const struct peer_hello *hello,
		       struct tandem_error *error)
{
	if (hello->version_lowest > PEER_VERSION_HIGHEST ||
	    hello->version_highest < PEER_VERSION_LOWEST)
		return tandem_error_set(
			error, -EPROTO,
			"peer: one side speaks versions %u to %u (library %u.%u.%u), the other %u to %u (library %u.%u.%u); use releases that have one in common",
			PEER_VERSION_LOWEST, PEER_VERSION_HIGHEST, TANDEM_VERSION_MAJOR,
			TANDEM_VERSION_MINOR, TANDEM_VERSION_PATCH, hello->version_lowest,
			hello->version_highest, hello->library >> 16, hello->library >> 8 & 0xff,
			hello->library & 0xff);
	if (hello->grants != !!peer->options.connection.grants)
		return tandem_error_set(
			error, -EINVAL,
			"peer: one side's connection has grants and the other's has not; give both the same");
	return 0;
}

/* Both hellos are there. */
static void peer_connect(struct tandem_peer *peer)
{
	struct tandem_error error = { 0 };
	uint8_t bytes[PEER_MESSAGE_MAX];
	struct peer_hello hello;
	int ret;

	ret = peer_hello_decode(peer->hello, peer->hello_size, &hello);
	if (ret < 0)
		tandem_error_set(&error, ret, "peer: the other side's hello is malformed");
	if (!ret)
		ret = hello_check(peer, &hello, &error);
	if (!ret)
		ret = tandem_connection_connect(peer->connection, hello.description, hello.size,
						&error);
	if (ret < 0) {
		peer_refuse(peer, ret, &error);
		return;
	}
	/* If it is an old channel, it has answered. */
	loop_timer_stop(peer->again);
	peer->again = NULL;
	peer->hello_size = 0;
	peer->version = hello.version_highest < PEER_VERSION_HIGHEST ? hello.version_highest :
								       PEER_VERSION_HIGHEST;
	peer->connected = true;
	/* If that fails, the channel has, and tells. */
	peer_channel_send(peer->channel, bytes, peer_ready_encode(bytes));
	peer_check_open(peer);
}

/* The channel is up: there is somebody whom this side may tell. */
static void peer_say_hello(struct tandem_peer *peer)
{
	struct peer_hello hello = {
		.version_lowest = PEER_VERSION_LOWEST,
		.version_highest = PEER_VERSION_HIGHEST,
		.library = TANDEM_VERSION_MAJOR << 16 | TANDEM_VERSION_MINOR << 8 |
			   TANDEM_VERSION_PATCH,
		.grants = !!peer->options.connection.grants,
	};
	uint8_t description[TANDEM_DESCRIPTION_MAX];
	uint8_t bytes[PEER_MESSAGE_MAX];
	struct tandem_error error = { 0 };
	int ret;

	ret = tandem_connection_open(peer->loop, peer->pool, &peer->options.connection,
				     &peer->connection, &error);
	if (ret < 0) {
		peer_refuse(peer, ret, &error);
		return;
	}
	ret = tandem_connection_describe(peer->connection, description, sizeof(description));
	if (ret < 0) {
		tandem_error_set(&error, ret, "peer: cannot describe the connection: %s",
				 strerror(-ret));
		peer_refuse(peer, ret, &error);
		return;
	}
	hello.size = ret;
	hello.description = description;
	peer_channel_send(peer->channel, bytes, peer_hello_encode(&hello, bytes));
	if (peer->hello_size)
		peer_connect(peer);
}

/*
 * Calling
 */

static void peer_call(void *user);

static void peer_call_in(struct tandem_peer *peer, unsigned int milliseconds)
{
	int ret;

	loop_timer_stop(peer->again);
	peer->again = NULL;
	ret = loop_timer_start(peer->loop, milliseconds, peer_call, peer, &peer->again);
	if (ret < 0) {
		tandem_error_set(peer->error, ret, "peer: out of memory");
		peer_fail_opening(peer, ret);
	}
}

/* May it be different in a moment? */
static bool is_passing(int code)
{
	switch (code) {
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
	case -ENETDOWN:
	case -ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

/* A call has not led to anything. */
static void peer_call_failed(struct tandem_peer *peer, int code, const struct tandem_error *error)
{
	peer_drop_channel(peer);
	peer_drop_connection(peer);
	if (!peer->op)
		return;
	tandem_error_set(peer->error, code, "%s",
			 error && *error->message ? error->message : strerror(-code));
	if (peer->calls && is_passing(code))
		peer_call_in(peer, CALL_AGAIN_MS);
	else
		peer_fail_opening(peer, code);
}

static void peer_call(void *user)
{
	struct tandem_peer *peer = user;
	struct tandem_error error = { 0 };
	int ret;

	peer->again = NULL;
	/* One that is there has had its time. */
	peer_drop_channel(peer);
	peer_drop_connection(peer);
	if (!peer->op)
		return;
	ret = peer_channel_call(peer->loop, &peer->call, &channel_calls, peer, &peer->channel,
				&error);
	if (ret < 0)
		peer_call_failed(peer, ret, &error);
	else
		peer->references++;
}

static void peer_deadline(void *user)
{
	struct tandem_peer *peer = user;

	peer->deadline = NULL;
	if (peer->channel && peer->connection)
		tandem_error_set(peer->error, -ETIMEDOUT, "peer: %s has not opened its side in time",
				 peer_channel_name(peer->channel));
	else if (!peer->error || !*peer->error->message)
		tandem_error_set(peer->error, -ETIMEDOUT, "peer: nobody has answered in time");
	if (peer->error)
		peer->error->code = -ETIMEDOUT;
	peer_fail_opening(peer, -ETIMEDOUT);
}

/*
 * What the other side says
 */

static void peer_lose(struct tandem_peer *peer, int code)
{
	if (peer->state != PEER_OPEN)
		return;
	peer->state = PEER_LOST;
	connection_fail(peer->connection, -ECONNRESET);
	peer_end_waits(peer, code);
	if (peer->options.lost)
		peer->options.lost(peer, code, peer->options.user);
}

/* The other side does not keep to what was agreed. */
static void peer_breach(struct tandem_peer *peer)
{
	peer_drop_channel(peer);
	if (peer->state == PEER_OPENING) {
		tandem_error_set(peer->error, -EPROTO,
				 "peer: the other side has broken the protocol");
		peer_fail_opening(peer, -EPROTO);
	} else {
		peer_lose(peer, -EPROTO);
	}
}

static void peer_got_hello(struct tandem_peer *peer, const uint8_t *bytes, size_t size)
{
	if (peer->hello_size || size > sizeof(peer->hello) ||
	    (peer->state == PEER_OPENING && peer->connected)) {
		peer_breach(peer);
		return;
	}
	memcpy(peer->hello, bytes, size);
	peer->hello_size = size;
	if (peer->state == PEER_OPENING) {
		if (peer->connection)
			peer_connect(peer);
		return;
	}
	peer_lose(peer, -ECONNRESET);
}

static void peer_got_ready(struct tandem_peer *peer, const uint8_t *bytes, size_t size)
{
	/* Before the hello of this opening: of the one before. */
	if (peer->state != PEER_OPEN && !peer->connected)
		return;
	if (peer->state != PEER_OPENING || peer->remote_ready || peer_ready_decode(bytes, size) < 0) {
		peer_breach(peer);
		return;
	}
	peer->remote_ready = true;
	peer_check_open(peer);
}

static void peer_got_refusal(struct tandem_peer *peer, const uint8_t *bytes, size_t size)
{
	struct peer_refusal refusal;

	if (peer_refusal_decode(bytes, size, &refusal) < 0) {
		peer_breach(peer);
		return;
	}
	if (peer->state == PEER_OPENING) {
		tandem_error_set(peer->error, -ECONNREFUSED, "peer: %s refuses: %s",
				 peer_channel_name(peer->channel),
				 *refusal.text ? refusal.text : strerror(refusal.code));
		peer_fail_opening(peer, -ECONNREFUSED);
		return;
	}
	peer_drop_channel(peer);
	peer_lose(peer, -ECONNRESET);
}

static void peer_got_blocks(struct tandem_peer *peer, struct peer_queue *queue,
			    const uint8_t *bytes, size_t size)
{
	struct tandem_grant *grant = NULL;

	/* Of a connection that is no more. */
	if (!peer->connected || peer->state == PEER_LOST)
		return;
	if (!peer->remote_ready ||
	    peer_grant_decode(bytes, size, &peer->connection->remote_layout,
			      peer->options.connection.grants, &grant) < 0 ||
	    peer_queue_add(queue, grant) < 0) {
		tandem_grant_free(grant);
		peer_breach(peer);
	}
}

static int channel_message(void *user, const uint8_t *bytes, size_t size)
{
	struct tandem_peer *peer = user;

	switch (peer_message_type(bytes, size)) {
	case PEER_HELLO:
		peer_got_hello(peer, bytes, size);
		break;
	case PEER_READY:
		peer_got_ready(peer, bytes, size);
		break;
	case PEER_REFUSAL:
		peer_got_refusal(peer, bytes, size);
		break;
	case PEER_GRANT:
		peer_got_blocks(peer, &peer->grants, bytes, size);
		break;
	case PEER_OFFER:
		peer_got_blocks(peer, &peer->offers, bytes, size);
		break;
	default:
		peer_breach(peer);
		break;
	}
	return peer_is_full(peer);
}

static void channel_up(void *user)
{
	peer_say_hello(user);
}

static void channel_ended(void *user, int code, const struct tandem_error *error)
{
	struct tandem_peer *peer = user;

	if (peer->state == PEER_OPENING) {
		peer_call_failed(peer, code, error);
		return;
	}
	peer_drop_channel(peer);
	peer_lose(peer, code);
}

static void peer_free(struct tandem_peer *peer)
{
	free((char *)peer->options.connection.rdma_device);
	free((char *)peer->options.connection.address);
	free((char *)peer->call.address);
	free((char *)peer->call.certificate);
	free((char *)peer->call.key);
	free((char *)peer->call.authorities);
	free((char *)peer->call.peer_name);
	free(peer);
}

static void peer_put(struct tandem_peer *peer)
{
	if (!--peer->references)
		peer_free(peer);
}

static void channel_gone(void *user)
{
	peer_put(user);
}

static const struct peer_channel_calls channel_calls = {
	.up = channel_up,
	.message = channel_message,
	.ended = channel_ended,
	.gone = channel_gone,
};

/*
 * The application's calls
 */

/* NULL stays NULL. Return: 0 or -ENOMEM. */
static int copy_string(const char **string)
{
	if (!*string)
		return 0;
	*string = strdup(*string);
	return *string ? 0 : -ENOMEM;
}

/* Those that come after one that fails are NULL. */
static int peer_copy_strings(struct tandem_peer *peer)
{
	const char **strings[] = {
		&peer->options.connection.rdma_device,
		&peer->options.connection.address,
		&peer->call.address,
		&peer->call.certificate,
		&peer->call.key,
		&peer->call.authorities,
		&peer->call.peer_name,
	};
	int ret = 0;
	size_t i;

	for (i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		if (ret)
			*strings[i] = NULL;
		else
			ret = copy_string(strings[i]);
	}
	return ret;
}

int tandem_peer_create(struct tandem_loop *loop, struct tandem_kv_pool *pool,
		       const struct tandem_peer_options *options, struct tandem_peer **peer,
		       struct tandem_error *error)
{
	struct tandem_peer *new = calloc(1, sizeof(*new));

	if (!new)
		return tandem_error_set(error, -ENOMEM, "peer: out of memory");
	new->loop = loop;
	new->pool = pool;
	new->options = *options;
	new->references = 1;
	new->calls = options->call;
	if (options->call)
		new->call = *options->call;
	if (!new->options.timeout_ms)
		new->options.timeout_ms = TIMEOUT_MS_DEFAULT;
	peer_queue_init(&new->grants, loop);
	peer_queue_init(&new->offers, loop);
	if (peer_copy_strings(new) < 0) {
		peer_free(new);
		return tandem_error_set(error, -ENOMEM, "peer: out of memory");
	}
	*peer = new;
	return 0;
}

static int open_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	(void)loop;
	peer_fail_opening(operation_data(op), -ECANCELED);
	return 0;
}

static int open_check(const struct tandem_peer *peer, const struct tandem_channel *channel,
		      const struct tandem_operation *op, struct tandem_error *error)
{
	if (peer->state == PEER_OPENING)
		return tandem_error_set(error, -EBUSY, "peer: it is being opened already");
	if (!operation_may_begin(op))
		return tandem_error_set(error, -EINVAL, "peer: the operation is pending");
	if (peer->calls && channel)
		return tandem_error_set(error, -EINVAL,
					"peer: this side calls, so it takes no channel");
	if (!peer->calls && !channel && !peer->channel)
		return tandem_error_set(
			error, -ENOTCONN,
			"peer: there is no channel; accept one, and give it to the peer");
	return 0;
}

/* Begin with an operation that has begun. What goes wrong is told through that. */
static void peer_open(struct tandem_peer *peer)
{
	if (!peer->channel) {
		peer_call(peer);
		return;
	}
	if (peer->calls)
		peer_call_in(peer, peer->options.timeout_ms / OLD_CHANNEL_PART);
	if (peer->op)
		peer_say_hello(peer);
}

int tandem_peer_open_start(struct tandem_peer *peer, struct tandem_channel *channel,
			   struct tandem_operation *op, struct tandem_error *error)
{
	struct peer_channel *taken = NULL;
	int ret;

	ret = open_check(peer, channel, op, error);
	if (ret < 0)
		return ret;
	peer->state = PEER_CLOSED;
	peer_end_waits(peer, -ECANCELED);
	peer_drop_queued(peer);
	peer_drop_connection(peer);
	/* That may have run the loop, and callbacks of the application's. */
	ret = open_check(peer, channel, op, error);
	if (ret < 0)
		return ret;
	ret = loop_timer_start(peer->loop, peer->options.timeout_ms, peer_deadline, peer,
			       &peer->deadline);
	if (!ret && channel)
		ret = peer_channel_take(peer->loop, channel, &channel_calls, peer, &taken);
	if (!ret)
		ret = operation_begin(op, open_cancel, peer);
	if (ret < 0) {
		loop_timer_stop(peer->deadline);
		peer->deadline = NULL;
		return tandem_error_set(error, ret, "peer: cannot open: %s", strerror(-ret));
	}
	if (taken) {
		peer->references++;
		peer_drop_channel(peer);
		peer->channel = taken;
	}
	if (error)
		memset(error, 0, sizeof(*error));
	peer->op = op;
	peer->error = error;
	peer->state = PEER_OPENING;
	if (peer->channel)
		peer_channel_resume(peer->channel);
	if (peer->op)
		peer_open(peer);
	return 0;
}

struct tandem_connection *tandem_peer_connection(struct tandem_peer *peer)
{
	return peer->state == PEER_OPEN || peer->state == PEER_LOST ? peer->connection : NULL;
}

const char *tandem_peer_name(const struct tandem_peer *peer)
{
	return peer->channel ? peer_channel_name(peer->channel) : "";
}

static int peer_receive(struct tandem_peer *peer, struct tandem_receive *receive,
			struct tandem_operation *op)
{
	const struct tandem_kv_layout *layout = tandem_kv_pool_layout(peer->pool);
	uint64_t blocks = (uint64_t)receive->layer_count * receive->block_count;
	uint32_t i;

	if (peer->options.connection.grants)
		return tandem_receive_start(peer->connection, receive, op);
	receive->generation = 0;
	if (receive->layer_first >= layout->layers ||
	    receive->layer_count > layout->layers - receive->layer_first)
		return -EINVAL;
	for (i = 0; i < receive->block_count; i++)
		if (receive->blocks[i] >= layout->blocks)
			return -EINVAL;
	return tandem_expect_start(peer->connection, receive->transfer, blocks, receive->timeout_ms,
				   op);
}

/* Tell the other side, by way of @bytes, which has room for it. */
static void peer_tell_blocks(struct tandem_peer *peer, enum peer_message_type type,
			     const struct tandem_receive *blocks, uint64_t generation,
			     uint8_t *bytes)
{
	peer_grant_encode(type, blocks, generation, bytes);
	/* Nobody would ever use it: the operation is to end, with the connection. */
	if (peer_channel_send(peer->channel, bytes, peer_grant_size(blocks->block_count)) < 0)
		connection_fail(peer->connection, -ECONNRESET);
}

int tandem_peer_receive_start(struct tandem_peer *peer, struct tandem_receive *receive,
			      struct tandem_operation *op)
{
	uint8_t *bytes;
	int ret;

	if (peer->state != PEER_OPEN)
		return -ENOTCONN;
	if (receive->block_count > TANDEM_PEER_BLOCKS_MAX)
		return -E2BIG;
	bytes = malloc(peer_grant_size(receive->block_count));
	if (!bytes)
		return -ENOMEM;
	ret = peer_receive(peer, receive, op);
	if (!ret)
		peer_tell_blocks(peer, PEER_GRANT, receive, receive->generation, bytes);
	free(bytes);
	return ret;
}

int tandem_peer_offer_start(struct tandem_peer *peer, struct tandem_offer *offer,
			    struct tandem_operation *op)
{
	const struct tandem_receive blocks = xfer_offer_blocks(offer);
	uint8_t *bytes;
	int ret;

	if (peer->state != PEER_OPEN)
		return -ENOTCONN;
	if (peer->version < VERSION_OFFERS)
		return -EOPNOTSUPP;
	if (offer->block_count > TANDEM_PEER_BLOCKS_MAX)
		return -E2BIG;
	bytes = malloc(peer_grant_size(offer->block_count));
	if (!bytes)
		return -ENOMEM;
	ret = tandem_offer_start(peer->connection, offer, op);
	if (!ret)
		peer_tell_blocks(peer, PEER_OFFER, &blocks, offer->generation, bytes);
	free(bytes);
	return ret;
}

/* Wait for the next one in @queue, which may have been what held up the other side. */
static int peer_wait(struct tandem_peer *peer, struct peer_queue *queue,
		     struct tandem_grant **grant, struct tandem_operation *op)
{
	int ret;

	if (peer->state != PEER_OPEN)
		return -ENOTCONN;
	ret = peer_queue_wait(queue, grant, op);
	if (ret < 0)
		return ret;
	if (!peer_is_full(peer))
		peer_channel_resume(peer->channel);
	return 0;
}

int tandem_peer_grant_start(struct tandem_peer *peer, struct tandem_grant **grant,
			    struct tandem_operation *op)
{
	return peer_wait(peer, &peer->grants, grant, op);
}

int tandem_peer_offered_start(struct tandem_peer *peer, struct tandem_grant **offered,
			      struct tandem_operation *op)
{
	return peer_wait(peer, &peer->offers, offered, op);
}

void tandem_peer_close(struct tandem_peer *peer)
{
	int ret = 0;

	if (!peer)
		return;
	if (peer->op)
		peer_fail_opening(peer, -ECANCELED);
	peer->state = PEER_CLOSED;
	peer->options.lost = NULL;
	peer_end_waits(peer, -ECANCELED);
	peer_drop_connection(peer);
	peer_drop_channel(peer);
	peer_drop_queued(peer);
	/* Their operations have ended, and have yet to be told of. */
	while (peer->references > 1 && (ret >= 0 || ret == -EINTR))
		ret = tandem_loop_run(peer->loop, -1);
	peer_put(peer);
}
