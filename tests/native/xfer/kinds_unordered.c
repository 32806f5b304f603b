// SPDX-License-Identifier: MIT
/*
 * What these builds of the tests test: a fabric that keeps no order.
 */
#include "unordered.h"

const struct pair_kind pair_kinds[] = {
	{
		.name = "inproc over a fabric without order",
		.device = { "inproc:trn2,mem=64M,cores=1", "inproc:wse3,mem=64M,cores=1" },
		.transport = TANDEM_TRANSPORT_LOCAL,
		.connected = unordered_attach,
	},
	{ 0 },
};
