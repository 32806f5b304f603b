// SPDX-License-Identifier: MIT
/*
 * Channels: messages over TLS.
 *
 * A message is its length in four bytes, the lowest first, and its bytes. The
 * first of each side is a greeting with the version. It also tells the side that
 * connects that its certificate was accepted, which TLS 1.3 alone does not.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"
#include "error.h"
#include "socket.h"

#define NSEC_PER_MSEC	1000000ull
#define HEAD_BYTES	4u
#define GREETING	"TNDCHAN\1"
#define GREETING_BYTES	8u

enum channel_state {
	CHANNEL_CONNECTING,	/* the socket is */
	CHANNEL_HANDSHAKE,	/* TLS is */
	CHANNEL_GREETING,	/* until the other side's has come */
	CHANNEL_UP,
	CHANNEL_DEAD,
};

/**
 * struct channel_message - a message to send
 * @entry: in &tandem_channel.out
 * @op: the application's; NULL for none
 * @deadline_ns: CLOCK_MONOTONIC
 * @size: of @bytes
 * @done: of these, sent
 * @bytes: head and message
 */
struct channel_message {
	STAILQ_ENTRY(channel_message) entry;
	struct tandem_operation *op;
	uint64_t deadline_ns;
	size_t size;
	size_t done;
	uint8_t bytes[];
};

/**
 * struct tandem_channel - a channel
 * @loop: where everything of it happens
 * @tls: over @fd
 * @fd: the socket, or -1
 * @poll: the loop's watch of it
 * @state: see there
 * @failure: why it is dead
 * @reason: the same in words
 * @peer: name of the other side
 * @start: who is told; @ended NULL once that was done
 * @timeout_ms: see &struct tandem_channel_options
 * @timer: for the start, or for the message that is being sent
 * @task: looks after the channel soon
 * @out: what is to be sent
 * @receive: who waits for a message, or NULL
 * @receive_buffer: where it wants it
 * @receive_capacity: bytes of that
 * @receive_timer: how long it wants to wait
 * @in_size: bytes of @in that are there
 * @in: head and message that are being received
 *
 * Belongs to the loop's thread; no lock.
 */
struct tandem_channel {
	struct tandem_loop *loop;
	struct tls *tls;
	int fd;
	struct loop_poll *poll;
	enum channel_state state;
	int failure;
	char reason[192];
	char peer[256];
	struct channel_start start;
	unsigned int timeout_ms;
	struct loop_timer *timer;
	struct loop_task task;
	STAILQ_HEAD(, channel_message) out;
	struct tandem_operation *receive;
	void *receive_buffer;
	size_t receive_capacity;
	struct loop_timer *receive_timer;
	size_t in_size;
	uint8_t in[HEAD_BYTES + TANDEM_CHANNEL_MESSAGE_MAX];
};

static uint32_t get_length(const uint8_t *head)
{
	return head[0] | head[1] << 8 | head[2] << 16 | (uint32_t)head[3] << 24;
}

/*
 * Ending
 */

static void message_end(struct tandem_channel *channel, struct channel_message *message,
			int result)
{
	STAILQ_REMOVE(&channel->out, message, channel_message, entry);
	if (message->op)
		operation_post(channel->loop, message->op, result);
	free(message);
}

static void receive_end(struct tandem_channel *channel, int result)
{
	struct tandem_operation *op = channel->receive;

	loop_timer_stop(channel->receive_timer);
	channel->receive_timer = NULL;
	channel->receive = NULL;
	operation_post(channel->loop, op, result);
}

static void channel_started(struct tandem_channel *channel, int result)
{
	struct channel_start start = channel->start;

	channel->start.ended = NULL;
	if (start.ended)
		start.ended(channel, result, start.user);
}

/* The channel may be gone on return. */
static void channel_fail(struct tandem_channel *channel, int code)
{
	if (channel->state == CHANNEL_DEAD)
		return;
	channel->state = CHANNEL_DEAD;
	channel->failure = code;
	snprintf(channel->reason, sizeof(channel->reason), "%s", tls_reason(channel->tls));
	loop_task_cancel(channel->loop, &channel->task);
	loop_timer_stop(channel->timer);
	channel->timer = NULL;
	loop_poll_stop(channel->poll);
	channel->poll = NULL;
	tls_shutdown(channel->tls);
	tls_destroy(channel->tls);
	channel->tls = NULL;
	close(channel->fd);
	channel->fd = -1;
	while (!STAILQ_EMPTY(&channel->out))
		message_end(channel, STAILQ_FIRST(&channel->out), code);
	if (channel->receive)
		receive_end(channel, code);
	channel_started(channel, code);
}

const char *channel_reason(const struct tandem_channel *channel)
{
	return channel->reason;
}

void tandem_channel_close(struct tandem_channel *channel)
{
	if (!channel)
		return;
	channel_fail(channel, -ECANCELED);
	free(channel);
}

/*
 * Sending
 */

static void channel_timeout(void *user)
{
	struct tandem_channel *channel = user;

	channel->timer = NULL;
	channel_fail(channel, -ETIMEDOUT);
}

/* A message at the front has until its deadline to be gone. */
static int watch_message(struct tandem_channel *channel)
{
	const struct channel_message *first = STAILQ_FIRST(&channel->out);
	uint64_t now = loop_now_ns();
	uint64_t left = 0;

	if (channel->state != CHANNEL_UP)
		return 0;
	loop_timer_stop(channel->timer);
	channel->timer = NULL;
	if (!first)
		return 0;
	if (first->deadline_ns > now)
		left = (first->deadline_ns - now) / NSEC_PER_MSEC + 1;
	return loop_timer_start(channel->loop, left, channel_timeout, channel, &channel->timer);
}

static struct channel_message *message_create(struct tandem_channel *channel,
					      const void *bytes, size_t size,
					      struct tandem_operation *op)
{
	struct channel_message *new = malloc(sizeof(*new) + HEAD_BYTES + size);

	if (!new)
		return NULL;
	new->op = op;
	new->deadline_ns = loop_now_ns() + channel->timeout_ms * NSEC_PER_MSEC;
	new->size = HEAD_BYTES + size;
	new->done = 0;
	new->bytes[0] = size;
	new->bytes[1] = size >> 8;
	new->bytes[2] = size >> 16;
	new->bytes[3] = size >> 24;
	memcpy(new->bytes + HEAD_BYTES, bytes, size);
	return new;
}

/* Send what the socket takes. Return: 0, or why the channel fails. */
static int channel_send(struct tandem_channel *channel)
{
	struct channel_message *message;
	bool moved = false;
	int ret;

	while ((message = STAILQ_FIRST(&channel->out))) {
		ret = tls_write(channel->tls, message->bytes + message->done,
				message->size - message->done);
		if (ret == -EAGAIN)
			break;
		if (ret <= 0)
			return ret ? ret : -ECONNRESET;
		message->done += ret;
		if (message->done < message->size)
			continue;
		message_end(channel, message, 0);
		moved = true;
	}
	return moved ? watch_message(channel) : 0;
}

/*
 * Receiving
 */

/* Return: 1 when the message in @channel->in is whole, 0 when not yet, or an errno. */
static int channel_receive(struct tandem_channel *channel)
{
	size_t wanted;
	int ret;

	for (;;) {
		wanted = HEAD_BYTES;
		if (channel->in_size >= HEAD_BYTES) {
			wanted += get_length(channel->in);
			if (wanted == HEAD_BYTES || wanted > sizeof(channel->in))
				return -EPROTO;
			if (channel->in_size == wanted)
				return 1;
		}
		ret = tls_read(channel->tls, channel->in + channel->in_size,
			       wanted - channel->in_size);
		if (ret == -EAGAIN)
			return 0;
		if (ret <= 0)
			return ret ? ret : -ECONNRESET;
		channel->in_size += ret;
	}
}

static void channel_deliver(struct tandem_channel *channel)
{
	size_t size = channel->in_size - HEAD_BYTES;

	if (size > channel->receive_capacity) {
		receive_end(channel, -EMSGSIZE);
		return;
	}
	memcpy(channel->receive_buffer, channel->in + HEAD_BYTES, size);
	channel->in_size = 0;
	receive_end(channel, (int)size);
}

/*
 * The course of things
 */

static int channel_connected(struct tandem_channel *channel)
{
	socklen_t size = sizeof(int);
	int code = 0;
	struct sockaddr_storage peer;
	socklen_t peer_size = sizeof(peer);

	if (getsockopt(channel->fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0)
		return -errno;
	if (code)
		return -code;
	if (getpeername(channel->fd, (struct sockaddr *)&peer, &peer_size) < 0)
		return errno == ENOTCONN ? -EAGAIN : -errno;
	channel->state = CHANNEL_HANDSHAKE;
	return 0;
}

static int channel_shake_hands(struct tandem_channel *channel)
{
	struct channel_message *greeting;
	int ret;

	ret = tls_handshake(channel->tls);
	if (ret <= 0)
		return ret ? ret : -ECONNRESET;
	tls_peer_name(channel->tls, channel->peer, sizeof(channel->peer));
	greeting = message_create(channel, GREETING, GREETING_BYTES, NULL);
	if (!greeting)
		return -ENOMEM;
	STAILQ_INSERT_HEAD(&channel->out, greeting, entry);
	channel->state = CHANNEL_GREETING;
	return 0;
}

static int channel_take_greeting(struct tandem_channel *channel)
{
	int ret = channel_receive(channel);

	if (ret <= 0)
		return ret ? ret : -EAGAIN;
	if (channel->in_size != HEAD_BYTES + GREETING_BYTES ||
	    memcmp(channel->in + HEAD_BYTES, GREETING, GREETING_BYTES))
		return -EPROTO;
	channel->in_size = 0;
	channel->state = CHANNEL_UP;
	return 0;
}

/* Return: 0; -EAGAIN when there is nothing to do for now; or why it fails. */
static int channel_step(struct tandem_channel *channel)
{
	int ret;

	switch (channel->state) {
	case CHANNEL_CONNECTING:
		return channel_connected(channel);
	case CHANNEL_HANDSHAKE:
		return channel_shake_hands(channel);
	case CHANNEL_GREETING:
		ret = channel_send(channel);
		return ret ? ret : channel_take_greeting(channel);
	case CHANNEL_UP:
		ret = channel_send(channel);
		if (ret < 0 || !channel->receive)
			return ret ? ret : -EAGAIN;
		ret = channel_receive(channel);
		if (ret > 0)
			channel_deliver(channel);
		return ret < 0 ? ret : -EAGAIN;
	default:
		return -EAGAIN;
	}
}

/* The channel may be gone on return. */
static void channel_go_on(struct tandem_channel *channel)
{
	int ret;

	do {
		ret = channel_step(channel);
	} while (!ret && channel->state != CHANNEL_UP);
	if (ret == -EAGAIN)
		return;
	/* From here on the timer is for what is sent. */
	if (!ret)
		ret = watch_message(channel);
	if (ret < 0)
		channel_fail(channel, ret);
	else
		channel_started(channel, 0);
}

static void channel_ready(void *user, int events)
{
	(void)events;
	channel_go_on(user);
}

static void channel_run(struct loop_task *task)
{
	channel_go_on((void *)((char *)task - offsetof(struct tandem_channel, task)));
}

int channel_create(struct tandem_loop *loop, const struct tls_identity *identity, int fd,
		   int listens, unsigned int timeout_ms, const struct channel_start *start,
		   struct tandem_channel **channel)
{
	struct tandem_channel *new = calloc(1, sizeof(*new));

	if (!new)
		return -ENOMEM;
	new->loop = loop;
	new->fd = fd;
	new->state = CHANNEL_CONNECTING;
	new->start = *start;
	new->timeout_ms = timeout_ms ? timeout_ms : CHANNEL_TIMEOUT_DEFAULT_MS;
	new->task.run = channel_run;
	STAILQ_INIT(&new->out);
	new->tls = tls_create(identity, fd, listens);
	if (!new->tls)
		goto free_channel;
	if (loop_timer_start(loop, new->timeout_ms, channel_timeout, new, &new->timer) < 0)
		goto destroy_tls;
	if (loop_poll_start(loop, fd, POLLIN | POLLOUT, channel_ready, new, &new->poll) < 0)
		goto stop_timer;
	socket_prepare(fd, new->timeout_ms);
	loop_task_post(loop, &new->task);
	*channel = new;
	return 0;

stop_timer:
	loop_timer_stop(new->timer);
destroy_tls:
	tls_destroy(new->tls);
free_channel:
	free(new);
	return -ENOMEM;
}

/*
 * Connecting
 */

int channel_address(const struct tandem_channel_options *options, const char *otherwise,
		    struct sockaddr_storage *address, socklen_t *size,
		    struct tandem_error *error)
{
	const char *name = options->address ? options->address : otherwise;
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
	};
	struct addrinfo *found;
	char port[8];

	if (options->port > UINT16_MAX)
		return tandem_error_set(error, -EINVAL,
					"channel: %u is no port; they go up to 65535",
					options->port);
	snprintf(port, sizeof(port), "%u", options->port);
	if (!name || getaddrinfo(name, port, &hints, &found))
		return tandem_error_set(error, -EINVAL,
					"channel: '%s' is not an address; give one in numbers, such as 192.0.2.1 or ::1",
					name ? name : "");
	memset(address, 0, sizeof(*address));
	memcpy(address, found->ai_addr, found->ai_addrlen);
	*size = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

/**
 * struct channel_connect - a connection that is being made
 * @op: the application's
 * @error: the application's, or NULL
 * @loop: the loop
 * @to: where to, for messages
 */
struct channel_connect {
	struct tandem_operation *op;
	struct tandem_error *error;
	struct tandem_loop *loop;
	char to[80];
};

static void connect_ended(struct tandem_channel *channel, int result, void *user)
{
	struct channel_connect *connect = user;
	const char *reason = channel_reason(channel);

	if (result && result != -ECANCELED)
		tandem_error_set(connect->error, result, "channel to %s: %s", connect->to,
				 *reason ? reason : strerror(-result));
	operation_post(connect->loop, connect->op, result);
	free(connect);
}

static int connect_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	(void)loop;
	channel_fail(operation_data(op), -ECANCELED);
	return 0;
}

static int connect_socket(const struct sockaddr_storage *address, socklen_t size)
{
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int code;

	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)address, size) || errno == EINPROGRESS)
		return fd;
	code = -errno;
	close(fd);
	return code;
}

/* With who this side is. */
static int connect_as(struct tandem_loop *loop, const struct tandem_channel_options *options,
		      const struct tls_identity *identity, struct channel_connect *connect,
		      struct tandem_channel **channel)
{
	struct channel_start start = { .ended = connect_ended, .user = connect };
	struct sockaddr_storage address;
	socklen_t size;
	int ret, fd;

	ret = channel_address(options, NULL, &address, &size, connect->error);
	if (ret < 0)
		return ret;
	snprintf(connect->to, sizeof(connect->to), "%s, port %u", options->address, options->port);
	fd = connect_socket(&address, size);
	if (fd < 0)
		return tandem_error_set(connect->error, fd, "channel to %s: %s", connect->to,
					strerror(-fd));
	ret = channel_create(loop, identity, fd, 0, options->timeout_ms, &start, channel);
	if (ret < 0) {
		close(fd);
		return tandem_error_set(connect->error, ret, "channel to %s: out of memory",
					connect->to);
	}
	return 0;
}

int tandem_channel_connect_start(struct tandem_loop *loop,
				 const struct tandem_channel_options *options,
				 struct tandem_channel **channel, struct tandem_operation *op,
				 struct tandem_error *error)
{
	struct tls_identity *identity;
	struct channel_connect *new;
	int ret;

	if (!operation_may_begin(op))
		return tandem_error_set(error, -EINVAL, "channel: the operation is pending");
	ret = tls_identity_create(options, &identity, error);
	if (ret < 0)
		return ret;
	new = calloc(1, sizeof(*new));
	if (!new) {
		ret = tandem_error_set(error, -ENOMEM, "channel: out of memory");
		goto destroy_identity;
	}
	new->op = op;
	new->error = error;
	new->loop = loop;
	ret = connect_as(loop, options, identity, new, channel);
	if (ret < 0)
		free(new);
	else
		operation_begin(op, connect_cancel, *channel);

destroy_identity:
	tls_identity_destroy(identity);
	return ret;
}

/*
 * The application's calls
 */

const char *tandem_channel_peer(const struct tandem_channel *channel)
{
	return channel->peer;
}

/* What has begun to go out has to go on, or the other side loses its place. */
static int send_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	struct tandem_channel *channel = operation_data(op);
	struct channel_message *message;

	(void)loop;
	STAILQ_FOREACH(message, &channel->out, entry)
		if (message->op == op)
			break;
	if (message && !message->done && message != STAILQ_FIRST(&channel->out))
		message_end(channel, message, -ECANCELED);
	return 0;
}

int tandem_channel_send_start(struct tandem_channel *channel, const void *bytes, size_t size,
			      struct tandem_operation *op)
{
	struct channel_message *new;
	int ret;

	if (!size || size > TANDEM_CHANNEL_MESSAGE_MAX)
		return -EINVAL;
	if (channel->state != CHANNEL_UP)
		return -ENOTCONN;
	new = message_create(channel, bytes, size, op);
	if (!new)
		return -ENOMEM;
	ret = operation_begin(op, send_cancel, channel);
	if (ret < 0) {
		free(new);
		return ret;
	}
	STAILQ_INSERT_TAIL(&channel->out, new, entry);
	if (new == STAILQ_FIRST(&channel->out))
		ret = watch_message(channel);
	if (ret < 0) {
		STAILQ_REMOVE(&channel->out, new, channel_message, entry);
		operation_abandon(op);
		free(new);
		return ret;
	}
	loop_task_post(channel->loop, &channel->task);
	return 0;
}

static int receive_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	(void)loop;
	receive_end(operation_data(op), -ECANCELED);
	return 0;
}

static void receive_expired(void *user)
{
	struct tandem_channel *channel = user;

	channel->receive_timer = NULL;
	receive_end(channel, -ETIMEDOUT);
}

int tandem_channel_receive_start(struct tandem_channel *channel, void *buffer, size_t capacity,
				 unsigned int timeout_ms, struct tandem_operation *op)
{
	int ret;

	if (channel->state != CHANNEL_UP)
		return -ENOTCONN;
	if (channel->receive)
		return -EBUSY;
	ret = operation_begin(op, receive_cancel, channel);
	if (ret < 0)
		return ret;
	if (timeout_ms) {
		ret = loop_timer_start(channel->loop, timeout_ms, receive_expired, channel,
				       &channel->receive_timer);
		if (ret < 0) {
			operation_abandon(op);
			return ret;
		}
	}
	channel->receive = op;
	channel->receive_buffer = buffer;
	channel->receive_capacity = capacity;
	loop_task_post(channel->loop, &channel->task);
	return 0;
}
