/* SPDX-License-Identifier: MIT */
/*
 * The transport `auto`: each side opens whatever transports it can, tells the other of
 * all of them, and both come to the same choice from the same two descriptions.
 *
 *	xfer_auto_part.c	what is told
 *	xfer_auto_choose.c	the choice
 *	xfer_auto.c		opening, connecting, and closing what was not chosen
 *	xfer_place.c		where a side is
 */
#ifndef TANDEM_RUNTIME_XFER_AUTO_H
#define TANDEM_RUNTIME_XFER_AUTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>

#include "xfer.h"
#include "xfer_place.h"

/**
 * struct xfer_side - one of two sides, as a transport's @reach sees it
 * @part: what the transport says of it in its description; not trusted
 * @part_size: bytes of @part
 * @place: where it is
 * @shareable: its memory can be shown to another process
 */
struct xfer_side {
	const uint8_t *part;
	size_t part_size;
	struct xfer_place place;
	bool shareable;
};

/**
 * struct xfer_auto_offer - a transport, of one side
 * @code: why the side cannot use it, a positive errno; 0 it can
 * @part_size: bytes of @part; 0 with a @code
 * @part: what the other side has to know
 */
struct xfer_auto_offer {
	uint32_t code;
	uint32_t part_size;
	uint8_t part[XFER_TRANSPORT_PART_MAX];
};

/**
 * struct xfer_auto_part - auto's part of a description
 * @place: where the side is
 * @shareable: its memory can be shown to another process
 * @offers: each transport's, by &enum tandem_transport
 */
struct xfer_auto_part {
	struct xfer_place place;
	bool shareable;
	struct xfer_auto_offer offers[XFER_AUTO_TRANSPORTS];
};

/* Return: bytes written, at most %XFER_PART_MAX. */
size_t xfer_auto_part_encode(const struct xfer_auto_part *part, uint8_t *bytes);
/* From the other side, not trusted. Return: 0 or -EPROTO. */
int xfer_auto_part_decode(const uint8_t *bytes, size_t size, struct xfer_auto_part *part);

/* By &enum tandem_transport, the first that reaches being chosen. */
extern const struct xfer_transport_ops *const xfer_auto_ops_of[XFER_AUTO_TRANSPORTS];

/**
 * xfer_auto_choose() - choose a transport
 * @own: this side's
 * @other: the other side's, decoded
 * @reasons: of each transport, why it is the one or is not; where this side cannot
 *	use it that is left to the caller
 *
 * Nothing else counts, so the other side comes to the same choice.
 *
 * Return: &enum tandem_transport; -EPROTO; -EHOSTUNREACH none reaches.
 */
int xfer_auto_choose(const struct xfer_auto_part *own, const struct xfer_auto_part *other,
		     struct tandem_error reasons[XFER_AUTO_TRANSPORTS]);

/**
 * struct xfer_auto - the choice of a connection
 * @transports: those that are open and not chosen, as &tandem_connection.transport
 * @own: what the other side is told
 * @reasons: of each transport
 */
struct xfer_auto {
	void *transports[XFER_AUTO_TRANSPORTS];
	struct xfer_auto_part own;
	struct tandem_error reasons[XFER_AUTO_TRANSPORTS];
};

#endif /* TANDEM_RUNTIME_XFER_AUTO_H */
