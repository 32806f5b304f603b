// SPDX-License-Identifier: MIT
/*
 * Prompts, chunk by chunk. Those that have more to compute take turns, so that
 * none waits for another one's whole prompt.
 *
 * When the blocks have to travel, a chunk is cut into several programs of some
 * layers each, and what one has computed is sent while the next one runs. All
 * programs of a chunk are put on the queue together: they hand the hidden state
 * on to one another in one place.
 */
#include <errno.h>
#include <stdlib.h>

#include "kv.h"
#include "scheduler.h"

/*
 * What a program computes is to be worth a push of its own: below that, what a
 * push and a program cost whatever their size is more than the wire's time.
 */
#define GROUP_BYTES	(256u << 10)

int prefill_create(struct tandem_scheduler *scheduler)
{
	for (int i = 0; i < SCHEDULER_CHUNKS; i++) {
		struct prefill_chunk *chunk = &scheduler->chunks[i];

		chunk->programs = calloc(scheduler->model.layers, sizeof(*chunk->programs));
		if (!chunk->programs)
			return -ENOMEM;
	}
	return 0;
}

void prefill_destroy(struct tandem_scheduler *scheduler)
{
	for (int i = 0; i < SCHEDULER_CHUNKS; i++)
		free(scheduler->chunks[i].programs);
}

static bool is_idle(const struct tandem_scheduler *scheduler)
{
	for (int i = 0; i < SCHEDULER_CHUNKS; i++)
		if (scheduler->chunks[i].request)
			return false;
	return true;
}

static struct prefill_chunk *free_chunk(struct tandem_scheduler *scheduler)
{
	for (int i = 0; i < SCHEDULER_CHUNKS; i++)
		if (!scheduler->chunks[i].request)
			return &scheduler->chunks[i];
	return NULL;
}

static bool is_last(const struct prefill_chunk *chunk)
{
	return chunk->end == chunk->request->what.prompt_tokens;
}

static void report_progress(struct request *request, uint32_t layers)
{
	const struct tandem_scheduler *scheduler = request->scheduler;
	const uint32_t cached = request->result->stats.cached_tokens;
	const uint32_t computed = request->what.prompt_tokens - cached;
	const uint64_t chunks = (computed - 1) / scheduler->options.chunk_tokens + 1;

	request->layers_done += layers;
	if (request->what.on_prefill)
		request->what.on_prefill(request->what.user, request->layers_done,
					 chunks * scheduler->model.layers);
}

/* Tell the pools what a block costs that no store brings back. */
static void measure(struct tandem_scheduler *scheduler, const struct prefill_chunk *chunk)
{
	uint64_t block_ns;

	scheduler->prefill_ns += loop_now_ns() - scheduler->prefill_since_ns;
	scheduler->prefill_tokens += chunk->end - chunk->begin;
	block_ns = (uint64_t)((double)scheduler->prefill_ns * scheduler->block_tokens /
			      (double)scheduler->prefill_tokens);
	tandem_instance_kv_pool(scheduler->options.prefill)->block_ns = block_ns;
	tandem_instance_kv_pool(scheduler->options.decode)->block_ns = block_ns;
}

/* The last program of a chunk has ended well. */
static void chunk_done(struct request *request, const struct prefill_chunk *chunk)
{
	struct tandem_instance *instance = request->scheduler->options.prefill;

	if (!request_commit(request, &request->prompt_sequence, request->prompt + chunk->begin,
			    chunk->end - chunk->begin))
		return;
	if (!is_last(chunk))
		return;
	if (!request_take_token(request, instance, tandem_forward_token(instance)))
		return;
	request->prompt_done = true;
	request->prompt_done_ns = loop_now_ns();
	if (request->scheduler->split)
		transfer_needed(request);
	request_first_token(request);
}

static void program_ended_well(struct request *request, const struct prefill_program *program)
{
	const struct tandem_scheduler *scheduler = request->scheduler;
	const struct prefill_chunk *chunk = program->chunk;

	report_progress(request, program->end_layer - program->first_layer);
	if (request_is_over(request))
		return;
	if (scheduler->split) {
		const struct transfer_part part = {
			.first_block = chunk->begin / scheduler->block_tokens,
			.end_block = (chunk->end - 1) / scheduler->block_tokens + 1,
			.first_layer = program->first_layer,
			.end_layer = program->end_layer,
		};

		transfer_add(request, &part);
	}
	if (program->end_layer == scheduler->model.layers && !request_is_over(request)) {
		measure(request->scheduler, chunk);
		chunk_done(request, chunk);
	}
}

static void program_done(struct tandem_operation *op)
{
	struct prefill_program *program = op->user;
	struct prefill_chunk *chunk = program->chunk;
	struct request *request = chunk->request;
	struct tandem_scheduler *scheduler = request->scheduler;

	request->result->stats.prefill_device_ns += op->device_ns;
	request->result->stats.prefill_modelled_ns += op->modelled_ns;
	if (!request_is_over(request)) {
		if (op->result < 0)
			request_fail_on_device(request, scheduler->options.prefill, "prefill",
					       op->result);
		else
			program_ended_well(request, program);
	}
	if (!--chunk->under_way) {
		chunk->request = NULL;
		scheduler->prefill_since_ns = loop_now_ns();
		scheduler->stats.chunks++;
		scheduler_wake(scheduler);
	}
	request->under_way--;
	request_settle(request);
}

static int start_program(struct prefill_chunk *chunk, struct prefill_program *program)
{
	struct request *request = chunk->request;
	struct tandem_scheduler *scheduler = request->scheduler;
	const bool output = is_last(chunk) && program->end_layer == scheduler->model.layers;
	const struct tandem_forward forward = {
		.sequence = &request->prompt_sequence,
		.tokens = request->prompt + chunk->begin,
		.position = chunk->begin,
		.rows = chunk->end - chunk->begin,
		.layer_first = program->first_layer,
		.layer_count = program->end_layer - program->first_layer,
		.output = output,
		.sampling = output ? &request->what.sampling : NULL,
		.history = request->history.tokens,
		.history_count = request->history.count,
	};

	program->op.done = program_done;
	program->op.user = program;
	return tandem_forward_start(scheduler->options.prefill, &forward, &program->op);
}

/* Layers that one program of a chunk takes. */
static uint32_t group_layers(const struct tandem_scheduler *scheduler, uint32_t tokens)
{
	const uint64_t blocks = (tokens - 1) / scheduler->block_tokens + 1;
	const uint64_t layers = (GROUP_BYTES - 1) / (blocks * scheduler->layer_block_bytes) + 1;

	if (!scheduler->split || layers > scheduler->model.layers)
		return scheduler->model.layers;
	return (uint32_t)layers;
}

static void start_programs(struct prefill_chunk *chunk)
{
	struct request *request = chunk->request;
	const struct tandem_scheduler *scheduler = request->scheduler;
	const uint32_t layers = scheduler->model.layers;
	const uint32_t group = group_layers(scheduler, chunk->end - chunk->begin);

	chunk->program_count = 0;
	for (uint32_t layer = 0; layer < layers; layer += group) {
		struct prefill_program *program = &chunk->programs[chunk->program_count];
		int ret;

		program->chunk = chunk;
		program->first_layer = layer;
		program->end_layer = layers - layer < group ? layers : layer + group;
		ret = start_program(chunk, program);
		if (ret < 0) {
			request_fail_on_device(request, scheduler->options.prefill, "prefill",
					       ret);
			return;
		}
		chunk->program_count++;
		chunk->under_way++;
		request->under_way++;
	}
}

/* The next chunk of a request, which goes to the end of the line if it has more. */
static void start_chunk(struct prefill_chunk *chunk, struct request *request)
{
	struct tandem_scheduler *scheduler = request->scheduler;
	const uint32_t left = request->what.prompt_tokens - request->next_position;
	const uint32_t most = scheduler->options.chunk_tokens;

	if (is_idle(scheduler))
		scheduler->prefill_since_ns = loop_now_ns();
	chunk->request = request;
	chunk->begin = request->next_position;
	chunk->end = chunk->begin + (left < most ? left : most);
	request->next_position = chunk->end;
	TAILQ_REMOVE(&scheduler->prefilling, request, prefill_entry);
	request->prefilling = !is_last(chunk);
	if (request->prefilling)
		TAILQ_INSERT_TAIL(&scheduler->prefilling, request, prefill_entry);
	start_programs(chunk);
	if (!chunk->under_way)
		chunk->request = NULL;
	request_settle(request);
}

void prefill_advance(struct tandem_scheduler *scheduler)
{
	struct prefill_chunk *chunk;
	struct request *request;

	while ((request = TAILQ_FIRST(&scheduler->prefilling)) &&
	       (chunk = free_chunk(scheduler)))
		start_chunk(chunk, request);
}

void prefill_cancel(struct request *request)
{
	struct tandem_scheduler *scheduler = request->scheduler;

	if (request->prefilling)
		TAILQ_REMOVE(&scheduler->prefilling, request, prefill_entry);
	request->prefilling = false;
	for (int i = 0; i < SCHEDULER_CHUNKS; i++) {
		struct prefill_chunk *chunk = &scheduler->chunks[i];

		if (chunk->request != request)
			continue;
		for (uint32_t j = 0; j < chunk->program_count; j++)
			if (chunk->programs[j].op.pending)
				tandem_cancel(scheduler->loop, &chunk->programs[j].op);
	}
}
