/* SPDX-License-Identifier: MIT */
/* The scalar kernels, for select.c; described in kernels.h. */
#ifndef TANDEM_KERNELS_SCALAR_H
#define TANDEM_KERNELS_SCALAR_H

#include "kernels.h"

void tandem_scalar_matmul(const struct tandem_matmul *a, size_t n_begin,
			  size_t n_end);
void tandem_scalar_matmul_quantised(const struct tandem_matmul *a,
				    size_t n_begin, size_t n_end);
void tandem_scalar_quantise(void *out, const float *x, size_t k);
void tandem_scalar_attention(const struct tandem_attention *a,
			     size_t head_begin, size_t head_end);
void tandem_scalar_rms_norm(float *out, const float *x, const float *weight,
			    size_t n, float eps);
void tandem_scalar_rope_halves(float *x, size_t n_heads, size_t head_dim, size_t n_rot,
			       const float *table);
void tandem_scalar_rope(float *x, size_t n_heads, size_t head_dim, size_t n_rot,
			const float *table);
void tandem_scalar_silu_mul(float *out, const float *gate, const float *up,
			    size_t n);
void tandem_scalar_add(float *out, const float *a, const float *b, size_t n);
void tandem_scalar_softmax(float *out, const float *x, size_t n);
size_t tandem_scalar_argmax(const float *x, size_t n);
void tandem_scalar_to_f32(float *out, const void *src, enum tandem_type type,
			  size_t n);
void tandem_scalar_from_f32(void *out, const float *src, enum tandem_type type,
			    size_t n);


/* Elements of a quantised row as F32. */
void tandem_scalar_dequantise(float *out, const void *row,
			      enum tandem_type type, size_t n);
/* F32 elements to blocks of Q8_0. */
void tandem_scalar_quantise_q8_0(void *out, const float *x, size_t n);

#endif
