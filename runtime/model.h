/* SPDX-License-Identifier: MIT */
/*
 * A model as its file describes it: what placing it on a device needs.
 */
#ifndef TANDEM_RUNTIME_MODEL_H
#define TANDEM_RUNTIME_MODEL_H

#include <stdbool.h>

#include <tandem/model.h>

#include "gguf.h"

/* Groups of tensors that only some architectures have. */
enum model_tensor_group {
	MODEL_BIASES = 1 << 0,
	MODEL_HEAD_NORMS = 1 << 1,
};

/**
 * struct model_architecture - in what a family of models differs from llama
 * @name: in files
 * @rope_halves: pairs that turn are (i, rope_dim / 2 + i), not (2 i, 2 i + 1)
 * @required: groups of tensors that such a model has
 * @optional: and those that it may have
 */
struct model_architecture {
	const char *name;
	bool rope_halves;
	unsigned int required;
	unsigned int optional;
};

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
	MODEL_QUERY_BIAS,
	MODEL_KEY_BIAS,
	MODEL_VALUE_BIAS,
	MODEL_QUERY_NORM,
	MODEL_KEY_NORM,
	MODEL_LAYER_TENSORS,
};

/**
 * struct tandem_model - a model's file, checked
 * @file: stays open; owns the tensors
 * @info: the shape
 * @architecture: its family
 * @rope_dim: leading elements of a head that are rotated
 * @rms_epsilon: of the norms
 * @rope_frequency_base: of the rotation
 * @rope_frequency_scale: positions are multiplied by it
 * @rope_magnitude: what is rotated is multiplied by it
 * @rope_factors: [@rope_dim / 2] divisors of the frequencies, or NULL; owned
 * @rope_freqs: the tensor they come from, or NULL
 * @tokenizer: owned
 * @token_embedding: [vocabulary][dim]
 * @output_norm: [dim]
 * @output: [vocabulary][dim], or NULL where the embedding serves
 * @layers: [info.layers][MODEL_LAYER_TENSORS], NULL for what the model lacks
 *
 * Constant once loaded: may be shared between threads.
 */
struct tandem_model {
	struct tandem_gguf *file;
	struct tandem_model_info info;
	const struct model_architecture *architecture;
	uint32_t rope_dim;
	float rms_epsilon;
	float rope_frequency_base;
	float rope_frequency_scale;
	float rope_magnitude;
	float *rope_factors;
	const struct tandem_gguf_tensor *rope_freqs;
	struct tandem_tokenizer *tokenizer;
	const struct tandem_gguf_tensor *token_embedding;
	const struct tandem_gguf_tensor *output_norm;
	const struct tandem_gguf_tensor *output;
	const struct tandem_gguf_tensor *(*layers)[MODEL_LAYER_TENSORS];
};

#endif /* TANDEM_RUNTIME_MODEL_H */
