/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A user's command: its checks, and the job that is made of it. The same for
 * all ways in which commands come.
 */
#ifndef _TANDEM_COMMAND_H
#define _TANDEM_COMMAND_H

#include <linux/types.h>

#include "tandem_accel.h"

struct drm_file;
struct tandem_hw_descriptor;
struct tandem_job;

/* Copies a command from memory that user space may be writing to. */
void tandem_command_read(struct tandem_uring_command *to,
			 const struct tandem_uring_command *from);

/* What does not depend on the queue or its context: 0 or -EINVAL. */
int tandem_command_check(u32 op, const struct tandem_uring_command *command);

/*
 * What the device gets to see of a command that was checked, but for the
 * context, the command's id, the region that user memory gets, and where the
 * device finds a list.
 */
void tandem_command_describe(struct tandem_hw_descriptor *descriptor, u32 op,
			     const struct tandem_uring_command *command);

/*
 * Makes a job of a command that was checked, other than CANCEL. Has not begun
 * anything that others could see, so the caller may still discard it. May
 * sleep, and take faults of the current process.
 */
struct tandem_job *
tandem_command_prepare(struct drm_file *filp, u32 op,
		       const struct tandem_uring_command *command);

/* Carries out a CANCEL that was checked: 0 or -ENOENT. */
int tandem_command_cancel(struct drm_file *filp,
			  const struct tandem_uring_command *command);

#endif /* _TANDEM_COMMAND_H */
