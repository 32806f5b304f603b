// SPDX-License-Identifier: MIT
/*
 * What two processes of one host tell each other: messages of a SOCK_SEQPACKET
 * socket, little-endian, described in Documentation/transfer.rst.
 */
#include <errno.h>
#include <string.h>

#include "xfer_ipc.h"

#define MESSAGE_MAGIC	0x43505854u
#define MESSAGE_VERSION 2u

enum {
	ENDPOINT_KIND = 0,
	ENDPOINT_GRANTS = 2,
	ENDPOINT_USER = 4,
	ENDPOINT_NETWORK = 8,
	ENDPOINT_NAME = 16,
	ENDPOINT_BOOT = 24,
	ENDPOINT_TOKEN = 40,
};

enum {
	HEAD_MAGIC = 0,
	HEAD_VERSION = 4,
	HEAD_KIND = 6,
	HEAD_COUNT = 8,
	HEAD_RESERVED = 12,
};

enum {
	ENTRY_SOURCE = 0,
	ENTRY_DESTINATION = 8,
	ENTRY_LENGTH = 16,
	ENTRY_TRANSFER = 24,
	ENTRY_BLOCKS = 28,
	ENTRY_GENERATION = 32,
};

void ipc_endpoint_encode(const struct ipc_endpoint *endpoint, uint8_t *part)
{
	xfer_put16(part + ENDPOINT_KIND, endpoint->kind);
	xfer_put16(part + ENDPOINT_GRANTS, endpoint->grants);
	xfer_put32(part + ENDPOINT_USER, endpoint->user);
	xfer_put64(part + ENDPOINT_NETWORK, endpoint->network);
	xfer_put64(part + ENDPOINT_NAME, endpoint->name);
	memcpy(part + ENDPOINT_BOOT, endpoint->boot, IPC_BOOT_BYTES);
	memcpy(part + ENDPOINT_TOKEN, endpoint->token, IPC_TOKEN_BYTES);
}

int ipc_endpoint_decode(const uint8_t *part, struct ipc_endpoint *endpoint)
{
	uint16_t grants = xfer_get16(part + ENDPOINT_GRANTS);

	if (grants > 1)
		return -EPROTO;
	endpoint->kind = xfer_get16(part + ENDPOINT_KIND);
	endpoint->grants = grants;
	endpoint->user = xfer_get32(part + ENDPOINT_USER);
	endpoint->network = xfer_get64(part + ENDPOINT_NETWORK);
	endpoint->name = xfer_get64(part + ENDPOINT_NAME);
	memcpy(endpoint->boot, part + ENDPOINT_BOOT, IPC_BOOT_BYTES);
	memcpy(endpoint->token, part + ENDPOINT_TOKEN, IPC_TOKEN_BYTES);
	return 0;
}

void ipc_head_encode(const struct ipc_head *head, uint8_t *message)
{
	xfer_put32(message + HEAD_MAGIC, MESSAGE_MAGIC);
	xfer_put16(message + HEAD_VERSION, MESSAGE_VERSION);
	xfer_put16(message + HEAD_KIND, head->kind);
	xfer_put32(message + HEAD_COUNT, head->count);
	xfer_put32(message + HEAD_RESERVED, 0);
}

/* Bytes that a message has to have; 0 for one that cannot be. */
static size_t message_size(const struct ipc_head *head)
{
	const uint32_t count = head->count;

	switch (head->kind) {
	case IPC_GREETING:
		return count == 1 ? IPC_GREETING_BYTES : 0;
	case IPC_MEMORY:
		return count == 1 ? IPC_MEMORY_BYTES : 0;
	case IPC_NOTE:
		return count == 1 ? IPC_NOTE_BYTES : 0;
	case IPC_WRITES:
	case IPC_READS:
		return count && count <= IPC_ENTRIES ? IPC_HEAD_BYTES + count * IPC_ENTRY_BYTES : 0;
	case IPC_ANSWER:
		return count && count <= IPC_ENTRIES ? IPC_ANSWER_BYTES : 0;
	case IPC_DONE:
	case IPC_READ:
		return count ? IPC_HEAD_BYTES : 0;
	default:
		return 0;
	}
}

int ipc_head_decode(const uint8_t *message, size_t size, struct ipc_head *head)
{
	if (size < IPC_HEAD_BYTES || xfer_get32(message + HEAD_MAGIC) != MESSAGE_MAGIC ||
	    xfer_get16(message + HEAD_VERSION) != MESSAGE_VERSION ||
	    xfer_get32(message + HEAD_RESERVED))
		return -EPROTO;
	head->kind = xfer_get16(message + HEAD_KIND);
	head->count = xfer_get32(message + HEAD_COUNT);
	return size == message_size(head) ? 0 : -EPROTO;
}

void ipc_entry_encode(const struct ipc_entry *entry, uint8_t *message, unsigned int index)
{
	uint8_t *at = message + IPC_HEAD_BYTES + index * IPC_ENTRY_BYTES;

	xfer_put64(at + ENTRY_SOURCE, entry->source);
	xfer_put64(at + ENTRY_DESTINATION, entry->destination);
	xfer_put64(at + ENTRY_LENGTH, entry->length);
	xfer_put32(at + ENTRY_TRANSFER, entry->transfer);
	xfer_put32(at + ENTRY_BLOCKS, entry->blocks);
	xfer_put64(at + ENTRY_GENERATION, entry->generation);
}

void ipc_entry_decode(const uint8_t *message, unsigned int index, struct ipc_entry *entry)
{
	const uint8_t *at = message + IPC_HEAD_BYTES + index * IPC_ENTRY_BYTES;

	entry->source = xfer_get64(at + ENTRY_SOURCE);
	entry->destination = xfer_get64(at + ENTRY_DESTINATION);
	entry->length = xfer_get64(at + ENTRY_LENGTH);
	entry->transfer = xfer_get32(at + ENTRY_TRANSFER);
	entry->blocks = xfer_get32(at + ENTRY_BLOCKS);
	entry->generation = xfer_get64(at + ENTRY_GENERATION);
}
