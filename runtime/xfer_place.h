/* SPDX-License-Identifier: MIT */
/*
 * Where a side of a connection is, told so that the two sides can be compared.
 */
#ifndef TANDEM_RUNTIME_XFER_PLACE_H
#define TANDEM_RUNTIME_XFER_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#define XFER_BOOT_BYTES 16u

/**
 * struct xfer_place - where a process is
 * @boot: of the host: since when it runs; zeros where the kernel does not tell
 * @network: its network namespace; 0 where the kernel does not tell
 */
struct xfer_place {
	uint8_t boot[XFER_BOOT_BYTES];
	uint64_t network;
};

/* This process's. */
void xfer_place_read(struct xfer_place *place);

/* Are they of one host, and in one network? Not where that is not known. */
bool xfer_place_same(const struct xfer_place *one, const struct xfer_place *other);

#endif /* TANDEM_RUNTIME_XFER_PLACE_H */
