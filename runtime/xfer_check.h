/* SPDX-License-Identifier: MIT */
/*
 * Comparing what has arrived with what was told.
 */
#ifndef TANDEM_RUNTIME_XFER_CHECK_H
#define TANDEM_RUNTIME_XFER_CHECK_H

#include <stdint.h>

#include <tandem/xfer.h>

struct xfer_check;
struct xfer_expect;

/**
 * xfer_check_start() - compare what has arrived with what was told
 * @connection: of the receiver
 * @expect: of which all blocks have landed, and all checksums are there; taken over if
 *	that succeeds
 *
 * Its operation ends when that is done: 0, -EBADMSG, upon which the other side is told;
 * -ECANCELED. No deadline applies, and the failure of the connection does not matter.
 *
 * Return: 0 or -ENOMEM.
 */
int xfer_check_start(struct tandem_connection *connection, struct xfer_expect *expect);

/* The newest of this name whose checksums are being compared; NULL for none. */
struct xfer_expect *xfer_check_find(struct tandem_connection *connection, uint32_t transfer);

/* The connection is closed: all are told right now. */
void xfer_check_cancel_all(struct tandem_connection *connection);

#endif /* TANDEM_RUNTIME_XFER_CHECK_H */
