// SPDX-License-Identifier: MIT
/*
 * A model of the `llama` architecture out of a GGUF file.
 *
 * Key and tensor names are those of the GGUF specification and of what
 * converters write for this architecture. A file that holds anything that
 * would change the result and is not built yet is refused: a model either runs
 * right or not at all.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem_program.h>

#include "error.h"
#include "model.h"
#include "tokenizer.h"

/* Bounds of a shape, well beyond any model; they keep products within 64 bits. */
#define LAYERS_MAX	1024
#define WIDTH_MAX	(1u << 20)
#define HEADS_MAX	4096
#define CONTEXT_MAX	(1u << 24)

/* Tensors beside those of the layers: embedding, output norm, output. */
#define OTHER_TENSORS	3

static const char *const layer_tensor_names[MODEL_LAYER_TENSORS] = {
	[MODEL_ATTENTION_NORM] = "attn_norm",
	[MODEL_QUERY] = "attn_q",
	[MODEL_KEY] = "attn_k",
	[MODEL_VALUE] = "attn_v",
	[MODEL_ATTENTION_OUTPUT] = "attn_output",
	[MODEL_FFN_NORM] = "ffn_norm",
	[MODEL_GATE] = "ffn_gate",
	[MODEL_UP] = "ffn_up",
	[MODEL_DOWN] = "ffn_down",
};

static int refuse_architecture(struct tandem_model *model, struct tandem_error *error)
{
	struct tandem_gguf_string architecture, name;
	int ret;

	ret = tandem_gguf_string(model->file, "general.architecture", &architecture, error);
	if (ret)
		return ret == -ENOENT ? -EINVAL : ret;
	if (!tandem_gguf_string_is(architecture, "llama"))
		return tandem_error_set(error, -EOPNOTSUPP,
					"%s: architecture '%.*s' is not built yet; only 'llama' is",
					tandem_gguf_name(model->file),
					(int)(architecture.length < 40 ? architecture.length : 40),
					architecture.data);
	snprintf(model->info.architecture, sizeof(model->info.architecture), "llama");
	if (tandem_gguf_string(model->file, "general.name", &name, NULL))
		name = architecture;
	snprintf(model->info.name, sizeof(model->info.name), "%.*s",
		 (int)(name.length < sizeof(model->info.name) ? name.length : 63), name.data);
	return 0;
}

/* A number of the shape, which has to be within 1 … @max. */
static int read_size(struct tandem_model *model, const char *key, uint32_t max, uint32_t *value,
		     struct tandem_error *error)
{
	int ret = tandem_gguf_u32(model->file, key, value, error);

	if (ret)
		return ret == -ENOENT ? -EINVAL : ret;
	if (!*value || *value > max)
		return tandem_error_set(error, -EINVAL, "%s: %s is %u, not within 1 to %u",
					tandem_gguf_name(model->file), key, *value, max);
	return 0;
}

static int read_heads(struct tandem_model *model, struct tandem_error *error)
{
	const char *name = tandem_gguf_name(model->file);
	struct tandem_model_info *info = &model->info;
	uint32_t value_length;
	int ret;

	ret = read_size(model, "llama.attention.head_count", HEADS_MAX, &info->heads, error);
	if (ret)
		return ret;
	ret = tandem_gguf_u32_or(model->file, "llama.attention.head_count_kv", info->heads,
				 &info->kv_heads, error);
	if (ret)
		return ret;
	if (!info->kv_heads || info->heads % info->kv_heads)
		return tandem_error_set(error, -EINVAL,
					"%s: %u heads cannot share %u key-value heads evenly",
					name, info->heads, info->kv_heads);
	ret = tandem_gguf_u32_or(model->file, "llama.attention.key_length",
				 info->dim / info->heads, &info->head_dim, error);
	if (ret)
		return ret;
	ret = tandem_gguf_u32_or(model->file, "llama.attention.value_length", info->head_dim,
				 &value_length, error);
	if (ret)
		return ret;
	if (!info->head_dim || info->head_dim > WIDTH_MAX / info->heads)
		return tandem_error_set(error, -EINVAL,
					"%s: %u elements for each of %u heads make no sense",
					name, info->head_dim, info->heads);
	if (value_length != info->head_dim)
		return tandem_error_set(error, -EOPNOTSUPP,
					"%s: heads with keys of %u and values of %u elements are not built yet",
					name, info->head_dim, value_length);
	return 0;
}

static int read_rope(struct tandem_model *model, struct tandem_error *error)
{
	const char *name = tandem_gguf_name(model->file);
	struct tandem_gguf_string scaling;
	float factor;
	int ret;

	ret = tandem_gguf_u32_or(model->file, "llama.rope.dimension_count", model->info.head_dim,
				 &model->rope_dim, error);
	if (ret)
		return ret;
	if (!model->rope_dim || model->rope_dim % 2 || model->rope_dim > model->info.head_dim)
		return tandem_error_set(error, -EINVAL,
					"%s: %u rotated elements do not go into heads of %u",
					name, model->rope_dim, model->info.head_dim);
	ret = tandem_gguf_f32_or(model->file, "llama.rope.freq_base", 10000.0f,
				 &model->rope_frequency_base, error);
	if (ret)
		return ret;
	if (!(model->rope_frequency_base > 0.0f))
		return tandem_error_set(error, -EINVAL, "%s: llama.rope.freq_base is not positive",
					name);
	model->rope_frequency_scale = 1.0f;
	if (!tandem_gguf_has(model->file, "llama.rope.scaling.type"))
		return 0;
	ret = tandem_gguf_string(model->file, "llama.rope.scaling.type", &scaling, error);
	if (ret)
		return ret;
	if (tandem_gguf_string_is(scaling, "none"))
		return 0;
	if (!tandem_gguf_string_is(scaling, "linear"))
		return tandem_error_set(error, -EOPNOTSUPP,
					"%s: RoPE scaling '%.*s' is not built yet; 'linear' is", name,
					(int)(scaling.length < 40 ? scaling.length : 40),
					scaling.data);
	ret = tandem_gguf_f32_or(model->file, "llama.rope.scaling.factor", 1.0f, &factor, error);
	if (ret)
		return ret;
	if (!(factor > 0.0f))
		return tandem_error_set(error, -EINVAL,
					"%s: llama.rope.scaling.factor is not positive", name);
	model->rope_frequency_scale = 1.0f / factor;
	return 0;
}

static int read_shape(struct tandem_model *model, struct tandem_error *error)
{
	struct tandem_model_info *info = &model->info;
	uint32_t experts;
	int ret;

	ret = read_size(model, "llama.block_count", LAYERS_MAX, &info->layers, error);
	if (!ret)
		ret = read_size(model, "llama.embedding_length", WIDTH_MAX, &info->dim, error);
	if (!ret)
		ret = read_size(model, "llama.feed_forward_length", WIDTH_MAX, &info->ffn_dim,
				error);
	if (!ret)
		ret = read_size(model, "llama.context_length", CONTEXT_MAX, &info->context, error);
	if (!ret)
		ret = read_heads(model, error);
	if (!ret)
		ret = read_rope(model, error);
	if (!ret)
		ret = tandem_gguf_f32(model->file, "llama.attention.layer_norm_rms_epsilon",
				      &model->rms_epsilon, error);
	if (ret)
		return ret == -ENOENT ? -EINVAL : ret;
	if (!(model->rms_epsilon >= 0.0f))
		return tandem_error_set(error, -EINVAL, "%s: the epsilon of its norms is negative",
					tandem_gguf_name(model->file));
	ret = tandem_gguf_u32_or(model->file, "llama.expert_count", 0, &experts, error);
	if (!ret && experts)
		ret = tandem_error_set(error, -EOPNOTSUPP,
				       "%s: mixtures of experts are not built yet",
				       tandem_gguf_name(model->file));
	return ret;
}

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
	};

	for (int i = 0; i < MODEL_LAYER_TENSORS; i++) {
		char name[TANDEM_GGUF_TENSOR_NAME_MAX + 1];
		int ret;

		snprintf(name, sizeof(name), "blk.%u.%s.weight", layer, layer_tensor_names[i]);
		ret = find_tensor(model, name, shapes[i][0], shapes[i][1],
				  &model->layers[layer][i], error);
		if (ret)
			return ret;
	}
	return 0;
}

/* A tensor that nothing above has asked for would be left out of the result. */
static int refuse_unknown_tensors(struct tandem_model *model, struct tandem_error *error)
{
	const uint32_t count = tandem_gguf_tensor_count(model->file);
	const uint32_t known = model->info.layers * MODEL_LAYER_TENSORS + OTHER_TENSORS -
			       !model->output;

	if (count == known)
		return 0;
	for (uint32_t i = 0; i < count; i++) {
		const char *name = tandem_gguf_tensor_at(model->file, i)->name;
		unsigned int layer;
		char kind[TANDEM_GGUF_TENSOR_NAME_MAX + 1];
		bool found = !strcmp(name, "token_embd.weight") ||
			     !strcmp(name, "output_norm.weight") || !strcmp(name, "output.weight");

		if (sscanf(name, "blk.%u.%64s", &layer, kind) == 2 && layer < model->info.layers) {
			char *end = strrchr(kind, '.');

			if (end && !strcmp(end, ".weight")) {
				*end = 0;
				for (int j = 0; j < MODEL_LAYER_TENSORS; j++)
					found |= !strcmp(kind, layer_tensor_names[j]);
			}
		}
		if (!found)
			return tandem_error_set(error, -EOPNOTSUPP,
						"%s: tensor %s has no place in a llama model as it is built here",
						tandem_gguf_name(model->file), name);
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
	if (embedding->dimensions[1] > WIDTH_MAX * 4u)
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
		ret = refuse_architecture(new, error);
	if (!ret)
		ret = read_shape(new, error);
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
