// SPDX-License-Identifier: MIT
/*
 * Writes that complete in any order, and are perhaps told of twice.
 *
 * The immediate: 16 bits transfer, 10 bits of the write's number, 6 bits blocks less
 * one.
 */
#include "xfer_unordered.h"

#define TRANSFER_SHIFT	16
#define NUMBER_SHIFT	6
#define NUMBER_MASK	(XFER_UNORDERED_NUMBERS - 1)
#define BLOCKS_MASK	(XFER_UNORDERED_BLOCKS - 1)
#define WORD_BITS	64u

_Static_assert(XFER_UNORDERED_NUMBERS << NUMBER_SHIFT == 1 << TRANSFER_SHIFT &&
	       XFER_UNORDERED_BLOCKS == 1 << NUMBER_SHIFT, "the immediate has 32 bits");

unsigned int xfer_slots_room(const struct xfer_slots *slots)
{
	return XFER_UNORDERED_WRITES - (slots->next - slots->oldest);
}

uint64_t xfer_slots_take(struct xfer_slots *slots, struct xfer_push *push, uint64_t bytes)
{
	uint64_t number = slots->next++;

	slots->writes[number % XFER_UNORDERED_WRITES].push = push;
	slots->writes[number % XFER_UNORDERED_WRITES].bytes = bytes;
	return number;
}

bool xfer_slots_acknowledge(struct xfer_slots *slots, uint64_t number, struct xfer_push **push,
			    uint64_t *bytes)
{
	const unsigned int slot = number % XFER_UNORDERED_WRITES;

	if (number < slots->oldest || number >= slots->next || !slots->writes[slot].push)
		return false;
	*push = slots->writes[slot].push;
	*bytes = slots->writes[slot].bytes;
	slots->writes[slot].push = NULL;
	while (slots->oldest < slots->next &&
	       !slots->writes[slots->oldest % XFER_UNORDERED_WRITES].push)
		slots->oldest++;
	return true;
}

uint32_t xfer_unordered_immediate(uint32_t transfer, uint32_t blocks, uint64_t number)
{
	return transfer << TRANSFER_SHIFT | (number & NUMBER_MASK) << NUMBER_SHIFT |
	       (blocks - 1);
}

static void set_seen(struct xfer_arrivals *arrivals, uint64_t number, bool seen)
{
	const uint64_t bit = 1ull << number % WORD_BITS;
	uint64_t *word = &arrivals->seen[(number & NUMBER_MASK) / WORD_BITS];

	if (seen)
		*word |= bit;
	else
		*word &= ~bit;
}

static bool was_seen(const struct xfer_arrivals *arrivals, uint64_t number)
{
	return arrivals->seen[(number & NUMBER_MASK) / WORD_BITS] >> number % WORD_BITS & 1;
}

bool xfer_arrivals_take(struct xfer_arrivals *arrivals, uint32_t immediate, uint32_t *transfer,
			uint32_t *blocks)
{
	const uint32_t number = immediate >> NUMBER_SHIFT & NUMBER_MASK;
	const uint64_t ahead = (number - arrivals->next) & NUMBER_MASK;
	uint64_t newest;

	*transfer = immediate >> TRANSFER_SHIFT;
	*blocks = (immediate & BLOCKS_MASK) + 1;
	if (ahead < XFER_UNORDERED_NUMBERS / 2) {
		/* Newer than all: those between have not been seen this time round. */
		newest = arrivals->next + ahead;
		while (arrivals->next <= newest)
			set_seen(arrivals, arrivals->next++, false);
	} else if (was_seen(arrivals, number)) {
		return false;
	}
	set_seen(arrivals, number, true);
	while (arrivals->missing < arrivals->next && was_seen(arrivals, arrivals->missing))
		arrivals->missing++;
	return true;
}

bool xfer_arrivals_has(const struct xfer_arrivals *arrivals, uint64_t number)
{
	return number < arrivals->missing ||
	       (number < arrivals->next && was_seen(arrivals, number));
}

bool xfer_arrivals_passed(const struct xfer_arrivals *arrivals, uint64_t number)
{
	return number <= arrivals->missing;
}
