/* SPDX-License-Identifier: MIT */
/*
 * The local transport between processes of one host.
 *
 * Each side gives the other a file of its pool's memory, to be read. To push is to
 * tell the other side where the blocks are and where they go; its device copies them,
 * and it tells when they are there. So the receiver's memory is written by the
 * receiver's device alone: what was not granted is refused before a byte lands, and
 * nothing lands once the receiver has stopped its device, whatever the sender does.
 *
 * To pull is to have one's own device copy, and to tell nobody; but where there are
 * grants the other side is asked before, whether it offers the blocks, and told after.
 *
 * The sender's blocks are read until the receiver has told of them. Where a sender
 * cannot wait for that any more, it shuts its end of the socket before the blocks
 * become anybody else's. The receiver looks for that after each copy, and before it
 * counts: blocks that may have changed meanwhile have not arrived.
 *
 *	xfer_ipc_message.c	what is said
 *	xfer_ipc_greet.c	from a description to a socket that both sides trust
 *	xfer_ipc_send.c		telling and asking the other side
 *	xfer_ipc_take.c		what it tells and asks
 *	xfer_ipc_copy.c		copying, by this side's device
 *	xfer_ipc.c		the socket, opening, and coming to rest
 */
#ifndef TANDEM_RUNTIME_XFER_IPC_H
#define TANDEM_RUNTIME_XFER_IPC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "xfer.h"
#include "xfer_place.h"

/* Writes that a connection has under way at once. */
#define IPC_SLOTS 2048u
/*
 * The longest command, and the longest write. A device carries one out whole, and
 * this is how long the next one, or a cancellation, has to wait.
 */
#define IPC_COPY_BYTES (16ull << 20)
/* Writes in a message, which is one command; so few that the next can be told meanwhile. */
#define IPC_ENTRIES 512u
/*
 * Notes that wait for the socket: a checksum for each write, and answers; a side that has
 * us answer without reading is lost.
 */
#define IPC_NOTES_MAX (IPC_SLOTS + 4096u)

/*
 * xfer_ipc_message.c
 */

#define IPC_TOKEN_BYTES 16u
#define IPC_BOOT_BYTES	XFER_BOOT_BYTES

/**
 * struct ipc_endpoint - how a side is reached
 * @kind: &enum device_kind of its device
 * @grants: writes have to be granted there
 * @user: whose process it is
 * @network: the network namespace that the socket is in
 * @name: of the socket
 * @boot: of the host: since when it runs
 * @token: random, known to whom the description was given
 */
struct ipc_endpoint {
	uint16_t kind;
	bool grants;
	uint32_t user;
	uint64_t network;
	uint64_t name;
	uint8_t boot[IPC_BOOT_BYTES];
	uint8_t token[IPC_TOKEN_BYTES];
};

/* Bytes of an endpoint in a description. */
#define IPC_ENDPOINT_BYTES 56u

void ipc_endpoint_encode(const struct ipc_endpoint *endpoint, uint8_t *part);
/* From the other side, not trusted. Return: 0 or -EPROTO. */
int ipc_endpoint_decode(const uint8_t *part, struct ipc_endpoint *endpoint);

enum ipc_message_kind {
	IPC_GREETING = 1, /* the token of the side that it is sent to */
	IPC_MEMORY = 2, /* bytes of the memory whose file comes along */
	IPC_WRITES = 3, /* entries */
	IPC_DONE = 4, /* so many messages of writes are in memory */
	IPC_NOTE = 5, /* &struct xfer_note */
	IPC_READS = 6, /* entries: may they be read? */
	IPC_ANSWER = 7, /* to one message of reads: a bit for each entry that may */
	IPC_READ = 8, /* so many messages of reads, of which anything may be, have been */
};

/**
 * struct ipc_head - what a message begins with
 * @kind: &enum ipc_message_kind
 * @count: WRITES, READS, ANSWER: entries; DONE, READ: messages; else 1
 */
struct ipc_head {
	uint16_t kind;
	uint32_t count;
};

/**
 * struct ipc_entry - blocks to copy
 * @source: bytes from the start of the pool that they are read from
 * @destination: bytes from the start of the one that they are written to
 * @length: bytes
 * @transfer: for the receiver to count; of a read 0
 * @blocks: that are complete with it; of a read 0
 * @generation: of the receiver's grant, or the other side's offer, or 0
 */
struct ipc_entry {
	uint64_t source;
	uint64_t destination;
	uint64_t length;
	uint32_t transfer;
	uint32_t blocks;
	uint64_t generation;
};

#define IPC_HEAD_BYTES	   16u
#define IPC_ENTRY_BYTES	   40u
#define IPC_GREETING_BYTES (IPC_HEAD_BYTES + IPC_TOKEN_BYTES)
#define IPC_MEMORY_BYTES   (IPC_HEAD_BYTES + 8u)
#define IPC_NOTE_BYTES	   (IPC_HEAD_BYTES + XFER_NOTE_BYTES)
#define IPC_ANSWER_BYTES   (IPC_HEAD_BYTES + IPC_ENTRIES / 8)
#define IPC_MESSAGE_BYTES  (IPC_HEAD_BYTES + IPC_ENTRIES * IPC_ENTRY_BYTES)

void ipc_head_encode(const struct ipc_head *head, uint8_t *message);
/* Has the message what its head says, no more and no less? Return: 0 or -EPROTO. */
int ipc_head_decode(const uint8_t *message, size_t size, struct ipc_head *head);
void ipc_entry_encode(const struct ipc_entry *entry, uint8_t *message, unsigned int index);
void ipc_entry_decode(const uint8_t *message, unsigned int index, struct ipc_entry *entry);

/*
 * The transport
 */

enum ipc_state {
	IPC_CLOSED, /* no socket, not yet or not any more */
	IPC_PARKED, /* called; our side has yet to be connected */
	IPC_AWAITING, /* has called, and waits for the answer */
	IPC_TRUSTED, /* waits for the other side's memory */
	IPC_UP,
};

struct ipc_caller;
struct ipc_copy;
struct ipc_loan;

/**
 * struct ipc_write - a write that the other side has been told of or will be, or a read
 * @push: that it belongs to
 * @bytes: length
 */
struct ipc_write {
	struct xfer_push *push;
	uint64_t bytes;
};

/**
 * struct ipc_out - a message to send, or that was sent
 * @entry: in &ipc.out, &ipc.sent or &ipc.asked
 * @bytes: the message
 * @size: bytes of it
 * @pull: @writes are reads that it asks for
 * @count: entries of @writes; 0 for a note or an answer
 * @writes: that it tells of
 */
struct ipc_out {
	STAILQ_ENTRY(ipc_out) entry;
	uint8_t *bytes;
	size_t size;
	bool pull;
	unsigned int count;
	struct ipc_write writes[];
};

/**
 * struct ipc - the transport's part of a connection between processes
 * @connection: of it; NULL once closed
 * @loop: of the connection
 * @queue: of the receiving device; owned once connected
 * @local: how this side is reached
 * @remote: how the other one is; valid once @connected
 * @described: what the other side was told, all of it
 * @described_size: bytes of that
 * @connected: @remote is known
 * @dials: this side calls and the other answers; else the reverse
 * @listener: the socket that the other side calls at; -1 once closed
 * @listener_poll: the loop's watch of it
 * @callers: who has called and not greeted yet, oldest first
 * @caller_count: of these
 * @state: of @fd
 * @fd: the socket; -1 when closed
 * @poll: the loop's watch of it
 * @receive_task: goes on where a long round of receiving left off
 * @memory: file of our memory, until it has been sent; -1 for none
 * @local_bytes: of our pool
 * @remote_bytes: of the other side's
 * @view: the other side's memory as our device sees it
 * @copies: on the queue
 * @copy_count: those that the other side has told of
 * @done: messages of writes that the other side is to be told of
 * @read: messages of reads that have been carried out, likewise; in their order, without
 *	those of which nothing was allowed
 * @out: messages to send, oldest first
 * @note_count: notes and answers among them
 * @sent: those with writes that the other side has not told of, oldest first
 * @asked: those with reads that it has not answered, likewise
 * @loans: reads that it may carry out and has not told of, oldest message first
 * @loan_count: messages of these
 * @batch: writes that are not in a message yet
 * @batch_message: the message that they will be
 * @batch_count: entries of both
 * @batch_bytes: of all
 * @reads: reads that are not a command or message yet
 * @read_segments: the command that they will be, without grants
 * @read_message: the message that they will be, with grants
 * @read_count: entries of all three
 * @read_bytes: of all
 * @buffer: for what is received
 * @segments: for what it says
 * @stopping: nothing is copied or counted any more
 * @stopped: the other side has been told of that
 * @other_gone: the other side has stopped
 * @timer: how long @sent is waited for when stopping; or NULL
 *
 * Belongs to the loop's thread; no lock.
 */
struct ipc {
	struct tandem_connection *connection;
	struct tandem_loop *loop;
	struct tandem_queue *queue;
	struct ipc_endpoint local;
	struct ipc_endpoint remote;
	uint8_t described[XFER_TRANSPORT_PART_MAX];
	size_t described_size;
	bool connected;
	bool dials;
	int listener;
	struct loop_poll *listener_poll;
	TAILQ_HEAD(, ipc_caller) callers;
	unsigned int caller_count;
	enum ipc_state state;
	int fd;
	struct loop_poll *poll;
	struct loop_task receive_task;
	int memory;
	uint64_t local_bytes;
	uint64_t remote_bytes;
	struct tandem_memory *view;
	LIST_HEAD(, ipc_copy) copies;
	unsigned int copy_count;
	uint32_t done;
	uint32_t read;
	STAILQ_HEAD(ipc_outs, ipc_out) out;
	unsigned int note_count;
	struct ipc_outs sent;
	struct ipc_outs asked;
	STAILQ_HEAD(, ipc_loan) loans;
	unsigned int loan_count;
	struct ipc_write batch[IPC_ENTRIES];
	uint8_t batch_message[IPC_MESSAGE_BYTES];
	unsigned int batch_count;
	uint64_t batch_bytes;
	struct ipc_write reads[IPC_ENTRIES];
	struct tandem_copy_segment read_segments[IPC_ENTRIES];
	uint8_t read_message[IPC_MESSAGE_BYTES];
	unsigned int read_count;
	uint64_t read_bytes;
	uint8_t buffer[IPC_MESSAGE_BYTES];
	struct tandem_copy_segment segments[IPC_ENTRIES];
	bool stopping;
	bool stopped;
	bool other_gone;
	struct loop_timer *timer;
};

/*
 * xfer_ipc_greet.c
 */

/* Have a side be reached: @ipc->local is filled in. Return: 0 or -errno. */
int ipc_listen(struct ipc *ipc);
/* It is not reached any more; nothing if it never was. */
void ipc_unlisten(struct ipc *ipc);

/**
 * ipc_check_reachable() - can there be a socket between the two?
 * @local: this side
 * @remote: the other one
 * @error: filled in if not
 *
 * Both sides come to the same answer.
 *
 * Return: 0, -EHOSTUNREACH, -EPERM.
 */
int ipc_check_reachable(const struct ipc_endpoint *local, const struct ipc_endpoint *remote,
			struct tandem_error *error);

/* @ipc->remote is known: call the other side, or answer it. Return: 0 or -errno. */
int ipc_greet(struct ipc *ipc);

/**
 * ipc_greet_received() - take in a message on a socket that is not up
 * @ipc: connected; the message is in its buffer
 * @size: bytes of it
 * @fd: a file that came along, or -1; the caller's
 *
 * Return: 0 or a negative errno, upon which the connection fails.
 */
int ipc_greet_received(struct ipc *ipc, size_t size, int fd);

/**
 * ipc_socket_receive() - receive a message
 * @fd: the socket
 * @buffer: of %IPC_MESSAGE_BYTES
 * @passed: set to a file that came along, or -1; NULL where none may
 *
 * Return: its bytes; 0 the other side sends no more; -EAGAIN there is none;
 * -EPROTO it has more of anything than it may; another negative errno.
 */
ssize_t ipc_socket_receive(int fd, uint8_t *buffer, int *passed);

/* Send a message, and @file if that is not -1. Return: 0, -EAGAIN, -ECONNRESET, -errno. */
int ipc_socket_send(int fd, const void *message, size_t size, int file);

/*
 * xfer_ipc_send.c
 */

/*
 * Send what is to be sent, as far as the socket takes it; it tells when it takes more.
 * Return: 0 or a negative errno, upon which the connection fails.
 */
int ipc_send(struct ipc *ipc);
/* Have a message sent that nothing is waited for after. Return: likewise. */
int ipc_say(struct ipc *ipc, const struct ipc_head *head, const uint8_t *bytes, size_t size);
/* For %xfer_ipc_ops. */
int ipc_write(struct tandem_connection *connection, const struct xfer_write *write);
int ipc_flush(struct tandem_connection *connection);
int ipc_tell(struct tandem_connection *connection, const struct xfer_note *note);
void ipc_outs_free(struct ipc_outs *outs);

/*
 * xfer_ipc_take.c
 */

/* In @ipc's buffer, not trusted. Return: 0 or a negative errno, upon which the connection fails. */
int ipc_take_message(struct ipc *ipc, size_t size);
void ipc_loans_free(struct ipc *ipc);

/* Of an answer: may the entry be read? */
static inline bool ipc_bit_is_set(const uint8_t *bits, unsigned int bit)
{
	return bits[bit / 8] >> bit % 8 & 1;
}

/*
 * xfer_ipc_copy.c
 *
 * Return: 0 or a negative errno, upon which the connection fails.
 */

/* What our device has to do for an entry. */
void ipc_copy_segment(struct ipc *ipc, const struct ipc_entry *entry,
		      struct tandem_copy_segment *segment);
/* The @count writes that the other side tells of, in the buffer; not trusted. */
int ipc_copy_writes(struct ipc *ipc, unsigned int count);
/* The reads that are not a command yet, without asking. */
int ipc_copy_reads(struct ipc *ipc);
/* Those of a message of reads that the other side allows, @count of them. */
int ipc_copy_answered(struct ipc *ipc, const struct ipc_out *out, const uint8_t *bits,
		      unsigned int count);
void ipc_copies_cancel(struct ipc *ipc);

/*
 * xfer_ipc.c
 */

/* For connections whose transport is a &struct ipc. */
extern const struct xfer_transport_ops xfer_ipc_ops;

/* Only tests change it: sides in one process use it, too. */
extern bool xfer_ipc_always;

/**
 * ipc_open() - make a side reachable from other processes
 * @connection: with memory of a device
 * @ipc: where to put it
 * @error: filled in on failure
 *
 * Return: 0 or a negative errno.
 */
int ipc_open(struct tandem_connection *connection, struct ipc **ipc, struct tandem_error *error);

/**
 * ipc_connect() - take in how the other side is reached
 * @ipc: not connected. If that succeeds, it is the transport of its connection,
 *	for %xfer_ipc_ops
 * @queue: for copies; taken over if that succeeds
 * @part: the other side's endpoint, not trusted
 * @layout: of its pool
 * @error: filled in on failure
 *
 * Return: 0; -EPROTO, -EINVAL, -EHOSTUNREACH, -EPERM, -EOPNOTSUPP, -ENOMEM.
 */
int ipc_connect(struct ipc *ipc, struct tandem_queue *queue, const uint8_t *part,
		const struct tandem_kv_layout *layout, struct tandem_error *error);

/* One that is not its connection's transport. */
void ipc_free(struct ipc *ipc);

/* Watch @ipc->fd, which is a new socket. Return: 0 or -ENOMEM. */
int ipc_watch(struct ipc *ipc);
/* Close @ipc->fd, if there is one. */
void ipc_close_socket(struct ipc *ipc);
/* Both sides have each other's memory. */
void ipc_is_up(struct ipc *ipc);

/*
 * When our device has stopped, the other side may know: nothing lands here any more,
 * and our blocks are not what they were. It does the same, which is waited for as long
 * as it may still copy what it was told of.
 */
void ipc_check_quiet(struct ipc *ipc);
/* Nothing is under way, and the connection is gone. */
void ipc_destroy(struct ipc *ipc);

#endif /* TANDEM_RUNTIME_XFER_IPC_H */
