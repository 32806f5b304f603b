// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
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

/* A node is there a moment before it can be opened. */
static bool can_be_opened(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static pid_t spawn_with(const char *const *options)
{
	char *arguments[OPTIONS_MAX + 2] = { (char *)"tandem-fw" };
	pid_t pid;
	int i;

	for (i = 0; options[i] && i < OPTIONS_MAX; i++)
		arguments[i + 1] = (char *)options[i];
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
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

void firmware_start(struct firmware *firmware)
{
	firmware_start_with(firmware, usual_options);
}

void firmware_start_with(struct firmware *firmware, const char *const *options)
{
	bool before[ACCEL_MAX];
	char path[64];
	int step, i;

	for (i = 0; i < ACCEL_MAX; i++) {
		node_path(path, sizeof(path), i);
		before[i] = !access(path, F_OK);
	}
	firmware->pid = spawn_with(options);
	for (step = 0; step < WAIT_STEPS; step++) {
		for (i = 0; i < ACCEL_MAX; i++) {
			node_path(path, sizeof(path), i);
			if (before[i] || !can_be_opened(path))
				continue;
			memcpy(firmware->node, path, sizeof(path));
			return;
		}
		if (waitpid(firmware->pid, NULL, WNOHANG) == firmware->pid)
			fail_msg("tandem-fw ended before its device came up");
		pause_a_step();
	}
	kill(firmware->pid, SIGKILL);
	waitpid(firmware->pid, NULL, 0);
	fail_msg("tandem-fw runs, but its device does not come up");
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
