// SPDX-License-Identifier: GPL-2.0
#include <drm/drm_drv.h>
#include <drm/drm_gem.h>
#include <drm/drm_prime.h>
#include <linux/dma-buf.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "tandem_accel.h"
#include "tandem_device.h"
#include "tandem_gem.h"

/**
 * struct tandem_gem - an object
 * @base: the GEM object
 * @node: its range of device addresses; guarded by &tandem_device.memory_lock
 * @pages: behind it, @base.size of them; NULL for an imported object. Never
 *	change while the object lives
 * @bound: the pages are behind the device addresses
 * @sgt: of an imported object
 * @bus_address: of an imported object
 *
 * Pages of emulated device memory belong to one object only and go back to the
 * system with their last reference: someone may have pinned them, and then a
 * next owner of the same pages could be read.
 */
struct tandem_gem {
	struct drm_gem_object base;
	struct drm_mm_node node;
	struct page **pages;
	bool bound;
	struct sg_table *sgt;
	u64 bus_address;
};

static struct tandem_gem *to_gem(const struct drm_gem_object *object)
{
	return container_of(object, struct tandem_gem, base);
}

u64 tandem_gem_address(const struct drm_gem_object *object)
{
	const struct tandem_gem *gem = to_gem(object);

	return gem->sgt ? gem->bus_address : gem->node.start;
}

bool tandem_gem_is_host(const struct drm_gem_object *object)
{
	return to_gem(object)->sgt;
}

static unsigned long page_count_of(const struct tandem_gem *gem)
{
	return gem->base.size >> PAGE_SHIFT;
}

static int alloc_pages_of(struct tandem_gem *gem)
{
	unsigned long count = page_count_of(gem);
	unsigned long i;

	gem->pages = kvcalloc(count, sizeof(*gem->pages), GFP_KERNEL_ACCOUNT);
	if (!gem->pages)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		gem->pages[i] = alloc_page(GFP_USER | __GFP_ZERO |
					   __GFP_ACCOUNT | __GFP_NOWARN |
					   __GFP_RETRY_MAYFAIL);
		if (!gem->pages[i] || fatal_signal_pending(current))
			return -ENOMEM;
		if (i % 1024 == 0)
			cond_resched();
	}
	return 0;
}

static void free_pages_of(struct tandem_gem *gem)
{
	unsigned long count = page_count_of(gem);
	unsigned long i;

	for (i = 0; gem->pages && i < count; i++) {
		if (gem->pages[i])
			put_page(gem->pages[i]);
	}
	kvfree(gem->pages);
}

static int take_addresses(struct tandem_device *tdev, struct tandem_gem *gem)
{
	int ret;

	mutex_lock(&tdev->memory_lock);
	ret = drm_mm_insert_node_generic(&tdev->memory, &gem->node,
					 gem->base.size, PAGE_SIZE, 0,
					 DRM_MM_INSERT_BEST);
	mutex_unlock(&tdev->memory_lock);
	if (!ret)
		atomic64_add(gem->base.size, &tdev->memory_used);
	return ret;
}

static void release_addresses(struct tandem_device *tdev,
			      struct tandem_gem *gem)
{
	if (!drm_mm_node_allocated(&gem->node))
		return;
	mutex_lock(&tdev->memory_lock);
	drm_mm_remove_node(&gem->node);
	mutex_unlock(&tdev->memory_lock);
	atomic64_sub(gem->base.size, &tdev->memory_used);
}

static void gem_free(struct drm_gem_object *object)
{
	struct tandem_device *tdev = to_tandem_device(object->dev);
	struct tandem_gem *gem = to_gem(object);

	if (gem->sgt) {
		tdev->bus->unmap(tdev->dev, gem->bus_address);
		drm_prime_gem_destroy(object, gem->sgt);
	}
	if (gem->bound)
		tdev->bus->unbind_memory(tdev->dev, gem->node.start,
					 page_count_of(gem));
	release_addresses(tdev, gem);
	free_pages_of(gem);
	drm_gem_object_release(object);
	atomic_dec(&tdev->objects);
	kfree(gem);
}

static struct sg_table *gem_get_sg_table(struct drm_gem_object *object)
{
	struct tandem_gem *gem = to_gem(object);

	return drm_prime_pages_to_sg(object->dev, gem->pages,
				     page_count_of(gem));
}

static int mmap_imported(struct drm_gem_object *object,
			 struct vm_area_struct *vma)
{
	int ret;

	/* The exporter sets these, if it wants them. */
	vma->vm_private_data = NULL;
	vma->vm_ops = NULL;
	ret = dma_buf_mmap(object->dma_buf, vma, 0);
	/* The mapping holds the dma-buf now. */
	if (!ret)
		drm_gem_object_put(object);
	return ret;
}

static int gem_mmap(struct drm_gem_object *object, struct vm_area_struct *vma)
{
	struct tandem_gem *gem = to_gem(object);
	unsigned long first, count;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (gem->sgt)
		return mmap_imported(object, vma);

	first = vma->vm_pgoff - drm_vma_node_start(&object->vma_node);
	count = vma_pages(vma);
	if (first > page_count_of(gem) || count > page_count_of(gem) - first)
		return -EINVAL;
	/*
	 * Ordinary pages, no PFN mapping: the memory can be pinned, for RDMA
	 * and for io_uring. Entered at once, since it is going to be used.
	 */
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	return vm_insert_pages(vma, vma->vm_start, gem->pages + first, &count);
}

/* For what madvise(2) took away. Works when the device is gone, too. */
static vm_fault_t gem_fault(struct vm_fault *vmf)
{
	struct drm_gem_object *object = vmf->vma->vm_private_data;
	struct tandem_gem *gem = to_gem(object);
	unsigned long index;

	index = vmf->pgoff - drm_vma_node_start(&object->vma_node);
	if (index >= page_count_of(gem))
		return VM_FAULT_SIGBUS;
	get_page(gem->pages[index]);
	vmf->page = gem->pages[index];
	return 0;
}

static const struct vm_operations_struct gem_vm_ops = {
	.fault = gem_fault,
	.open = drm_gem_vm_open,
	.close = drm_gem_vm_close,
};

static const struct drm_gem_object_funcs gem_funcs = {
	.free = gem_free,
	.get_sg_table = gem_get_sg_table,
	.mmap = gem_mmap,
	.vm_ops = &gem_vm_ops,
};

static struct tandem_gem *gem_alloc(struct tandem_device *tdev, u64 size)
{
	struct tandem_gem *gem;

	gem = kzalloc(sizeof(*gem), GFP_KERNEL_ACCOUNT);
	if (!gem)
		return NULL;
	gem->base.funcs = &gem_funcs;
	drm_gem_private_object_init(&tdev->drm, &gem->base, size);
	atomic_inc(&tdev->objects);
	return gem;
}

/* An object in device memory, or an error pointer. */
static struct drm_gem_object *gem_create(struct tandem_device *tdev, u64 size)
{
	struct tandem_gem *gem;
	int ret;

	gem = gem_alloc(tdev, size);
	if (!gem)
		return ERR_PTR(-ENOMEM);
	ret = take_addresses(tdev, gem);
	if (ret)
		goto err;
	ret = alloc_pages_of(gem);
	if (ret)
		goto err;
	ret = tdev->bus->bind_memory(tdev->dev, gem->node.start, gem->pages,
				     page_count_of(gem));
	if (ret)
		goto err;
	gem->bound = true;
	return &gem->base;
err:
	drm_gem_object_put(&gem->base);
	return ERR_PTR(ret);
}

struct drm_gem_object *
tandem_gem_import(struct drm_device *drm, struct dma_buf_attachment *attachment,
		  struct sg_table *sgt)
{
	struct tandem_device *tdev = to_tandem_device(drm);
	size_t size = attachment->dmabuf->size;
	struct tandem_gem *gem;
	int ret;

	if (!PAGE_ALIGNED(size))
		return ERR_PTR(-EINVAL);
	gem = gem_alloc(tdev, size);
	if (!gem)
		return ERR_PTR(-ENOMEM);
	ret = tdev->bus->map_sgtable(tdev->dev, sgt, DMA_BIDIRECTIONAL,
				     &gem->bus_address);
	if (ret) {
		drm_gem_object_put(&gem->base);
		return ERR_PTR(ret);
	}
	gem->sgt = sgt;
	return &gem->base;
}

int tandem_ioctl_gem_create(struct drm_device *drm, void *data,
			    struct drm_file *filp)
{
	struct tandem_device *tdev = to_tandem_device(drm);
	struct drm_tandem_gem_create *args = data;
	struct drm_gem_object *object;
	int ret, cookie;

	if (!args->size || args->flags)
		return -EINVAL;
	if (args->size > tdev->memory_size)
		return -ENOSPC;
	if (!drm_dev_enter(drm, &cookie))
		return -ENODEV;
	object = gem_create(tdev, PAGE_ALIGN(args->size));
	if (object == ERR_PTR(-ENOSPC) && tandem_device_wait_retired(tdev))
		object = gem_create(tdev, PAGE_ALIGN(args->size));
	drm_dev_exit(cookie);
	if (IS_ERR(object))
		return PTR_ERR(object);

	args->size = object->size;
	ret = drm_gem_handle_create(filp, object, &args->handle);
	/* The handle holds the object now. */
	drm_gem_object_put(object);
	return ret;
}

int tandem_ioctl_gem_mmap_offset(struct drm_device *drm, void *data,
				 struct drm_file *filp)
{
	struct drm_tandem_gem_mmap_offset *args = data;
	struct drm_gem_object *object;
	int ret;

	if (args->flags)
		return -EINVAL;
	object = drm_gem_object_lookup(filp, args->handle);
	if (!object)
		return -ENOENT;
	ret = drm_gem_create_mmap_offset(object);
	if (!ret)
		args->offset = drm_vma_node_offset_addr(&object->vma_node);
	drm_gem_object_put(object);
	return ret;
}
