// SPDX-License-Identifier: MIT
/*
 * Matrix product with AVX2.
 *
 * Every element of the product is summed in one order, whatever path computes
 * it: lane i of one accumulator takes the products i, i + 8, i + 16 … of the
 * row, fused, one after the other; a last short step leaves the other lanes
 * alone; avx2_sum4() adds the lanes. So a batch, a single row and any split of
 * the columns give the same bits.
 *
 * One row of x (decode) is bound by reading W: eight rows of W are read side by
 * side, each converted on the fly. Several rows (prefill) are bound by
 * arithmetic: tiles of 3 rows of x by 4 of W, twelve accumulators, which with
 * their operands fill the sixteen registers. Depth is cut in chunks so that
 * the four chunks of W stay in the first level cache while the rows of x pass
 * from the second; between chunks the accumulators wait, unrounded, in memory.
 * F16 weights are widened once a chunk.
 */
#include "avx2.h"
#include "avx2_vector.h"

#define SINGLE_COLUMNS 8 /* rows of W read side by side for one row of x */
#define TILE_ROWS      3
#define TILE_COLUMNS   4
#define CHUNK	       512 /* depth of a chunk, a multiple of 8 */
#define BLOCK_ROWS     96 /* rows of x that pass by a chunk of W, a multiple of 3 */

/*
 * At an edge the last row stands in for those that are missing; what comes of
 * it is not stored. So the edges need no code of their own, and read nothing
 * that the whole does not.
 */
avx2_inline size_t at_most(size_t i, size_t last)
{
	return i < last ? i : last;
}

static inline const char *weight_row(const struct tandem_matmul *a, size_t j)
{
	return (const char *)a->w + j * tandem_type_row_bytes(a->w_type, a->k);
}

avx2_inline void single_row(const struct tandem_matmul *a,
			    enum tandem_type type, size_t n_begin, size_t n_end)
{
	const float *x = a->x;
	size_t whole = a->k & ~(size_t)7;

	for (size_t j = n_begin; j < n_end; j += SINGLE_COLUMNS) {
		const char *w[SINGLE_COLUMNS];
		__m256 sum[SINGLE_COLUMNS];
		float y[SINGLE_COLUMNS];

#pragma GCC unroll 8
		for (size_t c = 0; c < SINGLE_COLUMNS; c++) {
			w[c] = weight_row(a, at_most(j + c, n_end - 1));
			sum[c] = _mm256_setzero_ps();
		}
		for (size_t l = 0; l < whole; l += 8) {
			__m256 xl = _mm256_loadu_ps(x + l);

#pragma GCC unroll 8
			for (size_t c = 0; c < SINGLE_COLUMNS; c++)
				sum[c] = _mm256_fmadd_ps(
					xl, avx2_load_type(w[c], type, l),
					sum[c]);
		}
		if (whole < a->k) {
			size_t rest = a->k - whole;
			__m256 xl = avx2_load_part(x + whole, rest);

#pragma GCC unroll 8
			for (size_t c = 0; c < SINGLE_COLUMNS; c++)
				sum[c] = _mm256_fmadd_ps(
					xl,
					avx2_load_type_part(w[c], type, whole,
							    rest),
					sum[c]);
		}
		_mm_storeu_ps(y, avx2_sum4(sum[0], sum[1], sum[2], sum[3]));
		_mm_storeu_ps(y + 4, avx2_sum4(sum[4], sum[5], sum[6], sum[7]));
		memcpy(a->y + j, y,
		       at_most(SINGLE_COLUMNS, n_end - j) * sizeof(*y));
	}
}

/* Accumulators of a tile, kept from one chunk to the next. */
struct tile {
	__m256 sum[TILE_COLUMNS][TILE_ROWS];
};

/* Add the products of eight elements of a row of W and of three rows of x. */
avx2_inline void column_add(__m256 *sum, const __m256 *x, __m256 w)
{
	sum[0] = _mm256_fmadd_ps(x[0], w, sum[0]);
	sum[1] = _mm256_fmadd_ps(x[1], w, sum[1]);
	sum[2] = _mm256_fmadd_ps(x[2], w, sum[2]);
}

/* Add the products of @depth elements of 3 rows of x and 4 of W to a tile. */
static void tile_add(struct tile *tile, const float *const *x,
		     const float *const *w, size_t depth)
{
	const float *x0 = x[0], *x1 = x[1], *x2 = x[2];
	const float *w0 = w[0], *w1 = w[1], *w2 = w[2], *w3 = w[3];
	size_t whole = depth & ~(size_t)7;
	size_t rest = depth - whole;
	struct tile t = *tile;
	__m256 xl[TILE_ROWS];

	for (size_t l = 0; l < whole; l += 8) {
		xl[0] = _mm256_loadu_ps(x0 + l);
		xl[1] = _mm256_loadu_ps(x1 + l);
		xl[2] = _mm256_loadu_ps(x2 + l);
		column_add(t.sum[0], xl, _mm256_loadu_ps(w0 + l));
		column_add(t.sum[1], xl, _mm256_loadu_ps(w1 + l));
		column_add(t.sum[2], xl, _mm256_loadu_ps(w2 + l));
		column_add(t.sum[3], xl, _mm256_loadu_ps(w3 + l));
	}
	if (rest) {
		xl[0] = avx2_load_part(x0 + whole, rest);
		xl[1] = avx2_load_part(x1 + whole, rest);
		xl[2] = avx2_load_part(x2 + whole, rest);
		column_add(t.sum[0], xl, avx2_load_part(w0 + whole, rest));
		column_add(t.sum[1], xl, avx2_load_part(w1 + whole, rest));
		column_add(t.sum[2], xl, avx2_load_part(w2 + whole, rest));
		column_add(t.sum[3], xl, avx2_load_part(w3 + whole, rest));
	}
	*tile = t;
}

/* Chunks of four rows of W as F32: in place, or widened into @wide. */
static void weight_chunk(const struct tandem_matmul *a, size_t j, size_t last,
			 size_t l, size_t depth, float (*wide)[CHUNK],
			 const float **w)
{
	for (size_t c = 0; c < TILE_COLUMNS; c++) {
		const char *row = weight_row(a, at_most(j + c, last));

		if (a->w_type == TANDEM_TYPE_F32) {
			w[c] = (const float *)row + l;
			continue;
		}
		w[c] = wide[c];
		tandem_avx2_to_f32(wide[c], (const uint16_t *)row + l,
				   a->w_type, depth);
	}
}

static void store_tile(const struct tandem_matmul *a, const struct tile *tile,
		       size_t i, size_t j, size_t n_end)
{
	size_t columns = at_most(TILE_COLUMNS, n_end - j);

	for (size_t r = 0; r < TILE_ROWS && i + r < a->m; r++) {
		float y[TILE_COLUMNS];

		_mm_storeu_ps(y, avx2_sum4(tile->sum[0][r], tile->sum[1][r],
					   tile->sum[2][r], tile->sum[3][r]));
		memcpy(a->y + (i + r) * a->ldy + j, y, columns * sizeof(*y));
	}
}

/* Rows [i, i_end) of columns [j, j + 4) cut at n_end. */
static void block(const struct tandem_matmul *a, size_t i, size_t i_end,
		  size_t j, size_t n_end)
{
	struct tile tiles[BLOCK_ROWS / TILE_ROWS];
	float wide[TILE_COLUMNS][CHUNK];
	const float *w[TILE_COLUMNS], *x[TILE_ROWS];
	struct tile *tile;

	memset(tiles, 0,
	       sizeof(*tiles) * ((i_end - i + TILE_ROWS - 1) / TILE_ROWS));
	for (size_t l = 0; l < a->k; l += CHUNK) {
		size_t depth = at_most(CHUNK, a->k - l);

		weight_chunk(a, j, n_end - 1, l, depth, wide, w);
		tile = tiles;
		for (size_t row = i; row < i_end; row += TILE_ROWS) {
			for (size_t r = 0; r < TILE_ROWS; r++)
				x[r] = a->x +
				       at_most(row + r, i_end - 1) * a->ldx + l;
			tile_add(tile++, x, w, depth);
		}
	}
	tile = tiles;
	for (size_t row = i; row < i_end; row += TILE_ROWS)
		store_tile(a, tile++, row, j, n_end);
}

static void several_rows(const struct tandem_matmul *a, size_t n_begin,
			 size_t n_end)
{
	for (size_t i = 0; i < a->m; i += BLOCK_ROWS) {
		size_t i_end = at_most(i + BLOCK_ROWS, a->m);

		for (size_t j = n_begin; j < n_end; j += TILE_COLUMNS)
			block(a, i, i_end, j, n_end);
	}
}

void tandem_avx2_matmul(const struct tandem_matmul *a, size_t n_begin,
			size_t n_end)
{
	if (tandem_type_quantised(a->w_type))
		tandem_avx2_matmul_quantised(a, n_begin, n_end);
	else if (a->m > 1)
		several_rows(a, n_begin, n_end);
	else if (a->m == 1 && a->w_type == TANDEM_TYPE_F16)
		single_row(a, TANDEM_TYPE_F16, n_begin, n_end);
	else if (a->m == 1 && a->w_type == TANDEM_TYPE_BF16)
		single_row(a, TANDEM_TYPE_BF16, n_begin, n_end);
	else if (a->m == 1)
		single_row(a, TANDEM_TYPE_F32, n_begin, n_end);
}
