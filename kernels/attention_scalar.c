// SPDX-License-Identifier: MIT
/* Paged attention over a paged KV cache, the plain definition. */
#include <math.h>

#include "blocks.h"
#include "scalar.h"

static float element(const void *row, enum tandem_type type, size_t i)
{
	const char *block;

	switch (type) {
	case TANDEM_TYPE_F16:
		return tandem_f16_to_f32(((const uint16_t *)row)[i]);
	case TANDEM_TYPE_Q8_0:
		block = (const char *)row + i / 32 * Q8_0_BYTES;
		return tandem_f16_to_f32(block_half(block)) *
		       (float)(int8_t)block[Q8_0_CODES + i % 32];
	default:
		return ((const float *)row)[i];
	}
}

/*
 * One pass over the tokens with a running maximum: what has been summed so far
 * is scaled down whenever a larger score appears, so that no exponential
 * overflows and the scores need not be kept (Milakov and Gimelshein, "Online
 * normalizer calculation for softmax", 2018).
 */
static void attend_head(const struct tandem_attention *a, size_t query,
			size_t head)
{
	size_t kv_dim = a->n_kv_heads * a->head_dim;
	size_t kv_head = head / (a->n_heads / a->n_kv_heads);
	size_t row_bytes = tandem_type_row_bytes(a->kv_type, kv_dim);
	size_t head_offset =
		tandem_type_row_bytes(a->kv_type, kv_head * a->head_dim);
	const float *q = a->q + query * a->ldq + head * a->head_dim;
	float *out = a->out + query * a->ld_out + head * a->head_dim;
	float max = -INFINITY;
	float sum = 0;

	for (size_t i = 0; i < a->head_dim; i++)
		out[i] = 0;

	for (size_t t = 0; t < a->n_tokens + query; t++) {
		const char *k = (const char *)a->blocks[t / a->block_tokens] +
				t % a->block_tokens * row_bytes + head_offset;
		const char *v = k + a->block_tokens * row_bytes;
		float score = 0, weight;

		for (size_t i = 0; i < a->head_dim; i++)
			score += q[i] * element(k, a->kv_type, i);
		score *= a->scale;

		if (score > max) {
			float shrink = expf(max - score);

			max = score;
			sum *= shrink;
			for (size_t i = 0; i < a->head_dim; i++)
				out[i] *= shrink;
		}
		weight = expf(score - max);
		sum += weight;
		for (size_t i = 0; i < a->head_dim; i++)
			out[i] += weight * element(v, a->kv_type, i);
	}

	for (size_t i = 0; i < a->head_dim; i++)
		out[i] /= sum;
}

void tandem_scalar_attention(const struct tandem_attention *a,
			     size_t head_begin, size_t head_end)
{
	for (size_t query = 0; query < a->n_queries; query++)
		for (size_t head = head_begin; head < head_end; head++)
			attend_head(a, query, head);
}
