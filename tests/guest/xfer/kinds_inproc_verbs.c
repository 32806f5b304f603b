// SPDX-License-Identifier: MIT
/*
 * What this build of test_push tests: devices in the process over soft-RoCE.
 */
#include "tests/native/xfer/pair.h"

const struct pair_kind pair_kinds[] = {
	{
		.name = "inproc over verbs",
		.device = { "inproc:trn2,mem=64M,cores=1", "inproc:wse3,mem=64M,cores=1" },
		.transport = TANDEM_TRANSPORT_VERBS,
	},
	{ 0 },
};
