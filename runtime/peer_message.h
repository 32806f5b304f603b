/* SPDX-License-Identifier: MIT */
/*
 * What peers say to one another over their channel. Everything that is decoded
 * comes from the other side and is checked before it is used. All numbers are
 * little-endian.
 */
#ifndef TANDEM_RUNTIME_PEER_MESSAGE_H
#define TANDEM_RUNTIME_PEER_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include <tandem/peer.h>

/* Versions of what is said here that this library speaks. */
#define PEER_VERSION_LOWEST  1u
#define PEER_VERSION_HIGHEST 2u

/* Longest text of a refusal, bytes. */
#define PEER_TEXT_MAX 200u

enum peer_message_type {
	PEER_HELLO = 1, /* a connection was opened; this is how to reach it */
	PEER_READY = 2, /* it is connected to the one of the other's hello */
	PEER_REFUSAL = 3, /* it will not be; nothing follows */
	PEER_GRANT = 4, /* these blocks may be written */
	PEER_OFFER = 5, /* these blocks may be read; since version 2 */
};

/**
 * struct peer_hello - the first thing that is said of a connection
 * @version_lowest: of those that the sender speaks
 * @version_highest: likewise
 * @library: version of its library, for messages: major, minor and patch, a byte each
 * @grants: the connection has grants
 * @size: bytes of @description
 * @description: of the connection, still to be decoded; within the message
 */
struct peer_hello {
	uint32_t version_lowest;
	uint32_t version_highest;
	uint32_t library;
	uint32_t grants;
	uint32_t size;
	const uint8_t *description;
};

/**
 * struct peer_refusal - why not
 * @code: a positive errno
 * @text: printable
 */
struct peer_refusal {
	uint32_t code;
	char text[PEER_TEXT_MAX + 1];
};

/* What sort it is, an &enum peer_message_type, or -EPROTO. */
int peer_message_type(const uint8_t *bytes, size_t size);

/* Room for a hello, ready or refusal of any sort. */
#define PEER_MESSAGE_MAX (TANDEM_DESCRIPTION_MAX + 64)

/* Return: bytes written to a buffer of %PEER_MESSAGE_MAX. */
size_t peer_hello_encode(const struct peer_hello *hello, uint8_t *bytes);
size_t peer_ready_encode(uint8_t *bytes);
size_t peer_refusal_encode(const struct peer_refusal *refusal, uint8_t *bytes);

/* Bytes that a grant or an offer takes. */
size_t peer_grant_size(uint32_t block_count);
/* Into that many, a grant or an offer. The rest of @receive is the application's. */
void peer_grant_encode(enum peer_message_type type, const struct tandem_receive *receive,
		       uint64_t generation, uint8_t *bytes);

/* Of a message of the right type. Return: 0 or -EPROTO. */
int peer_hello_decode(const uint8_t *bytes, size_t size, struct peer_hello *hello);
int peer_ready_decode(const uint8_t *bytes, size_t size);
int peer_refusal_decode(const uint8_t *bytes, size_t size, struct peer_refusal *refusal);

/**
 * peer_grant_decode() - read and check a grant or an offer
 * @bytes: the message
 * @size: its size
 * @layout: of the other side's pool
 * @grants: the connection has grants
 * @grant: where to put it; for tandem_grant_free()
 *
 * Return: 0, -EPROTO, -ENOMEM.
 */
int peer_grant_decode(const uint8_t *bytes, size_t size, const struct tandem_kv_layout *layout,
		      int grants, struct tandem_grant **grant);

#endif /* TANDEM_RUNTIME_PEER_MESSAGE_H */
