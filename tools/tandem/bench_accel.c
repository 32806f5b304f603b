// SPDX-License-Identifier: MIT
/* The bare driver interface, for benchmarks. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <xf86drm.h>

#include "bench_accel.h"
#include "failure.h"

/* Longer than the driver lets a command run. */
#define ANSWER_SECONDS	90
/* How long the kernel's thread looks for submissions before it sleeps, in ms. */
#define SQPOLL_IDLE_MS	1000

static int call(struct bench_accel *accel, unsigned long request, void *arguments,
		const char *what, struct tandem_error *error)
{
	if (!drmIoctl(accel->fd, request, arguments))
		return 0;
	return failure(error, -errno, "%s: %s: %s", accel->node, what, strerror(errno));
}

uint64_t bench_accel_param(const struct bench_accel *accel, uint32_t param)
{
	struct drm_tandem_get_param arguments = { .param = param };

	return drmIoctl(accel->fd, DRM_IOCTL_TANDEM_GET_PARAM, &arguments) ? 0 : arguments.value;
}

int bench_accel_open(struct bench_accel *accel, const char *device, struct tandem_error *error)
{
	struct drm_tandem_context_create context = { 0 };
	struct drm_tandem_queue_create queue = { .kind = TANDEM_QUEUE_COPY };
	int ret;

	snprintf(accel->node, sizeof(accel->node), "/dev/accel/%s", device);
	accel->fd = open(accel->node, O_RDWR | O_CLOEXEC);
	if (accel->fd < 0)
		return failure(error, -errno, "%s: %s; `tandem list` shows what there is",
			       accel->node, strerror(errno));
	ret = call(accel, DRM_IOCTL_TANDEM_CONTEXT_CREATE, &context, "cannot make a context",
		   error);
	if (ret)
		goto close;
	queue.context = context.context;
	ret = call(accel, DRM_IOCTL_TANDEM_QUEUE_CREATE, &queue, "cannot make a queue", error);
	if (ret)
		goto close;
	accel->context = context.context;
	accel->queue = queue.queue;
	return 0;

close:
	close(accel->fd);
	return ret;
}

int bench_accel_region(struct bench_accel *accel, uint64_t size, uint32_t *region,
		       struct tandem_error *error)
{
	struct drm_tandem_gem_create object = { .size = size };
	struct drm_gem_close closing = { 0 };
	struct drm_tandem_region_map map;
	int ret;

	ret = call(accel, DRM_IOCTL_TANDEM_GEM_CREATE, &object, "cannot allocate memory", error);
	if (ret)
		return ret;
	map = (struct drm_tandem_region_map){
		.context = accel->context,
		.handle = object.handle,
		.length = size,
		.flags = TANDEM_REGION_READ | TANDEM_REGION_WRITE,
	};
	ret = call(accel, DRM_IOCTL_TANDEM_REGION_MAP, &map, "cannot map memory", error);
	/* The region holds the object. */
	closing.handle = object.handle;
	drmIoctl(accel->fd, DRM_IOCTL_GEM_CLOSE, &closing);
	*region = map.region;
	return ret;
}

void bench_accel_close(struct bench_accel *accel)
{
	close(accel->fd);
}

int bench_ring_open(struct io_uring *ring, bool sqpoll, struct tandem_error *error)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SQE128 | IORING_SETUP_CQE32 |
			 (sqpoll ? IORING_SETUP_SQPOLL : 0),
		.sq_thread_idle = SQPOLL_IDLE_MS,
	};
	int ret = io_uring_queue_init_params(2 * BENCH_DEPTH_MAX, ring, &params);

	if (ret)
		return failure(error, ret, "io_uring: %s; is kernel.io_uring_disabled set?",
			       strerror(-ret));
	return 0;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void prepare(struct bench_accel *accel, struct io_uring *ring,
		    const struct bench_work *work)
{
	/* There is room: the ring is larger than the depth. */
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct tandem_uring_command *command = (void *)sqe->cmd;

	if (!work->op) {
		io_uring_prep_nop(sqe);
		return;
	}
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, accel->fd, NULL, 0, 0);
	sqe->cmd_op = work->op;
	*command = work->command;
	command->queue = accel->queue;
}

static int submit_and_wait(struct bench_accel *accel, struct io_uring *ring,
			   struct tandem_error *error)
{
	struct __kernel_timespec limit = { .tv_sec = ANSWER_SECONDS };
	struct io_uring_cqe *cqe;
	int ret;

	do
		ret = io_uring_submit_and_wait_timeout(ring, &cqe, 1, &limit, NULL);
	while (ret == -EINTR);
	if (ret == -ETIME)
		return failure(error, -ETIMEDOUT, "%s: no answer within %d s", accel->node,
			       ANSWER_SECONDS);
	return ret < 0 ? failure(error, ret, "io_uring: %s", strerror(-ret)) : 0;
}

int bench_ring_run(struct bench_accel *accel, struct io_uring *ring,
		   const struct bench_work *work, unsigned int depth, uint64_t count,
		   struct bench_pace *pace, struct tandem_error *error)
{
	uint64_t submitted = 0, done = 0;
	struct io_uring_cqe *cqe;
	double start = now();
	int ret;

	*pace = (struct bench_pace){ .count = count };
	while (done < count) {
		for (; submitted < count && submitted - done < depth; submitted++)
			prepare(accel, ring, work);
		ret = submit_and_wait(accel, ring, error);
		if (ret)
			return ret;
		while (!io_uring_peek_cqe(ring, &cqe)) {
			if (cqe->res)
				return failure(error, cqe->res, "%s: a command failed: %s",
					       accel->node, strerror(-cqe->res));
			if (work->op)
				pace->device_seconds += (double)cqe->big_cqe[0] / 1e9;
			io_uring_cqe_seen(ring, cqe);
			done++;
		}
	}
	pace->seconds = now() - start;
	return 0;
}

int bench_ioctl_run(struct bench_accel *accel, const struct bench_work *work, uint64_t count,
		    struct bench_pace *pace, struct tandem_error *error)
{
	struct tandem_submit_command command = { .op = work->op, .command = work->command };
	struct drm_tandem_submit submit = {
		.commands = (uintptr_t)&command,
		.count = 1,
		.stride = sizeof(command),
		.flags = TANDEM_SUBMIT_WAIT,
	};
	double start = now();
	int ret;

	*pace = (struct bench_pace){ .count = count };
	command.command.queue = accel->queue;
	for (uint64_t i = 0; i < count; i++) {
		ret = call(accel, DRM_IOCTL_TANDEM_SUBMIT, &submit, "cannot submit", error);
		if (ret)
			return ret;
		if (command.result)
			return failure(error, command.result, "%s: a command failed: %s",
				       accel->node, strerror(-command.result));
		pace->device_seconds += (double)command.report / 1e9;
	}
	pace->seconds = now() - start;
	return 0;
}
