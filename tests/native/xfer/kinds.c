// SPDX-License-Identifier: MIT
/*
 * What the transfer tests use outside of the guest: devices in the process.
 */
#include "pair.h"

#include "runtime/xfer_ipc.h"

#define PREFILL	"inproc:trn2,mem=64M,cores=1"
#define DECODE	"inproc:wse3,mem=64M,cores=1"

static void prepare_within(void)
{
	xfer_ipc_always = false;
}

static void prepare_between(void)
{
	xfer_ipc_always = true;
}

const struct pair_kind pair_kinds[] = {
	{ .name = "inproc over local", .device = { PREFILL, DECODE },
	  .transport = TANDEM_TRANSPORT_LOCAL, .prepare = prepare_within },
	{ .name = "inproc over local between processes", .device = { PREFILL, DECODE },
	  .transport = TANDEM_TRANSPORT_LOCAL, .prepare = prepare_between },
	{ .name = "inproc over tcp", .device = { PREFILL, DECODE }, .transport = TANDEM_TRANSPORT_TCP },
	{ 0 },
};
