// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <linux/sync_file.h>

#include "accel.h"
#include "syncobj.h"

static void must(const struct accel *accel, unsigned long request, void *args,
		 const char *what)
{
	int ret = accel_ioctl(accel, request, args);

	if (ret)
		fail_msg("%s: %s", what, strerror(-ret));
}

uint32_t syncobj_create(const struct accel *accel)
{
	struct drm_syncobj_create args = { 0 };

	must(accel, DRM_IOCTL_SYNCOBJ_CREATE, &args, "SYNCOBJ_CREATE");
	return args.handle;
}

void syncobj_destroy(const struct accel *accel, uint32_t syncobj)
{
	struct drm_syncobj_destroy args = { .handle = syncobj };

	must(accel, DRM_IOCTL_SYNCOBJ_DESTROY, &args, "SYNCOBJ_DESTROY");
}

uint32_t syncobj_share(const struct accel *from, uint32_t syncobj,
		       const struct accel *to)
{
	struct drm_syncobj_handle args = { .handle = syncobj };

	must(from, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args,
	     "SYNCOBJ_HANDLE_TO_FD");
	must(to, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &args, "SYNCOBJ_FD_TO_HANDLE");
	close(args.fd);
	return args.handle;
}

bool syncobj_wait(const struct accel *accel, uint32_t syncobj, uint64_t point,
		  unsigned int milliseconds)
{
	struct drm_syncobj_timeline_wait args = {
		.handles = address_of(&syncobj),
		.points = address_of(&point),
		.count_handles = 1,
	};
	struct timespec now;
	int ret;

	clock_gettime(CLOCK_MONOTONIC, &now);
	args.timeout_nsec = now.tv_sec * 1000000000ll + now.tv_nsec +
			    milliseconds * 1000000ll;
	ret = accel_ioctl(accel, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &args);
	if (ret && ret != -ETIME)
		fail_msg("SYNCOBJ_TIMELINE_WAIT: %s", strerror(-ret));
	return !ret;
}

uint64_t syncobj_query(const struct accel *accel, uint32_t syncobj)
{
	uint64_t point = 0;
	struct drm_syncobj_timeline_array args = {
		.handles = address_of(&syncobj),
		.points = address_of(&point),
		.count_handles = 1,
	};

	must(accel, DRM_IOCTL_SYNCOBJ_QUERY, &args, "SYNCOBJ_QUERY");
	return point;
}

void syncobj_signal(const struct accel *accel, uint32_t syncobj,
		    uint64_t point)
{
	struct drm_syncobj_timeline_array args = {
		.handles = address_of(&syncobj),
		.points = address_of(&point),
		.count_handles = 1,
	};

	must(accel, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &args,
	     "SYNCOBJ_TIMELINE_SIGNAL");
}

int syncobj_export_fence(const struct accel *accel, uint32_t syncobj)
{
	struct drm_syncobj_handle args = {
		.handle = syncobj,
		.flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE,
	};

	must(accel, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args,
	     "SYNCOBJ_HANDLE_TO_FD");
	return args.fd;
}

int sync_file_status(int fd)
{
	struct sync_file_info info = { 0 };

	if (ioctl(fd, SYNC_IOC_FILE_INFO, &info) < 0)
		fail_msg("SYNC_IOC_FILE_INFO: %s", strerror(errno));
	return info.status;
}
