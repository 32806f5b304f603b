// SPDX-License-Identifier: GPL-2.0
/*
 * What kernels differ in. Each part uses one interface as some kernels have it;
 * where it compiles, tandem_probed.h says TANDEM_HAVE_ and its name. What is
 * made of that is in tandem_compat.h.
 *
 * Versions are not asked for: distributions carry interfaces back.
 *
 * probe.sh compiles this file once for each name, without linking.
 */
#ifdef TANDEM_PROBE_KERNEL
/* Compiles everywhere: if not, no other answer means anything. */
#include <drm/drm_drv.h>
#include <linux/module.h>

static const struct drm_driver probe __used = { .name = "probe" };
#endif

#ifdef TANDEM_PROBE_DRM_DRIVER_DATE
#include <drm/drm_drv.h>

static const struct drm_driver probe __used = { .date = "20261124" };
#endif

#ifdef TANDEM_PROBE_MODULE_IMPORT_NS_WITHOUT_QUOTES
#include <linux/module.h>

MODULE_IMPORT_NS(DMA_BUF);
#endif

#ifdef TANDEM_PROBE_URING_DONE_RES2
#include <linux/io_uring/cmd.h>

static void probe(struct io_uring_cmd *cmd) __used;
static void probe(struct io_uring_cmd *cmd)
{
	io_uring_cmd_done(cmd, 0, 0, 0);
}
#endif

#ifdef TANDEM_PROBE_URING_TASK_WORK_OF_COMMAND
#include <linux/io_uring/cmd.h>

static void work(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
}

static void probe(struct io_uring_cmd *cmd) __used;
static void probe(struct io_uring_cmd *cmd)
{
	io_uring_cmd_complete_in_task(cmd, work);
}
#endif

#ifdef TANDEM_PROBE_URING_SQE128_CMD
#include <linux/io_uring/cmd.h>

static const void *probe(struct io_uring_cmd *cmd) __used;
static const void *probe(struct io_uring_cmd *cmd)
{
	return io_uring_sqe128_cmd(cmd->sqe, struct { u64 field[10]; });
}
#endif

#ifdef TANDEM_PROBE_DMEM_CGROUP
#include <linux/cgroup_dmem.h>

static int probe(struct dmem_cgroup_region *region,
		 struct dmem_cgroup_pool_state **pool) __used;
static int probe(struct dmem_cgroup_region *region,
		 struct dmem_cgroup_pool_state **pool)
{
	return dmem_cgroup_try_charge(region, 4096, pool, NULL);
}
#endif

#ifdef TANDEM_PROBE_DMEM_CGROUP_INIT
#include <linux/cgroup_dmem.h>

static struct dmem_cgroup_region *probe(void) __used;
static struct dmem_cgroup_region *probe(void)
{
	const struct dmem_cgroup_init init = { .size = 4096 };

	return dmem_cgroup_register_region(&init, "probe");
}
#endif

#ifdef TANDEM_PROBE_GEM_OBJECT_ACTIVE
#include <drm/drm_gem.h>

static enum drm_gem_object_status probe(void) __used;
static enum drm_gem_object_status probe(void)
{
	return DRM_GEM_OBJECT_ACTIVE;
}
#endif
