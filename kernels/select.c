// SPDX-License-Identifier: MIT
/* The instruction sets there are, and which of them this CPU has. */
#include <string.h>

#include "avx2.h"
#include "avx512.h"
#include "scalar.h"

static const struct tandem_kernels scalar_kernels = {
	.name = "scalar",
	.matmul = tandem_scalar_matmul,
	.quantise = tandem_scalar_quantise,
	.attention = tandem_scalar_attention,
	.rms_norm = tandem_scalar_rms_norm,
	.rope = tandem_scalar_rope,
	.rope_halves = tandem_scalar_rope_halves,
	.silu_mul = tandem_scalar_silu_mul,
	.add = tandem_scalar_add,
	.softmax = tandem_scalar_softmax,
	.argmax = tandem_scalar_argmax,
	.to_f32 = tandem_scalar_to_f32,
	.from_f32 = tandem_scalar_from_f32,
};

/* What AVX2 has, with a few kernels of one's own. */
#define AVX2_WITH(own_name, own_matmul, own_attention)  \
	{                                               \
		.name = own_name,                       \
		.matmul = own_matmul,                   \
		.quantise = tandem_avx2_quantise,       \
		.attention = own_attention,             \
		.rms_norm = tandem_avx2_rms_norm,       \
		.rope = tandem_avx2_rope,               \
		.rope_halves = tandem_avx2_rope_halves, \
		.silu_mul = tandem_avx2_silu_mul,       \
		.add = tandem_avx2_add,                 \
		.softmax = tandem_avx2_softmax,         \
		.argmax = tandem_avx2_argmax,           \
		.to_f32 = tandem_avx2_to_f32,           \
		.from_f32 = tandem_avx2_from_f32,       \
	}

static const struct tandem_kernels avx2_kernels =
	AVX2_WITH("avx2", tandem_avx2_matmul, tandem_avx2_attention);
static const struct tandem_kernels avx512_kernels =
	AVX2_WITH("avx512", tandem_avx512_matmul, tandem_avx512_attention);
static const struct tandem_kernels avx512vnni_kernels = AVX2_WITH(
	"avx512vnni", tandem_avx512vnni_matmul, tandem_avx512_attention);

static const struct tandem_kernels avx512bf16_kernels = AVX2_WITH(
	"avx512bf16", tandem_avx512bf16_matmul, tandem_avx512_attention);

static bool always(void)
{
	return true;
}

static bool cpu_has_avx2(void)
{
	__builtin_cpu_init();
	return __builtin_cpu_supports("avx2") &&
	       __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

static bool cpu_has_avx512(void)
{
	return cpu_has_avx2() && __builtin_cpu_supports("avx512f") &&
	       __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vl");
}

static bool cpu_has_avx512vnni(void)
{
	return cpu_has_avx512() && __builtin_cpu_supports("avx512vnni");
}

static bool cpu_has_avx512bf16(void)
{
	return cpu_has_avx512vnni() && __builtin_cpu_supports("avx512bf16");
}

/* The best first. */
static const struct {
	const struct tandem_kernels *kernels;
	bool (*cpu_has)(void);
} sets[] = {
	{ &avx512bf16_kernels, cpu_has_avx512bf16 },
	{ &avx512vnni_kernels, cpu_has_avx512vnni },
	{ &avx512_kernels, cpu_has_avx512 },
	{ &avx2_kernels, cpu_has_avx2 },
	{ &scalar_kernels, always },
};

const struct tandem_kernels *tandem_kernels_select(const char *isa)
{
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		if (isa && strcmp(isa, sets[i].kernels->name))
			continue;
		if (sets[i].cpu_has())
			return sets[i].kernels;
	}
	return NULL;
}
