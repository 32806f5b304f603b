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
 * @x_quantised: read instead of @x when tandem_type_quantised(@w_type), where @k
 *	is a multiple of tandem_type_block(@w_type): @m rows that
 *	&tandem_kernels.quantise made, tandem_activation_bytes(@k) apart
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
	const void *x_quantised;
	const void *w;
	float *y;
	size_t ldy;
};

/**
 * struct tandem_attention - attention of tokens over a paged KV cache
 * @kv_type: element type of the KV cache: F32, F16, or Q8_0
 * @n_heads: query heads, a multiple of @n_kv_heads; query head h reads KV head
 *	h / (n_heads / n_kv_heads)
 * @n_kv_heads: heads of a row of K or V, whose width kv_dim is
 *	n_kv_heads * head_dim
 * @head_dim: elements of a head, at least 1; a multiple of 32 for Q8_0
 * @block_tokens: tokens a KV block holds, at least 1
 * @n_queries: consecutive tokens that ask
 * @n_tokens: tokens that the first query sees, itself included: tokens 0 to
 *	n_tokens - 1 of the cache; at least 1. Query i sees i more.
 * @scale: factor on the scores, as a rule 1 / sqrt(head_dim)
 * @q: F32 queries [n_heads][head_dim], rotated
 * @ldq: distance of the queries, in elements, at least n_heads * head_dim
 * @blocks: KV blocks of this layer in the order of their tokens, as many as the
 *	last query sees; see tandem_kernel_kv_block_bytes() for what is in a block
 * @out: F32 output [n_heads][head_dim] for each query
 * @ld_out: distance of the outputs, likewise
 */
struct tandem_attention {
	enum tandem_type kv_type;
	size_t n_heads;
	size_t n_kv_heads;
	size_t head_dim;
	size_t block_tokens;
	size_t n_queries;
	size_t n_tokens;
	float scale;
	const float *q;
	size_t ldq;
	const void *const *blocks;
	float *out;
	size_t ld_out;
};

/**
 * struct tandem_kernels - the kernels of one instruction set
 *
 * Obtained from tandem_kernels_select(); constant for the life of the process.
 */
struct tandem_kernels {
	/** @name: as tandem_kernels_select() has it */
	const char *name;

	/**
	 * @matmul: y[i][j] = sum over l of x[i][l] * w[j][l]
	 *
	 * For all rows i and the columns j in [@n_begin, @n_end), so that
	 * threads can share a product; w has at least @n_end rows. An element
	 * has the same bits whatever @m, its row and the column range are; with
	 * quantised weights also whatever the instruction set is.
	 *
	 * With quantised weights x is what its quantised rows represent, off by
	 * at most a 254th of the largest magnitude a in each block of 32, so
	 * the result is off by at most the sum over the blocks of
	 * a / 254 * (sum of the magnitudes of w there), and rounding.
	 *
	 * With weights in BF16, set "avx512bf16" rounds x to BF16: its result
	 * is off by at most the sum of |x w| / 256, and rounding; what is
	 * smaller than 2^-126 counts as zero.
	 */
	void (*matmul)(const struct tandem_matmul *a, size_t n_begin,
		       size_t n_end);

	/**
	 * @quantise: a row of activations for products with quantised weights
	 *
	 * @k elements, a multiple of 32, give tandem_activation_bytes(@k) bytes
	 * at @out, which is aligned to 4. All instruction sets give the same
	 * bits. A NaN or an infinity makes the products of that row NaN.
	 */
	void (*quantise)(void *out, const float *x, size_t k);

	/**
	 * @attention: out = softmax(scale * q Kᵀ) V
	 *
	 * For the query heads in [@head_begin, @head_end), so that threads can
	 * share a token. The bits of a head depend neither on that range, nor
	 * on the queries beside it, nor on block_tokens.
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
	 * @rope_halves: the same with pairs (i, n_rot / 2 + i)
	 *
	 * The convention of the GGUF architectures "qwen2" and "qwen3", and of
	 * GPT-NeoX.
	 */
	void (*rope_halves)(float *x, size_t n_heads, size_t head_dim,
			    size_t n_rot, const float *table);

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

	/**
	 * @to_f32: widen @n elements of @type at @src to F32
	 *
	 * Exactly, but for quantised types, whose values are rounded. @n is a
	 * multiple of tandem_type_block(@type).
	 */
	void (*to_f32)(float *out, const void *src, enum tandem_type type,
		       size_t n);

	/**
	 * @from_f32: narrow @n F32 elements to a type that a KV cache can have
	 *
	 * To F32 it copies bit for bit, to F16 it rounds to nearest, ties to
	 * even. To Q8_0, where @n is a multiple of 32, elements are off by at
	 * most a 254th of the largest magnitude in their block plus what the
	 * rounding of the scale to F16 adds: a 2048th of the element.
	 */
	void (*from_f32)(void *out, const float *src, enum tandem_type type,
			 size_t n);
};

/**
 * tandem_kernels_select() - the kernels for an instruction set
 * @isa: "scalar", "avx2" (which means AVX2, FMA and F16C), "avx512" (F, BW, DQ
 *	and VL beside those), "avx512vnni" (VNNI beside those), "avx512bf16"
 *	(BF16 beside those), or NULL for the best that this CPU has
 *
 * Return: the kernels; NULL if @isa is unknown or this CPU lacks it. Never NULL
 * for "scalar" or NULL.
 */
const struct tandem_kernels *tandem_kernels_select(const char *isa);

/**
 * tandem_activation_bytes() - size of a quantised row of activations
 * @k: elements of the row, a multiple of 32
 */
static inline size_t tandem_activation_bytes(size_t k)
{
	return k + k / 2;
}

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
 * @magnitude: cosines and sines are multiplied by it, 1 as a rule
 *
 * The angle of pair i is position * freq_base^(-2 i / n_rot) / freq_factors[i]
 * (Su et al., "RoFormer", 2021, section 3.2.2), computed in double precision.
 * One table serves all layers and heads of a token.
 */
void tandem_kernel_rope_table(float *table, size_t position, size_t n_rot,
			      float freq_base, const float *freq_factors,
			      float magnitude);

/**
 * tandem_kernel_kv_block_bytes() - size of a KV block
 * @type: element type of the cache: F32, F16 or Q8_0
 * @kv_dim: elements of a row of K, and of V: KV heads times head dimension; for
 *	Q8_0 a multiple of 32
 * @block_tokens: tokens a block holds
 *
 * A block is @block_tokens rows of K, then @block_tokens rows of V, each of
 * @kv_dim elements, without padding.
 *
 * Return: bytes, or 0 if a cache cannot have @type or the size overflows.
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
