// SPDX-License-Identifier: MIT
/*
 * Queue pairs of the Elastic Fabric Adapter (EFA): scalable reliable datagrams (SRD). Packets
 * take all paths at once, so a pair knows no order: a completion says that its own request
 * has been carried out, its bytes being in the other side's memory, and nothing of those
 * before it. Each request names its receiver; a pair has one only here, too.
 *
 * What is particular to the provider (rdma-core, providers/efa): RDMA only through the
 * ibv_wr_*() calls; each request has to ask for a completion; a receive without memory is
 * not posted; there are no memory windows and no inline data of RDMA here.
 */
#include <errno.h>
#include <string.h>

#include <infiniband/efadv.h>

#include "error.h"
#include "xfer_verbs_service.h"

/* Where the device tries again by itself when the other side has no receive posted. */
#define RNR_RETRY_EVER	7

static bool query_device(struct ibv_context *context, struct efadv_device_attr *device)
{
	memset(device, 0, sizeof(*device));
	return !efadv_query_device(context, device, sizeof(*device));
}

/* The port's longest message is that of sends, of one packet. */
static uint32_t srd_write_bytes(const struct verbs_port *port)
{
	struct efadv_device_attr device;

	return query_device(port->context, &device) ? device.max_rdma_size : 0;
}

static int srd_create(struct verbs_pair *pair)
{
	struct ibv_qp_init_attr_ex attributes = {
		.send_cq = pair->rail->queue,
		.recv_cq = pair->rail->queue,
		.cap = verbs_pair_capacity(),
		.qp_type = IBV_QPT_DRIVER,
		.comp_mask = IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
		.pd = pair->rail->domain,
		.send_ops_flags = IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM |
				  IBV_QP_EX_WITH_RDMA_READ | IBV_QP_EX_WITH_SEND |
				  IBV_QP_EX_WITH_SEND_WITH_IMM,
	};
	struct efadv_qp_init_attr srd = { .driver_qp_type = EFADV_QP_DRIVER_TYPE_SRD };

	errno = 0;
	pair->queues = efadv_create_qp_ex(pair->rail->port.context, &attributes, &srd,
					  sizeof(srd));
	if (!pair->queues)
		return errno ? -errno : -ENOMEM;
	return 0;
}

static int srd_init(struct verbs_pair *pair, const struct verbs_pair_end *end)
{
	struct ibv_qp_attr attributes = { .qp_state = IBV_QPS_RESET };
	int ret;

	if (pair->address)
		ibv_destroy_ah(pair->address);
	pair->address = NULL;
	ret = ibv_modify_qp(pair->queues, &attributes, IBV_QP_STATE);
	if (ret)
		return -ret;
	attributes.qp_state = IBV_QPS_INIT;
	attributes.port_num = pair->rail->port.number;
	attributes.qkey = end->psn;
	return -ibv_modify_qp(pair->queues, &attributes,
			      IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_QKEY);
}

static int make_ready(struct verbs_pair *pair, const struct verbs_path *path)
{
	struct ibv_qp_attr attributes = {
		.qp_state = IBV_QPS_RTR,
		.sq_psn = path->from->psn,
		.rnr_retry = RNR_RETRY_EVER,
	};
	int mask = IBV_QP_STATE | IBV_QP_SQ_PSN;
	struct efadv_device_attr device;
	int ret;

	ret = ibv_modify_qp(pair->queues, &attributes, IBV_QP_STATE);
	if (ret)
		return -ret;
	if (query_device(path->port->context, &device) &&
	    device.device_caps & EFADV_DEVICE_ATTR_CAPS_RNR_RETRY)
		mask |= IBV_QP_RNR_RETRY;
	attributes.qp_state = IBV_QPS_RTS;
	return -ibv_modify_qp(pair->queues, &attributes, mask);
}

static int srd_connect(struct verbs_pair *pair, const struct verbs_path *path)
{
	struct ibv_ah_attr attributes = {
		.port_num = path->port->number,
		.is_global = 1,
		.grh = {
			.dgid = path->remote->gid,
			.sgid_index = path->port->gid_index,
		},
	};

	errno = 0;
	pair->address = ibv_create_ah(pair->rail->domain, &attributes);
	if (!pair->address)
		return errno ? -errno : -ENOMEM;
	pair->remote_number = path->to->number;
	pair->remote_key = path->to->psn;
	return make_ready(pair, path);
}

/* Return: 0; -EOPNOTSUPP a request that these pairs do not have. */
static int add_request(struct ibv_qp_ex *queues, const struct ibv_send_wr *request)
{
	const uint64_t address = request->wr.rdma.remote_addr;
	const uint32_t key = request->wr.rdma.rkey;

	queues->wr_id = request->wr_id;
	queues->wr_flags = IBV_SEND_SIGNALED;
	switch (request->opcode) {
	case IBV_WR_RDMA_WRITE_WITH_IMM:
		ibv_wr_rdma_write_imm(queues, key, address, request->imm_data);
		return 0;
	case IBV_WR_RDMA_READ:
		ibv_wr_rdma_read(queues, key, address);
		return 0;
	case IBV_WR_SEND_WITH_IMM:
		ibv_wr_send_imm(queues, request->imm_data);
		return 0;
	case IBV_WR_SEND:
		ibv_wr_send(queues);
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

/* All of them, or none. */
static int srd_post(struct verbs_pair *pair, struct ibv_send_wr *requests)
{
	struct ibv_qp_ex *queues = ibv_qp_to_qp_ex(pair->queues);
	const struct ibv_send_wr *request;
	int ret;

	ibv_wr_start(queues);
	for (request = requests; request; request = request->next) {
		ret = add_request(queues, request);
		if (ret < 0) {
			ibv_wr_abort(queues);
			return ret;
		}
		ibv_wr_set_sge_list(queues, request->num_sge, request->sg_list);
		ibv_wr_set_ud_addr(queues, pair->address, pair->remote_number, pair->remote_key);
	}
	return -ibv_wr_complete(queues);
}

static void srd_destroy(struct verbs_pair *pair)
{
	if (pair->queues)
		ibv_destroy_qp(pair->queues);
	pair->queues = NULL;
	if (pair->address)
		ibv_destroy_ah(pair->address);
	pair->address = NULL;
}

static const struct verbs_service verbs_srd = {
	.number = VERBS_SERVICE_SRD,
	.ordered = false,
	.probe = IBV_WR_SEND,
	.write_bytes = srd_write_bytes,
	.create = srd_create,
	.init = srd_init,
	.connect = srd_connect,
	.post = srd_post,
	.destroy = srd_destroy,
};

int verbs_srd_choose(const struct verbs_port *port, const struct verbs_service **service,
		     struct tandem_error *error)
{
	const uint32_t needed =
		EFADV_DEVICE_ATTR_CAPS_RDMA_READ | EFADV_DEVICE_ATTR_CAPS_RDMA_WRITE;
	struct efadv_device_attr device;

	if (!query_device(port->context, &device))
		return tandem_error_set(error, -EOPNOTSUPP,
					"verbs: %s is Amazon's, but no EFA device that rdma-core knows; update rdma-core",
					port->name);
	if ((device.device_caps & needed) != needed)
		return tandem_error_set(error, -EOPNOTSUPP,
					"verbs: %s is an EFA device without RDMA read and write; use an instance type that has them, or tcp",
					port->name);
	*service = &verbs_srd;
	return 0;
}
