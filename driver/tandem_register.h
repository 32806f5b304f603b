/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Registers of a device, through its bus. Any context.
 */
#ifndef _TANDEM_REGISTER_H
#define _TANDEM_REGISTER_H

#include "tandem_bus.h"
#include "tandem_device.h"
#include "tandem_hw.h"

static inline u32 tandem_read32(struct tandem_device *tdev, u32 offset)
{
	return tdev->bus->read32(tdev->dev, offset);
}

static inline u64 tandem_read64(struct tandem_device *tdev, u32 offset)
{
	u64 low = tandem_read32(tdev, offset);

	return low | (u64)tandem_read32(tdev, offset + 4) << 32;
}

static inline void tandem_write32(struct tandem_device *tdev, u32 offset,
				  u32 value)
{
	tdev->bus->write32(tdev->dev, offset, value);
}

static inline void tandem_write64(struct tandem_device *tdev, u32 offset,
				  u64 value)
{
	tandem_write32(tdev, offset, lower_32_bits(value));
	tandem_write32(tdev, offset + 4, upper_32_bits(value));
}

#endif /* _TANDEM_REGISTER_H */
