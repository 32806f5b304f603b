/* SPDX-License-Identifier: MIT */
/*
 * What the sides say beside the blocks.
 */
#ifndef TANDEM_RUNTIME_XFER_NOTE_H
#define TANDEM_RUNTIME_XFER_NOTE_H

#include <stdint.h>

enum xfer_note_kind {
	/* To the sender: send nothing more of this transfer. */
	XFER_NOTE_STOP = 1,
	/* The answer: nothing of it will land any more. */
	XFER_NOTE_STOPPED = 2,
	/* The connection is failing, or is being closed: this is the last that comes. */
	XFER_NOTE_GOODBYE = 3,
	/* To a reader: read no more by this offer. */
	XFER_NOTE_WITHDRAW = 4,
	/* The answer: nothing is read by it any more. */
	XFER_NOTE_WITHDRAWN = 5,
	/* From a reader: a pull has read blocks of this offer. */
	XFER_NOTE_READ = 6,
	/* To the receiver: what blocks have to be when they have arrived. */
	XFER_NOTE_CHECKSUM = 7,
	/* To the sender: they were not, of this transfer. */
	XFER_NOTE_DAMAGED = 8,
	/* From a reader: what is the checksum of these blocks of yours? */
	XFER_NOTE_SUM_ASKED = 9,
	/* The answer. */
	XFER_NOTE_SUM = 10,
	/* From a reader: what it has read was not what it was. */
	XFER_NOTE_READ_DAMAGED = 11,
};

/**
 * struct xfer_note - what one side tells the other beside the blocks
 * @kind: &enum xfer_note_kind
 * @transfer: that it is about, less than %XFER_TRANSFERS; with %XFER_NOTE_SUM_ASKED and
 *	%XFER_NOTE_SUM the number of the question; or 0
 * @generation: of the receiver's grant or the offer, or 0
 * @blocks: with %XFER_NOTE_READ, how many have been read
 * @first: with %XFER_NOTE_CHECKSUM, block of the receiver, counted through all layers; with
 *	%XFER_NOTE_SUM_ASKED and %XFER_NOTE_SUM, block of the side that is read
 * @count: likewise, blocks from there on
 * @checksum: likewise, CRC-32C of all their bytes; 0 in a question
 *
 * What a kind does not have is zero.
 */
struct xfer_note {
	uint32_t kind;
	uint32_t transfer;
	uint64_t generation;
	uint64_t blocks;
	uint64_t first;
	uint32_t count;
	uint32_t checksum;
};

/* Bytes of a note on the wire. */
#define XFER_NOTE_BYTES	32u

void xfer_note_encode(const struct xfer_note *note, uint8_t *bytes);
/* From the other side, not trusted. Return: 0 or -EPROTO. */
int xfer_note_decode(const uint8_t *bytes, struct xfer_note *note);

#endif /* TANDEM_RUNTIME_XFER_NOTE_H */
