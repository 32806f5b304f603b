// SPDX-License-Identifier: MIT
/*
 * Looking for events for a while before sleeping.
 *
 * To be woken costs more than a small transfer takes. So where a source can be polled
 * from here, without a system call, the loop polls it before it sleeps, if that would
 * have found what came of late; and only when it gives up does it ask to be woken.
 */
#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "loop.h"
#include "loop_private.h"

#define NSEC_PER_USEC		1000ull
/* Waking up costs some 10 us on bare metal, and up to 100 in a virtual machine. */
#define BUSY_POLL_DEFAULT_US	200u
#define BUSY_POLL_MAX_US	1000000u
/* The first attempt, as a part of the limit. */
#define FIRST_PART		8

void loop_busy_poll_init(struct tandem_loop *loop)
{
	LIST_INIT(&loop->pollers);
	/* On a single processor, polling keeps events from coming. */
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		loop->busy_poll_max_ns = BUSY_POLL_DEFAULT_US * NSEC_PER_USEC;
}

int tandem_loop_set_busy_poll(struct tandem_loop *loop, uint32_t microseconds)
{
	if (microseconds > BUSY_POLL_MAX_US)
		return -EINVAL;
	loop->busy_poll_max_ns = microseconds * NSEC_PER_USEC;
	loop->busy_poll_ns = 0;
	return 0;
}

void loop_poller_start(struct tandem_loop *loop, struct loop_poller *poller)
{
	LIST_INSERT_HEAD(&loop->pollers, poller, entry);
	poller->is_started = true;
}

void loop_poller_stop(struct tandem_loop *loop, struct loop_poller *poller)
{
	if (!poller->is_started)
		return;
	if (loop->poller_next == poller)
		loop->poller_next = LIST_NEXT(poller, entry);
	LIST_REMOVE(poller, entry);
	poller->is_started = false;
}

/* Call one function of each; it may stop any of them. Return: how many found something. */
static int call_all(struct tandem_loop *loop, bool (*call)(struct loop_poller *poller))
{
	struct loop_poller *poller;
	int count = 0;

	for (poller = LIST_FIRST(&loop->pollers); poller; poller = loop->poller_next) {
		loop->poller_next = LIST_NEXT(poller, entry);
		count += call(poller);
	}
	return count;
}

static bool poll_one(struct loop_poller *poller)
{
	return poller->poll(poller);
}

/* What came before it was armed wakes nobody. */
static bool arm_one(struct loop_poller *poller)
{
	poller->arm(poller);
	return poller->is_started && poller->poll(poller);
}

int loop_pollers_poll(struct tandem_loop *loop)
{
	return call_all(loop, poll_one);
}

int loop_pollers_arm(struct tandem_loop *loop)
{
	return call_all(loop, arm_one);
}

int loop_busy_poll(struct tandem_loop *loop, uint64_t deadline)
{
	struct io_uring_cqe *cqe;
	uint64_t until;
	int count;

	loop->idle_since_ns = 0;
	if (LIST_EMPTY(&loop->pollers))
		return 0;
	loop->idle_since_ns = loop_now_ns();
	until = loop->idle_since_ns + loop->busy_poll_ns;
	if (until > deadline)
		until = deadline;
	for (;;) {
		count = loop_pollers_poll(loop);
		if (count || !io_uring_peek_cqe(&loop->ring, &cqe))
			return count;
		if (loop_now_ns() >= until)
			return loop_pollers_arm(loop);
		/* Whoever else wants this processor may be whom we wait for. */
		sched_yield();
	}
}

void loop_busy_poll_adapt(struct tandem_loop *loop)
{
	const uint64_t most = loop->busy_poll_max_ns;
	uint64_t idle_ns;

	if (!loop->idle_since_ns)
		return;
	idle_ns = loop_now_ns() - loop->idle_since_ns;
	if (idle_ns > most)
		loop->busy_poll_ns = 0;
	else if (!loop->busy_poll_ns)
		loop->busy_poll_ns = most / FIRST_PART;
	else
		loop->busy_poll_ns = loop->busy_poll_ns * 2 < most ? loop->busy_poll_ns * 2 : most;
}
