/* SPDX-License-Identifier: MIT */
/*
 * Devices of the fuzzer's own: tandem-fw processes.
 */
#ifndef FUZZ_FIRMWARE_H
#define FUZZ_FIRMWARE_H

#include <sys/types.h>

/* Faults that are given to one process, at most. */
#define FUZZ_FAULTS_MAX		3

/**
 * fuzz_firmware_start() - start a device
 * @faults: texts for --fault, NULL after the last
 * @node: number of the accel node; negative when none comes
 *
 * Return: the process, or a negative errno.
 */
pid_t fuzz_firmware_start(const char *const *faults, int *node);

/* Ends the process, if it has not ended, and waits for that. */
void fuzz_firmware_kill(pid_t process);

/* Devices on the bus. */
int fuzz_firmware_count(void);

#endif /* FUZZ_FIRMWARE_H */
