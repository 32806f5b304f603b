/* SPDX-License-Identifier: MIT */
/*
 * Models: a GGUF file, and a device with the model in its memory.
 */
#ifndef TANDEM_MODEL_H
#define TANDEM_MODEL_H

#include <stdint.h>

#include <tandem/device.h>
#include <tandem/error.h>
#include <tandem/kv.h>
#include <tandem/loop.h>
#include <tandem/sampling.h>
#include <tandem/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tandem_model;
struct tandem_instance;

/**
 * struct tandem_model_info - the shape of a model
 * @name: general.name of the file, or the architecture's
 * @architecture: general.architecture
 * @layers: transformer layers
 * @dim: width of the hidden state
 * @ffn_dim: width of the feed-forward layer
 * @heads: query heads
 * @kv_heads: key and value heads
 * @head_dim: elements a head
 * @vocabulary: tokens
 * @context: the longest sequence, in tokens
 * @weight_bytes: bytes of all tensors
 * @parameters: elements of all tensors
 */
struct tandem_model_info {
	char name[64];
	char architecture[32];
	uint32_t layers;
	uint32_t dim;
	uint32_t ffn_dim;
	uint32_t heads;
	uint32_t kv_heads;
	uint32_t head_dim;
	uint32_t vocabulary;
	uint32_t context;
	uint64_t weight_bytes;
	uint64_t parameters;
};

/**
 * tandem_model_load() - open a GGUF file
 * @path: of a model of the `llama`, `qwen2` or `qwen3` architecture, with matrices
 *	in F32, F16, BF16, Q8_0, Q4_0, Q4_K or Q6_K
 * @model: where to put it; the weights stay in the file, mapped
 * @error: filled in on failure; may be NULL
 *
 * Return: 0; -ENOENT and others of open(2); -EINVAL damaged, or does not hold
 * together; -EOPNOTSUPP sound, but of a kind that is not built yet; -ENOMEM.
 */
int tandem_model_load(const char *path, struct tandem_model **model, struct tandem_error *error);
/* No instance uses it any more; may be NULL. */
void tandem_model_free(struct tandem_model *model);

void tandem_model_get_info(const struct tandem_model *model, struct tandem_model_info *info);
/* The model's tokenizer, valid as long as the model. */
const struct tandem_tokenizer *tandem_model_tokenizer(const struct tandem_model *model);

/**
 * struct tandem_instance_options - how to place a model on a device
 * @kv_type: GGUF number of the KV cache's element type: 0 F32, 1 F16,
 *	8 Q8_0 (where heads are whole blocks of 32 elements)
 * @block_tokens: tokens a KV block; 0 for 16
 * @kv_tokens: room for that many tokens of KV, of all sequences together;
 *	0 for the model's context
 * @rows_max: most rows that one program takes; 0 for 256. Rounded up to whole
 *	blocks.
 * @batch_max: most sequences that one step takes, at most @rows_max; 0 for 1
 * @on_load: called while weights are copied into the device's memory, with the bytes
 *	that are there, of all tensors; may be NULL
 * @user: passed on to it
 */
struct tandem_instance_options {
	uint32_t kv_type;
	uint32_t block_tokens;
	uint32_t kv_tokens;
	uint32_t rows_max;
	uint32_t batch_max;
	void (*on_load)(void *user, uint64_t done, uint64_t total);
	void *user;
};

/**
 * tandem_instance_create() - place a model on a device
 * @loop: the device's
 * @device: the device
 * @model: outlives the instance
 * @options: NULL for the defaults
 * @instance: where to put it
 * @error: filled in on failure; may be NULL
 *
 * Uploads the weights and allocates a KV pool. Blocks until that is done.
 *
 * Return: 0, -ENOSPC when the device's memory is too small, -EINVAL, -ENOMEM,
 * -ENODEV.
 */
int tandem_instance_create(struct tandem_loop *loop, struct tandem_device *device,
			   const struct tandem_model *model,
			   const struct tandem_instance_options *options,
			   struct tandem_instance **instance, struct tandem_error *error);
/* No operation of it is pending, no sequence has blocks; may be NULL. */
void tandem_instance_destroy(struct tandem_instance *instance);

struct tandem_kv_pool *tandem_instance_kv_pool(const struct tandem_instance *instance);
struct tandem_device *tandem_instance_device(const struct tandem_instance *instance);
/* The queue of its forwards, for what has to come before one of them. */
struct tandem_queue *tandem_instance_queue(const struct tandem_instance *instance);
const struct tandem_model *tandem_instance_model(const struct tandem_instance *instance);
/* The most rows that one forward takes. */
uint32_t tandem_instance_rows_max(const struct tandem_instance *instance);
/* The most sequences that one step takes. */
uint32_t tandem_instance_batch_max(const struct tandem_instance *instance);

/**
 * struct tandem_forward - layers to run over tokens of one sequence
 * @sequence: has blocks for all the positions, and those that are written to for
 *	itself: see tandem_kv_sequence_append(). May be released meanwhile
 * @tokens: ids of @rows tokens
 * @position: of the first of them
 * @rows: number of tokens, 1 … tandem_instance_rows_max()
 * @layer_first: first layer
 * @layer_count: layers; to the model's last one for an output
 * @output: whether to say what comes after the last token; only with the last
 *	layer
 * @logits: whether to give the logits too
 * @sampling: how the token is chosen; NULL for the likeliest
 * @history: the last tokens of the sequence, in their order, those of this forward
 *	included: as many as there are, or as &tandem_sampling.repeat_last asks for.
 *	Read only if there is a penalty on repetition
 * @history_count: how many
 *
 * When @layer_first is not 0, the forward before on the same instance has run
 * the layers below for the same rows.
 */
struct tandem_forward {
	const struct tandem_kv_sequence *sequence;
	const uint32_t *tokens;
	uint32_t position;
	uint32_t rows;
	uint32_t layer_first;
	uint32_t layer_count;
	int output;
	int logits;
	const struct tandem_sampling *sampling;
	const uint32_t *history;
	uint32_t history_count;
};

/**
 * tandem_forward_start() - run layers on an instance's device
 * @instance: the instance
 * @forward: read before the call returns
 * @op: ends when the device has done it
 *
 * Forwards of an instance are carried out in the order of their starts.
 *
 * Return: 0; -EINVAL; -EBUSY when 2 * layers + 2 are under way already, or 4 with
 * an output; -ENODEV; -ENOMEM.
 */
int tandem_forward_start(struct tandem_instance *instance, const struct tandem_forward *forward,
			 struct tandem_operation *op);

/**
 * tandem_forward_token() - the token that follows
 * @instance: after the last row of the last forward with an output that ended on it
 *
 * To be asked for when the forward ends (at once when several have outputs).
 */
uint32_t tandem_forward_token(const struct tandem_instance *instance);

/**
 * tandem_forward_logits() - one binary32 for each token of the vocabulary
 * @instance: the last forward with an output that ended on it had logits
 *
 * Valid until the next forward with an output is started.
 */
const float *tandem_forward_logits(const struct tandem_instance *instance);

/**
 * struct tandem_step_row - the next token of one sequence
 * @sequence: has blocks up to @position, and its KV before that
 * @token: its id
 * @position: its place in the sequence
 * @sampling: how the token after it is chosen; NULL for the likeliest
 * @history: as in &struct tandem_forward, @token included
 * @history_count: how many
 */
struct tandem_step_row {
	const struct tandem_kv_sequence *sequence;
	uint32_t token;
	uint32_t position;
	const struct tandem_sampling *sampling;
	const uint32_t *history;
	uint32_t history_count;
};

/**
 * struct tandem_step - one decode step of a batch of sequences
 * @rows: one for each sequence; no sequence twice
 * @count: 1 … &tandem_instance_options.batch_max
 * @logits: whether to give the logits too
 *
 * Sequences may join and leave from one step to the next. What is said after a
 * sequence has the same bits whatever sequences are beside it.
 */
struct tandem_step {
	const struct tandem_step_row *rows;
	uint32_t count;
	int logits;
};

/**
 * tandem_step_start() - run all layers for a batch, in one pass over the weights
 * @instance: the instance
 * @step: read before the call returns
 * @op: ends when the device has done it
 *
 * Return: as tandem_forward_start().
 */
int tandem_step_start(struct tandem_instance *instance, const struct tandem_step *step,
		      struct tandem_operation *op);

/**
 * tandem_step_token() - the token that follows in one of the sequences
 * @instance: the last step has ended on it
 * @index: of the row
 */
uint32_t tandem_step_token(const struct tandem_instance *instance, uint32_t index);

/**
 * tandem_step_logits() - one binary32 for each token of the vocabulary
 * @instance: the last step has ended on it, and had logits
 * @index: of the row
 *
 * Valid until the next step is started.
 */
const float *tandem_step_logits(const struct tandem_instance *instance, uint32_t index);

#ifdef __cplusplus
}
#endif

#endif /* TANDEM_MODEL_H */
