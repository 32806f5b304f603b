/* SPDX-License-Identifier: MIT */
/*
 * What tests of devices begin with: a loop, devices under test, queues.
 *
 * The devices are named by the environment variable TANDEM_TEST_DEVICES,
 * separated by spaces; where it is not set they are devices in the process, or
 * accel0 and accel1 for the program that runs in the guest. Each test runs once
 * for each of them, with the next one as its peer.
 */
#ifndef TANDEM_TESTS_RUNTIME_DEVICES_H
#define TANDEM_TESTS_RUNTIME_DEVICES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <tandem/device.h>

/* Longer than anything takes; only reached when something is broken. */
#define PATIENCE_MS	60000

/* What takes the variable's place; of the program's own. */
extern const char default_test_devices[];

/**
 * struct fixture - what a test works with
 * @name: of the device
 * @peer_name: of another, or the same
 * @inproc: it is no accel device
 * @loop: everything's
 * @device: open
 * @peer: the other, open
 * @copy: a copy queue of @device
 * @compute: a compute queue of @device
 * @peer_copy: a copy queue of @peer
 */
struct fixture {
	char name[64];
	char peer_name[64];
	bool inproc;
	struct tandem_loop *loop;
	struct tandem_device *device;
	struct tandem_device *peer;
	struct tandem_queue *copy;
	struct tandem_queue *compute;
	struct tandem_queue *peer_copy;
};

/* Run @tests, of which there are @count, on each device. Return: for main(). */
int run_on_devices(const char *group, const struct CMUnitTest *tests, size_t count);

/* The rest fail the test if they fail. */
struct tandem_memory *alloc_memory(struct tandem_device *device, uint64_t size);
/* Wait for the end, and return the result. */
int wait_for(struct fixture *fixture, struct tandem_operation *op);
void upload(struct fixture *fixture, struct tandem_memory *memory, uint64_t offset,
	    const void *from, uint64_t length);
void download(struct fixture *fixture, void *to, struct tandem_memory *memory, uint64_t offset,
	      uint64_t length);
/* Bytes that depend on @seed and on their place. */
void make_pattern(uint8_t *bytes, size_t length, uint32_t seed);
bool all_bytes_are(const uint8_t *bytes, size_t length, uint8_t value);

#endif /* TANDEM_TESTS_RUNTIME_DEVICES_H */
