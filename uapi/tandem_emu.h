/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
/*
 * /dev/tandem-emu: the bus between tandem_emu.ko and a process that plays a
 * Tandem device.
 *
 * One open file is one slot of the bus. The process describes its device
 * (CREATE), maps the register file, the device's memory and the two DMA
 * windows, hands in an eventfd for each doorbell, and plugs the device in
 * (PLUG). From then on it is a device as tandem_hw.h says. Closing the file,
 * or dying, is surprise removal.
 *
 * The mappings of memory and windows are sparse: only what the driver has
 * bound is there, and touching anything else raises SIGBUS, which is what this
 * device's memory controller and IOMMU have to say. A binding can go away at
 * any time that no command uses it.
 */
#ifndef _UAPI_TANDEM_EMU_H
#define _UAPI_TANDEM_EMU_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define TANDEM_EMU_VERSION		1

/*
 * Offsets for mmap(2) of the slot's file, all of them MAP_SHARED.
 *
 * REGISTERS: TANDEM_HW_BAR_BYTES bytes, readable and writable.
 * MEMORY: memory_size bytes, device address 0 first, readable and writable.
 * DMA_RO, DMA_RW: dma_size bytes each. Bus address A lies at offset A of
 *   DMA_RO when A < dma_size and at offset A - dma_size of DMA_RW otherwise.
 *   DMA_RO takes PROT_READ only: it holds what the device may not write.
 */
#define TANDEM_EMU_MMAP_REGISTERS	0x000000000000ull
#define TANDEM_EMU_MMAP_MEMORY		0x100000000000ull
#define TANDEM_EMU_MMAP_DMA_RO		0x200000000000ull
#define TANDEM_EMU_MMAP_DMA_RW		0x300000000000ull

/* The largest device memory a slot takes: 1 TiB of addresses. */
#define TANDEM_EMU_MEMORY_MAX		(1ull << 40)

/**
 * struct tandem_emu_create - describe the device in this slot
 * @version: in: %TANDEM_EMU_VERSION
 * @queues: in: doorbells beside that of the admin queue,
 *	1 … %TANDEM_HW_QUEUES_MAX
 * @memory_size: in: bytes of device memory, a multiple of 4096,
 *	at most %TANDEM_EMU_MEMORY_MAX
 * @dma_size: out: bytes of each DMA window
 * @slot: out: the slot's number, as in the name of the bus device
 * @flags: in: zero
 *
 * Errors: EINVAL for a field out of range, EBUSY when the file has a device
 * already, ENOSPC when no slot is free.
 */
struct tandem_emu_create {
	__u32 version;
	__u32 queues;
	__u64 memory_size;
	__u64 dma_size;
	__u32 slot;
	__u32 flags;
};

/**
 * struct tandem_emu_doorbell - have a queue's doorbell signal an eventfd
 * @queue: in: 0 for the admin queue
 * @eventfd: in: file descriptor, or -1 for none
 *
 * The eventfd is signalled after the driver moved the queue's tail while
 * &struct tandem_hw_doorbell.armed was set, and for queue 0 also when CONTROL
 * changed. Errors: EINVAL, EBADF; ENODEV before CREATE; EBUSY after PLUG.
 */
struct tandem_emu_doorbell {
	__u32 queue;
	__s32 eventfd;
};

/* Describe the device; once a file. */
#define TANDEM_EMU_IOC_CREATE	_IOWR('T', 0x40, struct tandem_emu_create)
/* Attach an eventfd to a doorbell. */
#define TANDEM_EMU_IOC_DOORBELL	_IOW('T', 0x41, struct tandem_emu_doorbell)
/*
 * Put the device on the bus, where the driver finds it. The register file has
 * to show STATUS = READY by then. Returns at once; the driver's side of the
 * handshake goes on by itself. Errors: ENODEV before CREATE, EBUSY if done.
 */
#define TANDEM_EMU_IOC_PLUG	_IO('T', 0x42)
/*
 * Raise interrupt N, N being the argument: the number of the queue that has
 * new completions, or 0 for the admin queue and changes of STATUS. The
 * driver's handler runs within the call, on the caller's time: an interrupt
 * costs one system call and no other context switch.
 * Errors: EINVAL for a number that no queue has, ENODEV before PLUG.
 */
#define TANDEM_EMU_IOC_INTERRUPT _IO('T', 0x43)

#endif /* _UAPI_TANDEM_EMU_H */
