/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Device memory: ranges of device addresses, and the pages behind them.
 */
#ifndef _TANDEM_MEMORY_H
#define _TANDEM_MEMORY_H

#include <drm/drm_mm.h>
#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "tandem_memory_class.h"
#include "tandem_pages.h"

struct dmem_cgroup_pool_state;
struct dmem_cgroup_region;
struct tandem_device;
struct tandem_file;

/**
 * struct tandem_memory_pool - all memory of a device
 * @lock: guards the addresses of each @class, @lingering, and changes of each
 *	&tandem_file.memory_used
 * @class: its classes, as many as &tandem_identity.memory has; constant but for
 *	what they say
 * @region: of the cgroup controller, for each class; NULL for none
 * @count: how many classes have been set up
 * @used: bytes that are taken, of all classes
 * @file_limit: bytes that one file may hold; read and written without the lock
 * @lingering: &struct tandem_memory that was freed while its pages were held
 * @linger_work: looks after them; holds the device while it is queued
 */
struct tandem_memory_pool {
	struct mutex lock; /* see above */
	struct tandem_memory_class class[TANDEM_HW_MEMORY_CLASSES_MAX];
	struct dmem_cgroup_region *region[TANDEM_HW_MEMORY_CLASSES_MAX];
	u32 count;
	atomic64_t used;
	u64 file_limit;
	struct list_head lingering;
	struct delayed_work linger_work;
};

/**
 * struct tandem_memory - a range of device memory
 * @node: its device addresses; guarded by &tandem_memory_pool.lock
 * @class: of memory that it is in
 * @pages: behind it. A user who takes a reference to one may keep it for
 *	longer than the range lives
 * @file: that it counts for; holds a reference
 * @charge: of the cgroup that it counts for, or NULL
 * @link: in &tandem_memory_pool.lingering, after tandem_memory_free()
 *
 * Owned by whoever allocated it. It counts for file and cgroup until its
 * addresses can be given out again.
 */
struct tandem_memory {
	struct drm_mm_node node;
	u32 class;
	struct tandem_pages pages;
	struct tandem_file *file;
	struct dmem_cgroup_pool_state *charge;
	struct list_head link;
};

/* Before anything else. */
void tandem_memory_prepare(struct tandem_memory_pool *pool);
/* When the device has told of its memory. -ENOMEM. */
int tandem_memory_start(struct tandem_device *tdev);
/* When all memory has been freed. */
void tandem_memory_fini(struct tandem_memory_pool *pool);

static inline u64 tandem_memory_address(const struct tandem_memory *memory)
{
	return memory->node.start;
}

static inline u64 tandem_memory_size(const struct tandem_memory *memory)
{
	return (u64)memory->pages.count << PAGE_SHIFT;
}

/* In place of a class: the first that has room. */
#define TANDEM_MEMORY_ANY_CLASS		(~0u)

/*
 * Memory for @file. @size is a multiple of PAGE_SIZE, and no more than the
 * device has; @class is one of the device's, or TANDEM_MEMORY_ANY_CLASS. The
 * memory is zero. Error pointers: -ENOSPC when no addresses are left, -EDQUOT
 * when the file or its cgroup would hold too much, -ENOMEM, -ENODEV, -EINTR for
 * a fatal signal.
 */
struct tandem_memory *tandem_memory_alloc(struct tandem_file *file, u64 size,
					  u32 class);
/*
 * The device does not reach the memory after the return. The addresses are
 * given out again when nobody holds a page any more whose contents a next owner
 * would share.
 */
void tandem_memory_free(struct tandem_device *tdev,
			struct tandem_memory *memory);

#endif /* _TANDEM_MEMORY_H */
