// SPDX-License-Identifier: GPL-2.0
/*
 * The module, and the DRM driver that users see.
 */
#include <drm/drm_accel.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_ioctl.h>
#include <drm/drm_print.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/poll.h>
#include <linux/slab.h>

#include "tandem_accel.h"
#include "tandem_account.h"
#include "tandem_compat.h"
#include "tandem_context.h"
#include "tandem_device.h"
#include "tandem_fdinfo.h"
#include "tandem_file.h"
#include "tandem_gem.h"
#include "tandem_parameter.h"
#include "tandem_queue.h"
#include "tandem_submit.h"
#include "tandem_uring.h"

TANDEM_PARAMETER(command_timeout_ms, 60000, 10, 86400000);
MODULE_PARM_DESC(command_timeout_ms,
		 "longest time that a command may run, in milliseconds: 10 to 86400000");

TANDEM_PARAMETER(admin_timeout_ms, 10000, 10, 600000);
MODULE_PARM_DESC(admin_timeout_ms,
		 "longest time that the device may take over a request of the driver's, in milliseconds: 10 to 600000");

TANDEM_PARAMETER(heartbeat_timeout_ms, 3000, 1000, 600000);
MODULE_PARM_DESC(heartbeat_timeout_ms,
		 "longest time without a heartbeat of the device, in milliseconds: 1000 to 600000");

unsigned long tandem_command_timeout(void)
{
	return msecs_to_jiffies(tandem_parameter_get(&parameter_command_timeout_ms));
}

unsigned long tandem_admin_timeout(void)
{
	return msecs_to_jiffies(tandem_parameter_get(&parameter_admin_timeout_ms));
}

unsigned long tandem_heartbeat_timeout(void)
{
	return msecs_to_jiffies(tandem_parameter_get(&parameter_heartbeat_timeout_ms));
}

struct workqueue_struct *tandem_release_wq;

static int get_profile_name(struct tandem_device *tdev,
			    struct drm_tandem_get_param *args)
{
	u32 words = sizeof(tdev->identity.profile) / 8;
	u32 index, i;

	if (args->index >= words)
		return -EINVAL;
	index = array_index_nospec(args->index, words);
	args->value = 0;
	for (i = 0; i < 8; i++)
		args->value |= (u64)(u8)tdev->identity.profile[8 * index + i] <<
			       (8 * i);
	return 0;
}

static int get_memory_class(struct tandem_device *tdev,
			    struct drm_tandem_get_param *args)
{
	const struct tandem_memory_layout *layout = &tdev->identity.memory;
	u32 index;

	if (args->index >= layout->count)
		return -EINVAL;
	index = array_index_nospec(args->index, layout->count);
	switch (args->param) {
	case TANDEM_PARAM_MEMORY_CLASS_KIND:
		args->value = layout->class[index].kind;
		break;
	case TANDEM_PARAM_MEMORY_CLASS_SIZE:
		args->value = layout->class[index].size;
		break;
	case TANDEM_PARAM_MEMORY_CLASS_USED:
		args->value = atomic64_read(&tdev->memory.class[index].used);
		break;
	case TANDEM_PARAM_MEMORY_CLASS_BANDWIDTH:
		args->value = layout->class[index].bandwidth;
		break;
	}
	return 0;
}

static int ioctl_get_param(struct drm_device *drm, void *data,
			   struct drm_file *filp)
{
	struct tandem_device *tdev = to_tandem_device(drm);
	const struct tandem_identity *identity = &tdev->identity;
	const struct tandem_file *file = filp->driver_priv;
	struct drm_tandem_get_param *args = data;

	if (args->param == TANDEM_PARAM_PROFILE_NAME)
		return get_profile_name(tdev, args);
	if (args->param >= TANDEM_PARAM_MEMORY_CLASS_KIND &&
	    args->param <= TANDEM_PARAM_MEMORY_CLASS_BANDWIDTH)
		return get_memory_class(tdev, args);
	if (args->index)
		return -EINVAL;

	switch (args->param) {
	case TANDEM_PARAM_UAPI_VERSION:
		args->value = TANDEM_UAPI_VERSION;
		break;
	case TANDEM_PARAM_ROLE:
		args->value = identity->role;
		break;
	case TANDEM_PARAM_MEMORY_SIZE:
		args->value = tdev->memory_size;
		break;
	case TANDEM_PARAM_MEMORY_USED:
		args->value = atomic64_read(&tdev->memory.used);
		break;
	case TANDEM_PARAM_COPY_QUEUES:
		args->value = identity->copy_queues;
		break;
	case TANDEM_PARAM_COMPUTE_QUEUES:
		args->value = identity->compute_queues;
		break;
	case TANDEM_PARAM_QUEUE_ENTRIES:
		args->value = identity->queue_entries;
		break;
	case TANDEM_PARAM_REGIONS_MAX:
		args->value = TANDEM_REGIONS_MAX;
		break;
	case TANDEM_PARAM_CONTEXTS_MAX:
		args->value = TANDEM_CONTEXTS_MAX;
		break;
	case TANDEM_PARAM_PROFILE_MEMORY_SIZE:
		args->value = identity->profile_memory_size;
		break;
	case TANDEM_PARAM_PROFILE_MEMORY_BANDWIDTH:
		args->value = identity->profile_memory_bandwidth;
		break;
	case TANDEM_PARAM_PROFILE_FLOPS:
		args->value = identity->profile_flops;
		break;
	case TANDEM_PARAM_PROFILE_LINK_BANDWIDTH:
		args->value = identity->profile_link_bandwidth;
		break;
	case TANDEM_PARAM_SEGMENTS_MAX:
		args->value = TANDEM_HW_SEGMENTS_MAX;
		break;
	case TANDEM_PARAM_SUBMIT_MAX:
		args->value = TANDEM_SUBMIT_MAX;
		break;
	case TANDEM_PARAM_RESETS:
		args->value = atomic_read(&tdev->reset.count);
		break;
	case TANDEM_PARAM_CAPABILITIES:
		args->value = TANDEM_CAPABILITY_SYNCOBJ |
			      TANDEM_CAPABILITY_SEGMENTS |
			      TANDEM_CAPABILITY_REPORT |
			      TANDEM_CAPABILITY_SUBMIT |
			      TANDEM_CAPABILITY_PRIORITY |
			      TANDEM_CAPABILITY_QUERY |
			      TANDEM_CAPABILITY_MEMORY_CLASS |
			      TANDEM_CAPABILITY_REGISTER;
		break;
	case TANDEM_PARAM_MEMORY_CLASSES:
		args->value = identity->memory.count;
		break;
	case TANDEM_PARAM_FILE_MEMORY_USED:
		args->value = atomic64_read(&file->memory_used);
		break;
	case TANDEM_PARAM_FILE_MEMORY_LIMIT:
		args->value = READ_ONCE(tdev->memory.file_limit);
		break;
	default:
		return -EINVAL;
	}
	return 0;
}

static const struct drm_ioctl_desc tandem_ioctls[] = {
	DRM_IOCTL_DEF_DRV(TANDEM_GET_PARAM, ioctl_get_param, 0),
	DRM_IOCTL_DEF_DRV(TANDEM_GEM_CREATE, tandem_ioctl_gem_create, 0),
	DRM_IOCTL_DEF_DRV(TANDEM_GEM_MMAP_OFFSET, tandem_ioctl_gem_mmap_offset,
			  0),
	DRM_IOCTL_DEF_DRV(TANDEM_CONTEXT_CREATE, tandem_ioctl_context_create,
			  0),
	DRM_IOCTL_DEF_DRV(TANDEM_CONTEXT_DESTROY, tandem_ioctl_context_destroy,
			  0),
	DRM_IOCTL_DEF_DRV(TANDEM_REGION_MAP, tandem_ioctl_region_map, 0),
	DRM_IOCTL_DEF_DRV(TANDEM_REGION_UNMAP, tandem_ioctl_region_unmap, 0),
	DRM_IOCTL_DEF_DRV(TANDEM_QUEUE_CREATE, tandem_ioctl_queue_create, 0),
	DRM_IOCTL_DEF_DRV(TANDEM_QUEUE_DESTROY, tandem_ioctl_queue_destroy, 0),
	DRM_IOCTL_DEF_DRV(TANDEM_CONTEXT_QUERY, tandem_ioctl_context_query, 0),
	DRM_IOCTL_DEF_DRV(TANDEM_QUEUE_QUERY, tandem_ioctl_queue_query, 0),
	DRM_IOCTL_DEF_DRV(TANDEM_SUBMIT, tandem_ioctl_submit, 0),
	DRM_IOCTL_DEF_DRV(TANDEM_GEM_REGISTER, tandem_ioctl_gem_register, 0),
};

static int file_open(struct drm_device *drm, struct drm_file *filp)
{
	struct tandem_device *tdev = to_tandem_device(drm);
	struct tandem_file *file;

	file = kzalloc(sizeof(*file), GFP_KERNEL_ACCOUNT);
	if (!file)
		return -ENOMEM;
	kref_init(&file->ref);
	file->tdev = tdev;
	if (!ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN)) {
		file->account = tandem_account_get(&tdev->accounts,
						   current_euid());
		if (!file->account) {
			kfree(file);
			return -ENOMEM;
		}
	}
	mutex_init(&file->lock);
	xa_init_flags(&file->contexts, XA_FLAGS_ALLOC1);
	xa_init_flags(&file->queues, XA_FLAGS_ALLOC1);
	filp->driver_priv = file;
	return 0;
}

static void file_release(struct kref *ref)
{
	struct tandem_file *file = container_of(ref, struct tandem_file, ref);

	xa_destroy(&file->queues);
	xa_destroy(&file->contexts);
	mutex_destroy(&file->lock);
	tandem_account_put(&file->tdev->accounts, file->account);
	kfree(file);
}

void tandem_file_put(struct tandem_file *file)
{
	kref_put(&file->ref, file_release);
}

static void file_postclose(struct drm_device *drm, struct drm_file *filp)
{
	struct tandem_file *file = filp->driver_priv;

	tandem_context_destroy_all(file);
	tandem_file_put(file);
}

/* Users learn from poll(2) that the device has gone. */
static __poll_t file_poll(struct file *filp, struct poll_table_struct *wait)
{
	struct drm_file *file_priv = filp->private_data;
	struct tandem_device *tdev = to_tandem_device(file_priv->minor->dev);
	__poll_t mask;

	mask = drm_poll(filp, wait);
	poll_wait(filp, &tdev->dead_wait, wait);
	if (tandem_device_is_dead(tdev))
		mask |= EPOLLHUP | EPOLLERR;
	return mask;
}

/*
 * The DRM core takes it for granted that who calls these has a master, which
 * files of accel nodes have not: it would dereference NULL.
 */
static bool needs_master(unsigned int cmd)
{
	switch (_IOC_NR(cmd)) {
	case _IOC_NR(DRM_IOCTL_GET_UNIQUE):
	case _IOC_NR(DRM_IOCTL_GET_MAGIC):
		return true;
	default:
		return false;
	}
}

static long file_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	return needs_master(cmd) ? -EACCES : drm_ioctl(filp, cmd, arg);
}

#ifdef CONFIG_COMPAT
static long file_compat_ioctl(struct file *filp, unsigned int cmd,
			      unsigned long arg)
{
	return needs_master(cmd) ? -EACCES : drm_compat_ioctl(filp, cmd, arg);
}
#endif

static const struct file_operations tandem_fops = {
	.owner = THIS_MODULE,
	.open = accel_open,
	.release = drm_release,
	.unlocked_ioctl = file_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl = file_compat_ioctl,
#endif
	.poll = file_poll,
	.read = drm_read,
	.llseek = noop_llseek,
	.mmap = drm_gem_mmap,
	.uring_cmd = tandem_uring_cmd,
	.show_fdinfo = drm_show_fdinfo,
	.fop_flags = FOP_UNSIGNED_OFFSET,
};

const struct drm_driver tandem_drm_driver = {
	.driver_features = DRIVER_COMPUTE_ACCEL | DRIVER_GEM |
			   DRIVER_SYNCOBJ | DRIVER_SYNCOBJ_TIMELINE,
	.open = file_open,
	.postclose = file_postclose,
	.show_fdinfo = tandem_fdinfo_show,
	.gem_prime_import_sg_table = tandem_gem_import,
	.ioctls = tandem_ioctls,
	.num_ioctls = ARRAY_SIZE(tandem_ioctls),
	.fops = &tandem_fops,
	.name = "tandem",
	.desc = "Tandem inference accelerator",
	TANDEM_DRM_DRIVER_DATE
	.major = 1,
	.minor = 0,
};

static int __init tandem_init(void)
{
	int ret;

	tandem_release_wq = alloc_workqueue("tandem-release",
					    WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!tandem_release_wq)
		return -ENOMEM;
	ret = tandem_bus_emu_register();
	if (ret)
		goto destroy_workqueue;
	ret = tandem_bus_pci_register();
	if (ret)
		goto unregister_emu;
	return 0;

unregister_emu:
	tandem_bus_emu_unregister();
destroy_workqueue:
	destroy_workqueue(tandem_release_wq);
	return ret;
}

static void __exit tandem_exit(void)
{
	tandem_bus_pci_unregister();
	tandem_bus_emu_unregister();
	/* What still has to be released is, in this. */
	destroy_workqueue(tandem_release_wq);
	/* The last fences may be on their way. */
	rcu_barrier();
}

module_init(tandem_init);
module_exit(tandem_exit);

MODULE_DESCRIPTION("Tandem inference accelerators");
MODULE_LICENSE("GPL");
TANDEM_IMPORT_NS_DMA_BUF;
