/* SPDX-License-Identifier: MIT */
/*
 * Two devices with a KV pool on each and a connection between them, for
 * `tandem bench xfer`.
 */
#ifndef TANDEM_BENCH_XFER_PAIR_H
#define TANDEM_BENCH_XFER_PAIR_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <tandem/tandem.h>

/**
 * struct bench_pair_options - what to connect
 * @device: names of the sending and the receiving device; pulls go the other way
 * @connection: how; %TANDEM_TRANSPORT_AUTO becomes what has been chosen
 * @busy_poll_us: for tandem_loop_set_busy_poll(), if not negative
 * @apart: with local: on two loops, as between processes; needed with auto
 * @block_bytes: of each block, a multiple of 1024
 * @blocks: in each pool
 */
struct bench_pair_options {
	const char *device[2];
	struct tandem_connection_options connection;
	long busy_poll_us;
	bool apart;
	uint32_t block_bytes;
	uint32_t blocks;
};

/**
 * struct bench_pair - a pair
 * @options: that it was opened with
 * @loop: of each side; with local the same one, unless @options say otherwise
 * @device: the sending one first, as with all of these
 * @pool: on them
 * @memory: the pools, mapped
 * @connection: connected
 * @receiver: thread that runs the receiving side's loop, unless it is the same
 * @has_receiver: it has been started
 * @result: of that thread, read after it has ended
 * @transfer: name of the next transfer
 * @lock: of what follows, which that thread fills in
 * @changed: with @lock: @received is another one, or there will be none
 * @received: the record of what it has received last
 * @has_ended: no thread receives any more
 */
struct bench_pair {
	struct bench_pair_options options;
	struct tandem_loop *loop[2];
	struct tandem_device *device[2];
	struct tandem_kv_pool *pool[2];
	uint8_t *memory[2];
	struct tandem_connection *connection[2];
	pthread_t receiver;
	bool has_receiver;
	int result;
	uint32_t transfer;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct tandem_transfer_record received;
	bool has_ended;
};

/* A loop that polls for so long, or if that is negative as it does. Return: 0 or -errno. */
int bench_loop_create(struct tandem_loop **loop, long busy_poll_us, struct tandem_error *error);

/* Open and connect; the source is filled with a pattern. Return: 0 or a negative errno. */
int bench_pair_open(struct bench_pair *pair, const struct bench_pair_options *options,
		    struct tandem_error *error);
/* Close what is open. */
void bench_pair_close(struct bench_pair *pair);

/**
 * bench_pair_push() - push all blocks once, and wait until they are there
 * @pair: the pair
 * @local: block numbers in the order in which they are listed
 * @remote: where each goes
 * @posting: filled in with the seconds that tandem_push_start() took
 * @error: filled in on failure
 *
 * Return: 0 or a negative errno.
 */
int bench_pair_push(struct bench_pair *pair, const uint32_t *local, const uint32_t *remote,
		    double *posting, struct tandem_error *error);

/* Have new bytes at one side to be sent, and none of them at the other. */
void bench_pair_fill(struct bench_pair *pair, int side);

/* As bench_pair_push(), but read them: from @remote of the second side into @local. */
int bench_pair_pull(struct bench_pair *pair, const uint32_t *local, const uint32_t *remote,
		    double *posting, struct tandem_error *error);

/* Is each block where it was pushed or pulled to? Return: 0 or -EIO. */
int bench_pair_check(const struct bench_pair *pair, const uint32_t *local,
		     const uint32_t *remote, struct tandem_error *error);

/**
 * bench_pair_records() - what is remembered of the last push or pull
 * @pair: the pair, which has pushed or pulled
 * @records: filled in: of the push or pull, and of the wait for the push
 *
 * Return: how many there are.
 */
unsigned int bench_pair_records(struct bench_pair *pair, struct tandem_transfer_record records[2]);

/* Seconds of CLOCK_MONOTONIC. */
double bench_now(void);

#endif /* TANDEM_BENCH_XFER_PAIR_H */
