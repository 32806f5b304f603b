/* SPDX-License-Identifier: MIT */
/*
 * One side of a pair of machines, as a process that can be stopped and killed: the
 * receiver grants blocks of random numbers over and over, the sender fills them.
 * Each opens again whatever is lost.
 */
#ifndef TEST_NODES_WORKER_H
#define TEST_NODES_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <tandem/tandem.h>

/**
 * struct worker_counts - what a worker has seen; it may be killed, and they stay
 * @started: transfers, of which pushes or receives were started
 * @complete: that ended with 0
 * @cancelled: with -ECANCELED
 * @timed_out: with -ETIMEDOUT
 * @lost: with -ECONNRESET and its like
 * @device_lost: with -ENODEV or -EIO
 * @other: with something that it must not end with
 * @other_code: the last of these
 * @overdue: that had not ended long after their deadline
 * @wrong: blocks that were complete and wrong
 * @late: times that memory had changed in which nothing was to land
 * @opened: openings that succeeded
 * @not_opened: and that did not
 * @transport: that the last connection had
 * @fds_left: file descriptors more than in the beginning when all was closed
 * @slow_ms: set by others: pause between turns of the loop
 */
struct worker_counts {
	uint32_t started;
	uint32_t complete;
	uint32_t cancelled;
	uint32_t timed_out;
	uint32_t lost;
	uint32_t device_lost;
	uint32_t other;
	int32_t other_code;
	uint32_t overdue;
	uint32_t wrong;
	uint32_t late;
	uint32_t opened;
	uint32_t not_opened;
	uint32_t transport;
	int32_t fds_left;
	uint32_t slow_ms;
};

/**
 * struct worker_options - what a worker is to do
 * @sends: it is the sender, which calls; the receiver is there for it
 * @transport: &enum tandem_transport
 * @rails: VERBS: over rxe0 and rxe1, not rxe0 alone
 * @transfers: how many the sender starts; 0 until it is asked to end
 * @timeout_ms: of each transfer
 * @cancel_percent: of these the sender cancels
 * @seed: for random numbers
 */
struct worker_options {
	uint32_t sends;
	uint32_t transport;
	uint32_t rails;
	uint32_t transfers;
	uint32_t timeout_ms;
	uint32_t cancel_percent;
	uint32_t seed;
};

/**
 * struct worker - a worker as its starter sees it
 * @pid: of its process; 0 for none
 * @counts: shared with it
 */
struct worker {
	pid_t pid;
	struct worker_counts *counts;
};

/* Where certificates are: {ours,prefill,decode}.{pem,key}. */
extern char worker_certificates[64];
/* Address of the receiving node. */
extern char worker_address[64];

/* Start one; what it has counted begins anew unless @again. */
void worker_start(struct worker *worker, const struct worker_options *options, bool again);
/* Has it ended by itself? */
bool worker_has_ended(struct worker *worker);
/* Ask it to end, wait for it. Return: its exit status, or a signal + 128; -1 hung, and killed. */
int worker_finish(struct worker *worker);
void worker_kill(struct worker *worker);

#endif /* TEST_NODES_WORKER_H */
