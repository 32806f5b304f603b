// SPDX-License-Identifier: MIT
/* Running other programs. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench_program.h"

/* How often, and how long after one another, a client tries to reach its server. */
#define CLIENT_TRIES	50
#define CLIENT_PAUSE_NS	100000000

extern char **environ;

/*
 * Not by fork(), which would have every page of this process's memory faulted in
 * once more afterwards: in the middle of a measurement.
 */
static int spawn(char *const *argv, int output, pid_t *child)
{
	posix_spawn_file_actions_t actions;
	int ret;

	ret = posix_spawn_file_actions_init(&actions);
	if (ret)
		return -ret;
	ret = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	if (!ret)
		ret = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null",
						       O_WRONLY, 0);
	if (!ret)
		ret = posix_spawnp(child, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -ret;
}

static void read_all(int fd, char *output, size_t size)
{
	char rest[4096];
	size_t used = 0;
	ssize_t got;

	do {
		if (used + 1 < size)
			got = read(fd, output + used, size - 1 - used);
		else
			got = read(fd, rest, sizeof(rest));
		if (got > 0 && used + 1 < size)
			used += got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	output[used] = '\0';
}

/* As wait(), with what it used. Return: its exit status, or -1. */
static int wait_for(pid_t child, double *cpu_seconds)
{
	struct rusage usage;
	int status;
	pid_t ended;

	do {
		ended = wait4(child, &status, 0, &usage);
	} while (ended < 0 && errno == EINTR);
	if (ended != child)
		return -1;
	*cpu_seconds += (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
			(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run(char *const *argv, char *output, size_t size, double *cpu_seconds)
{
	int pipe_fd[2], ret;
	pid_t child;

	output[0] = '\0';
	if (pipe2(pipe_fd, O_CLOEXEC))
		return -1;
	ret = spawn(argv, pipe_fd[1], &child);
	close(pipe_fd[1]);
	if (!ret)
		read_all(pipe_fd[0], output, size);
	close(pipe_fd[0]);
	if (ret)
		return ret == -ENOENT ? 127 : -1;
	return wait_for(child, cpu_seconds);
}

int bench_program_run(char *const *argv, char *output, size_t size)
{
	double cpu_seconds = 0;

	return run(argv, output, size, &cpu_seconds);
}

static bool has_ended(pid_t child)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid;
}

int bench_program_run_pair(char *const *server, char *const *client, char *output, size_t size,
			   double *cpu_seconds)
{
	const struct timespec pause = { .tv_nsec = CLIENT_PAUSE_NS };
	int tries, null, ret;
	double used;
	pid_t child;

	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (null < 0)
		return -1;
	ret = spawn(server, null, &child);
	close(null);
	if (ret)
		return ret == -ENOENT ? 127 : -1;
	for (tries = 0; tries < CLIENT_TRIES; tries++) {
		used = 0;
		ret = run(client, output, size, &used);
		if (!ret || ret == 127 || has_ended(child))
			break;
		nanosleep(&pause, NULL);
	}
	if (ret)
		kill(child, SIGTERM);
	*cpu_seconds = used;
	wait_for(child, cpu_seconds);
	return ret;
}

unsigned int bench_program_free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	unsigned int port = 0;
	int fd;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	if (!bind(fd, (struct sockaddr *)&address, size) &&
	    !getsockname(fd, (struct sockaddr *)&address, &size))
		port = ntohs(address.sin_port);
	close(fd);
	return port;
}
