// SPDX-License-Identifier: GPL-2.0
#include <linux/jiffies.h>
#include <linux/math64.h>
#include <linux/minmax.h>

#include "tandem_ban.h"
#include "tandem_parameter.h"

/*
 * Weights are such that with the defaults a context may fault 15 times in a
 * row, run into the time limit twice, or have the device reset once.
 */
static const u32 weights[] = {
	[TANDEM_FAULT_NONE] = 0,
	[TANDEM_FAULT_ACCESS] = 1,
	[TANDEM_FAULT_TIMEOUT] = 6,
	[TANDEM_FAULT_RESET] = 8,
};

TANDEM_PARAMETER(ban_score, 16, 0, 1000000);
MODULE_PARM_DESC(ban_score,
		 "score at which a context is banned: a fault counts 1, a timeout 6, a reset of the device 8; 0 for never: to 1000000");

TANDEM_PARAMETER(ban_forgiving_ms, 60000, 0, 86400000);
MODULE_PARM_DESC(ban_forgiving_ms,
		 "time after which one point of a context's score is forgiven, in milliseconds; 0 for never: to 86400000");

struct tandem_ban_rule tandem_ban_rule(void)
{
	return (struct tandem_ban_rule) {
		.score = tandem_parameter_get(&parameter_ban_score),
		.forgiving = msecs_to_jiffies(tandem_parameter_get(&parameter_ban_forgiving_ms)),
	};
}

void tandem_ban_init(struct tandem_ban *ban)
{
	*ban = (struct tandem_ban) {};
	spin_lock_init(&ban->lock);
}

static void forgive(struct tandem_ban *ban, struct tandem_ban_rule rule,
		    u64 now)
{
	u64 points;

	if (!ban->score || !rule.forgiving) {
		ban->forgiven_at = now;
		return;
	}
	points = div64_u64(now - ban->forgiven_at, rule.forgiving);
	ban->forgiven_at += points * rule.forgiving;
	ban->score -= min_t(u64, points, ban->score);
}

bool tandem_ban_count(struct tandem_ban *ban, enum tandem_fault fault,
		      struct tandem_ban_rule rule, u64 now)
{
	unsigned long flags;
	bool first;

	if (fault == TANDEM_FAULT_NONE)
		return false;
	spin_lock_irqsave(&ban->lock, flags);
	forgive(ban, rule, now);
	ban->score = min(ban->score + weights[fault], U32_MAX / 2);
	ban->faults++;
	if (fault == TANDEM_FAULT_RESET)
		ban->resets++;
	first = rule.score && ban->score >= rule.score && !ban->banned;
	if (first)
		WRITE_ONCE(ban->banned, true);
	spin_unlock_irqrestore(&ban->lock, flags);
	return first;
}

u32 tandem_ban_score(struct tandem_ban *ban, struct tandem_ban_rule rule,
		     u64 now)
{
	unsigned long flags;
	u32 score;

	spin_lock_irqsave(&ban->lock, flags);
	forgive(ban, rule, now);
	score = ban->score;
	spin_unlock_irqrestore(&ban->lock, flags);
	return score;
}
