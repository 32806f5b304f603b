// SPDX-License-Identifier: MIT
/*
 * Matrix product with AVX-512, weights that are not quantised.
 *
 * Every element of the product is summed in one order, whatever path computes
 * it: the row is cut in chunks of CHUNK elements. In a chunk, lane i of one
 * accumulator takes the products i, i + 16, i + 32 … one after the other, fused;
 * avx512_sum4() adds the lanes; the sums of the chunks are added in order. So a
 * batch, a single row and any split of the columns give the same bits.
 *
 * Tiles are 3 rows of x by 8 of W: 24 accumulators, which with their operands
 * fill the thirty-two registers, 11 loads for 24 multiply-adds. Eight chunks of
 * W stay in the first level cache while BLOCK_ROWS rows of x pass from the
 * second. Up to DIRECT_ROWS rows of x (decode) read weights as they are, and the
 * first to pass has the weights of the next tile fetched, unless they are F32:
 * rows of fewer bytes are too short for the processor to foresee that. For more
 * rows, weights that are not F32 are widened once a chunk.
 *
 * A single row of x waits for memory and for nothing else. It takes columns one
 * after the other to their end, as they lie there: eight at once, or in turns of a
 * chunk each, are read a third slower and worse, since the processor follows no row
 * for long enough to fetch ahead of it.
 */
#include "avx2.h"
#include "avx512.h"
#include "avx512_tile.h"
#include "avx512_vector.h"

#define CHUNK	    1024 /* a multiple of 16 */
#define BLOCK_ROWS  96
#define DIRECT_ROWS 9
#define ROW_CHUNKS  8
#define ROW_AHEAD   8192 /* bytes */

/* At an edge the last column stands in for those that are missing. */
struct tile {
	const char *w[AVX512_TILE_COLUMNS];
	uintptr_t next; /* the rows of the next tile, all in one piece */
	size_t columns;
	size_t j;
};

/* y[r] of @rows rows = (or, after the first chunk, +=) x W, @depth elements. */
avx512_inline void tile_add(const struct tandem_matmul *a,
			    const struct tile *tile, enum tandem_type type,
			    size_t rows, size_t i, size_t l, size_t depth,
			    bool prefetch)
{
	const size_t ahead = AVX512_TILE_COLUMNS * tandem_type_block_bytes(type);
	const __mmask16 rest = avx512_mask(depth % 16);
	const float *x = a->x + i * a->ldx + l;
	__m512 sum[AVX512_TILE_COLUMNS][AVX512_TILE_ROWS], xl[AVX512_TILE_ROWS],
		wl;
	size_t whole = depth - depth % 16;

#pragma GCC unroll 8
	for (size_t c = 0; c < AVX512_TILE_COLUMNS; c++)
#pragma GCC unroll 3
		for (size_t r = 0; r < rows; r++)
			sum[c][r] = _mm512_setzero_ps();
	for (size_t p = 0; p < whole; p += 16) {
		if (prefetch)
			avx512_prefetch(tile->next, (l + p) * ahead, 16 * ahead);
#pragma GCC unroll 3
		for (size_t r = 0; r < rows; r++)
			xl[r] = _mm512_loadu_ps(x + r * a->ldx + p);
#pragma GCC unroll 8
		for (size_t c = 0; c < AVX512_TILE_COLUMNS; c++) {
			wl = avx512_load_type(tile->w[c], type, p);
#pragma GCC unroll 3
			for (size_t r = 0; r < rows; r++)
				sum[c][r] = _mm512_fmadd_ps(xl[r], wl, sum[c][r]);
		}
	}
	if (rest) {
#pragma GCC unroll 3
		for (size_t r = 0; r < rows; r++)
			xl[r] = _mm512_maskz_loadu_ps(rest,
						      x + r * a->ldx + whole);
#pragma GCC unroll 8
		for (size_t c = 0; c < AVX512_TILE_COLUMNS; c++) {
			wl = avx512_load_type_part(tile->w[c], type, whole, rest);
#pragma GCC unroll 3
			for (size_t r = 0; r < rows; r++)
				sum[c][r] = _mm512_fmadd_ps(xl[r], wl, sum[c][r]);
		}
	}
	avx512_tile_end(a, sum, rows, tile->columns, i, tile->j, l > 0);
}

/*
 * One row of x by one of W, @depth elements; has those fetched that are ROW_AHEAD
 * bytes further on, a line at a time.
 */
avx512_inline __m512 row_sum(const float *x, const char *w,
			     enum tandem_type type, size_t depth)
{
	const size_t line = 64 / tandem_type_block_bytes(type);
	const size_t whole = depth - depth % 16;
	__m512 sum = _mm512_setzero_ps();

	for (size_t p = 0; p < whole; p += 16) {
		if (p % line == 0)
			avx512_prefetch((uintptr_t)w + ROW_AHEAD,
					tandem_type_row_bytes(type, p), 64);
		sum = _mm512_fmadd_ps(_mm512_loadu_ps(x + p),
				      avx512_load_type(w, type, p), sum);
	}
	if (whole < depth) {
		__mmask16 rest = avx512_mask(depth - whole);

		sum = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(rest, x + whole),
				      avx512_load_type_part(w, type, whole, rest),
				      sum);
	}
	return sum;
}

/*
 * A row of x with a tile's columns, all their depth: each is read to its end, or
 * for ROW_CHUNKS, before the next, so that memory is read in the order it lies in.
 */
avx512_inline void row_product(const struct tandem_matmul *a,
			       const struct tile *tile, enum tandem_type type)
{
	__m512 sum[ROW_CHUNKS][AVX512_TILE_COLUMNS][AVX512_TILE_ROWS];

	for (size_t begin = 0; begin < a->k; begin += ROW_CHUNKS * CHUNK) {
		size_t chunks = (a->k - begin + CHUNK - 1) / CHUNK;

		if (chunks > ROW_CHUNKS)
			chunks = ROW_CHUNKS;
		for (size_t c = 0; c < AVX512_TILE_COLUMNS; c++) {
			for (size_t n = 0; n < chunks; n++) {
				size_t l = begin + n * CHUNK;

				sum[n][c][0] = row_sum(
					a->x + l,
					tile->w[c] +
						tandem_type_row_bytes(type, l),
					type,
					a->k - l < CHUNK ? a->k - l : CHUNK);
			}
		}
		for (size_t n = 0; n < chunks; n++)
			avx512_tile_end(a, sum[n], 1, tile->columns, 0, tile->j,
					begin + n > 0);
	}
}

/* Rows [i, i_end) of one tile of columns, one chunk. */
avx512_inline void pass_rows(const struct tandem_matmul *a,
			     const struct tile *tile, enum tandem_type type,
			     size_t i, size_t i_end, size_t l, size_t depth,
			     bool prefetch)
{
	for (; i + 3 <= i_end; i += 3) {
		if (prefetch && !i)
			tile_add(a, tile, type, 3, i, l, depth, true);
		else
			tile_add(a, tile, type, 3, i, l, depth, false);
	}
	if (i + 2 == i_end)
		tile_add(a, tile, type, 2, i, l, depth, prefetch);
	else if (i + 1 == i_end)
		tile_add(a, tile, type, 1, i, l, depth, prefetch);
}

static void pass_rows_f32(const struct tandem_matmul *a, const struct tile *tile,
			  size_t i, size_t i_end, size_t l, size_t depth)
{
	pass_rows(a, tile, TANDEM_TYPE_F32, i, i_end, l, depth, false);
}

avx512_inline void widen_row(float *to, const char *row, enum tandem_type type,
			     size_t depth)
{
	size_t whole = depth - depth % 16;

	for (size_t p = 0; p < whole; p += 16)
		_mm512_store_ps(to + p, avx512_load_type(row, type, p));
	if (whole < depth)
		_mm512_store_ps(to + whole, avx512_load_type_part(
						    row, type, whole,
						    avx512_mask(depth - whole)));
}

avx512_inline void widen(float (*wide)[CHUNK], struct tile *tile,
			 enum tandem_type type, size_t depth)
{
	for (size_t c = 0; c < AVX512_TILE_COLUMNS; c++) {
		if (c < tile->columns)
			widen_row(wide[c], tile->w[c], type, depth);
		tile->w[c] = (const char *)
			wide[c < tile->columns ? c : tile->columns - 1];
	}
}

/* The tile of columns from @j on, from element @l of its rows. */
avx512_inline void find_tile(struct tile *tile, const struct tandem_matmul *a,
			     enum tandem_type type, size_t j, size_t n_end,
			     size_t l)
{
	size_t row_bytes = tandem_type_row_bytes(type, a->k);
	const char *w = (const char *)a->w + j * row_bytes;

	tile->j = j;
	tile->columns = n_end - j < AVX512_TILE_COLUMNS ? n_end - j :
							  AVX512_TILE_COLUMNS;
	for (size_t c = 0; c < AVX512_TILE_COLUMNS; c++) {
		size_t column = c < tile->columns ? c : tile->columns - 1;

		tile->w[c] =
			w + column * row_bytes + tandem_type_row_bytes(type, l);
	}
	tile->next = (uintptr_t)w + AVX512_TILE_COLUMNS * row_bytes;
}

/* Rows [i, i_end) of one tile of columns, one chunk. */
avx512_inline void pass(const struct tandem_matmul *a, struct tile *tile,
			enum tandem_type type, size_t i, size_t i_end, size_t l)
{
	_Alignas(64) float wide[AVX512_TILE_COLUMNS][CHUNK];
	size_t depth = a->k - l < CHUNK ? a->k - l : CHUNK;

	if (type == TANDEM_TYPE_F32) {
		pass_rows_f32(a, tile, i, i_end, l, depth);
	} else if (a->m <= DIRECT_ROWS) {
		pass_rows(a, tile, type, i, i_end, l, depth, true);
	} else {
		widen(wide, tile, type, depth);
		pass_rows_f32(a, tile, i, i_end, l, depth);
	}
}

avx512_inline void product(const struct tandem_matmul *a, size_t n_begin,
			   size_t n_end, enum tandem_type type)
{
	struct tile tile;

	if (a->m == 1 && type != TANDEM_TYPE_F32) {
		for (size_t j = n_begin; j < n_end; j += AVX512_TILE_COLUMNS) {
			find_tile(&tile, a, type, j, n_end, 0);
			row_product(a, &tile, type);
		}
		return;
	}
	for (size_t i = 0; i < a->m; i += BLOCK_ROWS) {
		size_t i_end = a->m - i < BLOCK_ROWS ? a->m : i + BLOCK_ROWS;

		for (size_t j = n_begin; j < n_end; j += AVX512_TILE_COLUMNS) {
			for (size_t l = 0; l < a->k; l += CHUNK) {
				find_tile(&tile, a, type, j, n_end, l);
				pass(a, &tile, type, i, i_end, l);
			}
		}
	}
}

/* Without depth the sum is empty. */
static void clear(const struct tandem_matmul *a, size_t n_begin, size_t n_end)
{
	for (size_t i = 0; i < a->m && n_begin < n_end; i++)
		memset(a->y + i * a->ldy + n_begin, 0,
		       (n_end - n_begin) * sizeof(*a->y));
}

void tandem_avx512_matmul(const struct tandem_matmul *a, size_t n_begin,
			  size_t n_end)
{
	if (!a->k)
		clear(a, n_begin, n_end);
	else if (tandem_type_quantised(a->w_type))
		tandem_avx2_matmul_quantised(a, n_begin, n_end);
	else if (a->w_type == TANDEM_TYPE_F16)
		product(a, n_begin, n_end, TANDEM_TYPE_F16);
	else if (a->w_type == TANDEM_TYPE_BF16)
		product(a, n_begin, n_end, TANDEM_TYPE_BF16);
	else
		product(a, n_begin, n_end, TANDEM_TYPE_F32);
}
