// SPDX-License-Identifier: MIT
/*
 * The paged KV pool: every block belongs to one sequence or to none.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tandem/kv.h>

#include "runtime/kv.h"

#define BLOCKS		130
#define TOKENS		4

static const struct tandem_kv_layout layout = {
	.type = 1,
	.layers = 2,
	.kv_width = 16,
	.block_tokens = TOKENS,
	.blocks = BLOCKS,
};

struct fixture {
	struct tandem_loop *loop;
	struct tandem_device *device;
	struct tandem_kv_pool *pool;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	if (!fixture || tandem_loop_create(&fixture->loop, NULL) < 0 ||
	    tandem_device_open(fixture->loop, "inproc:host,mem=8M,cores=1", &fixture->device,
			       NULL) < 0 ||
	    tandem_kv_pool_create(fixture->device, &layout, &fixture->pool, NULL) < 0)
		return -1;
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	tandem_kv_pool_destroy(fixture->pool);
	tandem_device_close(fixture->device);
	tandem_loop_destroy(fixture->loop);
	free(fixture);
	return 0;
}

static void test_geometry(void **state)
{
	struct fixture *fixture = *state;
	uint64_t block = 2 * 2 * 16 * TOKENS;

	assert_int_equal(tandem_kv_block_bytes(&layout), block);
	assert_int_equal(tandem_kv_block_offset(&layout, 0, 0), 0);
	assert_int_equal(tandem_kv_block_offset(&layout, 0, 5), 5 * block);
	assert_int_equal(tandem_kv_block_offset(&layout, 1, 5), (BLOCKS + 5) * block);
	assert_true(tandem_memory_size(tandem_kv_pool_memory(fixture->pool)) >=
		    2 * BLOCKS * block);
	assert_memory_equal(tandem_kv_pool_layout(fixture->pool), &layout, sizeof(layout));
	assert_int_equal(tandem_kv_pool_free_blocks(fixture->pool), BLOCKS);
}

static void test_layouts_that_make_no_sense(void **state)
{
	struct tandem_kv_layout wrong[12];
	struct fixture *fixture = *state;
	struct tandem_kv_pool *pool;
	struct tandem_error error;
	size_t count = 0, i;
	uint64_t bytes;

#define WRONG(member, value) do { \
		wrong[count] = layout; \
		wrong[count++].member = value; \
	} while (0)
	WRONG(type, 2);
	WRONG(type, UINT32_MAX);
	WRONG(layers, 0);
	WRONG(kv_width, 0);
	WRONG(block_tokens, 0);
	WRONG(blocks, 0);
	/* Each two of them fit into 64 bits, all of them do not. */
	wrong[count] = layout;
	wrong[count].layers = wrong[count].kv_width = wrong[count].blocks = UINT32_MAX;
	count++;
	wrong[count] = layout;
	wrong[count].layers = wrong[count].kv_width = 1u << 31;
	count++;
#undef WRONG
	for (i = 0; i < count; i++) {
		memset(&error, 0, sizeof(error));
		assert_true(kv_layout_check(&wrong[i], &bytes) < 0);
		assert_int_equal(tandem_kv_pool_create(fixture->device, &wrong[i], &pool, &error),
				 -EINVAL);
		assert_int_equal(error.code, -EINVAL);
		assert_memory_equal(error.message, "KV pool: ", 9);
	}
}

static void test_pool_larger_than_the_device(void **state)
{
	struct tandem_kv_layout large = layout;
	struct fixture *fixture = *state;
	struct tandem_kv_pool *pool;

	large.layers = 1000;
	assert_int_equal(tandem_kv_pool_create(fixture->device, &large, &pool, NULL), -ENOSPC);
}

static void test_reserve_counts_tokens(void **state)
{
	struct tandem_kv_sequence sequence;
	struct fixture *fixture = *state;

	tandem_kv_sequence_init(&sequence, fixture->pool);
	assert_int_equal(tandem_kv_sequence_reserve(&sequence, 0), 0);
	assert_int_equal(sequence.block_count, 0);
	assert_int_equal(tandem_kv_sequence_reserve(&sequence, 1), 0);
	assert_int_equal(sequence.block_count, 1);
	assert_int_equal(tandem_kv_sequence_reserve(&sequence, TOKENS), 0);
	assert_int_equal(sequence.block_count, 1);
	assert_int_equal(tandem_kv_sequence_reserve(&sequence, TOKENS + 1), 0);
	assert_int_equal(sequence.block_count, 2);
	/* Never gives any back. */
	assert_int_equal(tandem_kv_sequence_reserve(&sequence, 1), 0);
	assert_int_equal(sequence.block_count, 2);
	assert_int_equal(tandem_kv_pool_free_blocks(fixture->pool), BLOCKS - 2);
	tandem_kv_sequence_release(&sequence);
	assert_int_equal(tandem_kv_pool_free_blocks(fixture->pool), BLOCKS);
	assert_int_equal(sequence.block_count, 0);
	assert_int_equal(tandem_kv_sequence_reserve(&sequence, 1), 0);
	tandem_kv_sequence_release(&sequence);
}

static void test_all_or_nothing(void **state)
{
	struct tandem_kv_sequence first, second;
	struct fixture *fixture = *state;

	tandem_kv_sequence_init(&first, fixture->pool);
	tandem_kv_sequence_init(&second, fixture->pool);
	assert_int_equal(tandem_kv_sequence_reserve(&first, (BLOCKS - 3) * TOKENS), 0);
	assert_int_equal(tandem_kv_sequence_reserve(&second, 2 * TOKENS), 0);
	assert_int_equal(tandem_kv_sequence_reserve(&second, 4 * TOKENS), -ENOSPC);
	assert_int_equal(second.block_count, 2);
	assert_int_equal(tandem_kv_pool_free_blocks(fixture->pool), 1);
	assert_int_equal(tandem_kv_sequence_reserve(&second, UINT32_MAX), -ENOSPC);
	assert_int_equal(tandem_kv_sequence_reserve(&second, 3 * TOKENS), 0);
	assert_int_equal(tandem_kv_pool_free_blocks(fixture->pool), 0);
	assert_int_equal(tandem_kv_sequence_reserve(&first, BLOCKS * TOKENS), -ENOSPC);
	tandem_kv_sequence_release(&first);
	tandem_kv_sequence_release(&second);
}

static bool is_one_run(const struct tandem_kv_sequence *sequence)
{
	uint32_t i;

	for (i = 1; i < sequence->block_count; i++)
		if (sequence->blocks[i] != sequence->blocks[0] + i)
			return false;
	return true;
}

static void test_prefers_runs(void **state)
{
	struct tandem_kv_sequence before, hole, between, small, large, longer;
	struct fixture *fixture = *state;

	tandem_kv_sequence_init(&before, fixture->pool);
	tandem_kv_sequence_init(&hole, fixture->pool);
	tandem_kv_sequence_init(&between, fixture->pool);
	tandem_kv_sequence_init(&small, fixture->pool);
	tandem_kv_sequence_init(&large, fixture->pool);
	tandem_kv_sequence_init(&longer, fixture->pool);
	assert_int_equal(tandem_kv_sequence_reserve(&before, 10 * TOKENS), 0);
	assert_int_equal(tandem_kv_sequence_reserve(&hole, 5 * TOKENS), 0);
	assert_int_equal(tandem_kv_sequence_reserve(&between, 10 * TOKENS), 0);
	tandem_kv_sequence_release(&hole);

	/* Too large for the hole: taken whole from behind. */
	assert_int_equal(tandem_kv_sequence_reserve(&large, 20 * TOKENS), 0);
	assert_true(is_one_run(&large));
	assert_int_equal(large.blocks[0], 25);
	/* Fits the hole, which is the smallest that it fits. */
	assert_int_equal(tandem_kv_sequence_reserve(&small, 5 * TOKENS), 0);
	assert_true(is_one_run(&small));
	assert_int_equal(small.blocks[0], 10);
	/* Grows where it is. */
	assert_int_equal(tandem_kv_sequence_reserve(&large, 30 * TOKENS), 0);
	assert_true(is_one_run(&large));
	/* No run is long enough: the longest comes first. */
	tandem_kv_sequence_release(&small);
	assert_int_equal(tandem_kv_sequence_reserve(&longer, (BLOCKS - 50) * TOKENS), 0);
	assert_int_equal(longer.blocks[0], 55);
	assert_int_equal(longer.blocks[BLOCKS - 56], BLOCKS - 1);
	assert_int_equal(longer.blocks[BLOCKS - 55], 10);
	assert_int_equal(tandem_kv_pool_free_blocks(fixture->pool), 0);
	tandem_kv_sequence_release(&before);
	tandem_kv_sequence_release(&between);
	tandem_kv_sequence_release(&large);
	tandem_kv_sequence_release(&longer);
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* Every block has one owner at most, and the rest are counted as free. */
static void check_owners(const struct fixture *fixture,
			 const struct tandem_kv_sequence *sequences, size_t count)
{
	bool owned[BLOCKS] = { false };
	uint32_t total = 0, i;
	size_t s;

	for (s = 0; s < count; s++) {
		for (i = 0; i < sequences[s].block_count; i++) {
			assert_true(sequences[s].blocks[i] < BLOCKS);
			assert_false(owned[sequences[s].blocks[i]]);
			owned[sequences[s].blocks[i]] = true;
			total++;
		}
	}
	assert_int_equal(tandem_kv_pool_free_blocks(fixture->pool), BLOCKS - total);
}

static void test_random_use(void **state)
{
	struct tandem_kv_sequence sequences[12];
	struct fixture *fixture = *state;
	uint32_t random = 1;
	uint32_t tokens, before, free_before, needed;
	size_t s;
	int round, ret;

	for (s = 0; s < 12; s++)
		tandem_kv_sequence_init(&sequences[s], fixture->pool);
	for (round = 0; round < 20000; round++) {
		s = next_random(&random) % 12;
		if (next_random(&random) % 4 == 0) {
			tandem_kv_sequence_release(&sequences[s]);
		} else {
			tokens = next_random(&random) % (40 * TOKENS);
			needed = (tokens + TOKENS - 1) / TOKENS;
			before = sequences[s].block_count;
			free_before = tandem_kv_pool_free_blocks(fixture->pool);
			ret = tandem_kv_sequence_reserve(&sequences[s], tokens);
			if (needed > before && needed - before > free_before) {
				assert_int_equal(ret, -ENOSPC);
				assert_int_equal(sequences[s].block_count, before);
			} else {
				assert_int_equal(ret, 0);
				assert_int_equal(sequences[s].block_count,
						 needed > before ? needed : before);
			}
		}
		check_owners(fixture, sequences, 12);
	}
	for (s = 0; s < 12; s++)
		tandem_kv_sequence_release(&sequences[s]);
	assert_int_equal(tandem_kv_pool_free_blocks(fixture->pool), BLOCKS);
}

int main(void)
{
#define POOL_TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		POOL_TEST(test_geometry),
		POOL_TEST(test_layouts_that_make_no_sense),
		POOL_TEST(test_pool_larger_than_the_device),
		POOL_TEST(test_reserve_counts_tokens),
		POOL_TEST(test_all_or_nothing),
		POOL_TEST(test_prefers_runs),
		POOL_TEST(test_random_use),
	};
#undef POOL_TEST

	return cmocka_run_group_tests_name("kv_pool", tests, NULL, NULL);
}
