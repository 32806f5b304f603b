// SPDX-License-Identifier: MIT
/* The options that all benchmarks have in common. */
#include <stdlib.h>

#include "arguments.h"
#include "bench_arguments.h"
#include "bench_table.h"

enum bench_key {
	KEY_JSON = 'j',
	KEY_ROUNDS = 'r',
	KEY_SECONDS = 's',
};

static const struct argp_option known[] = {
	{ "rounds", KEY_ROUNDS, "N", 0, "samples of each figure, 1 to 99", 0 },
	{ "seconds", KEY_SECONDS, "S", 0, "time of a sample, 0.01 to 60", 0 },
	{ "json", KEY_JSON, NULL, 0, "as one JSON object", 0 },
	{ 0 },
};

static double parse_seconds(struct argp_state *state, const char *text)
{
	char *end = "";
	double seconds = strtod(text, &end);

	if (*end || end == text || !(seconds >= 0.01 && seconds <= 60))
		argp_error(state, "--seconds: '%s' is not a number from 0.01 to 60", text);
	return seconds;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct bench_arguments *arguments = state->input;

	switch (key) {
	case KEY_JSON:
		arguments->json = true;
		return 0;
	case KEY_ROUNDS:
		arguments->rounds = argument_number(state, "--rounds", argument, 1,
						    BENCH_ROUNDS_MAX);
		return 0;
	case KEY_SECONDS:
		arguments->seconds = parse_seconds(state, argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp bench_arguments_argp = {
	.options = known,
	.parser = parse_option,
};
