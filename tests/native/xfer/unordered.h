/* SPDX-License-Identifier: MIT */
/*
 * A fabric without order between two sides of a pair: writes land at random times,
 * some of them late, and both sides may be told twice that they have.
 */
#ifndef TANDEM_TESTS_UNORDERED_H
#define TANDEM_TESTS_UNORDERED_H

#include "pair.h"

/**
 * struct unordered_counts - what the fabric has done
 * @overtaken: writes that landed before one that was posted earlier
 * @told_twice: second tellings, to receivers
 * @acknowledged_twice: likewise, to senders
 * @notes_held: times that a note came before what it had to wait for
 */
struct unordered_counts {
	unsigned long overtaken;
	unsigned long told_twice;
	unsigned long acknowledged_twice;
	unsigned long notes_held;
};

extern struct unordered_counts unordered_counts;

/* For &pair_kind.connected: have the fabric between the sides, which are local. */
void unordered_attach(struct pair *pair);

#endif /* TANDEM_TESTS_UNORDERED_H */
