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

static void close_file(struct fuzz_worker *worker)
{
	fuzz_file_close(worker, fuzz_any_file(worker));
}

static void dup_file(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	int fd, old;

	/* As before a close. */
	if (file->private)
		fuzz_rings_settle(worker);
	/* With all that is in it, it is at no number of the others', not for a moment. */
	fd = file->private ? fuzz_dup_apart(file->fd) : dup(file->fd);
	if (fd < 0)
		return;
	old = atomic_exchange(&file->fd, fd);
	if (old >= 0)
		close(old);
}

static void get_param(struct fuzz_worker *worker)
{
	struct drm_tandem_get_param args = {
		.param = fuzz_below(&worker->random, TANDEM_PARAM_RESETS + 1),
	};

	if (args.param == TANDEM_PARAM_PROFILE_NAME ||
	    (args.param >= TANDEM_PARAM_MEMORY_CLASS_KIND &&
	     args.param <= TANDEM_PARAM_MEMORY_CLASS_BANDWIDTH))
		args.index = fuzz_below(&worker->random, 3);
	fuzz_ioctl(worker, fuzz_any_file(worker), FUZZ_GET_PARAM, &args, (const int[]){ 0 });
}

static void make_object(struct fuzz_worker *worker, struct fuzz_file *file)
{
	struct fuzz_object *object = &file->object[fuzz_below(&worker->random, FUZZ_OBJECTS)];
	struct drm_tandem_gem_create args = {
		.size = 1 + fuzz_below(&worker->random, FUZZ_OBJECT_MAX),
	};

	/* One that is there already stays until it is closed: files have limits. */
	if (object->handle && !fuzz_one_in(&worker->random, 8))
		return;
	if (fuzz_one_in(&worker->random, 6))
		args.flags = TANDEM_GEM_CLASS(fuzz_below(&worker->random, 2));
	if (fuzz_one_in(&worker->random, 64))
		args.size = fuzz_odd_number(&worker->random, args.size);
	if (fuzz_ioctl(worker, file, FUZZ_GEM_CREATE, &args,
		       (const int[]){ ENOSPC, EDQUOT, E2BIG, 0 }))
		return;
	object->size = args.size;
	object->handle = args.handle;
}

static void gem_create(struct fuzz_worker *worker)
{
	make_object(worker, fuzz_any_file(worker));
}

static bool is_in_arena(const uint8_t *arena, const struct drm_tandem_gem_register *args)
{
	return args->address >= (uintptr_t)arena && args->size <= FUZZ_ARENA &&
	       args->address - (uintptr_t)arena <= FUZZ_ARENA - args->size;
}

/* A part of the arena; the device could make anything of other memory of the fuzzer's. */
static void gem_register(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct fuzz_object *object = &file->object[fuzz_below(&worker->random, FUZZ_OBJECTS)];
	uint32_t first = fuzz_below(&worker->random, FUZZ_ARENA / 4096);
	uint8_t *arena = fuzz_arena_of(worker, file);
	struct drm_tandem_gem_register args = {
		.address = (uintptr_t)arena + 4096ull * first,
		.size = 4096ull * (1 + fuzz_below(&worker->random, FUZZ_ARENA / 4096 - first)),
		.flags = fuzz_one_in(&worker->random, 4) ? TANDEM_REGISTER_READ_ONLY : 0,
	};

	if (object->handle && !fuzz_one_in(&worker->random, 8))
		return;
	/*
	 * A device that says of a command too early that it has ended can write to where
	 * its memory was when another's is there, which would be no fault of the driver's.
	 */
	if (file->private && file->wrong)
		return;
	if (fuzz_one_in(&worker->random, 12))
		fuzz_mutate(&worker->random, &args, sizeof(args));
	if (!is_in_arena(arena, &args))
		args.address = fuzz_bad_address(worker);
	if (fuzz_ioctl_unchanged(worker, file, FUZZ_GEM_REGISTER, &args, (const int[]){ 0 }))
		return;
	object->size = args.size;
	object->handle = args.handle;
}

static void gem_close(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct drm_gem_close args = { .handle = fuzz_any_object(worker, file)->handle };
	int i;

	/* An object that was imported twice has one handle. */
	for (i = 0; i < FUZZ_OBJECTS; i++) {
		if (file->object[i].handle == args.handle)
			file->object[i].handle = 0;
	}
	fuzz_ioctl(worker, file, FUZZ_GEM_CLOSE, &args, (const int[]){ 0 });
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
	int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED, ret;
	void *memory;

	ret = fuzz_ioctl(worker, file, FUZZ_GEM_MMAP_OFFSET, &args,
			 (const int[]){ ENOENT, EOPNOTSUPP, 0 });
	if (ret == -ENOENT)
		object->handle = 0;
	if (ret)
		return;
	if (fuzz_one_in(&worker->random, 16))
		size += 4096;
	if (fuzz_one_in(&worker->random, 16))
		flags = MAP_PRIVATE;
	if (fuzz_one_in(&worker->random, 16))
		args.offset = fuzz_odd_number(&worker->random, args.offset) & ~4095ull;
	/* Only while it is the object that was asked for that the tag is sure. */
	memory = mmap(NULL, size, prot, flags, file->fd, args.offset);
	fuzz_told(worker, FUZZ_MMAP, memory == MAP_FAILED ? -errno : 0);
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
	if (map->private) {
		fuzz_note(worker, "  %zu bytes at %zu of %zu", length, offset, map->size);
		fuzz_check_memory(worker, map->memory + offset, length, "a mapping");
	}
	if (fuzz_one_in(&worker->random, 8))
		madvise(map->memory, map->size, MADV_DONTNEED);
}

/* It is not there any more: a child of fork() may have destroyed it. */
static void forget_context(struct fuzz_file *file, uint32_t context)
{
	int i;

	for (i = 0; i < FUZZ_CONTEXTS; i++) {
		if (file->context[i] == context)
			file->context[i] = 0;
	}
	fuzz_context_forget(file, context);
}

static void make_context(struct fuzz_worker *worker, struct fuzz_file *file)
{
	_Atomic uint32_t *context = &file->context[fuzz_below(&worker->random, FUZZ_CONTEXTS)];
	struct drm_tandem_context_create args = { 0 };

	if (*context && !fuzz_one_in(&worker->random, 8))
		return;
	if (!fuzz_ioctl(worker, file, FUZZ_CONTEXT_CREATE, &args, (const int[]){ ENOSPC, 0 }))
		*context = args.context;
}

static void context_create(struct fuzz_worker *worker)
{
	make_context(worker, fuzz_any_file(worker));
}

static void destroy_context(struct fuzz_worker *worker, struct fuzz_file *file,
			    _Atomic uint32_t *context)
{
	struct drm_tandem_context_destroy args = { .context = atomic_exchange(context, 0) };

	fuzz_context_forget(file, args.context);
	fuzz_ioctl(worker, file, FUZZ_CONTEXT_DESTROY, &args, (const int[]){ ENOENT, EIO, 0 });
}

static void context_destroy(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);

	destroy_context(worker, file, fuzz_any_context(worker, file));
}

/* One that is banned is of no more use. */
static void context_query(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	_Atomic uint32_t *context = fuzz_any_context(worker, file);
	struct drm_tandem_context_query args = { .context = *context };

	if (!fuzz_ioctl(worker, file, FUZZ_CONTEXT_QUERY, &args, (const int[]){ ENOENT, 0 }) &&
	    args.flags & TANDEM_CONTEXT_BANNED)
		destroy_context(worker, file, context);
}

static void queue_query(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct fuzz_queue *queue = fuzz_any_queue(worker, file);
	struct drm_tandem_queue_query args = { .queue = queue->queue };

	if (fuzz_ioctl(worker, file, FUZZ_QUEUE_QUERY, &args, (const int[]){ ENOENT, 0 }) ==
	    -ENOENT)
		queue->queue = 0;
}

static void make_region(struct fuzz_worker *worker, struct fuzz_file *file, uint32_t context)
{
	struct fuzz_object *object = fuzz_any_object(worker, file);
	struct fuzz_region *region = &file->region[fuzz_below(&worker->random, FUZZ_REGIONS)];
	uint32_t size = object->size, pages = size / 4096;
	struct drm_tandem_region_map args = {
		.context = context,
		.handle = object->handle,
		.flags = TANDEM_REGION_READ | TANDEM_REGION_WRITE,
	};
	int ret;

	if (region->context && !fuzz_one_in(&worker->random, 4))
		return;
	if (fuzz_one_in(&worker->random, 4))
		args.flags = 1 + fuzz_below(&worker->random, 2);
	if (pages)
		args.offset = fuzz_below(&worker->random, pages) * 4096ull;
	args.length = size > args.offset ? size - args.offset : 4096;
	ret = fuzz_ioctl(worker, file, FUZZ_REGION_MAP, &args,
			 (const int[]){ ENOENT, ENOSPC, EACCES, 0 });
	if (ret == -ENOENT)
		object->handle = 0;
	if (ret)
		return;
	region->region = args.region;
	region->size = args.length;
	region->flags = args.flags;
	region->context = args.context;
}

static void region_map(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);

	make_region(worker, file, *fuzz_any_context(worker, file));
}

static void region_unmap(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct fuzz_region *region = fuzz_any_region(worker, file);
	struct drm_tandem_region_unmap args = {
		.region = region->region,
		.context = atomic_exchange(&region->context, 0),
	};

	fuzz_ioctl(worker, file, FUZZ_REGION_UNMAP, &args, (const int[]){ ENOENT, EIO, 0 });
}

static void make_queue(struct fuzz_worker *worker, struct fuzz_file *file, uint32_t context)
{
	struct fuzz_queue *queue = &file->queue[fuzz_below(&worker->random, FUZZ_QUEUES)];
	struct drm_tandem_queue_create args = {
		.context = context,
		.kind = fuzz_below(&worker->random, 2),
		.priority = fuzz_one_in(&worker->random, 3) ?
			    fuzz_below(&worker->random, 3) : 0,
	};
	int ret;

	if (queue->queue && !fuzz_one_in(&worker->random, 8))
		return;
	ret = fuzz_ioctl(worker, file, FUZZ_QUEUE_CREATE, &args,
			 (const int[]){ ENOENT, ENOSPC, EACCES, 0 });
	if (ret == -ENOENT && args.context == context)
		forget_context(file, context);
	if (ret)
		return;
	queue->context = args.context;
	queue->kind = args.kind;
	queue->queue = args.queue;
}

static void queue_create(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);

	make_queue(worker, file, *fuzz_any_context(worker, file));
}

static void queue_destroy(struct fuzz_worker *worker)
{
	struct fuzz_file *file = fuzz_any_file(worker);
	struct drm_tandem_queue_destroy args = {
		.queue = atomic_exchange(&fuzz_any_queue(worker, file)->queue, 0),
	};

	fuzz_ioctl(worker, file, FUZZ_QUEUE_DESTROY, &args, (const int[]){ ENOENT, 0 });
}

static uint32_t count_queues(const struct fuzz_file *file, uint32_t context)
{
	uint32_t count = 0, i;

	for (i = 0; i < FUZZ_QUEUES; i++)
		count += file->queue[i].queue && file->queue[i].context == context;
	return count;
}

static uint32_t count_regions(const struct fuzz_file *file, uint32_t context)
{
	uint32_t count = 0, i;

	for (i = 0; i < FUZZ_REGIONS; i++)
		count += file->region[i].context == context;
	return count;
}

static uint32_t count_objects(const struct fuzz_file *file)
{
	uint32_t count = 0, i;

	for (i = 0; i < FUZZ_OBJECTS; i++)
		count += !!file->object[i].handle;
	return count;
}

void fuzz_furnish(struct fuzz_worker *worker, struct fuzz_file *file)
{
	uint32_t context = *fuzz_any_context(worker, file);

	if (file->fd < 0 || file->gone)
		return;
	if (!context)
		make_context(worker, file);
	else if (count_objects(file) < 2)
		make_object(worker, file);
	else if (!count_queues(file, context))
		make_queue(worker, file, context);
	else if (count_regions(file, context) < 3)
		make_region(worker, file, context);
	else if (!file->private && !file->program.context)
		fuzz_program_make(worker, file);
}

/* Commands by ioctl are counted by how they are submitted. */
static enum fuzz_call kind_of_submit(const struct drm_tandem_submit *args, uint32_t op)
{
	if (op == TANDEM_URING_CANCEL)
		return FUZZ_SUBMIT_CANCEL;
	return args->flags ? FUZZ_SUBMIT_WAIT : FUZZ_SUBMIT;
}

/* At once: it may still be there. */
static void cancel_submitted(struct fuzz_worker *worker, struct fuzz_file *file,
			     const struct tandem_uring_command *command)
{
	struct tandem_submit_command cancel = {
		.op = TANDEM_URING_CANCEL,
		.command = { .queue = command->queue, .cookie = command->cookie },
	};
	struct drm_tandem_submit args = {
		.commands = (uintptr_t)&cancel,
		.count = 1,
		.stride = sizeof(cancel),
	};

	fuzz_told(worker, FUZZ_SUBMIT_CANCEL,
		  ioctl(file->fd, DRM_IOCTL_TANDEM_SUBMIT, &args) ? -errno : 0);
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
	struct fuzz_command made;
	bool into_arena = false;
	uint32_t i;
	int ret;

	for (i = 0; i < SUBMIT_MAX; i++) {
		do {
			fuzz_command(worker, file, &made);
		} while (i && made.op == TANDEM_URING_CANCEL);
		commands[i].op = made.op;
		commands[i].command = made.command;
		into_arena |= made.into_arena;
	}
	if (commands[0].op == TANDEM_URING_CANCEL && !fuzz_one_in(&worker->random, 8))
		args.count = 1;
	if (args.flags && fuzz_one_in(&worker->random, 2))
		args.deadline_ns = now_ns() + fuzz_below(&worker->random, 20000000);
	if (fuzz_one_in(&worker->random, 10)) {
		fuzz_mutate(&worker->random, &args, sizeof(args));
		/*
		 * Results go where there is room for them, or nowhere; and what
		 * lies between two commands is not read as one: a FILL could
		 * have an address for its pattern, which is nobody's tag.
		 */
		args.commands = (uintptr_t)commands;
		if (args.count > SUBMIT_MAX || args.stride != sizeof(commands[0]))
			args.commands = fuzz_bad_address(worker);
	}
	ret = ioctl(file->fd, DRM_IOCTL_TANDEM_SUBMIT, &args) ? -errno : 0;
	fuzz_told(worker, kind_of_submit(&args, commands[0].op), ret);
	/* What io_uring has to finish in this thread is none. */
	if (ret == -EINTR)
		fuzz_fail(worker, "SUBMIT was interrupted by a signal that nobody has sent");
	if (ret == -ENODEV)
		file->gone = true;
	if (!ret && !args.flags && fuzz_one_in(&worker->random, 2))
		cancel_submitted(worker, file, &commands[args.count - 1].command);
	/* Without waiting, the arena may be written later: not a false alarm. */
	if (into_arena)
		fuzz_check_memory(worker, worker->arena, FUZZ_ARENA, "an arena");
}

static void furnish(struct fuzz_worker *worker)
{
	fuzz_furnish(worker, fuzz_any_file(worker));
}

const struct fuzz_op fuzz_file_ops[] = {
	{ "open", 4, open_file },
	{ "close", 3, close_file },
	{ "dup", 2, dup_file },
	{ "param", 5, get_param },
	{ "furnish", 60, furnish },
	{ "gem-create", 16, gem_create },
	{ "gem-register", 10, gem_register },
	{ "gem-close", 12, gem_close },
	{ "map", 20, map_object },
	{ "unmap", 12, unmap_object },
	{ "touch", 40, touch_map },
	{ "context-create", 6, context_create },
	{ "context-destroy", 3, context_destroy },
	{ "context-query", 8, context_query },
	{ "region-map", 16, region_map },
	{ "region-unmap", 10, region_unmap },
	{ "queue-create", 8, queue_create },
	{ "queue-destroy", 4, queue_destroy },
	{ "queue-query", 8, queue_query },
	{ "submit", 40, submit },
	{ 0 },
};
