/* SPDX-License-Identifier: MIT */
/*
 * The inside of a device, as its parts see one another.
 */
#ifndef TANDEM_FIRMWARE_DEVICE_H
#define TANDEM_FIRMWARE_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tandem_hw.h>

#include "firmware.h"
#include "kernels/kernels.h"
#include "log.h"
#include "profiles.h"
#include "ring.h"

struct fw_faults;
struct fw_queue;
struct fw_sync;

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "registers, rings and programs are little-endian and used in place");

/* Entries that a ring may have. */
#define FW_QUEUE_ENTRIES_MAX	4096
/* Contexts that a context table may have; 16 MiB of table. */
#define FW_CONTEXTS_MAX		(1u << 20)

/**
 * struct tandem_fw - a device
 * @bus: the embedder's, who owns it
 * @profile: the modelled part
 * @kernels: instruction set of programs
 * @memory_size: bytes of device memory, of all classes
 * @sram_size: bytes of it at its end that are a class of their own, or 0
 * @working_memory_max: limit of each compute queue, in bytes
 * @copy_queues: I/O queues of kind COPY that can exist at once
 * @compute_queues: likewise COMPUTE
 * @cores: threads of a compute queue
 * @look_ns_max: the longest that an engine looks for a command before it sleeps
 * @log_level: the least urgent level of what is logged
 * @log: has a lock of its own
 * @faults: what it is to do wrong; NULL for nothing
 * @control: the thread of control.c; runs while @started
 * @started: tandem_fw_start() has succeeded, tandem_fw_stop() not begun
 * @stopping: tells the control thread to end
 * @fatal: &enum tandem_hw_status that a thread wants the device to stop with;
 *	0 for none
 * @syncs_pending: CONTEXT_SYNC commands that wait; who ends a command wakes the
 *	control thread if there are any
 * @command_serial: numbers commands of all queues as they are taken up
 *
 * The rest belongs to the control thread. While the device is RUNNING, @epoch,
 * @context_table and @context_count are constant, and queues may read them.
 *
 * @state: &enum tandem_hw_state
 * @epoch: of the present or last enable
 * @context_table: bus address
 * @context_count: entries of it
 * @admin: rings of queue 0
 * @queues: I/O queues by number, index 0 unused; NULL where there is none
 * @syncs: CONTEXT_SYNC commands that wait, oldest first
 * @heartbeat: value of the HEARTBEAT register
 * @heartbeat_ns: when it was last incremented, CLOCK_MONOTONIC
 */
struct tandem_fw {
	struct tandem_fw_bus *bus;
	const struct tandem_fw_profile *profile;
	const struct tandem_kernels *kernels;
	uint64_t memory_size;
	uint64_t sram_size;
	uint64_t working_memory_max;
	uint32_t copy_queues;
	uint32_t compute_queues;
	uint32_t cores;
	uint64_t look_ns_max;
	enum tandem_fw_log_level log_level;
	struct fw_log log;
	struct fw_faults *faults;

	pthread_t control;
	bool started;
	atomic_bool stopping;
	_Atomic uint32_t fatal;
	_Atomic uint32_t syncs_pending;
	_Atomic uint64_t command_serial;

	uint32_t state;
	uint32_t epoch;
	uint64_t context_table;
	uint32_t context_count;
	struct fw_ring admin;
	struct fw_queue *queues[TANDEM_HW_QUEUES_MAX + 1];
	struct fw_sync *syncs;
	uint32_t heartbeat;
	uint64_t heartbeat_ns;
};

/* I/O queues that the device has. */
static inline uint32_t fw_queue_max(const struct tandem_fw *fw)
{
	return fw->copy_queues + fw->compute_queues;
}

uint32_t fw_register_read(struct tandem_fw *fw, uint32_t offset);
uint64_t fw_register_read64(struct tandem_fw *fw, uint32_t offset);
void fw_register_write(struct tandem_fw *fw, uint32_t offset, uint32_t value);
void fw_register_write64(struct tandem_fw *fw, uint32_t offset, uint64_t value);
struct tandem_hw_doorbell *fw_doorbell(struct tandem_fw *fw, uint32_t queue);

/* Bring a doorbell into the state in which a new queue finds it. */
void fw_doorbell_clear(struct tandem_fw *fw, uint32_t queue);

/* Wake the thread that sleeps on a queue's doorbell. */
void fw_doorbell_wake(struct tandem_fw *fw, uint32_t queue);

/**
 * fw_doorbell_sleep() - wait for a doorbell
 * @fw: the device
 * @queue: whose
 * @timeout_ms: as poll(2) takes it
 */
void fw_doorbell_sleep(struct tandem_fw *fw, uint32_t queue, int timeout_ms);

/**
 * fw_guarded() - touch memory that may not answer
 * @fw: the device
 * @body: what touches it; may be left anywhere, so it must hold nothing that
 *	its caller cannot let go of
 * @argument: of @body
 *
 * Return: 0 or -EFAULT.
 */
int fw_guarded(struct tandem_fw *fw, void (*body)(void *argument), void *argument);

/* memcpy() under the guard. Return: 0 or -EFAULT. */
int fw_copy_guarded(struct tandem_fw *fw, void *to, const void *from, size_t length);

/* Have the control thread stop the device with a FATAL status. */
void fw_fatal(struct tandem_fw *fw, uint32_t status);

/* Raise an interrupt: a queue's number, or 0. */
void fw_interrupt(struct tandem_fw *fw, uint32_t vector);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t fw_now(void);

/* A line for the log and the embedder. From any thread, but not under fw_guarded(). */
void fw_log(struct tandem_fw *fw, enum tandem_fw_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* TANDEM_FIRMWARE_DEVICE_H */
