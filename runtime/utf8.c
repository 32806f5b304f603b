// SPDX-License-Identifier: MIT
/*
 * Where characters of UTF-8 begin and end (The Unicode Standard, table 3-7).
 */
#include "utf8.h"

/* Bytes of a character that begins with @first; 0: none does. */
static size_t length_by_first(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* The second byte is where overlong forms, surrogates and too much show. */
static int second_fits(unsigned char first, unsigned char second)
{
	const unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	const unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;

	return second >= low && second <= high;
}

/* How many of the @left bytes at @at fit together, at most @length. */
static size_t fitting(const unsigned char *at, size_t left, size_t length)
{
	size_t i;

	for (i = 1; i < length && i < left; i++) {
		if (i == 1 ? !second_fits(at[0], at[1]) : (at[i] & 0xc0) != 0x80)
			break;
	}
	return i;
}

size_t tandem_utf8_character(const char *text, size_t left)
{
	const unsigned char *at = (const unsigned char *)text;
	const size_t length = length_by_first(at[0]);

	return length && fitting(at, left, length) == length ? length : 0;
}

size_t tandem_utf8_unfinished(const char *text, size_t length)
{
	const unsigned char *end = (const unsigned char *)text + length;
	size_t back;

	for (back = 1; back < UTF8_BYTES_MAX && back <= length; back++) {
		const size_t whole = length_by_first(*(end - back));

		if (whole > back)
			return fitting(end - back, back, whole) == back ? back : 0;
		if ((*(end - back) & 0xc0) != 0x80)
			break;
	}
	return 0;
}
