/* SPDX-License-Identifier: MIT */
/*
 * Files: device memory written to storage and read back, for KV that is to
 * outlive its place in a device.
 *
 * Storage reads and writes device memory directly (O_DIRECT), by way of the loop's
 * io_uring. Pieces that the file system cannot take so, since they are not aligned
 * as it wants, go through the system's page cache instead; so do all where it has
 * no direct I/O.
 */
#ifndef TANDEM_FILE_H
#define TANDEM_FILE_H

#include <stddef.h>
#include <stdint.h>

#include <tandem/device.h>
#include <tandem/error.h>
#include <tandem/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tandem_file;

/* To be written to, not only read. */
#define TANDEM_FILE_WRITE	(1u << 0)
/* To be made if it is not there, for this user alone; with WRITE. */
#define TANDEM_FILE_CREATE	(1u << 1)

/**
 * tandem_file_open() - open a file
 * @loop: where its completions will arrive
 * @path: an ordinary file
 * @flags: TANDEM_FILE_WRITE | TANDEM_FILE_CREATE
 * @timeout_ms: how long an operation may take; 0 for 30 s
 * @file: where to put it
 * @error: filled in on failure; may be NULL
 *
 * Blocks, as open(2) may.
 *
 * Return: 0; -EINVAL for what is no ordinary file, or for flags; -ENOMEM; or what
 * open(2) says: -ENOENT, -EACCES, …
 */
int tandem_file_open(struct tandem_loop *loop, const char *path, unsigned int flags,
		     unsigned int timeout_ms, struct tandem_file **file,
		     struct tandem_error *error);

/**
 * tandem_file_close() - close a file
 * @file: no operation of it is pending; may be NULL
 */
void tandem_file_close(struct tandem_file *file);

/**
 * struct tandem_file_info - what a file is, and how it was used
 * @size: bytes that it has
 * @direct_alignment: offsets, in file and memory, and lengths that are multiples
 *	of this bypass the page cache; 0 where nothing does
 * @direct_bytes: bytes that did
 * @buffered_bytes: bytes that did not
 */
struct tandem_file_info {
	uint64_t size;
	uint64_t direct_alignment;
	uint64_t direct_bytes;
	uint64_t buffered_bytes;
};

/* Return: 0, or what fstat(2) says. */
int tandem_file_get_info(struct tandem_file *file, struct tandem_file_info *info);

/**
 * struct tandem_file_segment - a piece to read or write
 * @file_offset: bytes from the start of the file
 * @memory_offset: bytes from the start of the memory
 * @length: bytes, not zero
 */
struct tandem_file_segment {
	uint64_t file_offset;
	uint64_t memory_offset;
	uint64_t length;
};

/**
 * tandem_file_write_start() - write device memory to a file
 * @file: opened for writing
 * @memory: from where
 * @segments: @count pieces, read before the call returns; they do not overlap in
 *	the file. Neighbours on both sides are written as one
 * @count: not zero
 * @op: ends with 0 when the file has them, though not yet the disk: see
 *	tandem_file_sync_start(). -ENOSPC, -EIO, -EFBIG and others of write(2);
 *	-ETIMEDOUT; -ECANCELED. After an end other than 0 any of the pieces may
 *	have been written, or part of one. When it has ended, nothing reads the
 *	memory any more: storage that does not answer can hold up the end
 *
 * All pieces are started or none.
 *
 * Return: 0; -EINVAL for no pieces, one that is empty or out of range; -EBADF when
 * the file is not for writing; -ENOMEM, -ENODEV.
 */
int tandem_file_write_start(struct tandem_file *file, struct tandem_memory *memory,
			    const struct tandem_file_segment *segments, size_t count,
			    struct tandem_operation *op);

/**
 * tandem_file_read_start() - read a file into device memory
 * @file: the file
 * @memory: to where
 * @segments: as for tandem_file_write_start(); they do not overlap in the memory
 * @count: not zero
 * @op: as there; -ENODATA where the file ends before a piece does. Unless it is 0,
 *	nothing of the pieces may be used
 *
 * Return: as there.
 */
int tandem_file_read_start(struct tandem_file *file, struct tandem_memory *memory,
			   const struct tandem_file_segment *segments, size_t count,
			   struct tandem_operation *op);

/**
 * tandem_file_sync_start() - have the disk have it
 * @file: the file
 * @op: ends with 0 when all that was written before this call is there to stay;
 *	errors as for writing
 *
 * Return: 0, -EINVAL, -ENOMEM.
 */
int tandem_file_sync_start(struct tandem_file *file, struct tandem_operation *op);

#ifdef __cplusplus
}
#endif

#endif /* TANDEM_FILE_H */
