// SPDX-License-Identifier: MIT
/*
 * Operations from the library's side, and the list of those that have ended
 * without the ring's help.
 */
#include <errno.h>
#include <string.h>

#include "loop.h"
#include "loop_private.h"

/* What the words of tandem_operation.internal hold while it is pending. */
enum {
	OPERATION_CANCEL,	/* loop_cancel_fn; zero: too late for it */
	OPERATION_DATA,		/* see operation_data() */
	OPERATION_NEXT,		/* next posted operation */
	OPERATION_RESULT,	/* result of a posted operation */
};

int operation_begin_fenced(struct tandem_operation *op, loop_cancel_fn cancel, void *data)
{
	if (op->pending)
		return -EINVAL;
	memset(op->internal, 0, sizeof(op->internal));
	op->internal[OPERATION_CANCEL] = (uintptr_t)cancel;
	op->internal[OPERATION_DATA] = (uintptr_t)data;
	op->pending = 1;
	op->result = 0;
	op->device_ns = 0;
	op->modelled_ns = 0;
	return 0;
}

bool operation_may_begin(const struct tandem_operation *op)
{
	return !op->pending && !op->wait.fence && !op->signal.fence;
}

int operation_begin(struct tandem_operation *op, loop_cancel_fn cancel, void *data)
{
	if (!operation_may_begin(op))
		return -EINVAL;
	return operation_begin_fenced(op, cancel, data);
}

void *operation_data(const struct tandem_operation *op)
{
	return (void *)(uintptr_t)op->internal[OPERATION_DATA];
}

void operation_abandon(struct tandem_operation *op)
{
	op->pending = 0;
}

void operation_complete(struct tandem_operation *op, int result)
{
	op->result = result;
	op->pending = 0;
	if (op->done)
		op->done(op);
}

void operation_post(struct tandem_loop *loop, struct tandem_operation *op, int result)
{
	op->internal[OPERATION_CANCEL] = 0;
	op->internal[OPERATION_NEXT] = 0;
	op->internal[OPERATION_RESULT] = result;
	if (loop->posted_last)
		loop->posted_last->internal[OPERATION_NEXT] = (uintptr_t)op;
	else
		loop->posted_first = op;
	loop->posted_last = op;
	loop->posted_count++;
}

void operation_unpost(struct tandem_loop *loop, struct tandem_operation *op)
{
	loop->posted_first = (void *)(uintptr_t)op->internal[OPERATION_NEXT];
	if (!loop->posted_first)
		loop->posted_last = NULL;
	loop->posted_count--;
}

int operation_posted_result(const struct tandem_operation *op)
{
	return (int)op->internal[OPERATION_RESULT];
}

int tandem_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	loop_cancel_fn cancel;

	if (!op->pending)
		return -ENOENT;
	cancel = (loop_cancel_fn)(uintptr_t)op->internal[OPERATION_CANCEL];
	return cancel ? cancel(loop, op) : 0;
}

void loop_task_post(struct tandem_loop *loop, struct loop_task *task)
{
	if (task->posted)
		return;
	task->posted = true;
	task->next = NULL;
	if (loop->tasks_last)
		loop->tasks_last->next = task;
	else
		loop->tasks_first = task;
	loop->tasks_last = task;
	loop->tasks_count++;
}

void loop_task_cancel(struct tandem_loop *loop, struct loop_task *task)
{
	struct loop_task **link = &loop->tasks_first;
	struct loop_task *before = NULL;

	if (!task->posted)
		return;
	while (*link != task) {
		before = *link;
		link = &before->next;
	}
	*link = task->next;
	if (loop->tasks_last == task)
		loop->tasks_last = before;
	loop->tasks_count--;
	task->posted = false;
}
