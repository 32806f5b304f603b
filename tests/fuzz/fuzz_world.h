/* SPDX-License-Identifier: MIT */
/*
 * What the fuzzer knows: handles that are likely to be alive, and rules that
 * must hold.
 *
 * A worker is a thread. It has files of its own, whose objects nobody else can
 * reach: it fills them with its tag, and whatever else it finds there but zeros
 * has leaked. The other files belong to all threads of a process, which race
 * for what is in them.
 */
#ifndef FUZZ_WORLD_H
#define FUZZ_WORLD_H

#include <liburing.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "drm/tandem_accel.h"
#include "fuzz_calls.h"
#include "fuzz_random.h"

#define FUZZ_THREADS_MAX	16
#define FUZZ_PROCESSES_MAX	8
#define FUZZ_WORKERS_MAX	(FUZZ_THREADS_MAX * FUZZ_PROCESSES_MAX)
#define FUZZ_DEVICES		2
#define FUZZ_PRIVATE_FILES	2
#define FUZZ_SHARED_FILES	4
#define FUZZ_OBJECTS		12
#define FUZZ_CONTEXTS		4
#define FUZZ_REGIONS		16
#define FUZZ_QUEUES		6
#define FUZZ_SYNCOBJS		6
#define FUZZ_DMABUFS		8
#define FUZZ_MAPS		8
#define FUZZ_RINGS		3
#define FUZZ_IN_FLIGHT		256
#define FUZZ_ARENA		(1u << 20)
#define FUZZ_OBJECT_MAX		(256u << 10)
#define FUZZ_NOTE_BYTES		96
#define FUZZ_NOTES		32

/**
 * struct fuzz_object - a GEM object
 * @handle: 0 for none
 * @size: bytes
 */
struct fuzz_object {
	_Atomic uint32_t handle;
	_Atomic uint32_t size;
};

/**
 * struct fuzz_region - a region
 * @context: that it is in; 0 for none
 * @region: its index
 * @size: bytes
 * @flags: TANDEM_REGION_*
 */
struct fuzz_region {
	_Atomic uint32_t context;
	_Atomic uint32_t region;
	_Atomic uint32_t size;
	_Atomic uint32_t flags;
};

/**
 * struct fuzz_queue - a queue
 * @queue: its id; 0 for none
 * @context: that it is in
 * @kind: &enum tandem_queue_kind
 */
struct fuzz_queue {
	_Atomic uint32_t queue;
	_Atomic uint32_t context;
	_Atomic uint32_t kind;
};

/**
 * struct fuzz_syncobj - a syncobj
 * @handle: 0 for none
 * @has_fence: commands can wait for it
 * @point: the last on its timeline; 0 when it is none
 */
struct fuzz_syncobj {
	_Atomic uint32_t handle;
	_Atomic bool has_fence;
	_Atomic uint32_t point;
};

/**
 * struct fuzz_program - a region that begins with a program
 * @context: that it is in; 0 for none
 * @region: its index
 */
struct fuzz_program {
	_Atomic uint32_t context;
	_Atomic uint32_t region;
};

/**
 * struct fuzz_file - an open accel node, and what is in it
 * @fd: negative for none
 * @private: one worker's
 * @gone: its device has gone
 * @wrong: its device may do wrong
 * @program: not in private files, whose memory has nothing but the tag
 *
 * Of files that are not private, every member may change at any time.
 */
struct fuzz_file {
	_Atomic int fd;
	bool private;
	_Atomic bool gone;
	_Atomic bool wrong;
	struct fuzz_object object[FUZZ_OBJECTS];
	_Atomic uint32_t context[FUZZ_CONTEXTS];
	struct fuzz_region region[FUZZ_REGIONS];
	struct fuzz_queue queue[FUZZ_QUEUES];
	struct fuzz_syncobj syncobj[FUZZ_SYNCOBJS];
	struct fuzz_program program;
};

/**
 * struct fuzz_map - a mapping
 * @memory: NULL for none
 * @size: bytes
 * @private: of an object of a private file
 */
struct fuzz_map {
	uint8_t *memory;
	size_t size;
	bool private;
};

/**
 * struct fuzz_sqe - a submission that has not been answered
 * @serial: upper half of its user_data; 0 for none
 * @kind: of &enum fuzz_sqe_kind, for what the answer may be
 * @call: what it counts as
 * @waits: it has an in_syncobj
 * @signals: it has an out_syncobj
 * @into_arena: a private command that writes the worker's arena
 */
struct fuzz_sqe {
	uint32_t serial;
	int kind;
	enum fuzz_call call;
	bool waits;
	bool signals;
	bool into_arena;
};

/**
 * struct fuzz_ring - an io_uring, of one worker
 * @up: it exists
 * @drains: IOSQE_IO_DRAIN is used, but no submission is malformed
 * @flags: IORING_SETUP_*
 * @ring: liburing's
 * @sqe: what has not been answered; user_data holds index and serial
 * @in_flight: how many
 */
struct fuzz_ring {
	bool up;
	bool drains;
	unsigned int flags;
	struct io_uring ring;
	struct fuzz_sqe sqe[FUZZ_IN_FLIGHT];
	unsigned int in_flight;
};

/**
 * struct fuzz_process - what the threads of a process have in common
 * @file: files of all
 * @dmabuf: file descriptors, negative for none
 */
struct fuzz_process {
	struct fuzz_file file[FUZZ_SHARED_FILES];
	_Atomic int dmabuf[FUZZ_DMABUFS];
};

/**
 * struct fuzz_notes - the last operations of a worker, for whoever looks at its
 * end; in memory that all processes share
 * @count: operations begun
 * @text: number n in slot n modulo FUZZ_NOTES
 */
struct fuzz_notes {
	_Atomic uint64_t count;
	char text[FUZZ_NOTES][FUZZ_NOTE_BYTES];
};

/**
 * struct fuzz_shared - memory that all processes share
 * @stop: workers are to end
 * @failed: a rule was broken
 * @failure: which
 * @node: number of each device's accel node; negative when there is none
 * @firmware: its process, or 0; workers of process 0 change that of device 1
 * @drain_is_forgotten: see fuzz_drain.h
 * @counts: calls of each kind
 * @notes: of each worker
 */
struct fuzz_shared {
	atomic_bool stop;
	atomic_bool failed;
	char failure[256];
	_Atomic int node[FUZZ_DEVICES];
	_Atomic int firmware[FUZZ_DEVICES];
	bool drain_is_forgotten;
	struct fuzz_count counts[FUZZ_CALLS];
	struct fuzz_notes notes[FUZZ_WORKERS_MAX];
};

/**
 * struct fuzz_worker - a thread
 * @random: its chance
 * @number: of all workers
 * @tag: byte that it writes
 * @ops: operations that it may do
 * @may_change_firmware: it is the one that does
 * @shared: of all processes
 * @process: of its process
 * @file: its own files
 * @map: its mappings
 * @ring: its rings
 * @serial: of its next submission
 * @recent_queue: of its last command
 * @recent_cookie: likewise
 * @arena: FUZZ_ARENA bytes for commands of its own files. Behind them is nothing,
 *	as a command may take more: what it reads there would not be the tag
 * @shared_arena: as many for commands of other files
 * @trace: where operations are written to, or NULL
 */
struct fuzz_worker {
	struct fuzz_random random;
	int number;
	uint8_t tag;
	uint64_t ops;
	bool may_change_firmware;
	struct fuzz_shared *shared;
	struct fuzz_process *process;
	struct fuzz_file file[FUZZ_PRIVATE_FILES];
	struct fuzz_map map[FUZZ_MAPS];
	struct fuzz_ring ring[FUZZ_RINGS];
	uint32_t serial;
	uint32_t recent_queue;
	uint64_t recent_cookie;
	uint8_t *arena;
	uint8_t *shared_arena;
	FILE *trace;
};

/* Begin and end a worker; all that it has is closed at the end. */
void fuzz_worker_begin(struct fuzz_worker *worker);
void fuzz_worker_end(struct fuzz_worker *worker);
void fuzz_process_begin(struct fuzz_process *process);

/* Opens what is closed, and closes what has lost its device: not always. */
void fuzz_files_keep(struct fuzz_worker *worker);
/* A file to work with. */
struct fuzz_file *fuzz_any_file(struct fuzz_worker *worker);
/* Something that is in it, or a slot for that where nothing is. */
struct fuzz_object *fuzz_any_object(struct fuzz_worker *worker, struct fuzz_file *file);
struct fuzz_region *fuzz_any_region(struct fuzz_worker *worker, struct fuzz_file *file);
struct fuzz_queue *fuzz_any_queue(struct fuzz_worker *worker, struct fuzz_file *file);
_Atomic uint32_t *fuzz_any_context(struct fuzz_worker *worker, struct fuzz_file *file);
struct fuzz_syncobj *fuzz_any_syncobj(struct fuzz_worker *worker, struct fuzz_file *file);
/* One that has a fence. */
struct fuzz_syncobj *fuzz_any_fence(struct fuzz_worker *worker, struct fuzz_file *file);
/* A region of a context, with these flags at least. */
struct fuzz_region *fuzz_any_region_of(struct fuzz_worker *worker, struct fuzz_file *file,
				       uint32_t context, uint32_t flags);
/* Forget what is in a context, which has been destroyed. */
void fuzz_context_forget(struct fuzz_file *file, uint32_t context);
/* Forget what is in a file, which is being closed. */
void fuzz_file_forget(struct fuzz_file *file);
/*
 * Another number for a private file, which a file of all threads never has had:
 * they might use it late. The old one is closed.
 */
int fuzz_set_apart(int fd);
/* The same, and the old one stays. */
int fuzz_dup_apart(int fd);
void fuzz_file_open(struct fuzz_worker *worker, struct fuzz_file *file);
void fuzz_file_close(struct fuzz_worker *worker, struct fuzz_file *file);

/* A rule was broken: everything ends. */
void fuzz_fail(struct fuzz_worker *worker, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Tells what is about to be done, or what has come of it. */
void fuzz_note(struct fuzz_worker *worker, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * An ioctl whose arguments are made wrong now and then. @errors: errno values
 * that it may fail with, beside those of every call; 0 after the last.
 * Return: 0 or a negative errno.
 */
int fuzz_ioctl(struct fuzz_worker *worker, struct fuzz_file *file, enum fuzz_call call,
	       void *arguments, const int *errors);
/* The same with arguments that stay what they are. */
int fuzz_ioctl_unchanged(struct fuzz_worker *worker, struct fuzz_file *file,
			 enum fuzz_call call, void *arguments, const int *errors);

/* Another call, already made: counts it and tells of it. @result: as that of an ioctl. */
void fuzz_told(struct fuzz_worker *worker, enum fuzz_call call, int result);

/* The memory has nothing but zeros and the worker's tag. */
void fuzz_check_memory(struct fuzz_worker *worker, const uint8_t *memory, size_t size,
		       const char *what);

#endif /* FUZZ_WORLD_H */
