// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>

#include "tandem_memory_class.h"

static bool overlap(const struct tandem_memory_layout *layout, u32 a, u32 b)
{
	return layout->class[a].start <
		       layout->class[b].start + layout->class[b].size &&
	       layout->class[b].start <
		       layout->class[a].start + layout->class[a].size;
}

const char *tandem_memory_layout_read(struct tandem_memory_layout *layout,
				      const struct tandem_hw_identity *hw,
				      u64 memory_size)
{
	u64 sum = 0;
	u32 i, j;

	layout->count = le32_to_cpu(hw->memory_class_count);
	if (!layout->count || layout->count > TANDEM_HW_MEMORY_CLASSES_MAX)
		return "their number";
	for (i = 0; i < layout->count; i++) {
		u64 start = le64_to_cpu(hw->memory_class[i].start);
		u64 size = le64_to_cpu(hw->memory_class[i].size);

		if (!PAGE_ALIGNED(start) || !PAGE_ALIGNED(size))
			return "one is not of whole pages";
		if (!size || size > memory_size || start > memory_size - size)
			return "one is empty, or lies outside of the memory";
		layout->class[i].start = start;
		layout->class[i].size = size;
		layout->class[i].bandwidth =
			le64_to_cpu(hw->memory_class[i].bandwidth);
		layout->class[i].kind = le32_to_cpu(hw->memory_class[i].kind);
		if (layout->class[i].kind > TANDEM_HW_MEMORY_SRAM)
			return "one is of no kind that there is";
		for (j = 0; j < i; j++) {
			if (overlap(layout, i, j))
				return "two overlap";
		}
		/* Cannot wrap: they are disjoint parts of the memory. */
		sum += size;
	}
	return sum == memory_size ? NULL : "they leave a gap";
}

const char *tandem_memory_kind_name(u32 kind)
{
	static const char * const names[] = {
		[TANDEM_HW_MEMORY_DRAM] = "dram",
		[TANDEM_HW_MEMORY_HBM] = "hbm",
		[TANDEM_HW_MEMORY_SRAM] = "sram",
	};

	return names[kind];
}

void tandem_memory_class_init(struct tandem_memory_class *class, u64 start,
			      u64 size)
{
	drm_mm_init(&class->addresses, start, size);
	atomic64_set(&class->used, 0);
}

void tandem_memory_class_fini(struct tandem_memory_class *class)
{
	drm_mm_takedown(&class->addresses);
}

int tandem_memory_class_take(struct tandem_memory_class *class,
			     struct drm_mm_node *node, u64 size)
{
	int ret;

	ret = drm_mm_insert_node_generic(&class->addresses, node, size,
					 PAGE_SIZE, 0, DRM_MM_INSERT_BEST);
	if (!ret)
		atomic64_add(size, &class->used);
	return ret;
}

void tandem_memory_class_release(struct tandem_memory_class *class,
				 struct drm_mm_node *node)
{
	atomic64_sub(node->size, &class->used);
	drm_mm_remove_node(node);
}
