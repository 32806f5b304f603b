// SPDX-License-Identifier: GPL-2.0
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <linux/io_uring/cmd.h>

#include "tandem_accel.h"
#include "tandem_context.h"
#include "tandem_device.h"
#include "tandem_engine.h"
#include "tandem_file.h"
#include "tandem_job.h"
#include "tandem_queue.h"
#include "tandem_uring.h"
#include "tandem_user.h"

static_assert(sizeof(struct tandem_uring_command) == 80);

/* The SQE is mapped to user space: each member is read once. */
static void read_command(struct tandem_uring_command *to,
			 const struct tandem_uring_command *from)
{
	to->queue = READ_ONCE(from->queue);
	to->flags = READ_ONCE(from->flags);
	to->dst_region = READ_ONCE(from->dst_region);
	to->src_region = READ_ONCE(from->src_region);
	to->dst_offset = READ_ONCE(from->dst_offset);
	to->src_offset = READ_ONCE(from->src_offset);
	to->length = READ_ONCE(from->length);
	to->in_syncobj = READ_ONCE(from->in_syncobj);
	to->out_syncobj = READ_ONCE(from->out_syncobj);
	to->in_point = READ_ONCE(from->in_point);
	to->out_point = READ_ONCE(from->out_point);
	to->cookie = READ_ONCE(from->cookie);
	to->reserved = READ_ONCE(from->reserved);
}

/* What does not depend on the queue or its context. */
static int check_command(u32 op, const struct tandem_uring_command *command)
{
	bool has_dst = op == TANDEM_URING_COPY || op == TANDEM_URING_FILL;
	bool has_src = op == TANDEM_URING_COPY || op == TANDEM_URING_EXEC;

	if (command->flags || command->in_syncobj || command->out_syncobj ||
	    command->in_point || command->out_point || command->reserved)
		return -EINVAL;
	if (!has_dst && (command->dst_region || command->dst_offset))
		return -EINVAL;
	if (!has_src && command->src_region)
		return -EINVAL;
	if ((has_dst || has_src) != !!command->length)
		return -EINVAL;

	switch (op) {
	case TANDEM_URING_NOP:
	case TANDEM_URING_CANCEL:
		return command->src_offset ? -EINVAL : 0;
	case TANDEM_URING_COPY:
		return command->dst_region == TANDEM_REGION_USER &&
		       command->src_region == TANDEM_REGION_USER ? -EINVAL : 0;
	case TANDEM_URING_FILL:
		return command->src_offset > U32_MAX ||
		       command->dst_offset % 4 ||
		       command->length % 4 ? -EINVAL : 0;
	case TANDEM_URING_EXEC:
		return command->src_region == TANDEM_REGION_USER ? -EINVAL : 0;
	default:
		return -EINVAL;
	}
}

/* Regions that are not the user's own memory. */
static int check_regions(struct tandem_context *context, u32 op,
			 const struct tandem_uring_command *command)
{
	int ret = 0;

	if ((op == TANDEM_URING_COPY || op == TANDEM_URING_FILL) &&
	    command->dst_region != TANDEM_REGION_USER)
		ret = tandem_context_check(context, command->dst_region,
					   command->dst_offset, command->length,
					   TANDEM_REGION_WRITE);
	if (!ret && (op == TANDEM_URING_COPY || op == TANDEM_URING_EXEC) &&
	    command->src_region != TANDEM_REGION_USER)
		ret = tandem_context_check(context, command->src_region,
					   command->src_offset, command->length,
					   TANDEM_REGION_READ);
	return ret;
}

static u8 opcode_of(u32 op)
{
	switch (op) {
	case TANDEM_URING_COPY:
		return TANDEM_HW_OP_COPY;
	case TANDEM_URING_FILL:
		return TANDEM_HW_OP_FILL;
	case TANDEM_URING_EXEC:
		return TANDEM_HW_OP_EXEC;
	default:
		return TANDEM_HW_OP_NOP;
	}
}

/* Regions of user memory are filled in later. */
static void describe(struct tandem_job *job, u32 op,
		     const struct tandem_uring_command *command)
{
	struct tandem_hw_descriptor *descriptor = &job->descriptor;

	descriptor->opcode = opcode_of(op);
	descriptor->context = cpu_to_le32(job->queue->context->index);
	descriptor->length = cpu_to_le64(command->length);
	if (command->dst_region != TANDEM_REGION_USER) {
		descriptor->dst_region = cpu_to_le32(command->dst_region);
		descriptor->dst_offset = cpu_to_le64(command->dst_offset);
	}
	if (op == TANDEM_URING_FILL) {
		descriptor->argument = cpu_to_le64(command->src_offset);
	} else if (command->src_region != TANDEM_REGION_USER) {
		descriptor->src_region = cpu_to_le32(command->src_region);
		descriptor->src_offset = cpu_to_le64(command->src_offset);
	}
}

static int pin_user_memory(struct tandem_job *job,
			   const struct tandem_uring_command *command)
{
	if (command->dst_region == TANDEM_REGION_USER) {
		job->user_is_dst = true;
		return tandem_user_pin(&job->user, command->dst_offset,
				       command->length, true);
	}
	if (command->src_region == TANDEM_REGION_USER)
		return tandem_user_pin(&job->user, command->src_offset,
				       command->length, false);
	return 0;
}

/* In the submitter's context, or in a worker when that is dying. */
static void post_completion(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct tandem_job *job = *io_uring_cmd_to_pdu(cmd, struct tandem_job *);

	tandem_user_release(job->queue->context->tdev, &job->user);
	io_uring_cmd_done(cmd, job->result, job->detail, issue_flags);
	tandem_job_put(job);
}

static void job_ended(struct tandem_job *job)
{
	io_uring_cmd_complete_in_task(job->private, post_completion);
}

/* The reference to @queue goes over. */
static int uring_submit(struct tandem_file *file, struct tandem_queue *queue,
			struct io_uring_cmd *cmd,
			const struct tandem_uring_command *command,
			unsigned int issue_flags)
{
	struct tandem_device *tdev = file->tdev;
	struct tandem_job *job;
	int ret, cookie;

	job = tandem_job_create(queue);
	if (!job) {
		tandem_queue_put(queue);
		return -ENOMEM;
	}
	job->cookie = command->cookie;
	job->complete = job_ended;
	job->private = cmd;
	describe(job, cmd->cmd_op, command);

	/* May take a fault of the user's: the device must not wait for it. */
	ret = pin_user_memory(job, command);
	if (ret)
		goto put_job;
	ret = -ENODEV;
	if (!drm_dev_enter(&tdev->drm, &cookie))
		goto release_user;
	if (job->user.pages) {
		ret = tandem_user_map(tdev, &job->user);
		if (ret)
			goto exit_device;
	}

	*io_uring_cmd_to_pdu(cmd, struct tandem_job *) = job;
	io_uring_cmd_mark_cancelable(cmd, issue_flags);
	/* From here on it ends by job_ended() only. */
	tandem_engine_submit(queue->engine, job);
	drm_dev_exit(cookie);
	return -EIOCBQUEUED;

exit_device:
	drm_dev_exit(cookie);
release_user:
	tandem_user_release(tdev, &job->user);
put_job:
	tandem_job_put(job);
	return ret;
}

static int uring_issue(struct tandem_file *file, struct io_uring_cmd *cmd,
		       unsigned int issue_flags)
{
	struct tandem_uring_command command;
	u32 op = cmd->cmd_op;
	struct tandem_queue *queue;
	int ret;

	if (!(issue_flags & IO_URING_F_SQE128) ||
	    cmd->flags & IORING_URING_CMD_MASK)
		return -EINVAL;
	if (tandem_device_is_dead(file->tdev))
		return -ENODEV;
	read_command(&command, io_uring_sqe_cmd(cmd->sqe));
	ret = check_command(op, &command);
	if (ret)
		return ret;
	queue = tandem_queue_find(file, command.queue);
	if (!queue)
		return -ENOENT;

	if (op == TANDEM_URING_CANCEL) {
		ret = tandem_engine_cancel_cookie(queue->engine, queue,
						  command.cookie) ? 0 : -ENOENT;
		goto put_queue;
	}
	ret = -EINVAL;
	if (op == TANDEM_URING_EXEC && queue->kind != TANDEM_QUEUE_COMPUTE)
		goto put_queue;
	ret = check_regions(queue->context, op, &command);
	if (ret)
		goto put_queue;
	/*
	 * Even when asked not to sleep: from a worker thread, the commands of a
	 * queue would come in any order.
	 */
	return uring_submit(file, queue, cmd, &command, issue_flags);

put_queue:
	tandem_queue_put(queue);
	return ret;
}

int tandem_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct drm_file *filp = cmd->file->private_data;
	struct tandem_job *job;

	if (issue_flags & IO_URING_F_CANCEL) {
		/* Not completed yet, so the job is there. */
		job = *io_uring_cmd_to_pdu(cmd, struct tandem_job *);
		tandem_engine_cancel(job->queue->engine, job);
		return 0;
	}
	return uring_issue(filp->driver_priv, cmd, issue_flags);
}
