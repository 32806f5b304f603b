// SPDX-License-Identifier: MIT
/*
 * Queues, and the operations that are put on them.
 */
#include <errno.h>
#include <stddef.h>

#include "device.h"
#include "error.h"
#include "fence.h"
#include "pieces.h"

int tandem_queue_open(struct tandem_device *device, enum tandem_queue_type type,
		      struct tandem_queue **queue, struct tandem_error *error)
{
	if (type != TANDEM_QUEUE_TYPE_COPY && type != TANDEM_QUEUE_TYPE_COMPUTE)
		return tandem_error_set(error, -EINVAL, "%s: no queue of type %d", device->name,
					(int)type);
	if (device->lost)
		return tandem_error_set(error, -ENODEV, "%s: the device is gone", device->name);
	return device->ops->queue_open(device, type, queue, error);
}

void tandem_queue_close(struct tandem_queue *queue)
{
	if (queue)
		queue->device->ops->queue_close(queue);
}

void device_operation_complete(struct tandem_operation *op, int result, uint64_t device_ns)
{
	op->device_ns = device_ns;
	operation_complete(op, result);
}

int device_submit(struct tandem_queue *queue, const struct device_command *command,
			struct tandem_operation *op)
{
	if (queue->device->lost)
		return -ENODEV;
	if (op->pending || fence_check(queue->device, op) < 0)
		return -EINVAL;
	return queue->device->ops->submit(queue, command, op);
}

int tandem_nop(struct tandem_queue *queue, struct tandem_operation *op)
{
	struct device_command command = { .opcode = DEVICE_NOP };

	return device_submit(queue, &command, op);
}

int tandem_copy(struct tandem_queue *queue, struct tandem_memory *destination,
		uint64_t destination_offset, struct tandem_memory *source,
		uint64_t source_offset, uint64_t length, struct tandem_operation *op)
{
	struct device_command command = {
		.opcode = DEVICE_COPY,
		.dst_region = destination->region,
		.src_region = source->region,
		.dst_offset = destination_offset,
		.src_offset = source_offset,
		.length = length,
	};

	if (!length || destination->device != queue->device || source->device != queue->device)
		return -EINVAL;
	return device_submit(queue, &command, op);
}

/* Ranges are left to the device, which knows its regions. */
static bool segment_is_for(const struct tandem_copy_segment *segment,
			   const struct tandem_device *device)
{
	return segment->length && segment->destination->device == device &&
	       segment->source->device == device;
}

int tandem_copy_list(struct tandem_queue *queue, const struct tandem_copy_segment *segments,
		     size_t count, struct tandem_operation *op)
{
	struct device_command command = {
		.opcode = DEVICE_COPY_LIST,
		.segments = segments,
		.length = count,
	};
	size_t i;

	if (!count)
		return -EINVAL;
	for (i = 0; i < count; i++)
		if (!segment_is_for(&segments[i], queue->device))
			return -EINVAL;
	if (count <= queue->device->segments_max)
		return device_submit(queue, &command, op);
	return pieces_submit(queue, &command, queue->device->segments_max, op);
}

int tandem_fill(struct tandem_queue *queue, struct tandem_memory *destination,
		uint64_t offset, uint64_t length, uint32_t pattern,
		struct tandem_operation *op)
{
	struct device_command command = {
		.opcode = DEVICE_FILL,
		.dst_region = destination->region,
		.dst_offset = offset,
		.src_offset = pattern,
		.length = length,
	};

	if (!length || length % 4 || offset % 4 || destination->device != queue->device)
		return -EINVAL;
	return device_submit(queue, &command, op);
}

int tandem_exec(struct tandem_queue *queue, struct tandem_memory *program,
		uint64_t offset, uint64_t length, struct tandem_operation *op)
{
	struct device_command command = {
		.opcode = DEVICE_EXEC,
		.src_region = program->region,
		.src_offset = offset,
		.length = length,
	};

	if (!length || program->device != queue->device ||
	    queue->type != TANDEM_QUEUE_TYPE_COMPUTE)
		return -EINVAL;
	return device_submit(queue, &command, op);
}

/* The end of a range must be a number, or pieces would start over at zero. */
static int queue_submit_user(struct tandem_queue *queue, const struct device_command *command,
			     struct tandem_operation *op)
{
	if (!command->length || command->dst_offset > UINT64_MAX - command->length ||
	    command->src_offset > UINT64_MAX - command->length)
		return -EINVAL;
	if (command->length <= queue->device->user_copy_max)
		return device_submit(queue, command, op);
	return pieces_submit(queue, command, queue->device->user_copy_max, op);
}

int tandem_upload(struct tandem_queue *queue, struct tandem_memory *destination,
		  uint64_t offset, const void *source, uint64_t length,
		  struct tandem_operation *op)
{
	struct device_command command = {
		.opcode = DEVICE_COPY,
		.dst_region = destination->region,
		.src_region = DEVICE_REGION_USER,
		.dst_offset = offset,
		.src_offset = (uintptr_t)source,
		.length = length,
	};

	if (destination->device != queue->device)
		return -EINVAL;
	return queue_submit_user(queue, &command, op);
}

int tandem_download(struct tandem_queue *queue, void *destination,
		    struct tandem_memory *source, uint64_t offset, uint64_t length,
		    struct tandem_operation *op)
{
	struct device_command command = {
		.opcode = DEVICE_COPY,
		.dst_region = DEVICE_REGION_USER,
		.src_region = source->region,
		.dst_offset = (uintptr_t)destination,
		.src_offset = offset,
		.length = length,
	};

	if (source->device != queue->device)
		return -EINVAL;
	return queue_submit_user(queue, &command, op);
}
