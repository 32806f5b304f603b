// SPDX-License-Identifier: MIT
/*
 * What is waited for, from the start of the wait to its end: with or without a grant.
 */
#include <errno.h>
#include <stdlib.h>

#include "kv.h"
#include "xfer.h"
#include "xfer_probe.h"
#include "xfer_record.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/*
 * Deadlines
 */

/**
 * struct deadlines - a look at all deadlines
 * @now: when
 * @next: the earliest that has not passed
 * @passed: an expectation whose deadline has, or NULL
 */
struct deadlines {
	uint64_t now;
	uint64_t next;
	struct xfer_expect *passed;
};

static void expect_check_deadline(struct xfer_expect *expect, void *user)
{
	struct deadlines *deadlines = user;

	if (expect->stopping)
		expect->deadline_ns =
			max_u64(expect->deadline_ns,
				connection_heard(expect->connection, deadlines->now) +
					expect->grace_ns);
	if (expect->deadline_ns > deadlines->now)
		deadlines->next = min_u64(deadlines->next, expect->deadline_ns);
	else
		deadlines->passed = expect;
}

uint64_t xfer_receive_check_deadlines(struct tandem_connection *connection, uint64_t now)
{
	struct deadlines deadlines;

	while (connection->state == CONNECTION_CONNECTED) {
		deadlines = (struct deadlines){ .now = now, .next = UINT64_MAX };
		xfer_expect_each(&connection->expects, expect_check_deadline, &deadlines);
		if (!deadlines.passed)
			return deadlines.next;
		if (deadlines.passed->stopping || deadlines.passed->revoking)
			connection_fail(connection, -ECONNRESET);
		else
			xfer_expect_stop(connection, deadlines.passed, -ETIMEDOUT,
					 XFER_TIMEOUT_GRACE_NS);
	}
	return UINT64_MAX;
}

/*
 * The end
 */

void connection_expect_report(struct tandem_connection *connection, struct xfer_expect *expect,
			      int result)
{
	struct tandem_transfer_stats *stats = &expect->stats;
	uint64_t exposed_ns = 0;

	stats->done_ns = loop_now_ns();
	stats->bytes = expect->received * tandem_kv_block_bytes(&connection->layout);
	if (expect->needed_ns)
		exposed_ns = stats->done_ns - expect->needed_ns;
	connection->stats.exposed_ns += exposed_ns;
	PROBE_TRANSFER_END(stats->id, TANDEM_TRANSFER_RECEIVE, result, stats->bytes,
			   stats->writes, stats->rails, exposed_ns);
	if (connection->records)
		xfer_records_add(connection->records, &(struct tandem_transfer_record){
			.kind = TANDEM_TRANSFER_RECEIVE,
			.result = result,
			.transfer = expect->transfer,
			.generation = expect->grant ? expect->grant->generation : 0,
			.exposed_ns = exposed_ns,
			.stats = *stats,
		});
}

/* Return: its operation, which is to be told. */
static struct tandem_operation *expect_free(struct tandem_connection *connection,
					    struct xfer_expect *expect, int result)
{
	struct tandem_operation *op = expect->op;

	connection_expect_report(connection, expect, result);
	xfer_expect_remove(&connection->expects, expect);
	return op;
}

void connection_expect_end(struct tandem_connection *connection, struct xfer_expect *expect,
			   int result)
{
	operation_post(connection->loop, expect_free(connection, expect, result), result);
}

void xfer_receive_end_all(struct tandem_connection *connection)
{
	struct xfer_expect *expect;

	while ((expect = xfer_expect_first(&connection->expects, true)))
		connection_expect_end(connection, expect,
				      expect->result ? expect->result : connection->failure);
}

void xfer_receive_cancel_all(struct tandem_connection *connection)
{
	struct xfer_expect *expect;

	while ((expect = xfer_expect_first(&connection->expects, true)))
		operation_complete(expect_free(connection, expect, -ECANCELED), -ECANCELED);
	while ((expect = xfer_expect_first(&connection->expects, false)))
		xfer_expect_remove(&connection->expects, expect);
}

/* Nothing of it can land any more: end it, with 0 if it is what was sent. */
static void expect_finish(struct tandem_connection *connection, struct xfer_expect *expect)
{
	int ret = expect->result;

	if (!ret && connection->checksums) {
		ret = xfer_check_start(connection, expect);
		if (!ret)
			return;
	}
	connection_expect_end(connection, expect, ret);
}

void connection_expect_settle(struct tandem_connection *connection, struct xfer_expect *expect)
{
	if (!expect->grant || !connection->ops->revoke) {
		expect_finish(connection, expect);
		return;
	}
	expect->revoking = true;
	expect->deadline_ns = max_u64(expect->deadline_ns, loop_now_ns() + XFER_CANCEL_GRACE_NS);
	connection->ops->revoke(connection, expect->grant->generation);
}

/*
 * What comes
 */

/* Has @expect come to its end? It may be gone then. */
static void expect_check(struct tandem_connection *connection, struct xfer_expect *expect)
{
	uint64_t told = connection->checksums ? expect->checksums.blocks : expect->expected;

	if (expect->stopping || expect->revoking)
		return;
	if (expect->received <= expect->expected && told <= expect->expected) {
		if (expect->received == expect->expected && told == expect->expected) {
			PROBE_TRANSFER_LAST_COMPLETION(expect->stats.id, TANDEM_TRANSFER_RECEIVE,
						       expect->received * tandem_kv_block_bytes(
							       &connection->layout));
			connection_expect_settle(connection, expect);
		}
		return;
	}
	expect->result = -EPROTO;
	connection_fail(connection, -ECONNRESET);
}

void connection_revoked(struct tandem_connection *connection, uint32_t transfer)
{
	struct xfer_expect *expect = xfer_expect_find(&connection->expects, transfer);

	if (connection->state == CONNECTION_CONNECTED && expect && expect->revoking)
		expect_finish(connection, expect);
}

int connection_admit(struct tandem_connection *connection, const struct xfer_write *write)
{
	struct xfer_expect *expect;

	if (!connection->grants)
		return write->generation ? -EACCES : 0;
	expect = xfer_expect_find(&connection->expects, write->transfer);
	return xfer_grant_use(expect ? expect->grant : NULL, write->generation,
			      write->remote_offset, write->length, write->blocks);
}

/* The entry of a transfer, which may have begun before anybody waits. Return: 0 or -errno. */
static int expect_get(struct tandem_connection *connection, uint32_t transfer,
		      struct xfer_expect **expect)
{
	*expect = xfer_expect_find(&connection->expects, transfer);
	if (*expect)
		return 0;
	if (connection->expects.early >= XFER_EARLY_MAX)
		return -EPROTO;
	*expect = xfer_expect_add(&connection->expects, transfer);
	if (!*expect)
		return -ENOMEM;
	(*expect)->connection = connection;
	return 0;
}

void connection_received(struct tandem_connection *connection, uint32_t transfer,
			 uint32_t blocks)
{
	connection_received_parts(connection, transfer, blocks, 1);
}

void connection_received_parts(struct tandem_connection *connection, uint32_t transfer,
			       uint32_t parts, uint32_t block_parts)
{
	struct xfer_expect *expect;
	uint64_t blocks;
	int ret;

	if (connection->state != CONNECTION_CONNECTED)
		return;
	connection->heard_ns = loop_now_ns();
	if (!parts || transfer >= XFER_TRANSFERS) {
		connection_fail(connection, -EPROTO);
		return;
	}
	ret = expect_get(connection, transfer, &expect);
	if (ret < 0) {
		connection_fail(connection, ret);
		return;
	}
	expect->stats.last_write_ns = connection->heard_ns;
	if (!expect->stats.writes++)
		expect->stats.first_write_ns = connection->heard_ns;
	if (expect->op && expect->stats.writes == 1)
		PROBE_TRANSFER_FIRST_WRITE(expect->stats.id, TANDEM_TRANSFER_RECEIVE,
					   connection->transport_number);
	blocks = ((uint64_t)expect->parts + parts) / block_parts;
	expect->parts = ((uint64_t)expect->parts + parts) % block_parts;
	connection->stats.blocks_received += blocks;
	/* 2^48 writes of 2^16 blocks do not come in anybody's time. */
	expect->received += blocks;
	if (expect->op)
		expect_check(connection, expect);
}

/* Of a grant that has ended there is nothing left to check. */
int xfer_receive_checksum_told(struct tandem_connection *connection,
			       const struct xfer_note *note)
{
	struct xfer_expect *expect;
	int ret;

	if (!connection->checksums || (note->generation && !connection->grants))
		return -EPROTO;
	expect = xfer_expect_find(&connection->expects, note->transfer);
	if (connection->grants &&
	    (!expect || !expect->grant || expect->grant->generation != note->generation))
		return 0;
	ret = expect_get(connection, note->transfer, &expect);
	if (!ret)
		ret = xfer_checksum_add(connection, expect, note);
	if (ret < 0 || !expect->op)
		return ret;
	/* The caller has the connection fail: it may be that of the sender. */
	if (!expect->stopping && expect->checksums.blocks > expect->expected) {
		expect->result = -EPROTO;
		return -EPROTO;
	}
	expect_check(connection, expect);
	return 0;
}

/*
 * The start
 */

static int expect_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	struct xfer_expect *expect = operation_data(op);

	(void)loop;
	/* Otherwise it is ending already, for another reason. */
	if (expect->connection->state == CONNECTION_CONNECTED && !expect->stopping &&
	    !expect->revoking)
		xfer_expect_stop(expect->connection, expect, -ECANCELED, XFER_CANCEL_GRACE_NS);
	return 0;
}

void connection_expect_fewer(struct tandem_connection *connection, uint32_t transfer,
			     const struct tandem_operation *op, uint64_t blocks)
{
	struct xfer_expect *expect = xfer_expect_find(&connection->expects, transfer);

	/* Otherwise it is ending already. */
	if (connection->state != CONNECTION_CONNECTED || !expect || expect->op != op)
		return;
	expect->expected = blocks;
	expect_check(connection, expect);
}

/* @grant is taken over, unless that fails. */
static int expect_start(struct tandem_connection *connection, uint32_t transfer, uint64_t blocks,
			unsigned int timeout_ms, struct xfer_grant *grant,
			struct tandem_operation *op)
{
	struct xfer_expect *expect;
	uint64_t deadline_ns;
	int ret;

	if (connection->state != CONNECTION_CONNECTED)
		return -ENOTCONN;
	if (transfer >= XFER_TRANSFERS || !blocks || !operation_may_begin(op))
		return -EINVAL;
	expect = xfer_expect_find(&connection->expects, transfer);
	if (expect && expect->op)
		return -EBUSY;

	deadline_ns = connection_deadline(connection, timeout_ms);
	ret = connection_await(connection, deadline_ns);
	if (ret < 0)
		return ret;
	if (!expect)
		expect = xfer_expect_add(&connection->expects, transfer);
	if (!expect)
		return -ENOMEM;
	if (grant && connection->ops->grant) {
		ret = connection->ops->grant(connection, transfer, grant);
		/* An entry that nobody waits for does no harm. */
		if (ret < 0)
			return ret;
	}
	operation_begin(op, expect_cancel, expect);
	expect->connection = connection;
	expect->grant = grant;
	expect->expected = blocks;
	expect->stats.id = xfer_new_id();
	expect->stats.transport = connection->transport_number;
	expect->stats.posted_ns = connection->heard_ns;
	expect->deadline_ns = deadline_ns;
	PROBE_TRANSFER_POST(expect->stats.id, TANDEM_TRANSFER_RECEIVE, connection->id, transfer,
			    grant ? grant->generation : 0,
			    blocks * tandem_kv_block_bytes(&connection->layout));
	xfer_expect_await(&connection->expects, expect, op);
	expect_check(connection, expect);
	return 0;
}

int tandem_expect_start(struct tandem_connection *connection, uint32_t transfer, uint64_t blocks,
			unsigned int timeout_ms, struct tandem_operation *op)
{
	if (connection->state == CONNECTION_CONNECTED && connection->grants)
		return -EINVAL;
	return expect_start(connection, transfer, blocks, timeout_ms, NULL, op);
}

void tandem_expect_needed(struct tandem_connection *connection, uint32_t transfer)
{
	struct xfer_expect *expect = xfer_expect_find(&connection->expects, transfer);

	/* All of it has come, perhaps. */
	if (!expect || !expect->op)
		expect = xfer_check_find(connection, transfer);
	if (expect && !expect->needed_ns)
		expect->needed_ns = loop_now_ns();
}

int tandem_receive_start(struct tandem_connection *connection, struct tandem_receive *receive,
			 struct tandem_operation *op)
{
	struct xfer_grant *grant;
	int ret;

	if (connection->state != CONNECTION_CONNECTED)
		return -ENOTCONN;
	if (!connection->grants)
		return -EINVAL;
	ret = xfer_grant_create(&connection->layout, receive, &grant);
	if (ret < 0)
		return ret;
	grant->generation = connection_new_generation(connection);
	ret = expect_start(connection, receive->transfer,
			   (uint64_t)receive->layer_count * receive->block_count,
			   receive->timeout_ms, grant, op);
	if (ret < 0)
		free(grant);
	else
		receive->generation = connection->generation;
	return ret;
}
