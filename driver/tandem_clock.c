// SPDX-License-Identifier: GPL-2.0
#include <linux/minmax.h>

#include "tandem_clock.h"

void tandem_clock_reset(struct tandem_clock *clock)
{
	*clock = (struct tandem_clock) { };
}

void tandem_clock_sample(struct tandem_clock *clock, u64 before, u64 device,
			 u64 after)
{
	s64 low = before - device, high = after - device;

	if (clock->known && low <= clock->high && high >= clock->low) {
		clock->low = max(clock->low, low);
		clock->high = min(clock->high, high);
		return;
	}
	/* The first one, or the clocks drift apart: the past does not count. */
	clock->low = low;
	clock->high = high;
	clock->known = true;
}

u64 tandem_clock_to_host(const struct tandem_clock *clock, u64 device)
{
	u64 width = (u64)clock->high - (u64)clock->low;

	return device + (u64)clock->low + width / 2;
}
