/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The dmem controller of cgroups: each class of each device's memory is a
 * region of it, "drm/<device>/<kind><class>". On kernels without the controller
 * there are no regions, and nothing is charged.
 */
#ifndef _TANDEM_CGROUP_H
#define _TANDEM_CGROUP_H

#include <linux/types.h>

struct dmem_cgroup_pool_state;
struct dmem_cgroup_region;

/* NULL when there is no controller; -ENOMEM. */
struct dmem_cgroup_region *
tandem_cgroup_register(const char *device, u32 class, u32 kind, u64 size);
/* What is charged stays so until it is uncharged. */
void tandem_cgroup_unregister(struct dmem_cgroup_region *region);

/*
 * Charges the current process's cgroup. *@pool is to be handed back, and is
 * NULL when nothing was charged. -EDQUOT when it may not have so much, -ENOMEM.
 */
int tandem_cgroup_charge(struct dmem_cgroup_region *region, u64 size,
			 struct dmem_cgroup_pool_state **pool);
void tandem_cgroup_uncharge(struct dmem_cgroup_pool_state *pool, u64 size);

#endif /* _TANDEM_CGROUP_H */
