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

static _Atomic int *any_slot(struct fuzz_worker *worker)
{
	return &worker->process->dmabuf[fuzz_below(&worker->random, FUZZ_DMABUFS)];
}

/* Or a number that is none. */
static int any_dmabuf(struct fuzz_worker *worker)
{
	_Atomic int *slot = any_slot(worker);
	int tries = FUZZ_DMABUFS;

	while (*slot < 0 && --tries)
		slot = any_slot(worker);
	return *slot;
}

static void put_dmabuf(struct fuzz_worker *worker, int fd)
{
	int old = atomic_exchange(any_slot(worker), fd);

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

	if (!fuzz_ioctl(worker, file, FUZZ_PRIME_EXPORT, &args,
			(const int[]){ ENOENT, EMFILE, EOPNOTSUPP, 0 }))
		put_dmabuf(worker, args.fd);
}

static void import_object(struct fuzz_worker *worker)
{
	struct fuzz_file *file = shared_file(worker);
	struct fuzz_object *object = &file->object[fuzz_below(&worker->random, FUZZ_OBJECTS)];
	int fd = any_dmabuf(worker);
	struct drm_prime_handle args = { .fd = fd };
	off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;

	if (fuzz_ioctl(worker, file, FUZZ_PRIME_IMPORT, &args,
		       (const int[]){ EBADF, ENOSYS, EOPNOTSUPP, ENOSPC, EDQUOT, EBUSY, 0 }))
		return;
	object->size = size > 0 ? size : 4096;
	object->handle = args.handle;
}

static void use_dmabuf(struct fuzz_worker *worker)
{
	int fd = any_dmabuf(worker);
	struct dma_buf_sync sync = { .flags = 1 + fuzz_below(&worker->random, 7) };
	struct pollfd events = { .fd = fd, .events = POLLIN | POLLOUT };
	struct dma_buf_export_sync_file fence = { .flags = DMA_BUF_SYNC_RW, .fd = -1 };
	volatile char *memory;

	switch (fuzz_below(&worker->random, 6)) {
	case 0:
		memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		fuzz_told(worker, FUZZ_DMABUF_MMAP, memory == MAP_FAILED ? -errno : 0);
		if (memory == MAP_FAILED)
			break;
		memory[17] = memory[18];
		munmap((void *)memory, 4096);
		break;
	case 1:
		fuzz_told(worker, FUZZ_DMABUF_SYNC,
			  ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync) ? -errno : 0);
		break;
	case 2:
		poll(&events, 1, fuzz_below(&worker->random, 3));
		break;
	case 3:
		fuzz_told(worker, FUZZ_DMABUF_FENCE,
			  ioctl(fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &fence) ? -errno : 0);
		if (fence.fd >= 0)
			close(fence.fd);
		break;
	case 4:
		put_dmabuf(worker, -1);
		break;
	default:
		break;
	}
}

/* What is there stays for a while. */
static void syncobj_create(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct fuzz_syncobj *syncobj = &file->syncobj[fuzz_below(&worker->random,
								 FUZZ_SYNCOBJS)];
	struct drm_syncobj_create args = {
		.flags = fuzz_one_in(&worker->random, 2) ? DRM_SYNCOBJ_CREATE_SIGNALED : 0,
	};

	if (syncobj->handle && !fuzz_one_in(&worker->random, 8))
		return;
	if (fuzz_ioctl(worker, file, FUZZ_SYNCOBJ_CREATE, &args,
		       (const int[]){ EOPNOTSUPP, ENOSPC, 0 }))
		return;
	syncobj->has_fence = args.flags & DRM_SYNCOBJ_CREATE_SIGNALED;
	syncobj->point = 0;
	syncobj->handle = args.handle;
}

static void syncobj_destroy(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct drm_syncobj_destroy args = {
		.handle = atomic_exchange(&fuzz_any_syncobj(worker, file)->handle, 0),
	};

	fuzz_ioctl(worker, file, FUZZ_SYNCOBJ_DESTROY, &args, (const int[]){ EOPNOTSUPP, 0 });
}

static void syncobj_signal(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct fuzz_syncobj *syncobj = fuzz_any_syncobj(worker, file);
	uint32_t handle = syncobj->handle;
	struct drm_syncobj_array args = { .handles = (uintptr_t)&handle, .count_handles = 1 };
	int ret = ioctl(file->fd, DRM_IOCTL_SYNCOBJ_SIGNAL, &args);

	fuzz_told(worker, FUZZ_SYNCOBJ_SIGNAL, ret ? -errno : 0);
	if (ret)
		return;
	syncobj->has_fence = true;
	syncobj->point = 0;
}

static void syncobj_reset(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct fuzz_syncobj *syncobj = fuzz_any_syncobj(worker, file);
	uint32_t handle = syncobj->handle;
	struct drm_syncobj_array args = { .handles = (uintptr_t)&handle, .count_handles = 1 };
	int ret = ioctl(file->fd, DRM_IOCTL_SYNCOBJ_RESET, &args);

	fuzz_told(worker, FUZZ_SYNCOBJ_RESET, ret ? -errno : 0);
	if (ret)
		return;
	syncobj->has_fence = false;
	syncobj->point = 0;
}

/* A point of a timeline that no command signals. */
static void syncobj_add_point(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct fuzz_syncobj *syncobj = fuzz_any_syncobj(worker, file);
	uint32_t handle = syncobj->handle;
	uint64_t point = fuzz_one_in(&worker->random, 4) ? fuzz_below(&worker->random, 8) :
							   syncobj->point + 1;
	struct drm_syncobj_timeline_array args = {
		.handles = (uintptr_t)&handle,
		.points = (uintptr_t)&point,
		.count_handles = 1,
	};
	int ret = ioctl(file->fd, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &args);

	fuzz_told(worker, FUZZ_SYNCOBJ_TIMELINE_SIGNAL, ret ? -errno : 0);
	if (ret)
		return;
	syncobj->has_fence = true;
	if (point > syncobj->point)
		syncobj->point = point;
}

static void syncobj_query(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	uint32_t handles[2] = { fuzz_any_syncobj(worker, file)->handle,
				fuzz_any_syncobj(worker, file)->handle };
	uint64_t points[2] = { 0 };
	struct drm_syncobj_timeline_array args = {
		.handles = (uintptr_t)handles,
		.points = (uintptr_t)points,
		.count_handles = 2,
		.flags = fuzz_below(&worker->random, 2),
	};

	fuzz_told(worker, FUZZ_SYNCOBJ_QUERY,
		  ioctl(file->fd, DRM_IOCTL_SYNCOBJ_QUERY, &args) ? -errno : 0);
}

static void syncobj_transfer(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct fuzz_syncobj *from = fuzz_any_fence(worker, file);
	struct fuzz_syncobj *to = fuzz_any_syncobj(worker, file);
	struct drm_syncobj_transfer args = {
		.src_handle = from->handle,
		.dst_handle = to->handle,
		.src_point = fuzz_below(&worker->random, from->point + 1),
		.dst_point = fuzz_one_in(&worker->random, 2) ? to->point + 1 : 0,
	};
	int ret = ioctl(file->fd, DRM_IOCTL_SYNCOBJ_TRANSFER, &args);

	fuzz_told(worker, FUZZ_SYNCOBJ_TRANSFER, ret ? -errno : 0);
	if (ret)
		return;
	to->has_fence = true;
	to->point = args.dst_point;
}

static void syncobj_wait(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct fuzz_syncobj *syncobj[2] = { fuzz_any_fence(worker, file),
					    fuzz_any_fence(worker, file) };
	uint32_t handles[2] = { syncobj[0]->handle, syncobj[1]->handle };
	uint64_t points[2] = { fuzz_below(&worker->random, syncobj[0]->point + 1),
			       fuzz_below(&worker->random, syncobj[1]->point + 1) };
	struct drm_syncobj_timeline_wait args = {
		.handles = (uintptr_t)handles,
		.points = (uintptr_t)points,
		.count_handles = 1 + fuzz_below(&worker->random, 2),
		.flags = fuzz_below(&worker->random, 8),
	};
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	args.timeout_nsec = now.tv_sec * 1000000000ll + now.tv_nsec +
			    fuzz_below(&worker->random, WAIT_NS);
	fuzz_told(worker, FUZZ_SYNCOBJ_WAIT,
		  ioctl(file->fd, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &args) ? -errno : 0);
}

static void syncobj_share(struct fuzz_worker *worker)
{
	struct fuzz_file *from = shared_file(worker), *to = shared_file(worker);
	bool fence = fuzz_one_in(&worker->random, 2);
	struct fuzz_syncobj *source = fence ? fuzz_any_fence(worker, from) :
					      fuzz_any_syncobj(worker, from);
	struct drm_syncobj_handle args = {
		.handle = source->handle,
		.flags = fence ? DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE : 0,
		.fd = -1,
	};
	struct drm_syncobj_handle back = { .flags = args.flags };
	struct fuzz_syncobj *target = &to->syncobj[fuzz_below(&worker->random, FUZZ_SYNCOBJS)];
	int ret = ioctl(from->fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args);

	fuzz_told(worker, FUZZ_SYNCOBJ_EXPORT, ret ? -errno : 0);
	if (ret)
		return;
	back.fd = args.fd;
	/* A fence goes into a syncobj that is there. */
	if (fence) {
		target = fuzz_any_syncobj(worker, to);
		back.handle = target->handle;
	}
	ret = ioctl(to->fd, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &back);
	fuzz_told(worker, FUZZ_SYNCOBJ_IMPORT, ret ? -errno : 0);
	if (!ret) {
		target->has_fence = fence || source->has_fence;
		target->point = fence ? 0 : source->point;
		target->handle = back.handle;
	}
	close(args.fd);
}

const struct fuzz_op fuzz_share_ops[] = {
	{ "export", 10, export_object },
	{ "import", 12, import_object },
	{ "dmabuf", 12, use_dmabuf },
	{ "syncobj-create", 14, syncobj_create },
	{ "syncobj-destroy", 4, syncobj_destroy },
	{ "syncobj-signal", 4, syncobj_signal },
	{ "syncobj-reset", 2, syncobj_reset },
	{ "syncobj-add-point", 4, syncobj_add_point },
	{ "syncobj-query", 3, syncobj_query },
	{ "syncobj-transfer", 4, syncobj_transfer },
	{ "syncobj-wait", 8, syncobj_wait },
	{ "syncobj-share", 6, syncobj_share },
	{ 0 },
};
