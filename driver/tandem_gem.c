// SPDX-License-Identifier: GPL-2.0
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_prime.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "tandem_accel.h"
#include "tandem_device.h"
#include "tandem_file.h"
#include "tandem_gem.h"
#include "tandem_memory.h"
#include "tandem_registration.h"
#include "tandem_trace.h"

/**
 * struct tandem_gem - an object
 * @base: the GEM object
 * @memory: its device memory, or NULL
 * @sgt: of an imported object, or NULL
 * @registration: its memory of a process, or NULL
 * @owner: of @registration: the only file that may have handles
 * @bus_address: of an imported object
 *
 * It has one of @memory, @sgt and @registration, which is constant while it
 * lives.
 */
struct tandem_gem {
	struct drm_gem_object base;
	struct tandem_memory *memory;
	struct sg_table *sgt;
	struct tandem_registration *registration;
	const struct drm_file *owner;
	u64 bus_address;
};

static struct tandem_gem *to_gem(const struct drm_gem_object *object)
{
	return container_of(object, struct tandem_gem, base);
}

u64 tandem_gem_address(const struct drm_gem_object *object)
{
	const struct tandem_gem *gem = to_gem(object);

	if (gem->memory)
		return tandem_memory_address(gem->memory);
	return gem->sgt ? gem->bus_address :
			  gem->registration->user.bus_address;
}

u32 tandem_gem_class(const struct drm_gem_object *object)
{
	return to_gem(object)->memory->class;
}

bool tandem_gem_is_host(const struct drm_gem_object *object)
{
	return !to_gem(object)->memory;
}

const char *tandem_gem_kind(const struct drm_gem_object *object)
{
	const struct tandem_gem *gem = to_gem(object);

	if (gem->memory)
		return "device";
	return gem->sgt ? "imported" : "registered";
}

int tandem_gem_check_region(const struct drm_gem_object *object, u64 offset,
			    u64 length, u32 flags)
{
	const struct tandem_registration *registration =
		to_gem(object)->registration;
	u64 end;

	if (check_add_overflow(offset, length, &end) || end > object->size)
		return -EINVAL;
	/* What a process registers need not begin with a page. */
	if (!registration)
		return PAGE_ALIGNED(offset) ? 0 : -EINVAL;
	return flags & TANDEM_REGION_WRITE && !registration->user.write ?
		       -EACCES : 0;
}

static unsigned long page_count_of(const struct tandem_gem *gem)
{
	return gem->base.size >> PAGE_SHIFT;
}

static void gem_free(struct drm_gem_object *object)
{
	struct tandem_device *tdev = to_tandem_device(object->dev);
	struct tandem_gem *gem = to_gem(object);

	if (gem->sgt || gem->memory || gem->registration)
		trace_tandem_object_free(tdev, tandem_gem_address(object),
					 object->size,
					 tandem_gem_is_host(object));
	if (gem->sgt) {
		tdev->bus->unmap(tdev->dev, gem->bus_address);
		drm_prime_gem_destroy(object, gem->sgt);
	}
	if (gem->memory)
		tandem_memory_free(tdev, gem->memory);
	if (gem->registration)
		tandem_registration_free(tdev, gem->registration);
	drm_gem_object_release(object);
	atomic_dec(&tdev->objects);
	kfree(gem);
}

static struct sg_table *gem_get_sg_table(struct drm_gem_object *object)
{
	struct tandem_gem *gem = to_gem(object);

	return tandem_pages_sg_table(&gem->memory->pages,
				     dma_max_mapping_size(object->dev->dev));
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
	 * and for io_uring.
	 */
	vm_flags_set(vma, VM_MIXEDMAP | VM_DONTEXPAND | VM_DONTDUMP);
	return 0;
}

/* Works when the device is gone, too. */
static vm_fault_t gem_fault(struct vm_fault *vmf)
{
	struct drm_gem_object *object = vmf->vma->vm_private_data;
	struct tandem_gem *gem = to_gem(object);

	return tandem_pages_fault(&gem->memory->pages, vmf->vma, vmf->address,
				  vmf->pgoff -
				  drm_vma_node_start(&object->vma_node));
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

/*
 * Registered memory is no other file's, also where an administrator opens it by
 * a global name: that ends with the last handle, so the owner is still there.
 */
static int registered_open(struct drm_gem_object *object, struct drm_file *filp)
{
	return filp == to_gem(object)->owner ? 0 : -EACCES;
}

/* Its pages would outlive the process, and then count for nobody. */
static struct dma_buf *registered_export(struct drm_gem_object *object,
					 int flags)
{
	return ERR_PTR(-EOPNOTSUPP);
}

/* Nor is there a mapping: the process has one. */
static const struct drm_gem_object_funcs registered_funcs = {
	.free = gem_free,
	.open = registered_open,
	.export = registered_export,
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
static struct drm_gem_object *gem_create(struct tandem_file *file, u64 size,
					 u32 class)
{
	struct tandem_device *tdev = file->tdev;
	struct tandem_memory *memory;
	struct tandem_gem *gem;
	int ret;

	gem = gem_alloc(tdev, size);
	if (!gem)
		return ERR_PTR(-ENOMEM);
	/*
	 * Now, since mappings of the dma-buf count their pages from it, too:
	 * it must not come, and move their pages, when they are there.
	 */
	ret = drm_gem_create_mmap_offset(&gem->base);
	if (ret)
		goto err;
	memory = tandem_memory_alloc(file, size, class);
	if (IS_ERR(memory)) {
		ret = PTR_ERR(memory);
		goto err;
	}
	gem->memory = memory;
	trace_tandem_object_create(tdev, tandem_memory_address(memory), size,
				   false);
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
	trace_tandem_object_create(tdev, gem->bus_address, size, true);
	return &gem->base;
}

/* An object of memory of the current process, or an error pointer. */
static struct drm_gem_object *gem_register(struct drm_file *filp, u64 address,
					   u64 size, bool write)
{
	struct tandem_file *file = filp->driver_priv;
	struct tandem_registration *registration;
	struct tandem_gem *gem;

	gem = gem_alloc(file->tdev, size);
	if (!gem)
		return ERR_PTR(-ENOMEM);
	gem->base.funcs = &registered_funcs;
	gem->owner = filp;
	registration = tandem_registration_create(file->tdev, address, size,
						  write);
	if (IS_ERR(registration)) {
		drm_gem_object_put(&gem->base);
		return ERR_CAST(registration);
	}
	gem->registration = registration;
	trace_tandem_object_create(file->tdev, tandem_gem_address(&gem->base),
				   size, true);
	return &gem->base;
}

static bool is_full(const struct drm_gem_object *object)
{
	return object == ERR_PTR(-ENOSPC) || object == ERR_PTR(-EDQUOT);
}

int tandem_ioctl_gem_create(struct drm_device *drm, void *data,
			    struct drm_file *filp)
{
	struct tandem_device *tdev = to_tandem_device(drm);
	struct drm_tandem_gem_create *args = data;
	u32 class = args->flags ? args->flags - TANDEM_GEM_CLASS(0) :
				  TANDEM_MEMORY_ANY_CLASS;
	struct drm_gem_object *object;
	int ret, cookie;

	if (!args->size)
		return -EINVAL;
	if (class != TANDEM_MEMORY_ANY_CLASS) {
		if (class >= tdev->memory.count)
			return -EINVAL;
		class = array_index_nospec(class, tdev->memory.count);
	}
	if (args->size > tdev->memory_size)
		return -ENOSPC;
	if (!drm_dev_enter(drm, &cookie))
		return -ENODEV;
	object = gem_create(filp->driver_priv, PAGE_ALIGN(args->size), class);
	if (is_full(object) && tandem_device_wait_retired(tdev))
		object = gem_create(filp->driver_priv, PAGE_ALIGN(args->size),
				    class);
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
	if (to_gem(object)->registration)
		ret = -EOPNOTSUPP;
	else
		ret = drm_gem_create_mmap_offset(object);
	if (!ret)
		args->offset = drm_vma_node_offset_addr(&object->vma_node);
	drm_gem_object_put(object);
	return ret;
}

int tandem_ioctl_gem_register(struct drm_device *drm, void *data,
			      struct drm_file *filp)
{
	struct drm_tandem_gem_register *args = data;
	struct drm_gem_object *object;
	int ret;

	if (!args->size || !PAGE_ALIGNED(args->size) ||
	    args->size > TANDEM_REGISTRATION_BYTES_MAX ||
	    !PAGE_ALIGNED(args->address) ||
	    args->flags & ~TANDEM_REGISTER_READ_ONLY)
		return -EINVAL;
	object = gem_register(filp, args->address, args->size,
			      !(args->flags & TANDEM_REGISTER_READ_ONLY));
	if (IS_ERR(object))
		return PTR_ERR(object);
	ret = drm_gem_handle_create(filp, object, &args->handle);
	/* The handle holds the object now. */
	drm_gem_object_put(object);
	return ret;
}
