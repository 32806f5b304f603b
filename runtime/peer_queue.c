// SPDX-License-Identifier: MIT
/*
 * A queue of grants or offers, and the one who waits for the next of them.
 */
#include <errno.h>
#include <stdlib.h>

#include "loop.h"
#include "peer_queue.h"

/**
 * struct peer_queued - one that nobody has asked for yet
 * @entry: in &peer_queue.entries
 * @grant: owned
 */
struct peer_queued {
	STAILQ_ENTRY(peer_queued) entry;
	struct tandem_grant *grant;
};

void peer_queue_init(struct peer_queue *queue, struct tandem_loop *loop)
{
	queue->loop = loop;
	STAILQ_INIT(&queue->entries);
}

static struct tandem_grant *take_first(struct peer_queue *queue)
{
	struct peer_queued *first = STAILQ_FIRST(&queue->entries);
	struct tandem_grant *grant = first->grant;

	STAILQ_REMOVE_HEAD(&queue->entries, entry);
	queue->count--;
	free(first);
	return grant;
}

static void hand_over(struct peer_queue *queue)
{
	if (!queue->op || STAILQ_EMPTY(&queue->entries))
		return;
	*queue->wanted = take_first(queue);
	peer_queue_end_wait(queue, 0);
}

int peer_queue_add(struct peer_queue *queue, struct tandem_grant *grant)
{
	struct peer_queued *queued = calloc(1, sizeof(*queued));

	if (!queued)
		return -ENOMEM;
	queued->grant = grant;
	STAILQ_INSERT_TAIL(&queue->entries, queued, entry);
	queue->count++;
	hand_over(queue);
	return 0;
}

static int wait_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	(void)loop;
	peer_queue_end_wait(operation_data(op), -ECANCELED);
	return 0;
}

int peer_queue_wait(struct peer_queue *queue, struct tandem_grant **grant, struct tandem_operation *op)
{
	int ret;

	if (queue->op)
		return -EBUSY;
	ret = operation_begin(op, wait_cancel, queue);
	if (ret < 0)
		return ret;
	queue->op = op;
	queue->wanted = grant;
	hand_over(queue);
	return 0;
}

void peer_queue_end_wait(struct peer_queue *queue, int result)
{
	struct tandem_operation *op = queue->op;

	queue->op = NULL;
	if (op)
		operation_post(queue->loop, op, result);
}

void peer_queue_drop(struct peer_queue *queue)
{
	while (!STAILQ_EMPTY(&queue->entries))
		tandem_grant_free(take_first(queue));
}
