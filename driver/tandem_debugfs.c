// SPDX-License-Identifier: GPL-2.0
#include <drm/drm_debugfs.h>
#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <linux/idr.h>
#include <linux/ktime.h>
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
#include "tandem_job.h"
#include "tandem_log.h"
#include "tandem_power.h"
#include "tandem_queue.h"
#include "tandem_stats.h"

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
			   tandem_gem_kind(object));
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

static void show_times(struct seq_file *m, const struct tandem_engine *engine,
		       const char *what, const struct tandem_histogram *times)
{
	seq_printf(m, "%-6u %-7s %-8s %10llu %14llu %14llu %14llu\n",
		   tandem_engine_number(engine),
		   engine->kind == TANDEM_HW_QUEUE_COMPUTE ? "compute" : "copy",
		   what, tandem_histogram_total(times),
		   tandem_histogram_percentile(times, 50),
		   tandem_histogram_percentile(times, 90),
		   tandem_histogram_percentile(times, 99));
}

static void show_buckets(struct seq_file *m, const struct tandem_engine *engine)
{
	char name[32];

	snprintf(name, sizeof(name), "%u latency",
		 tandem_engine_number(engine));
	tandem_histogram_show(m, name, &engine->stats.latency);
	snprintf(name, sizeof(name), "%u duration",
		 tandem_engine_number(engine));
	tandem_histogram_show(m, name, &engine->stats.duration);
}

static int latency_show(struct seq_file *m, void *unused)
{
	struct tandem_device *tdev = device_of(m);
	struct tandem_engine *engine;
	u32 i;

	seq_puts(m, "engine kind    what          count   p50_below_ns   p90_below_ns   p99_below_ns\n");
	for (i = 0; i < tdev->engine_count; i++) {
		engine = &tdev->engines[i];
		spin_lock_irq(&engine->class->lock);
		show_times(m, engine, "latency", &engine->stats.latency);
		show_times(m, engine, "duration", &engine->stats.duration);
		spin_unlock_irq(&engine->class->lock);
	}
	for (i = 0; i < tdev->engine_count; i++) {
		engine = &tdev->engines[i];
		spin_lock_irq(&engine->class->lock);
		show_buckets(m, engine);
		spin_unlock_irq(&engine->class->lock);
	}
	return 0;
}

static const char *state_of(const struct tandem_job *job)
{
	if (job->state == TANDEM_JOB_WAITING)
		return job->blocked ? "blocked" : "waiting";
	if (job->timed_out)
		return "timed-out";
	return job->aborting ? "aborting" : "running";
}

static void show_job(struct seq_file *m, const struct tandem_job *job)
{
	const struct tandem_context *context = job->queue->context;

	seq_printf(m, "job=%llu context=%u queue=%u op=%s state=%s engine=%u age_us=%lld cookie=%#llx pid=%d comm=",
		   job->id, context->index, job->queue->id,
		   tandem_job_operation(job), state_of(job),
		   tandem_engine_number(job->engine),
		   ktime_us_delta(ktime_get(), job->submitted), job->cookie,
		   context->pid);
	seq_escape(m, context->comm, " \t\n\\");
	seq_putc(m, '\n');
}

/* So many of each kind of engines that interrupts are not off for long. */
#define JOBS_SHOWN_MAX	512

/* The lock of the class is held. */
static void show_waiting(struct seq_file *m, struct tandem_engine_class *class,
			 u32 left)
{
	struct tandem_queue *queue;
	struct tandem_job *job;
	u64 more = 0;

	list_for_each_entry(queue, &class->queues, class_link) {
		list_for_each_entry(job, &queue->waiting, link) {
			if (!left) {
				more++;
				continue;
			}
			show_job(m, job);
			left--;
		}
	}
	if (more)
		seq_printf(m, "and %llu more that wait\n", more);
}

static void show_jobs_of(struct seq_file *m, struct tandem_engine_class *class)
{
	u32 left = JOBS_SHOWN_MAX, i;
	struct tandem_job *job;

	spin_lock_irq(&class->lock);
	for (i = 0; i < class->engine_count; i++) {
		list_for_each_entry(job, &class->engines[i]->in_flight,
				    flight_link) {
			if (!left)
				break;
			show_job(m, job);
			left--;
		}
	}
	show_waiting(m, class, left);
	spin_unlock_irq(&class->lock);
}

static int jobs_show(struct seq_file *m, void *unused)
{
	struct tandem_device *tdev = device_of(m);
	u32 i;

	for (i = 0; i < ARRAY_SIZE(tdev->classes); i++)
		show_jobs_of(m, &tdev->classes[i]);
	return 0;
}

static const struct drm_debugfs_info files[] = {
	{ "queues", queues_show },
	{ "jobs", jobs_show },
	{ "latency", latency_show },
	{ "contexts", contexts_show },
	{ "objects", objects_show },
	{ "firmware_log", firmware_log_show },
};

void tandem_debugfs_init(struct tandem_device *tdev)
{
	drm_debugfs_add_files(&tdev->drm, files, ARRAY_SIZE(files));
}
