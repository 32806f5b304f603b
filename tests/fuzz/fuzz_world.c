// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz_ops.h"
#include "fuzz_world.h"

/* Room behind an arena that nothing is mapped in: more than a command takes. */
#define GUARD	(2ull << 30)
/* From here on. */
#define PRIVATE_FD	600

void fuzz_fail(struct fuzz_worker *worker, const char *format, ...)
{
	struct fuzz_shared *shared = worker->shared;
	va_list arguments;

	if (!atomic_exchange(&shared->failed, true)) {
		va_start(arguments, format);
		vsnprintf(shared->failure, sizeof(shared->failure), format, arguments);
		va_end(arguments);
	}
	fuzz_note(worker, "failed");
	if (worker->trace)
		fflush(worker->trace);
	atomic_store(&shared->stop, true);
}

void fuzz_note(struct fuzz_worker *worker, const char *format, ...)
{
	struct fuzz_notes *notes = &worker->shared->notes[worker->number];
	uint64_t number = atomic_fetch_add(&notes->count, 1);
	char *text = notes->text[number % FUZZ_NOTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, FUZZ_NOTE_BYTES, format, arguments);
	va_end(arguments);
	if (worker->trace)
		fprintf(worker->trace, "%s\n", text);
}

/* What any call may fail with (no signals are sent but SIGKILL); files that others close may be anything by then. */
static bool is_usual(int error, bool private)
{
	switch (error) {
	case EINVAL:
	case EFAULT:
	case ENODEV:
	case ENOMEM:
		return true;
	case EBADF:
	case ENOTTY:
	case EACCES:
	case EPERM:
		return !private;
	default:
		return false;
	}
}

void fuzz_told(struct fuzz_worker *worker, enum fuzz_call call, int result)
{
	fuzz_count(worker->shared->counts, call, result >= 0);
	fuzz_note(worker, "  %s: %d", fuzz_call_name(call), result);
}

int fuzz_ioctl(struct fuzz_worker *worker, struct fuzz_file *file, enum fuzz_call call,
	       void *arguments, const int *errors)
{
	if (fuzz_one_in(&worker->random, 12))
		fuzz_mutate(&worker->random, arguments, _IOC_SIZE(fuzz_call_request(call)));
	return fuzz_ioctl_unchanged(worker, file, call, arguments, errors);
}

int fuzz_ioctl_unchanged(struct fuzz_worker *worker, struct fuzz_file *file,
			 enum fuzz_call call, void *arguments, const int *errors)
{
	int ret = ioctl(file->fd, fuzz_call_request(call), arguments) < 0 ? -errno : 0;

	fuzz_told(worker, call, ret);
	if (ret == -ENODEV)
		file->gone = true;
	if (!ret || is_usual(-ret, file->private))
		return ret;
	/* The last close of the fd that it had before came in between. */
	if (ret == -EBADF && file->fd < 0)
		return ret;
	for (; *errors; errors++)
		if (-ret == *errors)
			return ret;
	fuzz_fail(worker, "%s failed with errno %d", fuzz_call_name(call), -ret);
	return ret;
}

void fuzz_check_memory(struct fuzz_worker *worker, const uint8_t *memory, size_t size,
		       const char *what)
{
	const uint64_t tags = worker->tag * 0x0101010101010101ull;
	uint64_t word = 0;
	uint8_t byte;
	size_t i;

	for (i = 0; i < size; i++) {
		/* Eight at a time, of which most are alike. */
		while (i + 8 <= size) {
			memcpy(&word, memory + i, 8);
			if (word && word != tags)
				break;
			i += 8;
		}
		if (i == size)
			return;
		byte = ((const volatile uint8_t *)memory)[i];
		if (!byte || byte == worker->tag)
			continue;
		fuzz_fail(worker, "%s of tag %#x: byte %#x at %zu is another's", what,
			  worker->tag, byte, i);
		return;
	}
}

static struct fuzz_file *pick_file(struct fuzz_worker *worker)
{
	uint32_t number = fuzz_below(&worker->random, FUZZ_SHARED_FILES +
						      2 * FUZZ_PRIVATE_FILES);

	if (number < FUZZ_SHARED_FILES)
		return &worker->process->file[number];
	return &worker->file[(number - FUZZ_SHARED_FILES) % FUZZ_PRIVATE_FILES];
}

struct fuzz_file *fuzz_any_file(struct fuzz_worker *worker)
{
	struct fuzz_file *file = pick_file(worker);
	int tries = 4;

	/* One that is closed, or whose device has gone, is a case, too. */
	while ((file->fd < 0 || file->gone) && !fuzz_one_in(&worker->random, 16) && --tries)
		file = pick_file(worker);
	return file;
}

/* The first that is suitable, from anywhere on; now and then the very first. */
#define ANY(worker, array, is_suitable)							\
	({										\
		const uint32_t length = sizeof(array) / sizeof((array)[0]);		\
		uint32_t at = fuzz_below(&(worker)->random, length), left = length;	\
		bool whatever = fuzz_one_in(&(worker)->random, 40);			\
		typeof(&(array)[0]) found = &(array)[at];				\
											\
		while (!whatever && !(is_suitable) && --left)				\
			found = &(array)[++at % length];				\
		found;									\
	})

struct fuzz_object *fuzz_any_object(struct fuzz_worker *worker, struct fuzz_file *file)
{
	return ANY(worker, file->object, found->handle);
}

struct fuzz_region *fuzz_any_region(struct fuzz_worker *worker, struct fuzz_file *file)
{
	return ANY(worker, file->region, found->context);
}

struct fuzz_region *fuzz_any_region_of(struct fuzz_worker *worker, struct fuzz_file *file,
				       uint32_t context, uint32_t flags)
{
	return ANY(worker, file->region,
		   found->context == context && (found->flags & flags) == flags);
}

struct fuzz_queue *fuzz_any_queue(struct fuzz_worker *worker, struct fuzz_file *file)
{
	return ANY(worker, file->queue, found->queue);
}

_Atomic uint32_t *fuzz_any_context(struct fuzz_worker *worker, struct fuzz_file *file)
{
	return ANY(worker, file->context, *found);
}

struct fuzz_syncobj *fuzz_any_syncobj(struct fuzz_worker *worker, struct fuzz_file *file)
{
	return ANY(worker, file->syncobj, found->handle);
}

struct fuzz_syncobj *fuzz_any_fence(struct fuzz_worker *worker, struct fuzz_file *file)
{
	return ANY(worker, file->syncobj, found->handle && found->has_fence);
}

void fuzz_context_forget(struct fuzz_file *file, uint32_t context)
{
	int i;

	for (i = 0; i < FUZZ_REGIONS; i++) {
		if (file->region[i].context == context)
			file->region[i].context = 0;
	}
	for (i = 0; i < FUZZ_QUEUES; i++) {
		if (file->queue[i].context == context)
			file->queue[i].queue = 0;
	}
	if (file->program.context == context)
		file->program.context = 0;
}

void fuzz_file_forget(struct fuzz_file *file)
{
	bool private = file->private;
	int fd = file->fd;

	memset(file, 0, sizeof(*file));
	file->private = private;
	file->fd = fd;
}

int fuzz_dup_apart(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, PRIVATE_FD);
}

int fuzz_set_apart(int fd)
{
	int apart = fuzz_dup_apart(fd);

	close(fd);
	return apart;
}

void fuzz_file_open(struct fuzz_worker *worker, struct fuzz_file *file)
{
	/* More often the one that does right, on which nobody has to wait for long. */
	uint32_t device = fuzz_one_in(&worker->random, 3);
	int node = worker->shared->node[device], fd, none = -1;
	bool wrong = device && node >= 0;
	char path[32];

	if (node < 0)
		node = worker->shared->node[0];
	snprintf(path, sizeof(path), "/dev/accel/accel%d", node);
	fd = open(path, O_RDWR | O_CLOEXEC);
	fuzz_told(worker, FUZZ_OPEN, fd < 0 ? -errno : 0);
	if (fd >= 0 && file->private)
		fd = fuzz_set_apart(fd);
	if (fd < 0)
		return;
	fuzz_file_forget(file);
	file->wrong = wrong;
	if (!atomic_compare_exchange_strong(&file->fd, &none, fd))
		close(fd);
}

void fuzz_file_close(struct fuzz_worker *worker, struct fuzz_file *file)
{
	int fd;

	/*
	 * Submissions that wait for others look their file up late, by a number
	 * that may be another file's by then: not with what is the worker's own.
	 */
	if (file->private)
		fuzz_rings_settle(worker);
	fd = atomic_exchange(&file->fd, -1);
	if (fd < 0)
		return;
	fuzz_file_forget(file);
	close(fd);
}

void fuzz_files_keep(struct fuzz_worker *worker)
{
	struct fuzz_file *file = pick_file(worker);

	if (file->gone && fuzz_one_in(&worker->random, 8))
		fuzz_file_close(worker, file);
	if (file->fd < 0 && !fuzz_one_in(&worker->random, 4))
		fuzz_file_open(worker, file);
}

void fuzz_process_begin(struct fuzz_process *process)
{
	int i;

	memset(process, 0, sizeof(*process));
	for (i = 0; i < FUZZ_SHARED_FILES; i++)
		process->file[i].fd = -1;
	for (i = 0; i < FUZZ_DMABUFS; i++)
		process->dmabuf[i] = -1;
}

static uint8_t *make_arena(uint8_t tag)
{
	uint8_t *arena = mmap(NULL, FUZZ_ARENA + GUARD, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (arena == MAP_FAILED)
		return NULL;
	if (mprotect(arena, FUZZ_ARENA, PROT_READ | PROT_WRITE)) {
		munmap(arena, FUZZ_ARENA + GUARD);
		return NULL;
	}
	memset(arena, tag, FUZZ_ARENA);
	return arena;
}

static void free_arena(uint8_t *arena)
{
	if (arena)
		munmap(arena, FUZZ_ARENA + GUARD);
}

void fuzz_worker_begin(struct fuzz_worker *worker)
{
	int i;

	for (i = 0; i < FUZZ_PRIVATE_FILES; i++) {
		worker->file[i].fd = -1;
		worker->file[i].private = true;
	}
	worker->serial = 1;
	worker->arena = make_arena(worker->tag);
	worker->shared_arena = make_arena(worker->tag);
	if (!worker->arena || !worker->shared_arena)
		fuzz_fail(worker, "no address space for an arena");
}

void fuzz_worker_end(struct fuzz_worker *worker)
{
	int i;

	fuzz_rings_settle(worker);
	for (i = 0; i < FUZZ_RINGS; i++) {
		if (worker->ring[i].up)
			fuzz_ring_exit(worker, &worker->ring[i]);
	}
	for (i = 0; i < FUZZ_MAPS; i++) {
		if (worker->map[i].memory)
			munmap(worker->map[i].memory, worker->map[i].size);
	}
	for (i = 0; i < FUZZ_PRIVATE_FILES; i++) {
		if (worker->file[i].fd >= 0)
			close(worker->file[i].fd);
	}
	free_arena(worker->shared_arena);
	free_arena(worker->arena);
}
