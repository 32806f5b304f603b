// SPDX-License-Identifier: GPL-2.0
/*
 * Tandem devices on the emulated bus. A PCI adapter would stand beside this.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "tandem_bus.h"
#include "tandem_device.h"
#include "tandem_emu_bus.h"

static bool emu_is_gone(struct device *dev)
{
	return tandem_emu_is_gone(to_tandem_emu_device(dev));
}

static u32 emu_read32(struct device *dev, u32 offset)
{
	return tandem_emu_read32(to_tandem_emu_device(dev), offset);
}

static void emu_write32(struct device *dev, u32 offset, u32 value)
{
	tandem_emu_write32(to_tandem_emu_device(dev), offset, value);
}

static void emu_ring_sq(struct device *dev, u32 queue, u32 tail)
{
	tandem_emu_ring_sq(to_tandem_emu_device(dev), queue, tail);
}

static void emu_ring_cq(struct device *dev, u32 queue, u32 head)
{
	tandem_emu_ring_cq(to_tandem_emu_device(dev), queue, head);
}

static void emu_ring_control(struct device *dev)
{
	tandem_emu_ring_control(to_tandem_emu_device(dev));
}

static void free_pages_of(struct page **pages, unsigned long count)
{
	unsigned long i;

	for (i = 0; i < count; i++)
		put_page(pages[i]);
}

static int alloc_pages_of(struct page **pages, unsigned long count)
{
	unsigned long i;

	for (i = 0; i < count; i++) {
		if (fatal_signal_pending(current))
			goto err;
		pages[i] = alloc_page(GFP_USER | __GFP_ZERO | __GFP_ACCOUNT |
				      __GFP_NOWARN | __GFP_RETRY_MAYFAIL);
		if (!pages[i])
			goto err;
		if (i % 1024 == 0)
			cond_resched();
	}
	return 0;
err:
	free_pages_of(pages, i);
	return -ENOMEM;
}

/*
 * Pages belong to one range only and go back to the system with their last
 * reference: someone may have pinned them, and then a next owner of the same
 * pages could be read.
 */
static int emu_memory_alloc(struct device *dev, u64 address,
			    struct page **pages, unsigned long count)
{
	int ret;

	ret = alloc_pages_of(pages, count);
	if (ret)
		return ret;
	ret = tandem_emu_bind_memory(to_tandem_emu_device(dev), address, pages,
				     count);
	if (ret)
		free_pages_of(pages, count);
	return ret;
}

static bool emu_memory_free(struct device *dev, u64 address,
			    struct page **pages, unsigned long count)
{
	tandem_emu_unbind_memory(to_tandem_emu_device(dev), address, count);
	free_pages_of(pages, count);
	return true;
}

static int emu_map_sgtable(struct device *dev, struct sg_table *sgt,
			   enum dma_data_direction direction, u64 *bus_address)
{
	return tandem_emu_map_sgtable(to_tandem_emu_device(dev), sgt,
				      direction, bus_address);
}

static int emu_map_pages(struct device *dev, struct page **pages,
			 unsigned long count,
			 enum dma_data_direction direction, u64 *bus_address)
{
	return tandem_emu_map_pages(to_tandem_emu_device(dev), pages, count,
				    direction, bus_address);
}

static void emu_unmap(struct device *dev, u64 bus_address)
{
	tandem_emu_unmap(to_tandem_emu_device(dev), bus_address);
}

static const struct tandem_bus_ops emu_ops = {
	.is_gone = emu_is_gone,
	.read32 = emu_read32,
	.write32 = emu_write32,
	.ring_sq = emu_ring_sq,
	.ring_cq = emu_ring_cq,
	.ring_control = emu_ring_control,
	.memory_alloc = emu_memory_alloc,
	.memory_free = emu_memory_free,
	.map_sgtable = emu_map_sgtable,
	.map_pages = emu_map_pages,
	.unmap = emu_unmap,
};

static int emu_probe(struct tandem_emu_device *edev)
{
	return tandem_device_probe(&edev->dev, &emu_ops, edev->queues,
				   edev->memory_size);
}

static void emu_remove(struct tandem_emu_device *edev)
{
	tandem_device_remove(&edev->dev);
}

static void emu_gone(struct tandem_emu_device *edev)
{
	tandem_device_gone(&edev->dev);
}

static void emu_interrupt(struct tandem_emu_device *edev, u32 vector)
{
	tandem_device_interrupt(&edev->dev, vector);
}

static struct tandem_emu_driver emu_driver = {
	.driver = {
		.name = "tandem",
		.owner = THIS_MODULE,
		.dev_groups = tandem_device_groups,
	},
	.probe = emu_probe,
	.remove = emu_remove,
	.gone = emu_gone,
	.interrupt = emu_interrupt,
};

int tandem_bus_emu_register(void)
{
	return tandem_emu_driver_register(&emu_driver);
}

void tandem_bus_emu_unregister(void)
{
	tandem_emu_driver_unregister(&emu_driver);
}
