// SPDX-License-Identifier: MIT
/*
 * What this build of test_push tests: the driver's devices over soft-RoCE.
 */
#include "tests/native/xfer/pair.h"

const struct pair_kind pair_kinds[] = {
	{
		.name = "accel over verbs",
		.device = { "accel0", "accel1" },
		.transport = TANDEM_TRANSPORT_VERBS,
	},
	{ 0 },
};
