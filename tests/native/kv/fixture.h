/* SPDX-License-Identifier: MIT */
/*
 * A small pool on a device in the process, for tests of sequences and reuse.
 */
#ifndef TANDEM_TESTS_KV_FIXTURE_H
#define TANDEM_TESTS_KV_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <tandem/kv.h>

#include "runtime/kv.h"

#define BLOCKS		24
#define TOKENS		4
#define LAYERS		3

/* Longer than anything takes; only reached when something is broken. */
#define PATIENCE_MS	60000

/**
 * struct fixture - what a test works with
 * @pool: %BLOCKS blocks of %TOKENS tokens, for %LAYERS layers
 * @bytes: its memory
 * @queue: of the device
 */
struct fixture {
	struct tandem_loop *loop;
	struct tandem_device *device;
	struct tandem_kv_pool *pool;
	uint8_t *bytes;
	struct tandem_queue *queue;
};

int fixture_setup(void **state);
/* Fails when a block is still held. */
int fixture_teardown(void **state);

#define KV_TEST(name)	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

struct tandem_kv_pool_stats pool_stats(const struct fixture *fixture);

/* A sequence that shares with those of the same @tenant. */
void share(struct tandem_kv_sequence *sequence, struct fixture *fixture, uint8_t tenant);
/* Append @tokens and commit them, copying first where that is needed. */
void extend(struct tandem_kv_sequence *sequence, struct fixture *fixture, const uint32_t *tokens,
	    uint32_t count);
/* Begin with what is cached, and extend to all of @tokens. Return: how many were cached. */
uint32_t prefill(struct tandem_kv_sequence *sequence, struct fixture *fixture,
		 const uint32_t *tokens, uint32_t count);

/*
 * The test says how each block's counts should be; the rest follows from the
 * blocks' states, which are added up and compared with what the pool says.
 */
void check_pool(const struct fixture *fixture, const uint32_t *references, const uint32_t *pins,
		const uint32_t *copies);

#endif /* TANDEM_TESTS_KV_FIXTURE_H */
