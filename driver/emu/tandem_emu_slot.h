/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A slot of the emulated bus: what the process's side (tandem_emu_file.c) and
 * the driver's side (tandem_emu_bus.c) of a device share.
 */
#ifndef _TANDEM_EMU_SLOT_H
#define _TANDEM_EMU_SLOT_H

#include <linux/bits.h>
#include <linux/dma-mapping.h>
#include <linux/types.h>

#include "tandem_emu_bus.h"
#include "tandem_emu_space.h"

struct address_space;
struct eventfd_ctx;
struct tandem_emu_create;

/* Bytes of each of the two DMA windows. */
#define TANDEM_EMU_DMA_BYTES		BIT_ULL(36)

/*
 * All slots' files share one inode. Each has a range of its page offsets for
 * itself, so that zapping one slot's mappings leaves the others alone.
 */
#define TANDEM_EMU_FILE_SHIFT		46
#define TANDEM_EMU_SLOTS		256

/**
 * struct tandem_emu_slot - a device and the process behind it
 * @edev: what drivers see; its device's reference count is the slot's
 * @dma_parms: of @edev
 * @driver: bound to the device, or NULL; read under tandem_emu_srcu
 * @gone: the process has closed its file; set once
 * @registers: register file and doorbells, shared with the process
 * @doorbell: eventfd or NULL for each queue; constant once plugged
 * @memory: device addresses
 * @window_ro: bus addresses below TANDEM_EMU_DMA_BYTES
 * @window_rw: the bus addresses after that
 */
struct tandem_emu_slot {
	struct tandem_emu_device edev;
	struct device_dma_parameters dma_parms;
	struct tandem_emu_driver __rcu *driver;
	bool gone;
	void *registers;
	struct eventfd_ctx **doorbell;
	struct tandem_emu_space memory;
	struct tandem_emu_space window_ro;
	struct tandem_emu_space window_rw;
};

/* Makes the device of a slot, not yet on the bus. */
struct tandem_emu_slot *
tandem_emu_slot_create(const struct tandem_emu_create *args,
		       struct address_space *mapping);
int tandem_emu_slot_plug(struct tandem_emu_slot *slot);
/* Has the driver's interrupt handler run. */
void tandem_emu_slot_interrupt(struct tandem_emu_slot *slot, u32 vector);
/* Surprise removal, if it was @plugged; drops the caller's reference. */
void tandem_emu_slot_remove(struct tandem_emu_slot *slot, bool plugged);

int tandem_emu_file_register(void);
void tandem_emu_file_unregister(void);

#endif /* _TANDEM_EMU_SLOT_H */
