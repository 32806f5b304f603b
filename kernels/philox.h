/* SPDX-License-Identifier: MIT */
/*
 * Random numbers that follow from a key and a counter alone.
 */
#ifndef TANDEM_KERNELS_PHILOX_H
#define TANDEM_KERNELS_PHILOX_H

#include <stdint.h>

/**
 * tandem_philox() - a block of random bits: Philox4x32-10
 * @counter: which block, of 2^128
 * @key: which of 2^64 streams
 * @out: the block; may be @counter
 *
 * Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3",
 * SC11, sections 2 and 3.3: ten rounds of a Feistel-like network whose round
 * function is a product of 32 by 32 bits. The multipliers and the steps of the
 * key are those of the paper.
 */
static inline void tandem_philox(const uint32_t counter[4], const uint32_t key[2],
				 uint32_t out[4])
{
	uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
	uint32_t k0 = key[0], k1 = key[1];

	for (int round = 0; round < 10; round++) {
		const uint64_t a = (uint64_t)0xd2511f53 * c0;
		const uint64_t b = (uint64_t)0xcd9e8d57 * c2;

		c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
		c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
		c1 = (uint32_t)b;
		c3 = (uint32_t)a;
		/* The golden ratio, and the square root of 3 less 1. */
		k0 += 0x9e3779b9;
		k1 += 0xbb67ae85;
	}
	out[0] = c0;
	out[1] = c1;
	out[2] = c2;
	out[3] = c3;
}

/**
 * tandem_philox_uniform() - number @index of the stream of a seed
 * @seed: names the stream
 * @index: place in it, of any order
 *
 * Return: a number evenly from the multiples of 2^-53 in [0, 1).
 */
static inline double tandem_philox_uniform(uint64_t seed, uint64_t index)
{
	const uint32_t key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) };
	const uint32_t counter[4] = { (uint32_t)index, (uint32_t)(index >> 32), 0, 0 };
	uint32_t block[4];

	tandem_philox(counter, key, block);
	return (double)(((uint64_t)block[1] << 32 | block[0]) >> 11) * 0x1p-53;
}

#endif /* TANDEM_KERNELS_PHILOX_H */
