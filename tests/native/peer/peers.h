/* SPDX-License-Identifier: MIT */
/*
 * What tests of peers begin with: both sides in one process, and certificates for the
 * channel between them. What fails fails the test.
 */
#ifndef TANDEM_TESTS_PEER_PEERS_H
#define TANDEM_TESTS_PEER_PEERS_H

#include "tests/native/channel/certificates.h"
#include "tests/native/xfer/pair.h"

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

struct tandem_channel_options peers_as(struct files *files, const char *name, const char *authority);
void peers_listen_at(struct fixture *fixture, unsigned int port);
struct tandem_peer_options peers_options(struct fixture *fixture, int side);
void peers_create_with(struct fixture *fixture, int side, struct tandem_peer_options *options);
/* Side 0 calls as @name, signed by @authority. */
void peers_create_as(struct fixture *fixture, const char *name, const char *authority,
		     struct tandem_peer_options *options);
void peers_create_both(struct fixture *fixture);
void peers_start_open(struct fixture *fixture, int side, struct tandem_channel *channel);
struct tandem_channel *peers_accept_channel(struct fixture *fixture);
void peers_opened_well(struct fixture *fixture, int side);
/* Open both sides by a new channel. */
void peers_open_both(struct fixture *fixture);
/* Blocks of random numbers from side 0 to side 1 by way of a grant. */
void peers_transfer(struct fixture *fixture, uint32_t count);
int peers_setup(void **state);
int peers_teardown(void **state);
void peers_close(struct fixture *fixture, int side);
int peers_make_certificates(void **state);
int peers_remove_certificates(void **state);

#endif /* TANDEM_TESTS_PEER_PEERS_H */
