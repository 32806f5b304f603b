/* SPDX-License-Identifier: MIT */
/* Memory regions of a NIC. */
#ifndef TANDEM_RUNTIME_XFER_VERBS_MEMORY_H
#define TANDEM_RUNTIME_XFER_VERBS_MEMORY_H

#include <stdint.h>

#include <infiniband/verbs.h>

#include "xfer.h"
#include "xfer_verbs_port.h"

/**
 * verbs_memory_register() - let the NIC read and write memory
 * @domain: protection domain
 * @port: for messages
 * @connection: whose memory it is
 * @offset: first byte; the NIC's addresses are offsets in the memory
 * @length: bytes
 * @access: IBV_ACCESS_*, for whom
 * @region: where to put the memory region
 * @error: filled in on failure
 *
 * Through a dma-buf where the NIC takes one, else through a mapping.
 *
 * Return: 0; -EINVAL memory that begins within a page; -EOPNOTSUPP memory that the NIC
 * cannot reach; -ENOMEM, also for the limit on locked memory; another -errno.
 */
int verbs_memory_register(struct ibv_pd *domain, const struct verbs_port *port,
			  const struct tandem_connection *connection, uint64_t offset,
			  uint64_t length, int access, struct ibv_mr **region,
			  struct tandem_error *error);

#endif
