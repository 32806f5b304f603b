/* SPDX-License-Identifier: MIT */
/*
 * Chance that can be repeated.
 */
#ifndef FUZZ_RANDOM_H
#define FUZZ_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* splitmix64; any state will do. */
struct fuzz_random {
	uint64_t state;
};

static inline uint64_t fuzz_random64(struct fuzz_random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* 0 … @limit - 1. */
static inline uint32_t fuzz_below(struct fuzz_random *random, uint32_t limit)
{
	return fuzz_random64(random) % limit;
}

static inline bool fuzz_one_in(struct fuzz_random *random, uint32_t count)
{
	return !fuzz_below(random, count);
}

/* A state for the @number-th of those who come from one seed. */
static inline uint64_t fuzz_derive(uint64_t seed, uint64_t number)
{
	struct fuzz_random random = { seed ^ number * 0xd6e8feb86659fd93ull };

	return fuzz_random64(&random);
}

/* A number that is likely to be at some limit, and near to @value. */
uint64_t fuzz_odd_number(struct fuzz_random *random, uint64_t value);

/* Makes one or two of the 32-bit words of a structure wrong. */
void fuzz_mutate(struct fuzz_random *random, void *structure, size_t size);

#endif /* FUZZ_RANDOM_H */
