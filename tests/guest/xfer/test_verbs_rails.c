// SPDX-License-Identifier: MIT
/*
 * One connection over several NICs and queue pairs: all of them have a share, and the two sides
 * need not have the same number; and which NICs are taken. See test_verbs_failover.c for what
 * happens when one fails.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/xfer_verbs_service.h"
#include "tests/native/xfer/pair.h"

#define BLOCKS	64u

static struct pair_kind kind = {
	.name = "verbs",
	.device = { "inproc:trn2,mem=64M,cores=1", "inproc:wse3,mem=64M,cores=1" },
	.transport = TANDEM_TRANSPORT_VERBS,
};

/* 8 KiB a block, 1.5 MiB in all. */
static const struct tandem_kv_layout small[2] = {
	{ .type = 1, .layers = 3, .kv_width = 128, .block_tokens = 16, .blocks = BLOCKS },
	{ .type = 1, .layers = 3, .kv_width = 128, .block_tokens = 16, .blocks = BLOCKS },
};

/* 1.5 MiB a block: three writes. */
static const struct tandem_kv_layout large[2] = {
	{ .type = 1, .layers = 1, .kv_width = 768, .block_tokens = 512, .blocks = 3 },
	{ .type = 1, .layers = 1, .kv_width = 768, .block_tokens = 512, .blocks = 3 },
};

static struct verbs *verbs_of(const struct pair *pair, int side)
{
	return pair->connection[side]->transport;
}

static int try_open(struct pair *pair, int side, const char *devices, unsigned int pairs,
		    struct tandem_error *error)
{
	struct tandem_connection_options options = pair_options();

	options.rdma_device = devices;
	options.rdma_pairs = pairs;
	return tandem_connection_open(pair->loop, pair->pool[side], &options,
				      &pair->connection[side], error);
}

static void open_with(struct pair *pair, const struct tandem_kv_layout layouts[2],
		      const char *devices[2], const unsigned int pairs[2])
{
	int side;

	pair_kind = &kind;
	pair_open(pair, layouts);
	for (side = 0; side < 2; side++)
		assert_int_equal(try_open(pair, side, devices[side], pairs[side], NULL), 0);
	pair_introduce(pair->connection[0], pair->connection[1]);
	pair_introduce(pair->connection[1], pair->connection[0]);
}

static void open_alike(struct pair *pair, const struct tandem_kv_layout layouts[2],
		       const char *devices, unsigned int pairs)
{
	open_with(pair, layouts, (const char *[]){ devices, devices },
		  (unsigned int[]){ pairs, pairs });
}

/* Every block of every layer, in another order. */
static struct tandem_push whole(struct pair *pair, uint32_t *local, uint32_t *remote)
{
	const struct tandem_kv_layout *layout = tandem_kv_pool_layout(pair->pool[0]);
	struct tandem_push push = {
		.transfer = 1,
		.layer_count = layout->layers,
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = layout->blocks,
	};

	pair_choose(pair, local, layout->blocks, layout->blocks);
	pair_choose(pair, remote, layout->blocks, layout->blocks);
	return push;
}

/* Both rails have had a good part of it, and each pair of theirs has. */
static void check_shares(struct pair *pair, unsigned int rails)
{
	struct tandem_connection_stats all;
	struct tandem_rail_stats one;
	uint64_t pushed = 0, writes = 0;
	unsigned int i;

	tandem_connection_get_stats(pair->connection[0], &all);
	for (i = 0; i < rails; i++) {
		assert_int_equal(tandem_connection_get_rail(pair->connection[0], i, &one), 0);
		assert_true(one.bytes_pushed >= all.bytes_pushed / (4 * rails));
		assert_int_equal(one.bytes_pulled, 0);
		pushed += one.bytes_pushed;
		writes += one.writes;
		tandem_connection_get_rail(pair->connection[1], i, &one);
		assert_int_equal(one.bytes_pushed, 0);
	}
	assert_int_equal(tandem_connection_get_rail(pair->connection[0], rails, &one), -ENOENT);
	assert_int_equal(pushed, all.bytes_pushed);
	assert_int_equal(writes, all.writes);
	for (i = 0; i < verbs_of(pair, 1)->pair_count; i++)
		assert_true(verbs_of(pair, 1)->pairs[i]->arrived > 0);
}

static void test_all_have_a_share(void **state)
{
	uint32_t local[BLOCKS], remote[BLOCKS];
	struct tandem_rail_stats rail;
	struct tandem_push push;
	struct pair pair;

	(void)state;
	open_alike(&pair, small, "rxe1,rxe0", 2);
	assert_int_equal(verbs_of(&pair, 0)->pair_count, 4);
	push = whole(&pair, local, remote);
	pair_push_and_check(&pair, &push);
	check_shares(&pair, 2);
	tandem_connection_get_rail(pair.connection[0], 0, &rail);
	assert_string_equal(rail.name, "rxe1");
	assert_int_equal(rail.pairs, 2);
	pair_close(&pair);
}

/* The parts of a block go over different pairs. */
static void test_large_blocks(void **state)
{
	uint32_t local[3], remote[3];
	struct tandem_push push;
	struct pair pair;

	(void)state;
	open_alike(&pair, large, "rxe0,rxe1", 2);
	assert_int_equal(verbs_of(&pair, 0)->parts, 3);
	push = whole(&pair, local, remote);
	pair_push_and_check(&pair, &push);
	check_shares(&pair, 2);
	pair_close(&pair);
}

static void test_sides_that_differ(void **state)
{
	uint32_t local[BLOCKS], remote[BLOCKS];
	struct tandem_rail_stats rail;
	struct tandem_push push;
	struct pair pair;
	int side;

	(void)state;
	open_with(&pair, small, (const char *[]){ "rxe0,rxe1", "rxe1" }, (unsigned int[]){ 2, 3 });
	push = whole(&pair, local, remote);
	pair_push_and_check(&pair, &push);
	check_shares(&pair, 1);
	for (side = 0; side < 2; side++) {
		assert_int_equal(verbs_of(&pair, side)->pair_count, 2);
		tandem_connection_get_rail(pair.connection[side], 0, &rail);
		assert_string_equal(rail.name, "rxe1");
	}
	pair_close(&pair);
}

static void test_refusals(void **state)
{
	struct tandem_error error = { 0 };
	struct pair pair;

	(void)state;
	pair_kind = &kind;
	pair_open(&pair, small);
	assert_int_equal(try_open(&pair, 0, "rxe0", 9, &error), -EINVAL);
	assert_non_null(strstr(error.message, "8 pairs"));
	assert_int_equal(try_open(&pair, 0, "rxe0,rxe1", 5, &error), -EINVAL);
	assert_int_equal(try_open(&pair, 0, "rxe0,rxe0,rxe0,rxe0,rxe0", 1, &error), -EINVAL);
	assert_int_equal(try_open(&pair, 0, "rxe0,", 1, &error), -ENODEV);
	assert_int_equal(try_open(&pair, 0, "rxe0,rxe9", 1, &error), -ENODEV);
	assert_non_null(strstr(error.message, "rxe9"));
	pair_close(&pair);
}

static void set_link(const char *change)
{
	char command[64];

	snprintf(command, sizeof(command), "ip link set eth0 %s", change);
	assert_int_equal(system(command), 0);
}

/* One whose port is down is passed over, unless it has been asked for. */
static void test_unusable_is_passed_over(void **state)
{
	struct tandem_error error = { 0 };
	struct tandem_rail_stats rail;
	struct pair pair;
	int side;

	(void)state;
	set_link("down");
	pair_kind = &kind;
	pair_open(&pair, small);
	assert_int_equal(try_open(&pair, 0, "rxe0", 1, &error), -ENODEV);
	assert_non_null(strstr(error.message, "rxe0"));
	assert_int_equal(try_open(&pair, 0, "rxe0,rxe1", 1, &error), -ENODEV);
	pair_connect(&pair);
	set_link("up");
	for (side = 0; side < 2; side++) {
		tandem_connection_get_rail(pair.connection[side], 0, &rail);
		assert_string_equal(rail.name, "rxe1");
	}
	pair_close(&pair);
	/* With the link back up it is the first again; that may take a moment. */
	pair_open(&pair, small);
	while (try_open(&pair, 0, "rxe0", 1, &error) < 0)
		pair_run(&pair, 20);
	pair_close(&pair);
}

/* It is given up when it has been down for a while, though nothing is under way over it. */
static void test_port_goes_down(void **state)
{
	struct tandem_rail_stats rail = { 0 };
	uint32_t local[BLOCKS], remote[BLOCKS];
	struct tandem_push push;
	struct pair pair;

	(void)state;
	open_alike(&pair, small, "rxe0,rxe1", 1);
	set_link("down");
	while (!rail.failure) {
		tandem_loop_run(pair.loop, 100);
		tandem_connection_get_rail(pair.connection[0], 0, &rail);
	}
	set_link("up");
	assert_int_equal(rail.failure, -ENETDOWN);
	push = whole(&pair, local, remote);
	pair_push_and_check(&pair, &push);
	tandem_connection_get_rail(pair.connection[0], 1, &rail);
	assert_int_equal(rail.failure, 0);
	pair_close(&pair);
}

/* If none can be used, what is said is why the first one with an active port cannot. */
static void test_reason_of_the_first(void **state)
{
	struct tandem_connection_options options;
	struct tandem_error error = { 0 };
	struct pair pair;

	(void)state;
	pair_kind = &kind;
	pair_open(&pair, small);
	options = pair_options();
	options.gid_index = 200;
	assert_int_equal(tandem_connection_open(pair.loop, pair.pool[0], &options,
						&pair.connection[0], &error), -EINVAL);
	assert_non_null(strstr(error.message, "rxe0"));
	options.gid_index = -1;
	options.rdma_port = 7;
	assert_int_equal(tandem_connection_open(pair.loop, pair.pool[0], &options,
						&pair.connection[0], &error), -ENODEV);
	assert_non_null(strstr(error.message, "no RDMA device with an active port"));
	pair_close(&pair);
}

/* The answer to STOP waits for a write of the other NIC that has not been counted. */
static void test_note_overtakes_write(void **state)
{
	struct tandem_operation received = { 0 };
	uint32_t local[BLOCKS], remote[BLOCKS];
	struct tandem_push push;
	struct verbs *verbs;
	struct pair pair;

	(void)state;
	open_alike(&pair, small, "rxe0,rxe1", 1);
	push = whole(&pair, local, remote);
	pair_push_and_check(&pair, &push);
	verbs = verbs_of(&pair, 1);
	assert_true(verbs->pairs[1]->arrived > 0);
	verbs->pairs[1]->arrived--;
	assert_int_equal(tandem_expect_start(pair.connection[1], 2, 1, 0, &received), 0);
	tandem_cancel(pair.loop, &received);
	pair_run(&pair, 300);
	assert_true(received.pending);
	assert_int_equal(verbs->held_count, 1);
	verbs->pairs[1]->arrived++;
	verbs_take_held(verbs);
	assert_int_equal(pair_wait(&pair, &received), -ECANCELED);
	assert_int_equal(verbs->held_count, 0);
	/* And the connection goes on. */
	push.transfer = 3;
	pair_push_and_check(&pair, &push);
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_have_a_share),
		cmocka_unit_test(test_large_blocks),
		cmocka_unit_test(test_sides_that_differ),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_unusable_is_passed_over),
		cmocka_unit_test(test_port_goes_down),
		cmocka_unit_test(test_reason_of_the_first),
		cmocka_unit_test(test_note_overtakes_write),
	};

	return cmocka_run_group_tests_name("verbs rails", tests, NULL, NULL);
}
