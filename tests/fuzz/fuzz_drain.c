// SPDX-License-Identifier: MIT
#include <liburing.h>
#include <poll.h>
#include <stdint.h>
#include <unistd.h>

#include "fuzz_drain.h"

#define POLLS		2
#define CHAIN		3
#define NO_OPCODE	255
#define DRAINED		1

/* Two polls, a NOP that has them drained, and a chain of which no part is begun. */
static void prepare(struct io_uring *ring, int fd)
{
	struct io_uring_sqe *sqe;
	int i;

	for (i = 0; i < POLLS; i++)
		io_uring_prep_poll_add(io_uring_get_sqe(ring), fd, POLLIN);
	sqe = io_uring_get_sqe(ring);
	io_uring_prep_nop(sqe);
	sqe->flags |= IOSQE_IO_DRAIN;
	sqe->user_data = DRAINED;
	for (i = 0; i < CHAIN; i++) {
		sqe = io_uring_get_sqe(ring);
		io_uring_prep_nop(sqe);
		if (i < CHAIN - 1)
			sqe->flags |= IOSQE_IO_LINK;
		else
			sqe->opcode = NO_OPCODE;
	}
}

static bool is_answered(struct io_uring *ring)
{
	struct __kernel_timespec limit = { .tv_sec = 1 };
	struct io_uring_cqe *cqe;
	bool found = false;

	while (!found && !io_uring_wait_cqe_timeout(ring, &cqe, &limit)) {
		found = cqe->user_data == DRAINED;
		io_uring_cqe_seen(ring, cqe);
	}
	return found;
}

bool fuzz_drain_is_forgotten(void)
{
	struct io_uring ring;
	bool forgotten = true;
	int pipes[2];

	if (pipe(pipes))
		return true;
	if (io_uring_queue_init(POLLS + 1 + CHAIN, &ring, 0))
		goto close_pipe;
	prepare(&ring, pipes[0]);
	/* The polls end. */
	if (io_uring_submit(&ring) == POLLS + 1 + CHAIN && write(pipes[1], "", 1) == 1)
		forgotten = !is_answered(&ring);
	io_uring_queue_exit(&ring);
close_pipe:
	close(pipes[0]);
	close(pipes[1]);
	return forgotten;
}
