// SPDX-License-Identifier: MIT
/*
 * Which kind of queue pairs a port is used with, and what is common to all.
 */
#include "xfer_verbs_service.h"

/* PCI's. All RDMA devices of it are EFA ones. */
#define VENDOR_AMAZON	0x1d0fu

const struct verbs_service *verbs_service_of_test;

int verbs_service_choose(const struct verbs_port *port, const struct verbs_service **service,
			 struct tandem_error *error)
{
	if (!verbs_service_of_test && port->limits.vendor_id == VENDOR_AMAZON)
		return verbs_srd_choose(port, service, error);
	*service = verbs_service_of_test ? verbs_service_of_test : &verbs_rc;
	return 0;
}

struct ibv_qp_cap verbs_pair_capacity(void)
{
	const struct ibv_qp_cap capacity = {
		.max_send_wr = VERBS_SENDS,
		.max_recv_wr = VERBS_RECEIVES,
		.max_send_sge = 1,
		.max_recv_sge = 1,
	};

	return capacity;
}

void verbs_pair_stop(struct ibv_qp *pair)
{
	struct ibv_qp_attr attributes = { .qp_state = IBV_QPS_ERR };

	ibv_modify_qp(pair, &attributes, IBV_QP_STATE);
}
