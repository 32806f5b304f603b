// SPDX-License-Identifier: MIT
/*
 * One side of a pair of machines.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "worker.h"

#define PORT		4791u
/* A turn of the loop at most, and how long after its deadline an operation may take. */
#define SLICE_MS	100
#define GRACE_MS	10000
#define FINISH_SECONDS	60
/* Granted at once. */
#define SLOTS		2u
#define BLOCKS_MAX	24u
#define UNUSED_BYTE	0xa5

/* 16 KiB a block, 8 MiB in all. */
static const struct tandem_kv_layout layout = {
	.type = 1, .layers = 4, .kv_width = 256, .block_tokens = 16, .blocks = 128,
};

char worker_certificates[64];
char worker_address[64];

/**
 * struct slot - a transfer that the receiver waits for
 * @op: of it
 * @receive: what was granted
 * @blocks: of it
 * @due_ns: when it has to have ended, by &side.clock_ns; 0 once it was overdue
 */
struct slot {
	struct tandem_operation op;
	struct tandem_receive receive;
	uint32_t blocks[BLOCKS_MAX];
	uint64_t due_ns;
};

/**
 * struct side - a worker from the inside
 * @options: what to do
 * @counts: shared with the starter
 * @loop: everything's
 * @device: whose memory it is
 * @pool: in it
 * @memory: of the pool, mapped
 * @bytes: of it
 * @shadow: what has to be in it (receiver)
 * @listener: of the receiver
 * @peer: the other side
 * @opening: of it
 * @error: of that
 * @joined: it is open, as far as is known
 * @clock_ns: how long the loop has run, but for turns in which the process was stopped
 * @random: state
 * @transfer: name of the last one
 */
struct side {
	const struct worker_options *options;
	struct worker_counts *counts;
	struct tandem_loop *loop;
	struct tandem_device *device;
	struct tandem_kv_pool *pool;
	uint8_t *memory;
	uint64_t bytes;
	uint8_t *shadow;
	struct tandem_channel_listener *listener;
	struct tandem_peer *peer;
	struct tandem_operation opening;
	struct tandem_error error;
	bool joined;
	uint64_t clock_ns;
	uint64_t random;
	uint32_t transfer;
};

static volatile sig_atomic_t ending;
static volatile sig_atomic_t continued;

static void end_soon(int signal)
{
	(void)signal;
	ending = 1;
}

static void note_continued(int signal)
{
	(void)signal;
	continued = 1;
}

static void die(const char *what, const struct tandem_error *error)
{
	printf("# worker: %s: %s\n", what, error->message);
	fflush(stdout);
	_exit(1);
}

static uint32_t random_below(struct side *side, uint32_t bound)
{
	side->random = side->random * 6364136223846793005ull + 1442695040888963407ull;
	return (side->random >> 33) % bound;
}

static int count_fds(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;

	while (folder && readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* A turn of the loop, which ends with the first event. */
static void run(struct side *side, int milliseconds)
{
	const uint64_t since = now_ns();

	continued = 0;
	tandem_loop_run(side->loop, milliseconds);
	if (side->counts->slow_ms)
		usleep(side->counts->slow_ms * 1000);
	if (!continued)
		side->clock_ns += now_ns() - since;
}

static uint64_t in_ms(const struct side *side, uint64_t milliseconds)
{
	return side->clock_ns + milliseconds * 1000000;
}

/* How a transfer has ended. */
static void count_end(struct side *side, int result)
{
	struct worker_counts *counts = side->counts;

	switch (result) {
	case 0:
		counts->complete++;
		break;
	case -ECANCELED:
		counts->cancelled++;
		break;
	case -ETIMEDOUT:
		counts->timed_out++;
		break;
	case -ECONNRESET:
	case -ECONNREFUSED:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
		counts->lost++;
		break;
	case -EIO:
	case -ENODEV:
		counts->device_lost++;
		break;
	default:
		counts->other++;
		counts->other_code = result;
		break;
	}
}

/*
 * What is sent: words that tell of transfer, layer and place in it.
 */

static uint64_t content_word(uint64_t seed, uint64_t index)
{
	uint64_t word = (seed + index) * 0x9e3779b97f4a7c15ull;

	return word ^ word >> 29;
}

static uint64_t content_seed(uint32_t transfer, uint64_t generation, uint32_t layer,
			     uint32_t place)
{
	return generation + ((uint64_t)transfer << 40) + ((uint64_t)layer << 32) +
	       ((uint64_t)place << 20);
}

static void content_write(uint8_t *block, uint64_t seed)
{
	uint64_t words = tandem_kv_block_bytes(&layout) / 8;
	uint64_t i;

	for (i = 0; i < words; i++)
		((uint64_t *)block)[i] = content_word(seed, i);
}

/*
 * The receiver's memory
 */

/* Blocks that are granted may change, and have been told of when their slot has ended. */
static void check_memory(struct side *side, const struct slot slots[SLOTS])
{
	uint32_t i;

	for (i = 0; i < SLOTS; i++)
		if (slots[i].receive.block_count)
			return;
	if (!memcmp(side->memory, side->shadow, side->bytes))
		return;
	side->counts->late++;
	memcpy(side->shadow, side->memory, side->bytes);
}

/* What was granted has come, or will be used for something else. */
static void settle(struct side *side, const struct slot *slot)
{
	const struct tandem_receive *receive = &slot->receive;
	uint64_t size = tandem_kv_block_bytes(&layout);
	uint32_t layer, i;

	for (layer = receive->layer_first; layer < receive->layer_first + receive->layer_count;
	     layer++) {
		for (i = 0; i < receive->block_count; i++) {
			uint64_t at = tandem_kv_block_offset(&layout, layer, receive->blocks[i]);

			if (slot->op.result) {
				memset(side->memory + at, UNUSED_BYTE, size);
				memset(side->shadow + at, UNUSED_BYTE, size);
				continue;
			}
			content_write(side->shadow + at,
				      content_seed(receive->transfer, receive->generation, layer,
						   i));
			if (memcmp(side->memory + at, side->shadow + at, size)) {
				side->counts->wrong++;
				memcpy(side->shadow + at, side->memory + at, size);
			}
		}
	}
}

/* Blocks that the other slots do not have. */
static void choose_blocks(struct side *side, const struct slot slots[SLOTS], struct slot *slot)
{
	bool taken[256] = { 0 };
	uint32_t i, j, block;

	for (i = 0; i < SLOTS; i++)
		for (j = 0; slots[i].op.pending && j < slots[i].receive.block_count; j++)
			taken[slots[i].blocks[j]] = true;
	for (i = 0; i < slot->receive.block_count; i++) {
		do {
			block = random_below(side, layout.blocks);
		} while (taken[block]);
		taken[block] = true;
		slot->blocks[i] = block;
	}
}

static void grant(struct side *side, const struct slot slots[SLOTS], struct slot *slot)
{
	struct tandem_receive *receive = &slot->receive;
	int ret;

	memset(slot, 0, sizeof(*slot));
	side->transfer = (side->transfer + 1) & 0xffff;
	receive->transfer = side->transfer;
	receive->layer_first = random_below(side, layout.layers);
	receive->layer_count = 1 + random_below(side, layout.layers - receive->layer_first);
	receive->block_count = 1 + random_below(side, BLOCKS_MAX);
	receive->blocks = slot->blocks;
	receive->timeout_ms = side->options->timeout_ms;
	choose_blocks(side, slots, slot);
	slot->due_ns = in_ms(side, side->options->timeout_ms + GRACE_MS);
	ret = tandem_peer_receive_start(side->peer, receive, &slot->op);
	if (ret < 0) {
		/* Nothing has begun, and nothing will end. */
		receive->block_count = 0;
		side->joined = false;
		return;
	}
	side->counts->started++;
}

/* Wait for one to end. Return: has one? */
static void wait_for_slots(struct side *side, struct slot slots[SLOTS])
{
	bool waiting = true;
	uint32_t i;

	for (i = 0; i < SLOTS; i++)
		waiting = waiting && slots[i].op.pending;
	if (waiting)
		run(side, SLICE_MS);
	for (i = 0; i < SLOTS; i++) {
		if (!slots[i].op.pending || !slots[i].due_ns ||
		    slots[i].due_ns > side->clock_ns)
			continue;
		side->counts->overdue++;
		slots[i].due_ns = 0;
	}
}

static void receive_some(struct side *side, struct slot slots[SLOTS])
{
	uint32_t i;

	for (i = 0; i < SLOTS; i++) {
		if (slots[i].op.pending || !slots[i].receive.block_count)
			continue;
		count_end(side, slots[i].op.result);
		settle(side, &slots[i]);
		/* The connection goes on when time is over, or the next grant will tell. */
		if (slots[i].op.result && slots[i].op.result != -ETIMEDOUT)
			side->joined = false;
		slots[i].receive.block_count = 0;
	}
	for (i = 0; i < SLOTS && side->joined && !ending; i++)
		if (!slots[i].op.pending)
			grant(side, slots, &slots[i]);
}

/*
 * Opening
 */

static void open_listener(struct side *side)
{
	char certificate[128], key[128], authorities[128];
	struct tandem_channel_options options = {
		.address = worker_address,
		.port = PORT,
		.certificate = certificate,
		.key = key,
		.authorities = authorities,
	};
	struct tandem_error error = { 0 };

	snprintf(certificate, sizeof(certificate), "%s/decode.pem", worker_certificates);
	snprintf(key, sizeof(key), "%s/decode.key", worker_certificates);
	snprintf(authorities, sizeof(authorities), "%s/ours.pem", worker_certificates);
	if (tandem_channel_listen(side->loop, &options, &side->listener, &error) < 0)
		die("listener", &error);
}

static void create_peer(struct side *side)
{
	char certificate[128], key[128], authorities[128];
	struct tandem_channel_options call = {
		.address = worker_address,
		.port = PORT,
		.certificate = certificate,
		.key = key,
		.authorities = authorities,
		.peer_name = "decode.example",
		.timeout_ms = 5000,
	};
	struct tandem_peer_options options = {
		.connection = {
			.transport = side->options->transport,
			.rdma_device = side->options->rails ? "rxe0,rxe1" : "rxe0",
			.gid_index = -1,
			.timeout_ms = side->options->timeout_ms,
			.address = "0.0.0.0",
			.grants = 1,
		},
		.timeout_ms = 10000,
	};

	snprintf(certificate, sizeof(certificate), "%s/prefill.pem", worker_certificates);
	snprintf(key, sizeof(key), "%s/prefill.key", worker_certificates);
	snprintf(authorities, sizeof(authorities), "%s/ours.pem", worker_certificates);
	if (side->options->sends)
		options.call = &call;
	if (tandem_peer_create(side->loop, side->pool, &options, &side->peer, &side->error) < 0)
		die("peer", &side->error);
}

/* Without the driver, as between two network namespaces, devices of the process. */
static const char *device_name(bool sends)
{
	if (access("/dev/accel/accel0", F_OK))
		return sends ? "inproc:trn2,mem=64M,cores=1" : "inproc:wse3,mem=64M,cores=1";
	return sends ? "accel0" : "accel1";
}

static void prepare(struct side *side)
{
	struct tandem_error error = { 0 };
	void *pointer;

	side->random = side->options->seed + getpid();
	side->bytes = tandem_kv_block_bytes(&layout) * layout.blocks * layout.layers;
	if (tandem_loop_create(&side->loop, &error) < 0)
		die("loop", &error);
	if (tandem_device_open(side->loop, device_name(side->options->sends), &side->device,
			       &error) < 0)
		die("device", &error);
	if (tandem_kv_pool_create(side->device, &layout, &side->pool, &error) < 0)
		die("pool", &error);
	if (tandem_memory_map(tandem_kv_pool_memory(side->pool), &pointer) < 0)
		die("mapping", &error);
	side->memory = pointer;
	side->shadow = calloc(1, side->bytes);
	if (!side->shadow)
		die("memory", &error);
	memset(side->memory, 0, side->bytes);
	if (!side->options->sends)
		open_listener(side);
	create_peer(side);
}

static void leave(struct side *side)
{
	tandem_channel_listener_close(side->listener);
	tandem_kv_pool_destroy(side->pool);
	tandem_device_close(side->device);
	tandem_loop_destroy(side->loop);
	free(side->shadow);
}

static void note_opened(struct side *side)
{
	struct tandem_connection *connection = tandem_peer_connection(side->peer);

	side->joined = side->opening.result == 0;
	if (side->joined)
		side->counts->opened++;
	else
		side->counts->not_opened++;
	if (connection)
		side->counts->transport = tandem_connection_transport(connection);
}

/*
 * The receiver
 */

/* Over the channel that is there, if it is; else the other side has to call. */
static bool open_again(struct side *side, struct tandem_channel *channel)
{
	if (side->opening.pending) {
		if (!channel)
			return true;
		tandem_cancel(side->loop, &side->opening);
		tandem_loop_wait(side->loop, &side->opening, -1);
	}
	if (!tandem_peer_open_start(side->peer, channel, &side->opening, &side->error))
		return true;
	tandem_channel_close(channel);
	return false;
}

static void receiver(struct side *side)
{
	struct tandem_operation accepted = { 0 };
	struct tandem_channel *channel = NULL;
	struct slot slots[SLOTS] = { 0 };
	bool opening = false;

	while (!ending) {
		if (!accepted.pending) {
			if (channel) {
				side->joined = false;
				opening = open_again(side, channel);
			}
			channel = NULL;
			tandem_channel_accept_start(side->listener, &channel, &accepted);
		}
		if (opening && !side->opening.pending) {
			opening = false;
			note_opened(side);
		}
		if (!side->joined && !opening)
			opening = open_again(side, NULL);
		receive_some(side, slots);
		wait_for_slots(side, slots);
		if (!side->joined) {
			run(side, SLICE_MS);
			receive_some(side, slots);
			check_memory(side, slots);
		}
	}
	tandem_cancel(side->loop, &accepted);
	tandem_loop_wait(side->loop, &accepted, -1);
	if (channel)
		tandem_channel_close(channel);
	tandem_peer_close(side->peer);
	run(side, 0);
	receive_some(side, slots);
	/* Nothing can come any more. */
	usleep(300000);
	check_memory(side, slots);
}

/*
 * The sender
 */

/* Return: has it ended? */
static bool wait_for(struct side *side, struct tandem_operation *op, uint64_t due_ns)
{
	while (op->pending && side->clock_ns < due_ns)
		run(side, SLICE_MS);
	return !op->pending;
}

static void sender_open(struct side *side)
{
	if (tandem_peer_open_start(side->peer, NULL, &side->opening, &side->error) < 0)
		die("open", &side->error);
	while (side->opening.pending) {
		run(side, SLICE_MS);
		if (ending && side->opening.pending)
			tandem_cancel(side->loop, &side->opening);
	}
	note_opened(side);
	if (!side->joined)
		run(side, SLICE_MS);
}

static struct tandem_grant *next_grant(struct side *side)
{
	struct tandem_operation granted = { 0 };
	struct tandem_grant *grant = NULL;
	const uint64_t due_ns = in_ms(side, side->options->timeout_ms);

	if (tandem_peer_grant_start(side->peer, &grant, &granted) < 0)
		return NULL;
	while (granted.pending && side->clock_ns < due_ns && !ending)
		run(side, SLICE_MS);
	tandem_cancel(side->loop, &granted);
	tandem_loop_wait(side->loop, &granted, -1);
	return granted.result == 0 ? grant : NULL;
}

static void send_one(struct side *side, const struct tandem_grant *grant)
{
	uint32_t local[BLOCKS_MAX], first = random_below(side, layout.blocks);
	struct tandem_push push = {
		.transfer = grant->transfer,
		.layer_first = grant->layer_first,
		.layer_count = grant->layer_count,
		.local_blocks = local,
		.remote_blocks = grant->blocks,
		.block_count = grant->block_count,
		.generation = grant->generation,
		.timeout_ms = side->options->timeout_ms,
	};
	struct tandem_operation sent = { 0 };
	uint32_t layer, i;

	for (i = 0; i < grant->block_count && i < BLOCKS_MAX; i++)
		local[i] = (first + i) % layout.blocks;
	for (layer = push.layer_first; layer < push.layer_first + push.layer_count; layer++)
		for (i = 0; i < push.block_count; i++)
			content_write(side->memory +
				      tandem_kv_block_offset(&layout, layer, local[i]),
				      content_seed(push.transfer, push.generation, layer, i));
	if (tandem_push_start(tandem_peer_connection(side->peer), &push, &sent) < 0) {
		side->joined = false;
		return;
	}
	side->counts->started++;
	if (random_below(side, 100) < side->options->cancel_percent) {
		for (i = random_below(side, 3); i; i--)
			tandem_loop_run(side->loop, 0);
		tandem_cancel(side->loop, &sent);
	}
	if (!wait_for(side, &sent, in_ms(side, side->options->timeout_ms + GRACE_MS))) {
		side->counts->overdue++;
		die("overdue", &side->error);
	}
	count_end(side, sent.result);
	if (sent.result && sent.result != -ECANCELED && sent.result != -ETIMEDOUT)
		side->joined = false;
}

static void sender(struct side *side)
{
	const struct worker_options *options = side->options;
	struct tandem_grant *grant;

	while (!ending && (!options->transfers || side->counts->started < options->transfers)) {
		if (!side->joined) {
			sender_open(side);
			continue;
		}
		grant = next_grant(side);
		if (grant)
			send_one(side, grant);
		else
			side->joined = false;
		tandem_grant_free(grant);
	}
	tandem_peer_close(side->peer);
	run(side, 0);
}

/*
 * From outside
 */

static void work(const struct worker_options *options, struct worker_counts *counts)
{
	struct side side = { .options = options, .counts = counts };
	int before = count_fds();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGTERM, end_soon);
	signal(SIGCONT, note_continued);
	prepare(&side);
	if (options->sends)
		sender(&side);
	else
		receiver(&side);
	leave(&side);
	counts->fds_left = count_fds() - before;
	_exit(0);
}

void worker_start(struct worker *worker, const struct worker_options *options, bool again)
{
	if (!worker->counts)
		worker->counts = mmap(NULL, sizeof(*worker->counts), PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (worker->counts == MAP_FAILED)
		abort();
	if (!again)
		memset(worker->counts, 0, sizeof(*worker->counts));
	fflush(stdout);
	worker->pid = fork();
	if (worker->pid < 0)
		abort();
	if (!worker->pid)
		work(options, worker->counts);
}

/* Return: what waitpid() says, in a number; -1 while it runs. */
static int worker_poll(struct worker *worker)
{
	int status;

	if (waitpid(worker->pid, &status, WNOHANG) != worker->pid)
		return -1;
	worker->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool worker_has_ended(struct worker *worker)
{
	siginfo_t info = { 0 };

	return !worker->pid || (!waitid(P_PID, worker->pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
				info.si_pid);
}

int worker_finish(struct worker *worker)
{
	int tries, status;

	if (!worker->pid)
		return 0;
	kill(worker->pid, SIGTERM);
	for (tries = 0; tries < FINISH_SECONDS * 20; tries++) {
		status = worker_poll(worker);
		if (status >= 0)
			return status;
		usleep(50000);
	}
	worker_kill(worker);
	return -1;
}

void worker_kill(struct worker *worker)
{
	if (!worker->pid)
		return;
	kill(worker->pid, SIGKILL);
	waitpid(worker->pid, NULL, 0);
	worker->pid = 0;
}
