/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pages behind a range of device memory, by their index within it. They
 * stand in a tree and not in an array: no allocation grows with the range.
 */
#ifndef _TANDEM_PAGES_H
#define _TANDEM_PAGES_H

#include <linux/mm_types.h>
#include <linux/xarray.h>

struct sg_table;

/**
 * struct tandem_pages - pages of a range
 * @tree: index to &struct page; all of 0 … @count - 1 once they are there, and
 *	constant from then on
 * @count: pages of the range
 *
 * Does not hold the pages. Owned by what embeds it.
 */
struct tandem_pages {
	struct xarray tree;
	unsigned long count;
};

void tandem_pages_init(struct tandem_pages *pages, unsigned long count);
/* Forgets all. May sleep. */
void tandem_pages_fini(struct tandem_pages *pages);

static inline struct page *tandem_pages_at(struct tandem_pages *pages,
					   unsigned long index)
{
	return xa_load(&pages->tree, index);
}

/*
 * Enters page @index, for a fault at @address of @vma, which has VM_MIXEDMAP,
 * and those that follow it up to the end of a page table or of @vma.
 */
vm_fault_t tandem_pages_fault(struct tandem_pages *pages,
			      struct vm_area_struct *vma, unsigned long address,
			      unsigned long index);

/*
 * A table of all pages, in segments of @max_segment bytes at most; the caller
 * frees it with sg_free_table() and kfree(). -ENOMEM.
 */
struct sg_table *tandem_pages_sg_table(struct tandem_pages *pages,
				       size_t max_segment);

#endif /* _TANDEM_PAGES_H */
