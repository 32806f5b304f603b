// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "tandem_pages.h"

/* Pages that are looked up and entered at a time. */
#define BATCH_PAGES		32ul
/* How often long work lets others run, in pages. */
#define RESCHED_PAGES		1024ul

void tandem_pages_init(struct tandem_pages *pages, unsigned long count)
{
	xa_init_flags(&pages->tree, XA_FLAGS_ACCOUNT);
	pages->count = count;
}

void tandem_pages_fini(struct tandem_pages *pages)
{
	unsigned long i;

	/* xa_destroy() does all at once, with interrupts off. */
	for (i = 0; i < pages->count && !xa_empty(&pages->tree); i++) {
		xa_erase(&pages->tree, i);
		if (i % RESCHED_PAGES == 0)
			cond_resched();
	}
}

/* How many of the pages from @index on are entered with it. */
static unsigned long count_around(const struct tandem_pages *pages,
				  const struct vm_area_struct *vma,
				  unsigned long address, unsigned long index)
{
	unsigned long end = min(ALIGN_DOWN(address, PMD_SIZE) + PMD_SIZE - 1,
				vma->vm_end - 1);

	return min((end - address) / PAGE_SIZE + 1, pages->count - index);
}

/* 0, also when some of them were there before; -ENOMEM and the like. */
static int enter_pages(struct tandem_pages *pages, struct vm_area_struct *vma,
		       unsigned long address, unsigned long index,
		       unsigned long count)
{
	struct page *batch[BATCH_PAGES];
	unsigned long done, left, i;
	int ret;

	for (done = 0; done < count; done += i) {
		for (i = 0; i < min(count - done, BATCH_PAGES); i++)
			batch[i] = tandem_pages_at(pages, index + done + i);
		left = i;
		ret = vm_insert_pages(vma, address + done * PAGE_SIZE, batch,
				      &left);
		/* Entered by another fault: that goes on with the rest. */
		if (ret == -EBUSY)
			return 0;
		/* Only the first is really wanted. */
		if (ret)
			return done || left < i ? 0 : ret;
	}
	return 0;
}

vm_fault_t tandem_pages_fault(struct tandem_pages *pages,
			      struct vm_area_struct *vma, unsigned long address,
			      unsigned long index)
{
	int ret;

	if (index >= pages->count)
		return VM_FAULT_SIGBUS;
	address &= PAGE_MASK;
	ret = enter_pages(pages, vma, address, index,
			  count_around(pages, vma, address, index));
	return ret ? vmf_error(ret) : VM_FAULT_NOPAGE;
}

/* Pages from @index on that lie one after the other in memory. */
static unsigned long count_adjacent(struct tandem_pages *pages,
				    unsigned long index, unsigned long max)
{
	unsigned long first = page_to_pfn(tandem_pages_at(pages, index));
	unsigned long i;

	max = min(max, pages->count - index);
	for (i = 1; i < max; i++) {
		if (page_to_pfn(tandem_pages_at(pages, index + i)) != first + i)
			break;
	}
	return i;
}

static unsigned int count_segments(struct tandem_pages *pages,
				   unsigned long max)
{
	unsigned int segments = 0;
	unsigned long i;

	for (i = 0; i < pages->count; i += count_adjacent(pages, i, max)) {
		segments++;
		cond_resched();
	}
	return segments;
}

struct sg_table *tandem_pages_sg_table(struct tandem_pages *pages,
				       size_t max_segment)
{
	unsigned long max = clamp(max_segment, PAGE_SIZE,
				  (size_t)UINT_MAX) >> PAGE_SHIFT;
	unsigned long index = 0, count;
	struct scatterlist *sg;
	struct sg_table *sgt;
	unsigned int i;
	int ret;

	sgt = kmalloc(sizeof(*sgt), GFP_KERNEL);
	if (!sgt)
		return ERR_PTR(-ENOMEM);
	/* A chain of tables of a page each. */
	ret = sg_alloc_table(sgt, count_segments(pages, max), GFP_KERNEL);
	if (ret) {
		kfree(sgt);
		return ERR_PTR(ret);
	}
	for_each_sgtable_sg(sgt, sg, i) {
		count = count_adjacent(pages, index, max);
		sg_set_page(sg, tandem_pages_at(pages, index),
			    count << PAGE_SHIFT, 0);
		index += count;
		cond_resched();
	}
	return sgt;
}
