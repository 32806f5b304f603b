// SPDX-License-Identifier: MIT
/*
 * Operations that are longer than a command can be.
 */
#include <errno.h>
#include <stdlib.h>

#include "pieces.h"

/**
 * struct pieces - an operation in several commands
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

/* Leave out the first @length of what is to be done. */
static void command_skip(struct device_command *command, uint64_t length)
{
	if (command->opcode == DEVICE_COPY_LIST) {
		command->segments += length;
	} else {
		command->dst_offset += length;
		command->src_offset += length;
	}
}

int pieces_submit(struct tandem_queue *queue, const struct device_command *command,
		  uint64_t length_max, struct tandem_operation *op)
{
	struct device_command part = *command;
	uint64_t left = command->length;
	struct pieces *pieces;
	size_t count, i;
	int ret;

	count = (left - 1) / length_max + 1;
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
		part.length = left < length_max ? left : length_max;
		pieces->piece[i].done = piece_done;
		pieces->piece[i].user = pieces;
		ret = device_submit(queue, &part, &pieces->piece[i]);
		if (ret < 0)
			break;
		pieces->pending++;
		command_skip(&part, part.length);
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
