/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A job: one command of a user, from its submission to its end.
 */
#ifndef _TANDEM_JOB_H
#define _TANDEM_JOB_H

#include <linux/kref.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/workqueue.h>

#include "tandem_accel.h"
#include "tandem_admin.h"
#include "tandem_ban.h"
#include "tandem_fence.h"
#include "tandem_hw.h"
#include "tandem_list.h"
#include "tandem_ring.h"
#include "tandem_schedule.h"
#include "tandem_user.h"

struct tandem_engine;
struct tandem_queue;

/**
 * enum tandem_job_state - where a job is
 * @TANDEM_JOB_NEW: not submitted yet
 * @TANDEM_JOB_WAITING: on its queue's list of waiting jobs
 * @TANDEM_JOB_RUNNING: on the ring, and on its queue's list of running jobs
 * @TANDEM_JOB_DONE: ended, or about to be completed
 */
enum tandem_job_state {
	TANDEM_JOB_NEW,
	TANDEM_JOB_WAITING,
	TANDEM_JOB_RUNNING,
	TANDEM_JOB_DONE,
};

/**
 * struct tandem_job - a command
 * @ref: held by the submitter until completion, and by an abort on its way
 * @queue: that it belongs to; holds a reference
 * @descriptor: what the device gets to see; regions of user memory, and where
 *	a list is, are filled in when it is put on the ring
 * @user: memory of the user's that is mapped for it, if any
 * @user_is_dst: @user is the destination, and not the source
 * @list: segments to copy, if any
 * @id: ties what is said of the job together; unique on the device. Given, like
 *	@submitted, when it is submitted to the engine, under its lock
 * @submitted: when that was
 * @fences: that it waits for, and that its end signals
 * @report: &enum tandem_report, what @detail is to be
 * @cookie: by which a user may cancel it
 * @complete: called once when it has ended, in any context, without locks; must
 *	not sleep. Takes over the submitter's reference
 * @private: for @complete
 * @schedule: what it is for the schedule
 * @state: &enum tandem_job_state; this and all below guarded by the lock of the
 *	queue's class until completion
 * @blocked: it waits for a fence, and later jobs of the queue for it
 * @cancelled: someone wants it to end early, or its fence failed
 * @timed_out: it was aborted since it took too long
 * @aborting: @abort is in use
 * @stuck: it did not end although it was aborted
 * @link: as @state says; or on a list of jobs that are to be completed
 * @flight_link: in &tandem_engine.in_flight while it is running
 * @suspicions: how often the device had to be reset while it was the oldest job
 *	of its engine, and no other was known to be the cause
 * @engine: that it is, or was, on the ring of
 * @number: on the ring, see tandem_ring_push()
 * @user_slot: index in the region table while @user is mapped there
 * @started: when it was put on the ring
 * @fault: &enum tandem_fault, to be held against the context
 * @result: 0 or negative errno
 * @detail: for the user, beside @result: as @report says, or why the device
 *	refused a program; 0 when the device had no part in it
 * @duration: time that the engine spent on it, in nanoseconds
 * @abort: the command that aborts it
 * @cancel_work: cancels it, from where that cannot be done
 * @release_work: releases and puts it, likewise
 */
struct tandem_job {
	struct kref ref;
	struct tandem_queue *queue;
	struct tandem_hw_descriptor descriptor;
	struct tandem_user_memory user;
	bool user_is_dst;
	struct tandem_list list;
	u64 id;
	ktime_t submitted;
	struct tandem_fences fences;
	enum tandem_report report;
	u64 cookie;
	void (*complete)(struct tandem_job *job);
	void *private;

	struct tandem_schedule_job schedule;
	enum tandem_job_state state;
	bool blocked;
	bool cancelled;
	bool timed_out;
	bool aborting;
	bool stuck;
	struct list_head link;
	struct list_head flight_link;
	unsigned int suspicions;
	struct tandem_engine *engine;
	u32 number;
	u32 user_slot;
	ktime_t started;
	enum tandem_fault fault;
	int result;
	u64 detail;
	u64 duration;
	struct tandem_admin_command abort;
	struct work_struct cancel_work;
	struct work_struct release_work;
};

/* A job of @queue, of which the caller's reference goes over. Or NULL. */
struct tandem_job *tandem_job_create(struct tandem_queue *queue);
void tandem_job_get(struct tandem_job *job);
void tandem_job_put(struct tandem_job *job);

/*
 * Lets the device reach what the job needs beside regions. The device is
 * entered. May sleep. Nothing remains to be undone where it fails.
 */
int tandem_job_map(struct tandem_job *job);
/* Hands a mapped job over, which cannot fail: it ends by ->complete. */
void tandem_job_submit(struct tandem_job *job);
/* Lets go of all that has come with a job that has ended. May sleep. */
void tandem_job_release(struct tandem_job *job);
/* For @complete: when nobody waits for the job's end. */
void tandem_job_forget(struct tandem_job *job);
/* Releases and puts a job that was never submitted. May sleep. */
void tandem_job_discard(struct tandem_job *job);

/* By which the device names it when it completes. */
static inline u16 tandem_job_command_id(const struct tandem_job *job)
{
	return job->number;
}

/* What it does, for people. */
const char *tandem_job_operation(const struct tandem_job *job);
/* Before it is submitted: what it is for the schedule. */
void tandem_job_estimate(struct tandem_job *job);
/* The job's end as the device tells it; the lock of the class is held. */
void tandem_job_set_completion(struct tandem_job *job,
			       const struct tandem_completion *completion);
/* For how long the engine has been busy with the oldest job on its ring. */
u64 tandem_job_occupied_ns(const struct tandem_job *job);
/* Cancels the job later: in any context, with locks held. */
void tandem_job_cancel_later(struct tandem_job *job);
/*
 * Aborts a running job for which @aborting was just set, with the lock of the class
 * held. Takes a reference.
 */
void tandem_job_abort(struct tandem_job *job);

#endif /* _TANDEM_JOB_H */
