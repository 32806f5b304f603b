/* SPDX-License-Identifier: MIT */
/*
 * Surviving memory that does not answer: SIGBUS as an MMU fault.
 */
#ifndef TANDEM_FIRMWARE_FAULT_GUARD_H
#define TANDEM_FIRMWARE_FAULT_GUARD_H

#include <stddef.h>

/* Mappings that may fault, at most. */
#define FW_FAULT_RANGES_MAX	8

/* Take over SIGBUS and SIGSEGV of this process. Return: 0 or a negative errno. */
int fw_fault_guard_install(void);

/**
 * fw_fault_guard_add() - say where faults are expected
 * @start: of a mapping
 * @length: bytes
 *
 * Before any other thread uses the guard. A fault elsewhere is a defect and
 * ends the process as it always would.
 *
 * Return: 0, or -ENOSPC.
 */
int fw_fault_guard_add(const void *start, size_t length);

/* As &tandem_fw_bus.guard says: 0, or -EFAULT with @body left in the middle. */
int fw_fault_guard_run(void (*body)(void *argument), void *argument);

#endif /* TANDEM_FIRMWARE_FAULT_GUARD_H */
