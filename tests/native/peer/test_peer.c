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

#include "runtime/peer_message.h"
#include "tests/native/channel/certificates.h"
#include "tests/native/xfer/pair.h"

#define DAY 86400L

/* Where this process's certificates are. */
static char directory[64];

/**
 * struct files - the files of a side
 * @certificate: path
 * @key: path
 * @authorities: path
 */
struct files {
	char certificate[256];
	char key[256];
	char authorities[256];
};

/**
 * struct fixture - what a test works with
 * @pair: pools; side 0 calls, side 1 is called
 * @listener: of side 1
 * @peer: of both sides
 * @error: of both openings
 * @opened: likewise
 * @lost: how often either was told
 * @lost_code: what was told last
 */
struct fixture {
	struct pair pair;
	struct tandem_channel_listener *listener;
	struct tandem_peer *peer[2];
	struct tandem_error error[2];
	struct tandem_operation opened[2];
	int lost[2];
	int lost_code[2];
};

static struct tandem_channel_options as(struct files *files, const char *name, const char *authority)
{
	snprintf(files->certificate, sizeof(files->certificate), "%s/%s.pem", directory, name);
	snprintf(files->key, sizeof(files->key), "%s/%s.key", directory, name);
	snprintf(files->authorities, sizeof(files->authorities), "%s/%s.pem", directory, authority);
	return (struct tandem_channel_options){
		.certificate = files->certificate,
		.key = files->key,
		.authorities = files->authorities,
		.timeout_ms = PAIR_PATIENCE_MS,
	};
}

static void listen_at(struct fixture *fixture, unsigned int port)
{
	struct tandem_channel_options options;
	struct tandem_error error = { 0 };
	struct files files;

	options = as(&files, "decode", "ours");
	options.port = port;
	if (tandem_channel_listen(fixture->pair.loop, &options, &fixture->listener, &error) < 0)
		fail_msg("%s", error.message);
}

static struct fixture *lost_fixture;

static void note_lost(struct tandem_peer *peer, int code, void *user)
{
	int side = (int)(intptr_t)user;

	assert_ptr_equal(peer, lost_fixture->peer[side]);
	lost_fixture->lost[side]++;
	lost_fixture->lost_code[side] = code;
}

static struct tandem_peer_options peer_options(struct fixture *fixture, int side)
{
	struct tandem_peer_options options = {
		.connection = pair_options(),
		.timeout_ms = PAIR_PATIENCE_MS,
		.lost = note_lost,
		.user = (void *)(intptr_t)side,
	};

	lost_fixture = fixture;
	options.connection.grants = 1;
	return options;
}

static void create_with(struct fixture *fixture, int side, struct tandem_peer_options *options)
{
	assert_int_equal(tandem_peer_create(fixture->pair.loop, fixture->pair.pool[side], options,
					    &fixture->peer[side], NULL),
			 0);
}

/* Side 0 calls as @name, signed by @authority. */
static void create_as(struct fixture *fixture, const char *name, const char *authority,
		      struct tandem_peer_options *options)
{
	struct tandem_channel_options call;
	struct files files;

	call = as(&files, name, authority);
	call.address = "127.0.0.1";
	call.port = tandem_channel_listener_port(fixture->listener);
	call.peer_name = "decode.example";
	options->call = &call;
	create_with(fixture, 0, options);
}

static void create_both(struct fixture *fixture)
{
	struct tandem_peer_options options = peer_options(fixture, 0);

	create_as(fixture, "prefill", "ours", &options);
	options = peer_options(fixture, 1);
	create_with(fixture, 1, &options);
}

static void start_open(struct fixture *fixture, int side, struct tandem_channel *channel)
{
	if (tandem_peer_open_start(fixture->peer[side], channel, &fixture->opened[side],
				   &fixture->error[side]) < 0)
		fail_msg("side %d: %s", side, fixture->error[side].message);
}

static struct tandem_channel *accept_channel(struct fixture *fixture)
{
	struct tandem_operation accepted = { 0 };
	struct tandem_channel *channel;

	assert_int_equal(tandem_channel_accept_start(fixture->listener, &channel, &accepted), 0);
	assert_int_equal(pair_wait(&fixture->pair, &accepted), 0);
	return channel;
}

static void opened_well(struct fixture *fixture, int side)
{
	if (pair_wait(&fixture->pair, &fixture->opened[side]))
		fail_msg("side %d: %s", side, fixture->error[side].message);
	fixture->pair.connection[side] = tandem_peer_connection(fixture->peer[side]);
	assert_non_null(fixture->pair.connection[side]);
}

/* Open both sides by a new channel. */
static void open_both(struct fixture *fixture)
{
	start_open(fixture, 0, NULL);
	start_open(fixture, 1, accept_channel(fixture));
	opened_well(fixture, 0);
	opened_well(fixture, 1);
}

/* Blocks of random numbers from side 0 to side 1 by way of a grant. */
static void transfer(struct fixture *fixture, uint32_t count)
{
	struct pair *pair = &fixture->pair;
	struct tandem_operation received = { 0 }, granted = { 0 }, sent = { 0 };
	uint32_t local[64], remote[64];
	struct tandem_receive receive = {
		.transfer = 9,
		.layer_first = 1,
		.layer_count = 2,
		.blocks = remote,
		.block_count = count,
	};
	struct tandem_push push = { .local_blocks = local };
	struct tandem_grant *grant;

	pair_choose(pair, local, count, pair_layout[0].blocks);
	pair_choose(pair, remote, count, pair_layout[1].blocks);
	assert_int_equal(tandem_peer_receive_start(fixture->peer[1], &receive, &received), 0);
	assert_int_equal(tandem_peer_grant_start(fixture->peer[0], &grant, &granted), 0);
	assert_int_equal(pair_wait(pair, &granted), 0);
	assert_int_equal(grant->block_count, count);
	push.transfer = grant->transfer;
	push.layer_first = grant->layer_first;
	push.layer_count = grant->layer_count;
	push.remote_blocks = grant->blocks;
	push.block_count = grant->block_count;
	push.generation = grant->generation;
	assert_int_equal(tandem_push_start(fixture->pair.connection[0], &push, &sent), 0);
	assert_int_equal(pair_wait(pair, &received), 0);
	assert_int_equal(pair_wait(pair, &sent), 0);
	pair_shadow_push(pair, &push);
	tandem_grant_free(grant);
	pair_check(pair);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	pair_open(&fixture->pair, pair_layout);
	listen_at(fixture, 0);
	*state = fixture;
	return 0;
}

static void close_peer(struct fixture *fixture, int side)
{
	tandem_peer_close(fixture->peer[side]);
	fixture->peer[side] = NULL;
	fixture->pair.connection[side] = NULL;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	close_peer(fixture, 0);
	close_peer(fixture, 1);
	tandem_channel_listener_close(fixture->listener);
	pair_close(&fixture->pair);
	free(fixture);
	return 0;
}

static void test_transfer(void **state)
{
	struct fixture *fixture = *state;
	int i;

	create_both(fixture);
	assert_null(tandem_peer_connection(fixture->peer[0]));
	assert_string_equal(tandem_peer_name(fixture->peer[0]), "");
	open_both(fixture);
	assert_string_equal(tandem_peer_name(fixture->peer[0]), "decode.example");
	assert_string_equal(tandem_peer_name(fixture->peer[1]), "prefill.example");
	for (i = 0; i < 5; i++)
		transfer(fixture, 1 + pair_random(&fixture->pair, 41));
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

	create_both(fixture);
	open_both(fixture);
	for (round = 1; round <= 3; round++) {
		transfer(fixture, 5);
		assert_int_equal(tandem_peer_receive_start(fixture->peer[1], &receive, &received), 0);
		assert_int_equal(tandem_peer_grant_start(fixture->peer[1], &grant, &granted), 0);
		close_peer(fixture, 0);
		assert_int_equal(pair_wait(&fixture->pair, &received), -ECONNRESET);
		assert_int_equal(pair_wait(&fixture->pair, &granted), -ECONNRESET);
		assert_int_equal(fixture->lost[1], round);
		assert_int_equal(fixture->lost_code[1], -ECONNRESET);
		assert_int_equal(tandem_peer_receive_start(fixture->peer[1], &receive, &received),
				 -ENOTCONN);
		assert_int_equal(tandem_peer_open_start(fixture->peer[1], NULL, &received, NULL),
				 -ENOTCONN);

		struct tandem_peer_options options = peer_options(fixture, 0);

		create_as(fixture, "prefill", "ours", &options);
		open_both(fixture);
	}
	transfer(fixture, 7);
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

	create_both(fixture);
	open_both(fixture);
	for (first = 0; first < 2; first++) {
		assert_int_equal(
			tandem_peer_receive_start(fixture->peer[!first], &receive, &received), 0);
		start_open(fixture, first, NULL);
		/* The other side is told before it has done anything. */
		assert_int_equal(pair_wait(&fixture->pair, &received), -ECONNRESET);
		while (!fixture->lost[!first])
			tandem_loop_run(fixture->pair.loop, 1000);
		start_open(fixture, !first, NULL);
		opened_well(fixture, 0);
		opened_well(fixture, 1);
		transfer(fixture, 5);
	}
	/* Both at once. */
	start_open(fixture, 0, NULL);
	start_open(fixture, 1, NULL);
	opened_well(fixture, 0);
	opened_well(fixture, 1);
	transfer(fixture, 5);
}

/* A stranger gets nowhere, and nothing is opened for it. */
static void test_strangers(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_peer_options options = peer_options(fixture, 0);
	struct tandem_operation accepted = { 0 };
	struct tandem_channel *channel = NULL;

	create_as(fixture, "stranger", "ours", &options);
	assert_int_equal(tandem_channel_accept_start(fixture->listener, &channel, &accepted), 0);
	start_open(fixture, 0, NULL);
	assert_int_equal(pair_wait(&fixture->pair, &fixture->opened[0]), -EACCES);
	assert_null(tandem_peer_connection(fixture->peer[0]));
	assert_true(*fixture->error[0].message);
	assert_null(channel);
	close_peer(fixture, 0);

	/* And this side tells nothing to a stranger that it has called. */
	options = peer_options(fixture, 0);
	create_as(fixture, "prefill", "theirs", &options);
	start_open(fixture, 0, NULL);
	assert_int_equal(pair_wait(&fixture->pair, &fixture->opened[0]), -EACCES);
	assert_null(channel);
	tandem_cancel(fixture->pair.loop, &accepted);
	assert_int_equal(pair_wait(&fixture->pair, &accepted), -ECANCELED);
}

static void refused_with(struct fixture *fixture, int knows, const char *text)
{
	start_open(fixture, 0, NULL);
	start_open(fixture, 1, accept_channel(fixture));
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
	struct tandem_peer_options options = peer_options(fixture, 0);

	create_as(fixture, "prefill", "ours", &options);
	options = peer_options(fixture, 1);
	options.connection.grants = 0;
	create_with(fixture, 1, &options);
	refused_with(fixture, -EINVAL, "grants");
}

static void test_transports_differ(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_peer_options options = peer_options(fixture, 0);

	create_as(fixture, "prefill", "ours", &options);
	options = peer_options(fixture, 1);
	options.connection.transport = options.connection.transport == TANDEM_TRANSPORT_TCP ?
					       TANDEM_TRANSPORT_LOCAL :
					       TANDEM_TRANSPORT_TCP;
	create_with(fixture, 1, &options);
	refused_with(fixture, -EINVAL, "transports");
	refused_with(fixture, -EINVAL, "transports");
}

/* A connection that cannot be opened on one side. */
static void test_no_connection(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_peer_options options = peer_options(fixture, 0);

	create_as(fixture, "prefill", "ours", &options);
	options = peer_options(fixture, 1);
	options.connection.transport = 99;
	create_with(fixture, 1, &options);
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
	struct tandem_peer_options options = peer_options(fixture, 1);
	struct tandem_operation connected = { 0 };
	struct tandem_channel_options call;
	struct pair *pair = &fixture->pair;
	struct tandem_channel *channel;
	struct files files;

	call = as(&files, "prefill", "ours");
	call.address = "127.0.0.1";
	call.port = tandem_channel_listener_port(fixture->listener);
	assert_int_equal(tandem_channel_connect_start(pair->loop, &call, &channel, &connected, NULL),
			 0);
	create_with(fixture, 1, &options);
	start_open(fixture, 1, accept_channel(fixture));
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
	close_peer(fixture, 1);
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
	struct tandem_peer_options options = peer_options(fixture, 0);
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
	opened_well(fixture, 1);
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

	create_both(fixture);
	tandem_channel_listener_close(fixture->listener);
	start_open(fixture, 0, NULL);
	pair_run(&fixture->pair, 300);
	assert_true(fixture->opened[0].pending);
	listen_at(fixture, port);
	start_open(fixture, 1, accept_channel(fixture));
	opened_well(fixture, 0);
	opened_well(fixture, 1);
	transfer(fixture, 3);
}

static void test_nobody(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_peer_options options = peer_options(fixture, 0);

	/* Nobody accepts, then nobody is there. */
	options.timeout_ms = 300;
	create_as(fixture, "prefill", "ours", &options);
	start_open(fixture, 0, NULL);
	assert_int_equal(pair_wait(&fixture->pair, &fixture->opened[0]), -ETIMEDOUT);
	assert_true(*fixture->error[0].message);
	tandem_channel_listener_close(fixture->listener);
	fixture->listener = NULL;
	start_open(fixture, 0, NULL);
	assert_int_equal(pair_wait(&fixture->pair, &fixture->opened[0]), -ETIMEDOUT);
	assert_true(*fixture->error[0].message);
	assert_int_equal(fixture->error[0].code, -ETIMEDOUT);
}

static void test_cancel(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation other = { 0 };
	int round;

	create_both(fixture);
	for (round = 0; round < 20; round++) {
		start_open(fixture, 0, NULL);
		assert_int_equal(tandem_peer_open_start(fixture->peer[0], NULL, &other, NULL),
				 -EBUSY);
		for (int i = 0; i < round; i++)
			tandem_loop_run(fixture->pair.loop, 0);
		tandem_cancel(fixture->pair.loop, &fixture->opened[0]);
		assert_int_equal(pair_wait(&fixture->pair, &fixture->opened[0]), -ECANCELED);
		assert_null(tandem_peer_connection(fixture->peer[0]));
	}
	/* Channels of those who are gone may be first. */
	start_open(fixture, 0, NULL);
	for (;;) {
		start_open(fixture, 1, accept_channel(fixture));
		if (!pair_wait(&fixture->pair, &fixture->opened[1]))
			break;
		assert_true(fixture->opened[1].result == -ECONNRESET ||
			    fixture->opened[1].result == -EHOSTUNREACH);
	}
	opened_well(fixture, 0);
	opened_well(fixture, 1);
	transfer(fixture, 3);
}

/* More grants than are kept: the sender takes them in order all the same. */
static void test_many_grants(void **state)
{
	enum { COUNT = 200 };
	struct fixture *fixture = *state;
	static struct tandem_operation received[COUNT];
	struct tandem_operation granted = { 0 };
	struct tandem_grant *grant;
	uint32_t i;

	create_both(fixture);
	open_both(fixture);
	memset(received, 0, sizeof(received));
	for (i = 0; i < COUNT; i++) {
		struct tandem_receive receive = {
			.transfer = i,
			.layer_count = 1,
			.block_count = 1,
			.blocks = (uint32_t[]){ i % 67 },
		};

		assert_int_equal(tandem_peer_receive_start(fixture->peer[1], &receive, &received[i]),
				 0);
	}
	pair_run(&fixture->pair, 100);
	for (i = 0; i < COUNT; i++) {
		assert_int_equal(tandem_peer_grant_start(fixture->peer[0], &grant, &granted), 0);
		assert_int_equal(pair_wait(&fixture->pair, &granted), 0);
		assert_int_equal(grant->transfer, i);
		tandem_grant_free(grant);
	}
	close_peer(fixture, 1);
	for (i = 0; i < COUNT; i++)
		assert_int_equal(received[i].result, -ECANCELED);
	while (!fixture->lost[0])
		tandem_loop_run(fixture->pair.loop, 1000);
	assert_int_equal(tandem_peer_grant_start(fixture->peer[0], &grant, &granted), -ENOTCONN);
}

/* Blocks of random numbers from side 0 to side 1 by way of an offer. */
static void test_offer(void **state)
{
	struct tandem_operation offered = { 0 }, told = { 0 }, pulled = { 0 };
	struct fixture *fixture = *state;
	struct pair *pair = &fixture->pair;
	uint32_t remote[16], local[16];
	struct tandem_offer offer = {
		.layer_first = 1,
		.layer_count = 2,
		.blocks = remote,
		.block_count = 16,
	};
	struct tandem_pull pull = { .local_blocks = local };
	struct tandem_push push = { 0 };
	struct tandem_grant *there;

	create_both(fixture);
	assert_int_equal(tandem_peer_offer_start(fixture->peer[0], &offer, &offered), -ENOTCONN);
	assert_int_equal(tandem_peer_offered_start(fixture->peer[1], &there, &told), -ENOTCONN);
	open_both(fixture);
	pair_choose(pair, remote, 16, pair_layout[0].blocks);
	pair_choose(pair, local, 16, pair_layout[1].blocks);
	assert_int_equal(tandem_peer_offered_start(fixture->peer[1], &there, &told), 0);
	assert_int_equal(tandem_peer_offered_start(fixture->peer[1], &there, &pulled), -EBUSY);
	assert_int_equal(tandem_peer_offer_start(fixture->peer[0], &offer, &offered), 0);
	assert_int_equal(pair_wait(pair, &told), 0);
	assert_int_equal(there->transfer, 0);
	assert_int_equal(there->block_count, 16);
	assert_true(there->generation == offer.generation);
	pull.layer_first = there->layer_first;
	pull.layer_count = there->layer_count;
	pull.remote_blocks = there->blocks;
	pull.block_count = there->block_count;
	pull.generation = there->generation;
	assert_int_equal(tandem_pull_start(pair->connection[1], &pull, &pulled), 0);
	assert_int_equal(pair_wait(pair, &pulled), 0);
	/* All of it has been read. */
	assert_int_equal(pair_wait(pair, &offered), 0);
	push.layer_first = pull.layer_first;
	push.layer_count = pull.layer_count;
	push.local_blocks = pull.remote_blocks;
	push.remote_blocks = pull.local_blocks;
	push.block_count = pull.block_count;
	pair_shadow_push(pair, &push);
	pair_check(pair);
	tandem_grant_free(there);
	/* Grants go on beside it. */
	transfer(fixture, 3);
}

/* Who waits for one, or offers, is told when the other side has gone. */
static void test_offers_end(void **state)
{
	struct tandem_operation offered = { 0 }, told = { 0 };
	struct fixture *fixture = *state;
	struct tandem_offer offer = {
		.layer_count = 1,
		.block_count = 1,
		.blocks = (uint32_t[]){ 3 },
	};
	struct tandem_grant *there;

	create_both(fixture);
	open_both(fixture);
	offer.block_count = TANDEM_PEER_BLOCKS_MAX + 1;
	assert_int_equal(tandem_peer_offer_start(fixture->peer[1], &offer, &offered), -E2BIG);
	offer.block_count = 1;
	assert_int_equal(tandem_peer_offer_start(fixture->peer[1], &offer, &offered), 0);
	assert_int_equal(tandem_peer_offered_start(fixture->peer[1], &there, &told), 0);
	tandem_cancel(fixture->pair.loop, &told);
	assert_int_equal(pair_wait(&fixture->pair, &told), -ECANCELED);
	assert_int_equal(tandem_peer_offered_start(fixture->peer[1], &there, &told), 0);
	close_peer(fixture, 0);
	assert_int_equal(pair_wait(&fixture->pair, &told), -ECONNRESET);
	assert_int_equal(pair_wait(&fixture->pair, &offered), -ECONNRESET);
}

/* More of them than are kept hold up grants as well, until they are asked for. */
static void test_many_offers(void **state)
{
	enum { COUNT = 80 };
	static struct tandem_operation offered[COUNT];
	struct tandem_operation received = { 0 }, granted = { 0 };
	struct fixture *fixture = *state;
	struct tandem_receive receive = {
		.layer_count = 1,
		.block_count = 1,
		.blocks = (uint32_t[]){ 3 },
	};
	uint64_t generation[COUNT];
	struct tandem_grant *there;
	uint32_t i;

	create_both(fixture);
	open_both(fixture);
	memset(offered, 0, sizeof(offered));
	for (i = 0; i < COUNT; i++) {
		struct tandem_offer offer = {
			.layer_count = 1,
			.block_count = 1,
			.blocks = (uint32_t[]){ i % 67 },
		};

		assert_int_equal(tandem_peer_offer_start(fixture->peer[1], &offer, &offered[i]), 0);
		generation[i] = offer.generation;
	}
	assert_int_equal(tandem_peer_receive_start(fixture->peer[1], &receive, &received), 0);
	assert_int_equal(tandem_peer_grant_start(fixture->peer[0], &there, &granted), 0);
	pair_run(&fixture->pair, 100);
	assert_true(granted.pending);
	for (i = 0; i < COUNT; i++) {
		struct tandem_grant *one;
		struct tandem_operation told = { 0 };

		assert_int_equal(tandem_peer_offered_start(fixture->peer[0], &one, &told), 0);
		assert_int_equal(pair_wait(&fixture->pair, &told), 0);
		assert_true(one->generation == generation[i]);
		tandem_grant_free(one);
	}
	assert_int_equal(pair_wait(&fixture->pair, &granted), 0);
	tandem_grant_free(there);
	close_peer(fixture, 1);
	for (i = 0; i < COUNT; i++)
		assert_int_equal(offered[i].result, -ECANCELED);
}

/* The transport is chosen anew each time, by what the channel carries. */
static void test_transport_chosen(void **state)
{
	struct tandem_peer_options options;
	struct fixture *fixture = *state;

	options = peer_options(fixture, 0);
	options.connection.transport = TANDEM_TRANSPORT_AUTO;
	create_as(fixture, "prefill", "ours", &options);
	options = peer_options(fixture, 1);
	options.connection.transport = TANDEM_TRANSPORT_AUTO;
	create_with(fixture, 1, &options);
	open_both(fixture);
	assert_int_equal(tandem_connection_transport(fixture->pair.connection[0]),
			 TANDEM_TRANSPORT_LOCAL);
	assert_int_equal(tandem_connection_transport(fixture->pair.connection[1]),
			 TANDEM_TRANSPORT_LOCAL);
	transfer(fixture, 6);
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

	create_both(fixture);
	assert_int_equal(tandem_peer_receive_start(fixture->peer[0], &receive, &op), -ENOTCONN);
	assert_int_equal(tandem_peer_grant_start(fixture->peer[0], &grant, &op), -ENOTCONN);
	assert_int_equal(tandem_peer_open_start(fixture->peer[1], NULL, &op, NULL), -ENOTCONN);
	open_both(fixture);
	assert_int_equal(tandem_peer_receive_start(fixture->peer[0], &receive, &op), -E2BIG);
	receive.block_count = 1;
	receive.blocks = (uint32_t[]){ 67 };
	assert_int_equal(tandem_peer_receive_start(fixture->peer[1], &receive, &op), -EINVAL);
	assert_int_equal(tandem_peer_grant_start(fixture->peer[0], &grant, &op), 0);
	assert_int_equal(tandem_peer_grant_start(fixture->peer[0], &grant, &fixture->opened[0]),
			 -EBUSY);
	tandem_cancel(fixture->pair.loop, &op);
	assert_int_equal(pair_wait(&fixture->pair, &op), -ECANCELED);
	transfer(fixture, 4);
}

static void close_from_within(struct tandem_operation *op)
{
	close_peer(op->user, 0);
}

static void test_close_from_within(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation timer = { .done = close_from_within, .user = fixture };

	create_both(fixture);
	open_both(fixture);
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

	setup(&state);
	fixture = state;
	tandem_channel_listener_close(fixture->listener);
	{
		struct tandem_peer_options options = peer_options(fixture, 0);
		struct tandem_channel_options call;
		struct files files;

		call = as(&files, "prefill", "ours");
		call.address = "127.0.0.1";
		call.port = port;
		options.call = &call;
		create_with(fixture, 0, &options);
	}
	start_open(fixture, 0, NULL);
	opened_well(fixture, 0);
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
	struct tandem_peer_options options = peer_options(fixture, 1);
	int round, status;
	pid_t child;

	create_with(fixture, 1, &options);
	for (round = 1; round <= 3; round++) {
		child = fork();
		if (!child)
			be_caller(tandem_channel_listener_port(fixture->listener));
		start_open(fixture, 1, accept_channel(fixture));
		opened_well(fixture, 1);
		assert_int_equal(tandem_peer_receive_start(fixture->peer[1], &receive, &received), 0);
		kill(child, SIGKILL);
		assert_int_equal(pair_wait(&fixture->pair, &received), -ECONNRESET);
		while (fixture->lost[1] < round)
			tandem_loop_run(fixture->pair.loop, 1000);
		assert_int_equal(waitpid(child, &status, 0), child);
		pair_check(&fixture->pair);
	}
}

static int make_certificates(void **state)
{
	static const struct wanted_certificate wanted[] = {
		{ "ours", NULL, NULL, -DAY, DAY },
		{ "theirs", NULL, NULL, -DAY, DAY },
		{ "decode", "decode.example", "ours", -DAY, DAY },
		{ "prefill", "prefill.example", "ours", -DAY, DAY },
		{ "stranger", "prefill.example", "theirs", -DAY, DAY },
	};
	size_t i;

	(void)state;
	strcpy(directory, "/tmp/test_peer.XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		make_certificate(directory, &wanted[i]);
	return 0;
}

static int remove_certificates(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_transfer),	    TEST(test_again),
		TEST(test_same_channel),    TEST(test_strangers),
		TEST(test_grants_differ),   TEST(test_transports_differ),
		TEST(test_no_connection),   TEST(test_rogues),
		TEST(test_early_caller),    TEST(test_nobody),
		TEST(test_cancel),	    TEST(test_many_grants),
		TEST(test_offer),	    TEST(test_offers_end),
		TEST(test_many_offers),	    TEST(test_transport_chosen),
		TEST(test_older_release),
		TEST(test_wrong_arguments), TEST(test_close_from_within),
	};
	const struct CMUnitTest between_processes[] = {
		TEST(test_killed),
	};
	int failed = 0;

	for (pair_kind = pair_kinds; pair_kind->name; pair_kind++) {
		failed += cmocka_run_group_tests_name(pair_kind->name, tests, make_certificates,
						      remove_certificates);
		if (pair_kind->transport != TANDEM_TRANSPORT_LOCAL)
			failed += cmocka_run_group_tests_name(pair_kind->name, between_processes,
							      make_certificates, remove_certificates);
	}
	return failed;
}
