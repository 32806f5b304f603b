// SPDX-License-Identifier: GPL-2.0
#include <linux/dev_printk.h>
#include <linux/jiffies.h>

#include "tandem_context.h"
#include "tandem_device.h"
#include "tandem_engine.h"
#include "tandem_job.h"
#include "tandem_power.h"
#include "tandem_queue.h"
#include "tandem_trace.h"

void tandem_engine_prepare(struct tandem_engine *engine,
			   struct tandem_device *tdev, u32 index)
{
	engine->tdev = tdev;
	engine->index = index;
	spin_lock_init(&engine->lock);
	INIT_LIST_HEAD(&engine->ready);
	INIT_LIST_HEAD(&engine->blocked);
	INIT_LIST_HEAD(&engine->in_flight);
}

int tandem_engine_init(struct tandem_engine *engine, u32 kind)
{
	u32 entries = engine->tdev->identity.queue_entries;
	int ret;

	engine->kind = kind;
	ret = tandem_shared_alloc(engine->tdev, &engine->lists,
				  entries * TANDEM_LIST_SHORT_BYTES,
				  DMA_TO_DEVICE);
	if (ret)
		return ret;
	return tandem_ring_init(&engine->ring, engine->tdev, engine->index + 1,
				entries);
}

void tandem_engine_fini(struct tandem_engine *engine)
{
	tandem_shared_free(engine->tdev, &engine->lists);
	tandem_ring_fini(&engine->ring);
}

int tandem_engine_create(struct tandem_engine *engine, u32 epoch)
{
	struct tandem_ring *ring = &engine->ring;
	struct tandem_hw_descriptor descriptor = {
		.opcode = TANDEM_HW_OP_QUEUE_CREATE,
		.src_region = cpu_to_le32(engine->kind),
		.src_offset = cpu_to_le64(ring->sq.bus_address),
		.dst_offset = cpu_to_le64(ring->cq.bus_address),
		.length = cpu_to_le64(ring->entries),
		.argument = cpu_to_le64(ring->queue),
	};
	unsigned long flags;

	spin_lock_irqsave(&engine->lock, flags);
	tandem_ring_begin(ring, epoch);
	tandem_clock_reset(&engine->clock);
	spin_unlock_irqrestore(&engine->lock, flags);
	return tandem_admin_execute(engine->tdev, &descriptor);
}

static void complete_jobs(struct list_head *done)
{
	struct tandem_job *job, *next;

	list_for_each_entry_safe(job, next, done, link) {
		list_del_init(&job->link);
		tandem_fence_end(job);
		job->complete(job);
	}
}

/* Where it belongs, after its oldest waiting job has changed. */
static void place_queue(struct tandem_engine *engine,
			struct tandem_queue *queue)
{
	struct tandem_job *oldest = list_first_entry_or_null(&queue->waiting,
							     typeof(*oldest),
							     link);
	bool blocked = oldest && oldest->blocked;

	if (!oldest)
		list_del_init(&queue->ready_link);
	else if (list_empty(&queue->ready_link) || queue->blocked != blocked)
		list_move_tail(&queue->ready_link, blocked ? &engine->blocked :
							     &engine->ready);
	queue->blocked = blocked;
}

/* The lock is held. */
static void count_end(struct tandem_engine *engine, struct tandem_job *job)
{
	u64 latency = ktime_to_ns(ktime_sub(ktime_get(), job->submitted));
	struct tandem_stats *stats = &engine->stats;

	stats->completed++;
	if (job->result)
		stats->failed++;
	if (job->result == -ECANCELED)
		stats->cancelled++;
	if (job->result == -ETIMEDOUT)
		stats->timed_out++;
	if (job->state == TANDEM_JOB_RUNNING) {
		stats->busy_ns += job->duration;
		tandem_histogram_count(&stats->latency, latency);
		tandem_histogram_count(&stats->duration, job->duration);
	}
	trace_tandem_job_complete(job, latency);
}

/* Off its list and to those that are done; the lock is held. */
static void end_job(struct tandem_engine *engine, struct tandem_job *job,
		    struct list_head *done)
{
	struct tandem_queue *queue = job->queue;

	if (job->state == TANDEM_JOB_RUNNING && tandem_user_is_mapped(&job->user))
		tandem_context_clear_user(queue->context, job->user_slot);
	count_end(engine, job);
	job->state = TANDEM_JOB_DONE;
	list_del_init(&job->flight_link);
	list_move_tail(&job->link, done);
	place_queue(engine, queue);
	if (queue->closed && list_empty(&queue->waiting) &&
	    list_empty(&queue->running))
		wake_up_all(&queue->idle);
}

static void end_job_with(struct tandem_engine *engine, struct tandem_job *job,
			 int result, struct list_head *done)
{
	job->result = result;
	end_job(engine, job, done);
}

static void end_waiting(struct tandem_engine *engine,
			struct tandem_queue *queue, int result,
			struct list_head *done)
{
	struct tandem_job *job, *next;

	list_for_each_entry_safe(job, next, &queue->waiting, link)
		end_job_with(engine, job, result, done);
}

void tandem_engine_stop(struct tandem_engine *engine)
{
	struct tandem_queue *queue, *next_queue;
	struct tandem_job *job, *next;
	LIST_HEAD(done);
	unsigned long flags;

	spin_lock_irqsave(&engine->lock, flags);
	if (engine->running) {
		engine->running = false;
		list_for_each_entry_safe(job, next, &engine->in_flight,
					 flight_link)
			end_job_with(engine, job, -ENODEV, &done);
		list_splice_tail_init(&engine->blocked, &engine->ready);
		list_for_each_entry_safe(queue, next_queue, &engine->ready,
					 ready_link)
			end_waiting(engine, queue, -ENODEV, &done);
	}
	if (engine->awake)
		tandem_power_release(engine->tdev);
	engine->awake = false;
	spin_unlock_irqrestore(&engine->lock, flags);
	complete_jobs(&done);
}

void tandem_engine_add_stats(struct tandem_engine *engine,
			     struct tandem_stats *sum)
{
	unsigned long flags;

	spin_lock_irqsave(&engine->lock, flags);
	tandem_stats_add(sum, &engine->stats);
	spin_unlock_irqrestore(&engine->lock, flags);
}

/* An entry of the region table for each slot of each ring. */
static void place_user_memory(struct tandem_engine *engine,
			      struct tandem_job *job, u32 slot)
{
	job->user_slot = TANDEM_REGIONS_MAX +
			 engine->index * TANDEM_ENGINE_ENTRIES_MAX + slot;
	tandem_context_set_user(job->queue->context, job->user_slot,
				&job->user, job->user_is_dst);
	if (job->user_is_dst)
		job->descriptor.dst_region = cpu_to_le32(job->user_slot);
	else
		job->descriptor.src_region = cpu_to_le32(job->user_slot);
}

static void place_list(struct tandem_engine *engine, struct tandem_job *job,
		       u32 slot)
{
	u64 address = job->list.shared.bus_address;
	size_t offset;

	if (tandem_list_is_short(&job->list)) {
		offset = slot * TANDEM_LIST_SHORT_BYTES;
		memcpy(engine->lists.virtual + offset, job->list.segments,
		       job->list.count * sizeof(*job->list.segments));
		address = engine->lists.bus_address + offset;
	}
	job->descriptor.argument = cpu_to_le64(address);
}

/* Puts a job on the ring, which has room. What is the slot's is free, too. */
static void push_job(struct tandem_engine *engine, struct tandem_job *job)
{
	u32 slot = tandem_ring_next_slot(&engine->ring);
	struct tandem_queue *queue = job->queue;

	if (tandem_user_is_mapped(&job->user))
		place_user_memory(engine, job, slot);
	if (job->list.count)
		place_list(engine, job, slot);
	job->started = ktime_get();
	job->state = TANDEM_JOB_RUNNING;
	list_move_tail(&job->link, &queue->running);
	list_add_tail(&job->flight_link, &engine->in_flight);
	job->command_id = tandem_ring_push(&engine->ring, &job->descriptor,
					   job);
	trace_tandem_job_push(job, slot);
}

/* One job of each ready queue in turn, while the ring has room. */
static void push_ready(struct tandem_engine *engine)
{
	struct tandem_queue *queue;
	bool pushed = false;

	if (!engine->awake && !list_empty(&engine->ready)) {
		engine->awake = true;
		tandem_power_need(engine->tdev);
	}
	while (!tandem_ring_full(&engine->ring)) {
		queue = list_first_entry_or_null(&engine->ready,
						 typeof(*queue), ready_link);
		if (!queue)
			break;
		push_job(engine, list_first_entry(&queue->waiting,
						  struct tandem_job, link));
		pushed = true;
		list_move_tail(&queue->ready_link, &engine->ready);
		place_queue(engine, queue);
	}
	if (pushed)
		tandem_ring_publish(&engine->ring);
}

void tandem_engine_up(struct tandem_engine *engine)
{
	unsigned long flags;

	spin_lock_irqsave(&engine->lock, flags);
	if (engine->ring.state == TANDEM_RING_DOWN) {
		engine->oldest = engine->ring.sq_head;
		engine->oldest_since = jiffies;
		engine->abort_since = 0;
	}
	engine->ring.state = TANDEM_RING_UP;
	/* A device that died meanwhile has been stopped already. */
	engine->running = !tandem_device_is_dead(engine->tdev);
	if (engine->running)
		push_ready(engine);
	spin_unlock_irqrestore(&engine->lock, flags);
}

void tandem_engine_pause(struct tandem_engine *engine)
{
	unsigned long flags;

	spin_lock_irqsave(&engine->lock, flags);
	engine->ring.state = TANDEM_RING_DRAINING;
	spin_unlock_irqrestore(&engine->lock, flags);
}

/* Back to the head of its queue, as if it had never been pushed. */
static void take_back(struct tandem_engine *engine, struct tandem_job *job)
{
	struct tandem_queue *queue = job->queue;

	if (tandem_user_is_mapped(&job->user))
		tandem_context_clear_user(queue->context, job->user_slot);
	job->state = TANDEM_JOB_WAITING;
	list_del_init(&job->flight_link);
	list_move(&job->link, &queue->waiting);
	place_queue(engine, queue);
}

void tandem_engine_down(struct tandem_engine *engine,
			enum tandem_reset_reason reason)
{
	struct tandem_job *oldest, *job, *next;
	LIST_HEAD(done);
	unsigned long flags;

	spin_lock_irqsave(&engine->lock, flags);
	engine->ring.state = TANDEM_RING_DOWN;
	oldest = list_first_entry_or_null(&engine->in_flight,
					  struct tandem_job, flight_link);
	/* In their order, for those who wait. */
	list_for_each_entry_safe(job, next, &engine->in_flight, flight_link) {
		job->result = tandem_reset_judge(job, job == oldest, reason);
		if (job->result)
			end_job(engine, job, &done);
	}
	/* The last first, since each goes before those that are there. */
	list_for_each_entry_safe_reverse(job, next, &engine->in_flight,
					 flight_link)
		take_back(engine, job);
	spin_unlock_irqrestore(&engine->lock, flags);
	complete_jobs(&done);
}

bool tandem_engine_is_drained(struct tandem_engine *engine)
{
	unsigned long flags;
	bool drained;

	spin_lock_irqsave(&engine->lock, flags);
	drained = list_empty(&engine->in_flight);
	spin_unlock_irqrestore(&engine->lock, flags);
	return drained;
}

void tandem_engine_rest(struct tandem_engine *engine)
{
	unsigned long flags;

	spin_lock_irqsave(&engine->lock, flags);
	if (engine->awake && list_empty(&engine->in_flight) &&
	    list_empty(&engine->ready)) {
		engine->awake = false;
		tandem_power_release(engine->tdev);
	}
	spin_unlock_irqrestore(&engine->lock, flags);
}

/*
 * A device that is being disabled gives up what it has not begun, which then
 * is taken back. The lock is held.
 */
static bool is_given_up(const struct tandem_engine *engine,
			const struct tandem_job *job,
			const struct tandem_completion *completion)
{
	return engine->ring.state == TANDEM_RING_DRAINING &&
	       completion->status == TANDEM_HW_ABORTED && !job->aborting;
}

void tandem_engine_interrupt(struct tandem_engine *engine)
{
	struct tandem_device *tdev = engine->tdev;
	struct tandem_completion completion;
	bool drained = false, insane = false;
	struct tandem_job *job;
	LIST_HEAD(done);
	u32 budget;
	unsigned long flags;

	spin_lock_irqsave(&engine->lock, flags);
	if (engine->running) {
		budget = engine->ring.entries;
		while ((job = tandem_ring_pop(&engine->ring, &completion,
					      &budget))) {
			if (is_given_up(engine, job, &completion))
				continue;
			tandem_job_set_completion(job, &completion);
			end_job(engine, job, &done);
		}
		if (budget != engine->ring.entries)
			tandem_ring_publish_taken(&engine->ring);
		push_ready(engine);
		drained = engine->ring.state == TANDEM_RING_DRAINING &&
			  list_empty(&engine->in_flight);
		insane = tandem_ring_is_insane(&engine->ring);
	}
	spin_unlock_irqrestore(&engine->lock, flags);
	complete_jobs(&done);
	if (drained)
		wake_up_all(&tdev->state_wait);
	if (insane)
		tandem_reset_request(tdev, TANDEM_RESET_INSANE);
}

void tandem_engine_submit(struct tandem_engine *engine, struct tandem_job *job)
{
	struct tandem_queue *queue = job->queue;
	LIST_HEAD(done);
	unsigned long flags;

	spin_lock_irqsave(&engine->lock, flags);
	job->id = ++engine->stats.submitted * TANDEM_ENGINES_MAX + engine->index;
	job->submitted = ktime_get();
	trace_tandem_job_submit(job);
	if (!engine->running || job->cancelled || queue->closed) {
		end_job_with(engine, job,
			     engine->running ? -ECANCELED : -ENODEV, &done);
	} else {
		job->state = TANDEM_JOB_WAITING;
		list_add_tail(&job->link, &queue->waiting);
		place_queue(engine, queue);
		push_ready(engine);
	}
	spin_unlock_irqrestore(&engine->lock, flags);
	complete_jobs(&done);
}

/* The oldest job of a queue may have been what blocked it; the lock is held. */
static void push_unblocked(struct tandem_engine *engine)
{
	if (engine->running)
		push_ready(engine);
}

void tandem_engine_unblock(struct tandem_engine *engine, struct tandem_job *job,
			   int error)
{
	unsigned long flags;

	spin_lock_irqsave(&engine->lock, flags);
	if (job->state == TANDEM_JOB_DONE)
		goto unlock;
	if (error) {
		/* It stays blocked, since it is not to begin. */
		job->cancelled = true;
		if (job->state == TANDEM_JOB_WAITING)
			tandem_job_cancel_later(job);
		goto unlock;
	}
	job->blocked = false;
	if (job->state == TANDEM_JOB_WAITING) {
		place_queue(engine, job->queue);
		push_unblocked(engine);
	}
unlock:
	spin_unlock_irqrestore(&engine->lock, flags);
}

/*
 * The lock is held. Returns whether the caller has to abort the job, after
 * unlocking; it holds a reference for that.
 */
static bool job_cancel(struct tandem_engine *engine, struct tandem_job *job,
		       struct list_head *done)
{
	job->cancelled = true;
	trace_tandem_job_cancel(job);
	if (job->state == TANDEM_JOB_WAITING)
		end_job_with(engine, job, -ECANCELED, done);
	if (job->state != TANDEM_JOB_RUNNING || job->aborting)
		return false;
	job->aborting = true;
	tandem_job_get(job);
	return true;
}

static void abort_job(struct tandem_job *job)
{
	tandem_job_abort(job);
	tandem_job_put(job);
}

void tandem_engine_cancel(struct tandem_engine *engine, struct tandem_job *job)
{
	LIST_HEAD(done);
	unsigned long flags;
	bool abort;

	spin_lock_irqsave(&engine->lock, flags);
	abort = job_cancel(engine, job, &done);
	push_unblocked(engine);
	spin_unlock_irqrestore(&engine->lock, flags);
	if (abort)
		abort_job(job);
	complete_jobs(&done);
}

static struct tandem_job *find_running(struct tandem_queue *queue, u64 cookie)
{
	struct tandem_job *job;

	list_for_each_entry(job, &queue->running, link) {
		if (job->cookie == cookie && !job->aborting)
			return job;
	}
	return NULL;
}

unsigned int tandem_engine_cancel_cookie(struct tandem_engine *engine,
					 struct tandem_queue *queue,
					 u64 cookie)
{
	struct tandem_job *job, *next;
	unsigned int count = 0;
	LIST_HEAD(done);
	unsigned long flags;

	spin_lock_irqsave(&engine->lock, flags);
	list_for_each_entry_safe(job, next, &queue->waiting, link) {
		if (job->cookie == cookie) {
			job_cancel(engine, job, &done);
			count++;
		}
	}
	push_unblocked(engine);
	while ((job = find_running(queue, cookie))) {
		count++;
		if (!job_cancel(engine, job, &done))
			continue;
		spin_unlock_irqrestore(&engine->lock, flags);
		abort_job(job);
		spin_lock_irqsave(&engine->lock, flags);
	}
	spin_unlock_irqrestore(&engine->lock, flags);
	complete_jobs(&done);
	return count;
}

void tandem_engine_close_queue(struct tandem_engine *engine,
			       struct tandem_queue *queue)
{
	LIST_HEAD(done);
	unsigned long flags;

	spin_lock_irqsave(&engine->lock, flags);
	queue->closed = true;
	end_waiting(engine, queue, -ECANCELED, &done);
	spin_unlock_irqrestore(&engine->lock, flags);
	complete_jobs(&done);
}

void tandem_engine_poll(struct tandem_engine *engine)
{
	bool missed;

	spin_lock_irq(&engine->lock);
	missed = engine->running && tandem_ring_missed(&engine->ring);
	spin_unlock_irq(&engine->lock);
	if (!missed)
		return;
	dev_warn_ratelimited(engine->tdev->dev,
			     "queue %u: completions without an interrupt\n",
			     engine->index + 1);
	tandem_engine_interrupt(engine);
}

bool tandem_engine_watch(struct tandem_engine *engine)
{
	struct tandem_job *late = NULL;
	struct tandem_job *job;
	bool alive = true;
	unsigned long flags;

	spin_lock_irqsave(&engine->lock, flags);
	job = engine->running ? tandem_ring_oldest(&engine->ring) : NULL;
	if (!job || engine->oldest != engine->ring.sq_head) {
		engine->oldest = engine->ring.sq_head;
		engine->oldest_since = jiffies;
		engine->abort_since = 0;
	} else if (engine->abort_since) {
		alive = time_before(jiffies, engine->abort_since +
					     tandem_admin_timeout());
		job->stuck = !alive;
	} else if (job->aborting) {
		engine->abort_since = jiffies ?: 1;
	} else if (time_after(jiffies, engine->oldest_since +
				       tandem_command_timeout())) {
		engine->abort_since = jiffies ?: 1;
		job->timed_out = true;
		trace_tandem_job_timeout(job);
		job->aborting = true;
		tandem_job_get(job);
		late = job;
	}
	spin_unlock_irqrestore(&engine->lock, flags);

	if (late) {
		dev_warn_ratelimited(engine->tdev->dev,
				     "queue %u: command %u takes longer than %u ms: aborting it\n",
				     engine->ring.queue, late->command_id,
				     jiffies_to_msecs(tandem_command_timeout()));
		abort_job(late);
	}
	return alive;
}
