// SPDX-License-Identifier: MIT
/*
 * The KV cache of a request on its way from prefill to decode.
 *
 * What is computed is sent while more is computed. Two pushes of a request are
 * under way at most; what is computed meanwhile is put together, so that pushes
 * become larger by themselves where the wire is slower than the device.
 *
 * A request that is over sends no more. What was on the way already arrives, in
 * blocks that it keeps till then, and the wait is cut to just that: the connection
 * serves others, and goes on.
 */
#include <errno.h>
#include <string.h>

#include "instance.h"
#include "scheduler.h"
#include "xfer.h"

/* Put @next into @part if both together are one part. */
static bool part_join(struct transfer_part *part, const struct transfer_part *next)
{
	if (part->first_block == next->first_block && part->end_block == next->end_block &&
	    part->end_layer == next->first_layer) {
		part->end_layer = next->end_layer;
		return true;
	}
	if (part->first_layer == next->first_layer && part->end_layer == next->end_layer &&
	    part->end_block == next->first_block) {
		part->end_block = next->end_block;
		return true;
	}
	return false;
}

/* The last ones first: what has completed a chunk may complete what is before it. */
static void parts_join(struct transfer *transfer)
{
	while (transfer->part_count > 1 &&
	       part_join(&transfer->parts[transfer->part_count - 2],
			 &transfer->parts[transfer->part_count - 1]))
		transfer->part_count--;
}

static void send_parts(struct request *request);

/* All pushes have ended: wait for what they have brought, and no more. */
static void expect_no_more(struct request *request)
{
	struct transfer *transfer = &request->transfer;

	if (!transfer->pushing && transfer->expect.pending)
		connection_expect_fewer(request->scheduler->options.receive, transfer->number,
					&transfer->expect, transfer->blocks_sent);
}

static void push_done(struct tandem_operation *op)
{
	struct transfer_push *push = op->user;
	struct request *request = push->request;
	struct transfer *transfer = &request->transfer;
	struct tandem_generation_stats *stats = &request->result->stats;

	if (!--transfer->pushing)
		stats->kv_wire_ns += loop_now_ns() - transfer->wire_since_ns;
	stats->kv_bytes += push->stats.bytes;
	stats->kv_writes += push->stats.writes;
	stats->kv_retries += push->stats.retries;
	/* Of one that was cut short, whole blocks from its beginning. */
	transfer->blocks_sent += push->stats.bytes / request->scheduler->layer_block_bytes;
	if (request_is_over(request))
		expect_no_more(request);
	else if (op->result < 0)
		request_fail_on_connection(request, op->result);
	else
		send_parts(request);
	request->under_way--;
	request_settle(request);
}

static struct transfer_push *free_push(struct transfer *transfer)
{
	for (int i = 0; i < TRANSFER_PUSHES; i++)
		if (!transfer->pushes[i].op.pending)
			return &transfer->pushes[i];
	return NULL;
}

static int start_push(struct request *request, struct transfer_push *push,
		      const struct transfer_part *part)
{
	struct tandem_scheduler *scheduler = request->scheduler;
	struct transfer *transfer = &request->transfer;
	const struct tandem_push what = {
		.transfer = transfer->number,
		.generation = transfer->generation,
		.layer_first = part->first_layer,
		.layer_count = part->end_layer - part->first_layer,
		.local_blocks = request->prompt_sequence.blocks + part->first_block,
		.remote_blocks = request->decode_sequence.blocks + part->first_block,
		.block_count = part->end_block - part->first_block,
		.stats = &push->stats,
	};
	const uint64_t before = loop_now_ns();
	uint64_t after;
	int ret;

	push->request = request;
	push->op.done = push_done;
	push->op.user = push;
	ret = tandem_push_start(scheduler->options.push, &what, &push->op);
	after = loop_now_ns();
	request->result->stats.kv_post_ns += after - before;
	if (ret < 0)
		return ret;
	request->result->stats.kv_pushes++;
	if (!transfer->pushing++)
		transfer->wire_since_ns = before;
	request->under_way++;
	return 0;
}

static void room_done(struct tandem_operation *op)
{
	struct request *request = op->user;

	if (!request_is_over(request)) {
		if (op->result < 0)
			request_fail_on_connection(request, op->result);
		else
			send_parts(request);
	}
	request->under_way--;
	request_settle(request);
}

/* The connection takes no more pushes for now. */
static int await_room(struct request *request)
{
	struct tandem_operation *room = &request->transfer.room;
	int ret;

	if (room->pending)
		return 0;
	room->done = room_done;
	room->user = request;
	ret = tandem_room_start(request->scheduler->options.push, room);
	if (!ret)
		request->under_way++;
	return ret;
}

/* Prefill's blocks are not needed any longer than this. */
static void release_when_sent(struct request *request)
{
	if (request->prompt_done && !request->transfer.pushing && !request->transfer.part_count) {
		tandem_kv_sequence_release(&request->prompt_sequence);
		scheduler_wake(request->scheduler);
	}
}

static void send_parts(struct request *request)
{
	struct transfer *transfer = &request->transfer;
	struct transfer_push *push;
	int ret = 0;

	while (!ret && transfer->part_count && (push = free_push(transfer))) {
		ret = start_push(request, push, &transfer->parts[0]);
		if (!ret)
			memmove(transfer->parts, transfer->parts + 1,
				--transfer->part_count * sizeof(transfer->parts[0]));
	}
	if (ret == -EAGAIN)
		ret = await_room(request);
	if (ret < 0)
		request_fail_on_connection(request, ret);
	else
		release_when_sent(request);
}

void transfer_add(struct request *request, const struct transfer_part *part)
{
	const uint32_t there = request->result->stats.kv_cached_tokens /
			       request->scheduler->block_tokens;
	struct transfer *transfer = &request->transfer;
	struct transfer_part needed = *part;

	if (needed.first_block < there)
		needed.first_block = there;
	if (needed.first_block >= needed.end_block)
		return;
	transfer->parts[transfer->part_count++] = needed;
	parts_join(transfer);
	send_parts(request);
}

static void expect_done(struct tandem_operation *op)
{
	struct request *request = op->user;
	const uint32_t there = request->result->stats.kv_cached_tokens;

	if (!request_is_over(request)) {
		if (op->result < 0) {
			request_fail_on_connection(request, op->result);
		} else if (request_commit(request, &request->decode_sequence,
					  request->prompt + there,
					  request->what.prompt_tokens - there)) {
			request->kv_there = true;
			request_first_token(request);
		}
	}
	request->under_way--;
	request_settle(request);
}

/*
 * Wait for what decode has not got of the prompt. On a connection with grants nothing
 * else can land there, and nothing of another prompt in these blocks.
 */
static int await_blocks(struct request *request)
{
	const struct tandem_scheduler *scheduler = request->scheduler;
	struct tandem_connection *connection = scheduler->options.receive;
	const uint32_t blocks = (request->what.prompt_tokens - 1) / scheduler->block_tokens + 1;
	const uint32_t there =
		request->result->stats.kv_cached_tokens / scheduler->block_tokens;
	struct transfer *transfer = &request->transfer;
	struct tandem_receive receive = {
		.transfer = transfer->number,
		.layer_count = scheduler->model.layers,
		.blocks = request->decode_sequence.blocks + there,
		.block_count = blocks - there,
		/*
		 * The wait begins before prefill does, so its deadline is the
		 * request's own; each push has the connection's.
		 */
		.timeout_ms = UINT32_MAX,
	};
	int ret;

	if (!connection->grants)
		return tandem_expect_start(connection, receive.transfer,
					   (uint64_t)receive.layer_count * receive.block_count,
					   receive.timeout_ms, &transfer->expect);
	ret = tandem_receive_start(connection, &receive, &transfer->expect);
	transfer->generation = receive.generation;
	return ret;
}

int transfer_start(struct request *request)
{
	const struct tandem_scheduler *scheduler = request->scheduler;
	const struct tandem_scheduler_options *options = &scheduler->options;
	struct tandem_generation_stats *stats = &request->result->stats;
	struct transfer *transfer = &request->transfer;
	const struct transfer_part cached = {
		.end_block = stats->cached_tokens / scheduler->block_tokens,
		.end_layer = scheduler->model.layers,
	};
	int ret;

	tandem_connection_get_stats(options->push, &transfer->sent_before);
	tandem_connection_get_stats(options->receive, &transfer->received_before);
	transfer->number = instance_next_transfer(options->prefill);
	stats->kv_transfer = transfer->number;
	transfer->expect.done = expect_done;
	transfer->expect.user = request;
	ret = await_blocks(request);
	if (ret < 0) {
		request_fail_on_connection(request, ret);
		return ret;
	}
	request->under_way++;
	transfer_add(request, &cached);
	return request->status;
}

void transfer_needed(struct request *request)
{
	tandem_expect_needed(request->scheduler->options.receive, request->transfer.number);
}

void transfer_cancel(struct request *request)
{
	struct transfer *transfer = &request->transfer;

	transfer->part_count = 0;
	for (int i = 0; i < TRANSFER_PUSHES; i++)
		if (transfer->pushes[i].op.pending)
			tandem_cancel(request->scheduler->loop, &transfer->pushes[i].op);
	if (transfer->room.pending)
		tandem_cancel(request->scheduler->loop, &transfer->room);
	expect_no_more(request);
}

/* Of what a connection has counted meanwhile, the share that @bytes of @all have. */
static uint64_t share(uint64_t count, uint64_t bytes, uint64_t all)
{
	return all ? (uint64_t)((double)count * (double)bytes / (double)all + 0.5) : 0;
}

void transfer_collect(struct request *request)
{
	const struct tandem_scheduler_options *options = &request->scheduler->options;
	const struct transfer *transfer = &request->transfer;
	struct tandem_generation_stats *stats = &request->result->stats;
	struct tandem_connection_stats sent, received;
	uint64_t all;

	if (!request->scheduler->split || !request->admitted)
		return;
	if (request->scheduler->link_bandwidth)
		stats->kv_modelled_ns = (uint64_t)((double)stats->kv_bytes * 1e9 /
						   (double)request->scheduler->link_bandwidth + 0.5);
	tandem_connection_get_stats(options->push, &sent);
	tandem_connection_get_stats(options->receive, &received);
	all = sent.bytes_pushed - transfer->sent_before.bytes_pushed;
	stats->kv_cpu_copied_bytes =
		share(sent.cpu_copied_bytes - transfer->sent_before.cpu_copied_bytes +
		      received.cpu_copied_bytes - transfer->received_before.cpu_copied_bytes,
		      stats->kv_bytes, all);
}
