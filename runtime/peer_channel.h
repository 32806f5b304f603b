/* SPDX-License-Identifier: MIT */
/*
 * A channel as a peer uses it: messages go out without anybody waiting for it, and
 * come in one after another, until it ends.
 */
#ifndef TANDEM_RUNTIME_PEER_CHANNEL_H
#define TANDEM_RUNTIME_PEER_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#include <tandem/channel.h>

struct peer_channel;

/**
 * struct peer_channel_calls - who is told, from the loop
 * @up: a call has been answered
 * @message: one has come. Return: 0, or 1 to be given no more before
 *	peer_channel_resume()
 * @ended: the channel is of no use; @error says why in words. It has yet to be
 *	dropped
 * @gone: its memory is freed, which may be some time after it was dropped; for each
 *	one that was made. @user has to be there until then
 *
 * All but the last may drop the channel.
 */
struct peer_channel_calls {
	void (*up)(void *user);
	int (*message)(void *user, const uint8_t *bytes, size_t size);
	void (*ended)(void *user, int code, const struct tandem_error *error);
	void (*gone)(void *user);
};

/**
 * peer_channel_call() - call the other side
 * @loop: the loop
 * @options: whom, and as whom
 * @calls: kept
 * @user: for these
 * @channel: where to put it
 * @error: filled in when the call fails
 *
 * Return: 0 or as tandem_channel_connect_start().
 */
int peer_channel_call(struct tandem_loop *loop, const struct tandem_channel_options *options,
		      const struct peer_channel_calls *calls, void *user,
		      struct peer_channel **channel, struct tandem_error *error);

/* The same over one that is up, which is taken over unless that fails: -ENOMEM. */
int peer_channel_take(struct tandem_loop *loop, struct tandem_channel *accepted,
		      const struct peer_channel_calls *calls, void *user,
		      struct peer_channel **channel);

/* Return: 0, or a negative errno; when the channel has failed, that is told as well. */
int peer_channel_send(struct peer_channel *channel, const void *bytes, size_t size);

/* Be given messages again. */
void peer_channel_resume(struct peer_channel *channel);

const char *peer_channel_name(const struct peer_channel *channel);

/* Nothing more is told. May be NULL. */
void peer_channel_drop(struct peer_channel *channel);

/*
 * Likewise, but the channel stays until the other side has closed it, or for a second: what
 * was sent last gets there.
 */
void peer_channel_linger(struct peer_channel *channel);

#endif /* TANDEM_RUNTIME_PEER_CHANNEL_H */
