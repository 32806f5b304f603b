// SPDX-License-Identifier: MIT
/* Messages to and fro. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bench_xfer_latency.h"
#include "bench_xfer_pair.h"
#include "failure.h"

#define MEMORY_BYTES	65536u
/* So that caches and queues are warm. */
#define WARM_UP		100u
#define TRANSFERS	65536u

/**
 * struct side - one of the two
 * @options: what to do
 * @begins: it sends first
 * @sent: the last message
 * @result: of its thread
 */
struct side {
	const struct bench_latency *options;
	bool begins;
	struct tandem_loop *loop;
	struct tandem_device *device;
	struct tandem_memory *memory;
	struct tandem_connection *connection;
	struct tandem_operation sent;
	int result;
};

static int side_open(struct side *side, const char *device, struct tandem_error *error)
{
	struct tandem_xfer_memory memory = { .unit = side->options->bytes };
	int ret;

	memory.length = MEMORY_BYTES / memory.unit * memory.unit;
	ret = bench_loop_create(&side->loop, side->options->busy_poll_us, error);
	if (!ret)
		ret = tandem_device_open(side->loop, device, &side->device, error);
	if (!ret)
		ret = tandem_memory_alloc(side->device, MEMORY_BYTES, &side->memory, error);
	if (ret)
		return ret;
	memory.memory = side->memory;
	return tandem_connection_open_memory(side->loop, &memory, &side->options->connection,
					     &side->connection, error);
}

static void side_close(struct side *side)
{
	tandem_connection_close(side->connection);
	tandem_memory_free(side->memory);
	tandem_device_close(side->device);
	tandem_loop_destroy(side->loop);
}

static int introduce(struct side *from, struct side *to, struct tandem_error *error)
{
	char description[TANDEM_DESCRIPTION_MAX];
	int size = tandem_connection_describe(from->connection, description,
					      sizeof(description));

	return tandem_connection_connect(to->connection, description, (size_t)size, error);
}

/* Without waiting until it has arrived: what comes back tells of that. */
static int send_one(struct side *side, uint32_t transfer)
{
	const struct tandem_push push = {
		.transfer = transfer,
		.layer_count = 1,
		.block_count = 1,
	};
	int ret = tandem_loop_wait(side->loop, &side->sent, -1);

	return ret ? ret : tandem_push_start(side->connection, &push, &side->sent);
}

static int receive_one(struct side *side, uint32_t transfer)
{
	struct tandem_operation op = { 0 };
	int ret = tandem_expect_start(side->connection, transfer, 1, 0, &op);

	return ret ? ret : tandem_loop_wait(side->loop, &op, -1);
}

/*
 * The messages from @first to before @end; both sides have the same names for them. Fills
 * in when each began, if anybody wants to know.
 */
static int exchange(struct side *side, unsigned int first, unsigned int end, double *began)
{
	int ret = 0;

	for (unsigned int i = first; i < end && !ret; i++) {
		if (began)
			*began++ = bench_now();
		if (side->begins)
			ret = send_one(side, i % TRANSFERS);
		if (!ret)
			ret = receive_one(side, i % TRANSFERS);
		if (!ret && !side->begins)
			ret = send_one(side, i % TRANSFERS);
	}
	return ret ? ret : tandem_loop_wait(side->loop, &side->sent, -1);
}

static void *answer(void *argument)
{
	struct side *side = argument;

	side->result = exchange(side, 0, WARM_UP + side->options->count, NULL);
	return NULL;
}

static int compare(const void *left, const void *right)
{
	const double *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

/* Half of the time from one message to the next, as is typical of @count of them. */
static double median(double *began, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		began[i] = began[i + 1] - began[i];
	qsort(began, count, sizeof(*began), compare);
	return began[count / 2] / 2;
}

static int exchange_and_time(struct side *side, double *seconds)
{
	const unsigned int count = side->options->count;
	double *began = malloc((count + 1) * sizeof(*began));
	int ret;

	if (!began)
		return -ENOMEM;
	ret = exchange(side, 0, WARM_UP, NULL);
	if (!ret)
		ret = exchange(side, WARM_UP, WARM_UP + count, began);
	began[count] = bench_now();
	if (!ret)
		*seconds = median(began, count);
	free(began);
	return ret;
}

static int measure(struct side *sides, double *seconds, struct tandem_error *error)
{
	pthread_t thread;
	int ret;

	ret = pthread_create(&thread, NULL, answer, &sides[1]);
	if (ret)
		return failure(error, -ret, "no thread can be started: %s", strerror(ret));
	ret = exchange_and_time(&sides[0], seconds);
	if (ret) {
		/* Which ends what the other one waits for. */
		tandem_connection_close(sides[0].connection);
		sides[0].connection = NULL;
	}
	pthread_join(thread, NULL);
	if (!ret)
		ret = sides[1].result;
	if (ret)
		return failure(error, ret, "%s: a message failed: %s",
			       tandem_transport_name(sides[0].options->connection.transport),
			       strerror(-ret));
	return 0;
}

int bench_latency_run(const struct bench_latency *options, double *seconds,
		      struct tandem_error *error)
{
	struct side sides[2] = { { .options = options, .begins = true },
				 { .options = options } };
	int ret = 0;

	for (int i = 0; i < 2 && !ret; i++)
		ret = side_open(&sides[i], options->device[i], error);
	if (!ret)
		ret = introduce(&sides[0], &sides[1], error);
	if (!ret)
		ret = introduce(&sides[1], &sides[0], error);
	if (!ret)
		ret = measure(sides, seconds, error);
	side_close(&sides[0]);
	side_close(&sides[1]);
	return ret;
}
