/* SPDX-License-Identifier: MIT */
/*
 * Blocks that the other side has granted, or offered, until the application asks.
 */
#ifndef TANDEM_RUNTIME_PEER_QUEUE_H
#define TANDEM_RUNTIME_PEER_QUEUE_H

#include <stdbool.h>
#include <sys/queue.h>

#include <tandem/peer.h>

/* As many are kept; then the other side has to wait. */
#define PEER_QUEUE_MAX 64u

struct peer_queued;

/**
 * struct peer_queue - what has come, in that order
 * @loop: where a wait ends
 * @entries: oldest first, @count of them
 * @count: see there
 * @op: who waits for one, or NULL
 * @wanted: where it wants it
 *
 * Belongs to the loop's thread.
 */
struct peer_queue {
	struct tandem_loop *loop;
	STAILQ_HEAD(, peer_queued) entries;
	unsigned int count;
	struct tandem_operation *op;
	struct tandem_grant **wanted;
};

void peer_queue_init(struct peer_queue *queue, struct tandem_loop *loop);
/* Take over another one; who waits has it at once. Return: 0 or -ENOMEM. */
int peer_queue_add(struct peer_queue *queue, struct tandem_grant *grant);
/* Wait for the next one. Return: 0, -EBUSY, -EINVAL. */
int peer_queue_wait(struct peer_queue *queue, struct tandem_grant **grant,
		    struct tandem_operation *op);
/* Who waits gets none; nothing if nobody does. */
void peer_queue_end_wait(struct peer_queue *queue, int result);
/* Those that nobody has asked for are of no use any more. */
void peer_queue_drop(struct peer_queue *queue);

static inline bool peer_queue_is_full(const struct peer_queue *queue)
{
	return queue->count >= PEER_QUEUE_MAX;
}

#endif /* TANDEM_RUNTIME_PEER_QUEUE_H */
