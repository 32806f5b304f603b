// SPDX-License-Identifier: MIT
/*
 * Opening and closing accel devices.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xf86drm.h>

#include "accel.h"
#include "error.h"

#define UAPI_MAJOR(version)	((version) >> 16)

int accel_param(struct accel_device *device, uint32_t param, uint32_t index, uint64_t *value)
{
	struct drm_tandem_get_param args = { .param = param, .index = index };

	*value = 0;
	if (drmIoctl(device->fd, DRM_IOCTL_TANDEM_GET_PARAM, &args) < 0)
		return -errno;
	*value = args.value;
	return 0;
}

bool accel_is_tandem(int fd)
{
	drmVersionPtr version = drmGetVersion(fd);
	bool is_tandem = version && version->name && !strcmp(version->name, ACCEL_DRIVER);

	drmFreeVersion(version);
	return is_tandem;
}

static int no_permission(const char *path, struct tandem_error *error)
{
	struct group group, *found = NULL;
	char buffer[1024];
	struct stat status;

	if (!stat(path, &status))
		getgrgid_r(status.st_gid, &group, buffer, sizeof(buffer), &found);
	if (found && status.st_mode & S_IRGRP && status.st_mode & S_IWGRP)
		return tandem_error_set(error, -EACCES,
					"%s: no permission to open it; become a member of group %s",
					path, found->gr_name);
	return tandem_error_set(error, -EACCES,
				"%s: no permission to open it; see `ls -l %s`, or run as root", path,
				path);
}

static int open_failed(const char *path, int code, struct tandem_error *error)
{
	switch (code) {
	case -ENOENT:
	case -ENODEV:
	case -ENXIO:
		if (access(ACCEL_DIRECTORY, F_OK) < 0)
			return tandem_error_set(error, -ENODEV,
						"%s: no such device, nor any other; is tandem.ko loaded?",
						path);
		return tandem_error_set(error, -ENODEV,
					"%s: no such device; `tandem list` shows what there is",
					path);
	case -EACCES:
	case -EPERM:
		return no_permission(path, error);
	default:
		return tandem_error_set(error, code, "%s: cannot open it: %s", path,
					strerror(-code));
	}
}

static int check_driver(struct accel_device *device, const char *path,
			struct tandem_error *error)
{
	uint64_t version;
	int ret;

	if (!accel_is_tandem(device->fd))
		return tandem_error_set(error, -ENODEV,
					"%s: not a Tandem device; `tandem list` shows what there is",
					path);
	ret = accel_param(device, TANDEM_PARAM_UAPI_VERSION, 0, &version);
	if (ret < 0)
		return tandem_error_set(error, ret, "%s: does not answer: %s", path,
					strerror(-ret));
	if (UAPI_MAJOR(version) != UAPI_MAJOR(TANDEM_UAPI_VERSION))
		return tandem_error_set(error, -EPROTO,
					"%s: tandem.ko speaks version %u of its interface, this library version %u; install both from one release",
					path, (unsigned int)UAPI_MAJOR(version),
					(unsigned int)UAPI_MAJOR(TANDEM_UAPI_VERSION));
	return 0;
}

static int read_limits(struct accel_device *device, const char *path, struct tandem_error *error)
{
	uint64_t segments;
	int ret;

	ret = accel_param(device, TANDEM_PARAM_SEGMENTS_MAX, 0, &segments);
	if (!ret && (!segments || segments > UINT32_MAX))
		ret = -EPROTO;
	if (ret < 0)
		return tandem_error_set(error, ret,
					"%s: tandem.ko does not tell how long a list of copies may be: %s",
					path, strerror(-ret));
	device->base.segments_max = segments;
	return 0;
}

static int context_create(struct accel_device *device, const char *path,
			  struct tandem_error *error)
{
	struct drm_tandem_context_create args = { 0 };
	int code;

	if (!drmIoctl(device->fd, DRM_IOCTL_TANDEM_CONTEXT_CREATE, &args)) {
		device->context = args.context;
		return 0;
	}
	code = -errno;
	if (code == -ENOSPC)
		return tandem_error_set(error, code,
					"%s: all its contexts are in use; end a program that uses it",
					path);
	return tandem_error_set(error, code, "%s: cannot make a context: %s", path,
				strerror(-code));
}

static void context_destroy(struct accel_device *device)
{
	struct drm_tandem_context_destroy args = { .context = device->context };

	/* Can only fail when the device is gone, and the context with it. */
	drmIoctl(device->fd, DRM_IOCTL_TANDEM_CONTEXT_DESTROY, &args);
}

static void accel_event(void *user, int events)
{
	struct accel_device *device = user;

	if (events < 0 || events & (POLLERR | POLLHUP))
		device_lost(&device->base);
}

static void accel_close(struct tandem_device *base)
{
	struct accel_device *device = to_accel(base);

	context_destroy(device);
	loop_poll_stop(device->lost_poll);
	close(device->fd);
	free(device);
}

static int profile_name(struct accel_device *device, char *name, size_t size)
{
	uint64_t bytes;
	size_t i;
	int ret;

	for (i = 0; i < size; i++) {
		if (i % 8 == 0) {
			ret = accel_param(device, TANDEM_PARAM_PROFILE_NAME, i / 8, &bytes);
			if (ret < 0)
				return ret;
		}
		name[i] = bytes >> i % 8 * 8;
	}
	name[size - 1] = '\0';
	return 0;
}

static int accel_get_info(struct tandem_device *base, struct tandem_device_info *info)
{
	struct accel_device *device = to_accel(base);
	uint64_t role, copy_queues, compute_queues, memory_classes;
	const struct {
		uint32_t param;
		uint64_t *value;
	} params[] = {
		{ TANDEM_PARAM_ROLE, &role },
		{ TANDEM_PARAM_COPY_QUEUES, &copy_queues },
		{ TANDEM_PARAM_COMPUTE_QUEUES, &compute_queues },
		{ TANDEM_PARAM_MEMORY_CLASSES, &memory_classes },
		{ TANDEM_PARAM_MEMORY_SIZE, &info->memory_size },
		{ TANDEM_PARAM_MEMORY_USED, &info->memory_used },
		{ TANDEM_PARAM_PROFILE_MEMORY_SIZE, &info->profile_memory_size },
		{ TANDEM_PARAM_PROFILE_MEMORY_BANDWIDTH, &info->profile_memory_bandwidth },
		{ TANDEM_PARAM_PROFILE_FLOPS, &info->profile_flops },
		{ TANDEM_PARAM_PROFILE_LINK_BANDWIDTH, &info->profile_link_bandwidth },
	};
	size_t i;
	int ret;

	for (i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
		ret = accel_param(device, params[i].param, 0, params[i].value);
		if (ret < 0)
			return ret;
	}
	info->role = role;
	info->copy_queues = copy_queues;
	info->compute_queues = compute_queues;
	info->memory_classes = memory_classes;
	return profile_name(device, info->profile, sizeof(info->profile));
}

static const struct tandem_device_ops accel_ops = {
	.kind = DEVICE_ACCEL,
	.close = accel_close,
	.get_info = accel_get_info,
	.get_memory_class = accel_get_memory_class,
	.memory_alloc = accel_memory_alloc,
	.memory_share = accel_memory_share,
	.memory_free = accel_memory_free,
	.memory_map = accel_memory_map,
	.memory_export = accel_memory_export,
	.memory_import = accel_memory_import,
	.memory_register = accel_memory_register,
	.queue_open = accel_queue_open,
	.queue_close = accel_queue_close,
	.fence_create = accel_fence_create,
	.fence_share = accel_fence_share,
	.fence_destroy = accel_fence_destroy,
	.fence_value = accel_fence_value,
	.fence_signal = accel_fence_signal,
	.fence_arm = accel_fence_arm,
	.fence_disarm = accel_fence_disarm,
	.submit = accel_queue_submit,
};

int accel_device_open(struct tandem_loop *loop, const char *name, const char *options,
		      struct tandem_device **device, struct tandem_error *error)
{
	struct accel_device *new;
	char path[128];
	int ret;

	if (!*options || options[strspn(options, "0123456789")])
		return tandem_error_set(error, -EINVAL,
					"device \"%s\": give accelN, as `tandem list` shows", name);
	new = calloc(1, sizeof(*new));
	if (!new)
		return tandem_error_set(error, -ENOMEM, "%s: out of memory", name);
	device_init(&new->base, &accel_ops, loop, name);
	LIST_INIT(&new->handles);

	snprintf(path, sizeof(path), ACCEL_DIRECTORY "/accel%s", options);
	new->fd = open(path, O_RDWR | O_CLOEXEC);
	if (new->fd < 0) {
		ret = open_failed(path, -errno, error);
		goto free_device;
	}
	ret = check_driver(new, path, error);
	if (ret < 0)
		goto close_node;
	ret = read_limits(new, path, error);
	if (ret < 0)
		goto close_node;
	ret = context_create(new, path, error);
	if (ret < 0)
		goto close_node;
	ret = loop_poll_start(loop, new->fd, 0, accel_event, new, &new->lost_poll);
	if (ret < 0) {
		tandem_error_set(error, ret, "%s: out of memory", path);
		goto destroy_context;
	}
	*device = &new->base;
	return 0;

destroy_context:
	context_destroy(new);
close_node:
	close(new->fd);
free_device:
	free(new);
	return ret;
}
