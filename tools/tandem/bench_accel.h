/* SPDX-License-Identifier: MIT */
/*
 * An accel device as benchmarks of the driver use it: the bare interface, so
 * that nothing but the driver is measured.
 */
#ifndef TANDEM_BENCH_ACCEL_H
#define TANDEM_BENCH_ACCEL_H

#include <stdbool.h>
#include <stdint.h>

#include <liburing.h>

#include <drm/tandem_accel.h>
#include <tandem/error.h>

/* The deepest that a ring of a benchmark is filled. */
#define BENCH_DEPTH_MAX	64

/**
 * struct bench_accel - a file of the device with a context and a queue
 * @node: path, for messages
 * @fd: file
 * @context: of the file
 * @queue: of @context, kind COPY
 */
struct bench_accel {
	char node[64];
	int fd;
	uint32_t context;
	uint32_t queue;
};

/**
 * struct bench_work - what a ring or the ioctl is kept busy with
 * @op: one of TANDEM_URING_*, or 0 for io_uring's own NOP
 * @command: with @op, but for the queue
 */
struct bench_work {
	uint32_t op;
	struct tandem_uring_command command;
};

/**
 * struct bench_pace - how fast work was
 * @count: commands
 * @seconds: from the first submission to the last completion
 * @device_seconds: sum of the times that the device reported
 */
struct bench_pace {
	uint64_t count;
	double seconds;
	double device_seconds;
};

/* All of these return 0, or a negative errno having filled in @error. */
int bench_accel_open(struct bench_accel *accel, const char *device, struct tandem_error *error);
/* A new object and a region of it, for reading and writing. */
int bench_accel_region(struct bench_accel *accel, uint64_t size, uint32_t *region,
		       struct tandem_error *error);
void bench_accel_close(struct bench_accel *accel);
/* 0 for a parameter that the driver does not know. */
uint64_t bench_accel_param(const struct bench_accel *accel, uint32_t param);

/* @sqpoll: with a thread of the kernel's that takes submissions. */
int bench_ring_open(struct io_uring *ring, bool sqpoll, struct tandem_error *error);

/*
 * Carry out @count pieces of work with @depth of them under way. A device that
 * does not answer ends it with -ETIMEDOUT after some time.
 */
int bench_ring_run(struct bench_accel *accel, struct io_uring *ring,
		   const struct bench_work *work, unsigned int depth, uint64_t count,
		   struct bench_pace *pace, struct tandem_error *error);
/* The same one after the other, by DRM_IOCTL_TANDEM_SUBMIT. */
int bench_ioctl_run(struct bench_accel *accel, const struct bench_work *work, uint64_t count,
		    struct bench_pace *pace, struct tandem_error *error);

#endif /* TANDEM_BENCH_ACCEL_H */
