// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "accel.h"
#include "tracing.h"

#define TRACEFS		"/sys/kernel/tracing"
#define TEXT_MAX	(16 * MIB)

static void write_to(const struct tracing *tracing, const char *name, const char *text)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", tracing->directory, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fail_msg("%s: %s", path, strerror(errno));
	close(fd);
}

/*
 * To know the names of processes the kernel would hang itself into each switch between
 * them, and patch the scheduler for that under all processors. Emulated ones have been
 * seen to trip over that: "Oops: int3" in __schedule().
 */
static void forgo_names(void)
{
	const struct tracing all = { .directory = TRACEFS };

	write_to(&all, "options/record-cmd", "0");
}

void tracing_start(struct tracing *tracing)
{
	memset(tracing, 0, sizeof(*tracing));
	if (access(TRACEFS "/instances", F_OK) &&
	    mount("tracefs", TRACEFS, "tracefs", 0, NULL))
		fail_msg("cannot mount " TRACEFS ": %s", strerror(errno));
	forgo_names();
	snprintf(tracing->directory, sizeof(tracing->directory), TRACEFS "/instances/tandem-%d",
		 getpid());
	if (mkdir(tracing->directory, 0700))
		fail_msg("%s: %s", tracing->directory, strerror(errno));
	write_to(tracing, "buffer_size_kb", "2048");
	write_to(tracing, "events/tandem/enable", "1");
}

static void forget(struct tracing *tracing)
{
	free(tracing->text);
	free(tracing->lines);
	tracing->text = NULL;
	tracing->lines = NULL;
	tracing->count = 0;
}

void tracing_stop(struct tracing *tracing)
{
	forget(tracing);
	if (!*tracing->directory)
		return;
	write_to(tracing, "events/tandem/enable", "0");
	if (rmdir(tracing->directory))
		fail_msg("%s: %s", tracing->directory, strerror(errno));
	*tracing->directory = 0;
}

void tracing_read(struct tracing *tracing)
{
	char path[256], *line, *rest;
	size_t length;
	FILE *file;

	forget(tracing);
	snprintf(path, sizeof(path), "%s/trace", tracing->directory);
	file = fopen(path, "re");
	tracing->text = malloc(TEXT_MAX);
	tracing->lines = calloc(TEXT_MAX / 16, sizeof(*tracing->lines));
	assert_non_null(file);
	assert_non_null(tracing->text);
	assert_non_null(tracing->lines);
	length = fread(tracing->text, 1, TEXT_MAX - 1, file);
	fclose(file);
	tracing->text[length] = 0;
	for (line = strtok_r(tracing->text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (*line != '#')
			tracing->lines[tracing->count++] = line;
}

bool tracing_is(const char *line, const char *event)
{
	char name[64];

	snprintf(name, sizeof(name), ": %s: ", event);
	return strstr(line, name);
}

static const char *value_of(const char *line, const char *field)
{
	char name[64];
	const char *at;

	snprintf(name, sizeof(name), " %s=", field);
	at = strstr(line, name);
	return at ? at + strlen(name) : NULL;
}

long long tracing_field(const char *line, const char *field)
{
	const char *value = value_of(line, field);
	long long number;
	char *end;

	if (!value)
		fail_msg("no %s in: %s", field, line);
	number = (long long)strtoull(value, &end, 0);
	if (*value == '-')
		number = strtoll(value, &end, 0);
	if (end == value || (*end && !isspace((unsigned char)*end)))
		fail_msg("%s is no number in: %s", field, line);
	return number;
}

bool tracing_has(const char *line, const char *field, long long value)
{
	return value_of(line, field) && tracing_field(line, field) == value;
}

size_t tracing_find(const struct tracing *tracing, size_t from, const char *event,
		    const char *field, long long value)
{
	for (; from < tracing->count; from++)
		if (tracing_is(tracing->lines[from], event) &&
		    tracing_has(tracing->lines[from], field, value))
			break;
	return from;
}
