/* SPDX-License-Identifier: MIT */
/*
 * Buffers that end where memory ends, so that one byte read or written too far
 * faults, and whose bytes in front are watched for writes.
 */
#ifndef TEST_KERNELS_GUARDED_H
#define TEST_KERNELS_GUARDED_H

#include <stddef.h>

struct guarded {
	void *data; /* first byte of the buffer */
	size_t size;
	char *map; /* the mapping: canary bytes, buffer, inaccessible page */
	size_t map_size;
	size_t shift;
};

/*
 * A buffer of @size bytes filled with 0xff (every F32 and F16 of it a NaN).
 * With @shift the buffer ends that many bytes before the inaccessible page, to
 * vary its alignment; those bytes are watched like the ones in front.
 */
struct guarded guarded_alloc(size_t size, size_t shift);

/* From now on the buffer is an input: writing it faults. */
void guarded_seal(struct guarded *g);

/* Fails the test if a byte around the buffer has changed. Frees it. */
void guarded_free(struct guarded *g);

#endif
