// SPDX-License-Identifier: MIT
/* Doing wrong on purpose. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault.h"
#include "queue.h"
#include "regions.h"
#include "ring.h"

#define FAULTS_MAX	64
#define PAGE_BYTES	4096
#define STORM_DEFAULT	10000
/* How often what hangs looks for its end. */
#define HANG_US		1000

/**
 * struct fault - a fault that was asked for
 * @spec: what and when
 * @seen: occasions that have matched
 * @done: how often it has happened
 * @random: state of its generator
 */
struct fault {
	struct fw_fault_spec spec;
	uint64_t seen;
	uint64_t done;
	uint64_t random;
};

/**
 * struct fw_faults - the faults of a device
 * @lock: guards the counts in @fault
 * @heart_stopped: no heartbeat until the device is enabled
 * @stuck: CONTROL is not looked at any more
 * @opcode: of the command that each queue has taken up last; the queue's
 *	thread's
 * @count: entries of @fault
 * @fault: the faults, in the order in which they were asked for
 */
struct fw_faults {
	pthread_mutex_t lock;
	atomic_bool heart_stopped;
	atomic_bool stuck;
	uint8_t opcode[TANDEM_HW_QUEUES_MAX + 1];
	size_t count;
	struct fault fault[FAULTS_MAX];
};

int fw_faults_create(const char *const *specs, struct fw_faults **faults, char *error)
{
	struct fw_faults *list;
	int ret;

	*faults = NULL;
	if (!specs || !specs[0])
		return 0;
	list = calloc(1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (; specs[list->count]; list->count++) {
		struct fault *fault = &list->fault[list->count];

		if (list->count == FAULTS_MAX) {
			snprintf(error, TANDEM_FW_ERROR_BYTES, "more than %d faults",
				 FAULTS_MAX);
			ret = -EINVAL;
			goto free_list;
		}
		ret = fw_fault_spec_parse(specs[list->count], &fault->spec, error,
					  TANDEM_FW_ERROR_BYTES);
		if (ret)
			goto free_list;
		/* The generator's state must not be zero. */
		fault->random = fault->spec.seed * 2 + 1;
	}
	pthread_mutex_init(&list->lock, NULL);
	*faults = list;
	return 0;

free_list:
	free(list);
	return ret;
}

void fw_faults_destroy(struct fw_faults *faults)
{
	if (!faults)
		return;
	pthread_mutex_destroy(&faults->lock);
	free(faults);
}

/* xorshift64. */
static uint64_t roll(struct fault *fault)
{
	fault->random ^= fault->random << 13;
	fault->random ^= fault->random >> 7;
	fault->random ^= fault->random << 17;
	return fault->random >> 16;
}

static bool matches(const struct fw_fault_spec *spec, enum fw_fault_occasion on,
		    uint32_t queue, uint8_t opcode)
{
	bool io_only = on == FW_FAULT_COMPLETE || on == FW_FAULT_INTERRUPT;

	if (spec->on != on)
		return false;
	if (spec->queue >= 0 ? spec->queue != (int)queue : io_only && !queue)
		return false;
	return spec->opcode < 0 || spec->opcode == opcode;
}

/* Does this fault happen now? */
static bool is_due(struct tandem_fw *fw, struct fault *fault, enum fw_fault_occasion on,
		   uint32_t queue, uint8_t opcode)
{
	const struct fw_fault_spec *spec = &fault->spec;
	bool due;

	if (!matches(spec, on, queue, opcode))
		return false;
	pthread_mutex_lock(&fw->faults->lock);
	due = ++fault->seen >= spec->at && (!spec->count || fault->done < spec->count) &&
	      roll(fault) % 1000 < spec->permille;
	fault->done += due;
	pthread_mutex_unlock(&fw->faults->lock);
	return due;
}

/* Set a member of @size bytes, or invert it when there is no value. */
static void spoil(void *member, size_t size, const struct fw_fault_spec *spec)
{
	unsigned char *bytes = member;
	uint64_t value = 0;

	memcpy(&value, member, size < sizeof(value) ? size : sizeof(value));
	value = spec->add ? value + spec->add : spec->value;
	for (size_t i = 0; i < size; i++) {
		if (!spec->add && !spec->has_value)
			bytes[i] = ~bytes[i];
		else
			bytes[i] = i < sizeof(value) ? value >> (8 * i) : 0;
	}
}

static void spoil_register(struct tandem_fw *fw, const struct fw_fault_spec *spec)
{
	uint32_t offset = (uint32_t)spec->field->offset;
	uint64_t value = fw_register_read64(fw, offset);

	spoil(&value, spec->field->size, spec);
	if (spec->field->size == sizeof(value))
		fw_register_write64(fw, offset, value);
	else
		fw_register_write(fw, offset, (uint32_t)value);
}

static void storm(struct tandem_fw *fw, uint32_t queue, const struct fw_fault_spec *spec)
{
	uint64_t count = spec->has_value ? spec->value : STORM_DEFAULT;

	for (uint64_t i = 0; i < count && !atomic_load(&fw->stopping); i++)
		fw->bus->raise_interrupt(fw->bus, queue);
}

static uint32_t status_of(const struct fw_fault_spec *spec)
{
	return spec->has_value ? (uint32_t)spec->value : TANDEM_HW_INTERNAL;
}

/* What can happen on more than one occasion. */
static void do_general(struct tandem_fw *fw, const struct fw_fault_spec *spec, uint32_t queue)
{
	switch (spec->kind) {
	case FW_FAULT_CRASH:
		abort();
	case FW_FAULT_HEARTBEAT:
		atomic_store(&fw->faults->heart_stopped, true);
		break;
	case FW_FAULT_FATAL:
		fw_fatal(fw, status_of(spec));
		break;
	case FW_FAULT_STUCK:
		atomic_store(&fw->faults->stuck, true);
		break;
	case FW_FAULT_LATE:
		usleep(spec->ms * 1000);
		break;
	case FW_FAULT_STORM:
		storm(fw, queue, spec);
		break;
	case FW_FAULT_REGISTER:
		spoil_register(fw, spec);
		break;
	default:
		break;
	}
}

void fw_fault_do_state(struct tandem_fw *fw, enum fw_fault_occasion on)
{
	struct fw_faults *faults = fw->faults;

	if (on == FW_FAULT_ENABLE)
		atomic_store(&faults->heart_stopped, false);
	for (size_t i = 0; i < faults->count; i++)
		if (is_due(fw, &faults->fault[i], on, 0, 0))
			do_general(fw, &faults->fault[i].spec, 0);
}

bool fw_fault_do_heart(struct tandem_fw *fw)
{
	return atomic_load(&fw->faults->heart_stopped);
}

bool fw_fault_do_stuck(struct tandem_fw *fw)
{
	return atomic_load(&fw->faults->stuck);
}

bool fw_fault_do_admin(struct tandem_fw *fw, const struct tandem_hw_descriptor *descriptor,
		       bool *answer, uint32_t *status)
{
	struct fw_faults *faults = fw->faults;
	bool ended = false;

	faults->opcode[0] = descriptor->opcode;
	*answer = true;
	for (size_t i = 0; i < faults->count; i++) {
		const struct fw_fault_spec *spec = &faults->fault[i].spec;

		/* This one waits until the identity is there. */
		if (spec->kind == FW_FAULT_IDENTITY ||
		    !is_due(fw, &faults->fault[i], FW_FAULT_ADMIN, 0, descriptor->opcode))
			continue;
		if (spec->kind == FW_FAULT_REFUSE) {
			*status = status_of(spec);
			ended = true;
		} else if (spec->kind == FW_FAULT_SILENT) {
			*answer = false;
			ended = true;
		} else {
			do_general(fw, spec, 0);
		}
	}
	return ended;
}

void fw_fault_do_identity(struct tandem_fw *fw, struct tandem_hw_identity *identity)
{
	struct fw_faults *faults = fw->faults;

	for (size_t i = 0; i < faults->count; i++) {
		const struct fw_fault_spec *spec = &faults->fault[i].spec;

		if (spec->kind == FW_FAULT_IDENTITY &&
		    is_due(fw, &faults->fault[i], FW_FAULT_ADMIN, 0, TANDEM_HW_OP_IDENTIFY))
			spoil((char *)identity + spec->field->offset, spec->field->size, spec);
	}
}

static bool hang_is_over(struct fw_queue *queue, enum fw_fault_until until)
{
	switch (until) {
	case FW_FAULT_UNTIL_ABORT:
		return fw_queue_aborted(queue);
	case FW_FAULT_UNTIL_DISABLE:
		return atomic_load(&queue->stop);
	default:
		return atomic_load(&queue->fw->stopping);
	}
}

static void hang(struct fw_queue *queue, const struct fw_fault_spec *spec,
		 struct fw_result *result)
{
	while (!hang_is_over(queue, spec->until))
		usleep(HANG_US);
	result->status = TANDEM_HW_ABORTED;
}

/* Without a look at the region table after the first: as if it still held. */
static void scribble(struct fw_queue *queue, const struct tandem_hw_descriptor *d,
		     const struct fw_fault_spec *spec, struct fw_result *result)
{
	static const char what[PAGE_BYTES] = { "scribble" };
	struct tandem_fw *fw = queue->fw;
	struct fw_context context;
	struct fw_range range;

	result->status = fw_context_load(fw, d->context, &context);
	if (result->status == TANDEM_HW_OK)
		result->status = fw_region_resolve(fw, &context, d->dst_region, d->dst_offset,
						   d->length, TANDEM_HW_REGION_WRITE, &range);
	if (result->status != TANDEM_HW_OK)
		return;
	while (!hang_is_over(queue, spec->until)) {
		for (uint64_t at = 0; at + PAGE_BYTES <= d->length; at += PAGE_BYTES)
			fw_copy_guarded(fw, (char *)range.pointer + at, what, PAGE_BYTES);
		usleep(HANG_US);
	}
	result->status = TANDEM_HW_ABORTED;
}

/**
 * struct probe - an access where nothing should be
 * @at: where
 * @write: or read
 * @word: what was there
 */
struct probe {
	volatile uint64_t *at;
	bool write;
	uint64_t word;
};

static void probe_body(void *argument)
{
	struct probe *probe = argument;

	if (probe->write)
		*probe->at = 0;
	else
		probe->word = *probe->at;
}

static void search_body(void *argument)
{
	const struct probe *probe = argument;

	for (size_t i = 1; i < PAGE_BYTES / sizeof(*probe->at); i++)
		if (probe->at[i] == probe->word)
			return;
	/* Not there: as if nothing had answered. */
	((struct probe *)argument)->word = ~probe->word;
}

/* Does the page answer and hold what is looked for? */
static bool answers(struct tandem_fw *fw, const struct fw_fault_spec *spec, void *page)
{
	struct probe probe = { .at = page, .write = spec->space == FW_FAULT_HOST_WRITE };

	if (!page || fw_guarded(fw, probe_body, &probe))
		return false;
	if (!spec->has_value || probe.write || probe.word == spec->value)
		return true;
	probe.word = spec->value;
	return !fw_guarded(fw, search_body, &probe) && probe.word == spec->value;
}

static void *stray_page(struct tandem_fw *fw, const struct fw_fault_spec *spec,
			uint64_t address)
{
	if (spec->space == FW_FAULT_MEMORY)
		return fw->bus->memory(fw->bus, address, PAGE_BYTES);
	return fw->bus->host(fw->bus, address, PAGE_BYTES,
			     spec->space == FW_FAULT_HOST_WRITE);
}

static void stray(struct fw_queue *queue, const struct fw_fault_spec *spec,
		  struct fw_result *result)
{
	struct tandem_fw *fw = queue->fw;
	uint64_t length = spec->length;

	if (!length)
		length = spec->space == FW_FAULT_MEMORY ? fw->memory_size : PAGE_BYTES;
	result->status = TANDEM_HW_BUS_FAULT;
	for (uint64_t done = 0; done < length && !fw_queue_aborted(queue);
	     done += PAGE_BYTES) {
		if (!answers(fw, spec, stray_page(fw, spec, spec->address + done)))
			continue;
		fw_log(fw, TANDEM_FW_LOG_INFO, "a stray access to %#llx got through",
		       (unsigned long long)(spec->address + done));
		result->status = TANDEM_HW_OK;
	}
}

bool fw_fault_do_command(struct fw_queue *queue, const struct tandem_hw_descriptor *descriptor,
			 struct fw_result *result)
{
	struct tandem_fw *fw = queue->fw;
	struct fw_faults *faults = fw->faults;
	uint32_t number = queue->ring.queue;
	bool ended = false;

	faults->opcode[number] = descriptor->opcode;
	for (size_t i = 0; i < faults->count; i++) {
		const struct fw_fault_spec *spec = &faults->fault[i].spec;

		if (!is_due(fw, &faults->fault[i], FW_FAULT_COMMAND, number,
			    descriptor->opcode))
			continue;
		if (spec->kind == FW_FAULT_HANG) {
			hang(queue, spec, result);
			ended = true;
		} else if (spec->kind == FW_FAULT_SCRIBBLE) {
			scribble(queue, descriptor, spec, result);
			ended = true;
		} else if (spec->kind == FW_FAULT_DMA) {
			stray(queue, spec, result);
			ended = true;
		} else {
			do_general(fw, spec, number);
		}
	}
	return ended;
}

/* Is there room for one completion more than the one that is to come? */
static bool has_room_for_extra(const struct fw_ring *ring)
{
	struct fw_ring next = *ring;

	next.posted++;
	return fw_ring_can_post(&next);
}

static int post_extra(struct tandem_fw *fw, struct fw_ring *ring,
		      const struct tandem_hw_completion *completion)
{
	return has_room_for_extra(ring) ? fw_ring_write(fw, ring, completion) : 0;
}

static int replay(struct tandem_fw *fw, struct fw_ring *ring, const struct fw_fault_spec *spec)
{
	uint32_t back = spec->has_value ? (uint32_t)spec->value : 1;
	struct tandem_hw_completion old;

	if (!back || back > ring->posted || back > ring->entries)
		return 0;
	if (fw_copy_guarded(fw, &old, &ring->cq[(ring->posted - back) & (ring->entries - 1)],
			    sizeof(old)))
		return -EFAULT;
	old.phase = fw_ring_phase(ring);
	return post_extra(fw, ring, &old);
}

/* Return: 1 if the completion itself is not to be written, 0, or -EFAULT. */
static int do_completion(struct tandem_fw *fw, struct fw_ring *ring,
			 const struct fw_fault_spec *spec,
			 struct tandem_hw_completion *completion)
{
	struct tandem_hw_completion wrong = *completion;

	switch (spec->kind) {
	case FW_FAULT_COMPLETION:
		spoil((char *)&wrong + spec->field->offset, spec->field->size, spec);
		if (spec->extra)
			return post_extra(fw, ring, &wrong);
		*completion = wrong;
		return 0;
	case FW_FAULT_REPLAY:
		return replay(fw, ring, spec);
	case FW_FAULT_DUPLICATE:
		return post_extra(fw, ring, completion);
	case FW_FAULT_LOST_COMPLETION:
		return 1;
	default:
		return 0;
	}
}

int fw_fault_do_post(struct tandem_fw *fw, struct fw_ring *ring,
		     struct tandem_hw_completion *completion)
{
	struct fw_faults *faults = fw->faults;
	uint8_t opcode = faults->opcode[ring->queue];
	uint16_t phase = completion->phase;
	bool lost = false;
	int ret;

	for (size_t i = 0; i < faults->count; i++) {
		struct fault *fault = &faults->fault[i];

		if (!is_due(fw, fault, FW_FAULT_COMPLETE, ring->queue, opcode))
			continue;
		ret = do_completion(fw, ring, &fault->spec, completion);
		if (ret < 0)
			return ret;
		lost |= ret;
		/* It may be another slot by now. */
		completion->phase ^= phase ^ fw_ring_phase(ring);
		phase = fw_ring_phase(ring);
	}
	return lost ? 0 : fw_ring_write(fw, ring, completion);
}

bool fw_fault_do_interrupt(struct tandem_fw *fw, uint32_t vector)
{
	struct fw_faults *faults = fw->faults;
	bool lost = false;

	for (size_t i = 0; i < faults->count; i++)
		lost |= is_due(fw, &faults->fault[i], FW_FAULT_INTERRUPT, vector,
			       faults->opcode[vector]);
	return lost;
}

uint32_t fw_fault_do_armed(struct tandem_fw *fw, uint32_t queue)
{
	struct fw_faults *faults = fw->faults;
	uint32_t armed = 1;

	for (size_t i = 0; i < faults->count; i++) {
		const struct fw_fault_spec *spec = &faults->fault[i].spec;

		if (is_due(fw, &faults->fault[i], FW_FAULT_IDLE, queue, faults->opcode[queue]))
			armed = spec->has_value ? (uint32_t)spec->value : ~1u;
	}
	return armed;
}
