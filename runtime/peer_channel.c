// SPDX-License-Identifier: MIT
/*
 * A channel as a peer uses it. Operations on a channel end later than the channel
 * does; what they point to is kept for as long.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "loop.h"
#include "peer_channel.h"

#define LINGER_MS 1000

/**
 * struct peer_channel - a channel
 * @loop: its loop
 * @channel: NULL once dropped
 * @calls: who is told
 * @dropped: only of the end
 * @user: for these
 * @connect: of the call
 * @receive: of the message that is waited for
 * @linger: ends a channel that nobody is told of; or NULL
 * @pending: operations that have not ended
 * @paused: no message is waited for
 * @error: of @connect
 * @buffer: of @receive
 *
 * Belongs to the loop's thread; no lock.
 */
struct peer_channel {
	struct tandem_loop *loop;
	struct tandem_channel *channel;
	const struct peer_channel_calls *calls;
	bool dropped;
	void *user;
	struct tandem_operation connect;
	struct tandem_operation receive;
	struct loop_timer *linger;
	unsigned int pending;
	bool paused;
	struct tandem_error error;
	uint8_t buffer[TANDEM_CHANNEL_MESSAGE_MAX];
};

/* A message under way. */
struct peer_send {
	struct tandem_operation op;
	struct peer_channel *channel;
};

/* An operation of a channel has ended. Return: is it of any interest still? */
static bool channel_put(struct peer_channel *channel)
{
	channel->pending--;
	if (channel->channel)
		return true;
	if (!channel->pending) {
		channel->calls->gone(channel->user);
		free(channel);
	}
	return false;
}

void peer_channel_drop(struct peer_channel *channel)
{
	struct tandem_channel *dropped;

	if (!channel)
		return;
	dropped = channel->channel;
	channel->channel = NULL;
	channel->dropped = true;
	loop_timer_stop(channel->linger);
	channel->linger = NULL;
	/* So that it is not freed by what ends meanwhile. */
	channel->pending++;
	tandem_channel_close(dropped);
	channel_put(channel);
}

static void channel_linger_expired(void *user)
{
	struct peer_channel *channel = user;

	channel->linger = NULL;
	peer_channel_drop(channel);
}

void peer_channel_linger(struct peer_channel *channel)
{
	channel->dropped = true;
	channel->pending++;
	if (loop_timer_start(channel->loop, LINGER_MS, channel_linger_expired, channel,
			     &channel->linger) < 0)
		peer_channel_drop(channel);
	else
		peer_channel_resume(channel);
	channel_put(channel);
}

static void channel_ended(struct peer_channel *channel, int code)
{
	channel->pending++;
	if (channel->dropped)
		peer_channel_drop(channel);
	else
		channel->calls->ended(channel->user, code, &channel->error);
	channel_put(channel);
}

/*
 * Receiving
 */

static void channel_receive(struct peer_channel *channel)
{
	int ret;

	if (channel->receive.pending || channel->paused)
		return;
	ret = tandem_channel_receive_start(channel->channel, channel->buffer,
					   sizeof(channel->buffer), 0, &channel->receive);
	if (ret < 0)
		channel_ended(channel, ret);
	else
		channel->pending++;
}

void peer_channel_resume(struct peer_channel *channel)
{
	channel->paused = false;
	channel_receive(channel);
}

static void channel_received(struct tandem_operation *op)
{
	struct peer_channel *channel = op->user;

	if (!channel_put(channel))
		return;
	if (op->result < 0) {
		channel_ended(channel, op->result);
		return;
	}
	/* In case that the call drops it. */
	channel->pending++;
	if (!channel->dropped)
		channel->paused = channel->calls->message(channel->user, channel->buffer, op->result);
	if (channel_put(channel))
		channel_receive(channel);
}

/*
 * Sending
 */

static void channel_sent(struct tandem_operation *op)
{
	struct peer_send *send = op->user;

	/* A failure is that of the receive as well. */
	channel_put(send->channel);
	free(send);
}

int peer_channel_send(struct peer_channel *channel, const void *bytes, size_t size)
{
	struct peer_send *send = calloc(1, sizeof(*send));
	int ret;

	if (!send)
		return -ENOMEM;
	send->op.done = channel_sent;
	send->op.user = send;
	send->channel = channel;
	ret = tandem_channel_send_start(channel->channel, bytes, size, &send->op);
	if (ret < 0)
		free(send);
	else
		channel->pending++;
	return ret;
}

/*
 * Beginning
 */

static struct peer_channel *channel_new(struct tandem_loop *loop,
					const struct peer_channel_calls *calls, void *user)
{
	struct peer_channel *new = calloc(1, sizeof(*new));

	if (!new)
		return NULL;
	new->loop = loop;
	new->calls = calls;
	new->user = user;
	new->receive.done = channel_received;
	new->receive.user = new;
	return new;
}

static void channel_connected(struct tandem_operation *op)
{
	struct peer_channel *channel = op->user;

	if (!channel_put(channel))
		return;
	if (op->result < 0) {
		channel_ended(channel, op->result);
		return;
	}
	channel->pending++;
	if (!channel->dropped)
		channel->calls->up(channel->user);
	if (channel_put(channel))
		channel_receive(channel);
}

int peer_channel_call(struct tandem_loop *loop, const struct tandem_channel_options *options,
		      const struct peer_channel_calls *calls, void *user,
		      struct peer_channel **channel, struct tandem_error *error)
{
	struct peer_channel *new = channel_new(loop, calls, user);
	int ret;

	if (!new)
		return -ENOMEM;
	new->connect.done = channel_connected;
	new->connect.user = new;
	ret = tandem_channel_connect_start(loop, options, &new->channel, &new->connect, &new->error);
	if (ret < 0) {
		if (error)
			*error = new->error;
		free(new);
		return ret;
	}
	new->pending++;
	*channel = new;
	return 0;
}

int peer_channel_take(struct tandem_loop *loop, struct tandem_channel *accepted,
		      const struct peer_channel_calls *calls, void *user,
		      struct peer_channel **channel)
{
	struct peer_channel *new = channel_new(loop, calls, user);
	int ret;

	if (!new)
		return -ENOMEM;
	new->channel = accepted;
	ret = tandem_channel_receive_start(accepted, new->buffer, sizeof(new->buffer), 0,
					   &new->receive);
	if (ret < 0) {
		free(new);
		return ret;
	}
	new->pending++;
	*channel = new;
	return 0;
}

const char *peer_channel_name(const struct peer_channel *channel)
{
	return tandem_channel_peer(channel->channel);
}
