/* SPDX-License-Identifier: MIT */
/*
 * What a transport has to do, and has to be told.
 */
#ifndef TANDEM_RUNTIME_XFER_TRANSPORT_H
#define TANDEM_RUNTIME_XFER_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/xfer.h>

struct xfer_description;
struct xfer_grant;
struct xfer_note;
struct xfer_push;
struct xfer_side;

/* The immediate says in 16 bits how many blocks a write brought. */
#define XFER_WRITE_BLOCKS_MAX	65535u

/*
 * Bytes that a transport is handed at once, over which nothing that comes later
 * has precedence, and for which the end of a push has to wait.
 */
#define XFER_WINDOW_BYTES	(128ull << 20)

/**
 * struct xfer_write - a range for the transport to write, or to read
 * @push: to tell the end of
 * @pull: read it: from the other side's memory into the local pool
 * @local_offset: bytes from the local pool's start
 * @remote_offset: bytes from the other side's
 * @length: bytes, at most &tandem_connection.write_bytes
 * @transfer: for the receiver to count
 * @blocks: that are complete with this write. 0 for a part of a block larger
 *	than @write_bytes; only a transport that keeps the order of writes, or
 *	counts the parts, may ask for less than a block
 * @last: nothing of the push comes after it
 * @generation: of the receiver's grant or the other side's offer, or 0
 */
struct xfer_write {
	struct xfer_push *push;
	bool pull;
	uint64_t local_offset;
	uint64_t remote_offset;
	uint64_t length;
	uint32_t transfer;
	uint32_t blocks;
	bool last;
	uint64_t generation;
};

/**
 * struct xfer_transport_ops - a transport
 * @open: register the pool and so on; sets &tandem_connection.transport.
 *	Cleans up by itself if it fails
 * @describe: write what the other side's @connect has to know, at most
 *	%XFER_TRANSPORT_PART_MAX bytes (auto: %XFER_PART_MAX). Return: bytes
 * @reach: could the two sides reach one another by this transport? Looks at nothing but
 *	its arguments, so that both sides come to the same answer, and says in @why, from
 *	the view of @own, why not, or why. Return: 0; -EPROTO malformed; another
 *	negative errno
 * @connect: take that in, not trusting it; sets @write_bytes and
 *	@write_slots. May be tried again after a failure. Where it takes time
 *	until blocks can travel, @write_slots is 0 until then, and then
 *	connection_continue() is called
 * @reads: @write takes reads as well
 * @write: take a write; there is a slot free. It may be kept back until
 *	@flush. Ends with connection_write_done(), not from within. Return: 0 or
 *	a negative errno, upon which the connection fails; but a read that is
 *	refused with -EACCES ends its pull alone
 * @flush: put what was kept back on its way. Return: as @write
 * @tell: have connection_told() called on the other side, which may be at once; not
 *	before connection_received() has been for all writes that are done. It may
 *	be kept back until @flush. Return: 0 or a negative errno
 * @repeats: how often something was sent again so far. NULL where that is not
 *	known
 * @rail: fill in the statistics of a way that the connection has, by its number. NULL for
 *	one that has only one. Return: 0 or -ENOENT
 * @is_busy: does a device of this side's carry out something of either side's? NULL
 *	where others do that
 * @probe: see whether the other side is still there; if not, the connection
 *	fails. NULL where that is known without
 * @grant: let the other side write these blocks, for this transfer. NULL where
 *	connection_admit() is asked about each write instead. Return: 0 or a
 *	negative errno
 * @revoke: take that back. Calls connection_revoked() when nothing can land by
 *	it any more, at once or later. @abort and @close revoke everything. NULL as
 *	with @grant
 * @offer: let the other side read these blocks. NULL where connection_read_begin() is
 *	asked about each read instead. Return: 0 or a negative errno
 * @withdraw: take that back, when the other side has said that it reads no more.
 *	Calls connection_withdrawn() when nothing can be read by it any more, at once
 *	or later. NULL as with @offer
 * @granted: may a push be written, or a pull be read, which has a generation? Return:
 *	0; -EAGAIN the transport does not know yet, and will call
 *	connection_continue(); -EACCES. NULL where the transport carries the
 *	generation along
 * @forget: nothing of the other side's offer of this generation will be asked for any
 *	more. May be NULL
 * @abort: stop both directions. Calls connection_quiesced() when no write of
 *	either can land any more, at once or later
 * @close: the same, waiting for it, and free everything. What has not ended
 *	never will
 */
struct xfer_transport_ops {
	int (*open)(struct tandem_connection *connection,
		    const struct tandem_connection_options *options, struct tandem_error *error);
	size_t (*describe)(struct tandem_connection *connection, uint8_t *part);
	int (*reach)(const struct xfer_side *own, const struct xfer_side *other,
		     struct tandem_error *why);
	int (*connect)(struct tandem_connection *connection,
		       const struct xfer_description *remote, struct tandem_error *error);
	bool reads;
	int (*write)(struct tandem_connection *connection, const struct xfer_write *write);
	int (*flush)(struct tandem_connection *connection);
	int (*tell)(struct tandem_connection *connection, const struct xfer_note *note);
	uint64_t (*repeats)(struct tandem_connection *connection);
	int (*rail)(struct tandem_connection *connection, unsigned int number,
		    struct tandem_rail_stats *stats);
	bool (*is_busy)(const struct tandem_connection *connection);
	int (*probe)(struct tandem_connection *connection);
	int (*grant)(struct tandem_connection *connection, uint32_t transfer,
		     const struct xfer_grant *grant);
	void (*revoke)(struct tandem_connection *connection, uint64_t generation);
	int (*offer)(struct tandem_connection *connection, const struct xfer_grant *blocks);
	void (*withdraw)(struct tandem_connection *connection, uint64_t generation);
	int (*granted)(struct tandem_connection *connection, const struct xfer_push *push);
	void (*forget)(struct tandem_connection *connection, uint64_t generation);
	void (*abort)(struct tandem_connection *connection);
	void (*close)(struct tandem_connection *connection);
};

extern const struct xfer_transport_ops xfer_auto_ops;
extern const struct xfer_transport_ops xfer_local_ops;
extern const struct xfer_transport_ops xfer_verbs_ops;
extern const struct xfer_transport_ops xfer_tcp_ops;

#endif /* TANDEM_RUNTIME_XFER_TRANSPORT_H */
