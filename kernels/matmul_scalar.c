// SPDX-License-Identifier: MIT
/* Matrix product, the plain definition. */
#include "scalar.h"

static float dot_f32(const float *x, const float *w, size_t k)
{
	float sum = 0;

	for (size_t l = 0; l < k; l++)
		sum += x[l] * w[l];
	return sum;
}

static float dot_f16(const float *x, const uint16_t *w, size_t k)
{
	float sum = 0;

	for (size_t l = 0; l < k; l++)
		sum += x[l] * tandem_f16_to_f32(w[l]);
	return sum;
}

static float dot_bf16(const float *x, const uint16_t *w, size_t k)
{
	float sum = 0;

	for (size_t l = 0; l < k; l++)
		sum += x[l] * tandem_bf16_to_f32(w[l]);
	return sum;
}

static float dot(const float *x, const void *w, enum tandem_type type, size_t j,
		 size_t k)
{
	switch (type) {
	case TANDEM_TYPE_F16:
		return dot_f16(x, (const uint16_t *)w + j * k, k);
	case TANDEM_TYPE_BF16:
		return dot_bf16(x, (const uint16_t *)w + j * k, k);
	default:
		return dot_f32(x, (const float *)w + j * k, k);
	}
}

void tandem_scalar_matmul(const struct tandem_matmul *a, size_t n_begin,
			  size_t n_end)
{
	if (tandem_type_quantised(a->w_type)) {
		tandem_scalar_matmul_quantised(a, n_begin, n_end);
		return;
	}
	/* Columns outside: a row of W is read from memory once. */
	for (size_t j = n_begin; j < n_end; j++) {
		for (size_t i = 0; i < a->m; i++)
			a->y[i * a->ldy + j] = dot(a->x + i * a->ldx, a->w,
						   a->w_type, j, a->k);
	}
}
