// SPDX-License-Identifier: MIT
/*
 * Notes: what one side tells the other beside the blocks. They have the same bytes
 * with all transports.
 *
 * Layout, all little-endian:
 *
 *	 0  u32  kind
 *	 4  u32  transfer, or zero
 *	 8  u64  generation of the receiver's grant or of an offer, or zero
 *	16  u64  blocks that have been read, or zero
 *	24  u64  zero
 */
#include <errno.h>
#include <string.h>

#include "xfer.h"

enum {
	AT_KIND = 0,
	AT_TRANSFER = 4,
	AT_GENERATION = 8,
	AT_BLOCKS = 16,
	AT_ZERO = 24,
};

void xfer_note_encode(const struct xfer_note *note, uint8_t *bytes)
{
	memset(bytes, 0, XFER_NOTE_BYTES);
	xfer_put32(bytes + AT_KIND, note->kind);
	xfer_put32(bytes + AT_TRANSFER, note->transfer);
	xfer_put64(bytes + AT_GENERATION, note->generation);
	xfer_put64(bytes + AT_BLOCKS, note->blocks);
}

int xfer_note_decode(const uint8_t *bytes, struct xfer_note *note)
{
	note->kind = xfer_get32(bytes + AT_KIND);
	note->transfer = xfer_get32(bytes + AT_TRANSFER);
	note->generation = xfer_get64(bytes + AT_GENERATION);
	note->blocks = xfer_get64(bytes + AT_BLOCKS);
	if (note->transfer >= XFER_TRANSFERS || xfer_get64(bytes + AT_ZERO))
		return -EPROTO;
	return 0;
}
