// SPDX-License-Identifier: MIT
/*
 * What becomes of a user who does harm again and again, each time with a new
 * context in a new file, and what others notice of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accel.h"
#include "firmware.h"
#include "sysfs.h"
#include "tandem_hw.h"

#define ROGUE		65533
#define NEIGHBOUR	65534
/* A timeout counts 6: the fourth is one too many. */
#define SCORE		"24"
#define TIMEOUTS	4
#define ATTEMPTS	20
/* Of children that could not do what they were to do. */
#define BROKEN		100

static struct firmware firmware;

/* A file with a context and a queue. */
struct user {
	int fd;
	uint32_t context;
	uint32_t queue;
	uint32_t region;
};

static int user_ioctl(const struct user *user, unsigned long request, void *args)
{
	const struct accel accel = { .fd = user->fd };

	return accel_ioctl(&accel, request, args);
}

/* 0 or the errno of CONTEXT_CREATE, negative; BROKEN for all else. */
static int user_open(struct user *user)
{
	struct drm_tandem_context_create context = { 0 };
	struct drm_tandem_queue_create queue = { 0 };
	struct drm_tandem_region_map region = { .length = 4096, .flags = WRITE };
	struct drm_tandem_gem_create object = { .size = 4096 };
	int ret;

	user->fd = open(firmware.node, O_RDWR | O_CLOEXEC);
	if (user->fd < 0)
		return BROKEN;
	ret = user_ioctl(user, DRM_IOCTL_TANDEM_CONTEXT_CREATE, &context);
	if (ret)
		return ret;
	user->context = context.context;
	queue.context = context.context;
	queue.kind = TANDEM_QUEUE_COPY;
	if (user_ioctl(user, DRM_IOCTL_TANDEM_QUEUE_CREATE, &queue) ||
	    user_ioctl(user, DRM_IOCTL_TANDEM_GEM_CREATE, &object))
		return BROKEN;
	user->queue = queue.queue;
	region.context = context.context;
	region.handle = object.handle;
	if (user_ioctl(user, DRM_IOCTL_TANDEM_REGION_MAP, &region))
		return BROKEN;
	user->region = region.region;
	return 0;
}

static void user_close(struct user *user)
{
	close(user->fd);
}

static int run(const struct user *user, uint32_t op)
{
	struct tandem_submit_command entry = {
		.op = op,
		.command = {
			.queue = user->queue,
			.dst_region = op == TANDEM_URING_FILL ? user->region : 0,
			.length = op == TANDEM_URING_FILL ? 4096 : 0,
		},
	};
	struct drm_tandem_submit args = {
		.commands = address_of(&entry),
		.count = 1,
		.stride = sizeof(entry),
		.flags = TANDEM_SUBMIT_WAIT,
	};
	int ret = user_ioctl(user, DRM_IOCTL_TANDEM_SUBMIT, &args);

	return ret ?: entry.result;
}

static uint32_t query_flags(const struct user *user)
{
	struct drm_tandem_context_query args = { .context = user->context };

	return user_ioctl(user, DRM_IOCTL_TANDEM_CONTEXT_QUERY, &args) ?
		       ~0u : args.flags;
}

/* What the function returns, run by another user. */
static int as_user(uid_t uid, int (*call)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		if (setgroups(0, NULL) || setgid(uid) || setuid(uid))
			_exit(BROKEN);
		_exit(call());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* The device does no FILL, until it is aborted. Number of those it took. */
static int do_harm(void)
{
	struct user user;
	int count, ret;

	for (count = 0; count < ATTEMPTS; count++) {
		ret = user_open(&user);
		if (ret == -EDQUOT)
			return count;
		if (ret || run(&user, TANDEM_URING_FILL) != -ETIMEDOUT)
			return BROKEN;
		user_close(&user);
	}
	return count;
}

/* 0: commands are carried out. */
static int work(void)
{
	struct user user;

	if (user_open(&user))
		return 1;
	if (query_flags(&user))
		return 2;
	return run(&user, TANDEM_URING_NOP) ? 3 : 0;
}

/* 0: a context that was there before, and did nothing, is banned with them. */
static int do_harm_beside_another(void)
{
	struct user before;

	if (user_open(&before) || run(&before, TANDEM_URING_NOP))
		return BROKEN;
	if (do_harm() != TIMEOUTS)
		return 1;
	if (query_flags(&before) != TANDEM_CONTEXT_USER_BANNED)
		return 2;
	if (run(&before, TANDEM_URING_NOP) != -EIO)
		return 3;
	/* It can still be taken apart. */
	user_close(&before);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	driver_parameter("command_timeout_ms", "100");
	driver_parameter("user_ban_score", SCORE);
	firmware_start_faulty(&firmware, (const char *[]) {
		"hang:opcode=2,count=0,until=abort", NULL });
	return chmod(firmware.node, 0666);
}

static int teardown(void **state)
{
	(void)state;
	driver_parameter("command_timeout_ms", "60000");
	driver_parameter("user_ban_score", "48");
	driver_parameter("ban_forgiving_ms", "60000");
	firmware_kill(&firmware);
	return 0;
}

static void test_new_contexts_are_no_way_out(void **state)
{
	(void)state;
	assert_int_equal(as_user(ROGUE, do_harm), TIMEOUTS);
	/* Nor is waiting for all files to be closed. */
	assert_int_equal(as_user(ROGUE, do_harm), 0);
	assert_int_equal(as_user(ROGUE, work), 1);
}

static void test_contexts_of_before_are_none_either(void **state)
{
	(void)state;
	assert_int_equal(as_user(ROGUE, do_harm_beside_another), 0);
}

static void test_other_users_do_not_notice(void **state)
{
	struct accel accel;

	(void)state;
	accel_open(&accel, firmware.node);
	assert_int_equal(as_user(ROGUE, do_harm), TIMEOUTS);
	assert_int_equal(as_user(NEIGHBOUR, work), 0);
	assert_int_equal(accel_run(&accel, TANDEM_URING_NOP,
				   &(struct tandem_uring_command) {
					   .queue = accel.copy }), 0);
	accel_close(&accel);
	assert_int_equal(sysfs_number(firmware.node, "resets"), 0);
	/* Each has an account. */
	assert_int_equal(as_user(NEIGHBOUR, do_harm), TIMEOUTS);
}

static void test_it_is_forgiven(void **state)
{
	(void)state;
	assert_int_equal(as_user(ROGUE, do_harm), TIMEOUTS);
	assert_int_equal(as_user(ROGUE, work), 1);
	driver_parameter("ban_forgiving_ms", "10");
	usleep(24 * 10 * 1000);
	assert_int_equal(as_user(ROGUE, work), 0);
}

static void test_there_may_be_no_limit(void **state)
{
	(void)state;
	driver_parameter("user_ban_score", "0");
	assert_int_equal(as_user(ROGUE, do_harm), ATTEMPTS);
	assert_int_equal(as_user(ROGUE, work), 0);
}

static void test_administrators_have_no_account(void **state)
{
	(void)state;
	assert_int_equal(do_harm(), ATTEMPTS);
	assert_int_equal(work(), 0);
}

#define ACCOUNT_TEST(test) \
	cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ACCOUNT_TEST(test_new_contexts_are_no_way_out),
		ACCOUNT_TEST(test_contexts_of_before_are_none_either),
		ACCOUNT_TEST(test_other_users_do_not_notice),
		ACCOUNT_TEST(test_it_is_forgiven),
		ACCOUNT_TEST(test_there_may_be_no_limit),
		ACCOUNT_TEST(test_administrators_have_no_account),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
