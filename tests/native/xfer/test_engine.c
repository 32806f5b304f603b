// SPDX-License-Identifier: MIT
/*
 * What all transports have in common, over one that the test plays itself: it
 * carries out writes when and in what order the test says, loses them, fails,
 * and takes its time to come to rest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shim.h"

static void test_any_order(void **state)
{
	struct tandem_operation sent[3] = { 0 }, received[3] = { 0 };
	uint32_t local[SHIM_BLOCKS], remote[SHIM_BLOCKS];
	struct pair *pair = *state;
	bool expected[3];
	int round, i;

	for (round = 0; round < 100; round++) {
		/* Three transfers at once, a layer each. */
		for (i = 0; i < 3; i++) {
			struct tandem_push push = shim_push(pair, local, remote);

			push.transfer = 3 * round + i;
			push.layer_first = i;
			push.layer_count = 1;
			expected[i] = pair_random(pair, 2);
			if (expected[i])
				assert_int_equal(tandem_expect_start(pair->connection[1],
								     push.transfer, SHIM_BLOCKS, 0,
								     &received[i]), 0);
			assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent[i]),
					 0);
			pair_shadow_push(pair, &push);
		}
		shim_carry_out(pair);
		for (i = 0; i < 3; i++) {
			assert_int_equal(pair_wait(pair, &sent[i]), 0);
			if (!expected[i])
				assert_int_equal(tandem_expect_start(pair->connection[1],
								     3 * round + i, SHIM_BLOCKS, 0,
								     &received[i]), 0);
			assert_int_equal(pair_wait(pair, &received[i]), 0);
		}
		pair_check(pair);
	}
	assert_int_equal(shim.most, SHIM_SLOTS);
	assert_int_equal(pair->connection[0]->writes, 0);
}

/* A part of a block is told of by the last part only. */
static void test_parts_of_blocks(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	uint32_t local[SHIM_BLOCKS], remote[SHIM_BLOCKS];
	struct pair *pair = *state;
	struct tandem_push push = shim_push(pair, local, remote);

	pair->connection[0]->write_bytes = 300;
	assert_int_equal(tandem_expect_start(pair->connection[1], 7, 3 * SHIM_BLOCKS, 0,
					     &received), 0);
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
	while (shim.count) {
		/* In order: only such a transport may ask for this. */
		struct xfer_write write = shim.writes[0];

		assert_true(write.blocks <= 1);
		assert_int_equal(write.blocks, (write.local_offset + write.length) % 1024 == 0);
		shim_deliver(pair, 0, true);
		memmove(&shim.writes[0], &shim.writes[1], --shim.count * sizeof(write));
		connection_write_done(pair->connection[0], write.push, write.length, 0);
		connection_continue(pair->connection[0]);
	}
	assert_int_equal(pair_wait(pair, &received), 0);
	assert_int_equal(pair_wait(pair, &sent), 0);
	pair_shadow_push(pair, &push);
	pair_check(pair);
}

/* The push is over when all is acknowledged, not when all has arrived. */
static void test_sender_waits_for_acknowledgement(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	uint32_t block = 0;
	struct tandem_push push = {
		.transfer = 1,
		.layer_count = 1,
		.local_blocks = &block,
		.remote_blocks = &block,
		.block_count = 1,
	};
	struct pair *pair = *state;

	assert_int_equal(tandem_expect_start(pair->connection[1], 1, 1, 0, &received), 0);
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
	shim_deliver(pair, 0, true);
	assert_int_equal(pair_wait(pair, &received), 0);
	assert_true(sent.pending);
	shim_acknowledge(pair, 0, 0);
	assert_int_equal(pair_wait(pair, &sent), 0);
}

/* Whatever went wrong, operations end only when the transport is at rest. */
static void check_ends_when_quiesced(struct pair *pair, struct tandem_operation *sent, int result)
{
	struct tandem_operation another = { 0 };
	uint32_t block = 0;
	struct tandem_push push = {
		.layer_count = 1,
		.local_blocks = &block,
		.remote_blocks = &block,
		.block_count = 1,
	};

	assert_true(shim.aborted);
	pair_run(pair, 20);
	assert_true(sent->pending);
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &another), -ENOTCONN);
	/* Once more changes nothing. */
	assert_int_equal(tandem_cancel(pair->loop, sent), 0);
	connection_quiesced(pair->connection[0]);
	assert_int_equal(pair_wait(pair, sent), result);
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &another), -ENOTCONN);
}

static void test_timeout(void **state)
{
	struct tandem_operation sent = { 0 };
	struct pair *pair = *state;

	pair->connection[0]->timeout_ms = 30;
	shim_start(pair, &sent);
	while (!shim.aborted)
		tandem_loop_run(pair->loop, 1000);
	check_ends_when_quiesced(pair, &sent, -ETIMEDOUT);
}

/* The later one has the earlier deadline, and nothing of it is under way. */
static void test_deadlines_in_any_order(void **state)
{
	struct tandem_operation sent[2] = { 0 };
	struct pair *pair = *state;

	shim_start(pair, &sent[0]);
	pair->connection[0]->timeout_ms = 30;
	shim_start(pair, &sent[1]);
	assert_int_equal(pair_wait(pair, &sent[1]), -ETIMEDOUT);
	assert_true(sent[0].pending);
	shim_carry_out(pair);
	assert_int_equal(pair_wait(pair, &sent[0]), 0);
	assert_false(shim.aborted);
}

static void test_write_fails_later(void **state)
{
	struct tandem_operation sent = { 0 };
	struct pair *pair = *state;

	shim_start(pair, &sent);
	shim_acknowledge(pair, 3, 0);
	assert_false(shim.aborted);
	shim_acknowledge(pair, 3, -EIO);
	assert_true(shim.aborted);
	/* What still comes does no harm. */
	shim_acknowledge(pair, 0, 0);
	shim_acknowledge(pair, 0, -EIO);
	connection_continue(pair->connection[0]);
	connection_quiesced(pair->connection[0]);
	assert_int_equal(pair_wait(pair, &sent), -EIO);
}

static void test_write_refused(void **state)
{
	struct tandem_operation sent = { 0 };
	uint32_t local[SHIM_BLOCKS], remote[SHIM_BLOCKS];
	struct pair *pair = *state;
	struct tandem_push push = shim_push(pair, local, remote);

	shim.fail_with = -ENOMEM;
	shim.fail_after = 2;
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
	check_ends_when_quiesced(pair, &sent, -ENOMEM);
}

static void test_closed_with_writes_under_way(void **state)
{
	struct tandem_operation sent[2] = { 0 };
	struct pair *pair = *state;

	shim_start(pair, &sent[0]);
	shim_start(pair, &sent[1]);
	tandem_connection_close(pair->connection[0]);
	pair->connection[0] = NULL;
	assert_int_equal(sent[0].result, -ECANCELED);
	assert_int_equal(sent[1].result, -ECANCELED);
	assert_false(sent[0].pending || sent[1].pending);
}

/* A fabric that tells twice of one write must not complete a transfer. */
static void test_told_twice(void **state)
{
	struct tandem_operation received = { 0 };
	struct pair *pair = *state;

	assert_int_equal(tandem_expect_start(pair->connection[1], 5, 3, 0, &received), 0);
	connection_received(pair->connection[1], 5, 2);
	connection_received(pair->connection[1], 5, 2);
	assert_int_equal(pair_wait(pair, &received), -EPROTO);
}

static void test_no_blocks_told(void **state)
{
	struct tandem_operation received = { 0 };
	struct pair *pair = *state;

	assert_int_equal(tandem_expect_start(pair->connection[1], 5, 3, 0, &received), 0);
	connection_received(pair->connection[1], 5, 0);
	assert_int_equal(pair_wait(pair, &received), -EPROTO);
}

static void test_too_many_transfers_unasked(void **state)
{
	struct tandem_operation op = { 0 };
	struct pair *pair = *state;
	uint32_t transfer;

	for (transfer = 0; transfer < XFER_EARLY_MAX; transfer++)
		connection_received(pair->connection[1], transfer, 1);
	/* One that is asked for makes room for another. */
	assert_int_equal(tandem_expect_start(pair->connection[1], 17, 1, 0, &op), 0);
	assert_int_equal(pair_wait(pair, &op), 0);
	connection_received(pair->connection[1], XFER_EARLY_MAX, 1);
	assert_int_equal(tandem_expect_start(pair->connection[1], 18, 1, 0, &op), 0);
	assert_int_equal(pair_wait(pair, &op), 0);
	connection_received(pair->connection[1], XFER_EARLY_MAX + 1, 1);
	connection_received(pair->connection[1], XFER_EARLY_MAX + 2, 1);
	assert_int_equal(tandem_expect_start(pair->connection[1], 19, 1, 0, &op), -ENOTCONN);
}

static void test_wire_time(void **state)
{
	struct tandem_connection_stats before, during, after;
	struct tandem_operation sent = { 0 };
	struct pair *pair = *state;

	shim_start(pair, &sent);
	tandem_connection_get_stats(pair->connection[0], &before);
	pair_run(pair, 5);
	tandem_connection_get_stats(pair->connection[0], &during);
	assert_true(during.wire_ns > before.wire_ns);
	assert_int_equal(during.bytes_pushed, 0);
	shim_carry_out(pair);
	assert_int_equal(pair_wait(pair, &sent), 0);
	tandem_connection_get_stats(pair->connection[0], &before);
	pair_run(pair, 5);
	tandem_connection_get_stats(pair->connection[0], &after);
	assert_int_equal(after.wire_ns, before.wire_ns);
	assert_int_equal(after.bytes_pushed, 3ull * SHIM_BLOCKS * 1024);
}

int main(void)
{
#define ENGINE_TEST(name)	cmocka_unit_test_setup_teardown(name, shim_setup, pair_teardown)
	const struct CMUnitTest tests[] = {
		ENGINE_TEST(test_any_order),
		ENGINE_TEST(test_parts_of_blocks),
		ENGINE_TEST(test_sender_waits_for_acknowledgement),
		ENGINE_TEST(test_timeout),
		ENGINE_TEST(test_deadlines_in_any_order),
		ENGINE_TEST(test_write_fails_later),
		ENGINE_TEST(test_write_refused),
		ENGINE_TEST(test_closed_with_writes_under_way),
		ENGINE_TEST(test_told_twice),
		ENGINE_TEST(test_no_blocks_told),
		ENGINE_TEST(test_too_many_transfers_unasked),
		ENGINE_TEST(test_wire_time),
	};
#undef ENGINE_TEST

	pair_kind = pair_kinds;
	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
