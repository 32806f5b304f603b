// SPDX-License-Identifier: MIT
#include <string.h>

#include "fuzz_random.h"

uint64_t fuzz_odd_number(struct fuzz_random *random, uint64_t value)
{
	switch (fuzz_below(random, 10)) {
	case 0:
		return 0;
	case 1:
		return 1;
	case 2:
		return ~0ull;
	case 3:
		return value + 1;
	case 4:
		return value - 1;
	case 5:
		return value ^ 1ull << fuzz_below(random, 64);
	case 6:
		return 1ull << fuzz_below(random, 64);
	case 7:
		return value + 4096;
	case 8:
		return fuzz_below(random, 64);
	default:
		return fuzz_random64(random);
	}
}

void fuzz_mutate(struct fuzz_random *random, void *structure, size_t size)
{
	uint32_t count = 1 + fuzz_below(random, 2), word;
	char *at;

	while (count--) {
		at = (char *)structure + 4 * fuzz_below(random, size / 4);
		memcpy(&word, at, sizeof(word));
		word = fuzz_odd_number(random, word);
		memcpy(at, &word, sizeof(word));
	}
}
