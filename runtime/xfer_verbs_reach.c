// SPDX-License-Identifier: MIT
/*
 * Whether two sides reach one another by RDMA, as far as that can be told without trying.
 */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "xfer_auto.h"
#include "xfer_verbs.h"
#include "xfer_verbs_reach.h"

enum gid_scope {
	GID_IPV4, /* an IPv4 address: routed */
	GID_LINK, /* within a subnet, whose prefix says nothing */
	GID_GLOBAL, /* routed, or within the subnet of its prefix */
};

static enum gid_scope gid_scope(const union ibv_gid *gid)
{
	static const uint8_t ipv4[12] = { [10] = 0xff, [11] = 0xff };

	if (!memcmp(gid->raw, ipv4, sizeof(ipv4)))
		return GID_IPV4;
	/* fe80::/10, also the prefix that an InfiniBand subnet has by default. */
	return gid->raw[0] == 0xfe && (gid->raw[1] & 0xc0) == 0x80 ? GID_LINK : GID_GLOBAL;
}

static bool is_one_network(const struct verbs_endpoint *one, const struct verbs_endpoint *two)
{
	if (gid_scope(&one->gid) != gid_scope(&two->gid))
		return false;
	/* RoCE goes through routers, InfiniBand as it is used here does not. */
	return one->link_layer == IBV_LINK_LAYER_ETHERNET ||
	       one->gid.global.subnet_prefix == two->gid.global.subnet_prefix;
}

int verbs_reach(const struct xfer_side *own, const struct xfer_side *other, struct tandem_error *why)
{
	struct verbs_endpoint one, two;

	if (verbs_endpoint_decode(own->part, own->part_size, &one) < 0 ||
	    verbs_endpoint_decode(other->part, other->part_size, &two) < 0)
		return -EPROTO;
	if (one.link_layer != two.link_layer)
		return tandem_error_set(
			why, -EHOSTUNREACH, "verbs: this side's port is %s, the other's is not",
			one.link_layer == IBV_LINK_LAYER_ETHERNET ? "Ethernet" : "InfiniBand");
	if (!is_one_network(&one, &two))
		return tandem_error_set(
			why, -EHOSTUNREACH,
			"verbs: the addresses (GIDs) of the two ports are not of one network");
	return tandem_error_set(why, 0, "verbs: each side has an active RDMA port, of one network");
}
