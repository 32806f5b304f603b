// SPDX-License-Identifier: MIT
/*
 * What the driver says of a device in sysfs.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "attributes.h"

/* One line, without its newline; "" when there is no such attribute. */
static bool read_text(const char *device, const char *attribute, char *text, int size)
{
	char path[256];
	FILE *file;

	*text = 0;
	snprintf(path, sizeof(path), "/sys/class/accel/%s/device/%s", device, attribute);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(text, size, file))
		*text = 0;
	fclose(file);
	text[strcspn(text, "\n")] = 0;
	return *text;
}

static uint64_t read_number(const char *device, const char *attribute)
{
	uint64_t number = 0;
	char text[32];

	if (!read_text(device, attribute, text, sizeof(text)) ||
	    sscanf(text, "%" SCNu64, &number) != 1)
		return 0;
	return number;
}

static bool read_memory(const char *device, unsigned int index, struct memory_attributes *memory)
{
	char name[32];

	snprintf(name, sizeof(name), "memory_class%u/kind", index);
	if (!read_text(device, name, memory->kind, sizeof(memory->kind)))
		return false;
	snprintf(name, sizeof(name), "memory_class%u/size", index);
	memory->size = read_number(device, name);
	snprintf(name, sizeof(name), "memory_class%u/used", index);
	memory->used = read_number(device, name);
	return true;
}

void attributes_read(struct attributes *attributes, const char *name)
{
	struct timespec now;

	memset(attributes, 0, sizeof(*attributes));
	read_text(name, "state", attributes->state, sizeof(attributes->state));
	read_text(name, "firmware_version", attributes->firmware_version,
		  sizeof(attributes->firmware_version));
	attributes->resets = read_number(name, "resets");
	attributes->contexts = read_number(name, "contexts");
	attributes->completed = read_number(name, "commands_completed");
	attributes->failed = read_number(name, "commands_failed");
	while (attributes->memory_count < ATTRIBUTES_MEMORY_CLASSES &&
	       read_memory(name, attributes->memory_count,
			   &attributes->memory[attributes->memory_count]))
		attributes->memory_count++;
	attributes->copy_busy_ns = read_number(name, "copy_busy_ns");
	attributes->compute_busy_ns = read_number(name, "compute_busy_ns");
	clock_gettime(CLOCK_MONOTONIC, &now);
	attributes->read_ns = (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
