// SPDX-License-Identifier: GPL-2.0
#include <linux/bitops.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/seq_file.h>

#include "tandem_stats.h"

void tandem_histogram_count(struct tandem_histogram *histogram, u64 ns)
{
	histogram->bucket[min(fls64(ns), TANDEM_HISTOGRAM_BUCKETS - 1)]++;
}

static void histogram_add(struct tandem_histogram *to,
			  const struct tandem_histogram *from)
{
	u32 i;

	for (i = 0; i < TANDEM_HISTOGRAM_BUCKETS; i++)
		to->bucket[i] += from->bucket[i];
}

void tandem_stats_add(struct tandem_stats *to, const struct tandem_stats *from)
{
	to->submitted += from->submitted;
	to->completed += from->completed;
	to->failed += from->failed;
	to->cancelled += from->cancelled;
	to->timed_out += from->timed_out;
	to->busy_ns += from->busy_ns;
	histogram_add(&to->latency, &from->latency);
	histogram_add(&to->duration, &from->duration);
}

u64 tandem_histogram_total(const struct tandem_histogram *histogram)
{
	u64 total = 0;
	u32 i;

	for (i = 0; i < TANDEM_HISTOGRAM_BUCKETS; i++)
		total += histogram->bucket[i];
	return total;
}

u64 tandem_histogram_percentile(const struct tandem_histogram *histogram,
				u32 percent)
{
	u64 total = tandem_histogram_total(histogram), seen = 0;
	/* Far from overflow: commands take their time. */
	u64 wanted = div_u64(total * percent + 99, 100);
	u32 i;

	if (!total)
		return 0;
	for (i = 0; i < TANDEM_HISTOGRAM_BUCKETS - 1; i++) {
		seen += histogram->bucket[i];
		if (seen >= wanted)
			break;
	}
	return 1ull << i;
}

void tandem_histogram_show(struct seq_file *m, const char *name,
			   const struct tandem_histogram *histogram)
{
	u32 first = 0, last = TANDEM_HISTOGRAM_BUCKETS;

	while (last && !histogram->bucket[last - 1])
		last--;
	while (first < last && !histogram->bucket[first])
		first++;
	for (; first < last; first++) {
		if (first == TANDEM_HISTOGRAM_BUCKETS - 1)
			seq_printf(m, "%s above_ns=%llu count=%llu\n", name,
				   (1ull << (first - 1)) - 1,
				   histogram->bucket[first]);
		else
			seq_printf(m, "%s below_ns=%llu count=%llu\n", name,
				   1ull << first, histogram->bucket[first]);
	}
}
