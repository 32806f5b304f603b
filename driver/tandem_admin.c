// SPDX-License-Identifier: GPL-2.0
#include <linux/completion.h>
#include <linux/dev_printk.h>
#include <linux/jiffies.h>

#include "tandem_admin.h"
#include "tandem_device.h"
#include "tandem_reset.h"

void tandem_admin_prepare(struct tandem_admin *admin)
{
	spin_lock_init(&admin->lock);
	INIT_LIST_HEAD(&admin->waiting);
	INIT_LIST_HEAD(&admin->refused);
}

int tandem_admin_init(struct tandem_device *tdev)
{
	return tandem_ring_init(&tdev->admin.ring, tdev, 0,
				TANDEM_ADMIN_ENTRIES);
}

void tandem_admin_fini(struct tandem_device *tdev)
{
	tandem_ring_fini(&tdev->admin.ring);
}

void tandem_admin_begin(struct tandem_device *tdev, u32 epoch)
{
	struct tandem_admin *admin = &tdev->admin;
	unsigned long flags;

	spin_lock_irqsave(&admin->lock, flags);
	tandem_ring_begin(&admin->ring, epoch);
	spin_unlock_irqrestore(&admin->lock, flags);
}

void tandem_admin_up(struct tandem_device *tdev)
{
	struct tandem_admin *admin = &tdev->admin;
	unsigned long flags;

	spin_lock_irqsave(&admin->lock, flags);
	admin->ring.state = TANDEM_RING_UP;
	/* A device that died meanwhile has been stopped already. */
	admin->running = !tandem_device_is_dead(tdev);
	spin_unlock_irqrestore(&admin->lock, flags);
}

void tandem_admin_pause(struct tandem_device *tdev)
{
	struct tandem_admin *admin = &tdev->admin;
	unsigned long flags;

	spin_lock_irqsave(&admin->lock, flags);
	admin->ring.state = TANDEM_RING_DRAINING;
	spin_unlock_irqrestore(&admin->lock, flags);
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
		list_splice_tail_init(&admin->refused, &admin->waiting);
		list_for_each_entry_safe(command, next, &admin->waiting, link) {
			list_del(&command->link);
			admin_end(command, -ENODEV, &done);
		}
	}
	spin_unlock_irqrestore(&admin->lock, flags);
	admin_finish(&done);
}

/* What a device that is disabled would say. */
static int answer_of_disabled(const struct tandem_admin_command *command)
{
	switch (command->descriptor.opcode) {
	case TANDEM_HW_OP_ABORT:
	case TANDEM_HW_OP_CONTEXT_SYNC:
		return 0;
	default:
		return -EAGAIN;
	}
}

void tandem_admin_down(struct tandem_device *tdev)
{
	struct tandem_admin *admin = &tdev->admin;
	struct tandem_admin_command *command, *next;
	LIST_HEAD(done);
	unsigned long flags;

	spin_lock_irqsave(&admin->lock, flags);
	while ((command = tandem_ring_forget(&admin->ring)))
		admin_end(command, answer_of_disabled(command), &done);
	list_splice_tail_init(&admin->refused, &admin->waiting);
	list_for_each_entry_safe(command, next, &admin->waiting, link) {
		list_del(&command->link);
		admin_end(command, answer_of_disabled(command), &done);
	}
	admin->ring.state = TANDEM_RING_DOWN;
	spin_unlock_irqrestore(&admin->lock, flags);
	admin_finish(&done);
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
	int result = -ENODEV;
	unsigned long flags;
	bool taken;

	spin_lock_irqsave(&admin->lock, flags);
	taken = admin->running && admin->ring.state != TANDEM_RING_DOWN;
	if (taken) {
		list_add_tail(&command->link, &admin->waiting);
		admin_push_waiting(admin);
	} else if (admin->running) {
		result = answer_of_disabled(command);
	}
	spin_unlock_irqrestore(&admin->lock, flags);
	if (!taken)
		command->done(command, result);
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
	/* Ends in any case: the watch has a device that is late reset. */
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

/* The lock is held. */
static void admin_completed(struct tandem_device *tdev,
			    struct tandem_admin_command *command,
			    const struct tandem_completion *completion,
			    struct list_head *done)
{
	struct tandem_admin *admin = &tdev->admin;
	u16 status = completion->status;

	/* Not refused: the device is being disabled. */
	if (status == TANDEM_HW_ABORTED &&
	    admin->ring.state == TANDEM_RING_DRAINING) {
		list_add(&command->link, &admin->waiting);
		return;
	}
	if (status != TANDEM_HW_OK)
		dev_warn_ratelimited(tdev->dev,
				     "the device refused admin command %#x: status %u\n",
				     command->descriptor.opcode, status);
	if (status != TANDEM_HW_OK &&
	    command->descriptor.opcode == TANDEM_HW_OP_CONTEXT_SYNC) {
		list_add_tail(&command->link, &admin->refused);
		return;
	}
	command->detail = completion->detail;
	admin_end(command, status == TANDEM_HW_OK ? 0 : -EIO, done);
}

void tandem_admin_interrupt(struct tandem_device *tdev)
{
	struct tandem_admin *admin = &tdev->admin;
	struct tandem_admin_command *command;
	struct tandem_completion completion;
	bool insane = false, refused = false;
	LIST_HEAD(done);
	u32 budget;
	unsigned long flags;

	spin_lock_irqsave(&admin->lock, flags);
	if (admin->running) {
		budget = admin->ring.entries;
		while ((command = tandem_ring_pop(&admin->ring, &completion,
						  &budget)))
			admin_completed(tdev, command, &completion, &done);
		if (budget != admin->ring.entries)
			tandem_ring_publish_taken(&admin->ring);
		admin_push_waiting(admin);
		insane = tandem_ring_is_insane(&admin->ring);
		refused = !list_empty(&admin->refused);
	}
	spin_unlock_irqrestore(&admin->lock, flags);
	admin_finish(&done);
	if (insane)
		tandem_reset_request(tdev, TANDEM_RESET_INSANE);
	if (refused)
		tandem_reset_request(tdev, TANDEM_RESET_REFUSED);
}

bool tandem_admin_is_idle(struct tandem_device *tdev)
{
	struct tandem_admin *admin = &tdev->admin;
	unsigned long flags;
	bool idle;

	spin_lock_irqsave(&admin->lock, flags);
	idle = list_empty(&admin->waiting) && list_empty(&admin->refused) &&
	       !tandem_ring_oldest(&admin->ring);
	spin_unlock_irqrestore(&admin->lock, flags);
	return idle;
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

bool tandem_admin_has_refused(struct tandem_device *tdev)
{
	struct tandem_admin *admin = &tdev->admin;
	unsigned long flags;
	bool refused;

	spin_lock_irqsave(&admin->lock, flags);
	refused = admin->running && !list_empty(&admin->refused);
	spin_unlock_irqrestore(&admin->lock, flags);
	return refused;
}
