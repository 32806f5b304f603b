/* SPDX-License-Identifier: MIT */
/*
 * The verbs transport: RDMA write with immediate, RDMA read and send, on queue pairs that
 * are reliable.
 *
 *	xfer_verbs_port.c	which RDMA device, port and GID
 *	xfer_verbs_memory.c	registering the pool
 *	xfer_verbs_endpoint.c	what the two sides tell each other beforehand
 *	xfer_verbs_rail.c	a NIC with all that is made on it
 *	xfer_verbs_failover.c	what happens when one fails, and others are left
 *	xfer_verbs_service.c	kinds of queue pairs, and xfer_verbs_rc.c: one
 *	xfer_verbs_send.c	writes and reads, over all of them
 *	xfer_verbs_receive.c	immediates and messages
 *	xfer_verbs_message.c	what the sides tell each other later, over the first pair
 *	xfer_verbs_control.c	posting what is no write of blocks
 *	xfer_verbs_note.c	notes
 *	xfer_verbs_farewell.c	the last of them, at the end of the connection
 *	xfer_verbs_grant.c	what the NICs let the other side write, or read
 *	xfer_verbs_key.c	on that side: the keys for it
 *	xfer_verbs.c		completions, the ops table
 *
 * A connection has one or several queue pairs on each of its NICs (rails). Nothing is assumed
 * of the order between them; some kinds keep order within a pair. The first one of each rail
 * can carry messages, too; the one that does is the control pair, of the first rail that
 * has not failed.
 */
#ifndef TANDEM_RUNTIME_XFER_VERBS_H
#define TANDEM_RUNTIME_XFER_VERBS_H

#include <stdbool.h>
#include <stdint.h>

#include <infiniband/verbs.h>

#include "xfer.h"
#include "xfer_unordered.h"
#include "xfer_verbs_endpoint.h"
#include "xfer_verbs_message.h"
#include "xfer_verbs_port.h"

/* A pair's receives that wait for immediates. */
#define VERBS_RECEIVES		256u
/* Chunks of this size keep the window moving, whatever the size of a run. */
#define VERBS_WRITE_BYTES	(1u << 20)
/* Reads that a NIC is asked to have in flight, if it can, on either side. */
#define VERBS_READS		16u
/* A pair's messages, bindings and invalidations in flight, apart from these and a goodbye. */
#define VERBS_CONTROLS		64u
/* Room in a pair's send queue: a write each slot, a probe, controls, a goodbye. */
#define VERBS_SENDS		(VERBS_SLOTS + 1 + VERBS_CONTROLS + 1)
/* A rail's: of receives, controls, and the goodbye. */
#define VERBS_RAIL_MESSAGES	(VERBS_RECEIVES + VERBS_CONTROLS + 1)
/*
 * Messages between the next to be taken in and the newest: each is in a receive of some
 * rail, or one of the controls that the sender has under way. A power of two.
 */
#define VERBS_HELD		2048u
/* Notes that wait to be posted; a side that has us answer without reading is lost. */
#define VERBS_NOTES_MAX		4096u

/* Work request ids: the number of a write or control, its pair's, and one of these. */
#define VERBS_WORK_RECEIVE	(1ull << 63)
#define VERBS_WORK_PROBE	(1ull << 62)
#define VERBS_WORK_CONTROL	(1ull << 61)
#define VERBS_WORK_GOODBYE	(1ull << 60)
#define VERBS_WORK_PAIR_SHIFT	56
#define VERBS_WORK_PAIR_MASK	(VERBS_PAIRS_MAX - 1)
#define VERBS_WORK_NUMBER	((1ull << VERBS_WORK_PAIR_SHIFT) - 1)

/*
 * The immediate of a write on a pair that keeps order: which transfer, and how many blocks or
 * parts of blocks. On others it is that of xfer_unordered.h; that of a message is its number.
 */
#define VERBS_TRANSFER_SHIFT	16
#define VERBS_COUNT_MASK	0xffffu

struct verbs;
struct verbs_grant;
struct verbs_window;
struct verbs_keys;
struct verbs_pair;
struct verbs_service;

enum verbs_rail_state {
	VERBS_RAIL_UP,
	VERBS_RAIL_FAILING,	/* its pairs are stopped; what they have done is taken in */
	VERBS_RAIL_DOWN,	/* they are gone; the other side has to say what it has counted */
	VERBS_RAIL_GONE,	/* it has said so, and the rest goes over other rails */
};

/**
 * struct verbs_rail - a NIC that a connection uses, and all that is made on it
 * @verbs: the connection's
 * @number: of it among those that are used
 * @state: of one that is used
 * @port: the way out
 * @service: the kind of its pairs
 * @domain: protection domain
 * @region: the pool
 * @messages: &verbs.messages
 * @channel: completion events
 * @queue: completions of all pairs on it, of both directions
 * @armed: the next completion makes an event there
 * @poller: of @queue, while it need not
 * @channel_poll: the loop's watch of @channel
 * @async_poll: the loop's watch of the device's asynchronous events
 * @end: what the other side is told of it
 * @remote: what it told of its own that is joined to this; NULL for a rail that is not used
 * @first: its pair that can carry messages
 * @spare: memory windows that are not bound
 * @timer: while %VERBS_RAIL_UP, its port is down, and it fails when that has lasted; while
 *	%VERBS_RAIL_FAILING, ends that; or NULL
 * @reported: the other side has said of it what is in @report
 * @report: see there
 * @stats: see there
 * @repeats: that its port had counted when the connection was opened
 */
struct verbs_rail {
	struct verbs *verbs;
	unsigned int number;
	enum verbs_rail_state state;
	struct verbs_port port;
	const struct verbs_service *service;
	struct ibv_pd *domain;
	struct ibv_mr *region;
	struct ibv_mr *messages;
	struct ibv_comp_channel *channel;
	struct ibv_cq *queue;
	bool armed;
	struct loop_poller poller;
	struct loop_poll *channel_poll;
	struct loop_poll *async_poll;
	struct verbs_rail_end *end;
	const struct verbs_rail_end *remote;
	struct verbs_pair *first;
	SLIST_HEAD(, verbs_window) spare;
	struct loop_timer *timer;
	bool reported;
	struct verbs_report report;
	struct tandem_rail_stats stats;
	uint64_t repeats;
};

/**
 * struct verbs_write - a write or read that the NIC has
 * @write: what was asked for; its push is NULL when it has been carried out
 * @keys: with grants, the keys for it, by the number of the pair
 * @immediate: it has one
 * @number: of a write: that of the immediate which tells of it, perhaps another one's
 */
struct verbs_write {
	struct xfer_write write;
	uint32_t keys[VERBS_PAIRS_MAX];
	bool immediate;
	uint32_t number;
};

/**
 * struct verbs_control - a control that is posted
 * @size: of the message that it sends, whose number is
 * @message: this. 0 for what is no message with a number
 */
struct verbs_control {
	uint32_t size;
	uint32_t message;
};

/**
 * struct verbs_pair - a queue pair that a connection uses
 * @rail: that it is on
 * @number: of it; the same on both sides
 * @queues: the queue pair; NULL once the connection, or the rail, has failed
 * @address: of datagrams: the other side's address; else NULL
 * @remote_number: of datagrams: the other end's &verbs_pair_end.number
 * @remote_key: likewise, its &verbs_pair_end.psn
 * @slots: writes that are posted or in @batch, a ring
 * @first: number of the oldest of them that has not been carried out, counted from the first
 *	write
 * @next: number of the next write
 * @bytes: of these writes
 * @batch: requests that are not posted yet, for the writes before @next
 * @ranges: what they read
 * @batch_count: entries of both
 * @unsignalled: writes since the last that will have a completion
 * @unsignalled_bytes: of these
 * @written: writes before @first with an immediate
 * @numbered: number of the next write with an immediate
 * @arrived: immediates that have come; where there is no order, those before the oldest that
 *	has not
 * @arrivals: where there is no order, which ones
 * @idle: numbers of the receives to post again
 * @receives: entries of @idle
 * @held: receives with messages in &verbs.held
 * @probing: a probe is under way
 * @control_first: number of the oldest control posted, counted from the first
 * @control_next: number of the next
 * @control_done: those from @control_first on that have been carried out, a bit for each by
 *	its number
 * @controls: those from @control_first on, by their number
 */
struct verbs_pair {
	struct verbs_rail *rail;
	unsigned int number;
	struct ibv_qp *queues;
	struct ibv_ah *address;
	uint32_t remote_number;
	uint32_t remote_key;
	struct verbs_write slots[VERBS_SLOTS];
	uint64_t first;
	uint64_t next;
	uint64_t bytes;
	struct ibv_send_wr batch[VERBS_SLOTS];
	struct ibv_sge ranges[VERBS_SLOTS];
	unsigned int batch_count;
	unsigned int unsignalled;
	uint64_t unsignalled_bytes;
	uint32_t written;
	uint32_t numbered;
	uint32_t arrived;
	struct xfer_arrivals arrivals;
	uint16_t idle[VERBS_RECEIVES];
	unsigned int receives;
	unsigned int held;
	bool probing;
	uint64_t control_first;
	uint64_t control_next;
	uint64_t control_done;
	struct verbs_control controls[VERBS_CONTROLS];
};

_Static_assert(VERBS_CONTROLS == 64, "there is a bit for each control");
_Static_assert(VERBS_SLOTS <= XFER_UNORDERED_WRITES, "numbers of writes are told apart");
_Static_assert(VERBS_RAILS_MAX * VERBS_RECEIVES + VERBS_CONTROLS <= VERBS_HELD,
	       "there is a place for each message that comes early");

/**
 * struct verbs_note - a note that has not been posted
 * @entry: in &verbs.notes
 * @note: what to tell
 * @grants: how many grants the other side has to have been told of first
 */
struct verbs_note {
	STAILQ_ENTRY(verbs_note) entry;
	struct xfer_note note;
	uint64_t grants;
};

/**
 * struct verbs_held - a message that has not been taken in yet
 * @pair: that it came over
 * @receive: number of its receive there
 * @size: of the message; 0 for none
 */
struct verbs_held {
	struct verbs_pair *pair;
	uint16_t receive;
	uint32_t size;
};

/**
 * struct verbs - the transport's part of a connection
 * @connection: of it
 * @rails: NICs, in the order in which they were asked for
 * @rail_count: how many are open
 * @rail_pairs: queue pairs made on each
 * @made: all of these, those of the first rail first
 * @pairs: those in use, in the order that the sides agreed on; none before that
 * @pair_count: of @pairs
 * @rails_used: rails that @pairs are on, in their order
 * @rail_used_count: of these
 * @parts: writes that a block is put into; 1 where a write takes a whole one
 * @drain_task: goes on where a long drain left off
 * @local: what the other side is told
 * @remote: what it told
 * @at_rest: the pairs are gone
 * @gone: the other side has said goodbye
 * @leaving: this side has said goodbye, and waits until that and all before has arrived
 * @said_goodbye: it has
 * @farewell_timer: ends that; or NULL
 * @notes: that are not posted, oldest first
 * @note_count: of these
 * @message_number: of the next message to send
 * @message_due: number of the next to take in
 * @held: messages that have come too early, or speak of writes which have not been counted
 *	yet, and those after them, by their numbers
 * @held_count: how many there are
 * @messages: a buffer for what nobody looks at; then of each rail those of receives, of
 *	controls, and of the goodbye
 * @windows: grants are memory windows
 * @working: grants of this side that have something to do, oldest first
 * @granted: the others
 * @grants_made: of both, and all before
 * @grants_told: of these, of how many the other side has been told
 * @keys: what the other side has granted, what was asked for last first
 * @key_generation: the last of them
 * @key_bytes: memory that @keys take
 * @reports_due: rails of which the other side is to be told that they have failed, a bit for
 *	each by its number
 * @again: writes and reads that have been handed to another rail when theirs had failed
 */
struct verbs {
	struct tandem_connection *connection;
	struct verbs_rail rails[VERBS_RAILS_MAX];
	unsigned int rail_count;
	unsigned int rail_pairs;
	struct verbs_pair *made;
	struct verbs_pair *pairs[VERBS_PAIRS_MAX];
	unsigned int pair_count;
	struct verbs_rail *rails_used[VERBS_RAILS_MAX];
	unsigned int rail_used_count;
	uint32_t parts;
	struct loop_task drain_task;
	struct verbs_endpoint local;
	struct verbs_endpoint remote;
	bool at_rest;
	bool gone;
	bool leaving;
	bool said_goodbye;
	struct loop_timer *farewell_timer;
	STAILQ_HEAD(, verbs_note) notes;
	unsigned int note_count;
	uint32_t message_number;
	uint32_t message_due;
	struct verbs_held held[VERBS_HELD];
	unsigned int held_count;
	uint8_t *messages;
	bool windows;
	TAILQ_HEAD(verbs_grants, verbs_grant) working;
	struct verbs_grants granted;
	uint64_t grants_made;
	uint64_t grants_told;
	TAILQ_HEAD(verbs_keys_list, verbs_keys) keys;
	uint64_t key_generation;
	uint64_t key_bytes;
	unsigned int reports_due;
	uint64_t again;
};

static inline bool verbs_is_up(const struct verbs_pair *pair)
{
	return pair->rail->state == VERBS_RAIL_UP;
}

/* NULL when no rail is left, or before the sides are connected. */
static inline struct verbs_pair *verbs_control_pair(const struct verbs *verbs)
{
	for (unsigned int i = 0; i < verbs->rail_used_count; i++)
		if (verbs->rails_used[i]->state == VERBS_RAIL_UP)
			return verbs->rails_used[i]->first;
	return NULL;
}

/* Bytes of &verbs.messages, for so many rails. */
static inline size_t verbs_messages_bytes(unsigned int rails)
{
	return (1 + rails * VERBS_RAIL_MESSAGES) * VERBS_MESSAGE_BYTES;
}

/* Where the message of a receive or a control of a rail is. */
static inline uint8_t *verbs_receive_message(const struct verbs_rail *rail, unsigned int receive)
{
	return rail->verbs->messages + verbs_messages_bytes(rail->number) +
	       receive * VERBS_MESSAGE_BYTES;
}

static inline uint8_t *verbs_control_message(const struct verbs_rail *rail, uint64_t number)
{
	return verbs_receive_message(rail, VERBS_RECEIVES + number % VERBS_CONTROLS);
}

static inline uint8_t *verbs_goodbye_message(const struct verbs_rail *rail)
{
	return verbs_receive_message(rail, VERBS_RECEIVES + VERBS_CONTROLS);
}

/* Receives of immediates have to have memory, too, on some NICs; and a probe has a byte. */
static inline uint8_t *verbs_no_message(const struct verbs *verbs)
{
	return verbs->messages;
}

/* The id of a pair's work request. */
static inline uint64_t verbs_work(const struct verbs_pair *pair, uint64_t kind, uint64_t number)
{
	return kind | (uint64_t)pair->number << VERBS_WORK_PAIR_SHIFT | number;
}

/* The pair of a work request; none but those in use post any. */
static inline struct verbs_pair *verbs_work_pair(const struct verbs *verbs, uint64_t work)
{
	return verbs->pairs[work >> VERBS_WORK_PAIR_SHIFT & VERBS_WORK_PAIR_MASK];
}

/*
 * xfer_verbs_rail.c
 */

/**
 * verbs_rail_open() - open a NIC, and make on it what the connection needs but for pairs
 * @verbs: the transport
 * @rail: of it, zero but for @verbs and @end
 * @device: name
 * @options: from the application
 * @error: filled in on failure
 *
 * Return: 0 or -errno; verbs_rail_close() either way.
 */
int verbs_rail_open(struct verbs *verbs, struct verbs_rail *rail, const char *device,
		    const struct tandem_connection_options *options, struct tandem_error *error);

/* Register the pool. Return: 0 or -errno. */
int verbs_rail_register(struct verbs_rail *rail, struct tandem_error *error);

/* Register &verbs.messages. Return: 0 or -errno. */
int verbs_rail_register_messages(struct verbs_rail *rail);
void verbs_rail_forget_messages(struct verbs_rail *rail);

/* Take in what its port has had to repeat. */
void verbs_rail_count_repeats(struct verbs_rail *rail);
/* As that of &struct xfer_transport_ops. */
int verbs_rail(struct tandem_connection *connection, unsigned int number,
	       struct tandem_rail_stats *stats);

/* Its pairs are gone. */
void verbs_rail_close(struct verbs_rail *rail);

/*
 * xfer_verbs_send.c
 */

/* As those of &struct xfer_transport_ops. */
int verbs_write(struct tandem_connection *connection, const struct xfer_write *write);
int verbs_flush(struct tandem_connection *connection);
int verbs_probe(struct tandem_connection *connection);
uint64_t verbs_repeats(struct tandem_connection *connection);

/* A write of a pair has completed; where there is order, all before it have been carried out. */
void verbs_sent(struct verbs_pair *pair, uint64_t number);
/* So has its probe. */
void verbs_probed(struct verbs_pair *pair);

/* Have its slots, which nobody gets any more, no part in what the connection may hand over. */
void verbs_leave_slots(struct verbs_pair *pair);
/*
 * The writes of a pair whose rail is down are done if the other side has counted them.
 * Return: 0; -EPROTO it cannot have counted that; -ECONNRESET it has not counted what it
 * had acknowledged.
 */
int verbs_writes_counted(struct verbs_pair *pair, const struct verbs_counted *counted);
/*
 * Hand what rails that are gone have not carried out to others, as far as there is room.
 * Return: 0 or -errno.
 */
int verbs_write_again(struct verbs *verbs);

/*
 * xfer_verbs_receive.c
 */

/* None is posted, nothing has come. */
void verbs_receives_init(struct verbs_pair *pair);
/* Post all that are idle. Return: 0 or -errno. */
int verbs_post_receives(struct verbs_pair *pair);
/* Likewise, when they are worth a call. */
int verbs_repost_receives(struct verbs_pair *pair);
/* A receive has completed, perhaps badly. The connection may fail. */
void verbs_received(struct verbs_pair *pair, const struct ibv_wc *completion);
/* Take in the messages for which nothing is missing any more. The connection may fail. */
void verbs_take_held(struct verbs *verbs);

/*
 * xfer_verbs.c
 */

/* Carry out what has completed on a rail, or much of it. Return: whether anything had. */
bool verbs_drain(struct verbs_rail *rail);

/* A request or receive of a pair has failed. Return: as verbs_rail_fail(). */
int verbs_pair_failed(struct verbs_pair *pair, const struct ibv_wc *completion);

/*
 * xfer_verbs_failover.c
 */

/**
 * verbs_rail_fail() - a rail is of no use any more
 * @rail: perhaps not used, or failed before: nothing happens then
 * @code: why, a negative errno
 *
 * Return: 0 when the connection goes on; a negative errno upon which it is to fail, as when
 * no rail is left.
 */
int verbs_rail_fail(struct verbs_rail *rail, int code);
/* The same, and the connection does fail then. */
void verbs_rail_failed(struct verbs_rail *rail, int code);

/* The port of a rail is down, or up again. If it stays down it fails, unless it is the last. */
void verbs_rail_port_changed(struct verbs_rail *rail, bool down);

/* Some of what a failing rail had to tell has been taken in; was it all? */
void verbs_rail_drained(struct verbs_rail *rail);

/* The other side tells of a rail, not trusted. Return: as verbs_rail_fail(), or -EPROTO. */
int verbs_report_take(struct verbs *verbs, const uint8_t *buffer, size_t size);

/* As verbs_grant_next(), for the control pair: what there is to say of rails. */
bool verbs_report_next(struct verbs_pair *pair, uint64_t number, struct ibv_send_wr *request,
		       struct ibv_sge *range);
/* Likewise, messages that may not have arrived over a rail which has failed. */
bool verbs_message_again(struct verbs_pair *pair, uint64_t number, struct ibv_send_wr *request,
			 struct ibv_sge *range);

/*
 * xfer_verbs_control.c
 */

/* Make @request of @pair send @size bytes of a buffer of its rail. */
void verbs_control_send(const struct verbs_pair *pair, const uint8_t *buffer, uint32_t size,
			struct ibv_send_wr *request, struct ibv_sge *range);
/* The same, as the message of this number. */
void verbs_control_send_message(const struct verbs_pair *pair, const uint8_t *buffer,
				uint32_t size, uint32_t message, struct ibv_send_wr *request,
				struct ibv_sge *range);
/* The same with the buffer of this control, which is remembered in case the rail fails. */
void verbs_control_send_numbered(struct verbs_pair *pair, uint64_t number, uint32_t size,
				 uint32_t message, struct ibv_send_wr *request,
				 struct ibv_sge *range);
/* Post what there is room for. Return: 0 or -errno. */
int verbs_control_post(struct verbs *verbs);
/*
 * A control of a pair has completed; where there is order, all before it have been carried
 * out. Return: 0, -EIO for one that is not under way.
 */
int verbs_control_completed(struct verbs_pair *pair, uint64_t number);
/* The same, and what follows from it is posted. Return: 0 or -errno. */
int verbs_control_done(struct verbs_pair *pair, uint64_t number);

/*
 * xfer_verbs_note.c
 */

/* As that of &struct xfer_transport_ops. */
int verbs_tell(struct tandem_connection *connection, const struct xfer_note *note);

/* As verbs_grant_next(), for the control pair. */
bool verbs_notes_next(struct verbs_pair *pair, uint64_t number, struct ibv_send_wr *request,
		      struct ibv_sge *range);

/* Has everything been counted that they speak of? */
bool verbs_notes_due(const struct verbs *verbs, const struct verbs_notes *notes);
/* Take them in. Return: as connection_told(). */
int verbs_notes_take(struct verbs *verbs, const struct verbs_notes *notes);

void verbs_notes_free(struct verbs *verbs);

/*
 * xfer_verbs_farewell.c
 */

/* Say goodbye, where there is somebody to hear of it. Return: is that under way? */
bool verbs_farewell_begin(struct verbs *verbs);

/* Is there, after this completion, nothing more to wait for? */
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

/* Should this NIC's memory windows be used? All rails have to say so. */
bool verbs_windows_usable(const struct ibv_device_attr *limits);

/* As those of &struct xfer_transport_ops. */
int verbs_grant(struct tandem_connection *connection, uint32_t transfer,
		const struct xfer_grant *grant);
int verbs_offer(struct tandem_connection *connection, const struct xfer_grant *blocks);
/* Both @revoke and @withdraw. */
void verbs_revoke(struct tandem_connection *connection, uint64_t generation);

/**
 * verbs_grant_next() - the next thing that grants have to do on a pair
 * @pair: of the transport
 * @number: of the control that it will be
 * @request: filled in, but for the id
 * @range: for it
 *
 * Return: false for none.
 */
bool verbs_grant_next(struct verbs_pair *pair, uint64_t number, struct ibv_send_wr *request,
		      struct ibv_sge *range);

/* Controls have been carried out, and what follows from that has been posted. */
void verbs_grant_done(struct verbs *verbs);

/* Take back all keys for a rail; its pairs take nothing in any more. */
void verbs_grants_leave_rail(struct verbs_rail *rail);

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
 * verbs_keys_use() - the keys for a write or read
 * @verbs: the transport
 * @write: of a grant that is there
 * @keys: filled in, by the number of the pair that it goes over
 *
 * Return: 0 or -EACCES.
 */
int verbs_keys_use(struct verbs *verbs, const struct xfer_write *write, uint32_t *keys);

void verbs_keys_free(struct verbs *verbs);

#endif /* TANDEM_RUNTIME_XFER_VERBS_H */
