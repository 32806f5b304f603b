/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The emulated bus as a device driver sees it: what pci.h is to a PCIe part.
 *
 * tandem_emu.ko exports this; the slots behind it are filled by processes
 * through /dev/tandem-emu (see tandem_emu.h).
 */
#ifndef _TANDEM_EMU_BUS_H
#define _TANDEM_EMU_BUS_H

#include <linux/device.h>
#include <linux/dma-direction.h>
#include <linux/types.h>

struct page;
struct sg_table;
struct xarray;

/**
 * struct tandem_emu_device - a device on the emulated bus
 * @dev: the bus device, named "tandem-emuN"; its DMA operations are those of
 *	plain memory with a 64-bit mask, so that dma_map_sgtable() works for it
 *	and for importers of dma-bufs
 * @slot: N
 * @queues: doorbells beside that of the admin queue
 * @memory_size: bytes of device memory
 *
 * Owned by the bus; a driver holds it between probe and remove, and longer
 * with get_device(). All functions below may be called until the last
 * reference is gone; once the process behind the device has died they do
 * nothing, reads give ~0, and the binding functions still undo what was done.
 */
struct tandem_emu_device {
	struct device dev;
	u32 slot;
	u32 queues;
	u64 memory_size;
};

#define to_tandem_emu_device(d) container_of(d, struct tandem_emu_device, dev)

/**
 * struct tandem_emu_driver - a driver for devices on the emulated bus
 * @driver: name and owner set by the caller, the rest by the bus
 * @probe: a device was plugged in; may sleep
 * @remove: the device is gone already, or the driver is being unloaded; may
 *	sleep. tandem_emu_is_gone() tells which.
 * @gone: the process behind the device has just died; @remove follows. For
 *	waking up those who wait for the device. May be NULL; must not sleep.
 * @interrupt: the device raised interrupt @vector (0 … queues). Called in
 *	process context of a thread of the firmware, not before @probe is
 *	entered nor after @remove returns; must not sleep
 */
struct tandem_emu_driver {
	struct device_driver driver;
	int (*probe)(struct tandem_emu_device *edev);
	void (*remove)(struct tandem_emu_device *edev);
	void (*gone)(struct tandem_emu_device *edev);
	void (*interrupt)(struct tandem_emu_device *edev, u32 vector);
};

int tandem_emu_driver_register(struct tandem_emu_driver *drv);
void tandem_emu_driver_unregister(struct tandem_emu_driver *drv);

/* Has the process behind the device closed its file or died? */
bool tandem_emu_is_gone(struct tandem_emu_device *edev);

/* Registers; @offset is one of TANDEM_REG_*. Any context. */
u32 tandem_emu_read32(struct tandem_emu_device *edev, u32 offset);
void tandem_emu_write32(struct tandem_emu_device *edev, u32 offset, u32 value);

/*
 * Publish @sq_tail of @queue and wake the engine if it sleeps; publish
 * @cq_head. Any context.
 */
void tandem_emu_ring_sq(struct tandem_emu_device *edev, u32 queue, u32 sq_tail);
void tandem_emu_ring_cq(struct tandem_emu_device *edev, u32 queue, u32 cq_head);
/* Have the device look at CONTROL: signals doorbell 0. Any context. */
void tandem_emu_ring_control(struct tandem_emu_device *edev);

/*
 * Put @count pages, which are entries 0 … @count - 1 of @pages, behind device
 * address @address (a multiple of PAGE_SIZE) and take them away again. While
 * bound, the device reaches them; after unbind returns it does not. The caller
 * keeps the pages alive and @pages as they are in between. Binding over a bound
 * address fails with -EBUSY. May sleep.
 */
int tandem_emu_bind_memory(struct tandem_emu_device *edev, u64 address,
			   struct xarray *pages, unsigned long count);
void tandem_emu_unbind_memory(struct tandem_emu_device *edev, u64 address,
			      unsigned long count);

/*
 * Map a table that dma_map_sgtable() has mapped for @edev->dev, or that an
 * exporter of a dma-buf has, as one contiguous range of bus addresses. The
 * segments but for the first's start and the last's end are page-aligned.
 * DMA_TO_DEVICE: the device can only read. *@bus_address is never 0 and has
 * the same offset within a page as the first segment. May sleep. Errors:
 * -ENOSPC, -ENOMEM, -EINVAL for segments that are not page-aligned.
 */
int tandem_emu_map_sgtable(struct tandem_emu_device *edev, struct sg_table *sgt,
			   enum dma_data_direction direction, u64 *bus_address);
/* The same for pages of the kernel's own, such as rings. */
int tandem_emu_map_pages(struct tandem_emu_device *edev, struct page **pages,
			 unsigned long count, enum dma_data_direction direction,
			 u64 *bus_address);
/* Undo either; the device does not reach the range after the return. */
void tandem_emu_unmap(struct tandem_emu_device *edev, u64 bus_address);

#endif /* _TANDEM_EMU_BUS_H */
