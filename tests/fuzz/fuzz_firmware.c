// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz_firmware.h"

/* In steps of 10 ms. */
#define START_STEPS	1500
/* One that does wrong may not come up at all. */
#define FAULTY_STEPS	300

static void be_firmware(const char *const *faults, int output)
{
	const struct rlimit no_core = { 0, 0 };
	const char *arguments[7 + 2 * FUZZ_FAULTS_MAX + 1] = {
		"tandem-fw", "--profile", "host", "--mem", "16M", "--sram", "4M",
	};
	int count = 7;

	for (; *faults && count < 7 + 2 * FUZZ_FAULTS_MAX; faults++) {
		arguments[count++] = "--fault";
		arguments[count++] = *faults;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_CORE, &no_core);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	execvp("tandem-fw", (char *const *)arguments);
	_exit(127);
}

/* The slot that it says to be in, or negative. */
static int find_slot(int output)
{
	char text[512];
	ssize_t length = pread(output, text, sizeof(text) - 1, 0);
	const char *at;
	int slot = -1;

	if (length <= 0)
		return -1;
	text[length] = '\0';
	at = strstr(text, "slot ");
	if (at && strstr(text, "plugged in"))
		sscanf(at, "slot %d", &slot);
	return slot;
}

static int find_node(int slot)
{
	struct dirent *entry;
	char path[128];
	int node = -1;
	DIR *nodes;

	snprintf(path, sizeof(path), "/sys/bus/tandem_emu/devices/tandem-emu%d/accel", slot);
	nodes = opendir(path);
	if (!nodes)
		return -1;
	while (node < 0 && (entry = readdir(nodes)))
		sscanf(entry->d_name, "accel%d", &node);
	closedir(nodes);
	snprintf(path, sizeof(path), "/dev/accel/accel%d", node);
	return access(path, R_OK) ? -1 : node;
}

pid_t fuzz_firmware_start(const char *const *faults, int *node)
{
	int output = memfd_create("firmware", MFD_CLOEXEC), slot = -1, step;
	int steps = *faults ? FAULTY_STEPS : START_STEPS;
	pid_t process;

	*node = -1;
	if (output < 0)
		return -errno;
	process = fork();
	if (!process)
		be_firmware(faults, output);
	for (step = 0; process > 0 && *node < 0 && step < steps; step++) {
		usleep(10000);
		if (slot < 0)
			slot = find_slot(output);
		if (slot >= 0)
			*node = find_node(slot);
		if (waitpid(process, NULL, WNOHANG) == process) {
			process = -ESRCH;
			*node = -1;
		}
	}
	close(output);
	return process < 0 && process != -ESRCH ? -errno : process;
}

void fuzz_firmware_kill(pid_t process)
{
	if (process <= 0)
		return;
	kill(process, SIGKILL);
	waitpid(process, NULL, 0);
}

int fuzz_firmware_count(void)
{
	DIR *devices = opendir("/sys/bus/tandem_emu/devices");
	struct dirent *entry;
	int count = 0;

	if (!devices)
		return -1;
	while ((entry = readdir(devices)))
		count += entry->d_name[0] != '.';
	closedir(devices);
	return count;
}
