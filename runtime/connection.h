/* SPDX-License-Identifier: MIT */
/*
 * A connection, and what all transports have in common.
 */
#ifndef TANDEM_RUNTIME_CONNECTION_H
#define TANDEM_RUNTIME_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <tandem/xfer.h>

#include "device.h"
#include "loop.h"
#include "xfer_expect.h"
#include "xfer_offer.h"
#include "xfer_push.h"
#include "xfer_stop.h"
#include "xfer_transport.h"

struct xfer_grant;
struct xfer_note;
struct xfer_verify;

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
 * @checksums: of what is pushed or pulled, either way
 * @verify: with @checksums, those of what is pulled; else NULL
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
	struct xfer_verify *verify;
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
 * How long the other side may be silent, while something is awaited that was
 * cancelled, or is out of time.
 */
#define XFER_CANCEL_GRACE_NS	1000000000ull
#define XFER_TIMEOUT_GRACE_NS	200000000ull

/*
 * When the other side was last heard of. That is @now as long as a device of this side's
 * has something to do: its silence says nothing then.
 */
uint64_t connection_heard(const struct tandem_connection *connection, uint64_t now);

/* Something of the other side is awaited until @deadline_ns. Return: 0 or -ENOMEM. */
int connection_await(struct tandem_connection *connection, uint64_t deadline_ns);
/* One that there has not been: never 0. */
uint64_t connection_new_generation(struct tandem_connection *connection);

/* Have the deadlines looked at, at @when or before. Return: 0 or -ENOMEM. */
int connection_wake_at(struct tandem_connection *connection, uint64_t when);
/* When @timeout_ms from now is, 0 standing for the connection's. */
uint64_t connection_deadline(const struct tandem_connection *connection, unsigned int timeout_ms);

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

#endif /* TANDEM_RUNTIME_CONNECTION_H */
