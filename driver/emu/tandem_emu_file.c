// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/tandem-emu: how a process plays a device; see uapi/tandem_emu.h.
 */
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "tandem_emu.h"
#include "tandem_emu_slot.h"
#include "tandem_hw.h"

/**
 * struct tandem_emu_file - one open file
 * @lock: serializes CREATE, DOORBELL and PLUG
 * @slot: set once by CREATE, NULL before; holds a reference
 * @plugged: set once by PLUG, after which the doorbells are constant
 */
struct tandem_emu_file {
	struct mutex lock; /* see above */
	struct tandem_emu_slot *slot;
	bool plugged;
};

static struct tandem_emu_slot *file_slot(struct tandem_emu_file *efile)
{
	/* Pairs with ioctl_create(). */
	return smp_load_acquire(&efile->slot);
}

static int emu_open(struct inode *inode, struct file *filp)
{
	struct tandem_emu_file *efile;

	efile = kzalloc(sizeof(*efile), GFP_KERNEL);
	if (!efile)
		return -ENOMEM;
	mutex_init(&efile->lock);
	filp->private_data = efile;
	return 0;
}

static int emu_release(struct inode *inode, struct file *filp)
{
	struct tandem_emu_file *efile = filp->private_data;

	if (efile->slot)
		tandem_emu_slot_remove(efile->slot, efile->plugged);
	mutex_destroy(&efile->lock);
	kfree(efile);
	return 0;
}

static int ioctl_create(struct file *filp, void __user *argp)
{
	struct tandem_emu_file *efile = filp->private_data;
	struct tandem_emu_create args;
	struct tandem_emu_slot *slot;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;
	if (args.version != TANDEM_EMU_VERSION || args.flags ||
	    !args.queues || args.queues > TANDEM_HW_QUEUES_MAX ||
	    !args.memory_size || !PAGE_ALIGNED(args.memory_size) ||
	    args.memory_size > TANDEM_EMU_MEMORY_MAX)
		return -EINVAL;

	guard(mutex)(&efile->lock);
	if (efile->slot)
		return -EBUSY;
	slot = tandem_emu_slot_create(&args, filp->f_mapping);
	if (IS_ERR(slot))
		return PTR_ERR(slot);

	args.dma_size = TANDEM_EMU_DMA_BYTES;
	args.slot = slot->edev.slot;
	if (copy_to_user(argp, &args, sizeof(args))) {
		tandem_emu_slot_remove(slot, false);
		return -EFAULT;
	}
	/* Pairs with file_slot(). */
	smp_store_release(&efile->slot, slot);
	return 0;
}

static int ioctl_doorbell(struct tandem_emu_file *efile, void __user *argp)
{
	struct eventfd_ctx *eventfd = NULL;
	struct tandem_emu_doorbell args;
	struct tandem_emu_slot *slot;
	u32 queue;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;

	guard(mutex)(&efile->lock);
	slot = efile->slot;
	if (!slot)
		return -ENODEV;
	if (args.queue > slot->edev.queues)
		return -EINVAL;
	queue = array_index_nospec(args.queue, slot->edev.queues + 1);
	if (efile->plugged)
		return -EBUSY;
	if (args.eventfd != -1) {
		eventfd = eventfd_ctx_fdget(args.eventfd);
		if (IS_ERR(eventfd))
			return PTR_ERR(eventfd);
	}
	swap(slot->doorbell[queue], eventfd);
	if (eventfd)
		eventfd_ctx_put(eventfd);
	return 0;
}

static int ioctl_plug(struct tandem_emu_file *efile)
{
	int ret;

	guard(mutex)(&efile->lock);
	if (!efile->slot)
		return -ENODEV;
	if (efile->plugged)
		return -EBUSY;
	ret = tandem_emu_slot_plug(efile->slot);
	if (ret)
		return ret;
	/* Pairs with ioctl_interrupt(). */
	smp_store_release(&efile->plugged, true);
	return 0;
}

static int ioctl_interrupt(struct tandem_emu_file *efile, unsigned long vector)
{
	struct tandem_emu_slot *slot;

	/* Pairs with ioctl_plug(); the slot was set before that. */
	if (!smp_load_acquire(&efile->plugged))
		return -ENODEV;
	slot = efile->slot;
	if (vector > slot->edev.queues)
		return -EINVAL;
	tandem_emu_slot_interrupt(slot, array_index_nospec(vector,
							   slot->edev.queues + 1));
	return 0;
}

static long emu_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct tandem_emu_file *efile = filp->private_data;

	switch (cmd) {
	case TANDEM_EMU_IOC_CREATE:
		return ioctl_create(filp, (void __user *)arg);
	case TANDEM_EMU_IOC_DOORBELL:
		return ioctl_doorbell(efile, (void __user *)arg);
	case TANDEM_EMU_IOC_PLUG:
		return ioctl_plug(efile);
	case TANDEM_EMU_IOC_INTERRUPT:
		return ioctl_interrupt(efile, arg);
	default:
		return -ENOTTY;
	}
}

static vm_fault_t memory_fault(struct vm_fault *vmf)
{
	struct tandem_emu_slot *slot = vmf->vma->vm_private_data;

	return tandem_emu_space_fault(&slot->memory, vmf);
}

static vm_fault_t window_ro_fault(struct vm_fault *vmf)
{
	struct tandem_emu_slot *slot = vmf->vma->vm_private_data;

	return tandem_emu_space_fault(&slot->window_ro, vmf);
}

static vm_fault_t window_rw_fault(struct vm_fault *vmf)
{
	struct tandem_emu_slot *slot = vmf->vma->vm_private_data;

	return tandem_emu_space_fault(&slot->window_rw, vmf);
}

static const struct vm_operations_struct memory_vm_ops = {
	.fault = memory_fault,
};

static const struct vm_operations_struct window_ro_vm_ops = {
	.fault = window_ro_fault,
};

static const struct vm_operations_struct window_rw_vm_ops = {
	.fault = window_rw_fault,
};

static int map_registers(struct tandem_emu_slot *slot,
			 struct vm_area_struct *vma)
{
	unsigned long i;
	int ret;

	if (vma_pages(vma) != TANDEM_HW_BAR_BYTES >> PAGE_SHIFT)
		return -EINVAL;
	vm_flags_set(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	for (i = 0; i < vma_pages(vma); i++) {
		ret = vm_insert_page(vma, vma->vm_start + (i << PAGE_SHIFT),
				     vmalloc_to_page(slot->registers +
						     (i << PAGE_SHIFT)));
		if (ret)
			return ret;
	}
	return 0;
}

/* What part of the file a mapping begins in, and how long that part is. */
static const struct vm_operations_struct *
find_part(struct tandem_emu_slot *slot, u64 offset, u64 *start, u64 *size)
{
	*size = TANDEM_EMU_DMA_BYTES;
	if (offset >= TANDEM_EMU_MMAP_DMA_RW) {
		*start = TANDEM_EMU_MMAP_DMA_RW;
		return &window_rw_vm_ops;
	}
	if (offset >= TANDEM_EMU_MMAP_DMA_RO) {
		*start = TANDEM_EMU_MMAP_DMA_RO;
		return &window_ro_vm_ops;
	}
	*start = TANDEM_EMU_MMAP_MEMORY;
	*size = slot->edev.memory_size;
	return &memory_vm_ops;
}

static int emu_mmap(struct file *filp, struct vm_area_struct *vma)
{
	struct tandem_emu_slot *slot = file_slot(filp->private_data);
	const struct vm_operations_struct *ops;
	u64 offset, start, size;

	if (!slot)
		return -ENODEV;
	if (!(vma->vm_flags & VM_SHARED) ||
	    vma->vm_pgoff >= 1ul << (TANDEM_EMU_FILE_SHIFT - PAGE_SHIFT))
		return -EINVAL;
	offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	if (offset == TANDEM_EMU_MMAP_REGISTERS)
		return map_registers(slot, vma);
	if (offset < TANDEM_EMU_MMAP_MEMORY)
		return -EINVAL;

	ops = find_part(slot, offset, &start, &size);
	if (offset - start >= size ||
	    vma->vm_end - vma->vm_start > size - (offset - start))
		return -EINVAL;
	if (ops == &window_ro_vm_ops) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		vm_flags_clear(vma, VM_MAYWRITE);
	}

	vm_flags_set(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP |
			  VM_DONTCOPY);
	vma->vm_pgoff += (unsigned long)slot->edev.slot <<
			 (TANDEM_EMU_FILE_SHIFT - PAGE_SHIFT);
	/* The vma holds the file, and with it the slot. */
	vma->vm_private_data = slot;
	vma->vm_ops = ops;
	return 0;
}

static const struct file_operations emu_fops = {
	.owner = THIS_MODULE,
	.open = emu_open,
	.release = emu_release,
	.unlocked_ioctl = emu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = emu_mmap,
	.llseek = noop_llseek,
};

static struct miscdevice emu_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "tandem-emu",
	.fops = &emu_fops,
	.mode = 0600,
};

int tandem_emu_file_register(void)
{
	return misc_register(&emu_misc);
}

void tandem_emu_file_unregister(void)
{
	misc_deregister(&emu_misc);
}
