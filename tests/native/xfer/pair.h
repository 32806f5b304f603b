/* SPDX-License-Identifier: MIT */
/*
 * Two devices, a KV pool on each, and a connection between them.
 */
#ifndef TANDEM_TESTS_PAIR_H
#define TANDEM_TESTS_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <tandem/tandem.h>

/* How long anything may take on a slow and busy machine. */
#define PAIR_PATIENCE_MS	120000

struct pair;

/**
 * struct pair_kind - what the pair is made of
 * @name: for messages
 * @device: names of the devices
 * @transport: between them
 * @rdma_device: as in &struct tandem_connection_options
 * @rdma_pairs: likewise
 * @prepare: called before anything is opened; may be NULL
 * @connected: called when both sides are connected; may be NULL
 */
struct pair_kind {
	const char *name;
	const char *device[2];
	enum tandem_transport transport;
	const char *rdma_device;
	unsigned int rdma_pairs;
	void (*prepare)(void);
	void (*connected)(struct pair *pair);
};

/* What this program tests; ends with an entry without a name. */
extern const struct pair_kind pair_kinds[];
/* The kind that the fixture makes. */
extern const struct pair_kind *pair_kind;
/* Whether its connections have checksums. */
extern unsigned int pair_checksums;

/**
 * struct pair - the fixture
 * @loop: of both sides
 * @device: the sending one first, as with all of these
 * @pool: their pools
 * @connection: connected
 * @bytes: the pools, mapped
 * @shadow: what is in them according to the test
 * @random: state of pair_random()
 */
struct pair {
	struct tandem_loop *loop;
	struct tandem_device *device[2];
	struct tandem_kv_pool *pool[2];
	struct tandem_connection *connection[2];
	uint8_t *bytes[2];
	uint8_t *shadow[2];
	uint64_t random;
};

/* The layout that pair_setup() uses: small blocks, different numbers of them. */
extern const struct tandem_kv_layout pair_layout[2];

/* For cmocka: a pair of small pools, filled with random bytes, in *state. */
int pair_setup(void **state);
int pair_teardown(void **state);

/* Likewise with these layouts, all that is missing in pair->connection. */
void pair_open(struct pair *pair, const struct tandem_kv_layout layout[2]);
/* Close what is there. */
void pair_close(struct pair *pair);

/* The kind, and whether there are checksums; until the next call. */
const char *pair_name(void);
/* Options that fit the kind. */
struct tandem_connection_options pair_options(void);
/* A connection for one side, not connected. */
struct tandem_connection *pair_connection(struct pair *pair, int side);
/* Have @to take in the description of @from. */
void pair_introduce(struct tandem_connection *from, struct tandem_connection *to);
/* Open both connections and connect them. */
void pair_connect(struct pair *pair);
/* Close both connections that are there, and connect others, with grants. */
void pair_connect_with_grants(struct pair *pair);
/* Close and open again. */
void pair_reconnect(struct pair *pair);

/* A random number below @bound; the same ones each time. */
uint32_t pair_random(struct pair *pair, uint32_t bound);
/* Choose @count different numbers below @bound. */
void pair_choose(struct pair *pair, uint32_t *numbers, uint32_t count, uint32_t bound);

/* Run the loop until @op has ended; return its result. */
int pair_wait(struct pair *pair, struct tandem_operation *op);
/* Run the loop for some time. */
void pair_run(struct pair *pair, int milliseconds);

/* Do in the shadow what a push does. */
void pair_shadow_push(struct pair *pair, const struct tandem_push *push);
/* Is every byte of both pools what the shadow says? */
void pair_check(struct pair *pair);
/* Push, expect, wait for both, check. */
void pair_push_and_check(struct pair *pair, const struct tandem_push *push);

#endif /* TANDEM_TESTS_PAIR_H */
