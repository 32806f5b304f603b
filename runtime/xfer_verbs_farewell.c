// SPDX-License-Identifier: MIT
/*
 * The end of a connection. A queue pair that is destroyed tells nobody: the other
 * side's NIC would find out when it has tried again for seconds. So a side that ends
 * says so, and lets go of the pair when that has arrived, and all messages before it.
 */
#include <time.h>

#include "xfer_verbs_service.h"

/* It takes some microseconds, so that an event is not worth it. */
#define LOOK_AGAIN_NS 50000
#define NSEC_PER_MSEC 1000000ull

/* Of what the pairs have not carried out nothing is said: it may land, or not. */
static uint32_t goodbye_encode(const struct verbs *verbs, uint8_t *buffer)
{
	struct verbs_notes notes = { .count = 1, .notes = { { .kind = XFER_NOTE_GOODBYE } } };
	unsigned int i;

	for (i = 0; i < verbs->pair_count; i++)
		notes.written[i] = verbs->pairs[i]->written;
	return verbs_notes_encode(&notes, buffer);
}

bool verbs_farewell_begin(struct verbs *verbs)
{
	struct verbs_pair *pair = verbs_control_pair(verbs);
	struct ibv_send_wr request = { .send_flags = IBV_SEND_SIGNALED };
	struct ibv_sge range;
	uint8_t *buffer;

	if (!pair || verbs->at_rest)
		return false;
	if (verbs->gone || verbs->leaving)
		return verbs->leaving;
	buffer = verbs_goodbye_message(pair->rail);
	request.wr_id = verbs_work(pair, VERBS_WORK_GOODBYE, 0);
	verbs_control_send_message(pair, buffer, goodbye_encode(verbs, buffer),
				   verbs->message_number++, &request, &range);
	verbs->leaving = !pair->rail->service->post(pair, &request);
	return verbs->leaving;
}

static bool is_goodbye(struct verbs *verbs, const struct ibv_wc *completion)
{
	unsigned int receive = completion->wr_id & VERBS_WORK_NUMBER;
	struct verbs_notes notes;

	if (!(completion->wr_id & VERBS_WORK_RECEIVE) || completion->opcode != IBV_WC_RECV ||
	    verbs_notes_decode(verbs_receive_message(verbs_control_pair(verbs)->rail, receive),
			       completion->byte_len, &notes) < 0)
		return false;
	/* Nothing comes after it. */
	return notes.notes[notes.count - 1].kind == XFER_NOTE_GOODBYE;
}

/* That another pair fails does not matter any more. */
bool verbs_farewell_ends(struct verbs *verbs, const struct ibv_wc *completion)
{
	struct verbs_pair *pair = verbs_control_pair(verbs);

	if (verbs_work_pair(verbs, completion->wr_id) != pair)
		return false;
	if (completion->status != IBV_WC_SUCCESS || is_goodbye(verbs, completion))
		return true;
	if (completion->wr_id & VERBS_WORK_CONTROL)
		verbs_control_completed(pair, completion->wr_id & VERBS_WORK_NUMBER);
	verbs->said_goodbye |= (completion->wr_id & VERBS_WORK_GOODBYE) != 0;
	return verbs->said_goodbye && pair->control_first == pair->control_next;
}

void verbs_farewell_wait(struct verbs *verbs)
{
	const struct timespec pause = { .tv_nsec = LOOK_AGAIN_NS };
	const uint64_t until = loop_now_ns() + VERBS_FAREWELL_MS * NSEC_PER_MSEC;
	struct ibv_cq *queue = verbs_control_pair(verbs)->rail->queue;
	struct ibv_wc completion;
	int count;

	do {
		count = ibv_poll_cq(queue, 1, &completion);
		if (!count)
			nanosleep(&pause, NULL);
	} while (count >= 0 && !(count && verbs_farewell_ends(verbs, &completion)) &&
		 loop_now_ns() < until);
}
