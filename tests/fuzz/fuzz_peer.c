// SPDX-License-Identifier: MIT
/*
 * libFuzzer entry for messages of peers, and the descriptions in them. (Frames and
 * greetings of tcp: fuzz_xfer.c.)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/peer_message.h"
#include "runtime/xfer.h"

static const struct tandem_kv_layout layout = {
	.type = 1,
	.layers = 3,
	.kv_width = 32,
	.block_tokens = 8,
	.blocks = 67,
};

static void need(int good)
{
	if (!good)
		abort();
}

static void use_hello(const struct peer_hello *hello, const uint8_t *data, size_t size)
{
	struct xfer_description description;
	uint8_t again[PEER_MESSAGE_MAX];
	struct tandem_error error;

	if (!hello->size)
		return;
	need(hello->description + hello->size == data + size);
	need(peer_hello_encode(hello, again) == size && !memcmp(again, data, size));
	xfer_description_decode(hello->description, hello->size, &description, &error);
}

static void use_grant(const uint8_t *data, size_t size, int grants)
{
	struct tandem_grant *grant;
	uint32_t i;

	if (peer_grant_decode(data, size, &layout, grants, &grant))
		return;
	need(grant->transfer < XFER_TRANSFERS && grant->layer_count &&
	     grant->layer_first + grant->layer_count <= layout.layers && grant->block_count &&
	     !!grant->generation == grants);
	if (peer_message_type(data, size) == PEER_OFFER)
		need(grants && !grant->transfer);
	for (i = 0; i < grant->block_count; i++)
		need(grant->blocks[i] < layout.blocks);
	tandem_grant_free(grant);
}

static void use_message(const uint8_t *data, size_t size)
{
	struct peer_refusal refusal;
	struct peer_hello hello;

	switch (peer_message_type(data, size)) {
	case PEER_HELLO:
		if (!peer_hello_decode(data, size, &hello))
			use_hello(&hello, data, size);
		break;
	case PEER_READY:
		need(peer_ready_decode(data, size) == (size == 4 ? 0 : -EPROTO));
		break;
	case PEER_REFUSAL:
		if (!peer_refusal_decode(data, size, &refusal))
			need(strlen(refusal.text) <= PEER_TEXT_MAX && refusal.code);
		break;
	case PEER_GRANT:
	case PEER_OFFER:
		use_grant(data, size, 0);
		use_grant(data, size, 1);
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	use_message(data, size);
	return 0;
}
