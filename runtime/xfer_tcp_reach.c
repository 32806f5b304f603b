// SPDX-License-Identifier: MIT
/*
 * Whether two sides reach one another by tcp, as far as that can be told without trying.
 */
#include <errno.h>
#include <netinet/in.h>

#include "error.h"
#include "xfer_auto.h"
#include "xfer_tcp_frame.h"
#include "xfer_tcp_reach.h"

static bool is_loopback(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 ==
		       IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

static bool is_seen_from_outside(const struct tcp_endpoint *endpoint)
{
	for (unsigned int i = 0; i < endpoint->address_count; i++)
		if (!is_loopback(&endpoint->addresses[i]))
			return true;
	return false;
}

/* Either may be the one that dials, so both have to be reached. */
int tcp_reach(const struct xfer_side *own, const struct xfer_side *other, struct tandem_error *why)
{
	struct tcp_endpoint one, two;

	if (tcp_endpoint_decode(own->part, own->part_size, &one) < 0 ||
	    tcp_endpoint_decode(other->part, other->part_size, &two) < 0)
		return -EPROTO;
	if (xfer_place_same(&own->place, &other->place))
		return tandem_error_set(why, 0, "tcp: both sides are in one network of one machine");
	if (is_seen_from_outside(&one) && is_seen_from_outside(&two))
		return tandem_error_set(
			why, 0, "tcp: each side listens on an address that others can reach");
	return tandem_error_set(
		why, -EHOSTUNREACH,
		"tcp: %s side listens where only its own machine reaches it; give it an address",
		is_seen_from_outside(&one) ? "the other" : "this");
}
