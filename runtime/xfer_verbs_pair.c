// SPDX-License-Identifier: MIT
/*
 * The queue pair, and what its two ends tell one another.
 */
#include <errno.h>
#include <string.h>

#include "xfer_verbs.h"

#define NUMBER_24_BITS	0xffffffu
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

enum {
	AT_ADDRESS = 0,
	AT_LENGTH = 8,
	AT_RKEY = 16,
	AT_PAIR = 20,
	AT_PSN = 24,
	AT_LID = 28,
	AT_MTU = 30,
	AT_LINK_LAYER = 31,
	AT_GID = 32,
	AT_GENERATION = 48,
	AT_READS = 56,
	AT_ZERO = 57,
};

_Static_assert(AT_GID + sizeof(union ibv_gid) == AT_GENERATION, "a GID has 16 bytes");

size_t verbs_endpoint_encode(const struct verbs_endpoint *endpoint, uint8_t *part)
{
	xfer_put64(part + AT_ADDRESS, endpoint->address);
	xfer_put64(part + AT_LENGTH, endpoint->length);
	xfer_put32(part + AT_RKEY, endpoint->rkey);
	xfer_put32(part + AT_PAIR, endpoint->pair);
	xfer_put32(part + AT_PSN, endpoint->psn);
	xfer_put16(part + AT_LID, endpoint->lid);
	part[AT_MTU] = endpoint->mtu;
	part[AT_LINK_LAYER] = endpoint->link_layer;
	memcpy(part + AT_GID, endpoint->gid.raw, sizeof(endpoint->gid.raw));
	xfer_put64(part + AT_GENERATION, endpoint->generation);
	memset(part + AT_ZERO, 0, VERBS_ENDPOINT_BYTES - AT_ZERO);
	part[AT_READS] = endpoint->reads;
	return VERBS_ENDPOINT_BYTES;
}

int verbs_endpoint_decode(const uint8_t *part, size_t size, struct verbs_endpoint *endpoint)
{
	static const uint8_t zero[VERBS_ENDPOINT_BYTES - AT_ZERO];
	uint64_t end;

	if (size != VERBS_ENDPOINT_BYTES)
		return -EPROTO;
	endpoint->address = xfer_get64(part + AT_ADDRESS);
	endpoint->length = xfer_get64(part + AT_LENGTH);
	endpoint->rkey = xfer_get32(part + AT_RKEY);
	endpoint->pair = xfer_get32(part + AT_PAIR);
	endpoint->psn = xfer_get32(part + AT_PSN);
	endpoint->lid = xfer_get16(part + AT_LID);
	endpoint->mtu = part[AT_MTU];
	endpoint->link_layer = part[AT_LINK_LAYER];
	memcpy(endpoint->gid.raw, part + AT_GID, sizeof(endpoint->gid.raw));
	endpoint->generation = xfer_get64(part + AT_GENERATION);
	endpoint->reads = part[AT_READS];
	if (__builtin_add_overflow(endpoint->address, endpoint->length, &end) ||
	    endpoint->pair > NUMBER_24_BITS || endpoint->psn > NUMBER_24_BITS ||
	    !endpoint->reads || memcmp(part + AT_ZERO, zero, sizeof(zero)) ||
	    endpoint->mtu < IBV_MTU_256 || endpoint->mtu > IBV_MTU_4096)
		return -EPROTO;
	return 0;
}

uint8_t verbs_reads(int limit)
{
	if (limit < 1)
		return 1;
	return limit < (int)VERBS_READS ? limit : (int)VERBS_READS;
}

struct ibv_qp *verbs_pair_create(struct ibv_pd *domain, struct ibv_cq *queue, uint32_t sends,
				 uint32_t receives)
{
	struct ibv_qp_init_attr attributes = {
		.send_cq = queue,
		.recv_cq = queue,
		.cap = {
			.max_send_wr = sends,
			.max_recv_wr = receives,
			.max_send_sge = 1,
			.max_recv_sge = 1,
		},
		.qp_type = IBV_QPT_RC,
	};

	return ibv_create_qp(domain, &attributes);
}

int verbs_pair_init(struct ibv_qp *pair, const struct verbs_port *port)
{
	struct ibv_qp_attr attributes = { .qp_state = IBV_QPS_RESET };
	int ret;

	ret = ibv_modify_qp(pair, &attributes, IBV_QP_STATE);
	if (ret)
		return -ret;
	attributes.qp_state = IBV_QPS_INIT;
	attributes.port_num = port->number;
	attributes.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
	return -ibv_modify_qp(pair, &attributes, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT |
			      IBV_QP_ACCESS_FLAGS);
}

static int pair_ready_to_receive(struct ibv_qp *pair, const struct verbs_port *port,
				 const struct verbs_endpoint *local,
				 const struct verbs_endpoint *remote)
{
	struct ibv_qp_attr attributes = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = remote->mtu < local->mtu ? remote->mtu : local->mtu,
		.dest_qp_num = remote->pair,
		.rq_psn = remote->psn,
		.max_dest_rd_atomic = local->reads,
		.min_rnr_timer = RNR_TIMER,
		.ah_attr = {
			.dlid = remote->lid,
			.port_num = port->number,
			/* Ethernet has no other address. */
			.is_global = local->link_layer == IBV_LINK_LAYER_ETHERNET || !remote->lid,
			.grh = {
				.dgid = remote->gid,
				.sgid_index = port->gid_index,
				.hop_limit = HOP_LIMIT,
			},
		},
	};

	return -ibv_modify_qp(pair, &attributes,
			      IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
			      IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
			      IBV_QP_MIN_RNR_TIMER);
}

static int pair_ready_to_send(struct ibv_qp *pair, const struct verbs_port *port,
			      const struct verbs_endpoint *local,
			      const struct verbs_endpoint *remote)
{
	struct ibv_qp_attr attributes = {
		.qp_state = IBV_QPS_RTS,
		.sq_psn = local->psn,
		.timeout = ACK_TIMEOUT,
		.retry_cnt = ACK_RETRIES,
		.rnr_retry = RNR_RETRY_EVER,
		.max_rd_atomic = verbs_reads(port->limits.max_qp_init_rd_atom),
	};

	if (attributes.max_rd_atomic > remote->reads)
		attributes.max_rd_atomic = remote->reads;

	return -ibv_modify_qp(pair, &attributes,
			      IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
			      IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC);
}

int verbs_pair_connect(struct ibv_qp *pair, const struct verbs_port *port,
		       const struct verbs_endpoint *local, const struct verbs_endpoint *remote)
{
	int ret = pair_ready_to_receive(pair, port, local, remote);

	return ret ? ret : pair_ready_to_send(pair, port, local, remote);
}

void verbs_pair_stop(struct ibv_qp *pair)
{
	struct ibv_qp_attr attributes = { .qp_state = IBV_QPS_ERR };

	ibv_modify_qp(pair, &attributes, IBV_QP_STATE);
}
