/* SPDX-License-Identifier: MIT */
/*
 * Small random models, and what they ought to say: a transformer written a
 * second time, in double precision, from its definition.
 */
#ifndef TEST_FIRMWARE_TINY_MODEL_H
#define TEST_FIRMWARE_TINY_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem_program.h>

struct tiny_shape {
	uint32_t layers, dim, ffn_dim, heads, kv_heads, head_dim, rope_dim;
	uint32_t vocabulary, context;
	float rope_scale;
	/* &enum tandem_program_type of matrices. */
	uint32_t type;
	/* The embedding serves as output matrix. */
	bool tied;
	/* On queries, keys and values. */
	bool biases;
	/* RMSNorm of each head of queries and keys. */
	bool head_norms;
	/* Pairs are (i, rope_dim / 2 + i), not (2 i, 2 i + 1). */
	bool rope_halves;
	/* A tensor with divisors of the frequencies. */
	bool rope_factors;
	/* Of cosines and sines; 0 for 1. */
	float rope_magnitude;
	/*
	 * YaRN as the paper's authors have it in their code, which programs know as
	 * factors and a magnitude; a factor of 0 for none.
	 */
	float yarn_factor;
	uint32_t yarn_context;
};

struct tiny_model {
	struct tiny_shape shape;
	struct tandem_program_model *description;
	size_t description_bytes;
	char *weights;
	size_t weights_bytes;
};

/* A model whose weights follow from @seed. */
void tiny_model_create(struct tiny_model *model, const struct tiny_shape *shape,
		       uint32_t seed);
void tiny_model_free(struct tiny_model *model);

/*
 * The logits after each of @count tokens, [count][vocabulary]; K and V are
 * rounded to @kv_type as a KV cache does, and what is multiplied with matrices
 * in blocks is rounded to codes.
 */
void tiny_model_reference(const struct tiny_model *model, const uint32_t *tokens,
			  uint32_t count, uint32_t kv_type, double *logits);

/* A repeatable random number. */
uint32_t tiny_random(uint32_t *state);

#endif /* TEST_FIRMWARE_TINY_MODEL_H */
