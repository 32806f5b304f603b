// SPDX-License-Identifier: GPL-2.0
#include <drm/drm_drv.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "tandem_device.h"
#include "tandem_memory.h"

/* How often memory is looked at that was freed while others held its pages. */
#define LINGER_INTERVAL	msecs_to_jiffies(200)

static int take_addresses(struct tandem_device *tdev,
			  struct tandem_memory *memory)
{
	u64 size = tandem_memory_size(memory);
	int ret;

	mutex_lock(&tdev->memory_lock);
	ret = drm_mm_insert_node_generic(&tdev->memory, &memory->node, size,
					 PAGE_SIZE, 0, DRM_MM_INSERT_BEST);
	mutex_unlock(&tdev->memory_lock);
	if (!ret)
		atomic64_add(size, &tdev->memory_used);
	return ret;
}

static void release_addresses(struct tandem_device *tdev,
			      struct tandem_memory *memory)
{
	mutex_lock(&tdev->memory_lock);
	drm_mm_remove_node(&memory->node);
	mutex_unlock(&tdev->memory_lock);
	atomic64_sub(tandem_memory_size(memory), &tdev->memory_used);
}

static void memory_destroy(struct tandem_memory *memory)
{
	tandem_pages_fini(&memory->pages);
	kfree(memory);
}

struct tandem_memory *tandem_memory_alloc(struct tandem_device *tdev, u64 size)
{
	struct tandem_memory *memory;
	int ret;

	memory = kzalloc(sizeof(*memory), GFP_KERNEL_ACCOUNT);
	if (!memory)
		return ERR_PTR(-ENOMEM);
	tandem_pages_init(&memory->pages, size >> PAGE_SHIFT);
	ret = take_addresses(tdev, memory);
	if (ret)
		goto destroy;
	ret = tdev->bus->memory_alloc(tdev->dev, memory->node.start,
				      &memory->pages);
	if (ret)
		goto release;
	return memory;

release:
	release_addresses(tdev, memory);
destroy:
	memory_destroy(memory);
	return ERR_PTR(ret);
}

/* False when it cannot go yet. */
static bool memory_give_back(struct tandem_device *tdev,
			     struct tandem_memory *memory)
{
	if (!tdev->bus->memory_free(tdev->dev, memory->node.start,
				    &memory->pages))
		return false;
	release_addresses(tdev, memory);
	memory_destroy(memory);
	return true;
}

/* Called under the lock. Work that is queued holds the device. */
static void linger(struct tandem_device *tdev, struct tandem_memory *memory)
{
	list_add_tail(&memory->link, &tdev->lingering);
	drm_dev_get(&tdev->drm);
	if (!queue_delayed_work(tandem_release_wq, &tdev->linger_work,
				LINGER_INTERVAL))
		drm_dev_put(&tdev->drm);
}

void tandem_memory_free(struct tandem_device *tdev,
			struct tandem_memory *memory)
{
	if (memory_give_back(tdev, memory))
		return;
	mutex_lock(&tdev->memory_lock);
	linger(tdev, memory);
	mutex_unlock(&tdev->memory_lock);
}

void tandem_memory_look_again(struct work_struct *work)
{
	struct tandem_device *tdev = container_of(to_delayed_work(work),
						  struct tandem_device,
						  linger_work);
	struct tandem_memory *memory, *next;
	LIST_HEAD(looked_at);

	mutex_lock(&tdev->memory_lock);
	list_splice_init(&tdev->lingering, &looked_at);
	mutex_unlock(&tdev->memory_lock);

	list_for_each_entry_safe(memory, next, &looked_at, link) {
		list_del(&memory->link);
		if (memory_give_back(tdev, memory))
			continue;
		mutex_lock(&tdev->memory_lock);
		linger(tdev, memory);
		mutex_unlock(&tdev->memory_lock);
	}
	drm_dev_put(&tdev->drm);
}
