// SPDX-License-Identifier: GPL-2.0
#include <drm/drm_debugfs.h>
#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <linux/idr.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/seq_file.h>

#include "tandem_admin.h"
#include "tandem_context.h"
#include "tandem_device.h"
#include "tandem_engine.h"
#include "tandem_file.h"
#include "tandem_gem.h"
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
		spin_lock_irq(&engine->class->lock);
		show_ring(m, engine->kind == TANDEM_HW_QUEUE_COMPUTE ?
			     "compute" : "copy", &engine->ring, engine->stats.failed);
		spin_unlock_irq(&engine->class->lock);
	}
	return 0;
}

static void show_owner(struct seq_file *m, struct drm_file *filp)
{
	struct task_struct *task;
	struct pid *pid;

	rcu_read_lock();
	pid = rcu_dereference(filp->pid);
	task = pid_task(pid, PIDTYPE_TGID);
	seq_printf(m, "client=%llu pid=%d comm=", filp->client_id,
		   pid_vnr(pid));
	/* The name is whatever the process wants it to be. */
	seq_escape(m, task ? task->comm : "", " \t\n\\");
	rcu_read_unlock();
	seq_putc(m, '\n');
}

static void show_context(struct seq_file *m, struct tandem_context *context)
{
	u32 regions;
	u64 mapped;

	tandem_context_get_usage(context, &regions, &mapped);
	seq_printf(m, "  context=%u queues=%d regions=%u mapped=%llu\n",
		   context->index, atomic_read(&context->queues), regions,
		   mapped);
}

static void show_contexts_of(struct seq_file *m, struct tandem_file *file)
{
	struct tandem_context *context;
	unsigned long id = 0;

	while ((context = tandem_context_next(file, &id))) {
		show_context(m, context);
		tandem_context_put(context);
	}
}

static int contexts_show(struct seq_file *m, void *unused)
{
	struct drm_device *drm = &device_of(m)->drm;
	struct drm_file *filp;

	mutex_lock(&drm->filelist_mutex);
	list_for_each_entry(filp, &drm->filelist, lhead) {
		show_owner(m, filp);
		show_contexts_of(m, filp->driver_priv);
	}
	mutex_unlock(&drm->filelist_mutex);
	return 0;
}

/* The next object from handle *@handle on, with a reference, or NULL. */
static struct drm_gem_object *next_object(struct drm_file *filp, int *handle)
{
	struct drm_gem_object *object;

	spin_lock(&filp->table_lock);
	object = idr_get_next(&filp->object_idr, handle);
	if (object)
		drm_gem_object_get(object);
	spin_unlock(&filp->table_lock);
	return object;
}

static void show_objects_of(struct seq_file *m, struct drm_file *filp)
{
	struct drm_gem_object *object;
	int handle = 0;

	while ((object = next_object(filp, &handle))) {
		seq_printf(m, "  handle=%d address=%#llx size=%zu handles=%u %s\n",
			   handle, tandem_gem_address(object), object->size,
			   READ_ONCE(object->handle_count),
			   tandem_gem_is_host(object) ? "imported" : "device");
		drm_gem_object_put(object);
		handle++;
	}
}

static int objects_show(struct seq_file *m, void *unused)
{
	struct tandem_device *tdev = device_of(m);
	struct tandem_memory_pool *pool = &tdev->memory;
	struct drm_device *drm = &tdev->drm;
	struct drm_mm_node *node;
	struct drm_file *filp;
	u32 i;

	seq_printf(m, "objects=%d memory_used=%lld memory_size=%llu\n",
		   atomic_read(&tdev->objects), atomic64_read(&pool->used),
		   tdev->memory_size);
	mutex_lock(&drm->filelist_mutex);
	list_for_each_entry(filp, &drm->filelist, lhead) {
		show_owner(m, filp);
		show_objects_of(m, filp);
	}
	mutex_unlock(&drm->filelist_mutex);
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
