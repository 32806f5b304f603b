/* SPDX-License-Identifier: MIT */
/*
 * What the files of the loop share with one another: loop.c (the ring),
 * loop_watch.c (polls and timers), loop_busy_poll.c (polling before sleeping),
 * operation.c (operations and tasks).
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
 * @watched: the application has the ring's descriptor, and may wait for it
 * @pollers: what is polled before the loop sleeps
 * @poller_next: while they are, the one after the current one
 * @busy_poll_max_ns: for how long at most
 * @busy_poll_ns: for how long at present; it grows while that would have been enough
 * @idle_since_ns: when there was nothing left to do; 0 without pollers
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
	bool watched;
	LIST_HEAD(, loop_poller) pollers;
	struct loop_poller *poller_next;
	uint64_t busy_poll_max_ns;
	uint64_t busy_poll_ns;
	uint64_t idle_since_ns;
};

void loop_polls_free(struct tandem_loop *loop);
void loop_timers_free(struct tandem_loop *loop);

void loop_busy_poll_init(struct tandem_loop *loop);

/**
 * loop_busy_poll() - look for something to do, before sleeping
 * @loop: with nothing posted
 * @deadline: not for longer than until then
 *
 * Return: how many pollers had something. With 0 there are completions, or things
 * posted, or all pollers are armed.
 */
int loop_busy_poll(struct tandem_loop *loop, uint64_t deadline);
/* See whether polling for longer would have spared the sleep that has ended. */
void loop_busy_poll_adapt(struct tandem_loop *loop);
/* Poll all of them once. Return: how many had something. */
int loop_pollers_poll(struct tandem_loop *loop);
/* Have the ring show what comes to pollers. Return: how many had something. */
int loop_pollers_arm(struct tandem_loop *loop);

/* Take the first posted operation off the list. */
void operation_unpost(struct tandem_loop *loop, struct tandem_operation *op);
int operation_posted_result(const struct tandem_operation *op);

#endif /* TANDEM_RUNTIME_LOOP_PRIVATE_H */
