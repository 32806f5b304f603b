// SPDX-License-Identifier: MIT
/* Model descriptions. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "kernels/types.h"
#include "model.h"

/*
 * Larger than any model there is, and small enough that products of three
 * dimensions and an element size fit 64 bits.
 */
#define DIM_MAX		(1u << 18)
#define VOCABULARY_MAX	(1u << 24)
#define CONTEXT_MAX	(1u << 28)

_Static_assert((int)TANDEM_PROGRAM_F32 == (int)TANDEM_TYPE_F32 &&
	       (int)TANDEM_PROGRAM_F16 == (int)TANDEM_TYPE_F16 &&
	       (int)TANDEM_PROGRAM_Q4_0 == (int)TANDEM_TYPE_Q4_0 &&
	       (int)TANDEM_PROGRAM_Q8_0 == (int)TANDEM_TYPE_Q8_0 &&
	       (int)TANDEM_PROGRAM_Q4_K == (int)TANDEM_TYPE_Q4_K &&
	       (int)TANDEM_PROGRAM_Q6_K == (int)TANDEM_TYPE_Q6_K &&
	       (int)TANDEM_PROGRAM_BF16 == (int)TANDEM_TYPE_BF16,
	       "programs and kernels number types as GGUF does");

float fw_model_float(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static bool in_range(uint64_t value, uint64_t maximum)
{
	return value >= 1 && value <= maximum;
}

static bool positive(uint32_t bits)
{
	float value = fw_model_float(bits);

	return isfinite(value) && value > 0;
}

static bool dimensions_valid(const struct tandem_program_model *m)
{
	if (!in_range(m->layers, FW_LAYERS_MAX) || !in_range(m->dim, DIM_MAX) ||
	    !in_range(m->ffn_dim, DIM_MAX) || !in_range(m->vocabulary, VOCABULARY_MAX) ||
	    !in_range(m->context, CONTEXT_MAX))
		return false;
	if (!m->heads || !m->kv_heads || m->heads % m->kv_heads)
		return false;
	if (!m->head_dim || !in_range(fw_model_query_dim(m), DIM_MAX))
		return false;
	if (m->rope_dim % 2 || m->rope_dim > m->head_dim)
		return false;
	return positive(m->rms_epsilon) && positive(m->rope_frequency_base) &&
	       positive(m->rope_frequency_scale) && positive(m->rope_magnitude) &&
	       (m->rope_pairs == TANDEM_PROGRAM_ROPE_ADJACENT ||
		m->rope_pairs == TANDEM_PROGRAM_ROPE_HALVES);
}

static uint32_t check_tensor(const struct tandem_program_tensor *tensor, uint64_t rows,
			     uint64_t columns, bool norm, uint64_t weights_length)
{
	/* At most 2^24 * 2^18 * 4, as the dimensions are bounded. */
	uint64_t bytes = rows * tandem_type_row_bytes(tensor->type, columns);

	if (tensor->present != 1 || tensor->offset % 32 || !bytes)
		return TANDEM_PROGRAM_BAD_MODEL;
	if (norm && tensor->type != TANDEM_PROGRAM_F32)
		return TANDEM_PROGRAM_BAD_MODEL;
	if (bytes > weights_length || tensor->offset > weights_length - bytes)
		return TANDEM_PROGRAM_BAD_REFERENCE;
	return 0;
}

/* A vector that a model may lack. */
static uint32_t check_optional(const struct tandem_program_tensor *tensor, uint64_t elements,
			       uint64_t weights_length)
{
	return tensor->present ? check_tensor(tensor, 1, elements, true, weights_length) : 0;
}

static uint32_t check_additions(const struct tandem_program_model *m,
				const struct tandem_program_layer *layer, uint64_t weights_length)
{
	const uint64_t q = fw_model_query_dim(m), kv = fw_model_kv_dim(m);
	uint32_t error;

	error = check_optional(&layer->query_bias, q, weights_length);
	if (!error)
		error = check_optional(&layer->key_bias, kv, weights_length);
	if (!error)
		error = check_optional(&layer->value_bias, kv, weights_length);
	if (!error)
		error = check_optional(&layer->query_norm, m->head_dim, weights_length);
	if (!error)
		error = check_optional(&layer->key_norm, m->head_dim, weights_length);
	return error;
}

static uint32_t check_layer(const struct tandem_program_model *m,
			    const struct tandem_program_layer *layer, uint64_t weights_length)
{
	uint64_t q = fw_model_query_dim(m), kv = fw_model_kv_dim(m);
	const struct {
		const struct tandem_program_tensor *tensor;
		uint64_t rows, columns;
	} tensors[] = {
		{ &layer->attention_norm, 0, m->dim },
		{ &layer->query, q, m->dim },
		{ &layer->key, kv, m->dim },
		{ &layer->value, kv, m->dim },
		{ &layer->attention_output, m->dim, q },
		{ &layer->ffn_norm, 0, m->dim },
		{ &layer->gate, m->ffn_dim, m->dim },
		{ &layer->up, m->ffn_dim, m->dim },
		{ &layer->down, m->dim, m->ffn_dim },
	};
	uint32_t error;

	for (size_t i = 0; i < sizeof(tensors) / sizeof(tensors[0]); i++) {
		bool norm = !tensors[i].rows;

		error = check_tensor(tensors[i].tensor, norm ? 1 : tensors[i].rows,
				     tensors[i].columns, norm, weights_length);
		if (error)
			return error;
	}
	return check_additions(m, layer, weights_length);
}

uint32_t fw_model_check(const struct tandem_program_model *model, uint64_t length,
			uint64_t weights_length)
{
	uint32_t error;

	if (length < sizeof(*model))
		return TANDEM_PROGRAM_BAD_REFERENCE;
	if (model->magic != TANDEM_PROGRAM_MODEL_MAGIC ||
	    model->architecture != TANDEM_PROGRAM_LLAMA || !dimensions_valid(model))
		return TANDEM_PROGRAM_BAD_MODEL;
	if (model->layers > (length - sizeof(*model)) / sizeof(model->layer[0]))
		return TANDEM_PROGRAM_BAD_REFERENCE;

	error = check_tensor(&model->token_embedding, model->vocabulary, model->dim, false,
			     weights_length);
	if (error)
		return error;
	error = check_tensor(&model->output_norm, 1, model->dim, true, weights_length);
	if (error)
		return error;
	error = check_optional(&model->rope_factors, model->rope_dim / 2, weights_length);
	if (!error && model->output.present)
		error = check_tensor(&model->output, model->vocabulary, model->dim, false,
				     weights_length);
	for (uint32_t i = 0; i < model->layers && !error; i++)
		error = check_layer(model, &model->layer[i], weights_length);
	return error;
}
