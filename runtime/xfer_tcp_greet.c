// SPDX-License-Identifier: MIT
/*
 * From a socket to a stream that both sides trust. Of two sides, the one with
 * the lower token dials. It names the other's token, which was in the other's
 * description; the other answers with the caller's, when its application has
 * given it the caller's description. So each knows that it talks to whom it was
 * told about. (Tokens go over the network as they are: whoever can read them
 * there can read the blocks, too.)
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "socket.h"
#include "xfer_tcp.h"

/* For each address that is tried. */
#define DIAL_SECONDS	5

/*
 * Dialling
 */

static int stream_connect(struct tcp_stream *stream)
{
	const struct sockaddr_storage *address = &stream->tcp->remote.addresses[stream->address];
	struct tandem_loop *loop = stream->tcp->loop;
	struct io_uring_sqe *sqe;

	if (loop_reserve(loop, 2) < 0)
		return -ENOMEM;
	sqe = loop_sqe(loop);
	io_uring_prep_connect(sqe, stream->fd, (const struct sockaddr *)address,
			      tcp_address_size(address));
	io_uring_sqe_set_data(sqe, &stream->send_event);
	sqe->flags |= IOSQE_IO_LINK;
	sqe = loop_sqe(loop);
	stream->dial_timeout.tv_sec = DIAL_SECONDS;
	io_uring_prep_link_timeout(sqe, &stream->dial_timeout, 0);
	stream->sending = true;
	return 0;
}

/* Try the addresses from the current one on, passing over what is no use here. */
static int stream_dial(struct tcp_stream *stream)
{
	struct tcp *tcp = stream->tcp;
	int ret = -EADDRNOTAVAIL;

	for (; stream->address < tcp->remote.address_count; stream->address++) {
		stream->fd = socket(tcp->remote.addresses[stream->address].ss_family,
				    SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (stream->fd < 0) {
			ret = -errno;
			continue;
		}
		socket_prepare(stream->fd, tcp->connection->timeout_ms);
		stream->state = TCP_STREAM_DIALLING;
		return stream_connect(stream);
	}
	return ret;
}

int tcp_dial(struct tcp *tcp)
{
	unsigned int i;
	int ret;

	for (i = 0; i < tcp->stream_count; i++) {
		/* Somebody has called whose turn it was not. */
		if (tcp->streams[i].state != TCP_STREAM_CLOSED)
			return -EPROTO;
		ret = stream_dial(&tcp->streams[i]);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int stream_greet(struct tcp_stream *stream, enum tcp_stream_state state)
{
	struct tcp_greeting greeting = {
		.stream = stream->index,
		.streams = stream->tcp->stream_count,
	};

	memcpy(greeting.token, stream->tcp->remote.token, TCP_TOKEN_BYTES);
	tcp_greeting_encode(&greeting, stream->greeting);
	stream->state = state;
	return tcp_stream_send_range(stream, stream->greeting, sizeof(stream->greeting));
}

static int stream_dialled(struct tcp_stream *stream, int result)
{
	int ret;

	if (!result)
		return stream_greet(stream, TCP_STREAM_GREETING);
	close(stream->fd);
	stream->fd = -1;
	stream->state = TCP_STREAM_CLOSED;
	stream->address++;
	ret = stream_dial(stream);
	if (ret != -EADDRNOTAVAIL)
		return ret;
	return result == -ECANCELED ? -ETIMEDOUT : tcp_error(result);
}

void tcp_greet_sent(struct tcp_stream *stream, int result)
{
	int ret;

	switch (stream->state) {
	case TCP_STREAM_DIALLING:
		ret = stream_dialled(stream, result);
		break;
	case TCP_STREAM_GREETING:
		stream->state = TCP_STREAM_AWAITING;
		ret = result < 0 ? tcp_error(result) :
			tcp_stream_receive_range(stream, stream->greeting,
						 sizeof(stream->greeting));
		break;
	default:
		ret = result < 0 ? tcp_error(result) : tcp_stream_up(stream);
		break;
	}
	if (ret < 0)
		connection_fail(stream->tcp->connection, ret);
}

void tcp_greet_received(struct tcp_stream *stream, int result)
{
	struct tcp *tcp = stream->tcp;
	struct tcp_greeting answer;
	int ret;

	if (result <= 0)
		ret = tcp_error(result);
	else if (tcp_greeting_decode(stream->greeting, &answer) < 0 ||
		 answer.stream != stream->index || answer.streams != tcp->stream_count ||
		 !tcp_token_equal(answer.token, tcp->local.token))
		ret = -EPROTO;
	else
		ret = tcp_stream_up(stream);
	if (ret < 0)
		connection_fail(tcp->connection, ret);
}

/*
 * Being dialled
 */

int tcp_greeted(struct tcp *tcp, int fd, const struct tcp_greeting *greeting)
{
	struct tcp_stream *stream;
	int ret;

	if (tcp->stopping || tcp->dials || greeting->stream >= tcp->stream_count ||
	    (tcp->connected && greeting->streams != tcp->stream_count))
		return -EPROTO;
	stream = &tcp->streams[greeting->stream];
	if (stream->state != TCP_STREAM_CLOSED || stream->other_gone)
		return -EALREADY;
	socket_prepare(fd, tcp->connection->timeout_ms);
	stream->fd = fd;
	stream->state = TCP_STREAM_PARKED;
	ret = tcp_stream_watch(stream);
	if (!ret && tcp->connected)
		ret = stream_greet(stream, TCP_STREAM_ANSWERING);
	if (ret < 0)
		connection_fail(tcp->connection, ret);
	return 0;
}

int tcp_answer(struct tcp *tcp)
{
	unsigned int i;
	int ret;

	for (i = 0; i < tcp->stream_count; i++) {
		if (tcp->streams[i].state != TCP_STREAM_PARKED)
			continue;
		ret = stream_greet(&tcp->streams[i], TCP_STREAM_ANSWERING);
		if (ret < 0)
			return ret;
	}
	return 0;
}
