// SPDX-License-Identifier: MIT
/*
 * The files of tests/native/tokenizer/vectors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/native/support/gguf_writer.h"
#include "vector_file.h"

/* Tests are run from the top of the tree, or say where that is. */
FILE *vector_file_open(const char *name)
{
	const char *top = getenv("TANDEM_TOP");
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/tests/native/tokenizer/vectors/%s", top ? top : ".", name);
	file = fopen(path, "rb");
	if (!file)
		fail_msg("%s is not here: run tests from the top of the tree", path);
	return file;
}

/* With the file's bytes in it, further keys can be added. */
static void read_model(const char *name, struct gguf_writer *writer)
{
	FILE *file = vector_file_open(name);
	char chunk[4096];
	size_t bytes;

	memset(writer, 0, sizeof(*writer));
	while ((bytes = fread(chunk, 1, sizeof(chunk), file)))
		gguf_writer_put(writer, chunk, bytes);
	fclose(file);
}

struct tandem_tokenizer *vector_file_tokenizer(const char *name, const char *variant)
{
	const int fd = memfd_create("vocabulary", MFD_CLOEXEC);
	struct tandem_tokenizer *tokenizer = NULL;
	struct tandem_error error = { 0 };
	struct gguf_writer writer;
	char path[32];

	assert_true(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	read_model(name, &writer);
	if (!strcmp(variant, "bare"))
		gguf_writer_key_bool(&writer, "tokenizer.ggml.add_space_prefix", false);
	else if (strcmp(variant, "prefix"))
		gguf_writer_key_string(&writer, "tokenizer.ggml.pre", variant);
	assert_int_equal(gguf_writer_save(&writer, path), 0);
	gguf_writer_end(&writer);
	if (tandem_tokenizer_load(path, &tokenizer, &error))
		fail_msg("%s", error.message);
	close(fd);
	return tokenizer;
}

size_t vector_unquote(const char *line, char *text)
{
	size_t length = 0;
	unsigned int byte;

	for (; *line && *line != '\n'; line++) {
		assert_true(length < VECTOR_TEXT_MAX);
		if (*line == '%') {
			assert_int_equal(sscanf(line + 1, "%2x", &byte), 1);
			text[length++] = (char)byte;
			line += 2;
		} else {
			text[length++] = *line;
		}
	}
	return length;
}

uint32_t vector_crc(uint32_t crc, const uint32_t *ids, size_t count)
{
	size_t i;
	int bit;

	crc = ~crc;
	for (i = 0; i < count * 4; i++) {
		crc ^= ids[i / 4] >> 8 * (i % 4) & 0xff;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}
