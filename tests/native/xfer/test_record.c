// SPDX-License-Identifier: MIT
/*
 * What is remembered of transfers: one record of each, on the side where it is, that says
 * what was measured, whichever way it ended.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"

#define RECORDS 3u
#define BLOCKS	4u

static const uint32_t blocks[BLOCKS] = { 3, 4, 5, 20 };

static void open_with(struct pair *pair, unsigned int grants)
{
	struct tandem_connection_options options = pair_options();

	options.records = RECORDS;
	options.grants = grants;
	for (int side = 0; side < 2; side++)
		assert_int_equal(tandem_connection_open(pair->loop, pair->pool[side], &options,
							&pair->connection[side], NULL),
				 0);
	pair_introduce(pair->connection[0], pair->connection[1]);
	pair_introduce(pair->connection[1], pair->connection[0]);
}

static int setup(void **state)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	assert_non_null(pair);
	pair_open(pair, pair_layout);
	open_with(pair, 0);
	*state = pair;
	return 0;
}

static struct tandem_push push_of(uint32_t transfer)
{
	return (struct tandem_push){
		.transfer = transfer,
		.layer_count = 2,
		.local_blocks = blocks,
		.remote_blocks = blocks,
		.block_count = BLOCKS,
	};
}

static uint64_t block_bytes(void)
{
	return tandem_kv_block_bytes(&pair_layout[0]);
}

/* The only record that a side has. */
static struct tandem_transfer_record only_record(struct pair *pair, int side)
{
	struct tandem_transfer_record records[2];

	assert_int_equal(tandem_connection_read_records(pair->connection[side], records, 2), 1);
	return records[0];
}

static void check_sender(const struct tandem_transfer_record *record, uint32_t kind, uint64_t count)
{
	const struct tandem_transfer_stats *stats = &record->stats;

	assert_int_equal(record->kind, kind);
	assert_int_equal(record->result, 0);
	assert_int_equal(record->exposed_ns, 0);
	assert_int_equal(stats->transport, pair_kind->transport);
	assert_int_equal(stats->bytes, count * block_bytes());
	assert_true(stats->writes > 0);
	assert_true(stats->posted_ns <= stats->first_write_ns);
	assert_true(stats->first_write_ns <= stats->last_write_ns);
	assert_true(stats->last_write_ns <= stats->done_ns);
	assert_true(stats->post_ns > 0);
	assert_int_equal(!stats->rails, pair_kind->transport == TANDEM_TRANSPORT_LOCAL);
}

static void test_push(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	struct tandem_transfer_stats stats = { 0 };
	struct tandem_push push = push_of(9);
	struct tandem_transfer_record record;
	struct pair *pair = *state;

	push.stats = &stats;
	assert_int_equal(tandem_expect_start(pair->connection[1], 9, 2 * BLOCKS, 0, &received), 0);
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
	/* A trace can be followed from here on. */
	assert_int_not_equal(stats.id, 0);
	assert_int_equal(stats.done_ns, 0);
	assert_int_equal(pair_wait(pair, &sent), 0);
	assert_int_equal(pair_wait(pair, &received), 0);

	record = only_record(pair, 0);
	check_sender(&record, TANDEM_TRANSFER_PUSH, 2 * BLOCKS);
	assert_int_equal(record.transfer, 9);
	assert_int_equal(record.generation, 0);
	assert_memory_equal(&record.stats, &stats, sizeof(stats));

	record = only_record(pair, 1);
	assert_int_equal(record.kind, TANDEM_TRANSFER_RECEIVE);
	assert_int_equal(record.result, 0);
	assert_int_equal(record.transfer, 9);
	assert_int_equal(record.exposed_ns, 0);
	assert_int_not_equal(record.stats.id, stats.id);
	assert_int_equal(record.stats.bytes, 2 * BLOCKS * block_bytes());
	assert_true(record.stats.writes > 0);
	assert_true(record.stats.posted_ns <= record.stats.first_write_ns);
	assert_true(record.stats.first_write_ns <= record.stats.last_write_ns);
	assert_true(record.stats.last_write_ns <= record.stats.done_ns);
	assert_int_equal(tandem_connection_read_records(pair->connection[1], &record, 1), 0);
}

/* Both sides know a granted transfer by the same generation. */
static void test_granted(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	struct tandem_push push = push_of(9);
	struct tandem_receive receive = {
		.transfer = 9,
		.layer_count = 2,
		.blocks = blocks,
		.block_count = BLOCKS,
	};
	struct pair *pair = *state;

	tandem_connection_close(pair->connection[0]);
	tandem_connection_close(pair->connection[1]);
	open_with(pair, 1);
	assert_int_equal(tandem_receive_start(pair->connection[1], &receive, &received), 0);
	push.generation = receive.generation;
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
	assert_int_equal(pair_wait(pair, &received), 0);
	assert_int_equal(pair_wait(pair, &sent), 0);
	assert_true(receive.generation);
	assert_true(only_record(pair, 0).generation == receive.generation);
	assert_true(only_record(pair, 1).generation == receive.generation);
}

static void test_pull(void **state)
{
	const struct tandem_pull pull = {
		.layer_count = 1,
		.local_blocks = blocks,
		.remote_blocks = blocks,
		.block_count = BLOCKS,
	};
	struct tandem_operation op = { 0 };
	struct tandem_transfer_record record;
	struct pair *pair = *state;

	assert_int_equal(tandem_pull_start(pair->connection[1], &pull, &op), 0);
	assert_int_equal(pair_wait(pair, &op), 0);
	record = only_record(pair, 1);
	check_sender(&record, TANDEM_TRANSFER_PULL, BLOCKS);
	assert_int_equal(record.transfer, 0);
	assert_int_equal(tandem_connection_read_records(pair->connection[0], &record, 1), 0);
}

static struct tandem_offer offer_of_blocks(void)
{
	return (struct tandem_offer){
		.layer_count = 2,
		.blocks = blocks,
		.block_count = BLOCKS,
	};
}

/* The pull and what it reads from are known by the same generation. */
static void test_offer(void **state)
{
	struct tandem_operation lent = { 0 }, read = { 0 };
	struct tandem_offer offer = offer_of_blocks();
	struct tandem_transfer_record record, pulled;
	const struct tandem_transfer_stats *stats = &record.stats;
	struct pair *pair = *state;
	struct tandem_pull pull = {
		.layer_count = 2,
		.local_blocks = blocks,
		.remote_blocks = blocks,
		.block_count = BLOCKS,
	};

	tandem_connection_close(pair->connection[0]);
	tandem_connection_close(pair->connection[1]);
	open_with(pair, 1);
	assert_int_equal(tandem_offer_start(pair->connection[0], &offer, &lent), 0);
	pull.generation = offer.generation;
	assert_int_equal(tandem_pull_start(pair->connection[1], &pull, &read), 0);
	assert_int_equal(pair_wait(pair, &read), 0);
	assert_int_equal(pair_wait(pair, &lent), 0);
	pulled = only_record(pair, 1);
	record = only_record(pair, 0);
	assert_int_equal(record.kind, TANDEM_TRANSFER_OFFER);
	assert_int_equal(record.result, 0);
	assert_int_equal(record.transfer, 0);
	assert_true(record.generation == offer.generation);
	assert_true(pulled.generation == offer.generation);
	assert_int_equal(pulled.told_bytes, 0);
	assert_int_equal(record.told_bytes, 2 * BLOCKS * block_bytes());
	assert_int_not_equal(stats->id, 0);
	assert_int_not_equal(stats->id, pulled.stats.id);
	assert_int_equal(stats->transport, pair_kind->transport);
	assert_true(stats->post_ns > 0);
	if (pair_kind->transport == TANDEM_TRANSPORT_VERBS) {
		assert_int_equal(stats->bytes, 0);
		assert_int_equal(stats->writes, 0);
		assert_int_equal(stats->first_write_ns, 0);
		assert_int_equal(stats->last_write_ns, 0);
		return;
	}
	assert_int_equal(stats->bytes, 2 * BLOCKS * block_bytes());
	assert_int_equal(stats->writes, pulled.stats.writes);
	assert_true(stats->posted_ns <= stats->first_write_ns);
	assert_true(stats->first_write_ns <= stats->last_write_ns);
	assert_true(stats->last_write_ns <= stats->done_ns);
}

/* Nobody has read it. */
static void test_offer_withdrawn(void **state)
{
	struct tandem_offer offer = offer_of_blocks();
	struct tandem_operation lent = { 0 };
	struct tandem_transfer_record record;
	struct pair *pair = *state;

	tandem_connection_close(pair->connection[0]);
	tandem_connection_close(pair->connection[1]);
	open_with(pair, 1);
	assert_int_equal(tandem_offer_start(pair->connection[0], &offer, &lent), 0);
	assert_int_equal(tandem_cancel(pair->loop, &lent), 0);
	assert_int_equal(pair_wait(pair, &lent), -ECANCELED);
	record = only_record(pair, 0);
	assert_int_equal(record.kind, TANDEM_TRANSFER_OFFER);
	assert_int_equal(record.result, -ECANCELED);
	assert_true(record.generation == offer.generation);
	assert_int_equal(record.told_bytes, 0);
	assert_int_equal(record.stats.bytes, 0);
	assert_int_equal(record.stats.first_write_ns, 0);
	assert_true(record.stats.posted_ns < record.stats.done_ns);
}

/* What came before it was waited for came early, and what was waited for was exposed. */
static void test_early_and_exposed(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	struct tandem_connection_stats counts = { 0 };
	const struct tandem_push push = push_of(2);
	struct tandem_transfer_record record;
	struct pair *pair = *state;

	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
	assert_int_equal(pair_wait(pair, &sent), 0);
	while (counts.blocks_received < 2 * BLOCKS) {
		tandem_loop_run(pair->loop, 1);
		tandem_connection_get_stats(pair->connection[1], &counts);
	}
	assert_int_equal(tandem_expect_start(pair->connection[1], 2, 4 * BLOCKS, 0, &received), 0);
	/* Of another transfer: nothing. */
	tandem_expect_needed(pair->connection[1], 3);
	tandem_expect_needed(pair->connection[1], 2);
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
	assert_int_equal(pair_wait(pair, &sent), 0);
	assert_int_equal(pair_wait(pair, &received), 0);
	record = only_record(pair, 1);
	assert_true(record.stats.first_write_ns < record.stats.posted_ns);
	assert_true(record.stats.last_write_ns > record.stats.posted_ns);
	assert_int_equal(record.stats.bytes, 4 * BLOCKS * block_bytes());
	assert_true(record.exposed_ns > 0);
	assert_true(record.exposed_ns <= record.stats.done_ns - record.stats.posted_ns);
	tandem_connection_get_stats(pair->connection[1], &counts);
	assert_int_equal(counts.exposed_ns, record.exposed_ns);
}

static void test_timed_out(void **state)
{
	struct tandem_operation received = { 0 };
	struct tandem_transfer_record record;
	struct pair *pair = *state;

	assert_int_equal(tandem_expect_start(pair->connection[1], 5, 1, 1, &received), 0);
	assert_int_equal(pair_wait(pair, &received), -ETIMEDOUT);
	record = only_record(pair, 1);
	assert_int_equal(record.kind, TANDEM_TRANSFER_RECEIVE);
	assert_int_equal(record.result, -ETIMEDOUT);
	assert_int_equal(record.transfer, 5);
	assert_int_equal(record.stats.bytes, 0);
	assert_int_equal(record.stats.first_write_ns, 0);
}

/* Nothing has been handed over when it ends, as the other side is gone. */
static void test_lost(void **state)
{
	const struct tandem_push first = push_of(6), push = push_of(7);
	struct tandem_transfer_record record;
	struct tandem_operation sent = { 0 };
	struct pair *pair = *state;
	int result;

	/* A side that is gone before it has been there is found by deadlines alone. */
	pair_push_and_check(pair, &first);
	only_record(pair, 0);
	tandem_connection_close(pair->connection[1]);
	pair->connection[1] = NULL;
	if (tandem_push_start(pair->connection[0], &push, &sent) < 0)
		return;
	result = pair_wait(pair, &sent);
	assert_true(result < 0);
	record = only_record(pair, 0);
	assert_int_equal(record.result, result);
	assert_int_equal(record.stats.bytes, 0);
}

static void push_once(struct pair *pair, uint32_t transfer)
{
	const struct tandem_push push = push_of(transfer);
	struct tandem_operation sent = { 0 };

	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
	assert_int_equal(pair_wait(pair, &sent), 0);
}

static void test_too_many(void **state)
{
	struct tandem_transfer_record records[RECORDS];
	struct tandem_connection_stats counts;
	struct pair *pair = *state;
	uint32_t transfer;

	for (transfer = 1; transfer <= RECORDS + 2; transfer++)
		push_once(pair, transfer);
	tandem_connection_get_stats(pair->connection[0], &counts);
	assert_int_equal(counts.records_lost, 2);
	assert_int_equal(tandem_connection_read_records(pair->connection[0], records, 2), 2);
	assert_int_equal(records[0].transfer, 3);
	assert_int_equal(records[1].transfer, 4);
	assert_true(records[0].stats.id < records[1].stats.id);
	push_once(pair, 6);
	assert_int_equal(tandem_connection_read_records(pair->connection[0], records, RECORDS), 2);
	assert_int_equal(records[0].transfer, 5);
	assert_int_equal(records[1].transfer, 6);
	tandem_connection_get_stats(pair->connection[0], &counts);
	assert_int_equal(counts.records_lost, 2);
}

static void test_without(void **state)
{
	struct tandem_connection_options options = pair_options();
	struct tandem_connection *connection;
	struct tandem_transfer_record record;
	struct tandem_error error = { 0 };
	struct pair *pair = *state;

	pair_reconnect(pair);
	push_once(pair, 1);
	assert_int_equal(tandem_connection_read_records(pair->connection[0], &record, 1), 0);
	options.records = 65537;
	assert_int_equal(
		tandem_connection_open(pair->loop, pair->pool[0], &options, &connection, &error),
		-EINVAL);
	assert_non_null(strstr(error.message, "65537"));
}

int main(void)
{
#define RECORD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, pair_teardown)
	const struct CMUnitTest tests[] = {
		RECORD_TEST(test_push),
		RECORD_TEST(test_granted),
		RECORD_TEST(test_pull),
		RECORD_TEST(test_offer),
		RECORD_TEST(test_offer_withdrawn),
		RECORD_TEST(test_early_and_exposed),
		RECORD_TEST(test_timed_out),
		RECORD_TEST(test_lost),
		RECORD_TEST(test_too_many),
		RECORD_TEST(test_without),
	};
#undef RECORD_TEST
	int failed = 0;

	for (pair_kind = pair_kinds; pair_kind->name; pair_kind++)
		failed += cmocka_run_group_tests_name(pair_kind->name, tests, NULL, NULL);
	return failed != 0;
}
