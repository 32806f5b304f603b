/* SPDX-License-Identifier: MIT */
/*
 * The submission and completion ring of one queue, the device's side.
 */
#ifndef TANDEM_FIRMWARE_RING_H
#define TANDEM_FIRMWARE_RING_H

#include <stdbool.h>
#include <stdint.h>

#include <tandem_hw.h>

struct tandem_fw;

/**
 * struct fw_ring - a pair of rings
 * @sq: submission ring, in host memory
 * @cq: completion ring, in host memory
 * @doorbell: of the queue, in the register file
 * @entries: of each ring, a power of two
 * @queue: number of the queue
 * @epoch: that its completions carry
 * @head: free-running count of descriptors taken
 * @posted: free-running count of completions written
 *
 * Used by one thread at a time: the queue's own.
 */
struct fw_ring {
	const struct tandem_hw_descriptor *sq;
	struct tandem_hw_completion *cq;
	struct tandem_hw_doorbell *doorbell;
	uint32_t entries;
	uint32_t queue;
	uint32_t epoch;
	uint32_t head;
	uint32_t posted;
};

/**
 * struct fw_result - how a command ended
 * @status: &enum tandem_hw_status
 * @detail: as in the completion
 * @duration_ns: as in the completion
 * @modelled_ns: as in the completion
 * @ended_ns: as in the completion; 0 for when the completion is written
 */
struct fw_result {
	uint32_t status;
	uint32_t detail;
	uint64_t duration_ns;
	uint64_t modelled_ns;
	uint64_t ended_ns;
};

/**
 * fw_ring_map() - find the rings that a driver names
 * @fw: the device
 * @ring: filled in, with nothing taken and nothing posted
 * @queue: number of the queue
 * @sq: bus address of the submission ring
 * @cq: bus address of the completion ring
 * @entries: of each
 *
 * Return: TANDEM_HW_OK, INVALID_FIELD or BUS_FAULT.
 */
uint32_t fw_ring_map(struct tandem_fw *fw, struct fw_ring *ring, uint32_t queue,
		     uint64_t sq, uint64_t cq, uint64_t entries);

/**
 * fw_ring_available() - descriptors that wait
 * @ring: the ring
 * @count: where to put their number
 *
 * Return: 0, or -EPROTO when the doorbell says what cannot be: more
 * descriptors than the ring has room for, or more completions consumed than
 * were written.
 */
int fw_ring_available(const struct fw_ring *ring, uint32_t *count);

/* Descriptors that wait; 0 when the doorbell says what cannot be. */
uint32_t fw_ring_waiting(const struct fw_ring *ring);

/* Does the completion ring have room? */
bool fw_ring_can_post(const struct fw_ring *ring);

/* Copy the next descriptor, without taking it. Return: 0 or -EFAULT. */
int fw_ring_peek(struct tandem_fw *fw, const struct fw_ring *ring,
		 struct tandem_hw_descriptor *descriptor);

/* Write a completion; there is room. Return: 0 or -EFAULT. */
int fw_ring_post(struct tandem_fw *fw, struct fw_ring *ring, uint16_t command_id,
		 const struct fw_result *result);

/* Phase of the completion that is written next. */
uint16_t fw_ring_phase(const struct fw_ring *ring);

/* Write a completion as it is; there is room. Return: 0 or -EFAULT. */
int fw_ring_write(struct tandem_fw *fw, struct fw_ring *ring,
		  const struct tandem_hw_completion *completion);

/*
 * Announce that the device wants to be woken, and look once more.
 * Return: whether it may sleep.
 */
bool fw_ring_arm(struct tandem_fw *fw, struct fw_ring *ring);
void fw_ring_disarm(struct fw_ring *ring);

#endif /* TANDEM_FIRMWARE_RING_H */
