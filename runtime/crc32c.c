// SPDX-License-Identifier: MIT
/*
 * CRC-32C by ISA-L, which chooses the processor's instructions at run time.
 */
#include <isa-l/crc.h>

#include "crc32c.h"

/* The library counts bytes in an int. */
#define PIECE_BYTES (1ull << 30)

uint32_t crc32c_more(uint32_t before, const void *bytes, uint64_t length)
{
	/* It only reads. */
	unsigned char *at = (unsigned char *)bytes;
	uint32_t crc = ~before;
	uint64_t piece;

	for (; length; length -= piece, at += piece) {
		piece = length < PIECE_BYTES ? length : PIECE_BYTES;
		crc = crc32_iscsi(at, piece, crc);
	}
	return ~crc;
}

uint32_t crc32c(const void *bytes, uint64_t length)
{
	return crc32c_more(0, bytes, length);
}
