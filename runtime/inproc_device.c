// SPDX-License-Identifier: MIT
/*
 * Opening and closing inproc devices.
 */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "inproc.h"

static void inproc_close(struct tandem_device *base)
{
	struct inproc_device *device = to_inproc(base);

	loop_poll_stop(device->interrupt_poll);
	inproc_shutdown(device);
	tandem_fw_destroy(device->firmware);
	inproc_bus_exit(device);
	inproc_store_put(device->store);
	free(device);
}

void inproc_device_remove(struct tandem_device *base)
{
	struct inproc_device *device = to_inproc(base);

	if (base->lost)
		return;
	device_lost(base);
	tandem_fw_stop(device->firmware);
	inproc_queues_fail(device);
}

static int inproc_get_info(struct tandem_device *base, struct tandem_device_info *info)
{
	struct inproc_device *device = to_inproc(base);
	const struct tandem_hw_identity *identity = &device->identity;

	memcpy(info->profile, identity->profile, sizeof(info->profile));
	info->role = le32toh(identity->role);
	info->copy_queues = INPROC_COPY_QUEUES;
	info->compute_queues = INPROC_COMPUTE_QUEUES;
	info->memory_classes = le32toh(identity->memory_class_count);
	info->memory_size = le64toh(identity->memory_size);
	info->memory_used = inproc_store_used(device->store, 0, inproc_store_size(device->store));
	info->profile_memory_size = le64toh(identity->profile_memory_size);
	info->profile_memory_bandwidth = le64toh(identity->profile_memory_bandwidth);
	info->profile_flops = le64toh(identity->profile_flops);
	info->profile_link_bandwidth = le64toh(identity->profile_link_bandwidth);
	return 0;
}

static const struct tandem_device_ops inproc_ops = {
	.kind = DEVICE_INPROC,
	.close = inproc_close,
	.get_info = inproc_get_info,
	.get_memory_class = inproc_get_memory_class,
	.memory_alloc = inproc_memory_alloc,
	.memory_share = inproc_memory_share,
	.memory_free = inproc_memory_free,
	.memory_map = inproc_memory_map,
	.memory_export = inproc_memory_export,
	.memory_import = inproc_memory_import,
	.memory_register = inproc_memory_register,
	.queue_open = inproc_queue_open,
	.queue_close = inproc_queue_close,
	.fence_create = inproc_fence_create,
	.fence_share = inproc_fence_share,
	.fence_destroy = inproc_fence_destroy,
	.fence_value = inproc_fence_value,
	.fence_signal = inproc_fence_signal,
	.fence_arm = inproc_fence_arm,
	.fence_disarm = inproc_fence_disarm,
	.submit = inproc_queue_submit,
};

/* Make the firmware and switch it on. */
static int inproc_power_on(struct inproc_device *device, const struct inproc_options *options,
			   struct tandem_error *error)
{
	struct tandem_fw_config config = {
		.profile = options->profile,
		.memory_size = options->memory_size,
		.sram_size = options->sram_size,
		.copy_queues = INPROC_COPY_QUEUES,
		.compute_queues = INPROC_COMPUTE_QUEUES,
		.cores = options->cores,
	};
	char reason[TANDEM_FW_ERROR_BYTES] = "";
	int ret;

	ret = tandem_fw_create(&config, &device->bus, &device->firmware, reason);
	if (ret < 0)
		return tandem_error_set(error, ret, "%s: %s", device->base.name,
					*reason ? reason : strerror(-ret));
	ret = tandem_fw_start(device->firmware);
	if (ret < 0)
		return tandem_error_set(error, -ENOMEM,
					"%s: cannot make the device's threads; raise the limit (ulimit -u)",
					device->base.name);
	return inproc_boot(device, error);
}

int inproc_device_open(struct tandem_loop *loop, const char *name, const char *text,
		       struct tandem_device **device, struct tandem_error *error)
{
	struct inproc_options options;
	struct inproc_device *new;
	int ret;

	ret = inproc_options_parse(name, text, &options, error);
	if (ret < 0)
		return ret;
	new = calloc(1, sizeof(*new));
	if (!new)
		return tandem_error_set(error, -ENOMEM, "%s: out of memory", name);
	device_init(&new->base, &inproc_ops, loop, name);
	new->base.segments_max = TANDEM_HW_SEGMENTS_MAX;

	new->store = inproc_store_create(options.memory_size + options.sram_size);
	if (!new->store) {
		ret = tandem_error_set(error, -ENOMEM,
				       "%s: no room for its memory in this process; give a smaller mem=",
				       name);
		goto free_device;
	}
	ret = inproc_bus_init(new);
	if (ret < 0) {
		tandem_error_set(error, ret, "%s: %s", name, strerror(-ret));
		goto put_store;
	}
	ret = loop_poll_start(loop, new->interrupt_fd, POLLIN, inproc_interrupt, new,
			      &new->interrupt_poll);
	if (ret < 0) {
		tandem_error_set(error, ret, "%s: out of memory", name);
		goto exit_bus;
	}
	ret = inproc_power_on(new, &options, error);
	if (ret < 0)
		goto power_off;
	*device = &new->base;
	return 0;

power_off:
	loop_task_cancel(loop, &new->base.lost_task);
	tandem_fw_destroy(new->firmware);
	loop_poll_stop(new->interrupt_poll);
exit_bus:
	inproc_bus_exit(new);
put_store:
	inproc_store_put(new->store);
free_device:
	free(new);
	return ret;
}
