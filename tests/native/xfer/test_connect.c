// SPDX-License-Identifier: MIT
/*
 * Opening and connecting: who may be joined with whom, what is refused and
 * why, and what happens when a device goes away.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"
#include "runtime/inproc.h"
#include "runtime/xfer.h"

/* A fixture without connections. */
static int setup(void **state)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	assert_non_null(pair);
	pair_open(pair, pair_layout);
	*state = pair;
	return 0;
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(tandem_transport_name(TANDEM_TRANSPORT_LOCAL), "local");
	assert_string_equal(tandem_transport_name(TANDEM_TRANSPORT_VERBS), "verbs");
	assert_string_equal(tandem_transport_name(TANDEM_TRANSPORT_TCP), "tcp");
	assert_null(tandem_transport_name((enum tandem_transport)4));
	assert_null(tandem_transport_name((enum tandem_transport)-1));
	assert_int_equal(tandem_transport_parse("local"), TANDEM_TRANSPORT_LOCAL);
	assert_int_equal(tandem_transport_parse("verbs"), TANDEM_TRANSPORT_VERBS);
	assert_int_equal(tandem_transport_parse("tcp"), TANDEM_TRANSPORT_TCP);
	assert_string_equal(tandem_transport_name(TANDEM_TRANSPORT_AUTO), "auto");
	assert_int_equal(tandem_transport_parse("auto"), TANDEM_TRANSPORT_AUTO);
	assert_int_equal(tandem_transport_parse("loc"), -EINVAL);
	assert_int_equal(tandem_transport_parse(""), -EINVAL);
}

static void test_transports_that_are_not_there(void **state)
{
	struct tandem_connection_options options = { .transport = (enum tandem_transport)17 };
	struct tandem_connection *connection;
	struct tandem_error error = { 0 };
	struct pair *pair = *state;

	assert_int_equal(tandem_connection_open(pair->loop, pair->pool[0], &options, &connection,
						&error), -EOPNOTSUPP);
	assert_non_null(strstr(error.message, "17"));
}

static void test_no_such_rdma_device(void **state)
{
	struct tandem_connection_options options = {
		.transport = TANDEM_TRANSPORT_VERBS,
		.rdma_device = "none_such",
		.gid_index = -1,
	};
	struct tandem_connection *connection;
	struct tandem_error error = { 0 };
	struct pair *pair = *state;

	assert_int_equal(tandem_connection_open(pair->loop, pair->pool[0], &options, &connection,
						&error), -ENODEV);
	assert_non_null(strstr(error.message, "none_such"));
	assert_non_null(strstr(error.message, "rdma link"));
}

static void test_loop_of_another_device(void **state)
{
	struct tandem_connection_options options = pair_options();
	struct tandem_connection *connection;
	struct tandem_error error = { 0 };
	struct pair *pair = *state;
	struct tandem_loop *other;

	assert_int_equal(tandem_loop_create(&other, NULL), 0);
	assert_int_equal(tandem_connection_open(other, pair->pool[0], &options, &connection,
						&error), -EINVAL);
	assert_non_null(strstr(error.message, pair->device[0]->name));
	tandem_loop_destroy(other);
}

/* Connecting @connection with these bytes fails like this, and for good reason. */
static void refused(struct tandem_connection *connection, const uint8_t *bytes, size_t size,
		    int code, const char *reason)
{
	struct tandem_error error = { 0 };

	assert_int_equal(tandem_connection_connect(connection, bytes, size, &error), code);
	assert_int_equal(error.code, code);
	if (!strstr(error.message, reason))
		fail_msg("\"%s\" does not say \"%s\"", error.message, reason);
}

static void test_descriptions_of_nobody(void **state)
{
	uint8_t bytes[TANDEM_DESCRIPTION_MAX], small[10];
	struct xfer_description description;
	struct pair *pair = *state;
	struct tandem_connection *one = pair->connection[0] = pair_connection(pair, 0);
	struct tandem_connection *two = pair->connection[1] = pair_connection(pair, 1);
	int size;

	size = tandem_connection_describe(two, bytes, sizeof(bytes));
	assert_int_equal(tandem_connection_describe(two, small, sizeof(small)), -ENOSPC);
	assert_int_equal(xfer_description_decode(bytes, size, &description, NULL), 0);

#define CHANGED(at, code, reason) do { \
		struct xfer_description changed = description; \
		uint8_t out[TANDEM_DESCRIPTION_MAX]; \
		changed.part[at]++; \
		assert_int_equal(xfer_description_encode(&changed, out, sizeof(out)), size); \
		refused(one, out, size, code, reason); \
	} while (0)
	CHANGED(16, -EHOSTUNREACH, "closed");		/* id */
	/* Of another process. */
	description.part[0]++;
	CHANGED(24, -EOPNOTSUPP, "accel");		/* kind of device */
	CHANGED(26, -EINVAL, "grants");			/* grants */
	CHANGED(27, -EPROTO, "malformed");
	CHANGED(28, -EPERM, "user");			/* user */
	CHANGED(32, -EHOSTUNREACH, "namespace");	/* network namespace */
	CHANGED(48, -EHOSTUNREACH, "machine");		/* boot */
	/* With the highest of all tokens it is this side's turn to call. */
	memset(description.part + 64, 0xff, 16);
	CHANGED(40, -EHOSTUNREACH, "reach");		/* name of the socket */
	assert_int_equal(xfer_description_decode(bytes, size, &description, NULL), 0);
#undef CHANGED
	description.part_size--;
	size = xfer_description_encode(&description, bytes, sizeof(bytes));
	refused(one, bytes, size, -EPROTO, "malformed");
	description.part_size++;
	description.layout.blocks++;
	size = xfer_description_encode(&description, bytes, sizeof(bytes));
	refused(one, bytes, size, -EPROTO, "true");
	refused(one, bytes, 3, -EPROTO, "3 bytes");

	/* One's own, one that is closed, and then the right one still works. */
	size = tandem_connection_describe(one, bytes, sizeof(bytes));
	refused(one, bytes, size, -EINVAL, "own");
	size = tandem_connection_describe(two, bytes, sizeof(bytes));
	tandem_connection_close(two);
	refused(one, bytes, size, -EHOSTUNREACH, "closed");
	two = pair->connection[1] = pair_connection(pair, 1);
	pair_introduce(two, one);
	pair_introduce(one, two);
	size = tandem_connection_describe(two, bytes, sizeof(bytes));
	refused(one, bytes, size, -EALREADY, "already");
}

static void test_layouts_have_to_match(void **state)
{
	struct xfer_description description, changed;
	uint8_t bytes[TANDEM_DESCRIPTION_MAX];
	struct pair *pair = *state;
	struct tandem_connection *one = pair->connection[0] = pair_connection(pair, 0);
	int size;

	pair->connection[1] = pair_connection(pair, 1);
	size = tandem_connection_describe(pair->connection[1], bytes, sizeof(bytes));
	assert_int_equal(xfer_description_decode(bytes, size, &description, NULL), 0);
#define CHANGED(member, value, code, reason) do { \
		changed = description; \
		changed.member = value; \
		size = xfer_description_encode(&changed, bytes, sizeof(bytes)); \
		refused(one, bytes, size, code, reason); \
	} while (0)
	CHANGED(layout.type, 0, -EINVAL, "element type");
	CHANGED(layout.layers, 4, -EINVAL, "layers");
	CHANGED(layout.kv_width, 33, -EINVAL, "width");
	CHANGED(layout.block_tokens, 9, -EINVAL, "tokens");
	CHANGED(transport, TANDEM_TRANSPORT_VERBS, -EINVAL, "verbs");
	CHANGED(transport, 99, -EINVAL, "unknown");
#undef CHANGED
}

static void test_only_two_sides(void **state)
{
	uint8_t bytes[TANDEM_DESCRIPTION_MAX];
	struct tandem_connection *third;
	struct pair *pair = *state;
	int size;

	pair_connect(pair);
	third = pair_connection(pair, 0);
	size = tandem_connection_describe(pair->connection[1], bytes, sizeof(bytes));
	refused(third, bytes, size, -EALREADY, "already");
	tandem_connection_close(third);
}

static void test_side_of_another_loop(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	const uint32_t from = 1, to = 2;
	const struct tandem_push push = {
		.layer_count = 1, .local_blocks = &from, .remote_blocks = &to, .block_count = 1,
	};
	const uint64_t bytes = tandem_kv_block_bytes(&pair_layout[0]);
	struct pair *pair = *state, other;

	pair_open(&other, pair_layout);
	other.connection[1] = pair_connection(&other, 1);
	pair->connection[0] = pair_connection(pair, 0);
	pair_introduce(other.connection[1], pair->connection[0]);
	pair_introduce(pair->connection[0], other.connection[1]);
	memset(pair->bytes[0] + from * bytes, 0x5a, bytes);
	assert_int_equal(tandem_expect_start(other.connection[1], 0, 1, 0, &received), 0);
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &sent), 0);
	while (sent.pending || received.pending) {
		tandem_loop_run(pair->loop, 1);
		tandem_loop_run(other.loop, 1);
	}
	assert_int_equal(sent.result, 0);
	assert_int_equal(received.result, 0);
	assert_memory_equal(other.bytes[1] + to * bytes, pair->bytes[0] + from * bytes, bytes);
	pair_close(&other);
}

/* One side has taken in the other's description, not the other way round. */
static void test_half_connected(void **state)
{
	struct tandem_operation op = { 0 };
	uint32_t block = 0;
	struct tandem_push push = {
		.layer_count = 1,
		.local_blocks = &block,
		.remote_blocks = &block,
		.block_count = 1,
	};
	struct pair *pair = *state;

	pair->connection[0] = pair_connection(pair, 0);
	pair->connection[1] = pair_connection(pair, 1);
	pair_introduce(pair->connection[1], pair->connection[0]);
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &op), 0);
	assert_int_equal(pair_wait(pair, &op), -ENOTCONN);
	pair_check(pair);
}

static void push_some(struct pair *pair, struct tandem_operation *op)
{
	static const uint32_t blocks[] = { 1, 3, 5, 7, 9, 11, 13, 15 };
	struct tandem_push push = {
		.layer_count = 3,
		.local_blocks = blocks,
		.remote_blocks = blocks,
		.block_count = 8,
	};

	assert_int_equal(tandem_push_start(pair->connection[0], &push, op), 0);
}

static void test_sending_device_lost(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	struct pair *pair = *state;

	pair_connect(pair);
	assert_int_equal(tandem_expect_start(pair->connection[1], 1, 1, 0, &received), 0);
	push_some(pair, &sent);
	inproc_device_remove(pair->device[0]);
	assert_int_equal(pair_wait(pair, &sent), -ENODEV);
	assert_int_equal(pair_wait(pair, &received), -ECONNRESET);
}

static void test_receiving_device_lost(void **state)
{
	struct tandem_operation sent = { 0 }, received = { 0 };
	struct pair *pair = *state;

	pair_connect(pair);
	assert_int_equal(tandem_expect_start(pair->connection[1], 1, 1, 0, &received), 0);
	inproc_device_remove(pair->device[1]);
	push_some(pair, &sent);
	assert_int_equal(pair_wait(pair, &received), -ENODEV);
	assert_int_equal(pair_wait(pair, &sent), -ECONNRESET);
}

static void test_device_lost_before(void **state)
{
	struct tandem_connection_options options = pair_options();
	uint8_t bytes[TANDEM_DESCRIPTION_MAX];
	struct tandem_connection *connection;
	struct pair *pair = *state;
	int size;

	pair->connection[0] = pair_connection(pair, 0);
	pair->connection[1] = pair_connection(pair, 1);
	size = tandem_connection_describe(pair->connection[1], bytes, sizeof(bytes));
	inproc_device_remove(pair->device[0]);
	pair_run(pair, 10);
	refused(pair->connection[0], bytes, size, -ENODEV, "failed");
	assert_int_equal(tandem_connection_open(pair->loop, pair->pool[0], &options, &connection,
						NULL), -ENODEV);
}

/* The least suitable moment that there is. */
static void close_other(struct tandem_operation *op)
{
	struct pair *pair = op->user;

	tandem_connection_close(pair->connection[1]);
	pair->connection[1] = NULL;
}

static void test_receiver_closed_in_callback(void **state)
{
	struct tandem_operation timer = { .done = close_other }, sent = { 0 };
	struct pair *pair = *state;

	pair_connect(pair);
	timer.user = pair;
	assert_int_equal(tandem_timer_start(pair->loop, 0, &timer), 0);
	push_some(pair, &sent);
	pair_wait(pair, &timer);
	assert_true(pair_wait(pair, &sent) == -ECONNRESET || sent.result == 0);
	assert_null(pair->connection[1]);
}

int main(void)
{
#define CONNECT_TEST(name)	cmocka_unit_test_setup_teardown(name, setup, pair_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		CONNECT_TEST(test_transports_that_are_not_there),
		CONNECT_TEST(test_no_such_rdma_device),
		CONNECT_TEST(test_loop_of_another_device),
		CONNECT_TEST(test_descriptions_of_nobody),
		CONNECT_TEST(test_layouts_have_to_match),
		CONNECT_TEST(test_only_two_sides),
		CONNECT_TEST(test_side_of_another_loop),
		CONNECT_TEST(test_half_connected),
		CONNECT_TEST(test_sending_device_lost),
		CONNECT_TEST(test_receiving_device_lost),
		CONNECT_TEST(test_device_lost_before),
		CONNECT_TEST(test_receiver_closed_in_callback),
	};
#undef CONNECT_TEST

	pair_kind = pair_kinds;
	return cmocka_run_group_tests_name("connect", tests, NULL, NULL);
}
