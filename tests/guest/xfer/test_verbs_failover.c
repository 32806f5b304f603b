// SPDX-License-Identifier: MIT
/*
 * One of the NICs of a connection fails in the middle of something, and it goes on over the
 * other. Every block arrives, and is counted once; what has ended, however it did, does not
 * change any more.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/guest/xfer/disorder.h"
#include "tests/native/xfer/pair.h"

#define BLOCKS	     96u
#define LARGE_BLOCKS 6u
#define PATTERN	     0xa5
/* What is to land late would have by then. */
#define LATE_MS 100

static struct pair_kind kind = {
	.name = "verbs",
	.device = { "inproc:trn2,mem=64M,cores=1", "inproc:wse3,mem=64M,cores=1" },
	.transport = TANDEM_TRANSPORT_VERBS,
	.rdma_device = "rxe0,rxe1",
};

/* 16 KiB a block, 4.5 MiB in all. */
static const struct tandem_kv_layout small[2] = {
	{ .type = 1, .layers = 3, .kv_width = 256, .block_tokens = 16, .blocks = BLOCKS },
	{ .type = 1, .layers = 3, .kv_width = 256, .block_tokens = 16, .blocks = BLOCKS },
};

/* 1.5 MiB a block: three writes. */
static const struct tandem_kv_layout large[2] = {
	{ .type = 1, .layers = 1, .kv_width = 768, .block_tokens = 512, .blocks = LARGE_BLOCKS },
	{ .type = 1, .layers = 1, .kv_width = 768, .block_tokens = 512, .blocks = LARGE_BLOCKS },
};

/**
 * struct mode - what a connection is like
 * @name: for messages
 * @disorder: its pairs do not keep order
 * @grants: it has grants
 * @windows: these are memory windows, not regions
 * @checksums: it has them
 * @pairs: on each NIC
 * @layouts: of the two sides
 */
struct mode {
	const char *name;
	bool disorder;
	bool grants;
	bool windows;
	bool checksums;
	unsigned int pairs;
	const struct tandem_kv_layout *layouts;
};

static const struct mode modes[] = {
	{ .name = "order", .pairs = 1, .layouts = small },
	{ .name = "order, parts of blocks, checksums", .checksums = true, .pairs = 2, .layouts = large },
	{ .name = "order, windows", .grants = true, .windows = true, .pairs = 2, .layouts = small },
	{ .name = "order, regions, checksums",
	  .grants = true,
	  .checksums = true,
	  .pairs = 1,
	  .layouts = small },
	{ .name = "no order", .disorder = true, .pairs = 2, .layouts = small },
	{ .name = "no order, parts of blocks", .disorder = true, .pairs = 1, .layouts = large },
	{ .name = "no order, regions, checksums",
	  .disorder = true,
	  .grants = true,
	  .checksums = true,
	  .pairs = 1,
	  .layouts = small },
};

#define MODES (sizeof(modes) / sizeof(modes[0]))

/* Writes and reads that were handed to another NIC, in all connections of a test. */
static uint64_t handed_over;

static struct verbs *verbs_of(const struct pair *pair, int side)
{
	return pair->connection[side]->transport;
}

static void open_mode(struct pair *pair, const struct mode *mode)
{
	verbs_service_of_test = mode->disorder ? &disorder_service : NULL;
	verbs_windows_use = mode->windows ? VERBS_WINDOWS_ALWAYS : VERBS_WINDOWS_NEVER;
	pair_checksums = mode->checksums;
	kind.name = mode->name;
	kind.rdma_pairs = mode->pairs;
	pair_kind = &kind;
	pair_open(pair, mode->layouts);
	if (mode->grants)
		pair_connect_with_grants(pair);
	else
		pair_connect(pair);
	assert_int_equal(verbs_of(pair, 0)->rail_used_count, 2);
}

static void close_mode(struct pair *pair)
{
	struct tandem_rail_stats stats;
	unsigned int rail;
	int side;

	for (side = 0; side < 2; side++) {
		for (rail = 0; rail < 2; rail++) {
			tandem_connection_get_rail(pair->connection[side], rail, &stats);
			handed_over += stats.again;
		}
		/* Nothing has been counted for a transfer that nobody waits for. */
		assert_int_equal(pair->connection[side]->expects.early, 0);
	}
	pair_close(pair);
	verbs_service_of_test = NULL;
	verbs_windows_use = VERBS_WINDOWS_IF_CHECKED;
	pair_checksums = 0;
}

/**
 * struct transfer - all blocks, from side 0 to side 1
 * @pull: side 1 reads them
 * @push: which, also for a pull
 * @moved: of the side that writes or reads
 * @other: of the side that waits, or offers; without grants nobody does
 * @local: of @push
 * @remote: likewise
 */
struct transfer {
	bool pull;
	struct tandem_push push;
	struct tandem_operation moved;
	struct tandem_operation other;
	uint32_t local[BLOCKS];
	uint32_t remote[BLOCKS];
};

static void start_push(struct pair *pair, struct transfer *transfer)
{
	struct tandem_push *push = &transfer->push;
	struct tandem_receive receive = {
		.transfer = push->transfer,
		.layer_count = push->layer_count,
		.blocks = push->remote_blocks,
		.block_count = push->block_count,
	};

	if (pair->connection[1]->grants)
		assert_int_equal(
			tandem_receive_start(pair->connection[1], &receive, &transfer->other), 0);
	else
		assert_int_equal(tandem_expect_start(pair->connection[1], push->transfer,
						     push->layer_count * push->block_count, 0,
						     &transfer->other),
				 0);
	push->generation = receive.generation;
	assert_int_equal(tandem_push_start(pair->connection[0], push, &transfer->moved), 0);
}

static void start_pull(struct pair *pair, struct transfer *transfer)
{
	const struct tandem_push *push = &transfer->push;
	struct tandem_offer offer = {
		.layer_count = push->layer_count,
		.blocks = push->local_blocks,
		.block_count = push->block_count,
	};
	struct tandem_pull pull = {
		.layer_count = push->layer_count,
		.local_blocks = push->remote_blocks,
		.remote_blocks = push->local_blocks,
		.block_count = push->block_count,
	};

	if (pair->connection[0]->grants)
		assert_int_equal(tandem_offer_start(pair->connection[0], &offer, &transfer->other),
				 0);
	pull.generation = offer.generation;
	assert_int_equal(tandem_pull_start(pair->connection[1], &pull, &transfer->moved), 0);
}

static void start(struct pair *pair, struct transfer *transfer, bool pull)
{
	const struct tandem_kv_layout *layout = tandem_kv_pool_layout(pair->pool[0]);

	static uint32_t name;

	memset(transfer, 0, sizeof(*transfer));
	transfer->pull = pull;
	transfer->push = (struct tandem_push){
		.transfer = ++name,
		.layer_count = layout->layers,
		.local_blocks = transfer->local,
		.remote_blocks = transfer->remote,
		.block_count = layout->blocks,
	};
	pair_choose(pair, transfer->local, layout->blocks, layout->blocks);
	pair_choose(pair, transfer->remote, layout->blocks, layout->blocks);
	if (pull)
		start_pull(pair, transfer);
	else
		start_push(pair, transfer);
}

static uint64_t bytes_moved(const struct pair *pair, const struct transfer *transfer)
{
	struct tandem_connection_stats stats;

	tandem_connection_get_stats(pair->connection[transfer->pull ? 1 : 0], &stats);
	return transfer->pull ? stats.bytes_pulled : stats.bytes_pushed;
}

/* Until some of it has been carried out, for certain. */
static void run_to_the_middle(struct pair *pair, const struct transfer *transfer)
{
	const uint64_t before = bytes_moved(pair, transfer);

	while (transfer->moved.pending && bytes_moved(pair, transfer) == before)
		tandem_loop_run(pair->loop, 100);
}

static void finish(struct pair *pair, struct transfer *transfer)
{
	/* The side that has been waiting looks first: it has to be right then. */
	if (!transfer->pull)
		assert_int_equal(pair_wait(pair, &transfer->other), 0);
	else
		assert_int_equal(pair_wait(pair, &transfer->moved), 0);
	pair_shadow_push(pair, &transfer->push);
	pair_check(pair);
	assert_int_equal(pair_wait(pair, &transfer->moved), 0);
	if (transfer->other.pending)
		assert_int_equal(pair_wait(pair, &transfer->other), 0);
}

/* As if the NIC had found an error in it. */
static void fail_rail(const struct pair *pair, int side, unsigned int rail)
{
	const struct verbs_rail *failing = verbs_of(pair, side)->rails_used[rail];

	verbs_pair_stop(failing->first[failing->stats.pairs - 1].queues);
}

/* @sides: a bit for each. */
static void fail_sides(const struct pair *pair, unsigned int sides, unsigned int rail)
{
	for (int side = 0; side < 2; side++)
		if (sides >> side & 1)
			fail_rail(pair, side, rail);
}

static bool has_failed(const struct pair *pair, int side, unsigned int rail)
{
	struct tandem_rail_stats stats;

	tandem_connection_get_rail(pair->connection[side], rail, &stats);
	return stats.failure;
}

/* Both sides know that this one has failed, and it alone. */
static void check_failed(struct pair *pair, unsigned int rail)
{
	for (int side = 0; side < 2; side++) {
		while (!has_failed(pair, side, rail))
			tandem_loop_run(pair->loop, 100);
		assert_false(has_failed(pair, side, 1 - rail));
	}
}

static void check_goes_on(const struct mode *mode, bool pull, unsigned int sides, unsigned int rail,
			  bool middle)
{
	struct transfer transfer;
	struct pair pair;

	open_mode(&pair, mode);
	start(&pair, &transfer, pull);
	if (middle)
		run_to_the_middle(&pair, &transfer);
	fail_sides(&pair, sides, rail);
	finish(&pair, &transfer);
	check_failed(&pair, rail);
	/* And for what comes after that. */
	start(&pair, &transfer, !pull);
	finish(&pair, &transfer);
	close_mode(&pair);
}

static void check_all_go_on(bool pull)
{
	unsigned int sides, i;

	handed_over = 0;
	for (i = 0; i < MODES; i++) {
		check_goes_on(&modes[i], pull, 1 + i % 2, i / 2 % 2, false);
		for (sides = 1; sides < 4; sides++)
			check_goes_on(&modes[i], pull, sides, (i + sides) % 2, true);
	}
	printf("# handed to another NIC: %llu\n", (unsigned long long)handed_over);
	assert_true(handed_over > 0);
}

static void test_pushes_go_on(void **state)
{
	(void)state;
	check_all_go_on(false);
}

static void test_pulls_go_on(void **state)
{
	(void)state;
	check_all_go_on(true);
}

/* What is in the memory that a transfer was to write, from now on. */
static void fill_goal(struct pair *pair)
{
	const struct tandem_kv_layout *layout = tandem_kv_pool_layout(pair->pool[1]);
	const uint64_t bytes = tandem_kv_block_bytes(layout) * layout->blocks * layout->layers;

	memset(pair->bytes[1], PATTERN, bytes);
	memset(pair->shadow[1], PATTERN, bytes);
}

static bool ended_by(const struct tandem_operation *op, int code)
{
	return !op->pending && (op->result == code || op->result == 0);
}

/*
 * The side whose memory is written gives up, just before or after the rail fails: what it
 * has got back it can use, and the connection goes on.
 */
static void check_goal_given_up(const struct mode *mode, bool pull, int side, bool cancel_first)
{
	struct tandem_operation *op;
	struct transfer transfer;
	struct pair pair;

	open_mode(&pair, mode);
	start(&pair, &transfer, pull);
	op = pull ? &transfer.moved : &transfer.other;
	run_to_the_middle(&pair, &transfer);
	if (cancel_first)
		tandem_cancel(pair.loop, op);
	fail_rail(&pair, side, 0);
	tandem_cancel(pair.loop, op);
	pair_wait(&pair, op);
	assert_true(ended_by(op, -ECANCELED));
	fill_goal(&pair);
	check_failed(&pair, 0);
	pair_run(&pair, LATE_MS);
	pair_check(&pair);
	/* An offer stays until it has been read, or has ended. */
	if (transfer.other.pending)
		tandem_cancel(pair.loop, &transfer.other);
	while (transfer.moved.pending || transfer.other.pending)
		tandem_loop_run(pair.loop, 100);
	assert_true(ended_by(&transfer.moved, -ECANCELED));
	assert_true(ended_by(&transfer.other, -ECANCELED));
	start(&pair, &transfer, pull);
	finish(&pair, &transfer);
	close_mode(&pair);
}

static void test_goal_given_up(void **state)
{
	unsigned int i;
	int side;

	(void)state;
	for (i = 0; i < MODES; i++)
		for (side = 0; side < 2; side++) {
			check_goal_given_up(&modes[i], false, side, (i + side) % 2);
			check_goal_given_up(&modes[i], true, side, (i + side) % 2);
		}
}

/* Each byte of the goal is what it was before, or what it was to be; blocks may be half done. */
static void check_old_or_new(struct pair *pair, const struct tandem_push *push, const uint8_t *sources)
{
	const struct tandem_kv_layout *layout = tandem_kv_pool_layout(pair->pool[1]);
	const uint64_t bytes = tandem_kv_block_bytes(layout);
	uint64_t from, to, byte;
	uint32_t layer, i;

	for (layer = 0; layer < push->layer_count; layer++)
		for (i = 0; i < push->block_count; i++) {
			from = tandem_kv_block_offset(layout, layer, push->local_blocks[i]);
			to = tandem_kv_block_offset(layout, layer, push->remote_blocks[i]);
			for (byte = 0; byte < bytes; byte++)
				if (pair->bytes[1][to + byte] != sources[from + byte] &&
				    pair->bytes[1][to + byte] != pair->shadow[1][to + byte])
					fail_msg("block %u of layer %u has what came later", i,
						 layer);
		}
}

/* The sender gives up: nothing is sent any more of what it has got back. */
static void check_source_given_up(const struct mode *mode, int side)
{
	struct transfer transfer;
	struct pair pair;
	uint64_t bytes;

	open_mode(&pair, mode);
	bytes = tandem_kv_block_bytes(&small[0]) * small[0].blocks * small[0].layers;
	start(&pair, &transfer, false);
	run_to_the_middle(&pair, &transfer);
	fail_rail(&pair, side, 0);
	tandem_cancel(pair.loop, &transfer.moved);
	pair_wait(&pair, &transfer.moved);
	assert_true(ended_by(&transfer.moved, -ECANCELED));
	memset(pair.bytes[0], PATTERN, bytes);
	check_failed(&pair, 0);
	pair_run(&pair, LATE_MS);
	check_old_or_new(&pair, &transfer.push, pair.shadow[0]);
	tandem_cancel(pair.loop, &transfer.other);
	pair_wait(&pair, &transfer.other);
	assert_true(ended_by(&transfer.other, -ECANCELED));
	close_mode(&pair);
}

static void test_source_given_up(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < MODES; i++)
		if (modes[i].layouts == small) {
			check_source_given_up(&modes[i], 0);
			check_source_given_up(&modes[i], 1);
		}
}

/* One NIC after the other, until there is none: both sides find out, and nothing lands later. */
static void check_last_fails(const struct mode *mode, int first, int last)
{
	struct transfer transfer;
	struct pair pair;
	int side;

	open_mode(&pair, mode);
	start(&pair, &transfer, false);
	fail_rail(&pair, first, 0);
	run_to_the_middle(&pair, &transfer);
	fail_rail(&pair, last, 1);
	pair_wait(&pair, &transfer.moved);
	pair_wait(&pair, &transfer.other);
	assert_true(ended_by(&transfer.moved, -ECONNRESET));
	assert_true(ended_by(&transfer.other, -ECONNRESET));
	fill_goal(&pair);
	pair_run(&pair, LATE_MS);
	pair_check(&pair);
	for (side = 0; side < 2; side++) {
		tandem_connection_close(pair.connection[side]);
		pair.connection[side] = NULL;
	}
	/* And both are there again. */
	if (mode->grants)
		pair_connect_with_grants(&pair);
	else
		pair_connect(&pair);
	start(&pair, &transfer, false);
	finish(&pair, &transfer);
	assert_false(has_failed(&pair, 0, 0) || has_failed(&pair, 0, 1));
	close_mode(&pair);
}

static void test_last_fails(void **state)
{
	(void)state;
	check_last_fails(&modes[0], 0, 0);
	check_last_fails(&modes[2], 1, 0);
	check_last_fails(&modes[3], 0, 1);
	check_last_fails(&modes[6], 1, 1);
}

/* Each side has another one left, which is of no use to either. */
static void test_sides_fail_differently(void **state)
{
	struct transfer transfer;
	struct pair pair;

	(void)state;
	open_mode(&pair, &modes[0]);
	start(&pair, &transfer, false);
	fail_rail(&pair, 0, 0);
	fail_rail(&pair, 1, 1);
	pair_wait(&pair, &transfer.moved);
	pair_wait(&pair, &transfer.other);
	assert_true(ended_by(&transfer.moved, -ECONNRESET));
	assert_true(ended_by(&transfer.other, -ECONNRESET));
	fill_goal(&pair);
	pair_run(&pair, LATE_MS);
	pair_check(&pair);
	close_mode(&pair);
}

#define MANY 24u

/* Grants, checksums and notes are under way over the rail that fails: each arrives, once. */
static void check_messages(const struct mode *mode, int side)
{
	struct tandem_operation sent[MANY] = { 0 }, received[MANY] = { 0 };
	uint32_t blocks[MANY][4];
	struct pair pair;
	unsigned int i, j;

	open_mode(&pair, mode);
	for (i = 0; i < MANY; i++) {
		struct tandem_receive receive = {
			.transfer = i,
			.layer_count = 3,
			.blocks = blocks[i],
			.block_count = 4,
		};
		struct tandem_push push = {
			.transfer = i,
			.layer_count = 3,
			.local_blocks = blocks[i],
			.remote_blocks = blocks[i],
			.block_count = 4,
		};

		/* No neighbours: each is a run, so that there are many messages. */
		for (j = 0; j < 4; j++)
			blocks[i][j] = i + j * MANY;
		assert_int_equal(tandem_receive_start(pair.connection[1], &receive, &received[i]), 0);
		push.generation = receive.generation;
		assert_int_equal(tandem_push_start(pair.connection[0], &push, &sent[i]), 0);
		if (i % 4 == 3)
			tandem_cancel(pair.loop, &received[i]);
		else
			pair_shadow_push(&pair, &push);
		if (i == MANY / 2)
			fail_rail(&pair, side, 0);
		if (i % 2)
			tandem_loop_run(pair.loop, 0);
	}
	for (i = 0; i < MANY; i++) {
		pair_wait(&pair, &received[i]);
		pair_wait(&pair, &sent[i]);
		assert_int_equal(received[i].result, i % 4 == 3 ? -ECANCELED : 0);
		assert_true(ended_by(&sent[i], i % 4 == 3 ? -ECANCELED : 0));
		/* What was given up may have come or not. */
		for (j = 0; j < 4 && i % 4 == 3; j++)
			for (unsigned int layer = 0; layer < 3; layer++) {
				const uint64_t at =
					tandem_kv_block_offset(&small[1], layer, blocks[i][j]);

				memcpy(pair.shadow[1] + at, pair.bytes[1] + at,
				       tandem_kv_block_bytes(&small[1]));
			}
	}
	check_failed(&pair, 0);
	pair_run(&pair, LATE_MS);
	pair_check(&pair);
	close_mode(&pair);
}

static void test_messages(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < MODES; i++)
		if (modes[i].grants) {
			check_messages(&modes[i], 0);
			check_messages(&modes[i], 1);
		}
}

/* What the application is told of it. */
static void test_statistics(void **state)
{
	struct tandem_transfer_stats transfer_stats = { 0 };
	struct tandem_rail_stats rail;
	struct transfer transfer;
	struct tandem_push push;
	struct pair pair;

	(void)state;
	open_mode(&pair, &modes[0]);
	start(&pair, &transfer, false);
	finish(&pair, &transfer);
	push = transfer.push;
	push.transfer = XFER_TRANSFERS - 1;
	push.stats = &transfer_stats;
	assert_int_equal(tandem_expect_start(pair.connection[1], push.transfer, 3 * BLOCKS, 0,
					     &transfer.other),
			 0);
	assert_int_equal(tandem_push_start(pair.connection[0], &push, &transfer.moved), 0);
	fail_rail(&pair, 1, 1);
	finish(&pair, &transfer);
	tandem_connection_get_rail(pair.connection[0], 1, &rail);
	assert_int_equal(rail.failure, -ECONNRESET);
	assert_true(rail.again > 0);
	assert_int_equal(transfer_stats.retries, rail.again);
	assert_int_equal(transfer_stats.rails, 3);
	tandem_connection_get_rail(pair.connection[0], 0, &rail);
	assert_int_equal(rail.failure, 0);
	assert_int_equal(rail.again, 0);
	close_mode(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_statistics),    cmocka_unit_test(test_messages),
		cmocka_unit_test(test_goal_given_up), cmocka_unit_test(test_source_given_up),
		cmocka_unit_test(test_last_fails),    cmocka_unit_test(test_sides_fail_differently),
		cmocka_unit_test(test_pulls_go_on),   cmocka_unit_test(test_pushes_go_on),
	};

	return cmocka_run_group_tests_name("verbs failover", tests, NULL, NULL);
}
