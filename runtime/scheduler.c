// SPDX-License-Identifier: MIT
/*
 * The scheduler: who waits, who is admitted, what is started next.
 *
 * Whenever something has ended, a task of the loop looks at everything: it admits
 * who has room, puts chunks of prompts on prefill's queue, and a step on decode's.
 * Nothing is started from within callbacks, so these may do what they like.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "kv.h"
#include "scheduler.h"

#define WAITING_DEFAULT	1024

void scheduler_wake(struct tandem_scheduler *scheduler)
{
	loop_task_post(scheduler->loop, &scheduler->task);
}

/*
 * Admission
 */

static bool same_tenant(const struct request *request, const struct tandem_kv_salt *salt)
{
	return !memcmp(&request->salt, salt, sizeof(*salt));
}

static uint32_t count_of_tenant(const struct request_list *list,
				const struct tandem_kv_salt *salt)
{
	const struct request *request;
	uint32_t count = 0;

	TAILQ_FOREACH(request, list, entry)
		count += same_tenant(request, salt);
	return count;
}

/* The first of the tenant that has the fewest active requests, of those that are ready. */
static struct request *next_waiting(const struct tandem_scheduler *scheduler)
{
	struct request *request, *next = NULL;
	uint32_t least = UINT32_MAX;

	TAILQ_FOREACH(request, &scheduler->waiting, entry) {
		uint32_t active;

		if (request->restoring || (next && same_tenant(request, &next->salt)))
			continue;
		active = count_of_tenant(&scheduler->active, &request->salt);
		if (active >= least)
			continue;
		least = active;
		next = request;
		if (!least)
			break;
	}
	return next;
}

static void begin(struct request *request)
{
	struct tandem_scheduler *scheduler = request->scheduler;

	TAILQ_REMOVE(&scheduler->waiting, request, entry);
	scheduler->stats.waiting--;
	TAILQ_INSERT_TAIL(&scheduler->active, request, entry);
	scheduler->stats.active++;
	if (!scheduler->split || !transfer_start(request)) {
		request->prefilling = true;
		TAILQ_INSERT_TAIL(&scheduler->prefilling, request, prefill_entry);
	}
	request_settle(request);
}

/* Are there blocks that come back by themselves, be it late? */
static bool store_holds_blocks(const struct tandem_instance *instance)
{
	const struct tandem_kv_pool *pool = tandem_instance_kv_pool(instance);

	return pool->held || pool->overdue;
}

/*
 * Who is next waits until there is room; nobody gets ahead of it meanwhile, unless
 * something is still being brought back for it.
 */
static void admit(struct tandem_scheduler *scheduler)
{
	struct request *request;
	int ret;

	while (scheduler->stats.active + scheduler->restoring < scheduler->options.active_max &&
	       (request = next_waiting(scheduler))) {
		if (request_restore(request))
			continue;
		ret = request_admit(request);
		if (!ret) {
			begin(request);
			continue;
		}
		if (ret == -ENOSPC && (scheduler->stats.active || scheduler->restoring ||
				       store_holds_blocks(scheduler->options.prefill) ||
				       store_holds_blocks(scheduler->options.decode)))
			return;
		if (ret == -ENOSPC)
			request_fail(request, ret,
				     "KV pool: its blocks are held by others than the scheduler; release them");
		request_settle(request);
	}
}

static void advance(struct loop_task *task)
{
	struct tandem_scheduler *scheduler =
		(void *)((char *)task - offsetof(struct tandem_scheduler, task));

	admit(scheduler);
	/* A step first: it is short, and many wait for it. */
	decode_advance(scheduler);
	prefill_advance(scheduler);
}

/*
 * Loss of devices
 */

static bool needs(const struct request *request, const struct tandem_device *device)
{
	const struct tandem_scheduler_options *options = &request->scheduler->options;

	if (device == tandem_instance_device(options->decode))
		return true;
	/* What prefill has made is with decode already. */
	return !request->prompt_done || !request->kv_there;
}

static void fail_all(struct request_list *list, const struct tandem_instance *instance)
{
	struct tandem_device *device = tandem_instance_device(instance);
	struct request *request, *next;

	for (request = TAILQ_FIRST(list); request; request = next) {
		next = TAILQ_NEXT(request, entry);
		if (!needs(request, device))
			continue;
		request_fail_on_device(request, instance, request_phase(request), -ENODEV);
		request_settle(request);
	}
}

static void device_is_lost(struct device_watch *device_watch)
{
	struct scheduler_watch *watch =
		(void *)((char *)device_watch - offsetof(struct scheduler_watch, watch));
	struct tandem_scheduler *scheduler = watch->scheduler;
	const struct tandem_instance *instance = watch == &scheduler->watches[0] ?
		scheduler->options.prefill : scheduler->options.decode;

	fail_all(&scheduler->active, instance);
	fail_all(&scheduler->waiting, instance);
}

static void watch_devices(struct tandem_scheduler *scheduler)
{
	const struct tandem_scheduler_options *options = &scheduler->options;

	for (int i = 0; i < 2; i++) {
		struct scheduler_watch *watch = &scheduler->watches[i];

		watch->watch.lost = device_is_lost;
		watch->scheduler = scheduler;
		device_watch_add(tandem_instance_device(i ? options->decode : options->prefill),
				 &watch->watch);
	}
}

/*
 * Creation
 */

static int check_options(const struct tandem_scheduler_options *options,
			 struct tandem_error *error)
{
	if (!options->prefill || !options->decode)
		return tandem_error_set(error, -EINVAL, "scheduler: instances are needed");
	if (options->prefill != options->decode && (!options->push || !options->receive))
		return tandem_error_set(error, -EINVAL,
					"scheduler: two instances need a connection between them");
	if (tandem_instance_model(options->prefill) != tandem_instance_model(options->decode))
		return tandem_error_set(error, -EINVAL,
					"scheduler: both instances have to be of one model");
	if (tandem_device_is_lost(tandem_instance_device(options->prefill)) ||
	    tandem_device_is_lost(tandem_instance_device(options->decode)))
		return tandem_error_set(error, -ENODEV, "scheduler: a device is gone");
	return 0;
}

static uint32_t no_more_than(uint32_t value, uint32_t most)
{
	return value && value < most ? value : most;
}

static uint64_t slower_link(const struct tandem_scheduler_options *options)
{
	struct tandem_device_info prefill, decode;

	tandem_device_get_info(tandem_instance_device(options->prefill), &prefill);
	tandem_device_get_info(tandem_instance_device(options->decode), &decode);
	return prefill.profile_link_bandwidth < decode.profile_link_bandwidth ?
		prefill.profile_link_bandwidth : decode.profile_link_bandwidth;
}

static void fill_in(struct tandem_scheduler *scheduler,
		    const struct tandem_scheduler_options *options)
{
	const struct tandem_kv_layout *layout =
		tandem_kv_pool_layout(tandem_instance_kv_pool(options->prefill));
	struct tandem_scheduler_options *own = &scheduler->options;
	const uint32_t rows_max = tandem_instance_rows_max(options->prefill);
	uint32_t chunk = no_more_than(options->chunk_tokens, rows_max);

	/* The most is whole blocks already. */
	chunk = (chunk - 1) / layout->block_tokens * layout->block_tokens + layout->block_tokens;
	*own = *options;
	own->chunk_tokens = chunk;
	own->active_max = no_more_than(options->active_max,
				       tandem_instance_batch_max(options->decode));
	own->waiting_max = options->waiting_max ? options->waiting_max : WAITING_DEFAULT;
	own->tenant_waiting_max = no_more_than(options->tenant_waiting_max, own->waiting_max);
	scheduler->split = options->prefill != options->decode;
	scheduler->block_tokens = layout->block_tokens;
	scheduler->layer_block_bytes = tandem_kv_block_bytes(layout);
	scheduler->link_bandwidth = slower_link(options);
	tandem_model_get_info(tandem_instance_model(options->decode), &scheduler->model);
	scheduler->tokenizer = tandem_model_tokenizer(tandem_instance_model(options->decode));
}

static void scheduler_free(struct tandem_scheduler *scheduler)
{
	decode_destroy(scheduler);
	prefill_destroy(scheduler);
	free(scheduler);
}

int tandem_scheduler_create(struct tandem_loop *loop,
			    const struct tandem_scheduler_options *options,
			    struct tandem_scheduler **scheduler, struct tandem_error *error)
{
	struct tandem_scheduler *new;
	int ret = check_options(options, error);

	if (ret)
		return ret;
	new = calloc(1, sizeof(*new));
	if (!new)
		return tandem_error_set(error, -ENOMEM, "scheduler: out of memory");
	new->loop = loop;
	new->task.run = advance;
	TAILQ_INIT(&new->waiting);
	TAILQ_INIT(&new->active);
	TAILQ_INIT(&new->prefilling);
	TAILQ_INIT(&new->decoding);
	fill_in(new, options);
	ret = prefill_create(new);
	if (!ret)
		ret = decode_create(new);
	if (ret) {
		scheduler_free(new);
		return tandem_error_set(error, ret, "scheduler: out of memory");
	}
	watch_devices(new);
	tandem_instance_kv_pool(options->prefill)->waiter = &new->task;
	tandem_instance_kv_pool(options->decode)->waiter = &new->task;
	*scheduler = new;
	return 0;
}

static void cancel_all(struct request_list *list)
{
	struct request *request, *next;

	for (request = TAILQ_FIRST(list); request; request = next) {
		next = TAILQ_NEXT(request, entry);
		request_fail(request, -ECANCELED, "request %llu: cancelled: the scheduler is closed",
			     (unsigned long long)request->result->stats.request);
		request_settle(request);
	}
}

void tandem_scheduler_destroy(struct tandem_scheduler *scheduler)
{
	bool pending;
	int ret = 0;

	if (!scheduler)
		return;
	pending = !TAILQ_EMPTY(&scheduler->waiting) || !TAILQ_EMPTY(&scheduler->active);
	scheduler->closing = true;
	cancel_all(&scheduler->waiting);
	cancel_all(&scheduler->active);
	if (scheduler->step.count)
		tandem_cancel(scheduler->loop, &scheduler->step.op);
	while ((!TAILQ_EMPTY(&scheduler->active) || !TAILQ_EMPTY(&scheduler->waiting)) &&
	       (!ret || ret == -EINTR)) {
		ret = tandem_loop_run(scheduler->loop, -1);
		if (ret > 0)
			ret = 0;
	}
	/* Their owners are told from the loop. */
	if (pending)
		tandem_loop_run(scheduler->loop, 0);
	tandem_instance_kv_pool(scheduler->options.prefill)->waiter = NULL;
	tandem_instance_kv_pool(scheduler->options.decode)->waiter = NULL;
	for (int i = 0; i < 2; i++)
		device_watch_remove(&scheduler->watches[i].watch);
	loop_task_cancel(scheduler->loop, &scheduler->task);
	/* Without its ring nothing will ever end, and memory is left to what is under way. */
	if (TAILQ_EMPTY(&scheduler->active))
		scheduler_free(scheduler);
}

/*
 * Requests
 */

static int request_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	struct request *request = operation_data(op);

	(void)loop;
	request_fail(request, -ECANCELED, "request %llu: cancelled during %s",
		     (unsigned long long)request->result->stats.request, request_phase(request));
	request_settle(request);
	return 0;
}

static int check_room(const struct tandem_scheduler *scheduler,
		      const struct tandem_request *request, struct tandem_error *error)
{
	static const struct tandem_kv_salt nobody;
	const struct tandem_scheduler_options *options = &scheduler->options;

	if (scheduler->closing)
		return tandem_error_set(error, -ECANCELED, "scheduler: it is being closed");
	if (tandem_device_is_lost(tandem_instance_device(options->prefill)) ||
	    tandem_device_is_lost(tandem_instance_device(options->decode)))
		return tandem_error_set(error, -ENODEV, "scheduler: a device is gone");
	if (scheduler->stats.waiting >= options->waiting_max)
		return tandem_error_set(error, -EAGAIN,
					"scheduler: %u requests are waiting already; try again later",
					scheduler->stats.waiting);
	if (options->tenant_waiting_max < options->waiting_max &&
	    count_of_tenant(&scheduler->waiting, request->salt ? request->salt : &nobody) >=
	    options->tenant_waiting_max)
		return tandem_error_set(error, -EAGAIN,
					"scheduler: %u requests of this tenant are waiting already; try again later",
					options->tenant_waiting_max);
	return 0;
}

int tandem_request_start(struct tandem_scheduler *scheduler, const struct tandem_request *request,
			 struct tandem_request_result *result, struct tandem_operation *op)
{
	struct tandem_error unused, *error = result ? &result->error : &unused;
	struct request *new;
	int ret = -EINVAL;

	if (!operation_may_begin(op)) {
		tandem_error_set(error, ret, "request: its operation is under way, or has fences");
		goto refused;
	}
	ret = request_check(scheduler, request, error);
	if (!ret)
		ret = check_room(scheduler, request, error);
	if (ret)
		goto refused;
	ret = request_create(scheduler, request, result, &new);
	if (ret) {
		tandem_error_set(error, ret, "request: out of memory");
		goto refused;
	}
	operation_begin(op, request_cancel, new);
	new->op = op;
	TAILQ_INSERT_TAIL(&scheduler->waiting, new, entry);
	scheduler->stats.waiting++;
	scheduler->stats.started++;
	scheduler_wake(scheduler);
	return 0;

refused:
	scheduler->stats.refused++;
	return ret;
}

void tandem_scheduler_get_stats(const struct tandem_scheduler *scheduler,
				struct tandem_scheduler_stats *stats)
{
	const struct request *request;

	*stats = scheduler->stats;
	stats->decoding = scheduler->step.count;
	TAILQ_FOREACH(request, &scheduler->decoding, decode_entry)
		stats->decoding++;
}
