// SPDX-License-Identifier: MIT
/* Holding a device in the middle of a command. */
#include "gate.h"

/* Found from the bus's callback, which knows only the driver. */
static struct gate *the_gate;

static void *gated_memory(struct tandem_fw_bus *bus, uint64_t address, uint64_t length)
{
	struct gate *gate = the_gate;

	if (address == gate->address) {
		pthread_mutex_lock(&gate->lock);
		gate->waiting++;
		pthread_cond_broadcast(&gate->changed);
		while (gate->closed)
			pthread_cond_wait(&gate->changed, &gate->lock);
		gate->waiting--;
		pthread_mutex_unlock(&gate->lock);
	}
	return gate->memory(bus, address, length);
}

uint64_t gate_create(struct gate *gate, struct driver *driver, uint64_t length)
{
	*gate = (struct gate){
		.driver = driver,
		.address = driver_memory(driver, length, NULL),
		.closed = true,
		.memory = driver->bus.memory,
	};
	pthread_mutex_init(&gate->lock, NULL);
	pthread_cond_init(&gate->changed, NULL);
	the_gate = gate;
	driver->bus.memory = gated_memory;
	return gate->address;
}

void gate_wait(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	while (!gate->waiting)
		pthread_cond_wait(&gate->changed, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
}

static void set(struct gate *gate, bool closed)
{
	pthread_mutex_lock(&gate->lock);
	gate->closed = closed;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

void gate_open(struct gate *gate)
{
	set(gate, false);
}

void gate_close(struct gate *gate)
{
	set(gate, true);
}
