// SPDX-License-Identifier: GPL-2.0
#include <linux/dev_printk.h>
#include <linux/nospec.h>
#include <linux/slab.h>

#include "tandem_bus.h"
#include "tandem_device.h"
#include "tandem_ring.h"

/* A device that writes more of them than that in turn has lost its mind. */
#define MALFORMED_IN_TURN_MAX	64

static_assert(sizeof(struct tandem_hw_descriptor) == 64);
static_assert(sizeof(struct tandem_hw_completion) == 64);

int tandem_ring_init(struct tandem_ring *ring, struct tandem_device *tdev,
		     u32 queue, u32 entries)
{
	int ret;

	*ring = (struct tandem_ring) {
		.tdev = tdev,
		.entries = entries,
		.queue = queue,
	};
	ring->owner = kvcalloc(entries, sizeof(*ring->owner), GFP_KERNEL);
	if (!ring->owner)
		return -ENOMEM;
	ret = tandem_shared_alloc(tdev, &ring->sq,
				  entries * sizeof(struct tandem_hw_descriptor),
				  DMA_TO_DEVICE);
	if (ret)
		goto err;
	ret = tandem_shared_alloc(tdev, &ring->cq,
				  entries * sizeof(struct tandem_hw_completion),
				  DMA_BIDIRECTIONAL);
	if (ret)
		goto err;
	return 0;
err:
	tandem_ring_fini(ring);
	return ret;
}

void tandem_ring_fini(struct tandem_ring *ring)
{
	if (!ring->owner)
		return;
	tandem_shared_free(ring->tdev, &ring->cq);
	tandem_shared_free(ring->tdev, &ring->sq);
	kvfree(ring->owner);
	ring->owner = NULL;
}

void tandem_ring_begin(struct tandem_ring *ring, u32 epoch)
{
	memset(ring->sq.virtual, 0,
	       ring->entries * sizeof(struct tandem_hw_descriptor));
	memset(ring->cq.virtual, 0,
	       ring->entries * sizeof(struct tandem_hw_completion));
	memset(ring->owner, 0, ring->entries * sizeof(*ring->owner));
	ring->epoch = epoch;
	ring->sq_head = 0;
	ring->sq_tail = 0;
	ring->cq_head = 0;
	ring->unseen = false;
	ring->malformed_in_turn = 0;
}

static u32 slot_of(const struct tandem_ring *ring, u32 number)
{
	return number & (ring->entries - 1);
}

bool tandem_ring_full(const struct tandem_ring *ring)
{
	return ring->state != TANDEM_RING_UP ||
	       ring->sq_tail - ring->sq_head == ring->entries;
}

bool tandem_ring_is_insane(const struct tandem_ring *ring)
{
	return ring->malformed_in_turn >= MALFORMED_IN_TURN_MAX;
}

u32 tandem_ring_next_slot(const struct tandem_ring *ring)
{
	return slot_of(ring, ring->sq_tail);
}

u32 tandem_ring_push(struct tandem_ring *ring,
		     const struct tandem_hw_descriptor *descriptor,
		     void *owner)
{
	struct tandem_hw_descriptor *entries = ring->sq.virtual;
	u32 slot = tandem_ring_next_slot(ring);
	u32 number = ring->sq_tail++;

	entries[slot] = *descriptor;
	entries[slot].command_id = cpu_to_le16((u16)number);
	ring->owner[slot] = owner;
	return number;
}

void tandem_ring_publish(struct tandem_ring *ring)
{
	ring->tdev->bus->ring_sq(ring->tdev->dev, ring->queue, ring->sq_tail);
}

/*
 * The device may write the entry at any time, also while it is read: everything
 * is read once, the phase first.
 */
static bool read_completion(const struct tandem_ring *ring,
			    struct tandem_completion *completion, u32 *epoch,
			    u16 *queue)
{
	const struct tandem_hw_completion *entries = ring->cq.virtual;
	const struct tandem_hw_completion *entry;
	u16 phase = !(ring->cq_head & ring->entries);

	entry = &entries[slot_of(ring, ring->cq_head)];
	/* Pairs with the device's release, which comes last. */
	if (le16_to_cpu(smp_load_acquire(&entry->phase)) != phase)
		return false;
	completion->command_id = le16_to_cpu(READ_ONCE(entry->command_id));
	completion->status = le16_to_cpu(READ_ONCE(entry->status));
	completion->detail = le32_to_cpu(READ_ONCE(entry->detail));
	completion->duration_ns = le64_to_cpu(READ_ONCE(entry->duration_ns));
	completion->modelled_ns = le64_to_cpu(READ_ONCE(entry->modelled_ns));
	completion->ended_ns = le64_to_cpu(READ_ONCE(entry->ended_ns));
	*epoch = le32_to_cpu(READ_ONCE(entry->epoch));
	*queue = le16_to_cpu(READ_ONCE(entry->queue));
	return true;
}

/* Ends the command that @id names: its owner, or NULL for no such command. */
static void *claim(struct tandem_ring *ring, u16 id)
{
	u16 age = id - (u16)ring->sq_head;
	void *owner;
	u32 slot;

	if (age >= ring->sq_tail - ring->sq_head)
		return NULL;
	slot = array_index_nospec(slot_of(ring, id), ring->entries);
	owner = ring->owner[slot];
	ring->owner[slot] = NULL;
	while (ring->sq_head != ring->sq_tail &&
	       !ring->owner[slot_of(ring, ring->sq_head)])
		ring->sq_head++;
	return owner;
}

static void note_malformed(struct tandem_ring *ring,
			   const struct tandem_completion *completion,
			   u32 epoch, u16 queue)
{
	u64 count = ring->stale + ring->spurious;

	ring->malformed[count % TANDEM_RING_MALFORMED_MAX] =
		(struct tandem_malformed) {
			.number = ring->cq_head - 1,
			.epoch = epoch,
			.command_id = completion->command_id,
			.queue = queue,
			.status = completion->status,
		};
	ring->malformed_in_turn++;
}

void *tandem_ring_pop(struct tandem_ring *ring,
		      struct tandem_completion *completion, u32 *budget)
{
	void *owner;
	u32 epoch;
	u16 queue;

	while (*budget && ring->state != TANDEM_RING_DOWN) {
		if (!read_completion(ring, completion, &epoch, &queue))
			return NULL;
		--*budget;
		ring->cq_head++;
		if (epoch != ring->epoch) {
			note_malformed(ring, completion, epoch, queue);
			ring->stale++;
			continue;
		}
		owner = queue == ring->queue ?
			claim(ring, completion->command_id) : NULL;
		if (owner) {
			ring->completed++;
			ring->malformed_in_turn = 0;
			return owner;
		}
		note_malformed(ring, completion, epoch, queue);
		ring->spurious++;
		dev_warn_ratelimited(ring->tdev->dev,
				     "queue %u: the device completed command %u of queue %u, which is not in flight\n",
				     ring->queue, completion->command_id,
				     queue);
	}
	return NULL;
}

bool tandem_ring_missed(struct tandem_ring *ring)
{
	const struct tandem_hw_completion *entries = ring->cq.virtual;
	u16 phase = !(ring->cq_head & ring->entries);
	bool unseen, missed;

	unseen = le16_to_cpu(READ_ONCE(entries[slot_of(ring, ring->cq_head)].phase)) ==
		 phase;
	missed = unseen && ring->unseen && ring->unseen_head == ring->cq_head;
	ring->unseen = unseen;
	ring->unseen_head = ring->cq_head;
	ring->missed += missed;
	return missed;
}

void tandem_ring_publish_taken(struct tandem_ring *ring)
{
	ring->tdev->bus->ring_cq(ring->tdev->dev, ring->queue, ring->cq_head);
}

void *tandem_ring_oldest(const struct tandem_ring *ring)
{
	/* Of one that is down, commands were taken back, or have ended. */
	if (ring->state == TANDEM_RING_DOWN || ring->sq_head == ring->sq_tail)
		return NULL;
	return ring->owner[slot_of(ring, ring->sq_head)];
}

void *tandem_ring_forget(struct tandem_ring *ring)
{
	if (ring->sq_head == ring->sq_tail)
		return NULL;
	return claim(ring, ring->sq_head);
}
