// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accel.h"
#include "firmware.h"

#define ACCEL_MAX	64
/* In steps of 20 ms. */
#define WAIT_STEPS	3000
#define OPTIONS_MAX	16

static void node_path(char *path, size_t size, int number)
{
	snprintf(path, size, "/dev/accel/accel%d", number);
}

static void pause_a_step(void)
{
	usleep(20000);
}

/* A node is there a moment before it can be opened, and before all of sysfs is. */
static bool is_complete(const char *path)
{
	char attribute[128];
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return false;
	close(fd);
	snprintf(attribute, sizeof(attribute),
		 "/sys/class/accel/%s/device/contexts", strrchr(path, '/') + 1);
	return !access(attribute, F_OK);
}

static pid_t spawn_with(const char *const *options)
{
	const struct rlimit no_core = { 0, 0 };
	char *arguments[OPTIONS_MAX + 2] = { (char *)"tandem-fw" };
	pid_t pid;
	int i;

	for (i = 0; options[i] && i < OPTIONS_MAX; i++)
		arguments[i + 1] = (char *)options[i];
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setrlimit(RLIMIT_CORE, &no_core);
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execvp("tandem-fw", arguments);
		fprintf(stderr, "# cannot run tandem-fw: %s\n",
			strerror(errno));
		_exit(127);
	}
	return pid;
}

static const char *const usual_options[] = {
	"--profile", "host", "--mem", "64M", NULL,
};

pid_t firmware_spawn(void)
{
	return spawn_with(usual_options);
}

/* From here on: the kernel's log is where the driver tells of failed starts. */
static int open_kernel_log(void)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	assert_true(log >= 0);
	lseek(log, 0, SEEK_END);
	return log;
}

static bool start_has_failed(int log)
{
	char line[1024];
	ssize_t length;

	for (;;) {
		length = read(log, line, sizeof(line) - 1);
		/* Lines that were dropped before they could be read. */
		if (length < 0 && errno == EPIPE)
			continue;
		if (length <= 0)
			return false;
		line[length] = '\0';
		if (strstr(line, "cannot start the device"))
			return true;
	}
}

static bool has_ended(struct firmware *firmware)
{
	if (waitpid(firmware->pid, NULL, WNOHANG) != firmware->pid)
		return false;
	firmware->pid = 0;
	return true;
}

/* The node that was not there before, or NULL. */
static const char *find_node(const bool *before, char *path, size_t size)
{
	int i;

	for (i = 0; i < ACCEL_MAX; i++) {
		node_path(path, size, i);
		if (!before[i] && is_complete(path))
			return path;
	}
	return NULL;
}

/* False when the device does not start, or its process ends. */
static bool try_to_start(struct firmware *firmware, const char *const *options)
{
	int log = open_kernel_log(), step, i;
	bool before[ACCEL_MAX];
	bool started = false;
	char path[64];

	for (i = 0; i < ACCEL_MAX; i++) {
		node_path(path, sizeof(path), i);
		before[i] = !access(path, F_OK);
	}
	firmware->pid = spawn_with(options);
	for (step = 0; step < WAIT_STEPS; step++) {
		started = find_node(before, path, sizeof(path));
		if (started || start_has_failed(log) || has_ended(firmware))
			break;
		pause_a_step();
	}
	close(log);
	if (step == WAIT_STEPS) {
		firmware_kill(firmware);
		fail_msg("tandem-fw runs, but its device does not come up");
	}
	if (started)
		memcpy(firmware->node, path, sizeof(path));
	return started;
}

void firmware_start_with(struct firmware *firmware, const char *const *options)
{
	if (try_to_start(firmware, options))
		return;
	firmware_kill(firmware);
	fail_msg("the device of tandem-fw does not start");
}

void firmware_start(struct firmware *firmware)
{
	firmware_start_with(firmware, usual_options);
}

bool firmware_start_faulty(struct firmware *firmware,
			   const char *const *faults)
{
	const char *options[OPTIONS_MAX + 1] = { NULL };
	int count = 0;

	for (; usual_options[count]; count++)
		options[count] = usual_options[count];
	for (; *faults; faults++) {
		assert_true(count + 2 <= OPTIONS_MAX);
		options[count++] = "--fault";
		options[count++] = *faults;
	}
	return try_to_start(firmware, options);
}

void firmware_kill(struct firmware *firmware)
{
	if (!firmware->pid)
		return;
	kill(firmware->pid, SIGKILL);
	waitpid(firmware->pid, NULL, 0);
	firmware->pid = 0;
}

int firmware_wait_for_unplug(const struct firmware *firmware)
{
	int step;

	for (step = 0; step < WAIT_STEPS; step++) {
		if (access(firmware->node, F_OK))
			return 1;
		pause_a_step();
	}
	return 0;
}
