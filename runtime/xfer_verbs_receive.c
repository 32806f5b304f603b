// SPDX-License-Identifier: MIT
/*
 * What comes from the other side: immediates on every pair, messages on the first one of
 * each rail, mostly that of the first.
 *
 * Pairs have no order between them, so a note can be here before the immediate of a write
 * that it speaks of. Such a message waits, and all after it, until that has been counted.
 * Where the control pair has no order, messages can overtake one another: they have numbers
 * in their immediates, and are taken in by these. Those that come again, over another rail
 * when theirs has failed, are known by them. What is told of a rail has no number, and is
 * taken in at once: others may wait for that.
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
	uint8_t *buffer = pair == pair->rail->first ? verbs_receive_message(pair->rail, receive) :
						      verbs_no_message(pair->rail->verbs);

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
		pair->receives -= count;
		ret = ibv_post_recv(pair->queues, requests, &bad);
		if (ret)
			return -ret;
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

static void give_back(struct verbs_pair *pair, unsigned int receive)
{
	pair->idle[pair->receives++] = receive;
}

/* Return: 0; -EPROTO a number that is none of those under way. */
static int hold(struct verbs_pair *pair, const struct ibv_wc *completion)
{
	const unsigned int receive = completion->wr_id & VERBS_WORK_NUMBER;
	const uint32_t number = be32toh(completion->imm_data);
	struct verbs *verbs = pair->rail->verbs;
	struct verbs_held *held = &verbs->held[number % VERBS_HELD];
	const int32_t ahead = number - verbs->message_due;

	if (ahead <= -(int32_t)VERBS_HELD || ahead >= (int32_t)VERBS_HELD ||
	    !completion->byte_len)
		return -EPROTO;
	/* It has come before. */
	if (ahead < 0 || held->size) {
		give_back(pair, receive);
		return 0;
	}
	held->pair = pair;
	held->receive = receive;
	held->size = completion->byte_len;
	pair->held++;
	verbs->held_count++;
	return 0;
}

void verbs_take_held(struct verbs *verbs)
{
	struct verbs_held *held;
	int ret = 0;

	while (!ret && !verbs->at_rest && !verbs->leaving) {
		held = &verbs->held[verbs->message_due % VERBS_HELD];
		if (!held->size)
			return;
		ret = take_message(verbs, verbs_receive_message(held->pair->rail, held->receive),
				   held->size);
		if (ret == -EAGAIN)
			return;
		give_back(held->pair, held->receive);
		held->pair->held--;
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

/* A message, with or without a number. */
static bool is_message(const struct verbs_pair *pair, const struct ibv_wc *completion)
{
	return completion->opcode == IBV_WC_RECV && pair == pair->rail->first &&
	       (completion->wc_flags & IBV_WC_WITH_IMM || completion->byte_len > 1);
}

static int take_in(struct verbs_pair *pair, const struct ibv_wc *completion)
{
	const unsigned int receive = completion->wr_id & VERBS_WORK_NUMBER;
	struct verbs *verbs = pair->rail->verbs;
	int ret;

	if (completion->wc_flags & IBV_WC_WITH_IMM) {
		ret = hold(pair, completion);
		if (!ret)
			verbs_take_held(verbs);
		return ret;
	}
	give_back(pair, receive);
	return verbs_report_take(verbs, verbs_receive_message(pair->rail, receive),
				 completion->byte_len);
}

/* That it came is all that the other side wants to know. */
static bool is_probe(const struct ibv_wc *completion)
{
	return completion->opcode == IBV_WC_RECV && !(completion->wc_flags & IBV_WC_WITH_IMM);
}

void verbs_received(struct verbs_pair *pair, const struct ibv_wc *completion)
{
	const bool failed = completion->status != IBV_WC_SUCCESS;
	int ret = 0;

	if (!failed && is_message(pair, completion)) {
		ret = take_in(pair, completion);
	} else {
		give_back(pair, completion->wr_id & VERBS_WORK_NUMBER);
		if (failed)
			ret = verbs_pair_failed(pair, completion);
		else if (!is_probe(completion))
			ret = take_immediate(pair, completion);
	}
	if (ret < 0)
		connection_fail(pair->rail->verbs->connection, ret);
}
