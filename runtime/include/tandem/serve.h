/* SPDX-License-Identifier: MIT */
/*
 * Serving: many requests at once, of tenants that need not trust one another,
 * over one device or two.
 */
#ifndef TANDEM_SERVE_H
#define TANDEM_SERVE_H

#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>
#include <tandem/loop.h>
#include <tandem/model.h>
#include <tandem/sampling.h>
#include <tandem/xfer.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tandem_scheduler;

/* Why the tokens of a request ended. */
enum tandem_finish {
	TANDEM_FINISH_LENGTH = 0,	/* tokens_max were made */
	TANDEM_FINISH_END = 1,		/* the model ended its text */
	TANDEM_FINISH_CONTEXT = 2,	/* the model's context is full */
	TANDEM_FINISH_CALLER = 3,	/* on_token said so */
};

/**
 * struct tandem_scheduler_options - what to serve with
 * @prefill: instance that reads the prompts
 * @decode: instance that makes the tokens; the same as @prefill to serve
 *	aggregated
 * @push: connection of @prefill's pool to @decode's, without grants; NULL when
 *	aggregated
 * @receive: the other side of it, on @decode's pool
 * @active_max: requests that have KV blocks at once; 0 for the batch_max of
 *	@decode, which is also the most
 * @waiting_max: requests that may wait for that; 0 for 1024
 * @tenant_waiting_max: of these, those of one tenant; 0 for @waiting_max
 * @chunk_tokens: tokens of a prompt that are computed before others have their
 *	turn, at most tandem_instance_rows_max() of @prefill; 0 for that. In whole
 *	blocks, rounded up
 *
 * Everything is the caller's, on one loop, outlives the scheduler, and is left to
 * it meanwhile.
 */
struct tandem_scheduler_options {
	struct tandem_instance *prefill;
	struct tandem_instance *decode;
	struct tandem_connection *push;
	struct tandem_connection *receive;
	uint32_t active_max;
	uint32_t waiting_max;
	uint32_t tenant_waiting_max;
	uint32_t chunk_tokens;
};

/**
 * tandem_scheduler_create() - begin to serve
 * @loop: that of the devices
 * @options: what with
 * @scheduler: where to put it
 * @error: filled in on failure; may be NULL
 *
 * Return: 0; -EINVAL; -ENODEV a device was lost; -ENOMEM.
 */
int tandem_scheduler_create(struct tandem_loop *loop,
			    const struct tandem_scheduler_options *options,
			    struct tandem_scheduler **scheduler, struct tandem_error *error);

/**
 * tandem_scheduler_destroy() - serve no longer
 * @scheduler: may be NULL
 *
 * What is pending ends with -ECANCELED, from within this call. Blocks until
 * nothing is under way any more, so it is not to be called from within @done or
 * @on_token callbacks. A transfer that cannot be stopped in time takes its
 * connection with it.
 */
void tandem_scheduler_destroy(struct tandem_scheduler *scheduler);

/**
 * struct tandem_request - what to generate, and for whom
 * @prompt: token ids; read before the call returns
 * @prompt_tokens: their number, at least 1
 * @tokens_max: how many to make, at least 1
 * @sampling: how each token is chosen; the same seed gives the same tokens, alone
 *	and beside others
 * @timeout_ms: time from now for the whole of it; 0 for no limit
 * @no_prefix_cache: not 0: compute all of the prompt, and leave nothing for others
 * @ignore_end: not 0: tokens that end a text are tokens like others, for benchmarks
 * @salt: the tenant: with whom to share prefixes, see &struct tandem_kv_salt; NULL
 *	for all zeros; read before the call returns. Also those who are given turns:
 *	of the requests that wait, one of the tenant with the fewest active ones
 *	comes next
 * @on_token: called from the loop for each token when it is known; a result other
 *	than 0 ends the request there, as finished. May start and cancel requests.
 *	May be NULL
 * @on_prefill: called from the loop as the prompt is worked through, with the
 *	share that is done in chunks × layers. May be NULL
 * @user: passed on to both
 */
struct tandem_request {
	const uint32_t *prompt;
	uint32_t prompt_tokens;
	uint32_t tokens_max;
	struct tandem_sampling sampling;
	unsigned int timeout_ms;
	int no_prefix_cache;
	int ignore_end;
	const struct tandem_kv_salt *salt;
	int (*on_token)(void *user, uint32_t token);
	void (*on_prefill)(void *user, uint64_t done, uint64_t total);
	void *user;
};

/**
 * struct tandem_generation_stats - how it went
 * @request: number of the request, of its scheduler, from 1
 * @generated: tokens given to on_token
 * @finish: &enum tandem_finish
 * @cached_tokens: tokens of the prompt whose KV was cached where prefill runs, and
 *	was not computed
 * @restored_tokens: tokens of the prompt whose KV the store of prefill's pool brought
 *	back for it; as a rule part of @cached_tokens
 * @kv_cached_tokens: likewise where decode runs, and was not moved; 0 when
 *	aggregated
 * @kv_restored_tokens: likewise what the store of decode's pool brought back for it
 * @waited_ns: from the start until it had KV blocks
 * @restore_ns: of that, the time in which stores brought something back, or did not in
 *	time, see tandem_kv_pool_set_store_wait()
 * @ttft_ns: from the start until the first token was known and, when split,
 *	the KV cache was where decode needs it
 * @decode_ns: from there to the last token; divided by @generated less one it is
 *	the time per output token
 * @prefill_device_ns: time that the device spent on the prompt's programs
 * @decode_device_ns: likewise on the steps of decode that it took part in, each
 *	counted as a whole however many took part
 * @prefill_modelled_ns: time that the profile of prefill's device would have needed
 *	at least for the prompt's programs: an estimate, 0 where there is none
 * @decode_modelled_ns: likewise the profile of decode's device for the steps, each
 *	counted as a whole
 * @kv_modelled_ns: likewise both for @kv_bytes on the slower one's network link
 * @steps: of these
 * @steps_repeated: of these, those that were done again alone, because a batch
 *	had failed that it was in
 * @kv_bytes: bytes of KV that were moved, in whole blocks; 0 when aggregated
 * @kv_pushes: pushes that they were sent with
 * @kv_writes: writes they were put into
 * @kv_retries: repeats on the way, see &struct tandem_transfer_stats
 * @kv_cpu_copied_bytes: bytes of KV that this process's own instructions copied.
 *	When other requests were sent meanwhile, its share by bytes
 * @kv_post_ns: time that this thread spent starting the pushes
 * @kv_wire_ns: time during which one of the pushes was under way
 * @kv_transfer: name of the transfer that they are, 0 where there was none: what
 *	&struct tandem_transfer_record says of each push, and of the wait for all of
 *	them, has it as @transfer
 * @kv_exposed_ns: what time to first token had to wait for the transfer alone:
 *	from when the first token was known until the KV cache had arrived
 */
struct tandem_generation_stats {
	uint64_t request;
	uint32_t generated;
	uint32_t finish;
	uint32_t cached_tokens;
	uint32_t restored_tokens;
	uint32_t kv_cached_tokens;
	uint32_t kv_restored_tokens;
	uint64_t waited_ns;
	uint64_t restore_ns;
	uint64_t ttft_ns;
	uint64_t decode_ns;
	uint64_t prefill_device_ns;
	uint64_t decode_device_ns;
	uint64_t prefill_modelled_ns;
	uint64_t decode_modelled_ns;
	uint64_t kv_modelled_ns;
	uint32_t steps;
	uint32_t steps_repeated;
	uint64_t kv_bytes;
	uint64_t kv_pushes;
	uint64_t kv_writes;
	uint64_t kv_retries;
	uint64_t kv_cpu_copied_bytes;
	uint64_t kv_post_ns;
	uint64_t kv_wire_ns;
	uint32_t kv_transfer;
	uint64_t kv_exposed_ns;
};

/**
 * struct tandem_request_result - how a request ended
 * @stats: also of one that failed, as far as it went
 * @error: of one that failed
 */
struct tandem_request_result {
	struct tandem_generation_stats stats;
	struct tandem_error error;
};

/**
 * tandem_request_start() - have a request served
 * @scheduler: the scheduler
 * @request: what
 * @result: filled in by the time that @op ends, and kept in place until then; on
 *	failure of this call, its error is. May be NULL
 * @op: ends with 0 when all tokens are made; -ECANCELED after tandem_cancel();
 *	-ETIMEDOUT; -ENODEV a device was lost; -ECONNRESET, -ENOTCONN and others of
 *	tandem_push_start() when the connection was; -ENOMEM; or what the device
 *	said of the request's own work
 *
 * A request is admitted when all blocks that it may need are free in both pools,
 * so none runs out of them later. What can never be admitted is refused here,
 * before anything is kept of it. Waiting requests get their turn tenant by tenant,
 * those of one tenant in order.
 *
 * What goes wrong with one request has no effect on others: the same tokens come
 * for them. A batch that fails on the device is carried out again one by one, to
 * find out whose fault it is. Only the loss of a device or connection ends several;
 * those whose KV cache is with decode outlive that of the prefill device.
 *
 * However it ends, its blocks have been given back by then, and nothing writes to
 * them any more.
 *
 * Return: 0; -EINVAL malformed, or longer than the model's context; -ENOSPC longer
 * than a KV pool; -EAGAIN too many are waiting; -ENODEV; -ENOMEM.
 */
int tandem_request_start(struct tandem_scheduler *scheduler, const struct tandem_request *request,
			 struct tandem_request_result *result, struct tandem_operation *op);

/**
 * struct tandem_scheduler_stats - now, and so far
 * @waiting: requests that wait
 * @active: requests that have KV blocks
 * @decoding: of these, those that take part in steps
 * @started: requests that were taken
 * @refused: requests that were not
 * @finished: requests that ended with 0
 * @failed: requests that ended otherwise
 * @chunks: of prompts, computed
 * @steps: of decode
 * @step_rows: tokens made by these: divided by @steps, the mean batch
 * @batch_greatest: the most that one step had
 */
struct tandem_scheduler_stats {
	uint32_t waiting;
	uint32_t active;
	uint32_t decoding;
	uint64_t started;
	uint64_t refused;
	uint64_t finished;
	uint64_t failed;
	uint64_t chunks;
	uint64_t steps;
	uint64_t step_rows;
	uint32_t batch_greatest;
};

void tandem_scheduler_get_stats(const struct tandem_scheduler *scheduler,
				struct tandem_scheduler_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* TANDEM_SERVE_H */
