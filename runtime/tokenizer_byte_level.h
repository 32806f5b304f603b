/* SPDX-License-Identifier: MIT */
/*
 * Texts of byte-level vocabularies.
 *
 * Files hold text, so each byte is written as a printable character there: 188
 * bytes as the character of that number, the other 68, in order, as U+0100 and
 * on.
 */
#ifndef TANDEM_RUNTIME_TOKENIZER_BYTE_LEVEL_H
#define TANDEM_RUNTIME_TOKENIZER_BYTE_LEVEL_H

#include <stdbool.h>
#include <stddef.h>

/**
 * tandem_byte_level_decode() - the bytes that a text stands for
 * @text: text of the file
 * @length: its bytes
 * @bytes: where to put them, @length at most; may be @text
 * @count: where to put how many there are
 *
 * Return: true; false if there is a character that stands for no byte, and then
 * @bytes is undefined unless it is another place than @text.
 */
bool tandem_byte_level_decode(const char *text, size_t length, char *bytes, size_t *count);

#endif /* TANDEM_RUNTIME_TOKENIZER_BYTE_LEVEL_H */
