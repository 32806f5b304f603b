// SPDX-License-Identifier: MIT
#include <errno.h>
#include <unistd.h>

#include "gate.h"
#include "syncobj.h"

enum { COMMAND = 1, CANCEL = 2 };

void gate_start(struct gate *gate)
{
	char node[300];

	gate->broken = false;
	toy_start(&gate->toy, TOY_NO_DEFECT);
	assert_true(toy_find_node(&gate->toy, node, sizeof(node), 30));
	accel_open(&gate->accel, node);
}

void gate_stop(struct gate *gate)
{
	accel_close(&gate->accel);
	toy_kill(&gate->toy);
	while (toy_on_bus(&gate->toy))
		usleep(10000);
}

uint32_t gate_close(struct gate *gate, struct accel *accel)
{
	struct tandem_uring_command command = {
		.queue = gate->accel.copy,
		.out_syncobj = syncobj_create(&gate->accel),
		.cookie = COMMAND,
	};
	uint32_t syncobj;

	gate->toy.shared->manner = TOY_HOLD;
	accel_prepare(&gate->accel, TANDEM_URING_NOP, &command, COMMAND);
	assert_int_equal(io_uring_submit(&gate->accel.ring), 1);
	syncobj = syncobj_share(&gate->accel, command.out_syncobj, accel);
	syncobj_destroy(&gate->accel, command.out_syncobj);
	return syncobj;
}

void gate_open(struct gate *gate)
{
	gate->toy.shared->manner = TOY_GOOD;
}

void gate_break(struct gate *gate)
{
	struct tandem_uring_command cancel = {
		.queue = gate->accel.copy,
		.cookie = COMMAND,
	};

	gate->toy.shared->manner = TOY_HANG_UNTIL_ABORT;
	/* Until the device has taken the command up. */
	usleep(100000);
	accel_prepare(&gate->accel, TANDEM_URING_CANCEL, &cancel, CANCEL);
	assert_int_equal(io_uring_submit(&gate->accel.ring), 1);
	gate->broken = true;
}

void gate_kill(struct gate *gate)
{
	toy_kill(&gate->toy);
}

void gate_expect(struct gate *gate, int expected)
{
	int count = gate->broken ? 2 : 1, result;
	uint64_t id;

	while (count--) {
		result = accel_wait(&gate->accel, &id);
		assert_int_equal(result, id == CANCEL ? 0 : expected);
	}
	gate->broken = false;
}
