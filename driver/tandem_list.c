// SPDX-License-Identifier: GPL-2.0
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "tandem_context.h"
#include "tandem_list.h"

/* Segments that are copied from user space at a time. */
#define CHUNK	16

static_assert(sizeof(struct tandem_segment) == 32);
static_assert(sizeof(struct tandem_hw_segment) == 32);

int tandem_list_check(const struct tandem_segment *segment)
{
	return segment->length ? 0 : -EINVAL;
}

/* The device checks again: this only tells early. */
static int check_regions(struct tandem_context *context,
			 const struct tandem_segment *segment)
{
	int ret;

	ret = tandem_context_check(context, segment->dst_region,
				   segment->dst_offset, segment->length,
				   TANDEM_REGION_WRITE);
	if (ret)
		return ret;
	return tandem_context_check(context, segment->src_region,
				    segment->src_offset, segment->length,
				    TANDEM_REGION_READ);
}

static void describe(struct tandem_hw_segment *to,
		     const struct tandem_segment *segment)
{
	to->dst_region = cpu_to_le32(segment->dst_region);
	to->src_region = cpu_to_le32(segment->src_region);
	to->dst_offset = cpu_to_le64(segment->dst_offset);
	to->src_offset = cpu_to_le64(segment->src_offset);
	to->length = cpu_to_le64(segment->length);
}

static int copy_chunk(struct tandem_segment *chunk, u64 address, u32 count,
		      u64 stride)
{
	int ret;
	u32 i;

	if (stride == sizeof(*chunk))
		return copy_from_user(chunk, u64_to_user_ptr(address),
				      count * sizeof(*chunk)) ? -EFAULT : 0;
	for (i = 0; i < count; i++) {
		ret = copy_struct_from_user(&chunk[i], sizeof(chunk[i]),
					    u64_to_user_ptr(address +
							    i * stride),
					    stride);
		if (ret)
			return ret == -E2BIG ? -EINVAL : ret;
	}
	return 0;
}

static int read_segments(struct tandem_list *list, struct tandem_hw_segment *to,
			 struct tandem_context *context, u64 address,
			 u64 stride)
{
	struct tandem_segment chunk[CHUNK];
	u32 done, now, i;
	int ret;

	for (done = 0; done < list->count; done += now) {
		now = min_t(u32, list->count - done, CHUNK);
		ret = copy_chunk(chunk, address + done * stride, now, stride);
		if (ret)
			return ret;
		for (i = 0; i < now; i++) {
			ret = tandem_list_check(&chunk[i]) ?:
			      check_regions(context, &chunk[i]);
			if (ret)
				return ret;
			describe(&to[done + i], &chunk[i]);
			/* Far from overflow: it lies within memory. */
			list->pages += chunk[i].length / PAGE_SIZE + 1;
		}
		if (fatal_signal_pending(current))
			return -ECANCELED;
		cond_resched();
	}
	return 0;
}

int tandem_list_read(struct tandem_list *list, struct tandem_context *context,
		     u64 address, u64 count, u64 stride)
{
	struct tandem_hw_segment *segments;
	u64 bytes, end;
	int ret;

	if (check_mul_overflow(count, stride, &bytes) ||
	    check_add_overflow(address, bytes, &end))
		return -EFAULT;
	if (count <= TANDEM_LIST_SHORT) {
		segments = kmalloc_array(count, sizeof(*segments),
					 GFP_KERNEL_ACCOUNT);
		list->segments = segments;
	} else {
		tandem_shared_reserve(&list->shared, count * sizeof(*segments));
		segments = list->shared.virtual;
	}
	if (!segments)
		return -ENOMEM;
	list->count = count;
	list->pages = 0;
	ret = read_segments(list, segments, context, address, stride);
	if (ret)
		tandem_list_release(context->tdev, list);
	return ret;
}

int tandem_list_map(struct tandem_device *tdev, struct tandem_list *list)
{
	int ret;

	if (!list->shared.virtual)
		return 0;
	ret = tandem_shared_map(tdev, &list->shared,
				list->count * sizeof(struct tandem_hw_segment),
				DMA_TO_DEVICE);
	/* Bus addresses ran out: too much is in flight. */
	return ret == -ENOSPC ? -ENOMEM : ret;
}

void tandem_list_release(struct tandem_device *tdev, struct tandem_list *list)
{
	kfree(list->segments);
	list->segments = NULL;
	tandem_shared_free(tdev, &list->shared);
	list->count = 0;
}
