// SPDX-License-Identifier: MIT
/*
 * What auto says in a description.
 *
 * Layout, all little-endian:
 *
 *	 0  u8[16]  since when the host runs
 *	16  u64  network namespace
 *	24  u32  bit 0: the memory can be shown to another process; all others zero
 *	28  u32  zero
 *	32       for each of local, verbs and tcp, in this order:
 *		 u16  errno: why not; 0 it is there
 *		 u16  bytes that follow; 0 if it is not there
 *		      the transport's part
 */
#include <errno.h>
#include <string.h>

#include "xfer_auto.h"

enum {
	AT_BOOT = 0,
	AT_NETWORK = 16,
	AT_FLAGS = 24,
	AT_ZERO = 28,
	AT_OFFERS = 32,
	OFFER_CODE = 0,
	OFFER_SIZE = 2,
	OFFER_PART = 4,
};

#define FLAG_SHAREABLE 1u

/* No errno of Linux is larger. */
#define CODE_MAX 4095u

_Static_assert(AT_OFFERS + XFER_AUTO_TRANSPORTS * (OFFER_PART + XFER_TRANSPORT_PART_MAX) <=
		       XFER_PART_MAX,
	       "every part fits");

size_t xfer_auto_part_encode(const struct xfer_auto_part *part, uint8_t *bytes)
{
	uint8_t *at = bytes + AT_OFFERS;

	memcpy(bytes + AT_BOOT, part->place.boot, XFER_BOOT_BYTES);
	xfer_put64(bytes + AT_NETWORK, part->place.network);
	xfer_put32(bytes + AT_FLAGS, part->shareable ? FLAG_SHAREABLE : 0);
	xfer_put32(bytes + AT_ZERO, 0);
	for (unsigned int i = 0; i < XFER_AUTO_TRANSPORTS; i++) {
		const struct xfer_auto_offer *offer = &part->offers[i];

		xfer_put16(at + OFFER_CODE, offer->code);
		xfer_put16(at + OFFER_SIZE, offer->part_size);
		memcpy(at + OFFER_PART, offer->part, offer->part_size);
		at += OFFER_PART + offer->part_size;
	}
	return at - bytes;
}

/* Return: bytes that it takes of @size, or -EPROTO. */
static int offer_decode(const uint8_t *bytes, size_t size, struct xfer_auto_offer *offer)
{
	if (size < OFFER_PART)
		return -EPROTO;
	offer->code = xfer_get16(bytes + OFFER_CODE);
	offer->part_size = xfer_get16(bytes + OFFER_SIZE);
	if (offer->code > CODE_MAX || !offer->code == !offer->part_size ||
	    offer->part_size > XFER_TRANSPORT_PART_MAX || offer->part_size > size - OFFER_PART)
		return -EPROTO;
	memcpy(offer->part, bytes + OFFER_PART, offer->part_size);
	return OFFER_PART + offer->part_size;
}

int xfer_auto_part_decode(const uint8_t *bytes, size_t size, struct xfer_auto_part *part)
{
	size_t at = AT_OFFERS;

	if (size < AT_OFFERS || xfer_get32(bytes + AT_FLAGS) & ~FLAG_SHAREABLE ||
	    xfer_get32(bytes + AT_ZERO))
		return -EPROTO;
	memcpy(part->place.boot, bytes + AT_BOOT, XFER_BOOT_BYTES);
	part->place.network = xfer_get64(bytes + AT_NETWORK);
	part->shareable = xfer_get32(bytes + AT_FLAGS) & FLAG_SHAREABLE;
	for (unsigned int i = 0; i < XFER_AUTO_TRANSPORTS; i++) {
		int taken = offer_decode(bytes + at, size - at, &part->offers[i]);

		if (taken < 0)
			return taken;
		at += taken;
	}
	return at == size ? 0 : -EPROTO;
}
