// SPDX-License-Identifier: MIT
/* Rings. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "device.h"
#include "fault.h"
#include "ring.h"

static uint32_t load_acquire(const __le32 *word)
{
	return atomic_load_explicit((const _Atomic uint32_t *)word, memory_order_acquire);
}

static bool power_of_two(uint64_t number)
{
	return number && !(number & (number - 1));
}

uint32_t fw_ring_map(struct tandem_fw *fw, struct fw_ring *ring, uint32_t queue,
		     uint64_t sq, uint64_t cq, uint64_t entries)
{
	void *submission, *completion;

	if (!power_of_two(entries) || entries > FW_QUEUE_ENTRIES_MAX)
		return TANDEM_HW_INVALID_FIELD;
	/* Natural alignment; the phase, too, is stored in one piece then. */
	if (sq % 8 || cq % 8)
		return TANDEM_HW_INVALID_FIELD;

	submission = fw->bus->host(fw->bus, sq, entries * sizeof(*ring->sq), false);
	completion = fw->bus->host(fw->bus, cq, entries * sizeof(*ring->cq), true);
	if (!submission || !completion)
		return TANDEM_HW_BUS_FAULT;

	*ring = (struct fw_ring){
		.sq = submission,
		.cq = completion,
		.doorbell = fw_doorbell(fw, queue),
		.entries = entries,
		.queue = queue,
		.epoch = fw->epoch,
	};
	return TANDEM_HW_OK;
}

int fw_ring_available(const struct fw_ring *ring, uint32_t *count)
{
	uint32_t waiting = load_acquire(&ring->doorbell->sq_tail) - ring->head;
	uint32_t unread = ring->posted - load_acquire(&ring->doorbell->cq_head);

	if (waiting > ring->entries || unread > ring->entries)
		return -EPROTO;
	*count = waiting;
	return 0;
}

uint32_t fw_ring_waiting(const struct fw_ring *ring)
{
	uint32_t waiting = load_acquire(&ring->doorbell->sq_tail) - ring->head;

	return waiting > ring->entries ? 0 : waiting;
}

bool fw_ring_can_post(const struct fw_ring *ring)
{
	return ring->posted - load_acquire(&ring->doorbell->cq_head) < ring->entries;
}

int fw_ring_peek(struct tandem_fw *fw, const struct fw_ring *ring,
		 struct tandem_hw_descriptor *descriptor)
{
	return fw_copy_guarded(fw, descriptor, &ring->sq[ring->head & (ring->entries - 1)],
			       sizeof(*descriptor));
}

struct post {
	struct tandem_hw_completion *slot;
	const struct tandem_hw_completion *completion;
};

static void post_body(void *argument)
{
	const struct post *post = argument;
	const struct tandem_hw_completion *completion = post->completion;
	struct tandem_hw_completion *slot = post->slot;

	slot->command_id = completion->command_id;
	slot->queue = completion->queue;
	slot->status = completion->status;
	slot->epoch = completion->epoch;
	slot->detail = completion->detail;
	slot->duration_ns = completion->duration_ns;
	slot->modelled_ns = completion->modelled_ns;
	slot->ended_ns = completion->ended_ns;
	memcpy(slot->reserved, completion->reserved, sizeof(slot->reserved));
	atomic_store_explicit((_Atomic uint16_t *)&slot->phase, completion->phase,
			      memory_order_release);
}

uint16_t fw_ring_phase(const struct fw_ring *ring)
{
	return !(ring->posted / ring->entries & 1);
}

int fw_ring_write(struct tandem_fw *fw, struct fw_ring *ring,
		  const struct tandem_hw_completion *completion)
{
	struct post post = {
		.slot = &ring->cq[ring->posted & (ring->entries - 1)],
		.completion = completion,
	};

	ring->posted++;
	return fw_guarded(fw, post_body, &post);
}

int fw_ring_post(struct tandem_fw *fw, struct fw_ring *ring, uint16_t command_id,
		 const struct fw_result *result)
{
	struct tandem_hw_completion completion = {
		.command_id = command_id,
		.queue = ring->queue,
		.status = result->status,
		.phase = fw_ring_phase(ring),
		.epoch = ring->epoch,
		.detail = result->detail,
		.duration_ns = result->duration_ns,
		.modelled_ns = result->modelled_ns,
		.ended_ns = result->ended_ns ? result->ended_ns : fw_now(),
	};

	if (fw_has_faults(fw))
		return fw_fault_do_post(fw, ring, &completion);
	return fw_ring_write(fw, ring, &completion);
}

bool fw_ring_arm(struct tandem_fw *fw, struct fw_ring *ring)
{
	atomic_store_explicit((_Atomic uint32_t *)&ring->doorbell->armed,
			      fw_fault_armed(fw, ring->queue), memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);
	return load_acquire(&ring->doorbell->sq_tail) == ring->head;
}

void fw_ring_disarm(struct fw_ring *ring)
{
	atomic_store_explicit((_Atomic uint32_t *)&ring->doorbell->armed, 0,
			      memory_order_relaxed);
}
