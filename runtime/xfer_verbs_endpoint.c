// SPDX-License-Identifier: MIT
/*
 * What the two sides of a verbs connection tell one another beforehand, and what
 * follows from that: which NIC of one side is joined to which of the other.
 *
 * Layout, all little-endian:
 *
 *	 0  u64  address of the pool's first byte
 *	 8  u64  bytes of the pool
 *	16  u64  generation before the first grant; 0 without grants
 *	24  u32  longest write, a power of two
 *	28  u16  version
 *	30  u8   rails
 *	31  u8   queue pairs of each
 *	32       rails of 32 bytes: 16 bytes GID, u32 rkey, u16 LID, u8 MTU, u8 link layer,
 *		 u8 reads, u8 kind of queue pairs, zeros
 *	then     pairs of 8 bytes: u32 number, u32 first packet number
 */
#include <errno.h>
#include <string.h>

#include "xfer_description.h"
#include "xfer_verbs_endpoint.h"

#define ENDPOINT_VERSION	4u
#define NUMBER_24_BITS		0xffffffu
#define WRITE_BYTES_LEAST	4096u
#define WRITE_BYTES_MOST	(1u << 30)

enum {
	AT_ADDRESS = 0,
	AT_LENGTH = 8,
	AT_GENERATION = 16,
	AT_WRITE_BYTES = 24,
	AT_VERSION = 28,
	AT_RAIL_COUNT = 30,
	AT_RAIL_PAIRS = 31,
	AT_RAILS = 32,
};

enum {
	RAIL_GID = 0,
	RAIL_RKEY = 16,
	RAIL_LID = 20,
	RAIL_MTU = 22,
	RAIL_LINK_LAYER = 23,
	RAIL_READS = 24,
	RAIL_SERVICE = 25,
	RAIL_ZERO = 26,
	RAIL_BYTES = 32,
};

enum {
	PAIR_NUMBER = 0,
	PAIR_PSN = 4,
	PAIR_BYTES = 8,
};

_Static_assert(AT_RAILS + VERBS_RAILS_MAX * RAIL_BYTES + VERBS_PAIRS_MAX * PAIR_BYTES <=
	       XFER_TRANSPORT_PART_MAX, "every endpoint fits a description");
_Static_assert(RAIL_GID + sizeof(union ibv_gid) == RAIL_RKEY, "a GID has 16 bytes");

static void rail_encode(const struct verbs_rail_end *rail, uint8_t *at)
{
	memset(at, 0, RAIL_BYTES);
	memcpy(at + RAIL_GID, rail->gid.raw, sizeof(rail->gid.raw));
	xfer_put32(at + RAIL_RKEY, rail->rkey);
	xfer_put16(at + RAIL_LID, rail->lid);
	at[RAIL_MTU] = rail->mtu;
	at[RAIL_LINK_LAYER] = rail->link_layer;
	at[RAIL_READS] = rail->reads;
	at[RAIL_SERVICE] = rail->service;
}

static int rail_decode(const uint8_t *at, struct verbs_rail_end *rail)
{
	static const uint8_t zero[RAIL_BYTES - RAIL_ZERO];

	memcpy(rail->gid.raw, at + RAIL_GID, sizeof(rail->gid.raw));
	rail->rkey = xfer_get32(at + RAIL_RKEY);
	rail->lid = xfer_get16(at + RAIL_LID);
	rail->mtu = at[RAIL_MTU];
	rail->link_layer = at[RAIL_LINK_LAYER];
	rail->reads = at[RAIL_READS];
	rail->service = at[RAIL_SERVICE];
	return rail->mtu < IBV_MTU_256 || rail->mtu > IBV_MTU_4096 || !rail->reads ||
	       memcmp(at + RAIL_ZERO, zero, sizeof(zero)) ? -EPROTO : 0;
}

size_t verbs_endpoint_encode(const struct verbs_endpoint *endpoint, uint8_t *part)
{
	uint8_t *at = part + AT_RAILS;
	unsigned int i;

	xfer_put64(part + AT_ADDRESS, endpoint->address);
	xfer_put64(part + AT_LENGTH, endpoint->length);
	xfer_put64(part + AT_GENERATION, endpoint->generation);
	xfer_put32(part + AT_WRITE_BYTES, endpoint->write_bytes);
	xfer_put16(part + AT_VERSION, ENDPOINT_VERSION);
	part[AT_RAIL_COUNT] = endpoint->rail_count;
	part[AT_RAIL_PAIRS] = endpoint->rail_pairs;
	for (i = 0; i < endpoint->rail_count; i++, at += RAIL_BYTES)
		rail_encode(&endpoint->rails[i], at);
	for (i = 0; i < endpoint->rail_count * endpoint->rail_pairs; i++, at += PAIR_BYTES) {
		xfer_put32(at + PAIR_NUMBER, endpoint->pairs[i].number);
		xfer_put32(at + PAIR_PSN, endpoint->pairs[i].psn);
	}
	return at - part;
}

/* All but the lists. */
static int head_decode(const uint8_t *part, struct verbs_endpoint *endpoint)
{
	uint64_t end;

	endpoint->address = xfer_get64(part + AT_ADDRESS);
	endpoint->length = xfer_get64(part + AT_LENGTH);
	endpoint->generation = xfer_get64(part + AT_GENERATION);
	endpoint->write_bytes = xfer_get32(part + AT_WRITE_BYTES);
	endpoint->rail_count = part[AT_RAIL_COUNT];
	endpoint->rail_pairs = part[AT_RAIL_PAIRS];
	if (xfer_get16(part + AT_VERSION) != ENDPOINT_VERSION ||
	    __builtin_add_overflow(endpoint->address, endpoint->length, &end) ||
	    endpoint->write_bytes < WRITE_BYTES_LEAST ||
	    endpoint->write_bytes > WRITE_BYTES_MOST ||
	    endpoint->write_bytes & (endpoint->write_bytes - 1) ||
	    !endpoint->rail_count || endpoint->rail_count > VERBS_RAILS_MAX ||
	    !endpoint->rail_pairs ||
	    endpoint->rail_count * endpoint->rail_pairs > (int)VERBS_PAIRS_MAX)
		return -EPROTO;
	return 0;
}

int verbs_endpoint_decode(const uint8_t *part, size_t size, struct verbs_endpoint *endpoint)
{
	const uint8_t *at = part + AT_RAILS;
	unsigned int pairs, i;

	memset(endpoint, 0, sizeof(*endpoint));
	if (size < AT_RAILS || head_decode(part, endpoint) < 0)
		return -EPROTO;
	pairs = endpoint->rail_count * endpoint->rail_pairs;
	if (size != AT_RAILS + endpoint->rail_count * RAIL_BYTES + pairs * PAIR_BYTES)
		return -EPROTO;
	for (i = 0; i < endpoint->rail_count; i++, at += RAIL_BYTES)
		if (rail_decode(at, &endpoint->rails[i]) < 0)
			return -EPROTO;
	for (i = 0; i < pairs; i++, at += PAIR_BYTES) {
		endpoint->pairs[i].number = xfer_get32(at + PAIR_NUMBER);
		endpoint->pairs[i].psn = xfer_get32(at + PAIR_PSN);
		if (endpoint->pairs[i].number > NUMBER_24_BITS ||
		    endpoint->pairs[i].psn > NUMBER_24_BITS)
			return -EPROTO;
	}
	return 0;
}

/*
 * Joining rails
 */

enum gid_scope {
	GID_IPV4,	/* an IPv4 address: routed */
	GID_LINK,	/* within a subnet, whose prefix says nothing */
	GID_GLOBAL,	/* routed, or within the subnet of its prefix */
};

static enum gid_scope gid_scope(const union ibv_gid *gid)
{
	static const uint8_t ipv4[12] = { [10] = 0xff, [11] = 0xff };

	if (!memcmp(gid->raw, ipv4, sizeof(ipv4)))
		return GID_IPV4;
	/* fe80::/10, also the prefix that an InfiniBand subnet has by default. */
	return gid->raw[0] == 0xfe && (gid->raw[1] & 0xc0) == 0x80 ? GID_LINK : GID_GLOBAL;
}

static bool is_one_network(const struct verbs_rail_end *one, const struct verbs_rail_end *other)
{
	if (one->service != other->service || one->link_layer != other->link_layer ||
	    gid_scope(&one->gid) != gid_scope(&other->gid))
		return false;
	/* RoCE goes through routers, InfiniBand as it is used here does not. */
	return one->link_layer == IBV_LINK_LAYER_ETHERNET ||
	       one->gid.global.subnet_prefix == other->gid.global.subnet_prefix;
}

/* Leading bits that two addresses have in common. */
static unsigned int common_bits(const union ibv_gid *one, const union ibv_gid *other)
{
	unsigned int byte = 0;

	while (byte < sizeof(one->raw) && one->raw[byte] == other->raw[byte])
		byte++;
	if (byte == sizeof(one->raw))
		return 8 * byte;
	return 8 * byte + __builtin_clz(one->raw[byte] ^ other->raw[byte]) - 24;
}

/* Both sides name the same one first: whichever is described by lesser bytes. */
static bool is_first(const struct verbs_endpoint *local, const struct verbs_endpoint *remote)
{
	uint8_t ours[XFER_TRANSPORT_PART_MAX] = { 0 }, theirs[XFER_TRANSPORT_PART_MAX] = { 0 };

	verbs_endpoint_encode(local, ours);
	verbs_endpoint_encode(remote, theirs);
	return memcmp(ours, theirs, sizeof(ours)) <= 0;
}

/* The two that are left and have most in common; of several, the first ones. */
static bool best_match(const struct verbs_endpoint *first, const struct verbs_endpoint *second,
		       unsigned int taken[2], struct verbs_match *best)
{
	unsigned int one, other, bits;
	int most = -1;

	for (one = 0; one < first->rail_count; one++) {
		for (other = 0; other < second->rail_count; other++) {
			if ((taken[0] >> one | taken[1] >> other) & 1 ||
			    !is_one_network(&first->rails[one], &second->rails[other]))
				continue;
			bits = common_bits(&first->rails[one].gid, &second->rails[other].gid);
			if ((int)bits <= most)
				continue;
			most = bits;
			*best = (struct verbs_match){ one, other };
		}
	}
	if (most < 0)
		return false;
	taken[0] |= 1u << best->local;
	taken[1] |= 1u << best->remote;
	return true;
}

unsigned int verbs_endpoint_match(const struct verbs_endpoint *local,
				  const struct verbs_endpoint *remote,
				  struct verbs_match *matches)
{
	const bool first = is_first(local, remote);
	unsigned int taken[2] = { 0 }, count = 0;
	struct verbs_match match;

	while (best_match(first ? local : remote, first ? remote : local, taken, &match)) {
		if (!first)
			match = (struct verbs_match){ match.remote, match.local };
		matches[count++] = match;
	}
	return count;
}

/* Less over several rails, so that each has a part of what is not much. */
uint32_t verbs_endpoint_write_bytes(const struct verbs_endpoint *local,
				    const struct verbs_endpoint *remote, unsigned int rails)
{
	uint32_t bytes = local->write_bytes;

	if (bytes > remote->write_bytes)
		bytes = remote->write_bytes;
	for (; rails > 1 && bytes > WRITE_BYTES_LEAST; rails = (rails + 1) / 2)
		bytes /= 2;
	return bytes;
}
