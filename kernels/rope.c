// SPDX-License-Identifier: MIT
/* Angles of the rotary position embedding. */
#include <math.h>

#include "kernels.h"

void tandem_kernel_rope_table(float *table, size_t position, size_t n_rot,
			      float freq_base, const float *freq_factors,
			      float magnitude)
{
	for (size_t i = 0; i < n_rot; i += 2) {
		double angle = (double)position *
			       pow(freq_base, -(double)i / (double)n_rot);

		if (freq_factors)
			angle /= freq_factors[i / 2];
		table[i] = (float)(magnitude * cos(angle));
		table[i + 1] = (float)(magnitude * sin(angle));
	}
}
