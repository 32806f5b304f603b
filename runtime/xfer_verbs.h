/* SPDX-License-Identifier: MIT */
/*
 * The verbs transport: RDMA write with immediate, and RDMA read, on a reliable
 * connection.
 *
 *	xfer_verbs_port.c	which RDMA device, port and GID
 *	xfer_verbs_memory.c	registering the pool
 *	xfer_verbs_pair.c	the queue pair and what the two sides tell each other
 *	xfer_verbs_message.c	what they tell each other later, over the pair
 *	xfer_verbs_control.c	posting what is no write of blocks
 *	xfer_verbs_note.c	notes
 *	xfer_verbs_farewell.c	the last of them, at the end of the connection
 *	xfer_verbs_grant.c	what the NIC lets the other side write, or read
 *	xfer_verbs_key.c	on that side: the keys for it
 *	xfer_verbs.c		writes, completions, the ops table
 */
#ifndef TANDEM_RUNTIME_XFER_VERBS_H
#define TANDEM_RUNTIME_XFER_VERBS_H

#include <stdbool.h>
#include <stdint.h>

#include <infiniband/verbs.h>

#include "xfer.h"

/* Writes in flight, and receives that wait for immediates. */
#define VERBS_SLOTS		128u
#define VERBS_RECEIVES		256u
/* Chunks of this size keep the window moving, whatever the size of a run. */
#define VERBS_WRITE_BYTES	(1ull << 20)
/* Reads that a NIC is asked to have in flight, if it can, on either side. */
#define VERBS_READS		16u
/* Messages, bindings and invalidations in flight, apart from these and a goodbye. */
#define VERBS_CONTROLS		64u
/* Room for a message; each receive has that much. */
#define VERBS_MESSAGE_BYTES	512u
#define VERBS_MESSAGES		(VERBS_RECEIVES + VERBS_CONTROLS + 1)
/* Notes that wait to be posted; a side that has us answer without reading is lost. */
#define VERBS_NOTES_MAX		4096u

/* Work request ids: the number of a write or control, with one of these. */
#define VERBS_WORK_RECEIVE	(1ull << 63)
#define VERBS_WORK_PROBE	(1ull << 62)
#define VERBS_WORK_CONTROL	(1ull << 61)
#define VERBS_WORK_GOODBYE	(1ull << 60)
#define VERBS_WORK_NUMBER	(VERBS_WORK_GOODBYE - 1)

/*
 * xfer_verbs_port.c
 */

/**
 * struct verbs_port - the way out
 * @context: the open RDMA device
 * @name: of the device
 * @number: of the port
 * @attributes: of the port
 * @limits: of the device
 * @gid: our address
 * @gid_index: where it is in the port's table
 */
struct verbs_port {
	struct ibv_context *context;
	char name[64];
	uint8_t number;
	struct ibv_port_attr attributes;
	struct ibv_device_attr limits;
	union ibv_gid gid;
	int gid_index;
};

/**
 * verbs_port_open() - choose and open
 * @options: what the application wants
 * @port: filled in
 * @error: filled in on failure
 *
 * Return: 0, -ENODEV, -EINVAL for a GID index that is none, -ENOMEM, -EACCES.
 */
int verbs_port_open(const struct tandem_connection_options *options, struct verbs_port *port,
		    struct tandem_error *error);
void verbs_port_close(struct verbs_port *port);

/*
 * xfer_verbs_memory.c
 */

/**
 * verbs_memory_register() - let the NIC read and write memory
 * @domain: protection domain
 * @port: for messages
 * @connection: whose memory it is
 * @offset: first byte; the NIC's addresses are offsets in the memory
 * @length: bytes
 * @access: IBV_ACCESS_*, for whom
 * @region: where to put the memory region
 * @error: filled in on failure
 *
 * Through a dma-buf where the NIC takes one, else through a mapping.
 *
 * Return: 0; -EINVAL memory that begins within a page; -EOPNOTSUPP memory that the NIC
 * cannot reach; -ENOMEM, also for the limit on locked memory; another -errno.
 */
int verbs_memory_register(struct ibv_pd *domain, const struct verbs_port *port,
			  const struct tandem_connection *connection, uint64_t offset,
			  uint64_t length, int access, struct ibv_mr **region,
			  struct tandem_error *error);

/*
 * xfer_verbs_pair.c
 */

/**
 * struct verbs_endpoint - one end of a queue pair, as told to the other
 * @address: of the pool's first byte
 * @length: of the pool, bytes
 * @rkey: for writing and reading it; 0 where there are grants, which bring their own
 * @generation: of the grants and offers of this side, the one before the first; 0 for
 *	a connection without
 * @pair: queue pair number, 24 bits
 * @psn: first packet number, 24 bits
 * @lid: InfiniBand address in the subnet, else 0
 * @mtu: &enum ibv_mtu
 * @link_layer: IBV_LINK_LAYER_*
 * @reads: how many of the other side's reads this one serves at once, 1 to 255
 * @gid: address
 */
struct verbs_endpoint {
	uint64_t address;
	uint64_t length;
	uint32_t rkey;
	uint32_t pair;
	uint32_t psn;
	uint16_t lid;
	uint8_t mtu;
	uint8_t link_layer;
	uint8_t reads;
	union ibv_gid gid;
	uint64_t generation;
};

/* Bytes of an endpoint in a description. */
#define VERBS_ENDPOINT_BYTES	64u

size_t verbs_endpoint_encode(const struct verbs_endpoint *endpoint, uint8_t *part);

/* From the other side, not trusted. Return: 0 or -EPROTO. */
int verbs_endpoint_decode(const uint8_t *part, size_t size, struct verbs_endpoint *endpoint);

/* Reads in flight to ask a NIC for that has this limit; each has one. */
uint8_t verbs_reads(int limit);

/**
 * verbs_pair_create() - make a queue pair
 * @domain: protection domain
 * @queue: for its completions
 * @sends: room in its send queue
 * @receives: likewise
 *
 * Return: NULL with errno set.
 */
struct ibv_qp *verbs_pair_create(struct ibv_pd *domain, struct ibv_cq *queue, uint32_t sends,
				 uint32_t receives);

/* Ready for receives to be posted, from any state. Return: 0 or -errno. */
int verbs_pair_init(struct ibv_qp *pair, const struct verbs_port *port);

/* Ready to receive and send. Return: 0 or -errno. */
int verbs_pair_connect(struct ibv_qp *pair, const struct verbs_port *port,
		       const struct verbs_endpoint *local, const struct verbs_endpoint *remote);

/* Take nothing in and send nothing any more. If that fails there is nothing to stop. */
void verbs_pair_stop(struct ibv_qp *pair);

/*
 * xfer_verbs_message.c
 */

/**
 * struct verbs_run - granted blocks that are neighbours
 * @first: the first of them, counted through all layers
 * @count: how many
 * @key: for writing to them, or reading them
 */
struct verbs_run {
	uint64_t first;
	uint32_t count;
	uint32_t key;
};

/* Runs in one message. */
#define VERBS_MESSAGE_RUNS	30u

/**
 * struct verbs_message - part of a grant, or of an offer
 * @offer: it is one
 * @generation: of the grant
 * @transfer: that it is for; 0 for an offer
 * @run_total: runs of the grant
 * @run_first: runs of it that came before
 * @run_count: runs here
 * @runs: these
 */
struct verbs_message {
	bool offer;
	uint64_t generation;
	uint32_t transfer;
	uint32_t run_total;
	uint32_t run_first;
	uint32_t run_count;
	struct verbs_run runs[VERBS_MESSAGE_RUNS];
};

enum verbs_message_kind {
	VERBS_MESSAGE_GRANT = 0,
	VERBS_MESSAGE_NOTE = 1,
	VERBS_MESSAGE_OFFER = 2,
};

/* Notes in one message. */
#define VERBS_MESSAGE_NOTES	15u

/* Of a message from the other side, not trusted. Return: &enum verbs_message_kind or -EPROTO. */
int verbs_message_kind(const uint8_t *buffer, size_t size);

/* @buffer: of %VERBS_MESSAGE_BYTES. Return: bytes. */
uint32_t verbs_notes_encode(const struct xfer_note *notes, uint32_t count, uint8_t *buffer);

/*
 * From the other side, not trusted. @notes: room for %VERBS_MESSAGE_NOTES. Return: how
 * many there are, or -EPROTO.
 */
int verbs_notes_decode(const uint8_t *buffer, size_t size, struct xfer_note *notes);

/* @buffer: of %VERBS_MESSAGE_BYTES. Return: bytes. */
uint32_t verbs_message_encode(const struct verbs_message *message, uint8_t *buffer);

/* From the other side, not trusted. Return: 0 or -EPROTO. */
int verbs_message_decode(const uint8_t *buffer, size_t size, struct verbs_message *message);

/*
 * The transport
 */

struct verbs_grant;
struct verbs_window;
struct verbs_keys;

/**
 * struct verbs_write - a write that the NIC has
 * @push: that it belongs to
 * @bytes: length
 */
struct verbs_write {
	struct xfer_push *push;
	uint64_t bytes;
};

/**
 * struct verbs_note - a note that has not been posted
 * @entry: in &verbs.notes
 * @note: what to tell
 */
struct verbs_note {
	STAILQ_ENTRY(verbs_note) entry;
	struct xfer_note note;
};

/**
 * struct verbs - the transport's part of a connection
 * @connection: of it
 * @port: the way out
 * @domain: protection domain
 * @region: the pool
 * @channel: completion events
 * @queue: completions of both directions
 * @pair: the queue pair; NULL once the connection has failed
 * @channel_poll: the loop's watch of @channel
 * @async_poll: the loop's watch of the device's asynchronous events
 * @drain_task: goes on where a long drain left off
 * @local: what the other side is told
 * @remote: what it told
 * @slots: writes that are posted or in @batch, a ring
 * @first: number of the oldest of them, counted from the first write
 * @next: number of the next write
 * @batch: requests that are not posted yet, for the writes before @next
 * @ranges: what they read
 * @batch_count: entries of both
 * @unsignalled: writes since the last that will have a completion
 * @idle: numbers of the receives to post again
 * @receives: entries of @idle
 * @probing: a probe is under way
 * @joined: the pair can send
 * @gone: the other side has said goodbye, or the pair has failed
 * @leaving: this side has said goodbye, and waits until that has arrived
 * @farewell_timer: ends that; or NULL
 * @notes: that are not posted, oldest first
 * @note_count: of these
 * @messages: buffers of receives, then of controls, then of the goodbye
 * @message_region: the same for the NIC
 * @control_first: number of the oldest control posted, counted from the first
 * @control_next: number of the next
 * @windows: grants are memory windows
 * @working: grants of this side that have something to do
 * @granted: the others
 * @spare: windows that are not bound
 * @keys: what the other side has granted, what was asked for last first
 * @key_generation: the last of them
 * @key_bytes: memory that @keys take
 */
struct verbs {
	struct tandem_connection *connection;
	struct verbs_port port;
	struct ibv_pd *domain;
	struct ibv_mr *region;
	struct ibv_comp_channel *channel;
	struct ibv_cq *queue;
	struct ibv_qp *pair;
	struct loop_poll *channel_poll;
	struct loop_poll *async_poll;
	struct loop_task drain_task;
	struct verbs_endpoint local;
	struct verbs_endpoint remote;
	struct verbs_write slots[VERBS_SLOTS];
	uint64_t first;
	uint64_t next;
	struct ibv_send_wr batch[VERBS_SLOTS];
	struct ibv_sge ranges[VERBS_SLOTS];
	unsigned int batch_count;
	unsigned int unsignalled;
	uint16_t idle[VERBS_RECEIVES];
	unsigned int receives;
	bool probing;
	bool joined;
	bool gone;
	bool leaving;
	struct loop_timer *farewell_timer;
	STAILQ_HEAD(, verbs_note) notes;
	unsigned int note_count;
	uint8_t *messages;
	struct ibv_mr *message_region;
	uint64_t control_first;
	uint64_t control_next;
	bool windows;
	TAILQ_HEAD(verbs_grants, verbs_grant) working;
	struct verbs_grants granted;
	SLIST_HEAD(, verbs_window) spare;
	TAILQ_HEAD(verbs_keys_list, verbs_keys) keys;
	uint64_t key_generation;
	uint64_t key_bytes;
};

/* Where the message of a receive or a control is. */
static inline uint8_t *verbs_receive_message(struct verbs *verbs, unsigned int receive)
{
	return verbs->messages + receive * VERBS_MESSAGE_BYTES;
}

static inline uint8_t *verbs_control_message(struct verbs *verbs, uint64_t number)
{
	return verbs_receive_message(verbs, VERBS_RECEIVES + number % VERBS_CONTROLS);
}

static inline uint8_t *verbs_goodbye_message(struct verbs *verbs)
{
	return verbs_receive_message(verbs, VERBS_RECEIVES + VERBS_CONTROLS);
}

/*
 * xfer_verbs_control.c
 */

/* Make @request send the message of @size bytes in @buffer, one of those above. */
void verbs_control_send(const struct verbs *verbs, uint8_t *buffer, uint32_t size,
			struct ibv_send_wr *request, struct ibv_sge *range);
/* Post what there is room for. Return: 0 or -errno. */
int verbs_control_post(struct verbs *verbs);
/* Controls up to this number have been carried out. Return: 0 or -errno. */
int verbs_control_done(struct verbs *verbs, uint64_t number);

/*
 * xfer_verbs_note.c
 */

/* As that of &struct xfer_transport_ops. */
int verbs_tell(struct tandem_connection *connection, const struct xfer_note *note);

/* As verbs_grant_next(). */
bool verbs_notes_next(struct verbs *verbs, uint64_t number, struct ibv_send_wr *request,
		      struct ibv_sge *range);

/* Take in a message of notes, not trusted. Return: as connection_told(). */
int verbs_notes_take(struct verbs *verbs, const uint8_t *buffer, size_t size);

void verbs_notes_free(struct verbs *verbs);

/*
 * xfer_verbs_farewell.c
 */

/* Say goodbye, where there is somebody to hear of it. Return: is that under way? */
bool verbs_farewell_begin(struct verbs *verbs);

/* Does this completion say that there is nothing more to wait for? */
bool verbs_farewell_ends(struct verbs *verbs, const struct ibv_wc *completion);

/* Wait for that, no more than %VERBS_FAREWELL_MS. */
void verbs_farewell_wait(struct verbs *verbs);

/* How long a side that ends waits for the other to have been told. */
#define VERBS_FAREWELL_MS	200u

/*
 * xfer_verbs_grant.c
 */

/* When to use memory windows; only tests change it. */
enum verbs_windows_use {
	VERBS_WINDOWS_IF_CHECKED,	/* by NICs that hold to a window's bounds */
	VERBS_WINDOWS_ALWAYS,	/* where there are any */
	VERBS_WINDOWS_NEVER,
};
extern enum verbs_windows_use verbs_windows_use;

/* Should this NIC's memory windows be used? */
bool verbs_windows_usable(const struct ibv_device_attr *limits);

/* As those of &struct xfer_transport_ops. */
int verbs_grant(struct tandem_connection *connection, uint32_t transfer,
		const struct xfer_grant *grant);
int verbs_offer(struct tandem_connection *connection, const struct xfer_grant *blocks);
/* Both @revoke and @withdraw. */
void verbs_revoke(struct tandem_connection *connection, uint64_t generation);

/**
 * verbs_grant_next() - the next thing that grants have to do
 * @verbs: the transport
 * @number: of the control that it will be
 * @request: filled in, but for the id
 * @range: for it
 *
 * Return: false for none.
 */
bool verbs_grant_next(struct verbs *verbs, uint64_t number, struct ibv_send_wr *request,
		      struct ibv_sge *range);

/* Controls below this number have been carried out. */
void verbs_grant_done(struct verbs *verbs, uint64_t number);

/* Give up all grants of this side; nothing lands by them any more. */
void verbs_grants_free(struct verbs *verbs);

/*
 * xfer_verbs_key.c
 */

/* As those of &struct xfer_transport_ops. */
int verbs_granted(struct tandem_connection *connection, const struct xfer_push *push);
void verbs_forget(struct tandem_connection *connection, uint64_t generation);

/**
 * verbs_keys_take() - take in a message
 * @verbs: the transport
 * @buffer: from the other side, not trusted
 * @size: its bytes
 *
 * Return: 0, -EPROTO, -ENOMEM.
 */
int verbs_keys_take(struct verbs *verbs, const uint8_t *buffer, size_t size);

/**
 * verbs_keys_use() - the key for a write or read
 * @verbs: the transport
 * @write: of a grant that is there
 * @key: filled in
 *
 * Return: 0 or -EACCES.
 */
int verbs_keys_use(struct verbs *verbs, const struct xfer_write *write, uint32_t *key);

void verbs_keys_free(struct verbs *verbs);

#endif /* TANDEM_RUNTIME_XFER_VERBS_H */
