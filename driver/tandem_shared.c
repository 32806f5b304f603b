// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "tandem_bus.h"
#include "tandem_device.h"
#include "tandem_shared.h"

int tandem_shared_reserve(struct tandem_shared *shared, size_t size)
{
	*shared = (struct tandem_shared) {
		.virtual = __vmalloc(PAGE_ALIGN(size),
				     GFP_KERNEL_ACCOUNT | __GFP_ZERO |
				     __GFP_NOWARN),
	};
	return shared->virtual ? 0 : -ENOMEM;
}

int tandem_shared_map(struct tandem_device *tdev, struct tandem_shared *shared,
		      size_t size, enum dma_data_direction direction)
{
	unsigned long count = PAGE_ALIGN(size) >> PAGE_SHIFT;
	struct page **pages;
	unsigned long i;
	int ret;

	pages = kvmalloc_array(count, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		pages[i] = vmalloc_to_page(shared->virtual + (i << PAGE_SHIFT));
	ret = tdev->bus->map_pages(tdev->dev, pages, count, direction,
				   &shared->bus_address);
	shared->mapped = !ret;
	kvfree(pages);
	return ret;
}

int tandem_shared_alloc(struct tandem_device *tdev,
			struct tandem_shared *shared, size_t size,
			enum dma_data_direction direction)
{
	int ret;

	ret = tandem_shared_reserve(shared, size);
	if (ret)
		return ret;
	ret = tandem_shared_map(tdev, shared, size, direction);
	if (ret)
		tandem_shared_free(tdev, shared);
	return ret;
}

void tandem_shared_free(struct tandem_device *tdev,
			struct tandem_shared *shared)
{
	if (!shared->virtual)
		return;
	if (shared->mapped)
		tdev->bus->unmap(tdev->dev, shared->bus_address);
	shared->mapped = false;
	vfree(shared->virtual);
	shared->virtual = NULL;
}
