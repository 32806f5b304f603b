/* SPDX-License-Identifier: MIT */
/*
 * Kinds of calls, and how many of each succeeded. A fuzzer whose calls all fail
 * shows nothing.
 */
#ifndef FUZZ_CALLS_H
#define FUZZ_CALLS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum fuzz_call {
	FUZZ_OPEN,
	FUZZ_GET_PARAM,
	FUZZ_GEM_CREATE,
	FUZZ_GEM_REGISTER,
	FUZZ_GEM_CLOSE,
	FUZZ_GEM_MMAP_OFFSET,
	FUZZ_MMAP,
	FUZZ_CONTEXT_CREATE,
	FUZZ_CONTEXT_DESTROY,
	FUZZ_CONTEXT_QUERY,
	FUZZ_REGION_MAP,
	FUZZ_REGION_UNMAP,
	FUZZ_QUEUE_CREATE,
	FUZZ_QUEUE_DESTROY,
	FUZZ_QUEUE_QUERY,
	FUZZ_SUBMIT,
	FUZZ_SUBMIT_WAIT,
	FUZZ_SUBMIT_CANCEL,
	FUZZ_PRIME_EXPORT,
	FUZZ_PRIME_IMPORT,
	FUZZ_DMABUF_MMAP,
	FUZZ_DMABUF_SYNC,
	FUZZ_DMABUF_FENCE,
	FUZZ_SYNCOBJ_CREATE,
	FUZZ_SYNCOBJ_DESTROY,
	FUZZ_SYNCOBJ_SIGNAL,
	FUZZ_SYNCOBJ_RESET,
	FUZZ_SYNCOBJ_TIMELINE_SIGNAL,
	FUZZ_SYNCOBJ_QUERY,
	FUZZ_SYNCOBJ_TRANSFER,
	FUZZ_SYNCOBJ_WAIT,
	FUZZ_SYNCOBJ_EXPORT,
	FUZZ_SYNCOBJ_IMPORT,
	FUZZ_RING_CREATE,
	FUZZ_URING_NOP,
	FUZZ_URING_COPY,
	FUZZ_URING_COPY_USER,
	FUZZ_URING_FILL,
	FUZZ_URING_COPY_LIST,
	FUZZ_URING_EXEC,
	FUZZ_URING_CANCEL,
	FUZZ_URING_IN_FENCE,
	FUZZ_URING_OUT_FENCE,
	FUZZ_POLL,
	FUZZ_ASYNC_CANCEL,
	FUZZ_FORK,
	FUZZ_RESET,
	FUZZ_FIRMWARE_START,
	FUZZ_CALLS,
};

/**
 * struct fuzz_count - calls of one kind; of all processes
 * @tried: how many were made
 * @succeeded: of these
 */
struct fuzz_count {
	_Atomic uint64_t tried;
	_Atomic uint64_t succeeded;
};

static inline void fuzz_count(struct fuzz_count *counts, enum fuzz_call call, bool succeeded)
{
	atomic_fetch_add(&counts[call].tried, 1);
	atomic_fetch_add(&counts[call].succeeded, succeeded);
}

/* The ioctl, of those that are one. */
unsigned long fuzz_call_request(enum fuzz_call call);
const char *fuzz_call_name(enum fuzz_call call);
/* One line for each kind, and one for all. */
void fuzz_print_counts(const struct fuzz_count *counts);
/* A kind of which no call succeeded, of enough that it is no chance; FUZZ_CALLS for none. */
enum fuzz_call fuzz_find_unsuccessful(const struct fuzz_count *counts);

#endif /* FUZZ_CALLS_H */
