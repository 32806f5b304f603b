/* SPDX-License-Identifier: MIT */
/*
 * The verbs transport: RDMA write with immediate on a reliable connection.
 *
 *	xfer_verbs_port.c	which RDMA device, port and GID
 *	xfer_verbs_memory.c	registering the pool
 *	xfer_verbs_pair.c	the queue pair and what the two sides tell each other
 *	xfer_verbs.c		writes, completions, the ops table
 */
#ifndef TANDEM_RUNTIME_XFER_VERBS_H
#define TANDEM_RUNTIME_XFER_VERBS_H

#include <stdbool.h>
#include <stdint.h>

#include <infiniband/verbs.h>

#include "xfer.h"

/* Writes in flight, and receives that wait for immediates. */
#define VERBS_SLOTS		128u
#define VERBS_RECEIVES		256u
/* Chunks of this size keep the window moving, whatever the size of a run. */
#define VERBS_WRITE_BYTES	(1ull << 20)

/*
 * xfer_verbs_port.c
 */

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
 * @options: what the application wants
 * @port: filled in
 * @error: filled in on failure
 *
 * Return: 0, -ENODEV, -EINVAL for a GID index that is none, -ENOMEM, -EACCES.
 */
int verbs_port_open(const struct tandem_connection_options *options, struct verbs_port *port,
		    struct tandem_error *error);
void verbs_port_close(struct verbs_port *port);

/*
 * xfer_verbs_memory.c
 */

/**
 * verbs_memory_register() - let the NIC read and write memory
 * @domain: protection domain
 * @port: for messages
 * @memory: of a device; registered from its first byte, with addresses that
 *	start at 0
 * @region: where to put the memory region
 * @error: filled in on failure
 *
 * Through a dma-buf where the NIC takes one, else through a mapping.
 *
 * Return: 0, -ENOMEM also for the limit on locked memory, another -errno.
 */
int verbs_memory_register(struct ibv_pd *domain, const struct verbs_port *port,
			  struct tandem_memory *memory, struct ibv_mr **region,
			  struct tandem_error *error);

/*
 * xfer_verbs_pair.c
 */

/**
 * struct verbs_endpoint - one end of a queue pair, as told to the other
 * @address: of the pool's first byte
 * @length: of the pool, bytes
 * @rkey: for writing to it
 * @pair: queue pair number, 24 bits
 * @psn: first packet number, 24 bits
 * @lid: InfiniBand address in the subnet, else 0
 * @mtu: &enum ibv_mtu
 * @link_layer: IBV_LINK_LAYER_*
 * @gid: address
 */
struct verbs_endpoint {
	uint64_t address;
	uint64_t length;
	uint32_t rkey;
	uint32_t pair;
	uint32_t psn;
	uint16_t lid;
	uint8_t mtu;
	uint8_t link_layer;
	union ibv_gid gid;
};

/* Bytes of an endpoint in a description. */
#define VERBS_ENDPOINT_BYTES	48u

size_t verbs_endpoint_encode(const struct verbs_endpoint *endpoint, uint8_t *part);

/* From the other side, not trusted. Return: 0 or -EPROTO. */
int verbs_endpoint_decode(const uint8_t *part, size_t size, struct verbs_endpoint *endpoint);

/**
 * verbs_pair_create() - make a queue pair
 * @domain: protection domain
 * @queue: for its completions
 * @sends: room in its send queue
 * @receives: likewise
 *
 * Return: NULL with errno set.
 */
struct ibv_qp *verbs_pair_create(struct ibv_pd *domain, struct ibv_cq *queue, uint32_t sends,
				 uint32_t receives);

/* Ready for receives to be posted, from any state. Return: 0 or -errno. */
int verbs_pair_init(struct ibv_qp *pair, const struct verbs_port *port);

/* Ready to receive and send. Return: 0 or -errno. */
int verbs_pair_connect(struct ibv_qp *pair, const struct verbs_port *port,
		       const struct verbs_endpoint *local, const struct verbs_endpoint *remote);

#endif /* TANDEM_RUNTIME_XFER_VERBS_H */
