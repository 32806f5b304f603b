// SPDX-License-Identifier: GPL-2.0
#include <drm/drm_file.h>
#include <linux/err.h>

#include "tandem_ban.h"
#include "tandem_command.h"
#include "tandem_context.h"
#include "tandem_engine.h"
#include "tandem_file.h"
#include "tandem_hw.h"
#include "tandem_job.h"
#include "tandem_list.h"
#include "tandem_queue.h"
#include "tandem_user.h"

/* Bytes from one segment to the next, at most: they are all looked at. */
#define SEGMENT_STRIDE_MAX	4096

static_assert(sizeof(struct tandem_uring_command) == 80);

/* Each member is read once. */
void tandem_command_read(struct tandem_uring_command *to,
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

int tandem_command_check(u32 op, const struct tandem_uring_command *command)
{
	bool has_dst = op == TANDEM_URING_COPY || op == TANDEM_URING_FILL;
	bool has_src = op == TANDEM_URING_COPY || op == TANDEM_URING_EXEC;
	bool has_list = op == TANDEM_URING_COPY_LIST;

	if (command->flags & ~TANDEM_COMMAND_REPORT_MASK || command->reserved)
		return -EINVAL;
	if ((!command->in_syncobj && command->in_point) ||
	    (!command->out_syncobj && command->out_point))
		return -EINVAL;
	if (op == TANDEM_URING_CANCEL &&
	    (command->flags || command->in_syncobj || command->out_syncobj))
		return -EINVAL;
	if ((!has_dst && command->dst_region) ||
	    (!has_src && command->src_region) ||
	    (!has_dst && !has_list && command->dst_offset))
		return -EINVAL;
	if ((has_dst || has_src || has_list) != !!command->length)
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
	case TANDEM_URING_COPY_LIST:
		return command->dst_offset < sizeof(struct tandem_segment) ||
		       command->dst_offset > SEGMENT_STRIDE_MAX ||
		       command->dst_offset % 8 ||
		       command->length > TANDEM_HW_SEGMENTS_MAX ? -EINVAL : 0;
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
	case TANDEM_URING_COPY_LIST:
		return TANDEM_HW_OP_COPY_LIST;
	default:
		return TANDEM_HW_OP_NOP;
	}
}

void tandem_command_describe(struct tandem_hw_descriptor *descriptor, u32 op,
			     const struct tandem_uring_command *command)
{
	descriptor->opcode = opcode_of(op);
	descriptor->length = cpu_to_le64(command->length);
	if (op == TANDEM_URING_COPY_LIST)
		return;
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

/* What the current process has of the command: its memory, or a list. */
static int take_user_memory(struct tandem_job *job, u32 op,
			    const struct tandem_uring_command *command)
{
	if (op == TANDEM_URING_COPY_LIST)
		return tandem_list_read(&job->list, job->queue->context,
					command->src_offset, command->length,
					command->dst_offset);
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

struct tandem_job *
tandem_command_prepare(struct drm_file *filp, u32 op,
		       const struct tandem_uring_command *command)
{
	struct tandem_queue *queue;
	struct tandem_job *job;
	int ret;

	queue = tandem_queue_find(filp->driver_priv, command->queue);
	if (!queue)
		return ERR_PTR(-ENOENT);
	/* The engine asks again: this only saves the work. */
	ret = -EIO;
	if (tandem_context_is_banned(queue->context))
		goto put_queue;
	ret = -EINVAL;
	if (op == TANDEM_URING_EXEC && queue->kind != TANDEM_QUEUE_COMPUTE)
		goto put_queue;
	ret = check_regions(queue->context, op, command);
	if (ret)
		goto put_queue;
	ret = -ENOMEM;
	job = tandem_job_create(queue);
	if (!job)
		goto put_queue;

	job->cookie = command->cookie;
	job->report = command->flags & TANDEM_COMMAND_REPORT_MASK;
	tandem_command_describe(&job->descriptor, op, command);
	job->descriptor.context = cpu_to_le32(queue->context->index);
	ret = take_user_memory(job, op, command);
	if (ret)
		goto discard_job;
	ret = tandem_fence_prepare(job, filp, command);
	if (ret)
		goto discard_job;
	return job;

discard_job:
	tandem_job_discard(job);
	return ERR_PTR(ret);
put_queue:
	tandem_queue_put(queue);
	return ERR_PTR(ret);
}

int tandem_command_cancel(struct drm_file *filp,
			  const struct tandem_uring_command *command)
{
	struct tandem_queue *queue;
	unsigned int count;

	queue = tandem_queue_find(filp->driver_priv, command->queue);
	if (!queue)
		return -ENOENT;
	count = tandem_engine_cancel_cookie(queue, command->cookie);
	tandem_queue_put(queue);
	return count ? 0 : -ENOENT;
}
