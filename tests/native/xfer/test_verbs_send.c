// SPDX-License-Identifier: MIT
/*
 * How writes are spread over queue pairs, and what their immediates say. No NIC is needed
 * for that: what is looked at are the requests that would be posted.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/xfer_verbs_service.h"

#define KIB	1024ull

static struct tandem_connection connection;
static struct verbs verbs;
static struct verbs_rail_end remote[2] = { { .rkey = 0x100 }, { .rkey = 0x200 } };
static struct ibv_mr regions[2] = { { .lkey = 0x10 }, { .lkey = 0x20 } };
static struct verbs_pair pairs[3];
static struct xfer_push push;

/* Two pairs of the first rail, one of the second. */
static int setup(void **state)
{
	unsigned int i;

	(void)state;
	memset(&connection, 0, sizeof(connection));
	memset(&verbs, 0, sizeof(verbs));
	memset(pairs, 0, sizeof(pairs));
	memset(&push, 0, sizeof(push));
	connection.transport = &verbs;
	/* So that nothing happens when writes are done, but for counting. */
	connection.state = CONNECTION_FAILING;
	push.connection = &connection;
	verbs.connection = &connection;
	verbs.parts = 1;
	verbs.pair_count = 3;
	verbs.rail_used_count = 2;
	for (i = 0; i < 2; i++) {
		verbs.rails_used[i] = &verbs.rails[i];
		verbs.rails[i].first = &pairs[2 * i];
		verbs.rails[i].verbs = &verbs;
		verbs.rails[i].number = i;
		verbs.rails[i].service = &verbs_rc;
		verbs.rails[i].region = &regions[i];
		verbs.rails[i].remote = &remote[i];
	}
	for (i = 0; i < 3; i++) {
		verbs.pairs[i] = &pairs[i];
		pairs[i].number = i;
		pairs[i].rail = &verbs.rails[i / 2];
	}
	return 0;
}

static void write_some(uint32_t transfer, uint64_t length, uint32_t blocks)
{
	const struct xfer_write write = {
		.push = &push,
		.local_offset = 4096,
		.remote_offset = 8192,
		.length = length,
		.transfer = transfer,
		.blocks = blocks,
	};

	connection.writes++;
	push.writes++;
	connection.write_bytes_under_way += length;
	connection.bytes_under_way += length;
	push.bytes_left += length;
	assert_int_equal(verbs_write(&connection, &write), 0);
}

/* As if it had been posted. */
static void post(struct verbs_pair *pair)
{
	pair->batch_count = 0;
}

static uint32_t immediate(const struct verbs_pair *pair, unsigned int at)
{
	return be32toh(pair->batch[at].imm_data);
}

static void test_keys_of_each_rail(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 3; i++)
		write_some(7, 64 * KIB, 1);
	for (i = 0; i < 3; i++) {
		assert_int_equal(pairs[i].batch_count, 1);
		assert_int_equal(pairs[i].batch[0].opcode, IBV_WR_RDMA_WRITE_WITH_IMM);
		assert_int_equal(pairs[i].batch[0].wr.rdma.rkey, i < 2 ? 0x100 : 0x200);
		assert_int_equal(pairs[i].batch[0].wr.rdma.remote_addr, 8192);
		assert_int_equal(pairs[i].ranges[0].lkey, i < 2 ? 0x10 : 0x20);
		assert_int_equal(pairs[i].ranges[0].addr, 4096);
		assert_int_equal(immediate(&pairs[i], 0), 7 << 16 | 1);
		assert_ptr_equal(verbs_work_pair(&verbs, pairs[i].batch[0].wr_id), &pairs[i]);
	}
}

/* Large ones beside small ones: it is bytes that count. */
static void test_bytes_are_balanced(void **state)
{
	unsigned int i;

	(void)state;
	write_some(1, 512 * KIB, 1);
	for (i = 0; i < 64; i++)
		write_some(1, 8 * KIB, 1);
	assert_int_equal(pairs[0].next, 1);
	assert_int_equal(pairs[1].next, 32);
	assert_int_equal(pairs[2].next, 32);
	assert_int_equal(pairs[1].bytes, 256 * KIB);
}

/* What a pair has carried out makes room on it: the quick one gets more. */
static void test_the_quick_gets_more(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 90; i++) {
		write_some(1, 64 * KIB, 1);
		post(&pairs[0]);
		post(&pairs[1]);
		post(&pairs[2]);
		/* The last of the third pair so far. */
		if (pairs[2].first != pairs[2].next)
			verbs_sent(&pairs[2], pairs[2].next - 1);
	}
	assert_int_equal(pairs[0].next, 1);
	assert_int_equal(pairs[1].next, 1);
	assert_int_equal(pairs[2].next, 88);
	assert_int_equal(verbs.rails[1].stats.bytes_pushed, 88 * 64 * KIB);
	assert_int_equal(verbs.rails[1].stats.writes, 88);
	assert_int_equal(connection.writes, 2);
}

/* Until all slots are taken, each pair has as many as it can. */
static void test_slots_run_out(void **state)
{
	unsigned int i;

	(void)state;
	/* The first pair is the slow one, and full first. */
	pairs[1].bytes = pairs[2].bytes = 1ull << 40;
	for (i = 0; i < 3 * VERBS_SLOTS; i++) {
		write_some(1, 4 * KIB, 1);
		post(&pairs[0]);
		post(&pairs[1]);
		post(&pairs[2]);
	}
	for (i = 0; i < 3; i++)
		assert_int_equal(pairs[i].next - pairs[i].first, VERBS_SLOTS);
}

/* Of one transfer, in one call, on one pair: one immediate for all. */
static void test_immediates_are_joined(void **state)
{
	unsigned int i;

	(void)state;
	verbs.pair_count = 2;
	for (i = 0; i < 8; i++)
		write_some(3, 8 * KIB, 2);
	write_some(4, 8 * KIB, 1);
	assert_int_equal(pairs[0].batch_count, 5);
	assert_int_equal(pairs[1].batch_count, 4);
	for (i = 0; i < 3; i++)
		assert_int_equal(pairs[0].batch[i].opcode, IBV_WR_RDMA_WRITE);
	assert_int_equal(immediate(&pairs[0], 3), 3 << 16 | 8);
	assert_int_equal(immediate(&pairs[0], 4), 4 << 16 | 1);
	assert_int_equal(immediate(&pairs[1], 3), 3 << 16 | 8);
	/* As many as the other side will count. */
	verbs_sent(&pairs[0], pairs[0].next - 1);
	assert_int_equal(pairs[0].written, 2);
	verbs_sent(&pairs[1], pairs[1].next - 1);
	assert_int_equal(pairs[1].written, 1);
}

/* Of a block that takes several writes, each tells of its part. */
static void test_parts_are_told_of(void **state)
{
	unsigned int i;

	(void)state;
	verbs.parts = 3;
	for (i = 0; i < 6; i++)
		write_some(5, 512 * KIB, i % 3 == 2);
	for (i = 0; i < 3; i++)
		assert_int_equal(immediate(&pairs[i], 1), 5 << 16 | 2);
}

/* Often enough to know what is under way, and not for each. */
static void test_completions_are_asked_for(void **state)
{
	unsigned int i, signalled = 0;

	(void)state;
	verbs.pair_count = 1;
	for (i = 0; i < VERBS_SLOTS; i++)
		write_some(1, 4 * KIB, 1);
	for (i = 0; i < VERBS_SLOTS; i++)
		signalled += pairs[0].batch[i].send_flags == IBV_SEND_SIGNALED;
	assert_int_equal(signalled, 4);
	setup(NULL);
	verbs.pair_count = 1;
	for (i = 0; i < 16; i++)
		write_some(1, 1024 * KIB, 1);
	for (signalled = i = 0; i < 16; i++)
		signalled += pairs[0].batch[i].send_flags == IBV_SEND_SIGNALED;
	assert_int_equal(signalled, 4);
}

/*
 * When a rail fails
 */

static int post_nothing(struct verbs_pair *pair, struct ibv_send_wr *requests)
{
	(void)pair;
	(void)requests;
	return 0;
}

static const struct verbs_service no_nic = { .ordered = true, .post = post_nothing };

/* The second rail fails, whose only pair has as many writes as the others. */
static void fail_second(unsigned int writes)
{
	unsigned int i;

	connection.state = CONNECTION_CONNECTED;
	connection.write_slots = 3 * VERBS_SLOTS;
	/* So that its end is not waited for. */
	push.is_waiting = true;
	TAILQ_INIT(&connection.rooms);
	verbs.rails[0].service = verbs.rails[1].service = &no_nic;
	for (i = 0; i < writes; i++)
		write_some(1, 8 * KIB, 1);
	assert_int_equal(verbs_flush(&connection), 0);
	verbs.rails[1].state = VERBS_RAIL_GONE;
	verbs_leave_slots(&pairs[2]);
}

/* The other side has counted the first immediate of two, each of which stands for 32 writes. */
static void test_what_is_not_counted_goes_elsewhere(void **state)
{
	const struct verbs_counted counted = { .before = 1 };
	unsigned int i;

	(void)state;
	fail_second(3 * 64);
	assert_int_equal(pairs[2].numbered, 2);
	/* What is free, but for what is kept for the writes of that pair. */
	assert_int_equal(connection.write_slots - connection.writes, 2 * (VERBS_SLOTS - 64) - 64);
	assert_int_equal(verbs_writes_counted(&pairs[2], &counted), 0);
	assert_int_equal(connection.writes, 3 * 64 - 32);
	assert_int_equal(verbs.rails[1].stats.writes, 32);
	assert_int_equal(verbs_write_again(&verbs), 0);
	assert_true(pairs[2].first == pairs[2].next);
	assert_int_equal(verbs.again, 32);
	for (i = 0; i < 2; i++) {
		assert_int_equal(pairs[i].next, 64 + 16);
		assert_int_equal(pairs[i].numbered, 3);
		assert_int_equal(immediate(&pairs[i], 15), 1 << 16 | 16);
	}
	assert_int_equal(connection.writes, 3 * 64 - 32);
	assert_int_equal(connection.write_slots - connection.writes, 2 * (VERBS_SLOTS - 80));
}

/* It waits for slots that get free, and has them before anything else. */
static void test_all_waits_for_room(void **state)
{
	const struct verbs_counted counted = { 0 };

	(void)state;
	fail_second(3 * VERBS_SLOTS);
	assert_int_equal(verbs_writes_counted(&pairs[2], &counted), 0);
	assert_int_equal(verbs_write_again(&verbs), 0);
	assert_int_equal(verbs.again, 0);
	verbs_sent(&pairs[0], 31);
	assert_true(connection.write_slots < connection.writes);
	assert_int_equal(verbs_write_again(&verbs), 0);
	assert_int_equal(verbs.again, 32);
	assert_int_equal(pairs[2].next - pairs[2].first, VERBS_SLOTS - 32);
	assert_int_equal(pairs[0].next, VERBS_SLOTS + 32);
}

/* Of a push that is to end early nothing is sent again. */
static void test_stopped_is_dropped(void **state)
{
	const struct verbs_counted counted = { .before = 1 };
	const uint64_t bytes = 3 * 64 * 8 * KIB;

	(void)state;
	fail_second(3 * 64);
	push.result = -ECANCELED;
	assert_int_equal(verbs_writes_counted(&pairs[2], &counted), 0);
	assert_int_equal(verbs_write_again(&verbs), 0);
	assert_int_equal(verbs.again, 0);
	assert_true(pairs[2].first == pairs[2].next);
	assert_int_equal(push.writes, 2 * 64);
	/* What has been counted, alone, has been written. */
	assert_int_equal(push.bytes_left, bytes - 32 * 8 * KIB);
	assert_int_equal(connection.write_bytes_under_way, bytes - 64 * 8 * KIB);
}

/* More than there was, or less than has been carried out. */
static void test_wrong_counts(void **state)
{
	struct verbs_counted counted = { .before = 3 };

	(void)state;
	fail_second(3 * 64);
	assert_int_equal(verbs_writes_counted(&pairs[2], &counted), -EPROTO);
	verbs_sent(&pairs[2], 31);
	assert_int_equal(pairs[2].written, 1);
	counted.before = 0;
	assert_int_equal(verbs_writes_counted(&pairs[2], &counted), -ECONNRESET);
	counted.before = 1;
	assert_int_equal(verbs_writes_counted(&pairs[2], &counted), 0);
	assert_int_equal(pairs[2].first, 32);
}

/*
 * Without order
 */

static const struct verbs_service no_order = { .ordered = false, .probe = IBV_WR_SEND };

static int setup_without_order(void **state)
{
	setup(state);
	verbs.rails[0].service = verbs.rails[1].service = &no_order;
	connection.write_slots = VERBS_SLOTS;
	verbs.pair_count = 1;
	return 0;
}

/* An immediate and a completion for each, and a number by which it is known again. */
static void test_each_stands_for_itself(void **state)
{
	uint32_t transfer, blocks;
	unsigned int i;

	(void)state;
	for (i = 0; i < VERBS_SLOTS; i++)
		write_some(3, 8 * KIB, 2);
	assert_int_equal(pairs[0].batch_count, VERBS_SLOTS);
	for (i = 0; i < VERBS_SLOTS; i++) {
		assert_int_equal(pairs[0].batch[i].opcode, IBV_WR_RDMA_WRITE_WITH_IMM);
		assert_int_equal(pairs[0].batch[i].send_flags, IBV_SEND_SIGNALED);
	}
	/* However late the first one is. */
	for (i = VERBS_SLOTS; i--;) {
		assert_true(xfer_arrivals_take(&pairs[1].arrivals, immediate(&pairs[0], i),
					       &transfer, &blocks));
		assert_int_equal(transfer, 3);
		assert_int_equal(blocks, 2);
		assert_int_equal(pairs[1].arrivals.missing, i ? 0 : VERBS_SLOTS);
	}
}

/* A completion says nothing of the writes before it; slots are free when the oldest is done. */
static void test_completions_in_any_order(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 4; i++)
		write_some(1, (i + 1) * KIB, 1);
	verbs_sent(&pairs[0], 2);
	assert_int_equal(connection.writes, 3);
	assert_int_equal(pairs[0].bytes, (1 + 2 + 4) * KIB);
	assert_int_equal(pairs[0].first, 0);
	assert_int_equal(pairs[0].written, 0);
	assert_int_equal(connection.write_slots, VERBS_SLOTS - 1);
	verbs_sent(&pairs[0], 0);
	assert_int_equal(pairs[0].first, 1);
	verbs_sent(&pairs[0], 1);
	assert_int_equal(pairs[0].first, 3);
	assert_int_equal(pairs[0].written, 3);
	assert_int_equal(connection.writes, 1);
	assert_int_equal(connection.write_slots, VERBS_SLOTS);
}

/* As long as the oldest is late, no more is begun than its number allows for. */
static void test_the_oldest_is_waited_for(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < VERBS_SLOTS; i++)
		write_some(1, KIB, 1);
	post(&pairs[0]);
	for (i = 1; i < VERBS_SLOTS; i++)
		verbs_sent(&pairs[0], i);
	assert_int_equal(connection.writes, 1);
	assert_int_equal(connection.write_slots, 1);
	verbs_sent(&pairs[0], 0);
	assert_int_equal(connection.write_slots, VERBS_SLOTS);
}

/* Each write is known by its number. */
static void test_what_is_counted_in_any_order(void **state)
{
	struct verbs_counted counted = { .before = 2, .beyond = { 1 << 3 } };
	unsigned int i;

	(void)state;
	for (i = 0; i < 8; i++)
		write_some(1, KIB, 1);
	verbs_sent(&pairs[0], 5);
	verbs.rails[0].state = VERBS_RAIL_GONE;
	connection.state = CONNECTION_CONNECTED;
	push.is_waiting = true;
	TAILQ_INIT(&connection.rooms);
	assert_int_equal(verbs_writes_counted(&pairs[0], &counted), 0);
	assert_int_equal(pairs[0].first, 2);
	assert_int_equal(connection.writes, 5);
	/* One of which this side had been told is not among these. */
	counted.beyond[0] = 1 << 4;
	assert_int_equal(verbs_writes_counted(&pairs[0], &counted), -ECONNRESET);
}

static void test_controls_in_any_order(void **state)
{
	(void)state;
	pairs[0].control_next = 3;
	assert_int_equal(verbs_control_completed(&pairs[0], 1), 0);
	assert_int_equal(pairs[0].control_first, 0);
	assert_int_equal(verbs_control_completed(&pairs[0], 0), 0);
	assert_int_equal(pairs[0].control_first, 2);
	assert_int_equal(verbs_control_completed(&pairs[0], 3), -EIO);
	assert_int_equal(verbs_control_completed(&pairs[0], 1), -EIO);
	assert_int_equal(verbs_control_completed(&pairs[0], 2), 0);
	assert_int_equal(pairs[0].control_first, 3);
	assert_int_equal(pairs[0].control_done, 0);
}

static void receive(uint32_t number, unsigned int buffer, uint32_t size)
{
	const struct ibv_wc completion = {
		.wr_id = verbs_work(&pairs[0], VERBS_WORK_RECEIVE, buffer),
		.opcode = IBV_WC_RECV,
		.wc_flags = IBV_WC_WITH_IMM,
		.imm_data = htobe32(number),
		.byte_len = size,
	};

	verbs_received(&pairs[0], &completion);
}

/* Messages wait for those that they have overtaken. */
static void test_messages_in_any_order(void **state)
{
	static uint8_t messages[(1 + VERBS_RAIL_MESSAGES) * VERBS_MESSAGE_BYTES];
	struct verbs_notes notes = { .count = 1,
				     .notes = { { .kind = XFER_NOTE_STOPPED,
						  .transfer = 1 } } };
	uint32_t size = 0;
	unsigned int i;

	(void)state;
	verbs.messages = messages;
	for (i = 0; i < 3; i++) {
		/* Only the one that comes last, and is the first, speaks of a write. */
		notes.written[0] = i == 2;
		size = verbs_notes_encode(&notes, verbs_receive_message(&verbs.rails[0], i));
	}
	receive(1, 0, size);
	receive(2, 1, size);
	assert_int_equal(verbs.held_count, 2);
	assert_int_equal(verbs.message_due, 0);
	/* Nor are they taken in before the write that they speak of. */
	receive(0, 2, size);
	assert_int_equal(verbs.held_count, 3);
	assert_int_equal(pairs[0].receives, 0);
}

int main(void)
{
#define SEND_TEST(name)	cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		SEND_TEST(test_keys_of_each_rail),
		SEND_TEST(test_bytes_are_balanced),
		SEND_TEST(test_the_quick_gets_more),
		SEND_TEST(test_slots_run_out),
		SEND_TEST(test_immediates_are_joined),
		SEND_TEST(test_parts_are_told_of),
		SEND_TEST(test_completions_are_asked_for),
		SEND_TEST(test_what_is_not_counted_goes_elsewhere),
		SEND_TEST(test_all_waits_for_room),
		SEND_TEST(test_stopped_is_dropped),
		SEND_TEST(test_wrong_counts),
#undef SEND_TEST
#define SEND_TEST(name)	cmocka_unit_test_setup(name, setup_without_order)
		SEND_TEST(test_each_stands_for_itself),
		SEND_TEST(test_completions_in_any_order),
		SEND_TEST(test_the_oldest_is_waited_for),
		SEND_TEST(test_what_is_counted_in_any_order),
		SEND_TEST(test_controls_in_any_order),
		SEND_TEST(test_messages_in_any_order),
#undef SEND_TEST
	};

	return cmocka_run_group_tests_name("verbs writes", tests, NULL, NULL);
}
