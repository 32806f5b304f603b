// SPDX-License-Identifier: MIT
/* RMS norm, softmax and argmax. */
#include "check.h"
#include "guarded.h"

#include <stdlib.h>
#include <string.h>

static const size_t sizes[] = {
	1,  2,	3,  4,	5,  6,	7,  8,	9,  10,	 11,   12,
	13, 14, 15, 16, 17, 31, 32, 33, 64, 288, 1001, 4099,
};

#define N_SIZES (sizeof(sizes) / sizeof(*sizes))

/*
 * The sum and the root are taken in double precision, where they err by less
 * than n 2^-53 < U / 4; the factor is rounded, and the products with it and
 * with the weight: three roundings and a quarter.
 */
static void check_rms_norm(const struct tandem_kernels *kernels, size_t n,
			   float size, float eps)
{
	struct guarded gx = guarded_alloc(n * 4, 0), gw = guarded_alloc(n * 4, 4);
	struct guarded gout = guarded_alloc(n * 4, 0);
	float *x = gx.data, *w = gw.data, *out = gout.data;
	uint64_t seed = n;
	double sum = 0;

	random_fill(x, TANDEM_TYPE_F32, n, &seed);
	random_fill(w, TANDEM_TYPE_F32, n, &seed);
	for (size_t i = 0; i < n; i++) {
		x[i] *= size;
		sum += (double)x[i] * x[i];
	}
	guarded_seal(&gx);
	guarded_seal(&gw);

	kernels->rms_norm(out, x, w, n, eps);
	for (size_t i = 0; i < n; i++) {
		double expected = x[i] / sqrt(sum / (double)n + eps) * w[i];

		check_close(out[i], expected, error_of(3.25) * fabs(expected),
			    "n %zu size %g: out[%zu]", n, size, i);
	}
	memcpy(out, x, n * sizeof(*out));
	kernels->rms_norm(out, out, w, n, eps);
	for (size_t i = 0; i < n; i++) {
		double expected = x[i] / sqrt(sum / (double)n + eps) * w[i];

		check_close(out[i], expected, error_of(3.25) * fabs(expected),
			    "in place, n %zu: out[%zu]", n, i);
	}
	guarded_free(&gx);
	guarded_free(&gw);
	guarded_free(&gout);
}

static void test_rms_norm(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);

	for (size_t i = 0; i < N_SIZES; i++) {
		check_rms_norm(kernels, sizes[i], 1, 1e-5f);
		check_rms_norm(kernels, sizes[i], 1e-3f, 1e-5f);
		/* Squares of these overflow binary32. */
		check_rms_norm(kernels, sizes[i], 1e30f, 1e-6f);
	}
}

/* All zeros: eps alone keeps the result finite. */
static void test_rms_norm_of_zeros(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);
	float x[11] = { 0 }, w[11], out[11];

	for (size_t i = 0; i < 11; i++)
		w[i] = 1;
	kernels->rms_norm(out, x, w, 11, 1e-5f);
	for (size_t i = 0; i < 11; i++)
		assert_true(out[i] == 0);
}

/*
 * With d = x - max, rounded to a relative U, exp(d) is off by U |d| + EXP_ERROR U
 * relatively. The sum, in double precision, is off by the mean of that under
 * the exact result; it and the quotient are rounded once. Results that
 * underflow lose less than 2^-125.
 */
static void check_softmax(const struct tandem_kernels *kernels, size_t n,
			  float size)
{
	struct guarded gx = guarded_alloc(n * 4, n % 3 * 4);
	struct guarded gout = guarded_alloc(n * 4, n % 3 * 4);
	float *x = gx.data, *out = gout.data, *alias = malloc(n * sizeof(*alias));
	double max = -INFINITY, sum = 0, total = 0, mean = 0;
	uint64_t seed = n;

	assert_non_null(alias);
	random_fill(x, TANDEM_TYPE_F32, n, &seed);
	for (size_t i = 0; i < n; i++) {
		x[i] *= size;
		max = fmax(max, x[i]);
	}
	guarded_seal(&gx);
	for (size_t i = 0; i < n; i++) {
		double e = exp(x[i] - max);

		sum += e;
		mean += e * (max - x[i]);
	}
	mean /= sum;

	kernels->softmax(out, x, n);
	for (size_t i = 0; i < n; i++) {
		double expected = exp(x[i] - max) / sum;
		double roundings = max - x[i] + mean + 2 * EXP_ERROR + 2.25;

		check_close(out[i], expected,
			    error_of(roundings) * expected + 0x1p-125,
			    "n %zu size %g: out[%zu]", n, size, i);
		total += out[i];
	}
	check_close(total, 1, error_of(2 * mean + 4 * EXP_ERROR + 8),
		    "n %zu: total", n);

	memcpy(alias, x, n * sizeof(*alias));
	kernels->softmax(alias, alias, n);
	check_same(alias, out, n, "in place");
	free(alias);
	guarded_free(&gx);
	guarded_free(&gout);
}

static void test_softmax(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);

	for (size_t i = 0; i < N_SIZES; i++) {
		check_softmax(kernels, sizes[i], 0);
		check_softmax(kernels, sizes[i], 1);
		check_softmax(kernels, sizes[i], 30);
		check_softmax(kernels, sizes[i], 1e4f);
	}
}

static void test_softmax_special_values(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);
	float x[19], out[19];

	for (size_t at = 0; at < 19; at++) {
		for (size_t i = 0; i < 19; i++)
			x[i] = i == at ? 3e38f : -INFINITY;
		kernels->softmax(out, x, 19);
		for (size_t i = 0; i < 19; i++)
			assert_true(out[i] == (i == at ? 1 : 0));

		for (int infinite = 0; infinite < 2; infinite++) {
			for (size_t i = 0; i < 19; i++)
				x[i] = (float)i;
			x[at] = infinite ? INFINITY : NAN;
			kernels->softmax(out, x, 19);
			for (size_t i = 0; i < 19; i++)
				assert_true(isnan(out[i]));
		}
	}
}

static size_t argmax_of(const struct tandem_kernels *kernels,
			const float *values, size_t n)
{
	struct guarded g = guarded_alloc(n * 4, 0);
	size_t best;

	if (n)
		memcpy(g.data, values, n * sizeof(*values));
	guarded_seal(&g);
	best = kernels->argmax(g.data, n);
	guarded_free(&g);
	return best;
}

static void test_argmax(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);
	float x[60];
	uint64_t seed = 5;

	/* Every place of the largest and of a second, equal one. */
	for (size_t n = 1; n <= 40; n++)
		for (size_t first = 0; first < n; first++)
			for (size_t second = first; second < n; second++) {
				for (size_t i = 0; i < n; i++)
					x[i] = -2 + random_float(&seed);
				x[first] = -0.5f;
				x[second] = -0.5f;
				assert_int_equal(argmax_of(kernels, x, n), first);
			}
}

static void test_argmax_special_values(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);
	float x[30];

	assert_int_equal(argmax_of(kernels, x, 0), 0);
	for (size_t n = 1; n <= 30; n++) {
		for (size_t i = 0; i < n; i++)
			x[i] = NAN;
		assert_int_equal(argmax_of(kernels, x, n), 0);
		for (size_t at = 0; at < n; at++) {
			for (size_t i = 0; i < n; i++)
				x[i] = i % 2 ? NAN : -NAN;
			x[at] = -INFINITY;
			assert_int_equal(argmax_of(kernels, x, n), at);
			x[n - 1] = at == n - 1 ? 1 : -INFINITY;
			assert_int_equal(argmax_of(kernels, x, n), at);
			x[0] = -INFINITY;
			x[at] = INFINITY;
			assert_int_equal(argmax_of(kernels, x, n), at);
		}
		for (size_t i = 0; i < n; i++)
			x[i] = i % 2 ? 0.0f : -0.0f;
		assert_int_equal(argmax_of(kernels, x, n), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_EACH_ISA(test_rms_norm),
		TEST_EACH_ISA(test_rms_norm_of_zeros),
		TEST_EACH_ISA(test_softmax),
		TEST_EACH_ISA(test_softmax_special_values),
		TEST_EACH_ISA(test_argmax),
		TEST_EACH_ISA(test_argmax_special_values),
	};

	return cmocka_run_group_tests_name("kernels: reduce", tests, NULL, NULL);
}
