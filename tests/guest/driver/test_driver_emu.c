// SPDX-License-Identifier: MIT
/*
 * The emulated bus, and devices on it that misbehave.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accel.h"
#include "tandem_emu.h"
#include "tandem_hw.h"
#include "toy_device.h"

#define NODE	"/dev/tandem-emu"

static const struct tandem_emu_create good = {
	.version = TANDEM_EMU_VERSION,
	.queues = 4,
	.memory_size = 1 << 20,
};

static int open_bus(void)
{
	int fd = open(NODE, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int result_of(int fd, unsigned long request, void *args)
{
	return ioctl(fd, request, args) < 0 ? -errno : 0;
}

static int create_result(struct tandem_emu_create create)
{
	int fd = open_bus(), ret;

	ret = result_of(fd, TANDEM_EMU_IOC_CREATE, &create);
	close(fd);
	return ret;
}

static void test_create_checks_each_field(void **state)
{
	struct tandem_emu_create create;

	(void)state;
	assert_int_equal(create_result(good), 0);
	create = good;
	create.version = 0;
	assert_int_equal(create_result(create), -EINVAL);
	create.version = 2;
	assert_int_equal(create_result(create), -EINVAL);
	create = good;
	create.queues = 0;
	assert_int_equal(create_result(create), -EINVAL);
	create.queues = TANDEM_HW_QUEUES_MAX;
	assert_int_equal(create_result(create), 0);
	create.queues = TANDEM_HW_QUEUES_MAX + 1;
	assert_int_equal(create_result(create), -EINVAL);
	create.queues = UINT32_MAX;
	assert_int_equal(create_result(create), -EINVAL);
	create = good;
	create.memory_size = 0;
	assert_int_equal(create_result(create), -EINVAL);
	create.memory_size = 4095;
	assert_int_equal(create_result(create), -EINVAL);
	create.memory_size = TANDEM_EMU_MEMORY_MAX;
	assert_int_equal(create_result(create), 0);
	create.memory_size = TANDEM_EMU_MEMORY_MAX + 4096;
	assert_int_equal(create_result(create), -EINVAL);
	create.memory_size = ~4095ull;
	assert_int_equal(create_result(create), -EINVAL);
	create = good;
	create.flags = 1;
	assert_int_equal(create_result(create), -EINVAL);
}

static void test_calls_come_in_order(void **state)
{
	struct tandem_emu_doorbell doorbell = { .eventfd = -1 };
	struct tandem_emu_create create = good;
	int fd = open_bus();

	(void)state;
	assert_int_equal(result_of(fd, TANDEM_EMU_IOC_DOORBELL, &doorbell),
			 -ENODEV);
	assert_int_equal(result_of(fd, TANDEM_EMU_IOC_PLUG, NULL), -ENODEV);
	assert_int_equal(result_of(fd, TANDEM_EMU_IOC_INTERRUPT, NULL),
			 -ENODEV);
	assert_int_equal(result_of(fd, TANDEM_EMU_IOC_CREATE, (void *)8),
			 -EFAULT);
	assert_int_equal(result_of(fd, TANDEM_EMU_IOC_CREATE, &create), 0);
	assert_true(create.dma_size >= 1ull << 30);
	assert_int_equal(result_of(fd, TANDEM_EMU_IOC_CREATE, &create),
			 -EBUSY);
	assert_int_equal(result_of(fd, TANDEM_EMU_IOC_INTERRUPT, NULL),
			 -ENODEV);
	assert_int_equal(result_of(fd, _IO('T', 0x7f), NULL), -ENOTTY);
	close(fd);
}

static void test_doorbells(void **state)
{
	struct tandem_emu_doorbell doorbell = { 0 };
	struct tandem_emu_create create = good;
	int fd = open_bus(), event = eventfd(0, 0);

	(void)state;
	assert_int_equal(result_of(fd, TANDEM_EMU_IOC_CREATE, &create), 0);
	doorbell.eventfd = event;
	for (doorbell.queue = 0; doorbell.queue <= 4; doorbell.queue++)
		assert_int_equal(result_of(fd, TANDEM_EMU_IOC_DOORBELL,
					   &doorbell), 0);
	assert_int_equal(result_of(fd, TANDEM_EMU_IOC_DOORBELL, &doorbell),
			 -EINVAL);
	doorbell.queue = UINT32_MAX;
	assert_int_equal(result_of(fd, TANDEM_EMU_IOC_DOORBELL, &doorbell),
			 -EINVAL);
	doorbell.queue = 0;
	doorbell.eventfd = 9999;
	assert_int_equal(result_of(fd, TANDEM_EMU_IOC_DOORBELL, &doorbell),
			 -EBADF);
	doorbell.eventfd = fd;
	assert_int_equal(result_of(fd, TANDEM_EMU_IOC_DOORBELL, &doorbell),
			 -EINVAL);
	doorbell.eventfd = -1;
	assert_int_equal(result_of(fd, TANDEM_EMU_IOC_DOORBELL, &doorbell),
			 0);
	close(event);
	close(fd);
}

static int map_result(int fd, uint64_t offset, uint64_t size, int prot,
		      int flags)
{
	void *memory = mmap(NULL, size, prot, flags | MAP_NORESERVE, fd,
			    offset);

	if (memory == MAP_FAILED)
		return -errno;
	munmap(memory, size);
	return 0;
}

static void test_mappings_keep_their_bounds(void **state)
{
	const int rw = PROT_READ | PROT_WRITE;
	struct tandem_emu_create create = good;
	int fd = open_bus(), read_only;
	void *window;

	(void)state;
	assert_int_equal(map_result(fd, 0, 8192, rw, MAP_SHARED), -ENODEV);
	assert_int_equal(result_of(fd, TANDEM_EMU_IOC_CREATE, &create), 0);
	assert_int_equal(map_result(fd, 0, 8192, rw, MAP_SHARED), 0);
	assert_int_equal(map_result(fd, 0, 4096, rw, MAP_SHARED), -EINVAL);
	assert_int_equal(map_result(fd, 0, 12288, rw, MAP_SHARED), -EINVAL);
	assert_int_equal(map_result(fd, 4096, 4096, rw, MAP_SHARED), -EINVAL);
	assert_int_equal(map_result(fd, 0, 8192, rw, MAP_PRIVATE), -EINVAL);

	assert_int_equal(map_result(fd, TANDEM_EMU_MMAP_MEMORY, 1 << 20, rw,
				    MAP_SHARED), 0);
	assert_int_equal(map_result(fd, TANDEM_EMU_MMAP_MEMORY, 1 << 20, rw,
				    MAP_PRIVATE), -EINVAL);
	assert_int_equal(map_result(fd, TANDEM_EMU_MMAP_MEMORY,
				    (1 << 20) + 4096, rw, MAP_SHARED),
			 -EINVAL);
	assert_int_equal(map_result(fd, TANDEM_EMU_MMAP_MEMORY + (1 << 20),
				    4096, rw, MAP_SHARED), -EINVAL);
	assert_int_equal(map_result(fd, TANDEM_EMU_MMAP_DMA_RW +
				    create.dma_size - 4096, 8192, rw,
				    MAP_SHARED), -EINVAL);
	assert_int_equal(map_result(fd, TANDEM_EMU_MMAP_DMA_RW +
				    create.dma_size, 4096, rw, MAP_SHARED),
			 -EINVAL);
	assert_int_equal(map_result(fd, 1ull << 50, 4096, rw, MAP_SHARED),
			 -EINVAL);

	/* What the device may not write. */
	assert_int_equal(map_result(fd, TANDEM_EMU_MMAP_DMA_RO,
				    create.dma_size, rw, MAP_SHARED), -EACCES);
	window = mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED, fd,
		      TANDEM_EMU_MMAP_DMA_RO);
	assert_ptr_not_equal(window, MAP_FAILED);
	assert_int_equal(mprotect(window, 1 << 20, rw), -1);
	assert_int_equal(errno, EACCES);
	munmap(window, 1 << 20);

	read_only = open(NODE, O_RDONLY);
	assert_true(read_only >= 0);
	create = good;
	assert_int_equal(result_of(read_only, TANDEM_EMU_IOC_CREATE, &create),
			 0);
	assert_int_equal(map_result(read_only, TANDEM_EMU_MMAP_MEMORY, 4096,
				    PROT_READ, MAP_SHARED), -EINVAL);
	close(read_only);
	close(fd);
}

static int signal_of_touching(int fd, uint64_t offset)
{
	volatile uint8_t *memory;
	int status;
	pid_t pid = fork();

	if (!pid) {
		signal(SIGBUS, SIG_DFL);
		memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, offset);
		if (memory == MAP_FAILED)
			_exit(1);
		(void)*memory;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_unbound_memory_faults(void **state)
{
	struct tandem_emu_create create = good;
	int fd = open_bus();

	(void)state;
	assert_int_equal(result_of(fd, TANDEM_EMU_IOC_CREATE, &create), 0);
	assert_int_equal(signal_of_touching(fd, TANDEM_EMU_MMAP_MEMORY),
			 SIGBUS);
	assert_int_equal(signal_of_touching(fd, TANDEM_EMU_MMAP_DMA_RO),
			 SIGBUS);
	assert_int_equal(signal_of_touching(fd, TANDEM_EMU_MMAP_DMA_RW),
			 SIGBUS);
	close(fd);
}

static void wait_until_off_bus(const struct toy_device *toy)
{
	int tries;

	for (tries = 0; toy_on_bus(toy) && tries < 1000; tries++)
		usleep(20000);
	assert_false(toy_on_bus(toy));
}

static void test_device_reaches_what_is_bound_and_no_more(void **state)
{
	struct toy_device toy;
	struct accel accel;
	uint32_t handle;
	uint8_t *memory;
	char node[300];
	uint8_t value;
	size_t i;

	(void)state;
	toy_start(&toy, TOY_NO_DEFECT);
	assert_true(toy_find_node(&toy, node, sizeof(node), 30));
	accel_open(&accel, node);
	/* All of it, so that the addresses are known. */
	handle = accel_object(&accel, TOY_MEMORY);
	memory = accel_map(&accel, handle, TOY_MEMORY);
	for (i = 0; i < TOY_MEMORY; i += 4096)
		memory[i] = i >> 12;
	for (i = 0; i < TOY_MEMORY; i += 123 * 4096) {
		assert_true(toy_probe(&toy, i, &value));
		assert_int_equal(value, (uint8_t)(i >> 12));
	}
	munmap(memory, TOY_MEMORY);
	accel_object_close(&accel, handle);
	for (i = 0; i < TOY_MEMORY; i += 123 * 4096)
		assert_false(toy_probe(&toy, i, &value));
	/* A next owner's memory, of which nothing was there before. */
	handle = accel_object(&accel, TOY_MEMORY);
	assert_true(toy_probe(&toy, 0, &value));
	assert_int_equal(value, 0);
	accel_close(&accel);
	toy_kill(&toy);
	wait_until_off_bus(&toy);
}

static void test_defective_devices_are_not_taken(void **state)
{
	static const enum toy_defect defects[] = {
		TOY_BAD_MAGIC, TOY_BAD_VERSION, TOY_BAD_MEMORY_SIZE,
		TOY_BAD_IDENTITY,
	};
	struct toy_device toy;
	char node[300];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(defects) / sizeof(defects[0]); i++) {
		toy_start(&toy, defects[i]);
		assert_false(toy_find_node(&toy, node, sizeof(node), 1));
		toy_kill(&toy);
		wait_until_off_bus(&toy);
	}
}

static void test_killed_during_the_handshake(void **state)
{
	struct toy_device toy;

	(void)state;
	toy_start(&toy, TOY_NO_HANDSHAKE);
	usleep(200000);
	assert_true(toy_on_bus(&toy));
	toy_kill(&toy);
	wait_until_off_bus(&toy);
}

static void set_parameter(const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/module/tandem/parameters/%s", name);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, value, strlen(value)), strlen(value));
	close(fd);
}

static struct toy_device toy;
static struct accel accel;

static int setup(void **state)
{
	char node[300];

	(void)state;
	toy_start(&toy, TOY_NO_DEFECT);
	assert_true(toy_find_node(&toy, node, sizeof(node), 30));
	accel_open(&accel, node);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	set_parameter("command_timeout_ms", "60000");
	set_parameter("admin_timeout_ms", "10000");
	set_parameter("reset_limit", "8");
	accel_close(&accel);
	toy_kill(&toy);
	wait_until_off_bus(&toy);
	return 0;
}

static int nop(void)
{
	struct tandem_uring_command command = { .queue = accel.copy };

	return accel_run(&accel, TANDEM_URING_NOP, &command);
}

static void nops(int count, int expected)
{
	struct tandem_uring_command command = { .queue = accel.copy };
	uint64_t user_data;
	int i;

	for (i = 0; i < count; i++)
		accel_prepare(&accel, TANDEM_URING_NOP, &command, i);
	assert_int_equal(io_uring_submit(&accel.ring), count);
	for (i = 0; i < count; i++)
		assert_int_equal(accel_wait(&accel, &user_data), expected);
	assert_int_equal(io_uring_cq_ready(&accel.ring), 0);
}

static void test_odd_completions_do_no_harm(void **state)
{
	static const enum toy_manner manners[] = {
		TOY_REPEAT, TOY_WRONG_QUEUE, TOY_STALE, TOY_WRONG_ID,
	};
	size_t i;
	int round;

	(void)state;
	for (i = 0; i < sizeof(manners) / sizeof(manners[0]); i++) {
		/* One at a time: the toy posts more than its ring holds. */
		for (round = 0; round < 50; round++) {
			toy.shared->manner = manners[i];
			assert_int_equal(nop(), 0);
		}
		toy.shared->manner = TOY_GOOD;
		nops(40, 0);
	}
}

static void test_unknown_status_is_an_error(void **state)
{
	struct tandem_uring_command command = { .queue = accel.copy };
	struct io_uring_cqe *cqe;

	(void)state;
	toy.shared->manner = TOY_NONSENSE;
	accel_prepare(&accel, TANDEM_URING_NOP, &command, 0);
	io_uring_submit(&accel.ring);
	assert_int_equal(io_uring_wait_cqe(&accel.ring, &cqe), 0);
	assert_int_equal(cqe->res, -EIO);
	/* It cannot have taken longer than since it was submitted. */
	assert_true(cqe->big_cqe[0] < 60000000000ull);
	io_uring_cqe_seen(&accel.ring, cqe);
}

static void test_command_that_takes_too_long_is_aborted(void **state)
{
	(void)state;
	set_parameter("command_timeout_ms", "500");
	toy.shared->manner = TOY_HANG_UNTIL_ABORT;
	assert_int_equal(nop(), -ETIMEDOUT);
	toy.shared->manner = TOY_GOOD;
	assert_int_equal(nop(), 0);
}

static void test_cancelled_command_is_aborted(void **state)
{
	struct tandem_uring_command command = {
		.queue = accel.copy,
		.cookie = 7,
	};
	uint64_t user_data;
	int i;

	(void)state;
	toy.shared->manner = TOY_HANG_UNTIL_ABORT;
	accel_prepare(&accel, TANDEM_URING_NOP, &command, 1);
	accel_prepare(&accel, TANDEM_URING_CANCEL, &command, 2);
	assert_int_equal(io_uring_submit(&accel.ring), 2);
	for (i = 0; i < 2; i++) {
		int result = accel_wait(&accel, &user_data);

		assert_int_equal(result, user_data == 1 ? -ECANCELED : 0);
	}
}

static void assert_lost(void)
{
	struct pollfd poll_fd = { .fd = accel.fd, .events = POLLIN };

	assert_int_equal(poll(&poll_fd, 1, 30000), 1);
	assert_true(poll_fd.revents & POLLHUP);
	assert_int_equal(nop(), -ENODEV);
}

static void test_device_that_cannot_abort_is_taken_out(void **state)
{
	(void)state;
	set_parameter("command_timeout_ms", "500");
	set_parameter("admin_timeout_ms", "500");
	set_parameter("reset_limit", "0");
	toy.shared->manner = TOY_HANG;
	nops(40, -ENODEV);
	assert_lost();
}

static void test_device_without_heartbeat_is_taken_out(void **state)
{
	(void)state;
	set_parameter("reset_limit", "0");
	toy.shared->manner = TOY_STILL;
	assert_lost();
}

static void test_device_that_reports_a_fatal_error_is_taken_out(void **state)
{
	(void)state;
	set_parameter("reset_limit", "0");
	toy.shared->manner = TOY_FATAL;
	assert_lost();
}

static void test_device_that_does_not_let_go_is_taken_out(void **state)
{
	struct drm_tandem_context_destroy destroy = {
		.context = accel.context,
	};

	(void)state;
	set_parameter("command_timeout_ms", "100");
	set_parameter("admin_timeout_ms", "100");
	set_parameter("reset_limit", "0");
	toy.shared->manner = TOY_SILENT;
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_CONTEXT_DESTROY,
				     &destroy), -ENODEV);
	assert_lost();
}

/* The program is killed, and its command never ends. */
static void test_process_killed_on_a_hung_device(void **state)
{
	struct tandem_uring_command command = { .queue = accel.copy };
	int ready[2], status;
	char byte;
	pid_t pid;

	(void)state;
	set_parameter("admin_timeout_ms", "500");
	set_parameter("reset_limit", "0");
	toy.shared->manner = TOY_HANG;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		struct io_uring_params params = {
			.flags = IORING_SETUP_SQE128 | IORING_SETUP_CQE32,
		};

		io_uring_queue_init_params(8, &accel.ring, &params);
		accel_prepare(&accel, TANDEM_URING_NOP, &command, 0);
		io_uring_submit(&accel.ring);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(ready[0]);
	close(ready[1]);
	/* Its command was aborted in vain. */
	assert_lost();
}

#define TOY_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_checks_each_field),
		cmocka_unit_test(test_calls_come_in_order),
		cmocka_unit_test(test_doorbells),
		cmocka_unit_test(test_mappings_keep_their_bounds),
		cmocka_unit_test(test_unbound_memory_faults),
		cmocka_unit_test(test_device_reaches_what_is_bound_and_no_more),
		cmocka_unit_test(test_defective_devices_are_not_taken),
		cmocka_unit_test(test_killed_during_the_handshake),
		TOY_TEST(test_odd_completions_do_no_harm),
		TOY_TEST(test_unknown_status_is_an_error),
		TOY_TEST(test_command_that_takes_too_long_is_aborted),
		TOY_TEST(test_cancelled_command_is_aborted),
		TOY_TEST(test_device_that_cannot_abort_is_taken_out),
		TOY_TEST(test_device_without_heartbeat_is_taken_out),
		TOY_TEST(test_device_that_reports_a_fatal_error_is_taken_out),
		TOY_TEST(test_device_that_does_not_let_go_is_taken_out),
		TOY_TEST(test_process_killed_on_a_hung_device),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
