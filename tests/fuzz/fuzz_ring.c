// SPDX-License-Identifier: MIT
/*
 * Operations on io_urings. Each submission has to be answered once.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "fuzz_ops.h"

#define ENTRIES		32
#define BATCH		8
/* Longer than any timeout of the driver, on a machine that is slow. */
#define SETTLE_SECONDS	90

enum fuzz_sqe_kind {
	SQE_COMMAND,
	SQE_POLL,
	SQE_OTHER,
};

static struct fuzz_ring *any_ring(struct fuzz_worker *worker)
{
	return &worker->ring[fuzz_below(&worker->random, FUZZ_RINGS)];
}

static void ring_create(struct fuzz_worker *worker)
{
	static const unsigned int flags[] = {
		0, 0, IORING_SETUP_COOP_TASKRUN, IORING_SETUP_SQPOLL,
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	};
	struct fuzz_ring *ring = any_ring(worker);
	struct io_uring_params params = {
		.flags = flags[fuzz_below(&worker->random, sizeof(flags) / sizeof(flags[0]))],
		.sq_thread_idle = 20,
	};
	int ret;

	if (ring->up)
		return;
	if (!fuzz_one_in(&worker->random, 32))
		params.flags |= IORING_SETUP_SQE128;
	if (fuzz_one_in(&worker->random, 2))
		params.flags |= IORING_SETUP_CQE32;
	memset(ring, 0, sizeof(*ring));
	ret = io_uring_queue_init_params(ENTRIES, &ring->ring, &params);
	fuzz_note(worker, "  flags %#x", params.flags);
	fuzz_told(worker, FUZZ_RING_CREATE, ret);
	if (ret)
		return;
	io_uring_ring_dontfork(&ring->ring);
	ring->flags = params.flags;
	ring->drains = fuzz_one_in(&worker->random, 2);
	ring->up = true;
}

void fuzz_ring_exit(struct fuzz_worker *worker, struct fuzz_ring *ring)
{
	fuzz_note(worker, "  ring exit with %u in flight", ring->in_flight);
	io_uring_queue_exit(&ring->ring);
	ring->up = false;
}

static void ring_exit(struct fuzz_worker *worker)
{
	struct fuzz_ring *ring = any_ring(worker);

	if (!ring->up)
		return;
	if (fuzz_one_in(&worker->random, 2))
		fuzz_ring_settle(worker, ring);
	fuzz_ring_exit(worker, ring);
}

/* Room for one more submission, or NULL. */
static struct fuzz_sqe *take_slot(struct fuzz_worker *worker, struct fuzz_ring *ring,
				  int kind, enum fuzz_call call,
				  struct io_uring_sqe *sqe)
{
	uint32_t i;

	for (i = 0; i < FUZZ_IN_FLIGHT; i++) {
		if (ring->sqe[i].serial)
			continue;
		ring->sqe[i] = (struct fuzz_sqe){
			.serial = worker->serial++, .kind = kind, .call = call,
		};
		if (!worker->serial)
			worker->serial = 1;
		ring->in_flight++;
		sqe->user_data = (uint64_t)ring->sqe[i].serial << 32 | i;
		return &ring->sqe[i];
	}
	return NULL;
}

static bool is_result(const struct fuzz_sqe *sqe, int result)
{
	if (sqe->kind != SQE_COMMAND)
		return true;
	switch (-result) {
	case 0:
	case ENOENT:
	case EINVAL:
	case EACCES:
	case EFAULT:
	case ENOMEM:
	case ECANCELED:
	case EIO:
	case ETIMEDOUT:
	case ENODEV:
		return true;
	case EBADF:
	case EOPNOTSUPP:
		/* Others may have closed the file, and opened another. */
		return true;
	default:
		return false;
	}
}

static void count_answer(struct fuzz_worker *worker, const struct fuzz_sqe *sqe, int result)
{
	struct fuzz_count *counts = worker->shared->counts;

	/* A poll ends when there is an event, or when it is told to. */
	fuzz_count(counts, sqe->call, result >= 0 ||
		   (sqe->kind == SQE_POLL && result == -ECANCELED));
	if (sqe->waits)
		fuzz_count(counts, FUZZ_URING_IN_FENCE, !result);
	if (sqe->signals)
		fuzz_count(counts, FUZZ_URING_OUT_FENCE, !result);
}

static void answer(struct fuzz_worker *worker, struct fuzz_ring *ring,
		   const struct io_uring_cqe *cqe)
{
	uint32_t slot = (uint32_t)cqe->user_data, serial = cqe->user_data >> 32;
	struct fuzz_sqe *sqe = &ring->sqe[slot % FUZZ_IN_FLIGHT];

	fuzz_note(worker, "  answer %u: %d", serial, cqe->res);
	if (slot >= FUZZ_IN_FLIGHT || !serial || sqe->serial != serial) {
		fuzz_fail(worker, "submission %u was answered twice, or never made", serial);
		return;
	}
	if (!is_result(sqe, cqe->res))
		fuzz_fail(worker, "a command ended with %d", cqe->res);
	count_answer(worker, sqe, cqe->res);
	if (sqe->into_arena)
		fuzz_check_memory(worker, worker->arena, FUZZ_ARENA, "an arena");
	sqe->serial = 0;
	ring->in_flight--;
}

static unsigned int reap(struct fuzz_worker *worker, struct fuzz_ring *ring)
{
	struct io_uring_cqe *cqe;
	unsigned int count = 0;

	while (!io_uring_peek_cqe(&ring->ring, &cqe)) {
		answer(worker, ring, cqe);
		io_uring_cqe_seen(&ring->ring, cqe);
		count++;
	}
	return count;
}

static void wait_a_little(struct fuzz_ring *ring, long nanoseconds)
{
	struct __kernel_timespec limit = { .tv_nsec = nanoseconds };
	struct io_uring_cqe *cqe;

	io_uring_wait_cqe_timeout(&ring->ring, &cqe, &limit);
}

/* SQEs come with what was in them before. */
static struct io_uring_sqe *next_sqe(struct fuzz_ring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->ring);

	if (sqe)
		memset(sqe, 0, ring->flags & IORING_SETUP_SQE128 ? 2 * sizeof(*sqe) :
								   sizeof(*sqe));
	return sqe;
}

/* What io_uring refuses before the driver is asked. */
static void make_malformed(struct fuzz_worker *worker, struct io_uring_sqe *sqe)
{
	sqe->uring_cmd_flags = fuzz_odd_number(&worker->random, 0);
}

static bool may_be_malformed(const struct fuzz_worker *worker, const struct fuzz_ring *ring)
{
	return !ring->drains || !worker->shared->drain_is_forgotten;
}

static void prepare_command(struct fuzz_worker *worker, struct fuzz_ring *ring,
			    struct io_uring_sqe *sqe)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct fuzz_command made;
	struct fuzz_sqe *slot;

	fuzz_command(worker, file, &made);
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->cmd_op = made.op;
	sqe->fd = file->fd;
	if (fuzz_one_in(&worker->random, 40))
		sqe->cmd_op = fuzz_odd_number(&worker->random, sqe->cmd_op);
	/* It would fill with what is another's address, and not with the tag. */
	if (sqe->cmd_op == TANDEM_URING_FILL)
		sqe->cmd_op = made.op;
	if (may_be_malformed(worker, ring) && fuzz_one_in(&worker->random, 40))
		make_malformed(worker, sqe);
	memcpy(sqe->cmd, &made.command, ring->flags & IORING_SETUP_SQE128 ?
					sizeof(made.command) : 16);
	slot = take_slot(worker, ring, SQE_COMMAND, made.call, sqe);
	slot->into_arena = made.into_arena;
	slot->waits = made.command.in_syncobj;
	slot->signals = made.command.out_syncobj;
	fuzz_note(worker, "  sqe %u op %#x fd %d queue %u length %llu in %u:%llu out %u:%llu",
		  slot->serial, sqe->cmd_op & 0xff, sqe->fd, made.command.queue,
		  (unsigned long long)made.command.length, made.command.in_syncobj,
		  (unsigned long long)made.command.in_point, made.command.out_syncobj,
		  (unsigned long long)made.command.out_point);
}

static uint64_t any_user_data(struct fuzz_worker *worker, const struct fuzz_ring *ring)
{
	uint32_t i, tries;

	for (tries = 0; tries < 8; tries++) {
		i = fuzz_below(&worker->random, FUZZ_IN_FLIGHT);
		if (ring->sqe[i].serial)
			return (uint64_t)ring->sqe[i].serial << 32 | i;
	}
	return 1;
}

static void prepare_cancel(struct fuzz_worker *worker, struct fuzz_ring *ring,
			   struct io_uring_sqe *sqe)
{
	if (fuzz_one_in(&worker->random, 3))
		io_uring_prep_cancel_fd(sqe, fuzz_any_file(worker)->fd,
					fuzz_one_in(&worker->random, 2) ?
					IORING_ASYNC_CANCEL_ALL : 0);
	else
		io_uring_prep_cancel64(sqe, any_user_data(worker, ring), 0);
	take_slot(worker, ring, SQE_OTHER, FUZZ_ASYNC_CANCEL, sqe);
}

static void prepare(struct fuzz_worker *worker, struct fuzz_ring *ring,
		    struct io_uring_sqe *sqe)
{
	switch (fuzz_below(&worker->random, 24)) {
	case 0:
		io_uring_prep_poll_add(sqe, fuzz_any_file(worker)->fd, POLLIN);
		take_slot(worker, ring, SQE_POLL, FUZZ_POLL, sqe);
		break;
	case 1:
		prepare_cancel(worker, ring, sqe);
		break;
	default:
		prepare_command(worker, ring, sqe);
		break;
	}
}

static unsigned int link_flags(struct fuzz_worker *worker, const struct fuzz_ring *ring)
{
	switch (fuzz_below(&worker->random, 16)) {
	case 0:
		return IOSQE_IO_LINK;
	case 1:
		return IOSQE_IO_HARDLINK;
	case 2:
		return IOSQE_ASYNC;
	case 3:
		return ring->drains && fuzz_one_in(&worker->random, 2) ? IOSQE_IO_DRAIN : 0;
	default:
		return 0;
	}
}

static void ring_submit(struct fuzz_worker *worker)
{
	struct fuzz_ring *ring = any_ring(worker);
	uint32_t count = 1 + fuzz_below(&worker->random, BATCH);
	struct io_uring_sqe *sqe;
	int ret;

	if (!ring->up || ring->in_flight + BATCH > FUZZ_IN_FLIGHT)
		return;
	while (count-- && (sqe = next_sqe(ring))) {
		prepare(worker, ring, sqe);
		/* A poll in a chain could keep it for ever. */
		if (sqe->opcode != IORING_OP_POLL_ADD)
			sqe->flags |= link_flags(worker, ring);
	}
	ret = io_uring_submit(&ring->ring);
	fuzz_note(worker, "  submitted to ring %d: %d", ring->ring.ring_fd, ret);
	if (fuzz_one_in(&worker->random, 4))
		wait_a_little(ring, 100000);
}

static void ring_reap(struct fuzz_worker *worker)
{
	struct fuzz_ring *ring = any_ring(worker);

	if (!ring->up)
		return;
	if (fuzz_one_in(&worker->random, 2))
		wait_a_little(ring, 2000000);
	reap(worker, ring);
}

void fuzz_rings_settle(struct fuzz_worker *worker)
{
	int i;

	for (i = 0; i < FUZZ_RINGS; i++) {
		if (worker->ring[i].up)
			fuzz_ring_settle(worker, &worker->ring[i]);
	}
}

static void ring_settle(struct fuzz_worker *worker)
{
	struct fuzz_ring *ring = any_ring(worker);

	if (ring->up)
		fuzz_ring_settle(worker, ring);
}

/*
 * Polls end when the device goes, or when they are told to. Not by a submission,
 * which may have to wait for what came before.
 */
static void end_polls(struct fuzz_ring *ring)
{
	struct io_uring_sync_cancel_reg cancel = { .timeout = { .tv_nsec = 1000000 } };
	uint32_t i;

	for (i = 0; i < FUZZ_IN_FLIGHT; i++) {
		if (!ring->sqe[i].serial || ring->sqe[i].kind != SQE_POLL)
			continue;
		cancel.addr = (uint64_t)ring->sqe[i].serial << 32 | i;
		io_uring_register_sync_cancel(&ring->ring, &cancel);
	}
}

static unsigned int count_polls(const struct fuzz_ring *ring)
{
	unsigned int count = 0;
	uint32_t i;

	for (i = 0; i < FUZZ_IN_FLIGHT; i++)
		count += ring->sqe[i].serial && ring->sqe[i].kind == SQE_POLL;
	return count;
}

static void complain_of_silence(struct fuzz_worker *worker, const struct fuzz_ring *ring)
{
	uint32_t i;

	for (i = 0; i < FUZZ_IN_FLIGHT; i++) {
		if (ring->sqe[i].serial)
			fuzz_note(worker, "  silent: submission %u of kind %d",
				  ring->sqe[i].serial, ring->sqe[i].kind);
	}
	fuzz_fail(worker, "%u submissions were never answered, ring flags %#x", ring->in_flight,
		  ring->flags);
}

void fuzz_ring_settle(struct fuzz_worker *worker, struct fuzz_ring *ring)
{
	time_t limit = time(NULL) + SETTLE_SECONDS;

	fuzz_note(worker, "  settle %u", ring->in_flight);
	while (ring->in_flight && time(NULL) < limit) {
		if (count_polls(ring))
			end_polls(ring);
		/* What did not fit, or was not taken. */
		io_uring_submit(&ring->ring);
		wait_a_little(ring, 20000000);
		reap(worker, ring);
	}
	if (ring->in_flight)
		complain_of_silence(worker, ring);
}

const struct fuzz_op fuzz_ring_ops[] = {
	{ "ring-create", 20, ring_create },
	{ "ring-exit", 3, ring_exit },
	{ "ring-submit", 110, ring_submit },
	{ "ring-reap", 60, ring_reap },
	{ "ring-settle", 4, ring_settle },
	{ 0 },
};
