/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Stopping and starting a device that has come up once: for a reset, because
 * nobody uses it, or because the system sleeps. Contexts, regions and objects
 * are not concerned; commands wait in the driver.
 */
#ifndef _TANDEM_POWER_H
#define _TANDEM_POWER_H

#include <linux/mutex.h>
#include <linux/pm.h>
#include <linux/types.h>

#include "tandem_reset.h"

struct tandem_device;

/**
 * struct tandem_power - whether a device is enabled
 * @lock: held while it is stopped or started, which takes seconds at worst;
 *	guards all below
 * @up: it is enabled and takes commands
 * @idle: it is suspended at runtime, since nobody uses it
 * @asleep: the system sleeps, or is about to
 * @starting: it is being started: what goes wrong then, no reset mends. Read
 *	without the lock
 */
struct tandem_power {
	struct mutex lock; /* see above */
	bool up;
	bool idle;
	bool asleep;
	bool starting;
};

/*
 * Enables the device, and has it make its queues anew. The lock is held.
 * Errors: as tandem_boot_enable(); the device is then unfit for use.
 */
int tandem_power_start(struct tandem_device *tdev);
/*
 * Disables the device. Commands in flight end as @reason demands, or wait. The
 * lock is held. Errors: -ETIMEDOUT, -ENODEV; the device is unfit for use.
 */
int tandem_power_stop(struct tandem_device *tdev,
		      enum tandem_reset_reason reason);

/* Lets the device be suspended at runtime from now on, or no more. */
void tandem_power_enable(struct tandem_device *tdev);
void tandem_power_disable(struct tandem_device *tdev);

/*
 * Keeps the device enabled, or has it enabled soon; the other lets go. Each
 * need is released once. Any context.
 */
void tandem_power_need(struct tandem_device *tdev);
void tandem_power_release(struct tandem_device *tdev);
/* Likewise, but waits until it is enabled: 0 or an error. May sleep. */
int tandem_power_get(struct tandem_device *tdev);

/* For users: "running", "suspended", "resetting" or "failed". */
const char *tandem_power_state(struct tandem_device *tdev);

#endif /* _TANDEM_POWER_H */
