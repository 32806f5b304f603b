/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
/*
 * The interface between user space and the Tandem driver: /dev/accel/accelN.
 *
 * A file owns handles of buffer objects (the usual GEM rules), and contexts. A
 * context has a table of regions, each a range of an object, and queues. A
 * command runs on a queue and names memory as (region, offset, length) of the
 * queue's context; the device checks that.
 *
 * Commands are submitted with IORING_OP_URING_CMD on a ring made with
 * IORING_SETUP_SQE128: sqe->cmd_op is one of TANDEM_URING_*, sqe->cmd holds a
 * &struct tandem_uring_command. On a ring with IORING_SETUP_CQE32,
 * cqe->big_cqe[0] is what the command was told to report, see &enum
 * tandem_report. Programs without io_uring have DRM_IOCTL_TANDEM_SUBMIT.
 *
 * Rules: all members have a fixed size and are naturally aligned; padding,
 * reserved and unused members and unknown flags are zero, or the call fails
 * with EINVAL. The layout is the same for 32-bit and 64-bit programs. New
 * capabilities are found with GET_PARAM, never by version.
 *
 * Errors that any call may return, beside its own: ENODEV when the device is
 * gone, EINVAL as above, EFAULT for memory that cannot be read or written.
 */
#ifndef _UAPI_TANDEM_ACCEL_H
#define _UAPI_TANDEM_ACCEL_H

#include "drm.h"
#include <linux/types.h>

#if defined(__cplusplus)
extern "C" {
#endif

#define DRM_TANDEM_GET_PARAM		0x00
#define DRM_TANDEM_GEM_CREATE		0x01
#define DRM_TANDEM_GEM_MMAP_OFFSET	0x02
#define DRM_TANDEM_CONTEXT_CREATE	0x03
#define DRM_TANDEM_CONTEXT_DESTROY	0x04
#define DRM_TANDEM_REGION_MAP		0x05
#define DRM_TANDEM_REGION_UNMAP		0x06
#define DRM_TANDEM_QUEUE_CREATE		0x07
#define DRM_TANDEM_QUEUE_DESTROY	0x08
#define DRM_TANDEM_CONTEXT_QUERY	0x09
#define DRM_TANDEM_QUEUE_QUERY		0x0a
#define DRM_TANDEM_SUBMIT		0x0b
#define DRM_TANDEM_GEM_REGISTER		0x0c

/**
 * enum tandem_param - what GET_PARAM can be asked
 * @TANDEM_PARAM_UAPI_VERSION: major << 16 | minor; 1.0 is the first
 * @TANDEM_PARAM_ROLE: 0 any, 1 prefill, 2 decode
 * @TANDEM_PARAM_MEMORY_SIZE: bytes of device memory
 * @TANDEM_PARAM_MEMORY_USED: bytes held by objects of all files
 * @TANDEM_PARAM_COPY_QUEUES: hardware queues that only copy and fill
 * @TANDEM_PARAM_COMPUTE_QUEUES: hardware queues that also execute programs
 * @TANDEM_PARAM_QUEUE_ENTRIES: commands in flight that a hardware queue takes;
 *	more wait in the driver
 * @TANDEM_PARAM_REGIONS_MAX: regions that a context can map at once
 * @TANDEM_PARAM_CONTEXTS_MAX: contexts that the device can have at once
 * @TANDEM_PARAM_PROFILE_MEMORY_SIZE: bytes, of the modelled part
 * @TANDEM_PARAM_PROFILE_MEMORY_BANDWIDTH: bytes/s, of the modelled part
 * @TANDEM_PARAM_PROFILE_FLOPS: peak dense bf16 operations/s, likewise
 * @TANDEM_PARAM_PROFILE_LINK_BANDWIDTH: bytes/s of its network, likewise
 * @TANDEM_PARAM_CAPABILITIES: bits TANDEM_CAPABILITY_*
 * @TANDEM_PARAM_PROFILE_NAME: bytes 8 * index … of the profile's name, first
 *	byte lowest; index 0 … 3; ends with a zero byte
 * @TANDEM_PARAM_MEMORY_CLASSES: how many classes of memory there are
 * @TANDEM_PARAM_MEMORY_CLASS_KIND: of class number index, as for all that
 *	begin so: &enum tandem_memory_kind
 * @TANDEM_PARAM_MEMORY_CLASS_SIZE: bytes
 * @TANDEM_PARAM_MEMORY_CLASS_USED: bytes held by objects of all files
 * @TANDEM_PARAM_MEMORY_CLASS_BANDWIDTH: bytes/s, of the modelled part; 0 when
 *	not known
 * @TANDEM_PARAM_FILE_MEMORY_USED: bytes of device memory held by objects that
 *	this file made
 * @TANDEM_PARAM_FILE_MEMORY_LIMIT: bytes that one file may hold; that of the
 *	device when the administrator has set no other
 * @TANDEM_PARAM_SEGMENTS_MAX: segments that one COPY_LIST can have
 * @TANDEM_PARAM_SUBMIT_MAX: commands that one SUBMIT can have
 * @TANDEM_PARAM_RESETS: how often the device was reset since it was plugged in
 */
enum tandem_param {
	TANDEM_PARAM_UAPI_VERSION = 0,
	TANDEM_PARAM_ROLE = 1,
	TANDEM_PARAM_MEMORY_SIZE = 2,
	TANDEM_PARAM_MEMORY_USED = 3,
	TANDEM_PARAM_COPY_QUEUES = 4,
	TANDEM_PARAM_COMPUTE_QUEUES = 5,
	TANDEM_PARAM_QUEUE_ENTRIES = 6,
	TANDEM_PARAM_REGIONS_MAX = 7,
	TANDEM_PARAM_CONTEXTS_MAX = 8,
	TANDEM_PARAM_PROFILE_MEMORY_SIZE = 9,
	TANDEM_PARAM_PROFILE_MEMORY_BANDWIDTH = 10,
	TANDEM_PARAM_PROFILE_FLOPS = 11,
	TANDEM_PARAM_PROFILE_LINK_BANDWIDTH = 12,
	TANDEM_PARAM_CAPABILITIES = 13,
	TANDEM_PARAM_PROFILE_NAME = 14,
	TANDEM_PARAM_MEMORY_CLASSES = 15,
	TANDEM_PARAM_MEMORY_CLASS_KIND = 16,
	TANDEM_PARAM_MEMORY_CLASS_SIZE = 17,
	TANDEM_PARAM_MEMORY_CLASS_USED = 18,
	TANDEM_PARAM_MEMORY_CLASS_BANDWIDTH = 19,
	TANDEM_PARAM_FILE_MEMORY_USED = 20,
	TANDEM_PARAM_FILE_MEMORY_LIMIT = 21,
	TANDEM_PARAM_SEGMENTS_MAX = 22,
	TANDEM_PARAM_SUBMIT_MAX = 23,
	TANDEM_PARAM_RESETS = 24,
};

#define TANDEM_UAPI_VERSION		(1 << 16 | 0)

/* Commands take in_syncobj and out_syncobj. */
#define TANDEM_CAPABILITY_SYNCOBJ	(1ull << 0)
/* There is COPY_LIST. */
#define TANDEM_CAPABILITY_SEGMENTS	(1ull << 1)
/* Commands take TANDEM_COMMAND_REPORT(). */
#define TANDEM_CAPABILITY_REPORT	(1ull << 2)
/* There is DRM_IOCTL_TANDEM_SUBMIT. */
#define TANDEM_CAPABILITY_SUBMIT	(1ull << 3)
/* Queues take priorities other than TANDEM_PRIORITY_NORMAL. */
#define TANDEM_CAPABILITY_PRIORITY	(1ull << 4)
/* There are CONTEXT_QUERY and QUEUE_QUERY. */
#define TANDEM_CAPABILITY_QUERY		(1ull << 5)
/* GEM_CREATE takes TANDEM_GEM_CLASS(). */
#define TANDEM_CAPABILITY_MEMORY_CLASS	(1ull << 6)
/* There is GEM_REGISTER. */
#define TANDEM_CAPABILITY_REGISTER	(1ull << 7)

/**
 * enum tandem_memory_kind - what memory is made of
 * @TANDEM_MEMORY_DRAM: DRAM on a board
 * @TANDEM_MEMORY_HBM: stacked DRAM
 * @TANDEM_MEMORY_SRAM: on the chip
 */
enum tandem_memory_kind {
	TANDEM_MEMORY_DRAM = 0,
	TANDEM_MEMORY_HBM = 1,
	TANDEM_MEMORY_SRAM = 2,
};

/**
 * struct drm_tandem_get_param - read one number about the device
 * @param: in: &enum tandem_param; EINVAL for one that this driver lacks
 * @index: in: zero where the parameter does not say otherwise
 * @value: out
 */
struct drm_tandem_get_param {
	__u32 param;
	__u32 index;
	__u64 value;
};

/**
 * struct drm_tandem_gem_create - make an object in device memory
 * @size: in: bytes, not zero; out: rounded up to whole pages
 * @flags: in: TANDEM_GEM_CLASS() of a class of memory, or zero for the first
 *	class that has room
 * @handle: out: GEM handle of this file
 *
 * The memory reads as zeros. It is freed with its last handle, mapping, region
 * and dma-buf. Errors: ENOSPC when device memory, or the class, is full; EDQUOT
 * when the file, or its cgroup of the dmem controller, would hold more than it
 * may; EINTR when the process was killed meanwhile; ENOMEM.
 */
struct drm_tandem_gem_create {
	__u64 size;
	__u32 flags;
#define TANDEM_GEM_CLASS(index)		((index) + 1)
#define TANDEM_GEM_CLASS_MASK		0xff
	__u32 handle;
};

/**
 * struct drm_tandem_gem_register - make an object of memory of the process
 * @address: in: user address of the first page
 * @size: in: bytes, whole pages, not zero, and up to 256 GiB
 * @flags: in: TANDEM_REGISTER_READ_ONLY: the device may not write it, nor need
 *	the process be able to
 * @handle: out: GEM handle of this file
 *
 * The object is the pages that are at the address now. They are pinned, and
 * stay the object's until it is freed with its last handle and region, whatever
 * is done to the address meanwhile: after munmap(2), madvise(2) with
 * MADV_DONTNEED, or mremap(2), the object is what was there before, and what
 * comes to be there is not the object's. After fork(2) the pages stay those of
 * the process that registered them, and the child has copies of private ones.
 *
 * It can be anonymous or shared memory, of any page size, also the mapping of
 * an object; to be read only, a file's too. Regions of it begin with any byte.
 * It takes no device memory, but counts in RLIMIT_MEMLOCK of the process that
 * calls, with what else is pinned (VmPin in /proc/PID/status), until it is
 * freed. It is of this file alone: it cannot be exported (EOPNOTSUPP), mapped
 * (EOPNOTSUPP), or opened by name (EACCES). Nothing keeps CPU and device from
 * working on the same bytes at once.
 *
 * Errors: EFAULT for memory that is not there, or that the process may not
 * write (unless read only), or that cannot be pinned for long: shared mappings
 * of files on disks that are to be written, and of other drivers' memory;
 * EOPNOTSUPP for files that are memory themselves (DAX); ENOMEM, also past
 * RLIMIT_MEMLOCK without CAP_IPC_LOCK, for more than the machine has, and when
 * bus addresses run out; EINTR when the process was killed meanwhile.
 */
struct drm_tandem_gem_register {
	__u64 address;
	__u64 size;
	__u32 flags;
#define TANDEM_REGISTER_READ_ONLY	(1 << 0)
	__u32 handle;
};

/**
 * struct drm_tandem_gem_mmap_offset - how to map an object
 * @handle: in
 * @flags: in: zero
 * @offset: out: offset for mmap(2) of the accel node, with MAP_SHARED
 *
 * The mapping consists of ordinary pages: RDMA memory regions and io_uring
 * registered buffers can be made of it. Errors: ENOENT for no such handle,
 * EOPNOTSUPP for an object from GEM_REGISTER.
 */
struct drm_tandem_gem_mmap_offset {
	__u32 handle;
	__u32 flags;
	__u64 offset;
};

/**
 * struct drm_tandem_context_create - make an address space with its own faults
 * @flags: in: zero
 * @context: out: id, of this file only, never 0
 *
 * Errors: ENOSPC when the device has no more contexts; EDQUOT when contexts of
 * the user who opened the file have had the device reset, or ran into the time
 * limit, too often of late (see TANDEM_CONTEXT_USER_BANNED).
 */
struct drm_tandem_context_create {
	__u32 flags;
	__u32 context;
};

/**
 * struct drm_tandem_context_destroy - end a context, its regions and queues
 * @context: in
 * @pad: in: zero
 *
 * Commands that have not begun end with ECANCELED. Returns when the device no
 * longer uses the context. Errors: ENOENT.
 */
struct drm_tandem_context_destroy {
	__u32 context;
	__u32 pad;
};

/**
 * struct drm_tandem_region_map - let a context reach a range of an object
 * @context: in
 * @handle: in
 * @offset: in: bytes from the start of the object, a multiple of 4096; of an
 *	object from GEM_REGISTER, any
 * @length: in: bytes, not zero; the end lies within the object
 * @flags: in: TANDEM_REGION_READ | TANDEM_REGION_WRITE, one at least
 * @region: out: index that commands and programs of this context use
 *
 * The region holds a reference to the object. Errors: ENOENT for no such
 * context or handle, ENOSPC when the table is full, EACCES for writing to what
 * was registered to be read only.
 */
struct drm_tandem_region_map {
	__u32 context;
	__u32 handle;
	__u64 offset;
	__u64 length;
	__u32 flags;
#define TANDEM_REGION_READ		(1 << 0)
#define TANDEM_REGION_WRITE		(1 << 1)
	__u32 region;
};

/**
 * struct drm_tandem_region_unmap - take a region away
 * @context: in
 * @region: in
 *
 * Commands which come later and name it fail with EACCES. Returns when none
 * that came earlier can touch it any more (also those that name it from within
 * a program): it waits for the commands that the context has in flight.
 * Errors: ENOENT, EINTR.
 */
struct drm_tandem_region_unmap {
	__u32 context;
	__u32 region;
};

/**
 * struct drm_tandem_context_query - how a context fares
 * @context: in
 * @flags: out: TANDEM_CONTEXT_BANNED: the context has misbehaved too often. Its
 *	commands are refused with EIO, those that had not begun have ended with
 *	it. Everything else can still be done with it; a new context, of this
 *	file or another, begins without faults. TANDEM_CONTEXT_USER_BANNED: the
 *	same for all contexts in files of the user who opened this one: they have
 *	had the device reset, or ran into the time limit, too often. New ones are
 *	refused with EDQUOT. This is forgiven with time; it does not befall files
 *	that were opened with CAP_SYS_ADMIN
 * @faults: out: commands that were at fault: they reached for what is not
 *	theirs, or ran for too long
 * @resets: out: resets of the device that commands of this context caused
 * @regions: out: regions that are mapped
 * @queues: out: queues that it has
 * @mapped: out: bytes of all regions
 * @device_ns: out: time that engines spent on its commands, in nanoseconds
 *
 * Errors: ENOENT.
 */
struct drm_tandem_context_query {
	__u32 context;
	__u32 flags;
#define TANDEM_CONTEXT_BANNED		(1 << 0)
#define TANDEM_CONTEXT_USER_BANNED	(1 << 1)
	__u32 faults;
	__u32 resets;
	__u32 regions;
	__u32 queues;
	__u64 mapped;
	__u64 device_ns;
};

/**
 * enum tandem_queue_kind - what a queue is for
 * @TANDEM_QUEUE_COPY: copies and fills
 * @TANDEM_QUEUE_COMPUTE: these and programs
 */
enum tandem_queue_kind {
	TANDEM_QUEUE_COPY = 0,
	TANDEM_QUEUE_COMPUTE = 1,
};

/**
 * enum tandem_priority - whose commands go first
 * @TANDEM_PRIORITY_NORMAL: contexts share the engine's time evenly
 * @TANDEM_PRIORITY_LOW: only while no other commands wait, but a small share,
 *	so that they come to an end some time
 * @TANDEM_PRIORITY_HIGH: before all others, but for a small share of theirs;
 *	needs CAP_SYS_NICE
 */
enum tandem_priority {
	TANDEM_PRIORITY_NORMAL = 0,
	TANDEM_PRIORITY_LOW = 1,
	TANDEM_PRIORITY_HIGH = 2,
};

/**
 * struct drm_tandem_queue_create - make a queue in a context
 * @context: in
 * @kind: in: &enum tandem_queue_kind
 * @priority: in: &enum tandem_priority
 * @flags: in: zero
 * @queue: out: id, of this file only, never 0
 * @pad: in: zero
 *
 * The commands of one queue are carried out one after another in the order of
 * submission; those of different queues in any order. Errors: ENOENT for no
 * such context, ENOSPC when the context has 64 queues already, EACCES for a
 * priority that the caller may not have.
 */
struct drm_tandem_queue_create {
	__u32 context;
	__u32 kind;
	__u32 priority;
	__u32 flags;
	__u32 queue;
	__u32 pad;
};

/**
 * struct drm_tandem_queue_destroy - end a queue
 * @queue: in
 * @pad: in: zero
 *
 * Commands that have not begun end with ECANCELED; returns when the others
 * have ended. Errors: ENOENT.
 */
struct drm_tandem_queue_destroy {
	__u32 queue;
	__u32 pad;
};

/**
 * struct drm_tandem_queue_query - how a queue fares
 * @queue: in
 * @last_error: out: result of the command that failed last, or 0
 * @submitted: out: commands that it took
 * @completed: out: of these, those that have ended in any way
 * @failed: out: of these, those with a result other than 0
 * @device_ns: out: time that engines spent on its commands, in nanoseconds
 *
 * Errors: ENOENT.
 */
struct drm_tandem_queue_query {
	__u32 queue;
	__s32 last_error;
	__u64 submitted;
	__u64 completed;
	__u64 failed;
	__u64 device_ns;
};

#define DRM_IOCTL_TANDEM_GET_PARAM \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_TANDEM_GET_PARAM, struct drm_tandem_get_param)
#define DRM_IOCTL_TANDEM_GEM_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_TANDEM_GEM_CREATE, struct drm_tandem_gem_create)
#define DRM_IOCTL_TANDEM_GEM_MMAP_OFFSET \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_TANDEM_GEM_MMAP_OFFSET, struct drm_tandem_gem_mmap_offset)
#define DRM_IOCTL_TANDEM_CONTEXT_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_TANDEM_CONTEXT_CREATE, struct drm_tandem_context_create)
#define DRM_IOCTL_TANDEM_CONTEXT_DESTROY \
	DRM_IOW(DRM_COMMAND_BASE + DRM_TANDEM_CONTEXT_DESTROY, struct drm_tandem_context_destroy)
#define DRM_IOCTL_TANDEM_REGION_MAP \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_TANDEM_REGION_MAP, struct drm_tandem_region_map)
#define DRM_IOCTL_TANDEM_REGION_UNMAP \
	DRM_IOW(DRM_COMMAND_BASE + DRM_TANDEM_REGION_UNMAP, struct drm_tandem_region_unmap)
#define DRM_IOCTL_TANDEM_QUEUE_CREATE \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_TANDEM_QUEUE_CREATE, struct drm_tandem_queue_create)
#define DRM_IOCTL_TANDEM_QUEUE_DESTROY \
	DRM_IOW(DRM_COMMAND_BASE + DRM_TANDEM_QUEUE_DESTROY, struct drm_tandem_queue_destroy)
#define DRM_IOCTL_TANDEM_CONTEXT_QUERY \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_TANDEM_CONTEXT_QUERY, struct drm_tandem_context_query)
#define DRM_IOCTL_TANDEM_QUEUE_QUERY \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_TANDEM_QUEUE_QUERY, struct drm_tandem_queue_query)
#define DRM_IOCTL_TANDEM_SUBMIT \
	DRM_IOW(DRM_COMMAND_BASE + DRM_TANDEM_SUBMIT, struct drm_tandem_submit)
#define DRM_IOCTL_TANDEM_GEM_REGISTER \
	DRM_IOWR(DRM_COMMAND_BASE + DRM_TANDEM_GEM_REGISTER, struct drm_tandem_gem_register)

/*
 * In place of a region: memory of the calling process. The offset is then a
 * user address; the driver pins the pages for the time of the command. For
 * COPY, on one side only. At most 1 GiB a command, else EINVAL.
 */
#define TANDEM_REGION_USER		0xffffffffu

/**
 * enum tandem_report - what a command reports beside its result
 * @TANDEM_REPORT_DURATION: nanoseconds that the engine spent on it, measured
 * @TANDEM_REPORT_STARTED: when it began, as CLOCK_MONOTONIC in nanoseconds;
 *	the clocks of device and host are related to each other as well as the
 *	driver can, and a command never seems to begin before it was submitted
 *	or to end after it was completed
 * @TANDEM_REPORT_ENDED: when it ended, likewise
 * @TANDEM_REPORT_MODELLED: nanoseconds that the modelled part would have
 *	needed, estimated; 0 when there is no estimate
 *
 * Of a program that the device refused: &enum tandem_program_error instead.
 * Otherwise 0 when the result is not 0 and the command never began.
 */
enum tandem_report {
	TANDEM_REPORT_DURATION = 0,
	TANDEM_REPORT_STARTED = 1,
	TANDEM_REPORT_ENDED = 2,
	TANDEM_REPORT_MODELLED = 3,
};

/**
 * struct tandem_segment - one piece of a COPY_LIST
 * @dst_region: region to write
 * @src_region: region to read
 * @dst_offset: bytes from the start of the region
 * @src_offset: bytes from the start of the region
 * @length: bytes, not zero; ranges may overlap only when they are the same
 */
struct tandem_segment {
	__u32 dst_region;
	__u32 src_region;
	__u64 dst_offset;
	__u64 src_offset;
	__u64 length;
};

/**
 * struct tandem_uring_command - the 80 bytes of a command in an SQE128
 * @queue: id from QUEUE_CREATE
 * @flags: TANDEM_COMMAND_REPORT(); CANCEL: zero
 * @dst_region: COPY, FILL: region to write, or %TANDEM_REGION_USER
 * @src_region: COPY: region to read, or %TANDEM_REGION_USER;
 *	EXEC: region that holds the program
 * @dst_offset: bytes from the start of the region, or a user address;
 *	COPY_LIST: bytes from one &struct tandem_segment to the next, a multiple
 *	of 8, not less than its size, and not more than 4096; what follows the
 *	part that the driver knows is zero
 * @src_offset: COPY, EXEC: bytes from the start of the region, or a user
 *	address; FILL: the 32-bit pattern; COPY_LIST: user address of the first
 *	&struct tandem_segment. The list is read before the submission returns
 * @length: bytes, not zero but for NOP; COPY_LIST: number of segments
 * @in_syncobj: syncobj that has to be signalled before the command begins; 0
 *	for none. Later commands of the queue wait too. Its fence has to exist
 *	(EINVAL). When that ends with an error, the command is not carried out;
 *	of a timeline it is the point's own fence that counts, not earlier ones,
 *	and only for as long as the syncobj remembers it
 * @out_syncobj: syncobj that gets a fence which the command's end signals, with
 *	the error if it had one; 0 for none
 * @in_point: point on the timeline of @in_syncobj; 0 if it has none
 * @out_point: likewise of @out_syncobj
 * @cookie: anything; CANCEL finds the command by it. CANCEL: the cookie; ends
 *	all commands of the queue that have it
 * @reserved: zero
 *
 * A COPY_LIST copies its segments in any order; two of them must not write the
 * same bytes, nor one read what another writes.
 *
 * Result in cqe->res: 0, or
 * -ENOENT: no such queue or syncobj; CANCEL: no such command any more
 * -EINVAL: a field out of range, or an operation not for this kind of queue;
 *	EXEC: the device refused the program (see &enum tandem_report)
 * -EACCES: no such region, outside of it, or not permitted
 * -EFAULT: user memory that cannot be read or pinned
 * -ENOMEM: driver or device
 * -ECANCELED: cancelled before it took effect or while it did, or what it had
 *	to wait for failed; the destination is undefined
 * -EIO: the device failed the command, or was reset while it ran; or the
 *	context is banned
 * -ETIMEDOUT: the command ran longer than the driver allows
 * -ENODEV: the device is gone
 */
struct tandem_uring_command {
	__u32 queue;
	__u32 flags;
#define TANDEM_COMMAND_REPORT(report)	(report)
#define TANDEM_COMMAND_REPORT_MASK	0x3
	__u32 dst_region;
	__u32 src_region;
	__u64 dst_offset;
	__u64 src_offset;
	__u64 length;
	__u32 in_syncobj;
	__u32 out_syncobj;
	__u64 in_point;
	__u64 out_point;
	__u64 cookie;
	__u64 reserved;
};

/* Values of sqe->cmd_op; the size of the command is part of the number. */
#define TANDEM_URING_NOP	_IOW('T', 0x80, struct tandem_uring_command)
#define TANDEM_URING_COPY	_IOW('T', 0x81, struct tandem_uring_command)
#define TANDEM_URING_FILL	_IOW('T', 0x82, struct tandem_uring_command)
#define TANDEM_URING_EXEC	_IOW('T', 0x83, struct tandem_uring_command)
#define TANDEM_URING_CANCEL	_IOW('T', 0x84, struct tandem_uring_command)
#define TANDEM_URING_COPY_LIST	_IOW('T', 0x85, struct tandem_uring_command)

/**
 * struct tandem_submit_command - one command of a SUBMIT
 * @op: in: one of TANDEM_URING_*, but CANCEL only by itself. Its ENOENT is that
 *	of the call
 * @result: out, with %TANDEM_SUBMIT_WAIT: as of &struct tandem_uring_command
 * @report: out, with %TANDEM_SUBMIT_WAIT: &enum tandem_report
 * @command: in
 */
struct tandem_submit_command {
	__u32 op;
	__s32 result;
	__u64 report;
	struct tandem_uring_command command;
};

/**
 * struct drm_tandem_submit - submit commands without io_uring
 * @commands: in: user address of the first &struct tandem_submit_command; @op
 *	and @command are read once, before anything is submitted
 * @count: in: how many; 1 … TANDEM_PARAM_SUBMIT_MAX
 * @stride: in: bytes from one to the next, a multiple of 8, not less than the
 *	structure's size, and not more than 4096; what follows the part that the
 *	driver knows is zero
 * @flags: in: TANDEM_SUBMIT_WAIT: return when all have ended, and tell results
 * @pad: in: zero
 * @deadline_ns: in: CLOCK_MONOTONIC; with %TANDEM_SUBMIT_WAIT, commands that
 *	have not ended then are cancelled. 0 for none
 *
 * Either all commands are submitted, in their order, or none is and the call
 * fails with the error of the first that is wrong. All fences to wait for are
 * looked up before that: none is that of another command of the call. Without
 * WAIT, out_syncobj tells of the end. A signal during the wait cancels what has
 * not ended, and the call fails with EINTR when that is over; results are told
 * then, too. So use ioctl(2), since drmIoctl() would submit all once more.
 * EFAULT for results that cannot be told, with all commands carried out.
 */
struct drm_tandem_submit {
	__u64 commands;
	__u32 count;
	__u32 stride;
	__u32 flags;
#define TANDEM_SUBMIT_WAIT		(1 << 0)
	__u32 pad;
	__u64 deadline_ns;
};

#if defined(__cplusplus)
}
#endif

#endif /* _UAPI_TANDEM_ACCEL_H */
