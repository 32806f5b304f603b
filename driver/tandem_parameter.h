/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Module parameters that are numbers within a range, and can be changed while
 * the driver is loaded. One that is out of its range is refused with -EINVAL and
 * a message, also when the module is being loaded.
 */
#ifndef _TANDEM_PARAMETER_H
#define _TANDEM_PARAMETER_H

#include <linux/module.h>
#include <linux/moduleparam.h>

/**
 * struct tandem_parameter - a parameter
 * @value: changes at any time
 * @least: in range
 * @most: likewise
 */
struct tandem_parameter {
	unsigned int value;
	unsigned int least;
	unsigned int most;
};

extern const struct kernel_param_ops tandem_parameter_ops;

/* Defines the parameter @name, as parameter_@name, for root to change. */
#define TANDEM_PARAMETER(name, usual, least_, most_)			\
	static struct tandem_parameter parameter_##name = {		\
		.value = (usual),					\
		.least = (least_),					\
		.most = (most_),					\
	};								\
	module_param_cb(name, &tandem_parameter_ops, &parameter_##name,	\
			0644);						\
	MODULE_INFO(parmtype, #name ":uint")

static inline unsigned int
tandem_parameter_get(const struct tandem_parameter *parameter)
{
	return READ_ONCE(parameter->value);
}

#endif /* _TANDEM_PARAMETER_H */
