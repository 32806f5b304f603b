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

void verbs_control_send(const struct verbs_pair *pair, const uint8_t *buffer, uint32_t size,
			struct ibv_send_wr *request, struct ibv_sge *range)
{
	range->addr = (uintptr_t)buffer;
	range->length = size;
	range->lkey = pair->rail->messages->lkey;
	request->opcode = IBV_WR_SEND;
	request->sg_list = range;
	request->num_sge = 1;
}

void verbs_control_send_message(const struct verbs_pair *pair, const uint8_t *buffer,
				uint32_t size, uint32_t message, struct ibv_send_wr *request,
				struct ibv_sge *range)
{
	verbs_control_send(pair, buffer, size, request, range);
	request->opcode = IBV_WR_SEND_WITH_IMM;
	request->imm_data = htobe32(message);
}

static struct verbs_control *control_at(struct verbs_pair *pair, uint64_t number)
{
	return &pair->controls[number % VERBS_CONTROLS];
}

void verbs_control_send_numbered(struct verbs_pair *pair, uint64_t number, uint32_t size,
				 uint32_t message, struct ibv_send_wr *request,
				 struct ibv_sge *range)
{
	*control_at(pair, number) = (struct verbs_control){ size, message };
	verbs_control_send_message(pair, verbs_control_message(pair->rail, number), size, message,
				   request, range);
}

/* Of what grants do, notes wait for no more than they have to. */
static bool next_control(struct verbs_pair *pair, struct ibv_send_wr *request,
			 struct ibv_sge *range)
{
	const uint64_t number = pair->control_next;

	control_at(pair, number)->size = 0;
	if (pair != verbs_control_pair(pair->rail->verbs))
		return verbs_grant_next(pair, number, request, range);
	return verbs_report_next(pair, number, request, range) ||
	       verbs_message_again(pair, number, request, range) ||
	       verbs_notes_next(pair, number, request, range) ||
	       verbs_grant_next(pair, number, request, range) ||
	       verbs_notes_next(pair, number, request, range);
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

/* What could not be posted is with the rail, which fails. */
static int post_pair(struct verbs_pair *pair)
{
	int ret;

	do
		ret = verbs_is_up(pair) ? post_batch(pair) : 0;
	while (ret > 0);
	return ret < 0 ? verbs_rail_fail(pair->rail, ret) : 0;
}

/* The control pair comes last: it may tell of what the others have been given to do. */
int verbs_control_post(struct verbs *verbs)
{
	struct verbs_pair *control = verbs_control_pair(verbs);
	unsigned int i;
	int ret = 0;

	for (i = 0; i < verbs->pair_count && !ret; i++)
		if (verbs->pairs[i] != control)
			ret = post_pair(verbs->pairs[i]);
	/* It may be another one by now, which has been given what there was to do. */
	return ret || !control ? ret : post_pair(control);
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
