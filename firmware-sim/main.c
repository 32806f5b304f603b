// SPDX-License-Identifier: MIT
/* tandem-fw: the device as a process. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu_bus.h"
#include "fault_guard.h"
#include "firmware.h"
#include "options.h"
#include "profiles.h"

static void list_profiles(void)
{
	static const char *const roles[] = { "any", "prefill", "decode" };
	static const char *const kinds[] = { "DRAM", "HBM", "SRAM" };
	const struct tandem_fw_profile *profile;

	for (size_t i = 0; (profile = tandem_fw_profile_at(i)); i++) {
		printf("%-5s %-7s %s (%s)\n", profile->name, roles[profile->role],
		       profile->description, profile->source);
		if (profile->flops)
			printf("      %g TFLOP/s, %g GB of %s, %g TB/s, link %g Gb/s\n",
			       (double)profile->flops / 1e12,
			       (double)profile->memory_size / 1e9,
			       kinds[profile->memory_kind],
			       (double)profile->memory_bandwidth / 1e12,
			       (double)profile->link_bandwidth * 8 / 1e9);
	}
}

/* Signals that end the device are waited for; all threads inherit the mask. */
static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, set, NULL);
}

static int run(const struct fw_options *options, struct emu_bus *emu)
{
	const struct tandem_fw_config config = {
		.profile = options->profile,
		.memory_size = options->memory_size,
		.sram_size = options->sram_size,
		.copy_queues = options->copy_queues,
		.compute_queues = options->compute_queues,
		.cores = options->cores,
		.isa = options->isa,
		.faults = options->faults,
		.look_us_max = options->look_us,
		.log_level = options->log_level,
	};
	char error[TANDEM_FW_ERROR_BYTES > EMU_BUS_ERROR_BYTES ? TANDEM_FW_ERROR_BYTES :
		   EMU_BUS_ERROR_BYTES];
	struct tandem_fw *fw;
	sigset_t set;
	int ret, got;

	ret = tandem_fw_create(&config, &emu->bus, &fw, error);
	if (ret)
		goto complain;
	ret = emu_bus_open(emu, options->device, options->memory_size + options->sram_size,
			   options->copy_queues + options->compute_queues, error);
	if (ret)
		goto destroy;
	emu->log_level = options->log_level;

	block_signals(&set);
	ret = tandem_fw_start(fw);
	if (ret) {
		snprintf(error, sizeof(error), "cannot start the device: %s", strerror(-ret));
		goto close;
	}
	ret = emu_bus_plug(emu, error);
	if (ret)
		goto stop;
	fprintf(stderr, "tandem-fw: slot %u: %s with %" PRIu64 " MiB is plugged in\n",
		emu->slot, options->profile,
		(options->memory_size + options->sram_size) >> 20);
	sigwait(&set, &got);

	tandem_fw_destroy(fw);
	emu_bus_close(emu);
	return 0;

stop:
	tandem_fw_stop(fw);
close:
	emu_bus_close(emu);
destroy:
	tandem_fw_destroy(fw);
complain:
	fprintf(stderr, "tandem-fw: %s\n", error);
	return ret;
}

int main(int argc, char **argv)
{
	struct fw_options options;
	struct emu_bus emu;

	fw_options_parse(&options, argc, argv);
	if (options.list_profiles) {
		list_profiles();
		return EXIT_SUCCESS;
	}
	if (fw_fault_guard_install()) {
		fprintf(stderr, "tandem-fw: cannot take over SIGBUS\n");
		return EXIT_FAILURE;
	}
	return run(&options, &emu) ? EXIT_FAILURE : EXIT_SUCCESS;
}
