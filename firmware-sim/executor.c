// SPDX-License-Identifier: MIT
/* The executor. */
#include <stdlib.h>

#include "device.h"
#include "executor.h"
#include "forward.h"
#include "pool.h"
#include "program.h"
#include "queue.h"
#include "roofline.h"

/**
 * struct fw_executor - what a compute queue keeps from program to program
 * @queue: whose
 * @pool: its cores
 * @budget: of the following
 * @memory: private copies of the program
 * @scratch: what lies between the steps
 */
struct fw_executor {
	struct fw_queue *queue;
	struct fw_pool *pool;
	struct fw_budget budget;
	struct fw_program_memory memory;
	struct fw_buffer scratch;
};

struct fw_executor *fw_executor_create(struct fw_queue *queue)
{
	struct fw_executor *executor = calloc(1, sizeof(*executor));

	if (!executor)
		return NULL;
	executor->queue = queue;
	executor->budget.limit = queue->fw->working_memory_max;
	executor->memory.budget = &executor->budget;
	executor->pool = fw_pool_create(queue, queue->fw->cores);
	if (!executor->pool) {
		free(executor);
		return NULL;
	}
	return executor;
}

void fw_executor_destroy(struct fw_executor *executor)
{
	if (!executor)
		return;
	fw_pool_destroy(executor->pool);
	fw_buffer_free(&executor->scratch, &executor->budget);
	fw_buffer_free(&executor->memory.positions, &executor->budget);
	fw_buffer_free(&executor->memory.model, &executor->budget);
	fw_buffer_free(&executor->memory.program, &executor->budget);
	free(executor);
}

uint32_t fw_executor_run(struct fw_executor *executor, const struct fw_context *context,
			 const struct fw_range *program, struct fw_result *result)
{
	struct tandem_fw *fw = executor->queue->fw;
	struct fw_forward_cost cost;
	struct fw_forward forward;
	uint32_t status;

	status = fw_program_load(fw, context, program, &executor->memory, &forward, result);
	if (status != TANDEM_HW_OK)
		return status;
	fw_forward_estimate(&forward, &cost);
	result->modelled_ns = fw_roofline_ns(fw->profile, cost.flops, cost.bytes);
	return fw_forward_run(&forward, fw->kernels, executor->pool, &executor->scratch,
			      &executor->budget);
}
