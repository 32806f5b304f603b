// SPDX-License-Identifier: MIT
/* Running other programs. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench_program.h"

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

int bench_program_run(char *const *argv, char *output, size_t size)
{
	int pipe_fd[2], status, ret;
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
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}
