/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory objects: ranges of device memory, and imported dma-bufs.
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
/* Of memory that the device has; not for one that was imported. */
u32 tandem_gem_class(const struct drm_gem_object *object);
/* Is that a bus address? */
bool tandem_gem_is_host(const struct drm_gem_object *object);

struct drm_gem_object *
tandem_gem_import(struct drm_device *drm, struct dma_buf_attachment *attachment,
		  struct sg_table *sgt);

int tandem_ioctl_gem_create(struct drm_device *drm, void *data,
			    struct drm_file *filp);
int tandem_ioctl_gem_mmap_offset(struct drm_device *drm, void *data,
				 struct drm_file *filp);

#endif /* _TANDEM_GEM_H */
