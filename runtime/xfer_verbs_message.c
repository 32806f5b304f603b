// SPDX-License-Identifier: MIT
/*
 * What the two sides tell each other over the control pair: which blocks have been
 * granted, and the keys for them; notes; and that a rail has failed.
 *
 * Layout, all little-endian:
 *
 *	 0  u32  magic "TXVM"
 *	 4  u16  version
 *	 6  u16  runs, notes, or pairs, in this message
 *	 8  u64  generation of the grant
 *	16  u32  transfer; or number of the rail
 *	20  u32  runs of the grant
 *	24  u32  runs in the messages before
 *	28  u16  kind: 0 for a grant; 1 for notes, where the four before are zero, and the one
 *		 after; 2 for an offer; 3 for a rail, where all are but its number
 *	30  u16  keys of each run
 *	32       runs: u64 first block, u32 blocks, u32 for each key.
 *		 Or 8 times u32, writes carried out on each pair; then notes.
 *		 Or pairs of the rail: u32 writes counted before the first that has not been,
 *		 2 times u64 a bit for each from there on that has
 */
#include <errno.h>
#include <string.h>

#include "xfer.h"
#include "xfer_verbs_message.h"

#define MESSAGE_MAGIC	0x4d565854u
#define MESSAGE_VERSION	4u

enum {
	AT_MAGIC = 0,
	AT_VERSION = 4,
	AT_COUNT = 6,
	AT_GENERATION = 8,
	AT_TRANSFER = 16,
	AT_RUN_TOTAL = 20,
	AT_RUN_FIRST = 24,
	AT_KIND = 28,
	AT_KEYS = 30,
	AT_RUNS = 32,
	AT_WRITTEN = 32,
	AT_NOTES = 64,
	AT_PAIRS = 32,
};

enum {
	RUN_FIRST = 0,
	RUN_COUNT = 8,
	RUN_KEYS = 12,
};

enum {
	PAIR_BEFORE = 0,
	PAIR_BEYOND = 4,
	PAIR_BYTES = 20,
};

#define KEY_BYTES	4u

_Static_assert(AT_WRITTEN + VERBS_PAIRS_MAX * 4 == AT_NOTES, "all pairs are told of");
_Static_assert(AT_RUNS + VERBS_MESSAGE_RUNS * (RUN_KEYS + KEY_BYTES) == VERBS_MESSAGE_BYTES,
	       "a message fits its buffer");
_Static_assert(AT_NOTES + VERBS_MESSAGE_NOTES * XFER_NOTE_BYTES == VERBS_MESSAGE_BYTES,
	       "a message of notes fits as well");
_Static_assert(AT_PAIRS + VERBS_PAIRS_MAX * PAIR_BYTES <= VERBS_MESSAGE_BYTES &&
	       PAIR_BEYOND + sizeof(((struct verbs_counted *)0)->beyond) == PAIR_BYTES,
	       "and one about a rail");

static uint32_t run_bytes(uint32_t key_count)
{
	return RUN_KEYS + key_count * KEY_BYTES;
}

uint32_t verbs_message_runs(uint32_t key_count)
{
	return (VERBS_MESSAGE_BYTES - AT_RUNS) / run_bytes(key_count);
}

static void head_encode(uint8_t *buffer, enum verbs_message_kind kind, uint32_t count)
{
	memset(buffer, 0, AT_RUNS);
	xfer_put32(buffer + AT_MAGIC, MESSAGE_MAGIC);
	xfer_put16(buffer + AT_VERSION, MESSAGE_VERSION);
	xfer_put16(buffer + AT_COUNT, count);
	xfer_put16(buffer + AT_KIND, kind);
}

int verbs_message_kind(const uint8_t *buffer, size_t size)
{
	uint32_t kind;

	if (size < AT_RUNS || xfer_get32(buffer + AT_MAGIC) != MESSAGE_MAGIC ||
	    xfer_get16(buffer + AT_VERSION) != MESSAGE_VERSION)
		return -EPROTO;
	kind = xfer_get16(buffer + AT_KIND);
	return kind <= VERBS_MESSAGE_RAIL ? (int)kind : -EPROTO;
}

static void run_encode(const struct verbs_message *message, uint32_t run, uint8_t *at)
{
	xfer_put64(at + RUN_FIRST, message->runs[run].first);
	xfer_put32(at + RUN_COUNT, message->runs[run].count);
	for (uint32_t key = 0; key < message->key_count; key++)
		xfer_put32(at + RUN_KEYS + key * KEY_BYTES, message->keys[run][key]);
}

static void run_decode(const uint8_t *at, struct verbs_message *message, uint32_t run)
{
	message->runs[run].first = xfer_get64(at + RUN_FIRST);
	message->runs[run].count = xfer_get32(at + RUN_COUNT);
	for (uint32_t key = 0; key < message->key_count; key++)
		message->keys[run][key] = xfer_get32(at + RUN_KEYS + key * KEY_BYTES);
}

uint32_t verbs_message_encode(const struct verbs_message *message, uint8_t *buffer)
{
	const uint32_t each = run_bytes(message->key_count);
	uint32_t i;

	head_encode(buffer, message->offer ? VERBS_MESSAGE_OFFER : VERBS_MESSAGE_GRANT,
		    message->run_count);
	xfer_put64(buffer + AT_GENERATION, message->generation);
	xfer_put32(buffer + AT_TRANSFER, message->transfer);
	xfer_put32(buffer + AT_RUN_TOTAL, message->run_total);
	xfer_put32(buffer + AT_RUN_FIRST, message->run_first);
	xfer_put16(buffer + AT_KEYS, message->key_count);
	for (i = 0; i < message->run_count; i++)
		run_encode(message, i, buffer + AT_RUNS + i * each);
	return AT_RUNS + message->run_count * each;
}

int verbs_message_decode(const uint8_t *buffer, size_t size, struct verbs_message *message)
{
	const int kind = verbs_message_kind(buffer, size);
	uint32_t each, i;

	if (kind != VERBS_MESSAGE_GRANT && kind != VERBS_MESSAGE_OFFER)
		return -EPROTO;
	message->offer = kind == VERBS_MESSAGE_OFFER;
	message->run_count = xfer_get16(buffer + AT_COUNT);
	message->generation = xfer_get64(buffer + AT_GENERATION);
	message->transfer = xfer_get32(buffer + AT_TRANSFER);
	message->run_total = xfer_get32(buffer + AT_RUN_TOTAL);
	message->run_first = xfer_get32(buffer + AT_RUN_FIRST);
	message->key_count = xfer_get16(buffer + AT_KEYS);
	if (!message->key_count || message->key_count > VERBS_PAIRS_MAX)
		return -EPROTO;
	each = run_bytes(message->key_count);
	if (!message->run_count || message->run_count > verbs_message_runs(message->key_count) ||
	    size != AT_RUNS + message->run_count * each || !message->generation ||
	    message->transfer >= (message->offer ? 1 : XFER_TRANSFERS) ||
	    message->run_first > message->run_total ||
	    message->run_count > message->run_total - message->run_first)
		return -EPROTO;
	for (i = 0; i < message->run_count; i++)
		run_decode(buffer + AT_RUNS + i * each, message, i);
	return 0;
}

uint32_t verbs_notes_encode(const struct verbs_notes *notes, uint8_t *buffer)
{
	uint32_t i;

	head_encode(buffer, VERBS_MESSAGE_NOTE, notes->count);
	for (i = 0; i < VERBS_PAIRS_MAX; i++)
		xfer_put32(buffer + AT_WRITTEN + i * 4, notes->written[i]);
	for (i = 0; i < notes->count; i++)
		xfer_note_encode(&notes->notes[i], buffer + AT_NOTES + i * XFER_NOTE_BYTES);
	return AT_NOTES + notes->count * XFER_NOTE_BYTES;
}

int verbs_notes_decode(const uint8_t *buffer, size_t size, struct verbs_notes *notes)
{
	uint32_t i;

	if (verbs_message_kind(buffer, size) != VERBS_MESSAGE_NOTE)
		return -EPROTO;
	notes->count = xfer_get16(buffer + AT_COUNT);
	if (!notes->count || notes->count > VERBS_MESSAGE_NOTES ||
	    size != AT_NOTES + notes->count * XFER_NOTE_BYTES ||
	    xfer_get64(buffer + AT_GENERATION) || xfer_get32(buffer + AT_TRANSFER) ||
	    xfer_get32(buffer + AT_RUN_TOTAL) || xfer_get32(buffer + AT_RUN_FIRST) ||
	    xfer_get16(buffer + AT_KEYS))
		return -EPROTO;
	for (i = 0; i < VERBS_PAIRS_MAX; i++)
		notes->written[i] = xfer_get32(buffer + AT_WRITTEN + i * 4);
	for (i = 0; i < notes->count; i++)
		if (xfer_note_decode(buffer + AT_NOTES + i * XFER_NOTE_BYTES,
				     &notes->notes[i]) < 0)
			return -EPROTO;
	return 0;
}

static void counted_encode(const struct verbs_counted *counted, uint8_t *at)
{
	xfer_put32(at + PAIR_BEFORE, counted->before);
	for (unsigned int i = 0; i < VERBS_SLOTS / 64; i++)
		xfer_put64(at + PAIR_BEYOND + i * 8, counted->beyond[i]);
}

static void counted_decode(const uint8_t *at, struct verbs_counted *counted)
{
	counted->before = xfer_get32(at + PAIR_BEFORE);
	for (unsigned int i = 0; i < VERBS_SLOTS / 64; i++)
		counted->beyond[i] = xfer_get64(at + PAIR_BEYOND + i * 8);
}

uint32_t verbs_report_encode(const struct verbs_report *report, uint8_t *buffer)
{
	uint32_t i;

	head_encode(buffer, VERBS_MESSAGE_RAIL, report->count);
	xfer_put32(buffer + AT_TRANSFER, report->rail);
	for (i = 0; i < report->count; i++)
		counted_encode(&report->pairs[i], buffer + AT_PAIRS + i * PAIR_BYTES);
	return AT_PAIRS + report->count * PAIR_BYTES;
}

int verbs_report_decode(const uint8_t *buffer, size_t size, struct verbs_report *report)
{
	uint32_t i;

	if (verbs_message_kind(buffer, size) != VERBS_MESSAGE_RAIL)
		return -EPROTO;
	report->rail = xfer_get32(buffer + AT_TRANSFER);
	report->count = xfer_get16(buffer + AT_COUNT);
	if (!report->count || report->count > VERBS_PAIRS_MAX || report->rail >= VERBS_RAILS_MAX ||
	    size != AT_PAIRS + report->count * PAIR_BYTES ||
	    xfer_get64(buffer + AT_GENERATION) || xfer_get32(buffer + AT_RUN_TOTAL) ||
	    xfer_get32(buffer + AT_RUN_FIRST) || xfer_get16(buffer + AT_KEYS))
		return -EPROTO;
	for (i = 0; i < report->count; i++)
		counted_decode(buffer + AT_PAIRS + i * PAIR_BYTES, &report->pairs[i]);
	return 0;
}
