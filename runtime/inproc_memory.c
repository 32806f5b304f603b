// SPDX-License-Identifier: MIT
/*
 * Memory objects of an inproc device, and the region table in which its
 * context finds them.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "error.h"
#include "inproc.h"

#define REGION_ACCESS	(TANDEM_HW_REGION_READ | TANDEM_HW_REGION_WRITE)

/**
 * struct inproc_memory - an object, or a view of another device's
 * @base: generic part
 * @range: what it stands for; held
 * @view: it is of another device, reached through a window
 */
struct inproc_memory {
	struct tandem_memory base;
	struct inproc_range *range;
	bool view;
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

/* Takes over the caller's reference to @range if it succeeds. */
static int memory_create(struct inproc_device *device, struct inproc_range *range, bool view,
			 struct tandem_memory **memory, struct tandem_error *error)
{
	struct inproc_memory *new;
	uint64_t address;

	new = calloc(1, sizeof(*new));
	if (!new)
		return tandem_error_set(error, -ENOMEM, "%s: out of memory", device->base.name);
	if (region_alloc(device, &new->base.region) < 0) {
		free(new);
		return tandem_error_set(error, -ENOSPC,
					"%s: all %d memory regions are in use; free some or allocate fewer, larger ones",
					device->base.name, INPROC_OBJECT_REGIONS);
	}
	new->base.device = &device->base;
	new->base.size = range->size;
	new->range = range;
	new->view = view;
	if (view)
		address = inproc_window_set(device, new->base.region, inproc_range_pointer(range),
					    range->size, true);
	else
		address = range->address;
	inproc_region_set(device, new->base.region, address, range->size,
			  REGION_ACCESS | (view ? TANDEM_HW_REGION_HOST : 0));
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
		       struct inproc_range **range)
{
	const struct tandem_hw_memory_class *from = &device->identity.memory_class[index];
	uint64_t start = le64toh(from->start);

	return inproc_range_alloc(device->store, start, start + le64toh(from->size), size, range);
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
			struct tandem_memory **memory, struct tandem_error *error)
{
	struct inproc_device *device = to_inproc(base);
	uint32_t classes = le32toh(device->identity.memory_class_count);
	struct inproc_range *range;
	int ret = -ENOSPC;
	uint32_t i;

	if (index != TANDEM_MEMORY_CLASS_ANY && index >= classes)
		return tandem_error_set(error, -EINVAL,
					"%s: no memory class %" PRIu32 "; there are %" PRIu32,
					base->name, index, classes);
	if (index != TANDEM_MEMORY_CLASS_ANY)
		ret = range_alloc(device, size, index, &range);
	else
		for (i = 0; i < classes && ret == -ENOSPC; i++)
			ret = range_alloc(device, size, i, &range);
	if (ret == -ENOSPC)
		return memory_full(device, size, index, error);
	if (ret < 0)
		return tandem_error_set(error, ret, "%s: out of memory", base->name);
	ret = memory_create(device, range, false, memory, error);
	if (ret < 0)
		inproc_range_put(range);
	return ret;
}

int inproc_memory_share(struct tandem_memory *memory, struct tandem_device *device,
			struct tandem_memory **shared, struct tandem_error *error)
{
	struct inproc_range *range = to_inproc_memory(memory)->range;
	int ret;

	inproc_range_get(range);
	ret = memory_create(to_inproc(device), range, true, shared, error);
	if (ret < 0)
		inproc_range_put(range);
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
	inproc_range_put(inproc->range);
	free(inproc);
}

int inproc_memory_map(struct tandem_memory *memory, void **pointer)
{
	*pointer = inproc_range_pointer(to_inproc_memory(memory)->range);
	return 0;
}

int inproc_memory_export(struct tandem_memory *memory)
{
	(void)memory;
	return -EOPNOTSUPP;
}
