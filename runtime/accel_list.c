// SPDX-License-Identifier: MIT
/*
 * Which accel devices there are.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accel.h"

#define ACCEL_CLASS	"/sys/class/accel"

static int is_accel_name(const struct dirent *entry)
{
	const char *number = entry->d_name + 5;

	return !strncmp(entry->d_name, "accel", 5) && *number &&
	       !number[strspn(number, "0123456789")];
}

/* Without having to open the node, for which permission may be lacking. */
static bool driver_is_tandem(const char *name)
{
	char path[PATH_MAX];
	char target[PATH_MAX];
	const char *driver;
	ssize_t length;

	snprintf(path, sizeof(path), ACCEL_CLASS "/%s/device/driver", name);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return false;
	target[length] = '\0';
	driver = strrchr(target, '/');
	return !strcmp(driver ? driver + 1 : target, ACCEL_DRIVER);
}

static bool node_is_tandem(const char *name)
{
	char path[PATH_MAX];
	bool is_tandem;
	int fd;

	snprintf(path, sizeof(path), ACCEL_DIRECTORY "/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return driver_is_tandem(name);
	is_tandem = accel_is_tandem(fd);
	close(fd);
	return is_tandem;
}

int tandem_device_list(char (*names)[64], size_t capacity)
{
	struct dirent **entries;
	int count = 0;
	int total;
	int i;

	/* In the order of numbers: accel2 before accel10. */
	total = scandir(ACCEL_DIRECTORY, &entries, is_accel_name, versionsort);
	if (total < 0)
		return errno == ENOENT ? 0 : -errno;
	for (i = 0; i < total; i++) {
		const char *name = entries[i]->d_name;

		if (strlen(name) < sizeof(names[0]) && node_is_tandem(name)) {
			if ((size_t)count < capacity)
				strcpy(names[count], name);
			count++;
		}
		free(entries[i]);
	}
	free(entries);
	return count;
}
