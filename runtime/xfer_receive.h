/* SPDX-License-Identifier: MIT */
/*
 * What is waited for, and what transports tell of what comes.
 */
#ifndef TANDEM_RUNTIME_XFER_RECEIVE_H
#define TANDEM_RUNTIME_XFER_RECEIVE_H

#include <stdint.h>

#include <tandem/xfer.h>

struct xfer_expect;
struct xfer_note;
struct xfer_write;

/* Tell everybody who may want to know how it went. */
void connection_expect_report(struct tandem_connection *connection, struct xfer_expect *expect,
			      int result);

/* An expectation has ended; @expect is gone. */
void connection_expect_end(struct tandem_connection *connection, struct xfer_expect *expect,
			   int result);

/**
 * connection_admit() - may the other side write this?
 * @connection: of the receiver
 * @write: what; only @remote_offset, @length, @transfer, @blocks and
 *	@generation count, all of them as the other side says, but for the
 *	range, which is within the pool
 *
 * To be asked before a byte lands, by transports that can.
 *
 * Return: 0 or -EACCES, upon which the transport has the connection fail.
 */
int connection_admit(struct tandem_connection *connection, const struct xfer_write *write);

/* End an expectation with its @result, once its grant has been taken back. */
void connection_expect_settle(struct tandem_connection *connection, struct xfer_expect *expect);

/* Nothing of this transfer can land any more, see &xfer_transport_ops.revoke. */
void connection_revoked(struct tandem_connection *connection, uint32_t transfer);

/**
 * connection_received() - blocks have arrived
 * @connection: of the receiver
 * @transfer: that they are of
 * @blocks: how many; both as the other side says
 */
void connection_received(struct tandem_connection *connection, uint32_t transfer,
			 uint32_t blocks);

/*
 * The same for parts of blocks, of which @block_parts make a whole one. They are counted
 * like that as well: all blocks are there when all parts are.
 */
void connection_received_parts(struct tandem_connection *connection, uint32_t transfer,
			       uint32_t parts, uint32_t block_parts);

/**
 * connection_expect_fewer() - the other side has been told to send no more
 * @connection: the receiving side
 * @transfer: that is waited for
 * @op: the wait, which ends when @blocks have come
 * @blocks: that pushes of @transfer have brought; all of these have ended
 *
 * So a transfer can be cut short by whoever sees both sides, without harm to the
 * connection. Nothing if the wait is ending already.
 */
void connection_expect_fewer(struct tandem_connection *connection, uint32_t transfer,
			     const struct tandem_operation *op, uint64_t blocks);

/* As xfer_push_check_deadlines(), xfer_push_end_all() and xfer_push_cancel_all(). */
uint64_t xfer_receive_check_deadlines(struct tandem_connection *connection, uint64_t now);
void xfer_receive_end_all(struct tandem_connection *connection);
void xfer_receive_cancel_all(struct tandem_connection *connection);

/* A note of this kind has come. Return: as connection_told(). */
int xfer_receive_checksum_told(struct tandem_connection *connection,
			       const struct xfer_note *note);

#endif /* TANDEM_RUNTIME_XFER_RECEIVE_H */
