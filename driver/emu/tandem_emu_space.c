// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "tandem_emu_space.h"

/* Pages entered around a fault: an aligned block of this many. */
#define FAULT_AROUND_PAGES	64ul

void tandem_emu_space_init(struct tandem_emu_space *space,
			   struct address_space *mapping, u64 file_offset,
			   unsigned long pages)
{
	init_rwsem(&space->lock);
	mt_init_flags(&space->bindings, MT_FLAGS_ALLOC_RANGE);
	space->mapping = mapping;
	space->pages = pages;
	space->file_page = file_offset >> PAGE_SHIFT;
}

void tandem_emu_space_close(struct tandem_emu_space *space)
{
	down_write(&space->lock);
	space->mapping = NULL;
	up_write(&space->lock);
}

void tandem_emu_space_destroy(struct tandem_emu_space *space)
{
	struct tandem_emu_binding *binding;
	unsigned long index = 0;

	mt_for_each(&space->bindings, binding, index, ULONG_MAX)
		tandem_emu_binding_free(binding);
	mtree_destroy(&space->bindings);
}

struct tandem_emu_binding *tandem_emu_binding_alloc(unsigned long count,
						    struct xarray *pages)
{
	struct tandem_emu_binding *binding;

	binding = kzalloc(sizeof(*binding), GFP_KERNEL);
	if (!binding)
		return NULL;
	xa_init(&binding->own);
	binding->pages = pages ?: &binding->own;
	binding->count = count;
	return binding;
}

int tandem_emu_binding_set(struct tandem_emu_binding *binding,
			   unsigned long index, struct page *page)
{
	return xa_err(xa_store(&binding->own, index, page, GFP_KERNEL));
}

void tandem_emu_binding_free(struct tandem_emu_binding *binding)
{
	unsigned long i;

	/* xa_destroy() does all at once, with interrupts off. */
	for (i = 0; i < binding->count && !xa_empty(&binding->own); i++) {
		xa_erase(&binding->own, i);
		if (i % 1024 == 0)
			cond_resched();
	}
	kfree(binding);
}

static unsigned long pfn_at(const struct tandem_emu_binding *binding,
			    unsigned long page)
{
	struct page *entry = xa_load(binding->pages, page - binding->first);

	return page_to_pfn(entry);
}

int tandem_emu_space_bind_at(struct tandem_emu_space *space,
			     unsigned long first,
			     struct tandem_emu_binding *binding)
{
	unsigned long end;
	int ret;

	if (!binding->count ||
	    check_add_overflow(first, binding->count, &end) ||
	    end > space->pages)
		return -EINVAL;

	down_write(&space->lock);
	if (!space->mapping) {
		ret = -ENODEV;
	} else {
		binding->first = first;
		ret = mtree_insert_range(&space->bindings, first, end - 1,
					 binding, GFP_KERNEL);
		if (ret == -EEXIST)
			ret = -EBUSY;
	}
	up_write(&space->lock);
	return ret;
}

int tandem_emu_space_bind(struct tandem_emu_space *space,
			  struct tandem_emu_binding *binding,
			  unsigned long *first)
{
	unsigned long size;
	int ret;

	/* The page behind stays empty, so that running over faults. */
	if (!binding->count || check_add_overflow(binding->count, 1ul, &size))
		return -EINVAL;

	down_write(&space->lock);
	if (!space->mapping) {
		ret = -ENODEV;
	} else {
		/* Page 0 is left out: bus address 0 means none. */
		ret = mtree_alloc_range(&space->bindings, first, binding, size,
					1, space->pages - 1, GFP_KERNEL);
		if (ret == -EBUSY)
			ret = -ENOSPC;
		if (!ret)
			binding->first = *first;
	}
	up_write(&space->lock);
	return ret;
}

void tandem_emu_space_unbind(struct tandem_emu_space *space,
			     unsigned long first)
{
	struct tandem_emu_binding *binding;

	down_write(&space->lock);
	binding = mtree_load(&space->bindings, first);
	if (WARN_ON_ONCE(!binding || binding->first != first)) {
		up_write(&space->lock);
		return;
	}
	mtree_erase(&space->bindings, first);
	/*
	 * A fault that still saw the binding has entered its pages by now, and
	 * none that comes later sees it.
	 */
	downgrade_write(&space->lock);
	if (space->mapping)
		unmap_mapping_pages(space->mapping, space->file_page + first,
				    binding->count, true);
	up_read(&space->lock);
	tandem_emu_binding_free(binding);
}

/* The part of @binding that the fault-around block and the vma have too. */
static void around_fault(const struct tandem_emu_binding *binding,
			 const struct tandem_emu_space *space,
			 const struct vm_fault *vmf, unsigned long index,
			 unsigned long *start, unsigned long *end)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long vma_first = vma->vm_pgoff - space->file_page;

	*start = max3(round_down(index, FAULT_AROUND_PAGES), binding->first,
		      vma_first);
	*end = min3(round_down(index, FAULT_AROUND_PAGES) + FAULT_AROUND_PAGES,
		    binding->first + binding->count,
		    vma_first + vma_pages(vma));
}

vm_fault_t tandem_emu_space_fault(struct tandem_emu_space *space,
				  struct vm_fault *vmf)
{
	unsigned long index = vmf->pgoff - space->file_page;
	struct tandem_emu_binding *binding;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	unsigned long start, end, page;

	down_read(&space->lock);
	binding = mtree_load(&space->bindings, index);
	if (!binding || index - binding->first >= binding->count)
		goto unlock;

	ret = vmf_insert_pfn(vmf->vma, vmf->address & PAGE_MASK,
			     pfn_at(binding, index));
	if (ret != VM_FAULT_NOPAGE)
		goto unlock;

	around_fault(binding, space, vmf, index, &start, &end);
	for (page = start; page < end; page++) {
		unsigned long address = (vmf->address & PAGE_MASK) +
					((page - index) << PAGE_SHIFT);

		if (page != index &&
		    vmf_insert_pfn(vmf->vma, address,
				   pfn_at(binding, page)) !=
		    VM_FAULT_NOPAGE)
			break;
	}
unlock:
	up_read(&space->lock);
	return ret;
}
