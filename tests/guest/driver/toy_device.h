/* SPDX-License-Identifier: MIT */
/*
 * A device that does as a test tells it, well or badly: the least that the
 * driver takes for a Tandem device, in a process of its own.
 */
#ifndef TEST_TOY_DEVICE_H
#define TEST_TOY_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TOY_MEMORY	(16ull << 20)
#define TOY_QUEUES	2
/* Of each ring. */
#define TOY_ENTRIES	16
/* Completions of a device that writes garbage, for each command. */
#define TOY_GARBAGE_EACH	64
/* Commands of which it keeps the order. */
#define TOY_ORDER_MAX	1024

/**
 * enum toy_manner - how it treats commands
 * @TOY_GOOD: carries out each at once; programs it only completes
 * @TOY_HOLD: takes none up, until it is told otherwise
 * @TOY_HANG: completes none, and ignores aborts
 * @TOY_HANG_UNTIL_ABORT: completes what is aborted
 * @TOY_REPEAT: completes each twice
 * @TOY_WRONG_ID: first completes commands that do not exist
 * @TOY_WRONG_QUEUE: first completes each for another queue
 * @TOY_STALE: first completes each with another epoch
 * @TOY_NONSENSE: completes each with an unknown status and the longest time
 * @TOY_STILL: likewise as good, but its heart has stopped
 * @TOY_FATAL: reports a fatal error
 * @TOY_SILENT: does not answer admin commands
 * @TOY_POISONED: good, but for fills with TOY_POISON: they never end, and their
 *	queue with them, not even when aborted
 * @TOY_GARBAGE: completes commands that do not exist, and never those that do
 */
enum toy_manner {
	TOY_GOOD,
	TOY_HOLD,
	TOY_HANG,
	TOY_HANG_UNTIL_ABORT,
	TOY_REPEAT,
	TOY_WRONG_ID,
	TOY_WRONG_QUEUE,
	TOY_STALE,
	TOY_NONSENSE,
	TOY_STILL,
	TOY_FATAL,
	TOY_SILENT,
	TOY_POISONED,
	TOY_GARBAGE,
};

#define TOY_POISON	0xdeadbeefu

/**
 * enum toy_defect - what is wrong with it from the start
 * @TOY_NO_DEFECT: nothing
 * @TOY_BAD_MAGIC: the magic number
 * @TOY_BAD_VERSION: the version
 * @TOY_BAD_MEMORY_SIZE: memory in the registers is not that on the bus
 * @TOY_BAD_IDENTITY: sizes of rings in its identity
 * @TOY_NO_HANDSHAKE: it does not react to being enabled
 * @TOY_BAD_CLASSES: and TOY_BAD_CLASS_DEFECTS - 1 after it: classes of memory
 *	in its identity, each in another way
 */
enum toy_defect {
	TOY_NO_DEFECT,
	TOY_BAD_MAGIC,
	TOY_BAD_VERSION,
	TOY_BAD_MEMORY_SIZE,
	TOY_BAD_IDENTITY,
	TOY_NO_HANDSHAKE,
	TOY_BAD_CLASSES,
};

#define TOY_BAD_CLASS_DEFECTS	13

/**
 * struct toy_shared - between the test and the process
 * @manner: &enum toy_manner, may be changed at any time
 * @heals: becomes good when it is disabled
 * @fatal_once: to report a fatal error; false when that has been done
 * @page_us: microseconds that a command takes for each page of its length, or
 *	for less than one: that time passes, and it claims just that. 0 for none
 * @limit: commands that it takes up in all, until it is told otherwise; 0 for
 *	no limit
 * @taken: commands that it has taken up
 * @order: the arguments of the first of these
 * @slot: on the bus, when it is plugged in
 * @plugged: it is
 * @probe: device address to read, plus 1; 0 when that has been done
 * @probe_faulted: there was no memory
 * @probe_value: what was there
 */
struct toy_shared {
	volatile int manner;
	volatile bool heals;
	volatile bool fatal_once;
	volatile uint32_t page_us;
	volatile uint32_t limit;
	volatile uint32_t taken;
	volatile uint32_t order[TOY_ORDER_MAX];
	volatile uint32_t slot;
	volatile bool plugged;
	volatile uint64_t probe;
	volatile bool probe_faulted;
	volatile uint8_t probe_value;
};

struct toy_device {
	pid_t pid;
	struct toy_shared *shared;
};

void toy_start(struct toy_device *toy, enum toy_defect defect);
void toy_kill(struct toy_device *toy);
/* Returns when it has taken up so many commands in all. */
void toy_wait_for_commands(const struct toy_device *toy, uint32_t count);
/* Reads a byte of device memory as the device: false for a fault. */
bool toy_probe(struct toy_device *toy, uint64_t address, uint8_t *value);
/* Is the device on the bus? */
bool toy_on_bus(const struct toy_device *toy);
/* Path of its accel node, once it can be opened; false when none comes. */
bool toy_find_node(const struct toy_device *toy, char *path, size_t size,
		   int seconds);

#endif /* TEST_TOY_DEVICE_H */
