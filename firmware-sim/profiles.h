/* SPDX-License-Identifier: MIT */
/*
 * Device profiles: the figures of real parts that a device stands in for.
 */
#ifndef TANDEM_FIRMWARE_PROFILES_H
#define TANDEM_FIRMWARE_PROFILES_H

#include <stddef.h>
#include <stdint.h>

/**
 * struct tandem_fw_profile - a modelled part
 * @name: what the user calls it, shorter than 32 bytes
 * @description: for a person
 * @source: where the figures come from
 * @role: &enum tandem_hw_role
 * @memory_kind: &enum tandem_hw_memory_kind
 * @memory_size: bytes; 0 when unknown, like the following
 * @memory_bandwidth: bytes a second
 * @flops: peak dense bf16 operations a second
 * @link_bandwidth: bytes a second of network
 */
struct tandem_fw_profile {
	const char *name;
	const char *description;
	const char *source;
	uint32_t role;
	uint32_t memory_kind;
	uint64_t memory_size;
	uint64_t memory_bandwidth;
	uint64_t flops;
	uint64_t link_bandwidth;
};

/* The profile of that name, or NULL. */
const struct tandem_fw_profile *tandem_fw_profile_find(const char *name);

/* The profile number @index, from 0; NULL after the last. */
const struct tandem_fw_profile *tandem_fw_profile_at(size_t index);

#endif /* TANDEM_FIRMWARE_PROFILES_H */
