/* SPDX-License-Identifier: MIT */
/*
 * The AVX-512 kernels, for select.c; described in kernels.h. They need F, BW, DQ
 * and VL beside what those of AVX2 need, and the last two VNNI, and BF16 beside it. Built with
 * -ffp-contract=off, as those of AVX2. What is not here AVX2 does.
 */
#ifndef TANDEM_KERNELS_AVX512_H
#define TANDEM_KERNELS_AVX512_H

#include "kernels.h"

void tandem_avx512_matmul(const struct tandem_matmul *a, size_t n_begin,
			  size_t n_end);
void tandem_avx512_attention(const struct tandem_attention *a,
			     size_t head_begin, size_t head_end);
void tandem_avx512vnni_matmul(const struct tandem_matmul *a, size_t n_begin,
			      size_t n_end);
void tandem_avx512bf16_matmul(const struct tandem_matmul *a, size_t n_begin,
			      size_t n_end);

#endif
