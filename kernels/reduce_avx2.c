// SPDX-License-Identifier: MIT
/* Kernels that reduce a whole vector: norm, softmax, argmax. */
#include "avx2.h"
#include "avx2_vector.h"

/* Eight lanes summed in double precision. */
struct sum8 {
	__m256d lo, hi;
};

avx2_inline __m256d low_half(__m256 v)
{
	return _mm256_cvtps_pd(_mm256_castps256_ps128(v));
}

avx2_inline __m256d high_half(__m256 v)
{
	return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
}

avx2_inline void sum8_add(struct sum8 *s, __m256 v)
{
	s->lo = _mm256_add_pd(s->lo, low_half(v));
	s->hi = _mm256_add_pd(s->hi, high_half(v));
}

avx2_inline void sum8_add_square(struct sum8 *s, __m256 v)
{
	s->lo = _mm256_fmadd_pd(low_half(v), low_half(v), s->lo);
	s->hi = _mm256_fmadd_pd(high_half(v), high_half(v), s->hi);
}

avx2_inline double sum8_total(const struct sum8 *s)
{
	__m256d v = _mm256_add_pd(s->lo, s->hi);
	__m128d w = _mm_add_pd(_mm256_castpd256_pd128(v),
			       _mm256_extractf128_pd(v, 1));

	return _mm_cvtsd_f64(_mm_add_sd(w, _mm_unpackhi_pd(w, w)));
}

void tandem_avx2_rms_norm(float *out, const float *x, const float *weight,
			  size_t n, float eps)
{
	struct sum8 sum = { _mm256_setzero_pd(), _mm256_setzero_pd() };
	__m256 scale, part;
	size_t i;

	for (i = 0; i + 8 <= n; i += 8)
		sum8_add_square(&sum, _mm256_loadu_ps(x + i));
	if (i < n)
		sum8_add_square(&sum, avx2_load_part(x + i, n - i));
	scale = _mm256_set1_ps(
		(float)(1 / sqrt(sum8_total(&sum) / (double)n + eps)));

	for (i = 0; i + 8 <= n; i += 8)
		_mm256_storeu_ps(
			out + i,
			_mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), scale),
				      _mm256_loadu_ps(weight + i)));
	if (i < n) {
		part = _mm256_mul_ps(avx2_load_part(x + i, n - i), scale);
		part = _mm256_mul_ps(part, avx2_load_part(weight + i, n - i));
		avx2_store_part(out + i, n - i, part);
	}
}

/* Largest element, NaN left out; minus infinity if there is none. */
static float largest(const float *x, size_t n)
{
	__m256 max = _mm256_set1_ps(-INFINITY);
	float best;
	size_t i;

	/* max_ps gives its second operand when the first is a NaN. */
	for (i = 0; i + 8 <= n; i += 8)
		max = _mm256_max_ps(_mm256_loadu_ps(x + i), max);
	best = avx2_max(max);
	for (; i < n; i++)
		best = x[i] > best ? x[i] : best;
	return best;
}

void tandem_avx2_softmax(float *out, const float *x, size_t n)
{
	struct sum8 sum = { _mm256_setzero_pd(), _mm256_setzero_pd() };
	__m256 max = _mm256_set1_ps(largest(x, n));
	__m256 e, total;
	size_t i;

	for (i = 0; i + 8 <= n; i += 8) {
		e = avx2_exp(_mm256_sub_ps(_mm256_loadu_ps(x + i), max));
		_mm256_storeu_ps(out + i, e);
		sum8_add(&sum, e);
	}
	if (i < n) {
		e = avx2_exp(_mm256_sub_ps(avx2_load_part(x + i, n - i), max));
		e = _mm256_and_ps(e, _mm256_castsi256_ps(avx2_mask(n - i)));
		avx2_store_part(out + i, n - i, e);
		sum8_add(&sum, e);
	}

	total = _mm256_set1_ps((float)sum8_total(&sum));
	for (i = 0; i + 8 <= n; i += 8)
		_mm256_storeu_ps(out + i,
				 _mm256_div_ps(_mm256_loadu_ps(out + i), total));
	if (i < n)
		avx2_store_part(
			out + i, n - i,
			_mm256_div_ps(avx2_load_part(out + i, n - i), total));
}

size_t tandem_avx2_argmax(const float *x, size_t n)
{
	float best = largest(x, n);
	__m256 wanted = _mm256_set1_ps(best);
	size_t i;

	for (i = 0; i + 8 <= n; i += 8) {
		__m256 equal = _mm256_cmp_ps(_mm256_loadu_ps(x + i), wanted,
					     _CMP_EQ_OQ);
		unsigned int lanes = (unsigned int)_mm256_movemask_ps(equal);

		if (lanes)
			return i + (size_t)__builtin_ctz(lanes);
	}
	for (; i < n; i++)
		if (x[i] == best)
			return i;
	return 0;
}
