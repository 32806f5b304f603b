// SPDX-License-Identifier: MIT
/*
 * Writes and reads, spread over the queue pairs: each goes to the pair that has the
 * fewest bytes under way, so that a NIC or path that is slower gets less.
 *
 * A write has an immediate that tells the receiver which transfer it is of, and how much
 * it brought: blocks, or where a block is larger than a write, parts of blocks. Parts may
 * go over several pairs; all together make the blocks that the receiver counts.
 *
 * Reads are what they are called. A pair tells of their end as of that of writes.
 *
 * Where a pair keeps order, a completion or an immediate may stand for several writes. Else
 * each has its own, and a number in the immediate by which the receiver knows it again.
 *
 * Writes stay in the slots of a pair whose rail has failed until the other side has said which
 * of them it has counted. The others go to pairs with room, before anything else does.
 */
#include <errno.h>
#include <string.h>

#include "xfer_verbs_service.h"

/*
 * With order, a completion every so many writes of a pair, or bytes, apart from the last
 * ones of a push: what is under way on each has to be known well enough to choose among
 * them.
 */
#define SIGNAL_INTERVAL		(VERBS_SLOTS / 4)
#define SIGNAL_BYTES		(4ull << 20)

/* Of the pairs that have a slot free; NULL for none. */
static struct verbs_pair *choose_pair(const struct verbs *verbs)
{
	struct verbs_pair *best = NULL, *pair;
	unsigned int i;

	for (i = 0; i < verbs->pair_count; i++) {
		pair = verbs->pairs[i];
		if (verbs_is_up(pair) && pair->next - pair->first < VERBS_SLOTS &&
		    (!best || pair->bytes < best->bytes))
			best = pair;
	}
	return best;
}

/*
 * Let the request at @at tell of the write before it too, if that is of the same transfer
 * and has not been posted. Both are there then, where the pair keeps order, and the receiver
 * has one completion less. Not if this side will be told of the other one alone, and there
 * are rails to go on over: what has been carried out has to have been counted there.
 */
static void join_immediates(struct verbs_pair *pair, unsigned int at)
{
	struct ibv_send_wr *before = &pair->batch[at - 1], *request = &pair->batch[at];
	uint32_t immediate = be32toh(request->imm_data);
	uint32_t other = be32toh(before->imm_data);

	if (before->opcode != IBV_WR_RDMA_WRITE_WITH_IMM ||
	    (before->send_flags & IBV_SEND_SIGNALED && pair->rail->verbs->rail_used_count > 1) ||
	    immediate >> VERBS_TRANSFER_SHIFT != other >> VERBS_TRANSFER_SHIFT ||
	    (immediate & VERBS_COUNT_MASK) + (other & VERBS_COUNT_MASK) > VERBS_COUNT_MASK)
		return;
	before->opcode = IBV_WR_RDMA_WRITE;
	pair->slots[(pair->next - 2) % VERBS_SLOTS].immediate = false;
	pair->slots[(pair->next - 1) % VERBS_SLOTS].number = --pair->numbered - 1;
	request->imm_data = htobe32(immediate + (other & VERBS_COUNT_MASK));
}

static void take_slot(struct verbs_pair *pair, const struct xfer_write *write,
		      const uint32_t *keys)
{
	const struct verbs *verbs = pair->rail->verbs;
	struct verbs_write *slot = &pair->slots[pair->next++ % VERBS_SLOTS];

	slot->write = *write;
	if (verbs->connection->grants)
		memcpy(slot->keys, keys, verbs->pair_count * sizeof(keys[0]));
	slot->immediate = !write->pull;
	slot->number = pair->numbered;
	xfer_push_on_rail(write->push, pair->number);
	pair->bytes += write->length;
	pair->unsignalled++;
	pair->unsignalled_bytes += write->length;
}

static void set_immediate(struct verbs_pair *pair, const struct xfer_write *write)
{
	const uint32_t count = pair->rail->verbs->parts > 1 ? 1 : write->blocks;
	const unsigned int at = pair->batch_count;
	const uint32_t number = pair->numbered++;
	uint32_t immediate;

	if (pair->rail->service->ordered)
		immediate = write->transfer << VERBS_TRANSFER_SHIFT | count;
	else
		immediate = xfer_unordered_immediate(write->transfer, count, number);
	pair->batch[at].opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
	pair->batch[at].imm_data = htobe32(immediate);
	if (at && pair->rail->service->ordered)
		join_immediates(pair, at);
}

static bool wants_completion(const struct verbs_pair *pair, const struct xfer_write *write)
{
	return !pair->rail->service->ordered || write->last ||
	       pair->unsignalled == SIGNAL_INTERVAL || pair->unsignalled_bytes >= SIGNAL_BYTES;
}

static void signal_completion(struct verbs_pair *pair, struct ibv_send_wr *request)
{
	request->send_flags = IBV_SEND_SIGNALED;
	pair->unsignalled = 0;
	pair->unsignalled_bytes = 0;
}

/* @keys: with grants, one for each pair. */
static void put_into_batch(struct verbs_pair *pair, const struct xfer_write *write,
			   const uint32_t *keys)
{
	const struct verbs_rail *rail = pair->rail;
	const struct verbs *verbs = rail->verbs;
	const unsigned int at = pair->batch_count;
	struct ibv_send_wr *request = &pair->batch[at];
	struct ibv_sge *range = &pair->ranges[at];

	memset(request, 0, sizeof(*request));
	request->wr_id = verbs_work(pair, 0, pair->next);
	take_slot(pair, write, keys);
	range->addr = verbs->local.address + write->local_offset;
	range->length = write->length;
	range->lkey = rail->region->lkey;
	request->sg_list = range;
	request->num_sge = 1;
	request->wr.rdma.remote_addr = verbs->remote.address + write->remote_offset;
	request->wr.rdma.rkey = verbs->connection->grants ? keys[pair->number] : rail->remote->rkey;
	if (write->pull)
		request->opcode = IBV_WR_RDMA_READ;
	else
		set_immediate(pair, write);
	if (wants_completion(pair, write))
		signal_completion(pair, request);
	if (at)
		pair->batch[at - 1].next = request;
	pair->batch_count++;
}

int verbs_write(struct tandem_connection *connection, const struct xfer_write *write)
{
	struct verbs *verbs = connection->transport;
	uint32_t keys[VERBS_PAIRS_MAX];
	int ret = 0;

	if (connection->grants)
		ret = verbs_keys_use(verbs, write, keys);
	if (!ret)
		put_into_batch(choose_pair(verbs), write, keys);
	return ret;
}

static int flush_pair(struct verbs_pair *pair)
{
	int ret;

	if (!pair->batch_count)
		return 0;
	/* Nothing may follow whose completion would stand for this one. */
	signal_completion(pair, &pair->batch[pair->batch_count - 1]);
	pair->batch_count = 0;
	ret = pair->rail->service->post(pair, pair->batch);
	return ret < 0 ? verbs_rail_fail(pair->rail, ret) : 0;
}

int verbs_flush(struct tandem_connection *connection)
{
	struct verbs *verbs = connection->transport;
	unsigned int i;
	int ret;

	for (i = 0; i < verbs->pair_count; i++) {
		ret = flush_pair(verbs->pairs[i]);
		if (ret)
			return ret;
	}
	return verbs_control_post(verbs);
}

/*
 * Slots are free again in order, so that the numbers under way are near one another. The
 * connection has as many as it has writes under way, and there are free ones.
 */
static void free_slots(struct verbs_pair *pair)
{
	struct tandem_connection *connection = pair->rail->verbs->connection;
	const unsigned int counts = verbs_is_up(pair);
	struct verbs_write *write;

	connection->write_slots -= counts;
	while (pair->first != pair->next) {
		write = &pair->slots[pair->first % VERBS_SLOTS];
		if (write->write.push)
			return;
		pair->first++;
		pair->written += write->immediate;
		connection->write_slots += counts;
	}
}

static void write_done(struct verbs_pair *pair, struct verbs_write *write)
{
	struct tandem_rail_stats *stats = &pair->rail->stats;
	struct xfer_push *push = write->write.push;
	const uint64_t bytes = write->write.length;

	write->write.push = NULL;
	pair->bytes -= bytes;
	stats->writes++;
	if (push->pull)
		stats->bytes_pulled += bytes;
	else
		stats->bytes_pushed += bytes;
	free_slots(pair);
	connection_write_done(pair->rail->verbs->connection, push, bytes, 0);
}

void verbs_sent(struct verbs_pair *pair, uint64_t number)
{
	uint64_t at = pair->rail->service->ordered ? pair->first : number;

	for (; at <= number && !pair->rail->verbs->at_rest; at++)
		write_done(pair, &pair->slots[at % VERBS_SLOTS]);
}

/*
 * Rails that have failed
 */

/*
 * What is free of a pair is nobody's any more. What is taken counts as a write until it is
 * done, or has a slot of another pair: so as many of those are kept for it.
 */
void verbs_leave_slots(struct verbs_pair *pair)
{
	uint64_t at;

	pair->rail->verbs->connection->write_slots -= VERBS_SLOTS;
	/* These are no writes any more. */
	for (at = pair->first; at != pair->next; at++)
		if (!pair->slots[at % VERBS_SLOTS].write.push)
			pair->rail->verbs->connection->write_slots++;
	pair->batch_count = 0;
	pair->probing = false;
}

static bool is_counted(const struct verbs_counted *counted, uint32_t number)
{
	const uint32_t ahead = number - counted->before;

	if ((int32_t)ahead < 0)
		return true;
	return ahead < VERBS_SLOTS && counted->beyond[ahead / 64] >> ahead % 64 & 1;
}

/* All that this side has seen carried out has to be, and nothing that it did not write. */
static int check_counted(const struct verbs_pair *pair, const struct verbs_counted *counted)
{
	const struct verbs_write *write;
	uint32_t number;
	uint64_t at;

	if ((int32_t)(pair->numbered - counted->before) < 0)
		return -EPROTO;
	for (number = counted->before; (int32_t)(pair->written - number) > 0; number++)
		if (!is_counted(counted, number))
			return -ECONNRESET;
	for (at = pair->first; at != pair->next; at++) {
		write = &pair->slots[at % VERBS_SLOTS];
		if (!write->write.push && write->immediate && !is_counted(counted, write->number))
			return -ECONNRESET;
	}
	return 0;
}

int verbs_writes_counted(struct verbs_pair *pair, const struct verbs_counted *counted)
{
	const struct tandem_connection *connection = pair->rail->verbs->connection;
	int ret = check_counted(pair, counted);
	struct verbs_write *write;
	uint64_t at;

	for (at = pair->first; at != pair->next && !ret &&
			       connection->state == CONNECTION_CONNECTED; at++) {
		write = &pair->slots[at % VERBS_SLOTS];
		if (write->write.push && !write->write.pull && is_counted(counted, write->number))
			write_done(pair, write);
	}
	return ret;
}

/* Return: false when there is no room. */
static bool again(struct verbs_pair *pair, struct verbs_write *slot)
{
	struct verbs *verbs = pair->rail->verbs;
	const struct xfer_write write = slot->write;
	/* Nobody wants the rest of such a one. */
	const bool stopped = write.push->result;
	struct verbs_pair *other = stopped ? NULL : choose_pair(verbs);

	if (!stopped && !other)
		return false;
	slot->write.push = NULL;
	pair->first++;
	if (stopped) {
		connection_write_done(verbs->connection, write.push, write.length, -ECANCELED);
		return true;
	}
	put_into_batch(other, &write, slot->keys);
	pair->rail->stats.again++;
	verbs->again++;
	return true;
}

/* Return: false when there is no room. */
static bool pair_again(struct verbs_pair *pair)
{
	const struct tandem_connection *connection = pair->rail->verbs->connection;
	struct verbs_write *slot;

	while (pair->first != pair->next && connection->state == CONNECTION_CONNECTED) {
		slot = &pair->slots[pair->first % VERBS_SLOTS];
		if (!slot->write.push)
			pair->first++;
		else if (!again(pair, slot))
			return false;
	}
	return true;
}

int verbs_write_again(struct verbs *verbs)
{
	struct verbs_pair *pair;
	bool any = false;
	unsigned int i;

	for (i = 0; i < verbs->pair_count; i++) {
		pair = verbs->pairs[i];
		if (pair->rail->state != VERBS_RAIL_GONE || pair->first == pair->next)
			continue;
		any = true;
		if (!pair_again(pair))
			break;
	}
	return any && verbs->connection->state == CONNECTION_CONNECTED ?
		       verbs_flush(verbs->connection) : 0;
}

uint64_t verbs_repeats(struct tandem_connection *connection)
{
	return ((struct verbs *)connection->transport)->again;
}

/*
 * Probes
 */

/* The other side's NIC has to acknowledge it. */
static int probe_pair(struct verbs_pair *pair)
{
	const struct verbs_service *service = pair->rail->service;
	struct ibv_sge byte = {
		.addr = (uintptr_t)verbs_no_message(pair->rail->verbs),
		.length = 1,
		.lkey = pair->rail->messages->lkey,
	};
	struct ibv_send_wr request = {
		.wr_id = verbs_work(pair, VERBS_WORK_PROBE, 0),
		.opcode = service->probe,
		.sg_list = &byte,
		.num_sge = service->probe == IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = {
			.remote_addr = pair->rail->verbs->remote.address,
			.rkey = pair->rail->remote->rkey,
		},
	};
	int ret;

	if (pair->probing || !verbs_is_up(pair))
		return 0;
	ret = service->post(pair, &request);
	pair->probing = !ret;
	return ret < 0 ? verbs_rail_fail(pair->rail, ret) : 0;
}

int verbs_probe(struct tandem_connection *connection)
{
	struct verbs *verbs = connection->transport;
	unsigned int i;
	int ret;

	for (i = 0; i < verbs->pair_count; i++) {
		ret = probe_pair(verbs->pairs[i]);
		if (ret)
			return ret;
	}
	return 0;
}

/* The other side is there when it has answered on all pairs. */
void verbs_probed(struct verbs_pair *pair)
{
	struct verbs *verbs = pair->rail->verbs;
	unsigned int i;

	pair->probing = false;
	for (i = 0; i < verbs->pair_count; i++)
		if (verbs->pairs[i]->probing)
			return;
	verbs->connection->heard_ns = loop_now_ns();
}
