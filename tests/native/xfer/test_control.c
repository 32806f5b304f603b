// SPDX-License-Identifier: MIT
/*
 * Control over single transfers: deadlines, cancellation, priorities, room and
 * statistics; and that the connection goes on. First over a transport that the
 * test plays itself, then over real ones.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shim.h"

#define LARGE_BLOCKS	16

/* Of block 0 of each side; with larger writes it would be no more. */
static struct tandem_push small_push(uint32_t *block)
{
	struct tandem_push push = {
		.transfer = 9,
		.layer_count = 1,
		.local_blocks = block,
		.remote_blocks = block,
		.block_count = 1,
	};

	*block = 0;
	return push;
}

/* What has been handed over is waited for; the rest never is. */
static void test_cancel(void **state)
{
	struct tandem_operation sent = { 0 }, next = { 0 };
	uint32_t block;
	struct tandem_push push = small_push(&block);
	struct pair *pair = *state;

	shim_start(pair, &sent);
	assert_int_equal(tandem_cancel(pair->loop, &sent), 0);
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &next), 0);
	while (shim.count > 1) {
		pair_run(pair, 1);
		assert_true(sent.pending);
		shim_acknowledge(pair, 0, 0);
	}
	assert_true(sent.pending);
	assert_int_equal(tandem_cancel(pair->loop, &sent), 0);
	shim_acknowledge(pair, 0, 0);
	connection_continue(pair->connection[0]);
	assert_int_equal(pair_wait(pair, &sent), -ECANCELED);
	/* The other one's turn has come. */
	assert_int_equal(shim.count, 1);
	assert_int_equal(shim.writes[0].transfer, 9);
	shim_carry_out(pair);
	assert_int_equal(pair_wait(pair, &next), 0);
	assert_false(shim.aborted);
}

/* One that waits behind another has nothing to wait for. */
static void test_cancel_before_its_turn(void **state)
{
	struct tandem_operation sent[2] = { 0 };
	uint32_t block;
	struct tandem_push push = small_push(&block);
	struct pair *pair = *state;

	shim_start(pair, &sent[0]);
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent[1]), 0);
	assert_int_equal(tandem_cancel(pair->loop, &sent[1]), 0);
	assert_int_equal(pair_wait(pair, &sent[1]), -ECANCELED);
	assert_true(sent[0].pending);
	shim_carry_out(pair);
	assert_int_equal(pair_wait(pair, &sent[0]), 0);
}

/* What does not land in time costs the connection. */
static void test_cancel_of_what_does_not_land(void **state)
{
	struct tandem_operation sent[2] = { 0 }, received = { 0 };
	struct pair *pair = *state;

	shim_start(pair, &sent[0]);
	shim_start(pair, &sent[1]);
	assert_int_equal(tandem_expect_start(pair->connection[0], 1, 1, 0, &received), 0);
	assert_int_equal(tandem_cancel(pair->loop, &sent[0]), 0);
	while (!shim.aborted)
		tandem_loop_run(pair->loop, 5000);
	pair_run(pair, 5);
	assert_true(sent[0].pending && sent[1].pending && received.pending);
	connection_quiesced(pair->connection[0]);
	assert_int_equal(pair_wait(pair, &sent[0]), -ECANCELED);
	assert_int_equal(pair_wait(pair, &sent[1]), -ECONNRESET);
	assert_int_equal(pair_wait(pair, &received), -ECONNRESET);
}

static void test_timeout_of_one(void **state)
{
	struct tandem_operation sent[2] = { 0 };
	uint32_t local[SHIM_BLOCKS], remote[SHIM_BLOCKS];
	struct pair *pair = *state;
	struct tandem_push push = shim_push(pair, local, remote);

	push.timeout_ms = 20;
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent[0]), 0);
	push.timeout_ms = 0;
	push.transfer = 8;
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent[1]), 0);
	while (!shim.writes[0].push->result)
		tandem_loop_run(pair->loop, 1000);
	assert_true(sent[0].pending);
	while (shim.count)
		shim_acknowledge(pair, 0, 0);
	assert_int_equal(pair_wait(pair, &sent[0]), -ETIMEDOUT);
	connection_continue(pair->connection[0]);
	assert_int_equal(shim.count, SHIM_SLOTS);
	shim_carry_out(pair);
	assert_int_equal(pair_wait(pair, &sent[1]), 0);
	assert_false(shim.aborted);
}

static void test_priority(void **state)
{
	struct tandem_operation sent[4] = { 0 };
	/* Named by their priority, in the order of their start. */
	static const uint32_t priorities[4] = { 1, 0, 3, 1 };
	static const uint32_t order[4] = { 2, 0, 3, 1 };
	uint32_t block;
	struct tandem_push push = small_push(&block);
	struct pair *pair = *state;
	struct tandem_operation first = { 0 };
	unsigned int i;

	shim_start(pair, &first);
	for (i = 0; i < 4; i++) {
		push.transfer = 100 + i;
		push.priority = priorities[i];
		assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent[i]), 0);
	}
	for (i = 0; i < 4; i++) {
		/* All of @first have been handed over before; it has 0. */
		shim_acknowledge(pair, 0, 0);
		connection_continue(pair->connection[0]);
		if (i < 3)
			assert_int_equal(shim.writes[SHIM_SLOTS - 1].transfer, 100 + order[i]);
	}
	shim_carry_out(pair);
	for (i = 0; i < 4; i++)
		assert_int_equal(pair_wait(pair, &sent[i]), 0);
	assert_int_equal(pair_wait(pair, &first), 0);
}

/* However large the writes are, so many bytes at once and no more. */
static void test_window(void **state)
{
	struct tandem_operation sent = { 0 };
	struct pair *pair = *state;

	pair->connection[0]->write_bytes_under_way = XFER_WINDOW_BYTES - 1024;
	pair->connection[0]->writes = 1;
	pair->connection[0]->write_slots = SHIM_SLOTS + 1;
	{
		uint32_t local[SHIM_BLOCKS], remote[SHIM_BLOCKS];
		struct tandem_push push = shim_push(pair, local, remote);

		assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
	}
	assert_int_equal(shim.count, 1);
	pair->connection[0]->write_bytes_under_way -= XFER_WINDOW_BYTES - 1024;
	pair->connection[0]->writes = 1;
	pair->connection[0]->write_slots = SHIM_SLOTS;
	connection_continue(pair->connection[0]);
	shim_carry_out(pair);
	assert_int_equal(pair_wait(pair, &sent), 0);
}

static void test_room_in_pushes(void **state)
{
	struct tandem_operation sent[3] = { 0 }, room[2] = { 0 };
	struct tandem_connection_stats stats;
	uint32_t block;
	struct tandem_push push = small_push(&block);
	struct pair *pair = *state;
	struct tandem_connection *connection = pair->connection[0];

	connection->pushes_max = 2;
	assert_int_equal(tandem_push_start(connection, &push, &sent[0]), 0);
	assert_int_equal(tandem_room_start(connection, &room[0]), 0);
	assert_int_equal(pair_wait(pair, &room[0]), 0);
	assert_int_equal(tandem_push_start(connection, &push, &sent[1]), 0);
	assert_int_equal(tandem_push_start(connection, &push, &sent[2]), -EAGAIN);
	assert_false(sent[2].pending);
	assert_int_equal(tandem_room_start(connection, &room[0]), 0);
	assert_int_equal(tandem_room_start(connection, &room[1]), 0);
	assert_int_equal(tandem_cancel(pair->loop, &room[1]), 0);
	assert_int_equal(pair_wait(pair, &room[1]), -ECANCELED);
	assert_true(room[0].pending);
	shim_acknowledge(pair, 0, 0);
	assert_int_equal(pair_wait(pair, &room[0]), 0);
	assert_int_equal(tandem_push_start(connection, &push, &sent[2]), 0);
	tandem_connection_get_stats(connection, &stats);
	assert_int_equal(stats.pushes_refused, 1);
	assert_int_equal(stats.pushes_done, 1);
	assert_int_equal(stats.pushes_under_way, 2);
	/* Who waits is told when the connection ends. */
	assert_int_equal(tandem_room_start(connection, &room[0]), 0);
	connection_fail(connection, -EIO);
	connection_quiesced(connection);
	assert_int_equal(pair_wait(pair, &room[0]), -EIO);
	assert_int_equal(tandem_room_start(connection, &room[0]), -ENOTCONN);
}

static void test_room_in_bytes(void **state)
{
	struct tandem_operation sent[2] = { 0 }, room = { 0 };
	struct tandem_connection_stats stats;
	uint32_t block;
	struct tandem_push push = small_push(&block);
	struct pair *pair = *state;
	struct tandem_connection *connection = pair->connection[0];
	uint64_t total = 3ull * SHIM_BLOCKS * 1024;

	connection->bytes_max = 8192;
	shim_start(pair, &sent[0]);
	assert_int_equal(tandem_push_start(connection, &push, &sent[1]), -EAGAIN);
	tandem_connection_get_stats(connection, &stats);
	assert_int_equal(stats.bytes_under_way, total);
	assert_int_equal(tandem_room_start(connection, &room), 0);
	while (shim.count) {
		shim_acknowledge(pair, 0, 0);
		connection_continue(connection);
		tandem_connection_get_stats(connection, &stats);
		assert_int_equal(stats.bytes_under_way, total - stats.bytes_pushed);
		tandem_loop_run(pair->loop, 0);
		assert_true(room.pending == (stats.bytes_under_way >= 8192));
	}
	assert_int_equal(pair_wait(pair, &sent[0]), 0);
	assert_int_equal(tandem_push_start(connection, &push, &sent[1]), 0);
	shim_carry_out(pair);
	assert_int_equal(pair_wait(pair, &sent[1]), 0);
}

static void test_room_closed(void **state)
{
	struct tandem_operation room = { 0 };
	struct pair *pair = *state;

	pair->connection[0]->bytes_max = 0;
	assert_int_equal(tandem_room_start(pair->connection[0], &room), 0);
	tandem_connection_close(pair->connection[0]);
	pair->connection[0] = NULL;
	assert_int_equal(room.result, -ECANCELED);
	assert_false(room.pending);
}

static void test_stats_of_a_push(void **state)
{
	struct tandem_transfer_stats stats = { 0 }, unused = { 0 };
	struct tandem_operation sent = { 0 }, never = { 0 };
	uint32_t local[SHIM_BLOCKS], remote[SHIM_BLOCKS];
	struct pair *pair = *state;
	struct tandem_push push = shim_push(pair, local, remote);
	struct tandem_connection_stats whole;

	push.stats = &stats;
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
	push.stats = &unused;
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &never), 0);
	assert_int_equal(tandem_cancel(pair->loop, &never), 0);
	assert_int_equal(pair_wait(pair, &never), -ECANCELED);
	assert_int_equal(unused.bytes, 0);
	assert_int_equal(unused.writes, 0);
	assert_int_equal(unused.first_write_ns, 0);
	assert_true(unused.posted_ns && unused.done_ns >= unused.posted_ns);
	shim_carry_out(pair);
	assert_int_equal(pair_wait(pair, &sent), 0);
	tandem_connection_get_stats(pair->connection[0], &whole);
	assert_int_equal(stats.bytes, 3ull * SHIM_BLOCKS * 1024);
	assert_int_equal(stats.writes, whole.writes);
	assert_true(stats.posted_ns <= stats.first_write_ns);
	assert_true(stats.first_write_ns < stats.last_write_ns);
	assert_true(stats.last_write_ns <= stats.done_ns);
	assert_int_equal(whole.pushes_done, 1);
	assert_int_equal(whole.pushes_cancelled, 1);
	assert_int_equal(whole.bytes_under_way, 0);
}

/*
 * Over real transports
 */

/* 6 MiB on each side. */
static const struct tandem_kv_layout large_layout[2] = {
	{ .type = 0, .layers = 3, .kv_width = 1024, .block_tokens = 16, .blocks = LARGE_BLOCKS },
	{ .type = 0, .layers = 3, .kv_width = 1024, .block_tokens = 16, .blocks = LARGE_BLOCKS },
};

static int large_setup(void **state)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	assert_non_null(pair);
	pair_open(pair, large_layout);
	pair_connect(pair);
	*state = pair;
	return 0;
}

static struct tandem_push large_push(struct pair *pair, uint32_t *local, uint32_t *remote)
{
	struct tandem_push push = {
		.transfer = 3,
		.layer_count = 3,
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = LARGE_BLOCKS,
	};

	pair_choose(pair, local, LARGE_BLOCKS, LARGE_BLOCKS);
	pair_choose(pair, remote, LARGE_BLOCKS, LARGE_BLOCKS);
	return push;
}

/* Cancelled at any time, and what is cancelled does not hinder what follows. */
static void test_cancel_again_and_again(void **state)
{
	uint32_t local[LARGE_BLOCKS], remote[LARGE_BLOCKS];
	struct pair *pair = *state;
	struct tandem_push push = large_push(pair, local, remote);
	struct tandem_connection_stats stats;
	unsigned int round, cancelled = 0;

	for (round = 0; round < 12; round++) {
		struct tandem_operation sent = { 0 };
		struct tandem_transfer_stats transfer = { 0 };
		int result;

		push.transfer = round;
		push.stats = &transfer;
		assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
		pair_run(pair, round / 2);
		tandem_cancel(pair->loop, &sent);
		result = pair_wait(pair, &sent);
		assert_true(result == 0 || result == -ECANCELED);
		assert_true(transfer.bytes <= 6ull << 20);
		assert_true(transfer.bytes == 6ull << 20 || result);
		cancelled += !!result;
	}
	push.stats = NULL;
	push.transfer = 1000;
	pair_push_and_check(pair, &push);
	tandem_connection_get_stats(pair->connection[0], &stats);
	assert_int_equal(stats.pushes_cancelled, cancelled);
	assert_int_equal(stats.pushes_done, 13 - cancelled);
	assert_int_equal(stats.bytes_under_way, 0);
}

/* When a cancelled push has ended, nothing of it lands. */
static void test_cancelled_for_good(void **state)
{
	uint32_t local[LARGE_BLOCKS], remote[LARGE_BLOCKS];
	struct pair *pair = *state;
	struct tandem_push push = large_push(pair, local, remote);
	struct tandem_operation sent = { 0 };
	uint64_t bytes = tandem_memory_size(tandem_kv_pool_memory(pair->pool[1]));

	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
	tandem_loop_run(pair->loop, 0);
	if (sent.pending)
		tandem_cancel(pair->loop, &sent);
	pair_wait(pair, &sent);
	memcpy(pair->shadow[1], pair->bytes[1], bytes);
	pair_run(pair, 100);
	pair_check(pair);
	push.transfer++;
	pair_push_and_check(pair, &push);
}

/* Small ones in between a large one get their turn, and all ends well. */
static void test_mixed_priorities(void **state)
{
	uint32_t local[LARGE_BLOCKS], remote[LARGE_BLOCKS];
	struct pair *pair = *state;
	struct tandem_push push = large_push(pair, local, remote);
	struct tandem_operation sent[3] = { 0 }, received[3] = { 0 };
	uint32_t i;

	push.layer_count = 1;
	for (i = 0; i < 3; i++) {
		push.transfer = i;
		push.layer_first = i;
		push.priority = i;
		assert_int_equal(tandem_expect_start(pair->connection[1], i, LARGE_BLOCKS, 0,
						     &received[i]), 0);
		assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent[i]), 0);
		pair_shadow_push(pair, &push);
	}
	for (i = 0; i < 3; i++) {
		assert_int_equal(pair_wait(pair, &sent[i]), 0);
		assert_int_equal(pair_wait(pair, &received[i]), 0);
	}
	pair_check(pair);
}

/* So that the streams are up where there are any. */
static void warm_up(struct pair *pair)
{
	uint32_t block;
	struct tandem_push push = small_push(&block);

	push.transfer = 5000;
	pair_push_and_check(pair, &push);
}

/* The receiver gives a transfer up: nothing of it lands later, all else goes on. */
static void test_receiver_cancels(void **state)
{
	uint32_t local[LARGE_BLOCKS], remote[LARGE_BLOCKS];
	struct pair *pair = *state;
	struct tandem_push push = large_push(pair, local, remote);
	uint64_t bytes = tandem_memory_size(tandem_kv_pool_memory(pair->pool[1]));
	unsigned int round;

	warm_up(pair);
	for (round = 0; round < 6; round++) {
		struct tandem_operation sent = { 0 }, received = { 0 }, refused = { 0 };

		push.transfer = round;
		/* It never comes to its end by itself. */
		assert_int_equal(tandem_expect_start(pair->connection[1], round, 3 * LARGE_BLOCKS + 1, 0,
						     &received), 0);
		assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
		pair_run(pair, round);
		assert_int_equal(tandem_cancel(pair->loop, &received), 0);
		assert_int_equal(pair_wait(pair, &received), -ECANCELED);
		memcpy(pair->shadow[1], pair->bytes[1], bytes);
		pair_wait(pair, &sent);
		assert_true(sent.result == -ECANCELED || !sent.result);
		assert_int_equal(tandem_push_start(pair->connection[0], &push, &refused),
				 -ECANCELED);
		pair_run(pair, 5);
		pair_check(pair);
	}
	push.transfer = 1000;
	pair_push_and_check(pair, &push);
}

static void test_expectation_times_out(void **state)
{
	struct tandem_operation op[3] = { 0 }, later = { 0 }, sent = { 0 };
	uint32_t block;
	struct tandem_push push = small_push(&block);
	struct pair *pair = *state;
	unsigned int i;

	warm_up(pair);
	assert_int_equal(tandem_expect_start(pair->connection[1], 9, 1, 0, &later), 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(tandem_expect_start(pair->connection[1], i, 1, 20 + i, &op[i]),
				 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(pair_wait(pair, &op[i]), -ETIMEDOUT);
	assert_true(later.pending);
	push.transfer = 0;
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), -ECANCELED);
	push.transfer = 9;
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
	assert_int_equal(pair_wait(pair, &later), 0);
	assert_int_equal(pair_wait(pair, &sent), 0);
}

/* With grants the name and the blocks can be used again at once. */
static void test_grant_cancelled(void **state)
{
	uint32_t local[LARGE_BLOCKS], remote[LARGE_BLOCKS];
	struct pair *pair = *state;
	struct tandem_push push = large_push(pair, local, remote);
	struct tandem_receive receive = {
		.transfer = push.transfer,
		.layer_count = 3,
		.blocks = remote,
		.block_count = LARGE_BLOCKS,
	};
	uint64_t stale = 0;
	unsigned int round;

	pair_connect_with_grants(pair);
	for (round = 0; round < 6; round++) {
		struct tandem_operation sent = { 0 }, received = { 0 };

		assert_int_equal(tandem_receive_start(pair->connection[1], &receive, &received),
				 0);
		push.generation = stale;
		if (stale)
			assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent),
					 -ECANCELED);
		push.generation = receive.generation;
		assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
		/* The first one goes well, and the streams are up. */
		if (round % 2 == 0) {
			assert_int_equal(pair_wait(pair, &received), 0);
			assert_int_equal(pair_wait(pair, &sent), 0);
			pair_shadow_push(pair, &push);
			pair_check(pair);
			stale = 0;
			continue;
		}
		tandem_loop_run(pair->loop, 0);
		tandem_cancel(pair->loop, &received);
		pair_wait(pair, &received);
		pair_wait(pair, &sent);
		assert_true(received.result == -ECANCELED || !received.result);
		assert_true(sent.result == -ECANCELED || !sent.result);
		stale = received.result ? receive.generation : 0;
	}
}

static void test_own_deadline(void **state)
{
	struct tandem_operation sent = { 0 };
	struct tandem_connection *alone[2];
	uint32_t block;
	struct tandem_push push = small_push(&block);
	struct pair *pair = *state;

	/* The other side is not connected: with tcp it waits, with local it fails. */
	if (pair_kind->transport != TANDEM_TRANSPORT_TCP) {
		print_message("# skip: only with tcp a push waits for the other side\n");
		skip();
	}
	alone[0] = pair_connection(pair, 0);
	alone[1] = pair_connection(pair, 1);
	pair_introduce(alone[1], alone[0]);
	push.timeout_ms = 30;
	assert_int_equal(tandem_push_start(alone[0], &push, &sent), 0);
	assert_int_equal(pair_wait(pair, &sent), -ETIMEDOUT);
	/* It is as good as new. */
	pair_introduce(alone[0], alone[1]);
	push.timeout_ms = 0;
	assert_int_equal(tandem_push_start(alone[0], &push, &sent), 0);
	assert_int_equal(pair_wait(pair, &sent), 0);
	tandem_connection_close(alone[0]);
	tandem_connection_close(alone[1]);
}

int main(void)
{
	const struct CMUnitTest shim_tests[] = {
#define SHIM_TEST(name)	cmocka_unit_test_setup_teardown(name, shim_setup, pair_teardown)
		SHIM_TEST(test_cancel),
		SHIM_TEST(test_cancel_before_its_turn),
		SHIM_TEST(test_cancel_of_what_does_not_land),
		SHIM_TEST(test_timeout_of_one),
		SHIM_TEST(test_priority),
		SHIM_TEST(test_window),
		SHIM_TEST(test_room_in_pushes),
		SHIM_TEST(test_room_in_bytes),
		SHIM_TEST(test_room_closed),
		SHIM_TEST(test_stats_of_a_push),
#undef SHIM_TEST
	};
	const struct CMUnitTest tests[] = {
#define LARGE_TEST(name) cmocka_unit_test_setup_teardown(name, large_setup, pair_teardown)
		LARGE_TEST(test_cancel_again_and_again),
		LARGE_TEST(test_cancelled_for_good),
		LARGE_TEST(test_mixed_priorities),
		LARGE_TEST(test_receiver_cancels),
		LARGE_TEST(test_expectation_times_out),
		LARGE_TEST(test_grant_cancelled),
		LARGE_TEST(test_own_deadline),
#undef LARGE_TEST
	};
	int failed;

	pair_kind = pair_kinds;
	failed = cmocka_run_group_tests_name("played", shim_tests, NULL, NULL);
	for (pair_kind = pair_kinds; pair_kind->name; pair_kind++)
		failed += cmocka_run_group_tests_name(pair_kind->name, tests, NULL, NULL);
	return failed != 0;
}
