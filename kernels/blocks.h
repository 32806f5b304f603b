/* SPDX-License-Identifier: MIT */
/*
 * What is in a block of the quantised types, as the GGUF format has it.
 *
 * A row of weights is made of groups of elements that share a scale. Whatever
 * the type, an element is
 *
 *	scale * (code - offset) - minimum
 *
 * with a code that is an unsigned number of up to 8 bits, an offset that
 * belongs to the type, and a scale and a minimum that belong to the group. For
 * the kernels that is all there is to a type.
 *
 *	type	block	group	offset	block in memory
 *	Q4_0	32	32	8	scale (binary16), 16 bytes: element i in the
 *					lower half of byte i, i + 16 in the upper
 *	Q8_0	32	32	128	scale (binary16), 32 signed bytes, of which
 *					the code is the value + 128
 *	Q4_K	256	32	0	d, dmin (binary16), 12 bytes: eight 6-bit scales
 *					s and minima m; scale = d s, minimum = dmin m;
 *					then for each 64 elements 32 bytes: element i
 *					in the lower half of byte i, i + 32 above
 *	Q6_K	256	16	32	for each 128 elements 64 bytes of lower 4 bits;
 *					for each 128 elements 32 bytes of upper 2 bits;
 *					16 signed bytes s, then d (binary16); scale = d s
 */
#ifndef TANDEM_KERNELS_BLOCKS_H
#define TANDEM_KERNELS_BLOCKS_H

#include "types.h"

#define Q4_0_BYTES	 18
#define Q4_0_CODES	 2 /* offsets within a block, likewise the following */
#define Q8_0_BYTES	 34
#define Q8_0_CODES	 2
#define Q4_K_BYTES	 144
#define Q4_K_MINIMUM	 2
#define Q4_K_SCALES	 4
#define Q4_K_CODES	 16
#define Q6_K_BYTES	 210
#define Q6_K_UPPER	 128
#define Q6_K_SCALES	 192
#define Q6_K_D		 208

/* Elements that share a scale. */
static inline size_t block_group(enum tandem_type type)
{
	return type == TANDEM_TYPE_Q6_K ? 16 : 32;
}

/* What is taken off a code. */
static inline int32_t block_offset(enum tandem_type type)
{
	switch (type) {
	case TANDEM_TYPE_Q4_0:
		return 8;
	case TANDEM_TYPE_Q8_0:
		return 128;
	case TANDEM_TYPE_Q6_K:
		return 32;
	default:
		return 0;
	}
}

static inline uint16_t block_half(const char *p)
{
	uint16_t h;

	memcpy(&h, p, sizeof(h));
	return h;
}

/*
 * The 6-bit scale and minimum of group g, from 0 to 7, of a Q4_K block. Those of
 * the first four groups lie in the lower bits of bytes 0 to 3 and 4 to 7; those
 * of the last four have their lower four bits in bytes 8 to 11 and the upper
 * two in the upper bits of the first eight.
 */
static inline void block_q4_k_scale(const uint8_t *packed, size_t g,
				    uint8_t *scale, uint8_t *minimum)
{
	if (g < 4) {
		*scale = packed[g] & 63;
		*minimum = packed[g + 4] & 63;
		return;
	}
	*scale = (packed[g + 4] & 15) | packed[g - 4] >> 6 << 4;
	*minimum = packed[g + 4] >> 4 | packed[g] >> 6 << 4;
}

#endif
