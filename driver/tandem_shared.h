/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Host memory of the driver's own which the device reaches: rings and tables.
 */
#ifndef _TANDEM_SHARED_H
#define _TANDEM_SHARED_H

#include <linux/dma-direction.h>
#include <linux/types.h>

struct tandem_device;

/**
 * struct tandem_shared - zeroed memory at @virtual and, for the device, at
 *	@bus_address; @virtual is NULL when there is none
 */
struct tandem_shared {
	void *virtual;
	u64 bus_address;
};

int tandem_shared_alloc(struct tandem_device *tdev,
			struct tandem_shared *shared, size_t size,
			enum dma_data_direction direction);
/* The device does not reach the memory afterwards. Does nothing twice. */
void tandem_shared_free(struct tandem_device *tdev,
			struct tandem_shared *shared);

#endif /* _TANDEM_SHARED_H */
