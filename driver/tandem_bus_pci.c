// SPDX-License-Identifier: GPL-2.0
/*
 * Tandem devices on PCI: BAR 0 has the registers and doorbells of tandem_hw.h,
 * BAR 2 the device memory from address 0 on, and MSI-X vector n is interrupt n.
 *
 * No such device exists. What has run is a probe that refuses another device;
 * all that follows the check of the magic number has been compiled and read,
 * and never run. In particular:
 *
 * - Device memory has pages of the kernel's kind for memory that is no RAM
 *   (MEMORY_DEVICE_GENERIC), since the Linux 6.12 of Debian is built without
 *   PCI_P2PDMA. Whether a peer can reach them is up to the platform.
 * - A range of bus addresses is one segment of a DMA mapping: without an IOMMU,
 *   what is scattered in memory cannot be mapped.
 * - Removal waits until users have closed their files: what they map is the
 *   device's memory.
 * - A bus error that the platform reports ends in removal, not in a reset, and
 *   there is no runtime PM.
 */
#include <linux/dma-mapping.h>
#include <linux/highmem.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/pm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "tandem_boot.h"
#include "tandem_bus.h"
#include "tandem_device.h"
#include "tandem_hw.h"
#include "tandem_pages.h"

#define BAR_REGISTERS	0
#define BAR_MEMORY	2

/*
 * The project has no vendor number of the PCI-SIG, and uses nobody's: this one
 * ("TN") is not in the public list of vendors. A device that has it all the
 * same is refused by its magic number. Others can be bound through new_id.
 */
#define TANDEM_PCI_VENDOR	0x544e
#define TANDEM_PCI_DEVICE	0x0001

/**
 * struct tandem_pci_mapping - a range of bus addresses
 * @link: in &tandem_pci.mappings
 * @bus_address: its start
 * @sgt: of pages that were mapped here; empty when the caller mapped them
 * @direction: of @sgt
 */
struct tandem_pci_mapping {
	struct list_head link;
	u64 bus_address;
	struct sg_table sgt;
	enum dma_data_direction direction;
};

/**
 * struct tandem_pci_vector - what an interrupt handler gets
 * @dev: the device
 * @number: of the vector
 */
struct tandem_pci_vector {
	struct device *dev;
	u32 number;
};

/**
 * struct tandem_pci - what this adapter has of a device
 * @pdev: the device; its driver data is tandem_device.c's
 * @registers: BAR 0
 * @gone: the platform has reported that the device is lost
 * @vectors: MSI-X vectors, one for each queue and the admin queue
 * @vector: of each vector
 * @pagemap: the pages of BAR 2
 * @lock: guards @mappings
 * @mappings: &struct tandem_pci_mapping that exist
 * @uses: mappings and memory that exist; while any does, this does
 */
struct tandem_pci {
	struct pci_dev *pdev;
	void __iomem *registers;
	bool gone;
	u32 vectors;
	struct tandem_pci_vector vector[TANDEM_ENGINES_MAX + 1];
	struct dev_pagemap pagemap;
	struct mutex lock; /* see above */
	struct list_head mappings;
	atomic_t uses;
};

/* By PCI address: &struct tandem_pci from probe to the end of the last use. */
static DEFINE_XARRAY(adapters);
/* Woken when &tandem_pci.uses becomes zero, by which time that may be freed. */
static DECLARE_WAIT_QUEUE_HEAD(unused_wait);

static unsigned long address_of(struct pci_dev *pdev)
{
	return (unsigned long)pci_domain_nr(pdev->bus) << 16 |
	       pci_dev_id(pdev);
}

static struct tandem_pci *to_tandem_pci(struct device *dev)
{
	return xa_load(&adapters, address_of(to_pci_dev(dev)));
}

static void use_end(struct tandem_pci *tpci)
{
	if (atomic_dec_and_test(&tpci->uses))
		wake_up_all(&unused_wait);
}

static bool pci_is_gone(struct device *dev)
{
	struct tandem_pci *tpci = to_tandem_pci(dev);

	return !tpci || READ_ONCE(tpci->gone) ||
	       !pci_device_is_present(tpci->pdev);
}

/* The accessors order what the device reads and writes in memory, too. */
static u32 pci_read32(struct device *dev, u32 offset)
{
	struct tandem_pci *tpci = to_tandem_pci(dev);

	if (!tpci || WARN_ON_ONCE(offset >= TANDEM_HW_REGISTER_BYTES))
		return ~0u;
	return readl(tpci->registers + offset);
}

static void pci_write32(struct device *dev, u32 offset, u32 value)
{
	struct tandem_pci *tpci = to_tandem_pci(dev);

	if (tpci && !WARN_ON_ONCE(offset >= TANDEM_HW_REGISTER_BYTES))
		writel(value, tpci->registers + offset);
}

static void write_doorbell(struct device *dev, u32 queue, size_t field,
			   u32 value)
{
	struct tandem_pci *tpci = to_tandem_pci(dev);

	if (tpci && !WARN_ON_ONCE(queue >= tpci->vectors))
		writel(value, tpci->registers + TANDEM_HW_DOORBELL_BASE +
			      queue * sizeof(struct tandem_hw_doorbell) +
			      field);
}

/* The write itself wakes the device: armed is for those that are processes. */
static void pci_ring_sq(struct device *dev, u32 queue, u32 tail)
{
	write_doorbell(dev, queue, offsetof(struct tandem_hw_doorbell, sq_tail),
		       tail);
}

static void pci_ring_cq(struct device *dev, u32 queue, u32 head)
{
	/* Entries have been read before the device may write them again. */
	mb();
	write_doorbell(dev, queue, offsetof(struct tandem_hw_doorbell, cq_head),
		       head);
}

/* CONTROL has been written, and a read does not pass a posted write. */
static void pci_ring_control(struct device *dev)
{
	pci_read32(dev, TANDEM_REG_CONTROL);
}

/* The last reference to a page is that of its existence. */
static bool pages_are_held(struct tandem_pages *pages)
{
	struct page *page;
	unsigned long i;

	xa_for_each(&pages->tree, i, page) {
		if (page_ref_count(page) > 1)
			return true;
	}
	return false;
}

static int pci_memory_alloc(struct device *dev, u64 address,
			    struct tandem_pages *pages)
{
	struct tandem_pci *tpci = to_tandem_pci(dev);
	unsigned long i;

	if (!tpci)
		return -ENODEV;
	for (i = 0; i < pages->count; i++) {
		struct page *page = pfn_to_page(PHYS_PFN(tpci->pagemap.range.start +
							  address) + i);
		int ret;

		if (fatal_signal_pending(current))
			return -EINTR;
		if (page_ref_count(page) > 1)
			return -EBUSY;
		clear_highpage(page);
		ret = xa_err(xa_store(&pages->tree, i, page, GFP_KERNEL));
		if (ret)
			return ret;
		cond_resched();
	}
	atomic_inc(&tpci->uses);
	return 0;
}

static bool pci_memory_free(struct device *dev, u64 address,
			    struct tandem_pages *pages)
{
	if (pages_are_held(pages))
		return false;
	use_end(to_tandem_pci(dev));
	return true;
}

/* The bus address of a mapped table, or 0 if it is not one range. */
static u64 range_of(const struct sg_table *sgt)
{
	dma_addr_t end = sg_dma_address(sgt->sgl);
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		if (sg_dma_address(sg) != end)
			return 0;
		end += sg_dma_len(sg);
	}
	return sg_dma_address(sgt->sgl);
}

/* Takes over @mapping. */
static int mapping_add(struct tandem_pci *tpci,
		       struct tandem_pci_mapping *mapping,
		       const struct sg_table *sgt, u64 *bus_address)
{
	mapping->bus_address = range_of(sgt);
	if (!mapping->bus_address) {
		dev_err_ratelimited(&tpci->pdev->dev,
				    "memory is scattered over the bus: the device needs an IOMMU that joins it\n");
		return -EINVAL;
	}
	/* What both sides share is never synchronised. */
	if (dma_need_sync(&tpci->pdev->dev, mapping->bus_address)) {
		dev_err_ratelimited(&tpci->pdev->dev,
				    "the device is not coherent with the processor's caches\n");
		return -EOPNOTSUPP;
	}
	*bus_address = mapping->bus_address;
	mutex_lock(&tpci->lock);
	list_add(&mapping->link, &tpci->mappings);
	mutex_unlock(&tpci->lock);
	atomic_inc(&tpci->uses);
	return 0;
}

static int pci_map_sgtable(struct device *dev, struct sg_table *sgt,
			   enum dma_data_direction direction, u64 *bus_address)
{
	struct tandem_pci *tpci = to_tandem_pci(dev);
	struct tandem_pci_mapping *mapping;
	int ret;

	if (!tpci)
		return -ENODEV;
	mapping = kzalloc(sizeof(*mapping), GFP_KERNEL);
	if (!mapping)
		return -ENOMEM;
	ret = mapping_add(tpci, mapping, sgt, bus_address);
	if (ret)
		kfree(mapping);
	return ret;
}

static int pci_map_pages(struct device *dev, struct page **pages,
			 unsigned long count,
			 enum dma_data_direction direction, u64 *bus_address)
{
	struct tandem_pci *tpci = to_tandem_pci(dev);
	struct tandem_pci_mapping *mapping;
	int ret;

	if (!tpci)
		return -ENODEV;
	mapping = kzalloc(sizeof(*mapping), GFP_KERNEL);
	if (!mapping)
		return -ENOMEM;
	mapping->direction = direction;
	ret = sg_alloc_table_from_pages(&mapping->sgt, pages, count, 0,
					count << PAGE_SHIFT, GFP_KERNEL);
	if (ret)
		goto free_mapping;
	ret = dma_map_sgtable(dev, &mapping->sgt, direction, 0);
	if (ret)
		goto free_table;
	ret = mapping_add(tpci, mapping, &mapping->sgt, bus_address);
	if (ret)
		goto unmap;
	return 0;

unmap:
	dma_unmap_sgtable(dev, &mapping->sgt, direction, 0);
free_table:
	sg_free_table(&mapping->sgt);
free_mapping:
	kfree(mapping);
	return ret;
}

static struct tandem_pci_mapping *mapping_remove(struct tandem_pci *tpci,
						 u64 bus_address)
{
	struct tandem_pci_mapping *mapping;

	mutex_lock(&tpci->lock);
	list_for_each_entry(mapping, &tpci->mappings, link) {
		if (mapping->bus_address == bus_address) {
			list_del(&mapping->link);
			mutex_unlock(&tpci->lock);
			return mapping;
		}
	}
	mutex_unlock(&tpci->lock);
	return NULL;
}

static void pci_unmap(struct device *dev, u64 bus_address)
{
	struct tandem_pci *tpci = to_tandem_pci(dev);
	struct tandem_pci_mapping *mapping;

	mapping = mapping_remove(tpci, bus_address);
	if (WARN_ON_ONCE(!mapping))
		return;
	if (mapping->sgt.sgl) {
		dma_unmap_sgtable(dev, &mapping->sgt, mapping->direction, 0);
		sg_free_table(&mapping->sgt);
	}
	kfree(mapping);
	use_end(tpci);
}

static const struct tandem_bus_ops pci_ops = {
	.is_gone = pci_is_gone,
	.read32 = pci_read32,
	.write32 = pci_write32,
	.ring_sq = pci_ring_sq,
	.ring_cq = pci_ring_cq,
	.ring_control = pci_ring_control,
	.memory_alloc = pci_memory_alloc,
	.memory_free = pci_memory_free,
	.map_sgtable = pci_map_sgtable,
	.map_pages = pci_map_pages,
	.unmap = pci_unmap,
};

static irqreturn_t handle_interrupt(int irq, void *data)
{
	const struct tandem_pci_vector *vector = data;

	tandem_device_interrupt(vector->dev, vector->number);
	return IRQ_HANDLED;
}

static void free_interrupts(struct tandem_pci *tpci, u32 count)
{
	while (count--)
		free_irq(pci_irq_vector(tpci->pdev, count),
			 &tpci->vector[count]);
	pci_free_irq_vectors(tpci->pdev);
}

/* In threads: completions are handled in process context. */
static int request_interrupts(struct tandem_pci *tpci)
{
	struct pci_dev *pdev = tpci->pdev;
	u32 i;
	int ret;

	ret = pci_alloc_irq_vectors(pdev, tpci->vectors, tpci->vectors,
				    PCI_IRQ_MSIX);
	if (ret < 0) {
		dev_err(&pdev->dev, "no %u MSI-X vectors: error %d\n",
			tpci->vectors, ret);
		return ret;
	}
	for (i = 0; i < tpci->vectors; i++) {
		tpci->vector[i].dev = &pdev->dev;
		tpci->vector[i].number = i;
		ret = request_threaded_irq(pci_irq_vector(pdev, i), NULL,
					   handle_interrupt, IRQF_ONESHOT,
					   "tandem", &tpci->vector[i]);
		if (ret) {
			free_interrupts(tpci, i);
			return ret;
		}
	}
	return 0;
}

static int map_registers(struct tandem_pci *tpci)
{
	struct pci_dev *pdev = tpci->pdev;

	if (pci_resource_len(pdev, BAR_REGISTERS) < TANDEM_HW_BAR_BYTES) {
		dev_err(&pdev->dev, "BAR %u has no room for the registers\n",
			BAR_REGISTERS);
		return -ENODEV;
	}
	tpci->registers = pcim_iomap_region(pdev, BAR_REGISTERS, "tandem");
	if (IS_ERR(tpci->registers))
		return PTR_ERR(tpci->registers);
	return tandem_boot_check_magic(&pdev->dev,
				       readl(tpci->registers +
					     TANDEM_REG_MAGIC));
}

static int map_memory(struct tandem_pci *tpci, u64 size)
{
	struct pci_dev *pdev = tpci->pdev;
	struct dev_pagemap *pagemap = &tpci->pagemap;

	if (!IS_ENABLED(CONFIG_ZONE_DEVICE)) {
		dev_err(&pdev->dev, "device memory needs a kernel with ZONE_DEVICE\n");
		return -EOPNOTSUPP;
	}
	if (!(pci_resource_flags(pdev, BAR_MEMORY) & IORESOURCE_MEM) ||
	    !size || size > pci_resource_len(pdev, BAR_MEMORY)) {
		dev_err(&pdev->dev, "BAR %u does not hold %#llx bytes of memory\n",
			BAR_MEMORY, size);
		return -EINVAL;
	}
	pagemap->type = MEMORY_DEVICE_GENERIC;
	pagemap->range.start = pci_resource_start(pdev, BAR_MEMORY);
	pagemap->range.end = pci_resource_end(pdev, BAR_MEMORY);
	pagemap->nr_range = 1;
	return PTR_ERR_OR_ZERO(devm_memremap_pages(&pdev->dev, pagemap));
}

/*
 * Runs after the driver has let go of the device, which lives on with its last
 * user, and before the pages of its memory go.
 */
static void wait_until_unused(void *data)
{
	struct tandem_pci *tpci = data;

	while (!wait_event_timeout(unused_wait, !atomic_read(&tpci->uses),
				   60 * HZ))
		dev_warn(&tpci->pdev->dev, "removal waits for users of %d ranges of memory to close them\n",
			 atomic_read(&tpci->uses));
	xa_erase(&adapters, address_of(tpci->pdev));
	mutex_destroy(&tpci->lock);
}

static u64 memory_size_of(const struct tandem_pci *tpci)
{
	return readl(tpci->registers + TANDEM_REG_MEMORY_SIZE) |
	       (u64)readl(tpci->registers + TANDEM_REG_MEMORY_SIZE + 4) << 32;
}

static int adapter_create(struct pci_dev *pdev, struct tandem_pci **result)
{
	struct tandem_pci *tpci;
	int ret;

	tpci = devm_kzalloc(&pdev->dev, sizeof(*tpci), GFP_KERNEL);
	if (!tpci)
		return -ENOMEM;
	tpci->pdev = pdev;
	mutex_init(&tpci->lock);
	INIT_LIST_HEAD(&tpci->mappings);
	ret = map_registers(tpci);
	if (ret)
		return ret;
	tpci->vectors = min_t(u32, readl(tpci->registers +
					 TANDEM_REG_QUEUE_MAX),
			      TANDEM_ENGINES_MAX) + 1;
	ret = map_memory(tpci, memory_size_of(tpci));
	if (ret)
		return ret;
	ret = xa_err(xa_store(&adapters, address_of(pdev), tpci, GFP_KERNEL));
	if (ret)
		return ret;
	*result = tpci;
	return devm_add_action_or_reset(&pdev->dev, wait_until_unused, tpci);
}

static int pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct tandem_pci *tpci;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	ret = adapter_create(pdev, &tpci);
	if (ret)
		return ret;
	ret = request_interrupts(tpci);
	if (ret)
		return ret;
	pci_set_master(pdev);
	ret = tandem_device_probe(&pdev->dev, &pci_ops, tpci->vectors - 1,
				  memory_size_of(tpci));
	if (ret) {
		pci_clear_master(pdev);
		free_interrupts(tpci, tpci->vectors);
	}
	return ret;
}

static void pci_remove(struct pci_dev *pdev)
{
	struct tandem_pci *tpci = to_tandem_pci(&pdev->dev);

	tandem_device_remove(&pdev->dev);
	pci_clear_master(pdev);
	free_interrupts(tpci, tpci->vectors);
}

/* Nothing is to write into memory while the next kernel starts. */
static void pci_shutdown(struct pci_dev *pdev)
{
	tandem_device_suspend(&pdev->dev);
	pci_clear_master(pdev);
}

static pci_ers_result_t error_detected(struct pci_dev *pdev,
				       pci_channel_state_t state)
{
	struct tandem_pci *tpci = to_tandem_pci(&pdev->dev);

	if (state == pci_channel_io_normal)
		return PCI_ERS_RESULT_CAN_RECOVER;
	dev_err(&pdev->dev, "the platform reports a bus error: the device is out of service\n");
	WRITE_ONCE(tpci->gone, true);
	tandem_device_gone(&pdev->dev);
	return PCI_ERS_RESULT_DISCONNECT;
}

static const struct pci_error_handlers error_handlers = {
	.error_detected = error_detected,
};

static DEFINE_SIMPLE_DEV_PM_OPS(pci_pm_ops, tandem_device_suspend,
				tandem_device_resume);

static const struct pci_device_id pci_ids[] = {
	{ PCI_DEVICE(TANDEM_PCI_VENDOR, TANDEM_PCI_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, pci_ids);

static struct pci_driver pci_driver = {
	.name = "tandem",
	.id_table = pci_ids,
	.probe = pci_probe,
	.remove = pci_remove,
	.shutdown = pci_shutdown,
	.err_handler = &error_handlers,
	.dev_groups = tandem_device_groups,
	.driver.pm = pm_sleep_ptr(&pci_pm_ops),
};

int tandem_bus_pci_register(void)
{
	return pci_register_driver(&pci_driver);
}

void tandem_bus_pci_unregister(void)
{
	pci_unregister_driver(&pci_driver);
}
