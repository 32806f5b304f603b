// SPDX-License-Identifier: MIT
/*
 * Products with quantised weights, with AVX-512 and VNNI; quantised_scalar.c says
 * what the bits are. VPDPBUSD multiplies the codes, unsigned bytes, with the
 * codes of x, signed bytes, and sums them four at a time, exactly. Sixteen columns
 * are taken together, a lane each.
 *
 * quantised_vnni_direct.c takes a few rows of x. For more of them (prefill)
 * weights are packed first: for 32 columns and a chunk of the depth, four elements
 * of sixteen columns a vector. The panel, CHUNK * 32 bytes and its scales, stays
 * in the caches while all rows of x pass by, six at a time.
 */
#include "activation.h"
#include "avx2.h"
#include "avx512.h"
#include "avx512_vector.h"
#include "quantised_vnni.h"
#include "quantised_vnni_direct.h"

#define TILE_ROWS 6
#define PANEL	  2 /* vectors of columns in a panel */

struct panel {
	_Alignas(64) uint8_t codes[CHUNK / 4][PANEL][64];
	struct scales scales[PANEL];
};

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
		int32_t x_sum =
			group == 16 ? x[r].half_sum[l / 16] : x[r].sum[l / 32];

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

			products[r][0] =
				_mm512_dpbusd_epi32(products[r][0], w0, xl);
			products[r][1] =
				_mm512_dpbusd_epi32(products[r][1], w1, xl);
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

		x[r] = activation_at(
			(const char *)a->x_quantised + (i + r) * x_bytes, a->k);
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

				sum[r][half] =
					add_group(sum[r][half],
						  products[r][half], scale, d);
				if (type == TANDEM_TYPE_Q4_K)
					sum[r][half] = _mm512_fnmadd_ps(
						minimum,
						_mm512_set1_ps(
							d * (float)x[r].sum[b]),
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
	for (size_t j = n_begin; j < n_end; j += PANEL * LANES)
		packed(a, j, n_end, type);
}

void tandem_avx512vnni_matmul(const struct tandem_matmul *a, size_t n_begin,
			      size_t n_end)
{
	if (!a->k || !tandem_type_quantised(a->w_type))
		tandem_avx512_matmul(a, n_begin, n_end);
	else if (a->m <= DIRECT_ROWS)
		tandem_avx512vnni_direct(a, n_begin, n_end);
	else
		activation_product_by_type(product, a, n_begin, n_end);
}
