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

/* Makes one of the things that commands need and a file lacks, if there is one. */
void fuzz_furnish(struct fuzz_worker *worker, struct fuzz_file *file);

/* Bytes of a region with a program. */
#define FUZZ_PROGRAM_BYTES	16384

/* Makes one for a file that is not private, if it has a queue for programs. */
void fuzz_program_make(struct fuzz_worker *worker, struct fuzz_file *file);

/**
 * struct fuzz_command - a command with numbers that are likely to be right
 * @op: TANDEM_URING_*
 * @command: the rest
 * @call: what it counts as, by io_uring
 * @into_arena: it writes the worker's arena, of private files
 */
struct fuzz_command {
	uint32_t op;
	struct tandem_uring_command command;
	enum fuzz_call call;
	bool into_arena;
};

void fuzz_command(struct fuzz_worker *worker, struct fuzz_file *file,
		  struct fuzz_command *made);
/* The arena for files of this kind. */
uint8_t *fuzz_arena_of(struct fuzz_worker *worker, const struct fuzz_file *file);
/* Nowhere that a page of the fuzzer's own is. */
uint64_t fuzz_bad_address(struct fuzz_worker *worker);

#endif /* FUZZ_OPS_H */
