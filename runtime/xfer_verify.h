/* SPDX-License-Identifier: MIT */
/*
 * Comparing what has been read with what the other side has.
 */
#ifndef TANDEM_RUNTIME_XFER_VERIFY_H
#define TANDEM_RUNTIME_XFER_VERIFY_H

#include <tandem/xfer.h>

struct xfer_note;
struct xfer_push;
struct xfer_verify;

/* Questions that a side may have open. Each is of a block, or of neighbours up to 1 MiB. */
#define XFER_VERIFY_ASKS 256u

/* For a connection with checksums. Return: NULL without memory. */
struct xfer_verify *xfer_verify_create(struct tandem_connection *connection);
/* Nothing is under way any more; @verify may be NULL. */
void xfer_verify_destroy(struct xfer_verify *verify);

/**
 * xfer_verify_start() - compare what a pull has read
 * @connection: of the reader
 * @push: the pull, of which all blocks have landed
 *
 * Its questions count among &xfer_push.writes; xfer_push_verified() is told of the end of
 * each, not from within.
 */
void xfer_verify_start(struct tandem_connection *connection, struct xfer_push *push);
/* Ask nothing more for it. */
void xfer_verify_stop(struct xfer_push *push);

/* Notes of these kinds have come. Return: as connection_told(). */
int xfer_verify_asked(struct tandem_connection *connection, const struct xfer_note *note);
int xfer_verify_answered(struct tandem_connection *connection, const struct xfer_note *note);
int xfer_verify_damaged(struct tandem_connection *connection);

#endif /* TANDEM_RUNTIME_XFER_VERIFY_H */
