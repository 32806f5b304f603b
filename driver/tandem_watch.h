/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The watch over a device: its heartbeat, and commands that take too long.
 */
#ifndef _TANDEM_WATCH_H
#define _TANDEM_WATCH_H

#include <linux/types.h>
#include <linux/workqueue.h>

struct tandem_device;

/**
 * struct tandem_watch - what it remembers from one look to the next
 * @work: looks, and alone uses the rest while it is pending
 * @heartbeat: last value seen
 * @silent_looks: how often it was the same since
 * @stopped: the device was not running at the last look
 */
struct tandem_watch {
	struct delayed_work work;
	u32 heartbeat;
	unsigned int silent_looks;
	bool stopped;
};

void tandem_watch_prepare(struct tandem_watch *watch);
/* The device runs from now on. */
void tandem_watch_start(struct tandem_device *tdev);
/* Waits for a look that is being taken. Does nothing twice. */
void tandem_watch_stop(struct tandem_device *tdev);

#endif /* _TANDEM_WATCH_H */
