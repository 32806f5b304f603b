// SPDX-License-Identifier: GPL-2.0
#include <linux/jiffies.h>
#include <linux/slab.h>

#include "tandem_context.h"
#include "tandem_device.h"
#include "tandem_engine.h"
#include "tandem_file.h"
#include "tandem_job.h"
#include "tandem_queue.h"
#include "tandem_trace.h"

static void cancel_job(struct work_struct *work)
{
	struct tandem_job *job = container_of(work, struct tandem_job,
					      cancel_work);

	tandem_engine_cancel(job);
	tandem_job_put(job);
}

static void release_and_put(struct work_struct *work)
{
	struct tandem_job *job = container_of(work, struct tandem_job,
					      release_work);

	tandem_job_release(job);
	tandem_job_put(job);
}

struct tandem_job *tandem_job_create(struct tandem_queue *queue)
{
	struct tandem_job *job;

	job = kzalloc(sizeof(*job), GFP_KERNEL_ACCOUNT);
	if (!job)
		return NULL;
	kref_init(&job->ref);
	job->queue = queue;
	INIT_LIST_HEAD(&job->link);
	INIT_WORK(&job->cancel_work, cancel_job);
	INIT_WORK(&job->release_work, release_and_put);
	INIT_LIST_HEAD(&job->flight_link);
	return job;
}

static void release_job(struct kref *ref)
{
	struct tandem_job *job = container_of(ref, struct tandem_job, ref);

	tandem_queue_put(job->queue);
	kfree(job);
}

void tandem_job_get(struct tandem_job *job)
{
	kref_get(&job->ref);
}

void tandem_job_put(struct tandem_job *job)
{
	kref_put(&job->ref, release_job);
}

int tandem_job_map(struct tandem_job *job)
{
	struct tandem_device *tdev = job->queue->context->tdev;

	if (job->user.pages)
		return tandem_user_map(tdev, &job->user);
	return tandem_list_map(tdev, &job->list);
}

static void submit_with_fences(struct tandem_job *job)
{
	struct tandem_queue *queue = job->queue;
	bool cookie;

	/* The job may be gone when the queue is unlocked. */
	tandem_queue_get(queue);
	mutex_lock(&queue->submit_lock);
	cookie = dma_fence_begin_signalling();
	tandem_fence_publish(job);
	tandem_engine_submit(job);
	dma_fence_end_signalling(cookie);
	mutex_unlock(&queue->submit_lock);
	tandem_queue_put(queue);
}

void tandem_job_submit(struct tandem_job *job)
{
	if (tandem_fence_needed(&job->fences))
		submit_with_fences(job);
	else
		tandem_engine_submit(job);
}

void tandem_job_cancel_later(struct tandem_job *job)
{
	tandem_job_get(job);
	if (!queue_work(tandem_release_wq, &job->cancel_work))
		tandem_job_put(job);
}

void tandem_job_release(struct tandem_job *job)
{
	struct tandem_device *tdev = job->queue->context->tdev;

	tandem_user_release(tdev, &job->user);
	tandem_list_release(tdev, &job->list);
}

void tandem_job_forget(struct tandem_job *job)
{
	if (job->user.pages || job->list.count)
		queue_work(tandem_release_wq, &job->release_work);
	else
		tandem_job_put(job);
}

void tandem_job_discard(struct tandem_job *job)
{
	tandem_fence_discard(job);
	tandem_job_release(job);
	tandem_job_put(job);
}

const char *tandem_job_operation(const struct tandem_job *job)
{
	static const char * const names[] = {
		[TANDEM_HW_OP_NOP] = "NOP",
		[TANDEM_HW_OP_COPY] = "COPY",
		[TANDEM_HW_OP_FILL] = "FILL",
		[TANDEM_HW_OP_EXEC] = "EXEC",
		[TANDEM_HW_OP_COPY_LIST] = "COPY_LIST",
	};
	u8 opcode = job->descriptor.opcode;

	return opcode < ARRAY_SIZE(names) ? names[opcode] : "?";
}

void tandem_job_estimate(struct tandem_job *job)
{
	const struct tandem_hw_descriptor *descriptor = &job->descriptor;
	u64 length = le64_to_cpu(descriptor->length);

	job->schedule.units = 1;
	switch (descriptor->opcode) {
	case TANDEM_HW_OP_COPY:
		job->schedule.work = TANDEM_SCHEDULE_COPY;
		job->schedule.units += length / PAGE_SIZE;
		break;
	case TANDEM_HW_OP_FILL:
		job->schedule.work = TANDEM_SCHEDULE_FILL;
		job->schedule.units += length / PAGE_SIZE;
		break;
	case TANDEM_HW_OP_COPY_LIST:
		job->schedule.work = TANDEM_SCHEDULE_LIST;
		job->schedule.units = max(job->list.pages, 1);
		break;
	case TANDEM_HW_OP_EXEC:
		job->schedule.work = TANDEM_SCHEDULE_PROGRAM;
		break;
	default:
		job->schedule.work = TANDEM_SCHEDULE_NOP;
	}
}

static int result_of(const struct tandem_job *job, u16 status)
{
	switch (status) {
	case TANDEM_HW_OK:
		return 0;
	case TANDEM_HW_INVALID_OPCODE:
	case TANDEM_HW_INVALID_FIELD:
	case TANDEM_HW_PROGRAM_INVALID:
		return -EINVAL;
	case TANDEM_HW_REGION_FAULT:
		return -EACCES;
	case TANDEM_HW_INVALID_CONTEXT:
		/* It was destroyed before the device took the command up. */
		return -ECANCELED;
	case TANDEM_HW_ABORTED:
		return job->timed_out ? -ETIMEDOUT : -ECANCELED;
	case TANDEM_HW_NO_MEMORY:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

/* The device's times, as far as they can be true. */
static u64 report_of(const struct tandem_job *job,
		     const struct tandem_completion *completion, u64 now)
{
	const struct tandem_clock *clock = &job->engine->clock;
	u64 handed = ktime_to_ns(job->started);
	u64 ended = clamp(tandem_clock_to_host(clock, completion->ended_ns),
			  handed, now);

	switch (job->report) {
	case TANDEM_REPORT_STARTED:
		return max(ended - job->duration, handed);
	case TANDEM_REPORT_ENDED:
		return ended;
	case TANDEM_REPORT_MODELLED:
		return completion->modelled_ns;
	default:
		return job->duration;
	}
}

/* The driver has checked what it could: what is left is for the device to see. */
static enum tandem_fault fault_of(const struct tandem_job *job, u16 status)
{
	switch (status) {
	case TANDEM_HW_REGION_FAULT:
		/*
		 * All ranges of the others were in order when they were
		 * submitted. One that is not any more was unmapped meanwhile,
		 * which a context may do.
		 */
		return job->descriptor.opcode == TANDEM_HW_OP_EXEC ?
			TANDEM_FAULT_ACCESS : TANDEM_FAULT_NONE;
	case TANDEM_HW_BUS_FAULT:
		return TANDEM_FAULT_ACCESS;
	case TANDEM_HW_ABORTED:
		return job->timed_out ? TANDEM_FAULT_TIMEOUT :
					TANDEM_FAULT_NONE;
	default:
		return TANDEM_FAULT_NONE;
	}
}

static u64 elapsed_ns(const struct tandem_job *job)
{
	return ktime_to_ns(ktime_sub(ktime_get(), job->started));
}

u64 tandem_job_occupied_ns(const struct tandem_job *job)
{
	u64 since = jiffies_to_nsecs(jiffies - job->engine->oldest_since);

	return min(since, elapsed_ns(job));
}

/* The time that the engine spent on a job, which the device only claims. */
static u64 duration_of(const struct tandem_job *job, u64 claimed_ns)
{
	/* The engine stood still for it all the time, whatever it says. */
	if (job->timed_out)
		return tandem_job_occupied_ns(job);
	/* No command can have run for longer than it was there. */
	return min(claimed_ns, elapsed_ns(job));
}

void tandem_job_set_completion(struct tandem_job *job,
			       const struct tandem_completion *completion)
{
	struct tandem_queue *queue = job->queue;
	u64 handed = ktime_to_ns(job->started);
	u64 now = ktime_get_ns();

	tandem_clock_sample(&job->engine->clock, handed, completion->ended_ns,
			    now);
	job->result = result_of(job, completion->status);
	job->fault = fault_of(job, completion->status);
	job->duration = duration_of(job, completion->duration_ns);
	job->detail = completion->status == TANDEM_HW_PROGRAM_INVALID ?
		completion->detail : report_of(job, completion, now);
	atomic64_add(job->duration,
		     &queue->context->file->engine_ns[job->engine->kind]);
}

static void abort_done(struct tandem_admin_command *command, int result)
{
	tandem_job_put(container_of(command, struct tandem_job, abort));
}

void tandem_job_abort(struct tandem_job *job)
{
	struct tandem_engine *engine = job->engine;

	trace_tandem_job_abort(job);
	tandem_job_get(job);
	job->abort = (struct tandem_admin_command) {
		.descriptor = {
			.opcode = TANDEM_HW_OP_ABORT,
			.length = cpu_to_le64(job->number),
			.argument = cpu_to_le64(engine->ring.queue),
		},
		.done = abort_done,
		.timeout = tandem_admin_timeout(),
	};
	tandem_admin_submit(engine->tdev, &job->abort);
}
