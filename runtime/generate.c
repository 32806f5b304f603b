// SPDX-License-Identifier: MIT
/*
 * Generation: prefill on one instance, push of the KV cache layer by layer,
 * decode on another (or on the same).
 *
 * Everything that is under way is an operation on the loop. A run is over when
 * it is finished or has failed *and* nothing is under way any more: only then
 * are its blocks given back.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tandem/generate.h>

#include "error.h"
#include "instance.h"
#include "sampling.h"

/* Chunks of the prompt whose programs are on the queue at once. */
#define CHUNKS_AHEAD	2

struct run;

/**
 * struct prefill_step - one layer of one chunk of the prompt
 * @run: that it belongs to
 * @forward: the device's work on it
 * @push: sending its blocks
 * @chunk: number of the chunk
 * @layer: number of the layer
 */
struct prefill_step {
	struct run *run;
	struct tandem_operation forward;
	struct tandem_operation push;
	uint32_t chunk;
	uint32_t layer;
};

/**
 * struct run - one generation under way
 *
 * Lives on the stack of tandem_generate(); used by the loop's thread only.
 */
struct run {
	struct tandem_loop *loop;
	const struct tandem_generation *generation;
	struct tandem_generation_stats *stats;
	struct tandem_error *error;
	struct tandem_model_info model;
	struct sampling_history history;
	bool split;
	int status;			/* the first failure */
	bool finished;
	unsigned int under_way;		/* operations */

	struct tandem_kv_sequence prompt_sequence;
	struct tandem_kv_sequence decode_sequence;	/* empty unless split */
	struct tandem_kv_sequence *decoding;		/* that of the two that decode extends */
	uint32_t prompt_cached;		/* tokens that prefill need not compute */
	uint32_t decode_cached;		/* tokens that need not be sent */
	uint32_t block_tokens;
	uint32_t prompt_blocks;
	uint32_t tokens_max;		/* cut to what the context can hold */
	uint32_t tokens_made;

	struct prefill_step *steps;	/* [chunks][layers] */
	uint32_t chunks;
	uint32_t chunk_tokens;
	uint32_t chunks_started;
	uint64_t steps_done;
	uint32_t transfer;
	struct tandem_operation cached_push;
	struct tandem_operation expect;
	struct tandem_operation decode;
	bool prompt_done;
	bool kv_there;
	uint32_t token;			/* made last */

	uint64_t started_ns;
	uint64_t prompt_done_ns;
	uint64_t first_token_ns;
	struct tandem_connection_stats push_before;
	struct tandem_connection_stats receive_before;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void cancel_if_pending(struct run *run, struct tandem_operation *op)
{
	if (op->pending)
		tandem_cancel(run->loop, op);
}

static void cancel_all(struct run *run)
{
	for (size_t i = 0; run->steps && i < (size_t)run->chunks * run->model.layers; i++) {
		cancel_if_pending(run, &run->steps[i].forward);
		cancel_if_pending(run, &run->steps[i].push);
	}
	cancel_if_pending(run, &run->cached_push);
	cancel_if_pending(run, &run->expect);
	cancel_if_pending(run, &run->decode);
}

/* The first failure decides; what follows from it is not worth telling. */
__attribute__((format(printf, 3, 4)))
static void fail(struct run *run, int status, const char *format, ...)
{
	char message[sizeof(((struct tandem_error *)NULL)->message)];
	va_list arguments;

	if (run->status || run->finished)
		return;
	run->status = status;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	tandem_error_set(run->error, status, "%s", message);
	cancel_all(run);
}

static void fail_on_device(struct run *run, const struct tandem_instance *instance,
			   const char *phase, int status)
{
	struct tandem_device *device = tandem_instance_device(instance);
	struct tandem_device_info info = { 0 };

	tandem_device_get_info(device, &info);
	if (status == -ENODEV || tandem_device_is_lost(device))
		fail(run, -ENODEV,
		     "%s: the device was lost during %s; see whether its firmware still runs",
		     info.name, phase);
	else
		fail(run, status, "%s: %s failed: %s", info.name, phase, strerror(-status));
}

static const char *current_phase(const struct run *run)
{
	if (!run->prompt_done)
		return "prefill";
	return run->kv_there ? "decode" : "transfer";
}

static void fail_on_connection(struct run *run, int status)
{
	const struct tandem_generation *generation = run->generation;

	/* A lost device is the cause rather than the connection over it. */
	if (tandem_device_is_lost(tandem_instance_device(generation->prefill)))
		fail_on_device(run, generation->prefill, "transfer", -ENODEV);
	else if (tandem_device_is_lost(tandem_instance_device(generation->decode)))
		fail_on_device(run, generation->decode, "transfer", -ENODEV);
	else
		fail(run, status, "transfer of the KV cache failed: %s", strerror(-status));
}

static void on_device_lost(struct tandem_device *device, void *user)
{
	struct run *run = user;
	const struct tandem_generation *generation = run->generation;

	if (device == tandem_instance_device(generation->prefill))
		fail_on_device(run, generation->prefill, current_phase(run), -ENODEV);
	else
		fail_on_device(run, generation->decode, current_phase(run), -ENODEV);
}

static void finish(struct run *run, enum tandem_finish why)
{
	run->finished = true;
	run->stats->finish = why;
	run->stats->decode_ns = now_ns() - run->first_token_ns;
}

/*
 * Set the token that follows, of the forward that has just ended on @instance.
 * What a device says is checked like anything from outside.
 */
static bool choose_token(struct run *run, const struct tandem_instance *instance,
			 const char *phase)
{
	run->token = tandem_forward_token(instance);
	if (run->token < run->model.vocabulary) {
		sampling_history_add(&run->history, &run->token, 1);
		return true;
	}
	fail_on_device(run, instance, phase, -EPROTO);
	return false;
}

/* The KV of the tokens that follow in @sequence has been computed, or has arrived. */
static bool commit(struct run *run, struct tandem_kv_sequence *sequence, const uint32_t *tokens,
		   uint32_t count)
{
	const int ret = tandem_kv_sequence_commit(sequence, tokens, count);

	if (ret < 0)
		fail(run, ret, "KV pool: %u tokens cannot be committed: %s", count,
		     strerror(-ret));
	return !ret;
}

static void decode_next(struct run *run);

/* Hand @run->token out and go on, or end. */
static void emit_token(struct run *run)
{
	const struct tandem_generation *generation = run->generation;
	const struct tandem_tokenizer *tokenizer =
		tandem_model_tokenizer(tandem_instance_model(generation->decode));

	if (run->token == tandem_tokenizer_eos(tokenizer)) {
		finish(run, TANDEM_FINISH_END);
		return;
	}
	run->tokens_made++;
	run->stats->generated = run->tokens_made;
	if (generation->on_token && generation->on_token(generation->user, run->token))
		finish(run, TANDEM_FINISH_CALLER);
	else if (run->tokens_made < run->tokens_max)
		decode_next(run);
	else if (run->tokens_max < generation->tokens_max)
		finish(run, TANDEM_FINISH_CONTEXT);
	else
		finish(run, TANDEM_FINISH_LENGTH);
}

static void decode_done(struct tandem_operation *op)
{
	struct run *run = op->user;

	run->under_way--;
	run->stats->decode_device_ns += op->device_ns;
	if (run->status)
		return;
	if (op->result < 0) {
		fail_on_device(run, run->generation->decode, "decode", op->result);
		return;
	}
	if (commit(run, run->decoding, &run->token, 1) &&
	    choose_token(run, run->generation->decode, "decode"))
		emit_token(run);
}

static void decode_next(struct run *run)
{
	const struct tandem_generation *generation = run->generation;
	const struct tandem_forward forward = {
		.sequence = run->decoding,
		.tokens = &run->token,
		.position = run->decoding->token_count,
		.rows = 1,
		.layer_count = run->model.layers,
		.output = 1,
		.sampling = &generation->sampling,
		.history = run->history.tokens,
		.history_count = run->history.count,
	};
	int ret;

	run->decode.done = decode_done;
	run->decode.user = run;
	/* The room was reserved before, and nobody shares it. */
	ret = tandem_kv_sequence_append(run->decoding, 1, NULL, NULL);
	if (!ret)
		ret = tandem_forward_start(generation->decode, &forward, &run->decode);
	if (ret < 0)
		fail_on_device(run, generation->decode, "decode", ret);
	else
		run->under_way++;
}

/* The first token is out when it is known and decode could go on from it. */
static void first_token_if_ready(struct run *run)
{
	if (!run->prompt_done || !run->kv_there || run->status || run->finished)
		return;
	run->first_token_ns = now_ns();
	run->stats->ttft_ns = run->first_token_ns - run->started_ns;
	if (run->split)
		run->stats->kv_exposed_ns = run->first_token_ns - run->prompt_done_ns;
	emit_token(run);
}

static void expect_done(struct tandem_operation *op)
{
	struct run *run = op->user;

	run->under_way--;
	if (run->status)
		return;
	if (op->result < 0) {
		fail_on_connection(run, op->result);
		return;
	}
	if (!commit(run, &run->decode_sequence, run->generation->prompt + run->decode_cached,
		    run->generation->prompt_tokens - run->decode_cached))
		return;
	run->kv_there = true;
	first_token_if_ready(run);
}

static void push_done(struct tandem_operation *op)
{
	struct run *run = op->user;

	run->under_way--;
	if (!run->status && op->result < 0)
		fail_on_connection(run, op->result);
}

static uint32_t chunk_begin(const struct run *run, uint32_t chunk)
{
	return run->prompt_cached + chunk * run->chunk_tokens;
}

static uint32_t chunk_end(const struct run *run, uint32_t chunk)
{
	const uint32_t left = run->generation->prompt_tokens - chunk_begin(run, chunk);

	return chunk_begin(run, chunk) + (left < run->chunk_tokens ? left : run->chunk_tokens);
}

/*
 * Send blocks @first to @end of a number of layers, but for those that the other
 * side has already.
 */
static void push_blocks(struct run *run, uint32_t first, uint32_t end, uint32_t layer_first,
			uint32_t layer_count, struct tandem_operation *op)
{
	const uint32_t there = run->decode_cached / run->block_tokens;
	struct tandem_push push = {
		.transfer = run->transfer,
		.layer_first = layer_first,
		.layer_count = layer_count,
	};
	int ret;

	if (first < there)
		first = there;
	if (first >= end)
		return;
	push.local_blocks = run->prompt_sequence.blocks + first;
	push.remote_blocks = run->decode_sequence.blocks + first;
	push.block_count = end - first;
	op->done = push_done;
	op->user = run;
	ret = tandem_push_start(run->generation->push, &push, op);
	if (ret < 0)
		fail_on_connection(run, ret);
	else
		run->under_way++;
}

/* Chunks are whole blocks, all but the last one's end. */
static void push_step(struct run *run, struct prefill_step *step)
{
	push_blocks(run, chunk_begin(run, step->chunk) / run->block_tokens,
		    (chunk_end(run, step->chunk) - 1) / run->block_tokens + 1, step->layer, 1,
		    &step->push);
}

/* What prefill had cached needs no computing, and can be sent at once. */
static void push_cached(struct run *run)
{
	push_blocks(run, 0, run->prompt_cached / run->block_tokens, 0, run->model.layers,
		    &run->cached_push);
}

static void start_chunk(struct run *run);

static void report_progress(struct run *run)
{
	const struct tandem_generation *generation = run->generation;

	run->steps_done++;
	if (generation->on_prefill)
		generation->on_prefill(generation->user, run->steps_done,
				       (uint64_t)run->chunks * run->model.layers);
}

static void step_done(struct tandem_operation *op)
{
	struct prefill_step *step = op->user;
	struct run *run = step->run;
	const bool last_layer = step->layer == run->model.layers - 1;

	run->under_way--;
	run->stats->prefill_device_ns += op->device_ns;
	if (run->status)
		return;
	if (op->result < 0) {
		fail_on_device(run, run->generation->prefill, "prefill", op->result);
		return;
	}
	report_progress(run);
	if (run->split)
		push_step(run, step);
	if (!last_layer || run->status ||
	    !commit(run, &run->prompt_sequence,
		    run->generation->prompt + chunk_begin(run, step->chunk),
		    chunk_end(run, step->chunk) - chunk_begin(run, step->chunk)))
		return;
	if (run->chunks_started < run->chunks)
		start_chunk(run);
	if (step->chunk == run->chunks - 1 &&
	    choose_token(run, run->generation->prefill, "prefill")) {
		run->prompt_done = true;
		run->prompt_done_ns = now_ns();
		first_token_if_ready(run);
	}
}

static int start_step(struct run *run, struct prefill_step *step)
{
	const struct tandem_generation *generation = run->generation;
	const uint32_t begin = chunk_begin(run, step->chunk);
	const bool output = step->chunk == run->chunks - 1 && step->layer == run->model.layers - 1;
	const struct tandem_forward forward = {
		.sequence = &run->prompt_sequence,
		.tokens = generation->prompt + begin,
		.position = begin,
		.rows = chunk_end(run, step->chunk) - begin,
		.layer_first = step->layer,
		.layer_count = 1,
		.output = output,
		.sampling = output ? &generation->sampling : NULL,
		.history = run->history.tokens,
		.history_count = run->history.count,
	};
	int ret;

	step->forward.done = step_done;
	step->forward.user = step;
	ret = tandem_forward_start(generation->prefill, &forward, &step->forward);
	if (!ret)
		run->under_way++;
	return ret;
}

/* Put all layers of the next chunk on the queue: the device goes on by itself. */
static void start_chunk(struct run *run)
{
	const uint32_t chunk = run->chunks_started++;

	for (uint32_t layer = 0; layer < run->model.layers; layer++) {
		struct prefill_step *step =
			&run->steps[(size_t)chunk * run->model.layers + layer];
		int ret;

		step->run = run;
		step->chunk = chunk;
		step->layer = layer;
		ret = start_step(run, step);
		if (ret < 0) {
			fail_on_device(run, run->generation->prefill, "prefill", ret);
			return;
		}
	}
}

static int check_generation(struct run *run)
{
	const struct tandem_generation *generation = run->generation;
	struct tandem_error *error = run->error;
	int ret;

	if (!generation->prefill || !generation->decode || !generation->prompt ||
	    !generation->prompt_tokens || !generation->tokens_max)
		return tandem_error_set(error, -EINVAL,
					"generation: instances, a prompt of at least one token and a number of tokens are needed");
	if (run->split && (!generation->push || !generation->receive))
		return tandem_error_set(error, -EINVAL,
					"generation: two instances need a connection between them");
	if (tandem_instance_model(generation->prefill) != tandem_instance_model(generation->decode))
		return tandem_error_set(error, -EINVAL,
					"generation: both instances have to be of one model");
	ret = tandem_sampling_check(&generation->sampling, error);
	if (ret)
		return ret;
	if (generation->prompt_tokens > run->model.context)
		return tandem_error_set(error, -EINVAL,
					"prompt: %u tokens do not fit into the model's context of %u; shorten it",
					generation->prompt_tokens, run->model.context);
	for (uint32_t i = 0; i < generation->prompt_tokens; i++)
		if (generation->prompt[i] >= run->model.vocabulary)
			return tandem_error_set(error, -EINVAL,
						"prompt: token %u at %u is not in the model's vocabulary of %u",
						generation->prompt[i], i, run->model.vocabulary);
	return 0;
}

static int reserve(struct run *run, struct tandem_kv_sequence *sequence,
		   const struct tandem_instance *instance, uint32_t tokens)
{
	struct tandem_device_info info = { 0 };
	int ret = tandem_kv_sequence_reserve(sequence, tokens);

	if (!ret)
		return 0;
	tandem_device_get_info(tandem_instance_device(instance), &info);
	return tandem_error_set(run->error, ret,
				"%s: its KV pool has no room for %u tokens (%u blocks of %u tokens are free)",
				info.name, tokens,
				tandem_kv_pool_free_blocks(tandem_instance_kv_pool(instance)),
				run->block_tokens);
}

/*
 * The last token made is never fed back, so a sequence of prompt and tokens
 * needs room for one less; a prompt that fills the context still gives one.
 */
static int reserve_blocks(struct run *run)
{
	const struct tandem_generation *generation = run->generation;
	const uint32_t room = run->model.context - generation->prompt_tokens + 1;
	uint32_t length;
	int ret;

	run->tokens_max = generation->tokens_max < room ? generation->tokens_max : room;
	length = generation->prompt_tokens + run->tokens_max - 1;
	if (!run->split)
		return reserve(run, &run->prompt_sequence, generation->prefill, length);
	ret = reserve(run, &run->prompt_sequence, generation->prefill, generation->prompt_tokens);
	if (!ret)
		ret = reserve(run, &run->decode_sequence, generation->decode, length);
	return ret;
}

/* Open the sequences for what is to be computed, and for what is to be received. */
static int append_prompt(struct run *run)
{
	const uint32_t tokens = run->generation->prompt_tokens;
	int ret;

	ret = tandem_kv_sequence_append(&run->prompt_sequence, tokens - run->prompt_cached, NULL,
					NULL);
	if (!ret && run->split)
		ret = tandem_kv_sequence_append(&run->decode_sequence,
						tokens - run->decode_cached, NULL, NULL);
	return ret ? tandem_error_set(run->error, ret, "KV pool: %s", strerror(-ret)) : 0;
}

static int match_sequence(struct run *run, struct tandem_kv_sequence *sequence,
			  uint32_t *matched)
{
	static const struct tandem_kv_salt nobody;
	const struct tandem_generation *generation = run->generation;
	int ret;

	*matched = 0;
	if (generation->no_prefix_cache)
		return 0;
	ret = tandem_kv_sequence_share(sequence, generation->salt ? generation->salt : &nobody);
	/* The last token is computed in any case: it tells what comes next. */
	if (!ret)
		ret = tandem_kv_sequence_match(sequence, generation->prompt,
					       generation->prompt_tokens - 1, matched);
	return ret ? tandem_error_set(run->error, ret, "KV pool: %s", strerror(-ret)) : 0;
}

/* Begin both sequences with what their pools have of the prompt. */
static int match_prompt(struct run *run)
{
	int ret = match_sequence(run, &run->prompt_sequence, &run->prompt_cached);

	if (!ret && run->split)
		ret = match_sequence(run, &run->decode_sequence, &run->decode_cached);
	run->stats->cached_tokens = run->prompt_cached;
	run->stats->kv_cached_tokens = run->decode_cached;
	return ret;
}

static int start_transfer(struct run *run)
{
	const struct tandem_generation *generation = run->generation;
	int ret;

	tandem_connection_get_stats(generation->push, &run->push_before);
	tandem_connection_get_stats(generation->receive, &run->receive_before);
	run->transfer = instance_next_transfer(generation->prefill);
	run->expect.done = expect_done;
	run->expect.user = run;
	/*
	 * The wait begins before prefill does, so its deadline is the run's own;
	 * each push has the connection's.
	 */
	ret = tandem_expect_start(generation->receive, run->transfer,
				  (uint64_t)run->model.layers *
				  (run->prompt_blocks - run->decode_cached / run->block_tokens),
				  generation->timeout_ms ? generation->timeout_ms : UINT32_MAX,
				  &run->expect);
	if (ret < 0)
		return tandem_error_set(run->error, ret, "transfer of the KV cache: %s",
					strerror(-ret));
	run->under_way++;
	push_cached(run);
	return 0;
}

static int prepare(struct run *run)
{
	const struct tandem_generation *generation = run->generation;
	const uint32_t rows_max = tandem_instance_rows_max(generation->prefill);
	int ret = check_generation(run);

	if (ret)
		return ret;
	run->block_tokens =
		tandem_kv_pool_layout(tandem_instance_kv_pool(generation->prefill))->block_tokens;
	run->prompt_blocks = (generation->prompt_tokens - 1) / run->block_tokens + 1;
	run->chunk_tokens = rows_max;
	ret = match_prompt(run);
	if (ret)
		return ret;
	run->chunks = (generation->prompt_tokens - run->prompt_cached - 1) / rows_max + 1;
	sampling_history_add(&run->history, generation->prompt, generation->prompt_tokens);
	run->kv_there = !run->split;
	run->steps = calloc((size_t)run->chunks * run->model.layers, sizeof(*run->steps));
	if (!run->steps)
		return tandem_error_set(run->error, -ENOMEM, "generation: out of memory");
	ret = reserve_blocks(run);
	return ret ? ret : append_prompt(run);
}

static void check_time(struct run *run)
{
	const uint64_t limit = run->generation->timeout_ms;

	if (limit && now_ns() - run->started_ns > limit * 1000000u)
		fail(run, -ETIMEDOUT, "generation: %s was not over within %u ms",
		     current_phase(run), run->generation->timeout_ms);
}

/* How long the loop may sleep before check_time() has to look again. */
static int sleep_ms(const struct run *run)
{
	const uint64_t limit = run->generation->timeout_ms;
	uint64_t passed;

	if (!limit || run->status)
		return -1;
	passed = (now_ns() - run->started_ns) / 1000000u;
	return passed >= limit ? 1 : (int)(limit - passed > 60000 ? 60000 : limit - passed + 1);
}

static void drive(struct run *run)
{
	while (run->under_way || !(run->finished || run->status)) {
		int ret = tandem_loop_run(run->loop, sleep_ms(run));

		if (ret < 0 && ret != -EINTR) {
			/* Without its ring nothing will ever end: give up on all of it. */
			fail(run, ret, "event loop: %s", strerror(-ret));
			return;
		}
		check_time(run);
	}
}

static void collect_stats(struct run *run)
{
	struct tandem_connection_stats push, receive;

	if (!run->split || !run->generation->push || !run->generation->receive)
		return;
	tandem_connection_get_stats(run->generation->push, &push);
	tandem_connection_get_stats(run->generation->receive, &receive);
	run->stats->kv_bytes = push.bytes_pushed - run->push_before.bytes_pushed;
	run->stats->kv_writes = push.writes - run->push_before.writes;
	run->stats->kv_cpu_copied_bytes =
		push.cpu_copied_bytes - run->push_before.cpu_copied_bytes +
		receive.cpu_copied_bytes - run->receive_before.cpu_copied_bytes;
}

static void watch_devices(struct run *run, bool on)
{
	const struct tandem_generation *generation = run->generation;

	tandem_device_on_lost(tandem_instance_device(generation->prefill),
			      on ? on_device_lost : NULL, run);
	tandem_device_on_lost(tandem_instance_device(generation->decode),
			      on ? on_device_lost : NULL, run);
}

int tandem_generate(struct tandem_loop *loop, const struct tandem_generation *generation,
		    struct tandem_generation_stats *stats, struct tandem_error *error)
{
	struct tandem_generation_stats unused;
	struct run run = {
		.loop = loop,
		.generation = generation,
		.stats = stats ? stats : &unused,
		.error = error,
		.split = generation->prefill != generation->decode,
		.started_ns = now_ns(),
	};
	int ret;

	memset(run.stats, 0, sizeof(*run.stats));
	if (!generation->prefill || !generation->decode)
		return tandem_error_set(error, -EINVAL, "generation: instances are needed");
	tandem_model_get_info(tandem_instance_model(generation->prefill), &run.model);
	tandem_kv_sequence_init(&run.prompt_sequence, tandem_instance_kv_pool(generation->prefill));
	tandem_kv_sequence_init(&run.decode_sequence, tandem_instance_kv_pool(generation->decode));
	/* One sequence serves both phases when they are on one device. */
	run.decoding = run.split ? &run.decode_sequence : &run.prompt_sequence;

	ret = prepare(&run);
	if (ret)
		goto release;
	watch_devices(&run, true);
	if (run.split)
		ret = start_transfer(&run);
	if (ret)
		goto unwatch;
	for (int i = 0; i < CHUNKS_AHEAD && run.chunks_started < run.chunks && !run.status; i++)
		start_chunk(&run);
	drive(&run);
	collect_stats(&run);
	ret = run.status;
unwatch:
	watch_devices(&run, false);
release:
	tandem_kv_sequence_release(&run.decode_sequence);
	tandem_kv_sequence_release(&run.prompt_sequence);
	free(run.steps);
	return ret;
}
