/* SPDX-License-Identifier: MIT */
/*
 * The executor: runs programs on the cores of a compute queue.
 */
#ifndef TANDEM_FIRMWARE_EXECUTOR_H
#define TANDEM_FIRMWARE_EXECUTOR_H

#include <stdint.h>

struct fw_context;
struct fw_executor;
struct fw_queue;
struct fw_range;
struct fw_result;

/* NULL without memory or threads. */
struct fw_executor *fw_executor_create(struct fw_queue *queue);
void fw_executor_destroy(struct fw_executor *executor);

/**
 * fw_executor_run() - run a program
 * @executor: of the queue; the engine thread is the caller
 * @context: of the command
 * @program: the program
 * @result: detail and modelled_ns are filled in
 *
 * Return: &enum tandem_hw_status.
 */
uint32_t fw_executor_run(struct fw_executor *executor, const struct fw_context *context,
			 const struct fw_range *program, struct fw_result *result);

#endif /* TANDEM_FIRMWARE_EXECUTOR_H */
