/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the driver needs of the bus that a device sits on. There is one adapter
 * for each kind of bus; it finds devices and hands them to tandem_device.h.
 */
#ifndef _TANDEM_BUS_H
#define _TANDEM_BUS_H

#include <linux/device.h>
#include <linux/dma-direction.h>
#include <linux/types.h>

struct page;
struct sg_table;
struct tandem_pages;

/**
 * struct tandem_bus_ops - services of a bus; @dev is the device on it
 * @is_gone: was the device removed by surprise? Any context, as all up to
 *	@ring_control
 * @read32: reads a register, ~0 when the device is gone
 * @write32: writes a register
 * @ring_sq: tells the device about a new submission tail
 * @ring_cq: tells the device about a new completion head
 * @ring_control: has the device look at CONTROL
 * @memory_alloc: enters the pages behind a range of device addresses into
 *	@pages, which are the driver's until @memory_free. They are zero, can be
 *	mapped into user space, and nobody else holds a reference. -EBUSY where
 *	the range is taken, -EINTR for a fatal signal. This and the following
 *	may sleep.
 * @memory_free: takes them back; the device does not reach the pages through
 *	the range afterwards. False when users of the pages hold references yet
 *	and would share them with a next owner of the range: then it is to be
 *	called again later, and the range is not to be given out before
 * @map_sgtable: maps a DMA-mapped table as one range of bus addresses, with
 *	DMA_TO_DEVICE not writable by the device
 * @map_pages: the same for pages
 * @unmap: undoes either; the device does not reach the range afterwards
 *
 * memory_free and unmap also work, and have to be called, when the device is
 * gone.
 */
struct tandem_bus_ops {
	bool (*is_gone)(struct device *dev);
	u32 (*read32)(struct device *dev, u32 offset);
	void (*write32)(struct device *dev, u32 offset, u32 value);
	void (*ring_sq)(struct device *dev, u32 queue, u32 tail);
	void (*ring_cq)(struct device *dev, u32 queue, u32 head);
	void (*ring_control)(struct device *dev);
	int (*memory_alloc)(struct device *dev, u64 address,
			    struct tandem_pages *pages);
	bool (*memory_free)(struct device *dev, u64 address,
			    struct tandem_pages *pages);
	int (*map_sgtable)(struct device *dev, struct sg_table *sgt,
			   enum dma_data_direction direction,
			   u64 *bus_address);
	int (*map_pages)(struct device *dev, struct page **pages,
			 unsigned long count,
			 enum dma_data_direction direction, u64 *bus_address);
	void (*unmap)(struct device *dev, u64 bus_address);
};

int tandem_bus_emu_register(void);
void tandem_bus_emu_unregister(void);

#ifdef CONFIG_PCI
int tandem_bus_pci_register(void);
void tandem_bus_pci_unregister(void);
#else
static inline int tandem_bus_pci_register(void)
{
	return 0;
}

static inline void tandem_bus_pci_unregister(void)
{
}
#endif

#endif /* _TANDEM_BUS_H */
