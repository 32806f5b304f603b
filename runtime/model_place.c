// SPDX-License-Identifier: MIT
/* A model in a device's memory. */
#include <string.h>

#include <tandem_program.h>

#include "model_place.h"

/* Of tensors. */
#define ALIGNMENT	64

/* How much of a tensor is read from its file at a time. */
#define UPLOAD_BYTES		(8u << 20)

static uint64_t align_up(uint64_t value)
{
	return (value + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static uint32_t float_bits(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static struct tandem_program_tensor describe_tensor(const struct tandem_gguf_tensor *tensor,
						    uint64_t *offset)
{
	struct tandem_program_tensor description = { 0 };

	if (!tensor)
		return description;
	description.offset = *offset;
	description.type = tensor->type;
	description.present = 1;
	*offset = align_up(*offset + tensor->bytes);
	return description;
}

/* Divisors of frequencies, which need not be a tensor of the file. */
static struct tandem_program_tensor describe_factors(const struct tandem_model *model,
						     uint64_t *offset)
{
	const struct tandem_program_tensor description = {
		.offset = *offset, .type = TANDEM_PROGRAM_F32, .present = 1,
	};

	*offset = align_up(*offset + model->rope_dim / 2 * sizeof(float));
	return description;
}

uint64_t model_description_bytes(const struct tandem_model *model)
{
	return sizeof(struct tandem_program_model) +
	       model->info.layers * sizeof(struct tandem_program_layer);
}

uint64_t model_describe(const struct tandem_model *model,
			struct tandem_program_model *description)
{
	const struct tandem_model_info *info = &model->info;
	uint64_t offset = align_up(model_description_bytes(model));

	description->magic = TANDEM_PROGRAM_MODEL_MAGIC;
	description->architecture = TANDEM_PROGRAM_LLAMA;
	description->layers = info->layers;
	description->dim = info->dim;
	description->ffn_dim = info->ffn_dim;
	description->heads = info->heads;
	description->kv_heads = info->kv_heads;
	description->head_dim = info->head_dim;
	description->rope_dim = model->rope_dim;
	description->vocabulary = info->vocabulary;
	description->context = info->context;
	description->rms_epsilon = float_bits(model->rms_epsilon);
	description->rope_frequency_base = float_bits(model->rope_frequency_base);
	description->rope_frequency_scale = float_bits(model->rope_frequency_scale);
	description->rope_pairs = model->architecture->rope_halves ?
					  TANDEM_PROGRAM_ROPE_HALVES :
					  TANDEM_PROGRAM_ROPE_ADJACENT;
	description->rope_magnitude = float_bits(model->rope_magnitude);
	if (model->rope_factors)
		description->rope_factors = describe_factors(model, &offset);
	description->token_embedding = describe_tensor(model->token_embedding, &offset);
	description->output_norm = describe_tensor(model->output_norm, &offset);
	description->output = describe_tensor(model->output, &offset);
	for (uint32_t i = 0; i < info->layers; i++) {
		const struct tandem_gguf_tensor *const *tensor = model->layers[i];
		struct tandem_program_layer *layer = &description->layer[i];

		layer->attention_norm = describe_tensor(tensor[MODEL_ATTENTION_NORM], &offset);
		layer->query = describe_tensor(tensor[MODEL_QUERY], &offset);
		layer->key = describe_tensor(tensor[MODEL_KEY], &offset);
		layer->value = describe_tensor(tensor[MODEL_VALUE], &offset);
		layer->attention_output = describe_tensor(tensor[MODEL_ATTENTION_OUTPUT], &offset);
		layer->ffn_norm = describe_tensor(tensor[MODEL_FFN_NORM], &offset);
		layer->gate = describe_tensor(tensor[MODEL_GATE], &offset);
		layer->up = describe_tensor(tensor[MODEL_UP], &offset);
		layer->down = describe_tensor(tensor[MODEL_DOWN], &offset);
		layer->query_bias = describe_tensor(tensor[MODEL_QUERY_BIAS], &offset);
		layer->key_bias = describe_tensor(tensor[MODEL_KEY_BIAS], &offset);
		layer->value_bias = describe_tensor(tensor[MODEL_VALUE_BIAS], &offset);
		layer->query_norm = describe_tensor(tensor[MODEL_QUERY_NORM], &offset);
		layer->key_norm = describe_tensor(tensor[MODEL_KEY_NORM], &offset);
	}
	return offset;
}

/* Read one tensor from the file straight into the mapped device memory. */
static int load_tensor(const struct tandem_model *model,
		       const struct tandem_gguf_tensor *tensor,
		       struct tandem_program_tensor place, unsigned char *base,
		       struct model_progress *progress, struct tandem_error *error)
{
	uint64_t done = 0;

	while (tensor && done < tensor->bytes) {
		uint64_t piece = tensor->bytes - done;
		int ret;

		if (piece > UPLOAD_BYTES)
			piece = UPLOAD_BYTES;
		ret = tandem_gguf_read(model->file, tensor, done,
				       base + place.offset + done, piece, error);
		if (ret)
			return ret;
		XXH3_128bits_update(progress->content, base + place.offset + done, piece);
		done += piece;
		progress->done += piece;
		if (progress->told)
			progress->told(progress->user, progress->done, model->info.weight_bytes);
	}
	return 0;
}

static int load_layer(const struct tandem_model *model, uint32_t index,
		      const struct tandem_program_layer *layer, unsigned char *base,
		      struct model_progress *progress, struct tandem_error *error)
{
	const struct tandem_program_tensor places[MODEL_LAYER_TENSORS] = {
		[MODEL_ATTENTION_NORM] = layer->attention_norm,
		[MODEL_QUERY] = layer->query,
		[MODEL_KEY] = layer->key,
		[MODEL_VALUE] = layer->value,
		[MODEL_ATTENTION_OUTPUT] = layer->attention_output,
		[MODEL_FFN_NORM] = layer->ffn_norm,
		[MODEL_GATE] = layer->gate,
		[MODEL_UP] = layer->up,
		[MODEL_DOWN] = layer->down,
		[MODEL_QUERY_BIAS] = layer->query_bias,
		[MODEL_KEY_BIAS] = layer->key_bias,
		[MODEL_VALUE_BIAS] = layer->value_bias,
		[MODEL_QUERY_NORM] = layer->query_norm,
		[MODEL_KEY_NORM] = layer->key_norm,
	};
	int ret = 0;

	for (int i = 0; i < MODEL_LAYER_TENSORS && !ret; i++)
		ret = load_tensor(model, model->layers[index][i], places[i], base, progress,
				  error);
	return ret;
}

int model_load_tensors(const struct tandem_model *model,
		       const struct tandem_program_model *description, unsigned char *base,
		       struct model_progress *progress, struct tandem_error *error)
{
	int ret;

	if (model->rope_factors) {
		const size_t bytes = model->rope_dim / 2 * sizeof(float);

		memcpy(base + description->rope_factors.offset, model->rope_factors, bytes);
		XXH3_128bits_update(progress->content, model->rope_factors, bytes);
	}
	ret = load_tensor(model, model->token_embedding, description->token_embedding, base,
			  progress, error);
	if (!ret)
		ret = load_tensor(model, model->output_norm, description->output_norm, base,
				  progress, error);
	if (!ret)
		ret = load_tensor(model, model->output, description->output, base, progress, error);
	for (uint32_t i = 0; i < description->layers && !ret; i++)
		ret = load_layer(model, i, &description->layer[i], base, progress, error);
	return ret;
}
