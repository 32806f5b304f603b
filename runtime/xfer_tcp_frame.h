/* SPDX-License-Identifier: MIT */
/*
 * What the tcp transport says on the wire, and in a description. Nothing here
 * touches a socket; everything that is decoded comes from the other side and is
 * checked before it is used. All numbers are little-endian.
 */
#ifndef TANDEM_RUNTIME_XFER_TCP_FRAME_H
#define TANDEM_RUNTIME_XFER_TCP_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <netinet/in.h>
#include <sys/socket.h>

/*
 * Frames: a head of fixed size, which has room for the first entry, then the
 * other entries, then the bytes that the entries are of, in their order.
 */

#define TCP_FRAME_ENTRIES	256u
#define TCP_HEAD_BYTES		64u
#define TCP_ENTRY_BYTES		32u
/* Where the first entry is; the others follow it without a gap. */
#define TCP_ENTRIES_AT		(TCP_HEAD_BYTES - TCP_ENTRY_BYTES)
#define TCP_FRAME_BYTES_MAX	(TCP_ENTRIES_AT + TCP_FRAME_ENTRIES * TCP_ENTRY_BYTES)

/* What is in the place of entries. */
enum tcp_frame_kind {
	TCP_FRAME_BLOCKS = 0,
	/* Notes, which have the size of entries; nothing follows them. */
	TCP_FRAME_NOTES = 1,
	/* Entries of what the sender of the frame wants to read; nothing follows. */
	TCP_FRAME_REQUESTS = 2,
	/* Such entries again, with the bytes, in any order. */
	TCP_FRAME_ANSWERS = 3,
	/* Such entries again, which may not be read; nothing follows. */
	TCP_FRAME_REFUSALS = 4,
};

/* Does a frame of this kind have the bytes of its entries? */
static inline bool tcp_frame_has_bytes(uint32_t kind)
{
	return kind == TCP_FRAME_BLOCKS || kind == TCP_FRAME_ANSWERS;
}

/**
 * struct tcp_head - the beginning of a frame
 * @kind: &enum tcp_frame_kind
 * @entries: how many; 0 for a frame of blocks that only acknowledges
 * @acknowledged: frames with entries of blocks that have been received in full
 *	since this was last told
 * @number: frames with entries of blocks that this stream has carried before this
 *	one. Others are neither acknowledged nor counted
 * @bytes: that follow: of all entries, or 0
 */
struct tcp_head {
	uint32_t kind;
	uint32_t entries;
	uint32_t acknowledged;
	uint64_t number;
	uint64_t bytes;
};

/**
 * struct tcp_entry - a range of the receiver's memory; where it is read, of the
 *	memory of the side that is asked
 * @offset: of its first byte
 * @length: bytes, not zero
 * @transfer: that it is of; where it is read, the number of the request, which the
 *	answer repeats, as all of this
 * @blocks: that are complete with it, not zero
 * @generation: of the grant or offer, or 0
 */
struct tcp_entry {
	uint64_t offset;
	uint64_t length;
	uint32_t transfer;
	uint32_t blocks;
	uint64_t generation;
};

/* Encode into %TCP_HEAD_BYTES, all but the first entry. */
void tcp_head_encode(const struct tcp_head *head, uint8_t *bytes);
/* Encode entry number @index of a frame that begins at @frame. */
void tcp_entry_encode(const struct tcp_entry *entry, uint8_t *frame, unsigned int index);
/* From %TCP_HEAD_BYTES. Return: 0 or -EPROTO. */
int tcp_head_decode(const uint8_t *bytes, struct tcp_head *head);

/**
 * tcp_entries_decode() - read and check the entries of a frame
 * @frame: its head and entries
 * @head: decoded
 * @limit: bytes of memory that they have to be within; UINT64_MAX for entries that
 *	the caller compares with others
 * @entries: filled in, @head->entries of them
 *
 * Return: 0 or -EPROTO.
 */
int tcp_entries_decode(const uint8_t *frame, const struct tcp_head *head, uint64_t limit,
		       struct tcp_entry *entries);

/*
 * Greetings: the first bytes of a stream, one from the side that dialled and
 * one in answer.
 */

#define TCP_TOKEN_BYTES		16u
#define TCP_GREETING_BYTES	32u

/**
 * struct tcp_greeting - who calls, or answers
 * @stream: number of the stream
 * @streams: how many the connection has
 * @token: of the description of the side that it is sent to, which only the
 *	side that was given that description can know
 */
struct tcp_greeting {
	uint16_t stream;
	uint16_t streams;
	uint8_t token[TCP_TOKEN_BYTES];
};

void tcp_greeting_encode(const struct tcp_greeting *greeting, uint8_t *bytes);
/* From %TCP_GREETING_BYTES. Return: 0 or -EPROTO. */
int tcp_greeting_decode(const uint8_t *bytes, struct tcp_greeting *greeting);
/* Compare without telling by the time taken where they differ. */
bool tcp_token_equal(const uint8_t *one, const uint8_t *other);

/*
 * Endpoints: the transport's part of a description.
 */

#define TCP_ADDRESSES_MAX	8u
#define TCP_STREAMS_MAX		16u

/**
 * struct tcp_endpoint - where a side can be reached
 * @port: where it listens
 * @streams: how many it would like
 * @token: a random number that stands for this side
 * @address_count: entries of @addresses, not zero
 * @addresses: to be tried in this order; only families and addresses count
 */
struct tcp_endpoint {
	uint16_t port;
	uint16_t streams;
	uint8_t token[TCP_TOKEN_BYTES];
	unsigned int address_count;
	struct sockaddr_storage addresses[TCP_ADDRESSES_MAX];
};

/* Return: bytes written, at most %XFER_TRANSPORT_PART_MAX. */
size_t tcp_endpoint_encode(const struct tcp_endpoint *endpoint, uint8_t *part);
/* Sets the ports of @addresses too. Return: 0 or -EPROTO. */
int tcp_endpoint_decode(const uint8_t *part, size_t size, struct tcp_endpoint *endpoint);

/* Bytes of an address of this family; 0 for a family that is none of ours. */
socklen_t tcp_address_size(const struct sockaddr_storage *address);

#endif /* TANDEM_RUNTIME_XFER_TCP_FRAME_H */
