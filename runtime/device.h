/* SPDX-License-Identifier: MIT */
/*
 * Devices, memory and queues from the inside: what the two back ends, accel
 * (the kernel driver) and inproc (the firmware on threads), have in common.
 *
 * The generic files (device.c, memory.c, queue.c) check arguments and keep
 * what an application sees the same; a back end embeds the structures below
 * as the first member of its own.
 */
#ifndef TANDEM_RUNTIME_DEVICE_H
#define TANDEM_RUNTIME_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <tandem/device.h>

#include "loop.h"

struct tandem_device_ops;

/**
 * struct device_watch - somebody of the library who wants to know of the loss
 * @lost: called once from the loop, before the application is told
 * @told: @lost has been called; set by device_watch_add()
 * @entry: in &tandem_device.watches
 */
struct device_watch {
	void (*lost)(struct device_watch *watch);
	bool told;
	LIST_ENTRY(device_watch) entry;
};

/**
 * struct tandem_device - an open device
 * @ops: the back end
 * @loop: where completions arrive
 * @name: as given to tandem_device_open()
 * @user_copy_max: %DEVICE_USER_COPY_MAX; a test may lower it
 * @segments_max: longest list that one command takes, set by the back end; a
 *	test may lower it
 * @lost: gone for good; set by device_lost()
 * @on_lost: the application's, or NULL
 * @on_lost_user: for it
 * @watches: see device_watch_add()
 * @lost_task: calls @watches and @on_lost
 *
 * Belongs to the loop's thread, as everything of it; no lock.
 */
struct tandem_device {
	const struct tandem_device_ops *ops;
	struct tandem_loop *loop;
	char name[64];
	uint64_t user_copy_max;
	uint32_t segments_max;
	bool lost;
	void (*on_lost)(struct tandem_device *device, void *user);
	void *on_lost_user;
	LIST_HEAD(, device_watch) watches;
	struct loop_task lost_task;
};

/**
 * struct tandem_memory - memory of a device, or its view of another's
 * @device: whose context it is mapped into
 * @size: bytes, whole pages but of memory of the process
 * @region: index in that context
 */
struct tandem_memory {
	struct tandem_device *device;
	uint64_t size;
	uint32_t region;
};

/**
 * struct tandem_queue - a queue
 * @device: its device
 * @type: what it takes
 */
struct tandem_queue {
	struct tandem_device *device;
	enum tandem_queue_type type;
};

/* What a command does; see TANDEM_URING_* and TANDEM_HW_OP_*. */
enum device_opcode {
	DEVICE_NOP,
	DEVICE_COPY,
	DEVICE_FILL,
	DEVICE_EXEC,
	DEVICE_COPY_LIST,
};

/* In place of a region: this process's memory, the offset being an address. */
#define DEVICE_REGION_USER	0xffffffffu

/* The longest copy between a device and this process in one command, bytes. */
#define DEVICE_USER_COPY_MAX	(256ull << 20)

/**
 * struct device_command - a command for a queue
 * @opcode: what to do; meaning of the others as in &struct tandem_uring_command
 * @length: bytes; COPY_LIST: segments
 * @segments: COPY_LIST: the list, read before @submit returns
 *
 * What a command does not use is zero.
 */
struct device_command {
	enum device_opcode opcode;
	uint32_t dst_region;
	uint32_t src_region;
	uint64_t dst_offset;
	uint64_t src_offset;
	uint64_t length;
	const struct tandem_copy_segment *segments;
};

/* The back ends, as processes tell each other of them. */
enum device_kind {
	DEVICE_ACCEL = 1,
	DEVICE_INPROC = 2,
};

/**
 * struct tandem_device_ops - a back end
 * @kind: which
 * @close: free the device
 * @get_info: fill in all but the name
 * @get_memory_class: see there
 * @memory_alloc: see tandem_memory_alloc_class(), and with @shareable
 *	tandem_memory_alloc_shareable(); @size is in whole pages
 * @memory_share: see tandem_memory_share(); both devices are of this back end
 * @memory_free: free it; waits for commands that might still use it
 * @memory_map: see tandem_memory_map()
 * @memory_export: see tandem_memory_export()
 * @memory_import: see tandem_memory_import(), and with @writable
 *	tandem_memory_import_dmabuf(); @fd is a dma-buf of @size bytes then
 * @memory_register: see tandem_memory_register()
 * @queue_open: see tandem_queue_open()
 * @queue_close: free it
 * @fence_create: see tandem_fence_create()
 * @fence_share: see tandem_fence_share(); both devices are of this back end
 * @fence_destroy: free it
 * @fence_value: see tandem_fence_value()
 * @fence_signal: see tandem_fence_signal(); the point has been promised
 * @fence_arm: signal an eventfd when all up to a point are signalled; *@armed is
 *	for @fence_disarm
 * @fence_disarm: leave it alone from now on; also after it was signalled
 * @submit: start a command; fence_check() was fine with @op. On success the back end has called
 *	operation_begin_fenced() and will end @op with device_operation_complete() or
 *	operation_post(). Return: 0, -ENOMEM, -ENODEV
 *
 * A back end sets @device and what else is in the generic structures.
 */
struct tandem_device_ops {
	enum device_kind kind;
	void (*close)(struct tandem_device *device);
	int (*get_info)(struct tandem_device *device, struct tandem_device_info *info);
	int (*get_memory_class)(struct tandem_device *device, uint32_t index,
				struct tandem_memory_class *memory_class);
	int (*memory_alloc)(struct tandem_device *device, uint64_t size, uint32_t index,
			    bool shareable, struct tandem_memory **memory,
			    struct tandem_error *error);
	int (*memory_share)(struct tandem_memory *memory, struct tandem_device *device,
			    struct tandem_memory **shared, struct tandem_error *error);
	void (*memory_free)(struct tandem_memory *memory);
	int (*memory_map)(struct tandem_memory *memory, void **pointer);
	int (*memory_export)(struct tandem_memory *memory);
	int (*memory_import)(struct tandem_device *device, int fd, uint64_t size, bool writable,
			     struct tandem_memory **memory, struct tandem_error *error);
	int (*memory_register)(struct tandem_device *device, void *pointer, uint64_t size,
			       struct tandem_memory **memory, struct tandem_error *error);
	int (*queue_open)(struct tandem_device *device, enum tandem_queue_type type,
			  struct tandem_queue **queue, struct tandem_error *error);
	void (*queue_close)(struct tandem_queue *queue);
	int (*fence_create)(struct tandem_device *device, struct tandem_fence **fence,
			    struct tandem_error *error);
	int (*fence_share)(struct tandem_fence *fence, struct tandem_device *device,
			   struct tandem_fence **shared, struct tandem_error *error);
	void (*fence_destroy)(struct tandem_fence *fence);
	int (*fence_value)(struct tandem_fence *fence, uint64_t *point);
	int (*fence_signal)(struct tandem_fence *fence, uint64_t point);
	int (*fence_arm)(struct tandem_fence *fence, uint64_t point, int eventfd, void **armed);
	void (*fence_disarm)(struct tandem_fence *fence, void *armed);
	int (*submit)(struct tandem_queue *queue, const struct device_command *command,
		      struct tandem_operation *op);
};

/**
 * device_submit() - start a command on a queue
 * @queue: the queue
 * @command: not longer than the back end takes
 * @op: the application's
 *
 * Return: 0; -ENODEV, -EINVAL when @op is pending, -ENOMEM.
 */
int device_submit(struct tandem_queue *queue, const struct device_command *command,
		  struct tandem_operation *op);

/**
 * device_lost() - a back end has found its device gone
 * @device: marked; its owner is told from the loop
 */
void device_lost(struct tandem_device *device);

/* Have @watch called when @device is lost, until it is removed. */
void device_watch_add(struct tandem_device *device, struct device_watch *watch);
void device_watch_remove(struct device_watch *watch);

/**
 * device_operation_complete() - a command has ended; from within the loop
 * @op: begun by the back end
 * @result: of the command
 * @device_ns: time that the device spent on it
 */
void device_operation_complete(struct tandem_operation *op, int result, uint64_t device_ns);

/* Set up the generic part of a new, zeroed device; @name fits. */
void device_init(struct tandem_device *device, const struct tandem_device_ops *ops,
		 struct tandem_loop *loop, const char *name);

/* Bytes of a dma-buf; 0 for a file that is none. */
uint64_t device_dmabuf_bytes(int fd);

/*
 * The back ends' ways to open a device. @name is the name as given,
 * @options what follows "accel" or "inproc:" in it.
 */
int accel_device_open(struct tandem_loop *loop, const char *name, const char *options,
		      struct tandem_device **device, struct tandem_error *error);
int inproc_device_open(struct tandem_loop *loop, const char *name, const char *options,
		       struct tandem_device **device, struct tandem_error *error);

#endif /* TANDEM_RUNTIME_DEVICE_H */
