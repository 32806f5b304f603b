// SPDX-License-Identifier: MIT
/*
 * Byte-level vocabularies: that every text comes back, what is spelled out, what
 * files may say, and texts of megabytes. Which tokens come of a text is the
 * business of test_vectors.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/gguf.h"
#include "tests/native/support/gguf_writer.h"
#include "vector_file.h"

#define IDS_MAX		4096
#define LONG_BYTES	(2u << 20)

static const char *const pretokenizers[] = {
	"default", "gpt-2", "phi-2", "mpt", "olmo", "smollm", "starcoder", "refact", "command-r",
	"codeshell", "falcon", "llama-bpe", "llama3", "llama-v3", "falcon3", "dbrx", "smaug-bpe",
	"qwen2", "stablelm2", "megrez", "deepseek-r1-qwen", "tekken", "gpt-4o", "deepseek-llm",
	"deepseek-coder", "deepseek-v3",
};

#define PRETOKENIZERS (sizeof(pretokenizers) / sizeof(pretokenizers[0]))

static uint64_t seed = 20261125;

/* splitmix64: https://prng.di.unimi.it/splitmix64.c */
static uint64_t next_random(void)
{
	uint64_t value = seed += 0x9e3779b97f4a7c15ull;

	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
	value = (value ^ value >> 27) * 0x94d049bb133111ebull;
	return value ^ value >> 31;
}

/* decode(encode(x)) == x. */

static void expect_round_trip(const struct tandem_tokenizer *tokenizer, const char *text,
			      size_t length)
{
	const size_t room = length + 4;
	uint32_t *ids = malloc(room * sizeof(*ids));
	char *back = malloc(length + tandem_tokenizer_piece_max(tokenizer));
	ssize_t count = tandem_tokenizer_encode(tokenizer, text, length, 0, ids, room), i;
	size_t used = 0;

	assert_non_null(ids);
	assert_non_null(back);
	assert_true(count >= 0);
	for (i = 0; i < count; i++) {
		ssize_t bytes = tandem_tokenizer_decode(tokenizer, ids[i], TANDEM_TOKEN_NONE,
							back + used,
							tandem_tokenizer_piece_max(tokenizer));

		assert_true(bytes > 0);
		used += (size_t)bytes;
		assert_true(used <= length);
	}
	assert_int_equal(used, length);
	assert_memory_equal(back, text, length);
	free(back);
	free(ids);
}

/* Random bytes, or random parts of what begins, continues and breaks pieces. */
static size_t random_text(char *text, size_t most)
{
	static const char *const parts[] = {
		" ", "  ", "\n", "\r\n", "\t", "a", "B", "the", "'s", "'LL", "7", "123", ".", "!!",
		"\xc3", "\xa9", "\xc3\xa9", "\xe3\x80\x80", "\xe2\x80\xa8", "\xf0\x9f\x98\x80",
		"\xf0\x9f", "\xcc\x81", "\xed\xa0\x80", "\xff", "\xe4\xb8\xad", "\xef\xbf\xbd",
		"\xf4\x90\x80\x80", "<|end|>", "/", "_",
	};
	const size_t length = next_random() % most;
	const bool bytes = next_random() & 1;
	size_t used = 0;

	while (used < length) {
		const char *part = parts[next_random() % (sizeof(parts) / sizeof(parts[0]))];

		if (bytes || used + strlen(part) > length)
			text[used++] = (char)next_random();
		else
			used += strlen(strcpy(text + used, part));
	}
	return used;
}

static void test_every_text_comes_back(void **state)
{
	char text[201];
	size_t i, byte;
	int round;

	(void)state;
	for (i = 0; i < PRETOKENIZERS; i++) {
		struct tandem_tokenizer *tokenizer = vector_file_tokenizer("bytes.gguf",
									   pretokenizers[i]);

		for (byte = 0; byte < 0x10000; byte += 7) {
			text[0] = (char)byte;
			text[1] = (char)(byte >> 8);
			expect_round_trip(tokenizer, text, 1 + (byte > 0xff));
		}
		for (round = 0; round < 500; round++)
			expect_round_trip(tokenizer, text, random_text(text, sizeof(text) - 1));
		expect_round_trip(tokenizer, "", 0);
		tandem_tokenizer_destroy(tokenizer);
	}
}

/* An invalid byte splits text as U+FFFD does, and stays what it is. */
static void test_invalid_bytes_split_like_fffd(void **state)
{
	struct tandem_tokenizer *tokenizer = vector_file_tokenizer("bytes.gguf", "llama-bpe");
	uint32_t a[16], b[16];
	ssize_t with_fffd, with_byte;

	(void)state;
	with_fffd = tandem_tokenizer_encode(tokenizer, "of\xef\xbf\xbd the", 9, 0, a, 16);
	with_byte = tandem_tokenizer_encode(tokenizer, "of\xff the", 7, 0, b, 16);
	assert_true(with_fffd > 2 && with_byte > 2);
	assert_int_equal(a[0], b[0]);
	assert_int_equal(a[with_fffd - 1], b[with_byte - 1]);
	assert_int_equal(b[with_byte - 2], 0xff);
	tandem_tokenizer_destroy(tokenizer);
}

/*
 * U+017F folds to "s": a contraction to the patterns of those who made the
 * models, which llama.cpp does not say.
 */
static void test_folding(void **state)
{
	struct tandem_tokenizer *tokenizer = vector_file_tokenizer("bytes.gguf", "llama-bpe");
	uint32_t together[16], apart[16];
	ssize_t count, first, second;

	(void)state;
	/* "'\u017fx" falls into "'\u017f" and "x", as the two do alone. */
	count = tandem_tokenizer_encode(tokenizer, "'\xc5\xbfxyz", 6, 0, together, 16);
	first = tandem_tokenizer_encode(tokenizer, "'\xc5\xbf", 3, 0, apart, 16);
	second = tandem_tokenizer_encode(tokenizer, "xyz", 3, 0, apart + first, 16 - first);
	assert_int_equal(count, first + second);
	assert_memory_equal(together, apart, (size_t)count * sizeof(*apart));
	tandem_tokenizer_destroy(tokenizer);
}

/* Tokens that are spelled out. */

static uint32_t id_of(const struct tandem_tokenizer *tokenizer, const char *spelling)
{
	char piece[1024];
	uint32_t id;

	for (id = 0; id < tandem_tokenizer_size(tokenizer); id++) {
		const ssize_t bytes = tandem_tokenizer_piece(tokenizer, id, piece, sizeof(piece));

		if (bytes == (ssize_t)strlen(spelling) && !memcmp(piece, spelling, (size_t)bytes))
			return id;
	}
	fail_msg("there is no token '%s'", spelling);
	return 0;
}

static unsigned int count_of(const struct tandem_tokenizer *tokenizer, const char *text,
			     unsigned int flags, uint32_t id)
{
	uint32_t ids[256];
	ssize_t count = tandem_tokenizer_encode(tokenizer, text, strlen(text), flags, ids, 256), i;
	unsigned int found = 0;

	assert_true(count >= 0 && count <= 256);
	for (i = 0; i < count; i++)
		found += ids[i] == id;
	return found;
}

static void test_spelled_tokens(void **state)
{
	static const char text[] = "a<|im_start|>b<tool_call><tool<|im_start|><|im_start";
	struct tandem_tokenizer *tokenizer = vector_file_tokenizer("bytes.gguf", "qwen2");
	const uint32_t control = id_of(tokenizer, "<|im_start|>");
	const uint32_t user = id_of(tokenizer, "<tool_call>");
	const uint32_t shorter = id_of(tokenizer, "<tool");

	(void)state;
	assert_int_equal(count_of(tokenizer, text, 0, control), 0);
	assert_int_equal(count_of(tokenizer, text, 0, user), 0);
	assert_int_equal(count_of(tokenizer, text, 0, shorter), 0);
	assert_int_equal(count_of(tokenizer, text, TANDEM_ENCODE_USER_DEFINED, control), 0);
	assert_int_equal(count_of(tokenizer, text, TANDEM_ENCODE_USER_DEFINED, user), 1);
	assert_int_equal(count_of(tokenizer, text, TANDEM_ENCODE_USER_DEFINED, shorter), 1);
	assert_int_equal(count_of(tokenizer, text, TANDEM_ENCODE_SPECIAL, control), 2);
	assert_int_equal(count_of(tokenizer, text, TANDEM_ENCODE_SPECIAL, user), 1);
	assert_int_equal(count_of(tokenizer, text, TANDEM_ENCODE_SPECIAL, shorter), 1);
	/* Plain text, it comes back. */
	expect_round_trip(tokenizer, text, strlen(text));
	tandem_tokenizer_destroy(tokenizer);
}

static void test_bos_and_eos(void **state)
{
	struct tandem_tokenizer *tokenizer = vector_file_tokenizer("bytes.gguf", "llama-bpe");
	const uint32_t bos = id_of(tokenizer, "<|begin|>"), eos = id_of(tokenizer, "<|end|>");
	uint32_t ids[4];

	(void)state;
	assert_int_equal(tandem_tokenizer_bos(tokenizer), bos);
	assert_int_equal(tandem_tokenizer_eos(tokenizer), eos);
	/* The file does not say. */
	assert_true(tandem_tokenizer_add_bos(tokenizer));
	assert_false(tandem_tokenizer_add_eos(tokenizer));
	assert_int_equal(tandem_tokenizer_encode(tokenizer, "a", 1,
						 TANDEM_ENCODE_BOS | TANDEM_ENCODE_EOS, ids, 4),
			 3);
	assert_int_equal(ids[0], bos);
	assert_int_equal(ids[1], 'a');
	assert_int_equal(ids[2], eos);
	assert_int_equal(tandem_tokenizer_encode(tokenizer, "a", 1, TANDEM_ENCODE_FLAGS + 1, ids,
						 4), -EINVAL);
	assert_int_equal(tandem_tokenizer_decode(tokenizer, bos, TANDEM_TOKEN_NONE, NULL, 0), 0);
	tandem_tokenizer_destroy(tokenizer);

	tokenizer = vector_file_tokenizer("bytes.gguf", "qwen2");
	assert_false(tandem_tokenizer_add_bos(tokenizer));
	tandem_tokenizer_destroy(tokenizer);
}

/* Streams. */

static void test_stream_keeps_characters_together(void **state)
{
	static const char text[] = "\xf0\x9f\x98\x80\xc3\xa9 a\xe4\xb8\xad";
	struct tandem_tokenizer *tokenizer = vector_file_tokenizer("bytes.gguf", "gpt-2");
	struct tandem_text_stream stream;
	char back[64];
	size_t used = 0, i;

	(void)state;
	/* The first 256 tokens are the bytes. */
	tandem_text_stream_begin(&stream);
	for (i = 0; i < strlen(text); i++) {
		const ssize_t bytes = tandem_text_stream_put(&stream, tokenizer,
							     (unsigned char)text[i], back + used,
							     sizeof(back) - used);
		const bool ends = ((unsigned char)text[i + 1] & 0xc0) != 0x80;

		assert_true(bytes >= 0);
		used += (size_t)bytes;
		assert_int_equal(used, ends ? i + 1 : used);
		assert_true(ends == (bytes > 0));
	}
	assert_int_equal(tandem_text_stream_end(&stream, NULL, 0), 0);
	assert_int_equal(used, strlen(text));
	assert_memory_equal(back, text, used);
	tandem_tokenizer_destroy(tokenizer);
}

static void test_stream_passes_what_is_no_text(void **state)
{
	static const unsigned char bytes[] = { 0xe4, 0xb8, 'a', 0xff, 0xf0, 0x9f };
	static const ssize_t expected[] = { 0, 0, 3, 1, 0, 0 };
	struct tandem_tokenizer *tokenizer = vector_file_tokenizer("bytes.gguf", "gpt-2");
	struct tandem_text_stream stream;
	char back[64];
	size_t used = 0, i;

	(void)state;
	tandem_text_stream_begin(&stream);
	for (i = 0; i < sizeof(bytes); i++) {
		assert_int_equal(tandem_text_stream_put(&stream, tokenizer, bytes[i], back + used,
							sizeof(back) - used), expected[i]);
		used += (size_t)expected[i];
	}
	/* Without room, the stream stays as it was. */
	assert_int_equal(tandem_text_stream_put(&stream, tokenizer, 'x', back, 2), -ENOSPC);
	assert_int_equal(tandem_text_stream_put(&stream, tokenizer, UINT32_MAX - 1, back, 64),
			 -EINVAL);
	assert_int_equal(tandem_text_stream_end(&stream, back + used, 1), -ENOSPC);
	assert_int_equal(tandem_text_stream_end(&stream, back + used, 2), 2);
	assert_memory_equal(back, bytes, sizeof(bytes));
	assert_int_equal(tandem_text_stream_end(&stream, back, 0), 0);
	tandem_tokenizer_destroy(tokenizer);
}

/* Long texts: quadratic time would be hours. */

static void expect_long_round_trip(const char *pretokenizer, const char *unit)
{
	struct tandem_tokenizer *tokenizer = vector_file_tokenizer("bytes.gguf", pretokenizer);
	const size_t unit_bytes = strlen(unit);
	char *text = malloc(LONG_BYTES);
	size_t i;

	assert_non_null(text);
	for (i = 0; i < LONG_BYTES; i++)
		text[i] = unit[i % unit_bytes];
	/* The end decides what a run of spaces is. */
	text[LONG_BYTES - 1] = 'x';
	expect_round_trip(tokenizer, text, LONG_BYTES);
	free(text);
	tandem_tokenizer_destroy(tokenizer);
}

static void test_long_texts(void **state)
{
	static const char *const names[] = { "llama-bpe", "deepseek-llm", "gpt-4o" };
	static const char *const units[] = { "thelordand", " ", "\xff" };
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (j = 0; j < sizeof(units) / sizeof(units[0]); j++)
			expect_long_round_trip(names[i], units[j]);
}

/* What files may say. */

struct file {
	const char *pre;
	const char *const *merges;
	size_t merge_count;
	bool unknown;
};

/* A few tokens, one of them user-defined, and one that stands for no bytes. */
static int load_file(const struct file *file, struct tandem_tokenizer **tokenizer,
		     struct tandem_error *error)
{
	static const char *const tokens[] = { "<unk>", "a", "b", "ab", "\xc4\xa0", "[x]", "a b" };
	static const uint32_t types[] = { 2, 1, 1, 1, 1, 4, 1 };
	int fd = memfd_create("vocabulary", MFD_CLOEXEC), ret;
	struct gguf_writer writer;
	char path[32];
	size_t i;

	assert_true(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	gguf_writer_begin(&writer);
	gguf_writer_key_string(&writer, "tokenizer.ggml.model", "gpt2");
	if (file->pre)
		gguf_writer_key_string(&writer, "tokenizer.ggml.pre", file->pre);
	gguf_writer_key_array(&writer, "tokenizer.ggml.tokens", TANDEM_GGUF_STRING, 7);
	for (i = 0; i < 7; i++)
		gguf_writer_string(&writer, tokens[i]);
	gguf_writer_key_array(&writer, "tokenizer.ggml.token_type", TANDEM_GGUF_INT32, 7);
	for (i = 0; i < 7; i++)
		gguf_writer_u32(&writer, types[i]);
	if (file->merges) {
		gguf_writer_key_array(&writer, "tokenizer.ggml.merges", TANDEM_GGUF_STRING,
				      file->merge_count);
		for (i = 0; i < file->merge_count; i++)
			gguf_writer_string(&writer, file->merges[i]);
	}
	if (file->unknown)
		gguf_writer_key_u32(&writer, "tokenizer.ggml.unknown_token_id", 0);
	assert_int_equal(gguf_writer_save(&writer, path), 0);
	gguf_writer_end(&writer);
	ret = tandem_tokenizer_load(path, tokenizer, error);
	close(fd);
	return ret;
}

static void expect_refused(const struct file *file, int code, const char *thing)
{
	struct tandem_tokenizer *tokenizer = NULL;
	struct tandem_error error = { 0 };

	assert_int_equal(load_file(file, &tokenizer, &error), code);
	assert_null(tokenizer);
	if (!strstr(error.message, thing))
		fail_msg("does not name '%s': %s", thing, error.message);
}

static void test_refused_files(void **state)
{
	static const char *const no_space[] = { "a b", "ab" }, *const no_left[] = { " b" },
		*const no_right[] = { "a " }, *const no_bytes[] = { "a \xe4\xb8\xad" };

	(void)state;
	expect_refused(&(struct file){ "mystery", no_space, 1, true }, -EOPNOTSUPP, "'mystery'");
	expect_refused(&(struct file){ "", no_space, 1, true }, -EOPNOTSUPP, "''");
	expect_refused(&(struct file){ "gpt-2", NULL, 0, true }, -ENOENT,
		       "'tokenizer.ggml.merges'");
	expect_refused(&(struct file){ "gpt-2", no_space, 1, false }, -EINVAL, "0x00");
	expect_refused(&(struct file){ "gpt-2", no_space, 2, true }, -EINVAL, "merge 1");
	expect_refused(&(struct file){ "gpt-2", no_left, 1, true }, -EINVAL, "merge 0");
	expect_refused(&(struct file){ "gpt-2", no_right, 1, true }, -EINVAL, "merge 0");
	expect_refused(&(struct file){ "gpt-2", no_bytes, 1, true }, -EINVAL, "merge 0");
}

static void test_unusual_files(void **state)
{
	/* Of and to what is no normal token; what counts, and the same again. */
	static const char *const merges[] = { "a a", "[x ]", "a b", "a b" };
	struct tandem_tokenizer *tokenizer;
	struct tandem_error error = { 0 };
	uint32_t ids[16];
	char text[8];

	(void)state;
	if (load_file(&(struct file){ NULL, merges, 4, true }, &tokenizer, &error))
		fail_msg("%s", error.message);
	assert_int_equal(tandem_tokenizer_encode(tokenizer, "aab [x]", 7, 0, ids, 16), 6);
	assert_int_equal(ids[0], 1);
	assert_int_equal(ids[1], 3);
	assert_int_equal(ids[2], 4);
	assert_int_equal(ids[3], 0);
	assert_int_equal(ids[4], 0);
	assert_int_equal(ids[5], 0);
	assert_int_equal(tandem_tokenizer_encode(tokenizer, "[x]", 3, TANDEM_ENCODE_USER_DEFINED,
						 ids, 16), 1);
	assert_int_equal(ids[0], 5);
	assert_int_equal(tandem_tokenizer_bos(tokenizer), TANDEM_TOKEN_NONE);
	assert_int_equal(tandem_tokenizer_encode(tokenizer, "a", 1, TANDEM_ENCODE_BOS, ids, 16),
			 -EINVAL);
	assert_int_equal(tandem_tokenizer_encode(tokenizer, "a", 1, TANDEM_ENCODE_EOS, ids, 16),
			 -EINVAL);
	/* A text that stands for no bytes is shown as it is, and never found. */
	assert_int_equal(tandem_tokenizer_decode(tokenizer, 6, 0, text, sizeof(text)), 3);
	assert_memory_equal(text, "a b", 3);
	assert_int_equal(tandem_tokenizer_decode(tokenizer, 0, 0, text, sizeof(text)), 3);
	assert_memory_equal(text, "\xef\xbf\xbd", 3);
	assert_int_equal(tandem_tokenizer_piece(tokenizer, 0, text, sizeof(text)), 5);
	assert_memory_equal(text, "<unk>", 5);
	assert_int_equal(tandem_tokenizer_piece(tokenizer, 0, text, 4), -ENOSPC);
	assert_int_equal(tandem_tokenizer_piece(tokenizer, 7, text, 8), -EINVAL);
	tandem_tokenizer_destroy(tokenizer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_text_comes_back),
		cmocka_unit_test(test_invalid_bytes_split_like_fffd),
		cmocka_unit_test(test_folding),
		cmocka_unit_test(test_spelled_tokens),
		cmocka_unit_test(test_bos_and_eos),
		cmocka_unit_test(test_stream_keeps_characters_together),
		cmocka_unit_test(test_stream_passes_what_is_no_text),
		cmocka_unit_test(test_long_texts),
		cmocka_unit_test(test_refused_files),
		cmocka_unit_test(test_unusual_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
