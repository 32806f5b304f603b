// SPDX-License-Identifier: MIT
/*
 * Is what has been read what the other side has? When all blocks of a pull have landed, the
 * reader asks for the checksum of each, or of neighbours together; the other side computes
 * it from its memory, without its application, and while the offer stands. It does not
 * depend on who carried the bytes, so it is the same with all transports.
 *
 * Computing takes the processor's time on both sides, in proportion to the bytes. So it is
 * done in slices, between which the loop carries out other events; the other side's
 * questions and the answers to one's own take turns as they have come.
 */
#include <errno.h>
#include <stdlib.h>

#include "crc32c.h"
#include "kv.h"
#include "xfer.h"

/* Some 0.1 ms. */
#define SLICE_BYTES (1ull << 20)

/**
 * struct xfer_sum - a checksum that is asked for
 * @entry: in &xfer_verify.sums, or in a list of those that are unused; in none while @asked
 * @push: the pull whose blocks they are; NULL where the other side has asked
 * @asked: this side has asked, and not been answered
 * @note: the question; the answer, once that has come
 * @offset: in this side's memory, of what is left to be read
 * @left: bytes of that
 * @crc: of those that have been read
 */
struct xfer_sum {
	STAILQ_ENTRY(xfer_sum) entry;
	struct xfer_push *push;
	bool asked;
	struct xfer_note note;
	uint64_t offset;
	uint64_t left;
	uint32_t crc;
};

STAILQ_HEAD(xfer_sums, xfer_sum);

/**
 * struct xfer_verify - the checksums of what is read, either way
 * @task: for the next slice
 * @connection: of it
 * @pulls: that have more to ask, the one whose blocks came first at the head
 * @sums: to be computed
 * @unused_asks: slots for this side's questions
 * @unused_answers: slots for the other side's
 * @slots: all of them; questions, which are known by their numbers, have the first half
 *
 * Belongs to the loop's thread; no lock.
 */
struct xfer_verify {
	struct loop_task task;
	struct tandem_connection *connection;
	TAILQ_HEAD(, xfer_push) pulls;
	struct xfer_sums sums;
	struct xfer_sums unused_asks;
	struct xfer_sums unused_answers;
	struct xfer_sum slots[2 * XFER_VERIFY_ASKS];
};

static void verify_slice(struct loop_task *task);

struct xfer_verify *xfer_verify_create(struct tandem_connection *connection)
{
	struct xfer_verify *verify = calloc(1, sizeof(*verify));
	unsigned int i;

	if (!verify)
		return NULL;
	verify->task.run = verify_slice;
	verify->connection = connection;
	TAILQ_INIT(&verify->pulls);
	STAILQ_INIT(&verify->sums);
	STAILQ_INIT(&verify->unused_asks);
	STAILQ_INIT(&verify->unused_answers);
	for (i = 0; i < 2 * XFER_VERIFY_ASKS; i++)
		STAILQ_INSERT_TAIL(i < XFER_VERIFY_ASKS ? &verify->unused_asks :
							  &verify->unused_answers,
				   &verify->slots[i], entry);
	return verify;
}

void xfer_verify_destroy(struct xfer_verify *verify)
{
	if (!verify)
		return;
	loop_task_cancel(verify->connection->loop, &verify->task);
	free(verify);
}

/* A side that has not connected yet may be read, and answers. */
static bool is_up(const struct tandem_connection *connection)
{
	return connection->state == CONNECTION_OPEN || connection->state == CONNECTION_CONNECTED;
}

/* Have it computed, of @left bytes from @offset on. */
static void sum_post(struct xfer_verify *verify, struct xfer_sum *sum)
{
	sum->crc = 0;
	STAILQ_INSERT_TAIL(&verify->sums, sum, entry);
	loop_task_post(verify->connection->loop, &verify->task);
}

/*
 * The side that reads
 */

/* The next blocks of a pull that are neighbours on both sides, as a question. */
static void ask_cut(struct xfer_push *push, struct xfer_sum *ask)
{
	struct tandem_connection *connection = push->connection;
	const uint64_t block_bytes = tandem_kv_block_bytes(&connection->layout);
	const struct xfer_run *run = &push->runs[push->run];
	const uint64_t before = push->run_offset / block_bytes;
	uint64_t count = block_bytes < SLICE_BYTES ? SLICE_BYTES / block_bytes : 1;

	if (count > run->count - before)
		count = run->count - before;
	ask->push = push;
	ask->note = (struct xfer_note){
		.kind = XFER_NOTE_SUM_ASKED,
		.transfer = ask - connection->verify->slots,
		.generation = push->generation,
		.first = run->remote + before,
		.count = count,
	};
	ask->offset = (run->local + before) * block_bytes;
	ask->left = count * block_bytes;
	push->run_offset += ask->left;
	if (before + count == run->count) {
		push->run_offset = 0;
		push->run++;
	}
}

/* Ask as much as there are slots for. */
static void ask_more(struct tandem_connection *connection)
{
	struct xfer_verify *verify = connection->verify;
	struct xfer_push *push;
	struct xfer_sum *ask;
	int ret = 0;

	while (!ret && connection->state == CONNECTION_CONNECTED &&
	       (push = TAILQ_FIRST(&verify->pulls)) && (ask = STAILQ_FIRST(&verify->unused_asks))) {
		STAILQ_REMOVE_HEAD(&verify->unused_asks, entry);
		ask_cut(push, ask);
		ask->asked = true;
		push->writes++;
		if (push->run == push->run_count)
			xfer_verify_stop(push);
		ret = connection->ops->tell(connection, &ask->note);
	}
	if (!ret && is_up(connection))
		ret = connection->ops->flush(connection);
	if (ret < 0)
		connection_fail(connection, ret);
}

void xfer_verify_start(struct tandem_connection *connection, struct xfer_push *push)
{
	push->run = 0;
	push->run_offset = 0;
	push->is_verifying = true;
	TAILQ_INSERT_TAIL(&connection->verify->pulls, push, verifying);
	ask_more(connection);
}

void xfer_verify_stop(struct xfer_push *push)
{
	if (push->is_verifying)
		TAILQ_REMOVE(&push->connection->verify->pulls, push, verifying);
	push->is_verifying = false;
}

static void ask_end(struct xfer_verify *verify, struct xfer_sum *ask, int result)
{
	STAILQ_INSERT_HEAD(&verify->unused_asks, ask, entry);
	xfer_push_verified(verify->connection, ask->push, result);
}

/* Of a pull that ends for another reason nothing matters any more. */
static int ask_compare(struct xfer_verify *verify, struct xfer_sum *ask)
{
	struct tandem_connection *connection = verify->connection;
	const struct xfer_note damaged = {
		.kind = XFER_NOTE_READ_DAMAGED,
		.generation = ask->note.generation,
	};

	if (ask->push->result || ask->crc == ask->note.checksum) {
		ask_end(verify, ask, 0);
		return 0;
	}
	connection->stats.transfers_damaged++;
	ask_end(verify, ask, -EBADMSG);
	return is_up(connection) ? connection->ops->tell(connection, &damaged) : 0;
}

int xfer_verify_answered(struct tandem_connection *connection, const struct xfer_note *note)
{
	struct xfer_verify *verify = connection->verify;
	struct xfer_sum *ask;

	if (!verify || note->transfer >= XFER_VERIFY_ASKS)
		return -EPROTO;
	ask = &verify->slots[note->transfer];
	if (!ask->asked || note->generation != ask->note.generation ||
	    note->first != ask->note.first || note->count != ask->note.count)
		return -EPROTO;
	ask->asked = false;
	ask->note = *note;
	sum_post(verify, ask);
	return 0;
}

/*
 * The side whose blocks they are
 */

int xfer_verify_asked(struct tandem_connection *connection, const struct xfer_note *note)
{
	const uint64_t total = (uint64_t)connection->layout.layers * connection->layout.blocks;
	const uint64_t block_bytes = tandem_kv_block_bytes(&connection->layout);
	struct xfer_verify *verify = connection->verify;
	struct xfer_sum *sum;
	int ret;

	if (!verify || note->checksum || !note->count || note->first >= total ||
	    note->count > total - note->first)
		return -EPROTO;
	/* It has as many slots, and asks for no more than it has. */
	sum = STAILQ_FIRST(&verify->unused_answers);
	if (!sum)
		return -EPROTO;
	sum->note = *note;
	sum->offset = note->first * block_bytes;
	sum->left = note->count * block_bytes;
	ret = connection_sum_begin(connection, note->generation, sum->offset, sum->left);
	if (ret < 0)
		return ret;
	STAILQ_REMOVE_HEAD(&verify->unused_answers, entry);
	sum_post(verify, sum);
	return 0;
}

static int sum_tell(struct xfer_verify *verify, struct xfer_sum *sum)
{
	struct tandem_connection *connection = verify->connection;
	struct xfer_note note = sum->note;

	note.kind = XFER_NOTE_SUM;
	note.checksum = sum->crc;
	STAILQ_INSERT_HEAD(&verify->unused_answers, sum, entry);
	connection_read_end(connection, note.generation);
	return is_up(connection) ? connection->ops->tell(connection, &note) : 0;
}

int xfer_verify_damaged(struct tandem_connection *connection)
{
	if (!connection->checksums)
		return -EPROTO;
	connection->stats.transfers_damaged++;
	return 0;
}

/*
 * Computing
 */

/* Return: bytes that were read, at most @most. */
static uint64_t sum_advance(const struct tandem_connection *connection, struct xfer_sum *sum,
			    uint64_t most)
{
	const uint64_t piece = sum->left < most ? sum->left : most;

	sum->crc = crc32c_more(sum->crc, connection->bytes + sum->offset, piece);
	sum->offset += piece;
	sum->left -= piece;
	return piece;
}

static void verify_slice(struct loop_task *task)
{
	struct xfer_verify *verify = (struct xfer_verify *)task;
	struct tandem_connection *connection = verify->connection;
	uint64_t budget = SLICE_BYTES;
	struct xfer_sum *sum;
	int ret = 0;

	/* What is left of a connection that has failed belongs to nobody. */
	while (budget && !ret && is_up(connection) && (sum = STAILQ_FIRST(&verify->sums))) {
		if (sum->push && sum->push->result)
			sum->left = 0;
		budget -= sum_advance(connection, sum, budget);
		if (sum->left)
			break;
		STAILQ_REMOVE_HEAD(&verify->sums, entry);
		ret = sum->push ? ask_compare(verify, sum) : sum_tell(verify, sum);
	}
	if (ret < 0)
		connection_fail(connection, ret);
	if (!is_up(connection))
		return;
	if (!STAILQ_EMPTY(&verify->sums))
		loop_task_post(connection->loop, task);
	ask_more(connection);
}
