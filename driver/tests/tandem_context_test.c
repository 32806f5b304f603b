// SPDX-License-Identifier: GPL-2.0
/* Regions of a context: their indices, and what commands may reach. */
#include <kunit/test.h>
#include <linux/sizes.h>

#include "tandem_accel.h"

#include "../tandem_context.h"

static int context_test_init(struct kunit *test)
{
	struct tandem_context *context;

	context = kunit_kzalloc(test, sizeof(*context), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, context);
	spin_lock_init(&context->lock);
	context->table.virtual =
		kunit_kcalloc(test, TANDEM_REGIONS_MAX,
			      sizeof(struct tandem_hw_region), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, context->table.virtual);
	test->priv = context;
	return 0;
}

static void region_bounds(struct kunit *test)
{
	struct tandem_context *context = test->priv;
	struct tandem_region region = {
		.length = SZ_64K,
		.flags = TANDEM_REGION_READ,
	};
	int index = tandem_region_add(context, &region);
	static const struct {
		u64 offset;
		u64 length;
		int result;
	} ranges[] = {
		{ 0, 1, 0 },
		{ 0, SZ_64K, 0 },
		{ SZ_64K - 1, 1, 0 },
		{ SZ_64K, 0, 0 },
		{ 0, SZ_64K + 1, -EACCES },
		{ SZ_64K, 1, -EACCES },
		{ SZ_64K - 1, 2, -EACCES },
		{ 1, U64_MAX, -EACCES },
		{ U64_MAX, 1, -EACCES },
		{ U64_MAX, U64_MAX, -EACCES },
		{ U64_MAX - SZ_64K + 1, SZ_64K, -EACCES },
		{ SZ_2G * 2ull, 1, -EACCES },
		{ 0, SZ_2G * 2ull + 1, -EACCES },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		KUNIT_EXPECT_EQ_MSG(test,
				    tandem_context_check(context, index,
							 ranges[i].offset,
							 ranges[i].length,
							 TANDEM_REGION_READ),
				    ranges[i].result, "range %d", i);
}

static void region_flags(struct kunit *test)
{
	struct tandem_context *context = test->priv;
	u32 have, want;

	for (have = 1; have <= 3; have++) {
		struct tandem_region region = { .length = 1, .flags = have };
		int index = tandem_region_add(context, &region);

		for (want = 0; want <= 3; want++)
			KUNIT_EXPECT_EQ(test,
					tandem_context_check(context, index, 0,
							     1, want),
					want & ~have ? -EACCES : 0);
		tandem_region_take(context, index);
	}
}

static void region_index_out_of_range(struct kunit *test)
{
	struct tandem_context *context = test->priv;
	static const u32 wrong[] = {
		0, 1, TANDEM_REGIONS_MAX - 1, TANDEM_REGIONS_MAX,
		TANDEM_REGIONS_MAX + 1, U32_MAX, TANDEM_REGION_USER,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		KUNIT_EXPECT_EQ(test,
				tandem_context_check(context, wrong[i], 0, 1,
						     0), -EACCES);
		KUNIT_EXPECT_NULL(test, tandem_region_take(context, wrong[i]));
	}
}

/* Taking one out also takes it from the device, and once only. */
static void region_taken_once(struct kunit *test)
{
	struct tandem_context *context = test->priv;
	struct tandem_hw_region *table = context->table.virtual;
	struct tandem_region region = { .length = 1, .flags = 1 };
	int index = tandem_region_add(context, &region);

	table[index].address = cpu_to_le64(SZ_4K);
	table[index].length = cpu_to_le64(1);
	table[index].flags = cpu_to_le32(TANDEM_HW_REGION_VALID);
	KUNIT_EXPECT_PTR_EQ(test, tandem_region_take(context, index), &region);
	KUNIT_EXPECT_EQ(test, le32_to_cpu(table[index].flags), 0);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(table[index].address), 0);
	KUNIT_EXPECT_EQ(test, le64_to_cpu(table[index].length), 0);
	KUNIT_EXPECT_NULL(test, tandem_region_take(context, index));
	KUNIT_EXPECT_EQ(test, tandem_context_check(context, index, 0, 1, 0),
			-EACCES);
}

/* An index comes again only when all others have had their turn. */
static void region_indices_in_turn(struct kunit *test)
{
	struct tandem_context *context = test->priv;
	struct tandem_region region = { .length = 1, .flags = 1 };
	int i, index;

	for (i = 0; i < 2 * TANDEM_REGIONS_MAX; i++) {
		index = tandem_region_add(context, &region);
		KUNIT_ASSERT_EQ(test, index, i % TANDEM_REGIONS_MAX);
		KUNIT_ASSERT_NOT_NULL(test, tandem_region_take(context, index));
		__clear_bit(index, context->taken);
	}
}

static void region_table_full(struct kunit *test)
{
	struct tandem_context *context = test->priv;
	struct tandem_region region = { .length = 1, .flags = 1 };
	int i;

	for (i = 0; i < TANDEM_REGIONS_MAX; i++)
		KUNIT_ASSERT_EQ(test, tandem_region_add(context, &region), i);
	KUNIT_EXPECT_EQ(test, tandem_region_add(context, &region), -ENOSPC);

	/* The device has not let go of it yet. */
	KUNIT_EXPECT_NOT_NULL(test, tandem_region_take(context, 7));
	KUNIT_EXPECT_EQ(test, tandem_region_add(context, &region), -ENOSPC);
	__clear_bit(7, context->taken);
	KUNIT_EXPECT_EQ(test, tandem_region_add(context, &region), 7);
	KUNIT_EXPECT_EQ(test, tandem_region_add(context, &region), -ENOSPC);
}

static struct kunit_case context_cases[] = {
	KUNIT_CASE(region_bounds),
	KUNIT_CASE(region_flags),
	KUNIT_CASE(region_index_out_of_range),
	KUNIT_CASE(region_taken_once),
	KUNIT_CASE(region_indices_in_turn),
	KUNIT_CASE(region_table_full),
	{}
};

static struct kunit_suite context_suite = {
	.name = "tandem_context",
	.init = context_test_init,
	.test_cases = context_cases,
};

kunit_test_suite(context_suite);
