// SPDX-License-Identifier: GPL-2.0
#include <linux/dev_printk.h>
#include <linux/jiffies.h>
#include <linux/pm_runtime.h>

#include "tandem_admin.h"
#include "tandem_boot.h"
#include "tandem_device.h"
#include "tandem_engine.h"
#include "tandem_power.h"
#include "tandem_reset.h"
#include "tandem_watch.h"

/* How long a device idles before it is suspended, unless someone says else. */
#define AUTOSUSPEND_DELAY_MS	5000

int tandem_power_start(struct tandem_device *tdev)
{
	struct tandem_power *power = &tdev->power;
	u32 epoch, i;
	int ret;

	lockdep_assert_held(&power->lock);
	WRITE_ONCE(power->starting, true);
	ret = tandem_boot_enable(tdev, &epoch);
	if (ret)
		goto started;
	tandem_watch_start(tdev);
	if (!tdev->engine_count)
		ret = tandem_boot_discover(tdev);
	for (i = 0; !ret && i < tdev->engine_count; i++)
		ret = tandem_engine_create(&tdev->engines[i], epoch);
started:
	WRITE_ONCE(power->starting, false);
	if (ret)
		return ret;
	power->up = true;
	for (i = 0; i < tdev->engine_count; i++)
		tandem_engine_up(&tdev->engines[i]);
	return 0;
}

static void pause_engines(struct tandem_device *tdev)
{
	u32 i;

	for (i = 0; i < tdev->engine_count; i++)
		tandem_engine_pause(&tdev->engines[i]);
}

/* After a pause. */
static void resume_engines(struct tandem_device *tdev)
{
	u32 i;

	for (i = 0; i < tdev->engine_count; i++)
		tandem_engine_up(&tdev->engines[i]);
}

int tandem_power_stop(struct tandem_device *tdev,
		      enum tandem_reset_reason reason)
{
	struct tandem_power *power = &tdev->power;
	int ret;
	u32 i;

	lockdep_assert_held(&power->lock);
	tandem_watch_stop(tdev);
	pause_engines(tdev);
	tandem_admin_pause(tdev);
	power->up = false;
	ret = tandem_boot_disable(tdev);
	if (ret)
		return ret;
	/* What it has completed to the last counts. */
	tandem_admin_interrupt(tdev);
	for (i = 0; i < tdev->engine_count; i++) {
		tandem_engine_interrupt(&tdev->engines[i]);
		tandem_engine_down(&tdev->engines[i], reason);
	}
	tandem_admin_down(tdev);
	return 0;
}

static bool is_drained(struct tandem_device *tdev)
{
	u32 i;

	for (i = 0; i < tdev->engine_count; i++) {
		if (!tandem_engine_is_drained(&tdev->engines[i]))
			return false;
	}
	return tandem_admin_is_idle(tdev);
}

/* Stops the device if it gets done with all it has in time, else -EBUSY. */
static int drain_and_stop(struct tandem_device *tdev, unsigned long timeout)
{
	int ret;

	pause_engines(tdev);
	wait_event_timeout(tdev->state_wait,
			   is_drained(tdev) || tandem_device_is_dead(tdev) ||
			   tandem_reset_is_due(tdev), timeout);
	if (tandem_device_is_dead(tdev))
		return 0;
	if (tandem_reset_is_due(tdev) || !is_drained(tdev)) {
		resume_engines(tdev);
		return -EBUSY;
	}
	ret = tandem_power_stop(tdev, TANDEM_RESET_NONE);
	if (ret)
		tandem_device_fail(tdev, "it cannot be stopped");
	return 0;
}

static int start_again(struct tandem_device *tdev)
{
	int ret;

	if (tandem_device_is_dead(tdev) || tdev->power.up)
		return 0;
	ret = tandem_power_start(tdev);
	if (ret)
		tandem_device_fail(tdev, "it does not start again");
	return ret;
}

static int runtime_suspend(struct device *dev)
{
	struct tandem_device *tdev = dev_get_drvdata(dev);
	struct tandem_power *power = &tdev->power;
	int ret = 0;

	mutex_lock(&power->lock);
	if (power->up && !tandem_device_is_dead(tdev))
		ret = drain_and_stop(tdev, 0);
	power->idle = !ret;
	mutex_unlock(&power->lock);
	/* For it to be tried again. */
	if (ret)
		pm_runtime_mark_last_busy(dev);
	return ret;
}

static int runtime_resume(struct device *dev)
{
	struct tandem_device *tdev = dev_get_drvdata(dev);
	struct tandem_power *power = &tdev->power;
	int ret = 0;

	mutex_lock(&power->lock);
	power->idle = false;
	/* Otherwise with the system. */
	if (!power->asleep)
		ret = start_again(tdev);
	mutex_unlock(&power->lock);
	return ret;
}

int tandem_device_suspend(struct device *dev)
{
	struct tandem_device *tdev = dev_get_drvdata(dev);
	struct tandem_power *power = &tdev->power;
	int ret = 0;

	mutex_lock(&power->lock);
	if (power->up && !tandem_device_is_dead(tdev))
		ret = drain_and_stop(tdev, tandem_admin_timeout());
	power->asleep = !ret;
	mutex_unlock(&power->lock);
	if (ret)
		dev_err(dev, "a command does not end: the device cannot be suspended now\n");
	return ret;
}

int tandem_device_resume(struct device *dev)
{
	struct tandem_device *tdev = dev_get_drvdata(dev);
	struct tandem_power *power = &tdev->power;
	int ret = 0;

	mutex_lock(&power->lock);
	power->asleep = false;
	if (!power->idle)
		ret = start_again(tdev);
	mutex_unlock(&power->lock);
	return ret;
}

const struct dev_pm_ops tandem_device_pm_ops = {
	RUNTIME_PM_OPS(runtime_suspend, runtime_resume, NULL)
};

void tandem_power_enable(struct tandem_device *tdev)
{
	pm_runtime_set_autosuspend_delay(tdev->dev, AUTOSUSPEND_DELAY_MS);
	pm_runtime_use_autosuspend(tdev->dev);
	pm_runtime_mark_last_busy(tdev->dev);
}

void tandem_power_disable(struct tandem_device *tdev)
{
	pm_runtime_dont_use_autosuspend(tdev->dev);
}

void tandem_power_need(struct tandem_device *tdev)
{
	pm_runtime_get(tdev->dev);
}

void tandem_power_release(struct tandem_device *tdev)
{
	pm_runtime_mark_last_busy(tdev->dev);
	pm_runtime_put_autosuspend(tdev->dev);
}

int tandem_power_get(struct tandem_device *tdev)
{
	return pm_runtime_resume_and_get(tdev->dev);
}

const char *tandem_power_state(struct tandem_device *tdev)
{
	if (tandem_device_is_dead(tdev))
		return "failed";
	if (tandem_reset_is_due(tdev))
		return "resetting";
	return READ_ONCE(tdev->power.up) ? "running" : "suspended";
}
