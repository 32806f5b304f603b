/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A pair of rings between driver and device: descriptors out, completions in.
 */
#ifndef _TANDEM_RING_H
#define _TANDEM_RING_H

#include "tandem_hw.h"
#include "tandem_shared.h"

struct tandem_device;

/**
 * enum tandem_ring_state - what is done with a pair of rings
 * @TANDEM_RING_DOWN: nothing; the device does not know it
 * @TANDEM_RING_DRAINING: completions are taken, but nothing more is pushed
 * @TANDEM_RING_UP: both
 */
enum tandem_ring_state {
	TANDEM_RING_DOWN,
	TANDEM_RING_DRAINING,
	TANDEM_RING_UP,
};

/* How many malformed completions are remembered. */
#define TANDEM_RING_MALFORMED_MAX	8

/**
 * struct tandem_malformed - a completion that made no sense
 * @number: of the completion on its ring
 * @epoch: as the device gave it, like all that follows
 * @command_id: as above
 * @queue: as above
 * @status: as above
 */
struct tandem_malformed {
	u32 number;
	u32 epoch;
	u16 command_id;
	u16 queue;
	u16 status;
};

/**
 * struct tandem_ring - a submission ring and its completion ring
 * @tdev: the device
 * @sq: &struct tandem_hw_descriptor [@entries], read by the device
 * @cq: &struct tandem_hw_completion [@entries], written by the device
 * @owner: who waits for the command in each slot, NULL when it has completed
 * @entries: a power of two
 * @queue: number of the queue at the device
 * @state: &enum tandem_ring_state
 * @epoch: of this enabling of the device
 * @sq_head: oldest command that has not completed; free-running, as all three
 * @sq_tail: next command
 * @cq_head: next completion
 * @completed: completions that were taken
 * @stale: completions of another epoch
 * @spurious: completions for which there was no command
 * @missed: completions that no interrupt has told of
 * @unseen: there was a completion when tandem_ring_missed() was asked last, and
 * @unseen_head: its number
 * @malformed: the latest of both
 * @malformed_in_turn: how many came since the last good one
 *
 * The user of a ring serializes all calls for it.
 *
 * A command's id is the low 16 bits of its running number, so that a
 * completion which the device repeats does not end another command that has
 * the slot by then. A slot is used again when every command up to it has
 * completed, since only then has the device surely read it.
 */
struct tandem_ring {
	struct tandem_device *tdev;
	struct tandem_shared sq;
	struct tandem_shared cq;
	void **owner;
	u32 entries;
	u32 queue;
	enum tandem_ring_state state;
	u32 epoch;
	u32 sq_head;
	u32 sq_tail;
	u32 cq_head;
	u64 completed;
	u64 stale;
	u64 spurious;
	u64 missed;
	bool unseen;
	u32 unseen_head;
	struct tandem_malformed malformed[TANDEM_RING_MALFORMED_MAX];
	u32 malformed_in_turn;
};

/**
 * struct tandem_completion - a completion's checked copy in CPU order
 * @command_id: of the command
 * @status: as the device gave it, any value
 * @detail: likewise
 * @duration_ns: likewise, as all that follow
 * @modelled_ns: time that the modelled part would have needed
 * @ended_ns: when it ended, by the device's clock
 */
struct tandem_completion {
	u16 command_id;
	u16 status;
	u32 detail;
	u64 duration_ns;
	u64 modelled_ns;
	u64 ended_ns;
};

/* Allocates. The ring is down. */
int tandem_ring_init(struct tandem_ring *ring, struct tandem_device *tdev,
		     u32 queue, u32 entries);
/*
 * Empties a ring that is down, before the device gets to know it; the counts
 * of completions go on. Its user sets @state when the device does.
 */
void tandem_ring_begin(struct tandem_ring *ring, u32 epoch);
/* The device does not reach the rings afterwards. Does nothing twice. */
void tandem_ring_fini(struct tandem_ring *ring);

/* Also when the ring is not up: nothing can be pushed. */
bool tandem_ring_full(const struct tandem_ring *ring);
/* Have so many completions in turn made no sense that none can be trusted? */
bool tandem_ring_is_insane(const struct tandem_ring *ring);
/* The slot that the next push uses. */
u32 tandem_ring_next_slot(const struct tandem_ring *ring);
/*
 * Writes a descriptor, of which command_id is filled in. The ring must not be
 * full. tandem_ring_publish() makes it known to the device. Returns the command's
 * number since the ring began, of which the id is the low half.
 */
u32 tandem_ring_push(struct tandem_ring *ring,
		     const struct tandem_hw_descriptor *descriptor,
		     void *owner);
void tandem_ring_publish(struct tandem_ring *ring);
/*
 * Takes the next completion that belongs to a command: the command's owner, or
 * NULL when there is none. Gives up, likewise with NULL, when *@budget entries
 * have been looked at; start with @entries.
 */
void *tandem_ring_pop(struct tandem_ring *ring,
		      struct tandem_completion *completion, u32 *budget);
/*
 * To be asked now and then: has a completion been there since the last time, so
 * that the interrupt for it must have been lost?
 */
bool tandem_ring_missed(struct tandem_ring *ring);
/* Lets the device use the entries again that were taken. */
void tandem_ring_publish_taken(struct tandem_ring *ring);
/* Owner of the oldest command that has not completed, or NULL. */
void *tandem_ring_oldest(const struct tandem_ring *ring);
/* Forgets the oldest command: its owner, or NULL when there is none. */
void *tandem_ring_forget(struct tandem_ring *ring);

#endif /* _TANDEM_RING_H */
