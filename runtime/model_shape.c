// SPDX-License-Identifier: MIT
/* The shape of a model. */
#include <errno.h>

#include "error.h"
#include "model_keys.h"
#include "model_shape.h"

/* Bounds of a shape; they keep products within 64 bits. */
#define LAYERS_MAX	1024
#define HEADS_MAX	4096
#define CONTEXT_MAX	(1u << 24)

/* A number of the shape, which has to be within 1 … @max. */
static int read_size(const struct tandem_model *model, const char *name, uint32_t max,
		     uint32_t *value, struct tandem_error *error)
{
	int ret = model_u32(model, name, value, error);

	if (ret)
		return ret == -ENOENT ? -EINVAL : ret;
	if (!*value || *value > max)
		return tandem_error_set(error, -EINVAL, "%s: %s.%s is %u, not within 1 to %u",
					tandem_gguf_name(model->file), model->architecture->name,
					name, *value, max);
	return 0;
}

static int read_heads(struct tandem_model *model, struct tandem_error *error)
{
	const char *name = tandem_gguf_name(model->file);
	struct tandem_model_info *info = &model->info;
	uint32_t value_length;
	int ret;

	ret = read_size(model, "attention.head_count", HEADS_MAX, &info->heads, error);
	if (ret)
		return ret;
	ret = model_u32_or(model, "attention.head_count_kv", info->heads, &info->kv_heads, error);
	if (ret)
		return ret;
	if (!info->kv_heads || info->heads % info->kv_heads)
		return tandem_error_set(error, -EINVAL,
					"%s: %u heads cannot share %u key-value heads evenly",
					name, info->heads, info->kv_heads);
	ret = model_u32_or(model, "attention.key_length", info->dim / info->heads,
			   &info->head_dim, error);
	if (ret)
		return ret;
	ret = model_u32_or(model, "attention.value_length", info->head_dim, &value_length, error);
	if (ret)
		return ret;
	if (!info->head_dim || info->head_dim > MODEL_WIDTH_MAX / info->heads)
		return tandem_error_set(error, -EINVAL,
					"%s: %u elements for each of %u heads make no sense",
					name, info->head_dim, info->heads);
	if (value_length != info->head_dim)
		return tandem_error_set(error, -EOPNOTSUPP,
					"%s: heads with keys of %u and values of %u elements are not built",
					name, info->head_dim, value_length);
	return 0;
}

/* What attention may see, other than all tokens before. */
static int refuse_masks(const struct tandem_model *model, struct tandem_error *error)
{
	uint32_t window;
	bool causal;
	int ret;

	ret = model_bool_or(model, "attention.causal", true, &causal, error);
	if (!ret && !causal)
		ret = model_refuse_value(model, "attention.causal",
					 "attention to tokens that follow", error);
	if (!ret)
		ret = model_u32_or(model, "attention.sliding_window", 0, &window, error);
	if (!ret && window && window < model->info.context)
		ret = model_refuse_value(model, "attention.sliding_window",
					 "attention to the last tokens only", error);
	return ret;
}

static int refuse_experts(const struct tandem_model *model, struct tandem_error *error)
{
	uint32_t experts;
	int ret = model_u32_or(model, "expert_count", 0, &experts, error);

	if (!ret && experts)
		ret = model_refuse_value(model, "expert_count", "a mixture of experts", error);
	return ret;
}

int model_read_shape(struct tandem_model *model, struct tandem_error *error)
{
	struct tandem_model_info *info = &model->info;
	int ret;

	ret = read_size(model, "block_count", LAYERS_MAX, &info->layers, error);
	if (!ret)
		ret = read_size(model, "embedding_length", MODEL_WIDTH_MAX, &info->dim, error);
	if (!ret)
		ret = read_size(model, "feed_forward_length", MODEL_WIDTH_MAX, &info->ffn_dim,
				error);
	if (!ret)
		ret = read_size(model, "context_length", CONTEXT_MAX, &info->context, error);
	if (!ret)
		ret = read_heads(model, error);
	if (!ret)
		ret = refuse_masks(model, error);
	if (!ret)
		ret = refuse_experts(model, error);
	if (!ret)
		ret = model_f32(model, "attention.layer_norm_rms_epsilon", &model->rms_epsilon,
				error);
	if (ret)
		return ret == -ENOENT ? -EINVAL : ret;
	if (!(model->rms_epsilon > 0.0f))
		return tandem_error_set(error, -EINVAL,
					"%s: the epsilon of its norms is not positive",
					tandem_gguf_name(model->file));
	return 0;
}
