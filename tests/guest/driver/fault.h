/* SPDX-License-Identifier: MIT */
/*
 * Devices that do wrong: what all tests of them have in common.
 */
#ifndef TEST_FAULT_H
#define TEST_FAULT_H

#include "accel.h"
#include "firmware.h"

/**
 * enum ending - what becomes of a device that does wrong
 * @STAYS: nothing: it goes on as if nothing had been
 * @RESET: the driver resets it, and its contexts go on
 * @GONE: the driver takes it out of service; a new one works
 * @REFUSED: it does not even start; a new one works
 */
enum ending {
	STAYS,
	RESET,
	GONE,
	REFUSED,
};

/* Faults that a device has at once, and NULL. */
#define FAULTS_MAX	4

/* Short times for what the driver waits for, and the usual ones again. */
void fault_timeouts_short(void);
void fault_timeouts_usual(void);

/**
 * fault_device_ends() - the end of a fault
 * @firmware: the device that has done wrong
 * @bystander: of another context, which was open before and had no part in it
 * @ending: how it has to end
 *
 * Waits for the end and checks that the device, or one in its place, is usable
 * again. All that is open is closed, and the process has ended.
 */
void fault_device_ends(struct firmware *firmware, struct accel *bystander,
		       enum ending ending);

/* A new device can be started, does as it is told, and leaves nothing. */
void fault_check_new_device(void);

/* Devices on the bus. */
int fault_count_devices(void);
void fault_wait_for_devices(int count);

#endif /* TEST_FAULT_H */
