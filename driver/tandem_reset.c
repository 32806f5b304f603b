// SPDX-License-Identifier: GPL-2.0
#include <linux/dev_printk.h>
#include <linux/jiffies.h>

#include "tandem_context.h"
#include "tandem_coredump.h"
#include "tandem_device.h"
#include "tandem_engine.h"
#include "tandem_job.h"
#include "tandem_parameter.h"
#include "tandem_power.h"
#include "tandem_queue.h"
#include "tandem_reset.h"
#include "tandem_trace.h"

TANDEM_PARAMETER(reset_limit, 8, 0, 1000);
MODULE_PARM_DESC(reset_limit,
		 "how often a device that misbehaves is reset within reset_window_s before it is given up: 0 to 1000");

TANDEM_PARAMETER(reset_window_s, 60, 1, 86400);
MODULE_PARM_DESC(reset_window_s,
		 "the time in which reset_limit resets are allowed, in seconds: 1 to 86400");

/* A job that was there so often when the device went wrong is the cause. */
#define SUSPICIONS_MAX	2

const char *tandem_reset_reason_name(enum tandem_reset_reason reason)
{
	switch (reason) {
	case TANDEM_RESET_ASKED:
		return "the administrator asks for it";
	case TANDEM_RESET_HEARTBEAT:
		return "no heartbeat";
	case TANDEM_RESET_FATAL:
		return "it reports a fatal error";
	case TANDEM_RESET_STOPPED:
		return "it has stopped by itself";
	case TANDEM_RESET_ADMIN:
		return "no answer to an admin command";
	case TANDEM_RESET_ABORT:
		return "a command cannot be aborted";
	case TANDEM_RESET_INSANE:
		return "its completions make no sense";
	case TANDEM_RESET_REFUSED:
		return "it refuses to let go of memory";
	case TANDEM_RESET_NONE:
		break;
	}
	return "none";
}

/* Of uevents: for programs. */
static const char *reason_word(enum tandem_reset_reason reason)
{
	static const char * const words[] = {
		[TANDEM_RESET_NONE] = "none",
		[TANDEM_RESET_ASKED] = "asked",
		[TANDEM_RESET_HEARTBEAT] = "heartbeat",
		[TANDEM_RESET_FATAL] = "fatal",
		[TANDEM_RESET_STOPPED] = "stopped",
		[TANDEM_RESET_ADMIN] = "admin",
		[TANDEM_RESET_ABORT] = "abort",
		[TANDEM_RESET_INSANE] = "insane",
		[TANDEM_RESET_REFUSED] = "refused",
	};

	return words[reason];
}

/*
 * The device carries out an engine's commands in their order, and tells of the
 * end of one before it begins the next. So the oldest one that has not ended is
 * the only one that it may have begun, unless what it tells is of no worth.
 */
int tandem_reset_judge(struct tandem_job *job, bool oldest,
		       enum tandem_reset_reason reason)
{
	if (job->stuck)
		job->fault = TANDEM_FAULT_RESET;
	else if (job->timed_out)
		job->fault = TANDEM_FAULT_TIMEOUT;
	if (job->timed_out)
		return -ETIMEDOUT;
	if (job->cancelled || job->queue->closed)
		return -ECANCELED;
	if (tandem_ring_is_insane(&job->engine->ring))
		return -EIO;
	if (!oldest)
		return 0;
	/* A program may have changed what it reads. */
	if (job->descriptor.opcode == TANDEM_HW_OP_EXEC)
		return -EIO;
	if (reason == TANDEM_RESET_NONE || reason == TANDEM_RESET_ASKED ||
	    reason == TANDEM_RESET_ABORT || reason == TANDEM_RESET_REFUSED)
		return 0;
	if (++job->suspicions < SUSPICIONS_MAX)
		return 0;
	job->fault = TANDEM_FAULT_RESET;
	return -EIO;
}

/* Has it been reset as often as it may of late? Counts this one. */
static bool is_too_often(struct tandem_reset *reset)
{
	unsigned long window = tandem_parameter_get(&parameter_reset_window_s) * HZ;

	if (!reset->window_count ||
	    time_after(jiffies, reset->window_start + window)) {
		reset->window_start = jiffies;
		reset->window_count = 0;
	}
	return reset->window_count++ >= tandem_parameter_get(&parameter_reset_limit);
}

/* The device runs, and the lock of tandem_power.h is held. */
static void device_reset(struct tandem_device *tdev,
			 enum tandem_reset_reason reason)
{
	int ret;

	atomic_inc(&tdev->reset.count);
	trace_tandem_reset_begin(tdev, reason);
	tandem_coredump_take(tdev, reason);
	ret = tandem_power_stop(tdev, reason);
	if (!ret)
		ret = tandem_power_start(tdev);
	if (ret) {
		tandem_device_fail(tdev, tandem_reset_reason_name(reason));
	} else {
		dev_info(tdev->dev, "the device is up again\n");
		atomic_set(&tdev->reset.untold, reason);
		schedule_work(&tdev->reset.tell_work);
	}
	trace_tandem_reset_end(tdev, ret);
	tandem_coredump_hand_on(tdev);
}

static void carry_out(struct work_struct *work)
{
	struct tandem_reset *reset =
		container_of(work, struct tandem_reset, work);
	struct tandem_device *tdev =
		container_of(reset, struct tandem_device, reset);
	enum tandem_reset_reason reason = atomic_read(&reset->reason);

	/* What was asked for has been done with another's request. */
	if (reason == TANDEM_RESET_NONE)
		return;
	mutex_lock(&tdev->power.lock);
	if (!tdev->power.up || tandem_device_is_dead(tdev))
		goto unlock;
	if (reason != TANDEM_RESET_ASKED && is_too_often(reset))
		tandem_device_fail(tdev, "it had to be reset too often");
	else
		device_reset(tdev, reason);
unlock:
	atomic_set(&reset->reason, TANDEM_RESET_NONE);
	mutex_unlock(&tdev->power.lock);
}

/*
 * Apart from the reset: telling allocates memory, which may wait for memory to
 * become free, and that for fences which wait for a reset.
 */
static void tell(struct work_struct *work)
{
	struct tandem_reset *reset =
		container_of(work, struct tandem_reset, tell_work);
	struct tandem_device *tdev =
		container_of(reset, struct tandem_device, reset);
	enum tandem_reset_reason reason;

	reason = atomic_xchg(&reset->untold, TANDEM_RESET_NONE);
	if (reason != TANDEM_RESET_NONE)
		tandem_device_tell(tdev, "reset", reason_word(reason));
}

void tandem_reset_prepare(struct tandem_reset *reset)
{
	INIT_WORK(&reset->work, carry_out);
	INIT_WORK(&reset->tell_work, tell);
}

void tandem_reset_cancel(struct tandem_device *tdev)
{
	cancel_work_sync(&tdev->reset.work);
	flush_work(&tdev->reset.tell_work);
}

void tandem_reset_request(struct tandem_device *tdev,
			  enum tandem_reset_reason reason)
{
	if (tandem_device_is_dead(tdev))
		return;
	if (READ_ONCE(tdev->power.starting)) {
		/* What is asked for is being done: nothing is wrong. */
		if (reason != TANDEM_RESET_ASKED)
			tandem_device_fail(tdev,
					   tandem_reset_reason_name(reason));
		return;
	}
	if (atomic_cmpxchg(&tdev->reset.reason, TANDEM_RESET_NONE, reason) !=
	    TANDEM_RESET_NONE)
		return;
	dev_warn(tdev->dev, "%s: the device is going to be reset\n",
		 tandem_reset_reason_name(reason));
	schedule_work(&tdev->reset.work);
	/* Those who wait for it to be done with something wait in vain. */
	wake_up_all(&tdev->state_wait);
}

bool tandem_reset_is_due(struct tandem_device *tdev)
{
	return atomic_read(&tdev->reset.reason) != TANDEM_RESET_NONE;
}

int tandem_reset_now(struct tandem_device *tdev)
{
	int ret;

	ret = tandem_power_get(tdev);
	if (ret < 0)
		return -ENODEV;
	tandem_reset_request(tdev, TANDEM_RESET_ASKED);
	/*
	 * Whoever has asked before may not have come to queue the work yet, and
	 * work that is not queued is not waited for.
	 */
	schedule_work(&tdev->reset.work);
	flush_work(&tdev->reset.work);
	tandem_power_release(tdev);
	return tandem_device_is_dead(tdev) ? -EIO : 0;
}
