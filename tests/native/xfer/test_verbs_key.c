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
static struct verbs_rail rail = { .verbs = &verbs };
static struct verbs_pair pairs[2] = { { .rail = &rail, .number = 0 },
				      { .rail = &rail, .number = 1 } };

static int setup(void **state)
{
	(void)state;
	memset(&connection, 0, sizeof(connection));
	memset(&verbs, 0, sizeof(verbs));
	connection.remote_layout = (struct tandem_kv_layout)LAYOUT;
	connection.grants = true;
	connection.transport = &verbs;
	verbs.connection = &connection;
	verbs.pairs[0] = &pairs[0];
	verbs.pairs[1] = &pairs[1];
	verbs.pair_count = 2;
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

/* Blocks 4 to 6 and 50, for two pairs. */
static struct verbs_message two_runs(void)
{
	struct verbs_message message = {
		.generation = FIRST_GENERATION,
		.transfer = 7,
		.run_total = 2,
		.run_count = 2,
		.key_count = 2,
		.runs = { { 4, 3 }, { 50, 1 } },
		.keys = { { 0x1234, 0x4321 }, { 0x5678, 0x8765 } },
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
	uint32_t keys[VERBS_PAIRS_MAX] = { 0 };
	int ret = verbs_keys_use(&verbs, &write, keys);

	*key = keys[0];
	return ret;
}

static int granted(uint64_t generation, uint32_t transfer)
{
	const struct xfer_push push = { .generation = generation, .transfer = transfer };

	return verbs_granted(&connection, &push);
}

static void test_round_trip(void **state)
{
	struct verbs_message message = two_runs(), read;
	uint8_t buffer[VERBS_MESSAGE_BYTES], again[VERBS_MESSAGE_BYTES];
	uint32_t size, i;

	(void)state;
	size = verbs_message_encode(&message, buffer);
	assert_int_equal(verbs_message_decode(buffer, size, &read), 0);
	assert_int_equal(verbs_message_encode(&read, again), size);
	assert_memory_equal(again, buffer, size);
	assert_int_equal(read.runs[1].first, 50);
	assert_int_equal(read.keys[1][0], 0x5678);
	assert_int_equal(read.keys[0][1], 0x4321);
	for (i = 0; i < size; i++)
		assert_int_equal(verbs_message_decode(buffer, i, &read), -EPROTO);
	assert_int_equal(verbs_message_decode(buffer, size + 1, &read), -EPROTO);
}

/* As many runs as fit, of any number of keys. */
static void test_full_messages(void **state)
{
	struct verbs_message message = { .generation = 1, .run_total = 100 }, read;
	uint8_t buffer[VERBS_MESSAGE_BYTES];
	uint32_t keys, run;

	(void)state;
	for (keys = 1; keys <= VERBS_PAIRS_MAX; keys++) {
		message.key_count = keys;
		message.run_count = verbs_message_runs(keys);
		assert_in_range(message.run_count, 1, VERBS_MESSAGE_RUNS);
		for (run = 0; run < message.run_count; run++)
			message.keys[run][keys - 1] = 1000 * keys + run;
		assert_in_range(verbs_message_encode(&message, buffer), 1, sizeof(buffer));
		assert_int_equal(verbs_message_decode(buffer, verbs_message_encode(&message, buffer),
						      &read), 0);
		for (run = 0; run < message.run_count; run++)
			assert_int_equal(read.keys[run][keys - 1], 1000 * keys + run);
	}
	message.run_count = verbs_message_runs(1) + 1;
	xfer_put16(buffer + 6, message.run_count);
	assert_int_equal(verbs_message_decode(buffer, sizeof(buffer), &read), -EPROTO);
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

static int use_to_read_over(unsigned int pair, uint64_t block, uint32_t blocks, uint32_t *key)
{
	const struct xfer_write read = {
		.pull = true,
		.remote_offset = block * 1024,
		.length = blocks * 1024,
		.blocks = blocks,
		.generation = FIRST_GENERATION,
	};
	uint32_t keys[VERBS_PAIRS_MAX] = { 0 };
	int ret = verbs_keys_use(&verbs, &read, keys);

	*key = keys[pair];
	return ret;
}

static int use_to_read(uint64_t block, uint32_t blocks, uint32_t *key)
{
	return use_to_read_over(0, block, blocks, key);
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
	/* The other pair has its own. */
	assert_int_equal(use_to_read_over(1, 6, 1, &key), 0);
	assert_int_equal(key, 0x4321);
	assert_int_equal(use_to_read_over(1, 50, 1, &key), 0);
	assert_int_equal(key, 0x8765);
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
	memcpy(message.keys[0], message.keys[1], sizeof(message.keys[0]));
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
	REFUSED(key_count, 0);
	/* As many keys as there are pairs, not more. */
	REFUSED(key_count, 1);
	REFUSED(key_count, 3);
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
	struct verbs_notes notes = { .count = VERBS_MESSAGE_NOTES }, read;
	uint8_t buffer[VERBS_MESSAGE_BYTES];
	uint32_t size, i;

	(void)state;
	for (i = 0; i < VERBS_MESSAGE_NOTES; i++)
		notes.notes[i] = (struct xfer_note){ .kind = XFER_NOTE_STOP, .transfer = i,
						     .generation = 1ull << i };
	for (i = 0; i < VERBS_PAIRS_MAX; i++)
		notes.written[i] = i << 28 | i;
	size = verbs_notes_encode(&notes, buffer);
	assert_int_equal(size, VERBS_MESSAGE_BYTES);
	assert_int_equal(verbs_message_kind(buffer, size), VERBS_MESSAGE_NOTE);
	assert_int_equal(verbs_notes_decode(buffer, size, &read), 0);
	assert_memory_equal(&notes, &read, sizeof(notes));
	/* No message of the other kind, no more and no fewer bytes than it says. */
	assert_int_equal(verbs_keys_take(&verbs, buffer, size), -EPROTO);
	for (i = 0; i < size; i++)
		assert_int_equal(verbs_notes_decode(buffer, i, &read), -EPROTO);
	xfer_put16(buffer + 6, VERBS_MESSAGE_NOTES + 1);
	assert_int_equal(verbs_notes_decode(buffer, size, &read), -EPROTO);
	xfer_put16(buffer + 6, 0);
	assert_int_equal(verbs_notes_decode(buffer, 64, &read), -EPROTO);
	/* What is zero stays so. */
	notes.count = 1;
	for (i = 8; i < 32; i += i == 27 ? 3 : 1) {
		size = verbs_notes_encode(&notes, buffer);
		buffer[i] = 1;
		assert_int_equal(verbs_notes_decode(buffer, size, &read), -EPROTO);
	}
	size = verbs_notes_encode(&notes, buffer);
	xfer_put16(buffer + 28, VERBS_MESSAGE_RAIL + 1);
	assert_int_equal(verbs_message_kind(buffer, size), -EPROTO);
	notes.notes[0].transfer = XFER_TRANSFERS;
	size = verbs_notes_encode(&notes, buffer);
	assert_int_equal(verbs_notes_decode(buffer, size, &read), -EPROTO);
}

static void test_reports(void **state)
{
	struct verbs_report report = { .rail = VERBS_RAILS_MAX - 1, .count = VERBS_PAIRS_MAX },
			    read = { 0 };
	uint8_t buffer[VERBS_MESSAGE_BYTES], again[VERBS_MESSAGE_BYTES];
	uint32_t size, i;

	(void)state;
	for (i = 0; i < VERBS_PAIRS_MAX; i++)
		report.pairs[i] = (struct verbs_counted){ i << 28 | i, { 1ull << i, ~0ull << i } };
	size = verbs_report_encode(&report, buffer);
	assert_true(size <= sizeof(buffer));
	assert_int_equal(verbs_report_decode(buffer, size, &read), 0);
	assert_int_equal(read.rail, VERBS_RAILS_MAX - 1);
	assert_int_equal(read.pairs[3].before, 3u << 28 | 3);
	assert_true(read.pairs[3].beyond[1] == ~0ull << 3);
	assert_int_equal(verbs_report_encode(&read, again), size);
	assert_memory_equal(again, buffer, size);
	assert_int_equal(verbs_keys_take(&verbs, buffer, size), -EPROTO);
	for (i = 0; i < size; i++)
		assert_int_equal(verbs_report_decode(buffer, i, &read), -EPROTO);
	xfer_put16(buffer + 6, 0);
	assert_int_equal(verbs_report_decode(buffer, 32, &read), -EPROTO);
	xfer_put16(buffer + 6, VERBS_PAIRS_MAX + 1);
	assert_int_equal(verbs_report_decode(buffer, size + 20, &read), -EPROTO);
	/* What is zero stays so. */
	for (i = 8; i < 32; i++) {
		if ((i >= 16 && i < 20) || i == 28 || i == 29)
			continue;
		verbs_report_encode(&report, buffer);
		buffer[i] = 1;
		assert_int_equal(verbs_report_decode(buffer, size, &read), -EPROTO);
	}
	report.rail = VERBS_RAILS_MAX;
	verbs_report_encode(&report, buffer);
	assert_int_equal(verbs_report_decode(buffer, size, &read), -EPROTO);
}

/* They wait for what has been written on any pair, also when the counts come round. */
static void test_notes_wait(void **state)
{
	struct verbs_notes notes = { .count = 1, .written = { 5, 7 } };

	(void)state;
	pairs[0].arrived = 5;
	pairs[1].arrived = 6;
	assert_false(verbs_notes_due(&verbs, &notes));
	pairs[1].arrived = 7;
	assert_true(verbs_notes_due(&verbs, &notes));
	pairs[0].arrived = 4;
	assert_false(verbs_notes_due(&verbs, &notes));
	notes.written[0] = UINT32_MAX;
	assert_true(verbs_notes_due(&verbs, &notes));
	pairs[0].arrived = UINT32_MAX;
	notes.written[0] = 0;
	assert_false(verbs_notes_due(&verbs, &notes));
	pairs[0].arrived = 0;
	pairs[1].arrived = 0;
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
		KEY_TEST(test_full_messages),
		KEY_TEST(test_keys_for_their_blocks),
		KEY_TEST(test_keys_for_reading),
		KEY_TEST(test_keys_not_for_reading),
		KEY_TEST(test_in_parts),
		KEY_TEST(test_generations_of_nobody),
		KEY_TEST(test_messages_that_do_not_hold_together),
		KEY_TEST(test_memory_is_bounded),
		KEY_TEST(test_notes),
		KEY_TEST(test_reports),
		KEY_TEST(test_notes_wait),
		KEY_TEST(test_random_bytes),
	};
#undef KEY_TEST

	return cmocka_run_group_tests_name("verbs keys", tests, NULL, NULL);
}
