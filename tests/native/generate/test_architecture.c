// SPDX-License-Identifier: MIT
/*
 * Architectures and their variants, from a file to the logits: small random
 * models against a reference in double precision, and files that are refused.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <tandem/tandem.h>

#include "../firmware/tiny_model.h"
#include "../support/gguf_writer.h"
#include "runtime/gguf.h"

#define TOKENS		48
#define TENSORS_MAX	64
/* Logits are up to 5; F32 throughout. */
#define TOLERANCE	2e-4

/**
 * struct variant - a file
 * @architecture: of it
 * @shape: of the model that is in it
 * @name: of a key more, after the architecture's; NULL for none
 * @type: of that key: u, f, b or s
 * @number: its value
 * @text: likewise
 * @without: a tensor that is left out
 * @rename: a tensor that gets another name
 */
struct variant {
	const char *architecture;
	struct tiny_shape shape;
	const char *name;
	char type;
	double number;
	const char *text;
	const char *without;
	const char *rename;
};

static const struct tiny_shape plain = {
	.layers = 2, .dim = 64, .ffn_dim = 96, .heads = 4, .kv_heads = 2, .head_dim = 32,
	.rope_dim = 32, .vocabulary = 300, .context = 64, .rope_scale = 1,
};

static char path[64];

static struct tiny_shape shape_of(const char *architecture)
{
	struct tiny_shape shape = plain;

	shape.rope_halves = architecture[0] == 'q';
	shape.biases = !strcmp(architecture, "qwen2");
	shape.head_norms = !strcmp(architecture, "qwen3");
	return shape;
}

static void put_tokenizer(struct gguf_writer *file, uint32_t count)
{
	static const char *const special[] = { "<unk>", "<s>", "</s>" };

	gguf_writer_key_string(file, "tokenizer.ggml.model", "llama");
	gguf_writer_key_array(file, "tokenizer.ggml.tokens", TANDEM_GGUF_STRING, count);
	for (uint32_t i = 0; i < count; i++) {
		char text[16];

		snprintf(text, sizeof(text), i < 3 ? special[i] : i < 259 ? "<0x%02X>" : "w%u",
			 i < 259 ? i - 3 : i);
		gguf_writer_string(file, text);
	}
	gguf_writer_key_array(file, "tokenizer.ggml.scores", TANDEM_GGUF_FLOAT32, count);
	for (uint32_t i = 0; i < count; i++)
		gguf_writer_f32(file, -(float)i);
	gguf_writer_key_array(file, "tokenizer.ggml.token_type", TANDEM_GGUF_INT32, count);
	for (uint32_t i = 0; i < count; i++)
		gguf_writer_u32(file, !i ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1);
	gguf_writer_key_u32(file, "tokenizer.ggml.bos_token_id", 1);
	gguf_writer_key_u32(file, "tokenizer.ggml.eos_token_id", 2);
}

static const char *key_of(const struct variant *variant, const char *name, char key[96])
{
	snprintf(key, 96, "%s.%s", variant->architecture, name);
	return key;
}

static void put_number(struct gguf_writer *file, const struct variant *variant, const char *name,
		       uint32_t value)
{
	char key[96];

	gguf_writer_key_u32(file, key_of(variant, name, key), value);
}

static void put_float(struct gguf_writer *file, const struct variant *variant, const char *name,
		      float value)
{
	char key[96];

	gguf_writer_key_f32(file, key_of(variant, name, key), value);
}

static void put_keys(struct gguf_writer *file, const struct variant *variant)
{
	const struct tiny_shape *s = &variant->shape;
	char key[96];

	gguf_writer_key_string(file, "general.architecture", variant->architecture);
	put_number(file, variant, "block_count", s->layers);
	put_number(file, variant, "embedding_length", s->dim);
	put_number(file, variant, "feed_forward_length", s->ffn_dim);
	put_number(file, variant, "context_length", s->context);
	put_number(file, variant, "attention.head_count", s->heads);
	put_number(file, variant, "attention.head_count_kv", s->kv_heads);
	put_number(file, variant, "attention.key_length", s->head_dim);
	put_number(file, variant, "attention.value_length", s->head_dim);
	put_number(file, variant, "rope.dimension_count", s->rope_dim);
	put_float(file, variant, "attention.layer_norm_rms_epsilon", 1e-5f);
	if (s->rope_scale != 1) {
		gguf_writer_key_string(file, key_of(variant, "rope.scaling.type", key), "linear");
		put_float(file, variant, "rope.scaling.factor", 1 / s->rope_scale);
	}
	if (s->yarn_factor != 0) {
		gguf_writer_key_string(file, key_of(variant, "rope.scaling.type", key), "yarn");
		put_float(file, variant, "rope.scaling.factor", s->yarn_factor);
		put_number(file, variant, "rope.scaling.original_context_length",
			   s->yarn_context);
	}
	if (variant->name)
		key_of(variant, variant->name, key);
	if (variant->name && variant->type == 'u')
		gguf_writer_key_u32(file, key, (uint32_t)variant->number);
	if (variant->name && variant->type == 'f')
		gguf_writer_key_f32(file, key, (float)variant->number);
	if (variant->name && variant->type == 'b')
		gguf_writer_key_bool(file, key, variant->number != 0);
	if (variant->name && variant->type == 's')
		gguf_writer_key_string(file, key, variant->text);
	put_tokenizer(file, s->vocabulary);
}

/* A tensor of the file: what it is called, and what it is in the model. */
struct named {
	char name[64];
	const struct tandem_program_tensor *tensor;
	uint64_t rows, columns;
};

static uint32_t list_tensors(const struct tiny_model *model, struct named *list)
{
	const struct tiny_shape *s = &model->shape;
	const struct tandem_program_model *d = model->description;
	const uint64_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
	const struct named others[] = {
		{ "token_embd.weight", &d->token_embedding, s->vocabulary, s->dim },
		{ "output_norm.weight", &d->output_norm, 1, s->dim },
		{ "output.weight", &d->output, s->vocabulary, s->dim },
		{ "rope_freqs.weight", &d->rope_factors, 1, s->rope_dim / 2 },
	};
	uint32_t count = 4;

	memcpy(list, others, sizeof(others));
	for (uint32_t i = 0; i < s->layers; i++) {
		const struct tandem_program_layer *l = &d->layer[i];
		const struct named layer[] = {
			{ "attn_norm.weight", &l->attention_norm, 1, s->dim },
			{ "attn_q.weight", &l->query, q, s->dim },
			{ "attn_k.weight", &l->key, kv, s->dim },
			{ "attn_v.weight", &l->value, kv, s->dim },
			{ "attn_output.weight", &l->attention_output, s->dim, q },
			{ "ffn_norm.weight", &l->ffn_norm, 1, s->dim },
			{ "ffn_gate.weight", &l->gate, s->ffn_dim, s->dim },
			{ "ffn_up.weight", &l->up, s->ffn_dim, s->dim },
			{ "ffn_down.weight", &l->down, s->dim, s->ffn_dim },
			{ "attn_q.bias", &l->query_bias, 1, q },
			{ "attn_k.bias", &l->key_bias, 1, kv },
			{ "attn_v.bias", &l->value_bias, 1, kv },
			{ "attn_q_norm.weight", &l->query_norm, 1, s->head_dim },
			{ "attn_k_norm.weight", &l->key_norm, 1, s->head_dim },
		};

		for (size_t j = 0; j < sizeof(layer) / sizeof(layer[0]); j++) {
			list[count] = layer[j];
			snprintf(list[count++].name, sizeof(list->name), "blk.%u.%.40s", i,
				 layer[j].name);
		}
	}
	return count;
}

static bool same(const char *name, const char *other)
{
	return other && !strcmp(name, other);
}

static void write_file(const struct variant *variant, const struct tiny_model *model)
{
	struct named list[TENSORS_MAX];
	const uint32_t count = list_tensors(model, list);
	struct gguf_writer file;
	uint64_t offset = 0;

	gguf_writer_begin(&file);
	put_keys(&file, variant);
	for (uint32_t i = 0; i < count; i++) {
		const uint64_t dimensions[] = { list[i].columns, list[i].rows };

		if (!list[i].tensor->present || same(list[i].name, variant->without))
			continue;
		gguf_writer_tensor(&file,
				   same(list[i].name, variant->rename) ? "odd" : list[i].name,
				   list[i].rows > 1 ? 2 : 1, dimensions, 0, offset);
		offset += (list[i].rows * list[i].columns * sizeof(float) + 31) / 32 * 32;
	}
	gguf_writer_align(&file, 32);
	for (uint32_t i = 0; i < count; i++) {
		if (!list[i].tensor->present || same(list[i].name, variant->without))
			continue;
		gguf_writer_put(&file, model->weights + list[i].tensor->offset,
				list[i].rows * list[i].columns * sizeof(float));
		gguf_writer_align(&file, 32);
	}
	assert_int_equal(gguf_writer_save(&file, path), 0);
	gguf_writer_end(&file);
}

/* Logits after each token, as the library has them, one forward for each. */
static void run_model(const uint32_t *tokens, float *logits, uint32_t vocabulary)
{
	const struct tandem_instance_options options = { .kv_type = 0, .block_tokens = 4 };
	struct tandem_kv_sequence sequence;
	struct tandem_error error = { 0 };
	struct tandem_instance *instance;
	struct tandem_device *device;
	struct tandem_model *model;
	struct tandem_loop *loop;

	if (tandem_loop_create(&loop, &error) || tandem_model_load(path, &model, &error) ||
	    tandem_device_open(loop, "inproc:wse3,cores=1", &device, &error) ||
	    tandem_instance_create(loop, device, model, &options, &instance, &error))
		fail_msg("%s", error.message);
	tandem_kv_sequence_init(&sequence, tandem_instance_kv_pool(instance));
	assert_int_equal(tandem_kv_sequence_reserve(&sequence, TOKENS), 0);
	for (uint32_t i = 0; i < TOKENS; i++) {
		struct tandem_operation op = { 0 };
		const struct tandem_forward forward = {
			.sequence = &sequence, .tokens = &tokens[i], .position = i, .rows = 1,
			.layer_count = plain.layers, .output = 1, .logits = 1,
		};

		assert_int_equal(tandem_forward_start(instance, &forward, &op), 0);
		assert_int_equal(tandem_loop_wait(loop, &op, -1), 0);
		assert_int_equal(op.result, 0);
		memcpy(logits + (size_t)i * vocabulary, tandem_forward_logits(instance),
		       vocabulary * sizeof(*logits));
	}
	tandem_kv_sequence_release(&sequence);
	tandem_instance_destroy(instance);
	tandem_device_close(device);
	tandem_model_free(model);
	tandem_loop_destroy(loop);
}

static void check_variant(const struct variant *variant)
{
	const uint32_t vocabulary = variant->shape.vocabulary;
	float *logits = calloc((size_t)TOKENS * vocabulary, sizeof(*logits));
	double *expected = calloc((size_t)TOKENS * vocabulary, sizeof(*expected));
	uint32_t tokens[TOKENS], random = 5;
	struct tiny_model model;

	for (uint32_t i = 0; i < TOKENS; i++)
		tokens[i] = tiny_random(&random) % vocabulary;
	tiny_model_create(&model, &variant->shape, 4711);
	write_file(variant, &model);
	run_model(tokens, logits, vocabulary);
	tiny_model_reference(&model, tokens, TOKENS, 0, expected);
	for (size_t i = 0; i < (size_t)TOKENS * vocabulary; i++)
		if (!(fabs(logits[i] - expected[i]) <= TOLERANCE))
			fail_msg("%s, token %zu, logit %zu: %g instead of %g",
				 variant->architecture, i / vocabulary, i % vocabulary,
				 (double)logits[i], expected[i]);
	tiny_model_free(&model);
	free(expected);
	free(logits);
}

#define EACH_ARCHITECTURE(name) \
	(const char *const *name = (const char *const[]){ "llama", "qwen2", "qwen3", NULL }; \
	 *name; name++)

static void test_architectures(void **state)
{
	(void)state;
	for EACH_ARCHITECTURE(name) {
		struct variant variant = { *name, .shape = shape_of(*name) };

		check_variant(&variant);
		variant.shape.tied = true;
		variant.shape.rope_dim = 20;
		check_variant(&variant);
	}
}

static void test_optional_biases(void **state)
{
	struct variant variant = { "llama", .shape = plain };

	(void)state;
	variant.shape.biases = true;
	check_variant(&variant);
}

static void test_rope_scaling(void **state)
{
	(void)state;
	for EACH_ARCHITECTURE(name) {
		struct variant variant = { *name, .shape = shape_of(*name) };

		variant.shape.rope_scale = 0.25f;
		check_variant(&variant);
		variant.shape.rope_scale = 1;
		variant.shape.rope_factors = true;
		check_variant(&variant);
		variant.shape.rope_factors = false;
		/* Some pairs as they were, some between, some interpolated. */
		variant.shape.yarn_factor = 4;
		variant.shape.yarn_context = 2000;
		check_variant(&variant);
		variant.shape.yarn_factor = 2.5f;
		variant.shape.yarn_context = 24;
		check_variant(&variant);
	}
}

/* A factor counts without a type, and under its older name. */
static void test_linear_without_type(void **state)
{
	struct variant variant = { "llama", .shape = plain };
	uint32_t tokens[TOKENS] = { 0 };
	const size_t count = (size_t)TOKENS * plain.vocabulary;
	float *logits[3];
	struct tiny_model model;

	(void)state;
	tiny_model_create(&model, &plain, 1);
	for (int i = 0; i < 3; i++) {
		variant.name = i == 1 ? "rope.scaling.factor" : "rope.scale_linear";
		variant.type = 'f';
		variant.number = i ? 3 : 1;
		logits[i] = calloc(count, sizeof(float));
		write_file(&variant, &model);
		run_model(tokens, logits[i], plain.vocabulary);
	}
	assert_memory_equal(logits[1], logits[2], count * sizeof(float));
	assert_memory_not_equal(logits[0], logits[1], count * sizeof(float));
	for (int i = 0; i < 3; i++)
		free(logits[i]);
	tiny_model_free(&model);
}

static void check_refusal(const struct variant *variant, int expected, const char *word)
{
	struct tandem_error error = { 0 };
	struct tandem_model *loaded = NULL;
	struct tiny_model model;
	int ret;

	tiny_model_create(&model, &variant->shape, 1);
	write_file(variant, &model);
	ret = tandem_model_load(path, &loaded, &error);
	tandem_model_free(ret ? NULL : loaded);
	if (ret != expected || (expected && !strstr(error.message, word)))
		fail_msg("%s: %d (%s) instead of %d", word, ret, error.message, expected);
	tiny_model_free(&model);
}

static void test_keys(void **state)
{
	static const struct {
		const char *name;
		char type;
		double number;
		const char *text;
		int expected;
	} keys[] = {
		{ "vocab_size", 'u', 300, NULL, 0 },
		{ "expert_count", 'u', 0, NULL, 0 },
		{ "expert_count", 'u', 8, NULL, -EOPNOTSUPP },
		{ "attention.causal", 'b', 1, NULL, 0 },
		{ "attention.causal", 'b', 0, NULL, -EOPNOTSUPP },
		{ "attention.sliding_window", 'u', 64, NULL, 0 },
		{ "attention.sliding_window", 'u', 63, NULL, -EOPNOTSUPP },
		{ "attention.scale", 'f', 1, NULL, -EOPNOTSUPP },
		{ "logit_scale", 'f', 2, NULL, -EOPNOTSUPP },
		{ "rope.scaling.yarn_log_multiplier", 'f', 0.1, NULL, -EOPNOTSUPP },
		{ "rope.scaling.attn_factor", 'f', 1, NULL, 0 },
		{ "rope.scaling.attn_factor", 'f', 1.1, NULL, -EOPNOTSUPP },
		{ "rope.scaling.yarn_ext_factor", 'f', 0, NULL, -EOPNOTSUPP },
		{ "rope.scaling.type", 's', 0, "longrope", -EOPNOTSUPP },
		{ "rope.scaling.type", 's', 0, "none", 0 },
		{ "rope.scaling.type", 'u', 0, NULL, -EINVAL },
		{ "rope.scaling.factor", 'f', 0, NULL, -EINVAL },
		{ "rope.scaling.factor", 'f', -2, NULL, -EINVAL },
		{ "rope.freq_base", 'f', 0, NULL, -EINVAL },
	};

	(void)state;
	for EACH_ARCHITECTURE(name)
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
			const struct variant variant = {
				*name, shape_of(*name), keys[i].name, keys[i].type,
				keys[i].number, keys[i].text, NULL, NULL,
			};
			/* Some messages say it in words. */
			const bool words = keys[i].expected == -EINVAL && keys[i].type == 'f';

			check_refusal(&variant, keys[i].expected,
				      words ? "RoPE" : keys[i].name);
		}
}

static void test_tensors(void **state)
{
	struct variant variant = { "qwen2", .shape = shape_of("qwen2") };

	(void)state;
	variant.without = "blk.1.attn_k.bias";
	check_refusal(&variant, -EINVAL, "blk.1.attn_k.bias");
	variant = (struct variant){ "qwen3", .shape = shape_of("qwen3") };
	variant.without = "blk.0.attn_q_norm.weight";
	check_refusal(&variant, -EINVAL, "blk.0.attn_q_norm.weight");
	variant.without = NULL;
	variant.shape.biases = true;
	check_refusal(&variant, -EOPNOTSUPP, "blk.0.attn_q.bias");
	variant = (struct variant){ "llama", .shape = shape_of("qwen3") };
	check_refusal(&variant, -EOPNOTSUPP, "_norm.weight");
	variant = (struct variant){ "llama", .shape = plain, .rename = "output.weight" };
	check_refusal(&variant, -EOPNOTSUPP, "odd");
	variant = (struct variant){ "falcon", .shape = plain };
	check_refusal(&variant, -EOPNOTSUPP, "falcon");
	/* Divisors that are none, and divisors beside YaRN. */
	variant = (struct variant){ "llama", .shape = plain };
	variant.shape.rope_factors = true;
	variant.shape.yarn_factor = 2;
	variant.shape.yarn_context = 32;
	check_refusal(&variant, -EOPNOTSUPP, "rope_freqs.weight");
	variant.shape.yarn_context = 0;
	check_refusal(&variant, -EINVAL, "YaRN");
}

static int setup(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "/tmp/tandem-architecture-%d.gguf", (int)getpid());
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_architectures),
		cmocka_unit_test(test_optional_biases),
		cmocka_unit_test(test_rope_scaling),
		cmocka_unit_test(test_linear_without_type),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_tensors),
	};

	return cmocka_run_group_tests_name("generate: architectures", tests, setup, teardown);
}
