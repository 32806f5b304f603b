// SPDX-License-Identifier: MIT
/*
 * What these builds of test_push and others test: the driver's devices as in two
 * processes, each reading the other's memory through a dma-buf.
 */
#include "runtime/xfer_ipc.h"
#include "tests/native/xfer/pair.h"

static void prepare(void)
{
	xfer_ipc_always = true;
}

const struct pair_kind pair_kinds[] = {
	{
		.name = "accel over local between processes",
		.device = { "accel0", "accel1" },
		.transport = TANDEM_TRANSPORT_LOCAL,
		.prepare = prepare,
	},
	{ 0 },
};
