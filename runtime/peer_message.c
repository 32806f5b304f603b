// SPDX-License-Identifier: MIT
/*
 * Encoding and decoding of what peers say.
 *
 * Each message begins with its type, u16, and u16 zero.
 *
 * Hello:				Grant, offer:
 *
 *	 4  u32  magic "TXPR"		 4  u32  transfer; of an offer zero
 *	 8  u16  lowest version		 8  u32  first layer
 *	10  u16  highest version	12  u32  layers
 *	12  u32  version of library	16  u32  blocks
 *	16  u32  grants, 0 or 1		20  u32  zero
 *	20  u32  bytes that follow	24  u64  generation
 *	24       description		32       u32 for each block
 *
 * Refusal: 4 u32 errno, 8 text. Ready: no more.
 *
 * The beginning of a hello, up to the versions, is that of all versions to come.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "peer_message.h"
#include "xfer.h"

#define HELLO_MAGIC 0x52505854u

enum {
	AT_TYPE = 0,
	AT_ZERO = 2,
	HEAD_BYTES = 4,

	HELLO_MAGIC_AT = 4,
	HELLO_LOWEST = 8,
	HELLO_HIGHEST = 10,
	HELLO_LIBRARY = 12,
	HELLO_GRANTS = 16,
	HELLO_SIZE = 20,
	HELLO_DESCRIPTION = 24,

	REFUSAL_CODE = 4,
	REFUSAL_TEXT = 8,

	GRANT_TRANSFER = 4,
	GRANT_LAYER_FIRST = 8,
	GRANT_LAYER_COUNT = 12,
	GRANT_BLOCK_COUNT = 16,
	GRANT_ZERO = 20,
	GRANT_GENERATION = 24,
	GRANT_BLOCKS = 32,
};

/* No errno of Linux is larger. */
#define CODE_MAX 4095u

_Static_assert(HELLO_DESCRIPTION + TANDEM_DESCRIPTION_MAX <= PEER_MESSAGE_MAX &&
		       REFUSAL_TEXT + PEER_TEXT_MAX <= PEER_MESSAGE_MAX,
	       "these messages fit");
_Static_assert(GRANT_BLOCKS + 4 * TANDEM_PEER_BLOCKS_MAX <= TANDEM_CHANNEL_MESSAGE_MAX,
	       "every grant fits");

int peer_message_type(const uint8_t *bytes, size_t size)
{
	uint32_t type;

	if (size < HEAD_BYTES || xfer_get16(bytes + AT_ZERO))
		return -EPROTO;
	type = xfer_get16(bytes + AT_TYPE);
	return type >= PEER_HELLO && type <= PEER_OFFER ? (int)type : -EPROTO;
}

static void head_encode(enum peer_message_type type, uint8_t *bytes)
{
	xfer_put16(bytes + AT_TYPE, type);
	xfer_put16(bytes + AT_ZERO, 0);
}

/*
 * Hello, ready, refusal
 */

size_t peer_hello_encode(const struct peer_hello *hello, uint8_t *bytes)
{
	head_encode(PEER_HELLO, bytes);
	xfer_put32(bytes + HELLO_MAGIC_AT, HELLO_MAGIC);
	xfer_put16(bytes + HELLO_LOWEST, hello->version_lowest);
	xfer_put16(bytes + HELLO_HIGHEST, hello->version_highest);
	xfer_put32(bytes + HELLO_LIBRARY, hello->library);
	xfer_put32(bytes + HELLO_GRANTS, hello->grants);
	xfer_put32(bytes + HELLO_SIZE, hello->size);
	memcpy(bytes + HELLO_DESCRIPTION, hello->description, hello->size);
	return HELLO_DESCRIPTION + hello->size;
}

int peer_hello_decode(const uint8_t *bytes, size_t size, struct peer_hello *hello)
{
	if (size < HELLO_DESCRIPTION || xfer_get32(bytes + HELLO_MAGIC_AT) != HELLO_MAGIC)
		return -EPROTO;
	memset(hello, 0, sizeof(*hello));
	hello->version_lowest = xfer_get16(bytes + HELLO_LOWEST);
	hello->version_highest = xfer_get16(bytes + HELLO_HIGHEST);
	hello->library = xfer_get32(bytes + HELLO_LIBRARY);
	if (!hello->version_lowest || hello->version_highest < hello->version_lowest)
		return -EPROTO;
	/* What follows is of a version that is not known here. */
	if (hello->version_lowest > PEER_VERSION_HIGHEST ||
	    hello->version_highest < PEER_VERSION_LOWEST)
		return 0;
	hello->grants = xfer_get32(bytes + HELLO_GRANTS);
	hello->size = xfer_get32(bytes + HELLO_SIZE);
	hello->description = bytes + HELLO_DESCRIPTION;
	if (hello->grants > 1 || hello->size > TANDEM_DESCRIPTION_MAX ||
	    hello->size != size - HELLO_DESCRIPTION)
		return -EPROTO;
	return 0;
}

size_t peer_ready_encode(uint8_t *bytes)
{
	head_encode(PEER_READY, bytes);
	return HEAD_BYTES;
}

int peer_ready_decode(const uint8_t *bytes, size_t size)
{
	(void)bytes;
	return size == HEAD_BYTES ? 0 : -EPROTO;
}

size_t peer_refusal_encode(const struct peer_refusal *refusal, uint8_t *bytes)
{
	size_t length = strnlen(refusal->text, PEER_TEXT_MAX);

	head_encode(PEER_REFUSAL, bytes);
	xfer_put32(bytes + REFUSAL_CODE, refusal->code);
	memcpy(bytes + REFUSAL_TEXT, refusal->text, length);
	return REFUSAL_TEXT + length;
}

int peer_refusal_decode(const uint8_t *bytes, size_t size, struct peer_refusal *refusal)
{
	size_t length, i;

	if (size < REFUSAL_TEXT || size > REFUSAL_TEXT + PEER_TEXT_MAX)
		return -EPROTO;
	refusal->code = xfer_get32(bytes + REFUSAL_CODE);
	if (!refusal->code || refusal->code > CODE_MAX)
		return -EPROTO;
	length = size - REFUSAL_TEXT;
	/* It may end up on a terminal. */
	for (i = 0; i < length; i++) {
		refusal->text[i] = bytes[REFUSAL_TEXT + i];
		if (refusal->text[i] < ' ' || refusal->text[i] > '~')
			refusal->text[i] = '?';
	}
	refusal->text[length] = '\0';
	return 0;
}

/*
 * Grants and offers
 */

size_t peer_grant_size(uint32_t block_count)
{
	return GRANT_BLOCKS + 4 * (size_t)block_count;
}

void peer_grant_encode(enum peer_message_type type, const struct tandem_receive *receive,
		       uint64_t generation, uint8_t *bytes)
{
	uint32_t i;

	head_encode(type, bytes);
	xfer_put32(bytes + GRANT_TRANSFER, receive->transfer);
	xfer_put32(bytes + GRANT_LAYER_FIRST, receive->layer_first);
	xfer_put32(bytes + GRANT_LAYER_COUNT, receive->layer_count);
	xfer_put32(bytes + GRANT_BLOCK_COUNT, receive->block_count);
	xfer_put32(bytes + GRANT_ZERO, 0);
	xfer_put64(bytes + GRANT_GENERATION, generation);
	for (i = 0; i < receive->block_count; i++)
		xfer_put32(bytes + GRANT_BLOCKS + 4 * i, receive->blocks[i]);
}

static int grant_check(const struct tandem_grant *grant, const struct tandem_kv_layout *layout)
{
	if (grant->transfer >= XFER_TRANSFERS || !grant->layer_count ||
	    grant->layer_first >= layout->layers ||
	    grant->layer_count > layout->layers - grant->layer_first)
		return -EPROTO;
	return 0;
}

int peer_grant_decode(const uint8_t *bytes, size_t size, const struct tandem_kv_layout *layout,
		      int grants, struct tandem_grant **grant)
{
	struct tandem_grant *new;
	uint32_t count, i;
	int ret;

	if (size < GRANT_BLOCKS || xfer_get32(bytes + GRANT_ZERO))
		return -EPROTO;
	count = xfer_get32(bytes + GRANT_BLOCK_COUNT);
	if (!count || count > TANDEM_PEER_BLOCKS_MAX || size != peer_grant_size(count))
		return -EPROTO;
	new = malloc(sizeof(*new) + count * sizeof(new->blocks[0]));
	if (!new)
		return -ENOMEM;
	new->transfer = xfer_get32(bytes + GRANT_TRANSFER);
	new->layer_first = xfer_get32(bytes + GRANT_LAYER_FIRST);
	new->layer_count = xfer_get32(bytes + GRANT_LAYER_COUNT);
	new->block_count = count;
	new->generation = xfer_get64(bytes + GRANT_GENERATION);
	ret = grant_check(new, layout);
	if (!new->generation != !grants)
		ret = -EPROTO;
	/* There are none without grants, and pulls are of no transfer. */
	if (xfer_get16(bytes + AT_TYPE) == PEER_OFFER && (!grants || new->transfer))
		ret = -EPROTO;
	for (i = 0; i < count && !ret; i++) {
		new->blocks[i] = xfer_get32(bytes + GRANT_BLOCKS + 4 * i);
		if (new->blocks[i] >= layout->blocks)
			ret = -EPROTO;
	}
	if (ret < 0) {
		free(new);
		return ret;
	}
	*grant = new;
	return 0;
}

void tandem_grant_free(struct tandem_grant *grant)
{
	free(grant);
}
