// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peers.h"

#define DAY 86400L

/* Where this process's certificates are. */
static char directory[64];

struct tandem_channel_options peers_as(struct files *files, const char *name, const char *authority)
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

void peers_listen_at(struct fixture *fixture, unsigned int port)
{
	struct tandem_channel_options options;
	struct tandem_error error = { 0 };
	struct files files;

	options = peers_as(&files, "decode", "ours");
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

struct tandem_peer_options peers_options(struct fixture *fixture, int side)
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

void peers_create_with(struct fixture *fixture, int side, struct tandem_peer_options *options)
{
	assert_int_equal(tandem_peer_create(fixture->pair.loop, fixture->pair.pool[side], options,
					    &fixture->peer[side], NULL),
			 0);
}

void peers_create_as(struct fixture *fixture, const char *name, const char *authority,
		     struct tandem_peer_options *options)
{
	struct tandem_channel_options call;
	struct files files;

	call = peers_as(&files, name, authority);
	call.address = "127.0.0.1";
	call.port = tandem_channel_listener_port(fixture->listener);
	call.peer_name = "decode.example";
	options->call = &call;
	peers_create_with(fixture, 0, options);
}

void peers_create_both(struct fixture *fixture)
{
	struct tandem_peer_options options = peers_options(fixture, 0);

	peers_create_as(fixture, "prefill", "ours", &options);
	options = peers_options(fixture, 1);
	peers_create_with(fixture, 1, &options);
}

void peers_start_open(struct fixture *fixture, int side, struct tandem_channel *channel)
{
	if (tandem_peer_open_start(fixture->peer[side], channel, &fixture->opened[side],
				   &fixture->error[side]) < 0)
		fail_msg("side %d: %s", side, fixture->error[side].message);
}

struct tandem_channel *peers_accept_channel(struct fixture *fixture)
{
	struct tandem_operation accepted = { 0 };
	struct tandem_channel *channel;

	assert_int_equal(tandem_channel_accept_start(fixture->listener, &channel, &accepted), 0);
	assert_int_equal(pair_wait(&fixture->pair, &accepted), 0);
	return channel;
}

void peers_opened_well(struct fixture *fixture, int side)
{
	if (pair_wait(&fixture->pair, &fixture->opened[side]))
		fail_msg("side %d: %s", side, fixture->error[side].message);
	fixture->pair.connection[side] = tandem_peer_connection(fixture->peer[side]);
	assert_non_null(fixture->pair.connection[side]);
}

void peers_open_both(struct fixture *fixture)
{
	peers_start_open(fixture, 0, NULL);
	peers_start_open(fixture, 1, peers_accept_channel(fixture));
	peers_opened_well(fixture, 0);
	peers_opened_well(fixture, 1);
}

void peers_transfer(struct fixture *fixture, uint32_t count)
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

int peers_setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	pair_open(&fixture->pair, pair_layout);
	peers_listen_at(fixture, 0);
	*state = fixture;
	return 0;
}

void peers_close(struct fixture *fixture, int side)
{
	tandem_peer_close(fixture->peer[side]);
	fixture->peer[side] = NULL;
	fixture->pair.connection[side] = NULL;
}

int peers_teardown(void **state)
{
	struct fixture *fixture = *state;

	peers_close(fixture, 0);
	peers_close(fixture, 1);
	tandem_channel_listener_close(fixture->listener);
	pair_close(&fixture->pair);
	free(fixture);
	return 0;
}

int peers_make_certificates(void **state)
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

int peers_remove_certificates(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}
