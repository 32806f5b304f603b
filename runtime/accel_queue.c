// SPDX-License-Identifier: MIT
/*
 * Queues of accel devices. A command is one request on the loop's ring, its
 * completion is the command's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xf86drm.h>

#include "accel.h"
#include "error.h"
#include "fence.h"

/* The SQE's second half; struct tandem_uring_command fills it. */
#define SQE128_COMMAND_BYTES	80
/* How long to wait before asking again for a cancellation, in milliseconds. */
#define CANCEL_RETRY_MS		2

_Static_assert(sizeof(struct tandem_uring_command) == SQE128_COMMAND_BYTES,
	       "the command has to fit into an SQE128");

/**
 * struct accel_queue - a queue
 * @base: generic part
 * @id: the driver's
 */
struct accel_queue {
	struct tandem_queue base;
	uint32_t id;
};

/**
 * struct accel_command - a command from start to completion
 * @event: of its request
 * @cancel_event: of the request to cancel it
 * @cancel_retry: when to ask again
 * @device: its device
 * @op: the application's; NULL once it has ended
 * @cookie: by which CANCEL finds it
 * @segments: COPY_LIST: what the driver reads when the request is submitted;
 *	NULL for others
 * @signal: what it was told to signal
 * @queue: the driver's id of its queue
 * @modelled: a program: it reports the modelled time, not the measured one
 * @cancelling: @cancel_event is under way
 */
struct accel_command {
	struct loop_event event;
	struct loop_event cancel_event;
	struct loop_timer *cancel_retry;
	struct accel_device *device;
	struct tandem_operation *op;
	uint64_t cookie;
	struct tandem_segment *segments;
	struct tandem_fence_point signal;
	uint32_t queue;
	bool modelled;
	bool cancelling;
};

static const uint32_t opcodes[] = {
	[DEVICE_NOP] = TANDEM_URING_NOP,
	[DEVICE_COPY] = TANDEM_URING_COPY,
	[DEVICE_FILL] = TANDEM_URING_FILL,
	[DEVICE_EXEC] = TANDEM_URING_EXEC,
	[DEVICE_COPY_LIST] = TANDEM_URING_COPY_LIST,
};

static struct accel_queue *to_accel_queue(struct tandem_queue *queue)
{
	return (struct accel_queue *)queue;
}

static void prepare(struct io_uring_sqe *sqe, struct accel_device *device, uint32_t opcode,
		    const struct tandem_uring_command *command, struct loop_event *event)
{
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, device->fd, NULL, 0, 0);
	sqe->cmd_op = opcode;
	memcpy(sqe->cmd, command, sizeof(*command));
	io_uring_sqe_set_data(sqe, event);
}

static int command_send_cancel(struct accel_command *command);

static void command_free(struct accel_command *command)
{
	free(command->segments);
	free(command);
}

static void command_put(struct accel_command *command)
{
	if (!command->op && !command->cancelling)
		command_free(command);
}

static void cancel_again(void *user)
{
	struct accel_command *command = user;

	command->cancel_retry = NULL;
	command_send_cancel(command);
}

/*
 * ENOENT while the command is pending: io_uring has handed it to a worker
 * which has not brought it to the driver yet.
 */
static void cancel_fire(struct loop_event *event, int result, uint64_t extra)
{
	struct accel_command *command =
		(void *)((char *)event - offsetof(struct accel_command, cancel_event));

	(void)extra;
	command->cancelling = false;
	if (command->op && result == -ENOENT)
		loop_timer_start(command->device->base.loop, CANCEL_RETRY_MS, cancel_again,
				 command, &command->cancel_retry);
	command_put(command);
}

static int command_send_cancel(struct accel_command *command)
{
	struct tandem_uring_command cancel = {
		.queue = command->queue,
		.cookie = command->cookie,
	};
	struct io_uring_sqe *sqe;

	if (command->cancelling || command->cancel_retry)
		return 0;
	sqe = loop_sqe(command->device->base.loop);
	if (!sqe)
		return -ENOMEM;
	prepare(sqe, command->device, TANDEM_URING_CANCEL, &cancel, &command->cancel_event);
	command->cancelling = true;
	return 0;
}

static int command_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	(void)loop;
	return command_send_cancel(operation_data(op));
}

static void command_fire(struct loop_event *event, int result, uint64_t extra)
{
	struct accel_command *command = (struct accel_command *)event;
	struct tandem_operation *op = command->op;
	const bool modelled = command->modelled;

	loop_timer_stop(command->cancel_retry);
	command->cancel_retry = NULL;
	command->op = NULL;
	if (result == -ENODEV)
		device_lost(&command->device->base);
	else if (result && command->signal.fence)
		accel_fence_ended(command->signal.fence, command->signal.point);
	command_put(command);
	if (modelled)
		op->modelled_ns = result ? 0 : extra;
	device_operation_complete(op, result, result || modelled ? 0 : extra);
}

/* The list as the driver wants it, kept until it has read it. */
static int command_set_segments(struct accel_command *command,
				const struct device_command *list,
				struct tandem_uring_command *uring)
{
	uint64_t i;

	if (list->opcode != DEVICE_COPY_LIST)
		return 0;
	command->segments = calloc(list->length, sizeof(*command->segments));
	if (!command->segments)
		return -ENOMEM;
	for (i = 0; i < list->length; i++) {
		const struct tandem_copy_segment *from = &list->segments[i];

		command->segments[i] = (struct tandem_segment){
			.dst_region = from->destination->region,
			.src_region = from->source->region,
			.dst_offset = from->destination_offset,
			.src_offset = from->source_offset,
			.length = from->length,
		};
	}
	uring->src_offset = (uintptr_t)command->segments;
	uring->dst_offset = sizeof(*command->segments);
	return 0;
}

/* @op->signal has been promised if that succeeds. */
static int command_set_fences(const struct tandem_operation *op,
			      struct tandem_uring_command *uring, uint64_t *before)
{
	if (op->wait.fence) {
		uring->in_syncobj = accel_fence_syncobj(op->wait.fence);
		uring->in_point = op->wait.point;
	}
	if (!op->signal.fence)
		return 0;
	uring->out_syncobj = accel_fence_syncobj(op->signal.fence);
	uring->out_point = op->signal.point;
	return fence_promise(op->signal.fence->line, op->signal.point, before);
}

int accel_queue_submit(struct tandem_queue *queue, const struct device_command *command,
		       struct tandem_operation *op)
{
	struct accel_device *device = to_accel(queue->device);
	struct tandem_uring_command uring = {
		.queue = to_accel_queue(queue)->id,
		.dst_region = command->dst_region,
		.src_region = command->src_region,
		.dst_offset = command->dst_offset,
		.src_offset = command->src_offset,
		.length = command->length,
		.cookie = ++device->cookie,
	};
	const bool modelled = command->opcode == DEVICE_EXEC;
	struct accel_command *new;
	struct io_uring_sqe *sqe;
	uint64_t before = 0;
	int ret;

	if (modelled)
		uring.flags = TANDEM_COMMAND_REPORT(TANDEM_REPORT_MODELLED);
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->modelled = modelled;
	ret = command_set_segments(new, command, &uring);
	if (ret < 0)
		goto free_command;
	ret = command_set_fences(op, &uring, &before);
	if (ret < 0)
		goto free_command;
	ret = operation_begin_fenced(op, command_cancel, new);
	if (ret < 0)
		goto break_promise;
	sqe = loop_sqe(device->base.loop);
	if (!sqe) {
		ret = -ENOMEM;
		goto abandon;
	}
	new->event.fire = command_fire;
	new->cancel_event.fire = cancel_fire;
	new->device = device;
	new->op = op;
	new->cookie = uring.cookie;
	new->signal = op->signal;
	new->queue = uring.queue;
	prepare(sqe, device, opcodes[command->opcode], &uring, &new->event);
	return 0;

abandon:
	operation_abandon(op);
break_promise:
	if (op->signal.fence)
		fence_break_promise(op->signal.fence->line, op->signal.point, before);
free_command:
	command_free(new);
	return ret;
}

int accel_queue_open(struct tandem_device *base, enum tandem_queue_type type,
		     struct tandem_queue **queue, struct tandem_error *error)
{
	struct accel_device *device = to_accel(base);
	struct drm_tandem_queue_create args = {
		.context = device->context,
		.kind = type == TANDEM_QUEUE_TYPE_COPY ? TANDEM_QUEUE_COPY : TANDEM_QUEUE_COMPUTE,
	};
	struct accel_queue *new;
	int code;

	new = calloc(1, sizeof(*new));
	if (!new)
		return tandem_error_set(error, -ENOMEM, "%s: out of memory", base->name);
	if (drmIoctl(device->fd, DRM_IOCTL_TANDEM_QUEUE_CREATE, &args) < 0) {
		code = -errno;
		free(new);
		if (code == -ENODEV)
			device_lost(base);
		return tandem_error_set(error, code, "%s: cannot make a queue: %s", base->name,
					code == -ENOSPC ? "all are in use; close one" :
							  strerror(-code));
	}
	new->base.device = base;
	new->base.type = type;
	new->id = args.queue;
	*queue = &new->base;
	return 0;
}

void accel_queue_close(struct tandem_queue *queue)
{
	struct drm_tandem_queue_destroy args = { .queue = to_accel_queue(queue)->id };

	drmIoctl(to_accel(queue->device)->fd, DRM_IOCTL_TANDEM_QUEUE_DESTROY, &args);
	free(queue);
}
