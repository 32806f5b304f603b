// SPDX-License-Identifier: MIT
/* A progress line. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "progress.h"

/* More than any line is long. */
#define LINE_COLUMNS	40

void progress_show(struct progress *progress, const char *what, uint64_t done, uint64_t total)
{
	const unsigned int percent = total ? (unsigned int)((double)done * 100 / (double)total) : 100;

	if (!isatty(STDERR_FILENO) || (progress->shown && progress->percent == percent))
		return;
	progress->shown = true;
	progress->percent = percent;
	fprintf(stderr, "\r%s %3u %%", what, percent);
}

void progress_clear(struct progress *progress)
{
	const char *no_color = getenv("NO_COLOR");

	if (!progress->shown)
		return;
	progress->shown = false;
	/* Who wants no colours may have a terminal that knows no such sequences. */
	if (no_color && *no_color)
		fprintf(stderr, "\r%*s\r", LINE_COLUMNS, "");
	else
		fputs("\r\033[K", stderr);
}
