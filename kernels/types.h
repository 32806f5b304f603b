/* SPDX-License-Identifier: MIT */
/*
 * Element types of weights and KV caches, and conversion between them.
 */
#ifndef TANDEM_KERNELS_TYPES_H
#define TANDEM_KERNELS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/**
 * enum tandem_type - element type of a weight matrix or KV block
 * @TANDEM_TYPE_F32: IEEE 754 binary32
 * @TANDEM_TYPE_F16: IEEE 754 binary16
 * @TANDEM_TYPE_Q4_0: blocks of 32: a binary16 scale, 4 bits an element
 * @TANDEM_TYPE_Q8_0: blocks of 32: a binary16 scale, 8 bits an element
 * @TANDEM_TYPE_Q4_K: blocks of 256: scale and minimum for each 32 elements, 4
 *	bits an element
 * @TANDEM_TYPE_Q6_K: blocks of 256: a scale for each 16 elements, 6 bits an
 *	element
 * @TANDEM_TYPE_BF16: the upper half of a binary32
 *
 * The values are those of the tensor type field in GGUF files (ggml_type), so
 * that a loader can pass them on after checking them with tandem_type_valid().
 * What is in a block says blocks.h.
 */
enum tandem_type {
	TANDEM_TYPE_F32 = 0,
	TANDEM_TYPE_F16 = 1,
	TANDEM_TYPE_Q4_0 = 2,
	TANDEM_TYPE_Q8_0 = 8,
	TANDEM_TYPE_Q4_K = 12,
	TANDEM_TYPE_Q6_K = 14,
	TANDEM_TYPE_BF16 = 30,
};

/**
 * tandem_type_block() - elements of a block, the least that a row consists of
 * @type: a tandem_type, or any number read from a file
 *
 * Return: 1 for types without blocks, 0 if @type is not one that the kernels
 * know.
 */
static inline size_t tandem_type_block(uint32_t type)
{
	switch (type) {
	case TANDEM_TYPE_F32:
	case TANDEM_TYPE_F16:
	case TANDEM_TYPE_BF16:
		return 1;
	case TANDEM_TYPE_Q4_0:
	case TANDEM_TYPE_Q8_0:
		return 32;
	case TANDEM_TYPE_Q4_K:
	case TANDEM_TYPE_Q6_K:
		return 256;
	default:
		return 0;
	}
}

/**
 * tandem_type_block_bytes() - bytes of a block
 * @type: a tandem_type, or any number read from a file
 *
 * Return: the size, or 0 if @type is not one that the kernels know.
 */
static inline size_t tandem_type_block_bytes(uint32_t type)
{
	switch (type) {
	case TANDEM_TYPE_F32:
		return 4;
	case TANDEM_TYPE_F16:
	case TANDEM_TYPE_BF16:
		return 2;
	case TANDEM_TYPE_Q4_0:
		return 18;
	case TANDEM_TYPE_Q8_0:
		return 34;
	case TANDEM_TYPE_Q4_K:
		return 144;
	case TANDEM_TYPE_Q6_K:
		return 210;
	default:
		return 0;
	}
}

/**
 * tandem_type_valid() - whether the kernels know a type
 * @type: a tandem_type, or any number read from a file
 */
static inline bool tandem_type_valid(uint32_t type)
{
	return tandem_type_block(type) != 0;
}

/**
 * tandem_type_quantised() - whether a type has blocks
 * @type: a tandem_type, or any number read from a file
 *
 * Products with weights of such a type read activations that are quantised,
 * too.
 */
static inline bool tandem_type_quantised(uint32_t type)
{
	return tandem_type_block(type) > 1;
}

/**
 * tandem_type_kv_valid() - whether a KV cache may have a type
 * @type: a tandem_type, or any number read from a file
 */
static inline bool tandem_type_kv_valid(uint32_t type)
{
	return type == TANDEM_TYPE_F32 || type == TANDEM_TYPE_F16 ||
	       type == TANDEM_TYPE_Q8_0;
}

/**
 * tandem_type_row_bytes() - bytes of a row of elements
 * @type: a tandem_type, or any number read from a file
 * @n: elements in the row
 *
 * Return: the size, or 0 if @type is unknown, @n is not a multiple of its block,
 * or the size overflows size_t.
 */
static inline size_t tandem_type_row_bytes(uint32_t type, size_t n)
{
	size_t block = tandem_type_block(type);
	size_t bytes;

	if (!block || n % block ||
	    __builtin_mul_overflow(tandem_type_block_bytes(type), n / block,
				   &bytes))
		return 0;
	return bytes;
}

/**
 * tandem_f16_to_f32() - widen a binary16, exactly
 * @h: bit pattern of the binary16
 *
 * Subnormals, infinities and signed zeros keep their value. A signalling NaN
 * comes out quiet with its payload, as from VCVTPH2PS.
 */
static inline float tandem_f16_to_f32(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16;
	uint32_t exponent = (h >> 10) & 0x1f;
	uint32_t mantissa = h & 0x3ff;
	uint32_t bits;
	float f;

	if (exponent == 0) {
		/* Zero or subnormal: a multiple of 2^-24, exact in binary32. */
		f = (float)mantissa * 0x1p-24f;
		memcpy(&bits, &f, sizeof(bits));
	} else if (exponent == 0x1f) {
		bits = 0x7f800000 | mantissa << 13;
		if (mantissa)
			bits |= 0x00400000;
	} else {
		bits = (exponent + 127 - 15) << 23 | mantissa << 13;
	}
	bits |= sign;
	memcpy(&f, &bits, sizeof(f));
	return f;
}

/**
 * tandem_f32_to_f16() - narrow to binary16, rounding to nearest, ties to even
 * @f: value to narrow
 *
 * Magnitudes of 65520 and more become infinity, those of 2^-25 and less become
 * zero, both with their sign. A NaN stays one: quiet, with the upper bits of
 * its payload, as from VCVTPS2PH.
 *
 * Return: bit pattern of the binary16.
 */
static inline uint16_t tandem_f32_to_f16(float f)
{
	uint32_t bits, magnitude, kept, rest, half;
	uint16_t sign;
	int shift;

	memcpy(&bits, &f, sizeof(bits));
	sign = (uint16_t)(bits >> 16 & 0x8000);
	magnitude = bits & 0x7fffffff;

	if (magnitude > 0x7f800000)
		return sign | 0x7e00 | (magnitude >> 13 & 0x1ff);
	if (magnitude >= 0x477ff000) /* 65520 */
		return sign | 0x7c00;
	if (magnitude <= 0x33000000) /* 2^-25, a tie that goes to even */
		return sign;

	if (magnitude >= 0x38800000) { /* 2^-14: normal in binary16 */
		kept = magnitude - ((127 - 15) << 23);
		shift = 13;
	} else {
		/* Units of 2^-24, the spacing of binary16 subnormals. */
		kept = (magnitude & 0x7fffff) | 0x800000;
		shift = 126 - (int)(magnitude >> 23);
	}
	rest = kept & ((1u << shift) - 1);
	half = 1u << (shift - 1);
	kept >>= shift;
	/* A carry out of the mantissa rightly lands in the exponent. */
	if (rest > half || (rest == half && (kept & 1)))
		kept++;
	return sign | (uint16_t)kept;
}

/* Widen a bfloat16, exactly. */
static inline float tandem_bf16_to_f32(uint16_t h)
{
	uint32_t bits = (uint32_t)h << 16;
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

/**
 * tandem_f32_to_bf16() - narrow to bfloat16, rounding to nearest, ties to even
 * @f: value to narrow; a NaN stays one, quiet
 *
 * Return: bit pattern of the bfloat16.
 */
static inline uint16_t tandem_f32_to_bf16(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	if ((bits & 0x7fffffff) > 0x7f800000)
		return (uint16_t)(bits >> 16 | 0x40);
	return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#endif
