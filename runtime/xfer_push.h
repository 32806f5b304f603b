/* SPDX-License-Identifier: MIT */
/*
 * Pushes and pulls under way, and what transports tell of their writes.
 */
#ifndef TANDEM_RUNTIME_XFER_PUSH_H
#define TANDEM_RUNTIME_XFER_PUSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <tandem/xfer.h>

#include "xfer_runs.h"

struct loop_task;

/**
 * struct xfer_push - a push or pull under way
 * @entry: in &tandem_connection.pushes, oldest first
 * @waiting: in &tandem_connection.waiting, while @is_waiting
 * @is_waiting: it is not handed over in full
 * @verifying: in &xfer_verify.pulls, while @is_verifying
 * @is_verifying: a pull that has landed, and not asked for all checksums
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
 * @writes: handed to the transport and not done; then checksums that have been asked for
 *	and not been compared
 * @run: index of the run to go on with; @run_count when all is handed over, or asked for
 * @run_offset: bytes of it that have been
 * @run_count: entries of @runs
 * @runs: what to send
 */
struct xfer_push {
	TAILQ_ENTRY(xfer_push) entry;
	TAILQ_ENTRY(xfer_push) waiting;
	bool is_waiting;
	TAILQ_ENTRY(xfer_push) verifying;
	bool is_verifying;
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
 * connection_write_done() - a write has been carried out
 * @connection: of it
 * @push: of it; may be gone on return
 * @bytes: its length
 * @result: 0, or why it failed, upon which the connection fails; but a read that ends
 *	with -EACCES ends its pull alone, and -ECANCELED says of one of a push that is to end
 *	early that it has not been carried out, and will not be
 *
 * Call connection_continue() when there are no more of these for now.
 */
void connection_write_done(struct tandem_connection *connection, struct xfer_push *push,
			   uint64_t bytes, int result);

/**
 * xfer_push_verified() - a checksum of a pull has been compared
 * @connection: of it
 * @push: the pull; may be gone on return
 * @result: 0, or what it ends with
 */
void xfer_push_verified(struct tandem_connection *connection, struct xfer_push *push, int result);

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

#endif /* TANDEM_RUNTIME_XFER_PUSH_H */
