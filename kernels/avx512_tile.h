/* SPDX-License-Identifier: MIT */
/* What the products with AVX-512 of weights that are not quantised share: a tile. */
#ifndef TANDEM_KERNELS_AVX512_TILE_H
#define TANDEM_KERNELS_AVX512_TILE_H

#include "avx512_vector.h"
#include "kernels.h"

#define AVX512_TILE_ROWS    3
#define AVX512_TILE_COLUMNS 8

/*
 * The sums of a chunk for @rows rows of y from @i and @columns columns from @j; @add
 * after the first chunk.
 */
avx512_inline void
avx512_tile_end(const struct tandem_matmul *a,
		__m512 sum[AVX512_TILE_COLUMNS][AVX512_TILE_ROWS], size_t rows,
		size_t columns, size_t i, size_t j, bool add)
{
	const __mmask8 mask = (__mmask8)((1u << columns) - 1);

#pragma GCC unroll 3
	for (size_t r = 0; r < rows; r++) {
		float *y = a->y + (i + r) * a->ldy + j;
		__m256 total = _mm256_set_m128(
			avx512_sum4(sum[4][r], sum[5][r], sum[6][r], sum[7][r]),
			avx512_sum4(sum[0][r], sum[1][r], sum[2][r], sum[3][r]));

		if (add)
			total = _mm256_add_ps(_mm256_maskz_loadu_ps(mask, y),
					      total);
		_mm256_mask_storeu_ps(y, mask, total);
	}
}

#endif
