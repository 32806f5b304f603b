/* SPDX-License-Identifier: MIT */
/*
 * Failures that the command itself finds, in the library's form.
 */
#ifndef TANDEM_FAILURE_H
#define TANDEM_FAILURE_H

#include <tandem/error.h>

/* Fill in @error, and return @code: "return failure(error, -EINVAL, …)". */
int failure(struct tandem_error *error, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Print it as the command's one line on standard error. Return: 1, to exit with. */
int failure_print(const struct tandem_error *error);

#endif /* TANDEM_FAILURE_H */
