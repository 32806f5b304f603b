// SPDX-License-Identifier: GPL-2.0
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_utils.h>
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/err.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "tandem_accel.h"
#include "tandem_command.h"
#include "tandem_device.h"
#include "tandem_engine.h"
#include "tandem_job.h"
#include "tandem_queue.h"
#include "tandem_submit.h"

/* Bytes from one command to the next, at most: they are all looked at. */
#define STRIDE_MAX	4096
/* In jiffies: how often a wait that signals do not end looks for them. */
#define SIGNAL_INTERVAL	((long)msecs_to_jiffies(20))

static_assert(sizeof(struct drm_tandem_submit) == 32);
static_assert(sizeof(struct tandem_submit_command) == 96);

/**
 * struct submission - the commands of one call
 * @pending: jobs that have not ended, and are waited for
 * @ended: when there are none
 * @count: jobs
 * @jobs: in the order of submission. A reference is held until they were
 *	submitted; and when they are waited for, until their results were told
 *
 * Belongs to the call.
 */
struct submission {
	atomic_t pending;
	struct completion ended;
	u32 count;
	struct tandem_job *jobs[] __counted_by(count);
};

static struct tandem_submit_command __user *
user_command(const struct drm_tandem_submit *args, u32 index)
{
	/* Does not overflow: was checked. */
	return u64_to_user_ptr(args->commands + (u64)index * args->stride);
}

static int check_arguments(const struct drm_tandem_submit *args)
{
	u64 end;

	if (args->flags & ~TANDEM_SUBMIT_WAIT || args->pad)
		return -EINVAL;
	if (args->deadline_ns && !(args->flags & TANDEM_SUBMIT_WAIT))
		return -EINVAL;
	if (!args->count || args->count > TANDEM_SUBMIT_MAX)
		return -EINVAL;
	if (args->stride < sizeof(struct tandem_submit_command) ||
	    args->stride > STRIDE_MAX || args->stride % 8)
		return -EINVAL;
	if (check_add_overflow(args->commands,
			       (u64)args->count * args->stride, &end))
		return -EFAULT;
	return 0;
}

static int read_command(const struct drm_tandem_submit *args, u32 index,
			struct tandem_submit_command *command)
{
	int ret;

	ret = copy_struct_from_user(command, sizeof(*command),
				    user_command(args, index), args->stride);
	if (ret)
		return ret == -E2BIG ? -EINVAL : ret;
	if (command->op == TANDEM_URING_CANCEL && args->count > 1)
		return -EINVAL;
	return tandem_command_check(command->op, &command->command);
}

/* All commands, checked as far as they can be by themselves. */
static struct tandem_submit_command *
read_commands(const struct drm_tandem_submit *args)
{
	struct tandem_submit_command *commands;
	int ret;
	u32 i;

	commands = kvmalloc_array(args->count, sizeof(*commands),
				  GFP_KERNEL_ACCOUNT);
	if (!commands)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < args->count; i++) {
		ret = read_command(args, i, &commands[i]);
		if (ret) {
			kvfree(commands);
			return ERR_PTR(ret);
		}
	}
	return commands;
}

static int tell_result(const struct drm_tandem_submit *args, u32 index,
		       int result, u64 report)
{
	struct tandem_submit_command __user *to = user_command(args, index);

	if (put_user(result, &to->result) || put_user(report, &to->report))
		return -EFAULT;
	return 0;
}

static void discard_jobs(struct submission *submission)
{
	u32 i;

	for (i = 0; i < submission->count; i++)
		tandem_job_discard(submission->jobs[i]);
}

static int prepare_jobs(struct submission *submission, struct drm_file *filp,
			const struct tandem_submit_command *commands, u32 count)
{
	struct tandem_job *job;
	u32 i;

	for (i = 0; i < count; i++) {
		job = fatal_signal_pending(current) ? ERR_PTR(-EINTR) :
			tandem_command_prepare(filp, commands[i].op,
					       &commands[i].command);
		if (IS_ERR(job)) {
			discard_jobs(submission);
			return PTR_ERR(job);
		}
		submission->count = i + 1;
		submission->jobs[i] = job;
		cond_resched();
	}
	return 0;
}

static void awaited_job_ended(struct tandem_job *job)
{
	struct submission *submission = job->private;

	if (atomic_dec_and_test(&submission->pending))
		complete(&submission->ended);
}

/* All or none. Without @wait, the references to the jobs go over. */
static int submit_jobs(struct tandem_device *tdev,
		       struct submission *submission, bool wait)
{
	struct tandem_job *job;
	int ret = 0, cookie;
	u32 i;

	if (!drm_dev_enter(&tdev->drm, &cookie))
		return -ENODEV;
	if (tandem_device_is_dead(tdev))
		ret = -ENODEV;
	for (i = 0; i < submission->count && !ret; i++)
		ret = tandem_job_map(submission->jobs[i]);
	if (ret)
		goto exit_device;

	atomic_set(&submission->pending, submission->count);
	for (i = 0; i < submission->count; i++) {
		job = submission->jobs[i];
		job->complete = wait ? awaited_job_ended : tandem_job_forget;
		job->private = wait ? submission : NULL;
		tandem_job_submit(job);
	}
exit_device:
	drm_dev_exit(cookie);
	return ret;
}

/*
 * When io_uring has something to finish in this thread, that interrupts waits as
 * a signal does, and stays so, since it cannot be done from here. It leaves waits
 * for fatal signals alone: then others have to be looked for now and then.
 */
static long wait_looking_for_signals(struct submission *submission,
				     long timeout)
{
	bool limited = timeout != MAX_SCHEDULE_TIMEOUT;
	long step, ret;

	while (timeout) {
		if (task_sigpending(current))
			return -ERESTARTSYS;
		step = min(timeout, SIGNAL_INTERVAL);
		ret = wait_for_completion_killable_timeout(&submission->ended,
							   step);
		if (ret)
			return ret;
		if (limited)
			timeout -= step;
	}
	return 0;
}

static long jiffies_until(u64 deadline_ns)
{
	if (!deadline_ns || deadline_ns > S64_MAX)
		return MAX_SCHEDULE_TIMEOUT;
	return drm_timeout_abs_to_jiffies(deadline_ns);
}

/* More than 0 when all have ended; 0 at the deadline; -ERESTARTSYS. */
static long wait_until(struct submission *submission, u64 deadline_ns)
{
	long ret;

	ret = wait_for_completion_interruptible_timeout(&submission->ended,
							jiffies_until(deadline_ns));
	if (ret != -ERESTARTSYS)
		return ret;
	return wait_looking_for_signals(submission, jiffies_until(deadline_ns));
}

/* Returns when all have ended: 0, or -EINTR when a signal has ended them. */
static int wait_for_jobs(struct submission *submission, u64 deadline_ns)
{
	struct tandem_job *job;
	long ret;
	u32 i;

	ret = wait_until(submission, deadline_ns);
	if (ret > 0)
		return 0;
	/* The last first, or else the end of one would let the next begin. */
	for (i = submission->count; i--;) {
		job = submission->jobs[i];
		tandem_engine_cancel(job);
	}
	/* Soon: what is aborted has a timeout, too. */
	wait_for_completion(&submission->ended);
	return ret ? -EINTR : 0;
}

static int tell_results(const struct drm_tandem_submit *args,
			struct submission *submission)
{
	struct tandem_job *job;
	int ret = 0;
	u32 i;

	for (i = 0; i < submission->count; i++) {
		job = submission->jobs[i];
		if (tell_result(args, i, job->result, job->detail))
			ret = -EFAULT;
		tandem_job_release(job);
		tandem_job_put(job);
	}
	return ret;
}

static int submit(struct tandem_device *tdev, struct drm_file *filp,
		  const struct drm_tandem_submit *args,
		  const struct tandem_submit_command *commands)
{
	bool wait = args->flags & TANDEM_SUBMIT_WAIT;
	struct submission *submission;
	int ret;

	submission = kvzalloc(struct_size(submission, jobs, args->count),
			      GFP_KERNEL_ACCOUNT);
	if (!submission)
		return -ENOMEM;
	init_completion(&submission->ended);
	ret = prepare_jobs(submission, filp, commands, args->count);
	if (ret)
		goto free_submission;
	ret = submit_jobs(tdev, submission, wait);
	if (ret) {
		discard_jobs(submission);
		goto free_submission;
	}
	if (wait) {
		ret = wait_for_jobs(submission, args->deadline_ns);
		ret = tell_results(args, submission) ?: ret;
	}
free_submission:
	kvfree(submission);
	return ret;
}

static int cancel(struct drm_file *filp, const struct drm_tandem_submit *args,
		  const struct tandem_submit_command *command)
{
	int ret;

	ret = tandem_command_cancel(filp, &command->command);
	if (!ret && args->flags & TANDEM_SUBMIT_WAIT)
		ret = tell_result(args, 0, 0, 0);
	return ret;
}

int tandem_ioctl_submit(struct drm_device *drm, void *data,
			struct drm_file *filp)
{
	struct tandem_device *tdev = to_tandem_device(drm);
	struct tandem_submit_command *commands;
	struct drm_tandem_submit *args = data;
	int ret;

	ret = check_arguments(args);
	if (ret)
		return ret;
	commands = read_commands(args);
	if (IS_ERR(commands))
		return PTR_ERR(commands);
	if (commands->op == TANDEM_URING_CANCEL)
		ret = cancel(filp, args, commands);
	else
		ret = submit(tdev, filp, args, commands);
	kvfree(commands);
	return ret;
}
