/* SPDX-License-Identifier: MIT */
/*
 * FORWARD: layers of a transformer over rows of tokens.
 */
#ifndef TANDEM_FIRMWARE_FORWARD_H
#define TANDEM_FIRMWARE_FORWARD_H

#include <stdint.h>

#include "kernels/kernels.h"

struct fw_budget;
struct fw_buffer;
struct fw_forward;
struct fw_pool;

/**
 * fw_forward_run() - carry a checked program out
 * @forward: the program
 * @kernels: instruction set
 * @pool: the cores
 * @scratch: working memory, grown as needed
 * @budget: of @scratch
 *
 * The result for a row has the same bits whatever rows are beside it and
 * however many cores there are.
 *
 * Return: TANDEM_HW_OK, ABORTED, BUS_FAULT, NO_MEMORY.
 */
uint32_t fw_forward_run(const struct fw_forward *forward, const struct tandem_kernels *kernels,
			struct fw_pool *pool, struct fw_buffer *scratch,
			struct fw_budget *budget);

/**
 * struct fw_forward_cost - what a program asks of the hardware
 * @flops: floating point operations, a multiplication and an addition being two
 * @bytes: bytes moved to and from device memory, if each weight is read once
 */
struct fw_forward_cost {
	double flops;
	double bytes;
};

void fw_forward_estimate(const struct fw_forward *forward, struct fw_forward_cost *cost);

#endif /* TANDEM_FIRMWARE_FORWARD_H */
