// SPDX-License-Identifier: MIT
/* Roofline estimates. */
#include "roofline.h"

uint64_t fw_roofline_ns(const struct tandem_fw_profile *profile, double flops, double bytes)
{
	double arithmetic, memory, longer;

	if (!profile->flops || !profile->memory_bandwidth || (flops <= 0 && bytes <= 0))
		return 0;
	arithmetic = flops / (double)profile->flops * 1e9;
	memory = bytes / (double)profile->memory_bandwidth * 1e9;
	longer = arithmetic > memory ? arithmetic : memory;
	/* More than 2^62 ns is 146 years. */
	if (longer >= 0x1p62)
		return 1ull << 62;
	return longer < 1 ? 1 : (uint64_t)(longer + 0.5);
}
