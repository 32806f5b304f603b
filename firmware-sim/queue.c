// SPDX-License-Identifier: MIT
/* I/O queues. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "command.h"
#include "control.h"
#include "device.h"
#include "fault.h"
#include "executor.h"
#include "queue.h"

/* How long a completion may wait for others, to share their interrupt. */
#define BATCH_NS	20000
/* How often an engine looks for room in a completion ring that is full. */
#define FULL_MS		1
/* The longest sleep; only so that a lost wake-up could not last for ever. */
#define IDLE_MS		1000

static uint32_t slot_of(const struct fw_ring *ring, uint32_t number)
{
	return number & (ring->entries - 1);
}

/* Take the next descriptor: from here on it is the running command. */
static void take(struct fw_queue *queue, const struct tandem_hw_descriptor *descriptor)
{
	struct fw_ring *ring = &queue->ring;
	uint32_t slot = slot_of(ring, ring->head);
	uint8_t bit = 1u << (slot % 8);

	pthread_mutex_lock(&queue->lock);
	queue->running_serial = atomic_fetch_add(&queue->fw->command_serial, 1) + 1;
	queue->running_number = ring->head;
	queue->running_context = descriptor->context;
	/* A stop that came earlier stays in force for each command. */
	atomic_store(&queue->abort, queue->aborted[slot / 8] & bit ||
		     atomic_load(&queue->stop));
	queue->aborted[slot / 8] &= ~bit;
	ring->head++;
	pthread_mutex_unlock(&queue->lock);
}

static void let_go(struct fw_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->running_serial = 0;
	pthread_mutex_unlock(&queue->lock);
	if (atomic_load(&queue->fw->syncs_pending))
		fw_doorbell_wake(queue->fw, 0);
}

static void execute(struct fw_queue *queue, const struct tandem_hw_descriptor *descriptor,
		    struct fw_result *result)
{
	uint64_t start = fw_now();

	*result = (struct fw_result){ .status = TANDEM_HW_ABORTED };
	if (!fw_queue_aborted(queue) && !fw_fault_command(queue, queue->fw, descriptor, result))
		fw_command_run(queue, descriptor, result);
	if (result->status != TANDEM_HW_OK) {
		result->modelled_ns = 0;
		fw_log(queue->fw, TANDEM_FW_LOG_DEBUG,
		       "queue %u: command %u of context %u, opcode %u: status %u, detail %u",
		       queue->ring.queue, descriptor->command_id, descriptor->context,
		       descriptor->opcode, result->status, result->detail);
	}
	result->ended_ns = fw_now();
	result->duration_ns = result->ended_ns - start;
}

/* Leaves the processor's other thread, or the emulator, more room. */
static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

static void interrupt(struct fw_queue *queue, uint64_t *unannounced_ns)
{
	if (!*unannounced_ns)
		return;
	*unannounced_ns = 0;
	fw_interrupt(queue->fw, queue->ring.queue);
}

/* Look for a command for a while. Return: whether there is cause to go on. */
static bool look(struct fw_queue *queue)
{
	uint64_t until = fw_now() + queue->look_ns;

	do {
		if (fw_ring_waiting(&queue->ring) || atomic_load(&queue->stop))
			return true;
		relax();
	} while (fw_now() < until);
	return false;
}

/*
 * A sleep that was so short that looking would have caught the command makes
 * the next look longer, a long one ends looking: so commands that come one
 * after the other find the engine awake, and an idle device costs nothing.
 */
static void learn(struct fw_queue *queue, uint64_t slept_ns)
{
	uint64_t look_max = queue->fw->look_ns_max;

	if (slept_ns > look_max)
		queue->look_ns = 0;
	else if (!queue->look_ns)
		queue->look_ns = look_max / 8;
	else
		queue->look_ns = queue->look_ns * 2 > look_max ? look_max : queue->look_ns * 2;
}

static void idle(struct fw_queue *queue)
{
	uint64_t since;

	if (queue->look_ns && look(queue))
		return;
	since = fw_now();
	if (fw_ring_arm(queue->fw, &queue->ring) && !atomic_load(&queue->stop))
		fw_doorbell_sleep(queue->fw, queue->ring.queue, IDLE_MS);
	fw_ring_disarm(&queue->ring);
	learn(queue, fw_now() - since);
}

/*
 * Carry out commands until told to stop. @unannounced_ns is when the oldest
 * completion was written that no interrupt has told of, or 0.
 *
 * Return: 0, or a negative errno when the rings cannot be used any more.
 */
static int serve(struct fw_queue *queue, uint64_t *unannounced_ns)
{
	struct tandem_hw_descriptor descriptor;
	struct fw_ring *ring = &queue->ring;
	struct fw_result result;
	uint32_t count;
	int ret;

	while (!atomic_load(&queue->stop)) {
		ret = fw_ring_available(ring, &count);
		if (ret)
			return ret;
		if (!count) {
			interrupt(queue, unannounced_ns);
			idle(queue);
			continue;
		}
		if (!fw_ring_can_post(ring)) {
			interrupt(queue, unannounced_ns);
			fw_doorbell_sleep(queue->fw, ring->queue, FULL_MS);
			continue;
		}
		ret = fw_ring_peek(queue->fw, ring, &descriptor);
		if (ret)
			return ret;
		if (fw_command_may_take_long(&descriptor) ||
		    (*unannounced_ns && fw_now() - *unannounced_ns > BATCH_NS))
			interrupt(queue, unannounced_ns);

		take(queue, &descriptor);
		execute(queue, &descriptor, &result);
		if (!(atomic_load(&queue->stop) & FW_QUEUE_QUIET)) {
			ret = fw_ring_post(queue->fw, ring, descriptor.command_id, &result);
			if (!ret && !*unannounced_ns)
				*unannounced_ns = fw_now();
		}
		let_go(queue);
		if (ret)
			return ret;
	}
	return 0;
}

/* Complete what waits as ABORTED, as far as the completion ring has room. */
static void drain(struct fw_queue *queue, uint64_t *unannounced_ns)
{
	const struct fw_result aborted = { .status = TANDEM_HW_ABORTED };
	struct tandem_hw_descriptor descriptor;
	struct fw_ring *ring = &queue->ring;
	uint32_t count;

	if (fw_ring_available(ring, &count))
		return;
	for (; count && fw_ring_can_post(ring); count--) {
		if (fw_ring_peek(queue->fw, ring, &descriptor))
			return;
		take(queue, &descriptor);
		if (fw_ring_post(queue->fw, ring, descriptor.command_id, &aborted))
			return;
		let_go(queue);
		*unannounced_ns = 1;
	}
	interrupt(queue, unannounced_ns);
}

static void *queue_main(void *argument)
{
	struct fw_queue *queue = argument;
	uint64_t unannounced_ns = 0;
	int ret;

	ret = serve(queue, &unannounced_ns);
	if (ret == -EPROTO) {
		fw_log(queue->fw, TANDEM_FW_LOG_ERROR,
		       "queue %u: impossible doorbell", queue->ring.queue);
		fw_fatal(queue->fw, TANDEM_HW_INVALID_FIELD);
	} else if (ret) {
		fw_log(queue->fw, TANDEM_FW_LOG_ERROR,
		       "queue %u: its rings are gone", queue->ring.queue);
	} else if (!(atomic_load(&queue->stop) & FW_QUEUE_QUIET)) {
		drain(queue, &unannounced_ns);
	}

	pthread_mutex_lock(&queue->lock);
	queue->running_serial = 0;
	queue->has_ended = true;
	pthread_cond_signal(&queue->ended);
	pthread_mutex_unlock(&queue->lock);
	if (atomic_load(&queue->fw->syncs_pending))
		fw_doorbell_wake(queue->fw, 0);
	return NULL;
}

uint32_t fw_queue_create(struct tandem_fw *fw, uint32_t kind, const struct fw_ring *ring)
{
	pthread_condattr_t attributes;
	struct fw_queue *queue;

	queue = calloc(1, sizeof(*queue) + (ring->entries + 7) / 8);
	if (!queue)
		return TANDEM_HW_NO_MEMORY;
	queue->fw = fw;
	queue->kind = kind;
	queue->ring = *ring;
	pthread_mutex_init(&queue->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&queue->ended, &attributes);
	pthread_condattr_destroy(&attributes);

	if (kind == TANDEM_HW_QUEUE_COMPUTE) {
		queue->executor = fw_executor_create(queue);
		if (!queue->executor)
			goto free_queue;
	}
	/* A late look of the driver at an earlier queue may have left its mark. */
	fw_doorbell_clear(fw, ring->queue);
	if (pthread_create(&queue->thread, NULL, queue_main, queue))
		goto free_executor;
	fw->queues[ring->queue] = queue;
	fw_log(fw, TANDEM_FW_LOG_DEBUG, "queue %u: created, %s, %u entries", ring->queue,
	       kind == TANDEM_HW_QUEUE_COMPUTE ? "compute" : "copy", ring->entries);
	return TANDEM_HW_OK;

free_executor:
	fw_executor_destroy(queue->executor);
free_queue:
	pthread_cond_destroy(&queue->ended);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
	return TANDEM_HW_NO_MEMORY;
}

static void stop_begin(struct fw_queue *queue, enum fw_queue_stop stop)
{
	pthread_mutex_lock(&queue->lock);
	atomic_fetch_or(&queue->stop, stop);
	atomic_store(&queue->abort, true);
	pthread_mutex_unlock(&queue->lock);
	fw_doorbell_wake(queue->fw, queue->ring.queue);
}

static void stop_wait(struct fw_queue *queue)
{
	struct timespec until;

	pthread_mutex_lock(&queue->lock);
	while (!queue->has_ended) {
		fw_control_heartbeat(queue->fw);
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += 100 * 1000 * 1000;
		if (until.tv_nsec >= 1000 * 1000 * 1000) {
			until.tv_nsec -= 1000 * 1000 * 1000;
			until.tv_sec++;
		}
		pthread_cond_timedwait(&queue->ended, &queue->lock, &until);
	}
	pthread_mutex_unlock(&queue->lock);
}

static void stop_end(struct fw_queue *queue)
{
	pthread_join(queue->thread, NULL);
	fw_executor_destroy(queue->executor);
	fw_doorbell_clear(queue->fw, queue->ring.queue);
	queue->fw->queues[queue->ring.queue] = NULL;
	pthread_cond_destroy(&queue->ended);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
}

void fw_queue_delete(struct fw_queue *queue, enum fw_queue_stop stop)
{
	struct tandem_fw *fw = queue->fw;
	uint32_t number = queue->ring.queue;

	stop_begin(queue, stop);
	stop_wait(queue);
	stop_end(queue);
	fw_log(fw, TANDEM_FW_LOG_DEBUG, "queue %u: deleted", number);
}

void fw_queues_stop(struct tandem_fw *fw, enum fw_queue_stop stop)
{
	/* Told all together, they end all at once. */
	for (uint32_t i = 1; i <= fw_queue_max(fw); i++)
		if (fw->queues[i])
			stop_begin(fw->queues[i], stop);
	for (uint32_t i = 1; i <= fw_queue_max(fw); i++)
		if (fw->queues[i])
			fw_queue_delete(fw->queues[i], stop);
}

/*
 * Those from ring.head to the doorbell's tail wait. None of them can be taken while
 * the lock is held.
 */
void fw_queue_abort(struct fw_queue *queue, uint32_t number)
{
	struct fw_ring ring;
	uint32_t slot;

	pthread_mutex_lock(&queue->lock);
	ring = (struct fw_ring){
		.doorbell = queue->ring.doorbell,
		.entries = queue->ring.entries,
		.head = queue->ring.head,
	};
	slot = slot_of(&ring, number);
	if (queue->running_serial && queue->running_number == number)
		atomic_store(&queue->abort, true);
	else if (number - ring.head < fw_ring_waiting(&ring))
		queue->aborted[slot / 8] |= 1u << (slot % 8);
	pthread_mutex_unlock(&queue->lock);
}

uint64_t fw_queue_running(struct fw_queue *queue, uint32_t context)
{
	uint64_t serial = 0;

	pthread_mutex_lock(&queue->lock);
	if (queue->running_serial && queue->running_context == context)
		serial = queue->running_serial;
	pthread_mutex_unlock(&queue->lock);
	return serial;
}

bool fw_queue_runs(struct fw_queue *queue, uint64_t serial)
{
	bool runs;

	pthread_mutex_lock(&queue->lock);
	runs = queue->running_serial == serial;
	pthread_mutex_unlock(&queue->lock);
	return runs;
}
