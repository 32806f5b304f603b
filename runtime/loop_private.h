/* SPDX-License-Identifier: MIT */
/*
 * What the files of the loop share with one another: loop.c (the ring),
 * loop_watch.c (polls and timers), operation.c (operations and tasks).
 */
#ifndef TANDEM_RUNTIME_LOOP_PRIVATE_H
#define TANDEM_RUNTIME_LOOP_PRIVATE_H

#include <stdbool.h>
#include <sys/queue.h>

#include "loop.h"

/**
 * struct tandem_loop - the loop
 * @ring: all requests
 * @polls: every &struct loop_poll, stopped ones too until the kernel is done
 * @timers: likewise
 * @posted_first: operations that have ended, whose owners are to be told
 * @posted_last: the last of them, or NULL
 * @posted_count: their number
 * @tasks_first: tasks to run
 * @tasks_last: the last of them, or NULL
 * @tasks_count: their number
 * @running: within tandem_loop_run()
 *
 * Belongs to one thread at a time; no lock.
 */
struct tandem_loop {
	struct io_uring ring;
	LIST_HEAD(, loop_poll) polls;
	LIST_HEAD(, loop_timer) timers;
	struct tandem_operation *posted_first;
	struct tandem_operation *posted_last;
	unsigned int posted_count;
	struct loop_task *tasks_first;
	struct loop_task *tasks_last;
	unsigned int tasks_count;
	bool running;
};

void loop_polls_free(struct tandem_loop *loop);
void loop_timers_free(struct tandem_loop *loop);

/* Take the first posted operation off the list. */
void operation_unpost(struct tandem_loop *loop, struct tandem_operation *op);
int operation_posted_result(const struct tandem_operation *op);

#endif /* TANDEM_RUNTIME_LOOP_PRIVATE_H */
