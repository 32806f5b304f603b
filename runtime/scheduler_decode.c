// SPDX-License-Identifier: MIT
/*
 * Decode: one step after the other of all that have a token to go on from.
 *
 * Requests join and leave between two steps. Who was in one goes to the end of the
 * line, so when not all have room in a step, all have their turn.
 */
#include <errno.h>
#include <stdlib.h>

#include "instance.h"
#include "scheduler.h"

int decode_create(struct tandem_scheduler *scheduler)
{
	const uint32_t most = tandem_instance_batch_max(scheduler->options.decode);

	scheduler->step.rows = calloc(most, sizeof(*scheduler->step.rows));
	scheduler->step.requests = calloc(most, sizeof(*scheduler->step.requests));
	return scheduler->step.rows && scheduler->step.requests ? 0 : -ENOMEM;
}

void decode_destroy(struct tandem_scheduler *scheduler)
{
	free(scheduler->step.rows);
	free(scheduler->step.requests);
}

void decode_join(struct request *request)
{
	request->decoding = true;
	TAILQ_INSERT_TAIL(&request->scheduler->decoding, request, decode_entry);
	scheduler_wake(request->scheduler);
}

/* One row has ended as @result, in a batch of @count. */
static void row_done(struct request *request, uint32_t index, uint32_t count, int result)
{
	struct tandem_instance *instance = request->scheduler->options.decode;

	if (result < 0) {
		tandem_kv_sequence_cancel(request->growing);
		if (count == 1 || tandem_device_is_lost(tandem_instance_device(instance))) {
			request_fail_on_device(request, instance, "decode", result);
			return;
		}
		/* Somebody's fault: whose, will be seen when each is alone. */
		request->suspect = true;
		decode_join(request);
		return;
	}
	request->suspect = false;
	if (request_commit(request, request->growing, &request->token, 1) &&
	    request_take_token(request, instance, tandem_step_token(instance, index)))
		request_emit_token(request);
}

static void step_done(struct tandem_operation *op)
{
	struct tandem_scheduler *scheduler = op->user;
	struct decode_step *step = &scheduler->step;
	const uint32_t count = step->count;

	step->count = 0;
	scheduler->stats.steps++;
	scheduler->stats.step_rows += count;
	if (count > scheduler->stats.batch_greatest)
		scheduler->stats.batch_greatest = count;
	for (uint32_t i = 0; i < count; i++) {
		struct request *request = step->requests[i];

		request->result->stats.decode_device_ns += op->device_ns;
		request->result->stats.decode_modelled_ns += op->modelled_ns;
		request->result->stats.steps++;
		if (request->suspect)
			request->result->stats.steps_repeated++;
		if (!request_is_over(request))
			row_done(request, i, count, op->result);
		request->under_way--;
		request_settle(request);
	}
	scheduler_wake(scheduler);
}

/* Make a row of it; fails when there is no memory. */
static bool open_row(struct request *request, struct tandem_step_row *row)
{
	/* The room was reserved before, and nobody shares it. */
	const int ret = tandem_kv_sequence_append(request->growing, 1, NULL, NULL);

	if (ret < 0) {
		request_fail_on_device(request, request->scheduler->options.decode, "decode", ret);
		return false;
	}
	*row = (struct tandem_step_row) {
		.sequence = request->growing,
		.token = request->token,
		.position = request->growing->token_count,
		.sampling = &request->what.sampling,
		.history = request->history.tokens,
		.history_count = request->history.count,
	};
	return true;
}

/* Who takes part: those that have waited longest, or one that is suspect, alone. */
static void gather(struct tandem_scheduler *scheduler)
{
	const uint32_t most = tandem_instance_batch_max(scheduler->options.decode);
	struct decode_step *step = &scheduler->step;
	uint64_t blocks = instance_blocks_max(scheduler->options.decode);
	struct request *request;

	while ((request = TAILQ_FIRST(&scheduler->decoding))) {
		const uint64_t needed =
			request->growing->token_count / scheduler->block_tokens + 1;

		if (step->count == most || needed > blocks ||
		    (request->suspect && step->count))
			return;
		TAILQ_REMOVE(&scheduler->decoding, request, decode_entry);
		request->decoding = false;
		if (!open_row(request, &step->rows[step->count])) {
			request_settle(request);
			continue;
		}
		request->under_way++;
		blocks -= needed;
		step->requests[step->count++] = request;
		if (request->suspect)
			return;
	}
}

/* As if it had been carried out, and failed. */
static void step_refused(struct tandem_scheduler *scheduler, int status)
{
	struct tandem_operation *op = &scheduler->step.op;

	op->result = status;
	op->device_ns = 0;
	op->modelled_ns = 0;
	step_done(op);
}

void decode_advance(struct tandem_scheduler *scheduler)
{
	struct decode_step *step = &scheduler->step;
	struct tandem_step what = { .rows = step->rows };
	int ret;

	if (step->count || TAILQ_EMPTY(&scheduler->decoding))
		return;
	gather(scheduler);
	if (!step->count)
		return;
	what.count = step->count;
	step->op.done = step_done;
	step->op.user = scheduler;
	ret = tandem_step_start(scheduler->options.decode, &what, &step->op);
	if (ret < 0)
		step_refused(scheduler, ret);
}
