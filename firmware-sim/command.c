// SPDX-License-Identifier: MIT
/* Commands of I/O queues. */
#include "command.h"
#include "copy_list.h"
#include "device.h"
#include "dma.h"
#include "executor.h"
#include "queue.h"
#include "regions.h"

#define LONG_BYTES	65536

bool fw_command_may_take_long(const struct tandem_hw_descriptor *descriptor)
{
	return descriptor->opcode == TANDEM_HW_OP_EXEC ||
	       descriptor->opcode == TANDEM_HW_OP_COPY_LIST || descriptor->length > LONG_BYTES;
}

/* A range of the command's own context; a fault is charged to its region. */
static uint32_t resolve(struct fw_queue *queue, const struct fw_context *context,
			uint32_t region, uint64_t offset, uint64_t length, uint32_t access,
			struct fw_range *range, struct fw_result *result)
{
	uint32_t status = fw_region_resolve(queue->fw, context, region, offset, length,
					    access, range);

	if (status == TANDEM_HW_REGION_FAULT || status == TANDEM_HW_BUS_FAULT)
		result->detail = region;
	return status;
}

static uint32_t run_copy(struct fw_queue *queue, const struct tandem_hw_descriptor *d,
			 struct fw_result *result)
{
	struct fw_context context;
	struct fw_copy copy;
	uint32_t status;

	if (d->argument)
		return TANDEM_HW_INVALID_FIELD;
	status = fw_context_load(queue->fw, d->context, &context);
	if (status != TANDEM_HW_OK)
		return status;
	status = resolve(queue, &context, d->src_region, d->src_offset, d->length,
			 TANDEM_HW_REGION_READ, &copy.source, result);
	if (status != TANDEM_HW_OK)
		return status;
	status = resolve(queue, &context, d->dst_region, d->dst_offset, d->length,
			 TANDEM_HW_REGION_WRITE, &copy.destination, result);
	if (status != TANDEM_HW_OK)
		return status;
	return fw_dma_copy(queue, &copy, 1, result);
}

static uint32_t run_copy_list(struct fw_queue *queue, const struct tandem_hw_descriptor *d,
			      struct fw_result *result)
{
	struct fw_context context;
	uint32_t status;

	if (d->dst_region || d->src_region || d->dst_offset || d->src_offset)
		return TANDEM_HW_INVALID_FIELD;
	status = fw_context_load(queue->fw, d->context, &context);
	if (status != TANDEM_HW_OK)
		return status;
	return fw_copy_list_run(queue, &context, d->argument, d->length, result);
}

static uint32_t run_fill(struct fw_queue *queue, const struct tandem_hw_descriptor *d,
			 struct fw_result *result)
{
	struct fw_context context;
	struct fw_range range;
	uint32_t status;

	if (d->src_region || d->src_offset || d->argument > UINT32_MAX ||
	    d->dst_offset % 4 || d->length % 4)
		return TANDEM_HW_INVALID_FIELD;
	status = fw_context_load(queue->fw, d->context, &context);
	if (status != TANDEM_HW_OK)
		return status;
	status = resolve(queue, &context, d->dst_region, d->dst_offset, d->length,
			 TANDEM_HW_REGION_WRITE, &range, result);
	if (status != TANDEM_HW_OK)
		return status;
	return fw_dma_fill(queue, &range, (uint32_t)d->argument, result);
}

static uint32_t run_exec(struct fw_queue *queue, const struct tandem_hw_descriptor *d,
			 struct fw_result *result)
{
	struct fw_context context;
	struct fw_range program;
	uint32_t status;

	if (queue->kind != TANDEM_HW_QUEUE_COMPUTE)
		return TANDEM_HW_INVALID_OPCODE;
	if (d->dst_region || d->dst_offset || d->argument)
		return TANDEM_HW_INVALID_FIELD;
	status = fw_context_load(queue->fw, d->context, &context);
	if (status != TANDEM_HW_OK)
		return status;
	status = resolve(queue, &context, d->src_region, d->src_offset, d->length,
			 TANDEM_HW_REGION_READ, &program, result);
	if (status != TANDEM_HW_OK)
		return status;
	return fw_executor_run(queue->executor, &context, &program, result);
}

/* Any context will do: all commands of a queue may carry that of the queue. */
static uint32_t run_nop(const struct tandem_hw_descriptor *d)
{
	if (d->dst_region || d->src_region || d->dst_offset || d->src_offset || d->length ||
	    d->argument)
		return TANDEM_HW_INVALID_FIELD;
	return TANDEM_HW_OK;
}

static uint32_t run(struct fw_queue *queue, const struct tandem_hw_descriptor *d,
		    struct fw_result *result)
{
	if (d->flags || d->reserved[0] || d->reserved[1])
		return TANDEM_HW_INVALID_FIELD;
	switch (d->opcode) {
	case TANDEM_HW_OP_NOP:
		return run_nop(d);
	case TANDEM_HW_OP_COPY:
		return run_copy(queue, d, result);
	case TANDEM_HW_OP_COPY_LIST:
		return run_copy_list(queue, d, result);
	case TANDEM_HW_OP_FILL:
		return run_fill(queue, d, result);
	case TANDEM_HW_OP_EXEC:
		return run_exec(queue, d, result);
	default:
		return TANDEM_HW_INVALID_OPCODE;
	}
}

void fw_command_run(struct fw_queue *queue, const struct tandem_hw_descriptor *descriptor,
		    struct fw_result *result)
{
	result->status = run(queue, descriptor, result);
}
