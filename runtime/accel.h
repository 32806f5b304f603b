/* SPDX-License-Identifier: MIT */
/*
 * The accel back end: devices of the kernel driver, /dev/accel/accelN.
 *
 *	accel_device.c	opening, closing, and the ops table
 *	accel_fence.c	fences, which are DRM syncobjs with timelines
 *	accel_list.c	which devices there are
 *	accel_memory.c	objects, their handles, regions and mappings
 *	accel_queue.c	queues, and commands as IORING_OP_URING_CMD
 */
#ifndef TANDEM_RUNTIME_ACCEL_H
#define TANDEM_RUNTIME_ACCEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <drm/tandem_accel.h>

#include "device.h"

#define ACCEL_DIRECTORY	"/dev/accel"
#define ACCEL_DRIVER	"tandem"

struct accel_handle;

/**
 * struct accel_device - an open accel node
 * @base: generic part
 * @fd: the node
 * @context: the one context of this opening
 * @lost_poll: the loop's watch for the device's end
 * @handles: GEM handles of this file
 * @cookie: of the last command; makes cookies unique
 */
struct accel_device {
	struct tandem_device base;
	int fd;
	uint32_t context;
	struct loop_poll *lost_poll;
	LIST_HEAD(, accel_handle) handles;
	uint64_t cookie;
};

static inline struct accel_device *to_accel(struct tandem_device *device)
{
	return (struct accel_device *)device;
}

/*
 * accel_device.c
 */

/* GET_PARAM. Return: 0 or -errno. */
int accel_param(struct accel_device *device, uint32_t param, uint32_t index, uint64_t *value);
/* Does that descriptor belong to the tandem driver? */
bool accel_is_tandem(int fd);

/*
 * accel_memory.c
 */

int accel_get_memory_class(struct tandem_device *device, uint32_t index,
			   struct tandem_memory_class *memory_class);
int accel_memory_alloc(struct tandem_device *device, uint64_t size, uint32_t index,
		       bool shareable, struct tandem_memory **memory,
		       struct tandem_error *error);
int accel_memory_share(struct tandem_memory *memory, struct tandem_device *device,
		       struct tandem_memory **shared, struct tandem_error *error);
void accel_memory_free(struct tandem_memory *memory);
int accel_memory_map(struct tandem_memory *memory, void **pointer);
int accel_memory_export(struct tandem_memory *memory);
int accel_memory_import(struct tandem_device *device, int fd, uint64_t size, bool writable,
			struct tandem_memory **memory, struct tandem_error *error);
int accel_memory_register(struct tandem_device *device, void *pointer, uint64_t size,
			  struct tandem_memory **memory, struct tandem_error *error);

/*
 * accel_fence.c
 */

int accel_fence_create(struct tandem_device *device, struct tandem_fence **fence,
		       struct tandem_error *error);
int accel_fence_share(struct tandem_fence *fence, struct tandem_device *device,
		      struct tandem_fence **shared, struct tandem_error *error);
void accel_fence_destroy(struct tandem_fence *fence);
int accel_fence_value(struct tandem_fence *fence, uint64_t *point);
int accel_fence_signal(struct tandem_fence *fence, uint64_t point);
int accel_fence_arm(struct tandem_fence *fence, uint64_t point, int eventfd, void **armed);
void accel_fence_disarm(struct tandem_fence *fence, void *armed);

/* The syncobj that stands for it in the device's file. */
uint32_t accel_fence_syncobj(const struct tandem_fence *fence);

/**
 * accel_fence_ended() - an operation that was to signal a fence has failed
 * @fence: to be signalled, if the driver never got to know of that
 * @point: the point
 */
void accel_fence_ended(struct tandem_fence *fence, uint64_t point);

/*
 * accel_queue.c
 */

int accel_queue_open(struct tandem_device *device, enum tandem_queue_type type,
		     struct tandem_queue **queue, struct tandem_error *error);
void accel_queue_close(struct tandem_queue *queue);
int accel_queue_submit(struct tandem_queue *queue, const struct device_command *command,
		       struct tandem_operation *op);

#endif /* TANDEM_RUNTIME_ACCEL_H */
