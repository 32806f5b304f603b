/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reset: a device that cannot be trusted to go on is disabled and enabled anew.
 * Commands of those who are not to blame are carried out as if nothing had
 * happened.
 */
#ifndef _TANDEM_RESET_H
#define _TANDEM_RESET_H

#include <linux/atomic.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct tandem_device;
struct tandem_job;

/**
 * enum tandem_reset_reason - why a device is disabled
 * @TANDEM_RESET_NONE: it is not being reset, but suspended
 * @TANDEM_RESET_ASKED: the administrator wants it
 * @TANDEM_RESET_HEARTBEAT: its heartbeat has stopped
 * @TANDEM_RESET_FATAL: it says that it cannot go on
 * @TANDEM_RESET_STOPPED: it is disabled, but not by the driver
 * @TANDEM_RESET_ADMIN: it does not answer an admin command
 * @TANDEM_RESET_ABORT: a command does not end, not even when aborted
 * @TANDEM_RESET_INSANE: its completions make no sense
 * @TANDEM_RESET_REFUSED: it refused to let go of memory
 */
enum tandem_reset_reason {
	TANDEM_RESET_NONE,
	TANDEM_RESET_ASKED,
	TANDEM_RESET_HEARTBEAT,
	TANDEM_RESET_FATAL,
	TANDEM_RESET_STOPPED,
	TANDEM_RESET_ADMIN,
	TANDEM_RESET_ABORT,
	TANDEM_RESET_INSANE,
	TANDEM_RESET_REFUSED,
};

/**
 * struct tandem_reset - resets of a device
 * @work: carries one out
 * @tell_work: tells user space of the last one that succeeded
 * @untold: &enum tandem_reset_reason of that, or NONE
 * @reason: &enum tandem_reset_reason of the one that is due, or NONE
 * @count: how many there were
 * @window_start: jiffies; when the first of @window_count resets was. This and
 *	@window_count are used by @work alone
 * @window_count: how many there were since
 */
struct tandem_reset {
	struct work_struct work;
	struct work_struct tell_work;
	atomic_t untold;
	atomic_t reason;
	atomic_t count;
	unsigned long window_start;
	unsigned int window_count;
};

void tandem_reset_prepare(struct tandem_reset *reset);
/* No reset is carried out after the return. The device is dead. */
void tandem_reset_cancel(struct tandem_device *tdev);

/*
 * Has the device reset soon, or taken out of service if that does not help. Of
 * several requests the first counts. Any context.
 */
void tandem_reset_request(struct tandem_device *tdev,
			  enum tandem_reset_reason reason);
/*
 * Resets the device for the administrator, and waits. Errors: -ENODEV; -EIO when
 * it has not come up again.
 */
int tandem_reset_now(struct tandem_device *tdev);
bool tandem_reset_is_due(struct tandem_device *tdev);

/*
 * What becomes of a job that was in flight when the device was disabled: a
 * result to end it with, or 0 to have it carried out again. @oldest: the engine
 * may have begun it. The engine's lock is held.
 */
int tandem_reset_judge(struct tandem_job *job, bool oldest,
		       enum tandem_reset_reason reason);

/* For messages. */
const char *tandem_reset_reason_name(enum tandem_reset_reason reason);

#endif /* _TANDEM_RESET_H */
