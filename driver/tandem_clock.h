/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How the clock of a device relates to CLOCK_MONOTONIC of the host.
 */
#ifndef _TANDEM_CLOCK_H
#define _TANDEM_CLOCK_H

#include <linux/types.h>

/**
 * struct tandem_clock - what is known of the relation, in nanoseconds
 * @low: the host's clock is ahead by that much, at least
 * @high: and by that much, at most
 * @known: anything is known
 *
 * Both clocks run equally fast, as far as one can tell. The user of a clock
 * serializes all calls for it. Nothing that a device says of its clock does
 * any harm.
 */
struct tandem_clock {
	s64 low;
	s64 high;
	bool known;
};

/* Nothing is known. */
void tandem_clock_reset(struct tandem_clock *clock);
/* The device read @device at some time between @before and @after. */
void tandem_clock_sample(struct tandem_clock *clock, u64 before, u64 device,
			 u64 after);
/* The host's time at a time of the device's. There was a sample. */
u64 tandem_clock_to_host(const struct tandem_clock *clock, u64 device);

#endif /* _TANDEM_CLOCK_H */
