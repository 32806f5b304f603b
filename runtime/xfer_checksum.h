/* SPDX-License-Identifier: MIT */
/*
 * The checksums of what has to arrive.
 */
#ifndef TANDEM_RUNTIME_XFER_CHECKSUM_H
#define TANDEM_RUNTIME_XFER_CHECKSUM_H

#include <tandem/xfer.h>

struct xfer_expect;
struct xfer_note;
struct xfer_write;

/**
 * xfer_checksum_tell() - tell the checksum of what a write completes
 * @connection: of the sender
 * @write: of blocks that are whole with it
 *
 * Return: as &xfer_transport_ops.tell.
 */
int xfer_checksum_tell(struct tandem_connection *connection, const struct xfer_write *write);

/**
 * xfer_checksum_add() - the other side has told one
 * @connection: of the receiver
 * @expect: its transfer
 * @note: not trusted but for its kind, transfer and generation
 *
 * Return: 0, -EPROTO, -ENOMEM.
 */
int xfer_checksum_add(struct tandem_connection *connection, struct xfer_expect *expect,
		      const struct xfer_note *note);

#endif /* TANDEM_RUNTIME_XFER_CHECKSUM_H */
