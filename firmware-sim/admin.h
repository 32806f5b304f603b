/* SPDX-License-Identifier: MIT */
/*
 * The admin queue; all of it on the control thread.
 */
#ifndef TANDEM_FIRMWARE_ADMIN_H
#define TANDEM_FIRMWARE_ADMIN_H

#include <stdbool.h>

struct tandem_fw;

/* Carry out what waits. Return: whether there was something. */
bool fw_admin_serve(struct tandem_fw *fw);

/* Complete all that waits as ABORTED; the I/O queues have stopped. */
void fw_admin_drain(struct tandem_fw *fw);

/* Forget all that waits. */
void fw_admin_reset(struct tandem_fw *fw);

#endif /* TANDEM_FIRMWARE_ADMIN_H */
