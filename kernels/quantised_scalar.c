// SPDX-License-Identifier: MIT
/*
 * Quantised weights and activations, the plain definition.
 *
 * All instruction sets give the same bits for products with quantised weights:
 * sums of codes are exact integers, and what follows is one multiplication and
 * one fused multiply-add a group, in the order of groups.
 */
#include <math.h>

#include "activation.h"
#include "blocks.h"
#include "scalar.h"

/* 32 elements of a row. */
struct codes {
	uint8_t code[ACTIVATION_BLOCK];
	float scale[2]; /* of each group */
	float minimum;
};

static void read_q4_0(struct codes *codes, const char *row, size_t l)
{
	const char *block = row + l / 32 * Q4_0_BYTES;

	codes->scale[0] = tandem_f16_to_f32(block_half(block));
	for (size_t i = 0; i < 16; i++) {
		uint8_t byte = (uint8_t)block[Q4_0_CODES + i];

		codes->code[i] = byte & 15;
		codes->code[i + 16] = byte >> 4;
	}
}

static void read_q8_0(struct codes *codes, const char *row, size_t l)
{
	const char *block = row + l / 32 * Q8_0_BYTES;

	codes->scale[0] = tandem_f16_to_f32(block_half(block));
	for (size_t i = 0; i < 32; i++)
		codes->code[i] = (uint8_t)block[Q8_0_CODES + i] ^ 0x80;
}

static void read_q4_k(struct codes *codes, const char *row, size_t l)
{
	const char *block = row + l / 256 * Q4_K_BYTES;
	size_t group = l % 256 / 32;
	uint8_t scale, minimum;

	block_q4_k_scale((const uint8_t *)block + Q4_K_SCALES, group, &scale,
			 &minimum);
	codes->scale[0] = tandem_f16_to_f32(block_half(block)) * (float)scale;
	codes->minimum = tandem_f16_to_f32(block_half(block + Q4_K_MINIMUM)) *
			 (float)minimum;
	for (size_t i = 0; i < 32; i++) {
		uint8_t byte = (uint8_t)block[Q4_K_CODES + group / 2 * 32 + i];

		codes->code[i] = group % 2 ? byte >> 4 : byte & 15;
	}
}

static void read_q6_k(struct codes *codes, const char *row, size_t l)
{
	const char *block = row + l / 256 * Q6_K_BYTES;
	const uint8_t *lower = (const uint8_t *)block + l % 256 / 128 * 64;
	const uint8_t *upper =
		(const uint8_t *)block + Q6_K_UPPER + l % 256 / 128 * 32;
	const int8_t *scales =
		(const int8_t *)block + Q6_K_SCALES + l % 256 / 16;
	float d = tandem_f16_to_f32(block_half(block + Q6_K_D));
	size_t quarter = l % 128 / 32;

	codes->scale[0] = d * (float)scales[0];
	codes->scale[1] = d * (float)scales[1];
	for (size_t i = 0; i < 32; i++) {
		uint8_t byte = lower[quarter % 2 * 32 + i];

		codes->code[i] = (quarter < 2 ? byte & 15 : byte >> 4) |
				 (upper[i] >> 2 * quarter & 3) << 4;
	}
}

/* Elements @l to @l + 31 of a row. */
static void read_codes(struct codes *codes, const char *row,
		       enum tandem_type type, size_t l)
{
	codes->minimum = 0;
	switch (type) {
	case TANDEM_TYPE_Q4_0:
		read_q4_0(codes, row, l);
		break;
	case TANDEM_TYPE_Q8_0:
		read_q8_0(codes, row, l);
		break;
	case TANDEM_TYPE_Q4_K:
		read_q4_k(codes, row, l);
		break;
	default:
		read_q6_k(codes, row, l);
		break;
	}
}

void tandem_scalar_dequantise(float *out, const void *row,
			      enum tandem_type type, size_t n)
{
	size_t group = block_group(type);
	struct codes codes;

	for (size_t l = 0; l < n; l += ACTIVATION_BLOCK) {
		read_codes(&codes, row, type, l);
		for (size_t i = 0; i < ACTIVATION_BLOCK; i++) {
			int32_t value = codes.code[i] - block_offset(type);

			out[l + i] = codes.scale[i / group] * (float)value -
				     codes.minimum;
		}
	}
}

void tandem_scalar_quantise_q8_0(void *out, const float *x, size_t n)
{
	char *block = out;

	for (size_t l = 0; l < n; l += 32, block += Q8_0_BYTES) {
		float most = 0, inverse;
		uint16_t d;

		for (size_t i = 0; i < 32; i++)
			most = fmaxf(most, fabsf(x[l + i]));
		d = tandem_f32_to_f16(most / 127);
		inverse = most > ACTIVATION_LEAST ? 127 / most : 0;
		memcpy(block, &d, sizeof(d));
		for (size_t i = 0; i < 32; i++)
			block[Q8_0_CODES + i] =
				(char)(int)rintf(x[l + i] * inverse);
	}
}

/* The largest magnitude of a block; NaN if one element is no number. */
static float magnitude(const float *x)
{
	float most = 0;

	for (size_t i = 0; i < ACTIVATION_BLOCK; i++) {
		float size = fabsf(x[i]);

		if (!(size < INFINITY))
			return NAN;
		most = size > most ? size : most;
	}
	return most;
}

void tandem_scalar_quantise(void *out, const float *x, size_t k)
{
	struct activation to = activation_at(out, k);

	for (size_t b = 0; b < k / ACTIVATION_BLOCK; b++) {
		const float *from = x + b * ACTIVATION_BLOCK;
		int8_t *q = (int8_t *)to.q + b * ACTIVATION_BLOCK;
		int32_t *half = (int32_t *)to.half_sum + 2 * b;
		float most = magnitude(from);
		bool usable = most >= ACTIVATION_LEAST;
		float inverse = usable ? 127 / most : 0;

		half[0] = 0;
		half[1] = 0;
		for (size_t i = 0; i < ACTIVATION_BLOCK; i++) {
			q[i] = usable ? (int8_t)rintf(from[i] * inverse) : 0;
			half[i / 16] += q[i];
		}
		((float *)to.d)[b] = most < ACTIVATION_LEAST ? 0 : most / 127;
		((int32_t *)to.sum)[b] = half[0] + half[1];
	}
}

static float dot(const struct activation *x, const char *row,
		 enum tandem_type type, size_t k)
{
	size_t group = block_group(type);
	struct codes codes;
	float sum = 0;

	for (size_t l = 0; l < k; l += ACTIVATION_BLOCK) {
		size_t b = l / ACTIVATION_BLOCK;

		read_codes(&codes, row, type, l);
		for (size_t g = 0; g < ACTIVATION_BLOCK / group; g++) {
			int32_t products = 0;

			for (size_t i = g * group; i < (g + 1) * group; i++)
				products += (codes.code[i] -
					     block_offset(type)) *
					    x->q[l + i];
			sum = fmaf((float)products, codes.scale[g] * x->d[b],
				   sum);
		}
		if (type == TANDEM_TYPE_Q4_K)
			sum = fmaf(-codes.minimum,
				   x->d[b] * (float)x->sum[b], sum);
	}
	return sum;
}

void tandem_scalar_matmul_quantised(const struct tandem_matmul *a,
				    size_t n_begin, size_t n_end)
{
	size_t row_bytes = tandem_type_row_bytes(a->w_type, a->k);
	size_t x_bytes = tandem_activation_bytes(a->k);

	for (size_t j = n_begin; j < n_end; j++)
		for (size_t i = 0; i < a->m; i++) {
			struct activation x = activation_at(
				(const char *)a->x_quantised + i * x_bytes,
				a->k);

			a->y[i * a->ldy + j] =
				dot(&x, (const char *)a->w + j * row_bytes,
				    a->w_type, a->k);
		}
}
