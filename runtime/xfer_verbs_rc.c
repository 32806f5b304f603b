// SPDX-License-Identifier: MIT
/*
 * Queue pairs that are reliable connected: each keeps order, and each of its two ends has to
 * know the other.
 */
#include <errno.h>

#include "xfer_verbs_service.h"

#define HOP_LIMIT	64
/* 0.64 ms between attempts when the other side has no receive posted. */
#define RNR_TIMER	12
#define RNR_RETRY_EVER	7
/*
 * The other side has 4.096 us * 2^16 = 0.27 s to acknowledge, seven times: it
 * counts as lost after about 2 s, or up to four times that, since a NIC may
 * wait so much longer (InfiniBand Architecture Specification, 9.7.6.1.3). Not
 * more retries, since soft-RoCE takes 7 for "for ever", as with RNR.
 */
#define ACK_TIMEOUT	16
#define ACK_RETRIES	6

uint8_t verbs_reads(int limit)
{
	if (limit < 1)
		return 1;
	return limit < (int)VERBS_READS ? limit : (int)VERBS_READS;
}

static uint32_t rc_write_bytes(const struct verbs_port *port)
{
	return port->attributes.max_msg_sz;
}

static int rc_create(struct verbs_pair *pair)
{
	struct ibv_qp_init_attr attributes = {
		.send_cq = pair->rail->queue,
		.recv_cq = pair->rail->queue,
		.cap = verbs_pair_capacity(),
		.qp_type = IBV_QPT_RC,
	};

	errno = 0;
	pair->queues = ibv_create_qp(pair->rail->domain, &attributes);
	if (!pair->queues)
		return errno ? -errno : -ENOMEM;
	return 0;
}

static int rc_init(struct verbs_pair *pair, const struct verbs_pair_end *end)
{
	struct ibv_qp_attr attributes = { .qp_state = IBV_QPS_RESET };
	int ret;

	(void)end;
	ret = ibv_modify_qp(pair->queues, &attributes, IBV_QP_STATE);
	if (ret)
		return -ret;
	attributes.qp_state = IBV_QPS_INIT;
	attributes.port_num = pair->rail->port.number;
	attributes.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
	return -ibv_modify_qp(pair->queues, &attributes,
			      IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
			      IBV_QP_ACCESS_FLAGS);
}

static int ready_to_receive(struct ibv_qp *queues, const struct verbs_path *path)
{
	const struct verbs_rail_end *local = path->local, *remote = path->remote;
	struct ibv_qp_attr attributes = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = remote->mtu < local->mtu ? remote->mtu : local->mtu,
		.dest_qp_num = path->to->number,
		.rq_psn = path->to->psn,
		.max_dest_rd_atomic = local->reads,
		.min_rnr_timer = RNR_TIMER,
		.ah_attr = {
			.dlid = remote->lid,
			.port_num = path->port->number,
			/* Ethernet has no other address. */
			.is_global = local->link_layer == IBV_LINK_LAYER_ETHERNET || !remote->lid,
			.grh = {
				.dgid = remote->gid,
				.sgid_index = path->port->gid_index,
				.hop_limit = HOP_LIMIT,
			},
		},
	};

	return -ibv_modify_qp(queues, &attributes,
			      IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
			      IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
			      IBV_QP_MIN_RNR_TIMER);
}

static int ready_to_send(struct ibv_qp *queues, const struct verbs_path *path)
{
	struct ibv_qp_attr attributes = {
		.qp_state = IBV_QPS_RTS,
		.sq_psn = path->from->psn,
		.timeout = ACK_TIMEOUT,
		.retry_cnt = ACK_RETRIES,
		.rnr_retry = RNR_RETRY_EVER,
		.max_rd_atomic = verbs_reads(path->port->limits.max_qp_init_rd_atom),
	};

	if (attributes.max_rd_atomic > path->remote->reads)
		attributes.max_rd_atomic = path->remote->reads;

	return -ibv_modify_qp(queues, &attributes,
			      IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
			      IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC);
}

static int rc_connect(struct verbs_pair *pair, const struct verbs_path *path)
{
	int ret = ready_to_receive(pair->queues, path);

	return ret ? ret : ready_to_send(pair->queues, path);
}

static int rc_post(struct verbs_pair *pair, struct ibv_send_wr *requests)
{
	struct ibv_send_wr *bad;

	return -ibv_post_send(pair->queues, requests, &bad);
}

static void rc_destroy(struct verbs_pair *pair)
{
	if (pair->queues)
		ibv_destroy_qp(pair->queues);
	pair->queues = NULL;
}

const struct verbs_service verbs_rc = {
	.number = VERBS_SERVICE_RC,
	.ordered = true,
	.probe = IBV_WR_RDMA_WRITE,
	.write_bytes = rc_write_bytes,
	.create = rc_create,
	.init = rc_init,
	.connect = rc_connect,
	.post = rc_post,
	.destroy = rc_destroy,
};
