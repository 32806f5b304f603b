// SPDX-License-Identifier: GPL-2.0
/*
 * Tandem devices on the emulated bus.
 */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/pm_runtime.h>
#include <linux/sched/signal.h>
#include <linux/suspend.h>

#include "tandem_bus.h"
#include "tandem_device.h"
#include "tandem_emu_bus.h"
#include "tandem_pages.h"

/* The largest blocks of pages to ask for: those of a page table. */
#define BLOCK_ORDER_MAX	min(PMD_SHIFT - PAGE_SHIFT, MAX_PAGE_ORDER)

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

/*
 * A block of pages that are zero and each on its own, of *@order at most, which
 * is lowered when such blocks have become rare.
 */
static struct page *alloc_block(unsigned int *order)
{
	const gfp_t gfp = GFP_USER | __GFP_ZERO | __GFP_ACCOUNT | __GFP_NOWARN;
	struct page *page;

	for (; *order; --*order) {
		/* Larger ones only save time: they are not worth a search. */
		page = alloc_pages((gfp & ~__GFP_DIRECT_RECLAIM) |
				   __GFP_NORETRY, *order);
		if (page) {
			split_page(page, *order);
			return page;
		}
	}
	return alloc_page(gfp | __GFP_RETRY_MAYFAIL);
}

/* How many of the block were entered. */
static unsigned long enter_block(struct tandem_pages *pages,
				 unsigned long index, struct page *block,
				 unsigned long count)
{
	unsigned long i;

	for (i = 0; i < count; i++) {
		if (xa_err(xa_store(&pages->tree, index + i, block + i,
				    GFP_KERNEL)))
			break;
	}
	return i;
}

static void free_block(struct page *block, unsigned long count)
{
	unsigned long i;

	for (i = 0; i < count; i++)
		put_page(block + i);
}

static void free_pages_of(struct tandem_pages *pages)
{
	struct page *page;
	unsigned long i;

	xa_for_each(&pages->tree, i, page) {
		put_page(page);
		if (i % 1024 == 0)
			cond_resched();
	}
}

static int alloc_pages_of(struct tandem_pages *pages)
{
	unsigned int order = BLOCK_ORDER_MAX;
	unsigned long done = 0, entered;
	struct page *block;

	while (done < pages->count) {
		if (fatal_signal_pending(current)) {
			free_pages_of(pages);
			return -EINTR;
		}
		order = min_t(unsigned int, order, ilog2(pages->count - done));
		block = alloc_block(&order);
		if (!block)
			goto no_memory;
		entered = enter_block(pages, done, block, 1ul << order);
		done += entered;
		if (entered < 1ul << order) {
			free_block(block + entered, (1ul << order) - entered);
			goto no_memory;
		}
		cond_resched();
	}
	return 0;
no_memory:
	free_pages_of(pages);
	return -ENOMEM;
}

/*
 * Pages belong to one range only and go back to the system with their last
 * reference: someone may have pinned them, and then a next owner of the same
 * pages could be read.
 */
static int emu_memory_alloc(struct device *dev, u64 address,
			    struct tandem_pages *pages)
{
	int ret;

	ret = alloc_pages_of(pages);
	if (ret)
		return ret;
	ret = tandem_emu_bind_memory(to_tandem_emu_device(dev), address,
				     &pages->tree, pages->count);
	if (ret)
		free_pages_of(pages);
	return ret;
}

static bool emu_memory_free(struct device *dev, u64 address,
			    struct tandem_pages *pages)
{
	tandem_emu_unbind_memory(to_tandem_emu_device(dev), address,
				 pages->count);
	free_pages_of(pages);
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

static void runtime_pm_off(struct device *dev)
{
	pm_runtime_disable(dev);
	pm_runtime_set_suspended(dev);
}

static int emu_probe(struct tandem_emu_device *edev)
{
	struct device *dev = &edev->dev;
	int ret;

	pm_runtime_get_noresume(dev);
	pm_runtime_set_active(dev);
	pm_runtime_enable(dev);
	ret = tandem_device_probe(dev, &emu_ops, edev->queues,
				  edev->memory_size);
	if (ret) {
		runtime_pm_off(dev);
		pm_runtime_put_noidle(dev);
	} else {
		pm_runtime_put_autosuspend(dev);
	}
	return ret;
}

static void emu_remove(struct tandem_emu_device *edev)
{
	/* Whatever waits for the device to be enabled ends with the removal. */
	pm_runtime_disable(&edev->dev);
	tandem_device_remove(&edev->dev);
	pm_runtime_set_suspended(&edev->dev);
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
		.pm = pm_ptr(&tandem_device_pm_ops),
	},
	.probe = emu_probe,
	.remove = emu_remove,
	.gone = emu_gone,
	.interrupt = emu_interrupt,
};

static int suspend_one(struct device *dev, void *unused)
{
	int ret = 0;

	/* Against its removal. */
	device_lock(dev);
	if (device_is_bound(dev))
		ret = tandem_device_suspend(dev);
	device_unlock(dev);
	return ret;
}

static int resume_one(struct device *dev, void *unused)
{
	device_lock(dev);
	if (device_is_bound(dev))
		tandem_device_resume(dev);
	device_unlock(dev);
	return 0;
}

static int call_for_all(int (*call)(struct device *dev, void *unused))
{
	return driver_for_each_device(&emu_driver.driver, NULL, NULL, call);
}

/*
 * Not by the device's own callbacks: the process behind it is frozen by the
 * time that these are called, and cannot answer.
 */
static int system_sleeps(struct notifier_block *notifier, unsigned long event,
			 void *unused)
{
	int ret = 0;

	switch (event) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		ret = call_for_all(suspend_one);
		if (ret)
			call_for_all(resume_one);
		break;
	case PM_POST_SUSPEND:
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		call_for_all(resume_one);
		break;
	}
	return notifier_from_errno(ret);
}

static struct notifier_block sleep_notifier = {
	.notifier_call = system_sleeps,
};

int tandem_bus_emu_register(void)
{
	int ret;

	ret = tandem_emu_driver_register(&emu_driver);
	if (ret)
		return ret;
	ret = register_pm_notifier(&sleep_notifier);
	if (ret)
		tandem_emu_driver_unregister(&emu_driver);
	return ret;
}

void tandem_bus_emu_unregister(void)
{
	unregister_pm_notifier(&sleep_notifier);
	tandem_emu_driver_unregister(&emu_driver);
}
