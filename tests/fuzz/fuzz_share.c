// SPDX-License-Identifier: MIT
/*
 * Operations on what goes from one file to another: dma-bufs and syncobjs. Only
 * files that are no worker's own take part.
 */
#include <errno.h>
#include <linux/dma-buf.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "fuzz_ops.h"

#define WAIT_NS		5000000

static struct fuzz_file *shared_file(struct fuzz_worker *worker)
{
	return &worker->process->file[fuzz_below(&worker->random, FUZZ_SHARED_FILES)];
}

static _Atomic int *any_dmabuf(struct fuzz_worker *worker)
{
	return &worker->process->dmabuf[fuzz_below(&worker->random, FUZZ_DMABUFS)];
}

static void put_dmabuf(struct fuzz_worker *worker, int fd)
{
	int old = atomic_exchange(any_dmabuf(worker), fd);

	if (old >= 0)
		close(old);
}

static void export_object(struct fuzz_worker *worker)
{
	struct fuzz_file *file = shared_file(worker);
	struct drm_prime_handle args = {
		.handle = fuzz_any_object(worker, file)->handle,
		.flags = DRM_CLOEXEC | (fuzz_one_in(&worker->random, 4) ? 0 : DRM_RDWR),
	};

	if (!fuzz_ioctl(worker, file, DRM_IOCTL_PRIME_HANDLE_TO_FD, &args,
			(const int[]){ ENOENT, EMFILE, 0 }))
		put_dmabuf(worker, args.fd);
}

static void import_object(struct fuzz_worker *worker)
{
	struct fuzz_file *file = shared_file(worker);
	struct fuzz_object *object = &file->object[fuzz_below(&worker->random, FUZZ_OBJECTS)];
	int fd = *any_dmabuf(worker);
	struct drm_prime_handle args = { .fd = fd };
	off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;

	if (fuzz_ioctl(worker, file, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args,
		       (const int[]){ EBADF, ENOSYS, EOPNOTSUPP, ENOSPC, EDQUOT, EBUSY, 0 }))
		return;
	object->size = size > 0 ? size : 4096;
	object->handle = args.handle;
}

static void use_dmabuf(struct fuzz_worker *worker)
{
	int fd = *any_dmabuf(worker);
	struct dma_buf_sync sync = { .flags = fuzz_below(&worker->random, 8) };
	struct pollfd events = { .fd = fd, .events = POLLIN | POLLOUT };
	struct dma_buf_export_sync_file fence = { .flags = DMA_BUF_SYNC_RW, .fd = -1 };
	volatile char *memory;

	switch (fuzz_below(&worker->random, 5)) {
	case 0:
		memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (memory == MAP_FAILED)
			break;
		memory[17] = memory[18];
		munmap((void *)memory, 4096);
		break;
	case 1:
		ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync);
		break;
	case 2:
		poll(&events, 1, fuzz_below(&worker->random, 3));
		break;
	case 3:
		if (!ioctl(fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &fence))
			close(fence.fd);
		break;
	default:
		put_dmabuf(worker, -1);
		break;
	}
}

static void syncobj_create(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	_Atomic uint32_t *syncobj = &file->syncobj[fuzz_below(&worker->random, FUZZ_SYNCOBJS)];
	struct drm_syncobj_create args = {
		.flags = fuzz_one_in(&worker->random, 2) ? DRM_SYNCOBJ_CREATE_SIGNALED : 0,
	};

	if (*syncobj && !fuzz_one_in(&worker->random, 8))
		return;
	if (!fuzz_ioctl(worker, file, DRM_IOCTL_SYNCOBJ_CREATE, &args,
			(const int[]){ EOPNOTSUPP, ENOSPC, 0 }))
		*syncobj = args.handle;
}

static void syncobj_destroy(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct drm_syncobj_destroy args = {
		.handle = atomic_exchange(&file->syncobj[fuzz_below(&worker->random,
								    FUZZ_SYNCOBJS)], 0),
	};

	fuzz_ioctl(worker, file, DRM_IOCTL_SYNCOBJ_DESTROY, &args,
		   (const int[]){ EOPNOTSUPP, 0 });
}

static void syncobj_change(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	uint32_t handles[2] = { fuzz_any_syncobj(worker, file),
				fuzz_any_syncobj(worker, file) };
	uint64_t points[2] = { fuzz_below(&worker->random, 8), fuzz_below(&worker->random, 8) };
	struct drm_syncobj_array array = {
		.handles = (uintptr_t)handles,
		.count_handles = 1 + fuzz_below(&worker->random, 2),
	};
	struct drm_syncobj_timeline_array timeline = {
		.handles = (uintptr_t)handles,
		.points = (uintptr_t)points,
		.count_handles = 1 + fuzz_below(&worker->random, 2),
	};
	struct drm_syncobj_transfer transfer = {
		.src_handle = handles[0],
		.dst_handle = handles[1],
		.src_point = points[0],
		.dst_point = points[1],
	};
	int ret;

	switch (fuzz_below(&worker->random, 5)) {
	case 0:
		ret = ioctl(file->fd, DRM_IOCTL_SYNCOBJ_SIGNAL, &array);
		break;
	case 1:
		ret = ioctl(file->fd, DRM_IOCTL_SYNCOBJ_RESET, &array);
		break;
	case 2:
		ret = ioctl(file->fd, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &timeline);
		break;
	case 3:
		ret = ioctl(file->fd, DRM_IOCTL_SYNCOBJ_QUERY, &timeline);
		break;
	default:
		ret = ioctl(file->fd, DRM_IOCTL_SYNCOBJ_TRANSFER, &transfer);
		break;
	}
	fuzz_note(worker, "  syncobj: %d", ret ? -errno : 0);
}

static void syncobj_wait(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	uint32_t handles[2] = { fuzz_any_syncobj(worker, file),
				fuzz_any_syncobj(worker, file) };
	uint64_t points[2] = { fuzz_below(&worker->random, 4), fuzz_below(&worker->random, 4) };
	struct drm_syncobj_timeline_wait args = {
		.handles = (uintptr_t)handles,
		.points = (uintptr_t)points,
		.count_handles = 1 + fuzz_below(&worker->random, 2),
		.flags = fuzz_below(&worker->random, 8),
	};
	struct timespec now;
	int ret;

	clock_gettime(CLOCK_MONOTONIC, &now);
	args.timeout_nsec = now.tv_sec * 1000000000ll + now.tv_nsec +
			    fuzz_below(&worker->random, WAIT_NS);
	ret = ioctl(file->fd, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &args);
	fuzz_note(worker, "  syncobj wait: %d", ret ? -errno : 0);
}

static void syncobj_share(struct fuzz_worker *worker)
{
	struct fuzz_file *from = shared_file(worker), *to = shared_file(worker);
	struct drm_syncobj_handle args = {
		.handle = fuzz_any_syncobj(worker, from),
		.flags = fuzz_one_in(&worker->random, 2) ?
			 DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE : 0,
		.fd = -1,
	};
	struct drm_syncobj_handle back = { 0 };

	if (ioctl(from->fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args))
		return;
	back.fd = args.fd;
	back.flags = args.flags;
	/* A fence goes into a syncobj that is there. */
	if (args.flags)
		back.handle = fuzz_any_syncobj(worker, to);
	if (!ioctl(to->fd, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &back) && !args.flags)
		to->syncobj[fuzz_below(&worker->random, FUZZ_SYNCOBJS)] = back.handle;
	close(args.fd);
}

const struct fuzz_op fuzz_share_ops[] = {
	{ "export", 10, export_object },
	{ "import", 12, import_object },
	{ "dmabuf", 12, use_dmabuf },
	{ "syncobj-create", 14, syncobj_create },
	{ "syncobj-destroy", 4, syncobj_destroy },
	{ "syncobj-change", 12, syncobj_change },
	{ "syncobj-wait", 8, syncobj_wait },
	{ "syncobj-share", 6, syncobj_share },
	{ 0 },
};
