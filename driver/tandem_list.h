/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The segments of a COPY_LIST, from user space to memory that the device reads.
 */
#ifndef _TANDEM_LIST_H
#define _TANDEM_LIST_H

#include <linux/types.h>

#include "tandem_accel.h"
#include "tandem_hw.h"
#include "tandem_shared.h"

struct tandem_context;
struct tandem_device;

/* The most segments of a list that goes with the ring. */
#define TANDEM_LIST_SHORT	32
#define TANDEM_LIST_SHORT_BYTES	(TANDEM_LIST_SHORT * sizeof(struct tandem_hw_segment))

/**
 * struct tandem_list - the segments of a job
 * @count: segments; 0 for no list
 * @pages: that the bytes of all segments make, where each counts as one at least
 * @segments: of a short list, which is copied to the slot that its command gets
 *	on the ring, since mapping it would take longer than that; else NULL
 * @shared: of a longer one, which has a mapping of its own
 *
 * Belongs to the job, and does not change once that is submitted.
 */
struct tandem_list {
	u32 count;
	u64 pages;
	struct tandem_hw_segment *segments;
	struct tandem_shared shared;
};

/* A segment by itself: 0 or -EINVAL. */
int tandem_list_check(const struct tandem_segment *segment);

/*
 * Copies @count segments, which lie @stride bytes apart, from the current
 * process, and checks each. 1 <= @count <= TANDEM_HW_SEGMENTS_MAX. Errors:
 * -EINVAL, -EACCES, -EFAULT, -ENOMEM; the list is empty then. May fault.
 */
int tandem_list_read(struct tandem_list *list, struct tandem_context *context,
		     u64 address, u64 count, u64 stride);
/* Lets the device reach the list. The device is entered. May sleep. */
int tandem_list_map(struct tandem_device *tdev, struct tandem_list *list);
/* The device does not reach it afterwards. Does nothing twice. May sleep. */
void tandem_list_release(struct tandem_device *tdev, struct tandem_list *list);

static inline bool tandem_list_is_short(const struct tandem_list *list)
{
	return list->count && list->count <= TANDEM_LIST_SHORT;
}

#endif /* _TANDEM_LIST_H */
