/* SPDX-License-Identifier: MIT */
/*
 * Drawing a token from logits. The preconditions of kernels.h hold.
 */
#ifndef TANDEM_KERNELS_SAMPLING_H
#define TANDEM_KERNELS_SAMPLING_H

#include <stddef.h>
#include <stdint.h>

/**
 * struct tandem_sampling_rule - which token to take
 * @temperature: logits are divided by it; finite. 0 takes the likeliest
 * @top_k: only that many of the likeliest; 0 for all
 * @top_p: of those, the fewest of the likeliest whose probabilities, relative to
 *	those that @top_k leaves, sum up to it; more than 0. From 1 on: all
 * @min_p: of those, only the ones that are at least that share as likely as the
 *	likeliest; 0 to 1
 *
 * Of equally likely ones the lower ids go before. The likeliest always stays.
 */
struct tandem_sampling_rule {
	float temperature;
	uint32_t top_k;
	float top_p;
	float min_p;
};

/**
 * struct tandem_candidate - working memory for one token of the vocabulary
 * @logit: its logit
 * @token: its id
 */
struct tandem_candidate {
	float logit;
	uint32_t token;
};

/**
 * tandem_kernel_penalise() - make tokens less likely that were there before
 * @logits: of the whole vocabulary, changed in place
 * @penalty: positive; more than 1 makes them less likely, less than 1 more
 * @history: ids of tokens, @count of them, each in the vocabulary; the call
 *	sorts them
 * @count: may be 0
 *
 * A token in @history, however often it is there, has its logit divided by
 * @penalty if that is positive, and multiplied by it if not: the penalised
 * sampling of Keskar et al., "CTRL", 2019, section 4.1, made to go the same way
 * for negative logits.
 */
void tandem_kernel_penalise(float *logits, float penalty, uint32_t *history, size_t count);

/**
 * tandem_kernel_sample() - draw a token
 * @rule: which tokens have a chance
 * @logits: @n of them
 * @n: size of the vocabulary, at least 1
 * @best: index of the greatest, as &tandem_kernels.argmax tells it
 * @uniform: decides, from [0, 1)
 * @work: memory for @n candidates; not used with neither top_k nor top_p
 *
 * Each token that @rule leaves is drawn with the probability exp(logit /
 * temperature), relative to the others that are left. Logits that are no numbers
 * or minus infinity are never drawn. Exponentials and sums are in double
 * precision and have the same bits on all processors.
 *
 * Return: an index less than @n; @best where no probabilities can be made of the
 * logits.
 */
size_t tandem_kernel_sample(const struct tandem_sampling_rule *rule, const float *logits, size_t n,
			    size_t best, double uniform, struct tandem_candidate *work);

#endif /* TANDEM_KERNELS_SAMPLING_H */
