// SPDX-License-Identifier: MIT
/* The profiles there are. */
#include <string.h>

#include <tandem_hw.h>

#include "profiles.h"

#define GIB		(1ull << 30)
#define GB		1000000000ull
#define TERA		1000000000000ull
#define PETA		1000000000000000ull
/* Networks are quoted in bits. */
#define GBIT		(GB / 8)

/*
 * "Vendor" is the vendor's own documentation; "press" is press or third-party
 * pages, not checked at the source. Sparse and FP8 peaks are left out: what
 * runs here stands for dense bf16.
 */
static const struct tandem_fw_profile profiles[] = {
	{
		.name = "trn2",
		.description = "AWS Trainium2, one chip",
		/* The link is a sixteenth of a trn2.48xlarge's 3.2 Tb/s. */
		.source = "vendor: Neuron SDK documentation, trn2-arch",
		.role = TANDEM_HW_ROLE_PREFILL,
		.memory_kind = TANDEM_HW_MEMORY_HBM,
		.memory_size = 96 * GIB,
		.memory_bandwidth = 29 * TERA / 10,
		.flops = 667 * TERA,
		.link_bandwidth = 200 * GBIT,
	},
	{
		.name = "trn3",
		.description = "AWS Trainium3, one chip",
		.source = "vendor: Neuron SDK documentation, trainium3 and trn3-arch",
		.role = TANDEM_HW_ROLE_PREFILL,
		.memory_kind = TANDEM_HW_MEMORY_HBM,
		.memory_size = 144 * GIB,
		.memory_bandwidth = 49 * TERA / 10,
		.flops = 671 * TERA,
		.link_bandwidth = 200 * GBIT,
	},
	{
		.name = "wse3",
		.description = "Cerebras WSE-3 (CS-3)",
		/*
		 * 125 PFLOP/s is called FP16, sparse FP16 or FP8 by different
		 * pages: an upper bound.
		 */
		.source = "press; peak of unclear precision",
		.role = TANDEM_HW_ROLE_DECODE,
		.memory_kind = TANDEM_HW_MEMORY_SRAM,
		.memory_size = 44 * GB,
		.memory_bandwidth = 21 * PETA,
		.flops = 125 * PETA,
		.link_bandwidth = 1200 * GBIT,
	},
	{
		.name = "h100",
		.description = "NVIDIA H100 SXM",
		/* The link is the network adapter's; NVLink has 900 GB/s. */
		.source = "press; vendor's data sheet",
		.role = TANDEM_HW_ROLE_ANY,
		.memory_kind = TANDEM_HW_MEMORY_HBM,
		.memory_size = 80 * GB,
		.memory_bandwidth = 335 * TERA / 100,
		.flops = 989 * TERA,
		.link_bandwidth = 400 * GBIT,
	},
	{
		.name = "host",
		.description = "this machine, not modelled",
		.source = "none: no estimates are made",
		.role = TANDEM_HW_ROLE_ANY,
		.memory_kind = TANDEM_HW_MEMORY_DRAM,
	},
};

const struct tandem_fw_profile *tandem_fw_profile_find(const char *name)
{
	for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++)
		if (!strcmp(profiles[i].name, name))
			return &profiles[i];
	return NULL;
}

const struct tandem_fw_profile *tandem_fw_profile_at(size_t index)
{
	if (index >= sizeof(profiles) / sizeof(profiles[0]))
		return NULL;
	return &profiles[index];
}
