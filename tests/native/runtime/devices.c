// SPDX-License-Identifier: MIT
/*
 * What tests of devices begin with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices.h"

#define DEVICES_MAX	8

static int setup(void **state)
{
	struct fixture *fixture = *state;

	fixture->inproc = !strncmp(fixture->name, "inproc:", 7);
	if (tandem_loop_create(&fixture->loop, NULL) < 0 ||
	    tandem_device_open(fixture->loop, fixture->name, &fixture->device, NULL) < 0 ||
	    tandem_device_open(fixture->loop, fixture->peer_name, &fixture->peer, NULL) < 0 ||
	    tandem_queue_open(fixture->device, TANDEM_QUEUE_TYPE_COPY, &fixture->copy, NULL) < 0 ||
	    tandem_queue_open(fixture->device, TANDEM_QUEUE_TYPE_COMPUTE, &fixture->compute,
			      NULL) < 0 ||
	    tandem_queue_open(fixture->peer, TANDEM_QUEUE_TYPE_COPY, &fixture->peer_copy, NULL) < 0)
		return -1;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	tandem_queue_close(fixture->peer_copy);
	tandem_queue_close(fixture->compute);
	tandem_queue_close(fixture->copy);
	tandem_device_close(fixture->peer);
	tandem_device_close(fixture->device);
	tandem_loop_destroy(fixture->loop);
	return 0;
}

static size_t device_names(char names[][64], size_t capacity)
{
	const char *wanted = getenv("TANDEM_TEST_DEVICES");
	char *copy = strdup(wanted && *wanted ? wanted : default_test_devices);
	char *rest = copy;
	size_t count = 0;
	char *name;

	while ((name = strsep(&rest, " ")) && count < capacity)
		if (*name)
			snprintf(names[count++], 64, "%s", name);
	free(copy);
	return count;
}

int run_on_devices(const char *group, const struct CMUnitTest *tests, size_t count)
{
	char names[DEVICES_MAX][64];
	size_t devices = device_names(names, DEVICES_MAX);
	struct fixture *fixtures = calloc(devices * count, sizeof(*fixtures));
	struct CMUnitTest *all = calloc(devices * count, sizeof(*all));
	size_t i, j;
	int failed;

	for (i = 0; i < devices; i++) {
		for (j = 0; j < count; j++) {
			struct fixture *fixture = &fixtures[i * count + j];
			struct CMUnitTest *test = &all[i * count + j];
			char *name = NULL;

			strcpy(fixture->name, names[i]);
			strcpy(fixture->peer_name, names[(i + 1) % devices]);
			if (asprintf(&name, "%s on %s", tests[j].name, names[i]) < 0)
				abort();
			test->name = name;
			test->test_func = tests[j].test_func;
			test->setup_func = setup;
			test->teardown_func = teardown;
			test->initial_state = fixture;
		}
	}
	failed = _cmocka_run_group_tests(group, all, devices * count, NULL, NULL);
	for (i = 0; i < devices * count; i++)
		free((char *)all[i].name);
	free(all);
	free(fixtures);
	return failed;
}

struct tandem_memory *alloc_memory(struct tandem_device *device, uint64_t size)
{
	struct tandem_error error = { 0 };
	struct tandem_memory *memory = NULL;

	if (tandem_memory_alloc(device, size, &memory, &error) < 0)
		fail_msg("%s", error.message);
	return memory;
}

int wait_for(struct fixture *fixture, struct tandem_operation *op)
{
	return tandem_loop_wait(fixture->loop, op, PATIENCE_MS);
}

void upload(struct fixture *fixture, struct tandem_memory *memory, uint64_t offset,
	    const void *from, uint64_t length)
{
	struct tandem_operation op = { 0 };

	assert_int_equal(tandem_upload(fixture->copy, memory, offset, from, length, &op), 0);
	assert_int_equal(wait_for(fixture, &op), 0);
}

void download(struct fixture *fixture, void *to, struct tandem_memory *memory, uint64_t offset,
	      uint64_t length)
{
	struct tandem_operation op = { 0 };

	assert_int_equal(tandem_download(fixture->copy, to, memory, offset, length, &op), 0);
	assert_int_equal(wait_for(fixture, &op), 0);
}

void make_pattern(uint8_t *bytes, size_t length, uint32_t seed)
{
	size_t i;

	for (i = 0; i < length; i++) {
		seed = seed * 1664525 + 1013904223;
		bytes[i] = seed >> 24;
	}
}

bool all_bytes_are(const uint8_t *bytes, size_t length, uint8_t value)
{
	size_t i;

	for (i = 0; i < length; i++)
		if (bytes[i] != value)
			return false;
	return true;
}
