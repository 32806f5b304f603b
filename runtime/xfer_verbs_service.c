// SPDX-License-Identifier: MIT
/*
 * What is common to queue pairs of all kinds.
 */
#include "xfer_verbs_service.h"

void verbs_pair_stop(struct ibv_qp *pair)
{
	struct ibv_qp_attr attributes = { .qp_state = IBV_QPS_ERR };

	ibv_modify_qp(pair, &attributes, IBV_QP_STATE);
}
