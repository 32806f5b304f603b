// SPDX-License-Identifier: MIT
/* The command line of tandem-fw. */
#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tandem_emu.h>
#include <tandem_hw.h>

#include "fault_spec.h"
#include "firmware.h"
#include "options.h"
#include "profiles.h"

#define LOOK_US		200

enum {
	KEY_PROFILE = 0x100,
	KEY_MEMORY,
	KEY_SRAM,
	KEY_COPY_QUEUES,
	KEY_COMPUTE_QUEUES,
	KEY_CORES,
	KEY_LOOK,
	KEY_ISA,
	KEY_DEVICE,
	KEY_LOG,
	KEY_FOREGROUND,
	KEY_LIST_PROFILES,
	KEY_FAULT,
};

static const struct argp_option known[] = {
	{ "profile", KEY_PROFILE, "NAME", 0, "Part to stand in for; see --list-profiles", 0 },
	{ "mem", KEY_MEMORY, "SIZE", 0,
	  "Device memory in bytes, or with a suffix K, M or G (default 256M)", 0 },
	{ "sram", KEY_SRAM, "SIZE", 0,
	  "On-chip memory beside it, as a class of its own (default none)", 0 },
	{ "copy-queues", KEY_COPY_QUEUES, "N", 0, "Hardware queues for copies (default 2)", 0 },
	{ "compute-queues", KEY_COMPUTE_QUEUES, "N", 0,
	  "Hardware queues for programs (default 2)", 0 },
	{ "cores", KEY_CORES, "N", 0, "Threads that each compute queue uses (default 1)", 0 },
	{ "look", KEY_LOOK, "US", 0,
	  "Microseconds that an engine looks for the next command before it sleeps, at most, when commands come close to each other (default 200; 0 with one processor)", 0 },
	{ "isa", KEY_ISA, "SET", 0,
	  "Instructions of the kernels: scalar, avx2, avx512, avx512vnni or avx512bf16 (default: the best there is)", 0 },
	{ "device", KEY_DEVICE, "PATH", 0, "Control node of the bus (default /dev/tandem-emu)",
	  0 },
	{ "log", KEY_LOG, "LEVEL", 0, "What to print: error, info or debug (default error). The log that the driver reads always has error and info, and debug when it is printed", 0 },
	{ "foreground", KEY_FOREGROUND, NULL, 0,
	  "Stay in the foreground, which it always does", 0 },
	{ "fault", KEY_FAULT, "KIND[:ARGS]", 0,
	  "Do something wrong, to test drivers; may be repeated. See below", 0 },
	{ "list-profiles", KEY_LIST_PROFILES, NULL, 0, "Print the profiles and exit", 0 },
	{ 0 },
};

static uint64_t parse_size(struct argp_state *state, const char *option, const char *text)
{
	unsigned long long number;
	int shift = 0;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 10);
	switch (toupper((unsigned char)*end)) {
	case 'K':
		shift = 10;
		break;
	case 'M':
		shift = 20;
		break;
	case 'G':
		shift = 30;
		break;
	}
	if (shift)
		end++;
	if (errno || !isdigit((unsigned char)text[0]) || *end || number > UINT64_MAX >> shift)
		argp_error(state, "--%s: '%s' is not a size such as 262144K, 256M or 1G", option,
			   text);
	number <<= shift;
	if (!number || number % 4096 || number > TANDEM_EMU_MEMORY_MAX)
		argp_error(state, "--%s: %s: give a multiple of 4096 bytes, at most 1024G",
			   option, text);
	return number;
}

static uint32_t parse_number(struct argp_state *state, const char *option, const char *text,
			     uint32_t minimum, uint32_t maximum)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno || !isdigit((unsigned char)text[0]) || *end || number < minimum ||
	    number > maximum)
		argp_error(state, "--%s: '%s' is not a number from %u to %u", option, text,
			   minimum, maximum);
	return (uint32_t)number;
}

static int parse_level(struct argp_state *state, const char *text)
{
	if (!strcmp(text, "error"))
		return TANDEM_FW_LOG_ERROR;
	if (!strcmp(text, "info"))
		return TANDEM_FW_LOG_INFO;
	if (!strcmp(text, "debug"))
		return TANDEM_FW_LOG_DEBUG;
	argp_error(state, "--log: '%s' is none of error, info, debug", text);
	return 0;
}

/* What --fault takes is known to fault_spec.c. */
static char *help(int key, const char *text, void *input)
{
	char *all = NULL;
	size_t size;
	FILE *to;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	to = open_memstream(&all, &size);
	if (!to)
		return (char *)text;
	fprintf(to, "%s\n\n", text);
	fw_fault_spec_help(to);
	if (!fclose(to))
		return all;
	free(all);
	return (char *)text;
}

static void check(struct argp_state *state, const struct fw_options *options)
{
	if (options->list_profiles)
		return;
	if (!options->profile)
		argp_error(state, "--profile is missing; --list-profiles shows the choice");
	else if (!tandem_fw_profile_find(options->profile))
		argp_error(state, "--profile: '%s' is unknown; --list-profiles shows the choice",
			   options->profile);
	else if (options->sram_size && tandem_fw_profile_find(options->profile)->memory_kind ==
					       TANDEM_HW_MEMORY_SRAM)
		argp_error(state, "--sram: the memory of '%s' is SRAM: give its size with --mem",
			   options->profile);
	if (options->memory_size + options->sram_size > TANDEM_EMU_MEMORY_MAX)
		argp_error(state, "--mem and --sram: at most 1024G together");
	if (options->copy_queues + options->compute_queues < 1 ||
	    options->copy_queues + options->compute_queues > TANDEM_HW_QUEUES_MAX)
		argp_error(state, "--copy-queues and --compute-queues: 1 to %d together",
			   TANDEM_HW_QUEUES_MAX);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct fw_options *options = state->input;

	switch (key) {
	case KEY_PROFILE:
		options->profile = argument;
		return 0;
	case KEY_MEMORY:
		options->memory_size = parse_size(state, "mem", argument);
		return 0;
	case KEY_SRAM:
		options->sram_size = parse_size(state, "sram", argument);
		return 0;
	case KEY_COPY_QUEUES:
		options->copy_queues = parse_number(state, "copy-queues", argument, 0,
						    TANDEM_HW_QUEUES_MAX);
		return 0;
	case KEY_COMPUTE_QUEUES:
		options->compute_queues = parse_number(state, "compute-queues", argument, 0,
						       TANDEM_HW_QUEUES_MAX);
		return 0;
	case KEY_CORES:
		options->cores = parse_number(state, "cores", argument, 1, 256);
		return 0;
	case KEY_LOOK:
		options->look_us = parse_number(state, "look", argument, 0,
						TANDEM_FW_LOOK_US_MAX);
		return 0;
	case KEY_ISA:
		options->isa = argument;
		return 0;
	case KEY_DEVICE:
		options->device = argument;
		return 0;
	case KEY_LOG:
		options->log_level = parse_level(state, argument);
		return 0;
	case KEY_FOREGROUND:
		return 0;
	case KEY_FAULT:
		if (options->fault_count == FW_OPTIONS_FAULTS_MAX)
			argp_error(state, "--fault: at most %d", FW_OPTIONS_FAULTS_MAX);
		options->faults[options->fault_count++] = argument;
		return 0;
	case KEY_LIST_PROFILES:
		options->list_profiles = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is one argument too many", argument);
		return EINVAL;
	case ARGP_KEY_END:
		check(state, options);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void fw_options_parse(struct fw_options *options, int argc, char **argv)
{
	const struct argp parser = {
		.options = known,
		.parser = parse,
		.doc = "Be a Tandem accelerator on the emulated bus of tandem_emu.ko."
		       "\vRuns until SIGTERM or SIGINT, then the device is unplugged. "
		       "One process is one device; start as many as are wanted.",
		.help_filter = help,
	};

	*options = (struct fw_options){
		.device = "/dev/tandem-emu",
		.memory_size = 256ull << 20,
		.copy_queues = 2,
		.compute_queues = 2,
		.cores = 1,
		/* On a single processor, looking keeps commands from coming. */
		.look_us = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? LOOK_US : 0,
		.log_level = TANDEM_FW_LOG_ERROR,
	};
	argp_program_version = tandem_fw_version();
	argp_parse(&parser, argc, argv, 0, NULL, options);
}
