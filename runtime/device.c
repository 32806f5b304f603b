// SPDX-License-Identifier: MIT
/*
 * Devices, whichever back end they are of.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "device.h"
#include "error.h"

#define ACCEL_DIRECTORY	"/dev/accel/"
#define ACCEL_PREFIX	"accel"
#define INPROC_PREFIX	"inproc:"

/* What comes after @prefix in @text, or NULL. */
static const char *after_prefix(const char *text, const char *prefix)
{
	size_t length = strlen(prefix);

	return strncmp(text, prefix, length) ? NULL : text + length;
}

int tandem_device_open(struct tandem_loop *loop, const char *name,
		       struct tandem_device **device, struct tandem_error *error)
{
	const char *node = after_prefix(name, ACCEL_DIRECTORY);
	const char *options;

	if (strlen(name) >= sizeof((*device)->name))
		return tandem_error_set(error, -EINVAL, "device \"%.40s…\": the name is too long",
					name);
	options = after_prefix(name, INPROC_PREFIX);
	if (options)
		return inproc_device_open(loop, name, options, device, error);
	options = after_prefix(node ? node : name, ACCEL_PREFIX);
	if (options)
		return accel_device_open(loop, name, options, device, error);
	return tandem_error_set(error, -EINVAL,
				"device \"%s\": give accelN, as `tandem list` shows, or inproc:PROFILE",
				name);
}

void device_init(struct tandem_device *device, const struct tandem_device_ops *ops,
		 struct tandem_loop *loop, const char *name)
{
	device->ops = ops;
	device->loop = loop;
	strcpy(device->name, name);
	LIST_INIT(&device->watches);
	device->user_copy_max = DEVICE_USER_COPY_MAX;
}

void tandem_device_close(struct tandem_device *device)
{
	if (!device)
		return;
	loop_task_cancel(device->loop, &device->lost_task);
	device->ops->close(device);
}

int tandem_device_get_info(struct tandem_device *device, struct tandem_device_info *info)
{
	memset(info, 0, sizeof(*info));
	memcpy(info->name, device->name, sizeof(info->name));
	if (device->lost)
		return -ENODEV;
	return device->ops->get_info(device, info);
}

int tandem_device_get_memory_class(struct tandem_device *device, uint32_t index,
				   struct tandem_memory_class *memory_class)
{
	memset(memory_class, 0, sizeof(*memory_class));
	if (device->lost)
		return -ENODEV;
	return device->ops->get_memory_class(device, index, memory_class);
}

/*
 * One a call: whoever is told may remove other watches, or close the device,
 * which takes the task back.
 */
static void device_tell_lost(struct loop_task *task)
{
	struct device_watch *watch;
	struct tandem_device *device;

	device = (void *)((char *)task - offsetof(struct tandem_device, lost_task));
	LIST_FOREACH(watch, &device->watches, entry) {
		if (watch->told)
			continue;
		watch->told = true;
		loop_task_post(device->loop, task);
		watch->lost(watch);
		return;
	}
	if (device->on_lost)
		device->on_lost(device, device->on_lost_user);
}

void device_lost(struct tandem_device *device)
{
	if (device->lost)
		return;
	device->lost = true;
	device->lost_task.run = device_tell_lost;
	loop_task_post(device->loop, &device->lost_task);
}

void device_watch_add(struct tandem_device *device, struct device_watch *watch)
{
	watch->told = false;
	LIST_INSERT_HEAD(&device->watches, watch, entry);
}

void device_watch_remove(struct device_watch *watch)
{
	LIST_REMOVE(watch, entry);
}

void tandem_device_on_lost(struct tandem_device *device,
			   void (*lost)(struct tandem_device *device, void *user), void *user)
{
	device->on_lost = lost;
	device->on_lost_user = user;
}

int tandem_device_is_lost(const struct tandem_device *device)
{
	return device->lost;
}
