// SPDX-License-Identifier: MIT
/*
 * A device whose firmware process is killed, idle and with commands in flight.
 * Starts firmware of its own and leaves the guest's devices alone.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <tandem/device.h>

#define PATIENCE_MS	30000
#define NAMES_MAX	64
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))
#define BYTES		(8 << 20)

extern char **environ;

/**
 * struct plugged - a device of this test
 * @loop: everything's
 * @device: open
 * @queue: of @device
 * @memory: of @device
 * @firmware: the process behind it, or 0
 * @lost: times that its loss was told
 */
struct plugged {
	struct tandem_loop *loop;
	struct tandem_device *device;
	struct tandem_queue *queue;
	struct tandem_memory *memory;
	pid_t firmware;
	int lost;
};

static bool has_name(char (*names)[64], int count, const char *name)
{
	int i;

	for (i = 0; i < count; i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

/* Start a firmware; @name is the device that was not there before. */
static int plug(struct plugged *plugged, char name[64])
{
	char *argv[] = { "tandem-fw", "--profile", "trn2", "--mem", "64M", NULL };
	char before[NAMES_MAX][64], after[NAMES_MAX][64];
	int before_count, after_count, i, tries;

	before_count = tandem_device_list(before, NAMES_MAX);
	if (posix_spawnp(&plugged->firmware, argv[0], NULL, NULL, argv, environ))
		return -1;
	for (tries = 0; tries < 300; tries++) {
		after_count = tandem_device_list(after, NAMES_MAX);
		for (i = 0; i < after_count; i++) {
			if (!has_name(before, before_count, after[i])) {
				strcpy(name, after[i]);
				return 0;
			}
		}
		usleep(100000);
	}
	return -1;
}

static void note_lost(struct tandem_device *device, void *user)
{
	struct plugged *plugged = user;

	assert_ptr_equal(device, plugged->device);
	plugged->lost++;
}

static int setup(void **state)
{
	struct plugged *plugged = calloc(1, sizeof(*plugged));
	struct tandem_error error = { 0 };
	char name[64];

	*state = plugged;
	if (plug(plugged, name) < 0 || tandem_loop_create(&plugged->loop, &error) < 0 ||
	    tandem_device_open(plugged->loop, name, &plugged->device, &error) < 0 ||
	    tandem_queue_open(plugged->device, TANDEM_QUEUE_TYPE_COPY, &plugged->queue,
			      &error) < 0 ||
	    tandem_memory_alloc(plugged->device, BYTES, &plugged->memory, &error) < 0) {
		fprintf(stderr, "# %s\n", error.message);
		return -1;
	}
	tandem_device_on_lost(plugged->device, note_lost, plugged);
	return 0;
}

static void kill_firmware(struct plugged *plugged)
{
	if (!plugged->firmware)
		return;
	kill(plugged->firmware, SIGKILL);
	waitpid(plugged->firmware, NULL, 0);
	plugged->firmware = 0;
}

static int teardown(void **state)
{
	struct plugged *plugged = *state;

	tandem_memory_free(plugged->memory);
	tandem_queue_close(plugged->queue);
	tandem_device_close(plugged->device);
	tandem_loop_destroy(plugged->loop);
	kill_firmware(plugged);
	free(plugged);
	return 0;
}

static void assert_is_lost(struct plugged *plugged)
{
	struct tandem_operation op = { 0 };
	struct tandem_device_info info;
	struct tandem_memory *memory;
	struct tandem_queue *queue;
	struct tandem_error error;

	while (!plugged->lost)
		assert_true(tandem_loop_run(plugged->loop, PATIENCE_MS) > 0);
	assert_true(tandem_device_is_lost(plugged->device));
	assert_int_equal(tandem_nop(plugged->queue, &op), -ENODEV);
	assert_int_equal(tandem_device_get_info(plugged->device, &info), -ENODEV);
	assert_int_equal(tandem_memory_alloc(plugged->device, 1, &memory, &error), -ENODEV);
	assert_int_equal(tandem_queue_open(plugged->device, TANDEM_QUEUE_TYPE_COPY, &queue, &error),
			 -ENODEV);
	tandem_loop_run(plugged->loop, 0);
	assert_int_equal(plugged->lost, 1);
}

/* A device that has just been plugged in does its work. */
static void assert_works(struct plugged *plugged)
{
	struct tandem_operation op = { 0 };

	assert_int_equal(tandem_fill(plugged->queue, plugged->memory, 0, BYTES, 7, &op), 0);
	assert_int_equal(tandem_loop_wait(plugged->loop, &op, PATIENCE_MS), 0);
}

static void test_idle(void **state)
{
	struct plugged *plugged = *state;

	assert_works(plugged);
	kill_firmware(plugged);
	assert_is_lost(plugged);
}

static void test_with_commands_in_flight(void **state)
{
	struct plugged *plugged = *state;
	struct tandem_operation ops[600] = { 0 };
	uint8_t *bytes = malloc(BYTES);
	unsigned int failed = 0;
	size_t i;

	assert_works(plugged);
	/* Some of them with this process's memory. */
	for (i = 0; i < COUNT(ops); i++) {
		if (i % 10)
			assert_int_equal(tandem_fill(plugged->queue, plugged->memory, 0, BYTES, i,
						     &ops[i]), 0);
		else
			assert_int_equal(tandem_download(plugged->queue, bytes, plugged->memory, 0,
							 BYTES, &ops[i]), 0);
	}
	tandem_loop_run(plugged->loop, 0);
	kill_firmware(plugged);
	for (i = 0; i < COUNT(ops); i++) {
		tandem_loop_wait(plugged->loop, &ops[i], PATIENCE_MS);
		assert_false(ops[i].pending);
		assert_true(ops[i].result == 0 || ops[i].result == -ENODEV);
		failed += ops[i].result == -ENODEV;
	}
	assert_true(failed > 0);
	assert_is_lost(plugged);
	free(bytes);
}

/* What was mapped can still be read; nobody gets a SIGBUS. */
static void test_mapping_stays(void **state)
{
	struct plugged *plugged = *state;
	uint32_t *words;
	void *pointer;

	assert_int_equal(tandem_memory_map(plugged->memory, &pointer), 0);
	words = pointer;
	assert_works(plugged);
	kill_firmware(plugged);
	assert_is_lost(plugged);
	assert_int_equal(words[0], 7);
	assert_int_equal(words[BYTES / 4 - 1], 7);
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	/* Each plugs in a new device after the last one's end. */
	const struct CMUnitTest tests[] = {
		TEST(test_idle),
		TEST(test_with_commands_in_flight),
		TEST(test_mapping_stays),
		TEST(test_idle),
	};

	return cmocka_run_group_tests_name("device lost", tests, NULL, NULL);
}
