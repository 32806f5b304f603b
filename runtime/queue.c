// SPDX-License-Identifier: MIT
/*
 * Queues, and the operations that are put on them.
 */
#include <errno.h>
#include <stdlib.h>

#include "device.h"
#include "error.h"

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

static int queue_submit(struct tandem_queue *queue, const struct device_command *command,
			struct tandem_operation *op)
{
	if (queue->device->lost)
		return -ENODEV;
	if (op->pending)
		return -EINVAL;
	return queue->device->ops->submit(queue, command, op);
}

int tandem_nop(struct tandem_queue *queue, struct tandem_operation *op)
{
	struct device_command command = { .opcode = DEVICE_NOP };

	return queue_submit(queue, &command, op);
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
	return queue_submit(queue, &command, op);
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
	return queue_submit(queue, &command, op);
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
	return queue_submit(queue, &command, op);
}

/**
 * struct pieces - a copy from or to this process in several commands
 * @loop: the loop
 * @op: the application's
 * @pending: pieces that have not ended
 * @count: entries of @piece
 * @result: the first error, or 0
 * @device_ns: sum over the pieces
 * @piece: one operation each
 */
struct pieces {
	struct tandem_loop *loop;
	struct tandem_operation *op;
	size_t pending;
	size_t count;
	int result;
	uint64_t device_ns;
	struct tandem_operation piece[];
};

static int pieces_cancel_all(struct pieces *pieces)
{
	int ret = 0;
	size_t i;

	for (i = 0; i < pieces->count; i++)
		if (pieces->piece[i].pending && tandem_cancel(pieces->loop, &pieces->piece[i]) < 0)
			ret = -ENOMEM;
	return ret;
}

static int pieces_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	(void)loop;
	return pieces_cancel_all(operation_data(op));
}

static void piece_done(struct tandem_operation *piece)
{
	struct pieces *pieces = piece->user;
	struct tandem_operation *op = pieces->op;
	uint64_t device_ns;
	int result;

	pieces->device_ns += piece->device_ns;
	if (!pieces->result)
		pieces->result = piece->result;
	if (--pieces->pending)
		return;
	result = pieces->result;
	device_ns = pieces->device_ns;
	free(pieces);
	device_operation_complete(op, result, device_ns);
}

/* Start @command, whose user side is longer than one command takes, in pieces. */
static int queue_submit_pieces(struct tandem_queue *queue, const struct device_command *command,
			       struct tandem_operation *op)
{
	uint64_t part_max = queue->device->user_copy_max;
	struct device_command part = *command;
	uint64_t left = command->length;
	struct pieces *pieces;
	size_t count, i;
	int ret;

	if (queue->device->lost)
		return -ENODEV;
	count = (left - 1) / part_max + 1;
	if (count > (SIZE_MAX - sizeof(*pieces)) / sizeof(pieces->piece[0]))
		return -ENOMEM;
	pieces = calloc(1, sizeof(*pieces) + count * sizeof(pieces->piece[0]));
	if (!pieces)
		return -ENOMEM;
	ret = operation_begin(op, pieces_cancel, pieces);
	if (ret < 0) {
		free(pieces);
		return ret;
	}
	pieces->loop = queue->device->loop;
	pieces->op = op;
	pieces->count = count;
	for (i = 0; i < count; i++) {
		part.length = left < part_max ? left : part_max;
		pieces->piece[i].done = piece_done;
		pieces->piece[i].user = pieces;
		ret = queue_submit(queue, &part, &pieces->piece[i]);
		if (ret < 0)
			break;
		pieces->pending++;
		part.dst_offset += part.length;
		part.src_offset += part.length;
		left -= part.length;
	}
	if (!pieces->pending) {
		operation_abandon(op);
		free(pieces);
		return ret;
	}
	/* Too late to have started nothing: what was started ends the operation. */
	if (ret < 0) {
		pieces->result = ret;
		pieces_cancel_all(pieces);
	}
	return 0;
}

/* The end of a range must be a number, or pieces would start over at zero. */
static int queue_submit_user(struct tandem_queue *queue, const struct device_command *command,
			     struct tandem_operation *op)
{
	if (!command->length || command->dst_offset > UINT64_MAX - command->length ||
	    command->src_offset > UINT64_MAX - command->length)
		return -EINVAL;
	if (command->length <= queue->device->user_copy_max)
		return queue_submit(queue, command, op);
	return queue_submit_pieces(queue, command, op);
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
