// SPDX-License-Identifier: MIT
/* A small driver for a device of the firmware core. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "driver.h"

/* Far longer than anything takes: a test that gets there has failed. */
#define DEADLINE_S	60
#define ADMIN_ENTRIES	8
#define EMPTY		0xa5

const struct tandem_fw_config driver_config = {
	.profile = "trn2",
	.memory_size = 1 << 20,
	.copy_queues = 2,
	.compute_queues = 2,
	.isa = "scalar",
};

static struct driver *to_driver(struct tandem_fw_bus *bus)
{
	return (struct driver *)((char *)bus - offsetof(struct driver, bus));
}

static void *find(struct space *space, uint64_t address, uint64_t length, bool write)
{
	void *found = NULL;

	pthread_mutex_lock(&space->lock);
	for (uint32_t i = 0; i < space->count && !found; i++) {
		struct chunk *chunk = &space->chunk[i];
		uint64_t offset = address - chunk->address;

		if (address >= chunk->address && offset <= chunk->length &&
		    length <= chunk->length - offset && (!write || chunk->writable))
			found = chunk->pointer + offset;
	}
	pthread_mutex_unlock(&space->lock);
	return found;
}

static void *bus_memory(struct tandem_fw_bus *bus, uint64_t address, uint64_t length)
{
	return find(&to_driver(bus)->memory, address, length, true);
}

static void *bus_host(struct tandem_fw_bus *bus, uint64_t address, uint64_t length, bool write)
{
	return find(&to_driver(bus)->host, address, length, write);
}

static void bus_raise_interrupt(struct tandem_fw_bus *bus, uint32_t vector)
{
	struct driver *driver = to_driver(bus);

	pthread_mutex_lock(&driver->lock);
	driver->interrupts[vector]++;
	pthread_cond_broadcast(&driver->interrupted);
	pthread_mutex_unlock(&driver->lock);
}

static uint64_t add_chunk(struct space *space, void *pointer, uint64_t length, bool writable)
{
	uint64_t address;

	pthread_mutex_lock(&space->lock);
	assert_true(space->count < DRIVER_CHUNKS);
	address = space->next;
	/* A gap, so that no address past the end means something else. */
	space->next += (length + 0x1ffff) & ~0xffffull;
	space->chunk[space->count++] = (struct chunk){
		.address = address, .length = length, .pointer = pointer,
		.writable = writable,
	};
	pthread_mutex_unlock(&space->lock);
	return address;
}

static uint64_t allocate(struct space *space, uint64_t length, bool writable, void *pointer)
{
	void *memory = NULL;

	assert_int_equal(posix_memalign(&memory, 64, length), 0);
	memset(memory, EMPTY, length);
	if (pointer)
		*(void **)pointer = memory;
	return add_chunk(space, memory, length, writable);
}

uint64_t driver_memory(struct driver *driver, uint64_t length, void *pointer)
{
	return allocate(&driver->memory, length, true, pointer);
}

uint64_t driver_host(struct driver *driver, uint64_t length, bool writable, void *pointer)
{
	return allocate(&driver->host, length, writable, pointer);
}

uint64_t driver_memory_at(struct driver *driver, void *pointer, uint64_t length)
{
	uint64_t address = add_chunk(&driver->memory, pointer, length, true);

	driver->memory.chunk[driver->memory.count - 1].foreign = true;
	return address;
}

static void space_init(struct space *space)
{
	memset(space, 0, sizeof(*space));
	pthread_mutex_init(&space->lock, NULL);
	space->next = 0x10000;
}

static void space_free(struct space *space)
{
	for (uint32_t i = 0; i < space->count; i++)
		if (!space->chunk[i].foreign)
			free(space->chunk[i].pointer);
	pthread_mutex_destroy(&space->lock);
}

static _Atomic uint32_t *reg(struct driver *driver, uint32_t offset)
{
	return (_Atomic uint32_t *)((char *)driver->bus.registers + offset);
}

uint32_t driver_read(struct driver *driver, uint32_t offset)
{
	return atomic_load(reg(driver, offset));
}

uint64_t driver_read64(struct driver *driver, uint32_t offset)
{
	return driver_read(driver, offset) |
	       (uint64_t)driver_read(driver, offset + 4) << 32;
}

void driver_write(struct driver *driver, uint32_t offset, uint32_t value)
{
	atomic_store(reg(driver, offset), value);
}

void driver_write64(struct driver *driver, uint32_t offset, uint64_t value)
{
	driver_write(driver, offset, (uint32_t)value);
	driver_write(driver, offset + 4, value >> 32);
}

static void wake(struct driver *driver, uint32_t queue)
{
	uint64_t one = 1;

	assert_int_equal(write(driver->doorbells[queue], &one, sizeof(one)), sizeof(one));
}

static struct timespec deadline(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += DEADLINE_S;
	return until;
}

/* Wait until there were more than @seen interrupts of a vector. */
static void wait_interrupt(struct driver *driver, uint32_t vector, uint32_t seen)
{
	struct timespec until = deadline();
	int ret = 0;

	pthread_mutex_lock(&driver->lock);
	while (driver->interrupts[vector] == seen && !ret)
		ret = pthread_cond_timedwait(&driver->interrupted, &driver->lock, &until);
	pthread_mutex_unlock(&driver->lock);
	assert_int_equal(ret, 0);
}

static uint32_t interrupts(struct driver *driver, uint32_t vector)
{
	uint32_t count;

	pthread_mutex_lock(&driver->lock);
	count = driver->interrupts[vector];
	pthread_mutex_unlock(&driver->lock);
	return count;
}

void driver_open(struct driver *driver, const struct tandem_fw_config *config)
{
	char error[TANDEM_FW_ERROR_BYTES] = "";

	memset(driver, 0, sizeof(*driver));
	pthread_mutex_init(&driver->lock, NULL);
	pthread_cond_init(&driver->interrupted, NULL);
	space_init(&driver->memory);
	space_init(&driver->host);
	for (int i = 0; i <= DRIVER_QUEUES; i++) {
		driver->doorbells[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		assert_true(driver->doorbells[i] >= 0);
	}
	assert_int_equal(posix_memalign(&driver->bus.registers, 64, TANDEM_HW_BAR_BYTES), 0);
	memset(driver->bus.registers, 0, TANDEM_HW_BAR_BYTES);
	driver->bus.doorbells = driver->doorbells;
	driver->bus.memory = bus_memory;
	driver->bus.host = bus_host;
	driver->bus.raise_interrupt = bus_raise_interrupt;

	driver->contexts_address =
		driver_host(driver, DRIVER_CONTEXTS * sizeof(*driver->contexts), false,
			    &driver->contexts);
	memset(driver->contexts, 0, DRIVER_CONTEXTS * sizeof(*driver->contexts));
	for (int i = 0; i < DRIVER_CONTEXTS; i++) {
		uint64_t bytes = DRIVER_REGIONS * sizeof(struct tandem_hw_region);

		driver->contexts[i].regions = driver_host(driver, bytes, false,
							  &driver->regions[i]);
		memset(driver->regions[i], 0, bytes);
		driver->contexts[i].region_count = DRIVER_REGIONS;
		driver->contexts[i].flags = TANDEM_HW_CONTEXT_VALID;
	}

	if (tandem_fw_create(config, &driver->bus, &driver->fw, error))
		fail_msg("tandem_fw_create: %s", error);
	assert_int_equal(tandem_fw_start(driver->fw), 0);
	assert_int_equal(driver_read(driver, TANDEM_REG_STATUS), TANDEM_HW_STATE_READY);
}

void driver_close(struct driver *driver)
{
	tandem_fw_destroy(driver->fw);
	space_free(&driver->memory);
	space_free(&driver->host);
	for (int i = 0; i <= DRIVER_QUEUES; i++)
		close(driver->doorbells[i]);
	free(driver->bus.registers);
	pthread_cond_destroy(&driver->interrupted);
	pthread_mutex_destroy(&driver->lock);
}

uint32_t driver_control(struct driver *driver, uint32_t control)
{
	uint32_t state = driver_read(driver, TANDEM_REG_STATUS), now;
	uint32_t seen = interrupts(driver, 0);

	driver_write(driver, TANDEM_REG_CONTROL, control);
	wake(driver, 0);
	while ((now = driver_read(driver, TANDEM_REG_STATUS)) == state) {
		wait_interrupt(driver, 0, seen);
		seen = interrupts(driver, 0);
	}
	return now;
}

static void make_rings(struct driver *driver, uint32_t number, uint32_t entries)
{
	struct queue *queue = &driver->queue[number];

	memset(queue, 0, sizeof(*queue));
	queue->entries = entries;
	queue->sq_address = driver_host(driver, entries * sizeof(*queue->sq), false,
					&queue->sq);
	queue->cq_address = driver_host(driver, entries * sizeof(*queue->cq), true,
					&queue->cq);
	memset(queue->sq, 0, entries * sizeof(*queue->sq));
	memset(queue->cq, 0, entries * sizeof(*queue->cq));
}

void driver_prepare(struct driver *driver)
{
	make_rings(driver, 0, ADMIN_ENTRIES);
	driver_write(driver, TANDEM_REG_EPOCH, ++driver->epoch);
	driver_write(driver, TANDEM_REG_ADMIN_ENTRIES, ADMIN_ENTRIES);
	driver_write64(driver, TANDEM_REG_ADMIN_SQ, driver->queue[0].sq_address);
	driver_write64(driver, TANDEM_REG_ADMIN_CQ, driver->queue[0].cq_address);
	driver_write64(driver, TANDEM_REG_CONTEXT_TABLE, driver->contexts_address);
	driver_write(driver, TANDEM_REG_CONTEXT_COUNT, DRIVER_CONTEXTS);
}

void driver_enable(struct driver *driver)
{
	driver_prepare(driver);
	assert_int_equal(driver_control(driver, TANDEM_CONTROL_ENABLE),
			 TANDEM_HW_STATE_RUNNING);
}

void driver_region(struct driver *driver, uint32_t context, uint32_t region,
		   uint64_t address, uint64_t length, uint32_t flags)
{
	struct tandem_hw_region *entry = &driver->regions[context][region];

	atomic_store((_Atomic uint32_t *)&entry->flags, 0);
	atomic_store((_Atomic uint64_t *)&entry->address, address);
	atomic_store((_Atomic uint64_t *)&entry->length, length);
	atomic_store((_Atomic uint32_t *)&entry->flags, flags);
}

static struct tandem_hw_doorbell *doorbell(struct driver *driver, uint32_t queue)
{
	return (struct tandem_hw_doorbell *)((char *)driver->bus.registers +
					     TANDEM_HW_DOORBELL_BASE) + queue;
}

void driver_put(struct driver *driver, uint32_t number,
		const struct tandem_hw_descriptor *descriptor)
{
	struct queue *queue = &driver->queue[number];

	assert_true(queue->tail - queue->head < queue->entries);
	queue->sq[queue->tail++ % queue->entries] = *descriptor;
}

void driver_ring(struct driver *driver, uint32_t number)
{
	struct tandem_hw_doorbell *bell = doorbell(driver, number);

	atomic_store((_Atomic uint32_t *)&bell->sq_tail, driver->queue[number].tail);
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load((_Atomic uint32_t *)&bell->armed))
		wake(driver, number);
}

void driver_submit(struct driver *driver, uint32_t queue,
		   const struct tandem_hw_descriptor *descriptor)
{
	driver_put(driver, queue, descriptor);
	driver_ring(driver, queue);
}

bool driver_completed(struct driver *driver, uint32_t number)
{
	struct queue *queue = &driver->queue[number];
	struct tandem_hw_completion *entry = &queue->cq[queue->head % queue->entries];
	uint16_t phase = !(queue->head / queue->entries & 1);

	return atomic_load_explicit((_Atomic uint16_t *)&entry->phase,
				    memory_order_acquire) == phase &&
	       entry->epoch == driver->epoch;
}

uint32_t driver_last(const struct driver *driver, uint32_t queue)
{
	return driver->queue[queue].tail - 1;
}

struct tandem_hw_completion driver_wait(struct driver *driver, uint32_t number)
{
	struct queue *queue = &driver->queue[number];
	struct tandem_hw_completion completion;
	uint32_t seen = interrupts(driver, number);

	/* The count is read before the ring, so no interrupt is missed. */
	while (!driver_completed(driver, number)) {
		wait_interrupt(driver, number, seen);
		seen = interrupts(driver, number);
	}
	completion = queue->cq[queue->head % queue->entries];
	queue->head++;
	atomic_store((_Atomic uint32_t *)&doorbell(driver, number)->cq_head, queue->head);

	assert_int_equal(completion.queue, number);
	assert_int_equal(completion.epoch, driver->epoch);
	assert_true(completion.status <= TANDEM_HW_INTERNAL);
	assert_int_not_equal(completion.status, TANDEM_HW_INTERNAL);
	return completion;
}

struct tandem_hw_completion driver_run(struct driver *driver, uint32_t queue,
				       const struct tandem_hw_descriptor *descriptor)
{
	struct tandem_hw_completion completion;

	driver_submit(driver, queue, descriptor);
	completion = driver_wait(driver, queue);
	assert_int_equal(completion.command_id, descriptor->command_id);
	return completion;
}

struct tandem_hw_descriptor driver_queue(struct driver *driver, uint32_t number,
					 uint32_t kind, uint32_t entries)
{
	make_rings(driver, number, entries);
	return (struct tandem_hw_descriptor){
		.opcode = TANDEM_HW_OP_QUEUE_CREATE,
		.src_region = kind,
		.src_offset = driver->queue[number].sq_address,
		.dst_offset = driver->queue[number].cq_address,
		.length = entries,
		.argument = number,
	};
}

void driver_queue_create(struct driver *driver, uint32_t number, uint32_t kind,
			 uint32_t entries)
{
	struct tandem_hw_descriptor create = driver_queue(driver, number, kind, entries);

	assert_int_equal(driver_run(driver, 0, &create).status, TANDEM_HW_OK);
}
