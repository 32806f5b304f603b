// SPDX-License-Identifier: MIT
/* Contexts and regions. */
#include <stdatomic.h>

#include "device.h"
#include "regions.h"

/*
 * The driver changes tables while the device runs, so entries are read member
 * by member with atomic loads, flags first: VALID is set last and cleared
 * first.
 */
struct context_read {
	const struct tandem_hw_context *from;
	struct tandem_hw_context to;
};

static void context_read_body(void *argument)
{
	struct context_read *read = argument;

	read->to.flags = atomic_load_explicit((const _Atomic uint32_t *)&read->from->flags,
					      memory_order_acquire);
	read->to.regions = atomic_load_explicit((const _Atomic uint64_t *)&read->from->regions,
						memory_order_relaxed);
	read->to.region_count =
		atomic_load_explicit((const _Atomic uint32_t *)&read->from->region_count,
				     memory_order_relaxed);
}

uint32_t fw_context_load(struct tandem_fw *fw, uint32_t index, struct fw_context *context)
{
	struct context_read read;
	uint64_t address;

	if (index >= fw->context_count)
		return TANDEM_HW_INVALID_CONTEXT;
	/* Cannot overflow: the whole table was found when the device started. */
	address = fw->context_table + (uint64_t)index * sizeof(*read.from);
	read.from = fw->bus->host(fw->bus, address, sizeof(*read.from), false);
	if (!read.from || fw_guarded(fw, context_read_body, &read))
		return TANDEM_HW_BUS_FAULT;

	if (read.to.flags != TANDEM_HW_CONTEXT_VALID || read.to.regions % 8)
		return TANDEM_HW_INVALID_CONTEXT;

	context->region_count = read.to.region_count;
	context->regions = NULL;
	if (!read.to.region_count)
		return TANDEM_HW_OK;
	context->regions =
		fw->bus->host(fw->bus, read.to.regions,
			      (uint64_t)read.to.region_count * sizeof(*context->regions),
			      false);
	return context->regions ? TANDEM_HW_OK : TANDEM_HW_BUS_FAULT;
}

struct region_read {
	const struct tandem_hw_region *from;
	struct tandem_hw_region to;
};

static void region_read_body(void *argument)
{
	struct region_read *read = argument;

	read->to.flags = atomic_load_explicit((const _Atomic uint32_t *)&read->from->flags,
					      memory_order_acquire);
	read->to.address = atomic_load_explicit((const _Atomic uint64_t *)&read->from->address,
						memory_order_relaxed);
	read->to.length = atomic_load_explicit((const _Atomic uint64_t *)&read->from->length,
					       memory_order_relaxed);
}

uint32_t fw_region_resolve(struct tandem_fw *fw, const struct fw_context *context,
			   uint32_t index, uint64_t offset, uint64_t length,
			   uint32_t access, struct fw_range *range)
{
	struct region_read read;
	uint64_t end, last;

	if (index >= context->region_count)
		return TANDEM_HW_REGION_FAULT;
	read.from = &context->regions[index];
	if (fw_guarded(fw, region_read_body, &read))
		return TANDEM_HW_BUS_FAULT;

	if (!(read.to.flags & TANDEM_HW_REGION_VALID) || (read.to.flags & access) != access)
		return TANDEM_HW_REGION_FAULT;
	if (__builtin_add_overflow(offset, length, &end) || end > read.to.length)
		return TANDEM_HW_REGION_FAULT;
	if (__builtin_add_overflow(read.to.address, read.to.length, &last))
		return TANDEM_HW_REGION_FAULT;

	range->address = read.to.address + offset;
	range->length = length;
	range->host = read.to.flags & TANDEM_HW_REGION_HOST;
	if (range->host)
		range->pointer = fw->bus->host(fw->bus, range->address, length,
					       access & TANDEM_HW_REGION_WRITE);
	else
		range->pointer = fw->bus->memory(fw->bus, range->address, length);
	return range->pointer ? TANDEM_HW_OK : TANDEM_HW_BUS_FAULT;
}
