// SPDX-License-Identifier: MIT
/*
 * Pulls from end to end: what is read is what the other side has, it lands where it
 * was to, and nothing else changes; and every operation ends, however it does. Side 1
 * reads from side 0, so that the shadow of a push is that of a pull.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"

#define BLOCKS_MAX 41u

/* 6 MiB on each side. */
static const struct tandem_kv_layout large_layout[2] = {
	{ .type = 0, .layers = 3, .kv_width = 256, .block_tokens = 16, .blocks = 64 },
	{ .type = 0, .layers = 3, .kv_width = 256, .block_tokens = 16, .blocks = 64 },
};

/* What side 1 has to start for what would be this push of side 0. */
static struct tandem_pull pull_of(const struct tandem_push *push)
{
	struct tandem_pull pull = {
		.layer_first = push->layer_first,
		.layer_count = push->layer_count,
		.local_blocks = push->remote_blocks,
		.remote_blocks = push->local_blocks,
		.block_count = push->block_count,
		.local_first = push->remote_first,
		.local_stride = push->remote_stride,
		.remote_first = push->local_first,
		.remote_stride = push->local_stride,
	};

	return pull;
}

static struct tandem_push random_push(struct pair *pair, uint32_t *local, uint32_t *remote)
{
	struct tandem_push push = {
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = 1 + pair_random(pair, BLOCKS_MAX),
	};

	push.layer_first = pair_random(pair, pair_layout[0].layers);
	push.layer_count = 1 + pair_random(pair, pair_layout[0].layers - push.layer_first);
	pair_choose(pair, local, push.block_count, pair_layout[0].blocks);
	pair_choose(pair, remote, push.block_count, pair_layout[1].blocks);
	return push;
}

/* One that needs every block, in order. */
static struct tandem_push whole_push(uint32_t *blocks)
{
	struct tandem_push push = {
		.layer_count = pair_layout[0].layers,
		.local_blocks = blocks,
		.remote_blocks = blocks,
		.block_count = BLOCKS_MAX,
	};

	for (uint32_t i = 0; i < BLOCKS_MAX; i++)
		blocks[i] = i;
	return push;
}

/* Pull in a form of its own, and check it by the push of lists that it stands for. */
static void pull_as(struct pair *pair, const struct tandem_pull *pull, const struct tandem_push *push)
{
	struct tandem_operation read = { 0 };

	assert_int_equal(tandem_pull_start(pair->connection[1], pull, &read), 0);
	assert_int_equal(pair_wait(pair, &read), 0);
	pair_shadow_push(pair, push);
	pair_check(pair);
}

static void pull_and_check(struct pair *pair, const struct tandem_push *push)
{
	struct tandem_pull pull = pull_of(push);

	pull_as(pair, &pull, push);
}

static struct tandem_connection_stats stats_of(struct pair *pair, int side)
{
	struct tandem_connection_stats stats;

	tandem_connection_get_stats(pair->connection[side], &stats);
	return stats;
}

static void test_random_lists(void **state)
{
	uint32_t local[BLOCKS_MAX], remote[BLOCKS_MAX];
	struct pair *pair = *state;
	int round;

	for (round = 0; round < 50; round++) {
		struct tandem_push push = random_push(pair, local, remote);

		pull_and_check(pair, &push);
	}
}

static void test_neighbours_are_one_read(void **state)
{
	struct tandem_transfer_stats transfer = { 0 };
	struct tandem_connection_stats reader, owner;
	uint32_t blocks[BLOCKS_MAX];
	struct tandem_push push = whole_push(blocks);
	struct tandem_pull pull = pull_of(&push);
	struct pair *pair = *state;
	uint64_t bytes = 3 * BLOCKS_MAX * tandem_kv_block_bytes(pair_layout);

	pull.stats = &transfer;
	pull_as(pair, &pull, &push);
	reader = stats_of(pair, 1);
	owner = stats_of(pair, 0);
	assert_int_equal(reader.bytes_pulled, bytes);
	assert_int_equal(reader.bytes_pushed, 0);
	/* The reading pool has more blocks, so layers do not join. */
	assert_int_equal(reader.writes, 3);
	assert_int_equal(reader.pushes_done, 1);
	assert_int_equal(reader.pushes_under_way, 0);
	assert_int_equal(reader.bytes_under_way, 0);
	assert_int_equal(reader.cpu_copied_bytes,
			 pair_kind->transport == TANDEM_TRANSPORT_TCP ? bytes : 0);
	assert_true(reader.wire_ns > 0);
	assert_int_equal(owner.blocks_received, 0);
	assert_int_equal(owner.writes, 0);
	assert_int_equal(transfer.bytes, bytes);
	assert_int_equal(transfer.writes, 3);
	assert_true(transfer.posted_ns <= transfer.first_write_ns);
	assert_true(transfer.first_write_ns <= transfer.last_write_ns);
	assert_true(transfer.last_write_ns <= transfer.done_ns);
}

static void test_strides(void **state)
{
	uint32_t local[BLOCKS_MAX], remote[BLOCKS_MAX];
	struct pair *pair = *state;
	unsigned int round;
	uint32_t i;

	for (round = 0; round < 20; round++) {
		struct tandem_push push = {
			.layer_first = round % 3,
			.layer_count = 1 + (round % 3 == 0),
			.block_count = 1 + pair_random(pair, 10),
			.local_stride = pair_random(pair, 4),
			.remote_stride = 1 + pair_random(pair, 6),
		};
		struct tandem_pull pull;

		push.local_first = pair_random(pair, 41 - push.local_stride * 9);
		push.remote_first = pair_random(pair, 67 - push.remote_stride * 9);
		pull = pull_of(&push);
		for (i = 0; i < push.block_count; i++) {
			local[i] = push.local_first + i * push.local_stride;
			remote[i] = push.remote_first + i * push.remote_stride;
		}
		push.local_blocks = local;
		push.remote_blocks = remote;
		pull_as(pair, &pull, &push);
	}
}

/* Entry i brings block i of layer 1 to where @goals says. */
static struct tandem_xfer_table *make_table(struct pair *pair, const uint32_t *goals)
{
	struct tandem_xfer_entry entries[BLOCKS_MAX];
	struct tandem_xfer_table *table;
	uint32_t i;

	for (i = 0; i < BLOCKS_MAX; i++) {
		entries[i].local = tandem_kv_block_offset(&pair_layout[1], 1, goals[i]);
		entries[i].remote = tandem_kv_block_offset(&pair_layout[0], 1, i);
		entries[i].length = tandem_kv_block_bytes(pair_layout);
	}
	assert_int_equal(
		tandem_xfer_table_create(pair->connection[1], entries, BLOCKS_MAX, &table, NULL), 0);
	return table;
}

static void test_table(void **state)
{
	uint32_t goals[BLOCKS_MAX], chosen[BLOCKS_MAX], to[BLOCKS_MAX];
	struct tandem_push push = {
		.layer_first = 1,
		.layer_count = 1,
		.local_blocks = chosen,
		.remote_blocks = to,
	};
	struct tandem_xfer_table *table;
	struct tandem_pull pull = { 0 };
	struct pair *pair = *state;
	unsigned int round;
	uint32_t i;

	pair_choose(pair, goals, BLOCKS_MAX, pair_layout[1].blocks);
	table = make_table(pair, goals);
	pull.table = table;
	for (round = 0; round < 20; round++) {
		push.block_count = 1 + pair_random(pair, BLOCKS_MAX);
		pair_choose(pair, chosen, push.block_count, BLOCKS_MAX);
		/* A list of entries, or a range of them. */
		pull.entries = round % 2 ? chosen : NULL;
		pull.entry_first = round % 2 ? 0 : BLOCKS_MAX - push.block_count;
		pull.entry_count = push.block_count;
		for (i = 0; i < push.block_count; i++) {
			if (!pull.entries)
				chosen[i] = pull.entry_first + i;
			to[i] = goals[chosen[i]];
		}
		pull_as(pair, &pull, &push);
	}
	tandem_xfer_table_destroy(table);
}

/* Pushes and pulls of both sides at once, each of blocks of its own. */
static void test_all_ways_at_once(void **state)
{
	struct tandem_operation op[2][20] = { 0 }, received[2][20] = { 0 };
	struct pair *pair = *state;
	int side, i;

	for (i = 0; i < 20; i++)
		for (side = 0; side < 2; side++) {
			/* Each side's blocks: 0 … 19 are sources, 20 … 39 goals. */
			uint32_t from = i, to = 20 + i;
			struct tandem_push push = {
				.transfer = i,
				.layer_count = 3,
				.block_count = 1,
				.local_blocks = &from,
				.remote_blocks = &to,
			};
			struct tandem_pull pull = {
				.layer_count = 3,
				.block_count = 1,
				.local_blocks = &to,
				.remote_blocks = &from,
			};

			if (i % 2) {
				assert_int_equal(tandem_expect_start(pair->connection[1 - side], i,
								     3, 0, &received[side][i]),
						 0);
				assert_int_equal(tandem_push_start(pair->connection[side], &push,
								   &op[side][i]),
						 0);
			} else {
				assert_int_equal(tandem_pull_start(pair->connection[1 - side],
								   &pull, &op[side][i]),
						 0);
			}
			for (uint32_t layer = 0; layer < 3; layer++)
				memcpy(pair->shadow[1 - side] +
					       tandem_kv_block_offset(&pair_layout[1 - side], layer,
								      to),
				       pair->shadow[side] + tandem_kv_block_offset(
								    &pair_layout[side], layer, from),
				       tandem_kv_block_bytes(pair_layout));
		}
	for (i = 0; i < 20; i++)
		for (side = 0; side < 2; side++) {
			assert_int_equal(pair_wait(pair, &op[side][i]), 0);
			if (i % 2)
				assert_int_equal(pair_wait(pair, &received[side][i]), 0);
		}
	pair_check(pair);
}

/* More pulls under way than any transport takes reads. */
static void test_more_than_slots(void **state)
{
	/* 64 bytes a block. */
	const struct tandem_kv_layout layout[2] = {
		{ .type = 1, .layers = 2, .kv_width = 16, .block_tokens = 1, .blocks = 5000 },
		{ .type = 1, .layers = 2, .kv_width = 16, .block_tokens = 1, .blocks = 5000 },
	};
	struct tandem_operation read[5] = { 0 };
	uint32_t *local = malloc(5000 * sizeof(*local));
	uint32_t *remote = malloc(5000 * sizeof(*remote));
	struct tandem_push push = {
		.layer_count = 2,
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = 5000,
	};
	struct tandem_pull pull;
	struct pair pair;
	int i;

	(void)state;
	pair_open(&pair, layout);
	pair_connect(&pair);
	pair_choose(&pair, local, 5000, 5000);
	pair_choose(&pair, remote, 5000, 5000);
	for (i = 0; i < 5; i++) {
		pull = pull_of(&push);
		pull.local_blocks += i * 1000;
		pull.remote_blocks += i * 1000;
		pull.block_count = 1000;
		pull.priority = i % 3;
		assert_int_equal(tandem_pull_start(pair.connection[1], &pull, &read[i]), 0);
	}
	for (i = 0; i < 5; i++)
		assert_int_equal(pair_wait(&pair, &read[i]), 0);
	pair_shadow_push(&pair, &push);
	pair_check(&pair);
	pair_close(&pair);
	free(local);
	free(remote);
}

static void test_large_blocks(void **state)
{
	/* 3 MiB a block: more than one read for each. */
	const struct tandem_kv_layout layout[2] = {
		{ .type = 0, .layers = 2, .kv_width = 24576, .block_tokens = 16, .blocks = 3 },
		{ .type = 0, .layers = 2, .kv_width = 24576, .block_tokens = 16, .blocks = 3 },
	};
	uint32_t local[] = { 0, 1, 2 }, remote[] = { 2, 0, 1 };
	struct tandem_push push = {
		.layer_count = 2,
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = 3,
	};
	struct pair pair;

	(void)state;
	pair_open(&pair, layout);
	pair_connect(&pair);
	pull_and_check(&pair, &push);
	pair_close(&pair);
}

static void test_bad_pulls(void **state)
{
	uint32_t good[] = { 0, 1 }, bad_local[] = { 0, 67 }, bad_remote[] = { 0, BLOCKS_MAX };
	struct tandem_pull pull = {
		.layer_count = 1,
		.local_blocks = good,
		.remote_blocks = good,
		.block_count = 2,
	};
	struct tandem_operation op = { 0 };
	struct pair *pair = *state;
	struct tandem_pull wrong;

#define REFUSED(member, value)                                                                  \
	do {                                                                                    \
		wrong = pull;                                                                   \
		wrong.member = value;                                                           \
		assert_int_equal(tandem_pull_start(pair->connection[1], &wrong, &op), -EINVAL); \
		assert_false(op.pending);                                                       \
	} while (0)
	REFUSED(layer_first, 3);
	REFUSED(layer_first, UINT32_MAX);
	REFUSED(layer_count, 0);
	REFUSED(layer_count, 4);
	REFUSED(block_count, 0);
	REFUSED(entry_count, 1);
	REFUSED(generation, 1);
	REFUSED(local_blocks, bad_local);
	REFUSED(remote_blocks, bad_remote);
	/* Several blocks to one place. From one place is fine. */
	REFUSED(local_blocks, NULL);
#undef REFUSED
	pull.remote_blocks = NULL;
	assert_int_equal(tandem_pull_start(pair->connection[1], &pull, &op), 0);
	assert_int_equal(pair_wait(pair, &op), 0);
}

static void test_not_connected(void **state)
{
	uint32_t blocks[BLOCKS_MAX];
	struct tandem_push push = whole_push(blocks);
	struct tandem_pull pull = pull_of(&push);
	struct tandem_operation op = { 0 };
	struct pair *pair = *state;
	struct tandem_connection *alone = pair_connection(pair, 1);

	assert_int_equal(tandem_pull_start(alone, &pull, &op), -ENOTCONN);
	tandem_connection_close(alone);
}

/* Blocks stay where they are until the pull has ended. */
static void test_blocks_are_pinned(void **state)
{
	struct tandem_operation read = { 0 };
	uint32_t blocks[BLOCKS_MAX];
	struct tandem_push push = whole_push(blocks);
	struct tandem_pull pull = pull_of(&push);
	struct pair *pair = *state;
	const uint32_t before = tandem_kv_pool_free_blocks(pair->pool[1]);

	assert_int_equal(tandem_pull_start(pair->connection[1], &pull, &read), 0);
	assert_int_equal(tandem_kv_pool_free_blocks(pair->pool[1]), before - BLOCKS_MAX);
	assert_int_equal(pair_wait(pair, &read), 0);
	assert_int_equal(tandem_kv_pool_free_blocks(pair->pool[1]), before);
}

static void test_room(void **state)
{
	struct tandem_connection_options options = pair_options();
	struct tandem_operation read[3] = { 0 }, sent = { 0 }, room = { 0 };
	uint32_t blocks[BLOCKS_MAX];
	struct tandem_push push = whole_push(blocks);
	struct tandem_pull pull = pull_of(&push);
	struct pair *pair = *state;
	int side;

	options.pushes_max = 2;
	for (side = 0; side < 2; side++) {
		tandem_connection_close(pair->connection[side]);
		assert_int_equal(tandem_connection_open(pair->loop, pair->pool[side], &options,
							&pair->connection[side], NULL),
				 0);
	}
	pair_introduce(pair->connection[0], pair->connection[1]);
	pair_introduce(pair->connection[1], pair->connection[0]);
	if (pair_kind->connected)
		pair_kind->connected(pair);
	assert_int_equal(tandem_pull_start(pair->connection[1], &pull, &read[0]), 0);
	assert_int_equal(tandem_pull_start(pair->connection[1], &pull, &read[1]), 0);
	assert_int_equal(tandem_pull_start(pair->connection[1], &pull, &read[2]), -EAGAIN);
	assert_int_equal(tandem_push_start(pair->connection[1], &push, &sent), -EAGAIN);
	assert_int_equal(tandem_room_start(pair->connection[1], &room), 0);
	assert_true(room.pending);
	assert_int_equal(pair_wait(pair, &room), 0);
	assert_int_equal(tandem_pull_start(pair->connection[1], &pull, &read[2]), 0);
	assert_int_equal(pair_wait(pair, &read[1]), 0);
	assert_int_equal(pair_wait(pair, &read[2]), 0);
	assert_int_equal(stats_of(pair, 1).pushes_refused, 2);
	pair_shadow_push(pair, &push);
	pair_check(pair);
}

/* When an operation has ended early, nothing of it may land any more. */
static void check_that_nothing_lands(struct pair *pair)
{
	uint64_t bytes = tandem_memory_size(tandem_kv_pool_memory(pair->pool[1]));
	uint8_t *before = malloc(bytes);

	assert_non_null(before);
	memcpy(before, pair->bytes[1], bytes);
	pair_run(pair, 100);
	assert_memory_equal(before, pair->bytes[1], bytes);
	memcpy(pair->shadow[1], before, bytes);
	free(before);
}

/* All blocks, scattered. */
static struct tandem_push large_push(struct pair *pair, uint32_t *local, uint32_t *remote)
{
	struct tandem_push push = {
		.layer_count = 3,
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = 64,
	};

	pair_choose(pair, local, 64, 64);
	pair_choose(pair, remote, 64, 64);
	return push;
}

static void start_large_pull(struct pair *pair, unsigned int timeout_ms, struct tandem_operation *read)
{
	uint32_t local[64], remote[64];
	struct tandem_push push;
	struct tandem_pull pull;

	pair_open(pair, large_layout);
	pair_connect(pair);
	push = large_push(pair, local, remote);
	pull = pull_of(&push);
	pull.timeout_ms = timeout_ms;
	assert_int_equal(tandem_pull_start(pair->connection[1], &pull, read), 0);
}

/* The connection goes on after one of its pulls has ended early. */
static void check_that_it_goes_on(struct pair *pair)
{
	uint32_t local[64], remote[64];
	struct tandem_push push = large_push(pair, local, remote);

	pull_and_check(pair, &push);
}

static void test_cancelled(void **state)
{
	struct tandem_operation read = { 0 };
	struct pair pair;
	int round;

	(void)state;
	for (round = 0; round < 4; round++) {
		start_large_pull(&pair, 0, &read);
		pair_run(&pair, round);
		tandem_cancel(pair.loop, &read);
		pair_wait(&pair, &read);
		/* It may have been quicker. */
		assert_true(read.result == -ECANCELED || !read.result);
		check_that_nothing_lands(&pair);
		check_that_it_goes_on(&pair);
		pair_close(&pair);
	}
}

static void test_times_out(void **state)
{
	struct tandem_operation read = { 0 };
	struct pair pair;

	(void)state;
	start_large_pull(&pair, 1, &read);
	pair_wait(&pair, &read);
	assert_true(read.result == -ETIMEDOUT || !read.result);
	check_that_nothing_lands(&pair);
	check_that_it_goes_on(&pair);
	pair_close(&pair);
}

static void test_owner_closed(void **state)
{
	struct tandem_operation read = { 0 };
	struct pair pair;

	(void)state;
	start_large_pull(&pair, 0, &read);
	tandem_loop_run(pair.loop, 0);
	tandem_connection_close(pair.connection[0]);
	pair.connection[0] = NULL;
	pair_wait(&pair, &read);
	/* Or it was quicker. */
	assert_true(read.result == -ECONNRESET || !read.result);
	check_that_nothing_lands(&pair);
	pair_reconnect(&pair);
	check_that_it_goes_on(&pair);
	pair_close(&pair);
}

static int ended;

static void note_end(struct tandem_operation *op)
{
	(void)op;
	ended++;
}

static void test_reader_closed(void **state)
{
	struct tandem_operation read = { .done = note_end };
	struct pair pair;

	(void)state;
	ended = 0;
	start_large_pull(&pair, 0, &read);
	tandem_loop_run(pair.loop, 0);
	tandem_connection_close(pair.connection[1]);
	pair.connection[1] = NULL;
	/* Or it was quicker, and its end is to be told of yet. */
	pair_wait(&pair, &read);
	assert_int_equal(ended, 1);
	assert_true(read.result == -ECANCELED || !read.result);
	check_that_nothing_lands(&pair);
	pair_reconnect(&pair);
	check_that_it_goes_on(&pair);
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define PULL_TEST(name) cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)
		PULL_TEST(test_random_lists),
		PULL_TEST(test_neighbours_are_one_read),
		PULL_TEST(test_strides),
		PULL_TEST(test_table),
		PULL_TEST(test_all_ways_at_once),
		cmocka_unit_test(test_more_than_slots),
		cmocka_unit_test(test_large_blocks),
		PULL_TEST(test_bad_pulls),
		PULL_TEST(test_not_connected),
		PULL_TEST(test_blocks_are_pinned),
		PULL_TEST(test_room),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_times_out),
		cmocka_unit_test(test_owner_closed),
		cmocka_unit_test(test_reader_closed),
#undef PULL_TEST
	};
	int failed = 0;

	for (pair_kind = pair_kinds; pair_kind->name; pair_kind++)
		for (pair_checksums = 0; pair_checksums < 2; pair_checksums++)
			failed += cmocka_run_group_tests_name(pair_name(), tests, NULL, NULL);
	return failed != 0;
}
