// SPDX-License-Identifier: MIT
/*
 * Queues of an inproc device: commands go onto the ring while there is room
 * and wait in a list otherwise; interrupts bring completions.
 */
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "error.h"
#include "inproc.h"

/**
 * struct inproc_command - a command between start and completion
 * @entry: in &inproc_queue.waiting
 * @queue: its queue
 * @op: the application's
 * @command: what to do
 * @waiter: with @wait, woken when that may have been reached
 * @wait: what it waits for, with @wait_point; NULL fence for nothing
 * @wait_point: see there
 * @signal: what it signals with its end, with @signal_point; likewise
 * @signal_point: see there
 * @segments: COPY_LIST: what the device reads; NULL for others
 * @id: its slot in &inproc_queue.commands, once the device has it
 * @number: on the submission ring, likewise
 * @in_flight: the device has it
 */
struct inproc_command {
	STAILQ_ENTRY(inproc_command) entry;
	struct inproc_queue *queue;
	struct tandem_operation *op;
	struct device_command command;
	struct inproc_waiter waiter;
	struct tandem_fence *wait;
	struct inproc_point *wait_point;
	struct tandem_fence *signal;
	struct inproc_point *signal_point;
	struct tandem_hw_segment *segments;
	uint16_t id;
	uint32_t number;
	bool in_flight;
};

/**
 * struct inproc_queue - a queue
 * @base: generic part
 * @number: the device's number of it, from 1
 * @sq_tail: descriptors written
 * @cq_head: completions consumed
 * @waiting: commands for which the ring has had no room
 * @commands: those that the device has, by command id
 * @free_ids: command ids that are not in use, @free_count of them
 */
struct inproc_queue {
	struct tandem_queue base;
	uint32_t number;
	uint32_t sq_tail;
	uint32_t cq_head;
	STAILQ_HEAD(, inproc_command) waiting;
	struct inproc_command *commands[INPROC_ENTRIES];
	uint16_t free_ids[INPROC_ENTRIES];
	unsigned int free_count;
};

static const uint8_t opcodes[] = {
	[DEVICE_NOP] = TANDEM_HW_OP_NOP,
	[DEVICE_COPY] = TANDEM_HW_OP_COPY,
	[DEVICE_FILL] = TANDEM_HW_OP_FILL,
	[DEVICE_EXEC] = TANDEM_HW_OP_EXEC,
	[DEVICE_COPY_LIST] = TANDEM_HW_OP_COPY_LIST,
};

static struct inproc_queue *to_inproc_queue(struct tandem_queue *queue)
{
	return (struct inproc_queue *)queue;
}

static bool uses_user_memory(const struct device_command *command)
{
	return command->dst_region == DEVICE_REGION_USER ||
	       command->src_region == DEVICE_REGION_USER;
}

/* The region that stands for user memory of one slot of a queue. */
static uint32_t user_region(const struct inproc_queue *queue, uint16_t id)
{
	return INPROC_OBJECT_REGIONS + (queue->number - 1) * INPROC_ENTRIES + id;
}

/* Point the descriptor's user side at a region made for it. */
static void map_user_memory(struct inproc_device *device, const struct inproc_command *waiting,
			    struct tandem_hw_descriptor *descriptor)
{
	const struct device_command *command = &waiting->command;
	uint32_t region = user_region(waiting->queue, waiting->id);
	bool write = command->dst_region == DEVICE_REGION_USER;
	uintptr_t pointer = write ? command->dst_offset : command->src_offset;
	uint64_t address;

	address = inproc_window_set(device, region, (void *)pointer, command->length, write);
	inproc_region_set(device, region, address, command->length,
			  TANDEM_HW_REGION_HOST |
			  (write ? TANDEM_HW_REGION_WRITE : TANDEM_HW_REGION_READ));
	if (write) {
		descriptor->dst_region = htole32(region);
		descriptor->dst_offset = 0;
	} else {
		descriptor->src_region = htole32(region);
		descriptor->src_offset = 0;
	}
}

/* The slot's window shows the list; it needs no region. */
static void map_segments(struct inproc_device *device, const struct inproc_command *waiting,
			 struct tandem_hw_descriptor *descriptor)
{
	uint64_t address;

	address = inproc_window_set(device, user_region(waiting->queue, waiting->id),
				    waiting->segments,
				    waiting->command.length * sizeof(*waiting->segments), false);
	descriptor->argument = htole64(address);
}

static void write_descriptor(struct inproc_device *device, const struct inproc_command *waiting,
			     struct tandem_hw_descriptor *slot)
{
	const struct device_command *command = &waiting->command;
	struct tandem_hw_descriptor descriptor = {
		.opcode = opcodes[command->opcode],
		.command_id = htole16(waiting->id),
		.context = htole32(INPROC_CONTEXT),
		.dst_region = htole32(command->dst_region),
		.src_region = htole32(command->src_region),
		.dst_offset = htole64(command->dst_offset),
		.src_offset = htole64(command->src_offset),
		.length = htole64(command->length),
	};

	if (command->opcode == DEVICE_FILL) {
		descriptor.argument = descriptor.src_offset;
		descriptor.src_offset = 0;
	}
	if (uses_user_memory(command))
		map_user_memory(device, waiting, &descriptor);
	if (waiting->segments)
		map_segments(device, waiting, &descriptor);
	*slot = descriptor;
}

/* It waits no longer. */
static void command_forget_wait(struct inproc_command *command)
{
	if (command->wait)
		inproc_fence_forget(command->wait, command->wait_point, &command->waiter);
	command->wait = NULL;
}

static void command_free(struct inproc_command *command)
{
	free(command->segments);
	free(command);
}

static void command_end(struct inproc_device *device, struct inproc_command *command, int result,
			uint64_t device_ns)
{
	struct tandem_operation *op = command->op;

	command_forget_wait(command);
	if (command->signal)
		inproc_point_end(command->signal, command->signal_point, result);
	command_free(command);
	op->device_ns = device_ns;
	operation_post(device->base.loop, op, result);
}

/*
 * The first command that does not wait for a fence, taken off the queue; NULL if
 * there is none. Those whose fences have failed end.
 */
static struct inproc_command *queue_take_ready(struct inproc_device *device,
					       struct inproc_queue *queue)
{
	struct inproc_command *command;
	int state;

	while ((command = STAILQ_FIRST(&queue->waiting))) {
		state = command->wait ? inproc_point_state(command->wait, command->wait_point) : 0;
		if (state > 0)
			return NULL;
		STAILQ_REMOVE_HEAD(&queue->waiting, entry);
		command_forget_wait(command);
		if (!state)
			return command;
		command_end(device, command, -ECANCELED, 0);
	}
	return NULL;
}

/* Hand waiting commands to the device while its ring has room. */
static void queue_start_waiting(struct inproc_device *device, struct inproc_queue *queue)
{
	struct tandem_hw_descriptor *ring = device->host->queues[queue->number - 1].sq;
	struct inproc_command *command;
	uint32_t tail = queue->sq_tail;

	while (queue->free_count && (command = queue_take_ready(device, queue))) {
		command->id = queue->free_ids[--queue->free_count];
		command->in_flight = true;
		queue->commands[command->id] = command;
		command->number = queue->sq_tail++;
		write_descriptor(device, command, &ring[command->number % INPROC_ENTRIES]);
		device->in_flight++;
	}
	if (queue->sq_tail != tail)
		inproc_ring(device, queue->number, queue->sq_tail);
}

/* The device has no use for the slot any more. */
static void command_retire(struct inproc_device *device, struct inproc_command *command)
{
	struct inproc_queue *queue = command->queue;
	uint32_t region = user_region(queue, command->id);

	if (uses_user_memory(&command->command)) {
		inproc_region_set(device, region, 0, 0, 0);
		inproc_window_set(device, region, NULL, 0, false);
	}
	if (command->segments)
		inproc_window_set(device, region, NULL, 0, false);
	queue->commands[command->id] = NULL;
	queue->free_ids[queue->free_count++] = command->id;
	device->in_flight--;
}

static int status_to_errno(uint16_t status)
{
	switch (status) {
	case TANDEM_HW_OK:
		return 0;
	case TANDEM_HW_INVALID_OPCODE:
	case TANDEM_HW_INVALID_FIELD:
	case TANDEM_HW_PROGRAM_INVALID:
		return -EINVAL;
	case TANDEM_HW_REGION_FAULT:
		return -EACCES;
	case TANDEM_HW_ABORTED:
		return -ECANCELED;
	case TANDEM_HW_NO_MEMORY:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

/* Take in completions. Return: false when the device sent nonsense. */
static bool queue_reap(struct inproc_device *device, struct inproc_queue *queue)
{
	const struct tandem_hw_completion *ring = device->host->queues[queue->number - 1].cq;
	struct tandem_hw_completion completion;
	struct inproc_command *command;
	uint16_t id;

	while (inproc_completion_read(ring, INPROC_ENTRIES, queue->cq_head, &completion)) {
		id = le16toh(completion.command_id);
		if (id >= INPROC_ENTRIES || !queue->commands[id] ||
		    le16toh(completion.queue) != queue->number)
			return false;
		command = queue->commands[id];
		inproc_set_cq_head(device, queue->number, ++queue->cq_head);
		command_retire(device, command);
		command->op->modelled_ns = le64toh(completion.modelled_ns);
		command_end(device, command, status_to_errno(le16toh(completion.status)),
			    le64toh(completion.duration_ns));
	}
	return true;
}

void inproc_interrupt(void *user, int events)
{
	struct inproc_device *device = user;
	struct inproc_queue *queue;
	uint64_t interrupts;
	uint64_t count;
	unsigned int i;

	(void)events;
	(void)!read(device->interrupt_fd, &count, sizeof(count));
	interrupts = atomic_exchange(&device->interrupts, 0);
	if (device->base.lost)
		return;
	if (interrupts & 1)
		goto failed;
	for (i = 0; i < INPROC_QUEUES; i++) {
		queue = device->queues[i];
		if (!(interrupts & (2ull << i)) || !queue)
			continue;
		if (!queue_reap(device, queue))
			goto failed;
		queue_start_waiting(device, queue);
	}
	return;

failed:
	inproc_device_remove(&device->base);
}

static void queue_end_all(struct inproc_device *device, struct inproc_queue *queue, int result)
{
	struct inproc_command *command;
	unsigned int i;

	for (i = 0; i < INPROC_ENTRIES; i++) {
		command = queue->commands[i];
		if (!command)
			continue;
		command_retire(device, command);
		command_end(device, command, result, 0);
	}
	while (!STAILQ_EMPTY(&queue->waiting)) {
		command = STAILQ_FIRST(&queue->waiting);
		STAILQ_REMOVE_HEAD(&queue->waiting, entry);
		command_end(device, command, result, 0);
	}
}

void inproc_queues_fail(struct inproc_device *device)
{
	unsigned int i;

	for (i = 0; i < INPROC_QUEUES; i++)
		if (device->queues[i])
			queue_end_all(device, device->queues[i], -ENODEV);
}

static int command_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	struct inproc_command *command = operation_data(op);
	struct inproc_queue *queue = command->queue;
	struct inproc_device *device = to_inproc(queue->base.device);
	struct tandem_hw_descriptor descriptor = {
		.opcode = TANDEM_HW_OP_ABORT,
		.argument = htole64(queue->number),
		.length = htole64(command->number),
	};

	(void)loop;
	if (command->in_flight) {
		/* It completes as any command does. */
		inproc_admin(device, &descriptor);
		return 0;
	}
	STAILQ_REMOVE(&queue->waiting, command, inproc_command, entry);
	command_end(device, command, -ECANCELED, 0);
	return 0;
}

static int command_set_segments(struct inproc_command *command,
				const struct device_command *list)
{
	uint64_t i;

	if (list->opcode != DEVICE_COPY_LIST)
		return 0;
	command->segments = calloc(list->length, sizeof(*command->segments));
	if (!command->segments)
		return -ENOMEM;
	for (i = 0; i < list->length; i++) {
		const struct tandem_copy_segment *from = &list->segments[i];

		command->segments[i] = (struct tandem_hw_segment){
			.dst_region = htole32(from->destination->region),
			.src_region = htole32(from->source->region),
			.dst_offset = htole64(from->destination_offset),
			.src_offset = htole64(from->source_offset),
			.length = htole64(from->length),
		};
	}
	return 0;
}

/* On any thread: have the device's own look at the queue. */
static void command_wake(struct inproc_waiter *waiter)
{
	struct inproc_command *command =
		(void *)((char *)waiter - offsetof(struct inproc_command, waiter));

	inproc_raise(to_inproc(command->queue->base.device), command->queue->number);
}

/* Return: 0; -EINVAL for a point to signal that is not greater; -ENOMEM. */
static int command_set_signal(struct inproc_command *command,
			      const struct tandem_fence_point *signal)
{
	uint64_t before;
	int ret;

	if (!signal->fence)
		return 0;
	ret = fence_promise(signal->fence->line, signal->point, &before);
	if (ret < 0)
		return ret;
	command->signal_point = inproc_fence_add(signal->fence, signal->point);
	if (!command->signal_point) {
		fence_break_promise(signal->fence->line, signal->point, before);
		return -ENOMEM;
	}
	command->signal = signal->fence;
	return 0;
}

/* Return: false if nobody was told to signal that. */
static bool command_set_wait(struct inproc_command *command,
			     const struct tandem_fence_point *wait)
{
	if (!wait->fence)
		return true;
	command->waiter.wake = command_wake;
	command->wait_point = inproc_fence_find(wait->fence, wait->point, &command->waiter);
	if (!command->wait_point)
		return false;
	command->wait = wait->fence;
	return true;
}

int inproc_queue_submit(struct tandem_queue *queue, const struct device_command *command,
			struct tandem_operation *op)
{
	struct inproc_device *device = to_inproc(queue->device);
	struct inproc_command *new = calloc(1, sizeof(*new));
	bool found;
	int ret;

	if (!new)
		return -ENOMEM;
	ret = command_set_segments(new, command);
	if (!ret)
		ret = operation_begin_fenced(op, command_cancel, new);
	if (ret < 0)
		goto free_command;
	new->queue = to_inproc_queue(queue);
	new->op = op;
	new->command = *command;
	/* First what it waits for: it cannot wait for itself. */
	found = command_set_wait(new, &op->wait);
	ret = command_set_signal(new, &op->signal);
	if (ret < 0)
		goto forget_wait;
	if (!found) {
		command_end(device, new, -EINVAL, 0);
		return 0;
	}
	STAILQ_INSERT_TAIL(&new->queue->waiting, new, entry);
	queue_start_waiting(device, new->queue);
	return 0;

forget_wait:
	command_forget_wait(new);
	operation_abandon(op);
free_command:
	command_free(new);
	return ret;
}

/* A number of the right kind that no queue has, or 0. */
static uint32_t queue_number(const struct inproc_device *device, enum tandem_queue_type type)
{
	uint32_t first = type == TANDEM_QUEUE_TYPE_COPY ? 1 : 1 + INPROC_COPY_QUEUES;
	uint32_t end = type == TANDEM_QUEUE_TYPE_COPY ? 1 + INPROC_COPY_QUEUES : 1 + INPROC_QUEUES;
	uint32_t number;

	for (number = first; number < end; number++)
		if (!device->queues[number - 1])
			return number;
	return 0;
}

static int queue_create(struct inproc_device *device, uint32_t number,
			enum tandem_queue_type type)
{
	struct tandem_hw_completion *cq = device->host->queues[number - 1].cq;
	struct tandem_hw_descriptor *sq = device->host->queues[number - 1].sq;
	struct tandem_hw_descriptor descriptor = {
		.opcode = TANDEM_HW_OP_QUEUE_CREATE,
		.src_region = htole32(type == TANDEM_QUEUE_TYPE_COPY ? TANDEM_HW_QUEUE_COPY :
							       TANDEM_HW_QUEUE_COMPUTE),
		.dst_offset = htole64(inproc_host_address(device, cq)),
		.src_offset = htole64(inproc_host_address(device, sq)),
		.length = htole64(INPROC_ENTRIES),
		.argument = htole64(number),
	};
	unsigned int i;

	/* What an earlier queue left has phases that could be taken for new. */
	for (i = 0; i < INPROC_ENTRIES; i++)
		cq[i] = (struct tandem_hw_completion){ 0 };
	return inproc_admin(device, &descriptor);
}

int inproc_queue_open(struct tandem_device *device, enum tandem_queue_type type,
		      struct tandem_queue **queue, struct tandem_error *error)
{
	struct inproc_device *inproc = to_inproc(device);
	struct inproc_queue *new;
	unsigned int i;
	int ret;

	new = calloc(1, sizeof(*new));
	if (!new)
		return tandem_error_set(error, -ENOMEM, "%s: out of memory", device->name);
	new->base.device = device;
	new->base.type = type;
	new->number = queue_number(inproc, type);
	STAILQ_INIT(&new->waiting);
	for (i = 0; i < INPROC_ENTRIES; i++)
		new->free_ids[i] = i;
	new->free_count = INPROC_ENTRIES;
	if (!new->number) {
		ret = tandem_error_set(error, -ENOSPC, "%s: all its %s queues are in use; close one",
				       device->name,
				       type == TANDEM_QUEUE_TYPE_COPY ? "copy" : "compute");
		goto free;
	}
	ret = queue_create(inproc, new->number, type);
	if (ret < 0) {
		tandem_error_set(error, ret, "%s: the firmware cannot make a queue", device->name);
		goto free;
	}
	inproc->queues[new->number - 1] = new;
	*queue = &new->base;
	return 0;

free:
	free(new);
	return ret;
}

void inproc_queue_close(struct tandem_queue *queue)
{
	struct inproc_queue *inproc_queue = to_inproc_queue(queue);
	struct inproc_device *device = to_inproc(queue->device);
	struct tandem_hw_descriptor descriptor = {
		.opcode = TANDEM_HW_OP_QUEUE_DELETE,
		.argument = htole64(inproc_queue->number),
	};

	inproc_admin(device, &descriptor);
	queue_end_all(device, inproc_queue, -ECANCELED);
	device->queues[inproc_queue->number - 1] = NULL;
	free(inproc_queue);
}
