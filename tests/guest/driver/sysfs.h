/* SPDX-License-Identifier: MIT */
/*
 * Attributes of a device on its bus, found by its accel node; and parameters of
 * the driver. What cannot fail in a sound system ends the test.
 */
#ifndef TEST_SYSFS_H
#define TEST_SYSFS_H

#include <stdbool.h>
#include <stddef.h>

/* The text of an attribute, such as "state" or "power/control". */
void sysfs_read(const char *node, const char *name, char *text, size_t size);
long sysfs_number(const char *node, const char *name);
/* 0 or -errno. */
int sysfs_write(const char *node, const char *name, const char *text);
/* Does the attribute get this text within some time? */
bool sysfs_becomes(const char *node, const char *name, const char *text);
void driver_parameter(const char *name, const char *text);

#endif /* TEST_SYSFS_H */
