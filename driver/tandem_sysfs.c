// SPDX-License-Identifier: GPL-2.0
#include <linux/device.h>
#include <linux/sysfs.h>

#include "tandem_accel.h"
#include "tandem_device.h"
#include "tandem_engine.h"
#include "tandem_power.h"
#include "tandem_reset.h"
#include "tandem_stats.h"

/*
 * In the directory of the device on its bus, to which
 * /sys/class/accel/accelN/device leads. Each attribute is described in
 * Documentation/ABI/testing/sysfs-driver-tandem.
 */

static struct tandem_device *tandem_of(struct device *dev)
{
	return dev_get_drvdata(dev);
}

static ssize_t profile_show(struct device *dev, struct device_attribute *attr,
			    char *buf)
{
	return sysfs_emit(buf, "%s\n", tandem_of(dev)->identity.profile);
}
static DEVICE_ATTR_RO(profile);

static ssize_t role_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	static const char * const names[] = {
		[TANDEM_HW_ROLE_ANY] = "any",
		[TANDEM_HW_ROLE_PREFILL] = "prefill",
		[TANDEM_HW_ROLE_DECODE] = "decode",
	};

	/* The handshake has checked it. */
	return sysfs_emit(buf, "%s\n", names[tandem_of(dev)->identity.role]);
}
static DEVICE_ATTR_RO(role);

static ssize_t firmware_version_show(struct device *dev,
				     struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n",
			  tandem_of(dev)->identity.firmware_version);
}
static DEVICE_ATTR_RO(firmware_version);

static ssize_t firmware_interface_show(struct device *dev,
				       struct device_attribute *attr, char *buf)
{
	u32 version = tandem_of(dev)->identity.interface;

	return sysfs_emit(buf, "%u.%u\n", version >> 16, version & 0xffff);
}
static DEVICE_ATTR_RO(firmware_interface);

static ssize_t uapi_version_show(struct device *dev,
				 struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u.%u\n", TANDEM_UAPI_VERSION >> 16,
			  TANDEM_UAPI_VERSION & 0xffff);
}
static DEVICE_ATTR_RO(uapi_version);

static ssize_t state_show(struct device *dev, struct device_attribute *attr,
			  char *buf)
{
	return sysfs_emit(buf, "%s\n", tandem_power_state(tandem_of(dev)));
}
static DEVICE_ATTR_RO(state);

static ssize_t memory_size_show(struct device *dev,
				struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", tandem_of(dev)->memory_size);
}
static DEVICE_ATTR_RO(memory_size);

static ssize_t memory_used_show(struct device *dev,
				struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%lld\n",
			  atomic64_read(&tandem_of(dev)->memory.used));
}
static DEVICE_ATTR_RO(memory_used);

static ssize_t memory_limit_per_file_show(struct device *dev,
					  struct device_attribute *attr,
					  char *buf)
{
	return sysfs_emit(buf, "%llu\n",
			  READ_ONCE(tandem_of(dev)->memory.file_limit));
}

static ssize_t memory_limit_per_file_store(struct device *dev,
					   struct device_attribute *attr,
					   const char *buf, size_t size)
{
	struct tandem_device *tdev = tandem_of(dev);
	u64 limit;
	int ret;

	ret = kstrtou64(buf, 0, &limit);
	if (ret)
		return ret;
	/* What files hold already, they keep. */
	WRITE_ONCE(tdev->memory.file_limit, min(limit, tdev->memory_size));
	return size;
}
static DEVICE_ATTR_RW(memory_limit_per_file);

static ssize_t copy_queues_show(struct device *dev,
				struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", tandem_of(dev)->identity.copy_queues);
}
static DEVICE_ATTR_RO(copy_queues);

static ssize_t compute_queues_show(struct device *dev,
				   struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n",
			  tandem_of(dev)->identity.compute_queues);
}
static DEVICE_ATTR_RO(compute_queues);

static ssize_t contexts_show(struct device *dev, struct device_attribute *attr,
			     char *buf)
{
	return sysfs_emit(buf, "%d\n", atomic_read(&tandem_of(dev)->contexts));
}
static DEVICE_ATTR_RO(contexts);

static ssize_t contexts_max_show(struct device *dev,
				 struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", TANDEM_CONTEXTS_MAX);
}
static DEVICE_ATTR_RO(contexts_max);

/* Of all engines of a kind. */
static void sum_stats(struct device *dev, u32 kind, struct tandem_stats *sum)
{
	tandem_engine_class_add_stats(&tandem_of(dev)->classes[kind], sum);
}

static ssize_t copy_busy_ns_show(struct device *dev,
				 struct device_attribute *attr, char *buf)
{
	struct tandem_stats sum = {};

	sum_stats(dev, TANDEM_HW_QUEUE_COPY, &sum);
	return sysfs_emit(buf, "%llu\n", sum.busy_ns);
}
static DEVICE_ATTR_RO(copy_busy_ns);

static ssize_t compute_busy_ns_show(struct device *dev,
				    struct device_attribute *attr, char *buf)
{
	struct tandem_stats sum = {};

	sum_stats(dev, TANDEM_HW_QUEUE_COMPUTE, &sum);
	return sysfs_emit(buf, "%llu\n", sum.busy_ns);
}
static DEVICE_ATTR_RO(compute_busy_ns);

static ssize_t commands_completed_show(struct device *dev,
				       struct device_attribute *attr, char *buf)
{
	struct tandem_stats sum = {};

	sum_stats(dev, TANDEM_HW_QUEUE_COPY, &sum);
	sum_stats(dev, TANDEM_HW_QUEUE_COMPUTE, &sum);
	return sysfs_emit(buf, "%llu\n", sum.completed);
}
static DEVICE_ATTR_RO(commands_completed);

static ssize_t commands_failed_show(struct device *dev,
				    struct device_attribute *attr, char *buf)
{
	struct tandem_stats sum = {};

	sum_stats(dev, TANDEM_HW_QUEUE_COPY, &sum);
	sum_stats(dev, TANDEM_HW_QUEUE_COMPUTE, &sum);
	return sysfs_emit(buf, "%llu\n", sum.failed);
}
static DEVICE_ATTR_RO(commands_failed);

static ssize_t resets_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	return sysfs_emit(buf, "%d\n",
			  atomic_read(&tandem_of(dev)->reset.count));
}
static DEVICE_ATTR_RO(resets);

static ssize_t reset_store(struct device *dev, struct device_attribute *attr,
			   const char *buf, size_t count)
{
	bool wanted;
	int ret;

	ret = kstrtobool(buf, &wanted);
	if (ret)
		return ret;
	if (!wanted)
		return -EINVAL;
	ret = tandem_reset_now(tandem_of(dev));
	return ret ?: count;
}
static DEVICE_ATTR_WO(reset);

static struct attribute *tandem_attrs[] = {
	&dev_attr_profile.attr,
	&dev_attr_role.attr,
	&dev_attr_firmware_version.attr,
	&dev_attr_firmware_interface.attr,
	&dev_attr_uapi_version.attr,
	&dev_attr_state.attr,
	&dev_attr_memory_size.attr,
	&dev_attr_memory_used.attr,
	&dev_attr_memory_limit_per_file.attr,
	&dev_attr_copy_queues.attr,
	&dev_attr_compute_queues.attr,
	&dev_attr_contexts.attr,
	&dev_attr_contexts_max.attr,
	&dev_attr_copy_busy_ns.attr,
	&dev_attr_compute_busy_ns.attr,
	&dev_attr_commands_completed.attr,
	&dev_attr_commands_failed.attr,
	&dev_attr_resets.attr,
	&dev_attr_reset.attr,
	NULL,
};

static const struct attribute_group tandem_group = {
	.attrs = tandem_attrs,
};

/* A directory for each class of memory that the device has. */
static u32 class_of(struct device_attribute *attr)
{
	struct dev_ext_attribute *ext =
		container_of(attr, struct dev_ext_attribute, attr);

	return (uintptr_t)ext->var;
}

static ssize_t kind_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	const struct tandem_memory_layout *layout =
		&tandem_of(dev)->identity.memory;

	return sysfs_emit(buf, "%s\n",
			  tandem_memory_kind_name(layout->class[class_of(attr)].kind));
}

static ssize_t size_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	u32 class = class_of(attr);

	return sysfs_emit(buf, "%llu\n",
			  tandem_of(dev)->identity.memory.class[class].size);
}

static ssize_t used_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	u32 class = class_of(attr);

	return sysfs_emit(buf, "%lld\n",
			  atomic64_read(&tandem_of(dev)->memory.class[class].used));
}

static bool has_class(struct kobject *kobj, struct device_attribute *attr)
{
	return class_of(attr) < tandem_of(kobj_to_dev(kobj))->identity.memory.count;
}

#define CLASS_ATTRIBUTE(class, name)					\
	static struct dev_ext_attribute memory_class##class##_##name = {	\
		.attr = __ATTR_RO(name),				\
		.var = (void *)(uintptr_t)(class),			\
	}

CLASS_ATTRIBUTE(0, kind);
CLASS_ATTRIBUTE(0, size);
CLASS_ATTRIBUTE(0, used);
CLASS_ATTRIBUTE(1, kind);
CLASS_ATTRIBUTE(1, size);
CLASS_ATTRIBUTE(1, used);
CLASS_ATTRIBUTE(2, kind);
CLASS_ATTRIBUTE(2, size);
CLASS_ATTRIBUTE(2, used);
CLASS_ATTRIBUTE(3, kind);
CLASS_ATTRIBUTE(3, size);
CLASS_ATTRIBUTE(3, used);

#define CLASS_GROUP(class)						\
	static struct attribute *memory_class##class##_attrs[] = {	\
		&memory_class##class##_kind.attr.attr,			\
		&memory_class##class##_size.attr.attr,			\
		&memory_class##class##_used.attr.attr,			\
		NULL,							\
	};								\
	static bool memory_class##class##_group_visible(struct kobject *kobj) \
	{								\
		return has_class(kobj, &memory_class##class##_kind.attr); \
	}								\
	DEFINE_SIMPLE_SYSFS_GROUP_VISIBLE(memory_class##class);		\
	static const struct attribute_group memory_class##class##_group = { \
		.name = "memory_class" #class,				\
		.attrs = memory_class##class##_attrs,			\
		.is_visible = SYSFS_GROUP_VISIBLE(memory_class##class),	\
	}

CLASS_GROUP(0);
CLASS_GROUP(1);
CLASS_GROUP(2);
CLASS_GROUP(3);
static_assert(TANDEM_HW_MEMORY_CLASSES_MAX == 4);

const struct attribute_group *tandem_device_groups[] = {
	&tandem_group,
	&memory_class0_group,
	&memory_class1_group,
	&memory_class2_group,
	&memory_class3_group,
	NULL,
};
