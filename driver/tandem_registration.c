// SPDX-License-Identifier: GPL-2.0
#include <drm/drm_drv.h>
#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "tandem_device.h"
#include "tandem_registration.h"

/*
 * What is pinned counts as it does for RDMA, in mm->pinned_vm and not in
 * mm->locked_vm: that needs no mmap lock, which a process can have held for as
 * long as it likes, and so keep whoever drops the last reference.
 */
static int charge(struct mm_struct *mm, unsigned long pages)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;

	/* Nor does it make sense to look for more than there is. */
	if (pages > totalram_pages())
		return -ENOMEM;
	if (atomic64_add_return(pages, &mm->pinned_vm) <= limit ||
	    capable(CAP_IPC_LOCK))
		return 0;
	atomic64_sub(pages, &mm->pinned_vm);
	return -ENOMEM;
}

/*
 * The pages are pinned before this: a process can make that last for ever, and
 * the removal of the device is not to wait for it.
 */
static int map_for_device(struct tandem_device *tdev,
			  struct tandem_user_memory *user)
{
	int ret, cookie;

	if (!drm_dev_enter(&tdev->drm, &cookie))
		return -ENODEV;
	ret = tandem_user_map(tdev, user);
	drm_dev_exit(cookie);
	return ret;
}

struct tandem_registration *
tandem_registration_create(struct tandem_device *tdev, u64 address, u64 size,
			   bool write)
{
	struct tandem_registration *registration;
	unsigned long pages = size >> PAGE_SHIFT;
	struct mm_struct *mm = current->mm;
	int ret;

	registration = kzalloc(sizeof(*registration), GFP_KERNEL_ACCOUNT);
	if (!registration)
		return ERR_PTR(-ENOMEM);
	ret = charge(mm, pages);
	if (ret)
		goto free_registration;
	ret = tandem_user_pin_longterm(&registration->user, address, size,
				       write);
	if (ret)
		goto uncharge;
	ret = map_for_device(tdev, &registration->user);
	if (ret)
		goto unpin;
	mmgrab(mm);
	registration->mm = mm;
	return registration;

unpin:
	tandem_user_release(tdev, &registration->user);
uncharge:
	atomic64_sub(pages, &mm->pinned_vm);
free_registration:
	kfree(registration);
	return ERR_PTR(ret);
}

void tandem_registration_free(struct tandem_device *tdev,
			      struct tandem_registration *registration)
{
	unsigned long pages = registration->user.count;

	tandem_user_release(tdev, &registration->user);
	atomic64_sub(pages, &registration->mm->pinned_vm);
	mmdrop(registration->mm);
	kfree(registration);
}
