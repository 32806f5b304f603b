/* SPDX-License-Identifier: MIT */
/*
 * The inproc back end: a firmware core on threads of this process, and this
 * side of it, which plays the driver of tandem_hw.h.
 *
 * Each open device is a device of its own, with its own firmware and memory.
 *
 *	inproc_options.c	what stands behind "inproc:"
 *	inproc_store.c		device memory: pages and who has them
 *	inproc_bus.c		what the device sees of this process
 *	inproc_admin.c		boot, admin queue, shutdown
 *	inproc_fence.c		fences
 *	inproc_memory.c		memory objects and the region table
 *	inproc_queue.c		queues, commands and their completions
 *	inproc_device.c		the ops table, opening and closing
 */
#ifndef TANDEM_RUNTIME_INPROC_H
#define TANDEM_RUNTIME_INPROC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <tandem_hw.h>

#include "device.h"
#include "fence.h"
#include "../firmware-sim/firmware.h"

/* Hardware queues, which are the application's queues one to one. */
#define INPROC_COPY_QUEUES	16
#define INPROC_COMPUTE_QUEUES	8
#define INPROC_QUEUES		(INPROC_COPY_QUEUES + INPROC_COMPUTE_QUEUES)

/* Entries of each queue's rings; more commands wait outside. */
#define INPROC_ENTRIES		256
#define INPROC_ADMIN_ENTRIES	16

/*
 * The region table: first the regions of memory objects, then one for each
 * slot of each queue, for this process's side of an upload or download.
 */
#define INPROC_OBJECT_REGIONS	4096
#define INPROC_REGIONS		(INPROC_OBJECT_REGIONS + INPROC_QUEUES * INPROC_ENTRIES)

/* The one context of an inproc device; entry 0 of the table stays invalid. */
#define INPROC_CONTEXT		1
#define INPROC_CONTEXTS		2

/*
 * inproc_options.c
 */

/**
 * struct inproc_options - what stands behind "inproc:"
 * @profile: name of the modelled part
 * @memory_size: bytes, whole pages
 * @sram_size: bytes of a second class of memory, whole pages; 0 for none
 * @cores: threads of a compute queue
 */
struct inproc_options {
	char profile[32];
	uint64_t memory_size;
	uint64_t sram_size;
	uint32_t cores;
};

/**
 * inproc_options_parse() - read PROFILE[,mem=SIZE][,sram=SIZE][,cores=N]
 * @name: the whole name, for messages
 * @text: what stands behind "inproc:"
 * @options: filled in, with defaults for what is not said
 * @error: filled in on failure
 *
 * Return: 0 or -EINVAL.
 */
int inproc_options_parse(const char *name, const char *text, struct inproc_options *options,
			 struct tandem_error *error);

/*
 * inproc_store.c
 */

struct inproc_store;

/**
 * struct inproc_range - a range of device memory that is in use
 * @store: of which memory; held
 * @entry: in the store's list, ordered by address; under its lock
 * @address: device address, whole pages
 * @size: bytes, whole pages
 * @references: object and views; under the store's lock
 * @fd: the file whose pages these are, for reading by others; -1 for private
 *	pages. Constant while the range is in use
 *
 * Views of it belong to other devices, perhaps on other threads.
 */
struct inproc_range {
	struct inproc_store *store;
	TAILQ_ENTRY(inproc_range) entry;
	uint64_t address;
	uint64_t size;
	unsigned int references;
	int fd;
};

/* Memory for a device, its pages not there before they are used; NULL if none. */
struct inproc_store *inproc_store_create(uint64_t size);
/* The device lets go; ranges may still hold it. */
void inproc_store_put(struct inproc_store *store);
/* Where device address 0 is. */
void *inproc_store_base(struct inproc_store *store);
uint64_t inproc_store_size(struct inproc_store *store);
/* Bytes in use of the addresses from @start to @end. */
uint64_t inproc_store_used(struct inproc_store *store, uint64_t start, uint64_t end);

/*
 * A range from @start to @end that reads as zeros, with a file if @shareable: 0,
 * -ENOSPC, -ENOMEM, or what making the file failed with, such as -EMFILE.
 */
int inproc_range_alloc(struct inproc_store *store, uint64_t start, uint64_t end, uint64_t size,
		       bool shareable, struct inproc_range **range);
void inproc_range_get(struct inproc_range *range);
/* The last one gives the pages back to the system. */
void inproc_range_put(struct inproc_range *range);
void *inproc_range_pointer(struct inproc_range *range);

/*
 * The device
 */

/**
 * struct inproc_window - host memory that the device may reach
 * @base: first byte, or 0
 * @length: bytes
 * @writable: the device may write
 *
 * Written by the loop's thread while nothing that is under way names it, read
 * by the device's.
 */
struct inproc_window {
	_Atomic(uintptr_t) base;
	_Atomic(uint64_t) length;
	_Atomic(bool) writable;
};

/* Window n + 1 lies at bus address (n + 1) << INPROC_WINDOW_SHIFT; 0 is none. */
#define INPROC_WINDOW_SHIFT	40

/* A window for each region, then that of struct inproc_host. */
#define INPROC_HOST_WINDOW	INPROC_REGIONS
#define INPROC_WINDOWS		(INPROC_REGIONS + 1)

/* Memory that driver and device share, in place of dma_alloc_coherent(). */
struct inproc_host {
	struct tandem_hw_descriptor admin_sq[INPROC_ADMIN_ENTRIES];
	struct tandem_hw_completion admin_cq[INPROC_ADMIN_ENTRIES];
	struct tandem_hw_context contexts[INPROC_CONTEXTS];
	struct tandem_hw_region regions[INPROC_REGIONS];
	struct tandem_hw_identity identity;
	struct {
		struct tandem_hw_descriptor sq[INPROC_ENTRIES];
		struct tandem_hw_completion cq[INPROC_ENTRIES];
	} queues[INPROC_QUEUES];
};

/**
 * struct inproc_device - an open device
 * @base: generic part
 * @bus: what the firmware sees
 * @firmware: the device itself
 * @store: its memory
 * @registers: register file and doorbells
 * @host: rings and tables
 * @windows: what else of this process it may reach
 * @doorbells: eventfds that wake the device
 * @interrupts: queues that have completions, one bit each; bit 0: the device
 *	has failed. Set by the device's threads
 * @interrupt_fd: eventfd, signalled when @interrupts ceases to be 0
 * @interrupt_poll: the loop's watch of it
 * @admin_fd: eventfd of interrupt 0, for the thread that waits for it
 * @admin_tail: descriptors written to the admin queue; likewise its
 *	completions consumed, since one command is under way at most
 * @identity: what the device says of itself, checked
 * @regions_used: one bit for each region of an object
 * @queues: by number less 1
 * @in_flight: commands that the device has
 */
struct inproc_device {
	struct tandem_device base;
	struct tandem_fw_bus bus;
	struct tandem_fw *firmware;
	struct inproc_store *store;
	uint8_t *registers;
	struct inproc_host *host;
	struct inproc_window *windows;
	int doorbells[INPROC_QUEUES + 1];
	_Atomic(uint64_t) interrupts;
	int interrupt_fd;
	struct loop_poll *interrupt_poll;
	int admin_fd;
	uint32_t admin_tail;
	struct tandem_hw_identity identity;
	uint64_t regions_used[INPROC_OBJECT_REGIONS / 64];
	struct inproc_queue *queues[INPROC_QUEUES];
	uint64_t in_flight;
};

/* Never zero; a device is enabled once. */
#define INPROC_EPOCH		1

static inline struct inproc_device *to_inproc(struct tandem_device *device)
{
	return (struct inproc_device *)device;
}

/*
 * inproc_bus.c
 */

/* Registers, host memory, eventfds: 0 or -errno. */
int inproc_bus_init(struct inproc_device *device);
void inproc_bus_exit(struct inproc_device *device);
uint32_t inproc_read(struct inproc_device *device, unsigned int reg);
void inproc_write(struct inproc_device *device, unsigned int reg, uint32_t value);
void inproc_write64(struct inproc_device *device, unsigned int reg, uint64_t value);
/* Publish the tail of a queue, and wake the device if it sleeps. */
void inproc_ring(struct inproc_device *device, uint32_t queue, uint32_t sq_tail);
/* Have the loop's thread look at a queue, or (0) at the device; on any thread. */
void inproc_raise(struct inproc_device *device, uint32_t vector);
/* Wake the device for a change of CONTROL. */
void inproc_ring_control(struct inproc_device *device);
void inproc_set_cq_head(struct inproc_device *device, uint32_t queue, uint32_t cq_head);
/* Open a window, or close it with a @base of NULL. Return: its bus address. */
uint64_t inproc_window_set(struct inproc_device *device, unsigned int window, void *base,
			   uint64_t length, bool writable);
/* Bus address of something in @device->host. */
uint64_t inproc_host_address(struct inproc_device *device, const void *pointer);
/* The completion number @head of a ring, if it is there already. */
bool inproc_completion_read(const struct tandem_hw_completion *ring, uint32_t entries,
			    uint32_t head, struct tandem_hw_completion *completion);

/*
 * inproc_admin.c
 */

/* Handshake and identity. Return: 0 or -errno with @error filled in. */
int inproc_boot(struct inproc_device *device, struct tandem_error *error);
/* Have the device stop touching host memory. */
void inproc_shutdown(struct inproc_device *device);
/*
 * Carry out an admin command and wait for it. Return: 0; -EIO when the device
 * refused it; -ENODEV, the device being lost then.
 */
int inproc_admin(struct inproc_device *device, const struct tandem_hw_descriptor *descriptor);
/* Wait until nothing uses what was just taken out of the region table. */
void inproc_context_sync(struct inproc_device *device);

/*
 * inproc_memory.c
 */

/* Fill in an entry of the region table, or clear it with @flags of 0. */
void inproc_region_set(struct inproc_device *device, uint32_t region, uint64_t address,
		       uint64_t length, uint32_t flags);
int inproc_get_memory_class(struct tandem_device *device, uint32_t index,
			    struct tandem_memory_class *memory_class);
int inproc_memory_alloc(struct tandem_device *device, uint64_t size, uint32_t index,
			bool shareable, struct tandem_memory **memory,
			struct tandem_error *error);
int inproc_memory_share(struct tandem_memory *memory, struct tandem_device *device,
			struct tandem_memory **shared, struct tandem_error *error);
void inproc_memory_free(struct tandem_memory *memory);
int inproc_memory_map(struct tandem_memory *memory, void **pointer);
int inproc_memory_export(struct tandem_memory *memory);
int inproc_memory_import(struct tandem_device *device, int fd, uint64_t size, bool writable,
			 struct tandem_memory **memory, struct tandem_error *error);
int inproc_memory_register(struct tandem_device *device, void *pointer, uint64_t size,
			   struct tandem_memory **memory, struct tandem_error *error);

/*
 * inproc_fence.c
 */

int inproc_fence_create(struct tandem_device *device, struct tandem_fence **fence,
			struct tandem_error *error);
int inproc_fence_share(struct tandem_fence *fence, struct tandem_device *device,
		       struct tandem_fence **shared, struct tandem_error *error);
void inproc_fence_destroy(struct tandem_fence *fence);
int inproc_fence_value(struct tandem_fence *fence, uint64_t *point);
int inproc_fence_signal(struct tandem_fence *fence, uint64_t point);
int inproc_fence_arm(struct tandem_fence *fence, uint64_t point, int eventfd, void **armed);
void inproc_fence_disarm(struct tandem_fence *fence, void *armed);

struct inproc_point;

/**
 * struct inproc_waiter - somebody who waits for a point
 * @entry: in the timeline's list
 * @wake: called when it may have been reached, on any thread and with the
 *	timeline's lock held
 *
 * Embedded by whoever waits.
 */
struct inproc_waiter {
	LIST_ENTRY(inproc_waiter) entry;
	void (*wake)(struct inproc_waiter *waiter);
};

/**
 * inproc_fence_find() - begin to wait for a point
 * @fence: the fence
 * @point: somebody is to signal it, or has
 * @waiter: woken from now on
 *
 * Return: the point, for inproc_point_state() and inproc_fence_forget(); NULL if
 * nobody was told to signal it.
 */
struct inproc_point *inproc_fence_find(struct tandem_fence *fence, uint64_t point,
				       struct inproc_waiter *waiter);
/* Wait no longer. */
void inproc_fence_forget(struct tandem_fence *fence, struct inproc_point *point,
			 struct inproc_waiter *waiter);
/* Return: 1 as long as it is not reached; 0, or the error of what signalled it. */
int inproc_point_state(struct tandem_fence *fence, const struct inproc_point *point);
/* A point that will be signalled; greater than all before. NULL without memory. */
struct inproc_point *inproc_fence_add(struct tandem_fence *fence, uint64_t point);
/* Signal it, with 0 or an error. */
void inproc_point_end(struct tandem_fence *fence, struct inproc_point *point, int result);

/*
 * inproc_queue.c
 */

int inproc_queue_open(struct tandem_device *device, enum tandem_queue_type type,
		      struct tandem_queue **queue, struct tandem_error *error);
void inproc_queue_close(struct tandem_queue *queue);
int inproc_queue_submit(struct tandem_queue *queue, const struct device_command *command,
			struct tandem_operation *op);
/* The loop's callback of @device->interrupt_fd; @user is the device. */
void inproc_interrupt(void *user, int events);

/*
 * inproc_device.c
 */

/**
 * inproc_device_remove() - pull the device out
 * @device: an inproc device; what is under way ends with -ENODEV, as when the
 *	process behind an accel device dies. Also done to a device that fails
 */
void inproc_device_remove(struct tandem_device *device);
/* End every command with -ENODEV; the device has been stopped. */
void inproc_queues_fail(struct inproc_device *device);

#endif /* TANDEM_RUNTIME_INPROC_H */
