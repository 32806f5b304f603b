/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An address space that a device process reaches through a sparse mapping: the
 * software MMU of the emulated bus. Device memory and the two DMA windows are
 * one each.
 */
#ifndef _TANDEM_EMU_SPACE_H
#define _TANDEM_EMU_SPACE_H

#include <linux/maple_tree.h>
#include <linux/mm_types.h>
#include <linux/rwsem.h>
#include <linux/xarray.h>

struct address_space;

/**
 * struct tandem_emu_binding - a range of pages in a space
 * @first: index of the first page within the space
 * @count: pages
 * @pages: &struct page by their place in the range: @own, or of who bound it
 * @own: see tandem_emu_binding_set()
 *
 * A tree and not an array: no allocation grows with the range.
 */
struct tandem_emu_binding {
	unsigned long first;
	unsigned long count;
	struct xarray *pages;
	struct xarray own;
};

/**
 * struct tandem_emu_space - one sparse address space
 * @lock: write: bindings change; read: a fault looks one up and enters its
 *	pages. Nests within the mmap lock, outside of i_mmap_rwsem.
 * @bindings: page index to &struct tandem_emu_binding; changed under @lock
 * @mapping: of the slot's file while that is open, else NULL; under @lock
 * @pages: size of the space
 * @file_page: where it starts in @mapping
 */
struct tandem_emu_space {
	struct rw_semaphore lock;
	struct maple_tree bindings;
	struct address_space *mapping;
	unsigned long pages;
	unsigned long file_page;
};

void tandem_emu_space_init(struct tandem_emu_space *space,
			   struct address_space *mapping, u64 file_offset,
			   unsigned long pages);
/* The file is being released: nothing maps the space any more, nor will. */
void tandem_emu_space_close(struct tandem_emu_space *space);
/* Frees what was never unbound. */
void tandem_emu_space_destroy(struct tandem_emu_space *space);

/* Of @pages, which stay as they are; or of its own, to be set, for NULL. */
struct tandem_emu_binding *tandem_emu_binding_alloc(unsigned long count,
						    struct xarray *pages);
/* Says which page is number @index. May sleep. -ENOMEM. */
int tandem_emu_binding_set(struct tandem_emu_binding *binding,
			   unsigned long index, struct page *page);
void tandem_emu_binding_free(struct tandem_emu_binding *binding);

/*
 * Both take over @binding on success. Errors: -EBUSY where something is bound
 * already, -ENOSPC, -EINVAL for what lies outside of the space, -ENOMEM,
 * -ENODEV after tandem_emu_space_close().
 */
int tandem_emu_space_bind_at(struct tandem_emu_space *space,
			     unsigned long first,
			     struct tandem_emu_binding *binding);
int tandem_emu_space_bind(struct tandem_emu_space *space,
			  struct tandem_emu_binding *binding,
			  unsigned long *first);

/* Undoes one bind; no process reaches the pages after the return. */
void tandem_emu_space_unbind(struct tandem_emu_space *space,
			     unsigned long first);

vm_fault_t tandem_emu_space_fault(struct tandem_emu_space *space,
				  struct vm_fault *vmf);

#endif /* _TANDEM_EMU_SPACE_H */
