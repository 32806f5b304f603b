/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
/*
 * The interface between the driver and a Tandem device.
 *
 * A device is a register file, a doorbell page, device memory, and a bus
 * master that reaches host memory through bus addresses which the driver has
 * mapped for it. Everything here is little-endian and naturally aligned.
 *
 * Trust: the device is trusted by nobody. The driver copies each value it
 * reads from registers or rings once and checks the copy. The device in turn
 * checks every descriptor against the region table of the context that the
 * descriptor names, so that a context can reach only what was mapped for it.
 *
 * Life of a device::
 *
 *	device: fills MAGIC, VERSION, MEMORY_SIZE, QUEUE_MAX, STATUS = READY
 *	driver: checks them, writes EPOCH, ADMIN_*, CONTEXT_*, CONTROL = ENABLE,
 *	        rings doorbell 0
 *	device: checks them, STATUS = RUNNING, raises interrupt 0
 *	driver: IDENTIFY, QUEUE_CREATE … through the admin queue
 *	driver: CONTROL = 0 and doorbell 0 stops and drains every queue;
 *	        the device answers STATUS = READY and touches no host memory
 *	        after that. Enabling it again needs a new EPOCH.
 */
#ifndef _UAPI_TANDEM_HW_H
#define _UAPI_TANDEM_HW_H

#include <linux/types.h>

/* "TNDM" in memory order. */
#define TANDEM_HW_MAGIC			0x4d444e54

/*
 * A driver takes any device of its own major version. Minor versions only add:
 * fields that used to be reserved (and zero), opcodes, status codes.
 */
#define TANDEM_HW_VERSION_MAJOR		3
#define TANDEM_HW_VERSION_MINOR		0
#define TANDEM_HW_VERSION(major, minor)	(((major) << 16) | (minor))

/**
 * DOC: registers
 *
 * 32 bits wide where not said otherwise. A 64-bit register is read and
 * written as two 32-bit halves, low half first, and is only looked at by the
 * other side after the doorbell or status change that publishes it; HEARTBEAT
 * is the exception and is 32 bits for that reason.
 */

/* Device: %TANDEM_HW_MAGIC. */
#define TANDEM_REG_MAGIC		0x000
/* Device: TANDEM_HW_VERSION(major, minor). */
#define TANDEM_REG_VERSION		0x004
/* Device: enum tandem_hw_state. */
#define TANDEM_REG_STATUS		0x008
/* Driver: TANDEM_CONTROL_* bits. */
#define TANDEM_REG_CONTROL		0x00c
#define   TANDEM_CONTROL_ENABLE		(1u << 0)
/* Device: counts up at least once each %TANDEM_HW_HEARTBEAT_MS while alive. */
#define TANDEM_REG_HEARTBEAT		0x010
/* Device: why STATUS is FATAL, enum tandem_hw_status. */
#define TANDEM_REG_FATAL		0x014
/* Driver: never zero; differs from that of every earlier enable. */
#define TANDEM_REG_EPOCH		0x018
/* Driver: entries of each admin ring, a power of two. */
#define TANDEM_REG_ADMIN_ENTRIES	0x01c
/* Driver, 64 bits: bus address of the admin submission ring. */
#define TANDEM_REG_ADMIN_SQ		0x020
/* Driver, 64 bits: bus address of the admin completion ring. */
#define TANDEM_REG_ADMIN_CQ		0x028
/* Driver, 64 bits: bus address of the context table. */
#define TANDEM_REG_CONTEXT_TABLE	0x030
/* Driver: entries in the context table. */
#define TANDEM_REG_CONTEXT_COUNT	0x038
/* Device: I/O queues that QUEUE_CREATE can make; the admin queue not counted. */
#define TANDEM_REG_QUEUE_MAX		0x03c
/* Device, 64 bits: bytes of device memory, a multiple of 4096. */
#define TANDEM_REG_MEMORY_SIZE		0x040

#define TANDEM_HW_REGISTER_BYTES	0x1000

/*
 * Doorbells follow the registers, one &struct tandem_hw_doorbell for each
 * queue, the admin queue being number 0.
 */
#define TANDEM_HW_DOORBELL_BASE		0x1000
#define TANDEM_HW_DOORBELL_BYTES	0x1000
#define TANDEM_HW_BAR_BYTES		(TANDEM_HW_REGISTER_BYTES + TANDEM_HW_DOORBELL_BYTES)

/**
 * struct tandem_hw_doorbell - the doorbell of one queue
 * @sq_tail: driver: free-running count of descriptors written; the slot of
 *	number n is n modulo the ring's size
 * @cq_head: driver: free-running count of completions consumed
 * @armed: device: non-zero while it sleeps and wants to be woken for a new
 *	@sq_tail. The driver stores @sq_tail, then a full barrier, then reads
 *	@armed; the device stores @armed, a full barrier, then reads @sq_tail
 *	again before it sleeps. A hint: waking an awake device is harmless.
 * @reserved: zero
 *
 * The device zeroes the admin queue's before READY and before RUNNING, and
 * another's before QUEUE_CREATE and after QUEUE_DELETE complete; the driver
 * writes none before that. A @sq_tail further ahead than the ring is long, or
 * a @cq_head ahead of what was completed, is FATAL.
 */
struct tandem_hw_doorbell {
	__le32 sq_tail;
	__le32 cq_head;
	__le32 armed;
	__le32 reserved;
};

/* 0x1000 / sizeof(struct tandem_hw_doorbell), minus the admin queue. */
#define TANDEM_HW_QUEUES_MAX		255

/* The longest time between two increments of HEARTBEAT, in milliseconds. */
#define TANDEM_HW_HEARTBEAT_MS		500
/* How long the device may take over a change of STATUS, in milliseconds. */
#define TANDEM_HW_STATE_TIMEOUT_MS	3000

/**
 * enum tandem_hw_state - values of the STATUS register
 * @TANDEM_HW_STATE_BOOTING: registers are not valid yet
 * @TANDEM_HW_STATE_READY: disabled, waits for CONTROL = ENABLE
 * @TANDEM_HW_STATE_RUNNING: takes commands
 * @TANDEM_HW_STATE_FATAL: has stopped for the reason in FATAL; CONTROL = 0
 *	brings it back to READY
 */
enum tandem_hw_state {
	TANDEM_HW_STATE_BOOTING = 0,
	TANDEM_HW_STATE_READY = 1,
	TANDEM_HW_STATE_RUNNING = 2,
	TANDEM_HW_STATE_FATAL = 3,
};

/**
 * enum tandem_hw_opcode - what a descriptor asks for
 * @TANDEM_HW_OP_NOP: completes, after what was before it on the queue
 * @TANDEM_HW_OP_COPY: copies @length bytes from source to destination; the
 *	two may overlap only when they are the same range
 * @TANDEM_HW_OP_FILL: repeats the low 32 bits of @argument over the
 *	destination; offset and length are multiples of 4
 * @TANDEM_HW_OP_EXEC: runs the program of @length bytes at the source
 *	(see tandem_program.h); compute queues only
 * @TANDEM_HW_OP_COPY_LIST: copies @length segments, which are listed as
 *	&struct tandem_hw_segment at bus address @argument; in any order. All
 *	are checked before the first is copied
 * @TANDEM_HW_OP_IDENTIFY: admin; writes &struct tandem_hw_identity at bus
 *	address @src_offset
 * @TANDEM_HW_OP_QUEUE_CREATE: admin; makes queue @argument (1 …) with
 *	submission ring at bus address @src_offset, completion ring at
 *	@dst_offset, @length entries each (a power of two), of kind @src_region
 *	(&enum tandem_hw_queue_kind). Interrupts come with the queue's number.
 * @TANDEM_HW_OP_QUEUE_DELETE: admin; stops queue @argument. Descriptors not
 *	yet begun complete as ABORTED first; one that is running is finished
 *	or abandoned. After the completion the device does not touch the rings.
 * @TANDEM_HW_OP_ABORT: admin; ends a command of queue @argument early, if it is
 *	still there: that with the number @length, counted from 0 in the order of
 *	the submission ring since QUEUE_CREATE, modulo 2^32. (A command_id would
 *	come again while an ABORT is on its way.) The command itself then
 *	completes as ABORTED (or as whatever it came to). Always succeeds.
 * @TANDEM_HW_OP_CONTEXT_SYNC: admin; completes when no command that was
 *	taken up before it still uses context @context or an older copy of its
 *	region table
 * @TANDEM_HW_OP_LOG_READ: admin; writes &struct tandem_hw_log with what follows
 *	byte @argument of the firmware's log to bus address @src_offset, at most
 *	@length bytes in all. &tandem_hw_completion.detail is the number of
 *	bytes of text. Bytes are numbered from the start of the device; the log
 *	keeps the newest only, and one that is asked for after it was dropped
 *	yields the oldest there is
 */
enum tandem_hw_opcode {
	TANDEM_HW_OP_NOP = 0,
	TANDEM_HW_OP_COPY = 1,
	TANDEM_HW_OP_FILL = 2,
	TANDEM_HW_OP_EXEC = 3,
	TANDEM_HW_OP_COPY_LIST = 4,
	TANDEM_HW_OP_IDENTIFY = 0x80,
	TANDEM_HW_OP_QUEUE_CREATE = 0x81,
	TANDEM_HW_OP_QUEUE_DELETE = 0x82,
	TANDEM_HW_OP_ABORT = 0x83,
	TANDEM_HW_OP_CONTEXT_SYNC = 0x84,
	TANDEM_HW_OP_LOG_READ = 0x85,
};

/**
 * enum tandem_hw_queue_kind - what the engine behind a queue can do
 * @TANDEM_HW_QUEUE_COPY: NOP, COPY, FILL, COPY_LIST
 * @TANDEM_HW_QUEUE_COMPUTE: these and EXEC
 */
enum tandem_hw_queue_kind {
	TANDEM_HW_QUEUE_COPY = 0,
	TANDEM_HW_QUEUE_COMPUTE = 1,
};

/**
 * struct tandem_hw_descriptor - one entry of a submission ring
 * @opcode: &enum tandem_hw_opcode
 * @flags: zero
 * @command_id: given back in the completion; unique among the commands that
 *	are on the queue
 * @context: index into the context table
 * @dst_region: index into the context's region table
 * @src_region: index into the context's region table
 * @dst_offset: bytes from the start of the region
 * @src_offset: bytes from the start of the region
 * @length: bytes
 * @argument: see the opcode
 * @reserved: zero
 *
 * Fields that an opcode does not use are zero; the device refuses others with
 * INVALID_FIELD.
 */
struct tandem_hw_descriptor {
	__u8 opcode;
	__u8 flags;
	__le16 command_id;
	__le32 context;
	__le32 dst_region;
	__le32 src_region;
	__le64 dst_offset;
	__le64 src_offset;
	__le64 length;
	__le64 argument;
	__le64 reserved[2];
};

/**
 * struct tandem_hw_segment - one piece of a COPY_LIST, in host memory
 * @dst_region: index into the region table of the descriptor's context
 * @src_region: likewise
 * @dst_offset: bytes from the start of the region
 * @src_offset: bytes from the start of the region
 * @length: bytes, not zero
 */
struct tandem_hw_segment {
	__le32 dst_region;
	__le32 src_region;
	__le64 dst_offset;
	__le64 src_offset;
	__le64 length;
};

/**
 * struct tandem_hw_log - what LOG_READ writes
 * @position: number of the first byte of @text: that which was asked for, the
 *	oldest there is, or the end of the log
 * @text: lines in ASCII, each with a newline at its end; nothing else ends it
 */
struct tandem_hw_log {
	__le64 position;
	__u8 text[];
};

/* The most segments of one COPY_LIST. */
#define TANDEM_HW_SEGMENTS_MAX		65536

/**
 * enum tandem_hw_status - how a command ended
 * @TANDEM_HW_OK: done
 * @TANDEM_HW_INVALID_OPCODE: unknown, or not for a queue of this kind
 * @TANDEM_HW_INVALID_FIELD: a field out of range; a reserved one not zero
 * @TANDEM_HW_INVALID_CONTEXT: no such context
 * @TANDEM_HW_REGION_FAULT: no such region, past its end, or not permitted;
 *	&tandem_hw_completion.detail is the region's index
 * @TANDEM_HW_BUS_FAULT: the memory behind a region did not answer
 * @TANDEM_HW_PROGRAM_INVALID: the program does not pass the device's checks;
 *	@detail is &enum tandem_program_error
 * @TANDEM_HW_ABORTED: ended by ABORT, QUEUE_DELETE or disabling
 * @TANDEM_HW_NO_MEMORY: the device had no working memory left
 * @TANDEM_HW_INTERNAL: a defect of the device
 */
enum tandem_hw_status {
	TANDEM_HW_OK = 0,
	TANDEM_HW_INVALID_OPCODE = 1,
	TANDEM_HW_INVALID_FIELD = 2,
	TANDEM_HW_INVALID_CONTEXT = 3,
	TANDEM_HW_REGION_FAULT = 4,
	TANDEM_HW_BUS_FAULT = 5,
	TANDEM_HW_PROGRAM_INVALID = 6,
	TANDEM_HW_ABORTED = 7,
	TANDEM_HW_NO_MEMORY = 8,
	TANDEM_HW_INTERNAL = 9,
};

/**
 * struct tandem_hw_completion - one entry of a completion ring
 * @command_id: of the descriptor
 * @queue: number of the queue
 * @status: &enum tandem_hw_status
 * @phase: bit 0 is 1 on the first pass through the ring, 0 on the second, and
 *	so on; written last, with release order. Other bits are zero.
 * @epoch: that of the EPOCH register when the device was enabled; an entry
 *	with another one is stale
 * @detail: more about @status, or zero
 * @duration_ns: time that the engine spent on the command, measured
 * @modelled_ns: time that the device's profile would have needed, estimated;
 *	zero when there is no estimate
 * @ended_ns: the device's clock when the engine was done; counts nanoseconds
 *	from any point of time that stays the same while it is enabled
 * @reserved: zero
 */
struct tandem_hw_completion {
	__le16 command_id;
	__le16 queue;
	__le16 status;
	__le16 phase;
	__le32 epoch;
	__le32 detail;
	__le64 duration_ns;
	__le64 modelled_ns;
	__le64 ended_ns;
	__le64 reserved[3];
};

/**
 * struct tandem_hw_context - one entry of the context table, in host memory
 * @regions: bus address of the context's region table
 * @region_count: entries of that table
 * @flags: TANDEM_HW_CONTEXT_*; an entry without VALID is refused
 */
struct tandem_hw_context {
	__le64 regions;
	__le32 region_count;
	__le32 flags;
#define TANDEM_HW_CONTEXT_VALID		(1u << 0)
};

/**
 * struct tandem_hw_region - one entry of a region table, in host memory
 * @address: first byte: a device address, or with HOST a bus address
 * @length: bytes
 * @flags: TANDEM_HW_REGION_*
 * @reserved: zero
 *
 * The driver sets VALID last and clears it first, and lets go of the memory
 * only when no command that names the region is on a queue. The device reads
 * an entry once each time that a command names it, and checks the copy.
 */
struct tandem_hw_region {
	__le64 address;
	__le64 length;
	__le32 flags;
#define TANDEM_HW_REGION_VALID		(1u << 0)
#define TANDEM_HW_REGION_READ		(1u << 1)
#define TANDEM_HW_REGION_WRITE		(1u << 2)
#define TANDEM_HW_REGION_HOST		(1u << 3)
	__le32 reserved[3];
};

/**
 * enum tandem_hw_role - what a device is meant for
 * @TANDEM_HW_ROLE_ANY: both phases
 * @TANDEM_HW_ROLE_PREFILL: arithmetic-rich
 * @TANDEM_HW_ROLE_DECODE: rich in memory bandwidth
 */
enum tandem_hw_role {
	TANDEM_HW_ROLE_ANY = 0,
	TANDEM_HW_ROLE_PREFILL = 1,
	TANDEM_HW_ROLE_DECODE = 2,
};

/**
 * enum tandem_hw_memory_kind - what memory is made of
 * @TANDEM_HW_MEMORY_DRAM: DRAM on a board
 * @TANDEM_HW_MEMORY_HBM: stacked DRAM
 * @TANDEM_HW_MEMORY_SRAM: on the chip
 */
enum tandem_hw_memory_kind {
	TANDEM_HW_MEMORY_DRAM = 0,
	TANDEM_HW_MEMORY_HBM = 1,
	TANDEM_HW_MEMORY_SRAM = 2,
};

/* Classes of memory that a device may have. */
#define TANDEM_HW_MEMORY_CLASSES_MAX	4

/**
 * struct tandem_hw_memory_class - a range of device memory of one kind
 * @start: first device address, a multiple of 4096
 * @size: bytes, a multiple of 4096
 * @bandwidth: bytes a second of the modelled part; 0 when not known
 * @kind: &enum tandem_hw_memory_kind
 * @reserved: zero
 */
struct tandem_hw_memory_class {
	__le64 start;
	__le64 size;
	__le64 bandwidth;
	__le32 kind;
	__le32 reserved;
};

/**
 * struct tandem_hw_identity - what IDENTIFY writes
 * @profile: name of the device model, such as "trn2"; NUL-terminated
 * @firmware_version: NUL-terminated
 * @role: &enum tandem_hw_role
 * @copy_queues: queues of kind COPY that can exist at once
 * @compute_queues: likewise of kind COMPUTE
 * @queue_entries_max: entries a ring may have, a power of two
 * @memory_size: as the MEMORY_SIZE register says
 * @profile_memory_size: bytes of memory of the modelled part
 * @profile_memory_bandwidth: bytes a second of the modelled part
 * @profile_flops: peak dense bf16 operations a second of the modelled part
 * @profile_link_bandwidth: bytes a second of the modelled part's network
 * @memory_class_count: entries of @memory_class that are used, 1 at least
 * @pad: zero
 * @memory_class: lie below @memory_size, do not overlap, and add up to it; the
 *	first is where memory for no purpose in particular goes
 * @reserved: zero
 */
struct tandem_hw_identity {
	char profile[32];
	char firmware_version[32];
	__le32 role;
	__le32 copy_queues;
	__le32 compute_queues;
	__le32 queue_entries_max;
	__le64 memory_size;
	__le64 profile_memory_size;
	__le64 profile_memory_bandwidth;
	__le64 profile_flops;
	__le64 profile_link_bandwidth;
	__le32 memory_class_count;
	__le32 pad;
	struct tandem_hw_memory_class memory_class[TANDEM_HW_MEMORY_CLASSES_MAX];
	__u8 reserved[4096 - 256];
};

#endif /* _UAPI_TANDEM_HW_H */
