// SPDX-License-Identifier: GPL-2.0
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_print.h>
#include <linux/bitmap.h>
#include <linux/xarray.h>

#include "tandem_compat.h"
#include "tandem_context.h"
#include "tandem_device.h"
#include "tandem_fdinfo.h"
#include "tandem_file.h"
#include "tandem_gem.h"
#include "tandem_queue.h"

/* Regions are kinds of device memory, and then all host memory. */
#define REGION_HOST	(TANDEM_HW_MEMORY_SRAM + 1)
#define REGIONS		(REGION_HOST + 1)

static const char *region_name(u32 region)
{
	/* The name that the format has for memory of the system. */
	return region == REGION_HOST ? "memory" :
				       tandem_memory_kind_name(region);
}

static u32 region_of(const struct tandem_device *tdev,
		     const struct drm_gem_object *object)
{
	if (tandem_gem_is_host(object))
		return REGION_HOST;
	return tdev->identity.memory.class[tandem_gem_class(object)].kind;
}

static void show_engine(struct drm_printer *p, const char *name, u64 ns,
			u32 capacity)
{
	if (!capacity)
		return;
	drm_printf(p, "drm-engine-%s:\t%llu ns\n", name, ns);
	if (capacity > 1)
		drm_printf(p, "drm-engine-capacity-%s:\t%u\n", name, capacity);
}

/*
 * Marks the objects of a context's regions. Only the addresses are kept: an
 * object that goes meanwhile is in no table of handles either.
 */
static void mark_objects(struct tandem_context *context, struct xarray *marks)
{
	struct drm_gem_object *object;
	u32 i;

	for (i = 0; i < TANDEM_REGIONS_MAX; i++) {
		object = tandem_context_region_object(context, i);
		if (!object)
			continue;
		/* One that is not marked for lack of memory is shown as idle. */
		xa_store(marks, (unsigned long)object, xa_mk_value(1),
			 GFP_KERNEL);
		drm_gem_object_put(object);
	}
}

/* Commands reach what their context has mapped, and programs any of it. */
static void mark_active(struct tandem_file *file, struct xarray *marks)
{
	DECLARE_BITMAP(seen, TANDEM_CONTEXTS_MAX) = {};
	struct tandem_queue *queue;
	unsigned long id = 0;

	while ((queue = tandem_queue_next(file, &id))) {
		if (tandem_queue_has_jobs(queue) &&
		    !__test_and_set_bit(queue->context->index, seen))
			mark_objects(queue->context, marks);
		tandem_queue_put(queue);
	}
}

static void count_object(struct drm_memory_stats *stats,
			 struct drm_gem_object *object, bool host, bool active)
{
	if (drm_gem_object_is_shared_for_memory_stats(object))
		stats->shared += object->size;
	else
		stats->private += object->size;
	/* Host memory counts for its exporter, or its process, already. */
	if (!host)
		stats->resident += object->size;
	if (active)
		stats->active += object->size;
}

static void show_memory(struct drm_printer *p, struct tandem_device *tdev,
			struct drm_file *filp, struct xarray *marks)
{
	struct drm_memory_stats stats[REGIONS] = {};
	bool exists[REGIONS] = { [REGION_HOST] = true };
	struct drm_gem_object *object;
	u32 region, i;
	int handle;

	spin_lock(&filp->table_lock);
	idr_for_each_entry(&filp->object_idr, object, handle) {
		region = region_of(tdev, object);
		count_object(&stats[region], object, region == REGION_HOST,
			     xa_load(marks, (unsigned long)object));
	}
	spin_unlock(&filp->table_lock);

	for (i = 0; i < tdev->identity.memory.count; i++)
		exists[tdev->identity.memory.class[i].kind] = true;
	for (region = 0; region < REGIONS; region++) {
		if (exists[region])
			drm_print_memory_stats(p, &stats[region],
					       TANDEM_MEMORY_STATS,
					       region_name(region));
	}
}

void tandem_fdinfo_show(struct drm_printer *p, struct drm_file *filp)
{
	struct tandem_file *file = filp->driver_priv;
	struct tandem_device *tdev = file->tdev;
	struct xarray marks;

	show_engine(p, "copy",
		    atomic64_read(&file->engine_ns[TANDEM_HW_QUEUE_COPY]),
		    tdev->identity.copy_queues);
	show_engine(p, "compute",
		    atomic64_read(&file->engine_ns[TANDEM_HW_QUEUE_COMPUTE]),
		    tdev->identity.compute_queues);
	xa_init(&marks);
	mark_active(file, &marks);
	show_memory(p, tdev, filp, &marks);
	xa_destroy(&marks);
}
