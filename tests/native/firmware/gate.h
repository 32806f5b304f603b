/* SPDX-License-Identifier: MIT */
/*
 * A place where a device can be held while it carries a command out: memory
 * whose address it cannot look up before the gate is opened.
 */
#ifndef TEST_FIRMWARE_GATE_H
#define TEST_FIRMWARE_GATE_H

#include "driver.h"

struct gate {
	struct driver *driver;
	uint64_t address;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool closed;
	uint32_t waiting;
	void *(*memory)(struct tandem_fw_bus *bus, uint64_t address, uint64_t length);
};

/*
 * Close a gate on @length bytes of new device memory, one gate a process.
 * To be called before the device runs. Return: the memory's address.
 */
uint64_t gate_create(struct gate *gate, struct driver *driver, uint64_t length);

/* Wait until a command stands at the gate. */
void gate_wait(struct gate *gate);
void gate_open(struct gate *gate);
void gate_close(struct gate *gate);

#endif /* TEST_FIRMWARE_GATE_H */
