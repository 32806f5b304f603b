// SPDX-License-Identifier: MIT
/*
 * Tokens of thousands of texts against those that llama.cpp finds with the same
 * vocabularies. vectors/make-vectors made both, and tells what is in the files.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "vector_file.h"

#define COLUMNS_MAX	16
#define FAILURES_SHOWN	10

/* A column: a tokenizer, and what becomes of texts with it. */
struct column {
	char name[32];
	struct tandem_tokenizer *tokenizer;
	unsigned int flags;
	unsigned int failures;
};

/* "NAME" or "NAME+special". */
static void begin_column(struct column *column, const char *file, const char *name)
{
	const char *plus = strchr(name, '+');

	snprintf(column->name, sizeof(column->name), "%s", name);
	if (plus)
		column->name[plus - name] = '\0';
	/* llama.cpp always recognises user-defined tokens. */
	column->flags = plus ? TANDEM_ENCODE_SPECIAL : TANDEM_ENCODE_USER_DEFINED;
	column->tokenizer = vector_file_tokenizer(file, column->name);
	column->failures = 0;
}

static void check_text(struct column *column, const char *text, size_t length, uint32_t expected)
{
	static uint32_t ids[4 * VECTOR_TEXT_MAX];
	const ssize_t count = tandem_tokenizer_encode(column->tokenizer, text, length,
						      column->flags, ids, 4 * VECTOR_TEXT_MAX);
	ssize_t i;

	assert_true(count >= 0);
	if (vector_crc(0, ids, (size_t)count) == expected || column->failures++ >= FAILURES_SHOWN)
		return;
	print_error("%s: '", column->name);
	for (i = 0; i < (ssize_t)length; i++)
		print_error((unsigned char)text[i] - 0x20u < 0x5f && text[i] != '%' ? "%c" : "%%%02X",
			    (unsigned char)text[i]);
	print_error("' has become");
	for (i = 0; i < count; i++)
		print_error(" %u", ids[i]);
	print_error("\n");
}

static void check_byte_level_round_trip(const struct column *column, const char *text,
					size_t length)
{
	static uint32_t ids[4 * VECTOR_TEXT_MAX];
	static char back[8 * VECTOR_TEXT_MAX];
	const ssize_t count = tandem_tokenizer_encode(column->tokenizer, text, length, 0, ids,
						      4 * VECTOR_TEXT_MAX);
	size_t used = 0;
	ssize_t i;

	for (i = 0; i < count; i++)
		used += (size_t)tandem_tokenizer_decode(column->tokenizer, ids[i],
							TANDEM_TOKEN_NONE, back + used,
							sizeof(back) - used);
	assert_int_equal(used, length);
	assert_memory_equal(back, text, length);
}

static unsigned int check_file(const char *vectors, const char *model, bool byte_level)
{
	struct column columns[COLUMNS_MAX];
	unsigned int column_count = 0, texts = 0, failures = 0, i;
	static char line[VECTOR_LINE_MAX], text[VECTOR_TEXT_MAX];
	FILE *file = vector_file_open(vectors);
	char *word, *rest;
	size_t length;

	assert_non_null(fgets(line, sizeof(line), file));
	for (word = strtok_r(line, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest)) {
		assert_true(column_count < COLUMNS_MAX);
		begin_column(&columns[column_count++], model, word);
	}
	while (fgets(line, sizeof(line), file)) {
		/* Checks have 8 digits and a space after them. */
		assert_true(strlen(line) >= 9 * column_count);
		length = vector_unquote(line + 9 * column_count, text);
		for (i = 0; i < column_count; i++) {
			check_text(&columns[i], text, length,
				   (uint32_t)strtoul(line + 9 * i, NULL, 16));
			if (byte_level)
				check_byte_level_round_trip(&columns[i], text, length);
		}
		texts++;
	}
	fclose(file);
	for (i = 0; i < column_count; i++) {
		if (columns[i].failures)
			print_error("%s: %u of %u texts differ\n", columns[i].name,
				    columns[i].failures, texts);
		failures += columns[i].failures;
		tandem_tokenizer_destroy(columns[i].tokenizer);
	}
	assert_true(texts > 1000);
	return failures;
}

static void test_byte_level(void **state)
{
	(void)state;
	assert_int_equal(check_file("bytes.txt", "bytes.gguf", true), 0);
}

static void test_sentencepiece(void **state)
{
	(void)state;
	assert_int_equal(check_file("pieces.txt", "pieces.gguf", false), 0);
}

/* Characters, each among others that could go with it. */

struct range {
	uint32_t first;
	uint32_t last;
};

static size_t put_character(uint32_t code, char *text)
{
	if (code < 0x80) {
		text[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		text[0] = (char)(0xc0 | code >> 6);
		text[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		text[0] = (char)(0xe0 | code >> 12);
		text[1] = (char)(0x80 | (code >> 6 & 0x3f));
		text[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	text[0] = (char)(0xf0 | code >> 18);
	text[1] = (char)(0x80 | (code >> 12 & 0x3f));
	text[2] = (char)(0x80 | (code >> 6 & 0x3f));
	text[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

/* As character_text() of make-vectors; '%' is the character. */
static size_t character_text(uint32_t code, char *text)
{
	size_t length = 0;
	const char *at;

	for (at = "a%b 1% %%2'%.%\n"; *at; at++) {
		if (*at == '%')
			length += put_character(code, text + length);
		else
			text[length++] = *at;
	}
	return length;
}

static uint32_t crc_of_block(const struct tandem_tokenizer *tokenizer, const struct range *ranges,
			     size_t range_count, uint32_t block)
{
	uint32_t crc = 0, code, ids[128];
	char text[64];
	size_t i;

	for (i = 0; i < range_count; i++) {
		for (code = ranges[i].first; code <= ranges[i].last; code++) {
			ssize_t count;

			if (code >> 10 != block >> 10)
				continue;
			count = tandem_tokenizer_encode(tokenizer, text, character_text(code, text),
							0, ids, 128);
			assert_true(count > 0);
			crc = vector_crc(crc, ids, (size_t)count);
		}
	}
	return crc;
}

static void test_characters(void **state)
{
	static struct range ranges[8192];
	struct tandem_tokenizer *tokenizer = NULL;
	unsigned int failures = 0, checks = 0;
	uint32_t block, crc;
	size_t range_count = 0;
	FILE *file = vector_file_open("characters.txt");
	char line[128], name[32], now[32] = "";

	(void)state;
	while (fgets(line, sizeof(line), file)) {
		struct range *range = &ranges[range_count];

		assert_true(range_count < sizeof(ranges) / sizeof(ranges[0]));
		if (sscanf(line, "range %x %x", &range->first, &range->last) == 2) {
			range_count++;
			continue;
		}
		assert_int_equal(sscanf(line, "check %31s %x %x", name, &block, &crc), 3);
		if (strcmp(name, now)) {
			tandem_tokenizer_destroy(tokenizer);
			tokenizer = vector_file_tokenizer("bytes.gguf", name);
			strcpy(now, name);
		}
		checks++;
		if (crc_of_block(tokenizer, ranges, range_count, block) != crc) {
			print_error("%s: characters from U+%04X on differ\n", name, block);
			failures++;
		}
	}
	tandem_tokenizer_destroy(tokenizer);
	fclose(file);
	assert_true(checks > 100);
	assert_int_equal(failures, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_byte_level),
		cmocka_unit_test(test_sentencepiece),
		cmocka_unit_test(test_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
