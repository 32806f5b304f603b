/* SPDX-License-Identifier: MIT */
/*
 * What a user asks a device to do wrong, and when: the text behind --fault.
 */
#ifndef TANDEM_FIRMWARE_FAULT_SPEC_H
#define TANDEM_FIRMWARE_FAULT_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/**
 * enum fw_fault_kind - what goes wrong
 * @FW_FAULT_HANG: a command does not end
 * @FW_FAULT_CRASH: the process aborts
 * @FW_FAULT_HEARTBEAT: the heartbeat stops until the device is enabled anew
 * @FW_FAULT_FATAL: the device stops with a FATAL status
 * @FW_FAULT_STUCK: changes of CONTROL are not answered any more
 * @FW_FAULT_LATE: the device does nothing for some time
 * @FW_FAULT_STORM: interrupts without completions
 * @FW_FAULT_REGISTER: a register shows something else
 * @FW_FAULT_REFUSE: an admin command is refused
 * @FW_FAULT_SILENT: an admin command is neither carried out nor answered
 * @FW_FAULT_IDENTITY: a member of the identity is something else
 * @FW_FAULT_DMA: a command reaches for memory that it was not told of
 * @FW_FAULT_SCRIBBLE: a command does not end, and writes to its destination
 * @FW_FAULT_COMPLETION: a member of a completion is something else
 * @FW_FAULT_REPLAY: an earlier completion comes again
 * @FW_FAULT_DUPLICATE: a completion comes twice
 * @FW_FAULT_LOST_COMPLETION: a completion does not come
 * @FW_FAULT_LOST_INTERRUPT: an interrupt does not come
 * @FW_FAULT_ARMED: a doorbell's member armed is something else
 */
enum fw_fault_kind {
	FW_FAULT_HANG,
	FW_FAULT_CRASH,
	FW_FAULT_HEARTBEAT,
	FW_FAULT_FATAL,
	FW_FAULT_STUCK,
	FW_FAULT_LATE,
	FW_FAULT_STORM,
	FW_FAULT_REGISTER,
	FW_FAULT_REFUSE,
	FW_FAULT_SILENT,
	FW_FAULT_IDENTITY,
	FW_FAULT_DMA,
	FW_FAULT_SCRIBBLE,
	FW_FAULT_COMPLETION,
	FW_FAULT_REPLAY,
	FW_FAULT_DUPLICATE,
	FW_FAULT_LOST_COMPLETION,
	FW_FAULT_LOST_INTERRUPT,
	FW_FAULT_ARMED,
};

/**
 * enum fw_fault_occasion - when something can go wrong
 * @FW_FAULT_BOOT: the register file is filled in, and shows READY
 * @FW_FAULT_ENABLE: the driver enables the device
 * @FW_FAULT_DISABLE: the driver disables it
 * @FW_FAULT_ADMIN: an admin command is taken up
 * @FW_FAULT_COMMAND: a command of an I/O queue is taken up
 * @FW_FAULT_COMPLETE: a completion is written
 * @FW_FAULT_INTERRUPT: an interrupt is raised
 * @FW_FAULT_IDLE: a queue is about to wait for its doorbell
 */
enum fw_fault_occasion {
	FW_FAULT_BOOT,
	FW_FAULT_ENABLE,
	FW_FAULT_DISABLE,
	FW_FAULT_ADMIN,
	FW_FAULT_COMMAND,
	FW_FAULT_COMPLETE,
	FW_FAULT_INTERRUPT,
	FW_FAULT_IDLE,
};

/**
 * enum fw_fault_until - what ends a command that hangs
 * @FW_FAULT_UNTIL_ABORT: an ABORT, or what follows
 * @FW_FAULT_UNTIL_DISABLE: the end of its queue
 * @FW_FAULT_UNTIL_EXIT: the end of the process only
 */
enum fw_fault_until {
	FW_FAULT_UNTIL_ABORT,
	FW_FAULT_UNTIL_DISABLE,
	FW_FAULT_UNTIL_EXIT,
};

/**
 * enum fw_fault_space - where a stray access goes
 * @FW_FAULT_MEMORY: reads device memory
 * @FW_FAULT_HOST_READ: reads host memory
 * @FW_FAULT_HOST_WRITE: writes host memory
 */
enum fw_fault_space {
	FW_FAULT_MEMORY,
	FW_FAULT_HOST_READ,
	FW_FAULT_HOST_WRITE,
};

/**
 * struct fw_fault_field - a member that can be made wrong
 * @name: for the user
 * @offset: bytes from the start of the structure, or of the register file
 * @size: bytes
 */
struct fw_fault_field {
	const char *name;
	size_t offset;
	size_t size;
};

/**
 * struct fw_fault_spec - one fault
 * @kind: what
 * @on: when
 * @at: number of the first occasion, of those that match, counted from 1
 * @count: how often, on occasions that follow one another; 0 for always
 * @permille: how likely on each of these
 * @seed: of the likelihood
 * @queue: only on this queue; negative for all. Completions and interrupts
 *	without it mean those of I/O queues
 * @opcode: only this; negative for all
 * @field: REGISTER, IDENTITY, COMPLETION: the member
 * @has_value: @value is given; without, a member has all its bits inverted
 * @value: what a member is set to, a status, a number of interrupts, how far
 *	back a replay goes, what a stray read looks for
 * @add: COMPLETION: added to the member in place of setting it
 * @extra: COMPLETION: the wrong one comes before the right one, not instead
 * @until: HANG, SCRIBBLE
 * @space: DMA
 * @address: DMA
 * @length: DMA, bytes; each page in it is tried
 * @ms: LATE
 */
struct fw_fault_spec {
	enum fw_fault_kind kind;
	enum fw_fault_occasion on;
	uint64_t at;
	uint64_t count;
	uint32_t permille;
	uint64_t seed;
	int queue;
	int opcode;
	const struct fw_fault_field *field;
	bool has_value;
	uint64_t value;
	uint64_t add;
	bool extra;
	enum fw_fault_until until;
	enum fw_fault_space space;
	uint64_t address;
	uint64_t length;
	uint32_t ms;
};

/**
 * fw_fault_spec_parse() - read KIND[:NAME=VALUE[,NAME=VALUE]...]
 * @text: the text
 * @spec: filled in
 * @error: for the reason of a failure
 * @size: bytes of it
 *
 * Return: 0 or -EINVAL.
 */
int fw_fault_spec_parse(const char *text, struct fw_fault_spec *spec, char *error,
			size_t size);

/* Tell what can be asked for. */
void fw_fault_spec_help(FILE *to);

#endif /* TANDEM_FIRMWARE_FAULT_SPEC_H */
