// SPDX-License-Identifier: MIT
/*
 * Notes over the control pair, several in one message. With them goes how many writes have
 * been carried out on each pair: a note speaks of these, and is taken in when they have
 * been counted. On a pair without order, where that many may be other ones, it waits for all
 * that have been given a number. Of a rail that has failed nothing is waited for once all
 * has been taken in: what had not been carried out there comes over others, and is counted
 * there. A note may also speak of a grant or an offer, and does not go before that.
 */
#include <errno.h>
#include <stdlib.h>

#include "xfer_verbs_service.h"

int verbs_tell(struct tandem_connection *connection, const struct xfer_note *note)
{
	struct verbs *verbs = connection->transport;
	struct verbs_note *queued;

	if (verbs->note_count >= VERBS_NOTES_MAX)
		return -ENOBUFS;
	queued = calloc(1, sizeof(*queued));
	if (!queued)
		return -ENOMEM;
	queued->note = *note;
	queued->grants = verbs->grants_made;
	STAILQ_INSERT_TAIL(&verbs->notes, queued, entry);
	verbs->note_count++;
	return 0;
}

static struct xfer_note take_first(struct verbs *verbs)
{
	struct verbs_note *queued = STAILQ_FIRST(&verbs->notes);
	struct xfer_note note = queued->note;

	STAILQ_REMOVE_HEAD(&verbs->notes, entry);
	verbs->note_count--;
	free(queued);
	return note;
}

static bool may_post(const struct verbs *verbs)
{
	const struct verbs_note *queued = STAILQ_FIRST(&verbs->notes);

	return queued && queued->grants <= verbs->grants_told;
}

static uint32_t writes_before(const struct verbs_pair *pair)
{
	return pair->rail->service->ordered ? pair->written : pair->numbered;
}

bool verbs_notes_next(struct verbs_pair *pair, uint64_t number, struct ibv_send_wr *request,
		      struct ibv_sge *range)
{
	uint8_t *buffer = verbs_control_message(pair->rail, number);
	struct verbs *verbs = pair->rail->verbs;
	struct verbs_notes notes;
	unsigned int i;

	/* Asked for with every write, so that there is nothing to prepare before. */
	if (!may_post(verbs))
		return false;
	memset(&notes, 0, sizeof(notes));
	while (notes.count < VERBS_MESSAGE_NOTES && may_post(verbs))
		notes.notes[notes.count++] = take_first(verbs);
	for (i = 0; i < verbs->pair_count; i++)
		notes.written[i] = writes_before(verbs->pairs[i]);
	verbs_control_send_numbered(pair, number, verbs_notes_encode(&notes, buffer),
				    verbs->message_number++, request, range);
	return true;
}

bool verbs_notes_due(const struct verbs *verbs, const struct verbs_notes *notes)
{
	unsigned int i;

	for (i = 0; i < verbs->pair_count; i++)
		if (verbs->pairs[i]->rail->state < VERBS_RAIL_DOWN &&
		    (int32_t)(notes->written[i] - verbs->pairs[i]->arrived) > 0)
			return false;
	return true;
}

int verbs_notes_take(struct verbs *verbs, const struct verbs_notes *notes)
{
	uint32_t i;
	int ret = 0;

	for (i = 0; i < notes->count && !ret && !verbs->at_rest && !verbs->leaving; i++) {
		if (notes->notes[i].kind == XFER_NOTE_GOODBYE)
			verbs->gone = true;
		ret = connection_told(verbs->connection, &notes->notes[i]);
	}
	return ret;
}

void verbs_notes_free(struct verbs *verbs)
{
	while (!STAILQ_EMPTY(&verbs->notes))
		take_first(verbs);
}
