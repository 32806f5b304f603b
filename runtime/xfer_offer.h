/* SPDX-License-Identifier: MIT */
/*
 * What may be read.
 */
#ifndef TANDEM_RUNTIME_XFER_OFFER_H
#define TANDEM_RUNTIME_XFER_OFFER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <tandem/xfer.h>

struct xfer_grant;
struct xfer_note;
struct xfer_write;

#define XFER_OFFER_BUCKETS	64u

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
 * @told_blocks: that have been read, as the other side tells
 * @stats: what its record will have
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
	uint64_t told_blocks;
	struct tandem_transfer_stats stats;
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

/* Which blocks it has, as grants name them. */
struct tandem_receive xfer_offer_blocks(const struct tandem_offer *offer);

/**
 * connection_read_begin() - may the other side read this?
 * @connection: of the side whose memory it is
 * @write: what; only @remote_offset, @length and @generation count, all of them as the
 *	other side says, but for the range, which is within the pool
 *
 * Return: 0, upon which connection_read_end() has to follow; -EACCES.
 */
int connection_read_begin(struct tandem_connection *connection, const struct xfer_write *write);
/**
 * connection_sum_begin() - may the other side know the checksum of this?
 * @connection: of the side whose memory it is
 * @generation: of the offer, as the other side says
 * @offset: from the pool's start
 * @length: bytes, within the pool
 *
 * Other than for a read, not only as long as the offer stands, but until the other side has
 * said that it reads nothing more: a pull that is stopped waits for its answers.
 *
 * Return: 0, upon which connection_read_end() has to follow; -EPROTO.
 */
int connection_sum_begin(struct tandem_connection *connection, uint64_t generation,
			 uint64_t offset, uint64_t length);
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

#endif /* TANDEM_RUNTIME_XFER_OFFER_H */
