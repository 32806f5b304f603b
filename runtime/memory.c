// SPDX-License-Identifier: MIT
/*
 * Device memory, whichever back end it is of.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "device.h"
#include "error.h"

#define PAGE_BYTES	4096ull

static int memory_alloc(struct tandem_device *device, uint64_t size, uint32_t index,
			bool shareable, struct tandem_memory **memory, struct tandem_error *error)
{
	if (!size || size > UINT64_MAX - (PAGE_BYTES - 1))
		return tandem_error_set(error, -EINVAL,
					"%s: cannot allocate %" PRIu64 " bytes of memory",
					device->name, size);
	if (device->lost)
		return tandem_error_set(error, -ENODEV, "%s: the device is gone", device->name);
	size = (size + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	return device->ops->memory_alloc(device, size, index, shareable, memory, error);
}

int tandem_memory_alloc(struct tandem_device *device, uint64_t size,
			struct tandem_memory **memory, struct tandem_error *error)
{
	return memory_alloc(device, size, TANDEM_MEMORY_CLASS_ANY, false, memory, error);
}

int tandem_memory_alloc_class(struct tandem_device *device, uint64_t size, uint32_t index,
			      struct tandem_memory **memory, struct tandem_error *error)
{
	return memory_alloc(device, size, index, false, memory, error);
}

int tandem_memory_alloc_shareable(struct tandem_device *device, uint64_t size,
				  struct tandem_memory **memory, struct tandem_error *error)
{
	return memory_alloc(device, size, TANDEM_MEMORY_CLASS_ANY, true, memory, error);
}

int tandem_memory_share(struct tandem_memory *memory, struct tandem_device *device,
			struct tandem_memory **shared, struct tandem_error *error)
{
	if (memory->device->ops != device->ops)
		return tandem_error_set(error, -EOPNOTSUPP,
					"%s and %s: memory can only be shared between two accel devices or two inproc devices",
					memory->device->name, device->name);
	if (memory->device->lost || device->lost)
		return tandem_error_set(error, -ENODEV, "%s: the device is gone",
					device->lost ? device->name : memory->device->name);
	return device->ops->memory_share(memory, device, shared, error);
}

void tandem_memory_free(struct tandem_memory *memory)
{
	if (memory)
		memory->device->ops->memory_free(memory);
}

int tandem_memory_map(struct tandem_memory *memory, void **pointer)
{
	return memory->device->ops->memory_map(memory, pointer);
}

int tandem_memory_export(struct tandem_memory *memory)
{
	return memory->device->ops->memory_export(memory);
}

int tandem_memory_import(struct tandem_device *device, int fd, uint64_t size,
			 struct tandem_memory **memory, struct tandem_error *error)
{
	if (!size || size % PAGE_BYTES)
		return tandem_error_set(error, -EINVAL,
					"%s: cannot import %" PRIu64 " bytes: these are no whole pages",
					device->name, size);
	if (device->lost)
		return tandem_error_set(error, -ENODEV, "%s: the device is gone", device->name);
	return device->ops->memory_import(device, fd, size, false, memory, error);
}

uint64_t device_dmabuf_bytes(int fd)
{
	struct statfs system;
	off_t bytes;

	if (fstatfs(fd, &system) < 0 || system.f_type != DMA_BUF_MAGIC)
		return 0;
	bytes = lseek(fd, 0, SEEK_END);
	return bytes < 0 ? 0 : bytes;
}

int tandem_memory_import_dmabuf(struct tandem_device *device, int fd,
				struct tandem_memory **memory, struct tandem_error *error)
{
	const uint64_t bytes = device_dmabuf_bytes(fd);

	if (!bytes)
		return tandem_error_set(error, -EINVAL,
					"%s: what is to be imported is no dma-buf", device->name);
	/* Not all importing drivers look at that. */
	if ((fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDWR)
		return tandem_error_set(error, -EACCES,
					"%s: the dma-buf is for reading only; export it with DRM_RDWR, or open the heap for writing",
					device->name);
	if (device->lost)
		return tandem_error_set(error, -ENODEV, "%s: the device is gone", device->name);
	return device->ops->memory_import(device, fd, bytes, true, memory, error);
}

int tandem_memory_register(struct tandem_device *device, void *pointer, uint64_t size,
			   struct tandem_memory **memory, struct tandem_error *error)
{
	if (!pointer || !size || size > UINTPTR_MAX - (uintptr_t)pointer)
		return tandem_error_set(error, -EINVAL,
					"%s: cannot register %" PRIu64 " bytes at %p", device->name,
					size, pointer);
	if (device->lost)
		return tandem_error_set(error, -ENODEV, "%s: the device is gone", device->name);
	return device->ops->memory_register(device, pointer, size, memory, error);
}

uint64_t tandem_memory_size(const struct tandem_memory *memory)
{
	return memory->size;
}

uint32_t tandem_memory_region(const struct tandem_memory *memory)
{
	return memory->region;
}

struct tandem_device *tandem_memory_device(const struct tandem_memory *memory)
{
	return memory->device;
}
