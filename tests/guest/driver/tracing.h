/* SPDX-License-Identifier: MIT */
/*
 * The driver's tracepoints, as tracefs shows them. A test has a buffer of its
 * own, so that tracing of others is not disturbed.
 */
#ifndef TEST_TRACING_H
#define TEST_TRACING_H

#include <stdbool.h>
#include <stddef.h>

struct tracing {
	char directory[128];
	/* What was read last: all events, oldest first. */
	char *text;
	char **lines;
	size_t count;
};

/* Switches all events of the driver on. */
void tracing_start(struct tracing *tracing);
void tracing_stop(struct tracing *tracing);
/* Reads what has happened up to now. */
void tracing_read(struct tracing *tracing);

/* Is a line of this event? */
bool tracing_is(const char *line, const char *event);
/* A field's value as a number; fails the test when there is none. */
long long tracing_field(const char *line, const char *field);
/* Has the line this field with this value? */
bool tracing_has(const char *line, const char *field, long long value);
/*
 * The first line from index @from on of an event which has @field with
 * @value: its index, or that behind the last one.
 */
size_t tracing_find(const struct tracing *tracing, size_t from, const char *event,
		    const char *field, long long value);

#endif /* TEST_TRACING_H */
