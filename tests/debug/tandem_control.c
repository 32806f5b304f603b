// SPDX-License-Identifier: MIT
/*
 * A module that does wrong on request, to show that a debug kernel notices: a
 * positive control for each of its detectors. "insmod tandem_control.ko
 * wrong=NAME". Never shipped.
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

static char *wrong = "";
module_param(wrong, charp, 0);
MODULE_PARM_DESC(wrong, "What to do: see the table at the end");

struct victim {
	u64 value;
	struct timer_list timer;
};

/* The compiler is not to see that the memory was freed. */
static int use_after_free(void)
{
	struct victim *victim = kzalloc(sizeof(*victim), GFP_KERNEL);

	if (!victim)
		return -ENOMEM;
	kfree(victim);
	OPTIMIZER_HIDE_VAR(victim);
	return READ_ONCE(victim->value) == 1 ? 1 : 0;
}

static int lock_in_both_orders(void)
{
	static DEFINE_MUTEX(first);
	static DEFINE_MUTEX(second);

	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);

	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
	return 0;
}

static int sleep_under_spinlock(void)
{
	static DEFINE_SPINLOCK(lock);
	static DEFINE_MUTEX(mutex);

	spin_lock(&lock);
	mutex_lock(&mutex);
	mutex_unlock(&mutex);
	spin_unlock(&lock);
	return 0;
}

static int leak(void)
{
	struct victim *victim = kzalloc(sizeof(*victim), GFP_KERNEL);

	if (!victim)
		return -ENOMEM;
	victim->value = 1;
	return 0;
}

static void nothing(struct timer_list *timer)
{
}

static int free_active_timer(void)
{
	struct victim *victim = kzalloc(sizeof(*victim), GFP_KERNEL);

	if (!victim)
		return -ENOMEM;
	timer_setup(&victim->timer, nothing, 0);
	mod_timer(&victim->timer, jiffies + 3600 * HZ);
	kfree(victim);
	return 0;
}

/* Nothing wrong: the allocation is the first of its task to be made to fail. */
static int allocate(void)
{
	void *memory;

#ifdef CONFIG_FAULT_INJECTION
	current->fail_nth = 1;
#endif
	memory = kmalloc(64, GFP_KERNEL);
#ifdef CONFIG_FAULT_INJECTION
	current->fail_nth = 0;
#endif
	if (!memory)
		return -ENOMEM;
	kfree(memory);
	return 0;
}

static const struct {
	const char *name;
	int (*act)(void);
} wrongs[] = {
	{ "use-after-free", use_after_free },
	{ "lock-order", lock_in_both_orders },
	{ "sleep-under-spinlock", sleep_under_spinlock },
	{ "leak", leak },
	{ "free-active-timer", free_active_timer },
	{ "failing-allocation", allocate },
};

static int __init tandem_control_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(wrongs); i++)
		if (!strcmp(wrong, wrongs[i].name))
			return wrongs[i].act();
	pr_err("tandem_control: wrong=%s: no such thing\n", wrong);
	return -EINVAL;
}

static void __exit tandem_control_exit(void)
{
}

module_init(tandem_control_init);
module_exit(tandem_control_exit);
MODULE_DESCRIPTION("Positive controls for the detectors of a debug kernel");
MODULE_LICENSE("Dual MIT/GPL");
