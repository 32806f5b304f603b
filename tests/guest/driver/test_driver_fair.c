// SPDX-License-Identifier: MIT
/*
 * Whose command goes next. The device is a toy that takes a known time for each
 * command and keeps the order in which it was given them, so that what is
 * compared is device time and order, however busy the machine is.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accel.h"
#include "toy_device.h"

#define PAGE		4096
#define PAGE_US		500
/* Longer than what the driver puts on a ring in advance, and shorter. */
#define LONG		8
#define SHORT		1
#define NOBODY		65534
/* In steps of 10 ms. */
#define WAIT_STEPS	6000

/* One who has commands carried out: a queue of a file. */
struct user {
	struct accel accel;
	uint32_t queue;
	uint32_t region;
	/* By which its commands are known to the toy. */
	uint32_t tag;
};

static struct toy_device toy;
static char node[300];

static int setup(void **state)
{
	(void)state;
	toy_start(&toy, TOY_NO_DEFECT);
	assert_true(toy_find_node(&toy, node, sizeof(node), 30));
	toy.shared->page_us = PAGE_US;
	toy.shared->manner = TOY_HOLD;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	toy_kill(&toy);
	return 0;
}

static uint32_t queue_with(const struct accel *accel, uint32_t priority)
{
	struct drm_tandem_queue_create create = {
		.context = accel->context,
		.kind = TANDEM_QUEUE_COPY,
		.priority = priority,
	};

	assert_int_equal(accel_ioctl(accel, DRM_IOCTL_TANDEM_QUEUE_CREATE,
				     &create), 0);
	return create.queue;
}

static void user_open(struct user *user, uint32_t priority, uint32_t tag)
{
	accel_open_ring(&user->accel, node, 1024, 0);
	user->queue = queue_with(&user->accel, priority);
	user->region = accel_region(&user->accel, 0,
				    accel_object(&user->accel, LONG * PAGE),
				    0, LONG * PAGE, READ | WRITE);
	user->tag = tag;
}

static void submit(struct user *user, uint32_t count, uint32_t pages)
{
	struct tandem_uring_command fill = {
		.queue = user->queue,
		.dst_region = user->region,
		.src_offset = user->tag,
		.length = pages * PAGE,
	};
	uint32_t i;

	for (i = 0; i < count; i++)
		accel_prepare(&user->accel, TANDEM_URING_FILL, &fill, i);
	assert_int_equal(io_uring_submit(&user->accel.ring), count);
}

/* Results and durations of so many commands; the latter are added up. */
static uint64_t collect(struct user *user, uint32_t count)
{
	struct io_uring_cqe *cqe;
	uint64_t sum = 0;

	while (count--) {
		assert_int_equal(io_uring_wait_cqe(&user->accel.ring, &cqe), 0);
		assert_int_equal(cqe->res, 0);
		sum += cqe->big_cqe[0];
		io_uring_cqe_seen(&user->accel.ring, cqe);
	}
	return sum;
}

static struct drm_tandem_queue_query query(const struct user *user)
{
	struct drm_tandem_queue_query args = { .queue = user->queue };

	assert_int_equal(accel_ioctl(&user->accel, DRM_IOCTL_TANDEM_QUEUE_QUERY,
				     &args), 0);
	return args;
}

/* The toy takes up so many commands in all, and the driver sees them end. */
static void let_run(struct user *const *users, uint32_t limit)
{
	uint64_t completed;
	uint32_t i;
	int step;

	toy.shared->limit = limit;
	toy.shared->manner = TOY_GOOD;
	for (step = 0; step < WAIT_STEPS; step++) {
		completed = 0;
		for (i = 0; users[i]; i++)
			completed += query(users[i]).completed;
		if (completed == limit)
			return;
		usleep(10000);
	}
	fail_msg("%llu commands of %u have ended",
		 (unsigned long long)completed, limit);
}

/* Commands of this tag among those that were taken up from @from to @to. */
static uint32_t taken_of(uint32_t tag, uint32_t from, uint32_t to)
{
	uint32_t count = 0;

	for (; from < to; from++)
		count += toy.shared->order[from] == tag;
	return count;
}

/* Where the last one of this tag is in the order, of all that were taken up. */
static uint32_t last_of(uint32_t tag)
{
	uint32_t i;

	for (i = toy.shared->taken; i; i--) {
		if (toy.shared->order[i - 1] == tag)
			return i - 1;
	}
	fail_msg("no command of %u", tag);
	return 0;
}

static uint64_t context_ns(const struct user *user)
{
	struct drm_tandem_context_query args = {
		.context = user->accel.context,
	};

	assert_int_equal(accel_ioctl(&user->accel,
				     DRM_IOCTL_TANDEM_CONTEXT_QUERY, &args), 0);
	return args.device_ns;
}

static uint64_t fdinfo_ns(const struct user *user)
{
	static const char key[] = "drm-engine-copy:";
	char path[64], line[256];
	uint64_t ns = UINT64_MAX;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", user->accel.fd);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, key, sizeof(key) - 1))
			ns = strtoull(line + sizeof(key) - 1, NULL, 10);
	}
	fclose(file);
	return ns;
}

/* Everyone is told the same of the time that a user got: what the toy said. */
static uint64_t check_time(struct user *user, uint32_t pages)
{
	uint32_t count = taken_of(user->tag, 0, toy.shared->taken);
	uint64_t ns = (uint64_t)count * pages * PAGE_US * 1000;

	assert_int_equal(query(user).completed, count);
	assert_int_equal(query(user).device_ns, ns);
	assert_int_equal(context_ns(user), ns);
	assert_int_equal(fdinfo_ns(user), ns);
	assert_int_equal(collect(user, count), ns);
	return ns;
}

/* All that the user gave has ended well. */
static void finish(struct user *user)
{
	collect(user, query(user).submitted);
	accel_close(&user->accel);
}

/* The rest of the commands is of no interest, and takes no time. */
static void drop(struct user *user)
{
	toy.shared->page_us = 0;
	toy.shared->limit = 0;
	accel_close(&user->accel);
}

#define USERS(...) ((struct user *const []) { __VA_ARGS__, NULL })

/*
 * First in, first out would give the first one all time, and turns by command
 * would give eight parts to one.
 */
static void test_time_is_shared_not_commands(void **state)
{
	uint64_t long_ns, short_ns;
	struct user first, second;

	(void)state;
	user_open(&first, TANDEM_PRIORITY_NORMAL, 1);
	user_open(&second, TANDEM_PRIORITY_NORMAL, 2);
	submit(&first, 40, LONG);
	submit(&second, 320, SHORT);
	let_run(USERS(&first, &second), 90);
	long_ns = check_time(&first, LONG);
	short_ns = check_time(&second, SHORT);
	print_message("# %llu ns and %llu ns\n", (unsigned long long)long_ns,
		      (unsigned long long)short_ns);
	assert_true(long_ns < 2 * short_ns);
	assert_true(short_ns < 2 * long_ns);

	drop(&first);
	drop(&second);
}

/* Also when the one with the short commands was there first. */
static void test_time_is_shared_whoever_was_first(void **state)
{
	uint64_t long_ns, short_ns;
	struct user first, second;

	(void)state;
	user_open(&first, TANDEM_PRIORITY_NORMAL, 1);
	user_open(&second, TANDEM_PRIORITY_NORMAL, 2);
	submit(&second, 320, SHORT);
	submit(&first, 40, LONG);
	let_run(USERS(&first, &second), 90);
	long_ns = check_time(&first, LONG);
	short_ns = check_time(&second, SHORT);
	assert_true(long_ns < 2 * short_ns);
	assert_true(short_ns < 2 * long_ns);

	drop(&first);
	drop(&second);
}

#define QUEUES	6

static void test_more_queues_do_not_give_more_time(void **state)
{
	struct user many, one;
	uint32_t of_many, of_one, i;

	(void)state;
	user_open(&many, TANDEM_PRIORITY_NORMAL, 1);
	user_open(&one, TANDEM_PRIORITY_NORMAL, 2);
	for (i = 0; i < QUEUES; i++) {
		if (i)
			many.queue = queue_with(&many.accel,
						TANDEM_PRIORITY_NORMAL);
		submit(&many, 40, 2);
	}
	submit(&one, 100, 2);
	toy.shared->limit = 100;
	toy.shared->manner = TOY_GOOD;
	toy_wait_for_commands(&toy, 100);
	of_many = taken_of(1, 0, 100);
	of_one = taken_of(2, 0, 100);
	print_message("# %u and %u commands\n", of_many, of_one);
	assert_true(of_many < 2 * of_one);
	assert_true(of_one < 2 * of_many);

	drop(&many);
	drop(&one);
}

/* How many commands of another context go before a newcomer's first one. */
static uint32_t wait_of_newcomer(uint32_t pages)
{
	struct user busy, newcomer;
	uint32_t before;

	user_open(&busy, TANDEM_PRIORITY_NORMAL, 1);
	user_open(&newcomer, TANDEM_PRIORITY_NORMAL, 2);
	submit(&busy, 300, pages);
	/* The driver has learned by then what such a command takes. */
	let_run(USERS(&busy, &newcomer), 60);
	submit(&newcomer, 1, pages);
	toy.shared->limit = 0;
	collect(&newcomer, 1);
	before = taken_of(1, 60, last_of(2));
	print_message("# %u commands of the other before it\n", before);

	drop(&busy);
	drop(&newcomer);
	return before;
}

/* Of commands that are longer than the window, two are on the ring. */
static void test_newcomer_waits_for_few_long_commands(void **state)
{
	(void)state;
	assert_true(wait_of_newcomer(LONG) <= 4);
}

/* Of shorter ones as many as fill it: four, with the least that is learned. */
static void test_newcomer_waits_for_few_short_commands(void **state)
{
	(void)state;
	assert_true(wait_of_newcomer(SHORT) <= 10);
}

/* A user that had nothing to do has not saved up time. */
static void test_idling_earns_nothing(void **state)
{
	struct user busy, idler;
	uint32_t of_busy;

	(void)state;
	user_open(&busy, TANDEM_PRIORITY_NORMAL, 1);
	user_open(&idler, TANDEM_PRIORITY_NORMAL, 2);
	submit(&idler, 1, SHORT);
	let_run(USERS(&busy, &idler), 1);
	submit(&busy, 300, 2);
	let_run(USERS(&busy, &idler), 101);
	submit(&idler, 300, 2);
	let_run(USERS(&busy, &idler), 201);
	of_busy = taken_of(1, 101, 201);
	print_message("# %u of 100 commands\n", of_busy);
	assert_in_range(of_busy, 30, 70);

	drop(&busy);
	drop(&idler);
}

/*
 * The highest comes last and goes first. What lower ones get meanwhile is a
 * small part, of which the next test sees that it is there.
 */
static void test_order_of_priorities(void **state)
{
	struct user low, normal, high;
	uint32_t high_done, normal_done;

	(void)state;
	user_open(&low, TANDEM_PRIORITY_LOW, 1);
	user_open(&normal, TANDEM_PRIORITY_NORMAL, 2);
	user_open(&high, TANDEM_PRIORITY_HIGH, 3);
	submit(&low, 80, 2);
	submit(&normal, 80, 2);
	submit(&high, 80, 2);
	let_run(USERS(&low, &normal, &high), 240);
	high_done = last_of(3);
	normal_done = last_of(2);
	print_message("# before the last HIGH: %u NORMAL, %u LOW; before the last NORMAL: %u LOW\n",
		      taken_of(2, 0, high_done), taken_of(1, 0, high_done),
		      taken_of(1, 0, normal_done));
	assert_true(high_done < normal_done);
	assert_true(normal_done < last_of(1));
	assert_true(taken_of(2, 0, high_done) < 20);
	assert_true(taken_of(1, 0, high_done) < 20);
	assert_true(taken_of(1, 0, normal_done) < 40);
	finish(&low);
	finish(&normal);
	finish(&high);
}

/* One part of sixteen goes to those behind: ten of these. */
static void under_load_of(uint32_t priority)
{
	struct user low, load;
	uint32_t before;

	user_open(&low, TANDEM_PRIORITY_LOW, 1);
	user_open(&load, priority, 2);
	submit(&load, 160, 2);
	submit(&low, 80, 2);
	let_run(USERS(&low, &load), 240);
	before = taken_of(1, 0, last_of(2));
	print_message("# %u LOW among 160 others\n", before);
	assert_in_range(before, 4, 25);
	finish(&low);
	finish(&load);
}

static void test_low_gets_on_under_load_of_normal(void **state)
{
	(void)state;
	under_load_of(TANDEM_PRIORITY_NORMAL);
}

static void test_low_gets_on_under_load_of_high(void **state)
{
	(void)state;
	under_load_of(TANDEM_PRIORITY_HIGH);
}

/* Result of making a queue of this priority, as nobody in particular. */
static int try_as_nobody(uint32_t priority)
{
	struct drm_tandem_context_create context = { 0 };
	struct drm_tandem_queue_create queue = {
		.kind = TANDEM_QUEUE_COPY,
		.priority = priority,
	};
	struct accel accel = { .fd = open(node, O_RDWR | O_CLOEXEC) };

	if (accel.fd < 0 ||
	    accel_ioctl(&accel, DRM_IOCTL_TANDEM_CONTEXT_CREATE, &context))
		return 1;
	queue.context = context.context;
	return accel_ioctl(&accel, DRM_IOCTL_TANDEM_QUEUE_CREATE, &queue);
}

static void test_high_is_not_for_everyone(void **state)
{
	static const struct {
		uint32_t priority;
		int result;
	} cases[] = {
		{ TANDEM_PRIORITY_NORMAL, 0 },
		{ TANDEM_PRIORITY_LOW, 0 },
		{ TANDEM_PRIORITY_HIGH, -EACCES },
		{ TANDEM_PRIORITY_HIGH + 1, -EINVAL },
	};
	size_t i;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(chmod(node, 0666), 0);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			if (setgroups(0, NULL) || setgid(NOBODY) ||
			    setuid(NOBODY))
				_exit(255);
			_exit(-try_as_nobody(cases[i].priority));
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), -cases[i].result);
	}
}

#define FAIR_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAIR_TEST(test_time_is_shared_not_commands),
		FAIR_TEST(test_time_is_shared_whoever_was_first),
		FAIR_TEST(test_more_queues_do_not_give_more_time),
		FAIR_TEST(test_newcomer_waits_for_few_long_commands),
		FAIR_TEST(test_newcomer_waits_for_few_short_commands),
		FAIR_TEST(test_idling_earns_nothing),
		FAIR_TEST(test_order_of_priorities),
		FAIR_TEST(test_low_gets_on_under_load_of_normal),
		FAIR_TEST(test_low_gets_on_under_load_of_high),
		FAIR_TEST(test_high_is_not_for_everyone),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
