// SPDX-License-Identifier: MIT
/*
 * Operations on files, and on what is in one file: objects, mappings, contexts,
 * regions, queues, and commands by ioctl.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "fuzz_ops.h"

#define SUBMIT_MAX	6
#define SEGMENTS	8

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void open_file(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);

	if (file->fd < 0)
		fuzz_file_open(worker, file);
}

/*
 * Submissions that wait for others look their file up late, by a number that may
 * be another file's by then: not with what is the worker's own.
 */
static void settle_before_close(struct fuzz_worker *worker, const struct fuzz_file *file)
{
	if (file->private)
		fuzz_rings_settle(worker);
}

static void close_file(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	int fd;

	settle_before_close(worker, file);
	fd = atomic_exchange(&file->fd, -1);
	if (fd < 0)
		return;
	fuzz_file_forget(file);
	close(fd);
}

static void dup_file(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	int fd, old;

	settle_before_close(worker, file);
	fd = dup(file->fd);
	if (fd < 0)
		return;
	old = atomic_exchange(&file->fd, fd);
	if (old >= 0)
		close(old);
}

static void get_param(struct fuzz_worker *worker)
{
	struct drm_tandem_get_param args = {
		.param = fuzz_below(&worker->random, 26),
		.index = fuzz_one_in(&worker->random, 3) ? fuzz_below(&worker->random, 5) : 0,
	};

	fuzz_ioctl(worker, fuzz_any_file(worker), DRM_IOCTL_TANDEM_GET_PARAM, &args,
		   (const int[]){ 0 });
}

static void gem_create(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct fuzz_object *object = &file->object[fuzz_below(&worker->random, FUZZ_OBJECTS)];
	struct drm_tandem_gem_create args = {
		.size = 1 + fuzz_below(&worker->random, FUZZ_OBJECT_MAX),
		.flags = fuzz_one_in(&worker->random, 4) ?
			 TANDEM_GEM_CLASS(fuzz_below(&worker->random, 3)) : 0,
	};

	/* One that is there already stays until it is closed: files have limits. */
	if (object->handle && !fuzz_one_in(&worker->random, 8))
		return;
	if (fuzz_one_in(&worker->random, 64))
		args.size = fuzz_odd_number(&worker->random, args.size);
	if (fuzz_ioctl(worker, file, DRM_IOCTL_TANDEM_GEM_CREATE, &args,
		       (const int[]){ ENOSPC, EDQUOT, E2BIG, 0 }))
		return;
	object->size = args.size;
	object->handle = args.handle;
}

static void gem_close(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct drm_gem_close args = {
		.handle = atomic_exchange(&fuzz_any_object(worker, file)->handle, 0),
	};

	fuzz_ioctl(worker, file, DRM_IOCTL_GEM_CLOSE, &args, (const int[]){ 0 });
}

static struct fuzz_map *any_map(struct fuzz_worker *worker)
{
	return &worker->map[fuzz_below(&worker->random, FUZZ_MAPS)];
}

static void unmap(struct fuzz_map *map)
{
	if (map->memory)
		munmap(map->memory, map->size);
	map->memory = NULL;
}

static void map_object(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct fuzz_object *object = fuzz_any_object(worker, file);
	struct drm_tandem_gem_mmap_offset args = { .handle = object->handle };
	struct fuzz_map *map = any_map(worker);
	size_t size = object->size;
	int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED;
	void *memory;

	if (fuzz_ioctl(worker, file, DRM_IOCTL_TANDEM_GEM_MMAP_OFFSET, &args,
		       (const int[]){ ENOENT, 0 }))
		return;
	if (fuzz_one_in(&worker->random, 16))
		size += 4096;
	if (fuzz_one_in(&worker->random, 16))
		flags = MAP_PRIVATE;
	if (fuzz_one_in(&worker->random, 16))
		args.offset = fuzz_odd_number(&worker->random, args.offset) & ~4095ull;
	/* Only while it is the object that was asked for that the tag is sure. */
	memory = mmap(NULL, size, prot, flags, file->fd, args.offset);
	fuzz_note(worker, "  mmap %zu: %d", size, memory == MAP_FAILED ? -errno : 0);
	if (memory == MAP_FAILED)
		return;
	unmap(map);
	*map = (struct fuzz_map){ .memory = memory, .size = size, .private = file->private };
}

static void unmap_object(struct fuzz_worker *worker)
{
	struct fuzz_map *map = any_map(worker);

	/* A part of it first, now and then. */
	if (map->memory && map->size > 8192 && fuzz_one_in(&worker->random, 4)) {
		munmap(map->memory + map->size / 2 / 4096 * 4096,
		       map->size - map->size / 2 / 4096 * 4096);
		map->size = map->size / 2 / 4096 * 4096;
		return;
	}
	unmap(map);
}

/*
 * What is mapped reaches as far as the object, which is not known of a mapping
 * that was made wrong. The kernel tells without a signal.
 */
static bool is_there(const uint8_t *memory, size_t size)
{
	int pipes[2];
	bool there;

	if (pipe(pipes))
		return false;
	there = write(pipes[1], memory, 1) == 1 && write(pipes[1], memory + size - 1, 1) == 1;
	close(pipes[0]);
	close(pipes[1]);
	return there;
}

static void touch_map(struct fuzz_worker *worker)
{
	struct fuzz_map *map = any_map(worker);
	size_t offset, length;

	if (!map->memory)
		return;
	offset = fuzz_below(&worker->random, map->size);
	length = 1 + fuzz_below(&worker->random, map->size - offset);
	if (length > 16384)
		length = 16384;
	if (!is_there(map->memory + offset, length))
		return;
	if (fuzz_one_in(&worker->random, 2)) {
		memset(map->memory + offset, worker->tag, length);
		return;
	}
	if (map->private)
		fuzz_check_memory(worker, map->memory + offset, length, "a mapping");
	if (fuzz_one_in(&worker->random, 8))
		madvise(map->memory, map->size, MADV_DONTNEED);
}

static void context_create(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	_Atomic uint32_t *context = &file->context[fuzz_below(&worker->random, FUZZ_CONTEXTS)];
	struct drm_tandem_context_create args = { 0 };

	if (*context && !fuzz_one_in(&worker->random, 8))
		return;
	if (!fuzz_ioctl(worker, file, DRM_IOCTL_TANDEM_CONTEXT_CREATE, &args,
			(const int[]){ ENOSPC, 0 }))
		*context = args.context;
}

static void context_destroy(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	_Atomic uint32_t *context = &file->context[fuzz_below(&worker->random, FUZZ_CONTEXTS)];
	struct drm_tandem_context_destroy args = { .context = atomic_exchange(context, 0) };

	fuzz_ioctl(worker, file, DRM_IOCTL_TANDEM_CONTEXT_DESTROY, &args,
		   (const int[]){ ENOENT, EIO, 0 });
}

static void query(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct drm_tandem_context_query context = {
		.context = fuzz_any_context(worker, file),
	};
	struct drm_tandem_queue_query queue = {
		.queue = fuzz_any_queue(worker, file)->queue,
	};

	if (fuzz_one_in(&worker->random, 2))
		fuzz_ioctl(worker, file, DRM_IOCTL_TANDEM_CONTEXT_QUERY, &context,
			   (const int[]){ ENOENT, 0 });
	else
		fuzz_ioctl(worker, file, DRM_IOCTL_TANDEM_QUEUE_QUERY, &queue,
			   (const int[]){ ENOENT, 0 });
}

static void region_map(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct fuzz_object *object = fuzz_any_object(worker, file);
	struct fuzz_region *region = &file->region[fuzz_below(&worker->random, FUZZ_REGIONS)];
	uint32_t size = object->size, pages = size / 4096;
	struct drm_tandem_region_map args = {
		.context = fuzz_any_context(worker, file),
		.handle = object->handle,
		.flags = 1 + fuzz_below(&worker->random, 3),
	};

	if (fuzz_one_in(&worker->random, 2))
		args.flags = TANDEM_REGION_READ | TANDEM_REGION_WRITE;
	if (pages)
		args.offset = fuzz_below(&worker->random, pages) * 4096ull;
	args.length = size > args.offset ? size - args.offset : 4096;
	if (fuzz_ioctl(worker, file, DRM_IOCTL_TANDEM_REGION_MAP, &args,
		       (const int[]){ ENOENT, ENOSPC, EACCES, 0 }))
		return;
	region->region = args.region;
	region->size = args.length;
	region->context = args.context;
}

static void region_unmap(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct fuzz_region *region = fuzz_any_region(worker, file);
	struct drm_tandem_region_unmap args = {
		.region = region->region,
		.context = atomic_exchange(&region->context, 0),
	};

	fuzz_ioctl(worker, file, DRM_IOCTL_TANDEM_REGION_UNMAP, &args,
		   (const int[]){ ENOENT, EIO, 0 });
}

static void queue_create(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct fuzz_queue *queue = &file->queue[fuzz_below(&worker->random, FUZZ_QUEUES)];
	struct drm_tandem_queue_create args = {
		.context = fuzz_any_context(worker, file),
		.kind = fuzz_below(&worker->random, 2),
		.priority = fuzz_one_in(&worker->random, 3) ?
			    fuzz_below(&worker->random, 3) : 0,
	};

	if (queue->queue && !fuzz_one_in(&worker->random, 8))
		return;
	if (fuzz_ioctl(worker, file, DRM_IOCTL_TANDEM_QUEUE_CREATE, &args,
		       (const int[]){ ENOENT, ENOSPC, EACCES, 0 }))
		return;
	queue->context = args.context;
	queue->queue = args.queue;
}

static void queue_destroy(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct drm_tandem_queue_destroy args = {
		.queue = atomic_exchange(&fuzz_any_queue(worker, file)->queue, 0),
	};

	fuzz_ioctl(worker, file, DRM_IOCTL_TANDEM_QUEUE_DESTROY, &args,
		   (const int[]){ ENOENT, 0 });
}

/* A region of the queue's context, if that is found soon. */
static struct fuzz_region *region_of(struct fuzz_worker *worker, struct fuzz_file *file,
				     uint32_t context)
{
	struct fuzz_region *region;
	int tries = 6;

	do {
		region = fuzz_any_region(worker, file);
	} while (region->context != context && --tries);
	return region;
}

static uint64_t place_in(struct fuzz_worker *worker, uint32_t size)
{
	uint64_t offset = size ? fuzz_below(&worker->random, size) : 0;

	return fuzz_one_in(&worker->random, 2) ? offset & ~63ull : offset;
}

/* The half of the arena for files of this kind. */
static uint8_t *arena_of(struct fuzz_worker *worker, const struct fuzz_file *file)
{
	return worker->arena + (file->private ? 0 : FUZZ_ARENA);
}

/* Nowhere that a page of the fuzzer's own is. */
static uint64_t bad_address(struct fuzz_worker *worker)
{
	static const uint64_t addresses[] = {
		0, 1, 4096, 0xffff888000000000, 0xffffffff81000000, ~0ull, ~4095ull,
		0x7ffffffff000, 0x800000000000,
	};

	if (fuzz_one_in(&worker->random, 2))
		return (uintptr_t)worker->arena + 2 * FUZZ_ARENA;
	return addresses[fuzz_below(&worker->random, sizeof(addresses) / 8)];
}

static uint64_t user_address(struct fuzz_worker *worker, const struct fuzz_file *file,
			     uint64_t length)
{
	if (fuzz_one_in(&worker->random, 16))
		return bad_address(worker);
	if (length >= FUZZ_ARENA)
		length = FUZZ_ARENA - 1;
	return (uintptr_t)arena_of(worker, file) +
	       fuzz_below(&worker->random, FUZZ_ARENA - length);
}

/* Segments stay where they are until the worker's next list. */
static uint64_t segments(struct fuzz_worker *worker, struct fuzz_file *file, uint32_t context)
{
	static __thread struct tandem_segment list[SEGMENTS];
	struct fuzz_region *to, *from;
	int i;

	if (fuzz_one_in(&worker->random, 20))
		return bad_address(worker);
	for (i = 0; i < SEGMENTS; i++) {
		to = region_of(worker, file, context);
		from = region_of(worker, file, context);
		list[i] = (struct tandem_segment){
			.dst_region = to->region,
			.src_region = from->region,
			.dst_offset = place_in(worker, to->size / 2),
			.src_offset = place_in(worker, from->size / 2),
			.length = 1 + fuzz_below(&worker->random, 4096),
		};
		if (fuzz_one_in(&worker->random, 40))
			fuzz_mutate(&worker->random, &list[i], sizeof(list[i]));
	}
	return (uintptr_t)list;
}

/* Memory of the process on one side. */
static void use_user_memory(struct fuzz_worker *worker, struct fuzz_file *file,
			    struct tandem_uring_command *command, bool *into_arena)
{
	if (command->dst_region == TANDEM_REGION_USER) {
		command->dst_offset = user_address(worker, file, command->length);
		*into_arena = file->private;
	}
	if (command->src_region == TANDEM_REGION_USER)
		command->src_offset = user_address(worker, file, command->length);
}

static const uint32_t ops[] = {
	TANDEM_URING_NOP, TANDEM_URING_COPY, TANDEM_URING_COPY, TANDEM_URING_COPY,
	TANDEM_URING_FILL, TANDEM_URING_FILL, TANDEM_URING_COPY_LIST, TANDEM_URING_EXEC,
	TANDEM_URING_CANCEL,
};

static void fences(struct fuzz_worker *worker, struct fuzz_file *file,
		   struct tandem_uring_command *command)
{
	if (fuzz_one_in(&worker->random, 6)) {
		command->in_syncobj = fuzz_any_syncobj(worker, file);
		command->in_point = fuzz_below(&worker->random, 4);
	}
	if (fuzz_one_in(&worker->random, 4)) {
		command->out_syncobj = fuzz_any_syncobj(worker, file);
		command->out_point = fuzz_below(&worker->random, 6);
	}
}

uint32_t fuzz_command(struct fuzz_worker *worker, struct fuzz_file *file,
		      struct tandem_uring_command *command, bool *into_arena)
{
	uint32_t op = ops[fuzz_below(&worker->random, sizeof(ops) / sizeof(ops[0]))];
	struct fuzz_queue *queue = fuzz_any_queue(worker, file);
	struct fuzz_region *to = region_of(worker, file, queue->context);
	struct fuzz_region *from = region_of(worker, file, queue->context);
	uint32_t most = to->size < from->size ? to->size : from->size;

	*into_arena = false;
	*command = (struct tandem_uring_command){
		.queue = queue->queue,
		.cookie = fuzz_below(&worker->random, 4),
	};
	if (op != TANDEM_URING_CANCEL) {
		command->flags = TANDEM_COMMAND_REPORT(fuzz_below(&worker->random, 4));
		fences(worker, file, command);
	}
	switch (op) {
	case TANDEM_URING_COPY:
		command->dst_region = to->region;
		command->src_region = from->region;
		command->length = 1 + (most ? fuzz_below(&worker->random, most) : 0);
		command->dst_offset = place_in(worker, to->size - command->length + 1);
		command->src_offset = place_in(worker, from->size - command->length + 1);
		if (fuzz_one_in(&worker->random, 2))
			command->dst_region = TANDEM_REGION_USER;
		else if (fuzz_one_in(&worker->random, 2))
			command->src_region = TANDEM_REGION_USER;
		break;
	case TANDEM_URING_FILL:
		command->dst_region = to->region;
		command->dst_offset = place_in(worker, to->size) & ~3ull;
		command->length = (to->size - command->dst_offset) & ~3ull;
		command->src_offset = worker->tag * 0x01010101u;
		break;
	case TANDEM_URING_COPY_LIST:
		command->dst_offset = sizeof(struct tandem_segment);
		command->src_offset = segments(worker, file, queue->context);
		command->length = 1 + fuzz_below(&worker->random, SEGMENTS);
		break;
	case TANDEM_URING_EXEC:
		command->src_region = from->region;
		command->length = from->size;
		break;
	default:
		break;
	}
	if (fuzz_one_in(&worker->random, 10)) {
		uint64_t pattern = command->src_offset;

		fuzz_mutate(&worker->random, command, sizeof(*command));
		/* Lists are read, and patterns written, as they are meant. */
		if (op == TANDEM_URING_FILL || op == TANDEM_URING_COPY_LIST)
			command->src_offset = pattern;
		if (op == TANDEM_URING_COPY_LIST && command->length > SEGMENTS)
			command->length = fuzz_one_in(&worker->random, 4) ?
					  command->length | 1 << 20 : SEGMENTS;
	}
	if (op == TANDEM_URING_COPY)
		use_user_memory(worker, file, command, into_arena);
	return op;
}

static void submit(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct tandem_submit_command commands[SUBMIT_MAX] = { 0 };
	struct drm_tandem_submit args = {
		.commands = (uintptr_t)commands,
		.count = 1 + fuzz_below(&worker->random, SUBMIT_MAX),
		.stride = sizeof(commands[0]),
		.flags = fuzz_one_in(&worker->random, 3) ? 0 : TANDEM_SUBMIT_WAIT,
	};
	bool into_arena = false, one;
	uint32_t i;

	for (i = 0; i < SUBMIT_MAX; i++) {
		commands[i].op = fuzz_command(worker, file, &commands[i].command, &one);
		into_arena |= one;
	}
	if (args.flags && fuzz_one_in(&worker->random, 2))
		args.deadline_ns = now_ns() + fuzz_below(&worker->random, 20000000);
	if (fuzz_one_in(&worker->random, 8)) {
		fuzz_mutate(&worker->random, &args, sizeof(args));
		/* Results go where there is room for them, or nowhere. */
		args.commands = (uintptr_t)commands;
		if (args.count > SUBMIT_MAX || (uint64_t)args.count * args.stride >
					       sizeof(commands))
			args.commands = bad_address(worker);
	}
	if (ioctl(file->fd, DRM_IOCTL_TANDEM_SUBMIT, &args))
		fuzz_note(worker, "  submit %u: %d", args.count, -errno);
	/* Without waiting, the arena may be written later: not a false alarm. */
	if (into_arena)
		fuzz_check_memory(worker, worker->arena, FUZZ_ARENA, "an arena");
}

const struct fuzz_op fuzz_file_ops[] = {
	{ "open", 30, open_file },
	{ "close", 4, close_file },
	{ "dup", 2, dup_file },
	{ "param", 5, get_param },
	{ "gem-create", 30, gem_create },
	{ "gem-close", 12, gem_close },
	{ "map", 20, map_object },
	{ "unmap", 12, unmap_object },
	{ "touch", 40, touch_map },
	{ "context-create", 20, context_create },
	{ "context-destroy", 4, context_destroy },
	{ "query", 6, query },
	{ "region-map", 40, region_map },
	{ "region-unmap", 12, region_unmap },
	{ "queue-create", 20, queue_create },
	{ "queue-destroy", 5, queue_destroy },
	{ "submit", 30, submit },
	{ 0 },
};
