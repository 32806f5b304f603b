/* SPDX-License-Identifier: MIT */
/*
 * What the two sides of a connection over verbs tell each other later: parts of grants and
 * offers, notes, and reports of rails that have failed.
 */
#ifndef TANDEM_RUNTIME_XFER_VERBS_MESSAGE_H
#define TANDEM_RUNTIME_XFER_VERBS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xfer_note.h"
#include "xfer_verbs_endpoint.h"

/* Room for a message; each receive has that much. */
#define VERBS_MESSAGE_BYTES 512u
/* A pair's writes in flight. */
#define VERBS_SLOTS	    128u

/**
 * struct verbs_run - granted blocks that are neighbours
 * @first: the first of them, counted through all layers
 * @count: how many
 */
struct verbs_run {
	uint64_t first;
	uint32_t count;
};

/* Runs in one message, of one key each; it has fewer of more. */
#define VERBS_MESSAGE_RUNS	30u

/**
 * struct verbs_message - part of a grant, or of an offer
 * @offer: it is one
 * @generation: of the grant
 * @transfer: that it is for; 0 for an offer
 * @run_total: runs of the grant
 * @run_first: runs of it that came before
 * @run_count: runs here
 * @key_count: keys of each run, one for each pair, 1 to %VERBS_PAIRS_MAX
 * @runs: these
 * @keys: for writing to each of @runs, or reading it, by the number of the pair
 */
struct verbs_message {
	bool offer;
	uint64_t generation;
	uint32_t transfer;
	uint32_t run_total;
	uint32_t run_first;
	uint32_t run_count;
	uint32_t key_count;
	struct verbs_run runs[VERBS_MESSAGE_RUNS];
	uint32_t keys[VERBS_MESSAGE_RUNS][VERBS_PAIRS_MAX];
};

/* How many runs of so many keys each fit a message. */
uint32_t verbs_message_runs(uint32_t key_count);

enum verbs_message_kind {
	VERBS_MESSAGE_GRANT = 0,
	VERBS_MESSAGE_NOTE = 1,
	VERBS_MESSAGE_OFFER = 2,
	VERBS_MESSAGE_RAIL = 3,
};

/* Notes in one message. */
#define VERBS_MESSAGE_NOTES	14u

/* Of a message from the other side, not trusted. Return: &enum verbs_message_kind or -EPROTO. */
int verbs_message_kind(const uint8_t *buffer, size_t size);

/**
 * struct verbs_notes - notes in one message
 * @count: of @notes, at least 1
 * @written: of each pair the writes with an immediate that have to have been counted first,
 *	since the notes speak of them: those that have been carried out, or where there is no
 *	order, all that have a number
 * @notes: these
 */
struct verbs_notes {
	uint32_t count;
	uint32_t written[VERBS_PAIRS_MAX];
	struct xfer_note notes[VERBS_MESSAGE_NOTES];
};

/* @buffer: of %VERBS_MESSAGE_BYTES. Return: bytes. */
uint32_t verbs_notes_encode(const struct verbs_notes *notes, uint8_t *buffer);

/* From the other side, not trusted. Return: 0 or -EPROTO. */
int verbs_notes_decode(const uint8_t *buffer, size_t size, struct verbs_notes *notes);

/**
 * struct verbs_counted - the writes with an immediate that have been counted on a pair
 * @before: all with a number below this
 * @beyond: where there is no order, also these, a bit for each number from @before on
 */
struct verbs_counted {
	uint32_t before;
	uint64_t beyond[VERBS_SLOTS / 64];
};

/**
 * struct verbs_report - a rail has failed, and its pairs of this side are gone
 * @rail: number of it
 * @count: of @pairs, at least 1
 * @pairs: what has been counted on each pair of it; there will be no more
 */
struct verbs_report {
	uint32_t rail;
	uint32_t count;
	struct verbs_counted pairs[VERBS_PAIRS_MAX];
};

/* @buffer: of %VERBS_MESSAGE_BYTES. Return: bytes. */
uint32_t verbs_report_encode(const struct verbs_report *report, uint8_t *buffer);

/* From the other side, not trusted. Return: 0 or -EPROTO. */
int verbs_report_decode(const uint8_t *buffer, size_t size, struct verbs_report *report);

/* @buffer: of %VERBS_MESSAGE_BYTES. Return: bytes. */
uint32_t verbs_message_encode(const struct verbs_message *message, uint8_t *buffer);

/* From the other side, not trusted. Return: 0 or -EPROTO. */
int verbs_message_decode(const uint8_t *buffer, size_t size, struct verbs_message *message);

#endif
