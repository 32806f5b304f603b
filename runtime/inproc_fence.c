// SPDX-License-Identifier: MIT
/*
 * Fences of inproc devices. They behave as the kernel's do: a point is reached
 * when it and all before it were signalled; of several errors it is the point's
 * own that counts; and the last point is remembered with its error.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "error.h"
#include "inproc.h"

/**
 * struct inproc_point - a point that somebody was told to signal
 * @entry: in &inproc_line.points
 * @point: the number
 * @references: of the list, of who is to signal it, and of those who wait
 * @result: of what signalled it
 * @ended: it was signalled
 * @reached: all before it were, too
 *
 * Under the timeline's lock.
 */
struct inproc_point {
	TAILQ_ENTRY(inproc_point) entry;
	uint64_t point;
	unsigned int references;
	int result;
	bool ended;
	bool reached;
};

/**
 * struct inproc_line - a timeline
 * @base: generic part
 * @lock: of all that follows, since views belong to devices on other threads
 * @points: in order; those that are not reached, and the last that is
 * @waiters: all of them
 * @value: the last point that was reached
 */
struct inproc_line {
	struct fence_line base;
	pthread_mutex_t lock;
	TAILQ_HEAD(inproc_points, inproc_point) points;
	LIST_HEAD(, inproc_waiter) waiters;
	uint64_t value;
};

/**
 * struct armed_eventfd - an eventfd that is signalled when a point is reached
 * @waiter: with the timeline
 * @line: the timeline
 * @point: the point
 * @eventfd: the loop's
 */
struct armed_eventfd {
	struct inproc_waiter waiter;
	struct inproc_line *line;
	uint64_t point;
	int eventfd;
};

static struct inproc_line *line_of(const struct tandem_fence *fence)
{
	return (struct inproc_line *)fence->line;
}

static void point_put(struct inproc_point *point)
{
	if (!--point->references)
		free(point);
}

/* The timeline has come further. */
static void line_advance(struct inproc_line *line)
{
	struct inproc_point *point, *before = NULL;
	struct inproc_waiter *waiter;

	TAILQ_FOREACH(point, &line->points, entry) {
		if (!point->ended)
			break;
		point->reached = true;
		if (point->point > line->value)
			line->value = point->point;
		if (before) {
			TAILQ_REMOVE(&line->points, before, entry);
			point_put(before);
		}
		before = point;
	}
	LIST_FOREACH(waiter, &line->waiters, entry)
		waiter->wake(waiter);
}

struct inproc_point *inproc_fence_add(struct tandem_fence *fence, uint64_t number)
{
	struct inproc_line *line = line_of(fence);
	struct inproc_point *new = calloc(1, sizeof(*new));
	struct inproc_point *before;

	if (!new)
		return NULL;
	new->point = number;
	new->references = 2;
	pthread_mutex_lock(&line->lock);
	/* Almost always the last. Another thread may have been quicker. */
	TAILQ_FOREACH_REVERSE(before, &line->points, inproc_points, entry)
		if (before->point < number)
			break;
	if (before)
		TAILQ_INSERT_AFTER(&line->points, before, new, entry);
	else
		TAILQ_INSERT_HEAD(&line->points, new, entry);
	pthread_mutex_unlock(&line->lock);
	return new;
}

void inproc_point_end(struct tandem_fence *fence, struct inproc_point *point, int result)
{
	struct inproc_line *line = line_of(fence);

	pthread_mutex_lock(&line->lock);
	point->ended = true;
	point->result = result;
	line_advance(line);
	point_put(point);
	pthread_mutex_unlock(&line->lock);
}

int inproc_point_state(struct tandem_fence *fence, const struct inproc_point *point)
{
	struct inproc_line *line = line_of(fence);
	int state;

	pthread_mutex_lock(&line->lock);
	state = point->reached ? point->result : 1;
	pthread_mutex_unlock(&line->lock);
	return state;
}

struct inproc_point *inproc_fence_find(struct tandem_fence *fence, uint64_t number,
				       struct inproc_waiter *waiter)
{
	struct inproc_line *line = line_of(fence);
	struct inproc_point *point;

	pthread_mutex_lock(&line->lock);
	TAILQ_FOREACH(point, &line->points, entry)
		if (point->point >= number)
			break;
	if (point) {
		point->references++;
		LIST_INSERT_HEAD(&line->waiters, waiter, entry);
	}
	pthread_mutex_unlock(&line->lock);
	return point;
}

void inproc_fence_forget(struct tandem_fence *fence, struct inproc_point *point,
			 struct inproc_waiter *waiter)
{
	struct inproc_line *line = line_of(fence);

	pthread_mutex_lock(&line->lock);
	LIST_REMOVE(waiter, entry);
	point_put(point);
	pthread_mutex_unlock(&line->lock);
}

static int fence_failed(struct tandem_device *device, struct tandem_error *error)
{
	return tandem_error_set(error, -ENOMEM, "%s: cannot make a fence: out of memory",
				device->name);
}

int inproc_fence_create(struct tandem_device *device, struct tandem_fence **fence,
			struct tandem_error *error)
{
	struct tandem_fence *new = calloc(1, sizeof(*new));
	struct inproc_line *line = calloc(1, sizeof(*line));

	if (!new || !line) {
		free(new);
		free(line);
		return fence_failed(device, error);
	}
	pthread_mutex_init(&line->lock, NULL);
	TAILQ_INIT(&line->points);
	LIST_INIT(&line->waiters);
	line->base.references = 1;
	new->device = device;
	new->line = &line->base;
	*fence = new;
	return 0;
}

int inproc_fence_share(struct tandem_fence *fence, struct tandem_device *device,
		       struct tandem_fence **shared, struct tandem_error *error)
{
	struct tandem_fence *new = calloc(1, sizeof(*new));

	if (!new)
		return fence_failed(device, error);
	new->device = device;
	new->line = fence->line;
	atomic_fetch_add(&fence->line->references, 1);
	*shared = new;
	return 0;
}

void inproc_fence_destroy(struct tandem_fence *fence)
{
	struct inproc_line *line = line_of(fence);
	struct inproc_point *point;

	free(fence);
	if (atomic_fetch_sub(&line->base.references, 1) != 1)
		return;
	while ((point = TAILQ_FIRST(&line->points))) {
		TAILQ_REMOVE(&line->points, point, entry);
		point_put(point);
	}
	pthread_mutex_destroy(&line->lock);
	free(line);
}

int inproc_fence_value(struct tandem_fence *fence, uint64_t *point)
{
	struct inproc_line *line = line_of(fence);

	pthread_mutex_lock(&line->lock);
	*point = line->value;
	pthread_mutex_unlock(&line->lock);
	return 0;
}

int inproc_fence_signal(struct tandem_fence *fence, uint64_t number)
{
	struct inproc_point *point = inproc_fence_add(fence, number);

	if (!point)
		return -ENOMEM;
	inproc_point_end(fence, point, 0);
	return 0;
}

static void signal_eventfd(struct inproc_waiter *waiter)
{
	struct armed_eventfd *armed = (struct armed_eventfd *)waiter;
	uint64_t one = 1;

	if (armed->line->value >= armed->point)
		(void)!write(armed->eventfd, &one, sizeof(one));
}

int inproc_fence_arm(struct tandem_fence *fence, uint64_t point, int eventfd, void **armed)
{
	struct inproc_line *line = line_of(fence);
	struct armed_eventfd *new = malloc(sizeof(*new));

	if (!new)
		return -ENOMEM;
	new->waiter.wake = signal_eventfd;
	new->line = line;
	new->point = point;
	new->eventfd = eventfd;
	pthread_mutex_lock(&line->lock);
	LIST_INSERT_HEAD(&line->waiters, &new->waiter, entry);
	signal_eventfd(&new->waiter);
	pthread_mutex_unlock(&line->lock);
	*armed = new;
	return 0;
}

void inproc_fence_disarm(struct tandem_fence *fence, void *armed)
{
	struct inproc_line *line = line_of(fence);
	struct armed_eventfd *old = armed;

	pthread_mutex_lock(&line->lock);
	LIST_REMOVE(&old->waiter, entry);
	pthread_mutex_unlock(&line->lock);
	free(old);
}
