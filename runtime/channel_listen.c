// SPDX-License-Identifier: MIT
/*
 * Listening for channels. Anybody may connect; nobody is told of those who have
 * not shown who they are, and these are bounded in number and in time.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"
#include "error.h"
#include "socket.h"

#define ADDRESS_DEFAULT		"127.0.0.1"
#define BACKLOG			64
/* Who have not shown yet who they are; and who have, and were not accepted yet. */
#define CALLERS_MAX		64u
/* When the process has no descriptors left. */
#define ACCEPT_RETRY_MS		100

/**
 * struct channel_caller - somebody who has connected
 * @entry: in one of the listener's lists
 * @listener: the listener
 * @channel: of them
 */
struct channel_caller {
	TAILQ_ENTRY(channel_caller) entry;
	struct tandem_channel_listener *listener;
	struct tandem_channel *channel;
};

TAILQ_HEAD(channel_callers, channel_caller);

/**
 * struct tandem_channel_listener - a listening socket
 * @loop: where everything of it happens
 * @identity: who this side is
 * @fd: the socket
 * @port: that it has
 * @timeout_ms: for callers and their channels
 * @poll: the loop's watch of @fd
 * @retry: to accept again
 * @callers: oldest first, @caller_count of them
 * @caller_count: see there
 * @through: those who have shown who they are, oldest first
 * @through_count: entries of @through
 * @op: who waits for a channel, or NULL
 * @wanted: where it wants it
 *
 * Belongs to the loop's thread; no lock.
 */
struct tandem_channel_listener {
	struct tandem_loop *loop;
	struct tls_identity *identity;
	int fd;
	uint16_t port;
	unsigned int timeout_ms;
	struct loop_poll *poll;
	struct loop_timer *retry;
	struct channel_callers callers;
	unsigned int caller_count;
	struct channel_callers through;
	unsigned int through_count;
	struct tandem_operation *op;
	struct tandem_channel **wanted;
};

/* Give the oldest to who waits. */
static void listener_hand_over(struct tandem_channel_listener *listener)
{
	struct channel_caller *caller = TAILQ_FIRST(&listener->through);
	struct tandem_operation *op = listener->op;

	if (!caller || !op)
		return;
	TAILQ_REMOVE(&listener->through, caller, entry);
	listener->through_count--;
	listener->op = NULL;
	*listener->wanted = caller->channel;
	free(caller);
	operation_post(listener->loop, op, 0);
}

static void caller_ended(struct tandem_channel *channel, int result, void *user)
{
	struct channel_caller *caller = user;
	struct tandem_channel_listener *listener = caller->listener;

	TAILQ_REMOVE(&listener->callers, caller, entry);
	listener->caller_count--;
	if (!result && listener->through_count < CALLERS_MAX) {
		TAILQ_INSERT_TAIL(&listener->through, caller, entry);
		listener->through_count++;
		listener_hand_over(listener);
		return;
	}
	free(caller);
	if (result != -ECANCELED)
		tandem_channel_close(channel);
}

/* Takes over @fd. */
static void listener_called(struct tandem_channel_listener *listener, int fd)
{
	struct channel_caller *caller = calloc(1, sizeof(*caller));
	struct channel_start start = { .ended = caller_ended, .user = caller };

	if (!caller)
		goto close_fd;
	if (listener->caller_count == CALLERS_MAX)
		tandem_channel_close(TAILQ_FIRST(&listener->callers)->channel);
	caller->listener = listener;
	if (channel_create(listener->loop, listener->identity, fd, 1, listener->timeout_ms, &start,
			   &caller->channel) < 0)
		goto free_caller;
	TAILQ_INSERT_TAIL(&listener->callers, caller, entry);
	listener->caller_count++;
	return;

free_caller:
	free(caller);
close_fd:
	close(fd);
}

static void listener_accept(void *user);

static void listener_accept_later(struct tandem_channel_listener *listener)
{
	if (!listener->retry)
		loop_timer_start(listener->loop, ACCEPT_RETRY_MS, listener_accept, listener,
				 &listener->retry);
}

/* Some at a time, so that a flood of callers does not keep the loop from others. */
static void listener_accept(void *user)
{
	struct tandem_channel_listener *listener = user;
	unsigned int i;
	int fd;

	listener->retry = NULL;
	for (i = 0; i < CALLERS_MAX; i++) {
		fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0)
			listener_called(listener, fd);
		else if (errno == EAGAIN)
			return;
		else if (errno != ECONNABORTED && errno != EINTR)
			break;
	}
	listener_accept_later(listener);
}

static void listener_ready(void *user, int events)
{
	struct tandem_channel_listener *listener = user;

	(void)events;
	if (!listener->retry)
		listener_accept(listener);
}

int tandem_channel_listen(struct tandem_loop *loop, const struct tandem_channel_options *options,
			  struct tandem_channel_listener **listener, struct tandem_error *error)
{
	struct tandem_channel_listener *new;
	struct sockaddr_storage address;
	socklen_t size;
	int ret;

	ret = channel_address(options, ADDRESS_DEFAULT, &address, &size, error);
	if (ret < 0)
		return ret;
	new = calloc(1, sizeof(*new));
	if (!new)
		return tandem_error_set(error, -ENOMEM, "channel: out of memory");
	new->loop = loop;
	new->timeout_ms = options->timeout_ms;
	TAILQ_INIT(&new->callers);
	TAILQ_INIT(&new->through);
	ret = tls_identity_create(options, &new->identity, error);
	if (ret < 0)
		goto free_listener;
	ret = socket_listen(&address, size, BACKLOG, &new->port);
	if (ret < 0) {
		tandem_error_set(error, ret, "channel: cannot listen at %s, port %u: %s",
				 options->address ? options->address : ADDRESS_DEFAULT,
				 options->port, strerror(-ret));
		goto destroy_identity;
	}
	new->fd = ret;
	ret = loop_poll_start(loop, new->fd, POLLIN, listener_ready, new, &new->poll);
	if (ret < 0) {
		tandem_error_set(error, ret, "channel: out of memory");
		goto close_socket;
	}
	*listener = new;
	return 0;

close_socket:
	close(new->fd);
destroy_identity:
	tls_identity_destroy(new->identity);
free_listener:
	free(new);
	return ret;
}

unsigned int tandem_channel_listener_port(const struct tandem_channel_listener *listener)
{
	return listener->port;
}

static int accept_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	struct tandem_channel_listener *listener = operation_data(op);

	listener->op = NULL;
	operation_post(loop, op, -ECANCELED);
	return 0;
}

int tandem_channel_accept_start(struct tandem_channel_listener *listener,
				struct tandem_channel **channel, struct tandem_operation *op)
{
	int ret;

	if (listener->op)
		return -EBUSY;
	ret = operation_begin(op, accept_cancel, listener);
	if (ret < 0)
		return ret;
	listener->op = op;
	listener->wanted = channel;
	listener_hand_over(listener);
	return 0;
}

void tandem_channel_listener_close(struct tandem_channel_listener *listener)
{
	struct channel_caller *caller;

	if (!listener)
		return;
	/* These take themselves off the list. */
	while ((caller = TAILQ_FIRST(&listener->callers)))
		tandem_channel_close(caller->channel);
	while ((caller = TAILQ_FIRST(&listener->through))) {
		TAILQ_REMOVE(&listener->through, caller, entry);
		tandem_channel_close(caller->channel);
		free(caller);
	}
	if (listener->op)
		accept_cancel(listener->loop, listener->op);
	loop_timer_stop(listener->retry);
	loop_poll_stop(listener->poll);
	close(listener->fd);
	tls_identity_destroy(listener->identity);
	free(listener);
}
