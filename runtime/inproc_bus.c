// SPDX-License-Identifier: MIT
/*
 * What an inproc device sees of this process: registers and doorbells, device
 * memory, windows onto host memory, and interrupts.
 */
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inproc.h"

#define WINDOW_MASK	((1ull << INPROC_WINDOW_SHIFT) - 1)

static struct inproc_device *bus_to_inproc(struct tandem_fw_bus *bus)
{
	return (void *)((char *)bus - offsetof(struct inproc_device, bus));
}

static void *bus_memory(struct tandem_fw_bus *bus, uint64_t address, uint64_t length)
{
	struct inproc_store *store = bus_to_inproc(bus)->store;
	uint64_t size = inproc_store_size(store);

	if (address > size || length > size - address)
		return NULL;
	return (uint8_t *)inproc_store_base(store) + address;
}

static void *bus_host(struct tandem_fw_bus *bus, uint64_t address, uint64_t length, bool write)
{
	struct inproc_device *device = bus_to_inproc(bus);
	uint64_t number = address >> INPROC_WINDOW_SHIFT;
	uint64_t offset = address & WINDOW_MASK;
	struct inproc_window *window;
	uint64_t window_length;
	uintptr_t base;

	if (!number || number > INPROC_WINDOWS)
		return NULL;
	window = &device->windows[number - 1];
	base = atomic_load(&window->base);
	window_length = atomic_load(&window->length);
	if (!base || offset > window_length || length > window_length - offset)
		return NULL;
	if (write && !atomic_load(&window->writable))
		return NULL;
	return (void *)(base + offset);
}

static void eventfd_signal(int fd)
{
	uint64_t one = 1;

	/* Fails only at a count of 2^64 - 2, which wakes the reader anyway. */
	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void inproc_raise(struct inproc_device *device, uint32_t vector)
{
	if (!atomic_fetch_or(&device->interrupts, 1ull << vector))
		eventfd_signal(device->interrupt_fd);
}

static void bus_raise_interrupt(struct tandem_fw_bus *bus, uint32_t vector)
{
	struct inproc_device *device = bus_to_inproc(bus);

	if (!vector) {
		eventfd_signal(device->admin_fd);
		if (inproc_read(device, TANDEM_REG_STATUS) != TANDEM_HW_STATE_FATAL)
			return;
	}
	if (vector <= INPROC_QUEUES)
		inproc_raise(device, vector);
}

static void *map_pages(size_t size)
{
	void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return pages == MAP_FAILED ? NULL : pages;
}

int inproc_bus_init(struct inproc_device *device)
{
	unsigned int i;

	device->bus.doorbells = device->doorbells;
	device->bus.memory = bus_memory;
	device->bus.host = bus_host;
	device->bus.raise_interrupt = bus_raise_interrupt;
	for (i = 0; i <= INPROC_QUEUES; i++)
		device->doorbells[i] = -1;
	device->interrupt_fd = -1;
	device->admin_fd = -1;

	device->registers = map_pages(TANDEM_HW_BAR_BYTES);
	device->host = map_pages(sizeof(*device->host));
	device->windows = calloc(INPROC_WINDOWS, sizeof(*device->windows));
	if (!device->registers || !device->host || !device->windows)
		goto no_memory;
	device->bus.registers = device->registers;

	for (i = 0; i <= INPROC_QUEUES; i++) {
		device->doorbells[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (device->doorbells[i] < 0)
			goto no_file;
	}
	device->interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	device->admin_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (device->interrupt_fd < 0 || device->admin_fd < 0)
		goto no_file;
	inproc_window_set(device, INPROC_HOST_WINDOW, device->host, sizeof(*device->host), true);
	return 0;

no_file:
	i = errno;
	inproc_bus_exit(device);
	return -(int)i;
no_memory:
	inproc_bus_exit(device);
	return -ENOMEM;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void inproc_bus_exit(struct inproc_device *device)
{
	unsigned int i;

	close_fd(device->admin_fd);
	close_fd(device->interrupt_fd);
	for (i = 0; i <= INPROC_QUEUES; i++)
		close_fd(device->doorbells[i]);
	free(device->windows);
	if (device->host)
		munmap(device->host, sizeof(*device->host));
	if (device->registers)
		munmap(device->registers, TANDEM_HW_BAR_BYTES);
}

uint32_t inproc_read(struct inproc_device *device, unsigned int reg)
{
	return le32toh(__atomic_load_n((uint32_t *)(device->registers + reg), __ATOMIC_SEQ_CST));
}

void inproc_write(struct inproc_device *device, unsigned int reg, uint32_t value)
{
	__atomic_store_n((uint32_t *)(device->registers + reg), htole32(value), __ATOMIC_SEQ_CST);
}

void inproc_write64(struct inproc_device *device, unsigned int reg, uint64_t value)
{
	inproc_write(device, reg, (uint32_t)value);
	inproc_write(device, reg + 4, (uint32_t)(value >> 32));
}

static unsigned int doorbell_register(uint32_t queue, size_t member)
{
	return TANDEM_HW_DOORBELL_BASE + queue * sizeof(struct tandem_hw_doorbell) + member;
}

void inproc_ring(struct inproc_device *device, uint32_t queue, uint32_t sq_tail)
{
	/* Both sequentially consistent, which is the full barrier between them. */
	inproc_write(device,
		     doorbell_register(queue, offsetof(struct tandem_hw_doorbell, sq_tail)),
		     sq_tail);
	if (inproc_read(device,
			doorbell_register(queue, offsetof(struct tandem_hw_doorbell, armed))))
		eventfd_signal(device->doorbells[queue]);
}

void inproc_ring_control(struct inproc_device *device)
{
	eventfd_signal(device->doorbells[0]);
}

void inproc_set_cq_head(struct inproc_device *device, uint32_t queue, uint32_t cq_head)
{
	inproc_write(device,
		     doorbell_register(queue, offsetof(struct tandem_hw_doorbell, cq_head)),
		     cq_head);
}

uint64_t inproc_window_set(struct inproc_device *device, unsigned int window, void *base,
			   uint64_t length, bool writable)
{
	struct inproc_window *entry = &device->windows[window];

	atomic_store(&entry->length, length);
	atomic_store(&entry->writable, writable);
	atomic_store(&entry->base, (uintptr_t)base);
	return (uint64_t)(window + 1) << INPROC_WINDOW_SHIFT;
}

uint64_t inproc_host_address(struct inproc_device *device, const void *pointer)
{
	uint64_t offset = (const uint8_t *)pointer - (const uint8_t *)device->host;

	return ((uint64_t)(INPROC_HOST_WINDOW + 1) << INPROC_WINDOW_SHIFT) + offset;
}

bool inproc_completion_read(const struct tandem_hw_completion *ring, uint32_t entries,
			    uint32_t head, struct tandem_hw_completion *completion)
{
	const struct tandem_hw_completion *entry = &ring[head % entries];
	unsigned int expected = ~(head / entries) & 1;

	if ((le16toh(__atomic_load_n(&entry->phase, __ATOMIC_ACQUIRE)) & 1) != expected)
		return false;
	memcpy(completion, entry, sizeof(*completion));
	return le32toh(completion->epoch) == INPROC_EPOCH;
}
