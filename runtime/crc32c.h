/* SPDX-License-Identifier: MIT */
/*
 * CRC-32C (Castagnoli), as in RFC 3720, appendix B.4.
 */
#ifndef TANDEM_RUNTIME_CRC32C_H
#define TANDEM_RUNTIME_CRC32C_H

#include <stdint.h>

/* Of @length bytes, with what the processor has for it. */
uint32_t crc32c(const void *bytes, uint64_t length);
/* Of those bytes whose checksum is @before, none if that is 0, and these after them. */
uint32_t crc32c_more(uint32_t before, const void *bytes, uint64_t length);

#endif /* TANDEM_RUNTIME_CRC32C_H */
