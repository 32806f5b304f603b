/* SPDX-License-Identifier: MIT */
/* What the AVX-512 kernels share: vectors of sixteen floats, short ones included. */
#ifndef TANDEM_KERNELS_AVX512_VECTOR_H
#define TANDEM_KERNELS_AVX512_VECTOR_H

#include <immintrin.h>
#include <math.h>

#include "blocks.h"

/* For code that becomes fast only once its constant arguments are known. */
#define avx512_inline static inline __attribute__((always_inline))

/*
 * Have the @bytes at @offset from a row that will be read next brought to the
 * caches. What lies beyond the weights does no harm: prefetches do not fault.
 */
avx512_inline void avx512_prefetch(uintptr_t next, size_t offset, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 64)
		_mm_prefetch((const char *)(next + offset + i), _MM_HINT_T0);
}

/* The first n of sixteen lanes, n from 0 to 16. */
avx512_inline __mmask16 avx512_mask(size_t n)
{
	return (__mmask16)((1u << n) - 1);
}

avx512_inline __m512 avx512_widen_bf16(__m256i half)
{
	return _mm512_castsi512_ps(
		_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

/* Elements i to i + 15 of a row of Q8_0, i a multiple of 16. */
avx512_inline __m512 avx512_load_q8_0(const void *row, size_t i)
{
	const char *block = (const char *)row + i / 32 * Q8_0_BYTES;
	__m128i codes = _mm_loadu_si128(
		(const __m128i *)(block + Q8_0_CODES + i % 32));

	return _mm512_mul_ps(_mm512_set1_ps(_cvtsh_ss(block_half(block))),
			     _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes)));
}

/* Elements i to i + 15 of a row of a given type, for Q8_0 with i a multiple of 16. */
avx512_inline __m512 avx512_load_type(const void *row, enum tandem_type type,
				      size_t i)
{
	const uint16_t *half = row;
	const float *single = row;

	if (type == TANDEM_TYPE_F16)
		return _mm512_cvtph_ps(
			_mm256_loadu_si256((const __m256i *)(half + i)));
	if (type == TANDEM_TYPE_BF16)
		return avx512_widen_bf16(
			_mm256_loadu_si256((const __m256i *)(half + i)));
	if (type == TANDEM_TYPE_Q8_0)
		return avx512_load_q8_0(row, i);
	return _mm512_loadu_ps(single + i);
}

/* The elements of those that @mask has, the other lanes zero; not for Q8_0. */
avx512_inline __m512 avx512_load_type_part(const void *row,
					   enum tandem_type type, size_t i,
					   __mmask16 mask)
{
	const uint16_t *half = row;
	const float *single = row;

	if (type == TANDEM_TYPE_F32)
		return _mm512_maskz_loadu_ps(mask, single + i);
	if (type == TANDEM_TYPE_BF16)
		return avx512_widen_bf16(
			_mm256_maskz_loadu_epi16(mask, half + i));
	return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, half + i));
}

/* Of four vectors, the sums of each quarter: [a b c d] for each of the quarters. */
avx512_inline __m512 avx512_sum_quarters(__m512 a, __m512 b, __m512 c, __m512 d)
{
	__m512d ab, cd;

	ab = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(a, b),
					    _mm512_unpackhi_ps(a, b)));
	cd = _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(c, d),
					    _mm512_unpackhi_ps(c, d)));
	return _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)),
			     _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
}

/* Sums of the lanes of four vectors, each in the same order. */
avx512_inline __m128 avx512_sum4(__m512 a, __m512 b, __m512 c, __m512 d)
{
	__m512 quarters = avx512_sum_quarters(a, b, c, d);
	__m256 halves = _mm256_add_ps(_mm512_castps512_ps256(quarters),
				      _mm512_extractf32x8_ps(quarters, 1));

	return _mm_add_ps(_mm256_castps256_ps128(halves),
			  _mm256_extractf128_ps(halves, 1));
}

/*
 * exp(x) to about one unit in the last place, subnormal results included: as
 * avx2_exp(), where the error is derived; 2^n is applied by an instruction that
 * rounds once.
 */
avx512_inline __m512 avx512_exp(__m512 x)
{
	__m512 n, r, p;

	x = _mm512_min_ps(_mm512_set1_ps(89), x);
	x = _mm512_max_ps(_mm512_set1_ps(-104), x);
	n = _mm512_roundscale_ps(
		_mm512_mul_ps(x, _mm512_set1_ps(0x1.715476p+0f)),
		_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
	r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.62e4p-1f), x);
	r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.7f7d1cp-20f), r);

	p = _mm512_set1_ps(1.0f / 5040);
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 720));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
	return _mm512_scalef_ps(p, n);
}

#endif
