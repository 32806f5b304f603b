// SPDX-License-Identifier: MIT
/* The admin queue. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin.h"
#include "control.h"
#include "device.h"
#include "fault.h"
#include "queue.h"

/* Says that a command completes later. */
#define LATER	(~0u)

/**
 * struct fw_sync - an admin command that waits for commands of I/O queues
 * @next: the one that came after it
 * @command_id: of the admin command
 * @last: NOP: waits for the syncs before it, that is, until it is the first
 * @serial: for each I/O queue the running command to wait for, or 0
 */
struct fw_sync {
	struct fw_sync *next;
	uint16_t command_id;
	bool last;
	uint64_t serial[TANDEM_HW_QUEUES_MAX + 1];
};

static uint32_t identify(struct tandem_fw *fw, const struct tandem_hw_descriptor *d)
{
	struct tandem_hw_identity identity = {
		.role = fw->profile->role,
		.copy_queues = fw->copy_queues,
		.compute_queues = fw->compute_queues,
		.queue_entries_max = FW_QUEUE_ENTRIES_MAX,
		.memory_size = fw->memory_size,
		.profile_memory_size = fw->profile->memory_size,
		.profile_memory_bandwidth = fw->profile->memory_bandwidth,
		.profile_flops = fw->profile->flops,
		.profile_link_bandwidth = fw->profile->link_bandwidth,
		.memory_class_count = fw->sram_size ? 2 : 1,
		.memory_class[0] = {
			.size = fw->memory_size - fw->sram_size,
			.bandwidth = fw->profile->memory_bandwidth,
			.kind = fw->profile->memory_kind,
		},
	};
	void *page;

	if (fw->sram_size)
		identity.memory_class[1] = (struct tandem_hw_memory_class){
			.start = fw->memory_size - fw->sram_size,
			.size = fw->sram_size,
			.kind = TANDEM_HW_MEMORY_SRAM,
		};
	if (d->context || d->dst_region || d->src_region || d->dst_offset || d->length ||
	    d->argument)
		return TANDEM_HW_INVALID_FIELD;
	snprintf(identity.profile, sizeof(identity.profile), "%s", fw->profile->name);
	snprintf(identity.firmware_version, sizeof(identity.firmware_version), "%s",
		 tandem_fw_version());
	fw_fault_identity(fw, &identity);
	page = fw->bus->host(fw->bus, d->src_offset, sizeof(identity), true);
	if (!page || fw_copy_guarded(fw, page, &identity, sizeof(identity)))
		return TANDEM_HW_BUS_FAULT;
	return TANDEM_HW_OK;
}

static uint32_t queues_of_kind(const struct tandem_fw *fw, uint32_t kind)
{
	uint32_t count = 0;

	for (uint32_t i = 1; i <= fw_queue_max(fw); i++)
		if (fw->queues[i] && fw->queues[i]->kind == kind)
			count++;
	return count;
}

static bool has_queue_number(const struct tandem_fw *fw, uint64_t number)
{
	return number >= 1 && number <= fw_queue_max(fw);
}

static uint32_t queue_create(struct tandem_fw *fw, const struct tandem_hw_descriptor *d)
{
	uint32_t kind = d->src_region;
	uint32_t limit = kind == TANDEM_HW_QUEUE_COPY ? fw->copy_queues : fw->compute_queues;
	struct fw_ring ring;
	uint32_t status;

	if (d->context || d->dst_region)
		return TANDEM_HW_INVALID_FIELD;
	if (kind != TANDEM_HW_QUEUE_COPY && kind != TANDEM_HW_QUEUE_COMPUTE)
		return TANDEM_HW_INVALID_FIELD;
	if (!has_queue_number(fw, d->argument) || fw->queues[d->argument])
		return TANDEM_HW_INVALID_FIELD;
	if (queues_of_kind(fw, kind) >= limit)
		return TANDEM_HW_INVALID_FIELD;
	status = fw_ring_map(fw, &ring, (uint32_t)d->argument, d->src_offset, d->dst_offset,
			     d->length);
	if (status != TANDEM_HW_OK)
		return status;
	return fw_queue_create(fw, kind, &ring);
}

static uint32_t queue_delete(struct tandem_fw *fw, const struct tandem_hw_descriptor *d)
{
	if (d->context || d->dst_region || d->src_region || d->dst_offset || d->src_offset ||
	    d->length)
		return TANDEM_HW_INVALID_FIELD;
	if (!has_queue_number(fw, d->argument) || !fw->queues[d->argument])
		return TANDEM_HW_INVALID_FIELD;
	fw_queue_delete(fw->queues[d->argument], FW_QUEUE_DRAIN);
	return TANDEM_HW_OK;
}

static uint32_t abort_command(struct tandem_fw *fw, const struct tandem_hw_descriptor *d)
{
	if (d->context || d->dst_region || d->src_region || d->dst_offset || d->src_offset)
		return TANDEM_HW_INVALID_FIELD;
	/* A command that cannot be there is one that is not there. */
	if (has_queue_number(fw, d->argument) && fw->queues[d->argument] &&
	    d->length <= UINT32_MAX)
		fw_queue_abort(fw->queues[d->argument], (uint32_t)d->length);
	return TANDEM_HW_OK;
}

/*
 * Waiting on the spot would keep the ABORT from being seen that may be what
 * ends the wait. So what waits is put on a list, and looked at whenever a
 * command has ended.
 */
static uint32_t wait_later(struct tandem_fw *fw, struct fw_sync *sync)
{
	struct fw_sync **end = &fw->syncs;

	while (*end)
		end = &(*end)->next;
	*end = sync;
	return LATER;
}

static uint32_t context_sync(struct tandem_fw *fw, const struct tandem_hw_descriptor *d)
{
	struct fw_sync *sync;
	bool waits = false;

	if (d->dst_region || d->src_region || d->dst_offset || d->src_offset || d->length ||
	    d->argument)
		return TANDEM_HW_INVALID_FIELD;
	if (d->context >= fw->context_count)
		return TANDEM_HW_INVALID_CONTEXT;
	sync = calloc(1, sizeof(*sync));
	if (!sync)
		return TANDEM_HW_NO_MEMORY;
	sync->command_id = d->command_id;

	/* First, so that a command which ends from now on wakes this thread. */
	atomic_fetch_add(&fw->syncs_pending, 1);
	for (uint32_t i = 1; i <= fw_queue_max(fw); i++) {
		if (fw->queues[i])
			sync->serial[i] = fw_queue_running(fw->queues[i], d->context);
		if (sync->serial[i])
			waits = true;
	}
	if (waits)
		return wait_later(fw, sync);
	atomic_fetch_sub(&fw->syncs_pending, 1);
	free(sync);
	return TANDEM_HW_OK;
}

static uint32_t nop(struct tandem_fw *fw, const struct tandem_hw_descriptor *d)
{
	struct fw_sync *sync;

	if (d->context || d->dst_region || d->src_region || d->dst_offset || d->src_offset ||
	    d->length || d->argument)
		return TANDEM_HW_INVALID_FIELD;
	if (!fw->syncs)
		return TANDEM_HW_OK;
	sync = calloc(1, sizeof(*sync));
	if (!sync)
		return TANDEM_HW_NO_MEMORY;
	sync->command_id = d->command_id;
	sync->last = true;
	atomic_fetch_add(&fw->syncs_pending, 1);
	return wait_later(fw, sync);
}

static uint32_t log_read(struct tandem_fw *fw, const struct tandem_hw_descriptor *d,
			 uint32_t *detail)
{
	uint64_t position = d->argument;
	struct tandem_hw_log *log;
	uint32_t status;
	size_t count;
	void *host;

	if (d->context || d->dst_region || d->src_region || d->dst_offset ||
	    d->length < sizeof(*log))
		return TANDEM_HW_INVALID_FIELD;
	host = fw->bus->host(fw->bus, d->src_offset, d->length, true);
	if (!host)
		return TANDEM_HW_BUS_FAULT;
	count = d->length - sizeof(*log);
	if (count > FW_LOG_BYTES)
		count = FW_LOG_BYTES;
	log = malloc(sizeof(*log) + count);
	if (!log)
		return TANDEM_HW_NO_MEMORY;
	count = fw_log_read(&fw->log, &position, (char *)log->text, count);
	log->position = position;
	status = fw_copy_guarded(fw, host, log, sizeof(*log) + count) ? TANDEM_HW_BUS_FAULT :
									 TANDEM_HW_OK;
	free(log);
	if (status == TANDEM_HW_OK)
		*detail = (uint32_t)count;
	return status;
}

static uint32_t run(struct tandem_fw *fw, const struct tandem_hw_descriptor *d,
		    uint32_t *detail)
{
	if (d->flags || d->reserved[0] || d->reserved[1])
		return TANDEM_HW_INVALID_FIELD;
	switch (d->opcode) {
	case TANDEM_HW_OP_NOP:
		return nop(fw, d);
	case TANDEM_HW_OP_IDENTIFY:
		return identify(fw, d);
	case TANDEM_HW_OP_QUEUE_CREATE:
		return queue_create(fw, d);
	case TANDEM_HW_OP_QUEUE_DELETE:
		return queue_delete(fw, d);
	case TANDEM_HW_OP_ABORT:
		return abort_command(fw, d);
	case TANDEM_HW_OP_CONTEXT_SYNC:
		return context_sync(fw, d);
	case TANDEM_HW_OP_LOG_READ:
		return log_read(fw, d, detail);
	default:
		return TANDEM_HW_INVALID_OPCODE;
	}
}

static void complete(struct tandem_fw *fw, uint16_t command_id,
		     const struct fw_result *result)
{
	if (fw_ring_post(fw, &fw->admin, command_id, result))
		fw_fatal(fw, TANDEM_HW_BUS_FAULT);
}

/* Does nothing that @sync waits for run any more? */
static bool sync_is_over(struct tandem_fw *fw, const struct fw_sync *sync)
{
	if (sync->last)
		return sync == fw->syncs;
	for (uint32_t i = 1; i <= fw_queue_max(fw); i++)
		if (sync->serial[i] && fw->queues[i] &&
		    fw_queue_runs(fw->queues[i], sync->serial[i]))
			return false;
	return true;
}

/* Return: whether a command completed. */
static bool serve_syncs(struct tandem_fw *fw)
{
	struct fw_sync **link = &fw->syncs;
	bool completed = false;

	while (*link && fw_ring_can_post(&fw->admin)) {
		struct fw_sync *sync = *link;

		if (!sync_is_over(fw, sync)) {
			link = &sync->next;
			continue;
		}
		*link = sync->next;
		complete(fw, sync->command_id, &(struct fw_result){ .status = TANDEM_HW_OK });
		atomic_fetch_sub(&fw->syncs_pending, 1);
		free(sync);
		completed = true;
	}
	return completed;
}

/*
 * Return: whether one was carried out; when the rings are unusable, no, and the
 * device is on its way to FATAL.
 */
static bool serve_one(struct tandem_fw *fw, bool *completed)
{
	struct tandem_hw_descriptor descriptor;
	struct fw_result result = { 0 };
	bool answer = true;
	uint64_t start;
	uint32_t count;

	if (fw_ring_available(&fw->admin, &count)) {
		fw_fatal(fw, TANDEM_HW_INVALID_FIELD);
		return false;
	}
	if (!count || !fw_ring_can_post(&fw->admin))
		return false;
	if (fw_ring_peek(fw, &fw->admin, &descriptor)) {
		fw_fatal(fw, TANDEM_HW_BUS_FAULT);
		return false;
	}
	fw->admin.head++;

	start = fw_now();
	if (!fw_fault_admin(fw, &descriptor, &answer, &result.status))
		result.status = run(fw, &descriptor, &result.detail);
	if (answer && result.status != LATER) {
		result.duration_ns = fw_now() - start;
		complete(fw, descriptor.command_id, &result);
		*completed = true;
	}
	return true;
}

bool fw_admin_serve(struct tandem_fw *fw)
{
	bool completed, served = false;

	/* A bounded number, then CONTROL is looked at again. */
	completed = serve_syncs(fw);
	for (uint32_t i = 0; i < fw->admin.entries && serve_one(fw, &completed); i++) {
		fw_control_heartbeat(fw);
		served = true;
	}
	if (completed)
		fw_interrupt(fw, 0);
	if (!served && !completed && !fw_ring_can_post(&fw->admin)) {
		/* No doorbell tells of room in the completion ring. */
		fw_doorbell_sleep(fw, 0, 1);
		return true;
	}
	return served || completed || atomic_load(&fw->fatal);
}

void fw_admin_drain(struct tandem_fw *fw)
{
	const struct fw_result aborted = { .status = TANDEM_HW_ABORTED };
	struct tandem_hw_descriptor descriptor;
	bool completed = false;
	uint32_t count;

	/* Without queues nothing is left that a sync could wait for. */
	completed = serve_syncs(fw);
	if (!fw_ring_available(&fw->admin, &count)) {
		for (; count && fw_ring_can_post(&fw->admin); count--) {
			if (fw_ring_peek(fw, &fw->admin, &descriptor))
				break;
			fw->admin.head++;
			complete(fw, descriptor.command_id, &aborted);
			completed = true;
		}
	}
	fw_admin_reset(fw);
	if (completed)
		fw_interrupt(fw, 0);
}

void fw_admin_reset(struct tandem_fw *fw)
{
	struct fw_sync *sync;

	while ((sync = fw->syncs)) {
		fw->syncs = sync->next;
		free(sync);
	}
	atomic_store(&fw->syncs_pending, 0);
}
