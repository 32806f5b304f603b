// SPDX-License-Identifier: MIT
/*
 * Failures that the command itself finds, in the library's form.
 */
#include <stdarg.h>
#include <stdio.h>

#include "failure.h"

int failure(struct tandem_error *error, int code, const char *format, ...)
{
	va_list arguments;

	error->code = code;
	va_start(arguments, format);
	vsnprintf(error->message, sizeof(error->message), format, arguments);
	va_end(arguments);
	return code;
}

int failure_print(const struct tandem_error *error)
{
	fprintf(stderr, "tandem: %s\n", error->message);
	return 1;
}
