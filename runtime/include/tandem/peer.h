/* SPDX-License-Identifier: MIT */
/*
 * Peers: connections that are opened over an authenticated channel, and opened
 * again when they are lost.
 *
 * What <tandem/xfer.h> leaves to the application is done here: once both sides have
 * shown over a channel who they are, and not before, each opens a connection, tells
 * the other what it has to know of it, and says when it is ready. Over the same
 * channel go the grants and offers of blocks. When the connection or the channel is lost,
 * both sides open again, with the same pool and in the same process.
 *
 * A peer belongs to its loop's thread.
 */
#ifndef TANDEM_PEER_H
#define TANDEM_PEER_H

#include <stdint.h>

#include <tandem/channel.h>
#include <tandem/error.h>
#include <tandem/kv.h>
#include <tandem/loop.h>
#include <tandem/xfer.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tandem_peer;

/* Most blocks of one grant or offer. */
#define TANDEM_PEER_BLOCKS_MAX 16000u

/**
 * struct tandem_peer_options - how to be joined with another side
 * @connection: how blocks travel; the same transport and grants on both sides
 * @call: where the other side listens and as whom to call; NULL for the side that
 *	is called, whose application accepts channels and hands them over
 * @timeout_ms: how long an opening may take; 0 for 30 s
 * @lost: called from the loop, once after each opening that has succeeded, when the
 *	other side is gone, has closed or wants to open again; what is under way
 *	ends then. Not called for tandem_peer_close(). May be NULL. It may
 *	not close the peer or open it
 * @user: for @lost
 *
 * Strings and structures are copied before the call returns.
 */
struct tandem_peer_options {
	struct tandem_connection_options connection;
	const struct tandem_channel_options *call;
	unsigned int timeout_ms;
	void (*lost)(struct tandem_peer *peer, int code, void *user);
	void *user;
};

/**
 * tandem_peer_create() - prepare
 * @loop: where everything of it will happen; that of the pool's device
 * @pool: the pool that blocks are sent from and received into
 * @options: how
 * @peer: where to put it
 * @error: filled in on failure; may be NULL
 *
 * Nothing is opened and nobody called yet.
 *
 * Return: 0 or -ENOMEM.
 */
int tandem_peer_create(struct tandem_loop *loop, struct tandem_kv_pool *pool,
		       const struct tandem_peer_options *options, struct tandem_peer **peer,
		       struct tandem_error *error);

/**
 * tandem_peer_open_start() - open a connection, for the first time or again
 * @peer: the peer, which is not being opened
 * @channel: on the side that is called: one that was accepted, whose other end
 *	(tandem_channel_peer()) the application has seen to be the right one; taken
 *	over if the call succeeds. NULL for the one that is there, if it is; and on the side that
 *	calls
 * @op: ends with 0 when both sides are ready; -EACCES when one has not accepted who
 *	the other is; -EPROTO; -EINVAL when the two do not match (layout of the
 *	pools, transport, grants); -ECONNREFUSED when the other side said so;
 *	-ETIMEDOUT; -ECONNRESET; -ECANCELED; and as tandem_connection_open() and
 *	tandem_connection_connect()
 * @error: filled in when the call fails, or @op with anything but -ECANCELED; to be
 *	kept until then; may be NULL
 *
 * Both sides have to call it. A connection that there is is closed first, with what
 * tandem_connection_close() says of that; pointers to it are of no use any more. The
 * side that calls goes on calling until the deadline where nobody answers, so the other
 * side may be starting still. After a failure it can be called again.
 *
 * Return: 0; -EBUSY it is being opened; -ENOTCONN no channel where one is needed;
 * -EINVAL; -ENOMEM; -ENOENT, -EACCES for a file.
 */
int tandem_peer_open_start(struct tandem_peer *peer, struct tandem_channel *channel,
			   struct tandem_operation *op, struct tandem_error *error);

/**
 * tandem_peer_connection() - the connection, to push over it
 * @peer: the peer
 *
 * Return: owned by the peer and valid until it is opened again or closed; NULL while it is
 * not open. One that has failed since is still returned.
 */
struct tandem_connection *tandem_peer_connection(struct tandem_peer *peer);

/**
 * tandem_peer_name() - who the other side is
 * @peer: the peer
 *
 * Return: as tandem_channel_peer(); "" while there is no channel.
 */
const char *tandem_peer_name(const struct tandem_peer *peer);

/**
 * tandem_peer_receive_start() - grant blocks, tell the other side, and wait for them
 * @peer: open
 * @receive: what, at most %TANDEM_PEER_BLOCKS_MAX blocks. On connections without
 *	grants its generation becomes 0, and the blocks are only a request
 * @op: as that of tandem_receive_start() or tandem_expect_start()
 *
 * Return: as these; -E2BIG too many blocks.
 */
int tandem_peer_receive_start(struct tandem_peer *peer, struct tandem_receive *receive,
			      struct tandem_operation *op);

/**
 * tandem_peer_offer_start() - offer blocks, and tell the other side
 * @peer: open, with grants
 * @offer: what, at most %TANDEM_PEER_BLOCKS_MAX blocks
 * @op: as that of tandem_offer_start()
 *
 * Return: as that; -E2BIG too many blocks; -EOPNOTSUPP also when the other side's release
 * does not know of offers.
 */
int tandem_peer_offer_start(struct tandem_peer *peer, struct tandem_offer *offer,
			    struct tandem_operation *op);

/**
 * struct tandem_grant - what the other side has granted, or offered
 * @transfer: name of the transfer; 0 for an offer
 * @layer_first: first layer
 * @layer_count: layers
 * @block_count: of each layer
 * @generation: for &tandem_push.generation or &tandem_pull.generation
 * @blocks: numbers of blocks in the other side's pool, for
 *	&tandem_push.remote_blocks or &tandem_pull.remote_blocks; in range
 */
struct tandem_grant {
	uint32_t transfer;
	uint32_t layer_first;
	uint32_t layer_count;
	uint32_t block_count;
	uint64_t generation;
	uint32_t blocks[];
};

/**
 * tandem_peer_grant_start() - wait for the other side to grant blocks
 * @peer: open; nobody else waits
 * @grant: where to put it when @op ends with 0; for tandem_grant_free()
 * @op: ends with 0; -ECONNRESET when the other side is lost or opens again; -EPROTO when it
 *	breaks the rules; -ECANCELED
 *
 * Grants come in the order in which they were made. Up to 64 are kept that nobody
 * has asked for, and up to 64 offers; the other side waits with more of either when there
 * are as many of one.
 *
 * Return: 0, -EBUSY, -ENOTCONN, -EINVAL.
 */
int tandem_peer_grant_start(struct tandem_peer *peer, struct tandem_grant **grant,
			    struct tandem_operation *op);

/**
 * tandem_peer_offered_start() - wait for the other side to offer blocks
 * @peer: open; nobody else waits for offers
 * @offered: where to put it when @op ends with 0; for tandem_grant_free()
 * @op: as that of tandem_peer_grant_start()
 *
 * In the order in which they were made, and kept as with grants. An offer may have ended by
 * the time that it is here: pulls of it end with -EACCES then.
 *
 * Return: as tandem_peer_grant_start().
 */
int tandem_peer_offered_start(struct tandem_peer *peer, struct tandem_grant **offered,
			      struct tandem_operation *op);

/* May be NULL. */
void tandem_grant_free(struct tandem_grant *grant);

/**
 * tandem_peer_close() - end it
 * @peer: may be NULL. What is pending ends with -ECANCELED. Closes the connection and the
 *	channel; see tandem_connection_close()
 */
void tandem_peer_close(struct tandem_peer *peer);

#ifdef __cplusplus
}
#endif

#endif /* TANDEM_PEER_H */
