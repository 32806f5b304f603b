// SPDX-License-Identifier: MIT
/*
 * Notes: what one side tells the other beside the blocks. They have the same bytes
 * with all transports.
 *
 * Layout, all little-endian:
 *
 *	 0  u32  kind
 *	 4  u32  transfer, or number of a question, or zero
 *	 8  u64  generation of the receiver's grant or of an offer, or zero
 *	16  u64  blocks that have been read, or a checksum's first one, or zero
 *	24  u32  a checksum's blocks, or zero
 *	28  u32  CRC-32C of these; zero where that is the question
 */
#include <errno.h>

#include "xfer.h"

enum {
	AT_KIND = 0,
	AT_TRANSFER = 4,
	AT_GENERATION = 8,
	AT_BLOCKS = 16,
	AT_FIRST = 16,
	AT_COUNT = 24,
	AT_CHECKSUM = 28,
};

/* Is it of a checksum, known or asked for? */
static bool has_range(const struct xfer_note *note)
{
	return note->kind == XFER_NOTE_CHECKSUM || note->kind == XFER_NOTE_SUM_ASKED ||
	       note->kind == XFER_NOTE_SUM;
}

void xfer_note_encode(const struct xfer_note *note, uint8_t *bytes)
{
	xfer_put32(bytes + AT_KIND, note->kind);
	xfer_put32(bytes + AT_TRANSFER, note->transfer);
	xfer_put64(bytes + AT_GENERATION, note->generation);
	xfer_put64(bytes + AT_BLOCKS, has_range(note) ? note->first : note->blocks);
	xfer_put32(bytes + AT_COUNT, note->count);
	xfer_put32(bytes + AT_CHECKSUM, note->checksum);
}

int xfer_note_decode(const uint8_t *bytes, struct xfer_note *note)
{
	note->kind = xfer_get32(bytes + AT_KIND);
	note->transfer = xfer_get32(bytes + AT_TRANSFER);
	note->generation = xfer_get64(bytes + AT_GENERATION);
	note->blocks = 0;
	note->first = 0;
	if (has_range(note))
		note->first = xfer_get64(bytes + AT_FIRST);
	else
		note->blocks = xfer_get64(bytes + AT_BLOCKS);
	note->count = xfer_get32(bytes + AT_COUNT);
	note->checksum = xfer_get32(bytes + AT_CHECKSUM);
	if (note->transfer >= XFER_TRANSFERS ||
	    (!has_range(note) && (note->count || note->checksum)))
		return -EPROTO;
	return 0;
}
