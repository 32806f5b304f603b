/* SPDX-License-Identifier: MIT */
/*
 * What the driver says of a device in sysfs: see
 * Documentation/ABI/testing/sysfs-driver-tandem.
 */
#ifndef TANDEM_TOOLS_ATTRIBUTES_H
#define TANDEM_TOOLS_ATTRIBUTES_H

#include <stdint.h>

#define ATTRIBUTES_MEMORY_CLASSES	4

/**
 * struct memory_attributes - a class of a device's memory
 * @kind: such as "hbm"
 * @size: bytes
 * @used: bytes that are taken
 */
struct memory_attributes {
	char kind[16];
	uint64_t size;
	uint64_t used;
};

/**
 * struct attributes - a device at a point of time; what it lacks is zero or ""
 * @state: such as "running"
 * @firmware_version: for people
 * @resets: since it was plugged in, like the counts below
 * @contexts: that exist
 * @completed: commands that ended
 * @failed: of these, with an error
 * @copy_busy_ns: time that copy queues spent on commands
 * @compute_busy_ns: likewise of compute queues
 * @memory: its classes
 * @memory_count: how many there are
 * @read_ns: when this was read, CLOCK_MONOTONIC
 */
struct attributes {
	char state[16];
	char firmware_version[32];
	uint64_t resets;
	uint64_t contexts;
	uint64_t completed;
	uint64_t failed;
	uint64_t copy_busy_ns;
	uint64_t compute_busy_ns;
	struct memory_attributes memory[ATTRIBUTES_MEMORY_CLASSES];
	uint32_t memory_count;
	uint64_t read_ns;
};

/* Read those of a device by its name, "accelN". */
void attributes_read(struct attributes *attributes, const char *name);

#endif /* TANDEM_TOOLS_ATTRIBUTES_H */
