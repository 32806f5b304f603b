// SPDX-License-Identifier: MIT
/*
 * Text to tokens and back: against SentencePiece's tokens of a real vocabulary,
 * and against a plain implementation of the same definition on random texts.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stories_vectors.h"
#include "tests/native/support/shared_data.h"
#include "vocabulary.h"

#define MARK		"\xe2\x96\x81"
#define IDS_MAX		4096
#define TEXT_MAX	1024

static uint64_t seed = 20261124;

/* splitmix64: https://prng.di.unimi.it/splitmix64.c */
static uint64_t next_random(void)
{
	uint64_t value = seed += 0x9e3779b97f4a7c15ull;

	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
	value = (value ^ value >> 27) * 0x94d049bb133111ebull;
	return value ^ value >> 31;
}

static struct tandem_tokenizer *load(const struct vocabulary *vocabulary)
{
	struct tandem_tokenizer *tokenizer = NULL;
	struct tandem_error error = { 0 };

	if (vocabulary_load(vocabulary, &tokenizer, &error))
		fail_msg("%s", error.message);
	return tokenizer;
}

static struct tandem_tokenizer *load_stories(void)
{
	struct tandem_tokenizer *tokenizer = NULL;
	struct tandem_error error = { 0 };
	char path[512];

	if (!shared_data_path("data/models/stories260K.gguf", path, sizeof(path)))
		skip();
	if (tandem_tokenizer_load(path, &tokenizer, &error))
		fail_msg("%s", error.message);
	return tokenizer;
}

static void print_ids(const char *what, const uint32_t *ids, size_t count)
{
	size_t i;

	print_error("%s:", what);
	for (i = 0; i < count; i++)
		print_error(" %u", ids[i]);
	print_error("\n");
}

static void expect_ids(const struct tandem_tokenizer *tokenizer, const char *text, size_t length,
		       bool add_bos, const uint32_t *expected, size_t count)
{
	uint32_t ids[IDS_MAX];
	ssize_t ret = tandem_tokenizer_encode(tokenizer, text, length, add_bos, ids, IDS_MAX);

	if (ret == (ssize_t)count && !memcmp(ids, expected, count * sizeof(*ids)))
		return;
	if (ret >= 0)
		print_ids("got", ids, (size_t)ret);
	print_ids("expected", expected, count);
	fail_msg("'%s': %zd instead of %zu tokens, or others", text, ret, count);
}

static size_t decode_all(const struct tandem_tokenizer *tokenizer, const uint32_t *ids,
			 size_t count, char *text, size_t size)
{
	uint32_t previous = TANDEM_TOKEN_NONE;
	size_t used = 0, i;

	for (i = 0; i < count; i++) {
		ssize_t bytes = tandem_tokenizer_decode(tokenizer, ids[i], previous, text + used,
							size - used);

		assert_true(bytes >= 0 && (size_t)bytes <= size - used);
		assert_true((size_t)bytes <= tandem_tokenizer_piece_max(tokenizer));
		used += (size_t)bytes;
		previous = ids[i];
	}
	return used;
}

/* Spelled with and without BOS, text must come back byte for byte. */
static void expect_round_trip(const struct tandem_tokenizer *tokenizer, const char *text,
			      size_t length)
{
	uint32_t ids[IDS_MAX];
	char back[IDS_MAX];
	int add_bos;

	for (add_bos = 0; add_bos < 2; add_bos++) {
		ssize_t count = tandem_tokenizer_encode(tokenizer, text, length, add_bos, ids,
							IDS_MAX);
		size_t bytes;

		assert_true(count >= 0);
		bytes = decode_all(tokenizer, ids, (size_t)count, back, sizeof(back));
		assert_int_equal(bytes, length);
		assert_memory_equal(back, text, length);
	}
}

/* Against SentencePiece. */

static void test_stories_prompt(void **state)
{
	static const uint32_t expected[] = { 1, 403, 407, 261, 378 };
	struct tandem_tokenizer *tokenizer = load_stories();

	(void)state;
	assert_int_equal(tandem_tokenizer_size(tokenizer), 512);
	assert_int_equal(tandem_tokenizer_bos(tokenizer), 1);
	assert_int_equal(tandem_tokenizer_eos(tokenizer), 2);
	assert_true(tandem_tokenizer_add_bos(tokenizer));
	expect_ids(tokenizer, "Once upon a time", 16, true, expected, 5);
	tandem_tokenizer_destroy(tokenizer);
}

static void test_stories_vectors(void **state)
{
	struct tandem_tokenizer *tokenizer = load_stories();
	size_t i;

	(void)state;
	for (i = 0; i < stories_vector_count; i++) {
		const struct stories_vector *vector = &stories_vectors[i];

		expect_ids(tokenizer, vector->text, vector->length, false, vector->ids,
			   vector->count);
		if (!strstr(vector->text, MARK))
			expect_round_trip(tokenizer, vector->text, vector->length);
	}
	tandem_tokenizer_destroy(tokenizer);
}

/* The token that ends a word decides nothing about the space before the next. */
static void test_stories_stream(void **state)
{
	static const uint32_t continuation[] = { 432, 383, 286, 261, 376 };
	static const char expected[] = ", there was a little";
	struct tandem_tokenizer *tokenizer = load_stories();
	uint32_t previous = 378; /* the prompt's last */
	char text[64];
	size_t used = 0, i;

	(void)state;
	for (i = 0; i < 5; i++) {
		ssize_t bytes = tandem_tokenizer_decode(tokenizer, continuation[i], previous,
							text + used, sizeof(text) - used);

		assert_true(bytes > 0);
		used += (size_t)bytes;
		previous = continuation[i];
	}
	assert_int_equal(used, strlen(expected));
	assert_memory_equal(text, expected, used);
	tandem_tokenizer_destroy(tokenizer);
}

/* Against the definition: look through all pairs for the best, again and again. */

static int64_t find_normal(const struct vocabulary *vocabulary, const char *text, size_t length)
{
	size_t id;

	for (id = 0; id < vocabulary->count; id++) {
		const struct vocabulary_token *token = &vocabulary->tokens[id];

		if (token->type == 1 && strlen(token->text) == length &&
		    !memcmp(token->text, text, length))
			return (int64_t)id;
	}
	return -1;
}

/* @ends: where each symbol ends; @count of them. Only for valid UTF-8. */
static size_t plain_merge(const struct vocabulary *vocabulary, const char *text, size_t *ends,
			  size_t count)
{
	for (;;) {
		size_t best = SIZE_MAX, i;
		float best_score = 0;

		for (i = 0; i + 1 < count; i++) {
			const size_t start = i ? ends[i - 1] : 0;
			const int64_t id = find_normal(vocabulary, text + start,
						       ends[i + 1] - start);

			if (id < 0)
				continue;
			if (best == SIZE_MAX || vocabulary->tokens[id].score > best_score) {
				best = i;
				best_score = vocabulary->tokens[id].score;
			}
		}
		if (best == SIZE_MAX)
			return count;
		memmove(ends + best, ends + best + 1, (count - best - 1) * sizeof(*ends));
		count--;
	}
}

static size_t plain_encode(const struct vocabulary *vocabulary, const char *text, uint32_t *ids)
{
	static char marked[4 * TEXT_MAX];
	static size_t ends[4 * TEXT_MAX];
	size_t length = 0, count = 0, id_count = 0, start = 0, i;

	if (!*text)
		return 0;
	memcpy(marked, MARK, 3);
	length = 3;
	for (; *text; text++) {
		memcpy(marked + length, *text == ' ' ? MARK : text, *text == ' ' ? 3 : 1);
		length += *text == ' ' ? 3 : 1;
	}
	for (i = 1; i <= length; i++) {
		if (i == length || ((unsigned char)marked[i] & 0xc0) != 0x80)
			ends[count++] = i;
	}
	count = plain_merge(vocabulary, marked, ends, count);
	for (i = 0; i < count; i++) {
		const int64_t id = find_normal(vocabulary, marked + start, ends[i] - start);

		if (id >= 0)
			ids[id_count++] = (uint32_t)id;
		else
			for (; start < ends[i]; start++)
				ids[id_count++] = 3 + (unsigned char)marked[start];
		start = ends[i];
	}
	return id_count;
}

static void random_text(char *text, size_t pieces)
{
	static const char *const parts[] = { "a", "b", "c", " ", "aa", "ab", "  ", "\xc3\xa9",
					     "\xf0\x9f\x8e\x89", "x", "\xe6\x97\xa5", "\n" };

	*text = '\0';
	while (pieces--)
		text = stpcpy(text, parts[next_random() % (sizeof(parts) / sizeof(parts[0]))]);
}

static void test_against_definition(void **state)
{
	static struct vocabulary vocabulary;
	struct tandem_tokenizer *tokenizer;
	uint32_t expected[IDS_MAX];
	char text[TEXT_MAX];
	int round;

	(void)state;
	vocabulary_init(&vocabulary);
	tokenizer = load(&vocabulary);
	for (round = 0; round < 1000; round++) {
		random_text(text, next_random() % 40);
		expect_ids(tokenizer, text, strlen(text), false, expected,
			   plain_encode(&vocabulary, text, expected));
		expect_round_trip(tokenizer, text, strlen(text));
	}
	tandem_tokenizer_destroy(tokenizer);
}

static void test_random_bytes(void **state)
{
	static struct vocabulary vocabulary;
	struct tandem_tokenizer *tokenizer;
	char text[300];
	int round;

	(void)state;
	vocabulary_init(&vocabulary);
	tokenizer = load(&vocabulary);
	for (round = 0; round < 1000; round++) {
		size_t length = next_random() % sizeof(text), i;

		for (i = 0; i < length; i++)
			text[i] = (char)next_random();
		/* Biased to what begins, continues and breaks characters. */
		for (i = 0; round & 1 && i < length; i++)
			text[i] = "\xc3\xa9\xf0\x9f\x8e\x89\xe2\x96 a\xed\x00"[next_random() % 12];
		/* U+2581 alone does not come back: it is the space. */
		for (i = 0; i + 2 < length; i++) {
			if (!memcmp(text + i, MARK, 3))
				text[i] = 'a';
		}
		expect_round_trip(tokenizer, text, length);
	}
	tandem_tokenizer_destroy(tokenizer);
}

/* What counts as a character, at the borders of UTF-8. */
static void test_invalid_utf8(void **state)
{
	static const char *const invalid[] = {
		"\x80", "\xc3", "\xc0\x80", "\xe2\x96", "\xe0\x80\x80", "\xed\xa0\x80",
		"\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff\xfe",
		"\xf0\x9f\x8e",
	};
	static struct vocabulary vocabulary;
	struct tandem_tokenizer *tokenizer;
	uint32_t ids[16];
	size_t i, j;

	(void)state;
	vocabulary_init(&vocabulary);
	/*
	 * Taken for a character it would be this token; no merges lead to it. Of
	 * two bytes, one does.
	 */
	for (i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
		if (strlen(invalid[i]) > 2)
			vocabulary_add(&vocabulary, invalid[i], 0, 1);
	}
	tokenizer = load(&vocabulary);
	for (i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
		/* MARK, the bytes one by one, then "b" for itself. */
		const size_t length = strlen(invalid[i]);
		char text[8];

		memcpy(text, invalid[i], length);
		text[length] = 'b';
		assert_int_equal(tandem_tokenizer_encode(tokenizer, text, length + 1, false, ids,
							 16), length + 2);
		assert_int_equal(ids[0], vocabulary_id(&vocabulary, MARK));
		for (j = 0; j < length; j++)
			assert_int_equal(ids[1 + j], 3 + (unsigned char)text[j]);
		assert_int_equal(ids[1 + length], vocabulary_id(&vocabulary, "b"));
	}
	tandem_tokenizer_destroy(tokenizer);
}

static void test_embedded_nul(void **state)
{
	static struct vocabulary vocabulary;
	struct tandem_tokenizer *tokenizer;
	uint32_t expected[3];

	(void)state;
	vocabulary_init(&vocabulary);
	tokenizer = load(&vocabulary);
	expected[0] = vocabulary_id(&vocabulary, MARK "a");
	expected[1] = vocabulary_id(&vocabulary, "<0x00>");
	expected[2] = vocabulary_id(&vocabulary, "b");
	expect_ids(tokenizer, "a\0b", 3, false, expected, 3);
	expect_round_trip(tokenizer, "a\0b", 3);
	expect_round_trip(tokenizer, "\0\0", 2);
	tandem_tokenizer_destroy(tokenizer);
}

/* Text spelled like a special token stays text. */
static void test_no_special_tokens_from_text(void **state)
{
	static const char *const specials[] = { "<unk>", "<s>", "</s>", "<0x41>", "[user]",
						"[unused]", "ba" };
	static struct vocabulary vocabulary;
	struct tandem_tokenizer *tokenizer;
	uint32_t ids[64];
	ssize_t count, i;
	size_t j;

	(void)state;
	vocabulary_init(&vocabulary);
	vocabulary_add(&vocabulary, "[user]", 100, 4);
	vocabulary_add(&vocabulary, "[unused]", 100, 5);
	vocabulary_add(&vocabulary, "[", 0, 4);
	vocabulary_add(&vocabulary, "]", 0, 4);
	/* A normal token that a key makes EOS. */
	vocabulary.eos = vocabulary_add(&vocabulary, "ba", 100, 1);
	tokenizer = load(&vocabulary);
	for (j = 0; j < sizeof(specials) / sizeof(specials[0]); j++) {
		count = tandem_tokenizer_encode(tokenizer, specials[j], strlen(specials[j]), false,
						ids, 64);
		assert_true(count > 0);
		for (i = 0; i < count; i++) {
			const struct vocabulary_token *token = &vocabulary.tokens[ids[i]];

			assert_true(token->type == 1 || token->type == 6);
			assert_int_not_equal(ids[i], vocabulary.eos);
		}
		expect_round_trip(tokenizer, specials[j], strlen(specials[j]));
	}
	tandem_tokenizer_destroy(tokenizer);
}

static void test_capacity(void **state)
{
	static struct vocabulary vocabulary;
	struct tandem_tokenizer *tokenizer;
	uint32_t ids[4] = { 0, 0, 0, 77 };

	(void)state;
	vocabulary_init(&vocabulary);
	tokenizer = load(&vocabulary);
	assert_int_equal(tandem_tokenizer_encode(tokenizer, "a b", 3, true, NULL, 0), 4);
	assert_int_equal(tandem_tokenizer_encode(tokenizer, "a b", 3, true, ids, 3), -ENOSPC);
	assert_int_equal(tandem_tokenizer_encode(tokenizer, "a b", 3, true, ids, 0), -ENOSPC);
	assert_int_equal(ids[3], 77);
	assert_int_equal(tandem_tokenizer_encode(tokenizer, "a b", 3, true, ids, 4), 4);
	assert_int_equal(tandem_tokenizer_encode(tokenizer, NULL, 0, true, ids, 4), 1);
	assert_int_equal(ids[0], 1);
	assert_int_equal(tandem_tokenizer_encode(tokenizer, NULL, 0, false, ids, 0), 0);
	assert_int_equal(tandem_tokenizer_encode(tokenizer, "a",
						 (size_t)TANDEM_TOKENIZER_TEXT_MAX + 1, true,
						 ids, 4), -E2BIG);
	tandem_tokenizer_destroy(tokenizer);
}

/* Quadratic work would not end within the suite's time limit. */
static void test_long_text(void **state)
{
	const size_t length = 1 << 20;
	static struct vocabulary vocabulary;
	struct tandem_tokenizer *tokenizer;
	uint32_t *ids = malloc((length + 4) * sizeof(*ids));
	char *text = malloc(length);
	ssize_t count;
	size_t i;

	(void)state;
	assert_non_null(ids);
	assert_non_null(text);
	vocabulary_init(&vocabulary);
	tokenizer = load(&vocabulary);

	/* MARK "a", then "aa" pairs from the left, then "aaaa". */
	memset(text, 'a', length);
	count = tandem_tokenizer_encode(tokenizer, text, length, false, ids, length + 4);
	assert_int_equal(count, 1 + (length - 1) / 4 + 2);
	assert_int_equal(ids[0], vocabulary_id(&vocabulary, MARK "a"));
	for (i = 1; i < 1 + (length - 1) / 4; i++)
		assert_int_equal(ids[i], vocabulary_id(&vocabulary, "aaaa"));
	assert_int_equal(ids[i], vocabulary_id(&vocabulary, "aa"));
	assert_int_equal(ids[i + 1], vocabulary_id(&vocabulary, "a"));

	for (i = 0; i < length; i++)
		text[i] = "abc "[next_random() % 4];
	count = tandem_tokenizer_encode(tokenizer, text, length, false, ids, length + 4);
	assert_true(count > 0 && (size_t)count < length);
	free(text);
	free(ids);
	tandem_tokenizer_destroy(tokenizer);
}

static void test_no_space_prefix(void **state)
{
	static struct vocabulary vocabulary;
	struct tandem_tokenizer *tokenizer;
	uint32_t expected[2];

	(void)state;
	vocabulary_init(&vocabulary);
	vocabulary.add_space_prefix = false;
	tokenizer = load(&vocabulary);
	expected[0] = vocabulary_id(&vocabulary, "ab");
	expect_ids(tokenizer, "ab", 2, false, expected, 1);
	expected[0] = vocabulary_id(&vocabulary, MARK "ab");
	expect_ids(tokenizer, " ab", 3, false, expected, 1);
	/* There is then no space to drop, either. */
	expect_round_trip(tokenizer, " ab", 3);
	expect_round_trip(tokenizer, "ab", 2);
	tandem_tokenizer_destroy(tokenizer);
}

/* Without byte tokens, one unknown token for each character. */
static void test_no_byte_tokens(void **state)
{
	static struct vocabulary vocabulary;
	struct tandem_tokenizer *tokenizer;
	uint32_t expected[4] = { 3, 0, 0, 3 };
	char text[16];

	(void)state;
	vocabulary_init(&vocabulary);
	vocabulary.count = 3;
	vocabulary.score_count = 3;
	vocabulary.type_count = 3;
	vocabulary_add(&vocabulary, MARK, 0, 1);
	tokenizer = load(&vocabulary);
	expect_ids(tokenizer, "\xe6\x97\xa5x ", 5, false, expected, 4);
	assert_int_equal(decode_all(tokenizer, expected, 4, text, sizeof(text)), 7);
	assert_memory_equal(text, "\xef\xbf\xbd\xef\xbf\xbd ", 7);
	tandem_tokenizer_destroy(tokenizer);
}

static void test_decode(void **state)
{
	static struct vocabulary vocabulary;
	struct tandem_tokenizer *tokenizer;
	uint32_t word, user;
	char text[16];

	(void)state;
	vocabulary_init(&vocabulary);
	user = vocabulary_add(&vocabulary, "[user]", 0, 4);
	word = vocabulary_id(&vocabulary, MARK "cab");
	tokenizer = load(&vocabulary);

	assert_int_equal(tandem_tokenizer_decode(tokenizer, word, 5, text, 4), 4);
	assert_memory_equal(text, " cab", 4);
	assert_int_equal(tandem_tokenizer_decode(tokenizer, word, TANDEM_TOKEN_NONE, text, 3), 3);
	assert_memory_equal(text, "cab", 3);
	assert_int_equal(tandem_tokenizer_decode(tokenizer, word, 1, text, 3), 3);
	/* Two marks at the start: one was put there, one was a space. */
	assert_int_equal(tandem_tokenizer_decode(tokenizer, vocabulary_id(&vocabulary, MARK MARK),
						 1, text, 1), 1);
	assert_memory_equal(text, " ", 1);
	assert_int_equal(tandem_tokenizer_decode(tokenizer, user, 1, text, sizeof(text)), 6);

	/* BOS and EOS are no text; a byte is one, whatever stands before it. */
	assert_int_equal(tandem_tokenizer_decode(tokenizer, 1, TANDEM_TOKEN_NONE, NULL, 0), 0);
	assert_int_equal(tandem_tokenizer_decode(tokenizer, 2, 5, NULL, 0), 0);
	assert_int_equal(tandem_tokenizer_decode(tokenizer, 3 + 0xe2, 1, text, 1), 1);
	assert_int_equal((unsigned char)text[0], 0xe2);

	text[0] = '#';
	assert_int_equal(tandem_tokenizer_decode(tokenizer, word, 5, text, 3), -ENOSPC);
	assert_int_equal(tandem_tokenizer_decode(tokenizer, 3, 5, text, 0), -ENOSPC);
	assert_int_equal(tandem_tokenizer_decode(tokenizer, 0, 5, text, 2), -ENOSPC);
	assert_int_equal(text[0], '#');
	assert_int_equal(tandem_tokenizer_decode(tokenizer, (uint32_t)vocabulary.count, 5, text,
						 sizeof(text)), -EINVAL);
	assert_int_equal(tandem_tokenizer_decode(tokenizer, TANDEM_TOKEN_NONE, 5, text,
						 sizeof(text)), -EINVAL);
	tandem_tokenizer_destroy(tokenizer);
}

static void test_special_ids(void **state)
{
	static struct vocabulary vocabulary;
	struct tandem_tokenizer *tokenizer;
	uint32_t ids[4];

	(void)state;
	vocabulary_init(&vocabulary);
	vocabulary.bos = 2;
	vocabulary.eos = 1;
	vocabulary.add_bos = false;
	tokenizer = load(&vocabulary);
	assert_int_equal(tandem_tokenizer_bos(tokenizer), 2);
	assert_int_equal(tandem_tokenizer_eos(tokenizer), 1);
	assert_false(tandem_tokenizer_add_bos(tokenizer));
	tandem_tokenizer_destroy(tokenizer);

	/* No keys, and what usually is BOS and EOS is something else. */
	vocabulary_init(&vocabulary);
	vocabulary.tokens[1].type = 1;
	vocabulary.tokens[2].type = 1;
	tokenizer = load(&vocabulary);
	assert_true(tandem_tokenizer_bos(tokenizer) == TANDEM_TOKEN_NONE);
	assert_true(tandem_tokenizer_eos(tokenizer) == TANDEM_TOKEN_NONE);
	assert_false(tandem_tokenizer_add_bos(tokenizer));
	assert_int_equal(tandem_tokenizer_encode(tokenizer, "a", 1, true, ids, 4), -EINVAL);
	tandem_tokenizer_destroy(tokenizer);
}

/* Refusals. */

static void expect_refused(const struct vocabulary *vocabulary, int code, const char *thing)
{
	struct tandem_tokenizer *tokenizer = NULL;
	struct tandem_error error = { 0 };
	int ret = vocabulary_load(vocabulary, &tokenizer, &error);

	if (!ret)
		tandem_tokenizer_destroy(tokenizer);
	if (ret != code || error.code != code)
		fail_msg("%d instead of %d: %s", ret, code, error.message);
	assert_null(tokenizer);
	if (strncmp(error.message, "/proc/self/fd/", 14) || !strstr(error.message, thing))
		fail_msg("does not name the file and '%s': %s", thing, error.message);
}

static void test_other_kinds(void **state)
{
	static struct vocabulary vocabulary;

	(void)state;
	vocabulary_init(&vocabulary);
	vocabulary.model = "rwkv";
	expect_refused(&vocabulary, -EOPNOTSUPP, "'gpt2'");
	vocabulary.model = "";
	expect_refused(&vocabulary, -EOPNOTSUPP, "''");
	vocabulary.model = NULL;
	expect_refused(&vocabulary, -ENOENT, "'tokenizer.ggml.model' is missing");
}

static void test_hostile_arrays(void **state)
{
	static struct vocabulary vocabulary;

	(void)state;
	vocabulary_init(&vocabulary);
	vocabulary.score_count--;
	expect_refused(&vocabulary, -EINVAL, "'tokenizer.ggml.scores'");
	vocabulary_init(&vocabulary);
	vocabulary.score_count++;
	expect_refused(&vocabulary, -EINVAL, "'tokenizer.ggml.scores'");
	vocabulary_init(&vocabulary);
	vocabulary.type_count = 0;
	expect_refused(&vocabulary, -EINVAL, "'tokenizer.ggml.token_type'");
	vocabulary_init(&vocabulary);
	vocabulary.count = 0;
	expect_refused(&vocabulary, -EINVAL, "'tokenizer.ggml.tokens'");

	vocabulary_init(&vocabulary);
	vocabulary.tokens[270].score = __builtin_nanf("");
	expect_refused(&vocabulary, -EINVAL, "score of token 270");
	vocabulary_init(&vocabulary);
	vocabulary.tokens[270].type = 0;
	expect_refused(&vocabulary, -EINVAL, "token 270 has the unknown type 0");
	vocabulary.tokens[270].type = 7;
	expect_refused(&vocabulary, -EINVAL, "token 270 has the unknown type 7");
	vocabulary.tokens[270].type = 6;
	vocabulary.tokens[270].text = "<0x4G>";
	expect_refused(&vocabulary, -EINVAL, "token 270");
	vocabulary.tokens[270].text = "";
	expect_refused(&vocabulary, -EINVAL, "token 270");
}

static void test_hostile_ids(void **state)
{
	static struct vocabulary vocabulary;

	(void)state;
	vocabulary_init(&vocabulary);
	vocabulary.bos = (int64_t)vocabulary.count;
	expect_refused(&vocabulary, -EINVAL, "'tokenizer.ggml.bos_token_id'");
	vocabulary.bos = UINT32_MAX;
	expect_refused(&vocabulary, -EINVAL, "'tokenizer.ggml.bos_token_id'");
	vocabulary.bos = 1;
	vocabulary.eos = (int64_t)vocabulary.count;
	expect_refused(&vocabulary, -EINVAL, "'tokenizer.ggml.eos_token_id'");
	vocabulary.eos = 2;
	vocabulary.unknown = 1 << 30;
	expect_refused(&vocabulary, -EINVAL, "'tokenizer.ggml.unknown_token_id'");

	vocabulary_init(&vocabulary);
	vocabulary.tokens[1].type = 1;
	vocabulary.add_bos = true;
	expect_refused(&vocabulary, -EINVAL, "'tokenizer.ggml.add_bos_token'");

	vocabulary_init(&vocabulary);
	vocabulary.tokens[0].type = 1;
	vocabulary.tokens[3 + 0x41].type = 1;
	expect_refused(&vocabulary, -EINVAL, "<0x41>");
}

/* Such files exist: the first token of a text counts, empty ones never. */
static void test_duplicates_and_empty_tokens(void **state)
{
	static struct vocabulary vocabulary;
	struct tandem_tokenizer *tokenizer;
	uint32_t expected;

	(void)state;
	vocabulary_init(&vocabulary);
	expected = vocabulary_id(&vocabulary, MARK "ab");
	vocabulary_add(&vocabulary, MARK "ab", 50, 1);
	vocabulary_add(&vocabulary, "", 50, 1);
	tokenizer = load(&vocabulary);
	expect_ids(tokenizer, "ab", 2, false, &expected, 1);
	assert_int_equal(tandem_tokenizer_decode(tokenizer, (uint32_t)vocabulary.count - 1, 5,
						 NULL, 0), 0);
	tandem_tokenizer_destroy(tokenizer);
	tandem_tokenizer_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stories_prompt),
		cmocka_unit_test(test_stories_vectors),
		cmocka_unit_test(test_stories_stream),
		cmocka_unit_test(test_against_definition),
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_invalid_utf8),
		cmocka_unit_test(test_embedded_nul),
		cmocka_unit_test(test_no_special_tokens_from_text),
		cmocka_unit_test(test_capacity),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_no_space_prefix),
		cmocka_unit_test(test_no_byte_tokens),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_special_ids),
		cmocka_unit_test(test_other_kinds),
		cmocka_unit_test(test_hostile_arrays),
		cmocka_unit_test(test_hostile_ids),
		cmocka_unit_test(test_duplicates_and_empty_tokens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
