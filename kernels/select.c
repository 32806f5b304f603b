// SPDX-License-Identifier: MIT
/* The instruction sets there are, and which of them this CPU has. */
#include <string.h>

#include "avx2.h"
#include "scalar.h"

static const struct tandem_kernels scalar_kernels = {
	.name = "scalar",
	.matmul = tandem_scalar_matmul,
	.attention = tandem_scalar_attention,
	.rms_norm = tandem_scalar_rms_norm,
	.rope = tandem_scalar_rope,
	.silu_mul = tandem_scalar_silu_mul,
	.add = tandem_scalar_add,
	.softmax = tandem_scalar_softmax,
	.argmax = tandem_scalar_argmax,
	.to_f32 = tandem_scalar_to_f32,
	.from_f32 = tandem_scalar_from_f32,
};

static const struct tandem_kernels avx2_kernels = {
	.name = "avx2",
	.matmul = tandem_avx2_matmul,
	.attention = tandem_avx2_attention,
	.rms_norm = tandem_avx2_rms_norm,
	.rope = tandem_avx2_rope,
	.silu_mul = tandem_avx2_silu_mul,
	.add = tandem_avx2_add,
	.softmax = tandem_avx2_softmax,
	.argmax = tandem_avx2_argmax,
	.to_f32 = tandem_avx2_to_f32,
	.from_f32 = tandem_avx2_from_f32,
};

static bool cpu_has_avx2(void)
{
	__builtin_cpu_init();
	return __builtin_cpu_supports("avx2") &&
	       __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

const struct tandem_kernels *tandem_kernels_select(const char *isa)
{
	if (isa && !strcmp(isa, "scalar"))
		return &scalar_kernels;
	if (isa && strcmp(isa, "avx2"))
		return NULL;
	if (cpu_has_avx2())
		return &avx2_kernels;
	return isa ? NULL : &scalar_kernels;
}
