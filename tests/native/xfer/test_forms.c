// SPDX-License-Identifier: MIT
/*
 * Other forms of a push than lists of blocks: first block and stride, and numbers
 * of entries in a table. What is sent is the same.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"

#define LOCAL_BLOCKS	41u
#define ENTRIES		(3 * LOCAL_BLOCKS)

static uint64_t writes(struct pair *pair)
{
	struct tandem_connection_stats stats;

	tandem_connection_get_stats(pair->connection[0], &stats);
	return stats.writes;
}

/* Push it in its form, and check it by the list that it stands for. */
static void push_as(struct pair *pair, const struct tandem_push *push,
		    const struct tandem_push *list)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	uint64_t blocks = (uint64_t)list->layer_count * list->block_count;

	assert_int_equal(tandem_expect_start(pair->connection[1], push->transfer, blocks, 0,
					     &received), 0);
	assert_int_equal(tandem_push_start(pair->connection[0], push, &sent), 0);
	assert_int_equal(pair_wait(pair, &received), 0);
	assert_int_equal(pair_wait(pair, &sent), 0);
	pair_shadow_push(pair, list);
	pair_check(pair);
}

static void test_strides(void **state)
{
	uint32_t local[LOCAL_BLOCKS], remote[LOCAL_BLOCKS];
	struct pair *pair = *state;
	unsigned int round;
	uint32_t i;

	for (round = 0; round < 30; round++) {
		struct tandem_push push = {
			.transfer = round,
			.layer_first = round % 3,
			.layer_count = 1 + (round % 3 == 0),
			.block_count = 1 + pair_random(pair, 10),
			.local_stride = pair_random(pair, 4),
			.remote_stride = 1 + pair_random(pair, 6),
		};
		struct tandem_push list = push;

		push.local_first = pair_random(pair, 41 - push.local_stride * 9);
		push.remote_first = pair_random(pair, 67 - push.remote_stride * 9);
		for (i = 0; i < push.block_count; i++) {
			local[i] = push.local_first + i * push.local_stride;
			remote[i] = push.remote_first + i * push.remote_stride;
		}
		list.local_blocks = local;
		list.remote_blocks = remote;
		/* One side in either form. */
		if (round % 4 == 1)
			push.local_blocks = local;
		if (round % 4 == 2)
			push.remote_blocks = remote;
		push_as(pair, &push, &list);
	}
}

static void test_strides_out_of_range(void **state)
{
	struct tandem_push good = {
		.layer_count = 1,
		.block_count = 11,
		.local_stride = 4,
		.remote_first = 6,
		.remote_stride = 6,
	};
	struct tandem_operation op = { 0 };
	struct pair *pair = *state;
	struct tandem_push push;

#define REFUSED(member, value) do { \
		push = good; \
		push.member = value; \
		assert_int_equal(tandem_push_start(pair->connection[0], &push, &op), -EINVAL); \
		assert_false(op.pending); \
	} while (0)
	REFUSED(local_first, 1);
	REFUSED(local_stride, 5);
	REFUSED(local_stride, UINT32_MAX);
	REFUSED(remote_first, 7);
	REFUSED(remote_first, UINT32_MAX);
	REFUSED(remote_stride, UINT32_MAX);
	REFUSED(remote_stride, 0);
	REFUSED(block_count, 12);
	REFUSED(entry_count, 1);
#undef REFUSED
	assert_int_equal(tandem_push_start(pair->connection[0], &good, &op), 0);
	assert_int_equal(pair_wait(pair, &op), 0);
}

/* Entry i is block i of all layers of the local pool; where it goes is in @remote. */
static struct tandem_xfer_table *make_table(struct pair *pair, uint32_t *remote)
{
	struct tandem_xfer_entry entries[ENTRIES];
	struct tandem_xfer_table *table;
	struct tandem_error error = { 0 };
	uint32_t i;

	for (i = 0; i < ENTRIES; i++) {
		entries[i].local = tandem_kv_block_offset(&pair_layout[0], i / LOCAL_BLOCKS,
							  i % LOCAL_BLOCKS);
		entries[i].remote = tandem_kv_block_offset(&pair_layout[1], i / LOCAL_BLOCKS,
							   remote[i % LOCAL_BLOCKS]);
		entries[i].length = tandem_kv_block_bytes(pair_layout);
	}
	if (tandem_xfer_table_create(pair->connection[0], entries, ENTRIES, &table, &error) < 0)
		fail_msg("%s", error.message);
	return table;
}

/* Some blocks of one layer, by the numbers of their entries. */
static void test_table_by_list(void **state)
{
	uint32_t remote[LOCAL_BLOCKS], chosen[LOCAL_BLOCKS], goals[LOCAL_BLOCKS];
	uint32_t numbers[LOCAL_BLOCKS];
	struct tandem_xfer_table *table;
	struct pair *pair = *state;
	unsigned int round;
	uint32_t i;

	pair_choose(pair, remote, LOCAL_BLOCKS, pair_layout[1].blocks);
	table = make_table(pair, remote);
	for (round = 0; round < 30; round++) {
		struct tandem_push list = {
			.layer_first = round % 3,
			.layer_count = 1,
			.local_blocks = chosen,
			.remote_blocks = goals,
			.block_count = 1 + pair_random(pair, LOCAL_BLOCKS),
		};
		struct tandem_push push = {
			.transfer = round,
			.table = table,
			.entries = numbers,
			.entry_count = list.block_count,
		};

		pair_choose(pair, chosen, list.block_count, LOCAL_BLOCKS);
		for (i = 0; i < list.block_count; i++) {
			goals[i] = remote[chosen[i]];
			numbers[i] = list.layer_first * LOCAL_BLOCKS + chosen[i];
		}
		push_as(pair, &push, &list);
		/* A table outlives the connection that it was made with. */
		if (round == 15)
			pair_reconnect(pair);
	}
	tandem_xfer_table_destroy(table);
}

/* Neighbours are one write, whichever way they are named. */
static void test_table_by_range(void **state)
{
	uint32_t remote[LOCAL_BLOCKS], chosen[LOCAL_BLOCKS], numbers[LOCAL_BLOCKS];
	struct tandem_push list = {
		.layer_first = 1,
		.layer_count = 1,
		.local_blocks = chosen,
		.remote_blocks = chosen,
	};
	struct tandem_push push = { 0 };
	struct tandem_xfer_table *table;
	struct pair *pair = *state;
	uint64_t before;
	uint32_t i;

	/* The same numbers on both sides, but for a gap in the middle. */
	for (i = 0; i < LOCAL_BLOCKS; i++) {
		remote[i] = i < 20 ? i : i + 7;
		numbers[i] = LOCAL_BLOCKS + i;
	}
	table = make_table(pair, remote);
	push.table = table;
	for (i = 0; i < 3; i++) {
		/* In front of the gap, behind it, across it. */
		static const uint32_t first[] = { 3, 25, 15 };

		push.transfer = i;
		push.entry_first = LOCAL_BLOCKS + first[i];
		push.entry_count = 11;
		list.block_count = 11;
		list.local_blocks = chosen;
		for (uint32_t k = 0; k < 11; k++)
			chosen[k] = first[i] + k;
		list.remote_blocks = &remote[first[i]];
		before = writes(pair);
		push_as(pair, &push, &list);
		assert_int_equal(writes(pair) - before, i < 2 ? 1 : 2);
		push.transfer = 100 + i;
		push.entries = &numbers[first[i]];
		before = writes(pair);
		push_as(pair, &push, &list);
		assert_int_equal(writes(pair) - before, i < 2 ? 1 : 2);
		push.entries = NULL;
	}
	tandem_xfer_table_destroy(table);
}

static void test_table_refused(void **state)
{
	const uint64_t bytes = tandem_kv_block_bytes(pair_layout);
	uint32_t remote[LOCAL_BLOCKS], number = ENTRIES, good[] = { 0, 1 };
	struct tandem_connection *alone;
	struct tandem_operation op = { 0 };
	struct tandem_xfer_table *table, *none;
	struct tandem_push push;
	struct pair *pair = *state;
	struct tandem_xfer_entry entry = { .length = bytes };
	uint32_t i;

#define WRONG(member, value) do { \
		struct tandem_xfer_entry wrong[2] = { entry, entry }; \
		wrong[1].member = value; \
		assert_int_equal(tandem_xfer_table_create(pair->connection[0], wrong, 2, &none, \
							  NULL), -EINVAL); \
	} while (0)
	WRONG(length, 0);
	WRONG(length, 1);
	WRONG(length, UINT64_MAX);
	WRONG(length, bytes * (ENTRIES + 1));
	WRONG(local, bytes / 2);
	WRONG(local, bytes * ENTRIES);
	WRONG(local, -bytes);
	WRONG(remote, 1);
	WRONG(remote, bytes * 67 * 3);
#undef WRONG
	assert_int_equal(tandem_xfer_table_create(pair->connection[0], &entry, 0, &none, NULL),
			 -EINVAL);
	alone = pair_connection(pair, 0);
	assert_int_equal(tandem_xfer_table_create(alone, &entry, 1, &none, NULL), -ENOTCONN);
	tandem_connection_close(alone);

	for (i = 0; i < LOCAL_BLOCKS; i++)
		remote[i] = i;
	table = make_table(pair, remote);
#define REFUSED(connection, ...) do { \
		push = (struct tandem_push){ .table = table, __VA_ARGS__ }; \
		assert_int_equal(tandem_push_start(connection, &push, &op), -EINVAL); \
		assert_false(op.pending); \
	} while (0)
	REFUSED(pair->connection[0], .entry_count = 0);
	REFUSED(pair->connection[0], .entry_count = ENTRIES + 1);
	REFUSED(pair->connection[0], .entry_first = ENTRIES, .entry_count = 1);
	REFUSED(pair->connection[0], .entry_first = 2, .entry_count = UINT32_MAX);
	REFUSED(pair->connection[0], .entries = &number, .entry_count = 1);
	REFUSED(pair->connection[0], .entry_count = 1, .block_count = 1);
	REFUSED(pair->connection[0], .entry_count = 1, .layer_count = 1);
	REFUSED(pair->connection[0], .entry_count = 1, .local_blocks = good);
	/* The other way round the pools are others. */
	REFUSED(pair->connection[1], .entry_count = 1);
#undef REFUSED
	tandem_xfer_table_destroy(table);
	tandem_xfer_table_destroy(NULL);
	pair_check(pair);
}

int main(void)
{
#define FORM_TEST(name)	cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)
	const struct CMUnitTest tests[] = {
		FORM_TEST(test_strides),
		FORM_TEST(test_strides_out_of_range),
		FORM_TEST(test_table_by_list),
		FORM_TEST(test_table_by_range),
		FORM_TEST(test_table_refused),
	};
#undef FORM_TEST
	int failed = 0;

	for (pair_kind = pair_kinds; pair_kind->name; pair_kind++)
		failed += cmocka_run_group_tests_name(pair_kind->name, tests, NULL, NULL);
	return failed != 0;
}
