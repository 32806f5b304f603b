// SPDX-License-Identifier: MIT
/*
 * tandem: the command line of libtandem.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/version.h>

#include "commands.h"

struct command {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
	{ "run", "generate text, prefill and decode on two devices or one", command_run },
	{ "list", "show the accelerators of this machine", command_list },
	{ "make-model", "write a model with random weights, to measure with", command_make_model },
	{ "bench", "measure speeds, beside something known", command_bench },
	{ "tokenize", "show the tokens of a text", command_tokenize },
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *file)
{
	fprintf(file, "Usage: tandem COMMAND [OPTION...]\n\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(file, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fprintf(file, "\n`tandem COMMAND --help` tells more of each; `tandem --version` prints the version.\n");
}

static int unknown_command(const char *name)
{
	fprintf(stderr, "tandem: there is no command '%s'; `tandem --help` lists them\n", name);
	return 1;
}

int main(int argc, char **argv)
{
	char name[64];

	/* Bad arguments end with the same status as other bad input. */
	argp_err_exit_status = 1;
	if (argc < 2) {
		print_help(stderr);
		return 1;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		print_help(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("tandem %s\n", tandem_version());
		return 0;
	}
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		snprintf(name, sizeof(name), "tandem %s", commands[i].name);
		argv[1] = name;
		return commands[i].run(argc - 1, argv + 1);
	}
	return unknown_command(argv[1]);
}
