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

void tandem_scalar_matmul(const struct tandem_matmul *a, size_t n_begin,
			  size_t n_end)
{
	/* Columns outside: a row of W is read from memory once. */
	for (size_t j = n_begin; j < n_end; j++) {
		for (size_t i = 0; i < a->m; i++) {
			const float *x = a->x + i * a->ldx;
			float *y = a->y + i * a->ldy + j;

			if (a->w_type == TANDEM_TYPE_F16)
				*y = dot_f16(x, (const uint16_t *)a->w + j * a->k,
					     a->k);
			else
				*y = dot_f32(x, (const float *)a->w + j * a->k,
					     a->k);
		}
	}
}
