/* SPDX-License-Identifier: MIT */
/* Values of options, for all commands. */
#ifndef TANDEM_ARGUMENTS_H
#define TANDEM_ARGUMENTS_H

#include <argp.h>
#include <stdint.h>

/* The number that option @name was given; the program ends if it is not in range. */
uint64_t argument_number(struct argp_state *state, const char *name, const char *text,
			 uint64_t least, uint64_t most);

#endif /* TANDEM_ARGUMENTS_H */
