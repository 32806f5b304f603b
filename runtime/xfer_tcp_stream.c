// SPDX-License-Identifier: MIT
/*
 * Frames out of and into device memory. A stream that has nothing to send
 * takes what is queued, up to a frame; so small writes are put together while
 * the socket is busy, and streams share the work as each can do it.
 *
 * A frame of blocks is acknowledged when all of it is in the receiver's memory, with
 * the next frame the other way. A push is done when all its frames are acknowledged:
 * a side that has stopped cannot be taken for one that has received.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xfer_tcp.h"

/* Frames get shorter near the end of the queue, so that all streams have some. */
#define FRAME_BYTES_MIN		(256ull << 10)
#define DISCARD_BYTES		(1u << 30)

static void stream_sent(struct loop_event *event, int result, uint64_t extra);
static void stream_received(struct loop_event *event, int result, uint64_t extra);

void tcp_stream_init(struct tcp *tcp, unsigned int index)
{
	struct tcp_stream *stream = &tcp->streams[index];

	stream->tcp = tcp;
	stream->index = index;
	stream->fd = -1;
	stream->send_event.fire = stream_sent;
	stream->receive_event.fire = stream_received;
	STAILQ_INIT(&stream->sent);
	STAILQ_INIT(&stream->answers);
}

/*
 * Requests
 */

/* Go on after @done bytes of a message. Return: is there anything left? */
static bool message_advance(struct msghdr *message, size_t done)
{
	while (message->msg_iovlen && done >= message->msg_iov->iov_len) {
		done -= message->msg_iov->iov_len;
		message->msg_iov++;
		message->msg_iovlen--;
	}
	if (!message->msg_iovlen)
		return false;
	message->msg_iov->iov_base = (uint8_t *)message->msg_iov->iov_base + done;
	message->msg_iov->iov_len -= done;
	return true;
}

static int stream_post_send(struct tcp_stream *stream)
{
	struct io_uring_sqe *sqe = loop_sqe(stream->tcp->loop);

	if (!sqe)
		return -ENOMEM;
	io_uring_prep_sendmsg(sqe, stream->fd, &stream->out_message, MSG_WAITALL | MSG_NOSIGNAL);
	io_uring_sqe_set_data(sqe, &stream->send_event);
	stream->sending = true;
	return 0;
}

static int stream_post_receive(struct tcp_stream *stream)
{
	struct io_uring_sqe *sqe = loop_sqe(stream->tcp->loop);

	if (!sqe)
		return -ENOMEM;
	io_uring_prep_recvmsg(sqe, stream->fd, &stream->in_message, MSG_WAITALL);
	io_uring_sqe_set_data(sqe, &stream->receive_event);
	stream->receiving = true;
	return 0;
}

int tcp_stream_send_range(struct tcp_stream *stream, const void *bytes, size_t size)
{
	stream->out[0].iov_base = (void *)bytes;
	stream->out[0].iov_len = size;
	stream->out_message.msg_iov = stream->out;
	stream->out_message.msg_iovlen = 1;
	return stream_post_send(stream);
}

int tcp_stream_receive_range(struct tcp_stream *stream, void *bytes, size_t size)
{
	stream->in[0].iov_base = bytes;
	stream->in[0].iov_len = size;
	stream->in_message.msg_iov = stream->in;
	stream->in_message.msg_iovlen = 1;
	return stream_post_receive(stream);
}

/*
 * Sending
 */

static uint64_t frame_bytes(const struct tcp *tcp)
{
	uint64_t share = tcp->queue_bytes / tcp->stream_count;

	if (share < FRAME_BYTES_MIN)
		return FRAME_BYTES_MIN;
	return share < TCP_FRAME_BYTES ? share : TCP_FRAME_BYTES;
}

/* Where an entry is once its frame is being sent. */
static void stream_keep(struct tcp_stream *stream, struct tcp_write *write)
{
	switch (write->kind) {
	case TCP_FRAME_BLOCKS:
		xfer_push_on_rail(write->push, stream->index);
		STAILQ_INSERT_TAIL(&stream->sent, write, entry);
		break;
	case TCP_FRAME_REQUESTS:
		xfer_push_on_rail(write->push, stream->index);
		write->asked = true;
		break;
	default:
		STAILQ_INSERT_TAIL(&stream->answers, write, entry);
		break;
	}
}

/* Take a frame's worth of entries of one kind, as they are queued. */
static void stream_take(struct tcp_stream *stream, struct tcp_head *head)
{
	struct tcp *tcp = stream->tcp;
	struct tcp_writes *queue = STAILQ_EMPTY(&tcp->requests) ? &tcp->queue : &tcp->requests;
	const uint64_t limit = frame_bytes(tcp);
	struct tcp_write *write, *last = NULL;
	uint64_t bytes;

	while ((write = STAILQ_FIRST(queue)) && head->entries < TCP_FRAME_ENTRIES) {
		bytes = tcp_frame_has_bytes(write->kind) ? write->to.length : 0;
		if (last && (write->kind != last->kind || head->bytes + bytes > limit))
			break;
		STAILQ_REMOVE_HEAD(queue, entry);
		tcp->queue_bytes -= bytes;
		write->ends_frame = false;
		tcp_entry_encode(&write->to, stream->out_frame, head->entries);
		stream->out[1 + head->entries].iov_base = write->bytes;
		stream->out[1 + head->entries].iov_len = bytes;
		head->entries++;
		head->bytes += bytes;
		stream_keep(stream, write);
		last = write;
	}
	if (!last)
		return;
	last->ends_frame = true;
	head->kind = last->kind;
}

/* Take what notes there are, up to a frame of them. */
static void stream_take_notes(struct tcp_stream *stream, struct tcp_head *head)
{
	struct tcp *tcp = stream->tcp;
	struct tcp_queued_note *queued;

	while ((queued = STAILQ_FIRST(&tcp->notes)) && head->entries < TCP_FRAME_ENTRIES) {
		STAILQ_REMOVE_HEAD(&tcp->notes, entry);
		tcp->note_count--;
		xfer_note_encode(&queued->note, stream->out_frame + TCP_ENTRIES_AT +
				 head->entries++ * XFER_NOTE_BYTES);
		free(queued);
	}
	head->kind = TCP_FRAME_NOTES;
}

int tcp_stream_send(struct tcp_stream *stream)
{
	struct tcp_head head = {
		.acknowledged = stream->acknowledge,
		.number = stream->frames_sent,
	};

	if (stream->sending || stream->state != TCP_STREAM_UP)
		return 0;
	/* Notes keep their order. */
	if (stream->index || STAILQ_EMPTY(&stream->tcp->notes))
		stream_take(stream, &head);
	else
		stream_take_notes(stream, &head);
	if (!head.entries && !head.acknowledged)
		return 0;
	stream->frames_sent += head.kind == TCP_FRAME_BLOCKS && head.entries;
	stream->acknowledge = 0;
	tcp_head_encode(&head, stream->out_frame);
	stream->out[0].iov_base = stream->out_frame;
	stream->out[0].iov_len = head.entries > 1 ?
		TCP_ENTRIES_AT + head.entries * TCP_ENTRY_BYTES : TCP_HEAD_BYTES;
	stream->out_message.msg_iov = stream->out;
	stream->out_message.msg_iovlen = 1 + (head.bytes ? head.entries : 0);
	return stream_post_send(stream);
}

/*
 * Receiving
 */

static int stream_await_head(struct tcp_stream *stream)
{
	stream->part = TCP_PART_HEAD;
	return tcp_stream_receive_range(stream, stream->in_frame, TCP_HEAD_BYTES);
}

static int stream_got(struct tcp_stream *stream);

int tcp_stream_watch(struct tcp_stream *stream)
{
	return stream_await_head(stream);
}

/* What comes, or does not, while the other side waits for our answer. */
static int stream_watched(struct tcp_stream *stream, int result)
{
	if (result <= 0)
		return tcp_error(result);
	/* The kernel may tell of the end of the answer after this. */
	if (stream->state != TCP_STREAM_ANSWERING)
		return -EPROTO;
	stream->early = true;
	return 0;
}

int tcp_stream_up(struct tcp_stream *stream)
{
	int ret = 0;

	stream->state = TCP_STREAM_UP;
	if (!stream->receiving && !stream->early)
		ret = stream_await_head(stream);
	if (ret < 0)
		return ret;
	tcp_stream_is_up(stream->tcp);
	if (!stream->early || stream->state != TCP_STREAM_UP)
		return 0;
	stream->early = false;
	return stream_got(stream);
}

/* The other side has @count more of our frames. */
static int stream_acknowledged(struct tcp_stream *stream, uint32_t count)
{
	struct tcp *tcp = stream->tcp;
	struct tcp_write *write;

	if (count > stream->frames_sent - stream->frames_acknowledged)
		return -EPROTO;
	stream->frames_acknowledged += count;
	while (count && !tcp->stopping) {
		write = STAILQ_FIRST(&stream->sent);
		STAILQ_REMOVE_HEAD(&stream->sent, entry);
		STAILQ_INSERT_HEAD(&tcp->unused, write, entry);
		count -= write->ends_frame;
		tcp->connection->stats.cpu_copied_bytes += write->to.length;
		connection_write_done(tcp->connection, write->push, write->to.length, 0);
	}
	connection_continue(tcp->connection);
	return 0;
}

/* stream->in says where they go. */
static int stream_await_bytes(struct tcp_stream *stream)
{
	stream->in_message.msg_iov = stream->in;
	stream->in_message.msg_iovlen = stream->head.entries;
	stream->part = TCP_PART_BYTES;
	return stream_post_receive(stream);
}

static int stream_got_notes(struct tcp_stream *stream)
{
	struct tcp *tcp = stream->tcp;
	struct xfer_note note;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < stream->head.entries && !ret && !tcp->stopping; i++) {
		ret = xfer_note_decode(stream->in_frame + TCP_ENTRIES_AT + i * XFER_NOTE_BYTES,
				       &note);
		if (!ret)
			ret = connection_told(tcp->connection, &note);
	}
	if (ret < 0 || tcp->stopping)
		return ret;
	return stream_await_head(stream);
}

static int stream_decode(struct tcp_stream *stream, uint64_t limit)
{
	return tcp_entries_decode(stream->in_frame, &stream->head, limit, stream->entries);
}

static int stream_got_blocks(struct tcp_stream *stream)
{
	const struct tcp_entry *entry = stream->entries;
	struct xfer_write write = { 0 };
	unsigned int i;
	int ret;

	ret = stream_decode(stream, stream->tcp->memory_bytes);
	for (i = 0; i < stream->head.entries && !ret; i++, entry++) {
		write.remote_offset = entry->offset;
		write.length = entry->length;
		write.transfer = entry->transfer;
		write.blocks = entry->blocks;
		write.generation = entry->generation;
		ret = connection_admit(stream->tcp->connection, &write);
		stream->in[i].iov_base = stream->tcp->memory + entry->offset;
		stream->in[i].iov_len = entry->length;
	}
	return ret < 0 ? ret : stream_await_bytes(stream);
}

static int stream_got_requests(struct tcp_stream *stream)
{
	struct tcp *tcp = stream->tcp;
	int ret;

	ret = stream_decode(stream, tcp->memory_bytes);
	if (!ret)
		ret = tcp_requested(tcp, stream->entries, stream->head.entries);
	if (!ret)
		ret = tcp_send(tcp);
	return ret < 0 ? ret : stream_await_head(stream);
}

static int stream_got_answers(struct tcp_stream *stream)
{
	struct tcp *tcp = stream->tcp;
	struct tcp_write *request;
	unsigned int i;

	if (stream_decode(stream, UINT64_MAX) < 0)
		return -EPROTO;
	for (i = 0; i < stream->head.entries; i++) {
		request = tcp_answer_begin(tcp, &stream->entries[i]);
		if (!request)
			return -EPROTO;
		stream->in[i].iov_base = request->bytes;
		stream->in[i].iov_len = request->to.length;
	}
	if (stream->head.kind == TCP_FRAME_ANSWERS)
		return stream_await_bytes(stream);
	tcp_answered(tcp, stream->entries, stream->head.entries, -EACCES);
	return tcp->stopping ? 0 : stream_await_head(stream);
}

static int stream_got_entries(struct tcp_stream *stream)
{
	switch (stream->head.kind) {
	case TCP_FRAME_BLOCKS:
		return stream_got_blocks(stream);
	case TCP_FRAME_NOTES:
		return stream_got_notes(stream);
	case TCP_FRAME_REQUESTS:
		return stream_got_requests(stream);
	default:
		return stream_got_answers(stream);
	}
}

static int stream_got_head(struct tcp_stream *stream)
{
	struct tcp_head *head = &stream->head;
	int ret;

	ret = tcp_head_decode(stream->in_frame, head);
	if (ret < 0 || head->number != stream->frames_received)
		return -EPROTO;
	if (head->acknowledged)
		ret = stream_acknowledged(stream, head->acknowledged);
	if (ret < 0 || stream->tcp->stopping)
		return ret;
	if (!head->entries)
		return stream_await_head(stream);
	if (head->entries == 1)
		return stream_got_entries(stream);
	stream->part = TCP_PART_ENTRIES;
	return tcp_stream_receive_range(stream, stream->in_frame + TCP_HEAD_BYTES,
					(head->entries - 1) * TCP_ENTRY_BYTES);
}

/* A whole frame is in memory. */
static int stream_got_bytes(struct tcp_stream *stream)
{
	struct tcp *tcp = stream->tcp;
	const struct tcp_entry *entry = stream->entries;
	unsigned int i;
	int ret;

	tcp->connection->stats.cpu_copied_bytes += stream->head.bytes;
	if (stream->head.kind == TCP_FRAME_ANSWERS) {
		tcp_answered(tcp, entry, stream->head.entries, 0);
		return tcp->stopping ? 0 : stream_await_head(stream);
	}
	stream->frames_received++;
	for (i = 0; i < stream->head.entries && !tcp->stopping; i++, entry++)
		connection_received(tcp->connection, entry->transfer, entry->blocks);
	if (tcp->stopping)
		return 0;
	stream->acknowledge++;
	ret = tcp_stream_send(stream);
	return ret < 0 ? ret : stream_await_head(stream);
}

static int stream_got(struct tcp_stream *stream)
{
	switch (stream->part) {
	case TCP_PART_HEAD:
		return stream_got_head(stream);
	case TCP_PART_ENTRIES:
		return stream_got_entries(stream);
	default:
		return stream_got_bytes(stream);
	}
}

/*
 * Ending
 */

static void stream_close(struct tcp_stream *stream)
{
	close(stream->fd);
	stream->fd = -1;
	stream->state = TCP_STREAM_CLOSED;
	/* No other socket takes its place. */
	stream->other_gone = true;
	tcp_stream_is_closed(stream->tcp);
}

static int stream_discard(struct tcp_stream *stream)
{
	struct io_uring_sqe *sqe = loop_sqe(stream->tcp->loop);

	if (!sqe)
		return -ENOMEM;
	/* With this flag TCP throws bytes away instead of storing them. */
	io_uring_prep_recv(sqe, stream->fd, NULL, DISCARD_BYTES, MSG_TRUNC);
	io_uring_sqe_set_data(sqe, &stream->receive_event);
	stream->receiving = true;
	return 0;
}

/*
 * What has been sent may still be on its way into the other side's memory. It
 * has stopped taking that when it sends no more: it is asked to by the end of
 * our stream.
 */
static void stream_drain(struct tcp_stream *stream)
{
	if (stream->sending || stream->receiving)
		return;
	if (stream->other_gone || STAILQ_EMPTY(&stream->sent) || stream_discard(stream) < 0)
		stream_close(stream);
}

void tcp_stream_stop(struct tcp_stream *stream)
{
	bool up = stream->state == TCP_STREAM_UP;

	if (stream->state == TCP_STREAM_CLOSED || stream->state == TCP_STREAM_DRAINING)
		return;
	stream->state = TCP_STREAM_DRAINING;
	/* If there is no room for a request, this ends them as well. */
	if ((stream->receiving &&
	     loop_event_cancel(stream->tcp->loop, &stream->receive_event) < 0) ||
	    (stream->sending && loop_event_cancel(stream->tcp->loop, &stream->send_event) < 0))
		up = false;
	shutdown(stream->fd, up ? SHUT_WR : SHUT_RDWR);
	stream_drain(stream);
}

void tcp_stream_stop_waiting(struct tcp_stream *stream)
{
	if (stream->state != TCP_STREAM_DRAINING)
		return;
	stream->other_gone = true;
	shutdown(stream->fd, SHUT_RDWR);
	if (stream->receiving)
		loop_event_cancel(stream->tcp->loop, &stream->receive_event);
}

void tcp_stream_kill(struct tcp_stream *stream)
{
	if (stream->fd < 0)
		return;
	loop_fd_cancel(stream->tcp->loop, stream->fd);
	close(stream->fd);
	stream->fd = -1;
	stream->state = TCP_STREAM_CLOSED;
}

/*
 * Completions
 */

static bool interrupted(int result)
{
	return result == -EINTR || result == -EAGAIN;
}

/* A frame has been sent. */
static int stream_send_next(struct tcp_stream *stream)
{
	tcp_answers_sent(stream->tcp, &stream->answers);
	return tcp_stream_send(stream);
}

static void stream_sent(struct loop_event *event, int result, uint64_t extra)
{
	struct tcp_stream *stream = (void *)((char *)event -
					     offsetof(struct tcp_stream, send_event));
	struct tcp *tcp = stream->tcp;
	bool left = false;
	int ret = 0;

	(void)extra;
	stream->sending = false;
	switch (stream->state) {
	case TCP_STREAM_CLOSED:
		tcp_put(tcp);
		return;
	case TCP_STREAM_DRAINING:
		stream_drain(stream);
		return;
	case TCP_STREAM_DIALLING:
		tcp_greet_sent(stream, result);
		return;
	default:
		break;
	}
	if (result >= 0 || interrupted(result))
		left = message_advance(&stream->out_message, result > 0 ? result : 0);
	if (left)
		ret = stream_post_send(stream);
	else if (stream->state != TCP_STREAM_UP)
		tcp_greet_sent(stream, result);
	else
		ret = result < 0 ? tcp_error(result) : stream_send_next(stream);
	if (ret < 0)
		connection_fail(tcp->connection, ret);
}

static void stream_received(struct loop_event *event, int result, uint64_t extra)
{
	struct tcp_stream *stream = (void *)((char *)event -
					     offsetof(struct tcp_stream, receive_event));
	struct tcp *tcp = stream->tcp;
	bool left = false;
	int ret = 0;

	(void)extra;
	stream->receiving = false;
	if (stream->state == TCP_STREAM_CLOSED) {
		tcp_put(tcp);
		return;
	}
	if (stream->state == TCP_STREAM_DRAINING) {
		/* Cut short by us, it says nothing of the other side. */
		if (!result || (result < 0 && result != -ECANCELED && !interrupted(result)))
			stream->other_gone = true;
		stream_drain(stream);
		return;
	}
	if (result > 0 || interrupted(result))
		left = message_advance(&stream->in_message, result > 0 ? result : 0);
	if (!result)
		stream->other_gone = true;
	if (left)
		ret = stream_post_receive(stream);
	else if (stream->state == TCP_STREAM_PARKED || stream->state == TCP_STREAM_ANSWERING)
		ret = stream_watched(stream, result);
	else if (stream->state != TCP_STREAM_UP)
		tcp_greet_received(stream, result);
	else
		ret = result <= 0 ? tcp_error(result) : stream_got(stream);
	if (ret < 0)
		connection_fail(tcp->connection, ret);
}
