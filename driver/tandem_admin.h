/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The admin queue: commands of the driver itself.
 */
#ifndef _TANDEM_ADMIN_H
#define _TANDEM_ADMIN_H

#include <linux/list.h>
#include <linux/spinlock.h>

#include "tandem_ring.h"

#define TANDEM_ADMIN_ENTRIES	64

/**
 * struct tandem_admin_command - a command on its way
 * @descriptor: what to do
 * @done: called exactly once, in any context and without locks, with 0, -EIO
 *	when the device refused, -EAGAIN when it was stopped before it had
 *	answered, or -ENODEV; must not sleep
 * @timeout: in jiffies; when it has passed, the device is reset
 * @link: in &tandem_admin.waiting, or on a list of those that are done
 * @deadline: jiffies; set when it is handed to the device
 * @result: for @done
 * @detail: that of the completion, unchecked, when @result is 0
 *
 * The submitter owns it again from @done on.
 */
struct tandem_admin_command {
	struct tandem_hw_descriptor descriptor;
	void (*done)(struct tandem_admin_command *command, int result);
	unsigned long timeout;
	struct list_head link;
	unsigned long deadline;
	int result;
	u32 detail;
};

/**
 * struct tandem_admin - the queue
 * @lock: guards all below; taken in hard interrupts, too
 * @ring: the rings
 * @waiting: commands for which the ring has no room yet
 * @refused: CONTEXT_SYNCs that the device refused. Nobody knows what it still
 *	touches, so they end when it has been disabled, and not before
 * @running: no command is taken otherwise
 */
struct tandem_admin {
	spinlock_t lock; /* see above */
	struct tandem_ring ring;
	struct list_head waiting;
	struct list_head refused;
	bool running;
};

/* Prepares the lock; before anything else, interrupts included. */
void tandem_admin_prepare(struct tandem_admin *admin);
int tandem_admin_init(struct tandem_device *tdev);
/* The device does not reach the rings afterwards. */
void tandem_admin_fini(struct tandem_device *tdev);

/* Empties the rings, which the device is about to get to know. */
void tandem_admin_begin(struct tandem_device *tdev, u32 epoch);
/* The device takes commands. */
void tandem_admin_up(struct tandem_device *tdev);
/* No more commands for the device: they wait. */
void tandem_admin_pause(struct tandem_device *tdev);
/*
 * The device is disabled. Ends all commands, and until it takes commands again
 * answers in its stead: what asks it to let go of something has its wish.
 */
void tandem_admin_down(struct tandem_device *tdev);
/* Ends all commands with -ENODEV and takes no more. Does not sleep. */
void tandem_admin_stop(struct tandem_device *tdev);

void tandem_admin_submit(struct tandem_device *tdev,
			 struct tandem_admin_command *command);
/* Submits and waits, for as long as admin commands get. */
int tandem_admin_execute(struct tandem_device *tdev,
			 const struct tandem_hw_descriptor *descriptor);
/* The same; *@detail is that of the completion, unchecked, if it returns 0. */
int tandem_admin_execute_detail(struct tandem_device *tdev,
				const struct tandem_hw_descriptor *descriptor,
				u32 *detail);
/* Is no command on its way? */
bool tandem_admin_is_idle(struct tandem_device *tdev);
void tandem_admin_interrupt(struct tandem_device *tdev);
/* Takes completions whose interrupt was lost; to be called now and then. */
void tandem_admin_poll(struct tandem_device *tdev);
/* Is a command overdue? */
bool tandem_admin_overdue(struct tandem_device *tdev);
/* Has the device refused to let go of something? Until it is disabled. */
bool tandem_admin_has_refused(struct tandem_device *tdev);

#endif /* _TANDEM_ADMIN_H */
