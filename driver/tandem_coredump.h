/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The core dump of a device that is about to be reset: text that says what it
 * was doing. It is found in /sys/class/devcoredump until it is read, or for some
 * minutes; a device has one at a time, which is the first.
 *
 * It names processes, contexts, and the addresses and lengths of regions, and
 * is for root. It holds no contents of memory.
 */
#ifndef _TANDEM_COREDUMP_H
#define _TANDEM_COREDUMP_H

#include <linux/kconfig.h>
#include <linux/seq_buf.h>
#include <linux/workqueue.h>

#include "tandem_reset.h"

struct tandem_device;

/**
 * struct tandem_coredump - the dump in the making, if any
 * @work: hands it on
 * @text: what was written down. The buffer is there from the start, since when
 *	it is needed, fences wait for the reset: whatever frees memory may wait
 *	for those, so nothing may wait for memory. NULL when there was none
 * @is_taken: @text is @work's; else it is that of the reset
 */
struct tandem_coredump {
	struct work_struct work;
	struct seq_buf text;
	bool is_taken;
};

#if IS_ENABLED(CONFIG_DEV_COREDUMP)
/* Without memory there are no dumps. */
void tandem_coredump_prepare(struct tandem_coredump *coredump);
/*
 * Writes down what there is to say before the reset, while the device is not
 * stopped yet. Nothing when the last one has not been handed on.
 */
void tandem_coredump_take(struct tandem_device *tdev,
			  enum tandem_reset_reason reason);
/*
 * The reset is over. Hands the dump on soon, with the firmware's log if the
 * device is up again.
 */
void tandem_coredump_hand_on(struct tandem_device *tdev);
/* Returns when it has been handed on. No reset is carried out any more. */
void tandem_coredump_flush(struct tandem_device *tdev);
/* Nothing of the above is called any more. */
void tandem_coredump_release(struct tandem_coredump *coredump);
#else
static inline void tandem_coredump_prepare(struct tandem_coredump *coredump)
{
}

static inline void tandem_coredump_take(struct tandem_device *tdev,
					enum tandem_reset_reason reason)
{
}

static inline void tandem_coredump_hand_on(struct tandem_device *tdev)
{
}

static inline void tandem_coredump_flush(struct tandem_device *tdev)
{
}

static inline void tandem_coredump_release(struct tandem_coredump *coredump)
{
}
#endif

#endif /* _TANDEM_COREDUMP_H */
