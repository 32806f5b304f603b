/* SPDX-License-Identifier: MIT */
/* Products of a few rows of x, for quantised_vnni.c. */
#ifndef TANDEM_KERNELS_QUANTISED_VNNI_DIRECT_H
#define TANDEM_KERNELS_QUANTISED_VNNI_DIRECT_H

#include "kernels.h"

#define DIRECT_ROWS 4 /* up to so many rows weights are not packed */

/* As &tandem_kernels.matmul, for quantised weights, @a->k > 0, @a->m <= DIRECT_ROWS. */
void tandem_avx512vnni_direct(const struct tandem_matmul *a, size_t n_begin,
			      size_t n_end);

#endif
