// SPDX-License-Identifier: MIT
/* Paged attention against double precision, and its independence of paging. */
#include "check.h"
#include "guarded.h"

#include <stdlib.h>
#include <string.h>

struct shape {
	size_t n_heads, n_kv_heads, head_dim, block_tokens, n_tokens;
};

/* Heads are whole blocks of the type. */
static bool type_allows(enum tandem_type type, const struct shape *s)
{
	return s->head_dim % tandem_type_block(type) == 0;
}

struct cache {
	struct tandem_attention a;
	struct guarded q, out, pointers;
	struct guarded *blocks;
	size_t n_blocks;
};

static const void *row_of(const struct tandem_attention *a, size_t t, bool value)
{
	size_t row_bytes =
		tandem_type_row_bytes(a->kv_type, a->n_kv_heads * a->head_dim);
	size_t row = t % a->block_tokens + (value ? a->block_tokens : 0);

	return (const char *)a->blocks[t / a->block_tokens] + row * row_bytes;
}

/*
 * Every block is a buffer of its own that ends at a fault. What lies after the
 * last visible token stays NaN: using it shows. K and V of a token depend on
 * @seed and the token alone, not on the block size.
 */
static struct cache cache_make(enum tandem_type type, const struct shape *s,
			       float q_size, uint64_t seed)
{
	size_t kv_dim = s->n_kv_heads * s->head_dim;
	size_t bytes =
		tandem_kernel_kv_block_bytes(type, kv_dim, s->block_tokens);
	size_t n_q = s->n_heads * s->head_dim;
	struct cache c = { 0 };
	const void **blocks;

	c.n_blocks = (s->n_tokens + s->block_tokens - 1) / s->block_tokens;
	c.blocks = calloc(c.n_blocks, sizeof(*c.blocks));
	assert_non_null(c.blocks);
	c.pointers = guarded_alloc(c.n_blocks * sizeof(*blocks), 0);
	c.q = guarded_alloc(n_q * sizeof(float), 0);
	c.out = guarded_alloc(n_q * sizeof(float), 0);
	blocks = c.pointers.data;
	c.a = (struct tandem_attention){
		.kv_type = type,
		.n_heads = s->n_heads,
		.n_kv_heads = s->n_kv_heads,
		.head_dim = s->head_dim,
		.block_tokens = s->block_tokens,
		.n_queries = 1,
		.n_tokens = s->n_tokens,
		.scale = 1 / sqrtf((float)s->head_dim),
		.q = c.q.data,
		.ldq = n_q,
		.blocks = blocks,
		.out = c.out.data,
		.ld_out = n_q,
	};
	random_fill(c.q.data, TANDEM_TYPE_F32, n_q, &seed);
	for (size_t i = 0; i < n_q; i++)
		((float *)c.q.data)[i] *= q_size;
	for (size_t b = 0; b < c.n_blocks; b++) {
		c.blocks[b] = guarded_alloc(bytes, 0);
		blocks[b] = c.blocks[b].data;
	}
	for (size_t t = 0; t < s->n_tokens; t++) {
		random_fill((void *)row_of(&c.a, t, false), type, kv_dim, &seed);
		random_fill((void *)row_of(&c.a, t, true), type, kv_dim, &seed);
	}
	for (size_t b = 0; b < c.n_blocks; b++)
		guarded_seal(&c.blocks[b]);
	guarded_seal(&c.q);
	guarded_seal(&c.pointers);
	return c;
}

static void cache_free(struct cache *c)
{
	for (size_t b = 0; b < c->n_blocks; b++)
		guarded_free(&c->blocks[b]);
	free(c->blocks);
	guarded_free(&c->pointers);
	guarded_free(&c->q);
	guarded_free(&c->out);
}

/*
 * The bound, to first order in U, with D the head's width and T the tokens:
 *
 * A score is scale * (q k), off by at most δ = γ_{D+1} |scale| Σ|q k|. Its weight
 * exp(score - max) is off, relatively, by
 *	δ					from the score,
 *	U (max - score)				from the differences: they are
 *						taken in steps as the maximum rises,
 *						which add up to max - score,
 *	at most T + 1 exponentials of EXP_ERROR U and as many products, 1 U each,
 * and the sums of weights and of weighted values add at most T + 1 roundings.
 * Together e_t = δ_t + U (max - score_t) + (T + 1) (EXP_ERROR + 2) U.
 *
 * With p_t the exact weights normalised, numerator and denominator give
 *	|out - exact| <= Σ p|v| e + (Σ p|v|) (Σ p e) + U |out|.
 * Terms of second order are below e times that; as e stays below 2^-6 in these
 * tests (checked), 1 + 2^-4 covers them. Weights that underflow lose less than
 * 2^-125 each.
 */
static void check_head(const struct tandem_attention *a, size_t head)
{
	size_t D = a->head_dim, T = a->n_tokens;
	size_t kv_head = head / (a->n_heads / a->n_kv_heads);
	double *score = calloc(T, sizeof(*score));
	double *error = calloc(T, sizeof(*error));
	double max = -INFINITY, sum = 0, mean_error = 0, worst_error = 0;

	assert_non_null(score);
	assert_non_null(error);
	for (size_t t = 0; t < T; t++) {
		double magnitude = 0;

		for (size_t i = 0; i < D; i++) {
			double term = a->q[head * D + i] *
				      element(row_of(a, t, false), a->kv_type,
					      kv_head * D + i);

			score[t] += term;
			magnitude += fabs(term);
		}
		score[t] *= a->scale;
		error[t] = error_of((double)D + 1) * fabs(a->scale) * magnitude;
		max = fmax(max, score[t]);
	}
	for (size_t t = 0; t < T; t++) {
		double weight = exp(score[t] - max);

		error[t] += U * (max - score[t]) +
			    (double)(T + 1) * (EXP_ERROR + 2) * U;
		worst_error = fmax(worst_error, error[t]);
		mean_error += weight * error[t];
		sum += weight;
		score[t] = weight;
	}
	mean_error /= sum;
	assert_true(worst_error < 0x1p-6);

	for (size_t i = 0; i < D; i++) {
		double out = 0, magnitude = 0, weighted_error = 0;

		for (size_t t = 0; t < T; t++) {
			double p = score[t] / sum;
			double v = element(row_of(a, t, true), a->kv_type,
					   kv_head * D + i);

			out += p * v;
			magnitude += p * fabs(v);
			weighted_error += p * fabs(v) * error[t];
		}
		check_close(
			a->out[head * D + i], out,
			(1 + 0x1p-4) * (weighted_error +
					magnitude * mean_error + U * fabs(out)) +
				(double)T * 0x1p-125,
			"type %d heads %zu/%zu dim %zu block %zu tokens %zu: out[%zu][%zu]",
			a->kv_type, a->n_heads, a->n_kv_heads, D,
			a->block_tokens, T, head, i);
	}
	free(score);
	free(error);
}

static void check_shape(const struct tandem_kernels *kernels,
			enum tandem_type type, const struct shape *s,
			float q_size)
{
	struct cache c;

	if (!type_allows(type, s))
		return;
	c = cache_make(type, s, q_size, s->n_tokens + s->head_dim * 1000);
	kernels->attention(&c.a, 0, s->n_heads);
	for (size_t head = 0; head < s->n_heads; head++)
		check_head(&c.a, head);
	cache_free(&c);
}

static void test_token_counts(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);

	for EACH_KV_TYPE(type)
		for (size_t n_tokens = 1; n_tokens <= 140; n_tokens++) {
			struct shape s = { 4, 2, 16, 16, n_tokens };

			check_shape(kernels, type, &s, 2);
		}
}

static void test_head_widths(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);

	for EACH_KV_TYPE(type)
		for (size_t dim = 1; dim <= 80; dim++) {
			struct shape s = { 6, 2, dim, 5, 23 };

			check_shape(kernels, type, &s, 1);
		}
}

static void test_shapes(void **state)
{
	static const struct shape shapes[] = {
		{ 1, 1, 64, 16, 100 },	 { 8, 4, 8, 16, 512 }, /* stories260K */
		{ 8, 1, 128, 32, 70 },	 { 7, 1, 32, 1, 65 },
		{ 5, 5, 33, 7, 129 },	 { 12, 4, 64, 3, 66 },
		{ 9, 1, 256, 64, 64 },	 { 10, 2, 24, 1000, 300 },
		{ 2, 1, 64, 128, 1500 },
	};
	static const float q_sizes[] = { 0, 1, 10, 100 };
	const struct tandem_kernels *kernels = kernels_or_skip(state);

	for EACH_KV_TYPE(type)
		for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
			for (size_t j = 0;
			     j < sizeof(q_sizes) / sizeof(*q_sizes); j++)
				check_shape(kernels, type, &shapes[i],
					    q_sizes[j]);
}

/* A head has the same bits for every block size and every split of the heads. */
static void test_independence(void **state)
{
	static const size_t block_sizes[] = { 1, 2, 5, 16, 63, 64, 65, 200 };
	const struct tandem_kernels *kernels = kernels_or_skip(state);
	struct shape s = { 14, 2, 32, 1, 150 };
	float reference[14 * 32];
	uint64_t seed = 3;

	for EACH_KV_TYPE(type) {
		for (size_t i = 0;
		     i < sizeof(block_sizes) / sizeof(*block_sizes); i++) {
			struct cache c;

			s.block_tokens = block_sizes[i];
			c = cache_make(type, &s, 3, 99);
			for (size_t begin = 0; begin < s.n_heads;) {
				/* All at once the first time, then in random parts. */
				size_t end =
					i ? begin + 1 +
							random_below(
								&seed,
								s.n_heads -
									begin) :
					    s.n_heads;

				kernels->attention(&c.a, begin, end);
				begin = end;
			}
			if (i == 0)
				memcpy(reference, c.a.out, sizeof(reference));
			check_same(c.a.out, reference, s.n_heads * s.head_dim,
				   "type %u, blocks of %zu", type,
				   s.block_tokens);
			cache_free(&c);
		}
	}
}

static void test_head_range(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);
	struct shape s = { 8, 2, 32, 16, 40 };

	for EACH_KV_TYPE(type)
		for (size_t begin = 0; begin <= s.n_heads; begin++)
			for (size_t end = begin; end <= s.n_heads; end++) {
				struct cache c = cache_make(type, &s, 1, 5);

				kernels->attention(&c.a, begin, end);
				for (size_t head = 0; head < s.n_heads; head++) {
					const float *out =
						c.a.out + head * s.head_dim;

					if (head >= begin && head < end)
						check_head(&c.a, head);
					else
						for (size_t i = 0;
						     i < s.head_dim; i++)
							assert_true(unwritten(
								out[i]));
				}
				cache_free(&c);
			}
}

/* Consecutive queries together: the bits of each alone, and nothing else. */
static void check_queries(const struct tandem_kernels *kernels,
			  enum tandem_type type, const struct shape *s,
			  size_t queries)
{
	size_t n_q = s->n_heads * s->head_dim, ld = n_q + 3;
	struct guarded q = guarded_alloc(((queries - 1) * ld + n_q) * 4, 0);
	struct guarded out = guarded_alloc(((queries - 1) * ld + n_q) * 4, 0);
	float *alone = calloc(n_q, sizeof(*alone));
	struct tandem_attention together, one;
	struct cache c;
	uint64_t seed = 12;

	if (!type_allows(type, s))
		goto out;
	assert_non_null(alone);
	c = cache_make(type, s, 1, 77);
	for (size_t i = 0; i < queries; i++)
		random_fill((float *)q.data + i * ld, TANDEM_TYPE_F32, n_q,
			    &seed);
	guarded_seal(&q);
	together = c.a;
	together.n_queries = queries;
	together.n_tokens = s->n_tokens - queries + 1;
	together.q = q.data;
	together.out = out.data;
	together.ldq = ld;
	together.ld_out = ld;
	for (size_t begin = 0; begin < s->n_heads;) {
		size_t end = begin + 1 + random_below(&seed, s->n_heads - begin);

		kernels->attention(&together, begin, end);
		begin = end;
	}
	one = together;
	one.n_queries = 1;
	one.out = alone;
	for (size_t i = 0; i < queries; i++) {
		const float *row = together.out + i * ld;

		kernels->attention(&one, 0, s->n_heads);
		check_same(row, alone, n_q, "type %d: query %zu of %zu", type,
			   i, queries);
		for (size_t e = n_q; e < ld && i + 1 < queries; e++)
			assert_true(unwritten(row[e]));
		one.q += ld;
		one.n_tokens++;
	}
	cache_free(&c);
out:
	free(alone);
	guarded_free(&q);
	guarded_free(&out);
}

static void test_queries(void **state)
{
	static const struct shape shapes[] = {
		{ 4, 2, 32, 16, 140 }, { 6, 1, 64, 16, 300 }, { 3, 3, 20, 7, 90 },
		{ 2, 2, 288, 5, 70 },  { 5, 1, 96, 64, 129 },
	};
	static const size_t queries[] = { 1, 2, 3, 17, 48, 64 };
	const struct tandem_kernels *kernels = kernels_or_skip(state);

	for EACH_KV_TYPE(type)
		for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
			for (size_t j = 0;
			     j < sizeof(queries) / sizeof(*queries); j++)
				check_queries(kernels, type, &shapes[i],
					      queries[j]);
}

/* Scores of thousands: one token takes all, wherever it is, without overflow. */
static void test_extreme_scores(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);
	enum { D = 9, T = 131 };

	for (size_t winner = 0; winner < T; winner++) {
		float block[2][T][D], q[D] = { 3000 }, out[D];
		const void *blocks[] = { block };
		struct tandem_attention a = {
			.n_heads = 1,
			.n_kv_heads = 1,
			.head_dim = D,
			.block_tokens = T,
			.n_queries = 1,
			.n_tokens = T,
			.scale = 1,
			.q = q,
			.blocks = blocks,
			.out = out,
		};

		for (size_t t = 0; t < T; t++)
			for (size_t i = 0; i < D; i++) {
				block[0][t][i] = t == winner ? 1 : -1;
				block[1][t][i] = (float)(t * D + i);
			}
		kernels->attention(&a, 0, 1);
		for (size_t i = 0; i < D; i++)
			assert_true(out[i] == (float)(winner * D + i));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_EACH_ISA(test_token_counts),
		TEST_EACH_ISA(test_head_widths),
		TEST_EACH_ISA(test_shapes),
		TEST_EACH_ISA(test_independence),
		TEST_EACH_ISA(test_head_range),
		TEST_EACH_ISA(test_queries),
		TEST_EACH_ISA(test_extreme_scores),
	};

	return cmocka_run_group_tests_name("kernels: attention", tests, NULL,
					   NULL);
}
