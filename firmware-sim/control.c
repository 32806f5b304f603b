// SPDX-License-Identifier: MIT
/* The control thread. */
#include "admin.h"
#include "control.h"
#include "device.h"
#include "fault.h"
#include "queue.h"

/* Half of what the driver is promised, so that one late wake-up does no harm. */
#define HEARTBEAT_MS	(TANDEM_HW_HEARTBEAT_MS / 2)

void fw_control_heartbeat(struct tandem_fw *fw)
{
	uint64_t now = fw_now();

	if (now - fw->heartbeat_ns < HEARTBEAT_MS / 2 * 1000000ull || fw_fault_heart(fw))
		return;
	fw->heartbeat_ns = now;
	fw_register_write(fw, TANDEM_REG_HEARTBEAT, ++fw->heartbeat);
}

static void set_state(struct tandem_fw *fw, uint32_t state)
{
	fw->state = state;
	fw_register_write(fw, TANDEM_REG_STATUS, state);
}

/*
 * In READY all doorbells are zero, so that the counts of the next enable begin
 * where the rings do, whatever the last one left behind.
 */
static void enter_ready(struct tandem_fw *fw)
{
	for (uint32_t queue = 0; queue <= fw_queue_max(fw); queue++)
		fw_doorbell_clear(fw, queue);
	fw_register_write(fw, TANDEM_REG_FATAL, 0);
	atomic_store(&fw->fatal, 0);
	set_state(fw, TANDEM_HW_STATE_READY);
}

void fw_control_reset(struct tandem_fw *fw)
{
	fw_register_write(fw, TANDEM_REG_STATUS, TANDEM_HW_STATE_BOOTING);
	fw_register_write(fw, TANDEM_REG_MAGIC, TANDEM_HW_MAGIC);
	fw_register_write(fw, TANDEM_REG_VERSION,
			  TANDEM_HW_VERSION(TANDEM_HW_VERSION_MAJOR,
					    TANDEM_HW_VERSION_MINOR));
	fw_register_write(fw, TANDEM_REG_CONTROL, 0);
	fw_register_write(fw, TANDEM_REG_HEARTBEAT, 0);
	fw_register_write(fw, TANDEM_REG_QUEUE_MAX, fw_queue_max(fw));
	fw_register_write64(fw, TANDEM_REG_MEMORY_SIZE, fw->memory_size);
	enter_ready(fw);
	fw_fault_state(fw, FW_FAULT_BOOT);
}

static void enter_fatal(struct tandem_fw *fw, uint32_t status)
{
	fw_queues_stop(fw, FW_QUEUE_QUIET);
	fw_admin_reset(fw);
	fw_log(fw, TANDEM_FW_LOG_ERROR, "stopped: fatal status %u", status);
	fw_register_write(fw, TANDEM_REG_FATAL, status);
	set_state(fw, TANDEM_HW_STATE_FATAL);
	fw_interrupt(fw, 0);
}

/* Take over what the driver has set up. Return: &enum tandem_hw_status. */
static uint32_t check_enable(struct tandem_fw *fw)
{
	uint32_t epoch = fw_register_read(fw, TANDEM_REG_EPOCH);
	uint32_t contexts = fw_register_read(fw, TANDEM_REG_CONTEXT_COUNT);
	uint64_t table = fw_register_read64(fw, TANDEM_REG_CONTEXT_TABLE);

	if (!epoch || epoch == fw->epoch)
		return TANDEM_HW_INVALID_FIELD;
	if (!contexts || contexts > FW_CONTEXTS_MAX || table % 8)
		return TANDEM_HW_INVALID_FIELD;
	if (!fw->bus->host(fw->bus, table,
			   (uint64_t)contexts * sizeof(struct tandem_hw_context), false))
		return TANDEM_HW_BUS_FAULT;

	fw_doorbell_clear(fw, 0);
	fw->epoch = epoch;
	fw->context_table = table;
	fw->context_count = contexts;
	return fw_ring_map(fw, &fw->admin, 0, fw_register_read64(fw, TANDEM_REG_ADMIN_SQ),
			   fw_register_read64(fw, TANDEM_REG_ADMIN_CQ),
			   fw_register_read(fw, TANDEM_REG_ADMIN_ENTRIES));
}

static void enable(struct tandem_fw *fw)
{
	uint32_t status;

	fw_fault_state(fw, FW_FAULT_ENABLE);
	if (fw_fault_stuck(fw))
		return;
	status = check_enable(fw);
	if (status != TANDEM_HW_OK) {
		enter_fatal(fw, status);
		return;
	}
	fw_log(fw, TANDEM_FW_LOG_INFO, "enabled, epoch %u", fw->epoch);
	set_state(fw, TANDEM_HW_STATE_RUNNING);
	fw_interrupt(fw, 0);
}

static void disable(struct tandem_fw *fw)
{
	fw_fault_state(fw, FW_FAULT_DISABLE);
	if (fw_fault_stuck(fw))
		return;
	fw_queues_stop(fw, FW_QUEUE_DRAIN);
	fw_admin_drain(fw);
	fw_log(fw, TANDEM_FW_LOG_INFO, "disabled");
	enter_ready(fw);
	fw_interrupt(fw, 0);
}

/* One look at everything. Return: whether something was done. */
static bool control_step(struct tandem_fw *fw)
{
	uint32_t control = fw_register_read(fw, TANDEM_REG_CONTROL);
	uint32_t fatal = atomic_load(&fw->fatal);

	if (fw_fault_stuck(fw))
		return fw->state == TANDEM_HW_STATE_RUNNING && fw_admin_serve(fw);
	switch (fw->state) {
	case TANDEM_HW_STATE_READY:
		if (!control)
			return false;
		if (control == TANDEM_CONTROL_ENABLE)
			enable(fw);
		else
			enter_fatal(fw, TANDEM_HW_INVALID_FIELD);
		return true;
	case TANDEM_HW_STATE_RUNNING:
		if (!control) {
			disable(fw);
			return true;
		}
		if (control != TANDEM_CONTROL_ENABLE)
			fatal = TANDEM_HW_INVALID_FIELD;
		if (fatal) {
			enter_fatal(fw, fatal);
			return true;
		}
		return fw_admin_serve(fw);
	default:
		if (control)
			return false;
		enter_ready(fw);
		fw_interrupt(fw, 0);
		return true;
	}
}

void *fw_control_main(void *argument)
{
	struct tandem_fw *fw = argument;

	while (!atomic_load(&fw->stopping)) {
		fw_control_heartbeat(fw);
		if (control_step(fw))
			continue;
		/*
		 * Changes of CONTROL, wishes of other threads and the end come
		 * as wake-ups without regard to the doorbell's arming; the
		 * time limit is the heartbeat's.
		 */
		if (fw->state != TANDEM_HW_STATE_RUNNING || fw_ring_arm(fw, &fw->admin))
			fw_doorbell_sleep(fw, 0, HEARTBEAT_MS);
		if (fw->state == TANDEM_HW_STATE_RUNNING)
			fw_ring_disarm(&fw->admin);
	}
	fw_queues_stop(fw, FW_QUEUE_QUIET);
	fw_admin_reset(fw);
	fw_register_write(fw, TANDEM_REG_STATUS, TANDEM_HW_STATE_BOOTING);
	return NULL;
}
