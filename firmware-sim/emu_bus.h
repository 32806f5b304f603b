/* SPDX-License-Identifier: MIT */
/*
 * A slot of the emulated bus, as the bus of a device.
 */
#ifndef TANDEM_FIRMWARE_EMU_BUS_H
#define TANDEM_FIRMWARE_EMU_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem_hw.h>

#include "firmware.h"

/* Longest message of emu_bus_open(), in bytes with its end. */
#define EMU_BUS_ERROR_BYTES	160

/**
 * struct emu_bus - a slot of the bus
 * @bus: for tandem_fw_create()
 * @fd: the open slot
 * @slot: its number
 * @memory: mapping of device memory, @memory_size bytes
 * @memory_size: bytes
 * @dma_ro: mapping of the read-only DMA window
 * @dma_rw: mapping of the other
 * @dma_size: bytes of each window
 * @doorbells: eventfds; @doorbell_count of them
 * @doorbell_count: I/O queues and the admin queue
 * @log_level: the least urgent &enum tandem_fw_log_level to print
 * @plugged: the driver can see the device
 */
struct emu_bus {
	struct tandem_fw_bus bus;
	int fd;
	uint32_t slot;
	char *memory;
	uint64_t memory_size;
	char *dma_ro;
	char *dma_rw;
	uint64_t dma_size;
	int doorbells[TANDEM_HW_QUEUES_MAX + 1];
	uint32_t doorbell_count;
	int log_level;
	bool plugged;
};

/**
 * emu_bus_open() - take a slot and map it
 * @emu: filled in
 * @path: of the bus's control node
 * @memory_size: bytes of device memory
 * @queues: I/O queues
 * @error: %EMU_BUS_ERROR_BYTES for the reason of a failure
 *
 * Return: 0 or a negative errno.
 */
int emu_bus_open(struct emu_bus *emu, const char *path, uint64_t memory_size,
		 uint32_t queues, char *error);

/* Let the driver find the device, whose registers show READY. Return: as above. */
int emu_bus_plug(struct emu_bus *emu, char *error);

/* Give the slot back: surprise removal. The device has stopped. */
void emu_bus_close(struct emu_bus *emu);

#endif /* TANDEM_FIRMWARE_EMU_BUS_H */
