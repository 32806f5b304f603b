/* SPDX-License-Identifier: MIT */
/*
 * The tcp transport: several streams between two sides, on the loop's ring.
 *
 *	xfer_tcp_frame.c	what is said on the wire
 *	xfer_tcp_listen.c	the listening socket, and who knocks at it
 *	xfer_tcp_greet.c	from a socket to a stream that both sides trust
 *	xfer_tcp_stream.c	frames out of and into device memory
 *	xfer_tcp_read.c		requests to read, and their answers
 *	xfer_tcp.c		the ops table
 *
 * Bytes go straight between sockets and the mapping of device memory; nothing
 * is staged. (The kernel's socket layer copies them, which is what TCP costs.)
 */
#ifndef TANDEM_RUNTIME_XFER_TCP_H
#define TANDEM_RUNTIME_XFER_TCP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "xfer.h"
#include "xfer_tcp_frame.h"

/* Writes that a connection takes at once, and requests of the other side. */
#define TCP_SLOTS		4096u
/* The longest write, and about the longest frame. A block is never cut. */
#define TCP_WRITE_BYTES		(1ull << 20)
#define TCP_FRAME_BYTES		(4ull << 20)
#define TCP_STREAMS_DEFAULT	2u
/*
 * Notes that wait for the first stream: a checksum for each write, and answers; a side that
 * has us answer without reading is lost.
 */
#define TCP_NOTES_MAX		(TCP_SLOTS + 4096u)

/**
 * struct tcp_queued_note - a note that the first stream has not taken
 * @entry: in &tcp.notes
 * @note: what to tell
 */
struct tcp_queued_note {
	STAILQ_ENTRY(tcp_queued_note) entry;
	struct xfer_note note;
};

/**
 * struct tcp_write - an entry of a frame that this side sends
 * @entry: in a queue of &struct tcp, in &tcp_stream.sent or &tcp_stream.answers, or
 *	in &tcp.unused or &tcp.unused_answers; in none while @asked
 * @kind: &enum tcp_frame_kind, of the frame that it is for
 * @push: that it belongs to; NULL for answers and refusals
 * @bytes: the local ones: to be sent, or where those go that are asked for
 * @to: the entry
 * @ends_frame: the last one of its frame
 * @asked: a request that has been sent, and not been answered
 */
struct tcp_write {
	STAILQ_ENTRY(tcp_write) entry;
	uint32_t kind;
	struct xfer_push *push;
	uint8_t *bytes;
	struct tcp_entry to;
	bool ends_frame;
	bool asked;
};

STAILQ_HEAD(tcp_writes, tcp_write);

enum tcp_stream_state {
	TCP_STREAM_CLOSED,	/* no socket, not yet or not any more */
	TCP_STREAM_DIALLING,
	TCP_STREAM_GREETING,	/* sends the first greeting */
	TCP_STREAM_AWAITING,	/* waits for the answer */
	TCP_STREAM_PARKED,	/* greeted; our side has yet to be connected */
	TCP_STREAM_ANSWERING,	/* sends the answer */
	TCP_STREAM_UP,
	TCP_STREAM_DRAINING,	/* until nothing of ours can land any more */
};

enum tcp_stream_part {
	TCP_PART_HEAD,
	TCP_PART_ENTRIES,
	TCP_PART_BYTES,
};

struct tcp;

/**
 * struct tcp_stream - one socket of a connection
 * @tcp: the connection's
 * @index: number of the stream
 * @state: see there
 * @fd: the socket; -1 when closed
 * @send_event: of the request that sends
 * @receive_event: of the request that receives
 * @sending: the kernel has a request that sends, or dials
 * @receiving: the kernel has a request that receives
 * @other_gone: the other side has stopped sending, so it has stopped receiving
 * @address: index of the address that is being dialled
 * @dial_timeout: how long that may take
 * @greeting: sent or received
 * @sent: writes that are not acknowledged, oldest first
 * @answers: in the frame that is being sent, if it is one of these
 * @frames_sent: with entries of blocks
 * @frames_acknowledged: of these
 * @acknowledge: frames to acknowledge with the next one that is sent
 * @out_message: what is left of the frame that is being sent
 * @out: its parts
 * @out_frame: its head and entries
 * @part: what is being received
 * @in_message: what is left of that
 * @in: where it goes
 * @in_frame: head and entries
 * @head: decoded, from %TCP_PART_ENTRIES on
 * @entries: decoded, in %TCP_PART_BYTES
 * @frames_received: with entries of blocks
 * @early: the first head has come before the end of the answer was told
 */
struct tcp_stream {
	struct tcp *tcp;
	unsigned int index;
	enum tcp_stream_state state;
	int fd;
	struct loop_event send_event;
	struct loop_event receive_event;
	bool sending;
	bool receiving;
	bool other_gone;
	unsigned int address;
	struct __kernel_timespec dial_timeout;
	uint8_t greeting[TCP_GREETING_BYTES];
	struct tcp_writes sent;
	struct tcp_writes answers;
	uint64_t frames_sent;
	uint64_t frames_acknowledged;
	uint32_t acknowledge;
	struct msghdr out_message;
	struct iovec out[1 + TCP_FRAME_ENTRIES];
	uint8_t out_frame[TCP_FRAME_BYTES_MAX];
	enum tcp_stream_part part;
	struct msghdr in_message;
	struct iovec in[TCP_FRAME_ENTRIES];
	uint8_t in_frame[TCP_FRAME_BYTES_MAX];
	struct tcp_head head;
	struct tcp_entry entries[TCP_FRAME_ENTRIES];
	uint64_t frames_received;
	bool early;
};

struct tcp_listener;

/**
 * struct tcp - the transport's part of a connection
 * @entry: in &tcp_listener.sides
 * @listener: where this side is reached
 * @connection: of it; NULL once closed
 * @loop: where the requests are
 * @memory: the pool, mapped
 * @memory_bytes: its size
 * @local: what the other side is told
 * @remote: what it told; valid once @connected
 * @connected: @remote is known
 * @dials: this side dials and the other one answers; else the reverse
 * @stopping: no stream carries blocks any more
 * @streams: the first @stream_count are used
 * @streams_up: that are %TCP_STREAM_UP
 * @queue: writes, answers and refusals that no stream has taken
 * @queue_bytes: that go with them
 * @requests: to be sent before those, likewise
 * @notes: to be sent before them, oldest first
 * @note_count: of these
 * @unused: slots
 * @unused_answers: slots for answers and refusals
 * @slots: all of them; those of requests, which are known by their numbers, are among
 *	the first %TCP_SLOTS
 * @drain_timer: ends %TCP_STREAM_DRAINING; or NULL
 *
 * Belongs to the loop's thread; no lock. Requests of the kernel point into it:
 * it is freed when the connection is closed and the last of them has ended.
 */
struct tcp {
	LIST_ENTRY(tcp) entry;
	struct tcp_listener *listener;
	struct tandem_connection *connection;
	struct tandem_loop *loop;
	uint8_t *memory;
	uint64_t memory_bytes;
	struct tcp_endpoint local;
	struct tcp_endpoint remote;
	bool connected;
	bool dials;
	bool stopping;
	struct tcp_stream *streams;
	unsigned int stream_count;
	unsigned int streams_up;
	struct tcp_writes queue;
	uint64_t queue_bytes;
	struct tcp_writes requests;
	STAILQ_HEAD(, tcp_queued_note) notes;
	unsigned int note_count;
	struct tcp_writes unused;
	struct tcp_writes unused_answers;
	struct tcp_write *slots;
	struct loop_timer *drain_timer;
};

/*
 * xfer_tcp_listen.c
 */

/**
 * tcp_listen() - have a side be reached
 * @tcp: token set; its listener and the rest of its endpoint are filled in
 * @options: address and port
 * @error: filled in on failure
 *
 * Sides on one loop with the same address and port share a socket.
 *
 * Return: 0 or a negative errno.
 */
int tcp_listen(struct tcp *tcp, const struct tandem_connection_options *options,
	       struct tandem_error *error);

/* The side is not reached any more; nothing if it never was. */
void tcp_unlisten(struct tcp *tcp);

/*
 * xfer_tcp_greet.c
 */

/* Begin to dial all streams. Return: 0 or -ENOMEM. */
int tcp_dial(struct tcp *tcp);

/**
 * tcp_greeted() - somebody knows our token
 * @tcp: whose it is
 * @fd: the socket; taken over unless refused
 * @greeting: what was said
 *
 * Return: 0, or a negative errno when there is no such stream to be had.
 */
int tcp_greeted(struct tcp *tcp, int fd, const struct tcp_greeting *greeting);

/* Our side is connected: answer those that are parked. Return: 0 or -ENOMEM. */
int tcp_answer(struct tcp *tcp);

/* A request of a stream that is not up has ended. */
void tcp_greet_sent(struct tcp_stream *stream, int result);
void tcp_greet_received(struct tcp_stream *stream, int result);

/*
 * xfer_tcp_stream.c
 */

void tcp_stream_init(struct tcp *tcp, unsigned int index);

/* Notice if the other side goes before the stream is up. Return: 0 or -ENOMEM. */
int tcp_stream_watch(struct tcp_stream *stream);

/* Begin to carry blocks. Return: 0 or -ENOMEM. */
int tcp_stream_up(struct tcp_stream *stream);

/* Send what is queued, if the stream is idle. Return: 0 or -ENOMEM. */
int tcp_stream_send(struct tcp_stream *stream);

/*
 * Send or receive a range that is not a frame, in full if @whole. Return: 0 or
 * -ENOMEM.
 */
int tcp_stream_send_range(struct tcp_stream *stream, const void *bytes, size_t size);
int tcp_stream_receive_range(struct tcp_stream *stream, void *bytes, size_t size);

/* Carry no more blocks, and close when nothing of ours can land any more. */
void tcp_stream_stop(struct tcp_stream *stream);

/* Do not wait any longer for the other side. */
void tcp_stream_stop_waiting(struct tcp_stream *stream);

/* Close now. The kernel has ended all requests on return. */
void tcp_stream_kill(struct tcp_stream *stream);

/*
 * xfer_tcp_read.c
 */

/* Requests of the other side have come. Return: 0 or -EPROTO. */
int tcp_requested(struct tcp *tcp, const struct tcp_entry *entries, unsigned int count);

/**
 * tcp_answer_begin() - an answer or refusal comes
 * @tcp: of this side
 * @entry: of it, from the other side
 *
 * Return: the request, which it is what was asked for; NULL if there is none such, or
 * it was answered before.
 */
struct tcp_write *tcp_answer_begin(struct tcp *tcp, const struct tcp_entry *entry);

/* A whole frame of answers or refusals has come: their requests end with @result. */
void tcp_answered(struct tcp *tcp, const struct tcp_entry *entries, unsigned int count,
		  int result);

/* A frame with these answers or refusals has been sent; they are taken. */
void tcp_answers_sent(struct tcp *tcp, struct tcp_writes *answers);

/*
 * xfer_tcp.c
 */

/* Have the streams take what is queued. Return: 0 or -ENOMEM. */
int tcp_send(struct tcp *tcp);

/* What went wrong on a socket, as operations end with it. */
int tcp_error(int result);

/* A stream has come up, and been closed. */
void tcp_stream_is_up(struct tcp *tcp);
void tcp_stream_is_closed(struct tcp *tcp);

/* Free it if it is closed and the kernel is done with it. */
void tcp_put(struct tcp *tcp);

#endif /* TANDEM_RUNTIME_XFER_TCP_H */
