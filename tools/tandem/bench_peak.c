// SPDX-License-Identifier: MIT
/* The machine's peaks. */
#include <immintrin.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench_peak.h"

/* Larger than any cache, and read in some hundredths of a second. */
#define READ_BYTES	(256ull << 20)
#define FLOP_LOOPS	(1u << 22)
#define REPEATS		3
/* Independent sums: two a cycle, four cycles each, and some to spare. */
#define SUMS		16

struct thread {
	pthread_t id;
	const char *bytes;
	double work;
	double sink;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

__attribute__((target("avx2"))) static void *read_main(void *argument)
{
	__m256i sum[4] = { 0 };
	struct thread *thread = argument;

	for (size_t i = 0; i < READ_BYTES; i += 128)
		for (size_t j = 0; j < 4; j++)
			sum[j] = _mm256_xor_si256(
				sum[j], _mm256_load_si256(
						(const __m256i *)(thread->bytes + i) + j));
	sum[0] = _mm256_xor_si256(_mm256_xor_si256(sum[0], sum[1]),
				  _mm256_xor_si256(sum[2], sum[3]));
	thread->sink = _mm256_extract_epi32(sum[0], 0);
	thread->work = (double)READ_BYTES;
	return NULL;
}

__attribute__((target("avx512f"))) static void *flops_avx512(void *argument)
{
	const __m512 factor = _mm512_set1_ps(0.999999f), term = _mm512_set1_ps(1e-6f);
	struct thread *thread = argument;
	__m512 sum[SUMS];

	for (size_t j = 0; j < SUMS; j++)
		sum[j] = _mm512_set1_ps((float)j);
	for (unsigned int i = 0; i < FLOP_LOOPS; i++)
#pragma GCC unroll 16
		for (size_t j = 0; j < SUMS; j++)
			sum[j] = _mm512_fmadd_ps(sum[j], factor, term);
	for (size_t j = 1; j < SUMS; j++)
		sum[0] = _mm512_add_ps(sum[0], sum[j]);
	thread->sink = _mm512_reduce_add_ps(sum[0]);
	thread->work = 2.0 * 16 * SUMS * FLOP_LOOPS;
	return NULL;
}

__attribute__((target("avx2,fma"))) static void *flops_avx2(void *argument)
{
	const __m256 factor = _mm256_set1_ps(0.999999f), term = _mm256_set1_ps(1e-6f);
	struct thread *thread = argument;
	__m256 sum[8];

	for (size_t j = 0; j < 8; j++)
		sum[j] = _mm256_set1_ps((float)j);
	for (unsigned int i = 0; i < 2 * FLOP_LOOPS; i++)
#pragma GCC unroll 8
		for (size_t j = 0; j < 8; j++)
			sum[j] = _mm256_fmadd_ps(sum[j], factor, term);
	for (size_t j = 1; j < 8; j++)
		sum[0] = _mm256_add_ps(sum[0], sum[j]);
	thread->sink = _mm256_cvtss_f32(sum[0]);
	thread->work = 2.0 * 8 * 8 * 2 * FLOP_LOOPS;
	return NULL;
}

/* The best of several, since what disturbs only makes it slower. */
static double measure(struct thread *threads, unsigned int count, void *(*body)(void *argument))
{
	double best = 0;

	for (int repeat = 0; repeat < REPEATS; repeat++) {
		double start = now(), work = 0;
		unsigned int started = 0;

		while (started < count && !pthread_create(&threads[started].id, NULL, body,
							  &threads[started]))
			started++;
		for (unsigned int i = 0; i < started; i++) {
			pthread_join(threads[i].id, NULL);
			work += threads[i].work;
		}
		if (started < count)
			return 0;
		work /= now() - start;
		best = work > best ? work : best;
	}
	return best;
}

double bench_peak_read(unsigned int threads)
{
	struct thread thread[BENCH_PEAK_THREADS_MAX] = { 0 };
	char *bytes;
	double peak;

	if (threads > BENCH_PEAK_THREADS_MAX || !__builtin_cpu_supports("avx2"))
		return 0;
	bytes = aligned_alloc(4096, READ_BYTES * threads);
	if (!bytes)
		return 0;
	memset(bytes, 1, READ_BYTES * threads);
	for (unsigned int i = 0; i < threads; i++)
		thread[i].bytes = bytes + i * READ_BYTES;
	peak = measure(thread, threads, read_main);
	free(bytes);
	return peak;
}

double bench_peak_flops(unsigned int threads)
{
	struct thread thread[BENCH_PEAK_THREADS_MAX] = { 0 };

	if (threads > BENCH_PEAK_THREADS_MAX)
		return 0;
	if (__builtin_cpu_supports("avx512f"))
		return measure(thread, threads, flops_avx512);
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		return measure(thread, threads, flops_avx2);
	return 0;
}
