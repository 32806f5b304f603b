// SPDX-License-Identifier: MIT
/* Kernels whose outputs each depend on one element, or on one pair. */
#include <math.h>

#include "scalar.h"

void tandem_scalar_rope(float *x, size_t n_heads, size_t head_dim, size_t n_rot,
			const float *table)
{
	for (size_t head = 0; head < n_heads; head++, x += head_dim) {
		for (size_t i = 0; i < n_rot; i += 2) {
			float cos = table[i], sin = table[i + 1];
			float x0 = x[i], x1 = x[i + 1];

			x[i] = x0 * cos - x1 * sin;
			x[i + 1] = x1 * cos + x0 * sin;
		}
	}
}

void tandem_scalar_rope_halves(float *x, size_t n_heads, size_t head_dim, size_t n_rot,
			       const float *table)
{
	const size_t half = n_rot / 2;

	for (size_t head = 0; head < n_heads; head++, x += head_dim) {
		for (size_t i = 0; i < half; i++) {
			float cos = table[2 * i], sin = table[2 * i + 1];
			float x0 = x[i], x1 = x[half + i];

			x[i] = x0 * cos - x1 * sin;
			x[half + i] = x1 * cos + x0 * sin;
		}
	}
}

void tandem_scalar_silu_mul(float *out, const float *gate, const float *up,
			    size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
}

void tandem_scalar_add(float *out, const float *a, const float *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = a[i] + b[i];
}

void tandem_scalar_to_f32(float *out, const void *src, enum tandem_type type,
			  size_t n)
{
	const uint16_t *half = src;

	switch (type) {
	case TANDEM_TYPE_F32:
		if (n)
			memcpy(out, src, n * sizeof(*out));
		break;
	case TANDEM_TYPE_F16:
		for (size_t i = 0; i < n; i++)
			out[i] = tandem_f16_to_f32(half[i]);
		break;
	case TANDEM_TYPE_BF16:
		for (size_t i = 0; i < n; i++)
			out[i] = tandem_bf16_to_f32(half[i]);
		break;
	default:
		tandem_scalar_dequantise(out, src, type, n);
		break;
	}
}

void tandem_scalar_from_f32(void *out, const float *src, enum tandem_type type,
			    size_t n)
{
	uint16_t *half = out;

	switch (type) {
	case TANDEM_TYPE_F32:
		if (n)
			memcpy(out, src, n * sizeof(*src));
		break;
	case TANDEM_TYPE_F16:
		for (size_t i = 0; i < n; i++)
			half[i] = tandem_f32_to_f16(src[i]);
		break;
	default:
		tandem_scalar_quantise_q8_0(out, src, n);
		break;
	}
}
