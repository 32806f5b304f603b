// SPDX-License-Identifier: MIT
/*
 * Two devices, a KV pool on each, and a connection between them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"

const struct pair_kind *pair_kind;
unsigned int pair_checksums;

/* 2 * 2 bytes * 32 * 8 = 1 KiB a block. */
const struct tandem_kv_layout pair_layout[2] = {
	{ .type = 1, .layers = 3, .kv_width = 32, .block_tokens = 8, .blocks = 41 },
	{ .type = 1, .layers = 3, .kv_width = 32, .block_tokens = 8, .blocks = 67 },
};

static uint64_t pool_bytes(const struct tandem_kv_layout *layout)
{
	return tandem_kv_block_bytes(layout) * layout->blocks * layout->layers;
}

/* xorshift64* */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 2685821657736338717ull;
}

uint32_t pair_random(struct pair *pair, uint32_t bound)
{
	return (next_random(&pair->random) >> 32) % bound;
}

void pair_choose(struct pair *pair, uint32_t *numbers, uint32_t count, uint32_t bound)
{
	uint32_t *all = malloc(bound * sizeof(*all));
	uint32_t i, other, value;

	assert_non_null(all);
	for (i = 0; i < bound; i++)
		all[i] = i;
	for (i = 0; i < count; i++) {
		other = i + pair_random(pair, bound - i);
		value = all[other];
		all[other] = all[i];
		all[i] = value;
		numbers[i] = value;
	}
	free(all);
}

static void fail_for(const char *what, const struct tandem_error *error)
{
	fail_msg("%s: %s: %s", pair_kind->name, what, error->message);
}

static void open_side(struct pair *pair, const struct tandem_kv_layout *layout, int side)
{
	struct tandem_error error = { 0 };
	uint64_t bytes = pool_bytes(layout);
	void *pointer;
	uint64_t i;

	if (tandem_device_open(pair->loop, pair_kind->device[side], &pair->device[side],
			       &error) < 0)
		fail_for("device", &error);
	if (tandem_kv_pool_create(pair->device[side], layout, &pair->pool[side], &error) < 0)
		fail_for("pool", &error);
	assert_int_equal(tandem_memory_map(tandem_kv_pool_memory(pair->pool[side]), &pointer), 0);
	pair->bytes[side] = pointer;
	pair->shadow[side] = malloc(bytes);
	assert_non_null(pair->shadow[side]);
	for (i = 0; i < bytes; i++)
		pair->shadow[side][i] = next_random(&pair->random) >> 56;
	memcpy(pair->bytes[side], pair->shadow[side], bytes);
}

void pair_open(struct pair *pair, const struct tandem_kv_layout layout[2])
{
	struct tandem_error error = { 0 };

	if (pair_kind->prepare)
		pair_kind->prepare();
	memset(pair, 0, sizeof(*pair));
	pair->random = 0x9e3779b97f4a7c15ull;
	if (tandem_loop_create(&pair->loop, &error) < 0)
		fail_for("loop", &error);
	open_side(pair, &layout[0], 0);
	open_side(pair, &layout[1], 1);
}

void pair_close(struct pair *pair)
{
	int side;

	for (side = 0; side < 2; side++)
		tandem_connection_close(pair->connection[side]);
	for (side = 0; side < 2; side++) {
		tandem_kv_pool_destroy(pair->pool[side]);
		tandem_device_close(pair->device[side]);
		free(pair->shadow[side]);
	}
	tandem_loop_destroy(pair->loop);
	memset(pair, 0, sizeof(*pair));
}

int pair_setup(void **state)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	assert_non_null(pair);
	pair_open(pair, pair_layout);
	pair_connect(pair);
	*state = pair;
	return 0;
}

int pair_teardown(void **state)
{
	pair_close(*state);
	free(*state);
	return 0;
}

const char *pair_name(void)
{
	static char name[64];

	snprintf(name, sizeof(name), "%s%s", pair_kind->name,
		 pair_checksums ? ", with checksums" : "");
	return name;
}

struct tandem_connection_options pair_options(void)
{
	struct tandem_connection_options options = {
		.transport = pair_kind->transport,
		.rdma_device = pair_kind->rdma_device,
		.rdma_pairs = pair_kind->rdma_pairs,
		.gid_index = -1,
		.checksums = pair_checksums,
		.timeout_ms = PAIR_PATIENCE_MS,
	};

	return options;
}

static struct tandem_connection *open_connection(struct pair *pair, int side,
						 const struct tandem_connection_options *options)
{
	struct tandem_connection *connection;
	struct tandem_error error = { 0 };

	if (tandem_connection_open(pair->loop, pair->pool[side], options, &connection,
				   &error) < 0)
		fail_for("connection", &error);
	return connection;
}

struct tandem_connection *pair_connection(struct pair *pair, int side)
{
	const struct tandem_connection_options options = pair_options();

	return open_connection(pair, side, &options);
}

void pair_introduce(struct tandem_connection *from, struct tandem_connection *to)
{
	uint8_t description[TANDEM_DESCRIPTION_MAX];
	struct tandem_error error = { 0 };
	int size;

	size = tandem_connection_describe(from, description, sizeof(description));
	assert_true(size > 0);
	if (tandem_connection_connect(to, description, size, &error) < 0)
		fail_for("connect", &error);
}

static void introduce_both(struct pair *pair)
{
	pair_introduce(pair->connection[0], pair->connection[1]);
	pair_introduce(pair->connection[1], pair->connection[0]);
	if (pair_kind->connected)
		pair_kind->connected(pair);
}

void pair_connect(struct pair *pair)
{
	pair->connection[0] = pair_connection(pair, 0);
	pair->connection[1] = pair_connection(pair, 1);
	introduce_both(pair);
}

void pair_connect_with_grants(struct pair *pair)
{
	struct tandem_connection_options options = pair_options();
	int side;

	options.grants = 1;
	for (side = 0; side < 2; side++) {
		tandem_connection_close(pair->connection[side]);
		pair->connection[side] = open_connection(pair, side, &options);
	}
	introduce_both(pair);
}

void pair_reconnect(struct pair *pair)
{
	tandem_connection_close(pair->connection[0]);
	tandem_connection_close(pair->connection[1]);
	pair_connect(pair);
}

int pair_wait(struct pair *pair, struct tandem_operation *op)
{
	int result = tandem_loop_wait(pair->loop, op, PAIR_PATIENCE_MS);

	assert_false(op->pending);
	return result;
}

void pair_run(struct pair *pair, int milliseconds)
{
	struct tandem_operation timer = { 0 };

	assert_int_equal(tandem_timer_start(pair->loop, milliseconds, &timer), 0);
	pair_wait(pair, &timer);
}

void pair_shadow_push(struct pair *pair, const struct tandem_push *push)
{
	const struct tandem_kv_layout *local = tandem_kv_pool_layout(pair->pool[0]);
	const struct tandem_kv_layout *remote = tandem_kv_pool_layout(pair->pool[1]);
	uint32_t layer, i;

	for (layer = push->layer_first; layer < push->layer_first + push->layer_count; layer++)
		for (i = 0; i < push->block_count; i++)
			memcpy(pair->shadow[1] + tandem_kv_block_offset(remote, layer,
									push->remote_blocks[i]),
			       pair->shadow[0] + tandem_kv_block_offset(local, layer,
									push->local_blocks[i]),
			       tandem_kv_block_bytes(local));
}

void pair_check(struct pair *pair)
{
	int side;

	for (side = 0; side < 2; side++) {
		const struct tandem_kv_layout *layout = tandem_kv_pool_layout(pair->pool[side]);
		uint64_t bytes = pool_bytes(layout);
		uint64_t i;

		if (!memcmp(pair->bytes[side], pair->shadow[side], bytes))
			continue;
		for (i = 0; pair->bytes[side][i] == pair->shadow[side][i]; i++)
			;
		fail_msg("%s: side %d differs from byte %llu on, block %llu of all",
			 pair_kind->name, side, (unsigned long long)i,
			 (unsigned long long)(i / tandem_kv_block_bytes(layout)));
	}
}

void pair_push_and_check(struct pair *pair, const struct tandem_push *push)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	uint64_t blocks = (uint64_t)push->layer_count * push->block_count;

	assert_int_equal(tandem_expect_start(pair->connection[1], push->transfer, blocks, 0,
					     &received), 0);
	assert_int_equal(tandem_push_start(pair->connection[0], push, &sent), 0);
	assert_int_equal(pair_wait(pair, &received), 0);
	pair_shadow_push(pair, push);
	pair_check(pair);
	assert_int_equal(pair_wait(pair, &sent), 0);
}
