/* SPDX-License-Identifier: MIT */
/*
 * A line on the terminal that says how far something is. Nothing is written to a
 * standard error that is no terminal.
 */
#ifndef TANDEM_PROGRESS_H
#define TANDEM_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct progress - the line
 * @shown: it is there
 * @percent: that it shows
 *
 * Zeroed before first use.
 */
struct progress {
	bool shown;
	unsigned int percent;
};

/* "WHAT NN %", in place of what was there. */
void progress_show(struct progress *progress, const char *what, uint64_t done, uint64_t total);
/* Take the line away, if there is one: something else is to be written. */
void progress_clear(struct progress *progress);

#endif /* TANDEM_PROGRESS_H */
