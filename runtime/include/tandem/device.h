/* SPDX-License-Identifier: MIT */
/*
 * Devices, their memory, and their queues.
 */
#ifndef TANDEM_DEVICE_H
#define TANDEM_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include <tandem/error.h>
#include <tandem/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tandem_device;
struct tandem_memory;
struct tandem_queue;

/* What a device is meant for; the numbers are those of tandem_hw.h. */
enum tandem_role {
	TANDEM_ROLE_ANY = 0,
	TANDEM_ROLE_PREFILL = 1,
	TANDEM_ROLE_DECODE = 2,
};

/**
 * struct tandem_device_info - what a device says of itself
 * @name: as given to tandem_device_open()
 * @profile: name of the modelled part, such as "trn2"
 * @role: &enum tandem_role
 * @copy_queues: hardware queues for copies
 * @compute_queues: hardware queues for programs and copies
 * @memory_classes: kinds of device memory, see tandem_device_get_memory_class()
 * @memory_size: bytes of device memory, of all classes
 * @memory_used: bytes in use, of all programs
 * @profile_memory_size: bytes, of the modelled part
 * @profile_memory_bandwidth: bytes/s, of the modelled part
 * @profile_flops: peak dense bf16 operations/s, of the modelled part
 * @profile_link_bandwidth: bytes/s of network, of the modelled part
 */
struct tandem_device_info {
	char name[64];
	char profile[32];
	uint32_t role;
	uint32_t copy_queues;
	uint32_t compute_queues;
	uint32_t memory_classes;
	uint64_t memory_size;
	uint64_t memory_used;
	uint64_t profile_memory_size;
	uint64_t profile_memory_bandwidth;
	uint64_t profile_flops;
	uint64_t profile_link_bandwidth;
};

/* What a class of memory is made of; the numbers are those of tandem_hw.h. */
enum tandem_memory_type {
	TANDEM_MEMORY_TYPE_DRAM = 0,
	TANDEM_MEMORY_TYPE_HBM = 1,
	TANDEM_MEMORY_TYPE_SRAM = 2,
};

/**
 * struct tandem_memory_class - one kind of memory of a device
 * @type: &enum tandem_memory_type
 * @reserved: zero
 * @size: bytes
 * @used: bytes in use, of all programs
 * @bandwidth: bytes/s, of the modelled part; 0 when not known
 */
struct tandem_memory_class {
	uint32_t type;
	uint32_t reserved;
	uint64_t size;
	uint64_t used;
	uint64_t bandwidth;
};

/**
 * tandem_device_list() - which accel devices there are
 * @names: filled in with names for tandem_device_open(), in order
 * @capacity: entries of @names
 *
 * Return: how many there are, also when that is more than @capacity; a
 * negative errno.
 */
int tandem_device_list(char (*names)[64], size_t capacity);

/**
 * tandem_device_open() - open a device
 * @loop: where its completions will arrive
 * @name: "accelN" for /dev/accel/accelN, or
 *	"inproc:PROFILE[,mem=SIZE][,sram=SIZE][,cores=N]" for a device on threads
 *	of this process: SIZE as in 512M, half of the machine's memory if not
 *	given and taken only as it is used; sram for a second class of memory,
 *	none if not given; N threads for programs, one for each processor if
 *	not given. Each opening makes a device of its own
 * @device: where to put it
 * @error: filled in on failure; may be NULL
 *
 * Each open device is an isolated context: what it allocates cannot be reached
 * through another one, of this process or of others.
 *
 * Return: 0; -ENODEV no such device or not a Tandem device; -EACCES no
 * permission; -EINVAL a name that is none, an unknown profile or option; -EPROTO
 * the driver is of another version; -ENOSPC the device has no more contexts;
 * -ENOMEM.
 */
int tandem_device_open(struct tandem_loop *loop, const char *name,
		       struct tandem_device **device, struct tandem_error *error);

/**
 * tandem_device_close() - close a device
 * @device: its memory and queues have been freed, and no operation of it is
 *	pending; may be NULL
 */
void tandem_device_close(struct tandem_device *device);

/**
 * tandem_device_get_info() - what the device is
 * @device: the device
 * @info: filled in
 *
 * Return: 0 or -ENODEV.
 */
int tandem_device_get_info(struct tandem_device *device, struct tandem_device_info *info);

/**
 * tandem_device_get_memory_class() - what a kind of its memory is
 * @device: the device
 * @index: from 0, less than &tandem_device_info.memory_classes
 * @memory_class: filled in
 *
 * Return: 0, -EINVAL for a class that is none, -ENODEV.
 */
int tandem_device_get_memory_class(struct tandem_device *device, uint32_t index,
				   struct tandem_memory_class *memory_class);

/**
 * tandem_device_on_lost() - be told when the device goes away
 * @device: the device
 * @lost: called once from the loop; operations of the device end with -ENODEV
 *	by themselves. NULL takes it back
 * @user: passed on
 */
void tandem_device_on_lost(struct tandem_device *device,
			   void (*lost)(struct tandem_device *device, void *user), void *user);

/* Is the device gone? */
int tandem_device_is_lost(const struct tandem_device *device);

/**
 * tandem_memory_alloc() - allocate device memory
 * @device: the device
 * @size: bytes, not zero; rounded up to whole pages
 * @memory: where to put it; reads as zeros, and is mapped into the device's
 *	context for reading and writing
 * @error: filled in on failure; may be NULL
 *
 * Return: 0, -ENOSPC when device memory is full, -EDQUOT when the administrator
 * allows the program no more (accel devices), -ENOMEM, -ENODEV.
 */
int tandem_memory_alloc(struct tandem_device *device, uint64_t size,
			struct tandem_memory **memory, struct tandem_error *error);

/* In place of a class: the first that has room. */
#define TANDEM_MEMORY_CLASS_ANY	0xffffffffu

/**
 * tandem_memory_alloc_class() - allocate device memory of one kind
 * @device: the device
 * @size: as for tandem_memory_alloc()
 * @index: of the class, see tandem_device_get_memory_class(); or
 *	%TANDEM_MEMORY_CLASS_ANY, which is what tandem_memory_alloc() does
 * @memory: where to put it
 * @error: filled in on failure; may be NULL
 *
 * Return: 0; -EINVAL for a class that is none; -ENOSPC when it is full, though
 * others may not be; -EDQUOT when the administrator allows the program no more
 * (accel devices); -ENOMEM, -ENODEV.
 */
int tandem_memory_alloc_class(struct tandem_device *device, uint64_t size, uint32_t index,
			      struct tandem_memory **memory, struct tandem_error *error);

/**
 * tandem_memory_alloc_shareable() - allocate memory that other processes may reach
 * @device: the device
 * @size: as for tandem_memory_alloc()
 * @memory: where to put it; tandem_memory_export() works on it
 * @error: filled in on failure; may be NULL
 *
 * For accel devices all memory is of this kind. For inproc devices it costs a
 * file descriptor, and the kernel may use smaller pages for it. KV pools are
 * made of it.
 *
 * Return: as tandem_memory_alloc(); -EMFILE or -ENFILE no file descriptor left.
 */
int tandem_memory_alloc_shareable(struct tandem_device *device, uint64_t size,
				  struct tandem_memory **memory, struct tandem_error *error);

/**
 * tandem_memory_share() - let another device reach memory
 * @memory: memory of a device
 * @device: another device of the same kind (both accel or both inproc)
 * @shared: where to put the other device's view of it, which has to be freed
 *	too, in any order
 * @error: filled in on failure; may be NULL
 *
 * Through a dma-buf for accel devices. No byte is copied.
 *
 * Return: 0, -EOPNOTSUPP for devices of different kinds, -ENOSPC, -ENOMEM,
 * -ENODEV.
 */
int tandem_memory_share(struct tandem_memory *memory, struct tandem_device *device,
			struct tandem_memory **shared, struct tandem_error *error);

/**
 * tandem_memory_free() - free memory or a view of it
 * @memory: no operation uses it, it is not registered for a transfer; may be
 *	NULL
 *
 * May block while commands run that began before.
 */
void tandem_memory_free(struct tandem_memory *memory);

/**
 * tandem_memory_map() - reach device memory from this process
 * @memory: the memory
 * @pointer: where to put the address, valid until tandem_memory_free();
 *	ordinary pages, good for ibv_reg_mr() and io_uring registered buffers
 *
 * Return: 0, -ENOMEM, -ENODEV.
 */
int tandem_memory_map(struct tandem_memory *memory, void **pointer);

/**
 * tandem_memory_export() - a file by which others reach device memory
 * @memory: the memory
 *
 * A dma-buf for accel devices, for reading and writing. For inproc devices a memfd
 * that others can only read, of memory from tandem_memory_alloc_shareable(). The
 * pages last as long as somebody has them, and are never those of other memory.
 *
 * Return: a file descriptor that the caller closes; -EOPNOTSUPP for other memory
 * of an inproc device; another negative errno.
 */
int tandem_memory_export(struct tandem_memory *memory);

/**
 * tandem_memory_import() - let a device read memory of another process
 * @device: of the same kind as the one that the memory is of
 * @fd: from tandem_memory_export() there; stays the caller's
 * @size: of it, whole pages
 * @memory: where to put the device's view of it, a source for copies
 * @error: filled in on failure; may be NULL
 *
 * Return: 0; -EINVAL not such a file, or shorter; -ENOSPC, -ENOMEM, -ENODEV.
 */
int tandem_memory_import(struct tandem_device *device, int fd, uint64_t size,
			 struct tandem_memory **memory, struct tandem_error *error);

/**
 * tandem_memory_import_dmabuf() - let a device read and write memory of whatever driver
 * @device: that is to reach it
 * @fd: a dma-buf, as of udmabuf, a dma-heap, or another driver's device; stays the
 *	caller's, who may close it at once
 * @memory: where to put the device's view of it, which holds it until freed. Good
 *	for copies, and for connections like memory of the device
 * @error: filled in on failure; may be NULL
 *
 * An accel device's driver imports it; an inproc device reaches it through a mapping.
 * Who else writes to it meanwhile is the application's affair: nothing waits for
 * the fences of a dma-buf.
 *
 * Return: 0; -EINVAL no dma-buf; -EACCES one that is for reading only; -ENOSPC,
 * -ENOMEM, -ENODEV; what else the driver or the exporter says.
 */
int tandem_memory_import_dmabuf(struct tandem_device *device, int fd,
				struct tandem_memory **memory, struct tandem_error *error);

/**
 * tandem_memory_register() - let a device read and write memory of this process
 * @device: that is to reach it
 * @pointer: the memory, at any address. It stays mapped until tandem_memory_free() of
 *	@memory, which does not free it
 * @size: bytes, any number but 0
 * @memory: where to put the device's view of it. Good for copies, and for connections
 *	within this process
 * @error: filled in on failure; may be NULL
 *
 * An accel device's driver pins the pages, which counts in RLIMIT_MEMLOCK (`ulimit -l`),
 * for each device anew. The device goes on with these very pages should others be mapped
 * at the address after all. What cannot be pinned to be written - it is mapped for
 * reading only, or a file that is not in memory - is for reading only: copies to it end
 * with -EACCES. An inproc device crashes the process then.
 *
 * Return: 0; -EFAULT (accel devices) memory that is not there, or of another driver that
 * cannot be pinned; -EOPNOTSUPP the driver is too old, or a file of a kind that it cannot
 * pin (DAX); -EINVAL; -ENOSPC no region left; -ENOMEM, also for more than may be pinned;
 * -ENODEV.
 */
int tandem_memory_register(struct tandem_device *device, void *pointer, uint64_t size,
			   struct tandem_memory **memory, struct tandem_error *error);

/* Bytes, after rounding. */
uint64_t tandem_memory_size(const struct tandem_memory *memory);
/* The region's index, for programs. */
uint32_t tandem_memory_region(const struct tandem_memory *memory);
/* The device that @memory was allocated on or shared to. */
struct tandem_device *tandem_memory_device(const struct tandem_memory *memory);

enum tandem_queue_type {
	TANDEM_QUEUE_TYPE_COPY = 0,
	TANDEM_QUEUE_TYPE_COMPUTE = 1,
};

/**
 * tandem_queue_open() - make a queue
 * @device: the device
 * @type: COPY for copies and fills, COMPUTE for programs too
 * @queue: where to put it
 * @error: filled in on failure; may be NULL
 *
 * What is put on one queue is carried out in order, one after the other;
 * queues do not wait for one another.
 *
 * Return: 0, -ENOSPC when the device has no more, -ENOMEM, -ENODEV.
 */
int tandem_queue_open(struct tandem_device *device, enum tandem_queue_type type,
		      struct tandem_queue **queue, struct tandem_error *error);

/**
 * tandem_queue_close() - end a queue
 * @queue: nothing is pending on it; may be NULL
 */
void tandem_queue_close(struct tandem_queue *queue);

/*
 * The following start an operation on a queue and return 0, or, having started
 * nothing, a negative errno: -ENOMEM, -ENODEV, -EINVAL for what can be seen to
 * be wrong here. The operation's own result is 0 or one of those of
 * &struct tandem_uring_command: -EINVAL, -EACCES, -EFAULT, -EIO, -ECANCELED,
 * -ETIMEDOUT, -ENODEV, -ENOMEM. Any number can be under way.
 */

/* Completes after what is before it on the queue. */
int tandem_nop(struct tandem_queue *queue, struct tandem_operation *op);

/* Copy @length bytes within one device, or between a device and a shared view. */
int tandem_copy(struct tandem_queue *queue, struct tandem_memory *destination,
		uint64_t destination_offset, struct tandem_memory *source,
		uint64_t source_offset, uint64_t length, struct tandem_operation *op);

/**
 * struct tandem_copy_segment - one piece of a tandem_copy_list()
 * @destination: memory of the queue's device, or a view that it has
 * @source: likewise
 * @destination_offset: bytes from the start of @destination
 * @source_offset: bytes from the start of @source
 * @length: bytes, not zero
 */
struct tandem_copy_segment {
	struct tandem_memory *destination;
	struct tandem_memory *source;
	uint64_t destination_offset;
	uint64_t source_offset;
	uint64_t length;
};

/*
 * Copy @count pieces, in any order, as one operation: no piece may write what
 * another reads or writes. @segments are read before the call returns. There
 * may be any number; some ten thousands make one command of the device, which
 * checks all of them before it copies the first.
 */
int tandem_copy_list(struct tandem_queue *queue, const struct tandem_copy_segment *segments,
		     size_t count, struct tandem_operation *op);

/* Copy from this process's memory; @source stays as it is until the end. */
int tandem_upload(struct tandem_queue *queue, struct tandem_memory *destination,
		  uint64_t offset, const void *source, uint64_t length,
		  struct tandem_operation *op);

/* Copy to this process's memory. */
int tandem_download(struct tandem_queue *queue, void *destination,
		    struct tandem_memory *source, uint64_t offset, uint64_t length,
		    struct tandem_operation *op);

/* Repeat a 32-bit pattern; @offset and @length are multiples of 4. */
int tandem_fill(struct tandem_queue *queue, struct tandem_memory *destination,
		uint64_t offset, uint64_t length, uint32_t pattern,
		struct tandem_operation *op);

/*
 * Run the program (see tandem_program.h) of @length bytes at @offset, which
 * stays as it is until the end.
 */
int tandem_exec(struct tandem_queue *queue, struct tandem_memory *program,
		uint64_t offset, uint64_t length, struct tandem_operation *op);

#ifdef __cplusplus
}
#endif

#endif /* TANDEM_DEVICE_H */
