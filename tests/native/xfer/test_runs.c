// SPDX-License-Identifier: MIT
/*
 * Putting neighbouring blocks together.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "runtime/xfer.h"

#define BLOCKS		100
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static const struct tandem_kv_layout same = { .layers = 4, .blocks = BLOCKS };
static const struct tandem_kv_layout larger = { .layers = 4, .blocks = 2 * BLOCKS };

static void check_runs(const struct tandem_kv_layout *remote, const struct tandem_push *push,
		       const struct xfer_run *expected, size_t count)
{
	struct xfer_run runs[1000];
	size_t i;

	assert_int_equal(xfer_push_check(&same, remote, push, false), 0);
	assert_int_equal(xfer_runs_build(&same, remote, push, NULL), count);
	assert_int_equal(xfer_runs_build(&same, remote, push, runs), count);
	for (i = 0; i < count; i++) {
		assert_int_equal(runs[i].local, expected[i].local);
		assert_int_equal(runs[i].remote, expected[i].remote);
		assert_int_equal(runs[i].count, expected[i].count);
	}
}

static struct tandem_push make_push(const uint32_t *local, const uint32_t *remote, uint32_t count)
{
	struct tandem_push push = {
		.layer_first = 1,
		.layer_count = 1,
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = count,
	};

	return push;
}

static void test_contiguous(void **state)
{
	const uint32_t local[] = { 5, 6, 7, 8 }, remote[] = { 20, 21, 22, 23 };
	const struct xfer_run expected[] = { { BLOCKS + 5, BLOCKS + 20, 4 } };
	struct tandem_push push = make_push(local, remote, 4);

	(void)state;
	check_runs(&same, &push, expected, 1);
}

static void test_other_number_of_blocks(void **state)
{
	const uint32_t local[] = { 5, 6, 7, 8 }, remote[] = { 120, 121, 122, 123 };
	const struct xfer_run expected[] = {
		{ BLOCKS + 5, 2 * BLOCKS + 120, 4 },
		{ 2 * BLOCKS + 5, 4 * BLOCKS + 120, 4 },
	};
	struct tandem_push push = make_push(local, remote, 4);

	(void)state;
	push.layer_count = 2;
	check_runs(&larger, &push, expected, 2);
}

static void test_gap_on_either_side(void **state)
{
	const uint32_t local[] = { 1, 2, 4, 5, 6 }, remote[] = { 1, 2, 3, 4, 9 };
	const struct xfer_run expected[] = {
		{ BLOCKS + 1, BLOCKS + 1, 2 },
		{ BLOCKS + 4, BLOCKS + 3, 2 },
		{ BLOCKS + 6, BLOCKS + 9, 1 },
	};
	struct tandem_push push = make_push(local, remote, 5);

	(void)state;
	check_runs(&same, &push, expected, 3);
}

static void test_scattered(void **state)
{
	const uint32_t local[] = { 1, 3, 5 }, remote[] = { 2, 4, 6 };
	const struct xfer_run expected[] = {
		{ BLOCKS + 1, BLOCKS + 2, 1 },
		{ BLOCKS + 3, BLOCKS + 4, 1 },
		{ BLOCKS + 5, BLOCKS + 6, 1 },
	};
	struct tandem_push push = make_push(local, remote, 3);

	(void)state;
	check_runs(&same, &push, expected, 3);
}

static void test_reversed(void **state)
{
	const uint32_t local[] = { 3, 2, 1 }, remote[] = { 7, 8, 9 }, down[] = { 9, 8, 7 };
	const struct xfer_run crossed[] = {
		{ BLOCKS + 3, BLOCKS + 7, 1 },
		{ BLOCKS + 2, BLOCKS + 8, 1 },
		{ BLOCKS + 1, BLOCKS + 9, 1 },
	};
	const struct xfer_run both[] = {
		{ BLOCKS + 3, BLOCKS + 9, 1 },
		{ BLOCKS + 2, BLOCKS + 8, 1 },
		{ BLOCKS + 1, BLOCKS + 7, 1 },
	};
	struct tandem_push push = make_push(local, remote, 3);

	(void)state;
	check_runs(&same, &push, crossed, 3);
	push.remote_blocks = down;
	check_runs(&same, &push, both, 3);
}

static void test_one_block_several_times(void **state)
{
	const uint32_t local[] = { 4, 4, 5, 5 }, remote[] = { 1, 2, 3, 3 };
	const struct xfer_run expected[] = {
		{ BLOCKS + 4, BLOCKS + 1, 1 },
		{ BLOCKS + 4, BLOCKS + 2, 2 },
		{ BLOCKS + 5, BLOCKS + 3, 1 },
	};
	struct tandem_push push = make_push(local, remote, 4);

	(void)state;
	check_runs(&same, &push, expected, 3);
}

static void test_whole_layers_join(void **state)
{
	const struct xfer_run whole[] = { { 0, 0, 4 * BLOCKS } };
	const struct xfer_run ring[] = {
		{ 1, 1, BLOCKS - 1 }, { 0, 0, 1 },
		{ BLOCKS + 1, BLOCKS + 1, BLOCKS - 1 }, { BLOCKS, BLOCKS, 1 },
	};
	uint32_t blocks[BLOCKS];
	struct tandem_push push = make_push(blocks, blocks, BLOCKS);
	uint32_t i;

	(void)state;
	for (i = 0; i < BLOCKS; i++)
		blocks[i] = i;
	push.layer_first = 0;
	push.layer_count = 4;
	check_runs(&same, &push, whole, 1);
	for (i = 0; i < BLOCKS; i++)
		blocks[i] = (i + 1) % BLOCKS;
	push.layer_count = 2;
	check_runs(&same, &push, ring, 4);
}

/* Runs say the same as the list, block for block, and no two could be one. */
static void test_random_lists(void **state)
{
	uint32_t local[BLOCKS], remote[BLOCKS];
	struct tandem_push push = make_push(local, remote, 0);
	struct xfer_run runs[4 * BLOCKS];
	uint32_t seed = 7;
	size_t count, run;
	uint64_t in_run;
	uint32_t layer, i;
	int round;

	(void)state;
	for (round = 0; round < 2000; round++) {
		seed = seed * 1664525u + 1013904223u;
		push.block_count = 1 + (seed >> 8) % BLOCKS;
		push.layer_count = 1 + (seed >> 16) % 4;
		push.layer_first = (seed >> 20) % (5 - push.layer_count);
		for (i = 0; i < push.block_count; i++) {
			seed = seed * 1664525u + 1013904223u;
			/* Mostly go on where the last one was. */
			if (i && (seed >> 28) && local[i - 1] + 1 < BLOCKS &&
			    remote[i - 1] + 1 < 2 * BLOCKS) {
				local[i] = local[i - 1] + 1;
				remote[i] = remote[i - 1] + 1;
			} else {
				local[i] = (seed >> 8) % BLOCKS;
				remote[i] = (seed >> 16) % (2 * BLOCKS);
			}
		}
		count = xfer_runs_build(&same, &larger, &push, runs);
		assert_true(count <= COUNT(runs));
		assert_int_equal(xfer_runs_build(&same, &larger, &push, NULL), count);
		run = 0;
		in_run = 0;
		for (layer = push.layer_first; layer < push.layer_first + push.layer_count;
		     layer++) {
			for (i = 0; i < push.block_count; i++) {
				assert_true(run < count);
				assert_int_equal(runs[run].local + in_run,
						 (uint64_t)layer * BLOCKS + local[i]);
				assert_int_equal(runs[run].remote + in_run,
						 (uint64_t)layer * 2 * BLOCKS + remote[i]);
				if (++in_run == runs[run].count) {
					run++;
					in_run = 0;
				}
			}
		}
		assert_int_equal(run, count);
		for (run = 1; run < count; run++)
			assert_false(runs[run - 1].local + runs[run - 1].count ==
				     runs[run].local &&
				     runs[run - 1].remote + runs[run - 1].count ==
				     runs[run].remote);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_contiguous),
		cmocka_unit_test(test_other_number_of_blocks),
		cmocka_unit_test(test_gap_on_either_side),
		cmocka_unit_test(test_scattered),
		cmocka_unit_test(test_reversed),
		cmocka_unit_test(test_one_block_several_times),
		cmocka_unit_test(test_whole_layers_join),
		cmocka_unit_test(test_random_lists),
	};

	return cmocka_run_group_tests_name("runs", tests, NULL, NULL);
}
