/* SPDX-License-Identifier: MIT */
/*
 * Channels from the inside: what the listener needs of them.
 *
 *	channel_tls.c		TLS
 *	channel.c		messages over it
 *	channel_listen.c	listening, and those who have not shown who they are
 */
#ifndef TANDEM_RUNTIME_CHANNEL_H
#define TANDEM_RUNTIME_CHANNEL_H

#include <sys/queue.h>
#include <sys/socket.h>

#include <tandem/channel.h>

#include "channel_tls.h"
#include "loop.h"

#define CHANNEL_TIMEOUT_DEFAULT_MS	10000

/**
 * struct channel_start - who is told when a channel is up, or is not going to be
 * @ended: with 0 or why not, -ECANCELED when it is being closed, else from the
 *	loop; once. May close the channel, but for -ECANCELED
 * @user: for it
 */
struct channel_start {
	void (*ended)(struct tandem_channel *channel, int result, void *user);
	void *user;
};

/**
 * channel_create() - a channel over a socket
 * @loop: its loop
 * @identity: this side's
 * @fd: a socket, connected or connecting, that does not block; taken over if that
 *	succeeds
 * @listens: this side has been connected to
 * @timeout_ms: see &struct tandem_channel_options
 * @start: copied
 * @channel: where to put it
 *
 * Return: 0 or -ENOMEM.
 */
int channel_create(struct tandem_loop *loop, const struct tls_identity *identity, int fd,
		   int listens, unsigned int timeout_ms, const struct channel_start *start,
		   struct tandem_channel **channel);

/* The address of the options, or @otherwise. Return: 0 or -EINVAL. */
int channel_address(const struct tandem_channel_options *options, const char *otherwise,
		    struct sockaddr_storage *address, socklen_t *size,
		    struct tandem_error *error);

/* Why it failed, in words; "" where the number says it all. */
const char *channel_reason(const struct tandem_channel *channel);

#endif /* TANDEM_RUNTIME_CHANNEL_H */
