// SPDX-License-Identifier: MIT
/*
 * Posting what is no write of blocks: messages, and the binding and invalidating
 * of memory windows. They have a part of the send queue to themselves, so that
 * neither waits for the other's completions.
 */
#include <errno.h>
#include <string.h>

#include "xfer_verbs.h"

#define BATCH	(VERBS_CONTROLS / 4)

void verbs_control_send(const struct verbs *verbs, uint8_t *buffer, uint32_t size,
			struct ibv_send_wr *request, struct ibv_sge *range)
{
	range->addr = (uintptr_t)buffer;
	range->length = size;
	range->lkey = verbs->message_region->lkey;
	request->opcode = IBV_WR_SEND;
	request->sg_list = range;
	request->num_sge = 1;
}

/* Notes wait for nothing that grants do. */
static bool next_control(struct verbs *verbs, struct ibv_send_wr *request, struct ibv_sge *range)
{
	return verbs_notes_next(verbs, verbs->control_next, request, range) ||
	       verbs_grant_next(verbs, verbs->control_next, request, range);
}

/* Return: how many. */
static unsigned int fill_batch(struct verbs *verbs, struct ibv_send_wr *requests,
			       struct ibv_sge *ranges)
{
	unsigned int count = 0;

	while (count < BATCH && verbs->control_next - verbs->control_first < VERBS_CONTROLS) {
		memset(&requests[count], 0, sizeof(requests[count]));
		if (!next_control(verbs, &requests[count], &ranges[count]))
			break;
		requests[count].wr_id = VERBS_WORK_CONTROL | verbs->control_next++;
		if (count)
			requests[count - 1].next = &requests[count];
		count++;
	}
	return count;
}

int verbs_control_post(struct verbs *verbs)
{
	struct ibv_send_wr requests[BATCH];
	struct ibv_sge ranges[BATCH];
	struct ibv_send_wr *bad;
	unsigned int count;
	int ret = 0;

	while (!ret && (count = fill_batch(verbs, requests, ranges))) {
		/* Its completion stands for all before it: a pair keeps order. */
		requests[count - 1].send_flags |= IBV_SEND_SIGNALED;
		ret = -ibv_post_send(verbs->pair, requests, &bad);
	}
	return ret;
}

int verbs_control_done(struct verbs *verbs, uint64_t number)
{
	int ret;

	if (number < verbs->control_first || number >= verbs->control_next)
		return -EIO;
	verbs->control_first = number + 1;
	ret = verbs_control_post(verbs);
	if (!ret)
		verbs_grant_done(verbs, verbs->control_first);
	return ret;
}
