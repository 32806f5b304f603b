// SPDX-License-Identifier: GPL-2.0
#include <linux/completion.h>
#include <linux/dev_printk.h>
#include <linux/jiffies.h>

#include "tandem_admin.h"
#include "tandem_device.h"

void tandem_admin_prepare(struct tandem_admin *admin)
{
	spin_lock_init(&admin->lock);
	INIT_LIST_HEAD(&admin->waiting);
}

int tandem_admin_start(struct tandem_device *tdev, u32 epoch)
{
	struct tandem_admin *admin = &tdev->admin;
	int ret;
	unsigned long flags;

	ret = tandem_ring_init(&admin->ring, tdev, 0, TANDEM_ADMIN_ENTRIES,
			       epoch);
	if (ret)
		return ret;
	spin_lock_irqsave(&admin->lock, flags);
	/* A device that died meanwhile has been stopped already. */
	admin->running = !tandem_device_is_dead(tdev);
	spin_unlock_irqrestore(&admin->lock, flags);
	return 0;
}

static void admin_finish(struct list_head *done)
{
	struct tandem_admin_command *command, *next;

	list_for_each_entry_safe(command, next, done, link)
		command->done(command, command->result);
}

static void admin_end(struct tandem_admin_command *command, int result,
		      struct list_head *done)
{
	command->result = result;
	list_add_tail(&command->link, done);
}

void tandem_admin_stop(struct tandem_device *tdev)
{
	struct tandem_admin *admin = &tdev->admin;
	struct tandem_admin_command *command, *next;
	LIST_HEAD(done);
	unsigned long flags;

	spin_lock_irqsave(&admin->lock, flags);
	if (admin->running) {
		admin->running = false;
		while ((command = tandem_ring_forget(&admin->ring)))
			admin_end(command, -ENODEV, &done);
		list_for_each_entry_safe(command, next, &admin->waiting, link) {
			list_del(&command->link);
			admin_end(command, -ENODEV, &done);
		}
	}
	spin_unlock_irqrestore(&admin->lock, flags);
	admin_finish(&done);
}

void tandem_admin_fini(struct tandem_device *tdev)
{
	tandem_ring_fini(&tdev->admin.ring);
}

/* Hands waiting commands to the device while there is room. */
static void admin_push_waiting(struct tandem_admin *admin)
{
	struct tandem_admin_command *command;
	bool pushed = false;

	while (!tandem_ring_full(&admin->ring)) {
		command = list_first_entry_or_null(&admin->waiting,
						   typeof(*command), link);
		if (!command)
			break;
		list_del(&command->link);
		command->deadline = jiffies + command->timeout;
		tandem_ring_push(&admin->ring, &command->descriptor, command);
		pushed = true;
	}
	if (pushed)
		tandem_ring_publish(&admin->ring);
}

void tandem_admin_submit(struct tandem_device *tdev,
			 struct tandem_admin_command *command)
{
	struct tandem_admin *admin = &tdev->admin;
	bool running;
	unsigned long flags;

	spin_lock_irqsave(&admin->lock, flags);
	running = admin->running;
	if (running) {
		list_add_tail(&command->link, &admin->waiting);
		admin_push_waiting(admin);
	}
	spin_unlock_irqrestore(&admin->lock, flags);
	if (!running)
		command->done(command, -ENODEV);
}

struct admin_wait {
	struct tandem_admin_command command;
	struct completion completion;
	int result;
};

static void wake_waiter(struct tandem_admin_command *command, int result)
{
	struct admin_wait *wait =
		container_of(command, struct admin_wait, command);

	wait->result = result;
	complete(&wait->completion);
}

int tandem_admin_execute_detail(struct tandem_device *tdev,
				const struct tandem_hw_descriptor *descriptor,
				u32 *detail)
{
	struct admin_wait wait = {
		.command = {
			.descriptor = *descriptor,
			.done = wake_waiter,
			.timeout = tandem_admin_timeout(),
		},
		.completion =
			COMPLETION_INITIALIZER_ONSTACK(wait.completion),
	};

	tandem_admin_submit(tdev, &wait.command);
	/* Ends in any case: the watch takes a device that is late out. */
	wait_for_completion(&wait.completion);
	*detail = wait.command.detail;
	return wait.result;
}

int tandem_admin_execute(struct tandem_device *tdev,
			 const struct tandem_hw_descriptor *descriptor)
{
	u32 detail;

	return tandem_admin_execute_detail(tdev, descriptor, &detail);
}

void tandem_admin_interrupt(struct tandem_device *tdev)
{
	struct tandem_admin *admin = &tdev->admin;
	struct tandem_admin_command *command;
	struct tandem_completion completion;
	LIST_HEAD(done);
	u32 budget;
	unsigned long flags;

	spin_lock_irqsave(&admin->lock, flags);
	if (admin->running) {
		budget = admin->ring.entries;
		while ((command = tandem_ring_pop(&admin->ring, &completion,
						  &budget))) {
			if (completion.status != TANDEM_HW_OK)
				dev_warn_ratelimited(tdev->dev,
						     "the device refused admin command %#x: status %u\n",
						     command->descriptor.opcode,
						     completion.status);
			command->detail = completion.detail;
			admin_end(command, completion.status == TANDEM_HW_OK ?
					   0 : -EIO, &done);
		}
		if (budget != admin->ring.entries)
			tandem_ring_publish_taken(&admin->ring);
		admin_push_waiting(admin);
	}
	spin_unlock_irqrestore(&admin->lock, flags);
	admin_finish(&done);
}

void tandem_admin_poll(struct tandem_device *tdev)
{
	struct tandem_admin *admin = &tdev->admin;
	bool missed;

	spin_lock_irq(&admin->lock);
	missed = admin->running && tandem_ring_missed(&admin->ring);
	spin_unlock_irq(&admin->lock);
	if (!missed)
		return;
	dev_warn_ratelimited(tdev->dev,
			     "admin queue: completions without an interrupt\n");
	tandem_admin_interrupt(tdev);
}

bool tandem_admin_overdue(struct tandem_device *tdev)
{
	struct tandem_admin *admin = &tdev->admin;
	struct tandem_ring *ring = &admin->ring;
	struct tandem_admin_command *command;
	bool overdue = false;
	u32 i;
	unsigned long flags;

	spin_lock_irqsave(&admin->lock, flags);
	for (i = 0; admin->running && i < ring->entries; i++) {
		command = ring->owner[i];
		if (command && time_after(jiffies, command->deadline))
			overdue = true;
	}
	spin_unlock_irqrestore(&admin->lock, flags);
	return overdue;
}
