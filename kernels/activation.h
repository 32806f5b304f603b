/* SPDX-License-Identifier: MIT */
/*
 * Rows of activations as products with quantised weights read them.
 *
 * A row of k elements, k a multiple of 32, is cut in blocks of 32. Element x of
 * a block with the largest magnitude a is represented by d q, where d = a / 127
 * is a binary32 and q = x * (127 / a), rounded to nearest, ties to even, is a
 * signed byte. |x - d q| is at most d / 2, but for rounding: a 254th of a.
 *
 * A block whose magnitudes are all below ACTIVATION_LEAST is taken for zeros.
 * One that has a NaN or an infinity has a d that is NaN, and makes the result
 * NaN.
 *
 * In memory: [k] signed bytes q, [k/32] binary32 d, [k/32] sums of the q of a
 * block as int32, [k/16] sums of each half of a block as int32.
 */
#ifndef TANDEM_KERNELS_ACTIVATION_H
#define TANDEM_KERNELS_ACTIVATION_H

#include <stddef.h>
#include <stdint.h>

#include "kernels.h"

#define ACTIVATION_BLOCK 32
#define ACTIVATION_LEAST 0x1p-100f

struct activation {
	const int8_t *q;
	const float *d;
	const int32_t *sum;
	const int32_t *half_sum;
};

/* The parts of a row. */
static inline struct activation activation_at(const void *row, size_t k)
{
	const char *p = row;

	return (struct activation){
		.q = (const int8_t *)p,
		.d = (const float *)(p + k),
		.sum = (const int32_t *)(p + k + k / 8),
		.half_sum = (const int32_t *)(p + k + k / 4),
	};
}

/* Code of one type, made so by inlining it with @type known. */
typedef void activation_product(const struct tandem_matmul *a, size_t n_begin,
				size_t n_end, enum tandem_type type);

/* @product for the type of the weights, which are quantised. */
static inline __attribute__((always_inline)) void
activation_product_by_type(activation_product *product,
			   const struct tandem_matmul *a, size_t n_begin,
			   size_t n_end)
{
	switch (a->w_type) {
	case TANDEM_TYPE_Q4_0:
		product(a, n_begin, n_end, TANDEM_TYPE_Q4_0);
		break;
	case TANDEM_TYPE_Q8_0:
		product(a, n_begin, n_end, TANDEM_TYPE_Q8_0);
		break;
	case TANDEM_TYPE_Q4_K:
		product(a, n_begin, n_end, TANDEM_TYPE_Q4_K);
		break;
	default:
		product(a, n_begin, n_end, TANDEM_TYPE_Q6_K);
		break;
	}
}

#endif
