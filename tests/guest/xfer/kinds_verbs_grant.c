// SPDX-License-Identifier: MIT
/*
 * What this build of test_grant tests: keys of memory windows, which soft-RoCE has,
 * and those of regions, for NICs that have none.
 */
#include "runtime/xfer_verbs.h"
#include "tests/native/xfer/pair.h"

static void with_windows(void)
{
	verbs_windows_use = VERBS_WINDOWS_ALWAYS;
}

static void without_windows(void)
{
	verbs_windows_use = VERBS_WINDOWS_NEVER;
}

#define INPROC	{ "inproc:trn2,mem=64M,cores=1", "inproc:wse3,mem=64M,cores=1" }

const struct pair_kind pair_kinds[] = {
	{
		.name = "verbs with memory windows",
		.device = INPROC,
		.transport = TANDEM_TRANSPORT_VERBS,
		.prepare = with_windows,
	},
	{
		.name = "verbs without memory windows",
		.device = INPROC,
		.transport = TANDEM_TRANSPORT_VERBS,
		.prepare = without_windows,
	},
	{
		.name = "verbs with memory windows, two NICs with two pairs each",
		.device = INPROC,
		.transport = TANDEM_TRANSPORT_VERBS,
		.rdma_device = "rxe0,rxe1",
		.rdma_pairs = 2,
		.prepare = with_windows,
	},
	{
		.name = "verbs without memory windows, two NICs with two pairs each",
		.device = INPROC,
		.transport = TANDEM_TRANSPORT_VERBS,
		.rdma_device = "rxe0,rxe1",
		.rdma_pairs = 2,
		.prepare = without_windows,
	},
	{ 0 },
};
