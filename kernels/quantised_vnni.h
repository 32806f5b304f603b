/* SPDX-License-Identifier: MIT */
/*
 * What the products with quantised weights share that have AVX-512 and VNNI:
 * codes and scales of sixteen columns, a lane each.
 */
#ifndef TANDEM_KERNELS_QUANTISED_VNNI_H
#define TANDEM_KERNELS_QUANTISED_VNNI_H

#include "activation.h"
#include "avx512_vector.h"

#define LANES  16
#define CHUNK  1024 /* depth that is taken at a time, a multiple of 256 */
#define GROUPS (CHUNK / 16) /* the most groups in a chunk */
#define BLOCKS (CHUNK / ACTIVATION_BLOCK)

/* Scales and minima of sixteen columns, group by group. */
struct scales {
	_Alignas(64) float scale[GROUPS][LANES];
	_Alignas(64) float minimum[BLOCKS][LANES];
};

/* Sixteen rows of weights, of columns from @j on. */
avx512_inline void find_rows(const char **row, const struct tandem_matmul *a,
			     size_t j, size_t n_end)
{
	size_t row_bytes = tandem_type_row_bytes(a->w_type, a->k);

	/* At an edge the last column stands in for those that are missing. */
	for (size_t c = 0; c < LANES; c++)
		row[c] = (const char *)a->w +
			 (j + c < n_end ? j + c : n_end - 1) * row_bytes;
}

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
				first_halves(left < 32 ? 0 : left - 32), p + 64));

		scales = _mm512_mask_mov_epi16(
			scales, (__mmask32)((1u << found) - 1) << b, halves);
	}
	return _mm512_castps_si512(
		_mm512_cvtph_ps(_mm512_castsi512_si256(scales)));
}

/* Scales of blocks of 32 elements with a binary16 in front. */
avx512_inline void load_half_scales(struct scales *scales, const char *const *row,
				    size_t block_bytes, size_t l, size_t depth)
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
		_mm512_insertf32x8(_mm512_set1_ps(d), _mm256_set1_ps(minimum), 1),
		_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(s))));
}

avx512_inline void load_q4_k_scales(struct scales *scales, const char *const *row,
				    size_t l, size_t depth)
{
	for (size_t b = 0; b < depth / 256; b++) {
		__m512i v[LANES];

#pragma GCC unroll 16
		for (size_t c = 0; c < LANES; c++)
			v[c] = q4_k_scales(row[c] + (l / 256 + b) * Q4_K_BYTES);
		transpose(v);
#pragma GCC unroll 8
		for (size_t g = 0; g < 8; g++) {
			_mm512_store_si512(scales->scale[8 * b + g], v[g]);
			_mm512_store_si512(scales->minimum[8 * b + g], v[8 + g]);
		}
	}
}

avx512_inline void load_q6_k_scales(struct scales *scales, const char *const *row,
				    size_t l, size_t depth)
{
	for (size_t b = 0; b < depth / 256; b++) {
		__m512i v[LANES];

#pragma GCC unroll 16
		for (size_t c = 0; c < LANES; c++)
			v[c] = q6_k_scales(row[c] + (l / 256 + b) * Q6_K_BYTES);
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

/* sum + products * (scale * d), @products without the offset's share. */
avx512_inline __m512 add_group(__m512 sum, __m512i products, __m512 scale, float d)
{
	return _mm512_fmadd_ps(_mm512_cvtepi32_ps(products),
			       _mm512_mul_ps(scale, _mm512_set1_ps(d)), sum);
}

#endif
