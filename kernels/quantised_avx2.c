// SPDX-License-Identifier: MIT
/*
 * Quantised weights and activations with AVX2; quantised_scalar.c says what the
 * bits are.
 *
 * Eight columns are taken together. For 32 elements of each the products of
 * codes are summed to eight integers a column, which a tree of horizontal
 * additions brings to one lane a column; their scales follow as one vector.
 */
#include "activation.h"
#include "avx2.h"
#include "avx2_vector.h"
#include "blocks.h"

#define COLUMNS 8

/* Scales and minima of eight columns for the groups of 32 elements. */
struct scales {
	float scale[2][COLUMNS];
	float minimum[COLUMNS];
};

/* Elements @l to @l + 31 of a row: of Q8_0 their values, else their codes. */
avx2_inline __m256i load_codes(const char *row, enum tandem_type type, size_t l)
{
	const __m256i low = _mm256_set1_epi8(15);
	__m256i codes, upper;
	const char *block;
	__m128i packed;

	switch (type) {
	case TANDEM_TYPE_Q4_0:
		block = row + l / 32 * Q4_0_BYTES + Q4_0_CODES;
		packed = _mm_loadu_si128((const __m128i *)block);
		codes = _mm256_set_m128i(_mm_srli_epi16(packed, 4), packed);
		return _mm256_and_si256(codes, low);
	case TANDEM_TYPE_Q8_0:
		block = row + l / 32 * Q8_0_BYTES + Q8_0_CODES;
		return _mm256_loadu_si256((const __m256i *)block);
	case TANDEM_TYPE_Q4_K:
		block = row + l / 256 * Q4_K_BYTES + Q4_K_CODES +
			l % 256 / 64 * 32;
		codes = _mm256_loadu_si256((const __m256i *)block);
		if (l % 64)
			codes = _mm256_srli_epi16(codes, 4);
		return _mm256_and_si256(codes, low);
	default:
		block = row + l / 256 * Q6_K_BYTES;
		upper = _mm256_loadu_si256(
			(const __m256i *)(block + Q6_K_UPPER +
					  l % 256 / 128 * 32));
		block += l % 256 / 128 * 64 + l % 64;
		codes = _mm256_loadu_si256((const __m256i *)block);
		if (l % 128 >= 64)
			codes = _mm256_srli_epi16(codes, 4);
		upper = _mm256_srl_epi16(
			upper, _mm_cvtsi32_si128((int)(l % 128 / 32 * 2)));
		upper = _mm256_and_si256(upper, _mm256_set1_epi8(3));
		return _mm256_or_si256(_mm256_and_si256(codes, low),
				       _mm256_slli_epi16(upper, 4));
	}
}

/* Sums of four products each. None of the intermediate sums saturates. */
avx2_inline __m256i multiply(__m256i w, __m256i x, enum tandem_type type)
{
	__m256i pairs;

	if (type == TANDEM_TYPE_Q8_0)
		pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w),
					     _mm256_sign_epi8(x, w));
	else
		pairs = _mm256_maddubs_epi16(w, x);
	return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

/* For each column the sum of the lower four lanes, and of the upper four. */
avx2_inline void sum_columns(const __m256i *v, __m256i *lower, __m256i *upper)
{
	__m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]),
				      _mm256_hadd_epi32(v[2], v[3]));
	__m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(v[4], v[5]),
				      _mm256_hadd_epi32(v[6], v[7]));

	*lower = _mm256_permute2x128_si256(a, b, 0x20);
	*upper = _mm256_permute2x128_si256(a, b, 0x31);
}

/* 16 bits, or 32, at the same place of eight rows. */
avx2_inline __m128i gather16(const char *const *row, size_t offset)
{
	return _mm_setr_epi16((short)block_half(row[0] + offset),
			      (short)block_half(row[1] + offset),
			      (short)block_half(row[2] + offset),
			      (short)block_half(row[3] + offset),
			      (short)block_half(row[4] + offset),
			      (short)block_half(row[5] + offset),
			      (short)block_half(row[6] + offset),
			      (short)block_half(row[7] + offset));
}

avx2_inline __m256i gather32(const char *const *row, size_t offset)
{
	int32_t word[COLUMNS];

#pragma GCC unroll 8
	for (size_t c = 0; c < COLUMNS; c++)
		memcpy(&word[c], row[c] + offset, sizeof(word[c]));
	return _mm256_setr_epi32(word[0], word[1], word[2], word[3], word[4],
				 word[5], word[6], word[7]);
}

avx2_inline __m256 gather_half(const char *const *row, size_t offset)
{
	return _mm256_cvtph_ps(gather16(row, offset));
}

/* @bits bits of each element, from bit @shift on. */
avx2_inline __m256i cut(__m256i v, size_t shift, int bits)
{
	return _mm256_and_si256(
		_mm256_srl_epi32(v, _mm_cvtsi64_si128((int64_t)shift)),
		_mm256_set1_epi32((1 << bits) - 1));
}

/* block_q4_k_scale() of eight columns, and the multiplication with the block's own. */
avx2_inline void load_q4_k_scales(struct scales *scales, const char *const *row,
				  size_t l)
{
	const size_t block = l / 256 * Q4_K_BYTES;
	const size_t packed = block + Q4_K_SCALES;
	const size_t shift = l % 128 / 32 * 8;
	__m256i s = gather32(row, packed), m = gather32(row, packed + 4);

	if (l % 256 < 128) {
		s = cut(s, shift, 6);
		m = cut(m, shift, 6);
	} else {
		__m256i lower = gather32(row, packed + 8);

		s = _mm256_or_si256(
			cut(lower, shift, 4),
			_mm256_slli_epi32(cut(s, shift + 6, 2), 4));
		m = _mm256_or_si256(
			cut(lower, shift + 4, 4),
			_mm256_slli_epi32(cut(m, shift + 6, 2), 4));
	}
	_mm256_storeu_ps(scales->scale[0],
			 _mm256_mul_ps(gather_half(row, block),
				       _mm256_cvtepi32_ps(s)));
	_mm256_storeu_ps(scales->minimum,
			 _mm256_mul_ps(gather_half(row, block + Q4_K_MINIMUM),
				       _mm256_cvtepi32_ps(m)));
}

/* Two signed bytes of each column are scales. */
avx2_inline void load_q6_k_scales(struct scales *scales, const char *const *row,
				  size_t l)
{
	const size_t block = l / 256 * Q6_K_BYTES;
	const __m256 d = gather_half(row, block + Q6_K_D);
	const __m256i pair = _mm256_cvtepi16_epi32(
		gather16(row, block + Q6_K_SCALES + l % 256 / 16));
	const __m256i first = _mm256_srai_epi32(_mm256_slli_epi32(pair, 24), 24);
	const __m256i second = _mm256_srai_epi32(pair, 8);

	_mm256_storeu_ps(scales->scale[0],
			 _mm256_mul_ps(d, _mm256_cvtepi32_ps(first)));
	_mm256_storeu_ps(scales->scale[1],
			 _mm256_mul_ps(d, _mm256_cvtepi32_ps(second)));
}

avx2_inline void load_scales(struct scales *scales, const char *const *row,
			     enum tandem_type type, size_t l)
{
	switch (type) {
	case TANDEM_TYPE_Q4_0:
		_mm256_storeu_ps(scales->scale[0],
				 gather_half(row, l / 32 * Q4_0_BYTES));
		break;
	case TANDEM_TYPE_Q8_0:
		_mm256_storeu_ps(scales->scale[0],
				 gather_half(row, l / 32 * Q8_0_BYTES));
		break;
	case TANDEM_TYPE_Q4_K:
		load_q4_k_scales(scales, row, l);
		break;
	default:
		load_q6_k_scales(scales, row, l);
		break;
	}
}

/* sum + (products - offset * x_sum) * (scale * d) */
avx2_inline __m256 add_group(__m256 sum, __m256i products, int32_t offset,
			     int32_t x_sum, const float *scale, float d)
{
	__m256i value = _mm256_sub_epi32(products,
					 _mm256_set1_epi32(offset * x_sum));

	return _mm256_fmadd_ps(_mm256_cvtepi32_ps(value),
			       _mm256_mul_ps(_mm256_loadu_ps(scale),
					     _mm256_set1_ps(d)),
			       sum);
}

/* One row of x and 32 elements of eight columns. */
avx2_inline __m256 add_block(__m256 sum, const struct activation *x, size_t l,
			     const __m256i *w, const struct scales *scales,
			     enum tandem_type type)
{
	/* Values of Q8_0 come without an offset. */
	int32_t offset = type == TANDEM_TYPE_Q8_0 ? 0 : block_offset(type);
	__m256i xl = _mm256_loadu_si256((const __m256i *)(x->q + l));
	__m256i products[COLUMNS], lower, upper;
	size_t b = l / ACTIVATION_BLOCK;

#pragma GCC unroll 8
	for (size_t c = 0; c < COLUMNS; c++)
		products[c] = multiply(w[c], xl, type);
	sum_columns(products, &lower, &upper);
	if (block_group(type) == 16) {
		sum = add_group(sum, lower, offset, x->half_sum[2 * b],
				scales->scale[0], x->d[b]);
		return add_group(sum, upper, offset, x->half_sum[2 * b + 1],
				 scales->scale[1], x->d[b]);
	}
	sum = add_group(sum, _mm256_add_epi32(lower, upper), offset, x->sum[b],
			scales->scale[0], x->d[b]);
	if (type == TANDEM_TYPE_Q4_K)
		sum = _mm256_fnmadd_ps(_mm256_loadu_ps(scales->minimum),
				       _mm256_set1_ps(x->d[b] *
						      (float)x->sum[b]),
				       sum);
	return sum;
}

#define ROWS 4 /* rows of x that share the reading of a block of weights */

avx2_inline void columns(const struct tandem_matmul *a, size_t i, size_t rows,
			 size_t j, size_t n, enum tandem_type type)
{
	size_t row_bytes = tandem_type_row_bytes(type, a->k);
	size_t x_bytes = tandem_activation_bytes(a->k);
	const char *row[COLUMNS];
	struct activation x[ROWS];
	struct scales scales;
	__m256 sum[ROWS];
	__m256i w[COLUMNS];

	for (size_t c = 0; c < COLUMNS; c++)
		row[c] = (const char *)a->w +
			 (j + (c < n ? c : n - 1)) * row_bytes;
	for (size_t r = 0; r < rows; r++) {
		x[r] = activation_at((const char *)a->x_quantised +
					     (i + r) * x_bytes,
				     a->k);
		sum[r] = _mm256_setzero_ps();
	}
	for (size_t l = 0; l < a->k; l += ACTIVATION_BLOCK) {
		load_scales(&scales, row, type, l);
#pragma GCC unroll 8
		for (size_t c = 0; c < COLUMNS; c++)
			w[c] = load_codes(row[c], type, l);
		for (size_t r = 0; r < rows; r++)
			sum[r] = add_block(sum[r], &x[r], l, w, &scales, type);
	}
	for (size_t r = 0; r < rows; r++) {
		float *y = a->y + (i + r) * a->ldy + j;

		if (n == COLUMNS)
			_mm256_storeu_ps(y, sum[r]);
		else
			avx2_store_part(y, n, sum[r]);
	}
}

avx2_inline void product(const struct tandem_matmul *a, size_t n_begin,
			 size_t n_end, enum tandem_type type)
{
	for (size_t j = n_begin; j < n_end; j += COLUMNS) {
		size_t n = n_end - j < COLUMNS ? n_end - j : COLUMNS;

		for (size_t i = 0; i < a->m; i += ROWS)
			columns(a, i, a->m - i < ROWS ? a->m - i : ROWS, j, n,
				type);
	}
}

void tandem_avx2_matmul_quantised(const struct tandem_matmul *a, size_t n_begin,
				  size_t n_end)
{
	activation_product_by_type(product, a, n_begin, n_end);
}

/* The largest magnitude of 32 floats; NaN if one is no number. */
avx2_inline float magnitude(const __m256 *x)
{
	const __m256i mask = _mm256_set1_epi32(0x7fffffff);
	__m256i most = _mm256_setzero_si256();
	__m128i m;
	int32_t bits;
	float f;

	/* As integers magnitudes are in order, infinity and NaN above all. */
	for (size_t v = 0; v < 4; v++)
		most = _mm256_max_epi32(
			most, _mm256_and_si256(_mm256_castps_si256(x[v]), mask));
	m = _mm_max_epi32(_mm256_castsi256_si128(most),
			  _mm256_extracti128_si256(most, 1));
	m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
	m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
	bits = _mm_cvtsi128_si32(m);
	if (bits >= 0x7f800000)
		return NAN;
	memcpy(&f, &bits, sizeof(f));
	return f;
}

void tandem_avx2_quantise(void *out, const float *x, size_t k)
{
	const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	struct activation to = activation_at(out, k);

	for (size_t b = 0; b < k / ACTIVATION_BLOCK; b++) {
		__m256i q[4], words[2], bytes, sums;
		__m256 from[4];
		float most, inverse;
		int32_t halves[2];

		for (size_t v = 0; v < 4; v++)
			from[v] = _mm256_loadu_ps(x + b * ACTIVATION_BLOCK +
						  v * 8);
		most = magnitude(from);
		inverse = most >= ACTIVATION_LEAST ? 127 / most : 0;
		for (size_t v = 0; v < 4; v++)
			q[v] = _mm256_cvtps_epi32(_mm256_mul_ps(
				from[v], _mm256_set1_ps(inverse)));
		words[0] = _mm256_packs_epi32(q[0], q[1]);
		words[1] = _mm256_packs_epi32(q[2], q[3]);
		bytes = _mm256_permutevar8x32_epi32(
			_mm256_packs_epi16(words[0], words[1]), order);
		/* What is no number times 0 must not become a code. */
		if (!(most >= ACTIVATION_LEAST))
			bytes = _mm256_setzero_si256();
		_mm256_storeu_si256(
			(__m256i *)(to.q + b * ACTIVATION_BLOCK), bytes);

		sums = _mm256_madd_epi16(
			_mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes),
			_mm256_set1_epi16(1));
		sums = _mm256_hadd_epi32(sums, sums);
		sums = _mm256_hadd_epi32(sums, sums);
		halves[0] = _mm256_extract_epi32(sums, 0);
		halves[1] = _mm256_extract_epi32(sums, 4);
		memcpy((int32_t *)to.half_sum + 2 * b, halves, sizeof(halves));
		((int32_t *)to.sum)[b] = halves[0] + halves[1];
		((float *)to.d)[b] = most < ACTIVATION_LEAST ? 0 : most / 127;
	}
}
