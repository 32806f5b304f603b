// SPDX-License-Identifier: MIT
/*
 * Device memory to and from files.
 *
 * A transfer is cut into slices, of which some are under way at a time. Each
 * goes by the descriptor that bypasses the page cache if it is aligned as that
 * wants, else by the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tandem/file.h>

#include "device.h"
#include "error.h"
#include "loop.h"

#define TIMEOUT_DEFAULT_MS	30000
/* Found best on NVMe and virtio disks: longer ones gain nothing, shorter cost. */
#define SLICE_BYTES		(1ull << 20)
#define SLICES			32u
/* What file systems want that do not say; a page satisfies all that are known. */
#define ALIGNMENT_DEFAULT	4096ull

/**
 * struct tandem_file - an open file
 * @loop: where everything of it happens
 * @buffered: descriptor that uses the page cache
 * @direct: descriptor that does not, or -1
 * @alignment: that @direct wants
 * @writable: opened for that
 * @timeout_ms: for each operation
 * @direct_bytes: see &struct tandem_file_info
 * @buffered_bytes: likewise
 *
 * Belongs to the loop's thread; no lock.
 */
struct tandem_file {
	struct tandem_loop *loop;
	int buffered;
	int direct;
	uint64_t alignment;
	bool writable;
	unsigned int timeout_ms;
	uint64_t direct_bytes;
	uint64_t buffered_bytes;
};

struct file_transfer;

/**
 * struct file_slice - a request that is under way, or a place for one
 * @event: of the request
 * @transfer: whose it is
 * @memory: where in this process
 * @offset: in the file
 * @length: bytes that are left of it; 0 for none under way
 * @direct: bypasses the page cache
 */
struct file_slice {
	struct loop_event event;
	struct file_transfer *transfer;
	uint8_t *memory;
	uint64_t offset;
	uint64_t length;
	bool direct;
};

/**
 * struct file_transfer - a read, a write or a sync
 * @file: of which file
 * @op: the application's
 * @timer: for the deadline
 * @memory: where the memory is mapped
 * @writes: it is a write
 * @result: the first error, or 0
 * @pending: slices under way
 * @slices: see there
 * @run: index of the piece to go on with
 * @run_done: bytes of it that have been started
 * @run_count: entries of @runs
 * @runs: what to do, neighbours put together
 */
struct file_transfer {
	struct tandem_file *file;
	struct tandem_operation *op;
	struct loop_timer *timer;
	uint8_t *memory;
	bool writes;
	int result;
	unsigned int pending;
	struct file_slice slices[SLICES];
	size_t run;
	uint64_t run_done;
	size_t run_count;
	struct tandem_file_segment runs[];
};

/*
 * Slices
 */

static bool is_aligned(const struct tandem_file *file, const struct file_slice *slice)
{
	uint64_t bits = (uintptr_t)slice->memory | slice->offset | slice->length;

	return file->direct >= 0 && !(bits & (file->alignment - 1));
}

static int slice_start(struct file_slice *slice)
{
	struct file_transfer *transfer = slice->transfer;
	struct tandem_file *file = transfer->file;
	struct io_uring_sqe *sqe = loop_sqe(file->loop);
	int fd = slice->direct ? file->direct : file->buffered;

	if (!sqe)
		return -ENOMEM;
	if (transfer->writes)
		io_uring_prep_write(sqe, fd, slice->memory, slice->length, slice->offset);
	else
		io_uring_prep_read(sqe, fd, slice->memory, slice->length, slice->offset);
	io_uring_sqe_set_data(sqe, &slice->event);
	transfer->pending++;
	return 0;
}

static bool transfer_has_more(const struct file_transfer *transfer)
{
	return !transfer->result && transfer->run < transfer->run_count;
}

/* The next slice of the transfer, not started yet. */
static void slice_cut(struct file_transfer *transfer, struct file_slice *slice)
{
	const struct tandem_file_segment *run = &transfer->runs[transfer->run];
	uint64_t left = run->length - transfer->run_done;

	slice->transfer = transfer;
	slice->memory = transfer->memory + run->memory_offset + transfer->run_done;
	slice->offset = run->file_offset + transfer->run_done;
	slice->length = left < SLICE_BYTES ? left : SLICE_BYTES;
	slice->direct = is_aligned(transfer->file, slice);
}

static void transfer_advance(struct file_transfer *transfer, uint64_t length)
{
	transfer->run_done += length;
	if (transfer->run_done == transfer->runs[transfer->run].length) {
		transfer->run++;
		transfer->run_done = 0;
	}
}

/* Start what there are places for. */
static void transfer_fill(struct file_transfer *transfer)
{
	struct file_slice *slice;
	unsigned int i;

	for (i = 0; i < SLICES && transfer_has_more(transfer); i++) {
		slice = &transfer->slices[i];
		if (slice->length)
			continue;
		slice_cut(transfer, slice);
		if (slice_start(slice) < 0) {
			slice->length = 0;
			/* One that is under way tries again with its end. */
			if (!transfer->pending)
				transfer->result = -ENOMEM;
			return;
		}
		transfer_advance(transfer, slice->length);
	}
}

static void transfer_end_if_done(struct file_transfer *transfer)
{
	struct tandem_operation *op = transfer->op;
	int result = transfer->result;

	if (transfer->pending || transfer_has_more(transfer))
		return;
	loop_timer_stop(transfer->timer);
	free(transfer);
	operation_complete(op, result);
}

/* Take in what a request did. Return: 0 when the slice is done, 1 when not, or an error. */
static int slice_take(struct file_slice *slice, int result)
{
	struct file_transfer *transfer = slice->transfer;
	struct tandem_file *file = transfer->file;

	if (result == -EINTR || result == -EAGAIN)
		return 1;
	/* What the file system told of its alignment was not all. */
	if (result == -EINVAL && slice->direct) {
		slice->direct = false;
		return 1;
	}
	if (result < 0)
		return result;
	if (!result)
		return transfer->writes ? -EIO : -ENODATA;
	if (slice->direct)
		file->direct_bytes += result;
	else
		file->buffered_bytes += result;
	slice->memory += result;
	slice->offset += result;
	slice->length -= result;
	slice->direct = slice->direct && is_aligned(file, slice);
	return slice->length > 0;
}

static void slice_fire(struct loop_event *event, int result, uint64_t extra)
{
	struct file_slice *slice = (struct file_slice *)event;
	struct file_transfer *transfer = slice->transfer;
	int ret;

	(void)extra;
	transfer->pending--;
	ret = slice_take(slice, result);
	if (ret > 0 && !transfer->result)
		ret = slice_start(slice);
	else
		slice->length = 0;
	if (ret < 0) {
		slice->length = 0;
		if (!transfer->result)
			transfer->result = ret;
	}
	transfer_fill(transfer);
	transfer_end_if_done(transfer);
}

/*
 * Transfers
 */

/* Nothing new is started; the end comes when what is under way has ended. */
static void transfer_stop(struct file_transfer *transfer, int result)
{
	unsigned int i;

	if (transfer->result)
		return;
	transfer->result = result;
	for (i = 0; i < SLICES; i++)
		if (transfer->slices[i].length)
			loop_event_cancel(transfer->file->loop, &transfer->slices[i].event);
}

static void transfer_expired(void *user)
{
	struct file_transfer *transfer = user;

	transfer->timer = NULL;
	transfer_stop(transfer, -ETIMEDOUT);
}

static int transfer_cancel(struct tandem_loop *loop, struct tandem_operation *op)
{
	(void)loop;
	transfer_stop(operation_data(op), -ECANCELED);
	return 0;
}

static int segments_check(const struct tandem_file_segment *segments, size_t count,
			  const struct tandem_memory *memory)
{
	size_t i;

	if (!count || count > (SIZE_MAX - sizeof(struct file_transfer)) / sizeof(*segments))
		return -EINVAL;
	for (i = 0; i < count; i++) {
		const struct tandem_file_segment *one = &segments[i];

		if (!one->length || one->memory_offset > memory->size ||
		    one->length > memory->size - one->memory_offset ||
		    one->file_offset > INT64_MAX || one->length > INT64_MAX - one->file_offset)
			return -EINVAL;
	}
	return 0;
}

/* Put neighbours together. */
static void runs_build(struct file_transfer *transfer, const struct tandem_file_segment *segments,
		       size_t count)
{
	struct tandem_file_segment *last = NULL;
	size_t i;

	for (i = 0; i < count; i++) {
		if (last && segments[i].file_offset == last->file_offset + last->length &&
		    segments[i].memory_offset == last->memory_offset + last->length) {
			last->length += segments[i].length;
			continue;
		}
		last = &transfer->runs[transfer->run_count++];
		*last = segments[i];
	}
}

static struct file_transfer *transfer_create(struct tandem_file *file, size_t run_count,
					     struct tandem_operation *op)
{
	struct file_transfer *new;
	unsigned int i;

	new = calloc(1, sizeof(*new) + run_count * sizeof(new->runs[0]));
	if (!new)
		return NULL;
	new->file = file;
	new->op = op;
	for (i = 0; i < SLICES; i++)
		new->slices[i].event.fire = slice_fire;
	return new;
}

/* The first request is ready to start. Takes over @transfer. */
static int transfer_start(struct file_transfer *transfer)
{
	struct tandem_loop *loop = transfer->file->loop;
	int ret;

	ret = loop_timer_start(loop, transfer->file->timeout_ms, transfer_expired, transfer,
			       &transfer->timer);
	if (ret < 0)
		goto free_transfer;
	ret = operation_begin(transfer->op, transfer_cancel, transfer);
	if (ret < 0)
		goto stop_timer;
	transfer_fill(transfer);
	ret = transfer->result;
	if (ret < 0)
		goto abandon;
	return 0;

abandon:
	operation_abandon(transfer->op);
stop_timer:
	loop_timer_stop(transfer->timer);
free_transfer:
	free(transfer);
	return ret;
}

static int file_start(struct tandem_file *file, struct tandem_memory *memory,
		      const struct tandem_file_segment *segments, size_t count, bool writes,
		      struct tandem_operation *op)
{
	struct file_transfer *new;
	void *pointer;
	int ret;

	ret = segments_check(segments, count, memory);
	if (ret < 0)
		return ret;
	if (memory->device->lost)
		return -ENODEV;
	ret = tandem_memory_map(memory, &pointer);
	if (ret < 0)
		return ret;
	new = transfer_create(file, count, op);
	if (!new)
		return -ENOMEM;
	new->memory = pointer;
	new->writes = writes;
	runs_build(new, segments, count);
	return transfer_start(new);
}

int tandem_file_write_start(struct tandem_file *file, struct tandem_memory *memory,
			    const struct tandem_file_segment *segments, size_t count,
			    struct tandem_operation *op)
{
	if (!file->writable)
		return -EBADF;
	return file_start(file, memory, segments, count, true, op);
}

int tandem_file_read_start(struct tandem_file *file, struct tandem_memory *memory,
			   const struct tandem_file_segment *segments, size_t count,
			   struct tandem_operation *op)
{
	return file_start(file, memory, segments, count, false, op);
}

/*
 * Syncs: a transfer without runs, and with one request of another kind
 */

static void sync_fire(struct loop_event *event, int result, uint64_t extra)
{
	struct file_transfer *transfer = ((struct file_slice *)event)->transfer;

	(void)extra;
	transfer->pending--;
	if (!transfer->result)
		transfer->result = result;
	transfer_end_if_done(transfer);
}

int tandem_file_sync_start(struct tandem_file *file, struct tandem_operation *op)
{
	struct file_transfer *new = transfer_create(file, 0, op);
	struct io_uring_sqe *sqe;
	int ret;

	if (!new)
		return -ENOMEM;
	new->slices[0].event.fire = sync_fire;
	new->slices[0].transfer = new;
	new->slices[0].length = 1;
	ret = transfer_start(new);
	if (ret < 0)
		return ret;
	sqe = loop_sqe(file->loop);
	if (!sqe) {
		operation_abandon(op);
		loop_timer_stop(new->timer);
		free(new);
		return -ENOMEM;
	}
	io_uring_prep_fsync(sqe, file->buffered, IORING_FSYNC_DATASYNC);
	io_uring_sqe_set_data(sqe, &new->slices[0].event);
	new->pending = 1;
	return 0;
}

/*
 * Files
 */

/* What direct I/O on it wants; 0 if it has none. */
static uint64_t direct_alignment(int fd)
{
	uint64_t alignment = ALIGNMENT_DEFAULT;
#ifdef STATX_DIOALIGN
	struct statx status;

	if (!statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) &&
	    status.stx_mask & STATX_DIOALIGN) {
		alignment = status.stx_dio_offset_align;
		if (status.stx_dio_mem_align > alignment)
			alignment = status.stx_dio_mem_align;
		if (!status.stx_dio_offset_align || !status.stx_dio_mem_align)
			alignment = 0;
	}
#endif
	(void)fd;
	/* Only powers of two can be checked as they are here. */
	return alignment & (alignment - 1) ? 0 : alignment;
}

static void open_direct(struct tandem_file *file, const char *path, int mode)
{
	file->direct = open(path, mode | O_DIRECT | O_CLOEXEC);
	if (file->direct < 0)
		return;
	file->alignment = direct_alignment(file->direct);
	if (file->alignment)
		return;
	close(file->direct);
	file->direct = -1;
}

/* Are they the same file? It might have been renamed in between. */
static bool same_file(int one, int other)
{
	struct stat status[2];

	return !fstat(one, &status[0]) && !fstat(other, &status[1]) &&
	       status[0].st_dev == status[1].st_dev && status[0].st_ino == status[1].st_ino;
}

int tandem_file_open(struct tandem_loop *loop, const char *path, unsigned int flags,
		     unsigned int timeout_ms, struct tandem_file **file,
		     struct tandem_error *error)
{
	int mode = flags & TANDEM_FILE_WRITE ? O_RDWR : O_RDONLY;
	struct tandem_file *new;
	struct stat status;
	int ret;

	if (flags & ~(TANDEM_FILE_WRITE | TANDEM_FILE_CREATE) || flags == TANDEM_FILE_CREATE)
		return tandem_error_set(error, -EINVAL, "%s: cannot be opened with flags 0x%x",
					path, flags);
	new = calloc(1, sizeof(*new));
	if (!new)
		return tandem_error_set(error, -ENOMEM, "%s: out of memory", path);
	new->loop = loop;
	new->writable = mode == O_RDWR;
	new->timeout_ms = timeout_ms ? timeout_ms : TIMEOUT_DEFAULT_MS;
	/* A FIFO would have this wait for whom there may not be. */
	new->buffered = open(path, mode | O_CLOEXEC | O_NONBLOCK |
			     (flags & TANDEM_FILE_CREATE ? O_CREAT : 0), 0600);
	if (new->buffered < 0 || fstat(new->buffered, &status) < 0) {
		ret = -errno;
		tandem_error_set(error, ret, "%s: cannot open it: %s", path, strerror(-ret));
		goto close_buffered;
	}
	if (!S_ISREG(status.st_mode)) {
		ret = tandem_error_set(error, -EINVAL, "%s: it is no ordinary file", path);
		goto close_buffered;
	}
	/* With it, io_uring would not wait for storage either. */
	fcntl(new->buffered, F_SETFL, fcntl(new->buffered, F_GETFL) & ~O_NONBLOCK);
	open_direct(new, path, mode);
	if (new->direct >= 0 && !same_file(new->buffered, new->direct)) {
		close(new->direct);
		new->direct = -1;
	}
	*file = new;
	return 0;

close_buffered:
	if (new->buffered >= 0)
		close(new->buffered);
	free(new);
	return ret;
}

void tandem_file_close(struct tandem_file *file)
{
	if (!file)
		return;
	if (file->direct >= 0)
		close(file->direct);
	close(file->buffered);
	free(file);
}

int tandem_file_get_info(struct tandem_file *file, struct tandem_file_info *info)
{
	struct stat status;

	memset(info, 0, sizeof(*info));
	if (fstat(file->buffered, &status) < 0)
		return -errno;
	info->size = status.st_size;
	info->direct_alignment = file->direct >= 0 ? file->alignment : 0;
	info->direct_bytes = file->direct_bytes;
	info->buffered_bytes = file->buffered_bytes;
	return 0;
}
