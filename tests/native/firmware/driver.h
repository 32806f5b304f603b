/* SPDX-License-Identifier: MIT */
/*
 * A small driver for a device of the firmware core, for tests.
 *
 * Every piece of memory is an allocation of its own and of its exact size, so
 * that AddressSanitizer sees a device that goes one byte too far. Calls that
 * cannot fail in a sound test fail the test.
 */
#ifndef TEST_FIRMWARE_DRIVER_H
#define TEST_FIRMWARE_DRIVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <tandem_hw.h>

#include "firmware-sim/firmware.h"

#define DRIVER_CHUNKS	512
#define DRIVER_QUEUES	8
#define DRIVER_CONTEXTS	4
#define DRIVER_REGIONS	64

/* A contiguous piece of one of the two address spaces. */
struct chunk {
	uint64_t address;
	uint64_t length;
	char *pointer;
	bool writable;
	/* The test's own, not to be freed. */
	bool foreign;
};

/* @lock protects it from the device's threads. */
struct space {
	pthread_mutex_t lock;
	struct chunk chunk[DRIVER_CHUNKS];
	uint32_t count;
	uint64_t next;
};

struct queue {
	struct tandem_hw_descriptor *sq;
	struct tandem_hw_completion *cq;
	uint64_t sq_address;
	uint64_t cq_address;
	uint32_t entries;
	uint32_t tail;
	uint32_t head;
};

struct driver {
	struct tandem_fw_bus bus;
	struct tandem_fw *fw;
	int doorbells[DRIVER_QUEUES + 1];
	struct space memory;
	struct space host;
	struct queue queue[DRIVER_QUEUES + 1];
	struct tandem_hw_context *contexts;
	struct tandem_hw_region *regions[DRIVER_CONTEXTS];
	uint64_t contexts_address;
	uint32_t epoch;

	/* Interrupts that have come, by vector. */
	pthread_mutex_t lock;
	pthread_cond_t interrupted;
	uint32_t interrupts[DRIVER_QUEUES + 1];
};

/* What driver_open() takes where a test has no wishes. */
extern const struct tandem_fw_config driver_config;

/* Make and start a device; it shows READY. */
void driver_open(struct driver *driver, const struct tandem_fw_config *config);
void driver_close(struct driver *driver);

uint32_t driver_read(struct driver *driver, uint32_t offset);
uint64_t driver_read64(struct driver *driver, uint32_t offset);
void driver_write(struct driver *driver, uint32_t offset, uint32_t value);
void driver_write64(struct driver *driver, uint32_t offset, uint64_t value);

/* Write CONTROL and ring, and wait until STATUS is not what it was. */
uint32_t driver_control(struct driver *driver, uint32_t control);

/* Set up registers and rings of a driver that knows what it does. */
void driver_prepare(struct driver *driver);

/* driver_prepare() and ENABLE; the device runs afterwards. */
void driver_enable(struct driver *driver);

/*
 * Allocate memory of the device, or of the host. Of the exact size, filled
 * with a pattern. Return: its address; @pointer, if not NULL, is set to it.
 */
uint64_t driver_memory(struct driver *driver, uint64_t length, void *pointer);
uint64_t driver_host(struct driver *driver, uint64_t length, bool writable, void *pointer);

/* Take over memory that the test has mapped itself. */
uint64_t driver_memory_at(struct driver *driver, void *pointer, uint64_t length);

/* Fill in an entry of a region table. */
void driver_region(struct driver *driver, uint32_t context, uint32_t region,
		   uint64_t address, uint64_t length, uint32_t flags);

/* Put a descriptor on a queue, without and with ringing the doorbell. */
void driver_put(struct driver *driver, uint32_t queue,
		const struct tandem_hw_descriptor *descriptor);
void driver_ring(struct driver *driver, uint32_t queue);
void driver_submit(struct driver *driver, uint32_t queue,
		   const struct tandem_hw_descriptor *descriptor);

/* What ABORT calls the command that was put on a queue last. */
uint32_t driver_last(const struct driver *driver, uint32_t queue);

/*
 * Wait for the next completion, relying on interrupts, and check what every
 * completion has to be like.
 */
struct tandem_hw_completion driver_wait(struct driver *driver, uint32_t queue);

/* Has one come? Does not wait. */
bool driver_completed(struct driver *driver, uint32_t queue);

/* driver_submit() and driver_wait() of a command that is alone on its queue. */
struct tandem_hw_completion driver_run(struct driver *driver, uint32_t queue,
				       const struct tandem_hw_descriptor *descriptor);

/* Make the rings of a queue, and describe it as QUEUE_CREATE does. */
struct tandem_hw_descriptor driver_queue(struct driver *driver, uint32_t queue,
					 uint32_t kind, uint32_t entries);

/* Make a queue; it exists afterwards. */
void driver_queue_create(struct driver *driver, uint32_t queue, uint32_t kind,
			 uint32_t entries);

#endif /* TEST_FIRMWARE_DRIVER_H */
