// SPDX-License-Identifier: MIT
/*
 * tandem make-model: a GGUF file of random weights, of any shape.
 *
 * For benchmarks: how fast a model runs depends on its shape and types, not on
 * what it says. The vocabulary is made up, too: three special tokens, the 256
 * bytes, then words that are numbers.
 */
#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "commands.h"
#include "failure.h"

#define GGUF_ALIGNMENT	32
#define BUFFER_BYTES	(1u << 20)
#define SPECIAL_TOKENS	3
#define BYTE_TOKENS	256

/* Types of GGUF values. */
enum {
	VALUE_U32 = 4,
	VALUE_I32 = 5,
	VALUE_F32 = 6,
	VALUE_BOOL = 7,
	VALUE_STRING = 8,
	VALUE_ARRAY = 9,
};

/* Types of tokens. */
enum {
	TOKEN_NORMAL = 1,
	TOKEN_UNKNOWN = 2,
	TOKEN_CONTROL = 3,
	TOKEN_BYTE = 6,
};

/**
 * struct element_type - how elements are stored
 * @name: on the command line
 * @number: GGUF's
 * @elements: of a block
 * @bytes: of a block
 * @scale: where the block has its scale; @elements is 1: none
 * @range: what the scale is multiplied with, at most, in an element
 * @file: general.file_type of a file of it
 */
struct element_type {
	const char *name;
	uint32_t number;
	uint32_t elements;
	uint32_t bytes;
	uint32_t scale;
	float range;
	uint32_t file;
};

static const struct element_type types[] = {
	{ "f32", 0, 1, 4, 0, 0, 0 },
	{ "f16", 1, 1, 2, 0, 0, 1 },
	{ "bf16", 30, 1, 2, 0, 0, 32 },
	{ "q8_0", 8, 32, 34, 0, 128, 7 },
	{ "q4_0", 2, 32, 18, 0, 8, 2 },
	{ "q4_k", 12, 256, 144, 0, 63 * 15, 15 },
	{ "q6_k", 14, 256, 210, 208, 128 * 32, 18 },
};

#define TYPE_COUNT (sizeof(types) / sizeof(types[0]))

/**
 * struct architecture - a family of models
 * @name: on the command line, and in files
 * @biases: on queries, keys and values
 * @head_norms: of queries and keys
 */
struct architecture {
	const char *name;
	bool biases;
	bool head_norms;
};

static const struct architecture architectures[] = {
	{ "llama", false, false },
	{ "qwen2", true, false },
	{ "qwen3", false, true },
};

#define ARCHITECTURE_COUNT (sizeof(architectures) / sizeof(architectures[0]))

struct shape {
	const char *path;
	const struct architecture *architecture;
	const struct element_type *type;
	uint32_t dim, layers, heads, kv_heads, vocabulary, ffn, context;
	uint64_t seed;
	bool tied;
};

/**
 * struct writer - the file
 * @tensors: how many there are
 * @offset: of the next tensor's data, from where data begin
 * @random: state of the random numbers
 */
struct writer {
	const struct shape *shape;
	FILE *file;
	uint64_t tensors;
	uint64_t offset;
	uint64_t random;
	unsigned char *buffer;
};

/* Elements of a matrix, or of a vector (@rows is 0). */
struct tensor {
	char name[64];
	uint64_t rows, columns;
};

static bool is_bias(const struct tensor *tensor)
{
	return strstr(tensor->name, ".bias") != NULL;
}

static void put(struct writer *writer, const void *bytes, size_t size)
{
	fwrite(bytes, 1, size, writer->file);
}

static void put_u32(struct writer *writer, uint32_t value)
{
	put(writer, &value, sizeof(value));
}

static void put_u64(struct writer *writer, uint64_t value)
{
	put(writer, &value, sizeof(value));
}

static void put_string(struct writer *writer, const char *text)
{
	put_u64(writer, strlen(text));
	put(writer, text, strlen(text));
}

static void put_key(struct writer *writer, const char *key, uint32_t type)
{
	put_string(writer, key);
	put_u32(writer, type);
}

static void put_key_u32(struct writer *writer, const char *key, uint32_t value)
{
	put_key(writer, key, VALUE_U32);
	put_u32(writer, value);
}

static void put_key_f32(struct writer *writer, const char *key, float value)
{
	put_key(writer, key, VALUE_F32);
	put(writer, &value, sizeof(value));
}

static void put_key_string(struct writer *writer, const char *key, const char *value)
{
	put_key(writer, key, VALUE_STRING);
	put_string(writer, value);
}

static void put_key_array(struct writer *writer, const char *key, uint32_t type, uint64_t count)
{
	put_key(writer, key, VALUE_ARRAY);
	put_u32(writer, type);
	put_u64(writer, count);
}

static void put_token(struct writer *writer, uint32_t token)
{
	static const char *const special[SPECIAL_TOKENS] = { "<unk>", "<s>", "</s>" };
	char text[32];

	if (token < SPECIAL_TOKENS)
		snprintf(text, sizeof(text), "%s", special[token]);
	else if (token < SPECIAL_TOKENS + BYTE_TOKENS)
		snprintf(text, sizeof(text), "<0x%02X>", token - SPECIAL_TOKENS);
	else
		snprintf(text, sizeof(text), "\xe2\x96\x81%u", token);
	put_string(writer, text);
}

static uint32_t token_type(uint32_t token)
{
	if (token == 0)
		return TOKEN_UNKNOWN;
	if (token < SPECIAL_TOKENS)
		return TOKEN_CONTROL;
	return token < SPECIAL_TOKENS + BYTE_TOKENS ? TOKEN_BYTE : TOKEN_NORMAL;
}

/* Nine keys. */
static void put_tokenizer(struct writer *writer)
{
	const uint32_t count = writer->shape->vocabulary;
	const unsigned char no = 0;

	put_key_string(writer, "tokenizer.ggml.model", "llama");
	put_key_array(writer, "tokenizer.ggml.tokens", VALUE_STRING, count);
	for (uint32_t i = 0; i < count; i++)
		put_token(writer, i);
	put_key_array(writer, "tokenizer.ggml.scores", VALUE_F32, count);
	for (uint32_t i = 0; i < count; i++) {
		float score = -(float)i;

		put(writer, &score, sizeof(score));
	}
	put_key_array(writer, "tokenizer.ggml.token_type", VALUE_I32, count);
	for (uint32_t i = 0; i < count; i++)
		put_u32(writer, token_type(i));
	put_key_u32(writer, "tokenizer.ggml.unknown_token_id", 0);
	put_key_u32(writer, "tokenizer.ggml.bos_token_id", 1);
	put_key_u32(writer, "tokenizer.ggml.eos_token_id", 2);
	put_key(writer, "tokenizer.ggml.add_bos_token", VALUE_BOOL);
	put(writer, &no, sizeof(no));
	put_key(writer, "tokenizer.ggml.add_eos_token", VALUE_BOOL);
	put(writer, &no, sizeof(no));
}

/* A key of the architecture. */
static const char *key_of(const struct writer *writer, const char *name, char key[64])
{
	snprintf(key, 64, "%s.%s", writer->shape->architecture->name, name);
	return key;
}

static void put_number(struct writer *writer, const char *name, uint32_t value)
{
	char key[64];

	put_key_u32(writer, key_of(writer, name, key), value);
}

static void put_float(struct writer *writer, const char *name, float value)
{
	char key[64];

	put_key_f32(writer, key_of(writer, name, key), value);
}

#define KEYS	23

static void put_keys(struct writer *writer)
{
	const struct shape *shape = writer->shape;

	put_key_string(writer, "general.architecture", shape->architecture->name);
	put_key_string(writer, "general.name", "random");
	put_key_u32(writer, "general.file_type", shape->type->file);
	put_number(writer, "block_count", shape->layers);
	put_number(writer, "embedding_length", shape->dim);
	put_number(writer, "feed_forward_length", shape->ffn);
	put_number(writer, "context_length", shape->context);
	put_number(writer, "attention.head_count", shape->heads);
	put_number(writer, "attention.head_count_kv", shape->kv_heads);
	put_number(writer, "attention.key_length", shape->dim / shape->heads);
	put_number(writer, "attention.value_length", shape->dim / shape->heads);
	put_number(writer, "rope.dimension_count", shape->dim / shape->heads);
	put_float(writer, "rope.freq_base", 10000);
	put_float(writer, "attention.layer_norm_rms_epsilon", 1e-5f);
	put_tokenizer(writer);
}

static uint64_t next_random(struct writer *writer)
{
	/* xorshift64 (Marsaglia 2003) */
	writer->random ^= writer->random << 13;
	writer->random ^= writer->random >> 7;
	writer->random ^= writer->random << 17;
	return writer->random;
}

/* A positive normal binary16 of about a value; its last bits are cut off. */
static uint16_t half_of(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return value < 0x1p-14f ? (uint16_t)(value * 0x1p24f) :
				  (uint16_t)((bits - ((127u - 15) << 23)) >> 13);
}

/* One element, evenly from -size to size. */
static void put_element(struct writer *writer, const struct element_type *type, float size,
			unsigned char *to)
{
	float value = (float)(int32_t)(next_random(writer) >> 32) * 0x1p-31f * size;
	uint32_t bits;
	uint16_t half;

	memcpy(&bits, &value, sizeof(bits));
	half = type->number == 1 ? half_of(fabsf(value)) | (bits >> 16 & 0x8000) : bits >> 16;
	if (type->bytes == 4)
		memcpy(to, &value, sizeof(value));
	else
		memcpy(to, &half, sizeof(half));
}

/* A block of random codes whose elements are up to @size. */
static void put_block(struct writer *writer, const struct element_type *type, float size,
		      unsigned char *to)
{
	const uint16_t scale = half_of(size / type->range), minimum = half_of(size / 64);

	for (uint32_t i = 0; i < type->bytes; i += 8) {
		uint64_t word = next_random(writer);

		memcpy(to + i, &word, type->bytes - i < 8 ? type->bytes - i : 8);
	}
	memcpy(to + type->scale, &scale, sizeof(scale));
	if (type->number == 12)
		memcpy(to + 2, &minimum, sizeof(minimum));
}

static uint64_t tensor_bytes(const struct shape *shape, const struct tensor *tensor)
{
	if (!tensor->rows)
		return tensor->columns * 4;
	return tensor->rows * tensor->columns / shape->type->elements * shape->type->bytes;
}

static uint64_t padding(uint64_t offset)
{
	return -offset % GGUF_ALIGNMENT;
}

static void put_description(struct writer *writer, const struct tensor *tensor)
{
	put_string(writer, tensor->name);
	put_u32(writer, tensor->rows ? 2 : 1);
	put_u64(writer, tensor->columns);
	if (tensor->rows)
		put_u64(writer, tensor->rows);
	put_u32(writer, tensor->rows ? writer->shape->type->number : 0);
	put_u64(writer, writer->offset);
	writer->offset += tensor_bytes(writer->shape, tensor);
	writer->offset += padding(writer->offset);
}

static void put_zeros(struct writer *writer, uint64_t count)
{
	static const unsigned char zeros[GGUF_ALIGNMENT];

	put(writer, zeros, count);
}

static void put_data(struct writer *writer, const struct tensor *tensor)
{
	const struct element_type *type = tensor->rows ? writer->shape->type : &types[0];
	const float size = sqrtf(3.0f / (float)tensor->columns);
	const float fixed = is_bias(tensor) ? 0 : 1;
	uint64_t blocks = tensor_bytes(writer->shape, tensor) / type->bytes;

	for (uint64_t i = 0; i < blocks && !tensor->rows; i++)
		put(writer, &fixed, sizeof(fixed));
	while (blocks && tensor->rows) {
		uint64_t count = BUFFER_BYTES / type->bytes;

		count = count < blocks ? count : blocks;
		for (uint64_t i = 0; i < count; i++) {
			if (type->elements > 1)
				put_block(writer, type, size, writer->buffer + i * type->bytes);
			else
				put_element(writer, type, size,
					    writer->buffer + i * type->bytes);
		}
		put(writer, writer->buffer, count * type->bytes);
		blocks -= count;
	}
	put_zeros(writer, padding(tensor_bytes(writer->shape, tensor)));
}

static void each_tensor(struct writer *writer,
			void (*body)(struct writer *writer, const struct tensor *tensor))
{
	const struct shape *s = writer->shape;
	const uint64_t kv = (uint64_t)s->dim / s->heads * s->kv_heads;
	const uint64_t head = s->dim / s->heads;
	const struct {
		struct tensor tensor;
		bool absent;
	} layer[] = {
		{ { "attn_norm.weight", 0, s->dim }, false },
		{ { "attn_q.weight", s->dim, s->dim }, false },
		{ { "attn_k.weight", kv, s->dim }, false },
		{ { "attn_v.weight", kv, s->dim }, false },
		{ { "attn_q.bias", 0, s->dim }, !s->architecture->biases },
		{ { "attn_k.bias", 0, kv }, !s->architecture->biases },
		{ { "attn_v.bias", 0, kv }, !s->architecture->biases },
		{ { "attn_q_norm.weight", 0, head }, !s->architecture->head_norms },
		{ { "attn_k_norm.weight", 0, head }, !s->architecture->head_norms },
		{ { "attn_output.weight", s->dim, s->dim }, false },
		{ { "ffn_norm.weight", 0, s->dim }, false },
		{ { "ffn_gate.weight", s->ffn, s->dim }, false },
		{ { "ffn_up.weight", s->ffn, s->dim }, false },
		{ { "ffn_down.weight", s->dim, s->ffn }, false },
	};

	body(writer, &(struct tensor){ "token_embd.weight", s->vocabulary, s->dim });
	body(writer, &(struct tensor){ "output_norm.weight", 0, s->dim });
	if (!s->tied)
		body(writer, &(struct tensor){ "output.weight", s->vocabulary, s->dim });
	for (uint32_t i = 0; i < s->layers; i++)
		for (size_t j = 0; j < sizeof(layer) / sizeof(layer[0]); j++) {
			struct tensor tensor = layer[j].tensor;

			if (layer[j].absent)
				continue;
			snprintf(tensor.name, sizeof(tensor.name), "blk.%u.%.30s", i,
				 layer[j].tensor.name);
			body(writer, &tensor);
		}
}

static void count_tensor(struct writer *writer, const struct tensor *tensor)
{
	(void)tensor;
	writer->tensors++;
}

static int write_model(const struct shape *shape, struct tandem_error *error)
{
	struct writer writer = { .shape = shape, .random = shape->seed * 2 + 1 };
	long at;
	int ret = 0;

	writer.buffer = malloc(BUFFER_BYTES);
	if (!writer.buffer)
		return failure(error, -ENOMEM, "out of memory");
	writer.file = fopen(shape->path, "wb");
	if (!writer.file) {
		ret = failure(error, -errno, "%s: %s", shape->path, strerror(errno));
		goto free;
	}
	put(&writer, "GGUF", 4);
	put_u32(&writer, 3);
	each_tensor(&writer, count_tensor);
	put_u64(&writer, writer.tensors);
	put_u64(&writer, KEYS);
	put_keys(&writer);
	each_tensor(&writer, put_description);
	at = ftell(writer.file);
	put_zeros(&writer, padding((uint64_t)at));
	each_tensor(&writer, put_data);
	if (ferror(writer.file) | fclose(writer.file))
		ret = failure(error, -EIO, "%s: cannot be written: %s", shape->path,
			      strerror(errno));
free:
	free(writer.buffer);
	return ret;
}

enum {
	KEY_DIM = 0x100,
	KEY_LAYERS,
	KEY_HEADS,
	KEY_KV_HEADS,
	KEY_VOCABULARY,
	KEY_FFN,
	KEY_CONTEXT,
	KEY_TYPE,
	KEY_SEED,
	KEY_TIED,
	KEY_ARCHITECTURE,
};

static const struct argp_option known[] = {
	{ "arch", KEY_ARCHITECTURE, "NAME", 0, "llama, qwen2 or qwen3 (default llama)", 0 },
	{ "dim", KEY_DIM, "N", 0, "width of the hidden state (default 768)", 0 },
	{ "layers", KEY_LAYERS, "N", 0, "layers (default 12)", 0 },
	{ "heads", KEY_HEADS, "N", 0, "query heads (default 12)", 0 },
	{ "kv-heads", KEY_KV_HEADS, "N", 0, "key and value heads (default: as many)", 0 },
	{ "vocabulary", KEY_VOCABULARY, "N", 0, "tokens (default 32000)", 0 },
	{ "ffn", KEY_FFN, "N", 0, "width of the feed-forward layer (default 2048)", 0 },
	{ "context", KEY_CONTEXT, "N", 0, "longest sequence (default 4096)", 0 },
	{ "type", KEY_TYPE, "TYPE", 0,
	  "of matrices: f32, f16, bf16, q8_0, q4_0, q4_k or q6_k (default f16)", 0 },
	{ "seed", KEY_SEED, "N", 0, "of the random numbers (default 1)", 0 },
	{ "tied", KEY_TIED, NULL, 0, "no output matrix: the embedding serves", 0 },
	{ 0 },
};

/* Most of what a shape is made of. */
#define SHAPE_MAX	(1u << 20)

static uint32_t parse_extent(struct argp_state *state, const char *name, const char *text,
			     uint32_t least)
{
	return (uint32_t)argument_number(state, name, text, least, SHAPE_MAX);
}

static void parse_type(struct argp_state *state, const char *text, struct shape *shape)
{
	for (size_t i = 0; i < TYPE_COUNT; i++)
		if (!strcmp(text, types[i].name)) {
			shape->type = &types[i];
			return;
		}
	argp_error(state, "--type: '%s' is none of f32, f16, bf16, q8_0, q4_0, q4_k, q6_k", text);
}

static void parse_architecture(struct argp_state *state, const char *text, struct shape *shape)
{
	for (size_t i = 0; i < ARCHITECTURE_COUNT; i++)
		if (!strcmp(text, architectures[i].name)) {
			shape->architecture = &architectures[i];
			return;
		}
	argp_error(state, "--arch: '%s' is none of llama, qwen2, qwen3", text);
}

static void check_shape(struct argp_state *state, struct shape *shape)
{
	if (!shape->path)
		argp_error(state, "which file to write is missing");
	if (!shape->kv_heads)
		shape->kv_heads = shape->heads;
	if (shape->dim % shape->heads || shape->dim / shape->heads % 2)
		argp_error(state, "--dim %u is not %u heads of an even width", shape->dim,
			   shape->heads);
	if (shape->heads % shape->kv_heads)
		argp_error(state, "%u heads cannot share %u key-value heads evenly",
			   shape->heads, shape->kv_heads);
	if (shape->dim % shape->type->elements || shape->ffn % shape->type->elements)
		argp_error(state, "--type %s takes multiples of %u for --dim and --ffn",
			   shape->type->name, shape->type->elements);
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct shape *shape = state->input;

	switch (key) {
	case KEY_DIM:
		shape->dim = parse_extent(state, "--dim", argument, 2);
		return 0;
	case KEY_LAYERS:
		shape->layers = parse_extent(state, "--layers", argument, 1);
		return 0;
	case KEY_HEADS:
		shape->heads = parse_extent(state, "--heads", argument, 1);
		return 0;
	case KEY_KV_HEADS:
		shape->kv_heads = parse_extent(state, "--kv-heads", argument, 1);
		return 0;
	case KEY_VOCABULARY:
		shape->vocabulary = parse_extent(state, "--vocabulary", argument,
						 SPECIAL_TOKENS + BYTE_TOKENS);
		return 0;
	case KEY_FFN:
		shape->ffn = parse_extent(state, "--ffn", argument, 1);
		return 0;
	case KEY_CONTEXT:
		shape->context = parse_extent(state, "--context", argument, 1);
		return 0;
	case KEY_SEED:
		shape->seed = argument_number(state, "--seed", argument, 0, UINT64_MAX);
		return 0;
	case KEY_TYPE:
		parse_type(state, argument, shape);
		return 0;
	case KEY_ARCHITECTURE:
		parse_architecture(state, argument, shape);
		return 0;
	case KEY_TIED:
		shape->tied = true;
		return 0;
	case ARGP_KEY_ARG:
		if (shape->path)
			argp_error(state, "'%s' is one argument too many", argument);
		shape->path = argument;
		return 0;
	case ARGP_KEY_END:
		check_shape(state, shape);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int command_make_model(int argc, char **argv)
{
	static const struct argp argp = {
		.options = known,
		.parser = parse_option,
		.args_doc = "FILE",
		.doc = "Write a GGUF file with random weights, to measure speeds with.",
	};
	struct shape shape = {
		.architecture = &architectures[0],
		.type = &types[1],
		.dim = 768,
		.layers = 12,
		.heads = 12,
		.vocabulary = 32000,
		.ffn = 2048,
		.context = 4096,
		.seed = 1,
	};
	struct tandem_error error = { 0 };

	argp_parse(&argp, argc, argv, 0, NULL, &shape);
	return write_model(&shape, &error) ? failure_print(&error) : 0;
}
