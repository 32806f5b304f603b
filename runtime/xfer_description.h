/* SPDX-License-Identifier: MIT */
/*
 * What the two sides tell one another beforehand.
 */
#ifndef TANDEM_RUNTIME_XFER_DESCRIPTION_H
#define TANDEM_RUNTIME_XFER_DESCRIPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>
#include <tandem/kv.h>

/* The longest part of a description that belongs to one transport, bytes. */
#define XFER_TRANSPORT_PART_MAX	256
/* Transports that auto chooses among: those before it in &enum tandem_transport. */
#define XFER_AUTO_TRANSPORTS	3
/* The longest part of all: that of auto. */
#define XFER_PART_MAX		(32 + XFER_AUTO_TRANSPORTS * (4 + XFER_TRANSPORT_PART_MAX))

/**
 * struct xfer_description - one side, as the other has to know it
 * @transport: &enum tandem_transport
 * @layout: of its pool
 * @checksums: it tells them, and wants to be told
 * @part: what the transport has to say
 * @part_size: bytes of @part
 */
struct xfer_description {
	uint32_t transport;
	struct tandem_kv_layout layout;
	bool checksums;
	uint8_t part[XFER_PART_MAX];
	uint32_t part_size;
};

/* Little-endian numbers at any address. */
void xfer_put16(uint8_t *at, uint16_t value);
void xfer_put32(uint8_t *at, uint32_t value);
void xfer_put64(uint8_t *at, uint64_t value);
uint16_t xfer_get16(const uint8_t *at);
uint32_t xfer_get32(const uint8_t *at);
uint64_t xfer_get64(const uint8_t *at);

/**
 * xfer_description_encode() - make bytes of a description
 * @description: what to say
 * @buffer: filled in
 * @size: of @buffer
 *
 * Return: bytes written, or -ENOSPC.
 */
int xfer_description_encode(const struct xfer_description *description, void *buffer,
			    size_t size);

/**
 * xfer_description_decode() - read a description
 * @buffer: bytes from the other side, not trusted
 * @size: their number
 * @description: filled in; @part is for the transport to check
 * @error: filled in on failure
 *
 * Return: 0 or -EPROTO.
 */
int xfer_description_decode(const void *buffer, size_t size,
			    struct xfer_description *description, struct tandem_error *error);

#endif /* TANDEM_RUNTIME_XFER_DESCRIPTION_H */
