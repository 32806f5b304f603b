// SPDX-License-Identifier: MIT
/*
 * Connections between memories that are no KV pools: of devices, and of the
 * process.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"

#define UNIT	512u
/* Not the same on both sides. */
static const uint64_t units[2] = { 300, 500 };

/**
 * struct plain - two memories and connections between them
 * @pair: devices; their pools are not used
 * @memory: of the devices
 * @host: of the process
 * @bytes: what is used of these, mapped
 * @connection: between @bytes
 */
struct plain {
	struct pair pair;
	struct tandem_memory *memory[2];
	uint8_t *host[2];
	uint8_t *bytes[2];
	struct tandem_connection *connection[2];
};

static struct tandem_connection_options options_of(bool grants)
{
	struct tandem_connection_options options = pair_options();

	options.grants = grants;
	return options;
}

static struct tandem_xfer_memory describe(struct plain *plain, int side, bool host)
{
	struct tandem_xfer_memory memory = { .length = units[side] * UNIT, .unit = UNIT };
	void *pointer = plain->host[side];

	if (host) {
		memory.pointer = pointer;
	} else {
		memory.memory = plain->memory[side];
		assert_int_equal(tandem_memory_map(memory.memory, &pointer), 0);
	}
	plain->bytes[side] = pointer;
	return memory;
}

static void connect_memories(struct plain *plain, const bool host[2], bool grants)
{
	struct tandem_connection_options options = options_of(grants);
	struct tandem_error error = { 0 };
	int side;

	for (side = 0; side < 2; side++) {
		struct tandem_xfer_memory memory = describe(plain, side, host[side]);

		if (tandem_connection_open_memory(plain->pair.loop, &memory, &options,
						  &plain->connection[side], &error) < 0)
			fail_msg("%s: %s", pair_kind->name, error.message);
		for (uint64_t i = 0; i < memory.length; i++)
			plain->bytes[side][i] = pair_random(&plain->pair, 256);
	}
	pair_introduce(plain->connection[0], plain->connection[1]);
	pair_introduce(plain->connection[1], plain->connection[0]);
}

static void disconnect(struct plain *plain)
{
	int side;

	for (side = 0; side < 2; side++) {
		tandem_connection_close(plain->connection[side]);
		plain->connection[side] = NULL;
	}
}

static int setup(void **state)
{
	struct plain *plain = calloc(1, sizeof(*plain));
	int side;

	assert_non_null(plain);
	pair_open(&plain->pair, pair_layout);
	for (side = 0; side < 2; side++) {
		assert_int_equal(tandem_memory_alloc_shareable(plain->pair.device[side],
							       units[side] * UNIT,
							       &plain->memory[side], NULL), 0);
		plain->host[side] = malloc(units[side] * UNIT);
		assert_non_null(plain->host[side]);
	}
	*state = plain;
	return 0;
}

static int teardown(void **state)
{
	struct plain *plain = *state;
	int side;

	disconnect(plain);
	for (side = 0; side < 2; side++) {
		tandem_memory_free(plain->memory[side]);
		free(plain->host[side]);
	}
	pair_close(&plain->pair);
	free(plain);
	return 0;
}

/* Send ranges by a table, and see that these and no others have changed. */
static void send_ranges(struct plain *plain, uint64_t generation, uint32_t transfer)
{
	static const struct tandem_xfer_entry entries[] = {
		{ .local = 0, .remote = 40 * UNIT, .length = 100 * UNIT },
		{ .local = 100 * UNIT, .remote = 140 * UNIT, .length = UNIT },
		{ .local = 299 * UNIT, .remote = 499 * UNIT, .length = UNIT },
		{ .local = 200 * UNIT, .remote = 0, .length = 7 * UNIT },
	};
	struct tandem_operation sent = { 0 };
	struct tandem_push push = { .transfer = transfer, .entry_count = 4,
				    .generation = generation };
	uint64_t bytes = units[1] * UNIT;
	uint8_t *expected = malloc(bytes);
	unsigned int i;

	assert_non_null(expected);
	memcpy(expected, plain->bytes[1], bytes);
	for (i = 0; i < 4; i++)
		memcpy(expected + entries[i].remote, plain->bytes[0] + entries[i].local,
		       entries[i].length);
	assert_int_equal(tandem_xfer_table_create(plain->connection[0], entries, 4, &push.table,
						  NULL), 0);
	assert_int_equal(tandem_push_start(plain->connection[0], &push, &sent), 0);
	tandem_xfer_table_destroy(push.table);
	assert_int_equal(pair_wait(&plain->pair, &sent), 0);
	assert_memory_equal(expected, plain->bytes[1], bytes);
	free(expected);
}

static void test_ranges(void **state)
{
	struct tandem_operation received = { 0 };
	struct plain *plain = *state;
	unsigned int kind;

	for (kind = 0; kind < 4; kind++) {
		const bool host[2] = { kind & 1, kind & 2 };

		if (kind && pair_kind->transport != TANDEM_TRANSPORT_TCP)
			continue;
		connect_memories(plain, host, false);
		assert_int_equal(tandem_expect_start(plain->connection[1], 3, 109, 0, &received),
				 0);
		send_ranges(plain, 0, 3);
		assert_int_equal(pair_wait(&plain->pair, &received), 0);
		disconnect(plain);
	}
}

static void test_granted_units(void **state)
{
	const bool host[2] = { false, pair_kind->transport == TANDEM_TRANSPORT_TCP };
	uint32_t blocks[109], count = 0, i;
	struct tandem_receive receive = { .transfer = 3, .layer_count = 1, .blocks = blocks };
	struct tandem_operation received = { 0 };
	struct plain *plain = *state;

	for (i = 40; i < 141; i++)
		blocks[count++] = i;
	for (i = 0; i < 7; i++)
		blocks[count++] = i;
	blocks[count++] = 499;
	receive.block_count = count;
	connect_memories(plain, host, true);
	assert_int_equal(tandem_receive_start(plain->connection[1], &receive, &received), 0);
	send_ranges(plain, receive.generation, 3);
	assert_int_equal(pair_wait(&plain->pair, &received), 0);
}

static void test_out_of_range(void **state)
{
	const bool host[2] = { false, false };
	uint32_t good = 0, local = units[0], remote = units[1];
	struct tandem_push push = { .layer_count = 1, .block_count = 1, .local_blocks = &good,
				    .remote_blocks = &good };
	struct tandem_operation op = { 0 };
	struct plain *plain = *state;

	connect_memories(plain, host, false);
	push.local_blocks = &local;
	assert_int_equal(tandem_push_start(plain->connection[0], &push, &op), -EINVAL);
	push.local_blocks = &good;
	push.remote_blocks = &remote;
	assert_int_equal(tandem_push_start(plain->connection[0], &push, &op), -EINVAL);
	push.remote_blocks = &good;
	push.layer_first = 1;
	assert_int_equal(tandem_push_start(plain->connection[0], &push, &op), -EINVAL);
	push.layer_first = 0;
	assert_int_equal(tandem_push_start(plain->connection[0], &push, &op), 0);
	assert_int_equal(pair_wait(&plain->pair, &op), 0);
}

static void open_refused(struct plain *plain, struct tandem_xfer_memory memory, int code,
			 const char *part)
{
	struct tandem_connection_options options = options_of(false);
	struct tandem_connection *connection;
	struct tandem_error error = { 0 };

	assert_int_equal(tandem_connection_open_memory(plain->pair.loop, &memory, &options,
						       &connection, &error), code);
	assert_non_null(strstr(error.message, part));
}

static void test_refused(void **state)
{
	struct plain *plain = *state;
	struct tandem_xfer_memory good = describe(plain, 0, false), wrong;

	wrong = good;
	wrong.pointer = plain->host[0];
	open_refused(plain, wrong, -EINVAL, "either");
	wrong.pointer = NULL;
	wrong.memory = NULL;
	open_refused(plain, wrong, -EINVAL, "either");
	wrong = good;
	wrong.length = tandem_memory_size(good.memory) + UNIT;
	open_refused(plain, wrong, -EINVAL, "more than");
	wrong.length = 0;
	open_refused(plain, wrong, -EINVAL, "whole");
	wrong.length = UNIT + 2;
	open_refused(plain, wrong, -EINVAL, "whole");
	wrong.length = 513;
	wrong.unit = 513;
	open_refused(plain, wrong, -EINVAL, "even");
	wrong = describe(plain, 0, true);
	if (pair_kind->transport != TANDEM_TRANSPORT_TCP)
		open_refused(plain, wrong, -EOPNOTSUPP, "use tcp");
}

static void connect_refused(struct tandem_connection *from, struct tandem_connection *to)
{
	uint8_t description[TANDEM_DESCRIPTION_MAX];
	struct tandem_error error = { 0 };
	int size = tandem_connection_describe(from, description, sizeof(description));

	assert_true(size > 0);
	assert_int_equal(tandem_connection_connect(to, description, size, &error), -EINVAL);
	assert_non_null(strstr(error.message, "do not match"));
}

/* A pool is not taken for memory, nor one unit for another. */
static void test_mismatch(void **state)
{
	struct tandem_connection_options options = options_of(false);
	struct plain *plain = *state;
	struct tandem_xfer_memory memory = describe(plain, 0, false);
	struct tandem_connection *of_pool = pair_connection(&plain->pair, 1);
	int side;

	for (side = 0; side < 2; side++) {
		memory = describe(plain, side, false);
		memory.unit = side ? UNIT / 2 : UNIT;
		assert_int_equal(tandem_connection_open_memory(plain->pair.loop, &memory,
							       &options,
							       &plain->connection[side], NULL),
				 0);
	}
	connect_refused(of_pool, plain->connection[0]);
	connect_refused(plain->connection[0], of_pool);
	connect_refused(plain->connection[1], plain->connection[0]);
	tandem_connection_close(of_pool);
}

static void test_no_pool_of_bytes(void **state)
{
	struct tandem_kv_layout layout = { .type = 24, .layers = 1, .kv_width = 64,
					   .block_tokens = 1, .blocks = 4 };
	struct plain *plain = *state;
	struct tandem_kv_pool *pool;

	assert_int_equal(tandem_kv_pool_create(plain->pair.device[0], &layout, &pool, NULL),
			 -EINVAL);
}

int main(void)
{
#define MEMORY_TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		MEMORY_TEST(test_ranges),
		MEMORY_TEST(test_granted_units),
		MEMORY_TEST(test_out_of_range),
		MEMORY_TEST(test_refused),
		MEMORY_TEST(test_mismatch),
		MEMORY_TEST(test_no_pool_of_bytes),
	};
#undef MEMORY_TEST
	int failed = 0;

	for (pair_kind = pair_kinds; pair_kind->name; pair_kind++)
		failed += cmocka_run_group_tests_name(pair_kind->name, tests, NULL, NULL);
	return failed != 0;
}
