// SPDX-License-Identifier: MIT
/*
 * A model out of a GGUF file: its tensors.
 *
 * Tensor names are those of the GGUF specification and of what converters write
 * for these architectures. A file that holds anything that would change the
 * result and is not built is refused: a model either runs right or not at all.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem_program.h>

#include "error.h"
#include "model.h"
#include "model_keys.h"
#include "model_rope.h"
#include "model_shape.h"
#include "tokenizer.h"

/**
 * struct layer_tensor - a tensor that each layer has
 * @name: in files, after the number of the layer
 * @group: &enum model_tensor_group, or 0 for all models
 */
struct layer_tensor {
	const char *name;
	unsigned int group;
};

static const struct layer_tensor layer_tensors[MODEL_LAYER_TENSORS] = {
	[MODEL_ATTENTION_NORM] = { "attn_norm.weight", 0 },
	[MODEL_QUERY] = { "attn_q.weight", 0 },
	[MODEL_KEY] = { "attn_k.weight", 0 },
	[MODEL_VALUE] = { "attn_v.weight", 0 },
	[MODEL_ATTENTION_OUTPUT] = { "attn_output.weight", 0 },
	[MODEL_FFN_NORM] = { "ffn_norm.weight", 0 },
	[MODEL_GATE] = { "ffn_gate.weight", 0 },
	[MODEL_UP] = { "ffn_up.weight", 0 },
	[MODEL_DOWN] = { "ffn_down.weight", 0 },
	[MODEL_QUERY_BIAS] = { "attn_q.bias", MODEL_BIASES },
	[MODEL_KEY_BIAS] = { "attn_k.bias", MODEL_BIASES },
	[MODEL_VALUE_BIAS] = { "attn_v.bias", MODEL_BIASES },
	[MODEL_QUERY_NORM] = { "attn_q_norm.weight", MODEL_HEAD_NORMS },
	[MODEL_KEY_NORM] = { "attn_k_norm.weight", MODEL_HEAD_NORMS },
};

static int wrong_shape(const struct tandem_model *model, const struct tandem_gguf_tensor *tensor,
		       uint64_t rows, uint64_t columns, struct tandem_error *error)
{
	return tandem_error_set(error, -EINVAL,
				"%s: tensor %s is [%llu, %llu], where the model's shape asks for [%llu, %llu]",
				tandem_gguf_name(model->file), tensor->name,
				(unsigned long long)tensor->dimensions[0],
				(unsigned long long)tensor->dimensions[1],
				(unsigned long long)columns, (unsigned long long)rows);
}

/* Whether the kernels know an element type of a file. */
static bool matrix_type(uint32_t type)
{
	switch (type) {
	case TANDEM_PROGRAM_F32:
	case TANDEM_PROGRAM_F16:
	case TANDEM_PROGRAM_BF16:
	case TANDEM_PROGRAM_Q8_0:
	case TANDEM_PROGRAM_Q4_0:
	case TANDEM_PROGRAM_Q4_K:
	case TANDEM_PROGRAM_Q6_K:
		return true;
	default:
		return false;
	}
}

/* Find a tensor of @rows by @columns; with one row it is a vector, in F32. */
static int find_tensor(struct tandem_model *model, const char *name, uint64_t rows,
		       uint64_t columns, const struct tandem_gguf_tensor **found,
		       struct tandem_error *error)
{
	const struct tandem_gguf_tensor *tensor = tandem_gguf_tensor(model->file, name);
	const bool vector = rows == 1;
	const char *type;

	if (!tensor)
		return tandem_error_set(error, -EINVAL, "%s: tensor %s is missing",
					tandem_gguf_name(model->file), name);
	if (tensor->dimension_count > 2 || tensor->dimensions[0] != columns ||
	    tensor->dimensions[1] != rows)
		return wrong_shape(model, tensor, rows, columns, error);
	if (vector ? tensor->type != TANDEM_PROGRAM_F32 : !matrix_type(tensor->type)) {
		type = tandem_gguf_type_name(tensor->type);
		return tandem_error_set(error, -EOPNOTSUPP,
					"%s: tensor %s is %s, which is not built yet; %s",
					tandem_gguf_name(model->file), name, type ? type : "?",
					vector ? "F32 is" :
						 "F32, F16, BF16, Q8_0, Q4_0, Q4_K, Q6_K are");
	}
	model->info.weight_bytes += tensor->bytes;
	model->info.parameters += tensor->elements;
	*found = tensor;
	return 0;
}

static int find_layer(struct tandem_model *model, uint32_t layer, struct tandem_error *error)
{
	const struct tandem_model_info *info = &model->info;
	const uint64_t q = (uint64_t)info->heads * info->head_dim;
	const uint64_t kv = (uint64_t)info->kv_heads * info->head_dim;
	const uint64_t shapes[MODEL_LAYER_TENSORS][2] = {
		[MODEL_ATTENTION_NORM] = { 1, info->dim },
		[MODEL_QUERY] = { q, info->dim },
		[MODEL_KEY] = { kv, info->dim },
		[MODEL_VALUE] = { kv, info->dim },
		[MODEL_ATTENTION_OUTPUT] = { info->dim, q },
		[MODEL_FFN_NORM] = { 1, info->dim },
		[MODEL_GATE] = { info->ffn_dim, info->dim },
		[MODEL_UP] = { info->ffn_dim, info->dim },
		[MODEL_DOWN] = { info->dim, info->ffn_dim },
		[MODEL_QUERY_BIAS] = { 1, q },
		[MODEL_KEY_BIAS] = { 1, kv },
		[MODEL_VALUE_BIAS] = { 1, kv },
		[MODEL_QUERY_NORM] = { 1, info->head_dim },
		[MODEL_KEY_NORM] = { 1, info->head_dim },
	};
	const struct model_architecture *architecture = model->architecture;

	for (int i = 0; i < MODEL_LAYER_TENSORS; i++) {
		const unsigned int group = layer_tensors[i].group;
		char name[TANDEM_GGUF_TENSOR_NAME_MAX + 1];
		int ret;

		snprintf(name, sizeof(name), "blk.%u.%s", layer, layer_tensors[i].name);
		if (group && !(architecture->required & group) &&
		    !((architecture->optional & group) && tandem_gguf_tensor(model->file, name)))
			continue;
		ret = find_tensor(model, name, shapes[i][0], shapes[i][1],
				  &model->layers[layer][i], error);
		if (ret)
			return ret;
	}
	return 0;
}

static bool is_used(const struct tandem_model *model, const struct tandem_gguf_tensor *tensor)
{
	bool used = tensor == model->token_embedding || tensor == model->output_norm ||
		    tensor == model->output || tensor == model->rope_freqs;

	for (uint32_t i = 0; i < model->info.layers && !used; i++)
		for (int j = 0; j < MODEL_LAYER_TENSORS; j++)
			used |= tensor == model->layers[i][j];
	return used;
}

static uint32_t count_used(const struct tandem_model *model)
{
	uint32_t count = 2 + !!model->output + !!model->rope_freqs;

	for (uint32_t i = 0; i < model->info.layers; i++)
		for (int j = 0; j < MODEL_LAYER_TENSORS; j++)
			count += !!model->layers[i][j];
	return count;
}

/* A tensor that nothing above has asked for would be left out of the result. */
static int refuse_unknown_tensors(struct tandem_model *model, struct tandem_error *error)
{
	const uint32_t count = tandem_gguf_tensor_count(model->file);

	if (count == count_used(model))
		return 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct tandem_gguf_tensor *tensor = tandem_gguf_tensor_at(model->file, i);

		if (!is_used(model, tensor))
			return tandem_error_set(error, -EOPNOTSUPP,
						"%s: tensor %s has no place in a %s model as it is built here",
						tandem_gguf_name(model->file), tensor->name,
						model->architecture->name);
	}
	return 0;
}

static int find_tensors(struct tandem_model *model, struct tandem_error *error)
{
	const struct tandem_gguf_tensor *embedding;
	struct tandem_model_info *info = &model->info;
	int ret;

	embedding = tandem_gguf_tensor(model->file, "token_embd.weight");
	if (!embedding)
		return tandem_error_set(error, -EINVAL, "%s: tensor token_embd.weight is missing",
					tandem_gguf_name(model->file));
	if (embedding->dimensions[1] > MODEL_WIDTH_MAX * 4u)
		return tandem_error_set(error, -EINVAL, "%s: a vocabulary of %llu makes no sense",
					tandem_gguf_name(model->file),
					(unsigned long long)embedding->dimensions[1]);
	info->vocabulary = (uint32_t)embedding->dimensions[1];
	ret = find_tensor(model, "token_embd.weight", info->vocabulary, info->dim,
			  &model->token_embedding, error);
	if (!ret)
		ret = find_tensor(model, "output_norm.weight", 1, info->dim, &model->output_norm,
				  error);
	if (!ret && tandem_gguf_tensor(model->file, "output.weight"))
		ret = find_tensor(model, "output.weight", info->vocabulary, info->dim,
				  &model->output, error);
	if (ret)
		return ret;
	model->layers = calloc(info->layers, sizeof(*model->layers));
	if (!model->layers)
		return tandem_error_set(error, -ENOMEM, "%s: out of memory",
					tandem_gguf_name(model->file));
	for (uint32_t layer = 0; layer < info->layers && !ret; layer++)
		ret = find_layer(model, layer, error);
	if (!ret)
		ret = refuse_unknown_tensors(model, error);
	return ret;
}

static int check_vocabulary(struct tandem_model *model, struct tandem_error *error)
{
	const uint32_t tokens = tandem_tokenizer_size(model->tokenizer);

	if (tokens == model->info.vocabulary)
		return 0;
	return tandem_error_set(error, -EINVAL,
				"%s: the tokenizer has %u tokens and the embedding %u rows",
				tandem_gguf_name(model->file), tokens, model->info.vocabulary);
}

int tandem_model_load(const char *path, struct tandem_model **model, struct tandem_error *error)
{
	struct tandem_model *new = calloc(1, sizeof(*new));
	int ret;

	if (!new)
		return tandem_error_set(error, -ENOMEM, "%s: out of memory", path);
	ret = tandem_gguf_open(path, &new->file, error);
	if (!ret)
		ret = model_find_architecture(new, error);
	if (!ret)
		ret = model_refuse_unknown_keys(new, error);
	if (!ret)
		ret = model_read_shape(new, error);
	if (!ret)
		ret = model_read_rope(new, error);
	if (!ret)
		ret = find_tensors(new, error);
	if (!ret)
		ret = tandem_tokenizer_create(new->file, &new->tokenizer, error);
	/* -ENOENT is for a file that is not there, rather than for a key of it. */
	if (ret == -ENOENT && new->file)
		ret = -EINVAL;
	if (!ret)
		ret = check_vocabulary(new, error);
	if (ret) {
		tandem_model_free(new);
		return ret;
	}
	*model = new;
	return 0;
}

void tandem_model_free(struct tandem_model *model)
{
	if (!model)
		return;
	tandem_tokenizer_destroy(model->tokenizer);
	free(model->layers);
	free(model->rope_factors);
	tandem_gguf_close(model->file);
	free(model);
}

void tandem_model_get_info(const struct tandem_model *model, struct tandem_model_info *info)
{
	*info = model->info;
}

const struct tandem_tokenizer *tandem_model_tokenizer(const struct tandem_model *model)
{
	return model->tokenizer;
}
