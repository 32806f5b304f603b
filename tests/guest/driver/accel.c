// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "accel.h"

/* In seconds; the machine is emulated and may be busy. */
#define WAIT_LIMIT	60

int accel_ioctl(const struct accel *accel, unsigned long request, void *args)
{
	return ioctl(accel->fd, request, args) < 0 ? -errno : 0;
}

static void must(int result, const char *what)
{
	if (result < 0)
		fail_msg("%s: %s", what, strerror(-result));
}

void accel_open_ring(struct accel *accel, const char *node,
		     unsigned int entries, unsigned int flags)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SQE128 | IORING_SETUP_CQE32 | flags,
		.sq_thread_idle = 1000,
	};

	memset(accel, 0, sizeof(*accel));
	accel->fd = open(node, O_RDWR | O_CLOEXEC);
	must(accel->fd < 0 ? -errno : 0, node);
	accel->context = accel_context(accel);
	accel->copy = accel_queue(accel, accel->context, TANDEM_QUEUE_COPY);
	accel->compute = accel_queue(accel, accel->context,
				     TANDEM_QUEUE_COMPUTE);
	must(io_uring_queue_init_params(entries, &accel->ring, &params),
	     "io_uring_queue_init_params");
	/* Processes that a test forks make rings of their own. */
	io_uring_ring_dontfork(&accel->ring);
	accel->ring_is_up = true;
}

void accel_open(struct accel *accel, const char *node)
{
	accel_open_ring(accel, node, 64, 0);
}

void accel_close(struct accel *accel)
{
	if (accel->ring_is_up)
		io_uring_queue_exit(&accel->ring);
	accel->ring_is_up = false;
	if (accel->fd >= 0)
		close(accel->fd);
	accel->fd = -1;
}

uint64_t accel_param(const struct accel *accel, uint32_t param)
{
	struct drm_tandem_get_param args = { .param = param };

	must(accel_ioctl(accel, DRM_IOCTL_TANDEM_GET_PARAM, &args),
	     "GET_PARAM");
	return args.value;
}

uint32_t accel_context(const struct accel *accel)
{
	struct drm_tandem_context_create args = { 0 };

	must(accel_ioctl(accel, DRM_IOCTL_TANDEM_CONTEXT_CREATE, &args),
	     "CONTEXT_CREATE");
	return args.context;
}

uint32_t accel_queue(const struct accel *accel, uint32_t context,
		     uint32_t kind)
{
	struct drm_tandem_queue_create args = {
		.context = context,
		.kind = kind,
	};

	must(accel_ioctl(accel, DRM_IOCTL_TANDEM_QUEUE_CREATE, &args),
	     "QUEUE_CREATE");
	return args.queue;
}

uint32_t accel_object(const struct accel *accel, uint64_t size)
{
	struct drm_tandem_gem_create args = { .size = size };

	must(accel_ioctl(accel, DRM_IOCTL_TANDEM_GEM_CREATE, &args),
	     "GEM_CREATE");
	return args.handle;
}

void accel_object_close(const struct accel *accel, uint32_t handle)
{
	struct drm_gem_close args = { .handle = handle };

	must(accel_ioctl(accel, DRM_IOCTL_GEM_CLOSE, &args), "GEM_CLOSE");
}

void *accel_map(const struct accel *accel, uint32_t handle, uint64_t size)
{
	struct drm_tandem_gem_mmap_offset args = { .handle = handle };
	void *memory;

	must(accel_ioctl(accel, DRM_IOCTL_TANDEM_GEM_MMAP_OFFSET, &args),
	     "GEM_MMAP_OFFSET");
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
		      accel->fd, args.offset);
	must(memory == MAP_FAILED ? -errno : 0, "mmap");
	return memory;
}

uint32_t accel_region(const struct accel *accel, uint32_t context,
		      uint32_t handle, uint64_t offset, uint64_t length,
		      uint32_t flags)
{
	struct drm_tandem_region_map args = {
		.context = context ? context : accel->context,
		.handle = handle,
		.offset = offset,
		.length = length,
		.flags = flags,
	};

	must(accel_ioctl(accel, DRM_IOCTL_TANDEM_REGION_MAP, &args),
	     "REGION_MAP");
	return args.region;
}

int accel_region_unmap(const struct accel *accel, uint32_t context,
		       uint32_t region)
{
	struct drm_tandem_region_unmap args = {
		.context = context ? context : accel->context,
		.region = region,
	};

	return accel_ioctl(accel, DRM_IOCTL_TANDEM_REGION_UNMAP, &args);
}

int accel_export(const struct accel *accel, uint32_t handle)
{
	struct drm_prime_handle args = {
		.handle = handle,
		.flags = DRM_CLOEXEC | DRM_RDWR,
	};

	must(accel_ioctl(accel, DRM_IOCTL_PRIME_HANDLE_TO_FD, &args),
	     "PRIME_HANDLE_TO_FD");
	return args.fd;
}

int accel_import(const struct accel *accel, int dmabuf, uint32_t *handle)
{
	struct drm_prime_handle args = { .fd = dmabuf };
	int ret;

	ret = accel_ioctl(accel, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args);
	*handle = args.handle;
	return ret;
}

struct io_uring_sqe *accel_prepare(struct accel *accel, uint32_t op,
				   const struct tandem_uring_command *command,
				   uint64_t user_data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&accel->ring);

	if (!sqe) {
		fail_msg("the submission ring is full");
		return NULL;
	}
	memset(sqe, 0, 2 * sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = accel->fd;
	sqe->cmd_op = op;
	sqe->user_data = user_data;
	memcpy(sqe->cmd, command, sizeof(*command));
	return sqe;
}

int accel_wait(struct accel *accel, uint64_t *user_data)
{
	struct __kernel_timespec limit = { .tv_sec = WAIT_LIMIT };
	struct io_uring_cqe *cqe;
	int result;

	do {
		result = io_uring_wait_cqe_timeout(&accel->ring, &cqe, &limit);
	} while (result == -EINTR);
	must(result, "waiting for a completion");
	if (user_data)
		*user_data = cqe->user_data;
	result = cqe->res;
	io_uring_cqe_seen(&accel->ring, cqe);
	return result;
}

int accel_run(struct accel *accel, uint32_t op,
	      const struct tandem_uring_command *command)
{
	uint64_t user_data;
	int result;

	accel_prepare(accel, op, command, 42);
	must(io_uring_submit(&accel->ring), "io_uring_submit");
	result = accel_wait(accel, &user_data);
	assert_int_equal(user_data, 42);
	return result;
}

int accel_copy(struct accel *accel, uint32_t dst_region, uint64_t dst,
	       uint32_t src_region, uint64_t src, uint64_t length)
{
	struct tandem_uring_command command = {
		.queue = accel->copy,
		.dst_region = dst_region,
		.dst_offset = dst,
		.src_region = src_region,
		.src_offset = src,
		.length = length,
	};

	return accel_run(accel, TANDEM_URING_COPY, &command);
}

int accel_fill(struct accel *accel, uint32_t dst_region, uint64_t dst,
	       uint32_t pattern, uint64_t length)
{
	struct tandem_uring_command command = {
		.queue = accel->copy,
		.dst_region = dst_region,
		.dst_offset = dst,
		.src_offset = pattern,
		.length = length,
	};

	return accel_run(accel, TANDEM_URING_FILL, &command);
}

void fill_pattern(void *memory, size_t size, uint32_t seed)
{
	uint8_t *bytes = memory;
	uint32_t state = seed * 2654435761u + 1;
	size_t i;

	for (i = 0; i < size; i++) {
		state = state * 1664525u + 1013904223u;
		bytes[i] = state >> 24;
	}
}
