/* SPDX-License-Identifier: MIT */
/*
 * The scheduler from the inside.
 *
 *	scheduler.c		who waits, who is admitted, what is started next
 *	scheduler_request.c	the life of one request, up to its end
 *	scheduler_prefill.c	prompts, chunk by chunk
 *	scheduler_transfer.c	the KV cache on its way to decode
 *	scheduler_decode.c	steps of all that have a token
 *
 * Everything that happens to a request is an operation on the loop, and is counted
 * in its @under_way. A request that is over, finished or failed, ends when that
 * has come down to nothing: then no write to its blocks can come any more.
 */
#ifndef TANDEM_RUNTIME_SCHEDULER_H
#define TANDEM_RUNTIME_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <tandem/serve.h>

#include "device.h"
#include "loop.h"
#include "sampling.h"

/* Chunks of prompts whose programs are on the queue at once. */
#define SCHEDULER_CHUNKS	2
/* Pushes of one request that are under way at once: one waits while one is sent. */
#define TRANSFER_PUSHES		2

struct request;

/**
 * struct transfer_part - blocks that are computed, and can be sent
 * @first_block: in the order of the sequence
 * @end_block: behind the last one
 * @first_layer: first layer of them
 * @end_layer: behind the last one
 */
struct transfer_part {
	uint32_t first_block;
	uint32_t end_block;
	uint32_t first_layer;
	uint32_t end_layer;
};

/* Parts that wait: the end of one chunk, chunks that are complete, and one that is not. */
#define TRANSFER_PARTS		4

/**
 * struct transfer_push - a push under way
 * @request: whose
 * @op: pending or not
 * @stats: filled in when it ends
 */
struct transfer_push {
	struct request *request;
	struct tandem_operation op;
	struct tandem_transfer_stats stats;
};

/**
 * struct transfer - the KV cache of one request on its way
 * @number: names it on the connection
 * @generation: of the grant of its blocks, or 0
 * @expect: the wait for all blocks, on the side of decode
 * @parts: computed and not sent yet, @part_count of them, oldest first
 * @pushes: those that are under way have their operation pending
 * @pushing: how many
 * @room: the wait for the connection to take another push
 * @blocks_sent: blocks × layers, of all pushes that have ended
 * @wire_since_ns: since when at least one push has been under way
 * @sent_before: of the connection when this began
 * @received_before: likewise of the other side
 */
struct transfer {
	uint32_t number;
	uint64_t generation;
	struct tandem_operation expect;
	struct transfer_part parts[TRANSFER_PARTS];
	uint32_t part_count;
	struct transfer_push pushes[TRANSFER_PUSHES];
	uint32_t pushing;
	struct tandem_operation room;
	uint64_t blocks_sent;
	uint64_t wire_since_ns;
	struct tandem_connection_stats sent_before;
	struct tandem_connection_stats received_before;
};

/**
 * struct request - one request
 * @scheduler: that it is of
 * @op: the caller's
 * @result: the caller's, or @own_result
 * @what: as it was asked for; @prompt and @salt are copies
 * @salt: the tenant
 * @prompt: token ids
 * @entry: in the scheduler's @waiting or @active
 * @prefill_entry: in its @prefilling, while chunks are to be started
 * @decode_entry: in its @decoding, while it has a token to go on from
 * @restores: what the pools' stores have of the prompt, on its way back, in the
 *	order of the scheduler's instances
 * @restored: that has been asked for, and @restoring is how many are under way
 * @restore_since_ns: since then
 * @admitted: it has blocks
 * @prefilling: in that list
 * @decoding: in that list
 * @suspect: was in a batch that failed: its next step is done alone
 * @status: why it failed, the first reason; 0
 * @finished: all tokens are made
 * @under_way: operations of the device and of connections
 * @timer: for its deadline; NULL without
 * @prompt_sequence: where prefill writes
 * @decode_sequence: where decode does; empty when aggregated
 * @growing: that of the two that decode extends
 * @tokens_max: cut to what the context can hold
 * @token: made last
 * @next_position: of the prompt, that no chunk has been started for
 * @prompt_done: the first token is known
 * @kv_there: decode can go on from it
 * @transfer: of the KV cache, unless aggregated
 * @layers_done: layers × chunks, for on_prefill
 * @started_ns: CLOCK_MONOTONIC, as the others
 *
 * Owned by the scheduler from start to end; of the loop's thread.
 */
struct request {
	struct tandem_scheduler *scheduler;
	struct tandem_operation *op;
	struct tandem_request_result *result;
	struct tandem_request_result own_result;
	struct tandem_request what;
	struct tandem_kv_salt salt;

	TAILQ_ENTRY(request) entry;
	TAILQ_ENTRY(request) prefill_entry;
	TAILQ_ENTRY(request) decode_entry;
	struct tandem_operation restores[2];
	bool restored;
	unsigned int restoring;
	uint64_t restore_since_ns;
	bool admitted;
	bool prefilling;
	bool decoding;
	bool suspect;
	int status;
	bool finished;
	unsigned int under_way;
	struct loop_timer *timer;

	struct sampling_history history;
	struct tandem_kv_sequence prompt_sequence;
	struct tandem_kv_sequence decode_sequence;
	struct tandem_kv_sequence *growing;
	uint32_t tokens_max;
	uint32_t token;
	uint32_t next_position;
	bool prompt_done;
	bool kv_there;
	struct transfer transfer;

	uint64_t layers_done;
	uint64_t started_ns;
	uint64_t prompt_done_ns;
	uint64_t first_token_ns;
	uint32_t prompt[];
};

TAILQ_HEAD(request_list, request);

/**
 * struct prefill_program - some layers of a chunk
 * @chunk: that it belongs to
 * @op: the device's work on it
 * @first_layer: first layer
 * @end_layer: behind the last one
 */
struct prefill_program {
	struct prefill_chunk *chunk;
	struct tandem_operation op;
	uint32_t first_layer;
	uint32_t end_layer;
};

/**
 * struct prefill_chunk - part of a prompt that is on the queue
 * @request: whose; NULL while it is free
 * @begin: first position
 * @end: behind the last one
 * @programs: @program_count of them, in the order of layers; room for one a layer
 * @under_way: programs that have not ended
 */
struct prefill_chunk {
	struct request *request;
	uint32_t begin;
	uint32_t end;
	struct prefill_program *programs;
	uint32_t program_count;
	uint32_t under_way;
};

/**
 * struct decode_step - the step that is on the queue, if any
 * @op: the device's work
 * @rows: room for &tandem_scheduler.batch_max
 * @requests: whose rows they are
 * @count: how many
 */
struct decode_step {
	struct tandem_operation op;
	struct tandem_step_row *rows;
	struct request **requests;
	uint32_t count;
};

/**
 * struct scheduler_watch - who wants to know that a device is lost
 * @watch: the device's
 * @scheduler: to be told
 */
struct scheduler_watch {
	struct device_watch watch;
	struct tandem_scheduler *scheduler;
};

/**
 * struct tandem_scheduler - what is served, and how far it is
 * @options: as given, with the defaults filled in
 * @split: prefill and decode are two
 * @waiting: no blocks yet, in order of arrival
 * @active: with blocks
 * @prefilling: of the active, those with chunks to be started, by turns
 * @decoding: of the active, those that wait for a step, who waits longest first
 * @restoring: of the waiting, those that something is brought back for
 * @layer_block_bytes: bytes of one block of one layer
 * @link_bandwidth: bytes/s of the slower network link of the two profiles; 0 when
 *	one is not known
 * @prefill_since_ns: since when prefill has done nothing but the chunk that ends next
 * @prefill_ns: what it took for all chunks that ended well
 * @prefill_tokens: of these
 * @task: looks for what to start next
 * @closing: takes no more
 *
 * Of the loop's thread; no lock.
 */
struct tandem_scheduler {
	struct tandem_loop *loop;
	struct tandem_scheduler_options options;
	struct tandem_model_info model;
	const struct tandem_tokenizer *tokenizer;
	bool split;
	bool closing;
	uint32_t block_tokens;
	uint64_t layer_block_bytes;
	uint64_t link_bandwidth;
	struct request_list waiting;
	struct request_list active;
	struct request_list prefilling;
	struct request_list decoding;
	uint32_t restoring;
	struct prefill_chunk chunks[SCHEDULER_CHUNKS];
	uint64_t prefill_since_ns;
	uint64_t prefill_ns;
	uint64_t prefill_tokens;
	struct decode_step step;
	struct loop_task task;
	struct scheduler_watch watches[2];
	uint64_t requests;
	struct tandem_scheduler_stats stats;
};

/* scheduler.c */

/* Something may have become possible: look for it soon. */
void scheduler_wake(struct tandem_scheduler *scheduler);

/* scheduler_request.c */

/**
 * request_check() - can this ever be served?
 * @scheduler: by whom
 * @request: what is asked for
 * @error: filled in if not
 *
 * Return: 0; -EINVAL, -ENOSPC.
 */
int request_check(const struct tandem_scheduler *scheduler, const struct tandem_request *request,
		  struct tandem_error *error);

/* A request that has passed request_check(). Return: 0 or -ENOMEM. */
int request_create(struct tandem_scheduler *scheduler, const struct tandem_request *what,
		   struct tandem_request_result *result, struct request **request);

/**
 * request_admit() - give a request its blocks
 * @request: waits; fails when it cannot ever
 *
 * Return: 0; -ENOSPC when they are not free now; another negative errno when it
 * has failed.
 */
int request_admit(struct request *request);

/*
 * Have the pools' stores bring back what they have of its prompt, once. What they
 * cannot bring is computed. Return: whether something is on its way.
 */
bool request_restore(struct request *request);

/* The first failure decides. It ends when nothing of it is under way. */
void request_fail(struct request *request, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void request_fail_on_device(struct request *request, const struct tandem_instance *instance,
			    const char *phase, int status);
void request_fail_on_connection(struct request *request, int status);

static inline bool request_is_over(const struct request *request)
{
	return request->status || request->finished;
}

/* End it if it is over and nothing is under way; it is gone then. */
void request_settle(struct request *request);

/* What it is at, for messages. */
const char *request_phase(const struct request *request);

/* @count tokens that follow in @sequence are there. Otherwise it has failed. */
bool request_commit(struct request *request, struct tandem_kv_sequence *sequence,
		    const uint32_t *tokens, uint32_t count);

/**
 * request_take_token() - the token that follows, as a device said
 * @request: its token is set
 * @instance: of the device
 * @token: the one that it has chosen
 *
 * What a device says is checked like anything from outside.
 *
 * Return: whether it did not fail.
 */
bool request_take_token(struct request *request, const struct tandem_instance *instance,
			uint32_t token);

/* Its token is known: hand it out, and go on or finish. */
void request_emit_token(struct request *request);

/* The first token is out when it is known and decode could go on from it. */
void request_first_token(struct request *request);

/* scheduler_prefill.c */

int prefill_create(struct tandem_scheduler *scheduler);
void prefill_destroy(struct tandem_scheduler *scheduler);
/* Put chunks on the queue while it has room for them. */
void prefill_advance(struct tandem_scheduler *scheduler);
/* Have the device leave out what it has not done. */
void prefill_cancel(struct request *request);

/* scheduler_transfer.c */

/* Expect the blocks, and send those that prefill has cached. */
int transfer_start(struct request *request);
/* More is computed: send it as soon as the connection has room. */
void transfer_add(struct request *request, const struct transfer_part *part);
/* Prefill is done: what is left of the wait is exposed. */
void transfer_needed(struct request *request);
/* Nothing more is sent. */
void transfer_cancel(struct request *request);
/* Fill in what the statistics say of it. */
void transfer_collect(struct request *request);

/* scheduler_decode.c */

int decode_create(struct tandem_scheduler *scheduler);
void decode_destroy(struct tandem_scheduler *scheduler);
/* It has a token to go on from. */
void decode_join(struct request *request);
/* Start a step unless one is on the queue. */
void decode_advance(struct tandem_scheduler *scheduler);

#endif /* TANDEM_RUNTIME_SCHEDULER_H */
