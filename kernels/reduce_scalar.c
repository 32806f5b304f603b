// SPDX-License-Identifier: MIT
/* Kernels that reduce a whole vector: norm, softmax, argmax. */
#include <math.h>

#include "scalar.h"

void tandem_scalar_rms_norm(float *out, const float *x, const float *weight,
			    size_t n, float eps)
{
	double sum = 0;
	float scale;

	for (size_t i = 0; i < n; i++)
		sum += (double)x[i] * x[i];
	scale = (float)(1 / sqrt(sum / (double)n + eps));
	for (size_t i = 0; i < n; i++)
		out[i] = x[i] * scale * weight[i];
}

void tandem_scalar_softmax(float *out, const float *x, size_t n)
{
	float max = -INFINITY;
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		max = x[i] > max ? x[i] : max;
	for (size_t i = 0; i < n; i++) {
		out[i] = expf(x[i] - max);
		sum += out[i];
	}
	for (size_t i = 0; i < n; i++)
		out[i] = (float)(out[i] / sum);
}

size_t tandem_scalar_argmax(const float *x, size_t n)
{
	float max = -INFINITY;
	size_t best = 0;
	bool found = false;

	for (size_t i = 0; i < n; i++) {
		if (isnan(x[i]))
			continue;
		if (!found || x[i] > max) {
			max = x[i];
			best = i;
			found = true;
		}
	}
	return best;
}
