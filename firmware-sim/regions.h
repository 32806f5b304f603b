/* SPDX-License-Identifier: MIT */
/*
 * Contexts and regions: the only way from a command to memory.
 */
#ifndef TANDEM_FIRMWARE_REGIONS_H
#define TANDEM_FIRMWARE_REGIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <tandem_hw.h>

struct tandem_fw;

/**
 * struct fw_context - a private copy of a context table entry
 * @regions: the region table, in host memory
 * @region_count: entries of it
 */
struct fw_context {
	const struct tandem_hw_region *regions;
	uint32_t region_count;
};

/**
 * struct fw_range - memory that a command may touch
 * @pointer: where it is
 * @address: device or bus address
 * @length: bytes
 * @host: @address is a bus address
 */
struct fw_range {
	void *pointer;
	uint64_t address;
	uint64_t length;
	bool host;
};

/**
 * fw_context_load() - look a context up
 * @fw: the device
 * @index: into the context table
 * @context: filled in
 *
 * Return: TANDEM_HW_OK, INVALID_CONTEXT or BUS_FAULT.
 */
uint32_t fw_context_load(struct tandem_fw *fw, uint32_t index, struct fw_context *context);

/**
 * fw_region_resolve() - look a range of a region up
 * @fw: the device
 * @context: of the command
 * @index: of the region
 * @offset: from the region's start
 * @length: bytes
 * @access: TANDEM_HW_REGION_READ, TANDEM_HW_REGION_WRITE or both
 * @range: filled in
 *
 * Reads the table's entry once.
 *
 * Return: TANDEM_HW_OK, REGION_FAULT or BUS_FAULT.
 */
uint32_t fw_region_resolve(struct tandem_fw *fw, const struct fw_context *context,
			   uint32_t index, uint64_t offset, uint64_t length,
			   uint32_t access, struct fw_range *range);

#endif /* TANDEM_FIRMWARE_REGIONS_H */
