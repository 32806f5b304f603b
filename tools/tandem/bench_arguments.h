/* SPDX-License-Identifier: MIT */
/* The options that all benchmarks have in common. */
#ifndef TANDEM_BENCH_ARGUMENTS_H
#define TANDEM_BENCH_ARGUMENTS_H

#include <argp.h>
#include <stdbool.h>

/**
 * struct bench_arguments - what is asked for; to begin with, the defaults
 * @rounds: samples of each figure, at most %BENCH_ROUNDS_MAX
 * @seconds: time of a sample, 0.01 … 60
 * @json: not as a table
 */
struct bench_arguments {
	unsigned long rounds;
	double seconds;
	bool json;
};

/* --rounds, --seconds and --json, as a child of a benchmark's own; its input is the above. */
extern const struct argp bench_arguments_argp;

#endif /* TANDEM_BENCH_ARGUMENTS_H */
