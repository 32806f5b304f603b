// SPDX-License-Identifier: MIT
/* The matrix product against double precision, and its independence of splits. */
#include "check.h"
#include "guarded.h"

#include <stdlib.h>
#include <string.h>

struct product {
	struct tandem_matmul a;
	size_t n;
	bool rounds_x; /* to BF16, as the kernels say */
	struct guarded x, w, y;
};

/* Whether a set uses instructions that multiply BF16 by BF16 only. */
static bool rounds_x(const struct tandem_kernels *kernels, enum tandem_type type)
{
	return type == TANDEM_TYPE_BF16 && !strcmp(kernels->name, "avx512bf16");
}

/*
 * x and y have gaps between their rows, filled with NaN; all end at a fault, or
 * @shift elements before it.
 */
static struct product product_make(enum tandem_type type, size_t m, size_t n,
				   size_t k, size_t shift, uint64_t seed)
{
	size_t size = tandem_type_block_bytes(type);
	size_t ldx = k + 3, ldy = n + 5;
	struct product p = { .n = n };

	p.x = guarded_alloc(((m - 1) * ldx + k) * sizeof(float),
			    shift * sizeof(float));
	p.w = guarded_alloc(n * k * size, shift * size);
	p.y = guarded_alloc(((m - 1) * ldy + n) * sizeof(float),
			    shift * sizeof(float));
	for (size_t i = 0; i < m; i++)
		random_fill((float *)p.x.data + i * ldx, TANDEM_TYPE_F32, k,
			    &seed);
	random_fill(p.w.data, type, n * k, &seed);
	guarded_seal(&p.x);
	guarded_seal(&p.w);
	p.a = (struct tandem_matmul){
		.w_type = type,
		.m = m,
		.k = k,
		.x = p.x.data,
		.ldx = ldx,
		.w = p.w.data,
		.y = p.y.data,
		.ldy = ldy,
	};
	return p;
}

static void product_free(struct product *p)
{
	guarded_free(&p->x);
	guarded_free(&p->w);
	guarded_free(&p->y);
}

/*
 * Whatever the order of summation and whether products are fused, each product
 * goes through at most k roundings: its own and k - 1 additions. So the error
 * is at most γ_k Σ|x w| (Higham, section 3.1). What the reference errs in
 * double precision is 2^-29 of that; the factor leaves room for it. Where x is
 * rounded to BF16, this is about what it is rounded to.
 */
static void check_element(const struct product *p, size_t i, size_t j)
{
	const struct tandem_matmul *a = &p->a;
	double sum = 0, magnitude = 0;

	for (size_t l = 0; l < a->k; l++) {
		const float x = a->x[i * a->ldx + l];
		double term = (p->rounds_x ? tandem_bf16_to_f32(tandem_f32_to_bf16(x)) : x) *
			      element(a->w, a->w_type, j * a->k + l);

		sum += term;
		magnitude += fabs(term);
	}
	check_close(a->y[i * a->ldy + j], sum,
		    1.0001 * error_of((double)a->k) * magnitude,
		    "type %d m %zu k %zu: y[%zu][%zu]", a->w_type, a->m, a->k,
		    i, j);
}

static void check_product(const struct tandem_kernels *kernels,
			  enum tandem_type type, size_t m, size_t n, size_t k,
			  size_t shift)
{
	struct product p =
		product_make(type, m, n, k, shift, m * 10007 + n * 101 + k);

	p.rounds_x = rounds_x(kernels, type);
	kernels->matmul(&p.a, 0, n);
	for (size_t i = 0; i < m; i++)
		for (size_t j = 0; j < p.a.ldy; j++) {
			if (j < n)
				check_element(&p, i, j);
			else if (i + 1 < m)
				assert_true(unwritten(p.a.y[i * p.a.ldy + j]));
		}
	product_free(&p);
}

static void test_small_shapes(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);

	for EACH_PLAIN_TYPE(type)
		for (size_t m = 1; m <= 8; m++)
			for (size_t n = 1; n <= 10; n++)
				for (size_t k = 1; k <= 20; k++)
					check_product(kernels, type, m, n, k,
						      (m + n + k) % 4);
}

/* Around the sizes at which implementations change path: 8, 96, 512, 1024, 8192. */
static void test_large_shapes(void **state)
{
	static const struct {
		size_t m, n, k;
	} shapes[] = {
		{ 1, 1, 511 },	 { 1, 9, 512 },	  { 1, 8, 513 },
		{ 1, 70, 1029 }, { 2, 3, 520 },	  { 3, 17, 1024 },
		{ 95, 5, 24 },	 { 96, 4, 31 },	  { 97, 6, 33 },
		{ 200, 3, 9 },	 { 98, 7, 1025 }, { 5, 130, 64 },
		{ 32, 64, 288 }, { 1, 2, 5003 },  { 4, 5, 5003 },
		{ 7, 33, 2050 }, { 3, 9, 1024 },  { 2, 8, 1023 },
		{ 1, 9, 8192 },	 { 1, 10, 9001 }, { 1, 3, 17000 },
	};
	const struct tandem_kernels *kernels = kernels_or_skip(state);

	for EACH_PLAIN_TYPE(type)
		for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
			for (size_t shift = 0; shift < 2; shift++)
				check_product(kernels, type, shapes[i].m,
					      shapes[i].n, shapes[i].k, shift);
}

/* Only the columns asked for are written, and w is not read past the last. */
static void test_column_range(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);
	enum { M = 5, N = 21, K = 19 };

	for EACH_PLAIN_TYPE(type) {
		for (size_t begin = 0; begin <= N; begin++) {
			struct product p = product_make(type, M, N, K, 0, begin);
			size_t end = begin + (N - begin) / 2;

			p.rounds_x = rounds_x(kernels, type);
			kernels->matmul(&p.a, begin, end);
			for (size_t i = 0; i < M; i++)
				for (size_t j = 0; j < N; j++) {
					if (j >= begin && j < end)
						check_element(&p, i, j);
					else
						assert_true(unwritten(
							p.a.y[i * p.a.ldy + j]));
				}
			product_free(&p);
		}
	}
}

/* The same bits from one call, from each row alone, and from split columns. */
static void check_independence(const struct tandem_kernels *kernels,
			       enum tandem_type type, size_t m, size_t n,
			       size_t k)
{
	struct product p = product_make(type, m, n, k, 1, k);
	float *other = malloc(m * p.a.ldy * sizeof(*other));
	struct tandem_matmul a = p.a;
	uint64_t seed = 7;

	assert_non_null(other);
	kernels->matmul(&p.a, 0, n);

	a.y = other;
	memset(other, 0xff, m * a.ldy * sizeof(*other));
	a.m = 1;
	for (size_t i = 0; i < m; i++) {
		a.x = p.a.x + i * a.ldx;
		a.y = other + i * a.ldy;
		kernels->matmul(&a, 0, n);
		check_same(a.y, p.a.y + i * a.ldy, n,
			   "row %zu of %zu alone, k %zu", i, m, k);
	}

	for (int round = 0; round < 5; round++) {
		memset(other, 0xff, m * a.ldy * sizeof(*other));
		/* Rows from @first on, so that a row changes its place in the batch. */
		size_t first = random_below(&seed, m);

		a.m = m - first;
		a.x = p.a.x + first * a.ldx;
		a.y = other + first * a.ldy;
		for (size_t begin = 0; begin < n;) {
			size_t end = begin + 1 + random_below(&seed, n - begin);

			kernels->matmul(&a, begin, end);
			begin = end;
		}
		for (size_t i = first; i < m; i++)
			check_same(other + i * a.ldy, p.a.y + i * a.ldy, n,
				   "columns split, row %zu of %zu, k %zu", i, m,
				   k);
	}
	free(other);
	product_free(&p);
}

static void test_independence(void **state)
{
	static const size_t depths[] = { 1,   7,   8,	 64,   77,  511,
					 512, 513, 1024, 1100, 2049 };
	const struct tandem_kernels *kernels = kernels_or_skip(state);

	for EACH_PLAIN_TYPE(type)
		for (size_t i = 0; i < sizeof(depths) / sizeof(*depths); i++) {
			check_independence(kernels, type, 37, 29, depths[i]);
			check_independence(kernels, type, 101, 6, depths[i]);
			check_independence(kernels, type, 3, 11,
					   depths[i] + 8192);
		}
}

/* A NaN or an infinity reaches the elements that it belongs to, and no other. */
static void test_special_values(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);
	enum { M = 7, N = 11, K = 21 };

	for (size_t l = 0; l < K; l++) {
		float x[M * K], w[N * K], y[M * N];
		struct tandem_matmul a = {
			.m = M,
			.k = K,
			.x = x,
			.ldx = K,
			.w = w,
			.y = y,
			.ldy = N,
		};

		for (size_t i = 0; i < M * K; i++)
			x[i] = 1;
		for (size_t i = 0; i < N * K; i++)
			w[i] = 1;
		x[3 * K + l] = NAN;
		w[6 * K + l] = INFINITY;
		kernels->matmul(&a, 0, N);
		for (size_t i = 0; i < M; i++)
			for (size_t j = 0; j < N; j++) {
				if (i == 3)
					assert_true(isnan(y[i * N + j]));
				else if (j == 6)
					assert_true(y[i * N + j] == INFINITY);
				else
					assert_true(y[i * N + j] == K);
			}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_EACH_ISA(test_small_shapes),
		TEST_EACH_ISA(test_large_shapes),
		TEST_EACH_ISA(test_column_range),
		TEST_EACH_ISA(test_independence),
		TEST_EACH_ISA(test_special_values),
	};

	return cmocka_run_group_tests_name("kernels: matmul", tests, NULL, NULL);
}
