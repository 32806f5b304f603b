// SPDX-License-Identifier: GPL-2.0
/* Bans: what is held against a context, for how long, and from when on. */
#include <kunit/test.h>

#include "../tandem_ban.h"

#define FORGIVING	100

static const struct tandem_ban_rule rule = { .score = 16, .forgiving = FORGIVING };

static bool count(struct tandem_ban *ban, enum tandem_fault fault, u64 now)
{
	return tandem_ban_count(ban, fault, rule, now);
}

/* So many of a fault at once: the one that the ban came with, or 0. */
static u32 faults_to_ban(enum tandem_fault fault)
{
	struct tandem_ban ban;
	u32 i;

	tandem_ban_init(&ban);
	for (i = 1; i <= 100; i++) {
		if (count(&ban, fault, 1))
			return i;
	}
	return 0;
}

static void ban_weights(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, faults_to_ban(TANDEM_FAULT_NONE), 0);
	KUNIT_EXPECT_EQ(test, faults_to_ban(TANDEM_FAULT_ACCESS), 16);
	KUNIT_EXPECT_EQ(test, faults_to_ban(TANDEM_FAULT_TIMEOUT), 3);
	KUNIT_EXPECT_EQ(test, faults_to_ban(TANDEM_FAULT_RESET), 2);
}

static void ban_comes_once_and_stays(struct kunit *test)
{
	struct tandem_ban ban;

	tandem_ban_init(&ban);
	KUNIT_EXPECT_FALSE(test, count(&ban, TANDEM_FAULT_RESET, 1));
	KUNIT_EXPECT_FALSE(test, tandem_ban_is_banned(&ban));
	KUNIT_EXPECT_TRUE(test, count(&ban, TANDEM_FAULT_RESET, 1));
	KUNIT_EXPECT_TRUE(test, tandem_ban_is_banned(&ban));
	KUNIT_EXPECT_FALSE(test, count(&ban, TANDEM_FAULT_RESET, 1));
	/* Nor is it forgiven. */
	KUNIT_EXPECT_FALSE(test, count(&ban, TANDEM_FAULT_ACCESS,
				       1000 * FORGIVING));
	KUNIT_EXPECT_TRUE(test, tandem_ban_is_banned(&ban));
	KUNIT_EXPECT_EQ(test, ban.faults, 4);
	KUNIT_EXPECT_EQ(test, ban.resets, 3);
}

static void ban_forgives_with_time(struct kunit *test)
{
	struct tandem_ban ban;
	u64 now = 12345;
	int i;

	/* One fault in each stretch: the score never grows. */
	tandem_ban_init(&ban);
	for (i = 0; i < 100; i++, now += FORGIVING)
		KUNIT_EXPECT_FALSE(test, count(&ban, TANDEM_FAULT_ACCESS, now));
	/* Twice as many: it does. */
	tandem_ban_init(&ban);
	for (i = 0; i < 100; i++, now += FORGIVING / 2) {
		if (count(&ban, TANDEM_FAULT_ACCESS, now))
			break;
	}
	KUNIT_EXPECT_GE(test, i, 25);
	KUNIT_EXPECT_LE(test, i, 35);
}

/* Time that was good is not saved up for later. */
static void ban_good_time_is_no_credit(struct kunit *test)
{
	struct tandem_ban ban;
	u64 now = 1000 * FORGIVING;
	int i;

	tandem_ban_init(&ban);
	for (i = 1; i < 16; i++)
		KUNIT_EXPECT_FALSE(test, count(&ban, TANDEM_FAULT_ACCESS, now));
	KUNIT_EXPECT_TRUE(test, count(&ban, TANDEM_FAULT_ACCESS, now));
}

/* What is left of a stretch is not lost when something is counted amid it. */
static void ban_forgives_by_whole_points(struct kunit *test)
{
	struct tandem_ban ban;

	tandem_ban_init(&ban);
	count(&ban, TANDEM_FAULT_RESET, 0);
	KUNIT_EXPECT_EQ(test, ban.score, 8);
	count(&ban, TANDEM_FAULT_ACCESS, FORGIVING * 3 / 2);
	KUNIT_EXPECT_EQ(test, ban.score, 8);
	count(&ban, TANDEM_FAULT_ACCESS, FORGIVING * 2);
	KUNIT_EXPECT_EQ(test, ban.score, 8);
}

static void ban_rules(struct kunit *test)
{
	const struct tandem_ban_rule never = { .score = 0, .forgiving = 1 };
	const struct tandem_ban_rule hard = { .score = 16 };
	struct tandem_ban ban;
	u64 now = 1;
	int i;

	tandem_ban_init(&ban);
	for (i = 0; i < 100; i++)
		KUNIT_EXPECT_FALSE(test,
				   tandem_ban_count(&ban, TANDEM_FAULT_RESET,
						    never, now));
	KUNIT_EXPECT_EQ(test, ban.resets, 100);

	tandem_ban_init(&ban);
	for (i = 1; i < 16; i++, now += 1ull << 40)
		KUNIT_EXPECT_FALSE(test,
				   tandem_ban_count(&ban, TANDEM_FAULT_ACCESS,
						    hard, now));
	KUNIT_EXPECT_TRUE(test, tandem_ban_count(&ban, TANDEM_FAULT_ACCESS,
						 hard, now));
}

static void ban_score_does_not_overflow(struct kunit *test)
{
	const struct tandem_ban_rule lenient = { .score = U32_MAX };
	struct tandem_ban ban;

	tandem_ban_init(&ban);
	ban.score = U32_MAX / 2 - 3;
	tandem_ban_count(&ban, TANDEM_FAULT_RESET, lenient, 1);
	tandem_ban_count(&ban, TANDEM_FAULT_RESET, lenient, 1);
	KUNIT_EXPECT_EQ(test, ban.score, U32_MAX / 2);
}

static void ban_score_now(struct kunit *test)
{
	struct tandem_ban ban;

	tandem_ban_init(&ban);
	KUNIT_EXPECT_EQ(test, tandem_ban_score(&ban, rule, 5), 0);
	count(&ban, TANDEM_FAULT_TIMEOUT, 10);
	KUNIT_EXPECT_EQ(test, tandem_ban_score(&ban, rule, 10), 6);
	KUNIT_EXPECT_EQ(test, tandem_ban_score(&ban, rule, 9 + FORGIVING), 6);
	KUNIT_EXPECT_EQ(test, tandem_ban_score(&ban, rule, 10 + FORGIVING), 5);
	/* To ask does not change what is forgiven later. */
	KUNIT_EXPECT_EQ(test, tandem_ban_score(&ban, rule, 10 + 4 * FORGIVING),
			2);
	KUNIT_EXPECT_EQ(test, tandem_ban_score(&ban, rule, 10 + 9 * FORGIVING),
			0);
}

static struct kunit_case ban_cases[] = {
	KUNIT_CASE(ban_weights),
	KUNIT_CASE(ban_comes_once_and_stays),
	KUNIT_CASE(ban_forgives_with_time),
	KUNIT_CASE(ban_good_time_is_no_credit),
	KUNIT_CASE(ban_forgives_by_whole_points),
	KUNIT_CASE(ban_rules),
	KUNIT_CASE(ban_score_does_not_overflow),
	KUNIT_CASE(ban_score_now),
	{}
};

static struct kunit_suite ban_suite = {
	.name = "tandem_ban",
	.test_cases = ban_cases,
};

kunit_test_suite(ban_suite);
