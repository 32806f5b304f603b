// SPDX-License-Identifier: MIT
/*
 * Filling in a struct tandem_error.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "error.h"

/* Bytes of the UTF-8 character that @lead begins; 1 for what begins none. */
static size_t character_length(unsigned char lead)
{
	if (lead >= 0xc2 && lead <= 0xdf)
		return 2;
	if ((lead & 0xf0) == 0xe0)
		return 3;
	if (lead >= 0xf0 && lead <= 0xf4)
		return 4;
	return 1;
}

static bool continues(const char *at, size_t bytes)
{
	size_t i;

	for (i = 1; i < bytes; i++) {
		/* Stops at the terminator, which is no continuation byte. */
		if (((unsigned char)at[i] & 0xc0) != 0x80)
			return false;
	}
	return true;
}

/*
 * Messages may quote hostile files and end up on a terminal: leave nothing in
 * them that moves a cursor or is cut in the middle of a character.
 */
static void make_printable(char *message)
{
	size_t bytes;
	char *at;

	for (at = message; *at; at += bytes) {
		unsigned char lead = *at;

		bytes = character_length(lead);
		if (!continues(at, bytes))
			bytes = 1;
		if (bytes == 1 && (lead < 0x20 || lead >= 0x7f))
			*at = '?';
		/* U+0080 to U+009F are control characters, too. */
		if (bytes == 2 && lead == 0xc2 && (unsigned char)at[1] < 0xa0)
			memset(at, '?', 2);
	}
}

/* Drop a character of which the end did not fit. */
static void trim_cut_character(char *message)
{
	size_t length = strlen(message);
	size_t back;

	for (back = 1; back <= 3 && back <= length; back++) {
		unsigned char byte = message[length - back];

		if ((byte & 0xc0) == 0x80)
			continue;
		if (character_length(byte) > back)
			message[length - back] = '\0';
		return;
	}
}

int tandem_error_set(struct tandem_error *error, int code, const char *format, ...)
{
	int saved_errno = errno;
	va_list arguments;
	int length;

	if (!error)
		return code;

	error->code = code;
	va_start(arguments, format);
	length = vsnprintf(error->message, sizeof(error->message), format, arguments);
	va_end(arguments);
	if (length < 0)
		strcpy(error->message, "an error whose message could not be formatted");
	if (length >= (int)sizeof(error->message))
		trim_cut_character(error->message);
	make_printable(error->message);
	errno = saved_errno;
	return code;
}
