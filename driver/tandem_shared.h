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
 * struct tandem_shared - memory that a device reaches
 * @virtual: whole pages, zeroed; NULL when there is none
 * @bus_address: where the device sees it
 * @mapped: it does
 */
struct tandem_shared {
	void *virtual;
	u64 bus_address;
	bool mapped;
};

/* Memory that the device does not reach yet: 0 or -ENOMEM. */
int tandem_shared_reserve(struct tandem_shared *shared, size_t size);
/* Lets the device reach it. It stays reserved when that fails. */
int tandem_shared_map(struct tandem_device *tdev, struct tandem_shared *shared,
		      size_t size, enum dma_data_direction direction);
/* Both. Nothing remains when it fails. */
int tandem_shared_alloc(struct tandem_device *tdev,
			struct tandem_shared *shared, size_t size,
			enum dma_data_direction direction);
/* The device does not reach the memory afterwards. Does nothing twice. */
void tandem_shared_free(struct tandem_device *tdev,
			struct tandem_shared *shared);

#endif /* _TANDEM_SHARED_H */
