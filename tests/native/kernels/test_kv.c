// SPDX-License-Identifier: MIT
/* KV block layout, and the choice of an instruction set. */
#include "check.h"
#include "guarded.h"

#include <stdio.h>
#include <string.h>

static void test_block_bytes(void **state)
{
	(void)state;
	assert_int_equal(tandem_kernel_kv_block_bytes(TANDEM_TYPE_F32, 32, 16),
			 2 * 16 * 32 * 4);
	assert_int_equal(tandem_kernel_kv_block_bytes(TANDEM_TYPE_F16, 33, 5),
			 2 * 5 * 33 * 2);
	assert_int_equal(
		tandem_kernel_kv_block_bytes(TANDEM_TYPE_BF16, 32, 16), 0);
	assert_int_equal(
		tandem_kernel_kv_block_bytes(TANDEM_TYPE_F32, SIZE_MAX / 8, 16),
		0);
	assert_int_equal(
		tandem_kernel_kv_block_bytes(TANDEM_TYPE_F32, SIZE_MAX / 4, 1),
		0);
}

/* Half a step of the codes, and what rounding the scale to binary16 changes. */
static double q8_0_error(const float *x, size_t i)
{
	double most = 0;

	for (size_t j = i / 32 * 32; j < i / 32 * 32 + 32; j++)
		most = fmax(most, fabs(x[j]));
	return most / 254 + fabs(x[i]) / 2048 + most * 0x1p-20;
}

/* One row of K and one of V change, the rest of the block does not. */
static void check_store(const struct tandem_kernels *kernels,
			enum tandem_type type, size_t kv_dim,
			size_t block_tokens, size_t slot)
{
	size_t row_bytes = tandem_type_row_bytes(type, kv_dim);
	struct guarded block = guarded_alloc(2 * block_tokens * row_bytes, 0);
	struct guarded k = guarded_alloc(kv_dim * 4, 0),
		       v = guarded_alloc(kv_dim * 4, 0);
	uint64_t seed = kv_dim;

	random_fill(k.data, TANDEM_TYPE_F32, kv_dim, &seed);
	random_fill(v.data, TANDEM_TYPE_F32, kv_dim, &seed);
	guarded_seal(&k);
	guarded_seal(&v);
	tandem_kernel_store_kv(kernels, block.data, type, kv_dim, block_tokens,
			       slot, k.data, v.data);

	for (size_t row = 0; row < 2 * block_tokens; row++) {
		const unsigned char *stored =
			(unsigned char *)block.data + row * row_bytes;
		const float *source = row < block_tokens ? k.data : v.data;

		for (size_t i = 0; i < kv_dim; i++) {
			float expected = source[i];
			double error = 0;

			if (type == TANDEM_TYPE_F16)
				expected = tandem_f16_to_f32(
					tandem_f32_to_f16(expected));
			if (type == TANDEM_TYPE_Q8_0)
				error = q8_0_error(source, i);
			if (row % block_tokens == slot)
				check_close(element(stored, type, i), expected,
					    error, "type %d: row %zu, %zu",
					    type, row, i);
		}
		if (row % block_tokens != slot)
			for (size_t i = 0; i < row_bytes; i++)
				assert_int_equal(stored[i], 0xff);
	}
	guarded_free(&block);
	guarded_free(&k);
	guarded_free(&v);
}

static void test_store(void **state)
{
	const struct tandem_kernels *kernels = kernels_or_skip(state);

	for EACH_KV_TYPE(type)
		for (size_t kv_dim = 1; kv_dim <= 20; kv_dim++)
			for (size_t slot = 0; slot < 5; slot++)
				check_store(kernels, type,
					    kv_dim * tandem_type_block(type), 5,
					    slot);
}

/* The kernel's own list of what the CPU has, as /proc/cpuinfo words it. */
static bool cpuinfo_has(const char *flag)
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[8192];
	bool found = false;

	assert_non_null(f);
	while (!found && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "flags", 5))
			continue;
		for (char *word = strtok(line, " \t\n"); word;
		     word = strtok(NULL, " \t\n"))
			found |= !strcmp(word, flag);
		break;
	}
	fclose(f);
	return found;
}

static void test_select(void **state)
{
	static const char *const order[] = { "avx512bf16", "avx512vnni", "avx512", "avx2",
					     "scalar" };
	bool avx2 = cpuinfo_has("avx2") && cpuinfo_has("fma") &&
		    cpuinfo_has("f16c");
	bool avx512 = avx2 && cpuinfo_has("avx512f") &&
		      cpuinfo_has("avx512bw") && cpuinfo_has("avx512dq") &&
		      cpuinfo_has("avx512vl");
	bool vnni = avx512 && cpuinfo_has("avx512_vnni");
	const bool has[] = { vnni && cpuinfo_has("avx512_bf16"), vnni, avx512, avx2,
			     true };
	const struct tandem_kernels *kernels;
	const char *best = NULL;

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		kernels = tandem_kernels_select(order[i]);
		if (!has[i]) {
			assert_null(kernels);
			continue;
		}
		assert_string_equal(kernels->name, order[i]);
		best = best ? best : order[i];
	}
	assert_string_equal(tandem_kernels_select(NULL)->name, best);
	assert_null(tandem_kernels_select(""));
	assert_null(tandem_kernels_select("avx"));
	assert_null(tandem_kernels_select("AVX2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_block_bytes),
		TEST_EACH_ISA(test_store),
		cmocka_unit_test(test_select),
	};

	return cmocka_run_group_tests_name("kernels: KV blocks, selection",
					   tests, NULL, NULL);
}
