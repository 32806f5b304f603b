/* SPDX-License-Identifier: MIT */
/*
 * The files of tests/native/tokenizer/vectors. A file that is not as expected
 * ends the test.
 */
#ifndef TANDEM_TESTS_VECTOR_FILE_H
#define TANDEM_TESTS_VECTOR_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "runtime/tokenizer.h"

/* One more than the longest line and the longest text have. */
#define VECTOR_LINE_MAX	8192
#define VECTOR_TEXT_MAX	4096

FILE *vector_file_open(const char *name);

/**
 * vector_file_tokenizer() - the tokenizer of a vocabulary, varied
 * @name: of a GGUF file without tensors
 * @variant: "prefix" as it is, "bare" without a space in front of texts; else the
 *	name of a pre-tokenizer
 */
struct tandem_tokenizer *vector_file_tokenizer(const char *name, const char *variant);

/* Undo %XX up to the end of the line, and return how many bytes that makes. */
size_t vector_unquote(const char *line, char *text);

/* CRC-32 of ids as little-endian words, going on from another, 0 at first. */
uint32_t vector_crc(uint32_t crc, const uint32_t *ids, size_t count);

#endif /* TANDEM_TESTS_VECTOR_FILE_H */
