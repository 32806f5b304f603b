// SPDX-License-Identifier: MIT
/*
 * Checksums of what is pulled. Side 1 reads from side 0, so that the shadow of a push is
 * that of a pull. That bytes change on the way is played by reading from the wrong place: a
 * block which differs in one bit; that they change afterwards, by changing them.
 */
#include <errno.h>
#include <string.h>

#include "pair.h"
#include "runtime/xfer.h"

#define BLOCKS 20u
/* Never read; the test keeps the damaged copy in it. */
#define COPY  40u
#define TRIES 1000

/* 2 MiB a block, more than a slice. */
static const struct tandem_kv_layout large_layout[2] = {
	{ .type = 0, .layers = 2, .kv_width = 8192, .block_tokens = 32, .blocks = 4 },
	{ .type = 0, .layers = 2, .kv_width = 8192, .block_tokens = 32, .blocks = 4 },
};

/**
 * struct damage - what is done to a connection of the reader or the owner
 * @ops: its transport's, but for what is replaced
 * @below: its transport's
 * @connection: which
 * @from: offset of the block that is damaged
 * @to: of the copy that is read instead
 * @byte: that changes before @kind is told
 * @kind: see @byte
 * @done: how often
 */
static struct damage {
	struct xfer_transport_ops ops;
	const struct xfer_transport_ops *below;
	struct tandem_connection *connection;
	uint64_t from;
	uint64_t to;
	uint8_t *byte;
	enum xfer_note_kind kind;
	unsigned int done;
} damage;

static int damaging_write(struct tandem_connection *connection, const struct xfer_write *write)
{
	struct xfer_write changed = *write;

	if (write->pull && write->remote_offset == damage.from &&
	    write->length == tandem_kv_block_bytes(&connection->layout)) {
		changed.remote_offset = damage.to;
		damage.done++;
	}
	return damage.below->write(connection, &changed);
}

static int damaging_tell(struct tandem_connection *connection, const struct xfer_note *note)
{
	if (note->kind == damage.kind && !damage.done) {
		*damage.byte ^= 4;
		damage.done++;
	}
	return damage.below->tell(connection, note);
}

static void damage_begin(struct pair *pair, int side)
{
	damage.connection = pair->connection[side];
	damage.below = damage.connection->ops;
	damage.ops = *damage.connection->ops;
	damage.connection->ops = &damage.ops;
	damage.done = 0;
}

static void heal(void)
{
	damage.connection->ops = damage.below;
}

/* From now on one bit of this block changes under way. */
static void damage_block(struct pair *pair, uint32_t layer, uint32_t block)
{
	const struct tandem_kv_layout *layout = &pair->connection[0]->layout;
	const uint64_t bytes = tandem_kv_block_bytes(layout);

	damage.from = tandem_kv_block_offset(layout, layer, block);
	damage.to = tandem_kv_block_offset(layout, 0, COPY);
	memcpy(pair->bytes[0] + damage.to, pair->bytes[0] + damage.from, bytes);
	pair->bytes[0][damage.to + 777] ^= 4;
	memcpy(pair->shadow[0] + damage.to, pair->bytes[0] + damage.to, bytes);
	damage_begin(pair, 1);
	damage.ops.write = damaging_write;
}

/* Once, before such a note is told. */
static void damage_before(struct pair *pair, int side, enum xfer_note_kind kind, uint8_t *byte)
{
	damage.kind = kind;
	damage.byte = byte;
	damage_begin(pair, side);
	damage.ops.tell = damaging_tell;
}

static void open_pair(struct pair *pair, bool grants, const struct tandem_kv_layout layout[2])
{
	pair_checksums = 1;
	pair_open(pair, layout);
	if (grants)
		pair_connect_with_grants(pair);
	else
		pair_connect(pair);
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

/* No neighbours: each block is a read of its own. */
static struct tandem_pull scattered(uint32_t *local, uint32_t *remote)
{
	for (uint32_t i = 0; i < BLOCKS; i++) {
		local[i] = 3 * i;
		remote[i] = 2 * (BLOCKS - 1 - i);
	}
	return (struct tandem_pull){
		.layer_count = 3,
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = BLOCKS,
	};
}

static int pull(struct pair *pair, const struct tandem_pull *pull)
{
	struct tandem_operation read = { 0 };

	assert_int_equal(tandem_pull_start(pair->connection[1], pull, &read), 0);
	return pair_wait(pair, &read);
}

static void pull_and_check(struct pair *pair, const struct tandem_pull *all)
{
	const struct tandem_push push = {
		.layer_first = all->layer_first,
		.layer_count = all->layer_count,
		.local_blocks = all->remote_blocks,
		.remote_blocks = all->local_blocks,
		.block_count = all->block_count,
	};

	assert_int_equal(pull(pair, all), 0);
	pair_shadow_push(pair, &push);
	pair_check(pair);
}

/* One bit, in any block: the pull fails, and the connection goes on. */
static void test_one_bit(void **state)
{
	uint32_t local[BLOCKS], remote[BLOCKS], round;
	const struct tandem_pull all = scattered(local, remote);
	struct pair pair;

	(void)state;
	open_pair(&pair, false, pair_layout);
	for (round = 0; round < 6; round++) {
		damage_block(&pair, round % 3, remote[3 * round]);
		assert_int_equal(pull(&pair, &all), -EBADMSG);
		assert_int_equal(damage.done, 1);
		heal();
		await_damaged(&pair, round + 1);
		pull_and_check(&pair, &all);
	}
	pair_close(&pair);
}

/* Nor does what was damaged count as read, so that the offer stands. */
static void test_one_bit_of_an_offer(void **state)
{
	uint32_t local[BLOCKS], remote[BLOCKS + 1];
	struct tandem_pull all = scattered(local, remote);
	struct tandem_offer offer = {
		.layer_count = 3,
		.blocks = remote,
		.block_count = BLOCKS + 1,
		.reads = 3 * BLOCKS,
	};
	struct tandem_operation lent = { 0 };
	struct pair pair;

	(void)state;
	remote[BLOCKS] = COPY;
	open_pair(&pair, true, pair_layout);
	assert_int_equal(tandem_offer_start(pair.connection[0], &offer, &lent), 0);
	all.generation = offer.generation;
	damage_block(&pair, 1, remote[4]);
	assert_int_equal(pull(&pair, &all), -EBADMSG);
	assert_int_equal(damage.done, 1);
	heal();
	await_damaged(&pair, 1);
	assert_true(lent.pending);
	pull_and_check(&pair, &all);
	assert_int_equal(pair_wait(&pair, &lent), 0);
	pair_close(&pair);
}

/* When all has landed, in the memory of either side. */
static void test_changed_after_landing(void **state)
{
	uint32_t local[BLOCKS], remote[BLOCKS];
	const struct tandem_pull all = scattered(local, remote);
	uint64_t offset;
	struct pair pair;

	(void)state;
	open_pair(&pair, false, pair_layout);
	offset = tandem_kv_block_offset(&pair_layout[1], 2, local[BLOCKS - 1]);
	damage_before(&pair, 1, XFER_NOTE_SUM_ASKED, pair.bytes[1] + offset + 99);
	assert_int_equal(pull(&pair, &all), -EBADMSG);
	assert_int_equal(damage.done, 1);
	heal();
	await_damaged(&pair, 1);
	offset = tandem_kv_block_offset(&pair_layout[0], 2, remote[BLOCKS - 1]);
	damage_before(&pair, 1, XFER_NOTE_SUM_ASKED, pair.bytes[0] + offset + 99);
	assert_int_equal(pull(&pair, &all), -EBADMSG);
	assert_int_equal(damage.done, 1);
	heal();
	pair.bytes[0][offset + 99] ^= 4;
	await_damaged(&pair, 2);
	pull_and_check(&pair, &all);
	pair_close(&pair);
}

static uint32_t many[5000];

static const struct tandem_kv_layout many_layout[2] = {
	/* 64 bytes a block. */
	{ .type = 1, .layers = 2, .kv_width = 16, .block_tokens = 1, .blocks = 5000 },
	{ .type = 1, .layers = 2, .kv_width = 16, .block_tokens = 1, .blocks = 5000 },
};

/* No two of the first 2,000 of @many are neighbours. */
static void open_many(struct pair *pair)
{
	open_pair(pair, false, many_layout);
	for (uint32_t i = 0; i < 2000; i++)
		many[i] = 2 * i;
}

/* More questions than there are slots, of several pulls at once. */
static void test_more_than_slots(void **state)
{
	struct tandem_operation read[4] = { 0 };
	struct tandem_pull part = { .layer_count = 2, .block_count = 500 };
	struct tandem_push push = {
		.layer_count = 2, .block_count = 2000, .local_blocks = many, .remote_blocks = many
	};
	struct pair pair;
	int i;

	(void)state;
	open_many(&pair);
	for (i = 0; i < 4; i++) {
		part.local_blocks = many + i * 500;
		part.remote_blocks = part.local_blocks;
		assert_int_equal(tandem_pull_start(pair.connection[1], &part, &read[i]), 0);
	}
	assert_int_equal(tandem_cancel(pair.loop, &read[3]), 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(pair_wait(&pair, &read[i]), 0);
	assert_int_equal(pair_wait(&pair, &read[3]), -ECANCELED);
	/* What of it has landed is right, too. */
	part.local_blocks = many + 1500;
	part.remote_blocks = part.local_blocks;
	assert_int_equal(pull(&pair, &part), 0);
	pair_shadow_push(&pair, &push);
	pair_check(&pair);
	pair_close(&pair);
}

/* Pull 16 MiB, and run the loop until they have come and are being looked at. */
static void come_to_verify(struct pair *pair, bool grants, struct tandem_operation *lent,
			   struct tandem_operation *read)
{
	static const uint32_t local[] = { 0, 1, 2, 3 }, remote[] = { 3, 1, 0, 2 };
	struct tandem_pull pull = {
		.layer_count = 2,
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = 4,
	};
	struct tandem_offer offer = {
		.layer_count = 2,
		.blocks = remote,
		.block_count = 4,
	};
	struct tandem_connection_stats stats;

	open_pair(pair, grants, large_layout);
	if (grants)
		assert_int_equal(tandem_offer_start(pair->connection[0], &offer, lent), 0);
	pull.generation = offer.generation;
	assert_int_equal(tandem_pull_start(pair->connection[1], &pull, read), 0);
	do {
		assert_true(read->pending);
		tandem_loop_run(pair->loop, 10);
		tandem_connection_get_stats(pair->connection[1], &stats);
	} while (stats.bytes_pulled < 16 << 20);
	assert_true(read->pending);
}

/* What else happens on the loop does not have to wait for all of it. */
static void test_in_slices(void **state)
{
	struct tandem_operation read = { 0 };
	unsigned int turns = 0;
	struct pair pair;

	(void)state;
	come_to_verify(&pair, false, NULL, &read);
	for (; read.pending; turns++)
		tandem_loop_run(pair.loop, 0);
	assert_true(turns >= 12);
	assert_int_equal(read.result, 0);
	pair_close(&pair);
}

static void test_cancelled(void **state)
{
	struct tandem_operation read = { 0 };
	uint32_t block = 2;
	const struct tandem_pull again = {
		.layer_count = 2,
		.local_blocks = &block,
		.remote_blocks = &block,
		.block_count = 1,
	};
	struct pair pair;

	(void)state;
	come_to_verify(&pair, false, NULL, &read);
	assert_int_equal(tandem_cancel(pair.loop, &read), 0);
	assert_int_equal(pair_wait(&pair, &read), -ECANCELED);
	assert_int_equal(pull(&pair, &again), 0);
	pair_close(&pair);
}

static unsigned int asked;

static int count_asked(struct tandem_connection *connection, const struct xfer_note *note)
{
	asked += note->kind == XFER_NOTE_SUM_ASKED;
	return damage.below->tell(connection, note);
}

/* Of a pull that has ended nothing more is asked. */
static void test_cancelled_with_questions_left(void **state)
{
	struct tandem_pull all = { .layer_count = 2, .block_count = 2000 };
	struct tandem_operation read = { 0 };
	unsigned int before;
	struct pair pair;

	(void)state;
	open_many(&pair);
	all.local_blocks = many;
	all.remote_blocks = many;
	damage_begin(&pair, 1);
	damage.ops.tell = count_asked;
	asked = 0;
	assert_int_equal(tandem_pull_start(pair.connection[1], &all, &read), 0);
	while (!asked)
		assert_true(tandem_loop_run(pair.loop, PAIR_PATIENCE_MS) > 0);
	before = asked;
	assert_true(before < 4000);
	assert_int_equal(tandem_cancel(pair.loop, &read), 0);
	assert_int_equal(pair_wait(&pair, &read), -ECANCELED);
	assert_int_equal(asked, before);
	heal();
	pair_close(&pair);
}

/* The pull ends, all its questions are answered, and only then does the offer end. */
static void test_offer_cancelled(void **state)
{
	struct tandem_operation lent = { 0 }, read = { 0 };
	struct pair pair;

	(void)state;
	come_to_verify(&pair, true, &lent, &read);
	assert_int_equal(tandem_cancel(pair.loop, &lent), 0);
	assert_int_equal(pair_wait(&pair, &lent), -ECANCELED);
	assert_int_equal(pair_wait(&pair, &read), -ECANCELED);
	assert_int_equal(pair.connection[0]->state, CONNECTION_CONNECTED);
	assert_int_equal(pair.connection[1]->state, CONNECTION_CONNECTED);
	pair_close(&pair);
}

static void test_owner_closed(void **state)
{
	struct tandem_operation read = { 0 };
	struct pair pair;

	(void)state;
	come_to_verify(&pair, false, NULL, &read);
	tandem_connection_close(pair.connection[0]);
	pair.connection[0] = NULL;
	assert_int_equal(pair_wait(&pair, &read), -ECONNRESET);
	pair_close(&pair);
}

static void test_reader_closed(void **state)
{
	struct tandem_operation read = { 0 };
	struct pair pair;

	(void)state;
	come_to_verify(&pair, false, NULL, &read);
	tandem_connection_close(pair.connection[1]);
	pair.connection[1] = NULL;
	assert_false(read.pending);
	assert_int_equal(read.result, -ECANCELED);
	pair_run(&pair, 20);
	pair_close(&pair);
}

static int drop(struct tandem_connection *connection, const struct xfer_note *note)
{
	return note->kind == XFER_NOTE_SUM ? 0 : damage.below->tell(connection, note);
}

/* The deadline ends a pull whose questions nobody answers, and then the connection. */
static void test_never_answered(void **state)
{
	uint32_t block = 3;
	const struct tandem_pull one = {
		.layer_count = 1,
		.local_blocks = &block,
		.remote_blocks = &block,
		.block_count = 1,
		.timeout_ms = 50,
	};
	struct pair pair;

	(void)state;
	open_pair(&pair, false, pair_layout);
	damage_begin(&pair, 0);
	damage.ops.tell = drop;
	assert_int_equal(pull(&pair, &one), -ETIMEDOUT);
	assert_int_not_equal(pair.connection[1]->state, CONNECTION_CONNECTED);
	heal();
	pair_close(&pair);
}

static int say(struct pair *pair, int side, enum xfer_note_kind kind, uint32_t number,
	       uint64_t generation, uint64_t first, uint32_t count)
{
	const struct xfer_note note = {
		.kind = kind,
		.transfer = number,
		.generation = generation,
		.first = first,
		.count = count,
	};

	return connection_told(pair->connection[side], &note);
}

static int ask(struct pair *pair, uint64_t generation, uint64_t first, uint32_t count)
{
	return say(pair, 0, XFER_NOTE_SUM_ASKED, 7, generation, first, count);
}

static int answer(struct pair *pair, uint32_t number, uint64_t first, uint32_t count)
{
	return say(pair, 1, XFER_NOTE_SUM, number, 0, first, count);
}

/* A side that asks anything. */
static void test_bad_questions(void **state)
{
	const uint64_t total = 3 * pair_layout[0].blocks;
	const struct xfer_note not_zero = { .kind = XFER_NOTE_SUM_ASKED, .count = 1, .checksum = 1 };
	struct pair pair;
	unsigned int i;

	(void)state;
	open_pair(&pair, false, pair_layout);
	assert_int_equal(ask(&pair, 0, 0, 0), -EPROTO);
	assert_int_equal(ask(&pair, 0, total, 1), -EPROTO);
	assert_int_equal(ask(&pair, 0, total - 1, 2), -EPROTO);
	assert_int_equal(ask(&pair, 0, UINT64_MAX, 1), -EPROTO);
	assert_int_equal(ask(&pair, 1, 0, 1), -EPROTO);
	assert_int_equal(connection_told(pair.connection[0], &not_zero), -EPROTO);
	/* No more at once than there are numbers. */
	for (i = 0; i < XFER_VERIFY_ASKS; i++)
		assert_int_equal(ask(&pair, 0, 0, total), 0);
	assert_int_equal(ask(&pair, 0, 0, 1), -EPROTO);
	pair_close(&pair);
}

/* What is not offered has no checksum for the other side. */
static void test_questions_beyond_an_offer(void **state)
{
	static const uint32_t blocks[] = { 5, 6, 9 };
	struct tandem_offer offer = { .layer_count = 1, .blocks = blocks, .block_count = 3 };
	struct tandem_operation lent = { 0 };
	struct pair pair;

	(void)state;
	open_pair(&pair, true, pair_layout);
	assert_int_equal(tandem_offer_start(pair.connection[0], &offer, &lent), 0);
	assert_int_equal(ask(&pair, offer.generation, 5, 3), -EPROTO);
	assert_int_equal(ask(&pair, offer.generation, pair_layout[0].blocks + 5, 1), -EPROTO);
	assert_int_equal(ask(&pair, offer.generation + 1, 5, 2), -EPROTO);
	assert_int_equal(ask(&pair, 0, 5, 2), -EPROTO);
	assert_int_equal(tandem_cancel(pair.loop, &lent), 0);
	assert_int_equal(pair_wait(&pair, &lent), -ECANCELED);
	assert_int_equal(ask(&pair, offer.generation, 5, 2), -EPROTO);
	pair_close(&pair);
}

/* An answer is to a question, once. */
static void test_bad_answers(void **state)
{
	uint32_t block = 3;
	const struct tandem_pull one = {
		.layer_count = 1,
		.local_blocks = &block,
		.remote_blocks = &block,
		.block_count = 1,
	};
	struct tandem_operation read = { 0 };
	struct pair pair;

	(void)state;
	open_pair(&pair, false, pair_layout);
	assert_int_equal(answer(&pair, 0, 0, 0), -EPROTO);
	assert_int_equal(answer(&pair, XFER_VERIFY_ASKS - 1, 0, 1), -EPROTO);
	assert_int_equal(answer(&pair, XFER_VERIFY_ASKS, 0, 1), -EPROTO);
	assert_int_equal(answer(&pair, XFER_TRANSFERS - 1, 0, 1), -EPROTO);
	/* One that is open, number 0. */
	damage_begin(&pair, 0);
	damage.ops.tell = drop;
	assert_int_equal(tandem_pull_start(pair.connection[1], &one, &read), 0);
	pair_run(&pair, 50);
	assert_true(read.pending);
	assert_int_equal(answer(&pair, 0, 2, 1), -EPROTO);
	assert_int_equal(answer(&pair, 0, 3, 2), -EPROTO);
	assert_int_equal(say(&pair, 1, XFER_NOTE_SUM, 0, 1, 3, 1), -EPROTO);
	/* The right one, with a checksum of its own; and again. */
	assert_int_equal(answer(&pair, 0, 3, 1), 0);
	assert_int_equal(answer(&pair, 0, 3, 1), -EPROTO);
	assert_int_equal(pair_wait(&pair, &read), -EBADMSG);
	heal();
	pair_close(&pair);
}

/* On a connection that has none. */
static void test_without_checksums(void **state)
{
	struct pair pair;

	(void)state;
	pair_checksums = 0;
	pair_open(&pair, pair_layout);
	pair_connect(&pair);
	assert_int_equal(ask(&pair, 0, 0, 1), -EPROTO);
	assert_int_equal(answer(&pair, 0, 0, 1), -EPROTO);
	assert_int_equal(say(&pair, 0, XFER_NOTE_READ_DAMAGED, 0, 0, 0, 0), -EPROTO);
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_bit),
		cmocka_unit_test(test_one_bit_of_an_offer),
		cmocka_unit_test(test_changed_after_landing),
		cmocka_unit_test(test_more_than_slots),
		cmocka_unit_test(test_in_slices),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_cancelled_with_questions_left),
		cmocka_unit_test(test_offer_cancelled),
		cmocka_unit_test(test_owner_closed),
		cmocka_unit_test(test_reader_closed),
		cmocka_unit_test(test_never_answered),
		cmocka_unit_test(test_bad_questions),
		cmocka_unit_test(test_questions_beyond_an_offer),
		cmocka_unit_test(test_bad_answers),
		cmocka_unit_test(test_without_checksums),
	};
	int failed = 0;

	for (pair_kind = pair_kinds; pair_kind->name; pair_kind++)
		failed += cmocka_run_group_tests_name(pair_kind->name, tests, NULL, NULL);
	return failed != 0;
}
