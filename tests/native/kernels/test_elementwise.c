// SPDX-License-Identifier: MIT
/* Rotary embedding, SiLU and addition against double precision. */
#include "check.h"
#include "guarded.h"

#include <string.h>

/* Three vectors, of which the first two are sealed inputs. */
struct vectors {
	struct guarded a, b, out;
};

static struct vectors vectors_make(size_t n, size_t shift, float size,
				   uint64_t seed)
{
	struct vectors v = {
		.a = guarded_alloc(n * 4, shift * 4),
		.b = guarded_alloc(n * 4, shift * 4),
		.out = guarded_alloc(n * 4, shift * 4),
	};

	random_fill(v.a.data, TANDEM_TYPE_F32, n, &seed);
	random_fill(v.b.data, TANDEM_TYPE_F32, n, &seed);
	for (size_t i = 0; i < n; i++)
		((float *)v.a.data)[i] *= size;
	guarded_seal(&v.a);
	guarded_seal(&v.b);
	return v;
}

static void vectors_free(struct vectors *v)
{
	guarded_free(&v->a);
	guarded_free(&v->b);
	guarded_free(&v->out);
}

static void test_add(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);

	for (size_t n = 0; n <= 70; n++) {
		struct vectors v = vectors_make(n, n % 3, 1, n);
		const float *a = v.a.data, *b = v.b.data;
		float *out = v.out.data;

		kernels->add(out, a, b, n);
		for (size_t i = 0; i < n; i++)
			assert_true(out[i] == a[i] + b[i]);
		if (n)
			memcpy(out, a, n * sizeof(*out));
		kernels->add(out, out, b, n);
		for (size_t i = 0; i < n; i++)
			assert_true(out[i] == a[i] + b[i]);
		vectors_free(&v);
	}
}

/*
 * With e = exp(-gate), off by EXP_ERROR U, 1 + e is off by no more, relatively,
 * plus one rounding; the division and the product round once each. Where e
 * overflows, gate / (1 + e) of less than 90 exp(-88.7) < 2^-121 becomes 0, and
 * results below 2^-126 round absolutely.
 */
static void check_silu(float out, float gate, float up)
{
	double expected = (double)gate / (1 + exp(-(double)gate)) * up;

	check_close(out, expected,
		    error_of(EXP_ERROR + 3) * fabs(expected) +
			    0x1p-121 * fabs(up) + 0x1p-149,
		    "silu(%a) * %a", gate, up);
}

static void test_silu_mul(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);
	static const float sizes[] = { 1e-30f, 0.01f, 1, 10, 100, 1e4f };

	for (size_t n = 0; n <= 70; n++)
		for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
			struct vectors v = vectors_make(n, n % 3, sizes[s], n);
			const float *gate = v.a.data, *up = v.b.data;
			float *out = v.out.data;
			float alias[70];

			kernels->silu_mul(out, gate, up, n);
			for (size_t i = 0; i < n; i++)
				check_silu(out[i], gate[i], up[i]);
			if (n)
				memcpy(alias, gate, n * sizeof(*alias));
			kernels->silu_mul(alias, alias, up, n);
			check_same(alias, out, n, "out is gate");
			if (n)
				memcpy(alias, up, n * sizeof(*alias));
			kernels->silu_mul(alias, gate, alias, n);
			check_same(alias, out, n, "out is up");
			vectors_free(&v);
		}
}

/* Binary32 of every exponent and sign, some thousand mantissas of each. */
static void test_silu_everywhere(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);
	float gate[64], up[64], out[64];
	size_t n = 0;

	for (size_t i = 0; i < 64; i++)
		up[i] = 1;
	for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 1511) {
		uint32_t pattern = (uint32_t)bits;

		memcpy(&gate[n], &pattern, sizeof(*gate));
		if (!isfinite(gate[n]))
			continue;
		if (++n < 64)
			continue;
		kernels->silu_mul(out, gate, up, 64);
		for (size_t i = 0; i < 64; i++)
			check_silu(out[i], gate[i], 1);
		n = 0;
	}
	gate[0] = NAN;
	gate[1] = INFINITY;
	gate[2] = -INFINITY;
	kernels->silu_mul(out, gate, up, 3);
	assert_true(isnan(out[0]));
	assert_true(out[1] == INFINITY);
	assert_true(isnan(out[2]));
}

/*
 * The angle, computed in double precision, is off by less than 8 roundings of
 * 2^-53 (power, quotients, product), and the function then rounds to binary32.
 */
static void test_rope_table(void **state)
{
	static const size_t positions[] = { 0, 1, 2, 511, 4095, 131071 };
	static const size_t sizes[] = { 2, 6, 8, 64, 128 };
	float factors[64];
	uint64_t seed = 1;

	(void)state;
	for (size_t i = 0; i < 64; i++)
		factors[i] = 1.5f + random_float(&seed);
	for (size_t i = 0; i < sizeof(positions) / sizeof(*positions); i++)
		for (size_t j = 0; j < sizeof(sizes) / sizeof(*sizes); j++)
			for (int scaled = 0; scaled < 2; scaled++) {
				struct guarded g = guarded_alloc(sizes[j] * 4, 0);
				const float *table = g.data;
				const float magnitude = scaled ? 1.25f : 1;

				tandem_kernel_rope_table(g.data, positions[i],
							 sizes[j], 10000,
							 scaled ? factors : NULL,
							 magnitude);
				for (size_t p = 0; p < sizes[j] / 2; p++) {
					long double angle =
						positions[i] *
						powl(10000, -2.0L * p / sizes[j]);
					double bound;

					if (scaled)
						angle /= factors[p];
					bound = magnitude *
						(U + 8 * 0x1p-53 * (double)angle);
					check_close(table[2 * p],
						    magnitude * (double)cosl(angle), bound,
						    "cos of pair %zu at %zu", p,
						    positions[i]);
					check_close(table[2 * p + 1],
						    magnitude * (double)sinl(angle), bound,
						    "sin of pair %zu at %zu", p,
						    positions[i]);
				}
				guarded_free(&g);
			}
}

/* Two products and a sum: three roundings, of which a term sees two. */
static void check_rope(const struct tandem_kernels *kernels, size_t n_heads,
		       size_t head_dim, size_t n_rot)
{
	struct guarded x = guarded_alloc(n_heads * head_dim * 4, 0);
	struct guarded table = guarded_alloc(n_rot * 4, 0);
	uint64_t seed = head_dim * 100 + n_rot;
	float before[500], scalar[500];
	const float *t = table.data;
	float *after = x.data;

	random_fill(before, TANDEM_TYPE_F32, n_heads * head_dim, &seed);
	memcpy(after, before, n_heads * head_dim * sizeof(*after));
	memcpy(scalar, before, n_heads * head_dim * sizeof(*after));
	tandem_kernel_rope_table(table.data, 77, n_rot, 10000, NULL, 1);
	guarded_seal(&table);

	kernels->rope(after, n_heads, head_dim, n_rot, t);
	for (size_t h = 0; h < n_heads; h++) {
		const float *b = before + h * head_dim, *a = after + h * head_dim;

		for (size_t i = 0; i < n_rot; i += 2) {
			double terms[] = {
				(double)b[i] * t[i],
				(double)b[i + 1] * t[i + 1],
				(double)b[i + 1] * t[i],
				(double)b[i] * t[i + 1],
			};

			check_close(a[i], terms[0] - terms[1],
				    error_of(2) *
					    (fabs(terms[0]) + fabs(terms[1])),
				    "dim %zu of %zu, head %zu element %zu",
				    n_rot, head_dim, h, i);
			check_close(a[i + 1], terms[2] + terms[3],
				    error_of(2) *
					    (fabs(terms[2]) + fabs(terms[3])),
				    "dim %zu of %zu, head %zu element %zu",
				    n_rot, head_dim, h, i + 1);
		}
		check_same(a + n_rot, b + n_rot, head_dim - n_rot, "not rotated");
	}
	tandem_kernels_select("scalar")->rope(scalar, n_heads, head_dim, n_rot,
					      t);
	check_same(after, scalar, n_heads * head_dim, "against scalar");
	guarded_free(&x);
	guarded_free(&table);
}

/* Elements that the one takes for pair i, brought to where the other has it. */
static void check_rope_halves(const struct tandem_kernels *kernels, size_t n_heads,
			      size_t head_dim, size_t n_rot)
{
	struct guarded x = guarded_alloc(n_heads * head_dim * 4, 0);
	struct guarded table = guarded_alloc(n_rot * 4, 0);
	uint64_t seed = head_dim * 100 + n_rot;
	float adjacent[500], *halves = x.data;

	random_fill(halves, TANDEM_TYPE_F32, n_heads * head_dim, &seed);
	memcpy(adjacent, halves, n_heads * head_dim * sizeof(*halves));
	for (size_t h = 0; h < n_heads; h++)
		for (size_t i = 0; i < n_rot; i++)
			adjacent[h * head_dim + i] =
				halves[h * head_dim + i / 2 + i % 2 * (n_rot / 2)];
	tandem_kernel_rope_table(table.data, 77, n_rot, 10000, NULL, 1);
	guarded_seal(&table);

	kernels->rope_halves(halves, n_heads, head_dim, n_rot, table.data);
	tandem_kernels_select("scalar")->rope(adjacent, n_heads, head_dim, n_rot,
					      table.data);
	for (size_t h = 0; h < n_heads; h++)
		for (size_t i = 0; i < head_dim; i++) {
			const size_t at = i < n_rot ? i / 2 + i % 2 * (n_rot / 2) : i;

			check_same(&halves[h * head_dim + at], &adjacent[h * head_dim + i], 1,
				   "dim %zu of %zu, head %zu element %zu", n_rot, head_dim, h, i);
		}
	guarded_free(&x);
	guarded_free(&table);
}

static void test_rope(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);

	for (size_t n_heads = 1; n_heads <= 5; n_heads++)
		for (size_t head_dim = 2; head_dim <= 70; head_dim++)
			for (size_t n_rot = 2; n_rot <= head_dim; n_rot += 2)
				check_rope(kernels, n_heads, head_dim, n_rot);
}

static void test_rope_halves(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);

	for (size_t n_heads = 1; n_heads <= 5; n_heads++)
		for (size_t head_dim = 2; head_dim <= 70; head_dim++)
			for (size_t n_rot = 2; n_rot <= head_dim; n_rot += 2)
				check_rope_halves(kernels, n_heads, head_dim, n_rot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_EACH_ISA(test_add),
		TEST_EACH_ISA(test_silu_mul),
		TEST_EACH_ISA(test_silu_everywhere),
		cmocka_unit_test(test_rope_table),
		TEST_EACH_ISA(test_rope),
		TEST_EACH_ISA(test_rope_halves),
	};

	return cmocka_run_group_tests_name("kernels: elementwise", tests, NULL,
					   NULL);
}
