// SPDX-License-Identifier: MIT
/*
 * One request: what it may ask for, its blocks, its tokens, its end.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "kv.h"
#include "scheduler.h"

/* Positions that the KV of @request takes at most, on the side of decode. */
static uint32_t length_of(const struct tandem_scheduler *scheduler,
			  const struct tandem_request *request, uint32_t *tokens_max)
{
	/*
	 * The last token made is never fed back, so a sequence of prompt and tokens
	 * needs room for one less; a prompt that fills the context still gives one.
	 */
	const uint32_t room = scheduler->model.context - request->prompt_tokens + 1;

	*tokens_max = request->tokens_max < room ? request->tokens_max : room;
	return request->prompt_tokens + *tokens_max - 1;
}

static int check_pool(const struct tandem_instance *instance, uint32_t tokens,
		      struct tandem_error *error)
{
	struct tandem_kv_pool *pool = tandem_instance_kv_pool(instance);
	const struct tandem_kv_layout *layout = tandem_kv_pool_layout(pool);
	struct tandem_device_info info = { 0 };

	if (kv_blocks_for(pool, tokens) <= layout->blocks)
		return 0;
	tandem_device_get_info(tandem_instance_device(instance), &info);
	return tandem_error_set(error, -ENOSPC,
				"%s: its KV pool of %u blocks has no room for %u tokens, at %u a block; make it larger, or ask for fewer",
				info.name, layout->blocks, tokens, layout->block_tokens);
}

int request_check(const struct tandem_scheduler *scheduler, const struct tandem_request *request,
		  struct tandem_error *error)
{
	const struct tandem_model_info *model = &scheduler->model;
	uint32_t tokens_max;
	int ret;

	if (!request->prompt || !request->prompt_tokens || !request->tokens_max)
		return tandem_error_set(error, -EINVAL,
					"request: a prompt of at least one token and a number of tokens are needed");
	ret = tandem_sampling_check(&request->sampling, error);
	if (ret)
		return ret;
	if (request->prompt_tokens > model->context)
		return tandem_error_set(error, -EINVAL,
					"prompt: %u tokens do not fit into the model's context of %u; shorten it",
					request->prompt_tokens, model->context);
	for (uint32_t i = 0; i < request->prompt_tokens; i++)
		if (request->prompt[i] >= model->vocabulary)
			return tandem_error_set(error, -EINVAL,
						"prompt: token %u at %u is not in the model's vocabulary of %u",
						request->prompt[i], i, model->vocabulary);
	ret = check_pool(scheduler->options.decode, length_of(scheduler, request, &tokens_max),
			 error);
	if (!ret && scheduler->split)
		ret = check_pool(scheduler->options.prefill, request->prompt_tokens, error);
	return ret;
}

static void deadline_passed(void *user)
{
	struct request *request = user;

	request->timer = NULL;
	request_fail(request, -ETIMEDOUT, "request %llu: %s was not over within %u ms",
		     (unsigned long long)request->result->stats.request, request_phase(request),
		     request->what.timeout_ms);
	request_settle(request);
}

int request_create(struct tandem_scheduler *scheduler, const struct tandem_request *what,
		   struct tandem_request_result *result, struct request **request)
{
	const size_t bytes = what->prompt_tokens * sizeof(uint32_t);
	struct request *new = calloc(1, sizeof(*new) + bytes);
	int ret;

	if (!new)
		return -ENOMEM;
	new->scheduler = scheduler;
	new->result = result ? result : &new->own_result;
	memset(new->result, 0, sizeof(*new->result));
	new->result->stats.request = ++scheduler->requests;
	new->what = *what;
	memcpy(new->prompt, what->prompt, bytes);
	new->what.prompt = new->prompt;
	if (what->salt)
		new->salt = *what->salt;
	new->what.salt = &new->salt;
	sampling_history_add(&new->history, what->prompt, what->prompt_tokens);
	length_of(scheduler, what, &new->tokens_max);
	tandem_kv_sequence_init(&new->prompt_sequence,
				tandem_instance_kv_pool(scheduler->options.prefill));
	tandem_kv_sequence_init(&new->decode_sequence,
				tandem_instance_kv_pool(scheduler->options.decode));
	/* One sequence serves both phases when they are on one device. */
	new->growing = scheduler->split ? &new->decode_sequence : &new->prompt_sequence;
	new->kv_there = !scheduler->split;
	new->started_ns = loop_now_ns();
	if (what->timeout_ms) {
		ret = loop_timer_start(scheduler->loop, what->timeout_ms, deadline_passed, new,
				       &new->timer);
		if (ret) {
			free(new);
			return ret;
		}
	}
	*request = new;
	return 0;
}

/*
 * What stores bring back
 */

/* Whatever it ended with: what is not there is computed. */
static void restore_done(struct tandem_operation *op)
{
	struct request *request = op->user;
	struct tandem_scheduler *scheduler = request->scheduler;
	struct tandem_generation_stats *stats = &request->result->stats;
	uint32_t *tokens = op == &request->restores[0] ? &stats->restored_tokens :
							 &stats->kv_restored_tokens;

	if (op->result > 0)
		*tokens = (uint32_t)op->result * scheduler->block_tokens;
	request->under_way--;
	if (!--request->restoring) {
		scheduler->restoring--;
		stats->restore_ns = loop_now_ns() - request->restore_since_ns;
	}
	request_settle(request);
	scheduler_wake(scheduler);
}

bool request_restore(struct request *request)
{
	struct tandem_scheduler *scheduler = request->scheduler;
	const struct tandem_instance *instances[] = { scheduler->options.prefill,
						      scheduler->options.decode };

	if (request->restored || request->what.no_prefix_cache)
		return false;
	request->restored = true;
	request->restore_since_ns = loop_now_ns();
	for (int i = 0; i < (scheduler->split ? 2 : 1); i++) {
		struct tandem_operation *op = &request->restores[i];

		op->done = restore_done;
		op->user = request;
		/* The last token is computed in any case. */
		if (tandem_kv_pool_restore_start(tandem_instance_kv_pool(instances[i]),
						 &request->salt, request->prompt,
						 request->what.prompt_tokens - 1, op) != 1)
			continue;
		request->under_way++;
		request->restoring++;
	}
	scheduler->restoring += request->restoring > 0;
	return request->restoring;
}

static void restore_cancel(struct request *request)
{
	for (int i = 0; i < 2; i++)
		if (request->restores[i].pending)
			tandem_cancel(request->scheduler->loop, &request->restores[i]);
}

/*
 * Admission
 */

/* Begin a sequence with what its pool has of the prompt, and reserve the rest. */
static int take_blocks(struct request *request, struct tandem_kv_sequence *sequence,
		       uint32_t tokens, uint32_t *matched)
{
	int ret = 0;

	*matched = 0;
	if (!request->what.no_prefix_cache) {
		ret = tandem_kv_sequence_share(sequence, &request->salt);
		/* The last token is computed in any case: it tells what comes next. */
		if (!ret)
			ret = tandem_kv_sequence_match(sequence, request->prompt,
						       request->what.prompt_tokens - 1, matched);
	}
	if (!ret)
		ret = tandem_kv_sequence_reserve(sequence, tokens);
	/* Open it for what is to be computed, or received. */
	if (!ret)
		ret = tandem_kv_sequence_append(sequence, request->what.prompt_tokens - *matched,
						NULL, NULL);
	return ret;
}

int request_admit(struct request *request)
{
	const struct tandem_scheduler *scheduler = request->scheduler;
	struct tandem_generation_stats *stats = &request->result->stats;
	const uint32_t length = request->what.prompt_tokens + request->tokens_max - 1;
	int ret;

	ret = take_blocks(request, &request->prompt_sequence,
			  scheduler->split ? request->what.prompt_tokens : length,
			  &stats->cached_tokens);
	if (!ret && scheduler->split)
		ret = take_blocks(request, &request->decode_sequence, length,
				  &stats->kv_cached_tokens);
	if (!ret) {
		request->admitted = true;
		request->next_position = stats->cached_tokens;
		stats->waited_ns = loop_now_ns() - request->started_ns;
		return 0;
	}
	tandem_kv_sequence_release(&request->decode_sequence);
	tandem_kv_sequence_release(&request->prompt_sequence);
	if (ret != -ENOSPC)
		request_fail(request, ret, "KV pool: %s", strerror(-ret));
	return ret;
}

/*
 * Failure
 */

const char *request_phase(const struct request *request)
{
	if (request->restoring)
		return "restoring from the KV store";
	if (!request->admitted)
		return "waiting for room";
	if (!request->prompt_done)
		return "prefill";
	return request->kv_there ? "decode" : "transfer";
}

void request_fail(struct request *request, int status, const char *format, ...)
{
	struct tandem_scheduler *scheduler = request->scheduler;
	char message[sizeof(request->result->error.message)];
	va_list arguments;

	/* The first failure decides; what follows from it is not worth telling. */
	if (request_is_over(request))
		return;
	request->status = status;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	tandem_error_set(&request->result->error, status, "%s", message);
	restore_cancel(request);
	prefill_cancel(request);
	if (request->decoding)
		TAILQ_REMOVE(&scheduler->decoding, request, decode_entry);
	request->decoding = false;
	if (scheduler->split && request->admitted)
		transfer_cancel(request);
}

void request_fail_on_device(struct request *request, const struct tandem_instance *instance,
			    const char *phase, int status)
{
	struct tandem_device *device = tandem_instance_device(instance);
	struct tandem_device_info info = { 0 };

	tandem_device_get_info(device, &info);
	if (status == -ENODEV || tandem_device_is_lost(device))
		request_fail(request, -ENODEV,
			     "%s: the device was lost during %s; see whether its firmware still runs",
			     info.name, phase);
	else
		request_fail(request, status, "%s: %s failed: %s", info.name, phase,
			     strerror(-status));
}

void request_fail_on_connection(struct request *request, int status)
{
	const struct tandem_scheduler_options *options = &request->scheduler->options;

	/* A lost device is the cause rather than the connection over it. */
	if (tandem_device_is_lost(tandem_instance_device(options->prefill)))
		request_fail_on_device(request, options->prefill, "transfer", -ENODEV);
	else if (tandem_device_is_lost(tandem_instance_device(options->decode)))
		request_fail_on_device(request, options->decode, "transfer", -ENODEV);
	else
		request_fail(request, status, "transfer of the KV cache failed: %s",
			     strerror(-status));
}

/*
 * Tokens
 */

static void finish(struct request *request, enum tandem_finish why)
{
	request->finished = true;
	request->result->stats.finish = why;
	request->result->stats.decode_ns = loop_now_ns() - request->first_token_ns;
}

bool request_commit(struct request *request, struct tandem_kv_sequence *sequence,
		    const uint32_t *tokens, uint32_t count)
{
	const int ret = tandem_kv_sequence_commit(sequence, tokens, count);

	if (ret < 0)
		request_fail(request, ret, "KV pool: %u tokens cannot be committed: %s", count,
			     strerror(-ret));
	return !ret;
}

bool request_take_token(struct request *request, const struct tandem_instance *instance,
			uint32_t token)
{
	if (token < request->scheduler->model.vocabulary) {
		request->token = token;
		sampling_history_add(&request->history, &token, 1);
		return true;
	}
	request_fail_on_device(request, instance, request_phase(request), -EPROTO);
	return false;
}

void request_emit_token(struct request *request)
{
	const struct tandem_scheduler *scheduler = request->scheduler;
	const struct tandem_request *what = &request->what;
	struct tandem_generation_stats *stats = &request->result->stats;
	int stop;

	if (!what->ignore_end && tandem_tokenizer_is_end(scheduler->tokenizer, request->token)) {
		finish(request, TANDEM_FINISH_END);
		return;
	}
	stats->generated++;
	stop = what->on_token && what->on_token(what->user, request->token);
	/* The caller may have cancelled it from there. */
	if (request_is_over(request))
		return;
	if (stop)
		finish(request, TANDEM_FINISH_CALLER);
	else if (stats->generated < request->tokens_max)
		decode_join(request);
	else if (request->tokens_max < what->tokens_max)
		finish(request, TANDEM_FINISH_CONTEXT);
	else
		finish(request, TANDEM_FINISH_LENGTH);
}

void request_first_token(struct request *request)
{
	struct tandem_generation_stats *stats = &request->result->stats;

	if (!request->prompt_done || !request->kv_there || request_is_over(request))
		return;
	request->first_token_ns = loop_now_ns();
	stats->ttft_ns = request->first_token_ns - request->started_ns;
	if (request->scheduler->split)
		stats->kv_exposed_ns = request->first_token_ns - request->prompt_done_ns;
	request_emit_token(request);
}

/*
 * The end
 */

void request_settle(struct request *request)
{
	struct tandem_scheduler *scheduler = request->scheduler;

	if (!request_is_over(request) || request->under_way)
		return;
	transfer_collect(request);
	loop_timer_stop(request->timer);
	tandem_kv_sequence_release(&request->decode_sequence);
	tandem_kv_sequence_release(&request->prompt_sequence);
	if (request->admitted) {
		TAILQ_REMOVE(&scheduler->active, request, entry);
		scheduler->stats.active--;
	} else {
		TAILQ_REMOVE(&scheduler->waiting, request, entry);
		scheduler->stats.waiting--;
	}
	if (request->status)
		scheduler->stats.failed++;
	else
		scheduler->stats.finished++;
	operation_post(scheduler->loop, request->op, request->status);
	scheduler_wake(scheduler);
	free(request);
}
