/* SPDX-License-Identifier: MIT */
/*
 * CRC-32C (Castagnoli), as in RFC 3720, appendix B.4.
 */
#ifndef TANDEM_RUNTIME_CRC32C_H
#define TANDEM_RUNTIME_CRC32C_H

#include <stdint.h>

/* Of @length bytes, with what the processor has for it. */
uint32_t crc32c(const void *bytes, uint64_t length);

#endif /* TANDEM_RUNTIME_CRC32C_H */
