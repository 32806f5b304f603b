// SPDX-License-Identifier: MIT
/*
 * Texts of byte-level vocabularies.
 */
#include <stdint.h>

#include "tokenizer_byte_level.h"
#include "utf8.h"

/* Whether a byte is written as the character of its own number. */
static bool is_itself(uint32_t byte)
{
	return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) ||
	       (byte >= 0xae && byte <= 0xff);
}

/* The byte that a character stands for, or -1. */
static int byte_of(uint32_t character)
{
	uint32_t byte, place = 0x100;

	if (character < 0x100)
		return is_itself(character) ? (int)character : -1;
	for (byte = 0; byte < 0x100; byte++) {
		if (!is_itself(byte) && place++ == character)
			return (int)byte;
	}
	return -1;
}

bool tandem_byte_level_decode(const char *text, size_t length, char *bytes, size_t *count)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t i, used = 0, size;
	int byte;

	for (i = 0; i < length; i += size) {
		size = tandem_utf8_character(text + i, length - i);
		if (size != 1 && size != 2)
			return false;
		byte = byte_of(size == 1 ? at[i] : (at[i] & 0x1fu) << 6 | (at[i + 1] & 0x3f));
		if (byte < 0)
			return false;
		bytes[used++] = (char)byte;
	}
	*count = used;
	return true;
}
