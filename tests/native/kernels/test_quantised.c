// SPDX-License-Identifier: MIT
/*
 * Quantised weights and activations: against double precision, against the
 * scalar kernels bit for bit, and their independence of batches and splits.
 */
#include "check.h"
#include "guarded.h"

#include <stdlib.h>
#include <string.h>

static const uint32_t types[] = { TANDEM_TYPE_Q4_0, TANDEM_TYPE_Q8_0,
				  TANDEM_TYPE_Q4_K, TANDEM_TYPE_Q6_K };

#define N_TYPES (sizeof(types) / sizeof(*types))

static double half_at(const unsigned char *p)
{
	uint16_t h;

	memcpy(&h, p, sizeof(h));
	return tandem_f16_to_f32(h);
}

static double q4_k_element(const unsigned char *block, size_t i)
{
	const unsigned char *packed = block + 4;
	size_t g = i / 32;
	unsigned int byte = block[16 + i / 64 * 32 + i % 32];
	unsigned int code = i % 64 < 32 ? byte % 16 : byte / 16;
	unsigned int s, m;

	if (g < 4) {
		s = packed[g] % 64;
		m = packed[4 + g] % 64;
	} else {
		s = packed[4 + g] % 16 + packed[g - 4] / 64 * 16;
		m = packed[4 + g] / 16 + packed[g] / 64 * 16;
	}
	return half_at(block) * s * code - half_at(block + 2) * m;
}

static double q6_k_element(const unsigned char *block, size_t i)
{
	size_t in_half = i % 128, place = in_half % 64;
	unsigned int low = block[i / 128 * 64 + place];
	unsigned int high = block[128 + i / 128 * 32 + in_half % 32];
	int code = in_half < 64 ? low % 16 : low / 16;

	code += (high >> in_half / 32 * 2) % 4 * 16;
	return half_at(block + 208) * (signed char)block[192 + i / 16] *
	       (code - 32);
}

/* Element i of a row, from the definition of the format. */
static double weight(const void *row, uint32_t type, size_t i)
{
	const unsigned char *block = row;

	block += i / tandem_type_block(type) * tandem_type_block_bytes(type);
	i %= tandem_type_block(type);
	switch (type) {
	case TANDEM_TYPE_Q4_0:
		return half_at(block) *
		       ((int)(i < 16 ? block[2 + i] % 16 : block[i - 14] / 16) -
			8);
	case TANDEM_TYPE_Q8_0:
		return half_at(block) * (signed char)block[2 + i];
	case TANDEM_TYPE_Q4_K:
		return q4_k_element(block, i);
	default:
		return q6_k_element(block, i);
	}
}

/* Random codes; scales such that elements are of the size of 1. */
static void random_weights(void *data, uint32_t type, size_t n, uint64_t *seed)
{
	size_t bytes = tandem_type_block_bytes(type);
	unsigned char *block = data;

	for (size_t b = 0; b < n / tandem_type_block(type); b++) {
		uint16_t d = tandem_f32_to_f16(random_float(seed) / 16);
		uint16_t small = tandem_f32_to_f16(random_float(seed) / 1024);

		for (size_t i = 0; i < bytes; i++)
			block[i] = (unsigned char)random_below(seed, 256);
		switch (type) {
		case TANDEM_TYPE_Q4_K:
			memcpy(block, &small, sizeof(small));
			memcpy(block + 2, &small, sizeof(small));
			break;
		case TANDEM_TYPE_Q6_K:
			memcpy(block + 208, &small, sizeof(small));
			break;
		default:
			memcpy(block, &d, sizeof(d));
		}
		block += bytes;
	}
}

/* Parts of a quantised row of activations, as activation.h lays it out. */
static double activation(const char *row, size_t k, size_t i)
{
	float d;

	memcpy(&d, row + k + i / 32 * sizeof(d), sizeof(d));
	return (double)d * (signed char)row[i];
}

static void check_quantised_row(const float *x, const char *row, size_t k)
{
	for (size_t l = 0; l < k; l += 32) {
		int32_t sum = 0, half[2] = { 0 }, stored;
		double most = 0;

		for (size_t i = l; i < l + 32; i++)
			most = fmax(most, fabs(x[i]));
		for (size_t i = l; i < l + 32; i++) {
			/* Two roundings of codes up to 127, and one of d. */
			check_close(activation(row, k, i), x[i],
				    most / 254 + most * 4 * U, "k %zu: x[%zu]",
				    k, i);
			half[i % 32 / 16] += (signed char)row[i];
		}
		sum = half[0] + half[1];
		memcpy(&stored, row + k + k / 8 + l / 8, sizeof(stored));
		assert_int_equal(stored, sum);
		for (size_t h = 0; h < 2; h++) {
			memcpy(&stored, row + k + k / 4 + l / 4 + h * 4,
			       sizeof(stored));
			assert_int_equal(stored, half[h]);
		}
	}
}

static void test_quantise(void **state)
{
	static const float sizes[] = { 0, 1, 1e-30f, 1e-32f, 1e30f, 3e38f };
	const struct tandem_kernels *scalar = tandem_kernels_select("scalar");
	const struct tandem_kernels *kernels = kernels_or_skip(state);
	uint64_t seed = 1;

	for (size_t k = 0; k <= 320; k += 32)
		for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
			size_t bytes = tandem_activation_bytes(k);
			struct guarded x = guarded_alloc(k * 4, 4);
			struct guarded out = guarded_alloc(bytes, 4);
			struct guarded same = guarded_alloc(bytes, 0);

			random_fill(x.data, TANDEM_TYPE_F32, k, &seed);
			for (size_t i = 0; i < k; i++)
				((float *)x.data)[i] *= sizes[s];
			guarded_seal(&x);
			kernels->quantise(out.data, x.data, k);
			scalar->quantise(same.data, x.data, k);
			assert_memory_equal(out.data, same.data, bytes);
			if (sizes[s] != 1e-32f)
				check_quantised_row(x.data, out.data, k);
			guarded_free(&x);
			guarded_free(&out);
			guarded_free(&same);
		}
}

/* Codes are rounded to nearest, ties to even. */
static void test_quantise_ties(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);
	float x[32] = { 127, 0.5f, 1.5f, -0.5f, -1.5f, 2.5f, 126.5f, -127 };
	static const signed char codes[8] = { 127, 0, 2, 0, -2, 2, 126, -127 };
	char out[48];

	kernels->quantise(out, x, 32);
	assert_memory_equal(out, codes, sizeof(codes));
}

struct product {
	struct tandem_matmul a;
	size_t n;
	struct guarded x, xq, w, y;
};

static struct product product_make(const struct tandem_kernels *kernels,
				   uint32_t type, size_t m, size_t n, size_t k,
				   uint64_t seed)
{
	size_t x_bytes = tandem_activation_bytes(k), ldy = n + 5;
	struct product p = { .n = n };

	p.x = guarded_alloc(m * k * sizeof(float), 0);
	p.xq = guarded_alloc(m * x_bytes, seed % 2 * 4);
	/* Rows of weights are aligned to 2, no more. */
	p.w = guarded_alloc(n * tandem_type_row_bytes(type, k), seed % 4 * 2);
	p.y = guarded_alloc(((m - 1) * ldy + n) * sizeof(float), seed % 3 * 4);
	random_fill(p.x.data, TANDEM_TYPE_F32, m * k, &seed);
	random_weights(p.w.data, type, n * k, &seed);
	for (size_t i = 0; i < m; i++)
		kernels->quantise((char *)p.xq.data + i * x_bytes,
				  (float *)p.x.data + i * k, k);
	guarded_seal(&p.x);
	guarded_seal(&p.xq);
	guarded_seal(&p.w);
	p.a = (struct tandem_matmul){
		.w_type = type,
		.m = m,
		.k = k,
		.x = p.x.data,
		.ldx = k,
		.x_quantised = p.xq.data,
		.w = p.w.data,
		.y = p.y.data,
		.ldy = ldy,
	};
	return p;
}

static void product_free(struct product *p)
{
	guarded_free(&p->x);
	guarded_free(&p->xq);
	guarded_free(&p->w);
	guarded_free(&p->y);
}

/*
 * Two bounds. Against the exact product of what the codes represent: sums of
 * codes are exact, a scale is rounded once and so is its product with d; then
 * there is a rounding a group, two with a minimum. The terms are those of the
 * groups: codes without the minimum, and the minimum, can cancel, so their
 * magnitudes count apart; a bound with the largest code of the type, 127 or 63
 * scales, covers that. Against the exact product of the unrounded x: what
 * kernels.h states.
 */
static void check_element(const struct product *p, size_t i, size_t j)
{
	const struct tandem_matmul *a = &p->a;
	const char *row = (const char *)a->w +
			  j * tandem_type_row_bytes(a->w_type, a->k);
	const char *xq = (const char *)a->x_quantised +
			 i * tandem_activation_bytes(a->k);
	const float *x = a->x + i * a->ldx;
	double rounded = 0, exact = 0, magnitude = 0, loss = 0;
	double roundings = (double)a->k / 8 + 5;

	for (size_t l = 0; l < a->k; l += 32) {
		double most = 0, weights = 0, largest = 0, codes = 0;

		for (size_t e = l; e < l + 32; e++) {
			double w = weight(row, a->w_type, e);

			rounded += w * activation(xq, a->k, e);
			exact += w * x[e];
			weights += fabs(w);
			codes += fabs(activation(xq, a->k, e));
			most = fmax(most, fabs(x[e]));
			largest = fmax(largest, fabs(w));
		}
		if (a->w_type == TANDEM_TYPE_Q4_K)
			largest = 2;
		magnitude += largest * codes;
		loss += most / 254 * (1 + 0x1p-16) * weights;
	}
	check_close(a->y[i * a->ldy + j], rounded,
		    error_of(roundings) * magnitude,
		    "type %d m %zu k %zu: y[%zu][%zu]", a->w_type, a->m, a->k,
		    i, j);
	check_close(a->y[i * a->ldy + j], exact,
		    loss + error_of(roundings) * magnitude,
		    "type %d m %zu k %zu, unrounded: y[%zu][%zu]", a->w_type,
		    a->m, a->k, i, j);
}

static void check_product(const struct tandem_kernels *kernels, uint32_t type,
			  size_t m, size_t n, size_t k)
{
	const struct tandem_kernels *scalar = tandem_kernels_select("scalar");
	struct product p =
		product_make(kernels, type, m, n, k, m * 10007 + n * 101 + k);
	float *same = malloc(m * p.a.ldy * sizeof(*same));
	struct tandem_matmul again = p.a;

	assert_non_null(same);
	kernels->matmul(&p.a, 0, n);
	again.y = same;
	scalar->matmul(&again, 0, n);
	for (size_t i = 0; i < m; i++) {
		check_same(p.a.y + i * p.a.ldy, same + i * p.a.ldy, n,
			   "type %u m %zu k %zu, row %zu: not as scalar", type,
			   m, k, i);
		for (size_t j = 0; j < p.a.ldy; j++) {
			if (j < n)
				check_element(&p, i, j);
			else if (i + 1 < m)
				assert_true(unwritten(p.a.y[i * p.a.ldy + j]));
		}
	}
	free(same);
	product_free(&p);
}

static void test_products(void **state)
{
	static const struct {
		size_t m, n, blocks;
	} shapes[] = {
		{ 1, 1, 1 },   { 1, 17, 2 },  { 1, 15, 3 },  { 2, 16, 1 },
		{ 3, 33, 2 },  { 4, 7, 5 },   { 5, 1, 1 },   { 5, 31, 3 },
		{ 6, 32, 2 },  { 7, 33, 1 },  { 8, 65, 4 },  { 13, 47, 7 },
		{ 30, 16, 2 }, { 37, 70, 3 }, { 1, 5, 33 },  { 9, 20, 65 },
		{ 1, 3, 64 },  { 5, 34, 32 },
	};
	const struct tandem_kernels *kernels = kernels_or_skip(state);

	for (size_t t = 0; t < N_TYPES; t++)
		for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
			size_t block = tandem_type_block(types[t]);
			size_t k = shapes[i].blocks * block;

			/* Eight blocks of 32 are as deep as one of 256. */
			if (block > 32 && shapes[i].blocks > 8)
				k /= 8;
			check_product(kernels, types[t], shapes[i].m,
				      shapes[i].n, k / block * block);
		}
}

/* Only the columns asked for are written; the same bits however they are split. */
static void test_splits(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);
	uint64_t seed = 7;

	for (size_t t = 0; t < N_TYPES; t++)
		for (size_t m = 1; m <= 20; m += 1 + m / 3) {
			struct product p = product_make(kernels, types[t], m, 75,
							512, m);
			struct tandem_matmul a = p.a;
			float *other = malloc(m * a.ldy * sizeof(*other));
			size_t n = 75;

			assert_non_null(other);
			kernels->matmul(&p.a, 20, 41);
			for (size_t j = 0; j < n; j++)
				assert_int_equal(unwritten(p.a.y[j]),
						 j < 20 || j >= 41);
			kernels->matmul(&p.a, 0, n);
			a.y = other;
			for (size_t begin = 0; begin < n;) {
				size_t end =
					begin + 1 + random_below(&seed, n - begin);

				kernels->matmul(&a, begin, end);
				begin = end;
			}
			for (size_t i = 0; i < m; i++)
				check_same(other + i * a.ldy,
					   p.a.y + i * a.ldy, n,
					   "columns split, type %u", types[t]);
			for (size_t i = 0; i < m; i++) {
				a.m = 1;
				a.x_quantised =
					(const char *)p.a.x_quantised +
					i * tandem_activation_bytes(a.k);
				a.y = other + i * a.ldy;
				kernels->matmul(&a, 0, n);
				check_same(a.y, p.a.y + i * a.ldy, n,
					   "row %zu of %zu alone, type %u", i, m,
					   types[t]);
			}
			free(other);
			product_free(&p);
		}
}

/* A NaN or an infinity makes its row NaN, and no other. */
static void test_special_values(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);
	const float values[] = { NAN, INFINITY, -INFINITY };

	for (size_t t = 0; t < N_TYPES; t++)
		for (size_t v = 0; v < 3; v++) {
			struct product p = product_make(kernels, types[t], 7, 19,
							256, v);
			float x[256] = { 0 };
			char *xq = malloc(7 * tandem_activation_bytes(256));

			x[37 + v] = values[v];
			assert_non_null(xq);
			memcpy(xq, p.xq.data, p.xq.size);
			kernels->quantise(xq + 3 * tandem_activation_bytes(256),
					  x, 256);
			p.a.x_quantised = xq;
			kernels->matmul(&p.a, 0, 19);
			for (size_t i = 0; i < 7; i++)
				for (size_t j = 0; j < 19; j++)
					assert_int_equal(
						!!isnan(p.a.y[i * p.a.ldy + j]),
						i == 3);
			free(xq);
			product_free(&p);
		}
}

/* Rows as F32, and through them the embedding. A value is rounded three times. */
static void test_widen(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);
	enum { ROWS = 3, N = 512 };

	for (size_t t = 0; t < N_TYPES; t++) {
		size_t row_bytes = tandem_type_row_bytes(types[t], N);
		struct guarded table = guarded_alloc(ROWS * row_bytes, 0);
		struct guarded out = guarded_alloc(N * sizeof(float), 0);
		uint64_t seed = t;

		random_weights(table.data, types[t], ROWS * N, &seed);
		guarded_seal(&table);
		for (size_t r = 0; r < ROWS; r++) {
			tandem_kernel_embed(kernels, out.data, table.data,
					    types[t], r, N);
			for (size_t i = 0; i < N; i++)
				check_close(((float *)out.data)[i],
					    weight((char *)table.data +
							   r * row_bytes,
						   types[t], i),
					    4 * error_of(3),
					    "type %u: row %zu, %zu", types[t],
					    r, i);
		}
		guarded_free(&table);
		guarded_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_EACH_ISA(test_quantise),
		TEST_EACH_ISA(test_quantise_ties),
		TEST_EACH_ISA(test_products),
		TEST_EACH_ISA(test_splits),
		TEST_EACH_ISA(test_special_values),
		TEST_EACH_ISA(test_widen),
	};

	return cmocka_run_group_tests_name("kernels: quantised", tests, NULL,
					   NULL);
}
