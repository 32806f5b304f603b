// SPDX-License-Identifier: MIT
/*
 * Drawing a token from logits.
 *
 * All of top-k, top-p and min-p keep the beginning of the tokens in descending
 * order of their logits. So the candidates are made a heap, and taken from it
 * until the first of the three says that it is enough: vocabularies are large and
 * what is kept is little.
 */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "sampling.h"

/*
 * exp(x) for x ≤ 0, and 0 below -700 or for a NaN, to within 2 units in the last
 * place, by additions and multiplications alone: libm picks its code by the
 * processor, and seeds are to mean the same on all of them.
 *
 * x = k ln 2 + r with |r| ≤ ln 2 / 2, in two steps so that r is exact (Cody and
 * Waite, "Software Manual for the Elementary Functions", 1980, chapter 6); then
 * the Taylor series, whose first omitted term is (ln 2 / 2)^14 / 14! < 2^-57.
 */
static double exponential(double x)
{
	/* The upper part of ln 2 has 21 bits of zeros, so k times it is exact. */
	const double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
	/* Reciprocals of the factorials from 13 down. */
	static const double series[] = {
		1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800,
		1.0 / 362880,	  1.0 / 40320,	   1.0 / 5040,	   1.0 / 720,
		1.0 / 120,	  1.0 / 24,	   1.0 / 6,	   1.0 / 2,
	};
	double k, r, sum = 0;
	uint64_t power;

	if (!(x > -700))
		return 0;
	k = (double)(int)(x * 0x1.71547652b82fep0 - 0.5);
	r = x - k * ln2_high - k * ln2_low;
	for (size_t i = 0; i < sizeof(series) / sizeof(series[0]); i++)
		sum = series[i] + sum * r;
	sum = 1 + (r + r * r * sum);
	power = (uint64_t)(1023 + (int)k) << 52;
	memcpy(&k, &power, sizeof(k));
	return sum * k;
}

/* How likely a logit is beside the greatest: from 0 to 1. */
static double weight_of(float logit, float greatest, float temperature)
{
	return exponential(((double)logit - greatest) / temperature);
}

static int compare_tokens(const void *a, const void *b)
{
	const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

void tandem_kernel_penalise(float *logits, float penalty, uint32_t *history, size_t count)
{
	qsort(history, count, sizeof(*history), compare_tokens);
	for (size_t i = 0; i < count; i++) {
		float *logit = &logits[history[i]];

		if (!i || history[i] != history[i - 1])
			*logit = *logit > 0 ? *logit / penalty : *logit * penalty;
	}
}

static bool before(const struct tandem_candidate *a, const struct tandem_candidate *b)
{
	return a->logit > b->logit || (a->logit == b->logit && a->token < b->token);
}

/* Let the candidate at @at sink below those that come before it. */
static void sink(struct tandem_candidate *heap, size_t count, size_t at)
{
	const struct tandem_candidate moved = heap[at];

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= count)
			break;
		if (child + 1 < count && before(&heap[child + 1], &heap[child]))
			child++;
		if (!before(&heap[child], &moved))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = moved;
}

/* Take the first one out. It goes to where the heap, then shorter, ended. */
static struct tandem_candidate take(struct tandem_candidate *heap, size_t *count)
{
	const struct tandem_candidate first = heap[0];

	heap[0] = heap[--*count];
	heap[*count] = first;
	sink(heap, *count, 0);
	return first;
}

/**
 * struct draw - one token that is being drawn
 * @rule: which tokens have a chance
 * @logits: of all
 * @n: their number
 * @greatest: of the logits
 */
struct draw {
	const struct tandem_sampling_rule *rule;
	const float *logits;
	size_t n;
	float greatest;
};

static double weight_at(const struct draw *draw, float logit)
{
	return weight_of(logit, draw->greatest, draw->rule->temperature);
}

/* A token out of those that min_p leaves, in the order of their ids. */
static size_t draw_from_all(const struct draw *draw, size_t best, double uniform)
{
	const double least = draw->rule->min_p;
	double total = 0, left;

	for (size_t i = 0; i < draw->n; i++) {
		const double weight = weight_at(draw, draw->logits[i]);

		total += weight >= least ? weight : 0;
	}
	left = uniform * total;
	for (size_t i = 0; i < draw->n; i++) {
		const double weight = weight_at(draw, draw->logits[i]);

		if (!(weight > 0) || weight < least)
			continue;
		if (left < weight)
			return i;
		left -= weight;
	}
	/* Rounding may leave a crumb. */
	return best;
}

/* Make a heap of all that can be drawn. Return: their number. */
static size_t gather(const struct draw *draw, struct tandem_candidate *heap, double *total)
{
	size_t count = 0;

	*total = 0;
	for (size_t i = 0; i < draw->n; i++) {
		const double weight = weight_at(draw, draw->logits[i]);

		if (!(weight > 0))
			continue;
		*total += weight;
		heap[count++] = (struct tandem_candidate){ draw->logits[i], (uint32_t)i };
	}
	for (size_t i = count / 2; i;)
		sink(heap, count, --i);
	return count;
}

/* A token out of the first ones, in descending order. */
static size_t draw_from_first(const struct draw *draw, size_t best, double uniform,
			      struct tandem_candidate *heap)
{
	const struct tandem_sampling_rule *rule = draw->rule;
	double total, kept = 0, left;
	const size_t all = gather(draw, heap, &total);
	const size_t most = rule->top_k && rule->top_k < all ? rule->top_k : all;
	size_t rest = all, count = 0;

	/* What top_k leaves is what top_p is a share of. */
	if (most < all) {
		total = 0;
		while (all - rest < most)
			total += weight_at(draw, take(heap, &rest).logit);
	}
	while (count < most && (rule->top_p >= 1 || !(kept >= rule->top_p * total))) {
		const float logit = rest > all - 1 - count ? take(heap, &rest).logit :
							     heap[all - 1 - count].logit;
		const double weight = weight_at(draw, logit);

		if (weight < rule->min_p)
			break;
		kept += weight;
		count++;
	}
	left = uniform * kept;
	for (size_t i = 0; i < count; i++) {
		const double weight = weight_at(draw, heap[all - 1 - i].logit);

		if (left < weight)
			return heap[all - 1 - i].token;
		left -= weight;
	}
	return best;
}

size_t tandem_kernel_sample(const struct tandem_sampling_rule *rule, const float *logits, size_t n,
			    size_t best, double uniform, struct tandem_candidate *work)
{
	const struct draw draw = { rule, logits, n, logits[best] };

	if (!(rule->temperature > 0) || !isfinite(draw.greatest))
		return best;
	if ((!rule->top_k || rule->top_k >= n) && rule->top_p >= 1)
		return draw_from_all(&draw, best, uniform);
	return draw_from_first(&draw, best, uniform, work);
}
