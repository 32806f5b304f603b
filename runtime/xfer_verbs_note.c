// SPDX-License-Identifier: MIT
/*
 * Notes over the queue pair, several in one message. The pair keeps order: what has
 * been posted before a note has been told of when the note comes.
 */
#include <errno.h>
#include <stdlib.h>

#include "xfer_verbs.h"

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

bool verbs_notes_next(struct verbs *verbs, uint64_t number, struct ibv_send_wr *request,
		      struct ibv_sge *range)
{
	struct xfer_note notes[VERBS_MESSAGE_NOTES];
	uint8_t *buffer = verbs_control_message(verbs, number);
	uint32_t count = 0;

	while (count < VERBS_MESSAGE_NOTES && !STAILQ_EMPTY(&verbs->notes))
		notes[count++] = take_first(verbs);
	if (!count)
		return false;
	verbs_control_send(verbs, buffer, verbs_notes_encode(notes, count, buffer), request, range);
	return true;
}

int verbs_notes_take(struct verbs *verbs, const uint8_t *buffer, size_t size)
{
	struct xfer_note notes[VERBS_MESSAGE_NOTES];
	int count = verbs_notes_decode(buffer, size, notes);
	int ret = count < 0 ? count : 0;
	int i;

	for (i = 0; i < count && !ret && verbs->pair && !verbs->leaving; i++) {
		if (notes[i].kind == XFER_NOTE_GOODBYE)
			verbs->gone = true;
		ret = connection_told(verbs->connection, &notes[i]);
	}
	return ret;
}

void verbs_notes_free(struct verbs *verbs)
{
	while (!STAILQ_EMPTY(&verbs->notes))
		take_first(verbs);
}
