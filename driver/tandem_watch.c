// SPDX-License-Identifier: GPL-2.0
#include <linux/jiffies.h>
#include <linux/workqueue.h>

#include "tandem_admin.h"
#include "tandem_device.h"
#include "tandem_engine.h"
#include "tandem_register.h"
#include "tandem_reset.h"
#include "tandem_watch.h"

/* How often the watch comes by. */
#define WATCH_INTERVAL	msecs_to_jiffies(250)

/* What is wrong with the device, or NONE. */
static enum tandem_reset_reason examine(struct tandem_device *tdev)
{
	u32 heartbeat = tandem_read32(tdev, TANDEM_REG_HEARTBEAT);
	u32 state = tandem_read32(tdev, TANDEM_REG_STATUS);
	bool stopped = state != TANDEM_HW_STATE_RUNNING;
	u32 i;

	if (state == TANDEM_HW_STATE_FATAL)
		return TANDEM_RESET_FATAL;
	/* Firmware that is ended stops first: leave it the time to go. */
	if (stopped && tdev->watch.stopped)
		return TANDEM_RESET_STOPPED;
	tdev->watch.stopped = stopped;
	/*
	 * Looks are counted, not time: when the whole machine stood still, the
	 * device is not to blame.
	 */
	if (heartbeat != tdev->watch.heartbeat) {
		tdev->watch.heartbeat = heartbeat;
		tdev->watch.silent_looks = 0;
	} else if (++tdev->watch.silent_looks * WATCH_INTERVAL >
		   tandem_heartbeat_timeout()) {
		return TANDEM_RESET_HEARTBEAT;
	}
	tandem_admin_poll(tdev);
	for (i = 0; i < TANDEM_ENGINES_MAX; i++)
		tandem_engine_poll(&tdev->engines[i]);
	if (tandem_admin_overdue(tdev))
		return TANDEM_RESET_ADMIN;
	if (tandem_admin_has_refused(tdev))
		return TANDEM_RESET_REFUSED;
	for (i = 0; i < TANDEM_ENGINES_MAX; i++) {
		if (!tandem_engine_watch(&tdev->engines[i]))
			return TANDEM_RESET_ABORT;
	}
	return TANDEM_RESET_NONE;
}

static void watch(struct work_struct *work)
{
	struct tandem_device *tdev = container_of(to_delayed_work(work),
						  struct tandem_device,
						  watch.work);
	enum tandem_reset_reason fault;
	u32 i;

	if (tandem_device_is_dead(tdev))
		return;
	fault = examine(tdev);
	/* A removal by surprise is told of by the bus. */
	if (fault != TANDEM_RESET_NONE && !tdev->bus->is_gone(tdev->dev)) {
		tandem_reset_request(tdev, fault);
		return;
	}
	for (i = 0; i < ARRAY_SIZE(tdev->classes); i++)
		tandem_engine_class_rest(&tdev->classes[i]);
	schedule_delayed_work(&tdev->watch.work, WATCH_INTERVAL);
}

void tandem_watch_start(struct tandem_device *tdev)
{
	tdev->watch.heartbeat = tandem_read32(tdev, TANDEM_REG_HEARTBEAT);
	tdev->watch.silent_looks = 0;
	tdev->watch.stopped = false;
	schedule_delayed_work(&tdev->watch.work, WATCH_INTERVAL);
}

void tandem_watch_stop(struct tandem_device *tdev)
{
	cancel_delayed_work_sync(&tdev->watch.work);
}

void tandem_watch_prepare(struct tandem_watch *w)
{
	INIT_DELAYED_WORK(&w->work, watch);
}
