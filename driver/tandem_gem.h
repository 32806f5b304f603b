/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory objects: ranges of device memory, imported dma-bufs, and registered
 * memory of a process.
 */
#ifndef _TANDEM_GEM_H
#define _TANDEM_GEM_H

#include <linux/types.h>

struct dma_buf_attachment;
struct drm_device;
struct drm_file;
struct drm_gem_object;
struct sg_table;

/* Where the device finds the object: a device address, or a bus address. */
u64 tandem_gem_address(const struct drm_gem_object *object);
/* Of memory that the device has; not for host memory. */
u32 tandem_gem_class(const struct drm_gem_object *object);
/* Is it host memory, imported or registered, and that a bus address? */
bool tandem_gem_is_host(const struct drm_gem_object *object);
/* What it is, for who looks at a list of objects. */
const char *tandem_gem_kind(const struct drm_gem_object *object);

/*
 * Can there be such a region of the object, with TANDEM_REGION_* for @flags? 0,
 * -EINVAL, -EACCES.
 */
int tandem_gem_check_region(const struct drm_gem_object *object, u64 offset,
			    u64 length, u32 flags);

struct drm_gem_object *
tandem_gem_import(struct drm_device *drm, struct dma_buf_attachment *attachment,
		  struct sg_table *sgt);

int tandem_ioctl_gem_create(struct drm_device *drm, void *data,
			    struct drm_file *filp);
int tandem_ioctl_gem_mmap_offset(struct drm_device *drm, void *data,
				 struct drm_file *filp);
int tandem_ioctl_gem_register(struct drm_device *drm, void *data,
			      struct drm_file *filp);

#endif /* _TANDEM_GEM_H */
