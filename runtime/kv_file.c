// SPDX-License-Identifier: MIT
/*
 * A file behind KV pools: blocks on their way out, and back.
 *
 * A block that a pool evicts is held until storage has read it: first its bytes are
 * written, then its description. What comes back is compared with its checksum before
 * the pool hears of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "device.h"
#include "error.h"
#include "kv.h"
#include "kv_file.h"
#include "loop.h"

/* Blocks that are written at once; more wait. */
#define WRITES	8u

/**
 * struct kv_write - a block on its way to the file, or a place for one
 * @from: whose block
 * @slot: where to; NULL while there is none
 * @op: first of the bytes, then of the description
 * @description: of the slot, in device memory
 * @description_offset: of it, in the @descriptions of @from
 */
struct kv_write {
	struct kv_file_pool *from;
	struct kv_slot *slot;
	struct tandem_operation op;
	void *description;
	uint64_t description_offset;
};

/**
 * struct kv_read - a block on its way back
 * @entry: in the store's @reads
 * @to: whose block
 * @slot: where from
 * @block: of the pool, where to
 * @caller: the pool's operation
 * @op: of the file
 *
 * Freed when it ends.
 */
struct kv_read {
	LIST_ENTRY(kv_read) entry;
	struct kv_file_pool *to;
	struct kv_slot *slot;
	uint32_t block;
	struct tandem_operation *caller;
	struct tandem_operation op;
};

/**
 * struct kv_file_pool - a pool that the file is behind
 * @entry: in the store's @pools
 * @file: the store
 * @pool: the pool
 * @bytes: its memory
 * @descriptions: memory of the same device, for those of @writes
 * @writes: of its blocks, those under way, and places for more
 * @queue: slots whose blocks wait for one
 *
 * Owned by the store.
 */
struct kv_file_pool {
	TAILQ_ENTRY(kv_file_pool) entry;
	struct tandem_kv_file *file;
	struct tandem_kv_pool *pool;
	const char *bytes;
	struct tandem_memory *descriptions;
	struct kv_write writes[WRITES];
	struct kv_slot_queue queue;
};

/**
 * struct tandem_kv_file - a store
 * @loop: where everything of it happens
 * @pools: that it is behind
 * @format: of the file
 * @seed: of its hashes
 * @file: the same file, for what goes to and from device memory
 * @slots: what is in it
 * @segments: of a block, filled in for each transfer
 * @reads: blocks on their way back
 * @flush: operation of tandem_kv_file_flush_start(), or NULL
 * @flush_result: the first failure since it began
 * @sync: the end of it
 * @closing: takes and brings nothing any more
 * @stats: what counts up, and @held
 *
 * Owned by whoever opened it; belongs to the loop's thread, no lock.
 */
struct tandem_kv_file {
	struct tandem_loop *loop;
	TAILQ_HEAD(, kv_file_pool) pools;
	struct kv_file_format format;
	uint64_t seed;
	struct tandem_file *file;
	struct kv_slots slots;
	struct tandem_file_segment *segments;
	LIST_HEAD(, kv_read) reads;
	struct tandem_operation *flush;
	int flush_result;
	struct tandem_operation sync;
	bool closing;
	struct tandem_kv_file_stats stats;
};

static const struct tandem_file_segment *
segments_of(const struct kv_file_pool *pool, const struct kv_slot *slot, uint32_t block)
{
	const struct tandem_kv_layout *layout = tandem_kv_pool_layout(pool->pool);
	struct tandem_kv_file *file = pool->file;
	const uint64_t bytes = tandem_kv_block_bytes(layout);
	const uint64_t at = kv_file_block_at(&file->format, kv_slots_number(&file->slots, slot));

	for (uint32_t i = 0; i < layout->layers; i++)
		file->segments[i] = (struct tandem_file_segment) {
			.file_offset = at + i * bytes,
			.memory_offset = tandem_kv_block_offset(layout, i, block),
			.length = bytes,
		};
	return file->segments;
}

static uint64_t checksum_of(const struct kv_file_pool *pool, uint32_t block)
{
	const struct tandem_kv_layout *layout = tandem_kv_pool_layout(pool->pool);
	uint64_t checksum = 0;

	for (uint32_t i = 0; i < layout->layers; i++)
		checksum = XXH3_64bits_withSeed(pool->bytes +
						tandem_kv_block_offset(layout, i, block),
						tandem_kv_block_bytes(layout), checksum);
	return checksum;
}

/*
 * Out
 */

static void next_writes(struct kv_file_pool *from);
static void flush_continue(struct tandem_kv_file *file);

/* The block is the pool's again. */
static void block_ended(struct kv_file_pool *from, struct kv_slot *slot, int result)
{
	struct tandem_kv_file *file = from->file;
	const uint32_t block = slot->block;

	if (result < 0) {
		file->stats.failed++;
		kv_slots_forget(&file->slots, slot);
		if (!file->flush_result)
			file->flush_result = result;
	} else {
		file->stats.written++;
		slot->complete = true;
	}
	kv_slots_drop(&file->slots, slot);
	file->stats.held--;
	tandem_kv_pool_unpin(from->pool, &block, 1);
}

static void write_ended(struct kv_write *write, int result)
{
	struct kv_file_pool *from = write->from;
	struct kv_slot *slot = write->slot;

	write->slot = NULL;
	block_ended(from, slot, result);
	/* Those that wait would be so late, too. */
	if (result == -ETIMEDOUT)
		kv_store_is_late(from->pool);
	next_writes(from);
	flush_continue(from->file);
}

static void description_written(struct tandem_operation *op)
{
	write_ended(op->user, op->result);
}

static void bytes_written(struct tandem_operation *op)
{
	struct kv_write *write = op->user;
	struct tandem_kv_file *file = write->from->file;
	const struct tandem_file_segment segment = {
		.file_offset = kv_file_description_at(&file->format,
						      kv_slots_number(&file->slots, write->slot)),
		.memory_offset = write->description_offset,
		.length = file->format.description_bytes,
	};
	int ret = op->result;

	if (ret >= 0) {
		kv_file_describe(&file->format, &file->slots, write->slot, write->description);
		op->done = description_written;
		ret = tandem_file_write_start(file->file, write->from->descriptions, &segment, 1,
					      op);
	}
	if (ret < 0)
		write_ended(write, ret);
}

static int write_start(struct kv_write *write, struct kv_slot *slot)
{
	struct kv_file_pool *from = write->from;
	int ret;

	if (tandem_device_is_lost(from->pool->memory->device))
		return -ENODEV;
	slot->checksum = checksum_of(from, slot->block);
	write->op.done = bytes_written;
	write->op.user = write;
	ret = tandem_file_write_start(from->file->file, tandem_kv_pool_memory(from->pool),
				      segments_of(from, slot, slot->block),
				      from->file->format.layout.layers, &write->op);
	if (!ret)
		write->slot = slot;
	return ret;
}

/* Those that nothing reads yet are the pool's again. */
static void release(void *user)
{
	struct kv_file_pool *from = user;
	struct kv_slot *slot;

	while ((slot = TAILQ_FIRST(&from->queue))) {
		TAILQ_REMOVE(&from->queue, slot, idle);
		block_ended(from, slot, -ETIMEDOUT);
	}
}

static struct kv_write *free_write(struct kv_file_pool *from)
{
	for (unsigned int i = 0; i < WRITES; i++)
		if (!from->writes[i].slot)
			return &from->writes[i];
	return NULL;
}

static void next_writes(struct kv_file_pool *from)
{
	struct kv_write *write;
	struct kv_slot *slot;

	while ((slot = TAILQ_FIRST(&from->queue)) && (write = free_write(from))) {
		int ret;

		TAILQ_REMOVE(&from->queue, slot, idle);
		ret = from->file->closing ? -ECANCELED : write_start(write, slot);
		if (ret < 0)
			block_ended(from, slot, ret);
	}
}

static bool may_take(const struct tandem_kv_file *file)
{
	return !file->closing && !TAILQ_EMPTY(&file->slots.idle);
}

static int take(void *user, const struct tandem_kv_content *content, uint32_t block)
{
	struct kv_file_pool *from = user;
	struct tandem_kv_file *file = from->file;
	struct kv_slot *slot = kv_slots_find(&file->slots, content);
	struct kv_write *write;

	/* It is there, or will be; so it is the last to go. */
	if (slot) {
		kv_slots_hold(&file->slots, slot);
		kv_slots_drop(&file->slots, slot);
		return TANDEM_KV_NOT_TAKEN;
	}
	if (!may_take(file)) {
		file->stats.declined++;
		return TANDEM_KV_NOT_TAKEN;
	}
	slot = TAILQ_FIRST(&file->slots.idle);
	kv_slots_hold(&file->slots, slot);
	kv_slots_forget(&file->slots, slot);
	kv_slots_insert(&file->slots, slot, content);
	slot->block = block;
	write = free_write(from);
	if (!write) {
		TAILQ_INSERT_TAIL(&from->queue, slot, idle);
	} else if (write_start(write, slot) < 0) {
		kv_slots_forget(&file->slots, slot);
		kv_slots_drop(&file->slots, slot);
		file->stats.failed++;
		return TANDEM_KV_NOT_TAKEN;
	}
	file->stats.held++;
	return TANDEM_KV_HELD;
}

/*
 * And back
 */

static void block_read(struct tandem_operation *op)
{
	struct kv_read *read = op->user;
	struct tandem_kv_file *file = read->to->file;
	struct tandem_operation *caller = read->caller;
	int ret = op->result;

	if (!ret && tandem_device_is_lost(read->to->pool->memory->device))
		ret = -ENODEV;
	if (!ret && checksum_of(read->to, read->block) != read->slot->checksum)
		ret = -EBADMSG;
	if (!ret)
		file->stats.read++;
	else if (ret == -EBADMSG || ret == -ENODATA)
		file->stats.damaged++;
	else
		file->stats.failed++;
	/* It will not get better; but who gave up says nothing about the file. */
	if (ret && ret != -ECANCELED && ret != -ETIMEDOUT && ret != -ENODEV)
		kv_slots_forget(&file->slots, read->slot);
	kv_slots_drop(&file->slots, read->slot);
	LIST_REMOVE(read, entry);
	free(read);
	operation_complete(caller, ret);
}

static int read_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	struct kv_read *read = operation_data(op);

	return tandem_cancel(loop, &read->op);
}

static int has(void *user, const struct tandem_kv_content *content)
{
	const struct kv_file_pool *to = user;
	const struct tandem_kv_file *file = to->file;
	const struct kv_slot *slot = kv_slots_find(&file->slots, content);

	return slot && slot->complete && !file->closing;
}

static int bring(void *user, const struct tandem_kv_content *content, uint32_t block,
		 struct tandem_operation *op)
{
	struct kv_file_pool *to = user;
	struct tandem_kv_file *file = to->file;
	struct kv_slot *slot = kv_slots_find(&file->slots, content);
	struct kv_read *read;
	int ret;

	if (!has(to, content))
		return -ENOENT;
	read = calloc(1, sizeof(*read));
	if (!read)
		return -ENOMEM;
	read->to = to;
	read->slot = slot;
	read->block = block;
	read->caller = op;
	read->op.done = block_read;
	read->op.user = read;
	ret = operation_begin(op, read_cancel, read);
	if (ret)
		goto free_read;
	ret = tandem_file_read_start(file->file, tandem_kv_pool_memory(to->pool),
				     segments_of(to, slot, block), file->format.layout.layers,
				     &read->op);
	if (ret)
		goto abandon;
	kv_slots_hold(&file->slots, slot);
	LIST_INSERT_HEAD(&file->reads, read, entry);
	return 0;

abandon:
	operation_abandon(op);
free_read:
	free(read);
	return ret;
}

/*
 * Flushing
 */

static void flush_end(struct tandem_kv_file *file, int result)
{
	struct tandem_operation *op = file->flush;

	file->flush = NULL;
	operation_complete(op, result);
}

static void synced(struct tandem_operation *op)
{
	struct tandem_kv_file *file = op->user;

	flush_end(file, file->flush_result ? file->flush_result : op->result);
}

/* As many as it takes at once; the rest follows as these are written. */
static void evict_some(struct tandem_kv_file *file)
{
	struct kv_file_pool *from;

	TAILQ_FOREACH(from, &file->pools, entry) {
		/* What it would not be offered would be lost. */
		if (!file->flush_result && kv_store_is_paused(from->pool))
			file->flush_result = -ETIMEDOUT;
		while (!file->flush_result && may_take(file) &&
		       tandem_kv_pool_evict(from->pool, 1))
			;
	}
}

static void flush_continue(struct tandem_kv_file *file)
{
	int ret;

	if (!file->flush || file->sync.pending)
		return;
	evict_some(file);
	if (file->stats.held)
		return;
	ret = file->flush_result ? file->flush_result :
				   tandem_file_sync_start(file->file, &file->sync);
	if (ret)
		flush_end(file, ret);
}

static int flush_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	struct tandem_kv_file *file = operation_data(op);

	if (!file->flush_result)
		file->flush_result = -ECANCELED;
	if (file->sync.pending)
		return tandem_cancel(loop, &file->sync);
	return 0;
}

int tandem_kv_file_flush_start(struct tandem_kv_file *file, struct tandem_operation *op)
{
	struct kv_file_pool *from;
	int ret;

	if (file->flush)
		return -EBUSY;
	ret = operation_begin(op, flush_cancel, file);
	if (ret)
		return ret;
	file->flush_result = 0;
	TAILQ_FOREACH(from, &file->pools, entry)
		kv_store_try_again(from->pool);
	evict_some(file);
	if (!file->stats.held) {
		ret = tandem_file_sync_start(file->file, &file->sync);
		if (ret) {
			operation_abandon(op);
			return ret;
		}
	}
	file->flush = op;
	return 0;
}

/*
 * Pools
 */

static int make_buffers(struct kv_file_pool *pool, struct tandem_error *error)
{
	const uint64_t size = pool->file->format.description_bytes;
	struct tandem_memory *memory = tandem_kv_pool_memory(pool->pool);
	void *bytes, *descriptions;
	int ret;

	ret = tandem_memory_alloc(memory->device, WRITES * size, &pool->descriptions, error);
	if (ret)
		return ret;
	ret = tandem_memory_map(pool->descriptions, &descriptions);
	if (!ret)
		ret = tandem_memory_map(memory, &bytes);
	if (ret)
		return tandem_error_set(error, ret, "KV store: memory of the device cannot be mapped: %s",
					strerror(-ret));
	pool->bytes = bytes;
	for (unsigned int i = 0; i < WRITES; i++) {
		pool->writes[i].from = pool;
		pool->writes[i].description_offset = i * size;
		pool->writes[i].description = (char *)descriptions + i * size;
	}
	return 0;
}

static void pool_free(struct kv_file_pool *pool)
{
	tandem_memory_free(pool->descriptions);
	free(pool);
}

static bool is_alike(const struct tandem_kv_pool *one, const struct tandem_kv_pool *other)
{
	return one->layout.type == other->layout.type &&
	       one->layout.layers == other->layout.layers &&
	       one->layout.kv_width == other->layout.kv_width &&
	       one->layout.block_tokens == other->layout.block_tokens &&
	       !memcmp(&one->model, &other->model, sizeof(one->model));
}

int tandem_kv_file_add_pool(struct tandem_kv_file *file, struct tandem_kv_pool *pool,
			    struct tandem_error *error)
{
	const struct kv_file_pool *first = TAILQ_FIRST(&file->pools);
	struct kv_file_pool *new;
	int ret;

	if (first && !is_alike(first->pool, pool))
		return tandem_error_set(error, -EINVAL,
					"KV store: pools behind which one file is have to be of one model, and of one shape but for the number of blocks");
	new = calloc(1, sizeof(*new));
	if (!new)
		return tandem_error_set(error, -ENOMEM, "KV store: out of memory");
	new->file = file;
	new->pool = pool;
	TAILQ_INIT(&new->queue);
	ret = make_buffers(new, error);
	if (!ret && kv_pool_set_seed(pool, file->seed) < 0)
		ret = tandem_error_set(error, -EBUSY,
				       "KV store: the KV pool has something cached already; open the store before");
	if (ret) {
		pool_free(new);
		return ret;
	}
	tandem_kv_pool_set_store(pool, &(const struct tandem_kv_store) {
		.take = take, .bring = bring, .has = has, .release = release, .user = new,
	});
	TAILQ_INSERT_TAIL(&file->pools, new, entry);
	return 0;
}

/*
 * Files
 */

static int open_file(struct tandem_kv_file *file, const char *path, unsigned int timeout_ms,
		     struct tandem_error *error)
{
	struct tandem_error reason = { 0 };
	char same[32];
	int ret;

	/* The one that is locked, whatever has the path by now. */
	snprintf(same, sizeof(same), "/proc/self/fd/%d", file->format.fd);
	ret = tandem_file_open(file->loop, same, TANDEM_FILE_WRITE, timeout_ms, &file->file,
			       &reason);
	if (ret)
		tandem_error_set(error, ret, "%s: %s", path, reason.message);
	return ret;
}

static int make_slots(struct tandem_kv_file *file, const char *path, uint64_t bytes,
		      struct tandem_error *error)
{
	struct tandem_file_info info;
	uint64_t count = kv_file_slots_in(&file->format, bytes);
	int ret;

	if (!count || count > UINT32_MAX)
		return tandem_error_set(error, -EINVAL,
					"%s: %llu bytes have no room for one block, which takes %llu, or are too many",
					path, (unsigned long long)bytes,
					(unsigned long long)file->format.slot_bytes);
	ret = kv_slots_init(&file->slots, (uint32_t)count, file->format.layout.block_tokens);
	if (!ret)
		ret = tandem_file_get_info(file->file, &info);
	if (!ret && info.size > bytes && ftruncate(file->format.fd, (off_t)bytes) < 0)
		ret = -errno;
	if (!ret)
		ret = kv_file_read_slots(&file->format, &file->slots);
	file->segments = calloc(file->format.layout.layers, sizeof(*file->segments));
	if (!ret && !file->segments)
		ret = -ENOMEM;
	if (ret)
		tandem_error_set(error, ret, "%s: %s", path, strerror(-ret));
	return ret;
}

static void destroy(struct tandem_kv_file *file)
{
	struct kv_file_pool *pool;

	while ((pool = TAILQ_FIRST(&file->pools))) {
		TAILQ_REMOVE(&file->pools, pool, entry);
		tandem_kv_pool_set_store(pool->pool, NULL);
		pool_free(pool);
	}
	free(file->segments);
	kv_slots_destroy(&file->slots);
	tandem_file_close(file->file);
	if (file->format.fd >= 0)
		close(file->format.fd);
	free(file);
}

int tandem_kv_file_open(struct tandem_loop *loop, struct tandem_kv_pool *pool, const char *path,
			uint64_t bytes, unsigned int timeout_ms, struct tandem_kv_file **file,
			struct tandem_error *error)
{
	struct tandem_kv_file *new = calloc(1, sizeof(*new));
	int ret;

	if (!new)
		return tandem_error_set(error, -ENOMEM, "KV store: out of memory");
	new->loop = loop;
	new->sync.done = synced;
	new->sync.user = new;
	TAILQ_INIT(&new->pools);
	LIST_INIT(&new->reads);
	ret = kv_file_format_open(&new->format, path, &pool->layout, &pool->model, &new->seed,
				  error);
	if (!ret)
		ret = open_file(new, path, timeout_ms, error);
	if (!ret)
		ret = make_slots(new, path, bytes, error);
	if (!ret)
		ret = tandem_kv_file_add_pool(new, pool, error);
	if (ret) {
		destroy(new);
		return ret;
	}
	*file = new;
	return 0;
}

static bool is_under_way(const struct tandem_kv_file *file)
{
	return file->stats.held || file->flush || !LIST_EMPTY(&file->reads);
}

void tandem_kv_file_close(struct tandem_kv_file *file)
{
	struct kv_file_pool *from;
	struct kv_read *read;
	int ret = 0;

	if (!file)
		return;
	file->closing = true;
	if (file->flush)
		flush_cancel(file->loop, file->flush);
	TAILQ_FOREACH(from, &file->pools, entry)
		for (unsigned int i = 0; i < WRITES; i++)
			if (from->writes[i].slot)
				tandem_cancel(file->loop, &from->writes[i].op);
	LIST_FOREACH(read, &file->reads, entry)
		tandem_cancel(file->loop, &read->op);
	while (is_under_way(file) && (!ret || ret == -EINTR)) {
		ret = tandem_loop_run(file->loop, -1);
		if (ret > 0)
			ret = 0;
	}
	destroy(file);
}

void tandem_kv_file_get_stats(const struct tandem_kv_file *file,
			      struct tandem_kv_file_stats *stats)
{
	struct tandem_file_info info;

	*stats = file->stats;
	tandem_file_get_info(file->file, &info);
	stats->direct_bytes = info.direct_bytes;
	stats->buffered_bytes = info.buffered_bytes;
	stats->slots = file->slots.count;
	stats->stored = file->slots.indexed;
}
