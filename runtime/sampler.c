// SPDX-License-Identifier: MIT
/*
 * Drawing a token from logits.
 */
#include <math.h>

#include "sampler.h"

/*
 * SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
 * generators, 2014): one word of state, so that a seed says everything.
 */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* Uniform in [0, 1), with all 53 bits of a double. */
static double next_uniform(uint64_t *state)
{
	return (double)(next_random(state) >> 11) * 0x1p-53;
}

static uint32_t greatest(const float *logits, uint32_t count)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < count; i++)
		if (logits[i] > logits[best] || isnan(logits[best]))
			best = i;
	return best;
}

/* The weight of one logit against the greatest: in [0, 1], 0 for no number. */
static double weight_of(float logit, float greatest_logit, float temperature)
{
	double weight = exp(((double)logit - greatest_logit) / temperature);

	return isnan(weight) ? 0.0 : weight;
}

uint32_t sampler_draw(struct sampler *sampler, const float *logits, uint32_t count)
{
	const uint32_t best = greatest(logits, count);
	double total = 0.0, left;

	for (uint32_t i = 0; i < count; i++)
		total += weight_of(logits[i], logits[best], sampler->temperature);
	left = next_uniform(&sampler->state) * total;
	if (!(total > 0.0) || isinf(total))
		return best;
	for (uint32_t i = 0; i < count; i++) {
		const double weight = weight_of(logits[i], logits[best], sampler->temperature);

		if (weight > 0.0 && left < weight)
			return i;
		left -= weight;
	}
	/* Rounding may leave a crumb. */
	return best;
}
