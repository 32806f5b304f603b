/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory that a process has registered: the device reaches it for as long as the
 * object lives that stands for it.
 *
 * The pages are pinned and stay what they are, whatever becomes of the address
 * that they were found at: no MMU notifier takes them away, since a device of
 * this driver's cannot wait for memory in the midst of a command.
 */
#ifndef _TANDEM_REGISTRATION_H
#define _TANDEM_REGISTRATION_H

#include <linux/types.h>

#include "tandem_user.h"

struct mm_struct;
struct tandem_device;

/* The most that one registration can have, in bytes: pages fit into an int. */
#define TANDEM_REGISTRATION_BYTES_MAX	(256ull * SZ_1G)

/**
 * struct tandem_registration - registered memory
 * @user: its pages, pinned and mapped
 * @mm: of the process that they count for, which may have ended; held
 *
 * Owned by whoever made it. All is constant.
 */
struct tandem_registration {
	struct tandem_user_memory user;
	struct mm_struct *mm;
};

/*
 * Memory of the current process, in whole pages; without @write the device can
 * only read it. Error pointers: -ENOMEM, also for more than RLIMIT_MEMLOCK
 * allows; -ENODEV, and those of tandem_user_pin_longterm().
 */
struct tandem_registration *
tandem_registration_create(struct tandem_device *tdev, u64 address, u64 size,
			   bool write);
/*
 * The device does not reach the memory after the return. May sleep; takes no
 * lock of the process's.
 */
void tandem_registration_free(struct tandem_device *tdev,
			      struct tandem_registration *registration);

#endif /* _TANDEM_REGISTRATION_H */
