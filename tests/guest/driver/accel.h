/* SPDX-License-Identifier: MIT */
/*
 * An accel device as tests use it: the bare driver interface, no libtandem.
 * What cannot fail in a sound system ends the test where it is called.
 */
#ifndef TEST_ACCEL_H
#define TEST_ACCEL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <liburing.h>

#include "drm/tandem_accel.h"

#define MIB	(1ull << 20)
#define USER	TANDEM_REGION_USER
#define READ	TANDEM_REGION_READ
#define WRITE	TANDEM_REGION_WRITE

struct accel {
	int fd;
	bool ring_is_up;
	struct io_uring ring;
	uint32_t context;
	uint32_t copy;
	uint32_t compute;
};

/* The two devices that the guest starts with. */
#define ACCEL0	"/dev/accel/accel0"
#define ACCEL1	"/dev/accel/accel1"

/* A file with a context, a queue of each kind and a ring. */
void accel_open(struct accel *accel, const char *node);
void accel_open_ring(struct accel *accel, const char *node,
		     unsigned int entries, unsigned int flags);
void accel_close(struct accel *accel);

/* 0 or -errno. */
int accel_ioctl(const struct accel *accel, unsigned long request, void *args);

uint64_t accel_param(const struct accel *accel, uint32_t param);
uint32_t accel_context(const struct accel *accel);
uint32_t accel_queue(const struct accel *accel, uint32_t context,
		     uint32_t kind);
uint32_t accel_object(const struct accel *accel, uint64_t size);
void accel_object_close(const struct accel *accel, uint32_t handle);
void *accel_map(const struct accel *accel, uint32_t handle, uint64_t size);
/* A region of @context, which is the file's own for 0. */
uint32_t accel_region(const struct accel *accel, uint32_t context,
		      uint32_t handle, uint64_t offset, uint64_t length,
		      uint32_t flags);
int accel_region_unmap(const struct accel *accel, uint32_t context,
		       uint32_t region);
int accel_export(const struct accel *accel, uint32_t handle);
/* -errno or 0. */
int accel_import(const struct accel *accel, int dmabuf, uint32_t *handle);

/* An SQE that is filled in, to be submitted with io_uring_submit(). */
struct io_uring_sqe *accel_prepare(struct accel *accel, uint32_t op,
				   const struct tandem_uring_command *command,
				   uint64_t user_data);
/* Waits for the next CQE: its result. Fails the test after some time. */
int accel_wait(struct accel *accel, uint64_t *user_data);
/* One command from submission to result. */
int accel_run(struct accel *accel, uint32_t op,
	      const struct tandem_uring_command *command);
int accel_copy(struct accel *accel, uint32_t dst_region, uint64_t dst,
	       uint32_t src_region, uint64_t src, uint64_t length);
int accel_fill(struct accel *accel, uint32_t dst_region, uint64_t dst,
	       uint32_t pattern, uint64_t length);

static inline uint64_t address_of(const void *pointer)
{
	return (uintptr_t)pointer;
}

/* Bytes that depend on position and seed. */
void fill_pattern(void *memory, size_t size, uint32_t seed);

#endif /* TEST_ACCEL_H */
