/* SPDX-License-Identifier: MIT */
/* Which RDMA device, port and GID a connection goes out by. */
#ifndef TANDEM_RUNTIME_XFER_VERBS_PORT_H
#define TANDEM_RUNTIME_XFER_VERBS_PORT_H

#include <stdint.h>

#include <infiniband/verbs.h>

#include "xfer.h"

/**
 * struct verbs_port - the way out
 * @context: the open RDMA device
 * @name: of the device
 * @number: of the port
 * @attributes: of the port
 * @limits: of the device
 * @gid: our address
 * @gid_index: where it is in the port's table
 */
struct verbs_port {
	struct ibv_context *context;
	char name[64];
	uint8_t number;
	struct ibv_port_attr attributes;
	struct ibv_device_attr limits;
	union ibv_gid gid;
	int gid_index;
};

/**
 * verbs_port_open() - choose and open
 * @device: name of the RDMA device
 * @options: what the application wants otherwise
 * @port: filled in; on failure only its name, where it has an active port
 * @error: filled in on failure
 *
 * Return: 0, -ENODEV, -EINVAL for a GID index that is none, -ENOMEM, -EACCES.
 */
int verbs_port_open(const char *device, const struct tandem_connection_options *options,
		    struct verbs_port *port, struct tandem_error *error);
/* There is no device that could be used. Return: -ENODEV. */
int verbs_port_none(struct tandem_error *error);
void verbs_port_close(struct verbs_port *port);

#endif
