/* SPDX-License-Identifier: MIT */
/*
 * The cores of a compute queue: loops that they run together.
 */
#ifndef TANDEM_FIRMWARE_POOL_H
#define TANDEM_FIRMWARE_POOL_H

#include <stdint.h>

struct fw_pool;
struct fw_queue;

/**
 * fw_pool_create() - make the cores
 * @queue: whose they are; programs run on its engine thread and on the others
 * @cores: threads in all, that of the engine included
 *
 * Return: NULL without memory or threads.
 */
struct fw_pool *fw_pool_create(struct fw_queue *queue, uint32_t cores);
void fw_pool_destroy(struct fw_pool *pool);

/* Threads in all. */
uint32_t fw_pool_cores(const struct fw_pool *pool);

/**
 * fw_pool_run() - a loop over units of work
 * @pool: the cores; the caller is the engine thread
 * @units: units 0 … @units - 1
 * @grain: how many to take at a time; an abort is noticed in between
 * @body: does units @begin to @end - 1. May run on any core, for several
 *	ranges at once; may touch device memory
 * @argument: of @body
 *
 * Return: 0; -ECANCELED when the running command was aborted; -EFAULT when
 * memory did not answer.
 */
int fw_pool_run(struct fw_pool *pool, uint64_t units, uint64_t grain,
		void (*body)(void *argument, uint64_t begin, uint64_t end), void *argument);

#endif /* TANDEM_FIRMWARE_POOL_H */
