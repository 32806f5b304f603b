// SPDX-License-Identifier: GPL-2.0
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <kunit/visibility.h>
#include <linux/completion.h>
#include <linux/dev_printk.h>
#include <linux/jiffies.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/seq_buf.h>
#include <linux/slab.h>

#include "tandem_accel.h"
#include "tandem_account.h"
#include "tandem_context.h"
#include "tandem_device.h"
#include "tandem_engine.h"
#include "tandem_file.h"
#include "tandem_gem.h"
#include "tandem_queue.h"
#include "tandem_trace.h"
#include "tandem_user.h"

#define TABLE_ENTRIES	(TANDEM_REGIONS_MAX + \
			 TANDEM_ENGINES_MAX * TANDEM_ENGINE_ENTRIES_MAX)

static_assert(sizeof(struct tandem_hw_context) == 16);
static_assert(sizeof(struct tandem_hw_region) == 32);

static struct tandem_hw_context *device_entry(struct tandem_context *context)
{
	struct tandem_hw_context *table = context->tdev->context_table.virtual;

	return &table[context->index];
}

static struct tandem_hw_region *table_entry(struct tandem_context *context,
					    u32 index)
{
	struct tandem_hw_region *table = context->table.virtual;

	return &table[index];
}

/* The device reads entries at any time: VALID comes last. */
static void set_entry(struct tandem_hw_region *entry, u64 address, u64 length,
		      u32 flags)
{
	WRITE_ONCE(entry->address, cpu_to_le64(address));
	WRITE_ONCE(entry->length, cpu_to_le64(length));
	/* The device reads the flags first. */
	smp_wmb();
	WRITE_ONCE(entry->flags, cpu_to_le32(flags | TANDEM_HW_REGION_VALID));
}

/* VALID goes first. */
static void clear_entry(struct tandem_hw_region *entry)
{
	WRITE_ONCE(entry->flags, 0);
	/* The device reads the flags first, and again at the end. */
	smp_wmb();
	WRITE_ONCE(entry->address, 0);
	WRITE_ONCE(entry->length, 0);
}

void tandem_context_set_user(struct tandem_context *context, u32 slot,
			     const struct tandem_user_memory *user, bool write)
{
	set_entry(table_entry(context, slot), user->bus_address, user->length,
		  TANDEM_HW_REGION_HOST | (write ? TANDEM_HW_REGION_WRITE :
						   TANDEM_HW_REGION_READ));
}

void tandem_context_clear_user(struct tandem_context *context, u32 slot)
{
	clear_entry(table_entry(context, slot));
}

static void region_free(struct tandem_region *region)
{
	if (!region)
		return;
	drm_gem_object_put(region->object);
	kfree(region);
}

static void release_context(struct work_struct *work)
{
	struct tandem_context *context =
		container_of(work, struct tandem_context, release_work);
	struct tandem_device *tdev = context->tdev;
	u32 i;

	for (i = 0; i < TANDEM_REGIONS_MAX; i++)
		region_free(context->regions[i]);
	tandem_shared_free(tdev, &context->table);
	ida_free(&tdev->context_ids, context->index);
	atomic_dec(&tdev->contexts);
	tandem_file_put(context->file);
	if (context->retiring)
		tandem_device_retire_end(tdev);
	kvfree(context);
	drm_dev_put(&tdev->drm);
}

static void context_unreferenced(struct kref *ref)
{
	struct tandem_context *context =
		container_of(ref, struct tandem_context, ref);

	/* Jobs put references where one must not sleep. */
	queue_work(tandem_release_wq, &context->release_work);
}

void tandem_context_get(struct tandem_context *context)
{
	kref_get(&context->ref);
}

void tandem_context_put(struct tandem_context *context)
{
	kref_put(&context->ref, context_unreferenced);
}

struct tandem_context *tandem_context_find(struct tandem_file *file, u32 id)
{
	struct tandem_context *context;

	xa_lock(&file->contexts);
	context = xa_load(&file->contexts, id);
	if (context)
		tandem_context_get(context);
	xa_unlock(&file->contexts);
	return context;
}

struct tandem_context *tandem_context_next(struct tandem_file *file,
					   unsigned long *id)
{
	struct tandem_context *context;

	xa_lock(&file->contexts);
	context = xa_find_after(&file->contexts, id, ULONG_MAX, XA_PRESENT);
	if (context)
		tandem_context_get(context);
	xa_unlock(&file->contexts);
	return context;
}

struct drm_gem_object *
tandem_context_region_object(struct tandem_context *context, u32 region)
{
	struct drm_gem_object *object = NULL;

	spin_lock(&context->lock);
	if (context->regions[region]) {
		object = context->regions[region]->object;
		drm_gem_object_get(object);
	}
	spin_unlock(&context->lock);
	return object;
}

void tandem_context_get_usage(struct tandem_context *context, u32 *regions,
			      u64 *mapped)
{
	u32 i;

	*regions = 0;
	*mapped = 0;
	spin_lock(&context->lock);
	for (i = 0; i < TANDEM_REGIONS_MAX; i++) {
		if (!context->regions[i])
			continue;
		++*regions;
		*mapped += context->regions[i]->length;
	}
	spin_unlock(&context->lock);
}

static void init_shares(struct tandem_context *context)
{
	enum tandem_schedule_level level;
	u32 class;

	for (class = 0; class < ARRAY_SIZE(context->shares); class++) {
		for (level = 0; level < TANDEM_SCHEDULE_LEVELS; level++)
			tandem_schedule_init_share(&context->shares[class][level],
						   level);
	}
}

static struct tandem_context *context_alloc(struct tandem_file *file)
{
	struct tandem_device *tdev = file->tdev;
	struct tandem_context *context;
	int ret;

	context = kvzalloc(sizeof(*context), GFP_KERNEL_ACCOUNT);
	if (!context)
		return ERR_PTR(-ENOMEM);
	kref_init(&context->ref);
	context->tdev = tdev;
	context->file = file;
	context->pid = task_tgid_nr(current);
	get_task_comm(context->comm, current);
	tandem_ban_init(&context->ban);
	init_shares(context);
	spin_lock_init(&context->lock);
	INIT_WORK(&context->release_work, release_context);

	ret = ida_alloc_max(&tdev->context_ids, TANDEM_CONTEXTS_MAX - 1,
			    GFP_KERNEL);
	if (ret < 0)
		goto err_free;
	context->index = ret;
	ret = tandem_shared_alloc(tdev, &context->table,
				  TABLE_ENTRIES *
				  sizeof(struct tandem_hw_region),
				  DMA_TO_DEVICE);
	if (ret)
		goto err_index;
	atomic_inc(&tdev->contexts);
	drm_dev_get(&tdev->drm);
	kref_get(&file->ref);
	return context;

err_index:
	ida_free(&tdev->context_ids, context->index);
err_free:
	kvfree(context);
	return ERR_PTR(ret);
}

static void publish_context(struct tandem_context *context)
{
	struct tandem_hw_context *entry = device_entry(context);

	WRITE_ONCE(entry->regions, cpu_to_le64(context->table.bus_address));
	WRITE_ONCE(entry->region_count, cpu_to_le32(TABLE_ENTRIES));
	/* The device reads the flags first. */
	smp_wmb();
	WRITE_ONCE(entry->flags, cpu_to_le32(TANDEM_HW_CONTEXT_VALID));
}

int tandem_ioctl_context_create(struct drm_device *drm, void *data,
				struct drm_file *filp)
{
	struct tandem_file *file = filp->driver_priv;
	struct drm_tandem_context_create *args = data;
	struct tandem_context *context;
	int ret, cookie;

	if (args->flags)
		return -EINVAL;
	if (tandem_account_is_overdrawn(file->account))
		return -EDQUOT;
	if (!drm_dev_enter(drm, &cookie))
		return -ENODEV;
	context = context_alloc(file);
	if (context == ERR_PTR(-ENOSPC) && tandem_device_wait_retired(file->tdev))
		context = context_alloc(file);
	if (IS_ERR(context)) {
		ret = PTR_ERR(context);
		goto exit;
	}
	publish_context(context);
	trace_tandem_context_create(context);
	ret = xa_alloc(&file->contexts, &args->context, context, TANDEM_ID_LIMIT,
		       GFP_KERNEL);
	if (ret) {
		WRITE_ONCE(device_entry(context)->flags, 0);
		tandem_context_put(context);
	}
exit:
	drm_dev_exit(cookie);
	return ret;
}

/**
 * struct retirement - something that the device has been asked to let go of
 * @command: CONTEXT_SYNC
 * @ref: held by whoever waits, and until @work is done
 * @work: frees it when the device has answered, or is gone
 * @done: when @work has
 * @context: concerned; holds a reference
 * @region: to be freed; NULL for the whole context, of which the file's
 *	reference is dropped
 * @index: of @region
 * @result: of the command
 */
struct retirement {
	struct tandem_admin_command command;
	struct kref ref;
	struct work_struct work;
	struct completion done;
	struct tandem_context *context;
	struct tandem_region *region;
	u32 index;
	int result;
};

static void retirement_free(struct kref *ref)
{
	kfree(container_of(ref, struct retirement, ref));
}

static void retire(struct work_struct *work)
{
	struct retirement *r = container_of(work, struct retirement, work);
	struct tandem_context *context = r->context;

	if (r->region) {
		region_free(r->region);
		spin_lock(&context->lock);
		__clear_bit(r->index, context->taken);
		spin_unlock(&context->lock);
		tandem_device_retire_end(context->tdev);
	}
	tandem_context_put(context);
	complete_all(&r->done);
	kref_put(&r->ref, retirement_free);
}

static void retirement_answered(struct tandem_admin_command *command,
				int result)
{
	struct retirement *r = container_of(command, struct retirement, command);

	r->result = result;
	queue_work(tandem_release_wq, &r->work);
}

static void retirement_init(struct retirement *r,
			    struct tandem_context *context)
{
	kref_init(&r->ref);
	INIT_WORK(&r->work, retire);
	init_completion(&r->done);
	r->context = context;
	r->command.descriptor = (struct tandem_hw_descriptor) {
		.opcode = TANDEM_HW_OP_CONTEXT_SYNC,
		.context = cpu_to_le32(context->index),
	};
	r->command.done = retirement_answered;
	/* The device may first have to finish, or be made to, a command. */
	r->command.timeout = tandem_command_timeout() +
			     2 * tandem_admin_timeout();
}

/* Asks the device; what is retired is freed also when nobody waits. */
static void retirement_start(struct retirement *r)
{
	kref_get(&r->ref);
	tandem_device_retire_begin(r->context->tdev);
	tandem_admin_submit(r->context->tdev, &r->command);
}

static int retirement_wait(struct retirement *r)
{
	int ret;

	/* Ends in any case: the command has a timeout. */
	ret = wait_for_completion_killable(&r->done);
	return ret ? -EINTR : r->result;
}

static void retirement_put(struct retirement *r)
{
	kref_put(&r->ref, retirement_free);
}

/* The file's reference goes over. */
static void destroy_context(struct tandem_file *file,
			    struct tandem_context *context,
			    struct retirement *r)
{
	retirement_init(r, context);
	context->retiring = true;
	tandem_queue_close_all(file, context);
	WRITE_ONCE(device_entry(context)->flags, 0);
	trace_tandem_context_destroy(context);
	retirement_start(r);
}

void tandem_context_destroy_all(struct tandem_file *file)
{
	struct tandem_context *context;
	struct retirement *r;
	unsigned long id;

	/* The file is closed already: nobody else is here. */
	xa_for_each(&file->contexts, id, context) {
		xa_erase(&file->contexts, id);
		r = kzalloc(sizeof(*r), GFP_KERNEL | __GFP_NOFAIL);
		destroy_context(file, context, r);
		retirement_put(r);
	}
}

int tandem_ioctl_context_destroy(struct drm_device *drm, void *data,
				 struct drm_file *filp)
{
	struct tandem_file *file = filp->driver_priv;
	struct drm_tandem_context_destroy *args = data;
	struct tandem_context *context;
	struct retirement *r;
	int ret;

	if (args->pad)
		return -EINVAL;
	r = kzalloc(sizeof(*r), GFP_KERNEL);
	if (!r)
		return -ENOMEM;

	mutex_lock(&file->lock);
	context = xa_erase(&file->contexts, args->context);
	if (context)
		destroy_context(file, context, r);
	mutex_unlock(&file->lock);
	if (!context) {
		kfree(r);
		return -ENOENT;
	}
	ret = retirement_wait(r);
	retirement_put(r);
	return ret;
}

VISIBLE_IF_KUNIT int tandem_region_add(struct tandem_context *context,
				       struct tandem_region *region)
{
	unsigned long index;

	spin_lock(&context->lock);
	/* The next one in turn, so that an old index stays invalid for long. */
	index = find_next_zero_bit(context->taken, TANDEM_REGIONS_MAX,
				   context->next);
	if (index >= TANDEM_REGIONS_MAX)
		index = find_first_zero_bit(context->taken, TANDEM_REGIONS_MAX);
	if (index < TANDEM_REGIONS_MAX) {
		__set_bit(index, context->taken);
		context->next = index + 1;
		context->regions[index] = region;
	}
	spin_unlock(&context->lock);
	return index < TANDEM_REGIONS_MAX ? index : -ENOSPC;
}

static u32 device_flags(u32 flags, bool host)
{
	return (flags & TANDEM_REGION_READ ? TANDEM_HW_REGION_READ : 0) |
	       (flags & TANDEM_REGION_WRITE ? TANDEM_HW_REGION_WRITE : 0) |
	       (host ? TANDEM_HW_REGION_HOST : 0);
}

static int map_region(struct tandem_context *context,
		      struct drm_gem_object *object,
		      struct drm_tandem_region_map *args)
{
	struct tandem_region *region;
	int index, ret;

	ret = tandem_gem_check_region(object, args->offset, args->length,
				      args->flags);
	if (ret)
		return ret;
	region = kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);
	if (!region)
		return -ENOMEM;
	drm_gem_object_get(object);
	region->object = object;
	region->length = args->length;
	region->flags = args->flags;

	index = tandem_region_add(context, region);
	if (index < 0) {
		region_free(region);
		return index;
	}
	/* Nobody else writes the entry before user space knows its index. */
	set_entry(table_entry(context, index),
		  tandem_gem_address(object) + args->offset, args->length,
		  device_flags(args->flags, tandem_gem_is_host(object)));
	args->region = index;
	return 0;
}

int tandem_ioctl_region_map(struct drm_device *drm, void *data,
			    struct drm_file *filp)
{
	struct tandem_file *file = filp->driver_priv;
	struct drm_tandem_region_map *args = data;
	struct drm_gem_object *object;
	struct tandem_context *context;
	int ret;

	if (!args->length || !args->flags ||
	    args->flags & ~(TANDEM_REGION_READ | TANDEM_REGION_WRITE))
		return -EINVAL;
	context = tandem_context_find(file, args->context);
	if (!context)
		return -ENOENT;
	object = drm_gem_object_lookup(filp, args->handle);
	if (!object) {
		ret = -ENOENT;
		goto put_context;
	}
	ret = map_region(context, object, args);
	drm_gem_object_put(object);
put_context:
	tandem_context_put(context);
	return ret;
}

VISIBLE_IF_KUNIT struct tandem_region *
tandem_region_take(struct tandem_context *context, u32 index)
{
	struct tandem_region *region;

	if (index >= TANDEM_REGIONS_MAX)
		return NULL;
	index = array_index_nospec(index, TANDEM_REGIONS_MAX);
	spin_lock(&context->lock);
	region = context->regions[index];
	context->regions[index] = NULL;
	if (region)
		clear_entry(table_entry(context, index));
	spin_unlock(&context->lock);
	return region;
}

int tandem_ioctl_region_unmap(struct drm_device *drm, void *data,
			      struct drm_file *filp)
{
	struct tandem_file *file = filp->driver_priv;
	struct drm_tandem_region_unmap *args = data;
	struct tandem_context *context;
	struct retirement *r;
	int ret;

	context = tandem_context_find(file, args->context);
	if (!context)
		return -ENOENT;
	ret = -ENOMEM;
	r = kzalloc(sizeof(*r), GFP_KERNEL);
	if (!r)
		goto put_context;
	ret = -ENOENT;
	r->region = tandem_region_take(context, args->region);
	if (!r->region) {
		kfree(r);
		goto put_context;
	}
	r->index = args->region;
	/* The reference goes over. */
	retirement_init(r, context);
	retirement_start(r);
	ret = retirement_wait(r);
	retirement_put(r);
	return ret;

put_context:
	tandem_context_put(context);
	return ret;
}

int tandem_context_check(struct tandem_context *context, u32 index, u64 offset,
			 u64 length, u32 flags)
{
	struct tandem_region *region;
	int ret = -EACCES;
	u64 end;

	if (index >= TANDEM_REGIONS_MAX ||
	    check_add_overflow(offset, length, &end))
		return -EACCES;
	index = array_index_nospec(index, TANDEM_REGIONS_MAX);
	spin_lock(&context->lock);
	region = context->regions[index];
	if (region && end <= region->length && !(flags & ~region->flags))
		ret = 0;
	spin_unlock(&context->lock);
	return ret;
}

void tandem_context_describe(struct tandem_context *context,
			     struct seq_buf *text)
{
	const struct tandem_region *region;
	u32 i;

	spin_lock(&context->lock);
	for (i = 0; i < TANDEM_REGIONS_MAX; i++) {
		region = context->regions[i];
		if (!region)
			continue;
		seq_buf_printf(text, "  region %u: address=%#llx length=%llu %s%s%s\n",
			       i,
			       le64_to_cpu(table_entry(context, i)->address),
			       region->length,
			       tandem_gem_is_host(region->object) ? "host " : "",
			       region->flags & TANDEM_REGION_READ ? "r" : "",
			       region->flags & TANDEM_REGION_WRITE ? "w" : "");
	}
	spin_unlock(&context->lock);
}

void tandem_context_blame(struct tandem_context *context,
			  enum tandem_fault fault)
{
	struct tandem_account *account = context->file->account;
	bool banned, overdrawn;

	banned = tandem_ban_count(&context->ban, fault, tandem_ban_rule(),
				  get_jiffies_64());
	overdrawn = tandem_account_charge(account, fault);
	if (banned) {
		trace_tandem_context_ban(context);
		dev_warn(context->tdev->dev,
			 "context %u of %s (%d): banned after %u faults: its commands are refused, make a new context to go on\n",
			 context->index, context->comm, context->pid,
			 READ_ONCE(context->ban.faults));
	}
	if (overdrawn)
		dev_warn(context->tdev->dev,
			 "user %u: contexts had to be aborted, or the device reset for them, too often: commands are refused for some minutes\n",
			 from_kuid(&init_user_ns, account->uid));
	if (banned || overdrawn)
		tandem_engine_end_banned(context->tdev);
}

bool tandem_context_is_banned(struct tandem_context *context)
{
	return tandem_ban_is_banned(&context->ban) ||
	       tandem_account_is_overdrawn(context->file->account);
}

int tandem_ioctl_context_query(struct drm_device *drm, void *data,
			       struct drm_file *filp)
{
	struct tandem_file *file = filp->driver_priv;
	struct drm_tandem_context_query *args = data;
	struct tandem_context *context;

	context = tandem_context_find(file, args->context);
	if (!context)
		return -ENOENT;
	spin_lock_irq(&context->ban.lock);
	args->flags = context->ban.banned ? TANDEM_CONTEXT_BANNED : 0;
	args->faults = context->ban.faults;
	args->resets = context->ban.resets;
	spin_unlock_irq(&context->ban.lock);
	if (tandem_account_is_overdrawn(file->account))
		args->flags |= TANDEM_CONTEXT_USER_BANNED;
	tandem_context_get_usage(context, &args->regions, &args->mapped);
	args->queues = atomic_read(&context->queues);
	args->device_ns = atomic64_read(&context->device_ns);
	tandem_context_put(context);
	return 0;
}
