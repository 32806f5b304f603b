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
 */
#include <string.h>

#include "xfer_verbs_service.h"

/*
 * With order, a completion every so many writes of a pair, or bytes, apart from the last
 * ones of a push: what is under way on each has to be known well enough to choose among
 * them.
 */
#define SIGNAL_INTERVAL		(VERBS_SLOTS / 4)
#define SIGNAL_BYTES		(4ull << 20)

/* Of the pairs that have a slot free; there is one. */
static struct verbs_pair *choose_pair(const struct verbs *verbs)
{
	struct verbs_pair *best = NULL, *pair;
	unsigned int i;

	for (i = 0; i < verbs->pair_count; i++) {
		pair = verbs->pairs[i];
		if (pair->next - pair->first < VERBS_SLOTS && (!best || pair->bytes < best->bytes))
			best = pair;
	}
	return best;
}

/*
 * Let the request at @at tell of the write before it too, if that is of the same transfer
 * and has not been posted. Both are there then, where the pair keeps order, and the receiver
 * has one completion less.
 */
static void join_immediates(struct verbs_pair *pair, unsigned int at)
{
	struct ibv_send_wr *before = &pair->batch[at - 1], *request = &pair->batch[at];
	uint32_t immediate = be32toh(request->imm_data);
	uint32_t other = be32toh(before->imm_data);

	if (before->opcode != IBV_WR_RDMA_WRITE_WITH_IMM ||
	    immediate >> VERBS_TRANSFER_SHIFT != other >> VERBS_TRANSFER_SHIFT ||
	    (immediate & VERBS_COUNT_MASK) + (other & VERBS_COUNT_MASK) > VERBS_COUNT_MASK)
		return;
	before->opcode = IBV_WR_RDMA_WRITE;
	pair->slots[(pair->next - 2) % VERBS_SLOTS].immediate = false;
	request->imm_data = htobe32(immediate + (other & VERBS_COUNT_MASK));
}

static void take_slot(struct verbs_pair *pair, const struct xfer_write *write)
{
	struct verbs_write *slot = &pair->slots[pair->next++ % VERBS_SLOTS];

	slot->push = write->push;
	slot->bytes = write->length;
	slot->immediate = !write->pull;
	xfer_push_on_rail(write->push, pair->number);
	pair->bytes += write->length;
	pair->unsignalled++;
	pair->unsignalled_bytes += write->length;
}

static void set_immediate(struct verbs_pair *pair, const struct xfer_write *write)
{
	const uint32_t count = pair->rail->verbs->parts > 1 ? 1 : write->blocks;
	const unsigned int at = pair->batch_count;
	uint32_t immediate;

	if (pair->rail->service->ordered)
		immediate = write->transfer << VERBS_TRANSFER_SHIFT | count;
	else
		immediate = xfer_unordered_immediate(write->transfer, count, pair->numbered++);
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

int verbs_write(struct tandem_connection *connection, const struct xfer_write *write)
{
	struct verbs *verbs = connection->transport;
	struct verbs_pair *pair = choose_pair(verbs);
	const struct verbs_rail *rail = pair->rail;
	const unsigned int at = pair->batch_count;
	struct ibv_send_wr *request = &pair->batch[at];
	struct ibv_sge *range = &pair->ranges[at];
	uint32_t key = rail->remote->rkey;
	int ret;

	if (connection->grants) {
		ret = verbs_keys_use(pair, write, &key);
		if (ret < 0)
			return ret;
	}
	memset(request, 0, sizeof(*request));
	request->wr_id = verbs_work(pair, 0, pair->next);
	take_slot(pair, write);
	range->addr = verbs->local.address + write->local_offset;
	range->length = write->length;
	range->lkey = rail->region->lkey;
	request->sg_list = range;
	request->num_sge = 1;
	request->wr.rdma.remote_addr = verbs->remote.address + write->remote_offset;
	request->wr.rdma.rkey = key;
	if (write->pull)
		request->opcode = IBV_WR_RDMA_READ;
	else
		set_immediate(pair, write);
	if (wants_completion(pair, write))
		signal_completion(pair, request);
	if (at)
		pair->batch[at - 1].next = request;
	pair->batch_count++;
	return 0;
}

static int flush_pair(struct verbs_pair *pair)
{
	if (!pair->batch_count)
		return 0;
	/* Nothing may follow whose completion would stand for this one. */
	signal_completion(pair, &pair->batch[pair->batch_count - 1]);
	pair->batch_count = 0;
	return pair->rail->service->post(pair, pair->batch);
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
	struct verbs_write *write;

	connection->write_slots--;
	while (pair->first != pair->next) {
		write = &pair->slots[pair->first % VERBS_SLOTS];
		if (write->push)
			return;
		pair->first++;
		pair->written += write->immediate;
		connection->write_slots++;
	}
}

static void write_done(struct verbs_pair *pair, struct verbs_write *write)
{
	struct tandem_rail_stats *stats = &pair->rail->stats;
	struct xfer_push *push = write->push;
	const uint64_t bytes = write->bytes;

	write->push = NULL;
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

	if (pair->probing)
		return 0;
	ret = service->post(pair, &request);
	pair->probing = !ret;
	return ret;
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
