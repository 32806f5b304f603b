// SPDX-License-Identifier: MIT
/*
 * Metadata of models. The names are those of the GGUF specification and of what
 * converters write for these architectures.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "model_keys.h"

/* The longest name of a key here, with its architecture. */
#define KEY_MAX		96

static const struct model_architecture architectures[] = {
	{ .name = "llama", .optional = MODEL_BIASES },
	{ .name = "qwen2", .rope_halves = true, .required = MODEL_BIASES },
	{ .name = "qwen3", .rope_halves = true, .required = MODEL_HEAD_NORMS },
};

/* Each is read by somebody, or makes no difference to the result. */
static const char *const known_keys[] = {
	"attention.causal",
	"attention.head_count",
	"attention.head_count_kv",
	"attention.key_length",
	"attention.layer_norm_rms_epsilon",
	"attention.sliding_window",
	"attention.value_length",
	"block_count",
	"context_length",
	"embedding_length",
	"expert_count",
	"expert_used_count",
	"feed_forward_length",
	"rope.dimension_count",
	"rope.freq_base",
	"rope.scale_linear",
	"rope.scaling.attn_factor",
	"rope.scaling.factor",
	"rope.scaling.finetuned",
	"rope.scaling.original_context_length",
	"rope.scaling.type",
	"rope.scaling.yarn_attn_factor",
	"rope.scaling.yarn_beta_fast",
	"rope.scaling.yarn_beta_slow",
	"rope.scaling.yarn_ext_factor",
	"vocab_size",
};

static int shown(struct tandem_gguf_string string)
{
	return (int)(string.length < 60 ? string.length : 60);
}

int model_find_architecture(struct tandem_model *model, struct tandem_error *error)
{
	struct tandem_model_info *info = &model->info;
	struct tandem_gguf_string name, title;
	int ret;

	ret = tandem_gguf_string(model->file, "general.architecture", &name, error);
	if (ret)
		return ret == -ENOENT ? -EINVAL : ret;
	for (size_t i = 0; i < sizeof(architectures) / sizeof(architectures[0]); i++)
		if (tandem_gguf_string_is(name, architectures[i].name))
			model->architecture = &architectures[i];
	if (!model->architecture)
		return tandem_error_set(error, -EOPNOTSUPP,
					"%s: architecture '%.*s' is not built; llama, qwen2 and qwen3 are",
					tandem_gguf_name(model->file), shown(name), name.data);
	snprintf(info->architecture, sizeof(info->architecture), "%s", model->architecture->name);
	if (tandem_gguf_string(model->file, "general.name", &title, NULL))
		title = name;
	snprintf(info->name, sizeof(info->name), "%.*s",
		 (int)(title.length < sizeof(info->name) ? title.length : sizeof(info->name) - 1),
		 title.data);
	return 0;
}

static bool is_known(const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof(known_keys) / sizeof(known_keys[0]); i++)
		if (strlen(known_keys[i]) == length && !memcmp(known_keys[i], name, length))
			return true;
	return false;
}

int model_refuse_unknown_keys(const struct tandem_model *model, struct tandem_error *error)
{
	const size_t prefix = strlen(model->architecture->name);

	for (uint32_t i = 0; i < tandem_gguf_key_count(model->file); i++) {
		const struct tandem_gguf_string key = tandem_gguf_key_at(model->file, i);

		if (key.length <= prefix || key.data[prefix] != '.' ||
		    memcmp(key.data, model->architecture->name, prefix))
			continue;
		if (!is_known(key.data + prefix + 1, key.length - prefix - 1))
			return tandem_error_set(error, -EOPNOTSUPP,
						"%s: key '%.*s' is not known here, and may change what the model says",
						tandem_gguf_name(model->file), shown(key), key.data);
	}
	return 0;
}

int model_refuse_value(const struct tandem_model *model, const char *name, const char *what,
		       struct tandem_error *error)
{
	return tandem_error_set(error, -EOPNOTSUPP, "%s: %s.%s: %s is not built",
				tandem_gguf_name(model->file), model->architecture->name, name,
				what);
}

static const char *full_name(const struct tandem_model *model, const char *name,
			     char key[KEY_MAX])
{
	snprintf(key, KEY_MAX, "%s.%s", model->architecture->name, name);
	return key;
}

bool model_has(const struct tandem_model *model, const char *name)
{
	char key[KEY_MAX];

	return tandem_gguf_has(model->file, full_name(model, name, key));
}

int model_u32(const struct tandem_model *model, const char *name, uint32_t *value,
	      struct tandem_error *error)
{
	char key[KEY_MAX];

	return tandem_gguf_u32(model->file, full_name(model, name, key), value, error);
}

int model_u32_or(const struct tandem_model *model, const char *name, uint32_t fallback,
		 uint32_t *value, struct tandem_error *error)
{
	char key[KEY_MAX];

	return tandem_gguf_u32_or(model->file, full_name(model, name, key), fallback, value,
				  error);
}

int model_f32(const struct tandem_model *model, const char *name, float *value,
	      struct tandem_error *error)
{
	char key[KEY_MAX];

	return tandem_gguf_f32(model->file, full_name(model, name, key), value, error);
}

int model_f32_or(const struct tandem_model *model, const char *name, float fallback, float *value,
		 struct tandem_error *error)
{
	char key[KEY_MAX];

	return tandem_gguf_f32_or(model->file, full_name(model, name, key), fallback, value,
				  error);
}

int model_bool_or(const struct tandem_model *model, const char *name, bool fallback, bool *value,
		  struct tandem_error *error)
{
	char key[KEY_MAX];

	return tandem_gguf_bool_or(model->file, full_name(model, name, key), fallback, value,
				   error);
}

int model_string(const struct tandem_model *model, const char *name,
		 struct tandem_gguf_string *value, struct tandem_error *error)
{
	char key[KEY_MAX];

	return tandem_gguf_string(model->file, full_name(model, name, key), value, error);
}
