// SPDX-License-Identifier: MIT
/*
 * In place of xfer_verbs_srd.c where rdma-core's headers have not what it needs.
 */
#include <errno.h>

#include "error.h"
#include "xfer_verbs_service.h"

int verbs_srd_choose(const struct verbs_port *port, const struct verbs_service **service,
		     struct tandem_error *error)
{
	(void)service;
	return tandem_error_set(error, -EOPNOTSUPP,
				"verbs: %s is an EFA device, for which Tandem was built without support: the rdma-core it was built with has no RDMA write in efadv.h; build it with a newer one (Debian 13's will do), or use tcp",
				port->name);
}
