// SPDX-License-Identifier: MIT
/*
 * The messages of the verbs transport, and what a sender makes of them: the other
 * side may send anything.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/xfer_verbs.h"

/* 1 KiB a block, 40 in each of 2 layers. */
#define LAYOUT	{ .type = 1, .layers = 2, .kv_width = 32, .block_tokens = 8, .blocks = 40 }
#define FIRST_GENERATION	1000u

static struct tandem_connection connection;
static struct verbs verbs;

static int setup(void **state)
{
	(void)state;
	memset(&connection, 0, sizeof(connection));
	memset(&verbs, 0, sizeof(verbs));
	connection.remote_layout = (struct tandem_kv_layout)LAYOUT;
	connection.grants = true;
	connection.transport = &verbs;
	verbs.connection = &connection;
	verbs.key_generation = FIRST_GENERATION - 1;
	TAILQ_INIT(&verbs.keys);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	verbs_keys_free(&verbs);
	assert_int_equal(verbs.key_bytes, 0);
	return 0;
}

/* Blocks 4 to 6 and 50. */
static struct verbs_message two_runs(void)
{
	struct verbs_message message = {
		.generation = FIRST_GENERATION,
		.transfer = 7,
		.run_total = 2,
		.run_count = 2,
		.runs = { { 4, 3, 0x1234 }, { 50, 1, 0x5678 } },
	};

	return message;
}

static int take(const struct verbs_message *message)
{
	uint8_t buffer[VERBS_MESSAGE_BYTES];

	return verbs_keys_take(&verbs, buffer, verbs_message_encode(message, buffer));
}

static int use(uint64_t block, uint32_t blocks, uint64_t generation, uint32_t *key)
{
	struct xfer_write write = {
		.remote_offset = block * 1024,
		.length = blocks * 1024,
		.blocks = blocks,
		.transfer = 7,
		.generation = generation,
	};

	return verbs_keys_use(&verbs, &write, key);
}

static int granted(uint64_t generation, uint32_t transfer)
{
	const struct xfer_push push = { .generation = generation, .transfer = transfer };

	return verbs_granted(&connection, &push);
}

static void test_round_trip(void **state)
{
	struct verbs_message message = two_runs(), read = { 0 };
	uint8_t buffer[VERBS_MESSAGE_BYTES];
	uint32_t size, i;

	(void)state;
	size = verbs_message_encode(&message, buffer);
	assert_int_equal(verbs_message_decode(buffer, size, &read), 0);
	assert_memory_equal(&read, &message, sizeof(message));
	for (i = 0; i < size; i++)
		assert_int_equal(verbs_message_decode(buffer, i, &read), -EPROTO);
	assert_int_equal(verbs_message_decode(buffer, size + 1, &read), -EPROTO);
}

static void test_keys_for_their_blocks(void **state)
{
	struct verbs_message message = two_runs();
	uint32_t key = 0;

	(void)state;
	assert_int_equal(granted(FIRST_GENERATION, 7), -EAGAIN);
	assert_int_equal(take(&message), 0);
	assert_int_equal(granted(FIRST_GENERATION, 7), 0);
	assert_int_equal(granted(FIRST_GENERATION, 8), -EACCES);
	assert_int_equal(use(3, 1, FIRST_GENERATION, &key), -EACCES);
	assert_int_equal(use(6, 2, FIRST_GENERATION, &key), -EACCES);
	assert_int_equal(use(5, 2, FIRST_GENERATION, &key), 0);
	assert_int_equal(key, 0x1234);
	assert_int_equal(use(5, 1, FIRST_GENERATION, &key), -EACCES);
	assert_int_equal(use(50, 1, FIRST_GENERATION, &key), 0);
	assert_int_equal(key, 0x5678);
	assert_int_equal(granted(FIRST_GENERATION, 7), 0);
	assert_int_equal(use(4, 1, FIRST_GENERATION, &key), 0);
	/* All has been written: it is stale from now on. */
	assert_int_equal(granted(FIRST_GENERATION, 7), -EACCES);
	assert_int_equal(use(4, 1, FIRST_GENERATION, &key), -EACCES);
	assert_int_equal(take(&message), -EPROTO);
}

static int offered(uint64_t generation)
{
	const struct xfer_push pull = { .pull = true, .generation = generation };

	return verbs_granted(&connection, &pull);
}

static int use_to_read(uint64_t block, uint32_t blocks, uint32_t *key)
{
	const struct xfer_write read = {
		.pull = true,
		.remote_offset = block * 1024,
		.length = blocks * 1024,
		.blocks = blocks,
		.generation = FIRST_GENERATION,
	};

	return verbs_keys_use(&verbs, &read, key);
}

/* Those of an offer are good for reading alone, and until it is taken back. */
static void test_keys_for_reading(void **state)
{
	struct verbs_message message = two_runs();
	uint32_t key = 0, round;

	(void)state;
	message.offer = true;
	assert_int_equal(take(&message), -EPROTO);
	message.transfer = 0;
	assert_int_equal(offered(FIRST_GENERATION), -EAGAIN);
	assert_int_equal(take(&message), 0);
	assert_int_equal(offered(FIRST_GENERATION), 0);
	assert_int_equal(granted(FIRST_GENERATION, 0), -EACCES);
	for (round = 0; round < 3; round++) {
		assert_int_equal(use_to_read(4, 3, &key), 0);
		assert_int_equal(key, 0x1234);
		assert_int_equal(use_to_read(50, 1, &key), 0);
		assert_int_equal(key, 0x5678);
	}
	assert_int_equal(use_to_read(6, 2, &key), -EACCES);
	assert_int_equal(use(4, 1, FIRST_GENERATION, &key), -EACCES);
	message.offer = false;
	assert_int_equal(take(&message), -EPROTO);
	verbs_forget(&connection, FIRST_GENERATION);
	assert_int_equal(offered(FIRST_GENERATION), -EACCES);
	assert_int_equal(use_to_read(4, 1, &key), -EACCES);
}

/* Nor are those of a grant any good for it. */
static void test_keys_not_for_reading(void **state)
{
	struct verbs_message message = two_runs();
	uint32_t key = 0;

	(void)state;
	message.transfer = 0;
	assert_int_equal(take(&message), 0);
	assert_int_equal(offered(FIRST_GENERATION), -EACCES);
	assert_int_equal(use_to_read(4, 1, &key), -EACCES);
	verbs_forget(&connection, FIRST_GENERATION);
	assert_int_equal(granted(FIRST_GENERATION, 0), 0);
}

static void test_in_parts(void **state)
{
	struct verbs_message message = two_runs();
	uint32_t key;

	(void)state;
	message.run_count = 1;
	assert_int_equal(take(&message), 0);
	assert_int_equal(granted(FIRST_GENERATION, 7), -EAGAIN);
	/* Not the same part again, nor another grant's. */
	assert_int_equal(take(&message), -EPROTO);
	message.run_first = 1;
	message.runs[0] = message.runs[1];
	message.transfer = 8;
	assert_int_equal(take(&message), -EPROTO);
	message.transfer = 7;
	assert_int_equal(take(&message), 0);
	assert_int_equal(use(50, 1, FIRST_GENERATION, &key), 0);
	assert_int_equal(key, 0x5678);
}

static void test_generations_of_nobody(void **state)
{
	(void)state;
	assert_int_equal(granted(FIRST_GENERATION - 1, 7), -EACCES);
	assert_int_equal(granted(0, 7), -EACCES);
	assert_int_equal(granted(1ull << 40, 7), -EACCES);
	assert_int_equal(granted(FIRST_GENERATION + 5, 7), -EAGAIN);
}

static void test_messages_that_do_not_hold_together(void **state)
{
	struct verbs_message message;

	(void)state;
#define REFUSED(member, value) do { \
		message = two_runs(); \
		message.member = value; \
		assert_int_equal(take(&message), -EPROTO); \
		teardown(NULL); \
		setup(NULL); \
	} while (0)
	REFUSED(generation, FIRST_GENERATION - 1);
	REFUSED(generation, 0);
	REFUSED(generation, 1ull << 63);
	REFUSED(transfer, XFER_TRANSFERS);
	REFUSED(run_total, 1);
	REFUSED(run_total, 81);
	REFUSED(run_total, UINT32_MAX);
	REFUSED(run_first, 1);
	REFUSED(run_count, 0);
	REFUSED(runs[0].count, 0);
	REFUSED(runs[0].count, 47);
	REFUSED(runs[1].first, 6);
	REFUSED(runs[1].first, 80);
	REFUSED(runs[1].first, UINT64_MAX);
	REFUSED(runs[1].count, UINT32_MAX);
#undef REFUSED
	connection.grants = false;
	message = two_runs();
	assert_int_equal(take(&message), -EPROTO);
}

/* Grants without end do not take memory without end. */
static void test_memory_is_bounded(void **state)
{
	struct verbs_message message = two_runs();
	int ret = 0;

	(void)state;
	connection.remote_layout.blocks = 1 << 24;
	for (int i = 0; i < 1000 && !ret; i++) {
		ret = take(&message);
		message.generation++;
	}
	assert_int_equal(ret, 0);
	assert_true(verbs.key_bytes <= 64 << 20);
	/* The oldest have been forgotten, which is safe. */
	assert_int_equal(granted(FIRST_GENERATION, 7), -EACCES);
	assert_int_equal(granted(message.generation - 1, 7), 0);
}

static void test_notes(void **state)
{
	struct xfer_note notes[VERBS_MESSAGE_NOTES], read[VERBS_MESSAGE_NOTES];
	uint8_t buffer[VERBS_MESSAGE_BYTES];
	uint32_t size, i;

	(void)state;
	for (i = 0; i < VERBS_MESSAGE_NOTES; i++)
		notes[i] = (struct xfer_note){ .kind = XFER_NOTE_STOP, .transfer = i,
					       .generation = 1ull << i };
	size = verbs_notes_encode(notes, VERBS_MESSAGE_NOTES, buffer);
	assert_int_equal(size, VERBS_MESSAGE_BYTES);
	assert_int_equal(verbs_message_kind(buffer, size), VERBS_MESSAGE_NOTE);
	assert_int_equal(verbs_notes_decode(buffer, size, read), VERBS_MESSAGE_NOTES);
	assert_memory_equal(notes, read, sizeof(notes));
	/* No message of the other kind, no more and no fewer bytes than it says. */
	assert_int_equal(verbs_keys_take(&verbs, buffer, size), -EPROTO);
	for (i = 0; i < size; i++)
		assert_int_equal(verbs_notes_decode(buffer, i, read), -EPROTO);
	xfer_put16(buffer + 6, VERBS_MESSAGE_NOTES + 1);
	assert_int_equal(verbs_notes_decode(buffer, size, read), -EPROTO);
	xfer_put16(buffer + 6, 0);
	assert_int_equal(verbs_notes_decode(buffer, 32, read), -EPROTO);
	/* What is zero stays so. */
	for (i = 8; i < 28; i++) {
		size = verbs_notes_encode(notes, 1, buffer);
		buffer[i] = 1;
		assert_int_equal(verbs_notes_decode(buffer, size, read), -EPROTO);
	}
	size = verbs_notes_encode(notes, 1, buffer);
	xfer_put32(buffer + 28, VERBS_MESSAGE_OFFER + 1);
	assert_int_equal(verbs_message_kind(buffer, size), -EPROTO);
	notes[0].transfer = XFER_TRANSFERS;
	size = verbs_notes_encode(notes, 1, buffer);
	assert_int_equal(verbs_notes_decode(buffer, size, read), -EPROTO);
}

/* Any bytes are refused or taken, none of them does harm (see with SAN=asan). */
static void test_random_bytes(void **state)
{
	struct verbs_message message = two_runs();
	uint8_t buffer[VERBS_MESSAGE_BYTES];
	unsigned int seed = 1, taken = 0;
	uint32_t size;
	int i, j;

	(void)state;
	for (i = 0; i < 20000; i++) {
		message.generation = verbs.key_generation + 1;
		size = verbs_message_encode(&message, buffer);
		for (j = rand_r(&seed) % 3; j > 0; j--)
			buffer[rand_r(&seed) % size] = rand_r(&seed);
		if (!verbs_keys_take(&verbs, buffer, size))
			taken++;
		if (i % 100 == 99) {
			teardown(NULL);
			setup(NULL);
		}
	}
	assert_true(taken > 1000);
}

int main(void)
{
#define KEY_TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		KEY_TEST(test_round_trip),
		KEY_TEST(test_keys_for_their_blocks),
		KEY_TEST(test_keys_for_reading),
		KEY_TEST(test_keys_not_for_reading),
		KEY_TEST(test_in_parts),
		KEY_TEST(test_generations_of_nobody),
		KEY_TEST(test_messages_that_do_not_hold_together),
		KEY_TEST(test_memory_is_bounded),
		KEY_TEST(test_notes),
		KEY_TEST(test_random_bytes),
	};
#undef KEY_TEST

	return cmocka_run_group_tests_name("verbs keys", tests, NULL, NULL);
}
