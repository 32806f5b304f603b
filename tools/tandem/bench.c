// SPDX-License-Identifier: MIT
/* tandem bench: speeds, as ratios to something that was measured beside it. */
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "commands.h"

struct benchmark {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
};

static const struct benchmark benchmarks[] = {
	{ "driver", "what a command costs, and how fast copies are, on an accel device",
	  bench_driver },
	{ "file", "device memory to storage and back, beside fio", bench_file },
	{ "model", "tokens a second of prefill and decode, beside llama.cpp", bench_model },
	{ "serve", "many requests on two devices, beside one", bench_serve },
	{ "xfer", "how fast KV blocks travel, and what that costs", bench_xfer },
};

#define BENCHMARK_COUNT (sizeof(benchmarks) / sizeof(benchmarks[0]))

static void print_help(FILE *file)
{
	fprintf(file, "Usage: tandem bench NAME [OPTION...]\n\n");
	for (size_t i = 0; i < BENCHMARK_COUNT; i++)
		fprintf(file, "  %-8s %s\n", benchmarks[i].name, benchmarks[i].summary);
	fprintf(file, "\n`tandem bench NAME --help` tells more of each.\n");
}

int command_bench(int argc, char **argv)
{
	char name[64];

	if (argc < 2) {
		print_help(stderr);
		return 1;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-?")) {
		print_help(stdout);
		return 0;
	}
	for (size_t i = 0; i < BENCHMARK_COUNT; i++) {
		if (strcmp(argv[1], benchmarks[i].name))
			continue;
		snprintf(name, sizeof(name), "tandem bench %s", benchmarks[i].name);
		argv[1] = name;
		return benchmarks[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "tandem: there is no benchmark '%s'; `tandem bench --help` lists them\n",
		argv[1]);
	return 1;
}
