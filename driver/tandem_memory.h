/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Device memory: ranges of device addresses, and the pages behind them.
 */
#ifndef _TANDEM_MEMORY_H
#define _TANDEM_MEMORY_H

#include <drm/drm_mm.h>
#include <linux/list.h>
#include <linux/types.h>

#include "tandem_pages.h"

struct tandem_device;
struct work_struct;

/**
 * struct tandem_memory - a range of device memory
 * @node: its device addresses; guarded by &tandem_device.memory_lock
 * @pages: behind them. A user who takes a reference to one may keep it for
 *	longer than the range lives
 * @link: in &tandem_device.lingering, after tandem_memory_free()
 *
 * Owned by whoever allocated it.
 */
struct tandem_memory {
	struct drm_mm_node node;
	struct tandem_pages pages;
	struct list_head link;
};

static inline u64 tandem_memory_address(const struct tandem_memory *memory)
{
	return memory->node.start;
}

static inline u64 tandem_memory_size(const struct tandem_memory *memory)
{
	return (u64)memory->pages.count << PAGE_SHIFT;
}

/*
 * @size is a multiple of PAGE_SIZE. The memory is zero. Error pointers: -ENOSPC
 * when no addresses are left, -ENOMEM, -ENODEV, -EINTR for a fatal signal.
 */
struct tandem_memory *tandem_memory_alloc(struct tandem_device *tdev, u64 size);
/*
 * The device does not reach the memory after the return. The addresses are
 * given out again when nobody holds a page any more whose contents a next owner
 * would share.
 */
void tandem_memory_free(struct tandem_device *tdev,
			struct tandem_memory *memory);

/* Of &tandem_device.linger_work: looks again for what can be given out. */
void tandem_memory_look_again(struct work_struct *work);

#endif /* _TANDEM_MEMORY_H */
