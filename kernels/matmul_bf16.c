// SPDX-License-Identifier: MIT
/*
 * Matrix product with weights in BF16 and the instructions of AVX512_BF16, which
 * multiply BF16 by BF16: rows of x are rounded to BF16 as they are read. Products
 * of two are exact in F32.
 *
 * Every element of the product is summed in one order, as in matmul_avx512.c: the
 * row is cut in chunks of CHUNK elements; in a chunk, lane i of one accumulator
 * takes the pairs 2 i, 2 i + 1, then those 32 further, and so on; avx512_sum4() adds
 * the lanes; the sums of the chunks are added in order.
 *
 * Tiles are 3 rows of x by 8 of W, whose chunks, 16 KiB, stay in the first level
 * cache while BLOCK_ROWS rows of x pass. Weights are read as they are, however many
 * rows there are.
 */
#include "avx512.h"
#include "avx512_tile.h"
#include "avx512_vector.h"

#define CHUNK	     1024 /* a multiple of 32 */
#define BLOCK_ROWS   96

/* At an edge the last column stands in for those that are missing. */
struct tile {
	const uint16_t *w[AVX512_TILE_COLUMNS];
	uintptr_t next; /* the rows of the next tile, all in one piece */
	size_t columns;
	size_t j;
};

/* 32 elements, or as many as @mask has and zeros for the rest. */
avx512_inline __m512bh round_x(const float *x, __mmask32 mask)
{
	return _mm512_cvtne2ps_pbh(
		_mm512_maskz_loadu_ps((__mmask16)(mask >> 16), x + 16),
		_mm512_maskz_loadu_ps((__mmask16)mask, x));
}

/* One step of the tile: 32 elements of each row, or as many as @mask has. */
avx512_inline void step(__m512 sum[AVX512_TILE_COLUMNS][AVX512_TILE_ROWS],
			const struct tandem_matmul *a, const struct tile *tile,
			size_t rows, const float *x, size_t p, __mmask32 mask)
{
	__m512bh xl[AVX512_TILE_ROWS];

#pragma GCC unroll 3
	for (size_t r = 0; r < rows; r++)
		xl[r] = round_x(x + r * a->ldx, mask);
#pragma GCC unroll 8
	for (size_t c = 0; c < AVX512_TILE_COLUMNS; c++) {
		__m512bh wl = (__m512bh)_mm512_maskz_loadu_epi16(
			mask, tile->w[c] + p);

#pragma GCC unroll 3
		for (size_t r = 0; r < rows; r++)
			sum[c][r] = _mm512_dpbf16_ps(sum[c][r], xl[r], wl);
	}
}

/* y[r] of @rows rows = (or, after the first chunk, +=) x W, @depth elements. */
avx512_inline void tile_add(const struct tandem_matmul *a,
			    const struct tile *tile, size_t rows, size_t i,
			    size_t l, size_t depth, bool prefetch)
{
	const size_t whole = depth - depth % 32;
	const float *x = a->x + i * a->ldx + l;
	__m512 sum[AVX512_TILE_COLUMNS][AVX512_TILE_ROWS];

#pragma GCC unroll 8
	for (size_t c = 0; c < AVX512_TILE_COLUMNS; c++)
#pragma GCC unroll 3
		for (size_t r = 0; r < rows; r++)
			sum[c][r] = _mm512_setzero_ps();
	for (size_t p = 0; p < whole; p += 32) {
		if (prefetch)
			avx512_prefetch(tile->next, (l + p) * AVX512_TILE_COLUMNS * 2,
					32 * AVX512_TILE_COLUMNS * 2);
		step(sum, a, tile, rows, x + p, p, ~0u);
	}
	if (whole < depth)
		step(sum, a, tile, rows, x + whole, whole,
		     (1u << (depth - whole)) - 1);
	avx512_tile_end(a, sum, rows, tile->columns, i, tile->j, l > 0);
}

/* Rows [i, i_end) of one tile of columns, one chunk. */
static void pass_rows(const struct tandem_matmul *a, const struct tile *tile,
		      size_t i, size_t i_end, size_t l, size_t depth)
{
	const bool first = !i;

	if (first && i + 3 <= i_end) {
		tile_add(a, tile, 3, i, l, depth, true);
		i += 3;
	}
	for (; i + 3 <= i_end; i += 3)
		tile_add(a, tile, 3, i, l, depth, false);
	if (i + 2 == i_end)
		tile_add(a, tile, 2, i, l, depth, true);
	else if (i + 1 == i_end)
		tile_add(a, tile, 1, i, l, depth, true);
}

static void pass_columns(const struct tandem_matmul *a, struct tile *tile,
			 size_t i, size_t i_end)
{
	const uint16_t *w = a->w;

	tile->next = (uintptr_t)(w + (tile->j + AVX512_TILE_COLUMNS) * a->k);
	for (size_t l = 0; l < a->k; l += CHUNK) {
		size_t depth = a->k - l < CHUNK ? a->k - l : CHUNK;

		for (size_t c = 0; c < AVX512_TILE_COLUMNS; c++) {
			size_t j = c < tile->columns ? c : tile->columns - 1;

			tile->w[c] = w + (tile->j + j) * a->k + l;
		}
		pass_rows(a, tile, i, i_end, l, depth);
	}
}

static void product(const struct tandem_matmul *a, size_t n_begin, size_t n_end)
{
	struct tile tile;

	for (size_t i = 0; i < a->m; i += BLOCK_ROWS) {
		size_t i_end = a->m - i < BLOCK_ROWS ? a->m : i + BLOCK_ROWS;

		for (tile.j = n_begin; tile.j < n_end; tile.j += AVX512_TILE_COLUMNS) {
			tile.columns = n_end - tile.j < AVX512_TILE_COLUMNS ?
					       n_end - tile.j :
					       AVX512_TILE_COLUMNS;
			pass_columns(a, &tile, i, i_end);
		}
	}
}

void tandem_avx512bf16_matmul(const struct tandem_matmul *a, size_t n_begin,
			      size_t n_end)
{
	if (a->w_type == TANDEM_TYPE_BF16 && a->k)
		product(a, n_begin, n_end);
	else
		tandem_avx512vnni_matmul(a, n_begin, n_end);
}
