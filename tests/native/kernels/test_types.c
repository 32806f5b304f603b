// SPDX-License-Identifier: MIT
/* Element types and the conversion of binary16, by formula and by kernel. */
#include "check.h"
#include "guarded.h"

#include <string.h>

static uint32_t bits_of(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return bits;
}

static float float_of(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

/* The compiler's own conversions, which share no code with ours. */
static float reference_widen(uint16_t h)
{
	_Float16 value;

	memcpy(&value, &h, sizeof(value));
	return (float)value;
}

static uint16_t reference_narrow(float f)
{
	_Float16 value = (_Float16)f;
	uint16_t h;

	memcpy(&h, &value, sizeof(h));
	return h;
}

static bool is_nan16(uint16_t h)
{
	return (h & 0x7fff) > 0x7c00;
}

static void check_narrow(float f)
{
	uint16_t h = tandem_f32_to_f16(f);

	if (isnan(f)) {
		if (!is_nan16(h) || (h & 0x8000) != (bits_of(f) >> 16 & 0x8000))
			fail_msg("NaN %#x became %#x", bits_of(f), h);
	} else if (h != reference_narrow(f)) {
		fail_msg("%a became %#x, expected %#x", (double)f, h,
			 reference_narrow(f));
	}
}

static void test_sizes(void **state)
{
	(void)state;
	assert_int_equal(TANDEM_TYPE_F32, 0); /* GGUF's numbers */
	assert_int_equal(TANDEM_TYPE_F16, 1);
	assert_int_equal(tandem_type_block_bytes(TANDEM_TYPE_F32), 4);
	assert_int_equal(tandem_type_block_bytes(TANDEM_TYPE_F16), 2);
	assert_int_equal(tandem_type_block_bytes(3), 0);
	assert_int_equal(tandem_type_block_bytes(UINT32_MAX), 0);
	for (uint32_t type = 0; type < 100; type++)
		assert_int_equal(tandem_type_valid(type),
				 type < 3 || type == 8 || type == 12 ||
					 type == 14 || type == 30);
	/* Bits an element: 4 and a binary16 for 32, and so on. */
	assert_int_equal(tandem_type_row_bytes(TANDEM_TYPE_Q4_0, 64), 36);
	assert_int_equal(tandem_type_row_bytes(TANDEM_TYPE_Q8_0, 64), 68);
	assert_int_equal(tandem_type_row_bytes(TANDEM_TYPE_Q4_K, 512), 288);
	assert_int_equal(tandem_type_row_bytes(TANDEM_TYPE_Q6_K, 512), 420);
	assert_int_equal(tandem_type_row_bytes(TANDEM_TYPE_BF16, 7), 14);
	assert_int_equal(tandem_type_row_bytes(TANDEM_TYPE_Q4_0, 33), 0);
	assert_int_equal(tandem_type_row_bytes(TANDEM_TYPE_Q4_K, 128), 0);
	assert_int_equal(tandem_type_row_bytes(TANDEM_TYPE_F32, 7), 28);
	assert_int_equal(tandem_type_row_bytes(TANDEM_TYPE_F16, 7), 14);
	assert_int_equal(tandem_type_row_bytes(3, 7), 0);
	assert_int_equal(
		tandem_type_row_bytes(TANDEM_TYPE_F32, SIZE_MAX / 4 + 1), 0);
}

static void test_widen_every_half(void **state)
{
	(void)state;
	for (uint32_t h = 0; h < 0x10000; h++) {
		float f = tandem_f16_to_f32((uint16_t)h);

		if (is_nan16((uint16_t)h))
			/* Quiet, with sign and payload. */
			assert_int_equal(bits_of(f), (h & 0x8000) << 16 |
							     0x7fc00000 |
							     (h & 0x3ff) << 13);
		else
			assert_int_equal(bits_of(f),
					 bits_of(reference_widen((uint16_t)h)));
	}
}

/*
 * Rounding changes only half way between neighbours. So it is right everywhere
 * if it is right at every half, at every half way point, and one binary32 to
 * either side of both; a stride through all patterns covers the rest.
 */
static void test_narrow_at_every_boundary(void **state)
{
	(void)state;
	for (uint32_t h = 0; h < 0x10000; h++) {
		uint32_t exact = bits_of(tandem_f16_to_f32((uint16_t)h));
		double next = tandem_f16_to_f32((uint16_t)(h + 1));
		uint32_t middle;

		if ((h & 0x7fff) == 0x7bff)
			next = h & 0x8000 ? -65536 : 65536;
		middle = bits_of((float)((float_of(exact) + next) / 2));
		for (uint32_t step = 0; step < 3; step++) {
			check_narrow(float_of(exact + step - 1));
			check_narrow(float_of(middle + step - 1));
		}
		if (!is_nan16((uint16_t)h))
			assert_int_equal(tandem_f32_to_f16(float_of(exact)), h);
	}
	for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 4093)
		check_narrow(float_of((uint32_t)bits));
}

static void test_narrow_known_values(void **state)
{
	static const struct {
		float f;
		uint16_t h;
	} known[] = {
		{ 0.0f, 0x0000 },
		{ -0.0f, 0x8000 },
		{ 1.0f, 0x3c00 },
		{ -2.0f, 0xc000 },
		{ 65504.0f, 0x7bff },
		{ 65519.996f, 0x7bff },
		{ 65520.0f, 0x7c00 },
		{ -65520.0f, 0xfc00 },
		{ 0x1p-14f, 0x0400 },
		{ 0x1p-24f, 0x0001 },
		{ 0x1p-25f, 0x0000 },
		{ 0x1.000002p-25f, 0x0001 },
		{ 0x1.8p-24f, 0x0002 },
		{ 0x1.ffcp-15f, 0x0400 },
		/* Ties between 1 and its neighbours go to even. */
		{ 1 + 0x1p-11f, 0x3c00 },
		{ 1 + 0x1.8p-10f, 0x3c02 },
		{ INFINITY, 0x7c00 },
		{ -INFINITY, 0xfc00 },
		{ 0x1p-149f, 0x0000 },
		{ -0x1p-149f, 0x8000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		assert_int_equal(tandem_f32_to_f16(known[i].f), known[i].h);
	/* A payload in the lower bits alone must not turn into infinity. */
	assert_true(is_nan16(tandem_f32_to_f16(float_of(0x7f800001))));
}

/* Every half through the kernels, from every start in a vector. */
static void test_kernels_convert_as_formula(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);
	struct guarded half = guarded_alloc(0x10000 * 2, 0);
	struct guarded single = guarded_alloc(0x10000 * 4, 0);
	struct guarded back = guarded_alloc(0x10000 * 2, 0);
	uint16_t *h = half.data, *b = back.data;
	float *f = single.data;
	uint64_t seed = 1;

	for (size_t i = 0; i < 0x10000; i++)
		h[i] = (uint16_t)i;
	guarded_seal(&half);
	for (size_t start = 0; start < 8; start++) {
		kernels->to_f32(f + start, h + start, TANDEM_TYPE_F16,
				0x10000 - start);
		for (size_t i = start; i < 0x10000; i++)
			assert_int_equal(bits_of(f[i]),
					 bits_of(tandem_f16_to_f32(h[i])));
	}
	kernels->from_f32(b, f, TANDEM_TYPE_F16, 0x10000);
	for (size_t i = 0; i < 0x10000; i++)
		assert_int_equal(b[i], tandem_f32_to_f16(f[i]));
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < 0x10000; i++)
			f[i] = float_of((uint32_t)random_u64(&seed));
		kernels->from_f32(b, f, TANDEM_TYPE_F16, 0x10000);
		for (size_t i = 0; i < 0x10000; i++)
			assert_int_equal(b[i], tandem_f32_to_f16(f[i]));
	}
	guarded_free(&half);
	guarded_free(&single);
	guarded_free(&back);
}

static void check_convert_size(const struct tandem_kernels *kernels,
			       enum tandem_type type, size_t n)
{
	struct guarded in = guarded_alloc(n * 4, 0);
	struct guarded narrow = guarded_alloc(tandem_type_row_bytes(type, n), 0);
	struct guarded wide = guarded_alloc(n * 4, 0);
	uint64_t seed = n;

	random_fill(in.data, TANDEM_TYPE_F32, n, &seed);
	guarded_seal(&in);
	kernels->from_f32(narrow.data, in.data, type, n);
	guarded_seal(&narrow);
	kernels->to_f32(wide.data, narrow.data, type, n);
	for (size_t i = 0; i < n; i++) {
		float f = ((float *)in.data)[i];

		if (type == TANDEM_TYPE_F16)
			f = tandem_f16_to_f32(tandem_f32_to_f16(f));
		assert_int_equal(bits_of(((float *)wide.data)[i]), bits_of(f));
	}
	guarded_free(&in);
	guarded_free(&narrow);
	guarded_free(&wide);
}

static void test_kernels_convert_every_size(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);

	for (size_t n = 0; n <= 40; n++) {
		check_convert_size(kernels, TANDEM_TYPE_F32, n);
		check_convert_size(kernels, TANDEM_TYPE_F16, n);
	}
}

static void test_embed(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);
	enum { ROWS = 5, N = 13 };

	for EACH_PLAIN_TYPE(type) {
		struct guarded table =
			guarded_alloc(ROWS * tandem_type_row_bytes(type, N), 0);
		struct guarded out = guarded_alloc(N * sizeof(float), 0);
		uint64_t seed = type;

		random_fill(table.data, type, ROWS * N, &seed);
		guarded_seal(&table);
		for (size_t row = 0; row < ROWS; row++) {
			tandem_kernel_embed(kernels, out.data, table.data, type,
					    row, N);
			for (size_t i = 0; i < N; i++)
				assert_true(
					(double)((float *)out.data)[i] ==
					element(table.data, type, row * N + i));
		}
		guarded_free(&table);
		guarded_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_widen_every_half),
		cmocka_unit_test(test_narrow_at_every_boundary),
		cmocka_unit_test(test_narrow_known_values),
		TEST_EACH_ISA(test_kernels_convert_as_formula),
		TEST_EACH_ISA(test_kernels_convert_every_size),
		TEST_EACH_ISA(test_embed),
	};

	return cmocka_run_group_tests_name("kernels: types", tests, NULL, NULL);
}
