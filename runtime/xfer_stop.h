/* SPDX-License-Identifier: MIT */
/*
 * Giving up a transfer that the other side sends.
 */
#ifndef TANDEM_RUNTIME_XFER_STOP_H
#define TANDEM_RUNTIME_XFER_STOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <tandem/xfer.h>

struct xfer_expect;
struct xfer_note;

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

#endif /* TANDEM_RUNTIME_XFER_STOP_H */
