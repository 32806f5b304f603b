// SPDX-License-Identifier: MIT
/*
 * Generation of one sequence: a scheduler with one request.
 */
#include <errno.h>
#include <string.h>

#include <tandem/generate.h>

#include "error.h"
#include "scheduler.h"

/* Run the loop until @op has ended. */
static int drive(struct tandem_loop *loop, struct tandem_operation *op)
{
	int ret = 0;

	while (op->pending && (ret >= 0 || ret == -EINTR))
		ret = tandem_loop_run(loop, -1);
	return op->pending ? ret : op->result;
}

static int run(struct tandem_loop *loop, struct tandem_scheduler *scheduler,
	       const struct tandem_generation *generation, struct tandem_request_result *result)
{
	const struct tandem_request request = {
		.prompt = generation->prompt,
		.prompt_tokens = generation->prompt_tokens,
		.tokens_max = generation->tokens_max,
		.sampling = generation->sampling,
		.timeout_ms = generation->timeout_ms,
		.no_prefix_cache = generation->no_prefix_cache,
		.salt = generation->salt,
		.on_token = generation->on_token,
		.on_prefill = generation->on_prefill,
		.user = generation->user,
	};
	struct tandem_operation op = { 0 };
	int ret = tandem_request_start(scheduler, &request, result, &op);

	if (ret)
		return ret;
	ret = drive(loop, &op);
	if (op.pending)
		return tandem_error_set(&result->error, ret, "event loop: %s", strerror(-ret));
	return ret;
}

int tandem_generate(struct tandem_loop *loop, const struct tandem_generation *generation,
		    struct tandem_generation_stats *stats, struct tandem_error *error)
{
	const struct tandem_scheduler_options options = {
		.prefill = generation->prefill,
		.decode = generation->decode,
		.push = generation->push,
		.receive = generation->receive,
		.active_max = 1,
	};
	struct tandem_request_result result = { 0 };
	struct tandem_scheduler *scheduler;
	int ret;

	if (stats)
		memset(stats, 0, sizeof(*stats));
	ret = tandem_scheduler_create(loop, &options, &scheduler, error);
	if (ret)
		return ret;
	ret = run(loop, scheduler, generation, &result);
	tandem_scheduler_destroy(scheduler);
	if (stats)
		*stats = result.stats;
	return ret ? tandem_error_set(error, ret, "%s", result.error.message) : 0;
}
