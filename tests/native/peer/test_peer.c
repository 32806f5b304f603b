// SPDX-License-Identifier: MIT
/*
 * Peers: opened over a channel, lost, and opened again, with each transport that
 * there is without a NIC.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peers.h"
#include "runtime/peer_message.h"

static void test_transfer(void **state)
{
	struct fixture *fixture = *state;
	int i;

	peers_create_both(fixture);
	assert_null(tandem_peer_connection(fixture->peer[0]));
	assert_string_equal(tandem_peer_name(fixture->peer[0]), "");
	peers_open_both(fixture);
	assert_string_equal(tandem_peer_name(fixture->peer[0]), "decode.example");
	assert_string_equal(tandem_peer_name(fixture->peer[1]), "prefill.example");
	for (i = 0; i < 5; i++)
		peers_transfer(fixture, 1 + pair_random(&fixture->pair, 41));
	assert_int_equal(fixture->lost[0] + fixture->lost[1], 0);
}

/* Both sides are told when one leaves; a new one takes its place in the same process. */
static void test_again(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation received = { 0 }, granted = { 0 };
	struct tandem_receive receive = {
		.layer_count = 1,
		.block_count = 1,
		.blocks = (uint32_t[]){ 3 },
	};
	struct tandem_grant *grant;
	int round;

	peers_create_both(fixture);
	peers_open_both(fixture);
	for (round = 1; round <= 3; round++) {
		peers_transfer(fixture, 5);
		assert_int_equal(tandem_peer_receive_start(fixture->peer[1], &receive, &received), 0);
		assert_int_equal(tandem_peer_grant_start(fixture->peer[1], &grant, &granted), 0);
		peers_close(fixture, 0);
		assert_int_equal(pair_wait(&fixture->pair, &received), -ECONNRESET);
		assert_int_equal(pair_wait(&fixture->pair, &granted), -ECONNRESET);
		assert_int_equal(fixture->lost[1], round);
		assert_int_equal(fixture->lost_code[1], -ECONNRESET);
		assert_int_equal(tandem_peer_receive_start(fixture->peer[1], &receive, &received),
				 -ENOTCONN);
		assert_int_equal(tandem_peer_open_start(fixture->peer[1], NULL, &received, NULL),
				 -ENOTCONN);

		struct tandem_peer_options options = peers_options(fixture, 0);

		peers_create_as(fixture, "prefill", "ours", &options);
		peers_open_both(fixture);
	}
	peers_transfer(fixture, 7);
}

/* The channel stays when only the connection is of no use any more. */
static void test_same_channel(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation received = { 0 };
	struct tandem_receive receive = {
		.layer_count = 1,
		.block_count = 1,
		.blocks = (uint32_t[]){ 3 },
	};
	int first;

	peers_create_both(fixture);
	peers_open_both(fixture);
	for (first = 0; first < 2; first++) {
		assert_int_equal(
			tandem_peer_receive_start(fixture->peer[!first], &receive, &received), 0);
		peers_start_open(fixture, first, NULL);
		/* The other side is told before it has done anything. */
		assert_int_equal(pair_wait(&fixture->pair, &received), -ECONNRESET);
		while (!fixture->lost[!first])
			tandem_loop_run(fixture->pair.loop, 1000);
		peers_start_open(fixture, !first, NULL);
		peers_opened_well(fixture, 0);
		peers_opened_well(fixture, 1);
		peers_transfer(fixture, 5);
	}
	/* Both at once. */
	peers_start_open(fixture, 0, NULL);
	peers_start_open(fixture, 1, NULL);
	peers_opened_well(fixture, 0);
	peers_opened_well(fixture, 1);
	peers_transfer(fixture, 5);
}

/* A stranger gets nowhere, and nothing is opened for it. */
static void test_strangers(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_peer_options options = peers_options(fixture, 0);
	struct tandem_operation accepted = { 0 };
	struct tandem_channel *channel = NULL;

	peers_create_as(fixture, "stranger", "ours", &options);
	assert_int_equal(tandem_channel_accept_start(fixture->listener, &channel, &accepted), 0);
	peers_start_open(fixture, 0, NULL);
	assert_int_equal(pair_wait(&fixture->pair, &fixture->opened[0]), -EACCES);
	assert_null(tandem_peer_connection(fixture->peer[0]));
	assert_true(*fixture->error[0].message);
	assert_null(channel);
	peers_close(fixture, 0);

	/* And this side tells nothing to a stranger that it has called. */
	options = peers_options(fixture, 0);
	peers_create_as(fixture, "prefill", "theirs", &options);
	peers_start_open(fixture, 0, NULL);
	assert_int_equal(pair_wait(&fixture->pair, &fixture->opened[0]), -EACCES);
	assert_null(channel);
	tandem_cancel(fixture->pair.loop, &accepted);
	assert_int_equal(pair_wait(&fixture->pair, &accepted), -ECANCELED);
}

static void refused_with(struct fixture *fixture, int knows, const char *text)
{
	peers_start_open(fixture, 0, NULL);
	peers_start_open(fixture, 1, peers_accept_channel(fixture));
	pair_wait(&fixture->pair, &fixture->opened[0]);
	pair_wait(&fixture->pair, &fixture->opened[1]);
	/* Either can be the first to see it. */
	assert_true(fixture->opened[0].result == knows || fixture->opened[1].result == knows);
	assert_true(fixture->opened[0].result == knows || fixture->opened[0].result == -ECONNREFUSED);
	assert_true(fixture->opened[1].result == knows || fixture->opened[1].result == -ECONNREFUSED);
	assert_non_null(strstr(fixture->error[0].message, text));
	assert_non_null(strstr(fixture->error[1].message, text));
	assert_null(tandem_peer_connection(fixture->peer[0]));
}

static void test_grants_differ(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_peer_options options = peers_options(fixture, 0);

	peers_create_as(fixture, "prefill", "ours", &options);
	options = peers_options(fixture, 1);
	options.connection.grants = 0;
	peers_create_with(fixture, 1, &options);
	refused_with(fixture, -EINVAL, "grants");
}

static void test_transports_differ(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_peer_options options = peers_options(fixture, 0);

	peers_create_as(fixture, "prefill", "ours", &options);
	options = peers_options(fixture, 1);
	options.connection.transport = options.connection.transport == TANDEM_TRANSPORT_TCP ?
					       TANDEM_TRANSPORT_LOCAL :
					       TANDEM_TRANSPORT_TCP;
	peers_create_with(fixture, 1, &options);
	refused_with(fixture, -EINVAL, "transports");
	refused_with(fixture, -EINVAL, "transports");
}

/* A connection that cannot be opened on one side. */
static void test_no_connection(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_peer_options options = peers_options(fixture, 0);

	peers_create_as(fixture, "prefill", "ours", &options);
	options = peers_options(fixture, 1);
	options.connection.transport = 99;
	peers_create_with(fixture, 1, &options);
	refused_with(fixture, -EOPNOTSUPP, "no transport number 99");
}

/**
 * struct saying - what somebody says that the peer cannot accept
 * @bytes: the message
 * @size: its size
 * @result: of the peer's opening
 * @text: in the refusal that comes back; NULL for none
 */
struct saying {
	uint8_t bytes[PEER_MESSAGE_MAX];
	size_t size;
	int result;
	const char *text;
};

/* Be the other side of peer 1, which is being opened. */
static struct tandem_channel *call_by_hand(struct fixture *fixture)
{
	struct tandem_peer_options options = peers_options(fixture, 1);
	struct tandem_operation connected = { 0 };
	struct tandem_channel_options call;
	struct pair *pair = &fixture->pair;
	struct tandem_channel *channel;
	struct files files;

	call = peers_as(&files, "prefill", "ours");
	call.address = "127.0.0.1";
	call.port = tandem_channel_listener_port(fixture->listener);
	assert_int_equal(tandem_channel_connect_start(pair->loop, &call, &channel, &connected, NULL),
			 0);
	peers_create_with(fixture, 1, &options);
	peers_start_open(fixture, 1, peers_accept_channel(fixture));
	assert_int_equal(pair_wait(pair, &connected), 0);
	return channel;
}

static void hear(struct fixture *fixture, const struct saying *saying)
{
	struct tandem_channel *channel = call_by_hand(fixture);
	struct tandem_operation sent = { 0 }, received = { 0 };
	static uint8_t got[TANDEM_CHANNEL_MESSAGE_MAX];
	struct pair *pair = &fixture->pair;
	struct peer_refusal refusal;
	int size;

	assert_int_equal(tandem_channel_send_start(channel, saying->bytes, saying->size, &sent), 0);
	assert_int_equal(pair_wait(pair, &fixture->opened[1]), saying->result);
	assert_true(*fixture->error[1].message);
	assert_int_equal(pair_wait(pair, &sent), 0);
	/* Its hello, and why not. */
	assert_int_equal(tandem_channel_receive_start(channel, got, sizeof(got), PAIR_PATIENCE_MS,
						      &received),
			 0);
	size = pair_wait(pair, &received);
	if (size > 0) {
		assert_int_equal(peer_message_type(got, size), PEER_HELLO);
		assert_int_equal(tandem_channel_receive_start(channel, got, sizeof(got),
							      PAIR_PATIENCE_MS, &received),
				 0);
		size = pair_wait(pair, &received);
	}
	if (saying->text) {
		assert_true(size > 0);
		assert_int_equal(peer_message_type(got, size), PEER_REFUSAL);
		assert_int_equal(peer_refusal_decode(got, size, &refusal), 0);
		assert_non_null(strstr(refusal.text, saying->text));
	} else {
		assert_int_equal(size, -ECONNRESET);
	}
	tandem_channel_close(channel);
	peers_close(fixture, 1);
}

/* What an authenticated peer says is believed no more than that of others. */
static void test_rogues(void **state)
{
	struct fixture *fixture = *state;
	struct peer_hello hello = {
		.version_lowest = 8,
		.version_highest = 9,
		.grants = 1,
		.size = 4,
		.description = (const uint8_t *)"what",
	};
	struct saying saying = { .result = -EPROTO, .text = "versions" };

	saying.size = peer_hello_encode(&hello, saying.bytes);
	hear(fixture, &saying);
	hello.version_lowest = 1;
	saying.size = peer_hello_encode(&hello, saying.bytes);
	saying.text = "description";
	hear(fixture, &saying);
	saying.bytes[4] ^= 1;
	saying.text = "malformed";
	hear(fixture, &saying);
	memset(saying.bytes, 0xff, sizeof(saying.bytes));
	saying.text = NULL;
	hear(fixture, &saying);
	saying.size = 1;
	hear(fixture, &saying);
}

static void say(struct fixture *fixture, struct tandem_channel *channel, const uint8_t *bytes,
		size_t size)
{
	struct tandem_operation sent = { 0 };

	assert_int_equal(tandem_channel_send_start(channel, bytes, size, &sent), 0);
	assert_int_equal(pair_wait(&fixture->pair, &sent), 0);
}

static void says(struct fixture *fixture, struct tandem_channel *channel, int type)
{
	static uint8_t got[TANDEM_CHANNEL_MESSAGE_MAX];
	struct tandem_operation received = { 0 };
	int size;

	assert_int_equal(tandem_channel_receive_start(channel, got, sizeof(got), PAIR_PATIENCE_MS,
						      &received), 0);
	size = pair_wait(&fixture->pair, &received);
	assert_true(size > 0);
	assert_int_equal(peer_message_type(got, size), type);
}

/* A release that does not know of offers is not told of any; all else goes on. */
static void test_older_release(void **state)
{
	struct tandem_operation offered = { 0 }, received = { 0 };
	struct fixture *fixture = *state;
	struct tandem_channel *channel = call_by_hand(fixture);
	struct tandem_peer_options options = peers_options(fixture, 0);
	uint8_t description[TANDEM_DESCRIPTION_MAX], bytes[PEER_MESSAGE_MAX];
	struct peer_hello hello = {
		.version_lowest = 1,
		.version_highest = 1,
		.grants = 1,
		.description = description,
	};
	const uint32_t block = 3;
	struct tandem_receive receive = { .layer_count = 1, .block_count = 1, .blocks = &block };
	struct tandem_offer offer = { .layer_count = 1, .block_count = 1, .blocks = &block };
	struct tandem_connection *connection;

	assert_int_equal(tandem_connection_open(fixture->pair.loop, fixture->pair.pool[0],
						&options.connection, &connection, NULL), 0);
	hello.size = tandem_connection_describe(connection, description, sizeof(description));
	say(fixture, channel, bytes, peer_hello_encode(&hello, bytes));
	says(fixture, channel, PEER_HELLO);
	says(fixture, channel, PEER_READY);
	say(fixture, channel, bytes, peer_ready_encode(bytes));
	peers_opened_well(fixture, 1);
	pair_introduce(fixture->pair.connection[1], connection);
	assert_int_equal(tandem_peer_offer_start(fixture->peer[1], &offer, &offered), -EOPNOTSUPP);
	assert_int_equal(tandem_peer_receive_start(fixture->peer[1], &receive, &received), 0);
	says(fixture, channel, PEER_GRANT);
	tandem_channel_close(channel);
	tandem_connection_close(connection);
	assert_int_equal(pair_wait(&fixture->pair, &received), -ECONNRESET);
}

/* Who calls goes on until somebody is there. */
static void test_early_caller(void **state)
{
	struct fixture *fixture = *state;
	unsigned int port = tandem_channel_listener_port(fixture->listener);

	peers_create_both(fixture);
	tandem_channel_listener_close(fixture->listener);
	peers_start_open(fixture, 0, NULL);
	pair_run(&fixture->pair, 300);
	assert_true(fixture->opened[0].pending);
	peers_listen_at(fixture, port);
	peers_start_open(fixture, 1, peers_accept_channel(fixture));
	peers_opened_well(fixture, 0);
	peers_opened_well(fixture, 1);
	peers_transfer(fixture, 3);
}

static void test_nobody(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_peer_options options = peers_options(fixture, 0);

	/* Nobody accepts, then nobody is there. */
	options.timeout_ms = 300;
	peers_create_as(fixture, "prefill", "ours", &options);
	peers_start_open(fixture, 0, NULL);
	assert_int_equal(pair_wait(&fixture->pair, &fixture->opened[0]), -ETIMEDOUT);
	assert_true(*fixture->error[0].message);
	tandem_channel_listener_close(fixture->listener);
	fixture->listener = NULL;
	peers_start_open(fixture, 0, NULL);
	assert_int_equal(pair_wait(&fixture->pair, &fixture->opened[0]), -ETIMEDOUT);
	assert_true(*fixture->error[0].message);
	assert_int_equal(fixture->error[0].code, -ETIMEDOUT);
}

static void test_cancel(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation other = { 0 };
	int round;

	peers_create_both(fixture);
	for (round = 0; round < 20; round++) {
		peers_start_open(fixture, 0, NULL);
		assert_int_equal(tandem_peer_open_start(fixture->peer[0], NULL, &other, NULL),
				 -EBUSY);
		for (int i = 0; i < round; i++)
			tandem_loop_run(fixture->pair.loop, 0);
		tandem_cancel(fixture->pair.loop, &fixture->opened[0]);
		assert_int_equal(pair_wait(&fixture->pair, &fixture->opened[0]), -ECANCELED);
		assert_null(tandem_peer_connection(fixture->peer[0]));
	}
	/* Channels of those who are gone may be first. */
	peers_start_open(fixture, 0, NULL);
	for (;;) {
		peers_start_open(fixture, 1, peers_accept_channel(fixture));
		if (!pair_wait(&fixture->pair, &fixture->opened[1]))
			break;
		assert_true(fixture->opened[1].result == -ECONNRESET ||
			    fixture->opened[1].result == -EHOSTUNREACH);
	}
	peers_opened_well(fixture, 0);
	peers_opened_well(fixture, 1);
	peers_transfer(fixture, 3);
}

/* The transport is chosen anew each time, by what the channel carries. */
static void test_transport_chosen(void **state)
{
	struct tandem_peer_options options;
	struct fixture *fixture = *state;

	options = peers_options(fixture, 0);
	options.connection.transport = TANDEM_TRANSPORT_AUTO;
	peers_create_as(fixture, "prefill", "ours", &options);
	options = peers_options(fixture, 1);
	options.connection.transport = TANDEM_TRANSPORT_AUTO;
	peers_create_with(fixture, 1, &options);
	peers_open_both(fixture);
	assert_int_equal(tandem_connection_transport(fixture->pair.connection[0]),
			 TANDEM_TRANSPORT_LOCAL);
	assert_int_equal(tandem_connection_transport(fixture->pair.connection[1]),
			 TANDEM_TRANSPORT_LOCAL);
	peers_transfer(fixture, 6);
}

static void test_wrong_arguments(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation op = { 0 };
	struct tandem_receive receive = {
		.layer_count = 1,
		.block_count = TANDEM_PEER_BLOCKS_MAX + 1,
		.blocks = (uint32_t[]){ 3 },
	};
	struct tandem_grant *grant;

	peers_create_both(fixture);
	assert_int_equal(tandem_peer_receive_start(fixture->peer[0], &receive, &op), -ENOTCONN);
	assert_int_equal(tandem_peer_grant_start(fixture->peer[0], &grant, &op), -ENOTCONN);
	assert_int_equal(tandem_peer_open_start(fixture->peer[1], NULL, &op, NULL), -ENOTCONN);
	peers_open_both(fixture);
	assert_int_equal(tandem_peer_receive_start(fixture->peer[0], &receive, &op), -E2BIG);
	receive.block_count = 1;
	receive.blocks = (uint32_t[]){ 67 };
	assert_int_equal(tandem_peer_receive_start(fixture->peer[1], &receive, &op), -EINVAL);
	assert_int_equal(tandem_peer_grant_start(fixture->peer[0], &grant, &op), 0);
	assert_int_equal(tandem_peer_grant_start(fixture->peer[0], &grant, &fixture->opened[0]),
			 -EBUSY);
	tandem_cancel(fixture->pair.loop, &op);
	assert_int_equal(pair_wait(&fixture->pair, &op), -ECANCELED);
	peers_transfer(fixture, 4);
}

static void close_from_within(struct tandem_operation *op)
{
	peers_close(op->user, 0);
}

static void test_close_from_within(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation timer = { .done = close_from_within, .user = fixture };

	peers_create_both(fixture);
	peers_open_both(fixture);
	assert_int_equal(tandem_timer_start(fixture->pair.loop, 1, &timer), 0);
	pair_wait(&fixture->pair, &timer);
	while (!fixture->lost[1])
		tandem_loop_run(fixture->pair.loop, 1000);
}

/* The calling side as a process of its own, which never ends by itself. */
static void be_caller(unsigned int port)
{
	struct fixture *fixture;
	void *state;

	peers_setup(&state);
	fixture = state;
	tandem_channel_listener_close(fixture->listener);
	{
		struct tandem_peer_options options = peers_options(fixture, 0);
		struct tandem_channel_options call;
		struct files files;

		call = peers_as(&files, "prefill", "ours");
		call.address = "127.0.0.1";
		call.port = port;
		options.call = &call;
		peers_create_with(fixture, 0, &options);
	}
	peers_start_open(fixture, 0, NULL);
	peers_opened_well(fixture, 0);
	for (;;)
		tandem_loop_run(fixture->pair.loop, -1);
}

/* Killed: what waits ends, and the next process takes its place. */
static void test_killed(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation received = { 0 };
	struct tandem_receive receive = {
		.layer_count = 1,
		.block_count = 1,
		.blocks = (uint32_t[]){ 3 },
	};
	struct tandem_peer_options options = peers_options(fixture, 1);
	int round, status;
	pid_t child;

	peers_create_with(fixture, 1, &options);
	for (round = 1; round <= 3; round++) {
		child = fork();
		if (!child)
			be_caller(tandem_channel_listener_port(fixture->listener));
		peers_start_open(fixture, 1, peers_accept_channel(fixture));
		peers_opened_well(fixture, 1);
		assert_int_equal(tandem_peer_receive_start(fixture->peer[1], &receive, &received), 0);
		kill(child, SIGKILL);
		assert_int_equal(pair_wait(&fixture->pair, &received), -ECONNRESET);
		while (fixture->lost[1] < round)
			tandem_loop_run(fixture->pair.loop, 1000);
		assert_int_equal(waitpid(child, &status, 0), child);
		pair_check(&fixture->pair);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, peers_setup, peers_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_transfer),	    TEST(test_again),
		TEST(test_same_channel),    TEST(test_strangers),
		TEST(test_grants_differ),   TEST(test_transports_differ),
		TEST(test_no_connection),   TEST(test_rogues),
		TEST(test_early_caller),    TEST(test_nobody),
		TEST(test_cancel),	    TEST(test_transport_chosen),
		TEST(test_older_release),
		TEST(test_wrong_arguments), TEST(test_close_from_within),
	};
	const struct CMUnitTest between_processes[] = {
		TEST(test_killed),
	};
	int failed = 0;

	for (pair_kind = pair_kinds; pair_kind->name; pair_kind++) {
		failed += cmocka_run_group_tests_name(pair_kind->name, tests, peers_make_certificates,
						      peers_remove_certificates);
		if (pair_kind->transport != TANDEM_TRANSPORT_LOCAL)
			failed += cmocka_run_group_tests_name(pair_kind->name, between_processes,
							      peers_make_certificates,
							      peers_remove_certificates);
	}
	return failed;
}
