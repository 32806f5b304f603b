// SPDX-License-Identifier: MIT
/*
 * Paged attention with AVX2, one query token at a time.
 *
 * The cache is read in spans of SPAN tokens, counted from token 0 whatever the
 * block size, with a running maximum from span to span (see
 * attention_scalar.c). Query heads that share a KV head are taken up to four
 * together, so that K and V are read once for them. How many go together
 * changes nothing in the order in which any one of them is summed.
 */
#include "avx2.h"
#include "avx2_vector.h"

#define SPAN	  64 /* tokens, a multiple of 8 */
#define MAX_HEADS 4 /* query heads taken together */

/* The rows of one KV head in a span of tokens. */
struct span {
	size_t tokens;
	const char *k[SPAN];
	const char *v[SPAN];
};

/* What is carried from span to span; the weighted sum of V is in the output. */
struct running {
	float max;
	float sum;
};

static void find_rows(struct span *span, const struct tandem_attention *a,
		      size_t kv_head, size_t begin, size_t n_tokens)
{
	size_t row_bytes =
		tandem_type_row_bytes(a->kv_type, a->n_kv_heads * a->head_dim);
	size_t offset = tandem_type_row_bytes(a->kv_type, kv_head * a->head_dim);
	size_t block = begin / a->block_tokens;
	size_t slot = begin % a->block_tokens;
	size_t left = n_tokens - begin;

	span->tokens = left < SPAN ? left : SPAN;
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

/*
 * scores[head][t] = scale * (q of the head · K of token t) for @heads heads and
 * two tokens at a time; of an odd number the last counts twice.
 */
avx2_inline void score(float (*scores)[SPAN], const struct tandem_attention *a,
		       const struct span *span, const float *q, size_t heads,
		       enum tandem_type type)
{
	size_t dim = a->head_dim;
	size_t whole = dim & ~(size_t)7;

	for (size_t t = 0; t < span->tokens; t += 2) {
		size_t next = t + 1 < span->tokens ? t + 1 : t;
		const char *k0 = span->k[t], *k1 = span->k[next];
		__m256 sum0[MAX_HEADS], sum1[MAX_HEADS], q_part, part0, part1;

#pragma GCC unroll 4
		for (size_t h = 0; h < heads; h++) {
			sum0[h] = _mm256_setzero_ps();
			sum1[h] = _mm256_setzero_ps();
		}
		for (size_t i = 0; i < whole; i += 8) {
			part0 = avx2_load_type(k0, type, i);
			part1 = avx2_load_type(k1, type, i);
#pragma GCC unroll 4
			for (size_t h = 0; h < heads; h++) {
				q_part = _mm256_loadu_ps(q + h * dim + i);
				sum0[h] = _mm256_fmadd_ps(q_part, part0, sum0[h]);
				sum1[h] = _mm256_fmadd_ps(q_part, part1, sum1[h]);
			}
		}
		if (whole < dim) {
			part0 = avx2_load_type_part(k0, type, whole, dim - whole);
			part1 = avx2_load_type_part(k1, type, whole, dim - whole);
#pragma GCC unroll 4
			for (size_t h = 0; h < heads; h++) {
				q_part = avx2_load_part(q + h * dim + whole,
							dim - whole);
				sum0[h] = _mm256_fmadd_ps(q_part, part0, sum0[h]);
				sum1[h] = _mm256_fmadd_ps(q_part, part1, sum1[h]);
			}
		}
#pragma GCC unroll 4
		for (size_t h = 0; h < heads; h++) {
			scores[h][t] = a->scale * avx2_sum(sum0[h]);
			scores[h][next] = a->scale * avx2_sum(sum1[h]);
		}
	}
}

/*
 * Turn the scores of a span into weights relative to the new maximum, and add
 * them to the running sum.
 *
 * Return: the factor that brings what was summed before to the new maximum.
 */
static float weigh(float *scores, size_t tokens, struct running *running)
{
	__m256 max = _mm256_set1_ps(running->max);
	__m256 sum = _mm256_setzero_ps();
	float shrink;

	for (size_t t = tokens; t % 8; t++)
		scores[t] = -INFINITY;
	for (size_t t = 0; t < tokens; t += 8)
		max = _mm256_max_ps(_mm256_loadu_ps(scores + t), max);
	max = _mm256_set1_ps(avx2_max(max));
	for (size_t t = 0; t < tokens; t += 8) {
		__m256 weight =
			avx2_exp(_mm256_sub_ps(_mm256_loadu_ps(scores + t), max));

		_mm256_storeu_ps(scores + t, weight);
		sum = _mm256_add_ps(sum, weight);
	}
	shrink = expf(running->max - _mm256_cvtss_f32(max));
	running->max = _mm256_cvtss_f32(max);
	running->sum = running->sum * shrink + avx2_sum(sum);
	return shrink;
}

/*
 * out = out * shrink + weights V for elements [i, i + 8 * vectors) of @heads
 * heads, or, with @part, for the last @part elements of a short vector.
 */
avx2_inline void gather(float *out, const struct tandem_attention *a,
			const struct span *span, float (*weights)[SPAN],
			const float *shrink, size_t i, size_t part,
			size_t heads, size_t vectors, enum tandem_type type)
{
	size_t dim = a->head_dim;
	__m256 sum[MAX_HEADS][4], value;

#pragma GCC unroll 4
	for (size_t h = 0; h < heads; h++) {
		__m256 factor = _mm256_set1_ps(shrink[h]);

#pragma GCC unroll 4
		for (size_t c = 0; c < vectors; c++) {
			const float *p = out + h * dim + i + c * 8;

			sum[h][c] = part ? avx2_load_part(p, part) :
					   _mm256_loadu_ps(p);
			sum[h][c] = _mm256_mul_ps(sum[h][c], factor);
		}
	}
	for (size_t t = 0; t < span->tokens; t++) {
#pragma GCC unroll 4
		for (size_t c = 0; c < vectors; c++) {
			if (part)
				value = avx2_load_type_part(span->v[t], type, i,
							    part);
			else
				value = avx2_load_type(span->v[t], type,
						       i + c * 8);
#pragma GCC unroll 4
			for (size_t h = 0; h < heads; h++)
				sum[h][c] = _mm256_fmadd_ps(
					_mm256_broadcast_ss(&weights[h][t]),
					value, sum[h][c]);
		}
	}
#pragma GCC unroll 4
	for (size_t h = 0; h < heads; h++) {
#pragma GCC unroll 4
		for (size_t c = 0; c < vectors; c++) {
			float *p = out + h * dim + i + c * 8;

			if (part)
				avx2_store_part(p, part, sum[h][c]);
			else
				_mm256_storeu_ps(p, sum[h][c]);
		}
	}
}

avx2_inline void attend(const struct tandem_attention *a, size_t query,
			size_t head, size_t heads, enum tandem_type type)
{
	size_t dim = a->head_dim;
	size_t kv_head = head / (a->n_heads / a->n_kv_heads);
	/* Eight accumulators hide the latency of the multiply-add. */
	const size_t vectors = heads == 4 ? 2 : 4;
	const float *q = a->q + query * a->ldq + head * dim;
	float *out = a->out + query * a->ld_out + head * dim;
	size_t n_tokens = a->n_tokens + query;
	struct running running[MAX_HEADS];
	float scores[MAX_HEADS][SPAN];
	float shrink[MAX_HEADS];
	struct span span;
	size_t i;

	for (size_t h = 0; h < heads; h++)
		running[h] = (struct running){ .max = -INFINITY };
	memset(out, 0, heads * dim * sizeof(*out));

	for (size_t begin = 0; begin < n_tokens; begin += SPAN) {
		find_rows(&span, a, kv_head, begin, n_tokens);
		score(scores, a, &span, q, heads, type);
		for (size_t h = 0; h < heads; h++)
			shrink[h] = weigh(scores[h], span.tokens, &running[h]);

		for (i = 0; i + vectors * 8 <= dim; i += vectors * 8)
			gather(out, a, &span, scores, shrink, i, 0, heads,
			       vectors, type);
		for (; i + 8 <= dim; i += 8)
			gather(out, a, &span, scores, shrink, i, 0, heads, 1,
			       type);
		if (i < dim)
			gather(out, a, &span, scores, shrink, i, dim - i, heads,
			       1, type);
	}

	for (size_t h = 0; h < heads; h++)
		for (i = 0; i < dim; i++)
			out[h * dim + i] /= running[h].sum;
}

avx2_inline void attend_range(const struct tandem_attention *a, size_t query,
			      size_t head, size_t head_end,
			      enum tandem_type type)
{
	size_t group = a->n_heads / a->n_kv_heads;

	while (head < head_end) {
		size_t group_end = head - head % group + group;
		size_t heads =
			(group_end < head_end ? group_end : head_end) - head;

		if (heads >= 4) {
			attend(a, query, head, 4, type);
			head += 4;
		} else if (heads >= 2) {
			attend(a, query, head, 2, type);
			head += 2;
		} else {
			attend(a, query, head, 1, type);
			head += 1;
		}
	}
}

void tandem_avx2_attention(const struct tandem_attention *a, size_t head_begin,
			   size_t head_end)
{
	for (size_t query = 0; query < a->n_queries; query++) {
		if (a->kv_type == TANDEM_TYPE_F16)
			attend_range(a, query, head_begin, head_end,
				     TANDEM_TYPE_F16);
		else if (a->kv_type == TANDEM_TYPE_Q8_0)
			attend_range(a, query, head_begin, head_end,
				     TANDEM_TYPE_Q8_0);
		else
			attend_range(a, query, head_begin, head_end,
				     TANDEM_TYPE_F32);
	}
}
