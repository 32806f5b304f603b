/* SPDX-License-Identifier: MIT */
/*
 * Filling in a struct tandem_error.
 */
#ifndef TANDEM_RUNTIME_ERROR_H
#define TANDEM_RUNTIME_ERROR_H

#include <tandem/error.h>

/**
 * tandem_error_set() - say why a call fails
 * @error: the caller's; may be NULL
 * @code: a negative errno
 * @format: as printf(); names the object, what is wrong and what to do
 *
 * Text from outside (file contents, names, peers) may be formatted as it is:
 * control characters are shown as '?', and a message too long is cut between
 * two characters. errno is kept.
 *
 * Return: @code, so that a caller can write "return tandem_error_set(…)".
 */
int tandem_error_set(struct tandem_error *error, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* TANDEM_RUNTIME_ERROR_H */
