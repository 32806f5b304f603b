// SPDX-License-Identifier: MIT
/*
 * What the two sides tell one another before anything is sent. The bytes come
 * from another process, by ways that the application chose: nothing of them is
 * believed before it is checked.
 *
 * Layout, all little-endian:
 *
 *	 0  u32  magic "TXFD"
 *	 4  u16  version
 *	 6  u16  transport
 *	 8  u32  bytes of the whole description
 *	12  u32  element type, layers, KV width, tokens a block, blocks
 *	32  u32  bit 0: checksums; all others zero
 *	36  u32  bytes of the transport's part
 *	40       the transport's part
 *	end u32  CRC-32C of all before
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "crc32c.h"
#include "error.h"
#include "kv.h"
#include "xfer.h"

#define DESCRIPTION_MAGIC	0x44465854u
#define DESCRIPTION_VERSION	3u

enum {
	AT_MAGIC = 0,
	AT_VERSION = 4,
	AT_TRANSPORT = 6,
	AT_SIZE = 8,
	AT_TYPE = 12,
	AT_LAYERS = 16,
	AT_KV_WIDTH = 20,
	AT_BLOCK_TOKENS = 24,
	AT_BLOCKS = 28,
	AT_FLAGS = 32,
	AT_PART_SIZE = 36,
	AT_PART = 40,
};

#define FLAG_CHECKSUMS		1u

#define CHECKSUM_BYTES		4u

_Static_assert(AT_PART + XFER_PART_MAX + CHECKSUM_BYTES <= TANDEM_DESCRIPTION_MAX,
	       "every description fits");

void xfer_put16(uint8_t *at, uint16_t value)
{
	at[0] = value;
	at[1] = value >> 8;
}

void xfer_put32(uint8_t *at, uint32_t value)
{
	xfer_put16(at, value);
	xfer_put16(at + 2, value >> 16);
}

void xfer_put64(uint8_t *at, uint64_t value)
{
	xfer_put32(at, value);
	xfer_put32(at + 4, value >> 32);
}

uint16_t xfer_get16(const uint8_t *at)
{
	return at[0] | at[1] << 8;
}

uint32_t xfer_get32(const uint8_t *at)
{
	return xfer_get16(at) | (uint32_t)xfer_get16(at + 2) << 16;
}

uint64_t xfer_get64(const uint8_t *at)
{
	return xfer_get32(at) | (uint64_t)xfer_get32(at + 4) << 32;
}

int xfer_description_encode(const struct xfer_description *description, void *buffer,
			    size_t size)
{
	const struct tandem_kv_layout *layout = &description->layout;
	uint32_t total = AT_PART + description->part_size + CHECKSUM_BYTES;
	uint8_t *out = buffer;

	if (size < total)
		return -ENOSPC;
	xfer_put32(out + AT_MAGIC, DESCRIPTION_MAGIC);
	xfer_put16(out + AT_VERSION, DESCRIPTION_VERSION);
	xfer_put16(out + AT_TRANSPORT, description->transport);
	xfer_put32(out + AT_SIZE, total);
	xfer_put32(out + AT_TYPE, layout->type);
	xfer_put32(out + AT_LAYERS, layout->layers);
	xfer_put32(out + AT_KV_WIDTH, layout->kv_width);
	xfer_put32(out + AT_BLOCK_TOKENS, layout->block_tokens);
	xfer_put32(out + AT_BLOCKS, layout->blocks);
	xfer_put32(out + AT_FLAGS, description->checksums ? FLAG_CHECKSUMS : 0);
	xfer_put32(out + AT_PART_SIZE, description->part_size);
	memcpy(out + AT_PART, description->part, description->part_size);
	xfer_put32(out + total - CHECKSUM_BYTES, crc32c(out, total - CHECKSUM_BYTES));
	return total;
}

int xfer_description_decode(const void *buffer, size_t size,
			    struct xfer_description *description, struct tandem_error *error)
{
	struct tandem_kv_layout *layout = &description->layout;
	const uint8_t *in = buffer;
	uint64_t pool_bytes;

	if (size < AT_PART + CHECKSUM_BYTES || size > TANDEM_DESCRIPTION_MAX)
		return tandem_error_set(error, -EPROTO,
					"the other side's description: %zu bytes cannot be one; pass it on whole",
					size);
	if (xfer_get32(in + AT_MAGIC) != DESCRIPTION_MAGIC)
		return tandem_error_set(error, -EPROTO,
					"the other side's description: these are bytes of something else");
	if (xfer_get16(in + AT_VERSION) != DESCRIPTION_VERSION)
		return tandem_error_set(error, -EPROTO,
					"the other side's description: version %u, this library knows %u; use the same release on both sides",
					xfer_get16(in + AT_VERSION), DESCRIPTION_VERSION);
	if (xfer_get32(in + AT_SIZE) != size ||
	    xfer_get32(in + size - CHECKSUM_BYTES) != crc32c(in, size - CHECKSUM_BYTES))
		return tandem_error_set(error, -EPROTO,
					"the other side's description: damaged on the way (length or checksum); pass it on unchanged");

	description->transport = xfer_get16(in + AT_TRANSPORT);
	layout->type = xfer_get32(in + AT_TYPE);
	layout->layers = xfer_get32(in + AT_LAYERS);
	layout->kv_width = xfer_get32(in + AT_KV_WIDTH);
	layout->block_tokens = xfer_get32(in + AT_BLOCK_TOKENS);
	layout->blocks = xfer_get32(in + AT_BLOCKS);
	description->checksums = xfer_get32(in + AT_FLAGS) & FLAG_CHECKSUMS;
	description->part_size = xfer_get32(in + AT_PART_SIZE);
	if (xfer_get32(in + AT_FLAGS) & ~FLAG_CHECKSUMS ||
	    description->part_size > XFER_PART_MAX ||
	    description->part_size != size - AT_PART - CHECKSUM_BYTES ||
	    kv_layout_check(layout, &pool_bytes) < 0)
		return tandem_error_set(error, -EPROTO,
					"the other side's description: its fields do not hold together");
	memcpy(description->part, in + AT_PART, description->part_size);
	return 0;
}
