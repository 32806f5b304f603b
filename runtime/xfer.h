/* SPDX-License-Identifier: MIT */
/*
 * The transfer engine from the inside.
 *
 *	xfer_description.c	what the two sides tell one another
 *	xfer_runs.c		putting neighbouring blocks together
 *	xfer_table.c		the same for ranges that are sent again and again
 *	xfer_expect.c		counting what arrives
 *	xfer_grant.c		what may arrive
 *	xfer_note.c		what is said beside the blocks
 *	xfer_offer.c		what may be read
 *	xfer_stop.c		giving up a transfer that the other side sends
 *	xfer_checksum.c		what has to arrive
 *	xfer_check.c		is it that what has?
 *	xfer_record.c		how transfers went
 *	xfer_unordered.c	writes where nothing keeps order
 *	xfer_push.c		pushes and pulls, from their start to their end
 *	connection.c		what else all transports have in common
 *	xfer_auto*.c		choosing a transport
 *	xfer_local.c, xfer_verbs*.c, xfer_tcp*.c	the transports
 *
 * xfer_push.c cuts a push into writes, or a pull into reads, and hands the
 * transport as many as it has slots for; the transport says when each has been
 * carried out. What is said of pushes and writes in here holds for pulls and reads
 * too, where the two are not told apart. Nothing in
 * here calls an application's callback but tandem_connection_close(): results
 * are posted to the loop, so no function has to fear that its connection is
 * gone when a call returns.
 */
#ifndef TANDEM_RUNTIME_XFER_H
#define TANDEM_RUNTIME_XFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <tandem/xfer.h>

#include "device.h"
#include "loop.h"

/*
 * xfer_runs.c
 */

/**
 * struct xfer_run - blocks that are neighbours on both sides
 * @local: the first one's number in the local pool, counted through all
 *	layers: layer * blocks + block
 * @remote: likewise in the other side's pool
 * @count: how many
 */
struct xfer_run {
	uint64_t local;
	uint64_t remote;
	uint64_t count;
};

/**
 * xfer_push_check() - is every layer and block of a push in range?
 * @local: this side's layout
 * @remote: the other side's
 * @push: from the application
 * @pull: the remote blocks go to the local ones
 *
 * Return: 0 or -EINVAL.
 */
int xfer_push_check(const struct tandem_kv_layout *local, const struct tandem_kv_layout *remote,
		    const struct tandem_push *push, bool pull);

/**
 * xfer_runs_build() - put the blocks of a push together
 * @local: this side's layout
 * @remote: the other side's
 * @push: checked
 * @runs: where to put the runs, in the order of the push; NULL to count them
 *
 * Blocks of one layer and the next join too, where they are neighbours.
 *
 * Return: number of runs.
 */
size_t xfer_runs_build(const struct tandem_kv_layout *local,
		       const struct tandem_kv_layout *remote, const struct tandem_push *push,
		       struct xfer_run *runs);

/* Adds blocks to @count runs, if need be to the last. Return: how many there are then. */
size_t xfer_runs_add(struct xfer_run *runs, size_t count, struct xfer_run *last,
		     const struct xfer_run *add);

/*
 * xfer_table.c
 */

/**
 * struct tandem_xfer_table - ranges that are sent again and again
 * @local: layout of the local pool that they are of
 * @remote: of the other side's
 * @count: of @runs and @ends
 * @ends: for each entry, the number of the first one that does not continue it
 * @runs: the entries, in blocks
 */
struct tandem_xfer_table {
	struct tandem_kv_layout local;
	struct tandem_kv_layout remote;
	uint32_t count;
	uint32_t *ends;
	struct xfer_run runs[];
};

/* As xfer_push_check() and xfer_runs_build(), for pushes with a table. */
int xfer_table_check(const struct tandem_kv_layout *local, const struct tandem_kv_layout *remote,
		     const struct tandem_push *push);
size_t xfer_table_build(const struct tandem_push *push, struct xfer_run *runs);

/*
 * xfer_description.c
 */

/* The longest part of a description that belongs to one transport, bytes. */
#define XFER_TRANSPORT_PART_MAX	256
/* Transports that auto chooses among: those before it in &enum tandem_transport. */
#define XFER_AUTO_TRANSPORTS	3
/* The longest part of all: that of auto. */
#define XFER_PART_MAX		(32 + XFER_AUTO_TRANSPORTS * (4 + XFER_TRANSPORT_PART_MAX))

/**
 * struct xfer_description - one side, as the other has to know it
 * @transport: &enum tandem_transport
 * @layout: of its pool
 * @checksums: it tells them, and wants to be told
 * @part: what the transport has to say
 * @part_size: bytes of @part
 */
struct xfer_description {
	uint32_t transport;
	struct tandem_kv_layout layout;
	bool checksums;
	uint8_t part[XFER_PART_MAX];
	uint32_t part_size;
};

/* Little-endian numbers at any address. */
void xfer_put16(uint8_t *at, uint16_t value);
void xfer_put32(uint8_t *at, uint32_t value);
void xfer_put64(uint8_t *at, uint64_t value);
uint16_t xfer_get16(const uint8_t *at);
uint32_t xfer_get32(const uint8_t *at);
uint64_t xfer_get64(const uint8_t *at);

/**
 * xfer_description_encode() - make bytes of a description
 * @description: what to say
 * @buffer: filled in
 * @size: of @buffer
 *
 * Return: bytes written, or -ENOSPC.
 */
int xfer_description_encode(const struct xfer_description *description, void *buffer,
			    size_t size);

/**
 * xfer_description_decode() - read a description
 * @buffer: bytes from the other side, not trusted
 * @size: their number
 * @description: filled in; @part is for the transport to check
 * @error: filled in on failure
 *
 * Return: 0 or -EPROTO.
 */
int xfer_description_decode(const void *buffer, size_t size,
			    struct xfer_description *description, struct tandem_error *error);

/*
 * xfer_expect.c
 */

#define XFER_TRANSFERS		65536u
#define XFER_EXPECT_BUCKETS	64u
/* Transfers that may have begun to arrive before anybody expects them. */
#define XFER_EARLY_MAX		4096u

/**
 * struct xfer_range - blocks whose checksum has been told
 * @first: the first of them, counted through all layers
 * @count: how many
 * @checksum: CRC-32C of all their bytes
 */
struct xfer_range {
	uint64_t first;
	uint32_t count;
	uint32_t checksum;
};

/**
 * struct xfer_checksums - those of one transfer
 * @ranges: @range_count of them
 * @range_count: see there
 * @room: for so many there is memory
 * @blocks: of all ranges
 */
struct xfer_checksums {
	struct xfer_range *ranges;
	uint32_t range_count;
	uint32_t room;
	uint64_t blocks;
};

/**
 * struct xfer_expect - what has come of one transfer
 * @entry: in its bucket
 * @connection: of it
 * @op: the application's; NULL as long as nobody waits
 * @transfer: its name
 * @received: blocks so far
 * @parts: of blocks that are not whole yet, see connection_received_parts()
 * @expected: blocks in all, once @op is there
 * @stats: so far, once @op is there; but blocks may have come before
 * @needed_ns: since when nothing else is waited for; 0 that has not been said
 * @deadline_ns: of @op, CLOCK_MONOTONIC. While @stopping, when the connection
 *	fails unless the other side has been heard of
 * @grace_ns: while @stopping, how long it may be silent
 * @result: to end @op with when the connection fails; 0 for the connection's
 * @stopping: the other side has been asked to stop, and @op ends with @result
 *	when it has
 * @revoking: nothing is missing but that the grant is taken back
 * @grant: what may be written; NULL on connections without grants
 * @checksums: that have been told; none on connections without
 */
struct xfer_expect {
	LIST_ENTRY(xfer_expect) entry;
	struct tandem_connection *connection;
	struct tandem_operation *op;
	uint32_t transfer;
	uint64_t received;
	uint32_t parts;
	uint64_t expected;
	struct tandem_transfer_stats stats;
	uint64_t needed_ns;
	uint64_t deadline_ns;
	uint64_t grace_ns;
	int result;
	bool stopping;
	bool revoking;
	struct xfer_grant *grant;
	struct xfer_checksums checksums;
};

/**
 * struct xfer_expect_table - the transfers that a side knows of
 * @buckets: by the lowest bits of the name
 * @early: entries that nobody waits for
 * @waiting: entries that somebody waits for
 * @ranges: of the checksums of all entries
 */
struct xfer_expect_table {
	LIST_HEAD(, xfer_expect) buckets[XFER_EXPECT_BUCKETS];
	unsigned int early;
	unsigned int waiting;
	uint64_t ranges;
};

void xfer_expect_init(struct xfer_expect_table *table);
/* NULL if there is none. */
struct xfer_expect *xfer_expect_find(struct xfer_expect_table *table, uint32_t transfer);
/* A new entry, which counts as early; NULL without memory. */
struct xfer_expect *xfer_expect_add(struct xfer_expect_table *table, uint32_t transfer);
/* Somebody waits for it from now on. */
void xfer_expect_await(struct xfer_expect_table *table, struct xfer_expect *expect,
		       struct tandem_operation *op);
/* Both of what follows. */
void xfer_expect_remove(struct xfer_expect_table *table, struct xfer_expect *expect);
/* It is not found any more, and its name is free. */
void xfer_expect_detach(struct xfer_expect_table *table, struct xfer_expect *expect);
/* One that is detached. */
void xfer_expect_free(struct xfer_expect_table *table, struct xfer_expect *expect);
/* An entry that somebody waits for (any one), or else that nobody does. */
struct xfer_expect *xfer_expect_first(struct xfer_expect_table *table, bool waiting);
/* Call for each entry that somebody waits for; may not remove any. */
void xfer_expect_each(struct xfer_expect_table *table,
		      void (*call)(struct xfer_expect *expect, void *user), void *user);

/*
 * xfer_grant.c
 */

/**
 * struct xfer_grant - blocks that the other side may write, each of them once, or read
 * @generation: names it
 * @blocks: of each layer of the pool
 * @block_bytes: of each block
 * @left: those of all layers that may still be written, or be read, a bit for each
 */
struct xfer_grant {
	uint64_t generation;
	uint64_t blocks;
	uint64_t block_bytes;
	uint64_t left[];
};

/**
 * xfer_grant_create() - make a grant
 * @layout: of the pool
 * @receive: from the application
 * @grant: where to put it; to be freed
 *
 * Return: 0; -EINVAL a block or layer out of range, or a block given twice;
 * -ENOMEM.
 */
int xfer_grant_create(const struct tandem_kv_layout *layout,
		      const struct tandem_receive *receive, struct xfer_grant **grant);

/* One of no blocks, to be freed; NULL without memory. */
struct xfer_grant *xfer_grant_empty(const struct tandem_kv_layout *layout);
/* Bytes that one takes. */
uint64_t xfer_grant_bytes(const struct tandem_kv_layout *layout);
/* Blocks more, counted through all layers and within the pool. */
void xfer_grant_add(struct xfer_grant *grant, uint64_t first, uint64_t count);

/**
 * xfer_grant_next_run() - granted blocks that are neighbours
 * @grant: a new one
 * @total: blocks of all layers
 * @from: where to begin, counted through all layers
 * @first: filled in: the first block from there that is granted
 *
 * Return: how many from @first on are; 0 when there are none any more.
 */
uint64_t xfer_grant_next_run(const struct xfer_grant *grant, uint64_t total, uint64_t from,
			     uint64_t *first);

/* Are all blocks of a range in it? The range is within the pool, and not empty. */
bool xfer_grant_has(const struct xfer_grant *grant, uint64_t offset, uint64_t length);

/**
 * xfer_grant_use() - may this be written?
 * @grant: NULL for none: then not
 * @generation: of the write
 * @offset: in the pool, bytes, within it
 * @length: bytes
 * @blocks: that are complete with it, as the other side says
 *
 * Blocks that are complete with it may not be written again.
 *
 * Return: 0 or -EACCES.
 */
int xfer_grant_use(struct xfer_grant *grant, uint64_t generation, uint64_t offset,
		   uint64_t length, uint32_t blocks);

/*
 * xfer_note.c
 */

enum xfer_note_kind {
	/* To the sender: send nothing more of this transfer. */
	XFER_NOTE_STOP = 1,
	/* The answer: nothing of it will land any more. */
	XFER_NOTE_STOPPED = 2,
	/* The connection is failing, or is being closed: this is the last that comes. */
	XFER_NOTE_GOODBYE = 3,
	/* To a reader: read no more by this offer. */
	XFER_NOTE_WITHDRAW = 4,
	/* The answer: nothing is read by it any more. */
	XFER_NOTE_WITHDRAWN = 5,
	/* From a reader: a pull has read blocks of this offer. */
	XFER_NOTE_READ = 6,
	/* To the receiver: what blocks have to be when they have arrived. */
	XFER_NOTE_CHECKSUM = 7,
	/* To the sender: they were not, of this transfer. */
	XFER_NOTE_DAMAGED = 8,
};

/**
 * struct xfer_note - what one side tells the other beside the blocks
 * @kind: &enum xfer_note_kind
 * @transfer: that it is about, less than %XFER_TRANSFERS; or 0
 * @generation: of the receiver's grant or the offer, or 0
 * @blocks: with %XFER_NOTE_READ, how many have been read
 * @first: with %XFER_NOTE_CHECKSUM, block of the receiver, counted through all layers
 * @count: likewise, blocks from there on
 * @checksum: likewise, CRC-32C of all their bytes
 *
 * What a kind does not have is zero.
 */
struct xfer_note {
	uint32_t kind;
	uint32_t transfer;
	uint64_t generation;
	uint64_t blocks;
	uint64_t first;
	uint32_t count;
	uint32_t checksum;
};

/* Bytes of a note on the wire. */
#define XFER_NOTE_BYTES	32u

void xfer_note_encode(const struct xfer_note *note, uint8_t *bytes);
/* From the other side, not trusted. Return: 0 or -EPROTO. */
int xfer_note_decode(const uint8_t *bytes, struct xfer_note *note);

/*
 * xfer_stop.c
 */

#define XFER_STOP_BUCKETS	64u

/**
 * struct xfer_stop - a transfer of which nothing may be sent any more
 * @entry: in its bucket
 * @transfer: its name
 * @generation: that it had, or 0
 * @answered: the other side has been told that nothing of it will land
 */
struct xfer_stop {
	LIST_ENTRY(xfer_stop) entry;
	uint32_t transfer;
	uint64_t generation;
	bool answered;
};

/**
 * struct xfer_stop_table - the transfers that the other side has given up
 * @buckets: by the lowest bits of the name; each name is there once at most
 * @unanswered: how many are not answered
 */
struct xfer_stop_table {
	LIST_HEAD(, xfer_stop) buckets[XFER_STOP_BUCKETS];
	unsigned int unanswered;
};

void xfer_stop_init(struct xfer_stop_table *table);
void xfer_stop_free_all(struct xfer_stop_table *table);

/**
 * xfer_expect_stop() - end an expectation early, and the connection goes on
 * @connection: connected
 * @expect: somebody waits for it, and it is not stopping; may be gone on return
 * @result: to end with, when nothing of it can land any more
 * @grace_ns: how long the other side may be silent until it has said so, or else
 *	the connection fails
 */
void xfer_expect_stop(struct tandem_connection *connection, struct xfer_expect *expect,
		      int result, uint64_t grace_ns);

/**
 * xfer_stop_allows() - may this be sent?
 * @connection: of the sender
 * @transfer: name of the transfer
 * @generation: of the receiver's grant, or 0
 *
 * A transfer of another generation than the one that was given up is another
 * one.
 */
bool xfer_stop_allows(struct tandem_connection *connection, uint32_t transfer,
		      uint64_t generation);

/* A push of this transfer has ended: say so, if somebody waits for that. */
void xfer_stop_check(struct tandem_connection *connection, uint32_t transfer);

/* Notes of these kinds have come. Return: as connection_told(). */
int xfer_stop_asked(struct tandem_connection *connection, const struct xfer_note *note);
int xfer_stop_answered(struct tandem_connection *connection, const struct xfer_note *note);

/*
 * xfer_offer.c
 */

#define XFER_OFFER_BUCKETS	64u

struct xfer_write;

enum xfer_offer_state {
	XFER_OFFERED,
	XFER_OFFER_STOPPING,	/* the other side has been asked to read no more */
	XFER_OFFER_STOPPED,	/* it has answered; nothing new is read */
};

/**
 * struct xfer_offer - blocks that the other side may read
 * @entry: in its bucket
 * @connection: of it
 * @op: the application's
 * @state: see there
 * @blocks: which, and the generation
 * @reads_left: blocks that are to be read until it ends by itself
 * @reading: reads that this side carries out just now
 * @deadline_ns: of @op, CLOCK_MONOTONIC. Once it is to end, when the connection fails
 *	unless the other side has been heard of
 * @grace_ns: once it is to end, how long the other side may be silent
 * @result: once it is to end, what @op will end with
 */
struct xfer_offer {
	LIST_ENTRY(xfer_offer) entry;
	struct tandem_connection *connection;
	struct tandem_operation *op;
	enum xfer_offer_state state;
	struct xfer_grant *blocks;
	uint64_t reads_left;
	unsigned int reading;
	uint64_t deadline_ns;
	uint64_t grace_ns;
	int result;
};

/**
 * struct xfer_offer_table - the offers of a side
 * @buckets: by the lowest bits of the generation
 * @count: of all
 */
struct xfer_offer_table {
	LIST_HEAD(, xfer_offer) buckets[XFER_OFFER_BUCKETS];
	unsigned int count;
};

void xfer_offer_init(struct xfer_offer_table *table);

/**
 * connection_read_begin() - may the other side read this?
 * @connection: of the side whose memory it is
 * @write: what; only @remote_offset, @length and @generation count, all of them as the
 *	other side says, but for the range, which is within the pool
 *
 * Return: 0, upon which connection_read_end() has to follow; -EACCES.
 */
int connection_read_begin(struct tandem_connection *connection, const struct xfer_write *write);
/* This side does not read for it any more. */
void connection_read_end(struct tandem_connection *connection, uint64_t generation);

/* Nothing can be read by this offer any more, see &xfer_transport_ops.withdraw. */
void connection_withdrawn(struct tandem_connection *connection, uint64_t generation);

/* A note about an offer. Return: 0 or -EPROTO. */
int xfer_offer_told(struct tandem_connection *connection, const struct xfer_note *note);

/**
 * xfer_offer_pull_ended() - tell the other side of the end of a pull from its offer
 * @connection: of the reader
 * @generation: of the offer, or 0
 * @blocks: that the pull has read, if it ended with 0; else 0
 * @withdrawn: it was stopped since the offer is to end
 */
void xfer_offer_pull_ended(struct tandem_connection *connection, uint64_t generation,
			   uint64_t blocks, bool withdrawn);

/* As xfer_push_check_deadlines(), xfer_push_end_all() and xfer_push_cancel_all(). */
uint64_t xfer_offer_check_deadlines(struct tandem_connection *connection, uint64_t now);
void xfer_offer_end_all(struct tandem_connection *connection);
void xfer_offer_cancel_all(struct tandem_connection *connection);

/*
 * xfer_checksum.c
 */

/**
 * xfer_checksum_tell() - tell the checksum of what a write completes
 * @connection: of the sender
 * @write: of blocks that are whole with it
 *
 * Return: as &xfer_transport_ops.tell.
 */
int xfer_checksum_tell(struct tandem_connection *connection, const struct xfer_write *write);

/**
 * xfer_checksum_add() - the other side has told one
 * @connection: of the receiver
 * @expect: its transfer
 * @note: not trusted but for its kind, transfer and generation
 *
 * Return: 0, -EPROTO, -ENOMEM.
 */
int xfer_checksum_add(struct tandem_connection *connection, struct xfer_expect *expect,
		      const struct xfer_note *note);

/*
 * xfer_check.c
 */

struct xfer_check;

/**
 * xfer_check_start() - compare what has arrived with what was told
 * @connection: of the receiver
 * @expect: of which all blocks have landed, and all checksums are there; taken over if
 *	that succeeds
 *
 * Its operation ends when that is done: 0, -EBADMSG, upon which the other side is told;
 * -ECANCELED. No deadline applies, and the failure of the connection does not matter.
 *
 * Return: 0 or -ENOMEM.
 */
int xfer_check_start(struct tandem_connection *connection, struct xfer_expect *expect);

/* The newest of this name whose checksums are being compared; NULL for none. */
struct xfer_expect *xfer_check_find(struct tandem_connection *connection, uint32_t transfer);

/* The connection is closed: all are told right now. */
void xfer_check_cancel_all(struct tandem_connection *connection);

/*
 * connection.c and the transports
 */

/* The immediate says in 16 bits how many blocks a write brought. */
#define XFER_WRITE_BLOCKS_MAX	65535u

/*
 * Bytes that a transport is handed at once, over which nothing that comes later
 * has precedence, and for which the end of a push has to wait.
 */
#define XFER_WINDOW_BYTES	(128ull << 20)

/**
 * struct xfer_push - a push or pull under way
 * @entry: in &tandem_connection.pushes, oldest first
 * @waiting: in &tandem_connection.waiting, while @is_waiting
 * @is_waiting: it is not handed over in full
 * @connection: of it
 * @op: the application's
 * @pull: it reads
 * @transfer: name of the transfer; 0 for pulls, which have none
 * @priority: the application's
 * @deadline_ns: CLOCK_MONOTONIC. Once @result is set, when the connection fails
 *	unless @writes have been done, or the other side has been heard of
 * @grace_ns: once @result is set, how long it may be silent
 * @result: what @op will end with, though not everything has been written: no
 *	more is handed over. 0 as long as all is well
 * @generation: of the receiver's grant or the other side's offer, or 0
 * @withdrawn: a pull that has been stopped, as the offer is to end
 * @bytes_left: not written and acknowledged
 * @stats: so far; times only if @timed
 * @stats_out: the application's, or NULL
 * @timed: somebody will read them
 * @writes: handed to the transport and not done
 * @run: index of the run to go on with; @run_count when all is handed over
 * @run_offset: bytes of it that have been handed over
 * @run_count: entries of @runs
 * @runs: what to send
 */
struct xfer_push {
	TAILQ_ENTRY(xfer_push) entry;
	TAILQ_ENTRY(xfer_push) waiting;
	bool is_waiting;
	struct tandem_connection *connection;
	struct tandem_operation *op;
	bool pull;
	uint32_t transfer;
	uint32_t priority;
	uint64_t deadline_ns;
	uint64_t grace_ns;
	int result;
	uint64_t generation;
	bool withdrawn;
	uint64_t bytes_left;
	struct tandem_transfer_stats stats;
	struct tandem_transfer_stats *stats_out;
	bool timed;
	unsigned int writes;
	size_t run;
	uint64_t run_offset;
	size_t run_count;
	struct xfer_run runs[];
};

/**
 * struct xfer_room - somebody waits for room
 * @entry: in &tandem_connection.rooms
 * @connection: of it
 * @op: the application's
 */
struct xfer_room {
	TAILQ_ENTRY(xfer_room) entry;
	struct tandem_connection *connection;
	struct tandem_operation *op;
};

/**
 * struct xfer_write - a range for the transport to write, or to read
 * @push: to tell the end of
 * @pull: read it: from the other side's memory into the local pool
 * @local_offset: bytes from the local pool's start
 * @remote_offset: bytes from the other side's
 * @length: bytes, at most &tandem_connection.write_bytes
 * @transfer: for the receiver to count
 * @blocks: that are complete with this write. 0 for a part of a block larger
 *	than @write_bytes; only a transport that keeps the order of writes, or
 *	counts the parts, may ask for less than a block
 * @last: nothing of the push comes after it
 * @generation: of the receiver's grant or the other side's offer, or 0
 */
struct xfer_write {
	struct xfer_push *push;
	bool pull;
	uint64_t local_offset;
	uint64_t remote_offset;
	uint64_t length;
	uint32_t transfer;
	uint32_t blocks;
	bool last;
	uint64_t generation;
};

/**
 * struct xfer_transport_ops - a transport
 * @open: register the pool and so on; sets &tandem_connection.transport.
 *	Cleans up by itself if it fails
 * @describe: write what the other side's @connect has to know, at most
 *	%XFER_TRANSPORT_PART_MAX bytes (auto: %XFER_PART_MAX). Return: bytes
 * @reach: could the two sides reach one another by this transport? Looks at nothing but
 *	its arguments, so that both sides come to the same answer, and says in @why, from
 *	the view of @own, why not, or why. Return: 0; -EPROTO malformed; another
 *	negative errno
 * @connect: take that in, not trusting it; sets @write_bytes and
 *	@write_slots. May be tried again after a failure. Where it takes time
 *	until blocks can travel, @write_slots is 0 until then, and then
 *	connection_continue() is called
 * @reads: @write takes reads as well
 * @write: take a write; there is a slot free. It may be kept back until
 *	@flush. Ends with connection_write_done(), not from within. Return: 0 or
 *	a negative errno, upon which the connection fails; but a read that is
 *	refused with -EACCES ends its pull alone
 * @flush: put what was kept back on its way. Return: as @write
 * @tell: have connection_told() called on the other side, which may be at once; not
 *	before connection_received() has been for all writes that are done. It may
 *	be kept back until @flush. Return: 0 or a negative errno
 * @repeats: how often something was sent again so far. NULL where that is not
 *	known
 * @rail: fill in the statistics of a way that the connection has, by its number. NULL for
 *	one that has only one. Return: 0 or -ENOENT
 * @probe: see whether the other side is still there; if not, the connection
 *	fails. NULL where that is known without
 * @grant: let the other side write these blocks, for this transfer. NULL where
 *	connection_admit() is asked about each write instead. Return: 0 or a
 *	negative errno
 * @revoke: take that back. Calls connection_revoked() when nothing can land by
 *	it any more, at once or later. @abort and @close revoke everything. NULL as
 *	with @grant
 * @offer: let the other side read these blocks. NULL where connection_read_begin() is
 *	asked about each read instead. Return: 0 or a negative errno
 * @withdraw: take that back, when the other side has said that it reads no more.
 *	Calls connection_withdrawn() when nothing can be read by it any more, at once
 *	or later. NULL as with @offer
 * @granted: may a push be written, or a pull be read, which has a generation? Return:
 *	0; -EAGAIN the transport does not know yet, and will call
 *	connection_continue(); -EACCES. NULL where the transport carries the
 *	generation along
 * @forget: nothing of the other side's offer of this generation will be asked for any
 *	more. May be NULL
 * @abort: stop both directions. Calls connection_quiesced() when no write of
 *	either can land any more, at once or later
 * @close: the same, waiting for it, and free everything. What has not ended
 *	never will
 */
struct xfer_side;

struct xfer_transport_ops {
	int (*open)(struct tandem_connection *connection,
		    const struct tandem_connection_options *options, struct tandem_error *error);
	size_t (*describe)(struct tandem_connection *connection, uint8_t *part);
	int (*reach)(const struct xfer_side *own, const struct xfer_side *other,
		     struct tandem_error *why);
	int (*connect)(struct tandem_connection *connection,
		       const struct xfer_description *remote, struct tandem_error *error);
	bool reads;
	int (*write)(struct tandem_connection *connection, const struct xfer_write *write);
	int (*flush)(struct tandem_connection *connection);
	int (*tell)(struct tandem_connection *connection, const struct xfer_note *note);
	uint64_t (*repeats)(struct tandem_connection *connection);
	int (*rail)(struct tandem_connection *connection, unsigned int number,
		    struct tandem_rail_stats *stats);
	int (*probe)(struct tandem_connection *connection);
	int (*grant)(struct tandem_connection *connection, uint32_t transfer,
		     const struct xfer_grant *grant);
	void (*revoke)(struct tandem_connection *connection, uint64_t generation);
	int (*offer)(struct tandem_connection *connection, const struct xfer_grant *blocks);
	void (*withdraw)(struct tandem_connection *connection, uint64_t generation);
	int (*granted)(struct tandem_connection *connection, const struct xfer_push *push);
	void (*forget)(struct tandem_connection *connection, uint64_t generation);
	void (*abort)(struct tandem_connection *connection);
	void (*close)(struct tandem_connection *connection);
};

extern const struct xfer_transport_ops xfer_auto_ops;
extern const struct xfer_transport_ops xfer_local_ops;
extern const struct xfer_transport_ops xfer_verbs_ops;
extern const struct xfer_transport_ops xfer_tcp_ops;

enum connection_state {
	CONNECTION_OPEN,	/* waits for tandem_connection_connect() */
	CONNECTION_CONNECTED,
	CONNECTION_FAILING,	/* until the transport has come to rest */
	CONNECTION_FAILED,
	CONNECTION_CLOSING,
};

/**
 * struct tandem_connection - one side of a connection
 * @loop: where everything of it happens
 * @pool: the local pool; NULL for memory that is none
 * @memory: of the pool, or the application's; NULL for memory of the process
 * @pointer: memory of the process, or NULL
 * @layout: of the pool; of memory that is none, which has one layer of
 *	%KV_TYPE_BYTES whose blocks are its units
 * @remote_layout: of the other side's, once connected
 * @ops: the transport
 * @transport_number: &enum tandem_transport; what auto has chosen, once connected
 * @choice: how auto has chosen; NULL where the application has
 * @transport: the transport's own
 * @state: see there
 * @failure: why it failed: what operations end with that have no reason of
 *	their own
 * @timeout_ms: default for operations
 * @grants: the other side may write only what has been granted
 * @generation: of the last grant or offer; begins at random, so that a number of
 *	another connection is none of this one
 * @checksums: of what is pushed, either way
 * @bytes: with @checksums, the memory as this process sees it
 * @write_bytes: longest write that the transport takes
 * @write_slots: writes that it takes at once
 * @writes: writes that it has
 * @write_bytes_under_way: of these
 * @pushes: under way, oldest first
 * @waiting: those that are not handed over in full, in the order to do so: by
 *	priority, then oldest first
 * @push_count: entries of @pushes
 * @pushes_max: that there may be
 * @bytes_under_way: of @pushes, not acknowledged
 * @bytes_max: with as many under way no push is taken
 * @continue_task: goes on with handing over
 * @rooms: who waits until one is taken again
 * @expects: what arrives
 * @checks: what has arrived and is being looked at
 * @stops: what the other side does not want any more
 * @offers: what it may read
 * @timer: for the next deadline or probe, or NULL
 * @timer_ns: when that is
 * @heard_ns: when the other side was last heard of
 * @watch: of the device of @memory
 * @wire_since_ns: since when pushes have been under way; 0 if none is
 * @stats: see there
 * @id: names it in traces
 * @records: of what has ended; NULL for none
 *
 * Belongs to the loop's thread; no lock.
 */
struct tandem_connection {
	struct tandem_loop *loop;
	struct tandem_kv_pool *pool;
	struct tandem_memory *memory;
	void *pointer;
	struct tandem_kv_layout layout;
	struct tandem_kv_layout remote_layout;
	const struct xfer_transport_ops *ops;
	enum tandem_transport transport_number;
	struct xfer_auto *choice;
	void *transport;
	enum connection_state state;
	int failure;
	unsigned int timeout_ms;
	bool grants;
	bool checksums;
	const uint8_t *bytes;
	uint64_t generation;
	uint64_t write_bytes;
	unsigned int write_slots;
	unsigned int writes;
	uint64_t write_bytes_under_way;
	TAILQ_HEAD(xfer_pushes, xfer_push) pushes;
	TAILQ_HEAD(xfer_waiting, xfer_push) waiting;
	unsigned int push_count;
	unsigned int pushes_max;
	uint64_t bytes_under_way;
	uint64_t bytes_max;
	struct loop_task continue_task;
	TAILQ_HEAD(, xfer_room) rooms;
	struct xfer_expect_table expects;
	LIST_HEAD(, xfer_check) checks;
	struct xfer_stop_table stops;
	struct xfer_offer_table offers;
	struct loop_timer *timer;
	uint64_t timer_ns;
	uint64_t heard_ns;
	struct device_watch watch;
	uint64_t wire_since_ns;
	struct tandem_connection_stats stats;
	uint64_t id;
	struct xfer_records *records;
};

/*
 * xfer_push.c
 */

/**
 * connection_expect_fewer() - the other side has been told to send no more
 * @connection: the receiving side
 * @transfer: that is waited for
 * @op: the wait, which ends when @blocks have come
 * @blocks: that pushes of @transfer have brought; all of these have ended
 *
 * So a transfer can be cut short by whoever sees both sides, without harm to the
 * connection. Nothing if the wait is ending already.
 */
void connection_expect_fewer(struct tandem_connection *connection, uint32_t transfer,
			     const struct tandem_operation *op, uint64_t blocks);

/**
 * connection_write_done() - a write has been carried out
 * @connection: of it
 * @push: of it; may be gone on return
 * @bytes: its length
 * @result: 0, or why it failed, upon which the connection fails; but a read that ends
 *	with -EACCES ends its pull alone
 *
 * Call connection_continue() when there are no more of these for now.
 */
void connection_write_done(struct tandem_connection *connection, struct xfer_push *push,
			   uint64_t bytes, int result);

/* A stream or queue pair, by its number, carries something of a push. */
static inline void xfer_push_on_rail(struct xfer_push *push, unsigned int rail)
{
	push->stats.rails |= 1ull << rail % 64;
}

/* Hand over what there are slots for now; with checksums not all of it at once. */
void connection_continue(struct tandem_connection *connection);
/* The same, from &tandem_connection.continue_task. */
void xfer_push_continue(struct loop_task *task);

/**
 * xfer_push_check_deadlines() - stop the pushes whose time is over
 * @connection: of them; may fail on account of it
 * @now: CLOCK_MONOTONIC
 *
 * Return: when to look again, UINT64_MAX for never.
 */
uint64_t xfer_push_check_deadlines(struct tandem_connection *connection, uint64_t now);

/**
 * xfer_push_stop_transfer() - hand over nothing more of a transfer
 * @connection: of it
 * @transfer: its name
 * @generation: of the receiver's grant, or 0
 * @result: of its pushes, which end when what was handed over has landed
 *
 * Pulls are of no transfer.
 */
void xfer_push_stop_transfer(struct tandem_connection *connection, uint32_t transfer,
			     uint64_t generation, int result);
/* Is there a push of this one? */
bool xfer_push_has_transfer(const struct tandem_connection *connection, uint32_t transfer,
			    uint64_t generation);

/**
 * xfer_push_withdraw() - read no more by an offer
 * @connection: of the reader
 * @generation: of the offer
 *
 * Its pulls end with -ECANCELED, when what they asked for has come; the last one tells
 * xfer_offer_pull_ended().
 *
 * Return: are there any?
 */
bool xfer_push_withdraw(struct tandem_connection *connection, uint64_t generation);
/* Is there a pull that has been stopped by that? */
bool xfer_push_is_withdrawn(const struct tandem_connection *connection, uint64_t generation);

/* The connection has failed and is at rest: all end. */
void xfer_push_end_all(struct tandem_connection *connection);
/* The connection is closed: all are told right now. */
void xfer_push_cancel_all(struct tandem_connection *connection);

/*
 * connection.c
 */

/*
 * How long the other side may be silent, while something is awaited that was
 * cancelled, or is out of time.
 */
#define XFER_CANCEL_GRACE_NS	1000000000ull
#define XFER_TIMEOUT_GRACE_NS	200000000ull

/* Tell everybody who may want to know how it went. */
void connection_expect_report(struct tandem_connection *connection, struct xfer_expect *expect,
			      int result);

/* An expectation has ended; @expect is gone. */
void connection_expect_end(struct tandem_connection *connection, struct xfer_expect *expect,
			   int result);

/* Something of the other side is awaited until @deadline_ns. Return: 0 or -ENOMEM. */
int connection_await(struct tandem_connection *connection, uint64_t deadline_ns);
/* One that there has not been: never 0. */
uint64_t connection_new_generation(struct tandem_connection *connection);

/* Have the deadlines looked at, at @when or before. Return: 0 or -ENOMEM. */
int connection_wake_at(struct tandem_connection *connection, uint64_t when);
/* When @timeout_ms from now is, 0 standing for the connection's. */
uint64_t connection_deadline(const struct tandem_connection *connection, unsigned int timeout_ms);

/**
 * connection_admit() - may the other side write this?
 * @connection: of the receiver
 * @write: what; only @remote_offset, @length, @transfer, @blocks and
 *	@generation count, all of them as the other side says, but for the
 *	range, which is within the pool
 *
 * To be asked before a byte lands, by transports that can.
 *
 * Return: 0 or -EACCES, upon which the transport has the connection fail.
 */
int connection_admit(struct tandem_connection *connection, const struct xfer_write *write);

/* End an expectation with its @result, once its grant has been taken back. */
void connection_expect_settle(struct tandem_connection *connection, struct xfer_expect *expect);

/* Nothing of this transfer can land any more, see &xfer_transport_ops.revoke. */
void connection_revoked(struct tandem_connection *connection, uint32_t transfer);

/**
 * connection_received() - blocks have arrived
 * @connection: of the receiver
 * @transfer: that they are of
 * @blocks: how many; both as the other side says
 */
void connection_received(struct tandem_connection *connection, uint32_t transfer,
			 uint32_t blocks);
/*
 * The same for parts of blocks, of which @block_parts make a whole one. They are counted
 * like that as well: all blocks are there when all parts are.
 */
void connection_received_parts(struct tandem_connection *connection, uint32_t transfer,
			       uint32_t parts, uint32_t block_parts);

/**
 * connection_told() - the other side has told something
 * @connection: of it
 * @note: what, decoded
 *
 * Return: 0; -EPROTO, -ENOMEM or -ECONNRESET, upon which the transport has the
 * connection fail.
 */
int connection_told(struct tandem_connection *connection, const struct xfer_note *note);

/* Tell the other side at once. Return: 0 or -errno, upon which the connection is to fail. */
int connection_tell(struct tandem_connection *connection, const struct xfer_note *note);

/**
 * connection_fail() - the connection is of no use any more
 * @connection: may have failed before: nothing happens then
 * @code: what operations end with, a negative errno
 */
void connection_fail(struct tandem_connection *connection, int code);

/* The transport that was aborted has come to rest. */
void connection_quiesced(struct tandem_connection *connection);

#endif /* TANDEM_RUNTIME_XFER_H */
