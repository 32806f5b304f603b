// SPDX-License-Identifier: GPL-2.0
/* Classes of memory: what the device says of them, and their addresses. */
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/prandom.h>
#include <linux/sizes.h>

#include "../tandem_memory_class.h"

#define START	SZ_16M
#define PAGES	64
#define NODES	32

struct claim {
	u64 start;
	u64 size;
	u32 kind;
};

static const char *read_layout(struct kunit *test, u32 count,
			       const struct claim *claims,
			       struct tandem_memory_layout *layout)
{
	struct tandem_hw_identity *hw;
	u32 i;

	hw = kunit_kzalloc(test, sizeof(*hw), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, hw);
	hw->memory_class_count = cpu_to_le32(count);
	for (i = 0; i < count && i < TANDEM_HW_MEMORY_CLASSES_MAX; i++) {
		hw->memory_class[i].start = cpu_to_le64(claims[i].start);
		hw->memory_class[i].size = cpu_to_le64(claims[i].size);
		hw->memory_class[i].kind = cpu_to_le32(claims[i].kind);
	}
	return tandem_memory_layout_read(layout, hw, SZ_1M);
}

static void layout_good(struct kunit *test)
{
	static const struct claim one[] = { { 0, SZ_1M, 0 } };
	static const struct claim two[] = {
		{ SZ_64K, SZ_1M - SZ_64K, TANDEM_HW_MEMORY_HBM },
		{ 0, SZ_64K, TANDEM_HW_MEMORY_SRAM },
	};
	struct tandem_memory_layout layout;

	KUNIT_EXPECT_NULL(test, read_layout(test, 1, one, &layout));
	KUNIT_EXPECT_EQ(test, layout.count, 1);
	KUNIT_EXPECT_EQ(test, layout.class[0].size, SZ_1M);
	KUNIT_EXPECT_NULL(test, read_layout(test, 2, two, &layout));
	KUNIT_EXPECT_EQ(test, layout.count, 2);
	KUNIT_EXPECT_EQ(test, layout.class[0].start, SZ_64K);
	KUNIT_EXPECT_EQ(test, layout.class[1].kind, TANDEM_HW_MEMORY_SRAM);
}

static void layout_hostile(struct kunit *test)
{
	static const struct claim claims[][2] = {
		/* not whole pages */
		{ { 0, SZ_1M - 1 }, { 0, 0 } },
		{ { 1, SZ_1M }, { 0, 0 } },
		/* empty, outside, wrapping */
		{ { 0, 0 }, { 0, SZ_1M } },
		{ { SZ_4K, SZ_1M }, { 0, 0 } },
		{ { SZ_1M, SZ_4K }, { 0, SZ_1M } },
		{ { -(u64)SZ_4K, SZ_8K }, { 0, SZ_1M } },
		{ { 0, -(u64)SZ_4K }, { 0, 0 } },
		/* overlap */
		{ { 0, SZ_512K + SZ_4K }, { SZ_512K, SZ_512K } },
		{ { 0, SZ_1M }, { 0, SZ_1M } },
		/* a gap */
		{ { 0, SZ_512K }, { SZ_512K + SZ_4K, SZ_512K - SZ_4K } },
		/* no such kind */
		{ { 0, SZ_512K, 3 }, { SZ_512K, SZ_512K, 0 } },
		{ { 0, SZ_512K, 0 }, { SZ_512K, SZ_512K, U32_MAX } },
	};
	static const u32 counts[] = { 0, TANDEM_HW_MEMORY_CLASSES_MAX + 1,
				      U32_MAX };
	static const struct claim whole[TANDEM_HW_MEMORY_CLASSES_MAX] = {
		{ 0, SZ_1M },
	};
	struct tandem_memory_layout layout;
	int i;

	for (i = 0; i < ARRAY_SIZE(claims); i++)
		KUNIT_EXPECT_NOT_NULL_MSG(test,
					  read_layout(test, 2, claims[i],
						      &layout), "claim %d", i);
	for (i = 0; i < ARRAY_SIZE(counts); i++)
		KUNIT_EXPECT_NOT_NULL(test, read_layout(test, counts[i], whole,
							&layout));
}

static bool is_free_of(const struct drm_mm_node *nodes, int self)
{
	int i;

	for (i = 0; i < NODES; i++)
		if (i != self && drm_mm_node_allocated(&nodes[i]) &&
		    nodes[i].start < nodes[self].start + nodes[self].size &&
		    nodes[self].start < nodes[i].start + nodes[i].size)
			return false;
	return true;
}

/* With a fixed seed: nothing is given out twice, all comes back. */
static void addresses_random(struct kunit *test)
{
	struct tandem_memory_class class;
	struct drm_mm_node *nodes;
	struct rnd_state random;
	u64 used = 0;
	int step, i;

	nodes = kunit_kcalloc(test, NODES, sizeof(*nodes), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, nodes);
	tandem_memory_class_init(&class, START, PAGES * PAGE_SIZE);
	prandom_seed_state(&random, 1);
	for (step = 0; step < 5000; step++) {
		u64 size = (1 + prandom_u32_state(&random) % 8) * PAGE_SIZE;

		i = prandom_u32_state(&random) % NODES;
		if (drm_mm_node_allocated(&nodes[i])) {
			used -= nodes[i].size;
			tandem_memory_class_release(&class, &nodes[i]);
		} else if (!tandem_memory_class_take(&class, &nodes[i], size)) {
			used += size;
			KUNIT_EXPECT_EQ(test, nodes[i].size, size);
			KUNIT_EXPECT_TRUE(test, PAGE_ALIGNED(nodes[i].start));
			KUNIT_EXPECT_GE(test, nodes[i].start, START);
			KUNIT_EXPECT_LE(test, nodes[i].start + size,
					START + PAGES * PAGE_SIZE);
			KUNIT_EXPECT_TRUE(test, is_free_of(nodes, i));
		}
		KUNIT_ASSERT_EQ(test, atomic64_read(&class.used), used);
	}
	for (i = 0; i < NODES; i++)
		if (drm_mm_node_allocated(&nodes[i]))
			tandem_memory_class_release(&class, &nodes[i]);
	KUNIT_EXPECT_EQ(test, atomic64_read(&class.used), 0);
	tandem_memory_class_fini(&class);
}

static void addresses_run_out(struct kunit *test)
{
	struct tandem_memory_class class;
	struct drm_mm_node whole = {}, more = {};
	static const u64 too_much[] = { PAGES + 1, U64_MAX >> PAGE_SHIFT };
	int i;

	tandem_memory_class_init(&class, START, PAGES * PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(too_much); i++)
		KUNIT_EXPECT_EQ(test,
				tandem_memory_class_take(&class, &more,
							 too_much[i]
							 << PAGE_SHIFT),
				-ENOSPC);
	KUNIT_EXPECT_EQ(test, atomic64_read(&class.used), 0);
	KUNIT_EXPECT_EQ(test, tandem_memory_class_take(&class, &whole,
						       PAGES * PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, whole.start, START);
	KUNIT_EXPECT_EQ(test, tandem_memory_class_take(&class, &more,
						       PAGE_SIZE), -ENOSPC);
	tandem_memory_class_release(&class, &whole);
	KUNIT_EXPECT_EQ(test, tandem_memory_class_take(&class, &more,
						       PAGE_SIZE), 0);
	tandem_memory_class_release(&class, &more);
	tandem_memory_class_fini(&class);
}

static struct kunit_case memory_class_cases[] = {
	KUNIT_CASE(layout_good),
	KUNIT_CASE(layout_hostile),
	KUNIT_CASE(addresses_random),
	KUNIT_CASE(addresses_run_out),
	{}
};

static struct kunit_suite memory_class_suite = {
	.name = "tandem_memory_class",
	.test_cases = memory_class_cases,
};

kunit_test_suite(memory_class_suite);
