/* SPDX-License-Identifier: MIT */
/*
 * Counting what arrives.
 */
#ifndef TANDEM_RUNTIME_XFER_EXPECT_H
#define TANDEM_RUNTIME_XFER_EXPECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <tandem/xfer.h>

struct xfer_grant;

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

#endif /* TANDEM_RUNTIME_XFER_EXPECT_H */
