// SPDX-License-Identifier: MIT
/*
 * The transport between processes: its socket, and its life from opening to coming to
 * rest.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"
#include "kv.h"
#include "xfer_ipc.h"

/* Messages dealt with before the loop's other events have their turn. */
#define MESSAGES_MAX 64u
/*
 * How long an ending waits for the other side to stop copying what it was told of. A
 * side that does not answer looks after its own memory by its own deadlines.
 */
#define DRAIN_MS 200

bool xfer_ipc_always;

/*
 * The socket
 */

/* @size as ipc_socket_receive() returns it. */
static void ipc_received(struct ipc *ipc, ssize_t size, int fd)
{
	int ret = size;

	if (ipc->stopping) {
		ipc->other_gone = size <= 0;
		ipc_check_quiet(ipc);
		return;
	}
	if (ipc->state == IPC_PARKED) {
		/* It does not wait for the answer; another may call. */
		ipc_close_socket(ipc);
		return;
	}
	if (!size) {
		ipc->other_gone = true;
		ret = -ECONNRESET;
	} else if (size > 0) {
		ret = ipc->state == IPC_UP ? ipc_take_message(ipc, size) :
					     ipc_greet_received(ipc, size, fd);
	}
	if (ret < 0)
		connection_fail(ipc->connection, ret);
}

static void ipc_receive(struct ipc *ipc)
{
	unsigned int count;
	ssize_t size;
	int fd = -1;

	for (count = 0; count < MESSAGES_MAX && ipc->fd >= 0 && !ipc->other_gone; count++) {
		size = ipc_socket_receive(ipc->fd, ipc->buffer,
					  ipc->state == IPC_TRUSTED ? &fd : NULL);
		if (size == -EAGAIN)
			return;
		ipc_received(ipc, size, fd);
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	if (ipc->fd >= 0 && !ipc->other_gone)
		loop_task_post(ipc->loop, &ipc->receive_task);
}

static void ipc_receive_more(struct loop_task *task)
{
	ipc_receive((void *)((char *)task - offsetof(struct ipc, receive_task)));
}

static void ipc_ready(void *user, int events)
{
	struct ipc *ipc = user;
	int ret = events < 0 ? -EIO : ipc_send(ipc);

	/* What the other side has said before it went is taken in first. */
	if (events >= 0)
		ipc_receive(ipc);
	if (ret < 0 && !ipc->stopping)
		connection_fail(ipc->connection, ret);
}

int ipc_watch(struct ipc *ipc)
{
	return loop_poll_start(ipc->loop, ipc->fd, POLLIN | POLLOUT | POLLRDHUP, ipc_ready, ipc,
			       &ipc->poll);
}

void ipc_close_socket(struct ipc *ipc)
{
	loop_task_cancel(ipc->loop, &ipc->receive_task);
	loop_poll_stop(ipc->poll);
	ipc->poll = NULL;
	if (ipc->fd >= 0)
		close(ipc->fd);
	ipc->fd = -1;
	ipc->state = IPC_CLOSED;
}

void ipc_is_up(struct ipc *ipc)
{
	int ret;

	ipc->state = IPC_UP;
	ipc->connection->write_slots = IPC_SLOTS;
	connection_continue(ipc->connection);
	/* Notes may have waited, too. */
	ret = ipc_send(ipc);
	if (ret < 0)
		connection_fail(ipc->connection, ret);
}

/*
 * Opening and connecting
 */

int ipc_open(struct tandem_connection *connection, struct ipc **ipc, struct tandem_error *error)
{
	struct ipc *new = calloc(1, sizeof(*new));
	int ret;

	if (!new)
		return tandem_error_set(error, -ENOMEM, "local: out of memory");
	new->connection = connection;
	new->loop = connection->loop;
	new->listener = -1;
	new->fd = -1;
	new->memory = -1;
	new->receive_task.run = ipc_receive_more;
	TAILQ_INIT(&new->callers);
	LIST_INIT(&new->copies);
	STAILQ_INIT(&new->out);
	STAILQ_INIT(&new->sent);
	STAILQ_INIT(&new->asked);
	STAILQ_INIT(&new->loans);
	new->local.kind = tandem_memory_device(connection->memory)->ops->kind;
	new->local.grants = connection->grants;
	new->local_bytes = kv_layout_bytes(&connection->layout);
	ret = ipc_listen(new);
	if (ret < 0) {
		free(new);
		return tandem_error_set(error, ret, "local: cannot listen for other processes: %s",
					strerror(-ret));
	}
	*ipc = new;
	return 0;
}

void ipc_free(struct ipc *ipc)
{
	ipc_unlisten(ipc);
	ipc_close_socket(ipc);
	free(ipc);
}

static int check_remote(struct ipc *ipc, const uint8_t *part, struct tandem_error *error)
{
	struct ipc_endpoint *remote = &ipc->remote;

	if (ipc_endpoint_decode(part, remote) < 0)
		return tandem_error_set(error, -EPROTO,
					"local: the other side's description is malformed");
	if (!memcmp(remote->token, ipc->local.token, IPC_TOKEN_BYTES))
		return tandem_error_set(
			error, -EINVAL,
			"local: this description is the connection's own; give it the other side's");
	if (remote->grants != ipc->local.grants)
		return tandem_error_set(
			error, -EINVAL,
			"local: one side is for grants, the other is not; give both the same option");
	if (remote->kind != ipc->local.kind)
		return tandem_error_set(
			error, -EOPNOTSUPP,
			"local: one side's device is accel, the other's inproc; give both the same, or use tcp");
	return ipc_check_reachable(&ipc->local, remote, error);
}

int ipc_connect(struct ipc *ipc, struct tandem_queue *queue, const uint8_t *part,
		const struct tandem_kv_layout *layout, struct tandem_error *error)
{
	struct tandem_connection *connection = ipc->connection;
	int ret;

	ret = check_remote(ipc, part, error);
	if (ret < 0)
		return ret;
	ipc->memory = tandem_memory_export(connection->memory);
	if (ipc->memory < 0)
		return tandem_error_set(
			error, ipc->memory,
			"local: the memory cannot be shown to another process: %s; allocate it with tandem_memory_alloc_shareable(), or use a dma-buf",
			strerror(-ipc->memory));
	ipc->remote_bytes = kv_layout_bytes(layout);
	ipc->connected = true;
	connection->write_bytes = IPC_COPY_BYTES;
	connection->write_slots = 0;
	ret = ipc_greet(ipc);
	if (ret < 0) {
		ipc->connected = false;
		ipc_close_socket(ipc);
		close(ipc->memory);
		ipc->memory = -1;
		return tandem_error_set(
			error, -EHOSTUNREACH,
			"local: cannot reach the other side: %s; it has been closed, or its process has ended",
			strerror(-ret));
	}
	ipc->queue = queue;
	return 0;
}

static size_t ipc_describe(struct tandem_connection *connection, uint8_t *part)
{
	struct ipc *ipc = connection->transport;

	memcpy(part, ipc->described, ipc->described_size);
	return ipc->described_size;
}

/*
 * Ending
 */

void ipc_destroy(struct ipc *ipc)
{
	ipc_outs_free(&ipc->out);
	ipc_outs_free(&ipc->sent);
	ipc_outs_free(&ipc->asked);
	ipc_loans_free(ipc);
	if (ipc->memory >= 0)
		close(ipc->memory);
	tandem_queue_close(ipc->queue);
	free(ipc);
}

/* Nothing is copied any more, and nothing need be waited for. */
static void ipc_shut(struct ipc *ipc)
{
	loop_timer_stop(ipc->timer);
	ipc->timer = NULL;
	ipc_close_socket(ipc);
	tandem_memory_free(ipc->view);
	ipc->view = NULL;
}

void ipc_check_quiet(struct ipc *ipc)
{
	if (!ipc->stopping || !LIST_EMPTY(&ipc->copies))
		return;
	if (ipc->fd >= 0 && !ipc->stopped)
		shutdown(ipc->fd, SHUT_WR);
	ipc->stopped = true;
	if (ipc->timer && !ipc->other_gone)
		return;
	ipc_shut(ipc);
	connection_quiesced(ipc->connection);
}

static void ipc_drain_expired(void *user)
{
	struct ipc *ipc = user;

	ipc->timer = NULL;
	ipc_check_quiet(ipc);
}

static void ipc_abort(struct tandem_connection *connection)
{
	struct ipc *ipc = connection->transport;

	if (ipc->stopping)
		return;
	ipc->stopping = true;
	ipc_copies_cancel(ipc);
	/* Without memory for a timer there is no waiting. */
	if ((!STAILQ_EMPTY(&ipc->sent) || !STAILQ_EMPTY(&ipc->loans)) && !ipc->other_gone)
		loop_timer_start(ipc->loop, DRAIN_MS, ipc_drain_expired, ipc, &ipc->timer);
	ipc_check_quiet(ipc);
}

static void note_expiry(void *user)
{
	*(bool *)user = true;
}

/* Run the loop. Return: can that be done at all? Not from within a callback. */
static bool run_loop(struct ipc *ipc)
{
	int ret = tandem_loop_run(ipc->loop, -1);

	return ret >= 0 || ret == -EINTR;
}

/* The other side has yet to be told that its blocks have arrived: give it a moment. */
static void ipc_settle(struct ipc *ipc)
{
	struct loop_timer *timer;
	bool expired = false;

	if (!ipc->done || loop_timer_start(ipc->loop, DRAIN_MS, note_expiry, &expired, &timer) < 0)
		return;
	while (!expired && ipc->done && !ipc->other_gone && !ipc->stopping && run_loop(ipc))
		;
	if (!expired)
		loop_timer_stop(timer);
}

static bool ipc_is_quiet(const struct ipc *ipc)
{
	return ipc->fd < 0 && LIST_EMPTY(&ipc->copies);
}

static void ipc_close(struct tandem_connection *connection)
{
	struct ipc *ipc = connection->transport;

	ipc_unlisten(ipc);
	ipc_settle(ipc);
	ipc_abort(connection);
	while (!ipc_is_quiet(ipc) && run_loop(ipc))
		;
	/*
	 * From within a callback the loop cannot be run. Nothing is read once the view
	 * is gone, nor written therefore, but the copies have yet to report that.
	 */
	ipc_shut(ipc);
	ipc->connection = NULL;
	if (LIST_EMPTY(&ipc->copies))
		ipc_destroy(ipc);
}

static bool ipc_is_busy(const struct tandem_connection *connection)
{
	const struct ipc *ipc = connection->transport;

	return !LIST_EMPTY(&ipc->copies);
}

const struct xfer_transport_ops xfer_ipc_ops = {
	.describe = ipc_describe,
	.reads = true,
	.is_busy = ipc_is_busy,
	.write = ipc_write,
	.flush = ipc_flush,
	.tell = ipc_tell,
	.abort = ipc_abort,
	.close = ipc_close,
};
