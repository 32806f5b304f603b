/* SPDX-License-Identifier: MIT */
/*
 * Sampling: which of the tokens that a model thinks possible is taken.
 */
#ifndef TANDEM_SAMPLING_H
#define TANDEM_SAMPLING_H

#include <stdint.h>

#include <tandem/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The most tokens that a repetition penalty looks back over, and the default. */
#define TANDEM_REPEAT_LAST_MAX		256
#define TANDEM_REPEAT_LAST_DEFAULT	64

/**
 * struct tandem_sampling - how tokens are chosen; all zeros take the likeliest
 * @temperature: logits are divided by it, 0 to 1e6; 0 takes the likeliest
 * @top_p: of what @top_k leaves, only the fewest of the likeliest tokens whose
 *	probabilities sum up to it, 0 to 1; 0 for all, as 1
 * @min_p: of what @top_p leaves, only tokens at least that share as likely as the
 *	likeliest, 0 to 1
 * @repeat_penalty: makes tokens less likely that were there lately: their logits
 *	are divided by it, or multiplied if negative; 0.01 to 100; 0 for none, as 1
 * @top_k: only that many of the likeliest tokens; 0 for all
 * @repeat_last: how many of the last tokens @repeat_penalty looks at, at most
 *	%TANDEM_REPEAT_LAST_MAX; 0 for %TANDEM_REPEAT_LAST_DEFAULT
 * @seed: of the drawing. With the same logits, a token depends on it and on its
 *	place in the sequence, not on what is beside the sequence in a batch, nor on
 *	how its prompt came into the cache
 *
 * In this order: penalty, temperature, top_k, top_p, min_p. The device draws;
 * &struct tandem_program_sampling says how.
 */
struct tandem_sampling {
	float temperature;
	float top_p;
	float min_p;
	float repeat_penalty;
	uint32_t top_k;
	uint32_t repeat_last;
	uint64_t seed;
};

/**
 * tandem_sampling_check() - are all members within their ranges?
 * @sampling: how tokens are to be chosen
 * @error: names the member that is not; may be NULL
 *
 * Return: 0 or -EINVAL.
 */
int tandem_sampling_check(const struct tandem_sampling *sampling, struct tandem_error *error);

#ifdef __cplusplus
}
#endif

#endif /* TANDEM_SAMPLING_H */
