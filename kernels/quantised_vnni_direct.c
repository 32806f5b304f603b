// SPDX-License-Identifier: MIT
/*
 * Products of a few rows of x (decode) with quantised weights, with AVX-512 and
 * VNNI: weights are multiplied as they come from memory. Products of 64 elements
 * of sixteen columns are sums in several lanes each, which are then brought to
 * one lane a column; meanwhile the next sixteen columns are fetched, as their
 * rows are too short for the processor to foresee that.
 *
 * The 64 elements of sixteen columns are sixteen vectors, which hold either all
 * of one column (Q8_0, Q6_K), or sixteen elements of each of four columns, a
 * quarter of the vector each. The latter are dearer to load and far cheaper to
 * sum up, and for types that keep two codes in a byte (Q4_0, Q4_K) one load
 * serves two vectors.
 */
#include "activation.h"
#include "avx512_vector.h"
#include "quantised_vnni.h"
#include "quantised_vnni_direct.h"

#define STEP 64 /* elements */

/* Whether vectors hold quarters of columns: vector 4 p + v those of piece p. */
avx512_inline bool in_quarters(enum tandem_type type)
{
	return type == TANDEM_TYPE_Q4_0 || type == TANDEM_TYPE_Q4_K;
}

/* Sixteen bytes at @offset of rows 0, 4, 8 and 12. */
avx512_inline __m512i load_quarters(const char *const *row, size_t offset)
{
	__m512i v = _mm512_broadcast_i32x4(
		_mm_loadu_si128((const __m128i *)(row[0] + offset)));

	v = _mm512_mask_broadcast_i32x4(
		v, 0x00f0, _mm_loadu_si128((const __m128i *)(row[4] + offset)));
	v = _mm512_mask_broadcast_i32x4(
		v, 0x0f00, _mm_loadu_si128((const __m128i *)(row[8] + offset)));
	return _mm512_mask_broadcast_i32x4(
		v, 0xf000, _mm_loadu_si128((const __m128i *)(row[12] + offset)));
}

avx512_inline __m512i lower_codes(__m512i v)
{
	return _mm512_and_si512(v, _mm512_set1_epi8(15));
}

avx512_inline __m512i upper_codes(__m512i v)
{
	return _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(15));
}

/*
 * Codes @l to @l + 63, or 31 where the row ends, in four pieces of sixteen. A
 * byte of Q4_0 has codes of pieces 0 and 1, or 2 and 3, one of Q4_K those of
 * pieces 0 and 2, or 1 and 3.
 */
avx512_inline void load_pieces(__m512i *w, const char *const *row,
			       enum tandem_type type, size_t l, bool half)
{
	const bool q4_0 = type == TANDEM_TYPE_Q4_0;
	const size_t second = q4_0 ? Q4_0_BYTES : 16;
	const size_t upper = q4_0 ? 4 : 8;
	size_t at =
		q4_0 ? l / 32 * Q4_0_BYTES + Q4_0_CODES :
		       l / 256 * Q4_K_BYTES + Q4_K_CODES + l % 256 / STEP * 32;

#pragma GCC unroll 4
	for (size_t v = 0; v < 4; v++) {
		__m512i codes = load_quarters(row + v, at);

		w[v] = lower_codes(codes);
		w[upper + v] = upper_codes(codes);
		if (half && q4_0) /* rows of Q4_K are never so short */
			continue;
		codes = load_quarters(row + v, at + second);
		w[12 - upper + v] = lower_codes(codes);
		w[12 + v] = upper_codes(codes);
	}
}

/* Codes @l to @l + 63 of sixteen columns, or 32 of them at the end of the rows. */
avx512_inline void load_step(__m512i *w, const char *const *row,
			     enum tandem_type type, size_t l, bool half)
{
	if (in_quarters(type)) {
		load_pieces(w, row, type, l, half);
		return;
	}
#pragma GCC unroll 16
	for (size_t c = 0; c < LANES; c++)
		w[c] = load_codes(row[c], type, l, half);
}

/* Of four vectors the sums of each quarter: lane 4 q + v is that of quarter q of v[v]. */
avx512_inline __m512i sum_quarters(const __m512i *v)
{
	__m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]),
				     _mm512_unpackhi_epi32(v[0], v[1]));
	__m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]),
				     _mm512_unpackhi_epi32(v[2], v[3]));

	return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b),
				_mm512_unpackhi_epi64(a, b));
}

/* Products of 32 elements, columns in quarters; @x are the codes of a row. */
avx512_inline __m512i multiply_quarters(const __m512i *w, const int8_t *x)
{
	__m512i first =
		_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)x));
	__m512i second = _mm512_broadcast_i32x4(
		_mm_loadu_si128((const __m128i *)(x + 16)));
	__m512i v[4];

#pragma GCC unroll 4
	for (size_t i = 0; i < 4; i++) {
		v[i] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), w[i], first);
		v[i] = _mm512_dpbusd_epi32(v[i], w[4 + i], second);
	}
	return sum_quarters(v);
}

/* Of sixteen vectors, the sums of each quarter: quarter[i] has lane c for v[c]. */
avx512_inline void sum_columns(const __m512i *v, __m512i *quarter)
{
	__m512i pair[8], four[4], a, b, c, d;

#pragma GCC unroll 8
	for (int i = 0; i < 8; i++)
		pair[i] = _mm512_add_epi32(
			_mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]),
			_mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]));
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++)
		four[i] = _mm512_add_epi32(
			_mm512_unpacklo_epi64(pair[2 * i], pair[2 * i + 1]),
			_mm512_unpackhi_epi64(pair[2 * i], pair[2 * i + 1]));
	a = _mm512_shuffle_i32x4(four[0], four[1], 0x44);
	b = _mm512_shuffle_i32x4(four[2], four[3], 0x44);
	c = _mm512_shuffle_i32x4(four[0], four[1], 0xee);
	d = _mm512_shuffle_i32x4(four[2], four[3], 0xee);
	quarter[0] = _mm512_shuffle_i32x4(a, b, 0x88);
	quarter[1] = _mm512_shuffle_i32x4(a, b, 0xdd);
	quarter[2] = _mm512_shuffle_i32x4(c, d, 0x88);
	quarter[3] = _mm512_shuffle_i32x4(c, d, 0xdd);
}

/* Products of each group, of 16 or 32, with a column a vector. */
avx512_inline void multiply_columns(__m512i *products, const __m512i *w,
				    const int8_t *x, enum tandem_type type,
				    bool half)
{
	__m512i v[LANES], quarter[4];
	__m512i codes = half ? _mm512_zextsi256_si512(
				       _mm256_loadu_si256((const __m256i *)x)) :
			       _mm512_loadu_si512(x);

#pragma GCC unroll 16
	for (size_t c = 0; c < LANES; c++)
		v[c] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), w[c], codes);
	sum_columns(v, quarter);
	if (block_group(type) == 16) {
		memcpy(products, quarter, sizeof(quarter));
		return;
	}
	products[0] = _mm512_add_epi32(quarter[0], quarter[1]);
	products[1] = _mm512_add_epi32(quarter[2], quarter[3]);
}

/* @sum, and the products of a group: @in_row of its row, @in_chunk of @scales. */
avx512_inline __m512 add_products(__m512 sum, __m512i products,
				  const struct activation *x, size_t in_row,
				  const struct scales *scales, size_t in_chunk,
				  enum tandem_type type)
{
	const size_t group = block_group(type);
	int32_t x_sum = group == 16 ? x->half_sum[in_row] : x->sum[in_row];
	float d = x->d[in_row * group / 32];

	products = _mm512_sub_epi32(
		products, _mm512_set1_epi32(block_offset(type) * x_sum));
	sum = add_group(sum, products, _mm512_load_ps(scales->scale[in_chunk]),
			d);
	if (type == TANDEM_TYPE_Q4_K)
		sum = _mm512_fnmadd_ps(_mm512_load_ps(scales->minimum[in_chunk]),
				       _mm512_set1_ps(d * (float)x_sum), sum);
	return sum;
}

/* Likewise 32 elements: one group, or two. */
avx512_inline __m512 add_block(__m512 sum, const __m512i *products,
			       const struct activation *x, size_t in_row,
			       const struct scales *scales, size_t in_chunk,
			       enum tandem_type type)
{
	const size_t groups = 32 / block_group(type);

	sum = add_products(sum, products[0], x, in_row * groups, scales,
			   in_chunk * groups, type);
	if (groups == 2)
		sum = add_products(sum, products[1], x, in_row * groups + 1,
				   scales, in_chunk * groups + 1, type);
	return sum;
}

/* @sum, and 64, or 32, elements of sixteen columns with those of a row of x. */
avx512_inline __m512 add_step(__m512 sum, const __m512i *w,
			      const struct activation *x, size_t l,
			      const struct scales *scales, size_t l_in_chunk,
			      enum tandem_type type, bool half)
{
	__m512i products[4];

	if (!in_quarters(type)) {
		multiply_columns(products, w, x->q + l, type, half);
	} else {
		products[0] = multiply_quarters(w, x->q + l);
		if (!half)
			products[1] = multiply_quarters(w + 8, x->q + l + 32);
	}
	sum = add_block(sum, products, x, l / 32, scales, l_in_chunk / 32, type);
	if (!half)
		sum = add_block(sum, products + 32 / block_group(type), x,
				l / 32 + 1, scales, l_in_chunk / 32 + 1, type);
	return sum;
}

/* Sixteen columns of @rows rows of x, which is @a->m. */
avx512_inline void columns(const struct tandem_matmul *a, size_t rows, size_t j,
			   size_t n_end, enum tandem_type type)
{
	/* Bytes of a step of sixteen rows: what is to be fetched meanwhile. */
	const size_t step = LANES * STEP * tandem_type_block_bytes(type) /
			    tandem_type_block(type);
	size_t x_bytes = tandem_activation_bytes(a->k);
	struct activation x[DIRECT_ROWS];
	const char *row[LANES];
	__m512 sum[DIRECT_ROWS];
	struct scales scales;
	__m512i w[LANES];
	uintptr_t next;

	find_rows(row, a, j, n_end);
	next = (uintptr_t)row[0] + LANES * tandem_type_row_bytes(type, a->k);
	for (size_t i = 0; i < rows; i++) {
		x[i] = activation_at((const char *)a->x_quantised + i * x_bytes,
				     a->k);
		sum[i] = _mm512_setzero_ps();
	}
	for (size_t begin = 0; begin < a->k; begin += CHUNK) {
		size_t depth = a->k - begin < CHUNK ? a->k - begin : CHUNK;
		size_t l;

		load_scales(&scales, row, type, begin, depth);
		for (l = 0; l + STEP <= depth; l += STEP) {
			avx512_prefetch(next, (begin + l) / STEP * step, step);
			load_step(w, row, type, begin + l, false);
			for (size_t i = 0; i < rows; i++)
				sum[i] = add_step(sum[i], w, &x[i], begin + l,
						  &scales, l, type, false);
		}
		if (l == depth)
			continue;
		load_step(w, row, type, begin + l, true);
		for (size_t i = 0; i < rows; i++)
			sum[i] = add_step(sum[i], w, &x[i], begin + l, &scales,
					  l, type, true);
	}
	for (size_t i = 0; i < rows; i++)
		_mm512_mask_storeu_ps(
			a->y + i * a->ldy + j,
			avx512_mask(n_end - j < LANES ? n_end - j : LANES),
			sum[i]);
}

avx512_inline void product(const struct tandem_matmul *a, size_t n_begin,
			   size_t n_end, enum tandem_type type)
{
	/* For one row, sums and pointers stay in registers. */
	if (a->m == 1)
		for (size_t j = n_begin; j < n_end; j += LANES)
			columns(a, 1, j, n_end, type);
	else
		for (size_t j = n_begin; j < n_end; j += LANES)
			columns(a, a->m, j, n_end, type);
}

void tandem_avx512vnni_direct(const struct tandem_matmul *a, size_t n_begin,
			      size_t n_end)
{
	activation_product_by_type(product, a, n_begin, n_end);
}
