/* SPDX-License-Identifier: MIT */
/*
 * What this machine can do at most: a streaming read, and multiply-adds in
 * registers.
 */
#ifndef TANDEM_BENCH_PEAK_H
#define TANDEM_BENCH_PEAK_H

/* At most so many threads. */
#define BENCH_PEAK_THREADS_MAX	64

/* Bytes a second that @threads threads read, each from memory of its own; 0 on failure. */
double bench_peak_read(unsigned int threads);

/*
 * Operations of F32 a second, a multiply-add being two, that @threads threads carry
 * out on registers, with the widest vectors there are; 0 on failure.
 */
double bench_peak_flops(unsigned int threads);

#endif /* TANDEM_BENCH_PEAK_H */
