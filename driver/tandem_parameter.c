// SPDX-License-Identifier: GPL-2.0
#include <linux/kstrtox.h>
#include <linux/printk.h>
#include <linux/sysfs.h>

#include "tandem_parameter.h"

static int set(const char *text, const struct kernel_param *param)
{
	struct tandem_parameter *parameter = param->arg;
	unsigned int value;
	int ret;

	ret = kstrtouint(text, 0, &value);
	if (!ret && value >= parameter->least && value <= parameter->most) {
		WRITE_ONCE(parameter->value, value);
		return 0;
	}
	pr_err("tandem: parameter %s: give a number from %u to %u\n",
	       param->name, parameter->least, parameter->most);
	return -EINVAL;
}

static int get(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%u\n", tandem_parameter_get(param->arg));
}

const struct kernel_param_ops tandem_parameter_ops = {
	.set = set,
	.get = get,
};
