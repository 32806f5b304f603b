/* SPDX-License-Identifier: MIT */
/*
 * Channels: messages between two processes that have proved who they are.
 *
 * What the two sides of a transfer have to tell one another (descriptions of
 * connections, which blocks are granted, which request they belong to) must come
 * from the right side, or a stranger gets keys to a device's memory. A channel
 * carries such messages over TLS 1.3, on which both sides have shown a
 * certificate. Blocks themselves do not go over it.
 *
 * A channel belongs to its loop's thread. Messages arrive whole, in order, once.
 */
#ifndef TANDEM_CHANNEL_H
#define TANDEM_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>
#include <tandem/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tandem_channel;
struct tandem_channel_listener;

/* Longest message, bytes. */
#define TANDEM_CHANNEL_MESSAGE_MAX	65536

/**
 * struct tandem_channel_options - where, and as whom
 * @address: in numbers, such as "192.0.2.1" or "::1"; of the side that listens.
 *	There, NULL for 127.0.0.1
 * @port: of the side that listens; there, 0 for any
 * @certificate: file with this side's certificate and those between it and the
 *	authority's, in PEM
 * @key: file with its private key, in PEM
 * @authorities: file with the certificates of the authorities, in PEM, by which
 *	the other side's certificate has to be issued. Those of the system are
 *	not trusted: have an authority of one's own for a group of machines
 * @peer_name: DNS name that the other side's certificate has to have; NULL for
 *	any that an authority has issued
 * @timeout_ms: how long connecting, proving who one is, and sending a message may
 *	each take; 0 for 10 s
 *
 * Files are read, and strings copied, before the call returns.
 */
struct tandem_channel_options {
	const char *address;
	const char *certificate;
	const char *key;
	const char *authorities;
	const char *peer_name;
	unsigned int port;
	unsigned int timeout_ms;
};

/**
 * tandem_channel_listen() - be there for others to connect to
 * @loop: where what happens to the listener and its channels will arrive
 * @options: where, and as whom
 * @listener: where to put it
 * @error: filled in on failure; may be NULL
 *
 * Return: 0; -EINVAL for an address or a file that is no good; -ENOENT, -EACCES
 * for a file; -EADDRINUSE, -EADDRNOTAVAIL; -ENOMEM.
 */
int tandem_channel_listen(struct tandem_loop *loop, const struct tandem_channel_options *options,
			  struct tandem_channel_listener **listener, struct tandem_error *error);

/* The port that it has. */
unsigned int tandem_channel_listener_port(const struct tandem_channel_listener *listener);

/**
 * tandem_channel_accept_start() - wait for a channel
 * @listener: the listener, at which nobody waits
 * @channel: where to put the channel when @op ends with 0
 * @op: ends when somebody has connected and shown who they are; -ECANCELED
 *
 * Those who cannot show it, or take too long, are dropped without a word here.
 * At most 64 are waited for at once; when more come, the oldest is dropped. Those
 * that are through are kept until they are accepted, 64 at most.
 *
 * Return: 0, -EBUSY, -EINVAL.
 */
int tandem_channel_accept_start(struct tandem_channel_listener *listener,
				struct tandem_channel **channel, struct tandem_operation *op);

/**
 * tandem_channel_listener_close() - be there no longer
 * @listener: may be NULL. A wait for a channel ends with -ECANCELED; channels that
 *	were accepted stay
 */
void tandem_channel_listener_close(struct tandem_channel_listener *listener);

/**
 * tandem_channel_connect_start() - connect to a listener
 * @loop: where what happens to the channel will arrive
 * @options: where, and as whom
 * @channel: where to put the channel, at once; it can be closed, but not used
 *	before @op has ended with 0
 * @op: ends with 0 when both sides have accepted each other; -EACCES when one has
 *	not; -ECONNREFUSED, -EHOSTUNREACH, -ECONNRESET, -ETIMEDOUT, -EPROTO,
 *	-ECANCELED
 * @error: filled in when the call fails, or @op with anything but -ECANCELED; to
 *	be kept until then; may be NULL
 *
 * Return: 0, or as tandem_channel_listen(), with no channel.
 */
int tandem_channel_connect_start(struct tandem_loop *loop,
				 const struct tandem_channel_options *options,
				 struct tandem_channel **channel, struct tandem_operation *op,
				 struct tandem_error *error);

/**
 * tandem_channel_peer() - who the other side is
 * @channel: a channel that is up
 *
 * Return: the first DNS name of its certificate, or its common name; "" if it has
 * neither. Valid as long as the channel.
 */
const char *tandem_channel_peer(const struct tandem_channel *channel);

/**
 * tandem_channel_send_start() - send a message
 * @channel: a channel that is up
 * @message: copied
 * @size: bytes, 1 … %TANDEM_CHANNEL_MESSAGE_MAX
 * @op: ends with 0 when the message is on its way, which does not say that the
 *	other side has it; -ECANCELED if it had not begun; -ETIMEDOUT when the
 *	other side does not take it in; -ECONNRESET. After anything but 0 and
 *	-ECANCELED the channel is of no more use
 *
 * Any number can be under way; they are sent in order.
 *
 * Return: 0, -EINVAL, -ENOTCONN when the channel is of no use, -ENOMEM.
 */
int tandem_channel_send_start(struct tandem_channel *channel, const void *message, size_t size,
			      struct tandem_operation *op);

/**
 * tandem_channel_receive_start() - wait for the next message
 * @channel: a channel that is up and at which nobody waits
 * @buffer: filled in by the time @op ends
 * @capacity: bytes
 * @timeout_ms: how long to wait; 0 for ever
 * @op: ends with the message's size; -EMSGSIZE if @capacity is less, and the message
 *	is still there for the next call; -ETIMEDOUT, upon which the channel goes
 *	on; -ECONNRESET when the other side has closed it or is gone; -EPROTO;
 *	-ECANCELED
 *
 * Nothing is taken from the network while nobody waits, so that a sender cannot
 * fill this side's memory.
 *
 * Return: 0, -EBUSY, -EINVAL, -ENOTCONN, -ENOMEM.
 */
int tandem_channel_receive_start(struct tandem_channel *channel, void *buffer, size_t capacity,
				 unsigned int timeout_ms, struct tandem_operation *op);

/**
 * tandem_channel_close() - end a channel
 * @channel: may be NULL. What is pending ends with -ECANCELED; of messages that
 *	are on their way the last may be lost, so let the other side close first
 *	where that matters
 */
void tandem_channel_close(struct tandem_channel *channel);

#ifdef __cplusplus
}
#endif

#endif /* TANDEM_CHANNEL_H */
