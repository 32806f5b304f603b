/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between kernels, from 6.12 on. What a kernel has is found by
 * compiling driver/compat/probes.c.
 */
#ifndef _TANDEM_COMPAT_H
#define _TANDEM_COMPAT_H

#include <linux/io_uring/cmd.h>
#include <linux/module.h>

#include "tandem_probed.h"

#ifdef TANDEM_HAVE_MODULE_IMPORT_NS_WITHOUT_QUOTES
#define TANDEM_IMPORT_NS_DMA_BUF	MODULE_IMPORT_NS(DMA_BUF)
#define TANDEM_IMPORT_NS_KUNIT						\
	MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING)
#else
#define TANDEM_IMPORT_NS_DMA_BUF	MODULE_IMPORT_NS("DMA_BUF")
#define TANDEM_IMPORT_NS_KUNIT						\
	MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING")
#endif

/* A member of struct drm_driver that newer kernels do without. */
#ifdef TANDEM_HAVE_DRM_DRIVER_DATE
#define TANDEM_DRM_DRIVER_DATE	.date = "20261124",
#else
#define TANDEM_DRM_DRIVER_DATE
#endif

/* What drm_print_memory_stats() is to show; it may show "active" in any case. */
#ifdef TANDEM_HAVE_GEM_OBJECT_ACTIVE
#define TANDEM_MEMORY_STATS						\
	(DRM_GEM_OBJECT_RESIDENT | DRM_GEM_OBJECT_ACTIVE)
#else
#define TANDEM_MEMORY_STATS	DRM_GEM_OBJECT_RESIDENT
#endif

/* @extra reaches users with 32-byte completions. */
static inline void tandem_uring_done(struct io_uring_cmd *cmd, s32 result,
				     u64 extra, unsigned int issue_flags)
{
#ifdef TANDEM_HAVE_URING_DONE_RES2
	io_uring_cmd_done(cmd, result, extra, issue_flags);
#else
	io_uring_cmd_done32(cmd, result, extra, issue_flags);
#endif
}

/* The 80 bytes for the command in an entry of a ring with 128-byte entries. */
static inline const void *tandem_uring_sqe128(const struct io_uring_sqe *sqe)
{
#ifdef TANDEM_HAVE_URING_SQE128_CMD
	return io_uring_sqe128_cmd(sqe, struct { u64 field[10]; });
#else
	return io_uring_sqe_cmd(sqe);
#endif
}

/*
 * TANDEM_URING_TASK_WORK(name, function) defines @name, which can be given to
 * io_uring_cmd_complete_in_task() and calls @function(command, issue_flags).
 */
#ifdef TANDEM_HAVE_URING_TASK_WORK_OF_COMMAND
#define TANDEM_URING_TASK_WORK(name, function)				\
	static void name(struct io_uring_cmd *cmd,			\
			 unsigned int issue_flags)			\
	{								\
		function(cmd, issue_flags);				\
	}
#else
#define TANDEM_URING_TASK_WORK(name, function)				\
	static void name(struct io_tw_req request, io_tw_token_t token)	\
	{								\
		function(io_uring_cmd_from_tw(request),			\
			 IO_URING_CMD_TASK_WORK_ISSUE_FLAGS);		\
	}
#endif

#endif /* _TANDEM_COMPAT_H */
