// SPDX-License-Identifier: MIT
/*
 * The transport that is all others until the other side's description is there, and
 * then becomes one of them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "xfer_auto.h"

const struct xfer_transport_ops *const xfer_auto_ops_of[XFER_AUTO_TRANSPORTS] = {
	[TANDEM_TRANSPORT_LOCAL] = &xfer_local_ops,
	[TANDEM_TRANSPORT_VERBS] = &xfer_verbs_ops,
	[TANDEM_TRANSPORT_TCP] = &xfer_tcp_ops,
};

static bool is_shareable(const struct tandem_connection *connection)
{
	int fd = connection->memory ? tandem_memory_export(connection->memory) : -EOPNOTSUPP;

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Close all that are open; the connection's own transport is left alone. */
static void close_transports(struct tandem_connection *connection)
{
	struct xfer_auto *choice = connection->choice;
	void *own = connection->transport;

	for (unsigned int i = 0; i < XFER_AUTO_TRANSPORTS; i++) {
		if (!choice->transports[i])
			continue;
		connection->transport = choice->transports[i];
		choice->transports[i] = NULL;
		xfer_auto_ops_of[i]->close(connection);
	}
	connection->transport = own;
}

/* Return: 0, or why this side cannot use it. */
static int open_transport(struct tandem_connection *connection, unsigned int transport,
			  const struct tandem_connection_options *options)
{
	const struct xfer_transport_ops *ops = xfer_auto_ops_of[transport];
	struct xfer_auto *choice = connection->choice;
	struct xfer_auto_offer *offer = &choice->own.offers[transport];
	int ret = ops->open(connection, options, &choice->reasons[transport]);

	if (ret < 0) {
		offer->code = -ret;
		return ret;
	}
	choice->transports[transport] = connection->transport;
	offer->part_size = ops->describe(connection, offer->part);
	return 0;
}

static int auto_open(struct tandem_connection *connection,
		     const struct tandem_connection_options *options, struct tandem_error *error)
{
	bool any = false;
	int ret;

	connection->choice = calloc(1, sizeof(*connection->choice));
	if (!connection->choice)
		return tandem_error_set(error, -ENOMEM, "auto: out of memory");
	xfer_place_read(&connection->choice->own.place);
	connection->choice->own.shareable = is_shareable(connection);
	for (unsigned int i = 0; i < XFER_AUTO_TRANSPORTS; i++)
		any |= !open_transport(connection, i, options);
	connection->transport = NULL;
	if (any)
		return 0;
	/* What reaches farthest is what most likely was meant to do. */
	ret = tandem_error_set(error, connection->choice->reasons[TANDEM_TRANSPORT_TCP].code,
			       "auto: no transport can be opened, the last one since %s",
			       connection->choice->reasons[TANDEM_TRANSPORT_TCP].message);
	free(connection->choice);
	return ret;
}

static size_t auto_describe(struct tandem_connection *connection, uint8_t *part)
{
	return xfer_auto_part_encode(&connection->choice->own, part);
}

/* Become @transport, whose part of @remote is in @offer. */
static int become(struct tandem_connection *connection, enum tandem_transport transport,
		  const struct xfer_description *remote, const struct xfer_auto_offer *offer,
		  struct tandem_error *error)
{
	struct xfer_description chosen = *remote;
	int ret;

	chosen.transport = transport;
	chosen.part_size = offer->part_size;
	memcpy(chosen.part, offer->part, offer->part_size);
	connection->ops = xfer_auto_ops_of[transport];
	connection->transport = connection->choice->transports[transport];
	ret = connection->ops->connect(connection, &chosen, error);
	if (ret < 0) {
		connection->ops = &xfer_auto_ops;
		connection->transport = NULL;
		return ret;
	}
	connection->choice->transports[transport] = NULL;
	connection->transport_number = transport;
	return 0;
}

static int auto_connect(struct tandem_connection *connection, const struct xfer_description *remote,
			struct tandem_error *error)
{
	struct xfer_auto *choice = connection->choice;
	struct xfer_auto_part other;
	int ret;

	ret = xfer_auto_part_decode(remote->part, remote->part_size, &other);
	if (!ret)
		ret = xfer_auto_choose(&choice->own, &other, choice->reasons);
	if (ret == -EPROTO)
		return tandem_error_set(error, ret,
					"auto: the other side's description is malformed");
	if (ret < 0)
		return tandem_error_set(
			error, ret,
			"auto: no transport reaches the other side, the last one since %s",
			choice->reasons[TANDEM_TRANSPORT_TCP].message);
	ret = become(connection, ret, remote, &other.offers[ret], error);
	if (!ret)
		close_transports(connection);
	return ret;
}

/* Nothing is under way before it has become another one. */
static void auto_close(struct tandem_connection *connection)
{
	close_transports(connection);
}

const struct xfer_transport_ops xfer_auto_ops = {
	.open = auto_open,
	.describe = auto_describe,
	.connect = auto_connect,
	.close = auto_close,
};
