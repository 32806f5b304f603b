/* SPDX-License-Identifier: MIT */
/*
 * I/O queues: an engine thread each, that takes commands and completes them.
 */
#ifndef TANDEM_FIRMWARE_QUEUE_H
#define TANDEM_FIRMWARE_QUEUE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ring.h"

struct fw_executor;
struct tandem_fw;

/* Bits of fw_queue.stop. */
enum fw_queue_stop {
	/* Complete what has not begun as ABORTED, then end. */
	FW_QUEUE_DRAIN = 1,
	/* End without touching the rings again. */
	FW_QUEUE_QUIET = 2,
};

/**
 * struct fw_queue - an I/O queue
 * @fw: the device
 * @kind: &enum tandem_hw_queue_kind
 * @ring: the engine thread's, but for what fw_queue_abort() says
 * @executor: runs programs; COMPUTE only; the engine thread's
 * @thread: the engine
 * @stop: &enum fw_queue_stop, or 0; set by the control thread
 * @abort: the running command is to end early
 * @look_ns: how long to look for a command before sleeping; the engine
 *	thread's
 * @lock: protects what follows, and ring.head
 * @ended: signalled when @thread is about to end
 * @has_ended: it was
 * @running_serial: number of the running command, tandem_fw.command_serial; 0
 *	for none
 * @running_number: its number on the submission ring, as &fw_ring.head counts
 * @running_context: its context
 * @aborted: a bit for each slot of the submission ring: the command there is
 *	to be aborted when it is taken up
 *
 * Made and freed by the control thread.
 */
struct fw_queue {
	struct tandem_fw *fw;
	uint32_t kind;
	struct fw_ring ring;
	struct fw_executor *executor;
	pthread_t thread;
	_Atomic uint32_t stop;
	atomic_bool abort;
	uint64_t look_ns;

	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool has_ended;
	uint64_t running_serial;
	uint32_t running_number;
	uint32_t running_context;
	uint8_t aborted[];
};

/**
 * fw_queue_create() - make a queue and start its engine
 * @fw: the device; its queue of that number does not exist
 * @kind: &enum tandem_hw_queue_kind
 * @ring: its rings, mapped
 *
 * Return: TANDEM_HW_OK or NO_MEMORY.
 */
uint32_t fw_queue_create(struct tandem_fw *fw, uint32_t kind, const struct fw_ring *ring);

/**
 * fw_queue_delete() - stop a queue and free it
 * @queue: the queue
 * @stop: how
 *
 * The running command is aborted. Keeps the heartbeat going.
 */
void fw_queue_delete(struct fw_queue *queue, enum fw_queue_stop stop);

/* Stop and free all queues of the device, as fw_queue_delete() does. */
void fw_queues_stop(struct tandem_fw *fw, enum fw_queue_stop stop);

/* Abort the command of that number on the ring, running or waiting, if it is there. */
void fw_queue_abort(struct fw_queue *queue, uint32_t number);

/* Has the running command been aborted? Cheap; for between slices of work. */
static inline bool fw_queue_aborted(struct fw_queue *queue)
{
	return atomic_load_explicit(&queue->abort, memory_order_relaxed);
}

/* Number of the command that runs with @context, or 0. */
uint64_t fw_queue_running(struct fw_queue *queue, uint32_t context);

/* Does command number @serial run? */
bool fw_queue_runs(struct fw_queue *queue, uint64_t serial);

#endif /* TANDEM_FIRMWARE_QUEUE_H */
