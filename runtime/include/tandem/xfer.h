/* SPDX-License-Identifier: MIT */
/*
 * The transfer engine: KV blocks from one device's memory into another's.
 *
 * A connection joins two KV pools, one on each side. The sides may be in one
 * process or on two hosts: each describes itself in a few opaque bytes, which
 * the application carries to the other side by whatever means it has, and
 * takes in the other's. Then either side pushes blocks into the other's pool, or
 * pulls blocks out of it.
 */
#ifndef TANDEM_XFER_H
#define TANDEM_XFER_H

#include <stddef.h>
#include <stdint.h>

#include <tandem/device.h>
#include <tandem/error.h>
#include <tandem/kv.h>
#include <tandem/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tandem_connection;
struct tandem_xfer_table;

/**
 * enum tandem_transport - how blocks travel
 * @TANDEM_TRANSPORT_LOCAL: a device's DMA engine copies from one device's memory
 *	into the other's: the sending device's where both sides are in one process
 *	and on one loop, the receiving one's between processes of one user on one
 *	host, which can read all of each other's pool then
 * @TANDEM_TRANSPORT_VERBS: RDMA write with immediate on reliable connections, of one
 *	or several NICs
 * @TANDEM_TRANSPORT_TCP: several TCP streams, straight between sockets and the
 *	mapping of device memory; works wherever there is a network. The kernel
 *	copies each byte on both sides
 * @TANDEM_TRANSPORT_AUTO: the first of these, in this order, by which the two sides
 *	reach one another, on account of what both say of themselves; give it on both.
 *	That a network is up and lets the two through is assumed, not tried. Until the
 *	other side's description is there a side holds open whatever it can, and
 *	with that each transport's share of &struct tandem_connection_options
 */
enum tandem_transport {
	TANDEM_TRANSPORT_LOCAL = 0,
	TANDEM_TRANSPORT_VERBS = 1,
	TANDEM_TRANSPORT_TCP = 2,
	TANDEM_TRANSPORT_AUTO = 3,
};

/* "local", "verbs", "tcp", "auto"; NULL for a number that is none. */
const char *tandem_transport_name(enum tandem_transport transport);
/* The number, or -EINVAL. */
int tandem_transport_parse(const char *name);

/**
 * struct tandem_connection_options - how to open a connection
 * @transport: &enum tandem_transport
 * @rdma_device: VERBS: name of the RDMA device, such as "rxe0", or names of up to four
 *	with commas between, over which blocks are spread, and which all have to be
 *	usable; NULL for the first that is: one without an active port or an address,
 *	or that the library or the memory is not for, is passed over. Those of the two
 *	sides are joined whose addresses have most in common; what one side has more is
 *	not used. When one fails later, the connection goes on over the others:
 *	see tandem_connection_get_rail()
 * @rdma_pairs: VERBS: queue pairs on each device, up to 8 in all; 0 for the default,
 *	one, which fills a NIC: more are of use where the network chooses a path for each
 *	(ECMP, bonded ports). The smaller of both sides' numbers counts
 * @rdma_port: VERBS: port, from 1, of each device; 0 for the first active one
 * @gid_index: VERBS: entry of each port's GID table, or -1 to choose (RoCE v2
 *	before others)
 * @timeout_ms: how long an operation may take that says nothing of its own;
 *	0 for 30 s
 * @address: TCP: address to listen on, in numbers; NULL for 127.0.0.1, which
 *	only this machine reaches. 0.0.0.0 and :: stand for all addresses, which
 *	the description then lists. Whoever can read the network that it is on
 *	can read the blocks
 * @port: TCP: port to listen on; 0 for any. Connections of one loop share it
 * @streams: TCP: how many sockets, up to 16; 0 for the default. The smaller of
 *	both sides' numbers counts
 * @grants: not zero: the other side may write only what tandem_receive_start()
 *	has granted it, and read only what tandem_offer_start() has offered; pushes and
 *	pulls have to name the grant or offer. Give it on both sides
 * @checksums: not zero: the sender computes CRC-32Cs of what it pushes, from its
 *	memory, and the receiver computes them again from its own when all of a
 *	transfer has landed. If they differ the receiver's operation ends with
 *	-EBADMSG. Costs both processors' time, the receiver's before the operation ends,
 *	on the loop's thread, but 1 MiB at a time. Until then nothing else may be
 *	written to the blocks. What is pulled is compared before the pull ends, see
 *	tandem_pull_start(). Give it on both sides
 * @pushes_max: pushes and pulls that can be under way; 0 for 4096
 * @bytes_max: once so many bytes are under way, neither is taken until some
 *	have arrived; 0 for no limit. So one of any size can be started when
 *	nothing is under way
 * @records: how many ended transfers to remember, up to 65536, for
 *	tandem_connection_read_records(); 0 for none, which costs nothing
 */
struct tandem_connection_options {
	enum tandem_transport transport;
	const char *rdma_device;
	unsigned int rdma_pairs;
	unsigned int rdma_port;
	int gid_index;
	unsigned int timeout_ms;
	const char *address;
	unsigned int port;
	unsigned int streams;
	unsigned int grants;
	unsigned int checksums;
	unsigned int pushes_max;
	uint64_t bytes_max;
	unsigned int records;
};

/* Room that every description fits into. */
#define TANDEM_DESCRIPTION_MAX	1024

/**
 * tandem_connection_open() - make one side of a connection
 * @loop: where its completions will arrive; that of the pool's device
 * @pool: the pool that blocks are sent from and received into; registered for
 *	transfer until the connection is closed
 * @options: how
 * @connection: where to put it
 * @error: filled in on failure; may be NULL
 *
 * Return: 0; -ENODEV no such RDMA device or no active port; -EOPNOTSUPP the
 * transport is not there; -EINVAL, -EADDRINUSE, -EADDRNOTAVAIL or -EACCES no
 * such address, or a port that cannot be had; -ENOMEM, also for a limit on
 * locked memory.
 */
int tandem_connection_open(struct tandem_loop *loop, struct tandem_kv_pool *pool,
			   const struct tandem_connection_options *options,
			   struct tandem_connection **connection, struct tandem_error *error);

/**
 * struct tandem_xfer_memory - memory that is no KV pool
 * @memory: memory of a device, or what a device reaches by
 *	tandem_memory_import_dmabuf() or tandem_memory_register(); or NULL
 * @pointer: memory of this process, with @memory NULL. VERBS, where it begins at a
 *	page, and TCP
 * @length: bytes of it, from its first; whole units
 * @unit: bytes that are sent and counted as one block; even; 0 for 4096. The same
 *	on both sides
 */
struct tandem_xfer_memory {
	struct tandem_memory *memory;
	void *pointer;
	uint64_t length;
	uint32_t unit;
};

/**
 * tandem_connection_open_memory() - make one side of a connection between memories
 * @loop: as for tandem_connection_open()
 * @memory: what is sent from and received into; read before the call returns.
 *	It stays in place until the connection is closed
 * @options: how
 * @connection: where to put it
 * @error: filled in on failure; may be NULL
 *
 * Each side has one; they may be of different lengths and kinds. All else is as
 * with KV pools: units are the blocks of one layer, number 0, and are what
 * expectations count. Ranges are checked against @length by both sides; with
 * VERBS, without grants, the other side's NIC reaches all of a device's object.
 *
 * Return: as tandem_connection_open(); -EINVAL also for a length or unit that is
 * none; -EOPNOTSUPP memory that the transport does not reach.
 */
int tandem_connection_open_memory(struct tandem_loop *loop, const struct tandem_xfer_memory *memory,
				  const struct tandem_connection_options *options,
				  struct tandem_connection **connection,
				  struct tandem_error *error);

/**
 * tandem_connection_describe() - what the other side has to know
 * @connection: this side
 * @buffer: filled in
 * @size: of @buffer; %TANDEM_DESCRIPTION_MAX is always enough
 *
 * Return: bytes written, or -ENOSPC.
 */
int tandem_connection_describe(struct tandem_connection *connection, void *buffer, size_t size);

/**
 * tandem_connection_connect() - take in the other side's description
 * @connection: this side, not connected yet
 * @description: bytes from the other side's tandem_connection_describe()
 * @size: their number
 * @error: filled in on failure; may be NULL
 *
 * Nothing may be pushed to a side before it has connected too. (With TCP a
 * push waits for that; the call itself does not wait for the network.)
 *
 * Return: 0; -EPROTO malformed, or of another version; -EINVAL the pools'
 * layouts do not match, or the transports differ; -EHOSTUNREACH, also where AUTO finds
 * no transport;
 * -EALREADY; -ENODEV.
 */
int tandem_connection_connect(struct tandem_connection *connection, const void *description,
			      size_t size, struct tandem_error *error);

/**
 * tandem_connection_transport() - how blocks travel
 * @connection: either side
 *
 * Return: &enum tandem_transport; with AUTO what has been chosen, and
 * %TANDEM_TRANSPORT_AUTO until tandem_connection_connect() has done so.
 */
enum tandem_transport tandem_connection_transport(const struct tandem_connection *connection);

/**
 * tandem_connection_transport_reason() - why AUTO has chosen a transport, or has not
 * @connection: opened with AUTO. Before tandem_connection_connect() only those
 *	transports have a reason that this side cannot use
 * @transport: LOCAL, VERBS or TCP
 *
 * Return: a line that begins with the transport's name, the connection's until it is
 * closed; empty where there is none yet. NULL for other transports, and for
 * connections that were not opened with AUTO.
 */
const char *tandem_connection_transport_reason(const struct tandem_connection *connection,
					       enum tandem_transport transport);

/**
 * struct tandem_transfer_stats - how one push or pull went
 * @posted_ns: when it was started
 * @first_write_ns: when its first write was handed to the transport; 0 never
 * @last_write_ns: when its last one so far was
 * @done_ns: when it ended
 * @bytes: written and acknowledged, or read
 * @writes: handed to the transport, of a pull its reads
 * @retries: TCP segments that the kernel sent again meanwhile, on all of the
 *	connection's sockets; VERBS: writes and reads of the connection that were handed to
 *	another NIC meanwhile, as theirs had failed (of what a NIC repeats by itself nothing
 *	is known). 0 with LOCAL, which repeats nothing
 * @id: names it in this process, and in traces; filled in at once, before all else
 * @post_ns: how long it took to start it, of the calling thread's time
 * @transport: &enum tandem_transport
 * @rails: what of the connection carried it: a bit for each stream (TCP) or queue pair
 *	(VERBS), counted from 0; the bits repeat from 64 on. 0 with LOCAL
 *
 * Times are of CLOCK_MONOTONIC, in nanoseconds. It was on the wire from
 * @first_write_ns to @done_ns; before that it waited for its turn.
 */
struct tandem_transfer_stats {
	uint64_t posted_ns;
	uint64_t first_write_ns;
	uint64_t last_write_ns;
	uint64_t done_ns;
	uint64_t bytes;
	uint64_t writes;
	uint64_t retries;
	uint64_t id;
	uint64_t post_ns;
	uint32_t transport;
	uint64_t rails;
};

/**
 * enum tandem_transfer_kind - what a record is of
 * @TANDEM_TRANSFER_PUSH: tandem_push_start()
 * @TANDEM_TRANSFER_PULL: tandem_pull_start()
 * @TANDEM_TRANSFER_RECEIVE: tandem_expect_start() or tandem_receive_start()
 * @TANDEM_TRANSFER_OFFER: tandem_offer_start()
 */
enum tandem_transfer_kind {
	TANDEM_TRANSFER_PUSH = 0,
	TANDEM_TRANSFER_PULL = 1,
	TANDEM_TRANSFER_RECEIVE = 2,
	TANDEM_TRANSFER_OFFER = 3,
};

/**
 * struct tandem_transfer_record - what is remembered of a transfer that has ended
 * @kind: &enum tandem_transfer_kind
 * @result: what its operation ended with
 * @transfer: its name at the receiver; 0 for pulls and offers. With @generation it tells which
 *	pushes of the other side brought what was received here
 * @generation: of the grant or offer, or 0
 * @exposed_ns: RECEIVE: from tandem_expect_needed() to the end; 0 where that was not
 *	called
 * @told_bytes: OFFER: in the pulls that have ended well, as the other side tells until
 *	as much has been read as was offered; 0 otherwise
 * @stats: as for a push. RECEIVE: the wait began at @posted_ns; the first blocks were
 *	counted at @first_write_ns (which may be before that) and the last ones at
 *	@last_write_ns; @bytes came in @writes; @retries, @post_ns and @rails are 0.
 *	OFFER: the blocks could be read from @posted_ns to @done_ns; this side let
 *	@writes reads of @bytes in all begin, the first at @first_write_ns and the last
 *	at @last_write_ns. With VERBS those four are 0: the other side's NIC reads
 *	without a word. @retries and @rails are 0
 */
struct tandem_transfer_record {
	uint32_t kind;
	int32_t result;
	uint32_t transfer;
	uint64_t generation;
	uint64_t exposed_ns;
	uint64_t told_bytes;
	struct tandem_transfer_stats stats;
};

/**
 * tandem_connection_read_records() - how transfers went
 * @connection: opened with &tandem_connection_options.records; in any state
 * @records: filled in, the oldest first
 * @count: room in @records
 *
 * What is read is forgotten. There is a record from when the transfer has ended, just
 * before its operation is told. When there are too many the oldest are dropped, and
 * counted in &tandem_connection_stats.records_lost.
 *
 * Return: how many were filled in.
 */
unsigned int tandem_connection_read_records(struct tandem_connection *connection,
					    struct tandem_transfer_record *records,
					    unsigned int count);

/**
 * struct tandem_xfer_entry - a range on both sides
 * @local: where it begins in the local pool, bytes, as tandem_kv_block_offset()
 *	tells
 * @remote: where it begins in the other side's
 * @length: bytes
 *
 * All three are whole blocks.
 */
struct tandem_xfer_entry {
	uint64_t local;
	uint64_t remote;
	uint64_t length;
};

/**
 * tandem_xfer_table_create() - prepare ranges that will be sent again and again
 * @connection: connected
 * @entries: read before the call returns
 * @count: of @entries
 * @table: where to put it
 * @error: filled in on failure; may be NULL
 *
 * Entries are checked and neighbours put together here, once; a push then names
 * them by number. A table can be used with every connection whose two sides have
 * the same layouts, also a later one, and by one thread at a time.
 *
 * Return: 0; -EINVAL an entry that is not of whole blocks, or out of range;
 * -ENOTCONN; -ENOMEM.
 */
int tandem_xfer_table_create(struct tandem_connection *connection,
			     const struct tandem_xfer_entry *entries, uint32_t count,
			     struct tandem_xfer_table **table, struct tandem_error *error);

/* Pushes that have been started do not need it any more. NULL is fine. */
void tandem_xfer_table_destroy(struct tandem_xfer_table *table);

/**
 * struct tandem_push - blocks to send
 * @transfer: names the transfer at the receiver, 0 … 65535
 * @layer_first: first layer
 * @layer_count: layers
 * @local_blocks: numbers of blocks in the local pool, @block_count of them; or
 *	NULL: block i is @local_first + i * @local_stride
 * @remote_blocks: where each goes in the other side's pool; or NULL, likewise
 * @block_count: for each layer
 * @local_first: with @local_blocks NULL: the first one's number
 * @local_stride: with @local_blocks NULL: to the next one
 * @remote_first: with @remote_blocks NULL
 * @remote_stride: with @remote_blocks NULL; not 0 for more than one block
 * @table: take entries of this table in place of all the above, which is zero
 *	then but for @transfer; NULL for none
 * @entries: numbers of entries in @table, @entry_count of them; or NULL: the
 *	entries from @entry_first on
 * @entry_first: with @entries NULL
 * @entry_count: with @table
 * @generation: of the receiver's grant; 0 on connections without grants
 * @timeout_ms: how long it may take, from now; 0 for the connection's
 * @priority: what has more overtakes what has less, as far as that has not been
 *	handed to the transport (128 MiB at most are, and fewer by the number of
 *	writes). Of equal ones the older goes first. Low ones wait as long as
 *	there are higher ones
 * @stats: filled in when the push ends, and in place until then; may be NULL
 *
 * Arrays are read before the call returns. Neighbours on both sides are sent
 * as one. Blocks arrive in any order, those of several pushes too: a block that
 * is being written must not be the goal of anything else meanwhile.
 */
struct tandem_push {
	uint32_t transfer;
	uint32_t layer_first;
	uint32_t layer_count;
	const uint32_t *local_blocks;
	const uint32_t *remote_blocks;
	uint32_t block_count;
	uint32_t local_first;
	uint32_t local_stride;
	uint32_t remote_first;
	uint32_t remote_stride;
	struct tandem_xfer_table *table;
	const uint32_t *entries;
	uint32_t entry_first;
	uint32_t entry_count;
	uint64_t generation;
	unsigned int timeout_ms;
	uint32_t priority;
	struct tandem_transfer_stats *stats;
};

/**
 * tandem_push_start() - write blocks into the other side's pool
 * @connection: connected
 * @push: what; all of it is started or nothing
 * @op: ends with 0 when the blocks are in the other side's memory;
 *	-ETIMEDOUT; -ECANCELED; -ECONNRESET when the other side is lost,
 *	-ECONNREFUSED, -EHOSTUNREACH or -ENETUNREACH when it was never reached;
 *	-ENODEV when the local device is lost; -EPROTO; -EIO; -EBADMSG when other
 *	blocks of the transfer arrived damaged. After an end other
 *	than 0 nothing of it lands later. (TCP, and LOCAL between processes: unless the other side has not
 *	answered for 0.2 s; it stops by its own deadline then.)
 *
 * With -ECANCELED and -ETIMEDOUT the connection goes on, and other operations
 * are not touched. What has not been handed to the transport is dropped. What
 * has been cannot be recalled, with any transport, and the operation ends when
 * it has landed; so part of the destination may have been written. If the other
 * side is silent for 1 s meanwhile, or 0.2 s after a deadline, it counts as lost,
 * and the connection ends. The other side is not told of it:
 * what waits for these blocks there ends by its own deadline, or is cancelled
 * there. -ECANCELED can also mean that the other side has cancelled what waited,
 * or had no time left for it. After any other end but 0 the connection takes no more of anything.
 *
 * Return: 0; -EAGAIN as many pushes or bytes are under way as the connection
 * allows, see tandem_room_start(); -ECANCELED the other side has given up this
 * transfer; -EINVAL a block, layer or entry out of range, a table of other pools, or no
 * generation where there are grants; -ENOTCONN; -ENOMEM.
 */
int tandem_push_start(struct tandem_connection *connection, const struct tandem_push *push,
		      struct tandem_operation *op);

/**
 * struct tandem_pull - blocks to read
 * @layer_first: first layer
 * @layer_count: layers
 * @local_blocks: where each block goes in the local pool, @block_count of them; or
 *	NULL: block i goes to @local_first + i * @local_stride
 * @remote_blocks: numbers of blocks in the other side's pool; or NULL, likewise
 * @block_count: for each layer
 * @local_first: with @local_blocks NULL: the first one's number
 * @local_stride: with @local_blocks NULL: to the next one; not 0 for more than one
 *	block
 * @remote_first: with @remote_blocks NULL
 * @remote_stride: with @remote_blocks NULL
 * @table: take entries of this table in place of all the above, which is zero
 *	then; NULL for none. A table is good for pushes and pulls
 * @entries: as with &struct tandem_push
 * @entry_first: likewise
 * @entry_count: likewise
 * @generation: of the other side's offer; 0 on connections without grants
 * @timeout_ms: how long it may take, from now; 0 for the connection's
 * @priority: as with &struct tandem_push. Pushes and pulls of one connection share
 *	what the transport takes at once
 * @stats: filled in when the pull ends, and in place until then; may be NULL
 *
 * Arrays are read before the call returns. Blocks come in any order: one that is
 * being pulled into must not be the goal of anything else meanwhile.
 */
struct tandem_pull {
	uint32_t layer_first;
	uint32_t layer_count;
	const uint32_t *local_blocks;
	const uint32_t *remote_blocks;
	uint32_t block_count;
	uint32_t local_first;
	uint32_t local_stride;
	uint32_t remote_first;
	uint32_t remote_stride;
	struct tandem_xfer_table *table;
	const uint32_t *entries;
	uint32_t entry_first;
	uint32_t entry_count;
	uint64_t generation;
	unsigned int timeout_ms;
	uint32_t priority;
	struct tandem_transfer_stats *stats;
};

/**
 * tandem_pull_start() - read blocks from the other side's pool into the local one
 * @connection: connected
 * @pull: what; all of it is started or nothing
 * @op: ends with 0 when the blocks are in local memory; otherwise as that of
 *	tandem_push_start(). After an end other than 0 nothing of it lands later,
 *	though some of the destination may have been written
 *
 * The other side's application takes no part in it and is not told. What is read is
 * what the blocks hold meanwhile: that nobody writes to them is seen to by the
 * applications. The local blocks stay in place until the operation has ended.
 *
 * Ends early as a push does: what has been asked for comes, and then the operation
 * ends, and the connection goes on. A pull counts against the connection's
 * pushes_max and bytes_max like a push, and is counted like one.
 *
 * On connections with grants the other side has to have offered the blocks, see
 * tandem_offer_start(): what is not offered under the generation that the pull names,
 * or not any more, ends it with -EACCES before a byte of that is read. -ECANCELED can
 * also mean that the other side has taken its offer back. The connection goes on.
 *
 * On connections with checksums the other side's library is asked for the CRC-32C of the
 * blocks once they have landed, and computes it on its loop's thread; this side computes
 * it from its own memory. If they differ the operation ends with -EBADMSG, nothing of the
 * destination may be used, nothing counts as read of an offer, and the other side is told;
 * the connection goes on. Where there are no grants nobody may write to the other side's
 * blocks before the operation has ended: it would be taken for damage.
 *
 * Return: 0; -EAGAIN, see tandem_room_start(); -EINVAL a block, layer or entry out of
 * range, a table of other pools, or no generation where there are grants;
 * -EOPNOTSUPP the transport cannot read; -ENOTCONN; -ENOMEM.
 */
int tandem_pull_start(struct tandem_connection *connection, const struct tandem_pull *pull,
		      struct tandem_operation *op);

/**
 * tandem_room_start() - wait until a push or pull can be started
 * @connection: connected
 * @op: ends with 0 when neither would return -EAGAIN, which may be at once; with
 *	-ECANCELED, or with what ended the connection
 *
 * Of several that wait, all end, and the first to start one has the room: -EAGAIN can
 * follow all the same.
 *
 * Return: 0, -ENOTCONN, -EINVAL, -ENOMEM.
 */
int tandem_room_start(struct tandem_connection *connection, struct tandem_operation *op);

/**
 * tandem_expect_start() - wait for blocks from the other side
 * @connection: connected
 * @transfer: name of the transfer, not waited for already
 * @blocks: how many in all, each layer's block counted as one
 * @timeout_ms: from now; 0 for the connection's
 * @op: ends with 0 when they are all there; -ETIMEDOUT, -ECANCELED,
 *	-ECONNRESET, -ENODEV, -EBADMSG when a checksum was wrong, and -EPROTO when
 *	more came than were expected.
 *	Unless it is 0, nothing of the destination may be used, and nothing of it
 *	lands later.
 *
 * With -EBADMSG the connection goes on. The sender is told, and counts it; what it
 * still pushes of the transfer ends with -EBADMSG, too. With checksums each block can be
 * written once in a transfer. Once all of it is there the checksums are compared; no
 * deadline applies to that, nor does it matter then what becomes of the connection, as
 * long as it is not closed.
 *
 * With -ECANCELED and -ETIMEDOUT the connection goes on: the
 * other side is asked to stop, its pushes of this transfer end with -ECANCELED,
 * and the operation ends when it has said that nothing more will land. Pushes of
 * this transfer are refused there from then on, also with -ECANCELED: the name
 * is not to be used again on this connection. (With grants it can be: another
 * generation makes it another transfer.) If the other side is silent for 1 s
 * meanwhile, or 0.2 s after a deadline, the connection ends. After any other end but
 * 0 the connection takes no more of anything.
 *
 * Blocks are counted as they come, in any order; those that came before this
 * call count too. The other side tells how many each write brought, so it does
 * not matter how it put them together.
 *
 * Return: 0, -EBUSY, -ENOTCONN, -ENOMEM, -EINVAL, also on connections with
 * grants.
 */
int tandem_expect_start(struct tandem_connection *connection, uint32_t transfer, uint64_t blocks,
			unsigned int timeout_ms, struct tandem_operation *op);

/**
 * tandem_expect_needed() - these blocks are all that is waited for from now on
 * @connection: the receiving side
 * @transfer: that tandem_expect_start() or tandem_receive_start() waits for; otherwise
 *	nothing happens
 *
 * What is left of the wait cannot be hidden behind anything else: it is the transfer's
 * exposed time, see &struct tandem_transfer_record. Only the first call counts.
 */
void tandem_expect_needed(struct tandem_connection *connection, uint32_t transfer);

/**
 * struct tandem_receive - blocks that the other side may write
 * @transfer: name of the transfer, not waited for already
 * @layer_first: first layer
 * @layer_count: layers
 * @blocks: numbers of blocks in the local pool, @block_count different ones;
 *	read before the call returns
 * @block_count: for each layer
 * @timeout_ms: from now; 0 for the connection's
 * @generation: filled in: names this grant, never zero and never the same again
 */
struct tandem_receive {
	uint32_t transfer;
	uint32_t layer_first;
	uint32_t layer_count;
	const uint32_t *blocks;
	uint32_t block_count;
	unsigned int timeout_ms;
	uint64_t generation;
};

/**
 * tandem_receive_start() - grant blocks for one transfer, and wait for them
 * @connection: connected, with grants
 * @receive: what; its generation has to be carried to the other side, which
 *	gives it with its pushes
 * @op: ends as that of tandem_expect_start(), with 0 when each of the blocks has
 *	been written
 *
 * Each block may be written once, and the grant ends with the operation. A push
 * of another generation, to other blocks, or to a block for the second time is
 * refused before a byte of it lands: a reference that has gone stale can do no
 * harm. It ends the connection, with -EACCES on the side that refused it (TCP, and
 * LOCAL between processes: this one; else the sender's) and -ECONNRESET on the other.
 * What the sender's library let pass and this side's NIC refused ends with -ECONNRESET:
 * the grant was taken back meanwhile, as when this process is killed.
 *
 * VERBS: the NIC itself refuses what is outside of the grant, or comes after it;
 * that a block comes once is seen to by the sender. Grants are told to the other
 * side over the queue pair, which has to be connected there within two seconds.
 *
 * Return: 0, -EBUSY, -ENOTCONN, -ENOMEM, -EINVAL.
 */
int tandem_receive_start(struct tandem_connection *connection, struct tandem_receive *receive,
			 struct tandem_operation *op);

/**
 * struct tandem_offer - blocks that the other side may read
 * @layer_first: first layer
 * @layer_count: layers
 * @blocks: numbers of blocks in the local pool, @block_count different ones;
 *	read before the call returns
 * @block_count: for each layer
 * @reads: the offer ends by itself when so many blocks have been read, each layer's
 *	block counted as one, and again each time; 0 for the number of blocks offered
 * @timeout_ms: from now; 0 for the connection's
 * @generation: filled in: names this offer, never zero and never the same again
 */
struct tandem_offer {
	uint32_t layer_first;
	uint32_t layer_count;
	const uint32_t *blocks;
	uint32_t block_count;
	uint64_t reads;
	unsigned int timeout_ms;
	uint64_t generation;
};

/**
 * tandem_offer_start() - let the other side read blocks, and wait until it has
 * @connection: connected, with grants
 * @offer: what; its generation has to be carried to the other side, which gives it
 *	with its pulls
 * @op: ends with 0 when pulls that ended well have read as many blocks as @reads says
 *	(the other side tells); -ETIMEDOUT, -ECANCELED; -ECONNRESET, -ENODEV or what
 *	else ended the connection. However it ends, nothing reads the blocks by this
 *	offer any more
 *
 * Until then the blocks stay in place, and may be read any number of times. To end an
 * offer the other side is asked to stop: its pulls of it end with -ECANCELED when
 * what they asked for has come, and pulls that come later with -EACCES. If it is silent
 * meanwhile for 1 s, or 0.2 s after a deadline, the connection ends, which stops it for
 * sure; so it does at once where the transport cannot ask.
 *
 * Return: 0, -ENOTCONN, -ENOMEM, -EINVAL, -EOPNOTSUPP the transport cannot read.
 */
int tandem_offer_start(struct tandem_connection *connection, struct tandem_offer *offer,
		       struct tandem_operation *op);

/**
 * struct tandem_connection_stats - what a connection has done
 * @bytes_pushed: bytes of blocks written and acknowledged
 * @writes: writes they were put into; pulls have reads, which count too
 * @blocks_received: blocks counted by this side
 * @cpu_copied_bytes: bytes that this process's processor time copied on the
 *	way, beside what NIC and devices do (0 where that never happens; with
 *	TCP all, by the kernel's socket layer)
 * @wire_ns: time during which at least one push or pull was under way
 * @pushes_done: pushes that ended with 0; pulls count too, here and below
 * @pushes_cancelled: that ended with -ECANCELED
 * @pushes_timed_out: that ended with -ETIMEDOUT
 * @pushes_failed: that ended otherwise
 * @pushes_refused: that were not started for want of room, -EAGAIN
 * @pushes_under_way: now
 * @bytes_under_way: of these, not acknowledged
 * @bytes_pulled: bytes of blocks that have been read from the other side
 * @transfers_damaged: whose checksums were wrong, on this side or the other
 * @exposed_ns: of all transfers received, what was waited for after
 *	tandem_expect_needed()
 * @records_lost: records that were dropped unread
 */
struct tandem_connection_stats {
	uint64_t bytes_pushed;
	uint64_t writes;
	uint64_t blocks_received;
	uint64_t cpu_copied_bytes;
	uint64_t wire_ns;
	uint64_t pushes_done;
	uint64_t pushes_cancelled;
	uint64_t pushes_timed_out;
	uint64_t pushes_failed;
	uint64_t pushes_refused;
	uint64_t pushes_under_way;
	uint64_t bytes_under_way;
	uint64_t bytes_pulled;
	uint64_t transfers_damaged;
	uint64_t exposed_ns;
	uint64_t records_lost;
};

void tandem_connection_get_stats(const struct tandem_connection *connection,
				 struct tandem_connection_stats *stats);

/**
 * struct tandem_rail_stats - what went over one of the NICs of a connection
 * @name: of the RDMA device
 * @pairs: queue pairs on it that are used
 * @bytes_pushed: as in &struct tandem_connection_stats, as are the next two
 * @bytes_pulled: likewise
 * @writes: that have been carried out
 * @repeats: what its port has had to send again since the connection was opened, for
 *	whomever: packets or attempts, as its driver counts. 0 where none is counted
 * @failure: 0; or the negative errno that it failed with: nothing goes over it any more
 * @again: writes and reads that it had not carried out then, and other NICs were given
 */
struct tandem_rail_stats {
	char name[64];
	unsigned int pairs;
	uint64_t bytes_pushed;
	uint64_t bytes_pulled;
	uint64_t writes;
	uint64_t repeats;
	int failure;
	uint64_t again;
};

/**
 * tandem_connection_get_rail() - statistics of one NIC
 * @connection: connected
 * @rail: its number, from 0; both sides give the same to what is joined
 * @stats: filled in
 *
 * Return: 0; -ENOENT there are not so many, as always with other transports than VERBS.
 */
int tandem_connection_get_rail(struct tandem_connection *connection, unsigned int rail,
			       struct tandem_rail_stats *stats);

/**
 * tandem_connection_close() - end a connection
 * @connection: may be NULL
 *
 * What is pending ends with -ECANCELED, from within this call. Blocks until no
 * write of either direction can land any more; the pool's memory can be freed
 * after that. May carry out other events of the loop meanwhile, so it is not
 * to be called from within @done callbacks.
 */
void tandem_connection_close(struct tandem_connection *connection);

#ifdef __cplusplus
}
#endif

#endif /* TANDEM_XFER_H */
