// SPDX-License-Identifier: MIT
/*
 * What this build of test_push and others tests: queue pairs that do not keep order.
 */
#include "tests/guest/xfer/disorder.h"
#include "tests/native/xfer/pair.h"

static void without_order(void)
{
	verbs_service_of_test = &disorder_service;
}

#define INPROC	{ "inproc:trn2,mem=64M,cores=1", "inproc:wse3,mem=64M,cores=1" }

const struct pair_kind pair_kinds[] = {
	{
		.name = "verbs without order",
		.device = INPROC,
		.transport = TANDEM_TRANSPORT_VERBS,
		.prepare = without_order,
	},
	{
		.name = "verbs without order, two NICs with two pairs each",
		.device = INPROC,
		.transport = TANDEM_TRANSPORT_VERBS,
		.rdma_device = "rxe0,rxe1",
		.rdma_pairs = 2,
		.prepare = without_order,
	},
	{ 0 },
};
