// SPDX-License-Identifier: MIT
/* The instruction sets there are, and which of them this CPU has. */
#include <string.h>

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

const struct tandem_kernels *tandem_kernels_select(const char *isa)
{
	if (!isa || !strcmp(isa, "scalar"))
		return &scalar_kernels;
	return NULL;
}
