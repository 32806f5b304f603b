// SPDX-License-Identifier: MIT
#include "check.h"

#include <stdio.h>
#include <string.h>

const struct tandem_kernels *kernels_or_skip(void **state)
{
	const char *isa = *state;
	const struct tandem_kernels *kernels = tandem_kernels_select(isa);

	if (!kernels) {
		print_message("# skip: this CPU lacks %s\n", isa);
		skip();
	}
	return kernels;
}

uint64_t random_u64(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

float random_float(uint64_t *seed)
{
	return (float)((int32_t)(random_u64(seed) >> 40) - (1 << 23)) * 0x1p-23f;
}

size_t random_below(uint64_t *seed, size_t n)
{
	return random_u64(seed) % n;
}

uint32_t next_kv_type(uint32_t type)
{
	if (type == TANDEM_TYPE_F32)
		return TANDEM_TYPE_F16;
	return type == TANDEM_TYPE_F16 ? TANDEM_TYPE_Q8_0 : UINT32_MAX;
}

uint32_t next_plain_type(uint32_t type)
{
	if (type == TANDEM_TYPE_F32)
		return TANDEM_TYPE_F16;
	return type == TANDEM_TYPE_F16 ? TANDEM_TYPE_BF16 : UINT32_MAX;
}

/* A scale that makes the largest elements about 1, and random bytes. */
static void random_q8_0(char *block, uint64_t *seed)
{
	uint16_t d = tandem_f32_to_f16(random_float(seed) / 127);

	memcpy(block, &d, sizeof(d));
	for (size_t i = 0; i < 32; i++)
		block[2 + i] = (char)random_below(seed, 256);
}

void random_fill(void *data, enum tandem_type type, size_t n, uint64_t *seed)
{
	uint16_t *half = data;
	float *single = data;

	for (size_t i = 0; i < n; i++) {
		if (type == TANDEM_TYPE_F16)
			half[i] = tandem_f32_to_f16(random_float(seed));
		else if (type == TANDEM_TYPE_BF16)
			half[i] = tandem_f32_to_bf16(random_float(seed));
		else if (type == TANDEM_TYPE_F32)
			single[i] = random_float(seed);
		else if (i % 32 == 0)
			random_q8_0((char *)data + i / 32 * 34, seed);
	}
}

double element(const void *data, enum tandem_type type, size_t i)
{
	const char *block;
	uint16_t d;

	switch (type) {
	case TANDEM_TYPE_F16:
		return tandem_f16_to_f32(((const uint16_t *)data)[i]);
	case TANDEM_TYPE_BF16:
		return tandem_bf16_to_f32(((const uint16_t *)data)[i]);
	case TANDEM_TYPE_Q8_0:
		block = (const char *)data + i / 32 * 34;
		memcpy(&d, block, sizeof(d));
		return (double)tandem_f16_to_f32(d) *
		       (signed char)block[2 + i % 32];
	default:
		return ((const float *)data)[i];
	}
}

static void fail_where(const char *what, const char *format, va_list args)
{
	char where[200];

	vsnprintf(where, sizeof(where), format, args);
	fail_msg("%s: %s", where, what);
}

void check_close(double value, double expected, double bound,
		 const char *format, ...)
{
	char what[200];
	va_list args;

	if (fabs(value - expected) <= bound)
		return;
	snprintf(what, sizeof(what),
		 "%.9g, expected %.9g, off by %.3g where %.3g is allowed",
		 value, expected, fabs(value - expected), bound);
	va_start(args, format);
	fail_where(what, format, args);
	va_end(args);
}

void check_same(const float *a, const float *b, size_t n, const char *format, ...)
{
	char what[200];
	va_list args;

	for (size_t i = 0; i < n; i++) {
		if (!memcmp(a + i, b + i, sizeof(*a)))
			continue;
		snprintf(what, sizeof(what), "element %zu is %a and %a", i,
			 (double)a[i], (double)b[i]);
		va_start(args, format);
		fail_where(what, format, args);
		va_end(args);
	}
}

bool unwritten(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return bits == 0xffffffff;
}
