/* SPDX-License-Identifier: MIT */
/*
 * Drawing a token from logits.
 */
#ifndef TANDEM_SAMPLER_H
#define TANDEM_SAMPLER_H

#include <stdint.h>

/**
 * struct sampler - a stream of draws
 * @temperature: logits are divided by it; more than 0
 * @state: of the generator, the seed at first
 *
 * Owned by whoever draws; not locked.
 */
struct sampler {
	float temperature;
	uint64_t state;
};

/**
 * sampler_draw() - draw one token with the probabilities that logits give
 * @sampler: moves on by one draw
 * @logits: @count of them
 * @count: at least 1
 *
 * Logits that are not numbers, or minus infinity, are never drawn. Return: an
 * index below @count; the index of the greatest logit when no probabilities
 * can be made of them.
 */
uint32_t sampler_draw(struct sampler *sampler, const float *logits, uint32_t count);

#endif /* TANDEM_SAMPLER_H */
