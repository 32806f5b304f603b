// SPDX-License-Identifier: GPL-2.0
/* Histograms: which bucket a time is in, and percentiles. */
#include <kunit/test.h>

#include "../tandem_stats.h"

static void histogram_buckets(struct kunit *test)
{
	static const struct {
		u64 ns;
		u32 bucket;
	} cases[] = {
		{ 0, 0 }, { 1, 1 }, { 2, 2 }, { 3, 2 }, { 4, 3 },
		{ 1023, 10 }, { 1024, 11 },
		{ (1ull << 38) - 1, 38 }, { 1ull << 38, 39 },
		{ U64_MAX, 39 },
	};
	struct tandem_histogram histogram;
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		histogram = (struct tandem_histogram) {};
		tandem_histogram_count(&histogram, cases[i].ns);
		KUNIT_EXPECT_EQ_MSG(test, histogram.bucket[cases[i].bucket], 1,
				    "%llu ns", cases[i].ns);
		KUNIT_EXPECT_EQ(test, tandem_histogram_total(&histogram), 1);
	}
}

static void histogram_percentiles(struct kunit *test)
{
	struct tandem_histogram histogram = {};
	int i;

	KUNIT_EXPECT_EQ(test, tandem_histogram_percentile(&histogram, 50), 0);
	for (i = 0; i < 90; i++)
		tandem_histogram_count(&histogram, 1000);
	for (i = 0; i < 9; i++)
		tandem_histogram_count(&histogram, 5000);
	tandem_histogram_count(&histogram, 100000);
	KUNIT_EXPECT_EQ(test, tandem_histogram_percentile(&histogram, 1), 1024);
	KUNIT_EXPECT_EQ(test, tandem_histogram_percentile(&histogram, 50),
			1024);
	KUNIT_EXPECT_EQ(test, tandem_histogram_percentile(&histogram, 90),
			1024);
	KUNIT_EXPECT_EQ(test, tandem_histogram_percentile(&histogram, 91),
			8192);
	KUNIT_EXPECT_EQ(test, tandem_histogram_percentile(&histogram, 99),
			8192);
	KUNIT_EXPECT_EQ(test, tandem_histogram_percentile(&histogram, 100),
			131072);
}

static struct kunit_case stats_cases[] = {
	KUNIT_CASE(histogram_buckets),
	KUNIT_CASE(histogram_percentiles),
	{}
};

static struct kunit_suite stats_suite = {
	.name = "tandem_stats",
	.test_cases = stats_cases,
};

kunit_test_suite(stats_suite);
