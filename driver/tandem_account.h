/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is held against a user. A context that does harm is banned, but its owner
 * can make another, and open the device anew for that: without accounts one user
 * could have the device reset until the driver gives it up, for all. Users with
 * CAP_SYS_ADMIN have none: they can have the device reset anyway.
 */
#ifndef _TANDEM_ACCOUNT_H
#define _TANDEM_ACCOUNT_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/uidgid.h>

#include "tandem_ban.h"

/**
 * struct tandem_account - a user of a device
 * @link: in &tandem_accounts.list
 * @uid: effective user id of who opened the files
 * @files: that there are of this user; guarded by &tandem_accounts.lock
 * @ban: the harm that they did; nobody is banned by it for good
 *
 * Exists as long as there are files, or harm that is not forgiven.
 */
struct tandem_account {
	struct list_head link;
	kuid_t uid;
	unsigned int files;
	struct tandem_ban ban;
};

/**
 * struct tandem_accounts - the users of a device
 * @lock: guards @list
 * @list: of &struct tandem_account. As long as those who are there, and those
 *	who did harm lately: a handful
 */
struct tandem_accounts {
	struct mutex lock; /* see above */
	struct list_head list;
};

void tandem_accounts_init(struct tandem_accounts *accounts);
/* When all files are gone. */
void tandem_accounts_fini(struct tandem_accounts *accounts);

/* The account that a file of the user is for: to be put. NULL without memory. */
struct tandem_account *tandem_account_get(struct tandem_accounts *accounts,
					  kuid_t uid);
/* @account may be NULL. */
void tandem_account_put(struct tandem_accounts *accounts,
			struct tandem_account *account);

/*
 * Charges what others suffer from: a command that had to be aborted, a reset of
 * the device. Returns whether that was one too many. Any context.
 */
bool tandem_account_charge(struct tandem_account *account,
			   enum tandem_fault fault);
/*
 * Has the user done so much harm of late that no more commands are taken? Any
 * context. False for NULL.
 */
bool tandem_account_is_overdrawn(struct tandem_account *account);

#endif /* _TANDEM_ACCOUNT_H */
