// SPDX-License-Identifier: MIT
/*
 * Notes: what one side tells the other beside the blocks. They have the same bytes
 * with all transports.
 *
 * Layout, all little-endian:
 *
 *	 0  u32  kind
 *	 4  u32  transfer, or zero
 *	 8  u64  generation of the receiver's grant, or zero
 *	16       16 bytes of zero
 */
#include <errno.h>
#include <string.h>

#include "xfer.h"

enum {
	AT_KIND = 0,
	AT_TRANSFER = 4,
	AT_GENERATION = 8,
	AT_ZERO = 16,
};

void xfer_note_encode(const struct xfer_note *note, uint8_t *bytes)
{
	memset(bytes, 0, XFER_NOTE_BYTES);
	xfer_put32(bytes + AT_KIND, note->kind);
	xfer_put32(bytes + AT_TRANSFER, note->transfer);
	xfer_put64(bytes + AT_GENERATION, note->generation);
}

int xfer_note_decode(const uint8_t *bytes, struct xfer_note *note)
{
	note->kind = xfer_get32(bytes + AT_KIND);
	note->transfer = xfer_get32(bytes + AT_TRANSFER);
	note->generation = xfer_get64(bytes + AT_GENERATION);
	if (note->transfer >= XFER_TRANSFERS || xfer_get64(bytes + AT_ZERO) ||
	    xfer_get64(bytes + AT_ZERO + 8))
		return -EPROTO;
	return 0;
}
