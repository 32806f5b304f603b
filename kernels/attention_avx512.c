// SPDX-License-Identifier: MIT
/*
 * Paged attention with AVX-512, tiled.
 *
 * The cache is read in spans of SPAN tokens, counted from token 0 whatever the
 * block size, with a running maximum from span to span (see
 * attention_scalar.c). What asks is a pair of a query token and a head; up to
 * MAX_ASKERS pairs whose heads share a KV head are taken together, so that K and V
 * are read once for them, and, when they are not F32, widened once. Where all
 * of them see a whole span, they are multiplied with it in tiles as of a matrix
 * product; where the causal mask or the end cuts a span, one after the other.
 *
 * Every score, and every element of the output, is summed in an order that
 * neither the company of other askers nor the tiling changes.
 */
#include "avx512.h"
#include "avx512_vector.h"

#define SPAN	    64 /* tokens, a multiple of 16 */
#define MAX_ASKERS  48
#define TOKENS_TILE 8
#define ASKERS_TILE 3 /* for scores */
#define GATHER_TILE 6 /* for the weighted sum */
#define WIDE_DIM    256 /* wider heads are not widened in advance */
#define WIDE_ASKERS 4 /* fewer askers are not worth it */

/* The rows of one KV head in a span of tokens. */
struct span {
	size_t tokens;
	enum tandem_type type;
	const char *k[SPAN];
	const char *v[SPAN];
};

/* A query token's head, and what is carried from span to span. */
struct asker {
	const float *q;
	float *out; /* the weighted sum of V so far */
	size_t n_tokens; /* that it sees */
	float max;
	float sum;
};

struct work {
	const struct tandem_attention *a;
	size_t kv_head;
	size_t askers;
	struct asker asker[MAX_ASKERS];
	_Alignas(64) float weight[MAX_ASKERS][SPAN];
	float shrink[MAX_ASKERS];
	struct span span;
	_Alignas(64) float wide_k[SPAN * WIDE_DIM];
	_Alignas(64) float wide_v[SPAN * WIDE_DIM];
};

static void find_rows(struct work *work, size_t begin, size_t end)
{
	const struct tandem_attention *a = work->a;
	size_t row_bytes =
		tandem_type_row_bytes(a->kv_type, a->n_kv_heads * a->head_dim);
	size_t offset = tandem_type_row_bytes(a->kv_type,
					      work->kv_head * a->head_dim);
	struct span *span = &work->span;
	size_t block = begin / a->block_tokens;
	size_t slot = begin % a->block_tokens;

	span->tokens = end - begin < SPAN ? end - begin : SPAN;
	span->type = a->kv_type;
	for (size_t t = 0; t < span->tokens; t++) {
		const char *base = a->blocks[block];

		span->k[t] = base + slot * row_bytes + offset;
		span->v[t] = span->k[t] + a->block_tokens * row_bytes;
		if (++slot == a->block_tokens) {
			slot = 0;
			block++;
		}
	}
}

avx512_inline void widen_row(float *to, const char **row, enum tandem_type type,
			     size_t dim)
{
	size_t i;

	for (i = 0; i + 16 <= dim; i += 16)
		_mm512_storeu_ps(to + i, avx512_load_type(*row, type, i));
	if (i < dim)
		_mm512_mask_storeu_ps(
			to + i, avx512_mask(dim - i),
			avx512_load_type_part(*row, type, i,
					      avx512_mask(dim - i)));
	*row = (const char *)to;
}

static void widen_span(struct work *work)
{
	struct span *span = &work->span;
	size_t dim = work->a->head_dim;

	if (span->type == TANDEM_TYPE_F32 || dim > WIDE_DIM ||
	    work->askers < WIDE_ASKERS)
		return;
	for (size_t t = 0; t < span->tokens; t++) {
		if (span->type == TANDEM_TYPE_F16) {
			widen_row(work->wide_k + t * dim, &span->k[t],
				  TANDEM_TYPE_F16, dim);
			widen_row(work->wide_v + t * dim, &span->v[t],
				  TANDEM_TYPE_F16, dim);
		} else {
			widen_row(work->wide_k + t * dim, &span->k[t],
				  TANDEM_TYPE_Q8_0, dim);
			widen_row(work->wide_v + t * dim, &span->v[t],
				  TANDEM_TYPE_Q8_0, dim);
		}
	}
	span->type = TANDEM_TYPE_F32;
}

/* Scores of @count askers with eight tokens from @t on; beyond @tokens the last. */
avx512_inline void score_tile(struct work *work, size_t first, size_t count,
			      size_t t, size_t tokens, enum tandem_type type)
{
	size_t dim = work->a->head_dim;
	size_t whole = dim & ~(size_t)15;
	__mmask16 rest = avx512_mask(dim - whole);
	const __m256 scale = _mm256_set1_ps(work->a->scale);
	__m512 sum[ASKERS_TILE][TOKENS_TILE], q[ASKERS_TILE], part;
	const char *k[TOKENS_TILE];

#pragma GCC unroll 8
	for (size_t c = 0; c < TOKENS_TILE; c++) {
		k[c] = work->span.k[t + c < tokens ? t + c : tokens - 1];
#pragma GCC unroll 3
		for (size_t r = 0; r < count; r++)
			sum[r][c] = _mm512_setzero_ps();
	}
	for (size_t i = 0; i < whole; i += 16) {
#pragma GCC unroll 3
		for (size_t r = 0; r < count; r++)
			q[r] = _mm512_loadu_ps(work->asker[first + r].q + i);
#pragma GCC unroll 8
		for (size_t c = 0; c < TOKENS_TILE; c++) {
			part = avx512_load_type(k[c], type, i);
#pragma GCC unroll 3
			for (size_t r = 0; r < count; r++)
				sum[r][c] = _mm512_fmadd_ps(q[r], part,
							    sum[r][c]);
		}
	}
	if (rest) {
#pragma GCC unroll 3
		for (size_t r = 0; r < count; r++)
			q[r] = _mm512_maskz_loadu_ps(
				rest, work->asker[first + r].q + whole);
#pragma GCC unroll 8
		for (size_t c = 0; c < TOKENS_TILE; c++) {
			part = avx512_load_type_part(k[c], type, whole, rest);
#pragma GCC unroll 3
			for (size_t r = 0; r < count; r++)
				sum[r][c] = _mm512_fmadd_ps(q[r], part,
							    sum[r][c]);
		}
	}
#pragma GCC unroll 3
	for (size_t r = 0; r < count; r++) {
		__m256 total = _mm256_set_m128(
			avx512_sum4(sum[r][4], sum[r][5], sum[r][6], sum[r][7]),
			avx512_sum4(sum[r][0], sum[r][1], sum[r][2],
				    sum[r][3]));

		_mm256_storeu_ps(work->weight[first + r] + t,
				 _mm256_mul_ps(total, scale));
	}
}

avx512_inline void score(struct work *work, size_t first, size_t count,
			 size_t tokens, enum tandem_type type)
{
	for (size_t t = 0; t < tokens; t += TOKENS_TILE)
		score_tile(work, first, count, t, tokens, type);
}

/*
 * Turn the scores of a span into weights relative to the new maximum, and add
 * them to the running sum. Gives the factor that brings what was summed before
 * to the new maximum.
 */
static void weigh(struct work *work, size_t index, size_t tokens)
{
	struct asker *asker = &work->asker[index];
	float *weight = work->weight[index];
	__m512 sum = _mm512_setzero_ps();
	__m512 max = _mm512_set1_ps(asker->max);
	float shrink;

	for (size_t t = tokens; t % 16; t++)
		weight[t] = -INFINITY;
	/* max_ps gives its second operand when one is a NaN. */
	for (size_t t = 0; t < tokens; t += 16)
		max = _mm512_max_ps(_mm512_load_ps(weight + t), max);
	max = _mm512_set1_ps(_mm512_reduce_max_ps(max));
	for (size_t t = 0; t < tokens; t += 16) {
		__m512 w = avx512_exp(
			_mm512_sub_ps(_mm512_load_ps(weight + t), max));

		_mm512_store_ps(weight + t, w);
		sum = _mm512_add_ps(sum, w);
	}
	shrink = _mm512_cvtss_f32(avx512_exp(
		_mm512_set1_ps(asker->max - _mm512_cvtss_f32(max))));
	asker->max = _mm512_cvtss_f32(max);
	asker->sum = asker->sum * shrink +
		     _mm_cvtss_f32(avx512_sum4(sum, sum, sum, sum));
	work->shrink[index] = shrink;
}

/*
 * out = out * shrink + weights V for @vectors vectors of elements from @i on, the
 * last of them with @mask, of @count askers.
 */
avx512_inline void gather_tile(struct work *work, size_t first, size_t count,
			       size_t tokens, size_t i, size_t vectors,
			       __mmask16 mask, enum tandem_type type)
{
	const bool part = mask != 0xffff;
	__m512 sum[GATHER_TILE][4], value;

#pragma GCC unroll 6
	for (size_t r = 0; r < count; r++) {
		__m512 factor = _mm512_set1_ps(work->shrink[first + r]);
		const float *out = work->asker[first + r].out + i;

#pragma GCC unroll 4
		for (size_t c = 0; c < vectors; c++)
			sum[r][c] = _mm512_mul_ps(
				_mm512_maskz_loadu_ps(mask, out + c * 16),
				factor);
	}
	for (size_t t = 0; t < tokens; t++) {
		const char *v = work->span.v[t];

#pragma GCC unroll 4
		for (size_t c = 0; c < vectors; c++) {
			value = part ? avx512_load_type_part(v, type, i, mask) :
				       avx512_load_type(v, type, i + c * 16);
#pragma GCC unroll 6
			for (size_t r = 0; r < count; r++)
				sum[r][c] = _mm512_fmadd_ps(
					_mm512_set1_ps(
						work->weight[first + r][t]),
					value, sum[r][c]);
		}
	}
#pragma GCC unroll 6
	for (size_t r = 0; r < count; r++) {
		float *out = work->asker[first + r].out + i;

#pragma GCC unroll 4
		for (size_t c = 0; c < vectors; c++)
			_mm512_mask_storeu_ps(out + c * 16, mask, sum[r][c]);
	}
}

avx512_inline void gather(struct work *work, size_t first, size_t count,
			  size_t tokens, enum tandem_type type)
{
	size_t dim = work->a->head_dim;
	size_t i;

	for (i = 0; i + 64 <= dim; i += 64)
		gather_tile(work, first, count, tokens, i, 4, 0xffff, type);
	for (; i + 16 <= dim; i += 16)
		gather_tile(work, first, count, tokens, i, 1, 0xffff, type);
	if (i < dim)
		gather_tile(work, first, count, tokens, i, 1,
			    avx512_mask(dim - i), type);
}

/* A span that all askers see as a whole. */
avx512_inline void attend_together(struct work *work, enum tandem_type type)
{
	size_t tokens = work->span.tokens;
	size_t i;

	for (i = 0; i + ASKERS_TILE <= work->askers; i += ASKERS_TILE)
		score(work, i, ASKERS_TILE, tokens, type);
	for (; i < work->askers; i++)
		score(work, i, 1, tokens, type);
	for (i = 0; i < work->askers; i++)
		weigh(work, i, tokens);
	for (i = 0; i + GATHER_TILE <= work->askers; i += GATHER_TILE)
		gather(work, i, GATHER_TILE, tokens, type);
	for (; i < work->askers; i++)
		gather(work, i, 1, tokens, type);
}

/* A span that some see a part of, or nothing. */
avx512_inline void attend_apart(struct work *work, size_t begin,
				enum tandem_type type)
{
	for (size_t i = 0; i < work->askers; i++) {
		size_t n_tokens = work->asker[i].n_tokens;
		size_t tokens;

		if (n_tokens <= begin)
			continue;
		tokens = n_tokens - begin < SPAN ? n_tokens - begin : SPAN;
		score(work, i, 1, tokens, type);
		weigh(work, i, tokens);
		gather(work, i, 1, tokens, type);
	}
}

avx512_inline void attend_span(struct work *work, size_t begin, size_t fewest,
			       enum tandem_type type)
{
	if (begin + work->span.tokens <= fewest)
		attend_together(work, type);
	else
		attend_apart(work, begin, type);
}

static void attend(struct work *work)
{
	size_t dim = work->a->head_dim;
	size_t fewest = SIZE_MAX, most = 0;

	for (size_t i = 0; i < work->askers; i++) {
		struct asker *asker = &work->asker[i];

		memset(asker->out, 0, dim * sizeof(*asker->out));
		fewest = asker->n_tokens < fewest ? asker->n_tokens : fewest;
		most = asker->n_tokens > most ? asker->n_tokens : most;
	}
	for (size_t begin = 0; begin < most; begin += SPAN) {
		find_rows(work, begin, most);
		widen_span(work);
		if (work->span.type == TANDEM_TYPE_F16)
			attend_span(work, begin, fewest, TANDEM_TYPE_F16);
		else if (work->span.type == TANDEM_TYPE_Q8_0)
			attend_span(work, begin, fewest, TANDEM_TYPE_Q8_0);
		else
			attend_span(work, begin, fewest, TANDEM_TYPE_F32);
	}
	for (size_t i = 0; i < work->askers; i++)
		for (size_t e = 0; e < dim; e++)
			work->asker[i].out[e] /= work->asker[i].sum;
	work->askers = 0;
}

void tandem_avx512_attention(const struct tandem_attention *a,
			     size_t head_begin, size_t head_end)
{
	size_t group = a->n_heads / a->n_kv_heads;
	struct work work;

	work.a = a;
	work.askers = 0;
	for (size_t head = head_begin; head < head_end;) {
		size_t end = head - head % group + group;

		end = end < head_end ? end : head_end;
		work.kv_head = head / group;
		for (size_t query = 0; query < a->n_queries; query++)
			for (size_t h = head; h < end; h++) {
				work.asker[work.askers++] = (struct asker){
					.q = a->q + query * a->ldq +
					     h * a->head_dim,
					.out = a->out + query * a->ld_out +
					       h * a->head_dim,
					.n_tokens = a->n_tokens + query,
					.max = -INFINITY,
				};
				if (work.askers == MAX_ASKERS)
					attend(&work);
			}
		if (work.askers)
			attend(&work);
		head = end;
	}
}
