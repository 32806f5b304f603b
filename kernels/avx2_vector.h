/* SPDX-License-Identifier: MIT */
/* What the AVX2 kernels share: vectors of eight floats, short ones included. */
#ifndef TANDEM_KERNELS_AVX2_VECTOR_H
#define TANDEM_KERNELS_AVX2_VECTOR_H

#include <immintrin.h>
#include <math.h>

#include "blocks.h"

/* For code that becomes fast only once its constant arguments are known. */
#define avx2_inline static inline __attribute__((always_inline))

/* Mask of the first n lanes, n from 0 to 8. */
avx2_inline __m256i avx2_mask(size_t n)
{
	static const int32_t lanes[16] = { -1, -1, -1, -1, -1, -1, -1, -1 };

	return _mm256_loadu_si256((const __m256i *)(lanes + 8 - n));
}

/*
 * Short vectors are put together from pieces instead of masked: VMASKMOVPS of
 * QEMU 7.2, under which Debian 12's guests run, reads the lanes that are masked
 * off too, and faults where a buffer ends with the memory.
 */

/* The first n of four floats, n less than 4, the others zero. */
avx2_inline __m128 avx2_load_piece(const float *p, size_t n)
{
	__m128 v = _mm_setzero_ps();

	if (n & 2)
		v = _mm_loadl_pi(v, (const __m64 *)p);
	if (n == 3)
		v = _mm_movelh_ps(v, _mm_load_ss(p + 2));
	else if (n == 1)
		v = _mm_load_ss(p);
	return v;
}

/* The first n of eight floats, n less than 8, the others zero. */
avx2_inline __m256 avx2_load_part(const float *p, size_t n)
{
	if (n & 4)
		return _mm256_set_m128(avx2_load_piece(p + 4, n & 3),
				       _mm_loadu_ps(p));
	return _mm256_set_m128(_mm_setzero_ps(), avx2_load_piece(p, n));
}

/* Store the first n of eight floats, n less than 8. */
avx2_inline void avx2_store_part(float *p, size_t n, __m256 v)
{
	__m128 piece = _mm256_castps256_ps128(v);

	if (n & 4) {
		_mm_storeu_ps(p, piece);
		piece = _mm256_extractf128_ps(v, 1);
		p += 4;
	}
	if (n & 2) {
		_mm_storel_pi((__m64 *)p, piece);
		piece = _mm_movehl_ps(piece, piece);
		p += 2;
	}
	if (n & 1)
		_mm_store_ss(p, piece);
}

avx2_inline __m256 avx2_widen_bf16(__m128i half)
{
	return _mm256_castsi256_ps(
		_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

/* Elements i to i + 7 of a row of Q8_0, i a multiple of 8. */
avx2_inline __m256 avx2_load_q8_0(const void *row, size_t i)
{
	const char *block = (const char *)row + i / 32 * Q8_0_BYTES;
	__m128i codes = _mm_loadl_epi64(
		(const __m128i *)(block + Q8_0_CODES + i % 32));

	return _mm256_mul_ps(_mm256_set1_ps(_cvtsh_ss(block_half(block))),
			     _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)));
}

/* Elements i to i + 7 of a row of a given type, for Q8_0 with i a multiple of 8. */
avx2_inline __m256 avx2_load_type(const void *row, enum tandem_type type, size_t i)
{
	const uint16_t *half = row;
	const float *single = row;

	if (type == TANDEM_TYPE_F16)
		return _mm256_cvtph_ps(
			_mm_loadu_si128((const __m128i *)(half + i)));
	if (type == TANDEM_TYPE_BF16)
		return avx2_widen_bf16(
			_mm_loadu_si128((const __m128i *)(half + i)));
	if (type == TANDEM_TYPE_Q8_0)
		return avx2_load_q8_0(row, i);
	return _mm256_loadu_ps(single + i);
}

/* Elements i to i + n - 1 of a row, n less than 8, the other lanes zero. */
avx2_inline __m256 avx2_load_type_part(const void *row, enum tandem_type type,
				       size_t i, size_t n)
{
	uint16_t half[8] = { 0 };

	if (type == TANDEM_TYPE_F32)
		return avx2_load_part((const float *)row + i, n);
	memcpy(half, (const uint16_t *)row + i, n * sizeof(*half));
	if (type == TANDEM_TYPE_BF16)
		return avx2_widen_bf16(_mm_loadu_si128((const __m128i *)half));
	return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)half));
}

/* Sums of the lanes of four vectors, each in the same order. */
avx2_inline __m128 avx2_sum4(__m256 a, __m256 b, __m256 c, __m256 d)
{
	__m256 sums = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));

	return _mm_add_ps(_mm256_castps256_ps128(sums),
			  _mm256_extractf128_ps(sums, 1));
}

avx2_inline float avx2_sum(__m256 a)
{
	return _mm_cvtss_f32(avx2_sum4(a, a, a, a));
}

avx2_inline float avx2_max(__m256 a)
{
	__m128 m = _mm_max_ps(_mm256_castps256_ps128(a),
			      _mm256_extractf128_ps(a, 1));

	m = _mm_max_ps(m, _mm_movehl_ps(m, m));
	return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

/*
 * exp(x) to about one unit in the last place, subnormal results included.
 *
 * x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 is split in two so that n times the
 * upper part is exact. The Taylor series of exp(r) to degree 7 leaves a relative
 * error of at most |r|^8 / 8! * e^|r| < 8e-9, an eighth of half a unit. 2^n is applied in
 * two factors, as n reaches -150 and 128, beyond single exponents. Results
 * below 2^-150 are 0, those beyond the range are infinity; NaN stays NaN, for
 * min and max return their second operand when there is one.
 */
avx2_inline __m256 avx2_exp(__m256 x)
{
	__m256 n, r, p;
	__m256i e, e0, e1;

	x = _mm256_min_ps(_mm256_set1_ps(89), x);
	x = _mm256_max_ps(_mm256_set1_ps(-104), x);
	n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(0x1.715476p+0f)),
			    _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
	r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62e4p-1f), x);
	r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.7f7d1cp-20f), r);

	p = _mm256_set1_ps(1.0f / 5040);
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 720));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1));

	e = _mm256_cvtps_epi32(n);
	e0 = _mm256_srai_epi32(e, 1);
	e1 = _mm256_sub_epi32(e, e0);
	e0 = _mm256_slli_epi32(_mm256_add_epi32(e0, _mm256_set1_epi32(127)), 23);
	e1 = _mm256_slli_epi32(_mm256_add_epi32(e1, _mm256_set1_epi32(127)), 23);
	p = _mm256_mul_ps(p, _mm256_castsi256_ps(e0));
	return _mm256_mul_ps(p, _mm256_castsi256_ps(e1));
}

#endif
