// SPDX-License-Identifier: MIT
/* Two devices with a KV pool on each and a connection between them. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "bench_xfer_pair.h"
#include "failure.h"

/* 2 (K and V) * 2 bytes * 32 elements * 8 tokens are 1 KiB. */
#define WIDTH_A_KIB	32u
#define TOKENS		8u
#define TRANSFERS	65536u

double bench_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static bool is_together(const struct bench_pair *pair)
{
	return pair->options.connection.transport == TANDEM_TRANSPORT_LOCAL &&
	       !pair->options.apart;
}

static int open_side(struct bench_pair *pair, int side, struct tandem_error *error)
{
	const struct tandem_kv_layout layout = {
		.type = 1,
		.layers = 1,
		.kv_width = WIDTH_A_KIB * (pair->options.block_bytes / 1024),
		.block_tokens = TOKENS,
		.blocks = pair->options.blocks,
	};
	void *pointer;
	int ret;

	ret = tandem_device_open(pair->loop[side], pair->options.device[side],
				 &pair->device[side], error);
	if (!ret)
		ret = tandem_kv_pool_create(pair->device[side], &layout, &pair->pool[side],
					    error);
	if (ret)
		return ret;
	ret = tandem_memory_map(tandem_kv_pool_memory(pair->pool[side]), &pointer);
	if (ret)
		return failure(error, ret, "%s: cannot be mapped: %s",
			       pair->options.device[side], strerror(-ret));
	pair->memory[side] = pointer;
	return tandem_connection_open(pair->loop[side], pair->pool[side],
				      &pair->options.connection, &pair->connection[side], error);
}

static int introduce(struct tandem_connection *from, struct tandem_connection *to,
		     struct tandem_error *error)
{
	char description[TANDEM_DESCRIPTION_MAX];
	int size = tandem_connection_describe(from, description, sizeof(description));

	return tandem_connection_connect(to, description, (size_t)size, error);
}

/* The receiving side's, by whom its loop is run. */
static void keep_record(struct bench_pair *pair, bool has_ended)
{
	pthread_mutex_lock(&pair->lock);
	tandem_connection_read_records(pair->connection[1], &pair->received, 1);
	pair->has_ended = has_ended;
	pthread_cond_signal(&pair->changed);
	pthread_mutex_unlock(&pair->lock);
}

/* Take in one transfer after the other, until the connection ends. */
static void *receive(void *argument)
{
	struct bench_pair *pair = argument;
	struct tandem_operation op = { 0 };
	uint32_t transfer = 0;

	do {
		pair->result = tandem_expect_start(pair->connection[1], transfer,
						   pair->options.blocks, 0, &op);
		if (!pair->result)
			pair->result = tandem_loop_wait(pair->loop[1], &op, -1);
		keep_record(pair, pair->result != 0);
		transfer = (transfer + 1) % TRANSFERS;
	} while (!pair->result);
	return NULL;
}

int bench_loop_create(struct tandem_loop **loop, long busy_poll_us, struct tandem_error *error)
{
	int ret = tandem_loop_create(loop, error);

	if (ret || busy_poll_us < 0)
		return ret;
	return tandem_loop_set_busy_poll(*loop, (uint32_t)busy_poll_us);
}

void bench_pair_fill(struct bench_pair *pair, int side)
{
	const uint64_t words = (uint64_t)pair->options.block_bytes * pair->options.blocks / 8;
	uint64_t *source = (uint64_t *)pair->memory[side];

	for (uint64_t i = 0; i < words; i++)
		source[i] = i * 0x9e3779b97f4a7c15ull;
	memset(pair->memory[!side], 0, words * 8);
}

int bench_pair_open(struct bench_pair *pair, const struct bench_pair_options *options,
		    struct tandem_error *error)
{
	int ret;

	memset(pair, 0, sizeof(*pair));
	pthread_mutex_init(&pair->lock, NULL);
	pthread_cond_init(&pair->changed, NULL);
	pair->options = *options;
	pair->options.connection.records = 1;
	ret = bench_loop_create(&pair->loop[0], options->busy_poll_us, error);
	if (!ret && is_together(pair))
		pair->loop[1] = pair->loop[0];
	else if (!ret)
		ret = bench_loop_create(&pair->loop[1], options->busy_poll_us, error);
	for (int side = 0; side < 2 && !ret; side++)
		ret = open_side(pair, side, error);
	if (!ret)
		ret = introduce(pair->connection[0], pair->connection[1], error);
	if (!ret)
		ret = introduce(pair->connection[1], pair->connection[0], error);
	if (ret)
		goto close;
	pair->options.connection.transport = tandem_connection_transport(pair->connection[0]);
	bench_pair_fill(pair, 0);
	if (is_together(pair))
		return 0;
	ret = pthread_create(&pair->receiver, NULL, receive, pair);
	if (ret) {
		ret = failure(error, -ret, "no thread can be started: %s", strerror(ret));
		goto close;
	}
	pair->has_receiver = true;
	return 0;

close:
	bench_pair_close(pair);
	return ret;
}

void bench_pair_close(struct bench_pair *pair)
{
	tandem_connection_close(pair->connection[0]);
	/* That ends what the thread waits for. */
	if (pair->has_receiver)
		pthread_join(pair->receiver, NULL);
	tandem_connection_close(pair->connection[1]);
	for (int side = 0; side < 2; side++) {
		tandem_kv_pool_destroy(pair->pool[side]);
		tandem_device_close(pair->device[side]);
	}
	if (pair->loop[1] != pair->loop[0])
		tandem_loop_destroy(pair->loop[1]);
	tandem_loop_destroy(pair->loop[0]);
	pthread_cond_destroy(&pair->changed);
	pthread_mutex_destroy(&pair->lock);
	memset(pair, 0, sizeof(*pair));
}

int bench_pair_push(struct bench_pair *pair, const uint32_t *local, const uint32_t *remote,
		    double *posting, struct tandem_error *error)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	const struct tandem_push push = {
		.transfer = pair->transfer,
		.layer_count = 1,
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = pair->options.blocks,
	};
	int ret = 0;

	pair->transfer = (pair->transfer + 1) % TRANSFERS;
	if (is_together(pair))
		ret = tandem_expect_start(pair->connection[1], push.transfer, push.block_count,
					  0, &received);
	if (!ret) {
		*posting = bench_now();
		ret = tandem_push_start(pair->connection[0], &push, &sent);
		*posting = bench_now() - *posting;
	}
	if (!ret)
		ret = tandem_loop_wait(pair->loop[0], &sent, -1);
	if (!ret && is_together(pair))
		ret = tandem_loop_wait(pair->loop[0], &received, -1);
	if (ret)
		return failure(error, ret, "%s: a push failed: %s",
			       tandem_transport_name(pair->options.connection.transport),
			       strerror(-ret));
	return 0;
}

int bench_pair_pull(struct bench_pair *pair, const uint32_t *local, const uint32_t *remote,
		    double *posting, struct tandem_error *error)
{
	struct tandem_operation read = { 0 };
	const struct tandem_pull pull = {
		.layer_count = 1,
		.local_blocks = local,
		.remote_blocks = remote,
		.block_count = pair->options.blocks,
	};
	int ret;

	*posting = bench_now();
	ret = tandem_pull_start(pair->connection[0], &pull, &read);
	*posting = bench_now() - *posting;
	if (!ret)
		ret = tandem_loop_wait(pair->loop[0], &read, -1);
	if (ret)
		return failure(error, ret, "%s: a pull failed: %s",
			       tandem_transport_name(pair->options.connection.transport),
			       strerror(-ret));
	return 0;
}

/* With the lock. */
static bool has_received(const struct bench_pair *pair, uint32_t transfer)
{
	return pair->received.stats.id && pair->received.transfer == transfer;
}

unsigned int bench_pair_records(struct bench_pair *pair, struct tandem_transfer_record records[2])
{
	unsigned int count = 1;

	if (!tandem_connection_read_records(pair->connection[0], &records[0], 1))
		return 0;
	if (records[0].kind != TANDEM_TRANSFER_PUSH)
		return count;
	if (is_together(pair))
		keep_record(pair, true);
	pthread_mutex_lock(&pair->lock);
	/* It may end later there. */
	while (!has_received(pair, records[0].transfer) && !pair->has_ended)
		pthread_cond_wait(&pair->changed, &pair->lock);
	records[1] = pair->received;
	count += has_received(pair, records[0].transfer);
	pthread_mutex_unlock(&pair->lock);
	return count;
}

int bench_pair_check(const struct bench_pair *pair, const uint32_t *local,
		     const uint32_t *remote, struct tandem_error *error)
{
	const size_t size = pair->options.block_bytes;

	for (uint32_t i = 0; i < pair->options.blocks; i++)
		if (memcmp(pair->memory[0] + local[i] * size, pair->memory[1] + remote[i] * size,
			   size))
			return failure(error, -EIO,
				       "%s: block %u has not arrived as it was sent",
				       tandem_transport_name(pair->options.connection.transport),
				       i);
	return 0;
}
