// SPDX-License-Identifier: MIT
/*
 * What this build of test_push tests: devices in the process over soft-RoCE.
 */
#include "tests/native/xfer/pair.h"

#define INPROC	{ "inproc:trn2,mem=64M,cores=1", "inproc:wse3,mem=64M,cores=1" }

const struct pair_kind pair_kinds[] = {
	{
		.name = "inproc over verbs",
		.device = INPROC,
		.transport = TANDEM_TRANSPORT_VERBS,
	},
	{
		.name = "inproc over verbs, two NICs with two pairs each",
		.device = INPROC,
		.transport = TANDEM_TRANSPORT_VERBS,
		.rdma_device = "rxe0,rxe1",
		.rdma_pairs = 2,
	},
	{ 0 },
};
