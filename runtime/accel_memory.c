// SPDX-License-Identifier: MIT
/*
 * Memory of accel devices: GEM objects, mapped as regions into the context.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <xf86drm.h>

#include "accel.h"
#include "error.h"

/**
 * struct accel_handle - a GEM handle
 * @entry: in &accel_device.handles
 * @handle: the number
 * @references: memory that uses it
 *
 * A file has one handle for an object, however often it is imported, and the
 * first close of it is the last.
 */
struct accel_handle {
	LIST_ENTRY(accel_handle) entry;
	uint32_t handle;
	unsigned int references;
};

/* What an object is made of. */
enum accel_source {
	SOURCE_DEVICE,
	SOURCE_DMABUF,
	SOURCE_PROCESS,
};

/**
 * struct accel_memory - an object, or a view of another device's
 * @base: generic part
 * @handle: of the object; held
 * @source: what it is
 * @pointer: its mapping, or NULL; the application's of memory of the process
 */
struct accel_memory {
	struct tandem_memory base;
	struct accel_handle *handle;
	enum accel_source source;
	void *pointer;
};

static struct accel_memory *to_accel_memory(struct tandem_memory *memory)
{
	return (struct accel_memory *)memory;
}

/* A reference for a handle that the kernel has just given out. */
static struct accel_handle *handle_get(struct accel_device *device, uint32_t number)
{
	struct accel_handle *handle;

	LIST_FOREACH(handle, &device->handles, entry) {
		if (handle->handle == number) {
			handle->references++;
			return handle;
		}
	}
	handle = calloc(1, sizeof(*handle));
	if (!handle) {
		drmCloseBufferHandle(device->fd, number);
		return NULL;
	}
	handle->handle = number;
	handle->references = 1;
	LIST_INSERT_HEAD(&device->handles, handle, entry);
	return handle;
}

static void handle_put(struct accel_device *device, struct accel_handle *handle)
{
	if (--handle->references)
		return;
	drmCloseBufferHandle(device->fd, handle->handle);
	LIST_REMOVE(handle, entry);
	free(handle);
}

static int memory_failed(struct accel_device *device, int code, struct tandem_error *error)
{
	if (code == -ENOSPC)
		return tandem_error_set(error, code,
					"%s: all memory regions are in use; free some or allocate fewer, larger ones",
					device->base.name);
	if (code == -ENODEV) {
		device_lost(&device->base);
		return tandem_error_set(error, code, "%s: the device is gone", device->base.name);
	}
	return tandem_error_set(error, code, "%s: cannot make memory usable: %s",
				device->base.name, strerror(-code));
}

/* Takes over the handle of @range, also when it fails; the context is filled in. */
static int memory_create(struct accel_device *device, enum accel_source source,
			 struct drm_tandem_region_map *range, struct tandem_memory **memory,
			 struct tandem_error *error)
{
	struct accel_handle *handle;
	struct accel_memory *new;
	int ret = -ENOMEM;

	handle = handle_get(device, range->handle);
	if (!handle)
		goto fail;
	new = calloc(1, sizeof(*new));
	if (!new)
		goto put_handle;
	range->context = device->context;
	if (drmIoctl(device->fd, DRM_IOCTL_TANDEM_REGION_MAP, range) < 0) {
		ret = -errno;
		goto free_memory;
	}
	new->base.device = &device->base;
	new->base.size = range->length;
	new->base.region = range->region;
	new->handle = handle;
	new->source = source;
	*memory = &new->base;
	return 0;

free_memory:
	free(new);
put_handle:
	handle_put(device, handle);
fail:
	return memory_failed(device, ret, error);
}

int accel_get_memory_class(struct tandem_device *base, uint32_t index,
			   struct tandem_memory_class *memory_class)
{
	struct accel_device *device = to_accel(base);
	uint64_t count, type;
	const struct {
		uint32_t param;
		uint64_t *value;
	} params[] = {
		{ TANDEM_PARAM_MEMORY_CLASS_KIND, &type },
		{ TANDEM_PARAM_MEMORY_CLASS_SIZE, &memory_class->size },
		{ TANDEM_PARAM_MEMORY_CLASS_USED, &memory_class->used },
		{ TANDEM_PARAM_MEMORY_CLASS_BANDWIDTH, &memory_class->bandwidth },
	};
	size_t i;
	int ret;

	ret = accel_param(device, TANDEM_PARAM_MEMORY_CLASSES, 0, &count);
	if (ret < 0)
		return ret;
	if (index >= count)
		return -EINVAL;
	for (i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
		ret = accel_param(device, params[i].param, index, params[i].value);
		if (ret < 0)
			return ret;
	}
	memory_class->type = type;
	return 0;
}

/* Of which class, or of all, there is no room for @size bytes. */
static int memory_full(struct accel_device *device, uint64_t size, uint32_t index,
		       struct tandem_error *error)
{
	bool any = index == TANDEM_MEMORY_CLASS_ANY;
	uint64_t used = 0, total = 0;
	char which[32] = "device memory";

	accel_param(device, any ? TANDEM_PARAM_MEMORY_USED : TANDEM_PARAM_MEMORY_CLASS_USED,
		    any ? 0 : index, &used);
	accel_param(device, any ? TANDEM_PARAM_MEMORY_SIZE : TANDEM_PARAM_MEMORY_CLASS_SIZE,
		    any ? 0 : index, &total);
	if (!any)
		snprintf(which, sizeof(which), "memory class %" PRIu32, index);
	return tandem_error_set(error, -ENOSPC,
				"%s: no room for %" PRIu64 " bytes: %" PRIu64 " of %" PRIu64
				" bytes of %s are in use; end other programs or give it more",
				device->base.name, size, used, total, which);
}

static int memory_over_limit(struct accel_device *device, uint64_t size,
			     struct tandem_error *error)
{
	uint64_t used = 0, limit = 0;

	accel_param(device, TANDEM_PARAM_FILE_MEMORY_USED, 0, &used);
	accel_param(device, TANDEM_PARAM_FILE_MEMORY_LIMIT, 0, &limit);
	return tandem_error_set(error, -EDQUOT,
				"%s: may not have %" PRIu64 " bytes more: it has %" PRIu64
				", and the limit of one opening is %" PRIu64
				" bytes (memory_limit_per_file in sysfs), or of its cgroup less",
				device->base.name, size, used, limit);
}

int accel_memory_alloc(struct tandem_device *base, uint64_t size, uint32_t index,
		       bool shareable, struct tandem_memory **memory,
		       struct tandem_error *error)
{
	struct accel_device *device = to_accel(base);
	struct drm_tandem_gem_create args = { .size = size };
	struct drm_tandem_region_map range = { .flags = TANDEM_REGION_READ | TANDEM_REGION_WRITE };
	uint64_t classes = 0;

	/* All of it can be exported. */
	(void)shareable;
	if (index != TANDEM_MEMORY_CLASS_ANY) {
		accel_param(device, TANDEM_PARAM_MEMORY_CLASSES, 0, &classes);
		if (index >= classes)
			return tandem_error_set(error, -EINVAL,
						"%s: no memory class %" PRIu32 "; there are %" PRIu64,
						base->name, index, classes);
		args.flags = TANDEM_GEM_CLASS(index);
	}
	if (!drmIoctl(device->fd, DRM_IOCTL_TANDEM_GEM_CREATE, &args)) {
		range.handle = args.handle;
		range.length = args.size;
		return memory_create(device, SOURCE_DEVICE, &range, memory, error);
	}
	switch (errno) {
	case ENOSPC:
		return memory_full(device, size, index, error);
	case EDQUOT:
		return memory_over_limit(device, size, error);
	default:
		return memory_failed(device, -errno, error);
	}
}

int accel_memory_share(struct tandem_memory *memory, struct tandem_device *base,
		       struct tandem_memory **shared, struct tandem_error *error)
{
	struct accel_device *device = to_accel(base);
	struct drm_tandem_region_map range = {
		.length = memory->size,
		.flags = TANDEM_REGION_READ | TANDEM_REGION_WRITE,
	};
	int dmabuf, code;

	if (to_accel_memory(memory)->source == SOURCE_PROCESS)
		return accel_memory_register(base, to_accel_memory(memory)->pointer, memory->size,
					     shared, error);
	dmabuf = accel_memory_export(memory);
	if (dmabuf < 0)
		return tandem_error_set(error, dmabuf, "%s: cannot export memory: %s",
					memory->device->name, strerror(-dmabuf));
	code = drmPrimeFDToHandle(device->fd, dmabuf, &range.handle) < 0 ? -errno : 0;
	close(dmabuf);
	if (code < 0)
		return tandem_error_set(error, code, "%s: cannot import memory of %s: %s",
					base->name, memory->device->name, strerror(-code));
	return memory_create(device, SOURCE_DMABUF, &range, shared, error);
}

int accel_memory_import(struct tandem_device *base, int fd, uint64_t size, bool writable,
			struct tandem_memory **memory, struct tandem_error *error)
{
	struct accel_device *device = to_accel(base);
	struct drm_tandem_region_map range = {
		.length = size,
		.flags = TANDEM_REGION_READ | (writable ? TANDEM_REGION_WRITE : 0),
	};

	if (drmPrimeFDToHandle(device->fd, fd, &range.handle) < 0)
		return tandem_error_set(error, -errno, "%s: cannot import the dma-buf: %s",
					base->name, strerror(errno));
	return memory_create(device, SOURCE_DMABUF, &range, memory, error);
}

static int register_failed(struct accel_device *device, const void *pointer, uint64_t size,
			   int code, struct tandem_error *error)
{
	const char *name = device->base.name;
	struct rlimit limit;

	switch (code) {
	case -EFAULT:
	case -EOPNOTSUPP:
		return tandem_error_set(error, code,
					"%s: the %" PRIu64
					" bytes at %p are not all there, or cannot be pinned: anonymous and shared memory can, and files in memory",
					name, size, pointer);
	case -EINVAL:
		return tandem_error_set(error, code,
					"%s: %" PRIu64 " bytes are more than tandem.ko registers at once; register parts",
					name, size);
	case -ENOMEM:
		if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
			break;
		return tandem_error_set(error, code,
					"%s: cannot register %" PRIu64
					" bytes: out of memory, or more than the limit of %llu bytes that may be pinned (ulimit -l)",
					name, size, (unsigned long long)limit.rlim_cur);
	}
	return memory_failed(device, code, error);
}

/*
 * The pages that the memory lies in. What the device cannot be let write, it may yet
 * be let read.
 */
static int register_pages(struct accel_device *device, uint64_t start, uint64_t end,
			  struct drm_tandem_region_map *range)
{
	const uint64_t page = sysconf(_SC_PAGESIZE);
	struct drm_tandem_gem_register args = {
		.address = start & -page,
		.size = ((end + page - 1) & -page) - (start & -page),
	};
	int ret;

	range->offset = start - args.address;
	range->flags = TANDEM_REGION_READ | TANDEM_REGION_WRITE;
	ret = drmIoctl(device->fd, DRM_IOCTL_TANDEM_GEM_REGISTER, &args);
	if (ret < 0 && errno == EFAULT) {
		args.flags = TANDEM_REGISTER_READ_ONLY;
		range->flags = TANDEM_REGION_READ;
		ret = drmIoctl(device->fd, DRM_IOCTL_TANDEM_GEM_REGISTER, &args);
	}
	range->handle = args.handle;
	return ret < 0 ? -errno : 0;
}

int accel_memory_register(struct tandem_device *base, void *pointer, uint64_t size,
			  struct tandem_memory **memory, struct tandem_error *error)
{
	struct accel_device *device = to_accel(base);
	struct drm_tandem_region_map range = { .length = size };
	uint64_t capabilities;
	int ret;

	accel_param(device, TANDEM_PARAM_CAPABILITIES, 0, &capabilities);
	if (!(capabilities & TANDEM_CAPABILITY_REGISTER))
		return tandem_error_set(error, -EOPNOTSUPP,
					"%s: this tandem.ko registers no memory of a process; install a newer one, make a dma-buf of the memory (udmabuf), or use verbs or tcp",
					base->name);
	ret = register_pages(device, (uintptr_t)pointer, (uintptr_t)pointer + size, &range);
	if (ret < 0)
		return register_failed(device, pointer, size, ret, error);
	ret = memory_create(device, SOURCE_PROCESS, &range, memory, error);
	if (!ret)
		to_accel_memory(*memory)->pointer = pointer;
	return ret;
}

static void region_unmap(struct accel_device *device, uint32_t region)
{
	struct drm_tandem_region_unmap args = {
		.context = device->context,
		.region = region,
	};

	/* drmIoctl() tries again after EINTR. */
	drmIoctl(device->fd, DRM_IOCTL_TANDEM_REGION_UNMAP, &args);
}

void accel_memory_free(struct tandem_memory *memory)
{
	struct accel_device *device = to_accel(memory->device);
	struct accel_memory *accel = to_accel_memory(memory);

	region_unmap(device, memory->region);
	if (accel->pointer && accel->source != SOURCE_PROCESS)
		munmap(accel->pointer, memory->size);
	handle_put(device, accel->handle);
	free(accel);
}

static int map_object(struct accel_device *device, uint32_t handle, uint64_t size, void **pointer)
{
	struct drm_tandem_gem_mmap_offset args = { .handle = handle };

	if (drmIoctl(device->fd, DRM_IOCTL_TANDEM_GEM_MMAP_OFFSET, &args) < 0)
		return -errno;
	*pointer = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, device->fd, args.offset);
	return *pointer == MAP_FAILED ? -errno : 0;
}

/* What was imported is mapped by its exporter. */
static int map_dmabuf(struct tandem_memory *memory, void **pointer)
{
	int dmabuf = accel_memory_export(memory);
	int code = 0;

	if (dmabuf < 0)
		return dmabuf;
	*pointer = mmap(NULL, memory->size, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
	if (*pointer == MAP_FAILED)
		code = -errno;
	close(dmabuf);
	return code;
}

int accel_memory_map(struct tandem_memory *memory, void **pointer)
{
	struct accel_memory *accel = to_accel_memory(memory);
	void *mapping = NULL;
	int ret;

	if (!accel->pointer) {
		if (accel->source == SOURCE_DMABUF)
			ret = map_dmabuf(memory, &mapping);
		else
			ret = map_object(to_accel(memory->device), accel->handle->handle,
					 memory->size, &mapping);
		if (ret < 0)
			return ret;
		accel->pointer = mapping;
	}
	*pointer = accel->pointer;
	return 0;
}

int accel_memory_export(struct tandem_memory *memory)
{
	struct accel_device *device = to_accel(memory->device);
	int dmabuf;

	if (drmPrimeHandleToFD(device->fd, to_accel_memory(memory)->handle->handle,
			       DRM_CLOEXEC | DRM_RDWR, &dmabuf) < 0)
		return -errno;
	return dmabuf;
}
