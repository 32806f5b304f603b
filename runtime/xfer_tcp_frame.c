// SPDX-License-Identifier: MIT
/*
 * Encoding and decoding for the tcp transport.
 *
 * Head of a frame:			Entry:
 *
 *	 0  u32  magic "TXFR"		 0  u64  offset
 *	 4  u16  version		 8  u64  length
 *	 6  u16  entries		16  u32  transfer
 *	 8  u32  frames acknowledged	20  u32  blocks
 *	12  u16  kind			24  u64  generation, or zero
 *	14  u16  zero
 *	16  u64  frame number
 *	24  u64  bytes of all entries
 *	32       first entry, or note: see xfer_note.c
 */
#include <errno.h>
#include <string.h>

#include "xfer.h"
#include "xfer_tcp_frame.h"

#define FRAME_MAGIC	0x52465854u
#define GREETING_MAGIC	0x49485854u
#define WIRE_VERSION	3u

enum {
	HEAD_MAGIC = 0,
	HEAD_VERSION = 4,
	HEAD_ENTRIES = 6,
	HEAD_ACKNOWLEDGED = 8,
	HEAD_KIND = 12,
	HEAD_ZERO = 14,
	HEAD_NUMBER = 16,
	HEAD_BYTES = 24,
};

enum {
	ENTRY_OFFSET = 0,
	ENTRY_LENGTH = 8,
	ENTRY_TRANSFER = 16,
	ENTRY_BLOCKS = 20,
	ENTRY_GENERATION = 24,
};

enum {
	GREETING_AT_MAGIC = 0,
	GREETING_AT_VERSION = 4,
	GREETING_AT_STREAM = 6,
	GREETING_AT_STREAMS = 8,
	GREETING_AT_ZERO = 10,
	GREETING_AT_TOKEN = 16,
};

enum {
	ENDPOINT_PORT = 0,
	ENDPOINT_STREAMS = 2,
	ENDPOINT_COUNT = 4,
	ENDPOINT_ZERO = 6,
	ENDPOINT_TOKEN = 8,
	ENDPOINT_ADDRESSES = 24,
};

/* Of an address: family 4 or 6, three bytes of zero, 16 of the address. */
#define ADDRESS_BYTES	20u
#define ADDRESS_AT	4u

_Static_assert(XFER_NOTE_BYTES == TCP_ENTRY_BYTES, "a note takes the place of an entry");
_Static_assert(GREETING_AT_TOKEN + TCP_TOKEN_BYTES == TCP_GREETING_BYTES, "token comes last");
_Static_assert(ENDPOINT_ADDRESSES + TCP_ADDRESSES_MAX * ADDRESS_BYTES <= XFER_TRANSPORT_PART_MAX,
	       "every endpoint fits");

void tcp_head_encode(const struct tcp_head *head, uint8_t *bytes)
{
	xfer_put32(bytes + HEAD_MAGIC, FRAME_MAGIC);
	xfer_put16(bytes + HEAD_VERSION, WIRE_VERSION);
	xfer_put16(bytes + HEAD_ENTRIES, head->entries);
	xfer_put32(bytes + HEAD_ACKNOWLEDGED, head->acknowledged);
	xfer_put16(bytes + HEAD_KIND, head->kind);
	xfer_put16(bytes + HEAD_ZERO, 0);
	xfer_put64(bytes + HEAD_NUMBER, head->number);
	xfer_put64(bytes + HEAD_BYTES, head->bytes);
	if (!head->entries)
		memset(bytes + TCP_ENTRIES_AT, 0, TCP_ENTRY_BYTES);
}

void tcp_entry_encode(const struct tcp_entry *entry, uint8_t *frame, unsigned int index)
{
	uint8_t *bytes = frame + TCP_ENTRIES_AT + index * TCP_ENTRY_BYTES;

	xfer_put64(bytes + ENTRY_OFFSET, entry->offset);
	xfer_put64(bytes + ENTRY_LENGTH, entry->length);
	xfer_put32(bytes + ENTRY_TRANSFER, entry->transfer);
	xfer_put32(bytes + ENTRY_BLOCKS, entry->blocks);
	xfer_put64(bytes + ENTRY_GENERATION, entry->generation);
}

int tcp_head_decode(const uint8_t *bytes, struct tcp_head *head)
{
	head->kind = xfer_get16(bytes + HEAD_KIND);
	head->entries = xfer_get16(bytes + HEAD_ENTRIES);
	head->acknowledged = xfer_get32(bytes + HEAD_ACKNOWLEDGED);
	head->number = xfer_get64(bytes + HEAD_NUMBER);
	head->bytes = xfer_get64(bytes + HEAD_BYTES);
	if (xfer_get32(bytes + HEAD_MAGIC) != FRAME_MAGIC ||
	    xfer_get16(bytes + HEAD_VERSION) != WIRE_VERSION ||
	    xfer_get16(bytes + HEAD_ZERO) || head->entries > TCP_FRAME_ENTRIES)
		return -EPROTO;
	/* A frame says something, and only one of blocks can do without entries. */
	if (head->kind > TCP_FRAME_REFUSALS ||
	    (!head->entries && (head->kind != TCP_FRAME_BLOCKS || !head->acknowledged)))
		return -EPROTO;
	return !head->bytes == (head->entries && tcp_frame_has_bytes(head->kind)) ? -EPROTO : 0;
}

static int entry_decode(const uint8_t *bytes, uint64_t limit, struct tcp_entry *entry)
{
	entry->offset = xfer_get64(bytes + ENTRY_OFFSET);
	entry->length = xfer_get64(bytes + ENTRY_LENGTH);
	entry->transfer = xfer_get32(bytes + ENTRY_TRANSFER);
	entry->blocks = xfer_get32(bytes + ENTRY_BLOCKS);
	entry->generation = xfer_get64(bytes + ENTRY_GENERATION);
	if (entry->offset > limit || !entry->length || entry->length > limit - entry->offset ||
	    entry->transfer >= XFER_TRANSFERS || !entry->blocks ||
	    entry->blocks > XFER_WRITE_BLOCKS_MAX)
		return -EPROTO;
	return 0;
}

int tcp_entries_decode(const uint8_t *frame, const struct tcp_head *head, uint64_t limit,
		       struct tcp_entry *entries)
{
	const bool has_bytes = tcp_frame_has_bytes(head->kind);
	uint64_t left = head->bytes;
	uint32_t i;

	for (i = 0; i < head->entries; i++) {
		if (entry_decode(frame + TCP_ENTRIES_AT + i * TCP_ENTRY_BYTES, limit,
				 &entries[i]) < 0 || (has_bytes && entries[i].length > left))
			return -EPROTO;
		left -= has_bytes ? entries[i].length : 0;
	}
	return left ? -EPROTO : 0;
}

void tcp_greeting_encode(const struct tcp_greeting *greeting, uint8_t *bytes)
{
	memset(bytes, 0, TCP_GREETING_BYTES);
	xfer_put32(bytes + GREETING_AT_MAGIC, GREETING_MAGIC);
	xfer_put16(bytes + GREETING_AT_VERSION, WIRE_VERSION);
	xfer_put16(bytes + GREETING_AT_STREAM, greeting->stream);
	xfer_put16(bytes + GREETING_AT_STREAMS, greeting->streams);
	memcpy(bytes + GREETING_AT_TOKEN, greeting->token, TCP_TOKEN_BYTES);
}

int tcp_greeting_decode(const uint8_t *bytes, struct tcp_greeting *greeting)
{
	greeting->stream = xfer_get16(bytes + GREETING_AT_STREAM);
	greeting->streams = xfer_get16(bytes + GREETING_AT_STREAMS);
	memcpy(greeting->token, bytes + GREETING_AT_TOKEN, TCP_TOKEN_BYTES);
	if (xfer_get32(bytes + GREETING_AT_MAGIC) != GREETING_MAGIC ||
	    xfer_get16(bytes + GREETING_AT_VERSION) != WIRE_VERSION ||
	    xfer_get16(bytes + GREETING_AT_ZERO) || xfer_get32(bytes + GREETING_AT_ZERO + 2) ||
	    greeting->streams > TCP_STREAMS_MAX || greeting->stream >= greeting->streams)
		return -EPROTO;
	return 0;
}

bool tcp_token_equal(const uint8_t *one, const uint8_t *other)
{
	uint8_t difference = 0;
	unsigned int i;

	for (i = 0; i < TCP_TOKEN_BYTES; i++)
		difference |= one[i] ^ other[i];
	return !difference;
}

socklen_t tcp_address_size(const struct sockaddr_storage *address)
{
	switch (address->ss_family) {
	case AF_INET:
		return sizeof(struct sockaddr_in);
	case AF_INET6:
		return sizeof(struct sockaddr_in6);
	default:
		return 0;
	}
}

static void address_encode(const struct sockaddr_storage *address, uint8_t *bytes)
{
	memset(bytes, 0, ADDRESS_BYTES);
	if (address->ss_family == AF_INET) {
		bytes[0] = 4;
		memcpy(bytes + ADDRESS_AT, &((const struct sockaddr_in *)address)->sin_addr, 4);
	} else {
		bytes[0] = 6;
		memcpy(bytes + ADDRESS_AT, &((const struct sockaddr_in6 *)address)->sin6_addr,
		       16);
	}
}

static int address_decode(const uint8_t *bytes, uint16_t port, struct sockaddr_storage *address)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
	struct sockaddr_in *four = (struct sockaddr_in *)address;

	memset(address, 0, sizeof(*address));
	if (bytes[1] || bytes[2] || bytes[3])
		return -EPROTO;
	switch (bytes[0]) {
	case 4:
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		memcpy(&four->sin_addr, bytes + ADDRESS_AT, 4);
		return 0;
	case 6:
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(port);
		memcpy(&six->sin6_addr, bytes + ADDRESS_AT, 16);
		return 0;
	default:
		return -EPROTO;
	}
}

size_t tcp_endpoint_encode(const struct tcp_endpoint *endpoint, uint8_t *part)
{
	unsigned int i;

	xfer_put16(part + ENDPOINT_PORT, endpoint->port);
	xfer_put16(part + ENDPOINT_STREAMS, endpoint->streams);
	xfer_put16(part + ENDPOINT_COUNT, endpoint->address_count);
	xfer_put16(part + ENDPOINT_ZERO, 0);
	memcpy(part + ENDPOINT_TOKEN, endpoint->token, TCP_TOKEN_BYTES);
	for (i = 0; i < endpoint->address_count; i++)
		address_encode(&endpoint->addresses[i],
			       part + ENDPOINT_ADDRESSES + i * ADDRESS_BYTES);
	return ENDPOINT_ADDRESSES + endpoint->address_count * ADDRESS_BYTES;
}

int tcp_endpoint_decode(const uint8_t *part, size_t size, struct tcp_endpoint *endpoint)
{
	unsigned int i;

	if (size < ENDPOINT_ADDRESSES)
		return -EPROTO;
	endpoint->port = xfer_get16(part + ENDPOINT_PORT);
	endpoint->streams = xfer_get16(part + ENDPOINT_STREAMS);
	endpoint->address_count = xfer_get16(part + ENDPOINT_COUNT);
	memcpy(endpoint->token, part + ENDPOINT_TOKEN, TCP_TOKEN_BYTES);
	if (!endpoint->port || !endpoint->streams || endpoint->streams > TCP_STREAMS_MAX ||
	    !endpoint->address_count || endpoint->address_count > TCP_ADDRESSES_MAX ||
	    xfer_get16(part + ENDPOINT_ZERO) ||
	    size != ENDPOINT_ADDRESSES + endpoint->address_count * ADDRESS_BYTES)
		return -EPROTO;
	for (i = 0; i < endpoint->address_count; i++)
		if (address_decode(part + ENDPOINT_ADDRESSES + i * ADDRESS_BYTES, endpoint->port,
				   &endpoint->addresses[i]) < 0)
			return -EPROTO;
	return 0;
}
