// SPDX-License-Identifier: GPL-2.0
#include <linux/bitops.h>
#include <linux/dev_printk.h>
#include <linux/jiffies.h>

#include "tandem_context.h"
#include "tandem_device.h"
#include "tandem_engine.h"
#include "tandem_job.h"
#include "tandem_power.h"
#include "tandem_queue.h"
#include "tandem_trace.h"

static_assert(TANDEM_ENGINES_MAX <= TANDEM_SCHEDULE_ENGINES_MAX);

void tandem_engine_class_prepare(struct tandem_engine_class *class, u32 kind)
{
	class->kind = kind;
	spin_lock_init(&class->lock);
	tandem_schedule_init(&class->schedule);
	INIT_LIST_HEAD(&class->queues);
}

void tandem_engine_prepare(struct tandem_engine *engine,
			   struct tandem_device *tdev, u32 index)
{
	engine->tdev = tdev;
	engine->index = index;
	INIT_LIST_HEAD(&engine->in_flight);
}

/* The lock of the class is held. */
static void join_class(struct tandem_engine *engine,
		       struct tandem_engine_class *class)
{
	engine->schedule.index = class->engine_count;
	class->engines[class->engine_count++] = engine;
	/*
	 * Interrupts, the watch and tandem_engine_stop() find the engine from
	 * here on. Either that one does, or tandem_engine_up() sees that the
	 * device is dead: a full barrier.
	 */
	smp_store_mb(engine->class, class);
}

/* NULL for one that the device does not have. */
static struct tandem_engine_class *class_of(struct tandem_engine *engine)
{
	/* Pairs with join_class(). */
	return smp_load_acquire(&engine->class);
}

/* Another command is the oldest one on the ring now. */
static void oldest_changed(struct tandem_engine *engine)
{
	engine->oldest_since = jiffies;
	engine->abort_since = 0;
}

int tandem_engine_init(struct tandem_engine *engine, u32 kind)
{
	struct tandem_engine_class *class = &engine->tdev->classes[kind];
	u32 entries = engine->tdev->identity.queue_entries;
	unsigned long flags;
	int ret;

	ret = tandem_shared_alloc(engine->tdev, &engine->lists,
				  entries * TANDEM_LIST_SHORT_BYTES,
				  DMA_TO_DEVICE);
	if (ret)
		return ret;
	ret = tandem_ring_init(&engine->ring, engine->tdev, engine->index + 1,
			       entries);
	if (ret)
		return ret;
	spin_lock_irqsave(&class->lock, flags);
	engine->kind = kind;
	join_class(engine, class);
	spin_unlock_irqrestore(&class->lock, flags);
	return 0;
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

	spin_lock_irqsave(&engine->class->lock, flags);
	tandem_ring_begin(ring, epoch);
	tandem_clock_reset(&engine->clock);
	spin_unlock_irqrestore(&engine->class->lock, flags);
	return tandem_admin_execute(engine->tdev, &descriptor);
}

/* A fault may get the context banned, which has to be before anyone knows. */
static void complete_jobs(struct list_head *done)
{
	struct tandem_job *job, *next;

	list_for_each_entry_safe(job, next, done, link) {
		list_del_init(&job->link);
		if (job->fault)
			tandem_context_blame(job->queue->context, job->fault);
		tandem_fence_end(job);
		job->complete(job);
	}
}

/* Tells the schedule whether the queue has a job that can begin. */
static void update_ready(struct tandem_queue *queue)
{
	struct tandem_job *oldest = list_first_entry_or_null(&queue->waiting,
							     typeof(*oldest),
							     link);

	tandem_schedule_set_ready(&queue->class->schedule, &queue->schedule,
				  oldest && !oldest->blocked);
}

/* The job is not on the ring any more. */
static void leave_engine(struct tandem_job *job)
{
	struct tandem_queue *queue = job->queue;
	/* Those that fail tend to be short. */
	bool typical = !job->result || job->duration > job->schedule.expected_ns;

	if (tandem_user_is_mapped(&job->user))
		tandem_context_clear_user(queue->context, job->user_slot);
	tandem_schedule_end(&queue->class->schedule, &job->engine->schedule,
			    &queue->schedule, &job->schedule, job->duration,
			    typical);
}

/* The lock is held. */
static void count_end(struct tandem_job *job)
{
	u64 latency = ktime_to_ns(ktime_sub(ktime_get(), job->submitted));
	struct tandem_stats *stats = job->engine ? &job->engine->stats :
						   &job->queue->class->stats;

	if (!job->engine)
		stats->submitted++;
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

static void count_for_queue(struct tandem_queue *queue,
			    const struct tandem_job *job)
{
	queue->completed++;
	queue->device_ns += job->duration;
	atomic64_add(job->duration, &queue->context->device_ns);
	if (job->result) {
		queue->failed++;
		queue->last_error = job->result;
	}
}

/* Off its list and to those that are done; the lock is held. */
static void end_job(struct tandem_job *job, struct list_head *done)
{
	struct tandem_queue *queue = job->queue;

	if (job->state == TANDEM_JOB_RUNNING)
		leave_engine(job);
	count_end(job);
	count_for_queue(queue, job);
	job->state = TANDEM_JOB_DONE;
	list_del_init(&job->flight_link);
	list_move_tail(&job->link, done);
	update_ready(queue);
	if (queue->closed && list_empty(&queue->waiting) &&
	    list_empty(&queue->running))
		wake_up_all(&queue->idle);
}

static void end_job_with(struct tandem_job *job, int result,
			 struct list_head *done)
{
	job->result = result;
	end_job(job, done);
}

static void end_waiting(struct tandem_queue *queue, int result,
			struct list_head *done)
{
	struct tandem_job *job, *next;

	list_for_each_entry_safe(job, next, &queue->waiting, link)
		end_job_with(job, result, done);
}

/* No engine of the class takes jobs any more. */
static void stop_class(struct tandem_engine_class *class,
		       struct tandem_device *tdev, struct list_head *done)
{
	struct tandem_queue *queue;

	list_for_each_entry(queue, &class->queues, class_link)
		end_waiting(queue, -ENODEV, done);
	if (class->awake)
		tandem_power_release(tdev);
	class->awake = false;
}

void tandem_engine_stop(struct tandem_engine *engine)
{
	struct tandem_engine_class *class = class_of(engine);
	struct tandem_job *job, *next;
	unsigned long flags;
	LIST_HEAD(done);

	if (!class)
		return;
	spin_lock_irqsave(&class->lock, flags);
	if (engine->running) {
		engine->running = false;
		list_for_each_entry_safe(job, next, &engine->in_flight,
					 flight_link)
			end_job_with(job, -ENODEV, &done);
		if (!--class->running)
			stop_class(class, engine->tdev, &done);
	}
	spin_unlock_irqrestore(&class->lock, flags);
	complete_jobs(&done);
}

void tandem_engine_class_add_stats(struct tandem_engine_class *class,
				   struct tandem_stats *sum)
{
	unsigned long flags;
	u32 i;

	spin_lock_irqsave(&class->lock, flags);
	tandem_stats_add(sum, &class->stats);
	for (i = 0; i < class->engine_count; i++)
		tandem_stats_add(sum, &class->engines[i]->stats);
	spin_unlock_irqrestore(&class->lock, flags);
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

/*
 * Puts the first job of a queue on the ring, which has room. What is the slot's
 * is free, too.
 */
static void push_job(struct tandem_engine *engine, struct tandem_queue *queue)
{
	struct tandem_job *job = list_first_entry(&queue->waiting,
						  struct tandem_job, link);
	u32 slot = tandem_ring_next_slot(&engine->ring);

	if (tandem_user_is_mapped(&job->user))
		place_user_memory(engine, job, slot);
	if (job->list.count)
		place_list(engine, job, slot);
	if (list_empty(&engine->in_flight))
		oldest_changed(engine);
	job->started = ktime_get();
	job->state = TANDEM_JOB_RUNNING;
	job->engine = engine;
	list_move_tail(&job->link, &queue->running);
	list_add_tail(&job->flight_link, &engine->in_flight);
	job->number = tandem_ring_push(&engine->ring, &job->descriptor, job);
	engine->stats.submitted++;
	trace_tandem_job_push(job, slot);
	tandem_schedule_begin(&queue->class->schedule, &engine->schedule,
			      &queue->schedule, &job->schedule);
	update_ready(queue);
}

/* Of those that can take a job, the one with the least to do; or NULL. */
static struct tandem_engine *choose_engine(struct tandem_engine_class *class,
					   unsigned long leave_out)
{
	struct tandem_engine *engine, *best = NULL;
	u32 i;

	for (i = 0; i < class->engine_count; i++) {
		engine = class->engines[i];
		if (leave_out & BIT(i) || !engine->running ||
		    tandem_ring_full(&engine->ring) ||
		    !tandem_schedule_has_room(&engine->schedule))
			continue;
		if (!best || engine->schedule.expected_ns <
			     best->schedule.expected_ns)
			best = engine;
	}
	return best;
}

/* While there is something to do. */
static void need_power(struct tandem_engine_class *class)
{
	if (class->awake || !class->running ||
	    !tandem_schedule_has_ready(&class->schedule))
		return;
	class->awake = true;
	tandem_power_need(class->engines[0]->tdev);
}

static bool is_drained(const struct tandem_engine_class *class)
{
	u32 i;

	for (i = 0; i < class->engine_count; i++) {
		if (!list_empty(&class->engines[i]->in_flight))
			return false;
	}
	return true;
}

void tandem_engine_class_rest(struct tandem_engine_class *class)
{
	unsigned long flags;

	spin_lock_irqsave(&class->lock, flags);
	if (class->awake && is_drained(class) &&
	    !tandem_schedule_has_ready(&class->schedule)) {
		class->awake = false;
		tandem_power_release(class->engines[0]->tdev);
	}
	spin_unlock_irqrestore(&class->lock, flags);
}

/*
 * Puts as many jobs on the rings as the schedule lets: when there are new ones,
 * there is room, or what blocked others has gone.
 */
static void push_ready(struct tandem_engine_class *class)
{
	struct tandem_schedule_queue *next;
	unsigned long without_jobs = 0, pushed = 0;
	struct tandem_engine *engine;
	u32 i;

	need_power(class);
	while ((engine = choose_engine(class, without_jobs))) {
		i = engine->schedule.index;
		next = tandem_schedule_next(&class->schedule,
					    &engine->schedule);
		if (!next) {
			without_jobs |= BIT(i);
			continue;
		}
		push_job(engine, container_of(next, struct tandem_queue,
					      schedule));
		pushed |= BIT(i);
	}
	for_each_set_bit(i, &pushed, TANDEM_SCHEDULE_ENGINES_MAX)
		tandem_ring_publish(&class->engines[i]->ring);
}

void tandem_engine_up(struct tandem_engine *engine)
{
	struct tandem_engine_class *class = engine->class;
	unsigned long flags;

	spin_lock_irqsave(&class->lock, flags);
	if (engine->ring.state == TANDEM_RING_DOWN)
		oldest_changed(engine);
	engine->ring.state = TANDEM_RING_UP;
	/* A device that died meanwhile has been stopped already. */
	if (!engine->running && !tandem_device_is_dead(engine->tdev)) {
		engine->running = true;
		class->running++;
	}
	push_ready(class);
	spin_unlock_irqrestore(&class->lock, flags);
}

void tandem_engine_pause(struct tandem_engine *engine)
{
	unsigned long flags;

	spin_lock_irqsave(&engine->class->lock, flags);
	engine->ring.state = TANDEM_RING_DRAINING;
	spin_unlock_irqrestore(&engine->class->lock, flags);
}

/* Back to the head of its queue, as if it had never been pushed. */
static void take_back(struct tandem_job *job)
{
	struct tandem_queue *queue = job->queue;

	if (tandem_user_is_mapped(&job->user))
		tandem_context_clear_user(queue->context, job->user_slot);
	tandem_schedule_end(&queue->class->schedule, &job->engine->schedule,
			    &queue->schedule, &job->schedule, 0, false);
	job->engine->stats.submitted--;
	job->engine = NULL;
	job->state = TANDEM_JOB_WAITING;
	list_del_init(&job->flight_link);
	list_move(&job->link, &queue->waiting);
	update_ready(queue);
}

void tandem_engine_down(struct tandem_engine *engine,
			enum tandem_reset_reason reason)
{
	struct tandem_engine_class *class = engine->class;
	struct tandem_job *oldest, *job, *next;
	unsigned long flags;
	LIST_HEAD(done);

	spin_lock_irqsave(&class->lock, flags);
	engine->ring.state = TANDEM_RING_DOWN;
	oldest = list_first_entry_or_null(&engine->in_flight,
					  struct tandem_job, flight_link);
	/* In their order, for those who wait. */
	list_for_each_entry_safe(job, next, &engine->in_flight, flight_link) {
		job->result = tandem_reset_judge(job, job == oldest, reason);
		if (!job->result)
			continue;
		if (job == oldest)
			job->duration = tandem_job_occupied_ns(job);
		end_job(job, &done);
	}
	/* The last first, since each goes before those that are there. */
	list_for_each_entry_safe_reverse(job, next, &engine->in_flight,
					 flight_link)
		take_back(job);
	spin_unlock_irqrestore(&class->lock, flags);
	complete_jobs(&done);
}

bool tandem_engine_is_drained(struct tandem_engine *engine)
{
	unsigned long flags;
	bool drained;

	spin_lock_irqsave(&engine->class->lock, flags);
	drained = list_empty(&engine->in_flight);
	spin_unlock_irqrestore(&engine->class->lock, flags);
	return drained;
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

/* Takes what the device has completed. */
static void pop_completed(struct tandem_engine *engine, struct list_head *done)
{
	struct tandem_ring *ring = &engine->ring;
	struct tandem_completion completion;
	u32 budget = ring->entries;
	u32 oldest = ring->sq_head;
	struct tandem_job *job;

	while ((job = tandem_ring_pop(ring, &completion, &budget))) {
		if (is_given_up(engine, job, &completion))
			continue;
		tandem_job_set_completion(job, &completion);
		end_job(job, done);
		if (ring->sq_head != oldest)
			oldest_changed(engine);
		oldest = ring->sq_head;
	}
	if (budget != ring->entries)
		tandem_ring_publish_taken(ring);
}

void tandem_engine_interrupt(struct tandem_engine *engine)
{
	struct tandem_engine_class *class = class_of(engine);
	bool drained = false, insane = false;
	unsigned long flags;
	LIST_HEAD(done);

	if (!class)
		return;
	spin_lock_irqsave(&class->lock, flags);
	if (engine->running) {
		pop_completed(engine, &done);
		push_ready(class);
		drained = engine->ring.state == TANDEM_RING_DRAINING &&
			  list_empty(&engine->in_flight);
		insane = tandem_ring_is_insane(&engine->ring);
	}
	spin_unlock_irqrestore(&class->lock, flags);
	complete_jobs(&done);
	if (drained)
		wake_up_all(&engine->tdev->state_wait);
	if (insane)
		tandem_reset_request(engine->tdev, TANDEM_RESET_INSANE);
}

/* Why a queue does not take a job now, or 0. */
static int refuse(const struct tandem_queue *queue,
		  const struct tandem_job *job)
{
	if (!queue->class->running)
		return -ENODEV;
	if (tandem_context_is_banned(queue->context))
		return -EIO;
	return job->cancelled || queue->closed ? -ECANCELED : 0;
}

void tandem_engine_submit(struct tandem_job *job)
{
	struct tandem_device *tdev = job->queue->context->tdev;
	struct tandem_queue *queue = job->queue;
	struct tandem_engine_class *class = queue->class;
	unsigned long flags;
	LIST_HEAD(done);
	int ret;

	tandem_job_estimate(job);
	spin_lock_irqsave(&class->lock, flags);
	queue->submitted++;
	job->id = ++class->jobs * ARRAY_SIZE(tdev->classes) + class->kind;
	job->submitted = ktime_get();
	trace_tandem_job_submit(job);
	ret = refuse(queue, job);
	if (ret) {
		end_job_with(job, ret, &done);
	} else {
		job->state = TANDEM_JOB_WAITING;
		if (job->blocked)
			trace_tandem_job_block(job);
		list_add_tail(&job->link, &queue->waiting);
		update_ready(queue);
		push_ready(class);
	}
	spin_unlock_irqrestore(&class->lock, flags);
	complete_jobs(&done);
}

void tandem_engine_unblock(struct tandem_job *job, int error)
{
	struct tandem_engine_class *class = job->queue->class;
	unsigned long flags;

	spin_lock_irqsave(&class->lock, flags);
	if (job->state == TANDEM_JOB_DONE)
		goto unlock;
	if (job->state == TANDEM_JOB_WAITING)
		trace_tandem_job_unblock(job, error);
	if (error) {
		/* It stays blocked, since it is not to begin. */
		job->cancelled = true;
		if (job->state == TANDEM_JOB_WAITING)
			tandem_job_cancel_later(job);
		goto unlock;
	}
	job->blocked = false;
	if (job->state == TANDEM_JOB_WAITING) {
		update_ready(job->queue);
		push_ready(class);
	}
unlock:
	spin_unlock_irqrestore(&class->lock, flags);
}

/*
 * The lock is held: once the job has ended, its number on the ring can be that of
 * another's.
 */
static void abort_job(struct tandem_job *job)
{
	job->aborting = true;
	tandem_job_abort(job);
}

/* The lock is held. */
static void job_cancel(struct tandem_job *job, struct list_head *done)
{
	job->cancelled = true;
	trace_tandem_job_cancel(job);
	if (job->state == TANDEM_JOB_WAITING)
		end_job_with(job, -ECANCELED, done);
	else if (job->state == TANDEM_JOB_RUNNING && !job->aborting)
		abort_job(job);
}

void tandem_engine_cancel(struct tandem_job *job)
{
	struct tandem_engine_class *class = job->queue->class;
	unsigned long flags;
	LIST_HEAD(done);

	spin_lock_irqsave(&class->lock, flags);
	job_cancel(job, &done);
	push_ready(class);
	spin_unlock_irqrestore(&class->lock, flags);
	complete_jobs(&done);
}

unsigned int tandem_engine_cancel_cookie(struct tandem_queue *queue,
					 u64 cookie)
{
	struct tandem_engine_class *class = queue->class;
	struct tandem_job *job, *next;
	unsigned int count = 0;
	unsigned long flags;
	LIST_HEAD(done);

	spin_lock_irqsave(&class->lock, flags);
	list_for_each_entry_safe(job, next, &queue->waiting, link) {
		if (job->cookie == cookie) {
			job_cancel(job, &done);
			count++;
		}
	}
	list_for_each_entry(job, &queue->running, link) {
		if (job->cookie == cookie && !job->aborting) {
			job_cancel(job, &done);
			count++;
		}
	}
	push_ready(class);
	spin_unlock_irqrestore(&class->lock, flags);
	complete_jobs(&done);
	return count;
}

void tandem_engine_end_banned(struct tandem_device *tdev)
{
	struct tandem_engine_class *class;
	struct tandem_queue *queue;
	unsigned long flags;
	LIST_HEAD(done);
	u32 i;

	for (i = 0; i < ARRAY_SIZE(tdev->classes); i++) {
		class = &tdev->classes[i];
		spin_lock_irqsave(&class->lock, flags);
		list_for_each_entry(queue, &class->queues, class_link) {
			if (tandem_context_is_banned(queue->context))
				end_waiting(queue, -EIO, &done);
		}
		spin_unlock_irqrestore(&class->lock, flags);
	}
	complete_jobs(&done);
}

void tandem_engine_open_queue(struct tandem_queue *queue)
{
	struct tandem_engine_class *class = queue->class;
	unsigned long flags;

	spin_lock_irqsave(&class->lock, flags);
	list_add_tail(&queue->class_link, &class->queues);
	spin_unlock_irqrestore(&class->lock, flags);
}

void tandem_engine_close_queue(struct tandem_queue *queue)
{
	struct tandem_engine_class *class = queue->class;
	unsigned long flags;
	LIST_HEAD(done);

	spin_lock_irqsave(&class->lock, flags);
	queue->closed = true;
	end_waiting(queue, -ECANCELED, &done);
	list_del_init(&queue->class_link);
	spin_unlock_irqrestore(&class->lock, flags);
	complete_jobs(&done);
}

void tandem_engine_poll(struct tandem_engine *engine)
{
	struct tandem_engine_class *class = class_of(engine);
	bool missed;

	if (!class)
		return;
	spin_lock_irq(&class->lock);
	missed = engine->running && tandem_ring_missed(&engine->ring);
	spin_unlock_irq(&class->lock);
	if (!missed)
		return;
	dev_warn_ratelimited(engine->tdev->dev,
			     "queue %u: completions without an interrupt\n",
			     engine->index + 1);
	tandem_engine_interrupt(engine);
}

bool tandem_engine_watch(struct tandem_engine *engine)
{
	struct tandem_engine_class *class = class_of(engine);
	bool alive = true, late = false;
	struct tandem_job *job;
	unsigned long flags;
	u16 command_id = 0;

	if (!class)
		return true;
	spin_lock_irqsave(&class->lock, flags);
	job = engine->running ? tandem_ring_oldest(&engine->ring) : NULL;
	if (!job) {
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
		abort_job(job);
		late = true;
		command_id = tandem_job_command_id(job);
	}
	spin_unlock_irqrestore(&class->lock, flags);

	if (late)
		dev_warn_ratelimited(engine->tdev->dev,
				     "queue %u: command %u takes longer than %u ms: aborting it\n",
				     engine->ring.queue, command_id,
				     jiffies_to_msecs(tandem_command_timeout()));
	return alive;
}
