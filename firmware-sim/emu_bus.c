// SPDX-License-Identifier: MIT
/* A slot of the emulated bus. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tandem_emu.h>

#include "emu_bus.h"
#include "fault_guard.h"

static struct emu_bus *to_emu(struct tandem_fw_bus *bus)
{
	return (struct emu_bus *)((char *)bus - offsetof(struct emu_bus, bus));
}

static bool inside(uint64_t address, uint64_t length, uint64_t size)
{
	return address <= size && length <= size - address;
}

static void *emu_memory(struct tandem_fw_bus *bus, uint64_t address, uint64_t length)
{
	struct emu_bus *emu = to_emu(bus);

	return inside(address, length, emu->memory_size) ? emu->memory + address : NULL;
}

static void *emu_host(struct tandem_fw_bus *bus, uint64_t address, uint64_t length, bool write)
{
	struct emu_bus *emu = to_emu(bus);

	if (address < emu->dma_size) {
		if (write || !inside(address, length, emu->dma_size))
			return NULL;
		return emu->dma_ro + address;
	}
	address -= emu->dma_size;
	return inside(address, length, emu->dma_size) ? emu->dma_rw + address : NULL;
}

static void emu_raise_interrupt(struct tandem_fw_bus *bus, uint32_t vector)
{
	struct emu_bus *emu = to_emu(bus);

	/* Before PLUG nobody listens, and a device that was pulled out is none. */
	if (ioctl(emu->fd, TANDEM_EMU_IOC_INTERRUPT, (unsigned long)vector) && emu->plugged &&
	    errno != ENODEV)
		fprintf(stderr, "tandem-fw: slot %u: interrupt %u: %s\n", emu->slot, vector,
			strerror(errno));
}

static int emu_guard(struct tandem_fw_bus *bus, void (*body)(void *argument), void *argument)
{
	(void)bus;
	return fw_fault_guard_run(body, argument);
}

static void emu_log(struct tandem_fw_bus *bus, enum tandem_fw_log_level level,
		    const char *message)
{
	struct emu_bus *emu = to_emu(bus);

	if ((int)level <= emu->log_level)
		fprintf(stderr, "tandem-fw: slot %u: %s\n", emu->slot, message);
}

static int fail(char *error, const char *what)
{
	int ret = -errno;

	snprintf(error, EMU_BUS_ERROR_BYTES, "%s: %s", what, strerror(errno));
	return ret;
}

static int open_slot(struct emu_bus *emu, const char *path, char *error)
{
	emu->fd = open(path, O_RDWR | O_CLOEXEC);
	if (emu->fd >= 0)
		return 0;
	switch (errno) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		snprintf(error, EMU_BUS_ERROR_BYTES,
			 "%s is not there: load the module tandem_emu.ko first", path);
		return -ENOENT;
	case EACCES:
	case EPERM:
		snprintf(error, EMU_BUS_ERROR_BYTES,
			 "no permission to open %s: run as root, or change its mode", path);
		return -EACCES;
	default:
		return fail(error, path);
	}
}

static int create_device(struct emu_bus *emu, uint32_t queues, char *error)
{
	struct tandem_emu_create create = {
		.version = TANDEM_EMU_VERSION,
		.queues = queues,
		.memory_size = emu->memory_size,
	};

	if (ioctl(emu->fd, TANDEM_EMU_IOC_CREATE, &create)) {
		if (errno != ENOSPC)
			return fail(error, "the bus refuses the device");
		snprintf(error, EMU_BUS_ERROR_BYTES,
			 "all slots of the bus are taken: end another tandem-fw first");
		return -ENOSPC;
	}
	emu->slot = create.slot;
	emu->dma_size = create.dma_size;
	return 0;
}

static int map(struct emu_bus *emu, uint64_t offset, uint64_t length, int protection,
	       char **mapping, char *error)
{
	void *memory = mmap(NULL, length, protection, MAP_SHARED | MAP_NORESERVE, emu->fd,
			    (off_t)offset);

	if (memory == MAP_FAILED)
		return fail(error, "cannot map the slot");
	*mapping = memory;
	return fw_fault_guard_add(memory, length);
}

static int map_all(struct emu_bus *emu, char *error)
{
	char *registers = NULL;
	int ret;

	ret = map(emu, TANDEM_EMU_MMAP_REGISTERS, TANDEM_HW_BAR_BYTES, PROT_READ | PROT_WRITE,
		  &registers, error);
	emu->bus.registers = registers;
	if (!ret)
		ret = map(emu, TANDEM_EMU_MMAP_MEMORY, emu->memory_size,
			  PROT_READ | PROT_WRITE, &emu->memory, error);
	if (!ret)
		ret = map(emu, TANDEM_EMU_MMAP_DMA_RO, emu->dma_size, PROT_READ,
			  &emu->dma_ro, error);
	if (!ret)
		ret = map(emu, TANDEM_EMU_MMAP_DMA_RW, emu->dma_size, PROT_READ | PROT_WRITE,
			  &emu->dma_rw, error);
	return ret;
}

static int attach_doorbells(struct emu_bus *emu, uint32_t count, char *error)
{
	for (uint32_t i = 0; i < count; i++) {
		struct tandem_emu_doorbell doorbell = { .queue = i };

		emu->doorbells[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (emu->doorbells[i] < 0)
			return fail(error, "cannot make a doorbell's eventfd");
		emu->doorbell_count++;
		doorbell.eventfd = emu->doorbells[i];
		if (ioctl(emu->fd, TANDEM_EMU_IOC_DOORBELL, &doorbell))
			return fail(error, "the bus refuses a doorbell");
	}
	return 0;
}

int emu_bus_open(struct emu_bus *emu, const char *path, uint64_t memory_size,
		 uint32_t queues, char *error)
{
	int ret;

	*emu = (struct emu_bus){
		.bus = {
			.doorbells = emu->doorbells,
			.memory = emu_memory,
			.host = emu_host,
			.raise_interrupt = emu_raise_interrupt,
			.guard = emu_guard,
			.log = emu_log,
		},
		.fd = -1,
		.memory_size = memory_size,
	};
	ret = open_slot(emu, path, error);
	if (!ret)
		ret = create_device(emu, queues, error);
	if (!ret)
		ret = map_all(emu, error);
	if (!ret)
		ret = attach_doorbells(emu, queues + 1, error);
	if (ret)
		emu_bus_close(emu);
	return ret;
}

int emu_bus_plug(struct emu_bus *emu, char *error)
{
	if (ioctl(emu->fd, TANDEM_EMU_IOC_PLUG))
		return fail(error, "the bus does not take the device");
	emu->plugged = true;
	return 0;
}

void emu_bus_close(struct emu_bus *emu)
{
	for (uint32_t i = 0; i < emu->doorbell_count; i++)
		close(emu->doorbells[i]);
	if (emu->dma_rw)
		munmap(emu->dma_rw, emu->dma_size);
	if (emu->dma_ro)
		munmap(emu->dma_ro, emu->dma_size);
	if (emu->memory)
		munmap(emu->memory, emu->memory_size);
	if (emu->bus.registers)
		munmap(emu->bus.registers, TANDEM_HW_BAR_BYTES);
	if (emu->fd >= 0)
		close(emu->fd);
	emu->fd = -1;
}
