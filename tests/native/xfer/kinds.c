// SPDX-License-Identifier: MIT
/*
 * What the transfer tests use outside of the guest: devices in the process.
 */
#include "pair.h"

#define PREFILL	"inproc:trn2,mem=64M,cores=1"
#define DECODE	"inproc:wse3,mem=64M,cores=1"

const struct pair_kind pair_kinds[] = {
	{ .name = "inproc over local", .device = { PREFILL, DECODE }, .transport = TANDEM_TRANSPORT_LOCAL },
	{ .name = "inproc over tcp", .device = { PREFILL, DECODE }, .transport = TANDEM_TRANSPORT_TCP },
	{ 0 },
};
