/* SPDX-License-Identifier: MIT */
/*
 * A gate: a device of the test's own with a command that ends when the test
 * wants, so that commands of other devices can be made to wait for it.
 */
#ifndef TEST_GATE_H
#define TEST_GATE_H

#include <stdint.h>

#include "accel.h"
#include "toy_device.h"

struct gate {
	struct toy_device toy;
	struct accel accel;
	bool broken;
};

void gate_start(struct gate *gate);
void gate_stop(struct gate *gate);
/* A command that stays. Its fence, as a syncobj of @accel. */
uint32_t gate_close(struct gate *gate, struct accel *accel);
/* The command ends; without a call that anything is submitted with. */
void gate_open(struct gate *gate);
/* The command fails with -ECANCELED. */
void gate_break(struct gate *gate);
/* The device dies, with all commands. gate_stop() is still to be called. */
void gate_kill(struct gate *gate);
/* Waits for the command, which ends as expected. */
void gate_expect(struct gate *gate, int expected);

#endif /* TEST_GATE_H */
