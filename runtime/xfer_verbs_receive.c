// SPDX-License-Identifier: MIT
/*
 * What comes from the other side: immediates on every pair, messages on the control pair.
 *
 * Pairs have no order between them, so a note can be here before the immediate of a write
 * that it speaks of. Such a message waits, and all after it, until that has been counted.
 * Where the control pair has no order, messages can overtake one another: they have numbers
 * in their immediates, and are taken in by these.
 */
#include <errno.h>
#include <string.h>

#include "xfer_verbs_service.h"

#define REPOST_BATCH	(VERBS_RECEIVES / 4)

void verbs_receives_init(struct verbs_pair *pair)
{
	for (pair->receives = 0; pair->receives < VERBS_RECEIVES; pair->receives++)
		pair->idle[pair->receives] = pair->receives;
	pair->arrived = 0;
	memset(&pair->arrivals, 0, sizeof(pair->arrivals));
}

static void fill_receive(struct verbs_pair *pair, unsigned int receive,
			 struct ibv_recv_wr *request, struct ibv_sge *range)
{
	struct verbs *verbs = pair->rail->verbs;
	uint8_t *buffer = pair == verbs_control_pair(verbs) ?
				  verbs_receive_message(verbs, receive) :
				  verbs_no_message(verbs);

	memset(request, 0, sizeof(*request));
	request->wr_id = verbs_work(pair, VERBS_WORK_RECEIVE, receive);
	range->addr = (uintptr_t)buffer;
	range->length = VERBS_MESSAGE_BYTES;
	range->lkey = pair->rail->messages->lkey;
	request->sg_list = range;
	request->num_sge = 1;
}

int verbs_post_receives(struct verbs_pair *pair)
{
	struct ibv_recv_wr requests[REPOST_BATCH];
	struct ibv_sge ranges[REPOST_BATCH];
	struct ibv_recv_wr *bad;
	unsigned int count, i;
	int ret;

	while (pair->receives) {
		count = pair->receives < REPOST_BATCH ? pair->receives : REPOST_BATCH;
		for (i = 0; i < count; i++)
			fill_receive(pair, pair->idle[pair->receives - 1 - i], &requests[i],
				     &ranges[i]);
		for (i = 1; i < count; i++)
			requests[i - 1].next = &requests[i];
		ret = ibv_post_recv(pair->queues, requests, &bad);
		if (ret)
			return -ret;
		pair->receives -= count;
	}
	return 0;
}

int verbs_repost_receives(struct verbs_pair *pair)
{
	return pair->receives < REPOST_BATCH ? 0 : verbs_post_receives(pair);
}

/*
 * Messages
 */

/* Return: 0, -EAGAIN something is missing, another -errno. */
static int take_notes(struct verbs *verbs, const uint8_t *buffer, size_t size)
{
	struct verbs_notes notes;
	int ret = verbs_notes_decode(buffer, size, &notes);

	if (ret < 0)
		return ret;
	return verbs_notes_due(verbs, &notes) ? verbs_notes_take(verbs, &notes) : -EAGAIN;
}

static int take_message(struct verbs *verbs, const uint8_t *buffer, size_t size)
{
	switch (verbs_message_kind(buffer, size)) {
	case VERBS_MESSAGE_GRANT:
	case VERBS_MESSAGE_OFFER:
		return verbs_keys_take(verbs, buffer, size);
	case VERBS_MESSAGE_NOTE:
		return take_notes(verbs, buffer, size);
	default:
		return -EPROTO;
	}
}

/* Return: 0; -EPROTO a number that is none of those under way. */
static int hold(struct verbs *verbs, const struct ibv_wc *completion)
{
	const uint32_t number = be32toh(completion->imm_data);
	struct verbs_held *held = &verbs->held[number % VERBS_HELD];

	if (number - verbs->message_due >= VERBS_HELD || held->size || !completion->byte_len)
		return -EPROTO;
	held->receive = completion->wr_id & VERBS_WORK_NUMBER;
	held->size = completion->byte_len;
	verbs->held_count++;
	return 0;
}

void verbs_take_held(struct verbs *verbs)
{
	struct verbs_pair *pair = verbs_control_pair(verbs);
	struct verbs_held *held;
	int ret = 0;

	while (!ret && !verbs->at_rest && !verbs->leaving) {
		held = &verbs->held[verbs->message_due % VERBS_HELD];
		if (!held->size)
			return;
		ret = take_message(verbs, verbs_receive_message(verbs, held->receive),
				   held->size);
		if (ret == -EAGAIN)
			return;
		pair->idle[pair->receives++] = held->receive;
		held->size = 0;
		verbs->held_count--;
		verbs->message_due++;
	}
	if (ret < 0)
		connection_fail(verbs->connection, ret);
}

/*
 * Completions
 */

static int take_immediate(struct verbs_pair *pair, const struct ibv_wc *completion)
{
	const uint32_t immediate = be32toh(completion->imm_data);
	struct verbs *verbs = pair->rail->verbs;
	uint32_t transfer, count;

	if (completion->opcode != IBV_WC_RECV_RDMA_WITH_IMM ||
	    !(completion->wc_flags & IBV_WC_WITH_IMM))
		return -EPROTO;
	if (pair->rail->service->ordered) {
		transfer = immediate >> VERBS_TRANSFER_SHIFT;
		count = immediate & VERBS_COUNT_MASK;
		pair->arrived++;
	} else {
		if (!xfer_arrivals_take(&pair->arrivals, immediate, &transfer, &count))
			return -EPROTO;
		pair->arrived = pair->arrivals.missing;
	}
	connection_received_parts(verbs->connection, transfer, count, verbs->parts);
	return 0;
}

static int take_failure(struct verbs_pair *pair, const struct ibv_wc *completion)
{
	struct verbs *verbs = pair->rail->verbs;

	if (pair == verbs_control_pair(verbs))
		verbs->gone = true;
	return completion->status == IBV_WC_WR_FLUSH_ERR ? -ECONNRESET : -EIO;
}

static bool is_message(const struct verbs_pair *pair, const struct ibv_wc *completion)
{
	return completion->status == IBV_WC_SUCCESS && completion->opcode == IBV_WC_RECV &&
	       completion->wc_flags & IBV_WC_WITH_IMM &&
	       pair == verbs_control_pair(pair->rail->verbs);
}

/* That it came is all that the other side wants to know. */
static bool is_probe(const struct ibv_wc *completion)
{
	return completion->opcode == IBV_WC_RECV && !(completion->wc_flags & IBV_WC_WITH_IMM);
}

void verbs_received(struct verbs_pair *pair, const struct ibv_wc *completion)
{
	struct verbs *verbs = pair->rail->verbs;
	int ret = 0;

	if (is_message(pair, completion)) {
		ret = hold(verbs, completion);
		if (ret < 0)
			connection_fail(verbs->connection, ret);
		else
			verbs_take_held(verbs);
		return;
	}
	pair->idle[pair->receives++] = completion->wr_id & VERBS_WORK_NUMBER;
	if (completion->status != IBV_WC_SUCCESS)
		ret = take_failure(pair, completion);
	else if (!is_probe(completion))
		ret = take_immediate(pair, completion);
	if (ret < 0)
		connection_fail(verbs->connection, ret);
}
