/* SPDX-License-Identifier: MIT */
/*
 * What a transport needs where nothing keeps order: writes that complete in any
 * order, and are perhaps told of twice, on either side.
 *
 * Each write has a number. The sender has at most %XFER_UNORDERED_WRITES between the
 * oldest one that has not been acknowledged and the newest, so that a few bits of the
 * number are enough for the receiver to know it again.
 */
#ifndef TANDEM_RUNTIME_XFER_UNORDERED_H
#define TANDEM_RUNTIME_XFER_UNORDERED_H

#include <stdbool.h>
#include <stdint.h>

#include "xfer.h"

/* Power of two. */
#define XFER_UNORDERED_WRITES	128u
/* Numbers that the receiver tells apart; writes may be late by a half of them. */
#define XFER_UNORDERED_NUMBERS	1024u
/* Blocks that a write may bring: what is left of the immediate. */
#define XFER_UNORDERED_BLOCKS	64u

/**
 * struct xfer_slots - the sender's writes
 * @writes: by number; without a push where there is none, or it has been acknowledged
 * @oldest: number of the oldest that has not been acknowledged
 * @next: number of the next
 */
struct xfer_slots {
	struct {
		struct xfer_push *push;
		uint64_t bytes;
	} writes[XFER_UNORDERED_WRITES];
	uint64_t oldest;
	uint64_t next;
};

/* How many more may be taken: what &tandem_connection.write_slots has to allow for. */
unsigned int xfer_slots_room(const struct xfer_slots *slots);

/* Take a write; there is room. Return: its number. */
uint64_t xfer_slots_take(struct xfer_slots *slots, struct xfer_push *push, uint64_t bytes);

/**
 * xfer_slots_acknowledge() - a write has been carried out, it is said
 * @slots: of the sender
 * @number: of the write
 * @push: filled in, of it
 * @bytes: likewise
 *
 * Return: false if there is no such write, or it has been acknowledged before.
 */
bool xfer_slots_acknowledge(struct xfer_slots *slots, uint64_t number, struct xfer_push **push,
			    uint64_t *bytes);

/**
 * struct xfer_arrivals - the writes that the receiver knows of
 * @seen: a bit for each number
 * @next: number after the newest, counted from the first
 * @missing: the oldest that has not been told of; @next for none
 */
struct xfer_arrivals {
	uint64_t seen[XFER_UNORDERED_NUMBERS / 64];
	uint64_t next;
	uint64_t missing;
};

/* The immediate of a write of 1 to %XFER_UNORDERED_BLOCKS blocks. */
uint32_t xfer_unordered_immediate(uint32_t transfer, uint32_t blocks, uint64_t number);

/**
 * xfer_arrivals_take() - a write has arrived, it is said
 * @arrivals: of the receiver
 * @immediate: of it, from the other side
 * @transfer: filled in
 * @blocks: likewise
 *
 * Return: false if it was told of before.
 */
bool xfer_arrivals_take(struct xfer_arrivals *arrivals, uint32_t immediate, uint32_t *transfer,
			uint32_t *blocks);

/* Has this write been told of? One of the newest %XFER_UNORDERED_NUMBERS, or an older one. */
bool xfer_arrivals_has(const struct xfer_arrivals *arrivals, uint64_t number);

/**
 * xfer_arrivals_passed() - have all writes been told of that went before?
 * @arrivals: of the receiver
 * @number: &xfer_slots.next of the sender when it told something, for which
 *	that has to wait
 */
bool xfer_arrivals_passed(const struct xfer_arrivals *arrivals, uint64_t number);

#endif /* TANDEM_RUNTIME_XFER_UNORDERED_H */
