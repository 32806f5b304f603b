/* SPDX-License-Identifier: MIT */
/* What the two sides of a connection over verbs tell each other beforehand. */
#ifndef TANDEM_RUNTIME_XFER_VERBS_ENDPOINT_H
#define TANDEM_RUNTIME_XFER_VERBS_ENDPOINT_H

#include <stddef.h>
#include <stdint.h>

#include <infiniband/verbs.h>

/* NICs of a connection, and queue pairs on all of them. */
#define VERBS_RAILS_MAX	4u
#define VERBS_PAIRS_MAX	8u

/**
 * struct verbs_rail_end - one end of a rail
 * @rkey: for writing and reading the pool through it; 0 where there are grants, which
 *	bring their own
 * @lid: InfiniBand address in the subnet, else 0
 * @mtu: &enum ibv_mtu
 * @link_layer: IBV_LINK_LAYER_*
 * @reads: how many of the other side's reads a pair of it serves at once, 1 to 255
 * @service: number of its &struct verbs_service
 * @gid: address
 */
struct verbs_rail_end {
	uint32_t rkey;
	uint16_t lid;
	uint8_t mtu;
	uint8_t link_layer;
	uint8_t reads;
	uint8_t service;
	union ibv_gid gid;
};

/**
 * struct verbs_pair_end - one end of a queue pair
 * @number: of it, 24 bits
 * @psn: first packet number, 24 bits; of datagrams, instead, the key (Q_Key) that they have
 *	to bring
 */
struct verbs_pair_end {
	uint32_t number;
	uint32_t psn;
};

/**
 * struct verbs_endpoint - one side of a connection, as told to the other
 * @address: of the pool's first byte
 * @length: of the pool, bytes
 * @generation: of the grants and offers of this side, the one before the first; 0 for
 *	a connection without
 * @write_bytes: longest write that this side takes; a power of two
 * @rail_count: of @rails, at least 1
 * @rail_pairs: queue pairs of each rail, at least 1
 * @rails: NICs
 * @pairs: those of the first rail, then those of the next
 */
struct verbs_endpoint {
	uint64_t address;
	uint64_t length;
	uint64_t generation;
	uint32_t write_bytes;
	uint8_t rail_count;
	uint8_t rail_pairs;
	struct verbs_rail_end rails[VERBS_RAILS_MAX];
	struct verbs_pair_end pairs[VERBS_PAIRS_MAX];
};

/* @part: of %XFER_TRANSPORT_PART_MAX. Return: bytes. */
size_t verbs_endpoint_encode(const struct verbs_endpoint *endpoint, uint8_t *part);

/* From the other side, not trusted. Return: 0 or -EPROTO. */
int verbs_endpoint_decode(const uint8_t *part, size_t size, struct verbs_endpoint *endpoint);

/**
 * struct verbs_match - rails that are joined
 * @local: number of this side's
 * @remote: number of the other side's
 */
struct verbs_match {
	unsigned int local;
	unsigned int remote;
};

/**
 * verbs_endpoint_match() - which rails are joined
 * @local: this side
 * @remote: the other side
 * @matches: filled in, room for %VERBS_RAILS_MAX
 *
 * Those first whose addresses have most in common. Both sides come to the same, in the
 * same order.
 *
 * Return: how many: as many as the side with fewer rails has, but for those of which the
 * other side has none of the same kind of network.
 */
unsigned int verbs_endpoint_match(const struct verbs_endpoint *local,
				  const struct verbs_endpoint *remote,
				  struct verbs_match *matches);

/* The longest write that both sides take, over so many rails. */
uint32_t verbs_endpoint_write_bytes(const struct verbs_endpoint *local,
				    const struct verbs_endpoint *remote, unsigned int rails);

#endif
