// SPDX-License-Identifier: GPL-2.0
/*
 * The emulated bus: slots, the devices in them, and the services that their
 * drivers use.
 */
#include <linux/dma-direct.h>
#include <linux/eventfd.h>
#include <linux/idr.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/suspend.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>

#include "tandem_emu.h"
#include "tandem_emu_slot.h"
#include "tandem_hw.h"

static DEFINE_IDA(slots);
/* Woken when a slot is released. */
static DECLARE_WAIT_QUEUE_HEAD(released_wait);

/* The system is about to sleep, or sleeps: no device is probed. */
static bool asleep;

/* Readers run a driver's interrupt or gone callback. */
DEFINE_STATIC_SRCU(tandem_emu_srcu);

static struct tandem_emu_slot *to_slot(struct tandem_emu_device *edev)
{
	return container_of(edev, struct tandem_emu_slot, edev);
}

static struct tandem_emu_driver *to_driver(const struct device_driver *driver)
{
	return container_of(driver, struct tandem_emu_driver, driver);
}

static void set_driver(struct tandem_emu_slot *slot,
		       struct tandem_emu_driver *driver)
{
	rcu_assign_pointer(slot->driver, driver);
	if (!driver)
		synchronize_srcu(&tandem_emu_srcu);
}

static int bus_match(struct device *dev, const struct device_driver *driver)
{
	return true;
}

static int bus_probe(struct device *dev)
{
	struct tandem_emu_device *edev = to_tandem_emu_device(dev);
	struct tandem_emu_driver *driver = to_driver(dev->driver);
	int ret;

	/* Who would have to answer is frozen, or will be any time. */
	if (READ_ONCE(asleep))
		return -EPROBE_DEFER;
	set_driver(to_slot(edev), driver);
	/* Pairs with tandem_emu_slot_remove(). */
	smp_mb();
	ret = driver->probe(edev);
	if (ret)
		set_driver(to_slot(edev), NULL);
	return ret;
}

static void bus_remove(struct device *dev)
{
	struct tandem_emu_device *edev = to_tandem_emu_device(dev);

	to_driver(dev->driver)->remove(edev);
	set_driver(to_slot(edev), NULL);
}

static const struct bus_type tandem_emu_bus_type = {
	.name = "tandem_emu",
	.match = bus_match,
	.probe = bus_probe,
	.remove = bus_remove,
};

int tandem_emu_driver_register(struct tandem_emu_driver *drv)
{
	drv->driver.bus = &tandem_emu_bus_type;
	/*
	 * The process that plugs a device in has to answer the driver's
	 * handshake, so it must not wait for the probe.
	 */
	drv->driver.probe_type = PROBE_PREFER_ASYNCHRONOUS;
	return driver_register(&drv->driver);
}
EXPORT_SYMBOL_GPL(tandem_emu_driver_register);

void tandem_emu_driver_unregister(struct tandem_emu_driver *drv)
{
	driver_unregister(&drv->driver);
}
EXPORT_SYMBOL_GPL(tandem_emu_driver_unregister);

bool tandem_emu_is_gone(struct tandem_emu_device *edev)
{
	return READ_ONCE(to_slot(edev)->gone);
}
EXPORT_SYMBOL_GPL(tandem_emu_is_gone);

static __le32 *register_at(struct tandem_emu_device *edev, u32 offset)
{
	if (WARN_ON_ONCE(offset >= TANDEM_HW_REGISTER_BYTES || offset % 4))
		return NULL;
	return to_slot(edev)->registers + offset;
}

u32 tandem_emu_read32(struct tandem_emu_device *edev, u32 offset)
{
	const __le32 *reg = register_at(edev, offset);
	u32 value;

	if (!reg || tandem_emu_is_gone(edev))
		return ~0u;
	value = le32_to_cpu(READ_ONCE(*reg));
	/* What the device wrote before this register is seen after it. */
	smp_rmb();
	return value;
}
EXPORT_SYMBOL_GPL(tandem_emu_read32);

void tandem_emu_write32(struct tandem_emu_device *edev, u32 offset, u32 value)
{
	__le32 *reg = register_at(edev, offset);

	if (!reg || tandem_emu_is_gone(edev))
		return;
	/* Likewise for what the driver wrote before. */
	smp_wmb();
	WRITE_ONCE(*reg, cpu_to_le32(value));
}
EXPORT_SYMBOL_GPL(tandem_emu_write32);

static struct tandem_hw_doorbell *doorbell_at(struct tandem_emu_device *edev,
					      u32 queue)
{
	struct tandem_hw_doorbell *doorbells =
		to_slot(edev)->registers + TANDEM_HW_DOORBELL_BASE;

	if (WARN_ON_ONCE(queue > edev->queues))
		return NULL;
	return &doorbells[queue];
}

static void wake_device(struct tandem_emu_device *edev, u32 queue)
{
	struct eventfd_ctx *eventfd = to_slot(edev)->doorbell[queue];

	if (eventfd)
		eventfd_signal(eventfd);
}

void tandem_emu_ring_sq(struct tandem_emu_device *edev, u32 queue, u32 sq_tail)
{
	struct tandem_hw_doorbell *doorbell = doorbell_at(edev, queue);

	if (!doorbell || tandem_emu_is_gone(edev))
		return;
	/* Descriptors before the tail that publishes them. */
	smp_wmb();
	WRITE_ONCE(doorbell->sq_tail, cpu_to_le32(sq_tail));
	/* Pairs with the device's barrier between armed and sq_tail. */
	smp_mb();
	if (READ_ONCE(doorbell->armed))
		wake_device(edev, queue);
}
EXPORT_SYMBOL_GPL(tandem_emu_ring_sq);

void tandem_emu_ring_cq(struct tandem_emu_device *edev, u32 queue, u32 cq_head)
{
	struct tandem_hw_doorbell *doorbell = doorbell_at(edev, queue);

	if (!doorbell || tandem_emu_is_gone(edev))
		return;
	/* Entries have been read before the device may write them again. */
	smp_mb();
	WRITE_ONCE(doorbell->cq_head, cpu_to_le32(cq_head));
}
EXPORT_SYMBOL_GPL(tandem_emu_ring_cq);

void tandem_emu_ring_control(struct tandem_emu_device *edev)
{
	if (!tandem_emu_is_gone(edev))
		wake_device(edev, 0);
}
EXPORT_SYMBOL_GPL(tandem_emu_ring_control);

int tandem_emu_bind_memory(struct tandem_emu_device *edev, u64 address,
			   struct xarray *pages, unsigned long count)
{
	struct tandem_emu_binding *binding;
	int ret;

	if (!PAGE_ALIGNED(address))
		return -EINVAL;
	binding = tandem_emu_binding_alloc(count, pages);
	if (!binding)
		return -ENOMEM;
	ret = tandem_emu_space_bind_at(&to_slot(edev)->memory,
				       address >> PAGE_SHIFT, binding);
	if (ret)
		tandem_emu_binding_free(binding);
	return ret;
}
EXPORT_SYMBOL_GPL(tandem_emu_bind_memory);

void tandem_emu_unbind_memory(struct tandem_emu_device *edev, u64 address,
			      unsigned long count)
{
	tandem_emu_space_unbind(&to_slot(edev)->memory, address >> PAGE_SHIFT);
}
EXPORT_SYMBOL_GPL(tandem_emu_unbind_memory);

static int bind_window(struct tandem_emu_device *edev,
		       struct tandem_emu_binding *binding, u32 offset,
		       enum dma_data_direction direction, u64 *bus_address)
{
	struct tandem_emu_slot *slot = to_slot(edev);
	bool writable = direction != DMA_TO_DEVICE;
	unsigned long first;
	int ret;

	ret = tandem_emu_space_bind(writable ? &slot->window_rw :
					       &slot->window_ro,
				    binding, &first);
	if (ret)
		return ret;
	*bus_address = ((u64)first << PAGE_SHIFT) + offset;
	if (writable)
		*bus_address += TANDEM_EMU_DMA_BYTES;
	return 0;
}

/* Notes the pages from @start to @end as those from *@index on. */
static int note_segment(struct tandem_emu_device *edev, dma_addr_t start,
			dma_addr_t end, struct tandem_emu_binding *binding,
			unsigned long *index)
{
	dma_addr_t page;
	int ret;

	for (page = start & PAGE_MASK; page < end; page += PAGE_SIZE) {
		unsigned long pfn = PHYS_PFN(dma_to_phys(&edev->dev, page));

		if (!pfn_valid(pfn))
			return -EINVAL;
		ret = tandem_emu_binding_set(binding, *index, pfn_to_page(pfn));
		if (ret)
			return ret;
		if (++*index % 1024 == 0)
			cond_resched();
	}
	return 0;
}

/*
 * Notes the pages of a mapped table. The addresses are those of plain memory,
 * since that is what the device's DMA operations give.
 */
static int note_sgtable(struct tandem_emu_device *edev, struct sg_table *sgt,
			struct tandem_emu_binding *binding)
{
	struct scatterlist *sg;
	unsigned long n = 0;
	unsigned int i;
	int ret;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		dma_addr_t start = sg_dma_address(sg);
		dma_addr_t end = start + sg_dma_len(sg);

		if (end <= start || (i > 0 && !PAGE_ALIGNED(start)) ||
		    (i < sgt->nents - 1 && !PAGE_ALIGNED(end)))
			return -EINVAL;
		ret = note_segment(edev, start, end, binding, &n);
		/* Also for freeing what there is. */
		binding->count = n;
		if (ret)
			return ret;
	}
	return n ? 0 : -EINVAL;
}

int tandem_emu_map_sgtable(struct tandem_emu_device *edev, struct sg_table *sgt,
			   enum dma_data_direction direction, u64 *bus_address)
{
	struct tandem_emu_binding *binding;
	int ret;

	binding = tandem_emu_binding_alloc(0, NULL);
	if (!binding)
		return -ENOMEM;
	ret = note_sgtable(edev, sgt, binding);
	if (!ret)
		ret = bind_window(edev, binding,
				  offset_in_page(sg_dma_address(sgt->sgl)),
				  direction, bus_address);
	if (ret)
		tandem_emu_binding_free(binding);
	return ret;
}
EXPORT_SYMBOL_GPL(tandem_emu_map_sgtable);

int tandem_emu_map_pages(struct tandem_emu_device *edev, struct page **pages,
			 unsigned long count, enum dma_data_direction direction,
			 u64 *bus_address)
{
	struct tandem_emu_binding *binding;
	unsigned long i;
	int ret = 0;

	binding = tandem_emu_binding_alloc(count, NULL);
	if (!binding)
		return -ENOMEM;
	for (i = 0; i < count && !ret; i++)
		ret = tandem_emu_binding_set(binding, i, pages[i]);
	if (!ret)
		ret = bind_window(edev, binding, 0, direction, bus_address);
	if (ret)
		tandem_emu_binding_free(binding);
	return ret;
}
EXPORT_SYMBOL_GPL(tandem_emu_map_pages);

void tandem_emu_unmap(struct tandem_emu_device *edev, u64 bus_address)
{
	struct tandem_emu_slot *slot = to_slot(edev);

	if (bus_address < TANDEM_EMU_DMA_BYTES)
		tandem_emu_space_unbind(&slot->window_ro,
					bus_address >> PAGE_SHIFT);
	else
		tandem_emu_space_unbind(&slot->window_rw,
					(bus_address - TANDEM_EMU_DMA_BYTES) >>
					PAGE_SHIFT);
}
EXPORT_SYMBOL_GPL(tandem_emu_unmap);

static void slot_release(struct device *dev)
{
	struct tandem_emu_slot *slot = to_slot(to_tandem_emu_device(dev));
	u32 i;

	for (i = 0; i <= slot->edev.queues; i++) {
		if (slot->doorbell[i])
			eventfd_ctx_put(slot->doorbell[i]);
	}
	kfree(slot->doorbell);
	tandem_emu_space_destroy(&slot->window_rw);
	tandem_emu_space_destroy(&slot->window_ro);
	tandem_emu_space_destroy(&slot->memory);
	vfree(slot->registers);
	/* Until it is left, the module stays: see tandem_emu_exit(). */
	rcu_read_lock();
	ida_free(&slots, slot->edev.slot);
	kfree(slot);
	wake_up_all(&released_wait);
	rcu_read_unlock();
}

static void init_spaces(struct tandem_emu_slot *slot,
			struct address_space *mapping)
{
	u64 base = (u64)slot->edev.slot << TANDEM_EMU_FILE_SHIFT;

	BUILD_BUG_ON(TANDEM_EMU_MMAP_DMA_RW + TANDEM_EMU_DMA_BYTES >
		     1ull << TANDEM_EMU_FILE_SHIFT);
	BUILD_BUG_ON(ilog2(TANDEM_EMU_SLOTS) + TANDEM_EMU_FILE_SHIFT > 62);

	tandem_emu_space_init(&slot->memory, mapping,
			      base + TANDEM_EMU_MMAP_MEMORY,
			      slot->edev.memory_size >> PAGE_SHIFT);
	tandem_emu_space_init(&slot->window_ro, mapping,
			      base + TANDEM_EMU_MMAP_DMA_RO,
			      TANDEM_EMU_DMA_BYTES >> PAGE_SHIFT);
	tandem_emu_space_init(&slot->window_rw, mapping,
			      base + TANDEM_EMU_MMAP_DMA_RW,
			      TANDEM_EMU_DMA_BYTES >> PAGE_SHIFT);
}

static void init_device(struct device *dev, struct tandem_emu_slot *slot)
{
	device_initialize(dev);
	dev->bus = &tandem_emu_bus_type;
	dev->release = slot_release;
	dev->dma_parms = &slot->dma_parms;
	dma_coerce_mask_and_coherent(dev, DMA_BIT_MASK(64));
	dma_set_max_seg_size(dev, UINT_MAX);
}

struct tandem_emu_slot *
tandem_emu_slot_create(const struct tandem_emu_create *args,
		       struct address_space *mapping)
{
	struct tandem_emu_slot *slot;
	int ret;

	slot = kzalloc(sizeof(*slot), GFP_KERNEL);
	if (!slot)
		return ERR_PTR(-ENOMEM);
	slot->edev.queues = args->queues;
	slot->edev.memory_size = args->memory_size;

	ret = ida_alloc_max(&slots, TANDEM_EMU_SLOTS - 1, GFP_KERNEL);
	if (ret < 0)
		goto err_free;
	slot->edev.slot = ret;

	ret = -ENOMEM;
	slot->registers = __vmalloc(TANDEM_HW_BAR_BYTES,
				    GFP_KERNEL_ACCOUNT | __GFP_ZERO |
				    __GFP_NOWARN);
	if (!slot->registers)
		goto err_ida;
	slot->doorbell = kcalloc(args->queues + 1, sizeof(*slot->doorbell),
				 GFP_KERNEL);
	if (!slot->doorbell)
		goto err_registers;

	init_spaces(slot, mapping);
	init_device(&slot->edev.dev, slot);
	ret = dev_set_name(&slot->edev.dev, "tandem-emu%u", slot->edev.slot);
	if (ret) {
		put_device(&slot->edev.dev);
		return ERR_PTR(ret);
	}
	return slot;

err_registers:
	vfree(slot->registers);
err_ida:
	ida_free(&slots, slot->edev.slot);
err_free:
	kfree(slot);
	return ERR_PTR(ret);
}

int tandem_emu_slot_plug(struct tandem_emu_slot *slot)
{
	return device_add(&slot->edev.dev);
}

void tandem_emu_slot_interrupt(struct tandem_emu_slot *slot, u32 vector)
{
	struct tandem_emu_driver *driver;
	int index;

	index = srcu_read_lock(&tandem_emu_srcu);
	driver = srcu_dereference(slot->driver, &tandem_emu_srcu);
	if (driver)
		driver->interrupt(&slot->edev, vector);
	srcu_read_unlock(&tandem_emu_srcu, index);
}

static void tell_driver(struct tandem_emu_slot *slot)
{
	struct tandem_emu_driver *driver;
	int index;

	index = srcu_read_lock(&tandem_emu_srcu);
	driver = srcu_dereference(slot->driver, &tandem_emu_srcu);
	if (driver && driver->gone)
		driver->gone(&slot->edev);
	srcu_read_unlock(&tandem_emu_srcu, index);
}

void tandem_emu_slot_remove(struct tandem_emu_slot *slot, bool plugged)
{
	WRITE_ONCE(slot->gone, true);
	/*
	 * Pairs with bus_probe(): either the driver sees the mark, or it gets
	 * the callback.
	 */
	smp_mb();
	tandem_emu_space_close(&slot->memory);
	tandem_emu_space_close(&slot->window_ro);
	tandem_emu_space_close(&slot->window_rw);
	if (plugged) {
		tell_driver(slot);
		device_del(&slot->edev.dev);
	}
	put_device(&slot->edev.dev);
}

/*
 * Probes that have begun come to their end before processes are frozen; those
 * that would begin later are made up for when processes run again.
 */
static int system_sleeps(struct notifier_block *notifier, unsigned long event,
			 void *unused)
{
	switch (event) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		WRITE_ONCE(asleep, true);
		wait_for_device_probe();
		break;
	case PM_POST_SUSPEND:
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		WRITE_ONCE(asleep, false);
		if (bus_rescan_devices(&tandem_emu_bus_type))
			pr_warn("tandem_emu: a device that came during sleep is not probed\n");
		break;
	}
	return NOTIFY_DONE;
}

/* Before the drivers', which suspend what has been probed. */
static struct notifier_block sleep_notifier = {
	.notifier_call = system_sleeps,
	.priority = 1,
};

static int __init tandem_emu_init(void)
{
	int ret;

	ret = bus_register(&tandem_emu_bus_type);
	if (ret)
		return ret;
	ret = register_pm_notifier(&sleep_notifier);
	if (ret)
		goto unregister_bus;
	ret = tandem_emu_file_register();
	if (ret)
		goto unregister_notifier;
	return 0;

unregister_notifier:
	unregister_pm_notifier(&sleep_notifier);
unregister_bus:
	bus_unregister(&tandem_emu_bus_type);
	return ret;
}

static void __exit tandem_emu_exit(void)
{
	tandem_emu_file_unregister();
	unregister_pm_notifier(&sleep_notifier);
	/* No file is open, but others may hold a reference to a device yet. */
	wait_event(released_wait, ida_is_empty(&slots));
	synchronize_rcu();
	bus_unregister(&tandem_emu_bus_type);
	ida_destroy(&slots);
}

module_init(tandem_emu_init);
module_exit(tandem_emu_exit);

MODULE_DESCRIPTION("Emulated bus whose Tandem devices are processes");
MODULE_LICENSE("GPL");
