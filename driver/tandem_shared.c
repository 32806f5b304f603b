// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "tandem_bus.h"
#include "tandem_device.h"
#include "tandem_shared.h"

int tandem_shared_alloc(struct tandem_device *tdev,
			struct tandem_shared *shared, size_t size,
			enum dma_data_direction direction)
{
	unsigned long count = PAGE_ALIGN(size) >> PAGE_SHIFT;
	struct page **pages;
	unsigned long i;
	int ret = -ENOMEM;

	pages = kvmalloc_array(count, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	shared->virtual = vzalloc(count << PAGE_SHIFT);
	if (!shared->virtual)
		goto free_pages;
	for (i = 0; i < count; i++)
		pages[i] = vmalloc_to_page(shared->virtual + (i << PAGE_SHIFT));

	ret = tdev->bus->map_pages(tdev->dev, pages, count, direction,
				   &shared->bus_address);
	if (ret) {
		vfree(shared->virtual);
		shared->virtual = NULL;
	}
free_pages:
	kvfree(pages);
	return ret;
}

void tandem_shared_free(struct tandem_device *tdev,
			struct tandem_shared *shared)
{
	if (!shared->virtual)
		return;
	tdev->bus->unmap(tdev->dev, shared->bus_address);
	vfree(shared->virtual);
	shared->virtual = NULL;
}
