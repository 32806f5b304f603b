// SPDX-License-Identifier: GPL-2.0
#include <linux/jiffies.h>
#include <linux/slab.h>

#include "tandem_account.h"
#include "tandem_parameter.h"

/* Below reset_limit, so that it takes more than one user to use that up. */
TANDEM_PARAMETER(user_ban_score, 48, 0, 1000000);
MODULE_PARM_DESC(user_ban_score,
		 "score from which on commands of a user are refused for a time: a timeout counts 6, a reset of the device 8, and points are forgiven as ban_forgiving_ms says; 0 for never: to 1000000");

void tandem_accounts_init(struct tandem_accounts *accounts)
{
	mutex_init(&accounts->lock);
	INIT_LIST_HEAD(&accounts->list);
}

static void account_free(struct tandem_account *account)
{
	list_del(&account->link);
	kfree(account);
}

void tandem_accounts_fini(struct tandem_accounts *accounts)
{
	struct tandem_account *account, *next;

	list_for_each_entry_safe(account, next, &accounts->list, link)
		account_free(account);
	mutex_destroy(&accounts->lock);
}

static u32 score(struct tandem_account *account)
{
	return tandem_ban_score(&account->ban, tandem_ban_rule(),
				get_jiffies_64());
}

/* The user's, if there is one. Frees those that nobody needs any more. */
static struct tandem_account *account_find(struct tandem_accounts *accounts,
					   kuid_t uid)
{
	struct tandem_account *account, *next, *found = NULL;

	list_for_each_entry_safe(account, next, &accounts->list, link) {
		if (uid_eq(account->uid, uid))
			found = account;
		else if (!account->files && !score(account))
			account_free(account);
	}
	return found;
}

struct tandem_account *tandem_account_get(struct tandem_accounts *accounts,
					  kuid_t uid)
{
	struct tandem_account *account;

	mutex_lock(&accounts->lock);
	account = account_find(accounts, uid);
	if (!account) {
		account = kzalloc(sizeof(*account), GFP_KERNEL_ACCOUNT);
		if (!account)
			goto unlock;
		account->uid = uid;
		tandem_ban_init(&account->ban);
		list_add(&account->link, &accounts->list);
	}
	account->files++;
unlock:
	mutex_unlock(&accounts->lock);
	return account;
}

void tandem_account_put(struct tandem_accounts *accounts,
			struct tandem_account *account)
{
	if (!account)
		return;
	mutex_lock(&accounts->lock);
	if (!--account->files && !score(account))
		account_free(account);
	mutex_unlock(&accounts->lock);
}

static u32 limit(void)
{
	return tandem_parameter_get(&parameter_user_ban_score) ?: U32_MAX;
}

bool tandem_account_charge(struct tandem_account *account,
			   enum tandem_fault fault)
{
	struct tandem_ban_rule rule = tandem_ban_rule();
	bool before;

	if (!account ||
	    (fault != TANDEM_FAULT_TIMEOUT && fault != TANDEM_FAULT_RESET))
		return false;
	before = tandem_account_is_overdrawn(account);
	/* Nobody is banned for good. */
	rule.score = 0;
	tandem_ban_count(&account->ban, fault, rule, get_jiffies_64());
	return !before && tandem_account_is_overdrawn(account);
}

bool tandem_account_is_overdrawn(struct tandem_account *account)
{
	/* With what may have been forgiven since: almost always enough. */
	if (!account || READ_ONCE(account->ban.score) < limit())
		return false;
	return score(account) >= limit();
}
