/* SPDX-License-Identifier: MIT */
/*
 * DRM syncobjs of an accel file. What cannot fail in a sound system ends the
 * test where it is called.
 */
#ifndef TEST_SYNCOBJ_H
#define TEST_SYNCOBJ_H

#include <stdbool.h>
#include <stdint.h>

struct accel;

uint32_t syncobj_create(const struct accel *accel);
void syncobj_destroy(const struct accel *accel, uint32_t syncobj);
/* The same syncobj as a handle of another file. */
uint32_t syncobj_share(const struct accel *from, uint32_t syncobj,
		       const struct accel *to);
/* Does it signal, or its point if that is not 0? Waits for as long as that. */
bool syncobj_wait(const struct accel *accel, uint32_t syncobj, uint64_t point,
		  unsigned int milliseconds);
/* The last point that has signalled. */
uint64_t syncobj_query(const struct accel *accel, uint32_t syncobj);
void syncobj_signal(const struct accel *accel, uint32_t syncobj,
		    uint64_t point);
/* The fence in it as a sync_file. */
int syncobj_export_fence(const struct accel *accel, uint32_t syncobj);
/* Of a sync_file: 0 when it has not signalled, 1, or negative errno. */
int sync_file_status(int fd);

#endif /* TEST_SYNCOBJ_H */
