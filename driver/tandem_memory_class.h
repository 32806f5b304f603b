/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Classes of device memory, such as HBM and SRAM: where each lies, and which of
 * its device addresses are taken. Knows of no device.
 */
#ifndef _TANDEM_MEMORY_CLASS_H
#define _TANDEM_MEMORY_CLASS_H

#include <drm/drm_mm.h>
#include <linux/atomic.h>
#include <linux/types.h>

#include "tandem_hw.h"

/**
 * struct tandem_memory_layout - which classes a device has, checked
 * @count: entries of @class that are used, 1 at least
 * @class: as &struct tandem_hw_memory_class says. They do not overlap, and
 *	together are all of device memory
 */
struct tandem_memory_layout {
	u32 count;
	struct {
		u64 start;
		u64 size;
		u64 bandwidth;
		u32 kind;
	} class[TANDEM_HW_MEMORY_CLASSES_MAX];
};

/**
 * struct tandem_memory_class - a class in use
 * @addresses: those that are taken; the owner's lock guards it
 * @used: bytes of them
 */
struct tandem_memory_class {
	struct drm_mm addresses;
	atomic64_t used;
};

/*
 * Reads the classes of a device with @memory_size bytes. @hw is a copy that the
 * device does not reach. What is wrong with them, or NULL.
 */
const char *tandem_memory_layout_read(struct tandem_memory_layout *layout,
				      const struct tandem_hw_identity *hw,
				      u64 memory_size);

/* Of &enum tandem_hw_memory_kind, such as "hbm". */
const char *tandem_memory_kind_name(u32 kind);

void tandem_memory_class_init(struct tandem_memory_class *class, u64 start,
			      u64 size);
/* Nothing is taken any more. */
void tandem_memory_class_fini(struct tandem_memory_class *class);

/*
 * Takes @size bytes, whole pages, as @node. Under the owner's lock, like
 * releasing them. -ENOSPC, -ENOMEM.
 */
int tandem_memory_class_take(struct tandem_memory_class *class,
			     struct drm_mm_node *node, u64 size);
void tandem_memory_class_release(struct tandem_memory_class *class,
				 struct drm_mm_node *node);

#endif /* _TANDEM_MEMORY_CLASS_H */
