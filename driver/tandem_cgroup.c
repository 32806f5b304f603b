// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/errno.h>

#include "tandem_cgroup.h"
#include "tandem_compat.h"
#include "tandem_memory_class.h"

#ifdef TANDEM_HAVE_DMEM_CGROUP
#include <linux/cgroup_dmem.h>

struct dmem_cgroup_region *
tandem_cgroup_register(const char *device, u32 class, u32 kind, u64 size)
{
	const char *name = tandem_memory_kind_name(kind);
#ifdef TANDEM_HAVE_DMEM_CGROUP_INIT
	const struct dmem_cgroup_init init = { .size = size };

	return dmem_cgroup_register_region(&init, "drm/%s/%s%u", device, name,
					   class);
#else
	return dmem_cgroup_register_region(size, "drm/%s/%s%u", device, name,
					   class);
#endif
}

void tandem_cgroup_unregister(struct dmem_cgroup_region *region)
{
	if (region)
		dmem_cgroup_unregister_region(region);
}

int tandem_cgroup_charge(struct dmem_cgroup_region *region, u64 size,
			 struct dmem_cgroup_pool_state **pool)
{
	int ret;

	*pool = NULL;
	if (!region)
		return 0;
	ret = dmem_cgroup_try_charge(region, size, pool, NULL);
	return ret == -EAGAIN ? -EDQUOT : ret;
}

void tandem_cgroup_uncharge(struct dmem_cgroup_pool_state *pool, u64 size)
{
	if (pool)
		dmem_cgroup_uncharge(pool, size);
}

#else

struct dmem_cgroup_region *
tandem_cgroup_register(const char *device, u32 class, u32 kind, u64 size)
{
	return NULL;
}

void tandem_cgroup_unregister(struct dmem_cgroup_region *region)
{
}

int tandem_cgroup_charge(struct dmem_cgroup_region *region, u64 size,
			 struct dmem_cgroup_pool_state **pool)
{
	*pool = NULL;
	return 0;
}

void tandem_cgroup_uncharge(struct dmem_cgroup_pool_state *pool, u64 size)
{
}

#endif /* TANDEM_HAVE_DMEM_CGROUP */
