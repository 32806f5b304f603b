// SPDX-License-Identifier: MIT
#include <string.h>
#include <unistd.h>

#include "accel.h"
#include "rdma_loop.h"

#define PORT	1
/* In steps of 1 ms. */
#define WAIT_STEPS	60000

#define ACCESS	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | \
		 IBV_ACCESS_REMOTE_READ)

/* The address of the port that stands for one of IPv4, which routes. */
static int find_gid(struct ibv_context *context, union ibv_gid *gid)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	int index;

	for (index = 0; !ibv_query_gid(context, PORT, index, gid); index++) {
		if (!memcmp(gid->raw, mapped, sizeof(mapped)))
			return index;
	}
	fail_msg("the RDMA device has no IPv4 address");
	return -1;
}

static void connect_to_itself(struct rdma_loop *loop)
{
	struct ibv_qp_attr init = {
		.qp_state = IBV_QPS_INIT,
		.port_num = PORT,
		.qp_access_flags = ACCESS,
	};
	struct ibv_qp_attr receive = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = IBV_MTU_1024,
		.dest_qp_num = loop->qp->qp_num,
		.max_dest_rd_atomic = 1,
		.min_rnr_timer = 12,
		.ah_attr = {
			.is_global = 1,
			.port_num = PORT,
			.grh.hop_limit = 1,
		},
	};
	struct ibv_qp_attr send = {
		.qp_state = IBV_QPS_RTS,
		.timeout = 14,
		.retry_cnt = 7,
		.rnr_retry = 7,
		.max_rd_atomic = 1,
	};

	receive.ah_attr.grh.sgid_index =
		find_gid(loop->context, &receive.ah_attr.grh.dgid);
	assert_int_equal(ibv_modify_qp(loop->qp, &init, IBV_QP_STATE |
				       IBV_QP_PKEY_INDEX | IBV_QP_PORT |
				       IBV_QP_ACCESS_FLAGS), 0);
	assert_int_equal(ibv_modify_qp(loop->qp, &receive, IBV_QP_STATE |
				       IBV_QP_AV | IBV_QP_PATH_MTU |
				       IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
				       IBV_QP_MAX_DEST_RD_ATOMIC |
				       IBV_QP_MIN_RNR_TIMER), 0);
	assert_int_equal(ibv_modify_qp(loop->qp, &send, IBV_QP_STATE |
				       IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
				       IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
				       IBV_QP_MAX_QP_RD_ATOMIC), 0);
}

bool rdma_loop_open(struct rdma_loop *loop)
{
	struct ibv_qp_init_attr attributes = {
		.qp_type = IBV_QPT_RC,
		.cap = {
			.max_send_wr = 4,
			.max_recv_wr = 4,
			.max_send_sge = 1,
			.max_recv_sge = 1,
		},
	};
	struct ibv_device **devices;
	int count = 0;

	devices = ibv_get_device_list(&count);
	if (!devices || !count) {
		if (devices)
			ibv_free_device_list(devices);
		return false;
	}
	loop->context = ibv_open_device(devices[0]);
	ibv_free_device_list(devices);
	assert_non_null(loop->context);
	loop->pd = ibv_alloc_pd(loop->context);
	assert_non_null(loop->pd);
	loop->cq = ibv_create_cq(loop->context, 4, NULL, NULL, 0);
	assert_non_null(loop->cq);
	attributes.send_cq = loop->cq;
	attributes.recv_cq = loop->cq;
	loop->qp = ibv_create_qp(loop->pd, &attributes);
	assert_non_null(loop->qp);
	connect_to_itself(loop);
	return true;
}

void rdma_loop_close(struct rdma_loop *loop)
{
	ibv_destroy_qp(loop->qp);
	ibv_destroy_cq(loop->cq);
	ibv_dealloc_pd(loop->pd);
	ibv_close_device(loop->context);
}

static void transfer(struct rdma_loop *loop, enum ibv_wr_opcode opcode,
		     struct ibv_mr *remote, uint64_t address,
		     struct ibv_mr *local, uint32_t length)
{
	struct ibv_sge piece = {
		.addr = address_of(local->addr),
		.length = length,
		.lkey = local->lkey,
	};
	struct ibv_send_wr request = {
		.sg_list = &piece,
		.num_sge = 1,
		.opcode = opcode,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { .remote_addr = address, .rkey = remote->rkey },
	};
	struct ibv_send_wr *bad;
	struct ibv_wc completion;
	int step, got = 0;

	assert_int_equal(ibv_post_send(loop->qp, &request, &bad), 0);
	for (step = 0; !got && step < WAIT_STEPS; step++) {
		got = ibv_poll_cq(loop->cq, 1, &completion);
		if (!got)
			usleep(1000);
	}
	assert_int_equal(got, 1);
	assert_int_equal(completion.status, IBV_WC_SUCCESS);
}

void rdma_loop_read(struct rdma_loop *loop, struct ibv_mr *remote,
		    uint64_t address, struct ibv_mr *local, uint32_t length)
{
	transfer(loop, IBV_WR_RDMA_READ, remote, address, local, length);
}

void rdma_loop_write(struct rdma_loop *loop, struct ibv_mr *remote,
		     uint64_t address, struct ibv_mr *local, uint32_t length)
{
	transfer(loop, IBV_WR_RDMA_WRITE, remote, address, local, length);
}
