// SPDX-License-Identifier: MIT
/*
 * The verbs transport: writes with an immediate that tells the receiver which
 * transfer they are of and how many blocks they brought.
 *
 * Reads are what they are called. The pair tells of their end in the same order as of
 * that of writes.
 *
 * The NIC reads and writes device memory by itself; no byte of a block is
 * touched here. To come to rest the queue pair is destroyed, which returns
 * when the NIC has let go of it: nothing of either direction lands after that.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "error.h"
#include "kv.h"
#include "xfer_verbs.h"
#include "xfer_verbs_reach.h"

/* A completion every so many writes, apart from the last ones of a push. */
#define SIGNAL_INTERVAL		(VERBS_SLOTS / 4)
#define REPOST_BATCH		(VERBS_RECEIVES / 4)
#define COMPLETIONS		32
/* Completions dealt with before the loop's other events have their turn. */
#define COMPLETIONS_MAX		1024

/* Room in the send queue: a write each slot, a probe, controls, a goodbye. */
#define SENDS			(VERBS_SLOTS + 1 + VERBS_CONTROLS + 1)

#define TRANSFER_SHIFT		16
#define BLOCKS_MASK		0xffffu

/*
 * Receiving
 */

/* Immediates need no memory, messages do. */
static void verbs_fill_receive(struct verbs *verbs, unsigned int receive,
			       struct ibv_recv_wr *request, struct ibv_sge *range)
{
	memset(request, 0, sizeof(*request));
	request->wr_id = VERBS_WORK_RECEIVE | receive;
	range->addr = (uintptr_t)verbs_receive_message(verbs, receive);
	range->length = VERBS_MESSAGE_BYTES;
	range->lkey = verbs->message_region->lkey;
	request->sg_list = range;
	request->num_sge = 1;
}

static int verbs_post_receives(struct verbs *verbs)
{
	struct ibv_recv_wr requests[REPOST_BATCH];
	struct ibv_sge ranges[REPOST_BATCH];
	struct ibv_recv_wr *bad;
	unsigned int count, i;
	int ret;

	while (verbs->receives) {
		count = verbs->receives < REPOST_BATCH ? verbs->receives : REPOST_BATCH;
		for (i = 0; i < count; i++)
			verbs_fill_receive(verbs, verbs->idle[verbs->receives - 1 - i],
					   &requests[i], &ranges[i]);
		for (i = 1; i < count; i++)
			requests[i - 1].next = &requests[i];
		ret = ibv_post_recv(verbs->pair, requests, &bad);
		if (ret)
			return -ret;
		verbs->receives -= count;
	}
	return 0;
}

static int verbs_take_message(struct verbs *verbs, const uint8_t *buffer, size_t size)
{
	switch (verbs_message_kind(buffer, size)) {
	case VERBS_MESSAGE_GRANT:
	case VERBS_MESSAGE_OFFER:
		return verbs_keys_take(verbs, buffer, size);
	case VERBS_MESSAGE_NOTE:
		return verbs_notes_take(verbs, buffer, size);
	default:
		return -EPROTO;
	}
}

static int verbs_take_receive(struct verbs *verbs, const struct ibv_wc *completion)
{
	unsigned int receive = completion->wr_id & VERBS_WORK_NUMBER;
	uint32_t immediate;

	if (completion->opcode == IBV_WC_RECV)
		return verbs_take_message(verbs, verbs_receive_message(verbs, receive),
					  completion->byte_len);
	if (completion->opcode != IBV_WC_RECV_RDMA_WITH_IMM ||
	    !(completion->wc_flags & IBV_WC_WITH_IMM))
		return -EPROTO;
	immediate = be32toh(completion->imm_data);
	connection_received(verbs->connection, immediate >> TRANSFER_SHIFT,
			    immediate & BLOCKS_MASK);
	return 0;
}

static void verbs_received(struct verbs *verbs, const struct ibv_wc *completion)
{
	int ret;

	verbs->idle[verbs->receives++] = completion->wr_id & VERBS_WORK_NUMBER;
	if (completion->status == IBV_WC_SUCCESS) {
		ret = verbs_take_receive(verbs, completion);
	} else {
		verbs->gone = true;
		ret = completion->status == IBV_WC_WR_FLUSH_ERR ? -ECONNRESET : -EIO;
	}
	if (ret < 0)
		connection_fail(verbs->connection, ret);
}

/*
 * Completions
 */

static int verbs_status_to_errno(enum ibv_wc_status status)
{
	switch (status) {
	case IBV_WC_SUCCESS:
		return 0;
	/* Its NIC refused what it once offered. */
	case IBV_WC_REM_ACCESS_ERR:
		return -EACCES;
	/* The other side does not answer. */
	case IBV_WC_RETRY_EXC_ERR:
	case IBV_WC_RNR_RETRY_EXC_ERR:
	case IBV_WC_REM_INV_REQ_ERR:
	case IBV_WC_REM_OP_ERR:
	case IBV_WC_REM_ABORT_ERR:
	case IBV_WC_WR_FLUSH_ERR:
		return -ECONNRESET;
	default:
		return -EIO;
	}
}

/* A completion stands for all writes up to its own. */
static void verbs_sent(struct verbs *verbs, uint64_t number)
{
	struct verbs_write *write;

	while (verbs->pair && verbs->first != verbs->next && verbs->first <= number) {
		write = &verbs->slots[verbs->first++ % VERBS_SLOTS];
		connection_write_done(verbs->connection, write->push, write->bytes, 0);
	}
}

/*
 * Keys go before the pair, as windows hold on to the one that they are bound by. The pair
 * takes nothing in any more before that: a write that is late is dropped, not refused, so
 * that the other side does not take it for a breach of its own. All calls return when
 * the NIC has let go.
 */
static void verbs_destroy_pair(struct verbs *verbs)
{
	if (verbs->pair)
		verbs_pair_stop(verbs->pair);
	verbs_grants_free(verbs);
	if (verbs->pair)
		ibv_destroy_qp(verbs->pair);
	verbs->pair = NULL;
}

/* Nothing more of either direction can land. */
static void verbs_rest(struct verbs *verbs)
{
	loop_timer_stop(verbs->farewell_timer);
	verbs->farewell_timer = NULL;
	verbs_destroy_pair(verbs);
	connection_quiesced(verbs->connection);
}

static void verbs_failed(struct verbs *verbs, const struct ibv_wc *completion)
{
	int code = verbs_status_to_errno(completion->status);

	/*
	 * What was posted was granted. The grant, and its key, go before the queue
	 * pair does when the other side gives up, or is killed.
	 */
	if (code == -EACCES && verbs->connection->grants &&
	    !(completion->wr_id & (VERBS_WORK_PROBE | VERBS_WORK_CONTROL)))
		code = -ECONNRESET;
	verbs->gone = true;
	connection_fail(verbs->connection, code);
}

static void verbs_completion(struct verbs *verbs, const struct ibv_wc *completion)
{
	int ret;

	if (verbs->leaving) {
		if (verbs_farewell_ends(verbs, completion))
			verbs_rest(verbs);
		return;
	}
	if (completion->wr_id & VERBS_WORK_RECEIVE) {
		verbs_received(verbs, completion);
		return;
	}
	if (completion->status != IBV_WC_SUCCESS) {
		verbs_failed(verbs, completion);
		return;
	}
	if (completion->wr_id & VERBS_WORK_PROBE) {
		verbs->probing = false;
		verbs->connection->heard_ns = loop_now_ns();
		return;
	}
	if (completion->wr_id & VERBS_WORK_CONTROL) {
		ret = verbs_control_done(verbs, completion->wr_id & VERBS_WORK_NUMBER);
		if (ret < 0)
			connection_fail(verbs->connection, -EIO);
		return;
	}
	verbs_sent(verbs, completion->wr_id);
}

/* Carry out what has completed, until there is no more or the connection fails. */
static void verbs_drain(struct verbs *verbs)
{
	struct tandem_connection *connection = verbs->connection;
	struct ibv_wc completions[COMPLETIONS];
	unsigned int total = 0;
	int count, i;

	do {
		count = ibv_poll_cq(verbs->queue, COMPLETIONS, completions);
		if (count < 0) {
			connection_fail(connection, -EIO);
			return;
		}
		for (i = 0; i < count && verbs->pair; i++)
			verbs_completion(verbs, &completions[i]);
		if (verbs->pair && verbs->receives >= REPOST_BATCH &&
		    verbs_post_receives(verbs) < 0)
			connection_fail(connection, -EIO);
		connection_continue(connection);
		total += count;
	} while (verbs->pair && count && total < COMPLETIONS_MAX);
	if (verbs->pair && count)
		loop_task_post(connection->loop, &verbs->drain_task);
}

static void verbs_drain_more(struct loop_task *task)
{
	struct verbs *verbs = (void *)((char *)task - offsetof(struct verbs, drain_task));

	if (verbs->pair)
		verbs_drain(verbs);
}

/* Armed before it is drained, so that what comes after the drain is told of. */
static void verbs_channel_ready(void *user, int events)
{
	struct verbs *verbs = user;
	struct ibv_cq *queue;
	unsigned int count = 0;
	void *context;

	while (!ibv_get_cq_event(verbs->channel, &queue, &context))
		count++;
	if (count)
		ibv_ack_cq_events(verbs->queue, count);
	if (!verbs->pair)
		return;
	if (events < 0 || ibv_req_notify_cq(verbs->queue, 0)) {
		connection_fail(verbs->connection, -EIO);
		return;
	}
	verbs_drain(verbs);
}

static void verbs_async_ready(void *user, int events)
{
	struct ibv_async_event event;
	struct verbs *verbs = user;
	int failure = events < 0 ? -EIO : 0;

	while (!ibv_get_async_event(verbs->port.context, &event)) {
		switch (event.event_type) {
		case IBV_EVENT_CQ_ERR:
		case IBV_EVENT_QP_FATAL:
		case IBV_EVENT_QP_REQ_ERR:
		case IBV_EVENT_DEVICE_FATAL:
			failure = -EIO;
			break;
		/* The other side wrote where it may not. */
		case IBV_EVENT_QP_ACCESS_ERR:
			failure = -EACCES;
			break;
		default:
			/* A port that is down may come back: the deadline decides. */
			break;
		}
		ibv_ack_async_event(&event);
	}
	if (failure)
		connection_fail(verbs->connection, failure);
}

/*
 * Sending
 */

/*
 * Let @request tell of the write before it too, if that is of the same transfer
 * and has not been posted. The pair keeps order, so both are there then, and
 * the receiver has one completion less.
 */
static void verbs_join_immediates(struct ibv_send_wr *request, struct ibv_send_wr *before)
{
	uint32_t immediate = be32toh(request->imm_data);
	uint32_t other = be32toh(before->imm_data);

	if (before->opcode != IBV_WR_RDMA_WRITE_WITH_IMM ||
	    immediate >> TRANSFER_SHIFT != other >> TRANSFER_SHIFT ||
	    (immediate & BLOCKS_MASK) + (other & BLOCKS_MASK) > BLOCKS_MASK)
		return;
	before->opcode = IBV_WR_RDMA_WRITE;
	request->imm_data = htobe32(immediate + (other & BLOCKS_MASK));
}

static int verbs_write(struct tandem_connection *connection, const struct xfer_write *write)
{
	struct verbs *verbs = connection->transport;
	struct ibv_send_wr *request = &verbs->batch[verbs->batch_count];
	struct ibv_sge *range = &verbs->ranges[verbs->batch_count];
	struct verbs_write *slot = &verbs->slots[verbs->next % VERBS_SLOTS];
	uint32_t key = verbs->remote.rkey;
	int ret;

	if (connection->grants) {
		ret = verbs_keys_use(verbs, write, &key);
		if (ret < 0)
			return ret;
	}
	slot->push = write->push;
	slot->bytes = write->length;
	xfer_push_on_rail(write->push, 0);
	range->addr = verbs->local.address + write->local_offset;
	range->length = write->length;
	range->lkey = verbs->region->lkey;
	memset(request, 0, sizeof(*request));
	request->wr_id = verbs->next++;
	request->sg_list = range;
	request->num_sge = 1;
	request->opcode = IBV_WR_RDMA_WRITE;
	request->wr.rdma.remote_addr = verbs->remote.address + write->remote_offset;
	request->wr.rdma.rkey = key;
	/*
	 * A part of a block goes without an immediate: the pair keeps order, so
	 * that of the block's last part tells of them all.
	 */
	if (write->pull) {
		request->opcode = IBV_WR_RDMA_READ;
	} else if (write->blocks) {
		request->opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
		request->imm_data = htobe32(write->transfer << TRANSFER_SHIFT | write->blocks);
		if (verbs->batch_count)
			verbs_join_immediates(request, request - 1);
	}
	if (write->last || ++verbs->unsignalled == SIGNAL_INTERVAL) {
		request->send_flags = IBV_SEND_SIGNALED;
		verbs->unsignalled = 0;
	}
	if (verbs->batch_count)
		verbs->batch[verbs->batch_count - 1].next = request;
	verbs->batch_count++;
	return 0;
}

static int verbs_flush(struct tandem_connection *connection)
{
	struct verbs *verbs = connection->transport;
	struct ibv_send_wr *bad;

	int ret = 0;

	if (verbs->batch_count) {
		/* Nothing may follow whose completion would stand for this one. */
		verbs->batch[verbs->batch_count - 1].send_flags = IBV_SEND_SIGNALED;
		verbs->unsignalled = 0;
		verbs->batch_count = 0;
		ret = -ibv_post_send(verbs->pair, verbs->batch, &bad);
	}
	return ret ? ret : verbs_control_post(verbs);
}

/* A write of nothing: the other side's NIC has to acknowledge it. */
static int verbs_probe(struct tandem_connection *connection)
{
	struct verbs *verbs = connection->transport;
	struct ibv_send_wr request = {
		.wr_id = VERBS_WORK_PROBE,
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = {
			.remote_addr = verbs->remote.address,
			.rkey = verbs->remote.rkey,
		},
	};
	struct ibv_send_wr *bad;
	int ret;

	if (verbs->probing)
		return 0;
	ret = ibv_post_send(verbs->pair, &request, &bad);
	verbs->probing = !ret;
	return -ret;
}

/*
 * Opening and closing
 */

static int set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

static int verbs_watch(struct verbs *verbs)
{
	struct tandem_loop *loop = verbs->connection->loop;
	int ret;

	ret = set_nonblocking(verbs->channel->fd);
	if (!ret)
		ret = set_nonblocking(verbs->port.context->async_fd);
	if (!ret)
		ret = -ibv_req_notify_cq(verbs->queue, 0);
	if (!ret)
		ret = loop_poll_start(loop, verbs->channel->fd, POLLIN, verbs_channel_ready,
				      verbs, &verbs->channel_poll);
	if (!ret)
		ret = loop_poll_start(loop, verbs->port.context->async_fd, POLLIN,
				      verbs_async_ready, verbs, &verbs->async_poll);
	return ret;
}

/* None is posted. */
static void verbs_receives_init(struct verbs *verbs)
{
	for (verbs->receives = 0; verbs->receives < VERBS_RECEIVES; verbs->receives++)
		verbs->idle[verbs->receives] = verbs->receives;
}

/* Everything but the port and the regions. Return: 0 or -errno. */
static int verbs_create_pair(struct verbs *verbs)
{
	struct ibv_device_attr *limits = &verbs->port.limits;
	int ret;

	if (limits->max_qp_wr < (int)VERBS_RECEIVES || limits->max_qp_wr < (int)SENDS ||
	    limits->max_cqe < (int)(SENDS + VERBS_RECEIVES))
		return -EOPNOTSUPP;
	errno = 0;
	verbs->channel = ibv_create_comp_channel(verbs->port.context);
	if (!verbs->channel)
		goto failed;
	verbs->queue = ibv_create_cq(verbs->port.context, SENDS + VERBS_RECEIVES, NULL,
				     verbs->channel, 0);
	if (!verbs->queue)
		goto failed;
	verbs->pair = verbs_pair_create(verbs->domain, verbs->queue, SENDS, VERBS_RECEIVES);
	if (!verbs->pair)
		goto failed;
	ret = verbs_pair_init(verbs->pair, &verbs->port);
	if (ret < 0)
		return ret;
	verbs_receives_init(verbs);
	ret = verbs_post_receives(verbs);
	if (ret < 0)
		return ret;
	return verbs_watch(verbs);

failed:
	return errno ? -errno : -ENOMEM;
}

/* Works on what has been made so far, too. */
static void verbs_free(struct verbs *verbs)
{
	loop_task_cancel(verbs->connection->loop, &verbs->drain_task);
	loop_timer_stop(verbs->farewell_timer);
	loop_poll_stop(verbs->async_poll);
	loop_poll_stop(verbs->channel_poll);
	verbs_destroy_pair(verbs);
	if (verbs->queue)
		ibv_destroy_cq(verbs->queue);
	if (verbs->channel)
		ibv_destroy_comp_channel(verbs->channel);
	if (verbs->message_region)
		ibv_dereg_mr(verbs->message_region);
	free(verbs->messages);
	verbs_keys_free(verbs);
	verbs_notes_free(verbs);
	if (verbs->region)
		ibv_dereg_mr(verbs->region);
	if (verbs->domain)
		ibv_dealloc_pd(verbs->domain);
	verbs_port_close(&verbs->port);
	free(verbs);
}

static int verbs_describe_self(struct verbs *verbs)
{
	struct verbs_endpoint *local = &verbs->local;
	uint32_t number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -EIO;
	local->address = 0;
	local->length = verbs->region->length;
	if (verbs->connection->grants)
		local->generation = verbs->connection->generation;
	else
		local->rkey = verbs->region->rkey;
	local->pair = verbs->pair->qp_num;
	local->psn = number & 0xffffff;
	local->lid = verbs->port.attributes.lid;
	local->mtu = verbs->port.attributes.active_mtu;
	local->link_layer = verbs->port.attributes.link_layer;
	local->reads = verbs_reads(verbs->port.limits.max_qp_rd_atom);
	local->gid = verbs->port.gid;
	return 0;
}

/* What the pool and the messages are registered for. */
static int verbs_register(struct verbs *verbs, struct tandem_error *error)
{
	struct tandem_connection *connection = verbs->connection;
	size_t bytes = VERBS_MESSAGES * VERBS_MESSAGE_BYTES;
	int access = IBV_ACCESS_LOCAL_WRITE;
	uint64_t memory_bytes;

	if (!connection->grants)
		access |= IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
	verbs->windows = connection->grants && verbs_windows_usable(&verbs->port.limits);
	if (verbs->windows)
		access |= IBV_ACCESS_MW_BIND;
	verbs->messages = calloc(1, bytes);
	if (verbs->messages)
		verbs->message_region = ibv_reg_mr(verbs->domain, verbs->messages, bytes,
						   IBV_ACCESS_LOCAL_WRITE);
	if (!verbs->message_region)
		return tandem_error_set(error, -ENOMEM, "verbs: %s: no memory for messages",
					verbs->port.name);
	if (connection->memory)
		memory_bytes = tandem_memory_size(connection->memory);
	else
		kv_layout_check(&connection->layout, &memory_bytes);
	return verbs_memory_register(verbs->domain, &verbs->port, connection, 0, memory_bytes,
				     access, &verbs->region, error);
}

static int verbs_open(struct tandem_connection *connection,
		      const struct tandem_connection_options *options,
		      struct tandem_error *error)
{
	struct verbs *verbs;
	int ret;

	verbs = calloc(1, sizeof(*verbs));
	if (!verbs)
		return tandem_error_set(error, -ENOMEM, "verbs: out of memory");
	verbs->connection = connection;
	verbs->drain_task.run = verbs_drain_more;
	TAILQ_INIT(&verbs->working);
	TAILQ_INIT(&verbs->granted);
	SLIST_INIT(&verbs->spare);
	TAILQ_INIT(&verbs->keys);
	STAILQ_INIT(&verbs->notes);
	ret = verbs_port_open(options, &verbs->port, error);
	if (ret < 0) {
		free(verbs);
		return ret;
	}
	verbs->domain = ibv_alloc_pd(verbs->port.context);
	if (!verbs->domain) {
		ret = tandem_error_set(error, -ENOMEM, "verbs: %s has no protection domain left",
				       verbs->port.name);
		goto free_verbs;
	}
	ret = verbs_register(verbs, error);
	if (ret < 0)
		goto free_verbs;
	ret = verbs_create_pair(verbs);
	if (!ret)
		ret = verbs_describe_self(verbs);
	if (ret < 0) {
		tandem_error_set(error, ret, "verbs: %s: cannot make a queue pair: %s",
				 verbs->port.name, strerror(-ret));
		goto free_verbs;
	}
	connection->transport = verbs;
	return 0;

free_verbs:
	verbs_free(verbs);
	return ret;
}

static size_t verbs_describe(struct tandem_connection *connection, uint8_t *part)
{
	struct verbs *verbs = connection->transport;

	return verbs_endpoint_encode(&verbs->local, part);
}

/* A pair that could not be connected is made ready for another attempt. */
static void verbs_rewind(struct verbs *verbs)
{
	int ret = verbs_pair_init(verbs->pair, &verbs->port);

	verbs_receives_init(verbs);
	if (!ret)
		ret = verbs_post_receives(verbs);
	if (ret < 0)
		connection_fail(verbs->connection, -EIO);
}

static uint64_t pool_bytes(const struct tandem_kv_layout *layout)
{
	return tandem_kv_block_bytes(layout) * layout->blocks * layout->layers;
}

static int verbs_connect(struct tandem_connection *connection,
			 const struct xfer_description *description, struct tandem_error *error)
{
	struct verbs *verbs = connection->transport;
	struct verbs_endpoint *remote = &verbs->remote;
	int ret;

	if (verbs_endpoint_decode(description->part, description->part_size, remote) < 0 ||
	    remote->length < pool_bytes(&description->layout))
		return tandem_error_set(error, -EPROTO,
					"verbs: the other side's description is malformed");
	if (!remote->generation != !connection->grants)
		return tandem_error_set(error, -EINVAL,
					"verbs: one side is for grants, the other is not; give both the same option");
	if (remote->link_layer != verbs->local.link_layer)
		return tandem_error_set(error, -EHOSTUNREACH,
					"verbs: %s is %s, the other side's port is not; choose ports of one network",
					verbs->port.name,
					verbs->local.link_layer == IBV_LINK_LAYER_ETHERNET ?
					"Ethernet" : "InfiniBand");
	ret = verbs_pair_connect(verbs->pair, &verbs->port, &verbs->local, remote);
	if (ret < 0) {
		verbs_rewind(verbs);
		return tandem_error_set(error, -EHOSTUNREACH,
					"verbs: %s port %u cannot reach the other side: %s; see that both GIDs are of one network",
					verbs->port.name, verbs->port.number, strerror(-ret));
	}
	verbs->joined = true;
	verbs->key_generation = remote->generation;
	connection->write_bytes = VERBS_WRITE_BYTES;
	if (connection->write_bytes > verbs->port.attributes.max_msg_sz)
		connection->write_bytes = verbs->port.attributes.max_msg_sz;
	connection->write_slots = VERBS_SLOTS;
	return 0;
}

static void verbs_farewell_expired(void *user)
{
	struct verbs *verbs = user;

	verbs->farewell_timer = NULL;
	verbs_rest(verbs);
}

static void verbs_abort(struct tandem_connection *connection)
{
	struct verbs *verbs = connection->transport;

	if (!verbs_farewell_begin(verbs) ||
	    loop_timer_start(connection->loop, VERBS_FAREWELL_MS, verbs_farewell_expired, verbs,
			     &verbs->farewell_timer) < 0)
		verbs_rest(verbs);
}

static void verbs_close(struct tandem_connection *connection)
{
	struct verbs *verbs = connection->transport;

	if (verbs_farewell_begin(verbs))
		verbs_farewell_wait(verbs);
	verbs_free(verbs);
}

const struct xfer_transport_ops xfer_verbs_ops = {
	.open = verbs_open,
	.describe = verbs_describe,
	.reach = verbs_reach,
	.connect = verbs_connect,
	.reads = true,
	.write = verbs_write,
	.flush = verbs_flush,
	.tell = verbs_tell,
	.probe = verbs_probe,
	.grant = verbs_grant,
	.revoke = verbs_revoke,
	.offer = verbs_offer,
	.withdraw = verbs_revoke,
	.granted = verbs_granted,
	.forget = verbs_forget,
	.abort = verbs_abort,
	.close = verbs_close,
};
