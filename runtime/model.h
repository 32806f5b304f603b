/* SPDX-License-Identifier: MIT */
/*
 * A model as its file describes it: what placing it on a device needs.
 */
#ifndef TANDEM_RUNTIME_MODEL_H
#define TANDEM_RUNTIME_MODEL_H

#include <tandem/model.h>

#include "gguf.h"

/* Tensors of one layer, in the order of struct tandem_program_layer. */
enum model_layer_tensor {
	MODEL_ATTENTION_NORM,
	MODEL_QUERY,
	MODEL_KEY,
	MODEL_VALUE,
	MODEL_ATTENTION_OUTPUT,
	MODEL_FFN_NORM,
	MODEL_GATE,
	MODEL_UP,
	MODEL_DOWN,
	MODEL_LAYER_TENSORS,
};

/**
 * struct tandem_model - a model's file, checked
 * @file: stays open; owns the tensors
 * @info: the shape
 * @rope_dim: leading elements of a head that are rotated
 * @rms_epsilon: of the norms
 * @rope_frequency_base: of the rotation
 * @rope_frequency_scale: positions are multiplied by it
 * @tokenizer: owned
 * @token_embedding: [vocabulary][dim]
 * @output_norm: [dim]
 * @output: [vocabulary][dim], or NULL where the embedding serves
 * @layers: [info.layers][MODEL_LAYER_TENSORS]
 *
 * Constant once loaded: may be shared between threads.
 */
struct tandem_model {
	struct tandem_gguf *file;
	struct tandem_model_info info;
	uint32_t rope_dim;
	float rms_epsilon;
	float rope_frequency_base;
	float rope_frequency_scale;
	struct tandem_tokenizer *tokenizer;
	const struct tandem_gguf_tensor *token_embedding;
	const struct tandem_gguf_tensor *output_norm;
	const struct tandem_gguf_tensor *output;
	const struct tandem_gguf_tensor *(*layers)[MODEL_LAYER_TENSORS];
};

#endif /* TANDEM_RUNTIME_MODEL_H */
