// SPDX-License-Identifier: MIT
/*
 * What only devices in the process can be made to do: vanish, fail, run out of
 * queues and regions, and be shared between threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices.h"
#include "firmware-sim/profiles.h"
#include "runtime/inproc.h"

#define PAGE_BYTES	4096ull
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

const char default_test_devices[] = "inproc:trn2,mem=64M inproc:host,mem=32M,cores=1";

static void note_lost(struct tandem_device *device, void *user)
{
	(void)device;
	++*(int *)user;
}

struct lost_watch {
	struct device_watch watch;
	struct device_watch *other;
	int calls;
};

/* Takes another watch away that has not been told yet, perhaps. */
static void watch_lost(struct device_watch *watch)
{
	struct lost_watch *lost = (struct lost_watch *)watch;

	lost->calls++;
	if (lost->other)
		device_watch_remove(lost->other);
	lost->other = NULL;
}

static void test_removal_ends_everything(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *memory = alloc_memory(fixture->device, 8 << 20);
	struct tandem_operation ops[1000] = { 0 };
	struct tandem_device_info info;
	struct tandem_memory *another;
	struct tandem_queue *queue;
	struct tandem_error error = { 0 };
	unsigned int failed = 0;
	int lost = 0;
	size_t i;

	tandem_device_on_lost(fixture->device, note_lost, &lost);
	for (i = 0; i < COUNT(ops); i++)
		assert_int_equal(tandem_fill(i % 2 ? fixture->copy : fixture->compute, memory, 0,
					     8 << 20, i, &ops[i]), 0);
	inproc_device_remove(fixture->device);
	/* Nobody is told from within the call. */
	assert_int_equal(lost, 0);
	assert_true(tandem_device_is_lost(fixture->device));
	for (i = 0; i < COUNT(ops); i++) {
		wait_for(fixture, &ops[i]);
		assert_true(ops[i].result == 0 || ops[i].result == -ENODEV);
		failed += ops[i].result == -ENODEV;
	}
	assert_true(failed > 0);
	assert_int_equal(lost, 1);
	inproc_device_remove(fixture->device);
	tandem_loop_run(fixture->loop, 0);
	assert_int_equal(lost, 1);

	assert_int_equal(tandem_nop(fixture->copy, &ops[0]), -ENODEV);
	assert_int_equal(tandem_cancel(fixture->loop, &ops[0]), -ENOENT);
	assert_int_equal(tandem_device_get_info(fixture->device, &info), -ENODEV);
	assert_int_equal(tandem_memory_alloc(fixture->device, 1, &another, &error), -ENODEV);
	assert_non_null(strstr(error.message, fixture->name));
	assert_int_equal(tandem_memory_share(memory, fixture->peer, &another, &error), -ENODEV);
	assert_int_equal(tandem_queue_open(fixture->device, TANDEM_QUEUE_TYPE_COPY, &queue, &error),
			 -ENODEV);
	/* Its memory and queues are freed as ever, and others go on. */
	tandem_memory_free(memory);
	assert_int_equal(tandem_nop(fixture->peer_copy, &ops[0]), 0);
	assert_int_equal(wait_for(fixture, &ops[0]), 0);
}

static void test_removal_tells_watches(void **state)
{
	struct fixture *fixture = *state;
	struct lost_watch first = { .watch.lost = watch_lost };
	struct lost_watch second = { .watch.lost = watch_lost, .other = &first.watch };
	struct lost_watch third = { .watch.lost = watch_lost };
	int lost = 0;

	/* They are told in this or the other order. */
	device_watch_add(fixture->device, &first.watch);
	device_watch_add(fixture->device, &second.watch);
	device_watch_add(fixture->device, &third.watch);
	tandem_device_on_lost(fixture->device, note_lost, &lost);
	tandem_device_on_lost(fixture->device, NULL, NULL);
	inproc_device_remove(fixture->device);
	while (tandem_loop_run(fixture->loop, 0) > 0)
		;
	assert_true(first.calls <= 1);
	assert_int_equal(second.calls, 1);
	assert_int_equal(third.calls, 1);
	assert_int_equal(lost, 0);
	device_watch_remove(&second.watch);
	device_watch_remove(&third.watch);
}

/* An application that gives up as soon as it hears of it. */
struct owner {
	struct tandem_operation op;
	struct tandem_device *device;
	struct tandem_queue *queue;
	struct tandem_memory *memory;
};

static void give_up(struct tandem_operation *op)
{
	struct owner *owner = (struct owner *)op;

	assert_int_equal(op->result, -ENODEV);
	tandem_memory_free(owner->memory);
	tandem_queue_close(owner->queue);
	tandem_device_close(owner->device);
}

static void test_callback_closes_lost_device(void **state)
{
	struct fixture *fixture = *state;
	struct owner owner = { .op.done = give_up };

	assert_int_equal(tandem_device_open(fixture->loop, fixture->name, &owner.device, NULL), 0);
	assert_int_equal(tandem_queue_open(owner.device, TANDEM_QUEUE_TYPE_COPY, &owner.queue,
					   NULL), 0);
	owner.memory = alloc_memory(owner.device, 8 << 20);
	assert_int_equal(tandem_fill(owner.queue, owner.memory, 0, 8 << 20, 1, &owner.op), 0);
	inproc_device_remove(owner.device);
	wait_for(fixture, &owner.op);
	assert_false(owner.op.pending);
}

static void test_view_survives_removal(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *memory = alloc_memory(fixture->peer, PAGE_BYTES);
	struct tandem_memory *view;
	uint8_t byte = 0x5a;

	assert_int_equal(tandem_memory_share(memory, fixture->device, &view, NULL), 0);
	inproc_device_remove(fixture->peer);
	upload(fixture, view, 1, &byte, 1);
	tandem_memory_free(memory);
	byte = 0;
	download(fixture, &byte, view, 1, 1);
	assert_int_equal(byte, 0x5a);
	tandem_memory_free(view);
}

/* A device that stops by itself is a lost one. */
static void test_fatal_device_is_lost(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_operation op = { 0 };
	int lost = 0;

	tandem_device_on_lost(fixture->device, note_lost, &lost);
	/* A doorbell that promises more than the ring holds. */
	inproc_ring(to_inproc(fixture->device), 1, 1000);
	while (!lost)
		assert_true(tandem_loop_run(fixture->loop, PATIENCE_MS) > 0);
	assert_true(tandem_device_is_lost(fixture->device));
	assert_int_equal(tandem_nop(fixture->compute, &op), -ENODEV);
}

static void test_queues_run_out(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_queue *queues[INPROC_QUEUES];
	struct tandem_operation op = { 0 };
	struct tandem_error error = { 0 };
	unsigned int type, count;

	for (type = 0; type < 2; type++) {
		for (count = 0; count < INPROC_QUEUES; count++)
			if (tandem_queue_open(fixture->device, type, &queues[count], &error) < 0)
				break;
		assert_int_equal(error.code, -ENOSPC);
		assert_non_null(strstr(error.message, type ? "compute" : "copy"));
		/* One of each is the fixture's. */
		assert_int_equal(count, (type ? INPROC_COMPUTE_QUEUES : INPROC_COPY_QUEUES) - 1);
		assert_int_equal(tandem_nop(queues[count - 1], &op), 0);
		assert_int_equal(wait_for(fixture, &op), 0);
		tandem_queue_close(queues[--count]);
		assert_int_equal(tandem_queue_open(fixture->device, type, &queues[count++], NULL),
				 0);
		while (count)
			tandem_queue_close(queues[--count]);
	}
}

static void test_regions_run_out(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory **memory = calloc(INPROC_OBJECT_REGIONS, sizeof(*memory));
	struct tandem_memory *more;
	struct tandem_error error;
	unsigned int i;

	for (i = 0; i < INPROC_OBJECT_REGIONS; i++)
		memory[i] = alloc_memory(fixture->device, PAGE_BYTES);
	assert_int_equal(tandem_memory_alloc(fixture->device, PAGE_BYTES, &more, &error), -ENOSPC);
	assert_non_null(strstr(error.message, "regions"));
	tandem_memory_free(memory[1234]);
	memory[1234] = alloc_memory(fixture->device, PAGE_BYTES);
	for (i = 0; i < INPROC_OBJECT_REGIONS; i++)
		tandem_memory_free(memory[i]);
	free(memory);
}

static void test_every_profile(void **state)
{
	struct fixture *fixture = *state;
	const struct tandem_fw_profile *profile;
	struct tandem_device_info info;
	struct tandem_device *device;
	char name[64];
	size_t i;

	for (i = 0; (profile = tandem_fw_profile_at(i)); i++) {
		snprintf(name, sizeof(name), "inproc:%s", profile->name);
		assert_int_equal(tandem_device_open(fixture->loop, name, &device, NULL), 0);
		assert_int_equal(tandem_device_get_info(device, &info), 0);
		assert_string_equal(info.profile, profile->name);
		assert_int_equal(info.role, profile->role);
		assert_int_equal(info.profile_flops, profile->flops);
		assert_true(info.memory_size > 0);
		if (profile->memory_size)
			assert_true(info.memory_size <= profile->memory_size);
		tandem_device_close(device);
	}
	assert_true(i >= 5);
}

static void test_options(void **state)
{
	static const struct {
		const char *name;
		uint64_t memory_size;
	} cases[] = {
		{ "inproc:trn2,mem=1", 4096 },
		{ "inproc:trn2,mem=4097", 8192 },
		{ "inproc:trn2,mem=12k", 12288 },
		{ "inproc:trn2,mem=3M", 3 << 20 },
		{ "inproc:trn2,cores=2,mem=2G", 2ull << 30 },
		{ "inproc:trn2,mem=1M,mem=2M", 2 << 20 },
	};
	struct fixture *fixture = *state;
	struct tandem_device_info info;
	struct tandem_device *device;
	size_t i;

	for (i = 0; i < COUNT(cases); i++) {
		assert_int_equal(tandem_device_open(fixture->loop, cases[i].name, &device, NULL),
				 0);
		assert_int_equal(tandem_device_get_info(device, &info), 0);
		assert_int_equal(info.memory_size, cases[i].memory_size);
		tandem_device_close(device);
	}
}

static void test_mapping_is_the_memory(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *memory = alloc_memory(fixture->device, 3 * PAGE_BYTES);
	void *first, *second;

	assert_int_equal(tandem_memory_map(memory, &first), 0);
	assert_int_equal(tandem_memory_map(memory, &second), 0);
	assert_ptr_equal(first, second);
	assert_int_equal((uintptr_t)first % PAGE_BYTES, 0);
	tandem_memory_free(memory);
}

/**
 * struct neighbour - a device on a loop and thread of its own
 * @memory: of the first thread's device, shared
 * @failed: number of things that went wrong
 * @round: the two threads meet here between steps
 */
struct neighbour {
	struct tandem_memory *memory;
	pthread_barrier_t round;
	int failed;
};

static void *neighbour_main(void *argument)
{
	struct neighbour *neighbour = argument;
	struct tandem_operation op = { 0 };
	struct tandem_device *device = NULL;
	struct tandem_loop *loop = NULL;
	struct tandem_queue *queue = NULL;
	struct tandem_memory *view;
	unsigned int i;

	neighbour->failed += tandem_loop_create(&loop, NULL) < 0 ||
			     tandem_device_open(loop, "inproc:wse3,mem=1M", &device, NULL) < 0 ||
			     tandem_queue_open(device, TANDEM_QUEUE_TYPE_COPY, &queue, NULL) < 0;
	for (i = 0; i < 20; i++) {
		/* The owner stands still while the view is made. */
		pthread_barrier_wait(&neighbour->round);
		neighbour->failed += tandem_memory_share(neighbour->memory, device, &view,
							 NULL) < 0;
		pthread_barrier_wait(&neighbour->round);
		/* And frees the original while this thread uses the view. */
		neighbour->failed += tandem_fill(queue, view, 0, 64 << 10, i, &op) < 0;
		neighbour->failed += tandem_loop_wait(loop, &op, PATIENCE_MS) != 0;
		tandem_memory_free(view);
	}
	tandem_queue_close(queue);
	tandem_device_close(device);
	tandem_loop_destroy(loop);
	return NULL;
}

static void test_share_between_threads(void **state)
{
	struct fixture *fixture = *state;
	struct neighbour neighbour = { 0 };
	pthread_t thread;
	unsigned int i;
	void *pointer;

	pthread_barrier_init(&neighbour.round, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, neighbour_main, &neighbour), 0);
	for (i = 0; i < 20; i++) {
		neighbour.memory = alloc_memory(fixture->device, 64 << 10);
		assert_int_equal(tandem_memory_map(neighbour.memory, &pointer), 0);
		assert_true(all_bytes_are(pointer, 64 << 10, 0));
		pthread_barrier_wait(&neighbour.round);
		pthread_barrier_wait(&neighbour.round);
		tandem_memory_free(neighbour.memory);
	}
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&neighbour.round);
	assert_int_equal(neighbour.failed, 0);
}

/* The region that stood for user memory is gone when the copy has ended. */
static void test_user_memory_is_let_go(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *memory = alloc_memory(fixture->device, PAGE_BYTES);
	struct device_command command = { .opcode = DEVICE_FILL, .length = 64 };
	struct tandem_operation op = { 0 };
	uint8_t bytes[64] = { 0 };
	uint32_t region;

	download(fixture, bytes, memory, 0, sizeof(bytes));
	for (region = INPROC_OBJECT_REGIONS; region < INPROC_REGIONS; region++) {
		command.dst_region = region;
		assert_int_equal(inproc_queue_submit(fixture->copy, &command, &op), 0);
		assert_int_equal(wait_for(fixture, &op), -EACCES);
	}
	tandem_memory_free(memory);
}

/* What others are shown they cannot change, and never see what comes after it. */
static void test_shareable_memory_is_sealed(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t length = 4 * PAGE_BYTES;
	struct tandem_memory *memory, *next;
	uint8_t *seen, *bytes;
	void *pointer;
	int fd;

	assert_int_equal(tandem_memory_alloc_shareable(fixture->device, length, &memory, NULL), 0);
	assert_int_equal(tandem_memory_map(memory, &pointer), 0);
	assert_true(all_bytes_are(pointer, length, 0));
	fd = tandem_memory_export(memory);
	assert_true(fd >= 0);
	seen = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(seen, MAP_FAILED);
	memset(pointer, 0x5a, length);
	assert_true(all_bytes_are(seen, length, 0x5a));

	assert_int_equal(mprotect(seen, length, PROT_READ | PROT_WRITE), -1);
	assert_ptr_equal(mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
			 MAP_FAILED);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, length), -1);

	tandem_memory_free(memory);
	assert_int_equal(tandem_memory_alloc(fixture->device, length, &next, NULL), 0);
	assert_int_equal(tandem_memory_map(next, (void **)&bytes), 0);
	/* Otherwise the test shows nothing. */
	assert_ptr_equal(bytes, pointer);
	assert_true(all_bytes_are(bytes, length, 0));
	memset(bytes, 0x77, length);
	assert_true(all_bytes_are(seen, length, 0x5a));
	tandem_memory_free(next);
	munmap(seen, length);
	close(fd);
}

/* A file that its owner could shorten would have readers end with SIGBUS. */
static void test_unsealed_memory_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_memory *memory;
	struct tandem_error error = { 0 };
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 2 * PAGE_BYTES), 0);
	assert_int_equal(tandem_memory_import(fixture->device, fd, PAGE_BYTES, &memory, &error),
			 -EINVAL);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(tandem_memory_import(fixture->device, fd, 3 * PAGE_BYTES, &memory, &error),
			 -EINVAL);
	assert_int_equal(tandem_memory_import(fixture->device, fd, 2 * PAGE_BYTES, &memory, &error),
			 0);
	assert_int_equal(tandem_memory_export(memory), -EOPNOTSUPP);
	tandem_memory_free(memory);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_removal_ends_everything),
		cmocka_unit_test(test_removal_tells_watches),
		cmocka_unit_test(test_callback_closes_lost_device),
		cmocka_unit_test(test_view_survives_removal),
		cmocka_unit_test(test_fatal_device_is_lost),
		cmocka_unit_test(test_queues_run_out),
		cmocka_unit_test(test_regions_run_out),
		cmocka_unit_test(test_every_profile),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_mapping_is_the_memory),
		cmocka_unit_test(test_share_between_threads),
		cmocka_unit_test(test_user_memory_is_let_go),
		cmocka_unit_test(test_shareable_memory_is_sealed),
		cmocka_unit_test(test_unsealed_memory_is_refused),
	};

	return run_on_devices("inproc", tests, COUNT(tests));
}
