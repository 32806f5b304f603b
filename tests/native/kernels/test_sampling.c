// SPDX-License-Identifier: MIT
/*
 * Drawing tokens: the probabilities that come out, against those of the
 * definition, worked out slowly.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "guarded.h"
#include "kernels/philox.h"
#include "kernels/sampling.h"

#define VOCABULARY_MAX	40

/* The known answers that the authors of Philox publish with their code. */
static void philox_gives_the_known_answers(void **state)
{
	static const struct {
		uint32_t counter[4], key[2], out[4];
	} known[] = {
		{ { 0, 0, 0, 0 },
		  { 0, 0 },
		  { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
		{ { ~0u, ~0u, ~0u, ~0u },
		  { ~0u, ~0u },
		  { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
		{ { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
		  { 0xa4093822, 0x299f31d0 },
		  { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
	};
	uint32_t out[4];

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		tandem_philox(known[i].counter, known[i].key, out);
		assert_memory_equal(out, known[i].out, sizeof(out));
	}
	assert_true(tandem_philox_uniform(0, 0) ==
		    (double)(0xe169c58d6627e8d5 >> 11) * 0x1p-53);
}

/* One token of the reference. */
struct token {
	size_t id;
	long double logit, p;
};

static int likelier_first(const void *a, const void *b)
{
	const struct token *left = a, *right = b;

	if (left->logit != right->logit)
		return left->logit < right->logit ? 1 : -1;
	return left->id < right->id ? -1 : 1;
}

static long double sum_of(const struct token *tokens, size_t n)
{
	long double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += tokens[i].p;
	return sum;
}

/* The probability of each token, by the definition; @p has @n of them. */
static void expected_distribution(const struct tandem_sampling_rule *rule, const float *logits,
				  size_t n, double *p)
{
	struct token *tokens = calloc(n, sizeof(*tokens));
	size_t left = 0, count = 0;
	long double total, sum = 0;

	for (size_t i = 0; i < n; i++) {
		p[i] = 0;
		if (!isnan(logits[i]) && logits[i] > -INFINITY)
			tokens[left++] = (struct token){ i, logits[i], 0 };
	}
	qsort(tokens, left, sizeof(*tokens), likelier_first);
	for (size_t i = 0; i < left; i++)
		tokens[i].p = expl((tokens[i].logit - tokens[0].logit) /
				   (long double)rule->temperature);
	if (rule->top_k && rule->top_k < left)
		left = rule->top_k;
	total = sum_of(tokens, left);
	while (count < left && (rule->top_p >= 1 || sum < rule->top_p * total))
		sum += tokens[count++].p;
	left = count;
	while (left && tokens[left - 1].p < rule->min_p)
		left--;
	total = sum_of(tokens, left);
	for (size_t i = 0; i < left; i++)
		p[tokens[i].id] = (double)(tokens[i].p / total);
	free(tokens);
}

static size_t greatest(const float *logits, size_t n)
{
	return tandem_kernels_select("scalar")->argmax(logits, n);
}

static size_t sample(const struct tandem_sampling_rule *rule, const float *logits, size_t n,
		     double uniform, struct tandem_candidate *work)
{
	const size_t token = tandem_kernel_sample(rule, logits, n, greatest(logits, n), uniform,
						  work);

	assert_true(token < n);
	return token;
}

/*
 * The probability of each token, by what is drawn: each has one interval of
 * [0, 1), whose ends are found by bisection.
 */
static void found_distribution(const struct tandem_sampling_rule *rule, const float *logits,
			       size_t n, struct tandem_candidate *work, double *p)
{
	const double last = 1 - 0x1p-53;
	double begin = 0;
	size_t intervals = 0;

	for (size_t i = 0; i < n; i++)
		p[i] = 0;
	while (begin < 1) {
		const size_t token = sample(rule, logits, n, begin, work);
		double same = begin, other = 1;

		/* One more where rounding leaves a crumb in the end. */
		assert_true(intervals++ <= n);
		while (other - same > 0x1p-53) {
			const double middle = same + (other - same) / 2;

			if (sample(rule, logits, n, middle < last ? middle : last, work) == token)
				same = middle;
			else
				other = middle;
		}
		p[token] += other - begin;
		begin = other;
	}
}

static void check_distribution(const struct tandem_sampling_rule *rule, const float *logits,
			       size_t n)
{
	struct guarded input = guarded_alloc(n * sizeof(*logits), 0);
	struct guarded work = guarded_alloc(n * sizeof(struct tandem_candidate), 0);
	double expected[VOCABULARY_MAX], found[VOCABULARY_MAX];

	memcpy(input.data, logits, n * sizeof(*logits));
	guarded_seal(&input);
	expected_distribution(rule, logits, n, expected);
	found_distribution(rule, input.data, n, work.data, found);
	for (size_t i = 0; i < n; i++)
		check_close(found[i], expected[i], 1e-13,
			    "token %zu of %zu at T %g, k %u, p %g, m %g", i, n,
			    (double)rule->temperature, rule->top_k, (double)rule->top_p,
			    (double)rule->min_p);
	guarded_free(&work);
	guarded_free(&input);
}

static void random_logits(float *logits, size_t n, float width, uint64_t *seed)
{
	for (size_t i = 0; i < n; i++)
		logits[i] = random_float(seed) * width;
}

static void probabilities_are_those_of_the_definition(void **state)
{
	static const float temperatures[] = { 0.1f, 0.7f, 1, 1.9f, 50 };
	static const uint32_t top_k[] = { 0, 1, 2, 5, 100 };
	static const float top_p[] = { 1e-9f, 0.3f, 0.9f, 0.999f, 1 };
	static const float min_p[] = { 0, 0.05f, 0.4f, 1 };
	uint64_t seed = 1;

	(void)state;
	for (int i = 0; i < 5 * 5 * 5 * 4; i++) {
		const struct tandem_sampling_rule rule = {
			.temperature = temperatures[i % 5],
			.top_k = top_k[i / 5 % 5],
			.top_p = top_p[i / 25 % 5],
			.min_p = min_p[i / 125],
		};
		const size_t n = 1 + random_below(&seed, VOCABULARY_MAX);
		float logits[VOCABULARY_MAX];

		random_logits(logits, n, 4, &seed);
		check_distribution(&rule, logits, n);
	}
}

static void equals_and_what_is_no_number(void **state)
{
	struct tandem_sampling_rule rule = { .temperature = 0.5f, .top_p = 1 };
	float logits[] = { 1, NAN, 2, 2, -INFINITY, 2, 0, -1000, 2, -INFINITY, NAN };
	const size_t n = sizeof(logits) / sizeof(logits[0]);

	(void)state;
	check_distribution(&rule, logits, n);
	for (rule.top_k = 1; rule.top_k < 12; rule.top_k++)
		check_distribution(&rule, logits, n);
	rule.top_k = 0;
	/* Half of four equals, which the sum meets without rounding. */
	for (size_t i = 0; i < n; i++)
		logits[i] = i < 4 ? 3 : -INFINITY;
	rule.top_p = 0.5f;
	check_distribution(&rule, logits, n);
	rule.top_k = 3;
	check_distribution(&rule, logits, n);
}

static void the_likeliest_where_nothing_can_be_drawn(void **state)
{
	const struct tandem_sampling_rule rules[] = {
		{ .temperature = 1, .top_p = 1 },
		{ .temperature = 1, .top_p = 0.9f, .top_k = 2 },
		{ .temperature = 0, .top_p = 1 },
	};
	struct tandem_candidate work[4];
	float nothing[] = { NAN, NAN, -INFINITY, NAN }, all[] = { 1, INFINITY, INFINITY, NAN };
	float little[] = { -1, -0.5f, 3, -7 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(sample(&rules[i], nothing, 4, 0.7, work), 2);
		assert_int_equal(sample(&rules[i], all, 4, 0.7, work), 1);
	}
	assert_int_equal(sample(&rules[2], little, 4, 0.99, work), 2);
	/* All the others' weights are too small to be told from zero. */
	assert_int_equal(sample(&(struct tandem_sampling_rule){ 1e-30f, 0, 1, 0 }, little, 4,
				1 - 0x1p-53, work), 2);
}

/* The kept tokens of a vocabulary as large as they come. */
static void a_large_vocabulary(void **state)
{
	const size_t n = 151936;
	const struct tandem_sampling_rule rules[] = {
		{ 0.8f, 50, 0.95f, 0 }, { 1, 0, 0.9f, 0 }, { 1, 0, 1, 0.01f }, { 2, 1000, 1, 0 },
		{ 1, 200000, 1, 0 },
	};
	float *logits = malloc(n * sizeof(*logits));
	struct tandem_candidate *work = malloc(n * sizeof(*work));
	double *p = malloc(n * sizeof(*p));
	uint64_t seed = 2;

	(void)state;
	random_logits(logits, n, 12, &seed);
	for (size_t r = 0; r < sizeof(rules) / sizeof(rules[0]); r++) {
		expected_distribution(&rules[r], logits, n, p);
		for (int i = 0; i < 40; i++)
			assert_true(p[sample(&rules[r], logits, n, tandem_philox_uniform(3, i),
					     work)] > 0);
	}
	free(logits);
	free(work);
	free(p);
}

/*
 * The chi-square statistic that one of ten thousand exceeds (Wilson and Hilferty,
 * "The distribution of chi-square", 1931).
 */
static double chi_square_limit(double freedom)
{
	const double z = 3.719, v = 2 / (9 * freedom);

	return freedom * pow(1 - v + z * sqrt(v), 3);
}

#define DRAWS	20000

static void draws_by_seed_and_position(void **state)
{
	const struct tandem_sampling_rule rules[] = {
		{ 1, 0, 1, 0 }, { 0.6f, 8, 1, 0 }, { 1.3f, 0, 0.8f, 0 }, { 1, 0, 1, 0.1f },
		{ 1, 10, 0.9f, 0.05f },
	};
	uint64_t seed = 4;

	(void)state;
	for (size_t r = 0; r < 20; r++) {
		const struct tandem_sampling_rule *rule = &rules[r % 5];
		struct tandem_candidate work[12];
		double p[12], statistic = 0, freedom = -1;
		uint32_t drawn[12] = { 0 };
		float logits[12];

		random_logits(logits, 12, 2, &seed);
		expected_distribution(rule, logits, 12, p);
		/* Positions of one seed, and one position of many seeds. */
		for (uint64_t i = 0; i < DRAWS; i++)
			drawn[sample(rule, logits, 12,
				     r & 1 ? tandem_philox_uniform(r, i) :
					     tandem_philox_uniform(i << (r % 32), 7),
				     work)]++;
		for (int i = 0; i < 12; i++) {
			assert_true(p[i] > 0 || !drawn[i]);
			if (p[i] > 0) {
				statistic += pow(drawn[i] - DRAWS * p[i], 2) / (DRAWS * p[i]);
				freedom++;
			}
		}
		if (!(statistic < chi_square_limit(freedom)))
			fail_msg("rule %zu: chi-square %g with %g degrees of freedom", r,
				 statistic, freedom);
	}
}

static void penalties(void **state)
{
	uint64_t seed = 5;

	(void)state;
	for (int round = 0; round < 200; round++) {
		const size_t n = 1 + random_below(&seed, VOCABULARY_MAX);
		const size_t count = random_below(&seed, 30);
		const float penalty = 0.5f + (float)random_below(&seed, 16) / 8;
		float logits[VOCABULARY_MAX], before[VOCABULARY_MAX];
		bool seen[VOCABULARY_MAX] = { false };
		uint32_t history[30];

		random_logits(logits, n, 3, &seed);
		memcpy(before, logits, sizeof(logits));
		for (size_t i = 0; i < count; i++) {
			history[i] = (uint32_t)random_below(&seed, n);
			seen[history[i]] = true;
		}
		tandem_kernel_penalise(logits, penalty, history, count);
		for (size_t i = 0; i < n; i++) {
			const float factor = before[i] > 0 ? 1 / penalty : penalty;

			check_close(logits[i], seen[i] ? before[i] * factor : before[i],
				    seen[i] ? 4 * U * fabsf(before[i]) * factor : 0,
				    "token %zu, penalty %g", i, (double)penalty);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(philox_gives_the_known_answers),
		cmocka_unit_test(probabilities_are_those_of_the_definition),
		cmocka_unit_test(equals_and_what_is_no_number),
		cmocka_unit_test(the_likeliest_where_nothing_can_be_drawn),
		cmocka_unit_test(a_large_vocabulary),
		cmocka_unit_test(draws_by_seed_and_position),
		cmocka_unit_test(penalties),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
