// SPDX-License-Identifier: MIT
/* Small random models and their reference. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/types.h"
#include "tiny_model.h"

#define EPSILON		1e-5f
#define ROPE_BASE	10000.0f

uint32_t tiny_random(uint32_t *state)
{
	/* xorshift32 (Marsaglia 2003) */
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static float uniform(uint32_t *state)
{
	return (float)(tiny_random(state) >> 8) / (1 << 23) - 1;
}

static uint32_t bits(float value)
{
	uint32_t word;

	memcpy(&word, &value, sizeof(word));
	return word;
}

/* Random codes, with scales that make the elements as large as in other types. */
static void add_blocks(char *to, uint32_t type, uint64_t elements, uint64_t columns,
		       uint32_t *state)
{
	const float size = sqrtf(3.0f / (float)columns);
	const uint64_t bytes = tandem_type_block_bytes(type);
	uint16_t d;

	for (uint64_t i = 0; i < elements / tandem_type_block(type); i++, to += bytes) {
		for (uint64_t j = 0; j < bytes; j++)
			to[j] = (char)tiny_random(state);
		switch (type) {
		case TANDEM_PROGRAM_Q4_0:
			d = tandem_f32_to_f16(size / 8);
			memcpy(to, &d, sizeof(d));
			break;
		case TANDEM_PROGRAM_Q8_0:
			d = tandem_f32_to_f16(size / 128);
			memcpy(to, &d, sizeof(d));
			break;
		case TANDEM_PROGRAM_Q4_K:
			d = tandem_f32_to_f16(size / 480);
			memcpy(to, &d, sizeof(d));
			d = tandem_f32_to_f16(size / 63);
			memcpy(to + 2, &d, sizeof(d));
			break;
		case TANDEM_PROGRAM_Q6_K:
			d = tandem_f32_to_f16(size / 2048);
			memcpy(to + 208, &d, sizeof(d));
			break;
		}
	}
}

/* Lay a tensor out, and fill it when there is memory to fill. */
static void add_tensor(struct tiny_model *model, struct tandem_program_tensor *tensor,
		       uint64_t rows, uint64_t columns, uint32_t *state)
{
	bool norm = !rows;
	uint64_t elements = (norm ? 1 : rows) * columns;
	char *to;

	tensor->type = norm ? TANDEM_PROGRAM_F32 : model->shape.type;
	tensor->present = 1;
	tensor->offset = (model->weights_bytes + 31) / 32 * 32;
	model->weights_bytes = tensor->offset + elements / tandem_type_block(tensor->type) *
				       tandem_type_block_bytes(tensor->type);
	if (!model->weights)
		return;
	to = model->weights + tensor->offset;
	if (tandem_type_quantised(tensor->type)) {
		add_blocks(to, tensor->type, elements, columns, state);
		return;
	}
	for (uint64_t i = 0; i < elements; i++) {
		float value = uniform(state);

		value = norm ? 1 + value / 4 : value * sqrtf(3.0f / (float)columns);
		if (tensor->type == TANDEM_PROGRAM_F32)
			((float *)to)[i] = value;
		else if (tensor->type == TANDEM_PROGRAM_BF16)
			((uint16_t *)to)[i] = tandem_f32_to_bf16(value);
		else
			((uint16_t *)to)[i] = tandem_f32_to_f16(value);
	}
}

/* Random biases about as large as what they are added to, and divisors from 1 on. */
static void add_vector(struct tiny_model *model, struct tandem_program_tensor *tensor,
		       uint64_t elements, float least, float most, uint32_t *state)
{
	float *to;

	tensor->type = TANDEM_PROGRAM_F32;
	tensor->present = 1;
	tensor->offset = (model->weights_bytes + 31) / 32 * 32;
	model->weights_bytes = tensor->offset + elements * sizeof(*to);
	if (!model->weights)
		return;
	to = (float *)(model->weights + tensor->offset);
	for (uint64_t i = 0; i < elements; i++)
		to[i] = least + (most - least) * (uniform(state) + 1) / 2;
}

static void add_additions(struct tiny_model *model, struct tandem_program_layer *layer,
			  uint32_t *seed)
{
	const struct tiny_shape *s = &model->shape;
	const uint64_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;

	if (s->biases) {
		add_vector(model, &layer->query_bias, q, -1, 1, seed);
		add_vector(model, &layer->key_bias, kv, -1, 1, seed);
		add_vector(model, &layer->value_bias, kv, -1, 1, seed);
	}
	if (s->head_norms) {
		add_vector(model, &layer->query_norm, s->head_dim, 0.5f, 1.5f, seed);
		add_vector(model, &layer->key_norm, s->head_dim, 0.5f, 1.5f, seed);
	}
}

static void add_tensors(struct tiny_model *model, uint32_t seed)
{
	const struct tiny_shape *s = &model->shape;
	struct tandem_program_model *d = model->description;
	uint64_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;

	model->weights_bytes = 0;
	add_tensor(model, &d->token_embedding, s->vocabulary, s->dim, &seed);
	add_tensor(model, &d->output_norm, 0, s->dim, &seed);
	if (!s->tied)
		add_tensor(model, &d->output, s->vocabulary, s->dim, &seed);
	for (uint32_t i = 0; i < s->layers; i++) {
		struct tandem_program_layer *layer = &d->layer[i];

		add_tensor(model, &layer->attention_norm, 0, s->dim, &seed);
		add_tensor(model, &layer->query, q, s->dim, &seed);
		add_tensor(model, &layer->key, kv, s->dim, &seed);
		add_tensor(model, &layer->value, kv, s->dim, &seed);
		add_tensor(model, &layer->attention_output, s->dim, q, &seed);
		add_tensor(model, &layer->ffn_norm, 0, s->dim, &seed);
		add_tensor(model, &layer->gate, s->ffn_dim, s->dim, &seed);
		add_tensor(model, &layer->up, s->ffn_dim, s->dim, &seed);
		add_tensor(model, &layer->down, s->dim, s->ffn_dim, &seed);
		add_additions(model, layer, &seed);
	}
	if (s->rope_factors)
		add_vector(model, &d->rope_factors, s->rope_dim / 2, 1, 8, &seed);
}

void tiny_model_create(struct tiny_model *model, const struct tiny_shape *shape, uint32_t seed)
{
	struct tandem_program_model *d;

	memset(model, 0, sizeof(*model));
	model->shape = *shape;
	model->description_bytes = sizeof(*d) + shape->layers * sizeof(d->layer[0]);
	d = model->description = calloc(1, model->description_bytes);
	d->magic = TANDEM_PROGRAM_MODEL_MAGIC;
	d->architecture = TANDEM_PROGRAM_LLAMA;
	d->layers = shape->layers;
	d->dim = shape->dim;
	d->ffn_dim = shape->ffn_dim;
	d->heads = shape->heads;
	d->kv_heads = shape->kv_heads;
	d->head_dim = shape->head_dim;
	d->rope_dim = shape->rope_dim;
	d->vocabulary = shape->vocabulary;
	d->context = shape->context;
	d->rms_epsilon = bits(EPSILON);
	d->rope_frequency_base = bits(ROPE_BASE);
	d->rope_frequency_scale = bits(shape->rope_scale);
	d->rope_pairs = shape->rope_halves ? TANDEM_PROGRAM_ROPE_HALVES :
					     TANDEM_PROGRAM_ROPE_ADJACENT;
	d->rope_magnitude = bits(shape->rope_magnitude != 0 ? shape->rope_magnitude : 1);
	add_tensors(model, seed);
	model->weights = calloc(1, model->weights_bytes);
	add_tensors(model, seed);
}

void tiny_model_free(struct tiny_model *model)
{
	free(model->weights);
	free(model->description);
}

static double half_at(const unsigned char *p)
{
	uint16_t h;

	memcpy(&h, p, sizeof(h));
	return tandem_f16_to_f32(h);
}

static double q4_k_element(const unsigned char *block, size_t i)
{
	const unsigned char *packed = block + 4;
	size_t g = i / 32;
	unsigned int code = block[16 + i / 64 * 32 + i % 32] >> (i % 64 < 32 ? 0 : 4) & 15;
	unsigned int s = packed[g] & 63, m = packed[g + 4] & 63;

	if (g >= 4) {
		s = (packed[g + 4] & 15) + (packed[g - 4] >> 6) * 16;
		m = (packed[g + 4] >> 4) + (packed[g] >> 6) * 16;
	}
	return half_at(block) * s * code - half_at(block + 2) * m;
}

static double q6_k_element(const unsigned char *block, size_t i)
{
	unsigned int low = block[i / 128 * 64 + i % 64] >> (i % 128 < 64 ? 0 : 4) & 15;
	unsigned int high = block[128 + i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;

	return half_at(block + 208) * (signed char)block[192 + i / 16] *
	       ((int)(low + 16 * high) - 32);
}

/* Element @index of a tensor in blocks, from the definition of the formats. */
static double quantised_element(const unsigned char *from, uint32_t type, size_t index)
{
	size_t i = index % tandem_type_block(type);
	const unsigned char *block =
		from + index / tandem_type_block(type) * tandem_type_block_bytes(type);

	switch (type) {
	case TANDEM_PROGRAM_Q4_0:
		return half_at(block) * ((int)(block[2 + i % 16] >> (i < 16 ? 0 : 4) & 15) - 8);
	case TANDEM_PROGRAM_Q8_0:
		return half_at(block) * (signed char)block[2 + i];
	case TANDEM_PROGRAM_Q4_K:
		return q4_k_element(block, i);
	default:
		return q6_k_element(block, i);
	}
}

static double element(const struct tiny_model *model,
		      const struct tandem_program_tensor *tensor, size_t index)
{
	const char *from = model->weights + tensor->offset;

	switch (tensor->type) {
	case TANDEM_PROGRAM_F32:
		return ((const float *)from)[index];
	case TANDEM_PROGRAM_F16:
		return tandem_f16_to_f32(((const uint16_t *)from)[index]);
	case TANDEM_PROGRAM_BF16:
		return tandem_bf16_to_f32(((const uint16_t *)from)[index]);
	default:
		return quantised_element((const unsigned char *)from, tensor->type, index);
	}
}

/* Codes of 8 bits for each 32 elements, as products with types in blocks have. */
static void round_blocks(const double *x, size_t n, double *rounded)
{
	for (size_t i = 0; i < n; i += 32) {
		double most = 0;

		for (size_t j = i; j < i + 32; j++)
			most = fmax(most, fabs(x[j]));
		for (size_t j = i; j < i + 32; j++)
			rounded[j] = most > 0 ? most / 127 * rint(x[j] * 127 / most) : 0;
	}
}

static void multiply(const struct tiny_model *model,
		     const struct tandem_program_tensor *w, size_t rows, size_t columns,
		     const double *x, double *y)
{
	double *rounded = calloc(columns, sizeof(*rounded));

	if (tandem_type_quantised(w->type)) {
		round_blocks(x, columns, rounded);
		x = rounded;
	}
	for (size_t i = 0; i < rows; i++) {
		y[i] = 0;
		for (size_t j = 0; j < columns; j++)
			y[i] += element(model, w, i * columns + j) * x[j];
	}
	free(rounded);
}

static void normalise(const struct tiny_model *model, const struct tandem_program_tensor *w,
		      size_t n, const double *x, double *y)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += x[i] * x[i];
	for (size_t i = 0; i < n; i++)
		y[i] = x[i] / sqrt(sum / (double)n + EPSILON) * element(model, w, i);
}

/*
 * What YaRN makes of a frequency: as it is where a pair turns often over the
 * original context, divided by the factor where seldom, and between the pairs
 * that turn 32 times and once a mixture, linear in the number of the pair (Peng
 * et al., "YaRN", 2023, section 3, and the code of its authors, where the two
 * numbers are rounded down and up).
 */
static double yarn_divisor(const struct tiny_shape *s, uint32_t pair)
{
	const double wavelengths = s->yarn_context / (2 * acos(-1));
	const double per_pair = 2 * log(ROPE_BASE) / s->rope_dim;
	const double low = fmax(0, floor(log(wavelengths / 32) / per_pair));
	const double high = fmin(s->rope_dim - 1, ceil(log(wavelengths) / per_pair));
	const double interpolated =
		fmin(1, fmax(0, (pair - low) / fmax(high - low, 0.001)));

	return 1 / (interpolated / s->yarn_factor + 1 - interpolated);
}

/* Turn each pair by position * scale * base^(-2 i / rope_dim) / divisor. */
static void rotate(const struct tiny_model *model, double *x, uint32_t heads, uint32_t position)
{
	const struct tiny_shape *s = &model->shape;
	double magnitude = s->rope_magnitude != 0 ? s->rope_magnitude : 1;

	if (s->yarn_factor != 0)
		magnitude *= 0.1 * log(s->yarn_factor) + 1;
	for (uint32_t h = 0; h < heads; h++) {
		for (uint32_t i = 0; i < s->rope_dim / 2; i++) {
			double *head = x + h * s->head_dim;
			double *first = head + (s->rope_halves ? i : 2 * i);
			double *second = s->rope_halves ? first + s->rope_dim / 2 : first + 1;
			double angle = position * (double)s->rope_scale *
				       pow(ROPE_BASE, -2.0 * i / s->rope_dim);
			const double a = *first, b = *second;

			if (s->rope_factors)
				angle /= element(model, &model->description->rope_factors, i);
			if (s->yarn_factor != 0)
				angle /= yarn_divisor(s, i);
			*first = magnitude * (a * cos(angle) - b * sin(angle));
			*second = magnitude * (a * sin(angle) + b * cos(angle));
		}
	}
}

static void add_bias(const struct tiny_model *model, const struct tandem_program_tensor *bias,
		     double *x, size_t n)
{
	for (size_t i = 0; bias->present && i < n; i++)
		x[i] += element(model, bias, i);
}

static void normalise_heads(const struct tiny_model *model,
			    const struct tandem_program_tensor *w, double *x, uint32_t heads)
{
	const size_t n = model->shape.head_dim;

	for (uint32_t h = 0; w->present && h < heads; h++)
		normalise(model, w, n, x + h * n, x + h * n);
}

/* What a KV cache of a type makes of a row. */
static void round_row(double *row, size_t n, uint32_t type)
{
	for (size_t i = 0; i < n && type == TANDEM_PROGRAM_F16; i++)
		row[i] = tandem_f16_to_f32(tandem_f32_to_f16((float)row[i]));
	for (size_t i = 0; i < n && type == TANDEM_PROGRAM_Q8_0; i += 32) {
		double most = 0, d;

		for (size_t j = i; j < i + 32; j++)
			most = fmax(most, fabs(row[j]));
		d = tandem_f16_to_f32(tandem_f32_to_f16((float)(most / 127)));
		for (size_t j = i; j < i + 32 && most > 0; j++)
			row[j] = d * rint(row[j] * 127 / most);
	}
}

static void attend(const struct tiny_shape *s, const double *q, const double *k,
		   const double *v, uint32_t tokens, double *out)
{
	size_t kv_dim = s->kv_heads * s->head_dim;
	double *weight = calloc(tokens, sizeof(*weight));

	for (uint32_t h = 0; h < s->heads; h++) {
		size_t kv_at = h / (s->heads / s->kv_heads) * s->head_dim;
		double most = -INFINITY, sum = 0;

		for (uint32_t t = 0; t < tokens; t++) {
			for (uint32_t i = 0; i < s->head_dim; i++)
				weight[t] += q[h * s->head_dim + i] *
					     k[t * kv_dim + kv_at + i];
			weight[t] /= sqrt(s->head_dim);
			most = fmax(most, weight[t]);
		}
		for (uint32_t t = 0; t < tokens; t++)
			sum += weight[t] = exp(weight[t] - most);
		for (uint32_t i = 0; i < s->head_dim; i++) {
			out[h * s->head_dim + i] = 0;
			for (uint32_t t = 0; t < tokens; t++)
				out[h * s->head_dim + i] +=
					weight[t] / sum * v[t * kv_dim + kv_at + i];
		}
		memset(weight, 0, tokens * sizeof(*weight));
	}
	free(weight);
}

void tiny_model_reference(const struct tiny_model *model, const uint32_t *tokens,
			  uint32_t count, uint32_t kv_type, double *logits)
{
	const struct tiny_shape *s = &model->shape;
	const struct tandem_program_model *d = model->description;
	size_t q_dim = s->heads * s->head_dim, kv_dim = s->kv_heads * s->head_dim;
	double *x = calloc(s->dim, sizeof(*x)), *h = calloc(s->dim, sizeof(*h));
	double *q = calloc(q_dim, sizeof(*q)), *a = calloc(q_dim, sizeof(*a));
	double *g = calloc(s->ffn_dim, sizeof(*g)), *u = calloc(s->ffn_dim, sizeof(*u));
	double *k = calloc((size_t)s->layers * count * kv_dim, sizeof(*k));
	double *v = calloc((size_t)s->layers * count * kv_dim, sizeof(*v));

	for (uint32_t t = 0; t < count; t++) {
		for (uint32_t i = 0; i < s->dim; i++)
			x[i] = element(model, &d->token_embedding,
				       (size_t)tokens[t] * s->dim + i);
		for (uint32_t l = 0; l < s->layers; l++) {
			const struct tandem_program_layer *layer = &d->layer[l];
			double *kl = k + (size_t)l * count * kv_dim;
			double *vl = v + (size_t)l * count * kv_dim;

			normalise(model, &layer->attention_norm, s->dim, x, h);
			multiply(model, &layer->query, q_dim, s->dim, h, q);
			multiply(model, &layer->key, kv_dim, s->dim, h, kl + t * kv_dim);
			multiply(model, &layer->value, kv_dim, s->dim, h, vl + t * kv_dim);
			add_bias(model, &layer->query_bias, q, q_dim);
			add_bias(model, &layer->key_bias, kl + t * kv_dim, kv_dim);
			add_bias(model, &layer->value_bias, vl + t * kv_dim, kv_dim);
			normalise_heads(model, &layer->query_norm, q, s->heads);
			normalise_heads(model, &layer->key_norm, kl + t * kv_dim, s->kv_heads);
			rotate(model, q, s->heads, t);
			rotate(model, kl + t * kv_dim, s->kv_heads, t);
			round_row(kl + t * kv_dim, kv_dim, kv_type);
			round_row(vl + t * kv_dim, kv_dim, kv_type);
			attend(s, q, kl, vl, t + 1, a);
			multiply(model, &layer->attention_output, s->dim, q_dim, a, h);
			for (uint32_t i = 0; i < s->dim; i++)
				x[i] += h[i];
			normalise(model, &layer->ffn_norm, s->dim, x, h);
			multiply(model, &layer->gate, s->ffn_dim, s->dim, h, g);
			multiply(model, &layer->up, s->ffn_dim, s->dim, h, u);
			for (uint32_t i = 0; i < s->ffn_dim; i++)
				g[i] = g[i] / (1 + exp(-g[i])) * u[i];
			multiply(model, &layer->down, s->dim, s->ffn_dim, g, h);
			for (uint32_t i = 0; i < s->dim; i++)
				x[i] += h[i];
		}
		normalise(model, &d->output_norm, s->dim, x, h);
		multiply(model, s->tied ? &d->token_embedding : &d->output, s->vocabulary,
			 s->dim, h, logits + (size_t)t * s->vocabulary);
	}
	free(x);
	free(h);
	free(q);
	free(a);
	free(g);
	free(u);
	free(k);
	free(v);
}
