// SPDX-License-Identifier: MIT
/*
 * Grants: what has been granted lands, once; anything else is refused before a
 * byte of it lands, above all what was granted once and is not any more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"

#define BLOCKS	6u

static const uint32_t local[BLOCKS] = { 0, 1, 2, 7, 9, 11 };
static const uint32_t remote[BLOCKS] = { 20, 21, 22, 4, 60, 50 };

static int setup(void **state)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	assert_non_null(pair);
	pair_open(pair, pair_layout);
	pair_connect_with_grants(pair);
	*state = pair;
	return 0;
}

static struct tandem_receive whole_receive(void)
{
	struct tandem_receive receive = {
		.transfer = 5,
		.layer_first = 1,
		.layer_count = 2,
		.blocks = remote,
		.block_count = BLOCKS,
	};

	return receive;
}

static struct tandem_push whole_push(uint64_t generation)
{
	struct tandem_push push = {
		.transfer = 5,
		.layer_first = 1,
		.layer_count = 2,
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = BLOCKS,
		.generation = generation,
	};

	return push;
}

/* Grant and push, so that it works. Return: the generation. */
static uint64_t receive_all(struct pair *pair)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	struct tandem_receive receive = whole_receive();
	struct tandem_push push;

	assert_int_equal(tandem_receive_start(pair->connection[1], &receive, &received), 0);
	assert_int_not_equal(receive.generation, 0);
	push = whole_push(receive.generation);
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
	assert_int_equal(pair_wait(pair, &received), 0);
	assert_int_equal(pair_wait(pair, &sent), 0);
	pair_shadow_push(pair, &push);
	pair_check(pair);
	return receive.generation;
}

/* The push is refused, nothing of it lands, and a new connection works. */
static void refused(struct pair *pair, const struct tandem_push *push)
{
	struct tandem_operation sent = { 0 };
	int result;

	assert_int_equal(tandem_push_start(pair->connection[0], push, &sent), 0);
	result = pair_wait(pair, &sent);
	assert_true(result == -EACCES || result == -ECONNRESET);
	pair_run(pair, 20);
	pair_check(pair);
	pair_connect_with_grants(pair);
	receive_all(pair);
}

static void test_granted(void **state)
{
	struct pair *pair = *state;
	uint64_t first = receive_all(pair);

	assert_true(receive_all(pair) != first);
}

static void test_layer_by_layer(void **state)
{
	struct tandem_operation sent[2] = { 0 }, received = { 0 };
	struct tandem_receive receive = whole_receive();
	struct pair *pair = *state;
	struct tandem_push push;
	uint32_t i;

	assert_int_equal(tandem_receive_start(pair->connection[1], &receive, &received), 0);
	push = whole_push(receive.generation);
	push.layer_count = 1;
	for (i = 0; i < 2; i++) {
		assert_true(received.pending);
		push.layer_first = 1 + i;
		assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent[i]), 0);
		assert_int_equal(pair_wait(pair, &sent[i]), 0);
		pair_shadow_push(pair, &push);
	}
	assert_int_equal(pair_wait(pair, &received), 0);
	pair_check(pair);
}

/* The blocks have been received, and may be another prompt's by now. */
static void test_stale_after_its_end(void **state)
{
	struct pair *pair = *state;
	struct tandem_push push = whole_push(receive_all(pair));

	memset(pair->bytes[0], 0x55, tandem_kv_block_bytes(pair_layout));
	memset(pair->shadow[0], 0x55, tandem_kv_block_bytes(pair_layout));
	refused(pair, &push);
}

/* They are granted again, under the same name, to somebody else. */
static void test_stale_generation(void **state)
{
	struct tandem_receive receive = whole_receive();
	struct tandem_operation received = { 0 };
	struct pair *pair = *state;
	struct tandem_push push = whole_push(receive_all(pair));

	/* So that what must not land would be seen. */
	memset(pair->bytes[0], 0xaa, tandem_memory_size(tandem_kv_pool_memory(pair->pool[0])) / 2);
	memcpy(pair->shadow[0], pair->bytes[0],
	       tandem_kv_block_bytes(pair_layout) * pair_layout[0].blocks * 3);
	assert_int_equal(tandem_receive_start(pair->connection[1], &receive, &received), 0);
	assert_true(receive.generation != push.generation);
	refused(pair, &push);
	assert_false(received.pending);
	/* With verbs the sender refuses it, and the receiver was closed before it knew. */
	assert_true(received.result == -EACCES || received.result == -ECONNRESET ||
		    received.result == -ECANCELED);
}

static void test_of_another_connection(void **state)
{
	struct tandem_operation received = { 0 };
	struct tandem_receive receive = whole_receive();
	struct pair *pair = *state;
	struct tandem_push push;

	assert_int_equal(tandem_receive_start(pair->connection[1], &receive, &received), 0);
	push = whole_push(receive.generation);
	pair_connect_with_grants(pair);
	/* Which of the two sides was closed first is no matter. */
	assert_true(pair_wait(pair, &received) == -ECANCELED ||
		    received.result == -ECONNRESET);
	assert_int_equal(tandem_receive_start(pair->connection[1], &receive, &received), 0);
	refused(pair, &push);
}

/* Blocks far apart, more than there is room for in one message or batch. */
static void test_many_runs(void **state)
{
	uint32_t from[20], to[20];
	struct tandem_operation sent = { 0 }, received = { 0 };
	struct tandem_receive receive = whole_receive();
	struct pair *pair = *state;
	struct tandem_push push;
	uint32_t i, round;

	for (i = 0; i < 20; i++) {
		from[i] = i;
		to[i] = 3 * i;
	}
	receive.layer_first = 0;
	receive.layer_count = 3;
	receive.blocks = to;
	receive.block_count = 20;
	for (round = 0; round < 20; round++) {
		receive.transfer = round;
		assert_int_equal(tandem_receive_start(pair->connection[1], &receive, &received),
				 0);
		push = (struct tandem_push) {
			.transfer = round, .layer_count = 3, .local_blocks = from,
			.remote_blocks = to, .block_count = 20,
			.generation = receive.generation,
		};
		assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
		assert_int_equal(pair_wait(pair, &received), 0);
		assert_int_equal(pair_wait(pair, &sent), 0);
	}
	pair_shadow_push(pair, &push);
	pair_check(pair);
}

static void test_several_at_once(void **state)
{
	static const uint32_t to[4] = { 30, 32, 34, 36 };
	struct tandem_operation sent[4] = { 0 }, received[4] = { 0 };
	struct tandem_receive receive[4];
	struct tandem_push push[4];
	struct pair *pair = *state;
	int i;

	for (i = 0; i < 4; i++) {
		receive[i] = whole_receive();
		receive[i].transfer = i;
		receive[i].blocks = &to[i];
		receive[i].block_count = 1;
		assert_int_equal(tandem_receive_start(pair->connection[1], &receive[i],
						      &received[i]), 0);
	}
	/* In another order than they were granted in. */
	for (i = 3; i >= 0; i--) {
		push[i] = whole_push(receive[i].generation);
		push[i].transfer = i;
		push[i].remote_blocks = &to[i];
		push[i].block_count = 1;
		assert_int_equal(tandem_push_start(pair->connection[0], &push[i], &sent[i]), 0);
	}
	for (i = 0; i < 4; i++) {
		assert_int_equal(pair_wait(pair, &sent[i]), 0);
		assert_int_equal(pair_wait(pair, &received[i]), 0);
		pair_shadow_push(pair, &push[i]);
	}
	pair_check(pair);
}

static void test_blocks_that_were_not_granted(void **state)
{
	uint32_t other[BLOCKS];
	struct tandem_operation received[3] = { 0 };
	struct tandem_receive receive = whole_receive();
	struct pair *pair = *state;
	struct tandem_push push;

	/* Nothing else, as that may land before. */
	memcpy(other, remote, sizeof(other));
	other[0] = 5;
	assert_int_equal(tandem_receive_start(pair->connection[1], &receive, &received[0]), 0);
	push = whole_push(receive.generation);
	push.remote_blocks = other;
	push.block_count = 1;
	refused(pair, &push);
	assert_int_equal(tandem_receive_start(pair->connection[1], &receive, &received[1]), 0);
	push = whole_push(receive.generation);
	push.layer_first = 0;
	push.layer_count = 1;
	refused(pair, &push);
	assert_int_equal(tandem_receive_start(pair->connection[1], &receive, &received[2]), 0);
	push = whole_push(receive.generation);
	push.transfer = 6;
	refused(pair, &push);
}

static void test_a_block_twice(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	struct tandem_receive receive = whole_receive();
	struct pair *pair = *state;
	struct tandem_push push;

	assert_int_equal(tandem_receive_start(pair->connection[1], &receive, &received), 0);
	push = whole_push(receive.generation);
	push.block_count = 1;
	push.layer_count = 1;
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
	assert_int_equal(pair_wait(pair, &sent), 0);
	pair_shadow_push(pair, &push);
	memset(pair->bytes[0], 0x66, tandem_kv_block_bytes(pair_layout));
	memset(pair->shadow[0], 0x66, tandem_kv_block_bytes(pair_layout));
	refused(pair, &push);
}

static void test_bad_arguments(void **state)
{
	static const uint32_t twice[] = { 3, 3 };
	static const uint32_t outside[] = { 3, 67 };
	struct tandem_receive receive = whole_receive(), wrong;
	struct tandem_operation op = { 0 }, other = { 0 };
	struct pair *pair = *state;
	struct tandem_push push = whole_push(0);

#define REFUSED(member, value) do { \
		wrong = receive; \
		wrong.member = value; \
		wrong.block_count = wrong.block_count ? 2 : 0; \
		assert_int_equal(tandem_receive_start(pair->connection[1], &wrong, &op), \
				 -EINVAL); \
		assert_false(op.pending); \
	} while (0)
	REFUSED(blocks, twice);
	REFUSED(blocks, outside);
	REFUSED(transfer, 65536);
	REFUSED(layer_first, 3);
	REFUSED(layer_count, 0);
	REFUSED(layer_count, UINT32_MAX);
	REFUSED(block_count, 0);
#undef REFUSED
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &op), -EINVAL);
	assert_int_equal(tandem_expect_start(pair->connection[1], 1, 1, 0, &op), -EINVAL);
	assert_int_equal(tandem_receive_start(pair->connection[1], &receive, &op), 0);
	assert_int_equal(tandem_receive_start(pair->connection[1], &receive, &other), -EBUSY);
	pair_reconnect(pair);
	assert_int_equal(tandem_receive_start(pair->connection[1], &receive, &other), -EINVAL);
	push.generation = 1;
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &op), -EINVAL);
}

int main(void)
{
#define GRANT_TEST(name)	cmocka_unit_test_setup_teardown(name, setup, pair_teardown)
	const struct CMUnitTest tests[] = {
		GRANT_TEST(test_granted),
		GRANT_TEST(test_layer_by_layer),
		GRANT_TEST(test_many_runs),
		GRANT_TEST(test_several_at_once),
		GRANT_TEST(test_stale_after_its_end),
		GRANT_TEST(test_stale_generation),
		GRANT_TEST(test_of_another_connection),
		GRANT_TEST(test_blocks_that_were_not_granted),
		GRANT_TEST(test_a_block_twice),
		GRANT_TEST(test_bad_arguments),
	};
#undef GRANT_TEST
	int failed = 0;

	for (pair_kind = pair_kinds; pair_kind->name; pair_kind++)
		failed += cmocka_run_group_tests_name(pair_kind->name, tests, NULL, NULL);
	return failed != 0;
}
