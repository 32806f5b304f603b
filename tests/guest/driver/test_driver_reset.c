// SPDX-License-Identifier: MIT
/*
 * Devices that go wrong are reset: what the one who is to blame sees of it, and
 * that the others see nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accel.h"
#include "firmware.h"
#include "sysfs.h"
#include "toy_device.h"

#define DUMPS	"/sys/class/devcoredump"
#define SIZE	4096
/* More than the toy's ring takes. */
#define STEPS	30
/* Administrators, and how often each asks for a reset. */
#define ASKING	3
#define ASKED	10

static struct toy_device toy;
static struct accel guilty, innocent;
static char node[300];
static uint8_t *memory;
static uint32_t region;
static long contexts_before;

static void drop_dumps(void);

static int setup(void **state)
{
	(void)state;
	drop_dumps();
	toy_start(&toy, TOY_NO_DEFECT);
	assert_true(toy_find_node(&toy, node, sizeof(node), 30));
	toy.shared->heals = true;
	contexts_before = sysfs_number(node, "contexts");
	accel_open(&guilty, node);
	accel_open(&innocent, node);
	driver_parameter("command_timeout_ms", "400");
	driver_parameter("admin_timeout_ms", "400");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	driver_parameter("command_timeout_ms", "60000");
	driver_parameter("admin_timeout_ms", "10000");
	driver_parameter("reset_limit", "8");
	driver_parameter("ban_score", "16");
	if (memory)
		munmap(memory, STEPS * SIZE);
	memory = NULL;
	accel_close(&guilty);
	accel_close(&innocent);
	toy_kill(&toy);
	drop_dumps();
	return 0;
}

/* All that was made has gone again. */
static void assert_no_leak(void)
{
	char text[32];

	munmap(memory, STEPS * SIZE);
	memory = NULL;
	accel_close(&guilty);
	accel_close(&innocent);
	snprintf(text, sizeof(text), "%ld", contexts_before);
	assert_true(sysfs_becomes(node, "contexts", text));
	assert_true(sysfs_becomes(node, "memory_used", "0"));
}

static void make_region(struct accel *accel)
{
	uint32_t handle = accel_object(accel, STEPS * SIZE);

	memory = accel_map(accel, handle, STEPS * SIZE);
	region = accel_region(accel, 0, handle, 0, STEPS * SIZE, READ | WRITE);
}

static void prepare_fill(struct accel *accel, uint32_t queue, uint32_t to,
			 uint64_t offset, uint32_t pattern, uint64_t user_data)
{
	struct tandem_uring_command fill = {
		.queue = queue,
		.dst_region = to,
		.dst_offset = offset,
		.src_offset = pattern,
		.length = SIZE,
	};

	accel_prepare(accel, TANDEM_URING_FILL, &fill, user_data);
}

/*
 * A chain of which each link depends on the one before: the first page is
 * filled, and then each copied to the next while the source is overwritten.
 */
static int prepare_chain(uint32_t queue)
{
	struct tandem_uring_command copy = {
		.queue = queue,
		.dst_region = region,
		.src_region = region,
		.length = SIZE,
	};
	int i, count = 0;

	prepare_fill(&innocent, queue, region, 0, 0x600d, count++);
	for (i = 0; i + 1 < STEPS; i++) {
		copy.src_offset = i * SIZE;
		copy.dst_offset = (i + 1) * SIZE;
		accel_prepare(&innocent, TANDEM_URING_COPY, &copy, count++);
		prepare_fill(&innocent, queue, region, i * SIZE, i, count++);
	}
	return count;
}

static void assert_chain(int count)
{
	uint64_t user_data;
	uint32_t *words;
	int i;

	for (i = 0; i < count; i++) {
		assert_int_equal(accel_wait(&innocent, &user_data), 0);
		/* They end in their order. */
		assert_int_equal(user_data, i);
	}
	for (i = 0; i < STEPS; i++) {
		words = (uint32_t *)(memory + i * SIZE);
		assert_int_equal(words[0], i + 1 < STEPS ? i : 0x600d);
		assert_int_equal(words[SIZE / 4 - 1], words[0]);
	}
}

static void submit_poison(void)
{
	uint32_t handle = accel_object(&guilty, SIZE), mine;

	mine = accel_region(&guilty, 0, handle, 0, SIZE, WRITE);
	toy.shared->manner = TOY_POISONED;
	prepare_fill(&guilty, guilty.copy, mine, 0, TOY_POISON, 7);
	assert_int_equal(io_uring_submit(&guilty.ring), 1);
}

static void test_only_the_guilty_notices(void **state)
{
	int count;

	(void)state;
	make_region(&innocent);
	submit_poison();
	count = prepare_chain(innocent.copy);
	assert_int_equal(io_uring_submit(&innocent.ring), count);
	assert_int_equal(accel_wait(&guilty, NULL), -ETIMEDOUT);
	assert_chain(count);
	assert_int_equal(accel_param(&innocent, TANDEM_PARAM_RESETS), 1);
	assert_int_equal(sysfs_number(node, "resets"), 1);
	assert_true(sysfs_becomes(node, "state", "running"));
	/* It can be used by both. */
	assert_int_equal(accel_fill(&innocent, region, 0, 5, SIZE), 0);
	assert_int_equal(memory[0], 5);
	submit_poison();
	toy.shared->manner = TOY_GOOD;
	accel_wait(&guilty, NULL);
	assert_no_leak();
}

static void test_other_engines_go_on(void **state)
{
	int count;

	(void)state;
	make_region(&innocent);
	count = prepare_chain(innocent.compute);
	submit_poison();
	assert_int_equal(io_uring_submit(&innocent.ring), count);
	assert_chain(count);
	assert_int_equal(accel_wait(&guilty, NULL), -ETIMEDOUT);
	count = prepare_chain(innocent.compute);
	assert_int_equal(io_uring_submit(&innocent.ring), count);
	assert_chain(count);
	assert_no_leak();
}

static void test_memory_of_users_is_reached_again(void **state)
{
	static uint8_t buffer[SIZE], back[SIZE];
	struct tandem_uring_command copy = {
		.queue = innocent.copy,
		.src_region = USER,
		.src_offset = address_of(buffer),
		.length = SIZE,
	};

	(void)state;
	make_region(&innocent);
	fill_pattern(buffer, SIZE, 3);
	submit_poison();
	copy.dst_region = region;
	accel_prepare(&innocent, TANDEM_URING_COPY, &copy, 1);
	copy.src_region = region;
	copy.src_offset = 0;
	copy.dst_region = USER;
	copy.dst_offset = address_of(back);
	accel_prepare(&innocent, TANDEM_URING_COPY, &copy, 2);
	assert_int_equal(io_uring_submit(&innocent.ring), 2);
	assert_int_equal(accel_wait(&innocent, NULL), 0);
	assert_int_equal(accel_wait(&innocent, NULL), 0);
	assert_memory_equal(back, buffer, SIZE);
	assert_int_equal(accel_wait(&guilty, NULL), -ETIMEDOUT);
	assert_no_leak();
}

/* Of programs the one that may have begun fails, and no other. */
static void test_programs_are_not_repeated(void **state)
{
	struct tandem_uring_command program = {
		.queue = innocent.compute,
		.length = 64,
	};
	uint64_t user_data;
	int i, result;

	(void)state;
	driver_parameter("command_timeout_ms", "60000");
	make_region(&innocent);
	program.src_region = region;
	toy.shared->manner = TOY_HANG;
	for (i = 0; i < 4; i++)
		accel_prepare(&innocent, TANDEM_URING_EXEC, &program, i);
	assert_int_equal(io_uring_submit(&innocent.ring), 4);
	assert_int_equal(sysfs_write(node, "reset", "1"), 0);
	for (i = 0; i < 4; i++) {
		result = accel_wait(&innocent, &user_data);
		assert_int_equal(result, user_data ? 0 : -EIO);
	}
	assert_no_leak();
}

static void test_cancelled_commands_are_not_repeated(void **state)
{
	struct tandem_uring_command nop = { .queue = innocent.copy };
	uint64_t user_data;
	int i, result;

	(void)state;
	driver_parameter("command_timeout_ms", "60000");
	driver_parameter("admin_timeout_ms", "60000");
	make_region(&innocent);
	toy.shared->manner = TOY_HANG;
	for (i = 0; i < 4; i++) {
		nop.cookie = i;
		accel_prepare(&innocent, TANDEM_URING_NOP, &nop, i);
	}
	nop.cookie = 2;
	accel_prepare(&innocent, TANDEM_URING_CANCEL, &nop, 9);
	assert_int_equal(io_uring_submit(&innocent.ring), 5);
	assert_int_equal(sysfs_write(node, "reset", "1"), 0);
	for (i = 0; i < 5; i++) {
		result = accel_wait(&innocent, &user_data);
		assert_int_equal(result, user_data == 2 ? -ECANCELED : 0);
	}
	assert_no_leak();
}

static void test_reset_when_idle(void **state)
{
	(void)state;
	make_region(&innocent);
	fill_pattern(memory, SIZE, 9);
	assert_int_equal(sysfs_write(node, "reset", "0"), -EINVAL);
	assert_int_equal(sysfs_write(node, "reset", "x"), -EINVAL);
	assert_int_equal(sysfs_number(node, "resets"), 0);
	assert_int_equal(sysfs_write(node, "reset", "1"), 0);
	assert_int_equal(sysfs_number(node, "resets"), 1);
	assert_int_equal(accel_copy(&innocent, region, SIZE, region, 0, SIZE),
			 0);
	assert_memory_equal(memory, memory + SIZE, SIZE);
	assert_no_leak();
}

static void hang_with_chain(int *count)
{
	driver_parameter("command_timeout_ms", "60000");
	make_region(&innocent);
	toy.shared->manner = TOY_HANG;
	*count = prepare_chain(innocent.copy);
	assert_int_equal(io_uring_submit(&innocent.ring), *count);
	/* A device that has completed nothing yet is given no more. */
	toy_wait_for_commands(&toy, 2);
}

static void test_reset_after_a_fatal_error(void **state)
{
	int count;

	(void)state;
	hang_with_chain(&count);
	toy.shared->fatal_once = true;
	assert_chain(count);
	assert_int_equal(sysfs_number(node, "resets"), 1);
	assert_no_leak();
}

static void test_reset_after_the_heart_has_stopped(void **state)
{
	int count;

	(void)state;
	hang_with_chain(&count);
	toy.shared->manner = TOY_STILL;
	assert_chain(count);
	assert_int_equal(sysfs_number(node, "resets"), 1);
	assert_no_leak();
}

/* What waits for the device to let go has its wish by the reset. */
static void test_admin_command_without_an_answer(void **state)
{
	struct drm_tandem_context_destroy destroy = {
		.context = guilty.context,
	};

	(void)state;
	driver_parameter("command_timeout_ms", "100");
	make_region(&innocent);
	toy.shared->manner = TOY_SILENT;
	assert_int_equal(accel_ioctl(&guilty, DRM_IOCTL_TANDEM_CONTEXT_DESTROY,
				     &destroy), 0);
	assert_int_equal(sysfs_number(node, "resets"), 1);
	assert_int_equal(accel_fill(&innocent, region, 0, 5, SIZE), 0);
	toy.shared->manner = TOY_SILENT;
	assert_int_equal(accel_region_unmap(&innocent, 0, region), 0);
	assert_int_equal(sysfs_number(node, "resets"), 2);
	assert_no_leak();
}

/* Nobody knows what a device has done that tells nothing but nonsense. */
static void test_nonsense_ends_in_a_reset(void **state)
{
	struct tandem_uring_command nop = { .queue = innocent.copy };
	uint64_t which;
	int i, result;

	(void)state;
	driver_parameter("command_timeout_ms", "60000");
	make_region(&innocent);
	toy.shared->manner = TOY_GARBAGE;
	for (i = 0; i < 2; i++)
		accel_prepare(&innocent, TANDEM_URING_NOP, &nop, i);
	assert_int_equal(io_uring_submit(&innocent.ring), 2);
	for (i = 0; i < 2; i++) {
		result = accel_wait(&innocent, &which);
		/* The reset may have been over before the second one came. */
		if (which == 0 || result)
			assert_int_equal(result, -EIO);
	}
	assert_int_equal(sysfs_number(node, "resets"), 1);
	assert_int_equal(accel_fill(&innocent, region, 0, 5, SIZE), 0);
	assert_no_leak();
}

/* A command during which the device goes wrong again and again is the cause. */
static void test_suspect_is_not_tried_for_ever(void **state)
{
	struct tandem_uring_command nop = { .queue = innocent.copy };
	uint64_t user_data;

	(void)state;
	driver_parameter("command_timeout_ms", "60000");
	make_region(&innocent);
	toy.shared->heals = false;
	toy.shared->manner = TOY_HANG;
	accel_prepare(&innocent, TANDEM_URING_NOP, &nop, 0);
	accel_prepare(&innocent, TANDEM_URING_NOP, &nop, 1);
	assert_int_equal(io_uring_submit(&innocent.ring), 2);
	toy.shared->fatal_once = true;
	assert_true(sysfs_becomes(node, "resets", "1"));
	assert_true(sysfs_becomes(node, "state", "running"));
	toy.shared->heals = true;
	toy.shared->fatal_once = true;
	assert_int_equal(accel_wait(&innocent, &user_data), -EIO);
	assert_int_equal(user_data, 0);
	assert_int_equal(accel_wait(&innocent, &user_data), 0);
	assert_int_equal(sysfs_number(node, "resets"), 2);
	assert_no_leak();
}

static void test_device_is_given_up_after_many_resets(void **state)
{
	struct pollfd poll_fd = { .fd = innocent.fd, .events = POLLIN };
	struct tandem_uring_command nop = { .queue = innocent.copy };
	uint64_t user_data;
	int i, result;

	(void)state;
	driver_parameter("reset_limit", "2");
	/* The context is to be there to the end. */
	driver_parameter("ban_score", "1000");
	driver_parameter("command_timeout_ms", "100");
	driver_parameter("admin_timeout_ms", "100");
	toy.shared->heals = false;
	toy.shared->manner = TOY_HANG;
	for (i = 0; i < 30; i++)
		accel_prepare(&innocent, TANDEM_URING_NOP, &nop, i);
	assert_int_equal(io_uring_submit(&innocent.ring), 30);
	for (i = 0; i < 30; i++) {
		result = accel_wait(&innocent, &user_data);
		assert_int_equal(user_data, i);
		assert_int_equal(result, i < 2 ? -ETIMEDOUT : -ENODEV);
	}
	assert_int_equal(poll(&poll_fd, 1, 30000), 1);
	assert_true(poll_fd.revents & POLLHUP);
}

/* Resets by the administrator do not count for that. */
static void test_resets_that_are_asked_for_have_no_limit(void **state)
{
	int i;

	(void)state;
	make_region(&innocent);
	driver_parameter("reset_limit", "2");
	for (i = 0; i < 6; i++)
		assert_int_equal(sysfs_write(node, "reset", "1"), 0);
	assert_int_equal(accel_fill(&innocent, region, 0, 5, SIZE), 0);
	assert_no_leak();
}

static void test_stopped_process_is_not_waited_for(void **state)
{
	struct tandem_uring_command nop = { .queue = innocent.copy };

	(void)state;
	kill(toy.pid, SIGSTOP);
	accel_prepare(&innocent, TANDEM_URING_NOP, &nop, 0);
	assert_int_equal(io_uring_submit(&innocent.ring), 1);
	assert_int_equal(sysfs_write(node, "reset", "1"), -EIO);
	assert_int_equal(accel_wait(&innocent, NULL), -ENODEV);
	kill(toy.pid, SIGCONT);
}

static void *ask_often(void *argument)
{
	int *result = argument, i;

	for (i = 0; i < ASKED && !*result; i++)
		*result = sysfs_write(node, "reset", "1");
	return NULL;
}

/* Who asks while the device is being reset for another waits for that one. */
static void test_asked_by_many_at_once(void **state)
{
	struct tandem_uring_command nop = { .queue = innocent.copy };
	pthread_t threads[ASKING];
	int results[ASKING] = { 0 }, i;

	(void)state;
	for (i = 0; i < ASKING; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &results[i]),
				 0);
	for (i = 0; i < ASKING; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(results[i], 0);
	}
	assert_in_range(sysfs_number(node, "resets"), ASKED, ASKING * ASKED);
	accel_prepare(&innocent, TANDEM_URING_NOP, &nop, 0);
	assert_int_equal(io_uring_submit(&innocent.ring), 1);
	assert_int_equal(accel_wait(&innocent, NULL), 0);
	assert_no_leak();
}

static bool find_dump(char *path, size_t size)
{
	DIR *directory = opendir(DUMPS);
	struct dirent *entry;
	bool found = false;

	while (directory && !found && (entry = readdir(directory))) {
		if (strncmp(entry->d_name, "devcd", 5))
			continue;
		snprintf(path, size, DUMPS "/%s/data", entry->d_name);
		found = true;
	}
	if (directory)
		closedir(directory);
	return found;
}

static void drop_dumps(void)
{
	char path[300];
	int tries, fd;

	for (tries = 0; find_dump(path, sizeof(path)) && tries < 500; tries++) {
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0) {
			if (write(fd, "0", 1) < 0)
				print_message("# %s stays\n", path);
			close(fd);
		}
		usleep(20000);
	}
}

static char *read_dump(void)
{
	static char text[1 << 20];
	char path[300];
	size_t length = 0;
	ssize_t got;
	int tries, fd;

	for (tries = 0; !find_dump(path, sizeof(path)) && tries < 1500; tries++)
		usleep(20000);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	while ((got = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
		length += got;
	close(fd);
	text[length] = '\0';
	return text;
}

static void assert_says(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("the dump does not say '%s':\n%s", what, text);
}

static void test_dump_says_what_ran(void **state)
{
	char expected[64], *text;

	(void)state;
	if (access(DUMPS, F_OK)) {
		print_message("# this kernel has no device core dumps\n");
		skip();
	}
	make_region(&innocent);
	submit_poison();
	prepare_fill(&innocent, innocent.copy, region, 0, 0x5ec4e7, 1);
	assert_int_equal(io_uring_submit(&innocent.ring), 1);
	assert_int_equal(accel_wait(&guilty, NULL), -ETIMEDOUT);
	assert_int_equal(accel_wait(&innocent, NULL), 0);
	text = read_dump();
	assert_says(text, "reason: a command cannot be aborted\n");
	assert_says(text, "  STATUS 0x2\n");
	assert_says(text, ": FILL context=");
	snprintf(expected, sizeof(expected), "pid=%d comm=test_driver_res",
		 getpid());
	assert_says(text, expected);
	assert_says(text, " timed-out stuck\n");
	assert_says(text, "  region 0: address=");
	/* No contents: neither what was to be written, nor in any other form. */
	assert_null(strstr(text, "5ec4e7"));
	assert_null(strstr(text, "deadbeef"));
	assert_no_leak();
}

static int listen_to_uevents(void)
{
	struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = 1,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
			NETLINK_KOBJECT_UEVENT);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
			      sizeof(address)), 0);
	return fd;
}

/* Waits for an event that has this variable. */
static void assert_told(int fd, const char *variable)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	static char text[8192];
	ssize_t length;
	char *at;

	while (poll(&poll_fd, 1, 30000) == 1) {
		length = recv(fd, text, sizeof(text) - 1, 0);
		assert_true(length > 0);
		text[length] = '\0';
		for (at = text; at < text + length; at += strlen(at) + 1) {
			if (!strcmp(at, variable))
				return;
		}
	}
	fail_msg("no event with %s", variable);
}

static void test_user_space_is_told(void **state)
{
	int fd = listen_to_uevents();

	(void)state;
	assert_int_equal(sysfs_write(node, "reset", "1"), 0);
	assert_told(fd, "TANDEM_REASON=asked");
	driver_parameter("reset_limit", "0");
	toy.shared->fatal_once = true;
	assert_told(fd, "TANDEM_EVENT=failed");
	close(fd);
}

/* The whole of a device, with much on its way. */
static void test_resets_amid_traffic(void **state)
{
	struct firmware firmware;
	uint8_t *expected = malloc(MIB), *result = malloc(MIB);
	struct accel busy;
	uint32_t mine, round, i;

	(void)state;
	driver_parameter("command_timeout_ms", "60000");
	driver_parameter("admin_timeout_ms", "10000");
	firmware_start(&firmware);
	accel_open(&busy, firmware.node);
	mine = accel_region(&busy, 0, accel_object(&busy, 2 * MIB), 0, 2 * MIB,
			    READ | WRITE);
	for (round = 0; round < 12; round++) {
		pid_t pid = fork();

		if (!pid) {
			usleep(round * 3000);
			_exit(!!sysfs_write(firmware.node, "reset", "1"));
		}
		fill_pattern(expected, MIB, round);
		for (i = 0; i < 8; i++) {
			struct tandem_uring_command copy = {
				.queue = busy.copy,
				.dst_region = mine,
				.src_region = USER,
				.src_offset = address_of(expected),
				.length = MIB,
			};

			accel_prepare(&busy, TANDEM_URING_COPY, &copy, 0);
			copy.src_region = mine;
			copy.src_offset = 0;
			copy.dst_offset = MIB;
			accel_prepare(&busy, TANDEM_URING_COPY, &copy, 0);
			copy.src_offset = MIB;
			copy.dst_region = USER;
			copy.dst_offset = address_of(result);
			accel_prepare(&busy, TANDEM_URING_COPY, &copy, 0);
		}
		assert_int_equal(io_uring_submit(&busy.ring), 24);
		for (i = 0; i < 24; i++)
			assert_int_equal(accel_wait(&busy, NULL), 0);
		assert_memory_equal(result, expected, MIB);
		assert_int_equal(waitpid(pid, (int *)&i, 0), pid);
		assert_int_equal(i, 0);
	}
	assert_int_equal(sysfs_number(firmware.node, "resets"), 12);
	accel_close(&busy);
	firmware_kill(&firmware);
	assert_true(firmware_wait_for_unplug(&firmware));
	free(expected);
	free(result);
}

#define RESET_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RESET_TEST(test_only_the_guilty_notices),
		RESET_TEST(test_other_engines_go_on),
		RESET_TEST(test_memory_of_users_is_reached_again),
		RESET_TEST(test_programs_are_not_repeated),
		RESET_TEST(test_cancelled_commands_are_not_repeated),
		RESET_TEST(test_reset_when_idle),
		RESET_TEST(test_reset_after_a_fatal_error),
		RESET_TEST(test_reset_after_the_heart_has_stopped),
		RESET_TEST(test_admin_command_without_an_answer),
		RESET_TEST(test_nonsense_ends_in_a_reset),
		RESET_TEST(test_suspect_is_not_tried_for_ever),
		RESET_TEST(test_device_is_given_up_after_many_resets),
		RESET_TEST(test_resets_that_are_asked_for_have_no_limit),
		RESET_TEST(test_stopped_process_is_not_waited_for),
		RESET_TEST(test_asked_by_many_at_once),
		RESET_TEST(test_dump_says_what_ran),
		RESET_TEST(test_user_space_is_told),
		RESET_TEST(test_resets_amid_traffic),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
