// SPDX-License-Identifier: MIT
/*
 * Memory objects of an inproc device, and the region table in which its
 * context finds them.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "error.h"
#include "inproc.h"

/**
 * struct inproc_memory - an object, or a view of something else
 * @base: generic part
 * @range: what it stands for; held. NULL for what is no memory of inproc devices of this
 *	process
 * @mapping: of that; else NULL
 * @dmabuf: that @mapping is of, owned; else -1
 * @borrowed: @mapping is the application's
 * @view: it is not of this device, and reached through a window
 * @writable: the device may write
 */
struct inproc_memory {
	struct tandem_memory base;
	struct inproc_range *range;
	void *mapping;
	int dmabuf;
	bool borrowed;
	bool view;
	bool writable;
};

static struct inproc_memory *to_inproc_memory(struct tandem_memory *memory)
{
	return (struct inproc_memory *)memory;
}

void inproc_region_set(struct inproc_device *device, uint32_t region, uint64_t address,
		       uint64_t length, uint32_t flags)
{
	struct tandem_hw_region *entry = &device->host->regions[region];

	__atomic_store_n(&entry->flags, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&entry->address, htole64(address), __ATOMIC_SEQ_CST);
	__atomic_store_n(&entry->length, htole64(length), __ATOMIC_SEQ_CST);
	if (flags)
		__atomic_store_n(&entry->flags, htole32(flags | TANDEM_HW_REGION_VALID),
				 __ATOMIC_SEQ_CST);
}

static int region_alloc(struct inproc_device *device, uint32_t *region)
{
	uint32_t i;

	for (i = 0; i < INPROC_OBJECT_REGIONS / 64; i++) {
		uint64_t unused = ~device->regions_used[i];

		if (!unused)
			continue;
		*region = i * 64 + __builtin_ctzll(unused);
		device->regions_used[i] |= unused & -unused;
		return 0;
	}
	return -ENOSPC;
}

static void region_free(struct inproc_device *device, uint32_t region)
{
	device->regions_used[region / 64] &= ~(1ull << region % 64);
}

static void *memory_pointer(const struct inproc_memory *memory)
{
	return memory->range ? inproc_range_pointer(memory->range) : memory->mapping;
}

/*
 * @from holds all but the device and the region. What it refers to is taken over
 * if that succeeds.
 */
static int memory_create(struct inproc_device *device, const struct inproc_memory *from,
			 struct tandem_memory **memory, struct tandem_error *error)
{
	struct inproc_memory *new;
	uint64_t address;

	new = malloc(sizeof(*new));
	if (!new)
		return tandem_error_set(error, -ENOMEM, "%s: out of memory", device->base.name);
	*new = *from;
	if (region_alloc(device, &new->base.region) < 0) {
		free(new);
		return tandem_error_set(error, -ENOSPC,
					"%s: all %d memory regions are in use; free some or allocate fewer, larger ones",
					device->base.name, INPROC_OBJECT_REGIONS);
	}
	new->base.device = &device->base;
	if (new->view)
		address = inproc_window_set(device, new->base.region, memory_pointer(new),
					    new->base.size, new->writable);
	else
		address = new->range->address;
	inproc_region_set(device, new->base.region, address, new->base.size,
			  TANDEM_HW_REGION_READ |
				  (new->writable ? TANDEM_HW_REGION_WRITE : 0) |
			  (new->view ? TANDEM_HW_REGION_HOST : 0));
	*memory = &new->base;
	return 0;
}

int inproc_get_memory_class(struct tandem_device *base, uint32_t index,
			    struct tandem_memory_class *memory_class)
{
	struct inproc_device *device = to_inproc(base);
	const struct tandem_hw_memory_class *from;
	uint64_t start;

	if (index >= le32toh(device->identity.memory_class_count))
		return -EINVAL;
	from = &device->identity.memory_class[index];
	start = le64toh(from->start);
	memory_class->type = le32toh(from->kind);
	memory_class->size = le64toh(from->size);
	memory_class->used = inproc_store_used(device->store, start, start + memory_class->size);
	memory_class->bandwidth = le64toh(from->bandwidth);
	return 0;
}

/* From one class. */
static int range_alloc(struct inproc_device *device, uint64_t size, uint32_t index,
		       bool shareable, struct inproc_range **range)
{
	const struct tandem_hw_memory_class *from = &device->identity.memory_class[index];
	uint64_t start = le64toh(from->start);

	return inproc_range_alloc(device->store, start, start + le64toh(from->size), size,
				  shareable, range);
}

static int memory_full(struct inproc_device *device, uint64_t size, uint32_t index,
		       struct tandem_error *error)
{
	uint64_t total = inproc_store_size(device->store);
	struct tandem_memory_class memory_class;

	if (index == TANDEM_MEMORY_CLASS_ANY)
		return tandem_error_set(error, -ENOSPC,
					"%s: no room for %" PRIu64 " bytes: %" PRIu64 " of %" PRIu64
					" bytes of device memory are in use; open it with a larger mem=",
					device->base.name, size,
					inproc_store_used(device->store, 0, total), total);
	inproc_get_memory_class(&device->base, index, &memory_class);
	return tandem_error_set(error, -ENOSPC,
				"%s: no room for %" PRIu64 " bytes: %" PRIu64 " of %" PRIu64
				" bytes of memory class %" PRIu32
				" are in use; open it with a larger mem= or sram=",
				device->base.name, size, memory_class.used, memory_class.size,
				index);
}

int inproc_memory_alloc(struct tandem_device *base, uint64_t size, uint32_t index,
			bool shareable, struct tandem_memory **memory,
			struct tandem_error *error)
{
	struct inproc_device *device = to_inproc(base);
	uint32_t classes = le32toh(device->identity.memory_class_count);
	struct inproc_memory from = { .base.size = size, .dmabuf = -1, .writable = true };
	int ret = -ENOSPC;
	uint32_t i;

	if (index != TANDEM_MEMORY_CLASS_ANY && index >= classes)
		return tandem_error_set(error, -EINVAL,
					"%s: no memory class %" PRIu32 "; there are %" PRIu32,
					base->name, index, classes);
	if (index != TANDEM_MEMORY_CLASS_ANY)
		ret = range_alloc(device, size, index, shareable, &from.range);
	else
		for (i = 0; i < classes && ret == -ENOSPC; i++)
			ret = range_alloc(device, size, i, shareable, &from.range);
	if (ret == -ENOSPC)
		return memory_full(device, size, index, error);
	if (ret == -EMFILE || ret == -ENFILE)
		return tandem_error_set(error, ret,
					"%s: memory for other processes needs a file, and too many are open; raise the limit (ulimit -n)",
					base->name);
	if (ret < 0)
		return tandem_error_set(error, ret, "%s: no memory: %s", base->name, strerror(-ret));
	ret = memory_create(device, &from, memory, error);
	if (ret < 0)
		inproc_range_put(from.range);
	return ret;
}

int inproc_memory_share(struct tandem_memory *memory, struct tandem_device *device,
			struct tandem_memory **shared, struct tandem_error *error)
{
	const struct inproc_memory *inproc = to_inproc_memory(memory);
	const struct inproc_memory from = {
		.base.size = memory->size,
		.range = inproc->range,
		.dmabuf = -1,
		.view = true,
		.writable = true,
	};
	int ret;

	if (inproc->dmabuf >= 0)
		return inproc_memory_import(device, inproc->dmabuf, memory->size, true, shared,
					    error);
	if (inproc->borrowed)
		return inproc_memory_register(device, inproc->mapping, memory->size, shared,
					      error);
	if (!from.range)
		return tandem_error_set(error, -EOPNOTSUPP,
					"%s: memory of another process can only be imported there, not shared from here",
					device->name);
	inproc_range_get(from.range);
	ret = memory_create(to_inproc(device), &from, shared, error);
	if (ret < 0)
		inproc_range_put(from.range);
	return ret;
}

void inproc_memory_free(struct tandem_memory *memory)
{
	struct inproc_device *device = to_inproc(memory->device);
	struct inproc_memory *inproc = to_inproc_memory(memory);

	inproc_region_set(device, memory->region, 0, 0, 0);
	inproc_context_sync(device);
	if (inproc->view)
		inproc_window_set(device, memory->region, NULL, 0, false);
	region_free(device, memory->region);
	if (inproc->range)
		inproc_range_put(inproc->range);
	else if (!inproc->borrowed)
		munmap(inproc->mapping, memory->size);
	if (inproc->dmabuf >= 0)
		close(inproc->dmabuf);
	free(inproc);
}

int inproc_memory_map(struct tandem_memory *memory, void **pointer)
{
	*pointer = memory_pointer(to_inproc_memory(memory));
	return 0;
}

int inproc_memory_export(struct tandem_memory *memory)
{
	const struct inproc_memory *inproc = to_inproc_memory(memory);
	const int file = inproc->range ? inproc->range->fd : inproc->dmabuf;
	int fd;

	if (file < 0)
		return -EOPNOTSUPP;
	fd = fcntl(file, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

/*
 * The file may come from anybody: it has to have all its bytes, for good, lest
 * reading end in SIGBUS.
 */
static bool is_sealed_memory(int fd, uint64_t size)
{
	struct statfs system;
	struct stat status;
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && seals & F_SEAL_SHRINK && !fstatfs(fd, &system) &&
	       system.f_type == TMPFS_MAGIC && !fstat(fd, &status) &&
	       (uint64_t)status.st_size >= size;
}

int inproc_memory_import(struct tandem_device *device, int fd, uint64_t size, bool writable,
			 struct tandem_memory **memory, struct tandem_error *error)
{
	struct inproc_memory from = {
		.base.size = size,
		.dmabuf = -1,
		.view = true,
		.writable = writable,
	};
	const bool is_dmabuf = device_dmabuf_bytes(fd) >= size;
	int ret;

	if (!is_dmabuf && !is_sealed_memory(fd, size))
		return tandem_error_set(error, -EINVAL,
					"%s: what is to be imported is no dma-buf and no memory of an inproc device, or shorter",
					device->name);
	from.mapping = mmap(NULL, size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
	if (from.mapping == MAP_FAILED)
		return tandem_error_set(error, -errno, "%s: cannot map what is to be imported: %s",
					device->name, strerror(errno));
	if (is_dmabuf) {
		from.dmabuf = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		ret = from.dmabuf < 0 ? -errno : 0;
		if (ret < 0) {
			tandem_error_set(error, ret, "%s: cannot hold the dma-buf: %s",
					 device->name, strerror(-ret));
			goto unmap;
		}
	}
	ret = memory_create(to_inproc(device), &from, memory, error);
	if (ret < 0)
		goto close_dmabuf;
	return 0;

close_dmabuf:
	if (from.dmabuf >= 0)
		close(from.dmabuf);
unmap:
	munmap(from.mapping, size);
	return ret;
}

int inproc_memory_register(struct tandem_device *device, void *pointer, uint64_t size,
			   struct tandem_memory **memory, struct tandem_error *error)
{
	const struct inproc_memory from = {
		.base.size = size,
		.mapping = pointer,
		.dmabuf = -1,
		.borrowed = true,
		.view = true,
		.writable = true,
	};

	return memory_create(to_inproc(device), &from, memory, error);
}
