// SPDX-License-Identifier: MIT
#include <stdio.h>

#include "drm/tandem_accel.h"
#include "fuzz_calls.h"

/**
 * struct call - a kind of calls
 * @name: for users
 * @request: the ioctl, or 0
 */
struct call {
	const char *name;
	unsigned long request;
};

static const struct call calls[FUZZ_CALLS] = {
	[FUZZ_OPEN] = { "open" },
	[FUZZ_GET_PARAM] = { "GET_PARAM", DRM_IOCTL_TANDEM_GET_PARAM },
	[FUZZ_GEM_CREATE] = { "GEM_CREATE", DRM_IOCTL_TANDEM_GEM_CREATE },
	[FUZZ_GEM_REGISTER] = { "GEM_REGISTER", DRM_IOCTL_TANDEM_GEM_REGISTER },
	[FUZZ_GEM_CLOSE] = { "GEM_CLOSE", DRM_IOCTL_GEM_CLOSE },
	[FUZZ_GEM_MMAP_OFFSET] = { "GEM_MMAP_OFFSET", DRM_IOCTL_TANDEM_GEM_MMAP_OFFSET },
	[FUZZ_MMAP] = { "mmap" },
	[FUZZ_CONTEXT_CREATE] = { "CONTEXT_CREATE", DRM_IOCTL_TANDEM_CONTEXT_CREATE },
	[FUZZ_CONTEXT_DESTROY] = { "CONTEXT_DESTROY", DRM_IOCTL_TANDEM_CONTEXT_DESTROY },
	[FUZZ_CONTEXT_QUERY] = { "CONTEXT_QUERY", DRM_IOCTL_TANDEM_CONTEXT_QUERY },
	[FUZZ_REGION_MAP] = { "REGION_MAP", DRM_IOCTL_TANDEM_REGION_MAP },
	[FUZZ_REGION_UNMAP] = { "REGION_UNMAP", DRM_IOCTL_TANDEM_REGION_UNMAP },
	[FUZZ_QUEUE_CREATE] = { "QUEUE_CREATE", DRM_IOCTL_TANDEM_QUEUE_CREATE },
	[FUZZ_QUEUE_DESTROY] = { "QUEUE_DESTROY", DRM_IOCTL_TANDEM_QUEUE_DESTROY },
	[FUZZ_QUEUE_QUERY] = { "QUEUE_QUERY", DRM_IOCTL_TANDEM_QUEUE_QUERY },
	[FUZZ_SUBMIT] = { "SUBMIT" },
	[FUZZ_SUBMIT_WAIT] = { "SUBMIT with WAIT" },
	[FUZZ_SUBMIT_CANCEL] = { "SUBMIT of CANCEL" },
	[FUZZ_PRIME_EXPORT] = { "PRIME_HANDLE_TO_FD", DRM_IOCTL_PRIME_HANDLE_TO_FD },
	[FUZZ_PRIME_IMPORT] = { "PRIME_FD_TO_HANDLE", DRM_IOCTL_PRIME_FD_TO_HANDLE },
	[FUZZ_DMABUF_MMAP] = { "mmap of a dma-buf" },
	[FUZZ_DMABUF_SYNC] = { "DMA_BUF_IOCTL_SYNC" },
	[FUZZ_DMABUF_FENCE] = { "DMA_BUF_IOCTL_EXPORT_SYNC_FILE" },
	[FUZZ_SYNCOBJ_CREATE] = { "SYNCOBJ_CREATE", DRM_IOCTL_SYNCOBJ_CREATE },
	[FUZZ_SYNCOBJ_DESTROY] = { "SYNCOBJ_DESTROY", DRM_IOCTL_SYNCOBJ_DESTROY },
	[FUZZ_SYNCOBJ_SIGNAL] = { "SYNCOBJ_SIGNAL" },
	[FUZZ_SYNCOBJ_RESET] = { "SYNCOBJ_RESET" },
	[FUZZ_SYNCOBJ_TIMELINE_SIGNAL] = { "SYNCOBJ_TIMELINE_SIGNAL" },
	[FUZZ_SYNCOBJ_QUERY] = { "SYNCOBJ_QUERY" },
	[FUZZ_SYNCOBJ_TRANSFER] = { "SYNCOBJ_TRANSFER" },
	[FUZZ_SYNCOBJ_WAIT] = { "SYNCOBJ_TIMELINE_WAIT" },
	[FUZZ_SYNCOBJ_EXPORT] = { "SYNCOBJ_HANDLE_TO_FD" },
	[FUZZ_SYNCOBJ_IMPORT] = { "SYNCOBJ_FD_TO_HANDLE" },
	[FUZZ_RING_CREATE] = { "io_uring_setup" },
	[FUZZ_URING_NOP] = { "uring NOP" },
	[FUZZ_URING_COPY] = { "uring COPY" },
	[FUZZ_URING_COPY_USER] = { "uring COPY, memory of the process" },
	[FUZZ_URING_FILL] = { "uring FILL" },
	[FUZZ_URING_COPY_LIST] = { "uring COPY_LIST" },
	[FUZZ_URING_EXEC] = { "uring EXEC" },
	[FUZZ_URING_CANCEL] = { "uring CANCEL" },
	[FUZZ_URING_IN_FENCE] = { "uring, any with in_syncobj" },
	[FUZZ_URING_OUT_FENCE] = { "uring, any with out_syncobj" },
	[FUZZ_POLL] = { "uring POLL_ADD" },
	[FUZZ_ASYNC_CANCEL] = { "uring ASYNC_CANCEL" },
	[FUZZ_FORK] = { "fork" },
	[FUZZ_RESET] = { "reset of a device" },
	[FUZZ_FIRMWARE_START] = { "start of a device that does wrong" },
};

unsigned long fuzz_call_request(enum fuzz_call call)
{
	return calls[call].request;
}

const char *fuzz_call_name(enum fuzz_call call)
{
	return calls[call].name;
}

static void print_count(const char *name, uint64_t succeeded, uint64_t tried)
{
	printf("# %-34s %8llu of %8llu succeeded\n", name, (unsigned long long)succeeded,
	       (unsigned long long)tried);
}

void fuzz_print_counts(const struct fuzz_count *counts)
{
	uint64_t tried = 0, succeeded = 0;
	int i;

	for (i = 0; i < FUZZ_CALLS; i++) {
		print_count(calls[i].name, counts[i].succeeded, counts[i].tried);
		tried += counts[i].tried;
		succeeded += counts[i].succeeded;
	}
	print_count("all", succeeded, tried);
}

/* Each kind is tried by now: the rarest is one in some four thousand. */
#define CALLS_ENOUGH 50000
/* No luck is so bad. */
#define TRIES_ENOUGH 20

enum fuzz_call fuzz_find_unsuccessful(const struct fuzz_count *counts)
{
	uint64_t calls_made = 0;
	int i;

	for (i = 0; i < FUZZ_CALLS; i++)
		calls_made += counts[i].tried;
	for (i = 0; i < FUZZ_CALLS; i++)
		if (!counts[i].succeeded &&
		    (counts[i].tried >= TRIES_ENOUGH || calls_made >= CALLS_ENOUGH))
			break;
	return i;
}
