/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Counters and histograms of commands.
 */
#ifndef _TANDEM_STATS_H
#define _TANDEM_STATS_H

#include <linux/types.h>

struct seq_file;

/* Bucket n holds times below 2^n ns, and not below half of it. */
#define TANDEM_HISTOGRAM_BUCKETS	40

/**
 * struct tandem_histogram - how often times of each length occurred
 * @bucket: the last one holds all that is longer, too
 */
struct tandem_histogram {
	u64 bucket[TANDEM_HISTOGRAM_BUCKETS];
};

/**
 * struct tandem_stats - what commands have come to
 * @submitted: commands that were taken
 * @completed: commands that ended, in any way
 * @failed: of these, those with a result other than 0
 * @cancelled: of these, those that somebody ended early
 * @timed_out: of these, those that were ended since they took too long
 * @busy_ns: time that the engine spent on commands
 * @latency: from submission to the end, of those that came to the device
 * @duration: that the engine spent on them, likewise
 *
 * Guarded by the lock of the engines' class.
 */
struct tandem_stats {
	u64 submitted;
	u64 completed;
	u64 failed;
	u64 cancelled;
	u64 timed_out;
	u64 busy_ns;
	struct tandem_histogram latency;
	struct tandem_histogram duration;
};

void tandem_stats_add(struct tandem_stats *to, const struct tandem_stats *from);
void tandem_histogram_count(struct tandem_histogram *histogram, u64 ns);
/* How many there were. */
u64 tandem_histogram_total(const struct tandem_histogram *histogram);
/*
 * A time that @percent of all are below, 1 … 100: the end of a bucket, so up to
 * twice the true one. 0 when there were none.
 */
u64 tandem_histogram_percentile(const struct tandem_histogram *histogram,
				u32 percent);
/* A line for each bucket from the first to the last that is not empty. */
void tandem_histogram_show(struct seq_file *m, const char *name,
			   const struct tandem_histogram *histogram);

#endif /* _TANDEM_STATS_H */
