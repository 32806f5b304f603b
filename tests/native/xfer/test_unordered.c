// SPDX-License-Identifier: MIT
/*
 * Writes that arrive in any order and are told of more than once.
 */
#include <stdlib.h>
#include <errno.h>
#include <string.h>

#include "runtime/xfer_unordered.h"
#include "unordered.h"

static struct xfer_push *push_number(uint64_t number)
{
	return (struct xfer_push *)(uintptr_t)(0x1000 + number);
}

static void test_acknowledged_once(void **state)
{
	struct xfer_slots slots = { 0 };
	struct xfer_push *push;
	uint64_t bytes, i;

	(void)state;
	assert_false(xfer_slots_acknowledge(&slots, 0, &push, &bytes));
	for (i = 0; i < XFER_UNORDERED_WRITES; i++)
		assert_int_equal(xfer_slots_take(&slots, push_number(i), i), i);
	assert_int_equal(xfer_slots_room(&slots), 0);
	/* Room comes with the oldest, not with any. */
	for (i = XFER_UNORDERED_WRITES - 1; i > 0; i--) {
		assert_true(xfer_slots_acknowledge(&slots, i, &push, &bytes));
		assert_ptr_equal(push, push_number(i));
		assert_int_equal(bytes, i);
		assert_false(xfer_slots_acknowledge(&slots, i, &push, &bytes));
		assert_int_equal(xfer_slots_room(&slots), 0);
	}
	assert_true(xfer_slots_acknowledge(&slots, 0, &push, &bytes));
	assert_int_equal(xfer_slots_room(&slots), XFER_UNORDERED_WRITES);
	assert_int_equal(xfer_slots_take(&slots, push_number(7), 1), XFER_UNORDERED_WRITES);
	/* The one in the same slot long ago. */
	assert_false(xfer_slots_acknowledge(&slots, 0, &push, &bytes));
	assert_false(xfer_slots_acknowledge(&slots, XFER_UNORDERED_WRITES + 1, &push, &bytes));
	assert_true(xfer_slots_acknowledge(&slots, XFER_UNORDERED_WRITES, &push, &bytes));
}

static void test_told_once(void **state)
{
	const uint64_t late = XFER_UNORDERED_NUMBERS / 2 - 1;
	struct xfer_arrivals arrivals = { 0 };
	uint32_t transfer, blocks;
	uint64_t number;

	(void)state;
	/* Each is told of, then an older one for the first time, and both again. */
	for (number = 0; number < 5 * XFER_UNORDERED_NUMBERS; number += 2) {
		uint32_t now = xfer_unordered_immediate(number % 65536, 1 + number % 64, number);
		uint32_t before = xfer_unordered_immediate(3, 64, number - late);

		assert_true(xfer_arrivals_take(&arrivals, now, &transfer, &blocks));
		assert_int_equal(transfer, number % 65536);
		assert_int_equal(blocks, 1 + number % 64);
		assert_false(xfer_arrivals_take(&arrivals, now, &transfer, &blocks));
		if (number < late)
			continue;
		assert_true(xfer_arrivals_take(&arrivals, before, &transfer, &blocks));
		assert_int_equal(transfer, 3);
		assert_int_equal(blocks, 64);
		assert_false(xfer_arrivals_take(&arrivals, before, &transfer, &blocks));
	}
}

/* What is told after some writes waits for the last of them, of those alone. */
static void test_passed(void **state)
{
	struct xfer_arrivals arrivals = { 0 };
	uint32_t transfer, blocks;
	uint64_t base, i;

	(void)state;
	for (base = 0; base < 3 * XFER_UNORDERED_NUMBERS; base += XFER_UNORDERED_WRITES) {
		assert_true(xfer_arrivals_passed(&arrivals, base));
		/* From the newest to the oldest but one, then that. */
		for (i = XFER_UNORDERED_WRITES - 1; i > 0; i--) {
			xfer_arrivals_take(&arrivals, xfer_unordered_immediate(1, 1, base + i),
					   &transfer, &blocks);
			assert_true(xfer_arrivals_passed(&arrivals, base));
			assert_false(xfer_arrivals_passed(&arrivals, base + 1));
		}
		xfer_arrivals_take(&arrivals, xfer_unordered_immediate(1, 1, base), &transfer,
				   &blocks);
		assert_true(xfer_arrivals_passed(&arrivals, base + XFER_UNORDERED_WRITES));
		assert_false(xfer_arrivals_passed(&arrivals, base + XFER_UNORDERED_WRITES + 1));
	}
}

/*
 * Given up in the middle: when that has ended nothing more is counted, or the next
 * transfer of that name would be taken to be complete.
 */
static void test_stopped_after_the_last(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	uint32_t local[30], remote[30];
	struct pair *pair = *state;
	struct tandem_push push = {
		.layer_count = 3, .local_blocks = local, .remote_blocks = remote,
		.block_count = 30,
	};
	struct tandem_connection_stats stats, after;
	int round;

	for (round = 0; round < 100; round++) {
		pair_choose(pair, local, 30, 41);
		pair_choose(pair, remote, 30, 67);
		push.transfer = round;
		assert_int_equal(tandem_expect_start(pair->connection[1], round, 91, 0, &received),
				 0);
		assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
		tandem_loop_run(pair->loop, 0);
		tandem_cancel(pair->loop, &received);
		assert_int_equal(pair_wait(pair, &received), -ECANCELED);
		tandem_connection_get_stats(pair->connection[1], &stats);
		pair_wait(pair, &sent);
		pair_run(pair, 1);
		tandem_connection_get_stats(pair->connection[1], &after);
		assert_int_equal(stats.blocks_received, after.blocks_received);
		assert_null(xfer_expect_find(&pair->connection[1]->expects, round));
	}
	assert_true(unordered_counts.notes_held > 10);
}

/* Many transfers at once, both ways; the fabric does what it is for. */
static void test_fabric(void **state)
{
	struct tandem_operation sent[8] = { 0 }, received[8] = { 0 };
	uint32_t local[8][5], remote[8][5], all[40], there[40];
	struct pair *pair = *state;
	struct tandem_push push;
	int round, i;

	for (round = 0; round < 100; round++) {
		pair_choose(pair, all, 40, 41);
		pair_choose(pair, there, 40, 67);
		memcpy(local, all, sizeof(local));
		memcpy(remote, there, sizeof(remote));
		for (i = 0; i < 8; i++) {
			push = (struct tandem_push) {
				.transfer = 8 * round + i, .layer_count = 3,
				.local_blocks = local[i], .remote_blocks = remote[i],
				.block_count = 5,
			};
			assert_int_equal(tandem_expect_start(pair->connection[1], push.transfer,
							     15, 0, &received[i]), 0);
			assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent[i]),
					 0);
			pair_shadow_push(pair, &push);
		}
		for (i = 0; i < 8; i++) {
			assert_int_equal(pair_wait(pair, &received[i]), 0);
			assert_int_equal(pair_wait(pair, &sent[i]), 0);
		}
		pair_check(pair);
	}
	assert_true(unordered_counts.overtaken > 1000);
	assert_true(unordered_counts.told_twice > 1000);
	assert_true(unordered_counts.acknowledged_twice > 1000);
}

/* What has been told to have come is there: of each transfer at its own end. */
static void test_complete_when_it_says_so(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	uint32_t local[30], remote[30], i;
	struct pair *pair = *state;
	struct tandem_push push = {
		.layer_count = 1, .local_blocks = local, .remote_blocks = remote,
		.block_count = 30,
	};
	int round;

	for (round = 0; round < 200; round++) {
		pair_choose(pair, local, 30, 41);
		pair_choose(pair, remote, 30, 67);
		push.transfer = round;
		for (i = 0; i < 30; i++) {
			pair->bytes[0][local[i] * 1024] = round + i;
			pair->shadow[0][local[i] * 1024] = round + i;
		}
		assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
		assert_int_equal(tandem_expect_start(pair->connection[1], round, 30, 0,
						     &received), 0);
		pair_shadow_push(pair, &push);
		assert_int_equal(pair_wait(pair, &received), 0);
		pair_check(pair);
		assert_int_equal(pair_wait(pair, &sent), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_acknowledged_once),
		cmocka_unit_test(test_told_once),
		cmocka_unit_test(test_passed),
		cmocka_unit_test_setup_teardown(test_stopped_after_the_last, pair_setup,
						pair_teardown),
		cmocka_unit_test_setup_teardown(test_fabric, pair_setup, pair_teardown),
		cmocka_unit_test_setup_teardown(test_complete_when_it_says_so, pair_setup,
						pair_teardown),
	};

	pair_kind = pair_kinds;
	return cmocka_run_group_tests_name("unordered", tests, NULL, NULL);
}
