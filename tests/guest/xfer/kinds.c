// SPDX-License-Identifier: MIT
/*
 * What the transfer tests use in the guest: the driver's devices over each
 * transport, and devices in the process over soft-RoCE.
 */
#include "tests/native/xfer/pair.h"

#define PREFILL	"inproc:trn2,mem=64M,cores=1"
#define DECODE	"inproc:wse3,mem=64M,cores=1"

const struct pair_kind pair_kinds[] = {
	{ "inproc over verbs", { PREFILL, DECODE }, TANDEM_TRANSPORT_VERBS },
	{ "accel over local", { "accel0", "accel1" }, TANDEM_TRANSPORT_LOCAL },
	{ "accel over verbs", { "accel0", "accel1" }, TANDEM_TRANSPORT_VERBS },
	{ 0 },
};
