/* SPDX-License-Identifier: MIT */
/*
 * The firmware core: a Tandem device as a library.
 *
 * It implements the device's side of <tandem_hw.h> and <tandem_program.h> on
 * threads of its own. How registers, memory and interrupts reach the driver is
 * the embedder's matter, who hands in a &struct tandem_fw_bus: tandem-fw puts
 * the emulated bus of the kernel module behind it, the runtime's in-process
 * back end plain memory. Any number of devices can live in one process.
 */
#ifndef TANDEM_FIRMWARE_H
#define TANDEM_FIRMWARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tandem_fw;

/* Levels of the log, the most urgent first. */
enum tandem_fw_log_level {
	TANDEM_FW_LOG_ERROR = 0,
	TANDEM_FW_LOG_INFO = 1,
	TANDEM_FW_LOG_DEBUG = 2,
};

/**
 * struct tandem_fw_bus - what a device is plugged into; the embedder's
 * @registers: the register file and doorbells, TANDEM_HW_BAR_BYTES of memory
 *	shared with the driver, aligned to 64 bytes
 * @doorbells: an eventfd for each queue, index 0 for the admin queue, one more
 *	than the configured I/O queues; blocking or not. The device reads them,
 *	and writes them to wake its own threads
 * @memory: device memory from @address on; NULL unless all @length bytes exist.
 *	Device address 0 is aligned to 64 bytes
 * @host: host memory behind bus addresses from @address on; NULL unless all
 *	@length bytes are reachable, for writing if @write
 * @raise_interrupt: interrupt @vector of the driver: a queue's number, or 0
 *	for the admin queue and changes of STATUS
 * @guard: call @body(@argument); -EFAULT if memory from @memory or @host did
 *	not answer, in which case @body was left in the middle, else 0. Calls
 *	may nest. NULL where memory always answers
 * @log: a line that was added to the log, without newline; may be NULL
 *
 * All functions are called from several threads of the device at once and
 * must stay valid until tandem_fw_destroy() has returned. Pointers that
 * @memory and @host return must stay valid as long as the driver keeps what is
 * behind them mapped for the device.
 */
struct tandem_fw_bus {
	void *registers;
	const int *doorbells;
	void *(*memory)(struct tandem_fw_bus *bus, uint64_t address, uint64_t length);
	void *(*host)(struct tandem_fw_bus *bus, uint64_t address, uint64_t length,
		      bool write);
	void (*raise_interrupt)(struct tandem_fw_bus *bus, uint32_t vector);
	int (*guard)(struct tandem_fw_bus *bus, void (*body)(void *argument),
		     void *argument);
	void (*log)(struct tandem_fw_bus *bus, enum tandem_fw_log_level level,
		    const char *message);
};

/**
 * struct tandem_fw_config - what the device is
 * @profile: name of the modelled part, see profiles.h
 * @memory_size: bytes of device memory of the profile's kind, a multiple of
 *	4096, not zero
 * @sram_size: bytes of on-chip memory beside it, a multiple of 4096; 0 for
 *	none, and for profiles whose memory is on the chip as it is. It comes
 *	second, in device addresses and among the classes
 * @copy_queues: I/O queues of kind COPY that can exist at once
 * @compute_queues: likewise COMPUTE; the sum of both is 1 … 255
 * @cores: threads that a compute queue works with; 0 means 1
 * @isa: instruction set of the kernels ("scalar", "avx2", "avx512", "avx512vnni",
 *	"avx512bf16"); NULL for the best
 * @working_memory_max: bytes that a compute queue may take from the process for
 *	a program and what lies between its steps; 0 means 1 GiB
 * @look_us_max: the longest that an engine looks for a command before it
 *	sleeps, in microseconds, at most %TANDEM_FW_LOOK_US_MAX. It looks only
 *	while commands come that close to each other
 * @log_level: the least urgent level that is logged; errors and INFO always are
 * @faults: what the device is to do wrong, as tandem-fw --fault says; the last
 *	followed by NULL. NULL for nothing
 */
struct tandem_fw_config {
	const char *profile;
	uint64_t memory_size;
	uint64_t sram_size;
	uint32_t copy_queues;
	uint32_t compute_queues;
	uint32_t cores;
	const char *isa;
	uint64_t working_memory_max;
	uint32_t look_us_max;
	enum tandem_fw_log_level log_level;
	const char *const *faults;
};

#define TANDEM_FW_LOOK_US_MAX	100000

/* Longest message of tandem_fw_create(), in bytes with its end. */
#define TANDEM_FW_ERROR_BYTES	160

/**
 * tandem_fw_create() - make a device
 * @config: copied
 * @bus: kept, the embedder's; unused until tandem_fw_start()
 * @fw: where to put the device
 * @error: %TANDEM_FW_ERROR_BYTES for the reason of a failure; may be NULL
 *
 * Return: 0; -EINVAL for a bad configuration; -ENOMEM.
 */
int tandem_fw_create(const struct tandem_fw_config *config, struct tandem_fw_bus *bus,
		     struct tandem_fw **fw, char *error);

/**
 * tandem_fw_start() - switch the device on
 * @fw: a device that was not started yet
 *
 * When it returns the registers show STATUS = READY, and a thread waits for
 * the driver.
 *
 * Return: 0, or -EAGAIN if no thread can be made.
 */
int tandem_fw_start(struct tandem_fw *fw);

/**
 * tandem_fw_stop() - switch the device off, as by pulling it out
 * @fw: the device, started or not
 *
 * Running commands are given up, nothing more is completed, all threads have
 * ended on return. The device cannot be started again.
 */
void tandem_fw_stop(struct tandem_fw *fw);

/**
 * tandem_fw_destroy() - stop and free a device
 * @fw: may be NULL
 */
void tandem_fw_destroy(struct tandem_fw *fw);

/* Version of the firmware, as IDENTIFY reports it. */
const char *tandem_fw_version(void);

#endif /* TANDEM_FIRMWARE_H */
