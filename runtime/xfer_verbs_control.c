// SPDX-License-Identifier: MIT
/*
 * Posting what is no write of blocks: messages, and the binding and invalidating
 * of memory windows. They have a part of the send queue to themselves, so that
 * neither waits for the other's completions.
 */
#include <errno.h>
#include <string.h>

#include "xfer_verbs_service.h"

#define BATCH	(VERBS_CONTROLS / 4)

void verbs_control_send(struct verbs *verbs, uint8_t *buffer, uint32_t size,
			struct ibv_send_wr *request, struct ibv_sge *range)
{
	range->addr = (uintptr_t)buffer;
	range->length = size;
	range->lkey = verbs_control_pair(verbs)->rail->messages->lkey;
	request->opcode = IBV_WR_SEND_WITH_IMM;
	request->imm_data = htobe32(verbs->message_number++);
	request->sg_list = range;
	request->num_sge = 1;
}

/* Of what grants do, notes wait for no more than they have to. */
static bool next_control(struct verbs_pair *pair, struct ibv_send_wr *request,
			 struct ibv_sge *range)
{
	struct verbs *verbs = pair->rail->verbs;
	const uint64_t number = pair->control_next;

	if (pair != verbs_control_pair(verbs))
		return verbs_grant_next(pair, number, request, range);
	return verbs_notes_next(verbs, number, request, range) ||
	       verbs_grant_next(pair, number, request, range) ||
	       verbs_notes_next(verbs, number, request, range);
}

/* Return: how many. */
static unsigned int fill_batch(struct verbs_pair *pair, struct ibv_send_wr *requests,
			       struct ibv_sge *ranges)
{
	unsigned int count = 0;

	while (count < BATCH && pair->control_next - pair->control_first < VERBS_CONTROLS) {
		memset(&requests[count], 0, sizeof(requests[count]));
		if (!next_control(pair, &requests[count], &ranges[count]))
			break;
		requests[count].wr_id = verbs_work(pair, VERBS_WORK_CONTROL, pair->control_next++);
		if (!pair->rail->service->ordered)
			requests[count].send_flags = IBV_SEND_SIGNALED;
		if (count)
			requests[count - 1].next = &requests[count];
		count++;
	}
	return count;
}

/* Return: how many, or -errno. */
static int post_batch(struct verbs_pair *pair)
{
	struct ibv_send_wr requests[BATCH];
	struct ibv_sge ranges[BATCH];
	unsigned int count = fill_batch(pair, requests, ranges);
	int ret;

	if (!count)
		return 0;
	/* Where there is order, this completion stands for all before it. */
	requests[count - 1].send_flags = IBV_SEND_SIGNALED;
	ret = pair->rail->service->post(pair, requests);
	return ret ? ret : (int)count;
}

/* The control pair comes last: it may tell of what the others have been given to do. */
int verbs_control_post(struct verbs *verbs)
{
	unsigned int i = verbs->pair_count;
	int ret;

	while (i--)
		do {
			ret = post_batch(verbs->pairs[i]);
			if (ret < 0)
				return ret;
		} while (ret);
	return 0;
}

static uint64_t control_bit(uint64_t number)
{
	return 1ull << number % VERBS_CONTROLS;
}

int verbs_control_completed(struct verbs_pair *pair, uint64_t number)
{
	uint64_t at = pair->rail->service->ordered ? pair->control_first : number;

	if (number < pair->control_first || number >= pair->control_next)
		return -EIO;
	while (at <= number)
		pair->control_done |= control_bit(at++);
	while (pair->control_done & control_bit(pair->control_first))
		pair->control_done &= ~control_bit(pair->control_first++);
	return 0;
}

int verbs_control_done(struct verbs_pair *pair, uint64_t number)
{
	struct verbs *verbs = pair->rail->verbs;
	int ret = verbs_control_completed(pair, number);

	if (ret < 0)
		return ret;
	ret = verbs_control_post(verbs);
	if (!ret)
		verbs_grant_done(verbs);
	return ret;
}
