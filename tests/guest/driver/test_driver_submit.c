// SPDX-License-Identifier: MIT
/*
 * Commands by ioctl: all or none, with and without waiting for their end.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "accel.h"
#include "firmware.h"
#include "gate.h"
#include "syncobj.h"

#define SIZE	MIB
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))
/* In milliseconds: for what is sure to come. */
#define LONG	60000

static struct gate gate;
static struct accel accel;
static uint32_t region;
static uint32_t *memory;

static int setup(void **state)
{
	uint32_t handle;

	(void)state;
	gate_start(&gate);
	accel_open(&accel, ACCEL0);
	handle = accel_object(&accel, SIZE);
	region = accel_region(&accel, 0, handle, 0, SIZE, READ | WRITE);
	memory = accel_map(&accel, handle, SIZE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	munmap(memory, SIZE);
	accel_close(&accel);
	gate_stop(&gate);
	return 0;
}

static struct tandem_submit_command fill(uint32_t pattern, uint64_t offset)
{
	return (struct tandem_submit_command){
		.op = TANDEM_URING_FILL,
		.result = 99,
		.report = 99,
		.command = {
			.queue = accel.copy,
			.dst_region = region,
			.dst_offset = offset,
			.src_offset = pattern,
			.length = 4096,
		},
	};
}

static struct drm_tandem_submit submission(void *commands, uint32_t count,
					   uint32_t flags)
{
	return (struct drm_tandem_submit){
		.commands = address_of(commands),
		.count = count,
		.stride = sizeof(struct tandem_submit_command),
		.flags = flags,
	};
}

static int submit(struct drm_tandem_submit *args)
{
	return accel_ioctl(&accel, DRM_IOCTL_TANDEM_SUBMIT, args);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static void test_what_it_says_of_itself(void **state)
{
	(void)state;
	assert_true(accel_param(&accel, TANDEM_PARAM_CAPABILITIES) &
		    TANDEM_CAPABILITY_SUBMIT);
	assert_true(accel_param(&accel, TANDEM_PARAM_SUBMIT_MAX) >= 64);
}

static void test_commands_in_their_order(void **state)
{
	struct tandem_submit_command commands[100];
	struct drm_tandem_submit args = submission(commands, 100,
						   TANDEM_SUBMIT_WAIT);
	int i;

	(void)state;
	fill_pattern(memory, 4096, 5);
	/* Each copies what the one before has copied. */
	for (i = 0; i < 100; i++) {
		commands[i] = fill(0, (i + 1) * 4096);
		commands[i].op = TANDEM_URING_COPY;
		commands[i].command.src_region = region;
		commands[i].command.src_offset = i * 4096;
	}
	assert_int_equal(submit(&args), 0);
	for (i = 0; i < 100; i++) {
		assert_int_equal(commands[i].result, 0);
		assert_int_not_equal(commands[i].report, 99);
	}
	assert_memory_equal(memory + 100 * 1024, memory, 4096);
}

static void test_as_many_as_there_may_be(void **state)
{
	uint32_t max = accel_param(&accel, TANDEM_PARAM_SUBMIT_MAX), i;
	struct tandem_submit_command *commands = calloc(max + 1,
							sizeof(*commands));
	struct drm_tandem_submit args = submission(commands, max,
						   TANDEM_SUBMIT_WAIT);

	(void)state;
	for (i = 0; i <= max; i++)
		commands[i] = fill(i, 0);
	assert_int_equal(submit(&args), 0);
	assert_int_equal(memory[0], max - 1);
	for (i = 0; i < max; i++)
		assert_int_equal(commands[i].result, 0);
	args.count = max + 1;
	assert_int_equal(submit(&args), -EINVAL);
	free(commands);
}

static void test_user_memory(void **state)
{
	uint8_t from[5000], to[5000];
	struct tandem_submit_command commands[2] = { fill(0, 3), fill(0, 0) };
	struct drm_tandem_submit args = submission(commands, 2,
						   TANDEM_SUBMIT_WAIT);

	(void)state;
	fill_pattern(from, sizeof(from), 1);
	memset(to, 0, sizeof(to));
	commands[0].op = TANDEM_URING_COPY;
	commands[0].command.src_region = USER;
	commands[0].command.src_offset = address_of(from);
	commands[0].command.length = sizeof(from);
	commands[1].op = TANDEM_URING_COPY;
	commands[1].command.dst_region = USER;
	commands[1].command.dst_offset = address_of(to);
	commands[1].command.src_region = region;
	commands[1].command.src_offset = 3;
	commands[1].command.length = sizeof(to);
	assert_int_equal(submit(&args), 0);
	assert_memory_equal(to, from, sizeof(from));

	/* And when nobody waits: the driver lets go of it by itself. */
	memset(to, 0, sizeof(to));
	args.flags = 0;
	commands[1].command.out_syncobj = syncobj_create(&accel);
	assert_int_equal(submit(&args), 0);
	assert_true(syncobj_wait(&accel, commands[1].command.out_syncobj, 0,
				 LONG));
	assert_memory_equal(to, from, sizeof(from));
	syncobj_destroy(&accel, commands[1].command.out_syncobj);
}

static void test_without_waiting(void **state)
{
	struct tandem_submit_command commands[3] = {
		fill(1, 0), fill(2, 0), fill(3, 0)
	};
	struct drm_tandem_submit args = submission(commands, 3, 0);
	uint32_t out = syncobj_create(&accel);

	(void)state;
	commands[2].command.out_syncobj = out;
	commands[2].command.out_point = 4;
	assert_int_equal(submit(&args), 0);
	assert_true(syncobj_wait(&accel, out, 4, LONG));
	assert_int_equal(memory[0], 3);
	/* Results are told to those who wait. */
	assert_int_equal(commands[0].result, 99);
	assert_int_equal(commands[0].report, 99);
	syncobj_destroy(&accel, out);
}

/* One is wrong, at each place in turn: none is carried out. */
static void test_all_or_none(void **state)
{
	struct tandem_submit_command commands[4];
	struct drm_tandem_submit args;
	uint32_t out = syncobj_create(&accel);
	struct tandem_submit_command nop = {
		.op = TANDEM_URING_NOP,
		.command.queue = accel.copy,
	};
	struct {
		struct tandem_submit_command command;
		int expected;
	} wrong[] = {
		{ fill(9, SIZE), -EACCES },
		{ fill(9, 0), -ENOENT },
		{ fill(9, 0), -EFAULT },
		{ fill(9, 0), -EINVAL },
		{ fill(9, 0), -EINVAL },
		{ fill(9, 0), -ENOENT },
		{ fill(9, 0), -EINVAL },
	};
	size_t i, j, k;

	(void)state;
	wrong[1].command.command.queue = 999;
	wrong[2].command.op = TANDEM_URING_COPY;
	wrong[2].command.command.src_region = USER;
	wrong[2].command.command.src_offset = 8;
	wrong[3].command.op = TANDEM_URING_CANCEL;
	wrong[4].command.command.reserved = 1;
	wrong[5].command.command.out_syncobj = 999;
	/* Not before the call: of another command of it. */
	wrong[6].command.command.in_syncobj = out;

	memory[0] = 0;
	for (i = 0; i < COUNT(wrong); i++) {
		for (j = 0; j < 4; j++) {
			for (k = 0; k < 4; k++)
				commands[k] = fill(7, 0);
			commands[0].command.out_syncobj = out;
			commands[j] = wrong[i].command;
			args = submission(commands, 4, TANDEM_SUBMIT_WAIT);
			assert_int_equal(submit(&args), wrong[i].expected);
			assert_int_equal(commands[3].result, 99);
		}
	}
	/* Nothing has stayed on the queue. */
	args = submission(&nop, 1, TANDEM_SUBMIT_WAIT);
	assert_int_equal(submit(&args), 0);
	assert_int_equal(memory[0], 0);
	commands[0] = fill(7, 0);
	commands[0].command.in_syncobj = out;
	args = submission(commands, 1, TANDEM_SUBMIT_WAIT);
	assert_int_equal(submit(&args), -EINVAL);
	syncobj_destroy(&accel, out);
}

static void test_results_of_each(void **state)
{
	struct tandem_submit_command commands[3] = {
		fill(1, 0), fill(2, 4096), fill(3, 8192)
	};
	struct drm_tandem_submit args = submission(commands, 3,
						   TANDEM_SUBMIT_WAIT);

	(void)state;
	/* No program is there: the device finds out. */
	memset(memory, 0, 4096);
	commands[0] = fill(1, 4096);
	commands[1] = (struct tandem_submit_command){
		.op = TANDEM_URING_EXEC,
		.result = 99,
		.command = {
			.queue = accel.compute,
			.src_region = region,
			.length = 64,
		},
	};
	assert_int_equal(submit(&args), 0);
	assert_int_equal(commands[0].result, 0);
	assert_int_equal(commands[1].result, -EINVAL);
	assert_int_not_equal(commands[1].report, 0);
	assert_int_equal(commands[2].result, 0);
}

static void test_longer_stride(void **state)
{
	struct {
		struct tandem_submit_command known;
		uint64_t unknown;
	} commands[2] = { { fill(11, 0), 0 }, { fill(12, 4096), 0 } };
	struct drm_tandem_submit args = submission(commands, 2,
						   TANDEM_SUBMIT_WAIT);

	(void)state;
	args.stride = sizeof(commands[0]);
	assert_int_equal(submit(&args), 0);
	assert_int_equal(memory[0], 11);
	assert_int_equal(memory[1024], 12);
	assert_int_equal(commands[1].known.result, 0);
	commands[1].unknown = 1ull << 63;
	commands[0].known.command.src_offset = 13;
	assert_int_equal(submit(&args), -EINVAL);
	assert_int_equal(memory[0], 11);
}

static void test_a_deadline_cancels(void **state)
{
	uint32_t in = gate_close(&gate, &accel);
	struct tandem_submit_command commands[3] = {
		fill(21, 0), fill(22, 4096), fill(23, 8192)
	};
	struct drm_tandem_submit args = submission(commands, 3,
						   TANDEM_SUBMIT_WAIT);

	(void)state;
	memory[1024] = 0;
	commands[0].command.queue = accel.compute;
	commands[1].command.in_syncobj = in;
	args.deadline_ns = now_ns() + 300000000;
	assert_int_equal(submit(&args), 0);
	assert_true(now_ns() >= args.deadline_ns);
	assert_int_equal(commands[1].result, -ECANCELED);
	assert_int_equal(commands[1].report, 0);
	assert_int_equal(commands[2].result, -ECANCELED);
	assert_int_equal(memory[1024], 0);
	/* One that has passed; and one that never comes. */
	args.deadline_ns = 1;
	assert_int_equal(submit(&args), 0);
	assert_int_equal(commands[1].result, -ECANCELED);
	gate_open(&gate);
	gate_expect(&gate, 0);
	args.deadline_ns = UINT64_MAX;
	assert_int_equal(submit(&args), 0);
	assert_int_equal(commands[1].result, 0);
	syncobj_destroy(&accel, in);
}

static void ignore(int number)
{
	(void)number;
}

struct disturbance {
	pthread_t whom;
	volatile bool over;
};

static void *disturb(void *argument)
{
	struct disturbance *disturbance = argument;

	while (!disturbance->over) {
		usleep(100000);
		pthread_kill(disturbance->whom, SIGUSR1);
	}
	return NULL;
}

static void test_a_signal_cancels(void **state)
{
	uint32_t in = gate_close(&gate, &accel);
	struct tandem_submit_command commands[2] = {
		fill(31, 0), fill(32, 4096)
	};
	struct drm_tandem_submit args = submission(commands, 2,
						   TANDEM_SUBMIT_WAIT);
	struct disturbance disturbance = { .whom = pthread_self() };
	struct sigaction action = { .sa_handler = ignore,
				    .sa_flags = SA_RESTART };
	pthread_t thread;

	(void)state;
	memory[0] = 0;
	commands[0].command.in_syncobj = in;
	commands[1].command.in_syncobj = in;
	commands[1].command.queue = accel.compute;
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, disturb, &disturbance),
			 0);
	/* Also where system calls are restarted. */
	assert_int_equal(submit(&args), -EINTR);
	disturbance.over = true;
	pthread_join(thread, NULL);
	assert_int_equal(commands[0].result, -ECANCELED);
	assert_int_equal(commands[1].result, -ECANCELED);
	assert_int_equal(memory[0], 0);
	gate_open(&gate);
	gate_expect(&gate, 0);
	assert_int_equal(memory[0], 0);
	syncobj_destroy(&accel, in);
}

static void *open_later(void *argument)
{
	(void)argument;
	usleep(500000);
	gate_open(&gate);
	return NULL;
}

/* io_uring interrupts this thread when something of it ends: no signal. */
static void test_completions_of_a_ring_do_not_cancel(void **state)
{
	struct __kernel_timespec soon = { .tv_nsec = 100000000 };
	uint32_t in = gate_close(&gate, &accel);
	struct tandem_submit_command command = fill(33, 0);
	struct drm_tandem_submit args = submission(&command, 1, TANDEM_SUBMIT_WAIT);
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	pthread_t thread;

	(void)state;
	memory[0] = 0;
	command.command.in_syncobj = in;
	assert_int_equal(io_uring_queue_init(4, &ring, 0), 0);
	io_uring_prep_timeout(io_uring_get_sqe(&ring), &soon, 0, 0);
	assert_int_equal(io_uring_submit(&ring), 1);
	assert_int_equal(pthread_create(&thread, NULL, open_later, NULL), 0);
	assert_int_equal(submit(&args), 0);
	pthread_join(thread, NULL);
	assert_int_equal(command.result, 0);
	assert_int_equal(memory[0], 33);
	gate_expect(&gate, 0);
	assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
	assert_int_equal(cqe->res, -ETIME);
	io_uring_queue_exit(&ring);
	syncobj_destroy(&accel, in);
}

/* The same, and then a signal comes. */
static void test_a_signal_cancels_after_completions(void **state)
{
	struct __kernel_timespec soon = { .tv_nsec = 10000000 };
	uint32_t in = gate_close(&gate, &accel);
	struct tandem_submit_command command = fill(34, 0);
	struct drm_tandem_submit args = submission(&command, 1, TANDEM_SUBMIT_WAIT);
	struct disturbance disturbance = { .whom = pthread_self() };
	struct sigaction action = { .sa_handler = ignore };
	struct io_uring ring;
	pthread_t thread;

	(void)state;
	command.command.in_syncobj = in;
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_int_equal(io_uring_queue_init(4, &ring, 0), 0);
	io_uring_prep_timeout(io_uring_get_sqe(&ring), &soon, 0, 0);
	assert_int_equal(io_uring_submit(&ring), 1);
	assert_int_equal(pthread_create(&thread, NULL, disturb, &disturbance), 0);
	assert_int_equal(submit(&args), -EINTR);
	disturbance.over = true;
	pthread_join(thread, NULL);
	assert_int_equal(command.result, -ECANCELED);
	gate_open(&gate);
	gate_expect(&gate, 0);
	io_uring_queue_exit(&ring);
	syncobj_destroy(&accel, in);
}

static void test_cancel_by_itself(void **state)
{
	uint32_t in = gate_close(&gate, &accel), out = syncobj_create(&accel);
	struct tandem_submit_command command = fill(41, 0), cancel = {
		.op = TANDEM_URING_CANCEL,
		.result = 99,
		.command = { .queue = accel.copy, .cookie = 77 },
	};
	struct drm_tandem_submit args = submission(&command, 1, 0);
	int fence;

	(void)state;
	memory[0] = 0;
	command.command.cookie = 77;
	command.command.in_syncobj = in;
	command.command.out_syncobj = out;
	assert_int_equal(submit(&args), 0);
	fence = syncobj_export_fence(&accel, out);
	assert_int_equal(sync_file_status(fence), 0);
	args = submission(&cancel, 1, TANDEM_SUBMIT_WAIT);
	assert_int_equal(submit(&args), 0);
	assert_int_equal(cancel.result, 0);
	assert_true(syncobj_wait(&accel, out, 0, LONG));
	assert_int_equal(sync_file_status(fence), -ECANCELED);
	assert_int_equal(submit(&args), -ENOENT);
	gate_open(&gate);
	gate_expect(&gate, 0);
	assert_int_equal(memory[0], 0);
	close(fence);
	syncobj_destroy(&accel, in);
	syncobj_destroy(&accel, out);
}

/* Nobody waits, and then the file is closed. */
static void test_closed_with_commands_in_flight(void **state)
{
	struct tandem_submit_command commands[64];
	struct drm_tandem_submit args = submission(commands, 64, 0);
	struct accel own;
	uint32_t in, out, own_region, i;
	uint8_t *bytes = malloc(64 * 4096);
	int fence;

	(void)state;
	accel_open(&own, ACCEL0);
	in = gate_close(&gate, &own);
	out = syncobj_create(&own);
	own_region = accel_region(&own, 0, accel_object(&own, SIZE), 0, SIZE,
				  READ | WRITE);
	for (i = 0; i < 64; i++) {
		commands[i] = fill(0, i * 4096);
		commands[i].op = TANDEM_URING_COPY;
		commands[i].command.queue = own.copy;
		commands[i].command.dst_region = own_region;
		commands[i].command.src_region = USER;
		commands[i].command.src_offset = address_of(bytes + i * 4096);
		commands[i].command.in_syncobj = i == 32 ? in : 0;
		commands[i].command.out_syncobj = i == 63 ? out : 0;
	}
	assert_int_equal(accel_ioctl(&own, DRM_IOCTL_TANDEM_SUBMIT, &args), 0);
	fence = syncobj_export_fence(&own, out);
	accel_close(&own);
	for (i = 0; i < LONG && !sync_file_status(fence); i++)
		usleep(1000);
	assert_int_equal(sync_file_status(fence), -ECANCELED);
	close(fence);
	gate_open(&gate);
	gate_expect(&gate, 0);
	free(bytes);
}

static void test_killed_while_it_waits(void **state)
{
	uint32_t in = gate_close(&gate, &accel);
	int ready[2], status;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		struct tandem_submit_command command = fill(51, 0);
		struct drm_tandem_submit args = submission(&command, 1,
							   TANDEM_SUBMIT_WAIT);

		command.command.in_syncobj = in;
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		submit(&args);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	/* Most likely it is in the call by then. */
	usleep(200000);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	gate_open(&gate);
	gate_expect(&gate, 0);
	close(ready[0]);
	close(ready[1]);
	syncobj_destroy(&accel, in);
}

static void test_device_dies_meanwhile(void **state)
{
	struct tandem_submit_command command = {
		.op = TANDEM_URING_NOP,
		.command.queue = gate.accel.compute,
	};
	struct drm_tandem_submit args = submission(&command, 1,
						   TANDEM_SUBMIT_WAIT);
	pid_t pid;

	(void)state;
	gate.toy.shared->manner = TOY_HOLD;
	pid = fork();
	if (!pid) {
		usleep(300000);
		kill(gate.toy.pid, SIGKILL);
		_exit(0);
	}
	assert_int_equal(accel_ioctl(&gate.accel, DRM_IOCTL_TANDEM_SUBMIT,
				     &args), 0);
	assert_int_equal(command.result, -ENODEV);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(accel_ioctl(&gate.accel, DRM_IOCTL_TANDEM_SUBMIT,
				     &args), -ENODEV);
	gate_stop(&gate);
	gate_start(&gate);
}

static void test_results_that_cannot_be_told(void **state)
{
	struct tandem_submit_command *page;
	struct drm_tandem_submit args;

	(void)state;
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	page[0] = fill(61, 0);
	assert_int_equal(mprotect(page, 4096, PROT_READ), 0);
	args = submission(page, 1, TANDEM_SUBMIT_WAIT);
	assert_int_equal(submit(&args), -EFAULT);
	assert_int_equal(memory[0], 61);
	munmap(page, 4096);
	assert_int_equal(submit(&args), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_it_says_of_itself),
		cmocka_unit_test(test_commands_in_their_order),
		cmocka_unit_test(test_as_many_as_there_may_be),
		cmocka_unit_test(test_user_memory),
		cmocka_unit_test(test_without_waiting),
		cmocka_unit_test(test_all_or_none),
		cmocka_unit_test(test_results_of_each),
		cmocka_unit_test(test_longer_stride),
		cmocka_unit_test(test_a_deadline_cancels),
		cmocka_unit_test(test_a_signal_cancels),
		cmocka_unit_test(test_completions_of_a_ring_do_not_cancel),
		cmocka_unit_test(test_a_signal_cancels_after_completions),
		cmocka_unit_test(test_cancel_by_itself),
		cmocka_unit_test(test_closed_with_commands_in_flight),
		cmocka_unit_test(test_killed_while_it_waits),
		cmocka_unit_test(test_device_dies_meanwhile),
		cmocka_unit_test(test_results_that_cannot_be_told),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
