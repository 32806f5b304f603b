// SPDX-License-Identifier: MIT
/*
 * Which RDMA device, port and GID a connection uses.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "xfer_verbs_port.h"

static bool gid_is_zero(const union ibv_gid *gid)
{
	return !gid->global.subnet_prefix && !gid->global.interface_id;
}

static bool gid_is_ipv4(const union ibv_gid *gid)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	return !memcmp(gid->raw, prefix, sizeof(prefix));
}

static bool gid_is_link_local(const union ibv_gid *gid)
{
	return gid->raw[0] == 0xfe && (gid->raw[1] & 0xc0) == 0x80;
}

/*
 * RoCE v2 before v1, since only it is routed; then what most likely leads to
 * the other host.
 */
static int gid_rank(const struct ibv_gid_entry *entry)
{
	int rank = entry->gid_type == IBV_GID_TYPE_ROCE_V2 ? 10 : 1;

	if (gid_is_ipv4(&entry->gid))
		return rank + 2;
	return gid_is_link_local(&entry->gid) ? rank : rank + 1;
}

/* The best entry of the port's table. Return: 0 or -ENODEV. */
static int gid_choose(struct verbs_port *port)
{
	struct ibv_gid_entry entry;
	int best = -1;
	int i;

	for (i = 0; i < port->attributes.gid_tbl_len; i++) {
		if (ibv_query_gid_ex(port->context, port->number, i, &entry, 0) ||
		    gid_is_zero(&entry.gid) || gid_rank(&entry) <= best)
			continue;
		best = gid_rank(&entry);
		port->gid = entry.gid;
		port->gid_index = i;
	}
	return best < 0 ? -ENODEV : 0;
}

static int gid_find(struct verbs_port *port, int wanted, struct tandem_error *error)
{
	if (wanted < 0) {
		if (!gid_choose(port))
			return 0;
		return tandem_error_set(error, -ENODEV,
					"verbs: port %u of %s has no address (GID); give its network interface one",
					port->number, port->name);
	}
	if (wanted >= port->attributes.gid_tbl_len ||
	    ibv_query_gid(port->context, port->number, wanted, &port->gid) ||
	    gid_is_zero(&port->gid))
		return tandem_error_set(error, -EINVAL,
					"verbs: port %u of %s has no GID of index %d; `rdma link` and `ibv_devinfo -v` show them, -1 chooses one",
					port->number, port->name, wanted);
	port->gid_index = wanted;
	return 0;
}

/* The first active port, or the one that is asked for if it is. */
static int port_choose(struct verbs_port *port, unsigned int wanted)
{
	unsigned int number;

	if (ibv_query_device(port->context, &port->limits))
		return -ENODEV;
	for (number = 1; number <= port->limits.phys_port_cnt; number++) {
		if (wanted && number != wanted)
			continue;
		if (ibv_query_port(port->context, number, &port->attributes) ||
		    port->attributes.state != IBV_PORT_ACTIVE)
			continue;
		port->number = number;
		return 0;
	}
	return -ENODEV;
}

static const char help[] = "load one (for soft-RoCE: `rdma link add rxe0 type rxe netdev eth0`)";

int verbs_port_none(struct tandem_error *error)
{
	return tandem_error_set(error, -ENODEV, "verbs: no RDMA device with an active port; %s",
				help);
}

static int port_not_found(const char *device, unsigned int port, struct tandem_error *error)
{
	if (!port)
		return tandem_error_set(error, -ENODEV,
					"verbs: no RDMA device %s with an active port; `rdma link` shows them, or %s",
					device, help);
	return tandem_error_set(error, -ENODEV,
				"verbs: no RDMA device %s with an active port %u; `rdma link` shows them",
				device, port);
}

static int port_open_one(struct ibv_device *device, unsigned int wanted, struct verbs_port *port)
{
	port->context = ibv_open_device(device);
	if (!port->context)
		return errno ? -errno : -ENODEV;
	if (port_choose(port, wanted) < 0) {
		verbs_port_close(port);
		return -ENODEV;
	}
	snprintf(port->name, sizeof(port->name), "%s", ibv_get_device_name(device));
	return 0;
}

int verbs_port_open(const char *device, const struct tandem_connection_options *options,
		    struct verbs_port *port, struct tandem_error *error)
{
	struct ibv_device **devices;
	int ret = -ENODEV;
	int i;

	devices = ibv_get_device_list(NULL);
	if (!devices)
		return port_not_found(device, options->rdma_port, error);
	for (i = 0; devices[i]; i++)
		if (!strcmp(device, ibv_get_device_name(devices[i])))
			break;
	if (devices[i])
		ret = port_open_one(devices[i], options->rdma_port, port);
	ibv_free_device_list(devices);
	if (ret == -ENODEV)
		return port_not_found(device, options->rdma_port, error);
	if (ret < 0)
		return tandem_error_set(error, ret, "verbs: cannot open %s: %s", device,
					strerror(-ret));
	ret = gid_find(port, options->gid_index, error);
	if (ret < 0)
		verbs_port_close(port);
	return ret;
}

void verbs_port_close(struct verbs_port *port)
{
	ibv_close_device(port->context);
	port->context = NULL;
}
