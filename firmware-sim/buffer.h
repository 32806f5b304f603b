/* SPDX-License-Identifier: MIT */
/*
 * Working memory of a compute queue: buffers that grow, under one limit.
 */
#ifndef TANDEM_FIRMWARE_BUFFER_H
#define TANDEM_FIRMWARE_BUFFER_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct fw_buffer - memory kept from one command to the next
 * @data: aligned to 64 bytes; NULL at first
 * @capacity: bytes
 */
struct fw_buffer {
	void *data;
	uint64_t capacity;
};

/**
 * struct fw_budget - what all buffers of a queue may take together
 * @used: bytes
 * @limit: bytes
 */
struct fw_budget {
	uint64_t used;
	uint64_t limit;
};

/**
 * fw_buffer_reserve() - make a buffer hold a number of bytes
 * @buffer: its content is lost when it grows
 * @bytes: wanted
 * @budget: what it is charged to
 *
 * Return: whether it could be done.
 */
bool fw_buffer_reserve(struct fw_buffer *buffer, uint64_t bytes, struct fw_budget *budget);

void fw_buffer_free(struct fw_buffer *buffer, struct fw_budget *budget);

#endif /* TANDEM_FIRMWARE_BUFFER_H */
