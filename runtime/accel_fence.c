// SPDX-License-Identifier: MIT
/*
 * Fences of accel devices: DRM syncobjs with timelines. A view for another
 * device is the same syncobj under a handle of that device's file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xf86drm.h>

#include "accel.h"
#include "error.h"
#include "fence.h"

/* Linux 6.6 has it, libdrm's copy of the header may be older. */
#ifndef DRM_IOCTL_SYNCOBJ_EVENTFD
struct drm_syncobj_eventfd {
	__u32 handle;
	__u32 flags;
	__u64 point;
	__s32 fd;
	__u32 pad;
};

#define DRM_IOCTL_SYNCOBJ_EVENTFD	DRM_IOWR(0xCF, struct drm_syncobj_eventfd)
#endif

/**
 * struct accel_fence - a fence
 * @base: generic part
 * @syncobj: handle in the device's file
 */
struct accel_fence {
	struct tandem_fence base;
	uint32_t syncobj;
};

static struct accel_fence *to_accel_fence(const struct tandem_fence *fence)
{
	return (struct accel_fence *)fence;
}

static int fence_fd(const struct tandem_fence *fence)
{
	return to_accel(fence->device)->fd;
}

uint32_t accel_fence_syncobj(const struct tandem_fence *fence)
{
	return to_accel_fence(fence)->syncobj;
}

static int fence_failed(struct tandem_device *device, int code, struct tandem_error *error)
{
	return tandem_error_set(error, code, "%s: cannot make a fence: %s", device->name,
				strerror(-code));
}

/* Takes over the syncobj if it succeeds, and a reference to @line. */
static struct accel_fence *fence_new(struct tandem_device *device, uint32_t syncobj,
				     struct fence_line *line)
{
	struct accel_fence *new = calloc(1, sizeof(*new));

	if (!new)
		return NULL;
	new->base.device = device;
	new->base.line = line;
	new->syncobj = syncobj;
	return new;
}

int accel_fence_create(struct tandem_device *device, struct tandem_fence **fence,
		       struct tandem_error *error)
{
	int fd = to_accel(device)->fd;
	struct accel_fence *new;
	struct fence_line *line;
	uint32_t syncobj;
	int ret;

	if (drmSyncobjCreate(fd, 0, &syncobj) < 0)
		return fence_failed(device, -errno, error);
	line = calloc(1, sizeof(*line));
	if (!line) {
		ret = -ENOMEM;
		goto destroy_syncobj;
	}
	line->references = 1;
	new = fence_new(device, syncobj, line);
	if (!new) {
		ret = -ENOMEM;
		goto free_line;
	}
	*fence = &new->base;
	return 0;

free_line:
	free(line);
destroy_syncobj:
	drmSyncobjDestroy(fd, syncobj);
	return fence_failed(device, ret, error);
}

/* The same syncobj in the file of @device. Return: 0 or -errno. */
static int syncobj_share(const struct tandem_fence *fence, struct tandem_device *device,
			 uint32_t *syncobj)
{
	int fd, ret = 0;

	if (drmSyncobjHandleToFD(fence_fd(fence), accel_fence_syncobj(fence), &fd) < 0)
		return -errno;
	if (drmSyncobjFDToHandle(to_accel(device)->fd, fd, syncobj) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

int accel_fence_share(struct tandem_fence *fence, struct tandem_device *device,
		      struct tandem_fence **shared, struct tandem_error *error)
{
	struct accel_fence *new;
	uint32_t syncobj;
	int ret;

	ret = syncobj_share(fence, device, &syncobj);
	if (ret < 0)
		return fence_failed(device, ret, error);
	new = fence_new(device, syncobj, fence->line);
	if (!new) {
		drmSyncobjDestroy(to_accel(device)->fd, syncobj);
		return fence_failed(device, -ENOMEM, error);
	}
	atomic_fetch_add(&fence->line->references, 1);
	*shared = &new->base;
	return 0;
}

void accel_fence_destroy(struct tandem_fence *fence)
{
	drmSyncobjDestroy(fence_fd(fence), accel_fence_syncobj(fence));
	if (atomic_fetch_sub(&fence->line->references, 1) == 1)
		free(fence->line);
	free(fence);
}

int accel_fence_value(struct tandem_fence *fence, uint64_t *point)
{
	uint32_t syncobj = accel_fence_syncobj(fence);

	return drmSyncobjQuery(fence_fd(fence), &syncobj, point, 1) < 0 ? -errno : 0;
}

int accel_fence_signal(struct tandem_fence *fence, uint64_t point)
{
	uint32_t syncobj = accel_fence_syncobj(fence);

	return drmSyncobjTimelineSignal(fence_fd(fence), &syncobj, &point, 1) < 0 ? -errno : 0;
}

/*
 * A command that the driver refused never gave the syncobj a fence. Whoever waits
 * for the point in this process would do so for ever.
 */
void accel_fence_ended(struct tandem_fence *fence, uint64_t point)
{
	uint64_t reached;

	if (!accel_fence_value(fence, &reached) && reached < point &&
	    atomic_load(&fence->line->promised) == point)
		accel_fence_signal(fence, point);
}

/* The kernel forgets about it with the signal, or with the syncobj. */
int accel_fence_arm(struct tandem_fence *fence, uint64_t point, int eventfd, void **armed)
{
	struct drm_syncobj_eventfd args = {
		.handle = accel_fence_syncobj(fence),
		.point = point,
		.fd = eventfd,
	};

	*armed = NULL;
	return drmIoctl(fence_fd(fence), DRM_IOCTL_SYNCOBJ_EVENTFD, &args) < 0 ? -errno : 0;
}

void accel_fence_disarm(struct tandem_fence *fence, void *armed)
{
	(void)fence;
	(void)armed;
}
