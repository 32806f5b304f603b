// SPDX-License-Identifier: MIT
/*
 * The local transport with a device that takes its time: only it is slow, and nobody
 * is taken for lost.
 */
#include <errno.h>
#include <string.h>

#include "tests/guest/driver/firmware.h"
#include "tests/native/xfer/pair.h"

/* Longer than a side that says nothing is waited for after a cancellation, 1 s. */
#define SLOW	"late:on=command,ms=2500,count=0"

#define LAYERS	2u
#define BLOCKS	4u

static const struct tandem_kv_layout layouts[2] = {
	{ .type = 1, .layers = LAYERS, .kv_width = 128, .block_tokens = 16, .blocks = 16 },
	{ .type = 1, .layers = LAYERS, .kv_width = 128, .block_tokens = 16, .blocks = 16 },
};

static const uint32_t blocks[BLOCKS] = { 3, 1, 7, 12 };

/**
 * struct fixture - a pair whose devices are slow with every command
 * @firmware: of the two devices
 * @kind: of @pair, with their names
 */
struct fixture {
	struct firmware firmware[2];
	struct pair_kind kind;
	struct pair pair;
};

static int setup(void **state)
{
	static const char *const faults[] = { SLOW, NULL };
	static struct fixture fixture;

	memset(&fixture, 0, sizeof(fixture));
	fixture.kind.name = "slow accel over local";
	fixture.kind.transport = TANDEM_TRANSPORT_LOCAL;
	for (int side = 0; side < 2; side++) {
		struct firmware *firmware = &fixture.firmware[side];

		assert_true(firmware_start_faulty(firmware, faults));
		fixture.kind.device[side] = strrchr(firmware->node, '/') + 1;
	}
	pair_kind = &fixture.kind;
	pair_open(&fixture.pair, layouts);
	pair_connect(&fixture.pair);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	pair_close(&fixture->pair);
	for (int side = 0; side < 2; side++)
		firmware_kill(&fixture->firmware[side]);
	return 0;
}

static struct tandem_push push_of(uint32_t transfer)
{
	return (struct tandem_push) {
		.transfer = transfer,
		.layer_count = LAYERS,
		.local_blocks = blocks,
		.remote_blocks = blocks,
		.block_count = BLOCKS,
	};
}

/* One side gives up while a command is under way; then all goes on. */
static void given_up(struct pair *pair, int side)
{
	const struct tandem_push push = push_of(1), next = push_of(2);
	struct tandem_operation op[2] = { 0 };
	int result;

	assert_int_equal(tandem_expect_start(pair->connection[1], 1, BLOCKS * LAYERS, 0, &op[1]),
			 0);
	assert_int_equal(tandem_push_start(pair->connection[0], &push, &op[0]), 0);
	pair_run(pair, 100);
	assert_true(op[0].pending && op[1].pending);
	assert_int_equal(tandem_cancel(pair->loop, &op[side]), 0);
	assert_int_equal(pair_wait(pair, &op[0]), -ECANCELED);
	result = pair_wait(pair, &op[1]);
	/* The command that was under way may have been all that there was to do. */
	if (!result && !side) {
		pair_shadow_push(pair, &push);
		pair_check(pair);
	} else {
		assert_int_equal(result, -ECANCELED);
	}
	/* Over the same blocks, so whatever the first one has written does not count. */
	pair_push_and_check(pair, &next);
}

static void test_push_given_up_by_sender(void **state)
{
	struct fixture *fixture = *state;

	given_up(&fixture->pair, 0);
}

static void test_push_given_up_by_receiver(void **state)
{
	struct fixture *fixture = *state;

	given_up(&fixture->pair, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_push_given_up_by_sender, setup, teardown),
		cmocka_unit_test_setup_teardown(test_push_given_up_by_receiver, setup, teardown),
	};

	return cmocka_run_group_tests_name("slow device", tests, NULL, NULL);
}
