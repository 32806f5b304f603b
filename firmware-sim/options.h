/* SPDX-License-Identifier: MIT */
/*
 * The command line of tandem-fw.
 */
#ifndef TANDEM_FIRMWARE_OPTIONS_H
#define TANDEM_FIRMWARE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* Faults that one command line can ask for. */
#define FW_OPTIONS_FAULTS_MAX	32

/**
 * struct fw_options - what the user wants
 * @profile: a profile's name, checked
 * @device: path of the bus's control node
 * @isa: instruction set, or NULL
 * @memory_size: bytes, a multiple of 4096
 * @sram_size: bytes of SRAM beside it, likewise; or 0
 * @copy_queues: queues of kind COPY
 * @compute_queues: queues of kind COMPUTE
 * @cores: threads of a compute queue
 * @look_us: longest look for a command before sleeping, in microseconds
 * @log_level: &enum tandem_fw_log_level
 * @faults: texts of --fault, not checked; NULL after the last
 * @fault_count: how many there are
 * @list_profiles: print the profiles and do nothing else
 */
struct fw_options {
	const char *profile;
	const char *device;
	const char *isa;
	uint64_t memory_size;
	uint64_t sram_size;
	uint32_t copy_queues;
	uint32_t compute_queues;
	uint32_t cores;
	uint32_t look_us;
	int log_level;
	const char *faults[FW_OPTIONS_FAULTS_MAX + 1];
	int fault_count;
	bool list_profiles;
};

/* Read the command line. Ends the process with a message when it is wrong. */
void fw_options_parse(struct fw_options *options, int argc, char **argv);

#endif /* TANDEM_FIRMWARE_OPTIONS_H */
