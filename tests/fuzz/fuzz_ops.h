/* SPDX-License-Identifier: MIT */
/*
 * What the fuzzer does: one operation after the other, by chance.
 */
#ifndef FUZZ_OPS_H
#define FUZZ_OPS_H

#include "fuzz_world.h"

/**
 * struct fuzz_op - an operation
 * @name: for traces
 * @weight: how often, in relation to the others
 * @run: does it
 */
struct fuzz_op {
	const char *name;
	unsigned int weight;
	void (*run)(struct fuzz_worker *worker);
};

/* Tables that end with an entry without a name. */
extern const struct fuzz_op fuzz_file_ops[];
extern const struct fuzz_op fuzz_share_ops[];
extern const struct fuzz_op fuzz_ring_ops[];
extern const struct fuzz_op fuzz_system_ops[];

/* One operation of any table. */
void fuzz_step(struct fuzz_worker *worker);

/* All that is in flight on a ring is answered, in time. */
void fuzz_ring_settle(struct fuzz_worker *worker, struct fuzz_ring *ring);
/* The same for all rings of a worker. */
void fuzz_rings_settle(struct fuzz_worker *worker);
void fuzz_ring_exit(struct fuzz_worker *worker, struct fuzz_ring *ring);

/* A command with numbers that are likely to be right, and its operation. */
uint32_t fuzz_command(struct fuzz_worker *worker, struct fuzz_file *file,
		      struct tandem_uring_command *command, bool *into_arena);

#endif /* FUZZ_OPS_H */
