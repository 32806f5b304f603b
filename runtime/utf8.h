/* SPDX-License-Identifier: MIT */
/*
 * Where characters of UTF-8 begin and end.
 */
#ifndef TANDEM_RUNTIME_UTF8_H
#define TANDEM_RUNTIME_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* U+FFFD, which stands for what is no character. */
#define UTF8_REPLACEMENT	"\xef\xbf\xbd"
#define UTF8_REPLACEMENT_BYTES	3

/* The longest character, in bytes. */
#define UTF8_BYTES_MAX		4

/**
 * tandem_utf8_character() - length of a character
 * @text: where it begins
 * @left: bytes from there on, 1 at least
 *
 * Return: its bytes; 0 if no whole and valid character begins there.
 */
size_t tandem_utf8_character(const char *text, size_t left);

/**
 * tandem_utf8_unfinished() - whether a text ends within a character
 * @text: the text
 * @length: its bytes
 *
 * Return: bytes at the end that are the beginning of a valid character and not
 * all of it; 0 if there are none.
 */
size_t tandem_utf8_unfinished(const char *text, size_t length);

#endif /* TANDEM_RUNTIME_UTF8_H */
