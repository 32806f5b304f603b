// SPDX-License-Identifier: GPL-2.0
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <linux/err.h>
#include <linux/io_uring/cmd.h>

#include "tandem_command.h"
#include "tandem_compat.h"
#include "tandem_device.h"
#include "tandem_engine.h"
#include "tandem_file.h"
#include "tandem_job.h"
#include "tandem_queue.h"
#include "tandem_uring.h"

/* In the submitter's context, or in a worker when that is dying. */
static void post_completion(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct tandem_job *job = *io_uring_cmd_to_pdu(cmd, struct tandem_job *);

	tandem_job_release(job);
	tandem_uring_done(cmd, job->result, job->detail, issue_flags);
	tandem_job_put(job);
}

TANDEM_URING_TASK_WORK(post_completion_work, post_completion)

static void job_ended(struct tandem_job *job)
{
	io_uring_cmd_complete_in_task(job->private, post_completion_work);
}

static int submit(struct tandem_device *tdev, struct tandem_job *job,
		  struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	int ret, cookie;

	job->complete = job_ended;
	job->private = cmd;
	if (!drm_dev_enter(&tdev->drm, &cookie))
		return -ENODEV;
	ret = tandem_job_map(job);
	if (ret)
		goto exit_device;

	*io_uring_cmd_to_pdu(cmd, struct tandem_job *) = job;
	io_uring_cmd_mark_cancelable(cmd, issue_flags);
	/* From here on it ends by job_ended() only. */
	tandem_job_submit(job);
	ret = -EIOCBQUEUED;
exit_device:
	drm_dev_exit(cookie);
	return ret;
}

static int issue(struct drm_file *filp, struct io_uring_cmd *cmd,
		 unsigned int issue_flags)
{
	struct tandem_file *file = filp->driver_priv;
	struct tandem_uring_command command;
	struct tandem_job *job;
	u32 op = cmd->cmd_op;
	int ret;

	if (!(issue_flags & IO_URING_F_SQE128) ||
	    cmd->flags & IORING_URING_CMD_MASK)
		return -EINVAL;
	if (tandem_device_is_dead(file->tdev))
		return -ENODEV;
	/* The SQE is mapped to user space. */
	tandem_command_read(&command, tandem_uring_sqe128(cmd->sqe));
	ret = tandem_command_check(op, &command);
	if (ret)
		return ret;
	if (op == TANDEM_URING_CANCEL)
		return tandem_command_cancel(filp, &command);
	/*
	 * Even when asked not to sleep: from a worker thread, the commands of a
	 * queue would come in any order.
	 */
	job = tandem_command_prepare(filp, op, &command);
	if (IS_ERR(job))
		return PTR_ERR(job);
	ret = submit(file->tdev, job, cmd, issue_flags);
	if (ret != -EIOCBQUEUED)
		tandem_job_discard(job);
	return ret;
}

int tandem_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct tandem_job *job;

	if (issue_flags & IO_URING_F_CANCEL) {
		/* Not completed yet, so the job is there. */
		job = *io_uring_cmd_to_pdu(cmd, struct tandem_job *);
		tandem_engine_cancel(job);
		return 0;
	}
	return issue(cmd->file->private_data, cmd, issue_flags);
}
