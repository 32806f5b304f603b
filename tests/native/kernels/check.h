/* SPDX-License-Identifier: MIT */
/* What all kernel tests share: instruction sets, random numbers, error bounds. */
#ifndef TEST_KERNELS_CHECK_H
#define TEST_KERNELS_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/kernels.h"

/* A test that runs once for each instruction set; its state is the name of one. */
#define TEST_OF_ISA(function, isa) \
	{ #function " (" isa ")", function, NULL, NULL, (void *)isa }
#define TEST_EACH_ISA(function)                                               \
	TEST_OF_ISA(function, "scalar"), TEST_OF_ISA(function, "avx2"),       \
		TEST_OF_ISA(function, "avx512"),                              \
		TEST_OF_ISA(function, "avx512vnni"),                          \
		TEST_OF_ISA(function, "avx512bf16")

/* Loops over the types that a KV cache can have, and those without blocks. */
#define EACH_KV_TYPE(type)                                             \
	(uint32_t type = TANDEM_TYPE_F32; tandem_type_kv_valid(type);  \
	 type = next_kv_type(type))
#define EACH_PLAIN_TYPE(type)                                    \
	(uint32_t type = TANDEM_TYPE_F32; tandem_type_valid(type); \
	 type = next_plain_type(type))

/* The next in each loop; UINT32_MAX ends it. */
uint32_t next_kv_type(uint32_t type);
uint32_t next_plain_type(uint32_t type);

/* The kernels that a test is for; skips it if this CPU lacks them. */
const struct tandem_kernels *kernels_or_skip(void **state);

/* Unit roundoff of binary32: half the distance of 1 and the next number. */
#define U 0x1p-24

/*
 * Bound of the relative error of n roundings in a row, γ_n of Higham, "Accuracy
 * and Stability of Numerical Algorithms", section 3.1.
 */
static inline double error_of(double n)
{
	return n * U / (1 - n * U);
}

/*
 * Bound, in units of U, of the relative error of an exponential: libm states
 * one unit in the last place (2 U) for expf(); avx2_exp() has 0.2 U from its
 * series, 0.7 U from the argument's reduction, 1.6 U from the last steps of
 * its polynomial. Rounded up.
 */
#define EXP_ERROR 4

/* Reproducible random numbers (SplitMix64). */
uint64_t random_u64(uint64_t *seed);

/* Evenly from [-1, 1), on a grid of 2^-23. */
float random_float(uint64_t *seed);

/* A random index less than @n. */
size_t random_below(uint64_t *seed, size_t n);

/*
 * Fill an array of @n elements of @type, which has no blocks or is Q8_0, with
 * random_float(), narrowed.
 */
void random_fill(void *data, enum tandem_type type, size_t n, uint64_t *seed);

/* Element i of an array, as it is. */
double element(const void *data, enum tandem_type type, size_t i);

/* Fails unless @value is within @bound of @expected; a NaN never is. */
void check_close(double value, double expected, double bound,
		 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Fails if the floats differ in any bit. */
void check_same(const float *a, const float *b, size_t n, const char *format,
		...) __attribute__((format(printf, 4, 5)));

/* Whether a float still has the bits guarded_alloc() filled it with. */
bool unwritten(float f);

#endif
