/* SPDX-License-Identifier: MIT */
/*
 * What programs say of sampling, and the tokens that a penalty looks back at.
 */
#ifndef TANDEM_RUNTIME_SAMPLING_H
#define TANDEM_RUNTIME_SAMPLING_H

#include <stdbool.h>
#include <stdint.h>

#include <tandem/sampling.h>

struct tandem_program_sampling;

/* Whether the likeliest token is taken, as devices do by themselves; also for NULL. */
bool sampling_is_plain(const struct tandem_sampling *sampling);

/* How many of the last @count tokens have to be told to the device. */
uint32_t sampling_history_needed(const struct tandem_sampling *sampling, uint32_t count);

/* Fill in a program's entry, but for its place in the table of history. */
void sampling_describe(const struct tandem_sampling *sampling,
		       struct tandem_program_sampling *description);

/**
 * struct sampling_history - the last tokens of a sequence
 * @tokens: in their order
 * @count: how many are known
 */
struct sampling_history {
	uint32_t tokens[TANDEM_REPEAT_LAST_MAX];
	uint32_t count;
};

/* More tokens at the end; the oldest are forgotten. */
void sampling_history_add(struct sampling_history *history, const uint32_t *tokens,
			  uint32_t count);

#endif /* TANDEM_RUNTIME_SAMPLING_H */
