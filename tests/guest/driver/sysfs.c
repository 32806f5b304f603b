// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accel.h"
#include "sysfs.h"

/* In steps of 20 ms. */
#define WAIT_STEPS	3000

static void path_of(const char *node, const char *name, char *path, size_t size)
{
	snprintf(path, size, "/sys/class/accel/%s/device/%s",
		 strrchr(node, '/') + 1, name);
}

static int try_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (fd < 0)
		return -errno;
	length = read(fd, text, size - 1);
	close(fd);
	if (length < 0)
		return -EIO;
	text[length] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return 0;
}

static int try_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

void sysfs_read(const char *node, const char *name, char *text, size_t size)
{
	char path[160];
	int ret;

	path_of(node, name, path, sizeof(path));
	ret = try_read(path, text, size);
	if (ret)
		fail_msg("%s: %s", path, strerror(-ret));
}

long sysfs_number(const char *node, const char *name)
{
	char text[64];

	sysfs_read(node, name, text, sizeof(text));
	return strtol(text, NULL, 10);
}

int sysfs_write(const char *node, const char *name, const char *text)
{
	char path[160];

	path_of(node, name, path, sizeof(path));
	return try_write(path, text);
}

bool sysfs_becomes(const char *node, const char *name, const char *text)
{
	char path[160], found[64] = "";
	int step;

	path_of(node, name, path, sizeof(path));
	for (step = 0; step < WAIT_STEPS; step++) {
		if (!try_read(path, found, sizeof(found)) &&
		    !strcmp(found, text))
			return true;
		usleep(20000);
	}
	print_error("%s: '%s' instead of '%s'\n", path, found, text);
	return false;
}

void driver_parameter(const char *name, const char *text)
{
	char path[128];
	int ret;

	snprintf(path, sizeof(path), "/sys/module/tandem/parameters/%s", name);
	ret = try_write(path, text);
	if (ret)
		fail_msg("%s: %s", path, strerror(-ret));
}
