// SPDX-License-Identifier: MIT
/*
 * Checksums of what is pushed. A transport that carries other bytes than it was given is
 * played by one that reads from the wrong place: a block which differs in one bit.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"
#include "runtime/crc32c.h"
#include "runtime/xfer.h"

#define BLOCKS 30u
/* Never sent; the test keeps the damaged copy in it. */
#define COPY  40u
#define TRIES 1000

/* 2 MiB a block, more than a write of verbs. */
static const struct tandem_kv_layout large_layout[2] = {
	{ .type = 0, .layers = 2, .kv_width = 8192, .block_tokens = 32, .blocks = 4 },
	{ .type = 0, .layers = 2, .kv_width = 8192, .block_tokens = 32, .blocks = 5 },
};

/**
 * struct damage - what is done to the sender's writes
 * @ops: its transport's, but for writes
 * @below: its transport's
 * @from: offset of the block that is damaged
 * @to: of the copy that is carried instead
 * @done: how often
 */
static struct damage {
	struct xfer_transport_ops ops;
	const struct xfer_transport_ops *below;
	uint64_t from;
	uint64_t to;
	unsigned int done;
} damage;

static int damaging_write(struct tandem_connection *connection, const struct xfer_write *write)
{
	struct xfer_write changed = *write;

	if (write->local_offset == damage.from &&
	    write->length == tandem_kv_block_bytes(&connection->layout)) {
		changed.local_offset = damage.to;
		damage.done++;
	}
	return damage.below->write(connection, &changed);
}

/* From now on one bit of this block changes under way. */
static void damage_block(struct pair *pair, uint32_t layer, uint32_t block)
{
	struct tandem_connection *connection = pair->connection[0];
	const struct tandem_kv_layout *layout = &connection->layout;

	damage.from = tandem_kv_block_offset(layout, layer, block);
	damage.to = tandem_kv_block_offset(layout, 0, COPY);
	damage.done = 0;
	memcpy(pair->bytes[0] + damage.to, pair->bytes[0] + damage.from,
	       tandem_kv_block_bytes(layout));
	pair->bytes[0][damage.to + 777] ^= 4;
	damage.below = connection->ops;
	damage.ops = *connection->ops;
	damage.ops.write = damaging_write;
	connection->ops = &damage.ops;
}

static void heal(struct pair *pair)
{
	pair->connection[0]->ops = damage.below;
	memcpy(pair->shadow[0] + damage.to, pair->bytes[0] + damage.to,
	       tandem_kv_block_bytes(&pair->connection[0]->layout));
}

static struct tandem_connection *open_side(struct pair *pair, int side, unsigned int grants,
					   unsigned int checksums)
{
	struct tandem_connection_options options = pair_options();
	struct tandem_connection *connection;
	struct tandem_error error = { 0 };

	options.grants = grants;
	options.checksums = checksums;
	if (tandem_connection_open(pair->loop, pair->pool[side], &options, &connection, &error) < 0)
		fail_msg("%s: %s", pair_kind->name, error.message);
	return connection;
}

static void open_pair(struct pair *pair, unsigned int grants, const struct tandem_kv_layout layout[2])
{
	int side;

	pair_open(pair, layout);
	for (side = 0; side < 2; side++)
		pair->connection[side] = open_side(pair, side, grants, 1);
	pair_introduce(pair->connection[0], pair->connection[1]);
	pair_introduce(pair->connection[1], pair->connection[0]);
	if (pair_kind->connected)
		pair_kind->connected(pair);
}

static struct tandem_push scattered(struct pair *pair, uint32_t *local, uint32_t *remote)
{
	struct tandem_push push = {
		.transfer = 1,
		.layer_count = 3,
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = BLOCKS,
	};

	pair_choose(pair, local, BLOCKS, COPY);
	pair_choose(pair, remote, BLOCKS, pair_layout[1].blocks);
	return push;
}

static uint64_t damaged(struct pair *pair, int side)
{
	struct tandem_connection_stats stats;

	tandem_connection_get_stats(pair->connection[side], &stats);
	return stats.transfers_damaged;
}

static void await_damaged(struct pair *pair, uint64_t count)
{
	int tries;

	for (tries = 0; tries < TRIES && damaged(pair, 0) < count; tries++)
		tandem_loop_run(pair->loop, 10);
	assert_int_equal(damaged(pair, 0), count);
	assert_int_equal(damaged(pair, 1), count);
}

static void test_sound(void **state)
{
	uint32_t local[BLOCKS], remote[BLOCKS], i;
	struct tandem_operation received = { 0 }, sent[3] = { 0 };
	struct tandem_push push;
	struct pair pair;

	(void)state;
	open_pair(&pair, 0, pair_layout);
	for (i = 0; i < 20; i++) {
		push = scattered(&pair, local, remote);
		push.transfer = i;
		pair_push_and_check(&pair, &push);
	}
	/* Neighbours, in parts, and all of it before anybody waits. */
	for (i = 0; i < BLOCKS; i++)
		local[i] = remote[i] = i;
	push.transfer = 100;
	push.layer_count = 1;
	for (push.layer_first = 0; push.layer_first < 3; push.layer_first++) {
		assert_int_equal(
			tandem_push_start(pair.connection[0], &push, &sent[push.layer_first]), 0);
		pair_shadow_push(&pair, &push);
	}
	for (i = 0; i < 3; i++)
		assert_int_equal(pair_wait(&pair, &sent[i]), 0);
	assert_int_equal(tandem_expect_start(pair.connection[1], 100, 3 * BLOCKS, 0, &received), 0);
	assert_int_equal(pair_wait(&pair, &received), 0);
	pair_check(&pair);
	assert_int_equal(damaged(&pair, 0) + damaged(&pair, 1), 0);
	/* Nothing is kept of what has ended. */
	assert_int_equal(pair.connection[1]->expects.ranges, 0);
	pair_close(&pair);
}

static void test_blocks_larger_than_a_write(void **state)
{
	uint32_t local[4] = { 3, 0, 1, 2 }, remote[4] = { 0, 4, 2, 1 };
	struct tandem_push push = {
		.layer_count = 2,
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = 4,
	};
	struct pair pair;

	(void)state;
	if (pair_kind->connected) {
		print_message("# skip: without order blocks are not cut\n");
		skip();
	}
	open_pair(&pair, 0, large_layout);
	pair_push_and_check(&pair, &push);
	pair_close(&pair);
}

/* One bit, in any block: the wait fails, and the connection goes on. */
static void test_one_bit(void **state)
{
	uint32_t local[BLOCKS], remote[BLOCKS], round;
	struct tandem_push push;
	struct pair pair;

	(void)state;
	open_pair(&pair, 0, pair_layout);
	for (round = 1; round <= 8; round++) {
		struct tandem_operation sent = { 0 }, received = { 0 };

		push = scattered(&pair, local, remote);
		push.transfer = 2 * round;
		/* No neighbours: each block is a write of its own. */
		for (uint32_t i = 0; i < BLOCKS; i++)
			remote[i] = 2 * i + round % 2;
		damage_block(&pair, round % 3, local[round]);
		assert_int_equal(tandem_expect_start(pair.connection[1], push.transfer, 3 * BLOCKS,
						     0, &received),
				 0);
		assert_int_equal(tandem_push_start(pair.connection[0], &push, &sent), 0);
		assert_int_equal(pair_wait(&pair, &received), -EBADMSG);
		pair_wait(&pair, &sent);
		assert_true(!sent.result || sent.result == -EBADMSG);
		assert_int_equal(damage.done, 1);
		await_damaged(&pair, round);
		heal(&pair);
		push.transfer++;
		pair_push_and_check(&pair, &push);
	}
	pair_close(&pair);
}

static void test_one_bit_of_a_grant(void **state)
{
	uint32_t local[BLOCKS], remote[BLOCKS], round;
	struct tandem_receive receive = {
		.transfer = 1,
		.layer_count = 3,
		.blocks = remote,
		.block_count = BLOCKS,
	};
	struct tandem_push push;
	struct pair pair;

	(void)state;
	open_pair(&pair, 1, pair_layout);
	push = scattered(&pair, local, remote);
	for (round = 0; round < BLOCKS; round++)
		remote[round] = 2 * round;
	for (round = 0; round < 6; round++) {
		struct tandem_operation sent = { 0 }, received = { 0 };

		if (round % 2)
			damage_block(&pair, 1, local[round]);
		assert_int_equal(tandem_receive_start(pair.connection[1], &receive, &received), 0);
		push.generation = receive.generation;
		assert_int_equal(tandem_push_start(pair.connection[0], &push, &sent), 0);
		assert_int_equal(pair_wait(&pair, &received), round % 2 ? -EBADMSG : 0);
		pair_wait(&pair, &sent);
		await_damaged(&pair, (round + 1) / 2);
		if (round % 2) {
			heal(&pair);
			continue;
		}
		pair_shadow_push(&pair, &push);
		pair_check(&pair);
	}
	pair_close(&pair);
}

/* So many blocks came, but not these. */
static void test_a_block_twice(void **state)
{
	struct tandem_operation sent[2] = { 0 }, received = { 0 };
	uint32_t block = 7;
	struct tandem_push push = {
		.transfer = 3,
		.layer_count = 1,
		.local_blocks = &block,
		.remote_blocks = &block,
		.block_count = 1,
	};
	struct pair pair;

	(void)state;
	open_pair(&pair, 0, pair_layout);
	assert_int_equal(tandem_expect_start(pair.connection[1], 3, 2, 0, &received), 0);
	assert_int_equal(tandem_push_start(pair.connection[0], &push, &sent[0]), 0);
	assert_int_equal(pair_wait(&pair, &sent[0]), 0);
	assert_int_equal(tandem_push_start(pair.connection[0], &push, &sent[1]), 0);
	assert_int_equal(pair_wait(&pair, &received), -EBADMSG);
	pair_wait(&pair, &sent[1]);
	pair_close(&pair);
}

static void test_the_sender_learns_it(void **state)
{
	const struct xfer_note note = { .kind = XFER_NOTE_DAMAGED, .transfer = 1 };
	uint32_t local[BLOCKS], remote[BLOCKS];
	struct tandem_operation sent = { 0 };
	struct tandem_push push;
	struct pair pair;

	(void)state;
	open_pair(&pair, 0, pair_layout);
	push = scattered(&pair, local, remote);
	assert_int_equal(tandem_push_start(pair.connection[0], &push, &sent), 0);
	assert_int_equal(connection_told(pair.connection[0], &note), 0);
	assert_int_equal(pair_wait(&pair, &sent), -EBADMSG);
	pair_close(&pair);
}

static void test_both_sides_agree(void **state)
{
	uint8_t description[TANDEM_DESCRIPTION_MAX];
	struct tandem_error error = { 0 };
	struct pair pair;
	int size;

	(void)state;
	pair_open(&pair, pair_layout);
	pair.connection[0] = open_side(&pair, 0, 0, 0);
	pair.connection[1] = open_side(&pair, 1, 0, 1);
	size = tandem_connection_describe(pair.connection[1], description, sizeof(description));
	assert_true(size > 0);
	assert_int_equal(tandem_connection_connect(pair.connection[0], description, size, &error),
			 -EINVAL);
	assert_non_null(strstr(error.message, "checksums"));
	pair_close(&pair);
}

static int tell(struct pair *pair, uint64_t generation, uint64_t first, uint32_t count)
{
	const struct xfer_note note = {
		.kind = XFER_NOTE_CHECKSUM,
		.transfer = 9,
		.generation = generation,
		.first = first,
		.count = count,
	};

	return connection_told(pair->connection[1], &note);
}

/* A side that tells anything. */
static void test_notes_of_nobody(void **state)
{
	const uint64_t total = 3 * pair_layout[1].blocks;
	struct pair pair;
	uint64_t i;

	(void)state;
	open_pair(&pair, 0, pair_layout);
	assert_int_equal(tell(&pair, 0, 0, 0), -EPROTO);
	assert_int_equal(tell(&pair, 0, total, 1), -EPROTO);
	assert_int_equal(tell(&pair, 0, total - 1, 2), -EPROTO);
	assert_int_equal(tell(&pair, 0, UINT64_MAX, 1), -EPROTO);
	assert_int_equal(tell(&pair, 1, 0, 1), -EPROTO);
	/* No more than there are blocks. */
	for (i = 0; i < total; i++)
		assert_int_equal(tell(&pair, 0, i % 2, 1), 0);
	assert_int_equal(tell(&pair, 0, 0, 1), -EPROTO);
	pair_close(&pair);
	open_pair(&pair, 1, pair_layout);
	/* A grant that has ended. */
	assert_int_equal(tell(&pair, 1, 0, 1), 0);
	assert_int_equal(pair.connection[1]->expects.ranges, 0);
	pair_close(&pair);
}

static void test_crc32c(void **state)
{
	uint8_t bytes[100];
	uint32_t crc, length, i;

	(void)state;
	/* RFC 3720, appendix B.4. */
	memset(bytes, 0, 32);
	assert_int_equal(crc32c(bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, 32);
	assert_int_equal(crc32c(bytes, 32), 0x62a8ab43);
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = i;
	assert_int_equal(crc32c(bytes, 32), 0x46dd794e);
	assert_int_equal(crc32c(bytes, 0), 0);
	/* Any length and alignment, against the definition. */
	for (length = 0; length < 80; length++) {
		crc = ~0u;
		for (i = 0; i < length * 8; i++)
			crc = (crc ^ bytes[7 + i / 8] >> i % 8) & 1 ? crc >> 1 ^ 0x82f63b78 :
								      crc >> 1;
		assert_int_equal(crc32c(bytes + 7, length), ~crc);
	}
}

/* Push 16 MiB, and run the loop until they have come and are being looked at. */
static struct tandem_push come_to_check(struct pair *pair, struct tandem_operation *sent,
					struct tandem_operation *received)
{
	static const uint32_t blocks[] = { 0, 1, 2, 3 };
	const struct tandem_push push = {
		.layer_count = 2,
		.local_blocks = blocks,
		.remote_blocks = blocks,
		.block_count = 4,
	};

	open_pair(pair, 0, large_layout);
	assert_int_equal(tandem_expect_start(pair->connection[1], 0, 8, 0, received), 0);
	assert_int_equal(tandem_push_start(pair->connection[0], &push, sent), 0);
	while (LIST_EMPTY(&pair->connection[1]->checks)) {
		assert_true(received->pending);
		tandem_loop_run(pair->loop, 10);
	}
	return push;
}

/* Nor does it for the checksums of all that is to be sent. */
static void test_told_in_slices(void **state)
{
	static const struct tandem_kv_layout layout[2] = {
		{ .type = 0, .layers = 8, .kv_width = 8192, .block_tokens = 32, .blocks = 2 },
		{ .type = 0, .layers = 8, .kv_width = 8192, .block_tokens = 32, .blocks = 2 },
	};
	static const uint32_t local[] = { 0, 1 }, remote[] = { 1, 0 };
	const struct tandem_push push = {
		.transfer = 9,
		.layer_count = 8,
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = 2,
	};
	struct tandem_operation sent = { 0 }, received = { 0 };
	struct tandem_connection_stats stats;
	uint64_t write_bytes;
	struct pair pair;

	(void)state;
	open_pair(&pair, 0, layout);
	assert_int_equal(tandem_expect_start(pair.connection[1], 9, 16, 0, &received), 0);
	assert_int_equal(tandem_push_start(pair.connection[0], &push, &sent), 0);
	/* Of 32 MiB, in writes of a block, of 2 MiB, or of what a write can be. */
	tandem_connection_get_stats(pair.connection[0], &stats);
	write_bytes = pair.connection[0]->write_bytes;
	if (write_bytes > 2 << 20)
		write_bytes = 2 << 20;
	assert_true(stats.writes * write_bytes < 16 << 20);
	assert_int_equal(pair_wait(&pair, &received), 0);
	pair_shadow_push(&pair, &push);
	pair_check(&pair);
	assert_int_equal(pair_wait(&pair, &sent), 0);
	pair_close(&pair);
}

/* What else happens on the loop does not have to wait for all of it. */
static void test_looked_at_in_slices(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	struct tandem_push push;
	unsigned int turns = 0;
	struct pair pair;

	(void)state;
	push = come_to_check(&pair, &sent, &received);
	for (; received.pending; turns++)
		tandem_loop_run(pair.loop, 0);
	assert_true(turns >= 12);
	assert_int_equal(received.result, 0);
	pair_shadow_push(&pair, &push);
	pair_check(&pair);
	pair_wait(&pair, &sent);
	pair_close(&pair);
}

static void test_cancelled_while_looked_at(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	struct tandem_push push;
	struct pair pair;

	(void)state;
	push = come_to_check(&pair, &sent, &received);
	assert_int_equal(tandem_cancel(pair.loop, &received), 0);
	assert_int_equal(pair_wait(&pair, &received), -ECANCELED);
	assert_int_equal(pair_wait(&pair, &sent), 0);
	/* The connection goes on, and so can its name. */
	pair_push_and_check(&pair, &push);
	pair_close(&pair);
}

/* All has come by then. */
static void test_sender_gone_while_looked_at(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	struct pair pair;

	(void)state;
	come_to_check(&pair, &sent, &received);
	tandem_connection_close(pair.connection[0]);
	pair.connection[0] = NULL;
	assert_int_equal(pair_wait(&pair, &received), 0);
	pair_close(&pair);
}

static void test_closed_while_looked_at(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	struct pair pair;

	(void)state;
	come_to_check(&pair, &sent, &received);
	tandem_connection_close(pair.connection[1]);
	pair.connection[1] = NULL;
	assert_false(received.pending);
	assert_int_equal(received.result, -ECANCELED);
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest crc_tests[] = { cmocka_unit_test(test_crc32c) };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_blocks_larger_than_a_write),
		cmocka_unit_test(test_one_bit),
		cmocka_unit_test(test_one_bit_of_a_grant),
		cmocka_unit_test(test_a_block_twice),
		cmocka_unit_test(test_the_sender_learns_it),
		cmocka_unit_test(test_both_sides_agree),
		cmocka_unit_test(test_notes_of_nobody),
		cmocka_unit_test(test_told_in_slices),
		cmocka_unit_test(test_looked_at_in_slices),
		cmocka_unit_test(test_cancelled_while_looked_at),
		cmocka_unit_test(test_sender_gone_while_looked_at),
		cmocka_unit_test(test_closed_while_looked_at),
	};
	int failed;

	failed = cmocka_run_group_tests_name("CRC-32C", crc_tests, NULL, NULL);
	for (pair_kind = pair_kinds; pair_kind->name; pair_kind++)
		failed += cmocka_run_group_tests_name(pair_kind->name, tests, NULL, NULL);
	return failed != 0;
}
