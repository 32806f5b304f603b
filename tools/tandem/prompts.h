/* SPDX-License-Identifier: MIT */
/*
 * What is to be generated: prompts of the command line, and of files.
 */
#ifndef TANDEM_PROMPTS_H
#define TANDEM_PROMPTS_H

#include <tandem/tandem.h>

/**
 * struct prompt - one text to go on from
 * @text: NUL-terminated
 * @tokens: to generate, at most
 * @sampling: how they are chosen
 * @timeout_ms: 0 for none
 * @tenant: whose it is
 */
struct prompt {
	char *text;
	uint32_t tokens;
	struct tandem_sampling sampling;
	unsigned int timeout_ms;
	struct tandem_kv_salt tenant;
};

/**
 * struct prompts - several
 * @list: @count of them; freed by prompts_free()
 */
struct prompts {
	struct prompt *list;
	uint32_t count;
};

/* One more, all but the text as in @like. Return: 0, or -ENOMEM with @error filled in. */
int prompts_add(struct prompts *prompts, const char *text, const struct prompt *like,
		struct tandem_error *error);

/**
 * prompts_read() - add those of a file
 * @prompts: may have some
 * @path: of JSON lines; "-" for standard input
 * @like: for what a line does not say
 * @error: filled in on failure, with the number of the line
 *
 * Each line is an object with "prompt", a string, and if need be "tokens",
 * "temperature", "seed", "timeout" (seconds) and "tenant" (a string of up to 32
 * bytes). Empty lines are skipped.
 *
 * Return: 0 or a negative errno.
 */
int prompts_read(struct prompts *prompts, const char *path, const struct prompt *like,
		 struct tandem_error *error);

void prompts_free(struct prompts *prompts);

#endif /* TANDEM_PROMPTS_H */
