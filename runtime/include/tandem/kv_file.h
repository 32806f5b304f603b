/* SPDX-License-Identifier: MIT */
/*
 * A file behind KV pools: blocks that are evicted go there, and come back when a
 * prompt begins like one before, also in a process that is started later.
 */
#ifndef TANDEM_KV_FILE_H
#define TANDEM_KV_FILE_H

#include <stdint.h>

#include <tandem/error.h>
#include <tandem/kv.h>
#include <tandem/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tandem_kv_file;

/**
 * tandem_kv_file_open() - put a file behind a pool
 * @loop: that of the pool's device
 * @pool: has its model's identity, and nothing cached yet. No sequence of it shares
 *	yet: what blocks are found by becomes another
 * @path: the file; made if it is not there, for this user alone. What is in it is
 *	as good as the KV cache itself: not encrypted
 * @bytes: that the file may have, at least what one block takes; a file that has more
 *	is cut
 * @timeout_ms: how long a block may take to be written or read; 0 for 30 s
 * @file: where to put it
 * @error: filled in on failure; may be NULL
 *
 * Blocks, as open(2) may, and while it reads what is in the file. A file is of one
 * model, of all bytes of its weights, and of one shape of pool, the number of blocks
 * apart. Whatever blocks of it are damaged or missing are as if they had never been
 * stored.
 *
 * Return: 0; -EBUSY when another store has the file, or the pool something cached;
 * -EINVAL for a file that is no store, of another model or another shape, or for too
 * few @bytes; -EBADMSG when the start of it is damaged; -ENOMEM, -ENODEV; or what
 * open(2), read(2) and write(2) say.
 */
int tandem_kv_file_open(struct tandem_loop *loop, struct tandem_kv_pool *pool, const char *path,
			uint64_t bytes, unsigned int timeout_ms, struct tandem_kv_file **file,
			struct tandem_error *error);

/**
 * tandem_kv_file_add_pool() - put the same file behind another pool
 * @file: the file
 * @pool: as for tandem_kv_file_open(), of the same model and shape, and the same loop.
 *	It may be another device's
 * @error: filled in on failure; may be NULL
 *
 * What one pool's blocks have become, the others find, too, and what two have is in the
 * file once.
 *
 * Return: 0; -EINVAL for another model or shape; -EBUSY when the pool has something
 * cached; -ENOMEM, -ENODEV.
 */
int tandem_kv_file_add_pool(struct tandem_kv_file *file, struct tandem_kv_pool *pool,
			    struct tandem_error *error);

/**
 * tandem_kv_file_close() - have no file behind the pools any more
 * @file: may be NULL
 *
 * What is under way is cancelled; blocks until it has ended, so not to be called from
 * within callbacks. What was written stays. To be closed before a pool is destroyed.
 */
void tandem_kv_file_close(struct tandem_kv_file *file);

/**
 * tandem_kv_file_flush_start() - have all that is cached written
 * @file: not being flushed
 * @op: ends with 0 when all blocks cached in its pools have been evicted and the disk has
 *	all that was written; or with the first failure, and then what was not written
 *	before it is cached as before
 *
 * For the end of a process.
 *
 * Return: 0; -EBUSY while it is being flushed; -EINVAL, -ENOMEM.
 */
int tandem_kv_file_flush_start(struct tandem_kv_file *file, struct tandem_operation *op);

/**
 * struct tandem_kv_file_stats - a store now, and what it has done so far
 * @slots: blocks that it has room for
 * @stored: blocks that are in it, or being written
 * @held: blocks of the pools that wait to be written, or are being written
 * @written: blocks that were written
 * @read: blocks that were read back
 * @declined: evicted blocks that were not taken, since all slots were being written
 *	or read
 * @failed: blocks that could not be written or read
 * @damaged: blocks in the file that were not what had been written
 * @direct_bytes: bytes written and read past the page cache
 * @buffered_bytes: bytes that went through it, see <tandem/file.h>
 */
struct tandem_kv_file_stats {
	uint32_t slots;
	uint32_t stored;
	uint32_t held;
	uint64_t written;
	uint64_t read;
	uint64_t declined;
	uint64_t failed;
	uint64_t damaged;
	uint64_t direct_bytes;
	uint64_t buffered_bytes;
};

void tandem_kv_file_get_stats(const struct tandem_kv_file *file,
			      struct tandem_kv_file_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* TANDEM_KV_FILE_H */
