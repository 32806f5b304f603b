// SPDX-License-Identifier: MIT
/*
 * Products with quantised weights, with AVX-512 and VNNI; quantised_scalar.c says
 * what the bits are. VPDPBUSD multiplies the codes, unsigned bytes, with the
 * codes of x, signed bytes, and sums them four at a time, exactly.
 *
 * Sixteen columns are taken together, a lane each. A few rows of x (decode) are
 * multiplied with weights as they come from memory: products of 64 elements of
 * sixteen columns are sums in sixteen lanes each, which sum_columns() brings to
 * one lane a column; meanwhile the next sixteen columns are fetched, as their
 * rows are too short for the processor to foresee that. For more rows (prefill)
 * weights are packed first: for 32 columns and a chunk of the depth, four elements
 * of sixteen columns a vector.
 * The panel, CHUNK * 32 bytes and its scales, stays in the caches while all rows
 * of x pass by, six at a time.
 */
#include "activation.h"
#include "avx2.h"
#include "avx512.h"
#include "avx512_vector.h"

#define LANES	    16
#define CHUNK	    1024 /* depth of a panel, a multiple of 256 */
#define GROUPS	    (CHUNK / 16) /* the most groups in a chunk */
#define BLOCKS	    (CHUNK / ACTIVATION_BLOCK)
#define DIRECT_ROWS 4 /* up to so many rows weights are not packed */
#define TILE_ROWS   6
#define PANEL	    2 /* vectors of columns in a panel */

/* Scales and minima of sixteen columns, group by group. */
struct scales {
	_Alignas(64) float scale[GROUPS][LANES];
	_Alignas(64) float minimum[BLOCKS][LANES];
};

struct panel {
	_Alignas(64) uint8_t codes[CHUNK / 4][PANEL][64];
	struct scales scales[PANEL];
};

/* Codes @l to @l + 63 of a row, or, at the end of a row, 32 of them and zeros. */
avx512_inline __m512i load_codes(const char *row, enum tandem_type type,
				 size_t l, bool half)
{
	const __m512i low = _mm512_set1_epi8(15);
	const __m512i second = _mm512_set_epi64(4, 4, 0, 0, 4, 4, 0, 0);
	__m512i codes, upper;
	const char *block;
	__m256i a, b;

	switch (type) {
	case TANDEM_TYPE_Q4_0:
		block = row + l / 32 * Q4_0_BYTES + Q4_0_CODES;
		a = _mm256_broadcastsi128_si256(
			_mm_loadu_si128((const __m128i *)block));
		b = half ? _mm256_setzero_si256() :
			   _mm256_broadcastsi128_si256(_mm_loadu_si128(
				   (const __m128i *)(block + Q4_0_BYTES)));
		codes = _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
		return _mm512_and_si512(_mm512_srlv_epi64(codes, second), low);
	case TANDEM_TYPE_Q8_0:
		block = row + l / 32 * Q8_0_BYTES + Q8_0_CODES;
		a = _mm256_loadu_si256((const __m256i *)block);
		b = half ? _mm256_setzero_si256() :
			   _mm256_loadu_si256(
				   (const __m256i *)(block + Q8_0_BYTES));
		codes = _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
		return _mm512_xor_si512(codes, _mm512_set1_epi8(-128));
	case TANDEM_TYPE_Q4_K:
		block = row + l / 256 * Q4_K_BYTES + Q4_K_CODES +
			l % 256 / 64 * 32;
		codes = _mm512_broadcast_i64x4(
			_mm256_loadu_si256((const __m256i *)block));
		codes = _mm512_srlv_epi64(
			codes, _mm512_set_epi64(4, 4, 4, 4, 0, 0, 0, 0));
		return _mm512_and_si512(codes, low);
	default:
		block = row + l / 256 * Q6_K_BYTES;
		upper = _mm512_broadcast_i64x4(_mm256_loadu_si256(
			(const __m256i *)(block + Q6_K_UPPER +
					  l % 256 / 128 * 32)));
		upper = _mm512_srlv_epi64(
			upper, _mm512_set_epi64(2, 2, 2, 2, 0, 0, 0, 0));
		codes = _mm512_loadu_si512(block + l % 256 / 128 * 64);
		if (l % 128) {
			codes = _mm512_srli_epi16(codes, 4);
			upper = _mm512_srli_epi16(upper, 4);
		}
		upper = _mm512_and_si512(upper, _mm512_set1_epi8(3));
		return _mm512_or_si512(_mm512_and_si512(codes, low),
				       _mm512_slli_epi16(upper, 4));
	}
}

/* Turn sixteen vectors of sixteen 32-bit elements. */
avx512_inline void transpose(__m512i *v)
{
	__m512i t[16];

#pragma GCC unroll 8
	for (int i = 0; i < 16; i += 2) {
		t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
		t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
	}
#pragma GCC unroll 4
	for (int i = 0; i < 16; i += 4) {
		v[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
		v[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
		v[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
		v[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
	}
	/* Now v[4 i + p] has in quarter q column 4 q + p of rows 4 i to 4 i + 3. */
#pragma GCC unroll 4
	for (int p = 0; p < 4; p++) {
		t[p] = _mm512_shuffle_i32x4(v[p], v[4 + p], 0x44);
		t[4 + p] = _mm512_shuffle_i32x4(v[p], v[4 + p], 0xee);
		t[8 + p] = _mm512_shuffle_i32x4(v[8 + p], v[12 + p], 0x44);
		t[12 + p] = _mm512_shuffle_i32x4(v[8 + p], v[12 + p], 0xee);
	}
#pragma GCC unroll 4
	for (int p = 0; p < 4; p++) {
		v[p] = _mm512_shuffle_i32x4(t[p], t[8 + p], 0x88);
		v[4 + p] = _mm512_shuffle_i32x4(t[p], t[8 + p], 0xdd);
		v[8 + p] = _mm512_shuffle_i32x4(t[4 + p], t[12 + p], 0x88);
		v[12 + p] = _mm512_shuffle_i32x4(t[4 + p], t[12 + p], 0xdd);
	}
}

/* The first @count 16-bit elements of a vector. */
avx512_inline __mmask32 first_halves(size_t count)
{
	return count < 32 ? (__mmask32)((1u << count) - 1) : ~0u;
}

/*
 * The binary16 in front of each of sixteen blocks, widened; zeros behind the
 * @blocks that there are. Two vectors have those of eight blocks of Q4_0 in them,
 * or of four of Q8_0, and none reaches beyond these blocks.
 */
avx512_inline __m512i half_scales(const char *block, size_t block_bytes,
				  size_t blocks)
{
	const size_t found = block_bytes == Q4_0_BYTES ? 8 : 4;
	const __m512i lane = _mm512_zextsi256_si512(_mm256_setr_epi16(
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
	const __m512i place = _mm512_mullo_epi16(
		_mm512_and_si512(lane, _mm512_set1_epi16((short)(found - 1))),
		_mm512_set1_epi16((short)(block_bytes / 2)));
	__m512i scales = _mm512_setzero_si512();

#pragma GCC unroll 4
	for (size_t b = 0; b < LANES; b += found) {
		const char *p = block + b * block_bytes;
		size_t left = b < blocks ? (blocks - b) * block_bytes / 2 : 0;
		__m512i halves = _mm512_permutex2var_epi16(
			_mm512_maskz_loadu_epi16(first_halves(left), p), place,
			_mm512_maskz_loadu_epi16(
				first_halves(left < 32 ? 0 : left - 32),
				p + 64));

		scales = _mm512_mask_mov_epi16(
			scales, (__mmask32)((1u << found) - 1) << b, halves);
	}
	return _mm512_castps_si512(
		_mm512_cvtph_ps(_mm512_castsi512_si256(scales)));
}

/* Scales of blocks of 32 elements with a binary16 in front. */
avx512_inline void load_half_scales(struct scales *scales,
				    const char *const *row, size_t block_bytes,
				    size_t l, size_t depth)
{
	for (size_t b = 0; b < depth / 32; b += LANES) {
		__m512i v[LANES];

#pragma GCC unroll 16
		for (size_t c = 0; c < LANES; c++)
			v[c] = half_scales(row[c] + (l / 32 + b) * block_bytes,
					   block_bytes, depth / 32 - b);
		transpose(v);
#pragma GCC unroll 16
		for (size_t g = 0; g < LANES; g++)
			_mm512_store_si512(scales->scale[b + g], v[g]);
	}
}

/*
 * The sixteen scales of a block as they are multiplied, with the block's own; the
 * bits are those of one after the other.
 */
avx512_inline __m512i q6_k_scales(const char *block)
{
	__m128i s = _mm_loadu_si128((const __m128i *)(block + Q6_K_SCALES));

	return _mm512_castps_si512(_mm512_mul_ps(
		_mm512_set1_ps(_cvtsh_ss(block_half(block + Q6_K_D))),
		_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(s))));
}

/* Likewise eight scales, and eight minima: block_q4_k_scale(), four at a time. */
avx512_inline __m512i q4_k_scales(const char *block)
{
	const float d = _cvtsh_ss(block_half(block));
	const float minimum = _cvtsh_ss(block_half(block + Q4_K_MINIMUM));
	uint32_t a, b, c;
	__m128i s;

	memcpy(&a, block + Q4_K_SCALES, 4);
	memcpy(&b, block + Q4_K_SCALES + 4, 4);
	memcpy(&c, block + Q4_K_SCALES + 8, 4);
	s = _mm_setr_epi32(
		(int)(a & 0x3f3f3f3f),
		(int)((c & 0x0f0f0f0f) | (a >> 6 & 0x03030303) << 4),
		(int)(b & 0x3f3f3f3f),
		(int)((c >> 4 & 0x0f0f0f0f) | (b >> 6 & 0x03030303) << 4));
	return _mm512_castps_si512(_mm512_mul_ps(
		_mm512_insertf32x8(_mm512_set1_ps(d), _mm256_set1_ps(minimum),
				   1),
		_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(s))));
}

avx512_inline void load_q4_k_scales(struct scales *scales,
				    const char *const *row, size_t l,
				    size_t depth)
{
	for (size_t b = 0; b < depth / 256; b++) {
		__m512i v[LANES];

#pragma GCC unroll 16
		for (size_t c = 0; c < LANES; c++)
			v[c] = q4_k_scales(row[c] +
					   (l / 256 + b) * Q4_K_BYTES);
		transpose(v);
#pragma GCC unroll 8
		for (size_t g = 0; g < 8; g++) {
			_mm512_store_si512(scales->scale[8 * b + g], v[g]);
			_mm512_store_si512(scales->minimum[8 * b + g],
					   v[8 + g]);
		}
	}
}

avx512_inline void load_q6_k_scales(struct scales *scales,
				    const char *const *row, size_t l,
				    size_t depth)
{
	for (size_t b = 0; b < depth / 256; b++) {
		__m512i v[LANES];

#pragma GCC unroll 16
		for (size_t c = 0; c < LANES; c++)
			v[c] = q6_k_scales(row[c] +
					   (l / 256 + b) * Q6_K_BYTES);
		transpose(v);
#pragma GCC unroll 16
		for (size_t g = 0; g < LANES; g++)
			_mm512_store_si512(scales->scale[16 * b + g], v[g]);
	}
}

avx512_inline void load_scales(struct scales *scales, const char *const *row,
			       enum tandem_type type, size_t l, size_t depth)
{
	switch (type) {
	case TANDEM_TYPE_Q4_0:
		load_half_scales(scales, row, Q4_0_BYTES, l, depth);
		break;
	case TANDEM_TYPE_Q8_0:
		load_half_scales(scales, row, Q8_0_BYTES, l, depth);
		break;
	case TANDEM_TYPE_Q4_K:
		load_q4_k_scales(scales, row, l, depth);
		break;
	default:
		load_q6_k_scales(scales, row, l, depth);
		break;
	}
}

/* sum + (products - offset * x_sum) * (scale * d) */
avx512_inline __m512 add_group(__m512 sum, __m512i products, __m512 scale,
			       float d)
{
	return _mm512_fmadd_ps(_mm512_cvtepi32_ps(products),
			       _mm512_mul_ps(scale, _mm512_set1_ps(d)), sum);
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

/* 32 elements whose products are in @first and @second, 16 in each. */
avx512_inline __m512 add_block(__m512 sum, const struct activation *x,
			       size_t block, __m512i first, __m512i second,
			       const struct scales *scales, size_t block_in_chunk,
			       enum tandem_type type)
{
	const int32_t offset = block_offset(type);
	size_t g = block_in_chunk;
	float d = x->d[block];

	if (block_group(type) == 16) {
		first = _mm512_sub_epi32(
			first,
			_mm512_set1_epi32(offset * x->half_sum[2 * block]));
		second = _mm512_sub_epi32(
			second,
			_mm512_set1_epi32(offset * x->half_sum[2 * block + 1]));
		sum = add_group(sum, first,
				_mm512_load_ps(scales->scale[2 * g]), d);
		return add_group(sum, second,
				 _mm512_load_ps(scales->scale[2 * g + 1]), d);
	}
	first = _mm512_sub_epi32(_mm512_add_epi32(first, second),
				 _mm512_set1_epi32(offset * x->sum[block]));
	sum = add_group(sum, first, _mm512_load_ps(scales->scale[g]), d);
	if (type == TANDEM_TYPE_Q4_K)
		sum = _mm512_fnmadd_ps(
			_mm512_load_ps(scales->minimum[g]),
			_mm512_set1_ps(d * (float)x->sum[block]), sum);
	return sum;
}

/* 64, or 32, elements of sixteen columns and of a row of x. */
avx512_inline __m512 direct_step(__m512 sum, const __m512i *w,
				 const struct activation *x, size_t l,
				 const struct scales *scales, size_t l_in_chunk,
				 enum tandem_type type, bool half)
{
	const size_t block = l / 32, in_chunk = l_in_chunk / 32;
	__m512i xl, products[LANES], quarter[4];

	xl = half ? _mm512_zextsi256_si512(
			    _mm256_loadu_si256((const __m256i *)(x->q + l))) :
		    _mm512_loadu_si512(x->q + l);
#pragma GCC unroll 16
	for (size_t c = 0; c < LANES; c++)
		products[c] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), w[c],
						  xl);
	sum_columns(products, quarter);
	sum = add_block(sum, x, block, quarter[0], quarter[1], scales, in_chunk,
			type);
	if (!half)
		sum = add_block(sum, x, block + 1, quarter[2], quarter[3],
				scales, in_chunk + 1, type);
	return sum;
}

static void find_rows(const char **row, const struct tandem_matmul *a, size_t j,
		      size_t n_end)
{
	size_t row_bytes = tandem_type_row_bytes(a->w_type, a->k);

	/* At an edge the last column stands in for those that are missing. */
	for (size_t c = 0; c < LANES; c++)
		row[c] = (const char *)a->w +
			 (j + c < n_end ? j + c : n_end - 1) * row_bytes;
}

/* Sixteen columns of all rows of x, which are at most DIRECT_ROWS. */
avx512_inline void direct(const struct tandem_matmul *a, size_t j, size_t n_end,
			  enum tandem_type type)
{
	/* Bytes of 64 elements of sixteen rows: what is to be fetched meanwhile. */
	const size_t step = LANES * 64 * tandem_type_block_bytes(type) /
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
	for (size_t i = 0; i < a->m; i++) {
		x[i] = activation_at((const char *)a->x_quantised + i * x_bytes,
				     a->k);
		sum[i] = _mm512_setzero_ps();
	}
	for (size_t begin = 0; begin < a->k; begin += CHUNK) {
		size_t depth = a->k - begin < CHUNK ? a->k - begin : CHUNK;
		size_t l;

		load_scales(&scales, row, type, begin, depth);
		for (l = 0; l + 64 <= depth; l += 64) {
			avx512_prefetch(next, (begin + l) / 64 * step, step);
#pragma GCC unroll 16
			for (size_t c = 0; c < LANES; c++)
				w[c] = load_codes(row[c], type, begin + l,
						  false);
			for (size_t i = 0; i < a->m; i++)
				sum[i] = direct_step(sum[i], w, &x[i],
						     begin + l, &scales, l,
						     type, false);
		}
		if (l == depth)
			continue;
#pragma GCC unroll 16
		for (size_t c = 0; c < LANES; c++)
			w[c] = load_codes(row[c], type, begin + l, true);
		for (size_t i = 0; i < a->m; i++)
			sum[i] = direct_step(sum[i], w, &x[i], begin + l,
					     &scales, l, type, true);
	}
	for (size_t i = 0; i < a->m; i++)
		_mm512_mask_storeu_ps(
			a->y + i * a->ldy + j,
			avx512_mask(n_end - j < LANES ? n_end - j : LANES),
			sum[i]);
}

/* Elements [begin, begin + depth) of 32 columns from @j. */
avx512_inline void pack(struct panel *panel, const struct tandem_matmul *a,
			size_t j, size_t n_end, size_t begin, size_t depth,
			enum tandem_type type)
{
	const size_t step = LANES * 64 * tandem_type_block_bytes(type) /
			    tandem_type_block(type);
	const char *row[LANES];
	__m512i w[LANES];
	uintptr_t next;

	for (size_t half = 0; half < PANEL; half++) {
		size_t first = j + half * LANES;

		find_rows(row, a, first < n_end ? first : n_end - 1, n_end);
		next = (uintptr_t)a->w +
		       (first + LANES) * tandem_type_row_bytes(type, a->k);
		load_scales(&panel->scales[half], row, type, begin, depth);
		for (size_t l = 0; l < depth; l += 64) {
			bool short_step = l + 64 > depth;

			avx512_prefetch(next, (begin + l) / 64 * step, step);
			if (short_step) {
#pragma GCC unroll 16
				for (size_t c = 0; c < LANES; c++)
					w[c] = load_codes(row[c], type,
							  begin + l, true);
			} else {
#pragma GCC unroll 16
				for (size_t c = 0; c < LANES; c++)
					w[c] = load_codes(row[c], type,
							  begin + l, false);
			}
			transpose(w);
#pragma GCC unroll 16
			for (size_t p = 0; p < 16; p++)
				if (p < 8 || !short_step)
					_mm512_store_si512(
						panel->codes[l / 4 + p][half],
						w[p]);
		}
	}
}

avx512_inline __m512i broadcast4(const int8_t *p)
{
	int32_t four;

	memcpy(&four, p, sizeof(four));
	return _mm512_set1_epi32(four);
}

/* Products of @count elements, a group, of a tile; taken off is the offset. */
avx512_inline void multiply_group(__m512i (*products)[PANEL],
				  const struct panel *panel,
				  const struct activation *x, size_t rows,
				  size_t l, size_t l_in_chunk,
				  enum tandem_type type)
{
	const size_t group = block_group(type);
	const int32_t offset = block_offset(type);

#pragma GCC unroll 6
	for (size_t r = 0; r < rows; r++) {
		int32_t x_sum = group == 16 ? x[r].half_sum[l / 16] :
					      x[r].sum[l / 32];

		products[r][0] = _mm512_set1_epi32(-offset * x_sum);
		products[r][1] = products[r][0];
	}
#pragma GCC unroll 8
	for (size_t p = 0; p < group; p += 4) {
		const uint8_t(*codes)[64] = panel->codes[(l_in_chunk + p) / 4];
		__m512i w0 = _mm512_load_si512(codes[0]);
		__m512i w1 = _mm512_load_si512(codes[1]);

#pragma GCC unroll 6
		for (size_t r = 0; r < rows; r++) {
			__m512i xl = broadcast4(x[r].q + l + p);

			products[r][0] = _mm512_dpbusd_epi32(products[r][0], w0,
							     xl);
			products[r][1] = _mm512_dpbusd_epi32(products[r][1], w1,
							     xl);
		}
	}
}

/* @rows rows of x from @i on with a panel. */
avx512_inline void tile(const struct tandem_matmul *a, const struct panel *panel,
			size_t rows, size_t i, size_t j, size_t columns,
			size_t begin, size_t depth, enum tandem_type type)
{
	const __mmask32 mask = (__mmask32)((1ull << columns) - 1);
	const size_t group = block_group(type);
	size_t x_bytes = tandem_activation_bytes(a->k);
	__m512i products[TILE_ROWS][PANEL];
	struct activation x[TILE_ROWS];
	__m512 sum[TILE_ROWS][PANEL];

#pragma GCC unroll 6
	for (size_t r = 0; r < rows; r++) {
		float *y = a->y + (i + r) * a->ldy + j;

		x[r] = activation_at((const char *)a->x_quantised +
					     (i + r) * x_bytes,
				     a->k);
		sum[r][0] = _mm512_setzero_ps();
		sum[r][1] = _mm512_setzero_ps();
		/* Between chunks the sums wait, unrounded, in y. */
		if (begin) {
			sum[r][0] = _mm512_maskz_loadu_ps((__mmask16)mask, y);
			sum[r][1] = _mm512_maskz_loadu_ps(
				(__mmask16)(mask >> 16), y + LANES);
		}
	}
	for (size_t l = 0; l < depth; l += group) {
		multiply_group(products, panel, x, rows, begin + l, l, type);
#pragma GCC unroll 2
		for (size_t half = 0; half < PANEL; half++) {
			__m512 scale = _mm512_load_ps(
				panel->scales[half].scale[l / group]);
			__m512 minimum = _mm512_load_ps(
				panel->scales[half].minimum[l / 32]);

#pragma GCC unroll 6
			for (size_t r = 0; r < rows; r++) {
				size_t b = (begin + l) / 32;
				float d = x[r].d[b];

				sum[r][half] = add_group(sum[r][half],
							 products[r][half],
							 scale, d);
				if (type == TANDEM_TYPE_Q4_K)
					sum[r][half] = _mm512_fnmadd_ps(
						minimum,
						_mm512_set1_ps(
							d *
							(float)x[r].sum[b]),
						sum[r][half]);
			}
		}
	}
#pragma GCC unroll 6
	for (size_t r = 0; r < rows; r++) {
		float *y = a->y + (i + r) * a->ldy + j;

		_mm512_mask_storeu_ps(y, (__mmask16)mask, sum[r][0]);
		_mm512_mask_storeu_ps(y + LANES, (__mmask16)(mask >> 16),
				      sum[r][1]);
	}
}

avx512_inline void pass_rows(const struct tandem_matmul *a,
			     const struct panel *panel, size_t j, size_t columns,
			     size_t begin, size_t depth, enum tandem_type type)
{
	size_t i;

	for (i = 0; i + 6 <= a->m; i += 6)
		tile(a, panel, 6, i, j, columns, begin, depth, type);
	for (; i + 2 <= a->m; i += 2)
		tile(a, panel, 2, i, j, columns, begin, depth, type);
	if (i < a->m)
		tile(a, panel, 1, i, j, columns, begin, depth, type);
}

avx512_inline void packed(const struct tandem_matmul *a, size_t j, size_t n_end,
			  enum tandem_type type)
{
	size_t columns = n_end - j < 2 * LANES ? n_end - j : 2 * LANES;
	struct panel panel;

	for (size_t begin = 0; begin < a->k; begin += CHUNK) {
		size_t depth = a->k - begin < CHUNK ? a->k - begin : CHUNK;

		pack(&panel, a, j, n_end, begin, depth, type);
		pass_rows(a, &panel, j, columns, begin, depth, type);
	}
}

avx512_inline void product(const struct tandem_matmul *a, size_t n_begin,
			   size_t n_end, enum tandem_type type)
{
	if (a->m <= DIRECT_ROWS)
		for (size_t j = n_begin; j < n_end; j += LANES)
			direct(a, j, n_end, type);
	else
		for (size_t j = n_begin; j < n_end; j += PANEL * LANES)
			packed(a, j, n_end, type);
}

void tandem_avx512vnni_matmul(const struct tandem_matmul *a, size_t n_begin,
			      size_t n_end)
{
	if (a->k && tandem_type_quantised(a->w_type))
		activation_product_by_type(product, a, n_begin, n_end);
	else
		tandem_avx512_matmul(a, n_begin, n_end);
}
