/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The handshake with a device: from READY to RUNNING and back.
 */
#ifndef _TANDEM_BOOT_H
#define _TANDEM_BOOT_H

#include <linux/types.h>

struct device;
struct tandem_device;

/* Is @magic, read from @dev, that of a Tandem device? -ENODEV if not, and said. */
int tandem_boot_check_magic(struct device *dev, u32 magic);
/*
 * Enables the device, which is ready, with the context table as it is and an
 * empty admin queue. *@epoch is the one that has begun. Each time it is looked
 * whether it is a device that the driver can drive. Errors: -ENODEV when not or
 * gone, -EINVAL for registers that contradict the bus, -EIO, -ETIMEDOUT.
 */
int tandem_boot_enable(struct tandem_device *tdev, u32 *epoch);
/*
 * Disables it: the device then touches nothing of the host. Errors: -ETIMEDOUT,
 * -ENODEV.
 */
int tandem_boot_disable(struct tandem_device *tdev);
/*
 * Asks a device that was enabled for the first time what it is. Fills in
 * &tandem_device.identity, and makes the engines. Errors: -EINVAL for what makes
 * no sense, -ENOMEM.
 */
int tandem_boot_discover(struct tandem_device *tdev);

#endif /* _TANDEM_BOOT_H */
