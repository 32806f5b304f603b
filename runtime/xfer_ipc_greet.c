// SPDX-License-Identifier: MIT
/*
 * From a description to a socket that both sides trust. Each side listens on a
 * socket of its own, with a name that only its description tells. Of two sides, the
 * one with the lower token calls. It names the other's token, which was in the
 * other's description; the other answers with the caller's, when its application has
 * given it the caller's description. Both ask the kernel whose process is at the
 * other end, which has to be the same user's. Only then does either give away the
 * file of its memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "error.h"
#include "xfer_ipc.h"
#include "xfer_place.h"

/* Who calls when so many have not greeted yet takes the place of the oldest. */
#define CALLERS_MAX 8u
#define BACKLOG	    8

/**
 * struct ipc_caller - somebody who has called, and has yet to show a token
 * @entry: in &ipc.callers
 * @ipc: whom
 * @fd: the socket
 * @poll: the loop's watch of it
 */
struct ipc_caller {
	TAILQ_ENTRY(ipc_caller) entry;
	struct ipc *ipc;
	int fd;
	struct loop_poll *poll;
};

/*
 * Sockets
 */

/* Receive into @message. Return: the number of files that came along; @passed is one. */
static unsigned int take_files(struct msghdr *message, int *passed)
{
	struct cmsghdr *control;
	unsigned int count = 0;

	for (control = CMSG_FIRSTHDR(message); control; control = CMSG_NXTHDR(message, control)) {
		size_t bytes = control->cmsg_len - CMSG_LEN(0);
		int fd;

		if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(fd) <= bytes; at += sizeof(fd)) {
			memcpy(&fd, CMSG_DATA(control) + at, sizeof(fd));
			if (count++)
				close(fd);
			else
				*passed = fd;
		}
	}
	return count;
}

ssize_t ipc_socket_receive(int fd, uint8_t *buffer, int *passed)
{
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec range = { .iov_base = buffer, .iov_len = IPC_MESSAGE_BYTES };
	struct msghdr message = { .msg_iov = &range, .msg_iovlen = 1 };
	unsigned int files = 0;
	ssize_t size;

	if (passed) {
		*passed = -1;
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
	}
	/* A side that ends with messages unread resets; what it said before is there. */
	do {
		size = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (size < 0 && (errno == EINTR || errno == ECONNRESET));
	if (size < 0)
		return -errno;
	if (passed)
		files = take_files(&message, passed);
	if (files <= 1 && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return size;
	if (files)
		close(*passed);
	if (passed)
		*passed = -1;
	return -EPROTO;
}

int ipc_socket_send(int fd, const void *bytes, size_t size, int file)
{
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec range = { .iov_base = (void *)bytes, .iov_len = size };
	struct msghdr message = { .msg_iov = &range, .msg_iovlen = 1 };
	ssize_t ret;

	if (file >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(file));
		memcpy(CMSG_DATA(&control.header), &file, sizeof(file));
	}
	do {
		ret = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (ret < 0 && errno == EINTR);
	if (ret >= 0)
		return 0;
	return errno == EPIPE ? -ECONNRESET : -errno;
}

/* In the abstract namespace: it goes with the socket, and nobody can put it there for us. */
static socklen_t socket_address(uint64_t name, struct sockaddr_un *address)
{
	int length;

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	length = snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1,
			  "tandem-%016" PRIx64, name);
	return offsetof(struct sockaddr_un, sun_path) + 1 + length;
}

static bool is_same_user(int fd)
{
	struct ucred other;
	socklen_t size = sizeof(other);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &other, &size) && other.uid == geteuid();
}

static bool token_equal(const uint8_t *a, const uint8_t *b)
{
	return !memcmp(a, b, IPC_TOKEN_BYTES);
}

/*
 * Greeting
 */

static int send_greeting(struct ipc *ipc)
{
	const struct ipc_head head = { .kind = IPC_GREETING, .count = 1 };
	uint8_t message[IPC_GREETING_BYTES];

	ipc_head_encode(&head, message);
	memcpy(message + IPC_HEAD_BYTES, ipc->remote.token, IPC_TOKEN_BYTES);
	return ipc_socket_send(ipc->fd, message, sizeof(message), -1);
}

static int send_memory(struct ipc *ipc)
{
	const struct ipc_head head = { .kind = IPC_MEMORY, .count = 1 };
	uint8_t message[IPC_MEMORY_BYTES];
	int ret;

	ipc_head_encode(&head, message);
	xfer_put64(message + IPC_HEAD_BYTES, tandem_memory_size(ipc->connection->memory));
	ret = ipc_socket_send(ipc->fd, message, sizeof(message), ipc->memory);
	if (ret < 0)
		return ret;
	close(ipc->memory);
	ipc->memory = -1;
	ipc->state = IPC_TRUSTED;
	return 0;
}

static bool is_greeting(const struct ipc *ipc, const uint8_t *message, ssize_t size)
{
	struct ipc_head head;

	return size > 0 && !ipc_head_decode(message, size, &head) && head.kind == IPC_GREETING &&
	       token_equal(message + IPC_HEAD_BYTES, ipc->local.token);
}

static int take_memory(struct ipc *ipc, size_t size, int fd)
{
	struct tandem_device *device = tandem_memory_device(ipc->connection->memory);
	struct ipc_head head;
	uint64_t bytes;
	int ret;

	if (ipc_head_decode(ipc->buffer, size, &head) < 0 || head.kind != IPC_MEMORY || fd < 0)
		return -EPROTO;
	bytes = xfer_get64(ipc->buffer + IPC_HEAD_BYTES);
	if (bytes < ipc->remote_bytes)
		return -EPROTO;
	ret = tandem_memory_import(device, fd, bytes, &ipc->view, NULL);
	if (ret < 0)
		return ret == -EINVAL ? -EPROTO : ret;
	ipc_is_up(ipc);
	return 0;
}

int ipc_greet_received(struct ipc *ipc, size_t size, int fd)
{
	if (ipc->state == IPC_TRUSTED)
		return take_memory(ipc, size, fd);
	if (ipc->state != IPC_AWAITING || !is_greeting(ipc, ipc->buffer, size) || fd >= 0)
		return -EPROTO;
	return send_memory(ipc);
}

/*
 * Calling and answering
 */

static int call(struct ipc *ipc)
{
	struct sockaddr_un address;
	socklen_t size = socket_address(ipc->remote.name, &address);
	int code;

	/* Somebody has called whose turn it was not. */
	ipc_close_socket(ipc);
	ipc->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (ipc->fd < 0)
		return -errno;
	if (connect(ipc->fd, (const struct sockaddr *)&address, size) < 0) {
		code = -errno;
		goto close_socket;
	}
	code = -EPERM;
	if (!is_same_user(ipc->fd))
		goto close_socket;
	ipc->state = IPC_AWAITING;
	code = send_greeting(ipc);
	if (!code)
		code = ipc_watch(ipc);
	if (code)
		goto close_socket;
	return 0;

close_socket:
	ipc_close_socket(ipc);
	return code;
}

static int answer(struct ipc *ipc)
{
	int ret = send_greeting(ipc);

	return ret < 0 ? ret : send_memory(ipc);
}

int ipc_greet(struct ipc *ipc)
{
	ipc->dials = memcmp(ipc->local.token, ipc->remote.token, IPC_TOKEN_BYTES) < 0;
	if (ipc->dials)
		return call(ipc);
	return ipc->state == IPC_PARKED ? answer(ipc) : 0;
}

/*
 * Being called
 */

static void caller_free(struct ipc_caller *caller)
{
	TAILQ_REMOVE(&caller->ipc->callers, caller, entry);
	caller->ipc->caller_count--;
	loop_poll_stop(caller->poll);
	if (caller->fd >= 0)
		close(caller->fd);
	free(caller);
}

/* It knows our token: its socket is the one, unless there is one, or it is our turn to call. */
static void caller_adopt(struct ipc_caller *caller)
{
	struct ipc *ipc = caller->ipc;
	int ret;

	if (ipc->state != IPC_CLOSED || ipc->stopping || (ipc->connected && ipc->dials)) {
		caller_free(caller);
		return;
	}
	ipc->fd = caller->fd;
	ipc->state = IPC_PARKED;
	caller->fd = -1;
	caller_free(caller);
	ret = ipc_watch(ipc);
	if (!ret && ipc->connected)
		ret = answer(ipc);
	if (ret < 0) {
		ipc_close_socket(ipc);
		if (ipc->connected)
			connection_fail(ipc->connection, ret);
	}
}

static void caller_ready(void *user, int events)
{
	struct ipc_caller *caller = user;
	struct ipc *ipc = caller->ipc;
	ssize_t size;

	if (events < 0) {
		caller_free(caller);
		return;
	}
	size = ipc_socket_receive(caller->fd, ipc->buffer, NULL);
	if (size == -EAGAIN)
		return;
	if (is_greeting(ipc, ipc->buffer, size))
		caller_adopt(caller);
	else
		caller_free(caller);
}

static void listener_accepted(struct ipc *ipc, int fd)
{
	struct ipc_caller *caller;

	caller = is_same_user(fd) ? calloc(1, sizeof(*caller)) : NULL;
	if (!caller) {
		close(fd);
		return;
	}
	if (ipc->caller_count == CALLERS_MAX)
		caller_free(TAILQ_FIRST(&ipc->callers));
	caller->ipc = ipc;
	caller->fd = fd;
	TAILQ_INSERT_TAIL(&ipc->callers, caller, entry);
	ipc->caller_count++;
	if (loop_poll_start(ipc->loop, fd, POLLIN, caller_ready, caller, &caller->poll) < 0)
		caller_free(caller);
}

static void listener_ready(void *user, int events)
{
	struct ipc *ipc = user;
	int fd;

	(void)events;
	for (;;) {
		fd = accept4(ipc->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			listener_accepted(ipc, fd);
		else if (errno != EINTR && errno != ECONNABORTED)
			break;
	}
}

/*
 * Where a side is
 */

static void describe_place(struct ipc_endpoint *local)
{
	struct xfer_place place;

	xfer_place_read(&place);
	memcpy(local->boot, place.boot, IPC_BOOT_BYTES);
	local->network = place.network;
	local->user = geteuid();
}

int ipc_check_reachable(const struct ipc_endpoint *local, const struct ipc_endpoint *remote,
			struct tandem_error *error)
{
	if (memcmp(local->boot, remote->boot, IPC_BOOT_BYTES))
		return tandem_error_set(
			error, -EHOSTUNREACH,
			"local: the other side is on another machine; use verbs or tcp");
	if (local->network != remote->network)
		return tandem_error_set(
			error, -EHOSTUNREACH,
			"local: the other side is in another network namespace; use verbs or tcp");
	if (local->user != remote->user)
		return tandem_error_set(
			error, -EPERM,
			"local: the other side is of user %u, this one of user %u; use verbs or tcp",
			remote->user, local->user);
	return 0;
}

int ipc_listen(struct ipc *ipc)
{
	struct sockaddr_un address;
	socklen_t size;
	int code;

	if (getrandom(ipc->local.token, IPC_TOKEN_BYTES, 0) != IPC_TOKEN_BYTES ||
	    getrandom(&ipc->local.name, sizeof(ipc->local.name), 0) != sizeof(ipc->local.name))
		return -EIO;
	describe_place(&ipc->local);
	ipc->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (ipc->listener < 0)
		return -errno;
	size = socket_address(ipc->local.name, &address);
	if (bind(ipc->listener, (const struct sockaddr *)&address, size) < 0 ||
	    listen(ipc->listener, BACKLOG) < 0) {
		code = -errno;
		goto unlisten;
	}
	code = loop_poll_start(ipc->loop, ipc->listener, POLLIN, listener_ready, ipc,
			       &ipc->listener_poll);
	if (code)
		goto unlisten;
	return 0;

unlisten:
	ipc_unlisten(ipc);
	return code;
}

void ipc_unlisten(struct ipc *ipc)
{
	while (!TAILQ_EMPTY(&ipc->callers))
		caller_free(TAILQ_FIRST(&ipc->callers));
	loop_poll_stop(ipc->listener_poll);
	ipc->listener_poll = NULL;
	if (ipc->listener >= 0)
		close(ipc->listener);
	ipc->listener = -1;
}
