// SPDX-License-Identifier: MIT
/*
 * The choice of a transport, which both sides make from the same two descriptions.
 */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "xfer_auto.h"

static struct xfer_side side_of(const struct xfer_auto_part *part, unsigned int transport)
{
	return (struct xfer_side){
		.part = part->offers[transport].part,
		.part_size = part->offers[transport].part_size,
		.place = part->place,
		.shareable = part->shareable,
	};
}

/* Return: 0, or why @transport does not reach. */
static int check_transport(const struct xfer_auto_part *own, const struct xfer_auto_part *other,
			   unsigned int transport, struct tandem_error *reason)
{
	const struct xfer_side one = side_of(own, transport);
	const struct xfer_side two = side_of(other, transport);

	if (own->offers[transport].code)
		return -(int)own->offers[transport].code;
	if (other->offers[transport].code)
		return tandem_error_set(reason, -(int)other->offers[transport].code,
					"%s: the other side cannot use it: %s",
					tandem_transport_name(transport),
					strerror(other->offers[transport].code));
	return xfer_auto_ops_of[transport]->reach(&one, &two, reason);
}

int xfer_auto_choose(const struct xfer_auto_part *own, const struct xfer_auto_part *other,
		     struct tandem_error reasons[XFER_AUTO_TRANSPORTS])
{
	int chosen = -EHOSTUNREACH;

	for (unsigned int i = 0; i < XFER_AUTO_TRANSPORTS; i++) {
		/* Each is looked at, so that what is malformed is always refused. */
		int ret = check_transport(own, other, i, &reasons[i]);

		if (ret == -EPROTO)
			return ret;
		if (ret)
			continue;
		if (chosen < 0)
			chosen = i;
		else
			tandem_error_set(&reasons[i], 0, "%s: it would do, but %s comes first",
					 tandem_transport_name(i), tandem_transport_name(chosen));
	}
	return chosen;
}
