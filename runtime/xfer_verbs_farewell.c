// SPDX-License-Identifier: MIT
/*
 * The end of a connection. A queue pair that is destroyed tells nobody: the other
 * side's NIC would find out when it has tried again for seconds. So a side that ends
 * says so, and lets go of the pair when that has arrived.
 */
#include <time.h>

#include "xfer_verbs.h"

/* It takes some microseconds, so that an event is not worth it. */
#define LOOK_AGAIN_NS 50000
#define NSEC_PER_MSEC 1000000ull

bool verbs_farewell_begin(struct verbs *verbs)
{
	const struct xfer_note goodbye = { .kind = XFER_NOTE_GOODBYE };
	struct ibv_send_wr request = {
		.wr_id = VERBS_WORK_GOODBYE,
		.send_flags = IBV_SEND_SIGNALED,
	};
	uint8_t *buffer = verbs_goodbye_message(verbs);
	struct ibv_send_wr *bad;
	struct ibv_sge range;

	if (!verbs->pair || !verbs->joined || verbs->gone || verbs->leaving)
		return verbs->leaving;
	verbs_control_send(verbs, buffer, verbs_notes_encode(&goodbye, 1, buffer), &request, &range);
	verbs->leaving = !ibv_post_send(verbs->pair, &request, &bad);
	return verbs->leaving;
}

static bool is_goodbye(struct verbs *verbs, const struct ibv_wc *completion)
{
	struct xfer_note notes[VERBS_MESSAGE_NOTES];
	unsigned int receive = completion->wr_id & VERBS_WORK_NUMBER;
	int count;

	if (!(completion->wr_id & VERBS_WORK_RECEIVE) || completion->opcode != IBV_WC_RECV)
		return false;
	count = verbs_notes_decode(verbs_receive_message(verbs, receive), completion->byte_len,
				   notes);
	/* Nothing comes after it. */
	return count > 0 && notes[count - 1].kind == XFER_NOTE_GOODBYE;
}

bool verbs_farewell_ends(struct verbs *verbs, const struct ibv_wc *completion)
{
	return completion->status != IBV_WC_SUCCESS || completion->wr_id & VERBS_WORK_GOODBYE ||
	       is_goodbye(verbs, completion);
}

void verbs_farewell_wait(struct verbs *verbs)
{
	const struct timespec pause = { .tv_nsec = LOOK_AGAIN_NS };
	const uint64_t until = loop_now_ns() + VERBS_FAREWELL_MS * NSEC_PER_MSEC;
	struct ibv_wc completion;
	int count;

	do {
		count = ibv_poll_cq(verbs->queue, 1, &completion);
		if (!count)
			nanosleep(&pause, NULL);
	} while (count >= 0 && !(count && verbs_farewell_ends(verbs, &completion)) &&
		 loop_now_ns() < until);
}
