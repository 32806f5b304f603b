// SPDX-License-Identifier: GPL-2.0
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "tandem_device.h"
#include "tandem_user.h"

/* Pages to pin or to unpin at a time: this is done with interrupts off. */
#define BATCH_PAGES	1024ul

static void unpin(struct tandem_user_memory *user)
{
	unsigned long done, batch;

	for (done = 0; done < user->count; done += batch) {
		batch = min(user->count - done, BATCH_PAGES);
		unpin_user_pages_dirty_lock(user->pages + done, batch,
					    user->write);
		cond_resched();
	}
	kvfree(user->pages);
	user->pages = NULL;
	user->count = 0;
}

static int pin(struct tandem_user_memory *user, u64 address, u64 length,
	       bool write, unsigned int flags)
{
	unsigned long start, count;
	int ret;

	if (!access_ok(u64_to_user_ptr(address), length))
		return -EFAULT;
	start = address & PAGE_MASK;
	count = DIV_ROUND_UP(address + length - start, PAGE_SIZE);
	user->pages = kvmalloc_array(count, sizeof(*user->pages),
				     GFP_KERNEL_ACCOUNT);
	if (!user->pages)
		return -ENOMEM;
	user->write = write;
	user->length = length;

	while (user->count < count) {
		ret = pin_user_pages_fast(start + (user->count << PAGE_SHIFT),
					  min(count - user->count, BATCH_PAGES),
					  flags | (write ? FOLL_WRITE : 0),
					  user->pages + user->count);
		if (ret <= 0)
			goto err;
		user->count += ret;
		cond_resched();
	}
	ret = sg_alloc_table_from_pages(&user->sgt, user->pages, count,
					offset_in_page(address), length,
					GFP_KERNEL_ACCOUNT);
	if (ret)
		goto err;
	return 0;
err:
	unpin(user);
	return ret ?: -EFAULT;
}

int tandem_user_pin(struct tandem_user_memory *user, u64 address, u64 length,
		    bool write)
{
	int ret;

	if (length > TANDEM_USER_BYTES_MAX)
		return -EINVAL;
	ret = pin(user, address, length, write, 0);
	return !ret || ret == -ENOMEM ? ret : -EFAULT;
}

int tandem_user_pin_longterm(struct tandem_user_memory *user, u64 address,
			     u64 length, bool write)
{
	return pin(user, address, length, write, FOLL_LONGTERM);
}

static enum dma_data_direction direction(const struct tandem_user_memory *user)
{
	return user->write ? DMA_BIDIRECTIONAL : DMA_TO_DEVICE;
}

/*
 * Nothing keeps a process from having several commands on the same pages at
 * once, which is no error of the driver's: what such commands make of each
 * other's bytes is the process's affair. A mapping that owns the CPU's caches
 * would be one, so none does; each command makes them agree for its own bytes.
 */
#define USER_MAP_ATTRS	DMA_ATTR_SKIP_CPU_SYNC

int tandem_user_map(struct tandem_device *tdev, struct tandem_user_memory *user)
{
	int ret;

	ret = dma_map_sgtable(tdev->dev, &user->sgt, direction(user),
			      USER_MAP_ATTRS);
	if (ret)
		return ret;
	ret = tdev->bus->map_sgtable(tdev->dev, &user->sgt, direction(user),
				     &user->bus_address);
	if (ret) {
		dma_unmap_sgtable(tdev->dev, &user->sgt, direction(user),
				  USER_MAP_ATTRS);
		/* Bus addresses ran out: too much is in flight. */
		return ret == -ENOSPC ? -ENOMEM : ret;
	}
	dma_sync_sgtable_for_device(tdev->dev, &user->sgt, direction(user));
	return 0;
}

void tandem_user_release(struct tandem_device *tdev,
			 struct tandem_user_memory *user)
{
	if (user->bus_address) {
		tdev->bus->unmap(tdev->dev, user->bus_address);
		if (user->write)
			dma_sync_sgtable_for_cpu(tdev->dev, &user->sgt,
						 direction(user));
		dma_unmap_sgtable(tdev->dev, &user->sgt, direction(user),
				  USER_MAP_ATTRS);
		user->bus_address = 0;
	}
	if (user->pages) {
		sg_free_table(&user->sgt);
		unpin(user);
	}
}
