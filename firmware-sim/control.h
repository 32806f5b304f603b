/* SPDX-License-Identifier: MIT */
/*
 * The control thread: registers, the device's state, heartbeat.
 */
#ifndef TANDEM_FIRMWARE_CONTROL_H
#define TANDEM_FIRMWARE_CONTROL_H

struct tandem_fw;

/* Fill in the register file and show STATUS = READY; before the thread runs. */
void fw_control_reset(struct tandem_fw *fw);

/* The thread; its argument is the device. */
void *fw_control_main(void *argument);

/*
 * Let the driver see that the device is alive. To be called at least each
 * TANDEM_HW_HEARTBEAT_MS by whatever keeps the control thread busy.
 */
void fw_control_heartbeat(struct tandem_fw *fw);

#endif /* TANDEM_FIRMWARE_CONTROL_H */
