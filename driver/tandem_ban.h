/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Bans: a context whose commands misbehave again and again may give no more.
 */
#ifndef _TANDEM_BAN_H
#define _TANDEM_BAN_H

#include <linux/spinlock.h>
#include <linux/types.h>

/**
 * enum tandem_fault - what a command did wrong, that the driver could not see
 *	beforehand
 * @TANDEM_FAULT_NONE: nothing
 * @TANDEM_FAULT_ACCESS: it reached for memory that is not there or not its own
 * @TANDEM_FAULT_TIMEOUT: it ran for too long and had to be aborted
 * @TANDEM_FAULT_RESET: the device had to be reset because of it
 */
enum tandem_fault {
	TANDEM_FAULT_NONE,
	TANDEM_FAULT_ACCESS,
	TANDEM_FAULT_TIMEOUT,
	TANDEM_FAULT_RESET,
};

/**
 * struct tandem_ban - what is held against a context, or a user
 * @lock: guards all below; taken last, in any context
 * @score: weights of its faults, less what was forgiven since
 * @forgiven_at: in jiffies, up to when that has been counted
 * @faults: how many there were
 * @resets: how many of them were TANDEM_FAULT_RESET
 * @banned: set once
 */
struct tandem_ban {
	spinlock_t lock; /* see above */
	u32 score;
	u64 forgiven_at;
	u32 faults;
	u32 resets;
	bool banned;
};

/**
 * struct tandem_ban_rule - when a context is banned
 * @score: from this score on; 0 for never
 * @forgiving: jiffies in which one point is forgiven; 0 for never
 */
struct tandem_ban_rule {
	u32 score;
	u64 forgiving;
};

void tandem_ban_init(struct tandem_ban *ban);
/* As the module parameters say. */
struct tandem_ban_rule tandem_ban_rule(void);
/*
 * Counts a fault at time @now, in jiffies. Returns whether this was the one
 * that the context is banned for.
 */
bool tandem_ban_count(struct tandem_ban *ban, enum tandem_fault fault,
		      struct tandem_ban_rule rule, u64 now);

/* What is left of the score at time @now, in jiffies. */
u32 tandem_ban_score(struct tandem_ban *ban, struct tandem_ban_rule rule,
		     u64 now);

static inline bool tandem_ban_is_banned(const struct tandem_ban *ban)
{
	return READ_ONCE(ban->banned);
}

#endif /* _TANDEM_BAN_H */
