// SPDX-License-Identifier: GPL-2.0
#include <drm/drm_debugfs.h>
#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <linux/idr.h>
#include <linux/mm.h>
#include <linux/seq_file.h>

#include "tandem_admin.h"
#include "tandem_device.h"
#include "tandem_engine.h"
#include "tandem_log.h"
#include "tandem_power.h"

static struct tandem_device *device_of(struct seq_file *m)
{
	struct drm_debugfs_entry *entry = m->private;

	return to_tandem_device(entry->dev);
}

static void show_ring(struct seq_file *m, const char *kind,
		      const struct tandem_ring *ring, u64 errors)
{
	seq_printf(m, "%u %s entries=%u head=%u tail=%u in_flight=%u completed=%llu stale=%llu spurious=%llu missed=%llu errors=%llu\n",
		   ring->queue, kind, ring->entries, ring->sq_head,
		   ring->sq_tail, ring->sq_tail - ring->sq_head,
		   ring->completed, ring->stale, ring->spurious, ring->missed,
		   errors);
}

static int queues_show(struct seq_file *m, void *unused)
{
	struct tandem_device *tdev = device_of(m);
	struct tandem_engine *engine;
	u32 i;

	spin_lock_irq(&tdev->admin.lock);
	show_ring(m, "admin", &tdev->admin.ring, 0);
	spin_unlock_irq(&tdev->admin.lock);
	for (i = 0; i < tdev->engine_count; i++) {
		engine = &tdev->engines[i];
		spin_lock_irq(&engine->lock);
		show_ring(m, engine->kind == TANDEM_HW_QUEUE_COMPUTE ?
			     "compute" : "copy", &engine->ring, engine->stats.failed);
		spin_unlock_irq(&engine->lock);
	}
	return 0;
}

static int contexts_show(struct seq_file *m, void *unused)
{
	struct tandem_device *tdev = device_of(m);
	const struct tandem_hw_context *table = tdev->context_table.virtual;
	u32 i;

	for (i = 0; i < TANDEM_CONTEXTS_MAX; i++) {
		if (table[i].flags & cpu_to_le32(TANDEM_HW_CONTEXT_VALID))
			seq_printf(m, "%u regions=%#llx entries=%u\n", i,
				   le64_to_cpu(table[i].regions),
				   le32_to_cpu(table[i].region_count));
	}
	return 0;
}

static int objects_show(struct seq_file *m, void *unused)
{
	struct tandem_device *tdev = device_of(m);
	struct tandem_memory_pool *pool = &tdev->memory;
	struct drm_mm_node *node;
	u32 i;

	seq_printf(m, "objects=%d memory_used=%lld memory_size=%llu\n",
		   atomic_read(&tdev->objects), atomic64_read(&pool->used),
		   tdev->memory_size);
	mutex_lock(&pool->lock);
	for (i = 0; i < pool->count; i++) {
		drm_mm_for_each_node(node, &pool->class[i].addresses)
			seq_printf(m, "%#llx %llu\n", node->start, node->size);
	}
	mutex_unlock(&pool->lock);
	return 0;
}

static int firmware_log_show(struct seq_file *m, void *unused)
{
	struct tandem_device *tdev = device_of(m);
	ssize_t length;
	char *text;
	int cookie;

	if (!drm_dev_enter(&tdev->drm, &cookie))
		return -ENODEV;
	length = tandem_power_get(tdev);
	if (length < 0)
		goto exit;
	length = tandem_log_read(tdev, &text);
	tandem_power_release(tdev);
exit:
	drm_dev_exit(cookie);
	if (length < 0)
		return length;
	seq_write(m, text, length);
	kvfree(text);
	return 0;
}

static const struct drm_debugfs_info files[] = {
	{ "queues", queues_show },
	{ "contexts", contexts_show },
	{ "objects", objects_show },
	{ "firmware_log", firmware_log_show },
};

void tandem_debugfs_init(struct tandem_device *tdev)
{
	drm_debugfs_add_files(&tdev->drm, files, ARRAY_SIZE(files));
}
