/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The firmware's log.
 */
#ifndef _TANDEM_LOG_H
#define _TANDEM_LOG_H

#include <linux/types.h>

struct tandem_device;

/* The most that is read, whatever the firmware says it has. */
#define TANDEM_LOG_BYTES_MAX	(256 * 1024)

/**
 * tandem_log_read() - read what the firmware's log has
 * @tdev: a device that carries out admin commands
 * @text: set to the text, which ends with a NUL and otherwise has printable
 *	ASCII and newlines only; the caller frees it with kvfree()
 *
 * Sleeps, at most for as long as admin commands get. The firmware of an older
 * minor version has no such command (-EIO).
 *
 * Return: length of the text, or a negative errno; then there is no text.
 */
ssize_t tandem_log_read(struct tandem_device *tdev, char **text);

#endif /* _TANDEM_LOG_H */
