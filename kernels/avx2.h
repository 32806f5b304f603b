/* SPDX-License-Identifier: MIT */
/*
 * The AVX2 kernels, for select.c; described in kernels.h. They need AVX2, FMA
 * and F16C, and are built with -ffp-contract=off: an operation is fused where
 * it is written so, and the bits do not hang on what the compiler inlines.
 */
#ifndef TANDEM_KERNELS_AVX2_H
#define TANDEM_KERNELS_AVX2_H

#include "kernels.h"

void tandem_avx2_matmul(const struct tandem_matmul *a, size_t n_begin,
			size_t n_end);
void tandem_avx2_matmul_quantised(const struct tandem_matmul *a, size_t n_begin,
				  size_t n_end);
void tandem_avx2_quantise(void *out, const float *x, size_t k);
void tandem_avx2_attention(const struct tandem_attention *a, size_t head_begin,
			   size_t head_end);
void tandem_avx2_rms_norm(float *out, const float *x, const float *weight,
			  size_t n, float eps);
void tandem_avx2_rope_halves(float *x, size_t n_heads, size_t head_dim, size_t n_rot,
			     const float *table);
void tandem_avx2_rope(float *x, size_t n_heads, size_t head_dim, size_t n_rot,
		      const float *table);
void tandem_avx2_silu_mul(float *out, const float *gate, const float *up,
			  size_t n);
void tandem_avx2_add(float *out, const float *a, const float *b, size_t n);
void tandem_avx2_softmax(float *out, const float *x, size_t n);
size_t tandem_avx2_argmax(const float *x, size_t n);
void tandem_avx2_to_f32(float *out, const void *src, enum tandem_type type,
			size_t n);
void tandem_avx2_from_f32(void *out, const float *src, enum tandem_type type,
			  size_t n);

#endif
