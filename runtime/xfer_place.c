// SPDX-License-Identifier: MIT
/*
 * Where a process is, as far as the kernel tells.
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "xfer_place.h"

static void read_boot(uint8_t *boot)
{
	char text[64] = "";
	unsigned int digits = 0;
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t size;

	memset(boot, 0, XFER_BOOT_BYTES);
	if (fd < 0)
		return;
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	for (ssize_t i = 0; i < size && digits < 2 * XFER_BOOT_BYTES; i++) {
		if (!isxdigit((unsigned char)text[i]))
			continue;
		const char digit[2] = { text[i] };

		boot[digits / 2] |= strtoul(digit, NULL, 16) << (digits % 2 ? 0 : 4);
		digits++;
	}
}

void xfer_place_read(struct xfer_place *place)
{
	struct stat status;

	read_boot(place->boot);
	place->network = stat("/proc/self/ns/net", &status) ? 0 : status.st_ino;
}

bool xfer_place_same(const struct xfer_place *one, const struct xfer_place *other)
{
	return one->network && one->network == other->network &&
	       !memcmp(one->boot, other->boot, XFER_BOOT_BYTES);
}
