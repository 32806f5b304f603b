// SPDX-License-Identifier: MIT
/*
 * Writes and reads, spread over the queue pairs: each goes to the pair that has the
 * fewest bytes under way, so that a NIC or path that is slower gets less.
 *
 * A write has an immediate that tells the receiver which transfer it is of, and how much
 * it brought: blocks, or where a block is larger than a write, parts of blocks. Parts may
 * go over several pairs; all together make the blocks that the receiver counts.
 *
 * Reads are what they are called. A pair tells of their end in the same order as of that
 * of writes.
 */
#include <string.h>

#include "xfer_verbs_service.h"

/*
 * A completion every so many writes of a pair, or bytes, apart from the last ones of a
 * push: what is under way on each has to be known well enough to choose among them.
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
 * and has not been posted. The pair keeps order, so both are there then, and the receiver
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
	uint32_t count = verbs->parts > 1 ? 1 : write->blocks;
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
	if (write->pull) {
		request->opcode = IBV_WR_RDMA_READ;
	} else {
		request->opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
		request->imm_data = htobe32(write->transfer << VERBS_TRANSFER_SHIFT | count);
		if (at)
			join_immediates(pair, at);
	}
	if (write->last || pair->unsignalled == SIGNAL_INTERVAL ||
	    pair->unsignalled_bytes >= SIGNAL_BYTES)
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

/* A completion stands for all writes of the pair up to its own. */
void verbs_sent(struct verbs_pair *pair, uint64_t number)
{
	struct verbs *verbs = pair->rail->verbs;
	struct tandem_rail_stats *stats = &pair->rail->stats;
	struct verbs_write *write;

	while (!verbs->at_rest && pair->first != pair->next && pair->first <= number) {
		write = &pair->slots[pair->first++ % VERBS_SLOTS];
		pair->bytes -= write->bytes;
		pair->written += write->immediate;
		stats->writes++;
		if (write->push->pull)
			stats->bytes_pulled += write->bytes;
		else
			stats->bytes_pushed += write->bytes;
		connection_write_done(verbs->connection, write->push, write->bytes, 0);
	}
}

/*
 * Probes
 */

/* A write of nothing: the other side's NIC has to acknowledge it. */
static int probe_pair(struct verbs_pair *pair)
{
	struct ibv_send_wr request = {
		.wr_id = verbs_work(pair, VERBS_WORK_PROBE, 0),
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = {
			.remote_addr = pair->rail->verbs->remote.address,
			.rkey = pair->rail->remote->rkey,
		},
	};
	int ret;

	if (pair->probing)
		return 0;
	ret = pair->rail->service->post(pair, &request);
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
