// SPDX-License-Identifier: MIT
/*
 * Registering device memory with a NIC.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "error.h"
#include "xfer_verbs_memory.h"

/* NULL where NIC or device cannot do it this way. */
static struct ibv_mr *register_dmabuf(struct ibv_pd *domain, struct tandem_memory *memory,
				      uint64_t offset, uint64_t length, int access)
{
	int dmabuf = tandem_memory_export(memory);
	struct ibv_mr *region;

	if (dmabuf < 0)
		return NULL;
	region = ibv_reg_dmabuf_mr(domain, offset, length, offset, dmabuf, access);
	close(dmabuf);
	return region;
}

static int register_error(const struct verbs_port *port, bool of_process, uint64_t size, int code,
			  struct tandem_error *error)
{
	struct rlimit limit;

	if ((code == -ENOMEM || code == -EAGAIN) && !getrlimit(RLIMIT_MEMLOCK, &limit) &&
	    limit.rlim_cur != RLIM_INFINITY)
		return tandem_error_set(error, -ENOMEM,
					"verbs: %s cannot register %" PRIu64
					" bytes: the limit on locked memory (RLIMIT_MEMLOCK) is %" PRIu64
					"; raise it (`ulimit -l unlimited`, or LimitMEMLOCK= of the service)",
					port->name, size, (uint64_t)limit.rlim_cur);
	if (code == -EFAULT && !of_process)
		return tandem_error_set(error, -EOPNOTSUPP,
					"verbs: %s takes no dma-bufs, and the mapping of this one is not of pages that can be pinned; use a NIC that takes them, or tcp",
					port->name);
	return tandem_error_set(error, code,
				"verbs: %s cannot register %" PRIu64 " bytes of %s memory: %s",
				port->name, size, of_process ? "the process's" : "device",
				strerror(-code));
}

int verbs_memory_register(struct ibv_pd *domain, const struct verbs_port *port,
			  const struct tandem_connection *connection, uint64_t offset,
			  uint64_t length, int access, struct ibv_mr **region,
			  struct tandem_error *error)
{
	void *pointer = connection->pointer;
	int ret = 0;

	if (connection->memory) {
		*region = register_dmabuf(domain, connection->memory, offset, length, access);
		if (*region)
			return 0;
		ret = tandem_memory_map(connection->memory, &pointer);
	}
	if (ret < 0)
		return tandem_error_set(error, ret, "verbs: cannot map device memory: %s",
					strerror(-ret));
	/* The NIC's addresses and the process's lie alike in their pages. */
	if ((uintptr_t)pointer % sysconf(_SC_PAGESIZE))
		return tandem_error_set(error, -EINVAL,
					"verbs: the memory has to begin where a page does; allocate it so (aligned_alloc(), mmap())");
	*region = ibv_reg_mr_iova(domain, (uint8_t *)pointer + offset, length, offset, access);
	if (!*region)
		return register_error(port, !connection->memory, length, errno ? -errno : -EIO,
				      error);
	return 0;
}
