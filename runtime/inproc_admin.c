// SPDX-License-Identifier: MIT
/*
 * Boot, the admin queue, and shutdown of an inproc device. These wait for the
 * device, which answers at once unless it is at the end of its work on a
 * context.
 */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "inproc.h"

#define NSEC_PER_MSEC	1000000ull
/* A device whose heartbeat stands still for so long is dead. */
#define DEAD_MS		(6 * TANDEM_HW_HEARTBEAT_MS)

static void wait_for_interrupt(struct inproc_device *device)
{
	struct pollfd pollfd = { .fd = device->admin_fd, .events = POLLIN };
	uint64_t count;

	if (poll(&pollfd, 1, TANDEM_HW_HEARTBEAT_MS) > 0)
		(void)!read(device->admin_fd, &count, sizeof(count));
}

static int wait_for_state(struct inproc_device *device, enum tandem_hw_state state)
{
	uint64_t deadline = loop_now_ns() + TANDEM_HW_STATE_TIMEOUT_MS * NSEC_PER_MSEC;

	while (inproc_read(device, TANDEM_REG_STATUS) != state) {
		if (loop_now_ns() >= deadline)
			return -ETIMEDOUT;
		wait_for_interrupt(device);
	}
	return 0;
}

int inproc_admin(struct inproc_device *device, const struct tandem_hw_descriptor *descriptor)
{
	uint32_t number = device->admin_tail;
	struct tandem_hw_completion completion;
	uint32_t heartbeat = inproc_read(device, TANDEM_REG_HEARTBEAT);
	uint64_t beaten = loop_now_ns();
	struct tandem_hw_descriptor *slot;

	if (device->base.lost)
		return -ENODEV;
	slot = &device->host->admin_sq[number % INPROC_ADMIN_ENTRIES];
	*slot = *descriptor;
	slot->command_id = htole16(number & 0xffff);
	device->admin_tail = number + 1;
	inproc_ring(device, 0, number + 1);

	while (!inproc_completion_read(device->host->admin_cq, INPROC_ADMIN_ENTRIES, number,
				       &completion)) {
		if (inproc_read(device, TANDEM_REG_HEARTBEAT) != heartbeat) {
			heartbeat = inproc_read(device, TANDEM_REG_HEARTBEAT);
			beaten = loop_now_ns();
		}
		if (inproc_read(device, TANDEM_REG_STATUS) != TANDEM_HW_STATE_RUNNING ||
		    loop_now_ns() - beaten > DEAD_MS * NSEC_PER_MSEC)
			goto dead;
		wait_for_interrupt(device);
	}
	inproc_set_cq_head(device, 0, number + 1);
	if (le16toh(completion.command_id) != (number & 0xffff) || completion.queue)
		goto dead;
	return completion.status == htole16(TANDEM_HW_OK) ? 0 : -EIO;

dead:
	inproc_device_remove(&device->base);
	return -ENODEV;
}

void inproc_context_sync(struct inproc_device *device)
{
	struct tandem_hw_descriptor descriptor = {
		.opcode = TANDEM_HW_OP_CONTEXT_SYNC,
		.context = htole32(INPROC_CONTEXT),
	};

	if (device->in_flight)
		inproc_admin(device, &descriptor);
}

static int inproc_identify(struct inproc_device *device)
{
	struct tandem_hw_identity *identity = &device->identity;
	struct tandem_hw_descriptor descriptor = {
		.opcode = TANDEM_HW_OP_IDENTIFY,
		.src_offset = htole64(inproc_host_address(device, &device->host->identity)),
	};
	int ret;

	ret = inproc_admin(device, &descriptor);
	if (ret < 0)
		return ret;
	*identity = device->host->identity;
	if (le32toh(identity->memory_class_count) > TANDEM_HW_MEMORY_CLASSES_MAX ||
	    identity->profile[sizeof(identity->profile) - 1] ||
	    le64toh(identity->memory_size) != inproc_store_size(device->store) ||
	    le32toh(identity->copy_queues) < INPROC_COPY_QUEUES ||
	    le32toh(identity->compute_queues) < INPROC_COMPUTE_QUEUES ||
	    le32toh(identity->queue_entries_max) < INPROC_ENTRIES)
		return -EPROTO;
	return 0;
}

int inproc_boot(struct inproc_device *device, struct tandem_error *error)
{
	struct inproc_host *host = device->host;
	const char *name = device->base.name;
	struct tandem_hw_context *context = &host->contexts[INPROC_CONTEXT];
	int ret;

	if (inproc_read(device, TANDEM_REG_STATUS) != TANDEM_HW_STATE_READY ||
	    inproc_read(device, TANDEM_REG_MAGIC) != TANDEM_HW_MAGIC ||
	    inproc_read(device, TANDEM_REG_VERSION) >> 16 != TANDEM_HW_VERSION_MAJOR ||
	    inproc_read(device, TANDEM_REG_QUEUE_MAX) < INPROC_QUEUES)
		return tandem_error_set(error, -EPROTO,
					"%s: the firmware is of another version; rebuild the library",
					name);

	context->regions = htole64(inproc_host_address(device, host->regions));
	context->region_count = htole32(INPROC_REGIONS);
	context->flags = htole32(TANDEM_HW_CONTEXT_VALID);
	inproc_write(device, TANDEM_REG_EPOCH, INPROC_EPOCH);
	inproc_write(device, TANDEM_REG_ADMIN_ENTRIES, INPROC_ADMIN_ENTRIES);
	inproc_write64(device, TANDEM_REG_ADMIN_SQ, inproc_host_address(device, host->admin_sq));
	inproc_write64(device, TANDEM_REG_ADMIN_CQ, inproc_host_address(device, host->admin_cq));
	inproc_write64(device, TANDEM_REG_CONTEXT_TABLE,
		       inproc_host_address(device, host->contexts));
	inproc_write(device, TANDEM_REG_CONTEXT_COUNT, INPROC_CONTEXTS);
	inproc_write(device, TANDEM_REG_CONTROL, TANDEM_CONTROL_ENABLE);
	inproc_ring_control(device);

	ret = wait_for_state(device, TANDEM_HW_STATE_RUNNING);
	if (!ret)
		ret = inproc_identify(device);
	if (ret < 0)
		return tandem_error_set(error, ret, "%s: the firmware does not start: %s", name,
					strerror(-ret));
	return 0;
}

void inproc_shutdown(struct inproc_device *device)
{
	if (device->base.lost)
		return;
	inproc_write(device, TANDEM_REG_CONTROL, 0);
	inproc_ring_control(device);
	/* Should it not answer, tandem_fw_destroy() stops it all the same. */
	wait_for_state(device, TANDEM_HW_STATE_READY);
}
