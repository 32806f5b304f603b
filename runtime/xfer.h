/* SPDX-License-Identifier: MIT */
/*
 * The transfer engine from the inside.
 *
 *	xfer_description.c	what the two sides tell one another
 *	xfer_runs.c		putting neighbouring blocks together
 *	xfer_table.c		the same for ranges that are sent again and again
 *	xfer_expect.c		counting what arrives
 *	xfer_grant.c		what may arrive
 *	xfer_note.c		what is said beside the blocks
 *	xfer_offer.c		what may be read
 *	xfer_stop.c		giving up a transfer that the other side sends
 *	xfer_checksum.c		what has to arrive
 *	xfer_check.c		is it that what has?
 *	xfer_verify.c		the same for what has been read
 *	xfer_record.c		how transfers went
 *	xfer_unordered.c	writes where nothing keeps order
 *	xfer_push.c		pushes and pulls, from their start to their end
 *	xfer_receive.c		what is waited for, from its start to its end
 *	connection.c		what else all transports have in common
 *	xfer_auto*.c		choosing a transport
 *	xfer_local.c, xfer_verbs*.c, xfer_tcp*.c	the transports
 *
 * xfer_push.c cuts a push into writes, or a pull into reads, and hands the
 * transport as many as it has slots for; the transport says when each has been
 * carried out. What is said of pushes and writes in here holds for pulls and reads
 * too, where the two are not told apart. Nothing in
 * here calls an application's callback but tandem_connection_close(): results
 * are posted to the loop, so no function has to fear that its connection is
 * gone when a call returns.
 */
#ifndef TANDEM_RUNTIME_XFER_H
#define TANDEM_RUNTIME_XFER_H

#include "connection.h"
#include "xfer_check.h"
#include "xfer_checksum.h"
#include "xfer_description.h"
#include "xfer_expect.h"
#include "xfer_grant.h"
#include "xfer_note.h"
#include "xfer_offer.h"
#include "xfer_push.h"
#include "xfer_receive.h"
#include "xfer_runs.h"
#include "xfer_stop.h"
#include "xfer_table.h"
#include "xfer_transport.h"
#include "xfer_verify.h"

#endif /* TANDEM_RUNTIME_XFER_H */
