/* SPDX-License-Identifier: MIT */
/*
 * The DMA engine: COPY and FILL on ranges that have been resolved.
 */
#ifndef TANDEM_FIRMWARE_DMA_H
#define TANDEM_FIRMWARE_DMA_H

#include <stdint.h>

#include "regions.h"

struct fw_queue;
struct fw_result;

/**
 * struct fw_copy - one copy, between two ranges of one length
 * @destination: where to
 * @source: where from
 */
struct fw_copy {
	struct fw_range destination;
	struct fw_range source;
};

/**
 * fw_dma_copy() - carry copies out
 * @queue: whose command they are; an abort is noticed between slices
 * @copies: in order
 * @count: how many
 * @result: modelled_ns is filled in
 *
 * Return: TANDEM_HW_OK; INVALID_FIELD, with nothing copied, when the ranges of
 * a copy overlap without being the same; BUS_FAULT; ABORTED.
 */
uint32_t fw_dma_copy(struct fw_queue *queue, const struct fw_copy *copies, uint64_t count,
		     struct fw_result *result);

/**
 * fw_dma_fill() - repeat a pattern over a range
 * @queue: as above
 * @range: its length is a multiple of 4
 * @pattern: its bytes, the lowest first
 * @result: modelled_ns is filled in
 *
 * Return: TANDEM_HW_OK, BUS_FAULT, ABORTED.
 */
uint32_t fw_dma_fill(struct fw_queue *queue, const struct fw_range *range, uint32_t pattern,
		     struct fw_result *result);

#endif /* TANDEM_FIRMWARE_DMA_H */
