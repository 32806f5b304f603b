// SPDX-License-Identifier: MIT
/* Kernels whose outputs each depend on one element, or on one pair. */
#include "avx2.h"
#include "avx2_vector.h"
#include "scalar.h"

/* Eight elements: in each pair (x0, x1) to (x0 cos - x1 sin, x1 cos + x0 sin). */
avx2_inline __m256 rotate(__m256 x, __m256 table)
{
	__m256 cos = _mm256_moveldup_ps(table);
	__m256 sin = _mm256_movehdup_ps(table);
	__m256 swapped = _mm256_permute_ps(x, 0xb1);

	return _mm256_addsub_ps(_mm256_mul_ps(x, cos),
				_mm256_mul_ps(swapped, sin));
}

void tandem_avx2_rope(float *x, size_t n_heads, size_t head_dim, size_t n_rot,
		      const float *table)
{
	for (size_t head = 0; head < n_heads; head++, x += head_dim) {
		size_t i;

		for (i = 0; i + 8 <= n_rot; i += 8)
			_mm256_storeu_ps(x + i,
					 rotate(_mm256_loadu_ps(x + i),
						_mm256_loadu_ps(table + i)));
		if (i < n_rot)
			avx2_store_part(
				x + i, n_rot - i,
				rotate(avx2_load_part(x + i, n_rot - i),
				       avx2_load_part(table + i, n_rot - i)));
	}
}

/* Of 16 elements of a table the cosines, or with @which 0xdd the sines. */
#define TABLE_PART(table, which)                                              \
	_mm256_castpd_ps(_mm256_permute4x64_pd(                               \
		_mm256_castps_pd(_mm256_shuffle_ps(_mm256_loadu_ps(table),    \
						   _mm256_loadu_ps((table) + 8), \
						   which)),                   \
		0xd8))

void tandem_avx2_rope_halves(float *x, size_t n_heads, size_t head_dim, size_t n_rot,
			     const float *table)
{
	const size_t half = n_rot / 2;

	for (size_t head = 0; head < n_heads; head++, x += head_dim) {
		size_t i;

		for (i = 0; i + 8 <= half; i += 8) {
			__m256 x0 = _mm256_loadu_ps(x + i);
			__m256 x1 = _mm256_loadu_ps(x + half + i);
			__m256 cos = TABLE_PART(table + 2 * i, 0x88);
			__m256 sin = TABLE_PART(table + 2 * i, 0xdd);

			_mm256_storeu_ps(x + i,
					 _mm256_sub_ps(_mm256_mul_ps(x0, cos),
						       _mm256_mul_ps(x1, sin)));
			_mm256_storeu_ps(x + half + i,
					 _mm256_add_ps(_mm256_mul_ps(x1, cos),
						       _mm256_mul_ps(x0, sin)));
		}
		for (; i < half; i++) {
			float cos = table[2 * i], sin = table[2 * i + 1];
			float x0 = x[i], x1 = x[half + i];

			x[i] = x0 * cos - x1 * sin;
			x[half + i] = x1 * cos + x0 * sin;
		}
	}
}

avx2_inline __m256 silu_mul(__m256 gate, __m256 up)
{
	__m256 e = avx2_exp(_mm256_xor_ps(gate, _mm256_set1_ps(-0.0f)));

	return _mm256_mul_ps(
		_mm256_div_ps(gate, _mm256_add_ps(_mm256_set1_ps(1), e)), up);
}

void tandem_avx2_silu_mul(float *out, const float *gate, const float *up, size_t n)
{
	size_t i;

	for (i = 0; i + 8 <= n; i += 8)
		_mm256_storeu_ps(out + i, silu_mul(_mm256_loadu_ps(gate + i),
						   _mm256_loadu_ps(up + i)));
	if (i < n)
		avx2_store_part(out + i, n - i,
				silu_mul(avx2_load_part(gate + i, n - i),
					 avx2_load_part(up + i, n - i)));
}

void tandem_avx2_add(float *out, const float *a, const float *b, size_t n)
{
	size_t i;

	for (i = 0; i + 8 <= n; i += 8)
		_mm256_storeu_ps(out + i, _mm256_add_ps(_mm256_loadu_ps(a + i),
							_mm256_loadu_ps(b + i)));
	if (i < n)
		avx2_store_part(out + i, n - i,
				_mm256_add_ps(avx2_load_part(a + i, n - i),
					      avx2_load_part(b + i, n - i)));
}

void tandem_avx2_to_f32(float *out, const void *src, enum tandem_type type,
			size_t n)
{
	size_t i;

	if (type == TANDEM_TYPE_F32 || tandem_type_quantised(type)) {
		tandem_scalar_to_f32(out, src, type, n);
		return;
	}
	for (i = 0; i + 8 <= n; i += 8)
		_mm256_storeu_ps(out + i, avx2_load_type(src, type, i));
	if (i < n)
		avx2_store_part(out + i, n - i,
				avx2_load_type_part(src, type, i, n - i));
}

void tandem_avx2_from_f32(void *out, const float *src, enum tandem_type type,
			  size_t n)
{
	uint16_t *half = out;
	size_t i;

	if (type != TANDEM_TYPE_F16) {
		tandem_scalar_from_f32(out, src, type, n);
		return;
	}
	for (i = 0; i + 8 <= n; i += 8)
		_mm_storeu_si128((__m128i *)(half + i),
				 _mm256_cvtps_ph(_mm256_loadu_ps(src + i),
						 _MM_FROUND_TO_NEAREST_INT));
	for (; i < n; i++)
		half[i] = tandem_f32_to_f16(src[i]);
}
