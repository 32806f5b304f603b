// SPDX-License-Identifier: MIT
/* Values of options, for all commands. */
#include <errno.h>
#include <stdlib.h>

#include "arguments.h"

uint64_t argument_number(struct argp_state *state, const char *name, const char *text,
			 uint64_t least, uint64_t most)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value < least || value > most)
		argp_error(state, "%s: '%s' is not a number from %llu to %llu", name, text,
			   (unsigned long long)least, (unsigned long long)most);
	return value;
}
