/* SPDX-License-Identifier: MIT */
/*
 * Compute kernels of a transformer: the arithmetic, and nothing else.
 *
 * Every kernel is a pure function on memory that the caller owns. None
 * allocates, starts a thread, keeps state, prints or fails: arguments are the
 * caller's to check, against the preconditions stated here. Kernels may run on
 * any number of threads at once as long as the outputs do not overlap.
 *
 * Common preconditions, unless a kernel says otherwise:
 *  - pointers are aligned to their element (4 bytes for F32, 2 for F16), no more;
 *  - sizes may be any number, odd ones and 0 included (0 does nothing), and the
 *    arrays that they describe fit the address space;
 *  - an output overlaps no input; "may alias" allows the very same pointer, not
 *    a partial overlap;
 *  - rounding mode is to nearest.
 * No kernel reads or writes a byte outside the arrays described.
 *
 * Determinism: for one instruction set, the result for a row, a column or a head
 * has the same bits however the work is split or batched. Between instruction
 * sets results differ by rounding.
 */
#ifndef TANDEM_KERNELS_KERNELS_H
#define TANDEM_KERNELS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "types.h"

/**
 * struct tandem_matmul - y = x Wᵀ
 * @w_type: element type of @w
 * @m: rows of @x and @y (tokens)
 * @k: columns of @x, and of @w
 * @x: F32 input, @m rows of @k elements, row i at x + i * ldx
 * @ldx: distance of the rows of @x, in elements, at least @k
 * @w: weights, one row of @k contiguous elements for each output column, as
 *	GGUF stores them
 * @y: F32 output, row i at y + i * ldy
 * @ldy: distance of the rows of @y, in elements, at least the number of columns
 */
struct tandem_matmul {
	enum tandem_type w_type;
	size_t m;
	size_t k;
	const float *x;
	size_t ldx;
	const void *w;
	float *y;
	size_t ldy;
};

/**
 * struct tandem_attention - attention of one query token over a paged KV cache
 * @kv_type: element type of the KV cache
 * @n_heads: query heads, a multiple of @n_kv_heads; query head h reads KV head
 *	h / (n_heads / n_kv_heads)
 * @n_kv_heads: heads of a row of K or V, whose width kv_dim is
 *	n_kv_heads * head_dim
 * @head_dim: elements of a head, at least 1
 * @block_tokens: tokens a KV block holds, at least 1
 * @n_tokens: tokens that the query sees, itself included: tokens 0 to
 *	n_tokens - 1 of the cache; at least 1
 * @scale: factor on the scores, as a rule 1 / sqrt(head_dim)
 * @q: F32 query [n_heads][head_dim], rotated
 * @blocks: KV blocks of this layer in the order of their tokens,
 *	ceil(n_tokens / block_tokens) of them; see
 *	tandem_kernel_kv_block_bytes() for what is in a block
 * @out: F32 output [n_heads][head_dim]
 */
struct tandem_attention {
	enum tandem_type kv_type;
	size_t n_heads;
	size_t n_kv_heads;
	size_t head_dim;
	size_t block_tokens;
	size_t n_tokens;
	float scale;
	const float *q;
	const void *const *blocks;
	float *out;
};

/**
 * struct tandem_kernels - the kernels of one instruction set
 *
 * Obtained from tandem_kernels_select(); constant for the life of the process.
 */
struct tandem_kernels {
	/** @name: "scalar" or "avx2" */
	const char *name;

	/**
	 * @matmul: y[i][j] = sum over l of x[i][l] * w[j][l]
	 *
	 * For all rows i and the columns j in [@n_begin, @n_end), so that
	 * threads can share a product; w has at least @n_end rows. An element
	 * has the same bits whatever @m, its row and the column range are.
	 */
	void (*matmul)(const struct tandem_matmul *a, size_t n_begin,
		       size_t n_end);

	/**
	 * @attention: out = softmax(scale * q Kᵀ) V
	 *
	 * For the query heads in [@head_begin, @head_end), so that threads can
	 * share a token. The bits of a head depend neither on that range nor on
	 * block_tokens. Takes no scratch memory whatever the sizes.
	 */
	void (*attention)(const struct tandem_attention *a, size_t head_begin,
			  size_t head_end);

	/**
	 * @rms_norm: out[i] = x[i] / sqrt(mean of x² + eps) * weight[i]
	 *
	 * @out may alias @x. The mean is taken in double precision, so squares
	 * do not overflow.
	 */
	void (*rms_norm)(float *out, const float *x, const float *weight,
			 size_t n, float eps);

	/**
	 * @rope: rotate the heads of one token by its position, in place
	 *
	 * x is [n_heads][head_dim]. In each head the pairs (0, 1), (2, 3) …
	 * (n_rot - 2, n_rot - 1) turn by the angles in @table, made by
	 * tandem_kernel_rope_table() for that position; elements from n_rot on
	 * stay as they are. n_rot is even and at most head_dim. Adjacent pairs
	 * are the convention of the GGUF "llama" architecture. All instruction
	 * sets give the same bits.
	 */
	void (*rope)(float *x, size_t n_heads, size_t head_dim, size_t n_rot,
		     const float *table);

	/**
	 * @silu_mul: out[i] = gate[i] / (1 + exp(-gate[i])) * up[i]
	 *
	 * @out may alias @gate or @up. A gate of minus infinity gives NaN.
	 */
	void (*silu_mul)(float *out, const float *gate, const float *up,
			 size_t n);

	/** @add: out[i] = a[i] + b[i]; @out may alias @a or @b */
	void (*add)(float *out, const float *a, const float *b, size_t n);

	/**
	 * @softmax: out[i] = exp(x[i] - max) / sum over j of exp(x[j] - max)
	 *
	 * @out may alias @x. Elements may be minus infinity (and give 0) if one
	 * at least is finite. With a NaN or plus infinity all of @out is NaN.
	 */
	void (*softmax)(float *out, const float *x, size_t n);

	/**
	 * @argmax: index of the largest element
	 *
	 * The lowest index where several are equal (-0 equals +0). A NaN never
	 * wins; if all elements are NaN, or @n is 0, the answer is 0.
	 */
	size_t (*argmax)(const float *x, size_t n);

	/** @to_f32: widen @n elements of @type at @src to F32, exactly */
	void (*to_f32)(float *out, const void *src, enum tandem_type type,
		       size_t n);

	/**
	 * @from_f32: narrow @n F32 elements to @type, to nearest, ties to even
	 *
	 * To F32 it copies bit for bit.
	 */
	void (*from_f32)(void *out, const float *src, enum tandem_type type,
			 size_t n);
};

/**
 * tandem_kernels_select() - the kernels for an instruction set
 * @isa: "scalar", "avx2" (which means AVX2, FMA and F16C), or NULL for the best
 *	that this CPU has
 *
 * Return: the kernels; NULL if @isa is unknown or this CPU lacks it. Never NULL
 * for "scalar" or NULL.
 */
const struct tandem_kernels *tandem_kernels_select(const char *isa);

/**
 * tandem_kernel_embed() - a row of an embedding table as F32
 * @kernels: instruction set to use
 * @out: @n elements
 * @table: rows of @n contiguous elements of @type
 * @type: element type of @table
 * @row: which row (the token); the caller has checked that the table has it
 * @n: elements of a row
 */
static inline void tandem_kernel_embed(const struct tandem_kernels *kernels,
				       float *out, const void *table,
				       enum tandem_type type, size_t row,
				       size_t n)
{
	kernels->to_f32(
		out, (const char *)table + row * tandem_type_row_bytes(type, n),
		type, n);
}

/**
 * tandem_kernel_rope_table() - cosines and sines for one position
 * @table: output, @n_rot elements: cos, sin of pair 0, cos, sin of pair 1, …
 * @position: position of the token in its sequence, from 0
 * @n_rot: rotated elements of a head, even (llama.rope.dimension_count)
 * @freq_base: base of the geometric row of frequencies (llama.rope.freq_base)
 * @freq_factors: NULL, or @n_rot / 2 divisors of the frequencies (tensor
 *	rope_freqs.weight of models with a scaled context)
 *
 * The angle of pair i is position * freq_base^(-2 i / n_rot) / freq_factors[i]
 * (Su et al., "RoFormer", 2021, section 3.2.2), computed in double precision.
 * One table serves all layers and heads of a token.
 */
void tandem_kernel_rope_table(float *table, size_t position, size_t n_rot,
			      float freq_base, const float *freq_factors);

/**
 * tandem_kernel_kv_block_bytes() - size of a KV block
 * @type: element type of the cache
 * @kv_dim: elements of a row of K, and of V: KV heads times head dimension
 * @block_tokens: tokens a block holds
 *
 * A block is @block_tokens rows of K, then @block_tokens rows of V, each of
 * @kv_dim elements, without padding.
 *
 * Return: bytes, or 0 if @type is unknown or the size overflows.
 */
size_t tandem_kernel_kv_block_bytes(enum tandem_type type, size_t kv_dim,
				    size_t block_tokens);

/**
 * tandem_kernel_store_kv() - put one token's K and V into a block
 * @kernels: instruction set to use
 * @block: the block
 * @type: element type of the cache
 * @kv_dim: elements of a row of K, and of V
 * @block_tokens: tokens a block holds
 * @slot: which row, less than @block_tokens
 * @k: @kv_dim F32 elements, already rotated
 * @v: @kv_dim F32 elements
 */
void tandem_kernel_store_kv(const struct tandem_kernels *kernels, void *block,
			    enum tandem_type type, size_t kv_dim,
			    size_t block_tokens, size_t slot, const float *k,
			    const float *v);

#endif
