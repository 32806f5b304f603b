// SPDX-License-Identifier: MIT
/*
 * What the two sides tell each other over the pair: which blocks have been
 * granted, and the keys for them; and notes.
 *
 * Layout, all little-endian:
 *
 *	 0  u32  magic "TXVM"
 *	 4  u16  version
 *	 6  u16  runs, or notes, in this message
 *	 8  u64  generation of the grant
 *	16  u32  transfer
 *	20  u32  runs of the grant
 *	24  u32  runs in the messages before
 *	28  u32  kind: 0 for a grant; 1 for notes, where the four before are zero; 2 for
 *		 an offer
 *	32       runs of 16 bytes: u64 first block, u32 blocks, u32 key; or notes
 */
#include <errno.h>
#include <string.h>

#include "xfer_verbs.h"

#define MESSAGE_MAGIC	0x4d565854u
#define MESSAGE_VERSION	2u

enum {
	AT_MAGIC = 0,
	AT_VERSION = 4,
	AT_COUNT = 6,
	AT_GENERATION = 8,
	AT_TRANSFER = 16,
	AT_RUN_TOTAL = 20,
	AT_RUN_FIRST = 24,
	AT_KIND = 28,
	AT_RUNS = 32,
	AT_NOTES = 32,
};

#define RUN_BYTES	16u

_Static_assert(AT_RUNS + VERBS_MESSAGE_RUNS * RUN_BYTES == VERBS_MESSAGE_BYTES,
	       "a message fits its buffer");
_Static_assert(AT_NOTES + VERBS_MESSAGE_NOTES * XFER_NOTE_BYTES == VERBS_MESSAGE_BYTES,
	       "a message of notes fits as well");

static void head_encode(uint8_t *buffer, enum verbs_message_kind kind, uint32_t count)
{
	memset(buffer, 0, AT_RUNS);
	xfer_put32(buffer + AT_MAGIC, MESSAGE_MAGIC);
	xfer_put16(buffer + AT_VERSION, MESSAGE_VERSION);
	xfer_put16(buffer + AT_COUNT, count);
	xfer_put32(buffer + AT_KIND, kind);
}

int verbs_message_kind(const uint8_t *buffer, size_t size)
{
	uint32_t kind;

	if (size < AT_RUNS || xfer_get32(buffer + AT_MAGIC) != MESSAGE_MAGIC ||
	    xfer_get16(buffer + AT_VERSION) != MESSAGE_VERSION)
		return -EPROTO;
	kind = xfer_get32(buffer + AT_KIND);
	return kind <= VERBS_MESSAGE_OFFER ? (int)kind : -EPROTO;
}

uint32_t verbs_message_encode(const struct verbs_message *message, uint8_t *buffer)
{
	uint8_t *at = buffer + AT_RUNS;
	uint32_t i;

	head_encode(buffer, message->offer ? VERBS_MESSAGE_OFFER : VERBS_MESSAGE_GRANT,
		    message->run_count);
	xfer_put64(buffer + AT_GENERATION, message->generation);
	xfer_put32(buffer + AT_TRANSFER, message->transfer);
	xfer_put32(buffer + AT_RUN_TOTAL, message->run_total);
	xfer_put32(buffer + AT_RUN_FIRST, message->run_first);
	for (i = 0; i < message->run_count; i++, at += RUN_BYTES) {
		xfer_put64(at, message->runs[i].first);
		xfer_put32(at + 8, message->runs[i].count);
		xfer_put32(at + 12, message->runs[i].key);
	}
	return at - buffer;
}

int verbs_message_decode(const uint8_t *buffer, size_t size, struct verbs_message *message)
{
	const int kind = verbs_message_kind(buffer, size);
	const uint8_t *at = buffer + AT_RUNS;
	uint32_t i;

	if (kind != VERBS_MESSAGE_GRANT && kind != VERBS_MESSAGE_OFFER)
		return -EPROTO;
	message->offer = kind == VERBS_MESSAGE_OFFER;
	message->run_count = xfer_get16(buffer + AT_COUNT);
	message->generation = xfer_get64(buffer + AT_GENERATION);
	message->transfer = xfer_get32(buffer + AT_TRANSFER);
	message->run_total = xfer_get32(buffer + AT_RUN_TOTAL);
	message->run_first = xfer_get32(buffer + AT_RUN_FIRST);
	if (!message->run_count || message->run_count > VERBS_MESSAGE_RUNS ||
	    size != AT_RUNS + message->run_count * RUN_BYTES || !message->generation ||
	    message->transfer >= (message->offer ? 1 : XFER_TRANSFERS) || message->run_first > message->run_total ||
	    message->run_count > message->run_total - message->run_first)
		return -EPROTO;
	for (i = 0; i < message->run_count; i++, at += RUN_BYTES) {
		message->runs[i].first = xfer_get64(at);
		message->runs[i].count = xfer_get32(at + 8);
		message->runs[i].key = xfer_get32(at + 12);
	}
	return 0;
}

uint32_t verbs_notes_encode(const struct xfer_note *notes, uint32_t count, uint8_t *buffer)
{
	uint32_t i;

	head_encode(buffer, VERBS_MESSAGE_NOTE, count);
	for (i = 0; i < count; i++)
		xfer_note_encode(&notes[i], buffer + AT_NOTES + i * XFER_NOTE_BYTES);
	return AT_NOTES + count * XFER_NOTE_BYTES;
}

int verbs_notes_decode(const uint8_t *buffer, size_t size, struct xfer_note *notes)
{
	uint32_t count, i;

	if (verbs_message_kind(buffer, size) != VERBS_MESSAGE_NOTE)
		return -EPROTO;
	count = xfer_get16(buffer + AT_COUNT);
	if (!count || count > VERBS_MESSAGE_NOTES || size != AT_NOTES + count * XFER_NOTE_BYTES ||
	    xfer_get64(buffer + AT_GENERATION) || xfer_get32(buffer + AT_TRANSFER) ||
	    xfer_get32(buffer + AT_RUN_TOTAL) || xfer_get32(buffer + AT_RUN_FIRST))
		return -EPROTO;
	for (i = 0; i < count; i++)
		if (xfer_note_decode(buffer + AT_NOTES + i * XFER_NOTE_BYTES, &notes[i]) < 0)
			return -EPROTO;
	return count;
}
