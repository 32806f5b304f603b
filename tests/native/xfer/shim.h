/* SPDX-License-Identifier: MIT */
/*
 * A pair whose sending side has a transport that the test plays itself: it
 * carries out writes when and in what order the test says.
 */
#ifndef TANDEM_TESTS_SHIM_H
#define TANDEM_TESTS_SHIM_H

#include "pair.h"
#include "runtime/xfer.h"

#define SHIM_SLOTS	8
#define SHIM_BLOCKS	41

/**
 * struct shim - the sending side's transport
 * @below: its own, which only closes it
 * @writes: taken and not acknowledged, in any order
 * @count: of these
 * @most: that there ever were
 * @flushes: calls
 * @fail_after: the write after so many fails
 * @fail_with: with this, if not 0
 * @aborted: the connection has failed
 */
struct shim {
	const struct xfer_transport_ops *below;
	struct xfer_write writes[SHIM_SLOTS];
	unsigned int count;
	unsigned int most;
	unsigned int flushes;
	unsigned int fail_after;
	int fail_with;
	bool aborted;
};

extern struct shim shim;

/* For cmocka, with pair_teardown(). Writes are of 4 blocks at most. */
int shim_setup(void **state);

/* One write arrives: all of it, then what it says. */
void shim_deliver(struct pair *pair, unsigned int index, bool tell);
/* The sender learns that it is done. */
void shim_acknowledge(struct pair *pair, unsigned int index, int result);
/* Deliver and acknowledge in any order until nothing is left. */
void shim_carry_out(struct pair *pair);

/* A push of scattered blocks in all layers. */
struct tandem_push shim_push(struct pair *pair, uint32_t *local, uint32_t *remote);
/* Start one, which fills all slots. */
void shim_start(struct pair *pair, struct tandem_operation *sent);

#endif /* TANDEM_TESTS_SHIM_H */
