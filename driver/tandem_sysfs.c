// SPDX-License-Identifier: GPL-2.0
#include <linux/device.h>
#include <linux/sysfs.h>

#include "tandem_device.h"

/**
 * DOC: sysfs
 *
 * In the directory of the device on its bus, which is
 * /sys/class/accel/accelN/device:
 *
 * profile
 *	name of the device model, such as "trn2"
 * role
 *	what the device is meant for: "any", "prefill" or "decode"
 * firmware_version
 *	as the firmware says
 * memory_size
 *	bytes of device memory
 * memory_used
 *	bytes of it that objects hold
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
			  atomic64_read(&tandem_of(dev)->memory_used));
}
static DEVICE_ATTR_RO(memory_used);

static struct attribute *tandem_attrs[] = {
	&dev_attr_profile.attr,
	&dev_attr_role.attr,
	&dev_attr_firmware_version.attr,
	&dev_attr_memory_size.attr,
	&dev_attr_memory_used.attr,
	NULL,
};

static const struct attribute_group tandem_group = {
	.attrs = tandem_attrs,
};

const struct attribute_group *tandem_device_groups[] = {
	&tandem_group,
	NULL,
};
