// SPDX-License-Identifier: GPL-2.0
#include <drm/drm_drv.h>
#include <drm/drm_managed.h>
#include <linux/dev_printk.h>
#include <linux/jiffies.h>
#include <linux/nospec.h>
#include <linux/poll.h>

#include "tandem_admin.h"
#include "tandem_boot.h"
#include "tandem_device.h"
#include "tandem_engine.h"
#include "tandem_hw.h"
#include "tandem_memory.h"
#include "tandem_trace.h"
#include "tandem_watch.h"

/* True for the one call that did it. Does not sleep. */
static bool mark_dead(struct tandem_device *tdev)
{
	bool first = !xchg(&tdev->dead, true);
	u32 i;

	wake_up_all(&tdev->state_wait);
	for (i = 0; i < TANDEM_ENGINES_MAX; i++)
		tandem_engine_stop(&tdev->engines[i]);
	tandem_admin_stop(tdev);
	wake_up_all(&tdev->retired_wait);
	wake_up_poll(&tdev->dead_wait, EPOLLHUP | EPOLLERR);
	return first;
}

void tandem_device_fail(struct tandem_device *tdev, const char *reason)
{
	if (!mark_dead(tdev))
		return;
	dev_err(tdev->dev, "%s: the device is out of service; restart its firmware\n",
		reason);
	schedule_work(&tdev->fail_work);
}

void tandem_device_retire_begin(struct tandem_device *tdev)
{
	atomic_inc(&tdev->retiring);
}

void tandem_device_retire_end(struct tandem_device *tdev)
{
	if (atomic_dec_and_test(&tdev->retiring))
		wake_up_all(&tdev->retired_wait);
}

bool tandem_device_wait_retired(struct tandem_device *tdev)
{
	if (!atomic_read(&tdev->retiring))
		return false;
	wait_event_killable_timeout(tdev->retired_wait,
				    !atomic_read(&tdev->retiring) ||
				    tandem_device_is_dead(tdev),
				    tandem_admin_timeout());
	return true;
}

static void device_unplug(struct tandem_device *tdev)
{
	mutex_lock(&tdev->unplug_lock);
	if (tdev->registered) {
		tdev->registered = false;
		drm_dev_unplug(&tdev->drm);
	}
	mutex_unlock(&tdev->unplug_lock);
}

void tandem_device_tell(struct tandem_device *tdev, const char *event,
			const char *reason)
{
	char event_variable[32], reason_variable[32], resets_variable[32];
	char *variables[4] = { event_variable, reason_variable, resets_variable,
			       NULL };

	snprintf(event_variable, sizeof(event_variable), "TANDEM_EVENT=%s",
		 event);
	snprintf(reason_variable, sizeof(reason_variable), "TANDEM_REASON=%s",
		 reason);
	snprintf(resets_variable, sizeof(resets_variable), "TANDEM_RESETS=%d",
		 atomic_read(&tdev->reset.count));
	kobject_uevent_env(&tdev->dev->kobj, KOBJ_CHANGE, variables);
}

static void device_unplug_failed(struct work_struct *work)
{
	struct tandem_device *tdev =
		container_of(work, struct tandem_device, fail_work);

	tandem_device_tell(tdev, "failed", "out-of-service");
	device_unplug(tdev);
}

/* With the DRM device's last reference. */
static void release_tables(struct drm_device *drm, void *unused)
{
	struct tandem_device *tdev = to_tandem_device(drm);

	tandem_shared_free(tdev, &tdev->context_table);
	tandem_coredump_release(&tdev->coredump);
	ida_destroy(&tdev->context_ids);
	tandem_memory_fini(&tdev->memory);
	tandem_accounts_fini(&tdev->accounts);
	mutex_destroy(&tdev->power.lock);
	mutex_destroy(&tdev->unplug_lock);
}

static struct tandem_device *device_alloc(struct device *dev,
					  const struct tandem_bus_ops *bus,
					  u32 queues, u64 memory_size)
{
	struct tandem_device *tdev;
	u32 i;
	int ret;

	tdev = devm_drm_dev_alloc(dev, &tandem_drm_driver, struct tandem_device,
				  drm);
	if (IS_ERR(tdev))
		return tdev;
	tdev->dev = dev;
	tdev->bus = bus;
	tdev->bus_queues = queues;
	tdev->memory_size = memory_size;
	tandem_admin_prepare(&tdev->admin);
	for (i = 0; i < ARRAY_SIZE(tdev->classes); i++)
		tandem_engine_class_prepare(&tdev->classes[i], i);
	for (i = 0; i < TANDEM_ENGINES_MAX; i++)
		tandem_engine_prepare(&tdev->engines[i], tdev, i);
	init_waitqueue_head(&tdev->state_wait);
	init_waitqueue_head(&tdev->dead_wait);
	init_waitqueue_head(&tdev->retired_wait);
	ida_init(&tdev->context_ids);
	tandem_accounts_init(&tdev->accounts);
	tandem_memory_prepare(&tdev->memory);
	mutex_init(&tdev->unplug_lock);
	INIT_WORK(&tdev->fail_work, device_unplug_failed);
	mutex_init(&tdev->power.lock);
	tandem_reset_prepare(&tdev->reset);
	tandem_coredump_prepare(&tdev->coredump);
	tandem_watch_prepare(&tdev->watch);

	ret = drmm_add_action_or_reset(&tdev->drm, release_tables, NULL);
	return ret ? ERR_PTR(ret) : tdev;
}

static void device_stop(struct tandem_device *tdev)
{
	u32 i;

	mark_dead(tdev);
	tandem_reset_cancel(tdev);
	tandem_watch_stop(tdev);
	tandem_coredump_flush(tdev);
	cancel_work_sync(&tdev->fail_work);
	device_unplug(tdev);
	/* If it does not answer: what it could reach is unmapped anyway. */
	tandem_boot_disable(tdev);
	for (i = 0; i < TANDEM_ENGINES_MAX; i++)
		tandem_engine_fini(&tdev->engines[i]);
	tandem_admin_fini(tdev);
	tandem_power_disable(tdev);
}

static int device_start(struct tandem_device *tdev)
{
	int ret;

	ret = tandem_shared_alloc(tdev, &tdev->context_table,
				  TANDEM_CONTEXTS_MAX *
				  sizeof(struct tandem_hw_context),
				  DMA_TO_DEVICE);
	if (ret)
		return ret;
	ret = tandem_admin_init(tdev);
	if (ret)
		return ret;
	mutex_lock(&tdev->power.lock);
	ret = tandem_power_start(tdev);
	mutex_unlock(&tdev->power.lock);
	if (ret)
		return ret;
	ret = tandem_memory_start(tdev);
	if (ret)
		return ret;
	tandem_debugfs_init(tdev);

	mutex_lock(&tdev->unplug_lock);
	ret = tandem_device_is_dead(tdev) ? -ENODEV :
					    drm_dev_register(&tdev->drm, 0);
	tdev->registered = !ret;
	mutex_unlock(&tdev->unplug_lock);
	if (!ret)
		tandem_power_enable(tdev);
	return ret;
}

int tandem_device_probe(struct device *dev, const struct tandem_bus_ops *bus,
			u32 queues, u64 memory_size)
{
	struct tandem_device *tdev;
	int ret;

	tdev = device_alloc(dev, bus, queues, memory_size);
	if (IS_ERR(tdev))
		return PTR_ERR(tdev);
	/* Interrupts find the device from here on, and have to find it ready. */
	smp_wmb();
	dev_set_drvdata(dev, tdev);
	/* Either this sees that it is gone, or tandem_device_gone() sees it. */
	smp_mb();
	ret = bus->is_gone(dev) ? -ENODEV : device_start(tdev);
	if (ret) {
		device_stop(tdev);
		if (!bus->is_gone(dev))
			dev_err(dev, "cannot start the device: error %d\n",
				ret);
		return ret;
	}
	dev_info(dev, "%s, firmware %s, %llu MiB, %u compute and %u copy queues\n",
		 tdev->identity.profile, tdev->identity.firmware_version,
		 memory_size >> 20, tdev->identity.compute_queues,
		 tdev->identity.copy_queues);
	return 0;
}

void tandem_device_remove(struct device *dev)
{
	struct tandem_device *tdev = dev_get_drvdata(dev);

	device_stop(tdev);
	dev_info(dev, "removed\n");
}

void tandem_device_gone(struct device *dev)
{
	struct tandem_device *tdev = dev_get_drvdata(dev);

	if (tdev)
		mark_dead(tdev);
}

void tandem_device_interrupt(struct device *dev, u32 vector)
{
	struct tandem_device *tdev = dev_get_drvdata(dev);

	if (!tdev)
		return;
	trace_tandem_interrupt(tdev, vector);
	if (!vector) {
		tandem_admin_interrupt(tdev);
		wake_up_all(&tdev->state_wait);
	} else if (vector <= TANDEM_ENGINES_MAX) {
		vector = array_index_nospec(vector - 1, TANDEM_ENGINES_MAX);
		tandem_engine_interrupt(&tdev->engines[vector]);
	}
}
