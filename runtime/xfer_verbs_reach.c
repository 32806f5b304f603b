// SPDX-License-Identifier: MIT
/*
 * Whether two sides reach one another by RDMA, as far as that can be told without trying.
 */
#include <errno.h>

#include "error.h"
#include "xfer_auto.h"
#include "xfer_verbs.h"
#include "xfer_verbs_reach.h"
#include "xfer_verbs_service.h"

int verbs_reach(const struct xfer_side *own, const struct xfer_side *other, struct tandem_error *why)
{
	struct verbs_match matches[VERBS_RAILS_MAX];
	struct verbs_endpoint one, two;

	if (verbs_endpoint_decode(own->part, own->part_size, &one) < 0 ||
	    verbs_endpoint_decode(other->part, other->part_size, &two) < 0)
		return -EPROTO;
	if (verbs_endpoint_match(&one, &two, matches))
		return tandem_error_set(why, 0,
					"verbs: each side has an active RDMA port, of one network");
	if (one.rails[0].service != two.rails[0].service)
		return tandem_error_set(
			why, -EHOSTUNREACH, "verbs: this side's port %s EFA's, the other's %s",
			one.rails[0].service == VERBS_SERVICE_SRD ? "is" : "is not",
			two.rails[0].service == VERBS_SERVICE_SRD ? "is" : "is not");
	if (one.rails[0].link_layer != two.rails[0].link_layer)
		return tandem_error_set(
			why, -EHOSTUNREACH, "verbs: this side's port is %s, the other's is not",
			one.rails[0].link_layer == IBV_LINK_LAYER_ETHERNET ? "Ethernet" :
									      "InfiniBand");
	return tandem_error_set(
		why, -EHOSTUNREACH,
		"verbs: the addresses (GIDs) of the two ports are not of one network");
}
