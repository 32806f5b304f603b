// SPDX-License-Identifier: MIT
/*
 * Is what has arrived what was sent? Comparing checksums takes the processor's time, in
 * proportion to the bytes; so it is done in slices, between which the loop carries out
 * other events. Nothing of the transfer can land meanwhile, and what becomes of the
 * connection does not matter any more.
 */
#include <errno.h>
#include <stdlib.h>

#include "crc32c.h"
#include "kv.h"
#include "xfer.h"

/* Some 0.1 ms. */
#define SLICE_BYTES (1ull << 20)

/**
 * struct xfer_check - a transfer that is being looked at
 * @task: for the next slice
 * @entry: in &tandem_connection.checks
 * @expect: what waited for it, owned and not in the table any more
 * @range: of its checksums, the one that is being looked at
 * @bytes: of it that have been
 * @crc: of these
 */
struct xfer_check {
	struct loop_task task;
	LIST_ENTRY(xfer_check) entry;
	struct xfer_expect *expect;
	uint32_t range;
	uint64_t bytes;
	uint32_t crc;
};

/* Return: its operation, which is to be told. */
static struct tandem_operation *check_free(struct xfer_check *check, int result)
{
	struct xfer_expect *expect = check->expect;
	struct tandem_connection *connection = expect->connection;
	struct tandem_operation *op = expect->op;

	loop_task_cancel(connection->loop, &check->task);
	LIST_REMOVE(check, entry);
	free(check);
	connection_expect_report(connection, expect, result);
	xfer_expect_free(&connection->expects, expect);
	return op;
}

static void check_end(struct xfer_check *check, int result)
{
	const struct xfer_expect *expect = check->expect;
	struct tandem_connection *connection = expect->connection;
	const struct xfer_note damaged = {
		.kind = XFER_NOTE_DAMAGED,
		.transfer = expect->transfer,
		.generation = expect->grant ? expect->grant->generation : 0,
	};
	int ret = 0;

	operation_post(connection->loop, check_free(check, result), result);
	if (result != -EBADMSG)
		return;
	connection->stats.transfers_damaged++;
	if (connection->state == CONNECTION_CONNECTED)
		ret = connection_tell(connection, &damaged);
	if (ret < 0)
		connection_fail(connection, ret);
}

static int compare_ranges(const void *one, const void *other)
{
	const struct xfer_range *a = one, *b = other;

	return a->first < b->first ? -1 : a->first > b->first;
}

/* So many blocks were counted, and so many are there: each of them once. */
static bool ranges_are_apart(struct xfer_checksums *sums)
{
	uint32_t i;

	qsort(sums->ranges, sums->range_count, sizeof(sums->ranges[0]), compare_ranges);
	for (i = 1; i < sums->range_count; i++)
		if (sums->ranges[i].first - sums->ranges[i - 1].first < sums->ranges[i - 1].count)
			return false;
	return true;
}

/* Go on with the range, by @most bytes at most. Return: how many these were. */
static uint64_t check_range(struct xfer_check *check, uint64_t most)
{
	const struct tandem_connection *connection = check->expect->connection;
	const uint64_t block_bytes = tandem_kv_block_bytes(&connection->layout);
	const struct xfer_range *range = &check->expect->checksums.ranges[check->range];
	const uint8_t *from = connection->bytes + range->first * block_bytes + check->bytes;
	uint64_t piece = range->count * block_bytes - check->bytes;

	if (piece > most)
		piece = most;
	check->crc = crc32c_more(check->crc, from, piece);
	check->bytes += piece;
	return piece;
}

static bool range_is_over(const struct xfer_check *check)
{
	const struct xfer_expect *expect = check->expect;

	return check->bytes == expect->checksums.ranges[check->range].count *
				       tandem_kv_block_bytes(&expect->connection->layout);
}

static void check_slice(struct loop_task *task)
{
	struct xfer_check *check = (struct xfer_check *)task;
	const struct xfer_checksums *sums = &check->expect->checksums;
	uint64_t left = SLICE_BYTES;

	while (left && check->range < sums->range_count) {
		left -= check_range(check, left);
		if (!range_is_over(check))
			break;
		if (check->crc != sums->ranges[check->range].checksum) {
			check_end(check, -EBADMSG);
			return;
		}
		check->range++;
		check->bytes = 0;
		check->crc = 0;
	}
	if (check->range == sums->range_count)
		check_end(check, 0);
	else
		loop_task_post(check->expect->connection->loop, task);
}

static int check_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	(void)loop;
	check_end(operation_data(op), -ECANCELED);
	return 0;
}

int xfer_check_start(struct tandem_connection *connection, struct xfer_expect *expect)
{
	struct xfer_check *check = calloc(1, sizeof(*check));

	if (!check)
		return -ENOMEM;
	check->task.run = check_slice;
	check->expect = expect;
	LIST_INSERT_HEAD(&connection->checks, check, entry);
	/* The name is free for another transfer. */
	xfer_expect_detach(&connection->expects, expect);
	operation_abandon(expect->op);
	operation_begin(expect->op, check_cancel, check);
	if (ranges_are_apart(&expect->checksums))
		loop_task_post(connection->loop, &check->task);
	else
		check_end(check, -EBADMSG);
	return 0;
}

struct xfer_expect *xfer_check_find(struct tandem_connection *connection, uint32_t transfer)
{
	struct xfer_check *check;

	LIST_FOREACH(check, &connection->checks, entry)
		if (check->expect->transfer == transfer)
			return check->expect;
	return NULL;
}

void xfer_check_cancel_all(struct tandem_connection *connection)
{
	struct xfer_check *check;

	while ((check = LIST_FIRST(&connection->checks)))
		operation_complete(check_free(check, -ECANCELED), -ECANCELED);
}
