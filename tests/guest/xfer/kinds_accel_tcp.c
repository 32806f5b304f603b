// SPDX-License-Identifier: MIT
/*
 * What this build of test_push tests: the driver's devices over TCP.
 */
#include "tests/native/xfer/pair.h"

const struct pair_kind pair_kinds[] = {
	{
		.name = "accel over tcp",
		.device = { "accel0", "accel1" },
		.transport = TANDEM_TRANSPORT_TCP,
	},
	{ 0 },
};
