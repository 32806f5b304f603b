/* SPDX-License-Identifier: MIT */
/*
 * COPY_LIST: a copy in many segments.
 */
#ifndef TANDEM_FIRMWARE_COPY_LIST_H
#define TANDEM_FIRMWARE_COPY_LIST_H

#include <stdint.h>

#include <tandem_hw.h>

struct fw_context;
struct fw_queue;
struct fw_result;

/**
 * fw_copy_list_run() - carry a COPY_LIST out
 * @queue: whose command it is; an abort is noticed between segments
 * @context: of the command
 * @address: bus address of the first &struct tandem_hw_segment
 * @count: segments
 * @result: detail and modelled_ns are filled in
 *
 * Each segment is read once. All are checked before the first byte is copied.
 *
 * Return: TANDEM_HW_OK, INVALID_FIELD, REGION_FAULT, BUS_FAULT, NO_MEMORY,
 * ABORTED.
 */
uint32_t fw_copy_list_run(struct fw_queue *queue, const struct fw_context *context,
			  uint64_t address, uint64_t count, struct fw_result *result);

#endif /* TANDEM_FIRMWARE_COPY_LIST_H */
