/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A context: an address space of the device, made of regions.
 */
#ifndef _TANDEM_CONTEXT_H
#define _TANDEM_CONTEXT_H

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/kref.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "tandem_ban.h"
#include "tandem_device.h"
#include "tandem_hw.h"
#include "tandem_schedule.h"
#include "tandem_shared.h"

struct drm_device;
struct drm_file;
struct drm_gem_object;
struct seq_buf;
struct tandem_file;
struct tandem_user_memory;

/**
 * struct tandem_region - a region of a context
 * @object: that it is a range of; holds a reference
 * @length: bytes
 * @flags: TANDEM_REGION_READ and TANDEM_REGION_WRITE
 */
struct tandem_region {
	struct drm_gem_object *object;
	u64 length;
	u32 flags;
};

/**
 * struct tandem_context - a context
 * @ref: held by the file until the device has let go of the context after its
 *	destruction, and by each queue
 * @tdev: the device; holds a reference
 * @file: that made it; holds a reference
 * @index: in the device's context table
 * @pid: process that made it; a number, for messages
 * @comm: name of that process
 * @queues: how many it has
 * @device_ns: time that engines spent on its jobs
 * @ban: what is held against it
 * @shares: of the time of each class of engines, at each level; guarded by the
 *	lock of the class
 * @table: &struct tandem_hw_region, read by the device: first
 *	TANDEM_REGIONS_MAX entries for @regions, then one for each slot of each
 *	engine's ring, which are written under the lock of its class
 * @lock: guards all below, and the first part of @table
 * @taken: indices that are in use, or not yet let go of by the device
 * @next: where to look for a free index
 * @regions: index to region, NULL for none
 * @retiring: it was destroyed
 * @release_work: frees it when the last reference is gone
 */
struct tandem_context {
	struct kref ref;
	struct tandem_device *tdev;
	struct tandem_file *file;
	u32 index;
	pid_t pid;
	char comm[TASK_COMM_LEN];
	atomic_t queues;
	atomic64_t device_ns;
	struct tandem_ban ban;
	struct tandem_schedule_share shares[2][TANDEM_SCHEDULE_LEVELS];
	struct tandem_shared table;
	spinlock_t lock; /* see above */
	DECLARE_BITMAP(taken, TANDEM_REGIONS_MAX);
	u32 next;
	struct tandem_region *regions[TANDEM_REGIONS_MAX];
	bool retiring;
	struct work_struct release_work;
};

/* A new reference, or NULL for no such context of the file. */
struct tandem_context *tandem_context_find(struct tandem_file *file, u32 id);
void tandem_context_get(struct tandem_context *context);
void tandem_context_put(struct tandem_context *context);
/*
 * The next context of the file behind *@id, with a reference, or NULL; *@id is
 * set to its id. Begin with 0.
 */
struct tandem_context *tandem_context_next(struct tandem_file *file,
					   unsigned long *id);
/* How many regions are mapped, and the bytes of all. */
void tandem_context_get_usage(struct tandem_context *context, u32 *regions,
			      u64 *mapped);
/* The object of a region, with a reference, or NULL. @region is in range. */
struct drm_gem_object *
tandem_context_region_object(struct tandem_context *context, u32 region);
/* Destroys all contexts of a file that is being closed. Does not wait. */
void tandem_context_destroy_all(struct tandem_file *file);

/*
 * May the range of a region be reached with @flags? -EACCES if not. The device
 * checks again: this only tells early.
 */
int tandem_context_check(struct tandem_context *context, u32 region, u64 offset,
			 u64 length, u32 flags);

/* Where its regions are, for a core dump. */
void tandem_context_describe(struct tandem_context *context,
			     struct seq_buf *text);

/*
 * Holds a fault against a context, which may get it, or all of its user, banned:
 * commands that wait end, and later ones are refused. Does not sleep; no lock is held.
 */
void tandem_context_blame(struct tandem_context *context,
			  enum tandem_fault fault);

/* May it give no commands, for good or for now? Any context. */
bool tandem_context_is_banned(struct tandem_context *context);

/* Entries of user memory; the lock of the engine's class is held. */
void tandem_context_set_user(struct tandem_context *context, u32 slot,
			     const struct tandem_user_memory *user, bool write);
void tandem_context_clear_user(struct tandem_context *context, u32 slot);

int tandem_ioctl_context_create(struct drm_device *drm, void *data,
				struct drm_file *filp);
int tandem_ioctl_context_destroy(struct drm_device *drm, void *data,
				 struct drm_file *filp);
int tandem_ioctl_context_query(struct drm_device *drm, void *data,
			       struct drm_file *filp);
int tandem_ioctl_region_map(struct drm_device *drm, void *data,
			    struct drm_file *filp);
int tandem_ioctl_region_unmap(struct drm_device *drm, void *data,
			      struct drm_file *filp);

#if IS_ENABLED(CONFIG_KUNIT)
/* Gives a region an index, or returns -ENOSPC. */
int tandem_region_add(struct tandem_context *context,
		      struct tandem_region *region);
/*
 * Takes a region out of the tables, or NULL for no such region. The index is
 * free when its bit in @taken is cleared.
 */
struct tandem_region *tandem_region_take(struct tandem_context *context,
					 u32 index);
#endif

#endif /* _TANDEM_CONTEXT_H */
