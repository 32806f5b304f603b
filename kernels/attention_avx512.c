// SPDX-License-Identifier: MIT
/*
 * Paged attention with AVX-512, tiled.
 *
 * The cache is read in spans of SPAN tokens, counted from token 0 whatever the
 * block size, with a running maximum from span to span (see
 * attention_scalar.c). What asks is a pair of a query token and a head; pairs whose
 * heads share a KV head are taken together, so that K and V are read once for
 * them, and, where there are many and the type is not F32, widened once. Where all
 * of them see a whole span, they are multiplied with it in tiles as of a matrix
 * product; where the causal mask or the end cuts a span, one after the other.
 *
 * Up to MAX_ASKERS pairs pass through the cache at the same time. In decode those are
 * of several KV heads, which lie side by side in each row: a span is read for all
 * of them before the next, since one head alone has a line or two of each row, and
 * neither the processor nor its TLB follows that. For the same reason the rows of
 * the next head are fetched while those of one are multiplied.
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
#define WIDE_ASKERS 7 /* fewer askers are not worth it */

/* Askers of one KV head. */
struct group {
	size_t kv_head;
	size_t first;
	size_t count;
	size_t fewest; /* tokens that all of them see, and that one does */
	size_t most;
};

/* The rows of a group's KV head in a span of tokens, from token @begin on. */
struct span {
	const struct group *group;
	size_t begin;
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
	size_t groups;
	struct group group[MAX_ASKERS];
	size_t askers;
	struct asker asker[MAX_ASKERS];
	_Alignas(64) float weight[MAX_ASKERS][SPAN];
	float shrink[MAX_ASKERS];
	struct span spans[2];
	struct span *span;
	struct span *next; /* what is fetched meanwhile */
	_Alignas(64) float wide_k[SPAN * WIDE_DIM];
	_Alignas(64) float wide_v[SPAN * WIDE_DIM];
};

/* The rows of the next span; none where the group has no more. */
static void find_rows(struct work *work, const struct group *group, size_t begin)
{
	const struct tandem_attention *a = work->a;
	size_t row_bytes =
		tandem_type_row_bytes(a->kv_type, a->n_kv_heads * a->head_dim);
	size_t offset =
		tandem_type_row_bytes(a->kv_type, group->kv_head * a->head_dim);
	size_t left = begin < group->most ? group->most - begin : 0;
	size_t block = begin / a->block_tokens;
	size_t slot = begin % a->block_tokens;
	struct span *span = work->next;

	span->group = group;
	span->begin = begin;
	span->tokens = left < SPAN ? left : SPAN;
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

/* Have rows of the next span fetched, of K or V, while those of this are multiplied. */
avx512_inline void fetch_rows(const struct work *work, const char *const *row,
			      size_t t, size_t count)
{
	size_t bytes = tandem_type_row_bytes(work->a->kv_type, work->a->head_dim);

	for (size_t i = t; i < t + count && i < work->next->tokens; i++)
		avx512_prefetch((uintptr_t)row[i], 0, bytes);
}

avx512_inline void widen_row(float *to, const char **row, enum tandem_type type,
			     size_t dim)
{
	size_t i;

	for (i = 0; i + 16 <= dim; i += 16)
		_mm512_storeu_ps(to + i, avx512_load_type(*row, type, i));
	if (i < dim)
		_mm512_mask_storeu_ps(to + i, avx512_mask(dim - i),
				      avx512_load_type_part(*row, type, i,
							    avx512_mask(dim - i)));
	*row = (const char *)to;
}

static void widen_span(struct work *work)
{
	struct span *span = work->span;
	size_t dim = work->a->head_dim;

	if (span->type == TANDEM_TYPE_F32 || dim > WIDE_DIM ||
	    span->group->count < WIDE_ASKERS)
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

	if (first == work->span->group->first)
		fetch_rows(work, work->next->k, t, TOKENS_TILE);
#pragma GCC unroll 8
	for (size_t c = 0; c < TOKENS_TILE; c++) {
		k[c] = work->span->k[t + c < tokens ? t + c : tokens - 1];
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
				sum[r][c] =
					_mm512_fmadd_ps(q[r], part, sum[r][c]);
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
				sum[r][c] =
					_mm512_fmadd_ps(q[r], part, sum[r][c]);
		}
	}
#pragma GCC unroll 3
	for (size_t r = 0; r < count; r++) {
		__m256 total = _mm256_set_m128(
			avx512_sum4(sum[r][4], sum[r][5], sum[r][6], sum[r][7]),
			avx512_sum4(sum[r][0], sum[r][1], sum[r][2], sum[r][3]));

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
	shrink = _mm512_cvtss_f32(
		avx512_exp(_mm512_set1_ps(asker->max - _mm512_cvtss_f32(max))));
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
		const char *v = work->span->v[t];

		if (!i && first == work->span->group->first)
			fetch_rows(work, work->next->v, t, 1);
#pragma GCC unroll 4
		for (size_t c = 0; c < vectors; c++) {
			value = part ? avx512_load_type_part(v, type, i, mask) :
				       avx512_load_type(v, type, i + c * 16);
#pragma GCC unroll 6
			for (size_t r = 0; r < count; r++)
				sum[r][c] = _mm512_fmadd_ps(
					_mm512_set1_ps(work->weight[first + r][t]),
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
	const struct group *group = work->span->group;
	size_t tokens = work->span->tokens;
	size_t end = group->first + group->count;
	size_t i = group->first;

	/* Two and two are quicker than three and one. */
	for (; i + ASKERS_TILE <= end && i + 4 != end; i += ASKERS_TILE)
		score(work, i, ASKERS_TILE, tokens, type);
	for (; i + 2 <= end; i += 2)
		score(work, i, 2, tokens, type);
	if (i < end)
		score(work, i, 1, tokens, type);
	for (i = group->first; i < end; i++)
		weigh(work, i, tokens);
	for (i = group->first; i + GATHER_TILE <= end; i += GATHER_TILE)
		gather(work, i, GATHER_TILE, tokens, type);
	for (; i + 4 <= end; i += 4)
		gather(work, i, 4, tokens, type);
	for (; i + 2 <= end; i += 2)
		gather(work, i, 2, tokens, type);
	if (i < end)
		gather(work, i, 1, tokens, type);
}

/* A span that some see a part of, or nothing. */
avx512_inline void attend_apart(struct work *work, enum tandem_type type)
{
	const struct group *group = work->span->group;
	size_t begin = work->span->begin;

	for (size_t i = group->first; i < group->first + group->count; i++) {
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

avx512_inline void attend_type(struct work *work, enum tandem_type type)
{
	const struct span *span = work->span;

	if (span->begin + span->tokens <= span->group->fewest)
		attend_together(work, type);
	else
		attend_apart(work, type);
}

static void attend_span(struct work *work)
{
	widen_span(work);
	if (work->span->type == TANDEM_TYPE_F16)
		attend_type(work, TANDEM_TYPE_F16);
	else if (work->span->type == TANDEM_TYPE_Q8_0)
		attend_type(work, TANDEM_TYPE_Q8_0);
	else
		attend_type(work, TANDEM_TYPE_F32);
}

/* All spans: of each group, then the one behind it of each, while there are any. */
static void attend_spans(struct work *work)
{
	size_t most = 0;

	for (size_t g = 0; g < work->groups; g++)
		if (work->group[g].most > most)
			most = work->group[g].most;
	work->span = &work->spans[0];
	work->next = &work->spans[1];
	find_rows(work, &work->group[0], 0);
	for (size_t begin = 0; begin < most; begin += SPAN) {
		for (size_t g = 0; g < work->groups; g++) {
			struct span *done = work->span;
			bool last = g + 1 == work->groups;

			work->span = work->next;
			work->next = done;
			find_rows(work, &work->group[last ? 0 : g + 1],
				  last ? begin + SPAN : begin);
			if (work->span->tokens)
				attend_span(work);
		}
	}
}

/* All askers there are, to their end. */
static void attend(struct work *work)
{
	size_t dim = work->a->head_dim;

	for (size_t i = 0; i < work->askers; i++)
		memset(work->asker[i].out, 0, dim * sizeof(float));
	if (work->groups)
		attend_spans(work);
	for (size_t i = 0; i < work->askers; i++)
		for (size_t e = 0; e < dim; e++)
			work->asker[i].out[e] /= work->asker[i].sum;
	work->groups = 0;
	work->askers = 0;
}

/* Query @query of heads [head, end), which share a KV head. */
static void add_askers(struct work *work, struct group *group, size_t query,
		       size_t head, size_t end)
{
	const struct tandem_attention *a = work->a;
	size_t n_tokens = a->n_tokens + query;

	for (size_t h = head; h < end; h++)
		work->asker[work->askers++] = (struct asker){
			.q = a->q + query * a->ldq + h * a->head_dim,
			.out = a->out + query * a->ld_out + h * a->head_dim,
			.n_tokens = n_tokens,
			.max = -INFINITY,
		};
	group->count += end - head;
	if (n_tokens < group->fewest)
		group->fewest = n_tokens;
	if (n_tokens > group->most)
		group->most = n_tokens;
}

/* All queries of heads [head, end), which share a KV head, as many at a time as fit. */
static void add_group(struct work *work, size_t head, size_t end)
{
	const struct tandem_attention *a = work->a;
	size_t kv_head = head / (a->n_heads / a->n_kv_heads);
	struct group *group = NULL;

	if (work->askers + a->n_queries * (end - head) > MAX_ASKERS)
		attend(work);
	for (size_t query = 0; query < a->n_queries; query++) {
		if (work->askers + end - head > MAX_ASKERS) {
			attend(work);
			group = NULL;
		}
		if (!group) {
			group = &work->group[work->groups++];
			*group = (struct group){
				.kv_head = kv_head,
				.first = work->askers,
				.fewest = SIZE_MAX,
			};
		}
		add_askers(work, group, query, head, end);
	}
}

void tandem_avx512_attention(const struct tandem_attention *a,
			     size_t head_begin, size_t head_end)
{
	size_t heads = a->n_heads / a->n_kv_heads;
	struct work work;

	work.a = a;
	work.groups = 0;
	work.askers = 0;
	for (size_t head = head_begin; head < head_end;) {
		size_t end = head - head % heads + heads;

		end = end < head_end ? end : head_end;
		/* As many heads of a KV head as fit. */
		if (end - head > MAX_ASKERS)
			end = head + MAX_ASKERS;
		add_group(&work, head, end);
		head = end;
	}
	attend(&work);
}
