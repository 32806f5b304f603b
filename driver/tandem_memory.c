// SPDX-License-Identifier: GPL-2.0
#include <drm/drm_drv.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "tandem_cgroup.h"
#include "tandem_device.h"
#include "tandem_file.h"
#include "tandem_memory.h"

/* How often memory is looked at that was freed while others held its pages. */
#define LINGER_INTERVAL	msecs_to_jiffies(200)

static void look_again(struct work_struct *work);

void tandem_memory_prepare(struct tandem_memory_pool *pool)
{
	mutex_init(&pool->lock);
	INIT_LIST_HEAD(&pool->lingering);
	INIT_DELAYED_WORK(&pool->linger_work, look_again);
}

int tandem_memory_start(struct tandem_device *tdev)
{
	const struct tandem_memory_layout *layout = &tdev->identity.memory;
	struct tandem_memory_pool *pool = &tdev->memory;
	struct dmem_cgroup_region *region;
	u32 i;

	pool->file_limit = tdev->memory_size;
	for (i = 0; i < layout->count; i++) {
		region = tandem_cgroup_register(dev_name(tdev->dev), i,
						layout->class[i].kind,
						layout->class[i].size);
		if (IS_ERR(region))
			return PTR_ERR(region);
		pool->region[i] = region;
		tandem_memory_class_init(&pool->class[i],
					 layout->class[i].start,
					 layout->class[i].size);
		pool->count++;
	}
	return 0;
}

void tandem_memory_fini(struct tandem_memory_pool *pool)
{
	u32 i;

	for (i = 0; i < pool->count; i++) {
		tandem_memory_class_fini(&pool->class[i]);
		tandem_cgroup_unregister(pool->region[i]);
	}
	mutex_destroy(&pool->lock);
}

/* Addresses of @class, if the file may have them. */
static int take_addresses(struct tandem_memory_pool *pool,
			  struct tandem_memory *memory, u32 class)
{
	struct tandem_file *file = memory->file;
	u64 limit = READ_ONCE(pool->file_limit);
	u64 size = tandem_memory_size(memory);
	u64 used;
	int ret;

	mutex_lock(&pool->lock);
	used = atomic64_read(&file->memory_used);
	if (used > limit || size > limit - used)
		/* No limit, but the end of the device. */
		ret = limit == file->tdev->memory_size ? -ENOSPC : -EDQUOT;
	else
		ret = tandem_memory_class_take(&pool->class[class],
					       &memory->node, size);
	if (!ret) {
		memory->class = class;
		atomic64_add(size, &file->memory_used);
		atomic64_add(size, &pool->used);
	}
	mutex_unlock(&pool->lock);
	return ret;
}

static void release_addresses(struct tandem_memory_pool *pool,
			      struct tandem_memory *memory)
{
	u64 size = tandem_memory_size(memory);

	mutex_lock(&pool->lock);
	tandem_memory_class_release(&pool->class[memory->class],
				    &memory->node);
	atomic64_sub(size, &memory->file->memory_used);
	atomic64_sub(size, &pool->used);
	mutex_unlock(&pool->lock);
	tandem_cgroup_uncharge(memory->charge, size);
}

static int take_of_class(struct tandem_memory_pool *pool,
			 struct tandem_memory *memory, u32 class)
{
	u64 size = tandem_memory_size(memory);
	int ret;

	ret = tandem_cgroup_charge(pool->region[class], size, &memory->charge);
	if (ret)
		return ret;
	ret = take_addresses(pool, memory, class);
	if (ret)
		tandem_cgroup_uncharge(memory->charge, size);
	return ret;
}

static int take(struct tandem_memory_pool *pool, struct tandem_memory *memory,
		u32 class)
{
	int ret = -ENOSPC;
	u32 i;

	if (class != TANDEM_MEMORY_ANY_CLASS)
		return take_of_class(pool, memory, class);
	for (i = 0; i < pool->count; i++) {
		ret = take_of_class(pool, memory, i);
		if (ret != -ENOSPC && ret != -EDQUOT)
			break;
	}
	return ret;
}

static void memory_destroy(struct tandem_memory *memory)
{
	tandem_pages_fini(&memory->pages);
	tandem_file_put(memory->file);
	kfree(memory);
}

struct tandem_memory *tandem_memory_alloc(struct tandem_file *file, u64 size,
					  u32 class)
{
	struct tandem_device *tdev = file->tdev;
	struct tandem_memory *memory;
	int ret;

	memory = kzalloc(sizeof(*memory), GFP_KERNEL_ACCOUNT);
	if (!memory)
		return ERR_PTR(-ENOMEM);
	tandem_pages_init(&memory->pages, size >> PAGE_SHIFT);
	kref_get(&file->ref);
	memory->file = file;
	ret = take(&tdev->memory, memory, class);
	if (ret)
		goto destroy;
	ret = tdev->bus->memory_alloc(tdev->dev, memory->node.start,
				      &memory->pages);
	if (ret)
		goto release;
	return memory;

release:
	release_addresses(&tdev->memory, memory);
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
	release_addresses(&tdev->memory, memory);
	memory_destroy(memory);
	return true;
}

/* Called under the lock. Work that is queued holds the device. */
static void linger(struct tandem_device *tdev, struct tandem_memory *memory)
{
	list_add_tail(&memory->link, &tdev->memory.lingering);
	drm_dev_get(&tdev->drm);
	if (!queue_delayed_work(tandem_release_wq, &tdev->memory.linger_work,
				LINGER_INTERVAL))
		drm_dev_put(&tdev->drm);
}

void tandem_memory_free(struct tandem_device *tdev,
			struct tandem_memory *memory)
{
	if (memory_give_back(tdev, memory))
		return;
	mutex_lock(&tdev->memory.lock);
	linger(tdev, memory);
	mutex_unlock(&tdev->memory.lock);
}

/* Some of what lingers may be given out by now. */
static void look_again(struct work_struct *work)
{
	struct tandem_device *tdev = container_of(to_delayed_work(work),
						  struct tandem_device,
						  memory.linger_work);
	struct tandem_memory *memory, *next;
	LIST_HEAD(looked_at);

	mutex_lock(&tdev->memory.lock);
	list_splice_init(&tdev->memory.lingering, &looked_at);
	mutex_unlock(&tdev->memory.lock);

	list_for_each_entry_safe(memory, next, &looked_at, link) {
		list_del(&memory->link);
		if (memory_give_back(tdev, memory))
			continue;
		mutex_lock(&tdev->memory.lock);
		linger(tdev, memory);
		mutex_unlock(&tdev->memory.lock);
	}
	drm_dev_put(&tdev->drm);
}
