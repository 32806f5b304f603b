// SPDX-License-Identifier: MIT
/*
 * What stands behind "inproc:": PROFILE[,mem=SIZE][,sram=SIZE][,cores=N].
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "inproc.h"
#include "../firmware-sim/profiles.h"

#define PAGE_BYTES	4096ull
#define CORES_MAX	256
/* Addresses that a window has; 1 TiB, as on the emulated bus. */
#define MEMORY_MAX	(1ull << INPROC_WINDOW_SHIFT)

/*
 * Two devices of one process share its machine. Pages are only taken when they
 * are used.
 */
static uint64_t default_memory_size(const struct tandem_fw_profile *profile)
{
	uint64_t size = (uint64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / 2;

	if (profile->memory_size && profile->memory_size < size)
		size = profile->memory_size;
	if (size > MEMORY_MAX)
		size = MEMORY_MAX;
	return size & ~(PAGE_BYTES - 1);
}

static uint32_t default_cores(void)
{
	cpu_set_t cpus;
	int count;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		return 1;
	count = CPU_COUNT(&cpus);
	return count > CORES_MAX ? CORES_MAX : count;
}

/* A number with nothing before it; *@end is behind it. */
static bool parse_number(const char *text, uint64_t *value, const char **end)
{
	char *behind;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*value = strtoull(text, &behind, 10);
	*end = behind;
	return !errno;
}

static bool parse_size(const char *text, uint64_t *size)
{
	static const char units[] = "KMGT";
	const char *unit;
	const char *end;
	unsigned int shift;

	if (!parse_number(text, size, &end))
		return false;
	if (!*end)
		return true;
	unit = strchr(units, toupper((unsigned char)*end));
	if (!unit || end[1])
		return false;
	shift = 10 * (unit - units + 1);
	if (*size > UINT64_MAX >> shift)
		return false;
	*size <<= shift;
	return true;
}

/* The value of option @option, rounded up to whole pages. */
static int parse_memory(const char *name, const char *option, const char *value, uint64_t *size,
			struct tandem_error *error)
{
	if (!parse_size(value, size) || !*size || *size > MEMORY_MAX)
		return tandem_error_set(error, -EINVAL,
					"device \"%s\": %s=%s is not a size from 4K to 1T, such as 512M",
					name, option, value);
	*size = (*size + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	return 0;
}

static int parse_cores(const char *name, const char *value, struct inproc_options *options,
		       struct tandem_error *error)
{
	uint64_t cores;
	const char *end;

	if (!parse_number(value, &cores, &end) || *end || !cores || cores > CORES_MAX)
		return tandem_error_set(error, -EINVAL,
					"device \"%s\": cores=%s is not a number from 1 to %d",
					name, value, CORES_MAX);
	options->cores = cores;
	return 0;
}

static int parse_option(const char *name, const char *option, struct inproc_options *options,
			struct tandem_error *error)
{
	if (!strncmp(option, "mem=", 4))
		return parse_memory(name, "mem", option + 4, &options->memory_size, error);
	if (!strncmp(option, "sram=", 5))
		return parse_memory(name, "sram", option + 5, &options->sram_size, error);
	if (!strncmp(option, "cores=", 6))
		return parse_cores(name, option + 6, options, error);
	return tandem_error_set(error, -EINVAL,
				"device \"%s\": unknown option \"%s\"; there are mem=SIZE, sram=SIZE and cores=N",
				name, option);
}

static int unknown_profile(const char *name, const char *wanted, struct tandem_error *error)
{
	const struct tandem_fw_profile *profile;
	char known[128] = "";
	size_t used = 0;
	size_t i;

	for (i = 0; (profile = tandem_fw_profile_at(i)); i++) {
		used += snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "",
				 profile->name);
		if (used >= sizeof(known))
			break;
	}
	return tandem_error_set(error, -EINVAL,
				"device \"%s\": unknown profile \"%s\"; there are %s", name,
				wanted, known);
}

int inproc_options_parse(const char *name, const char *text, struct inproc_options *options,
			 struct tandem_error *error)
{
	const struct tandem_fw_profile *profile;
	char copy[sizeof(((struct tandem_device *)0)->name)];
	char *rest = copy;
	char *option;
	int ret;

	memset(options, 0, sizeof(*options));
	if (strlen(text) >= sizeof(copy))
		return tandem_error_set(error, -EINVAL, "device \"%.40s…\": the name is too long",
					name);
	strcpy(copy, text);

	option = strsep(&rest, ",");
	profile = tandem_fw_profile_find(option);
	if (!profile || strlen(profile->name) >= sizeof(options->profile))
		return unknown_profile(name, option, error);
	strcpy(options->profile, profile->name);
	options->memory_size = default_memory_size(profile);
	options->cores = default_cores();

	while ((option = strsep(&rest, ","))) {
		ret = parse_option(name, option, options, error);
		if (ret < 0)
			return ret;
	}
	return 0;
}
